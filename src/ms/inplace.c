/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/inplace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/tree.h"
#include "ms/holders.h"
#include "ms/multims.h"
#include "ms/refms.h"
#include "table/edit_impl.h"
#include "table/keeper.h"
#include "table/reftable.h"
#include "table/table.h"
#include "table/touch.h"

/* Names inside a Multi-MS while a commit is under way. */
#define MEMBERS "SUBMSS"
#define FRESH ".SUBMSS.sheaf"
#define MARK ".sheaf-commit"

struct sheaf_inplace {
  char vis[4096];
  char home[4096]; /* the Multi-MS or MS that the members belong to: vis, unless it refers to it */
  struct lock {
    int fd; /* -1 where the file system has none */
    char *path;
  } * locks; /* [nlock] directories that are locked */
  size_t nlock;
  sheaf_holders holders; /* the members */
  size_t n;
  sheaf_edit **edits;   /* [n], NULL where none was begun */
  sheaf_keeper *keeper; /* NULL: nothing is kept */
};

/* ---- one task at a time ---- */

static int is_locked(const sheaf_inplace *p, const char *path) {
  for (size_t i = 0; i < p->nlock; i++)
    if (strcmp(p->locks[i].path, path) == 0) return 1;
  return 0;
}

/* Locks a directory, once; where the file system has no locks, only notes that. */
static int lock_folder(sheaf_inplace *p, const char *path, sheaf_error *err) {
  if (is_locked(p, path)) return 0;
  struct lock *more = realloc(p->locks, (p->nlock + 1) * sizeof *more);
  char *copy = strdup(path);
  if (more) p->locks = more;
  if (!more || !copy) {
    free(copy);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", path);
  }
  struct lock *lock = &more[p->nlock++];
  *lock = (struct lock){open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), copy};
  if (lock->fd < 0 || flock(lock->fd, LOCK_EX | LOCK_NB) == 0) return 0;
  const int reason = errno;
  close(lock->fd);
  lock->fd = -1;
  if (reason == EWOULDBLOCK)
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "'%s': another task changes it in place; wait until that one has ended",
                      path);
  sheaf_log(SHEAF_LOG_DEBUG, "%s: no lock (%s)", path, strerror(reason));
  return 0;
}

/* The Multi-MS that a sub-MS belongs to, or "". */
static void find_above(const char *vis, char above[4096]) {
  char name[256];
  snprintf(above, 4096, "%s", vis);
  for (int i = 0; i < 2; i++) {
    char *slash = strrchr(above, '/');
    if (!slash || slash == above) {
      above[0] = '\0';
      return;
    }
    *slash = '\0';
    if (i == 0 && strcmp(sheaf_path_base(above, name, sizeof name), MEMBERS) != 0) {
      above[0] = '\0';
      return;
    }
  }
  if (!sheaf_mms_is(above)) above[0] = '\0';
}

/* ---- a commit of many members ---- */

static const char *path_of(const sheaf_inplace *p, size_t i) {
  return p->holders.holder[i].path;
}

static void inside(const sheaf_inplace *p, const char *name, char out[4200]) {
  snprintf(out, 4200, "%s/%s", p->home, name);
}

/* Finishes or undoes what a dead task left; `settle`: table.lock of every member may be behind. */
static int recover(sheaf_inplace *p, int settle, sheaf_error *err) {
  char mark[4200], fresh[4200];
  int rc = 0;
  inside(p, MARK, mark);
  inside(p, FRESH, fresh);
  const int marked = sheaf_path_exists(mark);
  settle |= marked || sheaf_path_exists(fresh);
  if (marked) sheaf_log(SHEAF_LOG_INFO, "%s: an interrupted commit is finished", p->home);
  for (size_t i = 0; i < p->n && rc == 0; i++) {
    if (!marked) rc = sheaf_edit_recover(path_of(p, i), err);
    if (settle && rc == 0) rc = sheaf_edit_resume(path_of(p, i), err);
  }
  if (rc == 0 && sheaf_path_exists(fresh)) rc = sheaf_tree_remove(fresh, err);
  if (rc == 0 && marked && unlink(mark) < 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot remove %s", mark);
  return rc;
}

/* Whether all members lie in vis/SUBMSS, so that one rename can change them all. */
static int are_together(const sheaf_inplace *p) {
  char folder[4200];
  inside(p, MEMBERS "/", folder);
  const size_t n = strlen(folder);
  for (size_t i = 0; i < p->n; i++)
    if (strncmp(path_of(p, i), folder, n) != 0 || strchr(path_of(p, i) + n, '/')) return 0;
  return 1;
}

/* Makes a second SUBMSS, in hard links, in which all edits are done. */
static int link_members(sheaf_inplace *p, const char *fresh, sheaf_error *err) {
  int rc = sheaf_tree_remove(fresh, err);
  if (rc < 0) return rc;
  if (mkdir(fresh, 0777) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make %s", fresh);
  for (size_t i = 0; i < p->n && rc == 0; i++) {
    char to[4600], name[256];
    snprintf(to, sizeof to, "%s/%s", fresh, sheaf_path_base(path_of(p, i), name, sizeof name));
    sheaf_edit *edit = p->edits[i] && sheaf_edit_changed(p->edits[i]) ? p->edits[i] : NULL;
    rc = sheaf_edit_link(edit, path_of(p, i), to, err);
  }
  return rc;
}

/* Whether SUBMSS holds the members, each a folder of its own, and nothing else. */
static int nothing_else(const sheaf_inplace *p, const char *now) {
  struct stat st;
  size_t members = 0, entries = 0;
  for (size_t i = 0; i < p->n; i++)
    members += lstat(path_of(p, i), &st) == 0 && S_ISDIR(st.st_mode);
  DIR *dir = opendir(now);
  if (!dir) return 0;
  for (const struct dirent *e; (e = readdir(dir));)
    entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(dir);
  return members == p->n && entries == p->n;
}

static int sync_folder(const char *path, sheaf_error *err) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int bad = fd < 0 || fsync(fd) < 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return bad ? sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "cannot sync %s", path) : 0;
}

/* A second SUBMSS, ready and on disk. 1, or 0 where the file system lacks hard links, its disk is
 * full, or the Multi-MS is not laid out that way. */
static int make_fresh(sheaf_inplace *p, const char *now, const char *fresh) {
  sheaf_error why;
  if (!are_together(p) || !nothing_else(p, now)) return 0;
  if (link_members(p, fresh, &why) == 0 && sync_folder(fresh, &why) == 0) return 1;
  sheaf_log(SHEAF_LOG_DEBUG, "%s: members are changed one by one: %s", p->vis, why.text);
  sheaf_tree_remove(fresh, &why);
  return 0;
}

/* All members change by one exchange of names. 1, or 0 where the file system lacks the exchange. */
static int exchange(const sheaf_inplace *p, const char *now, const char *fresh, sheaf_error *err) {
  if (renameat2(AT_FDCWD, fresh, AT_FDCWD, now, RENAME_EXCHANGE) == 0) return 1;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EXDEV) return 0;
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot exchange %s of %s", MEMBERS, p->home);
}

static int commit_by_exchange(sheaf_inplace *p, sheaf_error *err) {
  char now[4200], fresh[4200];
  sheaf_error ignored;
  inside(p, MEMBERS, now);
  inside(p, FRESH, fresh);
  int rc = make_fresh(p, now, fresh);
  if (rc == 1) rc = exchange(p, now, fresh, err);
  if (rc <= 0) {
    sheaf_tree_remove(fresh, &ignored);
    return rc;
  }
  for (size_t i = 0; i < p->n; i++)
    if (p->edits[i]) sheaf_edit_adopt(p->edits[i]);
  rc = sync_folder(p->home, err);
  return rc < 0 ? rc : 1;
}

/* Member by member, with a mark by which the next task finishes what a death interrupts. */
static int commit_in_turn(sheaf_inplace *p, size_t changed, sheaf_error *err) {
  char mark[4200];
  int rc = 0;
  inside(p, MARK, mark);
  if (changed > 1) rc = sheaf_file_replace(mark, "", 0, err);
  for (size_t i = 0; i < p->n && rc == 0; i++)
    if (p->edits[i]) rc = sheaf_edit_publish(p->edits[i], err);
  for (size_t i = 0; i < p->n && rc < 0 && changed > 1; i++)
    if (p->edits[i]) sheaf_edit_leave(p->edits[i]); /* what is prepared is for the next task */
  return rc;
}

/* Removes what a commit needed until table.lock was right again. */
static int tidy(sheaf_inplace *p, sheaf_error *err) {
  char path[4200];
  for (size_t i = 0; i < p->n; i++)
    if (p->edits[i]) sheaf_edit_tidy(p->edits[i]);
  inside(p, FRESH, path);
  const int rc = sheaf_tree_remove(path, err);
  inside(p, MARK, path);
  if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot remove %s", path);
  return rc;
}

/* ---- members ---- */

/* The Multi-MS that holds a member, or the member itself. */
static void find_owner(const char *member, char owner[4096]) {
  find_above(member, owner);
  if (!owner[0]) snprintf(owner, 4096, "%s", member);
}

/* Columns must be the same in all members of a Multi-MS: those that are not referred to come in,
 * too. */
static int add_siblings(sheaf_inplace *p, const char *owner, sheaf_error *err) {
  char **members = NULL;
  size_t n = 0;
  int rc = sheaf_mms_members(owner, &members, &n, err);
  for (size_t i = 0; i < n && rc >= 0; i++)
    rc = sheaf_holders_add_unused(&p->holders, members[i], err);
  sheaf_mms_members_free(members);
  return rc;
}

/* Whether a member lies in the SUBMSS of vis. */
static int is_inside(const sheaf_inplace *p, const char *member) {
  const size_t n = strlen(p->vis);
  return strncmp(member, p->vis, n) == 0 && strncmp(member + n, "/" MEMBERS "/", 8) == 0;
}

/* Locks what the members belong to; that is `home` where it is one. */
static int lock_owners(sheaf_inplace *p, sheaf_error *err) {
  char owner[4096];
  const size_t before = p->nlock;
  int rc = 0;
  for (size_t i = 0; i < p->holders.n && rc >= 0; i++) {
    if (is_inside(p, path_of(p, i))) continue;
    find_owner(path_of(p, i), owner);
    if (is_locked(p, owner)) continue;
    rc = lock_folder(p, owner, err);
    if (rc >= 0 && p->holders.nreference && strcmp(owner, path_of(p, i)) != 0)
      rc = add_siblings(p, owner, err);
  }
  if (rc >= 0 && p->holders.nreference && p->nlock == before + 1)
    snprintf(p->home, sizeof p->home, "%s", p->locks[before].path);
  return rc;
}

static int find_members(sheaf_inplace *p, const char *vis, sheaf_error *err) {
  char above[4096];
  int rc = sheaf_path_real(vis, p->vis, sizeof p->vis, err);
  if (rc < 0 || (rc = sheaf_holders_find(&p->holders, p->vis, err)) < 0) return rc;
  memcpy(p->home, p->vis, sizeof p->vis);
  find_above(p->vis, above);
  if (above[0]) rc = lock_folder(p, above, err);
  if (rc >= 0) rc = lock_folder(p, p->vis, err);
  return rc < 0 ? rc : lock_owners(p, err);
}

/* ---- the interface ---- */

int sheaf_inplace_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err) {
  *inplace = NULL;
  sheaf_inplace *p = calloc(1, sizeof *p);
  if (!p) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", vis);
  int rc;
  SHEAF_TRY(find_members(p, vis, err));
  p->n = p->holders.n;
  if (!(p->edits = calloc(p->n + 1, sizeof *p->edits))) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", vis);
    goto done;
  }
  SHEAF_TRY(recover(p, 0, err));
  *inplace = p;
  return 0;
done:
  sheaf_inplace_end(p);
  return rc;
}

int sheaf_inplace_keep(sheaf_inplace *p, sheaf_error *err) {
  const char **paths = calloc(p->n + 1, sizeof *paths);
  if (!paths) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", p->vis);
  for (size_t i = 0; i < p->n; i++) paths[i] = path_of(p, i);
  const int rc = p->keeper ? 0 : sheaf_keeper_begin(&p->keeper, paths, p->n, err);
  free(paths);
  return rc < 0 ? sheaf_fail_context(err, rc, "nothing is changed") : 0;
}

int sheaf_inplace_lock(sheaf_inplace *p, size_t i, sheaf_error *err) {
  const int rc = sheaf_inplace_keep(p, err);
  return rc < 0 ? rc : sheaf_keeper_write(p->keeper, i, err);
}

/* Whether a commit of the members of `path` was interrupted. */
static int is_marked(const char *path) {
  char mark[4200];
  snprintf(mark, sizeof mark, "%.4000s/" MARK, path);
  return sheaf_path_exists(mark);
}

int sheaf_inplace_settle(const char *vis, sheaf_error *err) {
  char target[4096], above[4096];
  sheaf_inplace *p = NULL;
  snprintf(above, sizeof above, "%s", vis);
  if (!is_marked(vis)) {
    if (sheaf_refms_target(vis, target, sizeof target, NULL) <= 0) return 0;
    find_above(target, above);
    if (!above[0] || !is_marked(above)) return 0;
  }
  const int rc = sheaf_inplace_begin(&p, above, err);
  sheaf_inplace_end(p);
  return rc;
}

void sheaf_inplace_end(sheaf_inplace *p) {
  if (!p) return;
  sheaf_keeper_end(p->keeper);
  for (size_t i = 0; p->edits && i < p->n; i++) sheaf_edit_close(p->edits[i]);
  free(p->edits);
  sheaf_holders_free(&p->holders);
  for (size_t i = 0; i < p->nlock; i++) {
    if (p->locks[i].fd >= 0) close(p->locks[i].fd);
    free(p->locks[i].path);
  }
  free(p->locks);
  free(p);
}

size_t sheaf_inplace_nmember(const sheaf_inplace *p) {
  return p->n;
}

const char *sheaf_inplace_member(const sheaf_inplace *p, size_t i) {
  return path_of(p, i);
}

const char *sheaf_inplace_home(const sheaf_inplace *p) {
  return p->home;
}

int sheaf_inplace_refers(const sheaf_inplace *p) {
  return p->holders.nreference > 0;
}

const char *sheaf_inplace_renamed(const sheaf_inplace *p, const char **source) {
  *source = p->holders.renamed_source;
  return p->holders.renamed;
}

const uint8_t *sheaf_inplace_rows(const sheaf_inplace *p, size_t i) {
  return p->holders.holder[i].rows;
}

int64_t sheaf_inplace_nwanted(const sheaf_inplace *p, size_t i) {
  return p->holders.holder[i].nwanted;
}

sheaf_edit *sheaf_inplace_edit(sheaf_inplace *p, size_t i, sheaf_error *err) {
  if (!p->edits[i] && sheaf_edit_begin(&p->edits[i], path_of(p, i), err) < 0) return NULL;
  return p->edits[i];
}

int sheaf_inplace_prepare(sheaf_inplace *p, sheaf_error *err) {
  for (size_t i = 0; i < p->n; i++) {
    const int rc = p->edits[i] ? sheaf_edit_prepare(p->edits[i], err) : 0;
    if (rc < 0) return rc;
  }
  return 0;
}

/* Everything that may fail for want of space, and what each table will be. Returns how many change.
 */
static int describe_all(sheaf_inplace *p, int wrote, sheaf_touch *touches, size_t *n,
                        sheaf_error *err) {
  int changed = 0, rc = sheaf_inplace_prepare(p, err);
  for (size_t i = 0; i < p->n && rc == 0; i++) {
    sheaf_edit *edit = p->edits[i];
    if (edit && sheaf_edit_changed(edit)) {
      rc = sheaf_edit_sync(edit, err);
      sheaf_edit_describe(edit, &touches[(*n)++]);
      changed++;
    } else if (wrote) {
      touches[(*n)++] = (sheaf_touch){.path = path_of(p, i)};
    }
  }
  return rc < 0 ? rc : changed;
}

int sheaf_inplace_commit(sheaf_inplace *p, int wrote, sheaf_error *err) {
  sheaf_touch *touches = calloc(p->n + 1, sizeof *touches);
  sheaf_error other;
  size_t n = 0;
  if (!touches) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", p->vis);
  const int changed = describe_all(p, wrote, touches, &n, err);
  int rc = changed < 0 ? changed : sheaf_tables_veil(touches, n, err);
  if (rc == 0 && changed > 1) rc = commit_by_exchange(p, err);
  if (rc == 0 && changed > 0) rc = commit_in_turn(p, (size_t)changed, err);
  if (rc >= 0) {
    rc = sheaf_tables_touch(touches, n, err);
    if (rc == 0 && changed > 0) rc = tidy(p, err);
  } else if (changed > 0) {
    (void)recover(p, 1, &other); /* what the next task would do */
  }
  free(touches);
  return rc < 0 ? rc : 0;
}

int sheaf_inplace_show(sheaf_inplace *p, const char *const *columns, size_t n, sheaf_error *err) {
  int rc = 0;
  for (size_t i = p->holders.nreference; i > 0 && rc >= 0; i--)
    rc = sheaf_reftable_show(p->holders.reference[i - 1], columns, n, err);
  return rc;
}

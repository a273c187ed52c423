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
#include "ms/multims.h"
#include "table/edit_impl.h"
#include "table/table.h"
#include "table/touch.h"

/* Names inside a Multi-MS while a commit is under way. */
#define MEMBERS "SUBMSS"
#define FRESH ".SUBMSS.sheaf"
#define MARK ".sheaf-commit"

struct sheaf_inplace {
  char vis[4096];
  int lock, lock_above; /* directories that are locked, -1 */
  char **members;
  size_t n;
  sheaf_edit **edits; /* [n], NULL where none was begun */
};

/* ---- one task at a time ---- */

/* A lock on a directory; -1 in *fd where the file system has none. */
static int lock_folder(const char *path, int *fd, sheaf_error *err) {
  *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) == 0) return 0;
  const int reason = errno;
  close(*fd);
  *fd = -1;
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

static void inside(const sheaf_inplace *p, const char *name, char out[4200]) {
  snprintf(out, 4200, "%s/%s", p->vis, name);
}

/* Finishes or undoes what a dead task left; `settle`: table.lock of every member may be behind. */
static int recover(sheaf_inplace *p, int settle, sheaf_error *err) {
  char mark[4200], fresh[4200];
  int rc = 0;
  inside(p, MARK, mark);
  inside(p, FRESH, fresh);
  const int marked = sheaf_path_exists(mark);
  settle |= marked || sheaf_path_exists(fresh);
  if (marked) sheaf_log(SHEAF_LOG_INFO, "%s: an interrupted commit is finished", p->vis);
  for (size_t i = 0; i < p->n && rc == 0; i++) {
    if (!marked) rc = sheaf_edit_recover(p->members[i], err);
    if (settle && rc == 0) rc = sheaf_edit_resume(p->members[i], err);
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
    if (strncmp(p->members[i], folder, n) != 0 || strchr(p->members[i] + n, '/')) return 0;
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
    snprintf(to, sizeof to, "%s/%s", fresh, sheaf_path_base(p->members[i], name, sizeof name));
    sheaf_edit *edit = p->edits[i] && sheaf_edit_changed(p->edits[i]) ? p->edits[i] : NULL;
    rc = sheaf_edit_link(edit, p->members[i], to, err);
  }
  return rc;
}

/* Whether SUBMSS holds the members, each a folder of its own, and nothing else. */
static int nothing_else(const sheaf_inplace *p, const char *now) {
  struct stat st;
  size_t members = 0, entries = 0;
  for (size_t i = 0; i < p->n; i++)
    members += lstat(p->members[i], &st) == 0 && S_ISDIR(st.st_mode);
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
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot exchange %s of %s", MEMBERS, p->vis);
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
  rc = sync_folder(p->vis, err);
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

/* ---- the interface ---- */

int sheaf_inplace_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err) {
  char above[4096];
  *inplace = NULL;
  sheaf_inplace *p = calloc(1, sizeof *p);
  if (!p) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", vis);
  p->lock = p->lock_above = -1;
  int rc;
  SHEAF_TRY(sheaf_path_real(vis, p->vis, sizeof p->vis, err));
  SHEAF_TRY(sheaf_mms_members(p->vis, &p->members, &p->n, err));
  find_above(p->vis, above);
  if (above[0]) SHEAF_TRY(lock_folder(above, &p->lock_above, err));
  SHEAF_TRY(lock_folder(p->vis, &p->lock, err));
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

void sheaf_inplace_end(sheaf_inplace *p) {
  if (!p) return;
  for (size_t i = 0; p->edits && i < p->n; i++) sheaf_edit_close(p->edits[i]);
  free(p->edits);
  sheaf_mms_members_free(p->members);
  if (p->lock >= 0) close(p->lock);
  if (p->lock_above >= 0) close(p->lock_above);
  free(p);
}

size_t sheaf_inplace_nmember(const sheaf_inplace *p) {
  return p->n;
}

const char *sheaf_inplace_member(const sheaf_inplace *p, size_t i) {
  return p->members[i];
}

sheaf_edit *sheaf_inplace_edit(sheaf_inplace *p, size_t i, sheaf_error *err) {
  if (!p->edits[i] && sheaf_edit_begin(&p->edits[i], p->members[i], err) < 0) return NULL;
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
      touches[(*n)++] = (sheaf_touch){.path = p->members[i]};
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

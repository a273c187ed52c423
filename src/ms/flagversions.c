/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/flagversions.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/copier.h"
#include "ms/multims.h"
#include "ms/rowids.h"
#include "table/table.h"

#define MARK ".sheaf-pending"
#define LIST "FLAG_VERSION_LIST"
#define ROWIDS "sheaf.rows"

enum { MOST_NAME = 200 };

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag versions");
}

/* ---- the table of one version ---- */

static sheaf_copycolumn column_of(const char *name, sheaf_role role) {
  sheaf_copycolumn c = {.role = role};
  snprintf(c.source, sizeof c.source, "%s", name);
  snprintf(c.pattern, sizeof c.pattern, "%s", name);
  snprintf(c.name, sizeof c.name, "%s", name);
  return c;
}

/* 1 when the table has FLAG_ROW, 0 when not, as in a calibration table. *ndim: axes of FLAG's cells
 * where its description leaves them open, as CASA's calibration tables do; else 0. */
static int has_flag_row(const char *path, int *ndim, sheaf_error *err) {
  sheaf_table *table;
  sheaf_column flag;
  *ndim = 0;
  int rc = sheaf_table_open(&table, path, 0, err);
  if (rc < 0) return rc;
  if (!sheaf_table_column(table, "FLAG", &flag))
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s has no column FLAG", path);
  else
    rc = sheaf_table_column(table, "FLAG_ROW", NULL);
  if (rc >= 0 && flag.ndim < 0) *ndim = 2;
  sheaf_table_close(table);
  return rc;
}

/* Flags and fingerprints of all rows, in the new directory `path`. */
static int write_flags(const char *path, const char *const *members, size_t n, sheaf_error *err) {
  char ids[4300];
  sheaf_copycolumn columns[] = {column_of("FLAG", SHEAF_ROLE_ARRAY),
                                column_of("FLAG_ROW", SHEAF_ROLE_SCALAR)};
  sheaf_cellsel cell = {0};
  const int has_row = has_flag_row(members[0], &columns[0].ndim, err);
  if (has_row < 0) return has_row;
  sheaf_copyplan plan = {
      .ncolumn = has_row ? 2 : 1, .column = columns, .reindex = {.nddid = 1, .cell = &cell}};
  const int rc = sheaf_copy_whole(&plan, members, n, path, err);
  snprintf(ids, sizeof ids, "%s/" ROWIDS, path);
  return rc < 0 ? rc : sheaf_rowids_write(ids, members, n, err);
}

int sheaf_flagversions_create(const char *versions, const char *name, const char *comment,
                              const char *const *members, size_t n, sheaf_error *err) {
  char path[4200], line[512];
  if (mkdir(versions, 0777) != 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", versions);
  snprintf(path, sizeof path, "%s/flags.%s", versions, name);
  const int rc = write_flags(path, members, n, err);
  if (rc < 0) return rc;
  snprintf(path, sizeof path, "%s/" LIST, versions);
  snprintf(line, sizeof line, "%s : %s\n", name, comment);
  return sheaf_file_replace(path, line, strlen(line), err);
}

/* ---- a directory that appears before its MS ---- */

int sheaf_flagversions_mark(const char *versions, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", versions, MARK);
  return sheaf_file_replace(path, "", 0, err);
}

int sheaf_flagversions_unmark(const char *versions, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", versions, MARK);
  if (unlink(path) != 0 && errno != ENOENT)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return 0;
}

int sheaf_flagversions_sweep(const char *ms_path, sheaf_error *err) {
  char versions[4200], mark[4300];
  snprintf(versions, sizeof versions, "%s.flagversions", ms_path);
  snprintf(mark, sizeof mark, "%s/%s", versions, MARK);
  if (!sheaf_path_exists(mark)) return 0;
  /* The mark is also there while another task publishes this very output. */
  const int rc = sheaf_stage_underway(ms_path, err);
  if (rc < 0) return rc;
  if (sheaf_path_exists(ms_path)) return sheaf_flagversions_unmark(versions, err);
  if (!sheaf_path_exists(mark)) return 0; /* such a task has ended meanwhile */
  sheaf_log(SHEAF_LOG_WARN, "removing %s, left by a task that was killed", versions);
  return sheaf_tree_remove(versions, err);
}

/* ---- the list ---- */

int sheaf_flagversions_path(const char *vis, char *path, size_t size, sheaf_error *err) {
  char real[4096];
  const int rc = sheaf_path_real(vis, real, sizeof real, err);
  if (rc < 0) return rc;
  const int n = snprintf(path, size, "%s.flagversions", real);
  return n < (int)size ? 0 : sheaf_fail(err, SHEAF_ERR_ARG, "vis='%s': name too long", vis);
}

/* The versions of an MS while they are read or changed. */
typedef struct shelf {
  char path[4096];
  int lock; /* descriptor, -1: none */
  sheaf_flagversion *list;
  size_t n;
} shelf;

void sheaf_flagversions_free(sheaf_flagversion *list, size_t n) {
  for (size_t i = 0; list && i < n; i++) {
    free(list[i].name);
    free(list[i].comment);
  }
  free(list);
}

static void version_path(const shelf *s, const char *name, char path[4400]) {
  snprintf(path, 4400, "%s/flags.%s", s->path, name);
}

static int find(const shelf *s, const char *name) {
  for (size_t i = 0; i < s->n; i++)
    if (!strcmp(s->list[i].name, name)) return (int)i;
  return -1;
}

/* Adds a version before place `at`. */
static int insert(shelf *s, size_t at, const char *name, size_t nname, const char *comment,
                  sheaf_error *err) {
  char path[4400];
  sheaf_flagversion *list = realloc(s->list, (s->n + 1) * sizeof *list);
  if (!list) return no_memory(err);
  s->list = list;
  sheaf_flagversion v = {strndup(name, nname), strdup(comment), 0};
  if (!v.name || !v.comment) {
    free(v.name);
    free(v.comment);
    return no_memory(err);
  }
  version_path(s, v.name, path);
  v.exists = sheaf_path_is_dir(path);
  memmove(&list[at + 1], &list[at], (s->n - at) * sizeof *list);
  list[at] = v;
  s->n++;
  return 0;
}

static void take_out(shelf *s, size_t at) {
  free(s->list[at].name);
  free(s->list[at].comment);
  memmove(&s->list[at], &s->list[at + 1], (--s->n - at) * sizeof *s->list);
}

static char *trimmed(char *text) {
  while (isspace((unsigned char)*text)) text++;
  for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]);) text[--n] = '\0';
  return text;
}

/* A line is "name : comment"; as CASA, everything before the first colon is the name. */
static int take_line(shelf *s, char *line, sheaf_error *err) {
  char *colon = strchr(line, ':');
  if (colon) *colon = '\0';
  char *name = trimmed(line);
  if (!*name || !strcmp(name, "main")) return 0;
  return insert(s, s->n, name, strlen(name), colon ? trimmed(colon + 1) : "", err);
}

static int read_list(shelf *s, sheaf_error *err) {
  char path[4200], *text, *rest = NULL;
  size_t size;
  int rc;
  snprintf(path, sizeof path, "%s/" LIST, s->path);
  if (!sheaf_path_exists(path)) return 0;
  if ((rc = sheaf_file_read(path, &text, &size, err)) < 0) return rc;
  if (size > 0 && strlen(text) < size) {
    free(text);
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged: it holds a zero byte", path);
  }
  for (char *line = strtok_r(text, "\n", &rest); rc >= 0 && line;
       line = strtok_r(NULL, "\n", &rest))
    rc = take_line(s, line, err);
  free(text);
  return rc;
}

/* Whether a file has these contents. */
static int holds(const char *path, const char *text, size_t size) {
  char *data = NULL;
  size_t n;
  const int same =
      sheaf_file_read(path, &data, &n, NULL) >= 0 && n == size && !memcmp(data, text, size);
  free(data);
  return same;
}

static int write_list(const shelf *s, sheaf_error *err) {
  char path[4200], *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return no_memory(err);
  for (size_t i = 0; i < s->n; i++) fprintf(out, "%s : %s\n", s->list[i].name, s->list[i].comment);
  snprintf(path, sizeof path, "%s/" LIST, s->path);
  int rc = fclose(out) ? no_memory(err) : sheaf_file_replace(path, text, size, err);
  if (rc < 0 && text && holds(path, text, size)) { /* only the sync of its directory failed */
    if (err) sheaf_log(SHEAF_LOG_WARN, "%s", err->text);
    rc = 0;
  }
  free(text);
  return rc;
}

int sheaf_flagversions_list(const char *vis, sheaf_flagversion **list, size_t *n,
                            sheaf_error *err) {
  shelf s = {.lock = -1};
  int rc = sheaf_flagversions_path(vis, s.path, sizeof s.path, err);
  if (rc >= 0) rc = read_list(&s, err);
  if (rc < 0) {
    sheaf_flagversions_free(s.list, s.n);
    s = (shelf){.lock = -1};
  }
  *list = s.list;
  *n = s.n;
  return rc;
}

/* ---- changes ---- */

/* Whether a hidden directory is one that delete or rename leaves. */
static int is_debris(const char *name) {
  return !strncmp(name, ".flags.", 7) && strstr(name, ".removed") != NULL;
}

static void sweep_debris(const shelf *s) {
  sheaf_stage_sweep_all(s->path); /* versions that were being saved */
  DIR *dir = opendir(s->path);
  if (!dir) return;
  for (const struct dirent *e; (e = readdir(dir));) {
    char path[4400];
    if (!is_debris(e->d_name)) continue;
    snprintf(path, sizeof path, "%s/%s", s->path, e->d_name);
    (void)sheaf_tree_remove(path, NULL);
  }
  closedir(dir);
}

static void shelf_close(shelf *s) {
  if (s->lock >= 0 && s->n == 0) rmdir(s->path); /* made for a version that did not come */
  if (s->lock >= 0) close(s->lock);
  sheaf_flagversions_free(s->list, s->n);
  *s = (shelf){.lock = -1};
}

/* Opens the versions for a change; makes the directory if `make`. */
static int shelf_open(shelf *s, const char *vis, int make, sheaf_error *err) {
  *s = (shelf){.lock = -1};
  int rc = sheaf_flagversions_path(vis, s->path, sizeof s->path, err);
  if (rc < 0) return rc;
  if (make && mkdir(s->path, 0777) < 0 && errno != EEXIST)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make %s", s->path);
  if (!sheaf_path_is_dir(s->path)) return 0;
  s->lock = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
    close(s->lock);
    s->lock = -1;
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "%s: another task changes it; wait until that one has ended", s->path);
  }
  sweep_debris(s);
  return read_list(s, err);
}

static int check_text(const char *what, const char *text, sheaf_error *err) {
  for (const char *p = text; *p; p++)
    if (iscntrl((unsigned char)*p))
      return sheaf_fail(err, SHEAF_ERR_ARG, "%s='%.100s': must be one line of text", what, text);
  return 0;
}

static int check_name(const char *what, const char *name, sheaf_error *err) {
  if (!*name) return sheaf_fail(err, SHEAF_ERR_ARG, "Illegal empty versionname: ''");
  if (!strcmp(name, "main"))
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "%s='main': that is what the flags in the MS itself are called", what);
  if (strlen(name) > MOST_NAME)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s='%.40s…': must have at most %d bytes", what, name,
                      MOST_NAME);
  if (strpbrk(name, "/:$") || isspace((unsigned char)name[0]) ||
      isspace((unsigned char)name[strlen(name) - 1]))
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "%s='%s': must not contain '/', ':' or '$', nor begin or end with a blank",
                      what, name);
  return check_text(what, name, err);
}

/* After a change of names, which is made: that it may not be on disk is a warning. */
static void sync_shelf(const shelf *s) {
  const int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
    sheaf_log(SHEAF_LOG_WARN, "cannot write '%s' to disk: %s", s->path, strerror(errno));
  if (fd >= 0) close(fd);
}

/* Moves a directory out of sight and removes it; what a death leaves is swept. */
static void remove_version(const shelf *s, const char *path) {
  char hidden[4500], base[300];
  snprintf(hidden, sizeof hidden, "%s/.%s.removed", s->path,
           sheaf_path_base(path, base, sizeof base));
  (void)sheaf_tree_remove(hidden, NULL);
  sheaf_error ignored;
  if (sheaf_tree_remove(rename(path, hidden) == 0 ? hidden : path, &ignored) < 0)
    sheaf_log(SHEAF_LOG_WARN, "%s", ignored.text);
}

/* A second name for every file of a version (which is never changed), in a new directory. Where the
 * file system has no hard links, a copy. */
static int link_files(const char *from, const char *to, sheaf_error *err) {
  DIR *dir = opendir(from);
  int rc = 0;
  if (!dir) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot open %s", from);
  for (const struct dirent *e; rc >= 0 && (e = readdir(dir));) {
    char a[4700], b[4700];
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    snprintf(a, sizeof a, "%s/%s", from, e->d_name);
    snprintf(b, sizeof b, "%s/%s", to, e->d_name);
    if (link(a, b) < 0) rc = sheaf_tree_copy(a, b, err);
  }
  closedir(dir);
  return rc;
}

/* The version `from` is also there as `to`, in one step. */
static int duplicate(const shelf *s, const char *from, const char *to, sheaf_error *err) {
  char source[4400], target[4400];
  sheaf_stage stage = {.path = ""};
  version_path(s, from, source);
  version_path(s, to, target);
  int rc;
  SHEAF_TRY(sheaf_stage_begin(&stage, target, err));
  SHEAF_TRY(link_files(source, stage.path, err));
  SHEAF_TRY(sheaf_stage_publish(&stage, NULL, err));
done:
  sheaf_stage_abandon(&stage);
  return rc;
}

/* A free name for the present version of that name: "<name>.old.<time>". */
static void name_old(const shelf *s, const char *name, char old[MOST_NAME + 32]) {
  char path[4400];
  long long now = (long long)time(NULL);
  do {
    snprintf(old, MOST_NAME + 32, "%s.old.%lld", name, now++);
    version_path(s, old, path);
  } while (sheaf_path_exists(path) || find(s, old) >= 0);
}

/* The list with a new version at its end; where one of that name was, that goes on as `old`. */
static int list_new(shelf *s, const char *name, const char *comment, const char *old,
                    sheaf_error *err) {
  const int at = find(s, name);
  int rc = 0;
  if (*old)
    rc = insert(s, at < 0 ? s->n : (size_t)at, old, strlen(old), at < 0 ? "" : s->list[at].comment,
                err);
  const int again = find(s, name);
  if (rc >= 0 && again >= 0) take_out(s, (size_t)again);
  if (rc >= 0) rc = insert(s, s->n, name, strlen(name), comment, err);
  return rc < 0 ? rc : write_list(s, err);
}

/* `inner`, in the stage, takes the place of the version at `path`, which is kept elsewhere. */
static int exchange(const shelf *s, sheaf_stage *stage, const char *inner, const char *path,
                    sheaf_error *err) {
  int rc = sheaf_tree_sync(inner, err);
  if (rc < 0) return rc;
  if (renameat2(AT_FDCWD, inner, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
    sync_shelf(s);
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot replace %s", path);
  remove_version(s, path); /* no exchange on this file system */
  memcpy(stage->final, path, strlen(path) + 1);
  return sheaf_stage_publish(stage, "table", err);
}

/* The finished version in the stage becomes the version `name`, whose table is at `path`. */
static int replace_version(shelf *s, sheaf_stage *stage, const char *inner, const char *name,
                           const char *comment, sheaf_error *err) {
  char path[4400], old[MOST_NAME + 32], old_path[4400], list[4200], *before = NULL;
  size_t size = 0;
  version_path(s, name, path);
  name_old(s, name, old);
  version_path(s, old, old_path);
  snprintf(list, sizeof list, "%s/" LIST, s->path);
  sheaf_log(SHEAF_LOG_WARN, "Version name '%s' already exist. Will rename it to %s", name, old);
  int rc = sheaf_path_exists(list) ? sheaf_file_read(list, &before, &size, err) : 0;
  if (rc >= 0) rc = duplicate(s, name, old, err);
  if (rc >= 0) rc = list_new(s, name, comment, old, err);
  if (rc >= 0) rc = exchange(s, stage, inner, path, err);
  if (rc < 0) { /* all as it was */
    if (before && !holds(list, before, size)) (void)sheaf_file_replace(list, before, size, NULL);
    if ((!before || holds(list, before, size)) && sheaf_path_exists(old_path))
      remove_version(s, old_path);
  }
  free(before);
  return rc;
}

static int add_version(shelf *s, sheaf_stage *stage, const char *name, const char *comment,
                       sheaf_error *err) {
  char path[4400];
  version_path(s, name, path);
  int rc = sheaf_stage_publish(stage, "table", err);
  if (rc < 0) return rc;
  rc = list_new(s, name, comment, "", err);
  if (rc < 0) remove_version(s, path);
  return rc;
}

static int save(shelf *s, const char *vis, const char *name, const char *comment,
                sheaf_error *err) {
  char path[4400], shown[4500], inner[4400];
  char **members = NULL;
  size_t n = 0;
  sheaf_stage stage = {.path = ""};
  int rc;
  version_path(s, name, path);
  const int replaces = sheaf_path_exists(path);
  /* The stage of one that is to replace another has a name of its own. */
  snprintf(shown, sizeof shown, "%s%s", path, replaces ? ".new-version" : "");
  SHEAF_TRY(sheaf_mms_members(vis, &members, &n, err));
  SHEAF_TRY(sheaf_stage_begin(&stage, shown, err));
  snprintf(inner, sizeof inner, "%s/table", stage.path);
  SHEAF_TRY(write_flags(inner, (const char *const *)members, n, err));
  if (replaces)
    SHEAF_TRY(replace_version(s, &stage, inner, name, comment, err));
  else
    SHEAF_TRY(add_version(s, &stage, name, comment, err));
done:
  sheaf_stage_abandon(&stage);
  sheaf_mms_members_free(members);
  return rc;
}

int sheaf_flagversions_save(const char *vis, const char *name, const char *comment,
                            sheaf_error *err) {
  shelf s;
  int rc = check_name("versionname", name, err);
  if (rc >= 0) rc = check_text("comment", comment, err);
  if (rc < 0) return rc;
  rc = shelf_open(&s, vis, 1, err);
  if (rc >= 0) rc = save(&s, vis, name, comment, err);
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Save current flagversions to %s", name);
  shelf_close(&s);
  return rc < 0 ? sheaf_fail_context(err, rc, "flags are not saved as version '%s'", name) : 0;
}

int sheaf_flagversions_backup(const char *vis, const char *task, char name[128], sheaf_error *err) {
  char comment[64], path[4400];
  const time_t now = time(NULL);
  struct tm local;
  shelf s;
  strftime(comment, sizeof comment, "Flags autosave on %Y-%m-%d %H:%M:%S",
           localtime_r(&now, &local));
  int rc = shelf_open(&s, vis, 1, err);
  for (int i = 1; rc >= 0; i++) {
    snprintf(name, 128, "%s_%d", task, i);
    version_path(&s, name, path);
    if (find(&s, name) < 0 && !sheaf_path_exists(path)) break;
  }
  if (rc >= 0) rc = save(&s, vis, name, comment, err);
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Backup flags to version %s", name);
  shelf_close(&s);
  return rc < 0 ? sheaf_fail_context(err, rc, "flags cannot be backed up") : 0;
}

int sheaf_flagversions_delete(const char *vis, const char *name, sheaf_error *err) {
  char path[4400];
  shelf s;
  int rc = shelf_open(&s, vis, 0, err);
  const int at = rc < 0 ? -1 : find(&s, name);
  if (rc >= 0 && at < 0)
    rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "Flag version %s does not exist", name);
  if (rc >= 0) {
    version_path(&s, name, path);
    take_out(&s, (size_t)at);
    rc = write_list(&s, err);
  }
  if (rc >= 0) {
    if (sheaf_path_exists(path)) remove_version(&s, path);
    sync_shelf(&s);
  }
  shelf_close(&s);
  return rc;
}

/* Whether a version that the list does not name is what a dead rename has left: it shares its
 * files. */
static int is_left_over(const shelf *s, const char *from, const char *to) {
  char a[4500], b[4500];
  struct stat sa, sb;
  snprintf(a, sizeof a, "%s/flags.%s/table.dat", s->path, from);
  snprintf(b, sizeof b, "%s/flags.%s/table.dat", s->path, to);
  return find(s, to) < 0 && stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
         sa.st_ino == sb.st_ino;
}

int sheaf_flagversions_rename(const char *vis, const char *from, const char *to,
                              const char *comment, sheaf_error *err) {
  char old[4400], path[4400];
  shelf s;
  int rc = check_name("versionname", to, err);
  if (rc >= 0) rc = check_text("comment", comment, err);
  if (rc < 0 || (rc = shelf_open(&s, vis, 0, err)) < 0) return rc;
  version_path(&s, from, old);
  version_path(&s, to, path);
  const int at = find(&s, from);
  if (is_left_over(&s, from, to)) remove_version(&s, path);
  if (!*from || at < 0 || !sheaf_path_is_dir(old))
    rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "No such flagversions: %s", from);
  else if (sheaf_path_exists(path) || find(&s, to) >= 0)
    rc = sheaf_fail(err, SHEAF_ERR_EXISTS, "Flagversions %s already exists!", to);
  else
    rc = duplicate(&s, from, to, err);
  if (rc >= 0) {
    take_out(&s, (size_t)at);
    rc = insert(&s, (size_t)at, to, strlen(to), comment, err);
    if (rc >= 0) rc = write_list(&s, err);
    remove_version(&s, rc < 0 ? path : old);
  }
  shelf_close(&s);
  return rc;
}

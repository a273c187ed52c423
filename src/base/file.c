/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/log.h"
#include "base/owner.h"

/* ---- paths ---- */

int sheaf_path_exists(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

int sheaf_path_is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int fail_too_long(sheaf_error *err, const char *path) {
  return sheaf_fail(err, SHEAF_ERR_ARG, "'%.200s…': the path is too long", path);
}

int sheaf_path_join(char *out, size_t size, const char *a, const char *b, sheaf_error *err) {
  const size_t n = strlen(a);
  const char *slash = n == 0 || a[n - 1] == '/' ? "" : "/";
  const int need = snprintf(out, size, "%s%s%s", a, slash, b);
  return need < 0 || (size_t)need >= size ? fail_too_long(err, a) : 0;
}

/* Takes out "//", "/./" and what ends in them; ".." stays, for it may stand behind a link. */
static void tidy_slashes(char *path) {
  char *out = path;
  for (const char *p = path; *p;) {
    while (*p == '/') p++;
    const size_t n = strcspn(p, "/");
    if (n > 0 && !(n == 1 && *p == '.')) {
      *out++ = '/';
      memmove(out, p, n);
      out += n;
    }
    p += n;
  }
  if (out == path) *out++ = '/';
  *out = '\0';
}

int sheaf_path_absolute(const char *path, char *out, size_t size, sheaf_error *err) {
  if (!*path) return sheaf_fail(err, SHEAF_ERR_ARG, "the path is empty");
  char here[4096] = "";
  if (*path != '/' && !getcwd(here, sizeof here))
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot find the current directory");
  const int need = snprintf(out, size, "%s/%s", here, path);
  if (need < 0 || (size_t)need >= size) return fail_too_long(err, path);
  tidy_slashes(out);
  return 0;
}

int sheaf_path_real(const char *path, char *out, size_t size, sheaf_error *err) {
  char head[4096], tail[4096] = "";
  int rc = sheaf_path_absolute(path, head, sizeof head, err);
  if (rc < 0) return rc;
  char *real;
  while (!(real = realpath(head, NULL))) {
    if ((errno != ENOENT && errno != ENOTDIR) || !strcmp(head, "/"))
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot resolve '%s'", path);
    char *slash = strrchr(head, '/'), rest[4096];
    snprintf(rest, sizeof rest, "%s", tail);
    snprintf(tail, sizeof tail, "%.2000s%.2000s", slash, rest);
    slash[slash == head] = '\0';
  }
  rc = sheaf_path_join(out, size, real, tail + (*tail == '/'), err);
  free(real);
  if (rc == 0) tidy_slashes(out);
  return rc;
}

const char *sheaf_path_base(const char *path, char *out, size_t size) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  size_t start = n;
  while (start > 0 && path[start - 1] != '/') start--;
  if (start == n && n > 0) start = n - 1; /* "/" */
  snprintf(out, size, "%.*s", (int)(n - start), path + start);
  return out;
}

/* Splits an absolute path into its directory and its last component. */
static void split(const char *path, char dir[4096], const char **name) {
  snprintf(dir, 4096, "%s", path);
  char *slash = strrchr(dir, '/');
  *name = strrchr(path, '/') + 1;
  slash[slash == dir] = '\0';
}

/* ---- hidden siblings ---- */

/* The path of a new hidden sibling of dir/name that this process owns. */
static int sibling_path(char out[4096], const char *dir, const char *name, sheaf_error *err) {
  static unsigned counter;
  char hidden[512];
  sheaf_owner self;
  sheaf_owner_self(&self);
  const int need =
      snprintf(hidden, sizeof hidden, ".%s.sheaf-%s-%ld-%llx.%x", name, self.host, self.pid,
               self.start, __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED));
  if (need > 255) return fail_too_long(err, name);
  return sheaf_path_join(out, 4096, dir, hidden, err);
}

static void sweep_one(const char *dir, const char *hidden, const sheaf_owner *o, void *user) {
  (void)user;
  char path[4096];
  sheaf_error err;
  if (sheaf_path_join(path, sizeof path, dir, hidden, &err) < 0) return;
  if (!sheaf_owner_is_here(o)) {
    sheaf_log(SHEAF_LOG_WARN,
              "'%s' is under construction, or was left behind, by process %ld on host %s; remove "
              "it if that process is gone",
              path, o->pid, o->host);
  } else if (sheaf_owner_is_gone(o, path)) {
    if (sheaf_tree_remove(path, &err) < 0)
      sheaf_log(SHEAF_LOG_WARN, "cannot remove what a killed process left behind: %s", err.text);
    else
      sheaf_log(SHEAF_LOG_INFO, "removed '%s', left behind by a killed process", path);
  }
}

typedef void visit_sibling(const char *dir, const char *hidden, const sheaf_owner *o, void *user);

/* The owner's part of the name of a hidden sibling; NULL when it is none. */
static const char *owner_in(const char *entry) {
  static const char mark[] = ".sheaf-";
  const char *at = NULL;
  for (const char *p = entry; *entry == '.' && (p = strstr(p + 1, mark));) at = p;
  return at ? at + sizeof mark - 1 : NULL;
}

/* Those of dir/name; of all names with name NULL. */
static void each_sibling(const char *dir, const char *name, visit_sibling *visit, void *user) {
  char prefix[512];
  const int n = snprintf(prefix, sizeof prefix, ".%s.sheaf-", name ? name : "");
  DIR *d = opendir(dir);
  if (!d || n < 0) return;
  for (const struct dirent *entry; (entry = readdir(d));) {
    sheaf_owner o;
    const char *text = entry->d_name + n;
    if (!name)
      text = owner_in(entry->d_name);
    else if (strncmp(entry->d_name, prefix, (size_t)n) != 0)
      text = NULL;
    if (text && sheaf_owner_read(text, &o)) visit(dir, entry->d_name, &o, user);
  }
  closedir(d);
}

/* Removes hidden siblings of dir/name whose process is gone. */
static void sweep(const char *dir, const char *name) {
  each_sibling(dir, name, sweep_one, NULL);
}

void sheaf_stage_sweep(const char *final) {
  char whole[4096], dir[4096];
  const char *name;
  if (sheaf_path_absolute(final, whole, sizeof whole, NULL) < 0) return;
  split(whole, dir, &name);
  sweep(dir, name);
}

void sheaf_stage_sweep_all(const char *dir) {
  each_sibling(dir, NULL, sweep_one, NULL);
}

typedef struct builder {
  char path[4096]; /* of its stage; "" when there is none */
  sheaf_owner who;
} builder;

static void note_builder(const char *dir, const char *hidden, const sheaf_owner *o, void *user) {
  builder *b = user;
  char path[4096];
  if (sheaf_path_join(path, sizeof path, dir, hidden, NULL) < 0) return;
  if (sheaf_owner_is_here(o) && sheaf_owner_is_gone(o, path)) return;
  b->who = *o;
  memcpy(b->path, path, sizeof path);
}

int sheaf_stage_underway(const char *final, sheaf_error *err) {
  char whole[4096], dir[4096];
  const char *name;
  builder b = {.path = ""};
  const int rc = sheaf_path_absolute(final, whole, sizeof whole, err);
  if (rc < 0) return rc;
  split(whole, dir, &name);
  each_sibling(dir, name, note_builder, &b);
  if (!b.path[0]) return 0;
  return sheaf_fail(
      err, SHEAF_ERR_EXISTS,
      "'%s' is under construction by process %ld on host %s (if that is gone, remove '%s')", final,
      b.who.pid, b.who.host, b.path);
}

/* ---- open stages of this process ---- */

typedef struct open_stage {
  struct open_stage *next;
  char path[4096];
  int fd; /* holds the lock */
  pid_t pid;
  int kept; /* not for sheaf_stage_abandon_all */
} open_stage;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
SHEAF_OPEN_AFTER_FORK(lock);
static open_stage *open_stages;

static int remember(const char *path, sheaf_error *err) {
  open_stage *s = calloc(1, sizeof *s);
  if (!s) return sheaf_fail(err, SHEAF_ERR_NOMEM, "out of memory for the output '%s'", path);
  snprintf(s->path, sizeof s->path, "%s", path);
  s->pid = getpid();
  s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (s->fd >= 0)
    (void)flock(s->fd, LOCK_EX | LOCK_NB); /* second line of defence: see sheaf_owner_is_gone */
  pthread_mutex_lock(&lock);
  s->next = open_stages;
  open_stages = s;
  pthread_mutex_unlock(&lock);
  return 0;
}

static void forget(const char *path) {
  pthread_mutex_lock(&lock);
  for (open_stage **at = &open_stages; *at; at = &(*at)->next) {
    open_stage *s = *at;
    if (strcmp(s->path, path) != 0) continue;
    *at = s->next;
    if (s->fd >= 0) close(s->fd);
    free(s);
    break;
  }
  pthread_mutex_unlock(&lock);
}

static void remove_stage(const char *path) {
  sheaf_error err;
  if (sheaf_tree_remove(path, &err) < 0)
    sheaf_log(SHEAF_LOG_WARN, "cannot remove an unfinished output: %s", err.text);
}

int sheaf_stage_begin(sheaf_stage *stage, const char *final, sheaf_error *err) {
  char dir[4096];
  const char *name;
  stage->path[0] = '\0';
  int rc = sheaf_path_absolute(final, stage->final, sizeof stage->final, err);
  if (rc < 0) return rc;
  split(stage->final, dir, &name);
  if (sheaf_path_exists(stage->final))
    return sheaf_fail(err, SHEAF_ERR_EXISTS, "'%s' already exists", final);
  if (!sheaf_path_is_dir(dir))
    return sheaf_fail(err, SHEAF_ERR_IO, "cannot create '%s': there is no directory '%s'", final,
                      dir);
  sweep(dir, name);
  char path[4096];
  rc = sibling_path(path, dir, name, err);
  if (rc < 0) return rc;
  if (mkdir(path, 0777) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot create '%s' in '%s'", final, dir);
  rc = remember(path, err);
  if (rc < 0)
    rmdir(path);
  else
    memcpy(stage->path, path, sizeof path);
  return rc;
}

static int sync_dir(const char *path, sheaf_error *err) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot open '%s'", path);
  int rc;
  do {
    rc = fsync(fd);
  } while (rc < 0 && errno == EINTR);
  const int reason = errno;
  close(fd);
  if (rc < 0 && reason != EINVAL && reason != EROFS)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, reason, "cannot write '%s' to disk", path);
  return 0;
}

/* Renames without replacing. Returns -1 with errno. */
static int rename_new(const char *from, const char *to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return -1;
  /* A file system (NFS, say) that cannot: a name that appears in this instant is replaced only if
   * it is an empty directory, for rename itself refuses all others. */
  if (sheaf_path_exists(to)) {
    errno = EEXIST;
    return -1;
  }
  return rename(from, to);
}

/* The order matters: contents first, then the name, then the directory that holds the name. */
static int publish_as(const char *source, const char *target, sheaf_error *err) {
  char dir[4096];
  const char *name;
  int rc = sheaf_tree_sync(source, err);
  if (rc < 0) return rc;
  split(target, dir, &name);
  if (rename_new(source, target) < 0) {
    const int reason = errno;
    const int exists = reason == EEXIST || reason == ENOTEMPTY;
    return sheaf_fail_errno(err, exists ? SHEAF_ERR_EXISTS : SHEAF_ERR_IO, reason,
                            "cannot publish '%s'", target);
  }
  rc = sync_dir(dir, err);
  if (rc < 0) (void)rename_new(target, source); /* a failed task leaves no output */
  return rc;
}

int sheaf_stage_publish_companion(sheaf_stage *stage, const char *inner, const char *suffix,
                                  sheaf_error *err) {
  char source[4096], target[4096];
  const int n = snprintf(target, sizeof target, "%s%s", stage->final, suffix);
  if (n >= (int)sizeof target)
    return sheaf_fail(err, SHEAF_ERR_ARG, "'%s%s': name too long", stage->final, suffix);
  const int rc = sheaf_path_join(source, sizeof source, stage->path, inner, err);
  return rc < 0 ? rc : publish_as(source, target, err);
}

int sheaf_stage_publish(sheaf_stage *stage, const char *inner, sheaf_error *err) {
  char source[4096];
  int rc = 0;
  if (inner)
    rc = sheaf_path_join(source, sizeof source, stage->path, inner, err);
  else
    memcpy(source, stage->path, sizeof source);
  if (rc >= 0) rc = publish_as(source, stage->final, err);
  if (rc < 0) return rc;
  if (inner) remove_stage(stage->path);
  forget(stage->path);
  stage->path[0] = '\0';
  return 0;
}

void sheaf_stage_abandon(sheaf_stage *stage) {
  if (!stage || !stage->path[0]) return;
  remove_stage(stage->path);
  forget(stage->path);
  stage->path[0] = '\0';
}

void sheaf_stage_keep(const sheaf_stage *stage) {
  pthread_mutex_lock(&lock);
  for (open_stage *s = open_stages; s; s = s->next)
    if (strcmp(s->path, stage->path) == 0) s->kept = 1;
  pthread_mutex_unlock(&lock);
}

void sheaf_stage_abandon_all(void) {
  for (;;) {
    char path[4096] = "";
    pthread_mutex_lock(&lock);
    for (open_stage *s = open_stages; s && !path[0]; s = s->next)
      if (s->pid == getpid() && !s->kept) /* not those of our parent */
        memcpy(path, s->path, sizeof path);
    pthread_mutex_unlock(&lock);
    if (!path[0]) return;
    remove_stage(path);
    forget(path);
  }
}

/* ---- small files ---- */

static int write_all(int fd, const char *data, size_t n) {
  while (n > 0) {
    const ssize_t done = write(fd, data, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    data += done;
    n -= (size_t)done;
  }
  int rc;
  do {
    rc = fsync(fd);
  } while (rc < 0 && errno == EINTR);
  return rc < 0 && errno != EINVAL ? -1 : 0;
}

/* Writes a new file completely; -1 with errno, and then it is not there. */
static int write_new(const char *path, mode_t mode, int exact, const void *data, size_t n) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return -1;
  (void)flock(fd, LOCK_EX | LOCK_NB);
  int rc = exact ? fchmod(fd, mode) : 0;
  if (rc == 0) rc = write_all(fd, data, n);
  int reason = errno;
  if (close(fd) < 0 && rc == 0) {
    rc = -1;
    reason = errno;
  }
  if (rc < 0) unlink(path);
  errno = reason;
  return rc;
}

int sheaf_file_replace(const char *path, const void *data, size_t n, sheaf_error *err) {
  char target[4096], dir[4096], fresh[4096];
  const char *name;
  struct stat st;
  const int exists = stat(path, &st) == 0; /* behind a link the file is replaced, not the link */
  int rc = exists ? sheaf_path_real(path, target, sizeof target, err)
                  : sheaf_path_absolute(path, target, sizeof target, err);
  if (rc < 0) return rc;
  split(target, dir, &name);
  sweep(dir, name);
  rc = sibling_path(fresh, dir, name, err);
  if (rc < 0) return rc;
  if (write_new(fresh, exists ? st.st_mode & 07777 : 0666, exists, data, n) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write '%s'", path);
  if (rename(fresh, target) < 0) {
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write '%s'", path);
    unlink(fresh);
    return rc;
  }
  return sync_dir(dir, err);
}

int sheaf_file_read(const char *path, char **data, size_t *n, sheaf_error *err) {
  *data = NULL;
  *n = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return sheaf_fail_errno(err, errno == ENOENT ? SHEAF_ERR_NOTFOUND : SHEAF_ERR_IO, errno,
                            "cannot open '%s'", path);
  int rc = 0;
  char *text = NULL;
  size_t used = 0, capacity = 0;
  for (;;) {
    if (used + 1 >= capacity) {
      capacity = capacity ? 2 * capacity : 65536;
      char *grown = realloc(text, capacity);
      if (!grown) {
        rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "out of memory for '%s'", path);
        break;
      }
      text = grown;
    }
    const ssize_t got = read(fd, text + used, capacity - used - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read '%s'", path);
    if (got <= 0) break;
    used += (size_t)got;
  }
  close(fd);
  if (rc < 0 || !text) {
    free(text);
    return rc;
  }
  text[used] = '\0';
  *data = text;
  *n = used;
  return 0;
}

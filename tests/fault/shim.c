/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shim.c - a library to preload that makes the file system fail, or the process die, at the k-th
 * change below a directory; with it tests reach every instant of a task, none by luck.
 *
 *   SHEAF_FAULT_UNDER    only files whose path holds this text count
 *   SHEAF_FAULT_COUNTER  a file; changes are counted in it over all processes of a run
 *   SHEAF_FAULT_AT       k, counted from 1; 0 or none only counts
 *   SHEAF_FAULT_DO       ENOSPC, EIO, EROFS …: this change fails, and with SHEAF_FAULT_STICKY all
 *                        later ones that need space, as on a disk that stays full;
 *                        KILL, STOP, INT, TERM: this process gets the signal before the change
 *   SHEAF_FAULT_OPS      only these calls count: a list such as "fsync,rename"
 *   SHEAF_FAULT_RANK     only in this MPI rank
 *   SHEAF_FAULT_NOTE     a file to which every counted change is appended, "k pid call path"
 *   SHEAF_FAULT_LACK     these calls (a list) always fail with EINVAL, and do not count
 *   SHEAF_FAULT_LOCKS    every fcntl lock is refused with this error
 *   SHEAF_FAULT_THREADS  every start of a thread fails with this error */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const struct {
  const char *name;
  int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS},
              {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EFBIG", EFBIG},
              {"ENOLCK", ENOLCK}, {"EAGAIN", EAGAIN}, {"ENOSYS", ENOSYS}},
  deaths[] = {{"KILL", SIGKILL}, {"STOP", SIGSTOP}, {"INT", SIGINT}, {"TERM", SIGTERM}};

static const char *under, *only, *lack;
static uint64_t at, *counter;
static int error, death, sticky, lock_error, thread_error, note = -1;

static int number_of(const char *name, int is_death) {
  for (size_t i = 0; name && !is_death && i < sizeof errors / sizeof *errors; i++)
    if (!strcmp(errors[i].name, name)) return errors[i].number;
  for (size_t i = 0; name && is_death && i < sizeof deaths / sizeof *deaths; i++)
    if (!strcmp(deaths[i].name, name)) return deaths[i].number;
  return 0;
}

static int raw_open(const char *path, int flags) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);
}

__attribute__((constructor)) static void set_up(void) {
  const char *file = getenv("SHEAF_FAULT_COUNTER"), *wanted = getenv("SHEAF_FAULT_RANK");
  const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *what = getenv("SHEAF_FAULT_DO");
  const char *k = getenv("SHEAF_FAULT_AT"), *noted = getenv("SHEAF_FAULT_NOTE");
  lock_error = number_of(getenv("SHEAF_FAULT_LOCKS"), 0);
  thread_error = number_of(getenv("SHEAF_FAULT_THREADS"), 0);
  if (!file || (wanted && (!rank || strcmp(rank, wanted)))) return;
  const int fd = raw_open(file, O_RDWR | O_CREAT);
  if (fd < 0 || syscall(SYS_ftruncate, fd, (off_t)sizeof *counter) < 0) abort();
  counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (counter == MAP_FAILED) abort();
  under = getenv("SHEAF_FAULT_UNDER");
  only = getenv("SHEAF_FAULT_OPS");
  lack = getenv("SHEAF_FAULT_LACK");
  at = k ? strtoull(k, NULL, 10) : 0;
  error = number_of(what, 0);
  death = number_of(what, 1);
  sticky = getenv("SHEAF_FAULT_STICKY") != NULL;
  if (noted) note = raw_open(noted, O_WRONLY | O_CREAT | O_APPEND);
}

static int is_listed(const char *list, const char *call) {
  const size_t n = strlen(call);
  for (const char *p = list; (p = strstr(p, call)); p += n)
    if ((p == list || p[-1] == ',') && (p[n] == ',' || !p[n])) return 1;
  return 0;
}

static void write_note(uint64_t k, const char *call, const char *path) {
  char line[4200];
  const int n = snprintf(line, sizeof line, "%llu %d %s %s\n", (unsigned long long)k, (int)getpid(),
                         call, path);
  if (note >= 0 && n > 0) syscall(SYS_write, note, line, n);
}

/* Returns 1, with errno, when the call is to fail. */
static int strike(const char *call, const char *path, int needs_space) {
  if (!counter || !path || !under || !strstr(path, under)) return 0;
  if (lack && is_listed(lack, call)) {
    errno = EINVAL;
    return 1;
  }
  if (only && !is_listed(only, call)) return 0;
  const uint64_t k = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
  write_note(k, call, path);
  if (at == 0 || k < at) return 0;
  if (death && k == at) syscall(SYS_kill, getpid(), death);
  if (!error || (k > at && !(sticky && needs_space))) return 0;
  errno = error;
  return 1;
}

static int strike_fd(const char *call, int fd, int needs_space) {
  char link[64], path[4096];
  if (!counter) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = '\0';
  return strike(call, path, needs_space);
}

#define NEXT(name)               \
  static __typeof__(&name) next; \
  if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* ---- calls with a file descriptor ---- */

#define BY_FD(name, needs_space, result, failure, params, ...)              \
  result name params;                                                       \
  result name params {                                                      \
    NEXT(name);                                                             \
    return strike_fd(#name, fd, needs_space) ? failure : next(__VA_ARGS__); \
  }

BY_FD(write, 1, ssize_t, -1, (int fd, const void *data, size_t n), fd, data, n)
BY_FD(pwrite, 1, ssize_t, -1, (int fd, const void *data, size_t n, off_t where), fd, data, n, where)
BY_FD(pwrite64, 1, ssize_t, -1, (int fd, const void *data, size_t n, off64_t where), fd, data, n,
      where)
BY_FD(writev, 1, ssize_t, -1, (int fd, const struct iovec *v, int n), fd, v, n)
BY_FD(ftruncate, 1, int, -1, (int fd, off_t size), fd, size)
BY_FD(ftruncate64, 1, int, -1, (int fd, off64_t size), fd, size)
BY_FD(fallocate, 1, int, -1, (int fd, int mode, off_t from, off_t n), fd, mode, from, n)
BY_FD(fallocate64, 1, int, -1, (int fd, int mode, off64_t from, off64_t n), fd, mode, from, n)
BY_FD(posix_fallocate, 1, int, error, (int fd, off_t from, off_t n), fd, from, n)
BY_FD(posix_fallocate64, 1, int, error, (int fd, off64_t from, off64_t n), fd, from, n)
BY_FD(fsync, 0, int, -1, (int fd), fd)
BY_FD(fdatasync, 0, int, -1, (int fd), fd)
BY_FD(fchmod, 0, int, -1, (int fd, mode_t mode), fd, mode)

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
  NEXT(copy_file_range);
  return strike_fd("copy_file_range", out, 1) ? -1 : next(in, from, out, to, n, flags);
}

/* Only the calls by which files come to share blocks change anything. */
int ioctl(int fd, unsigned long request, ...) {
  NEXT(ioctl);
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  if ((request == FICLONERANGE || request == FICLONE) && strike_fd("clone", fd, 1)) return -1;
  return next(fd, request, argument);
}

/* ---- calls with a path ---- */

#define BY_PATH(name, result, params, ...)                          \
  result name params;                                               \
  result name params {                                              \
    NEXT(name);                                                     \
    return strike(#name, path, 1) ? (result)-1 : next(__VA_ARGS__); \
  }

BY_PATH(mkdir, int, (const char *path, mode_t mode), path, mode)
BY_PATH(rename, int, (const char *from, const char *path), from, path)
BY_PATH(renameat2, int, (int d, const char *from, int e, const char *path, unsigned flags), d, from,
        e, path, flags)
BY_PATH(symlink, int, (const char *target, const char *path), target, path)
BY_PATH(link, int, (const char *from, const char *path), from, path)
BY_PATH(creat, int, (const char *path, mode_t mode), path, mode)
BY_PATH(creat64, int, (const char *path, mode_t mode), path, mode)

/* Opening counts where it creates a file. */
#define OPENING(name, params, ...)                                                \
  int name params;                                                                \
  int name params {                                                               \
    NEXT(name);                                                                   \
    va_list ap;                                                                   \
    va_start(ap, flags);                                                          \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;   \
    va_end(ap);                                                                   \
    return (flags & O_CREAT) && strike("open", path, 1) ? -1 : next(__VA_ARGS__); \
  }

OPENING(open, (const char *path, int flags, ...), path, flags, mode)
OPENING(open64, (const char *path, int flags, ...), path, flags, mode)
OPENING(openat, (int d, const char *path, int flags, ...), d, path, flags, mode)
OPENING(openat64, (int d, const char *path, int flags, ...), d, path, flags, mode)

/* ---- locks ---- */

static int is_lock(int command) {
  return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
         command == F_OFD_SETLKW || command == F_GETLK;
}

#define LOCKING(name)                     \
  int name(int fd, int command, ...);     \
  int name(int fd, int command, ...) {    \
    NEXT(name);                           \
    va_list ap;                           \
    va_start(ap, command);                \
    void *argument = va_arg(ap, void *);  \
    va_end(ap);                           \
    if (lock_error && is_lock(command)) { \
      errno = lock_error;                 \
      return -1;                          \
    }                                     \
    return next(fd, command, argument);   \
  }

LOCKING(fcntl)
LOCKING(fcntl64)

/* ---- threads ---- */

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *user) {
  NEXT(pthread_create);
  return thread_error ? thread_error : next(thread, how, run, user);
}

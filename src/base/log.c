/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/terminal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below but the atomics */
SHEAF_OPEN_AFTER_FORK(lock);
static int file = -1;
static int file_failed;
static char file_path[4096];
static char place[256] = "casa";
static sheaf_log_sink *sink;
static void *sink_user;

static atomic_ulong nmessage;
static atomic_int threshold = -1; /* -1: not set yet, ask the environment */
static _Thread_local const char *thread_task;
/* Of the thread that named one last; for worker threads, which do not. */
static _Atomic(const char *) process_task;

static const char *const priority_names[] = {"DEBUG1", "INFO", "WARN", "SEVERE"};

static int threshold_from_environment(void) {
  static const char *const words[] = {"DEBUG", "INFO", "WARN", "SEVERE"};
  const char *text = getenv("SHEAF_LOG");
  for (int i = 0; text && i < 4; i++)
    if (!strcasecmp(text, words[i])) return i;
  return SHEAF_LOG_INFO;
}

/* Texts of sheaf_log_hide; guarded by `lock`. */
static char **hidden;
static size_t nhidden;

static int wanted(sheaf_priority priority) {
  int lowest = threshold;
  if (lowest < 0) threshold = lowest = threshold_from_environment();
  return (int)priority >= lowest;
}

int sheaf_log_hide(const char *text, sheaf_error *err) {
  if (!*text) return 0; /* as with CASA: hides nothing */
  char *copy = strdup(text);
  pthread_mutex_lock(&lock);
  char **grown = copy ? realloc(hidden, (nhidden + 1) * sizeof *hidden) : NULL;
  if (grown) {
    hidden = grown;
    hidden[nhidden++] = copy;
  }
  pthread_mutex_unlock(&lock);
  if (grown) return 0;
  free(copy);
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "out of memory for a filter of the log");
}

void sheaf_log_hide_none(void) {
  pthread_mutex_lock(&lock);
  while (nhidden > 0) free(hidden[--nhidden]);
  free(hidden);
  hidden = NULL;
  pthread_mutex_unlock(&lock);
}

int sheaf_log_passes(sheaf_priority priority, const char *message) {
  if (!wanted(priority)) return 0;
  int found = 0;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < nhidden && !found; i++) found = strstr(message, hidden[i]) != NULL;
  pthread_mutex_unlock(&lock);
  return !found;
}

int sheaf_log_file(const char *path, sheaf_error *err) {
  int fd = -1;
  if (path) {
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot open the log file '%s'", path);
  }
  pthread_mutex_lock(&lock);
  if (file >= 0) close(file);
  file = fd;
  file_failed = 0;
  snprintf(file_path, sizeof file_path, "%s", path ? path : "");
  pthread_mutex_unlock(&lock);
  return 0;
}

const char *sheaf_log_path(void) {
  return file_path;
}

void sheaf_log_threshold(sheaf_priority lowest) {
  threshold = (int)lowest;
}

void sheaf_log_terminal(int on) {
  sheaf_terminal_enable(on);
}

void sheaf_log_place(const char *text) {
  pthread_mutex_lock(&lock);
  snprintf(place, sizeof place, "%s", text);
  pthread_mutex_unlock(&lock);
}

void sheaf_log_redirect(sheaf_log_sink *to, void *user) {
  pthread_mutex_lock(&lock);
  sink = to;
  sink_user = user;
  pthread_mutex_unlock(&lock);
}

const char *sheaf_log_task(const char *task) {
  const char *before = thread_task;
  thread_task = task;
  process_task = task;
  return before;
}

/* Writes all of it, or says why not. */
static int put(int fd, const char *text, size_t n) {
  while (n > 0) {
    const ssize_t done = write(fd, text, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    text += done;
    n -= (size_t)done;
  }
  return 0;
}

/* One write per message, so that lines of several processes that share a file do not mix. */
static void put_lines(const char *text, size_t n) {
  pthread_mutex_lock(&lock);
  int failure = 0;
  if (file >= 0 && !file_failed) failure = put(file, text, n);
  if (failure) file_failed = 1;
  pthread_mutex_unlock(&lock);
  if (failure) {
    char warning[sizeof file_path + 200];
    const int used =
        snprintf(warning, sizeof warning, "sheaf: cannot write the log file '%s': %s\n",
                 sheaf_log_path(), strerror(failure));
    sheaf_terminal_write(warning, (size_t)used);
  }
  sheaf_terminal_write(text, n);
}

/* The message as lines of the log; NULL when memory is short. */
static char *format_lines(sheaf_priority priority, const char *origin, const char *message,
                          size_t *n) {
  char stamp[32];
  struct tm utc;
  const time_t now = time(NULL);
  strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &utc));
  char *text = NULL;
  FILE *out = open_memstream(&text, n);
  if (!out) return NULL;
  const char *sign = "";
  for (const char *line = message;;) {
    const size_t length = strcspn(line, "\n");
    fprintf(out, "%s\t%s\t%s%s\t%.*s\n", stamp, priority_names[priority], origin, sign, (int)length,
            line);
    sign = "+";
    line += length;
    if (!*line || !*++line) break; /* one newline at the end is no line of its own */
  }
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

void sheaf_log_relay(sheaf_priority priority, const char *origin, const char *message) {
  if (!wanted(priority)) return;
  nmessage++;
  pthread_mutex_lock(&lock);
  sheaf_log_sink *const to = sink;
  void *const user = sink_user;
  pthread_mutex_unlock(&lock);
  if (to) {
    to(user, priority, origin, message);
    return;
  }
  size_t n = 0;
  char *text = format_lines(priority, origin, message, &n);
  if (text) put_lines(text, n);
  free(text);
}

void sheaf_log_line(sheaf_priority priority, const char *origin, const char *message) {
  if (sheaf_log_passes(priority, message)) sheaf_log_relay(priority, origin, message);
}

unsigned long sheaf_log_count(void) {
  return nmessage;
}

void sheaf_log_from(sheaf_priority priority, const char *from, const char *text) {
  if (!wanted(priority)) return;
  char origin[1024];
  pthread_mutex_lock(&lock);
  snprintf(origin, sizeof origin, "%s::%s", from, place);
  pthread_mutex_unlock(&lock);
  sheaf_log_line(priority, origin, text);
}

void sheaf_log_text(sheaf_priority priority, const char *text) {
  const char *task = thread_task ? thread_task : process_task;
  char from[512];
  snprintf(from, sizeof from, "%s::", task ? task : "");
  sheaf_log_from(priority, from, text);
}

void sheaf_log(sheaf_priority priority, const char *fmt, ...) {
  if (!wanted(priority)) return;
  char *text = NULL;
  va_list ap;
  va_start(ap, fmt);
  if (vasprintf(&text, fmt, ap) < 0) text = NULL;
  va_end(ap);
  sheaf_log_text(priority, text ? text : fmt);
  free(text);
}

void sheaf_log_fork(int before) {
  if (before)
    pthread_mutex_lock(&lock);
  else
    pthread_mutex_unlock(&lock);
}

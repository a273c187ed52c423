/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fork.h"
#include "base/log.h"
#include "base/terminal.h"

/* Everything is driven by the callers of sheaf_progress_add: no helper thread, so nothing to stop
 * before a fork and no signal that lands in the wrong thread. */
enum { FIRST_BAR_MS = 1000, BAR_EVERY_MS = 200, FIRST_LINE_MS = 5000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below but the atomics */
SHEAF_OPEN_AFTER_FORK(lock);
static int depth;
static char what[64], unit[16];
static int64_t start_ms;
static int64_t next_line_ms; /* when the next log line is due, since the start */

static atomic_llong done, total;
static atomic_llong next_ms; /* when to look next, in clock time */

static void (*_Atomic sink)(void *, int64_t);
static void *_Atomic sink_user;

static int64_t clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sheaf_progress_redirect(void (*to)(void *user, int64_t n), void *user) {
  sink = NULL; /* nobody sees the new user with the old sink */
  sink_user = user;
  sink = to;
}

/* "1.2 GB" or "1200 rows". */
static void print_amount(char *out, size_t size, double n) {
  static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
  if (strcmp(unit, "B") != 0) {
    snprintf(out, size, "%.0f %s", n, unit);
    return;
  }
  size_t i = 0;
  for (; n >= 999.5 && i < 5; i++) n /= 1000;
  snprintf(out, size, n < 9.95 && i > 0 ? "%.1f %sB" : "%.0f %sB", n, prefix[i]);
}

static void print_duration(char *out, size_t size, double s) {
  if (s < 0 || s > 359999) {
    snprintf(out, size, "--:--");
    return;
  }
  const int t = (int)(s + 0.5);
  if (t >= 3600)
    snprintf(out, size, "%d:%02d:%02d", t / 3600, t / 60 % 60, t % 60);
  else
    snprintf(out, size, "%02d:%02d", t / 60, t % 60);
}

/* "42 %, 1.2 GB of 3.0 GB, 300 MB/s, ETA 00:06"; *fraction is below 0 when the total is unknown. */
static void describe(char *out, size_t size, double elapsed_s, double *fraction) {
  const double n = (double)done, all = (double)total;
  char have[48], want[48], rate[48], eta[16];
  print_amount(have, sizeof have, n);
  print_amount(want, sizeof want, all);
  print_amount(rate, sizeof rate, elapsed_s > 0 ? n / elapsed_s : 0);
  if (all <= 0) {
    *fraction = -1;
    snprintf(out, size, "%s, %s/s", have, rate);
    return;
  }
  *fraction = n < all ? n / all : 1;
  print_duration(eta, sizeof eta, n > 0 ? elapsed_s * (1 - *fraction) / *fraction : -1);
  snprintf(out, size, "%3.0f %%, %s of %s, %s/s, ETA %s", 100 * *fraction, have, want, rate, eta);
}

static void draw_bar(const char *text, double fraction) {
  char line[400], bar[64] = "";
  const int room = sheaf_terminal_width() - (int)(strlen(what) + strlen(text)) - 6;
  const int width = room > 40 ? 40 : room;
  if (fraction >= 0 && width >= 5) {
    const int full = (int)(fraction * width);
    for (int i = 0; i < width; i++) bar[i] = i < full ? '#' : '.';
  }
  snprintf(line, sizeof line, bar[0] ? "%s [%s] %s" : "%s%s %s", what, bar[0] ? bar : ":", text);
  /* A line that wraps could not be erased. */
  const size_t columns = (size_t)sheaf_terminal_width();
  if (columns > 0 && strlen(line) >= columns && columns - 1 < sizeof line) line[columns - 1] = '\0';
  sheaf_terminal_bar(line);
}

/* Called with the lock, when the time has come. */
static void show(int64_t now_ms) {
  const int64_t elapsed_ms = now_ms - start_ms;
  const int bar = sheaf_terminal_has_bar();
  char text[256];
  double fraction;
  describe(text, sizeof text, (double)elapsed_ms * 1e-3, &fraction);
  if (bar) {
    draw_bar(text, fraction);
    next_ms = now_ms + BAR_EVERY_MS;
    return;
  }
  if (elapsed_ms >= next_line_ms) {
    sheaf_log(SHEAF_LOG_INFO, "%s: %s", what, text + strspn(text, " "));
    while (next_line_ms <= elapsed_ms) next_line_ms *= 2;
  }
  next_ms = start_ms + next_line_ms;
}

void sheaf_progress_begin(const char *name, int64_t n, const char *counted) {
  if (sink) return;
  pthread_mutex_lock(&lock);
  if (depth++ == 0) {
    snprintf(what, sizeof what, "%s", name);
    snprintf(unit, sizeof unit, "%s", counted);
    start_ms = clock_ms();
    next_line_ms = FIRST_LINE_MS;
    done = 0;
    total = n;
    next_ms = start_ms + FIRST_BAR_MS;
  } else {
    total += n;
  }
  pthread_mutex_unlock(&lock);
}

void sheaf_progress_add(int64_t n) {
  void (*const to)(void *, int64_t) = sink;
  if (to) {
    to(sink_user, n);
    return;
  }
  done += n;
  const int64_t now_ms = clock_ms();
  if (now_ms < next_ms || pthread_mutex_trylock(&lock) != 0) return; /* somebody else draws */
  if (depth > 0 && now_ms >= next_ms) show(now_ms);
  pthread_mutex_unlock(&lock);
}

void sheaf_progress_end(void) {
  pthread_mutex_lock(&lock);
  if (depth > 0 && --depth == 0) sheaf_terminal_bar(NULL);
  pthread_mutex_unlock(&lock);
}

/* A progress line may log, a log line may clear the bar: the locks nest in this order. */
static void before_fork(void) {
  pthread_mutex_lock(&lock);
  sheaf_log_fork(1);
  sheaf_terminal_fork(1);
}

static void after_fork(void) {
  sheaf_terminal_fork(0);
  sheaf_log_fork(0);
  pthread_mutex_unlock(&lock);
}

static void __attribute__((constructor)) prepare_for_forks(void) {
  (void)pthread_atfork(before_fork, after_fork, after_fork);
}

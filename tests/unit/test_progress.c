/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/progress.h"

#include <pthread.h>
#include <pty.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>

#include "base/log.h"
#include "support.h"

static int setup(void **state) {
  sheaf_log_terminal(1);
  return make_scratch(state);
}

/* The library finds this before libc's: its monotonic clock stands still unless a test moves it. */
static struct timespec monotonic = {.tv_sec = 1000};

int clock_gettime(clockid_t clock, struct timespec *t) {
  if (clock != CLOCK_MONOTONIC) return (int)syscall(SYS_clock_gettime, clock, t);
  *t = monotonic;
  return 0;
}

static void wait_ms(int ms) {
  const long ns = monotonic.tv_nsec + ms % 1000 * 1000000L;
  monotonic.tv_sec += ms / 1000 + ns / 1000000000;
  monotonic.tv_nsec = ns % 1000000000;
}

/* A terminal as standard error; what it shows comes back from pty_end. */
static int pty_begin(int columns) {
  int master, slave;
  struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
  assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
  stderr_before = dup(STDERR_FILENO);
  dup2(slave, STDERR_FILENO);
  close(slave);
  return master;
}

static const char *pty_end(int master) {
  static char text[65536];
  size_t n = 0;
  fcntl(master, F_SETFL, O_NONBLOCK);
  for (ssize_t got; (got = read(master, text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
  text[n] = '\0';
  release_stderr();
  close(master);
  return text;
}

static void short_work_shows_nothing(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("quick", 100, "rows");
  sheaf_progress_add(50);
  sheaf_progress_add(50);
  sheaf_progress_end();
  assert_string_equal(pty_end(master), "");
}

static void terminal_shows_a_bar(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("partition", 200000000, "B");
  wait_ms(1050);
  sheaf_progress_add(50000000);
  sheaf_progress_add(1); /* too soon to draw again */
  sheaf_log(SHEAF_LOG_WARN, "in between");
  wait_ms(210);
  sheaf_progress_add(50000000);
  sheaf_progress_end();
  const char *text = pty_end(master);
  assert_contains(text,
                  "partition [##########..............................]  25 %, 50 MB of 200 MB, ");
  assert_contains(text, "MB/s, ETA 00:0");
  assert_contains(text, "50 %, 100 MB of 200 MB");
  /* The log line stands alone: the bar is erased before and drawn again behind. */
  const char *line = strstr(text, "in between");
  assert_non_null(line);
  assert_contains(text, "\r\033[K2"); /* year */
  assert_int_equal(strncmp(line, "in between\r\npartition [", 23), 0);
  /* At the end the bar is gone. */
  assert_string_equal(text + strlen(text) - 4, "\r\033[K");
}

static void narrow_terminal_is_not_overrun(void **state) {
  (void)state;
  const int master = pty_begin(30);
  sheaf_progress_begin("partition", 1000, "rows");
  wait_ms(1050);
  sheaf_progress_add(10);
  sheaf_progress_end();
  const char *text = pty_end(master);
  assert_contains(text, "partition:");
  assert_true(strcspn(text, "\r") < 30);
}

static void unknown_total_has_no_percentage(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("reading", 0, "rows");
  wait_ms(1050);
  sheaf_progress_add(10);
  sheaf_progress_end();
  const char *text = pty_end(master);
  assert_contains(text, "reading: 10 rows, ");
  assert_null(strchr(text, '%'));
}

static void no_bar_when_the_terminal_is_off(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_log_terminal(0);
  sheaf_progress_begin("partition", 10, "rows");
  wait_ms(1050);
  sheaf_progress_add(5);
  sheaf_progress_end();
  assert_string_equal(pty_end(master), "");
}

static void log_lines_when_there_is_no_terminal(void **state) {
  (void)state;
  catch_stderr("err");
  sheaf_progress_begin("partition", 1000, "rows");
  wait_ms(1050);
  sheaf_progress_add(100);
  const int early = strlen(read_text("err")) == 0;
  wait_ms(4000);
  sheaf_progress_add(400);
  sheaf_progress_add(1);
  sheaf_progress_end();
  release_stderr();
  assert_true(early);
  const char *line = strstr(read_text("err"), "partition: 50 %, 500 rows of 1000 rows, ");
  assert_non_null(line);
  assert_null(strstr(line + 1, "partition: "));
}

static void nested_begin_joins_the_outer(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("outer", 100, "rows");
  sheaf_progress_begin("inner", 100, "rows");
  sheaf_progress_add(50);
  sheaf_progress_end();
  wait_ms(1050);
  sheaf_progress_add(50);
  sheaf_progress_end();
  sheaf_progress_end(); /* one too many does no harm */
  const char *text = pty_end(master);
  assert_contains(text, "outer [");
  assert_contains(text, "50 %, 100 rows of 200 rows");
  assert_null(strstr(text, "inner"));
}

static void more_than_the_total_stays_at_the_end(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("work", 10, "rows");
  wait_ms(1050);
  sheaf_progress_add(25);
  sheaf_progress_end();
  assert_contains(pty_end(master), "100 %, 25 rows of 10 rows");
}

static void sum_up(void *user, int64_t n) {
  *(int64_t *)user += n;
}

static void redirected_additions_go_to_the_sink(void **state) {
  (void)state;
  int64_t sum = 0;
  sheaf_progress_redirect(sum_up, &sum);
  sheaf_progress_begin("work", 10, "rows");
  sheaf_progress_add(3);
  sheaf_progress_add(4);
  sheaf_progress_end();
  sheaf_progress_redirect(NULL, NULL);
  sheaf_progress_add(100); /* nothing begun: ignored */
  assert_int_equal(sum, 7);
}

static void *add_many(void *user) {
  (void)user;
  for (int i = 0; i < 100000; i++) sheaf_progress_add(1);
  return NULL;
}

static void additions_of_threads_are_not_lost(void **state) {
  (void)state;
  const int master = pty_begin(100);
  sheaf_progress_begin("work", 400001, "rows");
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, add_many, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  wait_ms(1250);
  sheaf_progress_add(1);
  sheaf_progress_end();
  assert_contains(pty_end(master), "100 %, 400001 rows of 400001 rows");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, remove_scratch)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(short_work_shows_nothing),
                                     TEST(terminal_shows_a_bar),
                                     TEST(narrow_terminal_is_not_overrun),
                                     TEST(unknown_total_has_no_percentage),
                                     TEST(no_bar_when_the_terminal_is_off),
                                     TEST(log_lines_when_there_is_no_terminal),
                                     TEST(nested_begin_joins_the_outer),
                                     TEST(more_than_the_total_stays_at_the_end),
                                     TEST(redirected_additions_go_to_the_sink),
                                     TEST(additions_of_threads_are_not_lost)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

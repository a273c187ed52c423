/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <pthread.h>
#include <regex.h>
#include <sys/wait.h>
#include <time.h>

#include "support.h"

static int setup(void **state) {
  sheaf_log_threshold(SHEAF_LOG_INFO);
  sheaf_log_terminal(0);
  sheaf_log_task(NULL);
  sheaf_log_place("casa");
  return make_scratch(state);
}

static int teardown(void **state) {
  sheaf_log_file(NULL, NULL);
  sheaf_log_redirect(NULL, NULL);
  return remove_scratch(state);
}

static int matches(const char *text, const char *pattern) {
  regex_t regex;
  assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
  const int rc = regexec(&regex, text, 0, NULL, 0);
  regfree(&regex);
  return rc == 0;
}

#define STAMP "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\t"

static void lines_have_casa_format(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  assert_string_equal(sheaf_log_path(), "a.log");
  sheaf_log_task("partition");
  sheaf_log(SHEAF_LOG_INFO, "%d rows", 5);
  assert_true(matches(read_text("a.log"), STAMP "INFO\tpartition::::casa\t5 rows\n$"));
  assert_int_equal(sheaf_log_file("b.log", NULL), 0);
  sheaf_log_place("@host:MPIServer-2");
  sheaf_log(SHEAF_LOG_SEVERE, "bad");
  assert_true(matches(read_text("b.log"), STAMP "SEVERE\tpartition::::@host:MPIServer-2\tbad\n$"));
  assert_int_equal(sheaf_log_file(NULL, NULL), 0);
  assert_string_equal(sheaf_log_path(), "");
}

static void times_are_utc(void **state) {
  (void)state;
  setenv("TZ", "XYZ+7", 1);
  tzset();
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  const time_t before = time(NULL);
  sheaf_log(SHEAF_LOG_INFO, "x");
  struct tm tm = {0};
  assert_non_null(strptime(read_text("a.log"), "%Y-%m-%d %H:%M:%S", &tm));
  const time_t stamp = timegm(&tm), after = time(NULL);
  unsetenv("TZ");
  tzset();
  assert_true(stamp >= before && stamp <= after + 1);
}

static void later_lines_carry_a_plus(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log_text(SHEAF_LOG_WARN, "one\n\nthree 100%s\n");
  assert_true(matches(read_text("a.log"), STAMP "WARN\t::::casa\tone\n"
                                                "[^\t]*\tWARN\t::::casa\\+\t\n"
                                                "[^\t]*\tWARN\t::::casa\\+\tthree 100%s\n$"));
}

static void file_is_appended_to(void **state) {
  (void)state;
  write_text("a.log", "before\n");
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log_line(SHEAF_LOG_INFO, "their::origin", "after");
  assert_true(matches(read_text("a.log"), "^before\n[^\t]*\tINFO\ttheir::origin\tafter\n$"));
}

static void threshold_drops(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log(SHEAF_LOG_DEBUG, "no");
  sheaf_log_threshold(SHEAF_LOG_SEVERE);
  sheaf_log(SHEAF_LOG_WARN, "no");
  assert_string_equal(read_text("a.log"), "");
  sheaf_log_threshold(SHEAF_LOG_DEBUG);
  sheaf_log(SHEAF_LOG_DEBUG, "yes");
  assert_true(matches(read_text("a.log"), STAMP "DEBUG1\t::::casa\tyes\n$"));
}

static void tasks_nest(void **state) {
  (void)state;
  assert_null(sheaf_log_task("outer"));
  assert_string_equal(sheaf_log_task("inner"), "outer");
  assert_string_equal(sheaf_log_task(NULL), "inner");
}

static void *log_from_thread(void *user) {
  for (int i = 0; i < 200; i++)
    sheaf_log(SHEAF_LOG_INFO, "thread %s line %d\nsecond", (char *)user, i);
  return NULL;
}

static void threads_do_not_mix_lines(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log_task("work");
  pthread_t threads[4];
  char names[4][2] = {"0", "1", "2", "3"};
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, log_from_thread, names[i]);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  FILE *in = fopen("a.log", "r");
  char line[200];
  int n = 0;
  for (; fgets(line, sizeof line, in); n++)
    assert_true(matches(line, n % 2 ? STAMP "INFO\twork::::casa\\+\tsecond\n$"
                                    : STAMP "INFO\twork::::casa\tthread [0-3] line [0-9]+\n$"));
  fclose(in);
  assert_int_equal(n, 4 * 200 * 2);
}

static void terminal_gets_the_same_lines(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log_terminal(1);
  catch_stderr("err");
  sheaf_log(SHEAF_LOG_INFO, "both");
  sheaf_log_terminal(0);
  sheaf_log(SHEAF_LOG_INFO, "file only");
  release_stderr();
  assert_true(matches(read_text("err"), STAMP "INFO\t::::casa\tboth\n$"));
  assert_contains(read_text("a.log"), "both");
  assert_contains(read_text("a.log"), "file only");
}

static char caught[300];

static void catch_line(void *user, sheaf_priority priority, const char *origin,
                       const char *message) {
  snprintf(caught, sizeof caught, "%s %d %s %s", (char *)user, priority, origin, message);
}

static void redirected_lines_go_to_the_sink_only(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  sheaf_log_redirect(catch_line, "user");
  sheaf_log_place("@h:MPIServer-1");
  sheaf_log_task("split");
  sheaf_log(SHEAF_LOG_WARN, "hello");
  assert_string_equal(caught, "user 2 split::::@h:MPIServer-1 hello");
  assert_string_equal(read_text("a.log"), "");
  sheaf_log_redirect(NULL, NULL);
  sheaf_log(SHEAF_LOG_WARN, "back");
  assert_contains(read_text("a.log"), "back");
}

static void unusable_files_are_refused(void **state) {
  (void)state;
  sheaf_error err;
  assert_int_equal(sheaf_log_file("absent/a.log", &err), SHEAF_ERR_IO);
  assert_string_equal(err.text,
                      "cannot open the log file 'absent/a.log': No such file or directory");
  assert_int_equal(sheaf_log_file(".", &err), SHEAF_ERR_IO);
}

static void full_disk_is_told_once(void **state) {
  (void)state;
  assert_int_equal(sheaf_log_file("/dev/full", NULL), 0);
  sheaf_log_terminal(1);
  catch_stderr("err");
  sheaf_log(SHEAF_LOG_INFO, "one");
  sheaf_log(SHEAF_LOG_INFO, "two");
  release_stderr();
  sheaf_log_terminal(0);
  const char *text = read_text("err");
  const char *told = strstr(text, "cannot write the log file '/dev/full': No space left on device");
  assert_non_null(told);
  assert_null(strstr(told + 1, "cannot write"));
  assert_contains(text, "\tone\n");
  assert_contains(text, "\ttwo\n");
}

static void environment_sets_the_threshold(void **state) {
  (void)state;
  /* Read once per process, before anything was set: so in a process of its own, from a fresh start.
   */
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("SHEAF_LOG", "severe", 1);
    sheaf_log_threshold((sheaf_priority)-1); /* as at the start */
    sheaf_log_file("env.log", NULL);
    sheaf_log(SHEAF_LOG_WARN, "dropped");
    sheaf_log(SHEAF_LOG_SEVERE, "kept");
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_null(strstr(read_text("env.log"), "dropped"));
  assert_contains(read_text("env.log"), "kept");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(lines_have_casa_format),
                                     TEST(times_are_utc),
                                     TEST(later_lines_carry_a_plus),
                                     TEST(file_is_appended_to),
                                     TEST(threshold_drops),
                                     TEST(tasks_nest),
                                     TEST(threads_do_not_mix_lines),
                                     TEST(terminal_gets_the_same_lines),
                                     TEST(redirected_lines_go_to_the_sink_only),
                                     TEST(unusable_files_are_refused),
                                     TEST(full_disk_is_told_once),
                                     TEST(environment_sets_the_threshold)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

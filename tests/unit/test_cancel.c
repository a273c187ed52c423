/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/cancel.h"

#include <signal.h>
#include <sys/wait.h>

#include "support.h"

static void flag_by_hand(void **state) {
  (void)state;
  sheaf_error err;
  assert_int_equal(sheaf_cancelled(), 0);
  assert_int_equal(sheaf_cancel_check(&err), 0);
  sheaf_cancel_set(1);
  assert_int_equal(sheaf_cancelled(), 1);
  assert_int_equal(sheaf_cancel_check(&err), SHEAF_ERR_INTERRUPTED);
  assert_string_equal(err.text, "interrupted");
  assert_int_equal(sheaf_cancel_check(NULL), SHEAF_ERR_INTERRUPTED);
  sheaf_cancel_set(0);
  assert_int_equal(sheaf_cancel_check(&err), 0);
}

/* Runs `work` in a child with handlers installed; returns what waitpid tells. */
static int in_child(void (*work)(void)) {
  const pid_t pid = fork();
  if (pid == 0) {
    static const int signals[] = {SIGINT, SIGTERM,
                                  SIGHUP}; /* not cmocka's handlers, nor our parent's */
    for (size_t i = 0; i < 3; i++) signal(signals[i], SIG_DFL);
    work();
    _exit(1);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return status;
}

static void one_signal(void) {
  sheaf_error err;
  sheaf_cancel_signals();
  raise(SIGTERM);
  if (sheaf_cancelled() != SIGTERM || sheaf_cancel_check(&err) != SHEAF_ERR_INTERRUPTED) _exit(2);
  _exit(strcmp(err.text, "interrupted by signal SIGTERM") ? 3 : 0);
}

static void two_signals(void) {
  sheaf_cancel_signals();
  raise(SIGINT);
  raise(SIGTERM);
}

static void ignored_signal(void) {
  signal(SIGHUP, SIG_IGN);
  sheaf_cancel_signals();
  raise(SIGHUP);
  _exit(sheaf_cancelled());
}

static void signals_raise_the_flag(void **state) {
  (void)state;
  assert_int_equal(in_child(one_signal), 0);
}

static void a_second_signal_ends_the_process(void **state) {
  (void)state;
  const int status = in_child(two_signals);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void what_was_ignored_stays_ignored(void **state) {
  (void)state;
  assert_int_equal(in_child(ignored_signal), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(flag_by_hand),
                                     cmocka_unit_test(signals_raise_the_flag),
                                     cmocka_unit_test(a_second_signal_ends_the_process),
                                     cmocka_unit_test(what_was_ignored_stays_ignored)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

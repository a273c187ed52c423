/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/cancel.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t raised;

static void on_signal(int sig) {
  if (raised) {
    signal(sig, SIG_DFL);
    raise(sig); /* delivered when the handler returns */
    return;
  }
  raised = sig;
}

void sheaf_cancel_signals(void) {
  signal(SIGXFSZ, SIG_IGN); /* a write beyond the file size limit is an error, as any other */
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction old, now = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&now.sa_mask);
    /* What was ignored when we were started (nohup) stays ignored. */
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signals[i], &now, NULL);
  }
}

void sheaf_cancel_set(int on) {
  raised = on;
}

int sheaf_cancelled(void) {
  return raised;
}

int sheaf_cancel_check(sheaf_error *err) {
  const int sig = raised;
  if (!sig) return 0;
  const char *name = sig > 1 ? sigabbrev_np(sig) : NULL;
  if (name) return sheaf_fail(err, SHEAF_ERR_INTERRUPTED, "interrupted by signal SIG%s", name);
  return sheaf_fail(err, SHEAF_ERR_INTERRUPTED, "interrupted");
}

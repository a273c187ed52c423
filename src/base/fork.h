/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fork.h - locks in a process that forks while it has threads (table/isolate.h).
 *
 * A lock that another thread holds at that moment would stay locked in the child for ever. The
 * child gets it open: what it guards is simple, and the child sets it anew before it uses it. */
#ifndef SHEAF_BASE_FORK_H
#define SHEAF_BASE_FORK_H

#include <pthread.h>

/* At file scope, after the definition of a static pthread_mutex_t. */
#define SHEAF_OPEN_AFTER_FORK(mutex)                                   \
  static void mutex##_open_in_child(void) {                            \
    mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;                \
  }                                                                    \
  __attribute__((constructor)) static void mutex##_watch_forks(void) { \
    pthread_atfork(NULL, NULL, mutex##_open_in_child);                 \
  }                                                                    \
  struct mutex##_is_open_after_fork /* for the semicolon */

#endif

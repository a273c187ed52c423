/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cancel.h - asking a long task to stop.
 *
 * SIGINT and SIGTERM (when sheaf_cancel_signals was called) raise one process-wide flag; loops over chunks look at it
 * and end with SHEAF_ERR_INTERRUPTED, so that stages are abandoned in order. Async-signal-safe. */
#ifndef SHEAF_BASE_CANCEL_H
#define SHEAF_BASE_CANCEL_H

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Installs handlers for SIGINT, SIGTERM and SIGHUP; a second signal ends the process at once. */
void sheaf_cancel_signals(void);
/* Raises or clears the flag by hand (a server whose client is gone). */
void sheaf_cancel_set(int on);
/* 0, or the signal (or 1) that raised the flag. */
int sheaf_cancelled(void);
/* 0, or SHEAF_ERR_INTERRUPTED with a text. */
int sheaf_cancel_check(sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

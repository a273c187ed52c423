/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * progress.h - how far a long task is.
 *
 * A task begins one progress with a total (bytes, rows, whatever it names), workers add to it from
 * any thread, and after a second one line with bar, percentage, rate and ETA appears on standard
 * error when that is a terminal; otherwise a log line now and then (5 s, 10 s, 20 s, … after the
 * start). A server process sends its additions to the client instead (sheaf_progress_redirect). One
 * progress at a time: a nested begin shows no bar of its own, its total and its additions are added
 * to the outer one. */
#ifndef SHEAF_BASE_PROGRESS_H
#define SHEAF_BASE_PROGRESS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A total of 0 is an unknown one: no bar and ETA then, only amount and rate. `what` names the work
 * ("partition"), `unit` what is counted: "B" prints as MB, GB; else as it is. */
void sheaf_progress_begin(const char *what, int64_t total, const char *unit);
void sheaf_progress_add(int64_t n);
void sheaf_progress_end(void);

/* In a server: every addition goes to `sink`. NULL undoes it. */
void sheaf_progress_redirect(void (*sink)(void *user, int64_t n), void *user);

#ifdef __cplusplus
}
#endif
#endif

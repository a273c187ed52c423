/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log.h - messages for the user in CASA's line format:
 *
 *     2026-11-21 06:13:24<TAB>INFO<TAB>partition::::casa<TAB>message
 *
 * The third field is the origin: task, function, place. The place is "casa" alone,
 * "@host:MPIClient" or
 * "@host:MPIServer-3" under MPI. A message of several lines becomes several lines; those after the
 * first carry '+' behind the origin. One process-wide log; all functions are thread-safe.
 * Nothing is written to standard output. */
#ifndef SHEAF_BASE_LOG_H
#define SHEAF_BASE_LOG_H

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sheaf_priority {
  SHEAF_LOG_DEBUG,
  SHEAF_LOG_INFO,
  SHEAF_LOG_WARN,
  SHEAF_LOG_SEVERE
} sheaf_priority;

/* Where lines go besides the terminal; set by a server process so that its lines reach the client.
 */
typedef void sheaf_log_sink(void *user, sheaf_priority priority, const char *origin,
                            const char *message);

/* Opens (appends to) a log file; NULL closes it. Fails with SHEAF_ERR_IO. Before the first call
 * there is only standard error. */
int sheaf_log_file(const char *path, sheaf_error *err);
/* Path of the open log file; "" when there is none. */
const char *sheaf_log_path(void);

/* Messages below this priority are dropped; the default is INFO (SHEAF_LOG=DEBUG|INFO|WARN|SEVERE).
 */
void sheaf_log_threshold(sheaf_priority lowest);
/* Drops later messages of this process that hold `text` (byte for byte, not in the origin), of any
 * priority, as CASA's filterMsg does; an empty text hides nothing. Texts add up until
 * sheaf_log_hide_none. Fails with SHEAF_ERR_NOMEM. */
int sheaf_log_hide(const char *text, sheaf_error *err);
void sheaf_log_hide_none(void);
/* Whether a message would be written: by its priority, and as nothing of it is hidden. */
int sheaf_log_passes(sheaf_priority priority, const char *message);
/* Whether lines also go to standard error (default: yes). Progress bars use it, too. */
void sheaf_log_terminal(int on);
/* The place in the origin, e.g. "@host:MPIServer-2"; default "casa". */
void sheaf_log_place(const char *place);
/* Sends all later messages to `sink` instead of file and terminal; NULL undoes it. */
void sheaf_log_redirect(sheaf_log_sink *sink, void *user);
/* The task whose messages follow in this thread; returns the one before. Text must outlive its use.
 */
const char *sheaf_log_task(const char *task);

void sheaf_log(sheaf_priority priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A message whose whole origin is given. */
void sheaf_log_line(sheaf_priority priority, const char *origin, const char *message);
/* The same for a message that another process has logged, which has hidden what it wants hidden. */
void sheaf_log_relay(sheaf_priority priority, const char *origin, const char *message);
/* A message whose origin is `from` and the place. */
void sheaf_log_from(sheaf_priority priority, const char *from, const char *text);
/* Writes text without a format limit. */
void sheaf_log_text(sheaf_priority priority, const char *text);
/* How many messages this process has logged. */
unsigned long sheaf_log_count(void);

#ifdef __cplusplus
}
#endif
#endif

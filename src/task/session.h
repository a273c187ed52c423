/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session.h - what a program or a Python process adds to a task call: its log file.
 *
 * A session's log file is opened by its first task call whose parameters are right, so that help,
 * usage errors and mere imports leave no file. It is, in this order: what sheaf_session_log was
 * told, SHEAF_LOGFILE ("none" for no file), or sheaf-YYYYMMDD-HHMMSS.log (time of
 * sheaf_session_begin) in the working directory of that moment. For the main thread. */
#ifndef SHEAF_TASK_SESSION_H
#define SHEAF_TASK_SESSION_H

#include <jansson.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Remembers time and working directory for the log's default name, and lets the process have as many
 * open files as the system permits; later calls do nothing. */
void sheaf_session_begin(void);
/* Sets the path of the log file, "none" for no file; NULL restores the default. A file that is open
 * is closed; the new one is opened by the next task call. SHEAF_ERR_ARG when the path is too long,
 * SHEAF_ERR_IO when the file cannot be opened; the one before is kept then. */
int sheaf_session_log(const char *path, sheaf_error *err);
/* Opens the session's log file if it is not open yet. Fails as sheaf_session_call does. */
int sheaf_session_open(sheaf_error *err);
/* As sheaf_task_call, within the session. An unwritable directory of the default log file is a
 * warning, a log file asked for that cannot be opened SHEAF_ERR_IO. */
int sheaf_session_call(const char *task, const json_t *given, json_t **result, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

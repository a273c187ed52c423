/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * isolate.h - runs work that makes casacore write in a process of its own; for C.
 *
 * casacore ends the whole process when a destructor meets a full disk. Such work runs in a forked
 * child instead, so that the caller gets an error with casacore's reason. Log lines, the error and
 * a value come back through a pipe; the child dies with its parent and when the caller is
 * cancelled. The child has one thread; nothing it changes in memory is seen by the caller. */
#ifndef SHEAF_TABLE_ISOLATE_H
#define SHEAF_TABLE_ISOLATE_H

#include <jansson.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs in the child. *value (new reference, may stay NULL) goes to the caller. */
typedef int sheaf_isolated_work(void *user, json_t **value, sheaf_error *err);

typedef struct sheaf_isolation sheaf_isolation;

/* Forks and starts the work; `where` names it in messages. Any thread may fork; it must stay until
 * the child has ended. */
int sheaf_isolation_begin(sheaf_isolation **isolation, const char *where, sheaf_isolated_work *work,
                          void *user, sheaf_error *err);
/* In the child: lets the caller's sheaf_isolation_wait return. */
void sheaf_isolation_tell(void);
/* Waits until the child tells, or ends: an error of its own or of an early end is returned then,
 * and the handle remains to be abandoned. */
int sheaf_isolation_wait(sheaf_isolation *isolation, sheaf_error *err);
/* Waits for its result, passes its log lines on, and frees the handle. SHEAF_ERR_IO when the child
 * ended early, SHEAF_ERR_LOST when signal 9 ended it, SHEAF_ERR_INTERRUPTED when the user did. `value` may be NULL. */
int sheaf_isolation_end(sheaf_isolation *isolation, json_t **value, sheaf_error *err);
/* Kills the child and frees the handle; NULL is fine. */
void sheaf_isolation_abandon(sheaf_isolation *isolation);

/* begin and end in one. */
int sheaf_isolated(const char *where, sheaf_isolated_work *work, void *user, json_t **value,
                   sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

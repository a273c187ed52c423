/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * history.h - what was done to an MS, written into its HISTORY sub-table as CASA's tasks do. */
#ifndef SHEAF_MS_HISTORY_H
#define SHEAF_MS_HISTORY_H

#include <jansson.h>

#include "base/error.h"

/* Appends "taskname=TASK", "version: VERSION" and one line per member of `params` (an object, in
 * its order): the name padded to 11, " = ", the value as Python prints it, texts in double quotes.
 * Fails as sheaf_history_rows_add. */
int sheaf_history_append(const char *ms_path, const char *task, const char *version,
                         const json_t *params, sheaf_error *err);
/* The same for an MS that is in use: a death leaves HISTORY as before or with all lines
 * (ms/rewrite.h). An MS without HISTORY stays without, with a warning. */
int sheaf_history_record(const char *ms_path, const char *task, const char *version,
                         const json_t *params, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * history.h - rows of an MS's HISTORY sub-table. ms/history.h makes the messages. */
#ifndef SHEAF_TABLE_HISTORY_H
#define SHEAF_TABLE_HISTORY_H

#include <stddef.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends one row per message, all with the present time and the given origin (the task's name). An
 * MS without HISTORY gets one. In a Multi-MS this is the HISTORY that its first sub-MS holds.
 * SHEAF_ERR_DATA when the table cannot be opened or written. */
int sheaf_history_rows_add(const char *ms_path, const char *origin, const char *const *messages,
                           size_t n, sheaf_error *err);

/* As above, into the HISTORY table at `history_path` itself. */
int sheaf_history_rows_put(const char *history_path, const char *origin,
                           const char *const *messages, size_t n, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

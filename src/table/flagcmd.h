/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagcmd.h - rows of an MS's FLAG_CMD sub-table. flag/commands.h knows what they mean. */
#ifndef SHEAF_TABLE_FLAGCMD_H
#define SHEAF_TABLE_FLAGCMD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All rows of the table at `path` as a list (new reference) of objects: "time", "interval", "type",
 * "reason", "level", "severity", "applied", "command". */
int sheaf_flagcmd_read(const char *path, json_t **rows, sheaf_error *err);

/* The following change the table where it is; ms/rewrite.h makes that safe. */
/* Appends one row for each object of the list `rows`, which has "command", "reason" and "applied".
 */
int sheaf_flagcmd_append(const char *path, const json_t *rows, sheaf_error *err);
/* Sets APPLIED of rows (a list of ints). */
int sheaf_flagcmd_mark(const char *path, const json_t *rows, int applied, sheaf_error *err);
/* Removes rows (a list of ints, each once). */
int sheaf_flagcmd_remove(const char *path, const json_t *rows, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

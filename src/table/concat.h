/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * concat.h - concatenated tables and the sub-tables of a table, through casacore.
 *
 * The thin side of ms/multims: reads and writes the member list of a concatenated table without
 * opening the members, and describes or edits the keywords that lead to sub-tables. Paths may be
 * relative to the working directory; those handed out are absolute. Results in JSON are owned by
 * the caller. Thread-safe for different tables. */
#ifndef SHEAF_TABLE_CONCAT_H
#define SHEAF_TABLE_CONCAT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The members of a concatenated table as table.dat lists them. Returns 1 and the list of paths in
 * *names and the number of rows in *nrow (either may be NULL); 0 and an empty list for any other
 * kind of table. SHEAF_ERR_NOTFOUND when there is no table, SHEAF_ERR_DATA when its table.dat
 * cannot be read. */
int sheaf_concat_members(const char *path, json_t **names, int64_t *nrow, sheaf_error *err);

/* Writes table.dat of a concatenated table in the existing directory `path`, atomically. `inside`
 * are the members' paths relative to `path`; nothing absolute is stored, so the directory can be
 * moved. */
int sheaf_concat_write(const char *path, const char *const *inside, size_t n, int64_t nrow,
                       sheaf_error *err);

/* Describes a table without changing it: {"nrow": n, "columns": {"DATA": "Complex array", …},
 * "subtables": {"ANTENNA": "/absolute/path", …}}; SORTED_TABLE is among the sub-tables if it is
 * there. Sub-tables are not opened, and need not exist. */
int sheaf_concat_describe(const char *path, json_t **description, sheaf_error *err);

/* Reads the first and the last cell of every column: SHEAF_ERR_DATA when a file is missing or too
 * short. */
int sheaf_concat_probe(const char *path, sheaf_error *err);

/* Removes a keyword of a table. Returns 1, or 0 when there is none (the table is then not opened
 * for update). */
int sheaf_concat_keyword_drop(const char *path, const char *name, sheaf_error *err);

/* Makes keyword `name` lead to the sub-table path/name, which must exist. Returns 1, or 0 when it
 * did already. */
int sheaf_concat_keyword_link(const char *path, const char *name, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

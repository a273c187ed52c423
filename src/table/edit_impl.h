/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * edit_impl.h - what edits and touches share with each other and with ms/inplace.c. */
#ifndef SHEAF_TABLE_EDIT_IMPL_H
#define SHEAF_TABLE_EDIT_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/edit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One table whose change counters are to be raised. */
typedef struct sheaf_touch {
  const char *path;
  int restructured;           /* table.dat has changed, too */
  uint32_t ncolumn, nmanager; /* that it has now; used when restructured */
  int veil, here;             /* private to touch.c */
} sheaf_touch;

/* sheaf_table_touch of n tables in one child process. */
int sheaf_tables_touch(const sheaf_touch *list, size_t n, sheaf_error *err);

/* casacore refuses to lock a table whose table.lock tells another number of columns than its
 * table.dat. So before a table.dat is replaced, the sync record in table.lock is made empty (which
 * means "unknown"; the row count is then table.dat's), and sheaf_tables_touch brings it back. Only
 * tables that are `restructured`. */
int sheaf_tables_veil(const sheaf_touch *list, size_t n, sheaf_error *err);

/* The parts of sheaf_edit_commit, for commits of many tables: sync; describe; sheaf_tables_veil;
 * publish; sheaf_tables_touch; tidy. `touch->path` lives as long as the edit. */
void sheaf_edit_describe(const sheaf_edit *edit, sheaf_touch *touch);
int sheaf_edit_publish(sheaf_edit *edit, sheaf_error *err);
void sheaf_edit_tidy(sheaf_edit *edit);

/* The other way to publish: makes the folder `to` (which must not exist, on the same file system)
 * hold the table as it will be after the commit, in hard links; folders inside are linked file by
 * file, links are made anew. `edit` NULL: the table at `path` as it is. SHEAF_ERR_IO. */
int sheaf_edit_link(sheaf_edit *edit, const char *path, const char *to, sheaf_error *err);
/* After the caller has put that folder in the table's place: nothing is left to commit. */
void sheaf_edit_adopt(sheaf_edit *edit);
/* Forgets what is prepared, and leaves it to sheaf_edit_resume. */
void sheaf_edit_leave(sheaf_edit *edit);
/* Commits what a dead edit had prepared and synced, if anything, and brings table.lock up to date.
 */
int sheaf_edit_resume(const char *table_path, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

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
} sheaf_touch;

/* sheaf_table_touch of n tables in one child process. */
int sheaf_tables_touch(const sheaf_touch *list, size_t n, sheaf_error *err);

/* sheaf_edit_commit without the touch, which is left to the caller. `touch->path` lives as long as
 * the edit. */
int sheaf_edit_publish(sheaf_edit *edit, sheaf_touch *touch, sheaf_error *err);

/* The other way to publish, for many tables at once: makes the folder `to` (which must not exist,
 * on the same file system) hold the table as it will be after the commit, in hard links; folders
 * inside are linked file by file, links are made anew. `edit` NULL: the table at `path` as it is.
 * SHEAF_ERR_IO. */
int sheaf_edit_link(sheaf_edit *edit, const char *path, const char *to, sheaf_error *err);
/* After the caller has put that folder in the table's place: nothing is left to commit. */
void sheaf_edit_adopt(sheaf_edit *edit, sheaf_touch *touch);
/* Forgets what is prepared, and leaves it to sheaf_edit_resume. */
void sheaf_edit_leave(sheaf_edit *edit);
/* Commits what a dead edit had prepared and synced, if anything. */
int sheaf_edit_resume(const char *table_path, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

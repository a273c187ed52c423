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

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * putter.h - writes cells through casacore, for columns that tiles.h does not know.
 *
 * Cells are collected in a nameless file beside the table; nothing of the table changes until
 * sheaf_putter_finish, which lets a child process open the table for update, take its write lock
 * (unless a keeper has it, keeper.h) and put them all. So readers in this process see old values
 * until then, a death before it leaves the table as it was, and a full disk, which makes casacore
 * end its process, is an error. The putting itself is casacore's: the child finishes it when its
 * parent dies, but a death of the child or of the machine in these moments may leave old and new
 * values, or a storage manager that casacore cannot read. On file systems without locks the table
 * is not locked.
 *
 * A handle belongs to one thread and holds one descriptor. One putter per table at a time. */
#ifndef SHEAF_TABLE_PUTTER_H
#define SHEAF_TABLE_PUTTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_putter sheaf_putter;

int sheaf_putter_open(sheaf_putter **putter, const char *table_path, sheaf_error *err);

/* Takes cells of `rows`, all of `shape` (fastest axis first; ndim 0: a scalar column), one after
 * the other in `data`, in the column's own type. */
int sheaf_putter_put(sheaf_putter *putter, const char *column, const int64_t *rows, int64_t n,
                     int ndim, const int64_t *shape, const void *data, size_t size,
                     sheaf_error *err);

/* Puts all cells in the order in which they came, flushes, closes; frees the handle in any case.
 * SHEAF_ERR_IO, with nothing put, when another process keeps the table's lock for a minute. */
int sheaf_putter_finish(sheaf_putter *putter, sheaf_error *err);
/* Forgets the cells; frees the handle. NULL is fine. */
void sheaf_putter_abandon(sheaf_putter *putter);

#ifdef __cplusplus
}
#endif
#endif

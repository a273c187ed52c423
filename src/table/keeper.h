/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keeper.h - keeps casacore's locks of tables while a task changes them.
 *
 * A child process has a read lock of every table from the beginning, so that no other program that
 * uses casacore begins to write meanwhile (what it held back, it would write over the task's cells
 * later), and none that has begun goes unnoticed; readers are not hindered. Before cells are
 * written through casacore it takes the write lock as well, of all tables that need it before the
 * first is written; the processes that put cells (putter.h) then rely on it. Others are asked for
 * their locks as casacore does, for ten seconds. The locks are free when the keeper ends, or its
 * parent dies. Where the file system has no locks nothing is kept. A handle belongs to one thread,
 * which must stay until the end. */
#ifndef SHEAF_TABLE_KEEPER_H
#define SHEAF_TABLE_KEEPER_H

#include <stddef.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_keeper sheaf_keeper;

/* SHEAF_ERR_IO when another process keeps the write lock of a table, with its name (on this host).
 */
int sheaf_keeper_begin(sheaf_keeper **keeper, const char *const *tables, size_t n,
                       sheaf_error *err);
/* Takes the write lock of table i. SHEAF_ERR_IO when another process keeps a lock of it; the keeper
 * has ended then. */
int sheaf_keeper_write(sheaf_keeper *keeper, size_t i, sheaf_error *err);
/* Gives all locks back. NULL is fine. */
void sheaf_keeper_end(sheaf_keeper *keeper);

#ifdef __cplusplus
}
#endif
#endif

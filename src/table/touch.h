/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * touch.h - makes readers that have a table open in casacore notice native writes.
 *
 * casacore keeps tiles in memory and drops them when it acquires a lock and finds that the change
 * counter of their manager in table.lock has moved. This raises the counters of all managers by
 * one, with one small write in place and an fsync. It does not open the table in casacore, which
 * would rewrite headers (and lose the table when killed). Readers see the new values at their next
 * lock or resync, or when they open the table again.
 *
 * table.lock is opened in a child process, because closing it would drop the locks of a casacore
 * table that this process has open. A write lock is taken if that is possible at once; readers that
 * hold their lock, and file systems without locks, do not hinder it. */
#ifndef SHEAF_TABLE_TOUCH_H
#define SHEAF_TABLE_TOUCH_H

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A table without table.lock, or whose table.lock is empty, needs no touch: 0. SHEAF_ERR_DATA when
 * table.lock is damaged, SHEAF_ERR_IO. Reference and concatenated tables: touch the tables they
 * refer to. */
int sheaf_table_touch(const char *table_path, sheaf_error *err);

/* The same in this process, which must have the table locked or open without locks. *fd is -1
 * before the first touch of a table; it is table.lock then, which is left open until the process
 * ends. Counters go up by so much that no value casacore writes meanwhile is taken for the one
 * before. Nothing is synced. Callers take turns. */
int sheaf_table_touch_here(const char *table_path, int *fd, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * checksum.h - a 64-bit fingerprint of a column's values, independent of how they are stored.
 *
 * Each row gives a hash (XXH3) of its cell: the values, little-endian as in memory (bools as
 * bytes), and for arrays the shape; mixed with the row's number. The fingerprint is the sum of
 * these, modulo 2^64. So every row counts with its place, but rows may be hashed in any order and
 * by several threads, whose sums are added. Not the tiling nor the storage manager enters. */
#ifndef SHEAF_MS_CHECKSUM_H
#define SHEAF_MS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/colreader.h"

/* Adds cells of `bytes` each, for rows row0, row0 + 1, …; `shape` NULL for scalars. */
void sheaf_checksum_cells(uint64_t *sum, int64_t row0, int64_t n, const sheaf_shape *shape,
                          const void *cells, size_t bytes);
/* Adds n rows whose cells are undefined. */
void sheaf_checksum_undefined(uint64_t *sum, int64_t row0, int64_t n);
/* 16 hex digits and a zero. */
void sheaf_checksum_hex(uint64_t sum, char hex[17]);

/* Fingerprint of a whole column of a table, scalar or array. Texts count as their bytes with a
 * zero. */
int sheaf_checksum_column(const sheaf_table *table, const char *column, char hex[17],
                          sheaf_error *err);

#endif

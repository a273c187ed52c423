/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rowids.h - which row is which: fingerprints of rows by time, antennas, feeds and ids.
 *
 * A saved flag version has flags in row order and nothing else. A file of fingerprints beside them
 * makes it possible to tell later whether a table has the same rows, and where, also when they have
 * come into another order, as in the Multi-MS made from an MS. Rows with equal fingerprints are
 * told apart by their order, which making a Multi-MS keeps. */
#ifndef SHEAF_MS_ROWIDS_H
#define SHEAF_MS_ROWIDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Writes the fingerprints of all rows of the tables (in order) to the new file `path`. */
int sheaf_rowids_write(const char *path, const char *const *tables, size_t n, sheaf_error *err);

enum {
  SHEAF_ROWIDS_UNKNOWN, /* there is no such file, or not one of this machine's kind */
  SHEAF_ROWIDS_SAME,    /* row i here is row i there */
  SHEAF_ROWIDS_MOVED    /* the same rows in another order */
};

/* Compares the file of fingerprints `path` with the rows of the tables; *order is one of the above.
 * For MOVED, `map` becomes a file of int64_t pairs (row of the tables, row of the file), ascending
 * by the first. `scratch`: a directory for scratch files. SHEAF_ERR_ARG when the rows are not the
 * same. */
int sheaf_rowids_match(const char *path, const char *const *tables, size_t n, const char *scratch,
                       const char *map, int *order, sheaf_error *err);

#endif

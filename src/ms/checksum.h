/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * checksum.h - a 64-bit fingerprint of a column's values (XXH3), independent of how they are
 * stored.
 *
 * What is hashed is the values in row order, little-endian as in memory (bools as bytes), and for
 * arrays the shape of the cells wherever it changes; not the tiling. Order matters, block sizes do
 * not. */
#ifndef SHEAF_MS_CHECKSUM_H
#define SHEAF_MS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/colreader.h"

typedef struct sheaf_checksum {
  void *state;
  sheaf_shape last;
} sheaf_checksum;

/* NOMEM at most. */
int sheaf_checksum_begin(sheaf_checksum *sum, sheaf_error *err);
void sheaf_checksum_add(sheaf_checksum *sum, const void *data, size_t bytes);
/* Cells of one shape follow (nothing happens when it is the last one's). */
void sheaf_checksum_shape(sheaf_checksum *sum, const sheaf_shape *shape);
/* 16 hex digits and a zero; frees the state. */
void sheaf_checksum_end(sheaf_checksum *sum, char hex[17]);

/* Fingerprint of a whole column of a table, scalar or array. Texts count as their bytes with a
 * zero. */
int sheaf_checksum_column(const sheaf_table *table, const char *column, char hex[17],
                          sheaf_error *err);

#endif

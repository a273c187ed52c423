/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * colreader.h - array cells of any rows of a column, by the fastest way that its storage allows.
 *
 * Tiled columns are read from their tile files (table/tiles.h), also those of the table that a
 * reference table refers to; all others through casacore, with equal results. A reader borrows the
 * table and belongs to one thread. */
#ifndef SHEAF_MS_COLREADER_H
#define SHEAF_MS_COLREADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/table.h"
#include "table/tiles.h"

typedef struct sheaf_shape {
  int ndim;                         /* 0: the cell is undefined */
  int64_t axis[SHEAF_TABLE_MAXDIM]; /* fastest first: (corr, chan) */
} sheaf_shape;

typedef struct sheaf_colreader {
  const sheaf_table *table;
  sheaf_tiles *tiles;  /* NULL: through casacore */
  const int64_t *root; /* rows of the tiles' table, where `table` refers to them; else NULL */
  int64_t *list;       /* scratch: row numbers of a call, translated */
  int64_t room;
  char name[64];
  int type;
  size_t size; /* bytes of an element */
  int fixed;   /* all cells have one shape */
  /* rows [from, to) are known to have this shape */
  int64_t from, to;
  sheaf_shape shape;
} sheaf_colreader;

int sheaf_colreader_open(sheaf_colreader *reader, const sheaf_table *table, const char *column,
                         sheaf_error *err);
/* Another one on the same column, for another thread where it reads from tiles. */
int sheaf_colreader_dup(sheaf_colreader *reader, const sheaf_colreader *other, sheaf_error *err);
void sheaf_colreader_close(sheaf_colreader *reader);

/* Elements of a cell of that shape. */
int64_t sheaf_shape_count(const sheaf_shape *shape);
int sheaf_shape_equal(const sheaf_shape *a, const sheaf_shape *b);

/* Shape of one row's cell. */
int sheaf_colreader_shape(sheaf_colreader *reader, int64_t row, sheaf_shape *shape,
                          sheaf_error *err);
/* Cells of `rows`, all of `shape`, one after the other: [n][…][axis0]. */
int sheaf_colreader_read(sheaf_colreader *reader, const int64_t *rows, int64_t n,
                         const sheaf_shape *shape, void *out, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * chunks.h - streams rows of an MS through memory, and writes changed cells back; what a unit does.
 *
 * A chunk is a block of rows of one data description whose cells have one shape per column. A
 * thread reads the next chunk while the caller works on the present one. Bulk columns are read and
 * written in their tile files (table/tiles.h), all others through casacore, with equal results: a
 * written column that tiles.h does not know goes through a child process that holds the table's
 * write lock, so only one unit per member may write such columns (sheaf_inplace_units sees to it).
 * A debug line of the log says which way a column takes. Buffers are `[row][chan][corr]`.
 *
 * Memory: two chunks within a quarter of sheaf_memory_budget() and 64 MiB each, however many rows
 * the table has. Descriptors: one per tiled column and at most 8 in all; columns beyond that take
 * turns.
 *
 * A handle belongs to one thread. casacore is called from that thread alone, so the caller may use
 * it between calls. */
#ifndef SHEAF_MS_CHUNKS_H
#define SHEAF_MS_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/select.h"

enum { SHEAF_CHUNK_READ = 1, SHEAF_CHUNK_WRITE = 2 };
enum { SHEAF_CHUNK_COLUMNS = 24, SHEAF_CHUNK_MAXDIM = 4 };

typedef struct sheaf_chunk_column {
  const char
      *name;    /* of the main table; scalar or array, not text. Pending ones (table/edit.h) too */
  unsigned how; /* READ, WRITE or both. WRITE alone: the buffer's contents are undefined, and
                   rows that are put must be filled in whole */
  int optional; /* 1: a table without the column is no error; its cells are undefined */
} sheaf_chunk_column;

/* One column of a chunk. */
typedef struct sheaf_cells {
  int type;                          /* SHEAF_COMPLEX, … (table/table.h); bools are bytes 0/1 */
  size_t size;                       /* bytes of an element */
  int ndim;                          /* axes of a cell; 0 for a scalar */
  int64_t shape[SHEAF_CHUNK_MAXDIM]; /* of a cell, fastest first: (corr, chan) */
  int64_t ncell;                     /* elements of a cell; 0: undefined or absent */
  void *data;                        /* [nrow][ncell]; NULL when ncell is 0 */
} sheaf_cells;

typedef struct sheaf_chunk {
  int64_t nrow;
  const int64_t *rows;                     /* [nrow] row numbers in the table, ascending */
  int32_t ddid;                            /* DATA_DESC_ID of all of them */
  sheaf_cells column[SHEAF_CHUNK_COLUMNS]; /* in the order asked for */
} sheaf_chunk;

typedef struct sheaf_chunks_options {
  const char *path; /* a plain MS or sub-MS */
  int64_t row0, nrow;
  const sheaf_chunk_column *columns;
  size_t ncolumn;
  sheaf_select *select; /* only these rows; NULL: all. Borrowed; used in the caller's thread */
  int64_t max_rows;     /* of a chunk; 0: as memory allows */
  const uint8_t *rows;  /* only those rows row0+i for which bit i%8 of byte i/8 is 1; NULL: all.
                           Borrowed until the end */
  int others;           /* 1: only those for which it is 0 */
} sheaf_chunks_options;

typedef struct sheaf_chunks sheaf_chunks;

/* SHEAF_ERR_NOTFOUND without the table or a column that is not optional; SHEAF_ERR_NOMEM when not
 * even one row fits the budget. */
int sheaf_chunks_open(sheaf_chunks **chunks, const sheaf_chunks_options *options, sheaf_error *err);
/* The next chunk: 1 and *chunk, valid until the next call; 0 at the end. Every selected row comes
 * once; chunks come in a fixed order: windows of rows ascending, data descriptions ascending within
 * a window. Window sizes depend on memory: results must not depend on them. */
int sheaf_chunks_next(sheaf_chunks *chunks, sheaf_chunk **chunk, sheaf_error *err);
/* Writes column `column` of the present chunk back: rows with changed[i] != 0; NULL: all of them.
 * The buffer is not changed. Rows whose cells are undefined cannot be put: SHEAF_ERR_DATA. */
int sheaf_chunks_put(sheaf_chunks *chunks, size_t column, const uint8_t *changed, sheaf_error *err);
/* Ends well: everything that was put is on disk (fsync) when it returns 0. Frees the handle in any
 * case. */
int sheaf_chunks_finish(sheaf_chunks *chunks, sheaf_error *err);
/* Ends after a failure: nothing is waited for; what was put may be written or not. NULL is fine. */
void sheaf_chunks_abandon(sheaf_chunks *chunks);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table.h - casacore tables for C.
 *
 * A handle owns one open table. Tables are opened without locking: inputs are only read, and
 * outputs are built where nobody else looks (base/file.h); nothing here waits for another process,
 * nor fails on file systems without locks. One handle belongs to one thread; casacore keeps
 * process-wide caches, so use tables from one thread at a time. Every function turns casacore's
 * exceptions into SHEAF_ERR_DATA (or a better code) with casacore's text. Arrays are
 * `[row][chan][corr]`. */
#ifndef SHEAF_TABLE_TABLE_H
#define SHEAF_TABLE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_table sheaf_table;

/* Element types; values are casacore's. */
enum {
  SHEAF_BOOL = 0, /* uint8_t 0/1 in memory */
  SHEAF_UCHAR = 2,
  SHEAF_SHORT = 3,
  SHEAF_INT = 5,
  SHEAF_UINT = 6,
  SHEAF_FLOAT = 7,
  SHEAF_DOUBLE = 8,
  SHEAF_COMPLEX = 9,
  SHEAF_DCOMPLEX = 10,
  SHEAF_STRING = 11,
  SHEAF_INT64 = 29
};

/* Bytes of one element in memory; 0 for text and unknown types. */
size_t sheaf_type_size(int type);

enum { SHEAF_TABLE_MAXDIM = 4 };

typedef struct sheaf_column {
  char name[64];
  int type;         /* element type; other values are types that this interface does not move */
  int array;        /* 0 scalar, 1 array */
  int ndim;         /* of arrays: fixed number of axes, or -1 when it may vary */
  int fixed;        /* of arrays: every cell has the same shape, and is defined */
  char manager[64]; /* type of the data manager, e.g. TiledShapeStMan */
} sheaf_column;

/* Opens a table, read-only or for update. SHEAF_ERR_NOTFOUND when `path` does not exist or is no
 * table. */
int sheaf_table_open(sheaf_table **table, const char *path, int update, sheaf_error *err);
void sheaf_table_close(sheaf_table *table);
/* In a forked child (isolate.h): opens tables that the parent had open anew, for reading. What the
 * child inherits must not be read: managers with threads of their own (Dysco) have none here, and
 * may have been forked while such a thread held a lock. */
int sheaf_tables_renew(sheaf_table *const *tables, size_t n, sheaf_error *err);
/* Writes everything that casacore holds back; call it before close to learn about a full disk. */
int sheaf_table_flush(sheaf_table *table, sheaf_error *err);

int64_t sheaf_table_nrow(const sheaf_table *table);
const char *sheaf_table_path(const sheaf_table *table);
/* 1 when the rows live in this very directory, 0 for reference and concatenated tables. */
int sheaf_table_is_plain(const sheaf_table *table);
/* Of a table that refers to rows of one with data: which rows and columns (sheaf_reftable_resolve);
 * owned by the handle, made at the first call. NULL for others. */
const struct sheaf_reftable *sheaf_table_reference(const sheaf_table *table);
/* Columns in description order; *columns is allocated. */
int sheaf_table_columns(const sheaf_table *table, sheaf_column **columns, size_t *n,
                        sheaf_error *err);
/* 1 and *column filled, or 0 when there is no such column. */
int sheaf_table_column(const sheaf_table *table, const char *name, sheaf_column *column);

/* Scalar columns: rows [row0, row0+n) or a row list into/from a buffer of the column's type. A
 * buffer of int32_t (int64_t, double) is what the _int and _double forms take, whatever the
 * column's integer or real type. */
int sheaf_table_get_range(const sheaf_table *table, const char *column, int64_t row0, int64_t n,
                          void *out, sheaf_error *err);
int sheaf_table_get_rows(const sheaf_table *table, const char *column, const int64_t *rows,
                         int64_t n, void *out, sheaf_error *err);
int sheaf_table_put_range(sheaf_table *table, const char *column, int64_t row0, int64_t n,
                          const void *in, sheaf_error *err);
/* Like put_range, for rows of a table that is being made (sheaf_table_create_main's `fill`) and that
 * nothing was put into yet, in ascending order: an incremental storage manager gets only the values
 * that differ from the row before, as it repeats the last one in rows of a new table only. `before` is the
 * value of row0 - 1, NULL when there is none or it is not known. */
int sheaf_table_put_new(sheaf_table *table, const char *column, int64_t row0, int64_t n,
                        const void *in, const void *before, sheaf_error *err);
int sheaf_table_get_ints(const sheaf_table *table, const char *column, int64_t row0, int64_t n,
                         int32_t *out, sheaf_error *err);
int sheaf_table_put_ints(sheaf_table *table, const char *column, int64_t row0, int64_t n,
                         const int32_t *in, sheaf_error *err);
/* One text cell; *text is allocated. */
int sheaf_table_get_text(const sheaf_table *table, const char *column, int64_t row, char **text,
                         sheaf_error *err);

/* Shape of an array cell, fastest axis first; returns ndim, 0 when the cell is undefined. */
int sheaf_table_cell_shape(const sheaf_table *table, const char *column, int64_t row,
                           int64_t shape[SHEAF_TABLE_MAXDIM], sheaf_error *err);
/* Array cells of `rows`, each of `ncell` elements, one after the other. SHEAF_ERR_DATA when one has
 * another size. */
int sheaf_table_get_cells(const sheaf_table *table, const char *column, const int64_t *rows,
                          int64_t n, int64_t ncell, void *out, sheaf_error *err);
/* One array cell as double, float and integer types converted; *out allocated (NULL when
 * undefined), *n elements. */
int sheaf_table_get_doubles(const sheaf_table *table, const char *column, int64_t row, double **out,
                            size_t *n, sheaf_error *err);
/* Puts an array cell of the given shape (fastest axis first), converting to the column's type. */
int sheaf_table_put_doubles(sheaf_table *table, const char *column, int64_t row, const double *in,
                            int ndim, const int64_t *shape, sheaf_error *err);
/* Turns an array column of fixed shape into one whose cells may vary; other columns are left alone.
 */
int sheaf_table_vary_column(sheaf_table *table, const char *column, sheaf_error *err);
/* Makes every row of a direct or fixed-shape array column of `to` equal to the rows of `from`, in
 * order. */
int sheaf_table_copy_cells(const sheaf_table *from, const char *from_column, const int64_t *rows,
                           int64_t n, sheaf_table *to, const char *to_column, int64_t to_row0,
                           sheaf_error *err);

/* A new table at `to` with the given rows of the table at `from` (NULL: all), in the given order:
 * columns, keywords, storage managers as in `from`. Sub-tables of `from` are not followed. */
int sheaf_table_copy_rows(const char *from, const char *to, const int64_t *rows, int64_t n,
                          sheaf_error *err);

/* Sub-tables: keywords that hold a table. */
typedef struct sheaf_subtable {
  char name[64];   /* keyword */
  char path[4096]; /* where it points, absolute */
  int exists;      /* 0: dangling */
} sheaf_subtable;
int sheaf_table_subtables(const char *path, sheaf_subtable **subtables, size_t *n,
                          sheaf_error *err);
/* Makes a keyword of the table at `path` for each sub-directory named; each must hold a table
 * (links are followed). */
int sheaf_table_link_subtables(const char *path, const char *const *names, size_t n,
                               sheaf_error *err);

/* Renumbers an array cell of ids (ids whose map entry is negative, or that lie outside, are
 * dropped) and drops the same elements of a cell of texts beside it. Columns that the table lacks
 * and undefined cells are left alone. */
int sheaf_table_renumber_cells(sheaf_table *table, const char *ids, const char *texts, int64_t row,
                               const int32_t *map, size_t nmap, sheaf_error *err);

/* One column of a main table to be made. */
typedef struct sheaf_column_plan {
  char source[64]; /* column of the pattern table */
  char name[64];   /* its name in the new table */
  int bulk;        /* 1: TiledShapeStMan, cells undefined, to be filled through tiles.h */
  int often;       /* a scalar that changes often: no incremental manager */
  int ndim;        /* of bulk cells, where the description leaves it open; 0: as described */
} sheaf_column_plan;
/* Puts values into a new table; 0 or an error. */
typedef int sheaf_table_fill(void *user, sheaf_table *table, sheaf_error *err);
/* Makes the main table of a MeasurementSet at `to` with nrow rows. Descriptions and keywords come
 * from `pattern` (a table with those columns); bulk columns get a tiled manager of their own
 * without cells, ids and times incremental managers, antennas and data description standard
 * managers, as CASA does. With is_ms, type, subtype and plain keywords are
 * copied (but for those that tell the order of rows, and virtual models); sub-tables never. `fill` (may be NULL) is called with the open table.
 */
int sheaf_table_create_main(const char *pattern, const char *to, int64_t nrow,
                            const sheaf_column_plan *columns, size_t n, int is_ms,
                            sheaf_table_fill *fill, void *user, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

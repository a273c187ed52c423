/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tiles.h - bulk access to tiled columns without casacore.
 *
 * casacore creates tables and stays the authority on them; this module reads table.dat and the
 * header of a tiled storage manager (TiledShapeStMan, TiledColumnStMan, TiledCellStMan,
 * TiledDataStMan) once and then moves cells with pread and pwrite: no table lock, no cache. Buffers
 * are [row][chan][corr] (the cell's first axis fastest) in the machine's byte order; a bool is one
 * byte, 0 or 1. A column that is stored otherwise gives SHEAF_TILES_UNKNOWN, and the caller goes
 * through casacore.
 *
 * Who must keep what: the layout is what the header said when the handle was opened, so rows added
 * or cells shaped later by casacore are not seen. table.lock is never opened (closing it would drop
 * the locks of a casacore table in this process), so the caller compares sheaf_tiles_info.nrow with
 * casacore's count where it has the table open. Nobody may hold the table open for update in
 * casacore while cells are written here. Writers of different rows, channels or correlations do not
 * disturb each other, except that bools share bytes: cut rows among writers so that the first
 * element of each part is a multiple of 8 within the tile (multiples of sheaf_tiles_cube.tile_rows
 * always are), or give each whole tiles.
 *
 * Threads: one handle per thread; sheaf_tiles_dup makes another one cheaply. A handle holds at most
 * one descriptor.
 *
 * Errors of all fallible functions: SHEAF_ERR_NOTFOUND (no such table, column), SHEAF_ERR_DATA (a
 * header or tile file is damaged, truncated, or a cell asked for is undefined or of another shape),
 * SHEAF_ERR_IO, SHEAF_ERR_NOMEM, SHEAF_ERR_ARG. */
#ifndef SHEAF_TABLE_TILES_H
#define SHEAF_TABLE_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Not a tiled column that this module knows; err->text says why. */
enum { SHEAF_TILES_UNKNOWN = 1 };
/* Most axes of a cell. */
enum { SHEAF_TILES_MAXDIM = 8 };

/* Element types: casacore's codes. */
enum {
  SHEAF_TILES_BOOL = 0,
  SHEAF_TILES_CHAR = 1,
  SHEAF_TILES_UCHAR = 2,
  SHEAF_TILES_SHORT = 3,
  SHEAF_TILES_USHORT = 4,
  SHEAF_TILES_INT = 5,
  SHEAF_TILES_UINT = 6,
  SHEAF_TILES_FLOAT = 7,
  SHEAF_TILES_DOUBLE = 8,
  SHEAF_TILES_COMPLEX = 9,   /* float complex */
  SHEAF_TILES_DCOMPLEX = 10, /* double complex */
  SHEAF_TILES_INT64 = 29
};

typedef struct sheaf_tiles sheaf_tiles;

typedef struct sheaf_tiles_info {
  int type;            /* SHEAF_TILES_* */
  int size;            /* bytes of an element in memory */
  int ndim;            /* axes of a cell; 0 for a scalar column */
  int big_endian;      /* how the file has it */
  int ncolumn;         /* data columns that share the tiles */
  int64_t nrow;        /* rows of the table, as the manager's header has it */
  int64_t ncube;       /* hypercubes, those without shape included */
  const char *manager; /* "TiledShapeStMan", ... */
} sheaf_tiles_info;

/* A hypercube: rows whose cells have one shape, cut into tiles of one shape. */
typedef struct sheaf_tiles_cube {
  int ndim;                          /* axes of a cell */
  int64_t shape[SHEAF_TILES_MAXDIM]; /* of a cell, fastest axis first; (corr, chan) in a
                                        MeasurementSet */
  int64_t tile[SHEAF_TILES_MAXDIM];  /* of a tile along those axes */
  int64_t tile_rows;                 /* rows of a tile; 1 in TiledCellStMan */
  int64_t nrow; /* rows that have a place in it; not used by sheaf_tiles_create */
  int direct;   /* cells lie one behind the other in the file; not used by sheaf_tiles_create */
} sheaf_tiles_cube;

/* Rows that follow each other both in the table and in one cube. */
typedef struct sheaf_tiles_span {
  int64_t start, nrow;
  int64_t cube; /* for sheaf_tiles_cube_at; -1: these cells are undefined */
  int64_t
      position; /* of the first on the cube's row axis; start modulo tile_rows need not equal it */
} sheaf_tiles_span;

/* Which rows: list[0..n-1] in any order (ascending is fastest), or start..start+n-1 when list is
 * NULL. */
typedef struct sheaf_tiles_rows {
  const int64_t *list;
  int64_t start, n;
} sheaf_tiles_rows;

/* Which elements along one cell axis: list[0..count-1], strictly ascending, or start..start+count-1
 * when list is NULL; count -1: the whole axis. */
typedef struct sheaf_tiles_axis {
  int64_t start, count;
  const int64_t *list;
} sheaf_tiles_axis;

/* A part of each cell; axis[0] is the fastest (corr), axis[1] the next (chan). */
typedef struct sheaf_tiles_part {
  sheaf_tiles_axis axis[SHEAF_TILES_MAXDIM];
} sheaf_tiles_part;

/* Opens a column. 0 and a handle, SHEAF_TILES_UNKNOWN and *tiles = NULL, or an error. Tile files
 * are opened at their first use. */
int sheaf_tiles_open(sheaf_tiles **tiles, const char *table_path, const char *column, int writable,
                     sheaf_error *err);
/* As sheaf_tiles_open, for a column that an edit (table/edit.h) has prepared and not committed.
 * When the edit has been committed meanwhile, or there was none, it opens the table as it is. */
int sheaf_tiles_open_pending(sheaf_tiles **tiles, const char *table_path, const char *column,
                             int writable, sheaf_error *err);
/* A second handle on the same layout, for another thread; no file is read. */
int sheaf_tiles_dup(sheaf_tiles **tiles, const sheaf_tiles *other, sheaf_error *err);
void sheaf_tiles_close(sheaf_tiles *tiles);

/* The text in `manager` lives as long as the program. */
void sheaf_tiles_describe(const sheaf_tiles *tiles, sheaf_tiles_info *info);
/* Cube number 0..ncube-1; *cube all zero when it has no shape. */
int sheaf_tiles_cube_at(const sheaf_tiles *tiles, int64_t number, sheaf_tiles_cube *cube,
                        sheaf_error *err);
/* The longest stretch that begins with `row`; a loop over row += span.nrow walks the table. */
int sheaf_tiles_span_at(sheaf_tiles *tiles, int64_t row, sheaf_tiles_span *span, sheaf_error *err);

/* Reads `rows` (all of one cell shape, or at least containing `part`; NULL: whole cells) into out,
 * which must have exactly the size of the selection in bytes. Whole cells of a direct cube go from
 * the page cache to `out` in one call per run of rows; otherwise each touched tile is read once
 * into a scratch buffer of 1 MiB (more only if one row of a tile needs it). */
int sheaf_tiles_read(sheaf_tiles *tiles, const sheaf_tiles_rows *rows, const sheaf_tiles_part *part,
                     void *out, size_t size, sheaf_error *err);
/* Overwrites cells that have a place already; same shapes as sheaf_tiles_read. Only the bytes of
 * those cells change (and unused elements of tiles beside them); bytes that bools share with other
 * cells are read, merged and written. Nothing is synced. After a failure part of the cells may be
 * written. */
int sheaf_tiles_write(sheaf_tiles *tiles, const sheaf_tiles_rows *rows,
                      const sheaf_tiles_part *part, const void *in, size_t size, sheaf_error *err);

/* Reflinks: lets cells of rows [to_row, to_row + n) of `to` use the disk blocks of those of rows
 * from_row, … of `from`, a column of the same type on the same file system. Rows
 * [shared->start, shared->start + shared->nrow) then hold what `from` had when they were shared;
 * the others are as before. shared->nrow is 0 when cells do not fill whole blocks at equal places,
 * do not lie one behind the other, are bools, or would be less than `least` bytes. Returns
 * SHEAF_TILES_UNKNOWN, and why in err->text, when the file system refuses: rows of the range may be
 * shared or not, and have to be written. What is written to shared blocks later takes new ones, and
 * can so meet a full disk. */
int sheaf_tiles_share(sheaf_tiles *to, int64_t to_row, sheaf_tiles *from, int64_t from_row,
                      int64_t n, int64_t least, sheaf_tiles_span *shared, sheaf_error *err);
/* 1 when the tile file with that row could share blocks with files beside `scratch`, which is
 * made and removed; else 0. */
int sheaf_tiles_can_share(sheaf_tiles *from, int64_t row, const char *scratch, sheaf_error *err);

/* After the last write: closes the tile file, for some file systems (NFS) say only then that a
 * write failed. SHEAF_ERR_IO. Later calls open it again. */
int sheaf_tiles_finish(sheaf_tiles *tiles, sheaf_error *err);

/* fsync of every tile file that this handle wrote to. SHEAF_ERR_IO. */
int sheaf_tiles_sync(sheaf_tiles *tiles, sheaf_error *err);

/* Asks the system to start writing what was put into the tile file written last to disk, without
 * waiting; so that a later fsync finds little left to do. A hint: nothing fails. */
void sheaf_tiles_start_writeback(sheaf_tiles *tiles);

/* Rows that get their place one behind the other in a cube. */
typedef struct sheaf_tiles_run {
  int64_t nrow;
  int64_t cube; /* index into the cubes given; -1: cells stay undefined */
} sheaf_tiles_run;

enum {
  SHEAF_TILES_ALLOCATE =
      1, /* reserve the disk blocks now: a full disk fails here, not in a later write */
  SHEAF_TILES_SYNC = 2, /* tile files, header and directory are on disk at return, in that order */
  SHEAF_TILES_PENDING = 4 /* a column that an edit has prepared (table/edit.h) */
};

/* Gives every row of an empty column its place: makes the tile files in their final size (zeros)
 * and replaces the manager's header in one step; both are as if casacore had done it row by row.
 * The column was made by casacore in a TiledShapeStMan without fixed shape, the table has its rows,
 * no cell has a shape, and casacore has closed the table. When several columns share the manager
 * all get their place. `runs` cover all rows in order; cubes are numbered as they first appear
 * there, unused ones are left out. tile[] larger than the cell is cut, 0 means the whole axis.
 * Killed at any moment, the column is empty as before (perhaps with unused tile files) or complete.
 * Fails with SHEAF_ERR_EXISTS when cells have shapes already, SHEAF_TILES_UNKNOWN as
 * sheaf_tiles_open does. */
int sheaf_tiles_create(const char *table_path, const char *column, const sheaf_tiles_cube *cubes,
                       int64_t ncube, const sheaf_tiles_run *runs, int64_t nrun, unsigned flags,
                       sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

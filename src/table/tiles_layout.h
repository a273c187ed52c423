/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tiles_layout.h - where a tiled column's cells lie, as table.dat and the manager's header say.
 *
 * Internal to the tile layer and its tests: tiles_layout.c parses (tiles_dat.h has table.dat), tiles_locate.c
 * finds rows, tiles_header.c makes and writes headers. A layout is made from bytes in memory by sheaf_layout_parse,
 * never changes afterwards and can be used by any number of threads. Everything in it was checked:
 * axes, products and offsets fit their types, cube and file numbers exist. */
#ifndef SHEAF_TABLE_TILES_LAYOUT_H
#define SHEAF_TABLE_TILES_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/aipsio.h"
#include "table/tiles.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SHEAF_LAYOUT_AXES = SHEAF_TILES_MAXDIM + 4 }; /* cell axes and row axes together */

typedef enum sheaf_layout_manager {
  SHEAF_LAYOUT_SHAPE,  /* TiledShapeStMan: a cube per cell shape */
  SHEAF_LAYOUT_COLUMN, /* TiledColumnStMan: one cube */
  SHEAF_LAYOUT_CELL,   /* TiledCellStMan: a cube per row */
  SHEAF_LAYOUT_DATA    /* TiledDataStMan: cubes as the writer liked */
} sheaf_layout_manager;

typedef struct sheaf_layout_cube {
  int ndim;              /* 0: no shape, its cells are undefined */
  const int64_t *shape;  /* [ndim], fastest first, cell axes then row axes */
  const int64_t *tile;   /* [ndim] */
  const int64_t *ntile;  /* [ndim] tiles along each axis */
  const int64_t *stride; /* [ndim] elements between neighbours inside a tile */
  int file;              /* number k of table.f<n>_TSM<k> */
  int extensible, direct;
  int64_t offset;         /* of the first tile in the file, bytes */
  int64_t bucket;         /* bytes of a tile, all columns */
  int64_t tilepix;        /* elements of a tile */
  int64_t column;         /* where this column's block starts in a tile, bytes */
  size_t record, nrecord; /* the cube's value record in the header */
} sheaf_layout_cube;

typedef struct sheaf_layout_file {
  int exists;
  uint32_t number;
  int64_t length;
} sheaf_layout_file;

typedef struct sheaf_layout {
  sheaf_layout_manager manager;
  int type;       /* SHEAF_TILES_* of this column */
  int size;       /* bytes of an element on disk, 0 for bool */
  int big_endian; /* column data */
  int cell_ndim, ndim;
  uint32_t seq;
  uint64_t nrow, max_cache;
  char *hypercolumn; /* name */
  uint32_t ncolumn;  /* columns of the manager */
  int32_t *types;
  int64_t *sizes;  /* bytes of an element, 0 for bool; data columns in the order in which a tile
                      holds them */
  int ndata, mine; /* data columns; which of them this is */
  int nvalue;      /* coordinate and id columns, which have no tiles */
  int ndefault;
  int64_t default_tile[SHEAF_LAYOUT_AXES];
  uint32_t nfile;
  sheaf_layout_file *files;
  int64_t ncube;
  sheaf_layout_cube *cubes;
  int64_t *pool;     /* the cubes' axes */
  uint64_t last_row; /* TiledDataStMan: rows from here are undefined */
  int64_t nmap;
  uint64_t *row_map;
  uint32_t *cube_map, *pos_map;
  char *header; /* the bytes that were parsed; owned */
  size_t nheader;
} sheaf_layout;

/* A stretch of rows as the maps have it. */
typedef struct sheaf_layout_run {
  int64_t nrow;                   /* rows from the one asked for */
  int64_t cube;                   /* -1: undefined */
  int64_t pos[SHEAF_LAYOUT_AXES]; /* of the first row on the row axes; later rows follow on the
                                     first of them */
} sheaf_layout_run;

/* Finds `column` in table.dat: 0 and *seq, SHEAF_TILES_UNKNOWN, or an error. `path` is for
 * messages. */
int sheaf_layout_find(const void *dat, size_t ndat, const char *path, const char *column,
                      uint32_t *seq, sheaf_error *err);

/* Parses table.dat and the header of the column's manager. Takes `header` (malloc'ed), also when it
 * fails. Returns 0, SHEAF_TILES_UNKNOWN (why is in err->text) or SHEAF_ERR_DATA. */
int sheaf_layout_parse_take(sheaf_layout **layout, const void *dat, size_t ndat, char *header,
                            size_t nheader, const char *path, const char *column, sheaf_error *err);
/* Both steps from the files of a table; *stem is the header's path, owned by the caller. `dat` is
 * the name of its description: SHEAF_LAYOUT_DAT, or SHEAF_LAYOUT_PENDING. */
int sheaf_layout_load(sheaf_layout **layout, char **stem, const char *table_path, const char *dat,
                      const char *column, sheaf_error *err);
/* The file that describes a table, and the one that an edit has prepared to take its place. */
#define SHEAF_LAYOUT_DAT "table.dat"
#define SHEAF_LAYOUT_PENDING "table.dat.sheaf"
void sheaf_layout_free(sheaf_layout *layout);

/* Fills in what follows from a cube's shape and tile: ntile, stride, bucket, column, direct. */
int sheaf_layout_derive(const sheaf_layout *layout, sheaf_layout_cube *cube, int64_t *ntile,
                        int64_t *stride, const char *path, sheaf_error *err);

/* Where `row` and those behind it are. *hint is a private integer of the caller's, 0 at first. */
int sheaf_layout_locate(const sheaf_layout *layout, int64_t row, int64_t *hint,
                        sheaf_layout_run *run, sheaf_error *err);

/* The header of a new TiledShapeStMan with one column and no cell, for sheaf_layout_write: `tile`
 * is the default tile shape, of ndim axes with the rows'. NULL when memory runs out. */
sheaf_layout *sheaf_layout_new(uint32_t seq, uint64_t nrow, int type, int big_endian,
                               const char *name, const int64_t *tile, int ndim);

/* A TiledShapeStMan header as casacore writes it. */
void sheaf_layout_write(const sheaf_layout *layout, sheaf_aips_out *out);

#ifdef __cplusplus
}
#endif
#endif

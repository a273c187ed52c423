/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tiles_impl.h - what tiles.c (handles and files), tiles_select.c (which bytes a call means) and
 * tiles_move.c (reading and writing them) share.
 *
 * A call goes through its rows in windows: rows that lie in one stripe of tiles, close to each
 * other. In each tile of the stripe the selection is a box, whose lines are copied one by one. */
#ifndef SHEAF_TABLE_TILES_IMPL_H
#define SHEAF_TABLE_TILES_IMPL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "table/tiles.h"
#include "table/tiles_layout.h"

enum {
  SHEAF_WORK_GAP = 8192,  /* bytes that are cheaper to read than to skip */
  SHEAF_WORK_PIECES = 512 /* runs of rows in one window */
};

/* What all handles of a column share. */
typedef struct sheaf_tiles_shared {
  atomic_int users;
  sheaf_layout *layout;
  char *stem;   /* path of the header; tile files have _TSM<k> behind it */
  char *column; /* name, for messages */
} sheaf_tiles_shared;

/* Rows that follow each other inside one stripe of tiles. */
typedef struct sheaf_tiles_piece {
  int64_t nrow;
  int64_t element; /* index of the first row's first element in its tile */
  int64_t row;     /* number of the first row in the buffer */
} sheaf_tiles_piece;

struct sheaf_tiles {
  sheaf_tiles_shared *shared;
  int writable;
  int fd, fd_number; /* the tile file open now; fd -1: none */
  int nwritten, rwritten;
  int *written;    /* [nwritten] numbers of the tile files written to since the last sync */
  int64_t fd_size; /* its length when it was opened */
  int64_t hint;
  uint8_t *scratch, *scratch2;
  size_t nscratch, nscratch2;
  sheaf_tiles_piece pieces[SHEAF_WORK_PIECES];
};

/* ---- tiles.c ---- */

/* Bytes of an element in a buffer. */
static inline int sheaf_tiles_memory_size(const sheaf_layout *l) {
  return l->size ? l->size : 1;
}

/* Makes tile file `number` the open one (t->fd, t->fd_size). SHEAF_ERR_DATA when there is none. */
int sheaf_tiles_open_file(sheaf_tiles *t, int number, sheaf_error *err);
/* Remembers that the open file is written to. */
int sheaf_tiles_note_written(sheaf_tiles *t, sheaf_error *err);
/* The error of a file that ends before n bytes at `offset`; returns its code. */
int sheaf_tiles_short_file(const sheaf_tiles *t, int64_t offset, size_t n, sheaf_error *err);
/* All n bytes from or to the open file. SHEAF_ERR_IO, SHEAF_ERR_DATA. */
int sheaf_tiles_read_at(const sheaf_tiles *t, void *out, size_t n, int64_t offset,
                        sheaf_error *err);
int sheaf_tiles_write_at(const sheaf_tiles *t, const void *in, size_t n, int64_t offset,
                         sheaf_error *err);
/* Makes a scratch buffer hold n bytes at least; what it held is lost. SHEAF_ERR_NOMEM. */
int sheaf_tiles_need(uint8_t **buffer, size_t *have, size_t n, const sheaf_tiles *t,
                     sheaf_error *err);

/* ---- tiles_select.c ---- */

/* One call of read or write. */
typedef struct sheaf_tiles_work {
  sheaf_tiles *t;
  const sheaf_layout *l;
  const sheaf_tiles_rows *rows;
  int64_t at;               /* rows done */
  int64_t run_at, run_left; /* the run in progress: its first row's number in the list, rows left */
  sheaf_layout_run run;
  sheaf_tiles_axis axis[SHEAF_TILES_MAXDIM]; /* resolved: no -1, no list that is a range */
  int64_t memory[SHEAF_LAYOUT_AXES]; /* strides in the buffer, elements; [cell_ndim] is a row's */
  int whole[SHEAF_TILES_MAXDIM];
  int64_t checked; /* cube that fits the selection, -1 none yet */
  int full;        /* whole cells */
  /* while reading: the bytes of the file that the scratch buffer holds */
  int64_t held_from, held_to, held_file;
  uint8_t *buffer;
  sheaf_error *err;
} sheaf_tiles_work;

/* Rows of w->t->pieces, in one stripe of tiles (for a direct cube: anywhere in it), ascending and
 * close to each other. */
typedef struct sheaf_tiles_window {
  const sheaf_layout_cube *cube;
  int64_t stripe; /* number of the stripe's first tile */
  int npiece;
  int64_t first,
      last;          /* in the tile: the first row's first element, one past the last row's place */
  int64_t row, nrow; /* in the buffer */
} sheaf_tiles_window;

/* Elements of the selection that lie in one tile, as axes that step through tile and buffer. */
typedef struct sheaf_tiles_box {
  int nd;
  int64_t n[SHEAF_LAYOUT_AXES], tile[SHEAF_LAYOUT_AXES],
      memory[SHEAF_LAYOUT_AXES];          /* counts and steps, in elements */
  const int64_t *list[SHEAF_LAYOUT_AXES]; /* positions along the axis, or NULL for 0, 1, 2, ... */
  int64_t tile0, memory0;                 /* where it starts */
  int64_t low, high;                      /* first and last element in the tile, of a row at 0 */
  int covers;                             /* all elements of the cells that this tile has */
} sheaf_tiles_box;

/* Checks the selection and the buffer's size; `buffer` is written to only by a read. */
int sheaf_work_begin(sheaf_tiles_work *w, sheaf_tiles *t, const sheaf_tiles_rows *rows,
                     const sheaf_tiles_part *part, uint8_t *buffer, size_t size, sheaf_error *err);
/* Makes w->run the stretch of rows (in list and cube) that begins at w->at. */
int sheaf_work_next_run(sheaf_tiles_work *w);
/* The next rows that go through the scratch buffer together, one piece only when `single`. */
int sheaf_work_next_window(sheaf_tiles_work *w, sheaf_tiles_window *win, int single,
                           int64_t max_bytes);
/* Elements from a row to the next inside a tile. */
int64_t sheaf_work_row_stride(const sheaf_tiles_work *w, const sheaf_layout_cube *c);
/* Calls `tile` for each tile of the window's stripe that the selection touches, with the place of
 * its block in the file; ends at the first that fails. */
int sheaf_work_each_tile(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                         int (*tile)(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                                     const sheaf_tiles_box *b, int64_t offset));
/* The box of one piece: the cell's axes and the rows. */
sheaf_tiles_box sheaf_work_piece_box(const sheaf_tiles_work *w, const sheaf_tiles_window *win,
                                     const sheaf_tiles_box *cell, const sheaf_tiles_piece *p);
/* Calls `line` for each line along the box's first axis with the elements where it starts; ends at
 * the first that fails. */
int sheaf_box_each_line(const sheaf_tiles_box *b,
                        int (*line)(void *user, const sheaf_tiles_box *b, int64_t tile,
                                    int64_t memory),
                        void *user);

/* Elements of the tile from the box's start to its element i along an axis. */
static inline int64_t sheaf_box_step(const sheaf_tiles_box *b, int axis, int64_t i) {
  return (b->list[axis] ? b->list[axis][i] : i) * b->tile[axis];
}

/* 1 when the lines lie without gaps both in the tile and in the buffer. */
static inline int sheaf_box_is_line(const sheaf_tiles_box *b) {
  return !b->list[0] && b->tile[0] == 1 && b->memory[0] == 1;
}

#endif

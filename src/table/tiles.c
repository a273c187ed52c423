/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/tiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/bits.h"
#include "table/tiles_layout.h"

enum {
  AXES = SHEAF_LAYOUT_AXES,
  WINDOW = 1 << 18,   /* bytes moved through the scratch buffer at a time: they stay in the cache */
  STRAIGHT = 1 << 15, /* whole cells in runs of this many bytes are not gathered with others */
  GAP = 8192,         /* bytes that are cheaper to read than to skip */
  AHEAD =
      1 << 16, /* small tiles that follow each other in the file are read so many bytes at a time */
  PIECES = 512 /* runs of rows in one window */
};

/* What all handles of a column share. */
typedef struct shared {
  atomic_int users;
  sheaf_layout *layout;
  char *stem;   /* path of the header; tile files have _TSM<k> behind it */
  char *column; /* name, for messages */
} shared;

/* Rows that follow each other inside one stripe of tiles. */
typedef struct piece {
  int64_t nrow;
  int64_t element; /* index of the first row's first element in its tile */
  int64_t row;     /* number of the first row in the buffer */
} piece;

struct sheaf_tiles {
  shared *shared;
  int writable;
  int fd, fd_number; /* the tile file open now; fd -1: none */
  int nwritten, rwritten;
  int *written;    /* [nwritten] numbers of the tile files written to since the last sync */
  int64_t fd_size; /* its length when it was opened */
  int64_t hint;
  uint8_t *scratch, *scratch2;
  size_t nscratch, nscratch2;
  piece pieces[PIECES];
};

/* ---- opening ---- */

static sheaf_tiles *new_handle(shared *s, int writable) {
  sheaf_tiles *t = malloc(sizeof *t);
  if (!t) return NULL;
  memset(t, 0, offsetof(sheaf_tiles, pieces));
  t->shared = s;
  t->writable = writable;
  t->fd = -1;
  return t;
}

static void release(shared *s) {
  if (!s || atomic_fetch_sub(&s->users, 1) > 1) return;
  sheaf_layout_free(s->layout);
  free(s->stem);
  free(s->column);
  free(s);
}

static int open_from(sheaf_tiles **tiles, const char *table, const char *dat, const char *column,
                     int writable, sheaf_error *err) {
  *tiles = NULL;
  shared *s = calloc(1, sizeof *s);
  if (!s) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", table);
  atomic_init(&s->users, 1);
  int rc = sheaf_layout_load(&s->layout, &s->stem, table, dat, column, err);
  if (rc == 0 && (!(s->column = strdup(column)) || !(*tiles = new_handle(s, writable))))
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", table);
  if (rc != 0) release(s);
  return rc;
}

int sheaf_tiles_open(sheaf_tiles **tiles, const char *table, const char *column, int writable,
                     sheaf_error *err) {
  return open_from(tiles, table, SHEAF_LAYOUT_DAT, column, writable, err);
}

int sheaf_tiles_open_pending(sheaf_tiles **tiles, const char *table, const char *column,
                             int writable, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%.4000s/" SHEAF_LAYOUT_PENDING, table);
  const int rc = access(path, F_OK) == 0
                     ? open_from(tiles, table, SHEAF_LAYOUT_PENDING, column, writable, err)
                     : SHEAF_ERR_NOTFOUND;
  /* also when a commit took it away between the two calls */
  return rc == SHEAF_ERR_NOTFOUND ? sheaf_tiles_open(tiles, table, column, writable, err) : rc;
}

int sheaf_tiles_dup(sheaf_tiles **tiles, const sheaf_tiles *other, sheaf_error *err) {
  *tiles = new_handle(other->shared, other->writable);
  if (!*tiles) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", other->shared->stem);
  atomic_fetch_add(&other->shared->users, 1);
  return 0;
}

void sheaf_tiles_close(sheaf_tiles *t) {
  if (!t) return;
  if (t->fd >= 0) close(t->fd);
  free(t->scratch);
  free(t->scratch2);
  free(t->written);
  release(t->shared);
  free(t);
}

/* ---- questions ---- */

static int memory_size(const sheaf_layout *l) {
  return l->size ? l->size : 1;
}

void sheaf_tiles_describe(const sheaf_tiles *t, sheaf_tiles_info *info) {
  static const char *const name[] = {"TiledShapeStMan", "TiledColumnStMan", "TiledCellStMan",
                                     "TiledDataStMan"};
  const sheaf_layout *l = t->shared->layout;
  *info = (sheaf_tiles_info){.type = l->type,
                             .size = memory_size(l),
                             .ndim = l->cell_ndim,
                             .big_endian = l->big_endian,
                             .ncolumn = l->ndata,
                             .nrow = (int64_t)l->nrow,
                             .ncube = l->ncube,
                             .manager = name[l->manager]};
}

int sheaf_tiles_cube_at(const sheaf_tiles *t, int64_t number, sheaf_tiles_cube *cube,
                        sheaf_error *err) {
  const sheaf_layout *l = t->shared->layout;
  memset(cube, 0, sizeof *cube);
  if (number < 0 || number >= l->ncube)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: cube %lld: there are %lld", t->shared->column,
                      (long long)number, (long long)l->ncube);
  const sheaf_layout_cube *c = &l->cubes[number];
  if (c->ndim == 0) return 0;
  cube->ndim = l->cell_ndim;
  cube->tile_rows = cube->nrow = 1;
  for (int i = 0; i < c->ndim; i++) {
    if (i < l->cell_ndim) {
      cube->shape[i] = c->shape[i];
      cube->tile[i] = c->tile[i];
    } else {
      cube->tile_rows *= c->tile[i];
      cube->nrow *= c->shape[i];
    }
  }
  cube->direct = c->direct;
  return 0;
}

int sheaf_tiles_span_at(sheaf_tiles *t, int64_t row, sheaf_tiles_span *span, sheaf_error *err) {
  sheaf_layout_run run;
  const sheaf_layout *l = t->shared->layout;
  int rc = sheaf_layout_locate(l, row, &t->hint, &run, err);
  if (rc < 0)
    return sheaf_fail_context(err, rc, "%s, column %s", t->shared->stem, t->shared->column);
  *span = (sheaf_tiles_span){.start = row, .nrow = run.nrow, .cube = run.cube};
  span->position = run.pos[0];
  while (run.cube < 0 && span->start + span->nrow < (int64_t)l->nrow) {
    rc = sheaf_layout_locate(l, span->start + span->nrow, &t->hint, &run, err);
    if (rc < 0) return rc;
    if (run.cube < 0) span->nrow += run.nrow;
  }
  return 0;
}

/* ---- files and scratch ---- */

static int close_file(sheaf_tiles *t, sheaf_error *err) {
  const int bad = t->fd >= 0 && close(t->fd) < 0 && t->writable ? errno : 0;
  t->fd = -1;
  return bad ? sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "cannot write %s_TSM%d", t->shared->stem,
                                t->fd_number)
             : 0;
}

int sheaf_tiles_finish(sheaf_tiles *t, sheaf_error *err) {
  return close_file(t, err);
}

/* Remembers that the open file is written to. */
static int note_written(sheaf_tiles *t, sheaf_error *err) {
  for (int i = t->nwritten; i > 0; i--)
    if (t->written[i - 1] == t->fd_number) return 0;
  if (t->nwritten == t->rwritten) {
    const int room = 2 * t->rwritten + 4;
    int *more = realloc(t->written, (size_t)room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", t->shared->stem);
    t->written = more;
    t->rwritten = room;
  }
  t->written[t->nwritten++] = t->fd_number;
  return 0;
}

static int open_file(sheaf_tiles *t, int number, sheaf_error *err) {
  char path[4200];
  struct stat st;
  if (t->fd >= 0 && t->fd_number == number) return 0;
  const int rc = close_file(t, err);
  if (rc < 0) return rc;
  snprintf(path, sizeof path, "%s_TSM%d", t->shared->stem, number);
  t->fd = open(path, (t->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  t->fd_number = number;
  t->fd_size = t->fd >= 0 && fstat(t->fd, &st) == 0 ? st.st_size : 0;
  if (t->fd >= 0) return 0;
  return sheaf_fail_errno(err, errno == ENOENT ? SHEAF_ERR_DATA : SHEAF_ERR_IO, errno,
                          "column %s: cannot open %s", t->shared->column, path);
}

static int short_file(const sheaf_tiles *t, int64_t offset, size_t n, sheaf_error *err) {
  struct stat st = {0};
  fstat(t->fd, &st);
  return sheaf_fail(
      err, SHEAF_ERR_DATA,
      "%s_TSM%d is cut: column %s has %zu bytes at byte %lld, the file has %lld bytes",
      t->shared->stem, t->fd_number, t->shared->column, n, (long long)offset,
      (long long)st.st_size);
}

static int read_at(const sheaf_tiles *t, void *out, size_t n, int64_t offset, sheaf_error *err) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = pread(t->fd, (char *)out + done, n - done, offset + (int64_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s_TSM%d", t->shared->stem,
                              t->fd_number);
    if (got == 0) return short_file(t, offset, n, err);
    done += (size_t)got;
  }
  return 0;
}

static int write_at(const sheaf_tiles *t, const void *in, size_t n, int64_t offset,
                    sheaf_error *err) {
  for (size_t done = 0; done < n;) {
    const ssize_t put = pwrite(t->fd, (const char *)in + done, n - done, offset + (int64_t)done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s_TSM%d", t->shared->stem,
                              t->fd_number);
    done += (size_t)put;
  }
  return 0;
}

static int need(uint8_t **buffer, size_t *have, size_t n, const sheaf_tiles *t, sheaf_error *err) {
  if (n <= *have) return 0;
  free(*buffer);
  *have = 0;
  if (!(*buffer = malloc(n + 8)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for %zu bytes of tiles", t->shared->stem,
                      n);
  *have = n;
  return 0;
}

int sheaf_tiles_sync(sheaf_tiles *t, sheaf_error *err) {
  for (; t->nwritten > 0; t->nwritten--) {
    const int rc = open_file(t, t->written[t->nwritten - 1], err);
    if (rc < 0) return rc;
    if (fsync(t->fd) < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s_TSM%d", t->shared->stem,
                              t->fd_number);
  }
  return 0;
}

/* ---- byte order ---- */

static void swap_bytes(void *data, size_t n, int size) {
  uint8_t *p = data;
  switch (size) {
    case 2:
      for (size_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, p + 2 * i, 2);
        v = __builtin_bswap16(v);
        memcpy(p + 2 * i, &v, 2);
      }
      break;
    case 4:
      for (size_t i = 0; i < n; i++) {
        uint32_t v;
        memcpy(&v, p + 4 * i, 4);
        v = __builtin_bswap32(v);
        memcpy(p + 4 * i, &v, 4);
      }
      break;
    case 8:
      for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, p + 8 * i, 8);
        v = __builtin_bswap64(v);
        memcpy(p + 8 * i, &v, 8);
      }
      break;
    default:
      break;
  }
}

/* Bytes that are turned round together: a complex number is two. */
static int swap_unit(const sheaf_layout *l) {
  const int complex = l->type == SHEAF_TILES_COMPLEX || l->type == SHEAF_TILES_DCOMPLEX;
  const int foreign = l->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
  return foreign ? (complex ? l->size / 2 : l->size) : 1;
}

static void swap_elements(const sheaf_layout *l, void *data, int64_t n) {
  const int unit = swap_unit(l);
  if (unit > 1) swap_bytes(data, (size_t)n * (size_t)(l->size / unit), unit);
}

/* ---- the selection ---- */

/* One call of read or write. */
typedef struct work {
  sheaf_tiles *t;
  const sheaf_layout *l;
  const sheaf_tiles_rows *rows;
  int64_t at;               /* rows done */
  int64_t run_at, run_left; /* the run in progress: its first row's number in the list, rows left */
  sheaf_layout_run run;
  sheaf_tiles_axis axis[SHEAF_TILES_MAXDIM]; /* resolved: no -1, no list that is a range */
  int64_t memory[AXES]; /* strides in the buffer, elements; [cell_ndim] is a row's */
  int whole[SHEAF_TILES_MAXDIM];
  int64_t checked; /* cube that fits the selection, -1 none yet */
  int full;        /* whole cells */
  /* while reading: the bytes of the file that the scratch buffer holds */
  int64_t held_from, held_to, held_file;
  uint8_t *buffer;
  sheaf_error *err;
} work;

static int64_t row_at(const work *w, int64_t i) {
  return w->rows->list ? w->rows->list[i] : w->rows->start + i;
}

static int axis_fails(const work *w, int i, const char *what, int64_t value, int64_t size) {
  return sheaf_fail(w->err, SHEAF_ERR_ARG, "column %s, axis %d: %s %lld, where the cell has %lld",
                    w->t->shared->column, i, what, (long long)value, (long long)size);
}

/* Makes the selection along one axis definite for a cell of `size` elements there. */
static int resolve_axis(work *w, int i, const sheaf_tiles_part *part, int64_t size) {
  sheaf_tiles_axis *a = &w->axis[i];
  *a = part ? part->axis[i] : (sheaf_tiles_axis){0, -1, NULL};
  w->whole[i] = a->count < 0;
  if (a->count < 0) *a = (sheaf_tiles_axis){0, size, NULL};
  for (int64_t k = 0; a->list && k < a->count; k++)
    if (a->list[k] < 0 || (k > 0 && a->list[k] <= a->list[k - 1]))
      return axis_fails(w, i, "a list that is negative or does not ascend at", a->list[k], size);
  if (a->list && a->count > 0 && a->list[a->count - 1] - a->list[0] == a->count - 1)
    *a = (sheaf_tiles_axis){a->list[0], a->count, NULL};
  if (!a->list && (a->start < 0 || a->start > size))
    return axis_fails(w, i, "start", a->start, size);
  return 0;
}

/* Checks that the selection fits the cells of a cube. */
static int check_cube(work *w, int64_t row) {
  if (w->run.cube < 0)
    return sheaf_fail(w->err, SHEAF_ERR_DATA, "column %s: row %lld has no value",
                      w->t->shared->column, (long long)row);
  if (w->run.cube == w->checked) return 0;
  const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
  w->full = 1;
  for (int i = 0; i < w->l->cell_ndim; i++) {
    const sheaf_tiles_axis *a = &w->axis[i];
    const int64_t size = c->shape[i];
    if (w->whole[i] && size != a->count)
      return sheaf_fail(w->err, SHEAF_ERR_DATA,
                        "column %s: row %lld has a cell of %lld on axis %d, rows before it %lld",
                        w->t->shared->column, (long long)row, (long long)size, i,
                        (long long)a->count);
    const int64_t end = !a->count ? 0 : a->list ? a->list[a->count - 1] + 1 : a->start + a->count;
    if (a->count < 0 || end > size || end < 0) return axis_fails(w, i, "elements up to", end, size);
    if (a->count != size) w->full = 0;
  }
  w->checked = w->run.cube;
  return 0;
}

static int begin(work *w, sheaf_tiles *t, const sheaf_tiles_rows *rows,
                 const sheaf_tiles_part *part, uint8_t *buffer, size_t size, sheaf_error *err) {
  memset(w, 0, sizeof *w);
  w->t = t;
  w->l = t->shared->layout;
  w->rows = rows;
  w->buffer = buffer;
  w->checked = -1;
  w->err = err;
  int64_t n = 1;
  if (rows->n > 0) {
    const int rc = sheaf_layout_locate(w->l, row_at(w, 0), &t->hint, &w->run, err);
    if (rc < 0) return sheaf_fail_context(err, rc, "column %s", t->shared->column);
    if (w->run.cube < 0) return check_cube(w, row_at(w, 0));
    for (int i = 0; i < w->l->cell_ndim; i++) {
      const int bad = resolve_axis(w, i, part, w->l->cubes[w->run.cube].shape[i]);
      if (bad < 0) return bad;
      w->memory[i] = n;
      if (w->axis[i].count < 0 || __builtin_mul_overflow(n, w->axis[i].count, &n)) n = -1;
    }
    w->memory[w->l->cell_ndim] = n;
  }
  int64_t bytes;
  if (n < 0 || rows->n < 0 || __builtin_mul_overflow(n, rows->n, &bytes) ||
      __builtin_mul_overflow(bytes, memory_size(w->l), &bytes) || (size_t)bytes != size)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "column %s: a buffer of %zu bytes for %lld rows of %lld elements of %d bytes",
                      t->shared->column, size, (long long)rows->n, (long long)n, memory_size(w->l));
  return 0;
}

/* Makes w->run the stretch of rows (in list and cube) that begins at w->at. */
static int next_run(work *w) {
  const int64_t row = row_at(w, w->at);
  int rc = sheaf_layout_locate(w->l, row, &w->t->hint, &w->run, w->err);
  if (rc < 0) return sheaf_fail_context(w->err, rc, "column %s", w->t->shared->column);
  if ((rc = check_cube(w, row)) < 0) return rc;
  int64_t n = w->rows->n - w->at;
  if (n > w->run.nrow) n = w->run.nrow;
  if (w->rows->list) {
    int64_t k = 1;
    while (k < n && w->rows->list[w->at + k] == row + k) k++;
    n = k;
  }
  w->run_at = w->at;
  w->run_left = n;
  return 0;
}

/* ---- windows: rows whose tiles are read together ---- */

/* Rows of w->t->pieces, in one stripe of tiles (for a direct cube: anywhere in it), ascending and
 * close to each other. */
typedef struct window {
  const sheaf_layout_cube *cube;
  int64_t stripe; /* number of the stripe's first tile */
  int npiece;
  int64_t first,
      last;          /* in the tile: the first row's first element, one past the last row's place */
  int64_t row, nrow; /* in the buffer */
} window;

/* Stripe and element of row w->at; returns how many rows from there the tile has. */
static int64_t place(const work *w, const sheaf_layout_cube *c, int64_t *stripe, int64_t *element) {
  const int cell = w->l->cell_ndim;
  int64_t tiles = 1, room = INT64_MAX;
  *stripe = *element = 0;
  for (int i = 0; i < cell; i++) tiles *= c->ntile[i];
  for (int i = cell; i < c->ndim; i++) {
    const int64_t pos = w->run.pos[i - cell] + (i == cell ? w->at - w->run_at : 0);
    if (c->direct) {
      *element = pos * c->stride[cell];
      return INT64_MAX;
    }
    *stripe += pos / c->tile[i] * tiles;
    *element += pos % c->tile[i] * c->stride[i];
    if (i == cell) room = c->tile[i] - pos % c->tile[i];
    tiles *= c->ntile[i];
  }
  return room;
}

/* Elements from a row to the next inside a tile. */
static int64_t row_stride(const work *w, const sheaf_layout_cube *c) {
  return c->ndim > w->l->cell_ndim ? c->stride[w->l->cell_ndim] : c->tilepix;
}

static int64_t file_bytes(const work *w, int64_t elements) {
  return w->l->size ? elements * w->l->size : elements / 8;
}

/* Whether the selection leaves so much out of every row that rows are better read one by one. */
static int is_sparse(const work *w, const sheaf_layout_cube *c) {
  int64_t used = 1;
  if (!c->direct || w->full) return 0;
  for (int i = 0; i < w->l->cell_ndim; i++) {
    const sheaf_tiles_axis *a = &w->axis[i];
    if (a->count > 0)
      used += (a->list ? a->list[a->count - 1] - a->list[0] : a->count - 1) * c->stride[i];
  }
  return file_bytes(w, row_stride(w, c) - used) > GAP;
}

/* The next rows that go through the scratch buffer together, one piece only when `single`. */
static int next_window(work *w, window *win, int single, int64_t max_bytes) {
  const int64_t max = w->l->size ? max_bytes / w->l->size : max_bytes * 8;
  win->npiece = 0;
  win->row = w->at;
  while (w->at < w->rows->n && win->npiece < (single ? 1 : PIECES)) {
    int64_t stripe, element;
    if (w->run_left == 0) {
      const int rc = next_run(w);
      if (rc < 0) return rc;
    }
    const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
    const int64_t stride = row_stride(w, c), room = place(w, c, &stripe, &element);
    if (win->npiece == 0) {
      *win = (window){.cube = c, .stripe = stripe, .first = element, .row = w->at};
      single |= is_sparse(w, c);
    } else if (c != win->cube || stripe != win->stripe || element < win->last ||
               file_bytes(w, element - win->last) > GAP || element + stride - win->first > max) {
      break;
    }
    int64_t n = (max - (element - win->first)) / stride;
    if (n < 1 || (single && is_sparse(w, c))) n = 1;
    if (n > room) n = room;
    if (n > w->run_left) n = w->run_left;
    w->t->pieces[win->npiece++] = (piece){n, element, w->at};
    win->last = element + n * stride;
    w->at += n;
    w->run_left -= n;
  }
  win->nrow = w->at - win->row;
  return 0;
}

/* ---- the part of the selection in one tile ---- */

/* Elements of the selection that lie in one tile, as axes that step through tile and buffer. */
typedef struct box {
  int nd;
  int64_t n[AXES], tile[AXES], memory[AXES]; /* counts and steps, in elements */
  const int64_t *list[AXES]; /* positions along the axis, or NULL for 0, 1, 2, ... */
  int64_t tile0, memory0;    /* where it starts */
  int64_t low, high;         /* first and last element in the tile, of a row at 0 */
  int covers;                /* all elements of the cells that this tile has */
} box;

/* Adds an axis; one of a single element only moves the start, one that continues the last is merged
 * with it. */
static void add_axis(box *b, int64_t n, int64_t tile, int64_t memory, const int64_t *list) {
  if (n == 1) {
    if (list) b->tile0 += list[0] * tile;
    return;
  }
  const int last = b->nd - 1;
  if (last >= 0 && !list && !b->list[last] && tile == b->n[last] * b->tile[last] &&
      memory == b->n[last] * b->memory[last]) {
    b->n[last] *= n;
    return;
  }
  b->n[b->nd] = n;
  b->tile[b->nd] = tile;
  b->memory[b->nd] = memory;
  b->list[b->nd++] = list;
}

static int64_t lower_bound(const int64_t *list, int64_t n, int64_t value) {
  int64_t lo = 0;
  while (lo < n) {
    const int64_t mid = lo + (n - lo) / 2;
    if (list[mid] < value)
      lo = mid + 1;
    else
      n = mid;
  }
  return lo;
}

/* The selection on cell axis i within the tile that begins at `origin`; 0 when nothing is. */
static int section(const work *w, const sheaf_layout_cube *c, int i, int64_t origin, box *b) {
  const sheaf_tiles_axis *a = &w->axis[i];
  const int64_t step = c->stride[i];
  int64_t end = origin + c->tile[i], from, n, first, last;
  if (end > c->shape[i]) end = c->shape[i];
  if (a->list) {
    from = lower_bound(a->list, a->count, origin);
    n = lower_bound(a->list, a->count, end) - from;
    if (n == 0) return 0;
    first = a->list[from] - origin;
    last = a->list[from + n - 1] - origin;
    b->tile0 -= origin * step;
    b->covers = 0;
  } else {
    first = a->start > origin ? a->start - origin : 0;
    last = (a->start + a->count < end ? a->start + a->count : end) - origin - 1;
    n = last - first + 1;
    if (n <= 0) return 0;
    from = origin + first - a->start;
    b->tile0 += first * step;
    b->covers &= n == end - origin;
  }
  b->low += first * step;
  b->high += last * step;
  b->memory0 += from * w->memory[i];
  add_axis(b, n, step, w->memory[i], a->list ? a->list + from : NULL);
  return 1;
}

/* Calls `tile` for each tile of the window's stripe that the selection touches. */
static int each_tile(work *w, const window *win,
                     int (*tile)(work *w, const window *win, const box *b, int64_t offset)) {
  const sheaf_layout_cube *c = win->cube;
  const int cell = w->l->cell_ndim;
  int64_t from[SHEAF_TILES_MAXDIM], to[SHEAF_TILES_MAXDIM], at[SHEAF_TILES_MAXDIM];
  for (int i = 0; i < cell; i++) {
    const sheaf_tiles_axis *a = &w->axis[i];
    if (a->count == 0) return 0;
    at[i] = from[i] = (a->list ? a->list[0] : a->start) / c->tile[i];
    to[i] = (a->list ? a->list[a->count - 1] : a->start + a->count - 1) / c->tile[i];
  }
  for (;;) {
    box b = {.covers = 1};
    int64_t number = win->stripe, tiles = 1;
    int some = 1, i = 0;
    for (int k = 0; k < cell && some; k++) {
      some = section(w, c, k, at[k] * c->tile[k], &b);
      number += at[k] * tiles;
      tiles *= c->ntile[k];
    }
    const int rc = some ? tile(w, win, &b, c->offset + number * c->bucket + c->column) : 0;
    if (rc < 0) return rc;
    for (; i < cell && ++at[i] > to[i]; i++) at[i] = from[i];
    if (i == cell) return 0;
  }
}

/* The box of one piece: the cell's axes and the rows. */
static box piece_box(const work *w, const window *win, const box *cell, const piece *p) {
  box b = *cell;
  b.tile0 += p->element;
  b.memory0 += p->row * w->memory[w->l->cell_ndim];
  add_axis(&b, p->nrow, row_stride(w, win->cube), w->memory[w->l->cell_ndim], NULL);
  if (b.nd == 0) {
    b.n[b.nd] = b.tile[b.nd] = b.memory[b.nd] = 1;
    b.nd = 1;
  }
  return b;
}

static int64_t step_of(const box *b, int axis, int64_t i) {
  return (b->list[axis] ? b->list[axis][i] : i) * b->tile[axis];
}

static int is_line(const box *b) {
  return !b->list[0] && b->tile[0] == 1 && b->memory[0] == 1;
}

/* Calls `line` for each line along the box's first axis with the elements where it starts. */
static int each_line(const box *b,
                     int (*line)(void *user, const box *b, int64_t tile, int64_t memory),
                     void *user) {
  int64_t at[AXES] = {0};
  for (;;) {
    int64_t tile = b->tile0, memory = b->memory0;
    for (int i = 1; i < b->nd; i++) {
      tile += step_of(b, i, at[i]);
      memory += at[i] * b->memory[i];
    }
    const int rc = line(user, b, tile, memory);
    if (rc < 0) return rc;
    int i = 1;
    for (; i < b->nd && ++at[i] == b->n[i]; i++) at[i] = 0;
    if (i >= b->nd) return 0;
  }
}

/* ---- reading ---- */

/* A copy between the buffer and the scratch, which begins with the tile's element (bool: bit)
 * `origin`. */
typedef struct transfer {
  uint8_t *memory, *tile;
  int64_t origin;
  int size;
} transfer;

static void copy_element(uint8_t *to, const uint8_t *from, int size) {
  switch (size) {
    case 1:
      *to = *from;
      break;
    case 2:
      memcpy(to, from, 2);
      break;
    case 4:
      memcpy(to, from, 4);
      break;
    case 8:
      memcpy(to, from, 8);
      break;
    default:
      memcpy(to, from, 16);
      break;
  }
}

static int read_line(void *user, const box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  const uint8_t *from = x->tile + (tile - x->origin) * x->size;
  uint8_t *to = x->memory + memory * x->size;
  if (is_line(b)) {
    memcpy(to, from, (size_t)(b->n[0] * x->size));
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++)
    copy_element(to + i * b->memory[0] * x->size, from + step_of(b, 0, i) * x->size, x->size);
  return 0;
}

static int read_bits(void *user, const box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  const int64_t from = tile - x->origin;
  uint8_t *to = x->memory + memory;
  if (is_line(b)) {
    sheaf_bits_unpack(to, x->tile, from, b->n[0]);
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++) {
    const int64_t e = from + step_of(b, 0, i);
    to[i * b->memory[0]] = x->tile[e / 8] >> (e % 8) & 1;
  }
  return 0;
}

/* *bytes is where n bytes of the open file are in the scratch buffer; the file is not read again
 * for those that came with what was asked for before. Refuses before allocating when the file is
 * too short. */
static int read_scratch(work *w, int64_t n, int64_t offset, uint8_t **bytes) {
  sheaf_tiles *t = w->t;
  struct stat st;
  const int here = w->held_to > 0 && w->held_file == t->fd_number;
  if (!here || offset < w->held_from || offset + n > w->held_to) {
    const int follows = here && offset >= w->held_to && offset - w->held_to < GAP;
    int64_t want = n;
    if ((follows || (size_t)n > t->nscratch) && fstat(t->fd, &st) == 0) {
      if (offset + n > st.st_size) return short_file(t, offset, (size_t)n, w->err);
      if (follows && want < AHEAD) want = st.st_size - offset < AHEAD ? st.st_size - offset : AHEAD;
    }
    w->held_to = 0;
    int rc = need(&t->scratch, &t->nscratch, (size_t)want, t, w->err);
    if (rc >= 0) rc = read_at(t, t->scratch, (size_t)want, offset, w->err);
    if (rc < 0) return rc;
    w->held_file = t->fd_number;
    w->held_from = offset;
    w->held_to = offset + want;
  }
  *bytes = t->scratch + (offset - w->held_from);
  return 0;
}

static int read_tile(work *w, const window *win, const box *cell, int64_t offset) {
  const int64_t first = win->first + cell->low;
  const int64_t end = win->last - row_stride(w, win->cube) + cell->high + 1;
  transfer x = {.memory = w->buffer, .size = w->l->size};
  int64_t at, n;
  if (w->l->size) {
    at = first * w->l->size;
    n = (end - first) * w->l->size;
    x.origin = first;
  } else {
    at = first / 8;
    n = (end + 7) / 8 - at;
    x.origin = 8 * at;
  }
  const int rc = read_scratch(w, n, offset + at, &x.tile);
  if (rc < 0) return rc;
  for (int i = 0; i < win->npiece; i++) {
    const box b = piece_box(w, win, cell, &w->t->pieces[i]);
    each_line(&b, w->l->size ? read_line : read_bits, &x);
  }
  return 0;
}

/* Whether the rows of the run lie in the file as they do in the buffer. */
static int is_straight(const work *w) {
  return w->full && w->l->size && w->l->cubes[w->run.cube].direct;
}

static int64_t row_bytes(const work *w) {
  return w->memory[w->l->cell_ndim] * memory_size(w->l);
}

static int64_t straight_offset(const work *w) {
  const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
  return c->offset + (w->run.pos[0] + w->at - w->run_at) * row_bytes(w);
}

static int read_straight(work *w) {
  const int64_t bytes = row_bytes(w);
  int64_t n = w->run_left;
  if (swap_unit(w->l) > 1 && n * bytes > WINDOW)
    n = WINDOW / bytes + 1; /* turned round in the cache */
  const int rc =
      read_at(w->t, w->buffer + w->at * bytes, (size_t)(n * bytes), straight_offset(w), w->err);
  if (rc < 0) return rc;
  swap_elements(w->l, w->buffer + w->at * bytes, n * w->memory[w->l->cell_ndim]);
  w->at += n;
  w->run_left -= n;
  return 0;
}

static int read_some(work *w) {
  window win;
  int rc = w->run_left ? 0 : next_run(w);
  if (rc < 0 || (rc = open_file(w->t, w->l->cubes[w->run.cube].file, w->err)) < 0) return rc;
  const int scattered = w->rows->list && w->run_left * row_bytes(w) < STRAIGHT;
  if (is_straight(w) && !scattered) return read_straight(w);
  if ((rc = next_window(w, &win, 0, WINDOW)) < 0) return rc;
  if ((rc = each_tile(w, &win, read_tile)) < 0) return rc;
  swap_elements(w->l, w->buffer + win.row * row_bytes(w), win.nrow * w->memory[w->l->cell_ndim]);
  return 0;
}

int sheaf_tiles_read(sheaf_tiles *t, const sheaf_tiles_rows *rows, const sheaf_tiles_part *part,
                     void *out, size_t size, sheaf_error *err) {
  work w;
  int rc = begin(&w, t, rows, part, out, size, err);
  while (rc >= 0 && w.at < rows->n) rc = read_some(&w);
  return rc < 0 ? rc : 0;
}

/* ---- writing ---- */

static int fill_line(void *user, const box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  uint8_t *to = x->tile + (tile - x->origin) * x->size;
  const uint8_t *from = x->memory + memory * x->size;
  if (is_line(b)) {
    memcpy(to, from, (size_t)(b->n[0] * x->size));
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++)
    copy_element(to + step_of(b, 0, i) * x->size, from + i * b->memory[0] * x->size, x->size);
  return 0;
}

/* Writes n flags as elements first.. of the block at `offset`; bytes shared with others are merged.
 */
static int write_flags(work *w, const uint8_t *flags, int64_t first, int64_t n, int64_t offset) {
  const int64_t at = first / 8, bytes = (first + n + 7) / 8 - at;
  int rc = need(&w->t->scratch2, &w->t->nscratch2, (size_t)bytes, w->t, w->err);
  if (rc < 0) return rc;
  uint8_t *bits = w->t->scratch2;
  if (first % 8 && (rc = read_at(w->t, bits, 1, offset + at, w->err)) < 0) return rc;
  if ((first + n) % 8 && (bytes > 1 || first % 8 == 0) &&
      (rc = read_at(w->t, bits + bytes - 1, 1, offset + at + bytes - 1, w->err)) < 0)
    return rc;
  sheaf_bits_pack(bits, first - 8 * at, flags, n);
  return write_at(w->t, bits, (size_t)bytes, offset + at, w->err);
}

/* What extents are written with: `put` is the block's place in the file. */
typedef struct extents {
  work *w;
  int64_t offset;
} extents;

static int write_values(work *w, const uint8_t *values, int64_t first, int64_t n, int64_t offset) {
  const int size = w->l->size;
  if (swap_unit(w->l) > 1) {
    const int rc = need(&w->t->scratch, &w->t->nscratch, (size_t)(n * size), w->t, w->err);
    if (rc < 0) return rc;
    memcpy(w->t->scratch, values, (size_t)(n * size));
    swap_elements(w->l, w->t->scratch, n);
    values = w->t->scratch;
  }
  return write_at(w->t, values, (size_t)(n * size), offset + first * size, w->err);
}

static int write_line(void *user, const box *b, int64_t tile, int64_t memory) {
  const extents *x = user;
  const int line = is_line(b), size = memory_size(x->w->l);
  const int64_t n = line ? b->n[0] : 1, lines = line ? 1 : b->n[0];
  for (int64_t i = 0; i < lines; i++) {
    const uint8_t *from = x->w->buffer + (memory + i * b->memory[0]) * size;
    const int64_t to = tile + step_of(b, 0, i);
    const int rc = x->w->l->size ? write_values(x->w, from, to, n, x->offset)
                                 : write_flags(x->w, from, to, n, x->offset);
    if (rc < 0) return rc;
  }
  return 0;
}

/* Rows that fill their part of the tile: one write, with zeros where the tile is wider than the
 * cell. */
static int write_rows(work *w, const window *win, const box *b, int64_t offset) {
  const int size = memory_size(w->l);
  const int64_t n = win->last - win->first;
  const int rc = need(&w->t->scratch, &w->t->nscratch, (size_t)(n * size), w->t, w->err);
  if (rc < 0) return rc;
  memset(w->t->scratch, 0, (size_t)(n * size));
  transfer x = {w->buffer, w->t->scratch, win->first, size};
  each_line(b, fill_line, &x);
  if (!w->l->size) return write_flags(w, w->t->scratch, win->first, n, offset);
  swap_elements(w->l, w->t->scratch, n);
  return write_at(w->t, w->t->scratch, (size_t)(n * size), offset + win->first * size, w->err);
}

static int write_tile(work *w, const window *win, const box *cell, int64_t offset) {
  const box b = piece_box(w, win, cell, &w->t->pieces[0]);
  if (cell->covers && !(b.nd == 1 && is_line(&b))) return write_rows(w, win, &b, offset);
  extents x = {w, offset};
  return each_line(&b, write_line, &x);
}

/* Opens the cube's file; it must have its whole length, as a write behind its end would leave a
 * hole. */
static int open_cube(work *w) {
  const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
  int64_t end = c->bucket;
  const int rc = open_file(w->t, c->file, w->err);
  if (rc < 0) return rc;
  for (int i = 0; i < c->ndim; i++) end *= c->ntile[i];
  if (w->t->fd_size < c->offset + end) return short_file(w->t, c->offset, (size_t)end, w->err);
  return note_written(w->t, w->err);
}

static int write_some(work *w) {
  window win;
  int rc = w->run_left ? 0 : next_run(w);
  if (rc < 0 || (rc = open_cube(w)) < 0) return rc;
  if (is_straight(w) && swap_unit(w->l) == 1) {
    const int64_t bytes = row_bytes(w), n = w->run_left;
    rc = write_at(w->t, w->buffer + w->at * bytes, (size_t)(n * bytes), straight_offset(w), w->err);
    w->at += n;
    w->run_left = 0;
    return rc;
  }
  if ((rc = next_window(w, &win, 1, w->l->size ? WINDOW : WINDOW / 8)) < 0) return rc;
  return each_tile(w, &win, write_tile);
}

int sheaf_tiles_write(sheaf_tiles *t, const sheaf_tiles_rows *rows, const sheaf_tiles_part *part,
                      const void *in, size_t size, sheaf_error *err) {
  work w;
  if (!t->writable)
    return sheaf_fail(err, SHEAF_ERR_ARG, "column %s was opened for reading only",
                      t->shared->column);
  int rc = begin(&w, t, rows, part, (uint8_t *)(uintptr_t)in, size, err);
  while (rc >= 0 && w.at < rows->n) rc = write_some(&w);
  return rc < 0 ? rc : 0;
}

void sheaf_tiles_start_writeback(sheaf_tiles *t) {
  if (t->fd >= 0 && t->writable) (void)sync_file_range(t->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

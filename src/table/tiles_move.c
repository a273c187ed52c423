/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <sys/stat.h>

#include "table/bits.h"
#include "table/tiles_impl.h"

enum {
  WINDOW = 1 << 18,   /* bytes moved through the scratch buffer at a time: they stay in the cache */
  STRAIGHT = 1 << 15, /* whole cells in runs of this many bytes are not gathered with others */
  AHEAD =
      1 << 16 /* small tiles that follow each other in the file are read so many bytes at a time */
};

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

static int read_line(void *user, const sheaf_tiles_box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  const uint8_t *from = x->tile + (tile - x->origin) * x->size;
  uint8_t *to = x->memory + memory * x->size;
  if (sheaf_box_is_line(b)) {
    memcpy(to, from, (size_t)(b->n[0] * x->size));
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++)
    copy_element(to + i * b->memory[0] * x->size, from + sheaf_box_step(b, 0, i) * x->size,
                 x->size);
  return 0;
}

static int read_bits(void *user, const sheaf_tiles_box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  const int64_t from = tile - x->origin;
  uint8_t *to = x->memory + memory;
  if (sheaf_box_is_line(b)) {
    sheaf_bits_unpack(to, x->tile, from, b->n[0]);
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++) {
    const int64_t e = from + sheaf_box_step(b, 0, i);
    to[i * b->memory[0]] = x->tile[e / 8] >> (e % 8) & 1;
  }
  return 0;
}

/* *bytes is where n bytes of the open file are in the scratch buffer; the file is not read again
 * for those that came with what was asked for before. Refuses before allocating when the file is
 * too short. */
static int read_scratch(sheaf_tiles_work *w, int64_t n, int64_t offset, uint8_t **bytes) {
  sheaf_tiles *t = w->t;
  struct stat st;
  const int here = w->held_to > 0 && w->held_file == t->fd_number;
  if (!here || offset < w->held_from || offset + n > w->held_to) {
    const int follows = here && offset >= w->held_to && offset - w->held_to < SHEAF_WORK_GAP;
    int64_t want = n;
    if ((follows || (size_t)n > t->nscratch) && fstat(t->fd, &st) == 0) {
      if (offset + n > st.st_size) return sheaf_tiles_short_file(t, offset, (size_t)n, w->err);
      if (follows && want < AHEAD) want = st.st_size - offset < AHEAD ? st.st_size - offset : AHEAD;
    }
    w->held_to = 0;
    int rc = sheaf_tiles_need(&t->scratch, &t->nscratch, (size_t)want, t, w->err);
    if (rc >= 0) rc = sheaf_tiles_read_at(t, t->scratch, (size_t)want, offset, w->err);
    if (rc < 0) return rc;
    w->held_file = t->fd_number;
    w->held_from = offset;
    w->held_to = offset + want;
  }
  *bytes = t->scratch + (offset - w->held_from);
  return 0;
}

static int read_tile(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                     const sheaf_tiles_box *cell, int64_t offset) {
  const int64_t first = win->first + cell->low;
  const int64_t end = win->last - sheaf_work_row_stride(w, win->cube) + cell->high + 1;
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
    const sheaf_tiles_box b = sheaf_work_piece_box(w, win, cell, &w->t->pieces[i]);
    sheaf_box_each_line(&b, w->l->size ? read_line : read_bits, &x);
  }
  return 0;
}

/* Whether the rows of the run lie in the file as they do in the buffer. */
static int is_straight(const sheaf_tiles_work *w) {
  return w->full && w->l->size && w->l->cubes[w->run.cube].direct;
}

static int64_t row_bytes(const sheaf_tiles_work *w) {
  return w->memory[w->l->cell_ndim] * sheaf_tiles_memory_size(w->l);
}

static int64_t straight_offset(const sheaf_tiles_work *w) {
  const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
  return c->offset + (w->run.pos[0] + w->at - w->run_at) * row_bytes(w);
}

static int read_straight(sheaf_tiles_work *w) {
  const int64_t bytes = row_bytes(w);
  int64_t n = w->run_left;
  if (swap_unit(w->l) > 1 && n * bytes > WINDOW)
    n = WINDOW / bytes + 1; /* turned round in the cache */
  const int rc = sheaf_tiles_read_at(w->t, w->buffer + w->at * bytes, (size_t)(n * bytes),
                                     straight_offset(w), w->err);
  if (rc < 0) return rc;
  swap_elements(w->l, w->buffer + w->at * bytes, n * w->memory[w->l->cell_ndim]);
  w->at += n;
  w->run_left -= n;
  return 0;
}

static int read_some(sheaf_tiles_work *w) {
  sheaf_tiles_window win;
  int rc = w->run_left ? 0 : sheaf_work_next_run(w);
  if (rc < 0 || (rc = sheaf_tiles_open_file(w->t, w->l->cubes[w->run.cube].file, w->err)) < 0)
    return rc;
  const int scattered = w->rows->list && w->run_left * row_bytes(w) < STRAIGHT;
  if (is_straight(w) && !scattered) return read_straight(w);
  if ((rc = sheaf_work_next_window(w, &win, 0, WINDOW)) < 0) return rc;
  if ((rc = sheaf_work_each_tile(w, &win, read_tile)) < 0) return rc;
  if (row_bytes(w) > 0) /* otherwise there may be no buffer */
    swap_elements(w->l, w->buffer + win.row * row_bytes(w), win.nrow * w->memory[w->l->cell_ndim]);
  return 0;
}

int sheaf_tiles_read(sheaf_tiles *t, const sheaf_tiles_rows *rows, const sheaf_tiles_part *part,
                     void *out, size_t size, sheaf_error *err) {
  sheaf_tiles_work w;
  int rc = sheaf_work_begin(&w, t, rows, part, out, size, err);
  while (rc >= 0 && w.at < rows->n) rc = read_some(&w);
  return rc < 0 ? rc : 0;
}

/* ---- writing ---- */

static int fill_line(void *user, const sheaf_tiles_box *b, int64_t tile, int64_t memory) {
  const transfer *x = user;
  uint8_t *to = x->tile + (tile - x->origin) * x->size;
  const uint8_t *from = x->memory + memory * x->size;
  if (sheaf_box_is_line(b)) {
    memcpy(to, from, (size_t)(b->n[0] * x->size));
    return 0;
  }
  for (int64_t i = 0; i < b->n[0]; i++)
    copy_element(to + sheaf_box_step(b, 0, i) * x->size, from + i * b->memory[0] * x->size,
                 x->size);
  return 0;
}

/* Writes n flags as elements first.. of the block at `offset`; bytes shared with others are merged.
 */
static int write_flags(sheaf_tiles_work *w, const uint8_t *flags, int64_t first, int64_t n,
                       int64_t offset) {
  const int64_t at = first / 8, bytes = (first + n + 7) / 8 - at;
  int rc = sheaf_tiles_need(&w->t->scratch2, &w->t->nscratch2, (size_t)bytes, w->t, w->err);
  if (rc < 0) return rc;
  uint8_t *bits = w->t->scratch2;
  if (first % 8 && (rc = sheaf_tiles_read_at(w->t, bits, 1, offset + at, w->err)) < 0) return rc;
  if ((first + n) % 8 && (bytes > 1 || first % 8 == 0) &&
      (rc = sheaf_tiles_read_at(w->t, bits + bytes - 1, 1, offset + at + bytes - 1, w->err)) < 0)
    return rc;
  sheaf_bits_pack(bits, first - 8 * at, flags, n);
  return sheaf_tiles_write_at(w->t, bits, (size_t)bytes, offset + at, w->err);
}

/* What extents are written with: `put` is the block's place in the file. */
typedef struct extents {
  sheaf_tiles_work *w;
  int64_t offset;
} extents;

static int write_values(sheaf_tiles_work *w, const uint8_t *values, int64_t first, int64_t n,
                        int64_t offset) {
  const int size = w->l->size;
  if (swap_unit(w->l) > 1) {
    const int rc =
        sheaf_tiles_need(&w->t->scratch, &w->t->nscratch, (size_t)(n * size), w->t, w->err);
    if (rc < 0) return rc;
    memcpy(w->t->scratch, values, (size_t)(n * size));
    swap_elements(w->l, w->t->scratch, n);
    values = w->t->scratch;
  }
  return sheaf_tiles_write_at(w->t, values, (size_t)(n * size), offset + first * size, w->err);
}

static int write_line(void *user, const sheaf_tiles_box *b, int64_t tile, int64_t memory) {
  const extents *x = user;
  const int line = sheaf_box_is_line(b), size = sheaf_tiles_memory_size(x->w->l);
  const int64_t n = line ? b->n[0] : 1, lines = line ? 1 : b->n[0];
  for (int64_t i = 0; i < lines; i++) {
    const uint8_t *from = x->w->buffer + (memory + i * b->memory[0]) * size;
    const int64_t to = tile + sheaf_box_step(b, 0, i);
    const int rc = x->w->l->size ? write_values(x->w, from, to, n, x->offset)
                                 : write_flags(x->w, from, to, n, x->offset);
    if (rc < 0) return rc;
  }
  return 0;
}

/* Rows that fill their part of the tile: one write, with zeros where the tile is wider than the
 * cell. */
static int write_rows(sheaf_tiles_work *w, const sheaf_tiles_window *win, const sheaf_tiles_box *b,
                      int64_t offset) {
  const int size = sheaf_tiles_memory_size(w->l);
  const int64_t n = win->last - win->first;
  const int rc =
      sheaf_tiles_need(&w->t->scratch, &w->t->nscratch, (size_t)(n * size), w->t, w->err);
  if (rc < 0) return rc;
  memset(w->t->scratch, 0, (size_t)(n * size));
  transfer x = {w->buffer, w->t->scratch, win->first, size};
  sheaf_box_each_line(b, fill_line, &x);
  if (!w->l->size) return write_flags(w, w->t->scratch, win->first, n, offset);
  swap_elements(w->l, w->t->scratch, n);
  return sheaf_tiles_write_at(w->t, w->t->scratch, (size_t)(n * size), offset + win->first * size,
                              w->err);
}

static int write_tile(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                      const sheaf_tiles_box *cell, int64_t offset) {
  const sheaf_tiles_box b = sheaf_work_piece_box(w, win, cell, &w->t->pieces[0]);
  if (cell->covers && !(b.nd == 1 && sheaf_box_is_line(&b))) return write_rows(w, win, &b, offset);
  extents x = {w, offset};
  return sheaf_box_each_line(&b, write_line, &x);
}

/* Opens the cube's file; it must have its whole length, as a write behind its end would leave a
 * hole. */
static int open_cube(sheaf_tiles_work *w) {
  const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
  int64_t end = c->bucket;
  const int rc = sheaf_tiles_open_file(w->t, c->file, w->err);
  if (rc < 0) return rc;
  for (int i = 0; i < c->ndim; i++) end *= c->ntile[i];
  if (w->t->fd_size < c->offset + end)
    return sheaf_tiles_short_file(w->t, c->offset, (size_t)end, w->err);
  return sheaf_tiles_note_written(w->t, w->err);
}

static int write_some(sheaf_tiles_work *w) {
  sheaf_tiles_window win;
  int rc = w->run_left ? 0 : sheaf_work_next_run(w);
  if (rc < 0 || (rc = open_cube(w)) < 0) return rc;
  if (is_straight(w) && swap_unit(w->l) == 1) {
    const int64_t bytes = row_bytes(w), n = w->run_left;
    rc = sheaf_tiles_write_at(w->t, w->buffer + w->at * bytes, (size_t)(n * bytes),
                              straight_offset(w), w->err);
    w->at += n;
    w->run_left = 0;
    return rc;
  }
  if ((rc = sheaf_work_next_window(w, &win, 1, w->l->size ? WINDOW : WINDOW / 8)) < 0) return rc;
  return sheaf_work_each_tile(w, &win, write_tile);
}

int sheaf_tiles_write(sheaf_tiles *t, const sheaf_tiles_rows *rows, const sheaf_tiles_part *part,
                      const void *in, size_t size, sheaf_error *err) {
  sheaf_tiles_work w;
  if (!t->writable)
    return sheaf_fail(err, SHEAF_ERR_ARG, "column %s was opened for reading only",
                      t->shared->column);
  int rc = sheaf_work_begin(&w, t, rows, part, (uint8_t *)(uintptr_t)in, size, err);
  while (rc >= 0 && w.at < rows->n) rc = write_some(&w);
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "table/tiles_impl.h"

/* ---- the selection ---- */

static int64_t row_at(const sheaf_tiles_work *w, int64_t i) {
  return w->rows->list ? w->rows->list[i] : w->rows->start + i;
}

static int axis_fails(const sheaf_tiles_work *w, int i, const char *what, int64_t value,
                      int64_t size) {
  return sheaf_fail(w->err, SHEAF_ERR_ARG, "column %s, axis %d: %s %lld, where the cell has %lld",
                    w->t->shared->column, i, what, (long long)value, (long long)size);
}

/* Makes the selection along one axis definite for a cell of `size` elements there. */
static int resolve_axis(sheaf_tiles_work *w, int i, const sheaf_tiles_part *part, int64_t size) {
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
static int check_cube(sheaf_tiles_work *w, int64_t row) {
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

int sheaf_work_begin(sheaf_tiles_work *w, sheaf_tiles *t, const sheaf_tiles_rows *rows,
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
      __builtin_mul_overflow(bytes, sheaf_tiles_memory_size(w->l), &bytes) || (size_t)bytes != size)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "column %s: a buffer of %zu bytes for %lld rows of %lld elements of %d bytes",
                      t->shared->column, size, (long long)rows->n, (long long)n,
                      sheaf_tiles_memory_size(w->l));
  return 0;
}

int sheaf_work_next_run(sheaf_tiles_work *w) {
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

/* Stripe and element of row w->at; returns how many rows from there the tile has. */
static int64_t place(const sheaf_tiles_work *w, const sheaf_layout_cube *c, int64_t *stripe,
                     int64_t *element) {
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

int64_t sheaf_work_row_stride(const sheaf_tiles_work *w, const sheaf_layout_cube *c) {
  return c->ndim > w->l->cell_ndim ? c->stride[w->l->cell_ndim] : c->tilepix;
}

static int64_t file_bytes(const sheaf_tiles_work *w, int64_t elements) {
  return w->l->size ? elements * w->l->size : elements / 8;
}

/* Whether the selection leaves so much out of every row that rows are better read one by one. */
static int is_sparse(const sheaf_tiles_work *w, const sheaf_layout_cube *c) {
  int64_t used = 1;
  if (!c->direct || w->full) return 0;
  for (int i = 0; i < w->l->cell_ndim; i++) {
    const sheaf_tiles_axis *a = &w->axis[i];
    if (a->count > 0)
      used += (a->list ? a->list[a->count - 1] - a->list[0] : a->count - 1) * c->stride[i];
  }
  return file_bytes(w, sheaf_work_row_stride(w, c) - used) > SHEAF_WORK_GAP;
}

int sheaf_work_next_window(sheaf_tiles_work *w, sheaf_tiles_window *win, int single,
                           int64_t max_bytes) {
  const int64_t max = w->l->size ? max_bytes / w->l->size : max_bytes * 8;
  win->npiece = 0;
  win->row = w->at;
  while (w->at < w->rows->n && win->npiece < (single ? 1 : SHEAF_WORK_PIECES)) {
    int64_t stripe, element;
    if (w->run_left == 0) {
      const int rc = sheaf_work_next_run(w);
      if (rc < 0) return rc;
    }
    const sheaf_layout_cube *c = &w->l->cubes[w->run.cube];
    const int64_t stride = sheaf_work_row_stride(w, c), room = place(w, c, &stripe, &element);
    if (win->npiece == 0) {
      *win = (sheaf_tiles_window){.cube = c, .stripe = stripe, .first = element, .row = w->at};
      single |= is_sparse(w, c);
    } else if (c != win->cube || stripe != win->stripe || element < win->last ||
               file_bytes(w, element - win->last) > SHEAF_WORK_GAP ||
               element + stride - win->first > max) {
      break;
    }
    int64_t n = (max - (element - win->first)) / stride;
    if (n < 1 || (single && is_sparse(w, c))) n = 1;
    if (n > room) n = room;
    if (n > w->run_left) n = w->run_left;
    w->t->pieces[win->npiece++] = (sheaf_tiles_piece){n, element, w->at};
    win->last = element + n * stride;
    w->at += n;
    w->run_left -= n;
  }
  win->nrow = w->at - win->row;
  return 0;
}

/* ---- the part of the selection in one tile ---- */

/* Adds an axis; one of a single element only moves the start, one that continues the last is merged
 * with it. */
static void add_axis(sheaf_tiles_box *b, int64_t n, int64_t tile, int64_t memory,
                     const int64_t *list) {
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
static int section(const sheaf_tiles_work *w, const sheaf_layout_cube *c, int i, int64_t origin,
                   sheaf_tiles_box *b) {
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

int sheaf_work_each_tile(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                         int (*tile)(sheaf_tiles_work *w, const sheaf_tiles_window *win,
                                     const sheaf_tiles_box *b, int64_t offset)) {
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
    sheaf_tiles_box b = {.covers = 1};
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

sheaf_tiles_box sheaf_work_piece_box(const sheaf_tiles_work *w, const sheaf_tiles_window *win,
                                     const sheaf_tiles_box *cell, const sheaf_tiles_piece *p) {
  sheaf_tiles_box b = *cell;
  b.tile0 += p->element;
  b.memory0 += p->row * w->memory[w->l->cell_ndim];
  add_axis(&b, p->nrow, sheaf_work_row_stride(w, win->cube), w->memory[w->l->cell_ndim], NULL);
  if (b.nd == 0) {
    b.n[b.nd] = b.tile[b.nd] = b.memory[b.nd] = 1;
    b.nd = 1;
  }
  return b;
}

int sheaf_box_each_line(const sheaf_tiles_box *b,
                        int (*line)(void *user, const sheaf_tiles_box *b, int64_t tile,
                                    int64_t memory),
                        void *user) {
  int64_t at[SHEAF_LAYOUT_AXES] = {0};
  for (;;) {
    int64_t tile = b->tile0, memory = b->memory0;
    for (int i = 1; i < b->nd; i++) {
      tile += sheaf_box_step(b, i, at[i]);
      memory += at[i] * b->memory[i];
    }
    const int rc = line(user, b, tile, memory);
    if (rc < 0) return rc;
    int i = 1;
    for (; i < b->nd && ++at[i] == b->n[i]; i++) at[i] = 0;
    if (i >= b->nd) return 0;
  }
}

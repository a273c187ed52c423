/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "table/tiles_layout.h"

/* First entry of the row map that is >= row (nmap when none); looks at the hint and its neighbour
 * first. */
static int64_t map_index(const sheaf_layout *l, uint64_t row, int64_t *hint) {
  int64_t lo = 0, hi = l->nmap;
  for (int64_t i = *hint; i < *hint + 2 && i < l->nmap; i++)
    if (l->row_map[i] >= row && (i == 0 || l->row_map[i - 1] < row)) return *hint = i;
  while (lo < hi) {
    const int64_t mid = lo + (hi - lo) / 2;
    if (l->row_map[mid] < row)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo < l->nmap) *hint = lo;
  return lo;
}

static void locate_shape(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run) {
  const int64_t i = map_index(l, (uint64_t)row, hint);
  if (i == l->nmap) {
    run->nrow = (int64_t)l->nrow - row;
    return;
  }
  const int64_t behind = (int64_t)l->row_map[i] - row;
  run->nrow = behind + 1;
  if (l->cubes[l->cube_map[i]].ndim == 0) return;
  run->cube = l->cube_map[i];
  run->pos[0] = (int64_t)l->pos_map[i] - behind;
}

static void locate_data(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run) {
  /* here an entry is the START of a stretch: the last one that is <= row */
  int64_t i = map_index(l, (uint64_t)row, hint);
  if (i == l->nmap || l->row_map[i] > (uint64_t)row) i--;
  const uint64_t end = l->last_row < l->nrow ? l->last_row : l->nrow;
  const uint64_t next = i + 1 < l->nmap ? l->row_map[i + 1] : end;
  run->nrow = (int64_t)(next < end ? next : end) - row;
  if (i < 0 || (uint64_t)row >= end) {
    run->nrow = (int64_t)((uint64_t)row >= end ? l->nrow : next) - row;
    return;
  }
  const sheaf_layout_cube *c = &l->cubes[l->cube_map[i]];
  if (c->ndim == 0) return;
  run->cube = l->cube_map[i];
  int64_t d = row - (int64_t)l->row_map[i];
  const int axes = l->ndim - l->cell_ndim;
  for (int a = 0; a < axes - 1; a++) {
    const int64_t n = c->shape[l->cell_ndim + a];
    run->pos[a] = n > 0 ? d % n : 0;
    d = n > 0 ? d / n : 0;
    if (a == 0 && n > 0 && run->nrow > n - run->pos[0]) run->nrow = n - run->pos[0];
  }
  run->pos[axes - 1] = d + l->pos_map[i];
}

static int check_run(const sheaf_layout *l, int64_t row, sheaf_layout_run *run, sheaf_error *err) {
  if (run->nrow > (int64_t)l->nrow - row) run->nrow = (int64_t)l->nrow - row;
  if (run->cube < 0) return 0;
  const sheaf_layout_cube *c = &l->cubes[run->cube];
  for (int a = 0; a < l->ndim - l->cell_ndim; a++) {
    const int64_t n = c->shape[l->cell_ndim + a], last = run->pos[a] + (a ? 0 : run->nrow - 1);
    if (run->pos[a] < 0 || last >= n)
      return sheaf_fail(
          err, SHEAF_ERR_DATA,
          "tiled header is damaged: row %lld at position %lld of cube %lld, which has %lld",
          (long long)row, (long long)last, (long long)run->cube, (long long)n);
  }
  return 0;
}

int sheaf_layout_locate(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run,
                        sheaf_error *err) {
  if (row < 0 || row >= (int64_t)l->nrow)
    return sheaf_fail(err, SHEAF_ERR_ARG, "row %lld: there are %llu rows", (long long)row,
                      (unsigned long long)l->nrow);
  run->nrow = 1;
  run->cube = -1;
  memset(run->pos, 0, sizeof run->pos);
  switch (l->manager) {
    case SHEAF_LAYOUT_SHAPE:
      locate_shape(l, row, hint, run);
      break;
    case SHEAF_LAYOUT_COLUMN:
      run->cube = 0;
      run->pos[0] = row;
      run->nrow = (int64_t)l->nrow - row;
      break;
    case SHEAF_LAYOUT_CELL:
      if (l->cubes[row].ndim) run->cube = row;
      break;
    case SHEAF_LAYOUT_DATA:
      locate_data(l, row, hint, run);
      break;
  }
  return check_run(l, row, run, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_tfcrop.h"

#include <string.h>

#include "kernel/flag_scratch.h"

/* For the widest vectors (flag_lanes.h): 16 floats. */
size_t sheaf_flag_tfcrop_scratch(int64_t nrow, int64_t nchan, int nquantity) {
  const size_t columns = (size_t)(nchan + 15) / 16 * 16, rows = (size_t)nrow;
  const size_t axis = rows > columns ? rows : columns;
  const size_t map = sizeof(float) * rows * columns * (size_t)nquantity;
  const size_t group = map > SHEAF_FLAG_GROUP_BYTES ? map : SHEAF_FLAG_GROUP_BYTES;
  return 4 * 64 * axis + sheaf_flag_scratch_bytes(group);
}

int sheaf_flag_has_good(const sheaf_flag_view *view, int64_t row, const sheaf_flag_quantity *q) {
  const uint8_t *flag = view->flag + row * view->nchan * view->ncorr;
  const int64_t nchan = sheaf_flag_view_channels(view);
  for (int64_t c = 0; c < nchan; c++) {
    const uint8_t *cell = flag + (view->chan ? view->chan[c] : c) * view->ncorr;
    if (!cell[q->a] && !cell[q->b]) return 1;
  }
  return 0;
}

/* ---- in stretches ---- */

static int64_t full_vectors(int64_t n) {
  return (n + SHEAF_FLAG_CROP_LANES - 1) / SHEAF_FLAG_CROP_LANES * SHEAF_FLAG_CROP_LANES;
}

size_t sheaf_flag_crop_scratch(int64_t nrow, int64_t nchan, int nquantity, int64_t stretch) {
  const size_t columns = (size_t)full_vectors(nchan), rows = (size_t)nrow;
  const size_t axis = rows > columns ? rows : columns, n = (size_t)nquantity * columns;
  return 4 * 64 * axis + 2 * sheaf_flag_scratch_bytes(4 * n) +
         sheaf_flag_scratch_bytes(4 * n * (size_t)stretch);
}

void sheaf_flag_crop_begin(sheaf_flag_crop *c, void *scratch) {
  c->columns = full_vectors(c->nchan);
  const size_t axis = (size_t)(c->nrow > c->columns ? c->nrow : c->columns);
  const size_t n = (size_t)(c->nquantity * c->columns);
  c->tile = sheaf_flag_scratch_take(&scratch, 64 * axis);
  c->mean = sheaf_flag_scratch_take(&scratch, 64 * axis);
  c->fit = sheaf_flag_scratch_take(&scratch, 64 * axis);
  c->flag = sheaf_flag_scratch_take(&scratch, 64 * axis);
  c->sum = sheaf_flag_scratch_take(&scratch, 4 * n);
  c->count = sheaf_flag_scratch_take(&scratch, 4 * n);
  c->values = scratch;
}

int sheaf_flag_crop_pass(sheaf_flag_crop *c, int pass) {
  const sheaf_flag_tfcrop_options *o = c->options;
  const int both = o->dimension == SHEAF_FLAG_FREQTIME || o->dimension == SHEAF_FLAG_TIMEFREQ;
  if (pass > both) return 0;
  const int time = o->dimension == SHEAF_FLAG_TIME ||
                   (o->dimension == SHEAF_FLAG_TIMEFREQ && pass == 0) ||
                   (o->dimension == SHEAF_FLAG_FREQTIME && pass == 1);
  const size_t n = (size_t)(c->nquantity * c->columns);
  /* With as many times as channels CASA takes the channels for the time axis, too. */
  c->along_freq = !time || c->nrow == c->nchan;
  c->poly = time ? o->timepoly : o->freqpoly;
  c->tolerance = time ? o->timecutoff : o->freqcutoff;
  c->any = 0;
  memset(c->sum, 0, sizeof *c->sum * n);
  memset(c->count, 0, sizeof *c->count * n);
  return 1;
}

int64_t sheaf_flag_crop_share(const sheaf_flag_crop *c, const sheaf_flag_view *view,
                              const sheaf_flag_maps *maps) {
  const int64_t nchan = sheaf_flag_view_channels(view), ncorr = view->ncorr;
  int64_t total = 0;
  for (int i = 0; i < c->nquantity; i++) {
    const sheaf_flag_quantity *q = &c->quantity[i];
    for (int64_t t = maps->start[0]; q->a != q->b && t < maps->start[1]; t++) {
      int64_t new = 0;
      for (int64_t k = 0; k < nchan; k++) {
        uint8_t *cell =
            view->flag + (maps->row[t] * view->nchan + (view->chan ? view->chan[k] : k)) * ncorr;
        new += cell[q->a] ^ cell[q->b];
        cell[q->a] = cell[q->b] = cell[q->a] | cell[q->b];
      }
      if (new && view->changed) view->changed[maps->row[t]] = 1;
      total += new;
    }
  }
  return total;
}

int64_t sheaf_flag_tfcrop_undo(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_quantity *quantity, int nquantity) {
  int64_t cleared = 0;
  for (int i = 0; i < nquantity; i++) {
    const uint64_t corrs = 1ULL << quantity[i].a | 1ULL << quantity[i].b;
    for (int64_t m = 0; m < maps->nmap; m++) {
      const int64_t *row = maps->row + maps->start[m], n = maps->start[m + 1] - maps->start[m];
      int64_t r = 0;
      while (r < n && !sheaf_flag_has_good(view, row[r], &quantity[i])) r++;
      if (r < n) cleared += sheaf_flag_fill(view, row, n, corrs, 0);
    }
  }
  return cleared;
}

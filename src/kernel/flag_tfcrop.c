/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_tfcrop.h"

#include "kernel/flag_scratch.h"

/* For the widest vectors (flag_lanes.h): 16 floats. */
size_t sheaf_flag_tfcrop_scratch(int64_t nrow, int64_t nchan, int nquantity) {
  const size_t columns = (size_t)(nchan + 15) / 16 * 16, rows = (size_t)nrow;
  const size_t axis = rows > columns ? rows : columns;
  const size_t map = sizeof(float) * rows * columns * (size_t)nquantity;
  const size_t group = map > SHEAF_FLAG_GROUP_BYTES ? map : SHEAF_FLAG_GROUP_BYTES;
  return 4 * 64 * axis + sheaf_flag_scratch_bytes(group);
}

/* Whether a row has a sample of the quantity that is not flagged. */
static int has_good(const sheaf_flag_view *view, int64_t row, const sheaf_flag_quantity *q) {
  const uint8_t *flag = view->flag + row * view->nchan * view->ncorr;
  const int64_t nchan = sheaf_flag_view_channels(view);
  for (int64_t c = 0; c < nchan; c++) {
    const uint8_t *cell = flag + (view->chan ? view->chan[c] : c) * view->ncorr;
    if (!cell[q->a] && !cell[q->b]) return 1;
  }
  return 0;
}

int64_t sheaf_flag_tfcrop_undo(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_quantity *quantity, int nquantity) {
  int64_t cleared = 0;
  for (int i = 0; i < nquantity; i++) {
    const uint64_t corrs = 1ULL << quantity[i].a | 1ULL << quantity[i].b;
    for (int64_t m = 0; m < maps->nmap; m++) {
      const int64_t *row = maps->row + maps->start[m], n = maps->start[m + 1] - maps->start[m];
      int64_t r = 0;
      while (r < n && !has_good(view, row[r], &quantity[i])) r++;
      if (r < n) cleared += sheaf_flag_fill(view, row, n, corrs, 0);
    }
  }
  return cleared;
}

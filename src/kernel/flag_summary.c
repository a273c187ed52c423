/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_summary.h"

#include <string.h>

int sheaf_flag_any(const uint8_t *flag, size_t n) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    uint64_t w[8];
    memcpy(w, flag + i, sizeof w);
    if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) return 1;
  }
  for (; i < n; i++)
    if (flag[i]) return 1;
  return 0;
}

int sheaf_flag_all(const uint8_t *flag, size_t n) {
  return n == 0 || (flag[0] == 1 && memcmp(flag, flag + 1, n - 1) == 0);
}

/* Flags at each place of 8, of n bytes: bytes are summed eight at a time for as long as a byte
 * holds the sum. */
static void count_places(const uint8_t *flag, size_t n, int64_t place[8]) {
  size_t i = 0;
  while (i + 8 <= n) {
    uint64_t sum = 0;
    const size_t end = n - i < (size_t)8 * 255 ? n - 7 : i + (size_t)8 * 255 - 7;
    for (; i < end; i += 8) {
      uint64_t w;
      memcpy(&w, flag + i, sizeof w);
      sum += w;
    }
    uint8_t part[8];
    memcpy(part, &sum, sizeof part);
    for (int k = 0; k < 8; k++) place[k] += part[k];
  }
  for (; i < n; i++) place[i % 8] += flag[i];
}

/* Adds the counts of whole cells to corr[ncorr]; 8 is a multiple of ncorr. */
static void count_span(const uint8_t *flag, int64_t nchan, int64_t ncorr, int64_t *corr) {
  int64_t place[8] = {0};
  count_places(flag, (size_t)(nchan * ncorr), place);
  for (int64_t k = 0; k < 8; k++) corr[k % ncorr] += place[k];
}

enum { CORRS = 64 };

static void count_channels(const sheaf_flag_view *v, const uint8_t *flag, uint64_t corrs,
                           int64_t *corr, int64_t *chan) {
  const int64_t nchan = sheaf_flag_view_channels(v);
  for (int64_t c = 0; c < nchan; c++) {
    const uint8_t *cell = flag + (v->chan ? v->chan[c] : c) * v->ncorr;
    for (int64_t p = 0; p < v->ncorr; p++) {
      if (!(corrs >> p & 1) || !cell[p]) continue;
      corr[p]++;
      if (chan) chan[c]++;
    }
  }
}

int64_t sheaf_flag_count(const sheaf_flag_view *view, const int64_t *row, int64_t n, uint64_t corrs,
                         int64_t *rows, int64_t *corr, int64_t *chan) {
  const int64_t cells = view->nchan * view->ncorr,
                ncorr = view->ncorr < CORRS ? view->ncorr : CORRS;
  const int whole = !view->chan && ncorr && 8 % ncorr == 0;
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) {
    const uint8_t *flag = view->flag + (row ? row[i] : i) * cells;
    int64_t count[CORRS] = {0}, sum = 0;
    if (whole && chan && !sheaf_flag_any(flag, (size_t)cells)) continue;
    if (whole && !chan)
      count_span(flag, view->nchan, ncorr, count);
    else
      count_channels(view, flag, corrs, count, chan);
    for (int64_t p = 0; p < ncorr; p++) {
      if (!(corrs >> p & 1)) continue;
      sum += count[p];
      if (corr) corr[p] += count[p];
    }
    if (rows) rows[i] += sum;
    total += sum;
  }
  return total;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_view.h"

#include <string.h>

static int baseline_before(const int32_t *ant1, const int32_t *ant2, int64_t a, int64_t b) {
  return ant1[a] != ant1[b] ? ant1[a] < ant1[b] : ant2[a] < ant2[b];
}

/* A stable merge sort from the bottom up. */
static void sort_rows(const int32_t *ant1, const int32_t *ant2, int64_t *row, int64_t n,
                      int64_t *scratch) {
  for (int64_t width = 1; width < n; width *= 2)
    for (int64_t left = 0; left + width < n; left += 2 * width) {
      const int64_t middle = left + width, end = n - middle < width ? n : middle + width;
      int64_t i = left, j = middle, k = left;
      if (!baseline_before(ant1, ant2, row[middle], row[middle - 1])) continue;
      memcpy(scratch + left, row + left, sizeof *row * (size_t)(end - left));
      while (i < middle && j < end)
        row[k++] =
            baseline_before(ant1, ant2, scratch[j], scratch[i]) ? scratch[j++] : scratch[i++];
      while (i < middle) row[k++] = scratch[i++];
      while (j < end) row[k++] = scratch[j++];
    }
}

int64_t sheaf_flag_maps_build(const int32_t *ant1, const int32_t *ant2, const int64_t *places,
                              int64_t n, int64_t *row, int64_t *start, int64_t *scratch) {
  int64_t nmap = 0;
  for (int64_t i = 0; i < n; i++) row[i] = places ? places[i] : i;
  sort_rows(ant1, ant2, row, n, scratch);
  for (int64_t i = 0; i < n; i++)
    if (i == 0 || baseline_before(ant1, ant2, row[i - 1], row[i])) start[nmap++] = i;
  start[nmap] = n;
  return nmap;
}

int64_t sheaf_flag_maps_longest(const sheaf_flag_maps *maps) {
  int64_t longest = 0;
  for (int64_t m = 0; m < maps->nmap; m++)
    if (maps->start[m + 1] - maps->start[m] > longest)
      longest = maps->start[m + 1] - maps->start[m];
  return longest;
}

int64_t sheaf_flag_fill(const sheaf_flag_view *view, const int64_t *row, int64_t n, uint64_t corrs,
                        int value) {
  const int64_t nchan = sheaf_flag_view_channels(view), ncorr = view->ncorr;
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t r = row ? row[i] : i;
    uint8_t *flag = view->flag + r * view->nchan * ncorr;
    int64_t new = 0;
    for (int64_t c = 0; c < nchan; c++) {
      uint8_t *cell = flag + (view->chan ? view->chan[c] : c) * ncorr;
      for (int64_t p = 0; p < ncorr; p++) {
        if (!(corrs >> p & 1)) continue;
        new += cell[p] != value;
        cell[p] = (uint8_t)value;
      }
    }
    if (new && view->changed) view->changed[r] = 1;
    total += new;
  }
  return total;
}

static int64_t merge_cells(const uint8_t *from, size_t n, uint8_t *into) {
  int64_t new = 0;
  for (size_t i = 0; i < n; i++) {
    new += from[i] & (into[i] ^ 1);
    into[i] |= from[i];
  }
  return new;
}

int64_t sheaf_flag_merge(const sheaf_flag_view *view, const int64_t *row, int64_t n,
                         const uint8_t *from) {
  const int64_t cells = view->nchan * view->ncorr;
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t r = row ? row[i] : i;
    const int64_t new = merge_cells(from + i * cells, (size_t)cells, view->flag + r * cells);
    if (new && view->changed) view->changed[r] = 1;
    total += new;
  }
  return total;
}

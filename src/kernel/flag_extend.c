/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_extend.h"

#include <string.h>

#include "kernel/flag_scratch.h"
#include "kernel/flag_summary.h"

/* The selected flags of a map, [time][channel][correlation]. */
typedef struct plane {
  uint8_t *flag, *more; /* more: as large; neighbours */
  int32_t *times;       /* [line]: flagged times */
  uint8_t *few, *grown; /* [line] */
  int64_t nrow, nchan, ncorr, line;
  int64_t from, to, whole; /* rows that are counted and stored; rows of the map */
  int32_t corr[64]; /* the correlations */
} plane;

size_t sheaf_flag_extend_scratch(int64_t nrow, int64_t nchan, int64_t ncorr) {
  const size_t line = (size_t)(nchan * ncorr);
  return 2 * sheaf_flag_scratch_bytes((size_t)nrow * line) + sheaf_flag_scratch_bytes(4 * line) +
         2 * sheaf_flag_scratch_bytes(line);
}

static const uint8_t *row_flags(const sheaf_flag_view *v, int64_t row, int64_t c) {
  return v->flag + (row * v->nchan + (v->chan ? v->chan[c] : c)) * v->ncorr;
}

static int whole_rows(const plane *k, const sheaf_flag_view *v) {
  return !v->chan && k->ncorr == v->ncorr;
}

static void plane_load(const plane *k, const sheaf_flag_view *v, const int64_t *row) {
  for (int64_t t = 0; t < k->nrow; t++) {
    uint8_t *to = k->flag + t * k->line;
    if (whole_rows(k, v)) {
      memcpy(to, row_flags(v, row[t], 0), (size_t)k->line);
      continue;
    }
    for (int64_t c = 0; c < k->nchan; c++) {
      const uint8_t *from = row_flags(v, row[t], c);
      for (int64_t p = 0; p < k->ncorr; p++) *to++ = from[k->corr[p]];
    }
  }
}

static int64_t plane_store(const plane *k, const sheaf_flag_view *v, const int64_t *row) {
  int64_t total = 0;
  for (int64_t t = k->from; t < k->to; t++) {
    const uint8_t *from = k->flag + t * k->line;
    int64_t new = 0;
    if (whole_rows(k, v)) {
      uint8_t *to = v->flag + row[t] * k->line;
      if (!memcmp(to, from, (size_t)k->line)) continue;
      for (int64_t i = 0; i < k->line; i++) new += from[i] ^ to[i]; /* only ever more */
      memcpy(to, from, (size_t)k->line);
    } else {
      for (int64_t c = 0; c < k->nchan; c++) {
        uint8_t *to = v->flag + (row_flags(v, row[t], c) - v->flag);
        for (int64_t p = 0; p < k->ncorr; p++, from++) {
          new += *from ^ to[k->corr[p]];
          to[k->corr[p]] = *from;
        }
      }
    }
    if (new && v->changed) v->changed[row[t]] = 1;
    total += new;
  }
  return total;
}

static void merge(uint8_t *restrict to, const uint8_t *restrict from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] |= from[i];
}

/* Unflagged samples with more than 4 flagged ones around. */
static void grow_around(const plane *k) {
  for (int64_t t = 0; t < k->nrow; t++)
    for (int64_t i = 0; i < k->line; i++) {
      if (k->flag[t * k->line + i]) continue;
      int around = 0;
      for (int64_t u = t - 1; u <= t + 1; u++)
        for (int64_t j = i - k->ncorr; j <= i + k->ncorr; j += k->ncorr)
          if (u >= 0 && u < k->nrow && j >= 0 && j < k->line) around += k->flag[u * k->line + j];
      k->more[t * k->line + i] |= around > 4;
    }
}

static void grow_neighbours(const plane *k, const sheaf_flag_extend_options *o) {
  const int64_t line = k->line, all = k->nrow * line;
  memset(k->more, 0, (size_t)all);
  if (o->flagneartime && k->nrow > 1) {
    merge(k->more + line, k->flag, all - line);
    merge(k->more, k->flag + line, all - line);
  }
  for (int64_t t = 0; o->flagnearfreq && t < k->nrow; t++) {
    const int64_t step = k->ncorr;
    merge(k->more + t * line + step, k->flag + t * line, line - step);
    merge(k->more + t * line, k->flag + t * line + step, line - step);
  }
  if (o->growaround) grow_around(k);
  merge(k->flag, k->more, all);
}

/* How often each place of a line is flagged: in bytes for as long as they hold it. */
static void count_times(const plane *k) {
  for (int64_t t = k->from; t < k->to;) {
    const int64_t end = k->to - t < 255 ? k->to : t + 255;
    uint8_t *restrict few = k->few;
    memset(few, 0, (size_t)k->line);
    for (; t < end; t++) {
      const uint8_t *flag = k->flag + t * k->line;
      for (int64_t i = 0; i < k->line; i++) few[i] = (uint8_t)(few[i] + flag[i]);
    }
    for (int64_t i = 0; i < k->line; i++) k->times[i] += few[i];
  }
}

static void grow_freq(const plane *k, double growfreq) {
  const sheaf_flag_view line = {.flag = k->flag, .nchan = k->nchan, .ncorr = k->ncorr};
  for (int64_t t = 0; t < k->nrow; t++) {
    int64_t channels[64] = {0};
    if (!sheaf_flag_count(&line, &t, 1, ~(uint64_t)0, NULL, channels, NULL)) continue;
    for (int64_t p = 0; p < k->ncorr; p++) {
      if (!(100.0 * (double)channels[p] / (double)k->nchan >= growfreq)) continue;
      for (int64_t c = 0; c < k->nchan; c++) k->flag[t * k->line + c * k->ncorr + p] = 1;
    }
  }
}

static void grow_time(const plane *k, double growtime) {
  int any = 0;
  for (int64_t i = 0; i < k->line; i++) {
    k->grown[i] = 100.0 * (double)k->times[i] / (double)k->whole >= growtime;
    any |= k->grown[i];
  }
  for (int64_t t = 0; any && t < k->nrow; t++) merge(k->flag + t * k->line, k->grown, k->line);
}

static void grow_corrs(const plane *k) {
  for (int64_t t = 0; t < k->nrow; t++) {
    uint8_t *flag = k->flag + t * k->line;
    if (!sheaf_flag_any(flag, (size_t)k->line)) continue;
    if (k->ncorr == 2)
      for (int64_t c = 0; c < k->nchan; c++)
        flag[2 * c] = flag[2 * c + 1] = flag[2 * c] | flag[2 * c + 1];
    else
      for (int64_t c = 0; c < k->nchan; c++, flag += k->ncorr)
        if (sheaf_flag_any(flag, (size_t)k->ncorr)) memset(flag, 1, (size_t)k->ncorr);
  }
}

static int64_t extend_map(const plane *k, const sheaf_flag_view *view, const int64_t *row,
                          const sheaf_flag_extend_options *o) {
  plane_load(k, view, row);
  if (!sheaf_flag_any(k->flag, (size_t)(k->nrow * k->line))) return 0;
  if (o->flagneartime || o->flagnearfreq || o->growaround) grow_neighbours(k, o);
  if (o->growtime > 0.0) { /* before any growth */
    memset(k->times, 0, sizeof *k->times * (size_t)k->line);
    count_times(k);
  }
  if (o->growfreq > 0.0) grow_freq(k, o->growfreq);
  if (o->growtime > 0.0) grow_time(k, o->growtime);
  if (o->extendpols && k->ncorr > 1) grow_corrs(k);
  return plane_store(k, view, row);
}

static int map_has_flags(const sheaf_flag_view *view, const int64_t *row, int64_t n) {
  const size_t cells = (size_t)(view->nchan * view->ncorr);
  for (int64_t t = 0; t < n; t++)
    if (sheaf_flag_any(view->flag + (size_t)row[t] * cells, cells)) return 1;
  return 0;
}

static plane plane_make(const sheaf_flag_view *view, const sheaf_flag_extend_options *options,
                        int64_t nrow, void *scratch) {
  plane k = {.nchan = sheaf_flag_view_channels(view)};
  for (int p = 0; p < view->ncorr && p < 64; p++)
    if (options->corrs >> p & 1) k.corr[k.ncorr++] = p;
  k.line = k.nchan * k.ncorr;
  if (k.line <= 0) return k;
  const size_t cells = (size_t)(nrow * k.line);
  k.flag = sheaf_flag_scratch_take(&scratch, cells);
  k.more = sheaf_flag_scratch_take(&scratch, cells);
  k.times = sheaf_flag_scratch_take(&scratch, sizeof *k.times * (size_t)k.line);
  k.few = sheaf_flag_scratch_take(&scratch, (size_t)k.line);
  k.grown = sheaf_flag_scratch_take(&scratch, (size_t)k.line);
  return k;
}

int64_t sheaf_flag_extend(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                          const sheaf_flag_extend_options *options, void *scratch) {
  plane k = plane_make(view, options, sheaf_flag_maps_longest(maps), scratch);
  int64_t nset = 0;
  if (k.line <= 0) return 0;
  for (int64_t m = 0; m < maps->nmap; m++) {
    const int64_t *row = maps->row + maps->start[m];
    k.nrow = k.to = k.whole = maps->start[m + 1] - maps->start[m];
    if (map_has_flags(view, row, k.nrow)) nset += extend_map(&k, view, row, options);
  }
  return nset;
}

/* ---- in stretches ---- */

static plane plane_stretch(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                           const sheaf_flag_extend_options *options,
                           const sheaf_flag_stretch *stretch, int32_t *times, void *scratch) {
  const int64_t nrow = maps->start[1] - maps->start[0];
  plane k = plane_make(view, options, nrow, scratch);
  k.times = times;
  k.nrow = nrow;
  k.from = stretch->from;
  k.to = stretch->to;
  k.whole = stretch->nrow;
  if (k.line > 0) plane_load(&k, view, maps->row + maps->start[0]);
  return k;
}

int64_t sheaf_flag_extend_look(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_extend_options *options,
                               const sheaf_flag_stretch *stretch, int32_t *times, void *scratch) {
  const plane k = plane_stretch(view, maps, options, stretch, times, scratch);
  if (k.line <= 0) return 0;
  if (options->flagneartime || options->flagnearfreq || options->growaround)
    grow_neighbours(&k, options);
  if (options->growtime > 0.0) count_times(&k);
  return plane_store(&k, view, maps->row + maps->start[0]);
}

int64_t sheaf_flag_extend_grow(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_extend_options *options,
                               const sheaf_flag_stretch *stretch, int32_t *times, void *scratch) {
  const plane k = plane_stretch(view, maps, options, stretch, times, scratch);
  if (k.line <= 0) return 0;
  if (options->growfreq > 0.0) grow_freq(&k, options->growfreq);
  if (options->growtime > 0.0) grow_time(&k, options->growtime);
  if (options->extendpols && k.ncorr > 1) grow_corrs(&k);
  return plane_store(&k, view, maps->row + maps->start[0]);
}

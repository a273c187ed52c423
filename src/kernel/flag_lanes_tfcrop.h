/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes_tfcrop.h - mode tfcrop on vectors; internal to flag_lanes_*.c.
 *
 * Maps are worked in groups, so that the fits of a group fill the lanes. Of every quantity there is
 * a plane [time][channel] with flagged values as FLAGGED; statistics run along one axis with the
 * other one in the lanes, in tiles [axis][LANES]. */
#ifndef SHEAF_KERNEL_FLAG_LANES_TFCROP_H
#define SHEAF_KERNEL_FLAG_LANES_TFCROP_H

#include <float.h>

#include "kernel/flag_lanes_fit.h"
#include "kernel/flag_lanes_values.h"
#include "kernel/flag_scratch.h"
#include "kernel/flag_tfcrop.h"

typedef struct crop {
  source s;
  const sheaf_flag_tfcrop_options *options;
  const int64_t *row; /* rows of the group: [map][nrow] */
  int64_t nrow, nset;
  int nmap;
  float *plane; /* [map][quantity][nrow][columns] */
  float *tile;  /* [axis][LANES] */
  lf *mean, *fit;
  li *flag; /* [block of series][axis][LANES] */
  int marks_only; /* outliers are marked in the plane, and not flagged */
} crop;

static float *crop_plane(const crop *k, int series) {
  return k->plane + series * k->nrow * k->s.columns;
}

/* Adds channels c.. of all rows. */
LANES_INLINE void add_rows(const crop *k, int series, int64_t c, lf *sum, li *count) {
  const float *plane = crop_plane(k, series) + c;
  for (int64_t t = 0; t < k->nrow; t++) {
    const lf v = lf_load(plane + t * k->s.columns);
    const li use = (li)v != FLAGGED;
    *sum += lf_keep(v, use);
    *count -= use;
  }
}

/* Column `lane` of mean and flag: means over rows, for each channel. Returns whether there is any.
 */
static int mean_over_rows(const crop *k, int series, float *mean, int32_t *flag) {
  int any = 0;
  for (int64_t c = 0; c < k->s.columns; c += LANES) {
    lf sum = {0};
    li count = {0};
    add_rows(k, series, c, &sum, &count);
    const lf value = lf_keep(sum / li_float(count), count != 0);
    for (int l = 0; l < LANES && c + l < k->s.nchan; l++) {
      mean[(c + l) * LANES] = value[l];
      flag[(c + l) * LANES] = count[l] ? 0 : -1;
      any |= count[l];
    }
  }
  return any;
}

/* The tile of rows t.. , [channel][LANES]; rows past the last are FLAGGED. */
static void tile_turned(const crop *k, int series, int64_t t) {
  const float *plane = crop_plane(k, series) + t * k->s.columns;
  const int64_t rows = k->nrow - t < LANES ? k->nrow - t : LANES;
  for (int64_t c = 0; c < k->s.columns; c += LANES) {
    lf v[LANES];
    for (int l = 0; l < LANES; l++)
      v[l] = l < rows ? lf_load(plane + l * k->s.columns + c) : (lf)li_all(FLAGGED);
    lanes_transpose(v);
    for (int l = 0; l < LANES; l++) lf_store(k->tile + (c + l) * LANES, v[l]);
  }
}

static int mean_over_channels(const crop *k, int series, float *mean, int32_t *flag) {
  int any = 0;
  for (int64_t t = 0; t < k->nrow; t += LANES) {
    lf sum = {0};
    li count = {0};
    tile_turned(k, series, t);
    for (int64_t c = 0; c < k->s.nchan; c++) {
      const lf v = lf_load(k->tile + c * LANES);
      const li use = (li)v != FLAGGED;
      sum += lf_keep(v, use);
      count -= use;
    }
    const lf value = lf_keep(sum / li_float(count), count != 0);
    for (int l = 0; l < LANES && t + l < k->nrow; l++) {
      mean[(t + l) * LANES] = value[l];
      flag[(t + l) * LANES] = count[l] ? 0 : -1;
      any |= count[l];
    }
  }
  return any;
}

/* The tile becomes |V/fit - 1|, NaN where flagged. Returns the lanes that hold a NaN that is not.
 */
LANES_INLINE li tile_distances(float *tile, int64_t n, const float *fit) {
  li nan = {0};
  for (int64_t i = 0; i < n; i++) {
    const lf v = lf_load(tile + i * LANES);
    const lf x = lf_abs(v / fit[i * LANES] - 1.0f);
    nan |= (x != x) & ((li)v != FLAGGED);
    lf_store(tile + i * LANES, x);
  }
  return nan;
}

/* Up to five rounds about a mean of 1. Samples above *limit are outliers; *last: threshold of the
 * last round. */
LANES_INLINE void tile_limits(const float *tile, int64_t n, float tolerance, li nan, lf *limit,
                              lf *last) {
  li done = nan;
  lf before = {0}, deviation = lf_all(NAN), most = lf_all(INFINITY);
  for (int round = 0; round < 5; round++) {
    lf sum = {0};
    li count = {0};
    for (int64_t i = 0; i < n; i++) {
      const lf x = lf_load(tile + i * LANES);
      const li use = x <= most;
      sum += lf_keep(x * x, use);
      count -= use;
    }
    const lf s = lf_sqrt(sum / li_float(count));
    deviation = lf_pick(done, deviation, s);
    const lf threshold = tolerance * s;
    most = lf_pick(~done & (threshold < most), threshold, most);
    done |= (lf_abs(before - s) < 0.1f) | (s != s);
    before = s;
    if (!lanes_bits(~done)) break;
  }
  *limit = most;
  *last = tolerance * deviation;
}

/* usewindowstats, at point i: the mean distance, or rms distance, of a window. Flagged samples
 * count 1. */
static li window_hits(const float *tile, int64_t i, int halfwin, int which, lf last) {
  lf sum = {0}, squares = {0};
  for (int64_t k = i - halfwin; k <= i + halfwin; k++) {
    lf x = lf_load(tile + k * LANES);
    x = lf_pick(x != x, lf_all(1.0f), x);
    sum += x;
    squares += x * x;
  }
  const double n = 2 * halfwin + 1.0;
  li hit;
  for (int l = 0; l < LANES; l++) {
    int h = 0;
    if (which & SHEAF_FLAG_WINDOW_SUM) h |= (double)sum[l] / n > (double)last[l];
    if (which & SHEAF_FLAG_WINDOW_STD) h |= sqrt((double)squares[l] / n) > (double)last[l];
    hit[l] = -h;
  }
  return hit;
}

static void crop_mark(crop *k, int series, int64_t t, int64_t c) {
  const int map = series / k->s.nquantity, q = series % k->s.nquantity;
  float *value = crop_plane(k, series) + t * k->s.columns + c;
  *value = value_none();
  if (!k->marks_only) k->nset += source_set(&k->s, k->s.quantity + q, k->row[map * k->nrow + t], c);
}

/* Statistics of the tile at (t, c), and their flags. */
static void tile_flag(crop *k, int series, int along_freq, int64_t t, int64_t c, const float *fit,
                      float tolerance) {
  const int64_t n = along_freq ? k->s.nchan : k->nrow;
  const int half = k->options->halfwin;
  lf limit, last;
  const li nan = tile_distances(k->tile, n, fit);
  tile_limits(k->tile, n, tolerance, nan, &limit, &last);
  for (int64_t i = 0; i < n; i++) {
    li hit = lf_load(k->tile + i * LANES) > limit;
    if (k->options->windows && i >= half && i < n - half)
      hit |= window_hits(k->tile, i, half, k->options->windows, last);
    for (unsigned bits = lanes_bits(hit); bits; bits &= bits - 1) {
      const int l = __builtin_ctz(bits);
      if (along_freq && t + l < k->nrow) crop_mark(k, series, t + l, i);
      if (!along_freq && c + l < k->s.nchan) crop_mark(k, series, i, c + l);
    }
  }
}

static void crop_flag(crop *k, int series, int along_freq, const float *fit, float tolerance) {
  if (along_freq) {
    for (int64_t t = 0; t < k->nrow; t += LANES) {
      tile_turned(k, series, t);
      tile_flag(k, series, 1, t, 0, fit, tolerance);
    }
    return;
  }
  const float *plane = crop_plane(k, series);
  for (int64_t c = 0; c < k->s.columns; c += LANES) {
    for (int64_t t = 0; t < k->nrow; t++)
      lf_store(k->tile + t * LANES, lf_load(plane + t * k->s.columns + c));
    tile_flag(k, series, 0, 0, c, fit, tolerance);
  }
}

static void crop_pass(crop *k, int along_freq, int poly, float tolerance) {
  const int64_t n = along_freq ? k->s.nchan : k->nrow;
  const int nseries = k->nmap * k->s.nquantity;
  for (int first = 0; first < nseries; first += LANES) {
    const int count = nseries - first < LANES ? nseries - first : LANES;
    const fitting f = {.t = k->mean, .fit = k->fit, .flag = k->flag, .n = n};
    int any[LANES] = {0}, all = 0;
    if (count < LANES) {
      memset(f.t, 0, sizeof *f.t * (size_t)n);
      memset(f.flag, 0xff, sizeof *f.flag * (size_t)n);
    }
    for (int l = 0; l < count; l++) {
      float *mean = (float *)f.t + l;
      int32_t *flag = (int32_t *)f.flag + l;
      any[l] = along_freq ? mean_over_rows(k, first + l, mean, flag)
                          : mean_over_channels(k, first + l, mean, flag);
      all |= any[l];
    }
    if (!all) continue;
    fit_series(&f, poly, k->options->maxnpieces);
    for (int l = 0; l < count; l++)
      if (any[l]) crop_flag(k, first + l, along_freq, (const float *)f.fit + l, tolerance);
  }
}

/* All flags of a combined quantity go to both of its correlations, also those that it had from one.
 */
static void crop_share(crop *k) {
  for (int series = 0; series < k->nmap * k->s.nquantity; series++) {
    const sheaf_flag_quantity *q = k->s.quantity + series % k->s.nquantity;
    const int64_t *row = k->row + series / k->s.nquantity * k->nrow;
    for (int64_t t = 0; q->a != q->b && t < k->nrow; t++)
      for (int64_t c = 0; c < k->s.nchan; c++) {
        int32_t bits;
        memcpy(&bits, crop_plane(k, series) + t * k->s.columns + c, sizeof bits);
        if (bits == FLAGGED) k->nset += source_set(&k->s, q, row[t], c);
      }
  }
}

static void crop_group(crop *k, sheaf_flag_operator op) {
  const sheaf_flag_tfcrop_options *o = k->options;
  const int64_t plane = k->nrow * k->s.columns;
  for (int64_t i = 0; i < k->nmap * k->nrow; i++) {
    if (i + 1 < k->nmap * k->nrow) source_prefetch(&k->s, k->row[i + 1]);
    source_values(&k->s, k->row[i], op,
                  k->plane + i / k->nrow * k->s.nquantity * plane + i % k->nrow * k->s.columns,
                  plane);
  }
  /* With as many times as channels CASA takes the channels for the time axis, too. */
  const int square = k->nrow == k->s.nchan;
  if (o->dimension == SHEAF_FLAG_TIME || o->dimension == SHEAF_FLAG_TIMEFREQ)
    crop_pass(k, square, o->timepoly, o->timecutoff);
  if (o->dimension != SHEAF_FLAG_TIME) crop_pass(k, 1, o->freqpoly, o->freqcutoff);
  if (o->dimension == SHEAF_FLAG_FREQTIME) crop_pass(k, square, o->timepoly, o->timecutoff);
  if (!k->s.plain) crop_share(k);
}

static int64_t tfcrop(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                      const sheaf_flag_quantity *quantity, int nquantity, sheaf_flag_operator op,
                      const sheaf_flag_tfcrop_options *options, void *scratch) {
  crop k = {.s = source_make(view, view->flag, quantity, nquantity), .options = options};
  const int64_t longest = sheaf_flag_maps_longest(maps);
  const int64_t axis = longest > k.s.columns ? longest : k.s.columns;
  if (nquantity == 0 || k.s.nchan == 0) return 0;
  k.tile = sheaf_flag_scratch_take(&scratch, sizeof(lf) * (size_t)axis);
  k.mean = sheaf_flag_scratch_take(&scratch, sizeof(lf) * (size_t)axis);
  k.fit = sheaf_flag_scratch_take(&scratch, sizeof(lf) * (size_t)axis);
  k.flag = sheaf_flag_scratch_take(&scratch, sizeof(li) * (size_t)axis);
  k.plane = scratch;
  for (int64_t m = 0; m < maps->nmap; m += k.nmap) {
    k.row = maps->row + maps->start[m];
    k.nrow = maps->start[m + 1] - maps->start[m];
    k.nmap = 1;
    const size_t bytes = sizeof(float) * (size_t)(k.nrow * k.s.columns * nquantity);
    while (m + k.nmap < maps->nmap && (k.nmap + 1) * nquantity <= LANES &&
           (size_t)(k.nmap + 1) * bytes <= SHEAF_FLAG_GROUP_BYTES &&
           maps->start[m + k.nmap + 1] - maps->start[m + k.nmap] == k.nrow)
      k.nmap++;
    if (k.nrow) crop_group(&k, op);
  }
  return k.nset;
}

/* ---- in stretches (flag_tfcrop.h) ---- */

/* Rows of a stretch, with their values in the planes. */
static crop crop_stretch(const sheaf_flag_crop *c, const sheaf_flag_view *view,
                         const sheaf_flag_maps *maps) {
  crop k = {.s = source_make(view, view->flag, c->quantity, c->nquantity),
            .options = c->options,
            .row = maps->row + maps->start[0],
            .nrow = maps->start[1] - maps->start[0],
            .nmap = 1,
            .plane = c->values,
            .tile = c->tile};
  k.s.columns = c->columns;
  for (int64_t t = 0; t < k.nrow; t++) {
    if (t + 1 < k.nrow) source_prefetch(&k.s, k.row[t + 1]);
    source_values(&k.s, k.row[t], c->op, k.plane + t * k.s.columns, k.nrow * k.s.columns);
  }
  return k;
}

static void crop_means(sheaf_flag_crop *c, const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                       int64_t row0) {
  const crop k = crop_stretch(c, view, maps);
  for (int q = 0; q < c->nquantity; q++) {
    if (!c->along_freq) {
      const int any = mean_over_channels(&k, q, c->mean + row0 * LANES + q, c->flag + row0 * LANES + q);
      c->any |= (any != 0) << q;
      continue;
    }
    for (int64_t at = 0; at < c->columns; at += LANES) {
      float *sums = c->sum + q * c->columns + at;
      int32_t *counts = c->count + q * c->columns + at;
      lf sum = lf_load(sums);
      li count = li_load(counts);
      add_rows(&k, q, at, &sum, &count);
      lf_store(sums, sum);
      li_store(counts, count);
    }
  }
}

static void crop_fit(sheaf_flag_crop *c) {
  const fitting f = {.t = (lf *)(void *)c->mean,
                     .fit = (lf *)(void *)c->fit,
                     .flag = (li *)(void *)c->flag,
                     .n = c->along_freq ? c->nchan : c->nrow};
  for (int64_t i = 0; c->along_freq && i < c->nchan; i++)
    for (int q = 0; q < c->nquantity; q++) {
      const int32_t n = c->count[q * c->columns + i];
      c->mean[i * LANES + q] = n ? c->sum[q * c->columns + i] / (float)n : 0.0f;
      c->flag[i * LANES + q] = n ? 0 : -1;
      c->any |= (n != 0) << q;
    }
  for (int64_t i = 0; i < f.n; i++)
    for (int l = c->nquantity; l < LANES; l++) {
      c->mean[i * LANES + l] = 0.0f;
      c->flag[i * LANES + l] = -1;
    }
  if (c->any) fit_series(&f, c->poly, c->options->maxnpieces);
}

static int64_t crop_stretch_flag(sheaf_flag_crop *c, const sheaf_flag_view *view,
                                 const sheaf_flag_maps *maps) {
  if (!c->any) return 0;
  crop k = crop_stretch(c, view, maps);
  for (int q = 0; q < c->nquantity; q++)
    if (c->any >> q & 1) crop_flag(&k, q, 1, c->fit + q, c->tolerance);
  return k.nset;
}

static void crop_times(sheaf_flag_crop *c, int q, float *values, int64_t width, int64_t from) {
  crop k = {.options = c->options,
            .nrow = c->nrow,
            .nmap = 1,
            .plane = values,
            .tile = c->tile,
            .marks_only = 1};
  k.s.nquantity = 1;
  k.s.columns = width;
  k.s.nchan = c->nchan - from < width ? c->nchan - from : width;
  if (c->any >> q & 1) crop_flag(&k, 0, 0, c->fit + q, c->tolerance);
}

static int64_t crop_marks(const sheaf_flag_crop *c, const sheaf_flag_view *view,
                          const sheaf_flag_maps *maps, int q, const float *values, int64_t width,
                          int64_t from) {
  const source s = source_make(view, view->flag, c->quantity, c->nquantity);
  const int64_t n = maps->start[1] - maps->start[0];
  const int64_t to = c->nchan - from < width ? c->nchan - from : width;
  int64_t nset = 0;
  for (int64_t t = 0; t < n; t++) {
    const float *line = values + t * width;
    for (int64_t i = 0; i < to; i += LANES) {
      unsigned bits = lanes_bits((li)lf_load(line + i) == FLAGGED);
      for (; bits; bits &= bits - 1) {
        const int64_t at = i + __builtin_ctz(bits);
        if (at < to) nset += source_set(&s, c->quantity + q, maps->row[maps->start[0] + t], from + at);
      }
    }
  }
  return nset;
}

#endif

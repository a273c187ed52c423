/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes_rflag.h - mode rflag on vectors; internal to flag_lanes_*.c.
 *
 * A map's quantities are planes [quantity][time][channel] of real and imaginary parts, and of
 * original flags. Medians have spectra in the lanes, all else has channels there. */
#ifndef SHEAF_KERNEL_FLAG_LANES_RFLAG_H
#define SHEAF_KERNEL_FLAG_LANES_RFLAG_H

#include "kernel/flag_lanes_values.h"
#include "kernel/flag_rflag.h"
#include "kernel/flag_scratch.h"

/* A sample as a time window sums it up; zeros when flagged. The squares were rounded to float. */
typedef struct window_sample {
  ld one, re, re2, im, im2;
} window_sample;

typedef struct stats {
  source s;
  const int64_t *row; /* [nrow] of the map */
  int64_t nrow, spectrum0;
  sheaf_flag_stretch at; /* the rows of the map that are worked on */
  float *re, *im;
  uint8_t *flag; /* 1 in what fills the last vector */
  uint8_t *thit,
      *shit; /* [quantity][time][channel]: hits of windows centred there, and of spectra */
  uint8_t *tany, *sany;  /* [quantity][time]: whether there is one */
  window_sample *window; /* [quantity][time] of HALF channels */
  int32_t *tile;         /* [channel][LANES] */
  double *sum, *count;   /* [columns] */
} stats;

static stats stats_make(const sheaf_flag_view *view, const uint8_t *original,
                        const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                        int nquantity, void *scratch) {
  stats k = {.s = source_make(view, original, quantity, nquantity)};
  const size_t columns = (size_t)k.s.columns;
  const size_t spectra = (size_t)(sheaf_flag_maps_longest(maps) * nquantity),
               cells = spectra * columns;
  k.re = sheaf_flag_scratch_take(&scratch, cells * sizeof *k.re);
  k.im = sheaf_flag_scratch_take(&scratch, cells * sizeof *k.im);
  k.flag = sheaf_flag_scratch_take(&scratch, cells);
  k.thit = sheaf_flag_scratch_take(&scratch, cells);
  k.shit = sheaf_flag_scratch_take(&scratch, cells);
  k.tany = sheaf_flag_scratch_take(&scratch, spectra);
  k.sany = sheaf_flag_scratch_take(&scratch, spectra);
  k.window = sheaf_flag_scratch_take(&scratch, spectra * sizeof *k.window);
  k.tile = sheaf_flag_scratch_take(&scratch, columns * sizeof(li));
  k.sum = sheaf_flag_scratch_take(&scratch, columns * sizeof *k.sum);
  k.count = sheaf_flag_scratch_take(&scratch, columns * sizeof *k.count);
  return k;
}

static inline size_t stats_line(const stats *k, int q, int64_t t) {
  return (size_t)(q * k->nrow + t);
}
static inline size_t stats_cell(const stats *k, int q, int64_t t, int64_t c) {
  return stats_line(k, q, t) * (size_t)k->s.columns + (size_t)c;
}

static void parts_split(const float *data, int real, int64_t n, float *re, float *im) {
  if (real) {
    memcpy(re, data, sizeof *re * (size_t)n);
    memset(im, 0, sizeof *im * (size_t)n);
    return;
  }
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    lf a, b;
    value_load(data + 2 * i, 0, &a, &b);
    lf_store(re + i, a);
    lf_store(im + i, b);
  }
  for (; i < n; i++) {
    re[i] = data[2 * i];
    im[i] = data[2 * i + 1];
  }
}

static inline void take_bytes(const uint8_t *from, int64_t ncorr, int64_t a, int64_t n,
                              uint8_t *restrict to) {
  if (ncorr == 2)
    for (int64_t i = 0; i < n; i++) {
      uint16_t cell;
      memcpy(&cell, from + 2 * i, sizeof cell);
      to[i] = (uint8_t)(a ? cell >> 8 : cell & 1);
    }
  else
    for (int64_t i = 0; i < n; i++) to[i] = from[ncorr * i + a];
}

/* Row t of the map into the planes. */
static void stats_row(const stats *k, int64_t t) {
  const source *s = &k->s;
  const int64_t ncorr = s->view->ncorr, block = SPAN / ncorr, row = k->row[t];
  float re[SPAN + LANES], im[SPAN + LANES];
  for (int64_t c = 0; s->plain && c < s->nchan; c += block) {
    const int64_t n = s->nchan - c < block ? s->nchan - c : block;
    const size_t at = (size_t)((row * s->view->nchan + s->first + c) * ncorr);
    parts_split(s->view->data + at * (s->view->real ? 1 : 2), s->view->real, n * ncorr, re, im);
    for (int q = 0; q < s->nquantity; q++) {
      const int32_t a = s->quantity[q].a;
      const size_t cell = stats_cell(k, q, t, c);
      take_every(re, ncorr, a, n, k->re + cell);
      take_every(im, ncorr, a, n, k->im + cell);
      take_bytes(s->flag + at, ncorr, a, n, k->flag + cell);
    }
  }
  for (int q = 0; q < s->nquantity; q++) {
    const size_t line = stats_cell(k, q, t, 0);
    for (int64_t c = 0; !s->plain && c < s->nchan; c++) {
      const size_t cell = source_cell(s, row, c);
      source_value(s, s->quantity + q, cell, k->re + line + c, k->im + line + c);
      k->flag[line + (size_t)c] = (uint8_t)source_flagged(s, s->quantity + q, cell);
    }
    for (int64_t c = s->nchan; c < s->columns; c++) {
      k->re[line + (size_t)c] = k->im[line + (size_t)c] = 0.0f;
      k->flag[line + (size_t)c] = 1;
    }
  }
}

static void stats_map(stats *k, const sheaf_flag_maps *maps, int64_t m,
                      const sheaf_flag_stretch *stretch) {
  k->row = maps->row + maps->start[m];
  k->nrow = maps->start[m + 1] - maps->start[m];
  k->at = stretch ? *stretch : (sheaf_flag_stretch){.nrow = k->nrow, .to = k->nrow};
  k->spectrum0 = (maps->start[m] - maps->start[0]) * k->s.nquantity;
  for (int64_t t = 0; t < k->nrow; t++) {
    if (t + 1 < k->nrow) source_prefetch(&k->s, k->row[t + 1]);
    stats_row(k, t);
  }
}

/* Integers in the order of floats, and back. Samples that take no part are INT32_MAX. */
LANES_INLINE li float_key(li bits) {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
static inline float key_value(int32_t key) {
  const int32_t bits = key ^ ((key >> 31) & 0x7fffffff);
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* Keys of one part of rows t.., [channel][LANES]; returns how many take part. */
LANES_INLINE li key_tile(const stats *k, int q, int64_t t, const float *plane) {
  const int64_t rows = k->at.to - t < LANES ? k->at.to - t : LANES;
  li count = {0};
  for (int64_t c = 0; c < k->s.columns; c += LANES) {
    lf v[LANES];
    for (int l = 0; l < LANES; l++) {
      v[l] = (lf)li_all(FLAGGED);
      if (l >= rows) continue;
      const size_t cell = stats_cell(k, q, t + l, c);
      const lf re = lf_load(k->re + cell), im = lf_load(k->im + cell);
      const li out = lanes_mask(k->flag + cell) | (re != re) | (im != im);
      v[l] = lf_pick(out, v[l], lf_load(plane + cell));
    }
    lanes_transpose(v);
    for (int l = 0; l < LANES; l++) {
      const li bits = (li)v[l], use = bits != FLAGGED;
      count -= use;
      li_store(k->tile + (c + l) * LANES, li_pick(use, float_key(bits), li_all(INT32_MAX)));
    }
  }
  return count;
}

/* The key at place `place` (from 0) of n keys in order, bit by bit: the largest one that not more
 * than `place` keys are below. */
LANES_INLINE li key_select(const int32_t *tile, int64_t n, li place) {
  li key = li_all(INT32_MIN);
  for (int bit = 31; bit >= 0; bit--) {
    const li trial = key ^ (int32_t)(1u << bit);
    li a = {0}, b = {0};
    int64_t i = 0;
    for (; i + 2 <= n; i += 2) {
      a += li_load(tile + i * LANES) < trial;
      b += li_load(tile + (i + 1) * LANES) < trial;
    }
    if (i < n) a += li_load(tile + i * LANES) < trial;
    key = li_pick(-(a + b) <= place, trial, key);
  }
  return key;
}

/* The key at the next place. */
LANES_INLINE li key_next(const int32_t *tile, int64_t n, li key, li place) {
  li count = {0}, next = li_all(INT32_MAX);
  for (int64_t i = 0; i < n; i++) {
    const li x = li_load(tile + i * LANES);
    count -= x <= key;
    next = li_pick((x > key) & (x < next), x, next);
  }
  return li_pick(count > place + 1, key, next);
}

/* Medians and spreads of one part of rows t..; `step` doubles from one row to the next. */
static void tile_medians(const stats *k, int q, int64_t t, const float *plane, double *median,
                         double *spread, int step) {
  const li count = key_tile(k, q, t, plane);
  const li place = (li_pick(count == 0, li_all(1), count) - 1) / 2;
  const li low = key_select(k->tile, k->s.nchan, place);
  const li high = key_next(k->tile, k->s.nchan, low, place);
  for (int l = 0; l < LANES && t + l < k->at.to; l++) {
    double m = 0.0, s = 1000.0;
    if (count[l]) {
      const double a = (double)key_value(low[l]), b = (double)key_value(high[l]);
      const int odd = count[l] % 2;
      m = odd ? a : 0.5 * (b + a);
      s = 1.4826 * (odd ? a - m : 0.5 * ((b - m) + (a - m)));
    }
    median[l * step] = m;
    spread[l * step] = s;
  }
}

static void map_spectra(const stats *k, sheaf_flag_spectrum *out) {
  const int nq = k->s.nquantity, step = 4 * nq;
  for (int q = 0; q < nq; q++)
    for (int64_t t = k->at.from; t < k->at.to; t += LANES) {
      sheaf_flag_spectrum *first = out + k->spectrum0 + (t - k->at.from) * nq + q;
      tile_medians(k, q, t, k->re, &first->re, &first->spread_re, step);
      tile_medians(k, q, t, k->im, &first->im, &first->spread_im, step);
    }
}

/* The window samples of HALF channels from c on. */
LANES_INLINE void window_samples(const stats *k, int64_t c) {
  for (int q = 0; q < k->s.nquantity; q++)
    for (int64_t t = 0; t < k->nrow; t++) {
      const size_t cell = stats_cell(k, q, t, c);
      const ll use = ~lanes_half_mask(k->flag + cell);
      lh re, im;
      memcpy(&re, k->re + cell, sizeof re);
      memcpy(&im, k->im + cell, sizeof im);
      const lh re2 = re * re, im2 = im * im;
      window_sample *w = k->window + stats_line(k, q, t);
      w->one = ld_keep(ld_all(1.0), use);
      w->re = ld_keep(lanes_widen((const float *)&re), use);
      w->re2 = ld_keep(lanes_widen((const float *)&re2), use);
      w->im = ld_keep(lanes_widen((const float *)&im), use);
      w->im2 = ld_keep(lanes_widen((const float *)&im2), use);
    }
}

/* Sums over the 2 half + 1 samples from w on; the number is *n. */
LANES_INLINE ld window_rms(const window_sample *w, int64_t half, ld *n) {
  ld re = {0}, re2 = {0}, im = {0}, im2 = {0};
  *n = (ld){0};
  for (int64_t i = 0; i <= 2 * half; i++) {
    *n += w[i].one;
    re += w[i].re;
    re2 += w[i].re2;
    im += w[i].im;
    im2 += w[i].im2;
  }
  const ld a = re / *n, b = im / *n;
  ld x = re2 / *n - a * a, y = im2 / *n - b * b;
  x = ld_keep(x, x > 0.0);
  y = ld_keep(y, y > 0.0);
  return ld_sqrt(x + y);
}

/* Rows on both sides of a window's centre, and the rows that are such centres. */
typedef struct windows {
  int64_t half, from, to;
} windows;

static windows windows_of(const stats *k, int winsize) {
  const int64_t nrow = k->at.nrow;
  windows w = {.half = ((nrow > winsize ? winsize : nrow) - 1) / 2};
  w.from = w.half - k->at.first;
  w.to = nrow - w.half - k->at.first;
  if (w.from < k->at.from) w.from = k->at.from;
  if (w.to > k->at.to) w.to = k->at.to;
  return w;
}

/* Sums of the run are padded to full vectors while they are added to. */
static void sums_begin(const stats *k, const sheaf_flag_sums *sums) {
  const size_t n = (size_t)k->s.nchan;
  memcpy(k->sum, sums->sum, n * sizeof *k->sum);
  memcpy(k->count, sums->count, n * sizeof *k->count);
}

static void sums_end(const stats *k, const sheaf_flag_sums *sums) {
  const size_t n = (size_t)k->s.nchan;
  memcpy(sums->sum, k->sum, n * sizeof *k->sum);
  memcpy(sums->count, k->count, n * sizeof *k->count);
}

static void map_time(const stats *k, int winsize, const sheaf_flag_sums *sums) {
  const windows w = windows_of(k, winsize);
  sums_begin(k, sums);
  for (int64_t c = 0; c < k->s.nchan; c += HALF) {
    ld sum = ld_load(k->sum + c), count = ld_load(k->count + c);
    window_samples(k, c);
    for (int64_t t = w.from; t < w.to; t++)
      for (int q = 0; q < k->s.nquantity; q++) {
        ld n;
        const ld rms = window_rms(k->window + stats_line(k, q, t - w.half), w.half, &n);
        sum += ld_keep(rms, n > 0.0);
        count += ld_keep(ld_all(1.0), n > 0.0);
      }
    ld_store(k->sum + c, sum);
    ld_store(k->count + c, count);
  }
  sums_end(k, sums);
}

static void map_freq(const stats *k, const sheaf_flag_spectrum *medians,
                     const sheaf_flag_sums *sums) {
  const int nq = k->s.nquantity;
  sums_begin(k, sums);
  for (int64_t c = 0; c < k->s.nchan; c += HALF) {
    ld sum = ld_load(k->sum + c), count = ld_load(k->count + c);
    for (int64_t t = k->at.from; t < k->at.to; t++)
      for (int q = 0; q < nq; q++) {
        const sheaf_flag_spectrum *middle = medians + k->spectrum0 + (t - k->at.from) * nq + q;
        const size_t cell = stats_cell(k, q, t, c);
        const ld re = lanes_widen(k->re + cell), im = lanes_widen(k->im + cell);
        const ll use = ~(lanes_half_mask(k->flag + cell) | (re != re) | (im != im));
        sum += ld_keep(ld_abs(re - middle->re), use);
        sum += ld_keep(ld_abs(im - middle->im), use);
        count += ld_keep(ld_all(2.0), use);
      }
    ld_store(k->sum + c, sum);
    ld_store(k->count + c, count);
  }
  sums_end(k, sums);
}

static void statistics(const sheaf_flag_view *view, const uint8_t *original,
                       const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                       int nquantity, const sheaf_flag_statistics *out, void *scratch) {
  stats k = stats_make(view, original, maps, quantity, nquantity, scratch);
  for (int64_t m = 0; m < maps->nmap; m++) {
    stats_map(&k, maps, m, out->stretch);
    if (out->medians) map_spectra(&k, out->spectra);
    if (out->time) map_time(&k, out->winsize, out->time);
    if (out->freq) map_freq(&k, out->spectra, out->freq);
  }
}

static inline void hit_bits(unsigned bits, uint8_t *hit, uint8_t *any) {
  if (!bits) return;
  *any = 1;
  for (; bits; bits &= bits - 1) hit[__builtin_ctz(bits)] = 1;
}

static void apply_time(const stats *k, const sheaf_flag_rflag_options *o) {
  const windows w = windows_of(k, o->winsize);
  for (int64_t c = 0; c < k->s.nchan; c += HALF) {
    window_samples(k, c);
    for (int q = 0; q < k->s.nquantity; q++)
      for (int64_t t = w.from; t < w.to; t++) {
        ld n;
        const ld rms = window_rms(k->window + stats_line(k, q, t - w.half), w.half, &n);
        hit_bits(lanes_half_bits((rms > o->noise) & (n > 0.0)), k->thit + stats_cell(k, q, t, c),
                 k->tany + stats_line(k, q, t));
      }
  }
}

static void apply_spectrum(const stats *k, const sheaf_flag_rflag_options *o, int q, int64_t t,
                           const sheaf_flag_spectrum *middle) {
  const size_t line = stats_line(k, q, t);
  const int all = middle->spread_re > o->spectralmax || middle->spread_im > o->spectralmax ||
                  middle->spread_re < o->spectralmin || middle->spread_im < o->spectralmin;
  if (all) {
    memset(k->shit + stats_cell(k, q, t, 0), 1, (size_t)k->s.nchan);
    k->sany[line] = 1;
    return;
  }
  for (int64_t c = 0; c < k->s.nchan; c += HALF) {
    const size_t cell = stats_cell(k, q, t, c);
    const ld re = ld_abs(lanes_widen(k->re + cell) - middle->re);
    const ld im = ld_abs(lanes_widen(k->im + cell) - middle->im);
    hit_bits(lanes_half_bits((re > o->cut) | (im > o->cut)), k->shit + cell, k->sany + line);
  }
}

/* Flags the hits of one line at row t. A combined quantity that has one of its correlations flagged
 * is left as it is. */
static int64_t apply_line(const stats *k, int q, int64_t t, const uint8_t *hit) {
  const sheaf_flag_quantity *quantity = k->s.quantity + q;
  int64_t nset = 0;
  for (int64_t c = 0; c < k->s.nchan; c++) {
    uint64_t eight;
    if (c + 8 <= k->s.nchan && (memcpy(&eight, hit + c, sizeof eight), eight == 0)) {
      c += 7;
      continue;
    }
    if (!hit[c]) continue;
    const uint8_t *now = k->s.view->flag + source_cell(&k->s, k->row[t], c);
    if (!now[quantity->a] && !now[quantity->b]) nset += source_set(&k->s, quantity, k->row[t], c);
  }
  return nset;
}

static int64_t apply_map(const stats *k, const sheaf_flag_spectrum *medians,
                         const sheaf_flag_rflag_options *o) {
  const int nq = k->s.nquantity;
  const int64_t half = windows_of(k, o->winsize).half;
  const size_t lines = (size_t)(k->nrow * nq), cells = lines * (size_t)k->s.columns;
  int64_t nset = 0;
  memset(k->thit, 0, cells);
  memset(k->shit, 0, cells);
  memset(k->tany, 0, lines);
  memset(k->sany, 0, lines);
  if (o->noise > 0.0) apply_time(k, o);
  for (int64_t t = k->at.from; o->cut > 0.0 && t < k->at.to; t++)
    for (int q = 0; q < nq; q++)
      apply_spectrum(k, o, q, t, medians + k->spectrum0 + (t - k->at.from) * nq + q);
  for (int64_t t = k->at.from; t < k->at.to; t++) {
    for (int q = 0; q < nq; q++)
      for (int64_t w = t - half; k->tany[stats_line(k, q, t)] && w <= t + half; w++)
        nset += apply_line(k, q, w, k->thit + stats_cell(k, q, t, 0));
    for (int q = 0; q < nq; q++)
      if (k->sany[stats_line(k, q, t)])
        nset += apply_line(k, q, t, k->shit + stats_cell(k, q, t, 0));
  }
  return nset;
}

static int64_t apply(const sheaf_flag_view *view, const uint8_t *original,
                     const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                     int nquantity, const sheaf_flag_spectrum *medians,
                     const sheaf_flag_rflag_options *options, void *scratch) {
  stats k = stats_make(view, original, maps, quantity, nquantity, scratch);
  int64_t nset = 0;
  if (!(options->noise > 0.0) && !(options->cut > 0.0)) return 0;
  for (int64_t m = 0; m < maps->nmap; m++) {
    stats_map(&k, maps, m, options->stretch);
    nset += apply_map(&k, medians, options);
  }
  return nset;
}

#endif

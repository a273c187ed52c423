/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_cases.h - buffers for the tests of the flagging kernels: CASA's cases
 * (data/make_flag_casa.py has the same formula), and random ones. */
#ifndef SHEAF_TESTS_FLAG_CASES_H
#define SHEAF_TESTS_FLAG_CASES_H

#include <math.h>

#include "kernel/flag_variants.h"
#include "kernel/flag_view.h"
#include "support.h"

enum { CASE_TIMES = 26, CASE_BASELINES = 10, CASE_CHANNELS = 30 };

static uint64_t case_mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

/* A buffer with everything that a kernel may want. All arrays are owned. */
typedef struct flag_case {
  int64_t nrow, nchan, ncorr, nmap;
  float *data;
  uint8_t *flag, *now, *changed; /* as it was; what kernels work on */
  int64_t *row, *start;
  int32_t *ant1, *ant2;
  double *time;
  float *sigma; /* [row][corr] */
} flag_case;

static void *case_array(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size);
  assert_non_null(p);
  return p;
}

static void case_allocate(flag_case *k) {
  const size_t rows = (size_t)k->nrow, cells = rows * (size_t)(k->nchan * k->ncorr);
  k->data = case_array(2 * cells, sizeof *k->data);
  k->flag = case_array(cells, 1);
  k->now = case_array(cells, 1);
  k->changed = case_array(rows, 1);
  k->row = case_array(rows, sizeof *k->row);
  k->start = case_array(rows + 1, sizeof *k->start);
  k->ant1 = case_array(rows, sizeof *k->ant1);
  k->ant2 = case_array(rows, sizeof *k->ant2);
  k->time = case_array(rows, sizeof *k->time);
  k->sigma = case_array(rows * (size_t)k->ncorr, sizeof *k->sigma);
}

__attribute__((unused)) static void case_free(flag_case *k) {
  free(k->data);
  free(k->flag);
  free(k->now);
  free(k->changed);
  free(k->row);
  free(k->start);
  free(k->ant1);
  free(k->ant2);
  free(k->time);
  free(k->sigma);
}

static size_t case_cells(const flag_case *k) {
  return (size_t)(k->nrow * k->nchan * k->ncorr);
}

/* The view of a case, with its flags as they were. */
__attribute__((unused)) static sheaf_flag_view case_view(flag_case *k) {
  memcpy(k->now, k->flag, case_cells(k));
  memset(k->changed, 0, (size_t)k->nrow);
  return (sheaf_flag_view){
      .data = k->data, .flag = k->now, .changed = k->changed, .nchan = k->nchan, .ncorr = k->ncorr};
}

static void case_group(flag_case *k) {
  int64_t *scratch_rows = case_array((size_t)k->nrow, sizeof *scratch_rows);
  k->nmap = sheaf_flag_maps_build(k->ant1, k->ant2, NULL, k->nrow, k->row, k->start, scratch_rows);
  free(scratch_rows);
}

__attribute__((unused)) static sheaf_flag_maps case_maps(const flag_case *k) {
  return (sheaf_flag_maps){k->nmap, k->start, k->row};
}

static double case_noise(uint64_t h) {
  int64_t sum = -131070;
  for (int s = 0; s < 64; s += 16) sum += (int64_t)(h >> s & 0xffff);
  return (double)sum / 32768.0;
}

static void case_fill_row(flag_case *k, int64_t r, int t, int m) {
  for (int c = 0; c < CASE_CHANNELS; c++)
    for (int p = 0; p < 2; p++) {
      const uint64_t h = case_mix((uint64_t)(((t * 16 + m) * 64 + c) * 4 + p)), g = case_mix(h);
      const double loud = h % 101 == 0 ? 16.0 : 1.0;
      double re = case_noise(h) * loud + 4.0 + (c - 15) * (c - 15) / 64.0;
      if (c == 7 && t >= 10 && t < 15) re += 20.0;
      const double im = case_noise(g) * loud + p * 0.5 + (t == 17 && m == 2 ? 12.0 : 0.0);
      const int64_t cell = (r * CASE_CHANNELS + c) * 2 + p;
      k->data[2 * cell] = (float)re;
      k->data[2 * cell + 1] = (float)im;
      k->flag[cell] = g % 9 == 0 || (m == 1 && c == 20) || (m == 4 && t == 3);
    }
  for (int p = 0; p < 2; p++) k->sigma[2 * r + p] = (float)(0.5 + (t * 3 + m + p) % 5 / 4.0);
}

/* CASA's case: every row, or with gaps. */
__attribute__((unused)) static flag_case case_casa(int gaps) {
  flag_case k = {.nrow = CASE_TIMES * CASE_BASELINES, .nchan = CASE_CHANNELS, .ncorr = 2};
  int64_t r = 0;
  case_allocate(&k);
  for (int t = 0; t < CASE_TIMES; t++)
    for (int m = 0, a = 0, b = 1; m < CASE_BASELINES; m++, b++) {
      if (b == 5) b = ++a + 1;
      if (gaps && (7 * m + t) % 23 == 0) continue;
      k.ant1[r] = a;
      k.ant2[r] = b;
      k.time[r] = 5.0e9 + 10.0 * t;
      case_fill_row(&k, r++, t, m);
    }
  k.nrow = r;
  case_group(&k);
  return k;
}

static uint64_t case_state = 1;
static int64_t case_random(int64_t n) { /* 0 .. n-1 */
  return (int64_t)(case_mix(++case_state) % (uint64_t)n);
}

/* A random buffer: some rows of each baseline missing, values of some kind, flags of some density.
 * special: with NaN and infinities, too. */
__attribute__((unused)) static flag_case case_make(int64_t ntime, int64_t nchan, int64_t ncorr,
                                                   int64_t nbase, int special) {
  flag_case k = {.nrow = ntime * nbase, .nchan = nchan, .ncorr = ncorr};
  const double offset = case_random(2) ? 5.0 : 0.0, odd[3] = {NAN, INFINITY, -1.0};
  const int64_t density = (const int64_t[]){0, 5, 50, 95, 100}[case_random(5)],
                gaps = case_random(3);
  int64_t r = 0;
  case_allocate(&k);
  for (int64_t t = 0; t < ntime; t++)
    for (int64_t m = 0; m < nbase; m++) {
      if (gaps && case_random(10) == 0) continue;
      k.ant1[r] = (int32_t)(m / 3);
      k.ant2[r] = (int32_t)(m % 3);
      k.time[r] = 10.0 * (double)t;
      for (int64_t i = r * nchan * ncorr; i < (r + 1) * nchan * ncorr; i++) {
        const double loud = case_random(50) ? 1.0 : 20.0;
        k.data[2 * i] = (float)(loud * case_noise(case_mix(++case_state)) + offset);
        k.data[2 * i + 1] = (float)(loud * case_noise(case_mix(++case_state)));
        if (case_random(60) == 0) k.data[2 * i] = k.data[2 * i + 1] = 0.0f;
        if (special && case_random(300) == 0)
          k.data[2 * i + case_random(2)] = (float)odd[case_random(3)];
        k.flag[i] = case_random(100) < density;
      }
      r++;
    }
  k.nrow = r;
  case_group(&k);
  return k;
}

/* A length for an axis: 1 to most, often next to a multiple of the lanes. */
__attribute__((unused)) static int64_t case_length(int64_t most) {
  const int64_t near = 8 * case_random(most / 8 + 1) + case_random(3) - 1;
  const int64_t n = case_random(2) ? near : 1 + case_random(most);
  return n < 1 ? 1 : n > most ? most : n;
}

/* What must hold after a kernel that only sets flags: the number it returned, and the marks of
 * rows. */
__attribute__((unused)) static void case_check_marks(const flag_case *k, int64_t nset) {
  int64_t new = 0;
  for (int64_t r = 0; r < k->nrow; r++) {
    int64_t here = 0;
    for (int64_t i = r * k->nchan * k->ncorr; i < (r + 1) * k->nchan * k->ncorr; i++) {
      assert_true(k->now[i] == 0 || k->now[i] == 1);
      assert_true(k->now[i] >= k->flag[i]);
      here += k->now[i] - k->flag[i];
    }
    assert_int_equal(k->changed[r], here > 0);
    new += here;
  }
  assert_int_equal(new, nset);
}

/* Scratch of exactly that many bytes, with guards that case_scratch_free checks. */
static size_t case_scratch_bytes;
__attribute__((unused)) static void *case_scratch(size_t bytes) {
  case_scratch_bytes = (bytes + 63) / 64 * 64;
  char *p = aligned_alloc(64, case_scratch_bytes + 64);
  assert_non_null(p);
  memset(p, 0xa5, case_scratch_bytes);
  memset(p + bytes, 0x77, case_scratch_bytes + 64 - bytes);
  case_scratch_bytes = bytes;
  return p;
}
__attribute__((unused)) static void case_scratch_free(void *p) {
  for (size_t i = 0; i < 64; i++) assert_int_equal(((uint8_t *)p)[case_scratch_bytes + i], 0x77);
  free(p);
}

#endif

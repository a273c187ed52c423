/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rflag against a naive version, and the ways in which its sums may be divided. */
#include "flag_cases.h"
#include "kernel/flag_rflag.h"

typedef struct rflag_case {
  flag_case k;
  sheaf_flag_quantity q[4];
  int nq, winsize;
  sheaf_flag_spectrum *spectra;
  double *sums[4]; /* time, its count, frequency, its count */
} rflag_case;

static void value(const flag_case *k, const sheaf_flag_quantity *q, int64_t row, int64_t c,
                  float *re, float *im) {
  const float *a = k->data + 2 * ((row * k->nchan + c) * k->ncorr + q->a);
  const float *b = k->data + 2 * ((row * k->nchan + c) * k->ncorr + q->b);
  if (q->form == SHEAF_FLAG_SINGLE) {
    *re = a[0];
    *im = a[1];
  } else {
    *re = (a[0] + b[0]) / 2.0f;
    *im = (a[1] + b[1]) / 2.0f;
  }
}

static int flagged(const flag_case *k, const uint8_t *flag, const sheaf_flag_quantity *q,
                   int64_t row, int64_t c) {
  const uint8_t *cell = flag + (row * k->nchan + c) * k->ncorr;
  return cell[q->a] || cell[q->b];
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x, int64_t n) {
  qsort(x, (size_t)n, sizeof *x, ascending);
  return n % 2 ? x[n / 2] : 0.5 * (x[n / 2] + x[n / 2 - 1]);
}

static sheaf_flag_spectrum naive_spectrum(const flag_case *k, const sheaf_flag_quantity *q,
                                          int64_t row) {
  double *re = case_array((size_t)k->nchan, 8), *im = case_array((size_t)k->nchan, 8);
  sheaf_flag_spectrum s = {0.0, 0.0, 1000.0, 1000.0};
  int64_t n = 0;
  for (int64_t c = 0; c < k->nchan; c++) {
    float a, b;
    value(k, q, row, c, &a, &b);
    if (flagged(k, k->flag, q, row, c) || a != a || b != b) continue;
    re[n] = (double)a;
    im[n++] = (double)b;
  }
  if (n) {
    s.re = median(re, n);
    s.im = median(im, n);
    for (int64_t i = 0; i < n; i++) {
      re[i] -= s.re;
      im[i] -= s.im;
    }
    s.spread_re = 1.4826 * median(re, n);
    s.spread_im = 1.4826 * median(im, n);
  }
  free(re);
  free(im);
  return s;
}

/* The rms of the window at `row`[-half..half]; -1 without samples. */
static double naive_rms(const flag_case *k, const sheaf_flag_quantity *q, const int64_t *row,
                        int64_t half, int64_t c) {
  double re = 0.0, re2 = 0.0, im = 0.0, im2 = 0.0;
  int n = 0;
  for (int64_t w = -half; w <= half; w++) {
    float a, b;
    value(k, q, row[w], c, &a, &b);
    if (flagged(k, k->flag, q, row[w], c)) continue;
    const float a2 = a * a, b2 = b * b;
    re += (double)a;
    re2 += (double)a2;
    im += (double)b;
    im2 += (double)b2;
    n++;
  }
  if (!n) return -1.0;
  const double x = re2 / n - re / n * (re / n), y = im2 / n - im / n * (im / n);
  return sqrt((x > 0.0 ? x : 0.0) + (y > 0.0 ? y : 0.0));
}

static int64_t half_of(int64_t nrow, int winsize) {
  return ((nrow > winsize ? winsize : nrow) - 1) / 2;
}

static void naive_sums(const rflag_case *r, double *sums[4]) {
  const flag_case *k = &r->k;
  for (int64_t c = 0; c < k->nchan; c++)
    for (int64_t m = 0; m < k->nmap; m++) {
      const int64_t nrow = k->start[m + 1] - k->start[m], half = half_of(nrow, r->winsize);
      const int64_t *row = k->row + k->start[m];
      for (int64_t t = 0; t < nrow; t++)
        for (int q = 0; q < r->nq; q++) {
          const double rms =
              t >= half && t < nrow - half ? naive_rms(k, r->q + q, row + t, half, c) : -1.0;
          if (rms >= 0.0) {
            sums[0][c] += rms;
            sums[1][c] += 1.0;
          }
          float re, im;
          value(k, r->q + q, row[t], c, &re, &im);
          if (flagged(k, k->flag, r->q + q, row[t], c) || re != re || im != im) continue;
          const sheaf_flag_spectrum s = naive_spectrum(k, r->q + q, row[t]);
          sums[2][c] += fabs((double)re - s.re);
          sums[2][c] += fabs((double)im - s.im);
          sums[3][c] += 2.0;
        }
    }
}

static void naive_set(const flag_case *k, const sheaf_flag_quantity *q, int64_t row, int64_t c,
                      uint8_t *flag) {
  uint8_t *cell = flag + (row * k->nchan + c) * k->ncorr;
  if (!cell[q->a] && !cell[q->b]) cell[q->a] = cell[q->b] = 1;
}

static void naive_apply(const rflag_case *r, const sheaf_flag_rflag_options *o, uint8_t *flag) {
  const flag_case *k = &r->k;
  for (int64_t m = 0; m < k->nmap; m++) {
    const int64_t nrow = k->start[m + 1] - k->start[m], half = half_of(nrow, o->winsize);
    const int64_t *row = k->row + k->start[m];
    for (int64_t t = 0; t < nrow; t++)
      for (int64_t c = 0; c < k->nchan; c++) {
        for (int q = 0; q < r->nq && t >= half && t < nrow - half; q++)
          if (o->noise > 0.0 && naive_rms(k, r->q + q, row + t, half, c) > o->noise)
            for (int64_t w = t - half; w <= t + half; w++) naive_set(k, r->q + q, row[w], c, flag);
        for (int q = 0; q < r->nq && o->cut > 0.0; q++) {
          const sheaf_flag_spectrum s = naive_spectrum(k, r->q + q, row[t]);
          float re, im;
          value(k, r->q + q, row[t], c, &re, &im);
          if (s.spread_re > o->spectralmax || s.spread_im > o->spectralmax ||
              s.spread_re < o->spectralmin || s.spread_im < o->spectralmin ||
              fabs((double)re - s.re) > o->cut || fabs((double)im - s.im) > o->cut)
            naive_set(k, r->q + q, row[t], c, flag);
        }
      }
  }
}

static rflag_case make(int64_t ntime, int64_t nchan, int64_t ncorr, int64_t nbase, int special,
                       int combined) {
  rflag_case r = {.k = case_make(ntime, nchan, ncorr, nbase, special), .nq = (int)ncorr};
  for (int q = 0; q < r.nq; q++) r.q[q] = (sheaf_flag_quantity){SHEAF_FLAG_SINGLE, q, q};
  if (combined) r.q[0] = (sheaf_flag_quantity){SHEAF_FLAG_HALF_SUM, 0, 1};
  r.winsize = (int)case_random(7) + 1;
  r.spectra = case_array((size_t)(r.k.nrow * r.nq), sizeof *r.spectra);
  for (int i = 0; i < 4; i++) r.sums[i] = case_array((size_t)nchan, sizeof(double));
  return r;
}

static void discard(rflag_case *r) {
  case_free(&r->k);
  free(r->spectra);
  for (int i = 0; i < 4; i++) free(r->sums[i]);
}

static void *scratch_of(const rflag_case *r) {
  const sheaf_flag_maps maps = case_maps(&r->k);
  return case_scratch(sheaf_flag_rflag_scratch(sheaf_flag_maps_longest(&maps), r->k.nchan, r->nq));
}

/* Spectra and sums, `block` maps at a time. */
static void statistics(const sheaf_flag_variant *v, rflag_case *r, int64_t block) {
  const flag_case *k = &r->k;
  const sheaf_flag_view view = case_view(&r->k);
  const sheaf_flag_sums time = {r->sums[0], r->sums[1]}, freq = {r->sums[2], r->sums[3]};
  void *memory = scratch_of(r);
  for (int i = 0; i < 4; i++) memset(r->sums[i], 0, sizeof(double) * (size_t)k->nchan);
  for (int64_t m = 0; m < k->nmap; m += block) {
    const sheaf_flag_maps some = {k->nmap - m < block ? k->nmap - m : block, k->start + m, k->row};
    sheaf_flag_spectrum *spectra = r->spectra + k->start[m] * r->nq;
    const sheaf_flag_statistics out = {1, spectra, &time, r->winsize, &freq, NULL};
    v->statistics(&view, k->flag, &some, r->q, r->nq, &out, memory);
  }
  case_scratch_free(memory);
}

/* A stretch of a map from row t on, with the rows that windows need around it. */
static sheaf_flag_maps stretch_at(const rflag_case *r, int64_t m, int64_t t, int64_t step,
                                  sheaf_flag_stretch *at, int64_t start[2]) {
  const int64_t nrow = r->k.start[m + 1] - r->k.start[m], half = half_of(nrow, r->winsize);
  const int64_t to = t + step < nrow ? t + step : nrow;
  const int64_t first = t > half ? t - half : 0, end = nrow - to > half ? to + half : nrow;
  *at = (sheaf_flag_stretch){.nrow = nrow, .first = first, .from = t - first, .to = to - first};
  start[0] = 0;
  start[1] = end - first;
  return (sheaf_flag_maps){1, start, r->k.row + r->k.start[m] + first};
}

static void statistics_in_stretches(const sheaf_flag_variant *v, rflag_case *r) {
  const flag_case *k = &r->k;
  const sheaf_flag_view view = case_view(&r->k);
  const sheaf_flag_sums time = {r->sums[0], r->sums[1]}, freq = {r->sums[2], r->sums[3]};
  void *memory = scratch_of(r);
  memset(r->spectra, 0xff, sizeof *r->spectra * (size_t)(k->nrow * r->nq));
  for (int i = 0; i < 4; i++) memset(r->sums[i], 0, sizeof(double) * (size_t)k->nchan);
  for (int64_t m = 0; m < k->nmap; m++) {
    const int64_t nrow = k->start[m + 1] - k->start[m], step = 1 + case_random(nrow);
    for (int64_t t = 0; t < nrow; t += step) {
      sheaf_flag_stretch at;
      int64_t start[2];
      const sheaf_flag_maps some = stretch_at(r, m, t, step, &at, start);
      const sheaf_flag_statistics out = {1,          r->spectra + (k->start[m] + t) * r->nq,
                                         &time,      r->winsize,
                                         &freq,      &at};
      v->statistics(&view, k->flag, &some, r->q, r->nq, &out, memory);
    }
  }
  case_scratch_free(memory);
}

/* Thresholds' sums, and flags, in stretches against those of whole maps. */
static void check_stretches(const sheaf_flag_variant *v, rflag_case *r,
                            const sheaf_flag_rflag_options *o) {
  flag_case *k = &r->k;
  const size_t n = case_cells(k), nchan = (size_t)k->nchan;
  const sheaf_flag_maps maps = case_maps(k);
  sheaf_flag_view view = case_view(k);
  uint8_t *whole = case_array(n, 1);
  double *sums[4];
  void *memory = scratch_of(r);
  for (int i = 0; i < 4; i++) {
    sums[i] = case_array(nchan, sizeof(double));
    memcpy(sums[i], r->sums[i], nchan * sizeof(double));
  }
  const int64_t nset = v->apply(&view, k->flag, &maps, r->q, r->nq, r->spectra, o, memory);
  memcpy(whole, k->now, n);
  statistics_in_stretches(v, r);
  for (int i = 0; i < 4; i++) {
    assert_memory_equal(sums[i], r->sums[i], nchan * sizeof(double));
    free(sums[i]);
  }
  view = case_view(k);
  int64_t again = 0;
  for (int64_t m = 0; m < k->nmap; m++) {
    const int64_t nrow = k->start[m + 1] - k->start[m], step = 1 + case_random(nrow);
    for (int64_t t = 0; t < nrow; t += step) {
      sheaf_flag_stretch at;
      int64_t start[2];
      const sheaf_flag_maps some = stretch_at(r, m, t, step, &at, start);
      sheaf_flag_rflag_options here = *o;
      here.stretch = &at;
      again += v->apply(&view, k->flag, &some, r->q, r->nq, r->spectra + (k->start[m] + t) * r->nq,
                        &here, memory);
    }
  }
  assert_int_equal(again, nset);
  assert_memory_equal(whole, k->now, n);
  case_scratch_free(memory);
  free(whole);
}

static void check_spectra(const rflag_case *r) {
  for (int64_t i = 0; i < r->k.nrow; i++)
    for (int q = 0; q < r->nq; q++) {
      const sheaf_flag_spectrum s = naive_spectrum(&r->k, r->q + q, r->k.row[i]),
                                *t = r->spectra + i * r->nq + q;
      assert_true((s.re == t->re || s.re != s.re) && (s.im == t->im || s.im != s.im));
      assert_true(s.spread_re == t->spread_re || s.spread_re != s.spread_re);
      assert_true(s.spread_im == t->spread_im || s.spread_im != s.spread_im);
    }
}

/* Flags before this mode in the same run: original ones and some more. */
static void run_apply(const sheaf_flag_variant *v, rflag_case *r,
                      const sheaf_flag_rflag_options *o) {
  flag_case *k = &r->k;
  const size_t n = case_cells(k);
  uint8_t *original = case_array(n, 1), *expected = case_array(n, 1);
  memcpy(original, k->flag, n);
  memcpy(expected, k->flag, n);
  for (size_t i = 0; i < n; i++) expected[i] |= case_mix(i) % 7 == 0;
  memcpy(k->flag, expected, n);
  const sheaf_flag_view view = case_view(k);
  const sheaf_flag_maps maps = case_maps(k);
  void *memory = scratch_of(r);
  const int64_t nset = v->apply(&view, original, &maps, r->q, r->nq, r->spectra, o, memory);
  case_scratch_free(memory);
  case_check_marks(k, nset);
  memcpy(k->flag, original, n);
  naive_apply(r, o, expected);
  assert_memory_equal(expected, k->now, n);
  free(original);
  free(expected);
}

static void test_random(void **state) {
  (void)state;
  for (int turn = 0; turn < 60; turn++) {
    const int64_t ncorr = (const int64_t[]){1, 2, 3, 4}[case_random(4)];
    rflag_case r = make(case_length(40), case_length(70), ncorr, 1 + case_random(6), turn % 3 == 0,
                        ncorr > 1 && turn % 4 == 0);
    const sheaf_flag_variant *v;
    double *sums[4], *sorted = case_array((size_t)(2 * r.k.nchan), sizeof *sorted);
    for (int i = 0; i < 4; i++) sums[i] = case_array((size_t)r.k.nchan, sizeof(double));
    naive_sums(&r, sums);
    for (int n = 0; (v = sheaf_flag_variant_get(n)); n++) {
      statistics(v, &r, 1 + case_random(4));
      check_spectra(&r);
      for (int i = 0; i < 4; i++)
        for (int64_t c = 0; c < r.k.nchan; c++)
          assert_true(sums[i][c] == r.sums[i][c] ||
                      (sums[i][c] != sums[i][c] && r.sums[i][c] != r.sums[i][c]));
      const sheaf_flag_sums time = {r.sums[0], r.sums[1]}, freq = {r.sums[2], r.sums[3]};
      const sheaf_flag_rflag_options o = {
          r.winsize, (1.0 + turn % 5) * sheaf_flag_rflag_threshold(&time, r.k.nchan, sorted),
          (1.0 + turn % 5) * sheaf_flag_rflag_threshold(&freq, r.k.nchan, sorted),
          turn % 10 == 1 ? 0.1
          : turn % 2     ? -1.0
                         : 0.0,
          turn % 10 == 2 ? 100.0 : 1e6, NULL};
      run_apply(v, &r, &o);
      check_stretches(v, &r, &o);
    }
    for (int i = 0; i < 4; i++) free(sums[i]);
    free(sorted);
    discard(&r);
  }
}

/* Parts of the channels give the bits of all. */
static void test_channels(void **state) {
  (void)state;
  rflag_case r = make(12, 33, 2, 5, 0, 0);
  const sheaf_flag_variant *v = sheaf_flag_variant_get(0);
  int32_t chan[33];
  double parts[4][33] = {{0}};
  statistics(v, &r, 2);
  sheaf_flag_view view = case_view(&r.k);
  const sheaf_flag_maps maps = case_maps(&r.k);
  void *memory = scratch_of(&r);
  memset(r.spectra, 0, (size_t)(r.k.nrow * r.nq) * sizeof *r.spectra);
  sheaf_flag_rflag_spectra(&view, r.k.flag, &maps, r.q, r.nq, r.spectra, memory);
  for (int c = 0; c < 33; c++) chan[c] = c;
  for (int first = 0; first < 33; first += 7) {
    const sheaf_flag_sums time = {parts[0] + first, parts[1] + first},
                          freq = {parts[2] + first, parts[3] + first};
    view.chan = chan + first;
    view.nsel = first + 7 < 33 ? 7 : 33 - first;
    sheaf_flag_rflag_time_sums(&view, r.k.flag, &maps, r.q, r.nq, r.winsize, &time, memory);
    sheaf_flag_rflag_freq_sums(&view, r.k.flag, &maps, r.q, r.nq, r.spectra, &freq, memory);
  }
  for (int i = 0; i < 4; i++) assert_memory_equal(parts[i], r.sums[i], sizeof parts[i]);
  case_scratch_free(memory);
  discard(&r);
}

static void test_threshold(void **state) {
  (void)state;
  double sum[5] = {2.0, 9.0, 0.0, 8.0, 5.0}, count[5] = {2.0, 3.0, 0.0, 2.0, 1.0},
         scratch_space[10];
  const sheaf_flag_sums sums = {sum,
                                count}; /* means 1, 3, 0, 4, 5: median 3, distances 2, 0, 3, 1, 2 */
  assert_true(sheaf_flag_rflag_threshold(&sums, 5, scratch_space) == 3.0 + 1.4826 * 2.0);
  assert_true(sheaf_flag_rflag_threshold(&sums, 4, scratch_space) == 2.0 + 1.4826 * 1.5);
  assert_true(sheaf_flag_rflag_threshold(&sums, 1, scratch_space) == 1.0);
  assert_true(sheaf_flag_rflag_threshold(&sums, 0, scratch_space) == 0.0);
  count[0] = count[1] = count[3] = count[4] = 0.0;
  assert_true(sheaf_flag_rflag_threshold(&sums, 5, scratch_space) == 0.0);
}

static void test_threshold_random(void **state) {
  (void)state;
  double sum[60], count[60], x[60], memory[120];
  for (int turn = 0; turn < 500; turn++) {
    const int64_t n = 1 + case_random(60), kinds = 1 + case_random(50);
    for (int64_t i = 0; i < n; i++) {
      sum[i] = (double)case_random(kinds);
      count[i] = 1.0;
      x[i] = sum[i];
    }
    const double m = median(x, n);
    for (int64_t i = 0; i < n; i++) x[i] = fabs(sum[i] - m);
    const sheaf_flag_sums sums = {sum, count};
    assert_true(sheaf_flag_rflag_threshold(&sums, n, memory) == m + 1.4826 * median(x, n));
  }
}

/* Nothing is done without thresholds, or where they are NaN. */
static void test_off(void **state) {
  (void)state;
  rflag_case r = make(10, 20, 1, 2, 0, 0);
  const double off[] = {0.0, -1.0, NAN};
  statistics(sheaf_flag_variant_get(0), &r, 1);
  for (int i = 0; i < 3; i++) {
    const sheaf_flag_rflag_options o = {3, off[i], off[i], 1.0, 2.0, NULL};
    const sheaf_flag_view view = case_view(&r.k);
    const sheaf_flag_maps maps = case_maps(&r.k);
    void *memory = scratch_of(&r);
    assert_int_equal(
        sheaf_flag_rflag_apply(&view, r.k.flag, &maps, r.q, r.nq, r.spectra, &o, memory), 0);
    case_scratch_free(memory);
  }
  discard(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_channels),
                                     cmocka_unit_test(test_threshold),
                                     cmocka_unit_test(test_threshold_random),
                                     cmocka_unit_test(test_off)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tfcrop against a naive version, one series after the other, and on cases that are plain by hand.
 */
#include "flag_cases.h"
#include "kernel/flag_tfcrop.h"

enum { LONGEST = 150 };

/* A series with flags. */
typedef struct series {
  int n;
  float v[LONGEST], fit[LONGEST];
  int flag[LONGEST];
} series;

static float spread(const series *s, const float *from) { /* about `from`, or about the mean */
  float sum = 0.0f, mean = 0.0f;
  int count = 0;
  for (int i = 0; i < s->n; i++)
    if (!s->flag[i]) {
      sum += s->v[i];
      count++;
    }
  mean = sum / (float)(count ? count : 1);
  sum = 0.0f;
  for (int i = 0; i < s->n; i++)
    if (!s->flag[i])
      sum += (s->v[i] - (from ? from[i] : mean)) * (s->v[i] - (from ? from[i] : mean));
  return sqrtf(sum / (float)(from && !count ? 1 : count));
}

static void naive_fill(series *s) {
  for (int i = 0; i < s->n; i++) {
    if (s->v[i] != 0.0f) continue;
    int next = i;
    while (next < s->n && s->v[next] == 0.0f) next++;
    const float left = i ? s->v[i - 1] : 0.0f, right = next < s->n ? s->v[next] : 0.0f;
    s->v[i] = next == s->n ? left : left == 0.0f ? right : (left + right) / 2.0f;
    if (s->v[i] == 0.0f) s->flag[i] = 1;
  }
}

static void naive_line(series *s, int left, int right, float sd) {
  const float w = sd * sd;
  float S = 0, Sx = 0, Sy = 0, Sxx = 0, Sxy = 0;
  for (int i = left; i <= right; i++)
    if (!s->flag[i]) {
      S += 1.0f / w;
      Sx += (float)i / w;
      Sy += s->v[i] / w;
      Sxx += (float)(i * i) / w;
      Sxy += (float)i * s->v[i] / w;
    }
  const float a = (Sxx * Sy - Sx * Sxy) / (S * Sxx - Sx * Sx),
              b = (S * Sxy - Sx * Sy) / (S * Sxx - Sx * Sx);
  for (int i = left; i <= right; i++) s->fit[i] = a + b * (float)i;
}

static void naive_polynomial(series *s, int left, int right, int d) {
  double N[4][4] = {{0}}, r[4] = {0}, x[4];
  int solved = 1;
  for (int i = left; i <= right; i++) {
    double p[4] = {1.0, i + 1, 0, 0};
    p[2] = p[1] * (i + 1);
    p[3] = p[2] * (i + 1);
    for (int j = 0; j <= d && !s->flag[i]; j++) {
      for (int k = j; k <= d; k++) N[j][k] += p[j] * p[k];
      r[j] += p[j] * (double)s->v[i];
    }
  }
  for (int i = 0; i <= d; i++)
    if (N[i][i] == 0.0) N[i][i] = 1.0;
  for (int i = 0; i <= d; i++) {
    double d0 = N[i][i];
    for (int m = 0; m < i; m++) d0 -= N[m][i] * N[m][i] / N[m][m];
    if (d0 * d0 / N[i][i] <= 0.0) solved = 0;
    N[i][i] = d0;
    for (int k = i + 1; k <= d; k++)
      for (int m = 0; m < i; m++) N[i][k] -= N[m][i] * N[m][k] / N[m][m];
  }
  for (int i = 0; i <= d; i++) {
    x[i] = r[i];
    for (int m = 0; m < i; m++) x[i] -= N[m][i] * x[m] / N[m][m];
  }
  for (int i = d; i >= 0; i--) {
    for (int m = i + 1; m <= d; m++) x[i] -= N[i][m] * x[m];
    x[i] /= N[i][i];
  }
  for (int i = left; i <= right; i++) {
    float f = 0.0f;
    double p = 1.0;
    for (int j = 0; j <= d && solved; j++, p *= i + 1) f = (float)((double)f + x[j] * p);
    s->fit[i] = f;
  }
}

static void naive_fit(series *s, int poly, int maxnpieces) {
  static const int degree[] = {1, 1, 2, 3, 3};
  const int n = s->n;
  naive_fill(s);
  memcpy(s->fit, s->v, sizeof s->fit);
  for (int j = 0; j < 5; j++) {
    const int most = poly ? maxnpieces : 1, pieces = 2 * j + 1 > most ? most : 2 * j + 1;
    const int size = n / pieces, front = n % pieces / 2, d = poly ? degree[j] : 1;
    const float sd = spread(s, NULL);
    for (int q = 0; q < pieces; q++) {
      const int left = q ? front + q * size : 0,
                right = q == pieces - 1 ? n - 1 : front + (q + 1) * size;
      int count = 0;
      for (int i = left; i <= right; i++) count += !s->flag[i];
      if (d == 1 || count <= d)
        naive_line(s, left, right, sd);
      else
        naive_polynomial(s, left, right, d);
    }
    for (int i = 2; i < n - 2; i++) {
      float sum = 0.0f;
      for (int k = i - 2; k <= i + 2; k++) sum += s->fit[k];
      s->fit[i] = sum / 5.0f;
    }
    const float limit = (j < 2 ? 3.0f : 2.0f) * spread(s, s->fit);
    for (int i = 0; i < n; i++) s->flag[i] |= s->v[i] - s->fit[i] > limit;
  }
}

static void naive_outliers(const float *v, const float *fit, int *flag, int n, float tolerance,
                           int windows, int half) {
  float d[LONGEST], before = 0.0f, s = 0.0f;
  for (int i = 0; i < n; i++) d[i] = (flag[i] ? 0.0f : v[i] / fit[i]) - 1.0f;
  for (int round = 0; round < 5; round++) {
    float sum = 0.0f;
    int count = 0;
    for (int i = 0; i < n; i++)
      if (!flag[i]) {
        sum += d[i] * d[i];
        count++;
      }
    s = sqrtf(sum / (float)count);
    for (int i = 0; i < n; i++)
      if (!flag[i] && fabsf(d[i]) > tolerance * s) flag[i] = 1;
    if (fabsf(before - s) < 0.1) break;
    before = s;
  }
  for (int i = half; windows && i < n - half; i++) {
    float sum = 0.0f, squares = 0.0f;
    for (int k = i - half; k <= i + half; k++) {
      sum += fabsf(d[k]);
      squares += d[k] * d[k];
    }
    if ((windows & SHEAF_FLAG_WINDOW_SUM) && sum / (2 * half + 1.0) > tolerance * s) flag[i] = 1;
    if ((windows & SHEAF_FLAG_WINDOW_STD) && sqrt(squares / (2 * half + 1.0)) > tolerance * s)
      flag[i] = 1;
  }
}

/* v and flag [n][m], the first index fitted. */
static void naive_pass(int n, int m, float v[LONGEST][LONGEST], int flag[LONGEST][LONGEST],
                       int poly, float tolerance, const sheaf_flag_tfcrop_options *o) {
  static series s;
  int any = 0;
  s.n = n;
  for (int i = 0; i < n; i++) {
    float sum = 0.0f;
    int count = 0;
    for (int k = 0; k < m; k++)
      if (!flag[i][k]) {
        sum += v[i][k];
        count++;
      }
    s.v[i] = count ? sum / (float)count : 0.0f;
    s.flag[i] = !count;
    any |= count;
  }
  if (!any) return;
  naive_fit(&s, poly, o->maxnpieces);
  for (int k = 0; k < m; k++) {
    float one[LONGEST];
    int bad[LONGEST];
    for (int i = 0; i < n; i++) {
      one[i] = v[i][k];
      bad[i] = flag[i][k];
    }
    naive_outliers(one, s.fit, bad, n, tolerance, o->windows, o->halfwin);
    for (int i = 0; i < n; i++) flag[i][k] = bad[i];
  }
}

static float value_of(sheaf_flag_operator op, float re, float im) {
  switch (op) {
    case SHEAF_FLAG_REAL:
      return re;
    case SHEAF_FLAG_IMAG:
      return im;
    case SHEAF_FLAG_ARG:
      return atan2f(im, re);
    case SHEAF_FLAG_NORM:
      return re * re + im * im;
    default:
      return (float)sqrt((double)re * (double)re + (double)im * (double)im);
  }
}

/* The agent's channels of one map and correlation; flags go to `expected`. */
static void naive_map(const flag_case *k, const int64_t *row, int nrow, const int32_t *chan,
                      int nchan, int corr, sheaf_flag_operator op,
                      const sheaf_flag_tfcrop_options *o, uint8_t *expected) {
  static float v[2][LONGEST][LONGEST]; /* [time][chan], [chan][time] */
  static int flag[2][LONGEST][LONGEST];
  static const int passes[4][2] = {{1, -1}, {0, -1}, {1, 0}, {0, 1}};
  for (int t = 0; t < nrow; t++)
    for (int c = 0; c < nchan; c++) {
      const int64_t i = (row[t] * k->nchan + chan[c]) * k->ncorr + corr;
      v[0][t][c] = v[1][c][t] = value_of(op, k->data[2 * i], k->data[2 * i + 1]);
      flag[0][t][c] = flag[1][c][t] = k->flag[i];
    }
  for (int p = 0; p < 2 && passes[o->dimension][p] >= 0; p++) {
    const int freq = passes[o->dimension][p], channels = freq || nrow == nchan;
    naive_pass(channels ? nchan : nrow, channels ? nrow : nchan, v[channels], flag[channels],
               freq ? o->freqpoly : o->timepoly, freq ? o->freqcutoff : o->timecutoff, o);
    for (int t = 0; t < nrow; t++)
      for (int c = 0; c < nchan; c++) {
        if (channels)
          flag[0][t][c] = flag[1][c][t];
        else
          flag[1][c][t] = flag[0][t][c];
      }
  }
  for (int t = 0; t < nrow; t++)
    for (int c = 0; c < nchan; c++)
      expected[(row[t] * k->nchan + chan[c]) * k->ncorr + corr] = (uint8_t)flag[0][t][c];
}

static sheaf_flag_tfcrop_options random_options(void) {
  return (sheaf_flag_tfcrop_options){.timecutoff = (float)(1.5 + 0.5 * (double)case_random(5)),
                                     .freqcutoff = (float)(1.5 + 0.5 * (double)case_random(5)),
                                     .timepoly = (int)case_random(2),
                                     .freqpoly = (int)case_random(2),
                                     .maxnpieces = (int)case_random(9) + 1,
                                     .dimension = (sheaf_flag_dimension)case_random(4),
                                     .windows = case_random(2) ? (int)case_random(4) : 0,
                                     .halfwin = (int)case_random(3) + 1};
}

static int64_t run(const sheaf_flag_variant *v, flag_case *k, const int32_t *chan, int64_t nsel,
                   const sheaf_flag_quantity *q, int nq, sheaf_flag_operator op,
                   const sheaf_flag_tfcrop_options *o) {
  sheaf_flag_view view = case_view(k);
  const sheaf_flag_maps maps = case_maps(k);
  view.chan = chan;
  view.nsel = nsel;
  void *memory = case_scratch(sheaf_flag_tfcrop_scratch(sheaf_flag_maps_longest(&maps),
                                                        sheaf_flag_view_channels(&view), nq));
  const int64_t n = v->tfcrop(&view, &maps, q, nq, op, o, memory);
  case_scratch_free(memory);
  return n;
}

/* One map's rows from..to-1 as a map. */
static sheaf_flag_maps rows_of(const sheaf_flag_maps *maps, int64_t m, int64_t from, int64_t to,
                               int64_t start[2]) {
  start[0] = 0;
  start[1] = to - from;
  return (sheaf_flag_maps){1, start, maps->row + maps->start[m] + from};
}

/* Values of some channels at all times, as a caller keeps them: [row][width]. */
static void take_values(const sheaf_flag_crop *c, int q, int64_t n, int64_t from, int64_t width,
                        float *to) {
  for (int64_t t = 0; t < n; t++)
    for (int64_t i = 0; i < width; i++)
      to[t * width + i] = from + i < c->columns ? c->values[(q * n + t) * c->columns + from + i] : 0;
}

/* A pass over one map in stretches of `step` rows, channels 16 at a time along time. */
static int64_t stretch_pass(const sheaf_flag_variant *v, sheaf_flag_crop *c,
                            const sheaf_flag_view *view, const sheaf_flag_maps *maps, int64_t m,
                            int64_t step) {
  enum { WIDTH = 16 };
  const int64_t groups = (c->columns + WIDTH - 1) / WIDTH, all = c->nrow * WIDTH;
  float *values = case_array((size_t)(c->nquantity * groups * all), sizeof *values);
  int64_t start[2], n = 0;
  for (int64_t t = 0, to; t < c->nrow; t = to) {
    to = t + step < c->nrow ? t + step : c->nrow;
    const sheaf_flag_maps some = rows_of(maps, m, t, to, start);
    v->crop_means(c, view, &some, t);
    for (int64_t i = 0; i < c->nquantity * groups; i++)
      take_values(c, (int)(i / groups), to - t, i % groups * WIDTH, WIDTH,
                  values + i * all + t * WIDTH);
  }
  v->crop_fit(c);
  for (int64_t i = 0; !c->along_freq && i < c->nquantity * groups; i++)
    v->crop_times(c, (int)(i / groups), values + i * all, WIDTH, i % groups * WIDTH);
  for (int64_t t = 0, to; c->any && t < c->nrow; t = to) {
    to = t + (step + 1) / 2 < c->nrow ? t + (step + 1) / 2 : c->nrow; /* cut otherwise */
    const sheaf_flag_maps some = rows_of(maps, m, t, to, start);
    if (c->along_freq) n += v->crop_flag(c, view, &some);
    for (int64_t i = 0; !c->along_freq && i < c->nquantity * groups; i++)
      if (c->any >> i / groups & 1)
        n += v->crop_marks(c, view, &some, (int)(i / groups), values + i * all + t * WIDTH, WIDTH,
                           i % groups * WIDTH);
  }
  free(values);
  return n;
}

static int64_t run_in_stretches(const sheaf_flag_variant *v, flag_case *k, const int32_t *chan,
                                int64_t nsel, const sheaf_flag_quantity *q, int nq,
                                sheaf_flag_operator op, const sheaf_flag_tfcrop_options *o) {
  sheaf_flag_view view = case_view(k);
  const sheaf_flag_maps maps = case_maps(k);
  int64_t n = 0;
  view.chan = chan;
  view.nsel = nsel;
  for (int64_t m = 0; m < maps.nmap; m++) {
    const int64_t nrow = maps.start[m + 1] - maps.start[m], step = 1 + case_random(nrow);
    sheaf_flag_crop c = {.options = o,
                         .quantity = q,
                         .nquantity = nq,
                         .op = op,
                         .nrow = nrow,
                         .nchan = sheaf_flag_view_channels(&view),
                         .stretch = step};
    int64_t start[2];
    void *memory = case_scratch(sheaf_flag_crop_scratch(nrow, c.nchan, nq, step));
    sheaf_flag_crop_begin(&c, memory);
    for (int pass = 0; c.nchan && sheaf_flag_crop_pass(&c, pass); pass++)
      n += stretch_pass(v, &c, &view, &maps, m, step);
    const sheaf_flag_maps all = rows_of(&maps, m, 0, nrow, start);
    if (q->form != SHEAF_FLAG_SINGLE) n += sheaf_flag_crop_share(&c, &view, &all);
    case_scratch_free(memory);
  }
  return n;
}

static void try_random(int turn) {
  static const int64_t corrs[] = {1, 2, 3, 4};
  const int64_t ncorr = corrs[case_random(4)], ntime = case_length(80),
                nchan = turn % 9 ? case_length(140) : ntime;
  flag_case k = case_make(ntime, nchan, ncorr, 1 + case_random(7), turn % 3 == 0);
  const sheaf_flag_tfcrop_options o = random_options();
  const sheaf_flag_operator op = (sheaf_flag_operator)case_random(5);
  const int some = case_random(2) == 0, nq = (int)case_random(ncorr) + 1;
  const sheaf_flag_variant *v;
  sheaf_flag_quantity q[4];
  int32_t chan[LONGEST];
  int64_t nsel = 0;
  uint8_t *expected = case_array(case_cells(&k), 1);
  memcpy(expected, k.flag, case_cells(&k));
  for (int64_t c = 0; c < k.nchan; c++)
    if (!some || case_random(3)) chan[nsel++] = (int32_t)c;
  for (int i = 0; i < nq; i++)
    q[i] = (sheaf_flag_quantity){SHEAF_FLAG_SINGLE, nq - 1 - i, nq - 1 - i};
  for (int64_t m = 0; m < k.nmap; m++)
    for (int i = 0; i < nq; i++)
      naive_map(&k, k.row + k.start[m], (int)(k.start[m + 1] - k.start[m]), chan, (int)nsel, q[i].a,
                op, &o, expected);
  for (int i = 0; (v = sheaf_flag_variant_get(i)); i++) {
    case_check_marks(&k, run(v, &k, some ? chan : NULL, nsel, q, nq, op, &o));
    for (size_t cell = 0; cell < case_cells(&k); cell++)
      if (expected[cell] != k.now[cell]) fail_msg("turn %d, %s: cell %zu", turn, v->name, cell);
    case_check_marks(&k, run_in_stretches(v, &k, some ? chan : NULL, nsel, q, nq, op, &o));
    for (size_t cell = 0; cell < case_cells(&k); cell++)
      if (expected[cell] != k.now[cell]) fail_msg("turn %d, %s: stretches, cell %zu", turn, v->name, cell);
  }
  free(expected);
  case_free(&k);
}

/* A quantity of two correlations in stretches is what it is as a whole. */
static void test_combined_stretches(void **state) {
  (void)state;
  static const sheaf_flag_form forms[] = {SHEAF_FLAG_HALF_SUM, SHEAF_FLAG_HALF_DIFF,
                                          SHEAF_FLAG_HALF_DIFF_I};
  for (int turn = 0; turn < 60; turn++) {
    flag_case k = case_make(case_length(60), case_length(70), 2 + case_random(3), 1 + case_random(3),
                            turn % 3 == 0);
    const sheaf_flag_tfcrop_options o = random_options();
    const sheaf_flag_operator op = (sheaf_flag_operator)case_random(5);
    const sheaf_flag_quantity q = {forms[turn % 3], (int32_t)(turn % 2), (int32_t)(k.ncorr - 1)};
    const sheaf_flag_variant *v;
    uint8_t *whole = case_array(case_cells(&k), 1);
    for (int i = 0; (v = sheaf_flag_variant_get(i)); i++) {
      const int64_t n = run(v, &k, NULL, 0, &q, 1, op, &o);
      memcpy(whole, k.now, case_cells(&k));
      assert_int_equal(run_in_stretches(v, &k, NULL, 0, &q, 1, op, &o), n);
      assert_memory_equal(whole, k.now, case_cells(&k));
    }
    free(whole);
    case_free(&k);
  }
}

static void test_random(void **state) {
  (void)state;
  for (int turn = 0; turn < 250; turn++) try_random(turn);
}

static const sheaf_flag_quantity first = {SHEAF_FLAG_SINGLE, 0, 0};
static const sheaf_flag_tfcrop_options standard = {4.0f, 3.0f, 0, 1, 7, SHEAF_FLAG_FREQTIME, 0, 1};

/* Amplitudes 1 but for one of 10: it alone goes. */
static void test_spike(void **state) {
  (void)state;
  flag_case k = case_make(20, 40, 1, 1, 0);
  const sheaf_flag_variant *v;
  k.nrow = 20;
  for (int64_t r = 0; r < 20; r++) {
    k.ant1[r] = k.ant2[r] = 0;
    for (int64_t c = 0; c < 40; c++) {
      k.flag[r * 40 + c] = 0;
      k.data[2 * (r * 40 + c)] = r == 11 && c == 17 ? 10.0f : 1.0f + (float)((r + c) % 3) / 64.0f;
      k.data[2 * (r * 40 + c) + 1] = 0.0f;
    }
  }
  case_group(&k);
  for (int i = 0; (v = sheaf_flag_variant_get(i)); i++) {
    assert_int_equal(run(v, &k, NULL, 0, &first, 1, SHEAF_FLAG_ABS, &standard), 1);
    assert_int_equal(k.now[11 * 40 + 17], 1);
  }
  case_free(&k);
}

/* A NaN makes its bandpass NaN: nothing is flagged, not even itself; neither with all flagged, nor
 * with nothing at all. */
static void test_nothing(void **state) {
  (void)state;
  flag_case k = case_make(9, 17, 1, 1, 0);
  const sheaf_flag_variant *v;
  memset(k.flag, 0, case_cells(&k));
  for (int64_t c = 0; c < 17; c++) k.data[2 * c] = NAN;
  for (int i = 0; (v = sheaf_flag_variant_get(i)); i++)
    assert_int_equal(run(v, &k, NULL, 0, &first, 1, SHEAF_FLAG_ABS, &standard), 0);
  memset(k.flag, 1, case_cells(&k));
  for (int i = 0; (v = sheaf_flag_variant_get(i)); i++) {
    assert_int_equal(run(v, &k, NULL, 0, &first, 1, SHEAF_FLAG_ABS, &standard), 0);
    assert_int_equal(run(v, &k, NULL, 0, &first, 0, SHEAF_FLAG_ABS, &standard), 0);
    k.nmap = 0;
    assert_int_equal(run(v, &k, NULL, 0, &first, 1, SHEAF_FLAG_ABS, &standard), 0);
    k.nmap = 1;
  }
  case_free(&k);
}

/* The same whether maps are worked together or one by one. */
static void test_groups(void **state) {
  (void)state;
  flag_case k = case_make(30, 50, 2, 9, 0);
  const sheaf_flag_quantity q[2] = {{SHEAF_FLAG_SINGLE, 0, 0}, {SHEAF_FLAG_SINGLE, 1, 1}};
  uint8_t *together = case_array(case_cells(&k), 1);
  run(sheaf_flag_variant_get(0), &k, NULL, 0, q, 2, SHEAF_FLAG_ABS, &standard);
  memcpy(together, k.now, case_cells(&k));
  const sheaf_flag_view view = case_view(&k);
  void *memory = case_scratch(sheaf_flag_tfcrop_scratch(30, 50, 2));
  for (int64_t m = k.nmap - 1; m >= 0; m--) {
    const sheaf_flag_maps one = {1, k.start + m, k.row};
    sheaf_flag_tfcrop(&view, &one, q, 2, SHEAF_FLAG_ABS, &standard, memory);
  }
  assert_memory_equal(together, k.now, case_cells(&k));
  case_scratch_free(memory);
  free(together);
  case_free(&k);
}

/* Whether a sample of the quantity is flagged. */
static int is_bad(const flag_case *k, const uint8_t *flag, int64_t row, int64_t c,
                  const sheaf_flag_quantity *q) {
  const uint8_t *cell = flag + (row * k->nchan + c) * k->ncorr;
  return cell[q->a] || cell[q->b];
}

static void naive_undo(const flag_case *k, uint8_t *flag, int64_t first_chan,
                       const sheaf_flag_quantity *q) {
  for (int64_t m = 0; m < k->nmap; m++) {
    int good = 0;
    for (int64_t i = k->start[m]; i < k->start[m + 1]; i++)
      for (int64_t c = first_chan; c < k->nchan; c++) good |= !is_bad(k, flag, k->row[i], c, q);
    for (int64_t i = k->start[m]; good && i < k->start[m + 1]; i++)
      for (int64_t c = first_chan; c < k->nchan; c++)
        flag[(k->row[i] * k->nchan + c) * k->ncorr + q->a] =
            flag[(k->row[i] * k->nchan + c) * k->ncorr + q->b] = 0;
  }
}

/* Undoing clears what is flagged, map by map and quantity by quantity; rows that change are told.
 */
static void test_undo(void **state) {
  (void)state;
  for (int turn = 0; turn < 60; turn++) {
    flag_case k = case_make(case_length(12), case_length(20), 2, 1 + case_random(7), 0);
    const sheaf_flag_quantity q[3] = {
        {SHEAF_FLAG_SINGLE, 1, 1}, {SHEAF_FLAG_HALF_SUM, 0, 1}, {SHEAF_FLAG_SINGLE, 0, 0}};
    const int nq = turn % 4;
    const int64_t from = turn % 3 && k.nchan ? 1 : 0;
    int32_t chan[LONGEST];
    for (size_t i = 0; turn % 5 == 0 && i < case_cells(&k); i++)
      k.flag[i] |= (uint8_t)(i % 2 == 0); /* one correlation wholly */
    uint8_t *expected = case_array(case_cells(&k), 1);
    memcpy(expected, k.flag, case_cells(&k));
    for (int i = 0; i < nq; i++) naive_undo(&k, expected, from, &q[i]);
    sheaf_flag_view view = case_view(&k);
    for (int64_t c = from; c < k.nchan; c++) chan[c - from] = (int32_t)c;
    view.chan = from ? chan : NULL;
    view.nsel = k.nchan - from;
    const sheaf_flag_maps maps = case_maps(&k);
    int64_t cleared = sheaf_flag_tfcrop_undo(&view, &maps, q, nq);
    assert_memory_equal(expected, k.now, case_cells(&k));
    for (int64_t r = 0; r < k.nrow; r++) {
      const int64_t cells = k.nchan * k.ncorr;
      assert_int_equal(k.changed[r],
                       memcmp(k.now + r * cells, k.flag + r * cells, (size_t)cells) != 0);
      for (int64_t i = r * cells; i < (r + 1) * cells; i++) cleared -= k.flag[i] - k.now[i];
    }
    assert_int_equal(cleared, 0);
    free(expected);
    case_free(&k);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                     cmocka_unit_test(test_combined_stretches), cmocka_unit_test(test_spike),
                                     cmocka_unit_test(test_nothing), cmocka_unit_test(test_groups),
                                     cmocka_unit_test(test_undo)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

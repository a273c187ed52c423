/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clip, extend, averages, rules on rows, counts, and what all of them share. */
#include <float.h>

#include "flag_cases.h"
#include "kernel/flag_average.h"
#include "kernel/flag_extend.h"
#include "kernel/flag_rules.h"
#include "kernel/flag_summary.h"

static const sheaf_flag_quantity singles[4] = {{0, 0, 0}, {0, 1, 1}, {0, 2, 2}, {0, 3, 3}};

/* ---- views ---- */

static void test_maps(void **state) {
  (void)state;
  const int32_t ant1[] = {1, 0, 1, 0, 0, 2}, ant2[] = {0, 1, 0, 0, 1, 2};
  const int64_t places[] = {0, 1, 2, 3, 5};
  int64_t row[6], start[7], memory[6];
  assert_int_equal(sheaf_flag_maps_build(ant1, ant2, NULL, 6, row, start, memory), 4);
  assert_memory_equal(row, ((int64_t[]){3, 1, 4, 0, 2, 5}), sizeof row);
  assert_memory_equal(start, ((int64_t[]){0, 1, 3, 5, 6}), 5 * sizeof *start);
  assert_int_equal(sheaf_flag_maps_build(ant1, ant2, places, 5, row, start, memory), 4);
  assert_memory_equal(row, ((int64_t[]){3, 1, 0, 2, 5}), 5 * sizeof *row);
  assert_int_equal(sheaf_flag_maps_build(ant1, ant2, NULL, 0, row, start, memory), 0);
  assert_int_equal(start[0], 0);
}

static void test_maps_random(void **state) {
  (void)state;
  int32_t ant1[200], ant2[200];
  int64_t row[200], start[201], memory[200];
  for (int turn = 0; turn < 200; turn++) {
    const int64_t n = case_random(200);
    for (int64_t i = 0; i < n; i++) {
      ant1[i] = (int32_t)case_random(5);
      ant2[i] = (int32_t)case_random(5);
    }
    const int64_t nmap = sheaf_flag_maps_build(ant1, ant2, NULL, n, row, start, memory);
    assert_int_equal(start[nmap], n);
    for (int64_t m = 0; m < nmap; m++)
      for (int64_t i = start[m]; i < start[m + 1]; i++) {
        const int key = ant1[row[i]] * 10 + ant2[row[i]];
        if (i == 0) continue;
        const int before = ant1[row[i - 1]] * 10 + ant2[row[i - 1]];
        assert_true(i == start[m] ? key > before : key == before && row[i] > row[i - 1]);
      }
  }
}

static void test_fill(void **state) {
  (void)state;
  flag_case k = case_make(5, 9, 2, 3, 0);
  const int32_t chan[] = {1, 2, 7};
  memset(k.flag, 0, case_cells(&k));
  sheaf_flag_view view = case_view(&k);
  const int64_t row[] = {0, 2};
  view.chan = chan;
  view.nsel = 3;
  assert_int_equal(sheaf_flag_fill(&view, row, 2, 2, 1), 6);
  case_check_marks(&k, 6);
  assert_true(k.now[1 * 2 + 1] && k.now[(2 * 9 + 7) * 2 + 1] && !k.now[1 * 2] &&
              !k.now[(9 + 1) * 2 + 1]);
  view.chan = NULL;
  assert_int_equal(sheaf_flag_fill(&view, NULL, k.nrow, 3, 0), 6);
  assert_false(sheaf_flag_any(k.now, case_cells(&k)));
  case_free(&k);
}

/* ---- clip ---- */

static float clip_value(sheaf_flag_operator op, const float *x) {
  switch (op) {
    case SHEAF_FLAG_REAL:
      return x[0];
    case SHEAF_FLAG_IMAG:
      return x[1];
    case SHEAF_FLAG_ARG:
      return atan2f(x[1], x[0]);
    case SHEAF_FLAG_NORM:
      return x[0] * x[0] + x[1] * x[1];
    default:
      return (float)sqrt((double)x[0] * (double)x[0] + (double)x[1] * (double)x[1]);
  }
}

static int naive_clip(float x, const sheaf_flag_clip_options *o) {
  const double y = (double)x;
  if (o->limits && o->outside && (y > o->max || y < o->min)) return 1;
  if (o->limits && !o->outside && o->min <= y && y <= o->max) return 1;
  return isinf(x) || isnan(x) || (o->zeros && x <= FLT_EPSILON);
}

static void test_clip_random(void **state) {
  (void)state;
  static const float scales[] = {1.0f, 1.0f, 1e-22f, 1e-8f, 1e19f, 3e37f, 1e-40f};
  for (int turn = 0; turn < 2000; turn++) {
    const int64_t ncorr = case_random(4) + 1;
    flag_case k = case_make(3, case_length(40), ncorr, 2, turn % 2);
    const sheaf_flag_operator op = (sheaf_flag_operator)case_random(5);
    const float scale = scales[case_random(7)];
    const int nq = (int)case_random(ncorr) + 1;
    for (size_t i = 0; i < 2 * case_cells(&k); i++) k.data[i] *= scale;
    const size_t n = case_cells(&k);
    sheaf_flag_clip_options o = {case_random(4) > 0, 0.0, 1.0, (int)case_random(2),
                                 case_random(3) == 0, case_random(4) == 0};
    /* Limits are often a value that is there. */
    if (n && case_random(3)) o.min = (double)clip_value(op, k.data + 2 * case_random((int64_t)n));
    if (n && case_random(3)) o.max = (double)clip_value(op, k.data + 2 * case_random((int64_t)n));
    if (case_random(9) == 0) o.max = nextafter(o.max, 0.0);
    if (case_random(9) == 0) o.min = -INFINITY;
    if (case_random(9) == 0) o.max = INFINITY;
    const sheaf_flag_variant *v;
    for (int i = 0; (v = sheaf_flag_variant_get(i)); i++) {
      const sheaf_flag_view view = case_view(&k);
      int64_t changed = v->clip(&view, NULL, k.nrow, singles, nq, op, &o);
      if (!o.clears) case_check_marks(&k, changed);
      for (size_t cell = 0; cell < n; cell++) {
        const int hit =
            (int)(cell % (size_t)ncorr) < nq && naive_clip(clip_value(op, k.data + 2 * cell), &o);
        assert_int_equal(k.now[cell], o.clears ? k.flag[cell] & !hit : k.flag[cell] | hit);
        changed -= k.now[cell] != k.flag[cell];
      }
      assert_int_equal(changed, 0);
    }
    case_free(&k);
  }
}

static void test_clip_by_hand(void **state) {
  (void)state;
  float data[] = {3,   4, 0,        0, 0,      -5.5f,
                  NAN, 0, INFINITY, 0, 1e-40f, 0}; /* moduli 5, 0, 5.5, NaN, Inf, tiny */
  uint8_t flag[6] = {0};
  const sheaf_flag_view view = {.data = data, .flag = flag, .nchan = 6, .ncorr = 1};
  sheaf_flag_clip_options o = {1, 1.0, 5.0, 1, 0, 0};
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_ABS, &o), 5);
  assert_memory_equal(flag, ((uint8_t[]){0, 1, 1, 1, 1, 1}), 6);
  memset(flag, 0, 6);
  o.outside = 0;
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_ABS, &o), 3);
  assert_memory_equal(flag, ((uint8_t[]){1, 0, 0, 1, 1, 0}), 6);
  memset(flag, 0, 6);
  o = (sheaf_flag_clip_options){.limits = 1}; /* what is 0 */
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_ABS, &o), 3);
  assert_memory_equal(flag, ((uint8_t[]){0, 1, 0, 1, 1, 0}), 6);
  o.clears = 1;
  flag[0] = 1;
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_ABS, &o), 3);
  assert_memory_equal(flag, ((uint8_t[]){1, 0, 0, 0, 0, 0}), 6);
  memset(flag, 0, 6);
  o = (sheaf_flag_clip_options){.zeros = 1};
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_ABS, &o), 4);
  assert_memory_equal(flag, ((uint8_t[]){0, 1, 0, 1, 1, 1}), 6);
  memset(flag, 0, 6);
  /* the imaginary parts, negative ones count as zero */
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, singles, 1, SHEAF_FLAG_IMAG, &o), 5);
  assert_memory_equal(flag, ((uint8_t[]){0, 1, 1, 1, 1, 1}), 6);
}

static void test_clip_combined(void **state) {
  (void)state;
  float data[] = {1, 0, 3, 0, 5,
                  0, 1, 0}; /* RR, LL of two channels: I = 2, 3; V = -1/i = 0 + 1i, 4/(2i) = -2i */
  uint8_t flag[4] = {0};
  const sheaf_flag_view view = {.data = data, .flag = flag, .nchan = 2, .ncorr = 2};
  const sheaf_flag_quantity i = {SHEAF_FLAG_HALF_SUM, 0, 1}, v = {SHEAF_FLAG_HALF_DIFF_I, 0, 1};
  const sheaf_flag_clip_options o = {1, -1.5, 2.5, 1, 0, 0};
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, &i, 1, SHEAF_FLAG_REAL, &o), 2);
  assert_memory_equal(flag, ((uint8_t[]){0, 0, 1, 1}), 4);
  memset(flag, 0, 4);
  flag[2] = 1; /* the other one is flagged, too */
  assert_int_equal(sheaf_flag_clip(&view, NULL, 1, &v, 1, SHEAF_FLAG_IMAG, &o), 1);
  assert_memory_equal(flag, ((uint8_t[]){0, 0, 1, 1}), 4);
}

/* Real columns are complex ones without imaginary part. */
static void test_clip_real(void **state) {
  (void)state;
  float data[40];
  uint8_t flag[40] = {0};
  for (int i = 0; i < 40; i++) data[i] = (float)i;
  const sheaf_flag_view view = {.data = data, .real = 1, .flag = flag, .nchan = 20, .ncorr = 2};
  const sheaf_flag_clip_options o = {1, 3.0, 30.0, 1, 0, 0};
  const int64_t row = 0;
  assert_int_equal(sheaf_flag_clip(&view, &row, 1, singles, 1, SHEAF_FLAG_REAL, &o), 2 + 4);
  for (int i = 0; i < 40; i++) assert_int_equal(flag[i], i % 2 == 0 && (i < 3 || i > 30));
}

/* ---- extend ---- */

static int at(const flag_case *k, const uint8_t *flag, const int64_t *row, int64_t n, int64_t t,
              int64_t c, int64_t p) {
  return t >= 0 && t < n && c >= 0 && c < k->nchan && flag[(row[t] * k->nchan + c) * k->ncorr + p];
}

static void naive_extend(const flag_case *k, const int64_t *row, int64_t n,
                         const sheaf_flag_extend_options *o, uint8_t *flag) {
  const size_t cells = case_cells(k);
  uint8_t *old = case_array(cells, 1);
  for (int step = 0; step < 3; step++) {
    memcpy(old, flag, cells);
    for (int64_t t = 0; t < n; t++)
      for (int64_t c = 0; c < k->nchan; c++)
        for (int64_t p = 0; p < k->ncorr; p++) {
          uint8_t *f = flag + (row[t] * k->nchan + c) * k->ncorr + p;
          int64_t around = 0, channels = 0, times = 0, any = 0;
          if (!(o->corrs >> p & 1)) continue;
          for (int64_t u = t - 1; u <= t + 1; u++)
            for (int64_t d = c - 1; d <= c + 1; d++) around += at(k, old, row, n, u, d, p);
          for (int64_t d = 0; d < k->nchan; d++) channels += at(k, old, row, n, t, d, p);
          for (int64_t u = 0; u < n; u++) times += at(k, old, row, n, u, c, p);
          for (int64_t q = 0; q < k->ncorr; q++)
            any |= (o->corrs >> q & 1) && at(k, old, row, n, t, c, q);
          if (step == 0 && o->flagneartime)
            *f |= at(k, old, row, n, t - 1, c, p) || at(k, old, row, n, t + 1, c, p);
          if (step == 0 && o->flagnearfreq)
            *f |= at(k, old, row, n, t, c - 1, p) || at(k, old, row, n, t, c + 1, p);
          if (step == 0 && o->growaround) *f |= around > 4;
          if (step == 1 && o->growfreq > 0.0)
            *f |= 100.0 * (double)channels / (double)k->nchan >= o->growfreq;
          if (step == 1 && o->growtime > 0.0)
            *f |= 100.0 * (double)times / (double)n >= o->growtime;
          if (step == 2 && o->extendpols) *f |= any;
        }
  }
  free(old);
}

/* One map, stretch by stretch. */
static int64_t extend_map_in_stretches(flag_case *k, const sheaf_flag_view *view, int64_t m,
                                       const sheaf_flag_extend_options *o, int32_t *times) {
  const int64_t nrow = k->start[m + 1] - k->start[m], *row = k->row + k->start[m];
  const int64_t step = 1 + case_random(nrow);
  const size_t cell = (size_t)(k->nchan * k->ncorr);
  uint8_t *before = case_array(cell, 1);
  void *memory = case_scratch(
      sheaf_flag_extend_scratch(step + 2 < nrow ? step + 2 : nrow, k->nchan, k->ncorr));
  int64_t n = 0;
  memset(times, 0, sizeof *times * cell);
  for (int look = 1; look >= 0; look--)
    for (int64_t t = 0; t < nrow; t += step) {
      const int64_t to = t + step < nrow ? t + step : nrow;
      const int64_t first = look && t ? t - 1 : t, end = look && to < nrow ? to + 1 : to;
      const int64_t start[2] = {0, end - first};
      const sheaf_flag_maps map = {1, start, row + first};
      const sheaf_flag_stretch at = {
          .nrow = nrow, .first = first, .from = t - first, .to = to - first};
      if (!look) {
        n += sheaf_flag_extend_grow(view, &map, o, &at, times, memory);
        continue;
      }
      /* the row before as it was, for a moment */
      uint8_t *now = case_array(cell, 1), *here = k->now + (size_t)row[first] * cell;
      memcpy(now, here, cell);
      if (first < t) memcpy(here, before, cell);
      memcpy(before, k->now + (size_t)row[to - 1] * cell, cell);
      n += sheaf_flag_extend_look(view, &map, o, &at, times, memory);
      if (first < t) memcpy(here, now, cell);
      free(now);
    }
  case_scratch_free(memory);
  free(before);
  return n;
}

static int64_t extend_in_stretches(flag_case *k, const sheaf_flag_extend_options *o) {
  const sheaf_flag_view view = case_view(k);
  int32_t *times = case_array((size_t)(k->nchan * k->ncorr), sizeof *times);
  int64_t n = 0;
  for (int64_t m = 0; m < k->nmap; m++) n += extend_map_in_stretches(k, &view, m, o, times);
  free(times);
  return n;
}

static void test_extend_random(void **state) {
  (void)state;
  for (int turn = 0; turn < 150; turn++) {
    const int64_t ncorr = case_random(4) + 1;
    flag_case k =
        case_make(turn % 20 ? case_length(30) : 300, turn % 20 ? case_length(30) : 3, ncorr, 3, 0);
    const sheaf_flag_extend_options o = {
        (double)(case_random(5) * 25),
        (double)(case_random(5) * 25),
        (int)case_random(2),
        (int)case_random(2),
        case_random(3) == 0,
        case_random(3) == 0,
        case_random(3) ? ~(uint64_t)0 : 1 + (uint64_t)case_random(15)};
    uint8_t *expected = case_array(case_cells(&k), 1);
    memcpy(expected, k.flag, case_cells(&k));
    for (int64_t m = 0; m < k.nmap; m++)
      naive_extend(&k, k.row + k.start[m], k.start[m + 1] - k.start[m], &o, expected);
    const sheaf_flag_view view = case_view(&k);
    const sheaf_flag_maps maps = case_maps(&k);
    void *memory =
        case_scratch(sheaf_flag_extend_scratch(sheaf_flag_maps_longest(&maps), k.nchan, ncorr));
    case_check_marks(&k, sheaf_flag_extend(&view, &maps, &o, memory));
    assert_memory_equal(expected, k.now, case_cells(&k));
    case_scratch_free(memory);
    case_check_marks(&k, extend_in_stretches(&k, &o));
    assert_memory_equal(expected, k.now, case_cells(&k));
    free(expected);
    case_free(&k);
  }
}

/* ---- averages ---- */

static void test_average_channels(void **state) {
  (void)state;
  float data[] = {1, 3, 10, 7, 5}, weight[] = {1, 3, 1, 2, 2}, mean[3];
  uint8_t flag[] = {0, 0, 1, 1, 1}, out_flag[3];
  sheaf_flag_cells in = {data, flag, weight, 1, 5, 1, 1, 0};
  sheaf_flag_cells out = {.data = mean, .flag = out_flag};
  sheaf_flag_average_channels(&in, NULL, 5, 3, &out); /* flagged ones do not enter, unless alone */
  assert_int_equal(out.nchan, 2);
  assert_true(mean[0] == 2.5f && mean[1] == 6.0f);
  assert_memory_equal(out_flag, ((uint8_t[]){0, 1}), 2);
  const int32_t chan[] = {2, 4, 1};
  sheaf_flag_average_channels(&in, chan, 3, 3,
                              &out); /* the average starts anew where the flags end */
  assert_true(mean[0] == 3.0f && !out_flag[0] && out.nchan == 1);
  memset(weight, 0, sizeof weight);
  sheaf_flag_average_channels(&in, NULL, 5, 5, &out);
  assert_true(mean[0] == 0.0f);
  in.weight = NULL;
  in.sums = 1; /* the sum over what is not flagged, or over all */
  sheaf_flag_average_channels(&in, NULL, 5, 3, &out);
  assert_true(mean[0] == 4.0f && mean[1] == 12.0f);
  const sheaf_flag_cells one = {data, flag, weight, 5, 1, 1, 1, 0};
  float same[5];
  out.data = same;
  uint8_t same_flag[5];
  out.flag = same_flag;
  sheaf_flag_average_channels(&one, NULL, 1, 1, &out);
  assert_memory_equal(same, data, sizeof same);
}

static void test_average_sizes(void **state) {
  (void)state;
  static const int64_t cases[][4] = {
      {0, 10, 1, 10}, {1, 10, 10, 1}, {3, 10, 3, 4}, {11, 10, 10, 1}, {10, 10, 10, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const int64_t width = sheaf_flag_average_width(cases[i][0], cases[i][1]);
    assert_int_equal(width, cases[i][2]);
    assert_int_equal(sheaf_flag_average_bins(cases[i][1], width), cases[i][3]);
  }
  assert_int_equal(sheaf_flag_average_bins(0, 0), 0);
}

static void test_average_weights(void **state) {
  (void)state;
  const float sigma[] = {2.0f, 0.0f, FLT_MIN, -1.0f};
  float weight[4];
  sheaf_flag_average_weights(sigma, 4, weight);
  assert_memory_equal(weight, ((float[]){0.25f, 0.0f, 0.0f, 0.0f}), sizeof weight);
  float sums[] = {4.0f, 0.0f};
  sheaf_flag_average_reweigh(sums, 2);
  assert_memory_equal(sums, ((float[]){4.0f, 0.0f}), sizeof sums);
}

static void test_average_plan(void **state) {
  (void)state;
  /* Baselines A (rows 0, 2, 4, 5) and B (1, 3); bins of 10 s hold 9.99. */
  const double time[] = {0.0, 0.0, 9.99, 9.995, 30.0, 31.0};
  const int64_t row[] = {0, 2, 4, 5, 1, 3}, start[] = {0, 4, 6};
  const sheaf_flag_maps maps = {2, start, row};
  int64_t average[6], memory[8];
  assert_int_equal(sheaf_flag_average_plan(time, 6, &maps, 10.0, average, memory), 4);
  /* B's first closes at row 3, A's at row 4; then the open ones, A's and B's. */
  assert_memory_equal(average, ((int64_t[]){1, 0, 1, 3, 2, 2}), sizeof average);
}

static void test_average_plan_random(void **state) {
  (void)state;
  for (int turn = 0; turn < 100; turn++) {
    flag_case k = case_make(1 + case_random(20), 1, 1, 1 + case_random(9), 0);
    const sheaf_flag_maps maps = case_maps(&k);
    const double bin = 10.0 * (double)(1 + case_random(8));
    int64_t *average = case_array((size_t)k.nrow, 8), *first = case_array((size_t)k.nrow, 8);
    int64_t *memory = case_array((size_t)(k.nrow + k.nmap), 8);
    const int64_t n = sheaf_flag_average_plan(k.time, k.nrow, &maps, bin, average, memory);
    for (int64_t a = 0; a < n; a++) first[a] = -1;
    for (int64_t r = 0; r < k.nrow; r++) {
      assert_true(average[r] >= 0 && average[r] < n);
      if (first[average[r]] < 0) first[average[r]] = r;
      const int64_t f = first[average[r]];
      assert_true(k.ant1[f] == k.ant1[r] && k.ant2[f] == k.ant2[r] &&
                  k.time[r] - k.time[f] <= 0.999 * bin);
    }
    for (int64_t a = 0; a < n; a++) assert_true(first[a] >= 0);
    free(average);
    free(first);
    free(memory);
    case_free(&k);
  }
}

static void test_average_rows(void **state) {
  (void)state;
  float data[] = {1, 2, 3, 4, 9, 9, 5, 6}, weight[] = {1, 3, 1, 5}, sum[8],
        sum_weight[4]; /* complex */
  uint8_t flag[] = {0, 0, 1, 1}, sum_flag[4];
  const int64_t average[] = {0, 0, 0, 1};
  int64_t first[2];
  const sheaf_flag_cells in = {data, flag, weight, 4, 1, 1, 2, 0};
  sheaf_flag_cells out = {.data = sum, .flag = sum_flag, .weight = sum_weight};
  sheaf_flag_average_rows(&in, average, 2, &out, first);
  assert_true(sum[0] == 2.5f && sum[1] == 3.5f && sum[2] == 5.0f && sum[3] == 6.0f);
  assert_true(sum_weight[0] == 4.0f && sum_weight[1] == 5.0f && !sum_flag[0] && sum_flag[1]);
  assert_true(first[0] == 0 && first[1] == 3 && out.nrow == 2);
  uint8_t into[4] = {0, 1, 0, 0}, changed[4] = {0};
  sum_flag[0] = 1;
  assert_int_equal(sheaf_flag_average_return(sum_flag, average, 4, 1, into, changed), 3);
  assert_memory_equal(into, ((uint8_t[]){1, 1, 1, 1}), 4);
  assert_memory_equal(changed, ((uint8_t[]){1, 0, 1, 1}), 4);
}

static void test_average_spread(void **state) {
  (void)state;
  uint8_t flag[7] = {0, 1, 0, 0, 0, 0, 0}, changed[1] = {0};
  const int32_t chan[] = {1, 2, 4, 5, 6};
  const sheaf_flag_view view = {
      .flag = flag, .changed = changed, .nchan = 7, .ncorr = 1, .chan = chan, .nsel = 5};
  assert_int_equal(sheaf_flag_average_spread(&view, NULL, 1, 2, (const uint8_t[]){1, 0, 1}), 2);
  assert_memory_equal(flag, ((uint8_t[]){0, 1, 1, 0, 0, 0, 1}), 7);
  assert_int_equal(changed[0], 1);
}

/* ---- rows ---- */

static void test_quack(void **state) {
  (void)state;
  static const int expected[4][5] = {
      {1, 1, 0, 0, 0}, {0, 0, 0, 1, 1}, {0, 0, 1, 1, 1}, {1, 1, 1, 0, 0}};
  for (int mode = 0; mode < 4; mode++)
    for (int i = 0; i < 5; i++)
      assert_int_equal(sheaf_flag_quack((sheaf_flag_quack_mode)mode, 10.0, 0.0, 40.0, 10.0 * i),
                       expected[mode][i]);
}

static void test_antint(void **state) {
  (void)state;
  /* Three antennas: rows 0-1, 0-2, 1-2, and 0-0; four channels. */
  const int32_t ant1[] = {0, 0, 1, 0}, ant2[] = {1, 2, 2, 0};
  const int64_t row[] = {0, 1, 2, 3};
  uint8_t flag[16] = {1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, memory[4];
  double fraction = 0;
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 3, ant1, ant2, 0, 3, 0.4, memory, &fraction),
                   1); /* 2 of 4 */
  assert_true(fraction == 0.5);
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 3, ant1, ant2, 0, 3, 0.5, memory, NULL), 0);
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 3, ant1, ant2, 0, 4, 0.4, memory, NULL),
                   0); /* one is missing */
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 4, ant1, ant2, 0, 3, 0.4, memory, NULL),
                   1); /* without the auto */
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 4, ant1, ant2, 0, 4, 0.4, memory, NULL),
                   0); /* with it */
  assert_int_equal(sheaf_flag_antint(flag, 4, 1, row, 3, ant1, ant2, 1, 3, 0.0, memory, NULL), 0);
  assert_int_equal(sheaf_flag_antint(flag, 1, 4, row, 3, ant1, ant2, 0, 3, 1.0, memory, NULL),
                   1); /* one channel */
}

static void test_shadow_elevation(void **state) {
  (void)state;
  assert_int_equal(sheaf_flag_shadow((const double[]){3.0, 4.0, 1.0}, 6.0, 5.0, 0.0), 2);
  assert_int_equal(sheaf_flag_shadow((const double[]){3.0, 4.0, -1.0}, 6.0, 5.0, 0.0), 1);
  assert_int_equal(sheaf_flag_shadow((const double[]){3.0, 4.0, 0.0}, 6.0, 5.0, 0.4), 2);
  assert_int_equal(sheaf_flag_shadow((const double[]){3.0, 4.0, 1.0}, 5.0, 5.0, 0.0), 0);
  assert_int_equal(sheaf_flag_shadow((const double[]){3.0, 4.0, 1.0}, 6.0, 5.0, 0.5), 0);
  assert_int_equal(sheaf_flag_shadow((const double[]){30.0, 0.0, 1.0}, 5.0, 5.0, -26.0), 2);
  assert_false(sheaf_flag_elevation(10.0, 80.0, 10.0, 80.0));
  assert_true(sheaf_flag_elevation(9.0, 80.0, 10.0, 80.0));
  assert_true(sheaf_flag_elevation(10.0, 81.0, 10.0, 80.0));
}

/* ---- counts ---- */

static void test_count(void **state) {
  (void)state;
  for (int turn = 0; turn < 300; turn++) {
    const int64_t ncorr = 1 + case_random(5);
    flag_case k = case_make(3, turn % 50 ? case_length(70) : 3000, ncorr, 3, 0);
    sheaf_flag_view view = case_view(&k);
    const uint64_t corrs = case_random(2) ? ~(uint64_t)0 : 1 + (uint64_t)case_random(31);
    const int some = (int)case_random(2);
    int32_t chan[3000];
    int64_t rows[9] = {0}, corr[5] = {0}, sum = 0, all_rows = 0, all_corrs = 0, all_chans = 0;
    int64_t *channels = case_array((size_t)k.nchan, 8);
    for (int64_t c = 0; some && c < k.nchan; c += 2) chan[view.nsel++] = (int32_t)c;
    if (some) view.chan = chan;
    for (size_t i = 0; i < case_cells(&k); i++) {
      const int64_t p = (int64_t)i % ncorr, c = (int64_t)i / ncorr % k.nchan;
      sum += k.flag[i] && corrs >> p & 1 && !(some && c % 2);
    }
    const int with_channels = (int)case_random(2);
    assert_int_equal(
        sheaf_flag_count(&view, NULL, k.nrow, corrs, rows, corr, with_channels ? channels : NULL),
        sum);
    for (int64_t r = 0; r < k.nrow; r++) all_rows += rows[r];
    for (int64_t p = 0; p < ncorr; p++) all_corrs += corr[p];
    for (int64_t c = 0; c < k.nchan; c++) all_chans += channels[c];
    assert_int_equal(all_rows, sum);
    assert_int_equal(all_corrs, sum);
    assert_int_equal(all_chans, with_channels ? sum : 0);
    for (int64_t p = 0; p < ncorr; p++) {
      int64_t one = 0;
      for (size_t i = 0; i < case_cells(&k); i++)
        one += k.flag[i] && (int64_t)i % ncorr == p && corrs >> p & 1 &&
               !(some && (int64_t)i / ncorr % k.nchan % 2);
      assert_int_equal(one, corr[p]);
    }
    free(channels);
    case_free(&k);
  }
}

static void test_any_all(void **state) {
  (void)state;
  uint8_t flag[200];
  for (size_t n = 0; n < 200; n++) {
    memset(flag, 0, sizeof flag);
    assert_false(sheaf_flag_any(flag, n));
    assert_int_equal(sheaf_flag_all(flag, n), n == 0);
    if (!n) continue;
    flag[n - 1] = 1;
    assert_true(sheaf_flag_any(flag, n));
    assert_int_equal(sheaf_flag_all(flag, n), n == 1);
    memset(flag, 1, n);
    assert_true(sheaf_flag_all(flag, n));
  }
}

static void test_merge(void **state) {
  (void)state;
  flag_case k = case_make(4, 5, 2, 2, 0);
  const sheaf_flag_view view = case_view(&k);
  uint8_t *from = case_array(10, 1);
  memset(from, 1, 10);
  const int64_t last = k.nrow - 1;
  const int64_t before = sheaf_flag_count(&view, &last, 1, ~(uint64_t)0, NULL, NULL, NULL);
  if (k.nrow) case_check_marks(&k, sheaf_flag_merge(&view, &last, 1, from));
  assert_true(k.nrow == 0 || sheaf_flag_all(k.now + last * 10, 10));
  assert_true(before <= 10);
  free(from);
  case_free(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_maps),
                                     cmocka_unit_test(test_maps_random),
                                     cmocka_unit_test(test_fill),
                                     cmocka_unit_test(test_merge),
                                     cmocka_unit_test(test_clip_random),
                                     cmocka_unit_test(test_clip_by_hand),
                                     cmocka_unit_test(test_clip_combined),
                                     cmocka_unit_test(test_clip_real),
                                     cmocka_unit_test(test_extend_random),
                                     cmocka_unit_test(test_average_channels),
                                     cmocka_unit_test(test_average_sizes),
                                     cmocka_unit_test(test_average_weights),
                                     cmocka_unit_test(test_average_plan),
                                     cmocka_unit_test(test_average_plan_random),
                                     cmocka_unit_test(test_average_rows),
                                     cmocka_unit_test(test_average_spread),
                                     cmocka_unit_test(test_quack),
                                     cmocka_unit_test(test_antint),
                                     cmocka_unit_test(test_shadow_elevation),
                                     cmocka_unit_test(test_count),
                                     cmocka_unit_test(test_any_all)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

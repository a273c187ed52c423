/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The flagging kernels against flags and thresholds that CASA computed (data/flag_casa.json). */
#include <jansson.h>

#include "flag_cases.h"
#include "kernel/flag_average.h"
#include "kernel/flag_extend.h"

static json_t *casa;
static flag_case cases[2]; /* full, gaps */
static const int32_t corrs[2] = {5, 8};

static int load(void **state) {
  (void)state;
  casa = json_load_file(SHEAF_SOURCE_DIR "/tests/unit/data/flag_casa.json", 0, NULL);
  cases[0] = case_casa(0);
  cases[1] = case_casa(1);
  return casa ? 0 : -1;
}

static int unload(void **state) {
  (void)state;
  json_decref(casa);
  case_free(cases);
  case_free(cases + 1);
  return 0;
}

static double number(json_t *p, const char *name, double standard) {
  const json_t *v = json_object_get(p, name);
  if (json_is_boolean(v)) return json_is_true(v);
  return v ? json_number_value(v) : standard;
}

static const char *text(json_t *p, const char *name, const char *standard) {
  json_t *v = json_object_get(p, name);
  return v ? json_string_value(v) : standard;
}

/* Channels of spw='0:a~b', and quantities of an expression. */
static void select_channels(json_t *p, sheaf_flag_view *view, int32_t chan[CASE_CHANNELS]) {
  int a, b;
  if (sscanf(text(p, "spw", ""), "0:%d~%d", &a, &b) != 2) return;
  view->chan = chan;
  for (int c = a; c <= b; c++) chan[view->nsel++] = c;
}

static int quantities(json_t *p, int crop, sheaf_flag_operator *op, sheaf_flag_quantity *q) {
  sheaf_flag_expression e;
  char message[200];
  assert_int_equal(sheaf_flag_expression_parse(&e, text(p, "correlation", ""), 0, corrs, 2, message,
                                               sizeof message),
                   0);
  *op = e.op;
  return crop ? sheaf_flag_expression_tfcrop(&e, corrs, 2, q)
              : sheaf_flag_expression_quantities(&e, corrs, 2, q);
}

static sheaf_flag_tfcrop_options crop_options(json_t *p) {
  static const char *const dimensions[] = {"freq", "time", "freqtime", "timefreq"};
  const char *windows = text(p, "usewindowstats", "none");
  sheaf_flag_tfcrop_options o = {
      .timecutoff = (float)number(p, "timecutoff", 4.0),
      .freqcutoff = (float)number(p, "freqcutoff", 3.0),
      .timepoly = !strcmp(text(p, "timefit", "line"), "poly"),
      .freqpoly = !strcmp(text(p, "freqfit", "poly"), "poly"),
      .maxnpieces = (int)number(p, "maxnpieces", 7),
      .halfwin = (int)number(p, "halfwin", 1),
      .windows = (!strcmp(windows, "sum") || !strcmp(windows, "both") ? SHEAF_FLAG_WINDOW_SUM : 0) |
                 (!strcmp(windows, "std") || !strcmp(windows, "both") ? SHEAF_FLAG_WINDOW_STD : 0)};
  while (strcmp(dimensions[o.dimension], text(p, "flagdimension", "freqtime"))) o.dimension++;
  return o;
}

static int64_t run_tfcrop(const sheaf_flag_variant *v, const sheaf_flag_view *view,
                          const flag_case *k, json_t *p) {
  const sheaf_flag_maps maps = case_maps(k);
  const sheaf_flag_tfcrop_options o = crop_options(p);
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  sheaf_flag_operator op;
  const int nq = quantities(p, 1, &op, q);
  void *memory = case_scratch(sheaf_flag_tfcrop_scratch(sheaf_flag_maps_longest(&maps),
                                                        sheaf_flag_view_channels(view), nq));
  const int64_t n = v->tfcrop(view, &maps, q, nq, op, &o, memory);
  case_scratch_free(memory);
  return n;
}

/* Thresholds of some maps, which are added to sums in blocks of 3. */
static void thresholds(const sheaf_flag_variant *v, const sheaf_flag_view *view, const flag_case *k,
                       const sheaf_flag_maps *maps, const sheaf_flag_quantity *q, int nq,
                       int winsize, sheaf_flag_spectrum *spectra, double sums[4][CASE_CHANNELS]) {
  const sheaf_flag_sums time = {sums[0], sums[1]}, freq = {sums[2], sums[3]};
  void *memory = case_scratch(
      sheaf_flag_rflag_scratch(sheaf_flag_maps_longest(maps), sheaf_flag_view_channels(view), nq));
  for (int64_t m = 0; m < maps->nmap; m += 3) {
    const sheaf_flag_maps some = {maps->nmap - m < 3 ? maps->nmap - m : 3, maps->start + m,
                                  maps->row};
    sheaf_flag_spectrum *here = spectra + (maps->start[m] - maps->start[0]) * nq;
    const sheaf_flag_statistics out = {1, here, &time, winsize, &freq, NULL};
    v->statistics(view, k->flag, &some, q, nq, &out, memory);
  }
  case_scratch_free(memory);
}

static int64_t run_rflag(const sheaf_flag_variant *v, const sheaf_flag_view *view,
                         const flag_case *k, json_t *p) {
  const sheaf_flag_maps maps = case_maps(k);
  const int64_t nchan = sheaf_flag_view_channels(view);
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  sheaf_flag_operator op;
  const int nq = quantities(p, 0, &op, q);
  sheaf_flag_spectrum *spectra = case_array((size_t)(k->nrow * nq), sizeof *spectra);
  double sums[4][CASE_CHANNELS] = {0}, sorted[2 * CASE_CHANNELS];
  sheaf_flag_rflag_options o = {.winsize = (int)number(p, "winsize", 3),
                                .spectralmin = number(p, "spectralmin", 0.0),
                                .spectralmax = number(p, "spectralmax", 1e6)};
  thresholds(v, view, k, &maps, q, nq, o.winsize, spectra, sums);
  const sheaf_flag_sums time = {sums[0], sums[1]}, freq = {sums[2], sums[3]};
  o.noise = number(p, "timedev", sheaf_flag_rflag_threshold(&time, nchan, sorted)) *
            number(p, "timedevscale", 5.0);
  o.cut = number(p, "freqdev", sheaf_flag_rflag_threshold(&freq, nchan, sorted)) *
          number(p, "freqdevscale", 5.0);
  void *memory = case_scratch(sheaf_flag_rflag_scratch(sheaf_flag_maps_longest(&maps), nchan, nq));
  const int64_t n = v->apply(view, k->flag, &maps, q, nq, spectra, &o, memory);
  case_scratch_free(memory);
  free(spectra);
  return n;
}

static int64_t run_extend(const sheaf_flag_view *view, const flag_case *k, json_t *p) {
  const sheaf_flag_maps maps = case_maps(k);
  const sheaf_flag_extend_options o = {.growtime = number(p, "growtime", 50.0),
                                       .growfreq = number(p, "growfreq", 50.0),
                                       .extendpols = (int)number(p, "extendpols", 1.0),
                                       .growaround = (int)number(p, "growaround", 0.0),
                                       .flagneartime = (int)number(p, "flagneartime", 0.0),
                                       .flagnearfreq = (int)number(p, "flagnearfreq", 0.0),
                                       .corrs = !strcmp(text(p, "correlation", ""), "LL") ? 2 : 3};
  void *memory = case_scratch(sheaf_flag_extend_scratch(
      sheaf_flag_maps_longest(&maps), sheaf_flag_view_channels(view), view->ncorr));
  const int64_t n = sheaf_flag_extend(view, &maps, &o, memory);
  case_scratch_free(memory);
  return n;
}

static sheaf_flag_clip_options clip_options(json_t *p) {
  json_t *limits = json_object_get(p, "clipminmax");
  return (sheaf_flag_clip_options){.limits = limits != NULL,
                                   .min = json_number_value(json_array_get(limits, 0)),
                                   .max = json_number_value(json_array_get(limits, 1)),
                                   .outside = (int)number(p, "clipoutside", 1.0),
                                   .zeros = (int)number(p, "clipzeros", 0.0)};
}

static sheaf_flag_cells cells_make(int64_t nrow) {
  const size_t n = (size_t)nrow * CASE_CHANNELS * 2;
  return (sheaf_flag_cells){
      case_array(2 * n, 4), case_array(n, 1), case_array(n, 4), nrow, CASE_CHANNELS, 2, 2, 0};
}
static void cells_free(sheaf_flag_cells *c) {
  free(c->data);
  free(c->flag);
  free(c->weight);
}

/* clip on averages in time, in channels, or both. */
static int64_t run_clip_average(const sheaf_flag_variant *v, const sheaf_flag_view *view,
                                const flag_case *k, json_t *p) {
  const sheaf_flag_maps maps = case_maps(k);
  const sheaf_flag_clip_options o = clip_options(p);
  const int64_t width =
      json_object_get(p, "channelavg")
          ? sheaf_flag_average_width((int64_t)number(p, "chanbin", 1.0), CASE_CHANNELS)
          : 1;
  const int64_t bins = sheaf_flag_average_bins(CASE_CHANNELS, width);
  sheaf_flag_cells in = cells_make(k->nrow), time = cells_make(k->nrow), freq = cells_make(k->nrow);
  int64_t *average = case_array((size_t)k->nrow, 8), *first = case_array((size_t)k->nrow, 8);
  int64_t *memory = case_array((size_t)(k->nrow + k->nmap), 8);
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  sheaf_flag_operator op;
  const int nq = quantities(p, 0, &op, q);
  memcpy(in.data, k->data, 8 * case_cells(k));
  memcpy(in.flag, k->flag, case_cells(k));
  for (size_t i = 0; i < case_cells(k); i++)
    in.weight[i] = k->sigma[i / (2 * CASE_CHANNELS) * 2 + i % 2];
  sheaf_flag_average_weights(in.weight, case_cells(k), in.weight);
  if (json_object_get(p, "timeavg")) {
    const double bin = atof(text(p, "timebin", "0"));
    const int64_t n = sheaf_flag_average_plan(k->time, k->nrow, &maps, bin, average, memory);
    sheaf_flag_average_rows(&in, average, n, &time, first);
    sheaf_flag_average_reweigh(time.weight, (size_t)(n * CASE_CHANNELS * 2));
  } else {
    cells_free(&time);
    time = in;
    for (int64_t r = 0; r < k->nrow; r++) average[r] = r;
  }
  sheaf_flag_average_channels(&time, NULL, CASE_CHANNELS, width, &freq);
  assert_int_equal(freq.nchan, bins);
  if (width == 1) {
    memcpy(freq.data, time.data, 8 * (size_t)time.nrow * CASE_CHANNELS * 2);
    memcpy(freq.flag, time.flag, (size_t)time.nrow * CASE_CHANNELS * 2);
  }
  const sheaf_flag_view averaged = {
      .data = freq.data, .flag = freq.flag, .nchan = bins, .ncorr = 2};
  v->clip(&averaged, NULL, freq.nrow, q, nq, op, &o);
  const sheaf_flag_view back = {.flag = time.flag, .nchan = CASE_CHANNELS, .ncorr = 2};
  sheaf_flag_average_spread(&back, NULL, time.nrow, width, freq.flag);
  const int64_t n = sheaf_flag_average_return(time.flag, average, k->nrow, CASE_CHANNELS * 2,
                                              view->flag, view->changed);
  if (time.data != in.data) cells_free(&time);
  cells_free(&in);
  cells_free(&freq);
  free(average);
  free(first);
  free(memory);
  return n;
}

static int64_t run_clip(const sheaf_flag_variant *v, const sheaf_flag_view *view,
                        const flag_case *k, json_t *p) {
  const sheaf_flag_clip_options o = clip_options(p);
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  sheaf_flag_operator op;
  const int nq = quantities(p, 0, &op, q);
  if (json_object_get(p, "channelavg") || json_object_get(p, "timeavg"))
    return run_clip_average(v, view, k, p);
  return v->clip(view, NULL, k->nrow, q, nq, op, &o);
}

static int hex(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void compare(const flag_case *k, json_t *one) {
  const char *flags = json_string_value(json_object_get(one, "flags"));
  assert_int_equal(strlen(flags), (case_cells(k) + 7) / 8 * 2);
  for (size_t i = 0; i < case_cells(k); i++) {
    const int byte = hex(flags[i / 8 * 2]) * 16 + hex(flags[i / 8 * 2 + 1]);
    if (k->now[i] != (byte >> (7 - i % 8) & 1)) {
      char *p = json_dumps(json_object_get(one, "parameters"), 0);
      fail_msg("%s %s: cell %zu", json_string_value(json_object_get(one, "mode")), p, i);
    }
  }
}

static void test_flags(void **state) {
  (void)state;
  size_t i, compared = 0;
  json_t *one;
  const sheaf_flag_variant *v;
  json_array_foreach(json_object_get(casa, "cases"), i, one) {
    const char *mode = json_string_value(json_object_get(one, "mode"));
    json_t *p = json_object_get(one, "parameters");
    flag_case *k = cases + !strcmp(json_string_value(json_object_get(one, "set")), "gaps");
    for (int n = 0; (v = sheaf_flag_variant_get(n)); n++) {
      sheaf_flag_view view = case_view(k);
      int32_t chan[CASE_CHANNELS];
      int64_t nset = 0;
      select_channels(p, &view, chan);
      if (!strcmp(mode, "tfcrop")) nset = run_tfcrop(v, &view, k, p);
      if (!strcmp(mode, "rflag")) nset = run_rflag(v, &view, k, p);
      if (!strcmp(mode, "extend")) nset = run_extend(&view, k, p);
      if (!strcmp(mode, "clip")) nset = run_clip(v, &view, k, p);
      case_check_marks(k, nset);
      compare(k, one);
      assert_int_equal(nset, (int64_t)number(one, "new", -1.0));
      compared++;
    }
  }
  assert_true(compared >= 26);
}

/* Rows of one interval of ntime, cut as CASA does. */
static int64_t cut(const flag_case *k, double ntime, int64_t first, int64_t *places) {
  int64_t n = 0;
  for (int64_t r = first;
       r < k->nrow && (ntime == 0.0 || k->time[r] < k->time[first] - 0.01 + ntime); r++)
    places[n++] = r;
  return n;
}

static void test_thresholds(void **state) {
  (void)state;
  size_t i;
  json_t *one;
  flag_case *k = cases + 1;
  const sheaf_flag_variant *v;
  int64_t *places = case_array((size_t)k->nrow, 8), *memory = case_array((size_t)k->nrow, 8);
  json_array_foreach(json_object_get(casa, "thresholds"), i,
                     one) for (int n = 0; (v = sheaf_flag_variant_get(n)); n++) {
    json_t *p = json_object_get(one, "parameters");
    sheaf_flag_view view = case_view(k);
    int32_t chan[CASE_CHANNELS];
    sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
    sheaf_flag_operator op;
    const int nq = quantities(p, 0, &op, q);
    sheaf_flag_spectrum *spectra = case_array((size_t)(k->nrow * nq), sizeof *spectra);
    double sums[4][CASE_CHANNELS] = {0}, sorted[2 * CASE_CHANNELS];
    select_channels(p, &view, chan);
    for (int64_t first = 0, rows; first < k->nrow; first += rows) {
      int64_t row[CASE_TIMES * CASE_BASELINES], start[CASE_TIMES * CASE_BASELINES + 1];
      rows = cut(k, atof(text(p, "ntime", "0")), first, places);
      const int64_t nmap =
          sheaf_flag_maps_build(k->ant1, k->ant2, places, rows, row, start, memory);
      const sheaf_flag_maps maps = {nmap, start, row};
      thresholds(v, &view, k, &maps, q, nq, (int)number(p, "winsize", 3.0), spectra, sums);
    }
    const sheaf_flag_sums time = {sums[0], sums[1]}, freq = {sums[2], sums[3]};
    const int64_t nchan = sheaf_flag_view_channels(&view);
    assert_true(sheaf_flag_rflag_threshold(&time, nchan, sorted) ==
                strtod(text(one, "timedev", ""), NULL));
    assert_true(sheaf_flag_rflag_threshold(&freq, nchan, sorted) ==
                strtod(text(one, "freqdev", ""), NULL));
    free(spectra);
  }
  free(places);
  free(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flags),
                                     cmocka_unit_test(test_thresholds)};
  return cmocka_run_group_tests(tests, load, unload);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_bench_tool.c - times the flagging kernels on one buffer of noise in memory; JSON on standard
 * output.
 *
 *   flag_bench_tool [antennas [times [channels [corrs]]]]
 *
 * A sample is one complex visibility. Of several turns the best counts. `read` sums the data up,
 * eight bytes a sample: what memory gives to one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/flag_extend.h"
#include "kernel/flag_summary.h"
#include "kernel/flag_variants.h"

enum { TURNS = 5 };

typedef struct bench {
  const sheaf_flag_variant *v;
  sheaf_flag_view view;
  uint8_t *original;
  sheaf_flag_maps maps;
  sheaf_flag_quantity quantity[16];
  int64_t nrow;
  sheaf_flag_spectrum *spectra;
  sheaf_flag_sums time, freq;
  void *scratch;
  double result;
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *taken[16];
static int ntaken;

static void *take(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
  if (!p || ntaken == (int)(sizeof taken / sizeof *taken)) exit(1);
  memset(p, 0, bytes);
  return taken[ntaken++] = p;
}

static void give_back(void) {
  while (ntaken > 0) free(taken[--ntaken]);
}

static uint64_t state = 88172645463325252u;
static double uniform(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (double)(state >> 11) / 9007199254740992.0;
}

/* Some way to a normal distribution, of about 1. */
static double noise(void) {
  return uniform() + uniform() + uniform() + uniform() + uniform() + uniform() - 3.0;
}

static void fill(float *data, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double loud = uniform() < 0.002 ? 30.0 : 1.0;
    data[2 * i] = (float)(loud * noise());
    data[2 * i + 1] = (float)(loud * noise());
  }
}

static void run_read(bench *b) {
  const int64_t n = b->nrow * b->view.nchan * b->view.ncorr;
  uint64_t sum[8] = {0};
  for (int64_t i = 0; i + 8 <= n; i += 8) {
    uint64_t w[8];
    memcpy(w, b->view.data + 2 * i, sizeof w);
    for (int k = 0; k < 8; k++) sum[k] += w[k];
  }
  for (int k = 0; k < 8; k++) b->result += (double)(sum[k] & 1);
}
static void run_tfcrop(bench *b) {
  const sheaf_flag_tfcrop_options o = {4.0f, 3.0f, 0, 1, 7, SHEAF_FLAG_FREQTIME, 0, 1};
  b->result = (double)b->v->tfcrop(&b->view, &b->maps, b->quantity, (int)b->view.ncorr,
                                   SHEAF_FLAG_ABS, &o, b->scratch);
}
static void run_extend(bench *b) {
  const sheaf_flag_extend_options o = {50.0, 80.0, 1, 0, 0, 0, ~(uint64_t)0};
  b->result = (double)sheaf_flag_extend(&b->view, &b->maps, &o, b->scratch);
}
static void run_statistics(bench *b, const sheaf_flag_statistics *out) {
  b->v->statistics(&b->view, b->original, &b->maps, b->quantity, (int)b->view.ncorr, out,
                   b->scratch);
}
static void run_medians(bench *b) {
  run_statistics(b, &(sheaf_flag_statistics){.medians = 1, .spectra = b->spectra});
}
static void run_time(bench *b) {
  run_statistics(b, &(sheaf_flag_statistics){.time = &b->time, .winsize = 3});
}
static void run_freq(bench *b) {
  run_statistics(b, &(sheaf_flag_statistics){.spectra = b->spectra, .freq = &b->freq});
}
static void run_all(bench *b) {
  run_statistics(b, &(sheaf_flag_statistics){1, b->spectra, &b->time, 3, &b->freq, NULL});
}
static void run_apply(bench *b) {
  const sheaf_flag_rflag_options o = {
      3, 5.0 * sheaf_flag_rflag_threshold(&b->time, b->view.nchan, b->scratch),
      5.0 * sheaf_flag_rflag_threshold(&b->freq, b->view.nchan, b->scratch), 0.0, 1e6, NULL};
  b->result = (double)b->v->apply(&b->view, b->original, &b->maps, b->quantity, (int)b->view.ncorr,
                                  b->spectra, &o, b->scratch);
}
static void run_clip(bench *b) {
  const sheaf_flag_clip_options o = {1, 0.0, 15.0, 1, 0, 0};
  b->result = (double)b->v->clip(&b->view, NULL, b->nrow, b->quantity, (int)b->view.ncorr,
                                 SHEAF_FLAG_ABS, &o);
}
static void run_count(bench *b) {
  int64_t corr[16] = {0};
  b->result = (double)sheaf_flag_count(&b->view, NULL, b->nrow, ~(uint64_t)0, NULL, corr, NULL);
}

static void measure(bench *b, const char *name, void (*run)(bench *), int again, int last) {
  const int64_t n = b->nrow * b->view.nchan * b->view.ncorr;
  double best = 1e300;
  for (int turn = 0; turn < TURNS; turn++) {
    if (again) memcpy(b->view.flag, b->original, (size_t)n);
    const double start = now();
    run(b);
    const double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  printf("    \"%s\": {\"ns_per_sample\": %.3f, \"GB_per_s\": %.2f, \"result\": %.0f}%s\n", name,
         best / (double)n * 1e9, 8.0 * (double)n / best * 1e-9, b->result, last ? "" : ",");
}

static void make_rows(bench *b, int64_t antennas, int64_t times) {
  const int64_t nbase = antennas * (antennas - 1) / 2;
  int64_t *row = take(8 * (size_t)b->nrow), *start = take(8 * (size_t)(nbase + 1));
  for (int64_t m = 0; m <= nbase; m++) start[m] = m * times;
  for (int64_t m = 0; m < nbase; m++)
    for (int64_t t = 0; t < times; t++) row[m * times + t] = t * nbase + m;
  b->maps = (sheaf_flag_maps){nbase, start, row};
}

static void make_arrays(bench *b, int64_t times) {
  const int64_t n = b->nrow * b->view.nchan * b->view.ncorr;
  float *data = take(8 * (size_t)n);
  fill(data, n);
  b->view.data = data;
  b->view.flag = take((size_t)n);
  b->original = take((size_t)n);
  b->spectra = take(sizeof *b->spectra * (size_t)(b->nrow * b->view.ncorr));
  double **sums[] = {&b->time.sum, &b->time.count, &b->freq.sum, &b->freq.count};
  for (int k = 0; k < 4; k++) *sums[k] = take(8 * (size_t)b->view.nchan);
  const size_t a = sheaf_flag_tfcrop_scratch(times, b->view.nchan, (int)b->view.ncorr);
  const size_t r = sheaf_flag_rflag_scratch(times, b->view.nchan, (int)b->view.ncorr);
  const size_t e = sheaf_flag_extend_scratch(times, b->view.nchan, b->view.ncorr);
  b->scratch = take(a + r + e);
}

int main(int argc, char **argv) {
  const int64_t antennas = argc > 1 ? atoll(argv[1]) : 27, times = argc > 2 ? atoll(argv[2]) : 40;
  bench b = {
      .view = {.nchan = argc > 3 ? atoll(argv[3]) : 128, .ncorr = argc > 4 ? atoll(argv[4]) : 2}};
  if (antennas < 2 || times < 1 || b.view.nchan < 1 || b.view.ncorr < 1 || b.view.ncorr > 16)
    return 2;
  b.nrow = antennas * (antennas - 1) / 2 * times;
  for (int p = 0; p < b.view.ncorr; p++)
    b.quantity[p] = (sheaf_flag_quantity){SHEAF_FLAG_SINGLE, p, p};
  make_rows(&b, antennas, times);
  make_arrays(&b, times);
  printf(
      "{\"rows\": %lld, \"times\": %lld, \"channels\": %lld, \"correlations\": %lld,\n "
      "\"variants\": {\n",
      (long long)b.nrow, (long long)times, (long long)b.view.nchan, (long long)b.view.ncorr);
  for (int i = 0; (b.v = sheaf_flag_variant_get(i)); i++) {
    printf("  \"%s\": {\n", b.v->name);
    measure(&b, "read", run_read, 0, 0);
    measure(&b, "clip", run_clip, 1, 0);
    measure(&b, "tfcrop", run_tfcrop, 1, 0);
    measure(&b, "extend after tfcrop", run_extend, 0, 0);
    measure(&b, "rflag medians", run_medians, 0, 0);
    measure(&b, "rflag time sums", run_time, 0, 0);
    measure(&b, "rflag frequency sums", run_freq, 0, 0);
    measure(&b, "rflag all statistics", run_all, 0, 0);
    measure(&b, "rflag apply", run_apply, 1, 0);
    measure(&b, "count", run_count, 0, 1);
    printf("  }%s\n", sheaf_flag_variant_get(i + 1) ? "," : "");
  }
  printf(" }}\n");
  give_back();
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes_fit.h - tfcrop's robust fit by pieces, for LANES series at once; internal to
 * flag_lanes_*.c. */
#ifndef SHEAF_KERNEL_FLAG_LANES_FIT_H
#define SHEAF_KERNEL_FLAG_LANES_FIT_H

#include "kernel/flag_lanes.h"

/* Series [n][LANES]: data, flags as masks, and the fit that becomes the result. */
typedef struct fitting {
  lf *t, *fit;
  li *flag;
  int64_t n;
} fitting;

/* Zeros, flagged ones among them, take the mean of the last and the next value that is not zero. */
static void fit_fill(const fitting *f) {
  lf *next = f->fit, later = {0};
  for (int64_t i = f->n - 1; i >= 0; i--) {
    next[i] = later;
    later = lf_pick(f->t[i] != 0.0f, f->t[i], later);
  }
  lf left = {0};
  for (int64_t i = 0; i < f->n; i++) {
    const lf both = (left + next[i]) / 2.0f;
    const lf filled = lf_pick(next[i] == 0.0f, left, lf_pick(left == 0.0f, next[i], both));
    f->t[i] = left = lf_pick(f->t[i] == 0.0f, filled, f->t[i]);
    f->flag[i] |= f->t[i] == 0.0f;
  }
}

/* Standard deviation about the mean of the unflagged; NaN without any. */
static lf fit_deviation(const fitting *f) {
  lf sum = {0};
  li count = {0};
  for (int64_t i = 0; i < f->n; i++) {
    sum += lf_keep(f->t[i], ~f->flag[i]);
    count -= ~f->flag[i];
  }
  const lf mean = sum / li_float(li_pick(count == 0, li_all(1), count));
  sum = (lf){0};
  for (int64_t i = 0; i < f->n; i++) {
    const lf d = f->t[i] - mean;
    sum += lf_keep(d * d, ~f->flag[i]);
  }
  return lf_sqrt(sum / li_float(count));
}

/* A straight line through the unflagged points of left..right, where `where` says so. */
static void fit_line(const fitting *f, int64_t left, int64_t right, lf deviation, li where) {
  const lf w = deviation * deviation, one = lf_all(1.0f) / w;
  lf s = {0}, sx = {0}, sy = {0}, sxx = {0}, sxy = {0};
  for (int64_t i = left; i <= right; i++) {
    const li use = ~f->flag[i];
    const float x = (float)i, xx = (float)((uint32_t)i * (uint32_t)i);
    s += lf_keep(one, use);
    sx += lf_keep(x / w, use);
    sy += lf_keep(f->t[i] / w, use);
    sxx += lf_keep(xx / w, use);
    sxy += lf_keep((x * f->t[i]) / w, use);
  }
  const lf den = s * sxx - sx * sx;
  const lf a = (sxx * sy - sx * sxy) / den, b = (s * sxy - sx * sy) / den;
  for (int64_t i = left; i <= right; i++) f->fit[i] = lf_pick(where, a + b * (float)i, f->fit[i]);
}

enum { TERMS = 4 };

/* Normal equations of HALF series: n[j][k] for j <= k, and the right side. */
typedef struct normal {
  ld n[TERMS][TERMS], r[TERMS];
} normal;

/* Solution s[terms], zeros where the matrix is not positive. */
static void normal_solve(normal *e, int terms, ld s[TERMS]) {
  ll bad = {0};
  for (int i = 0; i < terms; i++) e->n[i][i] = ld_pick(e->n[i][i] == 0.0, ld_all(1.0), e->n[i][i]);
  for (int i = 0; i < terms; i++) {
    ld d = e->n[i][i];
    for (int m = 0; m < i; m++) d -= e->n[m][i] * e->n[m][i] / e->n[m][m];
    bad |= d * d / e->n[i][i] <= 0.0;
    e->n[i][i] = d;
    for (int k = i + 1; k < terms; k++)
      for (int m = 0; m < i; m++) e->n[i][k] -= (e->n[m][i] * e->n[m][k]) / e->n[m][m];
  }
  for (int i = 0; i < terms; i++) {
    s[i] = e->r[i];
    for (int m = 0; m < i; m++) s[i] -= (e->n[m][i] * s[m]) / e->n[m][m];
  }
  for (int i = terms - 1; i >= 0; i--) {
    for (int m = i + 1; m < terms; m++) s[i] -= e->n[i][m] * s[m];
    s[i] /= e->n[i][i];
  }
  for (int i = 0; i < terms; i++) s[i] = ld_keep(s[i], ~bad);
}

static void powers(int64_t i, int terms, double p[TERMS]) {
  p[0] = 1.0;
  for (int j = 1; j < terms; j++) p[j] = p[j - 1] * (double)(i + 1);
}

static inline void normal_add(normal *e, int terms, const double p[TERMS], ld use, ld y) {
  for (int j = 0; j < terms; j++) {
    for (int k = j; k < terms; k++) e->n[j][k] += (p[j] * p[k]) * use;
    e->r[j] += p[j] * y;
  }
}

/* A polynomial with `terms` coefficients through the unflagged points of left..right, where `where`
 * says so. */
static inline __attribute__((always_inline)) void fit_terms(const fitting *f, int64_t left,
                                                            int64_t right, int terms, li where) {
  normal e[2] = {0};
  ld s[2][TERMS];
  double p[TERMS];
  for (int64_t i = left; i <= right; i++) {
    const lf use = lf_keep(lf_all(1.0f), ~f->flag[i]), y = lf_keep(f->t[i], ~f->flag[i]);
    powers(i, terms, p);
    for (int h = 0; h < 2; h++)
      normal_add(e + h, terms, p, lanes_widen((const float *)&use + h * HALF),
                 lanes_widen((const float *)&y + h * HALF));
  }
  for (int h = 0; h < 2; h++) normal_solve(e + h, terms, s[h]);
  for (int64_t i = left; i <= right; i++) {
    lf value = {0};
    powers(i, terms, p);
    for (int h = 0; h < 2; h++) {
      float *half = (float *)&value + h * HALF;
      for (int j = 0; j < terms; j++) lanes_narrow(half, lanes_widen(half) + s[h][j] * p[j]);
    }
    f->fit[i] = lf_pick(where, value, f->fit[i]);
  }
}

static void fit_polynomial(const fitting *f, int64_t left, int64_t right, int degree, li where) {
  if (degree == 2)
    fit_terms(f, left, right, 3, where);
  else
    fit_terms(f, left, right, 4, where);
}

static void fit_piece(const fitting *f, int64_t left, int64_t right, int degree, lf deviation) {
  li line = li_all(-1);
  if (degree > 1) {
    li count = {0};
    for (int64_t i = left; i <= right; i++) count -= ~f->flag[i];
    line = count <= degree;
    if (lanes_bits(~line)) fit_polynomial(f, left, right, degree, ~line);
  }
  if (lanes_bits(line)) fit_line(f, left, right, deviation, line);
}

static void fit_smooth(const fitting *f) {
  for (int64_t i = 2; i < f->n - 2; i++) {
    lf sum = {0};
    for (int64_t k = i - 2; k <= i + 2; k++) sum += f->fit[k];
    f->fit[i] = sum / 5.0f;
  }
}

static void fit_reject(const fitting *f, float tolerance) {
  lf sum = {0};
  li count = {0};
  for (int64_t i = 0; i < f->n; i++) {
    const lf d = f->t[i] - f->fit[i];
    sum += lf_keep(d * d, ~f->flag[i]);
    count -= ~f->flag[i];
  }
  const lf limit = tolerance * lf_sqrt(sum / li_float(li_pick(count == 0, li_all(1), count)));
  for (int64_t i = 0; i < f->n; i++) f->flag[i] |= (f->t[i] - f->fit[i]) > limit;
}

/* t and flag are used up; the result is in fit. */
static void fit_series(const fitting *f, int poly, int maxnpieces) {
  static const int degrees[5] = {1, 1, 2, 3, 3};
  fit_fill(f);
  memcpy(f->fit, f->t, sizeof *f->fit * (size_t)f->n);
  for (int j = 0; j < 5; j++) {
    const int most = poly ? maxnpieces : 1, pieces = 2 * j + 1 < most ? 2 * j + 1 : most;
    const int degree = poly ? degrees[j] : 1;
    const int64_t size = f->n / pieces, front = f->n % pieces / 2;
    const lf deviation = fit_deviation(f);
    for (int q = 0; q < pieces; q++) {
      const int64_t left = q == 0 ? 0 : front + q * size;
      const int64_t right = q == pieces - 1 ? f->n - 1 : front + (q + 1) * size;
      fit_piece(f, left, right, degree, deviation);
    }
    fit_smooth(f);
    fit_reject(f, j < 2 ? 3.0f : 2.0f);
  }
}

#endif

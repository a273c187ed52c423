/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/interpolate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* First place of v in ascending x, or n; *found: x holds v. */
static int64_t place_float(const float *x, int64_t n, float v, int *found) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t mid = low + (high - low) / 2;
    if (x[mid] < v)
      low = mid + 1;
    else
      high = mid;
  }
  *found = low < n && x[low] == v;
  return low;
}

/* As above for ascending or descending x. */
static int64_t place_double(const double *x, int64_t n, double v, int *found) {
  const int up = n < 2 || x[n - 1] > x[0];
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t mid = low + (high - low) / 2;
    if (up ? x[mid] < v : x[mid] > v)
      low = mid + 1;
    else
      high = mid;
  }
  *found = low < n && x[low] == v;
  return low;
}

static void take(const sheaf_series *s, int64_t i, float *value, uint8_t *flag) {
  memcpy(value, s->value[i], (size_t)s->count * sizeof *value);
  memcpy(flag, s->flag[i], (size_t)s->count);
}

static void linear_time(const sheaf_series *s, int64_t i, float t, float *value) {
  const float x1 = s->time[i], x2 = s->time[i + 1];
  const float part = x2 > x1 ? (t - x1) / (x2 - x1) : 0.0f;
  const float *y1 = s->value[i], *y2 = s->value[i + 1];
  for (int64_t k = 0; k < s->count; k++) value[k] = y1[k] + part * (y2[k] - y1[k]);
}

/* Neville's scheme on four points; float, as Interpolate1D<Float, Array<Float>> works. */
static float neville_float(const float x[4], const float y[4], float t) {
  float c[4], d[4];
  memcpy(c, y, sizeof c);
  memcpy(d, y, sizeof d);
  float sum = c[0];
  for (int i = 1; i < 4; i++) {
    for (int j = 0; j < 4 - i; j++) {
      const float w = (c[j + 1] - d[j]) * (1.0f / (x[j] - x[j + i]));
      c[j] = (x[j] - t) * w;
      d[j] = (x[j + i] - t) * w;
    }
    sum += c[0];
  }
  return sum;
}

static void cubic_time(const sheaf_series *s, int64_t i, float t, float *value) {
  int64_t first = i - 1;
  if (first < 0) first = 0;
  if (first > s->n - 4) first = s->n - 4;
  const float *const *y = s->value + first;
  for (int64_t k = 0; k < s->count; k++) {
    const float points[4] = {y[0][k], y[1][k], y[2][k], y[3][k]};
    value[k] = neville_float(s->time + first, points, t);
  }
}

void sheaf_interpolate_time(const sheaf_series *s, sheaf_interpolation method, float t, float *value,
                            uint8_t *flag) {
  int found = 0;
  assert(s->n >= 1);
  const int64_t where = place_float(s->time, s->n, t, &found);
  if (found || where == 0 || where == s->n) {
    take(s, where == s->n ? s->n - 1 : where, value, flag);
    return;
  }
  const int64_t i = where - 1;
  if (method == SHEAF_INTERPOLATE_NEAREST) {
    take(s, s->time[i + 1] - t < t - s->time[i] ? i + 1 : i, value, flag);
    return;
  }
  if (method == SHEAF_INTERPOLATE_CUBIC && s->n >= 4)
    cubic_time(s, i, t, value);
  else
    linear_time(s, i, t, value);
  for (int64_t k = 0; k < s->count; k++) flag[k] = s->flag[i][k] || s->flag[i + 1][k];
}

/* ---- frequency ------------------------------------------------------------------------------- */

/* Unflagged channels, packed: x in GHz. */
typedef struct packed {
  double *x;
  float *y;
  int64_t n;
} packed;

static packed pack(const sheaf_spectrum *in, double *scratch) {
  packed p = {scratch, (float *)(scratch + in->n), 0};
  for (int64_t i = 0; i < in->n; i++)
    if (!in->flag[i * in->stride]) {
      p.x[p.n] = in->freq_hz[i] / 1.0e9;
      p.y[p.n++] = in->value[i * in->stride];
    }
  return p;
}

static int near_all(const double *a, const double *b, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (a[i] != b[i] && fabs(a[i] - b[i]) > 1e-10 * fmax(fabs(a[i]), fabs(b[i]))) return 0;
  return 1;
}

static float nearest(const packed *p, double f) {
  int found;
  const int64_t i = place_double(p->x, p->n, f, &found);
  if (i == p->n) return p->y[p->n - 1];
  if (i == 0) return p->y[0];
  return fabs(p->x[i] - f) < fabs(p->x[i - 1] - f) ? p->y[i] : p->y[i - 1];
}

/* The upper one of the two points around f. */
static int64_t upper(const packed *p, double f) {
  int found;
  const int64_t i = place_double(p->x, p->n, f, &found);
  return i == p->n ? i - 1 : i == 0 ? 1 : i;
}

static float linear(const packed *p, double f) {
  const int64_t i = upper(p, f);
  const double part = (f - p->x[i - 1]) / (p->x[i] - p->x[i - 1]);
  return (float)(p->y[i - 1] + part * (p->y[i] - p->y[i - 1]));
}

static float cubic(const packed *p, double f) {
  int found;
  int64_t first = place_double(p->x, p->n, f, &found);
  first = first > 1 && first < p->n - 1 ? first - 2 : first <= 1 ? 0 : p->n - 4;
  const double *x = p->x + first;
  float c[4], d[4];
  memcpy(c, p->y + first, sizeof c);
  memcpy(d, p->y + first, sizeof d);
  float sum = c[0];
  for (int i = 1; i < 4; i++) {
    for (int j = 0; j < 4 - i; j++) {
      const float w = (float)((c[j + 1] - d[j]) * (1.0f / (x[j] - x[j + i])));
      c[j] = (float)((x[j] - f) * w);
      d[j] = (float)((x[j + i] - f) * w);
    }
    sum += c[0];
  }
  return sum;
}

/* Second derivatives of the natural spline into y2. CASA's back substitution leaves the second point out. */
static void bend(const packed *p, double *t, float *y2) {
  const double *x = p->x;
  const float *y = p->y;
  const int64_t n = p->n;
  double c = x[1] - x[0];
  t[0] = 0;
  y2[0] = y2[n - 1] = 0.0f;
  for (int64_t i = 1; i < n - 1; i++) {
    const double a = c, b = 2.0 * (x[i + 1] - x[i - 1]);
    c = x[i + 1] - x[i];
    const float r = (float)((1.0f / c) * (y[i + 1] - y[i]) - (1.0f / a) * (y[i] - y[i - 1]));
    const double delta = b - a * t[i - 1];
    t[i] = c / delta;
    y2[i] = (float)((1.0f / delta) * (6.0 * r - a * y2[i - 1]));
  }
  for (int64_t i = n - 2; i > 1; i--) y2[i] = (float)(y2[i] - t[i] * y2[i + 1]);
}

static float spline(const packed *p, const float *y2, double f) {
  const int64_t i = upper(p, f);
  const double dx = p->x[i] - p->x[i - 1];
  const double a = (p->x[i] - f) / dx, b = 1.0 - a, h = dx * dx / 6.0;
  return (float)(a * p->y[i - 1] + b * p->y[i] + h * (a * a * a - a) * y2[i - 1] +
                 h * (b * b * b - b) * y2[i]);
}

static int flag_at(const sheaf_spectrum *in, int64_t i) {
  return in->flag[i * in->stride] != 0;
}

/* Whether the channels that the method takes around channel i hold a flag. */
static int flags_around(const sheaf_spectrum *in, sheaf_interpolation method, int64_t i) {
  const int64_t n = in->n;
  if (method == SHEAF_INTERPOLATE_NEAREST || n < 2) return flag_at(in, i);
  if (method == SHEAF_INTERPOLATE_LINEAR || n < 4) {
    if (i > n - 2) i = n - 2;
    return flag_at(in, i) || flag_at(in, i + 1);
  }
  if (i < 1) i = 1;
  if (i > n - 3) i = n - 3;
  return flag_at(in, i - 1) || flag_at(in, i) || flag_at(in, i + 1) || flag_at(in, i + 2);
}

static int flag_between(const sheaf_spectrum *in, sheaf_interpolation method, const double *ghz,
                        double f) {
  int found;
  int64_t i = place_double(ghz, in->n, f, &found);
  if (found) return flag_at(in, i);
  if (i > 0) i--;
  if (i > in->n - 1) i = in->n - 1;
  if (method == SHEAF_INTERPOLATE_NEAREST && i < in->n - 1 &&
      fabs(f - ghz[i]) > fabs(ghz[i + 1] - f))
    i++;
  return flags_around(in, method, i);
}

static int within(const packed *p, double f) {
  const double a = p->x[0], b = p->x[p->n - 1];
  return a < b ? f > a && f < b : f < a && f > b;
}

/* The end of the packed channels that is nearer to an f outside of them. */
static float end_value(const packed *p, double f) {
  const double a = p->x[0], b = p->x[p->n - 1];
  return (a < b ? f <= a : f >= a) ? p->y[0] : p->y[p->n - 1];
}

void sheaf_interpolate_frequency(const sheaf_spectrum *in, sheaf_interpolation method, int flags,
                                 const double *freq_ghz, int64_t nout, double *scratch,
                                 float *value, uint8_t *flag) {
  packed p = pack(in, scratch);
  if (p.n == 0 || (p.n == nout && near_all(freq_ghz, p.x, nout))) {
    for (int64_t i = 0; i < nout; i++) {
      value[i * in->stride] = p.n ? p.y[i] : 0.0f;
      flag[i * in->stride] = p.n == 0;
    }
    return;
  }
  double *t = scratch + 2 * in->n, *ghz = t;
  float *y2 = (float *)(scratch + 3 * in->n);
  for (int64_t i = 0; i < in->n; i++) ghz[i] = in->freq_hz[i] / 1.0e9;
  for (int64_t i = 0; i < nout; i++)
    flag[i * in->stride] = (uint8_t)(flags && flag_between(in, method, ghz, freq_ghz[i]));
  if (method == SHEAF_INTERPOLATE_CUBIC && p.n < 4) method = SHEAF_INTERPOLATE_LINEAR;
  if (method == SHEAF_INTERPOLATE_SPLINE && in->n < 4) method = SHEAF_INTERPOLATE_LINEAR;
  if (method == SHEAF_INTERPOLATE_SPLINE && p.n > 1) bend(&p, t, y2);
  for (int64_t i = 0; i < nout; i++) {
    const double f = freq_ghz[i];
    float *to = value + i * in->stride;
    if (!within(&p, f))
      *to = end_value(&p, f);
    else if (method == SHEAF_INTERPOLATE_NEAREST)
      *to = nearest(&p, f);
    else if (method == SHEAF_INTERPOLATE_LINEAR)
      *to = linear(&p, f);
    else if (method == SHEAF_INTERPOLATE_CUBIC)
      *to = cubic(&p, f);
    else
      *to = spline(&p, y2, f);
  }
}

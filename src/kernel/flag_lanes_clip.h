/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes_clip.h - mode clip on vectors; internal to flag_lanes_*.c. */
#ifndef SHEAF_KERNEL_FLAG_LANES_CLIP_H
#define SHEAF_KERNEL_FLAG_LANES_CLIP_H

#include <float.h>

#include "kernel/flag_clip.h"
#include "kernel/flag_lanes_values.h"

/* What is kept: low <= x <= high, and not bottom <= x <= top. Floats, as x is one; NaN is never
 * kept. Moduli whose square, in float with its errors, lies in squares[0] .. squares[1] are kept
 * for sure. */
typedef struct clipping {
  float low, high, bottom, top, squares[2];
  uint8_t value; /* that flags get */
} clipping;

/* The nearest float that is not above, or not below. */
static float float_below(double x) {
  const float f = (float)x;
  return (double)f > x ? nextafterf(f, -INFINITY) : f;
}
static float float_above(double x) {
  const float f = (float)x;
  return (double)f < x ? nextafterf(f, INFINITY) : f;
}

static clipping clipping_make(const sheaf_flag_clip_options *o) {
  clipping k = {-FLT_MAX, FLT_MAX, INFINITY, -INFINITY, {1.0f, -1.0f}, !o->clears};
  if (o->zeros) k.low = nextafterf(FLT_EPSILON, 1.0f);
  if (o->limits && o->outside) {
    const float low = float_above(o->min), high = float_below(o->max);
    /* A limit that is NaN flags nothing. */
    if (low > k.low) k.low = low;
    if (high < k.high) k.high = high;
  } else if (o->limits && o->min == o->min && o->max == o->max) {
    k.bottom = float_above(o->min);
    k.top = float_below(o->max);
  }
  const float least = k.bottom <= k.top && k.top > k.low ? k.top : k.low;
  if (least < 1e18f && k.high > 1e-15f && (least <= 0.0f || least > 1e-15f)) {
    const double high = k.high < 1e18f ? (double)k.high * (double)k.high : 1e36;
    k.squares[0] = least <= 0.0f ? 0.0f : (float)((double)least * (double)least * 1.00001);
    k.squares[1] = (float)(high * 0.99999);
    if (k.bottom <= k.top && k.top == 0.0f) k.squares[0] = FLT_TRUE_MIN; /* 0 is inside */
  }
  return k;
}

LANES_INLINE li clip_hits(const clipping *k, lf x) {
  const li kept = (x >= k->low) & (x <= k->high), inside = (x >= k->bottom) & (x <= k->top);
  return ~kept | inside;
}

LANES_INLINE unsigned clip_bits(const clipping *k, sheaf_flag_operator op, const float *data,
                                int real) {
  lf re, im;
  value_load(data, real, &re, &im);
  if (op == SHEAF_FLAG_ABS) {
    const lf square = re * re + im * im;
    if (!lanes_bits(~((square >= k->squares[0]) & (square <= k->squares[1])))) return 0;
  }
  return lanes_bits(clip_hits(k, value_of(op, re, im)));
}

/* n cells one behind the other, of which `corrs` (a bit for each) are examined. */
LANES_INLINE int64_t clip_span(const clipping *k, sheaf_flag_operator op, const float *data,
                               int real, uint8_t *flag, int64_t n, int64_t ncorr, unsigned corrs) {
  const int parts = real ? 1 : 2;
  const unsigned every = ncorr < 32 ? (1u << ncorr) - 1 : ~0u;
  int64_t nset = 0;
  for (int64_t i = 0; i < n; i += LANES) {
    unsigned bits;
    if (i + LANES <= n) {
      bits = clip_bits(k, op, data + i * parts, real);
    } else {
      float rest[2 * LANES] = {0};
      memcpy(rest, data + i * parts, sizeof *rest * (size_t)((n - i) * parts));
      bits = clip_bits(k, op, rest, real) & ((1u << (n - i)) - 1);
    }
    for (; bits; bits &= bits - 1) {
      const int64_t at = i + __builtin_ctz(bits);
      if (corrs != every && !(corrs >> at % ncorr & 1)) continue;
      nset += flag[at] != k->value;
      flag[at] = k->value;
    }
  }
  return nset;
}

static int64_t clip_plain(const source *s, const clipping *k, sheaf_flag_operator op, int64_t row,
                          unsigned corrs) {
  const sheaf_flag_view *v = s->view;
  const size_t cell = (size_t)((row * v->nchan + s->first) * v->ncorr);
  const float *data = v->data + cell * (v->real ? 1 : 2);
  const int64_t n = s->nchan * v->ncorr;
  switch (op) { /* so that the operator is known inside */
    case SHEAF_FLAG_ABS:
      return clip_span(k, SHEAF_FLAG_ABS, data, v->real, v->flag + cell, n, v->ncorr, corrs);
    case SHEAF_FLAG_REAL:
      return clip_span(k, SHEAF_FLAG_REAL, data, v->real, v->flag + cell, n, v->ncorr, corrs);
    default:
      return clip_span(k, op, data, v->real, v->flag + cell, n, v->ncorr, corrs);
  }
}

/* Any quantity, one value at a time. */
static int64_t clip_row(const source *s, const clipping *k, sheaf_flag_operator op, int64_t row) {
  int64_t nset = 0;
  for (int q = 0; q < s->nquantity; q++)
    for (int64_t c = 0; c < s->nchan; c++) {
      float part[2 * LANES] = {0};
      source_value(s, s->quantity + q, source_cell(s, row, c), part, part + 1);
      if (clip_bits(k, op, part, 0) & 1) nset += source_put(s, s->quantity + q, row, c, k->value);
    }
  return nset;
}

static int64_t clip(const sheaf_flag_view *view, const int64_t *row, int64_t n,
                    const sheaf_flag_quantity *quantity, int nquantity, sheaf_flag_operator op,
                    const sheaf_flag_clip_options *options) {
  const source s = source_make(view, view->flag, quantity, nquantity);
  const clipping k = clipping_make(options);
  unsigned corrs = 0;
  int64_t nset = 0;
  for (int q = 0; s.plain && q < nquantity; q++) corrs |= 1u << quantity[q].a;
  for (int64_t i = 0; i < n && nquantity; i++) {
    const int64_t r = row ? row[i] : i;
    const int64_t new = s.plain ? clip_plain(&s, &k, op, r, corrs) : clip_row(&s, &k, op, r);
    if (new && view->changed) view->changed[r] = 1;
    nset += new;
  }
  return nset;
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes_values.h - the quantities of a row's cells, as planes of channels; internal to
 * flag_lanes_*.c. */
#ifndef SHEAF_KERNEL_FLAG_LANES_VALUES_H
#define SHEAF_KERNEL_FLAG_LANES_VALUES_H

#include "kernel/flag_expression.h"
#include "kernel/flag_lanes.h"
#include "kernel/flag_view.h"

/* A flagged value is this NaN; NaNs of the data become another. */
#define FLAGGED ((int32_t)0xffc5f1a6)
#define DATA_NAN ((int32_t)0x7fc00000)

typedef struct source {
  const sheaf_flag_view *view;
  const uint8_t *flag; /* view->flag, or the original flags */
  const sheaf_flag_quantity *quantity;
  int nquantity;
  int64_t nchan, columns; /* channels of the agent; the same in full vectors */
  int64_t first;          /* the agent's channels are first, first + 1, …; or -1 */
  int plain;              /* `first`, and single correlations only: fast ways are open */
} source;

static inline float value_none(void) {
  const int32_t bits = FLAGGED;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline int64_t source_channel(const source *s, int64_t c) {
  return s->view->chan ? s->view->chan[c] : c;
}

static inline source source_make(const sheaf_flag_view *view, const uint8_t *flag,
                                 const sheaf_flag_quantity *quantity, int nquantity) {
  source s = {.view = view, .flag = flag, .quantity = quantity, .nquantity = nquantity};
  s.nchan = sheaf_flag_view_channels(view);
  s.columns = LANES_ROUND(s.nchan);
  s.first = view->chan && s.nchan ? view->chan[0] : 0;
  for (int64_t c = 0; view->chan && c < s.nchan; c++)
    if (view->chan[c] != s.first + c) {
      s.first = -1;
      break;
    }
  s.plain = s.first >= 0 && view->ncorr <= 16;
  for (int q = 0; q < nquantity; q++)
    if (quantity[q].form != SHEAF_FLAG_SINGLE) s.plain = 0;
  return s;
}

static inline size_t source_cell(const source *s, int64_t row, int64_t c) {
  return (size_t)((row * s->view->nchan + source_channel(s, c)) * s->view->ncorr);
}

/* Rows of a baseline lie far apart, where no processor looks ahead by itself. */
static inline void source_prefetch(const source *s, int64_t row) {
  const size_t cells = (size_t)(s->view->nchan * s->view->ncorr),
               bytes = cells * (s->view->real ? 4 : 8);
  const char *data = (const char *)s->view->data + (size_t)row * bytes;
  const uint8_t *flag = s->flag + (size_t)row * cells;
  for (size_t i = 0; i < bytes && i < 16384; i += 64) __builtin_prefetch(data + i);
  for (size_t i = 0; i < cells && i < 2048; i += 64) __builtin_prefetch(flag + i);
}

/* Complex value of quantity q at a place of source_cell. */
static inline void source_value(const source *s, const sheaf_flag_quantity *q, size_t cell,
                                float *re, float *im) {
  const float *data = s->view->data;
  const size_t a = cell + (size_t)q->a, b = cell + (size_t)q->b;
  const int real = s->view->real;
  const float ar = real ? data[a] : data[2 * a], ai = real ? 0.0f : data[2 * a + 1];
  const float br = real ? data[b] : data[2 * b], bi = real ? 0.0f : data[2 * b + 1];
  switch (q->form) {
    case SHEAF_FLAG_SINGLE:
      *re = ar;
      *im = ai;
      break;
    case SHEAF_FLAG_HALF_SUM:
      *re = (ar + br) / 2.0f;
      *im = (ai + bi) / 2.0f;
      break;
    case SHEAF_FLAG_HALF_DIFF:
      *re = (ar - br) / 2.0f;
      *im = (ai - bi) / 2.0f;
      break;
    case SHEAF_FLAG_HALF_DIFF_I:
      *re = (ai - bi) / 2.0f;
      *im = -((ar - br) / 2.0f);
      break;
  }
}

static inline int source_flagged(const source *s, const sheaf_flag_quantity *q, size_t cell) {
  return s->flag[cell + (size_t)q->a] | s->flag[cell + (size_t)q->b];
}

LANES_INLINE lf value_modulus(lf re, lf im) {
  lf out = {0};
  for (int h = 0; h < 2; h++) {
    const ld x = lanes_widen((const float *)&re + h * HALF),
             y = lanes_widen((const float *)&im + h * HALF);
    lanes_narrow((float *)&out + h * HALF, ld_sqrt(x * x + y * y));
  }
  return out;
}

LANES_INLINE lf value_of(sheaf_flag_operator op, lf re, lf im) {
  switch (op) {
    case SHEAF_FLAG_REAL:
      return re;
    case SHEAF_FLAG_IMAG:
      return im;
    case SHEAF_FLAG_NORM:
      return re * re + im * im;
    case SHEAF_FLAG_ABS:
      return value_modulus(re, im);
    case SHEAF_FLAG_ARG:
      for (int k = 0; k < LANES; k++) re[k] = atan2f(im[k], re[k]);
      return re;
  }
  return re;
}

LANES_INLINE void value_load(const float *data, int real, lf *re, lf *im) {
  const lf a = lf_load(data);
  if (real) {
    *re = a;
    *im = (lf){0};
  } else {
    const lf b = lf_load(data + LANES);
    *re = lanes_even(a, b);
    *im = lanes_odd(a, b);
  }
}

LANES_INLINE lf value_flagged(lf v, li flagged) {
  v = lf_pick(v != v, (lf)li_all(DATA_NAN), v);
  return lf_pick(flagged, (lf)li_all(FLAGGED), v);
}

/* n values of cells one behind the other; out has room for full vectors. */
LANES_INLINE void values_span(const float *data, int real, const uint8_t *flag, int64_t n,
                              sheaf_flag_operator op, float *out) {
  const int parts = real ? 1 : 2;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    lf re, im;
    value_load(data + i * parts, real, &re, &im);
    lf_store(out + i, value_flagged(value_of(op, re, im), lanes_mask(flag + i)));
  }
  if (i < n) {
    float rest[2 * LANES] = {0};
    uint8_t flags[LANES] = {0};
    memcpy(rest, data + i * parts, sizeof *rest * (size_t)((n - i) * parts));
    memcpy(flags, flag + i, (size_t)(n - i));
    lf re, im;
    value_load(rest, real, &re, &im);
    lf_store(out + i, value_flagged(value_of(op, re, im), lanes_mask(flags)));
  }
}

/* LANES floats, every second or fourth of those from p on, from the a-th. */
LANES_INLINE lf take_second(const float *p, int64_t a) {
  const lf x = lf_load(p), y = lf_load(p + LANES);
  return a ? lanes_odd(x, y) : lanes_even(x, y);
}
LANES_INLINE lf take_fourth(const float *p, int64_t a) {
  const lf x = take_second(p, a & 1), y = take_second(p + 2 * LANES, a & 1);
  return a >> 1 ? lanes_odd(x, y) : lanes_even(x, y);
}

/* Every ncorr-th of n·ncorr floats, from the a-th. (A compiler is slower: it fears the gaps at the
 * end.) */
static inline void take_every(const float *from, int64_t ncorr, int64_t a, int64_t n,
                              float *restrict to) {
  int64_t i = 0;
  if (ncorr == 1) {
    memcpy(to, from, sizeof *to * (size_t)n);
    return;
  }
  for (; ncorr == 2 && i + LANES <= n; i += LANES) lf_store(to + i, take_second(from + 2 * i, a));
  for (; ncorr == 4 && i + LANES <= n; i += LANES) lf_store(to + i, take_fourth(from + 4 * i, a));
  for (; i < n; i++) to[i] = from[ncorr * i + a];
}

enum { SPAN = 1024 };

LANES_INLINE void values_plain(const source *s, int64_t row, sheaf_flag_operator op, float *plane,
                               int64_t stride) {
  const int64_t ncorr = s->view->ncorr, block = SPAN / ncorr;
  const size_t cell = (size_t)((row * s->view->nchan + s->first) * ncorr);
  float span[SPAN + LANES];
  for (int64_t c = 0; c < s->nchan; c += block) {
    const int64_t n = s->nchan - c < block ? s->nchan - c : block;
    const size_t at = cell + (size_t)(c * ncorr);
    values_span(s->view->data + at * (s->view->real ? 1 : 2), s->view->real, s->flag + at,
                n * ncorr, op, span);
    for (int q = 0; q < s->nquantity; q++)
      take_every(span, ncorr, s->quantity[q].a, n, plane + q * stride + c);
  }
}

/* Values of all quantities of a row, plane[q * stride + c]; flagged ones and those that fill the
 * last vector are FLAGGED. */
static void source_values(const source *s, int64_t row, sheaf_flag_operator op, float *plane,
                          int64_t stride) {
  if (s->plain) {
    switch (op) { /* so that the operator is known inside */
      case SHEAF_FLAG_ABS:
        values_plain(s, row, SHEAF_FLAG_ABS, plane, stride);
        break;
      case SHEAF_FLAG_REAL:
        values_plain(s, row, SHEAF_FLAG_REAL, plane, stride);
        break;
      default:
        values_plain(s, row, op, plane, stride);
    }
  } else {
    for (int q = 0; q < s->nquantity; q++)
      for (int64_t c = 0; c < s->nchan; c++) {
        const size_t cell = source_cell(s, row, c);
        float part[2 * LANES] = {0};
        const uint8_t flag[LANES] = {(uint8_t)source_flagged(s, s->quantity + q, cell)};
        float value[LANES];
        lf re, im;
        source_value(s, s->quantity + q, cell, part, part + 1);
        value_load(part, 0, &re, &im);
        lf_store(value, value_flagged(value_of(op, re, im), lanes_mask(flag)));
        plane[q * stride + c] = value[0];
      }
  }
  for (int q = 0; q < s->nquantity; q++)
    for (int64_t c = s->nchan; c < s->columns; c++) plane[q * stride + c] = value_none();
}

/* Sets the flags of a quantity at a place; returns how many changed. */
static inline int source_put(const source *s, const sheaf_flag_quantity *q, int64_t row, int64_t c,
                             uint8_t value) {
  uint8_t *flag = s->view->flag + source_cell(s, row, c);
  int new = flag[q->a] != value;
  flag[q->a] = value;
  if (q->b != q->a) {
    new += flag[q->b] != value;
    flag[q->b] = value;
  }
  if (new && s->view->changed) s->view->changed[row] = 1;
  return new;
}

static inline int source_set(const source *s, const sheaf_flag_quantity *q, int64_t row,
                             int64_t c) {
  return source_put(s, q, row, c, 1);
}

#endif

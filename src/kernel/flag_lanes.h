/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_lanes.h - vectors of independent series, in the width of an instruction set; internal to
 * flag_lanes_*.c.
 *
 * The kernels are written once, on vectors of LANES floats; each of flag_lanes_avx512.c, _avx2.c
 * and _plain.c compiles them for its instruction set, as static functions. A lane is a series of
 * its own, and does the operations of scalar code in the same order, without contraction (the build
 * has -ffp-contract=off), so that all variants give the same bits. */
#ifndef SHEAF_KERNEL_FLAG_LANES_H
#define SHEAF_KERNEL_FLAG_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if LANES_BYTES == 64
#include <immintrin.h>
#endif

#define LANES (LANES_BYTES / 4)
#define HALF (LANES / 2)

typedef float lf __attribute__((vector_size(LANES_BYTES)));
typedef int32_t li __attribute__((vector_size(LANES_BYTES)));
typedef double ld __attribute__((vector_size(LANES_BYTES))); /* HALF lanes */
typedef int64_t ll __attribute__((vector_size(LANES_BYTES)));
typedef float lh __attribute__((vector_size(LANES_BYTES / 2)));
typedef int32_t lhi __attribute__((vector_size(LANES_BYTES / 2)));

#define LANES_INLINE static inline __attribute__((always_inline, unused))

/* Masks are 0 or -1 in each lane, as comparisons of vectors give. */
LANES_INLINE lf lf_load(const float *p) {
  lf v;
  memcpy(&v, p, sizeof v);
  return v;
}
LANES_INLINE void lf_store(float *p, lf v) {
  memcpy(p, &v, sizeof v);
}
LANES_INLINE li li_load(const int32_t *p) {
  li v;
  memcpy(&v, p, sizeof v);
  return v;
}
LANES_INLINE void li_store(int32_t *p, li v) {
  memcpy(p, &v, sizeof v);
}
LANES_INLINE ld ld_load(const double *p) {
  ld v;
  memcpy(&v, p, sizeof v);
  return v;
}
LANES_INLINE void ld_store(double *p, ld v) {
  memcpy(p, &v, sizeof v);
}
LANES_INLINE lf lf_all(float x) {
  return (lf){0} + x;
}
LANES_INLINE li li_all(int32_t x) {
  return (li){0} + x;
}
LANES_INLINE ld ld_all(double x) {
  return (ld){0} + x;
}
LANES_INLINE lf lf_keep(lf v, li mask) {
  return (lf)((li)v & mask);
}
LANES_INLINE ld ld_keep(ld v, ll mask) {
  return (ld)((ll)v & mask);
}
LANES_INLINE lf lf_pick(li mask, lf a, lf b) {
  return (lf)(((li)a & mask) | ((li)b & ~mask));
}
LANES_INLINE li li_pick(li mask, li a, li b) {
  return (a & mask) | (b & ~mask);
}
LANES_INLINE ld ld_pick(ll mask, ld a, ld b) {
  return (ld)(((ll)a & mask) | ((ll)b & ~mask));
}
LANES_INLINE lf lf_abs(lf v) {
  return (lf)((li)v & 0x7fffffff);
}
LANES_INLINE ld ld_abs(ld v) {
  return (ld)((ll)v & INT64_MAX);
}
LANES_INLINE lf li_float(li v) {
  return __builtin_convertvector(v, lf);
}

LANES_INLINE lf lf_sqrt(lf v) {
  for (int k = 0; k < LANES; k++) v[k] = sqrtf(v[k]);
  return v;
}
LANES_INLINE ld ld_sqrt(ld v) {
  for (int k = 0; k < HALF; k++) v[k] = sqrt(v[k]);
  return v;
}
LANES_INLINE ld lanes_widen(const float *p) { /* HALF floats */
  lh v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, ld);
}
LANES_INLINE void lanes_narrow(float *p, ld v) {
  const lh x = __builtin_convertvector(v, lh);
  memcpy(p, &x, sizeof x);
}

#if LANES_BYTES == 64
/* LANES bytes (0, or anything else) as a mask. */
LANES_INLINE li lanes_mask(const uint8_t *p) {
  return (li)_mm512_movm_epi32(
      _mm_test_epi8_mask(_mm_loadu_si128((const void *)p), _mm_set1_epi8(-1)));
}
LANES_INLINE ll lanes_half_mask(const uint8_t *p) {
  return (ll)_mm512_movm_epi64(
      (__mmask8)_mm_test_epi8_mask(_mm_loadl_epi64((const void *)p), _mm_set1_epi8(-1)));
}
/* One bit a lane. */
LANES_INLINE unsigned lanes_bits(li mask) {
  return _mm512_movepi32_mask((__m512i)mask);
}
LANES_INLINE unsigned lanes_half_bits(ll mask) {
  return _mm512_movepi64_mask((__m512i)mask);
}
#else
LANES_INLINE li lanes_mask(const uint8_t *p) {
  li v;
  for (int k = 0; k < LANES; k++) v[k] = p[k];
  return v != 0;
}
LANES_INLINE ll lanes_half_mask(const uint8_t *p) {
  ll v;
  for (int k = 0; k < HALF; k++) v[k] = p[k];
  return v != 0;
}
LANES_INLINE unsigned lanes_bits(li mask) {
  unsigned bits = 0;
  for (int k = 0; k < LANES; k++) bits |= (unsigned)(mask[k] & 1) << k;
  return bits;
}
LANES_INLINE unsigned lanes_half_bits(ll mask) {
  unsigned bits = 0;
  for (int k = 0; k < HALF; k++) bits |= (unsigned)(mask[k] & 1) << k;
  return bits;
}
#endif

#if LANES == 16
#define ZIP_LOW                                            \
  (li) {                                                   \
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23 \
  }
#define ZIP_HIGH                                                 \
  (li) {                                                         \
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 \
  }
#define UNZIP_EVEN                                            \
  (li) {                                                      \
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30 \
  }
#elif LANES == 8
#define ZIP_LOW              \
  (li) {                     \
    0, 8, 1, 9, 2, 10, 3, 11 \
  }
#define ZIP_HIGH               \
  (li) {                       \
    4, 12, 5, 13, 6, 14, 7, 15 \
  }
#define UNZIP_EVEN            \
  (li) {                      \
    0, 2, 4, 6, 8, 10, 12, 14 \
  }
#else
#define ZIP_LOW \
  (li) {        \
    0, 4, 1, 5  \
  }
#define ZIP_HIGH \
  (li) {         \
    2, 6, 3, 7   \
  }
#define UNZIP_EVEN \
  (li) {           \
    0, 2, 4, 6     \
  }
#endif

#if defined(__clang__)
#define LANES_SHUFFLE(a, b, mask) lanes_shuffle(a, b, mask)
LANES_INLINE lf lanes_shuffle(lf a, lf b, li mask) {
  lf v;
  for (int k = 0; k < LANES; k++) v[k] = mask[k] < LANES ? a[mask[k]] : b[mask[k] - LANES];
  return v;
}
#else
#define LANES_SHUFFLE(a, b, mask) __builtin_shuffle(a, b, mask)
#endif

LANES_INLINE lf lanes_even(lf a, lf b) {
  return LANES_SHUFFLE(a, b, UNZIP_EVEN);
}
LANES_INLINE lf lanes_odd(lf a, lf b) {
  return LANES_SHUFFLE(a, b, UNZIP_EVEN + 1);
}

/* Turns LANES vectors by perfect shuffles. */
LANES_INLINE void lanes_transpose(lf v[LANES]) {
  for (int step = 1; step < LANES; step *= 2) {
    lf w[LANES];
    for (int k = 0; k < HALF; k++) {
      w[2 * k] = LANES_SHUFFLE(v[k], v[k + HALF], ZIP_LOW);
      w[2 * k + 1] = LANES_SHUFFLE(v[k], v[k + HALF], ZIP_HIGH);
    }
    for (int k = 0; k < LANES; k++) v[k] = w[k];
  }
}

/* Columns are kept in full vectors. */
#define LANES_ROUND(n) (((n) + LANES - 1) / LANES * LANES)

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/bits.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Eight flags of one packed byte, spread to the eight bytes of a word in memory order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PLACE(i) (8 * (i))
#else
#define PLACE(i) (56 - 8 * (i))
#endif
#define SPREAD1(b, i) ((uint64_t)((b) >> (i)&1) << PLACE(i))
#define SPREAD(b)                                                                                  \
  (SPREAD1(b, 0) | SPREAD1(b, 1) | SPREAD1(b, 2) | SPREAD1(b, 3) | SPREAD1(b, 4) | SPREAD1(b, 5) | \
   SPREAD1(b, 6) | SPREAD1(b, 7))
#define SPREAD4(b) SPREAD(b), SPREAD(b + 1), SPREAD(b + 2), SPREAD(b + 3)
#define SPREAD16(b) SPREAD4(b), SPREAD4(b + 4), SPREAD4(b + 8), SPREAD4(b + 12)
#define SPREAD64(b) SPREAD16(b), SPREAD16(b + 16), SPREAD16(b + 32), SPREAD16(b + 48)

static const uint64_t spread[256] = {SPREAD64(0), SPREAD64(64), SPREAD64(128), SPREAD64(192)};

#ifdef __SSE2__
/* Sixteen flags from the low bits of `two`. */
static void unpack16(uint8_t *out, unsigned two) {
  const __m128i bit = _mm_set1_epi64x((int64_t)0x8040201008040201);
  __m128i v = _mm_cvtsi32_si128((int)two);
  v = _mm_unpacklo_epi8(v, v);
  v = _mm_shufflelo_epi16(v, _MM_SHUFFLE(1, 1, 0, 0));
  v = _mm_shuffle_epi32(v, _MM_SHUFFLE(1, 1, 0, 0)); /* eight times each byte */
  v = _mm_cmpeq_epi8(_mm_and_si128(v, bit), bit);
  _mm_storeu_si128((__m128i *)out, _mm_and_si128(v, _mm_set1_epi8(1)));
}
#endif

void sheaf_bits_unpack(uint8_t *out, const uint8_t *bits, int64_t first, int64_t n) {
  const uint8_t *p = bits + first / 8;
  const int shift = (int)(first % 8);
  int64_t i = 0;
#ifdef __SSE2__
  if (shift == 0) {
    for (; i + 16 <= n; i += 16, p += 2) unpack16(out + i, (unsigned)p[0] | (unsigned)p[1] << 8);
  } else {
    for (; i + 16 <= n; i += 16, p += 2)
      unpack16(out + i, ((unsigned)p[0] | (unsigned)p[1] << 8 | (unsigned)p[2] << 16) >> shift);
  }
#endif
  for (; i + 8 <= n; i += 8, p++) {
    const unsigned two = shift ? (unsigned)p[0] | (unsigned)p[1] << 8 : p[0];
    memcpy(out + i, &spread[two >> shift & 255], 8);
  }
  for (int64_t k = shift; i < n; i++, k++) out[i] = p[k / 8] >> (k % 8) & 1;
}

static void set_bit(uint8_t *bits, int64_t e, int on) {
  const uint8_t mask = (uint8_t)(1u << (e % 8));
  bits[e / 8] = (uint8_t)(on ? bits[e / 8] | mask : bits[e / 8] & ~mask);
}

/* Eight flags to one packed byte. */
static uint8_t gather8(const uint8_t *in) {
  unsigned byte = 0;
  for (int i = 0; i < 8; i++) byte |= (unsigned)(in[i] != 0) << i;
  return (uint8_t)byte;
}

void sheaf_bits_pack(uint8_t *bits, int64_t first, const uint8_t *in, int64_t n) {
  int64_t i = 0;
  for (; i < n && (first + i) % 8; i++) set_bit(bits, first + i, in[i] != 0);
  uint8_t *p = bits + (first + i) / 8;
#ifdef __SSE2__
  for (; i + 16 <= n; i += 16, p += 2) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(in + i));
    const unsigned off = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
    p[0] = (uint8_t)~off;
    p[1] = (uint8_t)(~off >> 8);
  }
#endif
  for (; i + 8 <= n; i += 8) *p++ = gather8(in + i);
  for (; i < n; i++) set_bit(bits, first + i, in[i] != 0);
}

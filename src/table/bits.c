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

void sheaf_bits_unpack(uint8_t *out, const uint8_t *bits, int64_t first, int64_t n) {
  const uint8_t *p = bits + first / 8;
  const int shift = (int)(first % 8);
  const int64_t whole = n / 8;
  if (shift == 0) {
    for (int64_t i = 0; i < whole; i++) memcpy(out + 8 * i, &spread[p[i]], 8);
  } else {
    for (int64_t i = 0; i < whole; i++) {
      const unsigned two = (unsigned)p[i] | (unsigned)p[i + 1] << 8;
      memcpy(out + 8 * i, &spread[two >> shift & 255], 8);
    }
  }
  for (int64_t i = 8 * whole; i < n; i++) {
    const int64_t e = shift + i;
    out[i] = p[e / 8] >> (e % 8) & 1;
  }
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

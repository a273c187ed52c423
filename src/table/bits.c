/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/bits.h"

#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
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
/* Flags with wider vectors, from bit `shift` of *bits; packed ones begin at bit 0. Those that
 * return a number do as many flags as fill a vector, and return how many. */
__attribute__((target("avx512bw"))) static void unpack_avx512(uint8_t *out, const uint8_t *bits,
                                                              int shift, int64_t n) {
  const __m512i one = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < n; i += 64, bits += 8) {
    const int64_t left = n - i < 64 ? n - i : 64;
    const __mmask64 bytes = ~0ULL >> (64 - (shift + left + 7) / 8);
    const __m128i v = _mm512_castsi512_si128(_mm512_maskz_loadu_epi8(bytes, bits));
    uint64_t word = (uint64_t)_mm_cvtsi128_si64(v);
    if (shift) word = word >> shift | (uint64_t)_mm_extract_epi16(v, 4) << (64 - shift);
    const __m512i flags = _mm512_maskz_mov_epi8(word, one);
    if (left == 64)
      _mm512_storeu_si512(out + i, flags);
    else
      _mm512_mask_storeu_epi8(out + i, ~0ULL >> (64 - left), flags);
  }
}

__attribute__((target("avx512bw"))) static int64_t pack_avx512(uint8_t *bits, const uint8_t *in,
                                                               int64_t n) {
  int64_t i = 0;
  for (; i + 64 <= n; i += 64, bits += 8) {
    const __m512i v = _mm512_loadu_si512(in + i);
    const uint64_t word = _mm512_test_epi8_mask(v, v);
    memcpy(bits, &word, 8);
  }
  return i;
}

__attribute__((target("avx2"))) static int64_t unpack_avx2(uint8_t *out, const uint8_t *bits,
                                                           int shift, int64_t n) {
  const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201), one = _mm256_set1_epi8(1);
  const __m256i place = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                           0x0303030303030303); /* eight times each byte */
  int64_t i = 0;
  for (; i + 32 <= n; i += 32, bits += 4) {
    uint32_t word;
    memcpy(&word, bits, 4);
    if (shift) word = word >> shift | (uint32_t)bits[4] << (32 - shift);
    const __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)word), place);
    _mm256_storeu_si256((__m256i *)(out + i),
                        _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit), one));
  }
  return i;
}

__attribute__((target("avx2"))) static int64_t pack_avx2(uint8_t *bits, const uint8_t *in,
                                                         int64_t n) {
  int64_t i = 0;
  for (; i + 32 <= n; i += 32, bits += 4) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)(in + i));
    const uint32_t word =
        ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
    memcpy(bits, &word, 4);
  }
  return i;
}

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
  if (n >= 16 && __builtin_cpu_supports("avx512bw")) {
    unpack_avx512(out, p, shift, n);
    return;
  }
  if (n >= 32 && __builtin_cpu_supports("avx2")) {
    i = unpack_avx2(out, p, shift, n);
    p += i / 8;
  }
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
  if (n - i >= 64) {
    int64_t done = 0;
    if (__builtin_cpu_supports("avx512bw"))
      done = pack_avx512(p, in + i, n - i);
    else if (__builtin_cpu_supports("avx2"))
      done = pack_avx2(p, in + i, n - i);
    i += done;
    p += done / 8;
  }
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

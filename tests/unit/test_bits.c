/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Packed flags with every width of vector that this processor has, against flags moved one by one;
 * between pages that cannot be touched, so that nothing beyond the bits asked for is read or
 * written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#if defined __x86_64__ || defined __i386__
static int has(const char *name) {
  if (strcmp(name, "avx512bw") == 0) return __builtin_cpu_supports("avx512bw");
  if (strcmp(name, "avx2") == 0) return __builtin_cpu_supports("avx2");
  return strcmp(name, "") == 0;
}
#else
static int has(const char *name) {
  return strcmp(name, "") == 0;
}
#endif

/* The module itself, under names of our own, on a processor that has but these vectors. */
static const char *vectors = "";
#define __builtin_cpu_supports(name) (strcmp(name, vectors) == 0)
#define sheaf_bits_unpack unpack
#define sheaf_bits_pack pack
#include "../../src/table/bits.c"

enum { MOST = 700 };

/* n bytes that end where a page that cannot be touched begins. */
static uint8_t *at_the_edge(uint8_t *page_end, int64_t n) {
  return page_end - n;
}

static uint8_t *new_page(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(base != MAP_FAILED);
  assert_int_equal(mprotect(base + page, page, PROT_NONE), 0);
  return base + page;
}

static void check(uint8_t *bits_end, uint8_t *flags_end, int64_t first, int64_t n) {
  const int64_t bytes = (first + n + 7) / 8;
  uint8_t before[MOST / 8 + 16];
  uint8_t *bits = at_the_edge(bits_end, bytes), *flags = at_the_edge(flags_end, n);
  for (int64_t i = 0; i < bytes; i++) before[i] = bits[i] = (uint8_t)rand();
  for (int64_t i = 0; i < n; i++) flags[i] = (uint8_t)(rand() % 3 ? 0 : 1 + rand() % 255);
  pack(bits, first, flags, n);
  for (int64_t e = 0; e < 8 * bytes; e++) {
    const int inside = e >= first && e < first + n, was = before[e / 8] >> (e % 8) & 1;
    assert_int_equal(bits[e / 8] >> (e % 8) & 1, inside ? flags[e - first] != 0 : was);
  }
  for (int64_t i = 0; i < bytes; i++) bits[i] = (uint8_t)rand();
  unpack(flags, bits, first, n);
  for (int64_t i = 0; i < n; i++)
    assert_int_equal(flags[i], bits[(first + i) / 8] >> ((first + i) % 8) & 1);
}

static void test_every_width(void **state) {
  static const char *const widths[] = {"", "avx2", "avx512bw"};
  (void)state;
  uint8_t *bits_end = new_page(), *flags_end = new_page();
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    if (!has(widths[w])) continue;
    vectors = widths[w];
    for (int64_t first = 0; first < 17; first++)
      for (int64_t n = 0; n < MOST; n += 1 + n / 150) check(bits_end, flags_end, first, n);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_width)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

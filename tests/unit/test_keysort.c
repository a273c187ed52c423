/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/keysort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 2000 };

static int compare(const void *pa, const void *pb) {
  const sheaf_keyed *a = pa, *b = pb;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->value > b->value) - (a->value < b->value);
}

/* Values are the places from before, so that the order is one, and equal keys tell theirs. */
static void check(sheaf_keyed *items, int64_t n) {
  static sheaf_keyed want[MOST + 1], scratch[MOST + 1];
  for (int64_t i = 0; i < n; i++) items[i].value = i;
  memcpy(want, items, (size_t)n * sizeof *want);
  qsort(want, (size_t)n, sizeof *want, compare);
  sheaf_keysort(items, n, scratch);
  assert_memory_equal(items, want, (size_t)n * sizeof *want);
}

static void test_random(void **state) {
  (void)state;
  static sheaf_keyed items[MOST + 1];
  static const uint64_t masks[] = {
      0, 1, 0xff, 0xff00, 0xffff, 0xff00ff00ff00ff00u, ~(uint64_t)0, 0x30000000fu, 1ull << 63};
  srandom(1);
  for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
    for (int64_t n = 1; n <= MOST; n = 2 * n + 1) {
      for (int64_t i = 0; i < n; i++)
        items[i].key =
            ((uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random()) & masks[m];
      check(items, n);
    }
}

static void test_orders(void **state) {
  (void)state;
  sheaf_keyed up[] = {{1, 0}, {2, 0}, {2, 0}, {300, 0}}, down[] = {{70000, 0}, {3, 0}, {2, 0}};
  check(up, 4);
  check(down, 3);
  check(down, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_orders)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

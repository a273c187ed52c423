/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/pool.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "support.h"

static void test_sizes(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 64, 1000, 1 << 20, (1 << 20) - 1, (1 << 20) - 64, 3 << 20, 30 << 20};
  sheaf_buffer b = {0};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_int_equal(sheaf_pool_need(&b, sizes[i]), 1);
    assert_true(b.size >= sizes[i]);
    assert_non_null(b.memory);
    assert_int_equal((uintptr_t)b.memory % 64, 0);
    memset(b.memory, (int)i, sizes[i]);
  }
  const void *before = b.memory;
  assert_int_equal(sheaf_pool_need(&b, 5), 1); /* it holds that already */
  assert_ptr_equal(b.memory, before);
  sheaf_pool_give(&b);
  assert_null(b.memory);
  assert_int_equal(b.size, 0);
  sheaf_pool_give(&b);
}

static void test_again(void **state) {
  (void)state;
  sheaf_buffer a = {0}, b = {0};
  assert_int_equal(sheaf_pool_need(&a, 3 << 20), 1);
  memset(a.memory, 7, a.size);
  void *memory = a.memory;
  sheaf_pool_give(&a);
  assert_int_equal(sheaf_pool_need(&b, 1 << 20), 1); /* not one that is much too large */
  assert_ptr_not_equal(b.memory, memory);
  assert_int_equal(sheaf_pool_need(&a, 2 << 20), 1);
  assert_ptr_equal(a.memory, memory);
  sheaf_pool_give(&a);
  sheaf_pool_rest();
  assert_int_equal(sheaf_pool_need(&a, 3 << 20), 1); /* contents are undefined now */
  memset(a.memory, 8, a.size);
  sheaf_pool_give(&a);
  sheaf_pool_give(&b);
}

/* Buffers of several threads are never one. */
static void *use(void *arg) {
  const uint8_t mine = *(uint8_t *)arg;
  for (int turn = 0; turn < 300; turn++) {
    sheaf_buffer b[3] = {{0}};
    for (int i = 0; i < 3; i++) {
      const size_t size = ((size_t)1 << 20) + (size_t)(turn * 7919 + i * 104729) % (3 << 20);
      if (!sheaf_pool_need(&b[i], size)) return arg;
      memset(b[i].memory, mine + i, 4096);
      memset((char *)b[i].memory + size - 4096, mine + i, 4096);
    }
    for (int i = 0; i < 3; i++) {
      const uint8_t *p = b[i].memory;
      for (int k = 0; k < 4096; k++)
        if (p[k] != (uint8_t)(mine + i)) return arg;
      sheaf_pool_give(&b[i]);
    }
    if (turn % 50 == 0) sheaf_pool_rest();
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  pthread_t thread[4];
  static uint8_t numbers[4] = {10, 50, 100, 200};
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, use, &numbers[i]), 0);
  for (int i = 0; i < 4; i++) {
    void *bad;
    pthread_join(thread[i], &bad);
    assert_null(bad);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_again),
                                     cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/recsort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct record {
  int64_t key, serial, rest;
} record;

static int by_key(const void *pa, const void *pb) {
  const record *a = pa, *b = pb;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->serial > b->serial) - (a->serial < b->serial);
}

static char folder[] = "/tmp/sheaf-recsort-XXXXXX";
static char from[64], to[64];

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(from, sizeof from, "%s/from", folder);
  snprintf(to, sizeof to, "%s/to", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(from);
  unlink(to);
  return rmdir(folder); /* and nothing else was left there */
}

static void write_records(int64_t n, int64_t distinct) {
  sheaf_recwriter w;
  assert_int_equal(sheaf_recwriter_open(&w, from, sizeof(record), NULL), 0);
  for (int64_t i = 0; i < n; i++) {
    record *r = sheaf_recwriter_next(&w, NULL);
    *r = (record){distinct ? rand() % distinct : i / 3, i, i * i};
  }
  assert_int_equal(sheaf_recwriter_finish(&w, NULL), 0);
  assert_int_equal(w.n, n);
  sheaf_recwriter_free(&w);
}

/* Every record is there once, in order; `n` of them. */
static void check_sorted(const sheaf_recspan *spans, size_t nspan, int64_t n) {
  sheaf_recreader r;
  const void *at;
  record last = {-1, 0, 0};
  int64_t seen = 0, serials = 0;
  assert_int_equal(sheaf_recreader_open(&r, spans, nspan, sizeof(record), 7, NULL), 0);
  while (sheaf_recreader_next(&r, &at, NULL) > 0) {
    const record *x = at;
    assert_true(by_key(&last, x) < 0);
    assert_int_equal(x->rest, x->serial * x->serial);
    last = *x;
    serials += x->serial;
    seen++;
  }
  assert_int_equal(seen, n);
  assert_int_equal(serials, n * (n - 1) / 2);
  sheaf_recreader_close(&r);
}

static void sorts_in_any_memory(void **state) {
  (void)state;
  const size_t memories[] = {1, 100, 4096, 1 << 16, 1 << 24};
  for (size_t m = 0; m < sizeof memories / sizeof *memories; m++)
    for (int64_t n = 1; n < 20000; n = 3 * n + 1) {
      if (memories[m] < 4096 && n > 3000) continue;
      write_records(n, n);
      const sheaf_recspan parts[] = {{from, 0, n / 2}, {from, n / 2, 0}, {from, n / 2, n - n / 2}};
      int sorted;
      assert_int_equal(
          sheaf_recsort(parts, 3, sizeof(record), by_key, to, memories[m], &sorted, NULL), 0);
      const sheaf_recspan all = {to, 0, n};
      if (sorted)
        check_sorted(parts, 3, n);
      else
        check_sorted(&all, 1, n);
    }
}

static void sees_order(void **state) {
  (void)state;
  int sorted = 0;
  write_records(10000, 0);
  const sheaf_recspan all = {from, 0, 10000};
  unlink(to);
  assert_int_equal(sheaf_recsort(&all, 1, sizeof(record), by_key, to, 1 << 16, &sorted, NULL), 0);
  assert_true(sorted);
  assert_int_not_equal(access(to, F_OK), 0);
}

static void seeks(void **state) {
  (void)state;
  sheaf_recreader r;
  const void *at;
  write_records(1000, 0);
  const sheaf_recspan parts[] = {{from, 500, 500}, {from, 0, 500}};
  assert_int_equal(sheaf_recreader_open(&r, parts, 2, sizeof(record), 16, NULL), 0);
  const int64_t where[] = {0, 499, 500, 501, 999, 3};
  const int64_t serial[] = {500, 999, 0, 1, 499, 503};
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(sheaf_recreader_seek(&r, where[i], NULL), 0);
    assert_int_equal(sheaf_recreader_next(&r, &at, NULL), 1);
    assert_int_equal(((const record *)at)->serial, serial[i]);
  }
  assert_int_equal(sheaf_recreader_seek(&r, 1000, NULL), 0);
  assert_int_equal(sheaf_recreader_next(&r, &at, NULL), 0);
  sheaf_recreader_close(&r);
}

static void tells_of_short_files(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_recreader r;
  const void *at;
  write_records(10, 0);
  const sheaf_recspan part = {from, 5, 10};
  assert_int_equal(sheaf_recreader_open(&r, &part, 1, sizeof(record), 16, NULL), 0);
  assert_int_equal(sheaf_recreader_next(&r, &at, &err), SHEAF_ERR_IO);
  assert_non_null(strstr(err.text, "ends too early"));
  sheaf_recreader_close(&r);
}

static void nothing_is_held_of_what_cannot_be_opened(void **state) {
  (void)state;
  char path[80];
  sheaf_error err;
  sheaf_recwriter w;
  snprintf(path, sizeof path, "%s/none/file", folder);
  assert_int_equal(sheaf_recwriter_open(&w, path, sizeof(record), &err), SHEAF_ERR_IO);
  assert_non_null(strstr(err.text, path));
  assert_null(w.buffer);
  assert_int_equal(w.fd, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sorts_in_any_memory),
                                     cmocka_unit_test(sees_order), cmocka_unit_test(seeks),
                                     cmocka_unit_test(tells_of_short_files),
                                     cmocka_unit_test(nothing_is_held_of_what_cannot_be_opened)};
  return cmocka_run_group_tests(tests, setup, teardown);
}

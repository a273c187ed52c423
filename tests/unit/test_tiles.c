/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "table/bits.h"
#include "table/tiles.h"
#include "table/tiles_layout.h"

#define TABLES SHEAF_SOURCE_DIR "/tests/unit/tiles/"

static const char *const kinds[] = {"shape", "cell", "column", "data_little", "data_big"};
enum { NKIND = sizeof kinds / sizeof kinds[0] };

/* ---- bits ---- */

static void test_bits_against_naive(void **state) {
  (void)state;
  uint8_t bits[40], copy[40], flags[300], back[300];
  for (int i = 0; i < 300; i++) flags[i] = (uint8_t)(i * 7919 % 5 < 2 ? (i % 3 ? 1 : 200) : 0);
  for (int first = 0; first < 20; first++)
    for (int n = 0; n <= 290; n += 1 + n / 40) {
      for (int i = 0; i < 40; i++) bits[i] = copy[i] = (uint8_t)(i * 37);
      sheaf_bits_pack(bits, first, flags, n);
      for (int e = 0; e < 320; e++) {
        const int inside = e >= first && e < first + n;
        const int was = copy[e / 8] >> (e % 8) & 1, is = bits[e / 8] >> (e % 8) & 1;
        assert_int_equal(is, inside ? flags[e - first] != 0 : was);
      }
      memset(back, 9, sizeof back);
      sheaf_bits_unpack(back, bits, first, n);
      for (int i = 0; i < 300; i++) assert_int_equal(back[i], i < n ? flags[i] != 0 : 9);
    }
}

/* ---- the stored tables: every cell ---- */

static int is_undefined(const char *kind, int64_t row) {
  if (!strcmp(kind, "shape")) return row == 3 || row == 14;
  return !strcmp(kind, "cell") && (row == 0 || row == 9);
}

static int is_second(const char *kind, int64_t row) {
  return strcmp(kind, "column") != 0 && row >= 6 && row < 12;
}

static void check_cell(sheaf_tiles *vis, sheaf_tiles *mask, const char *kind, int64_t row) {
  sheaf_error err;
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  int32_t v[12];
  uint8_t m[12];
  const sheaf_tiles_rows rows = {NULL, row, 1};
  const int64_t n = is_second(kind, row) ? 12 : 10;
  assert_int_equal(sheaf_tiles_span_at(vis, row, &span, &err), 0);
  if (is_undefined(kind, row)) {
    assert_int_equal(span.cube, -1);
    assert_int_equal(sheaf_tiles_read(vis, &rows, NULL, v, (size_t)n * 4, &err), SHEAF_ERR_DATA);
    return;
  }
  assert_int_equal(sheaf_tiles_cube_at(vis, span.cube, &cube, &err), 0);
  assert_int_equal(cube.shape[0], n == 12 ? 4 : 2);
  assert_int_equal(cube.shape[1], n == 12 ? 3 : 5);
  assert_int_equal(sheaf_tiles_read(vis, &rows, NULL, v, (size_t)n * 4, &err), 0);
  assert_int_equal(sheaf_tiles_read(mask, &rows, NULL, m, (size_t)n, &err), 0);
  for (int k = 0; k < n; k++) {
    assert_int_equal(v[k], 1000 * row + k);
    assert_int_equal(m[k], (7 * row + 5 * k) % 3 == 0);
  }
}

static void test_every_cell(void **state) {
  (void)state;
  for (int i = 0; i < NKIND; i++) {
    char path[512];
    sheaf_error err;
    sheaf_tiles *vis, *mask;
    sheaf_tiles_info info;
    snprintf(path, sizeof path, TABLES "%s", kinds[i]);
    assert_int_equal(sheaf_tiles_open(&vis, path, "VIS", 0, &err), 0);
    assert_int_equal(sheaf_tiles_open(&mask, path, "MASK", 0, &err), 0);
    sheaf_tiles_describe(vis, &info);
    assert_int_equal(info.nrow, 15);
    assert_int_equal(info.type, SHEAF_TILES_INT);
    assert_int_equal(info.ncolumn, 2);
    for (int64_t row = 0; row < info.nrow; row++) check_cell(vis, mask, kinds[i], row);
    sheaf_tiles_close(vis);
    sheaf_tiles_close(mask);
  }
}

static void test_value_columns_are_unknown(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_tiles *t;
  assert_int_equal(sheaf_tiles_open(&t, TABLES "data_big", "SPW", 0, &err), SHEAF_TILES_UNKNOWN);
  assert_null(t);
  assert_int_equal(sheaf_tiles_open(&t, TABLES "data_big", "WHEN", 0, &err), SHEAF_TILES_UNKNOWN);
  assert_int_equal(sheaf_tiles_open(&t, TABLES "data_big", "VI", 0, &err), SHEAF_ERR_NOTFOUND);
  assert_int_equal(sheaf_tiles_open(&t, TABLES "none", "VIS", 0, &err), SHEAF_ERR_NOTFOUND);
  sheaf_tiles_close(NULL);
}

static void test_empty_selections(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_tiles *t;
  assert_int_equal(sheaf_tiles_open(&t, TABLES "shape", "VIS", 0, &err), 0);
  sheaf_tiles_part part = {.axis = {{0, 0, NULL}, {0, -1, NULL}}};
  const sheaf_tiles_rows none = {NULL, 0, 0}, some = {NULL, 0, 3};
  assert_int_equal(sheaf_tiles_read(t, &none, NULL, NULL, 0, &err), 0);
  assert_int_equal(sheaf_tiles_read(t, &some, &part, NULL, 0, &err), 0);
  assert_int_equal(sheaf_tiles_write(t, &none, NULL, NULL, 0, &err), SHEAF_ERR_ARG);
  const sheaf_tiles_rows mixed = {NULL, 5, 2};
  int32_t v[24];
  assert_int_equal(sheaf_tiles_read(t, &mixed, NULL, v, 80, &err), SHEAF_ERR_DATA);
  assert_non_null(strstr(err.text, "row 6"));
  part.axis[0].count = 2; /* what both shapes have in common */
  part.axis[1] = (sheaf_tiles_axis){1, 2, NULL};
  assert_int_equal(sheaf_tiles_read(t, &mixed, &part, v, 32, &err), 0);
  const int32_t expected[] = {5002, 5003, 5004, 5005, 6004, 6005, 6008, 6009};
  assert_memory_equal(v, expected, sizeof expected);
  sheaf_tiles_close(t);
}

/* ---- damaged files ---- */

/* A copy of a table whose header and table.dat a test can spoil. */
typedef struct copy {
  char path[256], dat_path[300], header_path[300];
  char *dat, *header;
  size_t ndat, nheader;
} copy;

static void copy_table(copy *c, const char *kind) {
  char from[512];
  sheaf_error err;
  snprintf(from, sizeof from, TABLES "%s", kind);
  snprintf(c->path, sizeof c->path, "/tmp/sheaf-test-tiles-%d-%s", (int)getpid(), kind);
  assert_int_equal(sheaf_tree_remove(c->path, &err), 0);
  assert_int_equal(sheaf_tree_copy(from, c->path, &err), 0);
  snprintf(c->dat_path, sizeof c->dat_path, "%s/table.dat", c->path);
  snprintf(c->header_path, sizeof c->header_path, "%s/table.f0", c->path);
  assert_int_equal(sheaf_file_read(c->dat_path, &c->dat, &c->ndat, &err), 0);
  assert_int_equal(sheaf_file_read(c->header_path, &c->header, &c->nheader, &err), 0);
}

static void drop_table(copy *c) {
  sheaf_error err;
  free(c->dat);
  free(c->header);
  assert_int_equal(sheaf_tree_remove(c->path, &err), 0);
}

static void put_file(const char *path, const char *data, size_t n) {
  const int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, n), (ssize_t)n);
  assert_int_equal(ftruncate(fd, (off_t)n), 0); /* not to 0 before, which makes ext4 sync */
  close(fd);
}

/* Reads, and writes back, whatever the header promises; only memory safety and return values are
 * looked at. */
static void use_table(const char *path, const char *column) {
  sheaf_error err;
  sheaf_tiles *t;
  sheaf_tiles_info info;
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  int rc = sheaf_tiles_open(&t, path, column, 1, &err);
  assert_true(rc <= SHEAF_TILES_UNKNOWN);
  if (rc != 0) {
    assert_null(t);
    return;
  }
  sheaf_tiles_describe(t, &info);
  int64_t row = 0;
  for (int step = 0; row < info.nrow && step < 100; step++, row += span.nrow) {
    if (sheaf_tiles_span_at(t, row, &span, &err) < 0) break;
    assert_true(span.nrow > 0);
    if (span.cube < 0) continue;
    assert_int_equal(sheaf_tiles_cube_at(t, span.cube, &cube, &err), 0);
    int64_t bytes = info.size;
    for (int i = 0; i < cube.ndim && bytes <= 1 << 20; i++)
      if (__builtin_mul_overflow(bytes, cube.shape[i], &bytes)) bytes = INT64_MAX;
    const int64_t n = span.nrow < 20 ? span.nrow : 20;
    if (bytes > 1 << 20) continue;
    void *data = malloc((size_t)(bytes * n) + 1);
    const sheaf_tiles_rows rows = {NULL, row, n};
    rc = sheaf_tiles_read(t, &rows, NULL, data, (size_t)(bytes * n), &err);
    if (rc == 0) rc = sheaf_tiles_write(t, &rows, NULL, data, (size_t)(bytes * n), &err);
    assert_true(rc <= 0);
    free(data);
  }
  sheaf_tiles_close(t);
}

static void test_cut_headers(void **state) {
  (void)state;
  for (int i = 0; i < NKIND; i++) {
    sheaf_error err;
    sheaf_tiles *t;
    copy c;
    copy_table(&c, kinds[i]);
    for (size_t n = 0; n < c.nheader; n++) {
      put_file(c.header_path, c.header, n);
      assert_int_equal(sheaf_tiles_open(&t, c.path, "MASK", 0, &err), SHEAF_ERR_DATA);
      assert_non_null(strstr(err.text, "table.f0 is damaged"));
    }
    put_file(c.header_path, c.header, c.nheader);
    for (size_t n = 0; n + 8 < c.ndat; n++) { /* behind it are only the managers' empty blocks */
      put_file(c.dat_path, c.dat, n);
      assert_int_equal(sheaf_tiles_open(&t, c.path, "MASK", 0, &err), SHEAF_ERR_DATA);
      assert_non_null(strstr(err.text, "table.dat is damaged"));
    }
    drop_table(&c);
  }
}

static void test_flipped_headers(void **state) {
  (void)state;
  static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
  for (int i = 0; i < NKIND; i++) {
    copy c;
    copy_table(&c, kinds[i]);
    for (size_t at = 0; at < c.nheader; at++) {
      const char old = c.header[at];
      for (size_t k = 0; k <= sizeof values; k++) {
        c.header[at] = k < sizeof values ? (char)values[k] : (char)(old ^ 1);
        put_file(c.header_path, c.header, c.nheader);
        use_table(c.path, at % 2 ? "VIS" : "MASK");
      }
      c.header[at] = old;
    }
    put_file(c.header_path, c.header, c.nheader);
    for (size_t at = 0; at < c.ndat; at++) {
      const char old = c.dat[at];
      for (size_t k = 0; k < sizeof values; k += 2) {
        c.dat[at] = (char)values[k];
        put_file(c.dat_path, c.dat, c.ndat);
        use_table(c.path, at % 2 ? "VIS" : "MASK");
      }
      c.dat[at] = old;
    }
    drop_table(&c);
  }
}

static void test_written_header_is_the_same(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_layout *l;
  char *stem;
  sheaf_aips_out out = {0};
  assert_int_equal(sheaf_layout_load(&l, &stem, TABLES "shape", SHEAF_LAYOUT_DAT, "VIS", &err), 0);
  sheaf_layout_write(l, &out);
  assert_int_equal(out.n, l->nheader);
  assert_memory_equal(out.data, l->header, out.n);
  free(out.data);
  free(stem);
  sheaf_layout_free(l);
}

/* ---- bytes shared by bools ---- */

static void test_neighbours_in_a_byte_stay(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_tiles *t;
  copy c;
  uint8_t before[150], after[150], flag[1];
  copy_table(&c, "column");
  assert_int_equal(sheaf_tiles_open(&t, c.path, "MASK", 1, &err), 0);
  const sheaf_tiles_rows all = {NULL, 0, 15};
  assert_int_equal(sheaf_tiles_read(t, &all, NULL, before, sizeof before, &err), 0);
  for (int64_t row = 0; row < 15; row++)
    for (int64_t k = 0; k < 10; k++) {
      const sheaf_tiles_rows one = {NULL, row, 1};
      const sheaf_tiles_part part = {.axis = {{k % 2, 1, NULL}, {k / 2, 1, NULL}}};
      flag[0] = !before[10 * row + k];
      assert_int_equal(sheaf_tiles_write(t, &one, &part, flag, 1, &err), 0);
      assert_int_equal(sheaf_tiles_read(t, &all, NULL, after, sizeof after, &err), 0);
      before[10 * row + k] = flag[0];
      assert_memory_equal(before, after, sizeof after);
    }
  sheaf_tiles_close(t);
  drop_table(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bits_against_naive),
      cmocka_unit_test(test_every_cell),
      cmocka_unit_test(test_value_columns_are_unknown),
      cmocka_unit_test(test_empty_selections),
      cmocka_unit_test(test_cut_headers),
      cmocka_unit_test(test_flipped_headers),
      cmocka_unit_test(test_written_header_is_the_same),
      cmocka_unit_test(test_neighbours_in_a_byte_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

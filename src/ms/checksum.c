/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/checksum.h"

#define XXH_INLINE_ALL
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cancel.h"
#include "base/progress.h"
#include "ms/hash_large.h"

enum { BLOCK_BYTES = 1 << 18, BLOCK_ROWS = 1 << 14, LARGE_CELL = 256 };

/* Spreads a cell's hash and a row's number over all bits (the finaliser of splitmix64). */
static uint64_t mix(uint64_t hash, int64_t row) {
  uint64_t x = hash + ((uint64_t)row + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static uint64_t shape_hash(const sheaf_shape *shape) {
  return shape ? XXH3_64bits(shape->axis, (size_t)shape->ndim * sizeof *shape->axis) : 0;
}

void sheaf_checksum_cells(uint64_t *sum, int64_t row0, int64_t n, const sheaf_shape *shape,
                          const void *cells, size_t bytes) {
  const uint64_t form = shape_hash(shape);
  const char *cell = cells;
  uint64_t total = 0;
  if (bytes < LARGE_CELL)
    for (int64_t i = 0; i < n; i++, cell += bytes)
      total += mix(XXH3_64bits(cell, bytes) ^ form, row0 + i);
  else
    for (int64_t i = 0; i < n; i++, cell += bytes)
      total += mix(sheaf_hash_large(cell, bytes) ^ form, row0 + i);
  *sum += total;
}

void sheaf_checksum_undefined(uint64_t *sum, int64_t row0, int64_t n) {
  for (int64_t i = 0; i < n; i++) *sum += mix(1, row0 + i);
}

void sheaf_checksum_hex(uint64_t sum, char hex[17]) {
  snprintf(hex, 17, "%016" PRIx64, sum);
}

static int add_scalars(uint64_t *sum, const sheaf_table *table, const sheaf_column *column,
                       sheaf_error *err) {
  const size_t size = sheaf_type_size(column->type);
  const int64_t nrow = sheaf_table_nrow(table);
  void *buffer = malloc(BLOCK_ROWS * size);
  int rc = buffer ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a checksum");
  for (int64_t row = 0; rc >= 0 && row < nrow; row += BLOCK_ROWS) {
    const int64_t n = nrow - row < BLOCK_ROWS ? nrow - row : BLOCK_ROWS;
    rc = sheaf_table_get_range(table, column->name, row, n, buffer, err);
    if (rc >= 0) sheaf_checksum_cells(sum, row, n, NULL, buffer, size);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  free(buffer);
  return rc;
}

static int add_texts(uint64_t *sum, const sheaf_table *table, const char *column,
                     sheaf_error *err) {
  int rc = 0;
  for (int64_t row = 0; rc >= 0 && row < sheaf_table_nrow(table); row++) {
    char *text = NULL;
    rc = sheaf_table_get_text(table, column, row, &text, err);
    if (rc >= 0) sheaf_checksum_cells(sum, row, 1, NULL, text, strlen(text) + 1);
    free(text);
  }
  return rc;
}

/* Rows from `row` on that have its shape, at most what a block holds; fills rows[]. */
static int64_t next_block(sheaf_colreader *reader, int64_t row, int64_t nrow, int64_t *rows,
                          sheaf_shape *shape, sheaf_error *err) {
  int64_t n = 0, most = BLOCK_ROWS;
  while (n < most && row + n < nrow) {
    sheaf_shape here;
    if (sheaf_colreader_shape(reader, row + n, &here, err) < 0) return SHEAF_ERR_DATA;
    if (n == 0) {
      *shape = here;
      const int64_t bytes = sheaf_shape_count(shape) * (int64_t)reader->size;
      if (bytes > 0 && BLOCK_BYTES / bytes < most)
        most = BLOCK_BYTES / bytes > 0 ? BLOCK_BYTES / bytes : 1;
    } else if (!sheaf_shape_equal(shape, &here)) {
      break;
    }
    rows[n] = row + n;
    n++;
  }
  return n;
}

static int add_arrays(uint64_t *sum, const sheaf_table *table, const char *column,
                      sheaf_error *err) {
  sheaf_colreader reader;
  const int64_t nrow = sheaf_table_nrow(table);
  int64_t *rows = malloc(BLOCK_ROWS * sizeof *rows);
  char *buffer = NULL;
  size_t room = 0;
  int rc = sheaf_colreader_open(&reader, table, column, err);
  if (rc >= 0 && !rows) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a checksum");
  for (int64_t row = 0; rc >= 0 && row < nrow;) {
    sheaf_shape shape;
    const int64_t n = next_block(&reader, row, nrow, rows, &shape, err);
    if (n < 0) {
      rc = (int)n;
      break;
    }
    const size_t bytes = (size_t)(n * sheaf_shape_count(&shape)) * reader.size;
    if (bytes > room) {
      free(buffer);
      buffer = malloc(room = bytes);
      if (!buffer) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a checksum");
    }
    if (rc >= 0) rc = sheaf_colreader_read(&reader, rows, n, &shape, buffer, err);
    if (rc >= 0) rc = sheaf_cancel_check(err);
    if (rc < 0) break;
    if (shape.ndim)
      sheaf_checksum_cells(sum, row, n, &shape, buffer, bytes / (size_t)n);
    else
      sheaf_checksum_undefined(sum, row, n);
    sheaf_progress_add((int64_t)bytes);
    row += n;
  }
  free(rows);
  free(buffer);
  sheaf_colreader_close(&reader);
  return rc;
}

int sheaf_checksum_column(const sheaf_table *table, const char *column, char hex[17],
                          sheaf_error *err) {
  sheaf_column info;
  uint64_t sum = 0;
  int rc;
  hex[0] = '\0';
  if (!sheaf_table_column(table, column, &info))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", sheaf_table_path(table), column);
  if (info.array)
    rc = add_arrays(&sum, table, column, err);
  else if (info.type == SHEAF_STRING)
    rc = add_texts(&sum, table, column, err);
  else
    rc = add_scalars(&sum, table, &info, err);
  sheaf_checksum_hex(sum, hex);
  return rc;
}

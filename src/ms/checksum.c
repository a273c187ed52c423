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

enum { BLOCK_BYTES = 4 << 20, BLOCK_ROWS = 1 << 16 };

int sheaf_checksum_begin(sheaf_checksum *sum, sheaf_error *err) {
  *sum = (sheaf_checksum){.state = XXH3_createState(), .last = {.ndim = -1}};
  if (!sum->state) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a checksum");
  XXH3_64bits_reset(sum->state);
  return 0;
}

void sheaf_checksum_add(sheaf_checksum *sum, const void *data, size_t bytes) {
  XXH3_64bits_update(sum->state, data, bytes);
}

void sheaf_checksum_shape(sheaf_checksum *sum, const sheaf_shape *shape) {
  if (sheaf_shape_equal(shape, &sum->last)) return;
  const int32_t ndim = shape->ndim;
  XXH3_64bits_update(sum->state, &ndim, sizeof ndim);
  XXH3_64bits_update(sum->state, shape->axis, (size_t)shape->ndim * sizeof *shape->axis);
  sum->last = *shape;
}

void sheaf_checksum_end(sheaf_checksum *sum, char hex[17]) {
  hex[0] = '\0';
  if (sum->state) snprintf(hex, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(sum->state));
  XXH3_freeState(sum->state);
  sum->state = NULL;
}

static int add_scalars(sheaf_checksum *sum, const sheaf_table *table, const sheaf_column *column,
                       sheaf_error *err) {
  const size_t size = sheaf_type_size(column->type);
  const int64_t nrow = sheaf_table_nrow(table);
  void *buffer = malloc(BLOCK_ROWS * size);
  int rc = buffer ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a checksum");
  for (int64_t row = 0; rc >= 0 && row < nrow; row += BLOCK_ROWS) {
    const int64_t n = nrow - row < BLOCK_ROWS ? nrow - row : BLOCK_ROWS;
    rc = sheaf_table_get_range(table, column->name, row, n, buffer, err);
    if (rc >= 0) sheaf_checksum_add(sum, buffer, (size_t)n * size);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  free(buffer);
  return rc;
}

static int add_texts(sheaf_checksum *sum, const sheaf_table *table, const char *column,
                     sheaf_error *err) {
  int rc = 0;
  for (int64_t row = 0; rc >= 0 && row < sheaf_table_nrow(table); row++) {
    char *text = NULL;
    rc = sheaf_table_get_text(table, column, row, &text, err);
    if (rc >= 0) sheaf_checksum_add(sum, text, strlen(text) + 1);
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

static int add_arrays(sheaf_checksum *sum, const sheaf_table *table, const char *column,
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
    sheaf_checksum_shape(sum, &shape);
    sheaf_checksum_add(sum, buffer, bytes);
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
  sheaf_checksum sum;
  hex[0] = '\0';
  if (!sheaf_table_column(table, column, &info))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", sheaf_table_path(table), column);
  int rc = sheaf_checksum_begin(&sum, err);
  if (rc < 0) return rc;
  if (info.array)
    rc = add_arrays(&sum, table, column, err);
  else if (info.type == SHEAF_STRING)
    rc = add_texts(&sum, table, column, err);
  else
    rc = add_scalars(&sum, table, &info, err);
  sheaf_checksum_end(&sum, hex);
  return rc;
}

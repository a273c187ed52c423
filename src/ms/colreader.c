/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/colreader.h"

#include <string.h>

#include "base/log.h"

static int tiles_usable(const sheaf_colreader *reader) {
  sheaf_tiles_info info;
  sheaf_tiles_describe(reader->tiles, &info);
  return info.ndim <= SHEAF_TABLE_MAXDIM && info.nrow == sheaf_table_nrow(reader->table) &&
         info.type == reader->type;
}

int sheaf_colreader_open(sheaf_colreader *reader, const sheaf_table *table, const char *column,
                         sheaf_error *err) {
  sheaf_column info;
  *reader = (sheaf_colreader){.table = table};
  if (!sheaf_table_column(table, column, &info))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", sheaf_table_path(table), column);
  memcpy(reader->name, info.name, sizeof reader->name);
  reader->type = info.type;
  reader->size = sheaf_type_size(info.type);
  reader->fixed = info.fixed;
  if (!reader->size || !info.array)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s holds no numeric arrays",
                      sheaf_table_path(table), column);
  if (!sheaf_table_is_plain(table)) return 0;
  const int rc = sheaf_tiles_open(&reader->tiles, sheaf_table_path(table), column, 0, err);
  if (rc < 0) return rc;
  if (reader->tiles && !tiles_usable(reader)) {
    sheaf_tiles_close(reader->tiles);
    reader->tiles = NULL;
  }
  sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s is read %s", sheaf_table_path(table), column,
            reader->tiles ? "from its tiles" : "through casacore");
  return 0;
}

int sheaf_colreader_dup(sheaf_colreader *reader, const sheaf_colreader *other, sheaf_error *err) {
  *reader = *other;
  reader->tiles = NULL;
  return other->tiles ? sheaf_tiles_dup(&reader->tiles, other->tiles, err) : 0;
}

void sheaf_colreader_close(sheaf_colreader *reader) {
  sheaf_tiles_close(reader->tiles);
  *reader = (sheaf_colreader){0};
}

int64_t sheaf_shape_count(const sheaf_shape *shape) {
  int64_t n = shape->ndim > 0;
  for (int i = 0; i < shape->ndim; i++) n *= shape->axis[i];
  return n;
}

int sheaf_shape_equal(const sheaf_shape *a, const sheaf_shape *b) {
  if (a->ndim != b->ndim) return 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->axis[i] != b->axis[i]) return 0;
  return 1;
}

static int shape_from_tiles(sheaf_colreader *reader, int64_t row, sheaf_error *err) {
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  int rc = sheaf_tiles_span_at(reader->tiles, row, &span, err);
  if (rc < 0) return rc;
  reader->from = row;
  reader->to = row + span.nrow;
  reader->shape = (sheaf_shape){0};
  if (span.cube < 0) return 0;
  rc = sheaf_tiles_cube_at(reader->tiles, span.cube, &cube, err);
  if (rc < 0) return rc;
  reader->shape.ndim = cube.ndim;
  for (int i = 0; i < cube.ndim; i++) reader->shape.axis[i] = cube.shape[i];
  return 0;
}

int sheaf_colreader_shape(sheaf_colreader *reader, int64_t row, sheaf_shape *shape,
                          sheaf_error *err) {
  int rc = 0;
  if (row < reader->from || row >= reader->to) {
    if (reader->tiles) {
      rc = shape_from_tiles(reader, row, err);
    } else {
      reader->from = reader->fixed ? 0 : row;
      reader->to = reader->fixed ? sheaf_table_nrow(reader->table) : row + 1;
      reader->shape = (sheaf_shape){0};
      rc = sheaf_table_cell_shape(reader->table, reader->name, row, reader->shape.axis, err);
      if (rc >= 0) reader->shape.ndim = rc;
    }
    if (rc < 0) {
      reader->to = reader->from;
      return rc;
    }
  }
  *shape = reader->shape;
  return 0;
}

int sheaf_colreader_read(sheaf_colreader *reader, const int64_t *rows, int64_t n,
                         const sheaf_shape *shape, void *out, sheaf_error *err) {
  const int64_t count = sheaf_shape_count(shape);
  if (n == 0 || count == 0) return 0;
  if (!reader->tiles)
    return sheaf_table_get_cells(reader->table, reader->name, rows, n, count, out, err);
  const sheaf_tiles_rows list = {.list = rows, .n = n};
  return sheaf_tiles_read(reader->tiles, &list, NULL, out, (size_t)(n * count) * reader->size, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/colreader.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "table/reftable.h"

static int tiles_usable(const sheaf_colreader *reader) {
  sheaf_tiles_info info;
  const sheaf_reftable *ref = reader->root ? sheaf_table_reference(reader->table) : NULL;
  sheaf_tiles_describe(reader->tiles, &info);
  /* A table that is referred to may have grown since. */
  return info.ndim <= SHEAF_TABLE_MAXDIM && info.type == reader->type &&
         (ref ? info.nrow >= ref->root_nrow : info.nrow == sheaf_table_nrow(reader->table));
}

/* Opens the tiles of the column where it has any: 0, also when it has none. */
static int open_tiles(sheaf_colreader *reader, const char *column, sheaf_error *err) {
  const sheaf_reftable *ref = sheaf_table_reference(reader->table);
  const char *path = ref ? ref->root : sheaf_table_path(reader->table);
  if (ref) column = sheaf_reftable_source(ref, column);
  if (!column || (!ref && !sheaf_table_is_plain(reader->table))) return 0;
  const int rc = sheaf_tiles_open(&reader->tiles, path, column, 0, err);
  if (ref) reader->root = ref->row;
  if (reader->tiles && !tiles_usable(reader)) {
    sheaf_tiles_close(reader->tiles);
    reader->tiles = NULL;
  }
  return rc < 0 ? rc : 0;
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
  const int rc = open_tiles(reader, column, err);
  if (rc < 0) return rc;
  sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s is read %s", sheaf_table_path(table), column,
            reader->tiles ? "from its tiles" : "through casacore");
  return 0;
}

int sheaf_colreader_dup(sheaf_colreader *reader, const sheaf_colreader *other, sheaf_error *err) {
  *reader = *other;
  reader->tiles = NULL;
  reader->list = NULL;
  reader->room = 0;
  return other->tiles ? sheaf_tiles_dup(&reader->tiles, other->tiles, err) : 0;
}

void sheaf_colreader_close(sheaf_colreader *reader) {
  sheaf_tiles_close(reader->tiles);
  free(reader->list);
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

/* Where rows from `row` on leave rows [root, root + n) of the table that they refer to. */
static int64_t end_of_stretch(const sheaf_colreader *reader, int64_t row, int64_t root, int64_t n) {
  const int64_t nrow = sheaf_table_nrow(reader->table);
  if (!reader->root) return row + n;
  do row++;
  while (row < nrow && reader->root[row] >= root && reader->root[row] < root + n);
  return row;
}

static int shape_from_tiles(sheaf_colreader *reader, int64_t row, sheaf_error *err) {
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  const int64_t root = reader->root ? reader->root[row] : row;
  int rc = sheaf_tiles_span_at(reader->tiles, root, &span, err);
  if (rc < 0) return rc;
  reader->from = row;
  reader->to = end_of_stretch(reader, row, root, span.nrow);
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

/* The rows in the table that the tiles belong to; NULL without memory. */
static const int64_t *root_rows(sheaf_colreader *reader, const int64_t *rows, int64_t n) {
  if (!reader->root) return rows;
  if (n > reader->room) {
    free(reader->list);
    reader->list = malloc((size_t)n * sizeof *reader->list);
    reader->room = reader->list ? n : 0;
  }
  for (int64_t i = 0; reader->list && i < n; i++) reader->list[i] = reader->root[rows[i]];
  return reader->list;
}

int sheaf_colreader_read(sheaf_colreader *reader, const int64_t *rows, int64_t n,
                         const sheaf_shape *shape, void *out, sheaf_error *err) {
  const int64_t count = sheaf_shape_count(shape);
  if (n == 0 || count == 0) return 0;
  if (!reader->tiles)
    return sheaf_table_get_cells(reader->table, reader->name, rows, n, count, out, err);
  const sheaf_tiles_rows list = {.list = root_rows(reader, rows, n), .n = n};
  if (!list.list)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "column %s: no memory for row numbers", reader->name);
  return sheaf_tiles_read(reader->tiles, &list, NULL, out, (size_t)(n * count) * reader->size, err);
}

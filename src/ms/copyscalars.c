/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copyscalars.c - what casacore writes of a copy: the empty table, scalars and texts. */
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "ms/checksum.h"
#include "ms/copier_impl.h"

/* casacore writes whole columns faster than parts, so a block is the whole where memory allows. */
enum { BLOCK_ROWS = 1 << 13, WHOLE_BYTES = 24 << 20 };

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the scalars of a sub-MS");
}

static const sheaf_idmap *map_of(const sheaf_reindex *r, const char *column) {
  const struct {
    const char *name;
    const sheaf_idmap *map;
  } known[] = {{"DATA_DESC_ID", &r->ddid}, {"FIELD_ID", &r->field},
               {"STATE_ID", &r->state},    {"OBSERVATION_ID", &r->observation},
               {"ARRAY_ID", &r->array},    {"ANTENNA1", &r->antenna},
               {"ANTENNA2", &r->antenna}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, column) == 0 && known[i].map->to) return known[i].map;
  return NULL;
}

/* Negative ids ("none") stay. A kept row that refers to what is dropped is an error: better no
 * output than one whose ids lead elsewhere. */
static int renumber(const char *column, int32_t *id, int64_t n, const sheaf_idmap *map,
                    sheaf_error *err) {
  for (int64_t i = 0; i < n; i++) {
    if (id[i] < 0 || (size_t)id[i] >= map->n) continue;
    if (map->to[id[i]] < 0)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL,
                        "a selected row has %s %d, which the selection leaves out", column, id[i]);
    id[i] = map->to[id[i]];
  }
  return 0;
}

static void keep_checksum(copy_output *out, const char *column, uint64_t sum) {
  char hex[17];
  sheaf_checksum_hex(sum, hex);
  json_object_set_new(out->checksums, column, json_string(hex));
}

/* ---- from records ---- */

/* One scalar column on its way: the values of a block of rows. */
typedef struct scalar {
  const char *name;
  const sheaf_rowfield *field;
  const sheaf_idmap *map;
  char *values; /* [block], one more before it: the last of the block before */
  uint64_t sum;
} scalar;

static void take_value(scalar *s, const char *record, int64_t at) {
  char *to = s->values + (size_t)at * s->field->size;
  const char *from = record + s->field->offset;
  switch (s->field->size) {
    case 4:
      memcpy(to, from, 4);
      break;
    case 8:
      memcpy(to, from, 8);
      break;
    default:
      memcpy(to, from, s->field->size);
  }
}

static int put_block(scalar *s, sheaf_table *table, int64_t row0, int64_t n, sheaf_error *err) {
  const size_t size = s->field->size;
  int rc = s->map ? renumber(s->name, (int32_t *)(void *)s->values, n, s->map, err) : 0;
  if (rc < 0) return rc;
  rc = sheaf_table_put_new(table, s->name, row0, n, s->values, row0 ? s->values - size : NULL, err);
  sheaf_checksum_cells(&s->sum, row0, n, NULL, s->values, size);
  memcpy(s->values - size, s->values + (size_t)(n - 1) * size, size);
  return rc;
}

static int put_records(copier *c, copy_output *out, sheaf_table *table, scalar *scalars,
                       size_t nscalar, int64_t block, sheaf_error *err) {
  sheaf_recreader reader;
  const void *record;
  int64_t row = 0, filled = 0;
  int rc = sheaf_recreader_open(&reader, out->rows, out->nspan, c->layout->size, 1024, err);
  while (rc >= 0 && row + filled < out->nrow) {
    rc = sheaf_recreader_next(&reader, &record, err);
    if (rc == 0) rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: row records are missing", out->path);
    if (rc < 0) break;
    for (size_t i = 0; i < nscalar; i++) take_value(&scalars[i], record, filled);
    filled++;
    if (filled < block && row + filled < out->nrow) continue;
    for (size_t i = 0; rc >= 0 && i < nscalar; i++)
      rc = put_block(&scalars[i], table, row, filled, err);
    row += filled;
    filled = 0;
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  sheaf_recreader_close(&reader);
  return rc;
}

static int put_scalars(copier *c, copy_output *out, sheaf_table *table, sheaf_error *err) {
  const size_t most = c->plan->ncolumn + 1;
  scalar *scalars = calloc(most, sizeof *scalars);
  char **blocks = calloc(most, sizeof *blocks);
  size_t n = 0;
  const int64_t whole = out->nrow * (int64_t)c->layout->size;
  const int64_t block = whole <= WHOLE_BYTES ? out->nrow : BLOCK_ROWS;
  int rc = scalars && blocks ? 0 : no_memory(err);
  for (size_t k = 0; rc >= 0 && k < c->plan->ncolumn; k++) {
    const sheaf_copycolumn *column = &c->plan->column[k];
    if (column->role != SHEAF_ROLE_SCALAR) continue;
    scalar *s = &scalars[n];
    s->name = column->name;
    s->field = sheaf_rowlayout_find(c->layout, column->source);
    s->map = s->field && s->field->type == SHEAF_INT ? map_of(&c->plan->reindex, s->name) : NULL;
    if (!s->field)
      rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s is not in the row records", column->source);
    else if (!(blocks[n] = malloc((size_t)(block + 1) * s->field->size)))
      rc = no_memory(err);
    else
      s->values = blocks[n++] + s->field->size;
  }
  if (rc >= 0) rc = put_records(c, out, table, scalars, n, block, err);
  for (size_t i = 0; i < n; i++) {
    if (rc >= 0) keep_checksum(out, scalars[i].name, scalars[i].sum);
    free(blocks[i]);
  }
  free(scalars);
  free(blocks);
  return rc;
}

/* ---- a whole copy ---- */

static int copy_whole_column(copier *c, copy_output *out, sheaf_table *table,
                             const sheaf_copycolumn *column, sheaf_error *err) {
  sheaf_column info;
  sheaf_table_column(table, column->name, &info);
  char *values = malloc(BLOCK_ROWS * sheaf_type_size(info.type));
  int64_t at = 0;
  int rc = values ? 0 : no_memory(err);
  for (size_t s = 0; s < c->nms; s++) {
    const int64_t nrow = sheaf_table_nrow(c->in[s]);
    for (int64_t row = 0, n; rc >= 0 && row < nrow; row += n, at += n) {
      n = nrow - row < BLOCK_ROWS ? nrow - row : BLOCK_ROWS;
      rc = sheaf_table_get_range(c->in[s], column->source, row, n, values, err);
      if (rc >= 0) rc = sheaf_table_put_new(table, column->name, at, n, values, NULL, err);
    }
  }
  free(values);
  return rc < 0 || at == out->nrow
             ? rc
             : sheaf_fail(err, SHEAF_ERR_DATA, "%s: the number of rows changed", out->path);
}

/* ---- texts ---- */

/* Texts get a checksum of what was written; arrays of texts have none. */
static int text_checksum(copy_output *out, const sheaf_table *table, const char *name,
                         sheaf_error *err) {
  sheaf_column info;
  char hex[17];
  if (!sheaf_table_column(table, name, &info) || info.array || info.type != SHEAF_STRING) return 0;
  const int rc = sheaf_checksum_column(table, name, hex, err);
  if (rc >= 0) json_object_set_new(out->checksums, name, json_string(hex));
  return rc;
}

static int copy_cells(copier *c, size_t output, sheaf_table *table, const sheaf_copycolumn *column,
                      sheaf_error *err) {
  const sheaf_recspan runs = sheaf_copier_runs(c, output);
  int64_t *rows = malloc(MOST_RUN_ROWS * sizeof *rows);
  sheaf_recreader reader;
  const void *record;
  int rc = sheaf_recreader_open(&reader, &runs, 1, sizeof(copy_run), 256, err);
  if (rc >= 0 && !rows) rc = no_memory(err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    const copy_run *run = record;
    for (int64_t i = 0; i < run->n; i++) rows[i] = run->row + i;
    rc = sheaf_table_copy_cells(c->in[run->source], column->source, rows, run->n, table,
                                column->name, run->out, err);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  sheaf_recreader_close(&reader);
  free(rows);
  return rc < 0 ? rc : text_checksum(&c->output[output], table, column->name, err);
}

/* ---- the table ---- */

typedef struct fill_work {
  copier *c;
  copy_output *out;
} fill_work;

static int fill_scalars(void *user, sheaf_table *table, sheaf_error *err) {
  const fill_work *work = user;
  copier *c = work->c;
  if (c->layout) return put_scalars(c, work->out, table, err);
  int rc = 0;
  for (size_t k = 0; rc >= 0 && k < c->plan->ncolumn; k++)
    if (c->plan->column[k].role == SHEAF_ROLE_SCALAR)
      rc = copy_whole_column(c, work->out, table, &c->plan->column[k], err);
  return rc;
}

int sheaf_copier_create(copier *c, size_t output, sheaf_error *err) {
  const sheaf_copyplan *plan = c->plan;
  copy_output *out = &c->output[output];
  fill_work work = {c, out};
  sheaf_column_plan *columns = calloc(plan->ncolumn + 1, sizeof *columns);
  if (!columns) return no_memory(err);
  for (size_t i = 0; i < plan->ncolumn; i++) {
    const sheaf_copycolumn *from = &plan->column[i];
    const sheaf_rowfield *field = c->layout ? sheaf_rowlayout_find(c->layout, from->source) : NULL;
    memcpy(columns[i].source, from->pattern, sizeof columns[i].source);
    memcpy(columns[i].name, from->name, sizeof columns[i].name);
    columns[i].bulk = from->role >= SHEAF_ROLE_ARRAY;
    columns[i].ndim = from->ndim;
    columns[i].often = field && out->often[field - c->layout->field];
  }
  const int rc = sheaf_table_create_main(c->ms[0], out->path, out->nrow, columns, plan->ncolumn,
                                         c->layout != NULL, fill_scalars, &work, err);
  free(columns);
  return rc;
}

int sheaf_copier_texts(copier *c, size_t output, sheaf_error *err) {
  sheaf_table *table = NULL;
  int rc = 0;
  for (size_t k = 0; rc >= 0 && k < c->plan->ncolumn; k++) {
    const sheaf_copycolumn *column = &c->plan->column[k];
    if (column->role != SHEAF_ROLE_CELLS) continue;
    if (!table) rc = sheaf_table_open(&table, c->output[output].path, 1, err);
    if (rc >= 0) rc = copy_cells(c, output, table, column, err);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  if (rc >= 0 && table) rc = sheaf_table_flush(table, err);
  sheaf_table_close(table);
  return rc;
}

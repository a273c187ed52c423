/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/copier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/memory.h"
#include "ms/checksum.h"
#include "ms/copier_impl.h"
#include "ms/rowmap.h"
#include "table/isolate.h"

enum { SCALAR_BLOCK = 1 << 16 };

/* One output row: where it comes from and its sort key. */
typedef struct row_key {
  int32_t observation, array, scan, state, field, ddid;
  double time_s;
  int64_t row; /* in its source */
  int32_t source;
} row_key;

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the rows of a sub-MS");
}

/* ---- which rows, in which order ---- */

static int compare_keys(const void *pa, const void *pb) {
  const row_key *a = pa, *b = pb;
#define BY(member) \
  if (a->member != b->member) return a->member < b->member ? -1 : 1
  BY(observation);
  BY(array);
  BY(scan);
  BY(state);
  BY(field);
  BY(ddid);
  BY(time_s);
  BY(source); /* what follows makes the sort stable */
  BY(row);
#undef BY
  return 0;
}

static int64_t count_rows(const sheaf_rowmap *map, uint32_t unit) {
  int64_t n = 0;
  for (int64_t i = 0; i < map->nrow; i++) n += map->unit[i] == unit;
  return n;
}

/* Reads the key columns of one source in windows and appends the keys of the unit's rows. */
static int append_keys(const sheaf_table *t, const sheaf_rowmap *map, uint32_t unit, int32_t source,
                       row_key *keys, int64_t *n, sheaf_error *err) {
  static const char *const names[] = {"OBSERVATION_ID", "ARRAY_ID", "SCAN_NUMBER",
                                      "STATE_ID",       "FIELD_ID", "DATA_DESC_ID"};
  int32_t *ids = malloc(6 * SCALAR_BLOCK * sizeof *ids);
  double *time_s = malloc(SCALAR_BLOCK * sizeof *time_s);
  int rc = ids && time_s ? 0 : no_memory(err);
  for (int64_t row0 = 0; rc >= 0 && row0 < map->nrow; row0 += SCALAR_BLOCK) {
    const int64_t size = map->nrow - row0 < SCALAR_BLOCK ? map->nrow - row0 : SCALAR_BLOCK;
    int64_t first = 0, last = size;
    while (first < size && map->unit[row0 + first] != unit) first++;
    while (last > first && map->unit[row0 + last - 1] != unit) last--;
    if (first == last) continue;
    for (int k = 0; rc >= 0 && k < 6; k++)
      rc = sheaf_table_get_ints(t, names[k], row0 + first, last - first,
                                ids + k * SCALAR_BLOCK + first, err);
    if (rc >= 0)
      rc = sheaf_table_get_range(t, "TIME", row0 + first, last - first, time_s + first, err);
    for (int64_t i = first; rc >= 0 && i < last; i++) {
      if (map->unit[row0 + i] != unit) continue;
      const int32_t *at = ids + i;
      keys[(*n)++] = (row_key){at[0],
                               at[SCALAR_BLOCK],
                               at[2 * SCALAR_BLOCK],
                               at[3 * SCALAR_BLOCK],
                               at[4 * SCALAR_BLOCK],
                               at[5 * SCALAR_BLOCK],
                               time_s[i],
                               row0 + i,
                               source};
    }
  }
  free(ids);
  free(time_s);
  return rc;
}

static void sort_keys(row_key *keys, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    if (compare_keys(&keys[i - 1], &keys[i]) > 0) {
      qsort(keys, (size_t)n, sizeof *keys, compare_keys);
      return;
    }
}

/* Distinct values of one id among the keys, ascending. */
static json_t *distinct(const row_key *keys, int64_t n, int by_scan, const sheaf_idmap *map) {
  json_t *list = json_array();
  int32_t *seen = NULL;
  size_t nseen = 0, room = 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t id = by_scan ? keys[i].scan : keys[i].ddid;
    if (map && map->to && (size_t)id < map->n) id = map->to[id];
    size_t at = nseen;
    while (at > 0 && seen[at - 1] > id) at--;
    if (at > 0 && seen[at - 1] == id) continue;
    if (nseen == room) {
      int32_t *more = realloc(seen, (room = room ? 2 * room : 16) * sizeof *seen);
      if (!more) break;
      seen = more;
    }
    memmove(seen + at + 1, seen + at, (nseen++ - at) * sizeof *seen);
    seen[at] = id;
  }
  for (size_t i = 0; i < nseen; i++) json_array_append_new(list, json_integer(seen[i]));
  free(seen);
  return list;
}

static int keep_order(copier *c, const row_key *keys, sheaf_error *err) {
  const size_t n = (size_t)c->nrow;
  c->row = malloc(n * sizeof *c->row);
  c->source = malloc(n * sizeof *c->source);
  c->ddid = malloc(n * sizeof *c->ddid);
  if (!c->row || !c->source || !c->ddid) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    c->row[i] = keys[i].row;
    c->source[i] = keys[i].source;
    c->ddid[i] = keys[i].ddid;
    if (keys[i].ddid < 0 || (size_t)keys[i].ddid >= c->plan->reindex.nddid)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld has DATA_DESC_ID %d; there are %zu",
                        c->sources[keys[i].source].ms, (long long)keys[i].row, keys[i].ddid,
                        c->plan->reindex.nddid);
  }
  return 0;
}

/* The one thing that grows with the data: keys and numbers of the rows of one sub-MS. */
static int check_memory(const copier *c, sheaf_error *err) {
  const int64_t need = c->nrow * (int64_t)(sizeof(row_key) + sizeof *c->row + 2 * sizeof *c->ddid);
  if (need <= sheaf_memory_budget()) return 0;
  return sheaf_fail(err, SHEAF_ERR_NOMEM,
                    "%lld rows need %lld MB of memory while they are put into order, the budget of "
                    "this process is %lld MB; "
                    "make more sub-MSs (numsubms) or raise SHEAF_MEMORY (--memory)",
                    (long long)c->nrow, (long long)(need >> 20),
                    (long long)(sheaf_memory_budget() >> 20));
}

static int find_rows(copier *c, uint32_t unit, sheaf_error *err) {
  sheaf_rowmap *maps = calloc(c->nsource + 1, sizeof *maps);
  row_key *keys = NULL;
  int64_t n = 0;
  int rc = maps ? 0 : no_memory(err);
  for (size_t s = 0; rc >= 0 && s < c->nsource; s++) {
    rc = sheaf_rowmap_open(&maps[s], c->sources[s].rowmap, err);
    if (rc < 0) break;
    if (maps[s].nrow != sheaf_table_nrow(c->in[s]))
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s has %lld rows; it had %lld when the task started",
                      c->sources[s].ms, (long long)sheaf_table_nrow(c->in[s]),
                      (long long)maps[s].nrow);
    c->nrow += count_rows(&maps[s], unit);
  }
  if (rc >= 0 && c->nrow == 0) rc = sheaf_fail(err, SHEAF_ERR_EMPTY, "no rows are selected");
  if (rc >= 0) rc = check_memory(c, err);
  if (rc >= 0) {
    keys = malloc((size_t)c->nrow * sizeof *keys);
    if (!keys) rc = no_memory(err);
  }
  for (size_t s = 0; rc >= 0 && s < c->nsource; s++)
    rc = append_keys(c->in[s], &maps[s], unit, (int32_t)s, keys, &n, err);
  if (rc >= 0) {
    sort_keys(keys, c->nrow);
    rc = keep_order(c, keys, err);
    c->scans = distinct(keys, c->nrow, 1, NULL);
    c->ddids = distinct(keys, c->nrow, 0, &c->plan->reindex.ddid);
  }
  free(keys);
  for (size_t s = 0; maps && s < c->nsource; s++) sheaf_rowmap_close(&maps[s]);
  free(maps);
  return rc;
}

/* Rows from i on (at most `most`) that come from the same source. */
int64_t sheaf_copier_same_source(const copier *c, int64_t i, int64_t most) {
  int64_t n = 1;
  const int64_t limit = c->nrow - i < most ? c->nrow - i : most;
  if (c->nsource == 1) return limit;
  while (n < limit && c->source[i + n] == c->source[i]) n++;
  return n;
}

static int put_checksum(copier *c, const char *name, sheaf_checksum *sum) {
  char hex[17];
  sheaf_checksum_end(sum, hex);
  json_object_set_new(c->checksums, name, json_string(hex));
  return 0;
}

/* ---- scalars ---- */

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

/* Ids that have no new number (negative: "none") stay; a kept row never refers to a dropped one. */
static void renumber(int32_t *id, int64_t n, const sheaf_idmap *map) {
  for (int64_t i = 0; i < n; i++)
    if (id[i] >= 0 && (size_t)id[i] < map->n && map->to[id[i]] >= 0) id[i] = map->to[id[i]];
}

/* Values of scattered rows: through one range when they lie close together, row by row otherwise.
 */
static int read_scalars(const sheaf_table *t, const char *name, size_t size, const int64_t *rows,
                        int64_t n, char *out, char *scratch, sheaf_error *err) {
  int64_t lo = rows[0], hi = rows[0];
  for (int64_t i = 1; i < n; i++) {
    lo = rows[i] < lo ? rows[i] : lo;
    hi = rows[i] > hi ? rows[i] : hi;
  }
  const int64_t range = hi - lo + 1;
  if (range > 8 * SCALAR_BLOCK) return sheaf_table_get_rows(t, name, rows, n, out, err);
  const int rc = sheaf_table_get_range(t, name, lo, range, scratch, err);
  for (int64_t i = 0; rc >= 0 && i < n; i++)
    memcpy(out + (size_t)i * size, scratch + (size_t)(rows[i] - lo) * size, size);
  return rc;
}

static int copy_scalar(copier *c, sheaf_table *out, const sheaf_copycolumn *column, char *buffer,
                       char *scratch, sheaf_error *err) {
  sheaf_column info;
  sheaf_checksum sum;
  sheaf_table_column(out, column->name, &info);
  const size_t size = sheaf_type_size(info.type);
  const sheaf_idmap *map = info.type == SHEAF_INT ? map_of(&c->plan->reindex, column->name) : NULL;
  int rc = sheaf_checksum_begin(&sum, err);
  for (int64_t i = 0, n; rc >= 0 && i < c->nrow; i += n) {
    n = sheaf_copier_same_source(c, i, SCALAR_BLOCK);
    rc = read_scalars(c->in[c->source[i]], column->source, size, c->row + i, n, buffer, scratch,
                      err);
    if (rc >= 0 && map) renumber((int32_t *)buffer, n, map);
    if (rc >= 0) rc = sheaf_table_put_range(out, column->name, i, n, buffer, err);
    if (rc >= 0) sheaf_checksum_add(&sum, buffer, (size_t)n * size);
  }
  put_checksum(c, column->name, &sum);
  return rc;
}

/* Texts get a checksum of what was written; arrays of texts have none. */
static int text_checksum(copier *c, const sheaf_table *out, const char *name, sheaf_error *err) {
  sheaf_column info;
  char hex[17];
  if (!sheaf_table_column(out, name, &info) || info.array || info.type != SHEAF_STRING) return 0;
  const int rc = sheaf_checksum_column(out, name, hex, err);
  if (rc >= 0) json_object_set_new(c->checksums, name, json_string(hex));
  return rc;
}

static int copy_cells(copier *c, sheaf_table *out, const sheaf_copycolumn *column,
                      sheaf_error *err) {
  int rc = 0;
  for (int64_t i = 0, n; rc >= 0 && i < c->nrow; i += n) {
    n = sheaf_copier_same_source(c, i, SCALAR_BLOCK);
    rc = sheaf_table_copy_cells(c->in[c->source[i]], column->source, c->row + i, n, out,
                                column->name, i, err);
  }
  return rc < 0 ? rc : text_checksum(c, out, column->name, err);
}

/* Scalars and texts: casacore's part, in a process of its own while this one copies the arrays. */
static int fill_small(copier *c, sheaf_error *err) {
  sheaf_table *out = NULL;
  char *buffer = malloc((size_t)SCALAR_BLOCK * 16),
       *scratch = malloc((size_t)8 * SCALAR_BLOCK * 16);
  int rc = buffer && scratch ? sheaf_table_open(&out, c->out, 1, err) : no_memory(err);
  for (size_t k = 0; rc >= 0 && k < c->plan->ncolumn; k++) {
    const sheaf_copycolumn *column = &c->plan->column[k];
    if (column->role == SHEAF_ROLE_SCALAR) rc = copy_scalar(c, out, column, buffer, scratch, err);
    if (column->role == SHEAF_ROLE_CELLS) rc = copy_cells(c, out, column, err);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  if (rc >= 0) rc = sheaf_table_flush(out, err);
  sheaf_table_close(out);
  free(buffer);
  free(scratch);
  return rc;
}

/* ---- the whole table ---- */

static int create_main(const copier *c, sheaf_error *err) {
  const sheaf_copyplan *plan = c->plan;
  sheaf_column_plan *columns = calloc(plan->ncolumn + 1, sizeof *columns);
  if (!columns) return no_memory(err);
  for (size_t i = 0; i < plan->ncolumn; i++) {
    memcpy(columns[i].source, plan->column[i].pattern, sizeof columns[i].source);
    memcpy(columns[i].name, plan->column[i].name, sizeof columns[i].name);
    columns[i].bulk = plan->column[i].role >= SHEAF_ROLE_ARRAY;
    columns[i].ndim = plan->column[i].ndim;
  }
  const int rc = sheaf_table_create_main(c->sources[0].ms, c->out, c->nrow, columns, plan->ncolumn,
                                         c->sources[0].rowmap != NULL, err);
  free(columns);
  return rc;
}

/* All rows of all sources as they come; cells are taken whole. */
static int take_all_rows(copier *c, sheaf_error *err) {
  for (size_t s = 0; s < c->nsource; s++) c->nrow += sheaf_table_nrow(c->in[s]);
  const size_t n = (size_t)c->nrow;
  c->row = malloc((n + 1) * sizeof *c->row);
  c->source = malloc((n + 1) * sizeof *c->source);
  c->ddid = calloc(n + 1, sizeof *c->ddid);
  if (!c->row || !c->source || !c->ddid) return no_memory(err);
  size_t at = 0;
  for (size_t s = 0; s < c->nsource; s++)
    for (int64_t row = 0; row < sheaf_table_nrow(c->in[s]); row++, at++) {
      c->row[at] = row;
      c->source[at] = (int32_t)s;
    }
  return 0;
}

static int open_sources(copier *c, sheaf_error *err) {
  c->in = calloc(c->nsource + 1, sizeof *c->in);
  if (!c->in) return no_memory(err);
  int rc = 0;
  for (size_t s = 0; rc >= 0 && s < c->nsource; s++)
    rc = sheaf_table_open(&c->in[s], c->sources[s].ms, 0, err);
  return rc;
}

static void copier_close(copier *c) {
  for (size_t s = 0; c->in && s < c->nsource; s++) sheaf_table_close(c->in[s]);
  free(c->in);
  free(c->row);
  free(c->source);
  free(c->ddid);
  json_decref(c->checksums);
  json_decref(c->scans);
  json_decref(c->ddids);
}

typedef struct fill_work {
  copier *c;
  array_copies *arrays;
} fill_work;

static int fill_isolated(void *user, json_t **value, sheaf_error *err) {
  fill_work *work = user;
  int rc = fill_small(work->c, err);
  if (rc >= 0) rc = sheaf_arrays_copy_casacore(work->arrays, err);
  if (rc >= 0) *value = json_incref(work->c->checksums);
  return rc;
}

int sheaf_copy_rows(const sheaf_copyplan *plan, const sheaf_copysource *sources, size_t nsource,
                    uint32_t unit, const char *out, json_t **ledger, sheaf_error *err) {
  copier c = {.plan = plan, .sources = sources, .nsource = nsource, .out = out};
  array_copies *arrays = NULL;
  sheaf_isolation *small = NULL;
  json_t *checksums = NULL;
  int rc;
  *ledger = NULL;
  c.checksums = json_object();
  SHEAF_TRY(open_sources(&c, err));
  if (sources[0].rowmap)
    SHEAF_TRY(find_rows(&c, unit, err));
  else
    SHEAF_TRY(take_all_rows(&c, err));
  SHEAF_TRY(sheaf_tree_remove(out, err));
  SHEAF_TRY(create_main(&c, err));
  SHEAF_TRY(sheaf_arrays_open(&arrays, &c, err));
  /* A forked child shares the file positions of our open tables, so casacore works in the child
   * only: it gets the columns that casacore must read, too. */
  fill_work work = {&c, arrays};
  SHEAF_TRY(sheaf_isolation_begin(&small, out, fill_isolated, &work, err));
  SHEAF_TRY(sheaf_arrays_copy_tiles(arrays, err));
  rc = sheaf_isolation_end(small, &checksums, err);
  small = NULL;
  if (rc < 0) goto done;
  json_object_update(c.checksums, checksums);
  *ledger = json_pack("{s:I,s:O*,s:O*,s:O}", "rows", (json_int_t)c.nrow, "scans", c.scans, "ddids",
                      c.ddids, "columns", c.checksums);
  rc = 0;

done:
  sheaf_isolation_abandon(small);
  json_decref(checksums);
  sheaf_arrays_close(arrays);
  copier_close(&c);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/flagrestore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/recsort.h"
#include "base/value.h"
#include "ms/chunks.h"
#include "ms/colreader.h"
#include "ms/flagversions.h"
#include "ms/rowids.h"
#include "ms/setup.h"
#include "table/table.h"

#define ROWIDS "sheaf.rows"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to restore flags");
}

/* ---- rows here and there ---- */

typedef struct pair {
  int64_t here, there; /* row of all members in order, of the version */
} pair;

/* Rows of the version for rows of a member. */
typedef struct rowmap {
  int64_t first;   /* of the member's rows among those of all members */
  char path[4200]; /* file of pairs; "": the rows are in the same order */
  sheaf_recspan span;
  sheaf_recreader reader;
} rowmap;

static int rowmap_open(rowmap *m, const char *path, int64_t first, int64_t nrow, sheaf_error *err) {
  m->first = first;
  snprintf(m->path, sizeof m->path, "%s", path);
  m->span = (sheaf_recspan){m->path, 0, nrow};
  return *path ? sheaf_recreader_open(&m->reader, &m->span, 1, sizeof(pair), 1 << 13, err) : 0;
}

static void rowmap_close(rowmap *m) {
  if (*m->path) sheaf_recreader_close(&m->reader);
}

/* there[i] for rows[i] of the member, ascending. */
static int rowmap_get(rowmap *m, const int64_t *rows, int64_t n, int64_t *there, sheaf_error *err) {
  int64_t next = -1;
  for (int64_t i = 0; i < n; i++) {
    const int64_t here = m->first + rows[i];
    const void *record;
    there[i] = here;
    if (!*m->path) continue;
    int rc = here == next ? 0 : sheaf_recreader_seek(&m->reader, here, err);
    if (rc >= 0) rc = sheaf_recreader_next(&m->reader, &record, err);
    if (rc < 0) return rc;
    const pair *p = record;
    if (rc == 0 || p->here != here)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: no entry for row %lld", m->path,
                        (long long)here);
    there[i] = p->there;
    next = here + 1;
  }
  return 0;
}

/* Merges the saved flags of a row into the present ones; 1 when any changes. */
static uint8_t merge_row(sheaf_merge merge, uint8_t *now, const uint8_t *saved, int64_t n) {
  uint8_t changed = 0;
  for (int64_t i = 0; i < n; i++) {
    const uint8_t flag = merge == SHEAF_MERGE_REPLACE ? saved[i]
                         : merge == SHEAF_MERGE_AND   ? now[i] & saved[i]
                                                      : now[i] | saved[i];
    changed |= flag ^ now[i];
    now[i] = flag;
  }
  return changed;
}

/* ---- the client ---- */

typedef struct versions_table {
  char path[4400];
  sheaf_table *table;
  sheaf_colreader flag;
} versions_table;

static int version_open(versions_table *v, sheaf_error *err) {
  int rc = sheaf_table_open(&v->table, v->path, 0, err);
  if (rc >= 0) rc = sheaf_colreader_open(&v->flag, v->table, "FLAG", err);
  return rc;
}

static void version_close(versions_table *v) {
  if (v->flag.table) sheaf_colreader_close(&v->flag);
  sheaf_table_close(v->table);
}

static int fail_shape(const char *member, int64_t row, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_ARG, "FLAG of row %lld of %s has another shape there",
                    (long long)row, member);
}

/* Whether cells have the same shapes in a member, from its row 0, and in the version. */
static int compare_shapes(versions_table *v, const char *member, rowmap *map, int64_t nrow,
                          sheaf_error *err) {
  sheaf_table *table = NULL;
  sheaf_colreader reader = {0};
  int rc = sheaf_table_open(&table, member, 0, err);
  if (rc >= 0) rc = sheaf_colreader_open(&reader, table, "FLAG", err);
  for (int64_t row = 0; rc >= 0 && row < nrow;) {
    sheaf_shape here, saved;
    int64_t there, next = row + 1;
    rc = rowmap_get(map, &row, 1, &there, err);
    if (rc >= 0) rc = sheaf_colreader_shape(&reader, row, &here, err);
    if (rc >= 0) rc = sheaf_colreader_shape(&v->flag, there, &saved, err);
    if (rc >= 0 && !sheaf_shape_equal(&here, &saved)) rc = fail_shape(member, row, err);
    if (!*map->path) { /* in the same order: on to where the shape may change */
      const int64_t last = v->flag.to - map->first;
      next = reader.to < last ? reader.to : last;
      if (next <= row) next = row + 1;
    }
    row = next;
  }
  if (reader.table) sheaf_colreader_close(&reader);
  sheaf_table_close(table);
  return rc;
}

static int has_flag_row(const versions_table *v, const char *const *members, sheaf_error *err) {
  sheaf_column column;
  const int here = sheaf_setup_has_column(members[0], "FLAG_ROW", err);
  if (here <= 0) return here;
  if (sheaf_table_column(v->table, "FLAG_ROW", &column)) return 1;
  return sheaf_fail(err, SHEAF_ERR_DATA, "%s has no column FLAG_ROW", v->path);
}

/* 1 when FLAG_ROW of some row of a member changes, else 0. */
static int changes_rows(const versions_table *v, const char *member, rowmap *map, int64_t nrow,
                        sheaf_merge merge, sheaf_error *err) {
  enum { WINDOW = 1 << 14 };
  int64_t *rows = malloc(2 * WINDOW * sizeof *rows), *there = rows + WINDOW;
  uint8_t *now = malloc(2 * WINDOW), *saved = now + WINDOW, changed = 0;
  sheaf_table *table = NULL;
  int rc = rows && now ? sheaf_table_open(&table, member, 0, err) : no_memory(err);
  for (int64_t row = 0; rc >= 0 && row < nrow && !changed; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    for (int64_t i = 0; i < n; i++) rows[i] = row + i;
    SHEAF_TRY(sheaf_table_get_range(table, "FLAG_ROW", row, n, now, err));
    SHEAF_TRY(rowmap_get(map, rows, n, there, err));
    SHEAF_TRY(*map->path ? sheaf_table_get_rows(v->table, "FLAG_ROW", there, n, saved, err)
                         : sheaf_table_get_range(v->table, "FLAG_ROW", there[0], n, saved, err));
    for (int64_t i = 0; i < n && !changed; i++) changed = merge_row(merge, now + i, saved + i, 1);
  }
done:
  sheaf_table_close(table);
  free(rows);
  free(now);
  return rc < 0 ? rc : changed;
}

/* Whether FLAG_ROW has to be written at all: only that takes the lock of the table, as a rule. */
static int any_row_changes(const versions_table *v, const char *const *members, size_t n,
                           const int64_t *nrow, int64_t total, const char *map, sheaf_merge merge,
                           sheaf_error *err) {
  int64_t at = 0;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < n; i++) {
    rowmap rows;
    if ((rc = rowmap_open(&rows, map, at, total, err)) < 0) break;
    rc = changes_rows(v, members[i], &rows, nrow[i], merge, err);
    rowmap_close(&rows);
    at += nrow[i];
  }
  return rc;
}

/* The same rows, in whatever order: *map is "" or the file of pairs. */
static int match_rows(const versions_table *v, const char *const *members, size_t n, int64_t nrow,
                      const char *scratch, char map[4300], sheaf_error *err) {
  char ids[4500];
  int order;
  snprintf(ids, sizeof ids, "%s/" ROWIDS, v->path);
  snprintf(map, 4300, "%s/map", scratch);
  if (sheaf_table_nrow(v->table) != nrow)
    return sheaf_fail(err, SHEAF_ERR_ARG, "it has %lld rows, not %lld",
                      (long long)sheaf_table_nrow(v->table), (long long)nrow);
  const int rc = sheaf_rowids_match(ids, members, n, scratch, map, &order, err);
  if (rc >= 0 && order != SHEAF_ROWIDS_MOVED) map[0] = '\0';
  if (rc >= 0 && order == SHEAF_ROWIDS_UNKNOWN && n > 1)
    sheaf_log(SHEAF_LOG_WARN,
              "%s has no record of its rows (CASA saved it): its flags go to the rows in their "
              "order, which is right only when it was saved from this Multi-MS",
              v->path);
  return rc;
}

static int find_version(const char *vis, const char *name, char path[4400], sheaf_error *err) {
  char versions[4096];
  sheaf_flagversion *list;
  size_t n;
  int rc = sheaf_flagversions_path(vis, versions, sizeof versions, err);
  if (rc < 0 || (rc = sheaf_flagversions_list(vis, &list, &n, err)) < 0) return rc;
  rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "Flag version %s does not exist", name);
  for (size_t i = 0; i < n; i++) {
    if (strcmp(list[i].name, name) != 0) continue;
    snprintf(path, 4400, "%s/flags.%s", versions, name);
    rc = list[i].exists
             ? 0
             : sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                          "Flag version %s is in the list, but %s does not exist", name, path);
  }
  sheaf_flagversions_free(list, n);
  return rc;
}

static int check_members(versions_table *v, const char *const *members, size_t n,
                         const int64_t *nrow, int64_t total, const char *map, json_t *first,
                         sheaf_error *err) {
  int rc = 0;
  int64_t at = 0;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    rowmap rows;
    json_object_set_new(first, members[i], json_integer(at));
    rc = rowmap_open(&rows, map, at, total, err);
    if (rc < 0) break;
    rc = compare_shapes(v, members[i], &rows, nrow[i], err);
    rowmap_close(&rows);
    at += nrow[i];
  }
  return rc;
}

int sheaf_flagrestore_prepare(json_t **common, const char *vis, const char *name, sheaf_merge merge,
                              const char *const *members, size_t n, const char *scratch,
                              sheaf_error *err) {
  char map[4300] = "";
  versions_table v = {.table = NULL};
  int64_t total = 0, *nrow = calloc(n + 1, sizeof *nrow);
  json_t *first = json_object();
  int rc = nrow && first ? 0 : no_memory(err), flag_row = 0;
  *common = NULL;
  if (rc >= 0) rc = find_version(vis, name, v.path, err);
  if (rc < 0) goto done;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    rc = sheaf_setup_nrow(members[i], &nrow[i], err);
    total += nrow[i];
  }
  if (rc >= 0) rc = version_open(&v, err);
  if (rc >= 0) rc = match_rows(&v, members, n, total, scratch, map, err);
  if (rc >= 0) rc = check_members(&v, members, n, nrow, total, map, first, err);
  if (rc >= 0) rc = has_flag_row(&v, members, err);
  if (rc > 0) rc = flag_row = any_row_changes(&v, members, n, nrow, total, map, merge, err);
  if (rc < 0) {
    rc = sheaf_fail_context(err, rc, "flag version '%s' cannot be restored on '%s'", name, vis);
    goto done;
  }
  *common = json_pack("{s:s, s:s, s:i, s:I, s:O, s:b}", "version", v.path, "map", map, "merge",
                      (int)merge, "nrow", (json_int_t)total, "first", first, "flag_row", flag_row);
  rc = *common ? 0 : no_memory(err);
done:
  version_close(&v);
  json_decref(first);
  free(nrow);
  return rc;
}

/* ---- a unit ---- */

typedef struct restore {
  versions_table version;
  rowmap map;
  sheaf_merge merge;
  int is_row;     /* FLAG_ROW, not FLAG */
  uint8_t *saved; /* flags of the version for one chunk */
  size_t room;
  int64_t *there; /* rows of the version */
  uint8_t *changed;
  int64_t rows_room;
} restore;

static int make_room(restore *r, int64_t nrow, size_t bytes, sheaf_error *err) {
  if (nrow > r->rows_room) {
    free(r->there);
    free(r->changed);
    r->there = malloc((size_t)nrow * sizeof *r->there);
    r->changed = malloc((size_t)nrow);
    r->rows_room = r->there && r->changed ? nrow : 0;
    if (!r->rows_room) return no_memory(err);
  }
  if (bytes > r->room) {
    free(r->saved);
    r->saved = malloc(bytes);
    r->room = r->saved ? bytes : 0;
    if (!r->room) return no_memory(err);
  }
  return 0;
}

static int read_saved(restore *r, const sheaf_chunk *chunk, sheaf_error *err) {
  const sheaf_cells *cells = &chunk->column[0];
  const int64_t n = chunk->nrow;
  int rc = rowmap_get(&r->map, chunk->rows, n, r->there, err);
  if (rc < 0) return rc;
  if (!r->is_row) {
    sheaf_shape shape = {.ndim = cells->ndim};
    memcpy(shape.axis, cells->shape, sizeof shape.axis);
    return sheaf_colreader_read(&r->version.flag, r->there, n, &shape, r->saved, err);
  }
  if (r->there[n - 1] - r->there[0] == n - 1 && !*r->map.path)
    return sheaf_table_get_range(r->version.table, "FLAG_ROW", r->there[0], n, r->saved, err);
  return sheaf_table_get_rows(r->version.table, "FLAG_ROW", r->there, n, r->saved, err);
}

static int restore_chunk(restore *r, sheaf_chunks *chunks, sheaf_chunk *chunk, int64_t *changed,
                         sheaf_error *err) {
  const sheaf_cells *cells = &chunk->column[0];
  int64_t n = 0;
  if (cells->ncell == 0) return 0;
  int rc = make_room(r, chunk->nrow, (size_t)(chunk->nrow * cells->ncell), err);
  if (rc >= 0) rc = read_saved(r, chunk, err);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < chunk->nrow; i++) {
    uint8_t *now = (uint8_t *)cells->data + i * cells->ncell;
    r->changed[i] = merge_row(r->merge, now, r->saved + i * cells->ncell, cells->ncell);
    n += r->changed[i] != 0;
  }
  *changed += n;
  return n ? sheaf_chunks_put(chunks, 0, r->changed, err) : 0;
}

static int restore_rows(restore *r, const char *column, const char *member, int64_t row0,
                        int64_t nrow, int64_t *changed, sheaf_error *err) {
  const sheaf_chunk_column columns[] = {{column, SHEAF_CHUNK_READ | SHEAF_CHUNK_WRITE, 0}};
  const sheaf_chunks_options options = {
      .path = member, .row0 = row0, .nrow = nrow, .columns = columns, .ncolumn = 1};
  sheaf_chunks *chunks = NULL;
  sheaf_chunk *chunk;
  int rc = sheaf_chunks_open(&chunks, &options, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_chunks_next(chunks, &chunk, err)) > 0)
    if ((rc = restore_chunk(r, chunks, chunk, changed, err)) < 0) break;
  if (rc >= 0) return sheaf_chunks_finish(chunks, err);
  sheaf_chunks_abandon(chunks);
  return rc;
}

int sheaf_flagrestore_rows(const json_t *common, const char *column, const char *member,
                           int64_t row0, int64_t nrow, int64_t *changed, sheaf_error *err) {
  restore r = {.merge = (sheaf_merge)sheaf_value_int(common, "merge", SHEAF_MERGE_REPLACE),
               .is_row = !strcmp(column, "FLAG_ROW")};
  const json_t *first = json_object_get(json_object_get(common, "first"), member);
  *changed = 0;
  if (!json_is_integer(first))
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s is not in the list of members", member);
  snprintf(r.version.path, sizeof r.version.path, "%s", sheaf_value_str(common, "version", ""));
  int rc = rowmap_open(&r.map, sheaf_value_str(common, "map", ""), json_integer_value(first),
                       sheaf_value_int(common, "nrow", 0), err);
  if (rc < 0) return rc;
  rc = version_open(&r.version, err);
  if (rc >= 0) rc = restore_rows(&r, column, member, row0, nrow, changed, err);
  version_close(&r.version);
  rowmap_close(&r.map);
  free(r.saved);
  free(r.there);
  free(r.changed);
  return rc;
}

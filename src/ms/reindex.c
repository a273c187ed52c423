/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/reindex.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "table/isolate.h"
#include "table/model.h"
#include "table/table.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to renumber sub-tables");
}

/* ---- maps ---- */

static int idmap_new(sheaf_idmap *map, size_t n, sheaf_error *err) {
  map->n = n;
  map->to = malloc((n + 1) * sizeof *map->to);
  if (!map->to) return no_memory(err);
  for (size_t i = 0; i < n; i++) map->to[i] = -1;
  return 0;
}

/* Ids of `list` in ascending order get 0, 1, …; ids outside the table are not there. */
static int idmap_ascending(sheaf_idmap *map, size_t n, const sheaf_ids *list, sheaf_error *err) {
  if (idmap_new(map, n, err) < 0) return SHEAF_ERR_NOMEM;
  for (size_t i = 0; i < list->n; i++)
    if (list->id[i] >= 0 && (size_t)list->id[i] < n) map->to[list->id[i]] = 0;
  int32_t next = 0;
  for (size_t i = 0; i < n; i++)
    if (map->to[i] >= 0) map->to[i] = next++;
  return 0;
}

/* As above in the order of the list. */
static int idmap_in_order(sheaf_idmap *map, size_t n, const sheaf_ids *list, sheaf_error *err) {
  if (idmap_new(map, n, err) < 0) return SHEAF_ERR_NOMEM;
  int32_t next = 0;
  for (size_t i = 0; i < list->n; i++)
    if (list->id[i] >= 0 && (size_t)list->id[i] < n && map->to[list->id[i]] < 0)
      map->to[list->id[i]] = next++;
  return 0;
}

static int idmap_is_identity(const sheaf_idmap *map) {
  for (size_t i = 0; map->to && i < map->n; i++)
    if (map->to[i] != (int32_t)i) return 0;
  return 1;
}

static void idmap_drop_identity(sheaf_idmap *map) {
  if (!map->to || !idmap_is_identity(map)) return;
  free(map->to);
  *map = (sheaf_idmap){0};
}

static int table_rows(const char *ms, const char *name, size_t *n, sheaf_error *err) {
  char path[4200];
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/%s", ms, name);
  *n = 0;
  if (!sheaf_path_exists(path)) return 0;
  const int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  sheaf_table_close(t);
  return 0;
}

static int read_int_column(const char *ms, const char *name, const char *column, int32_t **out,
                           size_t *n, sheaf_error *err) {
  char path[4200];
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/%s", ms, name);
  *out = NULL;
  int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  *out = malloc((*n + 1) * sizeof **out);
  rc = *out ? sheaf_table_get_ints(t, column, 0, (int64_t)*n, *out, err) : no_memory(err);
  sheaf_table_close(t);
  return rc;
}

static int in_list(const int32_t *list, size_t n, int32_t id) {
  for (size_t i = 0; i < n; i++)
    if (list[i] == id) return 1;
  return 0;
}

static const sheaf_polsel *pol_selected(const sheaf_selected *selected, int32_t pol) {
  for (size_t i = 0; i < selected->npol; i++)
    if (selected->pol[i].pol == pol) return &selected->pol[i];
  return NULL;
}

/* Numbers the kept data descriptions group by group, ascending inside a group. */
static int make_ddid_map(sheaf_reindex *map, const sheaf_description *descs, size_t n,
                         const sheaf_selected *selected, const sheaf_spwgroups *groups,
                         sheaf_error *err) {
  if (idmap_new(&map->ddid, n, err) < 0) return SHEAF_ERR_NOMEM;
  int32_t next = 0;
  for (size_t g = 0; g < (groups ? groups->ngroup : 1); g++)
    for (size_t i = 0; i < n; i++) {
      if (groups && !in_list(groups->group[g], groups->n[g], descs[i].spw)) continue;
      if (selected->spw.given && !in_list(selected->spw.id, selected->spw.n, descs[i].spw))
        continue;
      if (selected->npol && !pol_selected(selected, descs[i].pol)) continue;
      map->ddid.to[i] = next++;
    }
  return 0;
}

/* Kept windows: those selected that some data description uses. */
static int make_spw_map(sheaf_reindex *map, const char *ms, const sheaf_description *descs,
                        size_t ndesc, const sheaf_selected *selected, const sheaf_spwgroups *groups,
                        sheaf_error *err) {
  size_t nspw;
  int rc = table_rows(ms, "SPECTRAL_WINDOW", &nspw, err);
  if (rc < 0) return rc;
  if (idmap_new(&map->spw, nspw, err) < 0) return SHEAF_ERR_NOMEM;
  for (size_t i = 0; i < ndesc; i++) {
    const int32_t spw = descs[i].spw;
    int keep = !selected->spw.given || in_list(selected->spw.id, selected->spw.n, spw);
    int grouped = !groups;
    for (size_t g = 0; groups && g < groups->ngroup; g++)
      grouped |= in_list(groups->group[g], groups->n[g], spw);
    if (keep && grouped) map->spw.to[spw] = 0;
  }
  int32_t next = 0;
  for (size_t i = 0; i < nspw; i++)
    if (map->spw.to[i] >= 0) map->spw.to[i] = next++;
  return 0;
}

/* Sources in order of first use by kept fields. */
static int make_field_maps(sheaf_reindex *map, const char *ms, const sheaf_selected *selected,
                           sheaf_error *err) {
  int32_t *source = NULL, *used = NULL;
  size_t n, nused = 0;
  int rc;
  SHEAF_TRY(read_int_column(ms, "FIELD", "SOURCE_ID", &source, &n, err));
  SHEAF_TRY(idmap_ascending(&map->field, n, &selected->field, err));
  int32_t most = -1;
  for (size_t i = 0; i < n; i++) most = source[i] > most ? source[i] : most;
  used = malloc((n + 1) * sizeof *used);
  if (!used) SHEAF_TRY(no_memory(err));
  for (size_t i = 0; i < n; i++)
    if (map->field.to[i] >= 0 && source[i] >= 0) used[nused++] = source[i];
  const sheaf_ids list = {1, nused, used};
  SHEAF_TRY(idmap_in_order(&map->source, (size_t)(most + 1), &list, err));

done:
  free(source);
  free(used);
  return rc;
}

static int make_antenna_map(sheaf_reindex *map, const char *ms, const sheaf_selected *selected,
                            sheaf_error *err) {
  size_t n;
  int rc = table_rows(ms, "ANTENNA", &n, err);
  if (rc < 0) return rc;
  rc = idmap_ascending(&map->antenna, n, &selected->antenna, err);
  idmap_drop_identity(&map->antenna);
  return rc;
}

static int make_array_map(sheaf_reindex *map, const sheaf_selected *selected, sheaf_error *err) {
  int32_t most = -1;
  for (size_t i = 0; i < selected->array.n; i++)
    most = selected->array.id[i] > most ? selected->array.id[i] : most;
  return idmap_ascending(&map->array, (size_t)(most + 1), &selected->array, err);
}

static int make_other_maps(sheaf_reindex *map, const char *ms, const sheaf_selected *selected,
                           sheaf_error *err) {
  int rc = 0;
  size_t n;
  if (selected->field.given) SHEAF_TRY(make_field_maps(map, ms, selected, err));
  if (selected->antenna.given) SHEAF_TRY(make_antenna_map(map, ms, selected, err));
  if (selected->state.given) {
    SHEAF_TRY(table_rows(ms, "STATE", &n, err));
    SHEAF_TRY(idmap_in_order(&map->state, n, &selected->state, err));
  }
  if (selected->observation.given) {
    SHEAF_TRY(table_rows(ms, "OBSERVATION", &n, err));
    SHEAF_TRY(idmap_ascending(&map->observation, n, &selected->observation, err));
  }
  if (selected->array.given) SHEAF_TRY(make_array_map(map, selected, err));
done:
  return rc;
}

/* ---- cells ---- */

static int cell_channels(sheaf_cellsel *cell, int32_t spw, const sheaf_selected *selected,
                         sheaf_error *err) {
  size_t n = 0;
  int whole = 0;
  for (size_t i = 0; i < selected->nchan; i++) {
    const sheaf_chanrange *r = &selected->chan[i];
    if (r->spw != spw) continue;
    n += (size_t)((r->stop - r->start) / r->step + 1);
    whole += r->start == 0 && r->stop == cell->nchan_in - 1 && r->step == 1;
  }
  if (n == 0 || (whole == 1 && n == (size_t)cell->nchan_in)) return 0;
  cell->chan = malloc(n * sizeof *cell->chan);
  if (!cell->chan) return no_memory(err);
  cell->nchan = 0;
  for (size_t i = 0; i < selected->nchan; i++) {
    const sheaf_chanrange *r = &selected->chan[i];
    for (int32_t c = r->start; r->spw == spw && c <= r->stop && c < cell->nchan_in; c += r->step)
      cell->chan[cell->nchan++] = c;
  }
  return 0;
}

static int cell_correlations(sheaf_cellsel *cell, const sheaf_polsel *pol, sheaf_error *err) {
  if (!pol || pol->n == (size_t)cell->ncorr_in) return 0;
  if (pol->n == 3)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "correlation: 3 of 4 correlations make no valid MS; select 1, 2 or 4");
  cell->corr = malloc((pol->n + 1) * sizeof *cell->corr);
  if (!cell->corr) return no_memory(err);
  memcpy(cell->corr, pol->corr, pol->n * sizeof *cell->corr);
  cell->ncorr = (int32_t)pol->n;
  return 0;
}

static int make_cells(sheaf_reindex *map, const sheaf_description *descs, size_t n,
                      const sheaf_selected *selected, sheaf_error *err) {
  map->nddid = n;
  map->cell = calloc(n + 1, sizeof *map->cell);
  if (!map->cell) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    sheaf_cellsel *cell = &map->cell[i];
    *cell =
        (sheaf_cellsel){descs[i].nchan, descs[i].ncorr, descs[i].nchan, descs[i].ncorr, NULL, NULL};
    if (map->ddid.to && map->ddid.to[i] < 0) continue;
    int rc = cell_channels(cell, descs[i].spw, selected, err);
    if (rc >= 0) rc = cell_correlations(cell, pol_selected(selected, descs[i].pol), err);
    if (rc < 0) return rc;
  }
  return 0;
}

int sheaf_reindex_make(sheaf_reindex *map, const char *ms, const sheaf_selected *selected,
                       const sheaf_spwgroups *groups, sheaf_error *err) {
  sheaf_description *descs = NULL;
  size_t n;
  int rc;
  *map = (sheaf_reindex){0};
  SHEAF_TRY(sheaf_descriptions_read(ms, &descs, &n, err));
  if (groups || selected->spw.given || selected->npol) {
    SHEAF_TRY(make_ddid_map(map, descs, n, selected, groups, err));
    SHEAF_TRY(make_spw_map(map, ms, descs, n, selected, groups, err));
    idmap_drop_identity(&map->spw);
  }
  SHEAF_TRY(make_other_maps(map, ms, selected, err));
  SHEAF_TRY(make_cells(map, descs, n, selected, err));

done:
  free(descs);
  if (rc < 0) sheaf_reindex_free(map);
  return rc < 0 ? rc : 0;
}

void sheaf_reindex_free(sheaf_reindex *map) {
  sheaf_idmap *maps[] = {&map->spw,     &map->ddid,  &map->field,       &map->source,
                         &map->antenna, &map->state, &map->observation, &map->array};
  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) free(maps[i]->to);
  for (size_t i = 0; map->cell && i < map->nddid; i++) {
    free(map->cell[i].chan);
    free(map->cell[i].corr);
  }
  free(map->cell);
  *map = (sheaf_reindex){0};
}

/* ---- values ---- */

static json_t *ints_value(const int32_t *list, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(array, json_integer(list[i]));
  return array;
}

static int32_t *ints_from_value(const json_t *array, size_t *n) {
  if (!json_is_array(array)) return NULL;
  *n = json_array_size(array);
  int32_t *list = malloc((*n + 1) * sizeof *list);
  for (size_t i = 0; list && i < *n; i++)
    list[i] = (int32_t)json_integer_value(json_array_get(array, i));
  return list;
}

static const char *const kMapNames[] = {"spw",     "ddid",  "field",       "source",
                                        "antenna", "state", "observation", "array"};

static sheaf_idmap *map_by_index(sheaf_reindex *map, size_t i) {
  sheaf_idmap *maps[] = {&map->spw,     &map->ddid,  &map->field,       &map->source,
                         &map->antenna, &map->state, &map->observation, &map->array};
  return maps[i];
}

json_t *sheaf_reindex_value(const sheaf_reindex *map) {
  json_t *value = json_object(), *cells = json_array();
  sheaf_reindex copy = *map;
  for (size_t i = 0; i < sizeof kMapNames / sizeof *kMapNames; i++) {
    const sheaf_idmap *one = map_by_index(&copy, i);
    if (one->to) json_object_set_new(value, kMapNames[i], ints_value(one->to, one->n));
  }
  for (size_t i = 0; i < map->nddid; i++) {
    const sheaf_cellsel *c = &map->cell[i];
    json_t *cell = json_pack("{s:i,s:i}", "nchan", c->nchan_in, "ncorr", c->ncorr_in);
    if (c->chan) json_object_set_new(cell, "chan", ints_value(c->chan, (size_t)c->nchan));
    if (c->corr) json_object_set_new(cell, "corr", ints_value(c->corr, (size_t)c->ncorr));
    json_array_append_new(cells, cell);
  }
  json_object_set_new(value, "cells", cells);
  return value;
}

static void cell_from_value(sheaf_cellsel *cell, const json_t *value) {
  size_t n = 0;
  cell->nchan = cell->nchan_in = (int32_t)json_integer_value(json_object_get(value, "nchan"));
  cell->ncorr = cell->ncorr_in = (int32_t)json_integer_value(json_object_get(value, "ncorr"));
  cell->chan = ints_from_value(json_object_get(value, "chan"), &n);
  if (cell->chan) cell->nchan = (int32_t)n;
  cell->corr = ints_from_value(json_object_get(value, "corr"), &n);
  if (cell->corr) cell->ncorr = (int32_t)n;
}

int sheaf_reindex_from_value(sheaf_reindex *map, const json_t *value, sheaf_error *err) {
  *map = (sheaf_reindex){0};
  for (size_t i = 0; i < sizeof kMapNames / sizeof *kMapNames; i++) {
    sheaf_idmap *one = map_by_index(map, i);
    one->to = ints_from_value(json_object_get(value, kMapNames[i]), &one->n);
  }
  const json_t *cells = json_object_get(value, "cells");
  map->nddid = json_array_size(cells);
  map->cell = calloc(map->nddid + 1, sizeof *map->cell);
  if (!map->cell) return no_memory(err);
  for (size_t i = 0; i < map->nddid; i++) cell_from_value(&map->cell[i], json_array_get(cells, i));
  return 0;
}

/* ---- sub-tables ---- */

/* An id column of a sub-table and the map that it follows. Negative ids mean "any" and stay. */
typedef struct id_column {
  const char *name;
  const sheaf_idmap *map;
} id_column;

enum { MOST_ID_COLUMNS = 8 };

typedef struct subset {
  const char *from, *to; /* sub-table directories */
  const sheaf_selected *selected;
  sheaf_table *in;
  int64_t nrow, nkeep;
  int64_t *rows; /* kept, in output order */
  id_column ids[MOST_ID_COLUMNS];
  size_t nid;
  int32_t *value[MOST_ID_COLUMNS]; /* [nrow] */
} subset;

static void subset_close(subset *s) {
  sheaf_table_close(s->in);
  free(s->rows);
  for (size_t i = 0; i < s->nid; i++) free(s->value[i]);
}

/* `always`: the values are wanted even if they stay as they are. */
static int subset_add(subset *s, const char *name, const sheaf_idmap *map, int always,
                      sheaf_error *err) {
  sheaf_column column;
  if ((!map->to && !always) || !sheaf_table_column(s->in, name, &column) || column.array) return 0;
  int32_t *value = malloc(((size_t)s->nrow + 1) * sizeof *value);
  if (!value) return no_memory(err);
  s->ids[s->nid] = (id_column){name, map};
  s->value[s->nid++] = value;
  return sheaf_table_get_ints(s->in, name, 0, s->nrow, value, err);
}

static int subset_open(subset *s, sheaf_error *err) {
  int rc = sheaf_table_open(&s->in, s->from, 0, err);
  if (rc < 0) return rc;
  s->nrow = sheaf_table_nrow(s->in);
  s->rows = malloc(((size_t)s->nrow + 1) * sizeof *s->rows);
  return s->rows ? 0 : no_memory(err);
}

static int id_is_kept(const sheaf_idmap *map, int32_t id) {
  return id < 0 || !map->to || ((size_t)id < map->n && map->to[id] >= 0);
}

static int row_is_kept(const subset *s, int64_t row) {
  for (size_t i = 0; i < s->nid; i++)
    if (!id_is_kept(s->ids[i].map, s->value[i][row])) return 0;
  return 1;
}

/* Group of a spectral window; windows "any" belong to the first. */
static size_t group_of(const sheaf_spwgroups *groups, int32_t spw) {
  for (size_t g = 0; g < groups->ngroup; g++)
    if (in_list(groups->group[g], groups->n[g], spw)) return g;
  return 0;
}

static const int32_t *find_values(const subset *s, const char *name) {
  for (size_t i = 0; i < s->nid; i++)
    if (strcmp(s->ids[i].name, name) == 0) return s->value[i];
  return NULL;
}

static void subset_choose(subset *s, const sheaf_spwgroups *groups) {
  const int32_t *spw = groups ? find_values(s, "SPECTRAL_WINDOW_ID") : NULL;
  s->nkeep = 0;
  for (size_t g = 0; g < (spw ? groups->ngroup : 1); g++)
    for (int64_t row = 0; row < s->nrow; row++)
      if (row_is_kept(s, row) && (!spw || group_of(groups, spw[row]) == g))
        s->rows[s->nkeep++] = row;
}

static int subset_is_whole(const subset *s) {
  if (s->nkeep != s->nrow) return 0;
  for (int64_t i = 0; i < s->nrow; i++)
    if (s->rows[i] != i) return 0;
  return 1;
}

static int rewrite_ids(const subset *s, sheaf_error *err) {
  sheaf_table *out = NULL;
  int32_t *id = malloc(((size_t)s->nkeep + 1) * sizeof *id);
  int rc = id ? sheaf_table_open(&out, s->to, 1, err) : no_memory(err);
  for (size_t k = 0; rc >= 0 && k < s->nid; k++) {
    if (!s->ids[k].map->to) continue;
    for (int64_t i = 0; i < s->nkeep; i++) {
      const int32_t old = s->value[k][s->rows[i]];
      id[i] = old < 0 ? old : s->ids[k].map->to[old];
    }
    if (s->nkeep) rc = sheaf_table_put_ints(out, s->ids[k].name, 0, s->nkeep, id, err);
  }
  if (rc >= 0) rc = sheaf_table_flush(out, err);
  sheaf_table_close(out);
  free(id);
  return rc;
}

/* The files themselves, faster than casacore; not of a table that only refers to rows of another,
 * nor a link to one: the output stands by itself. */
static int copy_whole(const subset *s, sheaf_error *err) {
  char real[PATH_MAX];
  const int rc = sheaf_path_real(s->from, real, sizeof real, err);
  return rc < 0 ? rc : sheaf_tree_copy(real, s->to, err);
}

static int subset_write(subset *s, sheaf_error *err) {
  const int whole = subset_is_whole(s), files = whole && sheaf_table_is_plain(s->in);
  const int rc =
      files ? copy_whole(s, err) : sheaf_table_copy_rows(s->from, s->to, s->rows, s->nkeep, err);
  return rc < 0 || (whole && !s->nid) ? rc : rewrite_ids(s, err);
}

/* POINTING: rows of kept antennas whose TIME lies in a selected range. */
static int choose_times(subset *s, sheaf_error *err) {
  const sheaf_selected *sel = s->selected;
  sheaf_column column;
  if (!sel->ntime || !sheaf_table_column(s->in, "TIME", &column)) return 0;
  double *time_s = malloc(((size_t)s->nrow + 1) * sizeof *time_s);
  if (!time_s) return no_memory(err);
  const int rc = sheaf_table_get_range(s->in, "TIME", 0, s->nrow, time_s, err);
  int64_t kept = 0;
  for (int64_t i = 0; rc >= 0 && i < s->nkeep; i++) {
    int inside = 0;
    for (size_t k = 0; k < sel->ntime; k++)
      inside |=
          time_s[s->rows[i]] >= sel->time_s[2 * k] && time_s[s->rows[i]] <= sel->time_s[2 * k + 1];
    if (inside) s->rows[kept++] = s->rows[i];
  }
  s->nkeep = kept;
  free(time_s);
  return rc;
}

/* Rows of a table that is itself numbered: kept ids in the order of their new numbers, which need
 * not begin with 0 (partition's ddistart). */
static void choose_numbered(subset *s, const sheaf_idmap *map) {
  const int64_t n = s->nrow < (int64_t)map->n ? s->nrow : (int64_t)map->n;
  int32_t first = INT32_MAX;
  s->nkeep = 0;
  for (int64_t row = 0; row < n; row++)
    if (map->to[row] >= 0) {
      first = map->to[row] < first ? map->to[row] : first;
      s->nkeep++;
    }
  for (int64_t row = 0; row < n; row++)
    if (map->to[row] >= 0 && map->to[row] - first < s->nkeep) s->rows[map->to[row] - first] = row;
}

/* The map that numbers the rows of a sub-table; NULL when rows have no number. */
static const sheaf_idmap *numbering(const sheaf_reindex *map, const char *name) {
  const struct {
    const char *name;
    const sheaf_idmap *map;
  } known[] = {{"SPECTRAL_WINDOW", &map->spw}, {"DATA_DESCRIPTION", &map->ddid},
               {"FIELD", &map->field},         {"ANTENNA", &map->antenna},
               {"STATE", &map->state},         {"OBSERVATION", &map->observation}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, name) == 0) return known[i].map;
  return NULL;
}

static int add_id_columns(subset *s, const sheaf_reindex *map, const char *name, int grouped,
                          sheaf_error *err) {
  int rc = 0;
  SHEAF_TRY(subset_add(s, "SPECTRAL_WINDOW_ID", &map->spw, grouped, err));
  SHEAF_TRY(subset_add(s, "FIELD_ID", &map->field, 0, err));
  if (strcmp(name, "ANTENNA") != 0) {
    SHEAF_TRY(subset_add(s, "ANTENNA_ID", &map->antenna, 0, err));
    SHEAF_TRY(subset_add(s, "ANTENNA1", &map->antenna, 0, err));
    SHEAF_TRY(subset_add(s, "ANTENNA2", &map->antenna, 0, err));
  }
  if (strcmp(name, "SOURCE") == 0 || strcmp(name, "FIELD") == 0)
    SHEAF_TRY(subset_add(s, "SOURCE_ID", &map->source, 0, err));
  if (strncmp(name, "ASDM_", 5) != 0 && strcmp(name, "HISTORY") != 0)
    SHEAF_TRY(subset_add(s, "OBSERVATION_ID", &map->observation, 0, err));
done:
  return rc;
}

/* ---- SPECTRAL_WINDOW and POLARIZATION ---- */

static const sheaf_cellsel *cell_of_spw(const sheaf_reindex *map, const int32_t *dd_spw,
                                        int32_t spw) {
  for (size_t i = 0; i < map->nddid; i++)
    if (dd_spw[i] == spw && (!map->ddid.to || map->ddid.to[i] >= 0)) return &map->cell[i];
  return NULL;
}

static int put_scalar(sheaf_table *t, const char *column, int64_t row, double value,
                      sheaf_error *err) {
  const int64_t one = 1;
  if (!sheaf_table_column(t, column, NULL)) return 0;
  return sheaf_table_put_doubles(t, column, row, &value, 1, &one, err);
}

/* Cuts one per-channel column of a window; ends (first, last) and *sum of absolute values describe
 * the result. */
static int cut_channels(sheaf_table *t, const char *column, int64_t row, const sheaf_cellsel *cell,
                        double *ends, double *sum, sheaf_error *err) {
  double *old = NULL, *cut = NULL;
  size_t n = 0;
  if (!sheaf_table_column(t, column, NULL)) return 0;
  int rc = sheaf_table_vary_column(t, column, err);
  if (rc >= 0) rc = sheaf_table_get_doubles(t, column, row, &old, &n, err);
  if (rc >= 0 && n == (size_t)cell->nchan_in) {
    cut = malloc(((size_t)cell->nchan + 1) * sizeof *cut);
    const int64_t shape = cell->nchan;
    double total = 0;
    for (int32_t i = 0; cut && i < cell->nchan; i++) {
      cut[i] = old[cell->chan[i]];
      total += fabs(cut[i]);
    }
    if (cut && cell->nchan) {
      ends[0] = cut[0];
      ends[1] = cut[cell->nchan - 1];
      *sum = total;
    }
    rc = cut ? sheaf_table_put_doubles(t, column, row, cut, 1, &shape, err) : no_memory(err);
  }
  free(old);
  free(cut);
  return rc;
}

static int cut_window(sheaf_table *t, int64_t row, const sheaf_cellsel *cell, sheaf_error *err) {
  double freq_hz[2] = {0, 0}, ends[2], sum, width = 0;
  int rc;
  SHEAF_TRY(cut_channels(t, "CHAN_FREQ", row, cell, freq_hz, &sum, err));
  SHEAF_TRY(cut_channels(t, "CHAN_WIDTH", row, cell, ends, &width, err));
  SHEAF_TRY(cut_channels(t, "EFFECTIVE_BW", row, cell, ends, &sum, err));
  SHEAF_TRY(cut_channels(t, "RESOLUTION", row, cell, ends, &sum, err));
  SHEAF_TRY(put_scalar(t, "NUM_CHAN", row, cell->nchan, err));
  SHEAF_TRY(put_scalar(t, "TOTAL_BANDWIDTH", row, width, err));
  SHEAF_TRY(put_scalar(t, "REF_FREQUENCY", row, fmin(freq_hz[0], freq_hz[1]), err));
done:
  return rc;
}

static int finish_windows(const sheaf_reindex *map, const char *from_ms, const char *path,
                          sheaf_error *err) {
  sheaf_description *descs = NULL;
  sheaf_table *t = NULL;
  int32_t *dd_spw = NULL;
  size_t n;
  int rc;
  SHEAF_TRY(sheaf_descriptions_read(from_ms, &descs, &n, err));
  dd_spw = malloc((n + 1) * sizeof *dd_spw);
  if (!dd_spw) SHEAF_TRY(no_memory(err));
  int32_t most = -1;
  for (size_t i = 0; i < n; i++) {
    dd_spw[i] = descs[i].spw;
    most = descs[i].spw > most ? descs[i].spw : most;
  }
  SHEAF_TRY(sheaf_table_open(&t, path, 1, err));
  for (int32_t spw = 0; spw <= most; spw++) {
    const int64_t row = map->spw.to ? ((size_t)spw < map->spw.n ? map->spw.to[spw] : -1) : spw;
    const sheaf_cellsel *cell = cell_of_spw(map, dd_spw, spw);
    if (row < 0 || !cell) continue;
    if (map->spw.to)
      SHEAF_TRY(sheaf_table_renumber_cells(t, "ASSOC_SPW_ID", "ASSOC_NATURE", row, map->spw.to,
                                           map->spw.n, err));
    if (cell->chan) SHEAF_TRY(cut_window(t, row, cell, err));
  }
  SHEAF_TRY(sheaf_table_flush(t, err));

done:
  sheaf_table_close(t);
  free(descs);
  free(dd_spw);
  return rc;
}

static int cut_polarization(sheaf_table *t, int64_t row, const sheaf_polsel *pol,
                            sheaf_error *err) {
  double *type = NULL, *product = NULL;
  double new_type[16], new_product[32];
  size_t ntype = 0, nproduct = 0;
  const size_t n = pol ? pol->n : 0;
  const int64_t shape[2] = {2, (int64_t)n}, length = (int64_t)n;
  int rc;
  SHEAF_TRY(sheaf_table_vary_column(t, "CORR_TYPE", err));
  SHEAF_TRY(sheaf_table_vary_column(t, "CORR_PRODUCT", err));
  SHEAF_TRY(sheaf_table_get_doubles(t, "CORR_TYPE", row, &type, &ntype, err));
  SHEAF_TRY(sheaf_table_get_doubles(t, "CORR_PRODUCT", row, &product, &nproduct, err));
  for (size_t i = 0; i < n; i++) {
    const size_t at = (size_t)pol->corr[i];
    new_type[i] = at < ntype ? type[at] : 0;
    for (size_t k = 0; k < 2; k++)
      new_product[2 * i + k] = 2 * at + k < nproduct ? product[2 * at + k] : 0;
  }
  SHEAF_TRY(sheaf_table_put_doubles(t, "CORR_TYPE", row, new_type, 1, &length, err));
  SHEAF_TRY(sheaf_table_put_doubles(t, "CORR_PRODUCT", row, new_product, 2, shape, err));
  SHEAF_TRY(put_scalar(t, "NUM_CORR", row, (double)n, err));
done:
  free(type);
  free(product);
  return rc;
}

static int finish_polarizations(const char *path, const sheaf_selected *selected,
                                sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc = sheaf_table_open(&t, path, 1, err);
  const int64_t nrow = rc < 0 ? 0 : sheaf_table_nrow(t);
  for (int64_t row = 0; rc >= 0 && row < nrow; row++)
    rc = cut_polarization(t, row, pol_selected(selected, (int32_t)row), err);
  if (rc >= 0) rc = sheaf_table_flush(t, err);
  sheaf_table_close(t);
  return rc;
}

/* ---- all of them ---- */

static int write_subtable(const sheaf_reindex *map, const char *name, const char *from,
                          const char *to, const sheaf_selected *selected,
                          const sheaf_spwgroups *groups, sheaf_error *err) {
  subset s = {.from = from, .to = to, .selected = selected};
  const sheaf_idmap *number = numbering(map, name);
  int rc;
  SHEAF_TRY(subset_open(&s, err));
  SHEAF_TRY(add_id_columns(&s, map, name, groups != NULL, err));
  subset_choose(&s, groups);
  if (number && number->to) choose_numbered(&s, number);
  if (strcmp(name, "POINTING") == 0) SHEAF_TRY(choose_times(&s, err));
  if (strcmp(name, "FEED") == 0 && s.nrow && !s.nkeep)
    sheaf_log(SHEAF_LOG_WARN, "%s: no feeds belong to the selected antennas and spectral windows",
              from);
  SHEAF_TRY(subset_write(&s, err));
done:
  subset_close(&s);
  return rc;
}

static int finish_subtable(const sheaf_reindex *map, const char *name, const char *from_ms,
                           const char *path, const sheaf_selected *selected, sheaf_error *err) {
  int cut = map->spw.to != NULL;
  for (size_t i = 0; i < map->nddid; i++) cut |= map->cell[i].chan != NULL;
  if (strcmp(name, "SPECTRAL_WINDOW") == 0 && cut) return finish_windows(map, from_ms, path, err);
  if (strcmp(name, "POLARIZATION") == 0 && selected->npol)
    return finish_polarizations(path, selected, err);
  return 0;
}

static int write_subtables(const sheaf_reindex *map, const char *from, const char *to,
                           const sheaf_selected *selected, const sheaf_spwgroups *groups,
                           sheaf_error *err) {
  sheaf_subtable *list = NULL;
  size_t n;
  int rc;
  SHEAF_TRY(sheaf_table_subtables(from, &list, &n, err));
  for (size_t i = 0; i < n; i++) {
    char path[4200];
    if (!list[i].exists) {
      sheaf_log(SHEAF_LOG_WARN, "%s: keyword %s points to %s, which does not exist; left out", from,
                list[i].name, list[i].path);
      continue;
    }
    snprintf(path, sizeof path, "%s/%s", to, list[i].name);
    SHEAF_TRY(write_subtable(map, list[i].name, list[i].path, path, selected, groups, err));
    SHEAF_TRY(finish_subtable(map, list[i].name, from, path, selected, err));
  }
done:
  free(list);
  return rc;
}

typedef struct subtables_work {
  const sheaf_reindex *map;
  const char *from, *to;
  const sheaf_selected *selected;
  const sheaf_spwgroups *groups;
} subtables_work;

static int subtables_isolated(void *user, json_t **value, sheaf_error *err) {
  const subtables_work *w = user;
  (void)value;
  return write_subtables(w->map, w->from, w->to, w->selected, w->groups, err);
}

/* Virtual models name rows of SOURCE, fields, windows and states by number: where these are others
 * now, the models would be those of others, and they go (in CASA they always do). */
static int drop_models(const sheaf_reindex *map, const char *to, const sheaf_spwgroups *groups,
                       sheaf_error *err) {
  char source[4200];
  sheaf_model *models = NULL;
  size_t n = 0;
  if (!map->spw.to && !map->field.to && !map->source.to && !map->state.to && !groups) return 0;
  snprintf(source, sizeof source, "%.4100s/SOURCE", to);
  if (access(source, F_OK) < 0) return 0;
  int rc = sheaf_model_list(source, &models, &n, err);
  free(models);
  if (rc < 0 || n == 0) return rc;
  sheaf_log(SHEAF_LOG_WARN,
            "The virtual models are left out, as windows, fields or sources have other numbers in "
            "the output; setjy or ft make them anew");
  return sheaf_model_clear(source, NULL, 0, err);
}

/* Those in the main table (there is no SOURCE then) do not go into another one at all. */
static int tell_of_main_models(const char *from, sheaf_error *err) {
  sheaf_model *models = NULL;
  size_t n = 0;
  const int rc = sheaf_model_list(from, &models, &n, err);
  free(models);
  if (rc >= 0 && n > 0)
    sheaf_log(SHEAF_LOG_WARN,
              "The virtual models in the main table are left out; setjy or ft make them anew");
  return rc;
}

int sheaf_reindex_subtables(const sheaf_reindex *map, const char *from, const char *to,
                            const sheaf_selected *selected, const sheaf_spwgroups *groups,
                            sheaf_error *err) {
  subtables_work work = {map, from, to, selected, groups};
  int rc = tell_of_main_models(from, err);
  if (rc >= 0) rc = sheaf_isolated(to, subtables_isolated, &work, NULL, err);
  return rc < 0 ? rc : drop_models(map, to, groups, err);
}

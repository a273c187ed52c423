/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/vis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/flag_expression.h"
#include "ms/multims.h"
#include "ms/selection.h"
#include "ms/setup.h"
#include "table/table.h"

enum { SOLUTIONS = 4 };

static int no_memory(sheaf_error *err, const char *path) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its description", path);
}

/* ---- reading ---- */

static int read_names(const char *vis, const char *table, char ***names, size_t *n,
                      sheaf_error *err) {
  char path[4200];
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/%s", vis, table);
  int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  *names = calloc(*n + 1, sizeof **names);
  if (!*names) rc = no_memory(err, path);
  for (size_t i = 0; rc >= 0 && i < *n; i++)
    rc = sheaf_table_get_text(t, "NAME", (int64_t)i, &(*names)[i], err);
  sheaf_table_close(t);
  return rc;
}

/* Whether each row of PROCESSOR is a correlator; no table, or no row: everything is. */
static int read_processors(sheaf_flag_vis *v, sheaf_error *err) {
  char path[4200], *text;
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/PROCESSOR", v->path);
  sheaf_error ignored;
  if (sheaf_table_open(&t, path, 0, &ignored) < 0) return 0;
  int rc = 0;
  v->nprocessor = (size_t)sheaf_table_nrow(t);
  v->processor = calloc(v->nprocessor + 1, 1);
  if (!v->processor) rc = no_memory(err, path);
  for (size_t i = 0; rc >= 0 && i < v->nprocessor; i++) {
    if ((rc = sheaf_table_get_text(t, "TYPE", (int64_t)i, &text, err)) < 0) break;
    v->processor[i] = strcmp(text, "CORRELATOR") == 0;
    free(text);
  }
  sheaf_table_close(t);
  return rc;
}

static int read_members(sheaf_flag_vis *v, sheaf_error *err) {
  int rc = sheaf_mms_members(v->path, &v->member, &v->nmember, err);
  if (rc < 0) return rc;
  v->first = calloc(v->nmember + 1, sizeof *v->first);
  if (!v->first) return no_memory(err, v->path);
  for (size_t i = 0; i < v->nmember; i++) {
    int64_t nrow;
    if ((rc = sheaf_setup_nrow(v->member[i], &nrow, err)) < 0) return rc;
    v->first[i + 1] = v->first[i] + nrow;
  }
  return 0;
}

/* Room for that many of each. */
static int reserve(sheaf_flag_vis *v, sheaf_error *err) {
  v->spw_of = calloc(v->nddid + 1, sizeof *v->spw_of);
  v->pol_of = calloc(v->nddid + 1, sizeof *v->pol_of);
  v->nchan = calloc(v->nspw + 1, sizeof *v->nchan);
  v->ncorr = calloc(v->npol + 1, sizeof *v->ncorr);
  v->corr = calloc(v->npol + 1, sizeof *v->corr);
  return v->spw_of && v->pol_of && v->nchan && v->ncorr && v->corr ? 0 : no_memory(err, v->path);
}

static int put_corrs(sheaf_flag_vis *v, size_t pol, const int32_t *corr, size_t n,
                     sheaf_error *err) {
  v->corr[pol] = malloc((n + 1) * sizeof **v->corr);
  if (!v->corr[pol]) return no_memory(err, v->path);
  v->ncorr[pol] = n;
  memcpy(v->corr[pol], corr, n * sizeof *corr);
  return 0;
}

static int read_setup(sheaf_flag_vis *v, sheaf_error *err) {
  sheaf_setup s;
  int rc = sheaf_setup_read(&s, v->path, err);
  if (rc < 0) return rc;
  v->nddid = s.nddid;
  v->nspw = s.nspw;
  v->npol = s.npol;
  SHEAF_TRY(reserve(v, err));
  memcpy(v->spw_of, s.spw_of, s.nddid * sizeof *v->spw_of);
  memcpy(v->pol_of, s.pol_of, s.nddid * sizeof *v->pol_of);
  for (size_t i = 0; i < s.nspw; i++) v->nchan[i] = s.spw[i].nchan;
  for (size_t i = 0; i < s.npol; i++)
    SHEAF_TRY(put_corrs(v, i, s.pol[i].corr_type, s.pol[i].ncorr, err));
done:
  sheaf_setup_free(&s);
  return rc < 0 ? rc : 0;
}

/* Windows of a calibration table; its solutions are the correlations of one polarization. */
static int read_cal_setup(sheaf_flag_vis *v, sheaf_error *err) {
  static const int32_t sol[SOLUTIONS] = {SHEAF_FLAG_SOL1, SHEAF_FLAG_SOL2, SHEAF_FLAG_SOL3,
                                         SHEAF_FLAG_SOL4};
  char path[4200];
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/SPECTRAL_WINDOW", v->path);
  int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  v->nddid = v->nspw = (size_t)sheaf_table_nrow(t);
  v->npol = 1;
  SHEAF_TRY(reserve(v, err));
  int32_t nchan;
  for (size_t i = 0; i < v->nspw; i++) {
    v->spw_of[i] = (int32_t)i;
    SHEAF_TRY(sheaf_table_get_ints(t, "NUM_CHAN", (int64_t)i, 1, &nchan, err));
    v->nchan[i] = nchan;
  }
  SHEAF_TRY(put_corrs(v, 0, sol, SOLUTIONS, err));
done:
  sheaf_table_close(t);
  return rc < 0 ? rc : 0;
}

static int is_calibration(const char *path, sheaf_error *err) {
  const int spw = sheaf_setup_has_column(path, "SPECTRAL_WINDOW_ID", err);
  if (spw <= 0) return spw;
  const int ddid = sheaf_setup_has_column(path, "DATA_DESC_ID", err);
  if (ddid < 0) return ddid;
  const int cparam = sheaf_setup_has_column(path, "CPARAM", err);
  const int fparam = sheaf_setup_has_column(path, "FPARAM", err);
  return !ddid && (cparam > 0 || fparam > 0);
}

int sheaf_flag_vis_read(sheaf_flag_vis *v, const char *path, sheaf_error *err) {
  *v = (sheaf_flag_vis){0};
  int rc = is_calibration(path, err);
  if (rc < 0) return rc;
  v->cal = rc;
  if (!(v->path = strdup(path))) SHEAF_TRY(no_memory(err, path));
  if (!v->cal) SHEAF_TRY(sheaf_ms_check(path, err));
  SHEAF_TRY(read_members(v, err));
  SHEAF_TRY(v->cal ? read_cal_setup(v, err) : read_setup(v, err));
  SHEAF_TRY(read_names(path, "FIELD", &v->field, &v->nfield, err));
  SHEAF_TRY(read_names(path, "ANTENNA", &v->antenna, &v->nantenna, err));
  if (!v->cal) SHEAF_TRY(read_processors(v, err));
  rc = 0;
done:
  if (rc < 0) sheaf_flag_vis_free(v);
  return rc;
}

static void free_texts(char **list, size_t n) {
  for (size_t i = 0; list && i < n; i++) free(list[i]);
  free(list);
}

void sheaf_flag_vis_free(sheaf_flag_vis *v) {
  free_texts(v->member, v->nmember);
  free_texts(v->field, v->nfield);
  free_texts(v->antenna, v->nantenna);
  for (size_t i = 0; v->corr && i < v->npol; i++) free(v->corr[i]);
  free(v->corr);
  free(v->ncorr);
  free(v->nchan);
  free(v->spw_of);
  free(v->pol_of);
  free(v->first);
  free(v->processor);
  free(v->path);
  *v = (sheaf_flag_vis){0};
}

/* ---- as a value ---- */

static json_t *ints_of(const int32_t *list, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(array, json_integer(list[i]));
  return array;
}

json_t *sheaf_flag_vis_value(const sheaf_flag_vis *v) {
  json_t *members = json_array(), *first = json_array(), *nchan = json_array(),
         *corr = json_array();
  for (size_t i = 0; i < v->nmember; i++)
    json_array_append_new(members, json_string(v->member[i]));
  for (size_t i = 0; i <= v->nmember; i++) json_array_append_new(first, json_integer(v->first[i]));
  for (size_t i = 0; i < v->nspw; i++) json_array_append_new(nchan, json_integer(v->nchan[i]));
  for (size_t i = 0; i < v->npol; i++)
    json_array_append_new(corr, ints_of(v->corr[i], v->ncorr[i]));
  return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "path", v->path, "cal", v->cal,
                   "members", members, "first", first, "spw_of", ints_of(v->spw_of, v->nddid),
                   "pol_of", ints_of(v->pol_of, v->nddid), "nchan", nchan, "corr", corr);
}

static void get_ints(const json_t *array, int32_t *to) {
  size_t i;
  json_t *item;
  json_array_foreach(array, i, item) to[i] = (int32_t)json_integer_value(item);
}

static int get_members(sheaf_flag_vis *v, const json_t *value, sheaf_error *err) {
  const json_t *members = json_object_get(value, "members"), *first = json_object_get(value, "first");
  size_t i;
  json_t *item;
  v->member = calloc(json_array_size(members) + 1, sizeof *v->member);
  v->first = calloc(json_array_size(first) + 1, sizeof *v->first);
  if (!v->member || !v->first) return no_memory(err, v->path);
  json_array_foreach(members, i, item) {
    if (!(v->member[i] = strdup(json_string_value(item)))) return no_memory(err, v->path);
    v->nmember = i + 1;
  }
  json_array_foreach(first, i, item) v->first[i] = json_integer_value(item);
  return 0;
}

int sheaf_flag_vis_from_value(sheaf_flag_vis *v, const json_t *value, sheaf_error *err) {
  const json_t *corr = json_object_get(value, "corr"), *nchan = json_object_get(value, "nchan");
  const char *path = json_string_value(json_object_get(value, "path"));
  size_t i;
  json_t *item;
  int rc = 0;
  *v = (sheaf_flag_vis){.nddid = json_array_size(json_object_get(value, "spw_of")),
                        .nspw = json_array_size(nchan),
                        .npol = json_array_size(corr)};
  v->cal = (int)json_integer_value(json_object_get(value, "cal"));
  if (!(v->path = strdup(path ? path : ""))) SHEAF_TRY(no_memory(err, "units"));
  SHEAF_TRY(get_members(v, value, err));
  SHEAF_TRY(reserve(v, err));
  get_ints(json_object_get(value, "spw_of"), v->spw_of);
  get_ints(json_object_get(value, "pol_of"), v->pol_of);
  json_array_foreach(nchan, i, item) v->nchan[i] = json_integer_value(item);
  json_array_foreach(corr, i, item) {
    v->ncorr[i] = json_array_size(item);
    v->corr[i] = calloc(v->ncorr[i] + 1, sizeof **v->corr);
    if (!v->corr[i]) SHEAF_TRY(no_memory(err, v->path));
    get_ints(item, v->corr[i]);
  }
done:
  if (rc < 0) sheaf_flag_vis_free(v);
  return rc < 0 ? rc : 0;
}

/* ---- questions ---- */

int32_t sheaf_flag_vis_antenna(const sheaf_flag_vis *v, const char *name) {
  for (size_t i = 0; i < v->nantenna; i++)
    if (strcmp(v->antenna[i], name) == 0) return (int32_t)i;
  return -1;
}

int sheaf_flag_vis_corrs(const sheaf_flag_vis *v, int32_t **list, size_t *n, sheaf_error *err) {
  *n = 0;
  for (size_t i = 0; i < v->npol; i++) *n += v->ncorr[i];
  if (!(*list = malloc((*n + 1) * sizeof **list))) return no_memory(err, v->path);
  *n = 0;
  for (size_t i = 0; i < v->npol; i++)
    for (size_t k = 0; k < v->ncorr[i]; k++) (*list)[(*n)++] = v->corr[i][k];
  return 0;
}

int sheaf_flag_vis_has(const sheaf_flag_vis *v, const char *column, sheaf_error *err) {
  return sheaf_setup_has_column(v->nmember ? v->member[0] : v->path, column, err);
}

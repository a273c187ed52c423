/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/virtual.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "flag/modelstore.h"
#include "kernel/components.h"
#include "table/components.h"

enum { ONE_JY = -1, COLUMN = -2 }; /* what a row has, besides a number of the models */
static const int64_t most_part = (int64_t)1 << 20;

typedef struct source {
  sheaf_modelstore_sky *sky;
  sheaf_colreader uvw;
  int uvw_open;
} source;

struct sheaf_flag_virtual {
  const sheaf_flag_vis *vis;
  source *source; /* [nmember] */
  void *memory;
  size_t size;
};

/* ---- opening ---- */

int sheaf_flag_virtual_open(sheaf_flag_virtual **models, const sheaf_flag_vis *vis,
                            sheaf_error *err) {
  sheaf_flag_virtual *v = *models = calloc(1, sizeof *v);
  if (v) v->source = calloc(vis->nmember + 1, sizeof *v->source);
  if (!v || !v->source) {
    free(v);
    *models = NULL;
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for models", vis->path);
  }
  v->vis = vis;
  return 0;
}

void sheaf_flag_virtual_close(sheaf_flag_virtual *v) {
  if (!v) return;
  for (size_t i = 0; i < v->vis->nmember; i++) {
    if (v->source[i].uvw_open) sheaf_colreader_close(&v->source[i].uvw);
    sheaf_modelstore_close(v->source[i].sky);
  }
  free(v->source);
  free(v->memory);
  free(v);
}

static int sky_of(sheaf_flag_virtual *v, size_t member, const sheaf_skymodel **sky,
                  sheaf_error *err) {
  source *s = &v->source[member];
  const int rc =
      s->sky ? 0 : sheaf_modelstore_open(&s->sky, v->vis->member[member], v->vis->member[0], err);
  *sky = rc < 0 ? NULL : sheaf_modelstore_model(s->sky);
  return rc;
}

static int is_named(const json_t *fields, int32_t field) {
  size_t i;
  json_t *id;
  if (!fields) return 1;
  json_array_foreach((json_t *)fields, i, id) if (json_integer_value(id) == field) return 1;
  return 0;
}

int sheaf_flag_virtual_check(sheaf_flag_virtual *v, const json_t *fields, sheaf_error *err) {
  int any = 0;
  for (size_t m = 0; m < v->vis->nmember; m++) {
    const sheaf_skymodel *sky;
    size_t n;
    int rc = sky_of(v, m, &sky, err);
    if (rc < 0) return rc;
    const int32_t *field = sheaf_skymodel_fields(sky, &n);
    any |= n > 0;
    for (size_t i = 0; i < n; i++)
      if (is_named(fields, field[i]) &&
          (rc = sheaf_skymodel_check(sky, v->vis->member[m], field[i], err)) < 0)
        return rc;
  }
  return any;
}

/* ---- rows ---- */

/* Correlations of a source of 1 Jy. */
static void put_one_jy(const sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, float *to) {
  const int32_t *corr = v->vis->corr[r->pol];
  for (int64_t i = 0; i < r->nchan * r->ncorr; i++) {
    const int32_t code = corr[i % r->ncorr]; /* RL 6, LR 7, XY 10, YX 11 */
    to[2 * i] = code == 6 || code == 7 || code == 10 || code == 11 ? 0 : 1;
    to[2 * i + 1] = 0;
  }
}

static int read_uvw(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, int64_t from,
                    int64_t n, double *uvw, sheaf_error *err) {
  const sheaf_shape shape = {.ndim = 1, .axis = {3}};
  source *s = &v->source[r->member];
  int rc = s->uvw_open ? 0 : sheaf_colreader_open(&s->uvw, r->table, "UVW", err);
  if (rc < 0) return rc;
  s->uvw_open = 1;
  if (s->uvw.type != SHEAF_DOUBLE)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: UVW is of an unusual type",
                      v->vis->member[r->member]);
  rc = sheaf_colreader_read(&s->uvw, r->row + from, n, &shape, uvw, err);
  return rc >= 0 && r->many && s->uvw.tiles ? sheaf_tiles_finish(s->uvw.tiles, err) : rc;
}

/* What a row has: a number, ONE_JY or COLUMN. */
static int find(const sheaf_flag_virtual_rows *r, const sheaf_skymodel *sky,
                const sheaf_sky_place *place, int *which, sheaf_error *err) {
  int number;
  int rc = sheaf_skymodel_find(sky, place, &number, err);
  if (rc < 0) return rc;
  *which = number >= 0 ? number : number == SHEAF_SKYMODEL_NONE && r->column ? COLUMN : ONE_JY;
  return 0;
}

/* Rows of one kind: from.., at uvw[n][3]. */
typedef struct run {
  int64_t from, n;
  int which;
  double *uvw;
  float *model; /* of the first row */
} run;

static void repeat(const run *k, size_t cell) {
  for (int64_t i = 1; i < k->n; i++)
    memcpy(k->model + (size_t)i * cell, k->model, cell * sizeof *k->model);
}

/* How much is sampled at once where there is no table. */
static sheaf_sky_part first_part(size_t n, int64_t nchan, size_t ncorr) {
  const int64_t some = sheaf_memory_budget() / (64 * (int64_t)sheaf_threads_all());
  const size_t most = (size_t)(some < most_part ? some : most_part);
  sheaf_sky_part p = {.n = n, .nchan = nchan};
  while (p.n > 1 && sheaf_model_part_bytes(p.n, p.nchan, ncorr) > most) p.n = (p.n + 1) / 2;
  while (p.nchan > 1 && sheaf_model_part_bytes(p.n, p.nchan, ncorr) > most)
    p.nchan = (p.nchan + 1) / 2;
  return p;
}

/* Adds a part of the components to a part of the channels. */
static int add_part(const sheaf_skymodel *sky, const sheaf_sky_view *view,
                    const sheaf_sky_part *part, const run *k, size_t cell, sheaf_error *err) {
  static const double centre[3] = {0, 0, 0};
  sheaf_model_part sampled;
  const int rc = sheaf_model_part_make(&sampled, sky, k->which, view, part, err);
  if (rc < 0) return rc;
  const int varies = sheaf_components_vary(&sampled.setup);
  float *to = k->model + (size_t)part->chan * view->ncorr * 2;
  for (int64_t i = 0; i < k->n; i++)
    sheaf_components_add(&sampled.setup, varies ? k->uvw + 3 * i : centre, to + (size_t)i * cell);
  sheaf_model_part_free(&sampled);
  return 0;
}

/* Without a table. */
static int evaluate_parts(const sheaf_skymodel *sky, const sheaf_sky_view *view, size_t n,
                          int64_t nchan, const run *k, sheaf_error *err) {
  const size_t cell = (size_t)nchan * view->ncorr * 2;
  const sheaf_sky_part size = first_part(n, nchan, view->ncorr);
  int rc = 0;
  memset(k->model, 0, (size_t)k->n * cell * sizeof *k->model);
  for (size_t first = 0; rc >= 0 && first < n; first += size.n)
    for (int64_t chan = 0; rc >= 0 && chan < nchan; chan += size.nchan) {
      const sheaf_sky_part part = {first, n - first < size.n ? n - first : size.n, chan,
                                   nchan - chan < size.nchan ? nchan - chan : size.nchan};
      rc = add_part(sky, view, &part, k, cell, err);
    }
  return rc;
}

static int evaluate(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r,
                    const sheaf_sky_view *view, const run *k, sheaf_error *err) {
  sheaf_modelstore_sky *store = v->source[r->member].sky;
  const sheaf_skymodel *sky = sheaf_modelstore_model(store);
  const sheaf_model_table *t = NULL;
  const size_t cell = (size_t)(r->nchan * r->ncorr) * 2;
  size_t n;
  int64_t nchan;
  int rc = sheaf_skymodel_size(sky, k->which, view, &n, &nchan, err);
  if (rc < 0) return rc;
  if (nchan != r->nchan || (int64_t)view->ncorr != r->ncorr)
    return sheaf_fail(
        err, SHEAF_ERR_DATA,
        "%s: cells of row %lld have %lld channels and %lld correlations, their window and "
        "setup %lld and %zu",
        v->vis->member[r->member], (long long)r->row[0], (long long)r->nchan, (long long)r->ncorr,
        (long long)nchan, view->ncorr);
  SHEAF_TRY(sheaf_modelstore_table(store, k->which, view, &t, err));
  if (!t || t->varies) SHEAF_TRY(read_uvw(v, r, k->from, k->n, k->uvw, err));
  if (!t) {
    rc = evaluate_parts(sky, view, n, nchan, k, err);
  } else if (t->varies) {
    for (int64_t i = 0; i < k->n; i++)
      sheaf_components_row(&t->part.setup, k->uvw + 3 * i, k->model + (size_t)i * cell);
  } else if (k->n > 0) {
    memcpy(k->model, t->same, cell * sizeof *k->model);
    repeat(k, cell);
  }
done:
  sheaf_modelstore_give(t);
  return rc;
}

static int fill_run(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, int32_t field,
                    const run *k, sheaf_error *err) {
  const sheaf_sky_view view = {v->vis->member[r->member], field, r->spw, v->vis->corr[r->pol],
                               v->vis->ncorr[r->pol]};
  if (k->which == COLUMN) return 0;
  if (k->which >= 0) return evaluate(v, r, &view, k, err);
  put_one_jy(v, r, k->model);
  repeat(k, (size_t)(r->nchan * r->ncorr) * 2);
  return 0;
}

static void *reserve(sheaf_flag_virtual *v, size_t size, sheaf_error *err) {
  if (size > v->size) {
    free(v->memory);
    v->memory = malloc(size);
    v->size = v->memory ? size : 0;
  }
  if (!v->memory) sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for models", v->vis->path);
  return v->memory;
}

/* Ids of the rows: those that the caller has, else what the column says, in `room`. */
static int ids_of(const sheaf_flag_virtual_rows *r, const char *column, const int32_t **ids,
                  int32_t *room, sheaf_error *err) {
  if (*ids) return 0;
  *ids = room;
  return sheaf_table_get_rows(r->table, column, r->row, r->n, room, err);
}

int sheaf_flag_virtual_fill(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, float *model,
                            sheaf_error *err) {
  const size_t n = (size_t)r->n;
  const sheaf_skymodel *sky;
  int rc = 0;
  double *uvw = reserve(v, n * (3 * sizeof *uvw + 3 * sizeof(int32_t)) + 8, err);
  if (!uvw) return SHEAF_ERR_NOMEM;
  int32_t *room = (int32_t *)(uvw + 3 * n);
  const int32_t *field = r->field, *scan = r->scan, *state = r->state;
  SHEAF_TRY(sky_of(v, r->member, &sky, err));
  SHEAF_TRY(ids_of(r, "FIELD_ID", &field, room, err));
  SHEAF_TRY(ids_of(r, "SCAN_NUMBER", &scan, room + n, err));
  SHEAF_TRY(ids_of(r, "STATE_ID", &state, room + 2 * n, err));
  for (size_t i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && field[k] == field[i] && scan[k] == scan[i] && state[k] == state[i];)
      k++;
    const sheaf_sky_place place = {v->vis->member[r->member], field[i], r->spw, scan[i], state[i]};
    run these = {(int64_t)i, (int64_t)(k - i), 0, uvw,
                 model + i * (size_t)(r->nchan * r->ncorr) * 2};
    SHEAF_TRY(find(r, sky, &place, &these.which, err));
    SHEAF_TRY(fill_run(v, r, field[i], &these, err));
  }
done:
  return rc < 0 ? rc : 0;
}

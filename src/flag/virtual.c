/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/virtual.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/components.h"
#include "table/components.h"

enum { ONE_JY = -1, COLUMN = -2, MOST = 64 }; /* what a row has, besides an entry */
static const size_t most_bytes = (size_t)16 << 20;

/* Components of a member, as they are seen from a field in a window. */
typedef struct entry {
  size_t member;
  int number;
  int32_t field, spw, pol;
  sheaf_sky_component *sky;
  double *freq_hz;
  sheaf_component *component;
  sheaf_component_setup setup;
  int varies;
  float *same; /* [nchan][ncorr][2] where it does not */
  size_t bytes;
} entry;

typedef struct source {
  sheaf_skymodel *sky;
  sheaf_colreader uvw;
  int uvw_open;
} source;

struct sheaf_flag_virtual {
  const sheaf_flag_vis *vis;
  source *source; /* [nmember] */
  entry entry[MOST];
  int nentry;
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

static void forget(sheaf_flag_virtual *v) {
  for (int i = 0; i < v->nentry; i++) {
    entry *e = &v->entry[i];
    sheaf_sky_components_free(e->sky, e->setup.n, e->freq_hz);
    free(e->component);
    free(e->same);
  }
  v->nentry = 0;
}

void sheaf_flag_virtual_close(sheaf_flag_virtual *v) {
  if (!v) return;
  forget(v);
  for (size_t i = 0; i < v->vis->nmember; i++) {
    if (v->source[i].uvw_open) sheaf_colreader_close(&v->source[i].uvw);
    sheaf_skymodel_close(v->source[i].sky);
  }
  free(v->source);
  free(v->memory);
  free(v);
}

static int sky_of(sheaf_flag_virtual *v, size_t member, sheaf_skymodel **sky, sheaf_error *err) {
  source *s = &v->source[member];
  const int rc =
      s->sky ? 0 : sheaf_skymodel_open(&s->sky, v->vis->member[member], v->vis->member[0], err);
  *sky = s->sky;
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
    sheaf_skymodel *sky;
    size_t n;
    int rc = sky_of(v, m, &sky, err);
    if (rc < 0) return rc;
    const int32_t *field = sheaf_skymodel_fields(sky, &n);
    any |= n > 0;
    for (size_t i = 0; i < n; i++)
      if (is_named(fields, field[i]) && (rc = sheaf_skymodel_check(sky, field[i], err)) < 0)
        return rc;
  }
  return any;
}

/* ---- entries ---- */

/* The kernel's form of the components. */
static int finish_entry(entry *e, int64_t nchan, int64_t ncorr, size_t n, sheaf_error *err) {
  const size_t cell = (size_t)(nchan * ncorr) * 2;
  e->component = calloc(n + 1, sizeof *e->component);
  e->same = malloc((cell + 1) * sizeof *e->same);
  e->setup = (sheaf_component_setup){e->component, n, e->freq_hz, nchan, ncorr};
  if (!e->component || !e->same)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a virtual model");
  for (size_t i = 0; i < n; i++) {
    const sheaf_sky_component *from = &e->sky[i];
    sheaf_component *to = &e->component[i];
    *to = (sheaf_component){.shape = (sheaf_component_shape)from->shape,
                            .major_rad = from->major_rad,
                            .minor_rad = from->minor_rad,
                            .angle_rad = from->angle_rad,
                            .flux = from->flux};
    memcpy(to->rotation, from->rotation, sizeof to->rotation);
    memcpy(to->path, from->path, sizeof to->path);
  }
  e->bytes = cell * (sizeof(float) + n * sizeof(double));
  e->varies = sheaf_components_vary(&e->setup);
  if (!e->varies) sheaf_components_row(&e->setup, (const double[3]){0, 0, 0}, e->same);
  return 0;
}

static int make_entry(sheaf_flag_virtual *v, entry *e, const sheaf_flag_virtual_rows *r,
                      sheaf_error *err) {
  const sheaf_sky_view view = {e->field, e->spw, v->vis->corr[e->pol], v->vis->ncorr[e->pol]};
  sheaf_skymodel *sky = v->source[e->member].sky;
  size_t n;
  int64_t nchan;
  int rc = sheaf_skymodel_components(sky, e->number, &view, &e->sky, &n, &e->freq_hz, &nchan, err);
  if (rc < 0) return rc;
  e->setup.n = n;
  if (nchan != r->nchan || (int64_t)view.ncorr != r->ncorr)
    return sheaf_fail(
        err, SHEAF_ERR_DATA,
        "%s: cells of row %lld have %lld channels and %lld correlations, their window and "
        "setup %lld and %zu",
        v->vis->member[r->member], (long long)r->row[0], (long long)r->nchan, (long long)r->ncorr,
        (long long)nchan, view.ncorr);
  return finish_entry(e, nchan, r->ncorr, n, err);
}

/* The number of the entry, made where there is none yet. */
static int entry_of(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, int32_t field,
                    int number, int *which, sheaf_error *err) {
  for (*which = 0; *which < v->nentry; ++*which) {
    const entry *e = &v->entry[*which];
    if (e->member == r->member && e->number == number && e->field == field && e->spw == r->spw &&
        e->pol == r->pol)
      return 0;
  }
  if (v->nentry == MOST) forget(v);
  *which = v->nentry++;
  v->entry[*which] =
      (entry){.member = r->member, .number = number, .field = field, .spw = r->spw, .pol = r->pol};
  return make_entry(v, &v->entry[*which], r, err);
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

/* What a row has: an entry, ONE_JY or COLUMN. */
static int find(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r,
                const sheaf_sky_place *place, int *which, sheaf_error *err) {
  int number;
  int rc = sheaf_skymodel_find(v->source[r->member].sky, place, &number, err);
  if (rc < 0) return rc;
  *which = number == SHEAF_SKYMODEL_NONE && r->column ? COLUMN : ONE_JY;
  return number < 0 ? 0 : entry_of(v, r, place->field, number, which, err);
}

/* Rows from.. that have the same. */
static int fill_run(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, int64_t from,
                    int64_t n, int which, double *uvw, float *model, sheaf_error *err) {
  const size_t cell = (size_t)(r->nchan * r->ncorr) * 2;
  float *to = model + (size_t)from * cell;
  if (which == COLUMN) return 0;
  const entry *e = which >= 0 ? &v->entry[which] : NULL;
  if (e && e->varies) {
    const int rc = read_uvw(v, r, from, n, uvw, err);
    for (int64_t i = 0; rc >= 0 && i < n; i++)
      sheaf_components_row(&e->setup, uvw + 3 * i, to + (size_t)i * cell);
    return rc;
  }
  if (e)
    memcpy(to, e->same, cell * sizeof *to);
  else
    put_one_jy(v, r, to);
  for (int64_t i = 1; i < n; i++) memcpy(to + (size_t)i * cell, to, cell * sizeof *to);
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

static void bound(sheaf_flag_virtual *v) {
  size_t bytes = 0;
  for (int i = 0; i < v->nentry; i++) bytes += v->entry[i].bytes;
  if (bytes > most_bytes) forget(v);
}

int sheaf_flag_virtual_fill(sheaf_flag_virtual *v, const sheaf_flag_virtual_rows *r, float *model,
                            sheaf_error *err) {
  const size_t n = (size_t)r->n;
  sheaf_skymodel *sky;
  int rc = 0, which;
  double *uvw = reserve(v, n * (3 * sizeof *uvw + 3 * sizeof(int32_t)) + 8, err);
  if (!uvw) return SHEAF_ERR_NOMEM;
  int32_t *room = (int32_t *)(uvw + 3 * n);
  const int32_t *field = r->field, *scan = r->scan, *state = r->state;
  bound(v);
  SHEAF_TRY(sky_of(v, r->member, &sky, err));
  SHEAF_TRY(ids_of(r, "FIELD_ID", &field, room, err));
  SHEAF_TRY(ids_of(r, "SCAN_NUMBER", &scan, room + n, err));
  SHEAF_TRY(ids_of(r, "STATE_ID", &state, room + 2 * n, err));
  for (size_t i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && field[k] == field[i] && scan[k] == scan[i] && state[k] == state[i];)
      k++;
    const sheaf_sky_place place = {field[i], r->spw, scan[i], state[i]};
    SHEAF_TRY(find(v, r, &place, &which, err));
    SHEAF_TRY(fill_run(v, r, (int64_t)i, (int64_t)(k - i), which, uvw, model, err));
  }
done:
  return rc < 0 ? rc : 0;
}

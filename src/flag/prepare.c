/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/prepare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/recsort.h"
#include "base/value.h"
#include "flag/records.h"
#include "flag/rowscan.h"
#include "kernel/flag_rules.h"
#include "ms/colreader.h"
#include "table/sky.h"

static int no_memory(const sheaf_flag_vis *vis, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", vis->path);
}

/* ---- selected rows ---- */

typedef struct finding {
  const sheaf_flag_vis *vis;
  const sheaf_flag_agents *agents;
  int found;
} finding;

enum { FOUND = -1000 }; /* ends a scan; no code of an error */

static int look_for_row(void *user, const sheaf_flag_rows *r, sheaf_error *err) {
  finding *f = user;
  uint8_t *keep = malloc((size_t)r->n + 1);
  if (!keep) return no_memory(f->vis, err);
  int64_t n = 0;
  for (size_t i = 0; n == 0 && i < f->agents->n; i++)
    n = sheaf_flag_filter_test(&f->agents->agent[i].filter, f->vis, r, keep, err);
  free(keep);
  f->found = n > 0;
  return n > 0 ? FOUND : (int)n;
}

int sheaf_flag_selects(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                       sheaf_error *err) {
  finding f = {.vis = vis, .agents = agents};
  for (size_t i = 0; i < agents->n; i++)
    if (sheaf_flag_filter_all(&agents->agent[i].filter)) return 1;
  const unsigned columns = agents->columns & ~(unsigned)SHEAF_ROWS_FLAG_ROW;
  for (size_t i = 0; !f.found && i < vis->nmember; i++) {
    const int rc = sheaf_flag_row_scan(vis, i, 0, -1, columns, look_for_row, &f, err);
    if (rc < 0 && !f.found) return rc;
  }
  return f.found;
}

/* ---- scans ---- */

typedef struct limits {
  sheaf_flag_scan_limits *list;
  size_t n, room, last;
} limits;

static int widen(limits *l, int32_t scan, double start, double stop) {
  size_t i = l->last;
  if (i >= l->n || l->list[i].scan != scan)
    for (i = 0; i < l->n && l->list[i].scan != scan;) i++;
  l->last = i;
  if (i == l->n) {
    if (l->n == l->room) {
      const size_t room = 2 * l->room + 64;
      sheaf_flag_scan_limits *more = realloc(l->list, room * sizeof *more);
      if (!more) return 0;
      l->list = more;
      l->room = room;
    }
    l->list[l->n++] = (sheaf_flag_scan_limits){scan, start, stop};
    return 1;
  }
  if (start < l->list[i].start) l->list[i].start = start;
  if (stop > l->list[i].stop) l->list[i].stop = stop;
  return 1;
}

static json_t *list_of(const limits *l) {
  json_t *list = json_array();
  for (size_t i = 0; i < l->n; i++) {
    json_array_append_new(list, json_integer(l->list[i].scan));
    json_array_append_new(list, json_real(l->list[i].start));
    json_array_append_new(list, json_real(l->list[i].stop));
  }
  return list;
}

typedef struct scanning {
  const sheaf_flag_vis *vis;
  const sheaf_flag_filter *filter; /* NULL: all rows */
  limits limits;
} scanning;

static int see_scans(void *user, const sheaf_flag_rows *r, sheaf_error *err) {
  scanning *s = user;
  uint8_t *keep = malloc((size_t)r->n + 1);
  if (!keep) return no_memory(s->vis, err);
  int64_t n = 0;
  if (s->filter)
    n = sheaf_flag_filter_test(s->filter, s->vis, r, keep, err);
  else
    memset(keep, 1, (size_t)(n = r->n));
  for (int64_t i = 0; n > 0 && i < r->n; i++)
    if (keep[i] && !widen(&s->limits, r->scan[i], r->time[i], r->time[i]))
      n = no_memory(s->vis, err);
  free(keep);
  return n < 0 ? (int)n : 0;
}

int sheaf_flag_scan_table(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                          size_t number, json_t **scans, sheaf_error *err) {
  const sheaf_flag_filter *filter = &agents->agent[number].filter;
  scanning s = {.vis = vis, .filter = sheaf_flag_filter_all(filter) ? NULL : filter};
  if (agents->n > 1) s.filter = NULL;
  const unsigned columns = (s.filter ? agents->columns & ~(unsigned)SHEAF_ROWS_FLAG_ROW : 0) |
                           SHEAF_ROWS_SCAN | SHEAF_ROWS_TIME;
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < vis->nmember; i++)
    rc = sheaf_flag_row_scan(vis, i, 0, -1, columns, see_scans, &s, err);
  *scans = rc < 0 ? NULL : list_of(&s.limits);
  free(s.limits.list);
  return rc < 0 ? rc : 0;
}

void sheaf_flag_scan_merge(json_t *scans, const json_t *more) {
  limits l = {0};
  const json_t *lists[2] = {scans, more};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i + 2 < json_array_size(lists[k]); i += 3)
      widen(&l, (int32_t)json_integer_value(json_array_get(lists[k], i)),
            json_number_value(json_array_get(lists[k], i + 1)),
            json_number_value(json_array_get(lists[k], i + 2)));
  json_t *merged = list_of(&l);
  json_array_clear(scans);
  json_array_extend(scans, merged);
  json_decref(merged);
  free(l.list);
}

/* ---- shadows ---- */

/* A walk over the rows in CASA's order. */
typedef struct shadowing {
  const sheaf_flag_vis *vis;
  sheaf_sky *sky;
  double tolerance;
  size_t n; /* antennas */
  double *diameter, (*uvw)[3];
  double uvw_time; /* that of uvw; NAN: none */
  int32_t uvw_field;
  uint8_t *have, *set; /* pairs seen; antennas shadowed */
  double last;         /* TIME_CENTROID of the row before */
  int begun;
  json_t *out;
  /* rows of one buffer (place and time) */
  sheaf_flag_record *row;
  double (*baseline)[3];
  int64_t nrow, room;
  sheaf_table **table;
  sheaf_colreader *reader;
} shadowing;

static int open_sky(shadowing *s, const json_t *agent, sheaf_error *err) {
  const json_t *added = json_object_get(agent, "addantenna"), *one;
  size_t i;
  int rc = sheaf_sky_open(&s->sky, s->vis->path, err);
  json_array_foreach((json_t *)added, i, one) {
    double p[3];
    for (size_t k = 0; k < 3; k++) p[k] = json_number_value(json_array_get(one, k + 1));
    if (rc >= 0) rc = sheaf_sky_add(s->sky, json_number_value(json_array_get(one, 0)), p, err);
  }
  if (rc < 0) return rc;
  s->n = sheaf_sky_nantenna(s->sky);
  s->tolerance = sheaf_value_double(agent, "tolerance", 0);
  s->diameter = calloc(s->n + 1, sizeof *s->diameter);
  s->uvw = calloc(s->n + 1, sizeof *s->uvw);
  s->have = calloc(s->n * s->n + 1, 1);
  s->set = calloc(s->n + 1, 1);
  s->table = calloc(s->vis->nmember + 1, sizeof(sheaf_table *));
  s->reader = calloc(s->vis->nmember + 1, sizeof *s->reader);
  if (!s->diameter || !s->uvw || !s->have || !s->set || !s->table || !s->reader)
    return no_memory(s->vis, err);
  for (i = 0; i < s->n; i++) s->diameter[i] = sheaf_sky_diameter(s->sky, i);
  s->uvw_time = NAN;
  return 0;
}

static void close_sky(shadowing *s) {
  for (size_t i = 0; s->table && s->reader && i < s->vis->nmember; i++)
    if (s->table[i]) {
      sheaf_colreader_close(&s->reader[i]);
      sheaf_table_close(s->table[i]);
    }
  free(s->table);
  free(s->reader);
  free(s->diameter);
  free(s->uvw);
  free(s->have);
  free(s->set);
  free(s->row);
  free(s->baseline);
  json_decref(s->out);
  sheaf_sky_close(s->sky);
}

/* UVW of the buffer's rows: runs of ascending rows of one member at a time. */
static int read_baselines(shadowing *s, sheaf_error *err) {
  const sheaf_shape shape = {.ndim = 1, .axis = {3}};
  int rc = 0;
  for (int64_t i = 0, n; rc >= 0 && i < s->nrow; i += n) {
    const size_t m = (size_t)s->row[i].member;
    int64_t rows[512];
    for (n = 0; n < 512 && i + n < s->nrow && (size_t)s->row[i + n].member == m; n++)
      rows[n] = s->row[i + n].row;
    if (!s->table[m]) {
      rc = sheaf_table_open(&s->table[m], s->vis->member[m], 0, err);
      if (rc >= 0) rc = sheaf_colreader_open(&s->reader[m], s->table[m], "UVW", err);
    }
    if (rc >= 0 && s->reader[m].type != SHEAF_DOUBLE)
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: UVW is of an unusual type", s->vis->member[m]);
    if (rc >= 0)
      rc = sheaf_colreader_read(&s->reader[m], rows, n, &shape, s->baseline + i, err);
  }
  return rc;
}

static void decide(shadowing *s, const double uvw[3], size_t a, size_t b) {
  const int which = sheaf_flag_shadow(uvw, s->diameter[a], s->diameter[b], s->tolerance);
  if (which) s->set[which == 1 ? a : b] = 1;
}

/* The set at row `from` of the buffer: from its rows, and computed where pairs are missing. */
static int find_set(shadowing *s, int64_t from, sheaf_error *err) {
  const double now = s->row[from].centroid;
  size_t pairs = 0;
  memset(s->have, 0, s->n * s->n);
  memset(s->set, 0, s->n);
  for (int64_t i = from; i < s->nrow && s->row[i].centroid <= now; i++) {
    const int32_t x = s->row[i].ant1, y = s->row[i].ant2;
    if (x == y || x < 0 || y < 0 || (size_t)x >= s->n || (size_t)y >= s->n) continue;
    const size_t low = (size_t)(x < y ? x : y), high = (size_t)(x < y ? y : x);
    pairs += !s->have[low * s->n + high];
    s->have[low * s->n + high] = 1;
    decide(s, s->baseline[i], (size_t)x, (size_t)y);
  }
  if (pairs == s->n * (s->n - 1) / 2) return 0;
  const int32_t field = s->row[from].place.field;
  if (s->uvw_time != now || s->uvw_field != field) {
    const int rc = sheaf_sky_uvw(s->sky, field, now, s->uvw, err);
    if (rc < 0) return rc;
    s->uvw_time = now;
    s->uvw_field = field;
  }
  for (size_t a = 0; a < s->n; a++)
    for (size_t b = a + 1; b < s->n; b++) {
      if (s->have[a * s->n + b]) continue;
      const double uvw[3] = {s->uvw[b][0] - s->uvw[a][0], s->uvw[b][1] - s->uvw[a][1],
                             s->uvw[b][2] - s->uvw[a][2]};
      decide(s, uvw, a, b);
    }
  return 0;
}

static void put_set(shadowing *s, const sheaf_flag_record *r) {
  json_t *one = NULL;
  for (size_t a = 0; a < s->n; a++) {
    if (!s->set[a]) continue;
    if (!one)
      one = json_pack("[f,f,i,i,i,i,i]", r->time, r->centroid, r->place.observation,
                      r->place.array, r->place.scan, r->place.field, r->place.ddid);
    json_array_append_new(one, json_integer((json_int_t)a));
  }
  if (one) json_array_append_new(s->out, one);
}

/* The rows of one place and time are complete. */
static int shadow_buffer(shadowing *s, sheaf_error *err) {
  int rc = s->nrow ? read_baselines(s, err) : 0;
  for (int64_t i = 0; rc >= 0 && i < s->nrow; i++) {
    const sheaf_flag_record *r = &s->row[i];
    const int change = !s->begun || r->centroid != s->last;
    if (change) rc = find_set(s, i, err);
    if (change || i == 0) put_set(s, r);
    s->begun = 1;
    s->last = r->centroid;
  }
  s->nrow = 0;
  return rc;
}

static int add_row(shadowing *s, const sheaf_flag_record *r, sheaf_error *err) {
  if (s->nrow && (s->row[0].time != r->time ||
                  sheaf_flag_place_compare(&s->row[0].place, &r->place) != 0)) {
    const int rc = shadow_buffer(s, err);
    if (rc < 0) return rc;
  }
  if (s->nrow == s->room) {
    const int64_t room = 2 * s->room + 1024;
    sheaf_flag_record *rows = realloc(s->row, (size_t)room * sizeof *rows);
    if (rows) s->row = rows;
    double(*more)[3] = realloc(s->baseline, (size_t)room * sizeof *more);
    if (more) s->baseline = more;
    if (!rows || !more) return no_memory(s->vis, err);
    s->room = room;
  }
  s->row[s->nrow++] = *r;
  return 0;
}

int sheaf_flag_shadow_table(const sheaf_flag_vis *vis, const json_t *agent, const char *records,
                            int64_t n, json_t **shadows, sheaf_error *err) {
  const sheaf_recspan span = {records, 0, n};
  sheaf_recreader reader;
  shadowing s = {.vis = vis, .out = json_array()};
  const void *record;
  int64_t count = 0;
  int rc = open_sky(&s, agent, err);
  if (rc >= 0) rc = sheaf_recreader_open(&reader, &span, 1, sizeof(sheaf_flag_record), 4096, err);
  if (rc >= 0) {
    while ((rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
      if ((rc = add_row(&s, record, err)) < 0) break;
      if (++count % 65536 == 0 && (rc = sheaf_cancel_check(err)) < 0) break;
    }
    if (rc >= 0) rc = shadow_buffer(&s, err);
    sheaf_recreader_close(&reader);
  }
  *shadows = rc < 0 ? NULL : json_incref(s.out);
  close_sky(&s);
  return rc < 0 ? rc : 0;
}

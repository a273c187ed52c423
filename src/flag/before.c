/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Units of rounds that come before the commands: quackincrement, antint. */
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/value.h"
#include "flag/loader.h"
#include "flag/records.h"
#include "flag/rowscan.h"
#include "flag/units.h"
#include "kernel/flag_rules.h"
#include "kernel/flag_summary.h"

typedef struct unit {
  sheaf_flag_vis vis;
  sheaf_flag_agents agents;
  sheaf_flag_loader *loader;
  sheaf_flag_agents nothing; /* no data are read */
  const sheaf_flag_agent *agent;
  json_t *out;
} unit;

static int no_memory(const unit *u, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", u->vis.path);
}

static int open_unit(unit *u, const json_t *common, sheaf_error *err) {
  *u = (unit){.out = json_array()};
  int rc = sheaf_flag_vis_from_value(&u->vis, json_object_get(common, "vis"), err);
  if (rc < 0) return rc;
  rc = sheaf_flag_agents_make(&u->agents, &u->vis, json_object_get(common, "run"), err);
  if (rc >= 0) rc = sheaf_flag_loader_open(&u->loader, &u->vis, &u->nothing, err);
  return rc;
}

static void close_unit(unit *u) {
  sheaf_flag_loader_close(u->loader);
  sheaf_flag_agents_free(&u->agents);
  sheaf_flag_vis_free(&u->vis);
  json_decref(u->out);
}

/* ---- quackincrement ---- */

static void widen(json_t *list, int32_t scan, double t) {
  const size_t n = json_array_size(list);
  for (size_t i = n; i >= 3; i -= 3) {
    if (json_integer_value(json_array_get(list, i - 3)) != scan) continue;
    if (t < json_real_value(json_array_get(list, i - 2)))
      json_array_set_new(list, i - 2, json_real(t));
    if (t > json_real_value(json_array_get(list, i - 1)))
      json_array_set_new(list, i - 1, json_real(t));
    return;
  }
  json_array_append_new(list, json_integer(scan));
  json_array_append_new(list, json_real(t));
  json_array_append_new(list, json_real(t));
}

/* Rows of one shape. */
static int find_unflagged(unit *u, const sheaf_flag_rows *rows, const uint8_t *keep, int64_t from,
                          int64_t n, int64_t nchan, int64_t ncorr, sheaf_error *err) {
  sheaf_flag_block b = {.nchan = nchan, .ncorr = ncorr, .rows = *rows};
  const size_t cell = (size_t)(nchan * ncorr);
  b.rows.n = n;
  b.rows.row += from;
  const int rc = sheaf_flag_loader_read(u->loader, &b, err);
  for (int64_t i = 0; rc >= 0 && i < n; i++)
    if (keep[from + i] && !sheaf_flag_all(b.original + (size_t)i * cell, cell))
      widen(u->out, rows->scan[from + i], rows->time[from + i]);
  return rc < 0 ? rc : sheaf_cancel_check(err);
}

static int visit_rows(void *user, const sheaf_flag_rows *r, sheaf_error *err) {
  unit *u = user;
  uint8_t *keep = malloc((size_t)r->n + 1);
  if (!keep) return no_memory(u, err);
  int64_t rc = sheaf_flag_filter_test(&u->agent->filter, &u->vis, r, keep, err);
  for (int64_t i = 0, n = 0; rc > 0 && i < r->n; i += n) {
    int64_t nchan, ncorr, more[2];
    n = 1;
    rc = sheaf_flag_loader_shape(u->loader, r->member, r->row[i], &nchan, &ncorr, err);
    const int64_t most = sheaf_flag_loader_rows(u->loader, nchan, ncorr);
    for (; rc >= 0 && i + n < r->n && n < most; n++) {
      rc = sheaf_flag_loader_shape(u->loader, r->member, r->row[i + n], &more[0], &more[1], err);
      if (rc < 0 || more[0] != nchan || more[1] != ncorr) break;
    }
    if (rc >= 0 && nchan > 0) rc = find_unflagged(u, r, keep, i, n, nchan, ncorr, err);
    if (rc >= 0) rc = 1;
  }
  free(keep);
  return rc < 0 ? (int)rc : 0;
}

int sheaf_flag_unit_unflagged(const json_t *common, const json_t *args, json_t **value,
                              sheaf_error *err) {
  unit u;
  int rc = open_unit(&u, common, err);
  if (rc >= 0) {
    u.agent = &u.agents.agent[sheaf_value_int(common, "agent", 0)];
    rc = sheaf_flag_row_scan(&u.vis, (size_t)sheaf_value_int(args, "member", 0),
                             sheaf_value_int(args, "row0", 0), sheaf_value_int(args, "nrow", 0),
                             u.agents.columns | SHEAF_ROWS_SCAN | SHEAF_ROWS_TIME, visit_rows, &u,
                             err);
  }
  if (rc >= 0) *value = json_incref(u.out);
  close_unit(&u);
  return rc;
}

/* ---- antint ---- */

typedef struct antint {
  unit *u;
  int32_t reference;
  int64_t nantenna;
  double fraction;
  sheaf_flag_record *records; /* of one time */
  int64_t n, room;
} antint;

/* Rows with the reference antenna of one time, sorted by member and row, become a block. */
static int judge_rows(antint *a, int64_t n, const sheaf_flag_record *list, int *bad,
                      double *fraction, sheaf_error *err) {
  const int32_t ddid = list[0].place.ddid;
  sheaf_flag_block b = {
      .rows = {.n = n, .ddid = ddid, .spw = a->u->vis.spw_of[ddid], .pol = a->u->vis.pol_of[ddid]}};
  int64_t *row = malloc((size_t)n * 2 * sizeof *row);
  size_t *members = malloc((size_t)n * sizeof *members);
  int32_t *ants = malloc((size_t)n * 2 * sizeof *ants);
  uint8_t *scratch = NULL;
  int rc = row && members && ants ? 0 : no_memory(a->u, err);
  for (int64_t i = 0; rc >= 0 && i < n; i++) {
    row[i] = list[i].row;
    row[n + i] = i;
    members[i] = (size_t)list[i].member;
    ants[i] = list[i].ant1;
    ants[n + i] = list[i].ant2;
  }
  b.rows.row = row;
  b.rows.members = members;
  if (rc >= 0)
    rc = sheaf_flag_loader_shape(a->u->loader, members[0], row[0], &b.nchan, &b.ncorr, err);
  if (rc >= 0 && b.nchan > 0) rc = sheaf_flag_loader_read(a->u->loader, &b, err);
  if (rc >= 0 && b.nchan > 0 && !(scratch = malloc((size_t)b.nchan + 64)))
    rc = no_memory(a->u, err);
  if (rc >= 0 && b.nchan > 0)
    *bad = sheaf_flag_antint(b.original, b.nchan, b.ncorr, row + n, n, ants, ants + n, a->reference,
                             a->nantenna, a->fraction, scratch, fraction);
  free(row);
  free(members);
  free(ants);
  free(scratch);
  return rc;
}

static int compare_records(const void *pa, const void *pb) {
  const sheaf_flag_record *a = pa, *b = pb;
  if (a->member != b->member) return a->member < b->member ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* The rows of one time are complete. */
static int judge_time(antint *a, sheaf_error *err) {
  int bad = 0, rc = 0;
  double fraction = 0;
  if (a->n == 0) return 0;
  const sheaf_flag_record first = a->records[0];
  int64_t n = 0; /* of those with the reference antenna */
  for (int64_t i = 0; i < a->n; i++)
    if (a->records[i].ant1 == a->reference || a->records[i].ant2 == a->reference)
      a->records[n++] = a->records[i];
  qsort(a->records, (size_t)n, sizeof *a->records, compare_records);
  if (n > 0)
    rc = judge_rows(a, n, a->records, &bad, &fraction, err);
  else
    bad = a->fraction < 0; /* no channel is flagged, which is more than that */
  if (bad) {
    const sheaf_flag_place *p = &first.place;
    const int32_t ids[5] = {p->observation, p->array, p->scan, p->field, p->ddid};
    json_array_append_new(a->u->out, json_real(first.time));
    for (int i = 0; i < 5; i++) json_array_append_new(a->u->out, json_integer(ids[i]));
    json_array_append_new(a->u->out, json_real(fraction));
  }
  a->n = 0;
  return rc;
}

static int add_record(antint *a, const sheaf_flag_record *r, sheaf_error *err) {
  if (a->n && (a->records[0].time != r->time ||
               sheaf_flag_place_compare(&a->records[0].place, &r->place) != 0)) {
    const int rc = judge_time(a, err);
    if (rc < 0) return rc;
  }
  if (a->n == a->room) {
    const int64_t room = 2 * a->room + 1024;
    sheaf_flag_record *more = realloc(a->records, (size_t)room * sizeof *more);
    if (!more) return no_memory(a->u, err);
    a->records = more;
    a->room = room;
  }
  a->records[a->n++] = *r;
  return 0;
}

int sheaf_flag_unit_antint(const json_t *common, const json_t *args, json_t **value,
                           sheaf_error *err) {
  const json_t *compiled = json_array_get(
      json_object_get(json_object_get(common, "run"), "agents"),
      (size_t)sheaf_value_int(common, "agent", 0));
  const sheaf_recspan span = {sheaf_value_str(common, "records", ""),
                              sheaf_value_int(args, "first", 0), sheaf_value_int(args, "n", 0)};
  unit u;
  antint a = {.u = &u,
              .reference = (int32_t)sheaf_value_int(compiled, "reference", -1),
              .nantenna = sheaf_value_int(compiled, "nantenna", 0),
              .fraction = sheaf_value_double(compiled, "minchanfrac", 0.6)};
  sheaf_recreader reader;
  const void *record;
  int rc = open_unit(&u, common, err);
  if (rc >= 0)
    rc = sheaf_recreader_open(&reader, &span, 1, sizeof(sheaf_flag_record), 4096, err);
  if (rc >= 0) {
    while ((rc = sheaf_recreader_next(&reader, &record, err)) > 0)
      if ((rc = add_record(&a, record, err)) < 0) break;
    if (rc >= 0) rc = judge_time(&a, err);
    sheaf_recreader_close(&reader);
  }
  if (rc >= 0) *value = json_incref(u.out);
  free(a.records);
  close_unit(&u);
  return rc;
}

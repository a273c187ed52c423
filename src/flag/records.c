/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "flag/rowscan.h"

enum { SORT_BYTES = 16 << 20, WINDOW = 4096 };

/* ---- writing ---- */

typedef struct writing {
  const sheaf_flag_vis *vis;
  const sheaf_flag_agents *agents;
  const sheaf_flag_grouping *grouping;
  sheaf_recwriter writer;
  uint8_t *keep, *one;
  int64_t room;
  int all; /* an agent takes every row */
} writing;

static int keep_rows(writing *w, const sheaf_flag_rows *r, sheaf_error *err) {
  if (r->n > w->room) {
    free(w->keep);
    free(w->one);
    w->room = r->n;
    w->keep = malloc((size_t)r->n);
    w->one = malloc((size_t)r->n);
    if (!w->keep || !w->one) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for rows");
  }
  memset(w->keep, w->all, (size_t)r->n);
  for (size_t i = 0; !w->all && i < w->agents->n; i++) {
    const int64_t n =
        sheaf_flag_filter_test(&w->agents->agent[i].filter, w->vis, r, w->one, err);
    if (n < 0) return (int)n;
    for (int64_t k = 0; n && k < r->n; k++) w->keep[k] |= w->one[k];
  }
  return 0;
}

static int write_rows(void *user, const sheaf_flag_rows *r, sheaf_error *err) {
  writing *w = user;
  const int rc = keep_rows(w, r, err);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < r->n; i++) {
    if (!w->keep[i]) continue;
    sheaf_flag_record *to = sheaf_recwriter_next(&w->writer, err);
    if (!to) return SHEAF_ERR_IO;
    *to = (sheaf_flag_record){
        .time = r->time[i],
        .centroid = r->centroid ? r->centroid[i] : 0,
        .row = r->row[i],
        .place = {r->observation[i], r->array[i], w->grouping->combinescans ? 0 : r->scan[i],
                  r->field[i], r->ddid},
        .member = (int32_t)r->member,
        .buffer = r->scan[i], /* kept here until buffers are numbered */
        .ant1 = r->ant1[i],
        .ant2 = r->ant2[i],
        .state = r->state ? r->state[i] : 0,
        .processor = r->processor ? r->processor[i] : 0,
        .group = w->grouping->per_member ? (int32_t)r->member : 0};
  }
  return 0;
}

int sheaf_flag_records_write(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                             const sheaf_flag_grouping *grouping, const char *path, int64_t *n,
                             sheaf_error *err) {
  writing w = {.vis = vis, .agents = agents, .grouping = grouping};
  const unsigned columns = agents->columns | SHEAF_ROWS_TIME | SHEAF_ROWS_ANTENNAS |
                           SHEAF_ROWS_SCAN | SHEAF_ROWS_FIELD | SHEAF_ROWS_ARRAY |
                           SHEAF_ROWS_OBSERVATION;
  for (size_t i = 0; i < agents->n; i++) w.all |= sheaf_flag_filter_all(&agents->agent[i].filter);
  int rc = sheaf_recwriter_open(&w.writer, path, sizeof(sheaf_flag_record), err);
  for (size_t i = 0; rc >= 0 && i < vis->nmember; i++)
    rc = sheaf_flag_row_scan(vis, i, 0, -1, columns, write_rows, &w, err);
  if (rc >= 0) rc = sheaf_recwriter_finish(&w.writer, err);
  *n = w.writer.n;
  sheaf_recwriter_free(&w.writer);
  free(w.keep);
  free(w.one);
  return rc < 0 ? rc : 0;
}

/* ---- sorting ---- */

static int compare_rows(const sheaf_flag_record *a, const sheaf_flag_record *b) {
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  if (a->member != b->member) return a->member < b->member ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

static int by_time(const void *pa, const void *pb) {
  const sheaf_flag_record *a = pa, *b = pb;
  if (a->group != b->group) return a->group < b->group ? -1 : 1;
  const int order = sheaf_flag_place_compare(&a->place, &b->place);
  return order ? order : compare_rows(a, b);
}

static int by_baseline(const void *pa, const void *pb) {
  const sheaf_flag_record *a = pa, *b = pb;
  if (a->buffer != b->buffer) return a->buffer < b->buffer ? -1 : 1;
  if (a->ant1 != b->ant1) return a->ant1 < b->ant1 ? -1 : 1;
  if (a->ant2 != b->ant2) return a->ant2 < b->ant2 ? -1 : 1;
  return compare_rows(a, b);
}

int sheaf_flag_records_by_time(const char *path, int64_t n, const char *to, int *sorted,
                               sheaf_error *err) {
  const sheaf_recspan span = {path, 0, n};
  return sheaf_recsort(&span, 1, sizeof(sheaf_flag_record), by_time, to, SORT_BYTES, sorted, err);
}

/* The state of a walk along time. */
typedef struct walk {
  int begun;
  sheaf_flag_place place;
  int32_t group, buffer;
  double start; /* of the piece of time, less 0.01 s */
} walk;

/* The number of the buffer that the next record belongs to. A piece of time begins with a row and
 * holds what lies less than ntime behind it, with CASA's margin of 0.01 s. */
static int32_t number_buffer(walk *w, const sheaf_flag_record *r, double ntime) {
  const int same = w->begun && w->group == r->group &&
                   sheaf_flag_place_compare(&w->place, &r->place) == 0;
  if (same && (ntime <= 0 || floor((r->time - w->start) / ntime) == floor(0.01 / ntime)))
    return w->buffer;
  if (w->begun) w->buffer++;
  w->begun = 1;
  w->group = r->group;
  w->place = r->place;
  w->start = r->time - 0.01;
  return w->buffer;
}

static int number_buffers(const char *path, int64_t n, double ntime, const char *to,
                          sheaf_error *err) {
  const sheaf_recspan span = {path, 0, n};
  sheaf_recreader reader;
  sheaf_recwriter writer;
  walk w = {0};
  const void *record;
  int rc = sheaf_recreader_open(&reader, &span, 1, sizeof(sheaf_flag_record), WINDOW, err);
  if (rc < 0) return rc;
  rc = sheaf_recwriter_open(&writer, to, sizeof(sheaf_flag_record), err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    sheaf_flag_record *out = sheaf_recwriter_next(&writer, err);
    if (!out) {
      rc = SHEAF_ERR_IO;
      break;
    }
    const sheaf_flag_record *in = record;
    *out = *in;
    out->place.scan = in->buffer; /* the row's own scan again */
    out->buffer = number_buffer(&w, in, ntime);
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  sheaf_recwriter_free(&writer);
  sheaf_recreader_close(&reader);
  return rc;
}

int sheaf_flag_records_by_baseline(const char *path, int64_t n,
                                   const sheaf_flag_grouping *grouping, const char *scratch,
                                   const char *to, sheaf_error *err) {
  int sorted = 0;
  int rc = number_buffers(path, n, grouping->ntime, scratch, err);
  if (rc < 0) return rc;
  const sheaf_recspan span = {scratch, 0, n};
  rc = sheaf_recsort(&span, 1, sizeof(sheaf_flag_record), by_baseline, to, SORT_BYTES, &sorted, err);
  if (rc >= 0 && sorted && rename(scratch, to) < 0)
    rc = sheaf_fail(err, SHEAF_ERR_IO, "cannot rename %s", scratch);
  if (rc >= 0 && !sorted) unlink(scratch);
  return rc < 0 ? rc : 0;
}

/* ---- pieces ---- */

typedef struct cutting {
  sheaf_flag_piece *pieces;
  size_t n, room;
  int64_t map_first; /* record with which the present baseline begins */
  int64_t map_bytes;
  int32_t ant1, ant2;
} cutting;

static int add_piece(cutting *c, const sheaf_flag_record *r, int64_t at, sheaf_error *err) {
  if (c->n == c->room) {
    const size_t room = 2 * c->room + 64;
    sheaf_flag_piece *more = realloc(c->pieces, room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the list of buffers");
    c->pieces = more;
    c->room = room;
  }
  c->pieces[c->n++] = (sheaf_flag_piece){
      .first = at, .buffer = r->buffer, .field = r->place.field, .ddid = r->place.ddid};
  return 0;
}

static int add_record(cutting *c, const sheaf_flag_record *r, int64_t at, int64_t bytes,
                      int64_t most, sheaf_error *err) {
  sheaf_flag_piece *last = c->n ? &c->pieces[c->n - 1] : NULL;
  int rc = 0;
  if (!last || last->buffer != r->buffer) {
    if ((rc = add_piece(c, r, at, err)) < 0) return rc;
    c->map_first = at;
    c->map_bytes = 0;
  } else if (c->ant1 != r->ant1 || c->ant2 != r->ant2) {
    c->map_first = at;
    c->map_bytes = 0;
  }
  c->ant1 = r->ant1;
  c->ant2 = r->ant2;
  last = &c->pieces[c->n - 1];
  if (last->bytes + bytes > most && c->map_first > last->first) {
    /* the present baseline goes into a piece of its own */
    last->n = c->map_first - last->first;
    last->bytes -= c->map_bytes;
    if ((rc = add_piece(c, r, c->map_first, err)) < 0) return rc;
    last = &c->pieces[c->n - 1];
    last->n = at - c->map_first;
    last->bytes = c->map_bytes;
  }
  last->n++;
  last->bytes += bytes;
  c->map_bytes += bytes;
  return 0;
}

int sheaf_flag_records_pieces(const char *path, int64_t n, const int64_t *bytes, int64_t most,
                              sheaf_flag_piece **pieces, size_t *npiece, sheaf_error *err) {
  const sheaf_recspan span = {path, 0, n};
  sheaf_recreader reader;
  cutting c = {0};
  const void *record;
  int64_t at = 0;
  int rc = sheaf_recreader_open(&reader, &span, 1, sizeof(sheaf_flag_record), WINDOW, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    const sheaf_flag_record *r = record;
    if ((rc = add_record(&c, r, at++, bytes[r->place.ddid], most, err)) < 0) break;
    if (at % 65536 == 0 && (rc = sheaf_cancel_check(err)) < 0) break;
  }
  sheaf_recreader_close(&reader);
  if (rc < 0) {
    free(c.pieces);
    return rc;
  }
  *pieces = c.pieces;
  *npiece = c.n;
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/memory.h"
#include "flag/rowscan.h"

enum { SORT_BYTES = 16 << 20, WINDOW = 4096, HELD_BYTES = 64 << 20 };

/* ---- writing ---- */

typedef struct writing {
  const sheaf_flag_vis *vis;
  const sheaf_flag_agents *agents;
  const sheaf_flag_grouping *grouping;
  sheaf_recwriter writer;
  sheaf_flag_record *held; /* room for all of them; NULL: they go to the writer */
  int64_t nheld;
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
    sheaf_flag_record *to =
        w->held ? &w->held[w->nheld++] : sheaf_recwriter_next(&w->writer, err);
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

/* All members' rows through write_rows. */
static int scan_rows(writing *w, sheaf_error *err) {
  const sheaf_flag_agents *agents = w->agents;
  const unsigned columns = agents->columns | SHEAF_ROWS_TIME | SHEAF_ROWS_ANTENNAS |
                           SHEAF_ROWS_SCAN | SHEAF_ROWS_FIELD | SHEAF_ROWS_ARRAY |
                           SHEAF_ROWS_OBSERVATION;
  int rc = 0;
  for (size_t i = 0; i < agents->n; i++) w->all |= sheaf_flag_filter_all(&agents->agent[i].filter);
  for (size_t i = 0; rc >= 0 && i < w->vis->nmember; i++)
    rc = sheaf_flag_row_scan(w->vis, i, 0, -1, columns, write_rows, w, err);
  free(w->keep);
  free(w->one);
  return rc;
}

int sheaf_flag_records_write(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                             const sheaf_flag_grouping *grouping, const char *path, int64_t *n,
                             sheaf_error *err) {
  writing w = {.vis = vis, .agents = agents, .grouping = grouping};
  int rc = sheaf_recwriter_open(&w.writer, path, sizeof(sheaf_flag_record), err);
  if (rc >= 0) rc = scan_rows(&w, err);
  if (rc >= 0) rc = sheaf_recwriter_finish(&w.writer, err);
  *n = w.writer.n;
  sheaf_recwriter_free(&w.writer);
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

/* In files, sorted piece by piece. */
static int buffers_in_files(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                            const sheaf_flag_grouping *grouping, const char *to, int64_t *n,
                            sheaf_error *err) {
  char raw[4300], rows[4300], numbered[4300];
  int sorted = 0;
  snprintf(raw, sizeof raw, "%s.raw", to);
  snprintf(rows, sizeof rows, "%s.rows", to);
  snprintf(numbered, sizeof numbered, "%s.numbered", to);
  int rc = sheaf_flag_records_write(vis, agents, grouping, raw, n, err);
  if (rc >= 0) rc = sheaf_flag_records_by_time(raw, *n, rows, &sorted, err);
  if (rc >= 0) rc = number_buffers(sorted ? raw : rows, *n, grouping->ntime, numbered, err);
  unlink(raw);
  if (rc >= 0 && !sorted) unlink(rows);
  if (rc < 0) return rc;
  const sheaf_recspan span = {numbered, 0, *n};
  rc = sheaf_recsort(&span, 1, sizeof(sheaf_flag_record), by_baseline, to, SORT_BYTES, &sorted, err);
  if (rc >= 0 && sorted && rename(numbered, to) < 0)
    rc = sheaf_fail(err, SHEAF_ERR_IO, "cannot rename %s", numbered);
  if (rc >= 0 && !sorted) unlink(numbered);
  return rc < 0 ? rc : 0;
}

/* ---- the same in memory ---- */

/* Records that are in order as they stand: [first, first + n). */
typedef struct stretch {
  const sheaf_flag_record *record;
  int64_t n;
} stretch;

static int by_first(const void *pa, const void *pb) {
  const stretch *a = pa, *b = pb;
  return by_time(a->record, b->record);
}

static int pointers_by_time(const void *pa, const void *pb) {
  return by_time(*(sheaf_flag_record *const *)pa, *(sheaf_flag_record *const *)pb);
}

static int pointers_by_baseline(const void *pa, const void *pb) {
  return by_baseline(*(sheaf_flag_record *const *)pa, *(sheaf_flag_record *const *)pb);
}

/* Rows mostly come in order of time within their place: then stretches of them are put in order, not
 * rows. */
static int order_by_time(sheaf_flag_record *records, int64_t n, sheaf_flag_record **order,
                         sheaf_error *err) {
  stretch *list = NULL;
  size_t count = 0, room = 0;
  for (int64_t i = 0; i < n; i++) {
    const sheaf_flag_record *r = &records[i];
    if (i && r->group == r[-1].group && sheaf_flag_place_compare(&r[-1].place, &r->place) == 0 &&
        compare_rows(r - 1, r) < 0) {
      list[count - 1].n++;
      continue;
    }
    if (count == room) {
      stretch *more = realloc(list, (room = 2 * room + 256) * sizeof *list);
      if (!more) free(list);
      if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the order of rows");
      list = more;
    }
    list[count++] = (stretch){r, 1};
  }
  if (count) qsort(list, count, sizeof *list, by_first);
  int disjoint = 1;
  int64_t at = 0;
  for (size_t i = 0; i < count; i++) {
    disjoint &= i + 1 == count || by_time(list[i].record + list[i].n - 1, list[i + 1].record) < 0;
    for (int64_t k = 0; k < list[i].n; k++)
      order[at++] = records + (list[i].record - records) + k;
  }
  free(list);
  if (!disjoint) qsort(order, (size_t)n, sizeof *order, pointers_by_time);
  return 0;
}

enum { ANTENNAS = 512 };

/* The rows of one buffer, in order of time, by baseline: counted, as baselines are few. */
static void order_by_baseline(sheaf_flag_record **order, int64_t n, sheaf_flag_record **scratch,
                              int32_t *count) {
  int32_t most = -1, least = 0;
  int sorted = 1;
  for (int64_t i = 0; i < n; i++) {
    const sheaf_flag_record *r = order[i];
    sorted &= i == 0 || by_baseline(order[i - 1], r) < 0;
    if (r->ant1 > most) most = r->ant1;
    if (r->ant2 > most) most = r->ant2;
    if (r->ant1 < least) least = r->ant1;
    if (r->ant2 < least) least = r->ant2;
  }
  const int64_t side = (int64_t)most + 1;
  if (sorted) return;
  if (least < 0 || side > ANTENNAS || side * side > 16 * n) {
    qsort(order, (size_t)n, sizeof *order, pointers_by_baseline);
    return;
  }
  memset(count, 0, (size_t)(side * side + 1) * sizeof *count);
  for (int64_t i = 0; i < n; i++) count[order[i]->ant1 * side + order[i]->ant2 + 1]++;
  for (int64_t i = 1; i <= side * side; i++) count[i] += count[i - 1];
  for (int64_t i = 0; i < n; i++) scratch[count[order[i]->ant1 * side + order[i]->ant2]++] = order[i];
  memcpy(order, scratch, (size_t)n * sizeof *order);
}

static int write_order(sheaf_flag_record *const *order, int64_t n, const char *to, sheaf_error *err) {
  sheaf_recwriter writer;
  int rc = sheaf_recwriter_open(&writer, to, sizeof(sheaf_flag_record), err);
  for (int64_t i = 0; rc >= 0 && i < n; i++) {
    sheaf_flag_record *out = sheaf_recwriter_next(&writer, err);
    if (out)
      *out = *order[i];
    else
      rc = SHEAF_ERR_IO;
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  sheaf_recwriter_free(&writer);
  return rc;
}

static int sort_held(writing *w, sheaf_flag_record **order, int32_t *count, const char *to,
                     sheaf_error *err) {
  const int64_t n = w->nheld;
  sheaf_flag_record **scratch = order + n;
  walk numbers = {0};
  int rc = order_by_time(w->held, n, order, err);
  if (rc < 0) return rc;
  for (int64_t i = 0, first = 0; i < n; i++) {
    sheaf_flag_record *r = order[i];
    const int32_t scan = r->buffer, buffer = number_buffer(&numbers, r, w->grouping->ntime);
    r->buffer = buffer;
    if (buffer != order[first]->buffer) {
      order_by_baseline(order + first, i - first, scratch, count);
      first = i;
    }
    r->place.scan = scan; /* the row's own scan again */
    if (i + 1 == n) order_by_baseline(order + first, n - first, scratch, count);
  }
  return write_order(order, n, to, err);
}

static int buffers_in_memory(writing *w, int64_t total, const char *to, sheaf_error *err) {
  sheaf_flag_record **order = NULL;
  int32_t *count = malloc(((size_t)ANTENNAS * ANTENNAS + 1) * sizeof *count);
  w->held = malloc(((size_t)total + 1) * sizeof *w->held);
  int rc = w->held && count ? scan_rows(w, err) : SHEAF_ERR_NOMEM;
  if (rc >= 0 && !(order = malloc(((size_t)w->nheld * 2 + 1) * sizeof(sheaf_flag_record *))))
    rc = SHEAF_ERR_NOMEM;
  if (rc == SHEAF_ERR_NOMEM) sheaf_fail(err, rc, "no memory for the order of rows");
  if (rc >= 0) rc = sort_held(w, order, count, to, err);
  free(w->held);
  free(order);
  free(count);
  return rc < 0 ? rc : 0;
}

int sheaf_flag_records_buffers(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                               const sheaf_flag_grouping *grouping, const char *to, int64_t *n,
                               sheaf_error *err) {
  writing w = {.vis = vis, .agents = agents, .grouping = grouping};
  const int64_t total = vis->first[vis->nmember], bytes = total * (int64_t)sizeof(sheaf_flag_record);
  if (bytes > HELD_BYTES || bytes > sheaf_memory_budget() / 64)
    return buffers_in_files(vis, agents, grouping, to, n, err);
  const int rc = buffers_in_memory(&w, total, to, err);
  *n = w.nheld;
  return rc;
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

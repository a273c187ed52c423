/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/memory.h"
#include "flag/recordset.h"
#include "flag/rowscan.h"

enum { WINDOW = 4096, HELD_BYTES = 64 << 20 };

/* Memory for sorting in files. */
static size_t sort_bytes(void) {
  const int64_t most = (int64_t)16 << 20, some = sheaf_memory_budget() / 32;
  return (size_t)(some < most ? some : most);
}

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
                             const sheaf_flag_grouping *grouping, const sheaf_flag_range *ranges,
                             size_t nrange, const char *path, int64_t *n, sheaf_error *err) {
  const unsigned columns = agents->columns | SHEAF_ROWS_TIME | SHEAF_ROWS_ANTENNAS |
                           SHEAF_ROWS_SCAN | SHEAF_ROWS_FIELD | SHEAF_ROWS_ARRAY |
                           SHEAF_ROWS_OBSERVATION;
  writing w = {.vis = vis, .agents = agents, .grouping = grouping};
  for (size_t i = 0; i < agents->n; i++) w.all |= sheaf_flag_filter_all(&agents->agent[i].filter);
  int rc = sheaf_recwriter_open(&w.writer, path, sizeof(sheaf_flag_record), err);
  for (size_t i = 0; rc >= 0 && i < nrange; i++)
    rc = sheaf_flag_row_scan(vis, ranges[i].member, ranges[i].row0, ranges[i].nrow, columns,
                             write_rows, &w, err);
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

/* Of one buffer. */
static int compare_baseline(const sheaf_flag_record *a, const sheaf_flag_record *b) {
  if (a->ant1 != b->ant1) return a->ant1 < b->ant1 ? -1 : 1;
  if (a->ant2 != b->ant2) return a->ant2 < b->ant2 ? -1 : 1;
  return compare_rows(a, b);
}

static int by_baseline(const void *pa, const void *pb) {
  const sheaf_flag_record *a = pa, *b = pb;
  if (a->buffer != b->buffer) return a->buffer < b->buffer ? -1 : 1;
  return compare_baseline(a, b);
}

int sheaf_flag_records_by_time(const sheaf_recspan *parts, size_t npart, const char *to, int *sorted,
                               sheaf_error *err) {
  return sheaf_recsort(parts, npart, sizeof(sheaf_flag_record), by_time, to, sort_bytes(), sorted, err);
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

static int number_buffers(const sheaf_recspan *spans, size_t nspan, double ntime, const char *to,
                          sheaf_error *err) {
  sheaf_recreader reader;
  sheaf_recwriter writer;
  walk w = {0};
  const void *record;
  int rc = sheaf_recreader_open(&reader, spans, nspan, sizeof(sheaf_flag_record), WINDOW, err);
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
static int buffers_in_files(const sheaf_recspan *parts, size_t npart, int64_t n,
                            const sheaf_flag_grouping *grouping, const char *to, sheaf_error *err) {
  char rows[4300], numbered[4300];
  int sorted = 0;
  snprintf(rows, sizeof rows, "%s.rows", to);
  snprintf(numbered, sizeof numbered, "%s.numbered", to);
  const sheaf_recspan by_time = {rows, 0, n}, span = {numbered, 0, n};
  int rc = sheaf_flag_records_by_time(parts, npart, rows, &sorted, err);
  if (rc >= 0)
    rc = number_buffers(sorted ? parts : &by_time, sorted ? npart : 1, grouping->ntime, numbered,
                        err);
  for (size_t i = 0; i < npart; i++) unlink(parts[i].path);
  if (rc >= 0 && !sorted) unlink(rows);
  if (rc < 0) return rc;
  rc = sheaf_recsort(&span, 1, sizeof(sheaf_flag_record), by_baseline, to, sort_bytes(), &sorted, err);
  if (rc >= 0 && sorted && rename(numbered, to) < 0)
    rc = sheaf_fail(err, SHEAF_ERR_IO, "cannot rename %s", numbered);
  if (rc >= 0 && !sorted) unlink(numbered);
  return rc < 0 ? rc : 0;
}

/* ---- pieces ---- */

typedef struct cutting {
  const sheaf_flag_limits *limits;
  sheaf_flag_piece *pieces;
  size_t n, room;
  int64_t map_first; /* record with which the present baseline begins */
  int64_t map_bytes;
  int32_t ant1, ant2;
} cutting;

static int add_piece(cutting *c, const sheaf_flag_record *r, int32_t buffer, int64_t at,
                     sheaf_error *err) {
  if (c->n == c->room) {
    const size_t room = 2 * c->room + 64;
    sheaf_flag_piece *more = realloc(c->pieces, room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the list of buffers");
    c->pieces = more;
    c->room = room;
  }
  c->pieces[c->n++] = (sheaf_flag_piece){
      .first = at, .buffer = buffer, .field = r->place.field, .ddid = r->place.ddid};
  return 0;
}

static int add_record(cutting *c, const sheaf_flag_record *r, int32_t buffer, int64_t at,
                      sheaf_error *err) {
  const int64_t bytes = c->limits->bytes[r->place.ddid], most = c->limits->most;
  sheaf_flag_piece *last = c->n ? &c->pieces[c->n - 1] : NULL;
  int rc = 0;
  if (!last || last->buffer != buffer) {
    if ((rc = add_piece(c, r, buffer, at, err)) < 0) return rc;
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
    if ((rc = add_piece(c, r, buffer, c->map_first, err)) < 0) return rc;
    last = &c->pieces[c->n - 1];
    last->n = at - c->map_first;
    last->bytes = c->map_bytes;
  }
  last->n++;
  last->bytes += bytes;
  c->map_bytes += bytes;
  return 0;
}

/* Of the file in order. */
static int cut_file(cutting *c, const char *path, int64_t n, sheaf_error *err) {
  const sheaf_recspan span = {path, 0, n};
  sheaf_recreader reader;
  const void *record;
  int64_t at = 0;
  int rc = sheaf_recreader_open(&reader, &span, 1, sizeof(sheaf_flag_record), WINDOW, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    const sheaf_flag_record *r = record;
    if ((rc = add_record(c, r, r->buffer, at++, err)) < 0) break;
    if (at % 65536 == 0 && (rc = sheaf_cancel_check(err)) < 0) break;
  }
  sheaf_recreader_close(&reader);
  return rc;
}

/* ---- the same in memory: numbers of records are put in order, not records ---- */

/* Records that are in order as they stand. */
typedef struct stretch {
  const sheaf_flag_record *record;
  uint32_t number; /* of the first */
  int64_t n;
} stretch;

enum { ANTENNA_BITS = 9, ANTENNAS = 1 << ANTENNA_BITS };

typedef struct ordering {
  sheaf_flag_recordset set;
  int64_t n;
  uint32_t *order, *scratch, *key; /* [n] */
  int32_t *count;
  stretch *stretch; /* [nstretch] in order of time; nstretch 0: they overlap */
  size_t nstretch;
  cutting cut;
} ordering;

static const sheaf_flag_record *at(const ordering *o, int64_t i) {
  return sheaf_flag_recordset_at(&o->set, o->order[i]);
}

typedef struct stretches {
  stretch *list;
  size_t n, room;
} stretches;

static int by_first(const void *pa, const void *pb) {
  const stretch *a = pa, *b = pb;
  return by_time(a->record, b->record);
}

static int compare_numbers(const void *pa, const void *pb, void *set) {
  return by_time(sheaf_flag_recordset_at(set, *(const uint32_t *)pa),
                 sheaf_flag_recordset_at(set, *(const uint32_t *)pb));
}

static int compare_baselines(const void *pa, const void *pb, void *set) {
  const sheaf_flag_record *a = sheaf_flag_recordset_at(set, *(const uint32_t *)pa),
                          *b = sheaf_flag_recordset_at(set, *(const uint32_t *)pb);
  return compare_baseline(a, b);
}

/* Rows mostly come in order of time within their place: then stretches of them are put in order, not
 * rows. */
static int find_stretches(const ordering *o, const sheaf_recspan *parts, stretches *s,
                          sheaf_error *err) {
  for (size_t p = 0; p < o->set.n; p++) {
    const sheaf_flag_record *r = o->set.part[p];
    for (int64_t i = 0; i < parts[p].n; i++, r++) {
      if (i && r->group == r[-1].group && sheaf_flag_place_compare(&r[-1].place, &r->place) == 0 &&
          compare_rows(r - 1, r) < 0) {
        s->list[s->n - 1].n++;
        continue;
      }
      if (s->n == s->room) {
        stretch *more = realloc(s->list, (s->room = 2 * s->room + 256) * sizeof *more);
        if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the order of rows");
        s->list = more;
      }
      s->list[s->n++] = (stretch){r, (uint32_t)p << o->set.shift | (uint32_t)i, 1};
    }
  }
  return 0;
}

static int order_by_time(ordering *o, const sheaf_recspan *parts, sheaf_error *err) {
  stretches s = {0};
  int disjoint = 1, rc = find_stretches(o, parts, &s, err);
  if (rc >= 0 && s.n) qsort(s.list, s.n, sizeof *s.list, by_first);
  for (size_t i = 0; rc >= 0 && i < s.n; i++) {
    const stretch *one = &s.list[i];
    disjoint &= i + 1 == s.n || by_time(one->record + one->n - 1, one[1].record) < 0;
    for (int64_t k = 0; k < one->n; k++) o->order[o->n++] = one->number + (uint32_t)k;
  }
  o->stretch = s.list;
  o->nstretch = disjoint ? s.n : 0;
  if (rc >= 0 && !disjoint) qsort_r(o->order, (size_t)o->n, sizeof *o->order, compare_numbers, &o->set);
  return rc;
}

/* Baselines of the rows of a buffer as numbers below side², in `key`; 0 when there are too many for that. */
static int64_t number_baselines(const ordering *o, int64_t from, int64_t to, int *sorted) {
  uint32_t most = 0, *key = o->key;
  *sorted = 1;
  for (int64_t i = from; i < to; i++) {
    const sheaf_flag_record *r = at(o, i);
    const uint32_t a = (uint32_t)r->ant1, b = (uint32_t)r->ant2; /* -1: very many */
    key[i - from] = a << ANTENNA_BITS | b;
    most |= a | b;
    *sorted &= i == from || key[i - from] >= key[i - from - 1];
  }
  return most < ANTENNAS ? (int64_t)most + 1 : 0;
}

/* The rows of one buffer, in order of time, by baseline: counted, as baselines are few. */
static void order_by_baseline(ordering *o, int64_t from, int64_t to) {
  uint32_t *order = o->order + from;
  const int64_t n = to - from;
  int sorted;
  const int64_t side = number_baselines(o, from, to, &sorted);
  if (side == 0 || side << ANTENNA_BITS > 64 * n) {
    qsort_r(order, (size_t)n, sizeof *order, compare_baselines, &o->set);
    return;
  }
  if (sorted) return;
  int32_t *count = o->count;
  memset(count, 0, ((size_t)side << ANTENNA_BITS) * sizeof *count + sizeof *count);
  for (int64_t i = 0; i < n; i++) count[o->key[i] + 1]++;
  for (int64_t i = 1; i <= side << ANTENNA_BITS; i++) count[i] += count[i - 1];
  for (int64_t i = 0; i < n; i++) o->scratch[count[o->key[i]]++] = order[i];
  memcpy(order, o->scratch, (size_t)n * sizeof *order);
}

/* The buffer is put in order, and cut where it is large. */
static int finish_buffer(ordering *o, int32_t buffer, int64_t from, int64_t to, sheaf_error *err) {
  int rc = 0;
  order_by_baseline(o, from, to);
  const sheaf_flag_record *first = at(o, from);
  const int64_t bytes = (to - from) * o->cut.limits->bytes[first->place.ddid];
  if (bytes <= o->cut.limits->most) {
    if ((rc = add_piece(&o->cut, first, buffer, from, err)) < 0) return rc;
    o->cut.pieces[o->cut.n - 1].n = to - from;
    o->cut.pieces[o->cut.n - 1].bytes = bytes;
    return 0;
  }
  for (int64_t i = from; rc >= 0 && i < to; i++) rc = add_record(&o->cut, at(o, i), buffer, i, err);
  return rc < 0 ? rc : sheaf_cancel_check(err);
}

static int order_all(ordering *o, const sheaf_recspan *parts, double ntime, sheaf_error *err) {
  walk numbers = {0};
  int64_t from = 0, step = 1;
  int32_t before = 0;
  int rc = order_by_time(o, parts, err);
  const int whole = ntime <= 0 && o->nstretch > 0; /* no buffer begins within a stretch */
  size_t s = 0;
  for (int64_t i = 0; rc >= 0 && i < o->n; i += step) {
    const int32_t buffer = number_buffer(&numbers, at(o, i), ntime);
    if (buffer != before) {
      rc = finish_buffer(o, before, from, i, err);
      from = i;
    }
    before = buffer;
    if (whole) step = o->stretch[s++].n;
  }
  return rc >= 0 && o->n > from ? finish_buffer(o, before, from, o->n, err) : rc;
}

static int write_order(const ordering *o, const char *to, sheaf_error *err) {
  sheaf_recwriter writer;
  int rc = sheaf_recwriter_open(&writer, to, sizeof *o->order, err);
  for (int64_t i = 0; rc >= 0 && i < o->n; i++) {
    uint32_t *out = sheaf_recwriter_next(&writer, err);
    if (out)
      *out = o->order[i];
    else
      rc = SHEAF_ERR_IO;
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  sheaf_recwriter_free(&writer);
  return rc;
}

static int buffers_in_memory(const sheaf_recspan *parts, size_t npart, int64_t n,
                             const sheaf_flag_grouping *grouping, const char *to, cutting *cut,
                             sheaf_error *err) {
  ordering o = {.cut = *cut};
  int rc = sheaf_flag_recordset_open(&o.set, parts, npart, err);
  if (rc < 0) return rc;
  o.order = malloc(((size_t)n * 3 + 1) * sizeof *o.order);
  o.count = malloc(((size_t)ANTENNAS * ANTENNAS + 1) * sizeof *o.count);
  if (o.order && o.count) {
    o.scratch = o.order + n;
    o.key = o.scratch + n;
    rc = order_all(&o, parts, grouping->ntime, err);
  } else {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the order of rows");
  }
  if (rc >= 0) rc = write_order(&o, to, err);
  free(o.order);
  free(o.count);
  free(o.stretch);
  sheaf_flag_recordset_close(&o.set);
  *cut = o.cut;
  return rc;
}

/* ---- the interface ---- */

int sheaf_flag_records_buffers(const sheaf_recspan *parts, size_t npart,
                               const sheaf_flag_grouping *grouping, const sheaf_flag_limits *limits,
                               const char *to, sheaf_flag_buffers *buffers, sheaf_error *err) {
  cutting cut = {.limits = limits};
  int64_t n = 0;
  for (size_t i = 0; i < npart; i++) n += parts[i].n;
  const int64_t bytes = n * (int64_t)sizeof(sheaf_flag_record);
  const int files = bytes > HELD_BYTES || bytes > sheaf_memory_budget() / 64;
  int rc;
  if (files) {
    rc = buffers_in_files(parts, npart, n, grouping, to, err);
    if (rc >= 0) rc = cut_file(&cut, to, n, err);
  } else {
    rc = buffers_in_memory(parts, npart, n, grouping, to, &cut, err);
  }
  if (rc < 0) free(cut.pieces);
  *buffers = rc < 0 ? (sheaf_flag_buffers){0}
                    : (sheaf_flag_buffers){.n = n, .numbers = !files, .piece = cut.pieces, .npiece = cut.n};
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/flagging_cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t unit_bytes = (int64_t)24 << 20;
/* Every unit of sums reads the whole buffer, so there are not many. */
enum { MOST_PARTS = 8, LEAST_CHANNELS = 16 };
/* Of a unit of records. */
enum { LEAST_ROWS = 1 << 12, MOST_UNITS = 64 };

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flagging");
}

/* ---- lists ---- */

int sheaf_flag_units_add(sheaf_flag_units *u, const char *label, int64_t cost, json_t *args,
                         sheaf_error *err) {
  if (u->n == u->room) {
    const size_t room = 2 * u->room + 64;
    sheaf_unit *more = realloc(u->unit, room * sizeof *more);
    if (!more) {
      json_decref(args);
      return no_memory(err);
    }
    u->unit = more;
    u->room = room;
  }
  char *copy = strdup(label);
  u->unit[u->n++] = (sheaf_unit){.label = copy, .cost = cost, .args = args};
  return copy && args ? 0 : no_memory(err);
}

void sheaf_flag_units_free(sheaf_flag_units *u) {
  for (size_t i = 0; i < u->n; i++) {
    free((char *)u->unit[i].label);
    json_decref(u->unit[i].args);
  }
  free(u->unit);
  *u = (sheaf_flag_units){0};
}

void sheaf_flag_rounds_free(sheaf_flag_rounds *r) {
  sheaf_flag_units_free(&r->medians);
  sheaf_flag_units_free(&r->sums);
  sheaf_flag_units_free(&r->tallies);
  sheaf_flag_units_free(&r->commands);
}

/* ---- rows ---- */

static int add_records(sheaf_flag_units *u, json_t *ranges, int64_t nrow, const char *folder,
                       sheaf_error *err) {
  char label[64], path[4300];
  snprintf(label, sizeof label, "ids of rows, part %zu", u->n);
  snprintf(path, sizeof path, "%.4200s/records.%zu", folder, u->n);
  return sheaf_flag_units_add(u, label, nrow, json_pack("{s:o, s:s}", "ranges", ranges, "path", path),
                              err);
}

int sheaf_flag_units_records(sheaf_flag_units *u, const sheaf_flag_vis *vis, int nworker,
                             const char *folder, sheaf_error *err) {
  const int64_t total = vis->first[vis->nmember];
  int64_t want = nworker > MOST_UNITS ? MOST_UNITS : nworker;
  if (want > total / LEAST_ROWS) want = total / LEAST_ROWS;
  const int64_t step = want > 1 ? (total + want - 1) / want : total;
  json_t *ranges = json_array();
  int64_t nrow = 0;
  int rc = 0;
  for (size_t m = 0; rc >= 0 && m < vis->nmember; m++) {
    const int64_t all = vis->first[m + 1] - vis->first[m];
    for (int64_t row = 0, n; rc >= 0 && row < all; row += n) {
      n = all - row < step - nrow ? all - row : step - nrow;
      json_array_append_new(ranges, json_pack("[I,I,I]", (json_int_t)m, (json_int_t)row, (json_int_t)n));
      nrow += n;
      if (nrow < step) continue;
      rc = add_records(u, ranges, nrow, folder, err);
      ranges = json_array();
      nrow = 0;
    }
  }
  if (rc >= 0 && nrow) return add_records(u, ranges, nrow, folder, err);
  json_decref(ranges);
  return rc;
}

/* ---- groups: pieces whose sums are one ---- */

typedef struct group {
  const sheaf_flag_piece **piece; /* [n] */
  size_t n;
  int64_t bytes, nrow;
  int split;
} group;

typedef struct groups {
  const sheaf_flag_piece **piece; /* all, by group */
  group *group;
  size_t n;
} groups;

static int are_together(const sheaf_flag_cut *cut, const sheaf_flag_piece *a,
                        const sheaf_flag_piece *b) {
  if (!cut->calculate) return a->buffer == b->buffer;
  return a->field == b->field && cut->vis->spw_of[a->ddid] == cut->vis->spw_of[b->ddid];
}

static void free_groups(groups *g) {
  free(g->piece);
  free(g->group);
}

static int make_groups(groups *g, const sheaf_flag_cut *cut, const sheaf_flag_piece *p, size_t n,
                       sheaf_error *err) {
  uint8_t *done = calloc(n + 1, 1);
  size_t at = 0;
  int64_t total = 0;
  *g = (groups){.piece = malloc((n + 1) * sizeof(sheaf_flag_piece *)),
                .group = calloc(n + 1, sizeof(group))};
  if (!done || !g->piece || !g->group) {
    free(done);
    free_groups(g);
    return no_memory(err);
  }
  for (size_t i = 0; i < n; i++) {
    if (done[i]) continue;
    group *one = &g->group[g->n++];
    one->piece = g->piece + at;
    for (size_t k = i; k < n; k++) {
      if (!are_together(cut, &p[i], &p[k])) {
        if (!cut->calculate) break; /* buffers lie together */
        continue;
      }
      done[k] = 1;
      g->piece[at++] = &p[k];
      one->n++;
      one->bytes += p[k].bytes;
      one->nrow += p[k].n;
    }
    total += one->bytes;
  }
  free(done);
  /* A worker that has half of its share or more in one unit may be the last by far. */
  for (size_t i = 0; i < g->n && cut->thresholds && cut->nworker > 1; i++)
    g->group[i].split = g->group[i].n > 1 && g->group[i].bytes > total / (2 * cut->nworker);
  return 0;
}

/* ---- units ---- */

static json_t *numbers_of(const sheaf_flag_piece *p, int64_t n) {
  return json_pack("[I,I,i,i,i]", (json_int_t)p->first, (json_int_t)n, p->buffer, p->field,
                   p->ddid);
}

/* Adds pieces to a list; those that lie together and take little are one. */
static void append_pieces(json_t *list, const sheaf_flag_cut *cut, const group *g) {
  for (size_t i = 0, k; i < g->n; i = k) {
    int64_t n = 0, bytes = 0;
    for (k = i; k < g->n; k++) {
      const int next = k == i || (g->piece[k]->buffer == g->piece[i]->buffer &&
                                  g->piece[k]->first == g->piece[i]->first + n);
      if (!next || (k > i && bytes + g->piece[k]->bytes > cut->whole_bytes)) break;
      n += g->piece[k]->n;
      bytes += g->piece[k]->bytes;
    }
    json_array_append_new(list, numbers_of(g->piece[i], n));
  }
}

static int add_buffers(sheaf_flag_units *u, json_t *list, int64_t bytes, const json_t *sums,
                       sheaf_error *err) {
  char label[64], stem[64];
  snprintf(stem, sizeof stem, "p%zu", u->n);
  snprintf(label, sizeof label, "buffers %lld-%lld",
           (long long)json_integer_value(json_array_get(json_array_get(list, 0), 2)),
           (long long)json_integer_value(
               json_array_get(json_array_get(list, json_array_size(list) - 1), 2)));
  json_t *args = json_pack("{s:o, s:s}", "pieces", list, "stem", stem);
  if (sums) json_object_set(args, "sums", (json_t *)sums);
  return sheaf_flag_units_add(u, label, bytes, args, err);
}

/* The pieces of a group, a unit's worth at a time; `sums` NULL: units of medians. */
static int add_parts(sheaf_flag_units *u, const group *g, const json_t *sums, sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0, k; rc >= 0 && i < g->n; i = k) {
    json_t *list = json_array();
    int64_t bytes = 0;
    for (k = i; k < g->n && (k == i || bytes + g->piece[k]->bytes <= unit_bytes); k++) {
      json_array_append_new(list, numbers_of(g->piece[k], g->piece[k]->n));
      bytes += g->piece[k]->bytes;
    }
    rc = add_buffers(u, list, bytes, sums, err);
  }
  return rc;
}

/* Units of sums over a group, and the names of what they make. */
static int add_sums(sheaf_flag_units *u, const sheaf_flag_cut *cut, const group *g, size_t number,
                    json_t *names, sheaf_error *err) {
  const int64_t nchan = cut->vis->nchan[cut->vis->spw_of[g->piece[0]->ddid]];
  int64_t parts = nchan / LEAST_CHANNELS;
  if (parts > cut->nworker) parts = cut->nworker;
  if (parts > MOST_PARTS) parts = MOST_PARTS;
  if (parts < 1) parts = 1;
  json_t *list = json_array();
  int rc = 0;
  for (size_t i = 0; i < g->n; i++)
    json_array_append_new(list, numbers_of(g->piece[i], g->piece[i]->n));
  for (int64_t part = 0; rc >= 0 && part < parts; part++) {
    char stem[64], label[64];
    snprintf(stem, sizeof stem, "sums.%zu.%lld", number, (long long)part);
    snprintf(label, sizeof label, "sums of buffer %d", g->piece[0]->buffer);
    json_array_append_new(names, json_string(stem));
    rc = sheaf_flag_units_add(u, label, g->bytes,
                              json_pack("{s:O, s:s, s:I, s:I}", "pieces", list, "stem", stem,
                                        "part", (json_int_t)part, "of", (json_int_t)parts),
                              err);
  }
  json_decref(list);
  return rc;
}

/* The unit of threads that does medians and sums. */
static int add_tally(sheaf_flag_units *u, const group *g, size_t number, json_t *names,
                     sheaf_error *err) {
  json_t *list = json_array();
  char stem[64], label[64];
  for (size_t i = 0; i < g->n; i++)
    json_array_append_new(list, numbers_of(g->piece[i], g->piece[i]->n));
  snprintf(stem, sizeof stem, "sums.%zu", number);
  snprintf(label, sizeof label, "statistics of buffer %d", g->piece[0]->buffer);
  json_array_append_new(names, json_string(stem));
  return sheaf_flag_units_add(u, label, g->bytes,
                              json_pack("{s:o, s:s}", "pieces", list, "stem", stem), err);
}

static int split_group(sheaf_flag_rounds *r, const sheaf_flag_cut *cut, const group *g,
                       size_t number, sheaf_error *err) {
  json_t *names = json_array();
  int rc;
  if (cut->threads) {
    rc = add_tally(&r->tallies, g, number, names, err);
  } else {
    rc = add_parts(&r->medians, g, NULL, err);
    if (rc >= 0) rc = add_sums(&r->sums, cut, g, number, names, err);
  }
  if (rc >= 0 && cut->calculate)
    rc = add_buffers(&r->commands, json_pack("[o]", numbers_of(g->piece[0], g->piece[0]->n)), 1,
                     names, err);
  else if (rc >= 0)
    rc = add_parts(&r->commands, g, names, err);
  r->nrow += cut->calculate ? g->nrow : 2 * g->nrow;
  json_decref(names);
  return rc;
}

int sheaf_flag_rounds_make(sheaf_flag_rounds *r, const sheaf_flag_cut *cut,
                           const sheaf_flag_piece *pieces, size_t n, sheaf_error *err) {
  groups g;
  *r = (sheaf_flag_rounds){0};
  int rc = make_groups(&g, cut, pieces, n, err);
  if (rc < 0) return rc;
  for (size_t i = 0, k; rc >= 0 && i < g.n; i = k) {
    k = i + 1;
    if (g.group[i].split) {
      rc = split_group(r, cut, &g.group[i], i, err);
    } else if (!cut->thresholds) {
      group all = g.group[i]; /* nothing binds pieces: buffers are taken together */
      for (; k < g.n; k++) all.n += g.group[k].n;
      rc = add_parts(&r->commands, &all, NULL, err);
    } else {
      json_t *list = json_array();
      int64_t bytes = 0;
      for (k = i; k < g.n && !g.group[k].split; k++) {
        if (k > i && (cut->calculate || bytes + g.group[k].bytes > unit_bytes)) break;
        append_pieces(list, cut, &g.group[k]);
        bytes += g.group[k].bytes;
      }
      rc = add_buffers(&r->commands, list, bytes, NULL, err);
    }
  }
  free_groups(&g);
  return rc;
}

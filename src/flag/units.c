/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/units.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/keysort.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/threads.h"
#include "base/value.h"
#include "flag/loader.h"
#include "flag/long.h"
#include "flag/pass.h"
#include "flag/patch.h"
#include "flag/records.h"
#include "flag/recordset.h"
#include "flag/rowscan.h"
#include "flag/statistics.h"
#include "kernel/flag_summary.h"

/* A unit at work. */
typedef struct unit {
  const json_t *common, *args;
  sheaf_flag_vis vis;
  sheaf_flag_pass pass;
  sheaf_flag_loader *loader;
  sheaf_patcher *patcher; /* NULL: nothing is written */
  int rows;               /* FLAG_ROW of some row changes */
  json_t *devs;
  sheaf_flag_recordlist list; /* path NULL: not open yet */
  /* of a piece */
  sheaf_flag_record *records;
  int64_t room;
  void *arrays;
  size_t size;
} unit;

static int no_memory(const unit *u, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", u->vis.path);
}

static int open_unit(unit *u, const json_t *common, const json_t *args, sheaf_error *err) {
  *u = (unit){.common = common, .args = args, .list = {.fd = -1}};
  int rc = sheaf_flag_vis_from_value(&u->vis, json_object_get(common, "vis"), err);
  if (rc < 0) return rc;
  rc = sheaf_flag_pass_open(&u->pass, &u->vis, json_object_get(common, "run"), err);
  if (rc >= 0) rc = sheaf_flag_loader_open(&u->loader, &u->vis, &u->pass.agents, err);
  if (rc >= 0 && json_is_true(json_object_get(common, "write")))
    rc = sheaf_patcher_open(&u->patcher, sheaf_value_str(common, "folder", ""),
                            sheaf_value_str(args, "stem", "unit"), err);
  return rc;
}

static void close_unit(unit *u) {
  sheaf_patcher_abandon(u->patcher);
  sheaf_flag_loader_close(u->loader);
  sheaf_flag_pass_close(&u->pass);
  sheaf_flag_vis_free(&u->vis);
  sheaf_flag_recordlist_close(&u->list);
  json_decref(u->devs);
  free(u->records);
  free(u->arrays);
  sheaf_pool_rest();
  *u = (unit){0};
}

/* Whether row i of the block changed: 1 its flags, 2 its FLAG_ROW. */
static int changes(const unit *u, const sheaf_flag_block *b, int64_t i) {
  const size_t cell = (size_t)(b->nchan * b->ncorr);
  const uint8_t *before = sheaf_flag_loader_row_before(u->loader);
  const int row = b->flag_row && before && b->flag_row[i] != before[i];
  return (memcmp(b->flag + (size_t)i * cell, b->original + (size_t)i * cell, cell) != 0) + 2 * row;
}

/* Whether row i + 1 of the block is the next one of the table. */
static int is_next(const sheaf_flag_block *b, int64_t i) {
  return i + 1 < b->rows.n && b->rows.row[i + 1] == b->rows.row[i] + 1 &&
         (!b->rows.members || b->rows.members[i + 1] == b->rows.members[i]);
}

/* How many unchanged rows from i on lie between changed ones: they are written as well, as they
 * are, because a run of rows is one write. */
static int64_t count_between(const unit *u, const sheaf_flag_block *b, int64_t i) {
  enum { MOST = 16 };
  if (i == 0 || !is_next(b, i - 1)) return 0;
  for (int64_t k = i; k - i < MOST && is_next(b, k); k++)
    if (changes(u, b, k + 1) & 1) return k + 1 - i;
  return 0;
}

static int patch_row(unit *u, const sheaf_flag_block *b, int64_t i, int what, sheaf_error *err) {
  u->rows |= what >> 1;
  return sheaf_patcher_add(u->patcher, b->rows.members ? b->rows.members[i] : b->rows.member,
                           b->rows.row[i], what & 1 ? b->flag + i * b->nchan * b->ncorr : NULL,
                           b->nchan, b->ncorr,
                           !(what & 2)      ? SHEAF_PATCH_ROW_STAYS
                           : b->flag_row[i] ? SHEAF_PATCH_ROW_SET
                                            : SHEAF_PATCH_ROW_CLEAR,
                           err);
}

/* What became of a block. */
static int patch_block(unit *u, const sheaf_flag_block *b, sheaf_error *err) {
  int64_t between = 0; /* unchanged rows that are written all the same */
  int last = 0, rc = 0;
  for (int64_t i = 0; u->patcher && rc >= 0 && i < b->rows.n; i++) {
    int what = changes(u, b, i);
    if (!(what & 1) && between == 0 && (last & 1)) between = count_between(u, b, i);
    if (what & 1) between = 0;
    if (between > 0) {
      what |= 1;
      between--;
    }
    if (what) rc = patch_row(u, b, i, what, err);
    last = what;
  }
  return rc < 0 ? rc : 0;
}

static int finish_unit(unit *u, json_t **value, sheaf_error *err) {
  json_t *files = NULL, *flagged = json_array(), *counts = json_array();
  int rc = u->patcher ? sheaf_patcher_finish(u->patcher, &files, err) : 0;
  u->patcher = NULL;
  for (size_t i = 0; i < u->pass.agents.n; i++) {
    json_array_append_new(flagged, json_integer(u->pass.flagged[i]));
    json_array_append_new(counts, sheaf_counts_value(&u->pass.counts[i]));
  }
  *value = json_pack("{s:o, s:o, s:o, s:b, s:o}", "flagged", flagged, "counts", counts, "files",
                     files ? files : json_array(), "rows", u->rows, "devs",
                     u->devs ? json_incref(u->devs) : json_array());
  if (rc >= 0 && !*value) rc = no_memory(u, err);
  return rc;
}

/* ---- rows ---- */

/* Rows of one data description and one shape. */
static int run_stretch(unit *u, const sheaf_flag_rows *rows, int64_t from, int64_t n, int64_t nchan,
                       int64_t ncorr, sheaf_error *err) {
#define PART(array) rows->array ? rows->array + from : NULL
  sheaf_flag_block b = {.nchan = nchan,
                        .ncorr = ncorr,
                        .rows = {.n = n,
                                 .member = rows->member,
                                 .row = rows->row + from,
                                 .ddid = rows->ddid,
                                 .spw = rows->spw,
                                 .pol = rows->pol,
                                 .time = PART(time),
                                 .centroid = PART(centroid),
                                 .ant1 = PART(ant1),
                                 .ant2 = PART(ant2),
                                 .scan = PART(scan),
                                 .field = PART(field),
                                 .state = PART(state),
                                 .array = PART(array),
                                 .observation = PART(observation),
                                 .processor = PART(processor)}};
#undef PART
  sheaf_flag_rows_look(&b.rows);
  int rc = sheaf_flag_loader_read(u->loader, &b, err);
  if (rc >= 0) rc = sheaf_flag_pass_run(&u->pass, &b, err);
  if (rc >= 0) rc = patch_block(u, &b, err);
  return rc < 0 ? rc : sheaf_cancel_check(err);
}

/* Only rows that an agent selects are read: moves them to the front. */
static int64_t choose(unit *u, sheaf_flag_rows *r, uint8_t **keep, sheaf_error *err) {
  const sheaf_flag_agents *agents = &u->pass.agents;
  int64_t n = 0;
  for (size_t i = 0; i < agents->n; i++)
    if (sheaf_flag_filter_all(&agents->agent[i].filter)) return r->n;
  uint8_t *all = calloc((size_t)r->n * 2 + 1, 1), *one = all + r->n;
  *keep = all;
  if (!all) return no_memory(u, err);
  for (size_t i = 0; i < agents->n; i++) {
    const int64_t rc = sheaf_flag_filter_test(&agents->agent[i].filter, &u->vis, r, one, err);
    if (rc < 0) return rc;
    for (int64_t k = 0; rc && k < r->n; k++) all[k] |= one[k];
  }
#define PACK(array, type)                    \
  do {                                       \
    type *to = (type *)(uintptr_t)r->array;  \
    int64_t at = 0;                          \
    for (int64_t k = 0; to && k < r->n; k++) \
      if (all[k]) to[at++] = to[k];          \
  } while (0)
  PACK(row, int64_t);
  PACK(time, double);
  PACK(centroid, double);
  PACK(ant1, int32_t);
  PACK(ant2, int32_t);
  PACK(scan, int32_t);
  PACK(field, int32_t);
  PACK(state, int32_t);
  PACK(array, int32_t);
  PACK(observation, int32_t);
  PACK(processor, int32_t);
#undef PACK
  for (int64_t k = 0; k < r->n; k++) n += all[k];
  return n;
}

static int run_rows(void *user, const sheaf_flag_rows *given, sheaf_error *err) {
  unit *u = user;
  sheaf_flag_rows rows = *given;
  uint8_t *keep = NULL;
  int64_t n = choose(u, &rows, &keep, err);
  free(keep);
  if (n < 0) return (int)n;
  rows.n = n;
  for (int64_t i = 0; i < rows.n;) {
    int64_t nchan, ncorr, more[2];
    int rc = sheaf_flag_loader_shape(u->loader, rows.member, rows.row[i], &nchan, &ncorr, err);
    if (rc < 0) return rc;
    const int64_t most = sheaf_flag_loader_rows(u->loader, nchan, ncorr);
    for (n = 1; i + n < rows.n && n < most; n++) {
      rc =
          sheaf_flag_loader_shape(u->loader, rows.member, rows.row[i + n], &more[0], &more[1], err);
      if (rc < 0) return rc;
      if (more[0] != nchan || more[1] != ncorr) break;
    }
    if (nchan > 0 && (rc = run_stretch(u, &rows, i, n, nchan, ncorr, err)) < 0) return rc;
    i += n;
  }
  sheaf_progress_add(given->n);
  return 0;
}

int sheaf_flag_unit_rows(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err) {
  unit u;
  int rc = open_unit(&u, common, args, err);
  if (rc >= 0)
    rc = sheaf_flag_row_scan(&u.vis, (size_t)sheaf_value_int(args, "member", 0),
                             sheaf_value_int(args, "row0", 0), sheaf_value_int(args, "nrow", 0),
                             u.pass.agents.columns, run_rows, &u, err);
  if (rc >= 0) rc = finish_unit(&u, value, err);
  close_unit(&u);
  return rc;
}

/* ---- buffers ---- */

/* Arrays of a piece; rows in the order of members and rows, maps in that of baselines and times. */
typedef struct piece {
  sheaf_flag_block block;
  sheaf_flag_maps maps;
  int64_t n;
  int is_long; /* one baseline that is too large for memory: its cells are not read */
} piece;

static int read_records(unit *u, int64_t first, int64_t n, sheaf_error *err) {
  int rc = u->list.path ? 0 : sheaf_flag_recordlist_open(&u->list, u->common, err);
  if (rc < 0) return rc;
  if (n > u->room) {
    free(u->records);
    u->room = 0;
    if (!(u->records = malloc((size_t)n * sizeof *u->records))) return no_memory(u, err);
    u->room = n;
  }
  return sheaf_flag_recordlist_read(&u->list, first, n, u->records, err);
}

static void *take(uint8_t **at, size_t size) {
  void *here = *at;
  *at += (size + 63) / 64 * 64;
  return here;
}

static int reserve_arrays(unit *u, int64_t n, sheaf_error *err) {
  const size_t size = (size_t)(n + 2) * 160 + 64 * 32;
  if (size <= u->size) return 0;
  free(u->arrays);
  u->size = 0;
  if (!(u->arrays = aligned_alloc(64, (size + 63) / 64 * 64))) return no_memory(u, err);
  u->size = size;
  return 0;
}

/* Rows without flags take no part: their records go. */
static int64_t drop_undefined(unit *u, int64_t n, piece *p, sheaf_error *err) {
  int64_t left = 0;
  for (int64_t i = 0; i < n; i++) {
    const sheaf_flag_record *r = &u->records[i];
    int64_t nchan, ncorr;
    const int rc =
        sheaf_flag_loader_shape(u->loader, (size_t)r->member, r->row, &nchan, &ncorr, err);
    if (rc < 0) return rc;
    if (nchan == 0) continue;
    if (left && (nchan != p->block.nchan || ncorr != p->block.ncorr))
      return sheaf_fail(err, SHEAF_ERR_DATA,
                        "%s: cells of row %lld have another shape than others of data description "
                        "%d",
                        u->vis.member[r->member], (long long)r->row, (int)r->place.ddid);
    p->block.nchan = nchan;
    p->block.ncorr = ncorr;
    u->records[left++] = *r;
  }
  return left;
}

/* Fills the block's arrays from the records. */
static int arrange(unit *u, piece *p, sheaf_error *err) {
  const int64_t n = p->n;
  int rc = reserve_arrays(u, n, err);
  if (rc < 0) return rc;
  uint8_t *at = u->arrays;
  const size_t k = (size_t)n + 1;
  sheaf_keyed *order = take(&at, k * sizeof *order), *spare = take(&at, k * sizeof *spare);
  int64_t *map_row = take(&at, k * 8), *start = take(&at, k * 8), *row = take(&at, k * 8);
  size_t *members = take(&at, k * sizeof *members);
  double *time = take(&at, k * 8), *centroid = take(&at, k * 8);
  int32_t *ints[8];
  for (int i = 0; i < 8; i++) ints[i] = take(&at, k * 4);
  for (int64_t i = 0; i < n; i++)
    order[i] = (sheaf_keyed){sheaf_patch_key((size_t)u->records[i].member, u->records[i].row), i};
  sheaf_keysort(order, n, spare);
  for (int64_t i = 0; i < n; i++) {
    const sheaf_flag_record *r = &u->records[order[i].value];
    map_row[order[i].value] = i;
    row[i] = r->row;
    members[i] = (size_t)r->member;
    time[i] = r->time;
    centroid[i] = r->centroid;
    const int32_t values[8] = {r->ant1,  r->ant2,        r->place.scan,        r->place.field,
                               r->state, r->place.array, r->place.observation, r->processor};
    for (int c = 0; c < 8; c++) ints[c][i] = values[c];
  }
  int64_t nmap = 0;
  for (int64_t i = 0; i < n; i++)
    if (i == 0 || u->records[i].ant1 != u->records[i - 1].ant1 ||
        u->records[i].ant2 != u->records[i - 1].ant2)
      start[nmap++] = i;
  start[nmap] = n;
  const int32_t ddid = u->records[0].place.ddid;
  p->maps = (sheaf_flag_maps){.nmap = nmap, .start = start, .row = map_row};
  p->block.maps = &p->maps;
  p->block.rows = (sheaf_flag_rows){.n = n,
                                    .row = row,
                                    .members = members,
                                    .ddid = ddid,
                                    .spw = u->vis.spw_of[ddid],
                                    .pol = u->vis.pol_of[ddid],
                                    .time = time,
                                    .centroid = centroid,
                                    .ant1 = ints[0],
                                    .ant2 = ints[1],
                                    .scan = ints[2],
                                    .field = ints[3],
                                    .state = ints[4],
                                    .array = ints[5],
                                    .observation = ints[6],
                                    .processor = ints[7]};
  sheaf_flag_rows_look(&p->block.rows);
  return 0;
}

/* Loads a piece; p->n is 0 when none of its rows has flags. */
static int load_piece(unit *u, const json_t *numbers, piece *p, sheaf_error *err) {
  const int64_t first = json_integer_value(json_array_get(numbers, 0));
  const int64_t n = json_integer_value(json_array_get(numbers, 1));
  *p = (piece){0};
  int rc = sheaf_cancel_check(err);
  if (rc >= 0) rc = read_records(u, first, n, err);
  if (rc < 0) return rc;
  p->n = drop_undefined(u, n, p, err);
  if (p->n <= 0) return (int)p->n;
  rc = arrange(u, p, err);
  if (rc < 0) return rc;
  p->is_long = sheaf_flag_long_is(&u->pass, u->loader, &p->block);
  if (!p->is_long) return sheaf_flag_loader_read(u->loader, &p->block, err);
  sheaf_log(SHEAF_LOG_DEBUG, "%s: baseline %d-%d with %lld rows is worked in stretches of time",
            u->vis.path, (int)p->block.rows.ant1[0], (int)p->block.rows.ant2[0], (long long)p->n);
  return 0;
}

static sheaf_flag_long long_of(unit *u, piece *p) {
  return (sheaf_flag_long){.pass = &u->pass,
                           .loader = u->loader,
                           .whole = &p->block,
                           .folder = sheaf_value_str(u->common, "folder", "")};
}

static int tally_piece(unit *u, piece *p, const sheaf_flag_share *share, sheaf_error *err) {
  if (!p->is_long) return sheaf_flag_pass_tally(&u->pass, &p->block, share, err);
  const sheaf_flag_long work = long_of(u, p);
  return sheaf_flag_long_tally(&work, share, err);
}

static int patch_stretch(void *user, const sheaf_flag_block *block, sheaf_error *err) {
  return patch_block(user, block, err);
}

static int number_of(const json_t *numbers, size_t k) {
  return (int)json_integer_value(json_array_get(numbers, k));
}

static int run_piece(unit *u, piece *p, sheaf_error *err) {
  const sheaf_flag_long work = long_of(u, p);
  const int rc = p->is_long ? sheaf_flag_long_run(&work, patch_stretch, u, err)
                            : sheaf_flag_pass_run(&u->pass, &p->block, err);
  sheaf_progress_add(p->n);
  if (p->is_long) return rc;
  return rc < 0 ? rc : patch_block(u, &p->block, err);
}

/* Where the medians of a piece are. */
static const char *medians_path(const unit *u, const json_t *numbers, char path[4600]) {
  snprintf(path, 4600, "%s/medians.%lld", sheaf_value_str(u->common, "folder", ""),
           (long long)json_integer_value(json_array_get(numbers, 0)));
  return path;
}

/* The sums of a buffer that other units have made. */
static int collect_sums(unit *u, const json_t *sums, sheaf_error *err) {
  size_t i;
  json_t *name;
  int rc = 0;
  json_array_foreach((json_t *)sums, i, name) {
    char path[4600];
    snprintf(path, sizeof path, "%s/%s", sheaf_value_str(u->common, "folder", ""),
             json_string_value(name));
    if ((rc = sheaf_flag_sums_add(&u->pass, path, err)) < 0) break;
  }
  return rc;
}

static const sheaf_flag_share everything = {.medians = 1, .part = 0, .of = 1};

/* The pieces from..to-1 of one buffer. */
static int run_buffer(unit *u, const json_t *pieces, size_t from, size_t to, sheaf_error *err) {
  piece p;
  char path[4600];
  int rc = 0, loaded = 0;
  const json_t *first = json_array_get(pieces, from), *sums = json_object_get(u->args, "sums");
  const int tally = !sums && sheaf_flag_agents_need_thresholds(&u->pass.agents);
  sheaf_flag_pass_reset(&u->pass);
  for (size_t i = from; tally && i < to; i++) {
    SHEAF_TRY(load_piece(u, json_array_get(pieces, i), &p, err));
    if (p.n) SHEAF_TRY(tally_piece(u, &p, &everything, err));
    loaded = to - from == 1;
  }
  SHEAF_TRY(collect_sums(u, sums, err));
  SHEAF_TRY(sheaf_flag_pass_settle(&u->pass, number_of(first, 3),
                                   u->vis.spw_of[number_of(first, 4)], err));
  for (size_t i = from; i < to; i++) {
    const json_t *numbers = json_array_get(pieces, i);
    if (!loaded) {
      sheaf_flag_pass_forget(&u->pass);
      SHEAF_TRY(load_piece(u, numbers, &p, err));
      if (sums && p.n)
        SHEAF_TRY(sheaf_flag_medians_read(&u->pass, medians_path(u, numbers, path), err));
    }
    if (p.n) SHEAF_TRY(run_piece(u, &p, err));
  }
done:
  return rc < 0 ? rc : 0;
}

/* rflag's thresholds over all pieces, which are of one field and spw. */
static int calculate(unit *u, const json_t *pieces, sheaf_error *err) {
  int rc = 0;
  const json_t *sums = json_object_get(u->args, "sums");
  const int field = number_of(json_array_get(pieces, 0), 3);
  const int spw = u->vis.spw_of[number_of(json_array_get(pieces, 0), 4)];
  sheaf_flag_pass_reset(&u->pass);
  for (size_t i = 0; !sums && i < json_array_size(pieces); i++) {
    piece p;
    SHEAF_TRY(load_piece(u, json_array_get(pieces, i), &p, err));
    if (p.n) SHEAF_TRY(tally_piece(u, &p, &everything, err));
    sheaf_progress_add(p.n);
  }
  SHEAF_TRY(collect_sums(u, sums, err));
  SHEAF_TRY(sheaf_flag_pass_settle(&u->pass, field, spw, err));
  u->devs = json_array();
  for (size_t i = 0; i < u->pass.agents.n; i++) {
    const sheaf_flag_tally *t = &u->pass.tally[i];
    if (u->pass.agents.agent[i].mode == SHEAF_FLAG_RFLAG && t->memory)
      json_array_append_new(u->devs,
                            json_pack("[I,i,i,f,f]", (json_int_t)i, field, spw, t->time, t->freq));
  }
done:
  return rc < 0 ? rc : 0;
}

int sheaf_flag_unit_buffers(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err) {
  const json_t *pieces = json_object_get(args, "pieces");
  const size_t n = json_array_size(pieces);
  unit u;
  int rc = open_unit(&u, common, args, err);
  if (rc >= 0 && json_is_true(json_object_get(common, "calculate"))) {
    rc = calculate(&u, pieces, err);
  } else {
    for (size_t i = 0, k; rc >= 0 && i < n; i = k) {
      for (k = i + 1; k < n; k++)
        if (number_of(json_array_get(pieces, k), 2) != number_of(json_array_get(pieces, i), 2))
          break;
      rc = run_buffer(&u, pieces, i, k, err);
    }
  }
  if (rc >= 0) rc = finish_unit(&u, value, err);
  close_unit(&u);
  return rc;
}

/* ---- records ---- */

static int give_number(json_t **value, int64_t n, sheaf_error *err) {
  *value = json_integer(n);
  return *value ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a result");
}

int sheaf_flag_unit_records(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err) {
  const sheaf_flag_grouping grouping = {
      .combinescans = sheaf_value_bool(common, "combinescans", 0),
      .per_member = sheaf_value_bool(common, "per_member", 0)};
  const json_t *list = json_object_get(args, "ranges");
  const size_t nrange = json_array_size(list);
  sheaf_flag_range *ranges = calloc(nrange + 1, sizeof *ranges);
  sheaf_flag_vis vis;
  sheaf_flag_agents agents = {0};
  int64_t n = 0;
  int rc = sheaf_flag_vis_from_value(&vis, json_object_get(common, "vis"), err);
  if (rc >= 0 && !ranges) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for ranges of rows");
  for (size_t i = 0; rc >= 0 && i < nrange; i++) {
    const json_t *one = json_array_get(list, i);
    ranges[i] = (sheaf_flag_range){(size_t)json_integer_value(json_array_get(one, 0)),
                                   json_integer_value(json_array_get(one, 1)),
                                   json_integer_value(json_array_get(one, 2))};
  }
  if (rc >= 0) rc = sheaf_flag_agents_make(&agents, &vis, json_object_get(common, "run"), err);
  if (rc >= 0)
    rc = sheaf_flag_records_write(&vis, &agents, &grouping, ranges, nrange,
                                  sheaf_value_str(args, "path", ""), &n, err);
  if (rc >= 0) rc = give_number(value, n, err);
  sheaf_flag_agents_free(&agents);
  sheaf_flag_vis_free(&vis);
  free(ranges);
  return rc;
}

/* ---- statistics of a large buffer ---- */

int sheaf_flag_unit_medians(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err) {
  static const sheaf_flag_share medians = {.medians = 1};
  const json_t *pieces = json_object_get(args, "pieces");
  char path[4600];
  unit u;
  int rc = open_unit(&u, common, args, err);
  if (rc >= 0) sheaf_flag_pass_reset(&u.pass);
  for (size_t i = 0; rc >= 0 && i < json_array_size(pieces); i++) {
    const json_t *numbers = json_array_get(pieces, i);
    piece p;
    rc = load_piece(&u, numbers, &p, err);
    if (rc < 0 || p.n == 0) continue;
    rc = tally_piece(&u, &p, &medians, err);
    if (rc >= 0) rc = sheaf_flag_medians_write(&u.pass, medians_path(&u, numbers, path), err);
    sheaf_progress_add(p.n);
  }
  if (rc >= 0) rc = give_number(value, 0, err);
  close_unit(&u);
  return rc;
}

int sheaf_flag_unit_sums(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err) {
  const json_t *pieces = json_object_get(args, "pieces");
  const sheaf_flag_share share = {.part = sheaf_value_int(args, "part", 0),
                                  .of = sheaf_value_int(args, "of", 1)};
  char path[4600];
  int64_t n = 0;
  unit u;
  int rc = open_unit(&u, common, args, err);
  if (rc >= 0) sheaf_flag_pass_reset(&u.pass);
  for (size_t i = 0; rc >= 0 && i < json_array_size(pieces); i++) {
    const json_t *numbers = json_array_get(pieces, i);
    piece p;
    rc = load_piece(&u, numbers, &p, err);
    if (rc < 0 || p.n == 0) continue;
    rc = sheaf_flag_medians_read(&u.pass, medians_path(&u, numbers, path), err);
    if (rc >= 0) rc = tally_piece(&u, &p, &share, err);
    n += p.n;
    sheaf_progress_add(n / share.of);
    n %= share.of;
  }
  snprintf(path, sizeof path, "%s/%s", sheaf_value_str(common, "folder", ""),
           sheaf_value_str(args, "stem", "sums"));
  if (rc >= 0) rc = sheaf_flag_sums_write(&u.pass, path, err);
  if (rc >= 0) rc = give_number(value, 0, err);
  close_unit(&u);
  return rc;
}

/* ---- statistics of a large buffer, by threads ---- */

/* Pieces are taken in their order, and their medians found in any; sums go on from piece to piece. */
typedef struct tallying {
  const json_t *common, *args, *pieces;
  size_t n;
  atomic_size_t next;
  pthread_mutex_t lock;
  pthread_cond_t moved;
  size_t turn; /* the piece whose sums are next */
  sheaf_flag_tally *sums; /* [agents] between turns */
  atomic_int failed;
  sheaf_error error;
} tallying;

/* Hands the sums of all agents over. */
static void exchange_sums(tallying *t, unit *u) {
  for (size_t i = 0; t->sums && i < u->pass.agents.n; i++) {
    sheaf_flag_tally *mine = &u->pass.tally[i], other = *mine;
    mine->nchan = t->sums[i].nchan;
    mine->memory = t->sums[i].memory;
    t->sums[i].nchan = other.nchan;
    t->sums[i].memory = other.memory;
  }
}

static void fail_all(tallying *t, int rc, const sheaf_error *err) {
  pthread_mutex_lock(&t->lock);
  if (!t->failed) {
    t->failed = rc;
    t->error = *err;
  }
  pthread_cond_broadcast(&t->moved);
  pthread_mutex_unlock(&t->lock);
}

/* Waits for the turn of piece i; 0 when another one has failed. */
static int wait_turn(tallying *t, size_t i) {
  pthread_mutex_lock(&t->lock);
  while (!t->failed && t->turn != i) pthread_cond_wait(&t->moved, &t->lock);
  const int mine = !t->failed;
  pthread_mutex_unlock(&t->lock);
  return mine;
}

static void end_turn(tallying *t) {
  pthread_mutex_lock(&t->lock);
  t->turn++;
  pthread_cond_broadcast(&t->moved);
  pthread_mutex_unlock(&t->lock);
}

static int tally_in_turn(tallying *t, unit *u, size_t i, sheaf_error *err) {
  static const sheaf_flag_share medians = {.medians = 1}, sums = {.part = 0, .of = 1};
  const json_t *numbers = json_array_get(t->pieces, i);
  char path[4600];
  piece p;
  int rc = load_piece(u, numbers, &p, err);
  if (rc >= 0 && p.n) rc = tally_piece(u, &p, &medians, err);
  if (rc >= 0 && p.n) rc = sheaf_flag_medians_write(&u->pass, medians_path(u, numbers, path), err);
  if (rc < 0) return rc;
  sheaf_progress_add(p.n);
  if (!wait_turn(t, i)) return 0;
  exchange_sums(t, u);
  if (p.n) rc = tally_piece(u, &p, &sums, err);
  exchange_sums(t, u);
  sheaf_progress_add(p.n);
  if (rc >= 0) end_turn(t);
  return rc;
}

/* A thread at work; the one that called has the unit. */
static void *tally_pieces(void *arg) {
  tallying *t = arg;
  sheaf_error err = {0};
  unit u;
  int rc = open_unit(&u, t->common, t->args, &err);
  while (rc >= 0 && !t->failed) {
    const size_t i = atomic_fetch_add(&t->next, 1);
    if (i >= t->n) break;
    rc = tally_in_turn(t, &u, i, &err);
  }
  if (rc < 0) fail_all(t, rc, &err);
  close_unit(&u);
  return NULL;
}

static int run_threads(tallying *t, sheaf_error *err) {
  enum { MOST = 64 };
  pthread_t thread[MOST];
  int n = 0, want = sheaf_threads();
  if (want > MOST) want = MOST;
  if ((size_t)want > t->n) want = (int)t->n;
  while (n < want - 1 && pthread_create(&thread[n], NULL, tally_pieces, t) == 0) n++;
  tally_pieces(t);
  while (n > 0) pthread_join(thread[--n], NULL);
  if (t->failed && err) *err = t->error;
  return t->failed;
}

int sheaf_flag_unit_tally(const json_t *common, const json_t *args, json_t **value,
                          sheaf_error *err) {
  const json_t *pieces = json_object_get(args, "pieces");
  tallying t = {.common = common,
                .args = args,
                .pieces = pieces,
                .n = json_array_size(pieces),
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .moved = PTHREAD_COND_INITIALIZER};
  char path[4600];
  unit u;
  int rc = open_unit(&u, common, args, err);
  if (rc >= 0 && !(t.sums = calloc(u.pass.agents.n + 1, sizeof *t.sums))) rc = no_memory(&u, err);
  if (rc >= 0) rc = run_threads(&t, err);
  snprintf(path, sizeof path, "%s/%s", sheaf_value_str(common, "folder", ""),
           sheaf_value_str(args, "stem", "sums"));
  exchange_sums(&t, &u);
  if (rc >= 0) rc = sheaf_flag_sums_write(&u.pass, path, err);
  if (rc >= 0) rc = give_number(value, 0, err);
  free(t.sums);
  close_unit(&u);
  return rc;
}

/* ---- writing ---- */

static const char *member_path(const json_t *common, const json_t *args) {
  const json_t *members = json_object_get(json_object_get(common, "vis"), "members");
  const char *path =
      json_string_value(json_array_get(members, (size_t)sheaf_value_int(args, "member", 0)));
  return path ? path : "";
}

int sheaf_flag_unit_apply(const json_t *common, const json_t *args, json_t **value,
                          sheaf_error *err) {
  int64_t written = 0;
  const int rc = sheaf_patch_flags(
      sheaf_value_str(common, "folder", ""), json_object_get(args, "files"),
      member_path(common, args), (size_t)sheaf_value_int(args, "member", 0),
      sheaf_value_int(args, "row0", 0), sheaf_value_int(args, "nrow", 0), &written, err);
  return rc < 0 ? rc : give_number(value, written, err);
}

int sheaf_flag_unit_apply_rows(const json_t *common, const json_t *args, json_t **value,
                               sheaf_error *err) {
  int64_t written = 0;
  const int rc = sheaf_patch_rows(sheaf_value_str(common, "folder", ""),
                                  json_object_get(args, "files"), member_path(common, args),
                                  (size_t)sheaf_value_int(args, "member", 0), &written, err);
  return rc < 0 ? rc : give_number(value, written, err);
}

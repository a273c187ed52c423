/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/copier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "ms/copier_impl.h"
#include "table/isolate.h"

enum {
  SORT_BYTES = 8 << 20,
  MANY_CHANGES = 16 /* one row in so many: an incremental manager would be slow and large */
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the rows of a sub-MS");
}

static char *scratch_name(const char *base, const char *what, size_t number) {
  const size_t room = strlen(base) + strlen(what) + 32;
  char *name = malloc(room);
  if (name) snprintf(name, room, "%s.%s%zu", base, what, number);
  return name;
}

sheaf_recspan sheaf_copier_runs(const copier *c, size_t output) {
  return (sheaf_recspan){c->runs.path, c->output[output].first_run, c->output[output].nrun};
}

/* ---- the rows of one output ---- */

/* A set of small numbers in ascending order. */
typedef struct id_set {
  int32_t *id;
  size_t n, room;
} id_set;

static int id_set_add(id_set *set, int32_t id) {
  size_t at = set->n;
  while (at > 0 && set->id[at - 1] > id) at--;
  if (at > 0 && set->id[at - 1] == id) return 0;
  if (set->n == set->room) {
    int32_t *more = realloc(set->id, (set->room = set->room ? 2 * set->room : 16) * sizeof *more);
    if (!more) return SHEAF_ERR_NOMEM;
    set->id = more;
  }
  memmove(set->id + at + 1, set->id + at, (set->n++ - at) * sizeof *set->id);
  set->id[at] = id;
  return 0;
}

static json_t *id_set_value(const id_set *set) {
  json_t *list = json_array();
  for (size_t i = 0; i < set->n; i++) json_array_append_new(list, json_integer(set->id[i]));
  return list;
}

/* What walking over the records of an output in its order finds out. */
typedef struct walk {
  copier *c;
  copy_output *out;
  int32_t output;
  sheaf_recwriter *writer;
  copy_run run;    /* being collected */
  char *last;      /* [layout->size] the record before */
  int64_t *change; /* [nfield] how often each column changes */
  id_set scans, ddids;
} walk;

static int put_run(walk *w, sheaf_error *err) {
  if (w->run.n == 0) return 0;
  copy_run *to = sheaf_recwriter_next(w->writer, err);
  if (!to) return SHEAF_ERR_IO;
  *to = w->run;
  w->run.n = 0;
  w->out->nrun++;
  return 0;
}

static int add_to_run(walk *w, const sheaf_rowkey *key, int64_t out, sheaf_error *err) {
  copy_run *r = &w->run;
  if (r->n && key->row == r->row + r->n && key->source == r->source && key->ddid == r->ddid &&
      r->n < MOST_RUN_ROWS) {
    r->n++;
    return 0;
  }
  const int rc = put_run(w, err);
  *r = (copy_run){.row = key->row,
                  .out = out,
                  .n = 1,
                  .source = key->source,
                  .ddid = key->ddid,
                  .output = w->output};
  return rc;
}

static int new_ids(walk *w, const sheaf_rowkey *key, sheaf_error *err) {
  const sheaf_idmap *map = &w->c->plan->reindex.ddid;
  int32_t ddid = key->ddid;
  if (ddid < 0 || (size_t)ddid >= w->c->plan->reindex.nddid)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld has DATA_DESC_ID %d; there are %zu",
                      w->c->ms[key->source], (long long)key->row, ddid, w->c->plan->reindex.nddid);
  if (map->to && (size_t)ddid < map->n) ddid = map->to[ddid];
  if (id_set_add(&w->scans, key->scan) < 0 || id_set_add(&w->ddids, ddid) < 0)
    return no_memory(err);
  return 0;
}

static int walk_record(walk *w, const char *record, int64_t out, sheaf_error *err) {
  const sheaf_rowlayout *layout = w->c->layout;
  const sheaf_rowkey *key = (const void *)record, *last = (const void *)w->last;
  int rc = 0;
  if (out == 0 || key->scan != last->scan || key->ddid != last->ddid) rc = new_ids(w, key, err);
  for (size_t i = 0; i < layout->nfield; i++) {
    const sheaf_rowfield *f = &layout->field[i];
    w->change[i] += memcmp(record + f->offset, w->last + f->offset, f->size) != 0;
  }
  memcpy(w->last, record, layout->size);
  return rc < 0 ? rc : add_to_run(w, key, out, err);
}

static int walk_output(walk *w, sheaf_error *err) {
  copy_output *out = w->out;
  const sheaf_rowlayout *layout = w->c->layout;
  sheaf_recreader reader;
  const void *record;
  int64_t row = 0;
  w->last = calloc(1, layout->size);
  w->change = calloc(layout->nfield + 1, sizeof *w->change);
  out->often = calloc(layout->nfield + 1, 1);
  int rc = sheaf_recreader_open(&reader, out->rows, out->nspan, layout->size, 1024, err);
  if (rc >= 0 && (!w->last || !w->change || !out->often)) rc = no_memory(err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0)
    rc = walk_record(w, record, row++, err);
  if (rc >= 0) rc = put_run(w, err);
  sheaf_recreader_close(&reader);
  for (size_t i = 0; rc >= 0 && i < layout->nfield; i++)
    out->often[i] = w->change[i] > out->nrow / MANY_CHANGES + 16;
  out->scans = id_set_value(&w->scans);
  out->ddids = id_set_value(&w->ddids);
  free(w->scans.id);
  free(w->ddids.id);
  free(w->last);
  free(w->change);
  return rc;
}

/* Brings the records of an output into its order. */
static int order_rows(copier *c, size_t output, const sheaf_copyjob *job, sheaf_error *err) {
  const sheaf_copyoutput *from = &job->outputs[output];
  copy_output *out = &c->output[output];
  int sorted;
  out->path = from->path;
  out->checksums = json_object();
  out->rows = malloc((from->nspan + 1) * sizeof *out->rows);
  out->sorted = scratch_name(job->scratch, "rows", output);
  if (!out->rows || !out->sorted) return no_memory(err);
  memcpy(out->rows, from->rows, from->nspan * sizeof *out->rows);
  out->nspan = from->nspan;
  for (size_t i = 0; i < out->nspan; i++) out->nrow += out->rows[i].n;
  const int rc = sheaf_recsort(out->rows, out->nspan, c->layout->size, sheaf_rowkey_compare,
                               out->sorted, SORT_BYTES, &sorted, err);
  if (rc < 0 || sorted) return rc;
  out->rows[0] = (sheaf_recspan){out->sorted, 0, out->nrow};
  out->nspan = 1;
  return 0;
}

static int find_rows(copier *c, const sheaf_copyjob *job, sheaf_error *err) {
  sheaf_recwriter writer;
  int64_t total = 0;
  int rc = sheaf_recwriter_open(&writer, c->runs_path, sizeof(copy_run), err);
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++) {
    walk w = {.c = c, .out = &c->output[o], .output = (int32_t)o, .writer = &writer};
    rc = order_rows(c, o, job, err);
    w.out->first_run = writer.n;
    if (rc >= 0) rc = walk_output(&w, err);
    total += w.out->nrow;
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  c->runs = (sheaf_recspan){c->runs_path, 0, writer.n};
  sheaf_recwriter_free(&writer);
  return rc >= 0 && total == 0 ? sheaf_fail(err, SHEAF_ERR_EMPTY, "no rows are selected") : rc;
}

static int check_inputs(const copier *c, const int64_t *nrow, sheaf_error *err) {
  for (size_t s = 0; s < c->nms; s++)
    if (sheaf_table_nrow(c->in[s]) != nrow[s])
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s has %lld rows; it had %lld when the task started",
                        c->ms[s], (long long)sheaf_table_nrow(c->in[s]), (long long)nrow[s]);
  return 0;
}

/* ---- all rows of all inputs as they come ---- */

static int take_all_rows(copier *c, const char *path, sheaf_error *err) {
  copy_output *out = &c->output[0];
  sheaf_recwriter writer;
  out->path = path;
  out->checksums = json_object();
  int rc = sheaf_recwriter_open(&writer, c->runs_path, sizeof(copy_run), err);
  for (size_t s = 0; s < c->nms; s++) {
    const int64_t nrow = sheaf_table_nrow(c->in[s]);
    for (int64_t row = 0; rc >= 0 && row < nrow; row += MOST_RUN_ROWS) {
      const int64_t n = nrow - row < MOST_RUN_ROWS ? nrow - row : MOST_RUN_ROWS;
      copy_run *run = sheaf_recwriter_next(&writer, err);
      if (!run) rc = SHEAF_ERR_IO;
      if (rc < 0) break;
      *run = (copy_run){.row = row, .out = out->nrow, .n = (int32_t)n, .source = (int32_t)s};
      out->nrow += n;
    }
  }
  out->nrun = writer.n;
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  c->runs = (sheaf_recspan){c->runs_path, 0, writer.n};
  sheaf_recwriter_free(&writer);
  return rc;
}

/* ---- the tables ---- */

static int compare_by_input(const void *pa, const void *pb) {
  const copy_run *a = pa, *b = pb;
  if (a->source != b->source) return a->source < b->source ? -1 : 1;
  return (a->row > b->row) - (a->row < b->row);
}

static int order_by_input(copier *c, sheaf_error *err) {
  int sorted;
  const int rc = sheaf_recsort(&c->runs, 1, sizeof(copy_run), compare_by_input, c->input_path,
                               SORT_BYTES, &sorted, err);
  c->input = c->runs;
  if (rc >= 0 && !sorted) c->input.path = c->input_path;
  return rc;
}

static int open_sources(copier *c, sheaf_error *err) {
  int rc = 0;
  for (size_t s = 0; rc >= 0 && s < c->nms; s++) rc = sheaf_table_open(&c->in[s], c->ms[s], 0, err);
  return rc;
}

static int copier_open(copier *c, const char *scratch, sheaf_error *err) {
  c->in = calloc(c->nms + 1, sizeof *c->in);
  c->output = calloc(c->noutput + 1, sizeof *c->output);
  c->runs_path = scratch_name(scratch, "runs", 0);
  c->input_path = scratch_name(scratch, "input", 0);
  c->probe_path = scratch_name(scratch, "probe", 0);
  if (!c->in || !c->output || !c->runs_path || !c->input_path || !c->probe_path)
    return no_memory(err);
  return open_sources(c, err);
}

static void copier_close(copier *c) {
  for (size_t s = 0; c->in && s < c->nms; s++) sheaf_table_close(c->in[s]);
  for (size_t o = 0; c->output && o < c->noutput; o++) {
    copy_output *out = &c->output[o];
    if (out->sorted) unlink(out->sorted);
    free(out->sorted);
    free(out->rows);
    free(out->often);
    json_decref(out->scans);
    json_decref(out->ddids);
    json_decref(out->checksums);
  }
  if (c->runs_path) unlink(c->runs_path);
  if (c->input_path) unlink(c->input_path);
  free(c->in);
  free(c->output);
  free(c->runs_path);
  free(c->input_path);
  free(c->probe_path);
}

typedef struct table_work {
  copier *c;
  array_copies *arrays;
} table_work;

/* casacore's part, in a process of its own: the tables with their scalars, and once the array
 * columns have their places, so that the caller can fill them, the texts and what else casacore must
 * read. */
static int write_tables(void *user, json_t **value, sheaf_error *err) {
  const table_work *work = user;
  copier *c = work->c;
  int rc = sheaf_tables_renew(c->in, c->nms, err);
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++) {
    rc = sheaf_tree_remove(c->output[o].path, err);
    if (rc >= 0) rc = sheaf_copier_create(c, o, err);
    if (rc >= 0) rc = sheaf_arrays_create(work->arrays, o, err);
  }
  if (rc >= 0) sheaf_isolation_tell();
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++) rc = sheaf_copier_texts(c, o, err);
  if (rc >= 0) rc = sheaf_arrays_copy_casacore(work->arrays, err);
  *value = json_array();
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++)
    json_array_append(*value, c->output[o].checksums);
  return rc;
}

static int copy_tables(copier *c, sheaf_error *err) {
  array_copies *arrays = NULL;
  sheaf_isolation *child = NULL;
  json_t *checksums = NULL;
  int rc;
  SHEAF_TRY(order_by_input(c, err));
  SHEAF_TRY(sheaf_arrays_plan(&arrays, c, err));
  table_work work = {c, arrays};
  SHEAF_TRY(sheaf_isolation_begin(&child, c->output[0].path, write_tables, &work, err));
  rc = sheaf_isolation_wait(child, err);
  if (rc >= 0) rc = sheaf_arrays_copy_tiles(arrays, err);
  if (rc < 0) goto done;
  rc = sheaf_isolation_end(child, &checksums, err);
  child = NULL;
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++)
    json_object_update(c->output[o].checksums, json_array_get(checksums, o));
done:
  sheaf_isolation_abandon(child);
  json_decref(checksums);
  sheaf_arrays_close(arrays);
  return rc;
}

int sheaf_copy_rows(const sheaf_copyjob *job, json_t **ledgers, sheaf_error *err) {
  copier c = {.plan = job->plan,
              .layout = job->layout,
              .nms = job->nms,
              .ms = job->ms,
              .noutput = job->noutput,
              .reflinks = -1};
  *ledgers = NULL;
  int rc = copier_open(&c, job->scratch, err);
  if (rc >= 0) rc = check_inputs(&c, job->nrow, err);
  if (rc >= 0) rc = find_rows(&c, job, err);
  if (rc >= 0) rc = copy_tables(&c, err);
  if (rc >= 0) *ledgers = json_array();
  for (size_t o = 0; rc >= 0 && o < c.noutput; o++) {
    const copy_output *out = &c.output[o];
    json_array_append_new(
        *ledgers, json_pack("{s:I,s:O,s:O,s:O}", "rows", (json_int_t)out->nrow, "scans", out->scans,
                            "ddids", out->ddids, "columns", out->checksums));
  }
  copier_close(&c);
  return rc;
}

int sheaf_copy_whole(const sheaf_copyplan *plan, const char *const *ms, size_t nms,
                     const char *path, sheaf_error *err) {
  copier c = {.plan = plan, .nms = nms, .ms = ms, .noutput = 1, .reflinks = -1};
  int rc = copier_open(&c, path, err);
  if (rc >= 0) rc = take_all_rows(&c, path, err);
  if (rc >= 0) rc = copy_tables(&c, err);
  copier_close(&c);
  return rc;
}

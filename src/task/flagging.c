/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/flagging.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "base/value.h"
#include "flag/agent.h"
#include "flag/average.h"
#include "flag/commandtext.h"
#include "flag/counts.h"
#include "flag/loader.h"
#include "flag/patch.h"
#include "flag/prepare.h"
#include "flag/records.h"
#include "flag/tables.h"
#include "flag/units.h"
#include "ms/flagmark.h"
#include "ms/flagversions.h"
#include "ms/inplace.h"
#include "ms/ledger.h"
#include "ms/multims.h"
#include "task/flagdata.h"
#include "task/flagging_cut.h"
#include "task/inplace_task.h"

enum { UNIT_SAMPLES = 1 << 22, LEAST_ROWS = 2048 };
/* A buffer of rflag that is not larger is read once. Pieces of others are best where a cache holds them;
 * but those of a large buffer of rflag are read two times, and rows of few baselines are small reads. */
static const int64_t rflag_bytes = (int64_t)40 << 20, shared_bytes = (int64_t)24 << 20,
                     piece_bytes = (int64_t)8 << 20;

typedef struct run {
  sheaf_job *job;
  const sheaf_flagging *what;
  sheaf_flag_vis vis;
  json_t *compiled;
  sheaf_flag_agents agents; /* on the client */
  int write;
  sheaf_inplace *inplace;
  sheaf_stage stage;
  char folder[4096], by_time[4200], by_baseline[4200];
  int64_t ntime;
  json_t *parts; /* of the records; NULL: by_baseline has them */
  sheaf_flag_buffers buffers;
  /* results */
  json_t *files, *devs;
  sheaf_counts *counts;
  int64_t *flagged, nchanged, nrow_changed;
  int rows;
} run;

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flagging");
}

/* ---- rounds ---- */

typedef int merge_unit(void *user, size_t index, const json_t *value, sheaf_error *err);

static int run_round(run *r, const char *work, json_t *common, sheaf_flag_units *u,
                     merge_unit *merge, sheaf_error *err) {
  if (!common) return no_memory(err);
  const sheaf_round round = {
      .work = work, .common = common, .units = u->unit, .nunit = u->n, .merge = merge, .user = r};
  const int rc = u->n ? sheaf_job_round(r->job, &round, err) : 0;
  json_decref(common);
  return rc;
}

static json_t *make_common(const run *r) {
  return json_pack("{s:o, s:O, s:s, s:b, s:s, s:O*}", "vis", sheaf_flag_vis_value(&r->vis), "run",
                   r->compiled, "folder", r->folder, "write", r->write, "records", r->by_baseline,
                   "parts", r->parts);
}

/* Units of rows of a member: about `samples` flags each. */
static int cut_member(const run *r, size_t m, int64_t step, sheaf_flag_units *u, sheaf_error *err) {
  const int64_t nrow = r->vis.first[m + 1] - r->vis.first[m];
  char label[300], name[256];
  sheaf_path_base(r->vis.member[m], name, sizeof name);
  for (int64_t row = 0; row < nrow; row += step) {
    const int64_t n = nrow - row < step ? nrow - row : step;
    char stem[64];
    snprintf(stem, sizeof stem, "p%zu", u->n);
    snprintf(label, sizeof label, "%.200s rows %lld-%lld", name, (long long)row,
             (long long)(row + n - 1));
    const int rc =
        sheaf_flag_units_add(u, label, n,
                             json_pack("{s:I, s:I, s:I, s:s}", "member", (json_int_t)m, "row0",
                                       (json_int_t)row, "nrow", (json_int_t)n, "stem", stem),
                             err);
    if (rc < 0) return rc;
  }
  return 0;
}

static int cut_rows(const run *r, sheaf_flag_units *u, sheaf_error *err) {
  int64_t cell = 1;
  for (size_t i = 0; i < r->vis.nddid; i++) {
    const int64_t n = r->vis.nchan[r->vis.spw_of[i]] * (int64_t)r->vis.ncorr[r->vis.pol_of[i]];
    if (n > cell) cell = n;
  }
  /* Each unit makes all commands anew: of thousands there are fewer units. */
  const int64_t many = 1 + (int64_t)r->agents.n / 2000;
  const int64_t step = many * (UNIT_SAMPLES / cell > LEAST_ROWS ? UNIT_SAMPLES / cell : LEAST_ROWS);
  int rc = 0;
  for (size_t m = 0; rc >= 0 && m < r->vis.nmember; m++) rc = cut_member(r, m, step, u, err);
  return rc;
}

/* ---- records ---- */

/* The rows in CASA's order, whole scans; for antint and shadow. */
static int need_time_order(run *r, sheaf_error *err) {
  const sheaf_flag_grouping plain = {0};
  char raw[4200];
  int sorted = 0;
  if (r->by_time[0]) return 0;
  snprintf(raw, sizeof raw, "%s/times.raw", r->folder);
  snprintf(r->by_time, sizeof r->by_time, "%s/times", r->folder);
  sheaf_flag_range *ranges = calloc(r->vis.nmember + 1, sizeof *ranges);
  if (!ranges) return no_memory(err);
  for (size_t m = 0; m < r->vis.nmember; m++) ranges[m] = (sheaf_flag_range){m, 0, -1};
  int rc = sheaf_flag_records_write(&r->vis, &r->agents, &plain, ranges, r->vis.nmember, raw,
                                    &r->ntime, err);
  const sheaf_recspan span = {raw, 0, r->ntime};
  if (rc >= 0) rc = sheaf_flag_records_by_time(&span, 1, r->by_time, &sorted, err);
  free(ranges);
  if (rc >= 0 && sorted) snprintf(r->by_time, sizeof r->by_time, "%s", raw);
  return rc < 0 ? rc : 0;
}

static int merge_records(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)err;
  run *r = user;
  char path[4200];
  snprintf(path, sizeof path, "%s/records.%zu", r->folder, index);
  json_array_append_new(r->parts, json_pack("[s,O]", path, value));
  return 0;
}

static int nworker(const run *r) {
  const int nserver = sheaf_job_nserver(r->job);
  return nserver ? nserver : sheaf_threads();
}

/* Records of all rows, in parts. */
static int make_records(run *r, const sheaf_flag_grouping *grouping, sheaf_error *err) {
  sheaf_flag_units u = {0};
  int rc = sheaf_flag_units_records(&u, &r->vis, nworker(r), r->folder, err);
  json_t *common = make_common(r);
  json_object_set_new(common, "combinescans", json_boolean(grouping->combinescans));
  json_object_set_new(common, "per_member", json_boolean(grouping->per_member));
  r->parts = json_array();
  if (rc >= 0)
    rc = run_round(r, "flagging.records", common, &u, merge_records, err);
  else
    json_decref(common);
  sheaf_flag_units_free(&u);
  return rc;
}

static int make_buffers(run *r, const sheaf_flag_limits *limits, sheaf_error *err) {
  const sheaf_flag_grouping grouping = {
      .ntime = sheaf_value_double(r->compiled, "ntime", 0),
      .combinescans = sheaf_value_bool(r->compiled, "combinescans", 0),
      .per_member = r->what->per_member};
  int rc = make_records(r, &grouping, err);
  if (rc < 0) return rc;
  const size_t n = json_array_size(r->parts);
  sheaf_recspan *spans = calloc(n + 1, sizeof *spans);
  if (!spans) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    const json_t *part = json_array_get(r->parts, i);
    spans[i] = (sheaf_recspan){json_string_value(json_array_get(part, 0)), 0,
                               json_integer_value(json_array_get(part, 1))};
  }
  snprintf(r->by_baseline, sizeof r->by_baseline, "%s/baselines", r->folder);
  rc = sheaf_flag_records_buffers(spans, n, &grouping, limits, r->by_baseline, &r->buffers, err);
  free(spans);
  if (!r->buffers.numbers) {
    json_decref(r->parts);
    r->parts = NULL;
  }
  return rc;
}

/* ---- units of buffers ---- */

static int has_rflag(const run *r) {
  for (size_t i = 0; i < r->agents.n; i++)
    if (r->agents.agent[i].mode == SHEAF_FLAG_RFLAG) return 1;
  return 0;
}

/* Bytes of a row, by data description. */
static int64_t *row_bytes(const run *r, sheaf_error *err) {
  sheaf_flag_loader *loader = NULL;
  int64_t *bytes = calloc(r->vis.nddid + 1, sizeof *bytes);
  const int rc = bytes ? sheaf_flag_loader_open(&loader, &r->vis, &r->agents, err) : no_memory(err);
  for (size_t i = 0; rc >= 0 && i < r->vis.nddid; i++) {
    const int64_t nchan = r->vis.nchan[r->vis.spw_of[i]],
                  ncorr = (int64_t)r->vis.ncorr[r->vis.pol_of[i]];
    int64_t averages = 0;
    for (size_t k = 0; k < r->agents.n; k++) {
      const int64_t more = sheaf_flag_averages_bytes(&r->agents.agent[k], nchan, ncorr);
      if (more > averages) averages = more;
    }
    bytes[i] = sheaf_flag_loader_bytes(loader, nchan, ncorr) + averages;
  }
  sheaf_flag_loader_close(loader);
  if (rc >= 0) return bytes;
  free(bytes);
  return NULL;
}

static int cut_buffers(run *r, sheaf_flag_rounds *rounds, sheaf_error *err) {
  sheaf_flag_cut cut = {.vis = &r->vis,
                        .thresholds = sheaf_flag_agents_need_thresholds(&r->agents),
                        .calculate = r->what->calculate && has_rflag(r),
                        .nworker = nworker(r),
                        .threads = sheaf_job_nserver(r->job) == 0};
  int64_t *bytes = row_bytes(r, err);
  if (!bytes) return SHEAF_ERR_NOMEM;
  const int64_t share = ((int64_t)96 << 20) / sheaf_threads(),
                some = sheaf_memory_budget() / (16 * sheaf_threads());
  const int64_t budget = some < share ? some : share,
                want = !cut.thresholds     ? piece_bytes
                       : cut.nworker == 1 ? rflag_bytes
                                          : shared_bytes;
  const sheaf_flag_limits limits = {.bytes = bytes, .most = budget < want ? budget : want};
  cut.whole_bytes = budget < rflag_bytes ? budget : rflag_bytes;
  int rc = make_buffers(r, &limits, err);
  if (rc >= 0)
    rc = sheaf_flag_rounds_make(rounds, &cut, r->buffers.piece, r->buffers.npiece, err);
  free(bytes);
  free(r->buffers.piece);
  r->buffers.piece = NULL;
  return rc;
}

/* ---- rounds before ---- */

static int merge_scans(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  run *r = user;
  sheaf_flag_scan_merge(r->devs, value);
  return 0;
}

static int merge_bad_times(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  run *r = user;
  json_array_extend(r->devs, (json_t *)value);
  return 0;
}

/* A list that units make together; r->devs lends its place. */
static int gather(run *r, const char *work, json_t *common, sheaf_flag_units *u, merge_unit *merge,
                  json_t **list, sheaf_error *err) {
  json_t *devs = r->devs;
  r->devs = json_array();
  const int rc = run_round(r, work, common, u, merge, err);
  *list = r->devs;
  r->devs = devs;
  return rc;
}

static int find_scans(run *r, size_t number, json_t *tables, sheaf_error *err) {
  json_t *scans = NULL;
  int rc;
  if (r->agents.agent[number].quack_options.increment) {
    sheaf_flag_units u = {0};
    json_t *common = make_common(r);
    json_object_set_new(common, "agent", json_integer((json_int_t)number));
    rc = cut_rows(r, &u, err);
    if (rc >= 0)
      rc = gather(r, "flagging.unflagged", common, &u, merge_scans, &scans, err);
    else
      json_decref(common);
    sheaf_flag_units_free(&u);
  } else {
    rc = sheaf_flag_scan_table(&r->vis, &r->agents, number, &scans, err);
  }
  if (scans) json_object_set_new(tables, "scans", scans);
  return rc;
}

/* Cuts the records by time where the time changes. */
static int cut_times(run *r, sheaf_flag_units *u, sheaf_error *err) {
  enum { STEP = 1 << 18 };
  const sheaf_recspan span = {r->by_time, 0, r->ntime};
  sheaf_recreader reader;
  sheaf_flag_record before = {0};
  const void *record;
  int64_t first = 0, at = 0;
  int rc = sheaf_recreader_open(&reader, &span, 1, sizeof before, 4096, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    const sheaf_flag_record *now = record;
    if (at - first >= STEP && now->time != before.time) {
      rc = sheaf_flag_units_add(
          u, "times", at - first,
          json_pack("{s:I, s:I}", "first", (json_int_t)first, "n", (json_int_t)(at - first)), err);
      if (rc < 0) break;
      first = at;
    }
    before = *now;
    at++;
  }
  sheaf_recreader_close(&reader);
  if (rc >= 0 && at > first)
    rc = sheaf_flag_units_add(
        u, "times", at - first,
        json_pack("{s:I, s:I}", "first", (json_int_t)first, "n", (json_int_t)(at - first)), err);
  return rc;
}

/* antint's verbose=True. */
static int list_bad_times(const json_t *list, sheaf_error *err) {
  sheaf_flag_bad_time *bad;
  size_t n;
  const int rc = sheaf_flag_bad_times(list, &bad, &n, err);
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    char text[40];
    sheaf_command_date(floor(bad[i].time * 10 + 0.5) / 10, text);
    text[strlen(text) - 2] = '\0'; /* tenths of a second */
    sheaf_log(SHEAF_LOG_INFO,
              "Flagging integration at time: %s (fraction of flagged channels found: %g)", text,
              bad[i].fraction);
  }
  if (rc >= 0) free(bad);
  return rc;
}

static int find_bad_times(run *r, size_t number, json_t *tables, sheaf_error *err) {
  sheaf_flag_units u = {0};
  json_t *bad = NULL;
  int rc = need_time_order(r, err);
  if (rc >= 0) rc = cut_times(r, &u, err);
  if (rc >= 0) {
    json_t *common = make_common(r);
    json_object_set_new(common, "records", json_string(r->by_time));
    json_object_set_new(common, "agent", json_integer((json_int_t)number));
    rc = gather(r, "flagging.antint", common, &u, merge_bad_times, &bad, err);
  }
  const json_t *agent = json_array_get(json_object_get(r->compiled, "agents"), number);
  if (rc >= 0 && bad && sheaf_value_int(agent, "verbose", 0)) rc = list_bad_times(bad, err);
  if (bad) json_object_set_new(tables, "bad", bad);
  sheaf_flag_units_free(&u);
  return rc;
}

static int find_shadows(run *r, const json_t *agent, json_t *tables, sheaf_error *err) {
  json_t *shadows = NULL;
  int rc = need_time_order(r, err);
  if (rc >= 0) rc = sheaf_flag_shadow_table(&r->vis, agent, r->by_time, r->ntime, &shadows, err);
  if (shadows) json_object_set_new(tables, "shadows", shadows);
  return rc;
}

/* What commands must know of all rows, into "tables" of each. */
static int make_tables(run *r, sheaf_error *err) {
  json_t *list = json_object_get(r->compiled, "agents");
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < r->agents.n; i++) {
    json_t *agent = json_array_get(list, i), *tables = json_object();
    const sheaf_flag_mode mode = r->agents.agent[i].mode;
    if (mode == SHEAF_FLAG_QUACK) rc = find_scans(r, i, tables, err);
    if (mode == SHEAF_FLAG_ANTINT) rc = find_bad_times(r, i, tables, err);
    if (mode == SHEAF_FLAG_SHADOW) rc = find_shadows(r, agent, tables, err);
    if (json_object_size(tables)) json_object_set(agent, "tables", tables);
    json_decref(tables);
  }
  return rc;
}

/* ---- the round of commands ---- */

static int merge_results(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index;
  run *r = user;
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < r->agents.n; i++) {
    r->flagged[i] += json_integer_value(json_array_get(json_object_get(value, "flagged"), i));
    rc =
        sheaf_counts_merge(&r->counts[i], json_array_get(json_object_get(value, "counts"), i), err);
  }
  json_array_extend(r->files, json_object_get(value, "files"));
  json_array_extend(r->devs, json_object_get(value, "devs"));
  r->rows |= json_is_true(json_object_get(value, "rows"));
  return rc;
}

static json_t *commands_common(const run *r) {
  json_t *common = make_common(r);
  if (r->what->calculate && has_rflag(r)) json_object_set_new(common, "calculate", json_true());
  return common;
}

static int run_on_rows(run *r, sheaf_error *err) {
  sheaf_flag_units u = {0};
  int rc = cut_rows(r, &u, err);
  sheaf_progress_begin(r->write ? "flagging" : "reading flags", r->vis.first[r->vis.nmember],
                       "rows");
  if (rc >= 0) rc = run_round(r, "flagging.rows", commands_common(r), &u, merge_results, err);
  sheaf_progress_end();
  sheaf_flag_units_free(&u);
  return rc;
}

static int run_on_buffers(run *r, sheaf_error *err) {
  sheaf_flag_rounds rounds = {0};
  if (r->what->per_member && has_rflag(r) && r->vis.nmember == 1)
    sheaf_log(SHEAF_LOG_WARN,
              "rflagpersubms=True: %s has no sub-MSs of its own; thresholds are those of all data",
              r->vis.path);
  int rc = cut_buffers(r, &rounds, err);
  sheaf_progress_begin(r->write ? "flagging" : "reading flags", r->buffers.n + rounds.nrow, "rows");
  if (rc >= 0) rc = run_round(r, "flagging.medians", make_common(r), &rounds.medians, NULL, err);
  if (rc >= 0) rc = run_round(r, "flagging.tally", make_common(r), &rounds.tallies, NULL, err);
  if (rc >= 0) rc = run_round(r, "flagging.sums", make_common(r), &rounds.sums, NULL, err);
  if (rc >= 0)
    rc = run_round(r, "flagging.buffers", commands_common(r), &rounds.commands, merge_results, err);
  sheaf_progress_end();
  sheaf_flag_rounds_free(&rounds);
  return rc;
}

static int run_commands(run *r, sheaf_error *err) {
  return r->agents.buffers ? run_on_buffers(r, err) : run_on_rows(r, err);
}

/* ---- writing ---- */

static int merge_written(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  ((run *)user)->nchanged += json_integer_value(value);
  return 0;
}

static int merge_rows(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  ((run *)user)->nrow_changed += json_integer_value(value);
  return 0;
}

static json_t *apply_common(const run *r) {
  return json_pack("{s:o, s:s}", "vis", sheaf_flag_vis_value(&r->vis), "folder", r->folder);
}

static int apply_flags(run *r, sheaf_error *err) {
  static const char *const written[] = {"FLAG"};
  const sheaf_inplace_cut cut = {.written = written, .nwritten = 1};
  sheaf_inplace_unit *cuts = NULL;
  size_t n = 0;
  sheaf_flag_units u = {0};
  int rc = sheaf_inplace_units(r->inplace, &cut, &cuts, &n, err);
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    json_t *files = sheaf_patch_files(r->files, cuts[i].member, cuts[i].row0, cuts[i].nrow);
    if (json_array_size(files))
      rc = sheaf_flag_units_add(
          &u, cuts[i].label, cuts[i].cost,
          json_pack("{s:I, s:I, s:I, s:O}", "member", (json_int_t)cuts[i].member, "row0",
                    (json_int_t)cuts[i].row0, "nrow", (json_int_t)cuts[i].nrow, "files", files),
          err);
    json_decref(files);
  }
  if (rc >= 0) rc = run_round(r, "flagging.apply", apply_common(r), &u, merge_written, err);
  sheaf_inplace_units_free(cuts, n);
  sheaf_flag_units_free(&u);
  return rc;
}

static int apply_rows(run *r, sheaf_error *err) {
  sheaf_flag_units u = {0};
  int rc = 0;
  for (size_t m = 0; rc >= 0 && m < r->vis.nmember; m++) {
    const int64_t nrow = r->vis.first[m + 1] - r->vis.first[m];
    json_t *files = sheaf_patch_files(r->files, m, 0, nrow);
    if (json_array_size(files))
      rc = sheaf_flag_units_add(&u, r->vis.member[m], nrow,
                                json_pack("{s:I, s:O}", "member", (json_int_t)m, "files", files),
                                err);
    json_decref(files);
  }
  if (rc >= 0) rc = run_round(r, "flagging.apply_rows", apply_common(r), &u, merge_rows, err);
  sheaf_flag_units_free(&u);
  return rc;
}

/* Whether casacore can lock all tables that it will be needed for. */
static int check_locks(const run *r, sheaf_error *err) {
  static const char *const columns[] = {"FLAG", "FLAG_ROW"};
  int rc = 0;
  for (size_t m = 0; rc >= 0 && m < r->vis.nmember; m++) {
    json_t *files = sheaf_patch_files(r->files, m, 0, r->vis.first[m + 1] - r->vis.first[m]);
    if (json_array_size(files))
      rc = sheaf_inplace_check_lock(r->inplace, m, columns, r->rows ? 2 : 1, err);
    json_decref(files);
  }
  return rc < 0 ? sheaf_fail_context(err, rc, "nothing is changed") : 0;
}

static void *remove_scratch(void *stage) {
  sheaf_stage_abandon(stage);
  return NULL;
}

/* What a run ends with when all flags are written; the scratch files go meanwhile. */
static int finish(run *r, sheaf_flagmark *mark, sheaf_error *err) {
  pthread_t thread;
  const int beside = pthread_create(&thread, NULL, remove_scratch, &r->stage) == 0;
  const int rc = sheaf_inplace_commit(r->inplace, 1, err);
  sheaf_flagmark_clear(mark);
  if (beside) pthread_join(thread, NULL);
  return rc < 0 ? sheaf_fail_context(err, rc,
                                     "all flags are written, but programs that have the table "
                                     "open may not notice it")
                : 0;
}

/* Noted in the MS while it lasts, as a death may leave some flags new and others as before.
 * FLAG_ROW is first, as only that may have to wait for other processes. */
static int change_flags(run *r, const char *version, sheaf_error *err) {
  sheaf_flagmark mark;
  int rc =
      sheaf_flagmark_write(&mark, r->what->vis, sheaf_job_task(r->job)->name, version, NULL, err);
  if (rc < 0) return rc;
  if (r->rows) rc = apply_rows(r, err);
  if (rc >= 0) rc = apply_flags(r, err);
  if (rc >= 0) return finish(r, &mark, err);
  sheaf_flagmark_leave(&mark);
  return version ? sheaf_fail_context(err, rc,
                                      "flags may be written in part (version '%s' has those from "
                                      "before)",
                                      version)
                 : sheaf_fail_context(err, rc, "flags may be written in part");
}

static int apply(run *r, sheaf_error *err) {
  static const char *const columns[] = {"FLAG", "FLAG_ROW"};
  char version[128];
  int rc = check_locks(r, err);
  if (rc >= 0 && r->what->backup)
    rc = sheaf_flagversions_backup(r->what->vis, r->what->backup, version, err);
  if (rc < 0) return rc;
  if (json_array_size(r->files) == 0) {
    sheaf_flagmark_forget(r->what->vis);
    return 0;
  }
  if (!r->vis.cal) rc = sheaf_ledger_forget(r->what->vis, columns, 2, err);
  return rc < 0 ? rc : change_flags(r, r->what->backup ? version : NULL, err);
}

/* ---- reports ---- */

/* Rows of field, spw and threshold, in column `which` of devs. */
static json_t *devs_array(const json_t *devs, size_t agent, size_t which) {
  json_t *data = json_array(), *item;
  size_t i, n = 0;
  json_array_foreach((json_t *)devs, i, item) {
    if ((size_t)json_integer_value(json_array_get(item, 0)) != agent ||
        !json_is_number(json_array_get(item, which)))
      continue;
    n++;
    json_array_append_new(data, json_real((double)json_integer_value(json_array_get(item, 1))));
    json_array_append_new(data, json_real((double)json_integer_value(json_array_get(item, 2))));
    json_array_append(data, json_array_get(item, which));
  }
  return json_pack("{s:s, s:[i,i], s:o}", "#array", "f8", "shape", (int)n, 3, "data", data);
}

static int has_dev(const json_t *devs, size_t agent, const double row[3]) {
  json_t *item;
  size_t i;
  json_array_foreach(
      (json_t *)devs, i,
      item) if ((size_t)json_integer_value(json_array_get(item, 0)) == agent &&
                (double)json_integer_value(json_array_get(item, 1)) == row[0] &&
                (double)json_integer_value(json_array_get(item, 2)) == row[1]) return 1;
  return 0;
}

/* As CASA: rows that were given for a field and spw that have no data are listed, and where one
 * number was given for all there are none. */
static void add_given(json_t *devs, size_t agent, const sheaf_flag_devs *given, size_t which) {
  json_t *item;
  size_t i;
  json_array_foreach(
      devs, i, item) if (given->all > 0 && (size_t)json_integer_value(json_array_get(item, 0)) ==
                                               agent) json_array_set_new(item, which, json_null());
  for (size_t k = 0; k < given->n; k++) {
    const double *row = given->row + 3 * k;
    if (has_dev(devs, agent, row)) continue;
    json_t *one =
        json_pack("[I,I,I,n,n]", (json_int_t)agent, (json_int_t)row[0], (json_int_t)row[1]);
    json_array_set_new(one, which, json_real(row[2]));
    json_array_append_new(devs, one);
  }
}

static int compare_devs(const void *pa, const void *pb) {
  json_t *const *a = pa, *const *b = pb;
  for (size_t k = 0; k < 3; k++) {
    const json_int_t x = json_integer_value(json_array_get(*a, k));
    const json_int_t y = json_integer_value(json_array_get(*b, k));
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

/* By agent, field, spw. */
static void sort_devs(json_t *devs) {
  const size_t n = json_array_size(devs);
  json_t **list = malloc((n + 1) * sizeof *list);
  if (!list) return;
  for (size_t i = 0; i < n; i++) list[i] = json_incref(json_array_get(devs, i));
  qsort(list, n, sizeof *list, compare_devs);
  json_array_clear(devs);
  for (size_t i = 0; i < n; i++) json_array_append_new(devs, list[i]);
  free(list);
}

static int calculates(const run *r, size_t agent) {
  return r->what->calculate && r->agents.agent[agent].mode == SHEAF_FLAG_RFLAG;
}

static json_t *report_of(const run *r, size_t i, const json_t *compiled) {
  const sheaf_flag_agent *a = &r->agents.agent[i];
  if (a->mode == SHEAF_FLAG_SUMMARY) {
    json_t *report = sheaf_counts_report(&r->counts[i], &r->vis, a->name, a->fieldcnt);
    const json_t *l = json_object_get(compiled, "limits_of_report");
    if (l) {
      const sheaf_count_limits limits = {.minabs = sheaf_value_double(l, "minabs", 0),
                                         .maxabs = sheaf_value_double(l, "maxabs", -1),
                                         .minrel = sheaf_value_double(l, "minrel", 0),
                                         .maxrel = sheaf_value_double(l, "maxrel", 1)};
      sheaf_counts_filter(report, &limits);
    }
    return report;
  }
  if (!calculates(r, i) || (a->rflag.timedev.all > 0 && a->rflag.freqdev.all > 0)) return NULL;
  return json_pack("{s:s, s:s, s:o, s:o}", "name", a->name, "type", "rflag", "timedev",
                   devs_array(r->devs, i, 3), "freqdev", devs_array(r->devs, i, 4));
}

static int make_report(run *r, json_t **report, sheaf_error *err) {
  json_t *all = json_object(), *only = NULL;
  int n = 0, summaries = 0, thresholds = 0;
  for (size_t i = 0; i < r->agents.n; i++) {
    if (!calculates(r, i)) continue;
    thresholds = 1;
    add_given(r->devs, i, &r->agents.agent[i].rflag.timedev, 3);
    add_given(r->devs, i, &r->agents.agent[i].rflag.freqdev, 4);
  }
  sort_devs(r->devs);
  for (size_t i = 0; i < r->agents.n; i++) {
    char key[32];
    json_t *one = report_of(r, i, json_array_get(json_object_get(r->compiled, "agents"), i));
    if (!one) continue;
    snprintf(key, sizeof key, "report%d", n++);
    json_object_set_new(all, key, one);
    summaries += r->agents.agent[i].mode == SHEAF_FLAG_SUMMARY;
    only = one;
  }
  if (n == 1 && summaries == 1) {
    *report = json_incref(only);
    json_decref(all);
  } else {
    if (thresholds) {
      json_object_set_new(all, "nreport", json_integer(n));
      json_object_set_new(all, "type", json_string("list"));
    }
    *report = all;
  }
  return *report ? 0 : no_memory(err);
}

/* Each command; of a long list those that did something first, and what all did. */
static void tell(const run *r) {
  enum { MANY = 100, FEW = 20 };
  const int many = r->agents.n > MANY;
  int64_t all[2] = {0};
  size_t said = 0;
  for (size_t i = 0; i < r->agents.n; i++) {
    const sheaf_flag_agent *a = &r->agents.agent[i];
    if (a->mode == SHEAF_FLAG_SUMMARY || r->what->calculate) continue;
    all[a->clears != 0] += r->flagged[i];
    if (many && (r->flagged[i] == 0 || said == FEW)) continue;
    said++;
    sheaf_log(SHEAF_LOG_INFO, "%s: %lld flags %s%s", a->name, (long long)r->flagged[i],
              a->clears ? "cleared" : "set", r->write ? "" : " (not written)");
  }
  if (many && !r->what->calculate)
    sheaf_log(SHEAF_LOG_INFO, "all %zu commands: %lld flags set, %lld cleared%s", r->agents.n,
              (long long)all[0], (long long)all[1], r->write ? "" : " (not written)");
}

/* ---- the run ---- */

static int compile(run *r, int *nothing, sheaf_error *err) {
  size_t nparam;
  const sheaf_param *params = sheaf_flagdata_params(&nparam);
  const sheaf_flag_compile how = {.vis = &r->vis,
                                  .params = params,
                                  .nparam = nparam,
                                  .list = r->what->list,
                                  .skipped = r->what->skipped};
  int rc = sheaf_flag_compile_all(&how, r->what->commands, &r->compiled, nothing, err);
  if (rc >= 0) rc = sheaf_flag_agents_make(&r->agents, &r->vis, r->compiled, err);
  if (rc < 0) return rc;
  r->files = json_array();
  r->devs = json_array();
  r->counts = calloc(r->agents.n + 1, sizeof *r->counts);
  r->flagged = calloc(r->agents.n + 1, sizeof *r->flagged);
  r->write = r->what->write && r->agents.writes;
  return r->counts && r->flagged ? 0 : no_memory(err);
}

/* No row at all: a time range beside the data, no auto-correlations, and as in CASA any selection of
 * a Multi-MS are worth a warning, all else is a mistake. */
static int nothing_selected(const run *r, sheaf_error *err) {
  const json_t *one = json_array_get(r->what->commands, 0), *times = NULL;
  if (json_array_size(r->what->commands) == 1) times = json_object_get(one, "timerange");
  const int autocorr = json_is_true(json_object_get(one, "autocorr"));
  const int given = json_string_length(times) > 0 || json_array_size(times) > 0;
  const json_t *interval = json_object_get(one, "quackinterval");
  if (json_is_array(interval)) interval = json_array_get(interval, 0);
  if (!strcmp(sheaf_value_str(one, "mode", ""), "quack") && json_is_number(interval) &&
      json_number_value(interval) == 0)
    return 0; /* has been warned about */
  if (given || autocorr || json_array_size(r->what->commands) > 1) {
    sheaf_log(SHEAF_LOG_WARN, "%s of %s: nothing is flagged",
              given      ? "the time range and the rest of the selection hold no rows"
              : autocorr ? "the selection holds no auto-correlations"
                         : "the commands select no rows",
              r->what->vis);
    return 0;
  }
  char *text = NULL;
  sheaf_selection_texts texts;
  int rc = 0;
  if (sheaf_selection_read(&texts, one, err) >= 0) {
    text = sheaf_selection_text(&texts);
    sheaf_selection_free(&texts);
  }
  const char *what = text && *text ? text : "the selection";
  if (sheaf_mms_is(r->what->vis))
    sheaf_log(SHEAF_LOG_WARN, "MSSelectionNullSelection : %s selects no rows of %s", what,
              r->what->vis);
  else
    rc = sheaf_fail(err, SHEAF_ERR_EMPTY, "%s selects no rows of %s", what, r->what->vis);
  free(text);
  return rc;
}

static int open_folder(run *r, sheaf_error *err) {
  char path[4096], name[4200];
  if (!r->write && !r->agents.buffers) {
    int needed = 0;
    for (size_t i = 0; i < r->agents.n; i++)
      needed |= r->agents.agent[i].mode == SHEAF_FLAG_ANTINT ||
                r->agents.agent[i].mode == SHEAF_FLAG_SHADOW;
    if (!needed) return 0;
  }
  int rc = sheaf_path_real(r->what->vis, path, sizeof path, err);
  if (rc < 0) return rc;
  snprintf(name, sizeof name, "%s.flagging", path);
  if ((rc = sheaf_stage_begin(&r->stage, name, err)) < 0) return rc;
  snprintf(r->folder, sizeof r->folder, "%s", r->stage.path);
  return 0;
}

static int run_all(run *r, json_t **report, sheaf_error *err) {
  int nothing = 0, rc = compile(r, &nothing, err);
  if (rc < 0) return rc;
  if (!nothing) {
    rc = sheaf_flag_selects(&r->vis, &r->agents, err);
    if (rc < 0) return rc;
    nothing = rc == 0;
  }
  if (nothing) {
    rc = nothing == SHEAF_FLAG_NO_CHANNELS ? 0 : nothing_selected(r, err);
    if (rc >= 0) *report = json_object();
    return rc;
  }
  if (r->write) SHEAF_TRY(sheaf_inplace_task_begin(&r->inplace, r->what->vis, err));
  SHEAF_TRY(open_folder(r, err));
  SHEAF_TRY(make_tables(r, err));
  SHEAF_TRY(run_commands(r, err));
  if (r->write) SHEAF_TRY(apply(r, err));
  tell(r);
  SHEAF_TRY(make_report(r, report, err));
done:
  return rc < 0 ? rc : 0;
}

int sheaf_flagging_run(sheaf_job *job, const sheaf_flagging *what, json_t **report,
                       sheaf_error *err) {
  char target[4096];
  sheaf_flagging there = *what; /* an MS that only refers to another has that one's flags */
  run r = {.job = job, .what = &there};
  *report = NULL;
  int rc = what->write ? sheaf_inplace_task_redirect(what->vis, target, sizeof target, err) : 0;
  if (rc > 0) there.vis = target;
  if (rc >= 0) sheaf_flagmark_warn(there.vis);
  if (rc < 0 || (rc = sheaf_flag_vis_read(&r.vis, there.vis, err)) < 0) return rc;
  rc = run_all(&r, report, err);
  sheaf_stage_abandon(&r.stage);
  sheaf_inplace_end(r.inplace);
  for (size_t i = 0; r.counts && i < r.agents.n; i++) sheaf_counts_free(&r.counts[i]);
  free(r.counts);
  free(r.flagged);
  json_decref(r.parts);
  json_decref(r.files);
  json_decref(r.devs);
  sheaf_flag_agents_free(&r.agents);
  json_decref(r.compiled);
  sheaf_flag_vis_free(&r.vis);
  return rc;
}

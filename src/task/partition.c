/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * partition: an MS (or Multi-MS) becomes a Multi-MS, or with createmms=False a plain MS of the
 * selected rows.
 *
 * plan:  one pass over the scalars per input: which rows are selected, and to which sub-MS each
 *        belongs (task/partition_plan.h)
 * round: a unit writes the main table of a sub-MS, or of several whose rows alternate in the input
 *        (ms/copier.h), on any server
 * merge: the sub-tables, once; links; the ledger; the sum of rows is proved before the output
 *        appears */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "ms/flagversions.h"
#include "ms/history.h"
#include "ms/ledger.h"
#include "ms/multims.h"
#include "ms/refms.h"
#include "ms/subtables.h"
#include "task/partition_plan.h"
#include "task/registry.h"

enum { DEFAULT_SUBMS = 8, PATH_SIZE = SHEAF_PARTITION_PATH };

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the input MS or Multi-MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"outputvis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "name of the output; it must not exist", SHEAF_PARAM_PATH},
    {"createmms", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "make a Multi-MS; False makes a plain MS", 0},
    {"separationaxis", SHEAF_TYPE_STRING, "'auto'", "auto|scan|spw|baseline|AUTO|SCAN|SPW|BASELINE",
     NULL, "createmms=True",
     "axis along which the rows are shared out; auto balances scans, spws and fields", 0},
    {"numsubms", SHEAF_TYPE_STRING | SHEAF_TYPE_INT, "'auto'", NULL, NULL, "createmms=True",
     "number of sub-MSs; auto: one per server, or 8 without MPI", 0},
    {"flagbackup", SHEAF_TYPE_BOOL, "True", NULL, NULL, "createmms=True, copydata=True",
     "save the flags of the Multi-MS as version partition_1", 0},
    {"datacolumn", SHEAF_TYPE_STRING, "'all'",
     "all|data|corrected|model|float_data|lag_data|data,model,corrected|float_data,data|lag_data,"
     "data|ALL|"
     "DATA|CORRECTED|MODEL|FLOAT_DATA|LAG_DATA|DATA,MODEL,CORRECTED|FLOAT_DATA,DATA|LAG_DATA,DATA",
     NULL, NULL, "data column(s) to keep; a single corrected or model becomes DATA", 0},
    SHEAF_SELECTION_PARAMS,
    {"disableparallel", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL, "do not use the servers",
     SHEAF_PARAM_HIDDEN},
    {"ddistart", SHEAF_TYPE_INT, "-1", NULL, NULL, "createmms=False",
     "first DATA_DESC_ID of the output's main table; -1: 0", SHEAF_PARAM_HIDDEN},
    {"taql", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "rows to select, in casacore's table query language", SHEAF_PARAM_HIDDEN},
    {"copydata", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "False: the output refers to the rows of vis and holds no data of its own; what is written to "
     "it is written to vis",
     SHEAF_PARAM_OURS},
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to plan");
}

/* ---- parameters ---- */

static int read_numsubms(sheaf_partition *p, sheaf_error *err) {
  const json_t *value = json_object_get(p->par, "numsubms");
  const char *text = json_string_value(value);
  long long n = json_integer_value(value);
  if (text && strcasecmp(text, "auto") == 0) {
    const int servers = sheaf_job_nserver(p->job);
    p->wanted = servers > 0 ? (size_t)servers : DEFAULT_SUBMS;
    p->wanted_auto = 1;
    return 0;
  }
  if (text) {
    char *end;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (end == text || *end || errno)
      return sheaf_fail(err, SHEAF_ERR_ARG, "numsubms='%s': neither a number nor 'auto'", text);
  }
  if (n < 1)
    return sheaf_fail(err, SHEAF_ERR_ARG, "numsubms=%lld: must be 1 or more, or 'auto'", n);
  p->wanted = (size_t)n;
  return 0;
}

static sheaf_axis read_axis(const json_t *par) {
  const char *text = sheaf_value_str(par, "separationaxis", "auto");
  if (strcasecmp(text, "scan") == 0) return SHEAF_AXIS_SCAN;
  if (strcasecmp(text, "spw") == 0) return SHEAF_AXIS_SPW;
  if (strcasecmp(text, "baseline") == 0) return SHEAF_AXIS_BASELINE;
  return SHEAF_AXIS_AUTO;
}

static int check_output(sheaf_partition *p, sheaf_error *err) {
  char versions[PATH_SIZE + 16];
  const char *given = sheaf_value_str(p->par, "outputvis", "");
  if (strspn(given, " \t") == strlen(given))
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "outputvis: please specify outputvis, the name of the output");
  int rc = sheaf_path_absolute(given, p->output, sizeof p->output, err);
  if (rc < 0) return rc;
  sheaf_path_base(p->output, p->base, sizeof p->base);
  size_t length = strlen(p->base);
  if (length > 1 && p->base[length - 1] == '.') p->base[length - 1] = '\0';
  if (sheaf_path_exists(p->output))
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "outputvis='%s': output MS already exists - will not overwrite it", given);
  rc = sheaf_flagversions_sweep(p->output, err);
  if (rc < 0) return rc;
  snprintf(versions, sizeof versions, "%s.flagversions", p->output);
  if (sheaf_path_exists(versions))
    return sheaf_fail(
        err, SHEAF_ERR_EXISTS,
        "outputvis='%s': the flagversions %s for the output MS already exists. Please delete it",
        given, versions);
  return 0;
}

/* outputvis inside vis would make the output part of its own input. */
static int check_not_inside(const sheaf_partition *p, sheaf_error *err) {
  char vis[PATH_SIZE], output[PATH_SIZE];
  int rc = sheaf_path_real(p->vis, vis, sizeof vis, err);
  if (rc >= 0) rc = sheaf_path_real(p->output, output, sizeof output, err);
  if (rc < 0) return rc;
  const size_t length = strlen(vis);
  if (strncmp(vis, output, length) == 0 && output[length] == '/')
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "outputvis='%s' lies inside vis='%s'; choose a place outside it",
                      sheaf_value_str(p->par, "outputvis", ""), sheaf_value_str(p->par, "vis", ""));
  return 0;
}

static int check_parameters(sheaf_partition *p, sheaf_error *err) {
  int rc;
  p->createmms = sheaf_value_bool(p->par, "createmms", 1);
  p->copydata = sheaf_value_bool(p->par, "copydata", 1);
  p->axis = read_axis(p->par);
  if (sheaf_value_bool(p->par, "disableparallel", 0)) sheaf_job_serial(p->job);
  SHEAF_TRY(sheaf_path_absolute(sheaf_value_str(p->par, "vis", ""), p->vis, sizeof p->vis, err));
  SHEAF_TRY(check_output(p, err));
  SHEAF_TRY(check_not_inside(p, err));
  if (p->createmms) SHEAF_TRY(read_numsubms(p, err));
  if (p->createmms && sheaf_value_int(p->par, "ddistart", -1) != -1)
    SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_ARG, "ddistart: only applies to createmms=False"));
  if (!p->copydata && sheaf_value_int(p->par, "ddistart", -1) > 0)
    SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_ARG,
                         "ddistart: ids are those of vis with copydata=False; use copydata=True"));
  SHEAF_TRY(sheaf_ms_check(p->vis, err));
  SHEAF_TRY(sheaf_selection_read(&p->texts, p->par, err));
done:
  return rc;
}

/* ---- the round ---- */

/* Name of unit u's sub-MS, and its path inside the stage. */
static void unit_name(const sheaf_partition *p, size_t u, char *out, size_t size) {
  if (p->createmms)
    snprintf(out, size, "%s.%04zu.ms", p->base, u);
  else
    snprintf(out, size, "%s", p->base);
}

static void unit_path(const sheaf_partition *p, size_t u, char *out, size_t size) {
  char name[512];
  unit_name(p, u, name, sizeof name);
  if (p->createmms)
    snprintf(out, size, "%s/%s/SUBMSS/%s", p->stage.path, p->base, name);
  else
    snprintf(out, size, "%s/%s", p->stage.path, name);
}

/* The records of sub-MS u: [[path, first, n], …]. */
static json_t *rows_value(const sheaf_partition *p, size_t u) {
  char path[PATH_SIZE + 32];
  json_t *list = json_array();
  sheaf_partition_grouped(p, path, sizeof path);
  if (!p->source_rows)
    json_array_append_new(list, json_pack("[s,I,I]", path, (json_int_t)p->assignment.first[u],
                                          (json_int_t)p->unit_rows[u]));
  for (size_t s = 0; p->source_rows && s < p->nsource; s++) {
    if (p->unit_source && p->unit_source[u] != s) continue;
    sheaf_partition_records(p, s, path, sizeof path);
    json_array_append_new(list,
                          json_pack("[s,I,I]", path, (json_int_t)0, (json_int_t)p->source_rows[s]));
  }
  return list;
}

static json_t *group_args(const sheaf_partition *p, size_t g) {
  char path[PATH_SIZE + 1024];
  json_t *outputs = json_array(), *ms = json_array();
  const size_t first = p->group_first[g];
  for (size_t u = first; u < p->group_first[g + 1]; u++) {
    unit_path(p, u, path, sizeof path);
    json_array_append_new(outputs, json_pack("[s,o]", path, rows_value(p, u)));
  }
  for (size_t s = 0; s < p->nsource; s++)
    if (!p->unit_source || p->unit_source[first] == s)
      json_array_append_new(ms, json_pack("[s,I]", p->source[s], (json_int_t)p->source_total[s]));
  snprintf(path, sizeof path, "%s/work.%zu", p->stage.path, g);
  return json_pack("{s:o,s:o,s:s}", "outputs", outputs, "ms", ms, "scratch", path);
}

/* "o.mms.0000.ms", or "o.mms.0000.ms to o.mms.0003.ms". */
static void group_label(const sheaf_partition *p, size_t g, char *out, size_t size) {
  const size_t first = p->group_first[g], last = p->group_first[g + 1] - 1;
  char name[300];
  unit_name(p, first, out, size);
  if (last == first) return;
  unit_name(p, last, name, sizeof name);
  const size_t length = strlen(out);
  snprintf(out + length, size - length, " to %s", name);
}

/* What a unit's values say, as sheaf_copy_rows wants it. */
typedef struct fill_args {
  sheaf_copyplan plan;
  sheaf_rowlayout layout;
  const char **ms;
  int64_t *nrow;
  sheaf_copyoutput *outputs;
  sheaf_recspan *spans;
  size_t nms, noutput;
} fill_args;

static size_t count_spans(const json_t *outputs) {
  size_t n = 0, i;
  json_t *one;
  json_array_foreach(outputs, i, one) n += json_array_size(json_array_get(one, 1));
  return n;
}

static void read_spans(fill_args *f, const json_t *outputs) {
  size_t used = 0;
  for (size_t o = 0; o < f->noutput; o++) {
    const json_t *one = json_array_get(outputs, o), *rows = json_array_get(one, 1);
    f->outputs[o] = (sheaf_copyoutput){json_string_value(json_array_get(one, 0)), f->spans + used,
                                       json_array_size(rows)};
    for (size_t i = 0; i < json_array_size(rows); i++) {
      const json_t *span = json_array_get(rows, i);
      f->spans[used++] = (sheaf_recspan){json_string_value(json_array_get(span, 0)),
                                         json_integer_value(json_array_get(span, 1)),
                                         json_integer_value(json_array_get(span, 2))};
    }
  }
}

static int fill_args_read(fill_args *f, const json_t *common, const json_t *args,
                          sheaf_error *err) {
  const json_t *outputs = json_object_get(args, "outputs"), *ms = json_object_get(args, "ms");
  int rc = sheaf_copyplan_from_value(&f->plan, json_object_get(common, "plan"), err);
  if (rc >= 0) rc = sheaf_rowlayout_from_value(&f->layout, json_object_get(common, "layout"), err);
  f->nms = json_array_size(ms);
  f->noutput = json_array_size(outputs);
  f->ms = calloc(f->nms + 1, sizeof *f->ms);
  f->nrow = calloc(f->nms + 1, sizeof *f->nrow);
  f->outputs = calloc(f->noutput + 1, sizeof *f->outputs);
  f->spans = calloc(count_spans(outputs) + 1, sizeof *f->spans);
  if (rc < 0) return rc;
  if (!f->ms || !f->nrow || !f->outputs || !f->spans) return no_memory(err);
  for (size_t i = 0; i < f->nms; i++) {
    f->ms[i] = json_string_value(json_array_get(json_array_get(ms, i), 0));
    f->nrow[i] = json_integer_value(json_array_get(json_array_get(ms, i), 1));
  }
  read_spans(f, outputs);
  return 0;
}

/* Server side: writes the main tables of one group. */
static int fill_unit(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  fill_args f = {0};
  int rc = fill_args_read(&f, common, args, err);
  const sheaf_copyjob job = {.plan = &f.plan,
                             .layout = &f.layout,
                             .ms = f.ms,
                             .nms = f.nms,
                             .nrow = f.nrow,
                             .outputs = f.outputs,
                             .noutput = f.noutput,
                             .scratch = sheaf_value_str(args, "scratch", "")};
  if (rc >= 0) rc = sheaf_copy_rows(&job, value, err);
  sheaf_copyplan_free(&f.plan);
  sheaf_rowlayout_free(&f.layout);
  free(f.ms);
  free(f.nrow);
  free(f.outputs);
  free(f.spans);
  return rc;
}

static int merge_unit(sheaf_partition *p, size_t u, const json_t *value, sheaf_error *err) {
  char name[512];
  unit_name(p, u, name, sizeof name);
  const int64_t rows = sheaf_value_int(value, "rows", 0);
  if (rows != p->unit_rows[u])
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s has %lld rows; %lld were selected for it", name,
                      (long long)rows, (long long)p->unit_rows[u]);
  json_t *entry = json_pack("{s:s}", "name", name);
  json_object_update(entry, (json_t *)value);
  return json_array_append_new(p->members, entry) == 0 ? 0 : no_memory(err);
}

static int merge_group(void *user, size_t g, const json_t *value, sheaf_error *err) {
  sheaf_partition *p = user;
  int rc = 0;
  for (size_t u = p->group_first[g]; rc >= 0 && u < p->group_first[g + 1]; u++)
    rc = merge_unit(p, u, json_array_get(value, u - p->group_first[g]), err);
  return rc;
}

static int make_dir(const char *path, sheaf_error *err) {
  if (mkdir(path, 0777) != 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return 0;
}

static int make_places(const sheaf_partition *p, sheaf_error *err) {
  char path[PATH_SIZE + 512];
  int rc = 0;
  if (p->createmms) {
    snprintf(path, sizeof path, "%s/%s", p->stage.path, p->base);
    rc = make_dir(path, err);
    snprintf(path, sizeof path, "%s/%s/SUBMSS", p->stage.path, p->base);
    if (rc >= 0) rc = make_dir(path, err);
  }
  snprintf(path, sizeof path, "%s/subtables", p->stage.path);
  return rc < 0 ? rc : make_dir(path, err);
}

/* The sub-tables are made once, below the stage, by a thread of the client's while units fill the
 * main tables. */
static void *make_subtables(void *work) {
  sheaf_partition *p = work;
  char dir[PATH_SIZE + 32];
  sheaf_spwgroups groups;
  snprintf(dir, sizeof dir, "%s/subtables", p->stage.path);
  p->subtables_rc =
      sheaf_reindex_subtables(&p->plan.reindex, p->vis, dir, sheaf_select_parsed(p->select),
                              sheaf_partition_windows(p, &groups), &p->subtables_error);
  return NULL;
}

static int fill(sheaf_partition *p, const sheaf_round *round, sheaf_error *err) {
  pthread_t thread;
  const int beside = pthread_create(&thread, NULL, make_subtables, p) == 0;
  int rc = sheaf_job_round(p->job, round, err);
  if (beside)
    pthread_join(thread, NULL);
  else if (rc >= 0)
    make_subtables(p);
  if (rc >= 0 && p->subtables_rc < 0) {
    rc = p->subtables_rc;
    if (err) *err = p->subtables_error;
  }
  return rc;
}

static int run_units(sheaf_partition *p, sheaf_error *err) {
  sheaf_unit *units = calloc(p->ngroup + 1, sizeof *units);
  char(*labels)[700] = calloc(p->ngroup + 1, sizeof *labels);
  json_t *common = json_pack("{s:o,s:o}", "plan", sheaf_copyplan_value(&p->plan), "layout",
                             sheaf_rowlayout_value(&p->layout));
  int rc = units && labels && common ? make_places(p, err) : no_memory(err);
  for (size_t g = 0; rc >= 0 && g < p->ngroup; g++) {
    group_label(p, g, labels[g], sizeof labels[g]);
    units[g] = (sheaf_unit){.label = labels[g], .args = group_args(p, g)};
    for (size_t u = p->group_first[g]; u < p->group_first[g + 1]; u++)
      units[g].cost += p->unit_bytes[u];
  }
  if (rc >= 0) {
    const sheaf_round round = {.work = "partition.fill",
                               .common = common,
                               .units = units,
                               .nunit = p->ngroup,
                               .merge = merge_group,
                               .user = p};
    rc = fill(p, &round, err);
  }
  sheaf_progress_end();
  for (size_t g = 0; units && g < p->ngroup; g++) json_decref(units[g].args);
  json_decref(common);
  free(units);
  free(labels);
  return rc;
}

/* ---- merge ---- */

static int prove_rows(const sheaf_partition *p, sheaf_error *err) {
  int64_t sum = 0;
  size_t i;
  json_t *member;
  json_array_foreach(p->members, i, member) sum += sheaf_value_int(member, "rows", 0);
  if (sum == p->selected) return 0;
  return sheaf_fail(err, SHEAF_ERR_INTERNAL,
                    "%lld rows were selected, %lld were written; nothing is published",
                    (long long)p->selected, (long long)sum);
}

/* Paths of the sub-MSs below the stage; free with sheaf_mms_members_free. */
static int stage_members(const sheaf_partition *p, char ***paths, sheaf_error *err) {
  char path[PATH_SIZE + 1024];
  int ok = (*paths = calloc(p->nunit + 1, sizeof **paths)) != NULL;
  for (size_t u = 0; ok && u < p->nunit; u++) {
    unit_path(p, u, path, sizeof path);
    ok = ((*paths)[u] = strdup(path)) != NULL;
  }
  return ok ? 0 : no_memory(err);
}

/* The version of flags of the new Multi-MS. A thread of the client's makes it while the sub-MSs
 * become one: it only reads the main tables, which are complete. */
typedef struct flag_saving {
  const sheaf_partition *p;
  char *const *members;
  pthread_t thread;
  int wanted, beside; /* a thread does it */
  int rc;
  sheaf_error error;
} flag_saving;

static void *save_flags(void *saving) {
  flag_saving *f = saving;
  char versions[PATH_SIZE + 512], comment[64];
  const time_t now = time(NULL);
  struct tm local;
  snprintf(versions, sizeof versions, "%s/flagversions", f->p->stage.path);
  strftime(comment, sizeof comment, "Flags autosave on %Y-%m-%d %H:%M:%S",
           localtime_r(&now, &local));
  f->rc = sheaf_flagversions_create(versions, "partition_1", comment,
                                    (const char *const *)f->members, f->p->nunit, &f->error);
  if (f->rc >= 0) f->rc = sheaf_flagversions_mark(versions, &f->error);
  return NULL;
}

static void flag_saving_begin(flag_saving *f) {
  f->wanted = f->p->createmms && sheaf_value_bool(f->p->par, "flagbackup", 1);
  if (!f->wanted) return;
  sheaf_log(SHEAF_LOG_INFO, "Create a backup of the flags that are in the MMS");
  f->beside = pthread_create(&f->thread, NULL, save_flags, f) == 0;
}

/* rc: that of what was done beside it. An error of that comes first. */
static int flag_saving_end(flag_saving *f, int rc, sheaf_error *err) {
  if (f->beside)
    pthread_join(f->thread, NULL);
  else if (f->wanted && rc >= 0)
    save_flags(f);
  if (rc < 0 || f->rc >= 0) return rc;
  if (err) *err = f->error;
  return f->rc;
}

/* The first sub-MS gets the sub-tables; the others links, and copies of SOURCE and HISTORY. */
static int place_subtables(const sheaf_partition *p, char *const *members, sheaf_error *err) {
  char dir[PATH_SIZE + 32];
  snprintf(dir, sizeof dir, "%s/subtables", p->stage.path);
  return sheaf_subtables_place(dir, (const char *const *)members, p->nunit, err);
}

static int assemble(const sheaf_partition *p, const char *path, char *const *members,
                    sheaf_error *err) {
  const sheaf_mms_options options = {.axis = p->axis_text, .copy_own = 0};
  int rc = 0;
  if (p->createmms)
    rc = sheaf_mms_assemble(path, (const char *const *)members, p->nunit, &options, err);
  return rc < 0 ? rc : sheaf_history_append(path, "partition", "sheaf " SHEAF_VERSION, p->par, err);
}

static int write_ledger(const sheaf_partition *p, const char *path, sheaf_error *err) {
  json_t *ledger = json_pack("{s:s,s:s,s:s,s:I,s:s,s:O}", "sheaf", SHEAF_VERSION, "task",
                             "partition", "input", p->vis, "rows", (json_int_t)p->selected, "axis",
                             p->axis_text, "members", p->members);
  if (!ledger) return no_memory(err);
  if (!p->copydata) json_object_set_new(ledger, "copydata", json_false());
  const int rc = sheaf_ledger_write(path, ledger, err);
  json_decref(ledger);
  return rc;
}

static int publish(sheaf_partition *p, sheaf_error *err) {
  char versions[PATH_SIZE + 32];
  const int flags = p->createmms && sheaf_value_bool(p->par, "flagbackup", 1);
  int rc = 0;
  if (flags) rc = sheaf_stage_publish_companion(&p->stage, "flagversions", ".flagversions", err);
  if (rc < 0) return rc;
  snprintf(versions, sizeof versions, "%s.flagversions", p->output);
  rc = sheaf_stage_publish(&p->stage, p->base, err);
  if (rc < 0) {
    if (flags) sheaf_tree_remove(versions, NULL);
    return rc;
  }
  return flags ? sheaf_flagversions_unmark(versions, err) : 0;
}

static int finish(sheaf_partition *p, sheaf_error *err) {
  char path[PATH_SIZE + 512];
  char **members = NULL;
  flag_saving flags = {.p = p};
  int rc;
  snprintf(path, sizeof path, "%s/%s", p->stage.path, p->base);
  SHEAF_TRY(prove_rows(p, err));
  SHEAF_TRY(stage_members(p, &members, err));
  SHEAF_TRY(place_subtables(p, members, err));
  flags.members = members;
  flag_saving_begin(&flags);
  rc = assemble(p, path, members, err);
  SHEAF_TRY(flag_saving_end(&flags, rc, err));
  SHEAF_TRY(write_ledger(p, path, err));
  SHEAF_TRY(publish(p, err));
  sheaf_log(SHEAF_LOG_INFO, "%lld rows in %zu sub-MS%s: all that were selected",
            (long long)p->selected, p->nunit, p->nunit == 1 ? "" : "s");
done:
  sheaf_mms_members_free(members);
  return rc;
}

/* copydata=False: reference tables instead of units; nothing is left to be done by servers. */
static int build_references(sheaf_partition *p, const sheaf_refunit *units, sheaf_error *err) {
  char path[PATH_SIZE + 512];
  snprintf(path, sizeof path, "%s/%s", p->stage.path, p->base);
  const sheaf_refms rq = {.vis = p->vis,
                          .source = p->source,
                          .nsource = p->nsource,
                          .record_size = p->layout.size,
                          .plan = &p->plan,
                          .place = path,
                          .final = p->output,
                          .multi = p->createmms,
                          .axis = p->axis_text,
                          .nunit = p->nunit,
                          .unit = units};
  int rc;
  SHEAF_TRY(make_dir(path, err));
  SHEAF_TRY(sheaf_refms_build(&rq, p->members, err));
  SHEAF_TRY(prove_rows(p, err));
  SHEAF_TRY(write_ledger(p, path, err));
  SHEAF_TRY(sheaf_stage_publish(&p->stage, p->base, err));
done:
  return rc;
}

static void log_references(const sheaf_partition *p) {
  sheaf_log(SHEAF_LOG_INFO, "%lld rows in %zu sub-MS%s: all that were selected",
            (long long)p->selected, p->nunit, p->nunit == 1 ? "" : "s");
  sheaf_log(SHEAF_LOG_INFO,
            "No data were copied: %s refers to the rows of %s, which must stay where it is. Ids, "
            "sub-tables, HISTORY and flag versions are those of the input, and what is written to "
            "%s is written to the input",
            p->output, p->vis, p->base);
}

/* The records of sub-MS u: a stretch of the one input's, or all of one member's, or of all
 * members'. Returns how many spans that are. */
static size_t refer_spans(const sheaf_partition *p, size_t u, const char *grouped,
                          char *const *records, sheaf_refspan *span) {
  size_t n = 0;
  if (!p->source_rows) {
    span[n++] = (sheaf_refspan){0, {grouped, p->assignment.first[u], p->unit_rows[u]}};
    return n;
  }
  for (size_t s = 0; s < p->nsource; s++)
    if (p->source_rows[s] && (!p->unit_source || p->unit_source[u] == s))
      span[n++] = (sheaf_refspan){s, {records[s], 0, p->source_rows[s]}};
  return n;
}

static int refer(sheaf_partition *p, sheaf_error *err) {
  char path[PATH_SIZE + 32], grouped[PATH_SIZE + 32];
  sheaf_refunit *units = calloc(p->nunit + 1, sizeof *units);
  sheaf_refspan *spans = calloc(p->nunit + p->nsource + 1, sizeof *spans);
  char **records = calloc(p->nsource + 1, sizeof *records);
  int ok = units && spans && records;
  sheaf_partition_grouped(p, grouped, sizeof grouped);
  for (size_t s = 0; ok && s < p->nsource; s++) {
    sheaf_partition_records(p, s, path, sizeof path);
    ok = (records[s] = strdup(path)) != NULL;
  }
  for (size_t u = 0, used = 0; ok && u < p->nunit; u++) {
    unit_name(p, u, units[u].name, sizeof units[u].name);
    units[u].nrow = p->unit_rows[u];
    units[u].span = spans + used;
    units[u].nspan = refer_spans(p, u, grouped, records, spans + used);
    used += units[u].nspan;
  }
  const int rc = ok ? build_references(p, units, err) : no_memory(err);
  if (rc >= 0) log_references(p);
  sheaf_mms_members_free(records);
  free(units);
  free(spans);
  return rc;
}

static void part_free(sheaf_partition *p) {
  sheaf_stage_abandon(&p->stage);
  sheaf_mms_members_free(p->source);
  sheaf_select_close(p->select);
  sheaf_copyplan_free(&p->plan);
  sheaf_assignment_free(&p->assignment);
  sheaf_selection_free(&p->texts);
  free(p->unit_source);
  free(p->unit_rows);
  free(p->unit_bytes);
  free(p->source_rows);
  free(p->source_total);
  free(p->group_first);
  sheaf_rowlayout_free(&p->layout);
  json_decref(p->members);
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  sheaf_partition *p = calloc(1, sizeof *p);
  if (!p) return no_memory(err);
  p->job = job;
  p->par = par;
  p->members = json_array();
  int rc = check_parameters(p, err);
  if (rc >= 0) rc = sheaf_partition_plan(p, err);
  if (rc >= 0 && !p->copydata) rc = refer(p, err);
  if (rc >= 0 && p->copydata) rc = run_units(p, err);
  if (rc >= 0 && p->copydata) rc = finish(p, err);
  part_free(p);
  free(p);
  if (rc >= 0) *result = json_null();
  return rc;
}

static const sheaf_work work[] = {{"partition.fill", fill_unit, 1}, {NULL, NULL, 0}};

const sheaf_task sheaf_task_partition = {
    .name = "partition",
    .summary = "Make a Multi-MS of an MS, using parallelism",
    .help =
        "Shares the selected rows of an MS out among sub-MSs and makes them one Multi-MS. Every "
        "selected row is in exactly one sub-MS; "
        "the sum of rows is proved before the output appears, and a checksum of every column is "
        "kept in the output "
        "(sheaf.ledger; listpartition with verify=True reads it). The output appears whole or not "
        "at all.\n\n"
        "separationaxis 'auto' balances scans, spectral windows and fields over the sub-MSs; "
        "'scan', 'spw' and "
        "'baseline' cut the sorted list of scans, windows or baselines into equal parts. When vis "
        "is a Multi-MS, each of its sub-MSs makes "
        "one sub-MS of the output, with the selection applied; separationaxis and numsubms do not "
        "apply then. With createmms=False the output is a plain MS.\n\n"
        "With copydata=False (which CASA does not have) no data are copied: every sub-MS is a "
        "reference table with the numbers of its rows of vis, so that a Multi-MS of any size is "
        "made at once and takes hardly any disk. casacore and CASA read and write through it: what "
        "is written to the output (flags, columns, HISTORY) is written to vis. vis must stay where "
        "it is as seen from the output (moving both together is fine); the one link SUBMSS/INPUT "
        "leads there. Ids and sub-tables are those of vis, whatever is selected; channels and "
        "correlations cannot be selected; weights are as they are.\n\n"
        "Returns None.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = work,
};

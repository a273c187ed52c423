/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * partition: an MS (or Multi-MS) becomes a Multi-MS, or with createmms=False a plain MS of the
 * selected rows.
 *
 * plan:  one pass over the scalars per input: which rows are selected, and to which sub-MS each
 *        belongs (ms/rowrecords.h, ms/assign.h)
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

#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "ms/assign.h"
#include "ms/copier.h"
#include "ms/flagversions.h"
#include "ms/history.h"
#include "ms/ledger.h"
#include "ms/multims.h"
#include "ms/refms.h"
#include "ms/reindex.h"
#include "ms/subtables.h"
#include "task/registry.h"
#include "task/selection.h"

enum {
  DEFAULT_SUBMS = 8,
  PATH_SIZE = 4096,
  ALTERNATING_BYTES = 1 << 20 /* rows of sub-MSs that alternate in the input in shorter stretches
                                 are copied together: the input is read once */
};

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

/* ---- what one call works with ---- */

typedef struct part {
  sheaf_job *job;
  const json_t *par;
  int createmms, copydata;
  sheaf_axis axis;
  size_t wanted;
  int wanted_auto;
  char vis[PATH_SIZE], output[PATH_SIZE]; /* absolute */
  char base[256];                         /* name of the output */
  sheaf_stage stage;
  sheaf_selection_texts texts;
  /* inputs */
  int from_mms;
  char **source;
  size_t nsource;
  int64_t *source_rows;  /* [nsource] selected rows of each; NULL where they are shared out */
  int64_t *source_total; /* [nsource] rows of each */
  int64_t selected;      /* rows */
  int other_antennas;    /* rows have antennas that the parsed selection does not list */
  sheaf_rowlayout layout;
  /* output sub-MSs */
  size_t nunit;
  size_t *unit_source; /* [nunit] input MMS: which member; else NULL */
  int64_t *unit_rows;  /* [nunit] */
  int64_t *unit_bytes; /* [nunit] */
  size_t ngroup;       /* sub-MSs that are written together */
  size_t *group_first; /* [ngroup + 1] */
  sheaf_assignment assignment;
  sheaf_select *select; /* parsed against the input as a whole */
  sheaf_copyplan plan;
  char axis_text[64];
  json_t *members; /* ledger entries, in unit order */
  int subtables_rc;
  sheaf_error subtables_error;
} part;

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to plan");
}

/* ---- parameters ---- */

static int read_numsubms(part *p, sheaf_error *err) {
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

static const char *axis_name(sheaf_axis axis) {
  static const char *const names[] = {"scan,spw", "scan", "spw", "baseline"};
  return names[axis];
}

static int check_output(part *p, sheaf_error *err) {
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
static int check_not_inside(const part *p, sheaf_error *err) {
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

static int check_parameters(part *p, sheaf_error *err) {
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

/* ---- plan ---- */

/* The records of a source; those of the one source of several sub-MSs, grouped. */
static void records_path(const part *p, size_t source, char *out, size_t size) {
  snprintf(out, size, "%s/records.%zu", p->stage.path, source);
}

static void grouped_path(const part *p, char *out, size_t size) {
  snprintf(out, size, "%s/rows", p->stage.path);
}

static void note_empty_member(const part *p, size_t s) {
  sheaf_log(SHEAF_LOG_INFO, "%s: no row is selected; it gets no counterpart in the output",
            p->source[s]);
}

/* The selection against one member of an input MMS. What is no mistake for the whole, and selects
 * nothing in a member, is EMPTY. */
static int select_member(const part *p, size_t s, sheaf_select **select, sheaf_error *err) {
  const int rc = sheaf_select_open(select, p->source[s], &p->texts.selection, err);
  if (rc == SHEAF_ERR_EMPTY) sheaf_log(SHEAF_LOG_DEBUG, "%s: %s", p->source[s], err->text);
  return rc;
}

/* Counts the selected rows of one source and writes their records. */
static int count_source(part *p, size_t s, sheaf_scans *scans, sheaf_error *err) {
  char path[PATH_SIZE + 32];
  sheaf_select *select = NULL;
  sheaf_rowsink sink = {.layout = &p->layout, .source = p->createmms ? 0 : (int32_t)s};
  records_path(p, s, path, sizeof path);
  int rc = sheaf_ms_nrow(p->source[s], &p->source_total[s], err);
  if (rc >= 0) rc = sheaf_recwriter_open(&sink.writer, path, p->layout.size, err);
  if (rc >= 0) rc = select_member(p, s, &select, err);
  if (rc == SHEAF_ERR_EMPTY) {
    sheaf_error_clear(err);
    rc = 0;
  } else if (rc >= 0) {
    rc = sheaf_scans_read(scans, p->source[s], select, &sink, err);
    if (!sheaf_scans_antennas_listed(scans, &sheaf_select_parsed(p->select)->antenna))
      p->other_antennas = 1;
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&sink.writer, err);
  sheaf_recwriter_free(&sink.writer);
  p->selected += scans->nrow;
  sheaf_select_close(select);
  return rc;
}

static int nothing_selected(const part *p, sheaf_error *err) {
  char *text = sheaf_selection_text(&p->texts);
  const int rc = sheaf_fail(
      err, SHEAF_ERR_EMPTY, "MSSelectionNullSelection : The selected table has zero rows. (%s: %s)",
      sheaf_value_str(p->par, "vis", ""), text && *text ? text : "it has no rows");
  free(text);
  return rc;
}

static int new_units(part *p, size_t n, sheaf_error *err) {
  p->nunit = n;
  p->unit_rows = calloc(n + 1, sizeof *p->unit_rows);
  p->unit_bytes = calloc(n + 1, sizeof *p->unit_bytes);
  return p->unit_rows && p->unit_bytes ? 0 : no_memory(err);
}

/* Bytes that a row of a data description gives in the output; for costs and progress. */
static int64_t row_bytes(const part *p, const sheaf_cellsel *cell) {
  int64_t bytes = 0;
  for (size_t i = 0; i < p->plan.ncolumn; i++) {
    const sheaf_copycolumn *c = &p->plan.column[i];
    const int64_t size = strstr(c->name, "DATA") ? 8 : strncmp(c->name, "FLAG", 4) == 0 ? 1 : 4;
    if (strcmp(c->name, "FLAG_CATEGORY") == 0) continue;
    if (c->role == SHEAF_ROLE_CUBE || c->spread)
      bytes += size * cell->nchan * cell->ncorr;
    else if (c->role == SHEAF_ROLE_CORR)
      bytes += size * cell->ncorr;
    else if (c->role == SHEAF_ROLE_ARRAY)
      bytes += 24;
  }
  return bytes;
}

/* Baselines as the antenna selection lists them, or all of the input when there is none: the list
 * that CASA shares out. */
static int baseline_list(const part *p, const sheaf_scans *scans, sheaf_scans *all,
                         const int32_t **list, size_t *n, sheaf_error *err) {
  const sheaf_selected *parsed = sheaf_select_parsed(p->select);
  if (parsed->baseline.given) {
    *list = parsed->baseline.id;
    *n = parsed->baseline.n / 2;
    return 0;
  }
  *list = scans->baseline;
  *n = scans->nbaseline;
  if (sheaf_select_all(p->select)) return 0;
  const int rc = sheaf_scans_read(all, p->source[0], NULL, NULL, err);
  *list = all->baseline;
  *n = all->nbaseline;
  return rc;
}

static void warn_reduced(const part *p) {
  static const char *const what[] = {"scan,ddi pairs", "scans", "spws", "baselines"};
  const sheaf_assignment *a = &p->assignment;
  if (!p->wanted_auto && a->wanted > a->possible)
    sheaf_log(SHEAF_LOG_WARN,
              "Number of subMSs (%zu) is greater than available %s (%zu), setting nsubms to %zu",
              a->wanted, what[p->axis], a->possible, a->possible);
  const size_t parts = a->wanted < a->possible ? a->wanted : a->possible;
  if (a->nunit < parts)
    sheaf_log(SHEAF_LOG_INFO, "%zu of %zu parts have no rows and make no sub-MS", parts - a->nunit,
              parts);
}

/* Shares the rows of the one input out along the axis. */
static int plan_axis(part *p, const sheaf_scans *scans, sheaf_error *err) {
  char from[PATH_SIZE + 32], to[PATH_SIZE + 32];
  sheaf_scans all = {0};
  sheaf_assign_request request = {.axis = p->axis, .wanted = p->wanted, .scans = scans};
  int rc = 0;
  if (p->axis == SHEAF_AXIS_BASELINE)
    SHEAF_TRY(baseline_list(p, scans, &all, &request.baseline, &request.nbaseline, err));
  records_path(p, 0, from, sizeof from);
  grouped_path(p, to, sizeof to);
  const sheaf_recspan rows = {from, 0, scans->nrow};
  SHEAF_TRY(
      sheaf_assign_rows(&p->assignment, p->source[0], &request, &rows, p->layout.size, to, err));
  snprintf(p->axis_text, sizeof p->axis_text, "%s", axis_name(p->axis));
  warn_reduced(p);
  SHEAF_TRY(new_units(p, p->assignment.nunit, err));
  for (size_t u = 0; u < p->nunit; u++)
    for (size_t d = 0; d < p->assignment.nddid; d++)
      p->unit_rows[u] += p->assignment.nrow[u * p->assignment.nddid + d];
done:
  sheaf_scans_free(&all);
  return rc;
}

static int plan_one_input(part *p, sheaf_error *err) {
  sheaf_scans scans = {0};
  int rc;
  SHEAF_TRY(count_source(p, 0, &scans, err));
  if (!p->selected) SHEAF_TRY(nothing_selected(p, err));
  SHEAF_TRY(plan_axis(p, &scans, err));
done:
  sheaf_scans_free(&scans);
  return rc;
}

/* Counts every input; returns through rows[s]. */
static int count_inputs(part *p, int64_t *rows, sheaf_error *err) {
  for (size_t s = 0; s < p->nsource; s++) {
    sheaf_scans scans = {0};
    const int rc = count_source(p, s, &scans, err);
    rows[s] = scans.nrow;
    sheaf_scans_free(&scans);
    if (rc < 0) return rc;
  }
  return p->selected ? 0 : nothing_selected(p, err);
}

/* Each member of an input MMS becomes one sub-MS; or, with createmms=False, all become one MS. */
static int plan_members(part *p, sheaf_error *err) {
  int64_t *rows = p->source_rows = calloc(p->nsource + 1, sizeof *rows);
  int rc = rows ? count_inputs(p, rows, err) : no_memory(err);
  if (rc < 0) goto done;
  SHEAF_TRY(new_units(p, p->createmms ? p->nsource : 1, err));
  if (!p->createmms) {
    p->unit_rows[0] = p->selected;
    goto done;
  }
  p->unit_source = calloc(p->nsource + 1, sizeof *p->unit_source);
  if (!p->unit_source) SHEAF_TRY(no_memory(err));
  p->nunit = 0;
  for (size_t s = 0; s < p->nsource; s++) {
    if (!rows[s]) {
      note_empty_member(p, s);
      continue;
    }
    p->unit_source[p->nunit] = s;
    p->unit_rows[p->nunit++] = rows[s];
  }
  SHEAF_TRY(sheaf_mms_axis(p->vis, p->axis_text, sizeof p->axis_text, err));
done:
  return rc;
}

/* Adds the hidden ddistart to the numbers of data descriptions. */
static int apply_ddistart(part *p, sheaf_error *err) {
  const int64_t start = sheaf_value_int(p->par, "ddistart", -1);
  sheaf_idmap *map = &p->plan.reindex.ddid;
  if (start <= 0) return 0;
  if (!map->to) {
    map->n = p->plan.reindex.nddid;
    map->to = malloc((map->n + 1) * sizeof *map->to);
    if (!map->to) return no_memory(err);
    for (size_t i = 0; i < map->n; i++) map->to[i] = (int32_t)i;
  }
  for (size_t i = 0; i < map->n; i++)
    if (map->to[i] >= 0) map->to[i] += (int32_t)start;
  return 0;
}

static const sheaf_spwgroups *spw_groups(const part *p, sheaf_spwgroups *groups) {
  if (!p->assignment.spw) return NULL;
  *groups = (sheaf_spwgroups){p->assignment.nunit, p->assignment.nspw,
                              (const int32_t *const *)p->assignment.spw};
  return groups;
}

static int64_t plan_costs(part *p) {
  const sheaf_reindex *r = &p->plan.reindex;
  int64_t total = 0;
  for (size_t u = 0; u < p->nunit; u++) {
    if (p->assignment.nrow)
      for (size_t d = 0; d < p->assignment.nddid && d < r->nddid; d++)
        p->unit_bytes[u] +=
            p->assignment.nrow[u * p->assignment.nddid + d] * row_bytes(p, &r->cell[d]);
    else
      p->unit_bytes[u] = p->unit_rows[u] * (r->nddid ? row_bytes(p, &r->cell[0]) : 1);
    total += p->unit_bytes[u];
  }
  sheaf_progress_begin("partition", total, "B");
  return total;
}

/* Which sub-MSs one unit of work writes: each its own, or, where their rows alternate quickly in
 * the input, as many units as there are servers. What is written does not depend on it. */
static int plan_groups(part *p, int64_t bytes, sheaf_error *err) {
  const int servers = sheaf_job_nserver(p->job);
  const int together = p->assignment.nrun > 0 && bytes / p->assignment.nrun < ALTERNATING_BYTES;
  p->ngroup = !together ? p->nunit : servers > 1 ? (size_t)servers : 1;
  if (p->ngroup > p->nunit) p->ngroup = p->nunit;
  p->group_first = calloc(p->ngroup + 2, sizeof *p->group_first);
  if (!p->group_first) return no_memory(err);
  for (size_t g = 0; g <= p->ngroup; g++) p->group_first[g] = g * p->nunit / p->ngroup;
  return 0;
}

/* Records hold all scalars that are copied; ids and times in any case. */
static int plan_layout(part *p, sheaf_error *err) {
  const char **names = NULL;
  size_t n;
  if (!p->copydata) return sheaf_rowlayout_make(&p->layout, p->vis, NULL, 0, err);
  int rc = sheaf_copyplan_scalars(&p->plan, &names, &n, err);
  if (rc >= 0) rc = sheaf_rowlayout_make(&p->layout, p->vis, names, n, err);
  free(names);
  return rc;
}

/* References are to rows; cells stay whole. */
static int check_whole_cells(const part *p, sheaf_error *err) {
  const sheaf_reindex *r = &p->plan.reindex;
  for (size_t d = 0; d < r->nddid; d++) {
    const char *what = r->cell[d].chan ? "spw" : "correlation";
    if (r->cell[d].chan || r->cell[d].corr)
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "%s='%s': with copydata=False whole rows are referred to; a selection of "
                        "%s needs copydata=True",
                        what, sheaf_value_str(p->par, what, "…"),
                        r->cell[d].chan ? "channels" : "correlations");
  }
  return 0;
}

/* New numbers for what the selection leaves out. ANTENNA stays whole where it does not say which
 * antennas its rows have. */
static int make_reindex(part *p, sheaf_error *err) {
  sheaf_spwgroups groups;
  sheaf_selected ids = *sheaf_select_parsed(p->select);
  if (p->other_antennas) ids.antenna.given = 0;
  return sheaf_reindex_make(&p->plan.reindex, p->vis, &ids, spw_groups(p, &groups), err);
}

static int plan(part *p, sheaf_error *err) {
  int rc;
  p->from_mms = sheaf_mms_is(p->vis);
  SHEAF_TRY(sheaf_mms_members(p->vis, &p->source, &p->nsource, err));
  p->source_total = calloc(p->nsource + 1, sizeof *p->source_total);
  if (!p->source_total) SHEAF_TRY(no_memory(err));
  SHEAF_TRY(sheaf_select_open(&p->select, p->vis, &p->texts.selection, err));
  SHEAF_TRY(
      sheaf_copyplan_columns(&p->plan, p->vis, sheaf_value_str(p->par, "datacolumn", "all"), err));
  SHEAF_TRY(plan_layout(p, err));
  rc = sheaf_stage_begin(&p->stage, p->output, err);
  if (rc < 0) SHEAF_TRY(sheaf_fail_context(err, rc, "outputvis"));
  if (p->createmms && !p->from_mms)
    SHEAF_TRY(plan_one_input(p, err));
  else
    SHEAF_TRY(plan_members(p, err));
  SHEAF_TRY(make_reindex(p, err));
  if (!p->copydata) SHEAF_TRY(check_whole_cells(p, err));
  if (!p->createmms) SHEAF_TRY(apply_ddistart(p, err));
  if (p->copydata) SHEAF_TRY(plan_groups(p, plan_costs(p), err));
done:
  return rc;
}

/* ---- the round ---- */

/* Name of unit u's sub-MS, and its path inside the stage. */
static void unit_name(const part *p, size_t u, char *out, size_t size) {
  if (p->createmms)
    snprintf(out, size, "%s.%04zu.ms", p->base, u);
  else
    snprintf(out, size, "%s", p->base);
}

static void unit_path(const part *p, size_t u, char *out, size_t size) {
  char name[512];
  unit_name(p, u, name, sizeof name);
  if (p->createmms)
    snprintf(out, size, "%s/%s/SUBMSS/%s", p->stage.path, p->base, name);
  else
    snprintf(out, size, "%s/%s", p->stage.path, name);
}

/* The records of sub-MS u: [[path, first, n], …]. */
static json_t *rows_value(const part *p, size_t u) {
  char path[PATH_SIZE + 32];
  json_t *list = json_array();
  grouped_path(p, path, sizeof path);
  if (!p->source_rows)
    json_array_append_new(list, json_pack("[s,I,I]", path, (json_int_t)p->assignment.first[u],
                                          (json_int_t)p->unit_rows[u]));
  for (size_t s = 0; p->source_rows && s < p->nsource; s++) {
    if (p->unit_source && p->unit_source[u] != s) continue;
    records_path(p, s, path, sizeof path);
    json_array_append_new(list,
                          json_pack("[s,I,I]", path, (json_int_t)0, (json_int_t)p->source_rows[s]));
  }
  return list;
}

static json_t *group_args(const part *p, size_t g) {
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
static void group_label(const part *p, size_t g, char *out, size_t size) {
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

static int merge_unit(part *p, size_t u, const json_t *value, sheaf_error *err) {
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
  part *p = user;
  int rc = 0;
  for (size_t u = p->group_first[g]; rc >= 0 && u < p->group_first[g + 1]; u++)
    rc = merge_unit(p, u, json_array_get(value, u - p->group_first[g]), err);
  return rc;
}

static int make_dir(const char *path, sheaf_error *err) {
  if (mkdir(path, 0777) != 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return 0;
}

static int make_places(const part *p, sheaf_error *err) {
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
  part *p = work;
  char dir[PATH_SIZE + 32];
  sheaf_spwgroups groups;
  snprintf(dir, sizeof dir, "%s/subtables", p->stage.path);
  p->subtables_rc =
      sheaf_reindex_subtables(&p->plan.reindex, p->vis, dir, sheaf_select_parsed(p->select),
                              spw_groups(p, &groups), &p->subtables_error);
  return NULL;
}

static int fill(part *p, const sheaf_round *round, sheaf_error *err) {
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

static int run_units(part *p, sheaf_error *err) {
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

static int prove_rows(const part *p, sheaf_error *err) {
  int64_t sum = 0;
  size_t i;
  json_t *member;
  json_array_foreach(p->members, i, member) sum += sheaf_value_int(member, "rows", 0);
  if (sum == p->selected) return 0;
  return sheaf_fail(err, SHEAF_ERR_INTERNAL,
                    "%lld rows were selected, %lld were written; nothing is published",
                    (long long)p->selected, (long long)sum);
}

/* The first sub-MS gets the sub-tables; the others links, and copies of SOURCE and HISTORY. */
static int place_subtables(part *p, sheaf_error *err) {
  char dir[PATH_SIZE + 32];
  char(*members)[PATH_SIZE + 1024] = calloc(p->nunit + 1, sizeof *members);
  const char **paths = calloc(p->nunit + 1, sizeof *paths);
  int rc = members && paths ? 0 : no_memory(err);
  for (size_t u = 0; rc >= 0 && u < p->nunit; u++) {
    unit_path(p, u, members[u], sizeof members[u]);
    paths[u] = members[u];
  }
  snprintf(dir, sizeof dir, "%s/subtables", p->stage.path);
  if (rc >= 0) rc = sheaf_subtables_place(dir, paths, p->nunit, err);
  free(members);
  free(paths);
  return rc;
}

static int assemble(part *p, sheaf_error *err) {
  char path[PATH_SIZE + 512];
  char(*members)[PATH_SIZE + 1024] = calloc(p->nunit + 1, sizeof *members);
  const char **names = calloc(p->nunit + 1, sizeof *names);
  int rc = members && names ? 0 : no_memory(err);
  for (size_t u = 0; rc >= 0 && u < p->nunit; u++) {
    unit_path(p, u, members[u], sizeof members[u]);
    names[u] = members[u];
  }
  snprintf(path, sizeof path, "%s/%s", p->stage.path, p->base);
  const sheaf_mms_options options = {.axis = p->axis_text, .copy_own = 0};
  if (rc >= 0) rc = sheaf_mms_assemble(path, names, p->nunit, &options, err);
  if (rc >= 0 && sheaf_value_bool(p->par, "flagbackup", 1)) {
    char versions[PATH_SIZE + 512], comment[64];
    const time_t now = time(NULL);
    struct tm local;
    snprintf(versions, sizeof versions, "%s/flagversions", p->stage.path);
    strftime(comment, sizeof comment, "Flags autosave on %Y-%m-%d %H:%M:%S",
             localtime_r(&now, &local));
    sheaf_log(SHEAF_LOG_INFO, "Create a backup of the flags that are in the MMS");
    rc = sheaf_flagversions_create(versions, "partition_1", comment, names, p->nunit, err);
    if (rc >= 0) rc = sheaf_flagversions_mark(versions, err);
  }
  free(members);
  free(names);
  return rc;
}

static int write_ledger(const part *p, const char *path, sheaf_error *err) {
  json_t *ledger = json_pack("{s:s,s:s,s:s,s:I,s:s,s:O}", "sheaf", SHEAF_VERSION, "task",
                             "partition", "input", p->vis, "rows", (json_int_t)p->selected, "axis",
                             p->axis_text, "members", p->members);
  if (!ledger) return no_memory(err);
  if (!p->copydata) json_object_set_new(ledger, "copydata", json_false());
  const int rc = sheaf_ledger_write(path, ledger, err);
  json_decref(ledger);
  return rc;
}

static int publish(part *p, sheaf_error *err) {
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

static int finish(part *p, sheaf_error *err) {
  char path[PATH_SIZE + 512];
  int rc;
  snprintf(path, sizeof path, "%s/%s", p->stage.path, p->base);
  SHEAF_TRY(prove_rows(p, err));
  SHEAF_TRY(place_subtables(p, err));
  if (p->createmms) SHEAF_TRY(assemble(p, err));
  SHEAF_TRY(sheaf_history_append(path, "partition", "sheaf " SHEAF_VERSION, p->par, err));
  SHEAF_TRY(write_ledger(p, path, err));
  SHEAF_TRY(publish(p, err));
  sheaf_log(SHEAF_LOG_INFO, "%lld rows in %zu sub-MS%s: all that were selected",
            (long long)p->selected, p->nunit, p->nunit == 1 ? "" : "s");
done:
  return rc;
}

/* copydata=False: reference tables instead of units; nothing is left to be done by servers. */
static int build_references(part *p, const sheaf_refunit *units, sheaf_error *err) {
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

static void log_references(const part *p) {
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
static size_t refer_spans(const part *p, size_t u, const char *grouped, char *const *records,
                          sheaf_refspan *span) {
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

static int refer(part *p, sheaf_error *err) {
  char path[PATH_SIZE + 32], grouped[PATH_SIZE + 32];
  sheaf_refunit *units = calloc(p->nunit + 1, sizeof *units);
  sheaf_refspan *spans = calloc(p->nunit + p->nsource + 1, sizeof *spans);
  char **records = calloc(p->nsource + 1, sizeof *records);
  int ok = units && spans && records;
  grouped_path(p, grouped, sizeof grouped);
  for (size_t s = 0; ok && s < p->nsource; s++) {
    records_path(p, s, path, sizeof path);
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

static void part_free(part *p) {
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
  part *p = calloc(1, sizeof *p);
  if (!p) return no_memory(err);
  p->job = job;
  p->par = par;
  p->members = json_array();
  int rc = check_parameters(p, err);
  if (rc >= 0) rc = plan(p, err);
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

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/partition_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "ms/multims.h"

enum {
  PATH_SIZE = SHEAF_PARTITION_PATH,
  ALTERNATING_BYTES = 1 << 20 /* rows of sub-MSs that alternate in the input in shorter stretches
                                 are copied together: the input is read once */
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to plan");
}

static const char *axis_name(sheaf_axis axis) {
  static const char *const names[] = {"scan,spw", "scan", "spw", "baseline"};
  return names[axis];
}

void sheaf_partition_records(const sheaf_partition *p, size_t source, char *out, size_t size) {
  snprintf(out, size, "%s/records.%zu", p->stage.path, source);
}

void sheaf_partition_grouped(const sheaf_partition *p, char *out, size_t size) {
  snprintf(out, size, "%s/rows", p->stage.path);
}

static void note_empty_member(const sheaf_partition *p, size_t s) {
  sheaf_log(SHEAF_LOG_INFO, "%s: no row is selected; it gets no counterpart in the output",
            p->source[s]);
}

/* The selection against one member of an input MMS. What is no mistake for the whole, and selects
 * nothing in a member, is EMPTY. */
static int select_member(const sheaf_partition *p, size_t s, sheaf_select **select,
                         sheaf_error *err) {
  const int rc = sheaf_select_open(select, p->source[s], &p->texts.selection, err);
  if (rc == SHEAF_ERR_EMPTY) sheaf_log(SHEAF_LOG_DEBUG, "%s: %s", p->source[s], err->text);
  return rc;
}

/* Counts the selected rows of one source and writes their records. */
static int count_source(sheaf_partition *p, size_t s, sheaf_scans *scans, sheaf_error *err) {
  char path[PATH_SIZE + 32];
  sheaf_select *select = NULL;
  sheaf_rowsink sink = {.layout = &p->layout, .source = p->createmms ? 0 : (int32_t)s};
  sheaf_partition_records(p, s, path, sizeof path);
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

static int nothing_selected(const sheaf_partition *p, sheaf_error *err) {
  char *text = sheaf_selection_text(&p->texts);
  const int rc = sheaf_fail(
      err, SHEAF_ERR_EMPTY, "MSSelectionNullSelection : The selected table has zero rows. (%s: %s)",
      sheaf_value_str(p->par, "vis", ""), text && *text ? text : "it has no rows");
  free(text);
  return rc;
}

static int new_units(sheaf_partition *p, size_t n, sheaf_error *err) {
  p->nunit = n;
  p->unit_rows = calloc(n + 1, sizeof *p->unit_rows);
  p->unit_bytes = calloc(n + 1, sizeof *p->unit_bytes);
  return p->unit_rows && p->unit_bytes ? 0 : no_memory(err);
}

/* Bytes that a row of a data description gives in the output; for costs and progress. */
static int64_t row_bytes(const sheaf_partition *p, const sheaf_cellsel *cell) {
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
static int baseline_list(const sheaf_partition *p, const sheaf_scans *scans, sheaf_scans *all,
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

static void warn_reduced(const sheaf_partition *p) {
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
static int plan_axis(sheaf_partition *p, const sheaf_scans *scans, sheaf_error *err) {
  char from[PATH_SIZE + 32], to[PATH_SIZE + 32];
  sheaf_scans all = {0};
  sheaf_assign_request request = {.axis = p->axis, .wanted = p->wanted, .scans = scans};
  int rc = 0;
  if (p->axis == SHEAF_AXIS_BASELINE)
    SHEAF_TRY(baseline_list(p, scans, &all, &request.baseline, &request.nbaseline, err));
  sheaf_partition_records(p, 0, from, sizeof from);
  sheaf_partition_grouped(p, to, sizeof to);
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

static int plan_one_input(sheaf_partition *p, sheaf_error *err) {
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
static int count_inputs(sheaf_partition *p, int64_t *rows, sheaf_error *err) {
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
static int plan_members(sheaf_partition *p, sheaf_error *err) {
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
static int apply_ddistart(sheaf_partition *p, sheaf_error *err) {
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

const sheaf_spwgroups *sheaf_partition_windows(const sheaf_partition *p, sheaf_spwgroups *groups) {
  if (!p->assignment.spw) return NULL;
  *groups = (sheaf_spwgroups){p->assignment.nunit, p->assignment.nspw,
                              (const int32_t *const *)p->assignment.spw};
  return groups;
}

static int64_t plan_costs(sheaf_partition *p) {
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
static int plan_groups(sheaf_partition *p, int64_t bytes, sheaf_error *err) {
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
static int plan_layout(sheaf_partition *p, sheaf_error *err) {
  const char **names = NULL;
  size_t n;
  if (!p->copydata) return sheaf_rowlayout_make(&p->layout, p->vis, NULL, 0, err);
  int rc = sheaf_copyplan_scalars(&p->plan, &names, &n, err);
  if (rc >= 0) rc = sheaf_rowlayout_make(&p->layout, p->vis, names, n, err);
  free(names);
  return rc;
}

/* References are to rows; cells stay whole. */
static int check_whole_cells(const sheaf_partition *p, sheaf_error *err) {
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
static int make_reindex(sheaf_partition *p, sheaf_error *err) {
  sheaf_spwgroups groups;
  sheaf_selected ids = *sheaf_select_parsed(p->select);
  if (p->other_antennas) ids.antenna.given = 0;
  return sheaf_reindex_make(&p->plan.reindex, p->vis, &ids, sheaf_partition_windows(p, &groups),
                            err);
}

int sheaf_partition_plan(sheaf_partition *p, sheaf_error *err) {
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

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copyplan.c - which columns an output MS gets, and how they come about. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/value.h"
#include "ms/colreader.h"
#include "ms/copier.h"
#include "table/table.h"

static const char *const kData[] = {"DATA", "CORRECTED_DATA", "MODEL_DATA", "FLOAT_DATA",
                                    "LAG_DATA"};
enum { DATA, CORRECTED, MODEL, FLOAT, LAG, NDATA };

/* What each value of datacolumn asks for; `one` is written as DATA. */
static const struct {
  const char *value;
  unsigned wanted; /* bits of kData */
  int needs_all;   /* each must exist, not just one */
  int becomes_data;
} kChoices[] = {
    {"all", 1u << DATA | 1u << CORRECTED | 1u << MODEL | 1u << FLOAT | 1u << LAG, 0, 0},
    {"data", 1u << DATA, 1, 0},
    {"corrected", 1u << CORRECTED, 1, 1},
    {"model", 1u << MODEL, 1, 1},
    {"float_data", 1u << FLOAT, 1, 0},
    {"lag_data", 1u << LAG, 1, 0},
    {"data,model,corrected", 1u << DATA | 1u << CORRECTED | 1u << MODEL, 1, 0},
    {"float_data,data", 1u << FLOAT | 1u << DATA, 1, 0},
    {"lag_data,data", 1u << LAG | 1u << DATA, 1, 0},
};

typedef struct chooser {
  sheaf_copyplan *plan;
  const sheaf_table *table;
  const char *ms;
  unsigned wanted, present; /* bits of kData */
  int choice;
} chooser;

static sheaf_copycolumn *add(chooser *c, const char *source, const char *name, sheaf_role role) {
  sheaf_copycolumn *column = &c->plan->column[c->plan->ncolumn++];
  *column = (sheaf_copycolumn){.role = role};
  snprintf(column->source, sizeof column->source, "%s", source);
  /* Where the input has a column of the output's name, that is the better description. */
  const int same = sheaf_table_column(c->table, name, NULL);
  snprintf(column->pattern, sizeof column->pattern, "%s", same ? name : source);
  snprintf(column->name, sizeof column->name, "%s", name);
  return column;
}

static int data_index(const char *name) {
  for (int i = 0; i < NDATA; i++)
    if (strcmp(name, kData[i]) == 0) return i;
  return -1;
}

static int choose_data(chooser *c, const char *datacolumn, sheaf_error *err) {
  for (size_t i = 0; i < sizeof kChoices / sizeof *kChoices; i++)
    if (strcasecmp(datacolumn, kChoices[i].value) == 0) c->choice = (int)i;
  if (c->choice < 0)
    return sheaf_fail(err, SHEAF_ERR_ARG, "datacolumn='%s': no such choice", datacolumn);
  for (int i = 0; i < NDATA; i++)
    if (sheaf_table_column(c->table, kData[i], NULL)) c->present |= 1u << i;
  c->wanted = kChoices[c->choice].wanted & c->present;
  const unsigned missing = kChoices[c->choice].wanted & ~c->present;
  for (int i = 0; i < NDATA; i++)
    if (missing & 1u << i && (kChoices[c->choice].needs_all || !c->wanted))
      return sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                        "datacolumn='%s': desired column (%s) not found in the input MS (%s)",
                        datacolumn, kData[i], c->ms);
  return 0;
}

/* 1 when any row's cell of an array column is defined. Tiled columns tell a stretch of rows at a
 * time. */
static int is_defined(const chooser *c, const char *name) {
  const int64_t nrow = sheaf_table_nrow(c->table);
  sheaf_colreader reader;
  sheaf_shape shape = {0};
  if (!sheaf_table_column(c->table, name, NULL) ||
      sheaf_colreader_open(&reader, c->table, name, NULL) < 0)
    return 0;
  for (int64_t row = 0; row < nrow && shape.ndim == 0; row = reader.to > row ? reader.to : row + 1)
    if (sheaf_colreader_shape(&reader, row, &shape, NULL) < 0) shape.ndim = 0;
  sheaf_colreader_close(&reader);
  return shape.ndim > 0;
}

/* WEIGHT belongs to CORRECTED_DATA, SIGMA to DATA; what is not processed is made consistent with
 * what is. */
static void choose_weights(chooser *c) {
  const int corrected = (c->wanted & 1u << CORRECTED) != 0;
  const int only_corrected = corrected && !(c->wanted & ~(1u << CORRECTED));
  const int spectrum = is_defined(c, "WEIGHT_SPECTRUM");
  const int sigma_spectrum = is_defined(c, "SIGMA_SPECTRUM");
  const char *sigma_source = only_corrected ? "WEIGHT" : "SIGMA";
  add(c, corrected ? "WEIGHT" : "SIGMA", "WEIGHT", SHEAF_ROLE_CORR)->convert =
      corrected ? SHEAF_CONVERT_NONE : SHEAF_CONVERT_WEIGHT;
  add(c, sigma_source, "SIGMA", SHEAF_ROLE_CORR)->convert =
      only_corrected ? SHEAF_CONVERT_SIGMA : SHEAF_CONVERT_NONE;
  if (spectrum) add(c, "WEIGHT_SPECTRUM", "WEIGHT_SPECTRUM", SHEAF_ROLE_CUBE);
  if (only_corrected && spectrum) {
    add(c, "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", SHEAF_ROLE_CUBE)->convert = SHEAF_CONVERT_SIGMA;
  } else if (sigma_spectrum) {
    add(c, "SIGMA_SPECTRUM", "SIGMA_SPECTRUM", SHEAF_ROLE_CUBE);
  } else if (spectrum) {
    sheaf_copycolumn *s = add(c, "SIGMA", "SIGMA_SPECTRUM", SHEAF_ROLE_CORR);
    s->spread = 1;
    snprintf(s->pattern, sizeof s->pattern, "WEIGHT_SPECTRUM");
  }
}

static sheaf_role role_of(const sheaf_column *column) {
  if (!column->array) return sheaf_type_size(column->type) ? SHEAF_ROLE_SCALAR : SHEAF_ROLE_CELLS;
  return sheaf_type_size(column->type) ? SHEAF_ROLE_ARRAY : SHEAF_ROLE_CELLS;
}

static int is_weight(const char *name) {
  static const char *const weights[] = {"WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"};
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
    if (strcmp(name, weights[i]) == 0) return 1;
  return 0;
}

static void choose_column(chooser *c, const sheaf_column *column) {
  const int data = data_index(column->name);
  if (data >= 0) {
    if (!(c->wanted & 1u << data)) return;
    add(c, column->name, kChoices[c->choice].becomes_data ? "DATA" : column->name, SHEAF_ROLE_CUBE);
  } else if (strcmp(column->name, "FLAG") == 0 || strcmp(column->name, "FLAG_CATEGORY") == 0) {
    add(c, column->name, column->name, SHEAF_ROLE_CUBE);
  } else if (!is_weight(column->name)) {
    add(c, column->name, column->name, role_of(column));
  }
}

/* Number of axes that all defined cells of a column share; 0 when none is defined, -1 when they
 * differ or a cell has too many. */
static int common_axes(const sheaf_table *table, const char *name) {
  int common = 0;
  for (int64_t row = 0; row < sheaf_table_nrow(table); row++) {
    int64_t shape[SHEAF_TABLE_MAXDIM];
    const int ndim = sheaf_table_cell_shape(table, name, row, shape, NULL);
    if (ndim == 0) continue;
    if (ndim < 0 || (common && ndim != common)) return -1;
    common = ndim;
  }
  return common;
}

/* Tiled managers want the number of axes of a column, which its description may leave open. Where
 * the cells do not agree on one either, casacore moves them one by one. */
static void settle_axes(const chooser *c) {
  for (size_t i = 0; i < c->plan->ncolumn; i++) {
    sheaf_copycolumn *column = &c->plan->column[i];
    sheaf_column info;
    sheaf_table_column(c->table, column->pattern, &info);
    if (column->role < SHEAF_ROLE_ARRAY || info.ndim > 0) continue;
    const int ndim = common_axes(c->table, column->source);
    column->ndim = strcmp(column->name, "FLAG_CATEGORY") == 0 ? 3
                   : column->role == SHEAF_ROLE_CUBE          ? 2
                                                              : 1;
    if (ndim > 0)
      column->ndim = ndim + (column->spread != 0);
    else if (column->role == SHEAF_ROLE_ARRAY)
      column->role = SHEAF_ROLE_CELLS;
  }
}

int sheaf_copyplan_columns(sheaf_copyplan *plan, const char *ms, const char *datacolumn,
                           sheaf_error *err) {
  sheaf_table *table = NULL;
  sheaf_column *columns = NULL;
  size_t n;
  int rc;
  SHEAF_TRY(sheaf_table_open(&table, ms, 0, err));
  SHEAF_TRY(sheaf_table_columns(table, &columns, &n, err));
  free(plan->column);
  plan->ncolumn = 0;
  plan->column = calloc(n + 8, sizeof *plan->column);
  if (!plan->column) SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: column list", ms));
  chooser c = {.plan = plan, .table = table, .ms = ms, .choice = -1};
  SHEAF_TRY(choose_data(&c, datacolumn, err));
  for (size_t i = 0; i < n; i++) choose_column(&c, &columns[i]);
  choose_weights(&c);
  settle_axes(&c);

done:
  free(columns);
  sheaf_table_close(table);
  return rc;
}

int sheaf_copyplan_scalars(const sheaf_copyplan *plan, const char ***names, size_t *n,
                           sheaf_error *err) {
  *n = 0;
  *names = calloc(plan->ncolumn + 1, sizeof **names);
  if (!*names) return sheaf_fail(err, SHEAF_ERR_NOMEM, "column list");
  for (size_t i = 0; i < plan->ncolumn; i++)
    if (plan->column[i].role == SHEAF_ROLE_SCALAR) (*names)[(*n)++] = plan->column[i].source;
  return 0;
}

void sheaf_copyplan_free(sheaf_copyplan *plan) {
  free(plan->column);
  sheaf_reindex_free(&plan->reindex);
  *plan = (sheaf_copyplan){0};
}

json_t *sheaf_copyplan_value(const sheaf_copyplan *plan) {
  json_t *columns = json_array();
  for (size_t i = 0; i < plan->ncolumn; i++) {
    const sheaf_copycolumn *c = &plan->column[i];
    json_array_append_new(columns, json_pack("[s,s,s,i,i,i,i]", c->source, c->pattern, c->name,
                                             (int)c->role, (int)c->convert, c->spread, c->ndim));
  }
  return json_pack("{s:o,s:o}", "columns", columns, "reindex", sheaf_reindex_value(&plan->reindex));
}

int sheaf_copyplan_from_value(sheaf_copyplan *plan, const json_t *value, sheaf_error *err) {
  *plan = (sheaf_copyplan){0};
  const json_t *columns = json_object_get(value, "columns");
  plan->ncolumn = json_array_size(columns);
  plan->column = calloc(plan->ncolumn + 1, sizeof *plan->column);
  if (!plan->column) return sheaf_fail(err, SHEAF_ERR_NOMEM, "column list");
  for (size_t i = 0; i < plan->ncolumn; i++) {
    const char *source, *pattern, *name;
    int role, convert, spread, ndim;
    if (json_unpack(json_array_get(columns, i), "[s,s,s,i,i,i,i]", &source, &pattern, &name, &role,
                    &convert, &spread, &ndim) != 0)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "column list of a unit cannot be read");
    sheaf_copycolumn *c = &plan->column[i];
    snprintf(c->source, sizeof c->source, "%s", source);
    snprintf(c->pattern, sizeof c->pattern, "%s", pattern);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->role = (sheaf_role)role;
    c->convert = (sheaf_convert)convert;
    c->spread = spread;
    c->ndim = ndim;
  }
  return sheaf_reindex_from_value(&plan->reindex, json_object_get(value, "reindex"), err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/vconcat.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "ms/history.h"
#include "ms/ledger.h"
#include "ms/multims.h"
#include "table/concat.h"
#include "table/msconcat.h"
#include "table/reftable.h"

#define POINTING "POINTING"

/* One sub-MS of the result. */
typedef struct member {
  char source[PATH_MAX];
  char path[PATH_MAX];     /* in the making */
  char pointing[PATH_MAX]; /* its POINTING, kept aside; "" when it brings none */
  char name[NAME_MAX + 1];
  double weight;
  int owner; /* the first member of its input: brings that input's sub-tables that are not merged
                row by row */
  json_t *survey;
} member;

typedef struct input {
  char path[PATH_MAX];
  double weight;
  size_t given; /* place in the caller's list */
  json_t *survey;
} input;

struct sheaf_vconcat {
  input *inputs;
  size_t ninput;
  member *members;
  size_t nmember;
};

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int64_t number(const json_t *survey, const char *key) {
  return json_integer_value(json_object_get(survey, key));
}

static int flag(const json_t *survey, const char *key) {
  return json_is_true(json_object_get(survey, key));
}

static int has_column(const json_t *survey, const char *name) {
  return json_object_get(json_object_get(survey, "columns"), name) != NULL;
}

/* ---- plan ---- */

static int survey_input(input *in, const char *vis, double weight, size_t given, sheaf_error *err) {
  int rc = sheaf_path_absolute(vis, in->path, sizeof in->path, err);
  if (rc < 0) return rc;
  in->weight = weight;
  in->given = given;
  if ((rc = sheaf_msconcat_survey(in->path, &in->survey, err)) < 0) return rc;
  if (number(in->survey, "nrow") == 0)
    return sheaf_fail(err, SHEAF_ERR_ARG, "vis: %s has no rows", vis);
  return 0;
}

static int compare_inputs(const void *a, const void *b) {
  const input *x = a, *y = b;
  const double tx = json_real_value(json_object_get(x->survey, "start"));
  const double ty = json_real_value(json_object_get(y->survey, "start"));
  if (tx != ty) return tx < ty ? -1 : 1;
  return x->given < y->given ? -1 : 1;
}

static void sort_inputs(sheaf_vconcat *plan) {
  int sorted = 1;
  qsort(plan->inputs, plan->ninput, sizeof *plan->inputs, compare_inputs);
  for (size_t i = 0; i < plan->ninput; i++) sorted = sorted && plan->inputs[i].given == i;
  if (sorted) return;
  sheaf_log(SHEAF_LOG_INFO,
            "The list of input MSs is not in chronological order; they are "
            "concatenated in this order:");
  for (size_t i = 0; i < plan->ninput; i++)
    sheaf_log(SHEAF_LOG_INFO, "   MJD %.6f: %s",
              json_real_value(json_object_get(plan->inputs[i].survey, "start")) / 86400,
              base_of(plan->inputs[i].path));
}

static int in_list(const json_t *names, const char *name) {
  size_t i;
  json_t *item;
  json_array_foreach(names, i, item) {
    if (strcmp(json_string_value(item), name) == 0) return 1;
  }
  return 0;
}

/* Warns about what `b` lacks of `a`; returns the number of differences. */
static int warn_missing(const char *table, const json_t *a, const json_t *b, const char *owner) {
  int n = 0;
  size_t i;
  json_t *item;
  json_array_foreach((json_t *)a, i, item) {
    if (in_list(b, json_string_value(item))) continue;
    n++;
    sheaf_log(SHEAF_LOG_WARN, "   %s: %s lacks column %s", owner, table, json_string_value(item));
  }
  return n;
}

static int is_ignored(const char *table) {
  return strcmp(table, "SORTED_TABLE") == 0 || fnmatch("ASDM*", table, 0) == 0;
}

static int warn_tables(const input *a, const input *b) {
  const json_t *ta = json_object_get(a->survey, "subtables");
  const json_t *tb = json_object_get(b->survey, "subtables");
  const char *name;
  json_t *columns;
  int n = 0;
  json_object_foreach((json_t *)ta, name, columns) {
    const json_t *other = json_object_get(tb, name);
    if (is_ignored(name)) continue;
    if (other) {
      n += warn_missing(name, columns, other, base_of(b->path));
      n += warn_missing(name, other, columns, base_of(a->path));
    } else {
      n++;
      sheaf_log(SHEAF_LOG_WARN, "   %s: has no table %s", base_of(b->path), name);
    }
  }
  json_object_foreach((json_t *)tb, name, columns) {
    if (is_ignored(name) || json_object_get(ta, name)) continue;
    n++;
    sheaf_log(SHEAF_LOG_WARN, "   %s: has no table %s", base_of(a->path), name);
  }
  return n;
}

static void warn_pointing(const sheaf_vconcat *plan) {
  size_t with = 0;
  for (size_t i = 0; i < plan->ninput; i++) with += number(plan->inputs[i].survey, "pointing") > 0;
  if (with == 0 || with == plan->ninput) return;
  sheaf_log(SHEAF_LOG_WARN, "POINTING of the result covers only some of the data; it is empty in:");
  for (size_t i = 0; i < plan->ninput; i++)
    if (number(plan->inputs[i].survey, "pointing") <= 0)
      sheaf_log(SHEAF_LOG_WARN, "   %s", base_of(plan->inputs[i].path));
}

static void warn_differences(const sheaf_vconcat *plan) {
  int n = 0;
  sheaf_log(SHEAF_LOG_INFO, "Checking MS setup consistency ...");
  for (size_t i = 1; i < plan->ninput; i++) n += warn_tables(&plan->inputs[0], &plan->inputs[i]);
  if (n > 0)
    sheaf_log(SHEAF_LOG_WARN,
              "The setup of the input MSs is not fully consistent: the columns "
              "above may hold default values for some of the data");
  warn_pointing(plan);
}

/* Main tables can be concatenated only when they have the same columns; scratch columns are added.
 */
static int check_columns(const member *a, const member *b, sheaf_error *err) {
  const char *name;
  json_t *kind;
  json_object_foreach(json_object_get(a->survey, "columns"), name, kind) {
    const json_t *other = json_object_get(json_object_get(b->survey, "columns"), name);
    if (!other && (!strcmp(name, "MODEL_DATA") || !strcmp(name, "CORRECTED_DATA"))) continue;
    if (!other)
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "vis: %s has no column %s, but %s has; all main tables need the same "
                        "columns (add it, or leave it out of the other with split)",
                        b->name, name, a->name);
    if (!json_equal(kind, other))
      return sheaf_fail(err, SHEAF_ERR_ARG, "vis: column %s is %s in %s and %s in %s", name,
                        json_string_value(kind), a->name, json_string_value(other), b->name);
  }
  return 0;
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int name_taken(const sheaf_vconcat *plan, const char *name) {
  for (size_t i = 0; i < plan->nmember; i++)
    if (strcmp(plan->members[i].name, name) == 0) return 1;
  return 0;
}

/* The name of a member in the result: its own, or with a number when another has it already. */
static void choose_name(const sheaf_vconcat *plan, member *mb) {
  const char *base = base_of(mb->source), *dot = strrchr(base, '.');
  const int stem = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
  snprintf(mb->name, sizeof mb->name, "%s", base);
  for (int k = 2; name_taken(plan, mb->name); k++)
    snprintf(mb->name, sizeof mb->name, "%.*s_%d%s", stem > 230 ? 230 : stem, base, k, base + stem);
}

static int check_new_member(const sheaf_vconcat *plan, const member *mb, sheaf_error *err) {
  char real[PATH_MAX], other[PATH_MAX];
  int rc = sheaf_path_real(mb->source, real, sizeof real, err);
  for (size_t i = 0; rc >= 0 && i < plan->nmember; i++) {
    rc = sheaf_path_real(plan->members[i].source, other, sizeof other, err);
    if (rc >= 0 && strcmp(real, other) == 0)
      return sheaf_fail(err, SHEAF_ERR_ARG, "vis: %s is contained in the list more than once",
                        mb->source);
  }
  if (rc < 0) return rc;
  if (number(mb->survey, "nrow") == 0)
    return sheaf_fail(err, SHEAF_ERR_ARG, "vis: %s has no rows", mb->source);
  return plan->nmember > 0 ? check_columns(&plan->members[0], mb, err) : 0;
}

static int add_member(sheaf_vconcat *plan, const char *source, double weight, int owner,
                      sheaf_error *err) {
  member *grown = realloc(plan->members, (plan->nmember + 1) * sizeof *grown);
  if (!grown) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", source);
  plan->members = grown;
  member *mb = &grown[plan->nmember];
  memset(mb, 0, sizeof *mb);
  snprintf(mb->source, sizeof mb->source, "%s", source);
  mb->weight = weight;
  mb->owner = owner;
  choose_name(plan, mb);
  int rc = sheaf_msconcat_survey(source, &mb->survey, err);
  if (rc < 0) return sheaf_fail_context(err, rc, "vis");
  rc = check_new_member(plan, mb, err);
  if (rc >= 0 && plan->nmember > 0) rc = check_columns(mb, &plan->members[0], err);
  if (rc < 0) {
    json_decref(mb->survey);
    return rc;
  }
  if (strcmp(mb->name, base_of(mb->source)) != 0)
    sheaf_log(SHEAF_LOG_WARN, "%s: another input has this name; it becomes %s", mb->source,
              mb->name);
  plan->nmember++;
  return 0;
}

static int expand_input(sheaf_vconcat *plan, const input *in, sheaf_error *err) {
  char **names = NULL;
  size_t n = 0;
  int rc = sheaf_mms_members(in->path, &names, &n, err);
  if (rc < 0) return rc;
  if (sheaf_mms_is(in->path))
    sheaf_log(SHEAF_LOG_INFO, "%s is a Multi-MS of %zu sub-MSs", base_of(in->path), n);
  qsort(names, n, sizeof *names, compare_texts);
  for (size_t i = 0; rc >= 0 && i < n; i++)
    rc = add_member(plan, names[i], in->weight, i == 0, err);
  sheaf_mms_members_free(names);
  return rc < 0 ? rc : 0;
}

int sheaf_vconcat_plan(sheaf_vconcat **out, const char *const *vis, const double *weights, size_t n,
                       sheaf_error *err) {
  int rc = 0;
  sheaf_vconcat *plan = calloc(1, sizeof *plan);
  if (plan) plan->inputs = calloc(n, sizeof *plan->inputs);
  if (!plan || !plan->inputs) {
    sheaf_vconcat_free(plan);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "list of MSs: out of memory");
  }
  plan->ninput = n;
  for (size_t i = 0; i < n; i++)
    SHEAF_TRY(survey_input(&plan->inputs[i], vis[i], weights ? weights[i] : 1.0, i, err));
  warn_differences(plan);
  sort_inputs(plan);
  for (size_t i = 0; i < n; i++) SHEAF_TRY(expand_input(plan, &plan->inputs[i], err));
  *out = plan;
  return 0;
done:
  sheaf_vconcat_free(plan);
  return rc;
}

void sheaf_vconcat_free(sheaf_vconcat *plan) {
  if (!plan) return;
  for (size_t i = 0; plan->inputs && i < plan->ninput; i++) json_decref(plan->inputs[i].survey);
  for (size_t i = 0; i < plan->nmember; i++) json_decref(plan->members[i].survey);
  free(plan->inputs);
  free(plan->members);
  free(plan);
}

int64_t sheaf_vconcat_nrow(const sheaf_vconcat *plan) {
  int64_t sum = 0;
  for (size_t i = 0; i < plan->ninput; i++) sum += number(plan->inputs[i].survey, "nrow");
  return sum;
}

size_t sheaf_vconcat_nmember(const sheaf_vconcat *plan) {
  return plan->nmember;
}

/* ---- copies ---- */

/* Whether merging this member writes nothing but ids: it keeps its antenna ids (its antennas begin
 * the first member's list, in which names are unique), channels run the same way everywhere, and
 * weights stay. */
static int keeps_bulk(const sheaf_vconcat *plan, const member *mb) {
  const member *first = &plan->members[0];
  const json_t *all = json_object_get(first->survey, "antennas");
  const json_t *own = json_object_get(mb->survey, "antennas");
  int up = 0, down = 0;
  if (mb->weight != 1) return 0;
  if (mb == first) return 1;
  if (!flag(first->survey, "unique") || json_array_size(own) > json_array_size(all)) return 0;
  for (size_t i = 0; i < json_array_size(own); i++)
    if (!json_equal(json_array_get(own, i), json_array_get(all, i))) return 0;
  for (size_t i = 0; i < plan->nmember; i++) {
    up |= flag(plan->members[i].survey, "ascending");
    down |= flag(plan->members[i].survey, "descending");
  }
  return !(up && down);
}

/* "table.f17_TSM0" of a data manager that is listed in "bulk". */
static int is_bulk_file(const member *mb, const char *file) {
  int manager, cube;
  char rest;
  size_t i;
  json_t *item;
  if (sscanf(file, "table.f%d_TSM%d%c", &manager, &cube, &rest) != 2) return 0;
  json_array_foreach(json_object_get(mb->survey, "bulk"), i, item) {
    if (json_integer_value(item) == manager) return 1;
  }
  return 0;
}

static int copy_entry(const char *from, const char *to, int link_it, sheaf_error *err) {
  char real[PATH_MAX];
  struct stat st;
  if (!realpath(from, real)) {
    sheaf_log(SHEAF_LOG_WARN, "%s: leads nowhere and is left out", from);
    return 0;
  }
  if (link_it && stat(real, &st) == 0 && (st.st_mode & S_IWUSR) && link(real, to) == 0) return 0;
  return sheaf_tree_copy(real, to, err);
}

/* POINTING has a way of its own; a sorted copy and a ledger would not be true any more. */
static int stays_behind(const char *name) {
  static const char *const names[] = {".", "..", POINTING, "SORTED_TABLE", SHEAF_LEDGER_FILE};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return 1;
  return 0;
}

/* Copies a member's files, with links to sub-tables replaced by the tables. */
static int copy_files(const member *mb, int may_link, sheaf_error *err) {
  char from[PATH_MAX], to[PATH_MAX];
  int rc = 0;
  DIR *dir = opendir(mb->source);
  if (!dir) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be listed", mb->source);
  for (struct dirent *entry; rc >= 0 && (entry = readdir(dir));) {
    const char *name = entry->d_name;
    if (stays_behind(name)) continue;
    rc = sheaf_path_join(from, sizeof from, mb->source, name, err);
    if (rc >= 0) rc = sheaf_path_join(to, sizeof to, mb->path, name, err);
    if (rc >= 0) rc = copy_entry(from, to, may_link && is_bulk_file(mb, name), err);
    if (rc >= 0) rc = sheaf_cancel_check(err);
  }
  closedir(dir);
  return rc;
}

/* A member that refers to rows of another MS becomes one with data of its own: the merge writes
 * into members, and must not write there. casacore copies its sub-tables, too. */
static int copy_reference(const member *mb, sheaf_error *err) {
  char pointing[PATH_MAX];
  int rc = sheaf_msconcat_copy(mb->source, mb->path, 0, err);
  if (rc >= 0) rc = sheaf_path_join(pointing, sizeof pointing, mb->path, POINTING, err);
  return rc < 0 ? rc : sheaf_tree_remove(pointing, err);
}

/* POINTING waits beside the members until all ids are known; in the member stays an empty one. */
static int set_pointing_aside(member *mb, size_t i, const char *aside, int copypointing,
                              sheaf_error *err) {
  char from[PATH_MAX], real[PATH_MAX], empty[PATH_MAX], name[40];
  if (number(mb->survey, "pointing") < 0) return 0;
  int rc = sheaf_reftable_subtable(mb->source, POINTING, from, sizeof from, err);
  if (rc < 0 || (rc = sheaf_path_real(from, real, sizeof real, err)) < 0) return rc;
  if ((rc = sheaf_path_join(empty, sizeof empty, mb->path, POINTING, err)) < 0) return rc;
  if ((rc = sheaf_msconcat_copy(real, empty, 1, err)) < 0) return rc;
  if (!mb->owner || !copypointing) return 0;
  snprintf(name, sizeof name, POINTING "%zu", i);
  if ((rc = sheaf_path_join(mb->pointing, sizeof mb->pointing, aside, name, err)) < 0) return rc;
  if (sheaf_concat_members(real, NULL, NULL, NULL) == 1)
    return sheaf_msconcat_copy(real, mb->pointing, 0, err);
  return copy_entry(real, mb->pointing, 0, err);
}

static int copy_member(sheaf_vconcat *plan, size_t i, const char *dir, const char *aside,
                       const sheaf_vconcat_options *options, sheaf_error *err) {
  member *mb = &plan->members[i];
  int rc = sheaf_path_join(mb->path, sizeof mb->path, dir, mb->name, err);
  if (rc < 0) return rc;
  if (sheaf_table_kind_of(mb->source) == SHEAF_KIND_REF)
    rc = copy_reference(mb, err);
  else if (mkdir(mb->path, 0777) < 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be made", mb->path);
  else
    rc = copy_files(mb, options->may_link && keeps_bulk(plan, mb), err);
  if (rc < 0) return rc;
  if ((rc = sheaf_concat_keyword_drop(mb->path, "SORTED_TABLE", err)) < 0) return rc;
  rc = set_pointing_aside(mb, i, aside, options->copypointing, err);
  sheaf_progress_add(1);
  return rc;
}

/* ---- build ---- */

static int add_scratch(sheaf_vconcat *plan, sheaf_error *err) {
  int model = 0, corrected = 0;
  for (size_t i = 0; i < plan->nmember; i++) {
    model |= has_column(plan->members[i].survey, "MODEL_DATA");
    corrected |= has_column(plan->members[i].survey, "CORRECTED_DATA");
  }
  for (size_t i = 0; i < plan->nmember; i++) {
    const member *mb = &plan->members[i];
    const int needs_model = model && !has_column(mb->survey, "MODEL_DATA");
    const int needs_corrected = corrected && !has_column(mb->survey, "CORRECTED_DATA");
    if (!needs_model && !needs_corrected) continue;
    sheaf_log(SHEAF_LOG_INFO, "creating scratch columns in %s", mb->name);
    const int rc = sheaf_msconcat_scratch(mb->path, needs_model, needs_corrected, err);
    if (rc < 0) return rc;
  }
  return 0;
}

static int scale_weights(const member *mb, int is_first, sheaf_error *err) {
  if (mb->weight == 1) return 0;
  sheaf_log(SHEAF_LOG_INFO, "Scaling weights of %s by factor %g", mb->name, mb->weight);
  return sheaf_msconcat_scale(mb->path, mb->weight, !is_first, err);
}

static int read_tolerance(const char *name, const char *text, const char *unit,
                          const char *otherwise, double *value, sheaf_error *err) {
  const int rc = sheaf_msconcat_quantity(*text ? text : otherwise, unit, value, err);
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", name) : 0;
}

static int read_tolerances(const sheaf_vconcat_options *options, sheaf_msconcat_options *merge,
                           sheaf_error *err) {
  const int rc = read_tolerance("freqtol", options->freqtol, "Hz", "1Hz", &merge->freqtol_hz, err);
  return rc < 0 ? rc
                : read_tolerance("dirtol", options->dirtol, "rad", "1mas", &merge->dirtol_rad, err);
}

int sheaf_vconcat_check(const sheaf_vconcat_options *options, sheaf_error *err) {
  sheaf_msconcat_options merge;
  return read_tolerances(options, &merge, err);
}

static int merge_members(sheaf_vconcat *plan, const char *scans,
                         const sheaf_vconcat_options *options, sheaf_error *err) {
  sheaf_msconcat_options merge = {.respectname = options->respectname, .scans = scans};
  int rc = read_tolerances(options, &merge, err);
  for (size_t i = 0; rc >= 0 && i < plan->nmember; i++) {
    const member *mb = &plan->members[i];
    if ((rc = sheaf_cancel_check(err)) < 0) break;
    if ((rc = scale_weights(mb, i == 0, err)) < 0) break;
    if (i > 0) {
      sheaf_log(SHEAF_LOG_INFO, "adding %s to the Multi-MS", mb->name);
      merge.pointing = mb->pointing[0] ? mb->pointing : NULL;
      rc = sheaf_msconcat_merge(plan->members[0].path, mb->path, &merge, err);
    }
    if (rc < 0) return sheaf_fail_context(err, rc, "%s", mb->name);
    sheaf_progress_add(1);
  }
  return rc;
}

static const json_t *pointing_columns(const member *mb) {
  return json_object_get(json_object_get(mb->survey, "subtables"), POINTING);
}

/* Lists the POINTING tables that were kept aside. Those whose columns differ cannot be
 * concatenated: their rows are appended to the first. */
static int list_pointing(sheaf_vconcat *plan, const char **tables, size_t *n, sheaf_error *err) {
  const member *first = NULL;
  int alike = 1;
  *n = 0;
  for (size_t i = 0; i < plan->nmember; i++) {
    const member *mb = &plan->members[i];
    if (!mb->pointing[0]) continue;
    if (!first) first = mb;
    alike = alike && json_equal(pointing_columns(first), pointing_columns(mb));
    tables[(*n)++] = mb->pointing;
  }
  if (alike) return 0;
  sheaf_log(SHEAF_LOG_WARN,
            "The POINTING tables have different columns; columns that %s does not "
            "have are left out",
            first->name);
  for (size_t i = 1; i < *n; i++) {
    const int rc = sheaf_msconcat_append(tables[0], tables[i], err);
    if (rc < 0) return rc;
  }
  *n = 1;
  return 0;
}

/* Makes POINTING of the first member from those of all inputs. */
static int join_pointing(sheaf_vconcat *plan, const char *aside, sheaf_error *err) {
  char joined[PATH_MAX], place[PATH_MAX];
  const char **tables = calloc(plan->nmember, sizeof *tables);
  size_t n = 0;
  int rc = 0;
  if (!tables) return sheaf_fail(err, SHEAF_ERR_NOMEM, "list of tables: out of memory");
  SHEAF_TRY(list_pointing(plan, tables, &n, err));
  if (n == 0) goto done;
  sheaf_log(SHEAF_LOG_INFO, "Concatenating the POINTING tables ...");
  SHEAF_TRY(sheaf_path_join(joined, sizeof joined, aside, POINTING, err));
  SHEAF_TRY(sheaf_path_join(place, sizeof place, plan->members[0].path, POINTING, err));
  SHEAF_TRY(sheaf_mms_join(joined, "SUBTBS", tables, n, err));
  SHEAF_TRY(sheaf_tree_remove(place, err));
  if (rename(joined, place) < 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be moved", joined);
  else
    rc = sheaf_concat_keyword_link(plan->members[0].path, POINTING, err);
done:
  free(tables);
  return rc < 0 ? rc : 0;
}

static int assemble(sheaf_vconcat *plan, const char *path, sheaf_error *err) {
  const char **members = calloc(plan->nmember, sizeof *members);
  if (!members) return sheaf_fail(err, SHEAF_ERR_NOMEM, "list of sub-MSs: out of memory");
  for (size_t i = 0; i < plan->nmember; i++) members[i] = plan->members[i].path;
  const int rc = sheaf_mms_assemble(path, members, plan->nmember, NULL, err);
  free(members);
  return rc;
}

typedef struct first_problem {
  char text[1000];
} first_problem;

static void note_problem(void *user, const char *where, const char *text) {
  first_problem *first = user;
  if (!first->text[0]) snprintf(first->text, sizeof first->text, "%s: %s", where, text);
}

/* Nothing is published that is unsound or lacks rows. */
static int prove(const sheaf_vconcat *plan, const char *path, sheaf_error *err) {
  first_problem first = {""};
  json_t *whole = NULL;
  int rc = sheaf_mms_check(path, note_problem, &first, err);
  if (rc < 0) return rc;
  if (rc > 0)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "the new Multi-MS is not sound: %s", first.text);
  if ((rc = sheaf_concat_describe(path, &whole, err)) < 0) return rc;
  const int64_t nrow = number(whole, "nrow"), want = sheaf_vconcat_nrow(plan);
  json_decref(whole);
  if (nrow == want) return 0;
  return sheaf_fail(err, SHEAF_ERR_INTERNAL, "the new Multi-MS has %lld rows, the inputs have %lld",
                    (long long)nrow, (long long)want);
}

static int make_dir(char *out, const char *path, const char *name, sheaf_error *err) {
  const int rc = sheaf_path_join(out, PATH_MAX, path, name, err);
  if (rc < 0 || mkdir(out, 0777) == 0) return rc;
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be made", out);
}

int sheaf_vconcat_build(sheaf_vconcat *plan, const char *path, const sheaf_vconcat_options *options,
                        sheaf_error *err) {
  char dir[PATH_MAX], aside[PATH_MAX], scans[PATH_MAX];
  int rc = 0;
  sheaf_progress_begin(options->task, 2 * (int64_t)plan->nmember, "steps");
  SHEAF_TRY(make_dir(dir, path, "SUBMSS", err));
  SHEAF_TRY(make_dir(aside, path, ".aside", err));
  SHEAF_TRY(sheaf_path_join(scans, sizeof scans, aside, "scans", err));
  for (size_t i = 0; i < plan->nmember; i++)
    SHEAF_TRY(copy_member(plan, i, dir, aside, options, err));
  SHEAF_TRY(add_scratch(plan, err));
  SHEAF_TRY(merge_members(plan, scans, options, err));
  SHEAF_TRY(sheaf_history_append(plan->members[0].path, options->task, "sheaf " SHEAF_VERSION,
                                 options->params, err));
  SHEAF_TRY(join_pointing(plan, aside, err));
  SHEAF_TRY(sheaf_tree_remove(aside, err));
  SHEAF_TRY(assemble(plan, path, err));
  SHEAF_TRY(prove(plan, path, err));
  rc = 0;
done:
  sheaf_progress_end();
  return rc;
}

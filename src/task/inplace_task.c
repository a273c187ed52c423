/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/inplace_task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ms/history.h"
#include "ms/ledger.h"
#include "ms/refms.h"
#include "ms/setup.h"

static int check_writable(const char *member, sheaf_error *err) {
  char file[4200];
  snprintf(file, sizeof file, "%s/table.dat", member);
  if (access(member, W_OK) || access(file, W_OK))
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s cannot be written to", member);
  return 0;
}

static int not_ours(const char *vis, const char *target, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "vis='%s' holds no data but refers to rows of %s, which would be changed; call "
                    "the task with that MS as vis, and the selection that is wanted",
                    vis, target);
}

/* The task would take one column of the other MS for another. */
static int check_names(const sheaf_inplace *inplace, const char *vis, sheaf_error *err) {
  const char *source, *name = sheaf_inplace_renamed(inplace, &source);
  if (!name) return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "vis='%s' holds no data but refers to rows of %s, whose column %s it calls %s; "
                    "call the task with that MS as vis, and the selection that is wanted",
                    vis, sheaf_inplace_member(inplace, 0), source, name);
}

/* The names of what is changed, when that is not `vis`. */
static void tell_members(const sheaf_inplace *inplace, const char *vis) {
  size_t used = 0, last = 0;
  for (size_t i = 0; i < sheaf_inplace_nmember(inplace); i++)
    if (!sheaf_inplace_rows(inplace, i) || sheaf_inplace_nwanted(inplace, i)) {
      used++;
      last = i;
    }
  if (used != 1)
    sheaf_log(SHEAF_LOG_INFO, "%s holds no data of its own: what is written goes to %zu MSs of %s",
              vis, used, sheaf_inplace_home(inplace));
  else if (sheaf_inplace_rows(inplace, last))
    sheaf_log(SHEAF_LOG_INFO,
              "%s holds no data of its own: what is written goes to %lld rows of %s; columns and "
              "keywords are added and removed for all its rows",
              vis, (long long)sheaf_inplace_nwanted(inplace, last),
              sheaf_inplace_member(inplace, last));
  else
    sheaf_log(SHEAF_LOG_INFO, "%s holds no data of its own: what is written goes to %s", vis,
              sheaf_inplace_member(inplace, last));
}

int sheaf_inplace_task_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err) {
  char target[4096];
  *inplace = NULL;
  const int rc = sheaf_refms_target(vis, target, sizeof target, err);
  if (rc < 0) return rc;
  if (rc > 0) return not_ours(vis, target, err);
  return sheaf_inplace_task_begin_through(inplace, vis, err);
}

int sheaf_inplace_task_redirect(const char *vis, char *target, size_t size, sheaf_error *err) {
  sheaf_inplace *p = NULL;
  const char *source;
  char home[4096];
  int rc = sheaf_inplace_settle(vis, err);
  if (rc < 0 || (rc = sheaf_refms_target(vis, target, size, err)) <= 0) return rc;
  if ((rc = sheaf_inplace_begin(&p, vis, err)) < 0) return rc;
  int whole = !sheaf_inplace_renamed(p, &source) &&
              sheaf_refms_target(sheaf_inplace_home(p), home, sizeof home, NULL) == 0;
  for (size_t i = 0; i < sheaf_inplace_nmember(p); i++) whole &= !sheaf_inplace_rows(p, i);
  if (!whole) {
    rc = not_ours(vis, target, err);
  } else {
    tell_members(p, vis);
    snprintf(target, size, "%s", sheaf_inplace_home(p));
    rc = 1;
  }
  sheaf_inplace_end(p);
  return rc;
}

int sheaf_inplace_task_begin_through(sheaf_inplace **inplace, const char *vis, sheaf_error *err) {
  int rc = sheaf_inplace_begin(inplace, vis, err);
  if (rc < 0) return rc;
  if (!sheaf_inplace_refers(*inplace)) rc = check_writable(vis, err);
  for (size_t i = 0; rc >= 0 && i < sheaf_inplace_nmember(*inplace); i++)
    rc = check_writable(sheaf_inplace_member(*inplace, i), err);
  if (rc >= 0) rc = check_names(*inplace, vis, err);
  if (rc >= 0) rc = sheaf_inplace_keep(*inplace, err);
  if (rc >= 0 && sheaf_inplace_refers(*inplace)) tell_members(*inplace, vis);
  return rc;
}

int sheaf_inplace_task_forget(const sheaf_inplace *inplace, const char *vis,
                              const char *const *columns, size_t n, sheaf_error *err) {
  int rc = sheaf_ledger_forget(vis, columns, n, err);
  if (!sheaf_inplace_refers(inplace) || rc < 0) return rc;
  rc = sheaf_ledger_forget(sheaf_inplace_home(inplace), columns, n, err);
  for (size_t i = 0; rc >= 0 && i < sheaf_inplace_nmember(inplace); i++)
    if (!sheaf_inplace_rows(inplace, i) || sheaf_inplace_nwanted(inplace, i))
      rc = sheaf_ledger_forget(sheaf_inplace_member(inplace, i), columns, n, err);
  return rc;
}

void sheaf_inplace_task_show(sheaf_inplace *inplace, const char *vis, const char *const *columns,
                             size_t n) {
  sheaf_error why;
  if (sheaf_inplace_show(inplace, columns, n, &why) < 0)
    sheaf_log(SHEAF_LOG_WARN, "%s does not show all columns that were written: %s", vis, why.text);
}

int sheaf_inplace_task_selects(sheaf_select *select, const char *vis,
                               const sheaf_selection_texts *texts, sheaf_error *err) {
  enum { WINDOW = 1 << 16 };
  static uint8_t keep[WINDOW];
  int64_t nrow = 0;
  if (sheaf_select_all(select)) return 0;
  int rc = sheaf_setup_nrow(vis, &nrow, err);
  for (int64_t row = 0; rc >= 0 && row < nrow; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    rc = sheaf_select_test(select, row, n, keep, err);
    if (rc >= 0 && memchr(keep, 1, (size_t)n)) return 0;
  }
  if (rc < 0) return rc;
  char *text = sheaf_selection_text(texts);
  rc = sheaf_fail(err, SHEAF_ERR_EMPTY, "%s selects no rows of %s", text ? text : "the selection",
                  vis);
  free(text);
  return rc;
}

/* Bits cross to servers as text: two hexadecimal digits for eight rows. */
static json_t *unit_args(const sheaf_inplace *inplace, const sheaf_inplace_unit *u) {
  static const char digits[] = "0123456789abcdef";
  const size_t n = u->rows ? ((size_t)u->nrow + 7) / 8 : 0;
  char *text = malloc(2 * n + 1);
  if (!text) return NULL;
  for (size_t i = 0; i < n; i++) {
    text[2 * i] = digits[u->rows[i] >> 4];
    text[2 * i + 1] = digits[u->rows[i] & 15];
  }
  text[2 * n] = '\0';
  json_t *args = json_pack("{s:s, s:I, s:I}", "path", sheaf_inplace_member(inplace, u->member),
                           "row0", (json_int_t)u->row0, "nrow", (json_int_t)u->nrow);
  if (args && u->rows) json_object_set_new(args, "rows", json_string(text));
  free(text);
  return args;
}

static int digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

int sheaf_inplace_task_unit(const json_t *args, sheaf_inplace_unit *unit, const char **path,
                            sheaf_error *err) {
  const char *text = sheaf_value_str(args, "rows", NULL);
  *path = sheaf_value_str(args, "path", "");
  *unit = (sheaf_inplace_unit){.row0 = sheaf_value_int(args, "row0", 0),
                               .nrow = sheaf_value_int(args, "nrow", 0)};
  if (!text) return 0;
  const size_t n = ((size_t)unit->nrow + 7) / 8;
  if (strlen(text) != 2 * n)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: a unit without its rows", *path);
  if (!(unit->rows = malloc(n + 1)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for the rows of a unit", *path);
  for (size_t i = 0; i < n; i++)
    unit->rows[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  return 0;
}

int sheaf_inplace_task_round(sheaf_job *job, sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                             const char *work, json_t *common,
                             int (*merge)(void *user, size_t index, const json_t *value,
                                          sheaf_error *err),
                             void *user, sheaf_error *err) {
  sheaf_inplace_unit *pieces = NULL;
  sheaf_unit *units = NULL;
  size_t n = 0;
  int rc = sheaf_inplace_units(inplace, cut, &pieces, &n, err);
  if (rc < 0) return rc;
  units = calloc(n + 1, sizeof *units);
  for (size_t i = 0; units && i < n; i++) {
    units[i].label = pieces[i].label;
    units[i].cost = pieces[i].cost;
    units[i].args = unit_args(inplace, &pieces[i]);
    if (!units[i].args) rc = SHEAF_ERR_NOMEM;
  }
  if (!units || rc < 0) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", work);
    goto done;
  }
  const sheaf_round round = {
      .work = work, .common = common, .units = units, .nunit = n, .merge = merge, .user = user};
  rc = sheaf_job_round(job, &round, err);
done:
  for (size_t i = 0; units && i < n; i++) json_decref(units[i].args);
  free(units);
  sheaf_inplace_units_free(pieces, n);
  return rc;
}

int sheaf_inplace_task_history(sheaf_job *job, const char *vis, sheaf_error *err) {
  const int rc = sheaf_history_record(vis, sheaf_job_task(job)->name, "sheaf " SHEAF_VERSION,
                                      sheaf_job_params(job), err);
  return rc < 0 ? sheaf_fail_context(err, rc, "all data are written, but HISTORY is not") : 0;
}

static int any_defined(const sheaf_models *models, size_t nmember, int32_t field) {
  for (size_t i = 0; i < nmember; i++)
    if (sheaf_models_defined(&models[i], field)) return 1;
  return 0;
}

int sheaf_inplace_task_tell_models(const char *vis, const sheaf_models *models, size_t nmember,
                                   const int32_t *fields, size_t nfield, const char *yes,
                                   const char *no, sheaf_error *err) {
  char **names = NULL;
  size_t n;
  int count = 0;
  const int rc = sheaf_setup_field_names(vis, &names, &n, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < (fields ? nfield : n); i++) {
    const int32_t field = fields ? fields[i] : (int32_t)i;
    if (field < 0 || (size_t)field >= n) continue;
    const int has = any_defined(models, nmember, field);
    count += has;
    if (has || no)
      sheaf_log(SHEAF_LOG_INFO, " %s (id = %d)%s", names[field], (int)field, has ? yes : no);
  }
  sheaf_setup_names_free(names);
  return count;
}

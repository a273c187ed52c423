/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/inplace_task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ms/history.h"
#include "ms/refms.h"
#include "ms/setup.h"

static int check_writable(const char *member, sheaf_error *err) {
  char file[4200];
  snprintf(file, sizeof file, "%s/table.dat", member);
  if (access(member, W_OK) || access(file, W_OK))
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s cannot be written to", member);
  return 0;
}

/* What a task writes to is the table with the data: it is to be named by the user. */
static int check_own_data(const char *vis, sheaf_error *err) {
  char target[4096];
  const int rc = sheaf_refms_target(vis, target, sizeof target, err);
  if (rc <= 0) return rc;
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "vis='%s' holds no data but refers to rows of %s, which would be changed; call "
                    "the task with that MS as vis, and the selection that is wanted",
                    vis, target);
}

int sheaf_inplace_task_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err) {
  *inplace = NULL;
  int rc = check_own_data(vis, err);
  if (rc >= 0) rc = check_writable(vis, err);
  if (rc < 0 || (rc = sheaf_inplace_begin(inplace, vis, err)) < 0) return rc;
  for (size_t i = 0; rc >= 0 && i < sheaf_inplace_nmember(*inplace); i++)
    rc = check_writable(sheaf_inplace_member(*inplace, i), err);
  return rc;
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
    units[i].args =
        json_pack("{s:s, s:I, s:I}", "path", sheaf_inplace_member(inplace, pieces[i].member),
                  "row0", (json_int_t)pieces[i].row0, "nrow", (json_int_t)pieces[i].nrow);
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
  free(pieces);
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

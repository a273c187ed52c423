/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inplace_task.h - what tasks that change an MS in place share: begin, selection, rounds, talk of
 * models. */
#ifndef SHEAF_TASK_INPLACE_TASK_H
#define SHEAF_TASK_INPLACE_TASK_H

#include "ms/inplace.h"
#include "ms/models.h"
#include "ms/selection.h"
#include "task/task.h"

/* sheaf_inplace_begin, after a check that every member may be written; *inplace as there.
 * SHEAF_ERR_IO with the sub-MS's name. */
int sheaf_inplace_task_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err);

/* 0 when the selection has a row in `vis`, SHEAF_ERR_EMPTY with the selection's text when it has
 * none. */
int sheaf_inplace_task_selects(sheaf_select *select, const char *vis,
                               const sheaf_selection_texts *texts, sheaf_error *err);

/* Cuts the MS into units and runs them as one round of `work`. Each unit gets {"path", "row0",
 * "nrow"}. */
int sheaf_inplace_task_round(sheaf_job *job, sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                             const char *work, json_t *common,
                             int (*merge)(void *user, size_t index, const json_t *value,
                                          sheaf_error *err),
                             void *user, sheaf_error *err);

/* Records the call in HISTORY, after everything else. The text of a failure says that the data are
 * written. */
int sheaf_inplace_task_history(sheaf_job *job, const char *vis, sheaf_error *err);

/* Logs " NAME (id = k)" and `yes` for each field that has a model in one of the members; of the
 * others `no` unless it is NULL. fields NULL: all fields of the MS. Returns how many have one. */
int sheaf_inplace_task_tell_models(const char *vis, const sheaf_models *models, size_t nmember,
                                   const int32_t *fields, size_t nfield, const char *yes,
                                   const char *no, sheaf_error *err);

#endif

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

/* sheaf_inplace_begin, with a check that every member may be written; *inplace as there, also after
 * a failure. Before anything that opens `vis`: it finishes what a dead task left. SHEAF_ERR_IO with
 * the sub-MS's name; SHEAF_ERR_ARG when `vis` refers to rows of other MSs. */
int sheaf_inplace_task_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err);
/* The same for tasks that write to the MSs referred to: a line of the log says where. Members may
 * then be others than those of `vis`, and have rows that it has not (sheaf_inplace_rows).
 * SHEAF_ERR_ARG when `vis` calls a column of another MS otherwise. */
int sheaf_inplace_task_begin_through(sheaf_inplace **inplace, const char *vis, sheaf_error *err);
/* For tasks that cannot, after sheaf_inplace_settle, which it calls: 1 and in `target` the MS to
 * take instead of `vis` when that refers to all its rows, with a line of the log; 0 and `vis` when
 * it holds rows of its own. SHEAF_ERR_ARG when it refers to some rows, calls columns otherwise, or
 * refers to several MSs. */
int sheaf_inplace_task_redirect(const char *vis, char *target, size_t size, sheaf_error *err);

/* 0 when the selection has a row in `vis`, SHEAF_ERR_EMPTY with the selection's text when it has
 * none. */
int sheaf_inplace_task_selects(sheaf_select *select, const char *vis,
                               const sheaf_selection_texts *texts, sheaf_error *err);

/* sheaf_ledger_forget for `vis` and what is written to. */
int sheaf_inplace_task_forget(const sheaf_inplace *inplace, const char *vis,
                              const char *const *columns, size_t n, sheaf_error *err);

/* sheaf_inplace_show, after the commit; a failure is a warning. */
void sheaf_inplace_task_show(sheaf_inplace *inplace, const char *vis, const char *const *columns,
                             size_t n);

/* Cuts the MS into units and runs them as one round of `work`. Each unit gets {"path", "row0",
 * "nrow"} and, with cut->partial, "rows": sheaf_inplace_task_unit reads them. */
int sheaf_inplace_task_round(sheaf_job *job, sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                             const char *work, json_t *common,
                             int (*merge)(void *user, size_t index, const json_t *value,
                                          sheaf_error *err),
                             void *user, sheaf_error *err);

/* In a unit: its rows and its table from the arguments, which stay the owner of *path. Free
 * unit->rows; sheaf_chunks_options takes it as it is. */
int sheaf_inplace_task_unit(const json_t *args, sheaf_inplace_unit *unit, const char **path,
                            sheaf_error *err);

/* Records the call in HISTORY, after everything else. The text of a failure says that the data are
 * written. */
int sheaf_inplace_task_history(sheaf_job *job, const char *vis, sheaf_error *err);

/* Logs " NAME (id = k)" and `yes` for each field that has a model in one of the members; of the
 * others `no` unless it is NULL. fields NULL: all fields of the MS. Returns how many have one. */
int sheaf_inplace_task_tell_models(const char *vis, const sheaf_models *models, size_t nmember,
                                   const int32_t *fields, size_t nfield, const char *yes,
                                   const char *no, sheaf_error *err);

#endif

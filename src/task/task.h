/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * task.h - what a task is, and how its work is dealt out.
 *
 * A task is one parameter table and one `run`. run checks what the table cannot, plans units from
 * metadata only, and hands them over in rounds; the scheduler behind the job (this process, or MPI
 * servers) runs each unit anywhere and in any order, and gives the results back in unit order. A
 * unit function gets nothing but values, so it can run in another process on another host; it must
 * be idempotent: run twice, or again after a death half-way, it leaves the same result.
 *
 * The four shapes of task, on this one interface (docs/architecture.md has them in full):
 *   in place         one round; units are (sub-)MS × row range; results are counts
 *   MS from MS       one round; one unit per output sub-MS, each writes below the job's stage;
 * merge checks and publishes solver           rounds of accumulate (units give normal equations as
 * bytes, reduced in a tree of fixed shape over unit numbers) and solve (in run) imaging the same
 * with grids; servers may keep what they built for a unit, and may lose it */
#ifndef SHEAF_TASK_TASK_H
#define SHEAF_TASK_TASK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/params.h"
#include "base/value.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_job sheaf_job;

/* Runs one unit. `common` is the same for all units of the round, `args` is the unit's own. *value
 * (new reference) is its result. A selection that is empty in this unit is SHEAF_ERR_EMPTY, an
 * expected outcome that the task's merge sees as value NULL; every other failure ends the round. */
typedef int sheaf_unit_run(const json_t *common, const json_t *args, json_t **value,
                           sheaf_error *err);

/* A kind of unit, found by name on the server. */
typedef struct sheaf_work {
  const char *name; /* "partition.fill" */
  sheaf_unit_run *run;
  int threads; /* 1: units may run on several threads of one process at a time */
} sheaf_work;

typedef struct sheaf_task {
  const char *name;
  const char *summary; /* one line */
  const char *help;    /* paragraphs: what it does, what it returns, differences from CASA */
  const sheaf_param *params;
  size_t nparam;
  /* Client side; `par` is complete and checked. *result (new reference; json_null() for None). */
  int (*run)(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err);
  int listed; /* what it returns is what it lists: the program shows it only when asked (--json) */
  const sheaf_work *work; /* kinds of unit, ended by a NULL name; NULL when there are none */
} sheaf_task;

typedef struct sheaf_unit {
  const char *label; /* what messages call it: the sub-MS's name */
  int64_t cost;      /* any measure of work; larger units start first */
  json_t *args;      /* borrowed */
} sheaf_unit;

typedef struct sheaf_round {
  const char *work;
  json_t *common; /* borrowed */
  const sheaf_unit *units;
  size_t nunit;
  /* Called on the client once per unit, in unit order; value is NULL for SHEAF_ERR_EMPTY. May be
   * NULL. */
  int (*merge)(void *user, size_t index, const json_t *value, sheaf_error *err);
  void *user;
} sheaf_round;

/* Runs one round; returns when every unit is done or the first failure is known and no unit runs
 * any more. The error names the unit's label and, under MPI, rank and host. */
int sheaf_job_round(sheaf_job *job, const sheaf_round *round, sheaf_error *err);

/* Servers at hand; 0 when units run in this process. */
int sheaf_job_nserver(const sheaf_job *job);
/* Makes later rounds of this job run in this process (CASA's disableparallel). */
void sheaf_job_serial(sheaf_job *job);
/* The parameters of this call as given by the user and completed; for HISTORY. Borrowed. */
const json_t *sheaf_job_params(const sheaf_job *job);
const sheaf_task *sheaf_job_task(const sheaf_job *job);

/* Who runs rounds. The default runs them in the calling process; par/ installs its own. */
typedef struct sheaf_scheduler {
  int (*run)(void *self, const sheaf_round *round, sheaf_error *err);
  int (*nserver)(void *self);
  void *self;
} sheaf_scheduler;
/* NULL restores the default. */
void sheaf_scheduler_set(const sheaf_scheduler *scheduler);
/* The default; par/ falls back to it. */
int sheaf_schedule_local(const sheaf_round *round, sheaf_error *err);

/* All tasks, ordered by name, and one of them (NULL: no such task). */
const sheaf_task *const *sheaf_task_list(size_t *n);
const sheaf_task *sheaf_task_find(const char *name);
/* A kind of unit by its name; NULL when there is none. */
const sheaf_work *sheaf_work_find(const char *name);

/* Runs a task: checks parameters, logs begin and end as CASA does, runs. SHEAF_ERR_NOTFOUND for an
 * unknown task (the nearest is named). On failure nothing is left of its output. */
int sheaf_task_call(const char *name, const json_t *given, json_t **result, sheaf_error *err);

/* Help text of a task, from its table. Caller frees. */
char *sheaf_task_help(const sheaf_task *task);

#ifdef __cplusplus
}
#endif
#endif

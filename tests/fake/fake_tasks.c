/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fake_tasks.c - tasks that behave as a test wants. Preloaded (LD_PRELOAD) into the program or into
 * Python, it puts them in the place of the real ones, on the client and on every server. */
#include <stdlib.h>
#include <time.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "task/registry.h"

/* ---- echo: returns its parameter ---- */

static int run_echo(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  (void)job, (void)err;
  *result = json_deep_copy(json_object_get(par, "value"));
  return 0;
}

static const sheaf_param echo_params[] = {
    {.name = "value", .types = SHEAF_TYPE_ANY, .otherwise = "None", .help = "what comes back"}};
static const sheaf_task echo = {.name = "echo",
                                .summary = "Returns its parameter",
                                .params = echo_params,
                                .nparam = 1,
                                .run = run_echo};

/* ---- fail: fails as it is told ---- */

static int run_fail(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  (void)job, (void)result;
  return sheaf_fail(err, (int)sheaf_value_int(par, "code", -10), "%s",
                    sheaf_value_str(par, "text", ""));
}

static const sheaf_param fail_params[] = {
    {.name = "code", .types = SHEAF_TYPE_INT, .otherwise = "-10", .help = "error code"},
    {.name = "text", .types = SHEAF_TYPE_STRING, .otherwise = "'it failed'", .help = "message"},
    {.name = "mode",
     .types = SHEAF_TYPE_STRING,
     .otherwise = "'now'",
     .allowed = "now|later",
     .when = "code<0",
     .unit = "s",
     .help = "when to fail",
     .flags = SHEAF_PARAM_OURS},
    {.name = "vis",
     .types = SHEAF_TYPE_STRING,
     .otherwise = "''",
     .help = "a path",
     .flags = SHEAF_PARAM_EXISTS}};
static const sheaf_task failing = {.name = "fail",
                                   .summary = "Fails as it is told",
                                   .help = "Never returns a value.",
                                   .params = fail_params,
                                   .nparam = 4,
                                   .run = run_fail};

/* ---- slow: units that take time, below a stage ---- */

static int run_slow_unit(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err) {
  const int64_t steps = (int64_t)(sheaf_value_double(common, "seconds", 0) * 50);
  for (int64_t i = 0; i < steps; i++) {
    const int rc = sheaf_cancel_check(err);
    if (rc < 0) return rc;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    sheaf_progress_add(1000000);
  }
  if (json_integer_value(args) == sheaf_value_int(common, "bad", 0))
    return sheaf_fail(err, SHEAF_ERR_DATA, "bad luck");
  *value = json_integer(json_integer_value(args));
  return 0;
}

static int count_slow(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  *(json_int_t *)user += json_integer_value(value);
  return 0;
}

enum { UNITS = 4 };

static int run_slow(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  static const char *const labels[UNITS] = {"first", "second", "third", "fourth"};
  sheaf_stage stage = {.path = ""};
  sheaf_unit units[UNITS];
  json_int_t sum = 0;
  int rc = sheaf_stage_begin(&stage, sheaf_value_str(par, "out", "slow.out"), err);
  if (rc < 0) return rc;
  for (int i = 0; i < UNITS; i++) units[i] = (sheaf_unit){labels[i], i, json_integer(i + 1)};
  const sheaf_round round = {"slow.unit", (json_t *)par, units, UNITS, count_slow, &sum};
  sheaf_progress_begin("slow", (int64_t)(sheaf_value_double(par, "seconds", 0) * 50) * 4000000,
                       "B");
  rc = sheaf_job_round(job, &round, err);
  sheaf_progress_end();
  for (int i = 0; i < UNITS; i++) json_decref(units[i].args);
  if (rc >= 0) rc = sheaf_stage_publish(&stage, NULL, err);
  sheaf_stage_abandon(&stage);
  if (rc >= 0) *result = json_integer(sum);
  return rc;
}

static const sheaf_param slow_params[] = {
    {.name = "seconds",
     .types = SHEAF_TYPE_DOUBLE,
     .otherwise = "0.5",
     .unit = "s",
     .help = "time of each of the four units"},
    {.name = "out", .types = SHEAF_TYPE_STRING, .otherwise = "'slow.out'", .help = "a directory"},
    {.name = "bad", .types = SHEAF_TYPE_INT, .otherwise = "0", .help = "this unit fails"}};
static const sheaf_work slow_work[] = {{"slow.unit", run_slow_unit, 0}, {NULL, NULL, 0}};
static const sheaf_task slow = {.name = "slow",
                                .summary = "Takes its time",
                                .params = slow_params,
                                .nparam = 3,
                                .run = run_slow,
                                .work = slow_work};

static const sheaf_task *const tasks[] = {&echo, &failing, &slow};

__attribute__((constructor)) static void install(void) {
  sheaf_registry_set(tasks, sizeof tasks / sizeof *tasks);
}

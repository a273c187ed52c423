/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/cancel.h"
#include "base/log.h"
#include "task/task.h"

typedef struct turn {
  int64_t cost;
  size_t index;
} turn;

/* Largest cost first; equal ones in unit order. */
static int compare_turns(const void *a, const void *b) {
  const turn *x = a, *y = b;
  if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

static turn *order_turns(const sheaf_round *round) {
  turn *turns = malloc((round->nunit + 1) * sizeof *turns);
  if (!turns) return NULL;
  for (size_t i = 0; i < round->nunit; i++)
    turns[i] = (turn){.cost = round->units[i].cost, .index = i};
  qsort(turns, round->nunit, sizeof *turns, compare_turns);
  return turns;
}

/* *value is NULL after a failure. */
static int try_unit(const sheaf_round *round, const sheaf_work *work, const sheaf_unit *unit,
                    json_t **value, sheaf_error *err) {
  int rc = sheaf_cancel_check(err);
  if (rc < 0) return rc;
  sheaf_error_clear(err);
  rc = work->run(round->common, unit->args, value, err);
  if (rc >= 0) return 0;
  json_decref(*value);
  *value = NULL;
  return rc;
}

/* A unit that lost its process is tried once more, as par/client.c does. */
static int run_unit(const sheaf_round *round, const sheaf_work *work, size_t index, json_t **value,
                    sheaf_error *err) {
  const sheaf_unit *unit = &round->units[index];
  const char *label = unit->label ? unit->label : work->name;
  sheaf_error own;
  if (!err) err = &own;
  int rc = try_unit(round, work, unit, value, err);
  if (rc == SHEAF_ERR_LOST) {
    sheaf_log(SHEAF_LOG_WARN, "%s: %s; it is tried once more", label, err->text);
    rc = try_unit(round, work, unit, value, err);
    if (rc == SHEAF_ERR_LOST)
      sheaf_log(SHEAF_LOG_WARN, "%s: %s, as before; not tried again", label, err->text);
  }
  if (rc >= 0 || rc == SHEAF_ERR_EMPTY) return 0;
  return sheaf_fail_context(err, rc, "%s", label);
}

static int merge_all(const sheaf_round *round, json_t *const *values, sheaf_error *err) {
  for (size_t i = 0; round->merge && i < round->nunit; i++) {
    const int rc = round->merge(round->user, i, values[i], err);
    if (rc < 0) return rc;
  }
  return 0;
}

int sheaf_schedule_local(const sheaf_round *round, sheaf_error *err) {
  int rc = 0;
  turn *turns = NULL;
  json_t **values = NULL;
  const sheaf_work *work = sheaf_work_find(round->work);
  if (!work)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "no task knows units of kind '%s'", round->work);
  turns = order_turns(round);
  values = calloc(round->nunit + 1, sizeof *values);
  if (!turns || !values) {
    rc =
        sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu units of %s", round->nunit, work->name);
    goto done;
  }
  for (size_t i = 0; i < round->nunit; i++)
    SHEAF_TRY(run_unit(round, work, turns[i].index, &values[turns[i].index], err));
  rc = merge_all(round, values, err);
done:
  for (size_t i = 0; values && i < round->nunit; i++) json_decref(values[i]);
  free(values);
  free(turns);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/threads.h"
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

/* A round at work on this process's threads. */
typedef struct local_round {
  const sheaf_round *round;
  const sheaf_work *work;
  const turn *turns;
  json_t **values;
  int nthread;
  atomic_size_t next;
  atomic_int failed; /* code of the first failure */
  sheaf_error error; /* its text */
  pthread_mutex_t lock;
} local_round;

static void keep_failure(local_round *l, int rc, const sheaf_error *err) {
  pthread_mutex_lock(&l->lock);
  if (!l->failed) {
    l->error = *err;
    l->failed = rc;
  }
  pthread_mutex_unlock(&l->lock);
}

/* Takes units until there are no more or one has failed. */
static void *take_units(void *local) {
  local_round *l = local;
  sheaf_error err;
  sheaf_threads_share(l->nthread);
  while (!l->failed) {
    const size_t at = atomic_fetch_add(&l->next, 1);
    if (at >= l->round->nunit) break;
    const size_t index = l->turns[at].index;
    const int rc = run_unit(l->round, l->work, index, &l->values[index], &err);
    if (rc < 0) keep_failure(l, rc, &err);
  }
  sheaf_threads_share(1);
  return NULL;
}

static int run_units(local_round *l, sheaf_error *err) {
  enum { MOST = 64 };
  pthread_t thread[MOST];
  int n = 0;
  l->nthread = l->work->threads ? sheaf_threads() : 1;
  if ((size_t)l->nthread > l->round->nunit) l->nthread = (int)l->round->nunit;
  if (l->nthread > MOST) l->nthread = MOST;
  pthread_mutex_init(&l->lock, NULL);
  while (n < l->nthread - 1 && pthread_create(&thread[n], NULL, take_units, l) == 0) n++;
  take_units(l);
  while (n > 0) pthread_join(thread[--n], NULL);
  pthread_mutex_destroy(&l->lock);
  if (l->failed && err) *err = l->error;
  return l->failed;
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
  local_round local = {.round = round, .work = work, .turns = turns, .values = values};
  SHEAF_TRY(run_units(&local, err));
  rc = merge_all(round, values, err);
done:
  for (size_t i = 0; values && i < round->nunit; i++) json_decref(values[i]);
  free(values);
  free(turns);
  return rc;
}

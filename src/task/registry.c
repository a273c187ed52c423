/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/registry.h"

#include <string.h>

/* Every task, ordered by name. */
#define SHEAF_TASKS(X) \
  X(clearcal)          \
  X(delmod)            \
  X(flagcmd)           \
  X(flagdata)          \
  X(flagmanager)       \
  X(importuvfits)      \
  X(initweights)       \
  X(listobs)           \
  X(listpartition)     \
  X(partition)         \
  X(virtualconcat)

#define SHEAF_TASK_DECLARE(name) extern const sheaf_task sheaf_task_##name;
SHEAF_TASKS(SHEAF_TASK_DECLARE)
#undef SHEAF_TASK_DECLARE

static const sheaf_task *const builtin[] = {
#define SHEAF_TASK_ENTRY(name) &sheaf_task_##name,
    SHEAF_TASKS(SHEAF_TASK_ENTRY)
#undef SHEAF_TASK_ENTRY
        NULL};

static const sheaf_task *const *tasks = builtin;
static size_t ntask = sizeof builtin / sizeof *builtin - 1;

void sheaf_registry_set(const sheaf_task *const *other, size_t n) {
  tasks = other ? other : builtin;
  ntask = other ? n : sizeof builtin / sizeof *builtin - 1;
}

const sheaf_task *const *sheaf_task_list(size_t *n) {
  *n = ntask;
  return tasks;
}

const sheaf_task *sheaf_task_find(const char *name) {
  for (size_t i = 0; i < ntask; i++)
    if (!strcmp(tasks[i]->name, name)) return tasks[i];
  return NULL;
}

const sheaf_work *sheaf_work_find(const char *name) {
  for (size_t i = 0; i < ntask; i++)
    for (const sheaf_work *work = tasks[i]->work; work && work->name; work++)
      if (!strcmp(work->name, name)) return work;
  return NULL;
}

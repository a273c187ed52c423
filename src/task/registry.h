/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * registry.h - the table of all tasks. A new task is one line in registry.c. */
#ifndef SHEAF_TASK_REGISTRY_H
#define SHEAF_TASK_REGISTRY_H

#include "task/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Puts other tasks in the place of the built-in ones, for tests: sheaf_task_list, sheaf_task_find
 * and sheaf_work_find see only these. `tasks` is ordered by name, borrowed and must outlive its
 * use; NULL restores the built-in table. */
void sheaf_registry_set(const sheaf_task *const *tasks, size_t n);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memory.h - the memory budget of this process.
 *
 * SHEAF_MEMORY (or `--memory 4G`) is the budget of all Sheaf processes of a node together; the
 * default is half of the machine's memory or of the process's cgroup limit, whichever is less.
 * sheaf_memory_budget() is this process's share. An unusable SHEAF_MEMORY is a warning here;
 * programs refuse it at their start with sheaf_memory_set. What grows with the data is checked
 * against it before it is allocated; fixed buffers are a few megabytes. */
#ifndef SHEAF_BASE_MEMORY_H
#define SHEAF_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the node's budget from text such as "800M" or "4G" (plain numbers are bytes). SHEAF_ERR_ARG
 * if it is none, or below 64M. */
int sheaf_memory_set(const char *text, sheaf_error *err);
/* How many Sheaf processes share this node (default 1); set by par/. */
void sheaf_memory_share(int nprocess);
/* Bytes that this process may use for buffers. */
int64_t sheaf_memory_budget(void);
/* The smallest memory limit of the process's control groups (versions 1 and 2); INT64_MAX when
 * there is none. `root` stands before /proc and /sys: "" but in tests. */
int64_t sheaf_memory_cgroup_limit(const char *root);

#ifdef __cplusplus
}
#endif
#endif

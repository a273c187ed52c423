/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * prepare.h - what the client finds out about rows before the commands run: whether any is
 * selected, scan limits, shadowed antennas. */
#ifndef SHEAF_FLAG_PREPARE_H
#define SHEAF_FLAG_PREPARE_H

#include <jansson.h>

#include "base/error.h"
#include "flag/agent.h"
#include "flag/vis.h"

/* 1 when an agent selects a row, 0 when none does. */
int sheaf_flag_selects(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                       sheaf_error *err);
/* [scan, start, stop, …] over the rows that agent `number` selects, or over all of them when there
 * are several commands (CASA's quack in a list). */
int sheaf_flag_scan_table(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                          size_t number, json_t **scans, sheaf_error *err);
/* Adds [scan, start, stop, …] to such a list. */
void sheaf_flag_scan_merge(json_t *scans, const json_t *more);
/* Shadowed antennas (flag/tables.h "shadows") at the times of a file of records by time. `agent`:
 * compiled, with "tolerance" and "addantenna". */
int sheaf_flag_shadow_table(const sheaf_flag_vis *vis, const json_t *agent, const char *records,
                            int64_t n, json_t **shadows, sheaf_error *err);

#endif

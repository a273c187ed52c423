/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * units.h - the kinds of unit of a flagging run; values in, values out (task/task.h).
 *
 * All have {"vis": of sheaf_flag_vis_value, "run": of sheaf_flag_compile_all, "folder": the scratch
 * directory, "write": bool} in common. Units that run commands give {"flagged": [n], "counts":
 * [...], "files": [patches], "rows": bool, "devs": [...]}. */
#ifndef SHEAF_FLAG_UNITS_H
#define SHEAF_FLAG_UNITS_H

#include <jansson.h>

#include "base/error.h"

/* All commands on rows {"member", "row0", "nrow"} of a member. {"stem"}: name of its patches. */
int sheaf_flag_unit_rows(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err);
/* All commands on {"pieces": [[first, n, buffer, field, ddid], …]} of the file "records". With
 * "calculate" in common: only rflag's thresholds over all of them. */
int sheaf_flag_unit_buffers(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err);
/* Writes FLAG of {"member", "row0", "nrow"} from the patches "files" of common. */
int sheaf_flag_unit_apply(const json_t *common, const json_t *args, json_t **value,
                          sheaf_error *err);
/* Writes FLAG_ROW of {"member"}. */
int sheaf_flag_unit_apply_rows(const json_t *common, const json_t *args, json_t **value,
                               sheaf_error *err);
/* For quackincrement: [scan, first, last, …] over the rows that the first command selects and that
 * have an unflagged sample. */
int sheaf_flag_unit_unflagged(const json_t *common, const json_t *args, json_t **value,
                              sheaf_error *err);
/* For antint: {"agent": number}; [time, obs, array, scan, field, ddid, fraction of channels, …] of bad
 * times of records {"first", "n"}, which are whole times. */
int sheaf_flag_unit_antint(const json_t *common, const json_t *args, json_t **value,
                           sheaf_error *err);

#endif

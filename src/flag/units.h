/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * units.h - the kinds of unit of a flagging run; values in, values out (task/task.h).
 *
 * All have {"vis": of sheaf_flag_vis_value, "run": of sheaf_flag_compile_all, "folder": the scratch
 * directory, "write": bool} in common. Units that run commands give {"flagged": [n], "counts":
 * [...], "files": [patches, as patch.h lists them], "rows": bool, "devs": [...]}. */
#ifndef SHEAF_FLAG_UNITS_H
#define SHEAF_FLAG_UNITS_H

#include <jansson.h>

#include "base/error.h"

/* All commands on rows {"member", "row0", "nrow"} of a member. {"stem"}: name of its patches. */
int sheaf_flag_unit_rows(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err);
/* Records (records.h) of the rows of {"ranges": [[member, row0, nrow], …]} into the file "path"; their
 * number. "combinescans", "per_member" in common. */
int sheaf_flag_unit_records(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err);
/* All commands on {"pieces": [[first, n, buffer, field, ddid], …]} of the records
 * (recordset.h). With "calculate" in common: only rflag's thresholds over all of them. With "sums", files of
 * flagging.sums over the whole of the one buffer (or field and spw) they are of: they are not tallied,
 * and their medians are read. */
int sheaf_flag_unit_buffers(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err);
/* rflag's medians of spectra of {"pieces"}, each into a file of its own (flag/statistics.h). */
int sheaf_flag_unit_medians(const json_t *common, const json_t *args, json_t **value,
                            sheaf_error *err);
/* rflag's sums over all "pieces" of a buffer (or field and spw), of part "part" of "of" parts of the
 * channels, into the file "stem"; their medians have been computed. */
int sheaf_flag_unit_sums(const json_t *common, const json_t *args, json_t **value,
                         sheaf_error *err);
/* Both in one, by as many threads as there are: medians of "pieces", and the sums of all channels,
 * piece by piece in their order, into the file "stem". Each piece is read once. */
int sheaf_flag_unit_tally(const json_t *common, const json_t *args, json_t **value,
                          sheaf_error *err);
/* Writes FLAG of {"member", "row0", "nrow"} from the patches {"files"}. */
int sheaf_flag_unit_apply(const json_t *common, const json_t *args, json_t **value,
                          sheaf_error *err);
/* Writes FLAG_ROW of {"member"} from {"files"}. */
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

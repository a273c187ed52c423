/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagging.h - runs flag commands over an MS, a Multi-MS or a calibration table; what flagdata and
 * flagcmd share.
 *
 * A command is an object with CASA's parameter names of flagdata (typed as its parameter table
 * says; what is missing has its default), "mode", and optionally
 *   "row"      number of the command in its list, for names of reports ("Summary_3") and messages
 *   "where"    "file, line 7", "FLAG_CMD row 3": put before errors about this command
 *   "unapply"  true: manual, quack, shadow, … clear what they would set
 *   "machine"  true: left out, with a warning, if it names an antenna, spectral window or field that
 *              the MS lacks
 * Other members (reason, …) are not looked at. flag/commands.h makes such arrays of texts.
 *
 * Everything is checked before anything is written: one command that cannot be understood, or that
 * names what the MS lacks, and none is applied. */
#ifndef SHEAF_TASK_FLAGGING_H
#define SHEAF_TASK_FLAGGING_H

#include <jansson.h>

#include "base/error.h"
#include "task/task.h"

typedef struct sheaf_flagging {
  const char *vis;
  const json_t *commands; /* array of at least one; borrowed */
  int list;               /* mode='list' or flagcmd, also with a single command: names end in _row */
  int write;              /* 0: flags stay as they are on disk; commands see each other's all the same */
  int calculate;          /* action='calculate': rflag returns its thresholds */
  const char *backup;     /* save the flags as version "<backup>_<n>" before writing; NULL: do not */
  json_t *skipped;        /* filled with "row" of the commands left out, in order; or NULL */
  int per_member;         /* rflag's automatic thresholds per sub-MS, as CASA has them on a Multi-MS */
} sheaf_flagging;

/* *report (new reference): what CASA's task returns: {} without reports, the summary, or {"nreport": n,
 * "report0": …, "type": "list"}. Errors leave all flags as they were, but for SHEAF_ERR_IO and
 * SHEAF_ERR_INTERRUPTED while changed flags are written (each is old or new then). A selection
 * without rows is SHEAF_ERR_EMPTY. */
int sheaf_flagging_run(sheaf_job *job, const sheaf_flagging *what, json_t **report,
                       sheaf_error *err);

/* Kinds of unit that it needs; every task that calls it has these in its `work`. */
extern const sheaf_work sheaf_flagging_work[];

#endif

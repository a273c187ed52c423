/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagsave.h - what flagdata leaves besides flags: its commands (savepars) and pictures (display).
 */
#ifndef SHEAF_TASK_FLAGSAVE_H
#define SHEAF_TASK_FLAGSAVE_H

#include <jansson.h>

#include "base/error.h"
#include "base/params.h"
#include "flag/plots.h"

/* Rows of parameter tables that flagdata and flagcmd have in common. */
#define SHEAF_FLAGSAVE_BACKUP(when)                           \
  {"flagbackup", SHEAF_TYPE_BOOL, "True", NULL, NULL, (when), \
   "save the flags before they are changed", 0}
#define SHEAF_FLAGSAVE_SAVEPARS(when, what) \
  {"savepars", SHEAF_TYPE_BOOL, "False", NULL, NULL, (when), (what), 0}
#define SHEAF_FLAGSAVE_OUTFILE                                  \
  {"outfile", SHEAF_TYPE_STRING, "''", NULL, NULL, "savepars=True", \
   "file to save them in; '': FLAG_CMD", SHEAF_PARAM_PATH}
#define SHEAF_FLAGSAVE_OVERWRITE                                    \
  {"overwrite", SHEAF_TYPE_BOOL, "True", NULL, NULL, "savepars=True", \
   "replace outfile when it exists", 0}

/* Before anything is done: whether a file can be written there; one that exists, with overwrite only. */
int sheaf_flagsave_check_file(const char *outfile, int overwrite, sheaf_error *err);
/* Before anything is done: whether the commands can be saved as the parameters of flagdata say.
 * Without savepars 0. */
int sheaf_flagsave_check(const json_t *par, sheaf_error *err);
/* Saves the commands in FLAG_CMD or outfile. `commands`: those of a list; for other modes the command
 * is made of `par`, as CASA writes it. Summaries are not saved, and nothing in a calibration table
 * (with a warning). `report`: what flagdata returns: with action='calculate' the thresholds in it
 * are saved; NULL: none. */
int sheaf_flagsave_commands(const json_t *par, const json_t *commands, const json_t *report,
                            int applied, sheaf_error *err);

/* Before flags change: with display, notes what is to be drawn; *plots is NULL without. */
int sheaf_flagsave_begin_pictures(sheaf_flagplots **plots, const json_t *par, sheaf_error *err);
/* After: draws, and frees in any case. `report`: what flagdata returns. */
int sheaf_flagsave_end_pictures(sheaf_flagplots *plots, const json_t *report, sheaf_error *err);

#endif

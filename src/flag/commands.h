/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * commands.h - flag commands as texts: lists and files, the table FLAG_CMD, an ASDM's Flag.xml;
 * read into values and written back.
 *
 * An array of commands is what task/flagging.h takes. A command is an object with the parameters
 * that were written (typed by flagdata's parameter table; those left out are absent, "reason" is
 * taken out), and these members, which no parameter is called: "row"      its number in the list,
 * FLAG_CMD or Flag.xml; CASA's key "where"    "cmds.txt, line 7", "FLAG_CMD row 3": for messages
 *   "machine"  true for what is in FLAG_CMD and Flag.xml: it may name antennas, spectral windows and
 *              fields that this MS lacks
 *   "about"    {"id", "reason", "applied", "time", "interval", "type", "level", "severity", "mode",
 *              "antenna", "timerange"} as CASA's dictionaries have them
 *
 * CASA's syntax: words are cut at blanks; a word without '=' belongs to the one before; the value
 * is what follows the first '='. [..] is a list, {..} a dictionary, True, False, true, false a
 * bool, else an int, else a number, else a text without its quotes; a quote without partner is
 * dropped. Lines that are empty or begin with '#' are skipped. One bad line and nothing is
 * returned: SHEAF_ERR_ARG with file, line and word. */
#ifndef SHEAF_FLAG_COMMANDS_H
#define SHEAF_FLAG_COMMANDS_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"
#include "base/params.h"

typedef struct sheaf_commands_options {
  const sheaf_param *params; /* flagdata's */
  size_t nparam;
  const json_t
      *reason; /* "any", a reason, or a list of them: only commands with one of these; NULL: any */
  const json_t *tbuff; /* seconds before and after every t0~t1 of a timerange: a number, or a list
                          of one or two; NULL: 0 */
} sheaf_commands_options;

/* `inpfile`: a file, a list of files, or a list of commands. *commands is a new reference.
 * Parameters that do not belong in a list (vis, inpfile, tbuff, flagbackup, action, display,
 * savepars, cmdreason, outfile, overwrite) and mode='list' are refused. A reason that no command
 * has is SHEAF_ERR_ARG. A number where only a text is taken is that text (spw=0). */
int sheaf_commands_read(json_t **commands, const json_t *inpfile,
                        const sheaf_commands_options *options, sheaf_error *err);

/* Rows of FLAG_CMD of the MS or Multi-MS `ms`: those in `rows` (list of ints; NULL or empty: all),
 * without those applied already unless `useapplied`. An empty array when there is none.
 * SHEAF_ERR_NOTFOUND without a table FLAG_CMD. */
int sheaf_commands_from_table(json_t **commands, const char *ms, const json_t *rows, int useapplied,
                              const sheaf_commands_options *options, sheaf_error *err);

/* Flag.xml, Antenna.xml and SpectralWindow.xml in the directory `asdm` (an ASDM, or an MS that has
 * them). `antennas`: names, separated by commas, of which commands are wanted; NULL or "": all. */
int sheaf_commands_from_xml(json_t **commands, const char *asdm, const char *antennas,
                            const sheaf_commands_options *options, sheaf_error *err);

/* "mode='clip' clipminmax=[0, 5] reason='hot'": the command as it is saved, with the reason unless
 * that is NULL; with `quote` 0 texts have no quotes. Caller frees; NULL without memory. */
char *sheaf_command_text(const json_t *command, const char *reason, int quote);

/* Appends the commands to FLAG_CMD of `ms`: APPLIED `applied`, REASON `reason`, or each command's
 * own where it is NULL or empty. Commands with mode='summary' are left out with a warning. A death
 * leaves FLAG_CMD as before or with all of them (ms/rewrite.h). */
int sheaf_commands_append(const char *ms, const json_t *commands, int applied, const char *reason,
                          sheaf_error *err);
/* Sets APPLIED of the rows that the commands were read from, but for those whose "row" is in
 * `skipped` (or NULL). */
int sheaf_commands_mark(const char *ms, const json_t *commands, const json_t *skipped, int applied,
                        sheaf_error *err);
/* Removes rows of FLAG_CMD (list of ints; NULL or empty: all); how many. SHEAF_ERR_ARG for a row
 * that is not there. */
int sheaf_commands_clear(const char *ms, const json_t *rows, sheaf_error *err);

/* Writes the commands to a file, one a line, with reason='…'; the file is there whole or not at
 * all. SHEAF_ERR_EXISTS when it exists and `overwrite` is 0. */
int sheaf_commands_write(const char *path, const json_t *commands, const char *reason,
                         int overwrite, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * commandtext.h - one flag command: from its text and back. flag/commands.h has the rules. */
#ifndef SHEAF_FLAG_COMMANDTEXT_H
#define SHEAF_FLAG_COMMANDTEXT_H

#include <jansson.h>

#include "flag/commands.h"

/* Reads one command; `where` is put before the text of a failure, `row` becomes its number.
 * *command is a new reference with "row", "where" and "about" (its reason; the rest empty). */
int sheaf_command_read(json_t **command, const char *text, const char *where, int64_t row,
                       const sheaf_commands_options *options, sheaf_error *err);

/* A new command without parameters. */
json_t *sheaf_command_new(int64_t row, const char *where);
/* Copies mode, antenna and timerange into "about", once all parameters are set. */
void sheaf_command_complete(json_t *command);

/* Widens every t0~t1 of its timerange by options->tbuff. */
int sheaf_command_widen(json_t *command, const json_t *tbuff, sheaf_error *err);

/* 1 when it has one of the reasons wanted. */
int sheaf_command_wanted(const json_t *command, const json_t *reason);

/* Whether a member of a command is a parameter, not "row", "where" or "about". */
int sheaf_command_is_param(const char *member);

/* "2016/09/02/15:49:20.616" of seconds since MJD 0. */
void sheaf_command_date(double time_s, char text[40]);

/* "[y/m/d/]h[:m[:s]]" as seconds (since MJD 0 when it is `dated`); -1 when it is something else. */
int sheaf_command_time(const char *text, double *time_s, int *dated);

#endif

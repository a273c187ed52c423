/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagcmd: lists of flag commands, from FLAG_CMD, files or an ASDM: applies, lists, saves, removes
 * and draws them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commands.h"
#include "flag/commandtext.h"
#include "flag/plots.h"
#include "ms/flagmark.h"
#include "task/flagdata.h"
#include "task/flagging.h"
#include "task/flagsave.h"
#include "task/inplace_task.h"
#include "task/registry.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "name of the MS, Multi-MS or calibration table",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"inpmode", SHEAF_TYPE_STRING, "'table'", "table|list|xml", NULL, NULL,
     "where commands come from: FLAG_CMD; a file or list; Flag.xml of an ASDM", 0},
    {"inpfile", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "''", NULL, NULL, NULL,
     "table: another MS; list: file(s), or a list of commands; xml: the ASDM", SHEAF_PARAM_PATH},
    {"tablerows", SHEAF_TYPE_INTS, "[]", NULL, NULL, "inpmode='table'",
     "rows of FLAG_CMD to read; []: all", 0},
    {"reason", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "'any'", NULL, NULL, NULL,
     "only commands with this reason (or one of these)", 0},
    {"useapplied", SHEAF_TYPE_BOOL, "False", NULL, NULL, "inpmode='table'",
     "read commands that have been applied, too", 0},
    {"tbuff", SHEAF_TYPE_DOUBLE, "0.0", NULL, "s", "inpmode='xml'",
     "seconds by which every time range grows at both ends", 0},
    {"ants", SHEAF_TYPE_STRING, "''", NULL, NULL, "inpmode='xml'",
     "only commands for these antennas, by name, separated by commas", 0},
    {"action", SHEAF_TYPE_STRING, "'apply'", "apply|unapply|list|plot|clear|extract", NULL, NULL,
     "what is done with the commands", 0},
    SHEAF_FLAGSAVE_BACKUP("action='apply', 'unapply'"),
    {"clearall", SHEAF_TYPE_BOOL, "False", NULL, NULL, "action='clear'",
     "must be True for rows to be removed", 0},
    {"rowlist", SHEAF_TYPE_INTS, "[]", NULL, NULL, "action='clear'",
     "rows of FLAG_CMD to remove; []: all", 0},
    {"plotfile", SHEAF_TYPE_STRING, "''", NULL, NULL, "action='plot'",
     "file for the picture; '': <vis>.flagcmd.png", SHEAF_PARAM_PATH},
    SHEAF_FLAGSAVE_SAVEPARS("action='apply', 'unapply', 'list'",
                            "save the commands in FLAG_CMD or outfile"),
    SHEAF_FLAGSAVE_OUTFILE,
    SHEAF_FLAGSAVE_OVERWRITE,
};

typedef struct call {
  sheaf_job *job;
  const json_t *par;
  const char *vis, *inpmode, *inpfile, *action, *outfile; /* inpfile: "" when it is a list */
  int own_table;                                          /* FLAG_CMD of vis itself */
  int is_cal, saves;
  json_t *commands, *skipped; /* read; numbers of those that name what vis lacks */
} call;

static int is_action(const call *c, const char *action) {
  return !strcmp(c->action, action);
}

static int applies(const call *c) {
  return is_action(c, "apply") || is_action(c, "unapply");
}

/* ---- reading ---- */

static int is_caltable(const char *path) {
  char info[4200], *text;
  size_t size;
  snprintf(info, sizeof info, "%s/table.info", path);
  if (sheaf_file_read(info, &text, &size, NULL) < 0) return 0;
  const int yes = !strncmp(text, "Type = Calibration", 18);
  free(text);
  return yes;
}

static int check_call(const call *c, sheaf_error *err) {
  if (c->is_cal && !is_action(c, "apply") && !is_action(c, "list"))
    return sheaf_fail(
        err, SHEAF_ERR_ARG,
        "action='%s': Unsupported action for cal tables. Only apply and list are supported.",
        c->action);
  if (c->is_cal && !strcmp(c->inpmode, "table") && !*c->inpfile)
    return sheaf_fail(err, SHEAF_ERR_ARG, "inpmode='table' needs an MS as inpfile");
  if (c->is_cal && !strcmp(c->inpmode, "xml"))
    return sheaf_fail(err, SHEAF_ERR_ARG, "inpmode='xml': Unsupported inpmode for cal tables");
  if (c->is_cal && c->saves && !*c->outfile)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "savepars=True: a calibration table has no FLAG_CMD; give an outfile");
  if (is_action(c, "unapply") && strcmp(c->inpmode, "table") != 0)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "Unsupported action='unapply' for inpmode='%s': save the commands to the "
                      "FLAG_CMD table before using unapply",
                      c->inpmode);
  if (strcmp(c->inpmode, "list") != 0 && !json_is_string(json_object_get(c->par, "inpfile")))
    return sheaf_fail(err, SHEAF_ERR_ARG, "inpfile: must be one name with inpmode='%s'",
                      c->inpmode);
  if (c->saves && *c->outfile)
    return sheaf_flagsave_check_file(c->outfile, sheaf_value_bool(c->par, "overwrite", 1), err);
  return 0;
}

static int read_commands(call *c, sheaf_error *err) {
  sheaf_commands_options options = {.reason = json_object_get(c->par, "reason")};
  options.params = sheaf_flagdata_params(&options.nparam);
  const char *from = *c->inpfile ? c->inpfile : c->vis;
  int rc;
  if (!strcmp(c->inpmode, "table")) {
    sheaf_log(SHEAF_LOG_INFO, "Reading from FLAG_CMD table");
    rc = sheaf_commands_from_table(&c->commands, from, json_object_get(c->par, "tablerows"),
                                   sheaf_value_bool(c->par, "useapplied", 0), &options, err);
  } else if (!strcmp(c->inpmode, "xml")) {
    sheaf_log(SHEAF_LOG_INFO, "Reading from Flag.xml");
    options.tbuff = json_object_get(c->par, "tbuff");
    rc = sheaf_commands_from_xml(&c->commands, from, sheaf_value_str(c->par, "ants", ""), &options,
                                 err);
  } else {
    rc = sheaf_commands_read(&c->commands, json_object_get(c->par, "inpfile"), &options, err);
    if (rc < 0) return sheaf_fail_context(err, rc, "Error reading the input list");
  }
  if (rc >= 0 && json_array_size(c->commands) == 0)
    rc =
        sheaf_fail(err, SHEAF_ERR_ARG,
                   "There are no unapplied flags in the input. Set useapplied=True to also use the "
                   "previously-applied flags.");
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Read %zu lines from input", json_array_size(c->commands));
  return rc;
}

/* ---- list, extract, clear ---- */

static const char *about(const json_t *command, const char *key) {
  return sheaf_value_str(json_object_get(command, "about"), key, "");
}

static void list_commands(const call *c) {
  const int table = !strcmp(c->inpmode, "table"), xml = !strcmp(c->inpmode, "xml");
  size_t i;
  json_t *command;
  if (table)
    sheaf_log(SHEAF_LOG_INFO, "%-8s %-32s %-7s %s", "Row", "Reason", "Applied", "Command");
  else if (xml)
    sheaf_log(SHEAF_LOG_INFO, "%-8s %-8s %-48s %-32s", "Key", "Antenna", "Timerange", "Reason");
  else
    sheaf_log(SHEAF_LOG_INFO, "%-8s %-32s %s", "Key", "Reason", "Command");
  sheaf_log(SHEAF_LOG_INFO, "%s",
            "-----------------------------------------------------------------------------"
            "---");
  json_array_foreach(c->commands, i, command) {
    char *text = sheaf_command_text(command, NULL, 1);
    const char *reason = about(command, "reason");
    if (table)
      sheaf_log(
          SHEAF_LOG_INFO, "%-8s %-32s %-7s %s", about(command, "id"), reason,
          sheaf_value_bool(json_object_get(command, "about"), "applied", 0) ? "True" : "False",
          text ? text : "");
    else if (xml)
      sheaf_log(SHEAF_LOG_INFO, "%-8lld %-8s %-48s %-32s",
                (long long)sheaf_value_int(command, "row", 0), about(command, "antenna"),
                about(command, "timerange"), reason);
    else
      sheaf_log(SHEAF_LOG_INFO, "%-8zu %-32s %s", i, reason, text ? text : "");
    free(text);
  }
}

/* What CASA's dictionary has of one command. New reference. */
static json_t *extracted(const call *c, const json_t *command) {
  static const char *const copied[] = {"id",       "reason",  "applied",  "time",
                                       "interval", "type",    "level",    "severity",
                                       "mode",     "antenna", "timerange"};
  const json_t *from = json_object_get(command, "about");
  const int list = !strcmp(c->inpmode, "list"), xml = !strcmp(c->inpmode, "xml");
  json_t *value = json_object();
  char *text = sheaf_command_text(
      command, list && *about(command, "reason") ? about(command, "reason") : NULL, 0);
  for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
    json_object_set(value, copied[i], json_object_get(from, copied[i]));
  if (list) json_object_set_new(value, "row", json_string(about(command, "id")));
  if (xml && json_object_get(command, "spw"))
    json_object_set(value, "spw", json_object_get(command, "spw"));
  /* CASA puts a blank behind every parameter. */
  json_object_set_new(value, "command", text ? json_sprintf("%s ", text) : json_null());
  free(text);
  return value;
}

static json_t *extract(const call *c) {
  json_t *dict = sheaf_value_intdict();
  size_t i;
  json_t *command;
  json_array_foreach(c->commands, i, command) {
    const int64_t key =
        !strcmp(c->inpmode, "list") ? (int64_t)i : sheaf_value_int(command, "row", 0);
    sheaf_value_intdict_set(dict, key, extracted(c, command));
  }
  return dict;
}

static int clear(const call *c, sheaf_error *err) {
  sheaf_log(SHEAF_LOG_INFO, "Action \"clear\" will disregard inpmode (no reading)");
  if (!sheaf_value_bool(c->par, "clearall", 0)) {
    sheaf_log(SHEAF_LOG_INFO, "Safety Mode: you chose not to set clearall=True, no action");
    return 0;
  }
  sheaf_inplace *inplace = NULL; /* nobody else works on this MS meanwhile */
  int rc = sheaf_inplace_task_begin(&inplace, c->vis, err);
  if (rc >= 0) rc = sheaf_commands_clear(c->vis, json_object_get(c->par, "rowlist"), err);
  sheaf_inplace_end(inplace);
  return rc < 0 ? rc : 0;
}

/* ---- apply, unapply, save ---- */

/* FLAG_CMD after commands were applied, and what savepars asks for. */
static int save(const call *c, int applied, sheaf_error *err) {
  int rc = 0;
  if (c->own_table && applies(c))
    rc = sheaf_commands_mark(c->vis, c->commands, c->skipped, applied, err);
  if (rc < 0 || !c->saves) return rc;
  if (*c->outfile) {
    sheaf_log(SHEAF_LOG_INFO, "Saving commands to file %s", c->outfile);
    return sheaf_commands_write(c->outfile, c->commands, NULL, 1, err);
  }
  if (c->own_table) return 0; /* they are there */
  sheaf_log(SHEAF_LOG_INFO, "Saving commands to FLAG_CMD");
  return sheaf_commands_append(c->vis, c->commands, applied, NULL, err);
}

static int run_commands(const call *c, sheaf_error *err) {
  const int unapply = is_action(c, "unapply");
  json_t *report = NULL, *command;
  size_t i;
  json_array_foreach(c->commands, i, command) {
    if (unapply) json_object_set_new(command, "unapply", json_true());
  }
  const sheaf_flagging what = {
      .vis = c->vis,
      .commands = c->commands,
      .list = 1,
      .write = 1,
      .skipped = c->skipped,
      .backup = sheaf_value_bool(c->par, "flagbackup", 1) ? "flagcmd" : NULL};
  const int rc = sheaf_flagging_run(c->job, &what, &report, err);
  json_decref(report);
  json_array_foreach(c->commands, i, command) json_object_del(command, "unapply");
  return rc;
}

static int apply(const call *c, sheaf_error *err) {
  int rc = run_commands(c, err);
  if (rc < 0) return rc;
  rc = save(c, is_action(c, "apply"), err);
  if (rc < 0)
    return sheaf_fail_context(err, rc, "the flags are written, but the commands are not saved");
  return c->is_cal ? 0 : sheaf_inplace_task_history(c->job, c->vis, err);
}

static int plot(const call *c, json_t **result, sheaf_error *err) {
  char path[4200];
  const char *given = sheaf_value_str(c->par, "plotfile", "");
  if (*given)
    snprintf(path, sizeof path, "%s", given);
  else
    snprintf(path, sizeof path, "%s.flagcmd.png", c->vis);
  sheaf_log(SHEAF_LOG_INFO, "Warning: will only reliably plot individual per-antenna flags");
  json_t *files = NULL;
  const int rc = sheaf_flagplots_commands(c->vis, c->commands, path, &files, err);
  if (rc >= 0) *result = json_pack("{s:o}", "plotfiles", files);
  return rc < 0 || *result ? rc : sheaf_fail(err, SHEAF_ERR_NOMEM, "flagcmd: out of memory");
}

static int act(call *c, json_t **result, sheaf_error *err) {
  sheaf_log(SHEAF_LOG_INFO, "Executing action = %s", c->action);
  if (applies(c)) return apply(c, err);
  if (is_action(c, "plot")) return plot(c, result, err);
  if (is_action(c, "extract")) {
    *result = extract(c);
    sheaf_log(SHEAF_LOG_INFO, "Returning extracted dictionary");
    return *result ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "flagcmd: out of memory");
  }
  list_commands(c);
  return save(c, 0, err);
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  call c = {.job = job,
            .par = par,
            .vis = sheaf_value_str(par, "vis", ""),
            .inpmode = sheaf_value_str(par, "inpmode", "table"),
            .inpfile = sheaf_value_str(par, "inpfile", ""),
            .action = sheaf_value_str(par, "action", "apply"),
            .outfile = sheaf_value_str(par, "outfile", ""),
            .saves = sheaf_value_bool(par, "savepars", 0),
            .skipped = json_array()};
  c.own_table = !strcmp(c.inpmode, "table") && !*c.inpfile;
  c.is_cal = is_caltable(c.vis);
  int rc = check_call(&c, err);
  if (rc >= 0 && !applies(&c)) sheaf_flagmark_warn(c.vis); /* else sheaf_flagging_run does it */
  if (rc >= 0 && is_action(&c, "clear"))
    rc = clear(&c, err);
  else if (rc >= 0 && (rc = read_commands(&c, err)) >= 0)
    rc = act(&c, result, err);
  json_decref(c.commands);
  json_decref(c.skipped);
  if (rc >= 0 && !*result) *result = json_null();
  return rc < 0 ? rc : 0;
}

const sheaf_task sheaf_task_flagcmd = {
    .name = "flagcmd",
    .summary = "apply, list, save and draw lists of flag commands",
    .help =
        "Reads flag commands from the table FLAG_CMD of vis or another MS (inpmode='table'), from "
        "a file, several files or a list "
        "of texts (inpmode='list'), or from Flag.xml, Antenna.xml and SpectralWindow.xml of an "
        "ASDM (inpmode='xml'), and applies "
        "them in their order in one pass over the data, in parallel on an MS and on a Multi-MS.\n\n"
        "action='apply' runs the commands, and 'unapply' clears what those of FLAG_CMD have set; "
        "APPLIED in FLAG_CMD is kept up to date. What clip hits is cleared whoever flagged it, and of "
        "tfcrop all flags in its selection; rflag, extend and averages cannot be unapplied. 'list' "
        "logs them; 'extract' returns them as a "
        "dictionary; "
        "'plot' draws them by antenna and time and returns {'plotfiles': [file, …]}; 'clear' removes "
        "rows of FLAG_CMD (clearall=True). Other actions return None. savepars "
        "saves the commands: in outfile, or in FLAG_CMD.\n\n"
        "A command is a line such as mode='clip' clipminmax=[0,5] correlation='ABS_RR' "
        "reason='hot', with parameters of flagdata. One bad command, and nothing is applied; the "
        "message names file, line and word.\n\n"
        "Unlike CASA: parameters that flagdata lacks are errors (CASA ignores them: antena='ea03' "
        "flags all data); ants and reason work with inpmode='xml' (CASA fails), and ants restricts "
        "what is flagged; a "
        "command of a list that names what the MS lacks is an error, not a warning; those of "
        "FLAG_CMD "
        "and Flag.xml are left out, and not marked as applied (CASA marks them); outfile is "
        "checked "
        "before anything is done; without plotfile the picture goes to a file, as no window is "
        "opened.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = sheaf_flagging_work,
};

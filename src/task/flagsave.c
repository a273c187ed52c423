/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/flagsave.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commands.h"
#include "flag/commandtext.h"
#include "ms/selection.h"
#include "ms/setup.h"
#include "task/flagdata.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "flagdata: out of memory");
}

/* ---- a command of the parameters of a call, as CASA saves it ---- */

/* Selections that are not empty come first; correlation, behind all. */
static const char *const selections[] = {"field",  "spw",         "array",   "feed",
                                         "scan",   "antenna",     "uvrange", "timerange",
                                         "intent", "observation", NULL};

#define AVERAGING "channelavg", "chanbin", "timeavg", "timebin"

/* Parameters of each mode in CASA's order. */
static const struct {
  const char *mode, *params[24];
} modes[] = {
    {"manual", {"autocorr"}},
    {"clip", {"datacolumn", "clipoutside", AVERAGING, "clipzeros", "clipminmax"}},
    {"quack", {"quackmode", "quackinterval", "quackincrement"}},
    {"shadow", {"tolerance", "addantenna"}},
    {"elevation", {"lowerlimit", "upperlimit"}},
    {"tfcrop",
     {"ntime", "combinescans", "datacolumn", "timecutoff", "freqcutoff", "timefit", "freqfit",
      "maxnpieces", "flagdimension", "usewindowstats", "halfwin", "extendflags", AVERAGING}},
    {"rflag",
     {"ntime", "combinescans", "datacolumn", "winsize", "timedevscale", "freqdevscale",
      "spectralmax", "spectralmin", "extendflags", "timedev", "freqdev", AVERAGING}},
    {"extend",
     {"ntime", "combinescans", "extendpols", "growtime", "growfreq", "growaround", "flagneartime",
      "flagnearfreq"}},
    {"antint", {"antint_ref_antenna", "minchanfrac", "verbose"}},
    {"unflag", {NULL}}};

static int is_empty(const json_t *value) {
  return !value || (json_is_string(value) && !*json_string_value(value)) ||
         (json_is_array(value) && json_array_size(value) == 0) ||
         (json_is_object(value) && json_object_size(value) == 0);
}

/* Where the type is a number, ints are written as CASA does: 5.0. New reference. */
static json_t *as_real(const json_t *value) {
  if (json_is_integer(value)) return json_real((double)json_integer_value(value));
  if (!json_is_array(value)) return json_incref((json_t *)value);
  json_t *list = json_array(), *item;
  size_t i;
  json_array_foreach(value, i, item) json_array_append_new(list, as_real(item));
  return list;
}

static unsigned types_of(const char *name) {
  size_t n;
  const sheaf_param *params = sheaf_flagdata_params(&n);
  for (size_t i = 0; i < n; i++)
    if (!strcmp(params[i].name, name)) return params[i].types;
  return 0;
}

static json_t *upper_case(const json_t *value) {
  char *text = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
  if (!text) return json_incref((json_t *)value);
  for (char *p = text; *p; p++) *p = (char)toupper((unsigned char)*p);
  json_t *upper = json_string(text);
  free(text);
  return upper;
}

static void set(json_t *command, const json_t *par, const char *name) {
  json_t *value = json_object_get(par, name);
  if (is_empty(value)) return;
  /* CASA writes 0.0 for whole scans, which it refuses when it reads it. */
  if (!strcmp(name, "ntime") && !strcmp(sheaf_value_str(par, name, ""), "scan")) return;
  if (!strcmp(name, "datacolumn"))
    json_object_set_new(command, name, upper_case(value));
  else if (types_of(name) & (SHEAF_TYPE_DOUBLE | SHEAF_TYPE_DOUBLES))
    json_object_set_new(command, name, as_real(value));
  else
    json_object_set(command, name, value);
}

/* New reference; NULL without memory. */
static json_t *command_of(const json_t *par) {
  const char *mode = sheaf_value_str(par, "mode", "manual");
  json_t *command = sheaf_command_new(0, "flagdata");
  if (!command) return NULL;
  if (!strcmp(mode, "manualflag") || !*mode) mode = "manual";
  for (const char *const *s = selections; *s; s++) set(command, par, *s);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    for (size_t j = 0; !strcmp(modes[i].mode, mode) && modes[i].params[j]; j++)
      set(command, par, modes[i].params[j]);
  json_object_set_new(command, "mode", json_string(mode));
  set(command, par, "correlation");
  sheaf_command_complete(command);
  return command;
}

/* ---- savepars ---- */

static int saves(const json_t *par) {
  return sheaf_value_bool(par, "savepars", 0) &&
         strcmp(sheaf_value_str(par, "mode", ""), "summary") != 0;
}

int sheaf_flagsave_check_file(const char *outfile, int overwrite, sheaf_error *err) {
  char folder[4096];
  const char *slash = strrchr(outfile, '/');
  if (sheaf_path_is_dir(outfile))
    return sheaf_fail(err, SHEAF_ERR_IO, "outfile='%s': is a directory", outfile);
  if (!overwrite && sheaf_path_exists(outfile))
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "You have set overwrite to False. Remove %s before saving the flag commands",
                      outfile);
  const int n = slash ? (int)(slash - outfile) + 1 : 0; /* with the slash: "/" may be all */
  if (n >= (int)sizeof folder) return sheaf_fail(err, SHEAF_ERR_IO, "outfile: name too long");
  snprintf(folder, sizeof folder, "%.*s", n ? n : 1, n ? outfile : ".");
  if (access(folder, W_OK | X_OK) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "outfile='%s': cannot write into '%s'",
                            outfile, folder);
  return 0;
}

int sheaf_flagsave_check(const json_t *par, sheaf_error *err) {
  const char *outfile = sheaf_value_str(par, "outfile", "");
  if (!saves(par) || !*outfile) return 0;
  return sheaf_flagsave_check_file(outfile, sheaf_value_bool(par, "overwrite", 1), err);
}

/* The command of the call; rflag's with the thresholds that were calculated. */
static json_t *command_with(const json_t *par, const json_t *report) {
  static const char *const keys[] = {"timedev", "freqdev"};
  json_t *command = command_of(par);
  const json_t *first = json_object_get(report, "report0");
  const int calculated = !strcmp(sheaf_value_str(par, "action", ""), "calculate");
  for (int i = 0; command && calculated && i < 2; i++) {
    json_t *value = json_object_get(first, keys[i]);
    if (json_array_size(json_object_get(value, "data")) > 0) /* else what was given */
      json_object_set_new(command, keys[i], sheaf_value_plain(value));
  }
  return command;
}

static int save_in(const json_t *par, const json_t *commands, int applied, sheaf_error *err) {
  const char *outfile = sheaf_value_str(par, "outfile", ""), *vis = sheaf_value_str(par, "vis", "");
  const char *reason = sheaf_value_str(par, "cmdreason", "");
  if (*outfile) {
    sheaf_log(SHEAF_LOG_INFO, "Saving commands to file %s", outfile);
    return sheaf_commands_write(outfile, commands, reason, 1, err);
  }
  if (sheaf_setup_has_column(vis, "DATA_DESC_ID", err) == 0) {
    sheaf_log(SHEAF_LOG_WARN, "%s is a calibration table, which has no FLAG_CMD: give an outfile",
              vis);
    return 0;
  }
  sheaf_log(SHEAF_LOG_INFO, "Saving commands to FLAG_CMD");
  return sheaf_commands_append(vis, commands, applied, reason, err);
}

int sheaf_flagsave_commands(const json_t *par, const json_t *commands, const json_t *report,
                            int applied, sheaf_error *err) {
  const int list = !strcmp(sheaf_value_str(par, "mode", ""), "list");
  if (!saves(par)) return 0;
  json_t *own =
      list ? json_incref((json_t *)commands) : json_pack("[o]", command_with(par, report));
  const int rc = own ? save_in(par, own, applied, err) : no_memory(err);
  json_decref(own);
  return rc < 0 ? sheaf_fail_context(err, rc, "the commands are not saved%s",
                                     applied ? " (flags are written)" : "")
                : 0;
}

/* ---- display ---- */

/* The column whose values a mode looks at, as far as it is one; the data where the model is virtual. */
static const char *column_of(const json_t *par, const char *vis, sheaf_error *err) {
  static const struct {
    const char *word, *column;
  } columns[] = {{"CORRECTED", "CORRECTED_DATA"},
                 {"MODEL", "MODEL_DATA"},
                 {"RESIDUAL", "CORRECTED_DATA"},
                 {"WEIGHT_SPECTRUM", "WEIGHT_SPECTRUM"}};
  const char *word = sheaf_value_str(par, "datacolumn", "");
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
    if (!strcasecmp(word, columns[i].word) &&
        (i != 1 || sheaf_setup_has_column(vis, columns[i].column, err) == 1))
      return columns[i].column;
  return sheaf_setup_has_column(vis, "DATA", err) == 1 ? "DATA" : "FLOAT_DATA";
}

int sheaf_flagsave_begin_pictures(sheaf_flagplots **plots, const json_t *par, sheaf_error *err) {
  const char *display = sheaf_value_str(par, "display", ""), *vis = sheaf_value_str(par, "vis", "");
  const char *given = sheaf_value_str(par, "displaydir", "");
  const int list = !strcmp(sheaf_value_str(par, "mode", ""), "list");
  char directory[4200];
  sheaf_selection_texts texts = {0};
  *plots = NULL;
  if (!*display || !strcmp(display, "none") || !strcmp(sheaf_value_str(par, "mode", ""), "summary"))
    return 0;
  if (sheaf_setup_has_column(vis, "FLAG_ROW", err) != 1)
    return sheaf_fail(err, SHEAF_ERR_ARG, "display='%s': no pictures of calibration tables",
                      display);
  /* A list's commands select for themselves: what is drawn is the whole. */
  int rc = list ? 0 : sheaf_selection_read(&texts, par, err);
  if (rc < 0) return rc;
  texts.selection.correlation = NULL; /* may be an expression */
  if (*given)
    snprintf(directory, sizeof directory, "%s", given);
  else
    snprintf(directory, sizeof directory, "%s.flagplots", vis);
  const sheaf_flagplots_options options = {.vis = vis,
                                           .selection = &texts.selection,
                                           .column = column_of(par, vis, err),
                                           .directory = directory,
                                           .data = strcmp(display, "report") != 0,
                                           .report = strcmp(display, "data") != 0};
  rc = sheaf_flagplots_before(plots, &options, err);
  sheaf_selection_free(&texts);
  return rc;
}

int sheaf_flagsave_end_pictures(sheaf_flagplots *plots, const json_t *report, sheaf_error *err) {
  json_t *files = NULL;
  if (!plots) return 0;
  const json_t *first = json_object_get(report, "report0");
  const int rc = sheaf_flagplots_after(plots, first ? first : report, &files, err);
  json_decref(files);
  sheaf_flagplots_free(plots);
  return rc;
}

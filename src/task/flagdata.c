/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagdata: flags by command, by value, and by statistics; counts them. */
#include "task/flagdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commands.h"
#include "flag/units.h"
#include "ms/setup.h"
#include "task/flagging.h"
#include "task/flagsave.h"
#include "task/inplace_task.h"
#include "task/registry.h"
#include "task/selection.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "name of the MS, Multi-MS or calibration table",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"mode", SHEAF_TYPE_STRING, "'manual'",
     "list|manual|clip|quack|shadow|elevation|tfcrop|rflag|antint|extend|unflag|summary|manualflag",
     NULL, NULL, "what is done", 0},
    {"autocorr", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='manual'", "only auto-correlations",
     0},
    {"inpfile", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "''", NULL, NULL, "mode='list'",
     "file(s) of flag commands, or a list of commands", 0},
    {"reason", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "'any'", NULL, NULL, "mode='list'",
     "only commands with this reason (or one of these)", 0},
    {"tbuff", SHEAF_TYPE_DOUBLE | SHEAF_TYPE_DOUBLES, "0.0", NULL, "s", "mode='list'",
     "seconds by which every time range grows: [before, after] or one for both", 0},
    {"spw", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL,
     "spectral windows and channels, e.g. '0~2,4:5~60'; '': all", 0},
    {"field", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "fields by id or name; '': all", 0},
    {"antenna", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "antennas or baselines, e.g. '0&1'",
     0},
    {"uvrange", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "baseline lengths, e.g. '0~1000m'",
     0},
    {"timerange", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL,
     "times, e.g. '1995/04/13/09:30:00~10:00:00'", 0},
    {"correlation", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "''", NULL, NULL, NULL,
     "correlations ('RR,LL'), or an expression ('ABS_RR,LL') with clip, tfcrop, rflag", 0},
    {"scan", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "scan numbers, e.g. '1~3,5'", 0},
    {"intent", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "scan intents, e.g. '*TARGET*'", 0},
    {"array", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "(sub)arrays by id", 0},
    {"observation", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "observations by id", 0},
    {"feed", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "pairs of feeds by id, e.g. '0&&0'",
     0},
    {"clipminmax", SHEAF_TYPE_DOUBLES, "[]", NULL, NULL, "mode='clip'",
     "[minimum, maximum] of the values that are good; []: only NaN and infinities are flagged", 0},
    {"datacolumn", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "'DATA'", NULL, NULL,
     "mode='clip|tfcrop|rflag'",
     "DATA, CORRECTED, MODEL, RESIDUAL, RESIDUAL_DATA, FLOAT_DATA, WEIGHT, WEIGHT_SPECTRUM, "
     "SIGMA_SPECTRUM; FPARAM, CPARAM, SNR of a calibration table",
     0},
    {"clipoutside", SHEAF_TYPE_BOOL, "True", NULL, NULL, "mode='clip'",
     "flag what lies outside of clipminmax, else inside", 0},
    {"channelavg", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='clip|tfcrop|rflag'",
     "decide on averages of channels", 0},
    {"chanbin", SHEAF_TYPE_INT | SHEAF_TYPE_INTS, "1", NULL, NULL, "channelavg=True",
     "channels of an average (1: all; 0: no average), or a list, one for each spw of the MS", 0},
    {"timeavg", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='clip|tfcrop|rflag'",
     "decide on averages of times", 0},
    {"timebin", SHEAF_TYPE_STRING | SHEAF_TYPE_DOUBLE, "'0s'", NULL, "s", "timeavg=True",
     "length of an average", 0},
    {"clipzeros", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='clip'", "flag zeros, too", 0},
    {"quackinterval", SHEAF_TYPE_DOUBLE | SHEAF_TYPE_DOUBLES | SHEAF_TYPE_INT | SHEAF_TYPE_INTS,
     "1.0", NULL, "s", "mode='quack'", "seconds at the beginning or end of each scan", 0},
    {"quackmode", SHEAF_TYPE_STRING, "'beg'", "beg|endb|end|tail", NULL, "mode='quack'",
     "beg: the first seconds; endb: the last; end: all but the last; tail: all but the first", 0},
    {"quackincrement", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='quack'",
     "count from the first (last) unflagged data of the scan", 0},
    {"tolerance", SHEAF_TYPE_DOUBLE, "0.0", NULL, "m", "mode='shadow'", "overlap that is allowed",
     0},
    {"addantenna", SHEAF_TYPE_STRING | SHEAF_TYPE_DICT, "''", NULL, NULL, "mode='shadow'",
     "file or dictionary with antennas that are not in the MS", 0},
    {"lowerlimit", SHEAF_TYPE_DOUBLE, "0.0", NULL, "deg", "mode='elevation'",
     "flag below this elevation", 0},
    {"upperlimit", SHEAF_TYPE_DOUBLE, "90.0", NULL, "deg", "mode='elevation'",
     "flag above this elevation", 0},
    {"ntime", SHEAF_TYPE_DOUBLE | SHEAF_TYPE_STRING, "'scan'", NULL, "s",
     "mode='tfcrop|rflag|extend'",
     "length of the pieces of time that are looked at together; 'scan': whole scans", 0},
    {"combinescans", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='tfcrop|rflag|extend'",
     "pieces may hold several scans", 0},
    {"timecutoff", SHEAF_TYPE_DOUBLE, "4.0", NULL, NULL, "mode='tfcrop'",
     "threshold along time, in standard deviations", 0},
    {"freqcutoff", SHEAF_TYPE_DOUBLE, "3.0", NULL, NULL, "mode='tfcrop'",
     "threshold along frequency, in standard deviations", 0},
    {"timefit", SHEAF_TYPE_STRING, "'line'", "line|poly", NULL, "mode='tfcrop'",
     "what is fitted along time", 0},
    {"freqfit", SHEAF_TYPE_STRING, "'poly'", "line|poly", NULL, "mode='tfcrop'",
     "what is fitted along frequency", 0},
    {"maxnpieces", SHEAF_TYPE_INT, "7", NULL, NULL, "mode='tfcrop'",
     "pieces of a polynomial, 1 to 9", 0},
    {"flagdimension", SHEAF_TYPE_STRING, "'freqtime'", "freq|time|freqtime|timefreq", NULL,
     "mode='tfcrop'", "directions, and their order", 0},
    {"usewindowstats", SHEAF_TYPE_STRING, "'none'", "none|sum|std|both", NULL, "mode='tfcrop'",
     "look at sliding windows, too", 0},
    {"halfwin", SHEAF_TYPE_INT, "1", NULL, NULL, "mode='tfcrop'",
     "half width of the windows, 1 to 3", 0},
    {"extendflags", SHEAF_TYPE_BOOL, "True", NULL, NULL, "mode='tfcrop|rflag'",
     "extend the flags afterwards (correlations; growtime 50, growfreq 80)", 0},
    {"winsize", SHEAF_TYPE_INT, "3", NULL, NULL, "mode='rflag'", "times in a sliding window", 0},
    {"timedev", SHEAF_TYPE_ANY, "''", NULL, NULL, "mode='rflag'",
     "threshold along time: a number, a list of [field, spw, value], a file; '': from the data", 0},
    {"freqdev", SHEAF_TYPE_ANY, "''", NULL, NULL, "mode='rflag'",
     "threshold along frequency, as timedev", 0},
    {"timedevscale", SHEAF_TYPE_DOUBLE, "5.0", NULL, NULL, "mode='rflag'", "factor on timedev", 0},
    {"freqdevscale", SHEAF_TYPE_DOUBLE, "5.0", NULL, NULL, "mode='rflag'", "factor on freqdev", 0},
    {"spectralmax", SHEAF_TYPE_DOUBLE, "1000000.0", NULL, NULL, "mode='rflag'",
     "flag whole spectra with a spread above this", 0},
    {"spectralmin", SHEAF_TYPE_DOUBLE, "0.0", NULL, NULL, "mode='rflag'",
     "flag whole spectra with a spread below this", 0},
    {"antint_ref_antenna", SHEAF_TYPE_STRING, "''", NULL, NULL, "mode='antint'",
     "name of the antenna whose flags decide", 0},
    {"minchanfrac", SHEAF_TYPE_DOUBLE, "0.6", NULL, NULL, "mode='antint'",
     "fraction of flagged channels above which all antennas are flagged", 0},
    {"verbose", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='antint'",
     "list the times that are flagged", 0},
    {"extendpols", SHEAF_TYPE_ANY, "True", NULL, NULL, "mode='extend'",
     "flag all correlations where one is flagged", 0},
    {"growtime", SHEAF_TYPE_DOUBLE, "50.0", NULL, "%", "mode='extend'",
     "flag a channel's whole time range where more is flagged than this", 0},
    {"growfreq", SHEAF_TYPE_DOUBLE, "50.0", NULL, "%", "mode='extend'",
     "flag a whole spectrum where more is flagged than this", 0},
    {"growaround", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='extend'",
     "flag samples with more than four flagged neighbours", 0},
    {"flagneartime", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='extend'",
     "flag the times before and after", 0},
    {"flagnearfreq", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='extend'",
     "flag the channels beside", 0},
    {"minrel", SHEAF_TYPE_DOUBLE, "0.0", NULL, NULL, "mode='summary'",
     "only entries with at least this fraction flagged", 0},
    {"maxrel", SHEAF_TYPE_DOUBLE, "1.0", NULL, NULL, "mode='summary'",
     "only entries with at most this fraction flagged", 0},
    {"minabs", SHEAF_TYPE_INT, "0", NULL, NULL, "mode='summary'",
     "only entries with at least this many flagged", 0},
    {"maxabs", SHEAF_TYPE_INT, "-1", NULL, NULL, "mode='summary'",
     "only entries with at most this many flagged; -1: any", 0},
    {"spwchan", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='summary'", "count by spw and channel",
     0},
    {"spwcorr", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='summary'",
     "count by spw and correlation", 0},
    {"basecnt", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='summary'",
     "count by baseline, and by antenna and scan", 0},
    {"fieldcnt", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='summary'",
     "a whole summary for each field", 0},
    {"name", SHEAF_TYPE_STRING, "'Summary'", NULL, NULL, "mode='summary'", "name of the summary",
     0},
    {"action", SHEAF_TYPE_STRING, "'apply'", "apply|calculate||none", NULL, NULL,
     "apply: run; calculate: run without writing; '' or 'none': only save the parameters", 0},
    {"display", SHEAF_TYPE_STRING, "''", "|none|data|report|both", NULL, "action='apply|calculate'",
     "pictures (PNG) in displaydir: data: waterfalls before and after; report: flagged fractions, "
     "thresholds",
     0},
    SHEAF_FLAGSAVE_BACKUP("action='apply'"),
    SHEAF_FLAGSAVE_SAVEPARS(NULL, "save the command(s) in FLAG_CMD or outfile"),
    {"cmdreason", SHEAF_TYPE_STRING, "''", NULL, NULL, "savepars=True",
     "reason that is saved with them", 0},
    SHEAF_FLAGSAVE_OUTFILE,
    SHEAF_FLAGSAVE_OVERWRITE,
    {"writeflags", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL, "write the flags",
     SHEAF_PARAM_HIDDEN},
    {"rflagpersubms", SHEAF_TYPE_BOOL, "False", NULL, NULL, "mode='rflag'",
     "a Multi-MS: thresholds of each sub-MS by itself, as CASA has them", SHEAF_PARAM_OURS},
    {"displaydir", SHEAF_TYPE_STRING, "''", NULL, NULL, "display='data|report|both'",
     "directory for pictures; '': <vis>.flagplots", SHEAF_PARAM_OURS | SHEAF_PARAM_PATH},
};

const sheaf_param *sheaf_flagdata_params(size_t *n) {
  *n = sizeof params / sizeof *params;
  return params;
}

typedef struct plan {
  const json_t *par;
  const char *vis, *mode, *action;
  int acts, calculates; /* action is apply or calculate; calculate */
  json_t *commands;
} plan;

/* The command that the parameters are, in a list of one. */
static json_t *one_command(const plan *p) {
  static const char *const devs[] = {"timedev", "freqdev"};
  const json_t *par = p->par;
  json_t *command = json_copy((json_t *)par);
  for (size_t i = 0; p->calculates && i < 2; i++) /* names of files to be written */
    if (json_is_string(json_object_get(par, devs[i])))
      json_object_set_new(command, devs[i], json_string(""));
  if (!strcmp(sheaf_value_str(par, "mode", ""), "manualflag"))
    json_object_set_new(command, "mode", json_string("manual"));
  return json_pack("[o]", command);
}

static int make_commands(plan *p, sheaf_error *err) {
  if (!strcmp(p->mode, "list")) {
    const sheaf_commands_options options = {.params = params,
                                            .nparam = sizeof params / sizeof *params,
                                            .reason = json_object_get(p->par, "reason"),
                                            .tbuff = json_object_get(p->par, "tbuff")};
    return sheaf_commands_read(&p->commands, json_object_get(p->par, "inpfile"), &options, err);
  }
  p->commands = one_command(p);
  return p->commands ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "flagdata: no memory for commands");
}

static void print_number(FILE *to, const json_t *number, const char *behind) {
  char *text = sheaf_value_repr(number);
  fprintf(to, "%s%s", text ? text : "0.0", behind);
  free(text);
}

/* rflag's thresholds go into files, as CASA writes and reads them: under the names given as timedev
 * and freqdev, or under CASA's name in the working directory. */
static int write_devs(const plan *p, const json_t *report, const char *key, sheaf_error *err) {
  const char *given = sheaf_value_str(p->par, key, "");
  const json_t *rows = json_object_get(json_object_get(report, "report0"), key);
  const json_t *data = json_object_get(rows, "data");
  char *text = NULL, name[128];
  size_t size = 0;
  snprintf(name, sizeof name, "rflag_output_thresholds_%s0.txt", key);
  if (json_array_size(data) == 0) return 0;
  FILE *to = open_memstream(&text, &size);
  if (!to) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", key);
  fprintf(to, "{'name':'Rflag','%s':[", key);
  for (size_t i = 0; i < json_array_size(data); i++) {
    if (i % 3 == 0) fputs(i ? ",[" : "[", to);
    print_number(to, json_array_get(data, i), i % 3 == 2 ? "]" : ",");
  }
  fputs("]}\n", to);
  fclose(to);
  const int rc = sheaf_file_replace(*given ? given : name, text, size, err);
  free(text);
  return rc;
}

/* ---- the call ---- */

static int run_flags(sheaf_job *job, const plan *p, json_t **result, sheaf_error *err) {
  const int write = !p->calculates && sheaf_value_bool(p->par, "writeflags", 1);
  const int summary = !strcmp(p->mode, "summary");
  const sheaf_flagging what = {
      .vis = p->vis,
      .commands = p->commands,
      .list = !strcmp(p->mode, "list"),
      .write = write,
      .calculate = p->calculates && !strcmp(p->mode, "rflag"),
      .backup = sheaf_value_bool(p->par, "flagbackup", 1) && !summary ? "flagdata" : NULL,
      .per_member = sheaf_value_bool(p->par, "rflagpersubms", 0)};
  int rc = sheaf_flagging_run(job, &what, result, err);
  if (rc >= 0 && what.calculate) rc = write_devs(p, *result, "timedev", err);
  if (rc >= 0 && what.calculate) rc = write_devs(p, *result, "freqdev", err);
  if (rc >= 0) rc = sheaf_flagsave_commands(p->par, p->commands, *result, write, err);
  if (rc >= 0 && write && !summary) rc = sheaf_inplace_task_history(job, p->vis, err);
  return rc;
}

/* Flags, and pictures of them. */
static int act(sheaf_job *job, const plan *p, json_t **result, sheaf_error *err) {
  sheaf_flagplots *plots = NULL;
  int rc = sheaf_flagsave_begin_pictures(&plots, p->par, err);
  if (rc >= 0) rc = run_flags(job, p, result, err);
  if (rc >= 0) return sheaf_flagsave_end_pictures(plots, *result, err);
  sheaf_flagplots_free(plots);
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  plan p = {.par = par,
            .vis = sheaf_value_str(par, "vis", ""),
            .mode = sheaf_value_str(par, "mode", "manual"),
            .action = sheaf_value_str(par, "action", "apply")};
  int rc;
  p.acts = !strcmp(p.action, "apply") || !strcmp(p.action, "calculate");
  p.calculates = !strcmp(p.action, "calculate");
  SHEAF_TRY(sheaf_flagsave_check(par, err));
  SHEAF_TRY(make_commands(&p, err));
  if (p.acts) {
    SHEAF_TRY(act(job, &p, result, err));
  } else {
    *result = json_object();
    SHEAF_TRY(sheaf_flagsave_commands(par, p.commands, NULL, 0, err));
  }
  rc = 0;
done:
  json_decref(p.commands);
  return rc;
}

const sheaf_work sheaf_flagging_work[] = {{"flagging.rows", sheaf_flag_unit_rows, 1},
                                          {"flagging.records", sheaf_flag_unit_records, 1},
                                          {"flagging.buffers", sheaf_flag_unit_buffers, 1},
                                          {"flagging.medians", sheaf_flag_unit_medians, 1},
                                          {"flagging.tally", sheaf_flag_unit_tally, 1},
                                          {"flagging.sums", sheaf_flag_unit_sums, 1},
                                          {"flagging.apply", sheaf_flag_unit_apply, 1},
                                          {"flagging.apply_rows", sheaf_flag_unit_apply_rows, 0},
                                          {"flagging.unflagged", sheaf_flag_unit_unflagged, 1},
                                          {"flagging.antint", sheaf_flag_unit_antint, 1},
                                          {NULL, NULL, 0}};

const sheaf_task sheaf_task_flagdata = {
    .name = "flagdata",
    .summary = "Flag data, by command or by statistics; count flags",
    .help =
        "Sets FLAG (and FLAG_ROW) of an MS, a Multi-MS or the flags of a calibration table, or "
        "counts them. Modes: manual (what is selected), list (many commands in one pass), clip "
        "(values out of range), quack (beginning or end of scans), shadow (antennas behind "
        "others), elevation, tfcrop and rflag (outliers in time and frequency), antint (times at "
        "which an antenna has no data), extend (neighbours of flags), unflag, summary.\n\n"
        "Flags equal CASA's; a Multi-MS gets those that its MS would get, also with rflag "
        "(rflagpersubms=True: CASA's thresholds by sub-MS). Statistics are made of scan × field "
        "× window; nothing is mixed over fields or windows.\n\n"
        "Everything is checked before a flag changes. Flags are worked out first and written "
        "then: killed at any instant each flag is old or new, and with flagbackup the version "
        "flagdata_<n> has the old ones. Returns a dictionary: a summary's counts, rflag's "
        "thresholds with action='calculate', else {}.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = sheaf_flagging_work,
};

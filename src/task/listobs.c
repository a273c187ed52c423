/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * listobs: what is in an MS, as text and as a dictionary. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/summary.h"
#include "task/registry.h"
#include "task/selection.h"

#define SELECTOR (SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS)

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the MS or Multi-MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"selectdata", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL, "whether the selection below applies",
     0},
    {"spw", SELECTOR, "''", NULL, NULL, "selectdata=True", "spectral windows, e.g. '0,2~4'", 0},
    {"field", SELECTOR, "''", NULL, NULL, "selectdata=True", "fields by name or number", 0},
    {"antenna", SELECTOR, "''", NULL, NULL, "selectdata=True", "antennas or baselines, e.g. '1&2'",
     0},
    {"uvrange", SELECTOR, "''", NULL, NULL, "selectdata=True", "uv distance, e.g. '<1klambda'", 0},
    {"timerange", SELECTOR, "''", NULL, NULL, "selectdata=True", "time, e.g. '09:14:0~09:54:0'", 0},
    {"correlation", SELECTOR, "''", NULL, NULL, "selectdata=True", "correlations, e.g. 'RR,LL'", 0},
    {"scan", SELECTOR, "''", NULL, NULL, "selectdata=True", "scan numbers, e.g. '1~3,5'", 0},
    {"intent", SELECTOR, "''", NULL, NULL, "selectdata=True", "scan intents, e.g. '*PHASE*'", 0},
    {"feed", SELECTOR, "''", NULL, NULL, "selectdata=True", "feeds, e.g. '0'", 0},
    {"array", SELECTOR, "''", NULL, NULL, "selectdata=True", "(sub)array numbers", 0},
    {"observation", SHEAF_TYPE_STRING | SHEAF_TYPE_INT, "''", NULL, NULL, "selectdata=True",
     "observation numbers", 0},
    {"verbose", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "list scans, sources and antennas in full", 0},
    {"listfile", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "file for the listing instead of the log", SHEAF_PARAM_PATH},
    {"listunfl", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "also count unflagged rows (reads all flags)", 0},
    {"cachesize", SHEAF_TYPE_DOUBLE, "50.0", NULL, "MB", NULL,
     "accepted for CASA's sake; memory does not grow with the MS here", 0},
    {"overwrite", SHEAF_TYPE_BOOL, "False", NULL, NULL, "listfile!=''",
     "whether an existing listfile may be replaced", 0},
};

/* Looks at the list file before any work is done. */
static int check_listfile(const char *path, int overwrite, sheaf_error *err) {
  struct stat info;
  if (!path[0] || lstat(path, &info)) return 0;
  if (!overwrite)
    return sheaf_fail(
        err, SHEAF_ERR_EXISTS,
        "listfile='%s': already exists; remove it, choose another name, or set overwrite=True",
        path);
  if (!S_ISREG(info.st_mode))
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "listfile='%s': is not a regular file, it stays as it is", path);
  return 0;
}

static int write_listing(const json_t *parts, const char *path, sheaf_error *err) {
  char *text = NULL;
  size_t size, i;
  json_t *part;
  FILE *out = open_memstream(&text, &size);
  if (!out) return sheaf_fail(err, SHEAF_ERR_NOMEM, "listfile='%s': out of memory", path);
  json_array_foreach(parts, i, part) fprintf(out, "%s\n", json_string_value(part));
  fclose(out);
  sheaf_log(SHEAF_LOG_INFO, "Writing output to file: %s", path);
  const int rc = sheaf_file_replace(path, text, size, err);
  free(text);
  return rc < 0 ? sheaf_fail_context(err, rc, "listfile='%s'", path) : rc;
}

static void log_listing(const json_t *parts) {
  size_t i;
  json_t *part;
  json_array_foreach(parts, i, part)
      sheaf_log_line(SHEAF_LOG_INFO, "listobs::ms::summary", json_string_value(part));
}

/* CASA's listobs refuses lists, and lists everything then. */
static void warn_lists(const json_t *par, const sheaf_selection_texts *texts) {
  static const char *const names[] = {"spw",         "field", "antenna", "uvrange", "timerange",
                                      "correlation", "scan",  "intent",  "feed",    "array"};
  const char *const meant[] = {texts->selection.spw,       texts->selection.field,
                               texts->selection.antenna,   texts->selection.uvrange,
                               texts->selection.timerange, texts->selection.correlation,
                               texts->selection.scan,      texts->selection.intent,
                               texts->selection.feed,      texts->selection.array};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (json_is_array(json_object_get(par, names[i])))
      sheaf_log(
          SHEAF_LOG_WARN,
          "%s: a list is an incorrect data type for CASA, which lists everything then; here it "
          "means %s='%s'",
          names[i], names[i], meant[i] ? meant[i] : "");
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  (void)job;
  const char *listfile = sheaf_value_str(par, "listfile", "");
  sheaf_ms_listing listing = {0};
  const int selectdata = sheaf_value_bool(par, "selectdata", 1);
  sheaf_selection_texts texts = {0};
  int rc = 0;
  if (selectdata) {
    SHEAF_TRY(sheaf_selection_read(&texts, par, err));
    warn_lists(par, &texts);
  }
  SHEAF_TRY(check_listfile(listfile, sheaf_value_bool(par, "overwrite", 0), err));
  SHEAF_TRY(sheaf_ms_list(sheaf_value_str(par, "vis", ""), &texts.selection,
                          sheaf_value_bool(par, "verbose", 1), sheaf_value_bool(par, "listunfl", 0),
                          &listing, err));
  if (listfile[0])
    SHEAF_TRY(write_listing(listing.text, listfile, err));
  else
    log_listing(listing.text);
  *result = json_incref(listing.value);
done:
  sheaf_ms_listing_free(&listing);
  sheaf_selection_free(&texts);
  return rc;
}

const sheaf_task sheaf_task_listobs = {
    .name = "listobs",
    .summary = "List what is in an MS",
    .help =
        "Lists observation, scans, fields, spectral windows, sources and antennas of an MS or "
        "Multi-MS in the "
        "log, or in a file. Returns a dictionary: numrecords, IntegrationTime, BeginTime, EndTime "
        "(MJD days), timeref, "
        "nfields, field_<i> (name, code, direction) and scan_<n>, which has one entry per field of "
        "the scan.\n\n"
        "As in CASA, a selection that cannot be understood is a warning, and the whole MS is "
        "listed; "
        "one that matches nothing is a warning, and the dictionary is empty. "
        "Unlike CASA, damaged MSs are listed "
        "as far as they can be read, and scan_<n> covers all observations and arrays.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .listed = 1,
};

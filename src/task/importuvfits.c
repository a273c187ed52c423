/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * importuvfits: a UVFITS file becomes an MS. */
#include <string.h>

#include "base/file.h"
#include "ms/history.h"
#include "ms/import.h"
#include "task/registry.h"

static const sheaf_param params[] = {
    {"fitsfile", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the UVFITS file",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the MS to make; it must not exist",
     SHEAF_PARAM_PATH | SHEAF_PARAM_REQUIRED},
    {"antnamescheme", SHEAF_TYPE_STRING, "'old'", "old|new", NULL, NULL,
     "names of VLA, EVLA and CARMA antennas: old: '4'; new: 'VA04', 'EA04', 'CA4'", 0},
};

static int import(const json_t *par, const char *ms_path, sheaf_error *err) {
  const int new_names = !strcmp(sheaf_value_str(par, "antnamescheme", "old"), "new");
  int rc = sheaf_ms_import_uvfits(sheaf_value_str(par, "fitsfile", ""), ms_path,
                                  sheaf_value_str(par, "vis", ""), new_names, err);
  if (rc < 0) return rc;
  return sheaf_history_append(ms_path, "importuvfits", "sheaf " SHEAF_VERSION, par, err);
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  (void)job;
  sheaf_stage stage = {0};
  char inner[4096];
  int rc = 0;
  rc = sheaf_stage_begin(&stage, sheaf_value_str(par, "vis", ""), err);
  if (rc < 0) SHEAF_TRY(sheaf_fail_context(err, rc, "vis"));
  SHEAF_TRY(sheaf_path_join(inner, sizeof inner, stage.path, "ms", err));
  SHEAF_TRY(import(par, inner, err));
  SHEAF_TRY(sheaf_stage_publish(&stage, "ms", err));
  *result = json_null();
done:
  sheaf_stage_abandon(&stage);
  return rc;
}

const sheaf_task sheaf_task_importuvfits = {
    .name = "importuvfits",
    .summary = "Convert a UVFITS file to an MS",
    .help =
        "Reads visibilities in UVFITS (random groups, as AIPS, CASA and others write them) and "
        "makes an MS. The MS "
        "appears whole or not at all. Returns None.\n\n"
        "Unlike CASA, a truncated file is refused, and a compressed one is named as such.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
};

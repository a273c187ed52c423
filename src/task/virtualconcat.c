/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtualconcat: several MSs become one Multi-MS. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/vconcat.h"
#include "task/registry.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRINGS, "[]", NULL, NULL, NULL,
     "names of the MSs and Multi-MSs to be concatenated; no symbolic links",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"concatvis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "name of the Multi-MS to make; it must not exist", SHEAF_PARAM_PATH | SHEAF_PARAM_REQUIRED},
    {"freqtol", SHEAF_TYPE_STRING | SHEAF_TYPE_DOUBLE, "''", NULL, NULL, NULL,
     "spectral windows whose frequencies differ by less are one, e.g. '10MHz' (a plain number is "
     "Hz); '' means 1 Hz",
     0},
    {"dirtol", SHEAF_TYPE_STRING | SHEAF_TYPE_DOUBLE, "''", NULL, NULL, NULL,
     "fields whose directions differ by less are one, e.g. '1arcsec' (a plain number is radians); "
     "'' means 1 mas",
     0},
    {"respectname", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "fields of different names stay apart, even at the same direction", 0},
    {"visweightscale", SHEAF_TYPE_DOUBLES, "[]", NULL, NULL, NULL,
     "a factor for the weights of each MS of vis; [] leaves them alone", 0},
    {"keepcopy", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "keep the input MSs; otherwise they are gone afterwards", 0},
    {"copypointing", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "keep the POINTING tables; otherwise POINTING of the result is empty", 0},
};

/* The call's parameters in C. */
typedef struct request {
  const char **vis;
  size_t n;
  double *weights; /* NULL: all 1 */
  const char *concatvis;
  int keepcopy;
  char freqtol[80], dirtol[80];
} request;

static void request_free(request *rq) {
  free(rq->vis);
  free(rq->weights);
}

/* 1 when `path` is `dir` or lies in it. */
static int lies_in(const char *dir, const char *path) {
  const size_t n = strlen(dir);
  return strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int check_removable(const char *vis, sheaf_error *err) {
  char parent[PATH_MAX];
  const int rc = sheaf_path_absolute(vis, parent, sizeof parent, err);
  if (rc < 0) return rc;
  char *slash = strrchr(parent, '/');
  if (slash > parent) *slash = '\0';
  if (access(parent, W_OK) == 0 && access(vis, W_OK) == 0) return 0;
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno,
                          "vis: %s cannot be removed, as keepcopy=False asks for", vis);
}

static int check_vis(const request *rq, const char *vis, sheaf_error *err) {
  char path[PATH_MAX], real[PATH_MAX], output[PATH_MAX];
  struct stat st;
  int rc = sheaf_path_absolute(vis, path, sizeof path, err);
  if (rc < 0 || (rc = sheaf_path_real(vis, real, sizeof real, err)) < 0) return rc;
  if ((rc = sheaf_path_real(rq->concatvis, output, sizeof output, err)) < 0) return rc;
  if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "Parameter vis must only contain real paths, not symbolic links; %s is a "
                      "link to %s",
                      vis, real);
  if (strcmp(real, output) == 0)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "Parameter concatvis must not be equal to one of the members of parameter "
                      "vis: '%s'",
                      rq->concatvis);
  if (lies_in(real, output))
    return sheaf_fail(err, SHEAF_ERR_ARG, "concatvis='%s' lies inside of vis '%s'", rq->concatvis,
                      vis);
  return rq->keepcopy ? 0 : check_removable(vis, err);
}

static int read_list(const json_t *par, request *rq, sheaf_error *err) {
  const json_t *list = json_object_get(par, "vis");
  rq->n = json_array_size(list);
  rq->vis = calloc(rq->n + 1, sizeof *rq->vis);
  if (!rq->vis) return sheaf_fail(err, SHEAF_ERR_NOMEM, "vis: out of memory");
  for (size_t i = 0; i < rq->n; i++) {
    rq->vis[i] = json_string_value(json_array_get(list, i));
    const int rc = check_vis(rq, rq->vis[i], err);
    if (rc < 0) return rc;
  }
  return 0;
}

static int read_weights(const json_t *par, request *rq, sheaf_error *err) {
  const json_t *list = json_object_get(par, "visweightscale");
  const size_t n = json_array_size(list);
  if (n == 0) return 0;
  if (n != rq->n)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "parameter visweightscale must have same number of elements as parameter "
                      "vis: %zu factors for %zu MSs",
                      n, rq->n);
  rq->weights = calloc(n, sizeof *rq->weights);
  if (!rq->weights) return sheaf_fail(err, SHEAF_ERR_NOMEM, "visweightscale: out of memory");
  for (size_t i = 0; i < n; i++) {
    rq->weights[i] = json_number_value(json_array_get(list, i));
    if (!(rq->weights[i] > 0) || !isfinite(rq->weights[i]))
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "parameter visweightscale must only contain positive numbers, not %g",
                        rq->weights[i]);
  }
  return 0;
}

static void read_tolerance(const json_t *par, const char *name, char *out, size_t size) {
  const json_t *value = json_object_get(par, name);
  if (json_is_string(value))
    snprintf(out, size, "%s", json_string_value(value));
  else
    snprintf(out, size, "%.17g", json_number_value(value));
}

static int read_request(const json_t *par, request *rq, sheaf_error *err) {
  rq->concatvis = sheaf_value_str(par, "concatvis", "");
  rq->keepcopy = sheaf_value_bool(par, "keepcopy", 0);
  read_tolerance(par, "freqtol", rq->freqtol, sizeof rq->freqtol);
  read_tolerance(par, "dirtol", rq->dirtol, sizeof rq->dirtol);
  if (strspn(rq->concatvis, " \t") == strlen(rq->concatvis))
    return sheaf_fail(err, SHEAF_ERR_ARG, "Parameter concatvis is invalid: '%s' is no name",
                      rq->concatvis);
  int rc = read_list(par, rq, err);
  if (rc < 0 || (rc = read_weights(par, rq, err)) < 0) return rc;
  if (sheaf_path_exists(rq->concatvis))
    return sheaf_fail(err, SHEAF_ERR_EXISTS, "The output MMS must not yet exist: concatvis='%s'",
                      rq->concatvis);
  return 0;
}

/* The result is complete by now, so that a failure here is worth no more than a warning. */
static void remove_inputs(const request *rq) {
  sheaf_error err;
  for (size_t i = 0; i < rq->n; i++) {
    sheaf_error_clear(&err);
    if (sheaf_tree_remove(rq->vis[i], &err) < 0)
      sheaf_log(SHEAF_LOG_WARN, "%s is complete, but the input %s is not removed: %s",
                rq->concatvis, rq->vis[i], err.text);
  }
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  request rq = {0};
  sheaf_stage stage = {0};
  sheaf_vconcat *plan = NULL;
  int rc = 0;
  sheaf_vconcat_options options = {.freqtol = rq.freqtol,
                                   .dirtol = rq.dirtol,
                                   .respectname = sheaf_value_bool(par, "respectname", 1),
                                   .copypointing = sheaf_value_bool(par, "copypointing", 1),
                                   .task = "virtualconcat",
                                   .params = sheaf_job_params(job)};
  SHEAF_TRY(read_request(par, &rq, err));
  options.may_link = !rq.keepcopy;
  SHEAF_TRY(sheaf_vconcat_check(&options, err));
  SHEAF_TRY(sheaf_vconcat_plan(&plan, rq.vis, rq.weights, rq.n, err));
  rc = sheaf_stage_begin(&stage, rq.concatvis, err);
  if (rc < 0) SHEAF_TRY(sheaf_fail_context(err, rc, "concatvis"));
  SHEAF_TRY(sheaf_vconcat_build(plan, stage.path, &options, err));
  SHEAF_TRY(sheaf_stage_publish(&stage, NULL, err));
  if (!rq.keepcopy) remove_inputs(&rq);
  sheaf_log(SHEAF_LOG_INFO, "%s: %lld rows in %zu sub-MSs", rq.concatvis,
            (long long)sheaf_vconcat_nrow(plan), sheaf_vconcat_nmember(plan));
  *result = json_null();
  rc = 0;
done:
  sheaf_stage_abandon(&stage);
  sheaf_vconcat_free(plan);
  request_free(&rq);
  return rc;
}

const sheaf_task sheaf_task_virtualconcat = {
    .name = "virtualconcat",
    .summary = "Concatenate several MSs into one Multi-MS",
    .help =
        "Makes a Multi-MS whose sub-MSs are the given MSs, in order of time; sub-MSs of a Multi-MS "
        "become sub-MSs of the result. Sub-tables are merged into those of the first, ids are "
        "rewritten to match; observations stay distinct, and scan numbers with them. Scratch "
        "columns (MODEL_DATA, CORRECTED_DATA) that only some have are added to the others. "
        "Returns None.\n\n"
        "The inputs are gone afterwards unless keepcopy=True. They are never changed: the result "
        "is built beside, proven to have all rows, and appears whole; only then are the inputs "
        "removed. Without keepcopy, bulk data are taken over without being copied where that is "
        "possible.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
};

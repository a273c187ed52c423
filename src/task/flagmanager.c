/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagmanager: lists, saves, restores, deletes and renames flag versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/flagmark.h"
#include "ms/flagrestore.h"
#include "ms/flagversions.h"
#include "ms/ledger.h"
#include "task/inplace_task.h"
#include "task/registry.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "name of the MS, Multi-MS or calibration table",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"mode", SHEAF_TYPE_STRING, "'list'", "list|save|restore|delete|rename", NULL, NULL,
     "what is done with the flag versions", 0},
    {"versionname", SHEAF_TYPE_STRING, "''", NULL, NULL,
     "mode='save', 'restore', 'delete', 'rename'",
     "name of the version; in mode='rename' the new name", 0},
    {"oldname", SHEAF_TYPE_STRING, "''", NULL, NULL, "mode='rename'", "name of the version so far",
     0},
    {"comment", SHEAF_TYPE_STRING, "''", NULL, NULL, "mode='save', 'rename'",
     "short description, one line", 0},
    {"merge", SHEAF_TYPE_STRING, "'replace'", "replace|and|or", NULL, "mode='restore'",
     "how saved flags are merged into those of the MS; a saved version is always new", 0},
};

/* ---- units ---- */

static int restore_unit(const json_t *common, const json_t *args, json_t **value,
                        sheaf_error *err) {
  int64_t changed = 0;
  const int rc = sheaf_flagrestore_rows(
      common, sheaf_value_str(common, "column", "FLAG"), sheaf_value_str(args, "path", ""),
      sheaf_value_int(args, "row0", 0), sheaf_value_int(args, "nrow", 0), &changed, err);
  if (rc < 0) return rc;
  *value = json_integer(changed);
  return *value ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "flagmanager: out of memory");
}

/* ---- list ---- */

/* Lists of other programs may hold any bytes: those that are not UTF-8 become '?'. */
static json_t *text_value(const char *text) {
  json_t *value = json_string(text);
  char *copy = value ? NULL : strdup(text);
  for (char *p = copy; copy && *p; p++)
    if ((unsigned char)*p >= 0x80) *p = '?';
  if (copy) value = json_string(copy);
  free(copy);
  return value;
}

static json_t *list_value(const char *real, const sheaf_flagversion *list, size_t n) {
  json_t *value = sheaf_value_intdict();
  for (size_t i = 0; value && i < n; i++)
    sheaf_value_intdict_set(value, (int64_t)i,
                            json_pack("{s:o, s:o}", "name", text_value(list[i].name), "comment",
                                      text_value(list[i].comment)));
  if (value) json_object_set_new(value, "MS", json_string(real));
  return value;
}

static int list_versions(const char *vis, json_t **result, sheaf_error *err) {
  char real[4096];
  sheaf_flagversion *list;
  size_t n;
  int rc = sheaf_path_real(vis, real, sizeof real, err);
  if (rc < 0 || (rc = sheaf_flagversions_list(vis, &list, &n, err)) < 0) return rc;
  sheaf_log(SHEAF_LOG_INFO, "MS : %s", real);
  sheaf_log(SHEAF_LOG_INFO, "main : working copy in main table");
  for (size_t i = 0; i < n; i++) {
    sheaf_log(SHEAF_LOG_INFO, "%s : %s", list[i].name, list[i].comment);
    if (!list[i].exists)
      sheaf_log(
          SHEAF_LOG_WARN,
          "Flag Table %s.flagversions/flags.%s does not exist. Please check your flag version "
          "file",
          real, list[i].name);
  }
  *result = list_value(real, list, n);
  sheaf_flagversions_free(list, n);
  return *result ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "flagmanager: out of memory");
}

/* ---- restore ---- */

typedef struct restoring {
  sheaf_job *job;
  sheaf_inplace *inplace;
  json_t *common;
  int64_t changed;
} restoring;

static int merge(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  ((restoring *)user)->changed += json_integer_value(value);
  return 0;
}

static int restore_column(restoring *r, const char *column, sheaf_error *err) {
  const sheaf_inplace_cut cut = {.written = &column, .nwritten = 1};
  json_object_set_new(r->common, "column", json_string(column));
  return sheaf_inplace_task_round(r->job, r->inplace, &cut, "flagmanager.restore", r->common, merge,
                                  r, err);
}

/* Everything but the locks is checked; from here on flags change, FLAG_ROW first, as only that may
 * have to wait for other processes. */
static int restore_checked(restoring *r, const char *vis, const char *name, sheaf_error *err) {
  const char *const columns[] = {"FLAG", "FLAG_ROW"};
  const size_t n = sheaf_value_bool(r->common, "flag_row", 0) ? 2 : 1;
  sheaf_flagmark mark;
  const sheaf_inplace_cut cut = {.written = columns, .nwritten = n};
  int rc = sheaf_inplace_check_locks(r->inplace, &cut, err);
  if (rc >= 0) rc = sheaf_ledger_forget(vis, columns, n, err);
  if (rc >= 0) rc = sheaf_flagmark_write(&mark, vis, "flagmanager", NULL, name, err);
  if (rc < 0) return rc;
  for (size_t c = n; rc >= 0 && c > 0; c--) rc = restore_column(r, columns[c - 1], err);
  if (rc < 0) {
    sheaf_flagmark_leave(&mark);
    return sheaf_fail_context(err, rc, "version '%s' may be restored in part", name);
  }
  rc = sheaf_inplace_commit(r->inplace, r->changed > 0, err);
  sheaf_flagmark_clear(&mark);
  return rc < 0 ? sheaf_fail_context(err, rc,
                                     "all flags are restored, but programs that have the table "
                                     "open may not notice it")
                : 0;
}

static int prepare(restoring *r, const char *vis, const char *name, sheaf_merge how,
                   const char *scratch, sheaf_error *err) {
  const size_t n = sheaf_inplace_nmember(r->inplace);
  const char **members = calloc(n + 1, sizeof *members);
  if (!members) return sheaf_fail(err, SHEAF_ERR_NOMEM, "flagmanager: out of memory");
  for (size_t i = 0; i < n; i++) members[i] = sheaf_inplace_member(r->inplace, i);
  const int rc = sheaf_flagrestore_prepare(&r->common, vis, name, how, members, n, scratch, err);
  free(members);
  return rc;
}

static sheaf_merge merge_of(const char *word) {
  return !strcmp(word, "and")  ? SHEAF_MERGE_AND
         : !strcmp(word, "or") ? SHEAF_MERGE_OR
                               : SHEAF_MERGE_REPLACE;
}

static int restore_version(sheaf_job *job, const char *vis, const char *name, const char *how,
                           sheaf_error *err) {
  char path[4200];
  restoring r = {.job = job};
  sheaf_stage scratch = {.path = ""};
  int rc = sheaf_flagversions_path(vis, path, 4096, err);
  if (rc < 0) return rc;
  if (!sheaf_path_is_dir(path))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "Flag version %s does not exist", name);
  SHEAF_TRY(sheaf_inplace_task_begin(&r.inplace, vis, err));
  strcat(path, "/.rows"); /* a hidden directory for files that servers read, too */
  SHEAF_TRY(sheaf_stage_begin(&scratch, path, err));
  SHEAF_TRY(prepare(&r, vis, name, merge_of(how), scratch.path, err));
  sheaf_log(SHEAF_LOG_INFO, "Restore flagversions %s", name);
  SHEAF_TRY(restore_checked(&r, vis, name, err));
  sheaf_log(SHEAF_LOG_INFO, "%lld cells of FLAG and FLAG_ROW have changed", (long long)r.changed);
done:
  json_decref(r.common);
  sheaf_stage_abandon(&scratch);
  sheaf_inplace_end(r.inplace);
  return rc;
}

/* ---- the task ---- */

/* No task in place is at work meanwhile, and nobody holds flags back: a version must not hold flags half
 * old, half new. An MS that cannot be written, or that refers to others, is saved without the lock. */
static int save_version(const char *vis, const char *name, const char *comment, sheaf_error *err) {
  sheaf_inplace *inplace = NULL;
  int rc = sheaf_inplace_begin(&inplace, vis, err);
  const int kept = rc >= 0 ? sheaf_inplace_keep(inplace, err) : 0;
  if (kept < 0) rc = kept;
  if (kept >= 0 && rc != SHEAF_ERR_EXISTS) rc = sheaf_flagversions_save(vis, name, comment, err);
  sheaf_inplace_end(inplace);
  return rc;
}

/* As CASA: that there is nothing to delete is a warning. */
static int delete_version(const char *vis, const char *name, sheaf_error *err) {
  if (!strcmp(name, "main")) {
    sheaf_log(SHEAF_LOG_WARN, "The main flag table cannot be deleted.");
    return 0;
  }
  const int rc = sheaf_flagversions_delete(vis, name, err);
  if (rc == SHEAF_ERR_NOTFOUND) {
    sheaf_log(SHEAF_LOG_WARN, "Flag version %s does not exist", name);
    return 0;
  }
  if (rc >= 0) sheaf_log(SHEAF_LOG_WARN, "Deleting version: %s", name);
  return rc;
}

static int rename_version(const char *vis, const char *from, const char *to, const char *comment,
                          sheaf_error *err) {
  if (!*from) return sheaf_fail(err, SHEAF_ERR_ARG, "Illegal oldname: ''");
  const int rc = sheaf_flagversions_rename(vis, from, to, comment, err);
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Rename flagversions \"%s\" to \"%s\"", from, to);
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  const char *vis = sheaf_value_str(par, "vis", ""), *mode = sheaf_value_str(par, "mode", "list"),
             *name = sheaf_value_str(par, "versionname", ""),
             *comment = sheaf_value_str(par, "comment", "");
  char target[4096];
  const int there = sheaf_inplace_task_redirect(vis, target, sizeof target, err);
  if (there > 0) vis = target; /* flags of an MS that only refers to another are there */
  if (there < 0 && !strcmp(mode, "restore")) return there;
  sheaf_flagmark_warn(vis);
  if (!strcmp(mode, "list")) return list_versions(vis, result, err);
  *result = json_null();
  if (!*name)
    return sheaf_fail(
        err, SHEAF_ERR_ARG,
        !strcmp(mode, "save") ? "Illegal empty versionname: ''" : "Illegal versionname: ''");
  if (!strcmp(mode, "save")) return save_version(vis, name, comment, err);
  if (!strcmp(mode, "restore"))
    return restore_version(job, vis, name, sheaf_value_str(par, "merge", ""), err);
  if (!strcmp(mode, "delete")) return delete_version(vis, name, err);
  return rename_version(vis, sheaf_value_str(par, "oldname", ""), name, comment, err);
}

static const sheaf_work work[] = {{"flagmanager.restore", restore_unit, 1}, {NULL, NULL, 0}};

const sheaf_task sheaf_task_flagmanager = {
    .name = "flagmanager",
    .summary = "list, save, restore, delete and rename flag versions",
    .help =
        "Flag versions are copies of FLAG and FLAG_ROW in <vis>.flagversions, as CASA keeps them. "
        "mode='list' logs "
        "them and returns a dictionary: 0, 1, … (name, comment) in the order of the list, and MS, "
        "the path. The other "
        "modes return None.\n\n"
        "mode='save': an existing version of that name goes on as <versionname>.old.<unix time>. "
        "mode='restore' "
        "replaces the flags of the MS, or merges: with merge='and' data are flagged that are "
        "flagged in both, with "
        "'or' in either. A version that Sheaf has saved can be restored wherever the same rows "
        "are, in any order: one of "
        "an MS on the Multi-MS made from it and the other way round (copy the directory "
        "<vis>.flagversions, or the "
        "version). Rows are told apart by time, antennas, feeds and ids. Rows that are not the "
        "same, or cells of another shape, "
        "are an error, and nothing changes. Versions of CASA's have no record of their rows, and "
        "are restored row by "
        "row.\n\n"
        "Killed at any instant, a version is whole or absent, and each restored flag is old or "
        "new.\n\n"
        "Unlike CASA, a version that is kept as .old keeps its comment; names that CASA "
        "cannot keep (with '/', ':' or '$', "
        "'main') are errors; and mode='list' makes no directory.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = work,
};

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * listpartition: what is in each sub-MS of a Multi-MS; with verify=True, proof that nothing was
 * lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/ledger.h"
#include "ms/multims.h"
#include "ms/refms.h"
#include "ms/scans.h"
#include "task/registry.h"
#include "task/selection.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the Multi-MS or MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"createdict", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "return a dictionary of what is listed", 0},
    {"listfile", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL,
     "write the list to this file, which must not exist, instead of the log", SHEAF_PARAM_PATH},
    {"verify", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "check links, rows, scans, spws and the checksums of every column", SHEAF_PARAM_OURS},
};

/* ---- the list ---- */

typedef struct scan_entry {
  int32_t scan;
  int64_t nrow;
  size_t nspw;
  int64_t *spw, *nchan; /* [nspw] ascending */
} scan_entry;

typedef struct member_entry {
  char name[256];
  char size[16];
  size_t nscan;
  scan_entry *scans; /* ascending */
} member_entry;

static void member_free(member_entry *m) {
  for (size_t i = 0; m->scans && i < m->nscan; i++) {
    free(m->scans[i].spw);
    free(m->scans[i].nchan);
  }
  free(m->scans);
}

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the list");
}

/* As `du -h` prints it: rounded up, one decimal below ten. */
static void size_text(int64_t bytes, char *out, size_t room) {
  static const char units[] = "KMGTPE";
  double value = (double)bytes / 1024;
  size_t unit = 0;
  while (value >= 1023.5 && units[unit + 1]) {
    value /= 1024;
    unit++;
  }
  const int64_t tenths = (int64_t)(value * 10) + (value * 10 > (double)(int64_t)(value * 10));
  if (tenths < 100)
    snprintf(out, room, "%lld.%lld%c", (long long)(tenths / 10), (long long)(tenths % 10),
             units[unit]);
  else
    snprintf(out, room, "%lld%c", (long long)((int64_t)value + (value > (double)(int64_t)value)),
             units[unit]);
}

static int add_spw(scan_entry *s, int64_t spw, int64_t nchan, sheaf_error *err) {
  size_t at = s->nspw;
  while (at > 0 && s->spw[at - 1] > spw) at--;
  if (at > 0 && s->spw[at - 1] == spw) return 0;
  int64_t *spws = realloc(s->spw, (s->nspw + 1) * sizeof *spws);
  if (spws) s->spw = spws;
  int64_t *nchans = realloc(s->nchan, (s->nspw + 1) * sizeof *nchans);
  if (nchans) s->nchan = nchans;
  if (!spws || !nchans) return no_memory(err);
  memmove(s->spw + at + 1, s->spw + at, (s->nspw - at) * sizeof *s->spw);
  memmove(s->nchan + at + 1, s->nchan + at, (s->nspw - at) * sizeof *s->nchan);
  s->spw[at] = spw;
  s->nchan[at] = nchan;
  s->nspw++;
  return 0;
}

static scan_entry *find_scan(member_entry *m, int32_t scan) {
  for (size_t i = 0; i < m->nscan; i++)
    if (m->scans[i].scan == scan) return &m->scans[i];
  return NULL;
}

/* Sums sub-scans into scans. */
static int fill_scans(member_entry *m, const sheaf_scans *scans, const sheaf_description *descs,
                      sheaf_error *err) {
  int32_t *numbers = NULL;
  int rc = sheaf_scans_numbers(scans, &numbers, &m->nscan, err);
  if (rc < 0) return rc;
  m->scans = calloc(m->nscan + 1, sizeof *m->scans);
  for (size_t i = 0; m->scans && i < m->nscan; i++) m->scans[i].scan = numbers[i];
  free(numbers);
  if (!m->scans) return no_memory(err);
  for (size_t i = 0; i < scans->nsubscan; i++) {
    const sheaf_subscan *sub = &scans->subscans[i];
    scan_entry *entry = find_scan(m, sub->scan);
    entry->nrow += sub->nrow;
    for (size_t k = 0; rc >= 0 && k < sub->nddid; k++)
      rc = add_spw(entry, descs[sub->ddid[k]].spw, descs[sub->ddid[k]].nchan, err);
  }
  return rc;
}

static int member_read(member_entry *m, const char *path, sheaf_error *err) {
  sheaf_scans scans = {0};
  sheaf_description *descs = NULL;
  size_t ndesc;
  int64_t bytes;
  int rc;
  sheaf_path_base(path, m->name, sizeof m->name);
  SHEAF_TRY(sheaf_tree_usage(path, &bytes, err));
  size_text(bytes, m->size, sizeof m->size);
  SHEAF_TRY(sheaf_descriptions_read(path, &descs, &ndesc, err));
  SHEAF_TRY(sheaf_scans_read(&scans, path, NULL, NULL, err));
  SHEAF_TRY(fill_scans(m, &scans, descs, err));
done:
  free(descs);
  sheaf_scans_free(&scans);
  return rc < 0 ? sheaf_fail_context(err, rc, "sub-MS %s", path) : 0;
}

/* "[ 0  3 12]": as NumPy prints an array, on one line. */
static char *list_text(const int64_t *list, size_t n) {
  int width = 1;
  for (size_t i = 0; i < n; i++) {
    const int digits = snprintf(NULL, 0, "%lld", (long long)list[i]);
    width = digits > width ? digits : width;
  }
  char *out = malloc(n * (size_t)(width + 1) + 3);
  if (!out) return NULL;
  char *to = out;
  *to++ = '[';
  for (size_t i = 0; i < n; i++)
    to += sprintf(to, i ? " %*lld" : "%*lld", width, (long long)list[i]);
  strcpy(to, "]");
  return out;
}

typedef struct widths {
  int spw, nchan;
} widths;

static int measure(const member_entry *members, size_t n, widths *w, sheaf_error *err) {
  *w = (widths){5, 5};
  for (size_t m = 0; m < n; m++)
    for (size_t s = 0; s < members[m].nscan; s++) {
      const scan_entry *e = &members[m].scans[s];
      char *spw = list_text(e->spw, e->nspw), *nchan = list_text(e->nchan, e->nspw);
      if (spw && (int)strlen(spw) > w->spw) w->spw = (int)strlen(spw);
      if (nchan && (int)strlen(nchan) > w->nchan) w->nchan = (int)strlen(nchan);
      const int ok = spw && nchan;
      free(spw);
      free(nchan);
      if (!ok) return no_memory(err);
    }
  return 0;
}

/* Writes one line, or the header with its first line, to the file or the log. */
static int put_line(FILE *file, const char *header, const member_entry *m, size_t s, widths w,
                    sheaf_error *err) {
  const scan_entry *e = &m->scans[s];
  char *spw = list_text(e->spw, e->nspw), *nchan = list_text(e->nchan, e->nspw), *text = NULL;
  const int width = (int)strlen(m->name) + 2;
  int rc = 0;
  if (!spw || !nchan ||
      asprintf(&text, "%s%-*s%-6d%-*s%-*s%-8lld%-6s", header, width, s == 0 ? m->name : "", e->scan,
               w.spw + 2, spw, w.nchan + 2, nchan, (long long)e->nrow, s == 0 ? m->size : "") < 0)
    rc = no_memory(err);
  else if (file)
    fprintf(file, "%s\n", text);
  else
    sheaf_log_text(SHEAF_LOG_INFO, text);
  free(spw);
  free(nchan);
  free(text);
  return rc;
}

static int put_list(FILE *file, const member_entry *members, size_t n, int is_mms,
                    sheaf_error *err) {
  widths w;
  int rc = measure(members, n, &w, err);
  int first = 1;
  for (size_t m = 0; rc >= 0 && m < n; m++)
    for (size_t s = 0; rc >= 0 && s < members[m].nscan; s++) {
      char header[1024] = "";
      if (first)
        snprintf(header, sizeof header, "%-*s%-6s%-*s%-*s%-8s%-6s\n",
                 (int)strlen(members[m].name) + 2, is_mms ? "Sub-MS" : "MS", "Scan", w.spw + 2,
                 "Spw", w.nchan + 2, "Nchan", "Nrows", "Size");
      first = 0;
      rc = put_line(file, header, &members[m], s, w, err);
    }
  return rc;
}

static json_t *list_value(const member_entry *members, size_t n) {
  json_t *all = sheaf_value_intdict();
  for (size_t m = 0; m < n; m++) {
    json_t *scans = sheaf_value_intdict();
    for (size_t s = 0; s < members[m].nscan; s++) {
      const scan_entry *e = &members[m].scans[s];
      sheaf_value_intdict_set(
          scans, e->scan,
          json_pack("{s:o,s:I,s:o}", "nchans", sheaf_value_array_int(e->nchan, e->nspw), "nrows",
                    (json_int_t)e->nrow, "spwIds", sheaf_value_array_int(e->spw, e->nspw)));
    }
    sheaf_value_intdict_set(all, (int64_t)m,
                            json_pack("{s:s,s:o,s:s}", "MS", members[m].name, "scanId", scans,
                                      "size", members[m].size));
  }
  return all;
}

static int open_listfile(const char *path, FILE **file, sheaf_error *err) {
  *file = NULL;
  if (!*path) return 0;
  if (sheaf_path_exists(path))
    return sheaf_fail(err, SHEAF_ERR_EXISTS, "listfile='%s': output file '%s' already exists", path,
                      path);
  *file = fopen(path, "wx");
  if (!*file) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "listfile='%s'", path);
  sheaf_log(SHEAF_LOG_INFO, "Will save output to '%s'", path);
  return 0;
}

static int close_listfile(const char *path, FILE *file, int rc, sheaf_error *err) {
  if (!file) return rc;
  const int failed = ferror(file) | (fclose(file) != 0);
  if (failed && rc >= 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "listfile='%s'", path);
  if (rc < 0) remove(path);
  return rc;
}

/* ---- verification ---- */

static void collect(void *user, const char *member, const char *problem) {
  json_t *line = json_sprintf(*member ? "%s: %s" : "%s%s", member, problem);
  json_array_append_new(user, line);
}

static int same_list(const json_t *expected, const int32_t *found, size_t n) {
  if (json_array_size(expected) != n) return 0;
  for (size_t i = 0; i < n; i++)
    if (json_integer_value(json_array_get(expected, i)) != found[i]) return 0;
  return 1;
}

/* Scans and data descriptions of a member against its ledger entry. */
static int check_coverage(const char *path, const char *name, const json_t *entry, json_t *problems,
                          sheaf_error *err) {
  sheaf_scans scans;
  int32_t *numbers = NULL, *ddids = NULL;
  size_t n, nddid = 0;
  int rc = sheaf_scans_read(&scans, path, NULL, NULL, err);
  if (rc < 0) {
    collect(problems, name, err->text);
    return rc == SHEAF_ERR_INTERRUPTED ? rc : 0;
  }
  SHEAF_TRY(sheaf_scans_numbers(&scans, &numbers, &n, err));
  ddids = malloc((scans.nddid + 1) * sizeof *ddids);
  if (!ddids) SHEAF_TRY(no_memory(err));
  for (size_t i = 0; i < scans.nddid; i++)
    if (scans.ddid_nrow[i]) ddids[nddid++] = (int32_t)i;
  if (json_object_get(entry, "scans") && !same_list(json_object_get(entry, "scans"), numbers, n))
    collect(problems, name, "its scans are not those that the ledger says");
  if (json_object_get(entry, "ddids") && !same_list(json_object_get(entry, "ddids"), ddids, nddid))
    collect(problems, name, "its data descriptions (spws) are not those that the ledger says");
done:
  free(numbers);
  free(ddids);
  sheaf_scans_free(&scans);
  return rc;
}

/* Server side: everything about one member; the result is a list of problems. */
static int verify_unit(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  (void)common;
  const char *path = sheaf_value_str(args, "path", ""), *name = sheaf_value_str(args, "name", "");
  const json_t *entry = json_object_get(args, "entry");
  json_t *problems = json_array();
  int rc = check_coverage(path, name, entry, problems, err);
  if (rc >= 0 && entry) {
    rc = sheaf_ledger_check(path, entry, collect, problems, err);
    if (rc < 0 && rc != SHEAF_ERR_INTERRUPTED && rc != SHEAF_ERR_NOMEM) {
      collect(problems, name, err->text);
      rc = 0;
    }
  }
  if (rc < 0) {
    json_decref(problems);
    return rc;
  }
  *value = problems;
  return 0;
}

static int merge_problems(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index;
  return json_array_extend(user, (json_t *)value) == 0 ? 0 : no_memory(err);
}

static const json_t *ledger_entry(const json_t *ledger, const char *name, size_t index,
                                  int is_mms) {
  size_t i;
  json_t *entry;
  if (!is_mms) return json_array_get(json_object_get(ledger, "members"), index);
  json_array_foreach(json_object_get(ledger, "members"), i,
                     entry) if (strcmp(sheaf_value_str(entry, "name", ""), name) == 0) return entry;
  return NULL;
}

static int verify_members(sheaf_job *job, char **paths, size_t n, const json_t *ledger, int is_mms,
                          json_t *problems, sheaf_error *err) {
  sheaf_unit *units = calloc(n + 1, sizeof *units);
  if (!units) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    char name[256];
    sheaf_path_base(paths[i], name, sizeof name);
    const json_t *entry = ledger_entry(ledger, name, i, is_mms);
    if (ledger && !entry) collect(problems, name, "the ledger does not know it");
    json_t *args =
        json_pack("{s:s,s:s,s:O*}", "path", paths[i], "name", name, "entry", (json_t *)entry);
    units[i] =
        (sheaf_unit){.label = paths[i], .cost = sheaf_value_int(entry, "rows", 1), .args = args};
  }
  const sheaf_round round = {.work = "listpartition.verify",
                             .units = units,
                             .nunit = n,
                             .merge = merge_problems,
                             .user = problems};
  const int rc = sheaf_job_round(job, &round, err);
  for (size_t i = 0; i < n; i++) json_decref(units[i].args);
  free(units);
  return rc;
}

static void check_ledger_members(const json_t *ledger, char **paths, size_t n, json_t *problems) {
  size_t i;
  json_t *entry;
  json_array_foreach(json_object_get(ledger, "members"), i, entry) {
    const char *name = sheaf_value_str(entry, "name", "");
    int found = 0;
    for (size_t k = 0; k < n; k++) {
      char base[256];
      found |= strcmp(sheaf_path_base(paths[k], base, sizeof base), name) == 0;
    }
    if (!found) collect(problems, name, "the ledger has this sub-MS, the Multi-MS has not");
  }
}

static int report(const char *vis, const json_t *problems, const json_t *ledger, size_t n,
                  sheaf_error *err) {
  size_t i;
  json_t *line;
  json_array_foreach(problems, i, line) sheaf_log(SHEAF_LOG_SEVERE, "%s", json_string_value(line));
  const size_t count = json_array_size(problems);
  if (count)
    return sheaf_fail(err, SHEAF_ERR_DATA, "verification of %s found %zu problem%s: %s%s", vis,
                      count, count == 1 ? "" : "s", json_string_value(json_array_get(problems, 0)),
                      count > 1 ? " (all are in the log)" : "");
  const int64_t rows = sheaf_value_int(ledger, "rows", 0);
  if (ledger && !sheaf_value_bool(ledger, "copydata", 1))
    sheaf_log(SHEAF_LOG_INFO,
              "Verified: %zu sub-MS%s, %lld rows, links, scans, spws and the checksums of row "
              "numbers, TIME and ids. The data are those of the input (copydata=False)",
              n, n == 1 ? "" : "s", (long long)rows);
  else if (ledger)
    sheaf_log(
        SHEAF_LOG_INFO,
        "Verified: %zu sub-MS%s, %lld rows, links, scans, spws and the checksums of all columns", n,
        n == 1 ? "" : "s", (long long)rows);
  else
    sheaf_log(
        SHEAF_LOG_INFO,
        "Verified: %zu sub-MS%s, rows and links. There is no ledger (it was not made by Sheaf's "
        "partition), so values could not be compared",
        n, n == 1 ? "" : "s");
  return 0;
}

static int verify(sheaf_job *job, const char *vis, char **paths, size_t n, int is_mms,
                  sheaf_error *err) {
  json_t *ledger = NULL, *problems = json_array();
  int rc = sheaf_mms_check(vis, collect, problems, err);
  if (rc >= 0) rc = sheaf_ledger_read(vis, &ledger, err);
  if (rc == SHEAF_ERR_DATA) {
    collect(problems, "", err->text);
    rc = 0;
  }
  if (rc >= 0 && ledger && is_mms) check_ledger_members(ledger, paths, n, problems);
  if (rc >= 0) rc = verify_members(job, paths, n, ledger, is_mms, problems, err);
  if (rc >= 0) rc = report(vis, problems, ledger, n, err);
  json_decref(ledger);
  json_decref(problems);
  return rc;
}

/* ---- the task ---- */

static int compare_paths(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int log_axis(const char *vis, sheaf_error *err) {
  char axis[64];
  const int rc = sheaf_mms_axis(vis, axis, sizeof axis, err);
  if (rc >= 0)
    sheaf_log(SHEAF_LOG_INFO, "This is a Multi-MS with separation axis = %s",
              *axis ? axis : "unknown");
  return rc;
}

/* Lists what can be read; a member that cannot is an error, unless a verification is to tell it
 * with all else. */
static int list_members(char **paths, size_t n, FILE *file, int is_mms, json_t **value,
                        sheaf_error *err) {
  member_entry *members = calloc(n + 1, sizeof *members);
  int rc = members ? 0 : no_memory(err);
  for (size_t i = 0; rc >= 0 && i < n; i++) rc = member_read(&members[i], paths[i], err);
  if (rc >= 0) rc = put_list(file, members, n, is_mms, err);
  if (rc >= 0 && value) *value = list_value(members, n);
  for (size_t i = 0; members && i < n; i++) member_free(&members[i]);
  free(members);
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  const char *vis = sheaf_value_str(par, "vis", ""),
             *listfile = sheaf_value_str(par, "listfile", "");
  char **paths = NULL;
  size_t n;
  FILE *file = NULL;
  json_t *value = NULL;
  int rc;
  const int is_mms = sheaf_mms_is(vis), checking = sheaf_value_bool(par, "verify", 0);
  SHEAF_TRY(sheaf_refms_check(vis, err));
  if (!is_mms) SHEAF_TRY(sheaf_ms_check(vis, err));
  SHEAF_TRY(open_listfile(listfile, &file, err));
  SHEAF_TRY(sheaf_mms_members(vis, &paths, &n, err));
  qsort(paths, n, sizeof *paths, compare_paths);
  if (is_mms) SHEAF_TRY(log_axis(vis, err));
  rc = list_members(paths, n, file, is_mms, sheaf_value_bool(par, "createdict", 0) ? &value : NULL,
                    err);
  if (checking && (rc >= 0 || rc == SHEAF_ERR_DATA || rc == SHEAF_ERR_NOTFOUND))
    rc = verify(job, vis, paths, n, is_mms, err);
  if (rc >= 0) *result = value ? json_incref(value) : json_object();

done:
  rc = close_listfile(listfile, file, rc, err);
  json_decref(value);
  sheaf_mms_members_free(paths);
  return rc;
}

static const sheaf_work work[] = {{"listpartition.verify", verify_unit, 0}, {NULL, NULL, 0}};

const sheaf_task sheaf_task_listpartition = {
    .name = "listpartition",
    .summary = "List the summary of a Multi-MS, and verify it",
    .help =
        "Lists, for each sub-MS, its scans with their spectral windows, channels and rows, and its "
        "size on disk. A plain MS is "
        "listed as one.\n\n"
        "verify=True opens every sub-MS and checks links, row counts, scans and spectral windows, "
        "and compares every column with the "
        "checksums that partition left in the Multi-MS. What is wrong is logged, line by line, and "
        "the task fails.\n\n"
        "Returns {} or, with createdict=True, {index: {'MS', 'scanId': {scan: {'nchans', 'nrows', "
        "'spwIds'}}, 'size'}}.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = work,
};

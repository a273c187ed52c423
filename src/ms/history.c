/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/value.h"
#include "ms/rewrite.h"
#include "table/history.h"
#include "table/table.h"

static char *format(const char *fmt, const char *text) {
  char *out = NULL;
  return asprintf(&out, fmt, text) < 0 ? NULL : out;
}

/* "vis         = "a.ms""; NULL without memory. */
static char *parameter_line(const char *name, const json_t *value) {
  char *out = NULL;
  if (json_is_string(value))
    return asprintf(&out, "%-11s = \"%s\"", name, json_string_value(value)) < 0 ? NULL : out;
  char *repr = sheaf_value_repr(value);
  if (repr && asprintf(&out, "%-11s = %s", name, repr) < 0) out = NULL;
  free(repr);
  return out;
}

/* The lines of one call, in *lines; *n of them. */
static int make_lines(char ***lines, size_t *n, const char *ms_path, const char *task,
                      const char *version, const json_t *params, sheaf_error *err) {
  *n = 0;
  *lines = calloc(json_object_size(params) + 2, sizeof **lines);
  if (!*lines) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory for HISTORY", ms_path);
  (*lines)[(*n)++] = format("taskname=%s", task);
  (*lines)[(*n)++] = format("version: %s", version);
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)params, name, value)(*lines)[(*n)++] = parameter_line(name, value);
  for (size_t i = 0; i < *n; i++)
    if (!(*lines)[i])
      return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory for HISTORY", ms_path);
  return 0;
}

static void free_lines(char **lines, size_t n) {
  for (size_t i = 0; lines && i < n; i++) free(lines[i]);
  free(lines);
}

int sheaf_history_append(const char *ms_path, const char *task, const char *version,
                         const json_t *params, sheaf_error *err) {
  size_t n;
  char **lines;
  int rc = make_lines(&lines, &n, ms_path, task, version, params, err);
  if (rc >= 0) rc = sheaf_history_rows_add(ms_path, task, (const char *const *)lines, n, err);
  free_lines(lines, n);
  return rc;
}

typedef struct addition {
  const char *task;
  char **lines;
  size_t n;
} addition;

static int put_lines(void *user, const char *copy, sheaf_error *err) {
  const addition *a = user;
  return sheaf_history_rows_put(copy, a->task, (const char *const *)a->lines, a->n, err);
}

/* Where the HISTORY of an MS is; 0 when it has none. */
static int find_history(const char *ms_path, char *path, size_t size, sheaf_error *err) {
  sheaf_subtable *list = NULL;
  size_t n;
  int found = 0;
  const int rc = sheaf_table_subtables(ms_path, &list, &n, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < n; i++)
    if (!strcmp(list[i].name, "HISTORY") && list[i].exists) {
      snprintf(path, size, "%s", list[i].path);
      found = 1;
    }
  free(list);
  return found;
}

int sheaf_history_record(const char *ms_path, const char *task, const char *version,
                         const json_t *params, sheaf_error *err) {
  char path[4096];
  addition a = {.task = task};
  int rc = find_history(ms_path, path, sizeof path, err);
  if (rc == 0) sheaf_log(SHEAF_LOG_WARN, "%s has no HISTORY: this call is not recorded", ms_path);
  if (rc <= 0) return rc;
  rc = make_lines(&a.lines, &a.n, ms_path, task, version, params, err);
  if (rc >= 0) rc = sheaf_rewrite(path, put_lines, &a, err);
  free_lines(a.lines, a.n);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/value.h"
#include "table/history.h"

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

int sheaf_history_append(const char *ms_path, const char *task, const char *version,
                         const json_t *params, sheaf_error *err) {
  size_t n = 0;
  const size_t total = json_object_size(params) + 2;
  int rc = SHEAF_ERR_NOMEM;
  char **lines = calloc(total, sizeof *lines);
  if (!lines) return sheaf_fail(err, rc, "%s: out of memory for HISTORY", ms_path);
  lines[n++] = format("taskname=%s", task);
  lines[n++] = format("version: %s", version);
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)params, name, value) lines[n++] = parameter_line(name, value);
  for (size_t i = 0; i < n; i++)
    if (!lines[i]) {
      sheaf_fail(err, rc, "%s: out of memory for HISTORY", ms_path);
      goto done;
    }
  rc = sheaf_history_rows_add(ms_path, task, (const char *const *)lines, n, err);
done:
  for (size_t i = 0; i < n; i++) free(lines[i]);
  free(lines);
  return rc;
}

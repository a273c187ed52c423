/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/value.h"
#include "ms/checksum.h"
#include "ms/refms.h"
#include "table/table.h"

int sheaf_ledger_write(const char *path, const json_t *ledger, sheaf_error *err) {
  char file[4200];
  snprintf(file, sizeof file, "%s/%s", path, SHEAF_LEDGER_FILE);
  char *text = json_dumps(ledger, JSON_INDENT(1));
  if (!text) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s", file);
  const int rc = sheaf_file_replace(file, text, strlen(text), err);
  free(text);
  return rc;
}

int sheaf_ledger_read(const char *path, json_t **ledger, sheaf_error *err) {
  char file[4200];
  char *text = NULL;
  size_t n;
  json_error_t at;
  *ledger = NULL;
  snprintf(file, sizeof file, "%s/%s", path, SHEAF_LEDGER_FILE);
  if (!sheaf_path_exists(file)) return 0;
  const int rc = sheaf_file_read(file, &text, &n, err);
  if (rc < 0) return rc;
  *ledger = json_loadb(text, n, 0, &at);
  free(text);
  if (!json_is_object(*ledger) || !json_is_array(json_object_get(*ledger, "members"))) {
    json_decref(*ledger);
    *ledger = NULL;
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: not a ledger (line %d: %s)", file, at.line,
                      at.text);
  }
  return 0;
}

typedef struct check {
  sheaf_table *table;
  const char *name;
  sheaf_ledger_report *report;
  void *user;
  int problems;
} check;

static void tell(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tell(check *c, const char *fmt, ...) {
  char text[1400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  c->report(c->user, c->name, text);
  c->problems++;
}

static int check_column(check *c, const char *column, const char *expected, sheaf_error *err) {
  char found[17];
  if (!sheaf_table_column(c->table, column, NULL)) {
    tell(c, "column %s is missing", column);
    return 0;
  }
  const int rc = sheaf_checksum_column(c->table, column, found, err);
  if (rc == SHEAF_ERR_INTERRUPTED || rc == SHEAF_ERR_NOMEM) return rc;
  if (rc < 0)
    tell(c, "column %s cannot be read: %s", column, err ? err->text : sheaf_error_name(rc));
  else if (strcmp(found, expected) != 0)
    tell(c,
         "column %s has checksum %s, the ledger says %s: its values changed after the Multi-MS was "
         "made (by another program, or by damage)",
         column, found, expected);
  return 0;
}

int sheaf_ledger_check(const char *path, const json_t *entry, sheaf_ledger_report *report,
                       void *user, sheaf_error *err) {
  check c = {.report = report, .user = user};
  const int64_t rows = sheaf_value_int(entry, "rows", -1);
  const char *column;
  json_t *sum;
  int rc;
  c.name = sheaf_value_str(entry, "name", path);
  SHEAF_TRY(sheaf_table_open(&c.table, path, 0, err));
  if (rows != sheaf_table_nrow(c.table)) {
    tell(&c, "%lld rows, the ledger says %lld", (long long)sheaf_table_nrow(c.table),
         (long long)rows);
    goto done;
  }
  SHEAF_TRY(sheaf_refms_check_rows(path, entry, err));
  if (rc == 0) tell(&c, "its row numbers are not those that the ledger says");
  json_object_foreach(json_object_get(entry, "columns"), column, sum) SHEAF_TRY(
      check_column(&c, column, json_string_value(sum) ? json_string_value(sum) : "", err));
done:
  sheaf_table_close(c.table);
  return rc < 0 ? rc : c.problems;
}

/* Takes columns out of the ledger in `path`, of one member (NULL: all). */
static int forget(const char *path, const char *member, const char *const *columns, size_t n,
                  sheaf_error *err) {
  json_t *ledger = NULL, *entry;
  size_t i;
  int changed = 0;
  int rc = sheaf_ledger_read(path, &ledger, err);
  if (rc < 0 || !ledger) return rc;
  json_array_foreach(json_object_get(ledger, "members"), i, entry) {
    if (member && strcmp(sheaf_value_str(entry, "name", ""), member)) continue;
    for (size_t k = 0; k < n; k++)
      changed |= json_object_del(json_object_get(entry, "columns"), columns[k]) == 0;
  }
  if (changed) rc = sheaf_ledger_write(path, ledger, err);
  json_decref(ledger);
  return rc;
}

int sheaf_ledger_forget(const char *path, const char *const *columns, size_t n, sheaf_error *err) {
  char real[4096];
  int rc = forget(path, NULL, columns, n, err);
  if (rc < 0 || (rc = sheaf_path_real(path, real, sizeof real, err)) < 0) return rc;
  char *name = strrchr(real, '/');
  if (!name || name - real < 7 || memcmp(name - 7, "/SUBMSS", 7)) return 0;
  name[-7] = '\0';
  return forget(real, name + 1, columns, n, err);
}

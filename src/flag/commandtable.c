/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * commandtable.c - flag commands in the table FLAG_CMD. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/value.h"
#include "flag/commands.h"
#include "flag/commandtext.h"
#include "ms/rewrite.h"
#include "table/flagcmd.h"
#include "table/table.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}

static int find_table(const char *ms, char path[4096], sheaf_error *err) {
  sheaf_subtable *list = NULL;
  size_t n;
  int rc = sheaf_table_subtables(ms, &list, &n, err);
  if (rc < 0) return rc;
  rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "'%s' has no table FLAG_CMD", ms);
  for (size_t i = 0; i < n; i++)
    if (!strcmp(list[i].name, "FLAG_CMD") && list[i].exists) {
      snprintf(path, 4096, "%s", list[i].path);
      rc = 0;
    }
  free(list);
  return rc;
}

/* ---- reading ---- */

/* One row as a command; NULL and 0 for an empty one. */
static int read_row(json_t **command, const json_t *row, int64_t number,
                    const sheaf_commands_options *options, sheaf_error *err) {
  static const char *const copied[] = {"reason", "applied", "time",    "interval",
                                       "type",   "level",   "severity"};
  char where[64];
  const char *text = sheaf_value_str(row, "command", "");
  *command = NULL;
  if (!text[strspn(text, " \t")]) {
    sheaf_log(SHEAF_LOG_WARN, "Ignoring empty COMMAND string");
    return 0;
  }
  snprintf(where, sizeof where, "FLAG_CMD row %lld", (long long)number);
  const int rc = sheaf_command_read(command, text, where, number, options, err);
  if (rc < 0) return rc;
  json_object_set_new(*command, "machine", json_true());
  json_t *about = json_object_get(*command, "about");
  for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
    json_object_set(about, copied[i], json_object_get(row, copied[i]));
  json_object_del(about, "reason_at"); /* the reason is in a column of its own */
  return 0;
}

/* 1 when the row is wanted. The reason is looked at before its text is read. */
static int is_wanted(const json_t *row, int useapplied, const json_t *reason) {
  json_t *shell = json_pack("{s:O}", "about", row);
  const int wanted = (useapplied || !sheaf_value_bool(row, "applied", 0)) && shell &&
                     sheaf_command_wanted(shell, reason);
  json_decref(shell);
  return wanted;
}

static int read_rows(json_t *commands, const json_t *all, const json_t *rows, int useapplied,
                     const sheaf_commands_options *options, sheaf_error *err) {
  const size_t n = json_array_size(rows) ? json_array_size(rows) : json_array_size(all);
  for (size_t i = 0; i < n; i++) {
    const json_int_t number =
        json_array_size(rows) ? json_integer_value(json_array_get(rows, i)) : (json_int_t)i;
    const json_t *row = number < 0 ? NULL : json_array_get(all, (size_t)number);
    json_t *command;
    if (!row)
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "tablerows: there is no row %lld; FLAG_CMD has %zu rows", (long long)number,
                        json_array_size(all));
    if (!is_wanted(row, useapplied, options->reason)) continue;
    const int rc = read_row(&command, row, number, options, err);
    if (rc < 0) return rc;
    if (command && json_array_append_new(commands, command)) return no_memory(err);
  }
  return 0;
}

int sheaf_commands_from_table(json_t **commands, const char *ms, const json_t *rows, int useapplied,
                              const sheaf_commands_options *options, sheaf_error *err) {
  char path[4096];
  json_t *all = NULL, *list = json_array();
  *commands = NULL;
  int rc = list ? find_table(ms, path, err) : no_memory(err);
  if (rc >= 0) rc = sheaf_flagcmd_read(path, &all, err);
  if (rc >= 0 && json_array_size(all) == 0)
    sheaf_log(SHEAF_LOG_WARN, "FLAG_CMD table in %s is empty, no flags extracted", ms);
  if (rc >= 0) rc = read_rows(list, all, rows, useapplied, options, err);
  json_decref(all);
  if (rc < 0)
    json_decref(list);
  else
    *commands = list;
  return rc;
}

/* ---- changing ---- */

typedef struct change {
  const json_t *rows;
  int applied;
} change;

static int append_rows(void *user, const char *copy, sheaf_error *err) {
  return sheaf_flagcmd_append(copy, ((const change *)user)->rows, err);
}

static int mark_rows(void *user, const char *copy, sheaf_error *err) {
  const change *c = user;
  return sheaf_flagcmd_mark(copy, c->rows, c->applied, err);
}

static int remove_rows(void *user, const char *copy, sheaf_error *err) {
  return sheaf_flagcmd_remove(copy, ((const change *)user)->rows, err);
}

/* What is appended for a command, in `rows`; summaries are left out. */
static int add_row(json_t *rows, const json_t *command, int applied, const char *reason,
                   sheaf_error *err) {
  if (!strcmp(sheaf_value_str(command, "mode", ""), "summary")) {
    sheaf_log(SHEAF_LOG_WARN, "Commands with mode='summary' are not allowed in the FLAG_CMD table");
    return 0;
  }
  const char *own = sheaf_value_str(json_object_get(command, "about"), "reason", "");
  char *text = sheaf_command_text(command, NULL, 1);
  const int bad =
      !text ||
      json_array_append_new(rows, json_pack("{s:s, s:s, s:b}", "command", text, "reason",
                                            reason && *reason ? reason : own, "applied", applied));
  free(text);
  return bad ? no_memory(err) : 0;
}

int sheaf_commands_append(const char *ms, const json_t *commands, int applied, const char *reason,
                          sheaf_error *err) {
  char path[4096];
  json_t *rows = json_array();
  size_t i;
  json_t *command;
  int rc = rows ? find_table(ms, path, err) : no_memory(err);
  json_array_foreach(commands, i, command) {
    if (rc >= 0) rc = add_row(rows, command, applied, reason, err);
  }
  if (rc >= 0 && json_array_size(rows) == 0) {
    sheaf_log(SHEAF_LOG_INFO, "Did not save any rows to FLAG_CMD");
  } else if (rc >= 0) {
    change c = {rows, applied};
    rc = sheaf_rewrite(path, append_rows, &c, err);
    if (rc >= 0)
      sheaf_log(SHEAF_LOG_INFO, "Saved %zu rows to FLAG_CMD of %s", json_array_size(rows), ms);
  }
  json_decref(rows);
  return rc;
}

int sheaf_commands_mark(const char *ms, const json_t *commands, const json_t *skipped, int applied,
                        sheaf_error *err) {
  char path[4096];
  json_t *rows = json_array(), *command;
  size_t i, left_out = 0; /* both are in the order of the commands */
  int rc = rows ? find_table(ms, path, err) : no_memory(err);
  json_array_foreach(commands, i, command) {
    json_t *row = json_object_get(command, "row");
    if (json_equal(row, json_array_get(skipped, left_out)))
      left_out++;
    else if (rc >= 0 && json_array_append(rows, row))
      rc = no_memory(err);
  }
  if (rc >= 0 && json_array_size(rows) > 0) {
    change c = {rows, applied};
    rc = sheaf_rewrite(path, mark_rows, &c, err);
    if (rc >= 0)
      sheaf_log(SHEAF_LOG_INFO, "Updated %zu rows of FLAG_CMD table in MS", json_array_size(rows));
  }
  json_decref(rows);
  return rc;
}

/* The rows to be removed, each once. New reference. */
static int choose_rows(json_t **chosen, const json_t *rows, size_t nrow, sheaf_error *err) {
  char *seen = calloc(nrow + 1, 1);
  const size_t n = json_array_size(rows);
  int rc = 0;
  *chosen = json_array();
  if (!seen || !*chosen) rc = no_memory(err);
  for (size_t i = 0; rc >= 0 && i < (n ? n : nrow); i++) {
    const json_int_t row = n ? json_integer_value(json_array_get(rows, i)) : (json_int_t)i;
    if (row < 0 || (size_t)row >= nrow)
      rc = sheaf_fail(err, SHEAF_ERR_ARG, "rowlist: there is no row %lld; FLAG_CMD has %zu rows",
                      (long long)row, nrow);
    else if (!seen[row]++ && json_array_append_new(*chosen, json_integer(row)))
      rc = no_memory(err);
  }
  free(seen);
  return rc;
}

int sheaf_commands_clear(const char *ms, const json_t *rows, sheaf_error *err) {
  char path[4096];
  json_t *all = NULL, *chosen = NULL;
  int rc = find_table(ms, path, err);
  if (rc >= 0) rc = sheaf_flagcmd_read(path, &all, err);
  if (rc >= 0) rc = choose_rows(&chosen, rows, json_array_size(all), err);
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "There were %zu rows in FLAG_CMD", json_array_size(all));
  if (rc >= 0 && json_array_size(chosen) > 0) {
    change c = {chosen, 0};
    rc = sheaf_rewrite(path, remove_rows, &c, err);
    if (rc >= 0)
      sheaf_log(SHEAF_LOG_INFO, "Deleted %zu from FLAG_CMD table in MS", json_array_size(chosen));
  } else if (rc >= 0) {
    sheaf_log(SHEAF_LOG_INFO, "No rows to clear");
  }
  rc = rc < 0 ? rc : (int)json_array_size(chosen);
  json_decref(all);
  json_decref(chosen);
  return rc;
}

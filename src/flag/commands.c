/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/commands.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commandtext.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}

static int is_file(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* ---- lists ---- */

/* 1 when there is no command on the line. */
static int is_empty(const char *line) {
  line += strspn(line, " \t\r\n\v\f");
  return *line == '#' || *line == '\0';
}

/* 1 when JSON, and with it Python, can hold the text. */
static int is_utf8(const char *text) {
  json_t *value = json_string(text);
  const int yes = value != NULL;
  json_decref(value);
  return yes;
}

/* Cuts the first line off; it may end in a line feed, a carriage return, or both. The rest, or NULL. */
static char *cut_line(char *text) {
  char *end = text + strcspn(text, "\r\n");
  if (!*end) return NULL;
  const int both = end[0] == '\r' && end[1] == '\n';
  *end = '\0';
  return end + 1 + both;
}

static int add_line(json_t *list, const char *line, const char *where,
                    const sheaf_commands_options *options, sheaf_error *err) {
  json_t *command;
  if (is_empty(line)) return 0;
  const int rc =
      sheaf_command_read(&command, line, where, (int64_t)json_array_size(list), options, err);
  return rc < 0 ? rc : json_array_append_new(list, command) ? no_memory(err) : 0;
}

static int add_file(json_t *list, const char *path, const sheaf_commands_options *options,
                    sheaf_error *err) {
  char *text, *rest;
  size_t size;
  const size_t before = json_array_size(list);
  int rc = sheaf_file_read(path, &text, &size, err), number = 0;
  if (rc < 0) return rc;
  if (strlen(text) != size)
    rc = sheaf_fail(err, SHEAF_ERR_ARG, "%s: holds zero bytes; it is not a file of flag commands",
                    path);
  const size_t mark = strncmp(text, "\xef\xbb\xbf", 3) ? 0 : 3; /* Windows writes one */
  for (char *line = text + mark; rc >= 0 && line; line = rest) {
    char where[4200];
    rest = cut_line(line);
    snprintf(where, sizeof where, "%s, line %d", path, ++number);
    rc = is_utf8(line) ? add_line(list, line, where, options, err)
                       : sheaf_fail(err, SHEAF_ERR_ARG, "%s: is not UTF-8 text", where);
  }
  free(text);
  if (rc >= 0)
    sheaf_log(SHEAF_LOG_INFO, "Read %zu command(s) from file: %s", json_array_size(list) - before,
              path);
  return rc;
}

static int add_lines(json_t *list, const json_t *lines, const sheaf_commands_options *options,
                     sheaf_error *err) {
  size_t i;
  json_t *line;
  int rc = 0;
  json_array_foreach(lines, i, line) {
    char where[64];
    snprintf(where, sizeof where, "inpfile[%zu]", i);
    rc = add_line(list, json_string_value(line), where, options, err);
    if (rc < 0) break;
  }
  return rc;
}

static int add_files(json_t *list, const json_t *files, const sheaf_commands_options *options,
                     sheaf_error *err) {
  size_t i;
  json_t *file;
  int rc = 0;
  json_array_foreach(files, i, file) {
    const char *path = json_string_value(file);
    rc = is_file(path)
             ? add_file(list, path, options, err)
             : sheaf_fail(err, SHEAF_ERR_NOTFOUND, "inpfile: there is no file '%s'", path);
    if (rc < 0) break;
  }
  return rc;
}

static int all_texts(const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    if (!json_is_string(item)) return 0;
  }
  return 1;
}

/* Like CASA, a list whose first text is the name of a file is a list of files. */
static int read_input(json_t *list, const json_t *inpfile, const sheaf_commands_options *options,
                      sheaf_error *err) {
  const char *path = json_string_value(inpfile);
  if (path && is_file(path)) return add_file(list, path, options, err);
  if (path)
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                      "inpfile='%.200s': Unsupported input list of flag commands or input file "
                      "does not exist",
                      path);
  if (!json_is_array(inpfile) || !all_texts(inpfile))
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "inpfile: must be a file, a list of files, or a list of commands");
  const char *first = json_string_value(json_array_get(inpfile, 0));
  return first && is_file(first) ? add_files(list, inpfile, options, err)
                                 : add_lines(list, inpfile, options, err);
}

/* Leaves the commands with a reason that is wanted. New reference. */
static json_t *with_reason(const json_t *list, const json_t *reason) {
  json_t *some = json_array();
  size_t i;
  json_t *command;
  json_array_foreach(list, i, command) {
    if (some && sheaf_command_wanted(command, reason)) json_array_append(some, command);
  }
  return some;
}

int sheaf_commands_read(json_t **commands, const json_t *inpfile,
                        const sheaf_commands_options *options, sheaf_error *err) {
  json_t *list = json_array(), *some = NULL;
  *commands = NULL;
  int rc = list ? read_input(list, inpfile, options, err) : no_memory(err);
  if (rc >= 0 && json_array_size(list) == 0)
    rc = sheaf_fail(err, SHEAF_ERR_ARG, "inpfile: Empty list of commands");
  if (rc >= 0) {
    some = with_reason(list, options->reason);
    if (!some) rc = no_memory(err);
  }
  if (rc >= 0 && json_array_size(some) == 0)
    rc = sheaf_fail(err, SHEAF_ERR_ARG, "reason: No input lines matching requested reason(s)");
  json_decref(list);
  if (rc < 0)
    json_decref(some);
  else
    *commands = some;
  return rc < 0 ? rc : 0;
}

/* ---- to a file ---- */

int sheaf_commands_write(const char *path, const json_t *commands, const char *reason,
                         int overwrite, sheaf_error *err) {
  char *text = NULL;
  size_t size = 0, i;
  json_t *command;
  int rc = 0;
  if (!overwrite && sheaf_path_exists(path))
    return sheaf_fail(err, SHEAF_ERR_EXISTS,
                      "You have set overwrite to False. Remove %s before saving the flag commands",
                      path);
  FILE *out = open_memstream(&text, &size);
  if (!out) return no_memory(err);
  json_array_foreach(commands, i, command) {
    const char *own = sheaf_value_str(json_object_get(command, "about"), "reason", "");
    const char *shown = reason && *reason ? reason : *own ? own : NULL;
    char *line = sheaf_command_text(command, shown, 1);
    if (!line) rc = no_memory(err);
    fprintf(out, "%s\n", line ? line : "");
    free(line);
  }
  if (fclose(out)) rc = no_memory(err);
  if (rc >= 0) rc = sheaf_file_replace(path, text, size, err);
  free(text);
  return rc;
}

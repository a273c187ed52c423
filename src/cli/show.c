/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "show.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "task/task.h"

static void put_repr(FILE *out, const json_t *value) {
  char *text = sheaf_value_repr(value);
  fprintf(out, "%s\n", text ? text : "");
  free(text);
}

static int is_dict(const json_t *value) {
  return json_is_object(value) && !json_object_get(value, "#array");
}

static size_t dict_size(const json_t *dict) {
  return json_object_size(dict) - (json_object_get(dict, "#int") != NULL);
}

static void put_dict(FILE *out, const json_t *dict, int indent) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)dict, key, value) {
    if (!strcmp(key, "#int")) continue;
    fprintf(out, "%*s%s:", indent, "", key);
    if (is_dict(value) && dict_size(value)) {
      fputc('\n', out);
      put_dict(out, value, indent + 2);
    } else {
      fputc(' ', out);
      put_repr(out, value);
    }
  }
}

void show_value(FILE *out, const json_t *value) {
  if (is_dict(value))
    put_dict(out, value, 0);
  else if (json_is_string(value))
    fprintf(out, "%s\n", json_string_value(value));
  else
    put_repr(out, value);
}

int show_json(FILE *out, const json_t *value, sheaf_error *err) {
  json_t *plain = sheaf_value_plain(value);
  const int bad = !plain || json_dumpf(plain, out, JSON_ENCODE_ANY) || fputc('\n', out) == EOF;
  json_decref(plain);
  if (bad || fflush(out))
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write the result");
  return 0;
}

void show_tasks(FILE *out) {
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  for (size_t i = 0; i < n; i++) fprintf(out, "  %-16s %s\n", list[i]->name, list[i]->summary);
}

/* One cell of a table: '|' would end it. */
static void put_cell(FILE *out, const char *text) {
  for (; *text; text++) {
    if (*text == '|') fputc('\\', out);
    fputc(*text, out);
  }
}

static const char *const type_names[] = {
    "bool", "int", "float", "str", "list of int", "list of float", "list of str", "dict", "any"};

static void put_types(FILE *out, unsigned types) {
  const char *comma = "";
  for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
    if (!(types & 1u << i)) continue;
    fprintf(out, "%s%s", comma, type_names[i]);
    comma = ", ";
  }
}

/* "what it is. One of auto, scan. Unit: s. With createmms=True. Not in CASA." */
static void put_notes(FILE *out, const sheaf_param *p) {
  put_cell(out, p->help);
  if (p->allowed) {
    fputs("; one of", out);
    const char *at = p->allowed, *word;
    size_t n;
    while ((word = sheaf_params_next_allowed(p->allowed, &at, &n)))
      fprintf(out, "%s `%.*s`", word == p->allowed ? "" : ",", (int)n, word);
  }
  if (p->unit) fprintf(out, "; in %s", p->unit);
  if (p->when) {
    fputs("; applies with ", out);
    put_cell(out, p->when);
  }
  if (p->flags & SHEAF_PARAM_EXISTS) fputs("; must exist", out);
  if (p->flags & SHEAF_PARAM_OURS) fputs("; not in CASA", out);
}

static void put_page(FILE *out, const sheaf_task *task) {
  fprintf(out, "# %s\n\n%s.\n\n", task->name, task->summary);
  if (task->help) fprintf(out, "%s\n\n", task->help);
  fputs("| parameter | default | type | meaning |\n| --- | --- | --- | --- |\n", out);
  for (size_t i = 0; i < task->nparam; i++) {
    const sheaf_param *p = &task->params[i];
    fprintf(out, "| `%s` | `%s` | ", p->name, p->otherwise);
    put_types(out, p->types);
    fputs(" | ", out);
    put_notes(out, p);
    fputs(" |\n", out);
  }
  fprintf(out, "\nThis page is made from the parameter table by `sheaf help --markdown`.\n");
}

static FILE *open_page(const char *directory, const char *name, sheaf_error *err) {
  char path[PATH_MAX];
  FILE *out = NULL;
  if (snprintf(path, sizeof path, "%s/%s.md", directory, name) < (int)sizeof path)
    out = fopen(path, "w");
  else
    errno = ENAMETOOLONG;
  if (!out) sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s/%s.md", directory, name);
  return out;
}

static int close_page(FILE *out, const char *directory, sheaf_error *err) {
  const int bad = ferror(out);
  if (fclose(out) || bad)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write a page into %s", directory);
  return 0;
}

static int write_index(const char *directory, sheaf_error *err) {
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  FILE *out = open_page(directory, "README", err);
  if (!out) return SHEAF_ERR_IO;
  fputs("# Tasks\n\n", out);
  for (size_t i = 0; i < n; i++)
    fprintf(out, "* [%s](%s.md): %s\n", list[i]->name, list[i]->name, list[i]->summary);
  return close_page(out, directory, err);
}

int show_pages(const char *directory, sheaf_error *err) {
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  if (mkdir(directory, 0777) && errno != EEXIST)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make the directory %s", directory);
  for (size_t i = 0; i < n; i++) {
    FILE *out = open_page(directory, list[i]->name, err);
    if (!out) return SHEAF_ERR_IO;
    put_page(out, list[i]);
    const int rc = close_page(out, directory, err);
    if (rc < 0) return rc;
  }
  return write_index(directory, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/params.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/value.h"

/* ---- near words ---- */

enum { MAX_WORD = 63 };

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static int same_letter(char a, char b) {
  return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Damerau-Levenshtein distance (neighbours may change places, once), letters' case ignored. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
  size_t d[MAX_WORD + 2][MAX_WORD + 2];
  for (size_t i = 0; i <= na; i++) d[i][0] = i;
  for (size_t j = 0; j <= nb; j++) d[0][j] = j;
  for (size_t i = 1; i <= na; i++) {
    for (size_t j = 1; j <= nb; j++) {
      const size_t changed = d[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]);
      d[i][j] = least(changed, least(d[i - 1][j], d[i][j - 1]) + 1);
      if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
        d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[na][nb];
}

const char *sheaf_nearest(const char *word, const char *const *words, size_t n) {
  const size_t length = strlen(word);
  if (length == 0 || length > MAX_WORD) return NULL;
  const char *best = NULL;
  size_t best_distance = MAX_WORD;
  for (size_t i = 0; i < n; i++) {
    const size_t other = strlen(words[i]);
    if (other > MAX_WORD) continue;
    size_t d = distance(word, length, words[i], other);
    if (d > 1 && length > 1 && !strncasecmp(word, words[i], length)) d = 1; /* its beginning */
    const size_t longer = length > other ? length : other;
    if (d < best_distance && 3 * d <= longer + 1) { /* a third of the letters may be wrong */
      best = words[i];
      best_distance = d;
    }
  }
  return best;
}

/* ---- what is wrong ---- */

/* "name='value'" for messages, long values cut. */
static void print_assignment(char *out, size_t size, const char *name, const json_t *value) {
  char *text = sheaf_value_repr(value);
  const char *shown = text ? text : "?";
  snprintf(out, size, strlen(shown) > 200 ? "%s=%.200s…" : "%s=%s", name, shown);
  free(text);
}

static int fail_value(sheaf_error *err, int code, const char *name, const json_t *value,
                      const char *what) {
  char assignment[400];
  print_assignment(assignment, sizeof assignment, name, value);
  return sheaf_fail(err, code, "%s: %s", assignment, what);
}

static void append(char *out, size_t size, const char *separator, const char *text) {
  const size_t used = strlen(out);
  snprintf(out + used, size - used, "%s%s", used ? separator : "", text);
}

/* "a bool (True or False) or a text". */
static void print_types(char *out, size_t size, unsigned types) {
  static const struct {
    unsigned type;
    const char *text;
  } names[] = {{SHEAF_TYPE_BOOL, "a bool (True or False)"},
               {SHEAF_TYPE_INT, "an int"},
               {SHEAF_TYPE_DOUBLE, "a number"},
               {SHEAF_TYPE_STRING, "a text"},
               {SHEAF_TYPE_INTS, "a list of ints"},
               {SHEAF_TYPE_DOUBLES, "a list of numbers"},
               {SHEAF_TYPE_STRINGS, "a list of texts"},
               {SHEAF_TYPE_DICT, "a dictionary"},
               {SHEAF_TYPE_ANY, "any value"}};
  out[0] = '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (types & names[i].type) append(out, size, " or ", names[i].text);
}

/* "auto, scan, spw" from "auto|scan|spw". */
/* 1 when the word at `p` is one of the words before it, in capitals. */
static int repeats(const char *allowed, const char *p, size_t n) {
  for (const char *q = allowed; q < p; q += strcspn(q, "|") + 1)
    if (strcspn(q, "|") == n && n > 0 && !strncasecmp(q, p, n)) return 1;
  return 0;
}

const char *sheaf_params_next_allowed(const char *allowed, const char **p, size_t *n) {
  while (*p) {
    const char *word = *p;
    *n = strcspn(word, "|");
    *p = word[*n] ? word + *n + 1 : NULL;
    if (!repeats(allowed, word, *n)) return word;
  }
  return NULL;
}

static void print_allowed(char *out, size_t size, const char *allowed) {
  const char *p = allowed, *word;
  size_t n;
  out[0] = '\0';
  while ((word = sheaf_params_next_allowed(allowed, &p, &n))) {
    char text[128];
    snprintf(text, sizeof text, n ? "%.*s" : "''", (int)n, word);
    append(out, size, ", ", text);
  }
}

static const sheaf_param *find(const sheaf_param *table, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(table[i].name, name)) return &table[i];
  return NULL;
}

static int fail_unknown(const char *task, const sheaf_param *table, size_t n, const char *name,
                        sheaf_error *err) {
  const char **names = calloc(n + 1, sizeof *names);
  for (size_t i = 0; names && i < n; i++) names[i] = table[i].name;
  const char *near = names ? sheaf_nearest(name, names, n) : NULL;
  free(names);
  if (near)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: no parameter '%.100s'; did you mean '%s'?", task,
                      name, near);
  char all[800] = "";
  for (size_t i = 0; i < n; i++)
    if (!(table[i].flags & SHEAF_PARAM_HIDDEN)) append(all, sizeof all, ", ", table[i].name);
  return sheaf_fail(err, SHEAF_ERR_ARG, "%s: no parameter '%.100s'; its parameters are %s", task,
                    name, *all ? all : "none");
}

/* ---- checks ---- */

static int all_elements(const json_t *list, unsigned type) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    const int fits = type == SHEAF_TYPE_INTS      ? json_is_integer(item)
                     : type == SHEAF_TYPE_DOUBLES ? json_is_number(item)
                                                  : json_is_string(item);
    if (!fits) return 0;
  }
  return 1;
}

static int has_type(const json_t *value, unsigned types) {
  if (types & SHEAF_TYPE_ANY) return 1;
  switch (json_typeof(value)) {
    case JSON_TRUE:
    case JSON_FALSE:
      return (types & SHEAF_TYPE_BOOL) != 0;
    case JSON_INTEGER:
      return (types & (SHEAF_TYPE_INT | SHEAF_TYPE_DOUBLE)) != 0;
    case JSON_REAL:
      return (types & SHEAF_TYPE_DOUBLE) != 0;
    case JSON_STRING:
      return (types & SHEAF_TYPE_STRING) != 0;
    case JSON_OBJECT:
      return (types & SHEAF_TYPE_DICT) != 0;
    case JSON_ARRAY:
      for (unsigned t = SHEAF_TYPE_INTS; t <= SHEAF_TYPE_STRINGS; t <<= 1)
        if ((types & t) && all_elements(value, t)) return 1;
      return 0;
    default:
      return 0;
  }
}

static int is_allowed(const char *text, const char *allowed) {
  for (const char *p = allowed;;) {
    const size_t n = strcspn(p, "|");
    if (strlen(text) == n && !strncmp(text, p, n)) return 1;
    p += n;
    if (!*p++) return 0;
  }
}

/* Checks that depend on a text: allowed values, files. */
static int check_text(const sheaf_param *param, const json_t *value, sheaf_error *err) {
  const char *text = json_string_value(value);
  if (param->allowed && !is_allowed(text, param->allowed)) {
    char all[400], what[450];
    print_allowed(all, sizeof all, param->allowed);
    snprintf(what, sizeof what, "must be one of %s", all);
    return fail_value(err, SHEAF_ERR_ARG, param->name, value, what);
  }
  struct stat st;
  if ((param->flags & SHEAF_PARAM_EXISTS) && *text && stat(text, &st) < 0 && strchr(text, ',') &&
      param->types & SHEAF_TYPE_STRINGS)
    return fail_value(err, SHEAF_ERR_NOTFOUND, param->name, value,
                      "no such file or directory; several are written as a list: [a.ms,b.ms]");
  if ((param->flags & SHEAF_PARAM_EXISTS) && *text && stat(text, &st) < 0)
    return fail_value(err, SHEAF_ERR_NOTFOUND, param->name, value, "no such file or directory");
  if ((param->flags & SHEAF_PARAM_REQUIRED) && !*text)
    return fail_value(err, SHEAF_ERR_ARG, param->name, value, "must not be empty");
  return 0;
}

static int check_value(const sheaf_param *param, const json_t *value, sheaf_error *err) {
  if (json_is_null(value) && param->otherwise && !strcmp(param->otherwise, "None")) return 0;
  if (!has_type(value, param->types)) {
    char types[300], what[320];
    print_types(types, sizeof types, param->types);
    snprintf(what, sizeof what, "must be %s", types);
    return fail_value(err, SHEAF_ERR_ARG, param->name, value, what);
  }
  if (json_is_string(value)) return check_text(param, value, err);
  if (!json_is_array(value)) return 0;
  if ((param->flags & SHEAF_PARAM_REQUIRED) && json_array_size(value) == 0)
    return fail_value(err, SHEAF_ERR_ARG, param->name, value, "must not be empty");
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) {
    const int rc = json_is_string(item) ? check_text(param, item, err) : 0;
    if (rc < 0) return rc;
  }
  return 0;
}

/* ~ and ~/x begin with the home directory. New reference. */
static json_t *expanded(json_t *path) {
  const char *text = json_string_value(path), *home = getenv("HOME");
  if (!text || text[0] != '~' || (text[1] && text[1] != '/') || !home || !*home)
    return json_incref(path);
  return json_sprintf("%s%s", home, text + 1);
}

static json_t *expanded_all(json_t *paths) {
  json_t *list = json_array();
  size_t i;
  json_t *path;
  json_array_foreach(paths, i, path) json_array_append_new(list, expanded(path));
  return list;
}

/* Whether one text or int stands for a list of one, as with CASA: only such a list is accepted. */
static int is_lone(const sheaf_param *param, const json_t *value) {
  const unsigned types = param->types;
  if (types & SHEAF_TYPE_ANY) return 0;
  if (json_is_string(value)) return (types & SHEAF_TYPE_STRINGS) && !(types & SHEAF_TYPE_STRING);
  return json_is_integer(value) && (types & SHEAF_TYPE_INTS) &&
         !(types & (SHEAF_TYPE_INT | SHEAF_TYPE_DOUBLE));
}

/* The value as it is checked and stored: paths with the home directory, and a lone value as a list
 * where only that is accepted. New reference. */
static json_t *stored(const sheaf_param *param, json_t *value) {
  if ((param->flags & SHEAF_PARAM_PATH) && json_is_array(value)) return expanded_all(value);
  if ((param->flags & SHEAF_PARAM_PATH) && json_is_string(value)) {
    json_t *path = expanded(value);
    json_t *fitted = param->types & SHEAF_TYPE_STRING ? path : json_pack("[o]", path);
    return fitted;
  }
  if (is_lone(param, value)) return json_pack("[O]", value);
  return json_incref(value);
}

static int check_one(const char *task, const sheaf_param *param, json_t *given, json_t *full,
                     sheaf_error *err) {
  if (!given && ((param->flags & SHEAF_PARAM_REQUIRED) || !param->otherwise)) {
    json_t *empty = param->otherwise ? sheaf_value_parse(param->otherwise) : json_null();
    const int missing = !param->otherwise || check_value(param, empty, NULL) < 0;
    json_decref(empty);
    if (missing)
      return sheaf_fail(err, SHEAF_ERR_ARG, "%s: the parameter '%s' must be given", task,
                        param->name);
  }
  json_t *value = given ? stored(param, given) : sheaf_value_parse(param->otherwise);
  const int rc = given ? check_value(param, value, err) : 0;
  json_object_set_new(full, param->name, value);
  return rc;
}

int sheaf_params_check(const char *task, const sheaf_param *table, size_t n, const json_t *given,
                       json_t **full, sheaf_error *err) {
  *full = NULL;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)given, key, value) {
    if (!find(table, n, key)) return fail_unknown(task, table, n, key, err);
  }
  json_t *all = json_object();
  for (size_t i = 0; i < n; i++) {
    const int rc = check_one(task, &table[i], json_object_get(given, table[i].name), all, err);
    if (rc < 0) {
      json_decref(all);
      return rc;
    }
  }
  *full = all;
  return 0;
}

/* ---- name=value ---- */

static int takes_text(const sheaf_param *param) {
  return (param->types & (SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS)) != 0;
}

/* A list of numbers as a list of texts. New reference. */
static json_t *texts_of(const json_t *list) {
  json_t *texts = json_array();
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    char *text = json_is_string(item) ? NULL : sheaf_value_repr(item);
    json_array_append_new(texts, text ? json_string(text) : json_incref(item));
    free(text);
  }
  return texts;
}

static int all_scalars(const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    if (!json_is_string(item) && !json_is_integer(item)) return 0;
  }
  return 1;
}

/* Takes `value`, which was read from `raw`, and returns what suits the parameter best; what suits
 * in no way stays as it is for sheaf_params_check to refuse. */
static json_t *fit(const sheaf_param *param, json_t *value, const char *raw) {
  json_t *fitted = NULL;
  if (has_type(value, param->types) && !(json_is_string(value) && (param->types & SHEAF_TYPE_BOOL)))
    return value;
  if ((param->types & SHEAF_TYPE_BOOL) && (!strcmp(raw, "true") || !strcmp(raw, "false")))
    fitted = json_boolean(*raw == 't');
  else if (takes_text(param) && !json_is_string(value) && !json_is_array(value) &&
           !json_is_object(value))
    fitted = json_string(raw);
  else if ((param->types & SHEAF_TYPE_STRINGS) && json_is_array(value) && all_scalars(value))
    fitted = texts_of(value);
  if (!fitted) return value;
  json_decref(value);
  return fitted;
}

int sheaf_params_add(const char *task, const sheaf_param *table, size_t n, const char *assignment,
                     json_t *given, sheaf_error *err) {
  const char *equals = strchr(assignment, '=');
  char name[128];
  if (!equals || equals == assignment)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: '%.200s' is no parameter; write name=value", task,
                      assignment);
  snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
  const sheaf_param *param = find(table, n, name);
  if (!param) return fail_unknown(task, table, n, name, err);
  if (json_object_get(given, name))
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: the parameter '%s' is given twice", task, name);
  json_t *value = sheaf_value_parse(equals + 1);
  if (!value)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: the value of '%s' is not UTF-8 text", task, name);
  json_object_set_new(given, name, fit(param, value, equals + 1));
  return 0;
}

/* ---- help ---- */

static void print_help(FILE *out, const sheaf_param *param) {
  char text[400];
  print_types(text, sizeof text, param->types);
  fprintf(out, "  %s", param->name);
  if (param->otherwise) fprintf(out, " = %s", param->otherwise);
  if (param->unit) fprintf(out, " [%s]", param->unit);
  fprintf(out, "\n      %s\n      Takes %s", param->help, text);
  if (param->allowed) {
    print_allowed(text, sizeof text, param->allowed);
    fprintf(out, ": %s", text);
  }
  if (param->flags & SHEAF_PARAM_REQUIRED) fputs("; must be given", out);
  if (param->when) fprintf(out, "; applies with %s", param->when);
  if (param->flags & SHEAF_PARAM_OURS) fputs("; not in CASA", out);
  fputs(".\n", out);
}

char *sheaf_params_help(const sheaf_param *table, size_t n) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  /* What a user needs first comes first. */
  for (int hidden = 0; hidden < 2; hidden++)
    for (size_t i = 0; i < n; i++)
      if (((table[i].flags & SHEAF_PARAM_HIDDEN) != 0) == hidden) print_help(out, &table[i]);
  if (fclose(out) == 0) return text;
  free(text);
  return NULL;
}

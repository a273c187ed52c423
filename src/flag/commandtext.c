/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/commandtext.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"

static const char *const not_in_lists[] = {"vis",       "inpfile",   "tbuff",     "flagbackup",
                                           "action",    "display",   "savepars",  "outfile",
                                           "cmdreason", "overwrite", "displaydir"};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}

int sheaf_command_is_param(const char *member) {
  return strcmp(member, "row") && strcmp(member, "where") && strcmp(member, "about") &&
         strcmp(member, "machine");
}

json_t *sheaf_command_new(int64_t row, const char *where) {
  char id[24];
  snprintf(id, sizeof id, "%lld", (long long)row);
  return json_pack("{s:I, s:s, s:{s:s, s:s, s:b, s:f, s:f, s:s, s:i, s:i, s:s, s:s, s:s}}", "row",
                   (json_int_t)row, "where", where, "about", "id", id, "reason", "", "applied", 0,
                   "time", 0.0, "interval", 0.0, "type", "", "level", 0, "severity", 0, "mode", "",
                   "antenna", "", "timerange", "");
}

void sheaf_command_complete(json_t *command) {
  static const char *const copied[] = {"mode", "antenna", "timerange"};
  json_t *about = json_object_get(command, "about");
  for (size_t i = 0; i < 3; i++) {
    json_t *value = json_object_get(command, copied[i]);
    if (value) json_object_set(about, copied[i], value);
  }
}

/* ---- values ---- */

static const char *skip_digits(const char *p) {
  while (isdigit((unsigned char)*p)) p++;
  return p;
}

/* An int or a number as Python's int() and float() take it; NULL when it is none. */
static json_t *read_number(const char *text) {
  const char *p = text + (*text == '-' || *text == '+'), *digits = p;
  p = skip_digits(p);
  if (p > digits && !*p) return json_integer(strtoll(text, NULL, 10));
  size_t n = (size_t)(p - digits);
  if (*p == '.') {
    const char *after = p + 1;
    p = skip_digits(after);
    n += (size_t)(p - after);
  }
  if (n > 0 && (*p == 'e' || *p == 'E')) {
    const char *power = p + 1 + (p[1] == '-' || p[1] == '+');
    p = skip_digits(power);
    if (p == power) return NULL;
  }
  return n > 0 && !*p ? json_real(strtod(text, NULL)) : NULL;
}

/* Blanks at both ends are taken off. */
static char *trim(char *text) {
  while (isspace((unsigned char)*text)) text++;
  for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]);) text[--n] = '\0';
  return text;
}

static void drop_all(char *text, char c) {
  char *to = text;
  for (const char *p = text; *p; p++)
    if (*p != c) *to++ = *p;
  *to = '\0';
}

static size_t count(const char *text, char c) {
  size_t n = 0;
  for (; *text; text++) n += *text == c;
  return n;
}

/* CASA's rule for quotes: those of one kind at both ends go, and one without partner goes. */
static char *unquote(char *text) {
  const char quote = count(text, '\'') > 0 ? '\'' : '"';
  while (*text == quote) text++;
  for (size_t n = strlen(text); n > 0 && text[n - 1] == quote;) text[--n] = '\0';
  if (count(text, '\'') == 1)
    drop_all(text, '\'');
  else if (count(text, '"') == 1)
    drop_all(text, '"');
  return trim(text);
}

/* true and false become True and False, where they are words of their own outside quotes. */
static void capitalise(char *text) {
  char quote = '\0', before = ' ';
  for (char *p = text; *p; before = *p++) {
    if (quote) {
      if (*p == quote) quote = '\0';
    } else if (*p == '\'' || *p == '"') {
      quote = *p;
    } else if (!isalnum((unsigned char)before) &&
               ((!strncmp(p, "true", 4) && !isalnum((unsigned char)p[4])) ||
                (!strncmp(p, "false", 5) && !isalnum((unsigned char)p[5])))) {
      *p = (char)toupper(*p);
    }
  }
}

/* NULL when a list or dictionary is not one. */
static json_t *read_value(char *text) {
  if (*text == '[' || *text == '{') {
    capitalise(text);
    json_t *value = sheaf_value_parse(text);
    if (*text == '[' ? json_is_array(value) : json_is_object(value)) return value;
    json_decref(value);
    return NULL;
  }
  if (!strcasecmp(text, "true") && (*text == 't' || *text == 'T')) return json_true();
  if (!strcasecmp(text, "false")) return json_false();
  json_t *number = read_number(text);
  return number ? number : json_string(unquote(text));
}

/* ---- parameters ---- */

static const sheaf_param *find(const sheaf_commands_options *o, const char *name) {
  for (size_t i = 0; i < o->nparam; i++)
    if (!strcmp(o->params[i].name, name)) return &o->params[i];
  return NULL;
}

static int fail_name(const sheaf_commands_options *o, const char *name, sheaf_error *err) {
  const char **names = calloc(o->nparam + 1, sizeof *names);
  for (size_t i = 0; names && i < o->nparam; i++) names[i] = o->params[i].name;
  const char *near = names ? sheaf_nearest(name, names, o->nparam) : NULL;
  free(names);
  if (near)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "'%.100s' is not a valid flagdata parameter; did you mean '%s'?", name, near);
  return sheaf_fail(err, SHEAF_ERR_ARG, "'%.100s' is not a valid flagdata parameter", name);
}

static int check_name(const sheaf_commands_options *o, const json_t *command, const char *name,
                      sheaf_error *err) {
  for (size_t i = 0; i < sizeof not_in_lists / sizeof *not_in_lists; i++)
    if (!strcmp(name, not_in_lists[i]))
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "'%s' cannot be set in a command; it is a parameter of the task", name);
  if (json_object_get(command, name))
    return sheaf_fail(err, SHEAF_ERR_ARG, "'%s' is given twice", name);
  return find(o, name) ? 0 : fail_name(o, name, err);
}

static int holds_numbers(const json_t *value) {
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) if (json_is_number(item)) return 1;
  return json_is_number(value);
}

/* As in CASA, selections are texts in a list, though the task takes ids as well. */
static int check_text(const sheaf_param *param, const json_t *value, sheaf_error *err) {
  const unsigned texts = SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS;
  const unsigned quantities = SHEAF_TYPE_DOUBLE | SHEAF_TYPE_DOUBLES | SHEAF_TYPE_ANY;
  if (!(param->types & texts) || (param->types & quantities) || !holds_numbers(value)) return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG, "'%s' must be a text in a list: write %s='…' with quotes",
                    param->name, param->name);
}

/* `raw` ends up trimmed and without quotes. */
static int set_param(json_t *command, const char *name, char *raw, const sheaf_commands_options *o,
                     sheaf_error *err) {
  char *text = strdup(raw);
  json_t *full = NULL, *given, *value = text ? read_value(text) : NULL;
  int rc = text ? check_name(o, command, name, err) : no_memory(err);
  if (rc >= 0 && !value)
    rc = sheaf_fail(err, SHEAF_ERR_ARG, "the value of '%s' is not a %s", name,
                    *raw == '[' ? "list" : "dictionary, or not UTF-8 text");
  free(text);
  if (rc < 0) {
    json_decref(value);
    return rc;
  }
  const sheaf_param *param = find(o, name);
  if ((rc = check_text(param, value, err)) < 0) {
    json_decref(value);
    return rc;
  }
  given = json_pack("{s:o}", name, value);
  if (!given) return no_memory(err);
  /* An empty mode is manual, as in CASA. */
  if (!strcmp(name, "mode") && !strcmp(sheaf_value_str(given, name, "x"), "")) {
    json_decref(given);
    return 0;
  }
  rc = sheaf_params_check("flagdata", param, 1, given, &full, err);
  if (rc >= 0) json_object_set(command, name, json_object_get(full, name));
  json_decref(given);
  json_decref(full);
  return rc;
}

static json_int_t count_params(const json_t *command) {
  return (json_int_t)json_object_size(command) - 3;
}

/* A word "name=value", both ends trimmed. */
static int take_word(json_t *command, char *word, const sheaf_commands_options *o,
                     sheaf_error *err) {
  char *equals = strchr(word, '=');
  *equals = '\0';
  const char *name = trim(word);
  char *raw = trim(equals + 1);
  if (!strcmp(name, "reason")) {
    json_t *reason = *raw == '[' || *raw == '{' ? NULL : json_string(unquote(raw));
    if (!reason) return sheaf_fail(err, SHEAF_ERR_ARG, "'reason' must be a text");
    json_t *about = json_object_get(command, "about");
    json_object_set_new(about, "reason", reason);
    json_object_set_new(about, "reason_at", json_integer(count_params(command)));
    return 0;
  }
  return set_param(command, name, raw, o, err);
}

/* The first blank behind `text` whose word has a '=': where the next parameter begins. */
static char *next_param(char *text) {
  for (char *p = text; *p; p++) {
    if (*p != ' ' && *p != '\t') continue;
    const size_t n = strcspn(p + 1, " \t");
    if (memchr(p + 1, '=', n)) return p;
  }
  return NULL;
}

static int read_words(json_t *command, char *text, const sheaf_commands_options *o,
                      sheaf_error *err) {
  char *word = trim(text);
  const size_t first = strcspn(word, " \t");
  if (!memchr(word, '=', first))
    return sheaf_fail(err, SHEAF_ERR_ARG, "'%.*s': write name=value", (int)first, word);
  while (word) {
    char *end = next_param(word), shown[120];
    if (end) *end = '\0';
    snprintf(shown, sizeof shown, strlen(word) > 100 ? "%.100s…" : "%s", word);
    const int rc = take_word(command, word, o, err);
    if (rc < 0) return sheaf_fail_context(err, rc, "'%s'", shown);
    word = end ? end + 1 : NULL;
  }
  return 0;
}

int sheaf_command_read(json_t **command, const char *text, const char *where, int64_t row,
                       const sheaf_commands_options *options, sheaf_error *err) {
  char *copy = strdup(text);
  json_t *c = sheaf_command_new(row, where);
  *command = NULL;
  int rc = copy && c ? read_words(c, copy, options, err) : no_memory(err);
  if (rc >= 0 && !strcmp(sheaf_value_str(c, "mode", ""), "list"))
    rc = sheaf_fail(err, SHEAF_ERR_ARG, "'mode=list': a list must not contain lists");
  if (rc >= 0 && options->tbuff) rc = sheaf_command_widen(c, options->tbuff, err);
  free(copy);
  if (rc < 0) {
    json_decref(c);
    return sheaf_fail_context(err, rc, "%s", where);
  }
  sheaf_command_complete(c);
  *command = c;
  return 0;
}

/* ---- back to text ---- */

static void print_param(FILE *out, const char *name, const json_t *value, int quote) {
  char *text = json_is_string(value) ? NULL : sheaf_value_repr(value);
  if (text)
    fprintf(out, "%s=%s", name, text);
  else
    fprintf(out, quote ? "%s='%s'" : "%s=%s", name, json_string_value(value));
  free(text);
}

/* `reason`: NULL, or put where it was written, else at the end. */
static int print_command(FILE *out, const json_t *command, const char *reason, int quote) {
  const json_t *at = json_object_get(json_object_get(command, "about"), "reason_at");
  const char *name, *separator = "";
  json_t *value, *text = reason ? json_string(reason) : NULL;
  json_int_t left = at ? json_integer_value(at) : -1;
  if (reason && !text) return -1;
  json_object_foreach((json_t *)command, name, value) {
    if (!sheaf_command_is_param(name)) continue;
    if (text && left-- == 0) {
      fprintf(out, "%s", separator);
      print_param(out, "reason", text, quote);
      separator = " ";
      reason = NULL;
    }
    fputs(separator, out);
    print_param(out, name, value, quote);
    separator = " ";
  }
  if (reason) {
    fputs(separator, out);
    print_param(out, "reason", text, quote);
  }
  json_decref(text);
  return 0;
}

char *sheaf_command_text(const json_t *command, const char *reason, int quote) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  const int rc = print_command(out, command, reason, quote);
  if (fclose(out) == 0 && rc == 0) return text;
  free(text);
  return NULL;
}

/* ---- reasons ---- */

int sheaf_command_wanted(const json_t *command, const json_t *reason) {
  const char *own = sheaf_value_str(json_object_get(command, "about"), "reason", "");
  size_t i;
  json_t *item;
  if (!reason) return 1;
  if (json_is_string(reason))
    return !strcmp(json_string_value(reason), "any") || !strcmp(json_string_value(reason), own);
  if (json_array_size(reason) == 0) return 1;
  json_array_foreach(reason, i, item) {
    if (json_is_string(item) && !strcmp(json_string_value(item), own)) return 1;
  }
  return 0;
}

/* ---- times ---- */

/* Days since MJD 0 of a date, and back (proleptic Gregorian). */
static int64_t days_of(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
  const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 678881;
}

static void date_of(int64_t day, int *y, int *m, int *d) {
  const int64_t z = day + 678881, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  *d = (int)(doy - (153 * mp + 2) / 5 + 1);
  *m = (int)(mp < 10 ? mp + 3 : mp - 9);
  *y = (int)(yoe + era * 400 + (*m <= 2));
}

static void print_clock(int64_t ms, char *text, size_t size) {
  snprintf(text, size, "%02d:%02d:%02d.%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
           (int)(ms / 1000 % 60), (int)(ms % 1000));
}

void sheaf_command_date(double time_s, char text[40]) {
  const double days = time_s / 86400;
  int64_t day = (int64_t)floor(days);
  /* The fraction of the day, as casacore has it: half a millisecond goes where CASA lets it go. */
  int64_t rest = (int64_t)floor((days - (double)day) * 86400 * 1000 + 0.5);
  int y, m, d;
  char clock[24];
  if (rest >= 86400000) {
    rest -= 86400000;
    day++;
  }
  date_of(day, &y, &m, &d);
  print_clock(rest, clock, sizeof clock);
  snprintf(text, 40, "%04d/%02d/%02d/%s", y, m, d, clock);
}

int sheaf_command_time(const char *text, double *time_s, int *dated) {
  int y, m, d, n = 0;
  double part[3] = {0, 0, 0}, day = 0;
  *dated = sscanf(text, "%d/%d/%d/%n", &y, &m, &d, &n) == 3 && n > 0;
  if (*dated) {
    day = (double)days_of(y, m, d);
    text += n;
  }
  if (!isdigit((unsigned char)*text)) return -1;
  for (int i = 0; i < 3; i++) {
    char *end;
    part[i] = strtod(text, &end);
    if (end == text || (*end && *end != ':')) return -1;
    text = end + (*end == ':');
    if (!*end) break;
  }
  *time_s = 86400 * day + 3600 * part[0] + 60 * part[1] + part[2];
  return *text ? -1 : 0;
}

static int shift(const char *text, double by_s, char out[40], sheaf_error *err) {
  double time_s;
  int dated;
  char *copy = strdup(text);
  const int rc = copy ? sheaf_command_time(trim(copy), &time_s, &dated) : -1;
  free(copy);
  if (rc < 0)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "tbuff: '%.60s' is not a time such as 2016/09/02/15:49:20.6 or 15:49:20.6",
                      text);
  time_s += by_s;
  if (dated) {
    sheaf_command_date(time_s, out);
  } else if (time_s < 0 || time_s >= 86400) {
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "tbuff: moves '%.60s' to another day; write times with their date", text);
  } else {
    print_clock((int64_t)floor(time_s * 1000 + 0.5), out, 40);
  }
  return 0;
}

/* Seconds below 0 make a range shorter; something must be left of it. */
static int check_left(const char *from0, const char *to0, const char *from, const char *to,
                      sheaf_error *err) {
  double first, last;
  int dated[2];
  if (sheaf_command_time(from, &first, &dated[0]) < 0 ||
      sheaf_command_time(to, &last, &dated[1]) < 0 || dated[0] != dated[1] || first <= last)
    return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG, "tbuff: leaves nothing of '%.60s~%.60s'", from0, to0);
}

/* One of the ranges of a timerange. */
static int widen_range(FILE *out, char *range, double before_s, double after_s, sheaf_error *err) {
  char *tilde = strchr(range, '~'), from[40], to[40];
  if (!tilde) {
    fputs(range, out);
    return 0;
  }
  *tilde = '\0';
  int rc = shift(range, -before_s, from, err);
  if (rc >= 0) rc = shift(tilde + 1, after_s, to, err);
  if (rc >= 0 && (before_s < 0 || after_s < 0)) rc = check_left(range, tilde + 1, from, to, err);
  if (rc >= 0) fprintf(out, "%s~%s", from, to);
  return rc;
}

/* The two numbers of tbuff. */
static int read_buffers(const json_t *tbuff, double seconds[2], sheaf_error *err) {
  const size_t n = json_is_array(tbuff) ? json_array_size(tbuff) : 1;
  seconds[0] = seconds[1] = 0;
  if (n > 2)
    return sheaf_fail(err, SHEAF_ERR_ARG, "tbuff: must be one number, or two (before, after)");
  for (size_t i = 0; i < 2 && n > 0; i++) {
    const json_t *item = json_is_array(tbuff) ? json_array_get(tbuff, i < n ? i : 0) : tbuff;
    seconds[i] = json_number_value(item);
    if (!json_is_number(item) || !isfinite(seconds[i]))
      return sheaf_fail(err, SHEAF_ERR_ARG, "tbuff: must be a number of seconds");
  }
  return 0;
}

int sheaf_command_widen(json_t *command, const json_t *tbuff, sheaf_error *err) {
  const char *range = sheaf_value_str(command, "timerange", "");
  double seconds[2];
  int rc = read_buffers(tbuff, seconds, err);
  if (rc < 0 || !*range || (seconds[0] == 0 && seconds[1] == 0)) return rc;
  char *text = NULL, *rest = NULL, *copy = strdup(range);
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out || !copy) rc = no_memory(err);
  for (char *p = rc < 0 ? NULL : strtok_r(copy, ",", &rest); p && rc >= 0;) {
    rc = widen_range(out, p, seconds[0], seconds[1], err);
    p = strtok_r(NULL, ",", &rest);
    if (p) fputc(',', out);
  }
  if (out && fclose(out) && rc >= 0) rc = no_memory(err);
  if (rc >= 0) json_object_set_new(command, "timerange", json_string(text));
  free(text);
  free(copy);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * asdmflags.c - online flags: Flag.xml of an ASDM, with names from Antenna.xml and
 * SpectralWindow.xml. The tables are <row>s of simple elements; that is all of XML that is read. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commands.h"
#include "flag/commandtext.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the flags of an ASDM");
}

/* ---- rows of elements ---- */

static void decode_entities(char *text) {
  static const struct {
    const char *code;
    char c;
  } entities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}};
  char *to = text;
  for (const char *p = text; *p;) {
    size_t i = 0, n = sizeof entities / sizeof *entities;
    while (i < n && strncmp(p, entities[i].code, strlen(entities[i].code)) != 0) i++;
    *to++ = i < n ? entities[i].c : *p;
    p += i < n ? strlen(entities[i].code) : 1;
  }
  *to = '\0';
}

static char *trim(char *text) {
  while (isspace((unsigned char)*text)) text++;
  for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]);) text[--n] = '\0';
  return text;
}

/* <name>text</name> at `p`, in `row`; where it ends, or NULL when it is something else. */
static char *read_element(char *p, json_t *row) {
  char name[64], close[80];
  const size_t n = strcspn(p + 1, " \t\r\n/>");
  if (n == 0 || n >= sizeof name) return NULL;
  snprintf(name, sizeof name, "%.*s", (int)n, p + 1);
  char *begin = strchr(p, '>');
  if (!begin) return NULL;
  if (begin[-1] == '/') return begin + 1; /* an empty element */
  snprintf(close, sizeof close, "</%s>", name);
  char *end = strstr(begin, close);
  if (!end) return NULL;
  *end = '\0';
  char *text = strdup(begin + 1);
  *end = '<';
  if (!text) return NULL;
  decode_entities(text);
  json_t *value = json_string(trim(text));
  free(text);
  if (!value) return NULL;
  if (!json_object_get(row, name))
    json_object_set_new(row, name, value);
  else
    json_decref(value);
  return end + strlen(close);
}

/* A row from behind "<row>" on; where it ends, or NULL when it is damaged. */
static char *read_row(char *p, json_t *row) {
  while (p && (p = strchr(p, '<'))) {
    if (!strncmp(p, "</row>", 6)) return p + 6;
    if (!strncmp(p, "<!--", 4)) {
      p = strstr(p, "-->");
      continue;
    }
    p = p[1] == '/' ? NULL : read_element(p, row);
  }
  return NULL;
}

/* *rows: a list of objects; a file that is missing is NULL when `optional`, else
 * SHEAF_ERR_NOTFOUND. */
static int read_rows(json_t **rows, const char *asdm, const char *name, int optional,
                     sheaf_error *err) {
  char path[4200], *text, *p;
  size_t size;
  int rc;
  *rows = NULL;
  snprintf(path, sizeof path, "%s/%s", asdm, name);
  if (!sheaf_path_exists(path))
    return optional ? 0 : sheaf_fail(err, SHEAF_ERR_NOTFOUND, "Cannot open %s", path);
  if ((rc = sheaf_file_read(path, &text, &size, err)) < 0) return rc;
  *rows = json_array();
  for (p = text; *rows && rc >= 0 && (p = strstr(p, "<row>"));) {
    json_t *row = json_object();
    p = read_row(p + 5, row);
    json_array_append_new(*rows, row);
    if (!p) {
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %zu is damaged", path,
                      json_array_size(*rows) - 1);
      break;
    }
  }
  free(text);
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Found %zu rows in %s", json_array_size(*rows), name);
  return rc;
}

static const char *element(const json_t *row, const char *name) {
  return json_string_value(json_object_get(row, name));
}

/* ---- names ---- */

typedef struct tables {
  json_t *flags, *antennas, *windows; /* rows; windows may be NULL */
  json_t *antenna_names;              /* {id: name} */
  json_t *window_names;               /* {id: name, or number as text} */
  int by_name, has_nominal;           /* windows by name; there is one called WVR#NOMINAL */
} tables;

static void tables_free(tables *t) {
  json_decref(t->flags);
  json_decref(t->antennas);
  json_decref(t->windows);
  json_decref(t->antenna_names);
  json_decref(t->window_names);
}

static int name_antennas(tables *t, sheaf_error *err) {
  size_t i;
  json_t *row;
  json_array_foreach(t->antennas, i, row) {
    const char *id = element(row, "antennaId"), *name = element(row, "name");
    if (!id || !name)
      return sheaf_fail(err, SHEAF_ERR_DATA, "Antenna.xml: row %zu lacks antennaId or name", i);
    json_object_set_new(t->antenna_names, id, json_string(name));
  }
  return 0;
}

static int name_windows(tables *t, sheaf_error *err) {
  size_t i;
  json_t *row;
  t->by_name = 1;
  json_array_foreach(t->windows, i, row) {
    if (!element(row, "name")) t->by_name = 0;
  }
  json_array_foreach(t->windows, i, row) {
    const char *id = element(row, "spectralWindowId"), *name = element(row, "name");
    if (!id)
      return sheaf_fail(err, SHEAF_ERR_DATA, "SpectralWindow.xml: row %zu lacks spectralWindowId",
                        i);
    t->has_nominal |= t->by_name && !strcmp(name, "WVR#NOMINAL");
    json_object_set_new(t->window_names, id,
                        t->by_name ? json_string(name) : json_sprintf("%zu", i));
  }
  return 0;
}

static int tables_read(tables *t, const char *asdm, sheaf_error *err) {
  t->antenna_names = json_object();
  t->window_names = json_object();
  int rc = t->antenna_names && t->window_names ? 0 : no_memory(err);
  if (rc >= 0) rc = read_rows(&t->flags, asdm, "Flag.xml", 0, err);
  if (rc >= 0) rc = read_rows(&t->antennas, asdm, "Antenna.xml", 0, err);
  if (rc >= 0) rc = read_rows(&t->windows, asdm, "SpectralWindow.xml", 1, err);
  if (rc >= 0) rc = name_antennas(t, err);
  if (rc >= 0) rc = name_windows(t, err);
  return rc;
}

/* ---- one flag ---- */

/* "1 n id id …": the words behind the first two. Calls `take` for each of n. */
typedef int take_id(const tables *t, FILE *out, const char *id, int *n, sheaf_error *err);

static int each_id(const tables *t, const char *text, int n, take_id *take, FILE *out,
                   sheaf_error *err) {
  char *copy = strdup(text ? text : ""), *rest = NULL;
  int rc = copy ? 0 : no_memory(err), written = 0, seen = 0;
  char *word = copy ? strtok_r(copy, " \t\r\n", &rest) : NULL;
  for (int i = 0; rc >= 0 && word && seen < n; i++, word = strtok_r(NULL, " \t\r\n", &rest)) {
    if (i < 2) continue;
    rc = take(t, out, word, &written, err);
    seen++;
  }
  if (rc >= 0 && seen < n)
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "'%.100s' has not %d entries", text ? text : "", n);
  free(copy);
  return rc;
}

static int take_antenna(const tables *t, FILE *out, const char *id, int *n, sheaf_error *err) {
  const char *name = json_string_value(json_object_get(t->antenna_names, id));
  if (!name) return sheaf_fail(err, SHEAF_ERR_DATA, "Antenna.xml has no antenna '%.100s'", id);
  fprintf(out, "%s%s", (*n)++ ? "," : "", name);
  return 0;
}

static int take_window(const tables *t, FILE *out, const char *id, int *n, sheaf_error *err) {
  const char *name = json_string_value(json_object_get(t->window_names, id));
  if (!name)
    return sheaf_fail(err, SHEAF_ERR_DATA, "SpectralWindow.xml has no window '%.100s'", id);
  if (t->by_name && t->has_nominal && strstr(name, "WVR#Antenna")) return 0;
  const char *quote = t->by_name ? "\"" : "";
  fprintf(out, "%s%s%s%s", (*n)++ ? "," : "", quote, name, quote);
  return 0;
}

static int take_word(const tables *t, FILE *out, const char *id, int *n, sheaf_error *err) {
  (void)t, (void)err;
  fprintf(out, "%s%s", (*n)++ ? "," : "", id);
  return 0;
}

/* The joined names as the member `name`, unless they are none. */
static int set_names(json_t *command, const char *name, const tables *t, const json_t *row,
                     const char *count, const char *ids, take_id *take, sheaf_error *err) {
  const char *number = element(row, count);
  char *text = NULL;
  size_t size;
  if (!number) return 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return no_memory(err);
  int rc = each_id(t, element(row, ids), atoi(number), take, out, err);
  if (fclose(out)) rc = no_memory(err);
  if (rc >= 0 && *text) json_object_set_new(command, name, json_string(text));
  free(text);
  return rc;
}

/* CASA's antennas: of one also its auto-correlations; of several all baselines to them. */
static int set_antenna(json_t *command, const tables *t, const json_t *row, sheaf_error *err) {
  const char *id = element(row, "antennaId"), *number = element(row, "numAntenna");
  json_object_set_new(command, "antenna", json_string(""));
  if (number) {
    const int rc =
        set_names(command, "antenna", t, row, "numAntenna", "antennaId", take_antenna, err);
    if (rc >= 0 && atoi(number) == 1)
      json_object_set_new(command, "antenna",
                          json_sprintf("%s&&*", sheaf_value_str(command, "antenna", "")));
    return rc;
  }
  const char *name = id ? json_string_value(json_object_get(t->antenna_names, id)) : NULL;
  if (!name)
    return sheaf_fail(err, SHEAF_ERR_DATA, "Antenna.xml has no antenna '%.100s'", id ? id : "");
  json_object_set_new(command, "antenna", json_string(name));
  return 0;
}

static int set_times(json_t *command, const json_t *row, double before_s, double after_s,
                     sheaf_error *err) {
  const char *start = element(row, "startTime"), *end = element(row, "endTime");
  char from[40], to[40], *rest[2] = {NULL, NULL};
  const double from_s = start ? (double)strtoll(start, &rest[0], 10) * 1e-9 - before_s : 0;
  const double to_s = end ? (double)strtoll(end, &rest[1], 10) * 1e-9 + after_s : 0;
  if (!start || !end || *rest[0] || *rest[1])
    return sheaf_fail(err, SHEAF_ERR_DATA, "startTime and endTime must be integers (nanoseconds)");
  sheaf_command_date(from_s, from);
  sheaf_command_date(to_s, to);
  json_object_set_new(command, "timerange", json_sprintf("%s~%s", from, to));
  json_t *about = json_object_get(command, "about");
  json_object_set_new(about, "time", json_real(0.5 * (from_s + to_s)));
  json_object_set_new(about, "interval", json_real(to_s - from_s));
  return 0;
}

/* Correlations that a polarization takes part in. */
static int set_correlation(json_t *command, const json_t *row, sheaf_error *err) {
  static const struct {
    const char *one, *other, *both, *first, *second;
  } pairs[] = {{"R", "L", "RR,RL,LR,LL", "RR,RL,LR", "LL,LR,RL"},
               {"X", "Y", "XX,XY,YX,YY", "XX,XY,YX", "YY,YX,XY"}};
  json_t *found = json_object();
  int rc = set_names(found, "types", NULL, row, "numPolarizationType", "polarizationType",
                     take_word, err);
  const char *types = sheaf_value_str(found, "types", "");
  for (int i = 0; rc >= 0 && *types && i < 2; i++) {
    const int one = strstr(types, pairs[i].one) != NULL,
              other = strstr(types, pairs[i].other) != NULL;
    if (!one && !other) continue;
    json_object_set_new(command, "correlation",
                        json_string(one && other ? pairs[i].both
                                    : one        ? pairs[i].first
                                                 : pairs[i].second));
    break;
  }
  json_decref(found);
  return rc;
}

static void set_reason(json_t *about, const json_t *row) {
  char *reason = strdup(element(row, "reason") ? element(row, "reason") : "");
  for (char *p = reason; p && *p; p++)
    if (*p == ' ') *p = '_';
  json_object_set_new(about, "reason", json_string(reason ? reason : ""));
  free(reason);
}

static int make_command(json_t **command, const tables *t, size_t number, const double tbuff[2],
                        sheaf_error *err) {
  const json_t *row = json_array_get(t->flags, number);
  char where[64];
  snprintf(where, sizeof where, "Flag.xml row %zu", number);
  json_t *c = sheaf_command_new((int64_t)number, where);
  int rc = c ? set_antenna(c, t, row, err) : no_memory(err);
  if (rc >= 0) rc = set_times(c, row, tbuff[0], tbuff[1], err);
  if (rc >= 0 && element(row, "numSpectralWindow") && atoi(element(row, "numSpectralWindow")) > 0 &&
      !t->windows)
    rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "SpectralWindow.xml is missing");
  if (rc >= 0)
    rc = set_names(c, "spw", t, row, "numSpectralWindow", "spectralWindowId", take_window, err);
  if (rc >= 0) rc = set_correlation(c, row, err);
  if (rc < 0) {
    json_decref(c);
    return sheaf_fail_context(err, rc, "%s", where);
  }
  json_t *about = json_object_get(c, "about");
  set_reason(about, row);
  sheaf_command_complete(c);
  json_object_set_new(c, "machine", json_true());
  json_object_set_new(about, "mode", json_string("online"));
  json_object_set_new(about, "type", json_string("FLAG"));
  if (element(row, "flagId")) json_object_set_new(about, "id", json_string(element(row, "flagId")));
  *command = c;
  return 0;
}

/* ---- antennas that are wanted ---- */

static int is_in(const char *name, const char *list) {
  const size_t n = strlen(name);
  for (const char *p = list; *p;) {
    while (isspace((unsigned char)*p) || *p == ',') p++;
    size_t m = strcspn(p, ",");
    const char *next = p + m;
    while (m > 0 && isspace((unsigned char)p[m - 1])) m--;
    if (m == n && n > 0 && !strncmp(p, name, n)) return 1;
    p = next;
  }
  return 0;
}

/* Leaves those antennas of a command that are in `wanted`; 0 when there is none. */
static int restrict_antennas(json_t *command, const char *wanted) {
  const char *now = sheaf_value_str(command, "antenna", "");
  char *copy = strdup(now), *rest = NULL, *text = NULL;
  size_t size = 0;
  int n = 0;
  if (!*now) { /* all antennas: those wanted are among them */
    json_object_set_new(command, "antenna", json_string(wanted));
    sheaf_command_complete(command);
    free(copy);
    return 1;
  }
  FILE *out = open_memstream(&text, &size);
  for (char *p = copy ? strtok_r(copy, ",", &rest) : NULL; out && p;
       p = strtok_r(NULL, ",", &rest)) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(p, "&"), p);
    if (is_in(name, wanted)) fprintf(out, "%s%s", n++ ? "," : "", p);
  }
  if (out) fclose(out);
  if (n) json_object_set_new(command, "antenna", json_string(text));
  if (n)
    json_object_set(json_object_get(command, "about"), "antenna",
                    json_object_get(command, "antenna"));
  free(text);
  free(copy);
  return n > 0;
}

static int check_antennas(const tables *t, const char *wanted, sheaf_error *err) {
  char *copy = strdup(wanted), *rest = NULL;
  int rc = copy ? 0 : no_memory(err);
  for (char *p = copy ? strtok_r(copy, ",", &rest) : NULL; p && rc >= 0;
       p = strtok_r(NULL, ",", &rest)) {
    int found = 0;
    const char *id;
    json_t *name;
    p = trim(p);
    json_object_foreach(t->antenna_names, id, name) found |= !strcmp(json_string_value(name), p);
    if (!found)
      rc = sheaf_fail(err, SHEAF_ERR_ARG, "ants='%.200s': Antenna.xml has no antenna '%.60s'",
                      wanted, p);
  }
  free(copy);
  return rc;
}

/* ---- all ---- */

static int read_tbuff(const json_t *tbuff, double s[2], sheaf_error *err) {
  const size_t n = json_is_array(tbuff) ? json_array_size(tbuff) : 1;
  s[0] = s[1] = 0;
  if (!tbuff) return 0;
  for (size_t i = 0; i < 2 && n > 0; i++) {
    const json_t *item = json_is_array(tbuff) ? json_array_get(tbuff, i < n ? i : 0) : tbuff;
    if (!json_is_number(item) || n > 2)
      return sheaf_fail(err, SHEAF_ERR_ARG, "tbuff: must be one number of seconds, or two");
    s[i] = json_number_value(item);
  }
  return 0;
}

int sheaf_commands_from_xml(json_t **commands, const char *asdm, const char *antennas,
                            const sheaf_commands_options *options, sheaf_error *err) {
  tables t = {0};
  double tbuff[2];
  json_t *list = json_array();
  const int some = antennas && *antennas;
  *commands = NULL;
  int rc = list ? read_tbuff(options->tbuff, tbuff, err) : no_memory(err);
  if (rc >= 0) rc = tables_read(&t, asdm, err);
  if (rc >= 0 && some) rc = check_antennas(&t, antennas, err);
  for (size_t i = 0; rc >= 0 && i < json_array_size(t.flags); i++) {
    json_t *command = NULL;
    rc = make_command(&command, &t, i, tbuff, err);
    if (rc >= 0 && sheaf_command_wanted(command, options->reason) &&
        (!some || restrict_antennas(command, antennas)))
      json_array_append(list, command);
    json_decref(command);
  }
  if (rc >= 0) sheaf_log(SHEAF_LOG_INFO, "Found %zu flags in Flag.xml", json_array_size(t.flags));
  tables_free(&t);
  if (rc < 0)
    json_decref(list);
  else
    *commands = list;
  return rc < 0 ? sheaf_fail_context(err, rc, "Error while parsing XML: %s", asdm) : 0;
}

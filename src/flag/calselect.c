/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/calselect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flag/filter.h"
#include "ms/selection.h"
#include "table/select.h"
#include "table/table.h"

enum { MOST = 1 << 20 };

/* Names that one parameter may use instead of ids. */
typedef struct names {
  const char *parameter;
  char *const *name; /* NULL: ids only */
  size_t n;          /* ids are below; 0: any */
  int lenient;       /* what is not there selects nothing */
} names;

static int bad_word(const names *of, const char *word, sheaf_error *err) {
  return sheaf_fail(err, of->lenient ? SHEAF_ERR_EMPTY : SHEAF_ERR_ARG,
                    "%s: '%s' is no id%s of this calibration table", of->parameter, word,
                    of->name ? ", range or name" : " or range");
}

/* "3", "1~4", "*" or a name: adds the ids. */
static int add_word(const names *of, const char *word, json_t *ids, sheaf_error *err) {
  int first, last, used = 0;
  if (strcmp(word, "*") == 0 && of->n) {
    first = 0;
    last = (int)of->n - 1;
  } else if (sscanf(word, "%d ~ %d %n", &first, &last, &used) == 2 && !word[used]) {
    used = 1;
  } else if (sscanf(word, "%d %n", &first, &used) == 1 && !word[used]) {
    last = first;
  } else {
    size_t found = 0;
    for (size_t i = 0; of->name && i < of->n; i++)
      if (strcmp(of->name[i], word) == 0) {
        json_array_append_new(ids, json_integer((json_int_t)i));
        found++;
      }
    return found ? 0 : bad_word(of, word, err);
  }
  if (first < 0 || last < first || last - first > MOST || (of->n && (size_t)last >= of->n))
    return bad_word(of, word, err);
  for (int i = first; i <= last; i++) json_array_append_new(ids, json_integer(i));
  return 0;
}

static int add_list(const names *of, const char *text, json_t *value, const char *key,
                    sheaf_error *err) {
  if (!text || !*text) return 0;
  char *copy = strdup(text), *save = NULL;
  json_t *ids = json_array();
  int rc = copy ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
  for (char *word = copy ? strtok_r(copy, ", ", &save) : NULL; rc >= 0 && word;
       word = strtok_r(NULL, ", ", &save))
    rc = add_word(of, word, ids, err);
  json_object_set_new(value, key, ids);
  free(copy);
  return rc;
}

/* "0:3~9;12": the window and its channel ranges. */
static int add_window(const names *of, const sheaf_flag_vis *vis, char *word, json_t *value,
                      int channels, sheaf_error *err) {
  char *colon = strchr(word, ':'), *save = NULL;
  json_t *ids = json_object_get(value, "spw"), *ranges = json_object_get(value, "channels");
  const size_t before = json_array_size(ids);
  if (colon) *colon = '\0';
  int rc = add_word(of, *word ? word : "*", ids, err);
  if (rc < 0 || !channels) return rc;
  for (size_t i = before; i < json_array_size(ids); i++) {
    const int spw = (int)json_integer_value(json_array_get(ids, i));
    if (!colon) {
      json_array_append_new(ranges, json_pack("[i,i,I]", spw, 0, (json_int_t)vis->nchan[spw] - 1));
      continue;
    }
    char *copy = strdup(colon + 1);
    if (!copy) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
    for (char *r = copy ? strtok_r(copy, ";", &save) : NULL; r; r = strtok_r(NULL, ";", &save)) {
      int first, last;
      const int n = sscanf(r, "%d ~ %d", &first, &last);
      if (n < 1) rc = sheaf_fail(err, SHEAF_ERR_ARG, "spw: '%s' are no channels", r);
      if (n == 1) last = first;
      if (n >= 1 && first >= vis->nchan[spw])
        sheaf_log(SHEAF_LOG_WARN,
                  "spw='%d:%s': spectral window %d has channels 0~%lld; nothing is "
                  "selected for those behind the last one",
                  spw, r, spw, (long long)vis->nchan[spw] - 1);
      if (n >= 1 && first < vis->nchan[spw])
        json_array_append_new(ranges, json_pack("[i,i,i]", spw, first, last));
    }
    free(copy);
  }
  return rc;
}

static int add_spw(const sheaf_flag_vis *vis, const char *text, int lenient, json_t *value,
                   sheaf_error *err) {
  const names of = {"spw", NULL, vis->nspw, lenient};
  if (!text || !*text) return 0;
  char *copy = strdup(text), *save = NULL;
  const int channels = strchr(text, ':') != NULL;
  int rc = copy ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
  json_object_set_new(value, "spw", json_array());
  if (channels) json_object_set_new(value, "channels", json_array());
  for (char *word = copy ? strtok_r(copy, ", ", &save) : NULL; rc >= 0 && word;
       word = strtok_r(NULL, ", ", &save))
    rc = add_window(&of, vis, word, value, channels, err);
  free(copy);
  return rc;
}

/* A number of the first row; 0 where there is none. */
static int first_number(const sheaf_table *table, const char *name, double *value,
                        sheaf_error *err) {
  sheaf_column column;
  *value = 0;
  if (sheaf_table_nrow(table) == 0 || !sheaf_table_column(table, name, &column) ||
      column.type != SHEAF_DOUBLE)
    return 0;
  return sheaf_table_get_range(table, name, 0, 1, value, err);
}

/* Ranges of TIME. */
static int add_times(const sheaf_flag_vis *vis, const char *text, json_t *value, sheaf_error *err) {
  double *time = NULL, first, interval;
  size_t n = 0;
  sheaf_table *table;
  if (!text || !*text) return 0;
  int rc = sheaf_table_open(&table, vis->path, 0, err);
  if (rc < 0) return rc;
  rc = first_number(table, "TIME", &first, err);
  if (rc >= 0) rc = first_number(table, "INTERVAL", &interval, err);
  sheaf_table_close(table);
  if (rc >= 0) rc = sheaf_select_times(text, first, interval, &time, &n, err);
  if (rc < 0) return rc;
  json_t *list = json_array();
  for (size_t i = 0; i < 2 * n; i++) json_array_append_new(list, json_real(time[i]));
  free(time);
  return json_object_set_new(value, "time", list)
             ? sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection")
             : 0;
}

static int refuse(const char *key, const char *text, sheaf_error *err) {
  if (!text || !*text) return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG, "%s='%s': cannot be selected in a calibration table", key,
                    text);
}

int sheaf_flag_calselect(const sheaf_flag_vis *vis, const json_t *par, int lenient, json_t *value,
                         int *empty, sheaf_error *err) {
  sheaf_selection_texts t;
  const names scan = {"scan", NULL, 0, 0}, observation = {"observation", NULL, 0, 0},
              field = {"field", vis->field, vis->nfield, lenient},
              antenna = {"antenna", vis->antenna, vis->nantenna, lenient};
  int rc = sheaf_selection_read(&t, par, err);
  if (rc < 0) return rc;
  *empty = 0;
  SHEAF_TRY(add_spw(vis, t.selection.spw, lenient, value, err));
  SHEAF_TRY(add_list(&scan, t.selection.scan, value, "scan", err));
  SHEAF_TRY(add_list(&observation, t.selection.observation, value, "observation", err));
  SHEAF_TRY(add_list(&field, t.selection.field, value, "field", err));
  SHEAF_TRY(add_list(&antenna, t.selection.antenna, value, "antenna1", err));
  SHEAF_TRY(add_times(vis, t.selection.timerange, value, err));
  SHEAF_TRY(refuse("intent", t.selection.intent, err));
  SHEAF_TRY(refuse("array", t.selection.array, err));
  SHEAF_TRY(refuse("uvrange", t.selection.uvrange, err));
  SHEAF_TRY(refuse("feed", t.selection.feed, err));
  if (json_is_true(json_object_get(par, "autocorr")))
    json_object_set_new(value, "autocorr", json_true());
  const json_t *channels = json_object_get(value, "channels");
  if (channels && json_array_size(channels) == 0) *empty = SHEAF_FLAG_NO_CHANNELS;
done:
  sheaf_selection_free(&t);
  if (rc == SHEAF_ERR_EMPTY) {
    *empty = 1;
    rc = 0;
  }
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Compiled agents → agents. */
#include "flag/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/value.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flag commands");
}

static int get_int(const json_t *value, const char *key) {
  const json_t *item = json_object_get(value, key);
  return json_is_boolean(item) ? json_is_true(item) : (int)json_number_value(item);
}

static double get(const json_t *value, const char *key) {
  return json_number_value(json_object_get(value, key));
}

/* ---- parts ---- */

static int make_corrs(sheaf_flag_agent *a, const sheaf_flag_vis *v, const json_t *value,
                      sheaf_error *err) {
  const json_t *list = json_object_get(value, "corrs");
  if (!(a->corrs = malloc((v->npol + 1) * sizeof *a->corrs))) return no_memory(err);
  a->has_corrs = list != NULL;
  for (size_t p = 0; p < v->npol; p++)
    a->corrs[p] = list ? (uint64_t)json_integer_value(json_array_get(list, p)) : ~0ULL;
  return 0;
}

static int make_ranges(sheaf_flag_agent *a, const json_t *value, sheaf_error *err) {
  const json_t *list = json_object_get(json_object_get(value, "filter"), "channels"), *item;
  size_t i;
  if (!list) return 0;
  a->has_chan = 1;
  a->nrange = json_array_size(list);
  if (!(a->range = calloc(a->nrange + 1, sizeof *a->range))) return no_memory(err);
  json_array_foreach((json_t *)list, i, item) for (size_t k = 0; k < 3; k++) a->range[i][k] =
      (int32_t)json_integer_value(json_array_get(item, k));
  return 0;
}

static int make_averages(sheaf_flag_agent *a, const json_t *value, sheaf_error *err) {
  const json_t *bins = json_object_get(value, "chanbin");
  a->channelavg = get_int(value, "channelavg");
  a->timeavg = get_int(value, "timeavg");
  a->timebin = get(value, "timebin");
  a->nchanbin = json_array_size(bins);
  if (!(a->chanbin = calloc(a->nchanbin + 1, sizeof *a->chanbin))) return no_memory(err);
  for (size_t i = 0; i < a->nchanbin; i++)
    a->chanbin[i] = json_integer_value(json_array_get(bins, i));
  return 0;
}

static int make_expression(sheaf_flag_agent *a, const sheaf_flag_vis *v, const json_t *value,
                           sheaf_error *err) {
  const char *text = json_string_value(json_object_get(value, "expression"));
  char message[256] = "";
  int32_t *corrs;
  size_t n;
  a->source = (sheaf_flag_source)get_int(value, "source");
  a->real = get_int(value, "real");
  a->data = (unsigned)get_int(value, "data");
  a->virtual_model = get_int(value, "virtual");
  if (!text) return 0;
  int rc = sheaf_flag_vis_corrs(v, &corrs, &n, err);
  if (rc < 0) return rc;
  if (sheaf_flag_expression_parse(&a->expression, text, a->real, corrs, n, message,
                                  sizeof message) < 0)
    rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "correlation='%s': %s", text, message);
  free(corrs);
  return rc;
}

static int make_devs(sheaf_flag_devs *d, const json_t *value, sheaf_error *err) {
  size_t i;
  const json_t *item;
  if (json_is_number(value)) d->all = json_number_value(value);
  d->n = json_array_size(value);
  if (!(d->row = calloc(3 * d->n + 1, sizeof *d->row))) return no_memory(err);
  json_array_foreach((json_t *)value, i, item) for (size_t k = 0; k < 3; k++) d->row[3 * i + k] =
      json_number_value(json_array_get(item, k));
  return 0;
}

static void make_options(sheaf_flag_agent *a, const json_t *v) {
  const int windows = get_int(v, "usewindowstats");
  a->clip = (sheaf_flag_clip_options){.limits = get_int(v, "limits"),
                                      .min = get(v, "min"),
                                      .max = get(v, "max"),
                                      .outside = get_int(v, "outside"),
                                      .zeros = get_int(v, "zeros"),
                                      .clears = get_int(v, "clears")};
  a->tfcrop =
      (sheaf_flag_tfcrop_options){.timecutoff = (float)get(v, "timecutoff"),
                                  .freqcutoff = (float)get(v, "freqcutoff"),
                                  .timepoly = get_int(v, "timefit"),
                                  .freqpoly = get_int(v, "freqfit"),
                                  .maxnpieces = get_int(v, "maxnpieces"),
                                  .dimension = (sheaf_flag_dimension)get_int(v, "flagdimension"),
                                  .windows = windows, /* sum 1, std 2, both 3 */
                                  .halfwin = get_int(v, "halfwin")};
  a->extend = (sheaf_flag_extend_options){.growtime = get(v, "growtime"),
                                          .growfreq = get(v, "growfreq"),
                                          .extendpols = get_int(v, "extendpols"),
                                          .growaround = get_int(v, "growaround"),
                                          .flagneartime = get_int(v, "flagneartime"),
                                          .flagnearfreq = get_int(v, "flagnearfreq")};
  a->rflag.winsize = get_int(v, "winsize");
  a->rflag.timedevscale = get(v, "timedevscale");
  a->rflag.freqdevscale = get(v, "freqdevscale");
  a->rflag.spectralmin = get(v, "spectralmin");
  a->rflag.spectralmax = get(v, "spectralmax");
  a->quack_options.mode = (sheaf_flag_quack_mode)get_int(v, "quackmode");
  a->quack_options.interval = get(v, "quackinterval");
  a->quack_options.increment = get_int(v, "quackincrement");
  a->lower = get(v, "lowerlimit");
  a->upper = get(v, "upperlimit");
  a->spwchan = get_int(v, "spwchan");
  a->spwcorr = get_int(v, "spwcorr");
  a->basecnt = get_int(v, "basecnt");
  a->fieldcnt = get_int(v, "fieldcnt");
}

/* Columns of rows that a mode looks at. */
static unsigned columns_of(const sheaf_flag_agent *a) {
  const unsigned chunk =
      SHEAF_ROWS_SCAN | SHEAF_ROWS_FIELD | SHEAF_ROWS_ARRAY | SHEAF_ROWS_OBSERVATION;
  unsigned columns = a->sets_row ? SHEAF_ROWS_FLAG_ROW : 0;
  if (a->mode == SHEAF_FLAG_QUACK) columns |= SHEAF_ROWS_SCAN | SHEAF_ROWS_TIME;
  if (a->mode == SHEAF_FLAG_SUMMARY) columns = chunk | SHEAF_ROWS_ANTENNAS;
  if (a->mode == SHEAF_FLAG_ELEVATION)
    columns |= SHEAF_ROWS_TIME | SHEAF_ROWS_FIELD | SHEAF_ROWS_ANTENNAS;
  if (a->mode == SHEAF_FLAG_ANTINT) columns |= chunk | SHEAF_ROWS_TIME;
  if (a->mode == SHEAF_FLAG_SHADOW)
    columns |= chunk | SHEAF_ROWS_TIME | SHEAF_ROWS_CENTROID | SHEAF_ROWS_ANTENNAS;
  return columns;
}

static int make_agent(sheaf_flag_agent *a, const sheaf_flag_vis *v, const json_t *value,
                      unsigned *columns, sheaf_error *err) {
  int rc;
  a->mode = (sheaf_flag_mode)get_int(value, "mode");
  snprintf(a->name, sizeof a->name, "%s", sheaf_value_str(value, "name", ""));
  a->clears = a->mode == SHEAF_FLAG_UNFLAG || get_int(value, "clears");
  a->sets_row = !v->cal && get_int(value, "sets_row") &&
                (a->mode == SHEAF_FLAG_MANUAL || a->mode == SHEAF_FLAG_UNFLAG ||
                 a->mode == SHEAF_FLAG_QUACK || a->mode == SHEAF_FLAG_SHADOW ||
                 a->mode == SHEAF_FLAG_ELEVATION || a->mode == SHEAF_FLAG_ANTINT ||
                 ((a->mode == SHEAF_FLAG_CLIP || a->mode == SHEAF_FLAG_TFCROP) && a->clears));
  a->tables = json_object_get(value, "tables");
  SHEAF_TRY(sheaf_flag_filter_make(&a->filter, v, json_object_get(value, "filter"), columns, err));
  SHEAF_TRY(make_corrs(a, v, value, err));
  SHEAF_TRY(make_ranges(a, value, err));
  SHEAF_TRY(make_averages(a, value, err));
  SHEAF_TRY(make_expression(a, v, value, err));
  SHEAF_TRY(make_devs(&a->rflag.timedev, json_object_get(value, "timedev"), err));
  SHEAF_TRY(make_devs(&a->rflag.freqdev, json_object_get(value, "freqdev"), err));
  make_options(a, value);
  *columns |= columns_of(a);
done:
  return rc < 0 ? rc : 0;
}

int sheaf_flag_agents_make(sheaf_flag_agents *agents, const sheaf_flag_vis *vis,
                           const json_t *value, sheaf_error *err) {
  const json_t *list = json_object_get(value, "agents");
  *agents = (sheaf_flag_agents){.buffers = json_is_true(json_object_get(value, "buffers"))};
  agents->agent = calloc(json_array_size(list) + 1, sizeof *agents->agent);
  if (!agents->agent) return no_memory(err);
  for (size_t i = 0; i < json_array_size(list); i++) {
    sheaf_flag_agent *a = &agents->agent[agents->n++];
    const int rc = make_agent(a, vis, json_array_get(list, i), &agents->columns, err);
    if (rc < 0) {
      sheaf_flag_agents_free(agents);
      return rc;
    }
    agents->data |= a->data;
    agents->virtual_model |= a->virtual_model;
    if (a->virtual_model) agents->columns |= SHEAF_ROWS_FIELD | SHEAF_ROWS_SCAN | SHEAF_ROWS_STATE;
    agents->writes |= a->mode != SHEAF_FLAG_SUMMARY;
  }
  return 0;
}

void sheaf_flag_agents_free(sheaf_flag_agents *agents) {
  for (size_t i = 0; i < agents->n; i++) {
    sheaf_flag_agent *a = &agents->agent[i];
    sheaf_flag_filter_free(&a->filter);
    free(a->corrs);
    free(a->range);
    free(a->chanbin);
    free(a->rflag.timedev.row);
    free(a->rflag.freqdev.row);
  }
  free(agents->agent);
  *agents = (sheaf_flag_agents){0};
}

/* ---- thresholds ---- */

static int bad_devs(const char *key, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "%s: must be a number, a list of [field, spw, threshold], or the name of a "
                    "file with such a list",
                    key);
}

/* A list of rows, or one row. */
static int rows_of(const json_t *list, const char *key, json_t **devs, sheaf_error *err) {
  size_t i;
  json_t *row;
  *devs = json_array();
  if (json_array_size(list) == 3 && json_is_number(json_array_get(list, 0))) {
    json_array_append_new(*devs, json_deep_copy(list));
    return 0;
  }
  json_array_foreach((json_t *)list, i, row) {
    int good = json_array_size(row) == 3;
    for (size_t k = 0; good && k < 3; k++) good = json_is_number(json_array_get(row, k));
    if (!good || json_number_value(json_array_get(row, 2)) < 0) {
      json_decref(*devs);
      *devs = NULL;
      return bad_devs(key, err);
    }
    json_array_append_new(*devs, json_deep_copy(row));
  }
  return 0;
}

/* The last line of the file that is longer than 5 characters and no comment. */
static char *last_line(char *text) {
  char *found = NULL, *save = NULL;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    if (strlen(line) > 5 && line[0] != '#') found = line;
  return found;
}

static int devs_of_file(const char *path, const char *key, json_t **devs, sheaf_error *err) {
  char *text;
  size_t n;
  int rc = sheaf_file_read(path, &text, &n, err);
  if (rc < 0) return sheaf_fail_context(err, rc, "%s='%s'", key, path);
  const char *line = last_line(text);
  json_t *value = line ? sheaf_value_parse(line) : NULL;
  const json_t *list = json_object_get(value, key);
  rc = json_is_array(list)
           ? rows_of(list, key, devs, err)
           : sheaf_fail(err, SHEAF_ERR_ARG,
                        "%s='%s': the file's last line is no {'name':'Rflag','%s':[[field,spw,"
                        "threshold],...]}",
                        key, path, key);
  json_decref(value);
  free(text);
  return rc;
}

int sheaf_flag_devs_read(const json_t *given, const char *key, json_t **devs, sheaf_error *err) {
  *devs = NULL;
  json_t *plain = sheaf_value_plain(given);
  int rc = 0;
  if (json_is_string(plain) && json_string_length(plain) == 0)
    *devs = json_array();
  else if (json_is_string(plain))
    rc = devs_of_file(json_string_value(plain), key, devs, err);
  else if (json_is_number(plain) && json_number_value(plain) >= 0)
    *devs = json_real(json_number_value(plain));
  else if (json_is_array(plain))
    rc = rows_of(plain, key, devs, err);
  else
    rc = bad_devs(key, err);
  json_decref(plain);
  return rc;
}

int sheaf_flag_agents_need_thresholds(const sheaf_flag_agents *agents) {
  for (size_t i = 0; i < agents->n; i++) {
    const sheaf_flag_agent *a = &agents->agent[i];
    if (a->mode == SHEAF_FLAG_RFLAG && (a->rflag.timedev.all <= 0 || a->rflag.freqdev.all <= 0))
      return 1;
  }
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/value.h"
#include "flag/calselect.h"
#include "ms/selection.h"

/* ---- compiling ---- */

static json_t *list_of(const int32_t *id, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(id[i]));
  return list;
}

static void put_ids(json_t *value, const char *key, const sheaf_ids *ids) {
  if (ids->given) json_object_set_new(value, key, list_of(ids->id, ids->n));
}

static void put_times(json_t *value, const sheaf_selected *parsed) {
  json_t *times = json_array();
  for (size_t i = 0; i < 2 * parsed->ntime; i++)
    json_array_append_new(times, json_real(parsed->time_s[i]));
  json_object_set_new(value, "time", times);
}

/* ---- channels that are not there ---- */

/* What a text like "0:3~9;70~80" says of each window. */
typedef struct beyond {
  const sheaf_flag_vis *vis;
  sheaf_select_ms *ms;
  const char *text;
  int *missing; /* [nspw] ranges that begin behind the last channel */
  int *last;    /* [nspw] the last channel is selected for itself */
} beyond;

/* The first channel of "3", "3~9" or "3~9^2"; -1 for other forms (frequencies). */
static int first_channel(const beyond *b, const char *range, int64_t *first, sheaf_error *err) {
  char *end;
  *first = strtoll(range, &end, 10);
  const int number = end != range;
  while (*end == ' ') end++;
  if (number && *end == '~') strtoll(end + 1, &end, 10);
  while (*end == ' ') end++;
  if (number && *end == '^') strtoll(end + 1, &end, 10);
  while (*end == ' ') end++;
  if (!number || *end) {
    *first = -1;
    return 0;
  }
  if (*first >= 0) return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG, "spw='%s': channel %lld: channels are counted from 0",
                    b->text, (long long)*first);
}

static void note_range(const beyond *b, const sheaf_ids *windows, int64_t first) {
  for (size_t i = 0; i < windows->n; i++) {
    const int32_t spw = windows->id[i];
    if (spw < 0 || (size_t)spw >= b->vis->nspw) continue;
    b->missing[spw] += first >= b->vis->nchan[spw];
    b->last[spw] |= first < 0 || first == b->vis->nchan[spw] - 1;
  }
}

/* One part of the text between commas. */
static int note_part(const beyond *b, char *part, sheaf_error *err) {
  char *colon = strchr(part, ':'), *rest = NULL;
  sheaf_select *select = NULL;
  if (!colon) return 0;
  *colon = '\0';
  while (*part == ' ') part++;
  const sheaf_selection s = {.spw = *part ? part : "*"};
  int rc = sheaf_select_parse(&select, b->ms, &s, err);
  for (char *range = strtok_r(colon + 1, ";", &rest); rc >= 0 && range;
       range = strtok_r(NULL, ";", &rest)) {
    int64_t first;
    rc = first_channel(b, range, &first, err);
    if (rc >= 0) note_range(b, &sheaf_select_parsed(select)->spw, first);
  }
  sheaf_select_close(select);
  return rc < 0 ? rc : 0;
}

static void tell_missing(const beyond *b, size_t spw) {
  sheaf_log(SHEAF_LOG_WARN,
            "spw='%s': spectral window %zu has channels 0~%lld; those behind the last one are not "
            "there, and nothing is selected for them",
            b->text, spw, (long long)b->vis->nchan[spw] - 1);
}

/* casacore takes the last channel instead of a range that lies behind it. */
static int is_invented(const beyond *b, const sheaf_chanrange *c) {
  const int64_t last = b->vis->nchan[c->spw] - 1;
  return b->missing[c->spw] && !b->last[c->spw] && c->start == last && c->stop == last;
}

/* Channel ranges, where the text names channels, and the windows that have some; *empty: none. */
static int put_channels(json_t *value, const beyond *b, const sheaf_selected *parsed, int *empty,
                        sheaf_error *err) {
  char *copy = strdup(b->text), *rest = NULL;
  json_t *ranges = json_array(), *windows = json_array();
  int rc = copy && ranges && windows ? 0
                                     : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for channels");
  for (char *part = rc < 0 ? NULL : strtok_r(copy, ",", &rest); rc >= 0 && part;
       part = strtok_r(NULL, ",", &rest))
    rc = note_part(b, part, err);
  for (size_t spw = 0; rc >= 0 && spw < b->vis->nspw; spw++)
    if (b->missing[spw]) tell_missing(b, spw);
  for (size_t i = 0; rc >= 0 && i < parsed->nchan; i++) {
    const sheaf_chanrange *c = &parsed->chan[i];
    if (is_invented(b, c)) continue;
    json_array_append_new(ranges, json_pack("[i,i,i]", c->spw, c->start, c->stop));
    json_array_append_new(windows, json_integer(c->spw));
  }
  if (rc >= 0 && json_array_size(ranges) < parsed->nchan) {
    json_object_set(value, "spw", windows);
    *empty = json_array_size(ranges) == 0 ? SHEAF_FLAG_NO_CHANNELS : 0;
    if (*empty)
      sheaf_fail(err, SHEAF_ERR_EMPTY, "spw='%s': there are no such channels", b->text);
  }
  json_object_set(value, "channels", ranges);
  json_decref(ranges);
  json_decref(windows);
  free(copy);
  return rc;
}

static int add_channels(json_t *value, const sheaf_flag_vis *vis, sheaf_select_ms *ms,
                        const char *text, const sheaf_selected *parsed, int *empty,
                        sheaf_error *err) {
  if (!text || !strchr(text, ':')) return 0;
  beyond b = {.vis = vis,
              .ms = ms,
              .text = text,
              .missing = calloc(vis->nspw + 1, sizeof *b.missing),
              .last = calloc(vis->nspw + 1, sizeof *b.last)};
  const int rc = b.missing && b.last
                     ? put_channels(value, &b, parsed, empty, err)
                     : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for channels");
  free(b.missing);
  free(b.last);
  return rc;
}

static void put_autocorr(const sheaf_flag_vis *vis, json_t *value) {
  json_t *strangers = json_array();
  for (size_t i = 0; i < vis->nprocessor; i++)
    if (!vis->processor[i]) json_array_append_new(strangers, json_integer((json_int_t)i));
  json_object_set_new(value, "autocorr", json_true());
  json_object_set_new(value, "strangers", strangers);
}

/* What casacore has to test itself. */
static void put_rest(json_t *value, const sheaf_selection *s, int antenna) {
  json_t *rest = json_object();
  if (s->uvrange && *s->uvrange) json_object_set_new(rest, "uvrange", json_string(s->uvrange));
  if (s->feed && *s->feed) json_object_set_new(rest, "feed", json_string(s->feed));
  if (antenna) json_object_set_new(rest, "antenna", json_string(s->antenna));
  if (json_object_size(rest))
    json_object_set_new(value, "rest", rest);
  else
    json_decref(rest);
}

/* In a list CASA takes any '!' out of an antenna expression and turns the whole of it round. */
static int turn_round(char *text) {
  char *to = text;
  int found = 0;
  for (const char *p = text; *p; p++) {
    if (*p == '!')
      found = 1;
    else
      *to++ = *p;
  }
  *to = '\0';
  return found;
}

static void put_parsed(const sheaf_flag_vis *vis, const json_t *par, const sheaf_selection *s,
                       const sheaf_selected *parsed, int negated, json_t *value) {
  const int by_casacore = !negated && s->antenna && strchr(s->antenna, '!') != NULL;
  put_ids(value, "scan", &parsed->scan);
  put_ids(value, "field", &parsed->field);
  put_ids(value, "state", &parsed->state);
  put_ids(value, "array", &parsed->array);
  put_ids(value, "observation", &parsed->observation);
  put_ids(value, "spw", &parsed->spw);
  if (s->timerange && *s->timerange) put_times(value, parsed);
  if (s->antenna && *s->antenna && !by_casacore) {
    put_ids(value, "pairs", &parsed->baseline);
    json_object_set_new(value, "negated", json_boolean(negated));
  }
  put_rest(value, s, by_casacore);
  if (sheaf_value_bool(par, "autocorr", 0)) put_autocorr(vis, value);
}

/* Whether `word` is a number that is neither a name nor an id. */
static int is_beyond(const char *word, size_t length, char *const *names, size_t n) {
  if (length == 0 || length > 18 || strspn(word, "0123456789") < length) return 0;
  for (size_t i = 0; i < n; i++)
    if (strlen(names[i]) == length && !strncmp(names[i], word, length)) return 0;
  return strtoull(word, NULL, 10) >= n;
}

/* An id that the MS lacks is a mistake also beside ones that it has, where casacore passes over it.
 * Names in quotes and patterns in slashes are casacore's. */
static int check_ids(const char *key, const char *text, char *const *names, size_t n, int lenient,
                     sheaf_error *err) {
  static const char ends[] = ",;&!()\"/";
  for (const char *p = text ? text : ""; *p;) {
    if (*p == '"' || *p == '/') {
      const char *close = strchr(p + 1, *p);
      p = close ? close : p;
    }
    if (strchr(ends, *p)) {
      p++;
      continue;
    }
    const char *word = p + strspn(p, " \t");
    size_t length = strcspn(p, ends);
    p += length;
    length = word < p ? (size_t)(p - word) : 0;
    while (length > 0 && (word[length - 1] == ' ' || word[length - 1] == '\t')) length--;
    if (is_beyond(word, length, names, n))
      return sheaf_fail(err, lenient ? SHEAF_ERR_EMPTY : SHEAF_ERR_ARG,
                        "%s='%.300s': No match found for %.*s; the last %s of this MS is %zu", key,
                        text, (int)length, word, key, n ? n - 1 : 0);
  }
  return 0;
}

int sheaf_flag_filter_compile(const sheaf_flag_vis *vis, const json_t *par,
                              const sheaf_flag_filter_options *options, json_t **value, int *empty,
                              sheaf_error *err) {
  sheaf_selection_texts texts;
  sheaf_select *select = NULL;
  *empty = 0;
  *value = json_object();
  if (vis->cal) return sheaf_flag_calselect(vis, par, options->lenient, *value, empty, err);
  int rc = sheaf_selection_read(&texts, par, err);
  if (rc < 0) return rc;
  texts.selection.correlation = NULL;
  texts.selection.taql = NULL;
  texts.selection.lenient = options->lenient;
  const int negated =
      options->list && texts.selection.antenna && turn_round((char *)texts.selection.antenna);
  rc = check_ids("antenna", texts.selection.antenna, vis->antenna, vis->nantenna, options->lenient,
                 err);
  if (rc >= 0)
    rc = check_ids("field", texts.selection.field, vis->field, vis->nfield, options->lenient, err);
  if (rc >= 0) rc = sheaf_select_parse(&select, options->ms, &texts.selection, err);
  if (rc == SHEAF_ERR_EMPTY) {
    *empty = 1;
    rc = 0;
  } else if (rc >= 0) {
    const sheaf_selected *parsed = sheaf_select_parsed(select);
    put_parsed(vis, par, &texts.selection, parsed, negated, *value);
    rc = add_channels(*value, vis, options->ms, texts.selection.spw, parsed, empty, err);
  }
  sheaf_select_close(select);
  sheaf_selection_free(&texts);
  return rc;
}

/* ---- making ---- */

static int compare_ids(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static int get_ids(sheaf_flag_idlist *list, const json_t *value, const char *key,
                   sheaf_error *err) {
  const json_t *array = json_object_get(value, key);
  size_t i;
  json_t *item;
  if (!array) return 0;
  list->given = 1;
  list->n = json_array_size(array);
  if (!(list->id = malloc((list->n + 1) * sizeof *list->id)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
  json_array_foreach(array, i, item) list->id[i] = (int32_t)json_integer_value(item);
  qsort(list->id, list->n, sizeof *list->id, compare_ids);
  return 0;
}

static int get_times(sheaf_flag_filter *f, const json_t *value, sheaf_error *err) {
  const json_t *array = json_object_get(value, "time");
  size_t i;
  json_t *item;
  if (!array) return 0;
  f->ntime = json_array_size(array) / 2;
  if (!(f->time = malloc((2 * f->ntime + 1) * sizeof *f->time)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
  json_array_foreach(array, i, item) f->time[i] = json_number_value(item);
  return 0;
}

static int get_pairs(sheaf_flag_filter *f, const json_t *value, sheaf_error *err) {
  const json_t *array = json_object_get(value, "pairs");
  size_t i;
  json_t *item;
  if (!array) return 0;
  f->antennas = 1;
  f->negated = json_is_true(json_object_get(value, "negated"));
  json_array_foreach(array, i, item) {
    const int32_t id = (int32_t)json_integer_value(item);
    if (id >= f->nant) f->nant = id + 1;
  }
  if (!(f->pairs = calloc((size_t)f->nant * (size_t)f->nant + 1, 1)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a selection");
  for (i = 0; i + 1 < json_array_size(array); i += 2) {
    const int32_t a = (int32_t)json_integer_value(json_array_get(array, i));
    const int32_t b = (int32_t)json_integer_value(json_array_get(array, i + 1));
    if (a >= 0 && b >= 0) f->pairs[(size_t)a * (size_t)f->nant + (size_t)b] = 1;
  }
  return 0;
}

static int open_rest(sheaf_flag_filter *f, const sheaf_flag_vis *vis, const json_t *value,
                     sheaf_error *err) {
  const json_t *rest = json_object_get(value, "rest");
  if (!rest) return 0;
  const sheaf_selection s = {.uvrange = sheaf_value_str(rest, "uvrange", NULL),
                             .feed = sheaf_value_str(rest, "feed", NULL),
                             .antenna = sheaf_value_str(rest, "antenna", NULL)};
  return sheaf_select_open(&f->rest, vis->path, &s, err);
}

int sheaf_flag_filter_make(sheaf_flag_filter *f, const sheaf_flag_vis *vis, const json_t *value,
                           unsigned *columns, sheaf_error *err) {
  int rc;
  *f = (sheaf_flag_filter){0};
  f->autocorr = json_is_true(json_object_get(value, "autocorr"));
  SHEAF_TRY(get_ids(&f->scan, value, "scan", err));
  SHEAF_TRY(get_ids(&f->field, value, "field", err));
  SHEAF_TRY(get_ids(&f->state, value, "state", err));
  SHEAF_TRY(get_ids(&f->array, value, "array", err));
  SHEAF_TRY(get_ids(&f->observation, value, "observation", err));
  SHEAF_TRY(get_ids(&f->spw, value, "spw", err));
  SHEAF_TRY(get_ids(&f->antenna1, value, "antenna1", err));
  SHEAF_TRY(get_ids(&f->strangers, value, "strangers", err));
  SHEAF_TRY(get_times(f, value, err));
  SHEAF_TRY(get_pairs(f, value, err));
  SHEAF_TRY(open_rest(f, vis, value, err));
  if (f->scan.given) *columns |= SHEAF_ROWS_SCAN;
  if (f->field.given) *columns |= SHEAF_ROWS_FIELD;
  if (f->state.given) *columns |= SHEAF_ROWS_STATE;
  if (f->array.given) *columns |= SHEAF_ROWS_ARRAY;
  if (f->observation.given) *columns |= SHEAF_ROWS_OBSERVATION;
  if (f->time) *columns |= SHEAF_ROWS_TIME;
  if (f->antennas || f->autocorr || f->antenna1.given) *columns |= SHEAF_ROWS_ANTENNAS;
  if (f->strangers.n) *columns |= SHEAF_ROWS_PROCESSOR;
done:
  if (rc < 0) sheaf_flag_filter_free(f);
  return rc;
}

void sheaf_flag_filter_free(sheaf_flag_filter *f) {
  free(f->scan.id);
  free(f->field.id);
  free(f->state.id);
  free(f->array.id);
  free(f->observation.id);
  free(f->spw.id);
  free(f->antenna1.id);
  free(f->strangers.id);
  free(f->time);
  free(f->pairs);
  sheaf_select_close(f->rest);
  *f = (sheaf_flag_filter){0};
}

/* ---- testing ---- */

static int has_id(const sheaf_flag_idlist *list, int32_t id) {
  if (list->n <= 4) {
    for (size_t i = 0; i < list->n; i++)
      if (list->id[i] == id) return 1;
    return 0;
  }
  return bsearch(&id, list->id, list->n, sizeof id, compare_ids) != NULL;
}

int sheaf_flag_filter_all(const sheaf_flag_filter *f) {
  return !f->scan.given && !f->field.given && !f->state.given && !f->array.given &&
         !f->observation.given && !f->spw.given && !f->time && !f->antenna1.given && !f->antennas &&
         !f->autocorr && !f->rest;
}

static void test_ids(const sheaf_flag_idlist *list, const int32_t *of, int64_t from, int64_t end,
                     uint8_t *keep) {
  if (!list->given) return;
  int32_t last = 0;
  int known = 0, in = 0;
  for (int64_t i = from; i < end; i++) {
    if (!known || of[i] != last) in = has_id(list, last = of[i]);
    known = 1;
    keep[i] &= (uint8_t)in;
  }
}

static int in_times(const sheaf_flag_filter *f, double t) {
  for (size_t k = 0; k < f->ntime; k++)
    if (t >= f->time[2 * k] && t <= f->time[2 * k + 1]) return 1;
  return 0;
}

static int in_pairs(const sheaf_flag_filter *f, int32_t a, int32_t b) {
  if (a < 0 || b < 0 || a >= f->nant || b >= f->nant) return 0;
  const size_t n = (size_t)f->nant;
  return f->pairs[(size_t)a * n + (size_t)b] || f->pairs[(size_t)b * n + (size_t)a];
}

static int test_rest(const sheaf_flag_filter *f, const sheaf_flag_vis *vis,
                     const sheaf_flag_rows *r, uint8_t *keep, sheaf_error *err) {
  for (int64_t i = 0; i < r->n; i++) {
    uint8_t one;
    if (!keep[i]) continue;
    const size_t member = r->members ? r->members[i] : r->member;
    const int rc = sheaf_select_test(f->rest, vis->first[member] + r->row[i], 1, &one, err);
    if (rc < 0) return rc;
    keep[i] = one;
  }
  return 0;
}

void sheaf_flag_rows_look(sheaf_flag_rows *r) {
  r->in_order = r->time != NULL;
  for (int64_t i = 1; r->in_order && i < r->n; i++) r->in_order = r->time[i - 1] <= r->time[i];
}

/* The first row whose time is at least t, or with `behind` above t. */
static int64_t find_time(const sheaf_flag_rows *r, double t, int behind) {
  int64_t low = 0, high = r->n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (r->time[middle] < t || (behind && r->time[middle] == t))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Rows that may lie in a time range of the filter: from..end-1. */
static void find_span(const sheaf_flag_filter *f, const sheaf_flag_rows *r, int64_t *from,
                      int64_t *end) {
  *from = 0;
  *end = r->n;
  if (!f->time || !r->in_order) return;
  *from = r->n;
  *end = 0;
  for (size_t k = 0; k < f->ntime; k++) {
    const int64_t low = find_time(r, f->time[2 * k], 0);
    const int64_t high = find_time(r, f->time[2 * k + 1], 1);
    if (low >= high) continue;
    if (low < *from) *from = low;
    if (high > *end) *end = high;
  }
}

int64_t sheaf_flag_filter_test(const sheaf_flag_filter *f, const sheaf_flag_vis *vis,
                               const sheaf_flag_rows *r, uint8_t *keep, sheaf_error *err) {
  int64_t count = 0, from, end;
  if (f->spw.given && !has_id(&f->spw, r->spw)) return 0;
  find_span(f, r, &from, &end);
  if (from >= end) return 0;
  memset(keep, 0, (size_t)from);
  memset(keep + from, 1, (size_t)(end - from));
  memset(keep + end, 0, (size_t)(r->n - end));
  test_ids(&f->scan, r->scan, from, end, keep);
  test_ids(&f->field, r->field, from, end, keep);
  test_ids(&f->state, r->state, from, end, keep);
  test_ids(&f->array, r->array, from, end, keep);
  test_ids(&f->observation, r->observation, from, end, keep);
  test_ids(&f->antenna1, r->ant1, from, end, keep);
  if (f->time)
    for (int64_t i = from; i < end; i++) keep[i] &= (uint8_t)in_times(f, r->time[i]);
  if (f->autocorr)
    for (int64_t i = from; i < end; i++)
      keep[i] &=
          r->ant1[i] == r->ant2[i] && !(f->strangers.n && has_id(&f->strangers, r->processor[i]));
  if (f->antennas)
    for (int64_t i = from; i < end; i++)
      keep[i] &= (uint8_t)(in_pairs(f, r->ant1[i], r->ant2[i]) != f->negated);
  if (f->rest) {
    const int rc = test_rest(f, vis, r, keep, err);
    if (rc < 0) return rc;
  }
  for (int64_t i = from; i < end; i++) count += keep[i];
  return count;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/plots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/commandtext.h"
#include "flag/plotchild.h"
#include "table/table.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for pictures");
}

int sheaf_flagplots_available(sheaf_error *err) {
  return sheaf_plotchild_check(err);
}

/* First and last TIME of an MS. */
static int time_span(const char *vis, double span_s[2], sheaf_error *err) {
  enum { WINDOW = 1 << 14 };
  static __thread double window[WINDOW];
  sheaf_table *table;
  int rc = sheaf_table_open(&table, vis, 0, err);
  if (rc < 0) return rc;
  const int64_t nrow = sheaf_table_nrow(table);
  span_s[0] = span_s[1] = 0;
  for (int64_t row = 0; rc >= 0 && row < nrow; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    rc = sheaf_table_get_range(table, "TIME", row, n, window, err);
    for (int64_t i = 0; rc >= 0 && i < n; i++) {
      if (row + i == 0 || window[i] < span_s[0]) span_s[0] = window[i];
      if (row + i == 0 || window[i] > span_s[1]) span_s[1] = window[i];
    }
  }
  sheaf_table_close(table);
  return rc;
}

/* Antennas on one page. */
#define PAGE 28

/* Place of `text` in a list of texts, where it is added if it is not there. */
static json_int_t place_of(json_t *list, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    if (!strcmp(json_string_value(item), text)) return (json_int_t)i;
  }
  json_array_append_new(list, json_string(text));
  return (json_int_t)json_array_size(list) - 1;
}

/* The ranges of a timerange with dates, within the span of the MS; the whole of it without one. */
static json_t *ranges_of(const char *timerange, const double span_s[2]) {
  json_t *ranges = json_array();
  char *copy = strdup(timerange), *rest = NULL;
  for (char *p = copy ? strtok_r(copy, ",", &rest) : NULL; p; p = strtok_r(NULL, ",", &rest)) {
    char *tilde = strchr(p, '~');
    double from, to;
    int dated[2] = {0, 0};
    if (!tilde) continue;
    *tilde = '\0';
    if (sheaf_command_time(p, &from, &dated[0]) == 0 && dated[0] &&
        sheaf_command_time(tilde + 1, &to, &dated[1]) == 0 && dated[1])
      json_array_append_new(ranges, json_pack("[f, f]", from, to));
  }
  free(copy);
  if (!*timerange) json_array_append_new(ranges, json_pack("[f, f]", span_s[0], span_s[1]));
  return ranges;
}

/* One command: its ranges for each of its antennas. */
static void add_command(json_t *picture, const json_t *command, const double span_s[2]) {
  const json_t *about = json_object_get(command, "about");
  const char *antennas = sheaf_value_str(about, "antenna", "");
  json_t *ranges = ranges_of(sheaf_value_str(about, "timerange", ""), span_s);
  const json_int_t reason =
      place_of(json_object_get(picture, "reasons"), sheaf_value_str(about, "reason", ""));
  json_t *all = json_object_get(picture, "ranges");
  while ((json_int_t)json_array_size(all) <= reason) json_array_append_new(all, json_array());
  char *copy = strdup(*antennas ? antennas : "All"), *rest = NULL;
  for (char *p = copy ? strtok_r(copy, ",;", &rest) : NULL; p; p = strtok_r(NULL, ",;", &rest)) {
    p[strcspn(p, "&")] = '\0';
    const json_int_t place = place_of(json_object_get(picture, "antennas"), p);
    json_array_append_new(json_array_get(all, (size_t)reason), json_pack("[I, O]", place, ranges));
  }
  free(copy);
  json_decref(ranges);
}

/* The drawn file takes the place of `path` in one step. */
static int publish(const char *from, const char *path, sheaf_error *err) {
  char *data;
  size_t n;
  int rc = sheaf_file_read(from, &data, &n, err);
  if (rc < 0) return rc;
  rc = sheaf_file_replace(path, data, n, err);
  free(data);
  return rc;
}

/* The name of page k of n. */
static void page_name(char *out, size_t size, const char *path, size_t k, size_t n) {
  const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
  if (!dot || (slash && dot < slash)) dot = path + strlen(path);
  if (n > 1)
    snprintf(out, size, "%.*s-%03zu%s", (int)(dot - path), path, k + 1, dot);
  else
    snprintf(out, size, "%s", path);
}

/* Puts the drawn pages into place. */
static int publish_pages(const char *scratch, const char *path, size_t npage, json_t **files,
                         sheaf_error *err) {
  char drawn[4300], page[4300];
  int rc = 0;
  json_t *list = json_array();
  for (size_t k = 0; rc >= 0 && k < npage; k++) {
    snprintf(drawn, sizeof drawn, "%s/%zu.png", scratch, k);
    page_name(page, sizeof page, path, k, npage);
    rc = publish(drawn, page, err);
    json_array_append_new(list, json_string(page));
  }
  if (rc >= 0)
    *files = list;
  else
    json_decref(list);
  return rc;
}

int sheaf_flagplots_commands(const char *vis, const json_t *commands, const char *path,
                             json_t **files, sheaf_error *err) {
  double span_s[2];
  char drawn[4300];
  sheaf_stage scratch = {.path = ""};
  size_t i;
  json_t *command, *picture = NULL, *request = NULL;
  int rc = time_span(vis, span_s, err);
  if (rc < 0) return rc;
  picture = json_pack("{s:s, s:i, s:s, s:[], s:[], s:[], s:f, s:f}", "kind", "commands", "lines",
                      PAGE, "title", vis, "antennas", "reasons", "ranges", "start_s",
                      span_s[0], "end_s", span_s[1] > span_s[0] ? span_s[1] : span_s[0] + 1);
  request = json_pack("{s:[O]}", "pictures", picture);
  if (!request) rc = no_memory(err);
  json_array_foreach(commands, i, command) {
    if (rc >= 0) add_command(picture, command, span_s);
  }
  if (rc < 0) goto done;
  snprintf(drawn, sizeof drawn, "%s.drawing", path);
  SHEAF_TRY(sheaf_stage_begin(&scratch, drawn, err));
  SHEAF_TRY(sheaf_plotchild_draw(scratch.path, request, err));
  const size_t nline = json_array_size(json_object_get(picture, "antennas"));
  SHEAF_TRY(publish_pages(scratch.path, path, nline > PAGE ? (nline + PAGE - 1) / PAGE : 1, files, err));
  sheaf_log(SHEAF_LOG_INFO, "Plotted %zu flags in %s", json_array_size(commands), path);
done:
  sheaf_stage_abandon(&scratch);
  json_decref(picture);
  json_decref(request);
  return rc;
}

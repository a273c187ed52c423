/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ms/refms.h"
#include "table/reftable.h"
#include "table/table.h"

static const char *const kNames[] = {"field",       "spw",         "scan",   "antenna",
                                     "correlation", "timerange",   "intent", "array",
                                     "uvrange",     "observation", "feed",   "taql"};
enum { NNAME = sizeof kNames / sizeof *kNames };

static int append(char **text, const char *more) {
  const size_t old = *text ? strlen(*text) : 0;
  char *grown = realloc(*text, old + strlen(more) + 2);
  if (!grown) return 0;
  if (!*text) *grown = '\0';
  if (old) strcat(grown, ",");
  strcat(grown, more);
  *text = grown;
  return 1;
}

static int append_value(char **text, const json_t *value) {
  char number[32];
  size_t i;
  json_t *item;
  if (json_is_string(value)) return append(text, json_string_value(value));
  if (json_is_integer(value)) {
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    return append(text, number);
  }
  if (json_is_array(value))
    json_array_foreach(value, i, item) if (!append_value(text, item)) return 0;
  return 1;
}

int sheaf_selection_read(sheaf_selection_texts *texts, const json_t *par, sheaf_error *err) {
  *texts = (sheaf_selection_texts){0};
  const char **to[NNAME] = {
      &texts->selection.field,       &texts->selection.spw,         &texts->selection.scan,
      &texts->selection.antenna,     &texts->selection.correlation, &texts->selection.timerange,
      &texts->selection.intent,      &texts->selection.array,       &texts->selection.uvrange,
      &texts->selection.observation, &texts->selection.feed,        &texts->selection.taql};
  for (size_t i = 0; i < NNAME; i++) {
    if (!append_value(&texts->text[i], json_object_get(par, kNames[i])))
      return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s", kNames[i]);
    *to[i] = texts->text[i];
  }
  return 0;
}

void sheaf_selection_free(sheaf_selection_texts *texts) {
  for (size_t i = 0; i < NNAME; i++) free(texts->text[i]);
  *texts = (sheaf_selection_texts){0};
}

char *sheaf_selection_text(const sheaf_selection_texts *texts) {
  size_t size = 1;
  for (size_t i = 0; i < NNAME; i++)
    if (texts->text[i]) size += strlen(kNames[i]) + strlen(texts->text[i]) + 8;
  char *out = calloc(size, 1);
  char *to = out;
  for (size_t i = 0; out && i < NNAME; i++)
    if (texts->text[i] && *texts->text[i])
      to += sprintf(to, "%s%s='%s'", to > out ? ", " : "", kNames[i], texts->text[i]);
  return out;
}

/* What exists is damaged or something else: DATA, whatever casacore called it. */
static int not_open(const char *path, sheaf_error *err) {
  if (!err) return SHEAF_ERR_DATA;
  err->code = SHEAF_ERR_DATA;
  return sheaf_fail_context(err, SHEAF_ERR_DATA, "vis='%s' is no MS", path);
}

int sheaf_ms_check(const char *path, sheaf_error *err) {
  static const char *const columns[] = {"TIME",           "ANTENNA1", "ANTENNA2",    "DATA_DESC_ID",
                                        "FIELD_ID",       "STATE_ID", "SCAN_NUMBER", "ARRAY_ID",
                                        "OBSERVATION_ID", "FLAG"};
  static const char *const tables[] = {"ANTENNA", "DATA_DESCRIPTION", "FIELD", "POLARIZATION",
                                       "SPECTRAL_WINDOW"};
  sheaf_table *t = NULL;
  if (!sheaf_path_exists(path))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "vis='%s': no such MS", path);
  int rc = sheaf_refms_check(path, err);
  if (rc < 0) return rc;
  rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return not_open(path, err);
  for (size_t i = 0; rc >= 0 && i < sizeof columns / sizeof *columns; i++)
    if (!sheaf_table_column(t, columns[i], NULL))
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "vis='%s' is no MS: it has no column %s", path,
                      columns[i]);
  sheaf_table_close(t);
  for (size_t i = 0; rc >= 0 && i < sizeof tables / sizeof *tables; i++) {
    char sub[4200];
    if ((rc = sheaf_reftable_subtable(path, tables[i], sub, sizeof sub, err)) < 0) break;
    if (sheaf_table_kind_of(sub) == SHEAF_KIND_NONE)
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "vis='%s' is no valid MS: sub-table %s is missing", path,
                      tables[i]);
  }
  return rc;
}

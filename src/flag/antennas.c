/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/antennas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/value.h"

/* One antenna as [diameter, x, y, z]; NULL when it is not complete. */
static json_t *antenna_of(const json_t *record) {
  const json_t *diameter = json_object_get(record, "diameter");
  json_t *position = sheaf_value_plain(json_object_get(record, "position"));
  json_t *out = NULL;
  if (json_is_number(diameter) && json_array_size(position) == 3) {
    out = json_array();
    json_array_append_new(out, json_real(json_number_value(diameter)));
    for (size_t i = 0; i < 3; i++) {
      const json_t *x = json_array_get(position, i);
      if (!json_is_number(x)) {
        json_decref(out);
        out = NULL;
        break;
      }
      json_array_append_new(out, json_real(json_number_value(x)));
    }
  }
  json_decref(position);
  return out;
}

static int add_antenna(json_t *list, const json_t *record, const char *which, sheaf_error *err) {
  json_t *one = record ? antenna_of(record) : NULL;
  if (!one)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "addantenna: %s must have 'name', 'diameter' (a number, m) and 'position' "
                      "([x, y, z], ITRF, m)",
                      which);
  json_array_append_new(list, one);
  return 0;
}

/* The records '0', '1', … in order, whatever other keys there are. */
static int of_dictionary(const json_t *given, json_t *list, sheaf_error *err) {
  const size_t n = json_object_size(given) - (json_object_get(given, "#int") ? 1 : 0);
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    char key[32], which[64];
    snprintf(key, sizeof key, "%zu", i);
    snprintf(which, sizeof which, "record '%s'", key);
    rc = add_antenna(list, json_object_get(given, key), which, err);
  }
  return rc;
}

static int of_file(const char *path, json_t *list, sheaf_error *err) {
  char *text, *save = NULL;
  size_t n;
  int rc = sheaf_file_read(path, &text, &n, err), lines = 0;
  if (rc < 0) return sheaf_fail_context(err, rc, "addantenna='%s'", path);
  json_t *record = json_object();
  for (char *line = strtok_r(text, "\n", &save); rc >= 0 && line;
       line = strtok_r(NULL, "\n", &save)) {
    char *equals = strchr(line, '=');
    if (line[0] == '#' || !equals) continue;
    *equals = '\0';
    char key[32], which[512];
    if (sscanf(line, "%31s", key) != 1) continue;
    json_object_set_new(record, key, sheaf_value_parse(equals + 1));
    if (++lines % 3) continue;
    snprintf(which, sizeof which, "antenna %d of %.400s", lines / 3, path);
    rc = add_antenna(list, record, which, err);
    json_object_clear(record);
  }
  if (rc >= 0 && (lines == 0 || lines % 3))
    rc = sheaf_fail(err, SHEAF_ERR_ARG,
                    "addantenna='%s': must have three lines for each antenna: name=, diameter=, "
                    "position=[x,y,z]",
                    path);
  json_decref(record);
  free(text);
  return rc;
}

int sheaf_flag_antennas_read(const json_t *given, json_t **antennas, sheaf_error *err) {
  *antennas = json_array();
  int rc = 0;
  if (json_is_object(given))
    rc = of_dictionary(given, *antennas, err);
  else if (json_string_length(given) > 0)
    rc = of_file(json_string_value(given), *antennas, err);
  if (rc < 0) {
    json_decref(*antennas);
    *antennas = NULL;
  }
  return rc;
}

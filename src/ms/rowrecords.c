/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/rowrecords.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/table.h"

static const struct {
  const char *name;
  int type;
  size_t offset;
} kInKey[] = {{"TIME", SHEAF_DOUBLE, offsetof(sheaf_rowkey, time_s)},
              {"OBSERVATION_ID", SHEAF_INT, offsetof(sheaf_rowkey, observation)},
              {"ARRAY_ID", SHEAF_INT, offsetof(sheaf_rowkey, array)},
              {"SCAN_NUMBER", SHEAF_INT, offsetof(sheaf_rowkey, scan)},
              {"STATE_ID", SHEAF_INT, offsetof(sheaf_rowkey, state)},
              {"FIELD_ID", SHEAF_INT, offsetof(sheaf_rowkey, field)},
              {"DATA_DESC_ID", SHEAF_INT, offsetof(sheaf_rowkey, ddid)},
              {"ANTENNA1", SHEAF_INT, offsetof(sheaf_rowkey, antenna1)},
              {"ANTENNA2", SHEAF_INT, offsetof(sheaf_rowkey, antenna2)}};

static int place_in_key(sheaf_rowfield *f) {
  for (size_t i = 0; i < sizeof kInKey / sizeof *kInKey; i++)
    if (strcmp(kInKey[i].name, f->name) == 0 && kInKey[i].type == f->type) {
      f->offset = kInKey[i].offset;
      return f->in_key = 1;
    }
  return 0;
}

int sheaf_rowlayout_make(sheaf_rowlayout *layout, const char *ms, const char *const *columns,
                         size_t n, sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc;
  *layout = (sheaf_rowlayout){.size = sizeof(sheaf_rowkey)};
  SHEAF_TRY(sheaf_table_open(&t, ms, 0, err));
  layout->field = calloc(n + 1, sizeof *layout->field);
  if (!layout->field) SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: column list", ms));
  for (size_t i = 0; i < n; i++) {
    sheaf_column info;
    sheaf_rowfield *f = &layout->field[layout->nfield++];
    if (!sheaf_table_column(t, columns[i], &info))
      SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", ms, columns[i]));
    memcpy(f->name, info.name, sizeof f->name);
    f->type = info.type;
    f->size = sheaf_type_size(info.type);
    if (info.array || !f->size)
      SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s holds no numbers", ms, columns[i]));
    if (place_in_key(f)) continue;
    layout->size = (layout->size + f->size - 1) / f->size * f->size;
    f->offset = layout->size;
    layout->size += f->size;
  }
  layout->size = (layout->size + 7) / 8 * 8;
done:
  sheaf_table_close(t);
  if (rc < 0) sheaf_rowlayout_free(layout);
  return rc < 0 ? rc : 0;
}

void sheaf_rowlayout_free(sheaf_rowlayout *layout) {
  free(layout->field);
  *layout = (sheaf_rowlayout){0};
}

const sheaf_rowfield *sheaf_rowlayout_find(const sheaf_rowlayout *layout, const char *column) {
  for (size_t i = 0; i < layout->nfield; i++)
    if (strcmp(layout->field[i].name, column) == 0) return &layout->field[i];
  return NULL;
}

json_t *sheaf_rowlayout_value(const sheaf_rowlayout *layout) {
  json_t *fields = json_array();
  for (size_t i = 0; i < layout->nfield; i++) {
    const sheaf_rowfield *f = &layout->field[i];
    json_array_append_new(fields, json_pack("[s,i,I,I,i]", f->name, f->type, (json_int_t)f->size,
                                            (json_int_t)f->offset, f->in_key));
  }
  return json_pack("{s:I,s:o}", "size", (json_int_t)layout->size, "fields", fields);
}

int sheaf_rowlayout_from_value(sheaf_rowlayout *layout, const json_t *value, sheaf_error *err) {
  const json_t *fields = json_object_get(value, "fields");
  *layout = (sheaf_rowlayout){.size = (size_t)json_integer_value(json_object_get(value, "size")),
                              .nfield = json_array_size(fields)};
  layout->field = calloc(layout->nfield + 1, sizeof *layout->field);
  if (!layout->field) return sheaf_fail(err, SHEAF_ERR_NOMEM, "column list");
  for (size_t i = 0; i < layout->nfield; i++) {
    sheaf_rowfield *f = &layout->field[i];
    const char *name;
    json_int_t size, offset;
    if (json_unpack(json_array_get(fields, i), "[s,i,I,I,i]", &name, &f->type, &size, &offset,
                    &f->in_key) != 0)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "row layout of a unit cannot be read");
    snprintf(f->name, sizeof f->name, "%s", name);
    f->size = (size_t)size;
    f->offset = (size_t)offset;
  }
  return 0;
}

int sheaf_rowkey_compare(const void *pa, const void *pb) {
  const sheaf_rowkey *a = pa, *b = pb;
#define BY(member) \
  if (a->member != b->member) return a->member < b->member ? -1 : 1
  BY(observation);
  BY(array);
  BY(scan);
  BY(state);
  BY(field);
  BY(ddid);
  BY(time_s);
  BY(source); /* what follows makes the sort stable */
  BY(row);
#undef BY
  return 0;
}

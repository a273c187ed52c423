/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/tiles_dat.h"

#include <stdlib.h>
#include <string.h>

#include "table/tiles.h"

enum { TYPE_STRING = 11, TYPE_TABLE = 12, TYPE_ARRAY = 13, TYPE_ARRAY_LAST = 24, TYPE_RECORD = 25 };
enum { TYPE_ARRAY_STRING = TYPE_ARRAY + TYPE_STRING, TYPE_ARRAY_INT64 = 30 };
enum { RECORD_DEPTH = 8, STORAGE_SEPARATE = 2 };

static void *room(sheaf_dat *t, uint64_t n, size_t size) {
  void *p = calloc(n ? n : 1, size);
  if (!p) t->nomem = 1;
  return p;
}

void sheaf_dat_fini(sheaf_dat *t) {
  for (uint64_t i = 0; i < t->nhyper; i++) {
    free(t->hypers[i].data.name);
    free(t->hypers[i].coord.name);
    free(t->hypers[i].id.name);
  }
  free(t->columns);
  free(t->managers);
  free(t->hypers);
}

static int is_array_type(int type) {
  return (type >= TYPE_ARRAY && type <= TYPE_ARRAY_LAST) || type == TYPE_ARRAY_INT64;
}

size_t sheaf_dat_element_size(int type) {
  static const uint8_t size[] = {0, 1, 1, 2, 2, 4, 4, 4, 8, 8, 16};
  if (type == SHEAF_TILES_INT64) return 8;
  return type >= 0 && type < (int)sizeof size ? size[type] : 0;
}

int sheaf_dat_is_number(int type) {
  return (type >= SHEAF_TILES_BOOL && type <= SHEAF_TILES_DCOMPLEX) || type == SHEAF_TILES_INT64;
}

static void skip_scalar(sheaf_aips_in *in, int type) {
  if (type == TYPE_STRING)
    sheaf_aips_str(in);
  else if (type == SHEAF_TILES_BOOL)
    sheaf_aips_u8(in);
  else if (sheaf_dat_is_number(type))
    sheaf_aips_skip_bytes(in, sheaf_dat_element_size(type));
  else
    sheaf_aips_stop(in, "a value of unknown type %d at byte %zu", type, in->at);
}

static void read_names(sheaf_aips_in *in, sheaf_dat *t, sheaf_dat_names *out) {
  const uint32_t version = sheaf_aips_start(in, NULL, NULL);
  const uint64_t ndim = sheaf_aips_count(in, 0, 4);
  sheaf_aips_skip_bytes(in, (version < 3 ? 8 : 4) * ndim);
  const uint64_t n = sheaf_aips_count(in, 0, 4);
  if (!out->name && (out->name = room(t, n, sizeof *out->name)))
    for (out->n = 0; out->n < n && !in->why[0]; out->n++) out->name[out->n] = sheaf_aips_str(in);
  else
    sheaf_aips_stop(in, "a hypercolumn definition with repeated fields");
  sheaf_aips_end(in);
}

static void record_values(sheaf_aips_in *in, sheaf_aips_in *desc, sheaf_dat *t, sheaf_dat_hyper *h,
                          int depth);

/* A whole record: its description, type and values. */
static void record_body(sheaf_aips_in *in, sheaf_dat *t, sheaf_dat_hyper *h, int depth) {
  sheaf_aips_in desc = *in; /* reads the description a second time, beside the values */
  sheaf_aips_skip(in);
  sheaf_aips_i32(in);
  record_values(in, &desc, t, h, depth);
}

static sheaf_dat_hyper *new_hyper(sheaf_aips_in *in, sheaf_dat *t, sheaf_aips_text field) {
  static const char prefix[] = "Hypercolumn_";
  const size_t n = sizeof prefix - 1;
  if (in->why[0] || field.n < n || memcmp(field.at, prefix, n) != 0) return NULL;
  sheaf_dat_hyper *more = realloc(t->hypers, (t->nhyper + 1) * sizeof *more);
  if (!more) {
    t->nomem = 1;
    return NULL;
  }
  t->hypers = more;
  sheaf_dat_hyper *h = &more[t->nhyper++];
  memset(h, 0, sizeof *h);
  h->name = (sheaf_aips_text){field.at + n, field.n - n};
  return h;
}

static void record_array(sheaf_aips_in *in, sheaf_dat *t, sheaf_dat_hyper *h, sheaf_aips_text field,
                         int type) {
  sheaf_dat_names *out = NULL;
  if (h && type == TYPE_ARRAY_STRING) {
    if (sheaf_aips_equal(field, "data")) out = &h->data;
    if (sheaf_aips_equal(field, "coord")) out = &h->coord;
    if (sheaf_aips_equal(field, "id")) out = &h->id;
  }
  if (out)
    read_names(in, t, out);
  else
    sheaf_aips_skip(in);
}

/* A sub-record; `sub` stands at its description. With an empty one the record is stored complete.
 */
static void record_record(sheaf_aips_in *in, sheaf_aips_in *sub, sheaf_dat *t, sheaf_dat_hyper *h,
                          int depth) {
  sheaf_aips_in peek = *sub;
  sheaf_aips_start(&peek, "RecordDesc", NULL);
  if (sheaf_aips_i32(&peek) > 0) {
    record_values(in, sub, t, h, depth);
    return;
  }
  sheaf_aips_start(in, NULL, NULL);
  record_body(in, t, h, depth);
  sheaf_aips_end(in);
}

static void record_values(sheaf_aips_in *in, sheaf_aips_in *desc, sheaf_dat *t, sheaf_dat_hyper *h,
                          int depth) {
  if (depth > RECORD_DEPTH) sheaf_aips_stop(in, "keywords nested more than %d deep", RECORD_DEPTH);
  const uint32_t version = sheaf_aips_start(desc, "RecordDesc", NULL);
  const uint64_t n = sheaf_aips_count(desc, 0, 8);
  for (uint64_t i = 0; i < n && !in->why[0] && !desc->why[0] && !t->nomem; i++) {
    const sheaf_aips_text field = sheaf_aips_str(desc);
    const int type = sheaf_aips_i32(desc);
    sheaf_aips_in sub = *desc;
    if (type == TYPE_RECORD || is_array_type(type)) sheaf_aips_skip(desc);
    if (type == TYPE_TABLE) sheaf_aips_str(desc);
    if (version > 1) sheaf_aips_str(desc);
    if (type == TYPE_RECORD)
      record_record(in, &sub, t, depth == 0 ? new_hyper(in, t, field) : NULL, depth + 1);
    else if (is_array_type(type))
      record_array(in, t, h, field, type);
    else if (type == TYPE_TABLE)
      sheaf_aips_str(in);
    else
      skip_scalar(in, type);
  }
  if (desc->why[0]) sheaf_aips_stop(in, "%s", desc->why);
}

static void private_keywords(sheaf_aips_in *in, sheaf_dat *t) {
  sheaf_aips_text type;
  sheaf_aips_start(in, NULL, &type);
  if (!sheaf_aips_equal(type, "TableRecord") && !sheaf_aips_equal(type, "Record")) {
    t->unknown = "its keywords are of an old kind";
    return;
  }
  record_body(in, t, NULL, 0);
  sheaf_aips_end(in);
}

static int starts_with(sheaf_aips_text text, const char *prefix) {
  const size_t n = strlen(prefix);
  return text.n >= n && memcmp(text.at, prefix, n) == 0;
}

static void column_description(sheaf_aips_in *in, sheaf_dat_column *c) {
  int64_t shape[64];
  sheaf_aips_u32(in);
  const sheaf_aips_text class = sheaf_aips_str(in);
  c->is_array = starts_with(class, "ArrayColumnDesc");
  sheaf_aips_u32(in);
  c->name = sheaf_aips_str(in);
  for (int i = 0; i < 3; i++) sheaf_aips_str(in); /* comment, wished manager and group */
  c->type = sheaf_aips_i32(in);
  sheaf_aips_i32(in); /* options */
  c->ndim = sheaf_aips_i32(in);
  if (c->is_array) sheaf_aips_iposition(in, shape, 64);
  sheaf_aips_u32(in);  /* longest string */
  sheaf_aips_skip(in); /* keywords */
  sheaf_aips_u32(in);
  if (c->is_array)
    sheaf_aips_bool(in);
  else if (!starts_with(class, "ScalarRecordColumnDesc"))
    skip_scalar(in, c->type);
}

static void table_description(sheaf_aips_in *in, sheaf_dat *t) {
  const uint32_t version = sheaf_aips_start(in, "TableDesc", NULL);
  for (int i = 0; i < 3; i++) sheaf_aips_str(in);
  sheaf_aips_skip(in); /* public keywords */
  if (version > 1) private_keywords(in, t);
  if (t->unknown || t->nomem) return;
  const uint64_t n = sheaf_aips_count(in, 0, 32);
  if (!(t->columns = room(t, n, sizeof *t->columns))) return;
  for (; t->ncolumn < n && !in->why[0]; t->ncolumn++)
    column_description(in, &t->columns[t->ncolumn]);
  sheaf_aips_end(in);
}

static void column_place(sheaf_aips_in *in, sheaf_dat_column *c) {
  int64_t shape[64];
  if (sheaf_aips_u32(in) == 1) sheaf_aips_skip(in);
  sheaf_aips_str(in); /* original name */
  sheaf_aips_u32(in);
  c->seq = sheaf_aips_u32(in);
  if (c->is_array && sheaf_aips_bool(in)) sheaf_aips_iposition(in, shape, 64);
}

static void column_set(sheaf_aips_in *in, sheaf_dat *t) {
  const int32_t version = sheaf_aips_i32(in);
  if (version < -3 || version > -2) {
    t->unknown = "its column set is of a kind not known here";
    return;
  }
  if (version == -2) {
    sheaf_aips_u32(in);
  } else {
    sheaf_aips_u64(in);
    if (sheaf_aips_i32(in) != STORAGE_SEPARATE) t->unknown = "it keeps its columns in one file";
    sheaf_aips_i32(in);
    if (t->unknown) return;
  }
  sheaf_aips_u32(in); /* next sequence number */
  const uint64_t n = sheaf_aips_count(in, 0, 8);
  if (!(t->managers = room(t, n, sizeof *t->managers))) return;
  for (; t->nmanager < n && !in->why[0]; t->nmanager++) {
    t->managers[t->nmanager].type = sheaf_aips_str(in);
    t->managers[t->nmanager].seq = sheaf_aips_u32(in);
  }
  for (uint64_t i = 0; i < t->ncolumn && !in->why[0]; i++) column_place(in, &t->columns[i]);
}

static void parse_table(sheaf_aips_in *in, sheaf_dat *t) {
  const uint32_t version = sheaf_aips_start(in, "Table", NULL);
  if (!in->why[0] && (version < 2 || version > 3)) {
    t->unknown = "its version is not known here";
    return;
  }
  if (version > 2)
    sheaf_aips_u64(in);
  else
    sheaf_aips_u32(in);
  t->big_endian = sheaf_aips_u32(in) == 0;
  if (!sheaf_aips_equal(sheaf_aips_str(in), "PlainTable")) {
    t->unknown = "it is no plain table";
    return;
  }
  table_description(in, t);
  if (!t->unknown && !t->nomem) column_set(in, t);
}

/* Reads table.dat and finds the column; 0, SHEAF_TILES_UNKNOWN or an error. */
int sheaf_dat_load(sheaf_dat *t, const void *dat, size_t ndat, const char *path, const char *name,
                   const sheaf_dat_column **found, sheaf_error *err) {
  sheaf_aips_in in;
  memset(t, 0, sizeof *t);
  sheaf_aips_init(&in, dat, ndat);
  parse_table(&in, t);
  if (t->nomem) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its description", path);
  if (in.why[0])
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s/table.dat is damaged: %s", path, in.why);
  if (t->unknown) return sheaf_fail(err, SHEAF_TILES_UNKNOWN, "%s: %s", path, t->unknown);
  for (uint64_t i = 0; i < t->ncolumn; i++)
    if (sheaf_aips_equal(t->columns[i].name, name)) {
      *found = &t->columns[i];
      return 0;
    }
  return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", path, name);
}

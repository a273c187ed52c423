/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/tiles_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TYPE_STRING = 11, TYPE_TABLE = 12, TYPE_ARRAY = 13, TYPE_ARRAY_LAST = 24, TYPE_RECORD = 25 };
enum { TYPE_ARRAY_STRING = TYPE_ARRAY + TYPE_STRING, TYPE_ARRAY_INT64 = 30 };
#define HEADER_LIMIT ((int64_t)1 << 30)
enum { RECORD_DEPTH = 8, STORAGE_SEPARATE = 2 };

typedef struct column {
  sheaf_aips_text name;
  int type, is_array, ndim;
  uint32_t seq;
} column;

typedef struct manager {
  sheaf_aips_text type;
  uint32_t seq;
} manager;

typedef struct names {
  uint64_t n;
  sheaf_aips_text *name;
} names;

/* A Hypercolumn_... definition of the private keywords. */
typedef struct hyper {
  sheaf_aips_text name;
  names data, coord, id;
} hyper;

/* What table.dat says, as far as it matters here. Texts point into the file's bytes. */
typedef struct table {
  int big_endian;
  const char *unknown; /* why this kind of table is not handled, or NULL */
  uint64_t ncolumn, nmanager, nhyper;
  column *columns;
  manager *managers;
  hyper *hypers;
  int nomem;
} table;

/* ---- table.dat ---- */

static void *room(table *t, uint64_t n, size_t size) {
  void *p = calloc(n ? n : 1, size);
  if (!p) t->nomem = 1;
  return p;
}

static void table_fini(table *t) {
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

static size_t element_size(int type) {
  static const uint8_t size[] = {0, 1, 1, 2, 2, 4, 4, 4, 8, 8, 16};
  if (type == SHEAF_TILES_INT64) return 8;
  return type >= 0 && type < (int)sizeof size ? size[type] : 0;
}

static int known_type(int type) {
  return (type >= SHEAF_TILES_BOOL && type <= SHEAF_TILES_DCOMPLEX) || type == SHEAF_TILES_INT64;
}

static void skip_scalar(sheaf_aips_in *in, int type) {
  if (type == TYPE_STRING)
    sheaf_aips_str(in);
  else if (type == SHEAF_TILES_BOOL)
    sheaf_aips_u8(in);
  else if (known_type(type))
    sheaf_aips_skip_bytes(in, element_size(type));
  else
    sheaf_aips_stop(in, "a value of unknown type %d at byte %zu", type, in->at);
}

static void read_names(sheaf_aips_in *in, table *t, names *out) {
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

static void record_values(sheaf_aips_in *in, sheaf_aips_in *desc, table *t, hyper *h, int depth);

/* A whole record: its description, type and values. */
static void record_body(sheaf_aips_in *in, table *t, hyper *h, int depth) {
  sheaf_aips_in desc = *in; /* reads the description a second time, beside the values */
  sheaf_aips_skip(in);
  sheaf_aips_i32(in);
  record_values(in, &desc, t, h, depth);
}

static hyper *new_hyper(sheaf_aips_in *in, table *t, sheaf_aips_text field) {
  static const char prefix[] = "Hypercolumn_";
  const size_t n = sizeof prefix - 1;
  if (in->why[0] || field.n < n || memcmp(field.at, prefix, n) != 0) return NULL;
  hyper *more = realloc(t->hypers, (t->nhyper + 1) * sizeof *more);
  if (!more) {
    t->nomem = 1;
    return NULL;
  }
  t->hypers = more;
  hyper *h = &more[t->nhyper++];
  memset(h, 0, sizeof *h);
  h->name = (sheaf_aips_text){field.at + n, field.n - n};
  return h;
}

static void record_array(sheaf_aips_in *in, table *t, hyper *h, sheaf_aips_text field, int type) {
  names *out = NULL;
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
static void record_record(sheaf_aips_in *in, sheaf_aips_in *sub, table *t, hyper *h, int depth) {
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

static void record_values(sheaf_aips_in *in, sheaf_aips_in *desc, table *t, hyper *h, int depth) {
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

static void private_keywords(sheaf_aips_in *in, table *t) {
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

static void column_description(sheaf_aips_in *in, column *c) {
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

static void table_description(sheaf_aips_in *in, table *t) {
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

static void column_place(sheaf_aips_in *in, column *c) {
  int64_t shape[64];
  if (sheaf_aips_u32(in) == 1) sheaf_aips_skip(in);
  sheaf_aips_str(in); /* original name */
  sheaf_aips_u32(in);
  c->seq = sheaf_aips_u32(in);
  if (c->is_array && sheaf_aips_bool(in)) sheaf_aips_iposition(in, shape, 64);
}

static void column_set(sheaf_aips_in *in, table *t) {
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

static void parse_table(sheaf_aips_in *in, table *t) {
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
static int load_table(table *t, const void *dat, size_t ndat, const char *path, const char *name,
                      const column **found, sheaf_error *err) {
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

static const char *const manager_name[] = {"TiledShapeStMan", "TiledColumnStMan", "TiledCellStMan",
                                           "TiledDataStMan"};

static int find_manager(const table *t, const column *c, const char *path, const char *name,
                        sheaf_layout_manager *kind, sheaf_error *err) {
  for (uint64_t i = 0; i < t->nmanager; i++) {
    if (t->managers[i].seq != c->seq) continue;
    const sheaf_aips_text type = t->managers[i].type;
    for (int k = 0; k < 4; k++)
      if (sheaf_aips_equal(type, manager_name[k])) {
        *kind = (sheaf_layout_manager)k;
        if (known_type(c->type)) return 0;
        return sheaf_fail(err, SHEAF_ERR_DATA, "%s: tiled column %s of type %d", path, name,
                          c->type);
      }
    return sheaf_fail(err, SHEAF_TILES_UNKNOWN, "%s: column %s is kept by %.*s", path, name,
                      (int)(type.n < 60 ? type.n : 60), type.at);
  }
  return sheaf_fail(err, SHEAF_ERR_DATA, "%s/table.dat: column %s has no data manager %u", path,
                    name, c->seq);
}

int sheaf_layout_find(const void *dat, size_t ndat, const char *path, const char *name,
                      uint32_t *seq, sheaf_error *err) {
  table t;
  const column *c = NULL;
  sheaf_layout_manager kind;
  int rc = load_table(&t, dat, ndat, path, name, &c, err);
  if (rc == 0) rc = find_manager(&t, c, path, name, &kind, err);
  if (rc == 0) *seq = c->seq;
  table_fini(&t);
  return rc;
}

/* ---- header of the manager ---- */

static void read_types(sheaf_aips_in *in, sheaf_layout *l) {
  l->ncolumn = (uint32_t)sheaf_aips_count(in, 0, 4);
  l->types = calloc(l->ncolumn + 1u, sizeof *l->types);
  for (uint32_t i = 0; l->types && i < l->ncolumn; i++) l->types[i] = sheaf_aips_i32(in);
}

static void read_files(sheaf_aips_in *in, sheaf_layout *l, int wide) {
  const uint64_t n = sheaf_aips_count(in, wide, 1);
  l->files = calloc(n + 1, sizeof *l->files);
  for (uint64_t i = 0; l->files && i < n && !in->why[0]; i++, l->nfile++) {
    sheaf_layout_file *f = &l->files[i];
    f->exists = sheaf_aips_bool(in);
    if (!f->exists) continue;
    const uint32_t version = sheaf_aips_u32(in);
    f->number = sheaf_aips_u32(in);
    f->length = version == 1 ? sheaf_aips_u32(in) : (int64_t)sheaf_aips_u64(in);
    if (f->length < 0) sheaf_aips_stop(in, "file %u of negative length", f->number);
  }
}

static void read_cube(sheaf_aips_in *in, sheaf_layout *l, sheaf_layout_cube *c, int64_t *axes) {
  int64_t *shape = axes, *tile = axes + l->ndim;
  const uint32_t version = sheaf_aips_u32(in);
  c->record = in->at;
  sheaf_aips_skip(in);
  c->nrecord = in->at - c->record;
  c->extensible = sheaf_aips_bool(in);
  c->ndim = sheaf_aips_i32(in);
  const int nshape = sheaf_aips_iposition(in, shape, l->ndim);
  const int ntile = sheaf_aips_iposition(in, tile, l->ndim);
  c->file = sheaf_aips_i32(in);
  c->offset = version == 1 ? sheaf_aips_u32(in) : (int64_t)sheaf_aips_u64(in);
  if (in->why[0]) return;
  if (nshape == 0) c->ndim = 0;
  if (c->ndim != nshape || c->ndim != ntile || (c->ndim != 0 && c->ndim != l->ndim))
    sheaf_aips_stop(in, "a cube of %d axes with a shape of %d and a tile of %d, where %d are right",
                    c->ndim, nshape, ntile, l->ndim);
  c->shape = shape;
  c->tile = tile;
}

static void read_cubes(sheaf_aips_in *in, sheaf_layout *l, int wide) {
  const uint64_t n = sheaf_aips_count(in, wide, 60);
  l->cubes = calloc(n + 1, sizeof *l->cubes);
  l->pool = calloc(n + 1, sizeof *l->pool * 4 * (size_t)l->ndim);
  if (!l->cubes || !l->pool) return;
  for (; l->ncube < (int64_t)n && !in->why[0]; l->ncube++)
    read_cube(in, l, &l->cubes[l->ncube], l->pool + 4 * l->ndim * l->ncube);
}

static void read_base(sheaf_aips_in *in, sheaf_layout *l) {
  const uint32_t version = sheaf_aips_start(in, "TiledStMan", NULL);
  if (!in->why[0] && (version < 1 || version > 3))
    sheaf_aips_stop(in, "version %u of TiledStMan, where 1 to 3 are known", version);
  const int wide = version >= 3;
  l->big_endian = version >= 2 ? sheaf_aips_bool(in) : 1;
  l->seq = sheaf_aips_u32(in);
  l->nrow = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  read_types(in, l);
  const sheaf_aips_text name = sheaf_aips_str(in);
  l->hypercolumn = strndup(name.at, name.n);
  l->max_cache = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  l->ndim = sheaf_aips_i32(in);
  if (l->nrow > INT64_MAX) sheaf_aips_stop(in, "a negative number of rows");
  if (l->ndim < 1 || l->ndim > SHEAF_LAYOUT_AXES)
    sheaf_aips_stop(in, "cubes of %d axes, where 1 to %d are handled", l->ndim, SHEAF_LAYOUT_AXES);
  if (in->why[0]) return;
  read_files(in, l, wide);
  read_cubes(in, l, wide);
  sheaf_aips_end(in);
}

/* A Block of numbers of 4 or 8 bytes; exactly one of the outputs is given. */
static uint64_t read_block(sheaf_aips_in *in, int wide, uint64_t **out64, uint32_t **out32) {
  sheaf_aips_start(in, "Block", NULL);
  const uint64_t n = sheaf_aips_count(in, 0, wide ? 8 : 4);
  if (out64) *out64 = calloc(n + 1, 8);
  if (out32) *out32 = calloc(n + 1, 4);
  for (uint64_t i = 0; i < n && !in->why[0]; i++) {
    const uint64_t value = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
    if (out64 && *out64) (*out64)[i] = value;
    if (out32 && *out32) (*out32)[i] = (uint32_t)value;
  }
  sheaf_aips_end(in);
  return n;
}

static void read_maps(sheaf_aips_in *in, sheaf_layout *l, int wide, uint64_t nused) {
  const uint64_t n1 = read_block(in, wide, &l->row_map, NULL);
  const uint64_t n2 = read_block(in, 0, NULL, &l->cube_map);
  const uint64_t n3 = read_block(in, 0, NULL, &l->pos_map);
  if (nused == UINT64_MAX) nused = n1;
  if (nused > n1 || nused > n2 || nused > n3)
    sheaf_aips_stop(in, "a row map of %llu entries, but lists of %llu, %llu and %llu",
                    (unsigned long long)nused, (unsigned long long)n1, (unsigned long long)n2,
                    (unsigned long long)n3);
  l->nmap = (int64_t)nused;
}

static void read_data_maps(sheaf_aips_in *in, sheaf_layout *l, uint32_t version) {
  const int wide = version >= 2;
  /* casacore 3.4.0 wrote 8 bytes under version 1; the lists behind are multiples of 12 bytes and a
   * rest. */
  const int eight = wide || sheaf_aips_left(in) % 12 == 3;
  l->last_row = eight ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  const uint64_t nused = wide ? UINT64_MAX : sheaf_aips_u32(in);
  read_maps(in, l, wide, nused);
}

static void read_header(sheaf_aips_in *in, sheaf_layout *l) {
  const uint32_t version = sheaf_aips_start(in, manager_name[l->manager], NULL);
  if (l->manager == SHEAF_LAYOUT_COLUMN || l->manager == SHEAF_LAYOUT_CELL)
    l->ndefault = sheaf_aips_iposition(in, l->default_tile, SHEAF_LAYOUT_AXES);
  read_base(in, l);
  if (in->why[0]) return;
  if (l->manager == SHEAF_LAYOUT_SHAPE) {
    l->ndefault = sheaf_aips_iposition(in, l->default_tile, SHEAF_LAYOUT_AXES);
    const uint32_t nused = sheaf_aips_u32(in);
    read_maps(in, l, 0, nused);
  } else if (l->manager == SHEAF_LAYOUT_DATA) {
    read_data_maps(in, l, version);
  }
  sheaf_aips_end(in);
  if (!in->why[0] && in->at != in->n)
    sheaf_aips_stop(in, "%zu bytes behind its end", in->n - in->at);
}

/* ---- both together ---- */

/* The columns of the manager in definition order: checks them against the header. */
static int check_columns(const sheaf_layout *l, const table *t, sheaf_aips_in *in) {
  uint64_t n = 0;
  for (uint64_t i = 0; i < t->ncolumn; i++) {
    if (t->columns[i].seq != l->seq) continue;
    if (n >= l->ncolumn || l->types[n] != t->columns[i].type)
      sheaf_aips_stop(in, "column types other than table.dat has");
    n++;
  }
  if (n != l->ncolumn)
    sheaf_aips_stop(in, "%u columns, where table.dat has %llu", l->ncolumn, (unsigned long long)n);
  if (l->big_endian != t->big_endian) sheaf_aips_stop(in, "a byte order other than table.dat has");
  return !in->why[0];
}

static const column *column_of(const table *t, uint32_t seq, sheaf_aips_text name) {
  for (uint64_t i = 0; i < t->ncolumn; i++)
    if (t->columns[i].seq == seq && t->columns[i].name.n == name.n &&
        memcmp(t->columns[i].name.at, name.at, name.n) == 0)
      return &t->columns[i];
  return NULL;
}

static const hyper *find_hyper(const table *t, const char *name) {
  for (uint64_t i = 0; i < t->nhyper; i++)
    if (sheaf_aips_equal(t->hypers[i].name, name)) return &t->hypers[i];
  return NULL;
}

/* Data columns: the hypercolumn's list, or all columns of the manager. Returns an owned array. */
static const column **data_columns(const sheaf_layout *l, const table *t, const hyper *h, int *n,
                                   sheaf_aips_in *in) {
  const uint64_t room = h ? h->data.n : l->ncolumn;
  const column **list = calloc(room + 1, sizeof *list);
  *n = 0;
  for (uint64_t i = 0; list && h && i < room; i++) {
    const column *c = column_of(t, l->seq, h->data.name[i]);
    if (!c) sheaf_aips_stop(in, "a hypercolumn whose columns are elsewhere");
    if (c) list[(*n)++] = c;
  }
  for (uint64_t i = 0; list && !h && i < t->ncolumn && (uint64_t)*n < room; i++)
    if (t->columns[i].seq == l->seq) list[(*n)++] = &t->columns[i];
  if (list && *n == 0) sheaf_aips_stop(in, "no data columns");
  return list;
}

/* In a tile the widest elements come first, equally wide ones last defined first, bools at the end.
 */
static void order_columns(sheaf_layout *l, const column **list, int n, const column *mine) {
  l->mine = -1;
  l->ndata = 0;
  for (int width = 16; width >= 0; width--)
    for (int i = n - 1; i >= 0; i--) {
      if ((int)element_size(list[i]->type) != width) continue;
      if (list[i] == mine) l->mine = l->ndata;
      l->sizes[l->ndata++] = width;
    }
}

static int cell_axes(const sheaf_layout *l, const hyper *h, const column *first) {
  if (h && (first->ndim > 0 || !first->is_array)) return first->is_array ? first->ndim : 0;
  return l->manager == SHEAF_LAYOUT_CELL ? l->ndim : l->ndim - 1;
}

/* Which columns the tiles hold, and the axes of their cells. 0, SHEAF_TILES_UNKNOWN, or an error.
 */
static int bind_columns(sheaf_layout *l, const table *t, const column *mine, sheaf_aips_in *in,
                        const char **unknown) {
  const hyper *h = find_hyper(t, l->hypercolumn);
  int n = 0;
  const column **list = data_columns(l, t, h, &n, in);
  l->sizes = calloc((size_t)n + 1, sizeof *l->sizes);
  if (!list || !l->sizes) {
    free(list);
    return SHEAF_ERR_NOMEM;
  }
  if (n > 0) {
    order_columns(l, list, n, mine);
    l->cell_ndim = cell_axes(l, h, list[0]);
  }
  free(list);
  if (in->why[0]) return SHEAF_ERR_DATA;
  if (h) l->nvalue = (int)(h->coord.n + h->id.n > INT32_MAX ? INT32_MAX : h->coord.n + h->id.n);
  const int row_axes = l->ndim - l->cell_ndim;
  const int fixed = l->manager == SHEAF_LAYOUT_SHAPE || l->manager == SHEAF_LAYOUT_COLUMN;
  if (row_axes < 0 || (fixed && row_axes != 1) || (l->manager == SHEAF_LAYOUT_CELL && row_axes) ||
      (l->manager == SHEAF_LAYOUT_DATA && (row_axes < 1 || !h))) {
    sheaf_aips_stop(in, "cubes of %d axes for cells of %d", l->ndim, l->cell_ndim);
    return SHEAF_ERR_DATA;
  }
  if (l->mine < 0) *unknown = "it is a coordinate or an id of a hypercolumn";
  if (l->cell_ndim > SHEAF_TILES_MAXDIM) *unknown = "its cells have too many axes";
  return *unknown ? SHEAF_TILES_UNKNOWN : 0;
}

static int64_t block_bytes(int64_t tilepix, int64_t size) {
  return size ? tilepix * size : (tilepix + 7) / 8;
}

static int is_direct(const sheaf_layout *l, const sheaf_layout_cube *c) {
  if (l->ndata != 1 || c->ndim - l->cell_ndim != 1) return 0;
  for (int i = 0; i < l->cell_ndim; i++)
    if (c->tile[i] != c->shape[i]) return 0;
  return l->size != 0 || c->tilepix % 8 == 0;
}

/* Bytes of all the cube's tiles; -1 when that does not fit. */
static int64_t cube_bytes(const sheaf_layout_cube *c) {
  int64_t total = c->bucket;
  for (int i = 0; i < c->ndim; i++)
    if (__builtin_mul_overflow(total, c->ntile[i], &total)) return -1;
  return total;
}

int sheaf_layout_derive(const sheaf_layout *l, sheaf_layout_cube *c, int64_t *ntile,
                        int64_t *stride, const char *path, sheaf_error *err) {
  int64_t pix = 1, end;
  for (int i = 0; i < c->ndim; i++) {
    if (c->shape[i] < 0 || c->tile[i] < 1)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: axis of %lld elements in tiles of %lld", path,
                        (long long)c->shape[i], (long long)c->tile[i]);
    stride[i] = pix;
    ntile[i] = c->shape[i] / c->tile[i] + (c->shape[i] % c->tile[i] != 0);
    if (__builtin_mul_overflow(pix, c->tile[i], &pix) || pix > UINT32_MAX)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a tile of more than 2^32 elements", path);
  }
  c->ntile = ntile;
  c->stride = stride;
  c->tilepix = pix;
  c->bucket = 0;
  for (int i = 0; i < l->ndata; i++) {
    if (i == l->mine) c->column = c->bucket;
    c->bucket += block_bytes(pix, l->sizes[i]);
    if (c->bucket > UINT32_MAX)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a tile of more than 4 GiB", path);
  }
  const int64_t bytes = cube_bytes(c);
  if (bytes < 0 || c->offset < 0 || __builtin_add_overflow(bytes, c->offset, &end))
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a cube of more than 2^63 bytes", path);
  c->direct = is_direct(l, c);
  return 0;
}

static int file_exists(const sheaf_layout *l, int number) {
  if (number < 0) return 0;
  /* the number is nearly always the place */
  if ((uint32_t)number < l->nfile && l->files[number].exists &&
      l->files[number].number == (uint32_t)number)
    return 1;
  for (uint32_t i = 0; i < l->nfile; i++)
    if (l->files[i].exists && l->files[i].number == (uint32_t)number) return 1;
  return 0;
}

static int check_cubes(sheaf_layout *l, const char *path, sheaf_error *err) {
  for (int64_t i = 0; i < l->ncube; i++) {
    sheaf_layout_cube *c = &l->cubes[i];
    int64_t *axes = l->pool + 4 * l->ndim * i;
    if (c->ndim == 0) continue;
    const int rc = sheaf_layout_derive(l, c, axes + 2 * l->ndim, axes + 3 * l->ndim, path, err);
    if (rc < 0) return rc;
    if (!file_exists(l, c->file))
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: cube %lld is in file %d, which does not exist",
                        path, (long long)i, c->file);
  }
  return 0;
}

static int check_maps(const sheaf_layout *l, const char *path, sheaf_error *err) {
  const int64_t least = l->manager == SHEAF_LAYOUT_COLUMN ? 1
                        : l->manager == SHEAF_LAYOUT_CELL ? (int64_t)l->nrow
                                                          : 0;
  if (l->ncube < least || (l->manager == SHEAF_LAYOUT_COLUMN && l->nrow && !l->cubes[0].ndim))
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: %lld cubes for %llu rows", path,
                      (long long)l->ncube, (unsigned long long)l->nrow);
  for (int64_t i = 0; i < l->nmap; i++) {
    if (i > 0 && l->row_map[i] <= l->row_map[i - 1])
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a row map that does not ascend", path);
    if (l->cube_map[i] >= l->ncube)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: rows in cube %u of %lld", path, l->cube_map[i],
                        (long long)l->ncube);
  }
  return 0;
}

static int parse_header(sheaf_layout *l, const table *t, const column *mine, const char *path,
                        const char *name, sheaf_error *err) {
  char file[4200];
  sheaf_aips_in in;
  const char *unknown = NULL;
  snprintf(file, sizeof file, "%.4000s/table.f%u", path, mine->seq);
  sheaf_aips_init(&in, l->header, l->nheader);
  read_header(&in, l);
  if (!in.why[0] && l->seq != mine->seq) sheaf_aips_stop(&in, "sequence number %u", l->seq);
  int rc = 0;
  if (!in.why[0] && (!l->types || !l->hypercolumn || !l->files || !l->cubes || !l->pool ||
                     (l->nmap && (!l->row_map || !l->cube_map || !l->pos_map))))
    rc = SHEAF_ERR_NOMEM;
  else if (!in.why[0] && check_columns(l, t, &in))
    rc = bind_columns(l, t, mine, &in, &unknown);
  if (rc == SHEAF_ERR_NOMEM) return sheaf_fail(err, rc, "%s: no memory for its content", file);
  if (in.why[0]) return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged: %s", file, in.why);
  if (unknown)
    return sheaf_fail(err, SHEAF_TILES_UNKNOWN, "%s: column %s: %s", path, name, unknown);
  if ((rc = check_cubes(l, file, err)) < 0) return rc;
  return check_maps(l, file, err);
}

int sheaf_layout_parse_take(sheaf_layout **layout, const void *dat, size_t ndat, char *header,
                            size_t nheader, const char *path, const char *name, sheaf_error *err) {
  table t;
  const column *c = NULL;
  *layout = NULL;
  sheaf_layout *l = calloc(1, sizeof *l);
  if (!l) {
    free(header);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for the layout of %s", path, name);
  }
  l->header = header;
  l->nheader = nheader;
  int rc = load_table(&t, dat, ndat, path, name, &c, err);
  if (rc == 0) rc = find_manager(&t, c, path, name, &l->manager, err);
  if (rc == 0) {
    l->type = c->type;
    l->size = (int)element_size(c->type);
    rc = parse_header(l, &t, c, path, name, err);
  }
  table_fini(&t);
  if (rc == 0)
    *layout = l;
  else
    sheaf_layout_free(l);
  return rc;
}

void sheaf_layout_free(sheaf_layout *l) {
  if (!l) return;
  free(l->hypercolumn);
  free(l->types);
  free(l->sizes);
  free(l->files);
  free(l->cubes);
  free(l->pool);
  free(l->row_map);
  free(l->cube_map);
  free(l->pos_map);
  free(l->header);
  free(l);
}

/* ---- from files ---- */

/* Reads a small file whole. */
static int read_small(const char *path, char **data, size_t *n, sheaf_error *err) {
  struct stat st;
  int rc = 0;
  char *p = NULL;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int code = errno == ENOENT || errno == ENOTDIR ? SHEAF_ERR_NOTFOUND : SHEAF_ERR_IO;
    return sheaf_fail_errno(err, code, errno, "cannot open %s", path);
  }
  if (fstat(fd, &st) < 0) {
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  } else if (!S_ISREG(st.st_mode) || st.st_size > HEADER_LIMIT) {
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: no file, or too large for a table's header", path);
  } else if (!(p = malloc((size_t)st.st_size + 1))) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for %lld bytes", path,
                    (long long)st.st_size);
  } else {
    const ssize_t got = pread(fd, p, (size_t)st.st_size, 0);
    if (got < 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s", path);
    *n = got < 0 ? 0 : (size_t)got;
  }
  close(fd);
  if (rc < 0)
    free(p);
  else
    *data = p;
  return rc;
}

int sheaf_layout_load(sheaf_layout **layout, char **stem, const char *path, const char *table_dat,
                      const char *name, sheaf_error *err) {
  char file[4096];
  char *dat = NULL, *header = NULL;
  size_t ndat = 0, nheader = 0;
  uint32_t seq = 0;
  int rc;
  *layout = NULL;
  *stem = NULL;
  if (strlen(path) > sizeof file - 40)
    return sheaf_fail(err, SHEAF_ERR_ARG, "path of %zu characters is too long", strlen(path));
  snprintf(file, sizeof file, "%s/%s", path, table_dat);
  if ((rc = read_small(file, &dat, &ndat, err)) < 0) return rc;
  rc = sheaf_layout_find(dat, ndat, path, name, &seq, err);
  if (rc != 0) goto done;
  snprintf(file, sizeof file, "%s/table.f%u", path, seq);
  rc = read_small(file, &header, &nheader, err);
  if (rc == SHEAF_ERR_NOTFOUND) { /* the table lacks a part */
    rc = SHEAF_ERR_DATA;
    if (err) err->code = rc;
  }
  if (rc < 0) goto done;
  rc = sheaf_layout_parse_take(layout, dat, ndat, header, nheader, path, name, err);
  if (rc != 0) goto done;
  if (!(*stem = strdup(file))) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", file);
    sheaf_layout_free(*layout);
    *layout = NULL;
  }
done:
  free(dat);
  return rc;
}

/* ---- row to place ---- */

/* First entry of the row map that is >= row (nmap when none); looks at the hint and its neighbour
 * first. */
static int64_t map_index(const sheaf_layout *l, uint64_t row, int64_t *hint) {
  int64_t lo = 0, hi = l->nmap;
  for (int64_t i = *hint; i < *hint + 2 && i < l->nmap; i++)
    if (l->row_map[i] >= row && (i == 0 || l->row_map[i - 1] < row)) return *hint = i;
  while (lo < hi) {
    const int64_t mid = lo + (hi - lo) / 2;
    if (l->row_map[mid] < row)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo < l->nmap) *hint = lo;
  return lo;
}

static void locate_shape(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run) {
  const int64_t i = map_index(l, (uint64_t)row, hint);
  if (i == l->nmap) {
    run->nrow = (int64_t)l->nrow - row;
    return;
  }
  const int64_t behind = (int64_t)l->row_map[i] - row;
  run->nrow = behind + 1;
  if (l->cubes[l->cube_map[i]].ndim == 0) return;
  run->cube = l->cube_map[i];
  run->pos[0] = (int64_t)l->pos_map[i] - behind;
}

static void locate_data(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run) {
  /* here an entry is the START of a stretch: the last one that is <= row */
  int64_t i = map_index(l, (uint64_t)row, hint);
  if (i == l->nmap || l->row_map[i] > (uint64_t)row) i--;
  const uint64_t end = l->last_row < l->nrow ? l->last_row : l->nrow;
  const uint64_t next = i + 1 < l->nmap ? l->row_map[i + 1] : end;
  run->nrow = (int64_t)(next < end ? next : end) - row;
  if (i < 0 || (uint64_t)row >= end) {
    run->nrow = (int64_t)((uint64_t)row >= end ? l->nrow : next) - row;
    return;
  }
  const sheaf_layout_cube *c = &l->cubes[l->cube_map[i]];
  if (c->ndim == 0) return;
  run->cube = l->cube_map[i];
  int64_t d = row - (int64_t)l->row_map[i];
  const int axes = l->ndim - l->cell_ndim;
  for (int a = 0; a < axes - 1; a++) {
    const int64_t n = c->shape[l->cell_ndim + a];
    run->pos[a] = n > 0 ? d % n : 0;
    d = n > 0 ? d / n : 0;
    if (a == 0 && n > 0 && run->nrow > n - run->pos[0]) run->nrow = n - run->pos[0];
  }
  run->pos[axes - 1] = d + l->pos_map[i];
}

static int check_run(const sheaf_layout *l, int64_t row, sheaf_layout_run *run, sheaf_error *err) {
  if (run->nrow > (int64_t)l->nrow - row) run->nrow = (int64_t)l->nrow - row;
  if (run->cube < 0) return 0;
  const sheaf_layout_cube *c = &l->cubes[run->cube];
  for (int a = 0; a < l->ndim - l->cell_ndim; a++) {
    const int64_t n = c->shape[l->cell_ndim + a], last = run->pos[a] + (a ? 0 : run->nrow - 1);
    if (run->pos[a] < 0 || last >= n)
      return sheaf_fail(
          err, SHEAF_ERR_DATA,
          "tiled header is damaged: row %lld at position %lld of cube %lld, which has %lld",
          (long long)row, (long long)last, (long long)run->cube, (long long)n);
  }
  return 0;
}

int sheaf_layout_locate(const sheaf_layout *l, int64_t row, int64_t *hint, sheaf_layout_run *run,
                        sheaf_error *err) {
  if (row < 0 || row >= (int64_t)l->nrow)
    return sheaf_fail(err, SHEAF_ERR_ARG, "row %lld: there are %llu rows", (long long)row,
                      (unsigned long long)l->nrow);
  run->nrow = 1;
  run->cube = -1;
  memset(run->pos, 0, sizeof run->pos);
  switch (l->manager) {
    case SHEAF_LAYOUT_SHAPE:
      locate_shape(l, row, hint, run);
      break;
    case SHEAF_LAYOUT_COLUMN:
      run->cube = 0;
      run->pos[0] = row;
      run->nrow = (int64_t)l->nrow - row;
      break;
    case SHEAF_LAYOUT_CELL:
      if (l->cubes[row].ndim) run->cube = row;
      break;
    case SHEAF_LAYOUT_DATA:
      locate_data(l, row, hint, run);
      break;
  }
  return check_run(l, row, run, err);
}

/* ---- writing ---- */

sheaf_layout *sheaf_layout_new(uint32_t seq, uint64_t nrow, int type, int big_endian,
                               const char *name, const int64_t *tile, int ndim) {
  sheaf_layout *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  *l = (sheaf_layout){.manager = SHEAF_LAYOUT_SHAPE, .type = type, .seq = seq, .nrow = nrow};
  l->big_endian = big_endian;
  l->ndim = l->ndefault = ndim;
  memcpy(l->default_tile, tile, (size_t)ndim * sizeof *tile);
  l->ncolumn = 1;
  l->ncube = 1; /* the dummy */
  l->hypercolumn = strdup(name);
  l->types = calloc(1, sizeof *l->types);
  l->cubes = calloc(1, sizeof *l->cubes);
  if (!l->hypercolumn || !l->types || !l->cubes) {
    sheaf_layout_free(l);
    return NULL;
  }
  l->types[0] = type;
  l->cubes[0].file = -1;
  return l;
}

static void put_block(sheaf_aips_out *out, const sheaf_layout *l, const uint64_t *wide,
                      const uint32_t *narrow) {
  sheaf_aips_put_start(out, "Block", 1);
  sheaf_aips_put_u32(out, (uint32_t)l->nmap);
  for (int64_t i = 0; i < l->nmap; i++)
    sheaf_aips_put_u32(out, wide ? (uint32_t)wide[i] : narrow[i]);
  sheaf_aips_put_end(out);
}

static void put_size(sheaf_aips_out *out, int wide, uint64_t value) {
  if (wide)
    sheaf_aips_put_u64(out, value);
  else
    sheaf_aips_put_u32(out, (uint32_t)value);
}

static void put_file(sheaf_aips_out *out, const sheaf_layout_file *f) {
  const int wide = f->length > INT32_MAX;
  sheaf_aips_put_u8(out, f->exists != 0);
  if (!f->exists) return;
  sheaf_aips_put_u32(out, wide ? 2 : 1);
  sheaf_aips_put_u32(out, f->number);
  put_size(out, wide, (uint64_t)f->length);
}

static void put_empty_record(sheaf_aips_out *out) {
  sheaf_aips_put_start(out, "Record", 1);
  sheaf_aips_put_start(out, "RecordDesc", 2);
  sheaf_aips_put_u32(out, 0);
  sheaf_aips_put_end(out);
  sheaf_aips_put_u32(out, 1);
  sheaf_aips_put_end(out);
}

static void put_cube(sheaf_aips_out *out, const sheaf_layout *l, const sheaf_layout_cube *c) {
  const int wide = c->offset > INT32_MAX;
  sheaf_aips_put_u32(out, wide ? 2 : 1);
  if (c->nrecord)
    sheaf_aips_put(out, l->header + c->record, c->nrecord);
  else
    put_empty_record(out);
  sheaf_aips_put_u8(out, c->extensible != 0);
  sheaf_aips_put_u32(out, (uint32_t)c->ndim);
  sheaf_aips_put_iposition(out, c->shape, c->ndim);
  sheaf_aips_put_iposition(out, c->tile, c->ndim);
  sheaf_aips_put_u32(out, (uint32_t)c->file);
  put_size(out, wide, (uint64_t)c->offset);
}

void sheaf_layout_write(const sheaf_layout *l, sheaf_aips_out *out) {
  const int wide = l->nrow > UINT32_MAX || l->max_cache > UINT32_MAX;
  const uint32_t version = wide ? 3 : l->big_endian ? 1 : 2;
  sheaf_aips_put_start(out, "TiledShapeStMan", 1);
  sheaf_aips_put_start(out, "TiledStMan", version);
  if (version >= 2) sheaf_aips_put_u8(out, l->big_endian != 0);
  sheaf_aips_put_u32(out, l->seq);
  put_size(out, wide, l->nrow);
  sheaf_aips_put_u32(out, l->ncolumn);
  for (uint32_t i = 0; i < l->ncolumn; i++) sheaf_aips_put_u32(out, (uint32_t)l->types[i]);
  sheaf_aips_put_str(out, l->hypercolumn, strlen(l->hypercolumn));
  put_size(out, wide, l->max_cache);
  sheaf_aips_put_u32(out, (uint32_t)l->ndim);
  put_size(out, wide, l->nfile);
  for (uint32_t i = 0; i < l->nfile; i++) put_file(out, &l->files[i]);
  put_size(out, wide, (uint64_t)l->ncube);
  for (int64_t i = 0; i < l->ncube; i++) put_cube(out, l, &l->cubes[i]);
  sheaf_aips_put_end(out);
  sheaf_aips_put_iposition(out, l->default_tile, l->ndefault);
  sheaf_aips_put_u32(out, (uint32_t)l->nmap);
  put_block(out, l, l->row_map, NULL);
  put_block(out, l, NULL, l->cube_map);
  put_block(out, l, NULL, l->pos_map);
  sheaf_aips_put_end(out);
}

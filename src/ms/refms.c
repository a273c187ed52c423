/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/refms.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/value.h"
#include "ms/checksum.h"
#include "ms/copier.h"
#include "ms/multims.h"
#include "table/concat.h"
#include "table/table.h"

enum { BATCH = 8192, NINT = 5, LATER = 4 };

/* What the ledger keeps checksums of: nobody writes to these columns, and they are small. */
static const char *const kInts[NINT] = {"SCAN_NUMBER", "DATA_DESC_ID", "FIELD_ID", "ANTENNA1",
                                        "ANTENNA2"};

static const char *const kData[] = {"DATA", "CORRECTED_DATA", "MODEL_DATA", "FLOAT_DATA",
                                    "LAG_DATA"};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the rows of a sub-MS");
}

/* ---- where the data are ---- */

/* The table with the rows of one source. */
typedef struct origin {
  sheaf_reftable ref; /* of a source that is itself a reference table; row NULL otherwise */
  int64_t offset;     /* of the source's first row, otherwise */
  int64_t root_nrow;
  char real[PATH_MAX];     /* the table */
  char inside[PATH_MAX];   /* "INPUT/SUBMSS/in.mms.0000.ms": from where the link lies */
  char *info;              /* table.info of the source */
  char **subtables;        /* names; ends in a NULL */
  sheaf_refcolumn *column; /* of the output, names owned by it */
  size_t ncolumn;
  char model[PATH_MAX]; /* the last sub-MS that was made of it; "" before the first */
} origin;

typedef struct links {
  size_t n;
  char (*target)[PATH_MAX]; /* real paths */
} links;

typedef struct builder {
  const sheaf_refms *rq;
  char vis[PATH_MAX];  /* real path */
  char base[PATH_MAX]; /* where the links lie in the end, real path */
  links links;
  size_t norigin; /* = nsource */
  origin *origin;
  int wide;
} builder;

static int lies_in(const char *dir, const char *path) {
  const size_t n = strlen(dir);
  return strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static void link_name(size_t i, char *out, size_t size) {
  if (i == 0)
    snprintf(out, size, "%s", SHEAF_REFMS_LINK);
  else
    snprintf(out, size, "%s.%zu", SHEAF_REFMS_LINK, i);
}

/* Gives the origin a way through one of the links: that to the input as a whole, where it lies
 * there. */
static int choose_link(builder *b, origin *o, sheaf_error *err) {
  char name[32];
  const char *target = lies_in(b->vis, o->real) ? b->vis : o->real;
  size_t i = 0;
  while (i < b->links.n && strcmp(b->links.target[i], target) != 0) i++;
  if (i == b->links.n) {
    void *more = realloc(b->links.target, (i + 1) * sizeof *b->links.target);
    if (!more) return no_memory(err);
    b->links.target = more;
    snprintf(b->links.target[i], PATH_MAX, "%s", target);
    b->links.n++;
  }
  link_name(i, name, sizeof name);
  snprintf(o->inside, sizeof o->inside, "%s%s", name, o->real + strlen(target));
  return 0;
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the tables in a directory, sorted. */
static int list_subtables(const char *dir, char ***names, sheaf_error *err) {
  size_t n = 0, room = 32;
  char path[PATH_MAX];
  struct stat info;
  DIR *list = opendir(dir);
  if (!list) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", dir);
  *names = calloc(room + 1, sizeof **names);
  int rc = *names ? 0 : no_memory(err);
  for (const struct dirent *entry; rc == 0 && (entry = readdir(list));) {
    if (entry->d_name[0] == '.' || strcmp(entry->d_name, "SORTED_TABLE") == 0) continue;
    snprintf(path, sizeof path, "%s/%s/table.dat", dir, entry->d_name);
    if (stat(path, &info) != 0) continue;
    if (n == room) {
      char **more = realloc(*names, (2 * room + 1) * sizeof *more);
      if (!more) {
        rc = no_memory(err);
        break;
      }
      *names = more;
      room *= 2;
    }
    (*names)[n] = strdup(entry->d_name);
    if (!(*names)[n++]) rc = no_memory(err);
    (*names)[n] = NULL;
  }
  closedir(list);
  if (rc == 0 && n) qsort(*names, n, sizeof **names, compare_texts);
  return rc;
}

/* The output's name of a column of the input; NULL when it is not wanted. */
static const char *wanted_name(const sheaf_copyplan *plan, const char *name) {
  for (size_t i = 0; i < sizeof kData / sizeof *kData; i++) {
    if (strcmp(name, kData[i]) != 0) continue;
    for (size_t k = 0; k < plan->ncolumn; k++)
      if (strcmp(plan->column[k].source, name) == 0) return plan->column[k].name;
    return NULL;
  }
  return name;
}

static int add_column(origin *o, const char *name, const char *source, sheaf_error *err) {
  sheaf_refcolumn *column = &o->column[o->ncolumn++];
  *column = (sheaf_refcolumn){strdup(name), strdup(source)};
  return column->name && column->source ? 0 : no_memory(err);
}

/* Whether the data columns of the input are all kept, and keep their names. */
static int keeps_data(const sheaf_copyplan *plan, const sheaf_table *table) {
  for (size_t i = 0; i < sizeof kData / sizeof *kData; i++) {
    const char *name = wanted_name(plan, kData[i]);
    if (sheaf_table_column(table, kData[i], NULL) && (!name || strcmp(name, kData[i]) != 0))
      return 0;
  }
  return 1;
}

/* Columns that tasks add to MSs. casacore passes over names that the other table does not have, so
 * that they are here as soon as they are there: otherwise a task that adds them through one sub-MS
 * fails at the next. */
static int add_later_columns(origin *o, const sheaf_table *table, sheaf_error *err) {
  static const char *const later[] = {"MODEL_DATA", "CORRECTED_DATA", "WEIGHT_SPECTRUM",
                                      "SIGMA_SPECTRUM"};
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < LATER; i++)
    if (!sheaf_table_column(table, later[i], NULL)) rc = add_column(o, later[i], later[i], err);
  return rc;
}

static int choose_columns(origin *o, const sheaf_copyplan *plan, const sheaf_table *table,
                          sheaf_error *err) {
  sheaf_column *all = NULL;
  size_t n;
  int rc = sheaf_table_columns(table, &all, &n, err);
  if (rc < 0) return rc;
  o->column = calloc(n + LATER + 1, sizeof *o->column);
  if (!o->column) rc = no_memory(err);
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    const char *name = wanted_name(plan, all[i].name), *source = all[i].name;
    if (!name) continue;
    if (o->ref.row) source = sheaf_reftable_source(&o->ref, source);
    if (source) rc = add_column(o, name, source, err);
  }
  if (rc >= 0 && keeps_data(plan, table)) rc = add_later_columns(o, table, err);
  free(all);
  return rc;
}

static int read_info(origin *o, const char *source, sheaf_error *err) {
  char file[PATH_MAX];
  size_t n;
  const int rc = sheaf_path_join(file, sizeof file, source, "table.info", err);
  return rc < 0 ? rc : sheaf_file_read(file, &o->info, &n, err);
}

/* The table that has the rows of a source, and its columns. */
static int find_origin(builder *b, origin *o, const char *source, int64_t *offset,
                       sheaf_error *err) {
  const sheaf_refms *rq = b->rq;
  sheaf_table *table = NULL;
  const char *holder = source;
  int rc;
  SHEAF_TRY(sheaf_table_open(&table, source, 0, err));
  if (!rq->multi && rq->nsource > 1) { /* one table of all members: the Multi-MS */
    o->offset = *offset;
    *offset += sheaf_table_nrow(table);
    holder = rq->vis;
  } else if (sheaf_table_kind_of(source) == SHEAF_KIND_REF) {
    SHEAF_TRY(sheaf_reftable_resolve(&o->ref, source, err));
    o->root_nrow = o->ref.root_nrow;
    holder = o->ref.root;
  } else {
    o->root_nrow = sheaf_table_nrow(table);
  }
  SHEAF_TRY(choose_columns(o, rq->plan, table, err));
  SHEAF_TRY(sheaf_path_real(holder, o->real, sizeof o->real, err));
  SHEAF_TRY(choose_link(b, o, err));
  SHEAF_TRY(list_subtables(o->real, &o->subtables, err));
  SHEAF_TRY(read_info(o, rq->multi ? source : rq->vis, err));
done:
  sheaf_table_close(table);
  return rc;
}

static int find_origins(builder *b, sheaf_error *err) {
  const sheaf_refms *rq = b->rq;
  int64_t offset = 0;
  b->origin = calloc(rq->nsource + 1, sizeof *b->origin);
  if (!b->origin) return no_memory(err);
  int rc = sheaf_path_real(rq->vis, b->vis, sizeof b->vis, err);
  for (size_t s = 0; rc >= 0 && s < rq->nsource; s++) {
    b->norigin = s + 1;
    rc = find_origin(b, &b->origin[s], rq->source[s], &offset, err);
  }
  for (size_t s = 0; rc >= 0 && s < rq->nsource; s++) {
    if (offset) b->origin[s].root_nrow = offset;
    b->wide |= b->origin[s].root_nrow >= UINT32_MAX;
  }
  return rc;
}

static void origin_free(origin *o) {
  sheaf_reftable_free(&o->ref);
  free(o->info);
  sheaf_mms_members_free(o->subtables);
  for (size_t i = 0; o->column && i < o->ncolumn; i++) {
    free(o->column[i].name);
    free(o->column[i].source);
  }
  free(o->column);
}

/* ---- links ---- */

/* The way from a directory to another path, both real. */
static void relative_path(const char *from, const char *to, char *out, size_t size) {
  size_t common = 0, used = 0;
  for (size_t i = 0;; i++) {
    const int end_from = from[i] == '/' || !from[i], end_to = to[i] == '/' || !to[i];
    if (end_from && end_to) common = i;
    if (!from[i] || !to[i] || from[i] != to[i]) break;
  }
  out[0] = '\0';
  for (const char *p = from + common; *p; p++)
    if (*p == '/' && p[1])
      used += (size_t)snprintf(out + used, used < size ? size - used : 0, "../");
  const char *rest = to + common + (to[common] == '/');
  snprintf(out + used, used < size ? size - used : 0, "%s", rest);
}

static int make_links(const builder *b, sheaf_error *err) {
  char path[PATH_MAX], name[32], target[PATH_MAX];
  for (size_t i = 0; i < b->links.n; i++) {
    link_name(i, name, sizeof name);
    snprintf(path, sizeof path, "%s%s/%s", b->rq->place, b->rq->multi ? "/SUBMSS" : "", name);
    relative_path(b->base, b->links.target[i], target, sizeof target);
    if (symlink(target, path) != 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be linked", path);
  }
  return 0;
}

/* One more name of the link of that name in the directory `model` (NULL: none yet). Links are alike
 * in all sub-MSs, and a name costs less than a file. */
static int share_link(const char *path, const char *model, const char *name) {
  char from[PATH_MAX];
  if (!model) return 0;
  snprintf(from, sizeof from, "%s/%s", model, name);
  return link(from, path) == 0;
}

/* Links in the directory `dir` to the sub-tables of an origin; `way` leads from there to it. */
static int link_subtables(const char *dir, const char *way, char *const *names, const char *model,
                          sheaf_error *err) {
  char target[2 * PATH_MAX], path[PATH_MAX];
  for (size_t i = 0; names[i]; i++) {
    const int rc = sheaf_path_join(path, sizeof path, dir, names[i], err);
    if (rc < 0) return rc;
    if (share_link(path, model, names[i])) continue;
    snprintf(target, sizeof target, "%s/%s", way, names[i]);
    if (symlink(target, path) != 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be linked", path);
  }
  return 0;
}

/* ---- rows ---- */

typedef struct id_set {
  int32_t *id; /* ascending */
  size_t n, room;
} id_set;

typedef struct unit {
  uint8_t *rows; /* big endian */
  int64_t n, last;
  int ascending;
  id_set scans, ddids;
  uint64_t rowlist, time, ints[NINT]; /* checksums */
} unit;

/* Some rows, column by column. */
typedef struct batch {
  int64_t n;
  int32_t ints[NINT][BATCH];
  double time_s[BATCH];
  int64_t root[BATCH]; /* rows of the table with the data */
} batch;

static int id_set_add(id_set *set, int32_t id) {
  size_t at = set->n;
  while (at > 0 && set->id[at - 1] > id) at--;
  if (at > 0 && set->id[at - 1] == id) return 1;
  if (set->n == set->room) {
    const size_t room = set->room ? 2 * set->room : 8;
    int32_t *more = realloc(set->id, room * sizeof *more);
    if (!more) return 0;
    set->id = more;
    set->room = room;
  }
  memmove(set->id + at + 1, set->id + at, (set->n++ - at) * sizeof *set->id);
  set->id[at] = id;
  return 1;
}

static int add_ids(id_set *set, const int32_t *id, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if ((i == 0 || id[i] != id[i - 1]) && !id_set_add(set, id[i])) return 0;
  return 1;
}

static void put_row(uint8_t *to, int64_t row, int size) {
  for (int i = 0; i < size; i++) to[i] = (uint8_t)(row >> 8 * (size - 1 - i));
}

static int add_batch(unit *u, const batch *b, int wide, sheaf_error *err) {
  const int size = wide ? 8 : 4;
  const size_t n = (size_t)b->n;
  for (size_t i = 0; i < n; i++) {
    u->ascending &= b->root[i] > u->last;
    u->last = b->root[i];
    put_row(u->rows + ((size_t)u->n + i) * (size_t)size, b->root[i], size);
  }
  sheaf_checksum_cells(&u->rowlist, u->n, b->n, NULL, b->root, sizeof *b->root);
  sheaf_checksum_cells(&u->time, u->n, b->n, NULL, b->time_s, sizeof *b->time_s);
  for (int k = 0; k < NINT; k++)
    sheaf_checksum_cells(&u->ints[k], u->n, b->n, NULL, b->ints[k], sizeof **b->ints);
  u->n += b->n;
  if (add_ids(&u->scans, b->ints[0], b->n) && add_ids(&u->ddids, b->ints[1], b->n)) return 0;
  return no_memory(err);
}

/* In the order of kInts. */
static void put_key(batch *b, const sheaf_rowkey *key, const origin *o) {
  const int32_t ids[NINT] = {key->scan, key->ddid, key->field, key->antenna1, key->antenna2};
  for (int k = 0; k < NINT; k++) b->ints[k][b->n] = ids[k];
  b->time_s[b->n] = key->time_s;
  b->root[b->n++] = o->ref.row ? o->ref.row[key->row] : o->offset + key->row;
}

static int add_span(const builder *b, unit *u, const sheaf_refspan *span, batch *rows,
                    sheaf_error *err) {
  const origin *o = &b->origin[span->source];
  sheaf_recreader reader;
  const void *record;
  int rc = sheaf_recreader_open(&reader, &span->records, 1, b->rq->record_size, BATCH, err);
  if (rc < 0) return rc;
  rows->n = 0;
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    put_key(rows, record, o);
    if (rows->n < BATCH) continue;
    rc = add_batch(u, rows, b->wide, err);
    rows->n = 0;
  }
  if (rc >= 0 && rows->n) rc = add_batch(u, rows, b->wide, err);
  sheaf_recreader_close(&reader);
  return rc;
}

static int unit_begin(unit *u, int64_t rows, int wide, sheaf_error *err) {
  *u = (unit){.last = -1, .ascending = 1};
  u->rows = malloc((size_t)rows * (wide ? 8 : 4) + 1);
  return u->rows ? 0 : no_memory(err);
}

static void unit_free(unit *u) {
  free(u->scans.id);
  free(u->ddids.id);
  free(u->rows);
}

/* ---- one sub-MS ---- */

static json_t *id_list(const id_set *set) {
  json_t *list = json_array();
  for (size_t i = 0; i < set->n; i++) json_array_append_new(list, json_integer(set->id[i]));
  return list;
}

static json_t *hex_value(uint64_t sum) {
  char hex[17];
  sheaf_checksum_hex(sum, hex);
  return json_string(hex);
}

static json_t *ledger_entry(const unit *u, const char *name) {
  json_t *columns = json_object();
  json_object_set_new(columns, "TIME", hex_value(u->time));
  for (int k = 0; k < NINT; k++) json_object_set_new(columns, kInts[k], hex_value(u->ints[k]));
  return json_pack("{s:s,s:I,s:o,s:o,s:o,s:o}", "name", name, "rows", (json_int_t)u->n, "scans",
                   id_list(&u->scans), "ddids", id_list(&u->ddids), "rowlist",
                   hex_value(u->rowlist), "columns", columns);
}

static int write_text(const char *dir, const char *name, const char *text, sheaf_error *err) {
  char path[PATH_MAX];
  int rc = sheaf_path_join(path, sizeof path, dir, name, err);
  if (rc < 0) return rc;
  FILE *file = fopen(path, "wxe");
  if (!file) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  const int failed = fputs(text, file) < 0;
  if (fclose(file) != 0 || failed) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return rc;
}

static int make_dir(const char *path, sheaf_error *err) {
  if (mkdir(path, 0777) != 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return 0;
}

static int write_unit(const builder *b, const unit *u, const sheaf_refunit *what,
                      sheaf_error *err) {
  const sheaf_refms *rq = b->rq;
  origin *o = &b->origin[what->span[0].source];
  char dir[PATH_MAX], root[PATH_MAX + 8], way[PATH_MAX + 8];
  int rc = 0;
  if (rq->multi)
    snprintf(dir, sizeof dir, "%s/SUBMSS/%s", rq->place, what->name);
  else
    snprintf(dir, sizeof dir, "%s", rq->place);
  snprintf(root, sizeof root, "%s%s", rq->multi ? "./" : "././", o->inside);
  snprintf(way, sizeof way, "%s%s", rq->multi ? "../" : "", o->inside);
  const sheaf_refdraft draft = {.root = root,
                                .root_nrow = o->root_nrow,
                                .column = o->column,
                                .ncolumn = o->ncolumn,
                                .rows = u->rows,
                                .nrow = u->n,
                                .wide = b->wide,
                                .ascending = u->ascending};
  if (rq->multi) SHEAF_TRY(make_dir(dir, err));
  SHEAF_TRY(sheaf_reftable_write(dir, &draft, err));
  SHEAF_TRY(write_text(dir, "table.info", o->info, err));
  SHEAF_TRY(link_subtables(dir, way, o->subtables, o->model[0] ? o->model : NULL, err));
  snprintf(o->model, sizeof o->model, "%s", dir);
done:
  return rc;
}

/* ---- all of them ---- */

static int check_memory(const builder *b, const sheaf_refunit *what, sheaf_error *err) {
  const int64_t need = what->nrow * (b->wide ? 8 : 4);
  if (need <= sheaf_memory_budget()) return 0;
  return sheaf_fail(err, SHEAF_ERR_NOMEM,
                    "the row numbers of %s need %lld MB of memory, the budget of this process is "
                    "%lld MB; make more sub-MSs (numsubms) or raise SHEAF_MEMORY (--memory)",
                    what->name, (long long)(need >> 20), (long long)(sheaf_memory_budget() >> 20));
}

static int build_unit(const builder *b, const sheaf_refunit *what, batch *rows, json_t *members,
                      sheaf_error *err) {
  unit u = {0};
  int rc;
  SHEAF_TRY(sheaf_cancel_check(err));
  SHEAF_TRY(check_memory(b, what, err));
  SHEAF_TRY(unit_begin(&u, what->nrow, b->wide, err));
  for (size_t i = 0; i < what->nspan; i++) SHEAF_TRY(add_span(b, &u, &what->span[i], rows, err));
  SHEAF_TRY(write_unit(b, &u, what, err));
  if (json_array_append_new(members, ledger_entry(&u, what->name)) != 0) rc = no_memory(err);
done:
  unit_free(&u);
  return rc;
}

static int build_units(const builder *b, json_t *members, sheaf_error *err) {
  batch *rows = malloc(sizeof *rows);
  int rc = rows ? 0 : no_memory(err);
  for (size_t i = 0; rc >= 0 && i < b->rq->nunit; i++)
    rc = build_unit(b, &b->rq->unit[i], rows, members, err);
  free(rows);
  return rc;
}

static int64_t sum_rows(const sheaf_refms *rq) {
  int64_t sum = 0;
  for (size_t i = 0; i < rq->nunit; i++) sum += rq->unit[i].nrow;
  return sum;
}

/* The Multi-MS itself: as any other's, its sub-tables are those of the first sub-MS. */
static int build_top(const builder *b, sheaf_error *err) {
  const sheaf_refms *rq = b->rq;
  char way[PATH_MAX];
  const char **names = calloc(rq->nunit + 1, sizeof *names);
  int rc = names ? 0 : no_memory(err);
  for (size_t i = 0; names && i < rq->nunit; i++) names[i] = rq->unit[i].name;
  snprintf(way, sizeof way, "SUBMSS/%s", rq->unit[0].name);
  if (rc >= 0)
    rc = link_subtables(rq->place, way, b->origin[rq->unit[0].span[0].source].subtables, NULL, err);
  if (rc >= 0) rc = sheaf_mms_write(rq->place, names, rq->nunit, sum_rows(rq), rq->axis, err);
  free(names);
  return rc;
}

int sheaf_refms_build(const sheaf_refms *rq, json_t *members, sheaf_error *err) {
  builder b = {.rq = rq};
  char path[PATH_MAX];
  int rc;
  SHEAF_TRY(sheaf_path_real(rq->final, path, sizeof path, err));
  snprintf(b.base, sizeof b.base, "%s%s", path, rq->multi ? "/SUBMSS" : "");
  SHEAF_TRY(find_origins(&b, err));
  if (rq->multi) {
    SHEAF_TRY(sheaf_path_join(path, sizeof path, rq->place, "SUBMSS", err));
    SHEAF_TRY(make_dir(path, err));
  }
  SHEAF_TRY(make_links(&b, err));
  SHEAF_TRY(build_units(&b, members, err));
  if (rq->multi) SHEAF_TRY(build_top(&b, err));
done:
  for (size_t i = 0; i < b.norigin; i++) origin_free(&b.origin[i]);
  free(b.origin);
  free(b.links.target);
  return rc;
}

/* ---- looking at one ---- */

int sheaf_refms_check(const char *vis, sheaf_error *err) {
  sheaf_error why;
  if (!sheaf_reftable_orphaned(vis, &why)) return 0;
  return sheaf_fail(err, why.code, "vis: %s", why.text);
}

int sheaf_refms_target(const char *path, char *target, size_t size, sheaf_error *err) {
  sheaf_reftable ref;
  json_t *members = NULL;
  char first[PATH_MAX];
  snprintf(first, sizeof first, "%s", path);
  if (sheaf_concat_members(path, &members, NULL, NULL) == 1 && json_array_size(members) > 0)
    snprintf(first, sizeof first, "%s", json_string_value(json_array_get(members, 0)));
  json_decref(members);
  if (sheaf_table_kind_of(first) != SHEAF_KIND_REF) {
    snprintf(target, size, "%s", path);
    return 0;
  }
  int rc = sheaf_reftable_resolve(&ref, first, err);
  if (rc < 0) return rc;
  rc = sheaf_path_real(ref.root, target, size, err);
  sheaf_reftable_free(&ref);
  return rc < 0 ? rc : 1;
}

int sheaf_refms_check_rows(const char *path, const json_t *entry, sheaf_error *err) {
  const char *expected = sheaf_value_str(entry, "rowlist", NULL);
  sheaf_reftable ref;
  uint64_t sum = 0;
  char hex[17];
  if (!expected) return 1;
  int rc = sheaf_reftable_read(&ref, path, err);
  if (rc < 0) return rc;
  sheaf_checksum_cells(&sum, 0, ref.nrow, NULL, ref.row, sizeof *ref.row);
  sheaf_checksum_hex(sum, hex);
  rc = strcmp(hex, expected) == 0;
  sheaf_reftable_free(&ref);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "flag/virtual.h"
#include "ms/colreader.h"
#include "table/table.h"

enum { FLAGS = SHEAF_FLAG_NCOLUMN, NREADER, OPEN_MEMBERS = 48, MODEL = 2 };
/* Of a block of one thread, and of those of all threads. */
static const int64_t most_bytes = (int64_t)48 << 20, most_together = (int64_t)160 << 20;

typedef struct member {
  sheaf_table *table;
  sheaf_colreader reader[NREADER];
  int open[NREADER];
} member;

struct sheaf_flag_loader {
  const sheaf_flag_vis *vis;
  unsigned data, chosen; /* columns that are needed, those that are read */
  int rows;              /* FLAG_ROW is wanted */
  const char *name[NREADER];
  member *members;
  sheaf_flag_virtual *models; /* NULL: MODEL is a column */
  int64_t limit;
  sheaf_buffer buffer[NREADER + 3];
};
enum { ORIGINAL = NREADER, ROW_NOW, ROW_BEFORE };

static const char *const kNames[NREADER] = {"DATA",       "CORRECTED_DATA",
                                            "MODEL_DATA", "WEIGHT_SPECTRUM",
                                            "WEIGHT",     "SIGMA_SPECTRUM",
                                            "SIGMA",      "CPARAM",
                                            "SNR",        "FLAG"};

static int is_by_row(int column) {
  return column == 4 || column == 6; /* WEIGHT, SIGMA */
}

/* ---- opening ---- */

int64_t sheaf_flag_loader_share(void) {
  const int64_t n = sheaf_threads_all();
  int64_t share = sheaf_memory_budget() / (7 * n);
  if (share > most_together / n) share = most_together / n;
  return share < most_bytes ? share : most_bytes;
}

int sheaf_flag_loader_open(sheaf_flag_loader **loader, const sheaf_flag_vis *vis,
                           const sheaf_flag_agents *agents, sheaf_error *err) {
  sheaf_flag_loader *l = *loader = calloc(1, sizeof *l);
  if (l) l->members = calloc(vis->nmember + 1, sizeof *l->members);
  if (!l || !l->members) {
    free(l);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", vis->path);
  }
  l->vis = vis;
  l->data = l->chosen = agents->data;
  l->rows = (agents->columns & SHEAF_ROWS_FLAG_ROW) != 0;
  memcpy(l->name, kNames, sizeof kNames);
  for (size_t i = 0; i < agents->n; i++) {
    const sheaf_flag_agent *a = &agents->agent[i];
    if (a->real && a->source == SHEAF_FLAG_ON_DATA && a->data) l->name[0] = "FLOAT_DATA";
    if (a->real && a->source == SHEAF_FLAG_ON_PARAM) l->name[7] = "FPARAM";
  }
  l->limit = sheaf_flag_loader_share();
  return agents->virtual_model ? sheaf_flag_virtual_open(&l->models, vis, err) : 0;
}

static void close_member(member *m) {
  for (int i = 0; i < NREADER; i++)
    if (m->open[i]) sheaf_colreader_close(&m->reader[i]);
  sheaf_table_close(m->table);
  *m = (member){0};
}

void sheaf_flag_loader_close(sheaf_flag_loader *l) {
  if (!l) return;
  sheaf_flag_virtual_close(l->models);
  for (size_t i = 0; i < l->vis->nmember; i++) close_member(&l->members[i]);
  for (size_t i = 0; i < sizeof l->buffer / sizeof *l->buffer; i++) sheaf_pool_give(&l->buffer[i]);
  free(l->members);
  free(l);
}

/* The reader of a column; NULL in *reader when the table lacks it. */
static int reader_of(sheaf_flag_loader *l, size_t number, int column, sheaf_colreader **reader,
                     sheaf_error *err) {
  member *m = &l->members[number];
  int rc = 0;
  *reader = NULL;
  if (!m->table) rc = sheaf_table_open(&m->table, l->vis->member[number], 0, err);
  if (rc < 0) return rc;
  if (!m->open[column]) {
    if (!sheaf_table_column(m->table, l->name[column], NULL)) return 0;
    rc = sheaf_colreader_open(&m->reader[column], m->table, l->name[column], err);
    if (rc < 0) return rc;
    m->open[column] = 1;
  }
  *reader = &m->reader[column];
  return 0;
}

int sheaf_flag_loader_shape(sheaf_flag_loader *l, size_t number, int64_t row, int64_t *nchan,
                            int64_t *ncorr, sheaf_error *err) {
  sheaf_colreader *reader;
  sheaf_shape shape;
  int rc = reader_of(l, number, FLAGS, &reader, err);
  *nchan = *ncorr = 0;
  if (rc < 0) return rc;
  if (!reader)
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s has no column FLAG", l->vis->member[number]);
  if ((rc = sheaf_colreader_shape(reader, row, &shape, err)) < 0 || shape.ndim == 0) return rc;
  if (shape.ndim != 2)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: FLAG of row %lld has %d axes, not 2",
                      l->vis->member[number], (long long)row, shape.ndim);
  *ncorr = shape.axis[0];
  *nchan = shape.axis[1];
  return 0;
}

static int64_t cell_bytes(const sheaf_flag_loader *l, int column, int64_t nchan, int64_t ncorr) {
  if (!(l->data >> column & 1)) return 0;
  const int complex = column < 3 || (column == 7 && l->name[7][0] == 'C');
  return (is_by_row(column) ? 1 : nchan) * ncorr * (complex && l->name[column][0] != 'F' ? 8 : 4);
}

int64_t sheaf_flag_loader_bytes(const sheaf_flag_loader *l, int64_t nchan, int64_t ncorr) {
  int64_t bytes = 2 * nchan * ncorr + 160;
  for (int i = 0; i < SHEAF_FLAG_NCOLUMN; i++) bytes += cell_bytes(l, i, nchan, ncorr);
  return bytes;
}

int64_t sheaf_flag_loader_limit(const sheaf_flag_loader *l) {
  return l->limit;
}

int64_t sheaf_flag_loader_rows(const sheaf_flag_loader *l, int64_t nchan, int64_t ncorr) {
  const int64_t n = l->limit / sheaf_flag_loader_bytes(l, nchan, ncorr);
  return n > 0 ? n : 1;
}

/* ---- reading ---- */

static void *buffer(sheaf_flag_loader *l, int which, size_t size, sheaf_error *err) {
  if (!sheaf_pool_need(&l->buffer[which], size + 64))
    sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its cells", l->vis->path);
  return l->buffer[which].memory;
}

/* Rows of the block that lie in one member. */
typedef struct stretch {
  size_t member;
  int64_t from, n;
} stretch;

static stretch stretch_at(const sheaf_flag_rows *r, int64_t from) {
  stretch s = {r->members ? r->members[from] : r->member, from, 0};
  if (!r->members) s.n = r->n - from;
  while (r->members && from + s.n < r->n && r->members[from + s.n] == s.member) s.n++;
  return s;
}

/* Whether all rows have cells of that shape: 1, 0 when one is undefined, or an error. */
static int all_defined(sheaf_flag_loader *l, sheaf_colreader *reader, const int64_t *rows,
                       int64_t n, const sheaf_shape *want, const char *table, sheaf_error *err) {
  for (int64_t i = 0; i < n; i++) {
    sheaf_shape shape;
    const int rc = sheaf_colreader_shape(reader, rows[i], &shape, err);
    if (rc < 0) return rc;
    if (shape.ndim == 0) return 0;
    if (!sheaf_shape_equal(&shape, want))
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: %s of row %lld has another shape than FLAG",
                        table, reader->name, (long long)rows[i]);
    if (rows[i] < reader->to) { /* known for all rows up to there */
      while (i + 1 < n && rows[i + 1] < reader->to && rows[i + 1] >= reader->from) i++;
    }
  }
  (void)l;
  return 1;
}

static int check_type(const sheaf_colreader *reader, int column, const char *table,
                      sheaf_error *err) {
  const int want = column == FLAGS                                         ? SHEAF_BOOL
                   : column < 3 && strcmp(reader->name, "FLOAT_DATA") != 0 ? SHEAF_COMPLEX
                   : strcmp(reader->name, "CPARAM") == 0                   ? SHEAF_COMPLEX
                                                                           : SHEAF_FLOAT;
  if (reader->type == want) return 0;
  return sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s is of an unusual type", table,
                    reader->name);
}

/* Cells of a column of rows of one member; *there is 0 when a row lacks it. */
static int read_stretch(sheaf_flag_loader *l, int column, const sheaf_flag_block *b, stretch s,
                        uint8_t *to, int *there, sheaf_error *err) {
  sheaf_shape want = {.ndim = is_by_row(column) ? 1 : 2, .axis = {b->ncorr, b->nchan}};
  const char *table = l->vis->member[s.member];
  sheaf_colreader *reader;
  if (is_by_row(column)) want.axis[1] = 0;
  *there = 0;
  int rc = reader_of(l, s.member, column, &reader, err);
  if (rc < 0 || !reader) return rc;
  if ((rc = check_type(reader, column, table, err)) < 0) return rc;
  rc = all_defined(l, reader, b->rows.row + s.from, s.n, &want, table, err);
  if (rc <= 0) return rc;
  *there = 1;
  rc = sheaf_colreader_read(reader, b->rows.row + s.from, s.n, &want, to, err);
  if (rc >= 0 && l->vis->nmember > OPEN_MEMBERS && reader->tiles)
    rc = sheaf_tiles_finish(reader->tiles, err);
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", table) : 0;
}

/* Virtual models of these rows, over what the column says. */
static int fill_model(sheaf_flag_loader *l, const sheaf_flag_block *b, stretch s, uint8_t *to,
                      int *there, sheaf_error *err) {
#define PART(array) b->rows.array ? b->rows.array + s.from : NULL
  const sheaf_flag_virtual_rows rows = {.member = s.member,
                                        .table = l->members[s.member].table,
                                        .row = b->rows.row + s.from,
                                        .field = PART(field),
                                        .scan = PART(scan),
                                        .state = PART(state),
                                        .n = s.n,
                                        .spw = b->rows.spw,
                                        .pol = b->rows.pol,
                                        .nchan = b->nchan,
                                        .ncorr = b->ncorr,
                                        .column = *there,
                                        .many = l->vis->nmember > OPEN_MEMBERS};
#undef PART
  *there = 1;
  return sheaf_flag_virtual_fill(l->models, &rows, (float *)(void *)to, err);
}

/* One column of the block; *there is 0 when a row lacks it. */
static int read_column(sheaf_flag_loader *l, int column, const sheaf_flag_block *b, uint8_t *to,
                       size_t cell, int *there, sheaf_error *err) {
  *there = 1;
  for (int64_t at = 0; at < b->rows.n && *there;) {
    const stretch s = stretch_at(&b->rows, at);
    uint8_t *cells = to + (size_t)at * cell;
    int rc = read_stretch(l, column, b, s, cells, there, err);
    if (rc >= 0 && column == MODEL && l->models) rc = fill_model(l, b, s, cells, there, err);
    if (rc < 0) return rc;
    at += s.n;
  }
  return 0;
}

int sheaf_flag_loader_columns(sheaf_flag_loader *l, const sheaf_flag_block *b, unsigned *columns,
                              sheaf_error *err) {
  *columns = 0;
  for (int i = 0; i < SHEAF_FLAG_NCOLUMN; i++) {
    const int virtual = i == MODEL && l->models;
    int there = (l->data >> i & 1) != 0;
    sheaf_shape want = {.ndim = is_by_row(i) ? 1 : 2, .axis = {b->ncorr, b->nchan}};
    if (is_by_row(i)) want.axis[1] = 0;
    for (int64_t at = 0; there && !virtual && at < b->rows.n;) {
      const stretch s = stretch_at(&b->rows, at);
      sheaf_colreader *reader;
      int rc = reader_of(l, s.member, i, &reader, err);
      if (rc < 0) return rc;
      there = reader != NULL;
      if (reader)
        there = all_defined(l, reader, b->rows.row + at, s.n, &want, l->vis->member[s.member], err);
      if (there < 0) return there;
      at += s.n;
    }
    *columns |= (unsigned)there << i;
  }
  return 0;
}

void sheaf_flag_loader_choose(sheaf_flag_loader *l, unsigned columns) {
  l->chosen = l->data & columns;
}

static int read_rows(sheaf_flag_loader *l, sheaf_flag_block *b, sheaf_error *err) {
  const size_t n = (size_t)b->rows.n;
  uint8_t *now = buffer(l, ROW_NOW, n, err), *before = buffer(l, ROW_BEFORE, n, err);
  if (!now || !before) return SHEAF_ERR_NOMEM;
  for (int64_t at = 0; at < b->rows.n;) {
    const stretch s = stretch_at(&b->rows, at);
    sheaf_colreader *reader;
    int rc = reader_of(l, s.member, FLAGS, &reader, err); /* opens the table */
    if (rc >= 0)
      rc = sheaf_table_get_rows(l->members[s.member].table, "FLAG_ROW", b->rows.row + at, s.n,
                                before + at, err);
    if (rc < 0) return rc;
    at += s.n;
  }
  memcpy(now, before, n);
  b->flag_row = now;
  return 0;
}

int sheaf_flag_loader_read(sheaf_flag_loader *l, sheaf_flag_block *b, sheaf_error *err) {
  const size_t n = (size_t)b->rows.n, cell = (size_t)(b->nchan * b->ncorr);
  int there, rc;
  uint8_t *flag = buffer(l, FLAGS, n * cell, err), *original = buffer(l, ORIGINAL, n * cell, err);
  if (!flag || !original) return SHEAF_ERR_NOMEM;
  b->flag_row = NULL;
  SHEAF_TRY(read_column(l, FLAGS, b, original, cell, &there, err));
  memcpy(flag, original, n * cell);
  b->flag = flag;
  b->original = original;
  b->real = l->name[0][0] == 'F';
  for (int i = 0; i < SHEAF_FLAG_NCOLUMN; i++) {
    const size_t size = (size_t)cell_bytes(l, i, b->nchan, b->ncorr);
    b->data[i] = NULL;
    if (!size || !(l->chosen >> i & 1)) continue;
    float *to = buffer(l, i, n * size, err);
    if (!to) return SHEAF_ERR_NOMEM;
    SHEAF_TRY(read_column(l, i, b, (uint8_t *)to, size, &there, err));
    if (there) b->data[i] = to;
  }
  if (l->rows) SHEAF_TRY(read_rows(l, b, err));
done:
  return rc;
}

const uint8_t *sheaf_flag_loader_row_before(const sheaf_flag_loader *l) {
  return l->rows ? l->buffer[ROW_BEFORE].memory : NULL;
}

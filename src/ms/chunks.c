/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/chunks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/memory.h"
#include "table/putter.h"
#include "table/table.h"
#include "table/tiles.h"

enum {
  BLOCK = 65536,      /* rows looked at together */
  ALIGN = 64,         /* of a column in a chunk's memory */
  DESCRIPTORS = 4,    /* tile files that stay open; casacore needs some, too */
  WRITEBACK = 1 << 26 /* bytes between requests to write to disk */
};
static const int64_t most_bytes = (int64_t)1 << 25; /* of a chunk */

typedef sheaf_cells shape; /* of which only type, size, ndim, shape and ncell count */

typedef struct column {
  char name[64];
  unsigned how;
  int absent, scalar;
  int type;
  size_t size;
  sheaf_tiles *reader; /* of the reading thread; NULL: through casacore */
  sheaf_tiles *own;    /* of the caller's thread: shapes, writing */
  int fixed;           /* through casacore: all cells have one shape */
  int64_t from, to;    /* rows known to have shapes[known] */
  int known;
  shape *shapes; /* all that occurred */
  int nshape, rshape;
  uint8_t *block; /* scalars through casacore: of the block */
  int64_t unwritten;
} column;

/* Rows of one data description and one shape per column, within a window. */
typedef struct group {
  int32_t ddid;
  int number; /* by first appearance */
  int shape[SHEAF_CHUNK_COLUMNS];
  int64_t nrow, bytes; /* bytes of a row */
  int64_t first;       /* place of its first row in the window's list */
} group;

/* A chunk and its memory. */
typedef struct slot {
  sheaf_chunk chunk;
  int64_t *rows;
  int64_t rrow;
  uint8_t *memory;
  int64_t rmemory;
} slot;

struct sheaf_chunks {
  char *path;
  sheaf_table *table;
  sheaf_select *select;
  const uint8_t *rows; /* bits, from row0 on; NULL: all */
  int others;          /* the rows whose bit is 0 */
  sheaf_putter *putter;
  int64_t row0, at, end, max_rows, limit;
  column columns[SHEAF_CHUNK_COLUMNS];
  size_t ncolumn;
  int thrifty; /* tile files are closed after use */
  /* the block of rows [block0, block0 + nblock) */
  int64_t block0, nblock;
  int32_t *ddid;
  uint8_t *keep;
  /* the window: rows by group, groups in their order */
  int64_t *window;
  int *member;
  group *groups;
  int ngroup, rgroup, next_group;
  slot slots[2];
  int present; /* slot that the caller has */
  int begun;
  /* the reading thread */
  pthread_t thread;
  int threaded;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  slot *job; /* to be read or being read */
  int in_flight, stop, rc;
  sheaf_error error;
};

/* ---- columns ---- */

static int open_tiles(sheaf_chunks *c, column *col, sheaf_error *err) {
  sheaf_tiles_info info;
  int rc = sheaf_tiles_open_pending(&col->own, c->path, col->name,
                                    (col->how & SHEAF_CHUNK_WRITE) != 0, err);
  if (rc != 0) return rc;
  sheaf_tiles_describe(col->own, &info);
  col->type = info.type;
  col->size = (size_t)info.size;
  col->scalar = info.ndim == 0;
  if (info.ndim > SHEAF_CHUNK_MAXDIM)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s has cells of %d axes", c->path, col->name,
                      info.ndim);
  return col->how & SHEAF_CHUNK_READ ? sheaf_tiles_dup(&col->reader, col->own, err) : 0;
}

static int open_casacore(sheaf_chunks *c, column *col, sheaf_error *err) {
  sheaf_column info;
  if (!sheaf_table_column(c->table, col->name, &info)) {
    col->absent = 1;
    return 0;
  }
  col->type = info.type;
  col->size = sheaf_type_size(info.type);
  col->scalar = !info.array;
  col->fixed = info.fixed;
  if (!col->size)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s holds no numbers", c->path, col->name);
  if (col->scalar && !(col->block = malloc((size_t)BLOCK * col->size)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for column %s", c->path, col->name);
  if ((col->how & SHEAF_CHUNK_WRITE) && !c->putter)
    return sheaf_putter_open(&c->putter, c->path, err);
  return 0;
}

static int open_column(sheaf_chunks *c, column *col, int optional, sheaf_error *err) {
  int rc = open_tiles(c, col, err);
  if (rc == SHEAF_ERR_NOTFOUND) col->absent = 1;
  if (rc == SHEAF_TILES_UNKNOWN) rc = open_casacore(c, col, err);
  if (col->absent && optional) return 0;
  if (col->absent)
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", c->path, col->name);
  if (rc == 0)
    sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s goes %s", c->path, col->name,
              col->own ? "through its tiles" : "through casacore");
  return rc;
}

static void close_column(column *col) {
  sheaf_tiles_close(col->reader);
  sheaf_tiles_close(col->own);
  free(col->shapes);
  free(col->block);
}

/* ---- shapes ---- */

static int same_shape(const shape *a, const shape *b) {
  return a->ncell == b->ncell && a->ndim == b->ndim &&
         memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

/* The number of a shape among those of its column. */
static int number_shape(column *col, const shape *s, sheaf_error *err) {
  for (int i = col->nshape - 1; i >= 0; i--)
    if (same_shape(&col->shapes[i], s)) return i;
  if (col->nshape == col->rshape) {
    const int room = 2 * col->rshape + 4;
    shape *more = realloc(col->shapes, (size_t)room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for shapes of %s", col->name);
    col->shapes = more;
    col->rshape = room;
  }
  col->shapes[col->nshape] = *s;
  return col->nshape++;
}

static int shape_in_tiles(column *col, int64_t row, shape *s, sheaf_error *err) {
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  int rc = sheaf_tiles_span_at(col->own, row, &span, err);
  if (rc < 0) return rc;
  col->from = row;
  col->to = row + span.nrow;
  if (span.cube < 0) return 0;
  if ((rc = sheaf_tiles_cube_at(col->own, span.cube, &cube, err)) < 0) return rc;
  s->ndim = cube.ndim;
  s->ncell = 1;
  for (int i = 0; i < cube.ndim; i++) s->ncell *= s->shape[i] = cube.shape[i];
  return 0;
}

static int shape_in_casacore(const sheaf_chunks *c, column *col, int64_t row, shape *s,
                             sheaf_error *err) {
  const int all = col->scalar || col->fixed;
  col->from = all ? 0 : row;
  col->to = all ? sheaf_table_nrow(c->table) : row + 1;
  s->ncell = 1;
  if (col->scalar) return 0;
  const int ndim = sheaf_table_cell_shape(c->table, col->name, row, s->shape, err);
  if (ndim < 0) return ndim;
  s->ndim = ndim;
  if (ndim == 0) s->ncell = 0;
  for (int i = 0; i < ndim; i++) s->ncell *= s->shape[i];
  return 0;
}

/* The number of the shape of a row's cell. */
static int shape_at(const sheaf_chunks *c, column *col, int64_t row, sheaf_error *err) {
  if (row >= col->from && row < col->to) return col->known;
  shape s = {.type = col->type, .size = col->size};
  int rc = 0;
  if (col->absent)
    col->to = INT64_MAX;
  else
    rc = col->own ? shape_in_tiles(col, row, &s, err) : shape_in_casacore(c, col, row, &s, err);
  if (rc >= 0) rc = col->known = number_shape(col, &s, err);
  if (rc < 0) col->to = col->from;
  return rc;
}

/* ---- blocks and windows ---- */

/* Which rows of the block are asked for. */
static int choose_rows(sheaf_chunks *c, sheaf_error *err) {
  if (!c->select)
    memset(c->keep, 1, (size_t)c->nblock);
  else {
    const int rc = sheaf_select_test(c->select, c->block0, c->nblock, c->keep, err);
    if (rc < 0) return rc;
  }
  for (int64_t i = 0, at = c->block0 - c->row0; c->rows && i < c->nblock; i++, at++)
    c->keep[i] &= (c->rows[at / 8] >> at % 8 & 1) != c->others;
  return 0;
}

static int load_block(sheaf_chunks *c, sheaf_error *err) {
  int rc = 0;
  const int64_t left = c->end - c->at;
  c->block0 = c->at;
  c->nblock = left < BLOCK ? left : BLOCK;
  if (!sheaf_table_column(c->table, "DATA_DESC_ID", NULL))
    memset(c->ddid, 0, (size_t)c->nblock * sizeof *c->ddid);
  else
    rc = sheaf_table_get_ints(c->table, "DATA_DESC_ID", c->block0, c->nblock, c->ddid, err);
  if (rc >= 0) rc = choose_rows(c, err);
  for (size_t i = 0; i < c->ncolumn && rc >= 0; i++) {
    column *col = &c->columns[i];
    if (col->block && (col->how & SHEAF_CHUNK_READ))
      rc = sheaf_table_get_range(c->table, col->name, c->block0, c->nblock, col->block, err);
  }
  return rc;
}

/* The group of a row, made when it is the first of its kind. */
static int group_of(sheaf_chunks *c, int64_t row, int before, sheaf_error *err) {
  group g = {.ddid = c->ddid[row - c->block0], .number = c->ngroup};
  for (size_t i = 0; i < c->ncolumn; i++) {
    const int s = shape_at(c, &c->columns[i], row, err);
    if (s < 0) return s;
    g.shape[i] = s;
  }
  const size_t n = c->ncolumn * sizeof g.shape[0];
  for (int k = -1; k < c->ngroup; k++) {
    const int i = k < 0 ? before : k;
    if (i >= 0 && c->groups[i].ddid == g.ddid && memcmp(c->groups[i].shape, g.shape, n) == 0)
      return i;
  }
  if (c->ngroup == c->rgroup) {
    const int room = 2 * c->rgroup + 8;
    group *more = realloc(c->groups, (size_t)room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its shapes", c->path);
    c->groups = more;
    c->rgroup = room;
  }
  for (size_t i = 0; i < c->ncolumn; i++)
    g.bytes += c->columns[i].shapes[g.shape[i]].ncell * (int64_t)c->columns[i].size;
  c->groups[c->ngroup] = g;
  return c->ngroup++;
}

static int by_ddid(const void *x, const void *y) {
  const group *a = x, *b = y;
  if (a->ddid != b->ddid) return a->ddid < b->ddid ? -1 : 1;
  return a->number < b->number ? -1 : 1;
}

/* Puts the window's rows, `n` of them from c->at on, in order of their groups. */
static int order_window(sheaf_chunks *c, int64_t first, int64_t n, sheaf_error *err) {
  int64_t *place = malloc((size_t)c->ngroup * sizeof *place);
  if (!place) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", c->path);
  qsort(c->groups, (size_t)c->ngroup, sizeof *c->groups, by_ddid);
  int64_t at = 0;
  for (int i = 0; i < c->ngroup; i++) {
    c->groups[i].first = place[c->groups[i].number] = at;
    at += c->groups[i].nrow;
  }
  for (int64_t i = 0; i < n; i++)
    if (c->member[i] >= 0) c->window[place[c->member[i]]++] = first + i;
  free(place);
  return 0;
}

static int too_large(const sheaf_chunks *c, int64_t row, int64_t bytes, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM,
                    "%s: row %lld needs %lld bytes, the memory budget allows %lld; give more with "
                    "SHEAF_MEMORY or --memory",
                    c->path, (long long)row, (long long)bytes, (long long)c->limit);
}

/* Finds the next rows that are read together. c->ngroup is 0 at the end. */
static int next_window(sheaf_chunks *c, sheaf_error *err) {
  c->ngroup = c->next_group = 0;
  while (c->ngroup == 0 && c->at < c->end) {
    const int64_t first = c->at;
    int64_t bytes = 0, count = 0;
    int last = -1;
    if (c->at >= c->block0 + c->nblock) {
      const int rc = load_block(c, err);
      if (rc < 0) return rc;
    }
    for (; c->at < c->block0 + c->nblock && count < c->max_rows; c->at++) {
      c->member[c->at - first] = -1;
      if (!c->keep[c->at - c->block0]) continue;
      const int before = c->ngroup, g = group_of(c, c->at, last, err);
      if (g < 0) return g;
      if (c->groups[g].bytes > c->limit) return too_large(c, c->at, c->groups[g].bytes, err);
      if (bytes + c->groups[g].bytes > c->limit) {
        c->ngroup = before;
        break;
      }
      bytes += c->groups[g].bytes;
      c->groups[g].nrow++;
      c->member[c->at - first] = last = g;
      count++;
    }
    const int rc = c->ngroup ? order_window(c, first, c->at - first, err) : 0;
    if (rc < 0) return rc;
  }
  return 0;
}

/* ---- filling a chunk ---- */

static int reserve(const sheaf_chunks *c, slot *s, int64_t nrow, int64_t bytes, sheaf_error *err) {
  if (nrow > s->rrow) {
    free(s->rows);
    s->rrow = 0;
    if ((s->rows = malloc((size_t)nrow * sizeof *s->rows))) s->rrow = nrow;
  }
  if (bytes > s->rmemory) {
    free(s->memory);
    s->rmemory = 0;
    if ((s->memory = aligned_alloc(ALIGN, (size_t)bytes))) s->rmemory = bytes;
  }
  if (s->rrow >= nrow && s->rmemory >= bytes) return 0;
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for a chunk of %lld bytes", c->path,
                    (long long)bytes);
}

static int64_t round_up(int64_t n) {
  return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int read_casacore(const sheaf_chunks *c, const column *col, const sheaf_chunk *k,
                         const sheaf_cells *cells, sheaf_error *err) {
  if (!col->scalar)
    return sheaf_table_get_cells(c->table, col->name, k->rows, k->nrow, cells->ncell, cells->data,
                                 err);
  uint8_t *to = cells->data;
  for (int64_t i = 0; i < k->nrow; i++)
    memcpy(to + (size_t)i * col->size, col->block + (size_t)(k->rows[i] - c->block0) * col->size,
           col->size);
  return 0;
}

/* Makes the slot hold the next group, read through casacore as far as that is needed. 1, or 0 at
 * the end. */
static int prepare(sheaf_chunks *c, slot *s, sheaf_error *err) {
  int rc = sheaf_cancel_check(err);
  if (rc < 0) return rc;
  if (c->next_group >= c->ngroup && (rc = next_window(c, err)) < 0) return rc;
  if (c->next_group >= c->ngroup) return 0;
  const group *g = &c->groups[c->next_group++];
  int64_t bytes = ALIGN;
  for (size_t i = 0; i < c->ncolumn; i++) {
    const shape *of = &c->columns[i].shapes[g->shape[i]];
    bytes += round_up(g->nrow * of->ncell * (int64_t)of->size);
  }
  if ((rc = reserve(c, s, g->nrow, bytes, err)) < 0) return rc;
  memcpy(s->rows, c->window + g->first, (size_t)g->nrow * sizeof *s->rows);
  s->chunk.nrow = g->nrow;
  s->chunk.rows = s->rows;
  s->chunk.ddid = g->ddid;
  uint8_t *at = s->memory;
  for (size_t i = 0; i < c->ncolumn; i++) {
    const column *col = &c->columns[i];
    sheaf_cells *cells = &s->chunk.column[i];
    *cells = col->shapes[g->shape[i]];
    cells->data = cells->ncell ? at : NULL;
    at += round_up(g->nrow * cells->ncell * (int64_t)cells->size);
    if (!col->own && cells->ncell && (col->how & SHEAF_CHUNK_READ) &&
        (rc = read_casacore(c, col, &s->chunk, cells, err)) < 0)
      return rc;
  }
  return 1;
}

/* ---- the reading thread ---- */

static int is_run(const sheaf_chunk *k, int64_t from, int64_t n) {
  return k->rows[from + n - 1] - k->rows[from] == n - 1;
}

/* Rows from..from+n-1 of the chunk. */
static sheaf_tiles_rows tile_rows(const sheaf_chunk *k, int64_t from, int64_t n) {
  if (is_run(k, from, n)) return (sheaf_tiles_rows){.start = k->rows[from], .n = n};
  return (sheaf_tiles_rows){.list = k->rows + from, .n = n};
}

static int read_tiles(sheaf_chunks *c, slot *s, sheaf_error *err) {
  const sheaf_tiles_rows rows = tile_rows(&s->chunk, 0, s->chunk.nrow);
  int rc = 0;
  for (size_t i = 0; i < c->ncolumn && rc >= 0; i++) {
    const sheaf_cells *cells = &s->chunk.column[i];
    sheaf_tiles *tiles = c->columns[i].reader;
    if (!tiles || !cells->ncell) continue;
    rc = sheaf_tiles_read(tiles, &rows, NULL, cells->data,
                          (size_t)(s->chunk.nrow * cells->ncell) * cells->size, err);
    if (rc >= 0 && c->thrifty) rc = sheaf_tiles_finish(tiles, err);
  }
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", c->path) : 0;
}

static void *reading_thread(void *user) {
  sheaf_chunks *c = user;
  pthread_mutex_lock(&c->mutex);
  while (!c->stop) {
    if (!c->job) {
      pthread_cond_wait(&c->changed, &c->mutex);
      continue;
    }
    slot *s = c->job;
    sheaf_error err;
    pthread_mutex_unlock(&c->mutex);
    const int rc = read_tiles(c, s, &err);
    pthread_mutex_lock(&c->mutex);
    c->rc = rc;
    if (rc < 0) c->error = err;
    c->job = NULL;
    pthread_cond_broadcast(&c->changed);
  }
  pthread_mutex_unlock(&c->mutex);
  return NULL;
}

/* Hands a prepared slot to the thread. */
static void dispatch(sheaf_chunks *c, slot *s) {
  pthread_mutex_lock(&c->mutex);
  c->in_flight = 1;
  c->job = s;
  c->rc = 0;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
}

static int await(sheaf_chunks *c, sheaf_error *err) {
  pthread_mutex_lock(&c->mutex);
  while (c->job) pthread_cond_wait(&c->changed, &c->mutex);
  const int rc = c->rc;
  if (rc < 0 && err) *err = c->error;
  c->in_flight = 0;
  pthread_mutex_unlock(&c->mutex);
  return rc;
}

static int begin_thread(sheaf_chunks *c, sheaf_error *err) {
  pthread_mutex_init(&c->mutex, NULL);
  pthread_cond_init(&c->changed, NULL);
  const int bad = pthread_create(&c->thread, NULL, reading_thread, c);
  if (bad) return sheaf_fail_errno(err, SHEAF_ERR_NOMEM, bad, "cannot start a thread");
  c->threaded = 1;
  return 0;
}

static void end_thread(sheaf_chunks *c) {
  if (!c->threaded) return;
  pthread_mutex_lock(&c->mutex);
  c->stop = 1;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->mutex);
  pthread_join(c->thread, NULL);
  pthread_mutex_destroy(&c->mutex);
  pthread_cond_destroy(&c->changed);
}

/* ---- the interface ---- */

static int reserve_rows(sheaf_chunks *c, sheaf_error *err) {
  c->ddid = malloc(BLOCK * sizeof *c->ddid);
  c->keep = malloc(BLOCK);
  c->window = malloc(BLOCK * sizeof *c->window);
  c->member = malloc(BLOCK * sizeof *c->member);
  if (c->ddid && c->keep && c->window && c->member) return 0;
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", c->path);
}

static int open_columns(sheaf_chunks *c, const sheaf_chunks_options *o, sheaf_error *err) {
  int handles = 0;
  for (size_t i = 0; i < o->ncolumn; i++) {
    column *col = &c->columns[i];
    *col = (column){.how = o->columns[i].how};
    c->ncolumn = i + 1;
    if (strlen(o->columns[i].name) >= sizeof col->name)
      return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no column %s", c->path, o->columns[i].name);
    strcpy(col->name, o->columns[i].name);
    const int rc = open_column(c, col, o->columns[i].optional, err);
    if (rc < 0) return rc;
    handles += (col->reader != NULL) + (col->own && (col->how & SHEAF_CHUNK_WRITE));
  }
  c->thrifty = handles > DESCRIPTORS;
  return 0;
}

static int begin(sheaf_chunks *c, const sheaf_chunks_options *o, sheaf_error *err) {
  int rc = sheaf_table_open(&c->table, c->path, 0, err);
  if (rc < 0) return rc;
  const int64_t nrow = sheaf_table_nrow(c->table);
  if (o->row0 < 0 || o->nrow < 0 || o->row0 > nrow || o->nrow > nrow - o->row0)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: rows %lld+%lld of %lld", c->path, (long long)o->row0,
                      (long long)o->nrow, (long long)nrow);
  c->at = c->block0 = c->row0 = o->row0;
  c->rows = o->rows;
  c->others = o->others != 0;
  c->end = o->row0 + o->nrow;
  c->max_rows = o->max_rows > 0 ? o->max_rows : INT64_MAX;
  c->limit = sheaf_memory_budget() / 8;
  if (c->limit > most_bytes) c->limit = most_bytes;
  c->select = o->select && !sheaf_select_all(o->select) ? o->select : NULL;
  if ((rc = reserve_rows(c, err)) < 0 || (rc = open_columns(c, o, err)) < 0) return rc;
  return begin_thread(c, err);
}

int sheaf_chunks_open(sheaf_chunks **chunks, const sheaf_chunks_options *o, sheaf_error *err) {
  *chunks = NULL;
  if (o->ncolumn > SHEAF_CHUNK_COLUMNS)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%zu columns, at most %d can be read together",
                      o->ncolumn, (int)SHEAF_CHUNK_COLUMNS);
  sheaf_chunks *c = calloc(1, sizeof *c);
  if (!c || !(c->path = strdup(o->path))) {
    free(c);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", o->path);
  }
  const int rc = begin(c, o, err);
  if (rc < 0)
    sheaf_chunks_abandon(c);
  else
    *chunks = c;
  return rc;
}

/* Prepares the slot and lets the thread read it; does nothing at the end. */
static int read_ahead(sheaf_chunks *c, int number, sheaf_error *err) {
  const int rc = prepare(c, &c->slots[number], err);
  if (rc > 0) dispatch(c, &c->slots[number]);
  return rc;
}

int sheaf_chunks_next(sheaf_chunks *c, sheaf_chunk **chunk, sheaf_error *err) {
  int rc = 0;
  *chunk = NULL;
  if (!c->begun) {
    c->begun = 1;
    c->present = 1;
    if ((rc = read_ahead(c, 0, err)) < 0) return rc;
  }
  if (!c->in_flight) return 0;
  if ((rc = await(c, err)) < 0) return rc;
  c->present = !c->present;
  if ((rc = read_ahead(c, !c->present, err)) < 0) return rc;
  *chunk = &c->slots[c->present].chunk;
  return 1;
}

static int put_rows(sheaf_chunks *c, column *col, const sheaf_chunk *k, const sheaf_cells *cells,
                    int64_t from, int64_t n, sheaf_error *err) {
  const size_t cell = (size_t)cells->ncell * cells->size, size = (size_t)n * cell;
  const uint8_t *data = (const uint8_t *)cells->data + (size_t)from * cell;
  if (!col->own)
    return sheaf_putter_put(c->putter, col->name, k->rows + from, n, cells->ndim, cells->shape,
                            data, size, err);
  const sheaf_tiles_rows rows = tile_rows(k, from, n);
  const int rc = sheaf_tiles_write(col->own, &rows, NULL, data, size, err);
  col->unwritten += (int64_t)size;
  if (rc < 0 || col->unwritten < WRITEBACK) return rc;
  sheaf_tiles_start_writeback(col->own);
  col->unwritten = 0;
  return 0;
}

int sheaf_chunks_put(sheaf_chunks *c, size_t number, const uint8_t *changed, sheaf_error *err) {
  column *col = &c->columns[number];
  const sheaf_chunk *k = &c->slots[c->present].chunk;
  const sheaf_cells *cells = &k->column[number];
  int rc = 0;
  if (number >= c->ncolumn || !(col->how & SHEAF_CHUNK_WRITE))
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: column number %zu was not opened for writing",
                      c->path, number);
  for (int64_t i = 0, n; i < k->nrow && rc >= 0; i += n) {
    for (n = 0; i + n < k->nrow && (!changed || changed[i + n]);) n++;
    if (n > 0 && !cells->ncell)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: column %s: row %lld has no cell to write to",
                        c->path, col->name, (long long)k->rows[i]);
    if (n > 0) rc = put_rows(c, col, k, cells, i, n, err);
    if (n == 0) n = 1;
  }
  if (rc >= 0 && c->thrifty && col->own) rc = sheaf_tiles_finish(col->own, err);
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", c->path) : 0;
}

static void release(sheaf_chunks *c) {
  end_thread(c);
  for (size_t i = 0; i < c->ncolumn; i++) close_column(&c->columns[i]);
  sheaf_table_close(c->table);
  for (int i = 0; i < 2; i++) {
    free(c->slots[i].rows);
    free(c->slots[i].memory);
  }
  free(c->ddid);
  free(c->keep);
  free(c->window);
  free(c->member);
  free(c->groups);
  free(c->path);
  free(c);
}

static int sync_columns(sheaf_chunks *c, sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0; i < c->ncolumn && rc >= 0; i++) {
    column *col = &c->columns[i];
    if (!col->own || !(col->how & SHEAF_CHUNK_WRITE)) continue;
    if ((rc = sheaf_tiles_sync(col->own, err)) >= 0) rc = sheaf_tiles_finish(col->own, err);
  }
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", c->path) : 0;
}

int sheaf_chunks_finish(sheaf_chunks *c, sheaf_error *err) {
  sheaf_putter *putter = c->putter;
  const int rc = sync_columns(c, err);
  c->putter = NULL;
  release(c);
  if (!putter) return rc;
  if (rc >= 0) return sheaf_putter_finish(putter, err);
  sheaf_putter_abandon(putter);
  return rc;
}

void sheaf_chunks_abandon(sheaf_chunks *c) {
  if (!c) return;
  sheaf_putter_abandon(c->putter);
  release(c);
}

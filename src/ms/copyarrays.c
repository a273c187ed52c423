/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copyarrays.c - array columns of a copy, from tile file to tile file.
 *
 * Columns that are read from tiles need no casacore, so threads share them; columns that casacore
 * must read are copied by the child process that also fills the scalars. One column is one
 * thread's, in row order, so that the checksum is that of the rows in order. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/progress.h"
#include "base/threads.h"
#include "ms/checksum.h"
#include "ms/colreader.h"
#include "ms/copier_impl.h"
#include "table/tiles.h"

enum {
  BLOCK_ROWS = 1 << 16,
  BLOCK_BYTES = 1 << 20,
  TILE_ELEMENTS = 1 << 17,
  WRITEBACK_BYTES = 16 << 20,
  MOST_SHAPES = 999, /* casacore cannot name the tile file of a further cube */
  MOST_THREADS = 16
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the array columns of a sub-MS");
}

/* One column on its way: readers per source, and the runs and cubes of the output. */
typedef struct array_copy {
  copier *c;
  const sheaf_copycolumn *column;
  sheaf_colreader *reader; /* [nsource] */
  sheaf_tiles *out;
  size_t size; /* of an element */
  size_t ncube, cube_room, nrun, run_room;
  sheaf_tiles_cube *cube;
  sheaf_shape *shape; /* of each cube's output cells */
  sheaf_tiles_run *run;
  char *in_buffer, *out_buffer;
  size_t in_room, out_room;
  sheaf_checksum sum;
  size_t unsynced; /* bytes since writeback was asked for */
  int64_t bytes;   /* in all, for the order of work */
  char hex[17];    /* checksum, when done */
} array_copy;

/* The output cell for an input cell of data description `ddid`. SHEAF_ERR_DATA when a selection
 * meets a cell of another shape. */
static int output_shape(const array_copy *a, int32_t ddid, int64_t row, const sheaf_shape *in,
                        sheaf_shape *out, sheaf_error *err) {
  const sheaf_cellsel *cell = &a->c->plan->reindex.cell[ddid];
  *out = *in;
  if (in->ndim == 0) return 0;
  if (a->column->role == SHEAF_ROLE_CUBE && (cell->chan || cell->corr)) {
    if (in->ndim < 2 || in->axis[0] != cell->ncorr_in || in->axis[1] != cell->nchan_in)
      return sheaf_fail(
          err, SHEAF_ERR_DATA,
          "column %s, row %lld: the cell is not of %d correlations × %d channels as its data "
          "description %d says; nothing can be selected from it",
          a->column->source, (long long)row, cell->ncorr_in, cell->nchan_in, ddid);
    out->axis[0] = cell->ncorr;
    out->axis[1] = cell->nchan;
  }
  if (a->column->role == SHEAF_ROLE_CORR) {
    if (cell->corr && in->axis[0] == cell->ncorr_in) out->axis[0] = cell->ncorr;
    if (a->column->spread) {
      out->ndim = 2;
      out->axis[1] = cell->nchan;
    }
  }
  return 0;
}

static int grow_cubes(array_copy *a, sheaf_error *err) {
  const size_t room = a->cube_room ? 2 * a->cube_room : 8;
  sheaf_tiles_cube *cubes = realloc(a->cube, room * sizeof *cubes);
  if (cubes) a->cube = cubes;
  sheaf_shape *shapes = realloc(a->shape, room * sizeof *shapes);
  if (shapes) a->shape = shapes;
  if (!cubes || !shapes) return no_memory(err);
  a->cube_room = room;
  return 0;
}

/* *cube is the number of the cube for cells of this shape, -1 for undefined ones. Neighbours are
 * mostly alike. */
static int find_cube(array_copy *a, const sheaf_shape *shape, int64_t *cube, sheaf_error *err) {
  *cube = a->nrun ? a->run[a->nrun - 1].cube : -1;
  if (*cube >= 0 && sheaf_shape_equal(&a->shape[*cube], shape)) return 0;
  *cube = -1;
  if (shape->ndim == 0) return 0;
  for (*cube = 0; (size_t)*cube < a->ncube; ++*cube)
    if (sheaf_shape_equal(&a->shape[*cube], shape)) return 0;
  if (a->ncube == MOST_SHAPES)
    return sheaf_fail(err, SHEAF_ERR_DATA, "column %s has more than %d different cell shapes",
                      a->column->source, MOST_SHAPES);
  if (a->ncube == a->cube_room && grow_cubes(a, err) < 0) return SHEAF_ERR_NOMEM;
  a->shape[a->ncube++] = *shape;
  return 0;
}

static int add_run(array_copy *a, int64_t cube, sheaf_error *err) {
  if (a->nrun && a->run[a->nrun - 1].cube == cube) {
    a->run[a->nrun - 1].nrow++;
    return 0;
  }
  if (a->nrun == a->run_room) {
    const size_t room = a->run_room ? 2 * a->run_room : 64;
    sheaf_tiles_run *more = realloc(a->run, room * sizeof *more);
    if (!more) return no_memory(err);
    a->run = more;
    a->run_room = room;
  }
  a->run[a->nrun++] = (sheaf_tiles_run){.nrow = 1, .cube = cube};
  return 0;
}

static int find_runs(array_copy *a, sheaf_error *err) {
  const copier *c = a->c;
  for (int64_t i = 0; i < c->nrow; i++) {
    sheaf_shape in, out;
    int rc = sheaf_colreader_shape(&a->reader[c->source[i]], c->row[i], &in, err);
    if (rc >= 0) rc = output_shape(a, c->ddid[i], c->row[i], &in, &out, err);
    int64_t cube;
    if (rc >= 0) rc = find_cube(a, &out, &cube, err);
    if (rc >= 0) rc = add_run(a, cube, err);
    if (rc < 0) return rc;
  }
  return 0;
}

/* Tiles take whole cells and a multiple of 8 rows, so that packed flags of different tiles share no
 * byte. */
static int choose_tiles(array_copy *a, sheaf_error *err) {
  int64_t *rows = calloc(a->ncube, sizeof *rows);
  if (!rows) return no_memory(err);
  for (size_t i = 0; i < a->nrun; i++)
    if (a->run[i].cube >= 0) rows[a->run[i].cube] += a->run[i].nrow;
  for (size_t i = 0; i < a->ncube; i++) {
    const sheaf_shape *s = &a->shape[i];
    const int64_t count = sheaf_shape_count(s) > 0 ? sheaf_shape_count(s) : 1;
    int64_t tile_rows = TILE_ELEMENTS / count / 8 * 8;
    const int64_t most = (rows[i] + 7) / 8 * 8;
    if (tile_rows > most) tile_rows = most;
    if (tile_rows < 8) tile_rows = 8;
    sheaf_tiles_cube *cube = &a->cube[i];
    *cube = (sheaf_tiles_cube){.ndim = s->ndim, .tile_rows = tile_rows};
    for (int k = 0; k < s->ndim; k++) cube->shape[k] = cube->tile[k] = s->axis[k];
  }
  free(rows);
  return 0;
}

static int room_for(char **buffer, size_t *room, size_t bytes, sheaf_error *err) {
  if (bytes <= *room) return 0;
  free(*buffer);
  *buffer = malloc(*room = bytes);
  if (*buffer) return 0;
  *room = 0;
  return no_memory(err);
}

/* Picks channels and correlations of n cells; elements of `size` bytes. `planes` counts what lies
 * above the channel axis. */
static void pick_cube(char *out, const char *in, int64_t n, const sheaf_cellsel *cell,
                      int64_t planes, size_t size) {
  const size_t in_plane = (size_t)cell->nchan_in * (size_t)cell->ncorr_in * size;
  for (int64_t p = 0; p < n * planes; p++, in += in_plane)
    for (int32_t j = 0; j < cell->nchan; j++) {
      const char *chan =
          in + (size_t)(cell->chan ? cell->chan[j] : j) * (size_t)cell->ncorr_in * size;
      for (int32_t k = 0; k < cell->ncorr; k++, out += size)
        memcpy(out, chan + (size_t)(cell->corr ? cell->corr[k] : k) * size, size);
    }
}

static void pick_corr(char *out, const char *in, int64_t n, const sheaf_cellsel *cell,
                      int64_t ncorr_in, int spread, size_t size) {
  const int pick = cell->corr && ncorr_in == cell->ncorr_in;
  const int64_t ncorr = pick ? cell->ncorr : ncorr_in;
  const int32_t times = spread ? cell->nchan : 1;
  for (int64_t i = 0; i < n; i++, in += (size_t)ncorr_in * size)
    for (int32_t j = 0; j < times; j++)
      for (int64_t k = 0; k < ncorr; k++, out += size)
        memcpy(out, in + (size_t)(pick ? cell->corr[k] : k) * size, size);
}

static void convert_floats(float *x, int64_t n, sheaf_convert convert) {
  if (convert == SHEAF_CONVERT_WEIGHT)
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > FLT_MIN ? 1.0f / (x[i] * x[i]) : 0.0f;
  if (convert == SHEAF_CONVERT_SIGMA)
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > FLT_MIN ? 1.0f / sqrtf(x[i]) : -1.0f;
}

/* The longest block from row i on with one source, one data description and one input shape. */
static int64_t block_at(array_copy *a, int64_t i, int64_t limit, sheaf_shape *in,
                        sheaf_error *err) {
  const copier *c = a->c;
  int64_t n = 0, most = limit - i;
  for (; n < most; n++) {
    sheaf_shape here;
    if (n && (c->source[i + n] != c->source[i] || c->ddid[i + n] != c->ddid[i])) break;
    if (sheaf_colreader_shape(&a->reader[c->source[i]], c->row[i + n], &here, err) < 0)
      return SHEAF_ERR_DATA;
    if (n == 0) {
      *in = here;
      const int64_t bytes = sheaf_shape_count(in) * (int64_t)a->size;
      int64_t fit = bytes > 0 ? BLOCK_BYTES / bytes / 8 * 8 : BLOCK_ROWS;
      if (fit < 8) fit = 8;
      if (fit > BLOCK_ROWS) fit = BLOCK_ROWS;
      if (fit < most) most = fit;
    } else if (!sheaf_shape_equal(in, &here)) {
      break;
    }
  }
  return n;
}

/* Moves n rows from i on, all alike. */
static int move_block(array_copy *a, int64_t i, int64_t n, const sheaf_shape *in,
                      sheaf_error *err) {
  const copier *c = a->c;
  const sheaf_cellsel *cell = &c->plan->reindex.cell[c->ddid[i]];
  sheaf_shape out;
  int rc = output_shape(a, c->ddid[i], c->row[i], in, &out, err);
  if (rc < 0) return rc;
  const size_t in_bytes = (size_t)(n * sheaf_shape_count(in)) * a->size;
  const size_t out_bytes = (size_t)(n * sheaf_shape_count(&out)) * a->size;
  const int pick_cells = a->column->role == SHEAF_ROLE_CUBE && (cell->chan || cell->corr);
  const int pick_corrs = a->column->role == SHEAF_ROLE_CORR && (cell->corr || a->column->spread);
  SHEAF_TRY(room_for(&a->in_buffer, &a->in_room, in_bytes, err));
  SHEAF_TRY(sheaf_colreader_read(&a->reader[c->source[i]], c->row + i, n, in, a->in_buffer, err));
  char *result = a->in_buffer;
  if (pick_cells || pick_corrs) {
    SHEAF_TRY(room_for(&a->out_buffer, &a->out_room, out_bytes, err));
    result = a->out_buffer;
    const int64_t planes = in->ndim > 2 ? in->axis[2] : 1;
    if (pick_cells) pick_cube(result, a->in_buffer, n, cell, planes, a->size);
    if (pick_corrs)
      pick_corr(result, a->in_buffer, n, cell, in->axis[0], a->column->spread, a->size);
  }
  if (a->column->convert)
    convert_floats((float *)result, (int64_t)(out_bytes / 4), a->column->convert);
  sheaf_checksum_shape(&a->sum, &out);
  sheaf_checksum_add(&a->sum, result, out_bytes);
  const sheaf_tiles_rows rows = {.start = i, .n = n};
  if (out_bytes) SHEAF_TRY(sheaf_tiles_write(a->out, &rows, NULL, result, out_bytes, err));
  if ((a->unsynced += out_bytes) >= WRITEBACK_BYTES) {
    sheaf_tiles_start_writeback(a->out);
    a->unsynced = 0;
  }
  sheaf_progress_add((int64_t)out_bytes);
done:
  return rc;
}

static int move_rows(array_copy *a, sheaf_error *err) {
  int64_t i = 0;
  int rc = sheaf_checksum_begin(&a->sum, err);
  for (size_t r = 0; rc >= 0 && r < a->nrun; r++) {
    const int64_t limit = i + a->run[r].nrow;
    while (rc >= 0 && i < limit) {
      sheaf_shape in = {0};
      const int64_t n = block_at(a, i, limit, &in, err);
      if (n < 0)
        rc = (int)n;
      else if (in.ndim == 0)
        sheaf_checksum_shape(&a->sum, &in);
      else
        rc = move_block(a, i, n, &in, err);
      if (rc >= 0) rc = sheaf_cancel_check(err);
      i += n;
    }
  }
  return rc;
}

/* ---- one column ---- */

static int array_open(array_copy *a, copier *c, const sheaf_copycolumn *column, sheaf_error *err) {
  *a = (array_copy){.c = c, .column = column};
  a->reader = calloc(c->nsource + 1, sizeof *a->reader);
  if (!a->reader) return no_memory(err);
  int rc = 0;
  for (size_t s = 0; rc >= 0 && s < c->nsource; s++)
    rc = sheaf_colreader_open(&a->reader[s], c->in[s], column->source, err);
  if (rc >= 0) a->size = a->reader[0].size;
  return rc;
}

static void array_close(array_copy *a) {
  for (size_t s = 0; a->reader && s < a->c->nsource; s++) sheaf_colreader_close(&a->reader[s]);
  sheaf_checksum_end(&a->sum, (char[17]){0});
  free(a->reader);
  sheaf_tiles_close(a->out);
  free(a->cube);
  free(a->shape);
  free(a->run);
  free(a->in_buffer);
  free(a->out_buffer);
}

/* Lays the column out: tile files in their final size, blocks reserved. A column without a defined
 * cell stays without. */
static int array_lay_out(array_copy *a, sheaf_error *err) {
  const char *out = a->c->out, *name = a->column->name;
  int rc = find_runs(a, err);
  if (rc < 0 || a->ncube == 0) return rc;
  rc = choose_tiles(a, err);
  if (rc < 0) return rc;
  for (size_t r = 0; r < a->nrun; r++)
    if (a->run[r].cube >= 0)
      a->bytes += a->run[r].nrow * sheaf_shape_count(&a->shape[a->run[r].cube]) * (int64_t)a->size;
  rc = sheaf_tiles_create(out, name, a->cube, (int64_t)a->ncube, a->run, (int64_t)a->nrun,
                          SHEAF_TILES_ALLOCATE, err);
  if (rc >= 0) rc = sheaf_tiles_open(&a->out, out, name, 1, err);
  if (rc > 0)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: column %s was not made tiled", out, name);
  return rc;
}

static int array_move(array_copy *a, sheaf_error *err) {
  int rc = move_rows(a, err);
  if (rc >= 0 && a->out) rc = sheaf_tiles_finish(a->out, err);
  sheaf_checksum_end(&a->sum, a->hex);
  return rc;
}

static int needs_casacore(const array_copy *a) {
  for (size_t s = 0; s < a->c->nsource; s++)
    if (!a->reader[s].tiles) return 1;
  return 0;
}

/* ---- all of them ---- */

struct array_copies {
  copier *c;
  size_t n;
  array_copy *array; /* [n] those for threads first, largest first */
  size_t nfree;      /* how many of them need no casacore */
  atomic_size_t next;
  atomic_int failed; /* code of the first failure */
  sheaf_error error; /* its text; written once, under the lock */
  pthread_mutex_t lock;
  int nthread;
  pthread_t thread[MOST_THREADS];
};

static int compare_arrays(const void *pa, const void *pb) {
  const array_copy *a = pa, *b = pb;
  const int casacore_a = needs_casacore(a), casacore_b = needs_casacore(b);
  if (casacore_a != casacore_b) return casacore_a - casacore_b;
  return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

int sheaf_arrays_open(array_copies **arrays, copier *c, sheaf_error *err) {
  const sheaf_copyplan *plan = c->plan;
  array_copies *all = calloc(1, sizeof *all);
  *arrays = all;
  if (!all) return no_memory(err);
  all->c = c;
  pthread_mutex_init(&all->lock, NULL);
  all->array = calloc(plan->ncolumn + 1, sizeof *all->array);
  if (!all->array) return no_memory(err);
  for (size_t i = 0; i < plan->ncolumn; i++) {
    if (plan->column[i].role < SHEAF_ROLE_ARRAY) continue;
    int rc = array_open(&all->array[all->n++], c, &plan->column[i], err);
    if (rc >= 0) rc = array_lay_out(&all->array[all->n - 1], err);
    if (rc < 0) return rc;
  }
  qsort(all->array, all->n, sizeof *all->array, compare_arrays);
  while (all->nfree < all->n && !needs_casacore(&all->array[all->nfree])) all->nfree++;
  return 0;
}

static void keep_failure(array_copies *all, int rc, const sheaf_error *err) {
  pthread_mutex_lock(&all->lock);
  if (!all->failed) {
    all->error = *err;
    all->failed = rc;
  }
  pthread_mutex_unlock(&all->lock);
}

/* Takes columns from the list until it is empty or something failed. */
static void *work_on(void *arrays) {
  array_copies *all = arrays;
  sheaf_error err;
  while (!all->failed) {
    const size_t i = atomic_fetch_add(&all->next, 1);
    if (i >= all->nfree) break;
    const int rc = array_move(&all->array[i], &err);
    if (rc < 0) keep_failure(all, rc, &err);
  }
  return NULL;
}

static void start_threads(array_copies *all) {
  int want = sheaf_threads() - 1; /* besides this one */
  if (want > MOST_THREADS) want = MOST_THREADS;
  if (want >= 0 && (size_t)want > all->nfree) want = (int)all->nfree;
  while (all->nthread < want && pthread_create(&all->thread[all->nthread], NULL, work_on, all) == 0)
    all->nthread++;
}

static void join_threads(array_copies *all) {
  while (all->nthread > 0) pthread_join(all->thread[--all->nthread], NULL);
}

static void keep_checksums(array_copies *all, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    json_object_set_new(all->c->checksums, all->array[i].column->name,
                        json_string(all->array[i].hex));
}

int sheaf_arrays_copy_tiles(array_copies *all, sheaf_error *err) {
  start_threads(all);
  work_on(all);
  join_threads(all);
  if (all->failed) {
    if (err) *err = all->error;
    return all->failed;
  }
  keep_checksums(all, 0, all->nfree);
  return 0;
}

int sheaf_arrays_copy_casacore(array_copies *all, sheaf_error *err) {
  int rc = 0;
  for (size_t i = all->nfree; rc >= 0 && i < all->n; i++) rc = array_move(&all->array[i], err);
  if (rc >= 0) keep_checksums(all, all->nfree, all->n);
  return rc;
}

void sheaf_arrays_close(array_copies *all) {
  if (!all) return;
  for (size_t i = 0; i < all->n; i++) array_close(&all->array[i]);
  free(all->array);
  pthread_mutex_destroy(&all->lock);
  free(all);
}

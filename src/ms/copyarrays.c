/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copyarrays.c - array columns of a copy, from tile file to tile files.
 *
 * The layout of every output column is worked out first (columns, from shapes alone). Then the
 * input is read front to back, a block at a time, and each run of rows of the block is written
 * where it belongs; short runs are collected per output before they are written. Columns that are
 * read from tiles need no casacore, so threads share them, and large ones are cut into pieces;
 * columns that casacore must read are copied by the child process that also fills the scalars. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "ms/checksum.h"
#include "ms/colreader.h"
#include "ms/copier_impl.h"
#include "table/tiles.h"

enum {
  BLOCK_ROWS = 1 << 13,
  BLOCK_BYTES = 1 << 18, /* stays in the processor's cache on its way */
  DIRECT_BYTES = 1 << 15,
  LONG_RUN_BYTES = 1 << 17, /* such runs have blocks of their own */
  STAGING_BYTES = 1 << 17,
  ALL_STAGING_BYTES = 16 << 20,
  PIECE_BYTES = 1 << 18,
  MOST_PIECES = 64,
  PIECES_PER_THREAD = 4,
  SHARE_BYTES = 1 << 17, /* sharing blocks takes as long as writing so many bytes */
  SHARE_CELL = 512,
  TILE_ELEMENTS = 1 << 17,
  WRITEBACK_BYTES = 16 << 20,
  WRITEBACK_LEAST = 1 << 18,
  MOST_SHAPES = 999, /* casacore cannot name the tile file of a further cube */
  MOST_THREADS = 16,
  RUN_WINDOW = 256
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the array columns of a sub-MS");
}

/* The layout of a column in one output. */
typedef struct array_layout {
  size_t ncube, cube_room, nrun, run_room;
  sheaf_tiles_cube *cube;
  sheaf_shape *shape; /* of each cube's cells */
  sheaf_tiles_run *run;
  sheaf_tiles *tiles; /* opened when it is first written to; only ever duplicated */
  uint64_t sum;       /* checksum of what was copied so far */
} array_layout;

typedef struct array_column {
  copier *c;
  const sheaf_copycolumn *column;
  sheaf_colreader *reader; /* [nms] */
  array_layout *layout;    /* [noutput] */
  size_t size;             /* of an element */
  int64_t bytes;           /* of all outputs */
  int packed; /* cells are bits, and those of different rows share bytes: one writes at a time */
  pthread_mutex_t writing; /* for that */
  atomic_int shares;       /* cells may share disk blocks with those of the input */
  atomic_llong shared;     /* bytes that do */
} array_column;

/* A column, or part of one: the runs [first, first + n) in order of the input. */
typedef struct piece {
  array_column *a;
  int64_t first, n, bytes;
} piece;

struct array_copies {
  copier *c;
  size_t ncolumn, npiece;
  array_column *column;
  int few_files;   /* output files are closed after each write: the process may not have so many */
  piece *piece;    /* [npiece], those for threads first, largest first */
  size_t nthreads; /* how many of the pieces need no casacore */
  int64_t cut[MOST_PIECES + 1]; /* runs at which columns are cut */
  int ncut;
  atomic_size_t next;
  atomic_int failed; /* code of the first failure */
  sheaf_error error; /* its text; written once, under the lock */
  pthread_mutex_t lock;
  int threads; /* that may work, this one included */
  int nthread; /* that were started */
  pthread_t thread[MOST_THREADS];
};

/* ---- layout ---- */

/* The output cell for an input cell of data description `ddid`. SHEAF_ERR_DATA when a selection
 * meets a cell of another shape. */
static int output_shape(const array_column *a, int32_t ddid, int64_t row, const sheaf_shape *in,
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

static int grow_cubes(array_layout *l, sheaf_error *err) {
  const size_t room = l->cube_room ? 2 * l->cube_room : 8;
  sheaf_tiles_cube *cubes = realloc(l->cube, room * sizeof *cubes);
  if (cubes) l->cube = cubes;
  sheaf_shape *shapes = realloc(l->shape, room * sizeof *shapes);
  if (shapes) l->shape = shapes;
  if (!cubes || !shapes) return no_memory(err);
  l->cube_room = room;
  return 0;
}

/* *cube is the number of the cube for cells of this shape, -1 for undefined ones. Neighbours are
 * mostly alike. */
static int find_cube(const array_column *a, array_layout *l, const sheaf_shape *shape,
                     int64_t *cube, sheaf_error *err) {
  *cube = l->nrun ? l->run[l->nrun - 1].cube : -1;
  if (*cube >= 0 && sheaf_shape_equal(&l->shape[*cube], shape)) return 0;
  *cube = -1;
  if (shape->ndim == 0) return 0;
  for (*cube = 0; (size_t)*cube < l->ncube; ++*cube)
    if (sheaf_shape_equal(&l->shape[*cube], shape)) return 0;
  if (l->ncube == MOST_SHAPES)
    return sheaf_fail(err, SHEAF_ERR_DATA, "column %s has more than %d different cell shapes",
                      a->column->source, MOST_SHAPES);
  if (l->ncube == l->cube_room && grow_cubes(l, err) < 0) return SHEAF_ERR_NOMEM;
  l->shape[l->ncube++] = *shape;
  return 0;
}

static int add_rows(array_layout *l, int64_t cube, int64_t n, sheaf_error *err) {
  if (l->nrun && l->run[l->nrun - 1].cube == cube) {
    l->run[l->nrun - 1].nrow += n;
    return 0;
  }
  if (l->nrun == l->run_room) {
    const size_t room = l->run_room ? 2 * l->run_room : 64;
    sheaf_tiles_run *more = realloc(l->run, room * sizeof *more);
    if (!more) return no_memory(err);
    l->run = more;
    l->run_room = room;
  }
  l->run[l->nrun++] = (sheaf_tiles_run){.nrow = n, .cube = cube};
  return 0;
}

static int lay_out_run(array_column *a, array_layout *l, const copy_run *run, sheaf_error *err) {
  sheaf_colreader *reader = &a->reader[run->source];
  int rc = 0;
  for (int64_t i = 0, n; rc >= 0 && i < run->n; i += n) {
    sheaf_shape in, out;
    int64_t cube;
    rc = sheaf_colreader_shape(reader, run->row + i, &in, err);
    if (rc < 0) return rc;
    n = reader->to - (run->row + i);
    if (n > run->n - i) n = run->n - i;
    rc = output_shape(a, run->ddid, run->row + i, &in, &out, err);
    if (rc >= 0) rc = find_cube(a, l, &out, &cube, err);
    if (rc >= 0) rc = add_rows(l, cube, n, err);
  }
  return rc;
}

/* Tiles take whole cells and a multiple of 8 rows, so that packed flags of different tiles share no
 * byte. */
static int choose_tiles(array_column *a, array_layout *l, sheaf_error *err) {
  int64_t *rows = calloc(l->ncube + 1, sizeof *rows);
  if (!rows) return no_memory(err);
  for (size_t i = 0; i < l->nrun; i++)
    if (l->run[i].cube >= 0) rows[l->run[i].cube] += l->run[i].nrow;
  for (size_t i = 0; i < l->ncube; i++) {
    const sheaf_shape *s = &l->shape[i];
    const int64_t count = sheaf_shape_count(s) > 0 ? sheaf_shape_count(s) : 1;
    int64_t tile_rows = TILE_ELEMENTS / count / 8 * 8;
    const int64_t most = (rows[i] + 7) / 8 * 8;
    if (tile_rows > most) tile_rows = most;
    if (tile_rows < 8) tile_rows = 8;
    if (most > tile_rows) { /* alike in size, so that the last one is hardly padded */
      const int64_t ntile = (most + tile_rows - 1) / tile_rows;
      tile_rows = (most / 8 + ntile - 1) / ntile * 8;
    }
    sheaf_tiles_cube *cube = &l->cube[i];
    *cube = (sheaf_tiles_cube){.ndim = s->ndim, .tile_rows = tile_rows};
    for (int k = 0; k < s->ndim; k++) cube->shape[k] = cube->tile[k] = s->axis[k];
    a->bytes += rows[i] * sheaf_shape_count(s) * (int64_t)a->size;
    a->packed |= a->reader[0].type == SHEAF_BOOL && count % 8 != 0;
  }
  free(rows);
  return 0;
}

static int lay_out(array_column *a, size_t output, sheaf_error *err) {
  array_layout *l = &a->layout[output];
  const sheaf_recspan runs = sheaf_copier_runs(a->c, output);
  sheaf_recreader reader;
  const void *run;
  int rc = sheaf_recreader_open(&reader, &runs, 1, sizeof(copy_run), RUN_WINDOW, err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &run, err)) > 0)
    rc = lay_out_run(a, l, run, err);
  sheaf_recreader_close(&reader);
  return rc < 0 ? rc : choose_tiles(a, l, err);
}

/* What is taken from each cell of a data description: all, some of its channels and correlations,
 * or some correlations, perhaps for each channel. */
typedef enum picking { PICK_ALL, PICK_CUBE, PICK_CORR } picking;

static picking what_to_pick(const array_column *a, int32_t ddid) {
  const sheaf_cellsel *cell = &a->c->plan->reindex.cell[ddid];
  if (a->column->role == SHEAF_ROLE_CUBE && (cell->chan || cell->corr)) return PICK_CUBE;
  if (a->column->role == SHEAF_ROLE_CORR && (cell->corr || a->column->spread)) return PICK_CORR;
  return PICK_ALL;
}

/* Whether cells go to the outputs as they are, and are worth it. Flags are not: they are little,
 * and tasks that change them in place shall not meet a full disk half-way. */
static int may_share(const array_column *a) {
  const copier *c = a->c;
  int64_t rows = 0;
  if (a->column->convert || a->reader[0].type == SHEAF_BOOL) return 0;
  for (size_t s = 0; s < c->nms; s++)
    if (!a->reader[s].tiles || a->reader[s].root) return 0;
  for (size_t d = 0; d < c->plan->reindex.nddid; d++)
    if (what_to_pick(a, (int32_t)d) != PICK_ALL) return 0;
  for (size_t o = 0; o < c->noutput; o++) rows += c->output[o].nrow;
  return a->bytes >= SHARE_BYTES && a->bytes / rows >= SHARE_CELL;
}

/* Whether the file system can: each input is asked once, as all columns lie beside each other. */
static int can_share(copier *c, const array_column *a, sheaf_error *err) {
  int rc = 1;
  for (size_t s = 0; c->reflinks < 0 && rc > 0 && s < c->nms; s++)
    if (sheaf_table_nrow(c->in[s]))
      rc = sheaf_tiles_can_share(a->reader[s].tiles, 0, c->probe_path, err);
  if (rc < 0) return rc;
  if (c->reflinks < 0) c->reflinks = rc;
  return c->reflinks;
}

static int column_plan(array_column *a, copier *c, const sheaf_copycolumn *column,
                       sheaf_error *err) {
  *a = (array_column){.c = c, .column = column};
  pthread_mutex_init(&a->writing, NULL);
  a->reader = calloc(c->nms + 1, sizeof *a->reader);
  a->layout = calloc(c->noutput + 1, sizeof *a->layout);
  if (!a->reader || !a->layout) return no_memory(err);
  int rc = 0;
  for (size_t s = 0; rc >= 0 && s < c->nms; s++) {
    rc = sheaf_colreader_open(&a->reader[s], c->in[s], column->source, err);
    if (rc >= 0 && a->reader[s].type != a->reader[0].type)
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "column %s has another type in %s than in %s",
                      column->source, c->ms[s], c->ms[0]);
  }
  a->size = a->reader[0].size;
  for (size_t o = 0; rc >= 0 && o < c->noutput; o++) rc = lay_out(a, o, err);
  if (rc >= 0 && may_share(a)) a->shares = rc = can_share(c, a, err);
  return rc;
}

static int needs_casacore(const array_column *a) {
  for (size_t s = 0; s < a->c->nms; s++)
    if (!a->reader[s].tiles) return 1;
  return 0;
}

/* ---- pieces ---- */

static int64_t largest_column(const array_copies *all) {
  int64_t bytes = 0;
  for (size_t i = 0; i < all->ncolumn; i++)
    if (all->column[i].bytes > bytes) bytes = all->column[i].bytes;
  return bytes;
}

/* Where to cut the list of runs into parts of about as many rows. */
static int choose_cuts(array_copies *all, sheaf_error *err) {
  const copier *c = all->c;
  int64_t rows = 0, seen = 0, index = 0;
  const int64_t threads = all->threads;
  int64_t want = (largest_column(all) + PIECE_BYTES - 1) / PIECE_BYTES;
  if (want > PIECES_PER_THREAD * threads) want = PIECES_PER_THREAD * threads;
  if (want > MOST_PIECES) want = MOST_PIECES;
  if (want < 1 || threads == 1) want = 1;
  for (size_t o = 0; o < c->noutput; o++) rows += c->output[o].nrow;
  sheaf_recreader reader;
  const void *record;
  int rc = sheaf_recreader_open(&reader, &c->input, 1, sizeof(copy_run), RUN_WINDOW, err);
  for (; rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0; index++) {
    const copy_run *run = record;
    if (all->ncut < want && seen * want >= rows * all->ncut) all->cut[all->ncut++] = index;
    seen += run->n;
  }
  all->cut[all->ncut] = c->input.n;
  sheaf_recreader_close(&reader);
  return rc;
}

static int compare_pieces(const void *pa, const void *pb) {
  const piece *a = pa, *b = pb;
  const int casacore_a = needs_casacore(a->a), casacore_b = needs_casacore(b->a);
  if (casacore_a != casacore_b) return casacore_a - casacore_b;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
  if (a->first != b->first) return a->first < b->first ? -1 : 1;
  return (a->a > b->a) - (a->a < b->a);
}

/* Each thread may have a file of each output open, and half of the descriptors are for others. */
static int too_many_files(const array_copies *all) {
  struct rlimit most;
  const int64_t want = (int64_t)all->c->noutput * all->threads;
  return getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
         want > (int64_t)(most.rlim_cur / 2);
}

static int make_pieces(array_copies *all, sheaf_error *err) {
  int rc = choose_cuts(all, err);
  if (rc < 0) return rc;
  all->piece = calloc(all->ncolumn * (size_t)(all->ncut + 1) + 1, sizeof *all->piece);
  if (!all->piece) return no_memory(err);
  for (size_t i = 0; i < all->ncolumn; i++) {
    array_column *a = &all->column[i];
    const int whole = needs_casacore(a) || a->bytes < PIECE_BYTES;
    const int n = whole ? 1 : all->ncut;
    for (int k = 0; k < n; k++) {
      const int64_t first = all->cut[k], end = whole ? all->cut[all->ncut] : all->cut[k + 1];
      all->piece[all->npiece++] = (piece){a, first, end - first, a->bytes / n};
    }
  }
  qsort(all->piece, all->npiece, sizeof *all->piece, compare_pieces);
  while (all->nthreads < all->npiece && !needs_casacore(all->piece[all->nthreads].a))
    all->nthreads++;
  return 0;
}

int sheaf_arrays_plan(array_copies **arrays, copier *c, sheaf_error *err) {
  const sheaf_copyplan *plan = c->plan;
  array_copies *all = calloc(1, sizeof *all);
  *arrays = all;
  if (!all) return no_memory(err);
  all->c = c;
  all->threads = sheaf_threads() < MOST_THREADS ? sheaf_threads() : MOST_THREADS;
  all->few_files = too_many_files(all);
  pthread_mutex_init(&all->lock, NULL);
  all->column = calloc(plan->ncolumn + 1, sizeof *all->column);
  if (!all->column) return no_memory(err);
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < plan->ncolumn; i++)
    if (plan->column[i].role >= SHEAF_ROLE_ARRAY)
      rc = column_plan(&all->column[all->ncolumn++], c, &plan->column[i], err);
  return rc < 0 ? rc : make_pieces(all, err);
}

/* A column without a defined cell stays without. Blocks that are shared need no room on the disk.
 */
int sheaf_arrays_create(array_copies *all, size_t output, sheaf_error *err) {
  const char *path = all->c->output[output].path;
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < all->ncolumn; i++) {
    const array_layout *l = &all->column[i].layout[output];
    const unsigned flags = all->column[i].shares ? 0 : SHEAF_TILES_ALLOCATE;
    const char *name = all->column[i].column->name;
    if (l->ncube == 0) continue;
    rc = sheaf_tiles_create(path, name, l->cube, (int64_t)l->ncube, l->run, (int64_t)l->nrun, flags,
                            err);
    if (rc > 0)
      rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: column %s was not made tiled", path, name);
  }
  return rc;
}

/* ---- moving ---- */

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

/* Rows of one output that wait to be written together. */
typedef struct staging {
  sheaf_tiles *tiles;
  int64_t first, n;
  sheaf_shape shape;
  char *buffer;
  size_t used;
  size_t unsynced; /* bytes since the disk was asked to write */
  uint64_t sum;
} staging;

/* Rows of a block that stay together. */
typedef struct part {
  int64_t row, out, n;
  int32_t ddid, output;
  int written; /* shared with the input */
} part;

/* A piece on its way. */
typedef struct mover {
  array_copies *all;
  array_column *a;
  sheaf_colreader *reader; /* [nms] its own */
  staging *to;             /* [noutput] */
  size_t staging_bytes;
  size_t unsynced; /* bytes of all outputs since the disk was asked to write */
  /* the block: rows of one source with cells of one shape */
  int32_t source;
  sheaf_shape shape;
  int64_t nrow, room; /* rows in it, and how many fit */
  size_t npart;
  part *part;    /* [BLOCK_ROWS] */
  int64_t *rows; /* [BLOCK_ROWS] */
  char *in_buffer, *out_buffer;
  size_t in_room, out_room;
} mover;

static int room_for(char **buffer, size_t *room, size_t bytes, sheaf_error *err) {
  if (bytes <= *room) return 0;
  free(*buffer);
  *buffer = malloc(*room = bytes);
  if (*buffer) return 0;
  *room = 0;
  return no_memory(err);
}

static int open_output(mover *m, size_t output, sheaf_error *err) {
  array_layout *l = &m->a->layout[output];
  const char *path = m->a->c->output[output].path, *name = m->a->column->name;
  int rc = 0;
  pthread_mutex_lock(&m->all->lock);
  if (!l->tiles) rc = sheaf_tiles_open(&l->tiles, path, name, 1, err);
  pthread_mutex_unlock(&m->all->lock);
  if (rc > 0)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: column %s was not made tiled", path, name);
  return rc < 0 ? rc : sheaf_tiles_dup(&m->to[output].tiles, l->tiles, err);
}

/* The disk works while we do, and little is left to wait for at the end. */
static void start_writeback(mover *m) {
  for (size_t o = 0; o < m->a->c->noutput; o++) {
    staging *to = &m->to[o];
    if (!to->tiles || to->unsynced < WRITEBACK_LEAST) continue;
    sheaf_tiles_start_writeback(to->tiles);
    to->unsynced = 0;
  }
  m->unsynced = 0;
}

/* After each use of an output's file. */
static int leave_output(const mover *m, staging *to, sheaf_error *err) {
  if (!m->all->few_files) return 0;
  if (to->unsynced >= WRITEBACK_LEAST) {
    sheaf_tiles_start_writeback(to->tiles);
    to->unsynced = 0;
  }
  return sheaf_tiles_finish(to->tiles, err);
}

static int write_rows(mover *m, size_t output, int64_t first, int64_t n, const char *cells,
                      size_t bytes, sheaf_error *err) {
  staging *to = &m->to[output];
  const sheaf_tiles_rows rows = {.start = first, .n = n};
  int rc = to->tiles ? 0 : open_output(m, output, err);
  if (m->a->packed) pthread_mutex_lock(&m->a->writing);
  if (rc >= 0) rc = sheaf_tiles_write(to->tiles, &rows, NULL, cells, bytes, err);
  if (m->a->packed) pthread_mutex_unlock(&m->a->writing);
  to->unsynced += bytes;
  m->unsynced += bytes;
  if (rc >= 0 && m->unsynced >= WRITEBACK_BYTES) start_writeback(m);
  return rc < 0 ? rc : leave_output(m, to, err);
}

static int flush_staging(mover *m, size_t output, sheaf_error *err) {
  staging *to = &m->to[output];
  if (to->n == 0) return 0;
  const int rc = write_rows(m, output, to->first, to->n, to->buffer, to->used, err);
  to->n = 0;
  to->used = 0;
  return rc;
}

static int stage_rows(mover *m, const part *p, const sheaf_shape *shape, const char *cells,
                      size_t bytes, sheaf_error *err) {
  staging *to = &m->to[p->output];
  int rc = 0;
  if (to->n && (p->out != to->first + to->n || !sheaf_shape_equal(shape, &to->shape) ||
                to->used + bytes > m->staging_bytes))
    rc = flush_staging(m, (size_t)p->output, err);
  if (rc < 0) return rc;
  if (bytes >= DIRECT_BYTES || bytes > m->staging_bytes)
    return write_rows(m, (size_t)p->output, p->out, p->n, cells, bytes, err);
  if (!to->buffer && !(to->buffer = malloc(m->staging_bytes))) return no_memory(err);
  if (to->n == 0) {
    to->first = p->out;
    to->shape = *shape;
  }
  memcpy(to->buffer + to->used, cells, bytes);
  to->used += bytes;
  to->n += p->n;
  return 0;
}

/* Writes one part of a block; `cells` are its input cells, which may be overwritten. */
static int move_part(mover *m, const part *p, char *cells, sheaf_error *err) {
  const array_column *a = m->a;
  const sheaf_cellsel *cell = &a->c->plan->reindex.cell[p->ddid];
  const sheaf_shape *in = &m->shape;
  sheaf_shape out;
  int rc = output_shape(a, p->ddid, p->row, in, &out, err);
  if (rc < 0) return rc;
  const size_t bytes = (size_t)(p->n * sheaf_shape_count(&out)) * a->size;
  const picking pick = what_to_pick(a, p->ddid);
  if (pick != PICK_ALL) {
    rc = room_for(&m->out_buffer, &m->out_room, bytes, err);
    if (rc < 0) return rc;
    if (pick == PICK_CUBE)
      pick_cube(m->out_buffer, cells, p->n, cell, in->ndim > 2 ? in->axis[2] : 1, a->size);
    else
      pick_corr(m->out_buffer, cells, p->n, cell, in->axis[0], a->column->spread, a->size);
    cells = m->out_buffer;
  }
  if (a->column->convert)
    convert_floats((float *)(void *)cells, (int64_t)(bytes / 4), a->column->convert);
  sheaf_checksum_cells(&m->to[p->output].sum, p->out, p->n, &out, cells, bytes / (size_t)p->n);
  if (bytes && !p->written) rc = stage_rows(m, p, &out, cells, bytes, err);
  sheaf_progress_add((int64_t)bytes);
  return rc;
}

static int move_block(mover *m, sheaf_error *err) {
  const size_t cell = (size_t)sheaf_shape_count(&m->shape) * m->a->size;
  int rc = m->nrow ? sheaf_cancel_check(err) : 0;
  if (rc >= 0 && m->nrow)
    rc = room_for(&m->in_buffer, &m->in_room, (size_t)m->nrow * cell + 1, err);
  if (rc >= 0 && m->nrow)
    rc =
        sheaf_colreader_read(&m->reader[m->source], m->rows, m->nrow, &m->shape, m->in_buffer, err);
  char *cells = m->in_buffer;
  for (size_t i = 0; rc >= 0 && i < m->npart; i++) {
    rc = move_part(m, &m->part[i], cells, err);
    cells += (size_t)m->part[i].n * cell;
  }
  m->nrow = 0;
  m->npart = 0;
  return rc;
}

/* Lets the block end where BLOCK_BYTES of the output's file do (or the first cell behind that): the
 * system caches what is written so in large folios, which costs half of what small ones do. `out`
 * is the row of the output that comes first. */
static int end_at_boundary(mover *m, int32_t output, int64_t out, int64_t cell, sheaf_error *err) {
  staging *to = &m->to[output];
  sheaf_tiles_span span;
  int rc = to->tiles ? 0 : open_output(m, (size_t)output, err);
  if (rc >= 0) rc = sheaf_tiles_span_at(to->tiles, out, &span, err);
  if (rc < 0) return rc;
  const int64_t rest = BLOCK_BYTES - span.position * cell % BLOCK_BYTES;
  m->room = (rest + cell - 1) / cell;
  if (m->room > BLOCK_ROWS) m->room = BLOCK_ROWS;
  return 0;
}

static void begin_block(mover *m, int32_t source, const sheaf_shape *shape) {
  const int64_t bytes = sheaf_shape_count(shape) * (int64_t)m->a->size;
  if (m->source != source && m->reader[m->source].tiles)
    sheaf_tiles_finish(m->reader[m->source].tiles, NULL); /* nothing more comes from it */
  m->source = source;
  m->shape = *shape;
  m->room = bytes > 0 ? BLOCK_BYTES / bytes / 8 * 8 : BLOCK_ROWS;
  if (m->room < 8) m->room = 8;
  if (m->room > BLOCK_ROWS) m->room = BLOCK_ROWS;
}

/* Lets the cells of rows [i, i + n) of a run share the input's blocks where that can be: those from
 * *skip on, *shared of them. They are read afterwards, for the checksum: a change of the input
 * while it is copied shows there. */
static int share_rows(mover *m, const copy_run *run, int64_t i, int64_t n, int64_t cell,
                      int64_t *skip, int64_t *shared, sheaf_error *err) {
  array_column *a = m->a;
  staging *to = &m->to[run->output];
  sheaf_tiles_span span;
  *skip = n;
  *shared = 0;
  if (!a->shares || n * cell < SHARE_BYTES) return 0;
  int rc = to->tiles ? 0 : open_output(m, (size_t)run->output, err);
  if (rc >= 0)
    rc = sheaf_tiles_share(to->tiles, run->out + i, m->reader[run->source].tiles, run->row + i, n,
                           SHARE_BYTES, &span, err);
  if (rc == SHEAF_TILES_UNKNOWN) {
    if (err) sheaf_log(SHEAF_LOG_DEBUG, "%s; it is written", err->text);
    sheaf_error_clear(err);
    a->shares = 0;
    return 0;
  }
  if (rc >= 0) rc = leave_output(m, to, err);
  if (rc < 0 || !span.nrow) return rc;
  *skip = span.start - (run->out + i);
  *shared = span.nrow;
  a->shared += span.nrow * cell;
  return 0;
}

/* Adds n rows of a run, whose cells have one shape, to blocks. */
static int add_rows_of_run(mover *m, const copy_run *run, int64_t i, int64_t n,
                           const sheaf_shape *shape, int written, sheaf_error *err) {
  const int64_t cell = sheaf_shape_count(shape) * (int64_t)m->a->size;
  const int is_long = !written && m->a->reader[0].type != SHEAF_BOOL && n * cell >= LONG_RUN_BYTES;
  int rc = is_long && m->nrow ? move_block(m, err) : 0;
  for (int64_t now; rc >= 0 && n > 0; i += now, n -= now) {
    if (m->nrow &&
        (m->source != run->source || !sheaf_shape_equal(shape, &m->shape) || m->nrow == m->room))
      rc = move_block(m, err);
    if (rc >= 0 && m->nrow == 0) {
      begin_block(m, run->source, shape);
      if (is_long) rc = end_at_boundary(m, run->output, run->out + i, cell, err);
    }
    if (rc < 0) return rc;
    now = n < m->room - m->nrow ? n : m->room - m->nrow;
    m->part[m->npart++] = (part){run->row + i, run->out + i, now, run->ddid, run->output, written};
    for (int64_t k = 0; k < now; k++) m->rows[m->nrow++] = run->row + i + k;
  }
  return rc;
}

static int add_run(mover *m, const copy_run *run, sheaf_error *err) {
  sheaf_colreader *reader = &m->reader[run->source];
  int rc = 0;
  for (int64_t i = 0, n; rc >= 0 && i < run->n; i += n) {
    int64_t skip, shared;
    sheaf_shape shape;
    rc = sheaf_colreader_shape(reader, run->row + i, &shape, err);
    if (rc < 0) return rc;
    n = reader->to - (run->row + i);
    if (n > run->n - i) n = run->n - i;
    if (shape.ndim == 0) {
      sheaf_checksum_undefined(&m->to[run->output].sum, run->out + i, n);
      continue;
    }
    const int64_t cell = sheaf_shape_count(&shape) * (int64_t)m->a->size;
    rc = share_rows(m, run, i, n, cell, &skip, &shared, err);
    if (rc >= 0) rc = add_rows_of_run(m, run, i, skip, &shape, 0, err);
    if (rc >= 0) rc = add_rows_of_run(m, run, i + skip, shared, &shape, 1, err);
    if (rc >= 0) rc = add_rows_of_run(m, run, i + skip + shared, n - skip - shared, &shape, 0, err);
  }
  return rc;
}

static int mover_open(mover *m, array_copies *all, array_column *a, sheaf_error *err) {
  const copier *c = a->c;
  *m = (mover){.all = all, .a = a};
  m->staging_bytes = ALL_STAGING_BYTES / c->noutput / (size_t)all->threads;
  if (m->staging_bytes > STAGING_BYTES) m->staging_bytes = STAGING_BYTES;
  m->reader = calloc(c->nms + 1, sizeof *m->reader);
  m->to = calloc(c->noutput + 1, sizeof *m->to);
  m->part = malloc(BLOCK_ROWS * sizeof *m->part);
  m->rows = malloc(BLOCK_ROWS * sizeof *m->rows);
  if (!m->reader || !m->to || !m->part || !m->rows) return no_memory(err);
  int rc = 0;
  for (size_t s = 0; rc >= 0 && s < c->nms; s++)
    rc = sheaf_colreader_dup(&m->reader[s], &a->reader[s], err);
  return rc;
}

/* Ends a piece: what is staged is written, sums are added to the column's. */
static int mover_finish(mover *m, sheaf_error *err) {
  const size_t noutput = m->a->c->noutput;
  int rc = 0;
  for (size_t o = 0; rc >= 0 && o < noutput; o++) rc = flush_staging(m, o, err);
  if (rc >= 0) start_writeback(m);
  for (size_t o = 0; rc >= 0 && o < noutput; o++)
    if (m->to[o].tiles) rc = sheaf_tiles_finish(m->to[o].tiles, err);
  pthread_mutex_lock(&m->all->lock);
  for (size_t o = 0; rc >= 0 && o < noutput; o++) m->a->layout[o].sum += m->to[o].sum;
  pthread_mutex_unlock(&m->all->lock);
  return rc;
}

static void mover_close(mover *m) {
  for (size_t s = 0; m->reader && s < m->a->c->nms; s++) sheaf_colreader_close(&m->reader[s]);
  for (size_t o = 0; m->to && o < m->a->c->noutput; o++) {
    sheaf_tiles_close(m->to[o].tiles);
    free(m->to[o].buffer);
  }
  free(m->reader);
  free(m->to);
  free(m->part);
  free(m->rows);
  free(m->in_buffer);
  free(m->out_buffer);
}

static int move_piece(array_copies *all, const piece *p, sheaf_error *err) {
  mover m;
  sheaf_recreader runs = {.fd = -1};
  const void *run;
  const sheaf_recspan span = {all->c->input.path, p->first, p->n};
  int rc = mover_open(&m, all, p->a, err);
  if (rc >= 0) rc = sheaf_recreader_open(&runs, &span, 1, sizeof(copy_run), RUN_WINDOW, err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&runs, &run, err)) > 0) rc = add_run(&m, run, err);
  if (rc >= 0) rc = move_block(&m, err);
  if (rc >= 0) rc = mover_finish(&m, err);
  sheaf_recreader_close(&runs);
  mover_close(&m);
  return rc;
}

/* ---- all of them ---- */

static void keep_failure(array_copies *all, int rc, const sheaf_error *err) {
  pthread_mutex_lock(&all->lock);
  if (!all->failed) {
    all->error = *err;
    all->failed = rc;
  }
  pthread_mutex_unlock(&all->lock);
}

/* Takes pieces from the list until it is empty or something failed. */
static void *work_on(void *arrays) {
  array_copies *all = arrays;
  sheaf_error err;
  while (!all->failed) {
    const size_t i = atomic_fetch_add(&all->next, 1);
    if (i >= all->nthreads) break;
    const int rc = move_piece(all, &all->piece[i], &err);
    if (rc < 0) keep_failure(all, rc, &err);
  }
  return NULL;
}

static void start_threads(array_copies *all) {
  int want = all->threads - 1; /* besides this one */
  if ((size_t)want > all->nthreads) want = (int)all->nthreads;
  while (all->nthread < want && pthread_create(&all->thread[all->nthread], NULL, work_on, all) == 0)
    all->nthread++;
}

static void join_threads(array_copies *all) {
  while (all->nthread > 0) pthread_join(all->thread[--all->nthread], NULL);
}

static void keep_checksums(array_copies *all, int casacore) {
  for (size_t i = 0; i < all->ncolumn; i++) {
    const array_column *a = &all->column[i];
    if (needs_casacore(a) != casacore) continue;
    for (size_t o = 0; o < all->c->noutput; o++) {
      char hex[17];
      sheaf_checksum_hex(a->layout[o].sum, hex);
      json_object_set_new(all->c->output[o].checksums, a->column->name, json_string(hex));
    }
  }
}

static void tell_ways(const array_copies *all) {
  for (size_t i = 0; i < all->ncolumn; i++) {
    const array_column *a = &all->column[i];
    const char *path = all->c->output[0].path, *name = a->column->name;
    if (a->shared)
      sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s: %lld of %lld bytes share disk blocks of the input",
                path, name, (long long)a->shared, (long long)a->bytes);
    else if (!needs_casacore(a))
      sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s is copied through memory", path, name);
  }
}

int sheaf_arrays_copy_tiles(array_copies *all, sheaf_error *err) {
  start_threads(all);
  work_on(all);
  join_threads(all);
  if (all->failed) {
    if (err) *err = all->error;
    return all->failed;
  }
  keep_checksums(all, 0);
  tell_ways(all);
  return 0;
}

int sheaf_arrays_copy_casacore(array_copies *all, sheaf_error *err) {
  int rc = 0;
  for (size_t i = all->nthreads; rc >= 0 && i < all->npiece; i++)
    rc = move_piece(all, &all->piece[i], err);
  if (rc >= 0) keep_checksums(all, 1);
  return rc;
}

static void column_close(array_column *a) {
  for (size_t s = 0; a->reader && s < a->c->nms; s++) sheaf_colreader_close(&a->reader[s]);
  for (size_t o = 0; a->layout && o < a->c->noutput; o++) {
    sheaf_tiles_close(a->layout[o].tiles);
    free(a->layout[o].cube);
    free(a->layout[o].shape);
    free(a->layout[o].run);
  }
  free(a->reader);
  free(a->layout);
  pthread_mutex_destroy(&a->writing);
}

void sheaf_arrays_close(array_copies *all) {
  if (!all) return;
  for (size_t i = 0; i < all->ncolumn; i++) column_close(&all->column[i]);
  free(all->column);
  free(all->piece);
  pthread_mutex_destroy(&all->lock);
  free(all);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table/tiles.h"
#include "table/tiles_layout.h"

/* The new cubes and row map of an empty column. */
typedef struct plan {
  sheaf_layout *l;
  const char *stem, *column;
  const sheaf_tiles_cube *given;
  int64_t ngiven;
  int64_t *number; /* [ngiven] number in the header, 0 while unused */
  int64_t *nrow;   /* [ngiven] */
  sheaf_error *err;
} plan;

static int check_empty(const plan *p) {
  const sheaf_layout *l = p->l;
  if (l->manager != SHEAF_LAYOUT_SHAPE)
    return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: cells can be made in TiledShapeStMan only",
                      p->column);
  if (l->nmap != 0 || l->ncube != 1)
    return sheaf_fail(p->err, SHEAF_ERR_EXISTS, "%s: column %s has cells already", p->stem,
                      p->column);
  if (l->nvalue != 0)
    return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s belongs to a hypercolumn with coordinates",
                      p->column);
  if (l->nrow > UINT32_MAX)
    return sheaf_fail(p->err, SHEAF_ERR_ARG,
                      "column %s: %llu rows, TiledShapeStMan has at most 2^32", p->column,
                      (unsigned long long)l->nrow);
  return 0;
}

static int same_shape(const sheaf_tiles_cube *a, const sheaf_tiles_cube *b) {
  return memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

static int check_cube(const plan *p, int64_t k) {
  const sheaf_tiles_cube *c = &p->given[k];
  if (c->ndim != p->l->cell_ndim)
    return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: a cell of %d axes, its header wants %d",
                      p->column, c->ndim, p->l->cell_ndim);
  for (int i = 0; i < c->ndim; i++)
    if (c->shape[i] < 1 || c->tile[i] < 0)
      return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: an axis of %lld in tiles of %lld",
                        p->column, (long long)c->shape[i], (long long)c->tile[i]);
  if (c->tile_rows < 1)
    return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: tiles of %lld rows", p->column,
                      (long long)c->tile_rows);
  for (int64_t j = 0; j < k; j++)
    if (same_shape(c, &p->given[j]))
      return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: cubes %lld and %lld have one shape",
                        p->column, (long long)j, (long long)k);
  return 0;
}

/* Counts rows and cubes, in order of appearance; returns the number of cubes used. */
static int64_t number_cubes(plan *p, const sheaf_tiles_run *runs, int64_t nrun) {
  int64_t rows = 0, used = 0;
  for (int64_t i = 0; i < nrun; i++) {
    if (runs[i].nrow < 0 || runs[i].cube < -1 || runs[i].cube >= p->ngiven)
      return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: %lld rows in cube %lld of %lld",
                        p->column, (long long)runs[i].nrow, (long long)runs[i].cube,
                        (long long)p->ngiven);
    if (__builtin_add_overflow(rows, runs[i].nrow, &rows)) rows = INT64_MAX;
    if (runs[i].cube < 0 || runs[i].nrow == 0) continue;
    if (p->number[runs[i].cube] == 0) p->number[runs[i].cube] = ++used;
    p->nrow[runs[i].cube] += runs[i].nrow;
  }
  if (rows != (int64_t)p->l->nrow)
    return sheaf_fail(p->err, SHEAF_ERR_ARG, "column %s: places for %lld rows, the table has %llu",
                      p->column, (long long)rows, (unsigned long long)p->l->nrow);
  return used;
}

static int make_cube(plan *p, int64_t k, sheaf_layout_cube *c, int64_t *axes) {
  const sheaf_tiles_cube *given = &p->given[k];
  const int n = p->l->ndim;
  int64_t *shape = axes, *tile = axes + n;
  for (int i = 0; i < given->ndim; i++) {
    shape[i] = given->shape[i];
    tile[i] = given->tile[i] && given->tile[i] < shape[i] ? given->tile[i] : shape[i];
  }
  shape[n - 1] = p->nrow[k];
  tile[n - 1] = given->tile_rows;
  *c = (sheaf_layout_cube){.ndim = n, .shape = shape, .tile = tile, .extensible = 1};
  c->file = (int)p->number[k];
  return sheaf_layout_derive(p->l, c, axes + 2 * n, axes + 3 * n, p->stem, p->err);
}

/* Adds the cubes and their files to the layout. */
static int add_cubes(plan *p, int64_t used) {
  sheaf_layout *l = p->l;
  const size_t n = (size_t)used + 1;
  sheaf_layout_cube *cubes = realloc(l->cubes, n * sizeof *cubes);
  if (cubes) l->cubes = cubes;
  sheaf_layout_file *files = calloc(n, sizeof *files);
  int64_t *pool = calloc(n, 4 * (size_t)l->ndim * sizeof *pool);
  free(l->pool);
  free(l->files);
  l->pool = pool;
  l->files = files;
  if (!cubes || !files || !pool)
    return sheaf_fail(p->err, SHEAF_ERR_NOMEM, "%s: no memory for its cubes", p->stem);
  l->ncube = used + 1;
  l->nfile = (uint32_t)used + 1;
  for (int64_t k = 0; k < p->ngiven; k++) {
    const int64_t number = p->number[k];
    if (number == 0) continue;
    sheaf_layout_cube *c = &l->cubes[number];
    const int rc = make_cube(p, k, c, pool + 4 * l->ndim * number);
    if (rc < 0) return rc;
    int64_t bytes = c->bucket;
    for (int i = 0; i < l->ndim; i++) bytes *= c->ntile[i];
    files[number] = (sheaf_layout_file){1, (uint32_t)number, bytes};
  }
  return 0;
}

/* Appends a stretch of rows that ends with row `last`, or lengthens the one before. */
static void add_stretch(sheaf_layout *l, uint64_t last, uint32_t cube, uint32_t pos, int64_t nrow) {
  const int64_t i = l->nmap - 1;
  const int follows =
      i >= 0 && l->cube_map[i] == cube && (cube == 0 || l->pos_map[i] + (uint64_t)nrow == pos);
  if (!follows) l->nmap++;
  l->row_map[l->nmap - 1] = last;
  l->cube_map[l->nmap - 1] = cube;
  l->pos_map[l->nmap - 1] = pos;
}

/* Positions are given out in row order; undefined rows behind the last defined one get no entry. */
static int add_maps(plan *p, const sheaf_tiles_run *runs, int64_t nrun) {
  sheaf_layout *l = p->l;
  free(l->row_map);
  free(l->cube_map);
  free(l->pos_map);
  l->row_map = calloc((size_t)nrun + 1, sizeof *l->row_map);
  l->cube_map = calloc((size_t)nrun + 1, sizeof *l->cube_map);
  l->pos_map = calloc((size_t)nrun + 1, sizeof *l->pos_map);
  int64_t *used = calloc((size_t)p->ngiven + 1, sizeof *used);
  if (!l->row_map || !l->cube_map || !l->pos_map || !used) {
    free(used);
    return sheaf_fail(p->err, SHEAF_ERR_NOMEM, "%s: no memory for its row map", p->stem);
  }
  uint64_t row = 0;
  for (int64_t i = 0; i < nrun; i++) {
    const int64_t k = runs[i].cube;
    row += (uint64_t)runs[i].nrow;
    if (runs[i].nrow == 0) continue;
    if (k >= 0) used[k] += runs[i].nrow;
    add_stretch(l, row - 1, k < 0 ? 0 : (uint32_t)p->number[k], k < 0 ? 0 : (uint32_t)(used[k] - 1),
                runs[i].nrow);
  }
  while (l->nmap > 0 && l->cube_map[l->nmap - 1] == 0) l->nmap--;
  free(used);
  return 0;
}

static int finish_file(int fd, unsigned flags) {
  return (flags & SHEAF_TILES_SYNC) && fsync(fd) < 0 ? errno : 0;
}

static int make_file(const plan *p, const sheaf_layout_file *f, unsigned flags) {
  char path[4200];
  snprintf(path, sizeof path, "%s_TSM%u", p->stem, f->number);
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return sheaf_fail_errno(p->err, SHEAF_ERR_IO, errno, "cannot create %s", path);
  int bad = ftruncate(fd, f->length) < 0 ? errno : 0;
  if (!bad && (flags & SHEAF_TILES_ALLOCATE) && f->length) bad = posix_fallocate(fd, 0, f->length);
  if (!bad) bad = finish_file(fd, flags);
  if (close(fd) < 0 && !bad) bad = errno;
  if (!bad) return 0;
  return sheaf_fail_errno(p->err, SHEAF_ERR_IO, bad, "cannot give %s its %lld bytes", path,
                          (long long)f->length);
}

static int sync_directory(const plan *p, unsigned flags) {
  if (!(flags & SHEAF_TILES_SYNC)) return 0;
  char path[4200];
  snprintf(path, sizeof path, "%s", p->stem);
  const int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int bad = fd < 0 || fsync(fd) < 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return bad ? sheaf_fail_errno(p->err, SHEAF_ERR_IO, bad, "cannot sync the folder of %s", p->stem)
             : 0;
}

static int write_header(const plan *p, const char *path, unsigned flags) {
  sheaf_aips_out out = {0};
  int bad = 0;
  sheaf_layout_write(p->l, &out);
  if (out.failed) return sheaf_fail(p->err, SHEAF_ERR_NOMEM, "%s: no memory for it", p->stem);
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) bad = errno;
  for (size_t done = 0; !bad && done < out.n;) {
    const ssize_t put = write(fd, out.data + done, out.n - done);
    if (put < 0 && errno != EINTR) bad = errno;
    if (put > 0) done += (size_t)put;
  }
  if (!bad) bad = finish_file(fd, flags);
  if (fd >= 0 && close(fd) < 0 && !bad) bad = errno;
  free(out.data);
  return bad ? sheaf_fail_errno(p->err, SHEAF_ERR_IO, bad, "cannot write %s", path) : 0;
}

static void remove_files(const plan *p) {
  char path[4200];
  for (uint32_t i = 1; i < p->l->nfile; i++) {
    snprintf(path, sizeof path, "%s_TSM%u", p->stem, p->l->files[i].number);
    unlink(path);
  }
}

static int commit(const plan *p, unsigned flags) {
  char tmp[4200];
  int rc = 0;
  snprintf(tmp, sizeof tmp, "%s.tmp", p->stem);
  for (uint32_t i = 1; i < p->l->nfile && rc == 0; i++) rc = make_file(p, &p->l->files[i], flags);
  if (rc == 0) rc = sync_directory(p, flags);
  if (rc == 0) rc = write_header(p, tmp, flags);
  if (rc == 0 && rename(tmp, p->stem) < 0)
    rc = sheaf_fail_errno(p->err, SHEAF_ERR_IO, errno, "cannot replace %s", p->stem);
  if (rc < 0) {
    unlink(tmp);
    remove_files(p);
    return rc;
  }
  return sync_directory(p, flags);
}

static int make_cells(plan *p, const sheaf_tiles_run *runs, int64_t nrun, unsigned flags) {
  int rc = check_empty(p);
  for (int64_t k = 0; k < p->ngiven && rc == 0; k++) rc = check_cube(p, k);
  if (rc < 0) return rc;
  const int64_t used = number_cubes(p, runs, nrun);
  if (used <= 0) return (int)used;
  if ((rc = add_cubes(p, used)) < 0 || (rc = add_maps(p, runs, nrun)) < 0) return rc;
  return commit(p, flags);
}

int sheaf_tiles_create(const char *table_path, const char *column, const sheaf_tiles_cube *cubes,
                       int64_t ncube, const sheaf_tiles_run *runs, int64_t nrun, unsigned flags,
                       sheaf_error *err) {
  char *stem = NULL;
  plan p = {.column = column, .given = cubes, .ngiven = ncube, .err = err};
  const char *dat = flags & SHEAF_TILES_PENDING ? SHEAF_LAYOUT_PENDING : SHEAF_LAYOUT_DAT;
  int rc = sheaf_layout_load(&p.l, &stem, table_path, dat, column, err);
  if (rc != 0) return rc;
  p.stem = stem;
  p.number = calloc((size_t)ncube + 1, sizeof *p.number);
  p.nrow = calloc((size_t)ncube + 1, sizeof *p.nrow);
  if (p.number && p.nrow)
    rc = make_cells(&p, runs, nrun, flags);
  else
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its cubes", stem);
  free(p.number);
  free(p.nrow);
  sheaf_layout_free(p.l);
  free(stem);
  return rc;
}

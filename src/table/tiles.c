/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/tiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/tiles_impl.h"

/* ---- opening ---- */

static sheaf_tiles *new_handle(sheaf_tiles_shared *s, int writable) {
  sheaf_tiles *t = malloc(sizeof *t);
  if (!t) return NULL;
  memset(t, 0, offsetof(sheaf_tiles, pieces));
  t->shared = s;
  t->writable = writable;
  t->fd = -1;
  return t;
}

static void release(sheaf_tiles_shared *s) {
  if (!s || atomic_fetch_sub(&s->users, 1) > 1) return;
  sheaf_layout_free(s->layout);
  free(s->stem);
  free(s->column);
  free(s);
}

static int open_from(sheaf_tiles **tiles, const char *table, const char *dat, const char *column,
                     int writable, sheaf_error *err) {
  *tiles = NULL;
  sheaf_tiles_shared *s = calloc(1, sizeof *s);
  if (!s) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", table);
  atomic_init(&s->users, 1);
  int rc = sheaf_layout_load(&s->layout, &s->stem, table, dat, column, err);
  if (rc == 0 && (!(s->column = strdup(column)) || !(*tiles = new_handle(s, writable))))
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", table);
  if (rc != 0) release(s);
  return rc;
}

int sheaf_tiles_open(sheaf_tiles **tiles, const char *table, const char *column, int writable,
                     sheaf_error *err) {
  return open_from(tiles, table, SHEAF_LAYOUT_DAT, column, writable, err);
}

int sheaf_tiles_open_pending(sheaf_tiles **tiles, const char *table, const char *column,
                             int writable, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%.4000s/" SHEAF_LAYOUT_PENDING, table);
  const int rc = access(path, F_OK) == 0
                     ? open_from(tiles, table, SHEAF_LAYOUT_PENDING, column, writable, err)
                     : SHEAF_ERR_NOTFOUND;
  /* also when a commit took it away between the two calls */
  return rc == SHEAF_ERR_NOTFOUND ? sheaf_tiles_open(tiles, table, column, writable, err) : rc;
}

int sheaf_tiles_dup(sheaf_tiles **tiles, const sheaf_tiles *other, sheaf_error *err) {
  *tiles = new_handle(other->shared, other->writable);
  if (!*tiles) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", other->shared->stem);
  atomic_fetch_add(&other->shared->users, 1);
  return 0;
}

void sheaf_tiles_close(sheaf_tiles *t) {
  if (!t) return;
  if (t->fd >= 0) close(t->fd);
  free(t->scratch);
  free(t->scratch2);
  free(t->written);
  release(t->shared);
  free(t);
}

/* ---- questions ---- */

void sheaf_tiles_describe(const sheaf_tiles *t, sheaf_tiles_info *info) {
  static const char *const name[] = {"TiledShapeStMan", "TiledColumnStMan", "TiledCellStMan",
                                     "TiledDataStMan"};
  const sheaf_layout *l = t->shared->layout;
  *info = (sheaf_tiles_info){.type = l->type,
                             .size = sheaf_tiles_memory_size(l),
                             .ndim = l->cell_ndim,
                             .big_endian = l->big_endian,
                             .ncolumn = l->ndata,
                             .nrow = (int64_t)l->nrow,
                             .ncube = l->ncube,
                             .manager = name[l->manager]};
}

int sheaf_tiles_cube_at(const sheaf_tiles *t, int64_t number, sheaf_tiles_cube *cube,
                        sheaf_error *err) {
  const sheaf_layout *l = t->shared->layout;
  memset(cube, 0, sizeof *cube);
  if (number < 0 || number >= l->ncube)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: cube %lld: there are %lld", t->shared->column,
                      (long long)number, (long long)l->ncube);
  const sheaf_layout_cube *c = &l->cubes[number];
  if (c->ndim == 0) return 0;
  cube->ndim = l->cell_ndim;
  cube->tile_rows = cube->nrow = 1;
  for (int i = 0; i < c->ndim; i++) {
    if (i < l->cell_ndim) {
      cube->shape[i] = c->shape[i];
      cube->tile[i] = c->tile[i];
    } else {
      cube->tile_rows *= c->tile[i];
      cube->nrow *= c->shape[i];
    }
  }
  cube->direct = c->direct;
  return 0;
}

int sheaf_tiles_span_at(sheaf_tiles *t, int64_t row, sheaf_tiles_span *span, sheaf_error *err) {
  sheaf_layout_run run;
  const sheaf_layout *l = t->shared->layout;
  int rc = sheaf_layout_locate(l, row, &t->hint, &run, err);
  if (rc < 0)
    return sheaf_fail_context(err, rc, "%s, column %s", t->shared->stem, t->shared->column);
  *span = (sheaf_tiles_span){.start = row, .nrow = run.nrow, .cube = run.cube};
  span->position = run.pos[0];
  while (run.cube < 0 && span->start + span->nrow < (int64_t)l->nrow) {
    rc = sheaf_layout_locate(l, span->start + span->nrow, &t->hint, &run, err);
    if (rc < 0) return rc;
    if (run.cube < 0) span->nrow += run.nrow;
  }
  return 0;
}

/* ---- files and scratch ---- */

static int close_file(sheaf_tiles *t, sheaf_error *err) {
  const int bad = t->fd >= 0 && close(t->fd) < 0 && t->writable ? errno : 0;
  t->fd = -1;
  return bad ? sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "cannot write %s_TSM%d", t->shared->stem,
                                t->fd_number)
             : 0;
}

int sheaf_tiles_finish(sheaf_tiles *t, sheaf_error *err) {
  return close_file(t, err);
}

int sheaf_tiles_note_written(sheaf_tiles *t, sheaf_error *err) {
  for (int i = t->nwritten; i > 0; i--)
    if (t->written[i - 1] == t->fd_number) return 0;
  if (t->nwritten == t->rwritten) {
    const int room = 2 * t->rwritten + 4;
    int *more = realloc(t->written, (size_t)room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", t->shared->stem);
    t->written = more;
    t->rwritten = room;
  }
  t->written[t->nwritten++] = t->fd_number;
  return 0;
}

int sheaf_tiles_open_file(sheaf_tiles *t, int number, sheaf_error *err) {
  char path[4200];
  struct stat st;
  if (t->fd >= 0 && t->fd_number == number) return 0;
  const int rc = close_file(t, err);
  if (rc < 0) return rc;
  snprintf(path, sizeof path, "%s_TSM%d", t->shared->stem, number);
  t->fd = open(path, (t->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  t->fd_number = number;
  t->fd_size = t->fd >= 0 && fstat(t->fd, &st) == 0 ? st.st_size : 0;
  if (t->fd >= 0) return 0;
  return sheaf_fail_errno(err, errno == ENOENT ? SHEAF_ERR_DATA : SHEAF_ERR_IO, errno,
                          "column %s: cannot open %s", t->shared->column, path);
}

int sheaf_tiles_short_file(const sheaf_tiles *t, int64_t offset, size_t n, sheaf_error *err) {
  struct stat st = {0};
  fstat(t->fd, &st);
  return sheaf_fail(
      err, SHEAF_ERR_DATA,
      "%s_TSM%d is cut: column %s has %zu bytes at byte %lld, the file has %lld bytes",
      t->shared->stem, t->fd_number, t->shared->column, n, (long long)offset,
      (long long)st.st_size);
}

int sheaf_tiles_read_at(const sheaf_tiles *t, void *out, size_t n, int64_t offset,
                        sheaf_error *err) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = pread(t->fd, (char *)out + done, n - done, offset + (int64_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s_TSM%d", t->shared->stem,
                              t->fd_number);
    if (got == 0) return sheaf_tiles_short_file(t, offset, n, err);
    done += (size_t)got;
  }
  return 0;
}

int sheaf_tiles_write_at(const sheaf_tiles *t, const void *in, size_t n, int64_t offset,
                         sheaf_error *err) {
  for (size_t done = 0; done < n;) {
    const ssize_t put = pwrite(t->fd, (const char *)in + done, n - done, offset + (int64_t)done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s_TSM%d", t->shared->stem,
                              t->fd_number);
    done += (size_t)put;
  }
  return 0;
}

int sheaf_tiles_need(uint8_t **buffer, size_t *have, size_t n, const sheaf_tiles *t,
                     sheaf_error *err) {
  if (n <= *have) return 0;
  free(*buffer);
  *have = 0;
  if (!(*buffer = malloc(n + 8)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for %zu bytes of tiles", t->shared->stem,
                      n);
  *have = n;
  return 0;
}

int sheaf_tiles_sync(sheaf_tiles *t, sheaf_error *err) {
  for (; t->nwritten > 0; t->nwritten--) {
    const int rc = sheaf_tiles_open_file(t, t->written[t->nwritten - 1], err);
    if (rc < 0) return rc;
    if (fsync(t->fd) < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s_TSM%d", t->shared->stem,
                              t->fd_number);
  }
  return 0;
}

void sheaf_tiles_start_writeback(sheaf_tiles *t) {
  if (t->fd >= 0 && t->writable) (void)sync_file_range(t->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "table/tiles_impl.h"

/* Rows whose cells lie one behind the other in the open file of a handle. */
typedef struct place {
  int64_t offset; /* of the first */
  int64_t cell;   /* bytes of one */
  int64_t nrow;
} place;

/* 1 and a place; 0 when cells from this row on do not lie so. */
static int find_place(sheaf_tiles *t, int64_t row, place *p, sheaf_error *err) {
  const sheaf_layout *l = t->shared->layout;
  sheaf_layout_run run;
  int rc = sheaf_layout_locate(l, row, &t->hint, &run, err);
  if (rc < 0) return sheaf_fail_context(err, rc, "column %s", t->shared->column);
  if (run.cube < 0 || l->size == 0) return 0;
  const sheaf_layout_cube *c = &l->cubes[run.cube];
  if (!c->direct) return 0;
  int64_t cell = l->size;
  for (int i = 0; i < l->cell_ndim; i++) cell *= c->shape[i];
  *p = (place){c->offset + run.pos[0] * cell, cell, run.nrow};
  rc = cell ? sheaf_tiles_open_file(t, c->file, err) : 0;
  return rc < 0 ? rc : cell > 0;
}

static int64_t common_divisor(int64_t a, int64_t b) {
  while (b) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* Bytes of a block of the file system, 0 when it does not say. */
static int64_t block_bytes(int fd) {
  struct statvfs fs;
  return fstatvfs(fd, &fs) == 0 && fs.f_frsize <= INT32_MAX ? (int64_t)fs.f_frsize : 0;
}

/* The system writes what it still holds of the source to disk before it shares it. */
static int share_bytes(int to, int64_t to_offset, int from, int64_t from_offset, int64_t n) {
  struct file_clone_range range = {.src_fd = from,
                                   .src_offset = (uint64_t)from_offset,
                                   .src_length = (uint64_t)n,
                                   .dest_offset = (uint64_t)to_offset};
  int rc;
  do rc = ioctl(to, FICLONERANGE, &range);
  while (rc < 0 && errno == EINTR);
  return rc < 0 ? errno : 0;
}

static int same_bytes(const sheaf_layout *a, const sheaf_layout *b) {
  return a->type == b->type && a->size == b->size && a->big_endian == b->big_endian;
}

int sheaf_tiles_share(sheaf_tiles *to, int64_t to_row, sheaf_tiles *from, int64_t from_row,
                      int64_t n, int64_t least, sheaf_tiles_span *shared, sheaf_error *err) {
  place t, f;
  *shared = (sheaf_tiles_span){.start = to_row};
  if (!to->writable || !same_bytes(to->shared->layout, from->shared->layout)) return 0;
  int rc = find_place(to, to_row, &t, err);
  if (rc > 0) rc = find_place(from, from_row, &f, err);
  if (rc <= 0) return rc;
  const int64_t block = block_bytes(to->fd);
  if (!block || t.cell != f.cell || t.offset % block != f.offset % block) return 0;
  const int64_t step = block / common_divisor(t.cell, block);
  int64_t skip = 0;
  if (n > t.nrow) n = t.nrow;
  if (n > f.nrow) n = f.nrow;
  while (skip < step && skip < n && (t.offset + skip * t.cell) % block) skip++;
  if (skip == step || skip >= n) return 0;
  n = (n - skip) / step * step;
  const int64_t bytes = n * t.cell, here = t.offset + skip * t.cell,
                there = f.offset + skip * f.cell;
  if (n == 0 || bytes < least || here + bytes > to->fd_size || there + bytes > from->fd_size)
    return 0;
  rc = sheaf_tiles_note_written(to, err);
  if (rc < 0) return rc;
  const int bad = share_bytes(to->fd, here, from->fd, there, bytes);
  if (bad) {
    sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "%s_TSM%d cannot share blocks", to->shared->stem,
                     to->fd_number);
    return SHEAF_TILES_UNKNOWN;
  }
  *shared = (sheaf_tiles_span){.start = to_row + skip, .nrow = n};
  return 0;
}

int sheaf_tiles_can_share(sheaf_tiles *from, int64_t row, const char *scratch, sheaf_error *err) {
  place p;
  const int rc = find_place(from, row, &p, err);
  if (rc <= 0) return rc;
  const int fd = open(scratch, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const int64_t block = fd < 0 ? 0 : block_bytes(fd);
  const int can = block && from->fd_size >= block && share_bytes(fd, 0, from->fd, 0, block) == 0;
  if (fd >= 0) close(fd);
  if (fd >= 0) unlink(scratch);
  sheaf_tiles_finish(from, NULL);
  return can;
}

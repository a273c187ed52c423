/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/keysort.h"
#include "table/bits.h"
#include "table/putter.h"
#include "table/tiles.h"

enum {
  ENTRIES = 1 << 17,     /* of a file */
  BUFFER = 1 << 18,      /* bytes held back by a writer */
  BATCH_BYTES = 1 << 22, /* of flags written together */
  BATCH_ROWS = 1 << 16
};

static const char magic[8] = "sheaffl";

typedef struct header {
  char magic[8];
  int64_t nentry, index; /* where the entries begin */
} header;

/* Entries lie behind the bits, by member and row. */
typedef struct entry {
  int64_t row, offset;
  int32_t member, nchan, ncorr, row_flag; /* nchan 0: no flags */
} entry;

struct sheaf_patcher {
  char *stem; /* folder/stem */
  char name[256];
  int number, fd;
  entry *entries;
  size_t n;
  uint8_t *buffer;
  size_t used;
  int64_t at; /* offset of the next bits */
  json_t *files;
};

/* ---- writing ---- */

int sheaf_patcher_open(sheaf_patcher **patcher, const char *folder, const char *stem,
                       sheaf_error *err) {
  sheaf_patcher *p = *patcher = calloc(1, sizeof *p);
  if (!p) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for changed flags");
  p->fd = -1;
  p->files = json_array();
  p->stem = malloc(strlen(folder) + strlen(stem) + 2);
  p->entries = malloc(ENTRIES * sizeof *p->entries);
  p->buffer = malloc(BUFFER);
  snprintf(p->name, sizeof p->name, "%s", stem);
  if (p->stem && p->entries && p->buffer) {
    sprintf(p->stem, "%s/%s", folder, stem);
    return 0;
  }
  sheaf_patcher_abandon(p);
  *patcher = NULL;
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for changed flags");
}

static int write_all(int fd, const void *data, size_t n, const char *path, sheaf_error *err) {
  const char *from = data;
  while (n > 0) {
    const ssize_t done = write(fd, from, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write changed flags to %s", path);
    from += done;
    n -= (size_t)done;
  }
  return 0;
}

static int begin_file(sheaf_patcher *p, sheaf_error *err) {
  char path[4600];
  const header empty = {.nentry = 0};
  snprintf(path, sizeof path, "%s.%d.new", p->stem, p->number);
  p->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (p->fd < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make %s for changed flags", path);
  p->n = p->used = 0;
  p->at = sizeof empty;
  return write_all(p->fd, &empty, sizeof empty, path, err);
}

static int flush(sheaf_patcher *p, sheaf_error *err) {
  const size_t n = p->used;
  p->used = 0;
  return n ? write_all(p->fd, p->buffer, n, p->stem, err) : 0;
}

static int compare_entries(const void *pa, const void *pb) {
  const entry *a = pa, *b = pb;
  if (a->member != b->member) return a->member < b->member ? -1 : 1;
  return a->row < b->row ? -1 : a->row > b->row;
}

/* [name, member, first row, last row, member, …] of a file with these entries, which are in order.
 */
static json_t *extent(const char *name, const entry *entries, size_t n) {
  json_t *list = json_pack("[s]", name);
  for (size_t i = 0, k; i < n; i = k) {
    for (k = i + 1; k < n && entries[k].member == entries[i].member;) k++;
    json_array_append_new(list, json_integer(entries[i].member));
    json_array_append_new(list, json_integer(entries[i].row));
    json_array_append_new(list, json_integer(entries[k - 1].row));
  }
  return list;
}

json_t *sheaf_patch_files(const json_t *files, size_t member, int64_t row0, int64_t nrow) {
  json_t *names = json_array(), *file;
  size_t i;
  json_array_foreach((json_t *)files, i, file) {
    const size_t n = json_array_size(file);
    for (size_t k = 1; k + 2 < n; k += 3) {
      if ((size_t)json_integer_value(json_array_get(file, k)) != member ||
          json_integer_value(json_array_get(file, k + 1)) >= row0 + nrow ||
          json_integer_value(json_array_get(file, k + 2)) < row0)
        continue;
      json_array_append(names, json_array_get(file, 0));
      break;
    }
  }
  return names;
}

/* Entries come in order, but for those of other pieces. */
static int sort_entries(sheaf_patcher *p, sheaf_error *err) {
  size_t i = 1;
  while (i < p->n && compare_entries(&p->entries[i - 1], &p->entries[i]) <= 0) i++;
  if (i >= p->n) return 0;
  sheaf_keyed *order = malloc(2 * p->n * sizeof *order);
  entry *sorted = malloc(ENTRIES * sizeof *sorted);
  if (!order || !sorted) {
    free(order);
    free(sorted);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for changed flags");
  }
  for (i = 0; i < p->n; i++)
    order[i] =
        (sheaf_keyed){sheaf_patch_key((size_t)p->entries[i].member, p->entries[i].row), (int64_t)i};
  sheaf_keysort(order, (int64_t)p->n, order + p->n);
  for (i = 0; i < p->n; i++) sorted[i] = p->entries[order[i].value];
  free(order);
  free(p->entries);
  p->entries = sorted;
  return 0;
}

/* Closes the file and gives it its name. */
static int end_file(sheaf_patcher *p, sheaf_error *err) {
  char from[4600], to[4600], name[300];
  header h = {.nentry = (int64_t)p->n, .index = (p->at + 7) / 8 * 8};
  const char zeros[8] = {0};
  int rc;
  memcpy(h.magic, magic, sizeof magic);
  snprintf(from, sizeof from, "%s.%d.new", p->stem, p->number);
  snprintf(to, sizeof to, "%s.%d", p->stem, p->number);
  snprintf(name, sizeof name, "%s.%d", p->name, p->number++);
  SHEAF_TRY(sort_entries(p, err));
  SHEAF_TRY(flush(p, err));
  SHEAF_TRY(write_all(p->fd, zeros, (size_t)(h.index - p->at), from, err));
  SHEAF_TRY(write_all(p->fd, p->entries, p->n * sizeof *p->entries, from, err));
  if (pwrite(p->fd, &h, sizeof h, 0) != sizeof h)
    SHEAF_TRY(sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s", from));
  rc = close(p->fd);
  p->fd = -1;
  if (rc < 0 || rename(from, to) < 0)
    SHEAF_TRY(sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s", to));
  json_array_append_new(p->files, extent(name, p->entries, p->n));
  rc = 0;
done:
  return rc;
}

int sheaf_patcher_add(sheaf_patcher *p, size_t member, int64_t row, const uint8_t *flag,
                      int64_t nchan, int64_t ncorr, int row_flag, sheaf_error *err) {
  const int64_t n = flag ? nchan * ncorr : 0;
  const size_t bytes = (size_t)((n + 7) / 8);
  int rc = 0;
  if (p->fd >= 0 && p->n == ENTRIES && (rc = end_file(p, err)) < 0) return rc;
  if (p->fd < 0 && (rc = begin_file(p, err)) < 0) return rc;
  p->entries[p->n++] = (entry){.row = row,
                               .offset = p->at,
                               .member = (int32_t)member,
                               .nchan = flag ? (int32_t)nchan : 0,
                               .ncorr = (int32_t)ncorr,
                               .row_flag = row_flag};
  for (int64_t at = 0; at < n;) { /* cells may be larger than the buffer */
    if (p->used + 1 > BUFFER - 8 && (rc = flush(p, err)) < 0) return rc;
    int64_t part = (int64_t)(BUFFER - p->used) * 8;
    if (part > n - at) part = n - at;
    const size_t size = (size_t)((part + 7) / 8);
    memset(p->buffer + p->used, 0, size);
    sheaf_bits_pack(p->buffer + p->used, 0, flag + at, part);
    p->used += size;
    at += part;
  }
  p->at += (int64_t)bytes;
  return 0;
}

int sheaf_patcher_finish(sheaf_patcher *p, json_t **files, sheaf_error *err) {
  const int rc = p->fd >= 0 ? end_file(p, err) : 0;
  *files = rc < 0 ? NULL : json_incref(p->files);
  sheaf_patcher_abandon(p);
  return rc;
}

void sheaf_patcher_abandon(sheaf_patcher *p) {
  if (!p) return;
  if (p->fd >= 0) close(p->fd);
  json_decref(p->files);
  free(p->stem);
  free(p->entries);
  free(p->buffer);
  free(p);
}

/* ---- reading ---- */

typedef struct patch {
  const uint8_t *bytes;
  size_t size;
  const entry *entries;
  int64_t n;
} patch;

static void close_patch(patch *p) {
  if (p->bytes) munmap((void *)p->bytes, p->size);
  *p = (patch){0};
}

static int damaged(const char *path, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged", path);
}

static int open_patch(patch *p, const char *path, sheaf_error *err) {
  struct stat st;
  *p = (patch){0};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0) {
    const int reason = errno;
    if (fd >= 0) close(fd);
    return sheaf_fail_errno(err, SHEAF_ERR_IO, reason, "cannot read %s", path);
  }
  p->size = (size_t)st.st_size;
  void *bytes =
      p->size >= sizeof(header) ? mmap(NULL, p->size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  if (bytes == MAP_FAILED) return damaged(path, err);
  p->bytes = bytes;
  header h;
  memcpy(&h, p->bytes, sizeof h);
  if (memcmp(h.magic, magic, sizeof magic) != 0 || h.nentry < 0 || h.index < (int64_t)sizeof h ||
      (uint64_t)h.index + (uint64_t)h.nentry * sizeof(entry) != p->size) {
    close_patch(p);
    return damaged(path, err);
  }
  p->entries = (const entry *)(const void *)(p->bytes + h.index);
  p->n = h.nentry;
  return 0;
}

/* The first entry of the member at or behind the row. */
static int64_t find_entry(const patch *p, int32_t member, int64_t row) {
  const entry key = {.member = member, .row = row};
  int64_t low = 0, high = p->n;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (compare_entries(&p->entries[middle], &key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* ---- FLAG ---- */

/* Cells of one shape, to be written together. */
typedef struct batch {
  const char *table;
  sheaf_tiles *tiles;   /* NULL: */
  sheaf_putter *putter; /* through casacore */
  int64_t *rows, n, room, written;
  int32_t nchan, ncorr;
  uint8_t *cells;
  size_t size;
} batch;

static int write_batch(batch *b, sheaf_error *err) {
  const size_t cell = (size_t)b->nchan * (size_t)b->ncorr, size = cell * (size_t)b->n;
  const int64_t shape[2] = {b->ncorr, b->nchan};
  int rc = 0;
  if (b->n == 0) return 0;
  if (b->tiles) {
    const int run = b->rows[b->n - 1] - b->rows[0] == b->n - 1;
    const sheaf_tiles_rows rows = {
        .list = run ? NULL : b->rows, .start = run ? b->rows[0] : 0, .n = b->n};
    rc = sheaf_tiles_write(b->tiles, &rows, NULL, b->cells, size, err);
  } else {
    rc = sheaf_putter_put(b->putter, "FLAG", b->rows, b->n, 2, shape, b->cells, size, err);
  }
  b->written += b->n;
  b->n = 0;
  return rc < 0 ? sheaf_fail_context(err, rc, "%s: FLAG", b->table) : 0;
}

static int grow_batch(batch *b, const entry *e, sheaf_error *err) {
  const size_t cell = (size_t)e->nchan * (size_t)e->ncorr;
  b->nchan = e->nchan;
  b->ncorr = e->ncorr;
  b->room = (int64_t)(BATCH_BYTES / (cell ? cell : 1)) + 1;
  if (b->room > BATCH_ROWS) b->room = BATCH_ROWS;
  const size_t need = cell * (size_t)b->room + 1;
  if (need <= b->size) return 0;
  free(b->cells);
  b->size = 0;
  if (!(b->cells = malloc(need)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for flags", b->table);
  b->size = need;
  return 0;
}

static int add_cell(batch *b, const patch *p, const entry *e, sheaf_error *err) {
  const int64_t cell = (int64_t)e->nchan * e->ncorr;
  if (e->offset < 0 || (size_t)e->offset + (size_t)((cell + 7) / 8) > p->size)
    return damaged("a file of changed flags", err);
  if (e->nchan != b->nchan || e->ncorr != b->ncorr || b->n == b->room ||
      (b->n && e->row != b->rows[b->n - 1] + 1 && b->n >= BATCH_ROWS / 2)) {
    int rc = write_batch(b, err);
    if (rc >= 0) rc = grow_batch(b, e, err);
    if (rc < 0) return rc;
  }
  b->rows[b->n] = e->row;
  sheaf_bits_unpack(b->cells + b->n * cell, p->bytes + e->offset, 0, cell);
  b->n++;
  return 0;
}

static int open_batch(batch *b, sheaf_error *err) {
  if (!(b->rows = malloc(BATCH_ROWS * sizeof *b->rows)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for flags", b->table);
  const int rc = sheaf_tiles_open(&b->tiles, b->table, "FLAG", 1, err);
  return rc == SHEAF_TILES_UNKNOWN ? sheaf_putter_open(&b->putter, b->table, err) : rc;
}

static int finish_batch(batch *b, sheaf_error *err) {
  int rc = write_batch(b, err);
  /* Cells are overwritten in place: a death of the machine, too, leaves each flag old or new, so
   * there is no wait for the disk. */
  if (rc >= 0 && b->tiles && b->written) sheaf_tiles_start_writeback(b->tiles);
  if (rc >= 0 && b->tiles) rc = sheaf_tiles_finish(b->tiles, err);
  if (rc >= 0 && b->putter) {
    rc = sheaf_putter_finish(b->putter, err);
    b->putter = NULL;
  }
  return rc;
}

static int apply_file(batch *b, const char *path, size_t member, int64_t row0, int64_t end,
                      sheaf_error *err) {
  patch p;
  int rc = open_patch(&p, path, err);
  if (rc < 0) return rc;
  for (int64_t i = find_entry(&p, (int32_t)member, row0); rc >= 0 && i < p.n; i++) {
    const entry *e = &p.entries[i];
    if (e->member != (int32_t)member || e->row >= end) break;
    if (e->nchan > 0) rc = add_cell(b, &p, e, err);
  }
  if (rc >= 0) rc = write_batch(b, err);
  close_patch(&p);
  return rc < 0 ? rc : sheaf_cancel_check(err);
}

int sheaf_patch_flags(const char *folder, const json_t *files, const char *table, size_t member,
                      int64_t row0, int64_t nrow, int64_t *written, sheaf_error *err) {
  batch b = {.table = table};
  size_t i;
  json_t *name;
  int rc = open_batch(&b, err);
  json_array_foreach((json_t *)files, i, name) {
    char path[4600];
    if (rc < 0) break;
    snprintf(path, sizeof path, "%s/%s", folder, json_string_value(name));
    rc = apply_file(&b, path, member, row0, row0 + nrow, err);
  }
  if (rc >= 0) rc = finish_batch(&b, err);
  *written = b.written;
  sheaf_putter_abandon(b.putter);
  sheaf_tiles_close(b.tiles);
  free(b.rows);
  free(b.cells);
  return rc < 0 ? rc : 0;
}

/* ---- FLAG_ROW ---- */

static int put_rows(sheaf_putter *putter, const patch *p, size_t member, int64_t *written,
                    sheaf_error *err) {
  enum { MOST = 4096 };
  int64_t rows[MOST], n = 0;
  uint8_t values[MOST];
  int rc = 0;
  for (int64_t i = find_entry(p, (int32_t)member, 0); rc >= 0 && i < p->n; i++) {
    const entry *e = &p->entries[i];
    if (e->member != (int32_t)member) break;
    if (e->row_flag == SHEAF_PATCH_ROW_STAYS) continue;
    rows[n] = e->row;
    values[n++] = e->row_flag == SHEAF_PATCH_ROW_SET;
    ++*written;
    if (n < MOST) continue;
    rc = sheaf_putter_put(putter, "FLAG_ROW", rows, n, 0, NULL, values, (size_t)n, err);
    n = 0;
  }
  if (rc >= 0 && n)
    rc = sheaf_putter_put(putter, "FLAG_ROW", rows, n, 0, NULL, values, (size_t)n, err);
  return rc;
}

int sheaf_patch_rows(const char *folder, const json_t *files, const char *table, size_t member,
                     int64_t *written, sheaf_error *err) {
  sheaf_putter *putter = NULL;
  size_t i;
  json_t *name;
  *written = 0;
  int rc = sheaf_putter_open(&putter, table, err);
  json_array_foreach((json_t *)files, i, name) {
    char path[4600];
    patch p;
    if (rc < 0) break;
    snprintf(path, sizeof path, "%s/%s", folder, json_string_value(name));
    if ((rc = open_patch(&p, path, err)) < 0) break;
    rc = put_rows(putter, &p, member, written, err);
    close_patch(&p);
  }
  if (rc >= 0 && *written) return sheaf_putter_finish(putter, err);
  sheaf_putter_abandon(putter);
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/touch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/aipsio.h"
#include "table/edit_impl.h"
#include "table/isolate.h"

enum { RECORD_AT = 260, RECORD_MOST = 1 << 20, HERE = 0x10001 };

/* The sync record of table.lock. */
typedef struct sync_record {
  uint32_t version, modified, table_changed, nmanager;
  uint64_t nrow;
  int32_t ncolumn; /* negative: nothing follows but the count of changes */
  uint32_t *manager;
} sync_record;

static int parse(const uint8_t *data, size_t n, sync_record *r, char why[160]) {
  sheaf_aips_in in;
  sheaf_aips_init(&in, data, n);
  r->version = sheaf_aips_start(&in, "sync", NULL);
  if (r->version > 2) sheaf_aips_stop(&in, "version %u is not known", r->version);
  r->nrow = r->version > 1 ? sheaf_aips_u64(&in) : sheaf_aips_u32(&in);
  r->ncolumn = sheaf_aips_i32(&in);
  r->modified = sheaf_aips_u32(&in);
  if (r->ncolumn >= 0) {
    r->table_changed = sheaf_aips_u32(&in);
    sheaf_aips_start(&in, "Block", NULL);
    r->nmanager = (uint32_t)sheaf_aips_count(&in, 0, 4);
    if (!in.why[0] && !(r->manager = calloc((size_t)r->nmanager + 1, sizeof *r->manager)))
      sheaf_aips_stop(&in, "no memory");
    for (uint32_t i = 0; i < r->nmanager && !in.why[0]; i++) r->manager[i] = sheaf_aips_u32(&in);
    sheaf_aips_end(&in);
  }
  sheaf_aips_end(&in);
  memcpy(why, in.why, sizeof in.why);
  return in.why[0] ? -1 : 0;
}

/* Counts changes as casacore does; managers that are new begin with 1. */
static int count(sync_record *r, const sheaf_touch *touch) {
  const uint32_t step = touch->here ? HERE : 1;
  r->modified += step;
  if (r->ncolumn < 0) return 0;
  if (touch->restructured) {
    const uint32_t n = touch->nmanager;
    uint32_t *more = realloc(r->manager, ((size_t)n + 1) * sizeof *more);
    if (!more) return -1;
    r->manager = more;
    for (uint32_t i = r->nmanager; i < n; i++) more[i] = 0;
    r->nmanager = n;
    r->ncolumn = (int32_t)touch->ncolumn;
    r->table_changed++;
  }
  for (uint32_t i = 0; i < r->nmanager; i++) r->manager[i] += step;
  return 0;
}

static void build(const sync_record *r, sheaf_aips_out *out) {
  sheaf_aips_put_start(out, "sync", r->version);
  if (r->version > 1)
    sheaf_aips_put_u64(out, r->nrow);
  else
    sheaf_aips_put_u32(out, (uint32_t)r->nrow);
  sheaf_aips_put_u32(out, (uint32_t)r->ncolumn);
  sheaf_aips_put_u32(out, r->modified);
  if (r->ncolumn >= 0) {
    sheaf_aips_put_u32(out, r->table_changed);
    sheaf_aips_put_start(out, "Block", 1);
    sheaf_aips_put_u32(out, r->nmanager);
    for (uint32_t i = 0; i < r->nmanager; i++) sheaf_aips_put_u32(out, r->manager[i]);
    sheaf_aips_put_end(out);
  }
  sheaf_aips_put_end(out);
}

/* The length, then the record, in one write: nobody sees the one without the other. */
static int write_record(int fd, const sheaf_aips_out *record, int sync, const char *path,
                        sheaf_error *err) {
  const size_t n = record->n + 4;
  uint8_t *bytes = malloc(n);
  if (!bytes) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", path);
  const uint32_t length = (uint32_t)record->n;
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(length >> (24 - 8 * i));
  memcpy(bytes + 4, record->data, record->n);
  const ssize_t put = pwrite(fd, bytes, n, RECORD_AT);
  const int bad = put < 0 || (sync && fsync(fd) < 0) ? errno : put < (ssize_t)n ? ENOSPC : 0;
  free(bytes);
  return bad ? sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "cannot write %s", path) : 0;
}

static size_t number_at(const uint8_t *p) {
  return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
}

/* Length of the sync record; also of a veiled one, which is all there but for that length. */
static size_t record_length(int fd, int veiled) {
  static const uint8_t magic[] = {0xbe, 0xbe, 0xbe, 0xbe};
  uint8_t head[12] = {0};
  const ssize_t got = pread(fd, head, sizeof head, RECORD_AT);
  if (got < (ssize_t)sizeof head || memcmp(head + 4, magic, 4) != 0) return 0;
  const size_t n = number_at(head);
  return n == 0 && veiled ? number_at(head + 8) + 4 : n;
}

/* Makes the sync record empty, by its length. */
static int veil(int fd, const char *path, sheaf_error *err) {
  const uint8_t zero[4] = {0};
  if (record_length(fd, 0) == 0) return 0;
  if (pwrite(fd, zero, 4, RECORD_AT) == 4 && fsync(fd) == 0) return 0;
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write %s", path);
}

static int rewrite(int fd, const sheaf_touch *touch, const char *path, sheaf_error *err) {
  char why[160];
  sync_record r = {0};
  sheaf_aips_out out = {0};
  const size_t n = record_length(fd, touch->restructured);
  if (n == 0) return 0;
  if (n > RECORD_MOST) return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged", path);
  uint8_t *data = malloc(n);
  if (!data) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", path);
  const ssize_t got = pread(fd, data, n, RECORD_AT + 4);
  int rc = 0;
  if (got < 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s", path);
  else if (parse(data, (size_t)got, &r, why) < 0)
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged: %s", path, why);
  else if (count(&r, touch) == 0)
    build(&r, &out);
  if (rc == 0 && (out.failed || !out.data))
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", path);
  if (rc == 0) rc = write_record(fd, &out, !touch->here, path, err);
  free(out.data);
  free(r.manager);
  free(data);
  return rc;
}

static int touch_one(const sheaf_touch *touch, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%.4000s/table.lock", touch->path);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return 0;
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot open %s", path);
  /* Not waited for: an idle casacore reader keeps its read lock, and the counters are all that
   * changes. */
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  (void)fcntl(fd, F_SETLK, &lock);
  const int rc = touch->veil ? veil(fd, path, err) : rewrite(fd, touch, path, err);
  close(fd);
  return rc;
}

typedef struct tables {
  const sheaf_touch *list;
  size_t n;
} tables;

static int touch_all(void *user, json_t **value, sheaf_error *err) {
  const tables *t = user;
  int rc = 0;
  (void)value;
  for (size_t i = 0; i < t->n && rc == 0; i++) rc = touch_one(&t->list[i], err);
  return rc;
}

int sheaf_tables_touch(const sheaf_touch *list, size_t n, sheaf_error *err) {
  tables t = {list, n};
  return n == 0 ? 0 : sheaf_isolated(list[0].path, touch_all, &t, NULL, err);
}

int sheaf_tables_veil(const sheaf_touch *list, size_t n, sheaf_error *err) {
  sheaf_touch *veils = calloc(n + 1, sizeof *veils);
  size_t some = 0;
  if (!veils) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu tables", n);
  for (size_t i = 0; i < n; i++)
    if (list[i].restructured) veils[some++] = (sheaf_touch){.path = list[i].path, .veil = 1};
  const int rc = sheaf_tables_touch(veils, some, err);
  free(veils);
  return rc;
}

int sheaf_table_touch(const char *path, sheaf_error *err) {
  const sheaf_touch touch = {.path = path};
  return sheaf_tables_touch(&touch, 1, err);
}

/* Files that were touched here, by their inodes; never closed. */
typedef struct kept {
  dev_t device;
  ino_t inode;
  int fd;
} kept;

/* The descriptor of this file. */
static int keep(const char *path, const struct stat *st, int *fd, sheaf_error *err) {
  static kept *all;
  static size_t n;
  for (size_t i = 0; i < n && *fd < 0; i++)
    if (all[i].device == st->st_dev && all[i].inode == st->st_ino) *fd = all[i].fd;
  if (*fd >= 0) return 0;
  kept *more = realloc(all, (n + 1) * sizeof *more);
  if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", path);
  all = more;
  *fd = open(path, O_RDWR | O_CLOEXEC);
  if (*fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot open %s", path);
  all[n++] = (kept){st->st_dev, st->st_ino, *fd};
  return 0;
}

int sheaf_table_touch_here(const char *table_path, int *fd, sheaf_error *err) {
  char path[4200];
  struct stat st;
  snprintf(path, sizeof path, "%.4000s/table.lock", table_path);
  if (*fd < 0 && stat(path, &st) < 0)
    return errno == ENOENT ? 0 : sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot find %s", path);
  const int rc = *fd < 0 ? keep(path, &st, fd, err) : 0;
  const sheaf_touch touch = {.path = table_path, .here = 1};
  return rc < 0 ? rc : rewrite(*fd, &touch, path, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/recordset.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/value.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for records of rows");
}

/* ---- parts ---- */

/* Files that are mapped: all threads of a process share one mapping. */
typedef struct mapping {
  dev_t device;
  ino_t inode;
  void *here;
  size_t size;
  int users;
  struct mapping *next;
} mapping;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
SHEAF_OPEN_AFTER_FORK(lock);
static mapping *mappings;

/* Maps `size` bytes of an open file; NULL when that fails. */
static void *map_shared(int fd, const struct stat *st, size_t size) {
  mapping *m;
  pthread_mutex_lock(&lock);
  for (m = mappings; m; m = m->next)
    if (m->device == st->st_dev && m->inode == st->st_ino && m->size == size) break;
  if (!m && (m = malloc(sizeof *m))) {
    void *here = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (here == MAP_FAILED) {
      free(m);
      m = NULL;
    } else {
      *m = (mapping){st->st_dev, st->st_ino, here, size, 0, mappings};
      mappings = m;
    }
  }
  if (m) m->users++;
  pthread_mutex_unlock(&lock);
  return m ? m->here : NULL;
}

static void unmap_shared(const void *here) {
  pthread_mutex_lock(&lock);
  mapping **m = &mappings;
  while (*m && (*m)->here != here) m = &(*m)->next;
  if (*m && --(*m)->users == 0) {
    mapping *last = *m;
    *m = last->next;
    munmap(last->here, last->size);
    free(last);
  }
  pthread_mutex_unlock(&lock);
}

static int map_part(const sheaf_recspan *part, const sheaf_flag_record **to, size_t *size,
                    sheaf_error *err) {
  struct stat st;
  *size = (size_t)part->n * sizeof **to;
  if (part->n == 0) return 0;
  const int fd = open(part->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0) {
    const int reason = errno;
    if (fd >= 0) close(fd);
    return sheaf_fail_errno(err, SHEAF_ERR_IO, reason, "cannot read %s", part->path);
  }
  void *here = NULL;
  if ((uint64_t)st.st_size >= *size) here = map_shared(fd, &st, *size);
  close(fd);
  if (!here)
    return sheaf_fail(err, SHEAF_ERR_IO, "%s: ends too early, or cannot be mapped", part->path);
  *to = here;
  return 0;
}

int sheaf_flag_recordset_open(sheaf_flag_recordset *set, const sheaf_recspan *parts, size_t n,
                              sheaf_error *err) {
  *set = (sheaf_flag_recordset){.n = n,
                                .part = calloc(n + 1, sizeof(sheaf_flag_record *)),
                                .size = calloc(n + 1, sizeof(size_t))};
  int rc = set->part && set->size ? 0 : no_memory(err);
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    while (parts[i].n > (int64_t)1 << set->shift) set->shift++;
    rc = map_part(&parts[i], &set->part[i], &set->size[i], err);
  }
  if (rc >= 0 && (set->shift > 31 || (uint64_t)n << set->shift > (uint64_t)1 << 32))
    rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "too many records of rows for numbers of 32 bits");
  if (rc < 0) sheaf_flag_recordset_close(set);
  return rc;
}

void sheaf_flag_recordset_close(sheaf_flag_recordset *set) {
  for (size_t i = 0; set->part && i < set->n; i++)
    if (set->part[i]) unmap_shared(set->part[i]);
  free(set->part);
  free(set->size);
  *set = (sheaf_flag_recordset){0};
}

/* ---- the list of a run ---- */

static int open_parts(sheaf_flag_recordlist *l, const json_t *parts, sheaf_error *err) {
  const size_t n = json_array_size(parts);
  sheaf_recspan *spans = calloc(n + 1, sizeof *spans);
  if (!spans) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_array_get(parts, i);
    spans[i] = (sheaf_recspan){json_string_value(json_array_get(one, 0)), 0,
                               json_integer_value(json_array_get(one, 1))};
  }
  const int rc = sheaf_flag_recordset_open(&l->set, spans, n, err);
  free(spans);
  return rc;
}

int sheaf_flag_recordlist_open(sheaf_flag_recordlist *l, const json_t *common, sheaf_error *err) {
  const json_t *parts = json_object_get(common, "parts");
  *l = (sheaf_flag_recordlist){.path = sheaf_value_str(common, "records", ""),
                               .numbers = json_is_array(parts)};
  l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
  if (l->fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s", l->path);
  return l->numbers ? open_parts(l, parts, err) : 0;
}

static int read_in(const sheaf_flag_recordlist *l, void *out, size_t bytes, off_t at,
                   sheaf_error *err) {
  for (char *to = out; bytes > 0;) {
    const ssize_t done = pread(l->fd, to, bytes, at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s", l->path);
    if (done == 0)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "the file of rows is too short");
    to += done;
    at += done;
    bytes -= (size_t)done;
  }
  return 0;
}

int sheaf_flag_recordlist_read(sheaf_flag_recordlist *l, int64_t first, int64_t n,
                               sheaf_flag_record *out, sheaf_error *err) {
  if (!l->numbers)
    return read_in(l, out, (size_t)n * sizeof *out, (off_t)first * (off_t)sizeof *out, err);
  uint32_t *number = malloc((size_t)n * sizeof *number + 1);
  if (!number) return no_memory(err);
  const int rc = read_in(l, number, (size_t)n * sizeof *number,
                         (off_t)first * (off_t)sizeof *number, err);
  for (int64_t i = 0; rc >= 0 && i < n; i++) {
    const sheaf_flag_record *in = sheaf_flag_recordset_at(&l->set, number[i]);
    out[i] = *in;
    out[i].place.scan = in->buffer; /* the row's own scan again */
  }
  free(number);
  return rc;
}

void sheaf_flag_recordlist_close(sheaf_flag_recordlist *l) {
  if (l->fd >= 0) close(l->fd);
  sheaf_flag_recordset_close(&l->set);
  *l = (sheaf_flag_recordlist){.fd = -1};
}

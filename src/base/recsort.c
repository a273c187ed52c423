/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/recsort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"

enum { WRITE_BYTES = 1 << 18, FEWEST_BYTES = 1 << 14 };

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for row records");
}

/* ---- writing ---- */

int sheaf_recwriter_open(sheaf_recwriter *w, const char *path, size_t size, sheaf_error *err) {
  *w = (sheaf_recwriter){.path = path, .size = size, .fd = -1};
  w->room = size > WRITE_BYTES ? size : WRITE_BYTES / size * size;
  w->buffer = malloc(w->room);
  if (!w->buffer) return no_memory(err);
  w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (w->fd >= 0) return 0;
  const int rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  sheaf_recwriter_free(w);
  return rc;
}

static int write_out(int fd, const char *path, const char *data, size_t bytes, sheaf_error *err) {
  while (bytes > 0) {
    const ssize_t done = write(fd, data, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
    data += done;
    bytes -= (size_t)done;
  }
  return 0;
}

static int flush(sheaf_recwriter *w, sheaf_error *err) {
  const int rc = write_out(w->fd, w->path, w->buffer, w->used, err);
  w->used = 0;
  return rc;
}

void *sheaf_recwriter_next(sheaf_recwriter *w, sheaf_error *err) {
  if (w->used == w->room && flush(w, err) < 0) return NULL;
  void *record = w->buffer + w->used;
  w->used += w->size;
  w->n++;
  return record;
}

int sheaf_recwriter_finish(sheaf_recwriter *w, sheaf_error *err) {
  int rc = flush(w, err);
  if (close(w->fd) != 0 && rc >= 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", w->path);
  w->fd = -1;
  return rc;
}

void sheaf_recwriter_free(sheaf_recwriter *w) {
  if (w->buffer && w->fd >= 0) close(w->fd);
  free(w->buffer);
  *w = (sheaf_recwriter){.fd = -1};
}

/* ---- reading ---- */

int sheaf_recreader_open(sheaf_recreader *r, const sheaf_recspan *spans, size_t nspan, size_t size,
                         int64_t window, sheaf_error *err) {
  *r = (sheaf_recreader){
      .spans = spans, .nspan = nspan, .size = size, .fd = -1, .room = window > 0 ? window : 1};
  for (size_t i = 0; i < nspan; i++) r->n += spans[i].n;
  r->buffer = malloc((size_t)r->room * size);
  return r->buffer ? 0 : no_memory(err);
}

static int read_in(int fd, const char *path, char *out, size_t bytes, off_t at, sheaf_error *err) {
  while (bytes > 0) {
    const ssize_t done = pread(fd, out, bytes, at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
    if (done == 0) return sheaf_fail(err, SHEAF_ERR_IO, "%s: ends too early", path);
    out += done;
    at += done;
    bytes -= (size_t)done;
  }
  return 0;
}

/* Fills the buffer from the current span, or goes to the next one. */
static int fill(sheaf_recreader *r, sheaf_error *err) {
  r->filled = r->taken = 0;
  while (r->span < r->nspan && r->at == r->spans[r->span].n) {
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
    r->span++;
    r->at = 0;
  }
  if (r->span == r->nspan) return 0;
  const sheaf_recspan *s = &r->spans[r->span];
  if (r->fd < 0) r->fd = open(s->path, O_RDONLY | O_CLOEXEC);
  if (r->fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", s->path);
  const int64_t n = s->n - r->at < r->room ? s->n - r->at : r->room;
  const int rc = read_in(r->fd, s->path, r->buffer, (size_t)n * r->size,
                         (off_t)(s->first + r->at) * (off_t)r->size, err);
  if (rc < 0) return rc;
  r->at += n;
  r->filled = n;
  return 0;
}

int sheaf_recreader_next(sheaf_recreader *r, const void **record, sheaf_error *err) {
  if (r->taken == r->filled) {
    const int rc = fill(r, err);
    if (rc < 0 || r->filled == 0) return rc;
  }
  *record = r->buffer + (size_t)r->taken++ * r->size;
  return 1;
}

int sheaf_recreader_seek(sheaf_recreader *r, int64_t index, sheaf_error *err) {
  if (r->fd >= 0) close(r->fd);
  r->fd = -1;
  r->filled = r->taken = 0;
  for (r->span = 0; r->span < r->nspan && index > r->spans[r->span].n; r->span++)
    index -= r->spans[r->span].n;
  r->at = index;
  return index < 0 || (r->span == r->nspan && index > 0)
             ? sheaf_fail(err, SHEAF_ERR_INTERNAL, "row records: no such record")
             : 0;
}

void sheaf_recreader_close(sheaf_recreader *r) {
  if (r->buffer && r->fd >= 0) close(r->fd);
  free(r->buffer);
  *r = (sheaf_recreader){.fd = -1};
}

/* ---- sorting: sorted pieces as large as memory allows, then merges of as many as memory allows
 * ---- */

static int in_order(const sheaf_recspan *spans, size_t nspan, size_t size,
                    sheaf_reccompare *compare, int *sorted, sheaf_error *err) {
  sheaf_recreader r;
  const void *record;
  char *last = malloc(size);
  int rc = sheaf_recreader_open(&r, spans, nspan, size, (1 << 17) / (int64_t)size + 1, err);
  if (!last && rc >= 0) rc = no_memory(err);
  *sorted = 1;
  for (int64_t i = 0; rc >= 0 && (rc = sheaf_recreader_next(&r, &record, err)) > 0; i++) {
    if (i && compare(last, record) > 0) {
      *sorted = 0;
      break;
    }
    memcpy(last, record, size);
  }
  sheaf_recreader_close(&r);
  free(last);
  return rc < 0 ? rc : 0;
}

/* Sorted pieces of `piece` records, one behind the other in the file `to`. */
static int sort_pieces(const sheaf_recspan *spans, size_t nspan, size_t size,
                       sheaf_reccompare *compare, const char *to, int64_t piece, sheaf_error *err) {
  sheaf_recreader r;
  sheaf_recwriter w = {.fd = -1};
  char *records = malloc((size_t)piece * size);
  int rc = sheaf_recreader_open(&r, spans, nspan, size, FEWEST_BYTES / (int64_t)size + 1, err);
  if (!records && rc >= 0) rc = no_memory(err);
  if (rc >= 0) rc = sheaf_recwriter_open(&w, to, size, err);
  for (int more = 1; rc >= 0 && more;) {
    int64_t n = 0;
    const void *record;
    while (n < piece && (more = sheaf_recreader_next(&r, &record, err)) > 0)
      memcpy(records + (size_t)n++ * size, record, size);
    if (more < 0) rc = more;
    if (rc >= 0) rc = sheaf_cancel_check(err);
    if (rc < 0) break;
    qsort(records, (size_t)n, size, compare);
    rc = write_out(w.fd, to, records, (size_t)n * size, err);
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&w, err);
  sheaf_recreader_close(&r);
  sheaf_recwriter_free(&w);
  free(records);
  return rc;
}

typedef struct head {
  sheaf_recreader reader;
  sheaf_recspan span;
  const void *record;
} head;

/* Moves the head at `at` of the heap down to its place. */
static void sift(head **heap, size_t n, size_t at, sheaf_reccompare *compare) {
  for (;;) {
    size_t least = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
      if (compare(heap[child]->record, heap[least]->record) < 0) least = child;
    if (least == at) return;
    head *swap = heap[at];
    heap[at] = heap[least];
    heap[least] = swap;
    at = least;
  }
}

static int merge_heads(head **heap, size_t n, size_t size, sheaf_reccompare *compare,
                       sheaf_recwriter *out, sheaf_error *err) {
  for (size_t i = n; i-- > 0;) sift(heap, n, i, compare);
  while (n > 0) {
    void *record = sheaf_recwriter_next(out, err);
    if (!record) return SHEAF_ERR_IO;
    memcpy(record, heap[0]->record, size);
    const int rc = sheaf_recreader_next(&heap[0]->reader, &heap[0]->record, err);
    if (rc < 0) return rc;
    if (rc == 0) heap[0] = heap[--n];
    sift(heap, n, 0, compare);
  }
  return sheaf_cancel_check(err);
}

/* Merges the pieces [first, first + n) of `from` to the end of `out`. */
static int merge_pieces(const char *from, int64_t total, int64_t piece, int64_t first, int64_t n,
                        size_t size, sheaf_reccompare *compare, sheaf_recwriter *out,
                        sheaf_error *err) {
  head *heads = calloc((size_t)n, sizeof *heads), **heap = calloc((size_t)n, sizeof *heap);
  int rc = heads && heap ? 0 : no_memory(err);
  for (int64_t i = 0; rc >= 0 && i < n; i++) {
    head *h = heap[i] = &heads[i];
    const int64_t at = (first + i) * piece;
    h->span = (sheaf_recspan){from, at, total - at < piece ? total - at : piece};
    rc = sheaf_recreader_open(&h->reader, &h->span, 1, size, FEWEST_BYTES / (int64_t)size + 1, err);
    if (rc >= 0) rc = sheaf_recreader_next(&h->reader, &h->record, err);
  }
  if (rc >= 0) rc = merge_heads(heap, (size_t)n, size, compare, out, err);
  for (int64_t i = 0; heads && i < n; i++) sheaf_recreader_close(&heads[i].reader);
  free(heads);
  free(heap);
  return rc;
}

/* One round of merges: pieces become `most` times as long. */
static int merge_round(const char *from, const char *to, int64_t total, int64_t piece, int64_t most,
                       size_t size, sheaf_reccompare *compare, sheaf_error *err) {
  const int64_t npiece = (total + piece - 1) / piece;
  sheaf_recwriter w;
  int rc = sheaf_recwriter_open(&w, to, size, err);
  for (int64_t i = 0; rc >= 0 && i < npiece; i += most)
    rc = merge_pieces(from, total, piece, i, npiece - i < most ? npiece - i : most, size, compare,
                      &w, err);
  if (rc >= 0) rc = sheaf_recwriter_finish(&w, err);
  sheaf_recwriter_free(&w);
  return rc;
}

int sheaf_recsort(const sheaf_recspan *spans, size_t nspan, size_t size, sheaf_reccompare *compare,
                  const char *to, size_t memory, int *sorted, sheaf_error *err) {
  char scratch[4200];
  int64_t total = 0, piece = (int64_t)(memory / size), most = (int64_t)(memory / FEWEST_BYTES) / 2;
  int rc = in_order(spans, nspan, size, compare, sorted, err);
  if (rc < 0 || *sorted) return rc;
  for (size_t i = 0; i < nspan; i++) total += spans[i].n;
  if (piece < 2) piece = 2;
  if (piece > total) piece = total;
  if (most < 2) most = 2;
  if (most > 512) most = 512; /* open files */
  snprintf(scratch, sizeof scratch, "%s.sort", to);
  rc = sort_pieces(spans, nspan, size, compare, to, piece, err);
  for (; rc >= 0 && piece < total; piece *= most) {
    rc = merge_round(to, scratch, total, piece, most, size, compare, err);
    if (rc >= 0 && rename(scratch, to) != 0)
      rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", to);
  }
  if (rc < 0) unlink(scratch);
  return rc;
}

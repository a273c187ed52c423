/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/pack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { UNIT = 8, FIRST = 1024, SHARE_FROM = 512 << 10, LARGE_PAGE = 2 << 20, LARGE_FROM = 4 << 20 };

typedef struct head {
  uint8_t kind, type, ndim, unused[5];
} head;

static size_t round_up(size_t n) {
  return (n + UNIT - 1) / UNIT * UNIT;
}

void sheaf_pack_init(sheaf_pack *pack, int shareable) {
  *pack = (sheaf_pack){.shareable = shareable, .fd = -1};
}

void sheaf_pack_free(sheaf_pack *pack) {
  if (pack->fd >= 0) {
    munmap(pack->data, pack->room);
    close(pack->fd);
  } else
    free(pack->data);
  sheaf_pack_init(pack, pack->shareable);
}

void sheaf_pack_cut(sheaf_pack *pack, size_t n) {
  if (n < pack->n) pack->n = n;
}

/* Moves what is there into a nameless file of `room` bytes. */
static int to_file(sheaf_pack *pack, size_t room) {
  const int fd = memfd_create("sheaf-pack", MFD_CLOEXEC);
  if (fd < 0) return -1;
  void *map = ftruncate(fd, (off_t)room)
                  ? MAP_FAILED
                  : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    close(fd);
    return -1;
  }
  if (pack->n) memcpy(map, pack->data, pack->n);
  free(pack->data);
  pack->data = map, pack->fd = fd, pack->room = room;
  return 0;
}

static int grow_file(sheaf_pack *pack, size_t room) {
  if (ftruncate(pack->fd, (off_t)room)) return -1;
  void *map = mremap(pack->data, pack->room, room, MREMAP_MAYMOVE);
  if (map == MAP_FAILED) return -1;
  pack->data = map, pack->room = room;
  return 0;
}

/* Large memory in large pages: touching it for the first time costs more than filling it otherwise.
 */
static int to_large_pages(sheaf_pack *pack, size_t room) {
  char *more = aligned_alloc(LARGE_PAGE, (room + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
  if (!more) return -1;
  (void)madvise(more, room, MADV_HUGEPAGE);
  if (pack->n) memcpy(more, pack->data, pack->n);
  free(pack->data);
  pack->data = more, pack->room = room;
  return 0;
}

static int grow_memory(sheaf_pack *pack, size_t room) {
  if (room >= (size_t)LARGE_FROM) return to_large_pages(pack, room);
  char *more = realloc(pack->data, room);
  if (!more) return -1;
  pack->data = more, pack->room = room;
  return 0;
}

/* Room for n more bytes; where they go, or NULL. */
static char *take(sheaf_pack *pack, size_t n) {
  if (pack->failed) return NULL;
  if (n > pack->room - pack->n) {
    size_t room = pack->room ? pack->room * 2 : FIRST;
    if (n > SIZE_MAX / 4 || room < pack->n + n) room = n > SIZE_MAX / 4 ? 0 : pack->n + n + FIRST;
    const int bad =
        !room || (pack->fd >= 0                                  ? grow_file(pack, room)
                  : pack->shareable && room > (size_t)SHARE_FROM ? to_file(pack, room)
                                                                 : grow_memory(pack, room));
    if (bad) {
      pack->failed = 1;
      return NULL;
    }
  }
  char *at = pack->data + pack->n;
  pack->n += n;
  return at;
}

static char *begin(sheaf_pack *pack, int kind, int type, int ndim, size_t n) {
  char *at = take(pack, sizeof(head) + n);
  if (!at) return NULL;
  const head h = {.kind = (uint8_t)kind, .type = (uint8_t)type, .ndim = (uint8_t)ndim};
  memcpy(at, &h, sizeof h);
  return at + sizeof h;
}

void sheaf_pack_none(sheaf_pack *pack) {
  begin(pack, SHEAF_PACK_NONE, 0, 0, 0);
}

static void put_int(sheaf_pack *pack, int kind, int64_t value) {
  char *at = begin(pack, kind, 0, 0, sizeof value);
  if (at) memcpy(at, &value, sizeof value);
}

void sheaf_pack_bool(sheaf_pack *pack, int value) {
  put_int(pack, SHEAF_PACK_BOOL, value != 0);
}

void sheaf_pack_int(sheaf_pack *pack, int64_t value) {
  put_int(pack, SHEAF_PACK_INT, value);
}

void sheaf_pack_list(sheaf_pack *pack, int64_t n) {
  put_int(pack, SHEAF_PACK_LIST, n);
}

void sheaf_pack_record(sheaf_pack *pack, int64_t n) {
  put_int(pack, SHEAF_PACK_RECORD, n);
}

void sheaf_pack_real(sheaf_pack *pack, double value) {
  char *at = begin(pack, SHEAF_PACK_REAL, 0, 0, sizeof value);
  if (at) memcpy(at, &value, sizeof value);
}

void sheaf_pack_complex(sheaf_pack *pack, double re, double im) {
  const double both[2] = {re, im};
  char *at = begin(pack, SHEAF_PACK_COMPLEX, 0, 0, sizeof both);
  if (at) memcpy(at, both, sizeof both);
}

void sheaf_pack_text(sheaf_pack *pack, const char *text, size_t n) {
  const int64_t length = (int64_t)n;
  const size_t padded = round_up(n);
  char *at = begin(pack, SHEAF_PACK_TEXT, 0, 0, sizeof length + padded);
  if (!at) return;
  memcpy(at, &length, sizeof length);
  if (n) memcpy(at + sizeof length, text, n);
  memset(at + sizeof length + n, 0, padded - n);
}

size_t sheaf_pack_size(int type) {
  static const uint8_t sizes[] = {1, 4, 8, 4, 8, 8, 16, 8, 0};
  return type >= 0 && type <= SHEAF_PACK_U ? sizes[type] : 0;
}

/* Elements of an array; -1 when there are more than memory can hold. */
static int64_t count(int ndim, const int64_t *shape, size_t size) {
  int64_t n = 1;
  for (int i = 0; i < ndim; i++)
    if (shape[i] < 0 || __builtin_mul_overflow(n, shape[i], &n)) return -1;
  return n > INT64_MAX / 64 / (int64_t)(size ? size : 1) ? -1 : n;
}

void *sheaf_pack_array(sheaf_pack *pack, int type, int ndim, const int64_t *shape) {
  const size_t size = sheaf_pack_size(type), dims = (size_t)ndim * sizeof *shape;
  const int64_t n = ndim >= 0 && ndim <= SHEAF_PACK_MAXDIM ? count(ndim, shape, size) : -1;
  if (n < 0) {
    pack->failed = 1;
    return NULL;
  }
  const size_t bytes = (size_t)n * size, padded = round_up(bytes);
  char *at = begin(pack, SHEAF_PACK_ARRAY, type, ndim, dims + padded);
  if (!at) return NULL;
  if (dims) memcpy(at, shape, dims);
  if (padded > bytes) memset(at + dims + bytes, 0, padded - bytes);
  return size ? at + dims : NULL;
}

void sheaf_pack_append(sheaf_pack *pack, const void *data, size_t n) {
  char *at = take(pack, n);
  if (at && n) memcpy(at, data, n);
}

/* ---- reading ---- */

/* Copies n bytes; -1 when there are not as many. */
static int fetch(const char **at, const char *end, void *to, size_t n) {
  if ((size_t)(end - *at) < n) return -1;
  memcpy(to, *at, n);
  *at += n;
  return 0;
}

static int read_text(const char **at, const char *end, sheaf_item *item) {
  int64_t n;
  if (fetch(at, end, &n, sizeof n) || n < 0 || n > end - *at) return -1;
  item->text = *at, item->n = (size_t)n;
  const size_t padded = round_up((size_t)n);
  if ((size_t)(end - *at) < padded) return -1;
  *at += padded;
  return 0;
}

static int read_array(const char **at, const char *end, sheaf_item *item) {
  if (item->ndim > SHEAF_PACK_MAXDIM || item->type > SHEAF_PACK_U) return -1;
  if (fetch(at, end, item->shape, (size_t)item->ndim * sizeof *item->shape)) return -1;
  const size_t size = sheaf_pack_size(item->type);
  const int64_t n = count(item->ndim, item->shape, size);
  if (n < 0) return -1;
  item->n = (size_t)n, item->data = *at;
  const size_t padded = round_up((size_t)n * size);
  if ((size_t)(end - *at) < padded) return -1;
  *at += padded;
  return 0;
}

int sheaf_pack_read(const char **at, const char *end, sheaf_item *item) {
  head h;
  *item = (sheaf_item){0};
  if (fetch(at, end, &h, sizeof h)) return -1;
  item->kind = h.kind, item->type = h.type, item->ndim = h.ndim;
  switch (h.kind) {
    case SHEAF_PACK_NONE:
      return 0;
    case SHEAF_PACK_BOOL:
    case SHEAF_PACK_INT:
    case SHEAF_PACK_LIST:
    case SHEAF_PACK_RECORD:
      return fetch(at, end, &item->i, sizeof item->i);
    case SHEAF_PACK_REAL:
      return fetch(at, end, &item->re, sizeof item->re);
    case SHEAF_PACK_COMPLEX:
      return fetch(at, end, &item->re, sizeof item->re) ||
                     fetch(at, end, &item->im, sizeof item->im)
                 ? -1
                 : 0;
    case SHEAF_PACK_TEXT:
      return read_text(at, end, item);
    case SHEAF_PACK_ARRAY:
      return read_array(at, end, item);
    default:
      return -1;
  }
}

int sheaf_pack_skip(const char **at, const char *end) {
  int64_t left = 1;
  while (left > 0) {
    sheaf_item item;
    if (sheaf_pack_read(at, end, &item)) return -1;
    left--;
    if (item.kind == SHEAF_PACK_LIST) left += item.i;
    if (item.kind == SHEAF_PACK_RECORD) left += 2 * item.i;
    if (item.kind == SHEAF_PACK_ARRAY && item.type == SHEAF_PACK_U) left += (int64_t)item.n;
  }
  return 0;
}

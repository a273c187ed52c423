/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * recsort.h - files of records of one size: buffered writing and reading, and sorting in bounded
 * memory.
 *
 * A record is any struct without pointers, as the machine has it; such files are scratch, read by
 * processes of one program. Errors of all: SHEAF_ERR_IO, SHEAF_ERR_NOMEM. */
#ifndef SHEAF_BASE_RECSORT_H
#define SHEAF_BASE_RECSORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Part of a file: records [first, first + n). */
typedef struct sheaf_recspan {
  const char *path;
  int64_t first, n;
} sheaf_recspan;

/* Appends records to a new file. */
typedef struct sheaf_recwriter {
  const char *path;
  size_t size; /* of a record */
  int fd;
  char *buffer;
  size_t used, room;
  int64_t n; /* written so far */
} sheaf_recwriter;

/* `path` is kept, not copied. A writer that could not be opened holds nothing. */
int sheaf_recwriter_open(sheaf_recwriter *writer, const char *path, size_t size, sheaf_error *err);
/* Room for one record, to be filled by the caller before the next call; NULL on failure. */
void *sheaf_recwriter_next(sheaf_recwriter *writer, sheaf_error *err);
/* Writes what is held back and closes the file: whole for other hosts from here on, also on NFS. */
int sheaf_recwriter_finish(sheaf_recwriter *writer, sheaf_error *err);
/* Frees a writer in any state; the file stays. */
void sheaf_recwriter_free(sheaf_recwriter *writer);

/* Reads spans one after the other, as one list. */
typedef struct sheaf_recreader {
  const sheaf_recspan *spans; /* borrowed */
  size_t nspan, span;
  size_t size;
  int fd;
  int64_t at;   /* next record of the current span that is not in the buffer */
  int64_t n;    /* records of all spans */
  char *buffer; /* [room] records */
  int64_t room, filled, taken;
} sheaf_recreader;

/* `window` is how many records are read at once. */
int sheaf_recreader_open(sheaf_recreader *reader, const sheaf_recspan *spans, size_t nspan,
                         size_t size, int64_t window, sheaf_error *err);
/* 1 and the next record (valid until the next call), 0 at the end. */
int sheaf_recreader_next(sheaf_recreader *reader, const void **record, sheaf_error *err);
/* The next call gives record `index` of the list. */
int sheaf_recreader_seek(sheaf_recreader *reader, int64_t index, sheaf_error *err);
void sheaf_recreader_close(sheaf_recreader *reader);

typedef int sheaf_reccompare(const void *a, const void *b);

/* Sorts the records of `spans` into a new file `to`; `compare` must be a total order. When they are
 * in order already, nothing is written and *sorted is 1, else 0. At most about `memory` bytes are
 * held, and a scratch file beside `to` twice the size of the records while it works. */
int sheaf_recsort(const sheaf_recspan *spans, size_t nspan, size_t size, sheaf_reccompare *compare,
                  const char *to, size_t memory, int *sorted, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * aipsio.h - casacore's AipsIO serialisation, bounded.
 *
 * A reader walks a byte buffer that it does not own. The first thing that does not fit (a length
 * past the end, a wrong type name) stops it for good: every later read returns zeros, and `why`
 * says what was wrong, so a parser checks once at its end and inside its loops. A writer grows a
 * buffer in memory. Values are big endian. Not thread-safe; nothing is shared. */
#ifndef SHEAF_TABLE_AIPSIO_H
#define SHEAF_TABLE_AIPSIO_H

#include <stddef.h>
#include <stdint.h>

enum { SHEAF_AIPS_DEPTH = 16 };

/* Text inside the buffer, not terminated. */
typedef struct sheaf_aips_text {
  const char *at;
  size_t n;
} sheaf_aips_text;

typedef struct sheaf_aips_in {
  const uint8_t *data;
  size_t n, at;
  int depth;
  size_t limit[SHEAF_AIPS_DEPTH]; /* ends of the open objects */
  char why[160];                  /* "" while all is well */
} sheaf_aips_in;

void sheaf_aips_init(sheaf_aips_in *in, const void *data, size_t n);
/* Stops the reader; the first reason stays. */
void sheaf_aips_stop(sheaf_aips_in *in, const char *fmt, ...)
    __attribute__((cold, format(printf, 2, 3)));

uint8_t sheaf_aips_u8(sheaf_aips_in *in);
int sheaf_aips_bool(sheaf_aips_in *in);
uint32_t sheaf_aips_u32(sheaf_aips_in *in);
int32_t sheaf_aips_i32(sheaf_aips_in *in);
uint64_t sheaf_aips_u64(sheaf_aips_in *in);
sheaf_aips_text sheaf_aips_str(sheaf_aips_in *in);
void sheaf_aips_skip_bytes(sheaf_aips_in *in, uint64_t n);
/* Bytes left in the innermost open object. */
size_t sheaf_aips_left(const sheaf_aips_in *in);
/* A count (4 bytes, or 8 when `wide`) of things of at least `least` bytes each; stops when they
 * cannot all be there. */
uint64_t sheaf_aips_count(sheaf_aips_in *in, int wide, size_t least);

/* Enters an object and returns its version; `type` NULL takes any. The outermost one starts with
 * the magic value. */
uint32_t sheaf_aips_start(sheaf_aips_in *in, const char *type, sheaf_aips_text *found);
/* Leaves the innermost object; stops when it was not read to its end. */
void sheaf_aips_end(sheaf_aips_in *in);
/* Passes over a nested object unread. */
void sheaf_aips_skip(sheaf_aips_in *in);
/* Reads an IPosition of at most `max` values; returns how many. */
int sheaf_aips_iposition(sheaf_aips_in *in, int64_t *values, int max);

int sheaf_aips_equal(sheaf_aips_text text, const char *word);

typedef struct sheaf_aips_out {
  uint8_t *data; /* owned; NULL after memory ran out */
  size_t n, room;
  int depth, failed;
  size_t start[SHEAF_AIPS_DEPTH];
} sheaf_aips_out;

void sheaf_aips_put(sheaf_aips_out *out, const void *bytes, size_t n);
void sheaf_aips_put_u8(sheaf_aips_out *out, uint8_t value);
void sheaf_aips_put_u32(sheaf_aips_out *out, uint32_t value);
void sheaf_aips_put_u64(sheaf_aips_out *out, uint64_t value);
void sheaf_aips_put_str(sheaf_aips_out *out, const char *text, size_t n);
void sheaf_aips_put_start(sheaf_aips_out *out, const char *type, uint32_t version);
void sheaf_aips_put_end(sheaf_aips_out *out);
void sheaf_aips_put_iposition(sheaf_aips_out *out, const int64_t *values, int n);

#endif

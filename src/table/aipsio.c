/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/aipsio.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t magic = 0xbebebebe;

void sheaf_aips_init(sheaf_aips_in *in, const void *data, size_t n) {
  memset(in, 0, sizeof *in);
  in->data = data;
  in->n = n;
}

void sheaf_aips_stop(sheaf_aips_in *in, const char *fmt, ...) {
  if (in->why[0]) return;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(in->why, sizeof in->why, fmt, ap);
  va_end(ap);
}

static size_t end_of(const sheaf_aips_in *in) {
  return in->depth ? in->limit[in->depth - 1] : in->n;
}

size_t sheaf_aips_left(const sheaf_aips_in *in) {
  return in->why[0] ? 0 : end_of(in) - in->at;
}

/* The next n bytes, or NULL when they are not there. */
static const uint8_t *take(sheaf_aips_in *in, uint64_t n) {
  if (in->why[0]) return NULL;
  if (n > end_of(in) - in->at) {
    sheaf_aips_stop(in, "%llu bytes wanted at byte %zu, where only %zu are left",
                    (unsigned long long)n, in->at, end_of(in) - in->at);
    return NULL;
  }
  const uint8_t *p = in->data + in->at;
  in->at += n;
  return p;
}

static uint64_t take_number(sheaf_aips_in *in, int n) {
  const uint8_t *p = take(in, (uint64_t)n);
  uint64_t value = 0;
  for (int i = 0; p && i < n; i++) value = value << 8 | p[i];
  return value;
}

uint8_t sheaf_aips_u8(sheaf_aips_in *in) {
  return (uint8_t)take_number(in, 1);
}
int sheaf_aips_bool(sheaf_aips_in *in) {
  return sheaf_aips_u8(in) & 1;
}
uint32_t sheaf_aips_u32(sheaf_aips_in *in) {
  return (uint32_t)take_number(in, 4);
}
int32_t sheaf_aips_i32(sheaf_aips_in *in) {
  return (int32_t)sheaf_aips_u32(in);
}
uint64_t sheaf_aips_u64(sheaf_aips_in *in) {
  return take_number(in, 8);
}

void sheaf_aips_skip_bytes(sheaf_aips_in *in, uint64_t n) {
  take(in, n);
}

sheaf_aips_text sheaf_aips_str(sheaf_aips_in *in) {
  const uint32_t n = sheaf_aips_u32(in);
  const uint8_t *p = take(in, n);
  return (sheaf_aips_text){p ? (const char *)p : "", p ? n : 0};
}

uint64_t sheaf_aips_count(sheaf_aips_in *in, int wide, size_t least) {
  const uint64_t n = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  if (n > sheaf_aips_left(in) / least) {
    sheaf_aips_stop(in, "a count of %llu at byte %zu, more than the file has room for",
                    (unsigned long long)n, in->at);
    return 0;
  }
  return n;
}

int sheaf_aips_equal(sheaf_aips_text text, const char *word) {
  return text.n == strlen(word) && memcmp(text.at, word, text.n) == 0;
}

uint32_t sheaf_aips_start(sheaf_aips_in *in, const char *type, sheaf_aips_text *found) {
  if (in->depth == 0 && sheaf_aips_u32(in) != magic)
    sheaf_aips_stop(in, "it does not start with the magic value be be be be");
  const size_t at = in->at, left = sheaf_aips_left(in);
  const uint32_t length = sheaf_aips_u32(in);
  if (length == magic) sheaf_aips_stop(in, "its writer did not finish it (or is still writing)");
  if (length > left || length < 12)
    sheaf_aips_stop(in, "an object at byte %zu claims %u bytes, where %zu are left", at, length,
                    left);
  if (in->depth == SHEAF_AIPS_DEPTH)
    sheaf_aips_stop(in, "objects nested more than %d deep", in->depth);
  if (in->why[0]) {
    if (found) *found = (sheaf_aips_text){"", 0};
    return 0;
  }
  in->limit[in->depth++] = at + length;
  const sheaf_aips_text name = sheaf_aips_str(in);
  const uint32_t version = sheaf_aips_u32(in);
  if (type && !sheaf_aips_equal(name, type))
    sheaf_aips_stop(in, "an object of type '%.*s' at byte %zu, where %s belongs",
                    (int)(name.n < 40 ? name.n : 40), name.at, at, type);
  if (found) *found = name;
  return version;
}

void sheaf_aips_end(sheaf_aips_in *in) {
  if (in->why[0]) return;
  const size_t end = in->limit[--in->depth];
  if (in->at != end)
    sheaf_aips_stop(in, "an object ends at byte %zu, its content at byte %zu", end, in->at);
}

void sheaf_aips_skip(sheaf_aips_in *in) {
  sheaf_aips_start(in, NULL, NULL);
  if (!in->why[0]) in->at = in->limit[--in->depth];
}

int sheaf_aips_iposition(sheaf_aips_in *in, int64_t *values, int max) {
  const uint32_t version = sheaf_aips_start(in, "IPosition", NULL);
  const size_t size = version == 1 ? 4 : 8;
  const uint64_t n = sheaf_aips_count(in, 0, size);
  if (n > (uint64_t)max)
    sheaf_aips_stop(in, "a shape of %llu axes, at most %d are handled", (unsigned long long)n, max);
  for (uint64_t i = 0; i < n && !in->why[0]; i++)
    values[i] = size == 4 ? sheaf_aips_i32(in) : (int64_t)sheaf_aips_u64(in);
  sheaf_aips_end(in);
  return in->why[0] ? 0 : (int)n;
}

static int make_room(sheaf_aips_out *out, size_t n) {
  if (out->failed) return 0;
  if (out->n + n <= out->room) return 1;
  const size_t room = 2 * (out->n + n) + 512;
  uint8_t *data = realloc(out->data, room);
  if (!data) {
    free(out->data);
    out->data = NULL;
    out->failed = 1;
    return 0;
  }
  out->data = data;
  out->room = room;
  return 1;
}

void sheaf_aips_put(sheaf_aips_out *out, const void *bytes, size_t n) {
  if (n == 0 || !make_room(out, n)) return;
  memcpy(out->data + out->n, bytes, n);
  out->n += n;
}

static void put_number(sheaf_aips_out *out, uint64_t value, int n) {
  uint8_t b[8];
  for (int i = 0; i < n; i++) b[i] = (uint8_t)(value >> 8 * (n - 1 - i));
  sheaf_aips_put(out, b, (size_t)n);
}

void sheaf_aips_put_u8(sheaf_aips_out *out, uint8_t value) {
  put_number(out, value, 1);
}
void sheaf_aips_put_u32(sheaf_aips_out *out, uint32_t value) {
  put_number(out, value, 4);
}
void sheaf_aips_put_u64(sheaf_aips_out *out, uint64_t value) {
  put_number(out, value, 8);
}

void sheaf_aips_put_str(sheaf_aips_out *out, const char *text, size_t n) {
  sheaf_aips_put_u32(out, (uint32_t)n);
  sheaf_aips_put(out, text, n);
}

void sheaf_aips_put_start(sheaf_aips_out *out, const char *type, uint32_t version) {
  if (out->depth == 0) sheaf_aips_put_u32(out, magic);
  out->start[out->depth++] = out->n;
  sheaf_aips_put_u32(out, magic);
  sheaf_aips_put_str(out, type, strlen(type));
  sheaf_aips_put_u32(out, version);
}

void sheaf_aips_put_end(sheaf_aips_out *out) {
  const size_t start = out->start[--out->depth];
  if (out->failed) return;
  const size_t length = out->n - start;
  for (int i = 0; i < 4; i++) out->data[start + (size_t)i] = (uint8_t)(length >> 8 * (3 - i));
}

void sheaf_aips_put_iposition(sheaf_aips_out *out, const int64_t *values, int n) {
  int wide = 0;
  for (int i = 0; i < n; i++) wide |= values[i] > INT32_MAX;
  sheaf_aips_put_start(out, "IPosition", wide ? 2 : 1);
  sheaf_aips_put_u32(out, (uint32_t)n);
  for (int i = 0; i < n; i++) put_number(out, (uint64_t)values[i], wide ? 8 : 4);
  sheaf_aips_put_end(out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pack.h - values of the tools (table/tool.h) as one piece of memory, that can go to another
 * process as it is.
 *
 * A value is a scalar, a text, an array (fastest axis first), a list, or a record. Each begins at a
 * multiple of 8 bytes; arrays are stored as they lie in memory. A pack is written front to back and
 * may be marked as failed (no memory), which the writer asks for once at the end. Writers of large
 * arrays get the place and fill it themselves. A large pack that is to go to another process lives
 * in a nameless file (sheaf_pack_shared), so that it is handed over without being copied. */
#ifndef SHEAF_TABLE_PACK_H
#define SHEAF_TABLE_PACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  SHEAF_PACK_NONE,
  SHEAF_PACK_BOOL,
  SHEAF_PACK_INT,
  SHEAF_PACK_REAL,
  SHEAF_PACK_COMPLEX,
  SHEAF_PACK_TEXT,
  SHEAF_PACK_ARRAY,
  SHEAF_PACK_LIST,
  SHEAF_PACK_RECORD
};

/* Element types of arrays. */
enum {
  SHEAF_PACK_B1, /* bytes 0 and 1 */
  SHEAF_PACK_I4,
  SHEAF_PACK_I8,
  SHEAF_PACK_F4,
  SHEAF_PACK_F8,
  SHEAF_PACK_C8, /* two floats */
  SHEAF_PACK_C16,
  SHEAF_PACK_U8, /* unsigned, 64 bits */
  SHEAF_PACK_U   /* texts, one behind the other */
};

enum { SHEAF_PACK_MAXDIM = 12 };

typedef struct sheaf_pack {
  char *data;
  size_t n, room;
  int shareable; /* grows into a nameless file when it gets large */
  int fd;        /* of that file; -1: memory from malloc */
  int failed;    /* memory ran out */
} sheaf_pack;

/* An empty pack. */
void sheaf_pack_init(sheaf_pack *pack, int shareable);
void sheaf_pack_free(sheaf_pack *pack);
/* Forgets everything from `n` bytes on. */
void sheaf_pack_cut(sheaf_pack *pack, size_t n);

void sheaf_pack_none(sheaf_pack *pack);
void sheaf_pack_bool(sheaf_pack *pack, int value);
void sheaf_pack_int(sheaf_pack *pack, int64_t value);
void sheaf_pack_real(sheaf_pack *pack, double value);
void sheaf_pack_complex(sheaf_pack *pack, double re, double im);
void sheaf_pack_text(sheaf_pack *pack, const char *text, size_t n);
/* Begins an array and returns the place of its elements (to be filled before anything else is
 * written), or NULL when memory ran out. Of texts: write as many texts next; NULL is returned. */
void *sheaf_pack_array(sheaf_pack *pack, int type, int ndim, const int64_t *shape);
/* `n` values follow. */
void sheaf_pack_list(sheaf_pack *pack, int64_t n);
/* `n` pairs follow: a text, and a value. */
void sheaf_pack_record(sheaf_pack *pack, int64_t n);
/* Writes what another pack holds. */
void sheaf_pack_append(sheaf_pack *pack, const void *data, size_t n);

/* Bytes of an element; 0 for texts. */
size_t sheaf_pack_size(int type);

/* One value as it is read. */
typedef struct sheaf_item {
  int kind;
  int64_t i; /* BOOL, INT; LIST, RECORD: how many */
  double re, im;
  const char *text; /* TEXT: not ended by a zero */
  size_t n;         /* TEXT: bytes; ARRAY: elements */
  int type, ndim;   /* ARRAY */
  int64_t shape[SHEAF_PACK_MAXDIM];
  const void *data; /* ARRAY; of texts: where the first is */
} sheaf_item;

/* Reads the value at *at, and moves *at behind it; of an array of texts, a list or a record: to its
 * first member. 0, or -1 when the memory holds no value. */
int sheaf_pack_read(const char **at, const char *end, sheaf_item *item);
/* Moves *at behind a whole value, members included. */
int sheaf_pack_skip(const char **at, const char *end);

#ifdef __cplusplus
}
#endif
#endif

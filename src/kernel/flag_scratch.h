/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_scratch.h - arrays out of the scratch memory that a caller gave; internal to flag_*. */
#ifndef SHEAF_KERNEL_FLAG_SCRATCH_H
#define SHEAF_KERNEL_FLAG_SCRATCH_H

#include <stddef.h>

/* What a group of maps that are worked together may take: half of a usual second-level cache. */
enum { SHEAF_FLAG_GROUP_BYTES = 512 * 1024 };

/* Bytes that an array takes, so that the next one is aligned for the widest vectors. */
static inline size_t sheaf_flag_scratch_bytes(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

static inline void *sheaf_flag_scratch_take(void **scratch, size_t bytes) {
  char *p = *scratch;
  *scratch = p + sheaf_flag_scratch_bytes(bytes);
  return p;
}

#endif

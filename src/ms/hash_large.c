/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/hash_large.h"

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

uint64_t sheaf_hash_large(const void *data, size_t bytes) {
  return XXH3_64bits(data, bytes); /* the library's, on x86 its dispatcher */
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hash_large.h - XXH3 of large cells, with the widest vectors that the processor has; internal to
 * checksum.c. */
#ifndef SHEAF_MS_HASH_LARGE_H
#define SHEAF_MS_HASH_LARGE_H

#include <stddef.h>
#include <stdint.h>

/* The same value as XXH3_64bits. */
uint64_t sheaf_hash_large(const void *data, size_t bytes);

#endif

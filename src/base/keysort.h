/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keysort.h - puts numbers in order of keys, in memory. */
#ifndef SHEAF_BASE_KEYSORT_H
#define SHEAF_BASE_KEYSORT_H

#include <stdint.h>

typedef struct sheaf_keyed {
  uint64_t key;
  int64_t value;
} sheaf_keyed;

/* Sorts items[n] by key; equal keys stay in their order. `scratch` has room for n. Takes a pass for
 * each byte in which keys differ, none when they are in order. */
void sheaf_keysort(sheaf_keyed *items, int64_t n, sheaf_keyed *scratch);

#endif

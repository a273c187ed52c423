/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/keysort.h"

#include <string.h>

enum { DIGITS = 256 };

/* Moves the items to `to`, in order of one byte of their keys. */
static void sort_by_byte(const sheaf_keyed *from, int64_t n, int shift, sheaf_keyed *to) {
  int64_t place[DIGITS] = {0}, sum = 0;
  for (int64_t i = 0; i < n; i++) place[from[i].key >> shift & 0xff]++;
  for (int d = 0; d < DIGITS; d++) {
    const int64_t count = place[d];
    place[d] = sum;
    sum += count;
  }
  for (int64_t i = 0; i < n; i++) to[place[from[i].key >> shift & 0xff]++] = from[i];
}

void sheaf_keysort(sheaf_keyed *items, int64_t n, sheaf_keyed *scratch) {
  uint64_t differ = 0;
  int sorted = 1;
  for (int64_t i = 1; i < n; i++) {
    differ |= items[i].key ^ items[0].key;
    sorted &= items[i - 1].key <= items[i].key;
  }
  if (sorted) return;
  sheaf_keyed *from = items, *to = scratch;
  for (int shift = 0; shift < 64; shift += 8) {
    if (!(differ >> shift & 0xff)) continue;
    sort_by_byte(from, n, shift, to);
    sheaf_keyed *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, (size_t)n * sizeof *items);
}

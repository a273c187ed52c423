/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bits.h - flags as casacore packs them in tiles: element e is bit e % 8 (least significant first)
 * of byte e / 8. In memory a flag is one byte, 0 or 1. Pure functions. */
#ifndef SHEAF_TABLE_BITS_H
#define SHEAF_TABLE_BITS_H

#include <stdint.h>

/* Writes elements first..first+n-1 of `bits` to out[0..n-1] as 0 or 1. */
void sheaf_bits_unpack(uint8_t *out, const uint8_t *bits, int64_t first, int64_t n);
/* Sets elements first..first+n-1 of `bits` from in[0..n-1] (anything but 0 is set); other bits
 * stay. */
void sheaf_bits_pack(uint8_t *bits, int64_t first, const uint8_t *in, int64_t n);

#endif

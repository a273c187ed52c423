/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_clip.h - values outside or inside of limits, NaN, infinities and zeros (mode clip). */
#ifndef SHEAF_KERNEL_FLAG_CLIP_H
#define SHEAF_KERNEL_FLAG_CLIP_H

#include "kernel/flag_expression.h"
#include "kernel/flag_view.h"

typedef struct sheaf_flag_clip_options {
  int limits; /* clipminmax is given: min and max hold */
  double min, max;
  int outside; /* 1: flag x < min or x > max; 0: flag min <= x <= max */
  int zeros;   /* clipzeros. As in CASA: every x <= FLT_EPSILON, so all negative ones, too */
  int clears;  /* 1: flags of what would be flagged are cleared instead */
} sheaf_flag_clip_options;

/* Examines every quantity of n rows (row[i]; NULL: 0..n-1), flagged or not; NaN and infinities are
 * always hit. Returns how many flags changed. */
int64_t sheaf_flag_clip(const sheaf_flag_view *view, const int64_t *row, int64_t n,
                        const sheaf_flag_quantity *quantity, int nquantity, sheaf_flag_operator op,
                        const sheaf_flag_clip_options *options);

#endif

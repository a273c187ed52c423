/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_tfcrop.h - outliers from a fit to the mean bandpass or the mean time series of each baseline
 * (mode tfcrop).
 *
 * All float, in CASA's order (docs/flagging.md); flags equal CASA's bit for bit. */
#ifndef SHEAF_KERNEL_FLAG_TFCROP_H
#define SHEAF_KERNEL_FLAG_TFCROP_H

#include "kernel/flag_expression.h"
#include "kernel/flag_view.h"

typedef enum sheaf_flag_dimension {
  SHEAF_FLAG_FREQ,
  SHEAF_FLAG_TIME,
  SHEAF_FLAG_FREQTIME, /* freq, then time */
  SHEAF_FLAG_TIMEFREQ
} sheaf_flag_dimension;

enum { SHEAF_FLAG_WINDOW_SUM = 1, SHEAF_FLAG_WINDOW_STD = 2 };

typedef struct sheaf_flag_tfcrop_options {
  float timecutoff, freqcutoff; /* in standard deviations */
  int timepoly, freqpoly;       /* 1: 'poly', 0: 'line' */
  int maxnpieces;               /* of a poly; 1..9 */
  sheaf_flag_dimension dimension;
  int windows; /* usewindowstats: bits SHEAF_FLAG_WINDOW_…, 'both' is both, 'none' 0 */
  int halfwin; /* 1..3 */
} sheaf_flag_tfcrop_options;

/* Bytes of scratch for maps of up to nrow rows, channels as an agent sees them. */
size_t sheaf_flag_tfcrop_scratch(int64_t nrow, int64_t nchan, int nquantity);

/* Flags each map; quantities must not share correlations. Statistics and result use view->flag.
 * Returns how many flags were set new. Calling it with fewer maps at a time gives the same result;
 * some 8 or more at once are fastest. */
int64_t sheaf_flag_tfcrop(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                          const sheaf_flag_quantity *quantity, int nquantity,
                          sheaf_flag_operator op, const sheaf_flag_tfcrop_options *options,
                          void *scratch);

/* The undoing of it, as CASA has it: all flags of a map's quantity are cleared, whoever set them,
 * unless all its samples are flagged (then tfcrop sees nothing). One quantity after the other.
 * Returns how many flags were cleared. */
int64_t sheaf_flag_tfcrop_undo(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_quantity *quantity, int nquantity);

#endif

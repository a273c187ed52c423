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

/* A map that is not at hand as a whole: a pass over it is done in steps, over stretches of its rows,
 * which may be cut anywhere. Along frequency: all stretches to _means, then _fit, then all to _flag.
 * Along time: all stretches to _means, which leaves their values in `values`; then _fit; then, for
 * each quantity and some channels at a time, values of all times to _times, which marks outliers
 * among them; then these come back by _marks. Flags are those of sheaf_flag_tfcrop, to the bit. */
enum { SHEAF_FLAG_CROP_QUANTITIES = 4, SHEAF_FLAG_CROP_LANES = 16 };

typedef struct sheaf_flag_crop {
  const sheaf_flag_tfcrop_options *options;
  const sheaf_flag_quantity *quantity; /* that share no correlation, or one of two correlations */
  int nquantity;                       /* up to SHEAF_FLAG_CROP_QUANTITIES */
  sheaf_flag_operator op;
  int64_t nrow, nchan;  /* of the map, as the agent sees it */
  int64_t columns;      /* nchan in full vectors */
  int64_t stretch;      /* rows of a stretch, at most */
  int along_freq, poly; /* the pass */
  float tolerance;
  int any; /* bits: quantities that have unflagged samples; after _fit */
  float *values; /* [quantity][row of the stretch][columns] */
  /* more of the scratch */
  float *tile, *mean, *fit, *sum;
  int32_t *flag, *count;
} sheaf_flag_crop;

/* Bytes of scratch for _begin. */
size_t sheaf_flag_crop_scratch(int64_t nrow, int64_t nchan, int nquantity, int64_t stretch);
/* Sets columns, values and what follows; the other members are given. */
void sheaf_flag_crop_begin(sheaf_flag_crop *crop, void *scratch);
/* Which of the dimension's passes (0, 1) runs along frequency, and how; 0 when there is none. */
int sheaf_flag_crop_pass(sheaf_flag_crop *crop, int pass);
/* Rows row0.. of the map: the one list of maps. */
void sheaf_flag_crop_means(sheaf_flag_crop *crop, const sheaf_flag_view *view,
                           const sheaf_flag_maps *maps, int64_t row0);
void sheaf_flag_crop_fit(sheaf_flag_crop *crop);
int64_t sheaf_flag_crop_flag(sheaf_flag_crop *crop, const sheaf_flag_view *view,
                             const sheaf_flag_maps *maps);
/* values: [nrow][width] of quantity q and channels from.., width a multiple of SHEAF_FLAG_CROP_LANES;
 * those behind the last channel are not looked at. */
void sheaf_flag_crop_times(sheaf_flag_crop *crop, int q, float *values, int64_t width,
                           int64_t from);
/* Flags what is marked, or was flagged, in these rows' `values` of _times. */
int64_t sheaf_flag_crop_marks(const sheaf_flag_crop *crop, const sheaf_flag_view *view,
                              const sheaf_flag_maps *maps, int q, const float *values,
                              int64_t width, int64_t from);
/* At the end, for a quantity of two correlations: its flags go to both. */
int64_t sheaf_flag_crop_share(const sheaf_flag_crop *crop, const sheaf_flag_view *view,
                              const sheaf_flag_maps *maps);

/* Whether a row has an unflagged sample of the quantity. */
int sheaf_flag_has_good(const sheaf_flag_view *view, int64_t row, const sheaf_flag_quantity *q);

/* The undoing of it, as CASA has it: all flags of a map's quantity are cleared, whoever set them,
 * unless all its samples are flagged (then tfcrop sees nothing). One quantity after the other.
 * Returns how many flags were cleared. */
int64_t sheaf_flag_tfcrop_undo(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_quantity *quantity, int nquantity);

#endif

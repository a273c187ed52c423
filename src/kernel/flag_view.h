/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_view.h - what the flagging kernels (flag_*.h) look at: the cells of one buffer, and its rows
 * by baseline.
 *
 * A buffer is rows of one data description, `[row][chan][corr]`, flags as bytes 0 and 1. Which rows
 * belong together is said by row lists, so a buffer may hold rows of other scans or baselines as
 * well. The kernels do not allocate and hold no state; scratch comes from the caller, in the bytes
 * that a function NAME_scratch tells, aligned to 64. Different rows may be worked on by different
 * threads at once, each with its own scratch.
 *
 * Vector instructions are chosen at run time (flag_lanes.h). Results are the same to the bit with
 * all of them, and CASA's, so the order of every sum is fixed: vectors lie across independent
 * series. */
#ifndef SHEAF_KERNEL_FLAG_VIEW_H
#define SHEAF_KERNEL_FLAG_VIEW_H

#include <stddef.h>
#include <stdint.h>

typedef struct sheaf_flag_view {
  const float
      *data; /* [row][nchan][ncorr] complex (re, im), or real when `real`; NULL where not needed */
  int real;  /* 1: a float column; its numbers are complex ones without imaginary part */
  uint8_t *flag; /* [row][nchan][ncorr], 0 or 1: the flags as they are now; changed in place */
  uint8_t
      *changed; /* [row]: set to 1 (never to 0) where a flag of the row changed; NULL: not wanted */
  int64_t nchan, ncorr;
  const int32_t
      *chan;    /* the channels an agent looks at, in its order; NULL: all. Each at most once */
  int64_t nsel; /* how many, when chan is given */
} sheaf_flag_view;

/* Channels that an agent sees. */
static inline int64_t sheaf_flag_view_channels(const sheaf_flag_view *view) {
  return view->chan ? view->nsel : view->nchan;
}

/* Rows of a buffer by baseline: map k holds the rows row[start[k]] .. row[start[k+1]-1], in the
 * order of the buffer. */
typedef struct sheaf_flag_maps {
  int64_t nmap;
  const int64_t *start; /* [nmap + 1] */
  const int64_t *row;   /* indices into the arrays of the view */
} sheaf_flag_maps;

/* Groups n rows (places[i], ascending; NULL: 0..n-1) by (ant1, ant2) as stored, ascending; arrays
 * ant1 and ant2 are indexed by place. Fills row[n] and start[n + 1]; scratch: n int64. Returns the
 * number of maps. */
int64_t sheaf_flag_maps_build(const int32_t *ant1, const int32_t *ant2, const int64_t *places,
                              int64_t n, int64_t *row, int64_t *start, int64_t *scratch);
/* Rows of the longest map. */
int64_t sheaf_flag_maps_longest(const sheaf_flag_maps *maps);

/* A map that is worked on stretch by stretch: the one list of rows that is given has rows first,
 * first + 1, … of its `nrow` rows, and what is asked for is about the places [from, to) of the list.
 * Those around them are only looked at. Stretches come one after the other, from the first row on. */
typedef struct sheaf_flag_stretch {
  int64_t nrow, first, from, to;
} sheaf_flag_stretch;

/* Sets (value 1) or clears (0) the view's channels of the correlations in `corrs` (bit c:
 * correlation c) in n rows (row[i]; NULL: 0..n-1). Returns how many flags changed. */
int64_t sheaf_flag_fill(const sheaf_flag_view *view, const int64_t *row, int64_t n, uint64_t corrs,
                        int value);

/* ORs n rows of `from` [n][nchan][ncorr] into the view's rows row[i]; all channels. Returns how
 * many flags changed. */
int64_t sheaf_flag_merge(const sheaf_flag_view *view, const int64_t *row, int64_t n,
                         const uint8_t *from);

#endif

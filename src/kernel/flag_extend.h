/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_extend.h - grows flags in time, frequency and over correlations, baseline by baseline (mode
 * extend). */
#ifndef SHEAF_KERNEL_FLAG_EXTEND_H
#define SHEAF_KERNEL_FLAG_EXTEND_H

#include "kernel/flag_view.h"

typedef struct sheaf_flag_extend_options {
  double growtime, growfreq; /* percent, 0: off */
  int extendpols, growaround, flagneartime, flagnearfreq;
  uint64_t corrs; /* bit c: correlation c takes part; all: ~0 */
} sheaf_flag_extend_options;

/* Bytes of scratch for maps of up to nrow rows, channels as an agent sees them. */
size_t sheaf_flag_extend_scratch(int64_t nrow, int64_t nchan, int64_t ncorr);

/* First the neighbours, from the flags as they were; then growth by share, counted before any
 * growth; then correlations. Returns how many flags were set new. view->data is not used. */
int64_t sheaf_flag_extend(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                          const sheaf_flag_extend_options *options, void *scratch);

/* The same on one map that is worked on stretch by stretch (flag_view.h): each stretch to _look, with
 * one row more on both sides where there is one, whose flags are as they were before; then each to
 * _grow, without more rows. times: [channels][correlations] that take part, zeros at first; _look
 * counts in it, and _grow wants the counts of all stretches. Scratch is that of sheaf_flag_extend for
 * the rows of a stretch. */
int64_t sheaf_flag_extend_look(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_extend_options *options,
                               const sheaf_flag_stretch *stretch, int32_t *times, void *scratch);
int64_t sheaf_flag_extend_grow(const sheaf_flag_view *view, const sheaf_flag_maps *maps,
                               const sheaf_flag_extend_options *options,
                               const sheaf_flag_stretch *stretch, int32_t *times, void *scratch);

#endif

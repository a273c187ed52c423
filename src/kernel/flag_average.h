/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_average.h - averages in channel and time that a mode decides on (channelavg, timeavg), and
 * the way back.
 *
 * Float, in row and channel order, with CASA's rules: flagged samples enter only averages of
 * flagged samples alone. An average's flag goes to every sample that went into it, as each input
 * row knows its average (CASA computes that place from counts, and misses it where rows are
 * missing).
 *
 * `parts` is 2 for complex data, 1 for real ones. Weights are [row][chan][corr]; from weights of
 * rows sheaf_weight_spread (weights.h) makes them. */
#ifndef SHEAF_KERNEL_FLAG_AVERAGE_H
#define SHEAF_KERNEL_FLAG_AVERAGE_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/flag_view.h"

/* CASA's weights for averages of DATA: 1/sigma², 0 for a sigma up to FLT_MIN. */
void sheaf_flag_average_weights(const float *sigma, size_t n, float *weight);
/* Weights that a channel average of DATA takes after a time average with summed weights w, in
 * place: back through sigma = 1/sqrt(w). */
void sheaf_flag_average_reweigh(float *weight, size_t n);

/* Channels per bin for CASA's chanbin: 0 → 1, 1 or more than n → n. */
int64_t sheaf_flag_average_width(int64_t chanbin, int64_t n);
/* Bins of n channels; the last may be shorter. */
int64_t sheaf_flag_average_bins(int64_t n, int64_t width);

/* Cells of rows that are averaged: data [row][chan][corr][parts], flag, weight [row][chan][corr];
 * NULL weight: all 1. sums: averages of channels are sums, as those of weights are. */
typedef struct sheaf_flag_cells {
  float *data;
  uint8_t *flag;
  float *weight;
  int64_t nrow, nchan, ncorr;
  int parts, sums;
} sheaf_flag_cells;

/* Averages the channels chan[n] (NULL: all of `in`, n = in->nchan) in bins; out has
 * sheaf_flag_average_bins channels, and no weight. A data description with one channel only
 * (in->nchan == 1) passes through. */
void sheaf_flag_average_channels(const sheaf_flag_cells *in, const int32_t *chan, int64_t n,
                                 int64_t width, sheaf_flag_cells *out);
/* The way back: each flagged bin of flag [nrow][bins][ncorr] flags its channels in the view's rows
 * row[i] (NULL: 0..nrow-1). view->chan are the channels that were averaged. Returns how many flags
 * were set new. */
int64_t sheaf_flag_average_spread(const sheaf_flag_view *view, const int64_t *row, int64_t nrow,
                                  int64_t width, const uint8_t *flag);

/* Which average each row of a chunk goes into: average[i] for the rows 0..n-1 with these times, in
 * order, where `maps` groups them by baseline. An average takes rows up to 0.999 timebin [s] after
 * its first. Averages are numbered as they close, those still open at the end as their baselines
 * appeared. Returns how many there are. scratch: n + nmap int64. */
int64_t sheaf_flag_average_plan(const double *time, int64_t n, const sheaf_flag_maps *maps,
                                double timebin, int64_t *average, int64_t *scratch);
/* Averages rows by that plan; out has naverage rows, and summed weights. first[k]: first row of
 * average k. */
void sheaf_flag_average_rows(const sheaf_flag_cells *in, const int64_t *average, int64_t naverage,
                             sheaf_flag_cells *out, int64_t *first);
/* The same of rows that come in parts: first[k] is -1 before the first row of average k; `add` for
 * each part, in order, and `norm` at the end. */
void sheaf_flag_average_add(const sheaf_flag_cells *in, const int64_t *average,
                            sheaf_flag_cells *out, int64_t *first);
void sheaf_flag_average_norm(sheaf_flag_cells *out);
/* The way back in time is sheaf_flag_merge of flag[average[i]] for every row; this makes it: row i
 * of `into` |= row average[i] of flag, both of `cells` flags a row. Sets changed[i] (may be NULL);
 * returns how many flags were set new. */
int64_t sheaf_flag_average_return(const uint8_t *flag, const int64_t *average, int64_t n,
                                  int64_t cells, uint8_t *into, uint8_t *changed);

#endif

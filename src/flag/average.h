/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * average.h - averages of a block's rows that a command decides on, and the way of their flags back
 * (channelavg, timeavg). */
#ifndef SHEAF_FLAG_AVERAGE_H
#define SHEAF_FLAG_AVERAGE_H

#include <stdint.h>

#include "base/error.h"
#include "flag/agent.h"
#include "kernel/flag_average.h"
#include "kernel/flag_view.h"

/* What is averaged. Weights and sigmas may be NULL; those of rows are [n][ncorr]. */
typedef struct sheaf_flag_averages {
  const sheaf_flag_rows *rows;
  int64_t nchan, ncorr;
  const float *data, *minus; /* [row][nchan][ncorr]; minus (complex): the model of residuals */
  int real;
  const uint8_t *flag;
  sheaf_flag_source source;
  const float *weight, *weight_spectrum, *sigma, *sigma_spectrum;
  const int32_t *chan; /* [nsel] channels; NULL: all */
  int64_t nsel;
  const int64_t *row; /* [n] rows; NULL: all */
  int64_t n;
  const sheaf_flag_maps *maps; /* of these rows; NULL: not by baseline (no average in time) */
  int channels;
  int64_t chanbin;
  double timebin; /* s; 0: none */
} sheaf_flag_averages;

typedef struct sheaf_flag_averaged {
  int64_t n; /* rows */
  sheaf_flag_view view;
  uint8_t *original; /* the flags of the view as they were */
  sheaf_flag_maps maps;
  /* owned */
  float *data;
  uint8_t *flag, *time_flag; /* of the view; of averages in time with all channels */
  int64_t *place, *average;  /* of each row averaged: its place in the block, its average */
  int64_t nplace, width;
  int64_t *map_row, *map_start;
} sheaf_flag_averaged;

/* chanbin of a spw: as in CASA, a list has one for each spw of the MS, by its id. */
int64_t sheaf_flag_averages_bin(const sheaf_flag_agent *agent, int32_t spw);

/* Bytes that the averages of a row take at most while they are made; 0 without any. */
int64_t sheaf_flag_averages_bytes(const sheaf_flag_agent *agent, int64_t nchan, int64_t ncorr);

int sheaf_flag_averages_make(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                             sheaf_error *err);

/* Averages in time of one baseline whose rows come in parts, in order; n of them. Sums are those of
 * all rows at once, to the bit. */
typedef struct sheaf_flag_averaging {
  int64_t n;
  int64_t *first;
  sheaf_flag_cells data, model;
} sheaf_flag_averaging;

int sheaf_flag_averaging_begin(sheaf_flag_averaging *sums, const sheaf_flag_averages *in, int64_t n,
                               sheaf_error *err);
/* average[i]: where row i of the map goes. */
int sheaf_flag_averaging_add(sheaf_flag_averaging *sums, const sheaf_flag_averages *in,
                             const int64_t *average, sheaf_error *err);
/* The averages; `in` as for the last part. Places and averages of rows are missing, for
 * sheaf_flag_averages_of. */
int sheaf_flag_averaging_end(sheaf_flag_averaged *out, sheaf_flag_averaging *sums,
                             const sheaf_flag_averages *in, sheaf_error *err);
void sheaf_flag_averaging_free(sheaf_flag_averaging *sums);
/* The rows that flags come back to next: place[n] and their averages, which are copied. */
int sheaf_flag_averages_of(sheaf_flag_averaged *out, const int64_t *place, const int64_t *average,
                           int64_t n, sheaf_error *err);

/* ORs the view's flags into the rows of `flag` [row][nchan][ncorr] that went into them. */
void sheaf_flag_averages_return(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                                uint8_t *flag);
void sheaf_flag_averages_free(sheaf_flag_averaged *out);

#endif

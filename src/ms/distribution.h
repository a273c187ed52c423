/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * distribution.h - how a MeasurementSet is shared out among sub-MSs. Pure functions on arrays: no
 * I/O.
 *
 * The rules are those of CASA's partition (CASA docs, "Parallel Processing"), so that a Multi-MS
 * made by either has the same content in each sub-MS. Allocation failures give SHEAF_ERR_NOMEM. */
#ifndef SHEAF_MS_DISTRIBUTION_H
#define SHEAF_MS_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Cuts a list of `length` items into n contiguous parts: part i holds the items first[i] …
 * first[i+1]-1, where first[i] = i*length/n rounded half to even. first has n+1 elements; n > 0. */
void sheaf_split_even(size_t length, size_t n, size_t *first);

/* A stretch of time in which scan, fields, data descriptions and states do not change. */
typedef struct sheaf_subscan {
  int32_t scan;
  int32_t field;         /* the first one seen */
  int32_t state;         /* likewise */
  int64_t nrow;          /* over all data descriptions */
  double begin_s, end_s; /* TIME of the first and last timestamp */
  size_t nddid;
  int32_t *ddid; /* in order of appearance */
} sheaf_subscan;

/* One (scan, data description) pair and the sub-MS that it goes to. */
typedef struct sheaf_pair {
  int32_t scan, ddid, field;
  double nvis;
  uint32_t part;
} sheaf_pair;

/* Balances (scan, data description) pairs over *npart sub-MSs along scan, data description and
 * field (axis 'auto'). subscans  [nsubscan]  what was observed, in time order nvis_row  [nddid]
 * visibilities per row of each data description (channels × correlations) npart     in/out wanted
 * number of sub-MSs > 0; lowered to the number of pairs *pairs (allocated, *npair of them) come in
 * the order of assignment. */
int sheaf_distribute_balanced(const sheaf_subscan *subscans, size_t nsubscan,
                              const double *nvis_row, size_t nddid, size_t *npart,
                              sheaf_pair **pairs, size_t *npair, sheaf_error *err);

/* "1~3,5" for {1,2,3,5}; sorts `list`. Caller frees; NULL without memory. */
char *sheaf_range_text(int32_t *list, size_t n);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copier_impl.h - the copier at work; internal to copier.c (rows, scalars) and copyarrays.c (array
 * columns). */
#ifndef SHEAF_MS_COPIER_IMPL_H
#define SHEAF_MS_COPIER_IMPL_H

#include "ms/copier.h"
#include "table/table.h"

typedef struct copier {
  const sheaf_copyplan *plan;
  const sheaf_copysource *sources;
  size_t nsource;
  sheaf_table **in; /* [nsource] */
  const char *out;
  int64_t nrow;
  int64_t *row;    /* [nrow] source rows in output order */
  int32_t *source; /* [nrow] */
  int32_t *ddid;   /* [nrow] input data description */
  json_t *checksums, *scans, *ddids;
} copier;

/* Rows from i on (at most `most`) that come from the same source. */
int64_t sheaf_copier_same_source(const copier *c, int64_t i, int64_t most);

/* The array columns of one output. */
typedef struct array_copies array_copies;

/* Gives every array column its final layout in the empty output table; casacore must have closed
 * it. */
int sheaf_arrays_open(array_copies **arrays, copier *c, sheaf_error *err);
/* Copies those that are read from tiles, on threads where that may be (base/threads.h), and those
 * that casacore reads; each puts its checksums into c->checksums. */
int sheaf_arrays_copy_tiles(array_copies *arrays, sheaf_error *err);
int sheaf_arrays_copy_casacore(array_copies *arrays, sheaf_error *err);
/* NULL is fine. */
void sheaf_arrays_close(array_copies *arrays);

#endif

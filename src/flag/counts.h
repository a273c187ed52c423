/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * counts.h - the numbers of mode summary: flagged and all samples by antenna, scan, and so on.
 *
 * Whole numbers, so partial counts add up exactly, in any order. */
#ifndef SHEAF_FLAG_COUNTS_H
#define SHEAF_FLAG_COUNTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flag/vis.h"

typedef enum sheaf_count_kind {
  SHEAF_COUNT_TOTAL,
  SHEAF_COUNT_ANTENNA,
  SHEAF_COUNT_ARRAY,
  SHEAF_COUNT_CORRELATION,
  SHEAF_COUNT_FIELD,
  SHEAF_COUNT_OBSERVATION,
  SHEAF_COUNT_SCAN,
  SHEAF_COUNT_SPW,
  SHEAF_COUNT_SPW_CHANNEL,
  SHEAF_COUNT_SPW_CORRELATION,
  SHEAF_COUNT_BASELINE,
  SHEAF_COUNT_ANTENNA_SCAN,
  SHEAF_COUNT_NKIND
} sheaf_count_kind;

typedef struct sheaf_count {
  int32_t field; /* with fieldcnt; else -1 */
  int32_t kind, a, b;
  int64_t flagged, total;
} sheaf_count;

/* A hash of counts. Zero-initialise. */
typedef struct sheaf_counts {
  sheaf_count *count;
  size_t n, room;
  uint32_t *slot;
  size_t nslot;
  uint32_t last[SHEAF_COUNT_NKIND]; /* found last, + 1 */
} sheaf_counts;

int sheaf_counts_add(sheaf_counts *counts, int32_t field, sheaf_count_kind kind, int32_t a,
                     int32_t b, int64_t flagged, int64_t total, sheaf_error *err);
void sheaf_counts_free(sheaf_counts *counts);
/* As a value, and adding such a value. */
json_t *sheaf_counts_value(const sheaf_counts *counts);
int sheaf_counts_merge(sheaf_counts *counts, const json_t *value, sheaf_error *err);

/* Only entries within remain in a report, as CASA's minabs, maxabs (negative: any), minrel, maxrel. */
typedef struct sheaf_count_limits {
  double minabs, maxabs, minrel, maxrel;
} sheaf_count_limits;

/* CASA's dictionary of a summary called `name`. */
json_t *sheaf_counts_report(const sheaf_counts *counts, const sheaf_flag_vis *vis, const char *name,
                            int fieldcnt);
void sheaf_counts_filter(json_t *report, const sheaf_count_limits *limits);

#endif

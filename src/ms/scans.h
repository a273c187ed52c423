/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * scans.h - what (the selected part of) an MS contains, from one pass over its id columns.
 *
 * Reads windows of rows, so that memory depends on the number of timestamps and baselines, not of
 * rows. A sheaf_scans owns all it points to and is read-only once made. */
#ifndef SHEAF_MS_SCANS_H
#define SHEAF_MS_SCANS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/distribution.h"
#include "ms/rowrecords.h"
#include "table/select.h"

/* One row of DATA_DESCRIPTION with what it refers to. */
typedef struct sheaf_description {
  int32_t spw, pol;
  int32_t nchan, ncorr;
} sheaf_description;

/* Data descriptions of an MS: *descs is allocated. SHEAF_ERR_DATA when ids point beyond their
 * tables. */
int sheaf_descriptions_read(const char *ms_path, sheaf_description **descs, size_t *n,
                            sheaf_error *err);

/* Rows of the main table. */
int sheaf_ms_nrow(const char *ms_path, int64_t *nrow, sheaf_error *err);

typedef struct sheaf_scans {
  int64_t nrow;    /* rows counted */
  size_t nsubscan; /* in order of observation, array, scan, time */
  sheaf_subscan *subscans;
  size_t nddid;       /* data descriptions of the MS */
  int64_t *ddid_nrow; /* [nddid] rows of each */
  size_t nbaseline;   /* distinct baselines with ant1 <= ant2, row-major */
  int32_t *baseline;  /* [nbaseline][2] */
} sheaf_scans;

/* Counts the rows that `select` (NULL: all) takes; with `sink`, a record of each goes there.
 * SHEAF_ERR_DATA when a row's DATA_DESC_ID lies beyond DATA_DESCRIPTION or an id column is missing.
 * No rows is no error. */
int sheaf_scans_read(sheaf_scans *scans, const char *ms_path, sheaf_select *select,
                     sheaf_rowsink *sink, sheaf_error *err);
/* 1 when every antenna of the baselines is in the ascending list. A selection by length or by a
 * pattern of baselines ('<500m') selects rows without listing their antennas. */
int sheaf_scans_antennas_listed(const sheaf_scans *scans, const sheaf_ids *antennas);
/* 1 when every baseline is among the n pairs, in whatever order of its antennas. */
int sheaf_scans_baselines_listed(const sheaf_scans *scans, const int32_t *pair, size_t n);
void sheaf_scans_free(sheaf_scans *scans);

/* Distinct scan numbers, ascending; *list is allocated. */
int sheaf_scans_numbers(const sheaf_scans *scans, int32_t **list, size_t *n, sheaf_error *err);

#endif

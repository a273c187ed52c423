/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msconcat.h - what virtual concatenation needs of casacore: looking at inputs, and merging one MS
 * into another.
 *
 * casacore's MSConcat merges sub-tables and rewrites ids; what its version here lacks or does wrong
 * is put right afterwards (msconcat.cc says what). Everything works on paths, opens without locks,
 * and closes again: the MSs to be changed lie in a stage where nobody else looks. Not thread-safe
 * (casacore's log sink and table cache are process-wide). */
#ifndef SHEAF_TABLE_MSCONCAT_H
#define SHEAF_TABLE_MSCONCAT_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads metadata of an MS: {"nrow": n, "start": earliest TIME in s or null, "columns": {name:
 * kind}, "subtables": {name: [column, …]}, "antennas": ["name | station | position", …], "unique":
 * no two antennas of one name, "ascending", "descending": any spectral window whose channels go up,
 * down, "bulk": [k, …] numbers of data managers whose columns are all visibilities, flags, weights
 * or UVW, "pointing": rows of POINTING or -1}. SHEAF_ERR_DATA when it is no MeasurementSet. */
int sheaf_msconcat_survey(const char *path, json_t **survey, sheaf_error *err);

/* Reads a tolerance: text with a unit of `unit`'s dimension, or a plain number in `unit`.
 * SHEAF_ERR_ARG otherwise. */
int sheaf_msconcat_quantity(const char *text, const char *unit, double *value, sheaf_error *err);

typedef struct sheaf_msconcat_options {
  double freqtol_hz;
  double dirtol_rad;
  int respectname;
  const char *scans; /* file in which a merge leaves scan ranges for the next; the first makes it */
  const char *pointing; /* POINTING of `other`, kept aside: its antenna ids are mapped; or NULL */
} sheaf_msconcat_options;

/* Merges the sub-tables of `other` into those of `first`, and rewrites the ids (and what follows
 * from them: order of antennas with UVW, data and weights; order of channels; scan numbers) in both
 * main tables. */
int sheaf_msconcat_merge(const char *first, const char *other,
                         const sheaf_msconcat_options *options, sheaf_error *err);

/* Multiplies WEIGHT and WEIGHT_SPECTRUM by `factor`, and with `sigma` SIGMA and SIGMA_SPECTRUM by
 * 1/sqrt(factor). */
int sheaf_msconcat_scale(const char *path, double factor, int sigma, sheaf_error *err);

/* Adds MODEL_DATA (1 in parallel hands, 0 in cross hands) or CORRECTED_DATA (a copy of DATA) where
 * it is missing. */
int sheaf_msconcat_scratch(const char *path, int model, int corrected, sheaf_error *err);

/* Makes a plain table with the same rows as `from`, or with none. */
int sheaf_msconcat_copy(const char *from, const char *to, int norows, sheaf_error *err);

/* Appends the rows of a table of the same kind; columns that only one of both has are left out or
 * at their default. */
int sheaf_msconcat_append(const char *table, const char *other, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

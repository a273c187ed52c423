/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * select.h - CASA's data selection syntax, through casacore's MSSelection.
 *
 * A selection is parsed once against one MS; its rows can then be tested in windows, so memory does
 * not grow with the MS. */
#ifndef SHEAF_TABLE_SELECT_H
#define SHEAF_TABLE_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Texts in CASA's syntax; NULL or "" selects everything. */
typedef struct sheaf_selection {
  const char *field, *spw, *scan, *antenna, *correlation, *timerange, *intent, *array, *uvrange,
      *observation, *feed, *taql;
  int lenient; /* an antenna, field or spw that the MS lacks selects nothing; it is no mistake */
} sheaf_selection;

typedef struct sheaf_select sheaf_select;
/* An MS that is open for many selections. One thread at a time. */
typedef struct sheaf_select_ms sheaf_select_ms;

/* A list of ids; n = 0 and `given` = 0 when the selection has no such part. */
typedef struct sheaf_ids {
  int given;
  size_t n;
  int32_t *id;
} sheaf_ids;

/* Channels start, start+step, … ≤ stop of a spectral window. */
typedef struct sheaf_chanrange {
  int32_t spw, start, stop, step;
} sheaf_chanrange;

/* Correlations kept of one polarization setup, as indices into its CORR_TYPE, ascending. */
typedef struct sheaf_polsel {
  int32_t pol;
  size_t n;
  int32_t corr[16];
} sheaf_polsel;

/* What the parser understood. */
typedef struct sheaf_selected {
  sheaf_ids spw;  /* in order of the expression; given only with an spw selection */
  sheaf_ids ddid; /* data descriptions, when spw or correlation is given */
  sheaf_ids field, state, observation, array, scan;
  sheaf_ids antenna;  /* antennas that occur in the parsed antenna selection, ascending */
  sheaf_ids baseline; /* pairs ant1, ant2 of the parsed antenna selection */
  size_t nchan;       /* channel ranges in the order written; empty: all channels */
  sheaf_chanrange *chan;
  size_t npol; /* empty: all correlations */
  sheaf_polsel *pol;
  size_t ntime; /* pairs start, stop [s, as TIME] */
  double *time_s;
} sheaf_selected;

/* Parses a selection against the MS at `path`. SHEAF_ERR_ARG, with the parameter's name, for what
 * the parser refuses (unknown field, spw, antenna, syntax); SHEAF_ERR_EMPTY where casacore finds at
 * once that nothing can match, and for unknown names in a lenient selection. */
int sheaf_select_open(sheaf_select **select, const char *path, const sheaf_selection *selection,
                      sheaf_error *err);
void sheaf_select_close(sheaf_select *select);
/* The same for many selections: the MS is opened once, when there is something to parse, and texts that come again are not parsed again.
 * Only the parsed lists are there (sheaf_select_parsed); rows cannot be tested. */
int sheaf_select_ms_open(sheaf_select_ms **ms, const char *path, sheaf_error *err);
void sheaf_select_ms_close(sheaf_select_ms *ms);
/* Parses many time ranges together, which takes a small part of the time that it takes one by one. Those
 * that are right, and name both ends with their dates, are known afterwards; of the others their own
 * sheaf_select_parse tells. */
int sheaf_select_ms_times(sheaf_select_ms *ms, const char *const *timeranges, size_t n,
                          sheaf_error *err);
int sheaf_select_parse(sheaf_select **select, sheaf_select_ms *ms,
                       const sheaf_selection *selection, sheaf_error *err);
const sheaf_selected *sheaf_select_parsed(const sheaf_select *select);
/* 1 when every row is selected without looking. */
int sheaf_select_all(const sheaf_select *select);
/* keep[i] = 1 when row row0+i is selected, else 0. */
int sheaf_select_test(sheaf_select *select, int64_t row0, int64_t n, uint8_t *keep,
                      sheaf_error *err);
/* Parses a timerange without an MS: `time_s` and `interval_s` stand for TIME and INTERVAL of its first
 * row (its date is that of times without one). *out: *n pairs start, stop [s, as TIME], allocated with
 * malloc. SHEAF_ERR_ARG for what the parser refuses. */
int sheaf_select_times(const char *timerange, double time_s, double interval_s, double **out,
                       size_t *n, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * filter.h - which rows a command is about: lists of ids, as casacore's parser understood the
 * selection, and tests of rows against them.
 *
 * What cannot be told by ids (uvrange, feed, antenna expressions with '!') is left to casacore's
 * own test of the row; a filter with such a part belongs to one thread. */
#ifndef SHEAF_FLAG_FILTER_H
#define SHEAF_FLAG_FILTER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flag/vis.h"
#include "table/select.h"

/* Columns of a row that somebody looks at. */
enum {
  SHEAF_ROWS_TIME = 1,
  SHEAF_ROWS_CENTROID = 2,
  SHEAF_ROWS_ANTENNAS = 4,
  SHEAF_ROWS_SCAN = 8,
  SHEAF_ROWS_FIELD = 16,
  SHEAF_ROWS_STATE = 32,
  SHEAF_ROWS_ARRAY = 64,
  SHEAF_ROWS_OBSERVATION = 128,
  SHEAF_ROWS_PROCESSOR = 256,
  SHEAF_ROWS_FLAG_ROW = 512
};

/* Rows of one data description in one member; arrays that nobody asked for are NULL. */
typedef struct sheaf_flag_rows {
  int64_t n;
  size_t member;
  const int64_t *row; /* [n] in the member */
  const size_t *members; /* [n] where rows are of several members; else NULL */
  int32_t ddid, spw, pol;
  const double *time, *centroid; /* s */
  const int32_t *ant1, *ant2, *scan, *field, *state, *array, *observation, *processor;
  int in_order; /* time ascends (sheaf_flag_rows_look); 0: it does not, or nobody knows */
} sheaf_flag_rows;

/* Finds out whether time ascends: then tests of time ranges need few rows. */
void sheaf_flag_rows_look(sheaf_flag_rows *rows);

typedef struct sheaf_flag_idlist {
  int given;
  size_t n;
  int32_t *id; /* ascending */
} sheaf_flag_idlist;

typedef struct sheaf_flag_filter {
  sheaf_flag_idlist scan, field, state, array, observation, spw, antenna1;
  sheaf_flag_idlist strangers; /* PROCESSOR rows that are no correlators, of autocorr */
  int autocorr;
  size_t ntime;
  double *time; /* pairs start, stop */
  int antennas, negated;
  int32_t nant;
  uint8_t *pairs; /* [nant][nant] 1: the baseline is in the list, in this order */
  sheaf_select *rest;
} sheaf_flag_filter;

typedef struct sheaf_flag_filter_options {
  sheaf_select_ms *ms; /* the MS of vis; not for a calibration table */
  int list;                  /* one of several commands */
  int lenient; /* an antenna, field or spw that the MS lacks is no mistake, but makes it empty; *err
                  says which */
} sheaf_flag_filter_options;

/* Why a command can select nothing: it names channels behind the last ones only, of which a warning
 * has told. */
enum { SHEAF_FLAG_NO_CHANNELS = 2 };

/* Compiles the selection parameters and autocorr of a command. *empty: 1 when it can select nothing,
 * SHEAF_FLAG_NO_CHANNELS when because of its channels; ranges behind the last channel are dropped. */
int sheaf_flag_filter_compile(const sheaf_flag_vis *vis, const json_t *par,
                              const sheaf_flag_filter_options *options, json_t **value, int *empty,
                              sheaf_error *err);
/* The filter of a compiled value; "needs" of SHEAF_ROWS_TIME and so on in *columns. */
int sheaf_flag_filter_make(sheaf_flag_filter *filter, const sheaf_flag_vis *vis,
                           const json_t *value, unsigned *columns, sheaf_error *err);
void sheaf_flag_filter_free(sheaf_flag_filter *filter);
/* 1 when every row passes. */
int sheaf_flag_filter_all(const sheaf_flag_filter *filter);
/* keep[i] = 1 for the rows that pass, else 0. Returns how many, or an error; after 0, keep may be as
 * it was. */
int64_t sheaf_flag_filter_test(const sheaf_flag_filter *filter, const sheaf_flag_vis *vis,
                               const sheaf_flag_rows *rows, uint8_t *keep, sheaf_error *err);

#endif

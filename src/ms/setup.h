/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * setup.h - windows, polarizations and data descriptions of an MS in memory. */
#ifndef SHEAF_MS_SETUP_H
#define SHEAF_MS_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/describe.h"
#include "table/table.h" /* element types */

typedef struct sheaf_window {
  int64_t nchan;
  double *freq_hz;     /* CHAN_FREQ [nchan] */
  double bandwidth_hz; /* mean of EFFECTIVE_BW over the channels; 0 when the MS does not tell */
} sheaf_window;

typedef struct sheaf_polarization {
  size_t ncorr;
  int32_t *corr_type; /* Stokes numbers: 5 RR, 6 RL, 7 LR, 8 LL, 9 XX, 10 XY, 11 YX, 12 YY */
} sheaf_polarization;

typedef struct sheaf_setup {
  size_t nspw, npol, nddid, nobservation, nfield;
  sheaf_window *spw;
  sheaf_polarization *pol;
  int32_t *spw_of, *pol_of; /* [nddid], checked to be in range */
} sheaf_setup;

/* SHEAF_ERR_DATA when a data description leads nowhere. */
int sheaf_setup_read(sheaf_setup *setup, const char *ms_path, sheaf_error *err);
void sheaf_setup_free(sheaf_setup *setup);

/* Names of the fields as a list of texts, NULL-terminated; free with sheaf_setup_names_free. */
int sheaf_setup_field_names(const char *ms_path, char ***names, size_t *n, sheaf_error *err);
void sheaf_setup_names_free(char **names);

/* 1 when the main table at `path` has the column, 0 when not, or an error. */
int sheaf_setup_has_column(const char *path, const char *column, sheaf_error *err);
/* Rows of the main table. */
int sheaf_setup_nrow(const char *path, int64_t *nrow, sheaf_error *err);
/* 1 when every cell of the column is defined, else 0. */
int sheaf_setup_column_full(const char *path, const char *column, sheaf_error *err);

#endif

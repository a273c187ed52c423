/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vis.h - what flagging knows of an MS, a Multi-MS or a calibration table: its members, windows,
 * correlations, and names.
 *
 * The client reads it once; units get all but the names as a value. A row of the whole has a member
 * and a row number there. */
#ifndef SHEAF_FLAG_VIS_H
#define SHEAF_FLAG_VIS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct sheaf_flag_vis {
  char *path;
  int cal;        /* a calibration table: no DATA_DESC_ID but SPECTRAL_WINDOW_ID, no FLAG_ROW */
  size_t nmember; /* a plain MS has one, itself */
  char **member;
  int64_t *first; /* [nmember + 1] rows before each member */
  size_t nddid, nspw, npol;
  int32_t *spw_of, *pol_of; /* [nddid] */
  int64_t *nchan;           /* [nspw] */
  size_t *ncorr;            /* [npol] */
  int32_t **corr;           /* [npol][ncorr] Stokes codes, or SHEAF_FLAG_SOL1… */
  /* on the client only */
  size_t nfield, nantenna;
  char **field, **antenna; /* names */
  size_t nprocessor;
  uint8_t *processor; /* [nprocessor] whether it is a correlator */
} sheaf_flag_vis;

/* SHEAF_ERR_NOTFOUND, SHEAF_ERR_DATA for what is no MS and no calibration table. */
int sheaf_flag_vis_read(sheaf_flag_vis *vis, const char *path, sheaf_error *err);
json_t *sheaf_flag_vis_value(const sheaf_flag_vis *vis);
int sheaf_flag_vis_from_value(sheaf_flag_vis *vis, const json_t *value, sheaf_error *err);
void sheaf_flag_vis_free(sheaf_flag_vis *vis);

/* The id of an antenna by its exact name; -1 when there is none. */
int32_t sheaf_flag_vis_antenna(const sheaf_flag_vis *vis, const char *name);
/* Correlations of all rows of POLARIZATION, one after the other; *list is allocated. */
int sheaf_flag_vis_corrs(const sheaf_flag_vis *vis, int32_t **list, size_t *n, sheaf_error *err);
/* 1 when the main table has the column (in its first member). */
int sheaf_flag_vis_has(const sheaf_flag_vis *vis, const char *column, sheaf_error *err);

#endif

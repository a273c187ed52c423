/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * components.h - the virtual models of an MS (table/model.h) read as components: points, Gaussians
 * and disks with their spectra, as they are seen from a field in a window.
 *
 * A model belongs to fields; its lists of components each belong to combinations of field, spectral
 * window, scan and state. Models made of images, and what moves, are read, but not to be had. A
 * handle may be asked by several threads, and for several MSs with equal models and
 * sub-tables. */
#ifndef SHEAF_TABLE_COMPONENTS_H
#define SHEAF_TABLE_COMPONENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_skymodel sheaf_skymodel;

/* A component in a direction, towards which uvw are turned (kernel/components.h). */
typedef struct sheaf_sky_component {
  int shape; /* 0 point, 1 Gaussian, 2 disk */
  double major_rad, minor_rad, angle_rad;
  double rotation[3][3], path[3];
  double *flux; /* [nchan][ncorr][2] Jy */
} sheaf_sky_component;

/* Where and in which correlations a model is seen. */
typedef struct sheaf_sky_view {
  const char *ms; /* for messages */
  int32_t field, spw;
  const int32_t *corr; /* [ncorr] Stokes codes */
  size_t ncorr;
} sheaf_sky_view;

/* Reads the models of a plain MS, or a member of a Multi-MS. Directions of different types are
 * converted for the time of the first row of `first`, the first member (or `ms` itself), so that
 * all members see one sky. */
int sheaf_skymodel_open(sheaf_skymodel **model, const char *ms, const char *first,
                        sheaf_error *err);
void sheaf_skymodel_close(sheaf_skymodel *model);

/* Fields that have a model, ascending; *n of them. */
const int32_t *sheaf_skymodel_fields(const sheaf_skymodel *model, size_t *n);
/* Whether directions are converted for the time of the first row of `first`. */
int sheaf_skymodel_timed(const sheaf_skymodel *model);
/* SHEAF_ERR_DATA with the reason and `ms`, when something of the field's model cannot be evaluated.
 */
int sheaf_skymodel_check(const sheaf_skymodel *model, const char *ms, int32_t field,
                         sheaf_error *err);

/* Which components rows have: in *number what sheaf_skymodel_components takes, or
 * SHEAF_SKYMODEL_NONE where the field has no model, SHEAF_SKYMODEL_ELSEWHERE where it has one, but
 * for other rows. SHEAF_ERR_DATA as sheaf_skymodel_check. */
enum { SHEAF_SKYMODEL_NONE = -1, SHEAF_SKYMODEL_ELSEWHERE = -2 };
typedef struct sheaf_sky_place {
  const char *ms; /* for messages */
  int32_t field, spw, scan, state;
} sheaf_sky_place;
int sheaf_skymodel_find(const sheaf_skymodel *model, const sheaf_sky_place *place, int *number,
                        sheaf_error *err);

/* How many components that number has, and channels the view's window. SHEAF_ERR_DATA for a window
 * that the MS lacks. */
int sheaf_skymodel_size(const sheaf_skymodel *model, int number, const sheaf_sky_view *view,
                        size_t *n, int64_t *nchan, sheaf_error *err);
/* Some of them. */
typedef struct sheaf_sky_part {
  size_t first, n;
  int64_t chan, nchan;
} sheaf_sky_part;
/* Components of that number, and the frequencies [Hz] of these channels; to be given back. */
int sheaf_skymodel_components(const sheaf_skymodel *model, int number, const sheaf_sky_view *view,
                              const sheaf_sky_part *part, sheaf_sky_component **list,
                              double **freq_hz, sheaf_error *err);
void sheaf_sky_components_free(sheaf_sky_component *list, size_t n, double *freq_hz);

#ifdef __cplusplus
}
#endif
#endif

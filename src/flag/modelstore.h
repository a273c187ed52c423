/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * modelstore.h - virtual models of this process: each distinct content is read once, and what is
 * sampled of it (components at a window's channels) lies in tables that all threads share.
 *
 * The members of a Multi-MS have copies of SOURCE; those with equal contents of SOURCE, FIELD,
 * SPECTRAL_WINDOW and ANTENNA are one. Tables take at most 1/32 of the memory budget together, and
 * 16 MiB; those used longest ago go first, and what does not fit gets none. Thread-safe. */
#ifndef SHEAF_FLAG_MODELSTORE_H
#define SHEAF_FLAG_MODELSTORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/components.h"
#include "table/components.h"

typedef struct sheaf_modelstore_sky sheaf_modelstore_sky;

/* The models of `ms` (as sheaf_skymodel_open). */
int sheaf_modelstore_open(sheaf_modelstore_sky **sky, const char *ms, const char *first,
                          sheaf_error *err);
/* Lets go of it; it may be kept for who asks next. */
void sheaf_modelstore_close(sheaf_modelstore_sky *sky);
/* Borrowed. */
const sheaf_skymodel *sheaf_modelstore_model(const sheaf_modelstore_sky *sky);

/* Components, sampled. */
typedef struct sheaf_model_part {
  sheaf_sky_component *sky;
  double *freq_hz;
  sheaf_component *component;
  sheaf_component_setup setup;
} sheaf_model_part;
/* Samples some of the components of a number (table/components.h). */
int sheaf_model_part_make(sheaf_model_part *part, const sheaf_skymodel *model, int number,
                          const sheaf_sky_view *view, const sheaf_sky_part *which,
                          sheaf_error *err);
void sheaf_model_part_free(sheaf_model_part *part);
/* Bytes of a part. */
size_t sheaf_model_part_bytes(size_t n, int64_t nchan, size_t ncorr);

typedef struct sheaf_model_table {
  sheaf_model_part part;
  int varies;
  float *same; /* [nchan][ncorr][2] where rows do not vary */
} sheaf_model_table;

/* The table of a number; NULL in *table where it does not fit. To be given back. */
int sheaf_modelstore_table(sheaf_modelstore_sky *sky, int number, const sheaf_sky_view *view,
                           const sheaf_model_table **table, sheaf_error *err);
void sheaf_modelstore_give(const sheaf_model_table *table);

#endif

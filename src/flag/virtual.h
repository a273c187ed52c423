/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtual.h - MODEL of rows whose model is virtual (table/components.h): components, evaluated.
 *
 * As in CASA a virtual model of a field wins against the column MODEL_DATA, and what neither a
 * model nor the column tells of is 1 Jy at the phase centre. A handle belongs to one thread and
 * borrows vis. */
#ifndef SHEAF_FLAG_VIRTUAL_H
#define SHEAF_FLAG_VIRTUAL_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "flag/vis.h"
#include "ms/colreader.h"
#include "table/table.h"

typedef struct sheaf_flag_virtual sheaf_flag_virtual;

int sheaf_flag_virtual_open(sheaf_flag_virtual **models, const sheaf_flag_vis *vis,
                            sheaf_error *err);
void sheaf_flag_virtual_close(sheaf_flag_virtual *models);

/* 1 when some member has a virtual model, else 0. SHEAF_ERR_DATA when one of the fields of the
 * array (NULL: of all) cannot be evaluated. */
int sheaf_flag_virtual_check(sheaf_flag_virtual *models, const json_t *fields, sheaf_error *err);

/* Rows of one member and data description. */
typedef struct sheaf_flag_virtual_rows {
  size_t member;
  const sheaf_table *table;            /* of the member */
  const int64_t *row;                  /* [n] */
  const int32_t *field, *scan, *state; /* [n], NULL: they are read */
  int64_t n;
  int32_t spw, pol;
  int64_t nchan, ncorr;
  int column; /* `model` has what MODEL_DATA says */
  int many;   /* members: files do not stay open */
} sheaf_flag_virtual_rows;

/* model[n][nchan][ncorr][2] of these rows. */
int sheaf_flag_virtual_fill(sheaf_flag_virtual *models, const sheaf_flag_virtual_rows *rows,
                            float *model, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vconcat.h - virtual concatenation: several MSs or Multi-MSs become one Multi-MS.
 *
 * First a plan, from metadata only: order, members, what does not fit together. Then the Multi-MS
 * is built in a directory of its own from copies (or, where their bytes provably stay as they are,
 * hard links); the inputs are never written. The caller publishes the directory and removes the
 * inputs if they are not to be kept. One thread at a time. */
#ifndef SHEAF_MS_VCONCAT_H
#define SHEAF_MS_VCONCAT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct sheaf_vconcat sheaf_vconcat;

/* Looks at n inputs; `weights` has a factor for each, or is NULL. They are ordered by their first
 * TIME, and Multi-MSs are replaced by their sub-MSs in the order of their names. Differences that
 * matter little are logged as warnings. SHEAF_ERR_ARG when an input has no rows or occurs twice, or
 * main tables have different columns (but for MODEL_DATA and CORRECTED_DATA), SHEAF_ERR_DATA when
 * one is no MS. */
int sheaf_vconcat_plan(sheaf_vconcat **plan, const char *const *vis, const double *weights,
                       size_t n, sheaf_error *err);
void sheaf_vconcat_free(sheaf_vconcat *plan);

/* Rows of all inputs, and how many sub-MSs there will be. */
int64_t sheaf_vconcat_nrow(const sheaf_vconcat *plan);
size_t sheaf_vconcat_nmember(const sheaf_vconcat *plan);

typedef struct sheaf_vconcat_options {
  const char *freqtol; /* text with a unit, or a number of Hz; "": 1 Hz */
  const char *dirtol;  /* text with a unit, or a number of radians; "": 1 mas */
  int respectname;     /* fields of different names stay apart */
  int copypointing;    /* 0: POINTING is emptied */
  int may_link;        /* the inputs will be removed: bulk data need not be copied */
  const char *task;    /* for HISTORY, with */
  const json_t *params;
} sheaf_vconcat_options;

/* SHEAF_ERR_ARG when a tolerance cannot be read. */
int sheaf_vconcat_check(const sheaf_vconcat_options *options, sheaf_error *err);

/* Builds the Multi-MS in the existing empty directory `path`, and proves that it is sound and has
 * all rows. */
int sheaf_vconcat_build(sheaf_vconcat *plan, const char *path, const sheaf_vconcat_options *options,
                        sheaf_error *err);

#endif

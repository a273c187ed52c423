/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copier.h - the main table of an MS from selected rows of others: the work of one unit of
 * partition.
 *
 * The client decides once which columns and cells are wanted (sheaf_copyplan), and reads the
 * scalars of all selected rows into record files (ms/rowrecords.h); a unit is told which stretch of
 * them is whose. Rows come out sorted by observation, array, scan, state, field, data description
 * and time (stable), as CASA's do. Array columns go from tile file to tile file in the order of the
 * input, block by block, so the input is read once, from front to back, also when its rows go to
 * several outputs; memory depends neither on the size of the MS nor on the number of its rows.
 * Source of the weight rules: CASA docs, "Data weights". */
#ifndef SHEAF_MS_COPIER_H
#define SHEAF_MS_COPIER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/reindex.h"
#include "ms/rowrecords.h"

/* How the cells of an output column come about. */
typedef enum sheaf_role {
  SHEAF_ROLE_SCALAR, /* numbers, ids renumbered */
  SHEAF_ROLE_CELLS,  /* anything that only casacore can move (texts, arrays of texts) */
  SHEAF_ROLE_ARRAY,  /* numeric arrays, as they are */
  SHEAF_ROLE_CUBE,   /* (corr, chan): channel and correlation selection */
  SHEAF_ROLE_CORR    /* (corr): correlation selection */
} sheaf_role;

typedef enum sheaf_convert {
  SHEAF_CONVERT_NONE,
  SHEAF_CONVERT_WEIGHT, /* 1/x^2 of a sigma; 0 when x <= FLT_MIN */
  SHEAF_CONVERT_SIGMA   /* 1/sqrt(x) of a weight; -1 when x <= FLT_MIN */
} sheaf_convert;

typedef struct sheaf_copycolumn {
  char source[64];  /* column that is read */
  char pattern[64]; /* column whose description is used */
  char name[64];    /* column that is written */
  sheaf_role role;
  sheaf_convert convert;
  int spread; /* a CORR source is repeated for each channel, giving a CUBE */
  int ndim;   /* axes of the cells, where the description leaves that open; else 0 */
} sheaf_copycolumn;

typedef struct sheaf_copyplan {
  size_t ncolumn;
  sheaf_copycolumn *column;
  sheaf_reindex reindex;
} sheaf_copyplan;

/* Chooses the columns for CASA's `datacolumn`. `ms` is the input, MS or Multi-MS.
 * SHEAF_ERR_ARG or _NOTFOUND when a requested data column does not exist. Leaves plan->reindex
 * alone. */
int sheaf_copyplan_columns(sheaf_copyplan *plan, const char *ms, const char *datacolumn,
                           sheaf_error *err);
void sheaf_copyplan_free(sheaf_copyplan *plan);
json_t *sheaf_copyplan_value(const sheaf_copyplan *plan);
int sheaf_copyplan_from_value(sheaf_copyplan *plan, const json_t *value, sheaf_error *err);

/* The scalar columns that a plan copies, for sheaf_rowlayout_make; borrowed from it. *names is
 * allocated. */
int sheaf_copyplan_scalars(const sheaf_copyplan *plan, const char ***names, size_t *n,
                           sheaf_error *err);

/* One table to be written: the rows of these records (sheaf_rowkey.source is an index into the
 * inputs), which may be in any order. */
typedef struct sheaf_copyoutput {
  const char *path;
  const sheaf_recspan *rows;
  size_t nspan;
} sheaf_copyoutput;

typedef struct sheaf_copyjob {
  const sheaf_copyplan *plan;
  const sheaf_rowlayout *layout; /* of the records */
  const char *const *ms;         /* inputs: plain MSs, or anything that casacore opens as one */
  size_t nms;
  const int64_t *nrow; /* [nms] rows of each when the records were made */
  const sheaf_copyoutput *outputs;
  size_t noutput;
  const char *scratch; /* path for scratch files; some letters are added to it */
} sheaf_copyjob;

/* Writes the main tables. *ledgers (new reference) is a list, for each output
 * {"rows": n, "scans": […], "ddids": […], "columns": {name: checksum}}. An old output is replaced.
 * SHEAF_ERR_EMPTY when there is no row at all. May run on several threads at a time. */
int sheaf_copy_rows(const sheaf_copyjob *job, json_t **ledgers, sheaf_error *err);

/* A table that is no MS with all rows of the inputs, in their order (a flag version). */
int sheaf_copy_whole(const sheaf_copyplan *plan, const char *const *ms, size_t nms,
                     const char *path, sheaf_error *err);

#endif

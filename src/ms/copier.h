/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copier.h - the main table of an MS from selected rows of others: the work of one unit of
 * partition.
 *
 * The client decides once which columns and cells are wanted (sheaf_copyplan); a unit is told which
 * rows, by a row map, and where to write. Rows come out sorted by observation, array, scan, state,
 * field, data description and time (stable), as CASA's do. Bulk columns go from tile file to tile
 * file through one small buffer per column, so memory does not depend on the size of the MS but for
 * about 60 bytes per row of the unit. Source of the weight rules: CASA docs, "Data weights". */
#ifndef SHEAF_MS_COPIER_H
#define SHEAF_MS_COPIER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/reindex.h"

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

/* An input: a plain MS (or anything casacore opens as one) and its row map; NULL: all its rows. */
typedef struct sheaf_copysource {
  const char *ms;
  const char *rowmap;
} sheaf_copysource;

/* Writes the main table `out` with all rows of the sources that the maps give to `unit`. *ledger
 * (new reference) is
 * {"rows": n, "scans": […], "ddids": […], "columns": {name: checksum}}. SHEAF_ERR_EMPTY when there
 * is no such row (nothing is written then). An old `out` is replaced. When the first source has no
 * row map, all rows of all sources are copied in their order, into a table that is no MS (a flag
 * version). */
int sheaf_copy_rows(const sheaf_copyplan *plan, const sheaf_copysource *sources, size_t nsource,
                    uint32_t unit, const char *out, json_t **ledger, sheaf_error *err);

#endif

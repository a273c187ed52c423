/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rowrecords.h - the scalars of the selected rows of an MS, read once, in a scratch file.
 *
 * One record per row: a sheaf_rowkey (ids, time, row number), then the other numeric scalar columns
 * that the task copies. The client writes them in row order (sheaf_scans_read), groups them by unit
 * (ms/assign.h), and a unit finds all it must know of its rows in one stretch of the file: nothing
 * is read twice through casacore, and no memory grows with the number of rows. Records with the
 * same layout are exchanged between processes of one program only. */
#ifndef SHEAF_MS_ROWRECORDS_H
#define SHEAF_MS_ROWRECORDS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/recsort.h"

typedef struct sheaf_rowkey {
  int64_t row;   /* in its source */
  double time_s; /* TIME */
  int32_t observation, array, scan, state, field, ddid, antenna1, antenna2;
  int32_t source; /* which input */
  int32_t unused;
} sheaf_rowkey;

/* Where a column's value lies in a record, in the column's own type (table/table.h). */
typedef struct sheaf_rowfield {
  char name[64];
  int type;
  size_t size, offset;
  int in_key; /* part of sheaf_rowkey */
} sheaf_rowfield;

typedef struct sheaf_rowlayout {
  size_t size; /* of a record, a multiple of 8 */
  size_t nfield;
  sheaf_rowfield *field;
} sheaf_rowlayout;

/* Layout for the named columns (numeric scalars) of an MS; n may be 0: keys only.
 * SHEAF_ERR_NOTFOUND, SHEAF_ERR_DATA when one is not such a column. */
int sheaf_rowlayout_make(sheaf_rowlayout *layout, const char *ms, const char *const *columns,
                         size_t n, sheaf_error *err);
void sheaf_rowlayout_free(sheaf_rowlayout *layout);
/* The field of a column; NULL when it has none. */
const sheaf_rowfield *sheaf_rowlayout_find(const sheaf_rowlayout *layout, const char *column);
json_t *sheaf_rowlayout_value(const sheaf_rowlayout *layout);
int sheaf_rowlayout_from_value(sheaf_rowlayout *layout, const json_t *value, sheaf_error *err);

/* Order of the rows of a sub-MS: observation, array, scan, state, field, data description, time;
 * equal ones as they came (source, row). For sheaf_recsort. */
int sheaf_rowkey_compare(const void *a, const void *b);

/* Where sheaf_scans_read puts the records of the rows it counts. */
typedef struct sheaf_rowsink {
  const sheaf_rowlayout *layout;
  sheaf_recwriter writer;
  int32_t source;
} sheaf_rowsink;

#endif

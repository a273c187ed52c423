/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * refms.h - a Multi-MS (or MS) without data of its own: its rows are those of another MS.
 *
 * Every sub-MS is a reference table (table/reftable.h). The way to the table with the data goes
 * through one relative link, SUBMSS/INPUT (INPUT in a plain MS), so that both can be moved
 * together, and one link must be put right when only one of them is moved. Sub-tables are those of
 * the input, reached through links. What is written to such an MS is written to the input. */
#ifndef SHEAF_MS_REFMS_H
#define SHEAF_MS_REFMS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/rowrecords.h"
#include "table/reftable.h"

#define SHEAF_REFMS_LINK "INPUT"

/* Rows of one source (ms/rowrecords.h), in the order that they shall have. */
typedef struct sheaf_refspan {
  size_t source;
  sheaf_recspan records;
} sheaf_refspan;

/* A sub-MS. */
typedef struct sheaf_refunit {
  char name[256];
  int64_t nrow; /* of all spans */
  size_t nspan;
  const sheaf_refspan *span;
} sheaf_refunit;

typedef struct sheaf_refms {
  const char *vis;     /* the input, MS or Multi-MS */
  char *const *source; /* [nsource] its members, or itself */
  size_t nsource;
  size_t record_size;                /* of the records */
  const struct sheaf_copyplan *plan; /* which data columns, and their names */
  const char *place;                 /* the directory to be filled, empty so far */
  const char *final;                 /* where it will be when it is published */
  int multi;        /* 1: a Multi-MS, rows of a unit are of one source; 0: one MS of all sources */
  const char *axis; /* AxisType of a Multi-MS */
  size_t nunit;
  const sheaf_refunit *unit;
} sheaf_refms;

/* Builds it. Appends one ledger entry per unit to `members`: {"name", "rows", "scans", "ddids",
 * "rowlist": checksum of the row numbers, "columns": {checksums of ids and TIME}}. The input is
 * only read. Files are not synced. */
int sheaf_refms_build(const sheaf_refms *rq, json_t *members, sheaf_error *err);

/* 0, or SHEAF_ERR_NOTFOUND when `vis` refers to rows of an MS that is not there. */
int sheaf_refms_check(const char *vis, sheaf_error *err);

/* For tasks that write in place: 1 and the real path of the table whose values they would change
 * when `path` holds none of its own, 0 and the path itself when it does. */
int sheaf_refms_target(const char *path, char *target, size_t size, sheaf_error *err);

/* Compares the row numbers of the sub-MS at `path` with the ledger's. 1 when they agree, or when
 * the entry has none; 0 when they do not. */
int sheaf_refms_check_rows(const char *path, const json_t *entry, sheaf_error *err);

#endif

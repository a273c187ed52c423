/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reftable.h - tables without data of their own, that refer to rows of another (casacore's
 * RefTable).
 *
 * TaQL and CASA save selections so, and partition(copydata=False) makes sub-MSs of them. Files are
 * read and written here without casacore, so that a thousand cost no more than their bytes. The
 * table that is referred to may be a reference table as well; sheaf_reftable_resolve follows the
 * chain down to the one that has the data. Nothing is shared; a sheaf_reftable is read-only once
 * made. */
#ifndef SHEAF_TABLE_REFTABLE_H
#define SHEAF_TABLE_REFTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sheaf_table_kind {
  SHEAF_KIND_NONE,   /* no table, or an unreadable one */
  SHEAF_KIND_PLAIN,  /* has data */
  SHEAF_KIND_REF,    /* refers to rows of another */
  SHEAF_KIND_CONCAT, /* members one behind the other */
  SHEAF_KIND_OTHER
} sheaf_table_kind;

/* What table.dat says; nothing is opened but that file. */
sheaf_table_kind sheaf_table_kind_of(const char *path);

/* A column and what it is called in the table referred to. casacore passes over columns that the
 * other does not have (yet). */
typedef struct sheaf_refcolumn {
  char *name, *source;
} sheaf_refcolumn;

typedef struct sheaf_reftable {
  char *root;        /* the table referred to, absolute */
  int64_t root_nrow; /* rows that it had */
  int64_t nrow;
  int64_t *row; /* [nrow] rows of root */
  int ascending;
  size_t ncolumn;
  sheaf_refcolumn *column; /* [ncolumn], in the table's order */
} sheaf_reftable;

/* Reads the table at `path`; the table referred to need not exist. SHEAF_ERR_NOTFOUND when there is
 * no table, SHEAF_ERR_DATA when it is of another kind or its table.dat is damaged. */
int sheaf_reftable_read(sheaf_reftable *ref, const char *path, sheaf_error *err);
/* As above, but root is the first table of the chain that is no reference table (plain or
 * concatenated), and rows and columns are its. SHEAF_ERR_NOTFOUND when a table of the chain is not
 * there; the message says where it is looked for. SHEAF_ERR_DATA for a row that the root does not
 * have, and for a chain without end. */
int sheaf_reftable_resolve(sheaf_reftable *ref, const char *path, sheaf_error *err);
void sheaf_reftable_free(sheaf_reftable *ref);
/* Name of a column in the root; NULL when the table does not have it. */
const char *sheaf_reftable_source(const sheaf_reftable *ref, const char *column);

/* 1 and in *err what to tell, when the table at `path`, or the first member of the concatenated
 * table there, refers to rows of a table that is not there, or to itself; else 0. */
int sheaf_reftable_orphaned(const char *path, sheaf_error *err);

/* The directory in which the sub-tables of the MS `path` lie: of a reference table without any of
 * its own, that is the table which it refers to. SHEAF_ERR_ARG when it does not fit. */
int sheaf_reftable_subtable(const char *path, const char *name, char *out, size_t size,
                            sheaf_error *err);

/* A table.dat to be written. */
typedef struct sheaf_refdraft {
  const char *root; /* as it is to be stored; "./x" lies beside the table, "././x" in it */
  int64_t root_nrow;
  const sheaf_refcolumn *column;
  size_t ncolumn;
  const uint8_t *rows; /* [nrow] row numbers, big endian: 4 bytes each, or 8 with `wide` */
  int64_t nrow;
  int wide; /* needed when nrow, root_nrow or a row number is 2^32-1 or more */
  int ascending;
} sheaf_refdraft;

/* Writes path/table.dat, which must not exist; the directory exists. Not synced. */
int sheaf_reftable_write(const char *path, const sheaf_refdraft *draft, sheaf_error *err);

/* Makes the reference table at `path` name these columns of the table that it refers to, too, under
 * the same names; table.dat is replaced by one rename. Those that it has stay as they are. */
int sheaf_reftable_show(const char *path, const char *const *columns, size_t n, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tiles_dat.h - what table.dat says of columns, their data managers and hypercolumns.
 *
 * Internal to the tile layer. A description is made from bytes in memory, into which its texts
 * point; nothing in it is trusted before sheaf_dat_load has returned 0. */
#ifndef SHEAF_TABLE_TILES_DAT_H
#define SHEAF_TABLE_TILES_DAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/aipsio.h"

typedef struct sheaf_dat_column {
  sheaf_aips_text name;
  int type, is_array, ndim; /* type: SHEAF_TILES_*, or another code of casacore's */
  uint32_t seq;             /* its data manager's number */
} sheaf_dat_column;

typedef struct sheaf_dat_manager {
  sheaf_aips_text type;
  uint32_t seq;
} sheaf_dat_manager;

typedef struct sheaf_dat_names {
  uint64_t n;
  sheaf_aips_text *name;
} sheaf_dat_names;

/* A Hypercolumn_... definition of the private keywords. */
typedef struct sheaf_dat_hyper {
  sheaf_aips_text name;
  sheaf_dat_names data, coord, id;
} sheaf_dat_hyper;

/* What table.dat says, as far as it matters here. */
typedef struct sheaf_dat {
  int big_endian;
  const char *unknown; /* why this kind of table is not handled, or NULL */
  uint64_t ncolumn, nmanager, nhyper;
  sheaf_dat_column *columns;
  sheaf_dat_manager *managers;
  sheaf_dat_hyper *hypers;
  int nomem;
} sheaf_dat;

/* Reads table.dat and finds the column `name`: 0, SHEAF_TILES_UNKNOWN (err says why), or
 * SHEAF_ERR_DATA, SHEAF_ERR_NOTFOUND, SHEAF_ERR_NOMEM. `path` is for messages. *dat is to be freed
 * with sheaf_dat_fini in every case. */
int sheaf_dat_load(sheaf_dat *dat, const void *bytes, size_t n, const char *path, const char *name,
                   const sheaf_dat_column **found, sheaf_error *err);
void sheaf_dat_fini(sheaf_dat *dat);

/* Bytes of an element of casacore's type code, 0 for bool and for what tiles do not hold. */
size_t sheaf_dat_element_size(int type);
/* 1 for a type that tiles hold (SHEAF_TILES_*), else 0. */
int sheaf_dat_is_number(int type);

#endif

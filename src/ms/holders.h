/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * holders.h - the tables that hold the rows of an MS, and which of their rows those are.
 *
 * An MS or Multi-MS may refer to rows of another (table/reftable.h), also through several steps and
 * through a Multi-MS; what is written to it is written to the tables at the end of the way. A
 * sheaf_holders owns all it points to and is read-only once made. Memory: one bit per row of a
 * holder that is not used whole. */
#ifndef SHEAF_MS_HOLDERS_H
#define SHEAF_MS_HOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct sheaf_holder {
  char *path;      /* of a plain MS, absolute; links resolved where it is referred to */
  int64_t nrow;    /* of that MS; -1 where nothing is referred to: nobody counted */
  int whole;       /* all its rows */
  int64_t nwanted; /* rows that are meant; nrow where `whole` */
  uint8_t *rows;   /* bit r%8 of byte r/8 is 1 for a row that is meant; NULL where `whole` */
} sheaf_holder;

typedef struct sheaf_holders {
  size_t n;
  sheaf_holder *holder; /* [n], each table once, in the order of the MS */
  size_t nreference;
  char **reference; /* [nreference] reference tables on the way, those of the MS first */
  /* Of a reference table on the way that calls a column otherwise than the table referred to: the
   * two names; NULL when none does. */
  char *renamed, *renamed_source;
} sheaf_holders;

/* An MS that refers to no other has its members, links unresolved, as holders.
 * SHEAF_ERR_NOTFOUND when there is no MS, or it refers to one that is not there. */
int sheaf_holders_find(sheaf_holders *holders, const char *vis, sheaf_error *err);
void sheaf_holders_free(sheaf_holders *holders);
/* Adds a holder none of whose rows are meant, at the end; nothing when the table is among them. */
int sheaf_holders_add_unused(sheaf_holders *holders, const char *path, sheaf_error *err);

#endif

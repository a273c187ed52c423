/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagrestore.h - puts saved flags back: what the client checks, and what a unit does.
 *
 * The client prepares once: it finds the version, proves that its rows are those of the table (by
 * ms/rowids.h; a version of CASA's has no fingerprints, and counts row by row), and that cells have
 * the same shapes. Only then units write. A unit is idempotent, also with `and` and `or`; each flag
 * is old or new at any instant. */
#ifndef SHEAF_MS_FLAGRESTORE_H
#define SHEAF_MS_FLAGRESTORE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum sheaf_merge {
  SHEAF_MERGE_REPLACE, /* the saved flags */
  SHEAF_MERGE_AND,     /* flagged now and when saved */
  SHEAF_MERGE_OR       /* flagged now or when saved */
} sheaf_merge;

/* Checks everything; *common (new reference) is for units. `scratch`: an existing directory that
 * all units see, for a file of row numbers. SHEAF_ERR_NOTFOUND: no such version; SHEAF_ERR_ARG: it
 * is of other rows; nothing has changed then. */
int sheaf_flagrestore_prepare(json_t **common, const char *vis, const char *name, sheaf_merge merge,
                              const char *const *members, size_t n, const char *scratch,
                              sheaf_error *err);
/* Restores `column`, FLAG or FLAG_ROW, of rows row0..row0+nrow-1 of a member. *changed: rows that
 * were written. */
int sheaf_flagrestore_rows(const json_t *common, const char *column, const char *member,
                           int64_t row0, int64_t nrow, int64_t *changed, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagversions.h - saved copies of the flags beside an MS, as CASA keeps them.
 *
 * <ms>.flagversions/FLAG_VERSION_LIST has one line "name : comment" per version;
 * <ms>.flagversions/flags.<name> is a table with FLAG and FLAG_ROW of every row, in the order of
 * the MS or Multi-MS. */
#ifndef SHEAF_MS_FLAGVERSIONS_H
#define SHEAF_MS_FLAGVERSIONS_H

#include <stddef.h>

#include "base/error.h"

/* Makes the new directory `versions` with one version of all flags of the members (in order). */
int sheaf_flagversions_create(const char *versions, const char *name, const char *comment,
                              const char *const *members, size_t n, sheaf_error *err);

/* A versions directory that is published before its MS carries a mark until both are there; these
 * handle a process that died in between. sweep removes a marked directory whose MS does not exist
 * (SHEAF_ERR_EXISTS when a task may still be making that); unmark makes it final. */
int sheaf_flagversions_mark(const char *versions, sheaf_error *err);
int sheaf_flagversions_unmark(const char *versions, sheaf_error *err);
int sheaf_flagversions_sweep(const char *ms_path, sheaf_error *err);

#endif

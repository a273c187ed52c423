/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagversions.h - saved copies of the flags beside an MS, as CASA keeps them.
 *
 * <ms>.flagversions/FLAG_VERSION_LIST has one line "name : comment" per version;
 * <ms>.flagversions/flags.<name> is a table with FLAG and FLAG_ROW of every row, in the order of
 * the MS or Multi-MS. Beside its files lies sheaf.rows, which CASA ignores: fingerprints of the
 * rows (ms/rowids.h), so that a version can be restored where the same rows lie in another order.
 *
 * Killed at any instant: the list names only versions that are whole. What a dead task leaves are
 * hidden directories, which the next one removes, or a whole version that the list does not name. A
 * version is never changed once it is there. One process at a time changes the versions of an MS (a
 * lock on the directory): SHEAF_ERR_EXISTS for the others. Links in the MS's name are followed. */
#ifndef SHEAF_MS_FLAGVERSIONS_H
#define SHEAF_MS_FLAGVERSIONS_H

#include <stddef.h>
#include <stdint.h>

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

/* Where the versions of an MS are, whether they exist or not. */
int sheaf_flagversions_path(const char *vis, char *path, size_t size, sheaf_error *err);

typedef struct sheaf_flagversion {
  char *name, *comment;
  int exists; /* its table is there */
} sheaf_flagversion;

/* The versions in the order of the list; n = 0 when there is none. Reads only. */
int sheaf_flagversions_list(const char *vis, sheaf_flagversion **list, size_t *n, sheaf_error *err);
void sheaf_flagversions_free(sheaf_flagversion *list, size_t n);

/* Saves the flags of the MS, Multi-MS or calibration table as a new version. An existing one of
 * that name becomes "<name>.old.<unix time>" and keeps its comment. SHEAF_ERR_ARG for a name that
 * CASA cannot keep (empty, 'main', with '/', ':', '$' or control characters). After a failure
 * nothing has changed. */
int sheaf_flagversions_save(const char *vis, const char *name, const char *comment,
                            sheaf_error *err);
/* What tasks do before they change flags: saves "<task>_<i>" with the smallest i >= 1 that is free,
 * its comment "Flags autosave on YYYY-MM-DD hh:mm:ss". `name` gets the version's name. */
int sheaf_flagversions_backup(const char *vis, const char *task, char name[128], sheaf_error *err);
/* SHEAF_ERR_NOTFOUND when there is no such version. */
int sheaf_flagversions_delete(const char *vis, const char *name, sheaf_error *err);
/* SHEAF_ERR_NOTFOUND without `from`, SHEAF_ERR_EXISTS with `to`. */
int sheaf_flagversions_rename(const char *vis, const char *from, const char *to,
                              const char *comment, sheaf_error *err);

#endif

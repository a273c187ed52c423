/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rewrite.h - changes a small table (HISTORY, SOURCE) so that a death leaves it as before or as
 * after.
 *
 * casacore writes into its files in place, which can leave a table that no longer opens. Here a
 * copy of the table's directory is changed beside it and the two are exchanged by one rename. File
 * systems that cannot exchange (NFS) get two renames; a death between these is put right by
 * sheaf_rewrite_recover. One process at a time may rewrite a table. */
#ifndef SHEAF_MS_REWRITE_H
#define SHEAF_MS_REWRITE_H

#include "base/error.h"

/* Changes the table at `copy`. */
typedef int sheaf_rewrite_change(void *user, const char *copy, sheaf_error *err);

/* `path`: a plain table (links are followed); `change` works on a copy that then takes its place. A
 * failure leaves the table as it was. */
int sheaf_rewrite(const char *path, sheaf_rewrite_change *change, void *user, sheaf_error *err);
/* Puts right or removes what a dead sheaf_rewrite left beside the table at `path`. */
int sheaf_rewrite_recover(const char *path, sheaf_error *err);

#endif

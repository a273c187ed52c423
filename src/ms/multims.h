/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * multims.h - the Multi-MS on disk: telling, listing, making, checking.
 *
 * A Multi-MS is a concatenated table whose members (sub-MSs) are whole MSs in its directory SUBMSS.
 * The first member owns the sub-tables; the Multi-MS and the other members reach them through
 * relative links, except for the tables that every member has of its own (SOURCE and HISTORY). All
 * names inside are relative, so a Multi-MS may be moved or renamed, also while it is still being
 * built under a hidden name. Layout: CASA's. Nothing here keeps state; one process at a time may
 * change a Multi-MS. */
#ifndef SHEAF_MS_MULTIMS_H
#define SHEAF_MS_MULTIMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when `path` is a Multi-MS (SubType CONCATENATED and a concatenated table), else 0, also when
 * there is nothing. */
int sheaf_mms_is(const char *path);

/* Members in stored order as absolute paths, with links unresolved; a plain MS has one, itself.
 * *names ends in a NULL; free it with sheaf_mms_members_free. SHEAF_ERR_NOTFOUND when there is no
 * table. */
int sheaf_mms_members(const char *path, char ***names, size_t *n, sheaf_error *err);
void sheaf_mms_members_free(char **names);

/* The AxisType of table.info ("scan", "spw", "scan,spw", "baseline"); "" when there is none. */
int sheaf_mms_axis(const char *path, char *axis, size_t size, sheaf_error *err);
/* Replaces (with a warning) or prepends the AxisType line. */
int sheaf_mms_axis_set(const char *path, const char *axis, sheaf_error *err);

/* Names of the sub-tables of an MS: the last parts of the paths its keywords hold, without
 * SORTED_TABLE. Order of the keywords; free as members. */
int sheaf_mms_subtables(const char *path, char ***names, size_t *n, sheaf_error *err);

typedef struct sheaf_mms_options {
  const char *axis; /* AxisType; NULL or "" writes none */
  /* Sub-tables that every member has of its own, ended by NULL; NULL: SOURCE and HISTORY. */
  const char *const *own;
  int copy_own; /* copy them from the first member (CASA's way); 0: leave what each member has */
} sheaf_mms_options;

/* Turns the existing directory `path` into a Multi-MS of n >= 1 MSs, in this order. A member that
 * does not lie in path/SUBMSS yet is moved there (same file system). Members lose SORTED_TABLE and,
 * but for the first, their sub-tables, which become links to the first member's. Members must have
 * the same columns. Sub-tables that only a later member has stay in it. A failure leaves a
 * half-made directory: work in a stage. `options` NULL: no axis, SOURCE and HISTORY copied. */
int sheaf_mms_assemble(const char *path, const char *const *members, size_t n,
                       const sheaf_mms_options *options, sheaf_error *err);

/* Writes table.dat and table.info of the Multi-MS `path` whose n members, named so, lie in its
 * directory SUBMSS with nrow rows in all; they are not opened. The free text of table.info is that
 * of the first. */
int sheaf_mms_write(const char *path, const char *const *names, size_t n, int64_t nrow,
                    const char *axis, sheaf_error *err);

/* Makes the directory `path` a concatenated table of n tables, which are moved into path/subdir
 * under the last parts of their names. For sub-tables such as POINTING; the tables must have the
 * same columns. */
int sheaf_mms_join(const char *path, const char *subdir, const char *const *tables, size_t n,
                   sheaf_error *err);

/* Called per problem; `member` is the sub-MS's name, or "" for the Multi-MS itself. */
typedef void sheaf_mms_report(void *user, const char *member, const char *problem);

/* Checks the structure of a Multi-MS or a plain MS: members are there and open, their columns
 * agree, rows add up to the concatenated table's, links are relative and lead to tables inside,
 * sub-tables of keywords exist. Returns the number of problems, each reported; negative only when
 * `path` cannot be examined at all. */
int sheaf_mms_check(const char *path, sheaf_mms_report *report, void *user, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

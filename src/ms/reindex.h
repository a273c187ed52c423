/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reindex.h - sub-tables of an MS that keeps part of another, and the renumbering that follows.
 *
 * Selecting spectral windows, fields, antennas, … drops rows of the sub-tables; what is left is
 * numbered from 0 again, and the main table's ids follow. The rules are CASA's (mstransform with
 * reindex=True). A sheaf_reindex travels to the servers as a value (sheaf_reindex_value). */
#ifndef SHEAF_MS_REINDEX_H
#define SHEAF_MS_REINDEX_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/scans.h"
#include "table/select.h"

/* New id of each old one, -1 = dropped; to == NULL: ids stay. */
typedef struct sheaf_idmap {
  size_t n;
  int32_t *to;
} sheaf_idmap;

/* The part of a cell that is kept: channels in output order, correlations in output order. */
typedef struct sheaf_cellsel {
  int32_t nchan_in, ncorr_in;
  int32_t nchan, ncorr;
  int32_t *chan; /* [nchan], NULL: all */
  int32_t *corr; /* [ncorr], NULL: all */
} sheaf_cellsel;

typedef struct sheaf_reindex {
  sheaf_idmap spw, ddid, field, source, antenna, state, observation, array;
  size_t nddid;
  sheaf_cellsel *cell; /* [nddid], by old data description */
} sheaf_reindex;

/* Groups of spectral windows whose sub-MSs were to be consolidated (axis spw): FEED, SOURCE, … rows
 * come group by group, as CASA's consolidation leaves them. group[i] lists n[i] ids. */
typedef struct sheaf_spwgroups {
  size_t ngroup;
  const size_t *n;
  const int32_t *const *group;
} sheaf_spwgroups;

/* Works out the maps for a parsed selection. `groups` NULL: one group of what the selection names.
 * SHEAF_ERR_ARG for a selection that keeps 3 of 4 correlations. */
int sheaf_reindex_make(sheaf_reindex *map, const char *ms_path, const sheaf_selected *selected,
                       const sheaf_spwgroups *groups, sheaf_error *err);
void sheaf_reindex_free(sheaf_reindex *map);

/* Writes all sub-tables of `from` into the existing main table `to` and links them. Dangling
 * keywords are left out with a warning, and so are virtual models where ids change. */
int sheaf_reindex_subtables(const sheaf_reindex *map, const char *from, const char *to,
                            const sheaf_selected *selected, const sheaf_spwgroups *groups,
                            sheaf_error *err);

json_t *sheaf_reindex_value(const sheaf_reindex *map);
int sheaf_reindex_from_value(sheaf_reindex *map, const json_t *value, sheaf_error *err);

#endif

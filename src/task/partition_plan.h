/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * partition_plan.h - what a call of partition does, from metadata alone: which rows are selected,
 * which sub-MS each belongs to, and which sub-MSs are written together.
 *
 * Internal to partition.c, which fills in what the parameters say and owns and frees everything.
 * One thread. */
#ifndef SHEAF_TASK_PARTITION_PLAN_H
#define SHEAF_TASK_PARTITION_PLAN_H

#include "base/file.h"
#include "ms/assign.h"
#include "ms/copier.h"
#include "ms/reindex.h"
#include "task/selection.h"
#include "task/task.h"

enum { SHEAF_PARTITION_PATH = 4096 };

/* What one call works with. */
typedef struct sheaf_partition {
  sheaf_job *job;
  const json_t *par;
  int createmms, copydata;
  sheaf_axis axis;
  size_t wanted;
  int wanted_auto;
  /* absolute */
  char vis[SHEAF_PARTITION_PATH], output[SHEAF_PARTITION_PATH];
  char base[256]; /* name of the output */
  sheaf_stage stage;
  sheaf_selection_texts texts;
  /* inputs */
  int from_mms;
  char **source;
  size_t nsource;
  int64_t *source_rows;  /* [nsource] selected rows of each; NULL where they are shared out */
  int64_t *source_total; /* [nsource] rows of each */
  int64_t selected;      /* rows */
  int other_antennas;    /* rows have antennas that the parsed selection does not list */
  sheaf_rowlayout layout;
  /* output sub-MSs */
  size_t nunit;
  size_t *unit_source; /* [nunit] input MMS: which member; else NULL */
  int64_t *unit_rows;  /* [nunit] */
  int64_t *unit_bytes; /* [nunit] */
  size_t ngroup;       /* sub-MSs that are written together */
  size_t *group_first; /* [ngroup + 1] */
  sheaf_assignment assignment;
  sheaf_select *select; /* parsed against the input as a whole */
  sheaf_copyplan plan;
  char axis_text[64];
  json_t *members; /* ledger entries, in unit order */
  int subtables_rc;
  sheaf_error subtables_error;
} sheaf_partition;

/* Begins the stage, writes the records of the selected rows into it, and fills in all from `inputs`
 * to axis_text; job, par, parameters and texts are there. SHEAF_ERR_EMPTY when no row is selected;
 * SHEAF_ERR_ARG for a selection that the other parameters do not allow. After a failure the stage
 * may be open. */
int sheaf_partition_plan(sheaf_partition *p, sheaf_error *err);

/* The file with the records of a source, and that with those of the one source of several sub-MSs,
 * grouped by sub-MS. */
void sheaf_partition_records(const sheaf_partition *p, size_t source, char *out, size_t size);
void sheaf_partition_grouped(const sheaf_partition *p, char *out, size_t size);

/* The windows of each sub-MS, borrowed, on the spw axis; else NULL. */
const sheaf_spwgroups *sheaf_partition_windows(const sheaf_partition *p, sheaf_spwgroups *groups);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * records.h - the rows of a run in the order of CASA's buffers, in scratch files.
 *
 * The rows of all members are one table. Sorted by place (observation, array, scan, field, data
 * description) and time they are cut into buffers; sorted by buffer, baseline and time each
 * baseline's rows lie together. Units write the records of ranges of rows, each into a file of its own
 * (a part); the client puts them in order. It maps at most 64 MiB of them; where there are more, memory
 * is what recsort holds. */
#ifndef SHEAF_FLAG_RECORDS_H
#define SHEAF_FLAG_RECORDS_H

#include <stdint.h>

#include "base/error.h"
#include "base/recsort.h"
#include "flag/agent.h"
#include "flag/tables.h"
#include "flag/vis.h"

typedef struct sheaf_flag_record {
  double time, centroid; /* s */
  int64_t row;
  sheaf_flag_place place;
  int32_t member, buffer;
  int32_t ant1, ant2, state, processor;
  int32_t group; /* member of the buffers, where members have buffers of their own; else 0 */
} sheaf_flag_record;

typedef struct sheaf_flag_grouping {
  double ntime;     /* s; 0: whole */
  int combinescans; /* scans are no borders */
  int per_member;   /* members are */
} sheaf_flag_grouping;

/* Rows of a member; nrow < 0: to its end. */
typedef struct sheaf_flag_range {
  size_t member;
  int64_t row0, nrow;
} sheaf_flag_range;

/* Writes a record of every row of the ranges that one of the agents selects to a new file; *n of them.
 * place.scan is 0 with combinescans, `buffer` the row's own scan until buffers are numbered. */
int sheaf_flag_records_write(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                             const sheaf_flag_grouping *grouping, const sheaf_flag_range *ranges,
                             size_t nrange, const char *path, int64_t *n, sheaf_error *err);
/* Sorts records of whole files by place, time and row into the file `to`, unless they are: *sorted
 * (recsort.h). */
int sheaf_flag_records_by_time(const sheaf_recspan *parts, size_t npart, const char *to, int *sorted,
                               sheaf_error *err);

/* Rows of one buffer and whole baselines that are worked on together. */
typedef struct sheaf_flag_piece {
  int64_t first, n; /* in the order of buffers */
  int32_t buffer, field, ddid;
  int64_t bytes;
} sheaf_flag_piece;

/* A buffer is one piece where it takes at most `most` bytes, else it is cut between baselines. */
typedef struct sheaf_flag_limits {
  const int64_t *bytes; /* [nddid] of a row */
  int64_t most;
} sheaf_flag_limits;

typedef struct sheaf_flag_buffers {
  int64_t n;
  int numbers; /* the file holds numbers of records in the parts (recordset.h), which stay; 0: records, and
                  the parts are gone */
  sheaf_flag_piece *piece; /* [npiece], to be freed */
  size_t npiece;
} sheaf_flag_buffers;

/* Numbers the buffers of the records of all parts, and writes these in the order of buffer and baseline to
 * the file `to`. Where records take at most 64 MiB, and little of the budget, their order is made in
 * memory; else with files beside `to`. */
int sheaf_flag_records_buffers(const sheaf_recspan *parts, size_t npart,
                               const sheaf_flag_grouping *grouping, const sheaf_flag_limits *limits,
                               const char *to, sheaf_flag_buffers *buffers, sheaf_error *err);

#endif

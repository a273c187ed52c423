/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * records.h - the rows of a run in the order of CASA's buffers, in scratch files.
 *
 * The rows of all members are one table. Sorted by place (observation, array, scan, field, data
 * description) and time they are cut into buffers; sorted by buffer, baseline and time each
 * baseline's rows lie together. In memory are at most some 100 MiB of them; where there are more, what
 * recsort holds. */
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

/* Writes a record of every row that one of the agents selects to a new file; *n of them. */
int sheaf_flag_records_write(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                             const sheaf_flag_grouping *grouping, const char *path, int64_t *n,
                             sheaf_error *err);
/* Sorts by place, time and row into the file `to`, unless they are: *sorted (recsort.h). */
int sheaf_flag_records_by_time(const char *path, int64_t n, const char *to, int *sorted,
                               sheaf_error *err);
/* Writes the same records to the file `to`, with their buffers numbered in that order, sorted by buffer
 * and baseline. Where they take at most 64 MiB, and little of the budget, in memory; else with files beside `to`. */
int sheaf_flag_records_buffers(const sheaf_flag_vis *vis, const sheaf_flag_agents *agents,
                               const sheaf_flag_grouping *grouping, const char *to, int64_t *n,
                               sheaf_error *err);

/* Rows of one buffer and whole baselines that are worked on together. */
typedef struct sheaf_flag_piece {
  int64_t first, n; /* records */
  int32_t buffer, field, ddid;
  int64_t bytes;
} sheaf_flag_piece;

/* Cuts a file by baseline into pieces: a buffer is one where it takes at most `most` bytes, else
 * it is cut between baselines. bytes[ddid]: of a row. */
int sheaf_flag_records_pieces(const char *path, int64_t n, const int64_t *bytes, int64_t most,
                              sheaf_flag_piece **pieces, size_t *npiece, sheaf_error *err);

#endif

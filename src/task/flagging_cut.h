/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagging_cut.h - lists of units of a flagging run, and how buffers are cut into them.
 *
 * A buffer that is cut into pieces (flag/records.h) is worked by many units, but rflag's automatic
 * thresholds are sums over all of it, in order. Where such a buffer is so large that some worker
 * would wait for the one that has it, two rounds come before: medians by piece, and sums by parts
 * of the channels. Threads do both in one go, as they can wait for each other: medians by piece, and
 * sums in turn. Flags are the same bits either way, so the number of workers may decide. */
#ifndef SHEAF_TASK_FLAGGING_CUT_H
#define SHEAF_TASK_FLAGGING_CUT_H

#include "flag/records.h"
#include "task/task.h"

/* Units as they are collected; labels and arguments are theirs. */
typedef struct sheaf_flag_units {
  sheaf_unit *unit;
  size_t n, room;
} sheaf_flag_units;

/* Takes `args` (NULL: no memory). */
int sheaf_flag_units_add(sheaf_flag_units *units, const char *label, int64_t cost, json_t *args,
                         sheaf_error *err);
void sheaf_flag_units_free(sheaf_flag_units *units);

/* Units of flagging.records over all rows, in the order of rows, about as many as there are workers. Their
 * files are folder/records.0, .1, … */
int sheaf_flag_units_records(sheaf_flag_units *units, const sheaf_flag_vis *vis, int nworker,
                             const char *folder, sheaf_error *err);

typedef struct sheaf_flag_cut {
  const sheaf_flag_vis *vis;
  int thresholds;      /* rflag has to find some */
  int calculate;       /* only them: by field and spw, not by buffer */
  int nworker;         /* servers, or threads */
  int threads;         /* the workers are threads */
  int64_t whole_bytes; /* a buffer that is not larger is one piece, unless many units work at it */
} sheaf_flag_cut;

/* What becomes of the pieces. */
typedef struct sheaf_flag_rounds {
  sheaf_flag_units medians, sums; /* args of flagging.medians and .sums */
  sheaf_flag_units tallies;       /* of flagging.tally, instead of these; where workers are threads */
  sheaf_flag_units commands;      /* of flagging.buffers */
  int64_t nrow;                             /* that medians and sums go over besides */
} sheaf_flag_rounds;

/* The pieces [n], by buffer, become units; consecutive pieces of a buffer may be put together. */
int sheaf_flag_rounds_make(sheaf_flag_rounds *rounds, const sheaf_flag_cut *cut,
                           const sheaf_flag_piece *pieces, size_t n, sheaf_error *err);
void sheaf_flag_rounds_free(sheaf_flag_rounds *rounds);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pass.h - runs the commands of a run, in their order, over blocks of rows in memory.
 *
 * A pass belongs to one thread. Blocks come from rows of a table one after the other (flag/units.c),
 * or from buffers by baseline. What a mode needs besides the block (scan limits, shadowed antennas)
 * comes from earlier rounds, in the agent's tables. */
#ifndef SHEAF_FLAG_PASS_H
#define SHEAF_FLAG_PASS_H

#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "flag/agent.h"
#include "flag/counts.h"
#include "flag/tables.h"
#include "kernel/flag_rflag.h"
#include "table/sky.h"

enum { SHEAF_FLAG_NCOLUMN = 9 };

/* Rows of one data description with cells of one shape. */
typedef struct sheaf_flag_block {
  sheaf_flag_rows rows;
  int64_t nchan, ncorr;
  uint8_t *flag;           /* [n][nchan][ncorr] now */
  const uint8_t *original; /* as on disk */
  uint8_t *flag_row;       /* [n] now; NULL: nobody sets it */
  /* by bit of SHEAF_FLAG_COL_…; NULL: absent. WEIGHT and SIGMA [n][ncorr], others as flag */
  const float *data[SHEAF_FLAG_NCOLUMN];
  int real;                    /* DATA, PARAM are real numbers */
  const sheaf_flag_maps *maps; /* all rows by baseline; NULL: rows in no order */
} sheaf_flag_block;

/* Statistics of one rflag. */
typedef struct sheaf_flag_tally {
  int64_t nchan;
  double *memory; /* [4][nchan]: time sum, count, freq sum, count */
  double time, freq; /* thresholds of the buffer, unscaled; <= 0: not known */
  sheaf_flag_spectrum *spectra; /* [nspectrum] medians of the block that is at hand */
  int64_t nspectrum, room;      /* nspectrum 0: they are not known */
} sheaf_flag_tally;

/* What of the statistics is wanted. */
typedef struct sheaf_flag_share {
  int medians; /* 1: they are computed; 0: they are at hand (flag/statistics.h) */
  int64_t part, of; /* sums over part 0 … of - 1 of the channels; of 0: no sums */
} sheaf_flag_share;

typedef struct sheaf_flag_pass {
  const sheaf_flag_vis *vis;
  sheaf_flag_agents agents;
  sheaf_flag_lookup **lookup; /* [agents.n] of the agents' tables */
  sheaf_counts *counts;       /* [agents.n] of summaries */
  int64_t *flagged;           /* [agents.n] flags that changed */
  sheaf_flag_tally *tally;    /* [agents.n] */
  const sheaf_flag_share *share; /* of the tally at work */
  sheaf_sky *sky;             /* NULL until somebody asks */
  /* scratch */
  sheaf_buffer scratch[16];
} sheaf_flag_pass;

/* `value`: of sheaf_flag_compile_all, with tables; must outlive the pass. */
int sheaf_flag_pass_open(sheaf_flag_pass *pass, const sheaf_flag_vis *vis, const json_t *value,
                         sheaf_error *err);
void sheaf_flag_pass_close(sheaf_flag_pass *pass);

/* Runs all commands on the block. */
int sheaf_flag_pass_run(sheaf_flag_pass *pass, sheaf_flag_block *block, sheaf_error *err);

/* rflag's statistics: reset before a buffer, then every block of it, then the end. Without any
 * automatic threshold there is nothing to do (sheaf_flag_agents_need_thresholds). */
void sheaf_flag_pass_reset(sheaf_flag_pass *pass);
int sheaf_flag_pass_tally(sheaf_flag_pass *pass, sheaf_flag_block *block,
                          const sheaf_flag_share *share, sheaf_error *err);
/* Medians are kept from the tally of a block to the run on it. To be called before the run on a block
 * that is not the one tallied last. */
void sheaf_flag_pass_forget(sheaf_flag_pass *pass);
/* Room for n spectra, or for sums over nchan channels (zeros, unless there were as many before). 0
 * without memory. */
int sheaf_flag_tally_room(sheaf_flag_tally *tally, int64_t n, sheaf_error *err);
int sheaf_flag_tally_channels(sheaf_flag_tally *tally, int64_t nchan, sheaf_error *err);
/* Thresholds from the sums, for field and spw of the buffer. */
int sheaf_flag_pass_settle(sheaf_flag_pass *pass, int32_t field, int32_t spw, sheaf_error *err);

#endif

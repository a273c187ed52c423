/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * long.h - the commands of a run on one baseline of a buffer that is too large for memory.
 *
 * Its rows are worked in stretches of time. Flags as they are now lie in a scratch file, packed, and
 * what a mode needs of all times is made in sweeps: sums that go on from stretch to stretch, rows
 * around a stretch that windows look at, and for statistics along time the amplitudes, in a scratch
 * file by channel. Results are those of the whole baseline in memory, to the bit. What grows with the
 * number of rows is ids and numbers of rows (some 350 bytes a row, and 32 for each correlation in
 * rflag); a stretch has at least one row, or average in time, with rflag those of a window. Rows of
 * an average come part by part. */
#ifndef SHEAF_FLAG_LONG_H
#define SHEAF_FLAG_LONG_H

#include "flag/loader.h"
#include "flag/pass.h"

typedef struct sheaf_flag_long {
  sheaf_flag_pass *pass;
  sheaf_flag_loader *loader;
  sheaf_flag_block *whole; /* rows and the one map; no cells */
  const char *folder;      /* for scratch files */
} sheaf_flag_long;

/* Whether the block, whose cells are not read yet, is such a baseline. */
int sheaf_flag_long_is(const sheaf_flag_pass *pass, const sheaf_flag_loader *loader,
                       const sheaf_flag_block *block);

/* As sheaf_flag_pass_tally and sheaf_flag_pass_run on the block. SHEAF_ERR_IO when the scratch file
 * cannot be written. */
int sheaf_flag_long_tally(const sheaf_flag_long *work, const sheaf_flag_share *share,
                          sheaf_error *err);
/* `done` gets the rows with their flags, stretch by stretch; the block is only lent. */
int sheaf_flag_long_run(const sheaf_flag_long *work,
                        int done(void *user, const sheaf_flag_block *block, sheaf_error *err),
                        void *user, sheaf_error *err);

#endif

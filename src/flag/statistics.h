/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * statistics.h - rflag's statistics of a large buffer on their way between units, in scratch files.
 *
 * A large buffer is tallied by many units: first medians of spectra, piece by piece, in any order;
 * then sums, by parts of the channels, each over all pieces in their order. Files appear by a
 * rename when they are whole, so a unit that is run again replaces them by equal ones. Errors of
 * all: SHEAF_ERR_IO, SHEAF_ERR_DATA for a damaged file, SHEAF_ERR_NOMEM. */
#ifndef SHEAF_FLAG_STATISTICS_H
#define SHEAF_FLAG_STATISTICS_H

#include "flag/pass.h"

/* Writes the medians at hand of all agents; reads them back into a pass that has the same block. */
int sheaf_flag_medians_write(const sheaf_flag_pass *pass, const char *path, sheaf_error *err);
int sheaf_flag_medians_read(sheaf_flag_pass *pass, const char *path, sheaf_error *err);

/* Writes the sums of all agents; adds such a file to the sums of a pass. Those of different parts
 * of the channels have zeros for each other's, so that nothing is rounded. */
int sheaf_flag_sums_write(const sheaf_flag_pass *pass, const char *path, sheaf_error *err);
int sheaf_flag_sums_add(sheaf_flag_pass *pass, const char *path, sheaf_error *err);

#endif

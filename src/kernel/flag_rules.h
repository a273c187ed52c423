/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_rules.h - decisions on whole rows: quack, antint, shadow, elevation. */
#ifndef SHEAF_KERNEL_FLAG_RULES_H
#define SHEAF_KERNEL_FLAG_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/flag_view.h"

typedef enum sheaf_flag_quack_mode {
  SHEAF_FLAG_QUACK_BEG,  /* the first seconds of a scan */
  SHEAF_FLAG_QUACK_ENDB, /* the last ones */
  SHEAF_FLAG_QUACK_TAIL, /* all but the first */
  SHEAF_FLAG_QUACK_END   /* all but the last */
} sheaf_flag_quack_mode;

/* Whether quack flags a row at time t of a scan whose first and last times are start and stop.
 * Seconds; TIME is the middle of an integration. */
int sheaf_flag_quack(sheaf_flag_quack_mode mode, double interval, double start, double stop,
                     double t);

/* Whether a time is bad for antint. row[n]: all its rows in the view (one data description);
 * reference: the antenna; nant: rows of the ANTENNA table. A channel counts where all nant - 1 (or
 * more) rows with the reference antenna have a flag in any correlation of `original` flags,
 * [row][nchan][ncorr]; the time is bad where more than minchanfrac of all channels count (the one,
 * with one channel). Where there are more such rows than nant - 1, the auto-correlations are left
 * out. scratch: nchan bytes. A time that is bad gets the fraction of channels that count in
 * *fraction, unless that is NULL. */
int sheaf_flag_antint(const uint8_t *original, int64_t nchan, int64_t ncorr, const int64_t *row,
                      int64_t n, const int32_t *ant1, const int32_t *ant2, int32_t reference,
                      int64_t nant, double minchanfrac, uint8_t *scratch, double *fraction);

/* Which antenna of a pair is shadowed: 0 none, 1 the first, 2 the second. uvw [m] as in the MS,
 * diameters and tolerance [m]. */
int sheaf_flag_shadow(const double uvw[3], double diameter1, double diameter2, double tolerance);

/* Whether a row is flagged whose antennas see the source at these elevations; all in one unit. */
int sheaf_flag_elevation(double elevation1, double elevation2, double lower, double upper);

#endif

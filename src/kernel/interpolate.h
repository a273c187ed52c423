/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * interpolate.h - solutions of a calibration table between their times and frequencies.
 *
 * Formulae, their order of operations, and the places where float and double are used are CASA's, so that
 * results agree with it (docs/numerics.md). No allocation, no state, cannot fail; thread-safe. */
#ifndef SHEAF_KERNEL_INTERPOLATE_H
#define SHEAF_KERNEL_INTERPOLATE_H

#include <stdint.h>

typedef enum sheaf_interpolation {
  SHEAF_INTERPOLATE_NEAREST,
  SHEAF_INTERPOLATE_LINEAR,
  SHEAF_INTERPOLATE_CUBIC, /* a polynomial through four points around */
  SHEAF_INTERPOLATE_SPLINE /* in frequency only; natural, as CASA computes it */
} sheaf_interpolation;

/* Solutions of one antenna: value[i] and flag[i] are arrays of `count` elements at time[i], n >= 1 of
 * them, times ascending, relative to a near time so that float serves. */
typedef struct sheaf_series {
  const float *time;
  const float *const *value;
  const uint8_t *const *flag;
  int64_t n, count;
} sheaf_series;

/* The solution at time t. Outside of the times the first or last one, exactly on a time that one. Between: the
 * nearer (the earlier when equally near); linear; cubic with 4 times or more, linear with fewer. A flag is set when one
 * of the two neighbours is flagged (nearest: the one taken). */
void sheaf_interpolate_time(const sheaf_series *series, sheaf_interpolation method, float t,
                            float *value, uint8_t *flag);

/* One parameter along frequency: n channels at freq_hz[] (strictly monotonic, n >= 1), elements `stride` apart. */
typedef struct sheaf_spectrum {
  const double *freq_hz;
  const float *value;
  const uint8_t *flag;
  int64_t n, stride;
} sheaf_spectrum;

/* Scratch for spectra of up to n channels, in doubles. */
#define SHEAF_INTERPOLATE_SCRATCH(n) (4 * (n) + 4)

/* The parameter at nout frequencies freq_ghz[] (monotonic); value and flag have `stride` too. Flagged input channels are left
 * out, so that gaps are bridged; beyond the ends the end's value. With `flags`, an output is flagged when one of the channels that
 * its method takes is; without, only when all are. Cubic with fewer than 4 unflagged channels is linear. Where input
 * and output frequencies are the same, values are copied. */
void sheaf_interpolate_frequency(const sheaf_spectrum *in, sheaf_interpolation method, int flags,
                                 const double *freq_ghz, int64_t nout, double *scratch,
                                 float *value, uint8_t *flag);

#endif

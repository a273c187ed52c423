/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * weights.h - WEIGHT and SIGMA from bandwidth, integration time and system temperatures.
 *
 * All arithmetic is float, in CASA's order, so that results are CASA's bit for bit. Cells are [chan][corr]. No
 * allocation, no state, cannot fail; thread-safe. */
#ifndef SHEAF_KERNEL_WEIGHTS_H
#define SHEAF_KERNEL_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

/* bandwidth [Hz] × time [s] × 2, of an auto-correlation × 1. time_s 1 leaves the time out. */
float sheaf_weight_radiometer(float bandwidth_hz, float time_s, int autocorrelation);
/* 1/sqrt(weight) and 1/sigma² of n elements; a sigma of 0 gives FLT_EPSILON, as good as no weight. */
void sheaf_weight_to_sigma(const float *weight, size_t n, float *sigma);
void sheaf_weight_from_sigma(const float *sigma, size_t n, float *weight);
/* Each channel of a spectrum [nchan][ncorr] becomes the weights of a row [ncorr]. */
void sheaf_weight_spread(const float *weight, size_t ncorr, size_t nchan, float *spectrum);
/* Median over the channels of each correlation: the element at place (nchan-1)/2 in order. scratch: nchan
 * floats. */
void sheaf_weight_median(const float *spectrum, size_t ncorr, size_t nchan, float *scratch,
                         float *median);

/* System temperatures of one antenna, [nchan][2] K, to factors. Negative ones count as flagged, and
 * become 0. By channel: 1/T, flagged 0. Mean: one factor per receptor, 1/mean of the unflagged, 1 when there is none. */
void sheaf_weight_scale_channels(const float *tsys_k, const uint8_t *flag, size_t nchan,
                                 float *scale);
void sheaf_weight_scale_mean(const float *tsys_k, const uint8_t *flag, size_t nchan,
                             float scale[2]);
/* Multiplies a row's [nchan][ncorr] by both antennas' factors [nchan][2]. */
void sheaf_weight_apply(const float *scale1, const float *scale2, size_t ncorr, size_t nchan,
                        float *weight);

#endif

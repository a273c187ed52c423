/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/weights.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

float sheaf_weight_radiometer(float bandwidth_hz, float time_s, int autocorrelation) {
  const float weight = bandwidth_hz * time_s;
  return autocorrelation ? weight : weight * 2.0f;
}

void sheaf_weight_to_sigma(const float *weight, size_t n, float *sigma) {
  for (size_t i = 0; i < n; i++) sigma[i] = 1.0f / sqrtf(weight[i]);
}

void sheaf_weight_from_sigma(const float *sigma, size_t n, float *weight) {
  for (size_t i = 0; i < n; i++)
    weight[i] = sigma[i] == 0.0f ? FLT_EPSILON : 1.0f / (sigma[i] * sigma[i]);
}

void sheaf_weight_spread(const float *weight, size_t ncorr, size_t nchan, float *spectrum) {
  for (size_t i = 0; i < nchan; i++) memcpy(spectrum + i * ncorr, weight, ncorr * sizeof *weight);
}

static int ascending(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

void sheaf_weight_median(const float *spectrum, size_t ncorr, size_t nchan, float *scratch,
                         float *median) {
  for (size_t c = 0; c < ncorr; c++) {
    for (size_t i = 0; i < nchan; i++) scratch[i] = spectrum[i * ncorr + c];
    qsort(scratch, nchan, sizeof *scratch, ascending);
    median[c] = scratch[(nchan - 1) / 2];
  }
}

void sheaf_weight_scale_channels(const float *tsys_k, const uint8_t *flag, size_t nchan,
                                 float *scale) {
  for (size_t i = 0; i < 2 * nchan; i++)
    scale[i] = flag[i] || tsys_k[i] < 0.0f ? 0.0f : 1.0f / tsys_k[i];
}

void sheaf_weight_scale_mean(const float *tsys_k, const uint8_t *flag, size_t nchan,
                             float scale[2]) {
  for (size_t p = 0; p < 2; p++) {
    float sum = 0.0f;
    size_t n = 0;
    for (size_t i = p; i < 2 * nchan; i += 2)
      if (!flag[i] && !(tsys_k[i] < 0.0f)) {
        sum += tsys_k[i];
        n++;
      }
    const float mean = n ? sum / (float)n : 0.0f;
    scale[p] = mean > 0.0f ? (float)(1.0 / (double)mean) : 1.0f;
  }
}

void sheaf_weight_apply(const float *scale1, const float *scale2, size_t ncorr, size_t nchan,
                        float *weight) {
  const size_t per_receptor = ncorr > 1 ? ncorr / 2 : 1;
  for (size_t i = 0; i < nchan; i++)
    for (size_t c = 0; c < ncorr; c++)
      weight[i * ncorr + c] *= scale1[2 * i + c / per_receptor] * scale2[2 * i + c % 2];
}

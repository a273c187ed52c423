/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_rules.h"

#include <math.h>
#include <string.h>

int sheaf_flag_quack(sheaf_flag_quack_mode mode, double interval, double start, double stop,
                     double t) {
  switch (mode) {
    case SHEAF_FLAG_QUACK_BEG:
      return t <= start + interval;
    case SHEAF_FLAG_QUACK_ENDB:
      return t >= stop - interval;
    case SHEAF_FLAG_QUACK_TAIL:
      return t > start + interval;
    case SHEAF_FLAG_QUACK_END:
      return t < stop - interval;
  }
  return 0;
}

static int64_t count_reference(const int64_t *row, int64_t n, const int32_t *ant1,
                               const int32_t *ant2, int32_t reference, int autos) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    const int32_t a = ant1[row[i]], b = ant2[row[i]];
    count += (a == reference || b == reference) && (autos || a != b);
  }
  return count;
}

int sheaf_flag_antint(const uint8_t *original, int64_t nchan, int64_t ncorr, const int64_t *row,
                      int64_t n, const int32_t *ant1, const int32_t *ant2, int32_t reference,
                      int64_t nant, double minchanfrac, uint8_t *scratch, double *fraction) {
  const int autos = count_reference(row, n, ant1, ant2, reference, 1) <= nant - 1;
  int64_t bad = 0;
  if (fraction) *fraction = 0;
  if (count_reference(row, n, ant1, ant2, reference, autos) < nant - 1)
    return nchan > 1 && minchanfrac < 0; /* baselines are missing: no channel counts as flagged */
  memset(scratch, 1, (size_t)nchan);
  for (int64_t i = 0; i < n; i++) {
    const int32_t a = ant1[row[i]], b = ant2[row[i]];
    if ((a != reference && b != reference) || (a == b && !autos)) continue;
    const uint8_t *flag = original + row[i] * nchan * ncorr;
    for (int64_t c = 0; c < nchan; c++) {
      uint8_t any = 0;
      for (int64_t p = 0; p < ncorr; p++) any |= flag[c * ncorr + p];
      scratch[c] &= any;
    }
  }
  for (int64_t c = 0; c < nchan; c++) bad += scratch[c];
  if (fraction) *fraction = (double)bad / (double)nchan;
  return nchan == 1 ? bad == 1 : (double)bad / (double)nchan > minchanfrac;
}

int sheaf_flag_shadow(const double uvw[3], double diameter1, double diameter2, double tolerance) {
  if (!(sqrt(uvw[0] * uvw[0] + uvw[1] * uvw[1]) < (diameter1 + diameter2) / 2 - tolerance))
    return 0;
  return uvw[2] < 0.0 ? 1 : 2;
}

int sheaf_flag_elevation(double elevation1, double elevation2, double lower, double upper) {
  return elevation1 < lower || elevation1 > upper || elevation2 < lower || elevation2 > upper;
}

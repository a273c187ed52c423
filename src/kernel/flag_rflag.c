/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_rflag.h"

#include <math.h>

#include "kernel/flag_scratch.h"

/* For the widest vectors (flag_lanes.h): 16 floats, and five vectors a window sample. */
size_t sheaf_flag_rflag_scratch(int64_t nrow, int64_t nchan, int nquantity) {
  const size_t columns = (size_t)(nchan + 15) / 16 * 16, lines = (size_t)nrow * (size_t)nquantity;
  const size_t cells = lines * columns;
  return 2 * sheaf_flag_scratch_bytes(4 * cells) + 3 * sheaf_flag_scratch_bytes(cells) +
         2 * sheaf_flag_scratch_bytes(lines) + 5 * 64 * lines + 64 * columns +
         2 * sheaf_flag_scratch_bytes(8 * columns);
}

/* The k-th in order of x[n], which is partly sorted. NaNs count as larger than all. */
static int before(double a, double b) {
  return a < b || (a == a && b != b);
}

static double select_place(double *x, int64_t n, int64_t k) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const double pivot = x[low + (high - low) / 2];
    int64_t i = low, j = high;
    while (i <= j) {
      while (before(x[i], pivot)) i++;
      while (before(pivot, x[j])) j--;
      if (i > j) break;
      const double t = x[i];
      x[i++] = x[j];
      x[j--] = t;
    }
    if (k <= j)
      high = j;
    else if (k >= i)
      low = i;
    else
      return x[k];
  }
  return x[k];
}

static double median(double *x, int64_t n) {
  const double high = select_place(x, n, n / 2);
  return n % 2 ? high : 0.5 * (high + select_place(x, n, n / 2 - 1));
}

double sheaf_flag_rflag_threshold(const sheaf_flag_sums *sums, int64_t n, double *scratch) {
  double *x = scratch, *distance = scratch + n;
  if (n == 0) return 0.0;
  for (int64_t i = 0; i < n; i++) x[i] = sums->count[i] > 0.0 ? sums->sum[i] / sums->count[i] : 0.0;
  const double middle = median(x, n);
  for (int64_t i = 0; i < n; i++) distance[i] = fabs(x[i] - middle);
  return middle + 1.4826 * median(distance, n);
}

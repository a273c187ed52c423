/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_summary.h - counts flags (mode summary). */
#ifndef SHEAF_KERNEL_FLAG_SUMMARY_H
#define SHEAF_KERNEL_FLAG_SUMMARY_H

#include "kernel/flag_view.h"

/* Counts the flags of n rows (row[i]; NULL: 0..n-1) in the view's channels and the correlations in
 * `corrs` (bit c). Adds to, each may be NULL: rows[i], for row i of the list; corr[ncorr]; chan[],
 * by place among the view's channels. Returns the sum. */
int64_t sheaf_flag_count(const sheaf_flag_view *view, const int64_t *row, int64_t n, uint64_t corrs,
                         int64_t *rows, int64_t *corr, int64_t *chan);

/* 1 when n flags are all set, and when one is. */
int sheaf_flag_all(const uint8_t *flag, size_t n);
int sheaf_flag_any(const uint8_t *flag, size_t n);

#endif

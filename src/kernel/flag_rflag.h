/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flag_rflag.h - outliers of local rms in time and of the distance from the median spectrum (mode
 * rflag).
 *
 * Automatic thresholds come from sums per channel over all baselines of a buffer ('apply') or of
 * all buffers of a field and spw ('calculate'). Flags and thresholds equal those of serial CASA bit
 * for bit, whatever the number of processes, when the additions of each channel happen in CASA's
 * order: buffer, baseline (map, ascending), time, quantity. So sums are accumulators that go in and
 * come out: maps 0..k into zeroed sums, then maps k+1.. into the same sums, by whomever, give the
 * bits of one call. Two sums must never be added to each other. Work is divided without that order
 *   - over buffers (each has its own sums, unless 'calculate');
 *   - over channels: ask for time and freq with parts of the channels (view->chan, and
 * sums from there on);
 *   - over maps for medians and _apply, which do not sum over maps.
 *
 * A sequence for one buffer: _spectra, _time_sums, _freq_sums map by map or in blocks; _threshold
 * twice; _apply. Statistics use `original`, the flags as they were on disk, in the layout of
 * view->flag; it may be view->flag itself as long as that is unchanged.
 *
 * NaN samples: left out of medians and of frequency sums (CASA's result is undefined there); in a
 * time window they make the rms what CASA makes of it. */
#ifndef SHEAF_KERNEL_FLAG_RFLAG_H
#define SHEAF_KERNEL_FLAG_RFLAG_H

#include "kernel/flag_expression.h"
#include "kernel/flag_view.h"

/* Medians of one spectrum (one row, one quantity) over the unflagged channels, 0 without any; and
 * CASA's 'spread', which is about 0, or 1000 without any. */
typedef struct sheaf_flag_spectrum {
  double re, im, spread_re, spread_im;
} sheaf_flag_spectrum;

/* Sums and counts per channel of an agent [nchan]; zero at the start. */
typedef struct sheaf_flag_sums {
  double *sum, *count;
} sheaf_flag_sums;

/* Bytes of scratch for each of the functions below, for maps of up to nrow rows. */
size_t sheaf_flag_rflag_scratch(int64_t nrow, int64_t nchan, int nquantity);

/* What is wanted of some maps. */
typedef struct sheaf_flag_statistics {
  int medians; /* 1: spectra are computed; 0: they are given (for freq) */
  sheaf_flag_spectrum *
      spectra; /* [i][nquantity] for row[i] of the maps, counted from start[0]; NULL with neither */
  const sheaf_flag_sums *time; /* the rms of each window of winsize (>= 1) rows is added; or NULL */
  int winsize;
  const sheaf_flag_sums *freq; /* the distances from the medians are added; or NULL */
  /* Of one map only a stretch is at hand, with (winsize - 1) / 2 rows more on both sides where there
   * are as many; spectra are those of [from, to). NULL: all rows of all maps */
  const sheaf_flag_stretch *stretch;
} sheaf_flag_statistics;

void sheaf_flag_rflag_statistics(const sheaf_flag_view *view, const uint8_t *original,
                                 const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                 int nquantity, const sheaf_flag_statistics *out, void *scratch);
/* The same, one by one. */
void sheaf_flag_rflag_spectra(const sheaf_flag_view *view, const uint8_t *original,
                              const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                              int nquantity, sheaf_flag_spectrum *spectra, void *scratch);
void sheaf_flag_rflag_time_sums(const sheaf_flag_view *view, const uint8_t *original,
                                const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                int nquantity, int winsize, const sheaf_flag_sums *sums,
                                void *scratch);
void sheaf_flag_rflag_freq_sums(const sheaf_flag_view *view, const uint8_t *original,
                                const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                                int nquantity, const sheaf_flag_spectrum *spectra,
                                const sheaf_flag_sums *sums, void *scratch);
/* The automatic threshold (before scaling): median over channels of the means, plus 1.4826 times
 * the median distance from it. scratch: 2 n doubles. */
double sheaf_flag_rflag_threshold(const sheaf_flag_sums *sums, int64_t n, double *scratch);

typedef struct sheaf_flag_rflag_options {
  int winsize;
  double noise; /* threshold × timedevscale; ≤ 0 or NaN: no test */
  double cut;   /* threshold × freqdevscale; ≤ 0 or NaN: no test, and none of the spread */
  double spectralmin, spectralmax;
  /* as in sheaf_flag_statistics: windows with their middle in [from, to), which also flag the rows
   * around these, and spectra there */
  const sheaf_flag_stretch *stretch;
} sheaf_flag_rflag_options;

/* Flags each map; view->flag are the flags as they are now. Returns how many flags were set new. */
int64_t sheaf_flag_rflag_apply(const sheaf_flag_view *view, const uint8_t *original,
                               const sheaf_flag_maps *maps, const sheaf_flag_quantity *quantity,
                               int nquantity, const sheaf_flag_spectrum *spectra,
                               const sheaf_flag_rflag_options *options, void *scratch);

#endif

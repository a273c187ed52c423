// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_average.hh - means for the tool `ms`: over bins of channels, and over rows.
//
// Cells are [corr][chan][row] in casacore's order of axes (the first runs fastest), weights
// [corr][row] or one for each channel. Nothing is kept; calls may run at one time. Rules are CASA's
// (tests/python/test_tools_casa.py).
#ifndef SHEAF_TOOL_AVERAGE_HH
#define SHEAF_TOOL_AVERAGE_HH

#include <casacore/casa/Arrays/Array.h>

#include "table/tool_ms.hh"

namespace sheaf {

// The mean of each bin over what is not flagged, [corr][bin][row]; 0 where all is, or where weights
// add up to nothing. `weight` has the shape of `in`, or no elements: all weigh 1. T is Complex or
// Float.
template <class T>
casacore::Array<T> channel_means(const casacore::Array<T>& in,
                                 const casacore::Array<casacore::Bool>& flag,
                                 const casacore::Array<casacore::Float>& weight, const Channels& c);

// A bin is flagged where all of it is.
casacore::Array<casacore::Bool> channel_flags(const casacore::Array<casacore::Bool>& flag,
                                              const Channels& c);

// One weight for the bins of a row, [corr][row]: the sum over what is not flagged in a bin, of
// which the mean over the bins in which anything is left; of all, where nothing is. `weight` is
// [corr][row] or [corr][chan][row].
casacore::Array<casacore::Float> channel_weights(const casacore::Array<casacore::Float>& weight,
                                                 const casacore::Array<casacore::Bool>& flag,
                                                 const Channels& c);

// The same for standard deviations: a bin's is that of the sum of 1 / sigma^2. What is not positive
// weighs nothing.
casacore::Array<casacore::Float> channel_sigmas(const casacore::Array<casacore::Float>& sigma,
                                                const casacore::Array<casacore::Bool>& flag,
                                                const Channels& c);

// 1 / sigma^2 of each element; 0 of what is not positive.
casacore::Array<casacore::Float> weights_of(const casacore::Array<casacore::Float>& sigma);

// The mean over the last axis of what is not flagged. `in` and `flag` are [corr][chan][row] or
// [corr][chan][ifr][time], `weight` the same without channels; the result lacks the last axis.
// `mean_flag`, which keeps three axes, tells where all was flagged; there the result is 0. T is
// Complex or Float.
template <class T>
casacore::Array<T> row_means(const casacore::Array<T>& in,
                             const casacore::Array<casacore::Bool>& flag,
                             const casacore::Array<casacore::Float>& weight,
                             casacore::Array<casacore::Bool>& mean_flag);

}  // namespace sheaf
#endif

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/tool_average.hh"

#include <cmath>

using namespace casacore;

namespace sheaf {
namespace {

// Calls of(element, corr, bin, row) for every channel of every bin.
template <class F>
void each_of_bins(const IPosition& shape, const Channels& c, F of) {
  const size_t ncorr = shape[0], nchan = shape[1], nrow = shape[2];
  for (size_t row = 0; row < nrow; row++)
    for (int bin = 0; bin < c.n; bin++)
      for (int j = 0; j < c.width; j++)
        for (size_t corr = 0; corr < ncorr; corr++)
          of((row * nchan + c.start + bin * c.step + j) * ncorr + corr, corr, bin, row);
}

// A sum and its weight, in double precision.
template <class T>
struct Wide;
template <>
struct Wide<Complex> {
  using type = DComplex;
};
template <>
struct Wide<Float> {
  using type = Double;
};

// Weights of bins, [corr][bin][row], of what is flagged too or not.
std::vector<Double> bin_weights(const Array<Float>& weight, const Array<Bool>& flag,
                                const Channels& c, bool flagged_too) {
  const size_t ncorr = flag.shape()[0], nrow = flag.shape()[2];
  const bool per_channel = weight.ndim() == 3;
  std::vector<Double> sum(ncorr * c.n * nrow, 0);
  each_of_bins(flag.shape(), c, [&](size_t at, size_t corr, int bin, size_t row) {
    if (flagged_too || !flag.data()[at])
      sum[(row * c.n + bin) * ncorr + corr] += weight.data()[per_channel ? at : row * ncorr + corr];
  });
  return sum;
}

// One value for the bins of a row; value(sum of the weights of a bin) is what is averaged.
template <class F>
Array<Float> over_bins(const Array<Float>& weight, const Array<Bool>& flag, const Channels& c,
                       F value) {
  const size_t ncorr = flag.shape()[0], nrow = flag.shape()[2];
  const Array<Bool> out = channel_flags(flag, c);
  const std::vector<Double> left = bin_weights(weight, flag, c, false),
                            all = bin_weights(weight, flag, c, true);
  Array<Float> mean(IPosition(2, ncorr, nrow));
  for (size_t row = 0; row < nrow; row++)
    for (size_t corr = 0; corr < ncorr; corr++) {
      Double sum = 0, sum_of_all = 0;
      int n = 0;
      for (int bin = 0; bin < c.n; bin++) {
        const size_t at = (row * c.n + bin) * ncorr + corr;
        sum_of_all += value(all[at]);
        if (out.data()[at]) continue;
        sum += value(left[at]);
        n++;
      }
      mean.data()[row * ncorr + corr] =
          static_cast<Float>(n ? sum / n : sum_of_all / static_cast<Double>(c.n));
    }
  return mean;
}

}  // namespace

template <class T>
Array<T> channel_means(const Array<T>& in, const Array<Bool>& flag, const Array<Float>& weight,
                       const Channels& c) {
  using Sum = typename Wide<T>::type;
  const size_t ncorr = in.shape()[0], nrow = in.shape()[2];
  std::vector<Sum> sum(ncorr * c.n * nrow, Sum(0));
  std::vector<Double> weights(sum.size(), 0);
  const Float* w = weight.nelements() ? weight.data() : nullptr;
  each_of_bins(in.shape(), c, [&](size_t at, size_t corr, int bin, size_t row) {
    if (flag.data()[at]) return;
    const size_t to = (row * c.n + bin) * ncorr + corr;
    const Double own = w ? w[at] : 1;
    sum[to] += Sum(in.data()[at]) * own;
    weights[to] += own;
  });
  Array<T> out(IPosition(3, ncorr, c.n, nrow));
  for (size_t i = 0; i < sum.size(); i++)
    out.data()[i] = weights[i] > 0 ? T(sum[i] / weights[i]) : T(0);
  return out;
}

Array<Bool> channel_flags(const Array<Bool>& flag, const Channels& c) {
  const size_t ncorr = flag.shape()[0];
  Array<Bool> out(IPosition(3, ncorr, c.n, flag.shape()[2]), True);
  each_of_bins(flag.shape(), c, [&](size_t at, size_t corr, int bin, size_t row) {
    if (!flag.data()[at]) out.data()[(row * c.n + bin) * ncorr + corr] = False;
  });
  return out;
}

Array<Float> channel_weights(const Array<Float>& weight, const Array<Bool>& flag,
                             const Channels& c) {
  return over_bins(weight, flag, c, [](Double sum) { return sum; });
}

Array<Float> channel_sigmas(const Array<Float>& sigma, const Array<Bool>& flag, const Channels& c) {
  return over_bins(weights_of(sigma), flag, c,
                   [](Double sum) { return sum > 0 ? 1 / std::sqrt(sum) : 0; });
}

Array<Float> weights_of(const Array<Float>& sigma) {
  Array<Float> out(sigma.shape());
  for (size_t i = 0; i < sigma.nelements(); i++) {
    const Float s = sigma.data()[i];
    out.data()[i] = s > 0 ? 1 / (s * s) : 0;
  }
  return out;
}

template <class T>
Array<T> row_means(const Array<T>& in, const Array<Bool>& flag, const Array<Float>& weight,
                   Array<Bool>& mean_flag) {
  using Sum = typename Wide<T>::type;
  const IPosition& shape = in.shape();
  const size_t ncorr = shape[0], nchan = shape[1], nifr = shape.size() == 4 ? shape[2] : 1;
  const size_t n = ncorr * nchan * nifr, nrow = shape[shape.size() - 1];
  std::vector<Sum> sum(n, Sum(0));
  std::vector<Double> weights(n, 0);
  mean_flag.resize(IPosition(3, ncorr, nchan, nifr));
  mean_flag = True;
  for (size_t at = 0; at < n * nrow; at++) {
    if (flag.data()[at]) continue;
    const size_t to = at % n;
    const Double own = weight.data()[at / (ncorr * nchan) * ncorr + at % ncorr];
    mean_flag.data()[to] = False;
    sum[to] += Sum(in.data()[at]) * own;
    weights[to] += own;
  }
  Array<T> out(shape.getFirst(shape.size() - 1));
  for (size_t i = 0; i < n; i++) out.data()[i] = weights[i] > 0 ? T(sum[i] / weights[i]) : T(0);
  return out;
}

template Array<Complex> channel_means(const Array<Complex>&, const Array<Bool>&,
                                      const Array<Float>&, const Channels&);
template Array<Float> channel_means(const Array<Float>&, const Array<Bool>&, const Array<Float>&,
                                    const Channels&);
template Array<Complex> row_means(const Array<Complex>&, const Array<Bool>&, const Array<Float>&,
                                  Array<Bool>&);
template Array<Float> row_means(const Array<Float>&, const Array<Bool>&, const Array<Float>&,
                                Array<Bool>&);

}  // namespace sheaf

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/main_scan.hh"

#include <casacore/casa/Arrays/Array.h>
#include <casacore/casa/Arrays/Slicer.h>
#include <casacore/casa/Arrays/Vector.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/cancel.h"
#include "base/progress.h"
#include "table/guard.hh"

namespace sheaf {
namespace {

constexpr casacore::rownr_t block_rows = 1 << 18;

// One scalar column, read a block at a time; a constant when the MS lacks it.
template <class T>
class BlockColumn {
 public:
  BlockColumn(const casacore::Table& table, const char* name, T otherwise) : otherwise_(otherwise) {
    if (table.tableDesc().isColumn(name)) column_ = casacore::ScalarColumn<T>(table, name);
  }
  void read(casacore::rownr_t first, casacore::rownr_t n) {
    if (column_.isNull())
      values_.assign(n, otherwise_);
    else
      read_cells(first, n);
  }
  T operator[](size_t i) const { return values_[i]; }

 private:
  void read_cells(casacore::rownr_t first, casacore::rownr_t n) {
    values_.resize(n);
    casacore::Vector<T> view(casacore::IPosition(1, n), values_.data(), casacore::SHARE);
    column_.getColumnRange(
        casacore::Slicer(casacore::IPosition(1, first), casacore::IPosition(1, n)), view);
    if (view.data() != values_.data()) std::copy(view.begin(), view.end(), values_.begin());
  }
  casacore::ScalarColumn<T> column_;
  T otherwise_;
  std::vector<T> values_;
};

// The columns of the pass.
struct Columns {
  BlockColumn<casacore::Int> obs, array, scan, field, dd, state, ant1, ant2;
  BlockColumn<casacore::Double> time, exposure, interval;
  explicit Columns(const casacore::Table& t)
      : obs(t, "OBSERVATION_ID", 0),
        array(t, "ARRAY_ID", 0),
        scan(t, "SCAN_NUMBER", 0),
        field(t, "FIELD_ID", 0),
        dd(t, "DATA_DESC_ID", 0),
        state(t, "STATE_ID", -1),
        ant1(t, "ANTENNA1", 0),
        ant2(t, "ANTENNA2", 0),
        time(t, "TIME", 0),
        exposure(t, "EXPOSURE", 0),
        interval(t, "INTERVAL", 0) {}
  void read(casacore::rownr_t first, casacore::rownr_t n) {
    for (auto* column : {&obs, &array, &scan, &field, &dd, &state, &ant1, &ant2})
      column->read(first, n);
    for (auto* column : {&time, &exposure, &interval}) column->read(first, n);
  }
};

// The unflagged part of a row, 0 to 1: channels count with their width.
class FlagReader {
 public:
  FlagReader(const casacore::Table& table, const WindowMap& windows) : windows_(windows) {
    if (table.tableDesc().isColumn("FLAG"))
      column_ = casacore::ArrayColumn<casacore::Bool>(table, "FLAG");
  }
  double unflagged(casacore::rownr_t row, int spw) {
    if (column_.isNull() || !column_.isDefined(row)) return 1;
    column_.get(row, flags_, true);
    const casacore::IPosition shape = flags_.shape();
    if (shape.size() != 2 || shape.product() == 0) return 0;
    casacore::Bool deleteIt;
    const casacore::Bool* data = flags_.getStorage(deleteIt);
    const double part = weigh(data, shape[0], shape[1], spw);
    flags_.freeStorage(data, deleteIt);
    return part;
  }

 private:
  double weigh(const casacore::Bool* flags, size_t ncorr, size_t nchan, int spw) const {
    const size_t flagged = std::count(flags, flags + ncorr * nchan, true);
    if (flagged == 0) return 1;
    if (flagged == ncorr * nchan) return 0;
    if (spw < 0 || windows_.chan_width_hz[spw].size() != nchan || !(windows_.bandwidth_hz[spw] > 0))
      return 1 - double(flagged) / (ncorr * nchan);
    double sum_hz = 0;
    for (size_t corr = 0; corr < ncorr; corr++)
      sum_hz += open_band(flags + corr, ncorr, nchan, spw);
    return sum_hz / (windows_.bandwidth_hz[spw] * ncorr);
  }
  // Width of the unflagged channels of one correlation; a correlation without flags has the whole
  // bandwidth.
  double open_band(const casacore::Bool* flags, size_t ncorr, size_t nchan, int spw) const {
    double sum_hz = 0;
    size_t open = 0;
    for (size_t chan = 0; chan < nchan; chan++)
      if (!flags[chan * ncorr]) sum_hz += std::abs(windows_.chan_width_hz[spw][chan]), open++;
    return open == nchan ? windows_.bandwidth_hz[spw] : sum_hz;
  }
  const WindowMap& windows_;
  casacore::ArrayColumn<casacore::Bool> column_;
  casacore::Array<casacore::Bool> flags_;
};

// Adds rows to the result. Rows that follow each other mostly belong together, so the last places
// are remembered.
class Adder {
 public:
  Adder(MainScan& out, const WindowMap& windows) : out_(out), windows_(windows) {}
  void add(const Columns& c, size_t i, FlagReader* flags, casacore::rownr_t row) {
    place(SubScanKey{c.obs[i], c.array[i], c.scan[i], c.field[i]});
    const int spw = window(c.dd[i]);
    const double half_s = c.interval[i] / 2;
    span_->begin_s = std::min(span_->begin_s, c.time[i] - half_s);
    span_->end_s = std::max(span_->end_s, c.time[i] + half_s);
    out_.nrow++;
    subscan_->nrow++;
    subscan_->exposure_sum_s += c.exposure[i];
    field_->nrow++;
    if (spw >= 0) count_interval(spw, c.interval[i]);
    if (flags) count_unflagged(flags->unflagged(row, spw));
    if (c.state[i] != state_ || fresh_) subscan_->states.insert(state_ = c.state[i]);
    see_antenna(c.ant1[i]);
    see_antenna(c.ant2[i]);
    fresh_ = false;
  }
  void finish() {
    for (size_t i = 0; i < seen_.size(); i++)
      if (seen_[i]) out_.antennas.insert(static_cast<int>(i));
  }

 private:
  void place(const SubScanKey& key) {
    if (subscan_ && !(key < key_) && !(key_ < key)) return;
    key_ = key;
    subscan_ = &out_.subscans[key];
    field_ = &out_.fields[key.field];
    span_ = &out_.scans.insert({key.whole(), TimeSpan{INFINITY, -INFINITY}}).first->second;
    intervals_.clear();
    fresh_ = true;
  }
  int window(int dd) {
    if (dd != dd_ || fresh_) {
      out_.data_descs.insert(dd_ = dd);
      spw_ = windows_.spw(dd);
    }
    return spw_;
  }
  void count_interval(int spw, double interval_s) {
    if (intervals_.size() <= static_cast<size_t>(spw)) intervals_.resize(spw + 1);
    if (!intervals_[spw]) intervals_[spw] = &subscan_->spws[spw];
    intervals_[spw]->nrow++;
    intervals_[spw]->sum_s += interval_s;
  }
  void count_unflagged(double part) {
    subscan_->unflagged += part;
    field_->unflagged += part;
  }
  void see_antenna(int antenna) {
    if (antenna < 0 || antenna > (1 << 20)) {
      out_.antennas.insert(antenna);
      return;
    }
    if (seen_.size() <= static_cast<size_t>(antenna)) seen_.resize(antenna + 1);
    seen_[antenna] = 1;
  }
  MainScan& out_;
  const WindowMap& windows_;
  SubScanKey key_{};
  SubScan* subscan_ = nullptr;
  FieldRows* field_ = nullptr;
  TimeSpan* span_ = nullptr;
  std::vector<IntervalSum*> intervals_;  // by spw, of this sub-scan
  std::vector<char> seen_;
  int dd_ = 0, spw_ = -1, state_ = 0;
  bool fresh_ = true;
};

void test_rows(sheaf_select* select, casacore::rownr_t first, casacore::rownr_t n,
               std::vector<uint8_t>& keep) {
  sheaf_error err;
  const int rc = sheaf_select_test(select, first, n, keep.data(), &err);
  if (rc < 0) throw Failure(rc, err.text);
}

}  // namespace

MainScan scan_main(const casacore::Table& main, const WindowMap& windows, sheaf_select* select,
                   bool unflagged) {
  MainScan out;
  Columns columns(main);
  Adder adder(out, windows);
  std::unique_ptr<FlagReader> flags;
  if (unflagged) flags.reset(new FlagReader(main, windows));
  const casacore::rownr_t nrow = main.nrow(), step = unflagged ? block_rows / 16 : block_rows;
  std::vector<uint8_t> keep(std::min(step, nrow), 1);
  sheaf_progress_begin("listobs", nrow, "rows");
  struct End {
    ~End() { sheaf_progress_end(); }
  } end;
  for (casacore::rownr_t first = 0; first < nrow; first += step) {
    const casacore::rownr_t n = std::min(step, nrow - first);
    if (select) test_rows(select, first, n, keep);
    columns.read(first, n);
    for (casacore::rownr_t i = 0; i < n; i++)
      if (keep[i]) adder.add(columns, i, flags.get(), first + i);
    sheaf_progress_add(n);
    if (sheaf_cancelled()) throw Failure(SHEAF_ERR_INTERRUPTED, "interrupted");
  }
  adder.finish();
  return out;
}

}  // namespace sheaf

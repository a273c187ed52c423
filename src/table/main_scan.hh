// SPDX-License-Identifier: GPL-3.0-or-later
//
// main_scan.hh - one pass over the main table of an MS: who observed what, when, how often.
//
// Rows are read in blocks, so memory does not grow with the MS but with the number of scans.
#ifndef SHEAF_TABLE_MAIN_SCAN_HH
#define SHEAF_TABLE_MAIN_SCAN_HH

#include <casacore/tables/Tables/Table.h>

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "table/select.h"

namespace sheaf {

struct ScanKey {
  int obs, array, scan;
  bool operator<(const ScanKey& o) const {
    return std::tie(obs, array, scan) < std::tie(o.obs, o.array, o.scan);
  }
};

struct SubScanKey {
  int obs, array, scan, field;
  bool operator<(const SubScanKey& o) const {
    return std::tie(obs, array, scan, field) < std::tie(o.obs, o.array, o.scan, o.field);
  }
  ScanKey whole() const { return {obs, array, scan}; }
};

// First start and last end of a scan's integrations (s, as TIME).
struct TimeSpan {
  double begin_s, end_s;
};

struct IntervalSum {
  int64_t nrow = 0;
  double sum_s = 0;
};

// The rows of one field in one scan.
struct SubScan {
  int64_t nrow = 0;
  double unflagged = 0;  // rows, counted in fractions of their bandwidth
  double exposure_sum_s = 0;
  std::set<int> states;
  std::map<int, IntervalSum> spws;
};

struct FieldRows {
  int64_t nrow = 0;
  double unflagged = 0;
};

struct MainScan {
  int64_t nrow = 0;
  std::map<SubScanKey, SubScan> subscans;
  std::map<ScanKey, TimeSpan> scans;
  std::map<int, FieldRows> fields;
  std::set<int> antennas, data_descs;
};

// What the pass needs from sub-tables. A data description without a window has spw -1.
struct WindowMap {
  std::vector<int> spw_of_dd;
  std::vector<std::vector<double>> chan_width_hz;  // per spw
  std::vector<double> bandwidth_hz;
  int spw(int dd) const {
    return dd >= 0 && static_cast<size_t>(dd) < spw_of_dd.size() ? spw_of_dd[dd] : -1;
  }
};

// Reads all rows that are selected (null: every row). With `unflagged` also FLAG, one cell after
// the other. Columns that are missing count as 0 (STATE_ID as -1). Throws Failure with
// SHEAF_ERR_INTERRUPTED when the user stops it.
MainScan scan_main(const casacore::Table& main, const WindowMap& windows, sheaf_select* select,
                   bool unflagged);

}  // namespace sheaf
#endif

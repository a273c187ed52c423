// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_ms.hh - the tool `ms`: an open MeasurementSet with a selection.
#ifndef SHEAF_TABLE_TOOL_MS_HH
#define SHEAF_TABLE_TOOL_MS_HH

#include <casacore/measures/Measures/Stokes.h>
#include <casacore/ms/MSSel/MSSelection.h>
#include <casacore/ms/MeasurementSets/MSIter.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>

#include <memory>
#include <string>
#include <vector>

#include "table/tool.hh"

namespace sheaf {

// selectchannel: `n` channels from `start` on, each the mean of `width`, `step` apart.
struct Channels {
  int n = 0, start = 0, width = 1, step = 1;
};

// Rows of the selection, in steps that the user iterates over.
struct Steps {
  std::unique_ptr<casacore::MSIter> iter;
  casacore::Int64 max_rows = 0;  // of a step; 0: all of a chunk
  casacore::Int64 done = 0;      // rows of the chunk before this step
  casacore::Table rows;          // of this step
  bool begun = false;
};

class MsTool : public Tool {
 public:
  // An MS that cannot be written is left open until the process ends.
  ~MsTool() override;
  Rest call(const std::string& method, const Arguments& args, sheaf_pack& out) override;
  void release() override;

  casacore::MeasurementSet& opened();
  bool is_open() const { return !ms.isNull(); }
  void open(const std::string& path, bool nomodify, bool lock, bool check);
  void close();
  // Everything is selected again.
  void reset();
  // Before data are asked for: cells have one shape, or the first data description is selected.
  void one_shape();
  // Narrows the selection by CASA's expressions; false when nothing is left.
  bool narrow(const casacore::Record& expressions, bool only_parse);
  // The rows that getdata and putdata work on.
  casacore::Table rows() const { return steps.begun ? steps.rows : casacore::Table(selected); }
  // Takes the locks of a change.
  void before_change();

  casacore::MeasurementSet ms, selected;
  std::unique_ptr<casacore::MSSelection> parsed;
  bool shape_known = false;
  Channels channels;                        // n == 0: all
  std::vector<casacore::Int> correlations;  // wanted; empty: all
  bool averaged = false;                    // the last getdata averaged
  int64_t gap = 0;                          // ifraxisgap of the last getdata
  Steps steps;
  TilePuts puts;

 private:
  WriterLock lock_;
  Freshness fresh_;
};

using MsMethod = std::function<void(MsTool&, const Arguments&, sheaf_pack&)>;
using MsMethods = std::map<std::string, MsMethod>;
void add_ms_selections(MsMethods& methods);  // tool_msselect.cc
void add_ms_data(MsMethods& methods);        // tool_msdata.cc

// Spectral windows and polarization setups of the rows' data descriptions.
struct Setup {
  std::vector<casacore::Int> spws, pols;  // ascending data descriptions
};
Setup setup_of(const casacore::MeasurementSet& ms, const casacore::Table& rows);
// CORR_TYPE of the first polarization setup.
casacore::Vector<casacore::Int> types_of(const casacore::MeasurementSet& ms, const Setup& setup);

// A warning in the log, with CASA's words.
void warn(const std::string& method, const std::string& text);

}  // namespace sheaf
#endif

// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_ms.cc - the tool `ms`: opening, iterating, and what is in an MS.
#include "table/tool_ms.hh"

#include <casacore/casa/Containers/Block.h>
#include <casacore/casa/OS/File.h>
#include <casacore/measures/Measures/MeasureHolder.h>
#include <casacore/ms/MSOper/MSSummary.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/ms/MeasurementSets/MSRange.h>
#include <casacore/tables/Tables/ScalarColumn.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "table/guard.hh"
#include "table/table_impl.hh"

using namespace casacore;

namespace sheaf {
namespace {

void write_truth(sheaf_pack& out, bool value) {
  sheaf_pack_bool(&out, value);
}

// ---- iterating ----

// The rows of the present step: the chunk, or a part of it.
void take_step(Steps& s) {
  Table chunk = s.iter->table();
  const Int64 left = static_cast<Int64>(chunk.nrow()) - s.done;
  if (!s.max_rows || (s.done == 0 && left <= s.max_rows)) {
    s.rows = chunk;
    s.done += left;
    return;
  }
  const Int64 n = std::min(left, s.max_rows);
  RowNumbers numbers(n);
  for (Int64 i = 0; i < n; i++) numbers[i] = s.done + i;
  s.rows = chunk(numbers);
  s.done += n;
}

// False when there are no more rows; the last step stays.
bool next_step(Steps& s) {
  if (s.done < static_cast<Int64>(s.iter->table().nrow())) {
    take_step(s);
    return true;
  }
  (*s.iter)++;
  s.done = 0;
  if (!s.iter->more()) return false;
  take_step(s);
  return true;
}

void begin_iteration(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.one_shape();
  std::vector<int> columns;
  for (const auto& name : a["columns"].texts()) {
    if (name.empty()) continue;
    const String upper = upcase(String(name));
    const auto id = MS::columnType(upper);
    if (id == MS::UNDEFINED_COLUMN || !t.ms.tableDesc().isColumn(upper)) {
      warn("iterinit", "Iteration initialization failed: unrecognized column name: " + name);
      return write_truth(out, false);
    }
    columns.push_back(id);
  }
  if (t.selected.nrow() == 0)
    throw Failure(SHEAF_ERR_EMPTY, "Selected table is empty, cannot iterate");
  Block<Int> sort(columns.size());
  for (size_t i = 0; i < columns.size(); i++) sort[i] = columns[i];
  t.steps = Steps();
  t.steps.iter = std::make_unique<MSIter>(t.selected, sort, a["interval"].real(),
                                          a["adddefaultsortcolumns"].truth(), false);
  t.steps.max_rows = a["maxrows"].integer();
  write_truth(out, true);
}

void go_to_origin(MsTool& t, const Arguments&, sheaf_pack& out) {
  if (!t.steps.iter) {
    warn("iterorigin", "Iterator not initialized; use iterinit");
    return write_truth(out, false);
  }
  t.steps.iter->origin();
  t.steps.done = 0;
  t.steps.begun = true;
  take_step(t.steps);
  write_truth(out, true);
}

void add_iteration(MsMethods& m) {
  m["iterinit"] = begin_iteration;
  m["iterorigin"] = go_to_origin;
  m["iternext"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    write_truth(out, t.steps.begun && next_step(t.steps));
  };
  m["iterend"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    t.steps = Steps();
    write_truth(out, true);
  };
}

// ---- what is there ----

void direction_of_field(MsTool& t, const Arguments& a, sheaf_pack& out) {
  MSFieldColumns fields(t.opened().field());
  const Int64 id = a["fieldid"].integer();
  if (id < 0 || id >= static_cast<Int64>(t.ms.field().nrow()))
    throw Failure(SHEAF_ERR_ARG, "fieldid=" + std::to_string(id) + ": there are " +
                                     std::to_string(t.ms.field().nrow()) + " fields");
  const String name = upcase(String(a["dircolname"].text()));
  const Double time = a["time"].real();
  MDirection d;
  if (name == "DELAY_DIR")
    d = fields.delayDirMeas(id, time);
  else if (name == "PHASE_DIR")
    d = fields.phaseDirMeas(id, time);
  else if (name == "REFERENCE_DIR")
    d = fields.referenceDirMeas(id, time);
  else
    throw Failure(SHEAF_ERR_ARG, "Illegal FIELD direction column name: " + a["dircolname"].text() +
                                     "; PHASE_DIR, DELAY_DIR or REFERENCE_DIR");
  if (downcase(String(a["format"].text())).startsWith("s"))
    return write(out, std::string(String::toString(d)));
  String error;
  Record record;
  if (!MeasureHolder(d).toRecord(error, record)) throw Failure(SHEAF_ERR_DATA, error);
  write(out, record);
}

// A sorted copy with its sub-tables.
void copy_sorted(MsTool& t, const Arguments& a, sheaf_pack& out) {
  const MeasurementSet& ms = t.opened();
  const std::string to = a["newmsname"].text();
  const auto names = a["columns"].texts();
  if (to.empty())
    throw Failure(SHEAF_ERR_ARG, "ms.sort: newmsname is needed; sorting in place is not offered");
  if (names.empty()) throw Failure(SHEAF_ERR_ARG, "ms.sort: columns is empty");
  for (const auto& name : names)
    if (!ms.tableDesc().isColumn(name))
      throw Failure(SHEAF_ERR_ARG, "ms.sort: there is no column " + name);
  if (File(to).exists()) throw Failure(SHEAF_ERR_EXISTS, to + " already exists");
  Block<String> keys(names.size());
  for (size_t i = 0; i < names.size(); i++) keys[i] = names[i];
  ms.sort(keys).deepCopy(to, Table::NewNoReplace);
  write_truth(out, true);
}

void add_queries(MsMethods& m) {
  m["sort"] = copy_sorted;
  m["name"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    write(out, t.is_open() ? std::string(t.ms.tableName()) : std::string("none"));
  };
  m["nrow"] = [](MsTool& t, const Arguments& a, sheaf_pack& out) {
    const auto all = t.opened().nrow();
    sheaf_pack_int(&out, static_cast<int64_t>(a["selected"].truth() ? t.selected.nrow() : all));
  };
  m["iswritable"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    write_truth(out, t.is_open() && t.ms.isWritable());
  };
  m["ismultims"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    write_truth(out, t.opened().tableInfo().subType() == "CONCATENATED");
  };
  m["getreferencedtables"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    const Block<String> parts = t.opened().getPartNames();
    write(out, Vector<String>(parts.begin(), parts.end()));
  };
  m["getscansummary"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    Record r;
    MSSummary(&t.opened()).getScanSummary(r);
    write(out, r);
  };
  m["getspectralwindowinfo"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    Record r;
    MSSummary(&t.opened()).getSpectralWindowInfo(r);
    write(out, r);
  };
  m["getfielddirmeas"] = direction_of_field;
  m["range"] = [](MsTool& t, const Arguments& a, sheaf_pack& out) {
    t.opened();
    MSRange range(t.selected);
    range.setBlockSize(static_cast<Int>(a["blocksize"].integer()));
    write(out, range.range(to_strings(a["items"].texts()), a["useflags"].truth(), false));
  };
}

void add_opening(MsMethods& m) {
  m["open"] = [](MsTool& t, const Arguments& a, sheaf_pack&) {
    t.open(a["thems"].text(), a["nomodify"].truth(), a["lock"].truth(), a["check"].truth());
  };
  m["close"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    write_truth(out, t.is_open());
    t.close();
  };
  m["reset"] = [](MsTool& t, const Arguments&, sheaf_pack&) {
    t.opened();
    t.reset();
  };
}

const MsMethods& methods() {
  static const auto* all = [] {
    auto* m = new MsMethods;
    add_opening(*m);
    add_queries(*m);
    add_iteration(*m);
    add_ms_selections(*m);
    add_ms_data(*m);
    return m;
  }();
  return *all;
}

// Ids that lead nowhere would end in casacore's arrays.
void check_ids(const MeasurementSet& ms) {
  const std::pair<const char*, size_t> ids[] = {{"ANTENNA1", ms.antenna().nrow()},
                                                {"ANTENNA2", ms.antenna().nrow()},
                                                {"FIELD_ID", ms.field().nrow()},
                                                {"DATA_DESC_ID", ms.dataDescription().nrow()}};
  for (const auto& id : ids) {
    const Vector<Int> column = ScalarColumn<Int>(ms, id.first).getColumn();
    for (const Int x : column)
      if (x < 0 || static_cast<size_t>(x) >= id.second)
        throw Failure(SHEAF_ERR_DATA, std::string(id.first) + " holds " + std::to_string(x) +
                                          ", and the sub-table has " + std::to_string(id.second) +
                                          " rows");
  }
}

}  // namespace

void warn(const std::string& method, const std::string& text) {
  sheaf_log_line(SHEAF_LOG_WARN, ("ms::" + method).c_str(), text.c_str());
}

Setup setup_of(const MeasurementSet& ms, const Table& rows) {
  const Vector<Int> ids = ScalarColumn<Int>(rows, "DATA_DESC_ID").getColumn();
  const std::set<Int> distinct(ids.begin(), ids.end());
  const MSDataDescColumns dd(ms.dataDescription());
  Setup setup;
  for (const Int id : distinct) {
    if (id < 0 || static_cast<size_t>(id) >= ms.dataDescription().nrow())
      throw Failure(SHEAF_ERR_DATA,
                    "DATA_DESC_ID " + std::to_string(id) + " is beyond DATA_DESCRIPTION");
    setup.spws.push_back(dd.spectralWindowId()(id));
    setup.pols.push_back(dd.polarizationId()(id));
  }
  return setup;
}

Vector<Int> types_of(const MeasurementSet& ms, const Setup& setup) {
  return Vector<Int>(MSPolarizationColumns(ms.polarization()).corrType()(setup.pols.at(0)));
}

MeasurementSet& MsTool::opened() {
  if (ms.isNull())
    throw Failure(SHEAF_ERR_ARG, "ms is not attached to a file - cannot perform operation.");
  if (!ms.isWritable()) fresh_.look(ms);
  return ms;
}

void MsTool::open(const std::string& path, bool nomodify, bool lock, bool check) {
  close();
  if (!Table::isReadable(path))
    throw Failure(SHEAF_ERR_NOTFOUND, "Table " + path + " does not exist");
  check_reference(path);
  const auto locking = lock       ? TableLock::PermanentLocking
                       : nomodify ? TableLock::UserNoReadLocking
                                  : TableLock::AutoNoReadLocking;
  ms = MeasurementSet(path, TableLock(locking), nomodify ? Table::Old : Table::Update);
  selected = ms;
  parsed = std::make_unique<MSSelection>();
  parsed->resetMS(ms);
  if (!check) return;
  try {
    check_ids(ms);
  } catch (...) {
    close();
    throw;
  }
}

void MsTool::reset() {
  steps = Steps();
  selected = ms;
  parsed = std::make_unique<MSSelection>();
  if (!ms.isNull()) parsed->resetMS(ms);
  shape_known = averaged = false;
  gap = 0;
  channels = Channels();
  correlations.clear();
}

MsTool::~MsTool() {
  try {
    close();
  } catch (const std::exception& x) {
    sheaf_log_line(SHEAF_LOG_SEVERE, "ms::close", x.what());
    static auto* kept = new std::vector<MeasurementSet>;
    kept->push_back(ms);
  }
}

void MsTool::close() {
  puts.finish();
  if (!ms.isNull()) settle(ms);
  puts = TilePuts();
  selected = MeasurementSet();
  ms = MeasurementSet();
  reset();
  parsed.reset();
  lock_.drop();
}

void MsTool::release() {
  puts.finish();
  puts = TilePuts();
  if (!ms.isNull() && ms.isWritable()) {
    flush_safely(ms, false);
    ms.unlock();
  }
  lock_.drop();
}

void MsTool::before_change() {
  const Block<String> parts = ms.getPartNames(true);
  for (const auto& part : parts) lock_.take(part);
}

void MsTool::one_shape() {
  opened();
  if (shape_known) return;
  const Setup setup = setup_of(ms, selected);
  const MSSpWindowColumns windows(ms.spectralWindow());
  const MSPolarizationColumns pols(ms.polarization());
  std::set<std::pair<Int, Int>> shapes;
  for (size_t i = 0; i < setup.spws.size(); i++)
    shapes.insert({windows.numChan()(setup.spws[i]), pols.numCorr()(setup.pols[i])});
  shape_known = true;
  if (shapes.size() <= 1) return;
  warn("checkinit", "Data shape varies, selecting first data desc id only");
  Record first;
  first.define("taql", "DATA_DESC_ID IN [0]");
  narrow(first, false);
}

Rest MsTool::call(const std::string& method, const Arguments& args, sheaf_pack& out) {
  const auto found = methods().find(method);
  if (found == methods().end())
    throw Failure(SHEAF_ERR_INTERNAL, "the ms tool has no method " + method);
  found->second(*this, args, out);
  return {};
}

std::unique_ptr<Tool> make_ms_tool() {
  return std::make_unique<MsTool>();
}

}  // namespace sheaf

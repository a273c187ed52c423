// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/select.h"

#include <casacore/casa/Arrays/ArrayLogical.h>
#include <casacore/ms/MSSel/MSSelection.h>
#include <casacore/ms/MSSel/MSSelectionError.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/tables/TaQL/ExprNode.h>
#include <casacore/tables/TaQL/TableExprId.h>
#include <casacore/tables/Tables/ScalarColumn.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "base/log.h"
#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

struct sheaf_select {
  std::unique_ptr<MeasurementSet> ms;
  TableExprNode node;  // null: every row
  sheaf_selected parsed = {};
  // Owners of what `parsed` points to.
  std::vector<std::vector<int32_t>> ids;
  std::vector<sheaf_chanrange> chan;
  std::vector<sheaf_polsel> pol;
  std::vector<double> time_s;
};

namespace {

bool given(const char* text) {
  return text && *text;
}

// One part of the selection: parameter name, setter, text.
struct Part {
  const char* name;
  Bool (MSSelection::*set)(const String&);
  const char* text;
};

std::vector<Part> parts_of(const sheaf_selection& s) {
  return {{"field", &MSSelection::setFieldExpr, s.field},
          {"spw", &MSSelection::setSpwExpr, s.spw},
          {"scan", &MSSelection::setScanExpr, s.scan},
          {"antenna", &MSSelection::setAntennaExpr, s.antenna},
          {"correlation", &MSSelection::setPolnExpr, s.correlation},
          {"timerange", &MSSelection::setTimeExpr, s.timerange},
          {"intent", &MSSelection::setStateExpr, s.intent},
          {"array", &MSSelection::setArrayExpr, s.array},
          {"uvrange", &MSSelection::setUvDistExpr, s.uvrange},
          {"observation", &MSSelection::setObservationExpr, s.observation},
          {"feed", &MSSelection::setFeedExpr, s.feed},
          {"taql", &MSSelection::setTaQLExpr, s.taql}};
}

std::string trimmed(const char* text) {
  std::string s(text);
  while (!s.empty() && std::strchr("\n ,", s.back())) s.pop_back();
  return s;
}

// "0~26 (ea01, ea02, …)": the rows of a sub-table with their names.
std::string rows_of(const Table& table) {
  std::string text = table.nrow() ? "0~" + std::to_string(table.nrow() - 1) : "none";
  if (table.nrow() == 1) text = "0";
  const Vector<String> names(ScalarColumn<String>(table, "NAME").getColumn());
  std::string list;
  for (size_t i = 0; i < names.size() && list.size() < 120; i++)
    if (!names[i].empty()) list += (list.empty() ? "" : ", ") + std::string(names[i]);
  return list.empty() ? text : text + " (" + list + (list.size() < 120 ? ")" : ", …)");
}

// What the MS has of that which a part selects; "" where that is not a short list.
std::string what_there_is(const MeasurementSet& ms, const std::string& name) {
  try {
    if (name == "field") return "; this MS has the fields " + rows_of(ms.field());
    if (name == "spw") return "; this MS has the spectral windows " + rows_of(ms.spectralWindow());
    if (name == "antenna") return "; this MS has the antennas " + rows_of(ms.antenna());
  } catch (const std::exception&) {
    // a damaged sub-table: the parser's message stands alone
  }
  return "";
}

// Whether casacore's complaint is that the MS has nothing of that name or number. It has no type
// for that; its other complaints about these parts are "Parse error …".
bool is_unknown(const Part& part, const std::string& complaint) {
  static const std::set<std::string> named = {"antenna", "field", "spw"};
  const bool missing = complaint.find("No match found") != std::string::npos ||
                       complaint.find("no match for") != std::string::npos;
  return missing && named.count(part.name);
}

// Parses one part alone, so that a mistake can be blamed on its parameter.
void check_part(const MeasurementSet& ms, const Part& part, bool lenient) {
  try {
    MSSelection alone;
    (alone.*part.set)(part.text);
    alone.toTableExprNode(&ms);
  } catch (const MSSelectionNullSelection& x) {
    throw Failure(SHEAF_ERR_EMPTY,
                  std::string(part.name) + "='" + part.text + "': " + trimmed(x.what()));
  } catch (const std::exception& x) {
    const int code = lenient && is_unknown(part, x.what()) ? SHEAF_ERR_EMPTY : SHEAF_ERR_ARG;
    throw Failure(code, std::string(part.name) + "='" + part.text + "': " + trimmed(x.what()) +
                            what_there_is(ms, part.name));
  }
}

sheaf_ids keep_ids(sheaf_select* s, bool is_given, std::vector<int32_t> list) {
  s->ids.push_back(std::move(list));
  auto& kept = s->ids.back();
  return {is_given ? 1 : 0, kept.size(), kept.data()};
}

std::vector<int32_t> list_of(const Vector<Int>& v) {
  return std::vector<int32_t>(v.begin(), v.end());
}

std::vector<int32_t> absolute_sorted(const Vector<Int>& a, const Vector<Int>& b) {
  std::vector<int32_t> all;
  for (Int x : a) all.push_back(std::abs(x));
  for (Int x : b) all.push_back(std::abs(x));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// casacore takes ids beyond the table without a word when others in the list are right.
void warn_antennas(const MeasurementSet& ms, const std::vector<int32_t>& antennas,
                   const char* text) {
  const int64_t n = ms.antenna().nrow();
  if (!antennas.empty() && antennas.back() >= n)
    sheaf_log(SHEAF_LOG_WARN, "antenna='%s': there is no antenna %d%s", text, antennas.back(),
              what_there_is(ms, "antenna").c_str());
}

void keep_antennas(sheaf_select* s, MSSelection& selection, bool is_given, const char* text) {
  std::vector<int32_t> antennas, pairs;
  if (is_given) {
    const Matrix<Int> baselines = selection.getBaselineList();
    antennas = absolute_sorted(selection.getAntenna1List(), selection.getAntenna2List());
    warn_antennas(*s->ms, antennas, text);
    for (size_t i = 0; i < baselines.nrow(); i++) {
      pairs.push_back(baselines(i, 0));
      pairs.push_back(baselines(i, 1));
    }
  }
  s->parsed.antenna = keep_ids(s, is_given, antennas);
  s->parsed.baseline = keep_ids(s, is_given, pairs);
}

void keep_channels(sheaf_select* s, MSSelection& selection) {
  const Matrix<Int> list = selection.getChanList();
  for (size_t i = 0; i < list.nrow(); i++)
    s->chan.push_back({list(i, 0), list(i, 1), list(i, 2), std::max<Int>(1, list(i, 3))});
  s->parsed.nchan = s->chan.size();
  s->parsed.chan = s->chan.data();
}

void keep_correlations(sheaf_select* s, MSSelection& selection) {
  for (const auto& [pol, lists] : selection.getCorrMap()) {
    sheaf_polsel one = {pol, 0, {}};
    // A selection does not reorder: correlations stay in the order of the MS.
    const std::set<Int> kept(lists[0].begin(), lists[0].end());
    for (Int corr : kept)
      if (one.n < sizeof one.corr / sizeof *one.corr) one.corr[one.n++] = corr;
    s->pol.push_back(one);
  }
  s->parsed.npol = s->pol.size();
  s->parsed.pol = s->pol.data();
}

void keep_times(sheaf_select* s, MSSelection& selection) {
  const Matrix<Double> list = selection.getTimeList();
  for (size_t i = 0; i < list.ncolumn(); i++) {
    s->time_s.push_back(list(0, i));
    s->time_s.push_back(list(1, i));
  }
  s->parsed.ntime = list.ncolumn();
  s->parsed.time_s = s->time_s.data();
}

void keep_parsed(sheaf_select* s, MSSelection& selection, const sheaf_selection& texts) {
  s->ids.reserve(16);
  sheaf_selected& p = s->parsed;
  const bool dd = given(texts.spw) || given(texts.correlation);
  p.spw = keep_ids(s, given(texts.spw),
                   given(texts.spw) ? list_of(selection.getSpwList()) : std::vector<int32_t>());
  p.ddid = keep_ids(s, dd, dd ? list_of(selection.getDDIDList()) : std::vector<int32_t>());
  p.field = keep_ids(s, given(texts.field), list_of(selection.getFieldList()));
  p.state = keep_ids(s, given(texts.intent), list_of(selection.getStateObsModeList()));
  p.observation = keep_ids(s, given(texts.observation), list_of(selection.getObservationList()));
  p.array = keep_ids(s, given(texts.array), list_of(selection.getSubArrayList()));
  p.scan = keep_ids(s, given(texts.scan), list_of(selection.getScanList()));
  keep_antennas(s, selection, given(texts.antenna), texts.antenna);
  if (given(texts.spw)) keep_channels(s, selection);
  if (given(texts.correlation)) keep_correlations(s, selection);
  if (given(texts.timerange)) keep_times(s, selection);
}

void parse(sheaf_select* s, const sheaf_selection& texts) {
  MSSelection selection;
  bool any = false;
  for (const Part& part : parts_of(texts)) {
    if (!given(part.text)) continue;
    check_part(*s->ms, part, texts.lenient);
    (selection.*part.set)(part.text);
    any = true;
  }
  if (!any) return;
  s->node = selection.toTableExprNode(s->ms.get());
  keep_parsed(s, selection, texts);
}

}  // namespace

int sheaf_select_open(sheaf_select** select, const char* path, const sheaf_selection* selection,
                      sheaf_error* err) {
  *select = nullptr;
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    auto s = std::make_unique<sheaf_select>();
    s->ms = std::make_unique<MeasurementSet>(path, TableLock(TableLock::NoLocking), Table::Old);
    parse(s.get(), *selection);
    *select = s.release();
    return 0;
  });
}

void sheaf_select_close(sheaf_select* select) {
  try {
    delete select;
  } catch (...) {
    // nothing was written
  }
}

const sheaf_selected* sheaf_select_parsed(const sheaf_select* select) {
  return &select->parsed;
}

int sheaf_select_all(const sheaf_select* select) {
  return select->node.isNull();
}

int sheaf_select_test(sheaf_select* select, int64_t row0, int64_t n, uint8_t* keep,
                      sheaf_error* err) {
  return guard(err, "selection", [&] {
    if (select->node.isNull()) {
      std::fill_n(keep, n, 1);
      return 0;
    }
    for (int64_t i = 0; i < n; i++) {
      Bool value = False;
      select->node.get(TableExprId(row0 + i), value);
      keep[i] = value;
    }
    return 0;
  });
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/select.h"

#include <casacore/casa/Arrays/ArrayLogical.h>
#include <casacore/ms/MSSel/MSSelection.h>
#include <casacore/ms/MSSel/MSSelectionError.h>
#include <casacore/ms/MeasurementSets/MSMainColumns.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/tables/TaQL/ExprNode.h>
#include <casacore/tables/TaQL/TableExprId.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/SetupNewTab.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace {
// A part of a selection that was parsed by itself: what the parser understood, or its complaint.
struct Known {
  std::unique_ptr<MSSelection> understood;
  std::unique_ptr<Failure> complaint;
};
}  // namespace

struct sheaf_select_ms {
  std::string path;
  std::shared_ptr<MeasurementSet> ms;  // null until something is to be parsed
  std::map<std::string, Known> known;  // by part and text
  std::unordered_map<std::string, std::vector<double>> times;  // of sheaf_select_ms_times
};

struct sheaf_select {
  std::shared_ptr<MeasurementSet> ms;
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

// Whether casacore's complaint is that the MS has nothing of that name or number, or that a time
// range ends before it begins. It has no type for that; its other complaints about these parts are
// "Parse error …".
bool is_unknown(const Part& part, const std::string& complaint) {
  static const std::set<std::string> named = {"antenna", "field", "spw"};
  if (part.name == std::string("timerange"))
    return complaint.find("lower bound > upper bound") != std::string::npos;
  const bool missing = complaint.find("No match found") != std::string::npos ||
                       complaint.find("no match for") != std::string::npos;
  return missing && named.count(part.name);
}

std::shared_ptr<MeasurementSet> open_ms(const char* path) {
  return std::make_shared<MeasurementSet>(path, TableLock(TableLock::NoLocking), Table::Old);
}

const std::shared_ptr<MeasurementSet>& opened(sheaf_select_ms& m) {
  if (!m.ms) m.ms = open_ms(m.path.c_str());
  return m.ms;
}

// Parses one part alone, so that a mistake can be blamed on its parameter.
std::unique_ptr<MSSelection> parse_alone(const MeasurementSet& ms, const Part& part, bool lenient) {
  try {
    auto alone = std::make_unique<MSSelection>();
    ((*alone).*part.set)(part.text);
    alone->toTableExprNode(&ms);
    return alone;
  } catch (const MSSelectionNullSelection& x) {
    throw Failure(SHEAF_ERR_EMPTY,
                  std::string(part.name) + "='" + part.text + "': " + trimmed(x.what()));
  } catch (const std::exception& x) {
    const int code = lenient && is_unknown(part, x.what()) ? SHEAF_ERR_EMPTY : SHEAF_ERR_ARG;
    throw Failure(code, std::string(part.name) + "='" + part.text + "': " + trimmed(x.what()) +
                            what_there_is(ms, part.name));
  }
}

// The same, of many texts that are alike; it lives until the next call.
MSSelection& parse_known(sheaf_select_ms& m, const Part& part, bool lenient) {
  constexpr size_t most = 4096;
  const std::string key = std::string(lenient ? "+" : "") + part.name + "=" + part.text;
  if (m.known.size() >= most && !m.known.count(key)) m.known.clear();
  Known& k = m.known[key];
  if (!k.understood && !k.complaint) {
    try {
      k.understood = parse_alone(*opened(m), part, lenient);
    } catch (const Failure& f) {
      k.complaint = std::make_unique<Failure>(f);
    }
  }
  if (k.complaint) throw Failure(*k.complaint);
  return *k.understood;
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

void keep_antennas(sheaf_select* s, MSSelection& selection, const char* text) {
  std::vector<int32_t> pairs;
  const Matrix<Int> baselines = selection.getBaselineList();
  std::vector<int32_t> antennas =
      absolute_sorted(selection.getAntenna1List(), selection.getAntenna2List());
  warn_antennas(*s->ms, antennas, text);
  for (size_t i = 0; i < baselines.nrow(); i++) {
    pairs.push_back(baselines(i, 0));
    pairs.push_back(baselines(i, 1));
  }
  s->parsed.antenna = keep_ids(s, true, antennas);
  s->parsed.baseline = keep_ids(s, true, pairs);
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

void keep_part(sheaf_select* s, const std::string& name, MSSelection& of, const char* text) {
  sheaf_selected& p = s->parsed;
  if (name == "spw") {
    p.spw = keep_ids(s, true, list_of(of.getSpwList()));
    keep_channels(s, of);
  } else if (name == "correlation") {
    keep_correlations(s, of);
  } else if (name == "field") {
    p.field = keep_ids(s, true, list_of(of.getFieldList()));
  } else if (name == "intent") {
    p.state = keep_ids(s, true, list_of(of.getStateObsModeList()));
  } else if (name == "observation") {
    p.observation = keep_ids(s, true, list_of(of.getObservationList()));
  } else if (name == "array") {
    p.array = keep_ids(s, true, list_of(of.getSubArrayList()));
  } else if (name == "scan") {
    p.scan = keep_ids(s, true, list_of(of.getScanList()));
  } else if (name == "antenna") {
    keep_antennas(s, of, text);
  } else if (name == "timerange") {
    keep_times(s, of);
  }
  if (name == "spw" || name == "correlation") p.ddid = keep_ids(s, true, list_of(of.getDDIDList()));
}

// All parts at once, with the node that tests rows.
void parse(sheaf_select* s, const sheaf_selection& texts) {
  MSSelection selection;
  bool any = false;
  const std::vector<Part> parts = parts_of(texts);
  for (const Part& part : parts) {
    if (!given(part.text)) continue;
    (selection.*part.set)(part.text);
    any = true;
  }
  if (!any) return;
  try {
    s->node = selection.toTableExprNode(s->ms.get());
  } catch (const std::exception&) {
    for (const Part& part : parts)
      if (given(part.text)) parse_alone(*s->ms, part, texts.lenient);
    throw;
  }
  for (const Part& part : parts)
    if (given(part.text)) keep_part(s, part.name, selection, part.text);
}

// "2014/09/20/10:36:04.6"
bool is_full_time(const std::string& text) {
  return std::count(text.begin(), text.end(), '/') == 3 &&
         text.find_first_not_of("0123456789/:. ") == std::string::npos;
}

// Whether a time range says all by itself: pairs of full times. casacore completes others from the
// first row that the other parts select.
bool is_complete(const std::string& text) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const size_t middle = text.find('~', at);
    if (middle == std::string::npos || middle >= end) return false;
    if (!is_full_time(text.substr(at, middle - at)) ||
        !is_full_time(text.substr(middle + 1, end - middle - 1)))
      return false;
    at = end + 1;
  }
  return true;
}

// Each part by itself, and each text once. Windows and correlations depend on each other.
bool parse_by_parts(sheaf_select* s, sheaf_select_ms& m, const sheaf_selection& texts) {
  if (given(texts.correlation)) return false;
  if (given(texts.timerange) && !is_complete(texts.timerange)) return false;
  for (const Part& part : parts_of(texts)) {
    if (!given(part.text)) continue;
    s->ms = opened(m);
    const auto times = part.text == texts.timerange ? m.times.find(part.text) : m.times.end();
    if (times != m.times.end()) {
      s->time_s = times->second;
      s->parsed.ntime = s->time_s.size() / 2;
      s->parsed.time_s = s->time_s.data();
    } else {
      keep_part(s, part.name, parse_known(m, part, texts.lenient), part.text);
    }
  }
  return true;
}

// Parses these as one list of ranges; when it is not good as a whole, nothing is known of it.
void parse_times(sheaf_select_ms& m, const std::vector<const char*>& texts) {
  std::string all;
  size_t n = 0;
  for (const char* text : texts) {
    n += std::count(text, text + std::strlen(text), ',') + 1;
    all += (all.empty() ? "" : ",") + std::string(text);
  }
  Matrix<Double> list;
  try {
    MSSelection selection;
    selection.setTimeExpr(all);
    selection.toTableExprNode(opened(m).get());
    list = selection.getTimeList();
  } catch (const std::exception&) {
    return;  // each by itself, so that the bad one can be blamed
  }
  if (list.ncolumn() != n) return;
  size_t at = 0;
  for (const char* text : texts) {
    std::vector<double>& times = m.times[text];
    for (size_t i = std::count(text, text + std::strlen(text), ',') + 1; i > 0; i--, at++) {
      times.push_back(list(0, at));
      times.push_back(list(1, at));
    }
  }
}

// An MS of one row in memory, for casacore's parser of times.
MeasurementSet row_in_memory(double time_s, double interval_s) {
  SetupNewTable setup("times", MeasurementSet::requiredTableDesc(), Table::Scratch);
  MeasurementSet ms(setup, Table::Memory, 1);
  MSMainColumns columns(ms);
  columns.time().put(0, time_s);
  columns.timeCentroid().put(0, time_s);
  columns.interval().put(0, interval_s);
  columns.exposure().put(0, interval_s);
  columns.flagRow().put(0, False);
  return ms;
}

}  // namespace

int sheaf_select_times(const char* timerange, double time_s, double interval_s, double** out,
                       size_t* n, sheaf_error* err) {
  *out = nullptr;
  sheaf_casacore_log_install();
  return guard(err, "timerange", [&] {
    const MeasurementSet ms = row_in_memory(time_s, interval_s);
    MSSelection selection;
    selection.setTimeExpr(timerange);
    Matrix<Double> list;
    try {
      selection.toTableExprNode(&ms);
      list = selection.getTimeList();
    } catch (const std::exception& x) {
      throw Failure(SHEAF_ERR_ARG,
                    std::string("timerange='") + timerange + "': " + trimmed(x.what()));
    }
    *n = list.ncolumn();
    *out = static_cast<double*>(malloc((2 * *n + 1) * sizeof **out));
    if (!*out) throw std::bad_alloc();
    for (size_t i = 0; i < *n; i++) {
      (*out)[2 * i] = list(0, i);
      (*out)[2 * i + 1] = list(1, i);
    }
    return 0;
  });
}

int sheaf_select_ms_open(sheaf_select_ms** ms, const char* path, sheaf_error* err) {
  *ms = nullptr;
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    *ms = new sheaf_select_ms{path, nullptr, {}, {}};
    return 0;
  });
}

int sheaf_select_ms_times(sheaf_select_ms* ms, const char* const* timeranges, size_t n,
                          sheaf_error* err) {
  constexpr size_t most = 256;  // casacore's lists grow by copying
  return guard(err, ms->path.c_str(), [&] {
    std::set<std::string> taken;
    std::vector<const char*> some;
    for (size_t i = 0; i < n; i++) {
      if (!is_complete(timeranges[i]) || !taken.insert(timeranges[i]).second) continue;
      some.push_back(timeranges[i]);
      if (some.size() < most) continue;
      parse_times(*ms, some);
      some.clear();
    }
    if (!some.empty()) parse_times(*ms, some);
    return 0;
  });
}

void sheaf_select_ms_close(sheaf_select_ms* ms) {
  try {
    delete ms;
  } catch (...) {
    // nothing was written
  }
}

int sheaf_select_parse(sheaf_select** select, sheaf_select_ms* ms,
                       const sheaf_selection* selection, sheaf_error* err) {
  *select = nullptr;
  return guard(err, ms->path.c_str(), [&] {
    auto s = std::make_unique<sheaf_select>();
    s->ids.reserve(16);
    if (!parse_by_parts(s.get(), *ms, *selection)) {
      s->ms = opened(*ms);
      parse(s.get(), *selection);
    }
    *select = s.release();
    return 0;
  });
}

int sheaf_select_open(sheaf_select** select, const char* path, const sheaf_selection* selection,
                      sheaf_error* err) {
  *select = nullptr;
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    auto s = std::make_unique<sheaf_select>();
    s->ms = open_ms(path);
    s->ids.reserve(16);
    parse(s.get(), *selection);
    s->ms.reset();  // and with it all sub-tables; the node keeps the main table
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

// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_msselect.cc - the tool `ms`: what narrows its selection.
#include <casacore/casa/Quanta/MVTime.h>
#include <casacore/ms/MSSel/MSSelectionError.h>
#include <casacore/ms/MSSel/MSSelectionTools.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/tables/TaQL/ExprNode.h>

#include <algorithm>
#include <set>

#include "table/guard.hh"
#include "table/tool_ms.hh"

using namespace casacore;

namespace sheaf {
namespace {

std::string number(double x) {
  char text[40];
  snprintf(text, sizeof text, "%.17g", x);
  return text;
}

std::string list_of(const std::vector<int64_t>& list) {
  std::string text;
  for (const int64_t x : list) text += (text.empty() ? "" : ",") + std::to_string(x);
  return "[" + text + "]";
}

Record one(const char* name, const std::string& text) {
  Record r;
  r.define(name, String(text));
  return r;
}

// An empty selection is no error here, as in CASA's selecttaql.
bool by_taql(MsTool& t, const std::string& taql) {
  return t.narrow(one("taql", taql), false);
}

std::vector<double> pair_of(const char* item, const Value& v) {
  const auto list = v.reals();
  if (list.size() != 2)
    throw Failure(SHEAF_ERR_ARG, std::string("Illegal value for ") + item +
                                     " range: two element numeric vector [start,stop] required");
  return list;
}

bool by_time(MsTool& t, const Value& v) {
  const auto range = pair_of("time", v);
  const String from = MVTime(range[0] / 86400.0).string(MVTime::YMD);
  const String to = MVTime(range[1] / 86400.0).string(MVTime::YMD);
  return t.narrow(one("time", from + "~" + to), false);
}

bool by_times(MsTool& t, const Value& v) {
  const auto list = v.reals();
  const Vector<Double> times(list.begin(), list.end());
  const Table kept = t.selected(t.selected.col("TIME").in(TableExprNode(times)));
  t.selected = MeasurementSet(kept);
  if (t.selected.nrow() == 0)
    warn("select",
         "Zero rows selected; input precision may be too small to select times exactly.  Reset "
         "selection and select time range with {'time':[start,stop]} instead");
  return true;
}

bool by_baselines(MsTool& t, const Value& v) {
  std::string text;
  for (const int64_t ifr : v.integers())
    text +=
        (text.empty() ? "" : ";") + std::to_string(ifr / 1000) + "&" + std::to_string(ifr % 1000);
  return t.narrow(one("baseline", text), false);
}

bool by_uvw(MsTool& t, const String& item, const Value& v) {
  const auto range = pair_of(item.c_str(), v);
  const std::string axis = item == "U" ? "UVW[1]" : item == "V" ? "UVW[2]" : "UVW[3]";
  return by_taql(t, axis + ">=" + number(range[0]) + " && " + axis + "<=" + number(range[1]));
}

bool select_item(MsTool& t, const String& item, const Value& v) {
  static const std::set<std::string> ids = {"ANTENNA1", "ANTENNA2", "ARRAY_ID",    "FEED1",
                                            "FEED2",    "FIELD_ID", "SCAN_NUMBER", "DATA_DESC_ID"};
  if (ids.count(item)) return by_taql(t, std::string(item) + " in " + list_of(v.integers()));
  if (item == "ROWS") return by_taql(t, "ROWID() in " + list_of(v.integers()));
  if (item == "IFR_NUMBER") return by_baselines(t, v);
  if (item == "TIME") return by_time(t, v);
  if (item == "TIMES") return by_times(t, v);
  if (item == "U" || item == "V" || item == "W") return by_uvw(t, item, v);
  if (item == "UVDIST") {
    const auto range = pair_of("uvdist", v);
    return t.narrow(one("uvdist", number(range[0]) + "~" + number(range[1])), false);
  }
  warn("select", "Unrecognized field in input ignored: " + item);
  return true;
}

void select(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.one_shape();
  bool ok = true;
  const Value& items = a["items"];
  for (size_t i = 0; i < items.names.size(); i++)
    ok = select_item(t, upcase(String(items.names[i])), items.members[i]) && ok;
  sheaf_pack_bool(&out, ok);
}

void select_first(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.opened();
  const int64_t id = a["datadescid"].integer();
  if (a["reset"].truth()) {
    t.reset();
    return sheaf_pack_bool(&out, 1);
  }
  if (id < 0)
    throw Failure(SHEAF_ERR_ARG, "The data description id must be a list of positive integers");
  const bool ok = by_taql(t, "DATA_DESC_ID IN [" + std::to_string(id) + "]");
  if (!ok) warn("selectinit", "selectinit failed for datadescid " + std::to_string(id));
  t.shape_known = ok;
  sheaf_pack_bool(&out, ok);
}

void select_channels(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.one_shape();
  const int64_t n = a["nchan"].integer(), start = a["start"].integer(),
                width = a["width"].integer(), step = a["inc"].integer();
  const Setup setup = setup_of(t.ms, t.selected);
  const Int have =
      setup.spws.empty() ? 0 : MSSpWindowColumns(t.ms.spectralWindow()).numChan()(setup.spws[0]);
  const bool ok = n > 0 && start >= 0 && width > 0 && step > 0 && n <= have && width <= have &&
                  step <= have && start + (n - 1) * step + width <= have;
  if (ok)
    t.channels = {static_cast<int>(n), static_cast<int>(start), static_cast<int>(width),
                  static_cast<int>(step)};
  else
    warn("selectchannel", "Illegal channel selection");
  sheaf_pack_bool(&out, ok);
}

void select_correlations(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.one_shape();
  std::vector<Int> wanted;
  for (const auto& name : a["wantedpol"].texts()) {
    const auto type = Stokes::type(String(name));
    if (type == Stokes::Undefined) {
      warn("selectpolarization", "Unrecognized polarization: " + name);
      return sheaf_pack_bool(&out, 0);
    }
    wanted.push_back(type);
  }
  t.correlations = wanted;
  sheaf_pack_bool(&out, 1);
}

}  // namespace

bool MsTool::narrow(const Record& e, bool only_parse) {
  static const std::set<std::string> known = {
      "spw",   "time",         "field",  "baseline",    "antenna", "scan", "scanintent",
      "state", "polarization", "uvdist", "observation", "array",   "taql"};
  std::map<std::string, String> x;
  for (uInt i = 0; i < e.nfields(); i++) {
    if (!known.count(e.name(i)))
      throw Failure(SHEAF_ERR_ARG,
                    "msselect knows no " + e.name(i) +
                        "; it has spw, time, field, baseline (antenna), scan, scanintent (state), "
                        "polarization, uvdist, observation, array, taql");
    x[e.name(i)] = e.asString(i);
  }
  const String baseline = x.count("antenna") ? x["antenna"] : x["baseline"];
  const String state = x.count("state") ? x["state"] : x["scanintent"];
  if (only_parse) {
    parsed->reset(ms, MSSelection::PARSE_NOW, x["time"], baseline, x["field"], x["spw"],
                  x["uvdist"], x["taql"], x["polarization"], x["scan"], x["array"], state,
                  x["observation"]);
    return !parsed->getTEN(&ms).isNull();
  }
  MeasurementSet narrowed(selected);
  bool ok = false;
  try {
    ok = mssSetData(selected, narrowed, "", x["time"], baseline, x["field"], x["spw"], x["uvdist"],
                    x["taql"], x["polarization"], x["scan"], x["array"], state, x["observation"],
                    parsed.get());
  } catch (const MSSelectionNullSelection& none) {
    warn("msselect", none.what());
  }
  selected = narrowed;
  return ok;
}

void add_ms_selections(MsMethods& m) {
  m["select"] = select;
  m["selectinit"] = select_first;
  m["selectchannel"] = select_channels;
  m["selectpolarization"] = select_correlations;
  m["selecttaql"] = [](MsTool& t, const Arguments& a, sheaf_pack& out) {
    t.opened();
    sheaf_pack_bool(&out, by_taql(t, a["msselect"].text()));
  };
  m["msselect"] = [](MsTool& t, const Arguments& a, sheaf_pack& out) {
    t.opened();
    sheaf_pack_bool(&out, t.narrow(to_record(a["items"]), a["onlyparse"].truth()));
  };
  m["msselectedindices"] = [](MsTool& t, const Arguments&, sheaf_pack& out) {
    t.opened();
    write(out, mssSelectedIndices(*t.parsed, &t.selected));
  };
}

}  // namespace sheaf

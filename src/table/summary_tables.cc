// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/summary_tables.hh"

#include <casacore/casa/Arrays/Vector.h>
#include <casacore/measures/Measures/MCPosition.h>
#include <casacore/measures/Measures/MDirection.h>
#include <casacore/measures/Measures/MFrequency.h>
#include <casacore/measures/Measures/MPosition.h>
#include <casacore/measures/Measures/MeasConvert.h>
#include <casacore/measures/Measures/Stokes.h>
#include <casacore/measures/TableMeasures/ScalarMeasColumn.h>
#include <casacore/ms/MeasurementSets/MSField.h>
#include <casacore/ms/MeasurementSets/MSFieldColumns.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <cmath>
#include <exception>
#include <functional>
#include <set>

#include "table/casacore_log.hh"

namespace sheaf {
namespace {

using casacore::Table;

// A scalar column whose cells are T; `otherwise` where it is missing.
template <class T, class Out>
class Cells {
 public:
  Cells(const Table& table, const char* name, Out otherwise) : otherwise_(otherwise) {
    if (table.tableDesc().isColumn(name)) column_ = casacore::ScalarColumn<T>(table, name);
  }
  Out operator()(casacore::rownr_t row) const {
    return column_.isNull() ? otherwise_ : Out(column_(row));
  }

 private:
  casacore::ScalarColumn<T> column_;
  Out otherwise_;
};
using Texts = Cells<casacore::String, std::string>;
using Ints = Cells<casacore::Int, int>;
using Doubles = Cells<casacore::Double, double>;

// An array column; an empty vector where the column or the cell is missing.
template <class T>
class Arrays {
 public:
  Arrays(const Table& table, const char* name) {
    if (table.tableDesc().isColumn(name)) column_ = casacore::ArrayColumn<T>(table, name);
  }
  bool exists() const { return !column_.isNull(); }
  std::vector<T> operator()(casacore::rownr_t row) const {
    if (column_.isNull() || !column_.isDefined(row)) return {};
    const casacore::Array<T> cell = column_(row);
    return std::vector<T>(cell.begin(), cell.end());
  }

 private:
  casacore::ArrayColumn<T> column_;
};

void read_observations(const Table& t, Tables& out) {
  const Texts telescope(t, "TELESCOPE_NAME", ""), observer(t, "OBSERVER", ""),
      project(t, "PROJECT", "");
  const Arrays<casacore::Double> range(t, "TIME_RANGE");
  for (casacore::rownr_t row = 0; row < t.nrow(); row++)
    out.observations.push_back({telescope(row), observer(row), project(row), range(row)});
}

// The phase centre; of a moving object at the time of its row, as its ephemeris says.
casacore::MDirection phase_centre(const Table& t, casacore::rownr_t row, int ephemeris) {
  if (ephemeris >= 0) {
    const casacore::MSField field(t);
    return casacore::MSFieldColumns(field).phaseDirMeas(row, 0);
  }
  return casacore::ScalarMeasColumn<casacore::MDirection>(t, "PHASE_DIR")(row);
}

void read_fields(const Table& t, Tables& out) {
  const Texts name(t, "NAME", ""), code(t, "CODE", "");
  const Ints source(t, "SOURCE_ID", -1), ephemeris(t, "EPHEMERIS_ID", -1);
  for (casacore::rownr_t row = 0; row < t.nrow(); row++) {
    const casacore::MDirection direction = phase_centre(t, row, ephemeris(row));
    const casacore::Vector<casacore::Double> angle = direction.getAngle().getValue();
    out.fields.push_back({name(row), code(row), source(row), angle[0], angle[1],
                          casacore::MDirection::showType(direction.getRef().getType())});
  }
}

std::string frequency_frame(const Table& t, casacore::rownr_t row, int code) {
  try {
    return casacore::ScalarMeasColumn<casacore::MFrequency>(t, "REF_FREQUENCY")(row).getRefString();
  } catch (const std::exception&) {
    return code >= 0 && code < casacore::MFrequency::N_Types ? casacore::MFrequency::showType(code)
                                                             : "?";
  }
}

void read_windows(const Table& t, Tables& out) {
  const Texts name(t, "NAME", "");
  const Ints nchan(t, "NUM_CHAN", 0), bbc(t, "BBC_NO", 0), frame(t, "MEAS_FREQ_REF", -1);
  const Arrays<casacore::Double> freq(t, "CHAN_FREQ"), width(t, "CHAN_WIDTH");
  const Doubles bandwidth(t, "TOTAL_BANDWIDTH", 0);
  out.has_bbc = t.tableDesc().isColumn("BBC_NO");
  for (casacore::rownr_t row = 0; row < t.nrow(); row++)
    out.windows.push_back({name(row), frequency_frame(t, row, frame(row)), nchan(row), bbc(row),
                           freq(row), width(row), bandwidth(row)});
}

void read_correlations(const Table& t, Tables& out) {
  const Arrays<casacore::Int> types(t, "CORR_TYPE");
  for (casacore::rownr_t row = 0; row < t.nrow(); row++) {
    std::vector<std::string> names;
    for (int type : types(row))
      names.push_back(casacore::Stokes::name(casacore::Stokes::type(type)));
    out.correlations.push_back(names);
  }
}

void read_data_descs(const Table& t, Tables& out) {
  const Ints spw(t, "SPECTRAL_WINDOW_ID", -1), polarization(t, "POLARIZATION_ID", -1);
  for (casacore::rownr_t row = 0; row < t.nrow(); row++)
    out.data_descs.push_back({spw(row), polarization(row)});
}

std::vector<std::string> split(const std::string& text) {
  std::set<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    if (end > at) parts.insert(text.substr(at, end - at));
    at = end + 1;
  }
  return {parts.begin(), parts.end()};
}

void read_states(const Table& t, Tables& out) {
  const Texts mode(t, "OBS_MODE", "");
  for (casacore::rownr_t row = 0; row < t.nrow(); row++) out.intents.push_back(split(mode(row)));
}

std::optional<double> first_of(const std::vector<double>& cell) {
  return cell.empty() ? std::nullopt : std::optional<double>(cell[0]);
}

void read_sources(const Table& t, Tables& out) {
  const Texts name(t, "NAME", "");
  const Ints id(t, "SOURCE_ID", -1), spw(t, "SPECTRAL_WINDOW_ID", -1);
  const Arrays<casacore::Double> rest(t, "REST_FREQUENCY"), velocity(t, "SYSVEL");
  out.has_source = true;
  out.has_rest_frequency = rest.exists();
  out.has_velocity = velocity.exists();
  for (casacore::rownr_t row = 0; row < t.nrow(); row++)
    out.sources.push_back(
        {id(row), spw(row), name(row), first_of(rest(row)), first_of(velocity(row))});
}

casacore::MPosition::Types position_frame(const Table& t) {
  casacore::MPosition::Types type = casacore::MPosition::ITRF;
  const casacore::TableRecord& keywords = casacore::TableColumn(t, "POSITION").keywordSet();
  if (keywords.isDefined("MEASINFO"))
    casacore::MPosition::getType(type, keywords.subRecord("MEASINFO").asString("Ref"));
  return type;
}

void place_antenna(const std::vector<double>& xyz, casacore::MPosition::Types frame,
                   AntennaRow& out) {
  if (xyz.size() != 3) return;
  const casacore::MPosition position(casacore::MVPosition(xyz[0], xyz[1], xyz[2]), frame);
  const casacore::Vector<casacore::Double> angle = position.getAngle().getValue();
  const casacore::Vector<casacore::Double> itrf =
      casacore::MPosition::Convert(position, casacore::MPosition::ITRF)().getValue().getValue();
  out.xyz_m = {xyz[0], xyz[1], xyz[2]};
  out.itrf_m = {itrf[0], itrf[1], itrf[2]};
  out.long_rad = angle[0];
  out.lat_rad = angle[1];
}

void read_antennas(const Table& t, Tables& out) {
  const Texts name(t, "NAME", ""), station(t, "STATION", "");
  const Doubles diameter(t, "DISH_DIAMETER", 0);
  const Arrays<casacore::Double> position(t, "POSITION");
  const auto frame = position.exists() ? position_frame(t) : casacore::MPosition::ITRF;
  for (casacore::rownr_t row = 0; row < t.nrow(); row++) {
    AntennaRow antenna;
    antenna.name = name(row);
    antenna.station = station(row);
    antenna.diameter_m = diameter(row);
    place_antenna(position(row), frame, antenna);
    out.antennas.push_back(antenna);
  }
}

// Reads one sub-table; what cannot be read is noted, the rest goes on.
void attempt(const Table& main, const char* name, bool optional, Tables& out,
             const std::function<void(const Table&, Tables&)>& read) {
  if (!main.keywordSet().isDefined(name)) {
    if (!optional) out.missing.push_back(std::string(name) + ": there is no such sub-table");
    return;
  }
  try {
    const LogScope quiet;
    read(main.keywordSet().asTable(name), out);
  } catch (const std::exception& x) {
    out.missing.push_back(std::string(name) + ": " + explain(x.what()));
  }
}

std::string time_frame(const Table& main) {
  const casacore::TableRecord& keywords = casacore::TableColumn(main, "TIME").keywordSet();
  if (!keywords.isDefined("MEASINFO")) return "UTC";
  const casacore::TableRecord& info = keywords.subRecord("MEASINFO");
  return info.isDefined("Ref") ? std::string(info.asString("Ref")) : "UTC";
}

}  // namespace

Tables read_tables(const Table& main) {
  Tables out;
  if (main.keywordSet().isDefined("MS_VERSION"))
    out.version = main.keywordSet().asFloat("MS_VERSION");
  out.time_frame = time_frame(main);
  attempt(main, "OBSERVATION", false, out, read_observations);
  attempt(main, "FIELD", false, out, read_fields);
  attempt(main, "SPECTRAL_WINDOW", false, out, read_windows);
  attempt(main, "POLARIZATION", false, out, read_correlations);
  attempt(main, "DATA_DESCRIPTION", false, out, read_data_descs);
  attempt(main, "STATE", false, out, read_states);
  attempt(main, "SOURCE", true, out, read_sources);
  attempt(main, "ANTENNA", false, out, read_antennas);
  return out;
}

}  // namespace sheaf

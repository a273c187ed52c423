// SPDX-License-Identifier: GPL-3.0-or-later
//
// summary_tables.hh - the sub-tables of an MS as plain values, as far as they are there.
#ifndef SHEAF_TABLE_SUMMARY_TABLES_HH
#define SHEAF_TABLE_SUMMARY_TABLES_HH

#include <casacore/tables/Tables/Table.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace sheaf {

struct ObservationRow {
  std::string telescope, observer, project;
  std::vector<double> time_range_s;
};

struct FieldRow {
  std::string name, code;
  int source = -1;
  double ra_rad = 0, dec_rad = 0;  // phase centre
  std::string frame;
};

struct WindowRow {
  std::string name, frame;
  int nchan = 0, bbc = 0;
  std::vector<double> chan_freq_hz, chan_width_hz;
  double bandwidth_hz = 0;
};

struct DataDesc {
  int spw, polarization;
};

struct SourceRow {
  int id, spw;
  std::string name;
  std::optional<double> rest_hz, velocity_m_s;
};

struct AntennaRow {
  std::string name, station;
  double diameter_m = 0;
  std::array<double, 3> xyz_m{};  // as stored, the base of offsets
  std::array<double, 3> itrf_m{};
  double long_rad = 0, lat_rad = 0;
};

// Each is empty where the MS lacks the sub-table; `missing` names those and others that cannot be
// read.
struct Tables {
  float version = 1;
  std::string time_frame = "UTC";
  std::vector<ObservationRow> observations;
  std::vector<FieldRow> fields;
  std::vector<WindowRow> windows;
  std::vector<std::vector<std::string>> correlations;  // by polarization id
  std::vector<DataDesc> data_descs;
  std::vector<std::vector<std::string>> intents;  // by state id
  std::vector<SourceRow> sources;
  std::vector<AntennaRow> antennas;
  bool has_source = false, has_rest_frequency = false, has_velocity = false, has_bbc = false;
  std::vector<std::string> missing;  // "FIELD: there is no such sub-table"
};

Tables read_tables(const casacore::Table& main);

}  // namespace sheaf
#endif

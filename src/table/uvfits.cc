// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/uvfits.h"

#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/ms/MeasurementSets/MSAntenna.h>
#include <casacore/ms/MeasurementSets/MSAntennaColumns.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/msfits/MSFits/MSFitsInput.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <stdio.h>
#include <sys/statvfs.h>

#include <array>
#include <cmath>

#include "base/log.h"
#include "table/casacore_log.hh"
#include "table/fits_scan.hh"
#include "table/guard.hh"
#include "table/isolate.hh"

namespace {

using sheaf::Failure;
using sheaf::FitsUnit;
using Xyz = std::array<double, 3>;  // metres

[[noreturn]] void fail(const std::string& fitsfile, const std::string& why) {
  throw Failure(SHEAF_ERR_DATA, "fitsfile='" + fitsfile + "': " + why);
}

const FitsUnit* find_table(const std::vector<FitsUnit>& units, const std::string& part) {
  for (const FitsUnit& unit : units)
    if (unit.text("XTENSION") == "BINTABLE" && unit.text("EXTNAME").find(part) != std::string::npos)
      return &unit;
  return nullptr;
}

// Whether a random parameter of that name goes with each group.
bool has_parameter(const FitsUnit& primary, const std::string& name) {
  for (int i = 1; i <= primary.number("PCOUNT"); i++)
    if (primary.text("PTYPE" + std::to_string(i)) == name) return true;
  return false;
}

// Refuses what is FITS but not UVFITS; returns the antenna table.
const FitsUnit& check_kind(const std::string& fitsfile, const std::vector<FitsUnit>& units) {
  const FitsUnit& primary = units.front();
  if (find_table(units, "ARRAY_GEOMETRY"))
    fail(fitsfile, "is a FITS-IDI file; importuvfits reads UVFITS (random groups)");
  const bool groups = primary.text("GROUPS") == "T" && primary.number("NAXIS1") == 0;
  if (!groups && primary.number("NAXIS") > 0)
    fail(fitsfile, "is a FITS image; importuvfits reads UVFITS (random groups)");
  if (!groups && !find_table(units, "UV"))
    fail(fitsfile, "holds no visibilities; importuvfits reads UVFITS (random groups)");
  if (groups && primary.number("GCOUNT") < 1) fail(fitsfile, "holds no visibilities (GCOUNT is 0)");
  if (groups && has_parameter(primary, "SOURCE") && !find_table(units, "SU"))
    sheaf_log(SHEAF_LOG_WARN,
              "fitsfile='%s': visibilities name sources by number, but there is no source table "
              "(AIPS SU); is the "
              "file complete?",
              fitsfile.c_str());
  const FitsUnit* antennas = find_table(units, "AN");
  if (!antennas) fail(fitsfile, "has no antenna table (AIPS AN), which is required");
  return *antennas;
}

Xyz add(const Xyz& a, const Xyz& b, double sign) {
  return {a[0] + sign * b[0], a[1] + sign * b[1], a[2] + sign * b[2]};
}

double length(const Xyz& a) {
  return std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
}

// Turned about the z axis by `angle_rad`.
Xyz turn(const Xyz& a, double angle_rad) {
  const double c = std::cos(angle_rad), s = std::sin(angle_rad);
  return {c * a[0] - s * a[1], s * a[0] + c * a[1], a[2]};
}

// The VLA's reference position (ITRF, m), the origin of the stations in files of its on-line
// system.
const Xyz vla_position = {-1601185.365, -5041977.547, 3554875.870};

// Whether casacore has turned the stations by itself, which depends on its version and its table of
// observatories: it then notes another array position than the file's.
bool turned_already(const casacore::MSAntennaColumns& columns, const Xyz& array) {
  const casacore::TableRecord& keywords = columns.position().keywordSet();
  if (!keywords.isDefined("ARRAY_POSITION")) return false;
  const casacore::Vector<casacore::Double> noted(keywords.asArrayDouble("ARRAY_POSITION"));
  return length(add({noted[0], noted[1], noted[2]}, array, -1)) > 1e-3;
}

void turn_stations(casacore::MSAntennaColumns& columns, const Xyz& array, bool mirrored) {
  const Xyz& vla = vla_position;
  const double longitude_rad = std::atan2(vla[1], vla[0]);
  for (casacore::rownr_t row = 0; row < columns.nrow(); row++) {
    if (columns.flagRow()(row)) continue;  // a gap in the station numbers
    const casacore::Vector<casacore::Double> old = columns.position()(row);
    Xyz station = add({old[0], old[1], old[2]}, array, -1);
    if (mirrored) station[1] = -station[1];
    station = turn(station, longitude_rad);
    if (mirrored) station[1] = -station[1];
    station = add(vla, station, 1);
    columns.position().put(row, casacore::Vector<casacore::Double>(station.begin(), 3, 0));
  }
  columns.position().rwKeywordSet().define("ARRAY_POSITION",
                                           casacore::Vector<casacore::Double>(vla.begin(), 3, 0));
}

// Antenna positions of old VLA files are relative to the array's centre in a frame of its own
// longitude.
void fix_vla_positions(const std::string& ms_path, const FitsUnit& an, bool mirrored) {
  if (an.text("ARRNAM") != "VLA") return;
  const Xyz array = {an.number("ARRAYX"), an.number("ARRAYY"), an.number("ARRAYZ")};
  if (an.has("FRAME") && length(array) <= 1e6) return;
  const double apart = length(add(array, vla_position, -1));
  if (apart > 10000) return;
  casacore::MSAntenna table(casacore::Table(ms_path + "/ANTENNA", casacore::Table::Update));
  casacore::MSAntennaColumns columns(table);
  if (turned_already(columns, array)) return;
  sheaf_log(SHEAF_LOG_INFO,
            "UVFITS file telescope position is %.4g meters from the VLA's reference position; "
            "antenna positions are "
            "turned from the VLA's local frame to ITRF",
            apart);
  turn_stations(columns, array, mirrored);
  sheaf::flush(table, true);
}

// Returns whether casacore mirrored the antenna positions, which hangs on how XYZHAND is padded.
bool convert(const std::string& fitsfile, const std::string& ms_path,
             const sheaf_uvfits_options& options) {
  sheaf::LogScope scope;
  if (options.shown) scope.replace.push_back({ms_path, options.shown});
  scope.watch = "left handed coordinate system";
  scope.drop = {"No rotation of antenna positions will be performed", "Deleting incomplete MS",
                "Estimate of Needed Storage Space"};
  try {
    casacore::MSFitsInput input(ms_path, fitsfile, options.new_names);
    input.readFitsFile(casacore::MSTileLayout::Standard);
    return scope.watched;
  } catch (const std::exception& x) {
    const int reason = errno;
    fail(fitsfile, sheaf::explain(x.what(), reason));
  }
}

// Refuses early what cannot fit: an MS takes a little more than the visibilities in the file.
void check_space(const std::string& ms_path, const std::string& shown, const FitsUnit& primary) {
  struct statvfs disk;
  const std::string parent = ms_path.substr(0, ms_path.rfind('/') + 1) + ".";
  if (statvfs(parent.c_str(), &disk)) return;
  const double have = double(disk.f_bavail) * disk.f_frsize, need = 1.02 * primary.data_size + 1e6;
  if (have >= need) return;
  char text[200];
  snprintf(text, sizeof text, "needs about %.0f MB on disk, %.0f MB are free", need / 1e6,
           have / 1e6);
  throw Failure(SHEAF_ERR_IO, "vis='" + shown + "': " + text);
}

// Puts the name that the user knows in the place of the path under construction.
void show_path(sheaf_error* err, const std::string& ms_path, const std::string& shown) {
  std::string text = err->text;
  for (size_t at = 0; (at = text.find(ms_path, at)) != std::string::npos; at += shown.size())
    text.replace(at, ms_path.size(), shown);
  snprintf(err->text, sizeof err->text, "%s", text.c_str());
}

}  // namespace

extern "C" int sheaf_uvfits_read(const char* fitsfile, const char* ms_path,
                                 const sheaf_uvfits_options* options, sheaf_error* err) {
  sheaf_casacore_log_install();
  const char* shown = options->shown ? options->shown : ms_path;
  sheaf_error own;
  if (!err) err = &own;
  const int rc = sheaf::guard(err, fitsfile, [&] {
    const std::vector<FitsUnit> units = sheaf::scan_fits(fitsfile);
    const FitsUnit& antennas = check_kind(fitsfile, units);
    check_space(ms_path, shown, units.front());
    return sheaf::isolated(err, fitsfile, [&](sheaf_error* inner) {
      return sheaf::guard(inner, fitsfile, [&] {
        const bool mirrored = convert(fitsfile, ms_path, *options);
        fix_vla_positions(ms_path, antennas, mirrored);
        return 0;
      });
    });
  });
  if (rc < 0) show_path(err, ms_path, shown);
  return rc;
}

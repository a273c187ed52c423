// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/sky.h"

#include <casacore/casa/Quanta/MVBaseline.h>
#include <casacore/measures/Measures/MBaseline.h>
#include <casacore/measures/Measures/MCBaseline.h>
#include <casacore/measures/Measures/MCDirection.h>
#include <casacore/measures/Measures/MDirection.h>
#include <casacore/measures/Measures/MEpoch.h>
#include <casacore/measures/Measures/MPosition.h>
#include <casacore/measures/Measures/MeasConvert.h>
#include <casacore/measures/Measures/MeasFrame.h>
#include <casacore/measures/TableMeasures/ArrayMeasColumn.h>
#include <casacore/measures/TableMeasures/ScalarMeasColumn.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/tables/Tables/ScalarColumn.h>

#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "table/casacore_log.h"
#include "table/guard.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

struct sheaf_sky {
  std::vector<MPosition> position;
  std::vector<std::array<double, 3>> itrf;
  std::vector<double> diameter;
  std::vector<MDirection> phase;
  MEpoch::Types epoch = MEpoch::UTC;
  // the last field and time, and the elevations that are known there
  int32_t field = -1;
  double time_s = 0;
  MeasFrame frame;
  std::unique_ptr<MDirection::Convert> convert;
  std::vector<double> elevation;
};

namespace {

const double kUnknown = 1000;

void add_antenna(sheaf_sky& s, double diameter, const double xyz[3]) {
  s.diameter.push_back(diameter);
  s.itrf.push_back({xyz[0], xyz[1], xyz[2]});
  s.position.emplace_back(MVPosition(xyz[0], xyz[1], xyz[2]), MPosition::ITRF);
  s.field = -1;
}

void read(sheaf_sky& s, const char* path) {
  const MeasurementSet ms(path, TableLock(TableLock::NoLocking), Table::Old);
  const MSAntennaColumns antennas(ms.antenna());
  for (rownr_t i = 0; i < ms.antenna().nrow(); i++) {
    const MPosition given = antennas.positionMeas()(i);
    const MPosition itrf = MPosition::Convert(given, MPosition::ITRF)();
    const Vector<Double> xyz = itrf.getValue().getValue();
    const double p[3] = {xyz(0), xyz(1), xyz(2)};
    add_antenna(s, antennas.dishDiameter()(i), p);
  }
  const MSFieldColumns fields(ms.field());
  for (rownr_t i = 0; i < ms.field().nrow(); i++) s.phase.push_back(fields.phaseDirMeas(i));
  const ScalarMeasColumn<MEpoch> time(ms, "TIME");
  s.epoch = MEpoch::castType(time.getMeasRef().getType());
}

void check(const sheaf_sky& s, int32_t field, int32_t antenna) {
  if (field < 0 || static_cast<size_t>(field) >= s.phase.size())
    throw Failure(SHEAF_ERR_DATA, "a row has FIELD_ID " + std::to_string(field) + "; FIELD has " +
                                      std::to_string(s.phase.size()) + " rows");
  if (antenna < 0 || static_cast<size_t>(antenna) >= s.position.size())
    throw Failure(SHEAF_ERR_DATA, "a row has antenna " + std::to_string(antenna) +
                                      "; ANTENNA has " + std::to_string(s.position.size()) +
                                      " rows");
}

MEpoch epoch_at(double time_s, MEpoch::Types type) {
  return MEpoch(MVEpoch(Quantity(time_s, "s")), type);
}

// Makes field and time those of the next conversions.
void turn_to(sheaf_sky& s, int32_t field, double time_s) {
  if (s.field == field && s.time_s == time_s) return;
  s.field = field;
  s.time_s = time_s;
  s.elevation.assign(s.position.size(), kUnknown);
  s.frame = MeasFrame(epoch_at(time_s, s.epoch), s.position[0]);
  s.convert = std::make_unique<MDirection::Convert>(s.phase[field],
                                                    MDirection::Ref(MDirection::AZEL, s.frame));
}

double elevation_of(sheaf_sky& s, int32_t antenna) {
  double& known = s.elevation[antenna];
  if (known != kUnknown) return known;
  s.frame.resetPosition(s.position[antenna]);
  return known = (*s.convert)().getAngle("deg").getValue()(1);
}

// ITRF axes as seen in J2000: column k is the image of axis k.
void rotation(const MeasFrame& frame, double r[3][3]) {
  MBaseline::Convert convert(MBaseline::ITRF, MBaseline::Ref(MBaseline::J2000, frame));
  for (int k = 0; k < 3; k++) {
    const double e[3] = {k == 0 ? 1e6 : 0, k == 1 ? 1e6 : 0, k == 2 ? 1e6 : 0};
    const Vector<Double> v =
        convert(MBaseline(MVBaseline(e[0], e[1], e[2]), MBaseline::ITRF)).getValue().getValue();
    for (int i = 0; i < 3; i++) r[i][k] = v(i) / 1e6;
  }
}

void project(const sheaf_sky& s, const double r[3][3], double ra, double dec, double (*uvw)[3]) {
  const double sr = std::sin(ra), cr = std::cos(ra), sd = std::sin(dec), cd = std::cos(dec);
  const double t[3][3] = {{-sr, cr, 0}, {-sd * cr, -sd * sr, cd}, {cd * cr, cd * sr, sd}};
  for (size_t a = 0; a < s.itrf.size(); a++) {
    double d[3], x[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) d[i] = s.itrf[0][i] - s.itrf[a][i];
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < 3; k++) x[i] += r[i][k] * d[k];
    for (int i = 0; i < 3; i++) uvw[a][i] = t[i][0] * x[0] + t[i][1] * x[1] + t[i][2] * x[2];
  }
}

}  // namespace

int sheaf_sky_open(sheaf_sky** sky, const char* ms, sheaf_error* err) {
  *sky = nullptr;
  sheaf_casacore_log_install();
  return guard(err, ms, [&] {
    auto s = std::make_unique<sheaf_sky>();
    read(*s, ms);
    *sky = s.release();
    return 0;
  });
}

void sheaf_sky_close(sheaf_sky* sky) {
  delete sky;
}

size_t sheaf_sky_nantenna(const sheaf_sky* sky) {
  return sky->position.size();
}

double sheaf_sky_diameter(const sheaf_sky* sky, size_t antenna) {
  return sky->diameter[antenna];
}

int sheaf_sky_add(sheaf_sky* sky, double diameter, const double position[3], sheaf_error* err) {
  return guard(err, "antennas", [&] {
    add_antenna(*sky, diameter, position);
    return 0;
  });
}

int sheaf_sky_elevation(sheaf_sky* sky, int32_t field, double time_s, int32_t antenna, double* deg,
                        sheaf_error* err) {
  // what is known already needs no lock
  if (sky->field == field && sky->time_s == time_s && antenna >= 0 &&
      static_cast<size_t>(antenna) < sky->elevation.size() && sky->elevation[antenna] != kUnknown) {
    *deg = sky->elevation[antenna];
    return 0;
  }
  return guard(err, "elevation", [&] {
    check(*sky, field, antenna);
    turn_to(*sky, field, time_s);
    *deg = elevation_of(*sky, antenna);
    return 0;
  });
}

int sheaf_sky_uvw(sheaf_sky* sky, int32_t field, double centroid_s, double (*uvw)[3],
                  sheaf_error* err) {
  return guard(err, "uvw", [&] {
    check(*sky, field, 0);
    MeasFrame frame(epoch_at(centroid_s, MEpoch::UT1), sky->position[0], sky->phase[field]);
    const MDirection j2000 =
        MDirection::Convert(sky->phase[field], MDirection::Ref(MDirection::J2000, frame))();
    const Vector<Double> angle = j2000.getAngle("rad").getValue();
    double r[3][3];
    rotation(frame, r);
    project(*sky, r, angle(0), angle(1), uvw);
    return 0;
  });
}

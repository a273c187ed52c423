// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/components.h"

#include <casacore/casa/Quanta/MVAngle.h>
#include <casacore/casa/Quanta/QuantumHolder.h>
#include <casacore/measures/Measures/MCDirection.h>
#include <casacore/measures/Measures/MDirection.h>
#include <casacore/measures/Measures/MEpoch.h>
#include <casacore/measures/Measures/MPosition.h>
#include <casacore/measures/Measures/MeasFrame.h>
#include <casacore/measures/Measures/MeasureHolder.h>
#include <casacore/measures/Measures/UVWMachine.h>
#include <casacore/measures/TableMeasures/ScalarMeasColumn.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/scimath/Mathematics/InterpolateArray1D.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace {

const int kAny = INT_MIN;
using Key = std::array<int, 4>;  // field, spw, scan, state

enum class Spectrum { constant, index, table, polynomial };

struct Component {
  int shape = 0;
  double major = 0, minor = 0, angle = 0;
  MDirection direction;
  std::array<double, 4> stokes{};  // Jy
  Spectrum spectrum = Spectrum::constant;
  double reference_hz = 0;
  std::vector<double> numbers;          // of the spectrum
  Vector<Double> frequency, values[4];  // of a table
};

struct List {
  std::vector<Key> keys;
  std::vector<Component> components;
  std::string why;  // it cannot be evaluated
};

struct Field {
  std::string name;
  std::string why;  // it moves
  MDirection direction;
};

}  // namespace

struct sheaf_skymodel {
  std::vector<Field> field;
  std::vector<Vector<Double>> frequency;  // of the windows' channels
  std::vector<int32_t> modelled;
  std::map<int32_t, std::string> broken;  // fields whose record is not as it should be, and why
  std::vector<List> list;
  std::map<Key, int> place;            // where each of `sets` holds
  std::vector<std::vector<int>> sets;  // numbers of lists
  std::set<int32_t> by_spw;            // fields whose lists are for any scan and state
  bool timed = false;                  // the frame's time matters
  MeasFrame frame;
};

namespace {

// ---- reading of records ----

[[noreturn]] void fail(const std::string& text) {
  throw Failure(SHEAF_ERR_DATA, text);
}

double angle_of(const RecordInterface& record, const char* name) {
  QuantumHolder holder;
  String error;
  if (!record.isDefined(name) || !holder.fromRecord(error, record.asRecord(name)))
    fail(std::string("a component without ") + name);
  const Quantity angle = holder.asQuantumDouble();
  if (!angle.isConform("rad")) fail(std::string(name) + " in " + angle.getUnit().c_str());
  return angle.getValue("rad");
}

MDirection direction_of(const RecordInterface& shape) {
  MeasureHolder holder;
  String error;
  if (!holder.fromRecord(error, shape.asRecord("direction")) || !holder.isMDirection())
    fail("a component without direction");
  const RecordInterface& record = shape.asRecord("direction");
  MDirection::Types known;
  if (record.isDefined("refer") && record.dataType("refer") == TpString &&
      !MDirection::getType(known, record.asString("refer")))
    fail("a direction in the unknown frame '" + record.asString("refer") + "'");
  return holder.asMDirection();
}

// Whether a direction of this type is the same at all times.
bool stands(const MDirection& direction) {
  static const std::set<uInt> fixed = {
      MDirection::J2000,    MDirection::B1950,    MDirection::B1950_VLA, MDirection::ICRS,
      MDirection::GALACTIC, MDirection::SUPERGAL, MDirection::ECLIPTIC};
  return fixed.count(direction.getRef().getType()) > 0;
}

// Stokes parameters of four numbers in another representation, as real as they should be.
std::array<double, 4> stokes_of(const std::string& representation, const Vector<DComplex>& v) {
  const DComplex i(0, 1);
  if (representation == "Circular")
    return {std::real(v[0] + v[3]) / 2, std::real(v[1] + v[2]) / 2,
            std::real((v[1] - v[2]) / i) / 2, std::real(v[0] - v[3]) / 2};
  if (representation == "Linear")
    return {std::real(v[0] + v[3]) / 2, std::real(v[0] - v[3]) / 2, std::real(v[1] + v[2]) / 2,
            std::real((v[1] - v[2]) / i) / 2};
  if (representation != "Stokes") fail("fluxes in the representation '" + representation + "'");
  return {v[0].real(), v[1].real(), v[2].real(), v[3].real()};
}

void read_flux(const RecordInterface& flux, Component& c) {
  Vector<DComplex> value;
  if (flux.isDefined("value") && flux.dataType("value") == TpArrayDComplex) {
    value.reference(Vector<DComplex>(flux.asArrayDComplex("value")));
  } else {
    const Vector<Double> numbers(flux.toArrayDouble("value"));
    value.resize(numbers.nelements());
    convertArray(value, numbers);
  }
  if (value.nelements() != 4) fail("a component without four fluxes");
  const Quantity unit(1, flux.asString("unit"));
  if (!unit.isConform("Jy")) fail(std::string("fluxes in ") + unit.getUnit().c_str());
  c.stokes = stokes_of(flux.asString("polarisation"), value);
  for (double& s : c.stokes) s *= unit.getValue("Jy");
}

std::string read_shape(const RecordInterface& shape, Component& c) {
  static const char* const shapes[] = {"Point", "Gaussian", "Disk"};
  const std::string type = shape.asString("type");
  while (c.shape < 3 && type != shapes[c.shape]) c.shape++;
  if (c.shape == 3) return "it has a component of the shape '" + type + "'";
  c.direction = direction_of(shape);
  if (!stands(c.direction))
    return "it has a component that moves (" + c.direction.getRefString() + ")";
  if (c.shape == 0) return "";
  c.major = angle_of(shape, "majoraxis");
  c.minor = angle_of(shape, "minoraxis");
  c.angle = angle_of(shape, "positionangle");
  return "";
}

double hertz_of(const RecordInterface& spectrum) {
  MeasureHolder holder;
  String error;
  if (!holder.fromRecord(error, spectrum.asRecord("frequency")) || !holder.isMFrequency())
    fail("a spectrum without frequency");
  return holder.asMFrequency().getValue().getValue();
}

std::vector<double> numbers_of(const RecordInterface& record, const char* name) {
  const Vector<Double> v(record.toArrayDouble(name));
  return {v.begin(), v.end()};
}

void read_table(const RecordInterface& spectrum, Component& c) {
  static const char* const names[] = {"ival", "qval", "uval", "vval"};
  c.spectrum = Spectrum::table;
  c.frequency = Vector<Double>(spectrum.toArrayDouble("tabFreqVal"));
  const size_t n = c.frequency.nelements();
  if (n < 2) fail("a tabular spectrum of less than two frequencies");
  if (std::set<double>(c.frequency.begin(), c.frequency.end()).size() < n)
    fail("a tabular spectrum with a frequency twice");
  for (int i = 0; i < 4; i++) {
    c.values[i] = spectrum.isDefined(names[i]) ? Vector<Double>(spectrum.toArrayDouble(names[i]))
                                               : Vector<Double>(n, 0.0);
    if (c.values[i].nelements() != n)
      fail("a tabular spectrum of " + std::to_string(n) + " frequencies with " +
           std::to_string(c.values[i].nelements()) + " values");
  }
}

std::string read_spectrum(const RecordInterface& spectrum, Component& c) {
  const std::string type = spectrum.asString("type");
  if (type == "Constant") return "";
  c.reference_hz = hertz_of(spectrum);
  if (type == "Spectral Index") {
    c.spectrum = Spectrum::index;
    c.numbers = {spectrum.asDouble("index")};
    if (spectrum.isDefined("stokesindex")) c.numbers = numbers_of(spectrum, "stokesindex");
    c.numbers.resize(4);
  } else if (type == "Power Logarithmic Polynomial") {
    c.spectrum = Spectrum::polynomial;
    c.numbers = numbers_of(spectrum, "coeffs");
  } else if (type == "Tabular Spectrum") {
    read_table(spectrum, c);
    return "";
  } else {
    return "it has a component with the spectrum '" + type + "'";
  }
  return c.reference_hz > 0 ? "" : "it has a spectrum with the reference frequency 0";
}

// The components of a list; in `why` what cannot be evaluated.
void read_list(const RecordInterface& container, List& list) {
  const Int n = container.asInt("nelements");
  if (n < 0) fail("nelements is negative");
  for (Int i = 0; i < n && list.why.empty(); i++) {
    const Record one(container.asRecord("component" + std::to_string(i)));
    Component c;
    list.why = read_shape(one.asRecord("shape"), c);
    if (list.why.empty()) list.why = read_spectrum(one.asRecord("spectrum"), c);
    if (list.why.empty()) read_flux(one.asRecord("flux"), c);
    list.components.push_back(c);
  }
}

std::string image_of(const RecordInterface& container) {
  if (!container.isDefined("diskimage")) return "it is an image";
  const std::string path = container.asString("diskimage");
  return "it is an image (" + path.substr(path.find_last_of('/') + 1) + ")";
}

// Combinations of field, window, scan and state that a list is for; CASA before 5.7 wrote fields
// and windows.
std::vector<Key> keys_of(const RecordInterface& record) {
  std::vector<Key> keys;
  if (record.isDefined("indexcombination")) {
    const Matrix<Int> rows(record.toArrayInt("indexcombination"));
    if (rows.ncolumn() != 4 && !rows.empty()) fail("combinations of indices that are not of four");
    for (uInt r = 0; !rows.empty() && r < rows.nrow(); r++)
      keys.push_back({rows(r, 0), rows(r, 1), rows(r, 2), rows(r, 3)});
    return keys;
  }
  for (Int field : Vector<Int>(record.toArrayInt("fields")))
    for (Int spw : Vector<Int>(record.toArrayInt("spws"))) keys.push_back({field, spw, kAny, kAny});
  return keys;
}

void add_lists(sheaf_skymodel& m, const RecordInterface& model, const char* kind, int32_t field) {
  const std::string number = std::string("num") + kind;
  const Int n = model.isDefined(number) ? model.asInt(number) : 0;
  if (n < 0) fail(number + " is negative");
  for (Int i = 0; i < n; i++) {
    const Record one(model.asRecord(std::string(kind) + "_" + std::to_string(i)));
    List list;
    for (const Key& key : keys_of(one))
      if (key[0] == field) list.keys.push_back(key);
    if (kind[0] == 'c')
      read_list(one.asRecord("container"), list);
    else
      list.why = image_of(one.asRecord("container"));
    m.list.push_back(list);
  }
}

// ---- finding records ----

const std::string kPrefix = "definedmodel_field_";

// The field that a keyword tells of, or -1.
int32_t field_of(const std::string& keyword) {
  const std::string number = keyword.substr(std::min(keyword.size(), kPrefix.size()));
  if (keyword.compare(0, kPrefix.size(), kPrefix) != 0 || number.empty() || number.size() > 9 ||
      number.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::atoi(number.c_str());
}

// A record that is not as it should be is told of where its field is asked for.
void add_model(sheaf_skymodel& m, const RecordInterface& record, int32_t field) {
  m.modelled.push_back(field);
  try {
    add_lists(m, record, "cl", field);
    add_lists(m, record, "ft", field);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& x) {
    m.broken[field] = std::string("its record is broken (") + x.what() + ")";
  }
}

// The models that the keywords of a table tell of; those of SOURCE are cells of it.
void read_models(sheaf_skymodel& m, const Table& table, bool is_source) {
  const TableRecord& keys = table.keywordSet();
  for (uInt i = 0; i < keys.nfields(); i++) {
    const std::string name = keys.name(i);
    const int32_t field = field_of(name);
    if (field < 0 || keys.dataType(i) != TpString) continue;
    const String model = keys.asString(i);
    if (!keys.isDefined(model)) continue;
    if (std::count(m.modelled.begin(), m.modelled.end(), field)) continue;  // SOURCE's come first
    Record record;
    if (is_source) {
      const Int row = keys.asInt(model);
      if (row < 0 || static_cast<rownr_t>(row) >= table.nrow() ||
          !table.tableDesc().isColumn("SOURCE_MODEL"))
        continue;
      record = ScalarColumn<TableRecord>(table, "SOURCE_MODEL")(row).toRecord();
    } else if (keys.dataType(model) == TpRecord) {
      record = keys.subRecord(model).toRecord();
    }
    add_model(m, record, field);
  }
}

void order_lists(sheaf_skymodel& m) {
  std::map<Key, std::vector<int>> at;
  for (size_t i = 0; i < m.list.size(); i++)
    for (const Key& key : m.list[i].keys) {
      at[key].push_back(static_cast<int>(i));
      if (key[2] == kAny) m.by_spw.insert(key[0]);
    }
  std::map<std::vector<int>, int> known;
  for (const auto& one : at) {
    const auto inserted = known.insert({one.second, static_cast<int>(m.sets.size())});
    if (inserted.second) m.sets.push_back(one.second);
    m.place[one.first] = inserted.first->second;
  }
  std::sort(m.modelled.begin(), m.modelled.end());
}

// Whether all directions are of one type: nothing is converted then, at whatever time.
bool one_type(const sheaf_skymodel& m) {
  std::set<casacore::uInt> types;
  for (const Field& f : m.field)
    if (f.why.empty()) types.insert(f.direction.getRef().getType());
  for (const List& list : m.list)
    for (const Component& c : list.components) types.insert(c.direction.getRef().getType());
  return types.size() <= 1;
}

void read_surroundings(sheaf_skymodel& m, const MeasurementSet& ms, const char* first) {
  const MSFieldColumns fields(ms.field());
  for (rownr_t i = 0; i < ms.field().nrow(); i++) {
    Field f;
    f.name = fields.name()(i);
    if (fields.numPoly()(i) > 0 || (!fields.ephemerisId().isNull() && fields.ephemerisId()(i) >= 0))
      f.why = "the field moves";
    else
      f.direction = fields.phaseDirMeas(i);
    if (f.why.empty() && !stands(f.direction))
      f.why = "the field moves (" + f.direction.getRefString() + ")";
    m.field.push_back(f);
  }
  const MSSpWindowColumns windows(ms.spectralWindow());
  for (rownr_t i = 0; i < ms.spectralWindow().nrow(); i++)
    m.frequency.push_back(Vector<Double>(windows.chanFreq()(i)));
  if (ms.antenna().nrow() > 0) m.frame.set(MSAntennaColumns(ms.antenna()).positionMeas()(0));
  m.timed = !one_type(m);
  if (!m.timed) return;
  const Table main = sheaf::open_table(first, false);
  if (main.nrow() > 0) m.frame.set(ScalarMeasColumn<MEpoch>(main, "TIME")(0));
}

// ---- what is seen ----

double power(double x, double exponent) {
  return std::pow(x, exponent);
}

// Q and U turned by twice the angle that a rotation measure makes between two frequencies.
void rotate(std::array<double, 4>& s, double measure, double at_hz, double from_hz) {
  const double c2 = C::c * C::c;
  const double twice =
      2 * measure * c2 * (from_hz * from_hz - at_hz * at_hz) / (at_hz * at_hz * from_hz * from_hz);
  const double q = std::cos(twice) * s[1] - std::sin(twice) * s[2];
  s[2] = std::sin(twice) * s[1] + std::cos(twice) * s[2];
  s[1] = q;
}

// Stokes parameters [Jy] at a frequency, that of a channel in the window's own frame.
std::array<double, 4> stokes_at(const Component& c, double hz) {
  std::array<double, 4> s = c.stokes;
  const double x = c.reference_hz > 0 ? hz / c.reference_hz : 1;
  if (c.spectrum == Spectrum::index) {
    const std::vector<double>& a = c.numbers;
    s[0] *= power(x, a[0]);
    s[1] *= power(x, a[0] + a[1]);
    s[2] *= power(x, a[0] + a[1]);
    s[3] *= power(x, a[0] + a[3]);
    if (a[2] != 0) rotate(s, a[2], hz, c.reference_hz);
  } else if (c.spectrum == Spectrum::polynomial) {
    double exponent = 0, term = 1;
    for (const double coefficient : c.numbers) {
      exponent += coefficient * term;
      term *= std::log(x);
    }
    s[0] *= power(x, exponent);
  }
  return s;
}

std::vector<std::array<double, 4>> spectrum_of(const Component& c, const Vector<Double>& hz) {
  std::vector<std::array<double, 4>> all(hz.nelements());
  for (size_t i = 0; i < all.size(); i++) all[i] = stokes_at(c, hz[i]);
  if (c.spectrum != Spectrum::table) return all;
  for (int k = 0; k < 4; k++) {
    Vector<Double> out(hz.nelements());
    InterpolateArray1D<Double, Double>::interpolate(out, hz, c.frequency, c.values[k],
                                                    InterpolateArray1D<Double, Double>::linear);
    for (size_t i = 0; i < all.size(); i++) all[i][static_cast<size_t>(k)] = out[i];
  }
  return all;
}

DComplex correlation_of(const std::array<double, 4>& s, int32_t code) {
  switch (code) {
    case Stokes::RR:
      return {s[0] + s[3], 0};
    case Stokes::RL:
      return {s[1], s[2]};
    case Stokes::LR:
      return {s[1], -s[2]};
    case Stokes::LL:
      return {s[0] - s[3], 0};
    case Stokes::XX:
      return {s[0] + s[1], 0};
    case Stokes::XY:
      return {s[2], s[3]};
    case Stokes::YX:
      return {s[2], -s[3]};
    case Stokes::YY:
      return {s[0] - s[1], 0};
    case Stokes::I:
    case Stokes::Q:
    case Stokes::U:
    case Stokes::V:
      return {s[static_cast<size_t>(code - Stokes::I)], 0};
    default:
      return {0, 0};
  }
}

void turn(const sheaf_skymodel& m, const Field& field, const Component& c,
          sheaf_sky_component& out) {
  const UVWMachine machine(c.direction, field.direction, m.frame, false, false);
  const RotMatrix& rotation = machine.rotationUVW();
  const Vector<Double> path = machine.rotationPhase().getValue();
  for (uInt i = 0; i < 3; i++) {
    out.path[i] = path[i];
    for (uInt k = 0; k < 3; k++) out.rotation[i][k] = rotation(i, k);
  }
}

void see(const sheaf_skymodel& m, const Component& c, const sheaf_sky_view& view,
         const Vector<Double>& hz, sheaf_sky_component& out) {
  out.shape = c.shape;
  out.major_rad = c.major;
  out.minor_rad = c.minor;
  out.angle_rad = c.angle;
  turn(m, m.field.at(static_cast<size_t>(view.field)), c, out);
  out.flux =
      static_cast<double*>(std::malloc((hz.nelements() * view.ncorr + 1) * 2 * sizeof(double)));
  if (!out.flux) throw std::bad_alloc();
  double* to = out.flux;
  for (const auto& stokes : spectrum_of(c, hz))
    for (size_t k = 0; k < view.ncorr; k++) {
      const DComplex value = correlation_of(stokes, view.corr[k]);
      *to++ = value.real();
      *to++ = value.imag();
    }
}

int refuse(const sheaf_skymodel& m, const char* ms, int32_t field, const std::string& why,
           sheaf_error* err) {
  const bool known = field >= 0 && static_cast<size_t>(field) < m.field.size();
  return sheaf_fail(
      err, SHEAF_ERR_DATA,
      "%s: the virtual model of field %d%s%s%s cannot be evaluated: %s; delmod removes it, "
      "and with usescratch=True setjy and ft write the column MODEL_DATA",
      ms, static_cast<int>(field), known ? " (" : "",
      known ? m.field[static_cast<size_t>(field)].name.c_str() : "", known ? ")" : "", why.c_str());
}

}  // namespace

extern "C" int sheaf_skymodel_open(sheaf_skymodel** model, const char* path, const char* first,
                                   sheaf_error* err) {
  sheaf_casacore_log_install();
  *model = nullptr;
  return guard(err, path, [&] {
    auto m = std::make_unique<sheaf_skymodel>();
    const Table main = sheaf::open_table(path, false);
    const TableRecord& keys = main.keywordSet();
    const bool has_source = keys.isDefined("SOURCE") && keys.dataType("SOURCE") == TpTable;
    const String source = has_source ? keys.tableAttributes("SOURCE").name() : String();
    if (has_source && Table::isReadable(source)) {
      const Table table = sheaf::open_table(source.c_str(), false);
      if (table.nrow() > 0) read_models(*m, table, true);
    }
    read_models(*m, main, false);
    order_lists(*m);
    if (!m->modelled.empty())
      read_surroundings(*m, MeasurementSet(path, TableLock(TableLock::NoLocking), Table::Old),
                        first);
    *model = m.release();
    return 0;
  });
}

extern "C" void sheaf_skymodel_close(sheaf_skymodel* model) {
  const std::lock_guard<std::recursive_mutex> alone(sheaf::casacore_lock());
  delete model;
}

extern "C" const int32_t* sheaf_skymodel_fields(const sheaf_skymodel* model, size_t* n) {
  *n = model->modelled.size();
  return model->modelled.data();
}

extern "C" int sheaf_skymodel_timed(const sheaf_skymodel* model) {
  return model->timed;
}

extern "C" int sheaf_skymodel_check(const sheaf_skymodel* model, const char* ms, int32_t field,
                                    sheaf_error* err) {
  if (field < 0 || static_cast<size_t>(field) >= model->field.size()) return 0;  // has no rows
  if (!model->field[static_cast<size_t>(field)].why.empty())
    return refuse(*model, ms, field, model->field[static_cast<size_t>(field)].why, err);
  const auto broken = model->broken.find(field);
  if (broken != model->broken.end()) return refuse(*model, ms, field, broken->second, err);
  for (const List& list : model->list)
    if (!list.why.empty() && !list.keys.empty() && list.keys[0][0] == field)
      return refuse(*model, ms, field, list.why, err);
  return 0;
}

extern "C" int sheaf_skymodel_find(const sheaf_skymodel* model, const sheaf_sky_place* place,
                                   int* number, sheaf_error* err) {
  const auto& fields = model->modelled;
  *number = SHEAF_SKYMODEL_NONE;
  if (!std::binary_search(fields.begin(), fields.end(), place->field)) return 0;
  *number = SHEAF_SKYMODEL_ELSEWHERE;
  const auto broken = model->broken.find(place->field);
  if (broken != model->broken.end())
    return refuse(*model, place->ms, place->field, broken->second, err);
  const bool any = model->by_spw.count(place->field) > 0;
  const auto found = model->place.find(
      {place->field, place->spw, any ? kAny : place->scan, any ? kAny : place->state});
  if (found == model->place.end()) return 0;
  *number = found->second;
  for (const int i : model->sets[static_cast<size_t>(*number)]) {
    const std::string& why = model->list[static_cast<size_t>(i)].why;
    if (!why.empty()) return refuse(*model, place->ms, place->field, why, err);
  }
  const size_t row = static_cast<size_t>(place->field);
  if (row >= model->field.size())
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a row has FIELD_ID %d; FIELD has %zu rows",
                      place->ms, static_cast<int>(place->field), model->field.size());
  return model->field[row].why.empty()
             ? 0
             : refuse(*model, place->ms, place->field, model->field[row].why, err);
}

extern "C" int sheaf_skymodel_size(const sheaf_skymodel* model, int number,
                                   const sheaf_sky_view* view, size_t* n, int64_t* nchan,
                                   sheaf_error* err) {
  const int32_t spw = view->spw;
  *n = 0;
  *nchan = 0;
  if (spw < 0 || static_cast<size_t>(spw) >= model->frequency.size())
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: no spectral window %d", view->ms,
                      static_cast<int>(spw));
  for (const int i : model->sets[static_cast<size_t>(number)])
    *n += model->list[static_cast<size_t>(i)].components.size();
  *nchan = static_cast<int64_t>(model->frequency[static_cast<size_t>(spw)].nelements());
  return 0;
}

extern "C" int sheaf_skymodel_components(const sheaf_skymodel* model, int number,
                                         const sheaf_sky_view* view, const sheaf_sky_part* part,
                                         sheaf_sky_component** list, double** freq_hz,
                                         sheaf_error* err) {
  *list = nullptr;
  *freq_hz = nullptr;
  const int rc = guard(err, view->ms, [&] {
    const Vector<Double>& all = model->frequency.at(static_cast<size_t>(view->spw));
    const size_t chan = static_cast<size_t>(part->chan), nchan = static_cast<size_t>(part->nchan);
    Vector<Double> hz(nchan);
    for (size_t k = 0; k < nchan; k++) hz[k] = all[chan + k];
    *list = static_cast<sheaf_sky_component*>(std::calloc(part->n + 1, sizeof **list));
    *freq_hz = static_cast<double*>(std::malloc((nchan + 1) * sizeof(double)));
    if (!*list || !*freq_hz) throw std::bad_alloc();
    std::copy(hz.begin(), hz.end(), *freq_hz);
    size_t at = 0;
    for (const int i : model->sets.at(static_cast<size_t>(number)))
      for (const Component& c : model->list[static_cast<size_t>(i)].components) {
        if (at >= part->first && at < part->first + part->n)
          see(*model, c, *view, hz, (*list)[at - part->first]);
        at++;
      }
    return 0;
  });
  if (rc < 0) {
    sheaf_sky_components_free(*list, part->n, *freq_hz);
    *list = nullptr;
    *freq_hz = nullptr;
  }
  return rc;
}

extern "C" void sheaf_sky_components_free(sheaf_sky_component* list, size_t n, double* freq_hz) {
  for (size_t i = 0; list && i < n; i++) std::free(list[i].flux);
  std::free(list);
  std::free(freq_hz);
}

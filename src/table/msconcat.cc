// SPDX-License-Identifier: GPL-3.0-or-later
//
// Put right here after casacore's MSConcat (3.5): POINTING loses rows when antennas are renumbered
// and the first MS has none; SYSCAL and GAIN_CURVE keep the spectral window ids of the appended MS,
// or are mapped only when a window is new; PHASE_CAL, EARTH_ORIENTATION, SYSPOWER and CALDEVICE are
// not merged at all; ids of OBSERVATION, PROCESSOR and STATE (see idtable.hh and StateGuard); and
// SIGMA_SPECTRUM is overwritten with scaled WEIGHT_SPECTRUM (so that weights are scaled here, not
// there).
#include "table/msconcat.h"

#include <casacore/casa/Arrays/ArrayLogical.h>
#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/casa/Containers/Record.h>
#include <casacore/casa/OS/Path.h>
#include <casacore/casa/Quanta/Quantum.h>
#include <casacore/measures/Measures/Stokes.h>
#include <casacore/ms/MSOper/MSConcat.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/ms/MeasurementSets/MeasurementSet.h>
#include <casacore/tables/DataMan/StandardStMan.h>
#include <casacore/tables/DataMan/TiledShapeStMan.h>
#include <casacore/tables/DataMan/TiledStManAccessor.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableLock.h>
#include <casacore/tables/Tables/TableRow.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "table/casacore_log.hh"
#include "table/concat.h"
#include "table/guard.hh"
#include "table/idtable.hh"
#include "table/isolate.hh"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;

namespace {

struct JsonFree {
  void operator()(json_t* value) const { json_decref(value); }
};
using Json = std::unique_ptr<json_t, JsonFree>;
using IdMap = std::map<Int, Int>;

const TableLock nolock(TableLock::NoLocking);

bool exists(const String& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0;
}

Table open_table(const String& path, Table::TableOption option) {
  return Table(path, nolock, option);
}

// Runs a piece of work that writes: casacore ends the process when a destructor meets a full disk.
template <class Body>
int write(sheaf_error* err, const char* where, Body&& body) {
  sheaf_casacore_log_install();
  return sheaf::isolated(err, where, [&](sheaf_error* why) {
    return sheaf::guard(why, where, [&] {
      body();
      return 0;
    });
  });
}

// ---- survey ----

Json column_names(const Table& table) {
  Json names(json_array());
  const Vector<String> list = table.tableDesc().columnNames();
  for (const String& name : list) json_array_append_new(names.get(), json_string(name.c_str()));
  return names;
}

// {name: [column, …]} of the sub-tables that can be opened.
Json survey_subtables(const Table& ms) {
  Json all(json_object());
  const TableRecord& keywords = ms.keywordSet();
  for (uInt i = 0; i < keywords.nfields(); ++i) {
    if (keywords.type(i) != TpTable) continue;
    const String path = keywords.tableAttributes(i).name();
    if (exists(path + "/table.dat"))
      json_object_set_new(all.get(), keywords.name(i).c_str(),
                          column_names(open_table(path, Table::Old)).release());
  }
  return all;
}

// Name, station and position to the last bit.
Json survey_antennas(const MeasurementSet& ms) {
  Json all(json_array());
  const MSAntennaColumns antennas(ms.antenna());
  for (rownr_t row = 0; row < antennas.nrow(); ++row) {
    const Vector<Double> xyz = antennas.position()(row);
    char position[120];
    std::snprintf(position, sizeof position, "%a %a %a", xyz[0], xyz[1], xyz[2]);
    const std::string text =
        antennas.name()(row) + " | " + antennas.station()(row) + " | " + position;
    json_array_append_new(all.get(), json_string(text.c_str()));
  }
  return all;
}

bool unique_names(const MeasurementSet& ms) {
  const Vector<String> names = MSAntennaColumns(ms.antenna()).name().getColumn();
  return std::set<String>(names.begin(), names.end()).size() == names.size();
}

// Which ways channels run: first up, second down.
std::pair<bool, bool> survey_channels(const MeasurementSet& ms) {
  std::pair<bool, bool> way(false, false);
  const MSSpWindowColumns windows(ms.spectralWindow());
  for (rownr_t row = 0; row < windows.nrow(); ++row) {
    const Vector<Double> freq = windows.chanFreq()(row);
    for (size_t i = 1; i < freq.size(); ++i)
      (freq[i] < freq[i - 1] ? way.second : way.first) = true;
  }
  return way;
}

// Numbers of the data managers that hold nothing that a merge writes unless it turns baselines,
// turns channels or scales.
Json survey_bulk(const Table& table) {
  static const std::set<String> bulky = {
      "DATA",  "CORRECTED_DATA", "MODEL_DATA", "FLOAT_DATA", "LAG_DATA",        "WEIGHT",
      "SIGMA", "FLAG_CATEGORY",  "FLAG",       "UVW",        "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"};
  Json numbers(json_array());
  const Record managers = table.dataManagerInfo();
  for (uInt i = 0; i < managers.nfields(); ++i) {
    const Record& manager = managers.subRecord(i);
    const Vector<String> columns = manager.asArrayString("COLUMNS");
    bool all = !columns.empty();
    for (const String& column : columns) all = all && bulky.count(column) > 0;
    if (all) json_array_append_new(numbers.get(), json_integer(manager.asuInt("SEQNR")));
  }
  return numbers;
}

// casacore's merge uses these ids as indices without looking.
void check_ids(const MeasurementSet& ms) {
  const struct {
    const char *column, *table;
    rownr_t nrow;
  } all[] = {{"DATA_DESC_ID", "DATA_DESCRIPTION", ms.dataDescription().nrow()},
             {"FIELD_ID", "FIELD", ms.field().nrow()},
             {"ANTENNA1", "ANTENNA", ms.antenna().nrow()},
             {"ANTENNA2", "ANTENNA", ms.antenna().nrow()}};
  for (const auto& id : all) {
    Int lowest, highest;
    minMax(lowest, highest, ScalarColumn<Int>(ms, id.column).getColumn());
    if (lowest >= 0 && highest < static_cast<Int>(id.nrow)) continue;
    std::ostringstream text;
    text << ms.tableName() << ": " << id.column << " " << (lowest < 0 ? lowest : highest)
         << " has no row in " << id.table << ", which has " << id.nrow;
    throw Failure(SHEAF_ERR_DATA, text.str());
  }
}

int64_t pointing_rows(const Table& ms) {
  if (!ms.keywordSet().isDefined("POINTING")) return -1;
  const String path = ms.keywordSet().tableAttributes("POINTING").name();
  return exists(path + "/table.dat") ? static_cast<int64_t>(open_table(path, Table::Old).nrow())
                                     : -1;
}

json_t* survey(const String& path) {
  const Table table = open_table(path, Table::Old);
  if (!table.keywordSet().isDefined("MS_VERSION"))
    throw Failure(SHEAF_ERR_DATA, path + ": is not a MeasurementSet (no keyword MS_VERSION)");
  json_t* described = nullptr;
  sheaf_error err;
  if (sheaf_concat_describe(path.c_str(), &described, &err) < 0) throw Failure(err.code, err.text);
  const Json description(described);
  const MeasurementSet ms(table);
  if (ms.nrow() > 0) check_ids(ms);
  const std::pair<bool, bool> way = survey_channels(ms);
  const double start =
      ms.nrow() ? min(ScalarColumn<Double>(table, "TIME").getColumn()) : std::nan("");
  return json_pack(
      "{s:I,s:o,s:O,s:o,s:o,s:b,s:b,s:b,s:o,s:I}", "nrow", static_cast<json_int_t>(table.nrow()),
      "start", ms.nrow() ? json_real(start) : json_null(), "columns",
      json_object_get(description.get(), "columns"), "subtables", survey_subtables(table).release(),
      "antennas", survey_antennas(ms).release(), "unique", static_cast<int>(unique_names(ms)),
      "ascending", static_cast<int>(way.first), "descending", static_cast<int>(way.second), "bulk",
      survey_bulk(table).release(), "pointing", static_cast<json_int_t>(pointing_rows(table)));
}

// ---- merging ----

// The windows of `other` in `first` once they were merged.
IdMap map_windows(const MeasurementSet& first, const MeasurementSet& other, double freqtol_hz) {
  IdMap map;
  const MSSpWindowColumns mine(first.spectralWindow());
  const MSSpWindowColumns theirs(other.spectralWindow());
  for (rownr_t row = 0; row < theirs.nrow(); ++row) {
    Vector<Double> freqs = theirs.chanFreq()(row);
    Bool reversed = False;
    map[row] = mine.matchSpw(theirs.refFrequencyMeas()(row), theirs.numChan()(row),
                             theirs.totalBandwidthQuant()(row), theirs.ifConvChain()(row),
                             Quantum<Double>(freqtol_hz, "Hz"), freqs, reversed);
  }
  return map;
}

IdMap map_antennas(MeasurementSet& first, const MeasurementSet& other) {
  IdMap map;
  MSAntennaColumns mine(first.antenna());
  const MSAntennaColumns theirs(other.antenna());
  for (rownr_t row = 0; row < theirs.nrow(); ++row)
    map[row] = mine.matchAntennaAndStation(theirs.name()(row), theirs.station()(row),
                                           theirs.positionMeas()(row), Quantum<Double>(1, "m"));
  return map;
}

// An id that the map lacks, or maps to nothing, stays: -1 means "any".
Int mapped(const IdMap& map, Int id) {
  const auto found = map.find(id);
  return found == map.end() || found->second < 0 ? id : found->second;
}

// Rows [row0, …) of column `name` in `to` become the mapped ids of all rows of `from`.
void put_mapped(Table& to, const Table& from, rownr_t row0, const String& name, const IdMap& map) {
  if (!to.tableDesc().isColumn(name) || !from.tableDesc().isColumn(name)) return;
  const ScalarColumn<Int> theirs(from, name);
  ScalarColumn<Int> mine(to, name);
  for (rownr_t row = 0; row < from.nrow(); ++row) mine.put(row0 + row, mapped(map, theirs(row)));
}

void map_in_place(Table& table, rownr_t nrow, const String& name, const IdMap& map) {
  ScalarColumn<Int> column(table, name);
  for (rownr_t row = 0; row < nrow; ++row) column.put(row, mapped(map, column(row)));
}

struct Maps {
  IdMap windows, antennas, observations, first_observations;
};

bool has_table(const Table& ms, const String& name) {
  return ms.keywordSet().isDefined(name) &&
         exists(ms.keywordSet().tableAttributes(name).name() + "/table.dat");
}

Table subtable(const Table& ms, const String& name, Table::TableOption option) {
  return open_table(ms.keywordSet().tableAttributes(name).name(), option);
}

void append_rows(Table& to, const Table& from) {
  const rownr_t row0 = to.nrow();
  to.addRow(from.nrow());
  TableRow mine(to);
  const ROTableRow theirs(from);
  for (rownr_t row = 0; row < from.nrow(); ++row)
    mine.putMatchingFields(row0 + row, theirs.get(row));
}

// casacore appended all rows of `other` to the table, or none.
void remap_appended(const Table& first, const Table& other, const String& name, rownr_t nrow_before,
                    const Maps& maps) {
  if (!has_table(first, name) || !has_table(other, name)) return;
  Table mine = subtable(first, name, Table::Update);
  const Table theirs = subtable(other, name, Table::Old);
  if (mine.nrow() != nrow_before + theirs.nrow()) return;
  put_mapped(mine, theirs, nrow_before, "SPECTRAL_WINDOW_ID", maps.windows);
}

// A table that casacore does not merge. When only the other MS has one, it is made.
void merge_table(Table& first, const Table& other, const String& name, const Maps& maps) {
  if (!has_table(other, name)) return;
  const Table theirs = subtable(other, name, Table::Old);
  if (theirs.nrow() == 0) return;
  if (!has_table(first, name)) {
    const String path = first.tableName() + "/" + name;
    theirs.deepCopy(path, Table::New, True, Table::AipsrcEndian, True);
    first.rwKeywordSet().defineTable(name, open_table(path, Table::Update));
  }
  Table mine = subtable(first, name, Table::Update);
  const rownr_t before = mine.nrow();
  append_rows(mine, theirs);
  put_mapped(mine, theirs, before, "ANTENNA_ID", maps.antennas);
  put_mapped(mine, theirs, before, "SPECTRAL_WINDOW_ID", maps.windows);
  put_mapped(mine, theirs, before, "OBSERVATION_ID", maps.observations);
  if (mine.tableDesc().isColumn("OBSERVATION_ID"))
    map_in_place(mine, before, "OBSERVATION_ID", maps.first_observations);
  sheaf_log(SHEAF_LOG_INFO, "Added %lld rows to the %s subtable",
            static_cast<long long>(theirs.nrow()), name.c_str());
}

// POINTING lies outside of the MS meanwhile, where casacore cannot drop its rows.
void map_pointing(const String& path, rownr_t nantenna, const IdMap& antennas) {
  Table table = open_table(path, Table::Update);
  ScalarColumn<Int> column(table, "ANTENNA_ID");
  Vector<Int> ids = column.getColumn();
  for (Int& id : ids) {
    if (id < -1 || id >= static_cast<Int>(nantenna))
      throw Failure(SHEAF_ERR_DATA, "POINTING refers to antenna " + std::to_string(id) +
                                        ", but ANTENNA has only " + std::to_string(nantenna) +
                                        " rows; copypointing=False leaves POINTING out");
    id = mapped(antennas, id);
  }
  column.putColumn(ids);
}

// Fields that follow an ephemeris need the column that tells which.
void add_ephemeris_column(MeasurementSet& first, const MeasurementSet& other) {
  const String name = MSField::columnName(MSField::EPHEMERIS_ID);
  if (first.field().tableDesc().isColumn(name)) return;
  const MSFieldColumns theirs(other.field());
  bool moving = false;
  for (rownr_t row = 0; row < theirs.nrow(); ++row)
    moving = moving || !theirs.ephemPath(row).empty();
  if (!moving) return;
  TableDesc column;
  MSField::addColumnToDesc(column, MSField::EPHEMERIS_ID);
  first.field().addColumn(column, StandardStMan());
  ScalarColumn<Int>(first.field(), name).fillColumn(-1);
}

// STATE when casacore merges: it empties the table when one MS has none, and takes STATE_ID -1 for
// an index. So the MS without rows gets those of the other meanwhile, and ids that mean nothing
// become 0 meanwhile.
class StateGuard {
 public:
  StateGuard(const String& first, const String& other) : other_(other) {
    if (!has_table(open_table(first, Table::Old), "STATE") ||
        !has_table(open_table(other, Table::Old), "STATE"))
      return;
    Table mine = subtable(open_table(first, Table::Old), "STATE", Table::Update);
    Table theirs = subtable(open_table(other, Table::Old), "STATE", Table::Update);
    const Int nstate = theirs.nrow();
    if (mine.nrow() == 0 && nstate > 0) append_rows(mine, theirs);
    if (nstate == 0 && mine.nrow() > 0) append_rows(theirs, mine);
    if (theirs.nrow() > 0) hide(nstate);
  }
  void restore() const {
    if (hidden_.empty()) return;
    Table table = open_table(other_, Table::Update);
    ScalarColumn<Int> column(table, "STATE_ID");
    for (const rownr_t row : hidden_) column.put(row, -1);
    sheaf::flush(table);
  }

 private:
  void hide(Int nstate) {
    Table table = open_table(other_, Table::Update);
    ScalarColumn<Int> column(table, "STATE_ID");
    Vector<Int> ids = column.getColumn();
    for (size_t row = 0; row < ids.size(); ++row) {
      if (ids[row] >= 0 && ids[row] < nstate) continue;
      hidden_.push_back(row);
      ids[row] = 0;
    }
    if (hidden_.empty()) return;
    column.putColumn(ids);
    sheaf::flush(table);
  }
  String other_;
  std::vector<rownr_t> hidden_;
};

rownr_t rows_of(const Table& ms, const String& name) {
  return has_table(ms, name) ? subtable(ms, name, Table::Old).nrow() : 0;
}

// casacore's own part; its objects close before anything else is done.
void merge_with_casacore(const String& first_path, const String& other_path,
                         const sheaf_msconcat_options& options) {
  MeasurementSet first(first_path, nolock, Table::Update);
  MeasurementSet other(other_path, nolock, Table::Update);
  add_ephemeris_column(first, other);
  MSConcat concat(first);
  Quantum<Double> freqtol(options.freqtol_hz, "Hz"), dirtol(options.dirtol_rad, "rad");
  concat.setTolerance(freqtol, dirtol);
  concat.setRespectForFieldName(options.respectname != 0);
  concat.virtualconcat(other, True, options.scans);
  sheaf::flush(first);
  sheaf::flush(other);
}

// The file of scan ranges names observations by casacore's ids: number of lines, (id, first scan,
// last scan) each, last scan.
void correct_scan_file(const char* file, const IdMap& ids) {
  if (ids.empty()) return;
  std::ifstream in(file);
  std::ostringstream out;
  long n = 0, id, lowest, highest, last = 0;
  in >> n;
  out << n << '\n';
  for (long i = 0; i < n && in >> id >> lowest >> highest; ++i)
    out << mapped(ids, static_cast<Int>(id)) << '\n' << lowest << '\n' << highest << '\n';
  if (!(in >> last)) throw Failure(SHEAF_ERR_INTERNAL, std::string(file) + ": is incomplete");
  out << last << '\n';
  std::ofstream(file) << out.str();
}

void merge(const String& first_path, const String& other_path,
           const sheaf_msconcat_options& options) {
  static const char* const appended[] = {"SYSCAL", "GAIN_CURVE"};
  static const char* const unmerged[] = {"PHASE_CAL", "EARTH_ORIENTATION", "SYSPOWER", "CALDEVICE"};
  sheaf::IdTable observations = sheaf::IdTable::observation(first_path, other_path);
  sheaf::IdTable processors = sheaf::IdTable::processor(first_path, other_path);
  std::map<String, rownr_t> nrow;
  observations.prepare();
  processors.prepare();
  {
    const Table table = open_table(first_path, Table::Old);
    for (const char* name : appended) nrow[name] = rows_of(table, name);
  }
  const StateGuard states(first_path, other_path);
  merge_with_casacore(first_path, other_path, options);
  states.restore();
  observations.finish();
  processors.finish();
  correct_scan_file(options.scans, observations.casacore_ids());
  MeasurementSet first(first_path, nolock, Table::Update);
  const MeasurementSet other(other_path, nolock, Table::Old);
  const Maps maps{map_windows(first, other, options.freqtol_hz), map_antennas(first, other),
                  observations.other_ids(), observations.first_ids()};
  for (const char* name : appended) remap_appended(first, other, name, nrow[name], maps);
  for (const char* name : unmerged) merge_table(first, other, name, maps);
  if (options.pointing) map_pointing(options.pointing, other.antenna().nrow(), maps.antennas);
}

// ---- weights ----

void scale_column(Table& table, const String& name, Float factor) {
  if (!table.tableDesc().isColumn(name)) return;
  ArrayColumn<Float> column(table, name);
  for (rownr_t row = 0; row < table.nrow(); ++row) {
    if (!column.isDefined(row)) continue;
    Array<Float> cell = column(row);
    cell *= factor;
    column.put(row, cell);
  }
}

// ---- scratch columns ----

// Tile shape of the column's first cube; a default of about 1 MB when it is not tiled.
IPosition tile_like(const Table& table, const String& name) {
  try {
    const ROTiledStManAccessor tiles(table, name, True);
    if (tiles.nhypercubes() > 0) return tiles.tileShape(rownr_t(0));
  } catch (const std::exception&) {
  }
  return IPosition(3, 4, 64, 512);
}

Vector<Int> correlations(const MeasurementSet& ms, Int dd) {
  const MSDataDescColumns described(ms.dataDescription());
  return MSPolarizationColumns(ms.polarization()).corrType()(described.polarizationId()(dd));
}

bool is_parallel(Int corr) {
  return corr == Stokes::I || corr == Stokes::RR || corr == Stokes::LL || corr == Stokes::XX ||
         corr == Stokes::YY || corr == Stokes::PP || corr == Stokes::QQ;
}

// What MODEL_DATA holds before anybody puts a model there.
Matrix<Complex> unit_model(const MeasurementSet& ms, Int dd, const IPosition& shape) {
  Matrix<Complex> model(shape, Complex(0));
  const Vector<Int> corr = correlations(ms, dd);
  for (ssize_t i = 0; i < shape[0]; ++i)
    if (i >= static_cast<ssize_t>(corr.size()) || is_parallel(corr[i])) model.row(i) = Complex(1);
  return model;
}

void fill_model(const MeasurementSet& ms, const TableColumn& like, ArrayColumn<Complex>& to) {
  const ScalarColumn<Int> dds(ms, "DATA_DESC_ID");
  std::map<std::pair<Int, ssize_t>, Matrix<Complex>> known;
  for (rownr_t row = 0; row < ms.nrow(); ++row) {
    if (!like.isDefined(row)) continue;
    const IPosition shape = like.shape(row);
    Matrix<Complex>& model = known[{dds(row), shape[1]}];
    if (!model.shape().isEqual(shape)) model.reference(unit_model(ms, dds(row), shape));
    to.put(row, model);
  }
}

void fill_corrected(const Table& ms, const String& like, ArrayColumn<Complex>& to) {
  const bool real = like == "FLOAT_DATA";
  const ArrayColumn<Complex> data(ms, real ? to.columnDesc().name() : like);
  const ArrayColumn<Float> single = real ? ArrayColumn<Float>(ms, like) : ArrayColumn<Float>();
  for (rownr_t row = 0; row < ms.nrow(); ++row) {
    if (real ? !single.isDefined(row) : !data.isDefined(row)) continue;
    if (real) {
      Array<Complex> cell(single.shape(row));
      convertArray(cell, single(row));
      to.put(row, cell);
    } else {
      to.put(row, data(row));
    }
  }
}

ArrayColumn<Complex> add_column(Table& table, const String& name, const String& manager,
                                const IPosition& tile) {
  TableDesc description;
  description.addColumn(ArrayColumnDesc<Complex>(name, "The data column", 2));
  description.defineHypercolumn(manager, 3, Vector<String>(1, name));
  table.addColumn(description, TiledShapeStMan(manager, tile));
  return ArrayColumn<Complex>(table, name);
}

void add_scratch(const String& path, bool model, bool corrected) {
  MeasurementSet ms(path, nolock, Table::Update);
  const String like = ms.tableDesc().isColumn("DATA") ? "DATA" : "FLOAT_DATA";
  const IPosition tile = tile_like(ms, like);
  if (model && !ms.tableDesc().isColumn("MODEL_DATA")) {
    ArrayColumn<Complex> column = add_column(ms, "MODEL_DATA", "TiledModel", tile);
    fill_model(ms, TableColumn(ms, like), column);
  }
  if (corrected && !ms.tableDesc().isColumn("CORRECTED_DATA")) {
    ArrayColumn<Complex> column = add_column(ms, "CORRECTED_DATA", "TiledCorrected", tile);
    fill_corrected(ms, like, column);
  }
}

// ---- whole tables ----

void copy_table(const String& from, const String& to, bool norows) {
  const Table table = open_table(from, Table::Old);
  table.deepCopy(to, Table::New, True, Table::AipsrcEndian, norows);
}

}  // namespace

int sheaf_msconcat_survey(const char* path, json_t** result, sheaf_error* err) {
  sheaf_casacore_log_install();
  return sheaf::guard(err, path, [&] {
    sheaf::check_reference(path);
    *result = survey(Path(path).absoluteName());
    return 0;
  });
}

int sheaf_msconcat_quantity(const char* text, const char* unit, double* value, sheaf_error* err) {
  return sheaf::guard(err, text, [&] {
    Quantum<Double> quantity;
    if (Quantum<Double>::read(quantity, String(text)) && quantity.getValue() < 0)
      throw Failure(SHEAF_ERR_ARG, std::string("'") + text + "' is negative; it must be 0 or more");
    if (!Quantum<Double>::read(quantity, String(text)) || !(quantity.getValue() >= 0))
      throw Failure(SHEAF_ERR_ARG, std::string("'") + text + "' is no quantity such as '1" + unit +
                                       "' or '0.5" + (unit[0] == 'H' ? "MHz" : "arcsec") + "'");
    if (quantity.getUnit().empty()) quantity.setUnit(unit);
    if (!quantity.isConform(Unit(unit)))
      throw Failure(SHEAF_ERR_ARG,
                    std::string("'") + text + "' has the wrong unit; it must convert to " + unit);
    *value = quantity.getValue(Unit(unit));
    return 0;
  });
}

int sheaf_msconcat_merge(const char* first, const char* other,
                         const sheaf_msconcat_options* options, sheaf_error* err) {
  return write(err, other, [&] {
    sheaf::LogScope scope;
    scope.drop.push_back("pointing table");  // POINTING is kept aside
    scope.drop.push_back(options->scans);
    merge(Path(first).absoluteName(), Path(other).absoluteName(), *options);
  });
}

int sheaf_msconcat_scale(const char* path, double factor, int sigma, sheaf_error* err) {
  return write(err, path, [&] {
    Table table = open_table(path, Table::Update);
    for (const char* name : {"WEIGHT", "WEIGHT_SPECTRUM"})
      scale_column(table, name, static_cast<Float>(factor));
    if (sigma)
      for (const char* name : {"SIGMA", "SIGMA_SPECTRUM"})
        scale_column(table, name, 1 / std::sqrt(static_cast<Float>(factor)));
    sheaf::flush(table);
  });
}

int sheaf_msconcat_scratch(const char* path, int model, int corrected, sheaf_error* err) {
  return write(err, path, [&] { add_scratch(path, model != 0, corrected != 0); });
}

int sheaf_msconcat_copy(const char* from, const char* to, int norows, sheaf_error* err) {
  return write(err, from, [&] {
    copy_table(Path(from).absoluteName(), Path(to).absoluteName(), norows != 0);
  });
}

int sheaf_msconcat_append(const char* table, const char* other, sheaf_error* err) {
  return write(err, table, [&] {
    Table to = open_table(table, Table::Update);
    append_rows(to, open_table(other, Table::Old));
    sheaf::flush(to);
  });
}

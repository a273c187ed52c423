// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_msdata.cc - the tool `ms`: getdata and putdata.
#include <casacore/casa/Arrays/ArrayLogical.h>
#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/casa/Arrays/Cube.h>
#include <casacore/casa/Arrays/Matrix.h>
#include <casacore/casa/BasicSL/Constants.h>
#include <casacore/measures/Measures/MEpoch.h>
#include <casacore/ms/MSOper/MSDerivedValues.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/ms/MeasurementSets/StokesConverter.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "table/guard.hh"
#include "table/tool_average.hh"
#include "table/tool_ms.hh"

using namespace casacore;

namespace sheaf {
namespace {

// Where rows lie when interferometers have an axis: one slot per integration, data description,
// field and array, in the order in which they come.
struct Grid {
  Vector<Int> ifrs;                     // antenna1 * 1000 + antenna2, ascending; -1: a gap
  std::vector<Int64> first;             // a row of each slot
  std::vector<std::vector<Int64>> row;  // [slot][ifr], -1: there is none
};

Vector<Int> ints_of(const Table& rows, const char* column) {
  return ScalarColumn<Int>(rows, column).getColumn();
}

Vector<Int> ifrs_of(const Table& rows) {
  const Vector<Int> one = ints_of(rows, "ANTENNA1"), two = ints_of(rows, "ANTENNA2");
  std::set<Int> all;
  for (size_t i = 0; i < one.size(); i++) all.insert(one[i] * 1000 + two[i]);
  return Vector<Int>(all.begin(), all.end());
}

// `gap` empty places wherever the next interferometer has another antenna 1.
Vector<Int> with_gaps(const Vector<Int>& ifrs, int64_t gap) {
  std::vector<Int> out;
  for (size_t i = 0; i < ifrs.size(); i++) {
    if (i > 0 && ifrs[i] / 1000 != ifrs[i - 1] / 1000) out.insert(out.end(), gap, -1);
    out.push_back(ifrs[i]);
  }
  return Vector<Int>(out.begin(), out.end());
}

Grid grid_of(const Table& rows, int64_t gap) {
  Grid g;
  g.ifrs = with_gaps(ifrs_of(rows), gap);
  std::map<Int, size_t> place;
  for (size_t i = 0; i < g.ifrs.size(); i++)
    if (g.ifrs[i] >= 0) place[g.ifrs[i]] = i;
  const Vector<Int> one = ints_of(rows, "ANTENNA1"), two = ints_of(rows, "ANTENNA2");
  const Vector<Int> dd = ints_of(rows, "DATA_DESC_ID"), field = ints_of(rows, "FIELD_ID"),
                    array = ints_of(rows, "ARRAY_ID");
  const Vector<Double> time = ScalarColumn<Double>(rows, "TIME").getColumn();
  std::map<std::tuple<Double, Int, Int, Int>, size_t> slots;
  for (size_t i = 0; i < one.size(); i++) {
    const auto key = std::make_tuple(time[i], dd[i], field[i], array[i]);
    const auto found = slots.emplace(key, g.first.size());
    if (found.second) {
      g.first.push_back(static_cast<Int64>(i));
      g.row.emplace_back(g.ifrs.size(), -1);
    }
    g.row[found.first->second][place.at(one[i] * 1000 + two[i])] = static_cast<Int64>(i);
  }
  return g;
}

// Rows are the last axis of `in`; in the result interferometers and slots are.
template <class T>
Array<T> spread(const Grid& g, const Array<T>& in, T missing) {
  IPosition shape = in.shape();
  const size_t last = shape.size() - 1;
  const size_t cell = in.shape()[last] ? in.nelements() / in.shape()[last] : 0;
  shape[last] = g.ifrs.size();
  shape.append(IPosition(1, g.row.size()));
  Array<T> out(shape);
  const T* from = in.data();
  T* to = out.data();
  for (const auto& slot : g.row)
    for (const Int64 row : slot) {
      if (row < 0)
        std::fill(to, to + cell, missing);
      else
        std::copy(from + row * cell, from + (row + 1) * cell, to);
      to += cell;
    }
  return out;
}

// The inverse; what has no row is left out.
template <class T>
Array<T> gather(const Grid& g, const Array<T>& in, size_t nrow) {
  IPosition shape = in.shape().getFirst(in.ndim() - 1);
  const size_t last = shape.size() - 1;
  if (shape[last] != static_cast<ssize_t>(g.ifrs.size()) ||
      in.shape()[last + 1] != static_cast<ssize_t>(g.row.size()))
    throw Failure(SHEAF_ERR_ARG,
                  "putdata: an array has another shape than getdata with ifraxis=True gives");
  shape[last] = nrow;
  Array<T> out(shape);
  const size_t cell = out.nelements() / nrow;
  const T* from = in.data();
  for (const auto& slot : g.row)
    for (const Int64 row : slot) {
      if (row >= 0) std::copy(from, from + cell, out.data() + row * cell);
      from += cell;
    }
  return out;
}

struct Empty {  // the column that an item needs is not there
  std::string column;
};

// An item of visibilities: "corrected_amplitude" is made of two words.
struct Visibility {
  std::string of, what;  // "", corrected, model, ratio, residual, obs_residual; data, amplitude, …
};

bool visibility_of(const std::string& item, Visibility& v) {
  for (const char* what : {"data", "amplitude", "phase", "real", "imaginary"}) {
    const std::string w(what);
    if (item.size() < w.size() || item.compare(item.size() - w.size(), w.size(), w) != 0) continue;
    std::string of = item.substr(0, item.size() - w.size());
    if (!of.empty() && of.back() == '_') of.pop_back();
    for (const char* known : {"", "corrected", "model", "ratio", "residual", "obs_residual"})
      if (of == known && (of.empty() || item[of.size()] == '_')) {
        v = {of, w};
        return true;
      }
  }
  return false;
}

class Getter {
 public:
  Getter(MsTool& tool, const Arguments& a) : t(tool), rows(tool.rows()) {
    ifraxis = a["ifraxis"].truth();
    average = a["average"].truth();
    const int64_t gap = std::max<int64_t>(a["ifraxisgap"].integer(), 0);
    if (gap && !ifraxis) warn("getdata", "ifraxis not requested, ignoring ifraxisgap argument");
    const int64_t step = a["increment"].integer();
    if (step < 1) throw Failure(SHEAF_ERR_ARG, "getdata: increment must be 1 or more");
    const auto n = static_cast<int64_t>(rows.nrow());
    if (step > 1 && step <= n) {
      RowNumbers some(n / step);
      for (size_t i = 0; i < some.size(); i++) some[i] = i * step;
      rows = rows(some);
    }
    setup = setup_of(t.ms, rows);
    types = types_of(t.ms, setup);
    choose_correlations();
    t.gap = ifraxis ? gap : 0;
    if (ifraxis) grid = grid_of(rows, gap);
  }

  void item(const std::string& name, RecordWriter& out);
  // After the last item.
  void finish(RecordWriter& out);

  bool ifraxis = false, average = false;

 private:
  void choose_correlations();
  bool has(const char* column) const { return rows.tableDesc().isColumn(column); }
  template <class T>
  Array<T> cells(const char* column, bool channel_axis) const;
  template <class T>
  Array<T> shaped(const Array<T>& a, T missing) const {
    return ifraxis ? spread(grid, a, missing) : a;
  }
  Array<Complex> column(const char* name);
  Array<Complex> column_of(const std::string& of);
  bool averages_channels() const { return t.channels.n && t.channels.width > 1; }
  Array<Float> spectrum(const char* column);  // no elements where there is none
  Array<Bool> raw_flags() { return cells<Bool>("FLAG", true); }
  Array<Bool> flags();
  Array<Bool> row_flags();
  Array<Complex> visibilities(const std::string& of);
  Array<Float> weights();
  Array<Float> sigmas();
  Array<Complex> converted_means(const Array<Complex>& data);
  void write_visibility(const std::string& name, const Visibility& v, RecordWriter& out);
  void write_ints(const std::string& name, const char* column, RecordWriter& out);
  void write_flags(const std::string& name, RecordWriter& out);
  void write_flag_sum(RecordWriter& out);
  void write_times(const std::string& name, RecordWriter& out);
  void write_uvw(const std::string& name, RecordWriter& out);
  void write_sigma(RecordWriter& out);
  void write_float_data(RecordWriter& out);
  void write_ifrs(RecordWriter& out);
  void write_axes(RecordWriter& out);
  void write_frequencies(RecordWriter& out) const;
  void write_interferometers(RecordWriter& out) const;
  void write_time_axis(RecordWriter& out) const;

  MsTool& t;
  Table rows;
  Setup setup;
  Vector<Int> types;      // correlations of the data
  std::vector<Int> kept;  // of those: which; empty: all
  std::unique_ptr<StokesConverter> convert;
  Grid grid;
  Array<Bool> mean_flags;  // of the last averaged item
  bool weighed = false;    // something was averaged over rows
 public:
  std::set<std::string> asked;
};

// What the data have is taken as it is, in the order asked for and each once; else all is converted.
void Getter::choose_correlations() {
  const std::vector<Int> have(types.begin(), types.end());
  bool all_there = true;
  for (const Int want : t.correlations) {
    const auto at = std::find(have.begin(), have.end(), want);
    const auto i = static_cast<Int>(at - have.begin());
    if (at == have.end())
      all_there = false;
    else if (std::find(kept.begin(), kept.end(), i) == kept.end())
      kept.push_back(i);
  }
  if (all_there) {
    if (kept.size() == have.size() && std::is_sorted(kept.begin(), kept.end())) kept.clear();
    return;
  }
  kept.clear();
  convert = std::make_unique<StokesConverter>(
      Vector<Int>(t.correlations.begin(), t.correlations.end()), types, true);
}

// A column as it is stored, with the selected correlations and (where they are not averaged)
// channels.
template <class T>
Array<T> Getter::cells(const char* name, bool channel_axis) const {
  const ArrayColumn<T> col(rows, name);
  const Channels& c = t.channels;
  Array<T> all =
      channel_axis && c.n && c.width == 1
          ? col.getColumn(Slicer(IPosition(2, 0, c.start), IPosition(2, types.size(), c.n),
                                 IPosition(2, 1, c.step)))
          : col.getColumn();
  if (kept.empty()) return all;
  IPosition shape = all.shape();
  shape[0] = kept.size();
  Array<T> some(shape);
  const size_t from = all.shape()[0], to = kept.size(),
               n = all.nelements() / std::max<size_t>(from, 1);
  const T* in = all.data();
  T* out = some.data();
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < to; k++) out[i * to + k] = in[i * from + kept[k]];
  return some;
}

// 0 / 0 is 0: means of what is all flagged.
Array<Complex> ratio(const Array<Complex>& one, const Array<Complex>& other) {
  Array<Complex> out(one / other);
  for (size_t i = 0; i < out.nelements(); i++)
    if (one.data()[i] == Complex(0) && other.data()[i] == Complex(0)) out.data()[i] = 0;
  return out;
}

Array<Complex> Getter::column_of(const std::string& of) {
  if (of.empty()) return column("DATA");
  if (of == "corrected") return column("CORRECTED_DATA");
  if (of == "model") return column("MODEL_DATA");
  if (of == "ratio") return ratio(column("CORRECTED_DATA"), column("MODEL_DATA"));
  if (of == "residual") return Array<Complex>(column("CORRECTED_DATA") - column("MODEL_DATA"));
  return Array<Complex>(column("DATA") - column("MODEL_DATA"));
}

Array<Float> Getter::spectrum(const char* name) {
  if (!has(name) || !ArrayColumn<Float>(rows, name).isDefined(0)) return {};
  return cells<Float>(name, true);
}

// A column with channels averaged where that is asked for. CASA takes for each column other
// weights.
Array<Complex> Getter::column(const char* name) {
  if (!has(name)) throw Empty{name};
  Array<Complex> data = cells<Complex>(name, true);
  if (!averages_channels()) return data;
  Array<Float> weight;
  if (name == std::string("DATA"))
    weight.reference(weights_of(spectrum("SIGMA_SPECTRUM")));
  else if (name == std::string("CORRECTED_DATA"))
    weight.reference(spectrum("WEIGHT_SPECTRUM"));
  return channel_means(data, raw_flags(), weight, t.channels);
}

Array<Bool> Getter::flags() {
  const Array<Bool> flag = raw_flags();
  return shaped(averages_channels() ? channel_flags(flag, t.channels) : flag, True);
}

Array<Complex> Getter::visibilities(const std::string& of) {
  Array<Complex> data = column_of(of);
  if (convert) {
    Array<Complex> converted;
    convert->convert(converted, data);
    data.reference(converted);
  }
  return shaped(data, Complex(0));
}

Array<Float> Getter::weights() {
  const Array<Float> of_row = cells<Float>("WEIGHT", false);
  if (!averages_channels()) return shaped(of_row, 0.f);
  const Array<Float> each = spectrum("WEIGHT_SPECTRUM");
  return shaped(channel_weights(each.nelements() ? each : of_row, raw_flags(), t.channels), 0.f);
}

Array<Float> Getter::sigmas() {
  const Array<Float> of_row = cells<Float>("SIGMA", false);
  if (!averages_channels()) return shaped(of_row, 0.f);
  const Array<Float> each = spectrum("SIGMA_SPECTRUM");
  return shaped(channel_sigmas(each.nelements() ? each : of_row, raw_flags(), t.channels), 0.f);
}

// A converted visibility is flagged where anything that it is made of is, and weighs what the errors
// of these add up to.
Array<Complex> Getter::converted_means(const Array<Complex>& data) {
  Array<Bool> flag;
  convert->convert(flag, flags());
  Array<Float> weight;
  convert->convert(weight, weights(), False);
  for (Float& w : weight)
    if (!std::isfinite(w)) w = 0;  // made of nothing that the data have
  return row_means(data, flag, weight, mean_flags);
}

void Getter::write_visibility(const std::string& name, const Visibility& v, RecordWriter& out) {
  Array<Complex> data = visibilities(v.of);
  if (average) {
    data.reference(convert ? converted_means(data)
                           : row_means(data, flags(), weights(), mean_flags));
    weighed = true;
  }
  sheaf_pack& to = out.key(name);
  if (v.what == "data") return write(to, data);
  if (v.what == "amplitude") return write(to, Array<Float>(amplitude(data)));
  if (v.what == "phase") return write(to, Array<Float>(phase(data)));
  write(to, v.what == "real" ? Array<Float>(real(data)) : Array<Float>(imag(data)));
}

// What an average over rows has of ids: the one that all have, or -1.
Vector<Int> common_id(const Vector<Int>& ids) {
  return ids.size() > 1 ? Vector<Int>(1, allEQ(ids, ids[0]) ? ids[0] : -1) : ids;
}

void Getter::write_ints(const std::string& name, const char* column_name, RecordWriter& out) {
  Vector<Int> ids = ints_of(rows, column_name);
  if (ifraxis && name.compare(0, 7, "antenna") == 0) {
    Vector<Int> of(grid.ifrs.size());
    for (size_t i = 0; i < of.size(); i++)
      of[i] = grid.ifrs[i] < 0     ? -1
              : name == "antenna1" ? grid.ifrs[i] / 1000
                                   : grid.ifrs[i] % 1000;
    ids.reference(of);
  } else if (ifraxis) {
    Vector<Int> of(grid.first.size());
    for (size_t i = 0; i < of.size(); i++) of[i] = ids[grid.first[i]];
    ids.reference(of);
  }
  if (average) ids.reference(common_id(ids));
  write(out.key(name), Array<Int>(ids));
}

// Where channels are averaged, a row is flagged when all its bins are.
Array<Bool> Getter::row_flags() {
  if (!averages_channels()) return ScalarColumn<Bool>(rows, "FLAG_ROW").getColumn();
  const Array<Bool> flag = channel_flags(raw_flags(), t.channels);
  Array<Bool> out(IPosition(1, rows.nrow()), True);
  const size_t cell = flag.nelements() / out.nelements();
  for (size_t i = 0; i < flag.nelements(); i++) out.data()[i / cell] &= flag.data()[i];
  return out;
}

void Getter::write_flags(const std::string& name, RecordWriter& out) {
  if (name == "flag_row") return write(out.key(name), shaped(row_flags(), True));
  if (!average || !mean_flags.nelements()) return write(out.key(name), flags());
  write(out.key(name), mean_flags);
}

void Getter::write_flag_sum(RecordWriter& out) {
  const Array<Bool> flag = flags();
  const IPosition shape = flag.shape().getFirst(flag.ndim() - 1);
  Array<Int> sum(shape, 0);
  const size_t n = sum.nelements();
  for (size_t i = 0; i < flag.nelements(); i++) sum.data()[i % n] += flag.data()[i];
  write(out.key("flag_sum"), sum);
}

void Getter::write_times(const std::string& name, RecordWriter& out) {
  Vector<Double> time = ScalarColumn<Double>(rows, "TIME").getColumn();
  if (ifraxis) {
    Vector<Double> of(grid.first.size());
    for (size_t i = 0; i < of.size(); i++) of[i] = time[grid.first[i]];
    time.reference(of);
  }
  if (average) {
    time.reference(Vector<Double>(1, mean(time)));
  }
  write(out.key(name), Array<Double>(time));
}

void Getter::write_uvw(const std::string& name, RecordWriter& out) {
  const Array<Double> uvw = ArrayColumn<Double>(rows, "UVW").getColumn();
  if (name == "uvw") return write(out.key(name), shaped(uvw, 0.));
  Vector<Double> one(rows.nrow());
  const Double* p = uvw.data();
  for (size_t i = 0; i < one.size(); i++, p += 3)
    one[i] = name == "uvdist" ? std::sqrt(p[0] * p[0] + p[1] * p[1])
                              : p[name == "u"   ? 0
                                  : name == "v" ? 1
                                                : 2];
  write(out.key(name), shaped(Array<Double>(one), 0.));
}

void Getter::write_sigma(RecordWriter& out) {
  const Array<Float> sigma = sigmas();
  if (!average) return write(out.key("sigma"), sigma);
  Array<Float> sum(sigma.shape().getFirst(sigma.ndim() - 1), 0.f);
  const size_t n = sum.nelements();
  for (size_t i = 0; i < sigma.nelements(); i++)
    sum.data()[i % n] += sigma.data()[i] * sigma.data()[i];
  for (auto& x : sum) x = std::sqrt(x);
  write(out.key("sigma"), sum);
}

void Getter::write_float_data(RecordWriter& out) {
  if (!has("FLOAT_DATA")) throw Empty{"FLOAT_DATA"};
  Array<Float> data = cells<Float>("FLOAT_DATA", true);
  if (averages_channels())
    data.reference(channel_means(data, raw_flags(), spectrum("WEIGHT_SPECTRUM"), t.channels));
  data.reference(shaped(data, 0.f));
  if (average) {
    data.reference(row_means(data, flags(), weights(), mean_flags));
    weighed = true;
  }
  write(out.key("float_data"), data);
}

void Getter::write_frequencies(RecordWriter& out) const {
  const MSSpWindowColumns windows(t.ms.spectralWindow());
  const size_t nspw = setup.spws.size();
  const Channels& c = t.channels;
  const size_t nchan = c.n ? c.n : windows.numChan()(setup.spws[0]);
  Matrix<Double> centre(nchan, nspw), width(nchan, nspw);
  for (size_t s = 0; s < nspw; s++) {
    const Vector<Double> freq(windows.chanFreq()(setup.spws[s])),
        res(windows.resolution()(setup.spws[s]));
    for (size_t k = 0; k < nchan; k++) {
      Double f = 0, w = 0;
      for (int j = 0; j < c.width; j++) {
        const size_t at = c.n ? c.start + k * c.step + j : k;
        f += freq[at], w += res[at];
      }
      centre(k, s) = f / c.width;
      width(k, s) = w / c.width;
    }
  }
  RecordWriter axis(out.key("freq_axis"));
  write(axis.key("chan_freq"), Array<Double>(centre));
  write(axis.key("resolution"), Array<Double>(width));
}

void Getter::write_interferometers(RecordWriter& out) const {
  const MSAntennaColumns antennas(t.ms.antenna());
  const Vector<String> names = antennas.name().getColumn();
  const Array<Double> positions = antennas.position().getColumn();
  const size_t n = grid.ifrs.size();
  Vector<String> name(n), shortname(n);
  Vector<Double> length(n, -1.);
  const auto end_of = [](const String& s) {
    return s.size() > 2 ? String(s.substr(s.size() - 2)) : s;
  };
  for (size_t i = 0; i < n; i++) {
    if (grid.ifrs[i] < 0) continue;  // a gap
    const Int one = grid.ifrs[i] / 1000, two = grid.ifrs[i] % 1000;
    name[i] = names[one] + "-" + names[two];
    shortname[i] = end_of(names[one]) + "-" + end_of(names[two]);
    Double square = 0;
    for (int k = 0; k < 3; k++)
      square += std::pow(positions.data()[one * 3 + k] - positions.data()[two * 3 + k], 2);
    length[i] = std::sqrt(square);
  }
  RecordWriter axis(out.key("ifr_axis"));
  write(axis.key("ifr_number"), Array<Int>(grid.ifrs));
  write_text_array(axis.key("ifr_name"), name);
  write_text_array(axis.key("ifr_shortname"), shortname);
  write(axis.key("baseline"), Array<Double>(length));
}

void Getter::write_time_axis(RecordWriter& out) const {
  const MSMainColumns main(t.selected);
  const Vector<Double> time = ScalarColumn<Double>(rows, "TIME").getColumn();
  const Vector<Int> field = ints_of(rows, "FIELD_ID");
  Vector<Double> times(grid.first.size());
  for (size_t i = 0; i < times.size(); i++) times[i] = time[grid.first[i]];
  if (average) times.reference(Vector<Double>(1, mean(times)));
  const size_t n = times.size();
  Vector<Double> seconds(n), angle(n), sidereal(n), ut(n);
  const MSFieldColumns fields(t.ms.field());
  MSDerivedValues derived;
  derived.setAntennas(MSAntennaColumns(t.ms.antenna()));
  MEpoch epoch = main.timeMeas()(0);
  const bool need = asked.count("ha") || asked.count("last");
  for (size_t i = 0; i < n; i++) {
    const Int id = field[grid.first[i]];
    seconds[i] = times[i];
    ut[i] = seconds[i] - C::day * static_cast<int>(seconds[i > 0 ? 1 : 0] / C::day);
    if (!need) continue;
    derived.setFieldCenter(fields.numPoly()(id) > 0 ? fields.phaseDirMeas(id, seconds[i])
                                                    : fields.phaseDirMeas(id));
    epoch.set(MVEpoch(seconds[i] / C::day));
    derived.setEpoch(epoch);
    if (asked.count("ha")) angle[i] = derived.hourAngle() / C::_2pi * C::day;
    if (asked.count("last")) sidereal[i] = derived.last().getValue().get();
  }
  RecordWriter axis(out.key("time_axis"));
  write(axis.key("MJDseconds"), Array<Double>(seconds));
  if (asked.count("ha")) write(axis.key("HA"), Array<Double>(angle));
  if (asked.count("last")) write(axis.key("LAST"), Array<Double>(sidereal));
  if (asked.count("ut")) write(axis.key("UT"), Array<Double>(ut));
}

// Without an axis of their own: those that occur, or (CASA does so) of each row where something
// other than rows is selected.
void Getter::write_ifrs(RecordWriter& out) {
  Vector<Int> ifrs(ifraxis ? grid.ifrs : ifrs_of(rows));
  if (!ifraxis && (t.channels.n || !t.correlations.empty() || t.steps.begun)) {
    const Vector<Int> one = ints_of(rows, "ANTENNA1"), two = ints_of(rows, "ANTENNA2");
    Vector<Int> each(one.size());
    for (size_t i = 0; i < each.size(); i++) each[i] = one[i] * 1000 + two[i];
    ifrs.reference(each);
  }
  if (average) ifrs.reference(common_id(ifrs));
  write(out.key("ifr_number"), Array<Int>(ifrs));
}

void Getter::write_axes(RecordWriter& out) {
  RecordWriter info(out.key("axis_info"));
  std::vector<std::string> names;
  if (convert)
    for (const Int type : t.correlations) names.push_back(Stokes::name(Stokes::type(type)));
  else if (kept.empty())
    for (const Int type : types) names.push_back(Stokes::name(Stokes::type(type)));
  for (const Int k : kept) names.push_back(Stokes::name(Stokes::type(types[k])));
  write_text_array(info.key("corr_axis"), to_strings(names));
  write_frequencies(info);
  if (!ifraxis) return;
  write_interferometers(info);
  write_time_axis(info);
}

void Getter::item(const std::string& name, RecordWriter& out) {
  static const std::map<std::string, const char*> ids = {
      {"antenna1", "ANTENNA1"}, {"antenna2", "ANTENNA2"},
      {"array_id", "ARRAY_ID"}, {"data_desc_id", "DATA_DESC_ID"},
      {"feed1", "FEED1"},       {"feed2", "FEED2"},
      {"field_id", "FIELD_ID"}, {"scan_number", "SCAN_NUMBER"}};
  Visibility v;
  const auto id = ids.find(name);
  if (id != ids.end()) return write_ints(name, id->second, out);
  if (visibility_of(name, v)) return write_visibility(name, v, out);
  if (name == "flag" || name == "flag_row") return write_flags(name, out);
  if (name == "flag_sum") return write_flag_sum(out);
  if (name == "time") return write_times(name, out);
  if (name == "u" || name == "v" || name == "w" || name == "uvw" || name == "uvdist")
    return write_uvw(name, out);
  if (name == "sigma") return write_sigma(out);
  if (name == "axis_info") return write_axes(out);
  if (name == "ifr_number") return write_ifrs(out);
  if (name == "ha" || name == "last" || name == "ut") return;  // in axis_info
  if (name == "weight") return write(out.key(name), weights());
  if (name == "float_data") return write_float_data(out);
  warn("getdata", "Unrecognized field in input ignored: " + name);
}

// CASA leaves the weights of the mean in the answer.
void Getter::finish(RecordWriter& out) {
  if (weighed && !asked.count("weight")) write(out.key("avgweight"), weights());
}

void get_data(MsTool& t, const Arguments& a, sheaf_pack& out) {
  t.one_shape();
  if (t.rows().nrow() == 0) {
    warn("getdata", "Selected table is empty, cannot get data");
    return sheaf_pack_record(&out, 0);
  }
  t.averaged = a["average"].truth();
  Getter getter(t, a);
  std::vector<std::string> items;
  for (const auto& name : a["items"].texts()) {
    const std::string lower = downcase(String(name));
    if (getter.asked.insert(lower).second) items.push_back(lower);
  }
  // The mean flag is known when the data are averaged.
  std::stable_partition(items.begin(), items.end(),
                        [](const std::string& i) { return i != "flag"; });
  RecordWriter record(out);
  for (const auto& name : items) try {
      getter.item(name, record);
    } catch (const Empty& none) {
      warn("getdata", "Requested column does not exist: " + none.column + " (" + name + ")");
      if (name.find("data") != std::string::npos && name != "float_data")
        write(record.key(name), Array<Complex>());
      else
        write(record.key(name), Array<Float>());
    }
  getter.finish(record);
}

// ---- putdata ----

template <class T>
void put_cells(const MsTool& t, const String& column, Array<T> value, size_t axes) {
  const Table rows = t.rows();
  if (value.ndim() == axes + 1) value.reference(gather(grid_of(rows, t.gap), value, rows.nrow()));
  if (value.ndim() != axes || value.shape()[axes - 1] != static_cast<ssize_t>(rows.nrow()))
    throw Failure(SHEAF_ERR_ARG, std::string("putdata: ") + column.c_str() + " needs " +
                                     std::to_string(axes) + " axes, the last with " +
                                     std::to_string(rows.nrow()) + " rows, not the shape " +
                                     value.shape().toString());
  ArrayColumn<T> col(rows, column);
  const IPosition cell = col.shape(0);
  if (!cell.isEqual(value.shape().getFirst(axes - 1)))
    throw Failure(SHEAF_ERR_ARG, std::string("putdata: cells of ") + column.c_str() +
                                     " have the shape " + cell.toString() + ", not " +
                                     value.shape().getFirst(axes - 1).toString());
  col.putColumn(value);
}

// Through tiles, where the array has the rows as its last axis.
bool put_tiled(MsTool& t, const Table& rows, const String& column, const Value& v) {
  const RowNumbers numbers = rows.rowNumbers(t.ms);
  const auto n = static_cast<int64_t>(numbers.size());
  std::vector<int64_t> list(numbers.begin(), numbers.end());
  const bool run = list.back() - list.front() == n - 1 && std::is_sorted(list.begin(), list.end());
  return t.puts.put(t.ms, column, list.front(), n, run ? nullptr : list.data(), v.item);
}

void put_item(const MsTool& t, const String& column, const Value& v) {
  const Table rows = t.rows();
  const ValueHolder h = to_holder(v);
  if (column == "FLAG") return put_cells<Bool>(t, column, h.asArrayBool(), 3);
  if (column == "WEIGHT" || column == "SIGMA")
    return put_cells<Float>(t, column, h.asArrayFloat(), 2);
  if (column != "FLAG_ROW") return put_cells<Complex>(t, column, h.asArrayComplex(), 3);
  Array<Bool> flags = h.asArrayBool();
  if (flags.ndim() == 2) flags.reference(gather(grid_of(rows, t.gap), flags, rows.nrow()));
  if (flags.ndim() != 1 || flags.nelements() != rows.nrow())
    throw Failure(SHEAF_ERR_ARG, "putdata: FLAG_ROW needs one value for each of " +
                                     std::to_string(rows.nrow()) + " rows");
  ScalarColumn<Bool>(rows, column).putColumn(Vector<Bool>(flags));
}

void put_data(MsTool& t, const Arguments& a, sheaf_pack& out) {
  static const std::set<std::string> allowed = {"DATA",     "CORRECTED_DATA", "MODEL_DATA", "FLAG",
                                                "FLAG_ROW", "SIGMA",          "WEIGHT"};
  t.opened();
  if (!t.ms.isWritable())
    throw Failure(SHEAF_ERR_ARG, "MeasurementSet is not writable; use open with nomodify=False");
  if (t.channels.n)
    throw Failure(SHEAF_ERR_ARG,
                  "putdata: channels are selected; use selectinit(reset=True) first");
  if (t.averaged)
    throw Failure(SHEAF_ERR_ARG,
                  "Averaging not supported when writing data, cannot change data shape");
  if (!t.correlations.empty())
    throw Failure(SHEAF_ERR_ARG,
                  "putdata: polarizations are selected; use selectinit(reset=True) first");
  t.one_shape();
  const Table rows = t.rows();
  if (rows.nrow() == 0) throw Failure(SHEAF_ERR_EMPTY, "Selected table is empty - use selectinit");
  const Value& items = a["items"];
  for (const auto& name : items.names) {
    const String column = upcase(String(name));
    if (!allowed.count(column)) throw Failure(SHEAF_ERR_ARG, "Invalid field in putdata: " + name);
    if (!rows.tableDesc().isColumn(column))
      throw Failure(SHEAF_ERR_ARG, "Cannot write " + name + ", column does not exist");
  }
  t.before_change();
  for (size_t i = 0; i < items.names.size(); i++) {
    const String column = upcase(String(items.names[i]));
    if (put_tiled(t, rows, column, items.members[i])) continue;
    TilePuts::forget();
    put_item(t, column, items.members[i]);
  }
  sheaf_pack_bool(&out, !items.names.empty());
}

}  // namespace

void add_ms_data(MsMethods& m) {
  m["getdata"] = get_data;
  m["putdata"] = put_data;
}

}  // namespace sheaf

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/summary_text.hh"

#include <casacore/casa/Quanta/MVAngle.h>
#include <casacore/casa/Quanta/MVTime.h>

#include <stdarg.h>
#include <stdio.h>

#include <algorithm>
#include <cmath>

#include "table/observatory.hh"

namespace sheaf {
namespace {

using casacore::MVAngle;
using casacore::MVTime;
using Notes = std::vector<std::string>;

constexpr double day_s = 86400;

__attribute__((format(printf, 1, 2))) std::string print(const char* fmt, ...) {
  char small[512];
  va_list args;
  va_start(args, fmt);
  const int n = vsnprintf(small, sizeof small, fmt, args);
  va_end(args);
  if (n < static_cast<int>(sizeof small)) return small;
  std::string large(n + 1, '\0');
  va_start(args, fmt);
  vsnprintf(&large[0], large.size(), fmt, args);
  va_end(args);
  large.resize(n);
  return large;
}

std::string left(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

std::string right(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string date(double time_s) {
  return MVTime(time_s / day_s).string(MVTime::DMY, 7);
}
std::string clock(double time_s) {
  return MVTime(time_s / day_s).string(MVTime::TIME, 7);
}

// Names are cut to 20 characters, the last then a star.
std::string cut(const std::string& name) {
  return name.size() > 20 ? name.substr(0, 19) + "*" : name;
}

template <class Items, class Show>
std::string join(const Items& items, const char* comma, Show show) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : comma) + show(item);
  return "[" + out + "]";
}

std::string title(const Listing& l) {
  const std::string rule(80, '=');
  return rule + "\n           MeasurementSet Name:  " + l.name +
         print("      MS Version %g\n", l.tables.version) + rule;
}

std::string observation_line(const ObservationRow& o) {
  std::string span = left("[", 20);
  for (size_t i = 0; i < o.time_range_s.size(); i++)
    span += print("%s%g", i ? ", " : "", o.time_range_s[i]);
  return "\n  " + left(o.telescope, 10) + span + "]" + left(o.observer, 15) + left(o.project, 15);
}

std::string list_observations(const Listing& l) {
  const auto& rows = l.tables.observations;
  if (rows.empty()) return "\nThe OBSERVATION table is empty";
  std::string out = "\n   Observer: " + rows[0].observer + "     Project: " + rows[0].project +
                    "  " + "\nObservation: " + rows[0].telescope;
  if (!l.verbose) out += print("(%zu antennas)", l.tables.antennas.size());
  if (rows.size() == 1) return out;
  out += "\n\n  " + left("Telescope", 10) + left("Observation Date", 20) + left("Observer", 15) +
         left("Project", 15);
  for (const ObservationRow& row : rows) out += observation_line(row);
  return out;
}

std::string list_span(const Listing& l) {
  TimeSpan all = l.main.scans.begin()->second;
  for (const auto& scan : l.main.scans) {
    all.begin_s = std::min(all.begin_s, scan.second.begin_s);
    all.end_s = std::max(all.end_s, scan.second.end_s);
  }
  return print("Data records: %lld       Total elapsed time = %g seconds\n", (long long)l.main.nrow,
               all.end_s - all.begin_s) +
         "   Observed from   " + date(all.begin_s) + "   to   " + date(all.end_s) + " (" +
         l.tables.time_frame + ")";
}

std::string array_head(const Listing& l, const ScanKey& key) {
  std::string head = "  Date        Timerange                ";
  const std::string frame = "(" + l.tables.time_frame + ")";
  head.replace(24, frame.size(), frame);
  return print("\n   ObservationID = %d         ArrayID = %d\n", key.obs, key.array) + head +
         "Scan  FldId FieldName             nRows     " + (l.unflagged ? "nUnflRows   " : "") +
         "SpwIds   Average Interval(s)    ScanIntent";
}

std::set<std::string> intents_of(const Listing& l, const SubScan& subscan) {
  std::set<std::string> out;
  for (int state : subscan.states)
    if (state >= 0 && static_cast<size_t>(state) < l.tables.intents.size())
      out.insert(l.tables.intents[state].begin(), l.tables.intents[state].end());
  return out;
}

std::string field_name(const Listing& l, int field) {
  return field >= 0 && static_cast<size_t>(field) < l.tables.fields.size()
             ? l.tables.fields[field].name
             : "?";
}

std::string subscan_line(const Listing& l, const SubScanKey& key, const SubScan& subscan,
                         bool new_day) {
  const TimeSpan& span = l.main.scans.at(key.whole());
  const std::set<std::string> intents = intents_of(l, subscan);
  std::string out = "\n  " + right(new_day ? date(span.begin_s) : clock(span.begin_s), 22) + " - " +
                    right(clock(span.end_s), 10) + print("  %4d  %5d ", key.scan, key.field) +
                    left(cut(field_name(l, key.field)), 20) +
                    print("%10lld", (long long)subscan.nrow);
  if (l.unflagged) out += print("%13.2f", subscan.unflagged);
  out += "  " + join(subscan.spws, ",", [](const auto& spw) { return print("%d", spw.first); });
  out += "  " + join(subscan.spws, ", ", [](const auto& spw) {
           return print("%.3g", spw.second.sum_s / spw.second.nrow);
         });
  out += " ";
  if (!intents.empty()) out += join(intents, ",", [](const std::string& name) { return name; });
  return out;
}

// One text per observation and array, as CASA groups scans.
void list_scans(const Listing& l, std::vector<std::string>& out) {
  const SubScanKey* before = nullptr;
  double last_day = 0;
  for (const auto& entry : l.main.subscans) {
    const SubScanKey& key = entry.first;
    if (!before || before->obs != key.obs || before->array != key.array) {
      out.push_back(array_head(l, key.whole()));
      last_day = 0;
    }
    const double day = std::floor(l.main.scans.at(key.whole()).begin_s / day_s);
    out.back() += subscan_line(l, key, entry.second, day != last_day);
    last_day = day;
    before = &key;
  }
  out.push_back("           (nRows = Total number of rows per scan) ");
}

std::string field_line(const Listing& l, int id, const FieldRows& rows) {
  const FieldRow& field = l.tables.fields[id];
  std::string out =
      "\n  " + left(print("%d", id), 5) + left(field.code, 5) + left(cut(field.name), 20) +
      left(MVAngle(field.ra_rad)(0.0).string(MVAngle::TIME, 12), 16) +
      left(MVAngle(field.dec_rad).string(MVAngle::DIG2, 11), 16) + left(field.frame, 8);
  if (!l.tables.sources.empty()) out += left(print("%d", field.source), 6);
  out += print("%10lld", (long long)rows.nrow);
  if (l.unflagged) out += print("%13.2f", rows.unflagged);
  return out;
}

std::string list_fields(const Listing& l) {
  if (l.tables.fields.empty()) return "The FIELD table is empty";
  if (l.main.fields.empty()) return "The MAIN table is empty";
  std::string out = print("Fields: %zu\n  ", l.main.fields.size()) + left("ID", 5) +
                    left("Code", 5) + left("Name", 20) + left("RA", 16) + left(" Decl", 16) +
                    left("Epoch", 8);
  if (!l.tables.sources.empty()) out += left("SrcId", 6);
  out += right("nRows", 10);
  if (l.unflagged) out += right("nUnflRows", 13);
  for (const auto& field : l.main.fields) {
    const bool known =
        field.first >= 0 && static_cast<size_t>(field.first) < l.tables.fields.size();
    out += known ? field_line(l, field.first, field.second)
                 : print("\nField %d not found in FIELD table", field.first);
  }
  return out;
}

// "64~95, 97"
std::string ranges(const std::vector<int>& ids) {
  std::string out;
  for (size_t i = 0, last; i < ids.size(); i = last + 1) {
    for (last = i; last + 1 < ids.size() && ids[last + 1] == ids[last] + 1;) last++;
    out += print("%s%d", i ? ", " : "", ids[i]);
    if (last > i) out += print("~%d", ids[last]);
  }
  return out;
}

// The data descriptions in use that have a window and a polarization setup, by window.
std::vector<DataDesc> used_windows(const Listing& l, Notes* notes) {
  std::vector<DataDesc> out;
  std::vector<int> absent;
  const auto& all = l.tables.data_descs;
  for (int dd : l.main.data_descs) {
    const bool there = dd >= 0 && static_cast<size_t>(dd) < all.size();
    const size_t spw = there ? all[dd].spw : -1, pol = there ? all[dd].polarization : -1;
    if (spw < l.tables.windows.size() && pol < l.tables.correlations.size())
      out.push_back(all[dd]);
    else if (!there)
      absent.push_back(dd);
    else
      notes->push_back(print(
          "data description %d names window %d and polarization setup %d, which do not both exist",
          dd, all[dd].spw, all[dd].polarization));
  }
  if (!absent.empty())
    notes->push_back("rows have DATA_DESC_ID " + ranges(absent) +
                     print(", DATA_DESCRIPTION has %zu rows", all.size()));
  std::stable_sort(out.begin(), out.end(),
                   [](const DataDesc& a, const DataDesc& b) { return a.spw < b.spw; });
  return out;
}

double centre_hz(const WindowRow& w) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < w.chan_freq_hz.size() && i < w.chan_width_hz.size(); i++) {
    low = std::min(low, w.chan_freq_hz[i] - w.chan_width_hz[i] / 2);
    high = std::max(high, w.chan_freq_hz[i] + w.chan_width_hz[i] / 2);
  }
  return (low + high) / 2;
}

double first_or_nan(const std::vector<double>& values) {
  return values.empty() ? NAN : values[0];
}

std::string window_line(const Listing& l, const DataDesc& dd, size_t name_width) {
  const WindowRow& w = l.tables.windows[dd.spw];
  const int nchan = w.chan_width_hz.empty() ? w.nchan : static_cast<int>(w.chan_width_hz.size());
  std::string out = "\n  " + left(print("%d", dd.spw), 7) + left(w.name, name_width) +
                    print(" %6d ", nchan) + right(w.frame, 6) +
                    print("%12.3f", first_or_nan(w.chan_freq_hz) / 1e6) +
                    print("%14.3f", first_or_nan(w.chan_width_hz) / 1e3) +
                    print("%12.1f", w.bandwidth_hz / 1e3) + print("%12.4f ", centre_hz(w) / 1e6);
  if (l.tables.has_bbc) out += print("%8d", w.bbc);
  for (const std::string& corr : l.tables.correlations[dd.polarization]) out += right(corr, 4);
  return out;
}

std::string list_windows(const Listing& l, Notes* notes) {
  std::string out;
  for (const auto& pair : {std::make_pair("DATA_DESCRIPTION", l.tables.data_descs.empty()),
                           std::make_pair("SPECTRAL_WINDOW", l.tables.windows.empty()),
                           std::make_pair("POLARIZATION", l.tables.correlations.empty())})
    if (pair.second)
      out +=
          print("%sThe %s table is empty: see the FEED table", out.empty() ? "" : "\n", pair.first);
  const std::vector<DataDesc> used = used_windows(l, notes);
  if (used.empty()) return out;
  std::set<int> spws, polarizations;
  size_t name_width = 5;
  for (const DataDesc& dd : used) spws.insert(dd.spw), polarizations.insert(dd.polarization);
  for (const WindowRow& w : l.tables.windows) name_width = std::max(name_width, w.name.size());
  out += print(
      "%sSpectral Windows:  (%zu unique spectral windows and %zu unique polarization setups)\n  "
      "SpwID  ",
      out.empty() ? "" : "\n", spws.size(), polarizations.size());
  out += left("Name  ", name_width) +
         " #Chans   Frame   Ch0(MHz)  ChanWid(kHz)  TotBW(kHz) CtrFreq(MHz) ";
  if (l.tables.has_bbc) out += "BBC Num ";
  out += left(" Corrs", 4 * l.tables.correlations[0].size());
  for (const DataDesc& dd : used) out += window_line(l, dd, name_width);
  return out;
}

std::string number_or_dash(const std::optional<double>& value, double unit) {
  return value ? print("%.12g", *value / unit) : "-";
}

std::string source_line(const Tables& t, const SourceRow& s) {
  std::string out = "\n  " + left(print("%d", s.id), 5) + left(cut(s.name), 20) +
                    left(s.spw < 0 ? "any" : print("%d", s.spw), 6);
  if (t.has_rest_frequency) out += left(number_or_dash(s.rest_hz, 1e6), 15);
  if (t.has_velocity) out += left(number_or_dash(s.velocity_m_s, 1e3), 13);
  return out;
}

// Empty when there is nothing to say (a short listing leaves sources out).
std::string list_sources(const Listing& l) {
  const Tables& t = l.tables;
  if (!t.has_source) return "The SOURCE table is absent: see the FIELD table";
  if (t.sources.empty()) return "The SOURCE table is empty: see the FIELD table";
  if (!l.verbose) return "";
  std::string out = print("Sources: %zu\n  ", t.sources.size()) + left("ID", 5) + left("Name", 20) +
                    left("SpwId", 6);
  if (t.has_rest_frequency) out += left("RestFreq(MHz)", 15);
  if (t.has_velocity) out += left("SysVel(km/s)", 13);
  for (const SourceRow& source : t.sources) out += source_line(t, source);
  if (!t.has_rest_frequency) out += "\n  NB: No rest frequency information found in SOURCE table.";
  if (!t.has_velocity) out += "\n  NB: No systemic velocity information found in SOURCE table.";
  return out;
}

using Xyz = std::array<double, 3>;

double radius(const Xyz& a) {
  return std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
}

std::vector<int> known_antennas(const Listing& l, Notes* notes) {
  std::vector<int> out, absent;
  for (int id : l.main.antennas)
    (id >= 0 && static_cast<size_t>(id) < l.tables.antennas.size() ? out : absent).push_back(id);
  if (!absent.empty())
    notes->push_back("rows name antennas " + ranges(absent) +
                     print(", ANTENNA has %zu rows", l.tables.antennas.size()));
  return out;
}

// The telescope's reference position; the mean of its antennas when it is not known.
Xyz array_centre(const Listing& l, const std::vector<int>& ids, Notes* notes) {
  Xyz centre{};
  const std::string telescope =
      l.tables.observations.empty() ? "" : l.tables.observations[0].telescope;
  if (observatory_position(telescope, &centre)) return centre;
  for (int id : ids)
    for (int k = 0; k < 3; k++) centre[k] += l.tables.antennas[id].xyz_m[k] / ids.size();
  notes->push_back("telescope '" + telescope +
                   "' has no known position: offsets are from the mean position of its antennas");
  return centre;
}

// East, north and height as CASA defines them: differences of geocentric longitude, latitude and
// radius.
Xyz offset(const Xyz& antenna, const Xyz& centre) {
  const double r = radius(centre), r0 = radius(antenna);
  const double lat = r > 0 ? std::asin(centre[2] / r) : 0,
               lat0 = r0 > 0 ? std::asin(antenna[2] / r0) : 0;
  const double turn = std::atan2(antenna[1], antenna[0]) - std::atan2(centre[1], centre[0]);
  return {turn * r * std::cos(lat), (lat0 - lat) * r, r0 - r};
}

std::string antenna_line(const AntennaRow& a, int id, const Xyz& centre) {
  const Xyz off = offset(a.xyz_m, centre);
  return "\n  " + left(print("%d", id), 5) + left(a.name, 6) + left(a.station, 10) +
         left(print("%.1f", a.diameter_m), 5) + "m   " +
         left(MVAngle(a.long_rad).string(MVAngle::ANGLE, 7), 14) +
         left(MVAngle(a.lat_rad).string(MVAngle::DIG2, 7), 13) +
         print("%14.4f%14.4f%14.4f%16.6f%16.6f%16.6f", off[0], off[1], off[2], a.itrf_m[0],
               a.itrf_m[1], a.itrf_m[2]);
}

std::string antennas_in_full(const Listing& l, const std::vector<int>& ids, Notes* notes) {
  std::string out = print("Antennas: %zu:\n  ", ids.size()) + left("ID", 5) + left("Name", 6) +
                    left("Station", 10) + left("Diam.", 9) + left("Long.", 14) + left("Lat.", 13) +
                    left("       Offset from array center (m)", 42) +
                    left("         ITRF Geocentric coordinates (m)", 48) + "\n  " +
                    std::string(57, ' ') + right("East", 14) + right("North", 14) +
                    right("Elevation", 14) + right("x", 16) + right("y", 16) + right("z", 16);
  if (ids.empty()) return out;
  const Xyz centre = array_centre(l, ids, notes);
  for (int id : ids) out += antenna_line(l.tables.antennas[id], id, centre);
  return out;
}

std::string antennas_in_short(const Listing& l, const std::vector<int>& ids) {
  std::string out = print("Antennas: %zu 'name'='station' ", ids.size()), line;
  if (ids.empty()) return out;
  int last = ids.front() - 1;
  for (int id : ids) {
    const AntennaRow& a = l.tables.antennas[id];
    line += "'" + a.name + "'='" + a.station + "'" + (id != ids.back() ? ", " : "");
    if (line.size() <= 55 && id != ids.back()) continue;
    out += "\n   ID=" + right(print("%d-%d: ", last + 1, id), 8) + line;
    line.clear();
    last = id;
  }
  return out;
}

}  // namespace

std::vector<std::string> list_all(const Listing& l, Notes* notes) {
  std::vector<std::string> out;
  out.push_back(title(l) + list_observations(l));
  if (l.main.nrow == 0) {
    out.push_back("The MAIN table is empty: there are no data!!!");
  } else {
    out.push_back(list_span(l));
    if (l.verbose)
      list_scans(l, out);
    else
      out.back() += "\n";
  }
  out.push_back(list_fields(l));
  for (const std::string& part : {list_windows(l, notes), list_sources(l)})
    if (!part.empty()) out.push_back(part);
  const std::vector<int> ids = known_antennas(l, notes);
  out.push_back(l.verbose ? antennas_in_full(l, ids, notes) : antennas_in_short(l, ids));
  return out;
}

}  // namespace sheaf

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/summary.h"

#include <casacore/casa/OS/File.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableDesc.h>

#include <cmath>

#include "base/log.h"
#include "base/value.h"
#include "table/casacore_log.hh"
#include "table/guard.hh"
#include "table/summary_text.hh"
#include "table/table_impl.hh"

namespace {

using casacore::Table;
using sheaf::Failure;
using sheaf::Listing;
using sheaf::SubScan;
using sheaf::SubScanKey;

Table open_ms(const std::string& vis) {
  if (!casacore::File(vis).exists())
    throw Failure(SHEAF_ERR_NOTFOUND, "vis='" + vis + "': there is no such file");
  if (!Table::isReadable(vis))
    throw Failure(SHEAF_ERR_DATA, "vis='" + vis + "': is no MeasurementSet (no readable table)");
  sheaf::check_reference(vis);
  const Table table(vis, casacore::TableLock(casacore::TableLock::NoLocking), Table::Old);
  for (const char* column : {"TIME", "ANTENNA1", "ANTENNA2", "DATA_DESC_ID"})
    if (!table.tableDesc().isColumn(column))
      throw Failure(
          SHEAF_ERR_DATA,
          "vis='" + vis + "': is a table but no MeasurementSet (it has no column " + column + ")");
  return table;
}

std::string selection_text(const sheaf_selection& s) {
  const std::pair<const char*, const char*> parts[] = {{"field", s.field},
                                                       {"spw", s.spw},
                                                       {"scan", s.scan},
                                                       {"antenna", s.antenna},
                                                       {"timerange", s.timerange},
                                                       {"intent", s.intent},
                                                       {"array", s.array},
                                                       {"uvrange", s.uvrange},
                                                       {"feed", s.feed},
                                                       {"taql", s.taql},
                                                       {"observation", s.observation},
                                                       {"correlation", s.correlation}};
  std::string out;
  for (const auto& [name, text] : parts)
    if (text && *text) out += (out.empty() ? "" : ", ") + std::string(name) + "='" + text + "'";
  return out;
}

// As in CASA, a listing does not fail for its selection: what cannot be understood is told and does
// not count, and what matches nothing is listed as nothing.
void warn_empty(const std::string& vis, const sheaf_selection& selection) {
  std::string text =
      selection_text(selection) + ": MSSelectionNullSelection : The selected table has zero rows.";
  if (selection.feed && *selection.feed)
    text += " (feed='0' means pairs of feed 0 with other feeds, '0&&0' those with itself)";
  sheaf_log(SHEAF_LOG_WARN, "%s: %s", vis.c_str(), text.c_str());
}

// The selection while it is in use; null when everything is wanted, so that MSs which casacore's
// selection refuses can be listed as a whole.
class Selection {
 public:
  Selection(const std::string& vis, const sheaf_selection* texts) {
    if (!texts || selection_text(*texts).empty()) return;
    sheaf_error err;
    const int rc = sheaf_select_open(&select_, vis.c_str(), texts, &err);
    if (rc == SHEAF_ERR_EMPTY) {
      empty_ = true;
    } else if (rc == SHEAF_ERR_ARG) {
      sheaf_log(SHEAF_LOG_WARN, "%s: %s; the whole MS is listed", vis.c_str(), err.text);
    } else if (rc < 0) {
      throw Failure(rc, err.text);
    }
  }
  ~Selection() { sheaf_select_close(select_); }
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;
  sheaf_select* get() const { return select_; }
  bool empty() const { return empty_; }

 private:
  sheaf_select* select_ = nullptr;
  bool empty_ = false;
};

sheaf::WindowMap window_map(const sheaf::Tables& tables) {
  sheaf::WindowMap out;
  for (const sheaf::DataDesc& dd : tables.data_descs)
    out.spw_of_dd.push_back(static_cast<size_t>(dd.spw) < tables.windows.size() ? dd.spw : -1);
  for (const sheaf::WindowRow& window : tables.windows) {
    out.chan_width_hz.push_back(window.chan_width_hz);
    out.bandwidth_hz.push_back(window.bandwidth_hz);
  }
  return out;
}

constexpr double day_s = 86400;

json_t* real(double value) {
  return std::isfinite(value) ? json_real(value) : json_null();
}
json_t* text_value(const std::string& text) {
  json_t* out = json_string(text.c_str());
  return out ? out : json_string("?");  // not UTF-8
}

json_t* spw_array(const SubScan& subscan) {
  std::vector<int64_t> spws;
  for (const auto& spw : subscan.spws) spws.push_back(spw.first);
  return sheaf_value_array_int(spws.data(), spws.size());
}

json_t* subscan_value(const Listing& l, const SubScanKey& key, const SubScan& subscan) {
  const sheaf::TimeSpan& span = l.main.scans.at(key.whole());
  const bool known = static_cast<size_t>(key.field) < l.tables.fields.size();
  json_t* out = json_object();
  json_object_set_new(out, "BeginTime", real(span.begin_s / day_s));
  json_object_set_new(out, "EndTime", real(span.end_s / day_s));
  json_object_set_new(out, "FieldId", json_integer(key.field));
  json_object_set_new(out, "FieldName", text_value(known ? l.tables.fields[key.field].name : "?"));
  json_object_set_new(out, "IntegrationTime", real(subscan.exposure_sum_s / subscan.nrow));
  json_object_set_new(out, "SpwIds", spw_array(subscan));
  json_object_set_new(out, "StateId", json_integer(*subscan.states.begin()));
  json_object_set_new(out, "nRow", json_integer(subscan.nrow));
  json_object_set_new(out, "scanId", json_integer(key.scan));
  return out;
}

// {"scan_1": {"0": {…}, "1": {…}}}: sub-scans of one number are counted through all observations
// and arrays.
void put_scans(const Listing& l, json_t* out) {
  for (const auto& entry : l.main.subscans) {
    const std::string name = "scan_" + std::to_string(entry.first.scan);
    json_t* scan = json_object_get(out, name.c_str());
    if (!scan) {
      scan = json_object();
      json_object_set_new(out, name.c_str(), scan);
    }
    const std::string number = std::to_string(json_object_size(scan));
    json_object_set_new(scan, number.c_str(), subscan_value(l, entry.first, entry.second));
  }
}

json_t* field_value(const sheaf::FieldRow& field) {
  return json_pack("{s:o, s:o, s:{s:s, s:s, s:{s:s, s:o}, s:{s:s, s:o}}}", "name",
                   text_value(field.name), "code", text_value(field.code), "direction", "type",
                   "direction", "refer", field.frame.c_str(), "m0", "unit", "rad", "value",
                   real(field.ra_rad), "m1", "unit", "rad", "value", real(field.dec_rad));
}

void put_fields(const Listing& l, json_t* out) {
  json_object_set_new(out, "nfields", json_integer(l.main.fields.size()));
  for (const auto& field : l.main.fields)
    if (static_cast<size_t>(field.first) < l.tables.fields.size())
      json_object_set_new(out, ("field_" + std::to_string(field.first)).c_str(),
                          field_value(l.tables.fields[field.first]));
}

json_t* value_of(const Listing& l) {
  json_t* out = json_object();
  if (l.main.nrow == 0) return out;
  sheaf::TimeSpan all = l.main.scans.begin()->second;
  for (const auto& scan : l.main.scans) {
    all.begin_s = std::min(all.begin_s, scan.second.begin_s);
    all.end_s = std::max(all.end_s, scan.second.end_s);
  }
  json_object_set_new(out, "BeginTime", real(all.begin_s / day_s));
  json_object_set_new(out, "EndTime", real(all.end_s / day_s));
  json_object_set_new(out, "IntegrationTime", real(all.end_s - all.begin_s));
  json_object_set_new(out, "numrecords", json_integer(l.main.nrow));
  json_object_set_new(out, "timeref", text_value(l.tables.time_frame));
  put_scans(l, out);
  put_fields(l, out);
  return out;
}

json_t* text_array(const std::vector<std::string>& parts) {
  json_t* out = json_array();
  for (const std::string& part : parts) json_array_append_new(out, text_value(part));
  return out;
}

void warn(const std::string& vis, const std::vector<std::string>& notes) {
  for (const std::string& note : notes)
    sheaf_log(SHEAF_LOG_WARN, "%s: %s", vis.c_str(), note.c_str());
}

json_t* summarize(const std::string& vis, const sheaf_summary_options& options) {
  const Table table = open_ms(vis);
  const Selection selection(vis, options.selection);
  const sheaf::Tables tables = sheaf::read_tables(table);
  warn(vis, tables.missing);
  sheaf::MainScan main;
  if (!selection.empty())
    main = scan_main(table, window_map(tables), selection.get(), options.unflagged);
  if (selection.empty() || (main.nrow == 0 && selection.get())) warn_empty(vis, *options.selection);
  const Listing listing = {table.tableName(), options.verbose != 0, options.unflagged != 0, tables,
                           main};
  std::vector<std::string> notes;
  json_t* text = text_array(list_all(listing, &notes));
  warn(vis, notes);
  return json_pack("{s:o, s:o}", "text", text, "value", value_of(listing));
}

}  // namespace

extern "C" int sheaf_summary_make(const char* vis, const sheaf_summary_options* options,
                                  json_t** out, sheaf_error* err) {
  sheaf_casacore_log_install();
  *out = nullptr;
  const std::string where = std::string("vis='") + vis + "'";
  return sheaf::guard(err, where.c_str(), [&] {
    *out = summarize(vis, *options);
    return 0;
  });
}

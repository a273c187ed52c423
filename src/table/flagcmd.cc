// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/flagcmd.h"

#include <casacore/casa/Arrays/Vector.h>
#include <casacore/tables/Tables/RowNumbers.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableLock.h>

#include <vector>

#include "table/casacore_log.h"
#include "table/guard.hh"
#include "table/isolate.hh"

namespace {

using casacore::Bool;
using casacore::Double;
using casacore::Int;
using casacore::ScalarColumn;
using casacore::String;
using casacore::Table;

// Inputs are only read, and changes are made to a copy that is this task's own: no locks.
Table open(const char* path, bool update) {
  return Table(path, casacore::TableLock(casacore::TableLock::NoLocking),
               update ? Table::Update : Table::Old);
}

template <class T>
casacore::Vector<T> column(const Table& table, const char* name) {
  return ScalarColumn<T>(table, name).getColumn();
}

// Text that is not UTF-8 becomes "?" for each such byte.
json_t* text_of(const String& text) {
  json_t* value = json_stringn(text.data(), text.size());
  if (value) return value;
  std::string plain;
  for (const char c : text) plain += (c & 0x80) ? '?' : c;
  return json_stringn(plain.data(), plain.size());
}

json_t* read_rows(const Table& table) {
  const auto time = column<Double>(table, "TIME"), interval = column<Double>(table, "INTERVAL");
  const auto type = column<String>(table, "TYPE"), reason = column<String>(table, "REASON"),
             command = column<String>(table, "COMMAND");
  const auto level = column<Int>(table, "LEVEL"), severity = column<Int>(table, "SEVERITY");
  const auto applied = column<Bool>(table, "APPLIED");
  json_t* rows = json_array();
  for (size_t i = 0; i < table.nrow(); ++i)
    json_array_append_new(
        rows, json_pack("{s:f, s:f, s:o, s:o, s:i, s:i, s:b, s:o}", "time", time[i], "interval",
                        interval[i], "type", text_of(type[i]), "reason", text_of(reason[i]),
                        "level", level[i], "severity", severity[i], "applied", int(applied[i]),
                        "command", text_of(command[i])));
  return rows;
}

const char* text(const json_t* row, const char* key) {
  const char* value = json_string_value(json_object_get(row, key));
  return value ? value : "";
}

void append_rows(Table& table, const json_t* rows) {
  const casacore::rownr_t first = table.nrow();
  const size_t n = json_array_size(rows);
  table.addRow(n);
  ScalarColumn<Double> time(table, "TIME"), interval(table, "INTERVAL");
  ScalarColumn<String> type(table, "TYPE"), reason(table, "REASON"), command(table, "COMMAND");
  ScalarColumn<Int> level(table, "LEVEL"), severity(table, "SEVERITY");
  ScalarColumn<Bool> applied(table, "APPLIED");
  for (size_t i = 0; i < n; ++i) {
    const json_t* row = json_array_get(rows, i);
    time.put(first + i, 0.0);
    interval.put(first + i, 0.0);
    type.put(first + i, "");
    reason.put(first + i, text(row, "reason"));
    level.put(first + i, 0);
    severity.put(first + i, 0);
    applied.put(first + i, json_is_true(json_object_get(row, "applied")));
    command.put(first + i, text(row, "command"));
  }
}

template <class Change>
int change(const char* path, sheaf_error* err, Change&& body) {
  sheaf_casacore_log_install();
  return sheaf::isolated(err, path, [&](sheaf_error* inner) {
    return sheaf::guard(inner, path, [&] {
      Table table = open(path, true);
      body(table);
      sheaf::flush(table, true);
      return 0;
    });
  });
}

}  // namespace

extern "C" int sheaf_flagcmd_read(const char* path, json_t** rows, sheaf_error* err) {
  *rows = nullptr;
  sheaf_casacore_log_install();
  return sheaf::guard(err, path, [&] {
    *rows = read_rows(open(path, false));
    return *rows ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
  });
}

extern "C" int sheaf_flagcmd_append(const char* path, const json_t* rows, sheaf_error* err) {
  return change(path, err, [&](Table& table) { append_rows(table, rows); });
}

extern "C" int sheaf_flagcmd_mark(const char* path, const json_t* rows, int applied,
                                  sheaf_error* err) {
  return change(path, err, [&](Table& table) {
    ScalarColumn<Bool> column(table, "APPLIED");
    for (size_t i = 0; i < json_array_size(rows); ++i)
      column.put(json_integer_value(json_array_get(rows, i)), applied != 0);
  });
}

extern "C" int sheaf_flagcmd_remove(const char* path, const json_t* rows, sheaf_error* err) {
  return change(path, err, [&](Table& table) {
    std::vector<casacore::rownr_t> list;
    for (size_t i = 0; i < json_array_size(rows); ++i)
      list.push_back(json_integer_value(json_array_get(rows, i)));
    table.removeRow(casacore::RowNumbers(casacore::Vector<casacore::rownr_t>(list)));
  });
}

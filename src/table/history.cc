// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/history.h"

#include <casacore/casa/OS/Time.h>
#include <casacore/casa/Quanta/MVTime.h>
#include <casacore/ms/MeasurementSets/MSHistory.h>
#include <casacore/ms/MeasurementSets/MSHistoryColumns.h>
#include <casacore/tables/Tables/SetupNewTab.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableRecord.h>

#include "table/casacore_log.h"
#include "table/guard.hh"
#include "table/isolate.hh"

namespace {

// The sub-table, made when the MS has none. No locks: the MS is under construction, or its task's
// own, and some file systems have none.
casacore::Table open_history(const std::string& ms_path) {
  const casacore::String name = "HISTORY";
  const casacore::TableLock none(casacore::TableLock::NoLocking);
  {
    const casacore::Table ms(ms_path, none, casacore::Table::Old);
    if (ms.keywordSet().isDefined(name))
      return casacore::Table(ms.keywordSet().tableAttributes(name).name(), none,
                             casacore::Table::Update);
  }
  casacore::Table ms(ms_path, none, casacore::Table::Update);
  casacore::SetupNewTable setup(ms_path + "/HISTORY", casacore::MSHistory::requiredTableDesc(),
                                casacore::Table::New);
  casacore::Table history(setup, none);
  ms.rwKeywordSet().defineTable(name, history);
  return history;
}

void put_row(casacore::MSHistoryColumns& columns, casacore::rownr_t row, double time_s,
             const char* origin, const char* message) {
  const casacore::Vector<casacore::String> none(1, "");
  columns.time().put(row, time_s);
  columns.observationId().put(row, -1);
  columns.objectId().put(row, 0);
  columns.priority().put(row, "INFO");
  columns.application().put(row, "ms");
  columns.origin().put(row, origin);
  columns.message().put(row, message);
  columns.appParams().put(row, none);
  columns.cliCommand().put(row, none);
}

void add_rows(const casacore::Table& table, const char* origin, const char* const* messages,
              size_t n) {
  casacore::MSHistory history(table);
  casacore::MSHistoryColumns columns(history);
  const casacore::rownr_t first = history.nrow();
  const double now_s = casacore::MVTime(casacore::Time()).second();
  history.addRow(n);
  for (size_t i = 0; i < n; i++) put_row(columns, first + i, now_s, origin, messages[i]);
  sheaf::flush(history, true);
}

}  // namespace

extern "C" int sheaf_history_rows_add(const char* ms_path, const char* origin,
                                      const char* const* messages, size_t n, sheaf_error* err) {
  sheaf_casacore_log_install();
  return sheaf::isolated(err, ms_path, [&](sheaf_error* inner) {
    return sheaf::guard(inner, ms_path, [&] {
      add_rows(open_history(ms_path), origin, messages, n);
      return 0;
    });
  });
}

extern "C" int sheaf_history_rows_put(const char* history_path, const char* origin,
                                      const char* const* messages, size_t n, sheaf_error* err) {
  sheaf_casacore_log_install();
  return sheaf::isolated(err, history_path, [&](sheaf_error* inner) {
    return sheaf::guard(inner, history_path, [&] {
      const casacore::TableLock none(casacore::TableLock::NoLocking);
      add_rows(casacore::Table(history_path, none, casacore::Table::Update), origin, messages, n);
      return 0;
    });
  });
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/idtable.hh"

#include <casacore/casa/Arrays/Vector.h>
#include <casacore/casa/Containers/Record.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableLock.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <casacore/tables/Tables/TableRow.h>

#include <sstream>

#include "table/guard.hh"

namespace sheaf {
namespace {

using casacore::Int;
using casacore::Table;
using Map = std::map<int, int>;

Table open(const std::string& path, Table::TableOption option) {
  return Table(path, casacore::TableLock(casacore::TableLock::NoLocking), option);
}

bool has_table(const std::string& ms, const std::string& name) {
  return open(ms, Table::Old).keywordSet().isDefined(name);
}

Table subtable(const std::string& ms, const std::string& name, Table::TableOption option) {
  return open(open(ms, Table::Old).keywordSet().tableAttributes(name).name(), option);
}

// Everything that makes two rows equivalent, as text.
std::vector<std::string> row_texts(const std::string& ms, const std::string& name,
                                   const std::vector<std::string>& keys) {
  std::vector<std::string> texts;
  if (!has_table(ms, name)) return texts;
  const Table table = subtable(ms, name, Table::Old);
  std::vector<casacore::String> present;
  for (const std::string& key : keys)
    if (table.tableDesc().isColumn(key)) present.emplace_back(key);
  const casacore::ROTableRow row(table, casacore::Vector<casacore::String>(present));
  for (casacore::rownr_t i = 0; i < table.nrow(); ++i) {
    std::ostringstream text;
    text.precision(17);
    text << row.get(i);
    texts.push_back(text.str());
  }
  return texts;
}

void map_main(const std::string& ms, const std::string& column, const Map& map) {
  Table table = open(ms, Table::Update);
  casacore::ScalarColumn<Int> ids(table, column);
  casacore::Vector<Int> values = ids.getColumn();
  for (Int& id : values) {
    const auto found = map.find(id);
    if (found != map.end()) id = found->second;
  }
  ids.putColumn(values);
  sheaf::flush(table);
}

// Removes rows that repeat an earlier one; returns old id -> new id.
Map remove_repeats(const std::string& ms, const std::string& name, const std::string& column,
                   const std::vector<std::string>& keys) {
  Map map;
  std::map<std::string, int> seen;
  std::vector<casacore::rownr_t> repeats;
  const std::vector<std::string> texts = row_texts(ms, name, keys);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto added = seen.insert({texts[i], static_cast<int>(seen.size())});
    map[i] = added.first->second;
    if (!added.second) repeats.push_back(i);
  }
  if (repeats.empty()) return map;
  Table table = subtable(ms, name, Table::Update);
  table.removeRow(casacore::RowNumbers(casacore::Vector<casacore::rownr_t>(repeats)));
  sheaf::flush(table);
  map_main(ms, column, map);
  return map;
}

}  // namespace

IdTable::IdTable(std::string name, std::string column, std::vector<std::string> keys,
                 std::string first, std::string other)
    : name_(std::move(name)),
      column_(std::move(column)),
      keys_(std::move(keys)),
      first_(std::move(first)),
      other_(std::move(other)) {}

IdTable IdTable::observation(const std::string& first, const std::string& other) {
  return IdTable(
      "OBSERVATION", "OBSERVATION_ID",
      {"FLAG_ROW", "OBSERVER", "PROJECT", "RELEASE_DATE", "TELESCOPE_NAME", "TIME_RANGE"}, first,
      other);
}

IdTable IdTable::processor(const std::string& first, const std::string& other) {
  return IdTable("PROCESSOR", "PROCESSOR_ID",
                 {"FLAG_ROW", "MODE_ID", "TYPE", "TYPE_ID", "SUB_TYPE", "PASS_ID"}, first, other);
}

void IdTable::prepare() {
  first_ids_ = remove_repeats(first_, name_, column_, keys_);
  other_ids_ = remove_repeats(other_, name_, column_, keys_);
  const std::vector<std::string> mine = row_texts(first_, name_, keys_);
  const std::vector<std::string> theirs = row_texts(other_, name_, keys_);
  std::map<std::string, int> known;
  for (size_t i = 0; i < mine.size(); ++i) known[mine[i]] = i;
  nrow_ = mine.size();
  for (size_t i = 0; i < theirs.size(); ++i) {
    const auto found = known.find(theirs[i]);
    final_.push_back(found != known.end() ? found->second : static_cast<int>(nrow_++));
    if (found == known.end() && final_[i] != static_cast<int>(mine.size() + i))
      casacore_ids_[mine.size() + i] = final_[i];
  }
  for (auto& pair : other_ids_) pair.second = final_[pair.second];
  const casacore::Vector<Int> ids =
      casacore::ScalarColumn<Int>(open(other_, Table::Old), column_).getColumn();
  main_.assign(ids.begin(), ids.end());
}

void IdTable::finish() const {
  if (has_table(first_, name_)) {
    const size_t nrow = subtable(first_, name_, Table::Old).nrow();
    if (nrow != nrow_)
      throw Failure(SHEAF_ERR_INTERNAL, name_ + " has " + std::to_string(nrow) +
                                            " rows after the merge, not " + std::to_string(nrow_));
  }
  if (casacore_ids_.empty()) return;
  Table table = open(other_, Table::Update);
  casacore::ScalarColumn<Int> column(table, column_);
  casacore::Vector<Int> ids = column.getColumn();
  for (size_t i = 0; i < main_.size(); ++i)
    if (main_[i] >= 0 && main_[i] < static_cast<int>(final_.size())) ids[i] = final_[main_[i]];
  column.putColumn(ids);
  sheaf::flush(table);
}

}  // namespace sheaf

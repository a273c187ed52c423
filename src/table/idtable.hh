// SPDX-License-Identifier: GPL-3.0-or-later
//
// idtable.hh - OBSERVATION and PROCESSOR when two MSs are merged.
//
// casacore's MSConcat drops equivalent rows of these tables, but forgets that the rows behind move
// up (ids then lead nowhere or elsewhere), and fails when three rows are equivalent. IdTable
// prepares the tables so that it does not fail, and gives the ids that are right afterwards.
#ifndef SHEAF_TABLE_IDTABLE_HH
#define SHEAF_TABLE_IDTABLE_HH

#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace sheaf {

class IdTable {
 public:
  static IdTable observation(const std::string& first, const std::string& other);
  static IdTable processor(const std::string& first, const std::string& other);

  // Before the merge: removes equivalent rows within each MS, and maps the ids of its main table.
  void prepare();
  // After the merge: puts the right ids into the main table of `other`, and proves that the merged
  // table has the rows that they refer to.
  void finish() const;

  // From an id of `other` before prepare() to the final one; and of `first`.
  const std::map<int, int>& other_ids() const { return other_ids_; }
  const std::map<int, int>& first_ids() const { return first_ids_; }
  // From the id that casacore gives a row to the final one; ids that are right are absent.
  const std::map<int, int>& casacore_ids() const { return casacore_ids_; }

 private:
  IdTable(std::string name, std::string column, std::vector<std::string> keys, std::string first,
          std::string other);
  std::string name_, column_;  // OBSERVATION, OBSERVATION_ID
  std::vector<std::string> keys_;
  std::string first_, other_;
  std::map<int, int> first_ids_, other_ids_, casacore_ids_;
  std::vector<int> final_;  // of the prepared rows of `other`
  std::vector<int> main_;   // ids of the main table of `other`, prepared
  size_t nrow_ = 0;         // of the merged table
};

}  // namespace sheaf
#endif

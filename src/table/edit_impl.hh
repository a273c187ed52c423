// SPDX-License-Identifier: GPL-3.0-or-later
//
// edit_impl.hh - an edit under way, for edit.cc (its steps), edit_columns.cc (columns that come and
// go), edit_keywords.cc, and edit_recover.cc (files, and what a dead edit left). Functions throw
// Failure.
#ifndef SHEAF_TABLE_EDIT_IMPL_HH
#define SHEAF_TABLE_EDIT_IMPL_HH

#include <casacore/casa/Containers/RecordInterface.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <jansson.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "table/edit_dat.hh"
#include "table/edit_impl.h"
#include "table/guard.hh"
#include "table/table.h"
#include "table/tiles.h"
#include "table/tiles_layout.h"

namespace sheaf {

using casacore::TableRecord;

// Places of the cells of a new column: those of the column that it is like.
struct Cells {
  std::vector<sheaf_tiles_cube> cubes;
  std::vector<sheaf_tiles_run> runs;
  int ndim = 0;

  int64_t cube(const sheaf_tiles_cube& wanted) {
    for (size_t i = 0; i < cubes.size(); i++)
      if (std::equal(wanted.shape, wanted.shape + wanted.ndim, cubes[i].shape))
        return static_cast<int64_t>(i);
    cubes.push_back(wanted);
    return static_cast<int64_t>(cubes.size()) - 1;
  }
  void add(int64_t number, int64_t nrow) {
    if (!runs.empty() && runs.back().cube == number)
      runs.back().nrow += nrow;
    else
      runs.push_back({nrow, number});
  }
};

struct CloseTiles {
  void operator()(sheaf_tiles* t) const { sheaf_tiles_close(t); }
};
struct CloseTable {
  void operator()(sheaf_table* t) const { sheaf_table_close(t); }
};

// A failure of the C interface as an exception.
inline void check(int rc, const sheaf_error& err) {
  if (rc < 0) throw Failure(rc, err.text);
}

// A column that is to come.
struct Added {
  std::string name, manager;
  uInt seq;
  int type;
  Cells cells;
  bool moved;  // from another manager, with its cells
};

// ---- edit_columns.cc ----

// Places as those of the column `like` of the table at `path`.
Cells cells_like(const std::string& path, const char* like);
// The header without cells, and then everything that belongs to the cells.
void make_column(const sheaf_edit& edit, const Added& added);
// All cells of a column, from where they are to its new manager.
void move_cells(const std::string& path, const std::string& name);
// Nothing can be added to an edit that is prepared.
void must_be_open(const sheaf_edit* edit);

// ---- edit_keywords.cc ----

// Sets a keyword from a JSON value (edit.h says which).
void define_keyword(casacore::RecordInterface& record, const String& name, const json_t* value);

// ---- edit_recover.cc ----

const char pending_dat[] = SHEAF_LAYOUT_PENDING;
const char former_dat[] = "table.dat.sheaf-former";  // only while a commit is under way

bool exists(const std::string& path);
// A failure is told in the log only.
void unlink_if_there(const std::string& path);
void remove_managers(const std::string& path, const std::set<uInt>& seqs);
void sync_file(const std::string& path, bool directory);
// table.lock as table.dat is now.
int settle(const std::string& path, sheaf_error* err);

}  // namespace sheaf

struct sheaf_edit {
  std::string path;
  sheaf::Dat dat;
  std::vector<sheaf::Added> added;
  std::set<casacore::uInt> removed;
  std::map<casacore::uInt, casacore::uInt>
      shared;                        // managers that lose columns: their new number and the old
  casacore::uInt64 nrow_in_dat = 0;  // what table.dat says, which may be too few
  bool changed = false, prepared = false, synced = false, published = false;

  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string stem(casacore::uInt seq) const { return path + "/table.f" + std::to_string(seq); }
  casacore::TableRecord& keywords(const char* column);
  void write_new();
  void write_pending();
  void unshare();
  void prepare();
  void sync();
  void publish();
  void tidy();
  void undo();
};

#endif

// SPDX-License-Identifier: GPL-3.0-or-later
//
// table_impl.hh - what a sheaf_table is, for the other files of table/.
#ifndef SHEAF_TABLE_TABLE_IMPL_HH
#define SHEAF_TABLE_TABLE_IMPL_HH

#include <casacore/casa/Containers/Record.h>
#include <casacore/tables/Tables/Table.h>

#include <string>

#include "table/guard.hh"
#include "table/reftable.h"
#include "table/table.h"

struct sheaf_table {
  casacore::Table table;
  std::string path;
  casacore::Record managers;  // of its columns; empty until somebody asks
  // Of a reference table: what it refers to; found when it is asked for.
  mutable bool looked = false;
  mutable sheaf_reftable reference = {};
  sheaf_table(const casacore::Table& t, const char* p) : table(t), path(p) {}
  ~sheaf_table() { sheaf_reftable_free(&reference); }
  sheaf_table(const sheaf_table&) = delete;
  sheaf_table& operator=(const sheaf_table&) = delete;
};

namespace sheaf {

// Opens any table without locking; Failure(NOTFOUND) when the path is no table, or refers to one
// that is not there. "x.ms/ANTENNA" is a sub-table of what x.ms refers to, where x.ms is a
// reference table without sub-tables of its own.
casacore::Table open_table(const char* path, bool update);
// Failure(NOTFOUND) with what is missing, if `path` refers to rows of a table that is not there.
void check_reference(const std::string& path);

}  // namespace sheaf
#endif

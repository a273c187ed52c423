// SPDX-License-Identifier: GPL-3.0-or-later
//
// table_impl.hh - what a sheaf_table is, for the other files of table/.
#ifndef SHEAF_TABLE_TABLE_IMPL_HH
#define SHEAF_TABLE_TABLE_IMPL_HH

#include <casacore/casa/Containers/Record.h>
#include <casacore/tables/Tables/Table.h>

#include <string>

#include "table/guard.hh"
#include "table/table.h"

struct sheaf_table {
  casacore::Table table;
  std::string path;
  casacore::Record managers;  // of its columns; empty until somebody asks
};

namespace sheaf {

// Opens any table without locking; Failure(NOTFOUND) when the path is no table.
casacore::Table open_table(const char* path, bool update);

}  // namespace sheaf
#endif

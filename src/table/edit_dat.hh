// SPDX-License-Identifier: GPL-3.0-or-later
//
// edit_dat.hh - table.dat of a plain table as values, for edits and unshare.cc. Functions throw
// Failure.
#ifndef SHEAF_TABLE_EDIT_DAT_HH
#define SHEAF_TABLE_EDIT_DAT_HH

#include <casacore/casa/Arrays/IPosition.h>
#include <casacore/tables/Tables/TableDesc.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sheaf {

using casacore::Int;
using casacore::IPosition;
using casacore::String;
using casacore::TableDesc;
using casacore::uChar;
using casacore::uInt;
using casacore::uInt64;

enum { separate_files = 2 };

// A data manager as table.dat lists it.
struct Manager {
  String type;
  uInt seq;
  std::vector<uChar> data;  // its own part of table.dat
};

// Where a column is kept.
struct Place {
  String original;  // its name when it was made
  uInt version, seq;
  bool shaped;  // of arrays: has a fixed shape
  IPosition shape;
};

// All that table.dat says.
struct Dat {
  uInt64 nrow = 0;
  uInt format = 0;  // 0: column data are big endian
  std::unique_ptr<TableDesc> desc;
  bool options = false;  // column set -3: has the two below
  Int storage = separate_files, block = 0;
  uInt next = 0;  // sequence number of the next manager
  std::vector<Manager> managers;
  std::map<String, Place> places;  // by present name
};

// From the file `name` in the table at `path`. SHEAF_ERR_DATA for other kinds of table and storage.
Dat read_dat(const std::string& path, const char* name);
std::vector<uChar> write_dat(const Dat& dat, const std::string& path);

// Whether `name` belongs to data manager `seq`: table.f3, table.f3_TSM1, table.f3i, table.f3.tmp.
bool is_file_of(const char* name, uInt seq);
std::vector<std::string> files_in(const std::string& path);

// The files of manager `from` of the table, with the columns `stay` alone, become those of
// manager `to`, which nothing refers to yet; returns what is the manager's in table.dat. casacore
// removes the columns in a copy (`work`, a folder that does not exist and is gone afterwards). For
// managers in which it can: StandardStMan and IncrementalStMan.
std::vector<uChar> unshare(const std::string& path, uInt64 nrow, uInt from, uInt to,
                           const std::set<String>& stay, const std::string& work);
bool can_unshare(const String& manager);

}  // namespace sheaf
#endif

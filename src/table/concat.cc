// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/concat.h"

#include <casacore/casa/IO/AipsIO.h>
#include <casacore/casa/OS/Path.h>
#include <casacore/tables/DataMan/TSMOption.h>
#include <casacore/tables/Tables/ColumnDesc.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableLock.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <casacore/tables/Tables/TableRow.h>
#include <sys/stat.h>

#include <cstdio>
#include <limits>
#include <memory>
#include <string>

#include "table/guard.hh"
#include "table/isolate.hh"
#include "table/table_impl.hh"

using casacore::AipsIO;
using casacore::ByteIO;
using casacore::Path;
using casacore::String;
using casacore::Table;
using casacore::TableLock;
using sheaf::Failure;

namespace {

String absolute(const char* path) {
  return Path(path).absoluteName();
}

bool exists(const String& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0;
}

// Opens without locks; sub-tables stay closed.
Table open(const String& path, Table::TableOption option) {
  if (!exists(path + "/table.dat")) throw Failure(SHEAF_ERR_NOTFOUND, path + ": no such table");
  sheaf::check_reference(path);
  return Table(path, TableLock(TableLock::NoLocking), option);
}

// The head that every table.dat has; leaves `io` at the kind's own object and returns the kind.
String read_head(AipsIO& io, int64_t& nrow) {
  const casacore::uInt version = io.getstart("Table");
  if (version > 2) {
    casacore::uInt64 n;
    io >> n;
    nrow = static_cast<int64_t>(n);
  } else {
    casacore::uInt n;
    io >> n;
    nrow = n;
  }
  casacore::uInt endian;
  String kind;
  io >> endian >> kind;
  return kind;
}

struct JsonFree {
  void operator()(json_t* value) const { json_decref(value); }
};
using Json = std::unique_ptr<json_t, JsonFree>;

json_t* read_members(AipsIO& io, const String& table) {
  Json names(json_array());
  io.getstart("ConcatTable");
  casacore::uInt n;
  io >> n;
  for (casacore::uInt i = 0; i < n; ++i) {
    String name;
    io >> name;
    json_array_append_new(names.get(), json_string(Path::addDirectory(name, table).c_str()));
  }
  return names.release();
}

std::string column_kind(const casacore::ColumnDesc& column) {
  std::string kind = casacore::ValType::getTypeStr(column.dataType());
  while (!kind.empty() && kind.back() == ' ') kind.pop_back();
  return kind + (column.isScalar() ? " scalar" : " array");
}

json_t* describe(const Table& table) {
  Json columns(json_object());
  Json subtables(json_object());
  const casacore::TableDesc desc = table.actualTableDesc();
  for (casacore::uInt i = 0; i < desc.ncolumn(); ++i)
    json_object_set_new(columns.get(), desc[i].name().c_str(),
                        json_string(column_kind(desc[i]).c_str()));
  const casacore::TableRecord& keywords = table.keywordSet();
  for (casacore::uInt i = 0; i < keywords.nfields(); ++i)
    if (keywords.type(i) == casacore::TpTable)
      json_object_set_new(
          subtables.get(), keywords.name(i).c_str(),
          json_string(absolute(keywords.tableAttributes(i).name().c_str()).c_str()));
  return json_pack("{s:I,s:o,s:o}", "nrow", static_cast<json_int_t>(table.nrow()), "columns",
                   columns.release(), "subtables", subtables.release());
}

void probe_cell(const Table& table, const String& name, casacore::rownr_t row) {
  const casacore::TableColumn column(table, name);
  if (!column.isDefined(row)) return;
  const casacore::ROTableRow cell(table, casacore::Vector<String>(1, name));
  cell.get(row);
}

void probe(const Table& table) {
  const casacore::rownr_t nrow = table.nrow();
  for (const String& name : table.tableDesc().columnNames()) {
    try {
      if (nrow > 0) probe_cell(table, name, 0);
      if (nrow > 1) probe_cell(table, name, nrow - 1);
    } catch (const std::exception& x) {
      throw Failure(SHEAF_ERR_DATA, "column " + name + ": " + x.what());
    }
  }
}

void write_table(const String& file, const char* const* inside, size_t n, int64_t nrow) {
  AipsIO io(file, ByteIO::New);
  if (nrow > std::numeric_limits<casacore::Int>::max()) {
    io.putstart("Table", 3);
    io << static_cast<casacore::uInt64>(nrow);
  } else {
    io.putstart("Table", 2);
    io << static_cast<casacore::uInt>(nrow);
  }
  io << static_cast<casacore::uInt>(0) << String("ConcatTable");
  io.putstart("ConcatTable", 0);
  io << static_cast<casacore::uInt>(n);
  for (size_t i = 0; i < n; ++i) io << String("././") + inside[i];
  io.putstart("Block", 1);  // sub-tables that are concatenated, too: none
  io << static_cast<casacore::uInt>(0);
  io.putend();
  io.putend();
  io.putend();
  io.close();
}

// Runs a piece of work that writes: casacore ends the process when a destructor meets a full disk.
template <class Body>
int write(sheaf_error* err, const char* where, Body&& body) {
  return sheaf::isolated(err, where, [&](sheaf_error* why) {
    return sheaf::guard(why, where, [&] {
      body();
      return 0;
    });
  });
}

}  // namespace

int sheaf_concat_members(const char* path, json_t** names, int64_t* nrow, sheaf_error* err) {
  return sheaf::guard(err, path, [&] {
    const String table = absolute(path);
    if (!exists(table + "/table.dat")) throw Failure(SHEAF_ERR_NOTFOUND, table + ": no such table");
    AipsIO io(table + "/table.dat", ByteIO::Old);
    int64_t rows = 0;
    const bool concat = read_head(io, rows) == "ConcatTable";
    if (nrow) *nrow = rows;
    if (names) *names = concat ? read_members(io, table) : json_array();
    return concat ? 1 : 0;
  });
}

int sheaf_concat_write(const char* path, const char* const* inside, size_t n, int64_t nrow,
                       sheaf_error* err) {
  return write(err, path, [&] {
    const String table = absolute(path) + "/table.dat";
    write_table(table + "_tmp", inside, n, nrow);
    if (std::rename((table + "_tmp").c_str(), table.c_str()) != 0)
      throw Failure(SHEAF_ERR_IO, table + ": cannot be written: " + strerror(errno));
  });
}

int sheaf_concat_describe(const char* path, json_t** description, sheaf_error* err) {
  return sheaf::guard(err, path, [&] {
    *description = describe(open(absolute(path), Table::Old));
    return 0;
  });
}

int sheaf_concat_probe(const char* path, sheaf_error* err) {
  return sheaf::guard(err, path, [&] {
    probe(open(absolute(path), Table::Old));
    return 0;
  });
}

int sheaf_concat_keyword_drop(const char* path, const char* name, sheaf_error* err) {
  const int there = sheaf::guard(err, path, [&] {
    return open(absolute(path), Table::Old).keywordSet().isDefined(name) ? 1 : 0;
  });
  if (there <= 0) return there;
  const int rc = write(err, path, [&] {
    Table table = open(absolute(path), Table::Update);
    table.rwKeywordSet().removeField(String(name));
    sheaf::flush(table);
  });
  return rc < 0 ? rc : 1;
}

int sheaf_concat_keyword_link(const char* path, const char* name, sheaf_error* err) {
  const int linked = sheaf::guard(err, path, [&] {
    const Table table = open(absolute(path), Table::Old);
    const casacore::TableRecord& old = table.keywordSet();
    return old.isDefined(name) && old.type(old.fieldNumber(name)) == casacore::TpTable &&
                   absolute(old.tableAttributes(name).name().c_str()) == absolute(path) + "/" + name
               ? 1
               : 0;
  });
  if (linked != 0) return linked < 0 ? linked : 0;
  const int rc = write(err, path, [&] {
    Table table = open(absolute(path), Table::Update);
    table.rwKeywordSet().defineTable(name, open(absolute(path) + "/" + name, Table::Old));
    sheaf::flush(table);
  });
  return rc < 0 ? rc : 1;
}

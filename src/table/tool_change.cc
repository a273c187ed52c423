// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_change.cc - the tool `table`: what changes tables, and makes new ones.
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableDesc.h>

#include "table/edit.h"
#include "table/guard.hh"
#include "table/tool.hh"

using namespace casacore;

namespace sheaf {
namespace {

// Integers that the column cannot hold are refused: casacore would cut them.
ValueHolder value_for(TableProxy& p, const String& column, const Value& v) {
  const ValueHolder h = to_holder(v);
  if (h.dataType() != TpInt64 && h.dataType() != TpArrayInt64) return h;
  if (!p.table().tableDesc().isColumn(column)) return h;
  const DataType type = p.table().tableDesc()[column].dataType();
  if (type == TpInt || type == TpUInt || type == TpShort || type == TpUShort || type == TpUChar)
    throw Failure(SHEAF_ERR_ARG, "column " + column + " cannot hold integers that large");
  return h;
}

Vector<Int> increments(const Arguments& a, size_t n) {
  auto list = a["incr"].integers();
  if (list.size() == 1 && list[0] == 1) list.assign(n, 1);
  return to_ints(list);
}

template <class Change>
TableMethod changing(Change change) {
  return [change](TableTool& t, const Arguments& a, sheaf_pack& out) -> Rest {
    change(t.writable(), a, out);
    TilePuts::forget();
    return {};
  };
}

// The same for what describes the table: that is written at once, since a table whose description
// and files disagree cannot be opened.
template <class Change>
TableMethod restructuring(Change change) {
  return [change](TableTool& t, const Arguments& a, sheaf_pack& out) -> Rest {
    change(t.writable(), a, out);
    TilePuts::forget();
    flush_safely(t.proxy->table(), false);
    return {};
  };
}

// casacore removes the files of a column at once, and the column from table.dat later; so this is
// done with one rename (edit.h) where nobody else in this process has the table.
bool remove_by_edit(TableTool& t, const std::vector<std::string>& columns) {
  const Table& table = t.proxy->table();
  if (table.tableType() != Table::Plain) return false;
  const std::string path = table.tableName();
  const Record lock = t.proxy->lockOptions();
  settle(t.proxy->table());
  t.proxy.reset();
  sheaf_error err;
  sheaf_edit* edit = nullptr;
  int rc = Table::isOpened(path) ? -1 : sheaf_edit_begin(&edit, path.c_str(), &err);
  for (const auto& name : columns)
    if (rc >= 0) rc = sheaf_edit_remove(edit, name.c_str(), &err);
  if (rc >= 0) rc = sheaf_edit_commit(edit, &err);
  sheaf_edit_close(edit);
  t.proxy = std::make_unique<TableProxy>(path, lock, Table::Update);
  return rc >= 0;
}

Rest remove_columns(TableTool& t, const Arguments& a, sheaf_pack&) {
  const auto names = a["columnames"].texts();
  TableProxy& p = t.writable();
  for (const auto& name : names)
    if (!p.table().tableDesc().isColumn(name))
      throw Failure(SHEAF_ERR_ARG, "Table column " + name + " is unknown");
  TilePuts::forget();
  if (remove_by_edit(t, names)) return {};
  t.proxy->removeColumns(to_strings(names));
  flush_safely(t.proxy->table(), false);
  return {};
}

Rest put_column(TableTool& t, const Arguments& a, sheaf_pack&) {
  TableProxy& p = t.writable();
  const String column = column_of(a);
  const Int64 start = integer(a, "startrow"), asked = integer(a, "nrow"),
              step = integer(a, "rowincr");
  const Int64 n = asked < 0 ? p.nrows() - start : asked;
  if (step == 1 && start >= 0 && n > 0 && n <= p.nrows() - start &&
      t.puts.put(p.table(), column, start, n, nullptr, a["value"].item))
    return {};
  TilePuts::forget();
  p.putColumn(column, start, asked, step, value_for(p, column, a["value"]));
  return {};
}

void put_variable(TableProxy& p, const Arguments& a, sheaf_pack&) {
  const Value& v = a["value"];
  const Int64 start = integer(a, "startrow"), n = integer(a, "nrow");
  if (v.item.kind == SHEAF_PACK_RECORD)
    for (const auto& name : v.names)
      if (name.size() < 2 || name[0] != 'r')
        throw Failure(SHEAF_ERR_ARG, "putvarcol: the dictionary's keys are r1, r2, …, not " + name);
  p.putVarColumn(column_of(a), start, n, integer(a, "rowincr"), to_record(v));
}

void put_column_slice(TableProxy& p, const Arguments& a, sheaf_pack&) {
  const auto blc = to_ints(a["blc"].integers());
  p.putColumnSlice(column_of(a), integer(a, "startrow"), integer(a, "nrow"), integer(a, "rowincr"),
                   blc, to_ints(a["trc"].integers()), increments(a, blc.size()),
                   value_for(p, column_of(a), a["value"]));
}

void put_cell_slice(TableProxy& p, const Arguments& a, sheaf_pack&) {
  const auto blc = to_ints(a["blc"].integers());
  p.putCellSlice(column_of(a), integer(a, "rownr"), blc, to_ints(a["trc"].integers()),
                 increments(a, blc.size()), value_for(p, column_of(a), a["value"]));
}

Rest put_cell(TableTool& t, const Arguments& a, sheaf_pack&) {
  TableProxy& p = t.writable();
  const String column = column_of(a);
  const Vector<Int64> rows = rows_of(a["rownr"]);
  if (rows.size() == 1 && rows[0] >= 0 && rows[0] < p.nrows() &&
      t.puts.put(p.table(), column, rows[0], 1, nullptr, a["thevalue"].item))
    return {};
  TilePuts::forget();
  p.putCell(column, rows, value_for(p, column, a["thevalue"]));
  return {};
}

void add_values(TableMethods& m) {
  m["putcol"] = put_column;
  m["putvarcol"] = changing(put_variable);
  m["putcolslice"] = changing(put_column_slice);
  m["putcell"] = put_cell;
  m["putcellslice"] = changing(put_cell_slice);
}

void add_keywords(TableMethods& m) {
  m["putkeyword"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    const Keyword key(a["keyword"]);
    p.putKeyword(column_of(a), key.name, key.index, a["makesubrecord"].truth(),
                 to_holder(a["value"]));
  });
  m["putkeywords"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.putKeywordSet(column_of(a), to_record(a["value"]));
  });
  m["removekeyword"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    const Keyword key(a["keyword"]);
    p.removeKeyword(column_of(a), key.name, key.index);
  });
  m["putinfo"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.putTableInfo(to_record(a["value"]));
  });
  m["addreadmeline"] = restructuring(
      [](TableProxy& p, const Arguments& a, sheaf_pack&) { p.addReadmeLine(a["value"].text()); });
}

void add_structure(TableMethods& m) {
  m["addrows"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    if (integer(a, "nrow") < 0) throw Failure(SHEAF_ERR_ARG, "addrows: nrow is negative");
    p.addRow(integer(a, "nrow"));
  });
  m["removerows"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    const Vector<Int64> rows = rows_of(a["rownrs"]);
    for (const Int64 row : rows)
      if (row < 0 || row >= p.nrows())
        throw Failure(SHEAF_ERR_ARG, "removerows: there is no row " + std::to_string(row));
    p.removeRow(rows);
  });
  m["addcols"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.addColumns(to_record(a["desc"]), to_record(a["dminfo"]), false);
  });
  m["renamecol"] = restructuring([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.renameColumn(a["oldname"].text(), a["newname"].text());
  });
  m["removecols"] = remove_columns;
  m["flush"] = [](TableTool& t, const Arguments&, sheaf_pack&) -> Rest {
    t.puts.finish();
    flush_safely(t.opened().table(), true);
    return {};
  };
}

void add_new_tables(TableMethods& m) {
  m["create"] = [](TableTool& t, const Arguments& a, sheaf_pack&) -> Rest {
    t.close();
    t.adopt(TableProxy(a["tablename"].text(), to_record(a["lockoptions"]), a["endianformat"].text(),
                       a["memtype"].text(), integer(a, "nrow"), to_record(a["tabledesc"]),
                       to_record(a["dminfo"])));
    return {};
  };
  m["fromascii"] = [](TableTool& t, const Arguments& a, sheaf_pack&) -> Rest {
    t.close();
    if (a["sep"].text().size() != 1)
      throw Failure(SHEAF_ERR_ARG, "tablefromascii : separator must be 1 char");
    const auto shape = a["autoshape"].integers();
    IPosition cell;
    if (!(shape.size() == 1 && shape[0] < 0)) cell = IPosition(to_ints(shape));
    TableProxy made(a["asciifile"].text(), a["headerfile"].text(), a["tablename"].text(),
                    a["autoheader"].truth(), cell, a["sep"].text(), a["commentmarker"].text(),
                    integer(a, "firstline"), integer(a, "lastline"),
                    to_strings(a["columnnames"].texts()), to_strings(a["datatypes"].texts()));
    made.flush(true);
    return {};
  };
  m["copy"] = [](TableTool& t, const Arguments& a, sheaf_pack& out) -> Rest {
    auto tool = std::make_unique<TableTool>();
    tool->adopt(t.opened().copy(a["newtablename"].text(), a["memorytable"].truth(),
                                a["deep"].truth(), a["valuecopy"].truth(), a["endian"].text(),
                                to_record(a["dminfo"]), a["norows"].truth()));
    sheaf_pack_int(&out, keep_tool(std::move(tool)));
    return {};
  };
  m["copyrows"] = [](TableTool& t, const Arguments& a, sheaf_pack&) -> Rest {
    Record lock;
    lock.define("option", "auto");
    TableProxy to(a["outtable"].text(), lock, Table::Update);
    t.opened().copyRows(to, integer(a, "startrowin"), integer(a, "startrowout"),
                        integer(a, "nrow"));
    to.flush(true);
    return {};
  };
}

}  // namespace

const TableMethods& table_change_methods() {
  static const auto* all = [] {
    auto* m = new TableMethods;
    add_values(*m);
    add_keywords(*m);
    add_structure(*m);
    add_new_tables(*m);
    return m;
  }();
  return *all;
}

}  // namespace sheaf

// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_table.cc - the tool `table`: opening, and everything that only reads.
#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/casa/Arrays/Slicer.h>
#include <casacore/casa/Utilities/Regex.h>
#include <casacore/tables/TaQL/ExprNode.h>
#include <casacore/tables/TaQL/TableParse.h>
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableDesc.h>

#include <utility>

#include "base/log.h"
#include "table/guard.hh"
#include "table/table_impl.hh"
#include "table/tool.hh"

using namespace casacore;

namespace sheaf {
namespace {

const char* const not_open = "No table specified, please open first";

Vector<Int> corner(const Arguments& a, const char* name) {
  return to_ints(a[name].integers());
}

int64_t adopt(TableProxy table) {
  auto tool = std::make_unique<TableTool>();
  tool->adopt(table);
  return keep_tool(std::move(tool));
}

Rest get_column(TableTool& t, const Arguments& a, sheaf_pack& out) {
  TableProxy& p = t.opened();
  const String name = column_of(a);
  const Int64 start = integer(a, "startrow"), asked = integer(a, "nrow");
  const Int64 have = p.nrows();
  if (integer(a, "rowincr") == 1 && start >= 0 && start < have && asked != 0 && !p.isWritable() &&
      p.table().tableDesc().isColumn(name)) {
    const Int64 n = asked < 0 || asked > have - start ? have - start : asked;
    if (Rest rest = tiled_column(p.table(), name, start, n, out)) return rest;
  }
  write(out, p.getColumn(name, start, asked, integer(a, "rowincr")));
  return {};
}

Rest get_column_slice(TableTool& t, const Arguments& a, sheaf_pack& out) {
  write(out, t.opened().getColumnSlice(column_of(a), integer(a, "startrow"), integer(a, "nrow"),
                                       integer(a, "rowincr"), corner(a, "blc"), corner(a, "trc"),
                                       corner(a, "incr")));
  return {};
}

[[noreturn]] void bad_corner(const std::string& text) {
  throw Failure(SHEAF_ERR_ARG, text);
}

// -1 alone is the first or the last of each axis.
std::vector<int64_t> checked_corner(const char* name, std::vector<int64_t> list,
                                    const IPosition& shape, bool last) {
  const size_t ndim = shape.size();
  if (list.size() == 1 && list[0] == -1) {
    list.assign(ndim, 0);
    for (size_t i = 0; last && i < ndim; i++) list[i] = shape[i] - 1;
  }
  if (list.size() != ndim)
    bad_corner(std::string(name) + " must have length of " + std::to_string(ndim));
  for (size_t i = 0; i < ndim; i++) {
    if (list[i] < 0)
      bad_corner(std::string("All elements of ") + name + " must be greater than or equal to 0");
    if (list[i] >= shape[i])
      bad_corner("Element " + std::to_string(i) + " of " + name + " must be less than " +
                 std::to_string(shape[i]));
  }
  return list;
}

Rest get_cell_slice(TableTool& t, const Arguments& a, sheaf_pack& out) {
  TableProxy& p = t.opened();
  const String name = column_of(a);
  const Int64 row = integer(a, "rownr");
  if (row < 0 || row >= p.nrows())
    throw Failure(SHEAF_ERR_ARG, "TableProxy::getCellSlice: no such row");
  const IPosition shape = TableColumn(p.table(), name).shape(row);
  const auto blc = checked_corner("blc", a["blc"].integers(), shape, false);
  const auto trc = checked_corner("trc", a["trc"].integers(), shape, true);
  auto incr = a["incr"].integers();
  if (incr.size() == 1 && incr[0] == 1) incr.assign(shape.size(), 1);
  if (incr.size() != shape.size())
    bad_corner("incr must have length of " + std::to_string(shape.size()));
  for (size_t i = 0; i < shape.size(); i++) {
    if (trc[i] < blc[i])
      bad_corner(
          "All elements of trc must be greater than or equal to their corresponding blc elements");
    if (incr[i] <= 0) bad_corner("All elements of incr must be greater than 0");
  }
  write(out, p.getCellSlice(name, row, to_ints(blc), to_ints(trc), to_ints(incr)));
  return {};
}

TableProxy query_of(TableTool& t, const Arguments& a) {
  std::string taql = a["style"].text().empty() ? "" : "usingstyle " + a["style"].text() + " ";
  const std::string columns = a["columns"].text();
  taql += "select" + (columns.empty() ? "" : " " + columns) + " from \"" +
          std::string(t.opened().tableName()) + "\"";
  if (!a["query"].text().empty()) taql += " where " + a["query"].text();
  if (!a["sortlist"].text().empty()) taql += " orderby " + a["sortlist"].text();
  if (!a["name"].text().empty()) taql += " giving \"" + a["name"].text() + "\"";
  return TableProxy(tableCommand(taql).table());
}

// A row of a TaQL expression of arrays.
void write_calc(sheaf_pack& out, const TableExprNode& node, const TableExprId& row) {
  switch (node.dataType()) {
    case TpBool:
      return write(out, node.getArrayBool(row));
    case TpInt64:
      return write(out, node.getArrayInt(row));
    case TpDouble:
      return write(out, node.getArrayDouble(row));
    case TpDComplex:
      return write(out, node.getArrayDComplex(row));
    case TpString:
      return write_text_array(out, node.getArrayString(row));
    default:
      throw Failure(SHEAF_ERR_DATA, "calc: an expression of this type cannot be given to Python");
  }
}

Rest calculate(const Arguments& a, sheaf_pack& out) {
  const TaQLResult result = tableCommand(a["prefix"].text() + " calc " + a["expr"].text());
  if (result.isTable()) throw Failure(SHEAF_ERR_ARG, "Result is a table; use taql");
  const TableExprNode node = result.node();
  if (node.isScalar()) {
    Record values;
    TableProxy::calcValues(values, node);
    write_record_field(out, values, 0);
    return {};
  }
  RecordWriter record(out);
  for (rownr_t i = 0; i < node.nrow(); i++)
    write_calc(record.key(std::to_string(i)), node, TableExprId(i));
  return {};
}

// Methods that give one value, written by a function of the proxy.
template <class Get>
TableMethod reading(Get get) {
  return [get](TableTool& t, const Arguments& a, sheaf_pack& out) -> Rest {
    get(t.opened(), a, out);
    return {};
  };
}

void add_opening(TableMethods& m) {
  m["open"] = [](TableTool& t, const Arguments& a, sheaf_pack&) -> Rest {
    if (a["tablename"].text().empty()) throw Failure(SHEAF_ERR_ARG, "tablename is empty");
    t.open(a["tablename"].text(), to_record(a["lockoptions"]), a["nomodify"].truth());
    return {};
  };
  m["close"] = [](TableTool& t, const Arguments&, sheaf_pack&) -> Rest {
    t.close();
    return {};
  };
  m["ok"] = [](TableTool& t, const Arguments&, sheaf_pack& out) -> Rest {
    sheaf_pack_bool(&out, t.is_open());
    return {};
  };
  m["name"] = [](TableTool& t, const Arguments&, sheaf_pack& out) -> Rest {
    write(out, t.is_open() ? std::string(t.opened().table().tableName()) : std::string());
    return {};
  };
  m["isopened"] = [](TableTool&, const Arguments& a, sheaf_pack& out) -> Rest {
    sheaf_pack_bool(&out, Table::isOpened(a["tablename"].text()));
    return {};
  };
  m["calc"] = [](TableTool&, const Arguments& a, sheaf_pack& out) { return calculate(a, out); };
  m["unlock"] = [](TableTool& t, const Arguments&, sheaf_pack&) -> Rest {
    t.puts.finish();
    flush_safely(t.opened().table(), false);
    t.proxy->unlock();
    t.release();
    return {};
  };
}

void add_table_queries(TableMethods& m) {
  m["nrows"] = reading(
      [](TableProxy& p, const Arguments&, sheaf_pack& out) { sheaf_pack_int(&out, p.nrows()); });
  m["ncols"] = reading(
      [](TableProxy& p, const Arguments&, sheaf_pack& out) { sheaf_pack_int(&out, p.ncolumns()); });
  m["colnames"] = reading(
      [](TableProxy& p, const Arguments&, sheaf_pack& out) { write(out, p.columnNames()); });
  m["iswritable"] = reading([](TableProxy& p, const Arguments&, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.isWritable());
  });
  m["endianformat"] = reading([](TableProxy& p, const Arguments&, sheaf_pack& out) {
    write(out, std::string(p.endianFormat()));
  });
  m["info"] =
      reading([](TableProxy& p, const Arguments&, sheaf_pack& out) { write(out, p.tableInfo()); });
  m["getdesc"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getTableDescription(a["actual"].truth()));
  });
  m["getdminfo"] = reading(
      [](TableProxy& p, const Arguments&, sheaf_pack& out) { write(out, p.getDataManagerInfo()); });
  m["lockoptions"] = reading(
      [](TableProxy& p, const Arguments&, sheaf_pack& out) { write(out, p.lockOptions()); });
  m["lock"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.lock(a["write"].truth(), static_cast<Int>(integer(a, "nattempts")));
  });
  m["haslock"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.hasLock(a["write"].truth()));
  });
  m["datachanged"] = reading([](TableProxy& p, const Arguments&, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.hasDataChanged());
  });
  m["ismultiused"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.isMultiUsed(a["checksubtables"].truth()));
  });
  m["resync"] = reading([](TableProxy& p, const Arguments&, sheaf_pack&) { p.resync(); });
  m["rownumbers"] = reading([](TableProxy& p, const Arguments&, sheaf_pack& out) {
    TableProxy none;
    write(out, Array<Int64>(p.rowNumbers(none)));
  });
  m["query"] = [](TableTool& t, const Arguments& a, sheaf_pack& out) -> Rest {
    sheaf_pack_int(&out, adopt(query_of(t, a)));
    return {};
  };
  m["taql"] = reading([](TableProxy&, const Arguments& a, sheaf_pack& out) {
    const TaQLResult result = tableCommand(a["taqlcommand"].text());
    if (!result.isTable())
      throw Failure(SHEAF_ERR_ARG, "the TaQL command gives no table; use calc");
    sheaf_pack_int(&out, adopt(TableProxy(result.table())));
  });
  m["selectrows"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    sheaf_pack_int(&out, adopt(p.selectRows(rows_of(a["rownrs"]), a["name"].text())));
  });
  m["toasciifmt"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    const std::string sep = a["sep"].text();
    p.toAscii(a["asciifile"].text(), a["headerfile"].text(), to_strings(a["columns"].texts()),
              sep.empty() ? " " : sep, Vector<Int>(), true);
  });
  m["setmaxcachesize"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack&) {
    p.setMaximumCacheSize(column_of(a), static_cast<Int>(integer(a, "nbytes")));
  });
  m["listlocks"] = [](TableTool&, const Arguments&, sheaf_pack& out) -> Rest {
    write(out, Table::getLockedTables());
    return {};
  };
  m["partnames"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getPartNames(a["recursive"].truth()));
  });
}

void add_column_queries(TableMethods& m) {
  m["getcol"] = get_column;
  m["getcolslice"] = get_column_slice;
  m["getcellslice"] = get_cell_slice;
  m["getvarcol"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getVarColumn(column_of(a), integer(a, "startrow"), integer(a, "nrow"),
                              integer(a, "rowincr")));
  });
  m["getcell"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getCell(column_of(a), integer(a, "rownr")));
  });
  m["iscelldefined"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.cellContentsDefined(column_of(a), integer(a, "rownr")));
  });
  m["isscalarcol"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    sheaf_pack_bool(&out, p.isScalarColumn(column_of(a)));
  });
  m["isvarcol"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    const Record d = p.getColumnDescription(column_of(a), true);
    sheaf_pack_bool(&out, d.isDefined("ndim") && !d.isDefined("shape"));
  });
  m["coldatatype"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, std::string(p.columnDataType(column_of(a))));
  });
  m["colarraytype"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, std::string(p.columnArrayType(column_of(a))));
  });
  m["getcoldesc"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getColumnDescription(column_of(a), true));
  });
  m["getcolshapestring"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getColumnShapeString(column_of(a), integer(a, "startrow"), integer(a, "nrow"),
                                      integer(a, "rowincr")));
  });
}

void add_keyword_queries(TableMethods& m) {
  m["getkeywords"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getKeywordSet(column_of(a)));
  });
  m["getkeyword"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    const Keyword key(a["keyword"]);
    write(out, p.getKeyword(column_of(a), key.name, key.index));
  });
  m["keywordnames"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    write(out, p.getFieldNames(column_of(a), String(), -1));
  });
  m["fieldnames"] = reading([](TableProxy& p, const Arguments& a, sheaf_pack& out) {
    const Keyword key(a["keyword"]);
    write(out, p.getFieldNames(column_of(a), key.name, key.index));
  });
}

// Without a word about locks: for reading none is taken, for update one with the first change. Two
// that hold read locks and want to write would wait for each other for ever.
Record default_lock(bool nomodify) {
  Record lock;
  lock.define("option", nomodify ? "usernoread" : "autonoread");
  return lock;
}

}  // namespace

Keyword::Keyword(const Value& v) {
  if (v.item.kind == SHEAF_PACK_INT)
    index = static_cast<Int>(v.integer());
  else
    name = v.text();
}

String column_of(const Arguments& a) {
  return a["columnname"].text();
}

Int64 integer(const Arguments& a, const char* name) {
  return a[name].integer();
}

Vector<Int64> rows_of(const Value& v) {
  const auto list = v.integers();
  Vector<Int64> rows(list.size());
  for (size_t i = 0; i < list.size(); i++) rows[i] = list[i];
  return rows;
}

void TableTool::wake() {
  if (proxy || dormant_.empty()) return;
  const std::string path = dormant_;
  open(path, lock_options_, nomodify_);
}

TableProxy& TableTool::opened() {
  wake();
  if (!proxy) throw Failure(SHEAF_ERR_ARG, not_open);
  if (!proxy->isWritable()) fresh_.look(proxy->table());
  return *proxy;
}

TableProxy& TableTool::writable() {
  wake();
  if (!proxy) throw Failure(SHEAF_ERR_ARG, not_open);
  if (!proxy->isWritable())
    throw Failure(SHEAF_ERR_ARG, "Table " + std::string(proxy->table().tableName()) +
                                     " is not writable: open it with nomodify=False");
  const Block<String> parts = proxy->table().getPartNames(true);
  for (const auto& part : parts) lock_.take(part);
  return *proxy;
}

void TableTool::open(const std::string& name, const Record& lock_options, bool nomodify) {
  close();
  if (!Table::isReadable(name))
    throw Failure(SHEAF_ERR_NOTFOUND, "Table " + name + " does not exist");
  check_reference(name);
  user_locks = !lock_options.empty();
  proxy = std::make_unique<TableProxy>(name, user_locks ? lock_options : default_lock(nomodify),
                                       nomodify ? Table::Old : Table::Update);
  path_ = proxy->table().tableName();
  lock_options_ = lock_options;
  nomodify_ = nomodify;
}

void TableTool::adopt(const TableProxy& table) {
  proxy = std::make_unique<TableProxy>(table);
}

TableTool::~TableTool() {
  try {
    close();
  } catch (const std::exception& x) {
    sheaf_log_line(SHEAF_LOG_SEVERE, "table::close", x.what());
    static_cast<void>(proxy.release());
  }
}

void TableTool::close() {
  puts.finish();
  if (proxy) settle(proxy->table());
  puts = TilePuts();
  proxy.reset();
  path_.clear();
  dormant_.clear();
  lock_.drop();
}

// Tasks may change columns: a table that casacore still has in memory would not know of it, and
// write its old description.
void TableTool::release() {
  puts.finish();
  if (proxy) settle(proxy->table());
  puts = TilePuts();
  lock_.drop();
  if (!proxy || user_locks) return;
  if (path_.empty()) {
    if (proxy->isWritable()) proxy->unlock();
    return;
  }
  dormant_ = path_;
  proxy.reset();
}

const TableMethods& table_read_methods() {
  static const auto* all = [] {
    auto* m = new TableMethods;
    add_opening(*m);
    add_table_queries(*m);
    add_column_queries(*m);
    add_keyword_queries(*m);
    return m;
  }();
  return *all;
}

Rest TableTool::call(const std::string& method, const Arguments& args, sheaf_pack& out) {
  for (const auto* methods : {&table_read_methods(), &table_change_methods()}) {
    const auto found = methods->find(method);
    if (found != methods->end()) return found->second(*this, args, out);
  }
  throw Failure(SHEAF_ERR_INTERNAL, "the table tool has no method " + method);
}

std::unique_ptr<Tool> make_table_tool() {
  return std::make_unique<TableTool>();
}

}  // namespace sheaf

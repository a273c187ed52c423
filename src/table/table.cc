// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/table.h"

#include <casacore/casa/Arrays/ArrayMath.h>
#include <casacore/casa/OS/Path.h>
#include <casacore/tables/DataMan/StandardStMan.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/PlainTable.h>
#include <casacore/tables/Tables/RefRows.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableCache.h>
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <casacore/tables/Tables/TableUtil.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace sheaf {
namespace {

// Where "x.ms/ANTENNA" is when x.ms refers to rows of another MS and has no such sub-table; "" when
// there is none.
std::string referred_subtable(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  char at[4096];
  struct stat info;
  if (slash == std::string::npos || slash == 0) return "";
  if (sheaf_reftable_subtable(path.substr(0, slash).c_str(), path.c_str() + slash + 1, at,
                              sizeof at, nullptr) < 0 ||
      stat(at, &info) != 0)
    return "";
  return at;
}

}  // namespace

Table open_table(const char* path, bool update) {
  sheaf_casacore_log_install();
  struct stat info;
  std::string at(path);
  if (stat(path, &info) != 0) at = referred_subtable(at);
  if (at.empty()) throw Failure(SHEAF_ERR_NOTFOUND, std::string(path) + ": no such table");
  if (!Table::isReadable(at))
    throw Failure(SHEAF_ERR_NOTFOUND,
                  std::string(path) + ": not a table (no readable table.dat in it)");
  check_reference(at);
  return Table(at, TableLock(TableLock::NoLocking), update ? Table::Update : Table::Old);
}

void check_reference(const std::string& path) {
  sheaf_error why;
  if (sheaf_reftable_orphaned(path.c_str(), &why)) throw Failure(why.code, why.text);
}

namespace {

void copy_text(char* out, size_t size, const std::string& text) {
  std::strncpy(out, text.c_str(), size - 1);
  out[size - 1] = '\0';
}

std::string where(const sheaf_table* t, const char* column) {
  return t->path + ": column " + column;
}

Vector<rownr_t> row_vector(const int64_t* rows, int64_t n) {
  Vector<rownr_t> list(n);
  for (int64_t i = 0; i < n; i++) list[i] = rows[i];
  return list;
}

// Calls body with a null pointer of the C++ type that casacore uses for `type`.
template <class Body>
void with_type(int type, const std::string& what, Body&& body) {
  switch (type) {
    case TpBool:
      return body(static_cast<Bool*>(nullptr));
    case TpUChar:
      return body(static_cast<uChar*>(nullptr));
    case TpShort:
      return body(static_cast<Short*>(nullptr));
    case TpInt:
      return body(static_cast<Int*>(nullptr));
    case TpUInt:
      return body(static_cast<uInt*>(nullptr));
    case TpFloat:
      return body(static_cast<Float*>(nullptr));
    case TpDouble:
      return body(static_cast<Double*>(nullptr));
    case TpComplex:
      return body(static_cast<Complex*>(nullptr));
    case TpDComplex:
      return body(static_cast<DComplex*>(nullptr));
    case TpInt64:
      return body(static_cast<Int64*>(nullptr));
    default:
      throw Failure(SHEAF_ERR_DATA, what + ": elements of type " + std::to_string(type) +
                                        " are not supported here");
  }
}

int element_type(const Table& table, const char* column) {
  return table.tableDesc().columnDesc(column).dataType();
}

Slicer row_slice(int64_t row0, int64_t n) {
  return Slicer(IPosition(1, static_cast<ssize_t>(row0)), IPosition(1, static_cast<ssize_t>(n)));
}

// A scalar column read whole-range as T's vector over the caller's memory.
template <class T>
void get_range(const Table& table, const char* column, int64_t row0, int64_t n, T* out) {
  if (n == 0) return;
  Vector<T> view(IPosition(1, static_cast<ssize_t>(n)), out, SHARE);
  ScalarColumn<T>(table, column).getColumnRange(row_slice(row0, n), view);
}

template <class To, class From>
void convert_range(const Table& table, const char* column, int64_t row0, int64_t n, To* out) {
  const std::unique_ptr<From[]> tmp(new From[n]);
  get_range<From>(table, column, row0, n, tmp.get());
  for (int64_t i = 0; i < n; i++) {
    out[i] = static_cast<To>(tmp[i]);
    if (static_cast<From>(out[i]) != tmp[i] || (out[i] < 0) != (tmp[i] < From(0)))
      throw Failure(SHEAF_ERR_DATA, std::string("column ") + column + ": row " +
                                        std::to_string(row0 + i) + " has " +
                                        std::to_string(tmp[i]) + ", which is out of range");
  }
}

std::string manager_type(const Record& info, const std::string& column) {
  for (uInt i = 0; i < info.nfields(); i++) {
    const Record& one = info.subRecord(RecordFieldId(Int(i)));
    const Vector<String> names(one.asArrayString("COLUMNS"));
    for (const String& name : names)
      if (column.compare(name) == 0) return one.asString("TYPE");
  }
  return "";
}

void fill_column(const ColumnDesc& desc, const std::string& manager, sheaf_column* out) {
  *out = sheaf_column();
  copy_text(out->name, sizeof out->name, desc.name());
  copy_text(out->manager, sizeof out->manager, manager);
  out->type = desc.dataType();
  out->array = desc.isArray();
  out->ndim = desc.isArray() ? desc.ndim() : 0;
  out->fixed = desc.isArray() && desc.isFixedShape();
}

}  // namespace
}  // namespace sheaf

using namespace sheaf;

size_t sheaf_type_size(int type) {
  switch (type) {
    case SHEAF_BOOL:
    case SHEAF_UCHAR:
      return 1;
    case SHEAF_SHORT:
      return 2;
    case SHEAF_INT:
    case SHEAF_UINT:
    case SHEAF_FLOAT:
      return 4;
    case SHEAF_DOUBLE:
    case SHEAF_COMPLEX:
    case SHEAF_INT64:
      return 8;
    case SHEAF_DCOMPLEX:
      return 16;
    default:
      return 0;
  }
}

int sheaf_table_open(sheaf_table** table, const char* path, int update, sheaf_error* err) {
  *table = nullptr;
  return guard(err, path, [&] {
    *table = new sheaf_table(open_table(path, update), path);
    return 0;
  });
}

void sheaf_table_close(sheaf_table* table) {
  try {
    const std::lock_guard<std::recursive_mutex> alone(sheaf::casacore_lock());
    delete table;
  } catch (...) {
    // close cannot fail: sheaf_table_flush reports what could not be written
  }
}

int sheaf_tables_renew(sheaf_table* const* tables, size_t n, sheaf_error* err) {
  return guard(err, n ? tables[0]->path.c_str() : "", [&] {
    // Kept until this process ends: to close one would be to wait for threads that are not here.
    static std::vector<Table>& inherited = *new std::vector<Table>;
    for (size_t i = 0; i < n; i++) inherited.push_back(tables[i]->table);
    casacore::TableCache& open = casacore::PlainTable::tableCache();
    for (const String& name : open.getTableNames().tovector()) open.remove(name);
    for (size_t i = 0; i < n; i++)
      tables[i]->table = open_table(tables[i]->path.c_str(), false);
    return 0;
  });
}

int sheaf_table_flush(sheaf_table* t, sheaf_error* err) {
  return guard(err, t->path.c_str(), [&] {
    sheaf::flush(t->table);
    return 0;
  });
}

int64_t sheaf_table_nrow(const sheaf_table* t) {
  return t->table.nrow();
}

const char* sheaf_table_path(const sheaf_table* t) {
  return t->path.c_str();
}

const sheaf_reftable* sheaf_table_reference(const sheaf_table* t) {
  if (!t->looked && sheaf_table_kind_of(t->path.c_str()) == SHEAF_KIND_REF &&
      sheaf_reftable_resolve(&t->reference, t->path.c_str(), nullptr) >= 0 &&
      (sheaf_table_kind_of(t->reference.root) != SHEAF_KIND_PLAIN ||
       t->reference.nrow != sheaf_table_nrow(t)))
    sheaf_reftable_free(&t->reference);
  t->looked = true;
  return t->reference.row ? &t->reference : nullptr;
}

int sheaf_table_is_plain(const sheaf_table* t) {
  const std::lock_guard<std::recursive_mutex> alone(sheaf::casacore_lock());
  Block<String> parts = t->table.getPartNames();
  return t->table.isRootTable() && parts.nelements() == 1;
}

int sheaf_table_columns(const sheaf_table* t, sheaf_column** columns, size_t* n, sheaf_error* err) {
  *columns = nullptr;
  *n = 0;
  return guard(err, t->path.c_str(), [&] {
    const TableDesc& desc = t->table.tableDesc();
    const Record managers = t->table.dataManagerInfo();
    auto* list = static_cast<sheaf_column*>(std::calloc(desc.ncolumn() + 1, sizeof(sheaf_column)));
    if (!list) throw std::bad_alloc();
    for (uInt i = 0; i < desc.ncolumn(); i++)
      fill_column(desc.columnDesc(i), manager_type(managers, desc.columnDesc(i).name()), &list[i]);
    *columns = list;
    *n = desc.ncolumn();
    return 0;
  });
}

int sheaf_table_column(const sheaf_table* t, const char* name, sheaf_column* column) {
  const TableDesc& desc = t->table.tableDesc();
  if (!desc.isColumn(name)) return 0;
  if (column) fill_column(desc.columnDesc(name), "", column);
  return 1;
}

int sheaf_table_get_range(const sheaf_table* t, const char* column, int64_t row0, int64_t n,
                          void* out, sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      get_range<T>(t->table, column, row0, n, static_cast<T*>(out));
    });
    return 0;
  });
}

int sheaf_table_get_rows(const sheaf_table* t, const char* column, const int64_t* rows, int64_t n,
                         void* out, sheaf_error* err) {
  if (n == 0) return 0;
  return guard(err, where(t, column).c_str(), [&] {
    const RefRows list(row_vector(rows, n));
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      Vector<T> view(IPosition(1, static_cast<ssize_t>(n)), static_cast<T*>(out), SHARE);
      ScalarColumn<T>(t->table, column).getColumnCells(list, view);
    });
    return 0;
  });
}

int sheaf_table_put_range(sheaf_table* t, const char* column, int64_t row0, int64_t n,
                          const void* in, sheaf_error* err) {
  if (n == 0) return 0;
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      const Vector<T> view(IPosition(1, static_cast<ssize_t>(n)),
                           const_cast<T*>(static_cast<const T*>(in)), SHARE);
      ScalarColumn<T> out(t->table, column);
      // casacore writes a whole column bucket by bucket, but a range value by value.
      if (row0 == 0 && n == static_cast<int64_t>(t->table.nrow()))
        out.putColumn(view);
      else
        out.putColumnRange(row_slice(row0, n), view);
    });
    return 0;
  });
}

namespace {

// Only the values that differ from the row before; an incremental manager repeats the last one.
template <class T>
void put_changes(Table& table, const char* column, int64_t row0, int64_t n, const T* in,
                 const T* before) {
  ScalarColumn<T> out(table, column);
  for (int64_t i = 0; i < n; i++) {
    if (!before || std::memcmp(before, in + i, sizeof *in) != 0) out.put(row0 + i, in[i]);
    before = in + i;
  }
}

}  // namespace

int sheaf_table_put_new(sheaf_table* t, const char* column, int64_t row0, int64_t n, const void* in,
                        const void* before, sheaf_error* err) {
  int incremental = 0;
  const int rc = guard(err, where(t, column).c_str(), [&] {
    if (t->managers.nfields() == 0) t->managers = t->table.dataManagerInfo();
    incremental = manager_type(t->managers, column) == "IncrementalStMan";
    return 0;
  });
  if (rc < 0 || !incremental)
    return rc < 0 ? rc : sheaf_table_put_range(t, column, row0, n, in, err);
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      put_changes(t->table, column, row0, n, static_cast<const T*>(in),
                  static_cast<const T*>(before));
    });
    return 0;
  });
}

int sheaf_table_get_ints(const sheaf_table* t, const char* column, int64_t row0, int64_t n,
                         int32_t* out, sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      if constexpr (std::is_same_v<T, Int>)
        get_range<Int>(t->table, column, row0, n, out);
      else if constexpr (std::is_integral_v<T>)
        convert_range<int32_t, T>(t->table, column, row0, n, out);
      else
        throw Failure(SHEAF_ERR_DATA, where(t, column) + ": not an integer column");
    });
    return 0;
  });
}

int sheaf_table_put_ints(sheaf_table* t, const char* column, int64_t row0, int64_t n,
                         const int32_t* in, sheaf_error* err) {
  if (n == 0) return 0;
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      if constexpr (std::is_integral_v<T>) {
        const Vector<T> values(std::vector<T>(in, in + n));
        ScalarColumn<T>(t->table, column).putColumnRange(row_slice(row0, n), values);
      } else {
        throw Failure(SHEAF_ERR_DATA, where(t, column) + ": not an integer column");
      }
    });
    return 0;
  });
}

int sheaf_table_get_text(const sheaf_table* t, const char* column, int64_t row, char** text,
                         sheaf_error* err) {
  *text = nullptr;
  return guard(err, where(t, column).c_str(), [&] {
    const String cell = ScalarColumn<String>(t->table, column)(row);
    *text = strdup(cell.c_str());
    if (!*text) throw std::bad_alloc();
    return 0;
  });
}

int sheaf_table_cell_shape(const sheaf_table* t, const char* column, int64_t row,
                           int64_t shape[SHEAF_TABLE_MAXDIM], sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    const TableColumn col(t->table, column);
    if (!col.isDefined(row)) return 0;
    const IPosition s = col.shape(row);
    if (s.nelements() > SHEAF_TABLE_MAXDIM)
      throw Failure(SHEAF_ERR_DATA, where(t, column) + ": cells of more than 4 axes");
    for (uInt i = 0; i < s.nelements(); i++) shape[i] = s[i];
    return static_cast<int>(s.nelements());
  });
}

int sheaf_table_get_cells(const sheaf_table* t, const char* column, const int64_t* rows, int64_t n,
                          int64_t ncell, void* out, sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    with_type(element_type(t->table, column), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      const ArrayColumn<T> col(t->table, column);
      T* to = static_cast<T*>(out);
      for (int64_t i = 0, run; i < n; i += run, to += run * ncell) {
        const IPosition shape = col.shape(rows[i]);
        if (static_cast<int64_t>(shape.product()) != ncell)
          throw Failure(SHEAF_ERR_DATA, where(t, column) + ": row " + std::to_string(rows[i]) +
                                            " has " + std::to_string(shape.product()) +
                                            " elements where " + std::to_string(ncell) +
                                            " are expected");
        for (run = 1; i + run < n && rows[i + run] == rows[i] + run;) run++;
        Array<T> view(shape.concatenate(IPosition(1, static_cast<ssize_t>(run))), to, SHARE);
        col.getColumnRange(row_slice(rows[i], run), view);
      }
    });
    return 0;
  });
}

int sheaf_table_get_doubles(const sheaf_table* t, const char* column, int64_t row, double** out,
                            size_t* n, sheaf_error* err) {
  *out = nullptr;
  *n = 0;
  return guard(err, where(t, column).c_str(), [&] {
    if (!TableColumn(t->table, column).isDefined(row)) return 0;
    const ColumnDesc& desc = t->table.tableDesc().columnDesc(column);
    with_type(desc.dataType(), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      if constexpr (std::is_arithmetic_v<T>) {
        const Array<T> cell =
            desc.isScalar() ? Array<T>(IPosition(1, 1), ScalarColumn<T>(t->table, column)(row))
                            : ArrayColumn<T>(t->table, column)(row);
        double* data = static_cast<double*>(std::malloc(sizeof(double) * (cell.nelements() + 1)));
        if (!data) throw std::bad_alloc();
        std::copy(cell.cbegin(), cell.cend(), data);
        *out = data;
        *n = cell.nelements();
      } else {
        throw Failure(SHEAF_ERR_DATA, where(t, column) + ": not a real column");
      }
    });
    return 0;
  });
}

int sheaf_table_put_doubles(sheaf_table* t, const char* column, int64_t row, const double* in,
                            int ndim, const int64_t* shape, sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    const ColumnDesc& desc = t->table.tableDesc().columnDesc(column);
    with_type(desc.dataType(), where(t, column), [&](auto* null) {
      using T = std::remove_pointer_t<decltype(null)>;
      if constexpr (std::is_arithmetic_v<T>) {
        if (desc.isScalar()) {
          ScalarColumn<T>(t->table, column).put(row, static_cast<T>(in[0]));
          return;
        }
        IPosition s(ndim);
        for (int i = 0; i < ndim; i++) s[i] = shape[i];
        Array<T> cell(s);
        size_t i = 0;
        for (T& x : cell) x = static_cast<T>(in[i++]);
        ArrayColumn<T>(t->table, column).put(row, cell);
      } else {
        throw Failure(SHEAF_ERR_DATA, where(t, column) + ": not a real column");
      }
    });
    return 0;
  });
}

namespace {

template <class T>
void vary_column(Table& table, const ColumnDesc& old) {
  const String name = old.name();
  std::vector<Array<T>> cells;
  {
    const ArrayColumn<T> column(table, name);
    for (rownr_t row = 0; row < table.nrow(); row++) cells.push_back(column(row).copy());
  }
  ArrayColumnDesc<T> fresh(name, old.comment(), old.ndim());
  fresh.rwKeywordSet() = old.keywordSet();
  table.removeColumn(name);
  table.addColumn(fresh, StandardStMan(name + "_varying"));
  ArrayColumn<T> column(table, name);
  for (rownr_t row = 0; row < cells.size(); row++) column.put(row, cells[row]);
}

}  // namespace

int sheaf_table_vary_column(sheaf_table* t, const char* column, sheaf_error* err) {
  return guard(err, where(t, column).c_str(), [&] {
    if (!t->table.tableDesc().isColumn(column)) return 0;
    const ColumnDesc old = t->table.tableDesc().columnDesc(column);
    if (!old.isFixedShape()) return 0;
    with_type(old.dataType(), where(t, column), [&](auto* null) {
      vary_column<std::remove_pointer_t<decltype(null)>>(t->table, old);
    });
    return 0;
  });
}

int sheaf_table_copy_cells(const sheaf_table* from, const char* from_column, const int64_t* rows,
                           int64_t n, sheaf_table* to, const char* to_column, int64_t to_row0,
                           sheaf_error* err) {
  return guard(err, where(from, from_column).c_str(), [&] {
    const TableColumn in(from->table, from_column);
    TableColumn out(to->table, to_column);
    for (int64_t i = 0; i < n; i++)
      if (in.isDefined(rows[i]))
        out.put(static_cast<rownr_t>(to_row0 + i), in, static_cast<rownr_t>(rows[i]));
    return 0;
  });
}

int sheaf_table_copy_rows(const char* from, const char* to, const int64_t* rows, int64_t n,
                          sheaf_error* err) {
  return guard(err, from, [&] {
    Table in = open_table(from, false);
    if (rows) {
      Table(in(row_vector(rows, n))).deepCopy(to, Table::New, False);
    } else {
      in.deepCopy(to, Table::New, False);
    }
    return 0;
  });
}

int sheaf_table_subtables(const char* path, sheaf_subtable** subtables, size_t* n,
                          sheaf_error* err) {
  *subtables = nullptr;
  *n = 0;
  return guard(err, path, [&] {
    const Table table = open_table(path, false);
    const TableRecord& keys = table.keywordSet();
    auto* list =
        static_cast<sheaf_subtable*>(std::calloc(keys.nfields() + 1, sizeof(sheaf_subtable)));
    if (!list) throw std::bad_alloc();
    size_t found = 0;
    for (uInt i = 0; i < keys.nfields(); i++) {
      if (keys.dataType(i) != TpTable || keys.name(i) == "SORTED_TABLE") continue;
      sheaf_subtable* s = &list[found++];
      const String target = keys.tableAttributes(i).name();
      copy_text(s->name, sizeof s->name, keys.name(i));
      copy_text(s->path, sizeof s->path, Path(target).absoluteName());
      s->exists = Table::isReadable(target);
    }
    *subtables = list;
    *n = found;
    return 0;
  });
}

int sheaf_table_link_subtables(const char* path, const char* const* names, size_t n,
                               sheaf_error* err) {
  return guard(err, path, [&] {
    Table table = open_table(path, true);
    for (size_t i = 0; i < n; i++) {
      const Table sub = open_table((std::string(path) + "/" + names[i]).c_str(), false);
      table.rwKeywordSet().defineTable(names[i], sub);
    }
    sheaf::flush(table);
    return 0;
  });
}

int sheaf_table_renumber_cells(sheaf_table* t, const char* ids, const char* texts, int64_t row,
                               const int32_t* map, size_t nmap, sheaf_error* err) {
  return guard(err, where(t, ids).c_str(), [&] {
    const TableDesc& desc = t->table.tableDesc();
    if (!desc.isColumn(ids) || !ArrayColumn<Int>(t->table, ids).isDefined(row)) return 0;
    ArrayColumn<Int> id_column(t->table, ids);
    const Vector<Int> old(id_column(row));
    std::vector<Int> kept;
    std::vector<size_t> at;
    for (size_t i = 0; i < old.nelements(); i++)
      if (old[i] >= 0 && static_cast<size_t>(old[i]) < nmap && map[old[i]] >= 0) {
        kept.push_back(map[old[i]]);
        at.push_back(i);
      }
    id_column.put(row, Vector<Int>(kept));
    if (!desc.isColumn(texts) || !ArrayColumn<String>(t->table, texts).isDefined(row)) return 0;
    ArrayColumn<String> text_column(t->table, texts);
    const Vector<String> words(text_column(row));
    if (words.nelements() != old.nelements()) return 0;
    std::vector<String> kept_words;
    for (size_t i : at) kept_words.push_back(words[i]);
    text_column.put(row, Vector<String>(kept_words));
    return 0;
  });
}

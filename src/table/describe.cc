// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/describe.h"

#include <casacore/casa/Arrays/Matrix.h>
#include <casacore/tables/Tables/ColumnDesc.h>
#include <casacore/tables/Tables/TableColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <cstdio>
#include <string>

#include "table/casacore_log.h"
#include "table/table_impl.hh"

using namespace casacore;
using sheaf::Failure;
using sheaf::guard;

namespace {

template <class T, class Make>
json_t* list_of(const Array<T>& values, Make make) {
  if (values.ndim() > 2) return nullptr;
  json_t* list = json_array();
  if (values.ndim() < 2) {
    for (const T& value : values) json_array_append_new(list, make(value));
    return list;
  }
  const Matrix<T> rows(values);
  for (size_t i = 0; i < rows.ncolumn(); i++) {
    json_t* row = json_array();
    for (size_t k = 0; k < rows.nrow(); k++) json_array_append_new(row, make(rows(k, i)));
    json_array_append_new(list, row);
  }
  return list;
}

json_t* text(const String& value) {
  return json_string(value.c_str());
}
json_t* boolean(const Bool& value) {
  return json_boolean(value);
}

json_t* object_of(const TableRecord& record);

json_t* value_of(const TableRecord& record, uInt i) {
  switch (record.dataType(i)) {
    case TpString:
      return text(record.asString(i));
    case TpBool:
      return boolean(record.asBool(i));
    case TpInt:
      return json_integer(record.asInt(i));
    case TpFloat:
    case TpDouble:
      return json_real(record.asDouble(i));
    case TpArrayString:
      return list_of(record.asArrayString(i), text);
    case TpArrayBool:
      return list_of(record.asArrayBool(i), boolean);
    case TpArrayInt:
      return list_of(record.asArrayInt(i), [](Int v) { return json_integer(v); });
    case TpArrayDouble:
      return list_of(record.asArrayDouble(i), [](Double v) { return json_real(v); });
    case TpRecord:
      return object_of(record.subRecord(i));
    default:
      return nullptr;
  }
}

json_t* object_of(const TableRecord& record) {
  json_t* object = json_object();
  for (uInt i = 0; i < record.nfields(); i++)
    if (json_t* value = value_of(record, i))
      json_object_set_new(object, record.name(i).c_str(), value);
  return object;
}

}  // namespace

extern "C" int sheaf_column_describe(const char* path, const char* column, char* comment,
                                     size_t size, json_t** keywords, sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    const Table table(sheaf::open_table(path, false));
    if (!table.tableDesc().isColumn(column))
      throw Failure(SHEAF_ERR_NOTFOUND, std::string("no column ") + column);
    std::snprintf(comment, size, "%s", table.tableDesc().columnDesc(column).comment().c_str());
    *keywords = object_of(TableColumn(table, column).keywordSet());
    return 0;
  });
}

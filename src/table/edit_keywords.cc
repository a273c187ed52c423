// SPDX-License-Identifier: GPL-3.0-or-later
#include <casacore/casa/Arrays/Array.h>

#include "table/edit_impl.hh"

using casacore::Array;
using casacore::Bool;
using casacore::Double;
using casacore::Int;
using casacore::IPosition;
using casacore::String;
using casacore::TableRecord;
using casacore::uInt;
using sheaf::Failure;
using sheaf::guard;
using sheaf::must_be_open;

namespace {

template <class T, class Get>
Array<T> make_array(const json_t* value, const json_t* first, Get get) {
  const bool deep = json_is_array(first);
  const size_t n = json_array_size(value), inner = deep ? json_array_size(first) : 1;
  Array<T> array(deep ? IPosition(2, inner, n) : IPosition(1, n));
  T* to = array.data();
  for (size_t i = 0; i < n; i++) {
    const json_t* row = json_array_get(value, i);
    if (deep && json_array_size(row) != inner)
      throw Failure(SHEAF_ERR_ARG, "keyword: lists of different lengths in a list");
    for (size_t k = 0; k < inner; k++) to[i * inner + k] = get(deep ? json_array_get(row, k) : row);
  }
  return array;
}

bool any_real(const json_t* value) {
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t* one = json_array_get(value, i);
    if (json_is_real(one) || (json_is_array(one) && any_real(one))) return true;
  }
  return false;
}

void check_kind(const json_t* value, const json_t* leaf) {
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t* one = json_array_get(value, i);
    if (json_is_array(one))
      check_kind(one, leaf);
    else if (json_is_number(leaf)   ? !json_is_number(one)
             : json_is_string(leaf) ? !json_is_string(one)
                                    : !json_is_boolean(one))
      throw Failure(SHEAF_ERR_ARG, "keyword: a list of different kinds of value");
  }
}

void define_list(casacore::RecordInterface& record, const String& name, const json_t* value) {
  const json_t* first = json_array_get(value, 0);
  const json_t* leaf = json_is_array(first) ? json_array_get(first, 0) : first;
  if (leaf) check_kind(value, leaf);
  if (!leaf)
    record.define(name, Array<Int>(IPosition(1, 0)));
  else if (json_is_string(leaf))
    record.define(name, make_array<String>(value, first, [](const json_t* v) {
                    return String(json_string_value(v));
                  }));
  else if (json_is_boolean(leaf))
    record.define(name, make_array<Bool>(value, first,
                                         [](const json_t* v) { return Bool(json_is_true(v)); }));
  else if (any_real(value))
    record.define(name, make_array<Double>(value, first, json_number_value));
  else
    record.define(name, make_array<Int>(value, first, [](const json_t* v) {
                    return Int(json_integer_value(v));
                  }));
}

}  // namespace

namespace sheaf {

void define_keyword(casacore::RecordInterface& record, const String& name, const json_t* value) {
  if (json_is_string(value)) {
    record.define(name, String(json_string_value(value)));
  } else if (json_is_boolean(value)) {
    record.define(name, Bool(json_is_true(value)));
  } else if (json_is_integer(value)) {
    record.define(name, static_cast<Int>(json_integer_value(value)));
  } else if (json_is_real(value)) {
    record.define(name, json_real_value(value));
  } else if (json_is_array(value)) {
    define_list(record, name, value);
  } else if (json_is_object(value)) {
    TableRecord sub;
    const char* key;
    json_t* one;
    json_object_foreach(const_cast<json_t*>(value), key, one) define_keyword(sub, key, one);
    record.defineRecord(name, sub);
  } else {
    throw Failure(SHEAF_ERR_ARG, "keyword " + name + ": null has no place in a table");
  }
}

}  // namespace sheaf

TableRecord& sheaf_edit::keywords(const char* column) {
  if (!column) return dat.desc->rwKeywordSet();
  if (!dat.desc->isColumn(column))
    throw Failure(SHEAF_ERR_NOTFOUND, path + ": no column " + column);
  return dat.desc->rwColumnDesc(column).rwKeywordSet();
}

int sheaf_edit_has_keyword(const sheaf_edit* edit, const char* column, const char* keyword) {
  if (column && !sheaf_edit_has(edit, column)) return 0;
  return const_cast<sheaf_edit*>(edit)->keywords(column).isDefined(keyword) ? 1 : 0;
}

json_t* sheaf_edit_keywords(const sheaf_edit* edit, const char* column) {
  json_t* names = json_array();
  if (!names || (column && !sheaf_edit_has(edit, column))) return names;
  const TableRecord& keys = const_cast<sheaf_edit*>(edit)->keywords(column);
  for (uInt i = 0; i < keys.nfields(); i++)
    json_array_append_new(names, json_string(keys.name(i).c_str()));
  return names;
}

int sheaf_edit_set(sheaf_edit* edit, const char* column, const char* keyword, const json_t* value,
                   sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    TableRecord& keys = edit->keywords(column);
    if (keys.isDefined(keyword)) keys.removeField(String(keyword));
    sheaf::define_keyword(keys, keyword, value);
    edit->changed = true;
    return 0;
  });
}

int sheaf_edit_drop(sheaf_edit* edit, const char* column, const char* keyword, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    TableRecord& keys = edit->keywords(column);
    if (!keys.isDefined(keyword)) return 0;
    keys.removeField(String(keyword));
    edit->changed = true;
    return 1;
  });
}

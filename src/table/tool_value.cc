// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/tool_value.hh"

#include <casacore/casa/Arrays/ArrayIter.h>

#include <climits>
#include <cmath>
#include <cstring>

#include "table/guard.hh"

using namespace casacore;

namespace sheaf {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw Failure(SHEAF_ERR_ARG, std::string("argument must be ") + what);
}

double number_at(const sheaf_item& a, size_t i) {
  switch (a.type) {
    case SHEAF_PACK_B1:
      return static_cast<const uint8_t*>(a.data)[i];
    case SHEAF_PACK_I4:
      return static_cast<const int32_t*>(a.data)[i];
    case SHEAF_PACK_I8:
      return static_cast<double>(static_cast<const int64_t*>(a.data)[i]);
    case SHEAF_PACK_F4:
      return static_cast<const float*>(a.data)[i];
    case SHEAF_PACK_F8:
      return static_cast<const double*>(a.data)[i];
    default:
      refuse("a list of numbers");
  }
}

int64_t integer_at(const sheaf_item& a, size_t i) {
  if (a.type == SHEAF_PACK_I8) return static_cast<const int64_t*>(a.data)[i];
  const double x = number_at(a, i);
  if (x != std::floor(x) || std::fabs(x) > 9e15) refuse("a list of integers");
  return static_cast<int64_t>(x);
}

IPosition shape_of(const sheaf_item& a) {
  IPosition shape(a.ndim);
  for (int i = 0; i < a.ndim; i++) shape[i] = a.shape[i];
  return shape;
}

// An array over the pack's memory; nobody writes into it.
template <class T>
Array<T> share(const sheaf_item& a) {
  return Array<T>(shape_of(a), static_cast<T*>(const_cast<void*>(a.data)), SHARE);
}

Array<Bool> bools(const sheaf_item& a) {
  static_assert(sizeof(Bool) == 1, "a bool is a byte");
  return share<Bool>(a);
}

Array<String> strings(const Value& v) {
  Array<String> a(shape_of(v.item));
  size_t i = 0;
  for (auto& s : a) s = v.members[i++].text();
  return a;
}

bool fits_int(const sheaf_item& a) {
  const auto* p = static_cast<const int64_t*>(a.data);
  for (size_t i = 0; i < a.n; i++)
    if (p[i] < INT_MIN || p[i] > INT_MAX) return false;
  return true;
}

// CASA's integers are Ints where they fit.
ValueHolder from_longs(const sheaf_item& a) {
  if (!fits_int(a)) return ValueHolder(share<Int64>(a));
  Array<Int> ints(shape_of(a));
  const auto* p = static_cast<const int64_t*>(a.data);
  for (auto& x : ints) x = static_cast<Int>(*p++);
  return ValueHolder(ints);
}

ValueHolder from_array(const Value& v) {
  switch (v.item.type) {
    case SHEAF_PACK_B1:
      return ValueHolder(bools(v.item));
    case SHEAF_PACK_I4:
      return ValueHolder(share<Int>(v.item));
    case SHEAF_PACK_I8:
      return from_longs(v.item);
    case SHEAF_PACK_F4:
      return ValueHolder(share<Float>(v.item));
    case SHEAF_PACK_F8:
      return ValueHolder(share<Double>(v.item));
    case SHEAF_PACK_C8:
      return ValueHolder(share<Complex>(v.item));
    case SHEAF_PACK_C16:
      return ValueHolder(share<DComplex>(v.item));
    default:
      return ValueHolder(strings(v));
  }
}

// The pack's array for a casacore array, to be filled with `To`s.
template <class To, class From>
void write_array(sheaf_pack& out, const Array<From>& a, int type) {
  int64_t shape[SHEAF_PACK_MAXDIM];
  const int ndim = static_cast<int>(a.ndim());
  for (int i = 0; i < ndim && i < SHEAF_PACK_MAXDIM; i++) shape[i] = a.shape()[i];
  // An array without axes is one without elements.
  const int64_t nothing[1] = {0};
  auto* to =
      static_cast<To*>(sheaf_pack_array(&out, type, ndim ? ndim : 1, ndim ? shape : nothing));
  if (!to || !a.nelements()) return;
  if (a.contiguousStorage()) {
    const From* from = a.data();
    for (size_t i = 0, n = a.nelements(); i < n; i++) to[i] = static_cast<To>(from[i]);
  } else
    for (const auto& x : a) *to++ = static_cast<To>(x);
}

void write_name(sheaf_pack& out, const std::string& name) {
  sheaf_pack_text(&out, name.data(), name.size());
}

}  // namespace

std::string Value::text() const {
  if (item.kind == SHEAF_PACK_TEXT) return std::string(item.text, item.n);
  if (item.kind == SHEAF_PACK_ARRAY && item.type == SHEAF_PACK_U && members.size() == 1)
    return members[0].text();
  refuse("a string");
}

int64_t Value::integer() const {
  if (item.kind == SHEAF_PACK_INT || item.kind == SHEAF_PACK_BOOL) return item.i;
  refuse("an integer");
}

double Value::real() const {
  if (item.kind == SHEAF_PACK_REAL) return item.re;
  return static_cast<double>(integer());
}

bool Value::truth() const {
  return integer() != 0;
}

std::vector<int64_t> Value::integers() const {
  if (item.kind != SHEAF_PACK_ARRAY) return {integer()};
  std::vector<int64_t> list(item.n);
  for (size_t i = 0; i < item.n; i++) list[i] = integer_at(item, i);
  return list;
}

std::vector<double> Value::reals() const {
  if (item.kind != SHEAF_PACK_ARRAY) return {real()};
  std::vector<double> list(item.n);
  for (size_t i = 0; i < item.n; i++) list[i] = number_at(item, i);
  return list;
}

std::vector<std::string> Value::texts() const {
  std::vector<std::string> list;
  if (item.kind == SHEAF_PACK_TEXT) return {text()};
  if (item.kind != SHEAF_PACK_ARRAY || (item.type != SHEAF_PACK_U && item.n))
    refuse("a list of strings");
  for (const auto& one : members) list.push_back(one.text());
  return list;
}

Value read_value(const char*& at, const char* end) {
  Value v;
  if (sheaf_pack_read(&at, end, &v.item)) throw Failure(SHEAF_ERR_INTERNAL, "a message is damaged");
  const auto& item = v.item;
  int64_t n = item.kind == SHEAF_PACK_LIST || item.kind == SHEAF_PACK_RECORD ? item.i : 0;
  if (item.kind == SHEAF_PACK_ARRAY && item.type == SHEAF_PACK_U) n = static_cast<int64_t>(item.n);
  for (int64_t i = 0; i < n; i++) {
    if (item.kind == SHEAF_PACK_RECORD) v.names.push_back(read_value(at, end).text());
    v.members.push_back(read_value(at, end));
  }
  return v;
}

Arguments::Arguments(const Value& record) {
  for (size_t i = 0; i < record.names.size(); i++) by_name_[record.names[i]] = &record.members[i];
}

const Value& Arguments::operator[](const char* name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    throw Failure(SHEAF_ERR_INTERNAL, std::string("no argument ") + name);
  return *found->second;
}

ValueHolder to_holder(const Value& v) {
  switch (v.item.kind) {
    case SHEAF_PACK_BOOL:
      return ValueHolder(Bool(v.item.i != 0));
    case SHEAF_PACK_INT:
      if (v.item.i < INT_MIN || v.item.i > INT_MAX) return ValueHolder(Int64(v.item.i));
      return ValueHolder(Int(v.item.i));
    case SHEAF_PACK_REAL:
      return ValueHolder(v.item.re);
    case SHEAF_PACK_COMPLEX:
      return ValueHolder(DComplex(v.item.re, v.item.im));
    case SHEAF_PACK_TEXT:
      return ValueHolder(String(v.text()));
    case SHEAF_PACK_ARRAY:
      return from_array(v);
    case SHEAF_PACK_RECORD:
      return ValueHolder(to_record(v));
    default:
      refuse("a number, a string, an array or a dictionary");
  }
}

Record to_record(const Value& v) {
  Record record;
  if (v.item.kind == SHEAF_PACK_ARRAY && !v.item.n) return record;
  if (v.item.kind != SHEAF_PACK_RECORD) refuse("a dictionary");
  for (size_t i = 0; i < v.names.size(); i++) {
    const Value& one = v.members[i];
    if (one.item.kind == SHEAF_PACK_RECORD)
      record.defineRecord(v.names[i], to_record(one));
    else
      to_holder(one).toRecord(record, v.names[i]);
  }
  return record;
}

Vector<Int> to_ints(const std::vector<int64_t>& list) {
  Vector<Int> v(list.size());
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i] < INT_MIN || list[i] > INT_MAX) refuse("a list of 32-bit integers");
    v[i] = static_cast<Int>(list[i]);
  }
  return v;
}

Vector<String> to_strings(const std::vector<std::string>& list) {
  Vector<String> v(list.size());
  for (size_t i = 0; i < list.size(); i++) v[i] = list[i];
  return v;
}

void write(sheaf_pack& out, const Array<Bool>& a) {
  write_array<uint8_t>(out, a, SHEAF_PACK_B1);
}
void write(sheaf_pack& out, const Array<uChar>& a) {
  write_array<int64_t>(out, a, SHEAF_PACK_I8);
}
void write(sheaf_pack& out, const Array<Short>& a) {
  write_array<int64_t>(out, a, SHEAF_PACK_I8);
}
void write(sheaf_pack& out, const Array<Int>& a) {
  write_array<int64_t>(out, a, SHEAF_PACK_I8);
}
void write(sheaf_pack& out, const Array<uInt>& a) {
  write_array<uint64_t>(out, a, SHEAF_PACK_U8);
}
void write(sheaf_pack& out, const Array<Int64>& a) {
  write_array<int64_t>(out, a, SHEAF_PACK_I8);
}
void write(sheaf_pack& out, const Array<Float>& a) {
  write_array<double>(out, a, SHEAF_PACK_F8);
}
void write(sheaf_pack& out, const Array<Double>& a) {
  write_array<double>(out, a, SHEAF_PACK_F8);
}
void write(sheaf_pack& out, const Array<Complex>& a) {
  write_array<DComplex>(out, a, SHEAF_PACK_C16);
}
void write(sheaf_pack& out, const Array<DComplex>& a) {
  write_array<DComplex>(out, a, SHEAF_PACK_C16);
}

void write_text_array(sheaf_pack& out, const Array<String>& a) {
  int64_t shape[SHEAF_PACK_MAXDIM] = {0};
  const int ndim = static_cast<int>(a.ndim());
  for (int i = 0; i < ndim && i < SHEAF_PACK_MAXDIM; i++) shape[i] = a.shape()[i];
  sheaf_pack_array(&out, SHEAF_PACK_U, ndim ? ndim : 1, shape);
  for (const auto& s : a) write(out, std::string(s));
}

void write(sheaf_pack& out, const std::string& text) {
  sheaf_pack_text(&out, text.data(), text.size());
}

void write(sheaf_pack& out, const Vector<String>& list) {
  sheaf_pack_list(&out, static_cast<int64_t>(list.size()));
  for (const auto& s : list) write(out, std::string(s));
}

void write(sheaf_pack& out, const ValueHolder& h) {
  switch (h.dataType()) {
    case TpBool:
      return sheaf_pack_bool(&out, h.asBool());
    case TpUChar:
    case TpShort:
    case TpUShort:
    case TpInt:
    case TpUInt:
    case TpInt64:
      return sheaf_pack_int(&out, h.asInt64());
    case TpFloat:
    case TpDouble:
      return sheaf_pack_real(&out, h.asDouble());
    case TpComplex:
    case TpDComplex:
      return sheaf_pack_complex(&out, h.asDComplex().real(), h.asDComplex().imag());
    case TpString:
      return write(out, std::string(h.asString()));
    case TpRecord:
      return write(out, h.asRecord());
    case TpArrayBool:
      return write(out, h.asArrayBool());
    case TpArrayUChar:
    case TpArrayShort:
    case TpArrayUShort:
    case TpArrayInt:
    case TpArrayUInt:
    case TpArrayInt64:
      if (h.dataType() == TpArrayInt) return write(out, h.asArrayInt());
      if (h.dataType() == TpArrayUInt) return write(out, h.asArrayuInt());
      return write(out, h.asArrayInt64());
    case TpArrayFloat:
      return write(out, h.asArrayFloat());
    case TpArrayDouble:
      return write(out, h.asArrayDouble());
    case TpArrayComplex:
      return write(out, h.asArrayComplex());
    case TpArrayDComplex:
      return write(out, h.asArrayDComplex());
    case TpArrayString:
      return write_text_array(out, h.asArrayString());
    default:
      return sheaf_pack_none(&out);
  }
}

void write_record_field(sheaf_pack& out, const RecordInterface& record, uInt i) {
  if (record.dataType(i) == TpRecord) return write(out, record.asRecord(i));
  write(out, ValueHolder::fromRecord(Record(record), i));
}

void write(sheaf_pack& out, const RecordInterface& record) {
  const Record plain(record);
  sheaf_pack_record(&out, plain.nfields());
  for (uInt i = 0; i < plain.nfields(); i++) {
    write_name(out, plain.name(i));
    if (plain.dataType(i) == TpRecord)
      write(out, plain.asRecord(i));
    else
      write(out, ValueHolder::fromRecord(plain, i));
  }
}

RecordWriter::RecordWriter(sheaf_pack& out) : out_(out) {
  sheaf_pack_record(&out, 0);
  at_ = out.n - sizeof n_;
}

RecordWriter::~RecordWriter() {
  if (!out_.failed) std::memcpy(out_.data + at_, &n_, sizeof n_);
}

sheaf_pack& RecordWriter::key(const std::string& name) {
  write_name(out_, name);
  n_++;
  return out_;
}

}  // namespace sheaf

// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_value.hh - between packs (pack.h) and casacore's values.
#ifndef SHEAF_TABLE_TOOL_VALUE_HH
#define SHEAF_TABLE_TOOL_VALUE_HH

#include <casacore/casa/Arrays/Array.h>
#include <casacore/casa/Arrays/Vector.h>
#include <casacore/casa/Containers/Record.h>
#include <casacore/casa/Containers/ValueHolder.h>

#include <map>
#include <string>
#include <vector>

#include "table/pack.h"

namespace sheaf {

// A value that was read, with its members; points into the memory of its pack.
struct Value {
  sheaf_item item = {};
  std::vector<Value> members;      // LIST, RECORD; texts of an ARRAY of texts
  std::vector<std::string> names;  // RECORD
  bool none() const { return item.kind == SHEAF_PACK_NONE; }
  std::string text() const;  // Failure when it is no text
  // The following take what CASA's tools take: one number for a list of one, and so on.
  int64_t integer() const;
  double real() const;
  bool truth() const;
  std::vector<int64_t> integers() const;
  std::vector<double> reals() const;
  std::vector<std::string> texts() const;
};

// Failure when there is none.
Value read_value(const char*& at, const char* end);

// Arguments by name.
class Arguments {
 public:
  explicit Arguments(const Value& record);
  const Value& operator[](const char* name) const;
  bool has(const char* name) const { return by_name_.count(name) != 0; }

 private:
  std::map<std::string, const Value*> by_name_;
};

casacore::ValueHolder to_holder(const Value& value);
casacore::Record to_record(const Value& value);
casacore::Vector<casacore::Int> to_ints(const std::vector<int64_t>& list);
casacore::Vector<casacore::String> to_strings(const std::vector<std::string>& list);

// Writers: as CASA's tools give them: integers with 64 bits, reals and complex numbers with
// doubles.
void write(sheaf_pack& out, const casacore::ValueHolder& holder);
void write(sheaf_pack& out, const casacore::RecordInterface& record);
void write(sheaf_pack& out, const std::string& text);
void write(sheaf_pack& out, const casacore::Vector<casacore::String>& list);  // a list of texts
void write_record_field(sheaf_pack& out, const casacore::RecordInterface& record, casacore::uInt i);

// Arrays of numbers, widened.
void write(sheaf_pack& out, const casacore::Array<casacore::Bool>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::uChar>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Short>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Int>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::uInt>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Int64>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Float>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Double>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::Complex>& a);
void write(sheaf_pack& out, const casacore::Array<casacore::DComplex>& a);
void write_text_array(sheaf_pack& out, const casacore::Array<casacore::String>& a);

// A record whose number of fields is known when they have been written.
class RecordWriter {
 public:
  explicit RecordWriter(sheaf_pack& out);
  ~RecordWriter();
  sheaf_pack& key(const std::string& name);
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

 private:
  sheaf_pack& out_;
  size_t at_;
  int64_t n_ = 0;
};

}  // namespace sheaf
#endif

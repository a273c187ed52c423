// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool.hh - what the tools have in common, for the files of table/.
#ifndef SHEAF_TABLE_TOOL_HH
#define SHEAF_TABLE_TOOL_HH

#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableProxy.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "table/tool_value.hh"

typedef struct sheaf_tiles sheaf_tiles;

namespace sheaf {

// The rest of a call, that needs no casacore; empty: there is none.
using Rest = std::function<void()>;

class Tool {
 public:
  virtual ~Tool() = default;
  // Runs alone (guard.hh).
  virtual Rest call(const std::string& method, const Arguments& args, sheaf_pack& out) = 0;
  // Writes what is held back and lets go of locks.
  virtual void release() = 0;
};

std::unique_ptr<Tool> make_table_tool();
std::unique_ptr<Tool> make_ms_tool();
// Takes a tool over; its number.
int64_t keep_tool(std::unique_ptr<Tool> tool);

// The directories of a table that is written to, locked against tasks in place of other processes.
class WriterLock {
 public:
  ~WriterLock() { drop(); }
  // Failure(EXISTS) when a task is at work there.
  void take(const std::string& table_path);
  void drop();

 private:
  std::vector<int> fds_;
};

// Writes what casacore holds back. It ends the process where a header cannot be written, so that
// room for those is asked for first: Failure(IO) where there is none, and nothing has changed.
void flush_safely(casacore::Table& table, bool sync);
// The same before a table that was open for update is closed, which writes its description again.
// After a failure it is still open, and closing may be tried again.
void settle(casacore::Table& table);

// Notices that somebody else has changed a table.
class Freshness {
 public:
  // Looks at table.lock; resyncs when it has changed.
  void look(casacore::Table& table);

 private:
  int64_t stamp_ = -1, size_ = -1;
};

// The rows of a column of a plain table as one array, read through its tiles; an empty function
// where that cannot be: another storage, cells of different shapes, or a table that is being
// written to. The caller has checked the rows.
Rest tiled_column(const casacore::Table& table, const std::string& column, int64_t row0, int64_t n,
                  sheaf_pack& out);
// The same for any rows; `extra` fields of the shape's end may be asked for by ms tools.
Rest tiled_rows(const casacore::Table& table, const std::string& column, std::vector<int64_t> rows,
                sheaf_pack& out);

// Writes cells of tiled columns through their tiles, without casacore: a death or a full disk in
// the middle leaves old and new values and nothing else, since no header is written. Other programs
// notice at once.
class TilePuts {
 public:
  // Rows row0..row0+n-1, or those of `list` (n of them, each once). False when nothing was written:
  // casacore must do it, for want of a lock, a place of the cells, tiles, or a value of a suitable
  // type and shape (that of a cell, with the rows as last axis; for one row also without).
  bool put(casacore::Table& table, const std::string& column, int64_t row0, int64_t n,
           const int64_t* list, const sheaf_item& value);
  // After any other change of any table: where cells lie may be different.
  static void forget();
  // Before the table is unlocked or closed. Failure when the file system says only now that it
  // could not write.
  void finish();

 private:
  struct Column {
    std::shared_ptr<sheaf_tiles> tiles;
    uint64_t changes = 0;
  };
  sheaf_tiles* tiles_of(casacore::Table& table, const std::string& column);

  std::map<std::string, Column> columns_;
  int lock_file_ = -1;
};

// An open table as a tool of its own.
class TableTool : public Tool {
 public:
  // A table that cannot be written is left open until the process ends.
  ~TableTool() override;
  Rest call(const std::string& method, const Arguments& args, sheaf_pack& out) override;
  void release() override;
  bool is_open() const { return proxy || !dormant_.empty(); }
  // Failure when no table is open.
  casacore::TableProxy& opened();
  // Before a change.
  casacore::TableProxy& writable();
  void open(const std::string& name, const casacore::Record& lock_options, bool nomodify);
  void adopt(const casacore::TableProxy& table);
  void close();

  std::unique_ptr<casacore::TableProxy> proxy;
  bool user_locks = false;  // the user said how to lock
  TilePuts puts;

 private:
  // Opens again what release() has closed.
  void wake();

  WriterLock lock_;
  Freshness fresh_;
  std::string path_;     // as it was opened by name; empty: a selection or a copy
  std::string dormant_;  // closed by release(), to be opened again
  casacore::Record lock_options_;
  bool nomodify_ = true;
};

// Arguments that many methods of the table tool have: a keyword by name or by number,
struct Keyword {
  casacore::String name;
  casacore::Int index = -1;
  explicit Keyword(const Value& v);
};
// a column,
casacore::String column_of(const Arguments& a);
// an integer,
casacore::Int64 integer(const Arguments& a, const char* name);
// and row numbers.
casacore::Vector<casacore::Int64> rows_of(const Value& v);

using TableMethod = std::function<Rest(TableTool&, const Arguments&, sheaf_pack&)>;
using TableMethods = std::map<std::string, TableMethod>;
const TableMethods& table_read_methods();    // tool_table.cc
const TableMethods& table_change_methods();  // tool_change.cc

}  // namespace sheaf
#endif

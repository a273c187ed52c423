// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/tool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

#include "table/guard.hh"
#include "table/tool.hh"

using namespace casacore;

namespace sheaf {
namespace {

std::map<int64_t, std::shared_ptr<Tool>>& tools() {
  static auto* all = new std::map<int64_t, std::shared_ptr<Tool>>;  // outlives casacore's statics
  return *all;
}

int64_t next_number = 1;

constexpr size_t closing_bytes = 512 << 10;  // table.info, table.lock, sub-tables' table.dat

// Runs with casacore's texts as errors, without a prefix: those are what CASA's tools say.
template <class Body>
int tool_guard(sheaf_error* err, Body&& body) {
  return guard(err, "tool", [&] {
    try {
      body();
      return 0;
    } catch (const Failure&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& x) {
      const int reason = errno;
      throw Failure(SHEAF_ERR_DATA, explain(x.what(), reason));
    }
  });
}

int run(const std::shared_ptr<Tool>& tool, const char* method, const void* arguments, size_t n,
        sheaf_pack* reply, sheaf_error* err) {
  Rest rest;
  const int rc = tool_guard(err, [&] {
    const char* at = static_cast<const char*>(arguments);
    const Value value = read_value(at, at + n);
    rest = tool->call(method, Arguments(value), *reply);
  });
  if (rc < 0 || !rest) return rc;
  try {
    rest();
    return 0;
  } catch (const Failure& f) {
    return sheaf_fail(err, f.code, "%s", f.text.c_str());
  } catch (const std::exception& x) {
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s", x.what());
  }
}

void lock_directory(const std::string& path, std::vector<int>& fds) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
    ::close(fd);
    throw Failure(SHEAF_ERR_EXISTS,
                  path + ": a task is changing it; try again when that has ended");
  }
  fds.push_back(fd);
}

// Takes and gives back `bytes` of the directory's file system. What has no nameless files (NFS) is
// asked in vain.
void try_room(const std::string& directory, size_t bytes) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  int reason = fd < 0 ? errno : posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (fd >= 0) ::close(fd);
  if (reason == ENOSPC || reason == EDQUOT || reason == EIO || reason == EROFS)
    throw Failure(SHEAF_ERR_IO, directory + ": nothing more is written to this table: " +
                                    strerror(reason) + ". It stays open; make room and try again");
}

// For the description of each table, for headers and locks.
void need_room(const Table& table) {
  const Block<String> parts = table.getPartNames(true);
  for (const auto& part : parts) {
    struct stat st;
    if (stat((part + "/table.dat").c_str(), &st) == 0)
      try_room(part, 2 * static_cast<size_t>(st.st_size) + closing_bytes);
  }
}

bool has_table(const std::string& path) {
  struct stat st;
  return stat((path + "/table.dat").c_str(), &st) == 0;
}

}  // namespace

int64_t keep_tool(std::unique_ptr<Tool> tool) {
  tools()[next_number] = std::move(tool);
  return next_number++;
}

void WriterLock::take(const std::string& table_path) {
  if (!fds_.empty()) return;
  try {
    lock_directory(table_path, fds_);
    const std::string above = table_path.substr(0, table_path.rfind('/'));
    if (has_table(above)) lock_directory(above, fds_);
  } catch (...) {
    drop();
    throw;
  }
}

void WriterLock::drop() {
  for (const int fd : fds_) ::close(fd);
  fds_.clear();
}

void flush_safely(Table& table, bool sync) {
  if (!table.isWritable()) return;
  need_room(table);
  table.flush(sync);
}

void settle(Table& table) {
  if (!table.isWritable() || table.isMarkedForDelete()) return;
  flush_safely(table, true);
  need_room(table);
}

void Freshness::look(Table& table) {
  struct stat st;
  if (table.tableType() != Table::Plain) {
    table.resync();
    return;
  }
  if (stat((table.tableName() + "/table.lock").c_str(), &st) != 0) return;
  const int64_t stamp = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
  if (stamp == stamp_ && st.st_size == size_) return;
  if (stamp_ >= 0) table.resync();
  stamp_ = stamp, size_ = st.st_size;
}

}  // namespace sheaf

using namespace sheaf;

int64_t sheaf_tool_new(const char* kind) {
  const std::lock_guard<std::recursive_mutex> alone(casacore_lock());
  return keep_tool(std::string(kind) == "ms" ? make_ms_tool() : make_table_tool());
}

void sheaf_tool_free(int64_t number) {
  sheaf_error ignored;
  tool_guard(&ignored, [&] { tools().erase(number); });
}

int sheaf_tool_call(int64_t number, const char* method, const void* arguments, size_t n,
                    sheaf_pack* reply, sheaf_error* err) {
  std::shared_ptr<Tool> tool;
  {
    const std::lock_guard<std::recursive_mutex> alone(casacore_lock());
    const auto found = tools().find(number);
    if (found != tools().end()) tool = found->second;
  }
  if (!tool) return sheaf_fail(err, SHEAF_ERR_INTERNAL, "there is no tool %ld", (long)number);
  const int rc = run(tool, method, arguments, n, reply, err);
  if (rc >= 0 && reply->failed)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", method);
  return rc;
}

int sheaf_tools_release(sheaf_error* err) {
  return tool_guard(err, [] {
    for (auto& one : tools()) one.second->release();
  });
}

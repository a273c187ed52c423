// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/putter.h"

#include <casacore/casa/Arrays/Array.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableLock.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "table/isolate.hh"
#include "table/table_impl.hh"

using casacore::Array;
using casacore::ArrayColumn;
using casacore::IPosition;
using casacore::ScalarColumn;
using casacore::Table;
using casacore::TableLock;
using sheaf::Failure;
using sheaf::guard;

namespace {

enum { MAXDIM = 4, LOCK_TRIES = 60, CHECK_TRIES = 10 };  // a second each

// What the file holds of one call: this, then the rows, then the cells.
struct Head {
  char column[64];
  int64_t n;
  int ndim;
  int64_t shape[MAXDIM];
  size_t size;
};

bool read_all(int fd, void* data, size_t n) {
  char* at = static_cast<char*>(data);
  while (n > 0) {
    const ssize_t got = read(fd, at, n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    n -= got;
  }
  return true;
}

bool write_all(int fd, const void* data, size_t n) {
  const char* at = static_cast<const char*>(data);
  while (n > 0) {
    const ssize_t put = write(fd, at, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    n -= put;
  }
  return true;
}

enum class Lock { free, held, none };  // none: the file system has no locks

struct flock byte_lock(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// Whether fcntl locks work where the table lies, and whether another process keeps casacore's write
// lock (byte 0) from us: `holder` says which. Drops all locks of this process on the table.
Lock look(const std::string& path, std::string& holder) {
  const int fd = open((path + "/table.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return Lock::held;                 // casacore says why
  struct flock probe = byte_lock(F_RDLCK, 128);  // a byte that casacore does not lock
  struct flock lock = byte_lock(F_WRLCK, 0);
  const bool refused = fcntl(fd, F_SETLK, &probe) < 0 && errno != EAGAIN && errno != EACCES;
  const bool known = !refused && fcntl(fd, F_GETLK, &lock) == 0;
  close(fd);
  holder = "another process";
  if (refused) return Lock::none;
  if (known && lock.l_type == F_UNLCK) return Lock::free;
  if (known && lock.l_pid > 0) {  // not on another host
    std::string name;
    std::ifstream("/proc/" + std::to_string(lock.l_pid) + "/comm") >> name;
    holder = "process " + std::to_string(lock.l_pid) + (name.empty() ? "" : " (" + name + ")");
  }
  return Lock::held;
}

// Opens the table for update and takes its lock, asking others for it as casacore does. In a child:
// it inherits the parent's open tables with their file positions, so it must not share them; by
// another name casacore opens the table anew. Not closed after a failure: casacore would go on
// writing, and this process ends anyway.
Table& open_locked(const std::string& path, bool locking, int tries) {
  const int dir = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) throw Failure(SHEAF_ERR_IO, "cannot open " + path + ": " + strerror(errno));
  const std::string name = "/proc/self/fd/" + std::to_string(dir);
  Table& table = *new Table(
      name, TableLock(locking ? TableLock::UserLocking : TableLock::NoLocking), Table::Update);
  if (!locking || table.lock(true, tries)) return table;
  std::string holder;
  look(path, holder);
  throw Failure(SHEAF_ERR_IO, path + ": " + holder +
                                  " has the table open and holds its lock, so that nothing can be "
                                  "written to it; close the table there, and run the task again");
}

// The child of sheaf_putter_check.
int check(const std::string& path) {
  std::string holder;
  if (look(path, holder) != Lock::held) return 0;
  if (!holder.empty())  // empty: no table.lock yet, casacore makes it
    sheaf_log(SHEAF_LOG_INFO, "%s: waiting for its lock, which %s holds", path.c_str(),
              holder.c_str());
  Table& table = open_locked(path, true, CHECK_TRIES);
  table.unlock();
  delete &table;
  return 0;
}

template <class T>
void put_cells(Table& table, const Head& head, const int64_t* rows, const void* data) {
  const T* at = static_cast<const T*>(data);
  if (!table.tableDesc().columnDesc(head.column).isArray()) {
    ScalarColumn<T> column(table, head.column);
    for (int64_t i = 0; i < head.n; i++) column.put(rows[i], at[i]);
    return;
  }
  IPosition shape(head.ndim);
  for (int i = 0; i < head.ndim; i++) shape[i] = head.shape[i];
  ArrayColumn<T> column(table, head.column);
  for (int64_t i = 0; i < head.n; i++)
    column.put(rows[i], Array<T>(shape, const_cast<T*>(at + i * shape.product()), casacore::SHARE));
}

void put(Table& table, const Head& head, const int64_t* rows, const void* data) {
  switch (table.tableDesc().columnDesc(head.column).dataType()) {
    case casacore::TpBool:
      return put_cells<casacore::Bool>(table, head, rows, data);
    case casacore::TpUChar:
      return put_cells<casacore::uChar>(table, head, rows, data);
    case casacore::TpShort:
      return put_cells<casacore::Short>(table, head, rows, data);
    case casacore::TpInt:
      return put_cells<casacore::Int>(table, head, rows, data);
    case casacore::TpUInt:
      return put_cells<casacore::uInt>(table, head, rows, data);
    case casacore::TpInt64:
      return put_cells<casacore::Int64>(table, head, rows, data);
    case casacore::TpFloat:
      return put_cells<casacore::Float>(table, head, rows, data);
    case casacore::TpDouble:
      return put_cells<casacore::Double>(table, head, rows, data);
    case casacore::TpComplex:
      return put_cells<casacore::Complex>(table, head, rows, data);
    case casacore::TpDComplex:
      return put_cells<casacore::DComplex>(table, head, rows, data);
    default:
      throw Failure(SHEAF_ERR_DATA, std::string("column ") + head.column + ": cannot be written");
  }
}

// The child of sheaf_putter_finish.
int replay(const std::string& path, int fd) {
  std::string holder;
  const bool locking = look(path, holder) != Lock::none;
  Table& table = open_locked(path, locking, LOCK_TRIES);
  Head head;
  std::vector<int64_t> rows;
  std::vector<char> data;
  lseek(fd, 0, SEEK_SET);
  while (read_all(fd, &head, sizeof head)) {
    rows.resize(head.n);
    data.resize(head.size);
    if (!read_all(fd, rows.data(), rows.size() * sizeof rows[0]) ||
        !read_all(fd, data.data(), data.size()))
      throw Failure(SHEAF_ERR_IO, path + ": cells to be written cannot be read again");
    put(table, head, rows.data(), data.data());
  }
  sheaf::flush(table, true);
  if (locking) table.unlock();
  delete &table;
  return 0;
}

// A file without a name; in the table's folder, as that has room for data.
int nameless(const std::string& path) {
  const int fd = open(path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return fd;
  std::string name = path + "/.table.cells.sheaf-XXXXXX";  // an edit sweeps what is left of it
  const int named = mkostemp(&name[0], O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

}  // namespace

struct sheaf_putter {
  std::string path;
  int fd;
  bool any, failed;
};

int sheaf_putter_check(const char* path, sheaf_error* err) {
  return sheaf::isolated(
      err, path, [&](sheaf_error* why) { return guard(why, path, [&] { return check(path); }); });
}

int sheaf_putter_open(sheaf_putter** putter, const char* path, sheaf_error* err) {
  *putter = nullptr;
  const int fd = nameless(path);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make a file in %s", path);
  *putter = new sheaf_putter{path, fd, false, false};
  return 0;
}

int sheaf_putter_put(sheaf_putter* putter, const char* column, const int64_t* rows, int64_t n,
                     int ndim, const int64_t* shape, const void* data, size_t size,
                     sheaf_error* err) {
  Head head = {};
  if (n == 0) return 0;
  if (std::strlen(column) >= sizeof head.column || ndim > MAXDIM)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: column %s cannot be written", putter->path.c_str(),
                      column);
  std::strcpy(head.column, column);
  head.n = n;
  head.ndim = ndim;
  std::copy(shape, shape + ndim, head.shape);
  head.size = size;
  putter->any = true;
  if (write_all(putter->fd, &head, sizeof head) &&
      write_all(putter->fd, rows, static_cast<size_t>(n) * sizeof *rows) &&
      write_all(putter->fd, data, size))
    return 0;
  putter->failed = true;
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot keep cells of column %s",
                          putter->path.c_str(), column);
}

int sheaf_putter_finish(sheaf_putter* putter, sheaf_error* err) {
  const std::unique_ptr<sheaf_putter, decltype(&sheaf_putter_abandon)> owned(putter,
                                                                             sheaf_putter_abandon);
  if (putter->failed)
    return sheaf_fail(err, SHEAF_ERR_IO, "%s: cells were lost", putter->path.c_str());
  if (!putter->any) return 0;
  return sheaf::isolated_whole(err, putter->path.c_str(), [&](sheaf_error* why) {
    return guard(why, putter->path.c_str(), [&] { return replay(putter->path, putter->fd); });
  });
}

void sheaf_putter_abandon(sheaf_putter* putter) {
  if (!putter) return;
  close(putter->fd);
  delete putter;
}

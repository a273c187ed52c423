// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/putter.h"

#include <casacore/casa/Arrays/Array.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "table/isolate.hh"
#include "table/locks.hh"
#include "table/table_impl.hh"
#include "table/touch.h"

using casacore::Array;
using casacore::ArrayColumn;
using casacore::IPosition;
using casacore::ScalarColumn;
using casacore::Table;
using sheaf::Failure;
using sheaf::guard;

namespace {

enum { MAXDIM = 4, LOCK_TRIES = 60 };  // a second each

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

// Takes the table's lock when the keeper that has it dies: its task is dead then, but this process
// goes on. For the time until it ends.
void inherit_lock(const std::string& path) {
  std::thread([path] {
    const int fd = open((path + "/table.lock").c_str(), O_RDWR | O_CLOEXEC);
    struct flock lock = sheaf::byte_lock(F_WRLCK, sheaf::kLockByte);
    if (fd >= 0) (void)fcntl(fd, F_SETLKW, &lock);
  }).detach();
}

// Puts through a table that is locked as a rule; by a keeper, where there is one.
int replay(const std::string& path, int fd) {
  std::string holder;
  const bool kept = sheaf::is_kept(path);
  const bool locking = !kept && sheaf::look(path, holder) != sheaf::Lock::none;
  if (kept) inherit_lock(path);
  Table& table = sheaf::open_locked(path, locking, true, LOCK_TRIES);
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
  return kept ? 1 : 0;
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
    const int rc =
        guard(why, putter->path.c_str(), [&] { return replay(putter->path, putter->fd); });
    // Without a lock of its own casacore has counted nothing in table.lock.
    return rc > 0 ? sheaf_table_touch(putter->path.c_str(), why) : rc;
  });
}

void sheaf_putter_abandon(sheaf_putter* putter) {
  if (!putter) return;
  close(putter->fd);
  delete putter;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/locks.hh"

#include <casacore/tables/Tables/TableLock.h>
#include <errno.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

#include "table/table_impl.hh"

using casacore::Table;
using casacore::TableLock;

namespace sheaf {

struct flock byte_lock(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

std::string name_of(pid_t pid) {
  std::string name;
  if (pid <= 0) return "another process";  // on another host
  if (pid == getppid()) return "this process";
  std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> name;
  return "process " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
}

Lock look(const std::string& path, std::string& holder) {
  const int fd = open((path + "/table.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return Lock::held;  // casacore says why
  struct flock probe = byte_lock(F_RDLCK, kProbeByte), lock = byte_lock(F_WRLCK, kLockByte);
  const bool refused = fcntl(fd, F_SETLK, &probe) < 0 && errno != EAGAIN && errno != EACCES;
  const bool known = !refused && fcntl(fd, F_GETLK, &lock) == 0;
  close(fd);
  holder = name_of(known && lock.l_type != F_UNLCK ? lock.l_pid : 0);
  if (refused) return Lock::none;
  return known && lock.l_type == F_UNLCK ? Lock::free : Lock::held;
}

bool is_kept(const std::string& path) {
  const int fd = open((path + "/table.lock").c_str(), O_RDWR | O_CLOEXEC);
  struct flock lock = byte_lock(F_RDLCK, kKeptByte);
  const bool known = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0;
  if (fd >= 0) close(fd);
  return known && lock.l_type == F_WRLCK;
}

namespace {

// Opens for so many seconds at most: casacore waits for ever for a process that has the write lock.
// The thread that opens is left behind then.
Table* open_for(const std::string& name, int seconds) {
  const auto opened = std::make_shared<std::promise<Table*>>();
  std::future<Table*> table = opened->get_future();
  std::thread([opened, name] {
    try {
      opened->set_value(new Table(name, TableLock(TableLock::UserLocking), Table::Update));
    } catch (...) {
      opened->set_exception(std::current_exception());
    }
  }).detach();
  const auto state = table.wait_for(std::chrono::seconds(seconds));
  return state == std::future_status::ready ? table.get() : nullptr;
}

}  // namespace

Table& open_locked(const std::string& path, bool locking, bool write, int tries) {
  const int dir = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) throw Failure(SHEAF_ERR_IO, "cannot open " + path + ": " + strerror(errno));
  const std::string name = "/proc/self/fd/" + std::to_string(dir);
  if (!locking) return *new Table(name, TableLock(TableLock::NoLocking), Table::Update);
  Table* table = open_for(name, tries);
  if (table && table->lock(write, static_cast<casacore::uInt>(tries))) return *table;
  std::string holder;
  look(path, holder);
  throw Failure(SHEAF_ERR_IO,
                path + ": " + holder +
                    (write ? " has the table open and holds its lock, so that nothing can be "
                             "written to it"
                           : " holds the table's write lock; what it has not written to the disk "
                             "yet would be lost") +
                    "; close the table there, and run the task again");
}

}  // namespace sheaf

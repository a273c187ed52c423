// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/keeper.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/log.h"
#include "table/isolate.h"
#include "table/locks.hh"
#include "table/table_impl.hh"

using sheaf::byte_lock;
using sheaf::guard;

namespace {

enum { TRIES = 10 };  // a second each

struct Kept {
  std::string path;
  int fd = -1;                       // table.lock; -1: none to be locked
  casacore::Table* table = nullptr;  // has the lock, where others had to be asked
};

// What the child works on; the parent's copy stays as it was.
struct Work {
  std::vector<Kept> tables;
  int orders[2];  // numbers of tables whose write lock is wanted
};

void wait_for(const Kept& kept, short type) {
  struct flock lock = byte_lock(type, sheaf::kLockByte);
  const bool known = fcntl(kept.fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  sheaf_log(SHEAF_LOG_INFO, "%s: waiting for its lock, which %s holds", kept.path.c_str(),
            sheaf::name_of(known ? lock.l_pid : 0).c_str());
}

// The lock at once, or by asking those who have it. Failure when they keep it.
void take(Kept& kept, bool write) {
  if (kept.fd < 0) return;
  const short type = write ? F_WRLCK : F_RDLCK;
  struct flock lock = byte_lock(type, sheaf::kLockByte);
  if (fcntl(kept.fd, F_SETLK, &lock) < 0) {
    if (errno != EAGAIN && errno != EACCES) {  // no locks here
      kept.fd = -1;
      return;
    }
    wait_for(kept, type);
    if (!kept.table)
      kept.table = &sheaf::open_locked(kept.path, true, write, TRIES);
    else if (!kept.table->lock(write, TRIES))
      sheaf::open_locked(kept.path, true, write, 1);  // says who has it
  }
  if (!write) return;
  struct flock mark = byte_lock(F_WRLCK, sheaf::kKeptByte);
  (void)fcntl(kept.fd, F_SETLK, &mark);
}

void open_lock(Kept& kept) {
  const std::string path = kept.path + "/table.lock";
  kept.fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (kept.fd < 0) kept.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

// The child: locks, then waits for orders until its parent has no more.
int keep(Work& work) {
  struct rlimit files;  // a Multi-MS may have more members than a process may open files by default
  for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  close(work.orders[1]);
  for (Kept& kept : work.tables) {
    open_lock(kept);
    take(kept, false);
  }
  sheaf_isolation_tell();
  for (size_t i; read(work.orders[0], &i, sizeof i) == sizeof i;) {
    Kept& kept = work.tables.at(i);
    if (kept.fd < 0) open_lock(kept);  // there may be one now
    take(kept, true);
    sheaf_isolation_tell();
  }
  return 0;
}

int run(void* user, json_t**, sheaf_error* err) {
  Work& work = *static_cast<Work*>(user);
  return guard(err, "locks", [&] { return keep(work); });
}

}  // namespace

struct sheaf_keeper {
  sheaf_isolation* child;
  int orders;
};

extern "C" int sheaf_keeper_begin(sheaf_keeper** keeper, const char* const* tables, size_t n,
                                  sheaf_error* err) {
  *keeper = nullptr;
  Work work;
  for (size_t i = 0; i < n; i++) {
    work.tables.emplace_back();
    work.tables.back().path = tables[i];
  }
  if (n == 0) return 0;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, work.orders))
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: socket", tables[0]);
  auto* k = new sheaf_keeper{nullptr, work.orders[1]};
  int rc = sheaf_isolation_begin(&k->child, tables[0], run, &work, err);
  close(work.orders[0]);
  if (rc >= 0) rc = sheaf_isolation_wait(k->child, err);
  if (rc < 0)
    sheaf_keeper_end(k);
  else
    *keeper = k;
  return rc;
}

extern "C" int sheaf_keeper_write(sheaf_keeper* keeper, size_t i, sheaf_error* err) {
  if (!keeper) return 0;
  if (send(keeper->orders, &i, sizeof i, MSG_NOSIGNAL) != sizeof i)
    return sheaf_fail(err, SHEAF_ERR_IO, "the process that keeps locks has ended");
  return sheaf_isolation_wait(keeper->child, err);
}

extern "C" void sheaf_keeper_end(sheaf_keeper* keeper) {
  if (!keeper) return;
  close(keeper->orders);
  sheaf_isolation_abandon(keeper->child);
  delete keeper;
}

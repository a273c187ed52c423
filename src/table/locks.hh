// SPDX-License-Identifier: GPL-3.0-or-later
//
// locks.hh - casacore's locks as others see them: byte 0 of table.lock, by fcntl. For child
// processes only, as closing table.lock drops all locks that a process has on it.
#ifndef SHEAF_TABLE_LOCKS_HH
#define SHEAF_TABLE_LOCKS_HH

#include <casacore/tables/Tables/Table.h>
#include <fcntl.h>

#include <string>

namespace sheaf {

// Bytes of table.lock: casacore's lock; one that casacore leaves alone, to see whether there are
// locks at all; one that is locked while a keeper (table/keeper.h) has the write lock.
enum : off_t { kLockByte = 0, kProbeByte = 128, kKeptByte = 129 };

struct flock byte_lock(short type, off_t byte);

// "process 12 (python3)", "this process" for our parent, "another process" of another host.
std::string name_of(pid_t pid);

enum class Lock { free, held, none };  // none: the file system has no locks

// Whether fcntl locks work where the table lies, and whether another process keeps casacore's write
// lock from us: `holder` says which. Drops all locks of this process on the table.
Lock look(const std::string& path, std::string& holder);

// Whether a keeper has the table's write lock. Drops all locks of this process on the table.
bool is_kept(const std::string& path);

// Opens the table for update and takes its lock, asking others for it as casacore does, once a
// second. Failure when they keep it. By another name than the parent's, so that casacore opens it
// anew. Never closed after a failure: casacore would go on writing, and this process ends anyway.
casacore::Table& open_locked(const std::string& path, bool locking, bool write, int tries);

}  // namespace sheaf
#endif

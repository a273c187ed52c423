// SPDX-License-Identifier: GPL-3.0-or-later
#include <casacore/casa/Arrays/Vector.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableLock.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "table/edit_dat.hh"
#include "table/guard.hh"
#include "table/isolate.hh"

using casacore::Table;
using casacore::TableLock;
using casacore::Vector;

namespace sheaf {

namespace {

void check(int rc, const sheaf_error& err) {
  if (rc < 0) throw Failure(rc, err.text);
}

[[noreturn]] void fail(const std::string& what) {
  throw Failure(SHEAF_ERR_IO, what + ": " + strerror(errno));
}

void copy_file(const std::string& from, const std::string& to) {
  const int in = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) fail("cannot open " + from);
  const int out = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  std::vector<char> buffer(1 << 20);
  ssize_t n = out < 0 ? -1 : 1;
  while (n > 0 && (n = read(in, buffer.data(), buffer.size())) > 0) {
    for (ssize_t done = 0, put; n > 0 && done < n; done += put)
      if ((put = write(out, buffer.data() + done, static_cast<size_t>(n - done))) < 0) {
        if (errno == EINTR) {
          put = 0;
          continue;
        }
        n = -1;
        break;
      }
  }
  const int reason = errno;
  close(in);
  if (out >= 0 && close(out) < 0 && n == 0) fail("cannot write " + to);
  errno = reason;
  if (n < 0) fail("cannot write " + to);
}

// A table of the manager's columns alone, in copies of its files. Returns the columns that are to
// go.
std::vector<String> make_copy(const std::string& path, uInt64 nrow, uInt seq,
                              const std::set<String>& stay, const std::string& work) {
  const Dat dat = read_dat(path, "table.dat");
  Dat part;
  std::vector<String> gone;
  part.nrow = nrow;
  part.format = dat.format;
  part.options = dat.options;
  part.storage = dat.storage;
  part.block = dat.block;
  part.next = dat.next;
  part.desc.reset(new TableDesc("", TableDesc::Scratch));
  for (const Manager& m : dat.managers)
    if (m.seq == seq) part.managers.push_back(m);
  for (uInt i = 0; i < dat.desc->ncolumn(); i++) {
    const casacore::ColumnDesc& column = dat.desc->columnDesc(i);
    const Place& place = dat.places.at(column.name());
    if (place.seq != seq) continue;
    part.desc->addColumn(column);
    part.places[column.name()] = place;
    if (!stay.count(column.name())) gone.push_back(column.name());
  }
  if (mkdir(work.c_str(), 0777) < 0) fail("cannot make " + work);
  for (const std::string& name : files_in(path))
    if (is_file_of(name.c_str(), seq)) copy_file(path + "/" + name, work + "/" + name);
  const std::vector<uChar> bytes = write_dat(part, path);
  sheaf_error err;
  check(sheaf_file_replace((work + "/table.dat").c_str(), bytes.data(), bytes.size(), &err), err);
  return gone;
}

void remove_columns(const std::string& work, const std::vector<String>& gone) {
  sheaf_error err;
  check(isolated(&err, work.c_str(),
                 [&](sheaf_error* why) {
                   return guard(why, work.c_str(), [&] {
                     // Not closed after a failure: this process ends anyway.
                     Table& table =
                         *new Table(work, TableLock(TableLock::NoLocking), Table::Update);
                     Vector<String> names(gone.size());
                     for (size_t i = 0; i < gone.size(); i++) names[i] = gone[i];
                     table.removeColumn(names);
                     table.flush(true);
                     delete &table;
                     return 0;
                   });
                 }),
        err);
}

void move_files(const std::string& work, uInt from, const std::string& path, uInt to) {
  const std::string stem = "table.f" + std::to_string(from);
  for (const std::string& name : files_in(work)) {
    if (!is_file_of(name.c_str(), from)) continue;
    const std::string as = path + "/table.f" + std::to_string(to) + name.substr(stem.size());
    if (rename((work + "/" + name).c_str(), as.c_str()) < 0) fail("cannot make " + as);
    const int fd = open(as.c_str(), O_RDONLY | O_CLOEXEC);
    const bool bad = fd < 0 || fsync(fd) < 0;
    if (fd >= 0) close(fd);
    if (bad) fail("cannot sync " + as);
  }
}

}  // namespace

bool can_unshare(const String& manager) {
  return manager == "StandardStMan";
}

std::vector<uChar> unshare(const std::string& path, uInt64 nrow, uInt from, uInt to,
                           const std::set<String>& stay, const std::string& work) {
  sheaf_error ignored;
  sheaf_tree_remove(work.c_str(), &ignored);
  try {
    remove_columns(work, make_copy(path, nrow, from, stay, work));
    const Dat now = read_dat(work, "table.dat");
    move_files(work, from, path, to);
    sheaf_tree_remove(work.c_str(), &ignored);
    return now.managers.at(0).data;
  } catch (...) {
    sheaf_tree_remove(work.c_str(), &ignored);
    throw;
  }
}

}  // namespace sheaf

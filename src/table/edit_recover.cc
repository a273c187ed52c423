// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "table/casacore_log.h"
#include "table/edit_impl.hh"
#include "table/touch.h"

using casacore::uInt;
using sheaf::Dat;
using sheaf::exists;
using sheaf::Failure;
using sheaf::files_in;
using sheaf::former_dat;
using sheaf::guard;
using sheaf::is_file_of;
using sheaf::Manager;
using sheaf::pending_dat;
using sheaf::read_dat;
using sheaf::remove_managers;
using sheaf::settle;
using sheaf::sync_file;
using sheaf::unlink_if_there;

namespace sheaf {

void unlink_if_there(const std::string& path) {
  if (unlink(path.c_str()) < 0 && errno != ENOENT)
    sheaf_log(SHEAF_LOG_WARN, "cannot remove %s: %s", path.c_str(), strerror(errno));
}

void remove_managers(const std::string& path, const std::set<uInt>& seqs) {
  if (seqs.empty()) return;
  for (const std::string& name : files_in(path))
    for (uInt seq : seqs)
      if (is_file_of(name.c_str(), seq)) unlink_if_there(path + "/" + name);
}

void sync_file(const std::string& path, bool directory) {
  const int fd = open(path.c_str(), (directory ? O_RDONLY | O_DIRECTORY : O_RDONLY) | O_CLOEXEC);
  const int bad = fd < 0 || fsync(fd) < 0 ? errno : 0;
  if (fd >= 0) close(fd);
  if (bad) throw Failure(SHEAF_ERR_IO, "cannot sync " + path + ": " + strerror(bad));
}

bool exists(const std::string& path) {
  return sheaf_path_exists(path.c_str()) != 0;
}

int settle(const std::string& path, sheaf_error* err) {
  sheaf_touch touch = {};
  const Dat dat = read_dat(path, "table.dat");
  touch.path = path.c_str();
  touch.restructured = 1;
  touch.ncolumn = dat.desc->ncolumn();
  touch.nmanager = static_cast<uint32_t>(dat.managers.size());
  return sheaf_tables_touch(&touch, 1, err);
}

}  // namespace sheaf

namespace {

// What a write under another name left behind (base/file.h).
bool is_hidden_rest(const char* name) {
  return std::strncmp(name, ".table.", 7) == 0 && std::strstr(name, ".sheaf-");
}

std::set<uInt> managers_of(const Dat& dat) {
  std::set<uInt> seqs;
  for (const Manager& m : dat.managers) seqs.insert(m.seq);
  return seqs;
}

// Removes the files of managers that `name` lists and table.dat does not, then `name`.
void sweep(const std::string& path, const char* name, const std::set<uInt>& used) {
  const std::string file = path + "/" + name;
  if (!exists(file)) return;
  std::set<uInt> debris;
  for (uInt seq : managers_of(read_dat(path, name)))
    if (!used.count(seq)) debris.insert(seq);
  sheaf_log(SHEAF_LOG_INFO, "%s: what an interrupted change of its columns left is removed",
            path.c_str());
  remove_managers(path, debris);
  unlink_if_there(file);
}

void remove_rest(const std::string& path) {
  sheaf_error why;
  struct stat st;
  if (lstat(path.c_str(), &st) < 0 || !S_ISDIR(st.st_mode))
    unlink_if_there(path);
  else if (sheaf_tree_remove(path.c_str(), &why) < 0)
    sheaf_log(SHEAF_LOG_WARN, "%s", why.text);
}

void recover(const std::string& path, const Dat& dat) {
  for (const std::string& name : files_in(path))
    if (is_hidden_rest(name.c_str())) remove_rest(path + "/" + name);
  const std::set<uInt> used = managers_of(dat);
  sweep(path, pending_dat, used);
  sweep(path, former_dat, used);
}

void link_entry(const std::string& from, const std::string& to);

void link_folder(const std::string& from, const std::string& to, const sheaf_edit* edit) {
  struct stat st;
  if (stat(from.c_str(), &st) < 0 || mkdir(to.c_str(), st.st_mode & 07777) < 0)
    throw Failure(SHEAF_ERR_IO, "cannot make " + to + ": " + strerror(errno));
  for (const std::string& name : files_in(from)) {
    if (name == "." || name == "..") continue;
    std::string as = name;
    if (edit) {
      bool gone = name == "table.dat" && edit->prepared;
      for (uInt seq : edit->removed) gone |= is_file_of(name.c_str(), seq);
      if (gone) continue;
      if (name == pending_dat) as = "table.dat";
    }
    link_entry(from + "/" + name, to + "/" + as);
  }
  sync_file(to, true);
}

void link_entry(const std::string& from, const std::string& to) {
  struct stat st;
  if (lstat(from.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    link_folder(from, to, nullptr);
    return;
  }
  int bad = 0;
  if (S_ISLNK(st.st_mode)) {
    char target[4096];
    const ssize_t n = readlink(from.c_str(), target, sizeof target - 1);
    if (n >= 0) target[n] = '\0';
    bad = n < 0 || symlink(target, to.c_str()) < 0;
  } else {
    bad = link(from.c_str(), to.c_str()) < 0;
  }
  if (bad) throw Failure(SHEAF_ERR_IO, "cannot link " + to + ": " + strerror(errno));
}

bool has_rest(const std::string& path) {
  for (const std::string& name : files_in(path))
    if (name == pending_dat || name == former_dat || is_hidden_rest(name.c_str())) return true;
  return false;
}

}  // namespace

int sheaf_edit_link(sheaf_edit* edit, const char* path, const char* to, sheaf_error* err) {
  return guard(err, path, [&] {
    if (edit) {
      edit->prepare();
      edit->sync();
    }
    link_folder(path, to, edit);
    return 0;
  });
}

int sheaf_edit_resume(const char* path, sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    const std::string table = path, pending = table + "/" + pending_dat;
    if (!exists(pending)) {
      recover(table, read_dat(table, "table.dat"));
      return settle(table, err);
    }
    read_dat(table, pending_dat);
    const std::string former = table + "/" + former_dat;
    if (!exists(former) && link((table + "/table.dat").c_str(), former.c_str()) < 0)
      throw Failure(SHEAF_ERR_IO, "cannot link " + former + ": " + strerror(errno));
    if (rename(pending.c_str(), (table + "/table.dat").c_str()) < 0)
      throw Failure(SHEAF_ERR_IO, "cannot replace " + table + "/table.dat: " + strerror(errno));
    sync_file(table, true);
    const int rc = settle(table, err);
    if (rc == 0) recover(table, read_dat(table, "table.dat"));
    return rc;
  });
}

int sheaf_edit_recover(const char* path, sheaf_error* err) {
  sheaf_casacore_log_install();
  return guard(err, path, [&] {
    if (!has_rest(path)) return 0;
    const int rc = settle(path, err);
    if (rc == 0) recover(path, read_dat(path, "table.dat"));
    return rc;
  });
}

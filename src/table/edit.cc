// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/edit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "table/casacore_log.h"
#include "table/edit_impl.hh"
#include "table/touch.h"

using casacore::String;
using casacore::uChar;
using casacore::uInt;
using casacore::uInt64;
using sheaf::Added;
using sheaf::check;
using sheaf::CloseTable;
using sheaf::Dat;
using sheaf::exists;
using sheaf::Failure;
using sheaf::files_in;
using sheaf::former_dat;
using sheaf::guard;
using sheaf::is_file_of;
using sheaf::make_column;
using sheaf::Manager;
using sheaf::move_cells;
using sheaf::pending_dat;
using sheaf::read_dat;
using sheaf::remove_managers;
using sheaf::settle;
using sheaf::sync_file;
using sheaf::unlink_if_there;
using sheaf::write_dat;

void sheaf_edit::write_pending() {
  sheaf_error err;
  const std::vector<uChar> bytes = write_dat(dat, path);
  check(sheaf_file_replace(file(pending_dat).c_str(), bytes.data(), bytes.size(), &err), err);
  struct stat st;
  if (stat(file("table.dat").c_str(), &st) == 0)
    chmod(file(pending_dat).c_str(), st.st_mode & 07777);
}

void sheaf_edit::write_new() {
  write_pending();
  for (const Added& a : added) {
    make_column(*this, a);
    if (a.moved) move_cells(path, a.name);
  }
}

// After everything else was written: the old manager may have got new values meanwhile.
void sheaf_edit::unshare() {
  for (const auto& one : shared) {
    std::set<String> stay;
    for (const auto& place : dat.places)
      if (place.second.seq == one.first) stay.insert(place.first);
    const std::string work = file(".table.f" + std::to_string(one.first) + ".sheaf-copy");
    for (Manager& m : dat.managers)
      if (m.seq == one.first)
        m.data = sheaf::unshare(path, dat.nrow, one.second, one.first, stay, work);
  }
  if (!shared.empty()) write_pending();
}

void sheaf_edit::prepare() {
  if (prepared || !changed) return;
  prepared = true;
  try {
    write_new();
  } catch (...) {
    undo();
    throw;
  }
}

void sheaf_edit::sync() {
  if (synced || !prepared) return;
  unshare();
  for (const std::string& name : files_in(path))
    for (const Added& a : added)
      if (is_file_of(name.c_str(), a.seq)) sync_file(file(name), false);
  sync_file(file(pending_dat), false);
  sync_file(path, true);
  if (nrow_in_dat != dat.nrow) {  // while table.lock is veiled, this count is the only one
    sheaf_error err;
    Dat now = read_dat(path, "table.dat");
    now.nrow = dat.nrow;
    const std::vector<uChar> bytes = write_dat(now, path);
    check(sheaf_file_replace(file("table.dat").c_str(), bytes.data(), bytes.size(), &err), err);
    nrow_in_dat = dat.nrow;
  }
  synced = true;
}

void sheaf_edit::undo() {
  if (!prepared) return;
  prepared = synced = false;
  std::set<uInt> seqs;
  for (const Added& a : added) seqs.insert(a.seq);
  for (const auto& one : shared) seqs.insert(one.first);
  remove_managers(path, seqs);
  unlink_if_there(file(pending_dat));
}

void sheaf_edit::publish() {
  if (!prepared) return;
  const std::string now = file("table.dat"), former = file(former_dat);
  if (link(now.c_str(), former.c_str()) < 0) {  // no hard links: a copy says as much
    const std::vector<uChar> bytes = write_dat(read_dat(path, "table.dat"), path);
    sheaf_error err;
    check(sheaf_file_replace(former.c_str(), bytes.data(), bytes.size(), &err), err);
  }
  if (rename(file(pending_dat).c_str(), now.c_str()) < 0) {
    const int reason = errno;
    unlink_if_there(former);
    throw Failure(SHEAF_ERR_IO, "cannot replace " + now + ": " + strerror(reason));
  }
  prepared = synced = changed = false;
  published = true;
  added.clear();
  shared.clear();
  sync_file(path, true);
}

void sheaf_edit::tidy() {
  if (!published) return;
  published = false;
  remove_managers(path, removed);
  unlink_if_there(file(former_dat));
  removed.clear();
}

namespace {

uInt64 count_rows(const std::string& path) {
  sheaf_error err;
  sheaf_table* opened;
  check(sheaf_table_open(&opened, path.c_str(), 0, &err), err);
  const std::unique_ptr<sheaf_table, CloseTable> table(opened);
  return static_cast<uInt64>(sheaf_table_nrow(opened));
}

}  // namespace

int sheaf_edit_begin(sheaf_edit** edit, const char* table_path, sheaf_error* err) {
  *edit = nullptr;
  sheaf_casacore_log_install();
  return guard(err, table_path, [&] {
    char path[4096];
    sheaf_error why;
    check(sheaf_path_absolute(table_path, path, sizeof path, &why), why);
    if (!exists(std::string(path) + "/table.dat"))
      throw Failure(SHEAF_ERR_NOTFOUND, std::string(table_path) + ": no such table");
    check(sheaf_edit_recover(path, &why), why);
    std::unique_ptr<sheaf_edit> e(new sheaf_edit);
    e->path = path;
    e->dat = read_dat(e->path, "table.dat");
    e->nrow_in_dat = e->dat.nrow;
    e->dat.nrow = count_rows(e->path);  // table.dat may be behind
    *edit = e.release();
    return 0;
  });
}

void sheaf_edit_close(sheaf_edit* edit) {
  if (!edit) return;
  try {
    edit->undo();
  } catch (...) {
    // the next edit removes what is left
  }
  delete edit;
}

int sheaf_edit_has(const sheaf_edit* edit, const char* column) {
  return edit->dat.desc->isColumn(column) ? 1 : 0;
}

int sheaf_edit_changed(const sheaf_edit* edit) {
  return edit->changed ? 1 : 0;
}

int sheaf_edit_prepare(sheaf_edit* edit, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    edit->prepare();
    return 0;
  });
}

int sheaf_edit_sync(sheaf_edit* edit, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    edit->sync();
    return 0;
  });
}

void sheaf_edit_describe(const sheaf_edit* edit, sheaf_touch* touch) {
  *touch = sheaf_touch();
  touch->path = edit->path.c_str();
  touch->restructured = edit->changed;
  touch->ncolumn = edit->dat.desc->ncolumn();
  touch->nmanager = static_cast<uint32_t>(edit->dat.managers.size());
}

int sheaf_edit_publish(sheaf_edit* edit, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    edit->publish();
    return 0;
  });
}

void sheaf_edit_tidy(sheaf_edit* edit) {
  edit->tidy();
}

void sheaf_edit_adopt(sheaf_edit* edit) {
  edit->prepared = edit->synced = edit->changed = false;
  edit->added.clear();
  edit->removed.clear();
  edit->shared.clear();
}

void sheaf_edit_leave(sheaf_edit* edit) {
  edit->prepared = false;
}

int sheaf_edit_commit(sheaf_edit* edit, sheaf_error* err) {
  sheaf_touch touch;
  int rc = sheaf_edit_prepare(edit, err);
  if (rc == 0) rc = sheaf_edit_sync(edit, err);
  if (rc < 0 || !edit->changed) return rc;
  sheaf_edit_describe(edit, &touch);
  if ((rc = sheaf_tables_veil(&touch, 1, err)) < 0) return rc;
  rc = sheaf_edit_publish(edit, err);
  sheaf_error other;
  const int lock = edit->published
                       ? sheaf_tables_touch(&touch, 1, rc < 0 ? &other : err)
                       : guard(&other, touch.path, [&] { return settle(edit->path, &other); });
  if (lock >= 0) sheaf_edit_tidy(edit);
  return rc < 0 ? rc : lock;
}

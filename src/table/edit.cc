// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/edit.h"

#include <casacore/casa/Arrays/IPosition.h>
#include <casacore/casa/Containers/ValueHolder.h>
#include <casacore/casa/IO/AipsIO.h>
#include <casacore/casa/IO/ArrayIO.h>
#include <casacore/casa/IO/MemoryIO.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableRecord.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "table/casacore_log.h"
#include "table/edit_dat.hh"
#include "table/edit_impl.h"
#include "table/guard.hh"
#include "table/table.h"
#include "table/tiles.h"
#include "table/tiles_layout.h"
#include "table/touch.h"

using casacore::AipsIO;
using casacore::Array;
using casacore::ArrayColumnDesc;
using casacore::Bool;
using casacore::ByteIO;
using casacore::Complex;
using casacore::DComplex;
using casacore::Double;
using casacore::Float;
using casacore::Int;
using casacore::Int64;
using casacore::IPosition;
using casacore::MemoryIO;
using casacore::String;

using casacore::TableDesc;
using casacore::TableRecord;
using casacore::uChar;
using casacore::uInt;
using casacore::uInt64;
using sheaf::Dat;
using sheaf::Failure;
using sheaf::files_in;
using sheaf::guard;
using sheaf::is_file_of;
using sheaf::Manager;
using sheaf::Place;
using sheaf::read_dat;
using sheaf::write_dat;

namespace {

// ---- keywords from JSON ----

void define(casacore::RecordInterface& record, const String& name, const json_t* value);

template <class T, class Get>
Array<T> make_array(const json_t* value, const json_t* first, Get get) {
  const bool deep = json_is_array(first);
  const size_t n = json_array_size(value), inner = deep ? json_array_size(first) : 1;
  Array<T> array(deep ? IPosition(2, inner, n) : IPosition(1, n));
  T* to = array.data();
  for (size_t i = 0; i < n; i++) {
    const json_t* row = json_array_get(value, i);
    if (deep && json_array_size(row) != inner)
      throw Failure(SHEAF_ERR_ARG, "keyword: lists of different lengths in a list");
    for (size_t k = 0; k < inner; k++) to[i * inner + k] = get(deep ? json_array_get(row, k) : row);
  }
  return array;
}

bool any_real(const json_t* value) {
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t* one = json_array_get(value, i);
    if (json_is_real(one) || (json_is_array(one) && any_real(one))) return true;
  }
  return false;
}

void check_kind(const json_t* value, const json_t* leaf) {
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t* one = json_array_get(value, i);
    if (json_is_array(one))
      check_kind(one, leaf);
    else if (json_is_number(leaf)   ? !json_is_number(one)
             : json_is_string(leaf) ? !json_is_string(one)
                                    : !json_is_boolean(one))
      throw Failure(SHEAF_ERR_ARG, "keyword: a list of different kinds of value");
  }
}

void define_list(casacore::RecordInterface& record, const String& name, const json_t* value) {
  const json_t* first = json_array_get(value, 0);
  const json_t* leaf = json_is_array(first) ? json_array_get(first, 0) : first;
  if (leaf) check_kind(value, leaf);
  if (!leaf)
    record.define(name, Array<Int>(IPosition(1, 0)));
  else if (json_is_string(leaf))
    record.define(name, make_array<String>(value, first, [](const json_t* v) {
                    return String(json_string_value(v));
                  }));
  else if (json_is_boolean(leaf))
    record.define(name, make_array<Bool>(value, first,
                                         [](const json_t* v) { return Bool(json_is_true(v)); }));
  else if (any_real(value))
    record.define(name, make_array<Double>(value, first, json_number_value));
  else
    record.define(name, make_array<Int>(value, first, [](const json_t* v) {
                    return Int(json_integer_value(v));
                  }));
}

void define(casacore::RecordInterface& record, const String& name, const json_t* value) {
  if (json_is_string(value)) {
    record.define(name, String(json_string_value(value)));
  } else if (json_is_boolean(value)) {
    record.define(name, Bool(json_is_true(value)));
  } else if (json_is_integer(value)) {
    record.define(name, static_cast<Int>(json_integer_value(value)));
  } else if (json_is_real(value)) {
    record.define(name, json_real_value(value));
  } else if (json_is_array(value)) {
    define_list(record, name, value);
  } else if (json_is_object(value)) {
    TableRecord sub;
    const char* key;
    json_t* one;
    json_object_foreach(const_cast<json_t*>(value), key, one) define(sub, key, one);
    record.defineRecord(name, sub);
  } else {
    throw Failure(SHEAF_ERR_ARG, "keyword " + name + ": null has no place in a table");
  }
}

// ---- new columns ----

// Places of the cells of a new column: those of the column that it is like.
struct Cells {
  std::vector<sheaf_tiles_cube> cubes;
  std::vector<sheaf_tiles_run> runs;
  int ndim = 0;

  int64_t cube(const sheaf_tiles_cube& wanted) {
    for (size_t i = 0; i < cubes.size(); i++)
      if (std::equal(wanted.shape, wanted.shape + wanted.ndim, cubes[i].shape))
        return static_cast<int64_t>(i);
    cubes.push_back(wanted);
    return static_cast<int64_t>(cubes.size()) - 1;
  }
  void add(int64_t number, int64_t nrow) {
    if (!runs.empty() && runs.back().cube == number)
      runs.back().nrow += nrow;
    else
      runs.push_back({nrow, number});
  }
};

// Rows of a tile where there is no pattern: about 1 MiB of complex numbers, a multiple of 8.
int64_t default_rows(const sheaf_tiles_cube& cube) {
  int64_t cell = 1;
  for (int i = 0; i < cube.ndim; i++) cell *= cube.shape[i];
  return std::max<int64_t>(8, (131072 / std::max<int64_t>(cell, 1)) / 8 * 8);
}

struct CloseTiles {
  void operator()(sheaf_tiles* t) const { sheaf_tiles_close(t); }
};
struct CloseTable {
  void operator()(sheaf_table* t) const { sheaf_table_close(t); }
};

void check(int rc, const sheaf_error& err) {
  if (rc < 0) throw Failure(rc, err.text);
}

Cells tiled_cells(sheaf_tiles* tiles) {
  Cells cells;
  sheaf_error err;
  sheaf_tiles_info info;
  sheaf_tiles_describe(tiles, &info);
  cells.ndim = info.ndim;
  for (int64_t row = 0; row < info.nrow;) {
    sheaf_tiles_span span;
    check(sheaf_tiles_span_at(tiles, row, &span, &err), err);
    sheaf_tiles_cube cube;
    int64_t number = -1;
    if (span.cube >= 0) {
      check(sheaf_tiles_cube_at(tiles, span.cube, &cube, &err), err);
      if (std::strcmp(info.manager, "TiledCellStMan") == 0) cube.tile_rows = default_rows(cube);
      number = cells.cube(cube);
    }
    cells.add(number, span.nrow);
    row += span.nrow;
  }
  return cells;
}

Cells other_cells(const std::string& path, const char* like) {
  Cells cells;
  sheaf_error err;
  sheaf_table* opened;
  check(sheaf_table_open(&opened, path.c_str(), 0, &err), err);
  const std::unique_ptr<sheaf_table, CloseTable> table(opened);
  const int64_t nrow = sheaf_table_nrow(opened);
  for (int64_t row = 0; row < nrow; row++) {
    sheaf_tiles_cube cube = {};
    cube.ndim = sheaf_table_cell_shape(opened, like, row, cube.shape, &err);
    check(cube.ndim, err);
    for (int i = 0; i < cube.ndim; i++) cube.tile[i] = cube.shape[i];
    cube.tile_rows = default_rows(cube);
    if (cube.ndim) cells.ndim = cube.ndim;
    cells.add(cube.ndim ? cells.cube(cube) : -1, 1);
  }
  return cells;
}

Cells cells_like(const std::string& path, const char* like) {
  sheaf_error err;
  sheaf_tiles* opened;
  const int rc = sheaf_tiles_open(&opened, path.c_str(), like, 0, &err);
  check(rc, err);
  if (rc != 0) return other_cells(path, like);
  const std::unique_ptr<sheaf_tiles, CloseTiles> tiles(opened);
  return tiled_cells(opened);
}

template <class T>
void describe(TableDesc& desc, const sheaf_edit_column& c, const std::string& manager, int ndim) {
  desc.addColumn(
      ArrayColumnDesc<T>(c.name, c.comment ? c.comment : "", "TiledShapeStMan", manager, ndim));
}

void describe_column(TableDesc& desc, const sheaf_edit_column& c, const std::string& manager,
                     int ndim) {
  switch (c.type) {
    case SHEAF_BOOL:
      return describe<Bool>(desc, c, manager, ndim);
    case SHEAF_INT:
      return describe<Int>(desc, c, manager, ndim);
    case SHEAF_FLOAT:
      return describe<Float>(desc, c, manager, ndim);
    case SHEAF_DOUBLE:
      return describe<Double>(desc, c, manager, ndim);
    case SHEAF_COMPLEX:
      return describe<Complex>(desc, c, manager, ndim);
    case SHEAF_DCOMPLEX:
      return describe<DComplex>(desc, c, manager, ndim);
    default:
      throw Failure(SHEAF_ERR_ARG, std::string("column ") + c.name + ": a column of type " +
                                       std::to_string(c.type) + " cannot be added");
  }
}

// A column that is to come.
struct Added {
  std::string name, manager;
  uInt seq;
  int type;
  Cells cells;
  bool moved;  // from another manager, with its cells
};

// ---- files ----

void unlink_if_there(const std::string& path) {
  if (unlink(path.c_str()) < 0 && errno != ENOENT)
    sheaf_log(SHEAF_LOG_WARN, "cannot remove %s: %s", path.c_str(), strerror(errno));
}

// What a write under another name left behind (base/file.h).
bool is_hidden_rest(const char* name) {
  return std::strncmp(name, ".table.", 7) == 0 && std::strstr(name, ".sheaf-");
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

const char pending_dat[] = SHEAF_LAYOUT_PENDING;
const char former_dat[] = "table.dat.sheaf-former";  // only while a commit is under way

bool exists(const std::string& path) {
  return sheaf_path_exists(path.c_str()) != 0;
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

uInt64 count_rows(const std::string& path) {
  sheaf_error err;
  sheaf_table* opened;
  check(sheaf_table_open(&opened, path.c_str(), 0, &err), err);
  const std::unique_ptr<sheaf_table, CloseTable> table(opened);
  return static_cast<uInt64>(sheaf_table_nrow(opened));
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

}  // namespace

struct sheaf_edit {
  std::string path;
  Dat dat;
  std::vector<Added> added;
  std::set<uInt> removed;
  std::map<uInt, uInt> shared;  // managers that lose columns: their new number and the old
  uInt64 nrow_in_dat = 0;       // what table.dat says, which may be too few
  bool changed = false, prepared = false, synced = false, published = false;

  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string stem(uInt seq) const { return path + "/table.f" + std::to_string(seq); }
  TableRecord& keywords(const char* column);
  void write_new();
  void write_pending();
  void unshare();
  void prepare();
  void sync();
  void publish();
  void tidy();
  void undo();
};

TableRecord& sheaf_edit::keywords(const char* column) {
  if (!column) return dat.desc->rwKeywordSet();
  if (!dat.desc->isColumn(column))
    throw Failure(SHEAF_ERR_NOTFOUND, path + ": no column " + column);
  return dat.desc->rwColumnDesc(column).rwKeywordSet();
}

namespace {

// The header without cells, and then everything that belongs to the cells.
void make_column(const sheaf_edit& edit, const Added& a) {
  sheaf_error err;
  int64_t tile[SHEAF_TILES_MAXDIM + 1] = {0};
  for (int i = 0; i < a.cells.ndim && !a.cells.cubes.empty(); i++)
    tile[i] = a.cells.cubes[0].tile[i];
  tile[a.cells.ndim] = a.cells.cubes.empty() ? 8 : a.cells.cubes[0].tile_rows;
  const std::unique_ptr<sheaf_layout, decltype(&sheaf_layout_free)> layout(
      sheaf_layout_new(a.seq, edit.dat.nrow, a.type, edit.dat.format == 0, a.manager.c_str(), tile,
                       a.cells.ndim + 1),
      sheaf_layout_free);
  if (!layout) throw std::bad_alloc();
  sheaf_aips_out out = {};
  sheaf_layout_write(layout.get(), &out);
  const std::unique_ptr<uint8_t, decltype(&std::free)> owned(out.data, std::free);
  if (out.failed) throw std::bad_alloc();
  check(sheaf_file_replace(edit.stem(a.seq).c_str(), out.data, out.n, &err), err);
  check(sheaf_tiles_create(edit.path.c_str(), a.name.c_str(), a.cells.cubes.data(),
                           static_cast<int64_t>(a.cells.cubes.size()), a.cells.runs.data(),
                           static_cast<int64_t>(a.cells.runs.size()),
                           SHEAF_TILES_ALLOCATE | SHEAF_TILES_PENDING, &err),
        err);
}

// All cells of a column, from where they are to its new manager.
void move_cells(const std::string& path, const std::string& name) {
  sheaf_error err;
  sheaf_tiles *opened_from, *opened_to;
  check(sheaf_tiles_open(&opened_from, path.c_str(), name.c_str(), 0, &err), err);
  const std::unique_ptr<sheaf_tiles, CloseTiles> from(opened_from);
  check(sheaf_tiles_open_pending(&opened_to, path.c_str(), name.c_str(), 1, &err), err);
  const std::unique_ptr<sheaf_tiles, CloseTiles> to(opened_to);
  sheaf_tiles_info info;
  sheaf_tiles_describe(opened_from, &info);
  std::vector<char> cells;
  for (int64_t row = 0, n; row < info.nrow; row += n) {
    sheaf_tiles_span span;
    sheaf_tiles_cube cube;
    check(sheaf_tiles_span_at(opened_from, row, &span, &err), err);
    n = span.nrow;
    if (span.cube < 0) continue;
    check(sheaf_tiles_cube_at(opened_from, span.cube, &cube, &err), err);
    int64_t cell = info.size;
    for (int i = 0; i < cube.ndim; i++) cell *= cube.shape[i];
    n = std::min(n, std::max<int64_t>(1, (1 << 22) / std::max<int64_t>(cell, 1) / 8 * 8));
    cells.resize(static_cast<size_t>(n * cell));
    const sheaf_tiles_rows rows = {nullptr, row, n};
    check(sheaf_tiles_read(opened_from, &rows, nullptr, cells.data(), cells.size(), &err), err);
    check(sheaf_tiles_write(opened_to, &rows, nullptr, cells.data(), cells.size(), &err), err);
  }
  check(sheaf_tiles_finish(opened_to, &err), err);
}

}  // namespace

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

int sheaf_edit_has_keyword(const sheaf_edit* edit, const char* column, const char* keyword) {
  if (column && !sheaf_edit_has(edit, column)) return 0;
  return const_cast<sheaf_edit*>(edit)->keywords(column).isDefined(keyword) ? 1 : 0;
}

json_t* sheaf_edit_keywords(const sheaf_edit* edit, const char* column) {
  json_t* names = json_array();
  if (!names || (column && !sheaf_edit_has(edit, column))) return names;
  const TableRecord& keys = const_cast<sheaf_edit*>(edit)->keywords(column);
  for (uInt i = 0; i < keys.nfields(); i++)
    json_array_append_new(names, json_string(keys.name(i).c_str()));
  return names;
}

namespace {

void must_be_open(const sheaf_edit* edit) {
  if (edit->prepared)
    throw Failure(SHEAF_ERR_INTERNAL, edit->path + ": its edit is prepared and cannot change");
}

}  // namespace

int sheaf_edit_add(sheaf_edit* edit, const sheaf_edit_column* c, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    if (sheaf_edit_has(edit, c->name))
      throw Failure(SHEAF_ERR_EXISTS, edit->path + ": has a column " + c->name + " already");
    Added a = {c->name,
               c->manager ? c->manager : std::string(c->name) + "Tiled",
               edit->dat.next,
               c->type,
               cells_like(edit->path, c->like),
               false};
    if (a.cells.ndim == 0) {
      sheaf_column like;
      a.cells.ndim = 2;
      sheaf_table* table;
      sheaf_error why;
      check(sheaf_table_open(&table, edit->path.c_str(), 0, &why), why);
      if (sheaf_table_column(table, c->like, &like) && like.ndim > 0) a.cells.ndim = like.ndim;
      sheaf_table_close(table);
    }
    describe_column(*edit->dat.desc, *c, a.manager, a.cells.ndim);
    const char* key;
    json_t* value;
    json_object_foreach(const_cast<json_t*>(c->keywords), key, value)
        define(edit->keywords(c->name), key, value);
    edit->dat.places[c->name] = {c->name, 1, a.seq, false, IPosition()};
    edit->dat.managers.push_back({"TiledShapeStMan", a.seq, {}});
    edit->dat.next++;
    edit->added.push_back(a);
    edit->changed = true;
    return 0;
  });
}

namespace {

void drop_manager(sheaf_edit* edit, uInt seq) {
  auto& list = edit->dat.managers;
  list.erase(
      std::remove_if(list.begin(), list.end(), [&](const Manager& m) { return m.seq == seq; }),
      list.end());
  auto& added = edit->added;
  const size_t before = added.size();
  added.erase(
      std::remove_if(added.begin(), added.end(), [&](const Added& a) { return a.seq == seq; }),
      added.end());
  if (edit->shared.erase(seq) == 0 && added.size() == before) edit->removed.insert(seq);
}

[[noreturn]] void refuse_shared(const sheaf_edit* edit, const char* column, const String& other,
                                const String& manager) {
  throw Failure(SHEAF_ERR_DATA, edit->path + ": column " + column + " shares its storage with " +
                                    other.c_str() + " in an " + manager.c_str() +
                                    ", from which it cannot be removed by itself");
}

// A tiled column gets a manager of its own, into which its cells are copied.
void move_out(sheaf_edit* edit, const String& name, const char* because, const String& manager) {
  sheaf_error err;
  sheaf_tiles* opened;
  const int rc = sheaf_tiles_open(&opened, edit->path.c_str(), name.c_str(), 0, &err);
  check(rc, err);
  if (rc != 0) refuse_shared(edit, because, name, manager);
  const std::unique_ptr<sheaf_tiles, CloseTiles> tiles(opened);
  sheaf_tiles_info info;
  sheaf_tiles_describe(opened, &info);
  edit->added.push_back(
      {name, name + "Tiled", edit->dat.next, info.type, tiled_cells(opened), true});
  edit->dat.places.at(name).seq = edit->dat.next;
  edit->dat.managers.push_back({"TiledShapeStMan", edit->dat.next, {}});
  edit->dat.next++;
}

// The columns `others` stay, without what they share with `column`.
void part_from(sheaf_edit* edit, const char* column, uInt seq, const std::vector<String>& others) {
  if (edit->shared.count(seq)) return;
  for (Manager& m : edit->dat.managers) {
    if (m.seq != seq) continue;
    if (m.type.startsWith("Tiled")) {
      const String type = m.type;
      for (const String& name : others) move_out(edit, name, column, type);
      drop_manager(edit, seq);
    } else if (sheaf::can_unshare(m.type)) {
      m.seq = edit->dat.next++;
      for (const String& name : others) edit->dat.places.at(name).seq = m.seq;
      edit->shared[m.seq] = seq;
      edit->removed.insert(seq);
    } else {
      refuse_shared(edit, column, others[0], m.type);
    }
    return;
  }
}

}  // namespace

int sheaf_edit_remove(sheaf_edit* edit, const char* column, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    if (!sheaf_edit_has(edit, column))
      throw Failure(SHEAF_ERR_NOTFOUND, edit->path + ": no column " + column);
    const uInt seq = edit->dat.places.at(column).seq;
    std::vector<String> others;
    for (const auto& other : edit->dat.places)
      if (other.second.seq == seq && other.first != column) others.push_back(other.first);
    if (others.empty())
      drop_manager(edit, seq);
    else
      part_from(edit, column, seq, others);
    edit->dat.desc->removeColumn(column);
    edit->dat.places.erase(column);
    edit->changed = true;
    return 0;
  });
}

int sheaf_edit_set(sheaf_edit* edit, const char* column, const char* keyword, const json_t* value,
                   sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    TableRecord& keys = edit->keywords(column);
    if (keys.isDefined(keyword)) keys.removeField(String(keyword));
    define(keys, keyword, value);
    edit->changed = true;
    return 0;
  });
}

int sheaf_edit_drop(sheaf_edit* edit, const char* column, const char* keyword, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    TableRecord& keys = edit->keywords(column);
    if (!keys.isDefined(keyword)) return 0;
    keys.removeField(String(keyword));
    edit->changed = true;
    return 1;
  });
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

namespace {

// table.lock as table.dat is now.
int settle(const std::string& path, sheaf_error* err) {
  sheaf_touch touch = {};
  const Dat dat = read_dat(path, "table.dat");
  touch.path = path.c_str();
  touch.restructured = 1;
  touch.ncolumn = dat.desc->ncolumn();
  touch.nmanager = static_cast<uint32_t>(dat.managers.size());
  return sheaf_tables_touch(&touch, 1, err);
}

}  // namespace

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

namespace {

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

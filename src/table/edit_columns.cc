// SPDX-License-Identifier: GPL-3.0-or-later
#include <casacore/tables/Tables/ArrColDesc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "table/edit_impl.hh"

using casacore::ArrayColumnDesc;
using casacore::Bool;
using casacore::Complex;
using casacore::DComplex;
using casacore::Double;
using casacore::Float;
using casacore::Int;
using casacore::IPosition;
using casacore::String;
using casacore::TableDesc;
using casacore::uInt;
using sheaf::Added;
using sheaf::Cells;
using sheaf::check;
using sheaf::CloseTable;
using sheaf::CloseTiles;
using sheaf::Failure;
using sheaf::guard;
using sheaf::Manager;
using sheaf::must_be_open;

namespace {

// Rows of a tile where there is no pattern: about 1 MiB of complex numbers, a multiple of 8.
int64_t default_rows(const sheaf_tiles_cube& cube) {
  int64_t cell = 1;
  for (int i = 0; i < cube.ndim; i++) cell *= cube.shape[i];
  return std::max<int64_t>(8, (131072 / std::max<int64_t>(cell, 1)) / 8 * 8);
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

}  // namespace

namespace sheaf {

Cells cells_like(const std::string& path, const char* like) {
  sheaf_error err;
  sheaf_tiles* opened;
  const int rc = sheaf_tiles_open(&opened, path.c_str(), like, 0, &err);
  check(rc, err);
  if (rc != 0) return other_cells(path, like);
  const std::unique_ptr<sheaf_tiles, CloseTiles> tiles(opened);
  return tiled_cells(opened);
}

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

void must_be_open(const sheaf_edit* edit) {
  if (edit->prepared)
    throw Failure(SHEAF_ERR_INTERNAL, edit->path + ": its edit is prepared and cannot change");
}

}  // namespace sheaf

int sheaf_edit_add(sheaf_edit* edit, const sheaf_edit_column* c, sheaf_error* err) {
  return guard(err, edit->path.c_str(), [&] {
    must_be_open(edit);
    if (sheaf_edit_has(edit, c->name))
      throw Failure(SHEAF_ERR_EXISTS, edit->path + ": has a column " + c->name + " already");
    Added a = {c->name,
               c->manager ? c->manager : std::string(c->name) + "Tiled",
               edit->dat.next,
               c->type,
               sheaf::cells_like(edit->path, c->like),
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
        sheaf::define_keyword(edit->keywords(c->name), key, value);
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

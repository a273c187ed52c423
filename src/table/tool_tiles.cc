// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_tiles.cc - columns for tools, read from and written to their tiles without casacore.
#include <casacore/tables/DataMan/TiledStManAccessor.h>
#include <casacore/tables/Tables/TableDesc.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>

#include "table/guard.hh"
#include "table/tiles.h"
#include "table/tool.hh"
#include "table/touch.h"

using namespace casacore;

namespace sheaf {
namespace {

struct CloseTiles {
  void operator()(sheaf_tiles* t) const { sheaf_tiles_close(t); }
};
using Tiles = std::unique_ptr<sheaf_tiles, CloseTiles>;

constexpr size_t block_bytes = 256 << 10;  // stays in the processor's cache while it is widened
constexpr size_t worth_it = 2 << 20;       // a smaller answer is there sooner through casacore
constexpr size_t per_thread = 8 << 20;     // less is not worth a thread

// How elements lie in the tiles, and in the answer.
struct Kind {
  int pack;         // element type of the answer
  size_t from, to;  // bytes
};

bool kind_of(int type, Kind& kind) {
  switch (type) {
    case SHEAF_TILES_BOOL:
      kind = {SHEAF_PACK_B1, 1, 1};
      return true;
    case SHEAF_TILES_INT:
      kind = {SHEAF_PACK_I8, 4, 8};
      return true;
    case SHEAF_TILES_FLOAT:
      kind = {SHEAF_PACK_F8, 4, 8};
      return true;
    case SHEAF_TILES_DOUBLE:
      kind = {SHEAF_PACK_F8, 8, 8};
      return true;
    case SHEAF_TILES_COMPLEX:
      kind = {SHEAF_PACK_C16, 8, 16};
      return true;
    case SHEAF_TILES_DCOMPLEX:
      kind = {SHEAF_PACK_C16, 16, 16};
      return true;
    default:
      return false;
  }
}

template <class From, class To>
void widen(const char* from, char* to, size_t n) {
  const auto* f = reinterpret_cast<const From*>(from);
  auto* t = reinterpret_cast<To*>(to);
  for (size_t i = 0; i < n; i++) t[i] = f[i];
}

void widen(int type, const char* from, char* to, size_t n) {
  if (type == SHEAF_TILES_INT)
    widen<int32_t, int64_t>(from, to, n);
  else  // complex numbers are pairs
    widen<float, double>(from, to, type == SHEAF_TILES_COMPLEX ? 2 * n : n);
}

// One cube holds all of the rows; its shape.
bool one_shape(sheaf_tiles* tiles, const std::vector<int64_t>& rows, int64_t row0, int64_t n,
               sheaf_tiles_cube& cube) {
  sheaf_error ignored;
  int64_t number = -1;
  sheaf_tiles_span span = {0, 0, -1, 0};
  const int64_t count = rows.empty() ? n : static_cast<int64_t>(rows.size());
  for (int64_t i = 0; i < count;) {
    const int64_t row = rows.empty() ? row0 + i : rows[i];
    if (row < span.start || row >= span.start + span.nrow) {
      if (sheaf_tiles_span_at(tiles, row, &span, &ignored) < 0 || span.cube < 0 || span.nrow <= 0)
        return false;
      if (number >= 0 && span.cube != number) return false;
      number = span.cube;
    }
    i = rows.empty() ? span.start + span.nrow - row0 : i + 1;
  }
  return number >= 0 && sheaf_tiles_cube_at(tiles, number, &cube, &ignored) >= 0 && cube.ndim > 0;
}

// Reads rows first..last-1 of the list (or from row0 on) into their place.
struct Reading {
  int type = 0;
  Kind kind = {};
  size_t cell = 0;  // elements
  int64_t row0 = 0;
  const int64_t* list = nullptr;
  char* to = nullptr;

  int run(sheaf_tiles* tiles, int64_t first, int64_t last, sheaf_error* err) const {
    const bool direct = kind.from == kind.to;
    const size_t row_bytes = cell * kind.from;
    const int64_t step =
        std::max<int64_t>(1, static_cast<int64_t>((direct ? 64 : 1) * block_bytes / row_bytes));
    std::unique_ptr<char[]> scratch(direct ? nullptr : new char[step * row_bytes]);
    for (int64_t i = first; i < last; i += step) {
      const int64_t n = std::min(step, last - i);
      const sheaf_tiles_rows rows = {list ? list + i : nullptr, row0 + i, n};
      char* place = to + static_cast<size_t>(i) * cell * kind.to;
      char* into = direct ? place : scratch.get();
      const int rc = sheaf_tiles_read(tiles, &rows, nullptr, into, n * row_bytes, err);
      if (rc < 0) return rc;
      if (!direct) widen(type, into, place, n * cell);
    }
    return 0;
  }
};

// Cuts the rows, of so many bytes, among threads.
template <class Work>
int in_parts(const Work& whole, sheaf_tiles* tiles, int64_t n, size_t bytes, sheaf_error& err) {
  const size_t most = std::max(1u, std::thread::hardware_concurrency());
  const auto parts =
      static_cast<int64_t>(std::clamp<size_t>(bytes / per_thread, 1, std::min<size_t>(most, 8)));
  std::vector<Tiles> handles(parts);
  std::vector<sheaf_error> errors(parts);
  std::vector<int> rcs(parts, 0);
  for (int64_t k = 1; k < parts; k++) {
    sheaf_tiles* copy = nullptr;
    const int rc = sheaf_tiles_dup(&copy, tiles, &err);
    if (rc < 0) return rc;
    handles[k].reset(copy);
  }
  const auto work = [&](int64_t k) noexcept {
    try {
      rcs[k] =
          whole.run(k ? handles[k].get() : tiles, n * k / parts, n * (k + 1) / parts, &errors[k]);
    } catch (const std::bad_alloc&) {
      rcs[k] = sheaf_fail(&errors[k], SHEAF_ERR_NOMEM, "out of memory");
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(parts);
  int64_t next = 1;
  try {
    for (; next < parts; next++) threads.emplace_back(work, next);
  } catch (const std::system_error&) {  // a limit on threads or memory: this one does the rest
  }
  for (work(0); next < parts; next++) work(next);
  for (auto& thread : threads) thread.join();
  for (int64_t k = 0; k < parts; k++)
    if (rcs[k] < 0) {
      err = errors[k];
      return rcs[k];
    }
  return 0;
}

Rest plan(const Table& table, const std::string& column, std::vector<int64_t> rows, int64_t row0,
          int64_t n, sheaf_pack& out) {
  sheaf_error ignored;
  sheaf_tiles* opened = nullptr;
  sheaf_tiles_info info;
  Kind kind;
  sheaf_tiles_cube cube;
  if (n <= 0 || table.tableType() != Table::Plain || table.isWritable()) return {};
  if (sheaf_tiles_open(&opened, table.tableName().c_str(), column.c_str(), 0, &ignored) != 0)
    return {};
  std::shared_ptr<sheaf_tiles> tiles(opened, CloseTiles());
  sheaf_tiles_describe(opened, &info);
  if (info.nrow != static_cast<int64_t>(table.nrow()) || !info.ndim || !kind_of(info.type, kind))
    return {};
  if (!one_shape(opened, rows, row0, n, cube)) return {};
  Reading reading;
  reading.type = info.type, reading.kind = kind, reading.row0 = row0, reading.cell = 1;
  int64_t shape[SHEAF_PACK_MAXDIM];
  for (int i = 0; i < cube.ndim; i++) {
    shape[i] = cube.shape[i];
    reading.cell *= static_cast<size_t>(cube.shape[i]);
  }
  if (reading.cell * n * kind.to < worth_it) return {};
  shape[cube.ndim] = n;
  auto list = std::make_shared<std::vector<int64_t>>(std::move(rows));
  sheaf_pack* to = &out;
  const std::vector<int64_t> dims(shape, shape + cube.ndim + 1);
  return [=]() mutable {
    reading.to = static_cast<char*>(
        sheaf_pack_array(to, kind.pack, static_cast<int>(dims.size()), dims.data()));
    if (!reading.to) return;
    reading.list = list->empty() ? nullptr : list->data();
    sheaf_error err;
    if (in_parts(reading, tiles.get(), n, n * reading.cell * kind.to, err) < 0)
      throw Failure(err.code, err.text);
  };
}

// ---- writing ----

// An element of a value as the tiles have it; integers fit (the caller has looked).
template <class From, class To>
void turn(const char* from, char* to, size_t n) {
  const auto* f = reinterpret_cast<const From*>(from);
  auto* t = reinterpret_cast<To*>(to);
  for (size_t i = 0; i < n; i++) t[i] = static_cast<To>(f[i]);
}

using Turn = void (*)(const char*, char*, size_t);

// How values of a type get into tiles of another.
struct Way {
  int value, tiles;  // SHEAF_PACK_*, SHEAF_TILES_*
  size_t from, to;   // bytes
  size_t numbers;    // that an element is made of
  Turn turn;         // NULL: as they are
};

const Way* way_of(int value, int tiles) {
  static const Way ways[] = {{SHEAF_PACK_B1, SHEAF_TILES_BOOL, 1, 1, 1, nullptr},
                             {SHEAF_PACK_I4, SHEAF_TILES_INT, 4, 4, 1, nullptr},
                             {SHEAF_PACK_I8, SHEAF_TILES_INT, 8, 4, 1, turn<int64_t, int32_t>},
                             {SHEAF_PACK_F4, SHEAF_TILES_FLOAT, 4, 4, 1, nullptr},
                             {SHEAF_PACK_F8, SHEAF_TILES_FLOAT, 8, 4, 1, turn<double, float>},
                             {SHEAF_PACK_F4, SHEAF_TILES_DOUBLE, 4, 8, 1, turn<float, double>},
                             {SHEAF_PACK_F8, SHEAF_TILES_DOUBLE, 8, 8, 1, nullptr},
                             {SHEAF_PACK_C8, SHEAF_TILES_COMPLEX, 8, 8, 2, nullptr},
                             {SHEAF_PACK_C16, SHEAF_TILES_COMPLEX, 16, 8, 2, turn<double, float>},
                             {SHEAF_PACK_C8, SHEAF_TILES_DCOMPLEX, 8, 16, 2, turn<float, double>},
                             {SHEAF_PACK_C16, SHEAF_TILES_DCOMPLEX, 16, 16, 2, nullptr}};
  for (const Way& way : ways)
    if (way.value == value && way.tiles == tiles) return &way;
  return nullptr;
}

bool fits_tiles(const sheaf_item& value, const Way& way) {
  if (value.type != SHEAF_PACK_I8 || way.tiles != SHEAF_TILES_INT) return true;
  const auto* p = static_cast<const int64_t*>(value.data);
  return std::all_of(p, p + value.n, [](int64_t x) { return x >= INT32_MIN && x <= INT32_MAX; });
}

// Writes rows first..last-1 of a value.
struct Writing {
  const Way* way = nullptr;
  size_t cell = 0;  // elements
  int64_t row0 = 0;
  const int64_t* list = nullptr;
  const char* from = nullptr;

  int run(sheaf_tiles* tiles, int64_t first, int64_t last, sheaf_error* err) const {
    const size_t row_bytes = cell * way->to;
    const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(8 * block_bytes / row_bytes));
    std::unique_ptr<char[]> scratch(way->turn ? new char[step * row_bytes] : nullptr);
    for (int64_t i = first; i < last; i += step) {
      const int64_t n = std::min(step, last - i);
      const sheaf_tiles_rows rows = {list ? list + i : nullptr, row0 + i, n};
      const char* place = from + static_cast<size_t>(i) * cell * way->from;
      if (way->turn) way->turn(place, scratch.get(), n * cell * way->numbers);
      const int rc = sheaf_tiles_write(tiles, &rows, nullptr, way->turn ? scratch.get() : place,
                                       n * row_bytes, err);
      if (rc < 0) return rc;
    }
    return last - first > 1 ? sheaf_tiles_finish(tiles, err) : 0;
  }
};

bool shapes_agree(const sheaf_item& value, const sheaf_tiles_cube& cube, int64_t n) {
  const bool rows = value.ndim == cube.ndim + 1 && value.shape[cube.ndim] == n;
  return (rows || (n == 1 && value.ndim == cube.ndim)) &&
         std::equal(cube.shape, cube.shape + cube.ndim, value.shape);
}

// The lock that casacore would take; false where it would complain.
bool have_lock(Table& table, bool& fresh) {
  const auto option = table.lockOptions().option();
  fresh = false;
  if (option == TableLock::NoLocking || table.hasLock(FileLocker::Write)) return true;
  if (option == TableLock::UserLocking || option == TableLock::UserNoReadLocking) return false;
  fresh = true;
  return table.lock(FileLocker::Write);
}

uint64_t all_changes = 1;

}  // namespace

void TilePuts::forget() {
  all_changes++;
}

void TilePuts::finish() {
  sheaf_error err;
  for (auto& one : columns_)
    if (one.second.tiles && sheaf_tiles_finish(one.second.tiles.get(), &err) < 0)
      throw Failure(err.code, err.text);
}

// What casacore holds back is written first, headers included; where nothing was changed through
// casacore since, the layout is still right.
sheaf_tiles* TilePuts::tiles_of(Table& table, const std::string& column) {
  Column& known = columns_[column];
  if (known.changes == all_changes) return known.tiles.get();
  sheaf_error ignored;
  sheaf_tiles* opened = nullptr;
  sheaf_tiles_info info;
  known.changes = all_changes;
  known.tiles.reset();
  table.flush(false);
  if (sheaf_tiles_open(&opened, table.tableName().c_str(), column.c_str(), 1, &ignored) != 0)
    return nullptr;
  known.tiles.reset(opened, CloseTiles());
  sheaf_tiles_describe(opened, &info);
  if (info.nrow != static_cast<int64_t>(table.nrow()) || !info.ndim ||
      std::strcmp(info.manager, "TiledCellStMan") == 0)
    known.tiles.reset();
  return known.tiles.get();
}

bool TilePuts::put(Table& table, const std::string& column, int64_t row0, int64_t n,
                   const int64_t* list, const sheaf_item& value) {
  bool fresh;
  sheaf_error err;
  sheaf_tiles_info info;
  sheaf_tiles_cube cube;
  if (value.kind != SHEAF_PACK_ARRAY || !value.n || n <= 0 || table.tableType() != Table::Plain ||
      !table.isWritable() || !table.tableDesc().isColumn(column) || !have_lock(table, fresh))
    return false;
  if (fresh) columns_.clear();
  sheaf_tiles* tiles = tiles_of(table, column);
  if (!tiles) return false;
  sheaf_tiles_describe(tiles, &info);
  const std::vector<int64_t> rows(list, list ? list + n : list);
  Writing writing;
  writing.way = way_of(value.type, info.type);
  if (!writing.way || !fits_tiles(value, *writing.way) || !one_shape(tiles, rows, row0, n, cube) ||
      !shapes_agree(value, cube, n))
    return false;
  writing.cell = value.n / static_cast<size_t>(n);
  writing.row0 = row0, writing.list = list, writing.from = static_cast<const char*>(value.data);
  ROTiledStManAccessor(table, column, true).clearCaches();
  // Bools of different rows may share a byte.
  const bool alone = list || info.type == SHEAF_TILES_BOOL;
  const int rc = in_parts(writing, tiles, n, alone ? 0 : value.n * writing.way->to, err);
  sheaf_error late;
  const int told = sheaf_table_touch_here(table.tableName().c_str(), &lock_file_, &late);
  if (rc < 0) throw Failure(err.code, err.text);
  if (told < 0) throw Failure(late.code, late.text);
  return true;
}

Rest tiled_column(const Table& table, const std::string& column, int64_t row0, int64_t n,
                  sheaf_pack& out) {
  return plan(table, column, {}, row0, n, out);
}

Rest tiled_rows(const Table& table, const std::string& column, std::vector<int64_t> rows,
                sheaf_pack& out) {
  const auto n = static_cast<int64_t>(rows.size());
  return plan(table, column, std::move(rows), 0, n, out);
}

}  // namespace sheaf

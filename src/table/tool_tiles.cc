// SPDX-License-Identifier: GPL-3.0-or-later
//
// tool_tiles.cc - columns for tools, read from their tiles without casacore.
#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>

#include "table/guard.hh"
#include "table/tiles.h"
#include "table/tool.hh"

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

// Cuts the rows among threads.
void read_all(const Reading& reading, sheaf_tiles* tiles, int64_t n) {
  const size_t bytes = n * reading.cell * reading.kind.to;
  const size_t most = std::max(1u, std::thread::hardware_concurrency());
  const auto parts =
      static_cast<int64_t>(std::clamp<size_t>(bytes / per_thread, 1, std::min<size_t>(most, 8)));
  std::vector<Tiles> handles(parts);
  std::vector<sheaf_error> errors(parts);
  std::vector<int> rcs(parts, 0);
  std::vector<std::thread> threads;
  for (int64_t k = 1; k < parts; k++) {
    sheaf_tiles* copy = nullptr;
    if (sheaf_tiles_dup(&copy, tiles, &errors[k]) < 0)
      throw Failure(errors[k].code, errors[k].text);
    handles[k].reset(copy);
  }
  const auto work = [&](int64_t k) {
    rcs[k] =
        reading.run(k ? handles[k].get() : tiles, n * k / parts, n * (k + 1) / parts, &errors[k]);
  };
  for (int64_t k = 1; k < parts; k++) threads.emplace_back(work, k);
  work(0);
  for (auto& thread : threads) thread.join();
  for (int64_t k = 0; k < parts; k++)
    if (rcs[k] < 0) throw Failure(errors[k].code, errors[k].text);
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
    read_all(reading, tiles.get(), n);
  };
}

}  // namespace

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

// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/edit_dat.hh"

#include <casacore/casa/IO/AipsIO.h>
#include <casacore/casa/IO/ArrayIO.h>
#include <casacore/casa/IO/MemoryIO.h>
#include <casacore/tables/Tables/TableAttr.h>
#include <dirent.h>

#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "table/guard.hh"

using casacore::AipsIO;
using casacore::Bool;
using casacore::MemoryIO;
using casacore::TableAttr;

namespace sheaf {

namespace {

void read_head(AipsIO& io, Dat& dat, const std::string& path) {
  const uInt version = io.getstart("Table");
  if (version < 2 || version > 3)
    throw Failure(SHEAF_ERR_DATA,
                  path + "/table.dat: version " + std::to_string(version) + " is not known here");
  if (version == 3) {
    io >> dat.nrow;
  } else {
    uInt nrow;
    io >> nrow;
    dat.nrow = nrow;
  }
  String kind;
  io >> dat.format >> kind;
  if (kind != "PlainTable")
    throw Failure(SHEAF_ERR_DATA, path + ": is a " + kind.c_str() +
                                      "; only plain tables can be given columns and keywords: "
                                      "change the tables that it refers to");
}

Place read_place(AipsIO& io, bool is_array, const std::string& path) {
  Place place = {};
  uInt version;
  Bool shaped = false;
  io >> version;
  if (version != 2)
    throw Failure(SHEAF_ERR_DATA,
                  path +
                      "/table.dat: is of an old kind; casacore brings it up to date when it "
                      "writes to the table");
  io >> place.original >> place.version >> place.seq;
  if (is_array) io >> shaped;
  if (shaped) io >> place.shape;
  place.shaped = shaped;
  return place;
}

void read_set(AipsIO& io, Dat& dat, const std::string& path) {
  Int version;
  io >> version;
  if (version == -2) {
    uInt nrow;
    io >> nrow;
  } else if (version == -3) {
    uInt64 nrow;
    io >> nrow >> dat.storage >> dat.block;
    dat.options = true;
  } else {
    throw Failure(SHEAF_ERR_DATA, path + "/table.dat: its column set is of a kind not known here");
  }
  if (dat.storage != separate_files)
    throw Failure(SHEAF_ERR_DATA, path +
                                      ": keeps its columns in one file; only tables in separate "
                                      "files can be given columns and keywords");
  uInt nmanager;
  io >> dat.next >> nmanager;
  for (uInt i = 0; i < nmanager; i++) {
    Manager m;
    io >> m.type >> m.seq;
    dat.managers.push_back(m);
  }
  for (uInt i = 0; i < dat.desc->ncolumn(); i++) {
    const casacore::ColumnDesc& column = dat.desc->columnDesc(i);
    dat.places[column.name()] = read_place(io, column.isArray(), path);
  }
  for (Manager& m : dat.managers) {
    uInt n;
    io >> n;
    m.data.resize(n);
    if (n) io.get(n, m.data.data());
  }
}

}  // namespace

Dat read_dat(const std::string& path, const char* name) {
  char* bytes;
  size_t n;
  sheaf_error err;
  const std::string file = path + "/" + name;
  const int rc = sheaf_file_read(file.c_str(), &bytes, &n, &err);
  if (rc < 0) throw Failure(rc, err.text);
  const std::unique_ptr<char, decltype(&std::free)> owned(bytes, std::free);
  MemoryIO memory(bytes, n);
  AipsIO io(&memory);
  Dat dat;
  read_head(io, dat, path);
  dat.desc.reset(new TableDesc("", TableDesc::Scratch));
  dat.desc->getFile(io, TableAttr(path));
  read_set(io, dat, path);
  io.getend();
  return dat;
}

namespace {

bool wide(uInt64 nrow) {
  return nrow > 0x7fffffffu;
}

void write_set(AipsIO& io, const Dat& dat) {
  if (dat.options || wide(dat.nrow)) {
    io << Int(-3) << dat.nrow << dat.storage << dat.block;
  } else {
    io << Int(-2) << static_cast<uInt>(dat.nrow);
  }
  io << dat.next << static_cast<uInt>(dat.managers.size());
  for (const Manager& m : dat.managers) io << m.type << m.seq;
  for (uInt i = 0; i < dat.desc->ncolumn(); i++) {
    const casacore::ColumnDesc& column = dat.desc->columnDesc(i);
    const Place& place = dat.places.at(column.name());
    io << uInt(2) << place.original << place.version << place.seq;
    if (column.isArray()) io << Bool(place.shaped);
    if (place.shaped) io << place.shape;
  }
  for (const Manager& m : dat.managers) {
    io << static_cast<uInt>(m.data.size());
    if (!m.data.empty()) io.put(static_cast<uInt>(m.data.size()), m.data.data(), false);
  }
}

}  // namespace

std::vector<uChar> write_dat(const Dat& dat, const std::string& path) {
  MemoryIO memory;
  AipsIO io(&memory);
  if (wide(dat.nrow)) {
    io.putstart("Table", 3);
    io << dat.nrow;
  } else {
    io.putstart("Table", 2);
    io << static_cast<uInt>(dat.nrow);
  }
  io << dat.format << String("PlainTable");
  dat.desc->putFile(io, TableAttr(path));
  write_set(io, dat);
  io.putend();
  return std::vector<uChar>(memory.getBuffer(), memory.getBuffer() + memory.length());
}

bool is_file_of(const char* name, uInt seq) {
  const std::string stem = "table.f" + std::to_string(seq);
  if (std::strncmp(name, stem.c_str(), stem.size()) != 0) return false;
  const char next = name[stem.size()];
  return next < '0' || next > '9';
}

std::vector<std::string> files_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path.c_str());
  if (!dir) return names;
  while (const struct dirent* entry = readdir(dir)) names.push_back(entry->d_name);
  closedir(dir);
  return names;
}

}  // namespace sheaf

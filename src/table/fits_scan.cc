// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/fits_scan.hh"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "table/guard.hh"

namespace sheaf {
namespace {

constexpr int64_t block = 2880, card_size = 80;

struct Close {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, Close>;

[[noreturn]] void fail(int code, const std::string& path, const std::string& why) {
  throw Failure(code, "fitsfile='" + path + "': " + why);
}

File open_regular(const std::string& path, int64_t* size) {
  struct stat info;
  if (stat(path.c_str(), &info))
    fail(errno == ENOENT ? SHEAF_ERR_NOTFOUND : SHEAF_ERR_IO, path, strerror(errno));
  if (!S_ISREG(info.st_mode)) fail(SHEAF_ERR_DATA, path, "is not a file; wanted is a UVFITS file");
  File file(fopen(path.c_str(), "rb"));
  if (!file) fail(SHEAF_ERR_IO, path, strerror(errno));
  *size = info.st_size;
  return file;
}

// Compressed files, told by their first bytes.
struct Packer {
  const char* magic;
  size_t length;
  const char *name, *undo;
};
const Packer packers[] = {{"\x1f\x8b", 2, "gzip", "gunzip -k"},
                          {"\xfd"
                           "7zXZ",
                           5, "xz", "xz -dk"},
                          {"BZh", 3, "bzip2", "bunzip2 -k"},
                          {"\x28\xb5\x2f\xfd", 4, "zstd", "zstd -d"},
                          {"PK\x03\x04", 4, "zip", "unzip"},
                          {"\x1f\x9d", 2, "compress", "uncompress -k"}};

void check_magic(const std::string& path, const char* head, size_t n) {
  for (const Packer& p : packers)
    if (n >= p.length && !memcmp(head, p.magic, p.length))
      fail(SHEAF_ERR_DATA, path,
           std::string("is compressed (") + p.name + "); unpack it first: " + p.undo + " " + path);
  if (n < 9 || memcmp(head, "SIMPLE  =", 9))
    fail(SHEAF_ERR_DATA, path, "is not a FITS file (it does not begin with SIMPLE)");
}

std::string trim_right(std::string text) {
  text.erase(std::find_if(text.rbegin(), text.rend(), [](char c) { return c != ' '; }).base(),
             text.end());
  return text;
}

// The value of a card "NAME    = value / comment", a quoted text without its quotes.
std::string card_value(const std::string& card) {
  size_t begin = card.find_first_not_of(' ', 10);
  if (begin == std::string::npos) return "";
  if (card[begin] != '\'') return trim_right(card.substr(begin, card.find('/', begin) - begin));
  std::string out;
  for (size_t i = begin + 1; i < card.size(); i++) {
    if (card[i] == '\'' && (i + 1 >= card.size() || card[++i] != '\'')) break;
    out += card[i];
  }
  return trim_right(out);
}

// Takes one block's cards; true at END.
bool take_cards(const char* data, FitsUnit& unit) {
  for (int64_t at = 0; at < block; at += card_size) {
    const std::string card(data + at, card_size);
    const std::string name = trim_right(card.substr(0, 8));
    if (name == "END") return true;
    if (card.compare(8, 2, "= ") == 0) unit.cards.emplace(name, card_value(card));
  }
  return false;
}

int64_t data_bytes(const FitsUnit& unit) {
  const int naxis = unit.number("NAXIS");
  const bool groups = unit.text("GROUPS") == "T" && unit.number("NAXIS1") == 0;
  if (naxis == 0) return 0;
  double n = 1;
  for (int axis = groups ? 2 : 1; axis <= naxis; axis++)
    n *= unit.number("NAXIS" + std::to_string(axis));
  const double gcount = unit.has("GCOUNT") ? unit.number("GCOUNT") : 1;
  const double bytes = std::abs(unit.number("BITPIX")) / 8 * gcount * (unit.number("PCOUNT") + n);
  return bytes > 0 && bytes < 9e18 ? (int64_t)bytes : 0;
}

std::string unit_name(const FitsUnit& unit, size_t index) {
  if (unit.has("EXTNAME")) return "table '" + unit.text("EXTNAME") + "'";
  return index == 0 ? "visibility data" : "extension " + std::to_string(index);
}

// Reads the header at the file's position; false when what follows is no extension (the file may
// end in special records).
bool read_header(FILE* file, const std::string& path, size_t index, FitsUnit& unit) {
  char data[block];
  for (bool first = true;; first = false) {
    const size_t n = fread(data, 1, sizeof data, file);
    if (ferror(file)) fail(SHEAF_ERR_IO, path, strerror(errno));
    if (first && index > 0 && (n < 8 || memcmp(data, "XTENSION", 8))) return false;
    if (first && index == 0) check_magic(path, data, n);
    if (n < sizeof data)
      fail(SHEAF_ERR_DATA, path,
           "is truncated: it ends inside header " + std::to_string(index + 1));
    if (take_cards(data, unit)) return true;
  }
}

}  // namespace

std::string FitsUnit::text(const std::string& name) const {
  const auto found = cards.find(name);
  return found == cards.end() ? "" : found->second;
}

double FitsUnit::number(const std::string& name) const {
  std::string value = text(name);
  std::replace(value.begin(), value.end(), 'D', 'E');
  return strtod(value.c_str(), nullptr);
}

std::vector<FitsUnit> scan_fits(const std::string& path) {
  int64_t size = 0;
  const File file = open_regular(path, &size);
  std::vector<FitsUnit> units;
  for (;;) {
    FitsUnit unit;
    if (!read_header(file.get(), path, units.size(), unit)) return units;
    unit.data_offset = ftello(file.get());
    unit.data_size = data_bytes(unit);
    const int64_t padded = (unit.data_size + block - 1) / block * block;
    if (unit.data_offset + padded > size)
      fail(SHEAF_ERR_DATA, path,
           "is truncated: " + unit_name(unit, units.size()) + " ends at byte " +
               std::to_string(unit.data_offset + padded) + ", the file has " +
               std::to_string(size));
    units.push_back(unit);
    if (fseeko(file.get(), unit.data_offset + padded, SEEK_SET))
      fail(SHEAF_ERR_IO, path, strerror(errno));
  }
}

}  // namespace sheaf

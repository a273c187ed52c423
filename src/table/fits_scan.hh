// SPDX-License-Identifier: GPL-3.0-or-later
//
// fits_scan.hh - what a FITS file says about itself, read from its headers alone.
//
// casacore reads a truncated file as if zeros followed, so the structure is checked before it is
// let loose.
#ifndef SHEAF_TABLE_FITS_SCAN_HH
#define SHEAF_TABLE_FITS_SCAN_HH

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sheaf {

// One header and data unit. Values of keywords are text without quotes and trailing blanks; the
// first of a name counts.
struct FitsUnit {
  std::map<std::string, std::string> cards;
  int64_t data_offset = 0;  // bytes from the start of the file
  int64_t data_size = 0;    // bytes without padding

  bool has(const std::string& name) const { return cards.count(name) > 0; }
  std::string text(const std::string& name) const;
  // 0 when absent or not a number; knows Fortran's D exponents.
  double number(const std::string& name) const;
};

// All units of the file. Throws Failure: NOTFOUND when there is no such file, IO when it cannot be
// read, DATA when it is compressed, no FITS file, or shorter than its headers say.
std::vector<FitsUnit> scan_fits(const std::string& path);

}  // namespace sheaf
#endif

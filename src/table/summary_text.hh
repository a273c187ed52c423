// SPDX-License-Identifier: GPL-3.0-or-later
//
// summary_text.hh - the listing of an MS in CASA's layout.
#ifndef SHEAF_TABLE_SUMMARY_TEXT_HH
#define SHEAF_TABLE_SUMMARY_TEXT_HH

#include <string>
#include <vector>

#include "table/main_scan.hh"
#include "table/summary_tables.hh"

namespace sheaf {

struct Listing {
  std::string name;  // of the MS
  bool verbose, unflagged;
  const Tables& tables;
  const MainScan& main;
};

// One text per message of CASA's log, without final newline. `notes` gets what had to be left out.
std::vector<std::string> list_all(const Listing& listing, std::vector<std::string>* notes);

}  // namespace sheaf
#endif

// SPDX-License-Identifier: GPL-3.0-or-later
//
// casacore_log.hh - steering of casacore's messages from inside table/.
#ifndef SHEAF_TABLE_CASACORE_LOG_HH
#define SHEAF_TABLE_CASACORE_LOG_HH

#include <string>
#include <utility>
#include <vector>

#include "table/casacore_log.h"

namespace sheaf {

// While it lives, casacore's messages of this thread are edited before they are logged: every
// `first` becomes `second`, a message that contains one of `drop` is left out, and so are SEVERE
// ones (they come with an exception, whose text is the error). Scopes nest; only the innermost
// counts.
class LogScope {
 public:
  LogScope();
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;
  std::vector<std::pair<std::string, std::string>> replace;
  std::vector<std::string> drop;
  std::string watch;  // `watched` tells whether a message held this text
  bool watched = false;

 private:
  LogScope* outer_;
};

// The text of a casacore exception for users: without source positions, and with the package to
// install when measures data are missing. `reason` is errno where it was caught: some texts do not
// say why a write failed.
std::string explain(const std::string& text, int reason = 0);

}  // namespace sheaf
#endif

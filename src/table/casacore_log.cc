// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/casacore_log.hh"

#include <casacore/casa/Logging/LogSink.h>
#include <casacore/casa/Logging/LogSinkInterface.h>

#include <string.h>

#include <mutex>
#include <regex>
#include <set>

#include "base/log.h"

namespace sheaf {
namespace {

thread_local LogScope* scope = nullptr;

// What casacore says about its own installation. Each is either without effect on results or comes
// back as the text of an exception, so it is only worth a DEBUG line.
const char* const housekeeping[] = {
    "seems out-of-date",
    "cannot be found in the searched directories",
    "Cannot read table of Observatories",
    "Cannot read leap second table",
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_housekeeping(const std::string& text) {
  for (const char* part : housekeeping)
    if (contains(text, part)) return true;
  return false;
}

sheaf_priority priority_of(const casacore::LogMessage& message) {
  if (is_housekeeping(message.message())) return SHEAF_LOG_DEBUG;
  if (message.priority() >= casacore::LogMessage::SEVERE) return SHEAF_LOG_SEVERE;
  if (message.priority() >= casacore::LogMessage::WARN) return SHEAF_LOG_WARN;
  return message.priority() >= casacore::LogMessage::NORMAL ? SHEAF_LOG_INFO : SHEAF_LOG_DEBUG;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// Applies the innermost scope; false when the message is to be left out.
bool edit(std::string& text, sheaf_priority priority) {
  if (!scope) return true;
  if (!scope->watch.empty() && contains(text, scope->watch)) scope->watched = true;
  if (priority == SHEAF_LOG_SEVERE) return false;
  for (const auto& part : scope->drop)
    if (contains(text, part)) return false;
  for (const auto& pair : scope->replace) replace_all(text, pair.first, pair.second);
  return true;
}

// What casacore has said since the last message of anybody else, and the number of messages by
// then. The same again says nothing new: an expression is parsed several times, and warned about
// each time.
thread_local std::set<std::string> said;
thread_local unsigned long said_count = 0;

bool repeats(const std::string& text) {
  if (sheaf_log_count() != said_count) said.clear();
  return !said.insert(text).second;
}

void log(sheaf_priority priority, const std::string& origin, const std::string& text) {
  if (origin.find_first_not_of(':') == std::string::npos)
    sheaf_log_text(priority, text.c_str());
  else
    sheaf_log_line(priority, origin.c_str(), text.c_str());
  said_count = sheaf_log_count();
}

class ForwardingSink : public casacore::LogSinkInterface {
 public:
  casacore::Bool postLocally(const casacore::LogMessage& message) override {
    std::string text = message.message();
    const sheaf_priority priority = priority_of(message);
    if (!text.empty() && edit(text, priority) && !repeats(text))
      log(priority, message.origin().fullName(), text);
    return true;
  }
  casacore::String id() const override { return "sheaf"; }
};

}  // namespace

LogScope::LogScope() : outer_(scope) {
  scope = this;
}
LogScope::~LogScope() {
  scope = outer_;
}

// Whether it has a reason for which a write fails.
static bool names_reason_to_write(const std::string& text) {
  for (const int reason : {ENOSPC, EDQUOT, EIO, EFBIG, EROFS, EBADF, EINTR})
    if (contains(text, strerror(reason))) return true;
  return false;
}

std::string explain(const std::string& text, int reason) {
  // "… at File: ./x.cc, line: 12" and a leading log line of casacore's own
  static const std::regex source(" at File: [^,]*, line: [0-9]+");
  static const std::regex head("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\t[A-Z]+\t[^\t]*\t");
  std::string out = std::regex_replace(std::regex_replace(text, source, ""), head, "");
  if (contains(out, "table of Observatories"))
    out += "; install the Debian package casacore-data-observatories";
  if (contains(out, "leap second table"))
    out += "; install the Debian package casacore-data-tai-utc";
  if (contains(out, "FiledesIO::write") && contains(out, "is not writable"))
    out += " (reading beyond its end: the file is shorter than the table says)";
  // casacore tells errno also after a write that was cut short, which sets none.
  static const std::regex cut(
      "(FilebufIO: write error for file .*|FiledesIO::write - write error in .*): [^:]*$");
  if (std::regex_search(out, cut) && !names_reason_to_write(out))
    out = std::regex_replace(out, cut,
                             "$1: only part was written: No space left on device, or in the quota");
  // A failed write under another name: an assertion, or what came of a table that could not be
  // made.
  if (reason && (contains(out, "Failed AlwaysAssert trace") || contains(out, "NullTable::"))) {
    const std::string cause = strerror(reason);
    // What casacore closes on its way here may change errno: a write does not fail for that.
    const bool lost = contains(out, "WRITE") && !names_reason_to_write(cause);
    out += lost ? std::string(": it cannot be written; the system's reason is lost (") +
                      strerror(EIO) + ", or " + strerror(ENOSPC) + ", or the like)"
                : ": " + cause;
  }
  return out;
}

}  // namespace sheaf

extern "C" void sheaf_casacore_log_install(void) {
  static std::once_flag once;
  std::call_once(once, [] {
    casacore::LogSinkInterface* sink = new sheaf::ForwardingSink;
    casacore::LogSink::globalSink(sink);  // takes it
  });
}

// SPDX-License-Identifier: GPL-3.0-or-later
//
// guard.hh - turns C++ exceptions into sheaf_error at the border of table/. No exception leaves a
// function whose body is wrapped in guard(), and no message is lost.
#ifndef SHEAF_TABLE_GUARD_HH
#define SHEAF_TABLE_GUARD_HH

#include <casacore/casa/Exceptions/Error.h>

#include <errno.h>

#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "base/error.h"
#include "table/casacore_log.hh"

namespace sheaf {

// Thrown inside table/ to fail with a code of our own.
struct Failure : std::exception {
  int code;
  std::string text;
  Failure(int code_, std::string text_) : code(code_), text(std::move(text_)) {}
  const char* what() const noexcept override { return text.c_str(); }
};

// casacore is not made for threads: what runs in guard() runs alone in this process, and no child
// process is forked meanwhile (isolate.h).
std::recursive_mutex& casacore_lock();

// Runs body (returning int); `where` is put before the text of foreign exceptions, e.g. the table's
// path.
template <class Body>
int guard(sheaf_error* err, const char* where, Body&& body) noexcept {
  try {
    const std::lock_guard<std::recursive_mutex> alone(casacore_lock());
    return body();
  } catch (const Failure& f) {
    return sheaf_fail(err, f.code, "%s", f.text.c_str());
  } catch (const std::bad_alloc&) {
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", where);
  } catch (const std::exception& x) {
    const int reason = errno;
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: %s", where, explain(x.what(), reason).c_str());
  } catch (...) {
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: unknown exception", where);
  }
}

// Writes a table to disk. When that fails, says why here: on the way to guard() the table's
// destructor tries again, and errno is then that of something else.
template <class T>
void flush(T& table, bool sync = false) {
  try {
    table.flush(sync);
  } catch (const std::exception& x) {
    const int reason = errno;
    const std::string name = table.tableName();
    throw Failure(SHEAF_ERR_IO, name + ": " + explain(x.what(), reason));
  }
}

}  // namespace sheaf
#endif

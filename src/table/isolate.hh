// SPDX-License-Identifier: GPL-3.0-or-later
//
// isolate.hh - runs a piece of casacore work in a process of its own.
//
// casacore ends the whole process when a destructor meets a full disk, and its FITS reader can
// crash on a malformed file. Work that only makes files runs in a child instead, so that the caller
// gets an error. Log lines and the error come back through a pipe; the child dies with its parent.
#ifndef SHEAF_TABLE_ISOLATE_HH
#define SHEAF_TABLE_ISOLATE_HH

#include <functional>

#include "base/error.h"

namespace sheaf {

// Forks, runs body(err) in the child and returns its result. SHEAF_ERR_IO when the child ended
// early (`where` names the work), SHEAF_ERR_INTERRUPTED when the user stopped it.
int isolated(sheaf_error* err, const char* where, const std::function<int(sheaf_error*)>& body);

// As isolated, for work that must not stop half-way: the child goes on when the task is cancelled,
// and when its parent dies.
int isolated_whole(sheaf_error* err, const char* where,
                   const std::function<int(sheaf_error*)>& body);

}  // namespace sheaf
#endif

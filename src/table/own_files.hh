// SPDX-License-Identifier: GPL-3.0-or-later
//
// own_files.hh - gives a forked child files of its own.
//
// A descriptor that a child inherits shares its position with the parent's and with those of the
// parent's other children. casacore moves the position and then reads, so two such processes
// would read each other's places: values of other rows, and no error.
#ifndef SHEAF_TABLE_OWN_FILES_HH
#define SHEAF_TABLE_OWN_FILES_HH

#include <sys/types.h>

#include <string>
#include <vector>

namespace sheaf {

// A regular file that is open for reading.
struct OpenFile {
  int fd;
  dev_t device;
  ino_t inode;
  off_t position;
};

// Those of this process, but for the standard ones. Before the fork, while no other thread is in
// casacore, which remembers where it left each position.
std::vector<OpenFile> open_files();

// In the child, before anything else: each such file is opened anew under its number, at the
// position that `before` the fork it had there. "" or what failed. A file that may not be opened
// any more is closed, so that whoever needs it gets an error.
std::string own_files(const std::vector<OpenFile>& before);

}  // namespace sheaf
#endif

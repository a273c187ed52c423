// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/own_files.hh"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace sheaf {

namespace {

bool describe(int fd, OpenFile& file) {
  struct stat st;
  if (fd <= STDERR_FILENO || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) return false;
  const int flags = fcntl(fd, F_GETFL);
  file = {fd, st.st_dev, st.st_ino, lseek(fd, 0, SEEK_CUR)};
  return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY && file.position >= 0;
}

// 0 or an errno.
int open_anew(int fd, off_t position, const std::string& path) {
  const int flags = fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_DIRECT | O_NONBLOCK);
  const int close_on_exec = fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
  const int own = open(path.c_str(), flags | O_CLOEXEC);
  if (own < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM) return close(fd), 0;
  if (own < 0 || lseek(own, position, SEEK_SET) < 0 || dup3(own, fd, close_on_exec) < 0)
    return errno;
  close(own);
  return 0;
}

// Other threads may have closed and opened files between the list and the fork.
off_t position_of(const OpenFile& file, const std::vector<OpenFile>& before) {
  for (const OpenFile& one : before)
    if (one.fd == file.fd && one.device == file.device && one.inode == file.inode)
      return one.position;
  return file.position;
}

}  // namespace

std::vector<OpenFile> open_files() {
  std::vector<OpenFile> files;
  OpenFile file;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc/self/fd"), closedir);
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr)
    if (describe(std::atoi(entry->d_name), file)) files.push_back(file);  // "." is 0
  return files;
}

std::string own_files(const std::vector<OpenFile>& before) {
  if (access("/proc/self/fd", X_OK) < 0) return "there is no /proc/self/fd";
  for (const OpenFile& file : open_files()) {
    const std::string path = "/proc/self/fd/" + std::to_string(file.fd);
    const int reason = open_anew(file.fd, position_of(file, before), path);
    if (reason == 0) continue;
    char name[4096];
    const ssize_t n = readlink(path.c_str(), name, sizeof name);
    return "cannot open " + (n > 0 ? std::string(name, static_cast<size_t>(n)) : path) +
           " anew: " + strerror(reason);
  }
  return "";
}

}  // namespace sheaf

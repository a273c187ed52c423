/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/rowmap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_file(sheaf_rowmap *map, int fd, int prot, const char *path, sheaf_error *err) {
  if (map->bytes == 0) return 0;
  void *at = mmap(NULL, map->bytes, prot, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  map->unit = at;
  return 0;
}

int sheaf_rowmap_create(sheaf_rowmap *map, const char *path, int64_t nrow, sheaf_error *err) {
  *map = (sheaf_rowmap){.nrow = nrow, .bytes = (size_t)nrow * sizeof(uint32_t)};
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  int rc = 0;
  /* Allocated, not sparse: a full disk must show here, not as a SIGBUS. */
  const int refused = map->bytes ? posix_fallocate(fd, 0, (off_t)map->bytes) : 0;
  if (refused)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, refused, "%s", path);
  else
    rc = map_file(map, fd, PROT_READ | PROT_WRITE, path, err);
  if (map->unit) {
    memset(map->unit, 0xff, map->bytes);
    map->fd = fd;
  } else {
    close(fd);
  }
  return rc;
}

int sheaf_rowmap_open(sheaf_rowmap *map, const char *path, sheaf_error *err) {
  *map = (sheaf_rowmap){.fd = -1};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  struct stat info;
  int rc = 0;
  if (fstat(fd, &info) != 0) {
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  } else {
    map->bytes = (size_t)info.st_size;
    map->nrow = info.st_size / (off_t)sizeof(uint32_t);
    rc = map_file(map, fd, PROT_READ, path, err);
  }
  close(fd);
  return rc;
}

void sheaf_rowmap_close(sheaf_rowmap *map) {
  if (map->unit) {
    munmap(map->unit, map->bytes);
    if (map->fd >= 0) close(map->fd);
  }
  *map = (sheaf_rowmap){0};
}

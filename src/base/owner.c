/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/owner.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* When the process started, in clock ticks since the machine did; 0 when there is no such process.
 */
static unsigned long long start_time(long pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *in = fopen(path, "re");
  if (!in) return 0;
  const size_t n = fread(text, 1, sizeof text - 1, in);
  fclose(in);
  text[n] = '\0';
  const char *p = strrchr(text, ')');        /* the program's name may hold anything */
  if (p && strchr("ZX", p[2])) return ~0ULL; /* it has ended; its parent has not asked yet */
  for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
  return p ? strtoull(p + 1, NULL, 10) : 0;
}

static void host_name(char host[64]) {
  if (gethostname(host, 64) < 0 || !*host) snprintf(host, 64, "localhost");
  host[63] = '\0';
}

void sheaf_owner_self(sheaf_owner *owner) {
  char host[64];
  host_name(host);
  *owner = (sheaf_owner){.pid = (long)getpid(), .start = start_time(getpid())};
  memcpy(owner->host, host, sizeof host);
}

int sheaf_owner_read(const char *text, sheaf_owner *owner) {
  const char *last = strrchr(text, '-');
  const char *middle = last && last > text ? memrchr(text, '-', (size_t)(last - text)) : NULL;
  if (!middle || middle == text) return 0;
  char *end;
  owner->pid = strtol(middle + 1, &end, 10);
  if (end != last || owner->pid <= 0) return 0;
  owner->start = strtoull(last + 1, &end, 16);
  if (*end != '.' || !isxdigit((unsigned char)end[1])) return 0;
  return snprintf(owner->host, sizeof owner->host, "%.*s", (int)(middle - text), text) > 0;
}

int sheaf_owner_is_here(const sheaf_owner *owner) {
  char host[64];
  host_name(host);
  return strcmp(owner->host, host) == 0;
}

static int is_locked(int fd) {
  return flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* A child of one that was killed just now has its lock until it is dead, too. */
int sheaf_owner_is_gone(const sheaf_owner *owner, const char *path) {
  const unsigned long long start = start_time(owner->pid);
  if (start == owner->start) return 0;
  if (start == 0 && kill((pid_t)owner->pid, 0) == 0) return 0; /* there, but /proc does not tell */
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;
  int locked = is_locked(fd);
  for (int i = 0; locked && i < 50; i++) {
    usleep(20000);
    locked = is_locked(fd);
  }
  close(fd);
  return !locked;
}

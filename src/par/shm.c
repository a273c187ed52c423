/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/shm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "par/wire.h"

static char own_name[512]; /* "" when nothing was removed */

/* Calls `act` for the path of each segment that is mapped here, once each; returns how many. */
static int for_each_segment(void (*act)(const char *path)) {
  char line[1024], last[1024] = "";
  int n = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  while (fgets(line, sizeof line, maps)) {
    char *path = strchr(line, '/');
    if (!path || !strstr(path, "/vader_segment.")) continue;
    path[strcspn(path, "\n")] = '\0';
    if (!strcmp(path, last)) continue; /* one file may be mapped in parts */
    snprintf(last, sizeof last, "%s", path);
    n++;
    if (act) act(path);
  }
  fclose(maps);
  return n;
}

static void remember_own(const char *path) {
  const char *rank = getenv("OMPI_COMM_WORLD_LOCAL_RANK"), *end = strrchr(path, '.');
  if (rank && end && !strcmp(end + 1, rank)) snprintf(own_name, sizeof own_name, "%s", path);
}

static void remove_own(void) {
  if (own_name[0] && unlink(own_name) < 0) own_name[0] = '\0';
}

int sheaf_shm_hide(MPI_Comm node, sheaf_error *err) {
  int size = 0, whole = 0, all = 0;
  int rc = sheaf_wire_check(MPI_Comm_size(node, &size), "MPI_Comm_size", err);
  if (rc < 0) return rc;
  whole = for_each_segment(remember_own) == size && own_name[0];
  rc = sheaf_wire_check(MPI_Allreduce(&whole, &all, 1, MPI_INT, MPI_MIN, node), "MPI_Allreduce",
                        err);
  if (rc >= 0 && all)
    remove_own();
  else
    own_name[0] = '\0';
  return rc;
}

void sheaf_shm_restore(void) {
  if (!own_name[0]) return;
  const int fd = open(own_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
}

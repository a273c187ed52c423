/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/threads.h"

#include <sched.h>
#include <stdlib.h>

static _Thread_local int sharing = 1;

void sheaf_threads_share(int n) {
  sharing = n > 1 ? n : 1;
}

int sheaf_threads_all(void) {
  const char *text = getenv("OMP_NUM_THREADS");
  const int wanted = text ? atoi(text) : 0;
  if (wanted > 0) return wanted;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int cores = CPU_COUNT(&set);
  return cores > 0 ? cores : 1;
}

int sheaf_threads(void) {
  const int n = sheaf_threads_all() / sharing;
  return n > 1 ? n : 1;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/log.h"

static const int64_t mebibyte = 1 << 20;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
SHEAF_OPEN_AFTER_FORK(lock);
static int64_t node_budget; /* 0: not known yet */
static int sharing = 1;

/* A number with an optional K, M, G or T (and B or iB behind it), all powers of 1024; -1 if it is
 * none. */
static int64_t parse_size(const char *text) {
  char *end;
  const double number = strtod(text, &end);
  if (end == text || strspn(text, "0123456789.") != (size_t)(end - text)) return -1;
  int shift = 0;
  static const char letters[] = "KMGT", small[] = "kmgt";
  for (int i = 0; i < 4; i++)
    if (*end && (*end == letters[i] || *end == small[i])) shift = 10 * (i + 1);
  if (shift) {
    end++;
    if (end[0] == 'i' && end[1] == 'B') end++;
  }
  if (*end == 'B') end++;
  const double bytes = number * (double)((int64_t)1 << shift);
  return *end == '\0' && bytes < 9e18 ? (int64_t)bytes : -1;
}

int sheaf_memory_set(const char *text, sheaf_error *err) {
  const int64_t bytes = parse_size(text);
  if (bytes < 64 * mebibyte)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "memory='%s': must be a size of at least 64M, such as 800M or 4G", text);
  pthread_mutex_lock(&lock);
  node_budget = bytes;
  pthread_mutex_unlock(&lock);
  return 0;
}

void sheaf_memory_share(int nprocess) {
  pthread_mutex_lock(&lock);
  sharing = nprocess > 0 ? nprocess : 1;
  pthread_mutex_unlock(&lock);
}

/* A number in a file; INT64_MAX when there is none ("max"). */
static int64_t read_limit(const char *path) {
  char text[64] = "", *end;
  FILE *in = fopen(path, "re");
  if (!in) return INT64_MAX;
  const int got = fgets(text, sizeof text, in) != NULL;
  fclose(in);
  const unsigned long long value = strtoull(text, &end, 10);
  return got && end != text && value < INT64_MAX ? (int64_t)value : INT64_MAX;
}

/* The smallest limit of a group and all groups above it. */
static int64_t limit_upwards(const char *root, const char *mount, const char *group,
                             const char *file) {
  char name[2048];
  snprintf(name, sizeof name, "%s", group);
  int64_t smallest = INT64_MAX;
  for (;;) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s/%s", root, mount, name, file);
    const int64_t limit = read_limit(path);
    if (limit < smallest) smallest = limit;
    char *slash = strrchr(name, '/');
    if (!slash) return smallest;
    *slash = '\0';
  }
}

int64_t sheaf_memory_cgroup_limit(const char *root) {
  char path[4096], line[4096];
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *in = fopen(path, "re");
  if (!in) return INT64_MAX;
  int64_t smallest = INT64_MAX;
  while (fgets(line, sizeof line, in)) { /* number:controllers:/group */
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) continue;
    *group++ = '\0';
    int64_t limit = INT64_MAX;
    if (!strcmp(controllers, ":"))
      limit = limit_upwards(root, "/sys/fs/cgroup", group, "memory.max");
    else if (strstr(controllers, "memory"))
      limit = limit_upwards(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    if (limit < smallest) smallest = limit;
  }
  fclose(in);
  return smallest;
}

static int64_t default_budget(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  int64_t all = pages > 0 && page > 0 ? (int64_t)pages * page : 1024 * mebibyte;
  const int64_t limit = sheaf_memory_cgroup_limit("");
  if (limit < all) all = limit;
  return all / 2;
}

int64_t sheaf_memory_budget(void) {
  pthread_mutex_lock(&lock);
  const int known = node_budget > 0;
  pthread_mutex_unlock(&lock);
  const char *text = known ? NULL : getenv("SHEAF_MEMORY");
  sheaf_error err;
  if (text && *text && sheaf_memory_set(text, &err) < 0)
    sheaf_log(SHEAF_LOG_WARN, "SHEAF_MEMORY is ignored: %s", err.text);
  pthread_mutex_lock(&lock);
  if (node_budget == 0) node_budget = default_budget();
  const int64_t share = node_budget / sharing;
  pthread_mutex_unlock(&lock);
  return share;
}

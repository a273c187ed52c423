/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/subtables.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "table/isolate.h"
#include "table/table.h"

enum { PATH_SIZE = 8192, MOST_CHILDREN = 4 };

static int is_own(const char *name) {
  return strcmp(name, "SOURCE") == 0 || strcmp(name, "HISTORY") == 0;
}

static int place_one(const char *from, const char *first, const char *member, const char *name,
                     sheaf_error *err) {
  char source[PATH_SIZE], target[PATH_SIZE], base[256];
  snprintf(target, sizeof target, "%s/%s", member, name);
  if (strcmp(first, member) == 0) {
    snprintf(source, sizeof source, "%s/%s", from, name);
    if (rename(source, target) == 0) return 0;
  } else if (is_own(name)) {
    snprintf(source, sizeof source, "%s/%s", first, name);
    return sheaf_tree_copy(source, target, err);
  } else {
    snprintf(source, sizeof source, "../%s/%s", sheaf_path_base(first, base, sizeof base), name);
    if (symlink(source, target) == 0) return 0;
  }
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", target);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a directory, sorted, so that keywords come in the same order everywhere. */
static int list_names(const char *path, char ***names, size_t *n, sheaf_error *err) {
  DIR *dir = opendir(path);
  size_t room = 0;
  *names = NULL;
  *n = 0;
  if (!dir) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  int rc = 0;
  const struct dirent *entry;
  while (rc == 0 && (errno = 0, entry = readdir(dir))) {
    if (entry->d_name[0] == '.') continue;
    if (*n == room) {
      char **more = realloc(*names, (room = room ? 2 * room : 32) * sizeof *more);
      if (more) *names = more;
      if (!more) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s", path);
    }
    if (rc == 0 && !((*names)[(*n)++] = strdup(entry->d_name)))
      rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s", path);
  }
  if (rc == 0 && errno) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  closedir(dir);
  if (*n) qsort(*names, *n, sizeof **names, compare_names);
  return rc;
}

typedef struct link_work {
  const char *from, *first; /* member */
  const char *const *members;
  size_t nmember;
  char **names;
  size_t nname;
} link_work;

/* In a child process: links and copies for some members; casacore writes their keywords. */
static int link_members(void *user, json_t **value, sheaf_error *err) {
  const link_work *w = user;
  int rc = 0;
  (void)value;
  for (size_t m = 0; rc >= 0 && m < w->nmember; m++) {
    for (size_t i = 0; rc >= 0 && i < w->nname && w->members[m] != w->first; i++)
      rc = place_one(w->from, w->first, w->members[m], w->names[i], err);
    if (rc >= 0)
      rc = sheaf_table_link_subtables(w->members[m], (const char *const *)w->names, w->nname, err);
  }
  return rc;
}

/* Several child processes share the members: there are as many tables to open as sub-tables in all
 * of them. */
static int link_all(const link_work *all, sheaf_error *err) {
  link_work part[MOST_CHILDREN];
  sheaf_isolation *child[MOST_CHILDREN] = {NULL};
  size_t n = (size_t)sheaf_threads(), first = 0;
  int rc = 0;
  if (n > MOST_CHILDREN) n = MOST_CHILDREN;
  if (n > all->nmember) n = all->nmember;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    part[i] = *all;
    part[i].members += first;
    part[i].nmember = (all->nmember - first) / (n - i);
    first += part[i].nmember;
    rc = sheaf_isolation_begin(&child[i], part[i].members[0], link_members, &part[i], err);
  }
  for (size_t i = 0; i < n && child[i]; i++) {
    if (rc < 0)
      sheaf_isolation_abandon(child[i]);
    else
      rc = sheaf_isolation_end(child[i], NULL, err);
  }
  return rc;
}

int sheaf_subtables_place(const char *from, const char *const *members, size_t n,
                          sheaf_error *err) {
  char **names = NULL;
  size_t nname;
  int rc = list_names(from, &names, &nname, err);
  for (size_t i = 0; rc >= 0 && i < nname; i++)
    rc = place_one(from, members[0], members[0], names[i], err);
  if (rc >= 0) {
    link_work work = {from, members[0], members, n, names, nname};
    rc = link_all(&work, err);
  }
  for (size_t i = 0; i < nname; i++) free(names[i]);
  free(names);
  return rc;
}

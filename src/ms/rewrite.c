/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

typedef struct names {
  char table[4096], copy[4200], old[4200], parent[4096];
} names;

/* The table without links, and the hidden names beside it. */
static int find_names(names *n, const char *path, sheaf_error *err) {
  char base[256];
  const int rc = sheaf_path_real(path, n->table, sizeof n->table, err);
  if (rc < 0) return rc;
  memcpy(n->parent, n->table, sizeof n->parent);
  char *slash = strrchr(n->parent, '/');
  if (!slash) return sheaf_fail(err, SHEAF_ERR_ARG, "%s: no directory around it", path);
  *(slash > n->parent ? slash : slash + 1) = '\0';
  sheaf_path_base(n->table, base, sizeof base);
  snprintf(n->copy, sizeof n->copy, "%s/.%s.sheaf-new", n->parent, base);
  snprintf(n->old, sizeof n->old, "%s/.%s.sheaf-old", n->parent, base);
  return 0;
}

static int sync_directory(const char *path, sheaf_error *err) {
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  const int bad = fsync(fd) ? errno : 0;
  close(fd);
  return bad ? sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "%s: cannot be written to disk", path) : 0;
}

static int rename_or_fail(const char *from, const char *to, sheaf_error *err) {
  return rename(from, to) ? sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", to) : 0;
}

/* Puts the copy in the table's place; the old table is at *rest afterwards. */
static int exchange(const names *n, const char **rest, sheaf_error *err) {
  *rest = n->copy;
  if (renameat2(AT_FDCWD, n->copy, AT_FDCWD, n->table, RENAME_EXCHANGE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", n->table);
  *rest = n->old;
  const int rc = rename_or_fail(n->table, n->old, err);
  if (rc < 0) return rc;
  if (rename(n->copy, n->table) == 0) return 0;
  const int bad = errno;
  rename(n->old, n->table);
  return sheaf_fail_errno(err, SHEAF_ERR_IO, bad, "%s", n->table);
}

static int recover(const names *n, sheaf_error *err) {
  int rc = 0;
  if (!sheaf_path_exists(n->table) && sheaf_path_exists(n->old))
    rc = rename_or_fail(n->old, n->table, err);
  if (rc >= 0 && sheaf_path_exists(n->copy)) rc = sheaf_tree_remove(n->copy, err);
  if (rc >= 0 && sheaf_path_exists(n->old)) rc = sheaf_tree_remove(n->old, err);
  return rc;
}

int sheaf_rewrite_recover(const char *path, sheaf_error *err) {
  names n;
  const int rc = find_names(&n, path, err);
  return rc < 0 ? rc : recover(&n, err);
}

int sheaf_rewrite(const char *path, sheaf_rewrite_change *change, void *user, sheaf_error *err) {
  names n;
  const char *rest = NULL;
  int rc = find_names(&n, path, err);
  if (rc < 0 || (rc = recover(&n, err)) < 0) return rc;
  SHEAF_TRY(sheaf_tree_copy(n.table, n.copy, err));
  SHEAF_TRY(change(user, n.copy, err));
  SHEAF_TRY(sheaf_tree_sync(n.copy, err));
  SHEAF_TRY(exchange(&n, &rest, err));
  SHEAF_TRY(sync_directory(n.parent, err));
done:
  /* What is left is removed by the next rewrite when it cannot be removed now. */
  sheaf_tree_remove(rc < 0 ? n.copy : rest, NULL);
  return rc < 0 ? sheaf_fail_context(err, rc, "%s", path) : 0;
}

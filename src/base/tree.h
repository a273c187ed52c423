/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tree.h - whole directory trees: remove, copy, measure, flush to disk.
 *
 * No function follows a symbolic link. Failures name the file. Thread-safe, no shared state; what another process does
 * to the tree meanwhile is not hidden: it is an error where it matters. */
#ifndef SHEAF_BASE_TREE_H
#define SHEAF_BASE_TREE_H

#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Removes a file or a tree; no error when it does not exist. */
int sheaf_tree_remove(const char *path, sheaf_error *err);
/* Copies a file or a tree to a name that does not exist: links stay links, holes stay holes, permissions and times of
 * modification are kept (but that the owner may write: copies are made to be worked on), hard links become files of their own. Uses reflinks or copy_file_range where the system has
 * them. After a failure the part that was copied is left to the caller. */
int sheaf_tree_copy(const char *from, const char *to, sheaf_error *err);
/* Bytes that the tree occupies on disk, as `du -s` counts (hard links once). */
int sheaf_tree_usage(const char *path, int64_t *bytes, sheaf_error *err);
/* Flushes every file and directory below `path`, and `path` itself, to disk. The name of `path` in its own directory is
 * the caller's business. */
int sheaf_tree_sync(const char *path, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

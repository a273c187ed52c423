/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * file.h - files and directories that appear whole or not at all.
 *
 * An output directory `dir/name` is built as the hidden sibling `dir/.name.sheaf-<host>-<pid>-<n>`
 * and renamed into place when it is complete and on disk. A sibling whose process is gone is debris
 * of a crash; the next sheaf_stage_begin of the same output removes it. <n> is the process's start
 * time and a counter, so that a process id that is in use again is not taken for the owner; the
 * owner also holds a lock (flock) on the directory. Debris of another host is left alone, with a
 * warning. Thread-safe; the only shared state is the list of open stages, which
 * sheaf_stage_abandon_all (async-signal-unsafe; call it from a normal context) removes. */
#ifndef SHEAF_BASE_FILE_H
#define SHEAF_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An output under construction. */
typedef struct sheaf_stage {
  char final[4096]; /* where it will appear, absolute */
  char path[4096];  /* where it is built, absolute; "" when nothing is open */
} sheaf_stage;

/* Makes the hidden directory; fails with SHEAF_ERR_EXISTS when `final` exists, SHEAF_ERR_IO when
 * the parent is missing or not writable. Sweeps debris of the same output first. */
int sheaf_stage_begin(sheaf_stage *stage, const char *final, sheaf_error *err);
/* Syncs everything below the stage to disk and renames it (or, when `inner` is not NULL, the
 * directory path/inner) to `final`; a rename never replaces what exists meanwhile. */
int sheaf_stage_publish(sheaf_stage *stage, const char *inner, sheaf_error *err);
/* Before that: publishes path/inner as a companion, `final` with `suffix` appended
 * (out.mms.flagversions beside out.mms). The stage stays open. SHEAF_ERR_EXISTS when the companion
 * exists. */
int sheaf_stage_publish_companion(sheaf_stage *stage, const char *inner, const char *suffix,
                                  sheaf_error *err);
/* SHEAF_ERR_EXISTS when a process that may live (this one, too) has a stage open for `final`. */
int sheaf_stage_underway(const char *final, sheaf_error *err);
/* Removes the stage and all below it; does nothing when it was published or never begun. */
void sheaf_stage_abandon(sheaf_stage *stage);
void sheaf_stage_abandon_all(void);
/* Removes what dead processes of this host have left of stages for `final`, which may exist; of all
 * stages in a directory. What cannot be removed is a warning. */
void sheaf_stage_sweep(const char *final);
void sheaf_stage_sweep_all(const char *dir);
/* From here sheaf_stage_abandon_all leaves this stage alone: what is built in it outlives calls of
 * tasks, some of which may fail. */
void sheaf_stage_keep(const sheaf_stage *stage);

/* Replaces a small file atomically (write to a sibling, fsync, rename, fsync of the directory). */
int sheaf_file_replace(const char *path, const void *data, size_t n, sheaf_error *err);
/* Reads a whole file; *data is allocated, zero-terminated, and owned by the caller. */
int sheaf_file_read(const char *path, char **data, size_t *n, sheaf_error *err);

/* 1 when something of that name exists (also a dangling link), else 0. */
int sheaf_path_exists(const char *path);
int sheaf_path_is_dir(const char *path);
/* Absolute path without trailing slashes, links unresolved; the last parts need not exist. */
int sheaf_path_absolute(const char *path, char *out, size_t size, sheaf_error *err);
/* As above with all links of the existing part resolved. */
int sheaf_path_real(const char *path, char *out, size_t size, sheaf_error *err);
/* Joins "a/b"; SHEAF_ERR_ARG when it does not fit. */
int sheaf_path_join(char *out, size_t size, const char *a, const char *b, sheaf_error *err);
/* Last component of a path without trailing slashes; points into `path`'s copy in `out`. */
const char *sheaf_path_base(const char *path, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif

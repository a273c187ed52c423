/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/flagversions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/copier.h"
#include "table/table.h"

#define MARK ".sheaf-pending"

static sheaf_copycolumn column_of(const char *name, sheaf_role role) {
  sheaf_copycolumn c = {.role = role};
  snprintf(c.source, sizeof c.source, "%s", name);
  snprintf(c.pattern, sizeof c.pattern, "%s", name);
  snprintf(c.name, sizeof c.name, "%s", name);
  return c;
}

static int write_flags(const char *path, const char *const *members, size_t n, sheaf_error *err) {
  sheaf_copycolumn columns[] = {column_of("FLAG", SHEAF_ROLE_ARRAY),
                                column_of("FLAG_ROW", SHEAF_ROLE_SCALAR)};
  sheaf_cellsel cell = {0};
  sheaf_copyplan plan = {.ncolumn = 2, .column = columns, .reindex = {.nddid = 1, .cell = &cell}};
  return sheaf_copy_whole(&plan, members, n, path, err);
}

int sheaf_flagversions_create(const char *versions, const char *name, const char *comment,
                              const char *const *members, size_t n, sheaf_error *err) {
  char path[4200], line[512];
  if (mkdir(versions, 0777) != 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", versions);
  snprintf(path, sizeof path, "%s/flags.%s", versions, name);
  const int rc = write_flags(path, members, n, err);
  if (rc < 0) return rc;
  snprintf(path, sizeof path, "%s/FLAG_VERSION_LIST", versions);
  snprintf(line, sizeof line, "%s : %s\n", name, comment);
  return sheaf_file_replace(path, line, strlen(line), err);
}

int sheaf_flagversions_mark(const char *versions, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", versions, MARK);
  return sheaf_file_replace(path, "", 0, err);
}

int sheaf_flagversions_unmark(const char *versions, sheaf_error *err) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", versions, MARK);
  if (unlink(path) != 0 && errno != ENOENT)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return 0;
}

int sheaf_flagversions_sweep(const char *ms_path, sheaf_error *err) {
  char versions[4200], mark[4300];
  snprintf(versions, sizeof versions, "%s.flagversions", ms_path);
  snprintf(mark, sizeof mark, "%s/%s", versions, MARK);
  if (!sheaf_path_exists(mark)) return 0;
  /* The mark is also there while another task publishes this very output. */
  const int rc = sheaf_stage_underway(ms_path, err);
  if (rc < 0) return rc;
  if (sheaf_path_exists(ms_path)) return sheaf_flagversions_unmark(versions, err);
  if (!sheaf_path_exists(mark)) return 0; /* such a task has ended meanwhile */
  sheaf_log(SHEAF_LOG_WARN, "removing %s, left by a task that was killed", versions);
  return sheaf_tree_remove(versions, err);
}

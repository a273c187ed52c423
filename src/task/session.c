/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "task/task.h"

static char by_default[PATH_MAX];
static char asked[PATH_MAX];
static int settled; /* the log file is open, or there shall be none */

/* casacore opens some files of every sub-MS of a Multi-MS at a time, and most systems give a process
 * 1,024 unless it asks for more. */
static void allow_files(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
}

void sheaf_session_begin(void) {
  if (by_default[0]) return;
  allow_files();
  char directory[PATH_MAX - 64], stamp[32];
  const time_t now = time(NULL);
  struct tm parts;
  localtime_r(&now, &parts);
  strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &parts);
  if (!getcwd(directory, sizeof directory)) strcpy(directory, ".");
  snprintf(by_default, sizeof by_default, "%s/sheaf-%s.log",
           strcmp(directory, "/") ? directory : "", stamp);
}

/* Whether the file can be written to; it does not exist before the first task runs. */
static int try_log(const char *path, sheaf_error *err) {
  const int is_new = access(path, F_OK) < 0;
  const int rc = sheaf_log_file(path, err);
  settled = 0;
  if (rc >= 0 && is_new) unlink(path);
  return rc;
}

int sheaf_session_log(const char *path, sheaf_error *err) {
  if (path && strlen(path) >= sizeof asked)
    return sheaf_fail(err, SHEAF_ERR_ARG,
                      "the log file's name has %zu characters; %zu are possible", strlen(path),
                      sizeof asked - 1);
  if (path && path[0] && strcmp(path, "none")) {
    const int rc = try_log(path, err);
    if (rc < 0) return rc;
  }
  snprintf(asked, sizeof asked, "%s", path ? path : "");
  settled = 0;
  return sheaf_log_file(NULL, err);
}

/* What the user asked for, or NULL. */
static const char *asked_path(void) {
  if (asked[0]) return asked;
  const char *path = getenv("SHEAF_LOGFILE");
  return path && path[0] ? path : NULL;
}

int sheaf_session_open(sheaf_error *err) {
  if (settled) return 0;
  settled = 1;
  sheaf_session_begin();
  const char *path = asked_path();
  if (path && !strcmp(path, "none")) return 0;
  sheaf_error why;
  const int rc = sheaf_log_file(path ? path : by_default, &why);
  if (rc >= 0) return 0;
  sheaf_log(path ? SHEAF_LOG_SEVERE : SHEAF_LOG_WARN, "No log file: %s", why.text);
  settled = !path;
  return path ? sheaf_fail(err, rc, "%s", why.text) : 0;
}

static int check_params(const char *name, const json_t *given, sheaf_error *err) {
  const sheaf_task *task = sheaf_task_find(name);
  json_t *full = NULL;
  if (!task) return 0; /* sheaf_task_call has the message */
  const int rc = sheaf_params_check(task->name, task->params, task->nparam, given, &full, err);
  json_decref(full);
  return rc;
}

int sheaf_session_call(const char *task, const json_t *given, json_t **result, sheaf_error *err) {
  *result = NULL;
  int rc = check_params(task, given, err);
  if (rc >= 0 && sheaf_task_find(task)) rc = sheaf_session_open(err);
  return rc < 0 ? rc : sheaf_task_call(task, given, result, err);
}

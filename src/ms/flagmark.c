/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/flagmark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/value.h"
#include "ms/multims.h"

#define MARK ".sheaf-flagging"

/* ---- the note ---- */

/* An array of runs, oldest first; NULL when there is no note or none that can be read. */
static json_t *read_notes(const char *path) {
  char *text = NULL;
  size_t n = 0;
  if (!sheaf_path_exists(path) || sheaf_file_read(path, &text, &n, NULL) < 0) return NULL;
  json_t *notes = text ? json_loadb(text, n, 0, NULL) : NULL;
  free(text);
  if (json_is_array(notes)) return notes;
  json_decref(notes);
  sheaf_log(SHEAF_LOG_WARN, "%s: damaged; a run that changed flags was interrupted", path);
  return NULL;
}

static json_t *note_of(const char *task, const char *backup, const char *restored) {
  sheaf_owner self;
  char start[32];
  sheaf_owner_self(&self);
  snprintf(start, sizeof start, "%llx", self.start);
  return json_pack("{s:s, s:s, s:I, s:s, s:I, s:s*, s:s*}", "task", task, "host", self.host, "pid",
                   (json_int_t)self.pid, "start", start, "time", (json_int_t)time(NULL), "backup",
                   backup, "restored", restored);
}

int sheaf_flagmark_write(sheaf_flagmark *mark, const char *vis, const char *task,
                         const char *backup, const char *restored, sheaf_error *err) {
  char real[4096];
  *mark = (sheaf_flagmark){.fd = -1};
  int rc = sheaf_path_real(vis, real, sizeof real, err);
  if (rc < 0) return rc;
  snprintf(mark->path, sizeof mark->path, "%s/" MARK, real);
  json_t *notes = read_notes(mark->path);
  if (!notes) notes = json_array();
  char *text = json_array_append_new(notes, note_of(task, backup, restored)) == 0
                   ? json_dumps(notes, JSON_INDENT(1))
                   : NULL;
  rc = text ? sheaf_file_replace(mark->path, text, strlen(text), err)
            : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %s", mark->path);
  free(text);
  json_decref(notes);
  if (rc < 0) {
    mark->path[0] = '\0';
    return sheaf_fail_context(err, rc, "no flags are changed");
  }
  mark->fd = open(mark->path, O_RDONLY | O_CLOEXEC);
  if (mark->fd >= 0) (void)flock(mark->fd, LOCK_EX | LOCK_NB);
  return 0;
}

void sheaf_flagmark_clear(sheaf_flagmark *mark) {
  if (mark->path[0] && unlink(mark->path) < 0 && errno != ENOENT)
    sheaf_log(SHEAF_LOG_WARN, "cannot remove %s: %s; the flags are written", mark->path,
              strerror(errno));
  sheaf_flagmark_leave(mark);
}

void sheaf_flagmark_forget(const char *vis) {
  char real[4096];
  sheaf_flagmark mark = {.fd = -1};
  if (sheaf_path_real(vis, real, sizeof real, NULL) < 0) return;
  snprintf(mark.path, sizeof mark.path, "%s/" MARK, real);
  sheaf_flagmark_clear(&mark);
}

void sheaf_flagmark_leave(sheaf_flagmark *mark) {
  if (mark->path[0] && mark->fd >= 0) close(mark->fd);
  *mark = (sheaf_flagmark){.fd = -1};
}

/* ---- what is told ---- */

static sheaf_owner owner_of(const json_t *note) {
  sheaf_owner o = {.pid = (long)sheaf_value_int(note, "pid", 0),
                   .start = strtoull(sheaf_value_str(note, "start", "0"), NULL, 16)};
  snprintf(o.host, sizeof o.host, "%s", sheaf_value_str(note, "host", ""));
  return o;
}

/* Where the flags from before are, and what to do. */
static void advise(const json_t *note, const char *vis, char *out, size_t size) {
  const char *backup = sheaf_value_str(note, "backup", ""),
             *restored = sheaf_value_str(note, "restored", "");
  char path[8600];
  snprintf(path, sizeof path, "%s.flagversions/flags.%s", vis, *restored ? restored : backup);
  if (*restored)
    snprintf(out, size, "restore version '%s' again, with the same merge", restored);
  else if (!*backup)
    snprintf(out, size, "there is no backup of the flags from before (flagbackup=False)");
  else if (!sheaf_path_is_dir(path))
    snprintf(out, size, "version '%s', which had the flags from before, is gone", backup);
  else
    snprintf(out, size, "version '%s' has the flags from before (flagmanager, mode='restore')",
             backup);
}

static void tell(const json_t *note, const char *vis, const char *path) {
  const sheaf_owner o = owner_of(note);
  const int here = sheaf_owner_is_here(&o);
  if (here && !sheaf_owner_is_gone(&o, path)) return;
  const time_t then = (time_t)sheaf_value_int(note, "time", 0);
  struct tm local;
  char when[64] = "", advice[1200];
  if (localtime_r(&then, &local)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
  advise(note, vis, advice, sizeof advice);
  sheaf_log(SHEAF_LOG_WARN,
            "%s: %s of %s (process %ld on host %s) was interrupted while it changed flags%s: some "
            "are new, others as before; %s",
            vis, sheaf_value_str(note, "task", "a task"), when, o.pid, o.host,
            here ? "" : ", or is still at work", advice);
}

static void warn_of(const char *vis) {
  char path[4200];
  const json_t *note;
  size_t i;
  snprintf(path, sizeof path, "%.4096s/" MARK, vis);
  json_t *notes = read_notes(path);
  json_array_foreach(notes, i, note) tell(note, vis, path);
  json_decref(notes);
}

/* Cuts off two names when the last but one is SUBMSS: what is left may be the Multi-MS. */
static int go_up(char *path) {
  char name[256];
  for (int i = 0; i < 2; i++) {
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return 0;
    *slash = '\0';
    if (i == 0 && strcmp(sheaf_path_base(path, name, sizeof name), "SUBMSS") != 0) return 0;
  }
  return 1;
}

void sheaf_flagmark_warn(const char *vis) {
  char real[4096], above[4096], work[4200];
  char **members = NULL;
  size_t n = 0;
  if (sheaf_path_real(vis, real, sizeof real, NULL) < 0) return;
  memcpy(above, real, sizeof above);
  if (go_up(above)) warn_of(above);
  warn_of(real);
  if (sheaf_mms_is(real) && sheaf_mms_members(real, &members, &n, NULL) >= 0)
    for (size_t i = 0; i < n; i++) warn_of(members[i]);
  sheaf_mms_members_free(members);
  snprintf(work, sizeof work, "%s.flagging", real);
  sheaf_stage_sweep(work);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/plotchild.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"

extern char **environ;

/* What the program ends with when matplotlib is missing (flagplots.py). */
enum { NO_MATPLOTLIB = 3 };

/* The program, from where this library lies: in the build tree, or in an installed one. */
static int find_program(char *path, size_t size, sheaf_error *err) {
  static const char *const places[] = {"../python/sheaf/flagplots.py",
                                       "sheaf/python/sheaf/flagplots.py"};
  Dl_info info;
  char here[PATH_MAX];
  if (!dladdr((void *)(uintptr_t)&sheaf_plotchild_check, &info) || !realpath(info.dli_fname, here))
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "it is not known where Sheaf's library lies");
  *strrchr(here, '/') = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(path, size, "%s/%s", here, places[i]);
    if (access(path, R_OK) == 0) return 0;
  }
  return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "pictures: there is no %s/%s", here, places[1]);
}

/* Waits; an interrupt ends the child. */
static int wait_for(pid_t pid, int *status, sheaf_error *err) {
  while (waitpid(pid, status, 0) < 0) {
    if (errno != EINTR)
      return sheaf_fail_errno(err, SHEAF_ERR_INTERNAL, errno, "pictures: the program is lost");
    if (sheaf_cancelled()) kill(pid, SIGKILL);
  }
  return sheaf_cancel_check(err);
}

/* The last line that the program wrote to its file of complaints. */
static int fail_with_output(const char *output, sheaf_error *err) {
  char *text = NULL;
  size_t n;
  if (sheaf_file_read(output, &text, &n, NULL) < 0) text = NULL;
  for (size_t len = text ? strlen(text) : 0; len > 0 && text[len - 1] == '\n';) text[--len] = '\0';
  const char *last = text && strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text ? text : "";
  const int rc = sheaf_fail(err, SHEAF_ERR_IO, "pictures cannot be drawn: %s", last);
  free(text);
  return rc;
}

static int run(const char *argument, const char *output, sheaf_error *err) {
  const char *chosen = getenv("SHEAF_PYTHON"), *python = chosen && *chosen ? chosen : SHEAF_PYTHON;
  char program[PATH_MAX + 64];
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int status = 0, rc = find_program(program, sizeof program, err);
  if (rc < 0) return rc;
  char *argv[] = {(char *)python, program, (char *)argument, NULL};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int bad = posix_spawnp(&pid, python, &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (bad)
    return sheaf_fail_errno(err, SHEAF_ERR_NOTFOUND, bad,
                            "pictures are drawn by Python, which cannot be started as %s", python);
  if ((rc = wait_for(pid, &status, err)) < 0) return rc;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MATPLOTLIB)
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                      "pictures need matplotlib, which %s lacks: install the package "
                      "python3-matplotlib",
                      python);
  return fail_with_output(output, err);
}

int sheaf_plotchild_check(sheaf_error *err) {
  return run("--check", "/dev/null", err);
}

int sheaf_plotchild_draw(const char *scratch, const json_t *request, sheaf_error *err) {
  char path[4200], output[4200];
  snprintf(path, sizeof path, "%s/request.json", scratch);
  snprintf(output, sizeof output, "%s/output", scratch);
  if (json_dump_file(request, path, 0) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  return run(scratch, output, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * support.h - what the unit tests of base/ share: a scratch directory, files in it, and standard
 * error caught in a file. */
#ifndef SHEAF_TESTS_SUPPORT_H
#define SHEAF_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/tree.h"

static char scratch[64];

__attribute__((unused)) static int make_scratch(void **state) {
  (void)state;
  snprintf(scratch, sizeof scratch, "/tmp/sheaf-unit-XXXXXX");
  return mkdtemp(scratch) && chdir(scratch) == 0 ? 0 : -1;
}

__attribute__((unused)) static int remove_scratch(void **state) {
  (void)state;
  return chdir("/") == 0 ? sheaf_tree_remove(scratch, NULL) : -1;
}

__attribute__((unused)) static void write_text(const char *path, const char *text) {
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
  assert_int_equal(fclose(out), 0);
}

/* At most 64 kB of a file; "" when it is not there. Static, overwritten by the next call. */
__attribute__((unused)) static const char *read_text(const char *path) {
  static char text[65536];
  FILE *in = fopen(path, "r");
  const size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
  if (in) fclose(in);
  text[n] = '\0';
  return text;
}

static int stderr_before = -1;

__attribute__((unused)) static void catch_stderr(const char *path) {
  fflush(stderr);
  stderr_before = dup(STDERR_FILENO);
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
  assert_true(fd >= 0);
  dup2(fd, STDERR_FILENO);
  close(fd);
}

__attribute__((unused)) static void release_stderr(void) {
  dup2(stderr_before, STDERR_FILENO);
  close(stderr_before);
}

#define assert_contains(text, part)                                                  \
  do {                                                                               \
    if (!strstr(text, part)) fail_msg("\"%s\" does not contain \"%s\"", text, part); \
  } while (0)

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * error.h - how every fallible function of Sheaf reports failure.
 *
 * A fallible function returns an int: 0 or more on success, a negative SHEAF_ERR_* code on
 * failure. Its last parameter is a caller-owned `sheaf_error *`, filled at the point of failure;
 * callers may prepend context but never discard it. Passing NULL is allowed. Thread-safe: nothing
 * here is shared. */
#ifndef SHEAF_BASE_ERROR_H
#define SHEAF_BASE_ERROR_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One list for code, name and meaning. */
#define SHEAF_ERROR_MAP(X)                                                              \
  X(-1, ARG, "wrong parameter")            /* what the user asked for makes no sense */ \
  X(-2, NOTFOUND, "not found")             /* a file, table, column or task is missing */ \
  X(-3, EXISTS, "already exists")          /* an output would overwrite something */     \
  X(-4, EMPTY, "nothing selected")         /* a selection matches no rows */             \
  X(-5, IO, "input/output error")          /* the system refused; text has the reason */ \
  X(-6, DATA, "bad data")                  /* a table or file is damaged or inconsistent */ \
  X(-7, NOMEM, "out of memory")                                                          \
  X(-8, LOST, "server lost")               /* a server died or cannot be reached */      \
  X(-9, INTERRUPTED, "interrupted")        /* the user or the system asked us to stop */ \
  X(-10, INTERNAL, "internal error")       /* a defect of Sheaf */

enum {
#define SHEAF_ERROR_ENUM(code, name, text) SHEAF_ERR_##name = (code),
  SHEAF_ERROR_MAP(SHEAF_ERROR_ENUM)
#undef SHEAF_ERROR_ENUM
};

/* Plain old data of fixed size, so that a server can send it to its client as bytes. */
typedef struct sheaf_error {
  int code;
  int rank;       /* MPI rank where it happened; -1 when not running under MPI */
  char host[64];  /* host where it happened; empty when not running under MPI */
  char text[1200];
} sheaf_error;

/* Sets *err and returns `code`, so that `return sheaf_fail(...)` is the whole idiom. */
int sheaf_fail(sheaf_error *err, int code, const char *fmt, ...)
    __attribute__((cold, format(printf, 3, 4)));

/* As sheaf_fail, with the reason of `errnum` (an errno value) appended: "...: No space left". */
int sheaf_fail_errno(sheaf_error *err, int code, int errnum, const char *fmt, ...)
    __attribute__((cold, format(printf, 4, 5)));

/* Puts "context: " before the text of a failure; returns err's code (or `code` when err is NULL),
 * so that `return sheaf_fail_context(err, rc, "sub-MS %s", name)` passes the failure on. */
int sheaf_fail_context(sheaf_error *err, int code, const char *fmt, ...)
    __attribute__((cold, format(printf, 3, 4)));

/* "wrong parameter" and so on; never NULL. */
const char *sheaf_error_name(int code);

/* Makes *err say "no error". */
void sheaf_error_clear(sheaf_error *err);

/* Runs a fallible call inside a function that has `int rc` and a `done:` label. */
#define SHEAF_TRY(call)               \
  do {                                \
    if ((rc = (call)) < 0) goto done; \
  } while (0)

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void put_text(sheaf_error *err, int code, const char *fmt, va_list ap) {
  err->code = code;
  err->rank = -1;
  err->host[0] = '\0';
  vsnprintf(err->text, sizeof err->text, fmt, ap);
}

int sheaf_fail(sheaf_error *err, int code, const char *fmt, ...) {
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    put_text(err, code, fmt, ap);
    va_end(ap);
  }
  return code;
}

int sheaf_fail_errno(sheaf_error *err, int code, int errnum, const char *fmt, ...) {
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    put_text(err, code, fmt, ap);
    va_end(ap);
    const size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(errnum));
  }
  return code;
}

int sheaf_fail_context(sheaf_error *err, int code, const char *fmt, ...) {
  if (!err) return code;
  char context[sizeof err->text];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(context, sizeof context, fmt, ap);
  va_end(ap);
  const size_t used = strlen(context);
  snprintf(context + used, sizeof context - used, ": %s", err->text);
  memcpy(err->text, context, sizeof context);
  return err->code < 0 ? err->code : code;
}

const char *sheaf_error_name(int code) {
  switch (code) {
#define SHEAF_ERROR_CASE(value, name, text) \
  case value:                               \
    return text;
    SHEAF_ERROR_MAP(SHEAF_ERROR_CASE)
#undef SHEAF_ERROR_CASE
    default:
      return code >= 0 ? "no error" : "unknown error";
  }
}

void sheaf_error_clear(sheaf_error *err) {
  if (err) *err = (sheaf_error){.rank = -1};
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "support.h"

static void fail_sets_code_and_text(void **state) {
  (void)state;
  sheaf_error err;
  assert_int_equal(sheaf_fail(&err, SHEAF_ERR_DATA, "spw=%d is %s", 7, "bad"), SHEAF_ERR_DATA);
  assert_int_equal(err.code, SHEAF_ERR_DATA);
  assert_int_equal(err.rank, -1);
  assert_string_equal(err.text, "spw=7 is bad");
  assert_string_equal(err.host, "");
  assert_int_equal(sheaf_fail(NULL, SHEAF_ERR_IO, "x"), SHEAF_ERR_IO);
}

static void errno_is_appended(void **state) {
  (void)state;
  sheaf_error err;
  assert_int_equal(sheaf_fail_errno(&err, SHEAF_ERR_IO, ENOSPC, "cannot write '%s'", "a"),
                   SHEAF_ERR_IO);
  assert_string_equal(err.text, "cannot write 'a': No space left on device");
  assert_int_equal(sheaf_fail_errno(NULL, SHEAF_ERR_IO, ENOSPC, "x"), SHEAF_ERR_IO);
}

static void context_comes_before(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_fail(&err, SHEAF_ERR_EMPTY, "no rows");
  assert_int_equal(sheaf_fail_context(&err, SHEAF_ERR_IO, "sub-MS %s", "a.ms"), SHEAF_ERR_EMPTY);
  assert_string_equal(err.text, "sub-MS a.ms: no rows");
  assert_int_equal(sheaf_fail_context(NULL, SHEAF_ERR_IO, "x"), SHEAF_ERR_IO);
}

static void long_texts_are_cut(void **state) {
  (void)state;
  sheaf_error err;
  char text[3000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  sheaf_fail(&err, SHEAF_ERR_ARG, "%s", text);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  sheaf_fail_context(&err, SHEAF_ERR_ARG, "context");
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  assert_int_equal(strncmp(err.text, "context: xxx", 12), 0);
  sheaf_fail_context(&err, SHEAF_ERR_ARG, "%s", text);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  sheaf_fail_errno(&err, SHEAF_ERR_IO, EIO, "%s", text);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void codes_have_names(void **state) {
  (void)state;
  for (int code = -10; code < 0; code++)
    assert_string_not_equal(sheaf_error_name(code), "unknown error");
  assert_string_equal(sheaf_error_name(-11), "unknown error");
  assert_string_equal(sheaf_error_name(0), "no error");
  assert_string_equal(sheaf_error_name(3), "no error");
  assert_string_equal(sheaf_error_name(SHEAF_ERR_LOST), "server lost");
}

static void clear_makes_it_blank(void **state) {
  (void)state;
  sheaf_error err;
  sheaf_fail(&err, SHEAF_ERR_ARG, "x");
  sheaf_error_clear(&err);
  assert_int_equal(err.code, 0);
  assert_int_equal(err.rank, -1);
  assert_string_equal(err.text, "");
  sheaf_error_clear(NULL);
}

static int try_it(int first, int *reached) {
  int rc = 0;
  SHEAF_TRY(first);
  *reached = 1;
done:
  return rc;
}

static void try_leaves_on_failure_only(void **state) {
  (void)state;
  int reached = 0;
  assert_int_equal(try_it(-5, &reached), -5);
  assert_int_equal(reached, 0);
  assert_int_equal(try_it(3, &reached), 3);
  assert_int_equal(reached, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fail_sets_code_and_text),   cmocka_unit_test(errno_is_appended),
      cmocka_unit_test(context_comes_before),      cmocka_unit_test(long_texts_are_cut),
      cmocka_unit_test(codes_have_names),          cmocka_unit_test(clear_makes_it_blank),
      cmocka_unit_test(try_leaves_on_failure_only)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

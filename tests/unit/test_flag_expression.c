/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_expression.h"

#include "support.h"

static const int32_t circular[] = {5, 6, 7, 8}, linear[] = {9, 10, 11, 12}, two[] = {5, 8},
                     stokes_i[] = {1};
static const int32_t both[] = {5, 6, 7, 8, 9, 10, 11, 12},
                     solutions[] = {SHEAF_FLAG_SOL1, SHEAF_FLAG_SOL2};

static sheaf_flag_expression parse(const char *text) {
  sheaf_flag_expression e;
  char message[300] = "";
  if (sheaf_flag_expression_parse(&e, text, 0, circular, 4, message, sizeof message))
    fail_msg("%s: %s", text ? text : "NULL", message);
  return e;
}

/* Quantities as text: "5", "5+8", "6-7", "6-7/i", correlations by code. */
static const char *quantities(const sheaf_flag_expression *e, const int32_t *corrs, int n,
                              int crop) {
  static const char *const form[] = {"", "+", "-", "-"};
  static char out[200];
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  const int nq = crop ? sheaf_flag_expression_tfcrop(e, corrs, n, q)
                      : sheaf_flag_expression_quantities(e, corrs, n, q);
  out[0] = '\0';
  for (int i = 0; i < nq; i++) {
    char *at = out + strlen(out);
    if (q[i].form == SHEAF_FLAG_SINGLE) {
      assert_int_equal(q[i].a, q[i].b);
      sprintf(at, "%s%d", i ? " " : "", corrs[q[i].a]);
    } else {
      sprintf(at, "%s%d%s%d%s", i ? " " : "", corrs[q[i].a], form[q[i].form], corrs[q[i].b],
              q[i].form == SHEAF_FLAG_HALF_DIFF_I ? "/i" : "");
    }
  }
  return out;
}

#define EXPECT(text, corrs, expected)                                                       \
  do {                                                                                      \
    const sheaf_flag_expression e_ = parse(text);                                           \
    assert_string_equal(quantities(&e_, corrs, sizeof corrs / sizeof *corrs, 0), expected); \
  } while (0)

static void test_operators(void **state) {
  (void)state;
  assert_int_equal(parse("").op, SHEAF_FLAG_ABS);
  assert_int_equal(parse(NULL).op, SHEAF_FLAG_ABS);
  assert_int_equal(parse("RR,LL").op, SHEAF_FLAG_ABS);
  assert_int_equal(parse("abs_rr").op, SHEAF_FLAG_ABS);
  assert_int_equal(parse("REAL RR").op, SHEAF_FLAG_REAL);
  assert_int_equal(parse("IMAG_ALL").op, SHEAF_FLAG_IMAG);
  assert_int_equal(parse("Arg_All").op, SHEAF_FLAG_ARG);
  assert_int_equal(parse("NORM_I").op, SHEAF_FLAG_NORM);
  assert_true(parse("ABS_ALL").all && parse("").all && parse(" ").all && !parse("RR").all);
}

static void test_singles(void **state) {
  (void)state;
  EXPECT("ABS_ALL", circular, "5 8 7 6"); /* RR, LL, LR, RL */
  EXPECT("", circular, "5 8 7 6");
  EXPECT("ABS_ALL", two, "5 8");
  EXPECT("LL,RR", two, "5 8");
  EXPECT("LL", two, "8");
  EXPECT("IMAG_RR", two, "5"); /* not Stokes I */
  EXPECT("RL", two, "");
  EXPECT("ABS_RR,RL", two, "5"); /* the first is there */
}

static void test_skipped(void **state) {
  (void)state;
  EXPECT("ABS_XX,RR", circular, ""); /* the first name of the order is not there */
  EXPECT("ABS_RR", linear, "");
  EXPECT("ABS_RR", stokes_i, "");
  EXPECT("ABS_ALL", stokes_i, "");
  EXPECT("ABS_WVR", stokes_i, "1");
  EXPECT("ABS_WVR", circular, "");
  EXPECT("I", stokes_i, "");
}

static void test_stokes(void **state) {
  (void)state;
  EXPECT("ABS_I", linear, "9+12");
  EXPECT("ABS_I", circular, "5+8");
  EXPECT("Q", linear, "9-12");
  EXPECT("Q", circular, "6-7");
  EXPECT("U", linear, "10-11");
  EXPECT("U", circular, "6-7/i");
  EXPECT("V", linear, "10-11/i");
  EXPECT("V", circular, "5-8/i");
  EXPECT("IMAG_I,RR", two, "5 5+8");
  EXPECT("Q", two, "");
  EXPECT("I,Q", two, "5+8");
  EXPECT("V", both, "10-11/i");
}

static void test_all_of_ms(void **state) {
  (void)state;
  sheaf_flag_expression e;
  char message[300];
  assert_int_equal(sheaf_flag_expression_parse(&e, "ABS_ALL", 0, both, 8, message, sizeof message),
                   0);
  assert_string_equal(quantities(&e, circular, 4, 0), ""); /* XX comes first, and is not there */
  assert_string_equal(quantities(&e, linear, 4, 0), "9 12 10 11");
  assert_string_equal(quantities(&e, circular, 4, 1), "5 6 7 8"); /* each for itself */
  assert_int_equal(sheaf_flag_expression_parse(&e, "", 1, solutions, 2, message, sizeof message),
                   0);
  assert_string_equal(quantities(&e, solutions, 2, 0), "101 102");
  assert_int_equal(e.op, SHEAF_FLAG_REAL);
}

static void test_tfcrop(void **state) {
  (void)state;
  sheaf_flag_expression e = parse("ABS_LL,RR");
  assert_string_equal(quantities(&e, two, 2, 1), "5"); /* the first only */
  e = parse("ABS_ALL");
  assert_string_equal(quantities(&e, two, 2, 1), "5 8");
  assert_string_equal(quantities(&e, stokes_i, 1, 1), "");
  /* A window with Stokes I: I is one more quantity of the others, in its place among them. */
  static const struct {
    int32_t corrs[5];
    size_t n;
    const char *expected;
  } cases[] = {{{1, 5, 8}, 3, "5+8 5 8"}, {{5, 1, 8}, 3, "5 5+8 8"}, {{5, 8, 1, 5}, 4, "5 8 5+8"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char message[300];
    assert_int_equal(sheaf_flag_expression_parse(&e, "", 0, cases[i].corrs, cases[i].n, message,
                                                 sizeof message),
                     0);
    assert_string_equal(quantities(&e, two, 2, 1), cases[i].expected);
    assert_string_equal(quantities(&e, stokes_i, 1, 1), "");
    assert_string_equal(quantities(&e, two, 2, 0), "5 8");
  }
  e = parse("ABS_I");
  assert_string_equal(quantities(&e, two, 2, 1), "5+8");
}

static void test_real(void **state) {
  (void)state;
  sheaf_flag_expression e;
  char message[300];
  assert_int_equal(sheaf_flag_expression_parse(&e, "ABS_RR", 1, two, 2, message, sizeof message),
                   0);
  assert_int_equal(e.op, SHEAF_FLAG_REAL);
  assert_true(e.op_replaced);
  assert_int_equal(sheaf_flag_expression_parse(&e, "REAL_RR", 1, two, 2, message, sizeof message),
                   0);
  assert_false(e.op_replaced);
  assert_int_equal(sheaf_flag_expression_parse(&e, "RR", 1, two, 2, message, sizeof message), 0);
  assert_false(e.op_replaced);
}

static void test_bad(void **state) {
  (void)state;
  static const char *const bad[][2] = {{"AMP_RR", "AMP"},
                                       {"ABS_RR,XZ", "XZ"},
                                       {"ABS", "no correlation"},
                                       {"ABS_REAL_RR", "2 operators"},
                                       {"RRX", "X"},
                                       {"5", "5"}};
  sheaf_flag_expression e;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char message[300] = "";
    assert_int_equal(sheaf_flag_expression_parse(&e, bad[i][0], 0, two, 2, message, sizeof message),
                     -1);
    assert_non_null(strstr(message, bad[i][1]));
  }
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(sheaf_flag_correlation_name(5), "RR");
  assert_string_equal(sheaf_flag_correlation_name(12), "YY");
  assert_string_equal(sheaf_flag_correlation_name(1), "I");
  assert_string_equal(sheaf_flag_correlation_name(SHEAF_FLAG_SOL4), "SOL4");
  assert_null(sheaf_flag_correlation_name(13));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_operators), cmocka_unit_test(test_singles),
      cmocka_unit_test(test_skipped),   cmocka_unit_test(test_stokes),
      cmocka_unit_test(test_all_of_ms), cmocka_unit_test(test_tfcrop),
      cmocka_unit_test(test_real),      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

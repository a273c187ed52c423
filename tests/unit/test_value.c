/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/value.h"

#include <float.h>
#include <math.h>

#include "support.h"

/* Texts, and what Python's repr(ast.literal_eval(text)) gives for them; for those that Python
 * refuses, repr(text). The list was made with CPython 3.11; tuples, which Sheaf does not tell from
 * lists, stand as lists. */
static const struct {
  const char *text, *repr;
} literals[] = {
    {"5", "5"},
    {"-12", "-12"},
    {"+3", "3"},
    {"0", "0"},
    {"00", "0"},
    {"007", "'007'"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"1.", "1.0"},
    {".5", "0.5"},
    {"007.5", "7.5"},
    {"-1.5e3", "-1500.0"},
    {"1e5", "100000.0"},
    {"1E-7", "1e-07"},
    {"1e15", "1000000000000000.0"},
    {"1e16", "1e+16"},
    {"123456789012345678.0", "1.2345678901234568e+17"},
    {"0.1", "0.1"},
    {"0.0001", "0.0001"},
    {"0.00001", "1e-05"},
    {"3.141592653589793", "3.141592653589793"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"5e-324", "5e-324"},
    {"-0.0", "-0.0"},
    {"True", "True"},
    {"False", "False"},
    {"None", "None"},
    {"true", "'true'"},
    {"Truet", "'Truet'"},
    {" 7 ", "7"},
    {"'text'", "'text'"},
    {"\"text\"", "'text'"},
    {"''", "''"},
    {"", "''"},
    {"'it\\'s'", "\"it's\""},
    {"'a\"b'", "'a\"b'"},
    {"'\\'\"'", "'\\'\"'"},
    {"'a\\nb\\tc\\\\d'", "'a\\nb\\tc\\\\d'"},
    {"'\\x41\\101\\u0416\\U0001F600'", "'AA\xd0\x96\xf0\x9f\x98\x80'"},
    {"'\\q'", "'\\\\q'"},
    {"'\\x01\\x7f\\xa0'", "'\\x01\\x7f\\xa0'"},
    {"'\\u2028\\ufeff'", "'\\u2028\\ufeff'"},
    {"[]", "[]"},
    {"()", "[]"},
    {"{}", "{}"},
    {"[1, 'a', (2,)]", "[1, 'a', [2]]"},
    {"(1)", "1"},
    {"(a)", "'(a)'"},
    {"((1),)", "[1]"},
    {"[1,]", "[1]"},
    {"[ [1,2] , [3] ]", "[[1, 2], [3]]"},
    {"{'a': 1, 'b': [2.5, None]}", "{'a': 1, 'b': [2.5, None]}"},
    {"{1: 'x', -2: {}}", "{1: 'x', -2: {}}"},
    {"{'a': {0: True}}", "{'a': {0: True}}"},
    /* Not Python: texts as they stand. */
    {"1~3,5", "'1~3,5'"},
    {"1,2", "'1,2'"},
    {"0:5~10;20~30", "'0:5~10;20~30'"},
    {"ngc5921.ms", "'ngc5921.ms'"},
    {"2003/01/01/10:00:00~11:00:00", "'2003/01/01/10:00:00~11:00:00'"},
    {">100klambda", "'>100klambda'"},
    {"[a.ms,b.ms]", "['a.ms', 'b.ms']"},
    {"[ a.ms, 1~3 ,5]", "['a.ms', '1~3', 5]"},
    {"[True,Trueish]", "[True, 'Trueish']"},
    {"[a,b", "'[a,b'"},
    {"[a b]", "'[a b]'"},
    {"[a'b]", "\"[a'b]\""},
    {"[A-Z]*", "'[A-Z]*'"},
    {"[1,2", "'[1,2'"},
    {"[1 2]", "'[1 2]'"},
    {"[,]", "'[,]'"},
    {"[1,,2]", "'[1,,2]'"},
    {"(,)", "'(,)'"},
    {"{1: 2, 'a': 3}", "\"{1: 2, 'a': 3}\""},
    {"{1}", "'{1}'"},
    {"{1:}", "'{1:}'"},
    {"{'a' 1}", "\"{'a' 1}\""},
    {"'open", "\"'open\""},
    {"'a' b", "\"'a' b\""},
    {"1e", "'1e'"},
    {"-", "'-'"},
    {"1.2.3", "'1.2.3'"},
    {"'\\x4'", "\"'\\\\x4'\""},
    {"99999999999999999999", "'99999999999999999999'"}, /* more than 64 bits */
    {"'\\0'", "\"'\\\\0'\""},                           /* texts hold no zero */
};

static void literals_read_as_python_reads_them(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
    json_t *value = sheaf_value_parse(literals[i].text);
    assert_non_null(value);
    char *repr = sheaf_value_repr(value);
    assert_string_equal(repr, literals[i].repr);
    /* What was printed reads back as the same value. */
    json_t *again = sheaf_value_parse(repr);
    assert_true(json_equal(value, again));
    free(repr);
    json_decref(again);
    json_decref(value);
  }
}

static void types_are_kept(void **state) {
  (void)state;
  static const struct {
    const char *text;
    json_type type;
  } cases[] = {{"1", JSON_INTEGER}, {"1.0", JSON_REAL},    {"'1'", JSON_STRING},
               {"True", JSON_TRUE}, {"False", JSON_FALSE}, {"None", JSON_NULL},
               {"[1]", JSON_ARRAY}, {"{}", JSON_OBJECT},   {"word", JSON_STRING}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *value = sheaf_value_parse(cases[i].text);
    assert_int_equal(json_typeof(value), cases[i].type);
    json_decref(value);
  }
}

static void nesting_has_a_limit(void **state) {
  (void)state;
  char text[200001];
  memset(text, '[', 100000);
  memset(text + 100000, ']', 100000);
  text[200000] = '\0';
  json_t *value = sheaf_value_parse(text);
  assert_true(json_is_string(value));
  json_decref(value);
  value = sheaf_value_parse(text + 100000 - 50);
  json_decref(value);
  assert_null(sheaf_value_parse("caf\xe9")); /* not UTF-8 */
  value = sheaf_value_parse("'caf\xe9'");
  assert_null(value);
}

static void reals_survive_the_trip(void **state) {
  (void)state;
  srand(1);
  for (int i = 0; i < 20000; i++) {
    union {
      uint64_t bits;
      double x;
    } u = {.bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand()};
    if (!isfinite(u.x)) continue;
    json_t *value = json_real(u.x);
    char *repr = sheaf_value_repr(value);
    assert_true(strtod(repr, NULL) == u.x);
    json_t *again = sheaf_value_parse(repr);
    assert_true(json_is_real(again));
    free(repr);
    json_decref(again);
    json_decref(value);
  }
}

static void intdicts_and_arrays(void **state) {
  (void)state;
  json_t *dict = sheaf_value_intdict();
  assert_int_equal(sheaf_value_intdict_set(dict, 3, json_string("x")), 0);
  assert_int_equal(sheaf_value_intdict_set(dict, -1, sheaf_value_array_int((int64_t[]){1, 2}, 2)),
                   0);
  char *repr = sheaf_value_repr(dict);
  assert_string_equal(repr, "{3: 'x', -1: array([1, 2])}");
  free(repr);
  json_t *plain = sheaf_value_plain(dict);
  char *text = json_dumps(plain, 0);
  assert_string_equal(text, "{\"3\": \"x\", \"-1\": [1, 2]}");
  free(text);
  json_decref(plain);
  json_decref(dict);
}

static void arrays_nest_by_shape(void **state) {
  (void)state;
  json_t *array = json_pack("{s:s, s:[i,i], s:[i,i,i,i,i,i]}", "#array", "i8", "shape", 2, 3,
                            "data", 1, 2, 3, 4, 5, 6);
  json_t *plain = sheaf_value_plain(array);
  char *text = json_dumps(plain, JSON_COMPACT);
  assert_string_equal(text, "[[1,2,3],[4,5,6]]");
  free(text);
  json_decref(plain);
  json_decref(array);
  array = sheaf_value_array_double(NULL, 0);
  plain = sheaf_value_plain(array);
  assert_int_equal(json_array_size(plain), 0);
  json_decref(plain);
  json_decref(array);
  array = sheaf_value_array_double((double[]){1.5, NAN, -INFINITY}, 3);
  char *repr = sheaf_value_repr(array);
  assert_string_equal(repr, "array([1.5, 'nan', '-inf'])");
  free(repr);
  json_decref(array);
  /* Less data than the shape promises: what is there. */
  array = json_pack("{s:s, s:[i], s:[i]}", "#array", "i8", "shape", 1000000, "data", 1);
  plain = sheaf_value_plain(array);
  assert_int_equal(json_array_size(plain), 1);
  json_decref(plain);
  json_decref(array);
}

static void members_have_defaults(void **state) {
  (void)state;
  json_t *object = json_pack("{s:s, s:i, s:f, s:b}", "s", "text", "i", 7, "d", 2.5, "b", 1);
  assert_string_equal(sheaf_value_str(object, "s", "no"), "text");
  assert_string_equal(sheaf_value_str(object, "i", "no"), "no");
  assert_string_equal(sheaf_value_str(object, "absent", "no"), "no");
  assert_int_equal(sheaf_value_int(object, "i", -1), 7);
  assert_int_equal(sheaf_value_int(object, "d", -1), -1);
  assert_true(sheaf_value_double(object, "i", 0) == 7.0);
  assert_true(sheaf_value_double(object, "d", 0) == 2.5);
  assert_true(sheaf_value_double(object, "s", 9) == 9.0);
  assert_int_equal(sheaf_value_bool(object, "b", 0), 1);
  assert_int_equal(sheaf_value_bool(object, "i", 0), 0);
  assert_int_equal(sheaf_value_bool(NULL, "i", 5), 5);
  json_decref(object);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(literals_read_as_python_reads_them),
                                     cmocka_unit_test(types_are_kept),
                                     cmocka_unit_test(nesting_has_a_limit),
                                     cmocka_unit_test(reals_survive_the_trip),
                                     cmocka_unit_test(intdicts_and_arrays),
                                     cmocka_unit_test(arrays_nest_by_shape),
                                     cmocka_unit_test(members_have_defaults)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/params.h"

#include "base/value.h"
#include "support.h"

enum {
  TEXT = SHEAF_TYPE_STRING,
  INT = SHEAF_TYPE_INT,
  DOUBLE = SHEAF_TYPE_DOUBLE,
  BOOL = SHEAF_TYPE_BOOL
};

static const sheaf_param table[] = {
    {"vis", TEXT, "''", NULL, NULL, NULL, "The input.", SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"createmms", BOOL, "True", NULL, NULL, NULL, "Make a Multi-MS.", 0},
    {"separationaxis", TEXT, "'auto'", "auto|scan|spw|baseline", NULL, "createmms=True",
     "The axis.", 0},
    {"numsubms", TEXT | INT, "'auto'", NULL, NULL, "createmms=True", "How many.", 0},
    {"scan", TEXT, "''", NULL, NULL, NULL, "Scans.", 0},
    {"timebin", DOUBLE, "0.0", NULL, "s", NULL, "Bin.", 0},
    {"concatvis", SHEAF_TYPE_STRINGS, "[]", NULL, NULL, NULL, "Several inputs.",
     SHEAF_PARAM_EXISTS},
    {"field", TEXT | SHEAF_TYPE_INTS, "''", NULL, NULL, NULL, "Fields.", 0},
    {"weights", SHEAF_TYPE_DOUBLES, "[]", NULL, NULL, NULL, "Weights.", 0},
    {"library", SHEAF_TYPE_DICT, "{}", NULL, NULL, NULL, "Settings.", 0},
    {"mode", SHEAF_TYPE_STRINGS, "['a']", "a|b|", NULL, NULL, "Modes.", 0},
    {"anything", SHEAF_TYPE_ANY, "None", NULL, NULL, NULL, "What you like.",
     SHEAF_PARAM_HIDDEN | SHEAF_PARAM_OURS},
    {"maybe", BOOL | TEXT, "None", NULL, NULL, NULL, "A bool, a text or nothing.", 0},
};
enum { N = sizeof table / sizeof *table };

static sheaf_error err;

/* Checks {name: value} next to a good vis; the stored value as repr, or "" and err. */
static const char *checked(const char *name, const char *value) {
  static char text[500];
  json_t *given = json_pack("{s:s}", "vis", ".");
  json_object_set_new(given, name, sheaf_value_parse(value));
  json_t *full = NULL;
  text[0] = '\0';
  sheaf_error_clear(&err);
  const int rc = sheaf_params_check("partition", table, N, given, &full, &err);
  assert_int_equal(rc, err.code);
  assert_int_equal(rc == 0, full != NULL);
  if (full) {
    char *repr = sheaf_value_repr(json_object_get(full, name));
    snprintf(text, sizeof text, "%s", repr);
    free(repr);
  }
  json_decref(full);
  json_decref(given);
  return text;
}

static void defaults_complete_in_table_order(void **state) {
  (void)state;
  json_t *given = json_pack("{s:s, s:s}", "scan", "1", "vis", "."), *full;
  assert_int_equal(sheaf_params_check("partition", table, N, given, &full, NULL), 0);
  char *repr = sheaf_value_repr(full);
  assert_string_equal(
      repr,
      "{'vis': '.', 'createmms': True, 'separationaxis': 'auto', 'numsubms': 'auto', "
      "'scan': '1', 'timebin': 0.0, 'concatvis': [], 'field': '', 'weights': [], "
      "'library': {}, 'mode': ['a'], 'anything': None, 'maybe': None}");
  free(repr);
  json_decref(full);
  json_decref(given);
}

static void good_values_are_stored_as_given(void **state) {
  (void)state;
  static const char *const same[][2] = {
      {"createmms", "False"},     {"separationaxis", "'baseline'"},
      {"numsubms", "4"},          {"numsubms", "'auto'"},
      {"timebin", "2.5"},         {"timebin", "2"},
      {"field", "[1, 2]"},        {"field", "[]"},
      {"weights", "[1, 2.5]"},    {"library", "{'a': 1}"},
      {"mode", "['b', '']"},      {"anything", "[{'x': None}]"},
      {"maybe", "None"},          {"maybe", "'x'"},
      {"concatvis", "['.', '/']"}};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    assert_string_equal(checked(same[i][0], same[i][1]), same[i][1]);
  assert_string_equal(checked("concatvis", "'.'"), "['.']");
  assert_string_equal(checked("mode", "'b'"), "['b']");
}

static void bad_values_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *name, *value;
    int code;
    const char *text;
  } bad[] = {
      {"separtionaxis", "1", SHEAF_ERR_ARG,
       "partition: no parameter 'separtionaxis'; did you mean 'separationaxis'?"},
      {"Vis", "1", SHEAF_ERR_ARG, "partition: no parameter 'Vis'; did you mean 'vis'?"},
      {"xyzzy", "1", SHEAF_ERR_ARG,
       "partition: no parameter 'xyzzy'; its parameters are vis, createmms, separationaxis, "
       "numsubms, "
       "scan, timebin, concatvis, field, weights, library, mode, maybe"},
      {"separationaxis", "'time'", SHEAF_ERR_ARG,
       "separationaxis='time': must be one of auto, scan, spw, baseline"},
      {"separationaxis", "'Scan'", SHEAF_ERR_ARG,
       "separationaxis='Scan': must be one of auto, scan, spw, baseline"},
      {"separationaxis", "'sca'", SHEAF_ERR_ARG, NULL},
      {"separationaxis", "''", SHEAF_ERR_ARG, NULL},
      {"separationaxis", "'auto|scan'", SHEAF_ERR_ARG, NULL},
      {"mode", "['a', 'c']", SHEAF_ERR_ARG, "mode='c': must be one of a, b, ''"},
      {"vis", "'nope.ms'", SHEAF_ERR_NOTFOUND, "vis='nope.ms': no such file or directory"},
      {"vis", "''", SHEAF_ERR_ARG, "vis='': must not be empty"},
      {"vis", "['.']", SHEAF_ERR_ARG, "vis=['.']: must be a text"},
      {"concatvis", "['.', 'nope.ms']", SHEAF_ERR_NOTFOUND,
       "concatvis='nope.ms': no such file or directory"},
      {"concatvis", "['.', 1]", SHEAF_ERR_ARG, "concatvis=['.', 1]: must be a list of texts"},
      {"createmms", "'yes'", SHEAF_ERR_ARG, "createmms='yes': must be a bool (True or False)"},
      {"createmms", "1", SHEAF_ERR_ARG, "createmms=1: must be a bool (True or False)"},
      {"createmms", "0", SHEAF_ERR_ARG, NULL},
      {"createmms", "None", SHEAF_ERR_ARG, "createmms=None: must be a bool (True or False)"},
      {"numsubms", "True", SHEAF_ERR_ARG, "numsubms=True: must be an int or a text"},
      {"numsubms", "2.0", SHEAF_ERR_ARG, "numsubms=2.0: must be an int or a text"},
      {"numsubms", "[2]", SHEAF_ERR_ARG, NULL},
      {"timebin", "'5s'", SHEAF_ERR_ARG, "timebin='5s': must be a number"},
      {"timebin", "False", SHEAF_ERR_ARG, NULL},
      {"scan", "5", SHEAF_ERR_ARG, "scan=5: must be a text"},
      {"field", "[1, 'a']", SHEAF_ERR_ARG, "field=[1, 'a']: must be a text or a list of ints"},
      {"field", "[True]", SHEAF_ERR_ARG, NULL},
      {"weights", "['1']", SHEAF_ERR_ARG, NULL},
      {"weights", "1.5", SHEAF_ERR_ARG, "weights=1.5: must be a list of numbers"},
      {"library", "[]", SHEAF_ERR_ARG, "library=[]: must be a dictionary"},
      {"maybe", "1", SHEAF_ERR_ARG, "maybe=1: must be a bool (True or False) or a text"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_string_equal(checked(bad[i].name, bad[i].value), "");
    assert_int_equal(err.code, bad[i].code);
    if (bad[i].text) assert_string_equal(err.text, bad[i].text);
  }
}

static void required_must_be_given(void **state) {
  (void)state;
  static const sheaf_param bare[] = {{"infile", TEXT, NULL, NULL, NULL, NULL, "Input.", 0}};
  json_t *full;
  assert_int_equal(sheaf_params_check("partition", table, N, NULL, &full, &err), SHEAF_ERR_ARG);
  assert_string_equal(err.text, "partition: the parameter 'vis' must be given");
  assert_int_equal(sheaf_params_check("t", bare, 1, NULL, &full, &err), SHEAF_ERR_ARG);
  assert_string_equal(err.text, "t: the parameter 'infile' must be given");
  static const sheaf_param list[] = {
      {"vis", SHEAF_TYPE_STRINGS, "[]", NULL, NULL, NULL, "Input.", SHEAF_PARAM_REQUIRED}};
  json_t *given = json_pack("{s:[]}", "vis");
  assert_int_equal(sheaf_params_check("t", list, 1, given, &full, &err), SHEAF_ERR_ARG);
  assert_string_equal(err.text, "vis=[]: must not be empty");
  json_decref(given);
  given = json_pack("{s:s}", "infile", "");
  assert_int_equal(sheaf_params_check("t", bare, 1, given, &full, &err), 0);
  json_decref(full);
  json_decref(given);
}

/* Paths at the home directory, and values that are none. */
static void tilde_is_the_home_directory(void **state) {
  (void)state;
  static const sheaf_param paths[] = {
      {"vis", SHEAF_TYPE_STRINGS, "[]", NULL, NULL, NULL, "Input.", SHEAF_PARAM_PATH},
      {"out", TEXT, "''", NULL, NULL, NULL, "Output.", SHEAF_PARAM_PATH},
      {"field", TEXT, "''", NULL, NULL, NULL, "Field.", 0}};
  json_t *given = json_pack("{s:[s,s,s], s:s, s:s}", "vis", "~/a.ms", "~", "b/~/~x", "out",
                            "~me/x.ms", "field", "~/a");
  json_t *full;
  setenv("HOME", "/home/me", 1);
  assert_int_equal(sheaf_params_check("t", paths, 3, given, &full, &err), 0);
  char *text = sheaf_value_repr(full);
  assert_string_equal(text,
                      "{'vis': ['/home/me/a.ms', '/home/me', 'b/~/~x'], 'out': '~me/x.ms', "
                      "'field': '~/a'}");
  free(text);
  json_decref(full);
  json_decref(given);
}

static void capitals_are_not_listed_twice(void **state) {
  (void)state;
  static const sheaf_param axis[] = {
      {"axis", TEXT, "''", "auto|scan|AUTO|SCAN|", NULL, NULL, "Axis.", 0}};
  json_t *full, *given = json_pack("{s:s}", "axis", "SCAN");
  assert_int_equal(sheaf_params_check("t", axis, 1, given, &full, &err), 0);
  json_decref(full);
  json_object_set_new(given, "axis", json_string("time"));
  assert_int_equal(sheaf_params_check("t", axis, 1, given, &full, &err), SHEAF_ERR_ARG);
  assert_string_equal(err.text, "axis='time': must be one of auto, scan, ''");
  json_decref(given);
}

static void long_values_are_cut_in_messages(void **state) {
  (void)state;
  char value[1000];
  memset(value, 'x', sizeof value - 1);
  value[sizeof value - 1] = '\0';
  checked("separationaxis", value);
  assert_true(strlen(err.text) < 400);
  assert_contains(err.text, "must be one of auto, scan, spw, baseline");
}

/* What "assignment" adds, as "{'name': value}"; "" and err on failure. */
static const char *added(const char *assignment) {
  static char text[500];
  json_t *given = json_object();
  sheaf_error_clear(&err);
  const int rc = sheaf_params_add("partition", table, N, assignment, given, &err);
  char *repr = sheaf_value_repr(given);
  snprintf(text, sizeof text, "%s", rc == 0 ? repr : "");
  free(repr);
  json_decref(given);
  return text;
}

static void assignments_fit_the_types(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"scan=5", "{'scan': '5'}"},
      {"scan='5'", "{'scan': '5'}"},
      {"scan=5.10", "{'scan': '5.10'}"},
      {"scan=1~3,5", "{'scan': '1~3,5'}"},
      {"scan=", "{'scan': ''}"},
      {"scan=a=b", "{'scan': 'a=b'}"},
      {"scan=True", "{'scan': 'True'}"},
      {"scan=None", "{'scan': 'None'}"},
      {"numsubms=5", "{'numsubms': 5}"},
      {"numsubms=auto", "{'numsubms': 'auto'}"},
      {"numsubms=5.5", "{'numsubms': '5.5'}"},
      {"createmms=True", "{'createmms': True}"},
      {"createmms=true", "{'createmms': True}"},
      {"createmms=false", "{'createmms': False}"},
      {"createmms=yes", "{'createmms': 'yes'}"}, /* the check refuses it */
      {"createmms=1", "{'createmms': 1}"},
      {"maybe=true", "{'maybe': True}"},
      {"maybe='true'", "{'maybe': 'true'}"},
      {"maybe=x", "{'maybe': 'x'}"},
      {"timebin=5", "{'timebin': 5}"},
      {"field=[1,2]", "{'field': [1, 2]}"},
      {"field=3C273", "{'field': '3C273'}"},
      {"concatvis=['a','b']", "{'concatvis': ['a', 'b']}"},
      {"concatvis=[1,'b']", "{'concatvis': ['1', 'b']}"},
      {"concatvis=7", "{'concatvis': '7'}"},
      {"weights=[1,2.5]", "{'weights': [1, 2.5]}"},
      {"library={'a': 1}", "{'library': {'a': 1}}"},
      {"anything={1: 2}", "{'anything': {1: 2}}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(added(cases[i][0]), cases[i][1]);
}

static void bad_assignments_are_refused(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"scan", "partition: 'scan' is no parameter; write name=value"},
      {"=5", "partition: '=5' is no parameter; write name=value"},
      {"", "partition: '' is no parameter; write name=value"},
      {"numsubm=5", "partition: no parameter 'numsubm'; did you mean 'numsubms'?"},
      {"scan=caf\xe9", "partition: the value of 'scan' is not UTF-8 text"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_string_equal(added(cases[i][0]), "");
    assert_int_equal(err.code, SHEAF_ERR_ARG);
    assert_string_equal(err.text, cases[i][1]);
  }
  json_t *given = json_object();
  assert_int_equal(sheaf_params_add("partition", table, N, "scan=1", given, &err), 0);
  assert_int_equal(sheaf_params_add("partition", table, N, "scan=2", given, &err), SHEAF_ERR_ARG);
  assert_string_equal(err.text, "partition: the parameter 'scan' is given twice");
  assert_string_equal(sheaf_value_str(given, "scan", ""), "1");
  json_decref(given);
}

static void nearest_words(void **state) {
  (void)state;
  static const char *const words[] = {"vis", "outputvis", "separationaxis", "numsubms",
                                      "datacolumn"};
  static const struct {
    const char *word, *nearest;
  } cases[] = {{"vis", "vis"},
               {"VIS", "vis"},
               {"vsi", "vis"},
               {"viss", "vis"},
               {"outvis", "outputvis"},
               {"outptuvis", "outputvis"},
               {"separation", "separationaxis"},
               {"datacol", "datacolumn"},
               {"numsubs", "numsubms"},
               {"xyz", NULL},
               {"field", NULL},
               {"", NULL},
               {"q", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *nearest = sheaf_nearest(cases[i].word, words, 5);
    assert_string_equal(nearest ? nearest : "none", cases[i].nearest ? cases[i].nearest : "none");
  }
  assert_null(sheaf_nearest("vis", NULL, 0));
  char endless[500];
  memset(endless, 'v', sizeof endless - 1);
  endless[sizeof endless - 1] = '\0';
  assert_null(sheaf_nearest(endless, words, 5));
}

static void help_tells_all(void **state) {
  (void)state;
  char *text = sheaf_params_help(table, N);
  assert_contains(text, "  vis = ''\n      The input.\n      Takes a text; must be given.\n");
  assert_contains(
      text,
      "  separationaxis = 'auto'\n      The axis.\n      Takes a text: auto, scan, spw, "
      "baseline; applies with createmms=True.\n");
  assert_contains(text, "  timebin = 0.0 [s]\n");
  assert_contains(text, "not in CASA");
  assert_true(strstr(text, "anything") > strstr(text, "maybe")); /* hidden ones come last */
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(defaults_complete_in_table_order),
                                     cmocka_unit_test(good_values_are_stored_as_given),
                                     cmocka_unit_test(bad_values_are_refused),
                                     cmocka_unit_test(required_must_be_given),
                                     cmocka_unit_test(tilde_is_the_home_directory),
                                     cmocka_unit_test(capitals_are_not_listed_twice),
                                     cmocka_unit_test(long_values_are_cut_in_messages),
                                     cmocka_unit_test(assignments_fit_the_types),
                                     cmocka_unit_test(bad_assignments_are_refused),
                                     cmocka_unit_test(nearest_words),
                                     cmocka_unit_test(help_tells_all)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/multims.h"

#include <dirent.h>

#include "base/file.h"
#include "base/log.h"
#include "support.h"

#define CASA_MMS SHEAF_SOURCE_DIR "/tests/unit/data/casa_mms.tar.xz"

static sheaf_error err;
static char problems[65536];

/* Every test has casa.mms, made by CASA, in its scratch directory. */
static int setup(void **state) {
  sheaf_log_terminal(0);
  sheaf_error_clear(&err);
  problems[0] = '\0';
  return make_scratch(state) == 0 && system("tar xf " CASA_MMS) == 0 ? 0 : -1;
}

static void note(void *user, const char *member, const char *text) {
  (void)user;
  const size_t n = strlen(problems);
  snprintf(problems + n, sizeof problems - n, "[%s] %s\n", member, text);
}

static int check(const char *path) {
  problems[0] = '\0';
  return sheaf_mms_check(path, note, NULL, &err);
}

static void assert_link(const char *path, const char *target) {
  char found[400] = "";
  const ssize_t n = readlink(path, found, sizeof found - 1);
  assert_true(n > 0);
  found[n] = '\0';
  assert_string_equal(found, target);
}

static void assert_ends(const char *text, const char *end) {
  assert_true(strlen(text) >= strlen(end));
  assert_string_equal(text + strlen(text) - strlen(end), end);
}

/* Takes casa.mms apart into a.ms, b.ms and c.ms; b and c get sub-tables of their own again. */
static void take_apart(void) {
  assert_int_equal(
      system("set -e; mv casa.mms/SUBMSS/casa.mms.0000.ms a.ms; for p in 1:b 2:c; do m=${p#*:}.ms; "
             "mv casa.mms/SUBMSS/casa.mms.000${p%:*}.ms $m; for t in a.ms/*/; do t=${t%/}; "
             "n=${t##*/}; rm -rf $m/$n; cp -r $t $m/$n; done; done; rm -r casa.mms"),
      0);
}

static void reads_what_casa_made(void **state) {
  (void)state;
  char **names, axis[32];
  size_t n;
  assert_int_equal(sheaf_mms_is("casa.mms"), 1);
  assert_int_equal(sheaf_mms_is("casa.mms/"), 1);
  assert_int_equal(sheaf_mms_members("casa.mms", &names, &n, &err), 0);
  assert_int_equal(n, 3);
  assert_null(names[3]);
  assert_int_equal(names[0][0], '/');
  assert_ends(names[0], "/casa.mms/SUBMSS/casa.mms.0000.ms");
  assert_ends(names[2], "/casa.mms/SUBMSS/casa.mms.0002.ms");
  sheaf_mms_members_free(names);
  assert_int_equal(sheaf_mms_axis("casa.mms", axis, sizeof axis, &err), 0);
  assert_string_equal(axis, "scan");
  assert_int_equal(check("casa.mms"), 0);
  assert_int_equal(sheaf_mms_subtables("casa.mms", &names, &n, &err), 0);
  assert_int_equal(n, 13);
  sheaf_mms_members_free(names);
}

static void plain_ms_is_its_own_member(void **state) {
  (void)state;
  char **names, axis[32];
  size_t n;
  take_apart();
  assert_int_equal(sheaf_mms_is("a.ms"), 0);
  assert_int_equal(sheaf_mms_members("a.ms", &names, &n, &err), 0);
  assert_int_equal(n, 1);
  assert_ends(names[0], "/a.ms");
  sheaf_mms_members_free(names);
  assert_int_equal(sheaf_mms_axis("a.ms", axis, sizeof axis, &err), 0);
  assert_string_equal(axis, "");
  assert_int_equal(check("a.ms"), 0);
}

static void nothing_there(void **state) {
  (void)state;
  char **names;
  size_t n;
  assert_int_equal(sheaf_mms_is("none.ms"), 0);
  assert_int_equal(sheaf_mms_members("none.ms", &names, &n, &err), SHEAF_ERR_NOTFOUND);
  assert_non_null(strstr(err.text, "none.ms"));
  assert_int_equal(check("none.ms"), SHEAF_ERR_NOTFOUND);
}

static void damaged_table_is_an_error(void **state) {
  (void)state;
  char **names;
  size_t n;
  write_text("casa.mms/table.dat", "no table");
  assert_int_equal(sheaf_mms_is("casa.mms"), 0);
  assert_int_equal(sheaf_mms_members("casa.mms", &names, &n, &err), SHEAF_ERR_DATA);
}

static void axis_is_replaced(void **state) {
  (void)state;
  char axis[32];
  assert_int_equal(sheaf_mms_axis_set("casa.mms", "scan,spw", &err), 0);
  assert_int_equal(sheaf_mms_axis("casa.mms", axis, sizeof axis, &err), 0);
  assert_string_equal(axis, "scan,spw");
  const char *text = read_text("casa.mms/table.info");
  assert_non_null(strstr(text,
                         "Type = Measurement Set\nSubType = CONCATENATED\n\nAxisType = scan,spw\n"
                         "This is a MeasurementSet"));
  assert_null(strstr(text, "AxisType = scan\n"));
  assert_int_equal(sheaf_mms_is("casa.mms"), 1);
}

static void makes_what_casa_makes(void **state) {
  (void)state;
  const char *members[] = {"a.ms", "b.ms", "c.ms"};
  const sheaf_mms_options options = {.axis = "scan", .copy_own = 1};
  take_apart();
  assert_int_equal(mkdir("out.mms", 0777), 0);
  assert_int_equal(sheaf_mms_assemble("out.mms", members, 3, &options, &err), 0);
  assert_int_equal(check("out.mms"), 0);
  assert_false(sheaf_path_exists("a.ms"));
  assert_link("out.mms/ANTENNA", "SUBMSS/a.ms/ANTENNA");
  assert_link("out.mms/SOURCE", "SUBMSS/a.ms/SOURCE");
  assert_link("out.mms/SUBMSS/b.ms/ANTENNA", "../a.ms/ANTENNA");
  assert_true(sheaf_path_is_dir("out.mms/SUBMSS/b.ms/SOURCE"));
  assert_true(sheaf_path_is_dir("out.mms/SUBMSS/c.ms/HISTORY"));
  assert_string_equal(read_text("out.mms/table.info"),
                      "Type = Measurement Set\nSubType = CONCATENATED\n\nAxisType = scan\n"
                      "This is a MeasurementSet Table holding measurements from a Telescope\n"
                      "This is a measurement set Table holding astronomical observations\n"
                      "Virtual concatenation of the following tables:\n  SUBMSS/a.ms\n  "
                      "SUBMSS/b.ms\n  SUBMSS/c.ms\n");
}

/* table.dat of CASA's Multi-MS, byte for byte, when the names are the same. */
static void table_file_is_casas(void **state) {
  (void)state;
  const char *members[] = {"casa.mms/SUBMSS/casa.mms.0000.ms", "casa.mms/SUBMSS/casa.mms.0001.ms",
                           "casa.mms/SUBMSS/casa.mms.0002.ms"};
  assert_int_equal(system("cp casa.mms/table.dat casa.dat; find casa.mms -maxdepth 1 -type l "
                          "-delete; rm casa.mms/table.*"),
                   0);
  assert_int_equal(sheaf_mms_assemble("casa.mms", members, 3, NULL, &err), 0);
  assert_int_equal(system("cmp casa.mms/table.dat casa.dat"), 0);
  assert_int_equal(check("casa.mms"), 0);
}

static void can_be_moved(void **state) {
  (void)state;
  assert_int_equal(mkdir("far", 0777), 0);
  assert_int_equal(rename("casa.mms", "far/other.mms"), 0);
  assert_int_equal(check("far/other.mms"), 0);
}

static void one_member_will_do(void **state) {
  (void)state;
  const char *members[] = {"a.ms"};
  take_apart();
  assert_int_equal(mkdir("one.mms", 0777), 0);
  assert_int_equal(sheaf_mms_assemble("one.mms", members, 1, NULL, &err), 0);
  assert_int_equal(sheaf_mms_is("one.mms"), 1);
  assert_int_equal(check("one.mms"), 0);
}

/* CASA cannot make a Multi-MS of MSs without SOURCE. */
static void works_without_source(void **state) {
  (void)state;
  const char *members[] = {"a.ms", "b.ms"};
  take_apart();
  assert_int_equal(system("rm -r a.ms/SOURCE b.ms/SOURCE"), 0);
  assert_int_equal(mkdir("out.mms", 0777), 0);
  assert_int_equal(sheaf_mms_assemble("out.mms", members, 2, NULL, &err), 0);
  assert_int_equal(check("out.mms"), 0);
  assert_false(sheaf_path_exists("out.mms/SOURCE"));
}

static void members_may_keep_their_own(void **state) {
  (void)state;
  const char *members[] = {"a.ms", "b.ms"};
  const char *own[] = {"SOURCE", "HISTORY", "FLAG_CMD", NULL};
  const sheaf_mms_options options = {.own = own};
  take_apart();
  write_text("b.ms/HISTORY/mark", "b's own");
  assert_int_equal(mkdir("out.mms", 0777), 0);
  assert_int_equal(sheaf_mms_assemble("out.mms", members, 2, &options, &err), 0);
  assert_int_equal(check("out.mms"), 0);
  assert_string_equal(read_text("out.mms/SUBMSS/b.ms/HISTORY/mark"), "b's own");
  assert_true(sheaf_path_is_dir("out.mms/SUBMSS/b.ms/FLAG_CMD"));
}

static void refuses_nonsense(void **state) {
  (void)state;
  const char *twice[] = {"a.ms", "a.ms"}, *missing[] = {"a.ms", "none.ms"};
  take_apart();
  assert_int_equal(mkdir("x.mms", 0777), 0);
  assert_int_equal(sheaf_mms_assemble("x.mms", twice, 0, NULL, &err), SHEAF_ERR_ARG);
  assert_int_equal(sheaf_mms_assemble("x.mms", missing, 2, NULL, &err), SHEAF_ERR_IO);
  assert_non_null(strstr(err.text, "none.ms"));
  assert_int_equal(mkdir("y.mms", 0777), 0);
  assert_true(sheaf_mms_assemble("y.mms", twice, 2, NULL, &err) < 0);
}

static void check_finds(const char *command, const char *what) {
  assert_int_equal(system(command), 0);
  assert_true(check("casa.mms") > 0);
  if (!strstr(problems, what)) fail_msg("'%s' is not among:\n%s", what, problems);
}

static void check_finds_missing_member(void **state) {
  (void)state;
  check_finds("mv casa.mms/SUBMSS/casa.mms.0001.ms gone", "[casa.mms.0001.ms] cannot be opened");
  assert_non_null(strstr(problems, "rows together"));
}

static void check_finds_missing_owner(void **state) {
  (void)state;
  check_finds("mv casa.mms/SUBMSS/casa.mms.0000.ms gone",
              "[casa.mms.0001.ms] link ANTENNA leads nowhere");
}

static void check_finds_missing_data(void **state) {
  (void)state;
  check_finds("rm casa.mms/SUBMSS/casa.mms.0002.ms/table.f17*", "[casa.mms.0002.ms] cannot be");
}

static void check_finds_missing_link(void **state) {
  (void)state;
  check_finds("rm casa.mms/FIELD", "[] link to sub-table FIELD is missing");
}

static void check_finds_absolute_link(void **state) {
  (void)state;
  check_finds("cp -r casa.mms copy; ln -sfn $PWD/copy/SUBMSS/casa.mms.0000.ms/FIELD casa.mms/FIELD",
              "link FIELD is absolute");
  assert_non_null(strstr(problems, "link FIELD leads out of the Multi-MS"));
}

static void check_finds_missing_subtable(void **state) {
  (void)state;
  check_finds("rm -r casa.mms/SUBMSS/casa.mms.0001.ms/SOURCE",
              "[casa.mms.0001.ms] sub-table SOURCE is missing");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(reads_what_casa_made),
      TEST(plain_ms_is_its_own_member),
      TEST(nothing_there),
      TEST(damaged_table_is_an_error),
      TEST(axis_is_replaced),
      TEST(makes_what_casa_makes),
      TEST(table_file_is_casas),
      TEST(can_be_moved),
      TEST(one_member_will_do),
      TEST(works_without_source),
      TEST(members_may_keep_their_own),
      TEST(refuses_nonsense),
      TEST(check_finds_missing_member),
      TEST(check_finds_missing_owner),
      TEST(check_finds_missing_data),
      TEST(check_finds_missing_link),
      TEST(check_finds_absolute_link),
      TEST(check_finds_missing_subtable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "task/registry.h"
#include "task/session.h"
#include "task/task.h"

/* ---- a task that squares numbers, one unit each, and stops at those it is told to ---- */

static char order[256]; /* units as they ran: "2 0 1 " */
static char merged[256];

static int square(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  const int64_t n = sheaf_value_int(args, "n", 0);
  char *end = order + strlen(order);
  snprintf(end, sizeof order - (size_t)(end - order), "%d ", (int)n);
  if (n == sheaf_value_int(common, "empty", -1))
    return sheaf_fail(err, SHEAF_ERR_EMPTY, "nothing in unit %d", (int)n);
  if (n == sheaf_value_int(common, "bad", -1)) {
    *value = json_integer(13);
    return sheaf_fail(err, SHEAF_ERR_DATA, "number %d is bad", (int)n);
  }
  if (n == sheaf_value_int(common, "cancel", -1)) sheaf_cancel_set(1);
  *value = json_integer(n * n);
  return 0;
}

static int collect(void *user, size_t index, const json_t *value, sheaf_error *err) {
  char *end = merged + strlen(merged);
  snprintf(end, sizeof merged - (size_t)(end - merged), "%zu:%d ", index,
           value ? (int)json_integer_value(value) : -1);
  *(int64_t *)user += value ? json_integer_value(value) : 0;
  return index == 7 ? sheaf_fail(err, SHEAF_ERR_INTERNAL, "seven cannot be merged") : 0;
}

enum { MAX_UNITS = 8 };

static int run_round(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  static const char *const labels[MAX_UNITS] = {"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"};
  const json_t *costs = json_object_get(par, "costs");
  sheaf_unit units[MAX_UNITS];
  json_t *args[MAX_UNITS];
  int64_t sum = 0;
  const size_t n = json_array_size(costs);
  for (size_t i = 0; i < n; i++) {
    args[i] = json_pack("{s:I}", "n", (json_int_t)i);
    units[i] = (sheaf_unit){labels[i], json_integer_value(json_array_get(costs, i)), args[i]};
  }
  const sheaf_round round = {.work = sheaf_value_str(par, "work", ""),
                             .common = (json_t *)par,
                             .units = units,
                             .nunit = n,
                             .merge = collect,
                             .user = &sum};
  const int rc = sheaf_job_round(job, &round, err);
  for (size_t i = 0; i < n; i++) json_decref(args[i]);
  if (rc >= 0) *result = json_integer(sum);
  return rc;
}

static int run_stage(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  sheaf_stage stage;
  (void)job, (void)result;
  const int rc = sheaf_stage_begin(&stage, sheaf_value_str(par, "out", ""), err);
  if (rc < 0) return rc;
  return sheaf_fail(err, SHEAF_ERR_IO, "the disk of %s is on fire", stage.final);
}

static int servers;

static int run_idle(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  (void)result, (void)err;
  servers = sheaf_job_nserver(job) * 10;
  sheaf_job_serial(job);
  servers += sheaf_job_nserver(job);
  assert_ptr_equal(sheaf_job_params(job), par);
  assert_string_equal(sheaf_job_task(job)->name, "idle");
  return 0;
}

static const sheaf_param round_params[] = {
    {.name = "costs", .types = SHEAF_TYPE_INTS, .otherwise = "[]", .help = "costs of the units"},
    {.name = "work", .types = SHEAF_TYPE_STRING, .otherwise = "'round.square'", .help = "kind"},
    {.name = "empty", .types = SHEAF_TYPE_INT, .otherwise = "-1", .help = "this one is empty"},
    {.name = "bad", .types = SHEAF_TYPE_INT, .otherwise = "-1", .help = "this one fails"},
    {.name = "cancel",
     .types = SHEAF_TYPE_INT,
     .otherwise = "-1",
     .help = "this one is interrupted",
     .flags = SHEAF_PARAM_HIDDEN}};
static const sheaf_param stage_params[] = {
    {.name = "out", .types = SHEAF_TYPE_STRING, .otherwise = "''", .help = "output"}};
static const sheaf_work works[] = {{"round.square", square, 0}, {NULL, NULL, 0}};
static const sheaf_task idle = {.name = "idle", .summary = "Does nothing", .run = run_idle};
static const sheaf_task rounds = {.name = "round",
                                  .summary = "Squares numbers",
                                  .help = "Returns the sum of squares.",
                                  .params = round_params,
                                  .nparam = 5,
                                  .run = run_round,
                                  .work = works};
static const sheaf_task stages = {.name = "stage",
                                  .summary = "Fails half-way",
                                  .params = stage_params,
                                  .nparam = 1,
                                  .run = run_stage};
static const sheaf_task *const fakes[] = {&idle, &rounds, &stages};

static char folder[64];

static int set_up(void **state) {
  (void)state;
  strcpy(folder, "/tmp/sheaf-test-task-XXXXXX");
  if (!mkdtemp(folder) || chdir(folder)) return -1;
  sheaf_registry_set(fakes, 3);
  order[0] = merged[0] = '\0';
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sheaf_log_file(NULL, NULL);
  sheaf_cancel_set(0);
  sheaf_scheduler_set(NULL);
  sheaf_registry_set(NULL, 0);
  return chdir("/") || sheaf_tree_remove(folder, NULL) < 0;
}

static int call(const char *name, const char *json, json_t **result, sheaf_error *err) {
  json_t *given = json_loads(json, 0, NULL);
  assert_non_null(given);
  const int rc = sheaf_task_call(name, given, result, err);
  json_decref(given);
  return rc;
}

static void test_order(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  assert_int_equal(call("round", "{\"costs\": [5, 9, 5, 100]}", &value, &err), 0);
  assert_int_equal(json_integer_value(value), 0 + 1 + 4 + 9);
  assert_string_equal(order, "3 1 0 2 ");
  assert_string_equal(merged, "0:0 1:1 2:4 3:9 ");
  json_decref(value);
}

static void test_no_units(void **state) {
  (void)state;
  json_t *value;
  assert_int_equal(call("round", "{}", &value, NULL), 0);
  assert_int_equal(json_integer_value(value), 0);
  assert_string_equal(order, "");
  json_decref(value);
}

static void test_empty_unit_is_no_failure(void **state) {
  (void)state;
  json_t *value;
  assert_int_equal(call("round", "{\"costs\": [1, 1, 1], \"empty\": 1}", &value, NULL), 0);
  assert_string_equal(merged, "0:0 1:-1 2:4 ");
  json_decref(value);
}

static void test_failure_names_unit_and_ends_round(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  const char *given = "{\"costs\": [1, 2, 3], \"bad\": 1}";
  assert_int_equal(call("round", given, &value, &err), SHEAF_ERR_DATA);
  assert_null(value);
  assert_string_equal(err.text, "u1: number 1 is bad");
  assert_string_equal(order, "2 1 ");
  assert_string_equal(merged, "");
}

static void test_merge_failure(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  const char *given = "{\"costs\": [1, 1, 1, 1, 1, 1, 1, 1]}";
  assert_int_equal(call("round", given, &value, &err), SHEAF_ERR_INTERNAL);
  assert_string_equal(err.text, "seven cannot be merged");
}

static void test_cancel_between_units(void **state) {
  (void)state;
  json_t *value;
  const char *given = "{\"costs\": [3, 2, 1], \"cancel\": 1}";
  assert_int_equal(call("round", given, &value, NULL), SHEAF_ERR_INTERRUPTED);
  assert_string_equal(order, "0 1 ");
  assert_null(value);
}

static void test_unknown_work(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  const char *given = "{\"costs\": [1], \"work\": \"x.y\"}";
  assert_int_equal(call("round", given, &value, &err), SHEAF_ERR_INTERNAL);
  assert_non_null(strstr(err.text, "'x.y'"));
}

static void test_unknown_task_and_parameter(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  assert_int_equal(call("rounds", "{}", &value, &err), SHEAF_ERR_NOTFOUND);
  assert_non_null(strstr(err.text, "did you mean 'round'"));
  assert_int_equal(call("zzzzzz", "{}", &value, &err), SHEAF_ERR_NOTFOUND);
  assert_null(strstr(err.text, "did you mean"));
  assert_int_equal(call("round", "{\"cots\": [1]}", &value, &err), SHEAF_ERR_ARG);
  assert_non_null(strstr(err.text, "'costs'"));
  assert_int_equal(call("round", "{\"bad\": \"x\"}", &value, &err), SHEAF_ERR_ARG);
  assert_null(value);
}

static int fake_run(void *self, const sheaf_round *round, sheaf_error *err) {
  (*(int *)self)++;
  return sheaf_schedule_local(round, err);
}

static int fake_nserver(void *self) {
  (void)self;
  return 4;
}

static void test_installed_scheduler(void **state) {
  (void)state;
  int calls = 0;
  json_t *value;
  const sheaf_scheduler scheduler = {fake_run, fake_nserver, &calls};
  sheaf_scheduler_set(&scheduler);
  assert_int_equal(call("round", "{\"costs\": [1]}", &value, NULL), 0);
  json_decref(value);
  assert_int_equal(calls, 1);
  assert_int_equal(call("idle", "{}", &value, NULL), 0);
  assert_true(json_is_null(value));
  assert_int_equal(servers, 40);
}

static size_t count_entries(const char *path) {
  DIR *dir = opendir(path);
  size_t n = 0;
  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir));)
    n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
  closedir(dir);
  return n;
}

static void test_failure_leaves_nothing(void **state) {
  (void)state;
  json_t *value;
  sheaf_error err;
  assert_int_equal(call("stage", "{\"out\": \"a.ms\"}", &value, &err), SHEAF_ERR_IO);
  assert_non_null(strstr(err.text, "on fire"));
  assert_int_equal(count_entries("."), 0);
}

/* The log's lines without time, priority and origin. */
static char *read_messages(const char *path) {
  char *text, *save;
  size_t n, used = 0;
  assert_int_equal(sheaf_file_read(path, &text, &n, NULL), 0);
  char *out = calloc(n + 1, 1);
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    used += (size_t)sprintf(out + used, "%s\n", strrchr(line, '\t') + 1);
  free(text);
  return out;
}

/* The frame that CASA 6.7.0.31 puts around each task. */
static void test_log_frame(void **state) {
  (void)state;
  json_t *value;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  assert_int_equal(call("round", "{\"costs\": [2]}", &value, NULL), 0);
  json_decref(value);
  char *log = read_messages("a.log");
  const char *begin =
      "##########################################\n"
      "##### Begin Task: round              #####\n"
      "round( costs=[2], work='round.square', empty=-1, bad=-1, cancel=-1 )\n"
      "Task round complete. Start time: ";
  const char *end =
      "\n##### End Task: round                #####\n"
      "##########################################\n";
  assert_memory_equal(log, begin, strlen(begin));
  assert_string_equal(log + strlen(log) - strlen(end), end);
  char from[64], to[64];
  assert_int_equal(
      sscanf(log + strlen(begin), "%*4d-%*2d-%*2d %63s End time: %*4d-%*2d-%*2d %63s", from, to),
      2);
  assert_int_equal(strlen(from), strlen("06:13:45.394060"));
  assert_int_equal(strlen(to), strlen("06:13:45.394060"));
  free(log);
}

static void test_log_of_failure(void **state) {
  (void)state;
  json_t *value;
  assert_int_equal(sheaf_log_file("a.log", NULL), 0);
  assert_int_equal(call("round", "{\"costs\": [2], \"bad\": 0}", &value, NULL), SHEAF_ERR_DATA);
  char *text;
  size_t n;
  assert_int_equal(sheaf_file_read("a.log", &text, &n, NULL), 0);
  assert_non_null(
      strstr(text, "\tSEVERE\tround::::casa\tTask round failed: u0: number 0 is bad\n"));
  assert_non_null(strstr(text, "Task round failed. Start time: "));
  free(text);
}

static int session(const char *name, const char *json) {
  json_t *given = json_loads(json, 0, NULL), *value = NULL;
  const int rc = sheaf_session_call(name, given, &value, NULL);
  json_decref(value);
  json_decref(given);
  return rc;
}

static void test_session_log(void **state) {
  (void)state;
  assert_int_equal(sheaf_session_log("own.log", NULL), 0);
  assert_int_equal(session("rond", "{}"), SHEAF_ERR_NOTFOUND);
  assert_int_equal(session("round", "{\"x\": 1}"), SHEAF_ERR_ARG);
  assert_int_equal(count_entries("."), 0); /* wrong usage leaves no log */
  assert_int_equal(session("idle", "{}"), 0);
  assert_true(sheaf_path_exists("own.log"));
  assert_int_equal(sheaf_session_log("none", NULL), 0);
  assert_int_equal(session("idle", "{}"), 0);
  assert_int_equal(count_entries("."), 1);
}

static void test_session_log_that_cannot_be_opened(void **state) {
  (void)state;
  assert_int_equal(sheaf_session_log(NULL, NULL), 0);
  setenv("SHEAF_LOGFILE", "no/such/folder.log", 1);
  assert_int_equal(session("idle", "{}"), SHEAF_ERR_IO);
  assert_int_equal(session("idle", "{}"), SHEAF_ERR_IO);
  unsetenv("SHEAF_LOGFILE");
  assert_int_equal(sheaf_session_log("none", NULL), 0);
  assert_int_equal(sheaf_session_log("no/such/folder.log", NULL), SHEAF_ERR_IO);
  assert_int_equal(session("idle", "{}"), 0); /* as before: none */
}

static void test_help(void **state) {
  (void)state;
  char *text = sheaf_task_help(&rounds);
  assert_non_null(text);
  assert_non_null(strstr(text, "round - Squares numbers\n"));
  assert_non_null(strstr(text, "round(costs=[], work='round.square', empty=-1, bad=-1)\n"));
  assert_non_null(strstr(text, "Returns the sum of squares."));
  assert_non_null(strstr(text, "this one is empty"));
  free(text);
}

/* No line is longer than 92 characters, and no word is lost. */
static void test_help_is_wrapped(void **state) {
  (void)state;
  static const char words[] =
      "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
      "sixteen seventeen eighteen nineteen twenty.\n\n  as it stands";
  sheaf_task task = rounds;
  task.help = words;
  char *text = sheaf_task_help(&task), *save, *copy = strdup(text);
  for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    assert_true(strlen(line) <= 92);
  assert_non_null(strstr(text, "fifteen\nsixteen seventeen"));
  assert_non_null(strstr(text, "twenty.\n\n  as it stands\n"));
  free(copy);
  free(text);
}

static void test_builtin_table_is_sound(void **state) {
  (void)state;
  sheaf_registry_set(NULL, 0);
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  for (size_t i = 0; i < n; i++) {
    assert_non_null(list[i]->summary);
    assert_non_null(list[i]->run);
    assert_ptr_equal(sheaf_task_find(list[i]->name), list[i]);
    if (i) assert_true(strcmp(list[i - 1]->name, list[i]->name) < 0);
    for (const sheaf_work *work = list[i]->work; work && work->name; work++)
      assert_ptr_equal(sheaf_work_find(work->name), work);
  }
  assert_null(sheaf_task_find("idle"));
  assert_null(sheaf_work_find("round.square"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(test_order),
      TEST(test_no_units),
      TEST(test_empty_unit_is_no_failure),
      TEST(test_failure_names_unit_and_ends_round),
      TEST(test_merge_failure),
      TEST(test_cancel_between_units),
      TEST(test_unknown_work),
      TEST(test_unknown_task_and_parameter),
      TEST(test_installed_scheduler),
      TEST(test_failure_leaves_nothing),
      TEST(test_log_frame),
      TEST(test_log_of_failure),
      TEST(test_session_log),
      TEST(test_session_log_that_cannot_be_opened),
      TEST(test_help),
      TEST(test_help_is_wrapped),
      TEST(test_builtin_table_is_sound),
  };
  sheaf_log_terminal(0);
  return cmocka_run_group_tests(tests, NULL, NULL);
}

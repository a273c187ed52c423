/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/memory.h"

#include <sys/wait.h>

#include "support.h"

static void sizes_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t bytes;
  } good[] = {{"64M", 64LL << 20},      {"67108864", 64LL << 20}, {"4G", 4LL << 30},
              {"800m", 800LL << 20},    {"1.5G", 3LL << 29},      {"1T", 1LL << 40},
              {"512MB", 512LL << 20},   {"512MiB", 512LL << 20},  {"70000K", 70000LL << 10},
              {"100000000B", 100000000}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(sheaf_memory_set(good[i].text, NULL), 0);
    assert_int_equal(sheaf_memory_budget(), good[i].bytes);
  }
}

static void bad_sizes_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"",   "0",      "63M", "-4G", "lots",
                                    "4X", "4GG",    "4 G", "1e9", "0x4G",
                                    "G",  "1.2.3G", "inf", "nan", "9999999999T"};
  assert_int_equal(sheaf_memory_set("100M", NULL), 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    sheaf_error err;
    assert_int_equal(sheaf_memory_set(bad[i], &err), SHEAF_ERR_ARG);
    assert_contains(err.text, bad[i]);
    assert_contains(err.text, "at least 64M");
  }
  assert_int_equal(sheaf_memory_budget(), 100LL << 20);
}

static void processes_share(void **state) {
  (void)state;
  assert_int_equal(sheaf_memory_set("300M", NULL), 0);
  sheaf_memory_share(3);
  assert_int_equal(sheaf_memory_budget(), 100LL << 20);
  sheaf_memory_share(0);
  assert_int_equal(sheaf_memory_budget(), 300LL << 20);
  sheaf_memory_share(1);
}

/* The budget of a process that set nothing itself, in bytes by way of a file. */
static int64_t fresh_budget(const char *environment) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (environment)
      setenv("SHEAF_MEMORY", environment, 1);
    else
      unsetenv("SHEAF_MEMORY");
    freopen("err", "w", stderr);
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)sheaf_memory_budget());
    write_text("budget", text);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return atoll(read_text("budget"));
}

static void default_is_half_of_what_there_is(void **state) {
  (void)state;
  int64_t all = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  const int64_t limit = sheaf_memory_cgroup_limit("");
  if (limit < all) all = limit;
  assert_int_equal(fresh_budget(NULL), all / 2);
  assert_int_equal(fresh_budget(""), all / 2);
  assert_int_equal(fresh_budget("1G"), 1LL << 30);
  assert_int_equal(fresh_budget("much"), all / 2);
  assert_contains(read_text("err"), "SHEAF_MEMORY is ignored: memory='much'");
}

static void make_file(const char *dir, const char *name, const char *text) {
  char command[300];
  snprintf(command, sizeof command, "mkdir -p '%s%s'", scratch, dir);
  assert_int_equal(system(command), 0);
  char path[300];
  snprintf(path, sizeof path, "%s%s/%s", scratch, dir, name);
  write_text(path, text);
}

static void control_groups_limit(void **state) {
  (void)state;
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), INT64_MAX); /* nothing there */
  make_file("/proc/self", "cgroup", "3:cpu:/x\n2:memory:/a/b\n0::/c/d\n");
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), INT64_MAX);
  make_file("/sys/fs/cgroup/memory/a/b", "memory.limit_in_bytes", "9223372036854771712\n");
  make_file("/sys/fs/cgroup/memory/a", "memory.limit_in_bytes", "3000000000\n");
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), 3000000000);
  make_file("/sys/fs/cgroup/c/d", "memory.max", "max\n");
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), 3000000000);
  make_file("/sys/fs/cgroup/c", "memory.max", "2000000000\n");
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), 2000000000);
  make_file("/sys/fs/cgroup", "memory.max", "1000000000\n"); /* a container's own root */
  assert_int_equal(sheaf_memory_cgroup_limit(scratch), 1000000000);
}

#define IN_SCRATCH(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCRATCH(default_is_half_of_what_there_is), /* first: nothing is set yet */
      IN_SCRATCH(control_groups_limit), cmocka_unit_test(sizes_are_read),
      cmocka_unit_test(bad_sizes_are_refused), cmocka_unit_test(processes_share)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

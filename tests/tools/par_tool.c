/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * par_tool ROUND … - runs rounds of synthetic units through the scheduler, as a task would; for
 * tests/mpi.
 *
 * Each ROUND is a comma-separated list of units; each unit is WORDS joined by '+', done in this
 * order: cost=N  sleep=MS  hang (until cancelled)  await=PATH (a file)  empty  fail  lost (as if a
 * child had been killed)  lostonce=PATH (if this file can be made)  kill (this process, signal 9)
 * killserver (only in a server)  die=PATH (if this file can be made, signal 9: happens once)  segv
 * log  progress=N  bytes=N (size of the result)  touch=PATH
 * For the client, in place of a round: latency=N (N empty units in turn, prints their times in us)
 * until=PATH (waits for a file)  servers=N (waits until so many are left)  nserver (prints how many
 * there are)  breaksend=N (after N more calls MPI_Isend fails once)  exit=N  suicide  try:ROUND (a
 * failure is printed, and is none)
 * Standard output has one line per merged unit, `round.index rank value`, and lines of the client.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/progress.h"
#include "par/par.h"
#include "task/task.h"

static void nap_ms(long ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int sleep_ms(long ms, sheaf_error *err) {
  for (; ms > 0; ms -= 5) {
    const int rc = sheaf_cancel_check(err);
    if (rc < 0) return rc;
    nap_ms(5);
  }
  return 0;
}

static int wait_for_file(const char *path, sheaf_error *err) {
  int rc = 0;
  while (rc >= 0 && access(path, F_OK) < 0) rc = sleep_ms(5, err);
  return rc;
}

static int sends_left = -1;

/* Found before MPI's own: one call, when its turn has come, fails as MPI may. */
int MPI_Isend(const void *data, int n, void *type, int to, int tag, void *comm, void *request);
int MPI_Isend(const void *data, int n, void *type, int to, int tag, void *comm, void *request) {
  int (*real)(const void *, int, void *, int, int, void *, void *);
  const int other_error = 16;
  *(void **)&real = dlsym(RTLD_DEFAULT, "PMPI_Isend");
  if (sends_left >= 0 && sends_left-- == 0) return other_error;
  return real(data, n, type, to, tag, comm, request);
}

static int wait_for_servers(int n, sheaf_error *err) {
  int rc = 0;
  while (rc >= 0 && sheaf_par_nserver() != n) rc = sleep_ms(5, err);
  return rc;
}

/* Whether the file was not there before. */
static int make_file(const char *path) {
  const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
  return fd >= 0 && close(fd) == 0;
}

static void die_once(const char *path) {
  if (make_file(path)) kill(getpid(), SIGKILL);
}

static json_t *text_of(long n) {
  char *text = malloc((size_t)n + 1);
  memset(text, 'x', (size_t)n);
  text[n] = '\0';
  json_t *value = json_string(text);
  free(text);
  return value;
}

static int do_word(const char *word, json_t **value, sheaf_error *err) {
  const char *arg = strchr(word, '=');
  const long n = arg ? atol(arg + 1) : 0;
  if (!strncmp(word, "sleep=", 6)) return sleep_ms(n, err);
  if (!strcmp(word, "hang")) return sleep_ms(1000000, err);
  if (!strcmp(word, "empty")) return sheaf_fail(err, SHEAF_ERR_EMPTY, "nothing here");
  if (!strncmp(word, "await=", 6)) return wait_for_file(arg + 1, err);
  if (!strcmp(word, "lost")) return sheaf_fail(err, SHEAF_ERR_LOST, "ended by signal 9");
  if (!strncmp(word, "lostonce=", 9) && make_file(arg + 1))
    return sheaf_fail(err, SHEAF_ERR_LOST, "ended by signal 9");
  if (!strcmp(word, "fail")) return sheaf_fail_errno(err, SHEAF_ERR_IO, ENOSPC, "table.f17_TSM1");
  if (!strcmp(word, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(word, "killserver") && sheaf_par_rank() > 0) kill(getpid(), SIGKILL);
  if (!strcmp(word, "segv")) raise(SIGSEGV);
  if (!strncmp(word, "die=", 4)) die_once(arg + 1);
  if (!strncmp(word, "touch=", 6)) close(open(arg + 1, O_CREAT | O_WRONLY, 0666));
  if (!strcmp(word, "log")) sheaf_log(SHEAF_LOG_INFO, "hello from a unit\nsecond line");
  if (!strncmp(word, "progress=", 9)) sheaf_progress_add(n);
  if (!strncmp(word, "bytes=", 6)) json_object_set_new(*value, "text", text_of(n));
  return 0;
}

static int run_unit(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  char *words = strdup(json_string_value(json_object_get(args, "words"))), *rest = words;
  int rc = 0;
  *value = json_pack("{s:i, s:i, s:O}", "rank", sheaf_par_rank(), "pid", (int)getpid(), "common",
                     json_object_get(common, "number"));
  for (char *word; rc >= 0 && (word = strsep(&rest, "+"));) rc = do_word(word, value, err);
  free(words);
  return rc;
}

static int run_null(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  (void)common, (void)args, (void)value, (void)err;
  return 0;
}

/* Found before the library's own function of this name. */
const sheaf_work *sheaf_work_find(const char *name) {
  static const sheaf_work work[] = {{"tool.unit", run_unit, 0}, {"tool.null", run_null, 0}};
  for (size_t i = 0; i < sizeof work / sizeof *work; i++)
    if (!strcmp(work[i].name, name)) return &work[i];
  return NULL;
}

static sheaf_scheduler scheduler;
void sheaf_scheduler_set(const sheaf_scheduler *s) {
  scheduler = s ? *s : (sheaf_scheduler){0};
}

static int run_round(const sheaf_round *round, sheaf_error *err) {
  return scheduler.run ? scheduler.run(scheduler.self, round, err)
                       : sheaf_schedule_local(round, err);
}

static int merge(void *user, size_t index, const json_t *value, sheaf_error *err) {
  const int round = *(int *)user;
  (void)err;
  if (!value) {
    printf("%d.%zu empty\n", round, index);
    return 0;
  }
  const char *text = json_string_value(json_object_get(value, "text"));
  printf("%d.%zu rank=%d common=%d bytes=%zu pid=%d\n", round, index,
         (int)json_integer_value(json_object_get(value, "rank")),
         (int)json_integer_value(json_object_get(value, "common")), text ? strlen(text) : 0,
         (int)json_integer_value(json_object_get(value, "pid")));
  return 0;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static int measure_latency(size_t n, sheaf_error *err) {
  double *us = calloc(n + 1, sizeof *us);
  const sheaf_unit unit = {.label = "null"};
  const sheaf_round round = {.work = "tool.null", .units = &unit, .nunit = 1};
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    rc = run_round(&round, err);
    clock_gettime(CLOCK_MONOTONIC, &b);
    us[i] = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) * 1e-3;
  }
  qsort(us, n, sizeof *us, compare_doubles);
  printf("latency min=%.1f median=%.1f p99=%.1f\n", us[0], us[n / 2], us[n * 99 / 100]);
  free(us);
  return rc;
}

static int do_round(char *text, int number, sheaf_error *err) {
  sheaf_unit units[64];
  char labels[64][32];
  size_t n = 0;
  json_t *common = json_pack("{s:i}", "number", 100 + number);
  for (char *words; n < 64 && (words = strsep(&text, ","));) {
    const char *cost = strstr(words, "cost=");
    snprintf(labels[n], sizeof labels[n], "o.mms.%04zu.ms", n);
    units[n] = (sheaf_unit){.label = labels[n], .cost = cost ? atol(cost + 5) : 1};
    units[n++].args = json_pack("{s:s}", "words", words);
  }
  const sheaf_round round = {.work = "tool.unit",
                             .common = common,
                             .units = units,
                             .nunit = n,
                             .merge = merge,
                             .user = &number};
  const int rc = run_round(&round, err);
  for (size_t i = 0; i < n; i++) json_decref(units[i].args);
  json_decref(common);
  return rc;
}

static int act(char *word, int number, sheaf_error *err) {
  if (!strncmp(word, "breaksend=", 10)) return sends_left = atoi(word + 10), 0;
  if (!strncmp(word, "try:", 4)) {
    if (act(word + 4, number, err) < 0) printf("failed: %s\n", err->text);
    return 0;
  }
  if (!strncmp(word, "latency=", 8)) return measure_latency((size_t)atol(word + 8), err);
  if (!strncmp(word, "until=", 6)) return wait_for_file(word + 6, err);
  if (!strncmp(word, "servers=", 8)) return wait_for_servers(atoi(word + 8), err);
  if (!strncmp(word, "exit=", 5)) exit(atoi(word + 5));
  if (!strcmp(word, "suicide")) kill(getpid(), SIGKILL);
  if (!strcmp(word, "nserver")) return printf("nserver=%d\n", sheaf_par_nserver()), 0;
  return do_round(word, number, err);
}

int main(int argc, char **argv) {
  sheaf_error err = {0};
  int rc = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  sheaf_cancel_signals();
  if (sheaf_par_init(&err) < 0) return fprintf(stderr, "init: %s\n", err.text), 1;
  if (sheaf_par_rank() > 0) return sheaf_par_serve();
  printf("pid=%d\n", (int)getpid());
  sheaf_progress_begin("tool", 1000, "rows");
  for (int i = 1; rc >= 0 && i < argc; i++) rc = act(argv[i], i, &err);
  sheaf_progress_end();
  if (rc < 0) fprintf(stderr, "tool: %s\n", err.text);
  sheaf_par_fini(rc < 0 ? 1 : 0);
  return rc < 0 ? 1 : 0;
}

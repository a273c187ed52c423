/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/task.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"

struct sheaf_job {
  const sheaf_task *task;
  const json_t *params;
  int serial;
};

static const sheaf_scheduler *installed;
/* Tasks run one at a time; a task may call another. */
static pthread_mutex_t running = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth;

void sheaf_scheduler_set(const sheaf_scheduler *scheduler) {
  installed = scheduler;
}

static const sheaf_scheduler *job_scheduler(const sheaf_job *job) {
  return job->serial ? NULL : installed;
}

int sheaf_job_round(sheaf_job *job, const sheaf_round *round, sheaf_error *err) {
  const sheaf_scheduler *scheduler = job_scheduler(job);
  return scheduler ? scheduler->run(scheduler->self, round, err) : sheaf_schedule_local(round, err);
}

int sheaf_job_nserver(const sheaf_job *job) {
  const sheaf_scheduler *scheduler = job_scheduler(job);
  return scheduler ? scheduler->nserver(scheduler->self) : 0;
}

void sheaf_job_serial(sheaf_job *job) {
  job->serial = 1;
}
const json_t *sheaf_job_params(const sheaf_job *job) {
  return job->params;
}
const sheaf_task *sheaf_job_task(const sheaf_job *job) {
  return job->task;
}

/* Local time with microseconds, as CASA writes it in its "complete" line. */
static void put_time(char *out, size_t size) {
  struct timeval now;
  struct tm parts;
  char date[40];
  gettimeofday(&now, NULL);
  localtime_r(&now.tv_sec, &parts);
  strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
  snprintf(out, size, "%s.%06ld", date, (long)now.tv_usec);
}

static void log_rule(void) {
  sheaf_log(SHEAF_LOG_INFO, "##########################################");
}

/* "partition( vis='a.ms', outputvis='b.mms' )" */
static void log_call(const sheaf_task *task, const json_t *params) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return;
  fprintf(out, "%s( ", task->name);
  for (size_t i = 0; i < task->nparam; i++) {
    char *repr = sheaf_value_repr(json_object_get(params, task->params[i].name));
    fprintf(out, "%s%s=%s", i ? ", " : "", task->params[i].name, repr ? repr : "");
    free(repr);
  }
  fputs(" )", out);
  if (!fclose(out)) sheaf_log_text(SHEAF_LOG_INFO, text);
  free(text);
}

static void log_begin(const sheaf_task *task, const json_t *params) {
  log_rule();
  sheaf_log(SHEAF_LOG_INFO, "##### Begin Task: %-18s #####", task->name);
  log_call(task, params);
}

static void log_end(const sheaf_task *task, const char *start, int rc) {
  char end[64];
  put_time(end, sizeof end);
  sheaf_log(SHEAF_LOG_INFO, "Task %s %s. Start time: %s End time: %s", task->name,
            rc < 0 ? "failed" : "complete", start, end);
  sheaf_log(SHEAF_LOG_INFO, "##### End Task: %-20s #####", task->name);
  log_rule();
}

static int run_task(const sheaf_task *task, const json_t *params, json_t **result,
                    sheaf_error *err) {
  sheaf_job job = {.task = task, .params = params};
  char start[64];
  const char *before = sheaf_log_task(task->name);
  put_time(start, sizeof start);
  log_begin(task, params);
  sheaf_error_clear(err);
  const int rc = task->run(&job, params, result, err);
  if (rc < 0) {
    json_decref(*result);
    *result = NULL;
    sheaf_log(SHEAF_LOG_SEVERE, "Task %s failed: %s", task->name, err->text);
  } else if (!*result) {
    *result = json_null();
  }
  log_end(task, start, rc);
  sheaf_log_task(before);
  return rc < 0 ? rc : 0;
}

static int fail_unknown(const char *name, sheaf_error *err) {
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  const char **names = calloc(n + 1, sizeof *names);
  for (size_t i = 0; names && i < n; i++) names[i] = list[i]->name;
  const char *near = names ? sheaf_nearest(name, names, n) : NULL;
  free(names);
  if (near)
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "no task is called '%s'; did you mean '%s'?", name,
                      near);
  return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "no task is called '%s'; `sheaf help` lists all tasks",
                    name);
}

int sheaf_task_call(const char *name, const json_t *given, json_t **result, sheaf_error *err) {
  sheaf_error own;
  if (!err) err = &own;
  *result = NULL;
  const sheaf_task *task = sheaf_task_find(name);
  if (!task) return fail_unknown(name, err);
  json_t *params = NULL;
  int rc = sheaf_params_check(task->name, task->params, task->nparam, given, &params, err);
  if (rc < 0) return rc;
  pthread_mutex_lock(&running);
  depth++;
  rc = run_task(task, params, result, err);
  depth--;
  if (rc < 0 && depth == 0) sheaf_stage_abandon_all();
  pthread_mutex_unlock(&running);
  json_decref(params);
  return rc;
}

enum { HELP_WIDTH = 92 };

/* One line of help, broken between words; lines that begin with a blank stay as they are. */
static void put_wrapped(FILE *out, const char *line, size_t n) {
  while (n > HELP_WIDTH && *line != ' ') {
    size_t cut = HELP_WIDTH;
    while (cut > 0 && line[cut] != ' ') cut--;
    if (cut == 0) break;
    fprintf(out, "%.*s\n", (int)cut, line);
    line += cut + 1;
    n -= cut + 1;
  }
  fprintf(out, "%.*s\n", (int)n, line);
}

static void put_paragraphs(FILE *out, const char *text) {
  while (*text) {
    const size_t n = strcspn(text, "\n");
    put_wrapped(out, text, n);
    text += n + (text[n] == '\n');
  }
}

/* "partition(vis='', outputvis='')", without hidden parameters, broken between them. */
static void put_signature(FILE *out, const sheaf_task *task) {
  const int indent = (int)strlen(task->name) + 1;
  int column = indent;
  const char *comma = "";
  fprintf(out, "%s(", task->name);
  for (size_t i = 0; i < task->nparam; i++) {
    const sheaf_param *p = &task->params[i];
    if (p->flags & SHEAF_PARAM_HIDDEN) continue;
    const int width = (int)(strlen(p->name) + strlen(p->otherwise)) + 3;
    const int breaks = *comma && column + width > HELP_WIDTH;
    fputs(comma, out);
    if (breaks) fprintf(out, "\n%*s", indent, "");
    fprintf(out, "%s%s=%s", *comma && !breaks ? " " : "", p->name, p->otherwise);
    column = (breaks ? indent : column) + width;
    comma = ",";
  }
  fputs(")\n", out);
}

char *sheaf_task_help(const sheaf_task *task) {
  char *text = NULL, *table = sheaf_params_help(task->params, task->nparam);
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) goto done;
  fprintf(out, "%s - %s\n\n", task->name, task->summary);
  put_signature(out, task);
  if (task->help) {
    fputc('\n', out);
    put_paragraphs(out, task->help);
  }
  fprintf(out, "\nParameters\n\n%s", table ? table : "");
  if (fclose(out)) {
    free(text);
    text = NULL;
  }
done:
  free(table);
  return text;
}

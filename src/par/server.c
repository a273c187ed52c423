/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/server.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/progress.h"
#include "par/lifeline.h"
#include "par/wire.h"
#include "task/task.h"

enum {
  CLIENT = 0,
  SPIN_NS = 30 * 1000,
  WAIT_MS = 20,
  PROGRESS_EVERY_MS = 50 /* at most 20 messages a second */
};

static int own_rank;
static const char *own_host;
static pid_t own_pid;

static json_t *common; /* of common_round */
static uint64_t common_round;

static int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- log and progress; called from any thread ---- */

static void send_log(void *user, sheaf_priority priority, const char *origin, const char *message) {
  (void)user;
  char *text = NULL;
  sheaf_error err;
  const int n = asprintf(&text, "%s%c%s", origin, '\0', message);
  if (n < 0) return;
  const sheaf_wire_head head = {.code = priority};
  /* A forked child must not talk on our behalf; its words go to the terminal. */
  if (getpid() != own_pid ||
      sheaf_wire_send(CLIENT, SHEAF_WIRE_LOG, head, text, (size_t)n, &err) < 0)
    fprintf(stderr, "%s\t%s\n", origin, message);
  free(text);
}

static atomic_llong progress_pending, progress_next_ns;

static void flush_progress(void) {
  sheaf_error err;
  const long long n = atomic_exchange(&progress_pending, 0);
  if (n == 0) return;
  sheaf_wire_send(CLIENT, SHEAF_WIRE_PROGRESS, (sheaf_wire_head){.index = (uint64_t)n}, NULL, 0,
                  &err);
}

static void send_progress(void *user, int64_t n) {
  (void)user;
  progress_pending += n;
  const long long now = clock_ns();
  long long due = progress_next_ns;
  if (now < due || getpid() != own_pid) return;
  /* One of several threads that get here sends. */
  if (atomic_compare_exchange_strong(&progress_next_ns, &due,
                                     now + (long long)PROGRESS_EVERY_MS * 1000000))
    flush_progress();
}

void sheaf_server_start(int rank, const char *host) {
  own_rank = rank;
  own_host = host;
  own_pid = getpid();
  sheaf_log_redirect(send_log, NULL);
  sheaf_progress_redirect(send_progress, NULL);
}

int sheaf_par_own_log(const char *path, int console, sheaf_error *err) {
  const int rc = sheaf_log_file(path, err);
  if (rc < 0) return rc;
  sheaf_log_terminal(!path || console);
  sheaf_log_redirect(path ? NULL : send_log, NULL);
  return 0;
}

/* ---- units ---- */

static int respond_failure(sheaf_wire_head head, sheaf_error *failure, sheaf_error *err) {
  failure->rank = own_rank;
  snprintf(failure->host, sizeof failure->host, "%s", own_host);
  head.code = failure->code;
  return sheaf_wire_send(CLIENT, SHEAF_WIRE_RESPONSE, head, failure, sizeof *failure, err);
}

static int respond_value(sheaf_wire_head head, const json_t *value, sheaf_error *err) {
  char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
  if (!text) {
    sheaf_error failure;
    sheaf_fail(&failure, SHEAF_ERR_INTERNAL, "the result cannot be sent");
    return respond_failure(head, &failure, err);
  }
  const int rc = sheaf_wire_send(CLIENT, SHEAF_WIRE_RESPONSE, head, text, strlen(text), err);
  sheaf_wire_free(text, rc);
  return rc;
}

/* Messages of a unit of "partition.fill" come from the task "partition". */
static void name_task(const char *work) {
  static char task[64]; /* the log keeps the pointer */
  snprintf(task, sizeof task, "%.*s", (int)strcspn(work, "."), work);
  sheaf_log_task(task);
}

static int run_unit(const sheaf_wire_head *head, const json_t *request, json_t **value,
                    sheaf_error *err) {
  const char *name = sheaf_value_str(request, "work", "");
  const sheaf_work *work = sheaf_work_find(name);
  if (!work)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL,
                      "unknown kind of unit '%s': are all nodes on the same Sheaf?", name);
  if (head->round != common_round)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: a unit came before its round", name);
  name_task(name);
  sheaf_lifeline_at_work(head->round);
  sheaf_error_clear(err);
  const int rc = work->run(common, json_object_get(request, "args"), value, err);
  sheaf_lifeline_at_work(0);
  flush_progress();
  if (rc < 0 && err->code >= 0) sheaf_fail(err, rc, "%s failed without a message", name);
  return rc;
}

static int serve_unit(const sheaf_wire_message *m, sheaf_error *err) {
  const sheaf_wire_head head = {
      .kind = m->head.kind, .round = m->head.round, .index = m->head.index};
  sheaf_error failure;
  json_t *value = NULL;
  json_t *request = json_loadb(m->data, m->head.nbyte, JSON_ALLOW_NUL, NULL);
  int rc = request ? run_unit(&m->head, request, &value, &failure)
                   : sheaf_fail(&failure, SHEAF_ERR_INTERNAL, "unreadable request");
  if (rc < 0) failure.code = rc;
  rc = rc < 0 ? respond_failure(head, &failure, err) : respond_value(head, value, err);
  json_decref(value);
  json_decref(request);
  return rc;
}

/* ---- Python commands ---- */

static sheaf_par_handler *handle_command;
static void *handler_user;
static int
    answered; /* 0: the handler has not answered; else what sending the answer returned, or 1 */

void sheaf_server_commands(sheaf_par_handler *handler, void *user) {
  handle_command = handler;
  handler_user = user;
}

void sheaf_par_at_work(uint64_t id) {
  sheaf_lifeline_at_work(id ? SHEAF_LIFELINE_COMMAND | id : 0);
}

int sheaf_par_answer(uint64_t id, const sheaf_par_part *part, size_t npart, sheaf_error *err) {
  const sheaf_wire_head head = {.kind = SHEAF_WIRE_COMMAND, .index = id};
  _Static_assert(sizeof(sheaf_wire_part) == sizeof(sheaf_par_part), "the same layout");
  const int rc = sheaf_wire_send_parts(CLIENT, SHEAF_WIRE_RESPONSE, head,
                                       (const sheaf_wire_part *)part, npart, err);
  answered = rc < 0 ? rc : 1;
  return rc;
}

static int serve_command(sheaf_wire_message *m, sheaf_error *err) {
  const sheaf_wire_head head = {.kind = m->head.kind, .index = m->head.index};
  sheaf_error failure;
  sheaf_fail(&failure, SHEAF_ERR_INTERNAL, "%s",
             handle_command ? "the command's answer could not be sent"
                            : "this server has no Python: it was started by a task, not a script");
  if (!handle_command) return respond_failure(head, &failure, err);
  char *request = m->data;
  m->data = NULL;
  answered = 0;
  handle_command(handler_user, m->head.index, request, (size_t)m->head.nbyte);
  sheaf_log_task(NULL);
  if (answered < 0) return sheaf_fail(err, answered, "the client cannot be reached");
  return answered ? 0 : respond_failure(head, &failure, err);
}

static int serve_request(sheaf_wire_message *m, sheaf_error *err) {
  if (m->head.kind == SHEAF_WIRE_UNIT) return serve_unit(m, err);
  if (m->head.kind == SHEAF_WIRE_COMMAND) return serve_command(m, err);
  sheaf_error failure;
  sheaf_fail(&failure, SHEAF_ERR_INTERNAL, "unknown kind of request %u", m->head.kind);
  return respond_failure(m->head, &failure, err);
}

static int take_common(const sheaf_wire_message *m, sheaf_error *err) {
  json_decref(common);
  common = json_loadb(m->data, m->head.nbyte, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  common_round = m->head.round;
  return common ? 0 : sheaf_fail(err, SHEAF_ERR_INTERNAL, "unreadable common value");
}

/* Looks for a message a moment longer, then sleeps until the client rings. */
static int next_message(sheaf_wire_message *m, sheaf_error *err) {
  int64_t end_ns = clock_ns() + SPIN_NS;
  for (int ms = 1;;) {
    const int rc = sheaf_wire_receive(m, err);
    if (rc != 0) return rc;
    if (sheaf_cancelled()) return sheaf_cancel_check(err); /* a signal, while there is no work */
    if (clock_ns() < end_ns) {
      sched_yield();
    } else if (sheaf_lifeline_wait(ms)) {
      end_ns = clock_ns() + SPIN_NS;
      ms = 1;
    } else if (ms < WAIT_MS) {
      ms *= 2;
    }
  }
}

int sheaf_server_loop(sheaf_error *err) {
  int rc;
  for (;;) {
    sheaf_wire_message m;
    rc = next_message(&m, err);
    if (rc < 0) break;
    if (m.tag == SHEAF_WIRE_STOP) {
      rc = m.head.code != 0;
      sheaf_lifeline_release();
      sheaf_wire_send(CLIENT, SHEAF_WIRE_BYE, (sheaf_wire_head){0}, NULL, 0, err);
      free(m.data);
      break;
    }
    if (m.tag == SHEAF_WIRE_COMMON) rc = take_common(&m, err);
    if (m.tag == SHEAF_WIRE_REQUEST) rc = serve_request(&m, err);
    free(m.data);
    if (rc < 0) break;
  }
  json_decref(common);
  common = NULL;
  common_round = 0;
  return rc;
}

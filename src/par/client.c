/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/client.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/progress.h"
#include "par/command.h"
#include "par/lifeline.h"
#include "par/par.h"
#include "par/wire.h"

enum {
  IDLE = SHEAF_CLIENT_IDLE,
  BEAT_MS = 1000, /* how often servers are asked for a sign of life */
  GRACE_MS = 20 * 1000,
  LOSSES = 2, /* a unit that took so many servers with it is not tried again */
  SPIN_NS = 30 * 1000,
  WAIT_MS = 20, /* a ring ends the wait; this is for what MPI may still have to move */
  STOP_MS = 5000,
  STOP_BUSY_MS = 1500 /* for servers that were interrupted at work */
};

typedef sheaf_client_server server;

typedef enum unit_state { WAITING, RUNNING, DONE } unit_state;

typedef struct job {
  const sheaf_round *round;
  uint64_t id;
  size_t *order;
  unit_state *state;
  int *losses;
  int *avoid; /* the server on which the unit was lost; 0: none */
  json_t **values;
  char *common; /* JSON */
  size_t common_size;
  int common_lent; /* a dead server's transfer may still point to it */
  size_t nwaiting, nrunning;
  int cancelled, failed;
  size_t failed_unit; /* of several failures the first in unit order is reported */
  sheaf_error failure;
} job;

static server *servers; /* [0] is unused */
static int nrank;
static uint64_t nround;
static atomic_llong grace_ms = GRACE_MS;
static int64_t next_beat_ms;

/* ---- starting and stopping ---- */

static int schedule(void *self, const sheaf_round *round, sheaf_error *err);
static int count_servers(void *self) {
  (void)self;
  return sheaf_client_nserver();
}

const sheaf_scheduler *sheaf_client_start(int nserver, sheaf_error *err) {
  static const sheaf_scheduler scheduler = {.run = schedule, .nserver = count_servers};
  nrank = nserver + 1;
  servers = calloc((size_t)nrank, sizeof *servers);
  if (!servers) {
    sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %d servers", nserver);
    return NULL;
  }
  for (int i = 1; i < nrank; i++) {
    servers[i].alive = 1;
    servers[i].unit = IDLE;
  }
  const char *grace = getenv("SHEAF_SERVER_GRACE");
  if (grace && *grace) sheaf_command_grace(strtod(grace, NULL));
  return &scheduler;
}

int sheaf_client_nrank(void) {
  return nrank;
}

sheaf_client_server *sheaf_client_server_at(int rank) {
  return &servers[rank];
}

static int count_alive(void) {
  int n = 0;
  for (int i = 1; i < nrank; i++) n += servers[i].alive && sheaf_lifeline_alive(i);
  return n;
}

int sheaf_client_nserver(void) {
  int n = 0;
  if (sheaf_pump_try_enter()) {
    n = count_alive();
    sheaf_pump_leave();
    return n;
  }
  for (int i = 1; i < nrank; i++) n += servers[i].alive && sheaf_lifeline_peer(i)->alive;
  return n;
}

static pthread_mutex_t name_lock = PTHREAD_MUTEX_INITIALIZER;

void sheaf_client_name(int rank, const char *name) {
  pthread_mutex_lock(&name_lock);
  snprintf(servers[rank].name, sizeof servers[rank].name, "%s", name);
  pthread_mutex_unlock(&name_lock);
}

void sheaf_client_name_of(int rank, char *name, size_t size) {
  pthread_mutex_lock(&name_lock);
  snprintf(name, size, "%s", servers[rank].name);
  pthread_mutex_unlock(&name_lock);
}

int sheaf_client_is_free(int rank) {
  const server *s = &servers[rank];
  return s->alive && !s->silent && s->unit == IDLE && s->command == 0 && sheaf_lifeline_alive(rank);
}

void sheaf_command_grace(double seconds) {
  grace_ms = seconds > 0 ? (long long)(seconds * 1000) : 0;
}

double sheaf_command_grace_now(void) {
  return (double)grace_ms / 1000;
}

static int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long long wall_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the job of one round ---- */

/* Qsort has no argument for the round. */
typedef struct turn {
  int64_t cost;
  size_t index;
} turn;

static int compare_turns(const void *a, const void *b) {
  const turn *x = a, *y = b;
  if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

static int order_units(job *j) {
  const size_t n = j->round->nunit;
  turn *turns = malloc((n + 1) * sizeof *turns);
  if (!turns) return -1;
  for (size_t i = 0; i < n; i++) turns[i] = (turn){.cost = j->round->units[i].cost, .index = i};
  qsort(turns, n, sizeof *turns, compare_turns);
  for (size_t i = 0; i < n; i++) j->order[i] = turns[i].index;
  free(turns);
  return 0;
}

static int job_init(job *j, const sheaf_round *round, sheaf_error *err) {
  const size_t n = round->nunit + 1;
  *j = (job){.round = round, .id = ++nround, .nwaiting = round->nunit};
  j->order = calloc(n, sizeof *j->order);
  j->state = calloc(n, sizeof *j->state);
  j->losses = calloc(n, sizeof *j->losses);
  j->avoid = calloc(n, sizeof *j->avoid);
  j->values = calloc(n, sizeof(json_t *));
  if (!j->order || !j->state || !j->losses || !j->avoid || !j->values || order_units(j) < 0)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu units of %s", round->nunit,
                      round->work);
  j->common =
      round->common ? json_dumps(round->common, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
  if (!j->common)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: the common value is no JSON", round->work);
  j->common_size = strlen(j->common);
  return 0;
}

static void job_fini(job *j) {
  for (size_t i = 0; j->values && i < j->round->nunit; i++) json_decref(j->values[i]);
  free(j->values);
  free(j->avoid);
  free(j->losses);
  free(j->state);
  free(j->order);
  sheaf_wire_free(j->common, j->common_lent ? SHEAF_ERR_LOST : 0);
}

static const char *label_of(const job *j, size_t index) {
  const char *label = j->round->units[index].label;
  return label ? label : j->round->work;
}

static void record_failure(job *j, size_t index, const sheaf_error *failure) {
  if (j->failed && j->failed_unit < index) return;
  j->failed = 1;
  j->failed_unit = index;
  j->failure = *failure;
}

static void settle(job *j, size_t index, json_t *value) {
  j->state[index] = DONE;
  j->nrunning--;
  j->values[index] = value;
}

/* ---- deaths ---- */

/* Lets a unit wait again that was lost on this server; 0 when that has been too often. */
static int put_back(job *j, size_t index, int rank) {
  if (++j->losses[index] >= LOSSES) return 0;
  j->avoid[index] = rank;
  j->state[index] = WAITING;
  j->nwaiting++;
  j->nrunning--;
  return 1;
}

static void retry_or_fail(job *j, size_t index, int rank) {
  const sheaf_peer *peer = sheaf_lifeline_peer(rank);
  const char *label = label_of(j, index);
  sheaf_error failure;
  if (put_back(j, index, rank)) {
    sheaf_log(SHEAF_LOG_WARN,
              "MPIServer-%d on %s (pid %d) ended while it worked on %s; that is given to another",
              rank, peer->host, (int)peer->pid, label);
    return;
  }
  sheaf_fail(
      &failure, SHEAF_ERR_LOST,
      "%s (MPIServer-%d on %s): the server process (pid %d) ended while it worked on this, as "
      "one before it did; not tried again",
      label, rank, peer->host, (int)peer->pid);
  failure.rank = rank;
  memcpy(failure.host, peer->host, sizeof failure.host);
  sheaf_log(SHEAF_LOG_WARN, "%s", failure.text);
  record_failure(j, index, &failure);
  settle(j, index, NULL);
}

/* A silent server that would be replaced must not go on: two would write the same files. */
static void hear_nothing(int rank) {
  server *s = &servers[rank];
  const sheaf_peer *peer = sheaf_lifeline_peer(rank);
  sheaf_log(SHEAF_LOG_WARN, "MPIServer-%d on host %s (pid %d) has given no sign of life for %g s",
            rank, peer->host, (int)peer->pid, (double)grace_ms / 1000);
  s->silent = 1;
  if (s->unit != IDLE || sheaf_command_is_repeated(rank))
    sheaf_lifeline_kill(rank);
  else
    sheaf_command_silent(rank);
}

static void hear_again(int rank) {
  sheaf_log(SHEAF_LOG_WARN, "MPIServer-%d on host %s is heard again", rank,
            sheaf_lifeline_peer(rank)->host);
  servers[rank].silent = 0;
  sheaf_command_silent(rank);
}

/* Beats are counted, not seconds: when this process was stopped itself, that was no silence. */
static void beat(void) {
  const int64_t now_ms = clock_ns() / 1000000;
  if (now_ms < next_beat_ms) return;
  next_beat_ms = now_ms + BEAT_MS;
  for (int i = 1; i < nrank; i++) {
    server *s = &servers[i];
    if (!s->alive || !sheaf_lifeline_alive(i)) continue;
    const long long silence_ms = (long long)sheaf_lifeline_peer(i)->unanswered * BEAT_MS;
    if (s->silent && silence_ms == 0) hear_again(i);
    if (!s->silent && grace_ms > 0 && silence_ms > grace_ms) hear_nothing(i);
    sheaf_lifeline_ping(i);
  }
}

/* Takes note of servers that have ended since the last call. */
static int reap(job *j) {
  int found = 0;
  for (int i = 1; i < nrank; i++) {
    server *s = &servers[i];
    if (!s->alive || sheaf_lifeline_peer(i)->alive) continue;
    const int64_t unit = j && s->round == j->id ? s->unit : IDLE;
    const int at_command = s->command != 0;
    s->alive = 0;
    s->silent = 0;
    s->unit = IDLE;
    found = 1;
    if (unit != IDLE)
      retry_or_fail(j, (size_t)unit, i);
    else if (!s->in_order && !at_command)
      sheaf_log(SHEAF_LOG_WARN, "MPIServer-%d on %s (pid %d) has ended", i,
                sheaf_lifeline_peer(i)->host, (int)sheaf_lifeline_peer(i)->pid);
    sheaf_command_bury(i);
  }
  return found;
}

/* ---- messages ---- */

/* A failed unit; one that lost its process (the system may have ended it for want of memory) is
 * tried once more, on another server if there is one. Returns whether that is so. */
static int hear_failure(job *j, size_t index, const sheaf_wire_message *m) {
  sheaf_error e;
  const int lost = m->head.code == SHEAF_ERR_LOST;
  if (m->head.nbyte != sizeof e) {
    sheaf_fail(&e, SHEAF_ERR_INTERNAL, "%s: failure without a text", label_of(j, index));
  } else {
    memcpy(&e, m->data, sizeof e);
    e.text[sizeof e.text - 1] = e.host[sizeof e.host - 1] = '\0';
    sheaf_fail_context(&e, e.code, "%s (MPIServer-%d on %s)", label_of(j, index), m->peer, e.host);
  }
  if (lost && put_back(j, index, m->peer)) {
    sheaf_log(SHEAF_LOG_WARN, "%s; it is tried once more", e.text);
    return 1;
  }
  if (lost) sheaf_log(SHEAF_LOG_WARN, "%s, as before; not tried again", e.text);
  record_failure(j, index, &e);
  return 0;
}

static json_t *hear_value(job *j, size_t index, const sheaf_wire_message *m) {
  json_error_t why;
  json_t *value = json_loadb(m->data, m->head.nbyte, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  if (value) return value;
  sheaf_error e;
  sheaf_fail(&e, SHEAF_ERR_INTERNAL, "%s (MPIServer-%d on %s): unreadable result: %s",
             label_of(j, index), m->peer, sheaf_lifeline_peer(m->peer)->host, why.text);
  record_failure(j, index, &e);
  return NULL;
}

static void hear_response(job *j, const sheaf_wire_message *m) {
  server *s = &servers[m->peer];
  if (s->unit == IDLE || m->head.round != s->round || m->head.index != (uint64_t)s->unit) return;
  const size_t index = (size_t)s->unit;
  json_t *value = NULL;
  s->unit = IDLE;
  s->ndone++;
  if (!j || j->id != s->round) return; /* of a round that was given up */
  if (m->head.code >= 0)
    value = hear_value(j, index, m);
  else if (m->head.code != SHEAF_ERR_EMPTY && hear_failure(j, index, m))
    return;
  settle(j, index, value);
}

static void hear_log(const sheaf_wire_message *m) {
  const size_t origin = strnlen(m->data, m->head.nbyte);
  if (origin < m->head.nbyte && m->head.code >= SHEAF_LOG_DEBUG && m->head.code <= SHEAF_LOG_SEVERE)
    sheaf_log_relay((sheaf_priority)m->head.code, m->data, m->data + origin + 1);
}

static void dispatch(job *j, sheaf_wire_message *m) {
  switch (m->tag) {
    case SHEAF_WIRE_RESPONSE:
      if (m->head.kind == SHEAF_WIRE_COMMAND)
        sheaf_command_hear(m);
      else
        hear_response(j, m);
      break;
    case SHEAF_WIRE_LOG:
      hear_log(m);
      break;
    case SHEAF_WIRE_PROGRESS:
      sheaf_progress_add((int64_t)m->head.index);
      break;
    case SHEAF_WIRE_BYE:
      servers[m->peer].in_order = 1;
      break;
    default:
      break; /* the rest of a message whose sender has died */
  }
}

/* Handles all messages that are there; how many, or an error of MPI itself. */
static int drain(job *j, sheaf_error *err) {
  for (int n = 0;; n++) {
    sheaf_wire_message m;
    const int rc = sheaf_wire_receive(&m, err);
    if (rc == SHEAF_ERR_LOST) continue; /* reap() takes care */
    if (rc <= 0) return rc < 0 ? rc : n;
    dispatch(j, &m);
    free(m.data);
  }
}

/* ---- dealing ---- */

static int send_common(job *j, int rank, sheaf_error *err) {
  if (servers[rank].has_common == j->id) return 0;
  const sheaf_wire_head head = {.round = j->id};
  const int rc = sheaf_wire_send(rank, SHEAF_WIRE_COMMON, head, j->common, j->common_size, err);
  if (rc == SHEAF_ERR_LOST) j->common_lent = 1;
  if (rc >= 0) servers[rank].has_common = j->id;
  return rc;
}

static int send_unit(job *j, int rank, size_t index, sheaf_error *err) {
  json_t *args = j->round->units[index].args;
  json_t *request = json_pack("{s:s, s:O?}", "work", j->round->work, "args", args);
  char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
  json_decref(request);
  if (!text)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: the arguments are no JSON", label_of(j, index));
  const sheaf_wire_head head = {.kind = SHEAF_WIRE_UNIT, .round = j->id, .index = index};
  const int rc = sheaf_wire_send(rank, SHEAF_WIRE_REQUEST, head, text, strlen(text), err);
  sheaf_wire_free(text, rc);
  return rc;
}

/* The next unit for this server, or -1. One that was lost on it is for another, if there is one. */
static int64_t next_unit(const job *j, int rank) {
  for (size_t i = 0; i < j->round->nunit; i++) {
    const size_t index = j->order[i];
    if (j->state[index] != WAITING) continue;
    if (j->avoid[index] != rank || sheaf_client_nserver() == 1) return (int64_t)index;
  }
  return -1;
}

static void name_work(const job *j, int rank, size_t index) {
  char name[64];
  snprintf(name, sizeof name, "%s: %s", j->round->work, label_of(j, index));
  sheaf_client_name(rank, name);
}

/* Gives every free server a unit. A server that turns out to be dead is left to reap(). */
static int deal(job *j, sheaf_error *err) {
  for (int i = 1; i < nrank && j->nwaiting > 0 && !j->failed && !j->cancelled; i++) {
    server *s = &servers[i];
    if (!sheaf_client_is_free(i)) continue;
    const int64_t index = next_unit(j, i);
    if (index < 0) continue;
    int rc = send_common(j, i, err);
    if (rc >= 0) rc = send_unit(j, i, (size_t)index, err);
    if (rc == SHEAF_ERR_LOST) continue;
    if (rc < 0) return rc;
    name_work(j, i, (size_t)index);
    s->since_us = wall_us();
    s->round = j->id;
    s->unit = index;
    j->state[index] = RUNNING;
    j->nwaiting--;
    j->nrunning++;
  }
  return 0;
}

static void cancel_running(job *j) {
  j->cancelled = 1;
  for (int i = 1; i < nrank; i++)
    if (servers[i].alive && servers[i].unit != IDLE) sheaf_lifeline_cancel(i, servers[i].round);
}

/* Looks for messages a moment longer, then sleeps until a ring, a death or a signal. */
static int wait_and_drain(job *j, sheaf_error *err) {
  const int64_t end_ns = clock_ns() + SPIN_NS;
  int rc;
  do {
    rc = drain(j, err);
    if (rc != 0) return rc;
    sched_yield();
  } while (clock_ns() < end_ns);
  const int rang = sheaf_lifeline_wait(1);
  rc = drain(j, err);
  for (int ms = 2; rc == 0 && !rang && !sheaf_cancelled() && ms <= WAIT_MS; ms *= 2) {
    const int event = sheaf_lifeline_wait(ms);
    rc = drain(j, err);
    if (event) break;
  }
  return rc;
}

/* When all servers that live are silent, nobody else will do the units: they are given up. */
static void give_up_silent(void) {
  for (int i = 1; i < nrank; i++)
    if (servers[i].alive && !servers[i].silent) return;
  for (int i = 1; i < nrank; i++)
    if (servers[i].alive) sheaf_lifeline_kill(i);
}

/* Returns when nothing runs any more: all is done, or failed, or no server is left. */
static int conduct(job *j, sheaf_error *err) {
  for (;;) {
    int rc = sheaf_command_deal(err); /* they have waited longer */
    if (rc >= 0) rc = deal(j, err);
    if (rc < 0) return rc;
    beat();
    if (j->nrunning == 0 && j->nwaiting > 0) give_up_silent();
    if (reap(j)) continue;
    if (!j->cancelled && sheaf_cancelled()) cancel_running(j);
    if (j->nrunning == 0 && (j->nwaiting == 0 || j->failed || j->cancelled || count_alive() == 0))
      return 0;
    rc = wait_and_drain(j, err);
    if (rc < 0) return rc;
  }
}

/* ---- what servers left undone ---- */

typedef struct rest {
  job *j;
  size_t *indices;
} rest;

static int keep_value(void *user, size_t i, const json_t *value, sheaf_error *err) {
  (void)err;
  rest *r = user;
  r->j->values[r->indices[i]] = value ? json_incref((json_t *)value) : NULL;
  return 0;
}

static int finish_locally(job *j, sheaf_error *err) {
  int rc;
  rest r = {.j = j, .indices = calloc(j->nwaiting, sizeof *r.indices)};
  sheaf_unit *units = calloc(j->nwaiting, sizeof *units);
  sheaf_round round = *j->round;
  size_t n = 0;
  if (!units || !r.indices) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu units", j->nwaiting);
    goto done;
  }
  for (size_t i = 0; i < j->round->nunit; i++)
    if (j->state[i] == WAITING) {
      r.indices[n] = i;
      units[n++] = j->round->units[i];
    }
  sheaf_log(SHEAF_LOG_WARN, "no server is left; this process does the remaining %zu units itself",
            n);
  round.units = units;
  round.nunit = n;
  round.merge = keep_value;
  round.user = &r;
  rc = sheaf_schedule_local(&round, err);
done:
  free(units);
  free(r.indices);
  return rc;
}

static int merge_all(const job *j, sheaf_error *err) {
  const sheaf_round *round = j->round;
  for (size_t i = 0; round->merge && i < round->nunit; i++) {
    const int rc = round->merge(round->user, i, j->values[i], err);
    if (rc < 0) return rc;
  }
  return 0;
}

int sheaf_client_turn(int wait_ms, sheaf_error *err) {
  const int64_t end_ns = clock_ns() + SPIN_NS;
  for (int slept = 0;;) {
    int n = drain(NULL, err);
    if (n < 0) return n;
    beat();
    n += reap(NULL);
    const int sent = sheaf_command_deal(err);
    if (sent < 0) return sent;
    if (n + sent > 0 || slept || wait_ms == 0) return n + sent;
    if (clock_ns() < end_ns) {
      sched_yield();
    } else {
      sheaf_lifeline_wait(wait_ms);
      slept = 1;
    }
  }
}

static int run_round(const sheaf_round *round, sheaf_error *err) {
  job j = {.round = round};
  int rc = 0;
  SHEAF_TRY(sheaf_cancel_check(err));
  SHEAF_TRY(job_init(&j, round, err));
  sheaf_pump_enter();
  rc = conduct(&j, err);
  if (rc < 0) cancel_running(&j); /* each server is free again when it has answered */
  sheaf_pump_leave();
  if (rc < 0) goto done;
  SHEAF_TRY(sheaf_cancel_check(err));
  if (j.failed) {
    if (err) *err = j.failure;
    rc = j.failure.code;
    goto done;
  }
  if (j.nwaiting > 0) SHEAF_TRY(finish_locally(&j, err));
  rc = merge_all(&j, err);
done:
  job_fini(&j);
  return rc;
}

static int schedule(void *self, const sheaf_round *round, sheaf_error *err) {
  (void)self;
  if (sheaf_client_nserver() > 0) return run_round(round, err);
  sheaf_pump_enter();
  reap(NULL);
  sheaf_pump_leave();
  return sheaf_schedule_local(round, err);
}

/* ---- the end ---- */

static int all_gone(void) {
  for (int i = 1; i < nrank; i++)
    if (!servers[i].in_order && sheaf_lifeline_alive(i)) return 0;
  return 1;
}

static int all_in_order(void) {
  for (int i = 1; i < nrank; i++)
    if (!servers[i].in_order) return 0;
  return 1;
}

/* Interrupts what is still at work; returns whether there was something. */
static int interrupt_all(void) {
  int busy = 0;
  for (int i = 1; i < nrank; i++) {
    if (!servers[i].command) continue;
    busy = 1;
    if (servers[i].silent)
      sheaf_lifeline_kill(i);
    else
      sheaf_lifeline_cancel(i, SHEAF_LIFELINE_COMMAND | (uint64_t)servers[i].command);
  }
  return busy;
}

int sheaf_client_stop(void) {
  sheaf_error err;
  drain(NULL, &err);
  const int busy = interrupt_all();
  const int64_t end_ns = clock_ns() + (int64_t)(busy ? STOP_BUSY_MS : STOP_MS) * 1000000;
  const int whole = count_alive() == nrank - 1;
  for (int i = 1; i < nrank; i++)
    if (sheaf_lifeline_alive(i))
      sheaf_wire_send(i, SHEAF_WIRE_STOP, (sheaf_wire_head){.code = whole}, NULL, 0, &err);
  while (drain(NULL, &err) >= 0 && !all_gone() && clock_ns() < end_ns) sheaf_lifeline_wait(5);
  drain(NULL, &err);
  reap(NULL);
  return whole && all_in_order();
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/command.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "par/client.h"
#include "par/lifeline.h"
#include "par/par.h"

enum {
  TURN_MS = 20,
  LOOK_MS = 500, /* how often the service thread looks without a ring */
  NAP_MS = 100,  /* how long it leaves the pump to somebody else before it looks again */
  TRIES = 2
};

typedef struct request {
  sheaf_command_state state;
  int target; /* 0: any */
  int rank;   /* of the server that has it */
  int retry, ntry;
  char name[64];
  char *payload; /* owned; NULL while it is borrowed, and when it is no longer needed */
  size_t n;
  const sheaf_command_part *part; /* borrowed during push */
  size_t npart;
  char *answer; /* owned */
  size_t nanswer;
  sheaf_error *why;
  int64_t next; /* in its queue; 0: the last */
} request;

typedef struct queue {
  int64_t first, last;
} queue;

/* Everything here is guarded by `lock`, which is never held during a transfer. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* a request, or the pump is free */
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;  /* the service thread is */
static int pumping;
static int nwaiter; /* threads in sheaf_command_wait */
static int napping; /* the service thread waits for `wanted` */
static int running, stopping, stopped;
static pthread_t thread;
static request **requests; /* [id - 1] */
static int64_t nrequest, room;
static int64_t npending; /* queued or sent */
static queue *queues;    /* [rank], [0] for any server */

static struct timespec after_ms(int ms) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_sec += ms / 1000;
  t.tv_nsec += (long)(ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
  return t;
}

static int64_t clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the pump ---- */

void sheaf_pump_enter(void) {
  pthread_mutex_lock(&lock);
  while (pumping) pthread_cond_wait(&changed, &lock);
  pumping = 1;
  pthread_mutex_unlock(&lock);
}

int sheaf_pump_try_enter(void) {
  pthread_mutex_lock(&lock);
  const int mine = !pumping;
  pumping = 1;
  pthread_mutex_unlock(&lock);
  return mine;
}

/* With `lock` held. The service thread is woken only if there is something to come. */
static void leave_locked(void) {
  pumping = 0;
  pthread_cond_broadcast(&changed);
  if (napping && nwaiter == 0 && npending > 0) pthread_cond_signal(&wanted);
}

void sheaf_pump_leave(void) {
  pthread_mutex_lock(&lock);
  leave_locked();
  pthread_mutex_unlock(&lock);
}

void sheaf_pump_forget(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&changed, NULL);
  pthread_cond_init(&wanted, NULL);
  pumping = nwaiter = napping = running = 0;
  stopped = 1;
}

/* ---- queues; with `lock` held ---- */

static request *find(int64_t id) {
  return id >= 1 && id <= nrequest ? requests[id - 1] : NULL;
}

static void append(queue *q, int64_t id) {
  find(id)->next = 0;
  if (q->first)
    find(q->last)->next = id;
  else
    q->first = id;
  q->last = id;
}

static void prepend(queue *q, int64_t id) {
  find(id)->next = q->first;
  q->first = id;
  if (!q->last) q->last = id;
}

static int64_t pop(queue *q) {
  const int64_t id = q->first;
  if (!id) return 0;
  q->first = find(id)->next;
  if (!q->first) q->last = 0;
  return id;
}

static void unlink_from(queue *q, int64_t id) {
  int64_t before = 0;
  for (int64_t i = q->first; i; before = i, i = find(i)->next) {
    if (i != id) continue;
    if (before)
      find(before)->next = find(i)->next;
    else
      q->first = find(i)->next;
    if (q->last == i) q->last = before;
    return;
  }
}

/* The older one of what waits for this server and of what waits for any. */
static int64_t pop_next(int rank) {
  queue *own = &queues[rank], *any = &queues[0];
  if (!own->first) return pop(any);
  return any->first && any->first < own->first ? pop(any) : pop(own);
}

static void release_payload(request *r) {
  free(r->payload);
  r->payload = NULL;
  r->part = NULL;
}

static void settle(request *r, sheaf_command_state state, const sheaf_error *why) {
  if (r->state == SHEAF_COMMAND_QUEUED || r->state == SHEAF_COMMAND_SENT) npending--;
  r->state = state;
  free(r->why);
  r->why = NULL;
  if (why && (r->why = malloc(sizeof *why))) *r->why = *why;
  if (state != SHEAF_COMMAND_SILENT) release_payload(r);
}

/* ---- for the owner of the pump ---- */

static int send_request(int64_t id, request *r, int rank, sheaf_error *err) {
  const sheaf_wire_head head = {.kind = SHEAF_WIRE_COMMAND, .index = (uint64_t)id};
  const sheaf_wire_part whole = {.data = r->payload, .n = r->n};
  _Static_assert(sizeof(sheaf_wire_part) == sizeof(sheaf_command_part), "the same layout");
  if (r->part)
    return sheaf_wire_send_parts(rank, SHEAF_WIRE_REQUEST, head, (const sheaf_wire_part *)r->part,
                                 r->npart, err);
  return sheaf_wire_send_parts(rank, SHEAF_WIRE_REQUEST, head, &whole, 1, err);
}

static long long wall_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Gives one server its next request, if there is one: 1, 0, or an error. */
static int deal_to(int rank, sheaf_error *err) {
  sheaf_client_server *s = sheaf_client_server_at(rank);
  pthread_mutex_lock(&lock);
  const int64_t id = pop_next(rank);
  request *r = find(id);
  if (r) {
    r->state = SHEAF_COMMAND_SENT;
    r->rank = rank;
    r->ntry++;
  }
  pthread_mutex_unlock(&lock);
  if (!r) return 0;
  sheaf_client_name(rank, r->name);
  s->since_us = wall_us();
  s->command = id;
  const int rc = send_request(id, r, rank, err);
  pthread_mutex_lock(&lock);
  if (rc == SHEAF_ERR_LOST)
    r->payload =
        NULL; /* MPI may still look at it; sheaf_command_bury will tell what became of it */
  else if (!r->retry)
    release_payload(r);
  pthread_mutex_unlock(&lock);
  return rc == SHEAF_ERR_LOST || rc >= 0 ? 1 : rc;
}

int sheaf_command_deal(sheaf_error *err) {
  int n = 0;
  if (!queues || npending == 0) return 0;
  for (int rank = sheaf_client_nrank() - 1; rank > 0; rank--) {
    if (!sheaf_client_is_free(rank)) continue;
    const int rc = deal_to(rank, err);
    if (rc < 0) return rc;
    n += rc;
  }
  return n;
}

void sheaf_command_hear(sheaf_wire_message *m) {
  sheaf_client_server *s = sheaf_client_server_at(m->peer);
  if (s->command != (long long)m->head.index) return;
  pthread_mutex_lock(&lock);
  request *r = find((int64_t)m->head.index);
  if (m->head.code < 0 && m->head.nbyte == sizeof(sheaf_error)) {
    settle(r, SHEAF_COMMAND_FAILED, (const sheaf_error *)m->data);
  } else {
    settle(r, SHEAF_COMMAND_ANSWERED, NULL);
    r->answer = m->data;
    r->nanswer = (size_t)m->head.nbyte;
    m->data = NULL;
  }
  pthread_mutex_unlock(&lock);
  s->command = 0;
  s->ndone++;
}

static void fail_lost(sheaf_error *why, int rank, const char *what) {
  const sheaf_peer *peer = sheaf_lifeline_peer(rank);
  char how[128];
  sheaf_par_obituary(rank, how, sizeof how);
  sheaf_fail(why, SHEAF_ERR_LOST, "MPIServer-%d on host %s (pid %d) %s%s", rank, peer->host,
             (int)peer->pid, how, what);
  why->rank = rank;
  memcpy(why->host, peer->host, sizeof why->host);
}

static void fail_queue(queue *q, const sheaf_error *why) {
  for (int64_t id; (id = pop(q));) settle(find(id), SHEAF_COMMAND_FAILED, why);
}

static int count_alive(void) {
  int n = 0;
  for (int i = 1; i < sheaf_client_nrank(); i++) n += sheaf_client_server_at(i)->alive;
  return n;
}

/* Whether a request whose server has died goes to another one. */
static int is_repeatable(const request *r) {
  return r->retry && r->target == 0 && r->payload && r->ntry < TRIES && count_alive() > 0;
}

void sheaf_command_bury(int rank) {
  sheaf_client_server *s = sheaf_client_server_at(rank);
  sheaf_error at_work, waiting;
  const int64_t id = s->command;
  s->command = 0;
  if (!queues) return;
  fail_lost(&at_work, rank, " while it worked on this command");
  fail_lost(&waiting, rank, " before this command was sent to it");
  if (id) sheaf_log(SHEAF_LOG_WARN, "%s (request %lld)", at_work.text, (long long)id);
  const int left = count_alive();
  pthread_mutex_lock(&lock);
  request *r = find(id);
  if (r && is_repeatable(r)) {
    if (r->state == SHEAF_COMMAND_SILENT) npending++;
    r->state = SHEAF_COMMAND_QUEUED;
    r->rank = 0;
    prepend(&queues[0], id);
  } else if (r) {
    settle(r, SHEAF_COMMAND_FAILED, &at_work);
  }
  fail_queue(&queues[rank], &waiting);
  if (left == 0) {
    sheaf_fail(&waiting, SHEAF_ERR_LOST, "no server is left to do this command");
    fail_queue(&queues[0], &waiting);
  }
  pthread_mutex_unlock(&lock);
}

int sheaf_command_is_repeated(int rank) {
  pthread_mutex_lock(&lock);
  const request *r = find(sheaf_client_server_at(rank)->command);
  const int repeated = r && is_repeatable(r);
  pthread_mutex_unlock(&lock);
  return repeated;
}

/* CASA's words. */
static void fail_silent(sheaf_error *why, int rank) {
  const sheaf_peer *peer = sheaf_lifeline_peer(rank);
  sheaf_fail(why, SHEAF_ERR_LOST, "Timeout of assigned server n# %d deployed at %s with PID %d",
             rank, peer->host, (int)peer->pid);
}

void sheaf_command_silent(int rank) {
  const sheaf_client_server *s = sheaf_client_server_at(rank);
  sheaf_error why;
  fail_silent(&why, rank);
  pthread_mutex_lock(&lock);
  request *r = find(s->command);
  if (r && s->silent && r->state == SHEAF_COMMAND_SENT) settle(r, SHEAF_COMMAND_SILENT, &why);
  if (r && !s->silent && r->state == SHEAF_COMMAND_SILENT) {
    r->state = SHEAF_COMMAND_SENT;
    npending++;
  }
  pthread_mutex_unlock(&lock);
}

/* ---- the service thread ---- */

static void *serve(void *none) {
  (void)none;
  sheaf_error err;
  pthread_mutex_lock(&lock);
  while (!stopping) {
    if (pumping || nwaiter > 0) { /* somebody else looks */
      const struct timespec end = after_ms(NAP_MS);
      napping = 1;
      pthread_cond_timedwait(&wanted, &lock, &end);
      napping = 0;
      continue;
    }
    pthread_mutex_unlock(&lock);
    sheaf_lifeline_watch(LOOK_MS);
    pthread_mutex_lock(&lock);
    if (stopping || pumping || nwaiter > 0) continue;
    pumping = 1;
    pthread_mutex_unlock(&lock);
    if (sheaf_client_turn(0, &err) < 0) sheaf_log(SHEAF_LOG_SEVERE, "%s", err.text);
    pthread_mutex_lock(&lock);
    leave_locked();
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static int start_thread(sheaf_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the main thread */
  const int failure = pthread_create(&thread, NULL, serve, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failure ? sheaf_fail_errno(err, SHEAF_ERR_IO, failure, "cannot start a thread") : 0;
}

int sheaf_command_start(sheaf_error *err) {
  int rc = 0;
  if (stopped) return sheaf_fail(err, SHEAF_ERR_ARG, "the servers have been stopped");
  if (sheaf_client_nrank() < 2)
    return sheaf_fail(err, SHEAF_ERR_ARG, "there are no servers: start with mpisheaf -n 2 or more");
  pthread_mutex_lock(&lock);
  if (!running) {
    queues = calloc((size_t)sheaf_client_nrank(), sizeof *queues);
    rc = queues ? start_thread(err) : sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for queues");
    running = rc >= 0;
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

int sheaf_command_stopped(void) {
  return stopped;
}

void sheaf_command_end(void) {
  sheaf_error why;
  pthread_mutex_lock(&lock);
  const int join = running;
  stopping = 1;
  stopped = 1;
  running = 0;
  pthread_cond_signal(&wanted);
  pthread_mutex_unlock(&lock);
  if (join) {
    sheaf_lifeline_kick();
    pthread_join(thread, NULL);
  }
  sheaf_fail(&why, SHEAF_ERR_INTERRUPTED, "the services were stopped before this command ended");
  pthread_mutex_lock(&lock);
  while (pumping) pthread_cond_wait(&changed, &lock);
  pumping = 1; /* for good */
  for (int64_t i = 0; i < nrequest; i++) {
    request *r = requests[i];
    if (r->state != SHEAF_COMMAND_ANSWERED && r->state != SHEAF_COMMAND_FAILED)
      settle(r, SHEAF_COMMAND_FAILED, &why);
  }
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

/* ---- requests ---- */

/* With `lock` held. */
static request *add_request(int rank, int retry, sheaf_error *err) {
  if (nrequest == room) {
    request **grown = realloc(requests, ((size_t)room * 2 + 64) * sizeof(request *));
    if (grown) {
      requests = grown;
      room = room * 2 + 64;
    }
  }
  request *r = nrequest < room ? calloc(1, sizeof *r) : NULL;
  if (!r) {
    sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a request");
    return NULL;
  }
  *r = (request){.target = rank, .rank = rank, .retry = retry};
  requests[nrequest++] = r;
  return r;
}

static int copy_payload(request *r, const sheaf_command_part *part, size_t npart,
                        sheaf_error *err) {
  size_t n = 0;
  for (size_t i = 0; i < npart; i++) n += part[i].n;
  r->payload = malloc(n + 1);
  if (!r->payload)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for parameters of %zu bytes", n);
  r->n = 0;
  for (size_t i = 0; i < npart; i++) {
    if (part[i].n) memcpy(r->payload + r->n, part[i].data, part[i].n);
    r->n += part[i].n;
  }
  return 0;
}

/* With `lock` held. Why this server cannot be given anything; 0 when it can. */
static int refuse(int rank, sheaf_error *err) {
  if (stopped || !running) return sheaf_fail(err, SHEAF_ERR_ARG, "the services are not started");
  if (rank < 0 || rank >= sheaf_client_nrank())
    return sheaf_fail(err, SHEAF_ERR_ARG, "Server #%d does not exist", rank);
  if (rank > 0 && !sheaf_client_server_at(rank)->alive) {
    fail_lost(err, rank, "");
    return SHEAF_ERR_LOST;
  }
  return count_alive() > 0 ? 0 : sheaf_fail(err, SHEAF_ERR_LOST, "no server is left");
}

/* Queues it, with borrowed bytes if we may send at once; its number, or an error. */
static int64_t enqueue(const sheaf_command_part *part, size_t npart, int rank, int retry,
                       const char *name, int own, sheaf_error *err) {
  int64_t id = refuse(rank, err);
  if (id < 0) return id;
  request *r = add_request(rank, retry, err);
  if (!r) return SHEAF_ERR_NOMEM;
  snprintf(r->name, sizeof r->name, "%s", name);
  if (own && !retry) {
    r->part = part;
    r->npart = npart;
  } else if (copy_payload(r, part, npart, err) < 0) {
    free(r);
    nrequest--;
    return SHEAF_ERR_NOMEM;
  }
  id = nrequest;
  npending++;
  append(&queues[rank], id);
  return id;
}

/* The bytes are the caller's again after the push: what could not be sent at once is copied. */
static int keep_payload(int64_t id, sheaf_error *err) {
  int rc = 0;
  pthread_mutex_lock(&lock);
  request *r = find(id);
  if (r->state == SHEAF_COMMAND_QUEUED && r->part) {
    rc = copy_payload(r, r->part, r->npart, err);
    r->part = NULL;
    if (rc < 0) {
      unlink_from(&queues[r->target], id);
      settle(r, SHEAF_COMMAND_FAILED, err);
    }
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

int64_t sheaf_command_push(const sheaf_command_part *part, size_t npart, int rank, int retry,
                           const char *name, sheaf_error *err) {
  pthread_mutex_lock(&lock);
  const int own = !pumping;
  if (own) pumping = 1;
  const int64_t id = enqueue(part, npart, rank, retry, name, own, err);
  pthread_mutex_unlock(&lock);
  if (!own) {
    if (id > 0) sheaf_lifeline_kick();
    return id;
  }
  int64_t rc = id;
  if (id > 0) {
    const int turned = sheaf_client_turn(0, err);
    if (turned < 0) rc = turned;
    const int kept = keep_payload(id, err);
    if (kept < 0) rc = kept;
  }
  sheaf_pump_leave();
  return rc;
}

/* Whether a queued request waits for servers that give no sign of life. */
static int waits_for_silence(const request *r) {
  if (r->state != SHEAF_COMMAND_QUEUED) return 0;
  if (r->target) return sheaf_client_server_at(r->target)->silent;
  for (int i = 1; i < sheaf_client_nrank(); i++)
    if (sheaf_client_server_at(i)->alive && !sheaf_client_server_at(i)->silent) return 0;
  return 1;
}

static sheaf_command_state state_of(const request *r) {
  return waits_for_silence(r) ? SHEAF_COMMAND_SILENT : r->state;
}

static int is_settled(int64_t id, int sent) {
  const request *r = find(id);
  if (!r) return 1;
  const sheaf_command_state state = state_of(r);
  return state != SHEAF_COMMAND_QUEUED && (sent || state != SHEAF_COMMAND_SENT);
}

/* With `lock` held: takes the pump for one turn, or waits for who has it. */
static void take_turn(int timeout_ms) {
  sheaf_error err;
  if (pumping) {
    const struct timespec end = after_ms(timeout_ms);
    pthread_cond_timedwait(&changed, &lock, &end);
    return;
  }
  pumping = 1;
  pthread_mutex_unlock(&lock);
  const int rc = sheaf_client_turn(timeout_ms < TURN_MS ? timeout_ms : TURN_MS, &err);
  if (rc < 0) sheaf_log(SHEAF_LOG_SEVERE, "%s", err.text);
  pthread_mutex_lock(&lock);
  leave_locked();
}

int sheaf_command_wait(const int64_t *ids, size_t n, int sent, int timeout_ms) {
  const int64_t end_ms = clock_ms() + timeout_ms;
  size_t at = 0;
  pthread_mutex_lock(&lock);
  nwaiter++;
  for (;;) {
    while (at < n && is_settled(ids[at], sent)) at++;
    const int64_t left_ms = end_ms - clock_ms();
    if (at == n || left_ms <= 0 || stopped) break;
    take_turn((int)left_ms);
  }
  nwaiter--;
  if (napping && nwaiter == 0 && npending > 0) pthread_cond_signal(&wanted);
  pthread_mutex_unlock(&lock);
  return at == n;
}

int sheaf_command_look(int64_t id, sheaf_command_view *view) {
  pthread_mutex_lock(&lock);
  const request *r = find(id);
  if (r) {
    view->state = state_of(r);
    view->rank = r->rank;
    view->ntry = r->ntry;
    sheaf_error_clear(&view->why);
    if (r->why)
      view->why = *r->why;
    else if (view->state == SHEAF_COMMAND_SILENT && r->rank)
      fail_silent(&view->why, r->rank);
    else if (view->state == SHEAF_COMMAND_SILENT)
      sheaf_fail(&view->why, SHEAF_ERR_LOST, "Timeout of all servers");
  }
  pthread_mutex_unlock(&lock);
  return r != NULL;
}

char *sheaf_command_take(int64_t id, size_t *n) {
  pthread_mutex_lock(&lock);
  request *r = find(id);
  char *answer = r ? r->answer : NULL;
  if (answer) {
    *n = r->nanswer;
    r->answer = NULL;
  }
  pthread_mutex_unlock(&lock);
  return answer;
}

void sheaf_command_interrupt(int64_t id, int force) {
  sheaf_error why;
  if (stopped) return;
  sheaf_fail(&why, SHEAF_ERR_INTERRUPTED, "interrupted before it was sent to a server");
  sheaf_pump_enter();
  pthread_mutex_lock(&lock);
  request *r = find(id);
  const int rank =
      r && (r->state == SHEAF_COMMAND_SENT || r->state == SHEAF_COMMAND_SILENT) ? r->rank : 0;
  if (r && r->state == SHEAF_COMMAND_QUEUED) {
    unlink_from(&queues[r->target], id);
    settle(r, SHEAF_COMMAND_FAILED, &why);
  }
  if (force && r) r->retry = 0;
  pthread_mutex_unlock(&lock);
  if (rank && force)
    sheaf_lifeline_kill(rank);
  else if (rank)
    sheaf_lifeline_cancel(rank, SHEAF_LIFELINE_COMMAND | (uint64_t)id);
  sheaf_pump_leave();
  sheaf_lifeline_kick();
}

int sheaf_command_server_look(int rank, sheaf_command_server *view) {
  if (rank < 1 || rank >= sheaf_client_nrank()) return 0;
  const sheaf_client_server *s = sheaf_client_server_at(rank);
  const sheaf_peer *peer = sheaf_lifeline_peer(rank);
  *view = (sheaf_command_server){.alive = s->alive,
                                 .silent = s->silent,
                                 .pid = (int)peer->pid,
                                 .command = s->command,
                                 .unit = s->unit != SHEAF_CLIENT_IDLE,
                                 .ndone = s->ndone,
                                 .unanswered = peer->unanswered,
                                 .local = peer->local,
                                 .ping_time = peer->ping_time,
                                 .heard_time = peer->heard_time};
  if (view->command || view->unit) {
    view->since = (double)s->since_us * 1e-6;
    sheaf_client_name_of(rank, view->what, sizeof view->what);
  }
  memcpy(view->host, peer->host, sizeof view->host);
  return 1;
}

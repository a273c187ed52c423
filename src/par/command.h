/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * command.h - Python commands for servers, as the client keeps them.
 *
 * A request is bytes that the server's handler understands (sheaf_par_handler), and its answer is
 * bytes, too; this layer knows nothing of Python. Requests for one server are done first in, first
 * out; one for any server goes to the first that is free, of several to that with the highest rank,
 * as in CASA. A service thread sends what is queued and takes what comes back while the script
 * computes. All functions may be called from any thread of the client. */
#ifndef SHEAF_PAR_COMMAND_H
#define SHEAF_PAR_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_command_part {
  const void *data;
  size_t n;
} sheaf_command_part;

typedef enum sheaf_command_state {
  SHEAF_COMMAND_QUEUED,
  SHEAF_COMMAND_SENT,
  SHEAF_COMMAND_ANSWERED, /* the answer can be taken */
  SHEAF_COMMAND_SILENT,   /* its server gives no sign of life; an answer may still come */
  SHEAF_COMMAND_FAILED    /* no answer will come; the text says why */
} sheaf_command_state;

typedef struct sheaf_command_view {
  sheaf_command_state state;
  int rank;        /* of the server; 0 while any may get it */
  int ntry;        /* how often it was sent */
  sheaf_error why; /* SILENT and FAILED */
} sheaf_command_view;

typedef struct sheaf_command_server {
  int alive, silent;
  int pid;
  int64_t command; /* the request at work, or 0 */
  int unit;        /* 1 while it works on a unit of a task */
  double since;    /* when that was sent, seconds since 1970; 0 when idle */
  uint64_t ndone;  /* requests and units done */
  int unanswered;  /* pings since it was heard last */
  double ping_time, heard_time;
  int local; /* on the client's host */
  char host[64];
  char what[64]; /* the beginning of what it is at; "" when idle */
} sheaf_command_server;

/* Starts the service thread. SHEAF_ERR_ARG when there are no servers or they have been stopped. */
int sheaf_command_start(sheaf_error *err);
/* Ends servers and service thread for good, in order if possible; requests that have no answer
 * fail. */
void sheaf_command_stop(void);
int sheaf_command_stopped(void);

/* Queues a request for server `rank`, or for any (0), and returns its number, 1 for the first.
 * `retry`: it is sent once more, to another server, if its server dies (only if any may have it).
 * The bytes are copied unless they can be sent at once. `name` is what people see of it. */
int64_t sheaf_command_push(const sheaf_command_part *part, size_t npart, int rank, int retry,
                           const char *name, sheaf_error *err);
/* Waits at most timeout_ms until all these are answered, silent or failed (`sent`: or sent). 1 when
 * they are. */
int sheaf_command_wait(const int64_t *ids, size_t n, int sent, int timeout_ms);
/* What is known of a request; 0 when there is no such one. */
int sheaf_command_look(int64_t id, sheaf_command_view *view);
/* The answer's bytes, once; the caller frees. NULL when there is none (any more). */
char *sheaf_command_take(int64_t id, size_t *n);
/* Interrupts a request: SIGINT to the server that works on it (`force`: the server process is
 * ended), while it is queued it fails. */
void sheaf_command_interrupt(int64_t id, int force);

/* What is known of a server, 1 … N; 0 when there is no such one. */
int sheaf_command_server_look(int rank, sheaf_command_server *view);
/* How long a server may give no sign of life before it counts as silent; 0: for ever. The default
 * is 20 s, or SHEAF_SERVER_GRACE. */
void sheaf_command_grace(double seconds);
double sheaf_command_grace_now(void);

#ifdef __cplusplus
}
#endif
#endif

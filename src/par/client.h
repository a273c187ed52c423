/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client.h - the servers as the client sees them, and the scheduler that deals units to them;
 * internal to par/, client only.
 *
 * One thread at a time talks to the servers: it has the pump. The main thread has it during a
 * round, whoever waits for a command while it waits, the service thread (command.h) otherwise. What
 * is not said to be for any thread is for the owner of the pump. */
#ifndef SHEAF_PAR_CLIENT_H
#define SHEAF_PAR_CLIENT_H

#include <stdatomic.h>

#include "par/wire.h"
#include "task/task.h"

enum { SHEAF_CLIENT_IDLE = -1 };

/* Written by the owner of the pump, read by any thread. */
typedef struct sheaf_client_server {
  atomic_int alive, silent;
  atomic_int in_order;   /* it said goodbye */
  atomic_llong unit;     /* index in the round, or SHEAF_CLIENT_IDLE */
  atomic_llong command;  /* number of a request, or 0 */
  atomic_llong since_us; /* when it got that, since 1970 */
  atomic_ullong ndone;   /* units and requests */
  uint64_t round;        /* of the unit; an earlier one when that was given up */
  uint64_t has_common;   /* the round whose common value it has */
  char name[64];         /* of its work; for sheaf_client_name */
} sheaf_client_server;

/* Servers are the ranks 1 … nserver, connected by lifelines. The scheduler is valid until the
 * process ends. */
const sheaf_scheduler *sheaf_client_start(int nserver, sheaf_error *err);
/* Servers alive now; any thread. */
int sheaf_client_nserver(void);
/* Ranks, with the client's: servers are 1 … nrank - 1; any thread. */
int sheaf_client_nrank(void);
sheaf_client_server *sheaf_client_server_at(int rank);
/* What people see of the work of a server; any thread. */
void sheaf_client_name(int rank, const char *name);
void sheaf_client_name_of(int rank, char *name, size_t size);
/* Whether a server can be given something. */
int sheaf_client_is_free(int rank);
/* Handles what is there, gives queued commands to free servers, and if nothing happened waits for
 * something, at most wait_ms. Returns how much happened, or an error of MPI itself. */
int sheaf_client_turn(int wait_ms, sheaf_error *err);
/* Asks all servers to end and waits a moment for them; for the main thread when no other has the
 * pump any more. Returns 1 when all of them, of all that ever were, left in order: only then may
 * MPI be finalised. */
int sheaf_client_stop(void);

/* The pump; command.c. Any thread. */
void sheaf_pump_enter(void);
int sheaf_pump_try_enter(void);
void sheaf_pump_leave(void);
/* In a forked child. */
void sheaf_pump_forget(void);
/* For the owner of the pump; command.c. Gives queued requests to free servers; how many, or an
 * error. */
int sheaf_command_deal(sheaf_error *err);
/* An answer, whose bytes are taken over. */
void sheaf_command_hear(sheaf_wire_message *m);
/* A server has ended; what it worked on, and what waits for it, gets an answer. */
void sheaf_command_bury(int rank);
/* A server has become silent, or is heard again. */
void sheaf_command_silent(int rank);
/* Whether the request at work there is to be repeated elsewhere. */
int sheaf_command_is_repeated(int rank);
/* Joins the service thread, and makes all requests without an answer fail. */
void sheaf_command_end(void);

#endif

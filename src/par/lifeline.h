/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lifeline.h - one TCP connection between the client and each server; internal to par/.
 *
 * It carries next to nothing, and three things come of it. The kernel closes it when either process
 * ends, however it ends, and keep-alive probes do when a host is gone: a death is noticed at once.
 * A byte on it wakes a process that waits for an MPI message: waiting costs no processor time. And
 * it reaches a server in the middle of a unit, whose own thread reads it: that is how a round is
 * cancelled. When a server's lifeline breaks, the server process ends on the spot. */
#ifndef SHEAF_PAR_LIFELINE_H
#define SHEAF_PAR_LIFELINE_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Where the client listens; plain data, broadcast over MPI. The two tokens keep strangers out, in
 * both directions. */
typedef struct sheaf_lifeline_address {
  int32_t ok; /* 0: the client could not listen */
  int32_t naddress;
  uint16_t port;
  char host[64];
  unsigned char server_token[16], client_token[16];
  struct in6_addr address[16]; /* IPv4 as mapped addresses */
} sheaf_lifeline_address;

typedef struct sheaf_peer {
  int alive;
  int unanswered; /* pings since it was heard last */
  pid_t pid;
  int local;        /* it runs on the client's host */
  double ping_time; /* of the last ping, and of the last time it was heard; seconds since 1970 */
  double heard_time;
  char host[64];
} sheaf_peer;

/* Rounds from here on are Python commands: the request's number plus this. */
#define SHEAF_LIFELINE_COMMAND (UINT64_C(1) << 63)

/* Client: opens the port; then waits for all `nserver` servers (ranks 1 … nserver). */
int sheaf_lifeline_listen(sheaf_lifeline_address *at, sheaf_error *err);
int sheaf_lifeline_accept(int nserver, sheaf_error *err);
/* Server: connects, and starts the watching thread. */
int sheaf_lifeline_connect(const sheaf_lifeline_address *at, int rank, sheaf_error *err);

/* Waits until somebody rings or dies, at most `timeout_ms`. Returns 1 when something happened. A
 * signal ends it early. */
int sheaf_lifeline_wait(int timeout_ms);
/* Client, any thread: as wait, but leaves what it saw to the next wait. */
int sheaf_lifeline_watch(int timeout_ms);
/* Client, any thread: ends a wait of another thread. */
void sheaf_lifeline_kick(void);
/* Wakes the peer. */
void sheaf_lifeline_ring(int rank);
/* Client: asks a server for a sign of life; its watching thread answers whatever the main thread
 * does. */
void sheaf_lifeline_ping(int rank);
/* Client: ends a server that may not go on, on this host even one that is stopped; elsewhere as
 * soon as it runs again. */
void sheaf_lifeline_kill(int rank);
/* Whether the peer lives; on the client the kernel is asked each time, on a server the answer is
 * yes while it runs. */
int sheaf_lifeline_alive(int rank);
/* Client: what is known of a server (alive is as of the last wait). */
const sheaf_peer *sheaf_lifeline_peer(int rank);
/* Client: raises the cancel flag of a server while it works on that round, now or later; a Python
 * command gets SIGINT besides. */
void sheaf_lifeline_cancel(int rank, uint64_t round);
/* Server: which round is at work from here (0: none); lowers the cancel flag unless that round was
 * cancelled. */
void sheaf_lifeline_at_work(uint64_t round);
/* Server: from here the client's end is no reason to end. */
void sheaf_lifeline_release(void);
/* Closes everything; waits for the thread that watches a server's. */
void sheaf_lifeline_close(void);
/* The same in a forked child, which has no such thread; the parent's connections stay. */
void sheaf_lifeline_leave(void);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * par.h - client and servers under MPI; the only door to mpi.h.
 *
 * Rank 0 is the client and runs the user's script, the other ranks are servers. sheaf_par_init
 * installs a scheduler (task/task.h) that deals units to free servers, largest first. Besides MPI
 * every server holds one TCP connection to the client, its lifeline: the kernel closes it when
 * either process dies, however it dies, so a death is seen at once on any host. When a server dies
 * its unit goes to another; when the client dies all servers end. All functions are for the main
 * thread. Wire format: par/wire.h. */
#ifndef SHEAF_PAR_PAR_H
#define SHEAF_PAR_PAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when this process was started by mpirun with more than one rank (environment only; MPI is not
 * touched). */
int sheaf_par_launched(void);
/* Starts MPI if launched (else does nothing), connects lifelines, sets the log place, shares the
 * memory budget, and on rank 0 installs the scheduler. SHEAF_ERR_IO when MPI or the network
 * refuses. */
int sheaf_par_init(sheaf_error *err);
/* 0 for the client and without MPI; 1 … size-1 for servers. */
int sheaf_par_rank(void);
int sheaf_par_size(void);
/* Servers alive now. */
int sheaf_par_nserver(void);
/* Serves requests until the client stops or is gone; returns the process's exit status. Servers
 * only. */
int sheaf_par_serve(void);
/* What a server does with a Python command: makes the answer from the request's bytes, and hands it
 * to sheaf_par_answer. */
typedef void sheaf_par_handler(void *user, uint64_t id, char *request, size_t n);
/* Server, before sheaf_par_serve. The handler owns `request` (free). */
void sheaf_par_commands(sheaf_par_handler *handler, void *user);
typedef struct sheaf_par_part {
  const void *data;
  size_t n;
} sheaf_par_part;
/* Server, in the handler: sends the answer. From sheaf_par_at_work until it is done SIGINT may
 * come. */
int sheaf_par_answer(uint64_t id, const sheaf_par_part *part, size_t npart, sheaf_error *err);
/* Server, in the handler: the client may interrupt command `id` from here on; 0: no longer. */
void sheaf_par_at_work(uint64_t id);
/* Server: log lines go to a file of its own, and to standard error if `console`; NULL: to the
 * client again. SHEAF_ERR_IO when the file cannot be opened; then nothing changes. */
int sheaf_par_own_log(const char *path, int console, sheaf_error *err);
/* How the process of a server ended, as a predicate: "was killed by signal 9 (Killed)". */
void sheaf_par_obituary(int rank, char *text, size_t size);
/* Client: ends the servers; tasks then run in this process. */
void sheaf_par_stop(void);
const char *sheaf_par_host(void);
/* A table of the servers for people; the caller frees. SIGUSR1 prints it on standard error. */
char *sheaf_par_status(void);
typedef struct sheaf_par_version {
  char name[32];  /* "Open MPI" */
  int release[3]; /* 4, 1, 4 */
  int standard[2];
} sheaf_par_version;
/* The MPI library; also where MPI was not started. */
void sheaf_par_get_version(sheaf_par_version *version);

/* Client: tells the servers to end, leaves MPI, and hands `status` to the launcher (mpisheaf). Does
 * not hang when servers have died. Nothing of Sheaf may be called afterwards. */
void sheaf_par_fini(int status);

#ifdef __cplusplus
}
#endif
#endif

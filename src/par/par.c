/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/par.h"

#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "par/client.h"
#include "par/command.h"
#include "par/lifeline.h"
#include "par/server.h"
#include "par/shm.h"
#include "par/status.h"
#include "par/wire.h"

enum {
  START_S = 120, /* MPI_Init waits for ever for a rank that died before it */
  FINISH_S = 5,
  GUARD_MS = 100
};

static struct {
  int started;
  int rank, size;
  int own_mpi; /* we called MPI_Init, so we finalise */
  pid_t pid;
  MPI_Comm comm;
  char host[64];
} par = {.comm = MPI_COMM_NULL};

/* ---- a guard over calls of MPI that may wait for ever ---- */

static struct {
  pthread_t thread;
  int running;
  int over[2]; /* a pipe, closed at the end */
  int notice;  /* where the launcher says that a server has ended; -1: nowhere */
  int seconds, status;
  const char *text;
} guard = {.notice = -1};

static int obituaries = -1; /* a pipe with pairs of rank and status as from wait */

static void give_up(int status, const char *text) {
  if (text) fprintf(stderr, "sheaf: %s\n", text);
  _exit(status);
}

static void *guard_main(void *none) {
  (void)none;
  char text[192];
  for (int left_ms = guard.seconds * 1000; left_ms > 0; left_ms -= GUARD_MS) {
    struct pollfd p[2] = {{.fd = guard.over[0]}, {.fd = guard.notice, .events = POLLIN}};
    if (poll(p, 2, GUARD_MS) < 0) continue;
    if (p[0].revents) return NULL;
    if (p[1].revents & POLLIN) give_up(1, "a server process ended before it had started");
    if (guard.text && sheaf_cancelled()) give_up(128 + sheaf_cancelled(), NULL);
  }
  snprintf(text, sizeof text,
           "%s within %d s; each host needs this installation under the same path, and must reach "
           "the others",
           guard.text ? guard.text : "", guard.seconds);
  give_up(guard.status, guard.text ? text : NULL);
  return NULL;
}

/* Unless guard_end is called in time, the process ends with `status`, saying `text` if there is
 * one. */
static void guard_begin(int seconds, int status, const char *text) {
  guard.seconds = seconds;
  guard.status = status;
  guard.text = text;
  guard.running = 0;
  if (pipe2(guard.over, O_CLOEXEC) < 0) return; /* it is only a precaution */
  guard.running = pthread_create(&guard.thread, NULL, guard_main, NULL) == 0;
}

static void guard_end(void) {
  if (!guard.running) return;
  close(guard.over[1]);
  pthread_join(guard.thread, NULL);
  close(guard.over[0]);
  guard.running = 0;
}

/* mpisheaf leaves us a pipe that it writes to when a server ends: while there are no lifelines that
 * is the only sign, later it tells how the server ended. */
static void take_notice(void) {
  const char *fd = getenv("SHEAF_START_FD");
  guard.notice = fd ? atoi(fd) : -1;
  if (guard.notice >= 0) fcntl(guard.notice, F_SETFD, FD_CLOEXEC);
}

static void leave_notice(void) {
  obituaries = guard.notice;
  guard.notice = -1;
  unsetenv("SHEAF_START_FD");
}

/* ---- starting ---- */

int sheaf_par_launched(void) {
  const char *size = getenv("OMPI_COMM_WORLD_SIZE");
  /* A program that one of our processes starts inherits the variables, but is no rank. */
  const char *owner = getenv("SHEAF_PAR_PID");
  if (owner && atol(owner) != (long)getpid()) return 0;
  return size && getenv("OMPI_COMM_WORLD_RANK") && atoi(size) > 1;
}

static int start_mpi(sheaf_error *err) {
  int provided = MPI_THREAD_SINGLE, initialized = 0;
  int rc = sheaf_wire_check(MPI_Initialized(&initialized), "MPI_Initialized", err);
  if (rc < 0) return rc;
  if (initialized)
    rc = sheaf_wire_check(MPI_Query_thread(&provided), "MPI_Query_thread", err);
  else
    rc = sheaf_wire_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "MPI_Init",
                          err);
  if (rc < 0) return rc;
  par.own_mpi = !initialized;
  if (provided < MPI_THREAD_SERIALIZED)
    return sheaf_fail(err, SHEAF_ERR_IO, "this MPI offers no support for threads");
  return 0;
}

static int make_communicator(sheaf_error *err) {
  int rc;
  SHEAF_TRY(sheaf_wire_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                             "MPI_Comm_set_errhandler", err));
  SHEAF_TRY(sheaf_wire_check(MPI_Comm_dup(MPI_COMM_WORLD, &par.comm), "MPI_Comm_dup", err));
  SHEAF_TRY(sheaf_wire_check(MPI_Comm_set_errhandler(par.comm, MPI_ERRORS_RETURN),
                             "MPI_Comm_set_errhandler", err));
  SHEAF_TRY(sheaf_wire_check(MPI_Comm_rank(par.comm, &par.rank), "MPI_Comm_rank", err));
  SHEAF_TRY(sheaf_wire_check(MPI_Comm_size(par.comm, &par.size), "MPI_Comm_size", err));
done:
  return rc;
}

/* Divides the memory budget among the processes of this node, and tidies up behind MPI. */
static int settle_node(sheaf_error *err) {
  MPI_Comm node;
  int n = 1;
  int rc = sheaf_wire_check(
      MPI_Comm_split_type(par.comm, MPI_COMM_TYPE_SHARED, par.rank, MPI_INFO_NULL, &node),
      "MPI_Comm_split_type", err);
  if (rc < 0) return rc;
  rc = sheaf_wire_check(MPI_Comm_size(node, &n), "MPI_Comm_size", err);
  if (rc >= 0) rc = sheaf_shm_hide(node, err);
  if (rc >= 0) rc = sheaf_wire_check(MPI_Comm_free(&node), "MPI_Comm_free", err);
  sheaf_memory_share(n);
  return rc;
}

/* Collective: everybody connects, and everybody learns whether all could. */
static int connect_lifelines(sheaf_error *err) {
  sheaf_lifeline_address at = {0};
  sheaf_error ignored;
  int rc = par.rank == 0 ? sheaf_lifeline_listen(&at, err) : 0;
  const int sent = sheaf_wire_check(MPI_Bcast(&at, (int)sizeof at, MPI_BYTE, 0, par.comm),
                                    "MPI_Bcast", rc < 0 ? &ignored : err);
  if (rc >= 0) rc = sent;
  if (rc >= 0 && at.ok)
    rc = par.rank == 0 ? sheaf_lifeline_accept(par.size - 1, err)
                       : sheaf_lifeline_connect(&at, par.rank, err);
  int ok = rc >= 0 && at.ok, all = 0;
  const int reduced = sheaf_wire_check(MPI_Allreduce(&ok, &all, 1, MPI_INT, MPI_MIN, par.comm),
                                       "MPI_Allreduce", rc < 0 ? &ignored : err);
  if (rc >= 0) rc = reduced;
  if (rc >= 0 && !all)
    rc = sheaf_fail(err, SHEAF_ERR_IO, "client and servers could not connect to each other");
  return rc;
}

/* A forked child is no client and no server: it must not keep lifelines open, and works alone. */
static void leave_in_child(void) {
  sheaf_pump_forget();
  sheaf_lifeline_leave();
  if (par.rank == 0) sheaf_scheduler_set(NULL);
  par.started = 0;
}

static int look(int peer) {
  return sheaf_lifeline_alive(peer);
}

static void ring(int peer) {
  sheaf_lifeline_ring(peer);
}

static int start_role(sheaf_error *err) {
  char place[128];
  if (par.rank == 0) {
    const sheaf_scheduler *scheduler = sheaf_client_start(par.size - 1, err);
    if (!scheduler) return SHEAF_ERR_NOMEM;
    snprintf(place, sizeof place, "@%s:MPIClient", par.host);
    sheaf_log_place(place);
    sheaf_scheduler_set(scheduler);
    return sheaf_status_on_signal(err);
  }
  snprintf(place, sizeof place, "@%s:MPIServer-%d", par.host, par.rank);
  sheaf_log_place(place);
  sheaf_server_start(par.rank, par.host);
  return 0;
}

static int start(sheaf_error *err) {
  int rc;
  SHEAF_TRY(start_mpi(err));
  SHEAF_TRY(make_communicator(err));
  SHEAF_TRY(connect_lifelines(err));
  SHEAF_TRY(settle_node(err));
  sheaf_wire_init(par.comm, look, ring);
  SHEAF_TRY(start_role(err));
done:
  return rc;
}

int sheaf_par_init(sheaf_error *err) {
  char pid[32];
  if (par.started || !sheaf_par_launched()) return 0;
  par.pid = getpid();
  snprintf(pid, sizeof pid, "%ld", (long)par.pid);
  setenv("SHEAF_PAR_PID", pid, 1);
  gethostname(par.host, sizeof par.host - 1);
  take_notice();
  guard_begin(START_S, 1, "client and servers did not start");
  const int rc = start(err);
  guard_end();
  leave_notice();
  if (rc < 0) return sheaf_fail_context(err, rc, "starting %s", "client and servers");
  par.started = 1;
  pthread_atfork(NULL, NULL, leave_in_child);
  return 0;
}

/* ---- asking ---- */

int sheaf_par_rank(void) {
  return par.started ? par.rank : 0;
}

int sheaf_par_size(void) {
  return par.started ? par.size : 1;
}

int sheaf_par_nserver(void) {
  return par.started && par.rank == 0 ? sheaf_client_nserver() : 0;
}

char *sheaf_par_status(void) {
  return par.rank == 0 && par.size > 1 ? sheaf_status_text() : strdup("there are no servers\n");
}

const char *sheaf_par_host(void) {
  if (!par.host[0]) gethostname(par.host, sizeof par.host - 1);
  return par.host;
}

void sheaf_par_get_version(sheaf_par_version *v) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length;
  *v = (sheaf_par_version){.name = "MPI"};
  MPI_Get_version(&v->standard[0], &v->standard[1]);
  MPI_Get_library_version(text, &length);
  if (strncmp(text, "Open MPI v", 10)) return;
  snprintf(v->name, sizeof v->name, "Open MPI");
  sscanf(text + 10, "%d.%d.%d", &v->release[0], &v->release[1], &v->release[2]);
}

/* Reads what the launcher says until it names this rank; 0 when it does not within a moment. */
static int read_obituary(int rank, int *status) {
  enum { MOMENT_MS = 1000 };
  static struct { int known, status; } * read_so_far;
  if (!read_so_far) read_so_far = calloc((size_t)par.size, sizeof *read_so_far);
  while (read_so_far && !read_so_far[rank].known) {
    int32_t pair[2];
    struct pollfd p = {.fd = obituaries, .events = POLLIN};
    if (obituaries < 0 || poll(&p, 1, MOMENT_MS) <= 0) return 0;
    if (read(obituaries, pair, sizeof pair) != (ssize_t)sizeof pair) return 0;
    if (pair[0] < 0 || pair[0] >= par.size) continue;
    read_so_far[pair[0]].known = 1;
    read_so_far[pair[0]].status = pair[1];
  }
  if (!read_so_far) return 0;
  *status = read_so_far[rank].status;
  return *status != -1;
}

void sheaf_par_obituary(int rank, char *text, size_t size) {
  int status;
  if (!read_obituary(rank, &status))
    snprintf(text, size, "ended");
  else if (WIFSIGNALED(status))
    snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
  else
    snprintf(text, size, "ended with exit status %d", WEXITSTATUS(status));
}

/* ---- ending ---- */

static void finalize(int status) {
  if (!par.own_mpi) return;
  guard_begin(FINISH_S, status, NULL);
  /* Nothing can be done about a failure here, and nothing depends on it. */
  sheaf_shm_restore();
  MPI_Comm_free(&par.comm);
  MPI_Finalize();
  guard_end();
}

void sheaf_par_commands(sheaf_par_handler *handler, void *user) {
  sheaf_server_commands(handler, user);
}

int sheaf_par_serve(void) {
  sheaf_error err;
  if (!par.started || par.rank == 0) return 1;
  const int rc = sheaf_server_loop(&err);
  par.started = 0;
  sheaf_progress_redirect(NULL, NULL);
  sheaf_log_redirect(NULL, NULL);
  if (rc > 0) finalize(0);
  if (rc < 0) fprintf(stderr, "MPIServer-%d on %s: %s\n", par.rank, par.host, err.text);
  sheaf_lifeline_close();
  return rc < 0 ? 1 : 0;
}

static void stop(int status) {
  if (!par.started || par.rank != 0) return;
  par.started = 0;
  sheaf_scheduler_set(NULL);
  sheaf_command_end();
  if (sheaf_client_stop()) finalize(status);
  sheaf_lifeline_close();
}

void sheaf_par_stop(void) {
  stop(1);
}

void sheaf_par_fini(int status) {
  stop(status);
}

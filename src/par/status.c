/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/status.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "par/client.h"
#include "par/command.h"

int sheaf_status_process(int pid, int64_t *memory, int *nthread) {
  char path[64], line[256];
  long long kib = -1;
  int threads = -1;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) {
    sscanf(line, "VmRSS: %lld", &kib);
    sscanf(line, "Threads: %d", &threads);
  }
  fclose(file);
  *memory = kib * 1024;
  *nthread = threads;
  return kib >= 0 && threads > 0;
}

static double wall_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *state_of(const sheaf_command_server *s) {
  if (!s->alive) return "ended";
  if (s->silent) return "silent";
  return s->command || s->unit ? "busy" : "idle";
}

static void write_line(FILE *out, int rank, const sheaf_command_server *s) {
  char elapsed[32] = "-", memory[32] = "-", threads[16] = "-", what[64];
  int64_t bytes;
  int nthread;
  if (s->since > 0) snprintf(elapsed, sizeof elapsed, "%.1f s", wall_s() - s->since);
  /* What runs on another host is not ours to look at. */
  if (s->alive && s->local && sheaf_status_process(s->pid, &bytes, &nthread)) {
    snprintf(memory, sizeof memory, "%.0f MB", (double)bytes / 1e6);
    snprintf(threads, sizeof threads, "%d", nthread);
  }
  snprintf(what, sizeof what, "%s", s->what[0] ? s->what : "-");
  what[strcspn(what, "\n")] = '\0';
  fprintf(out, "%4d  %-16s %8d  %-6s %10s %9s %7s %8llu  %s\n", rank, s->host, s->pid, state_of(s),
          elapsed, memory, threads, (unsigned long long)s->ndone, what);
}

char *sheaf_status_text(void) {
  char *text = NULL;
  size_t n = 0;
  sheaf_command_server s;
  FILE *out = open_memstream(&text, &n);
  if (!out) return NULL;
  fprintf(out, "%4s  %-16s %8s  %-6s %10s %9s %7s %8s  %s\n", "rank", "host", "pid", "state",
          "elapsed", "memory", "threads", "done", "command");
  for (int rank = 1; rank < sheaf_client_nrank(); rank++)
    if (sheaf_command_server_look(rank, &s)) write_line(out, rank, &s);
  fclose(out);
  return text;
}

/* ---- the signal ---- */

static int asked[2] = {-1, -1};

static void ask(int sig) {
  const int before = errno;
  (void)sig;
  if (write(asked[1], "", 1) < 0) errno = before; /* full: it is asked for already */
  errno = before;
}

static void *answer(void *none) {
  char byte;
  (void)none;
  for (;;) {
    const ssize_t got = read(asked[0], &byte, 1);
    if (got == 0 || (got < 0 && errno != EINTR)) return NULL;
    char *text = got > 0 ? sheaf_status_text() : NULL;
    if (text) fputs(text, stderr);
    free(text);
  }
}

int sheaf_status_on_signal(sheaf_error *err) {
  struct sigaction now, act = {.sa_handler = ask, .sa_flags = SA_RESTART};
  pthread_t thread;
  sigset_t all, before;
  if (sigaction(SIGUSR1, NULL, &now) < 0 || now.sa_handler != SIG_DFL) return 0;
  if (pipe2(asked, O_CLOEXEC) < 0 || fcntl(asked[1], F_SETFL, O_NONBLOCK) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "pipe");
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const int failure = pthread_create(&thread, NULL, answer, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failure) return sheaf_fail_errno(err, SHEAF_ERR_IO, failure, "cannot start a thread");
  pthread_detach(thread);
  sigaction(SIGUSR1, &act, NULL);
  return 0;
}

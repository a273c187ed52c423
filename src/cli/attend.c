/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

enum { AFTER_TERM_MS = 2000, CONNECT_MS = 3000 };

/* ---- reaching the launcher ---- */

static int connect_local(const char *token) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  memcpy(at.sun_path + 1, token, 32);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + 32);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&at, n) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static int connect_remote(const char *address, int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  const struct timeval patience = {.tv_sec = CONNECT_MS / 1000}, none = {0};
  const int on = 1;
  if (inet_pton(AF_INET, address, &at.sin_addr) != 1) return -1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    return fd;
  }
  close(fd);
  return -1;
}

static int connect_launcher(const char *address, int rank) {
  char copy[1024], *rest = NULL;
  snprintf(copy, sizeof copy, "%s", address);
  const char *token = strtok_r(copy, " ", &rest);
  const char *port = strtok_r(NULL, " ", &rest);
  if (!token || strlen(token) != 32 || !port) return -1;
  launch_record hello = {.what = LAUNCH_HELLO, .value = rank};
  memcpy(hello.token, token, sizeof hello.token);
  int fd = connect_local(token);
  for (const char *host; fd < 0 && (host = strtok_r(NULL, " ", &rest));)
    fd = connect_remote(host, atoi(port));
  if (fd < 0) return -1;
  if (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello) return fd;
  close(fd);
  return -1;
}

/* Takes the launcher's answer and, where they come with it, its standard streams. Returns 0, or -1
 * when it wants nobody. */
static int take_welcome(int fd, int keep_streams) {
  launch_record r;
  int streams[3];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof streams)];
  } control;
  struct iovec data = {.iov_base = &r, .iov_len = sizeof r};
  struct msghdr m = {.msg_iov = &data,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  if (recvmsg(fd, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof r) return -1;
  if (r.what != LAUNCH_WELCOME) return -1;
  const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof streams)) return 0;
  memcpy(streams, CMSG_DATA(c), sizeof streams);
  for (int i = 0; i < 3; i++) {
    if (!keep_streams) dup2(streams[i], i);
    close(streams[i]);
  }
  return 0;
}

/* ---- the client ---- */

static void report(int fd, int what, int value) {
  const launch_record r = {.what = what, .value = value, .status = -1};
  if (send(fd, &r, sizeof r, MSG_NOSIGNAL) < 0) return; /* the launcher is gone: so are we soon */
}

static int status_of_failure(int failure) {
  return failure == ENOENT ? 127 : 126;
}

static int complain(const char *program, int failure) {
  fprintf(stderr, "mpisheaf: cannot start '%s': %s\n", program, strerror(failure));
  return status_of_failure(failure);
}

/* The client looks at this pipe while MPI starts, when it has no other means to see that a server
 * is gone, and later to learn how one ended: pairs of rank and status. */
static void pass_notice(int fd) {
  char text[16];
  const int open_fd = fd >= 0 ? dup(fd) : -1; /* survives exec */
  if (open_fd < 0) return;
  snprintf(text, sizeof text, "%d", open_fd);
  setenv("SHEAF_START_FD", text, 1);
}

static pid_t start_client(char **argv, int notice) {
  const pid_t parent = getpid(), child = fork();
  if (child != 0) return child;
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  static const int ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  unsetenv(LAUNCH_VARIABLE);
  pass_notice(notice);
  execvp(argv[0], argv);
  _exit(complain(argv[0], errno));
}

/* mpirun made us a process group, which is in the background of the user's terminal. Takes the
 * terminal if the launcher has it. */
static void take_terminal(void) {
  const pid_t owner = tcgetpgrp(STDIN_FILENO);
  if (owner > 0 && owner != getpgrp()) tcsetpgrp(STDIN_FILENO, getpgrp());
}

typedef struct attendant {
  int launcher, signals;
  pid_t client;
  int status; /* -1 while it runs */
  int terminal;
  int notice[2]; /* a pipe to the client: a server has ended */
  int dying;     /* the client was told to end because somebody above us did */
} attendant;

static void end_client(attendant *a) {
  if (!a->dying) kill(a->client, SIGTERM);
  a->dying = 1;
}

static void hear_client(attendant *a) {
  int status;
  while (waitpid(a->client, &status, WNOHANG | WUNTRACED) == a->client) {
    if (WIFSTOPPED(status)) {
      report(a->launcher, LAUNCH_STOPPED, 0);
    } else {
      a->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      return;
    }
  }
}

static void hear_signal(attendant *a) {
  struct signalfd_siginfo s;
  if (read(a->signals, &s, sizeof s) != (ssize_t)sizeof s) return;
  if (s.ssi_signo == SIGCHLD)
    hear_client(a);
  else
    end_client(a); /* mpirun ends, or the window was closed */
}

static void hear_launcher(attendant *a) {
  launch_record r;
  const ssize_t n = recv(a->launcher, &r, sizeof r, MSG_WAITALL);
  if (n < 0 && errno == EINTR) return;
  if (n != (ssize_t)sizeof r) {
    close(a->launcher);
    a->launcher = -1;
    end_client(a);
    return;
  }
  const int32_t notice[2] = {r.value, r.status};
  if (r.what == LAUNCH_LOST && write(a->notice[1], notice, sizeof notice) < 0)
    return; /* nobody looks any more */
  if (r.what != LAUNCH_SIGNAL) return;
  if (r.value == SIGCONT && a->terminal) take_terminal();
  kill(a->client, r.value);
}

static int watch_client(attendant *a) {
  while (a->status < 0) {
    struct pollfd p[2] = {{.fd = a->signals, .events = POLLIN},
                          {.fd = a->launcher, .events = POLLIN}};
    const int n = poll(p, 2, a->dying ? AFTER_TERM_MS : -1);
    if (n == 0) kill(a->client, SIGKILL);
    if (n <= 0) continue;
    if (p[0].revents) hear_signal(a);
    if (p[1].revents && a->status < 0) hear_launcher(a);
  }
  return a->status;
}

static int open_signals(void) {
  static const int list[] = {SIGCHLD, SIGTERM, SIGHUP};
  static const int ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) sigaddset(&set, list[i]);
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* mpirun sees 0 whatever the client says: it would talk, and end others, about anything else. */
static int attend_client(char **argv, int in_window) {
  const char *address = getenv(LAUNCH_VARIABLE);
  attendant a = {.status = -1, .signals = open_signals()};
  a.launcher = address ? connect_launcher(address, 0) : -1;
  if (a.launcher < 0) {
    fprintf(stderr, "mpisheaf: rank 0 cannot reach its launcher\n");
    return 1;
  }
  if (take_welcome(a.launcher, in_window) < 0) return 0;
  a.terminal = !in_window && isatty(STDIN_FILENO);
  if (a.terminal) take_terminal();
  if (pipe2(a.notice, O_CLOEXEC | O_NONBLOCK) < 0) a.notice[0] = a.notice[1] = -1;
  a.client = start_client(argv, a.notice[0]);
  if (a.client < 0) a.status = complain(argv[0], errno);
  report(a.launcher, LAUNCH_ENDED, watch_client(&a));
  return 0;
}

/* Runs this program again inside an xterm, and returns when that is closed. */
static void open_window(char **argv, const char *self) {
  size_t n = 0;
  while (argv[n]) n++;
  char **all = calloc(n + 8, sizeof *all);
  const char *head[] = {"xterm", "-T", "Sheaf: client (rank 0)", "-e", self, "--rank-in-window"};
  if (!all) return;
  for (size_t i = 0; i < 6; i++) all[i] = (char *)head[i];
  for (size_t i = 0; i < n; i++) all[6 + i] = argv[i];
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    execvp(all[0], all);
    _exit(127);
  }
  if (child > 0)
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  free(all);
}

/* ---- a server ---- */

static int attend_server(char **argv, int rank) {
  const char *address = getenv(LAUNCH_VARIABLE);
  const int launcher = address ? connect_launcher(address, rank) : -1;
  launch_record end = {.what = LAUNCH_ENDED, .value = rank, .status = -1};
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output is the client's alone */
    unsetenv(LAUNCH_VARIABLE);
    execvp(argv[0], argv);
    _exit(complain(argv[0], errno));
  }
  if (child < 0) return complain(argv[0], errno);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  end.status = status;
  /* A launcher that is gone needs no word. */
  if (launcher >= 0 && send(launcher, &end, sizeof end, MSG_NOSIGNAL) < 0) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int attend(char **argv, int window, const char *self) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (window != 2) prctl(PR_SET_PDEATHSIG, SIGKILL); /* of mpirun, or its daemon */
  if (rank && strcmp(rank, "0")) return attend_server(argv, atoi(rank));
  if (window == 1) open_window(argv, self);
  if (window != 2) prctl(PR_SET_PDEATHSIG, SIGTERM);
  return attend_client(argv, window == 2);
}

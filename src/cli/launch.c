/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
  AFTER_CLIENT_MS = 5000,  /* servers leave by themselves within this time */
  AFTER_MPIRUN_MS = 20000, /* the attendant reports within this time */
  AFTER_TERM_MS = 10000,   /* mpirun cleans up within this time */
  AFTER_SIGNAL_MS = 30000, /* a client that was told to terminate has done so */
  BLOCK = 4096
};

/* Lines of mpirun that tell the user nothing; a report is what stands between two dashed lines. */
static const char *const noise[] = {"PMIX ERROR:", "ORTE_ERROR_LOG: Data unpack would read past"};
static const char *const noisy_reports[] = {
    "mpirun noticed that process rank",      "Primary job  terminated normally",
    "exited with non-zero status",           "does not know how to route a message",
    "a process exited without calling",      "has exited improperly",
    "mpirun was unable to cleanly terminate"};

static const char *const host_reports[] = {"unable to reliably start one or more daemons"};

typedef struct filter {
  char line[BLOCK];
  size_t n;
  char report[BLOCK]; /* an open report; "" when there is none */
} filter;

typedef struct server {
  int fd; /* -1: it has ended */
  int rank;
  int status; /* as from wait; -1: not known */
} server;

static struct {
  char token[32];
  int local, remote; /* listening sockets: this host, other hosts */
  int signals;
  server *servers; /* in order of appearance */
  int nserver;
  int attendant; /* -1 before it came and after it went */
  int seen;      /* an attendant came */
  int status;    /* of the client; -1: not known */
  pid_t mpirun;
  int mpirun_status; /* -1: it runs */
  int out, err;      /* from mpirun */
  int in;            /* to mpirun; -1 unless rank 0 is on another host */
  int foreground;    /* we had the terminal, and have given it to the client */
  int own_in;        /* standard input is to be copied to mpirun */
  int64_t deadline_ms;
  int escalation; /* what to do at the deadline: 0 nothing, else see escalate() */
  int terminal_known;
  struct termios terminal;
  filter filter;
  int lacked_hosts;
} l = {.local = -1, .remote = -1, .attendant = -1, .status = -1, .mpirun_status = -1, .in = -1};

static int64_t clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void set_deadline(int64_t ms, int escalation) {
  l.deadline_ms = clock_ms() + ms;
  l.escalation = escalation;
}

/* ---- the address ---- */

static int make_token(void) {
  unsigned char random[16];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return -1;
  for (int i = 0; i < 16; i++) {
    l.token[2 * i] = "0123456789abcdef"[random[i] >> 4];
    l.token[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
  }
  return 0;
}

/* The name of the local socket has no file: nothing to clean up, nothing that a full or missing
 * /tmp could spoil. */
static socklen_t local_address(struct sockaddr_un *at) {
  *at = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(at->sun_path + 1, l.token, sizeof l.token);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof l.token);
}

static int listen_remote(void) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t n = sizeof at;
  l.remote = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (l.remote < 0 || bind(l.remote, (struct sockaddr *)&at, sizeof at) < 0 ||
      listen(l.remote, SOMAXCONN) < 0 || getsockname(l.remote, (struct sockaddr *)&at, &n) < 0)
    return 0; /* no network: rank 0 is here */
  return ntohs(at.sin_port);
}

static void list_addresses(FILE *out) {
  struct ifaddrs *all = NULL;
  char text[INET_ADDRSTRLEN];
  if (getifaddrs(&all) < 0) return;
  for (const struct ifaddrs *i = all; i; i = i->ifa_next)
    if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !(i->ifa_flags & IFF_LOOPBACK) &&
        inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, sizeof text))
      fprintf(out, " %s", text);
  freeifaddrs(all);
}

int launch_listen(void) {
  struct sockaddr_un at;
  char *value = NULL;
  size_t size = 0;
  if (make_token() < 0) return perror("mpisheaf: random numbers"), -1;
  const socklen_t n = local_address(&at);
  l.local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (l.local < 0 || bind(l.local, (struct sockaddr *)&at, n) < 0 || listen(l.local, SOMAXCONN) < 0)
    return perror("mpisheaf: socket"), -1;
  FILE *out = open_memstream(&value, &size);
  if (!out) return perror("mpisheaf"), -1;
  fprintf(out, "%.32s %d", l.token, listen_remote());
  list_addresses(out);
  fclose(out);
  setenv(LAUNCH_VARIABLE, value, 1);
  free(value);
  return 0;
}

/* ---- the attendant ---- */

static int send_streams(int fd) {
  launch_record r = {.what = LAUNCH_WELCOME, .value = 1};
  const int streams[3] = {0, 1, 2};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof streams)];
  } control = {0};
  struct iovec data = {.iov_base = &r, .iov_len = sizeof r};
  struct msghdr m = {.msg_iov = &data,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof streams);
  memcpy(CMSG_DATA(c), streams, sizeof streams);
  return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof r ? 0 : -1;
}

static int tell(int fd, int what, int value) {
  const launch_record r = {.what = what, .value = value};
  return send(fd, &r, sizeof r, MSG_NOSIGNAL) == (ssize_t)sizeof r ? 0 : -1;
}

static int same_user(int fd) {
  struct ucred who;
  socklen_t n = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == getuid();
}

/* Whether somebody with the token calls; *rank is who. */
static int is_ours(int fd, int is_local, int *rank) {
  launch_record r;
  const struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if ((is_local && !same_user(fd)) || recv(fd, &r, sizeof r, MSG_WAITALL) != (ssize_t)sizeof r)
    return 0;
  *rank = r.value;
  return r.what == LAUNCH_HELLO && !memcmp(r.token, l.token, sizeof l.token);
}

static void tell_lost(const server *s) {
  const launch_record r = {.what = LAUNCH_LOST, .value = s->rank, .status = s->status};
  /* When it fails the attendant is gone, and hear_attendant tells. */
  if (l.attendant >= 0 && send(l.attendant, &r, sizeof r, MSG_NOSIGNAL) < 0) return;
}

static void admit_server(int fd, int rank) {
  server *grown = realloc(l.servers, ((size_t)l.nserver + 1) * sizeof *grown);
  if (!grown) {
    close(fd);
    return;
  }
  l.servers = grown;
  l.servers[l.nserver++] = (server){.fd = fd, .rank = rank, .status = -1};
}

/* The attendant of a server tells one thing: how that ended. */
static void bury_server(server *s) {
  launch_record r;
  if (recv(s->fd, &r, sizeof r, MSG_WAITALL) == (ssize_t)sizeof r && r.what == LAUNCH_ENDED)
    s->status = r.status;
  close(s->fd);
  s->fd = -1;
  tell_lost(s);
}

static void admit_attendant(int fd, int is_local) {
  if (l.seen) tell(fd, LAUNCH_BUSY, 0);
  if (l.seen || (is_local ? send_streams(fd) : tell(fd, LAUNCH_WELCOME, 0)) < 0) {
    close(fd);
    return;
  }
  l.seen = 1;
  l.attendant = fd;
  l.own_in = !is_local;
  l.escalation = 0;
  for (int i = 0; i < l.nserver; i++)
    if (l.servers[i].fd < 0) tell_lost(&l.servers[i]);
}

static void admit(int listener) {
  const int is_local = listener == l.local;
  int rank = 0;
  const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  if (!is_ours(fd, is_local, &rank))
    close(fd);
  else if (rank > 0)
    admit_server(fd, rank);
  else
    admit_attendant(fd, is_local);
}

/* Ctrl+Z in the client stops us, too, so that the shell takes over; fg wakes both. */
static void suspend(void) {
  if (!l.foreground) return;
  tcsetpgrp(STDIN_FILENO, getpgrp());
  kill(getpid(), SIGSTOP);
}

static void resume(void) {
  if (l.attendant >= 0) tell(l.attendant, LAUNCH_SIGNAL, SIGCONT);
}

static void hear_attendant(void) {
  launch_record r;
  const ssize_t n = recv(l.attendant, &r, sizeof r, MSG_WAITALL);
  if (n < 0 && errno == EINTR) return;
  if (n == (ssize_t)sizeof r && r.what == LAUNCH_STOPPED) {
    suspend();
    return;
  }
  if (n == (ssize_t)sizeof r && r.what == LAUNCH_ENDED) {
    l.status = r.value;
    set_deadline(AFTER_CLIENT_MS, SIGTERM);
  } else if (l.status < 0) {
    l.status = 128 + SIGKILL; /* the attendant was killed, and took the client with it */
    set_deadline(0, SIGTERM);
  }
  close(l.attendant);
  l.attendant = -1;
}

/* ---- what mpirun prints ---- */

static void put(int fd, const char *text, size_t n) {
  while (n > 0) {
    const ssize_t done = write(fd, text, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    text += done;
    n -= (size_t)done;
  }
}

static int mentions(const char *text, const char *const *words, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strstr(text, words[i])) return 1;
  return 0;
}

static void close_report(filter *f) {
  if (mentions(f->report, host_reports, 1))
    l.lacked_hosts = 1; /* hosts_explain is clearer */
  else if (!mentions(f->report, noisy_reports, sizeof noisy_reports / sizeof *noisy_reports))
    put(STDERR_FILENO, f->report, strlen(f->report));
  f->report[0] = '\0';
}

/* One line, with its newline. */
static void filter_line(filter *f, const char *line) {
  const int dashes = strspn(line, "-") >= 60;
  const size_t used = strlen(f->report), n = strlen(line);
  if (!dashes && !used) {
    if (!mentions(line, noise, sizeof noise / sizeof *noise)) put(STDERR_FILENO, line, n);
    return;
  }
  if (used + n >= sizeof f->report) {
    close_report(f);
    put(STDERR_FILENO, line, n);
    return;
  }
  memcpy(f->report + used, line, n + 1);
  if (dashes && used) close_report(f);
}

static void filter_text(filter *f, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    f->line[f->n++] = text[i];
    if (text[i] != '\n' && f->n < sizeof f->line - 1) continue;
    f->line[f->n] = '\0';
    filter_line(f, f->line);
    f->n = 0;
  }
}

static void filter_end(filter *f) {
  f->line[f->n] = '\0';
  if (f->n) filter_line(f, f->line);
  f->n = 0;
  close_report(f);
}

/* Passes on what is there; closes at the end. */
static void copy_from(int *fd, int is_error) {
  char text[BLOCK];
  const ssize_t n = read(*fd, text, sizeof text);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    close(*fd);
    *fd = -1;
  } else if (is_error) {
    filter_text(&l.filter, text, (size_t)n);
  } else {
    put(STDOUT_FILENO, text, (size_t)n);
  }
}

static void copy_input(void) {
  char text[BLOCK];
  const ssize_t n = read(STDIN_FILENO, text, sizeof text);
  if (n < 0 && errno == EINTR) return;
  if (n > 0) {
    put(l.in, text, (size_t)n);
    return;
  }
  close(l.in);
  l.in = -1;
  l.own_in = 0;
}

/* ---- signals and deadlines ---- */

static void hear_child(void) {
  int status;
  if (waitpid(l.mpirun, &status, WNOHANG) != l.mpirun) return;
  l.mpirun_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (l.attendant >= 0) set_deadline(AFTER_MPIRUN_MS, SIGKILL);
}

static void pass_signal(int sig) {
  if (l.attendant >= 0) {
    tell(l.attendant, LAUNCH_SIGNAL, sig);
    if (sig == SIGTERM || sig == SIGHUP) set_deadline(AFTER_SIGNAL_MS, SIGINT);
  } else if (l.status < 0) {
    l.status = 128 + sig; /* there is no client yet */
    set_deadline(0, SIGTERM);
  }
}

static void hear_signal(void) {
  struct signalfd_siginfo s;
  if (read(l.signals, &s, sizeof s) != (ssize_t)sizeof s) return;
  if (s.ssi_signo == SIGCHLD)
    hear_child();
  else if (s.ssi_signo == SIGCONT)
    resume();
  else
    pass_signal((int)s.ssi_signo);
}

/* The patience with somebody is over. */
static void escalate(void) {
  switch (l.escalation) {
    case SIGALRM: /* rank 0 did not come */
      fprintf(stderr, "mpisheaf: the client did not start in time\n");
      l.status = 1;
      kill(l.mpirun, SIGTERM);
      set_deadline(AFTER_TERM_MS, SIGKILL);
      break;
    case SIGINT: /* the client ignored SIGTERM */
      if (l.attendant >= 0) tell(l.attendant, LAUNCH_SIGNAL, SIGKILL);
      set_deadline(AFTER_CLIENT_MS, SIGTERM);
      break;
    case SIGTERM: /* servers, or mpirun itself, do not leave */
      if (l.mpirun_status < 0) kill(l.mpirun, SIGTERM);
      set_deadline(AFTER_TERM_MS, SIGKILL);
      break;
    default:
      if (l.mpirun_status < 0) kill(l.mpirun, SIGKILL);
      if (l.attendant >= 0) close(l.attendant);
      l.attendant = -1;
      l.escalation = 0;
  }
}

/* ---- the whole ---- */

static int open_signals(void) {
  static const int list[] = {SIGINT,  SIGTERM,  SIGHUP,  SIGQUIT, SIGCHLD,
                             SIGCONT, SIGWINCH, SIGUSR1, SIGUSR2};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    struct sigaction old;
    if (list[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
      continue; /* nohup */
    sigaddset(&set, list[i]);
  }
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGTTOU, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void become_mpirun(char **argv, const int in[2], const int out[2], const int err[2],
                          pid_t parent) {
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* it takes its processes with it, and cleans up */
  if (getppid() != parent) _exit(1);
  setpgid(0, 0); /* Ctrl+C is for the client */
  dup2(in[0], STDIN_FILENO);
  dup2(out[1], STDOUT_FILENO);
  dup2(err[1], STDERR_FILENO);
  signal(SIGTTOU, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execvp(argv[0], argv);
  if (errno == ENOENT)
    fprintf(stderr, "mpisheaf: there is no mpirun here; on Debian: apt install openmpi-bin\n");
  else
    fprintf(stderr, "mpisheaf: cannot start mpirun: %s\n", strerror(errno));
  _exit(2);
}

static int start_mpirun(char **argv) {
  int in[2], out[2], err[2];
  const pid_t self = getpid();
  if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) return -1;
  l.mpirun = fork();
  if (l.mpirun == 0) become_mpirun(argv, in, out, err, self);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  l.in = in[1];
  l.out = out[0];
  l.err = err[0];
  return l.mpirun < 0 ? -1 : 0;
}

static int finished(void) {
  return l.mpirun_status >= 0 && l.attendant < 0 && l.out < 0 && l.err < 0;
}

static int patience_ms(void) {
  if (!l.escalation) return l.mpirun_status >= 0 ? 200 : -1;
  const int64_t left = l.deadline_ms - clock_ms();
  return left < 0 ? 0 : (int)left;
}

/* Stray processes may hold mpirun's pipes after its end. */
static void close_pipes(void) {
  if (l.out >= 0) close(l.out);
  if (l.err >= 0) close(l.err);
  l.out = l.err = -1;
}

enum { SIGNALS, LOCAL, REMOTE, ATTENDANT, OUT, ERR, IN, SERVERS };

static void handle(const struct pollfd *p) {
  if (p[SIGNALS].revents) hear_signal();
  if (p[LOCAL].revents) admit(l.local);
  if (p[REMOTE].revents) admit(l.remote);
  if (p[ATTENDANT].revents) hear_attendant();
  if (p[OUT].revents) copy_from(&l.out, 0);
  if (p[ERR].revents) copy_from(&l.err, 1);
  if (p[IN].revents && l.in >= 0) copy_input();
}

static void take_turn(struct pollfd *p) {
  const int nserver = l.nserver;
  const int fds[SERVERS] = {
      l.signals, l.local, l.remote, l.attendant, l.out, l.err, l.own_in ? STDIN_FILENO : -1};
  for (int i = 0; i < SERVERS; i++) p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
  for (int i = 0; i < nserver; i++)
    p[SERVERS + i] = (struct pollfd){.fd = l.servers[i].fd, .events = POLLIN};
  const int n = poll(p, (nfds_t)(SERVERS + nserver), patience_ms());
  if (n > 0) handle(p);
  for (int i = 0; n > 0 && i < nserver; i++)
    if (p[SERVERS + i].revents) bury_server(&l.servers[i]);
  if (n == 0 && l.mpirun_status >= 0 && !l.escalation) close_pipes();
  if (l.escalation && clock_ms() >= l.deadline_ms) escalate();
}

/* The client may leave the terminal in any state. */
static void restore_terminal(void) {
  if (l.foreground) tcsetpgrp(STDIN_FILENO, getpgrp());
  if (l.terminal_known && tcgetpgrp(STDIN_FILENO) == getpgrp())
    tcsetattr(STDIN_FILENO, TCSADRAIN, &l.terminal);
}

int launch(char **argv, int timeout_s) {
  l.signals = open_signals();
  l.terminal_known = tcgetattr(STDIN_FILENO, &l.terminal) == 0;
  l.foreground = l.terminal_known && tcgetpgrp(STDIN_FILENO) == getpgrp();
  if (l.signals < 0 || start_mpirun(argv) < 0) return perror("mpisheaf"), 1;
  set_deadline((int64_t)timeout_s * 1000, SIGALRM);
  struct pollfd *p = NULL;
  while (!finished()) {
    struct pollfd *grown = realloc(p, (size_t)(SERVERS + l.nserver) * sizeof *p);
    if (!grown) break;
    p = grown;
    take_turn(p);
  }
  free(p);
  filter_end(&l.filter);
  restore_terminal();
  if (l.status >= 0) return l.status;
  if (l.lacked_hosts) return 1;
  return l.mpirun_status ? l.mpirun_status : 1; /* no client ever came */
}

int launch_lacked_hosts(void) {
  return l.lacked_hosts;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/lifeline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"

enum {
  START_MS = 90 * 1000,  /* for all servers to connect */
  CONNECT_MS = 3 * 1000, /* for one address to answer */
  HELLO_S = 20           /* for a greeting, also on hosts that are busy */
};

/* What a server says first. */
typedef struct hello {
  unsigned char token[16];
  int32_t rank, pid;
  char host[64];
} hello;

/* What the client sends later; servers send single bytes, because their rings carry nothing. */
typedef struct order {
  uint64_t what;
  uint64_t round; /* CANCEL only */
} order;
enum { RING = 1, CANCEL, PING, KILL };

/* Client: one element per rank, [0] is unused. Server: only socket[0]. */
static int npeer;
static int *sockets;
static sheaf_peer *peers;
static int watched = -1; /* an epoll of all sockets and of `kicked` */
static int kicked = -1;
static int listener = -1;
static sheaf_lifeline_address offered;

/* Server only. */
static int wakeup = -1;
static atomic_int released;
static pthread_t watcher;
static int watching;
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t work_round;      /* guarded by work_lock */
static uint64_t cancelled_round; /* the last that the client gave up */
static pthread_t main_thread;

static double wall_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int64_t clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- connecting ---- */

static void tune_socket(int fd) {
  const int on = 1, idle_s = 2, every_s = 1, count = 3;
  const unsigned unanswered_ms = 5000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

/* Reads or writes all n bytes of a small greeting within HELLO_S. */
static int transfer(int fd, void *data, size_t n, short events) {
  const int64_t end_ms = clock_ms() + HELLO_S * 1000;
  char *at = data;
  while (n > 0) {
    const int64_t left_ms = end_ms - clock_ms();
    struct pollfd p = {.fd = fd, .events = events};
    if (left_ms <= 0 || (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR)) return -1;
    const ssize_t done = events == POLLIN ? recv(fd, at, n, MSG_DONTWAIT)
                                          : send(fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done == 0) return -1;
    if (done < 0 && errno != EAGAIN && errno != EINTR) return -1;
    if (done < 0) continue;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}

/* A listening socket on any free port: IPv6 and IPv4, or IPv4 alone where the kernel has no IPv6.
 */
static int open_listener(uint16_t *port) {
  struct sockaddr_storage at = {0};
  socklen_t n = sizeof at;
  const int off = 0;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    at.ss_family = AF_INET6;
    if (bind(fd, (struct sockaddr *)&at, sizeof(struct sockaddr_in6)) < 0) {
      close(fd);
      fd = -1;
    }
  }
  if (fd < 0) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    at.ss_family = AF_INET;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(struct sockaddr_in)) < 0) goto failed;
  }
  if (listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0) goto failed;
  *port = at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                   : ((struct sockaddr_in *)&at)->sin_port;
  return fd;
failed:
  if (fd >= 0) close(fd);
  return -1;
}

static struct in6_addr map_ipv4(struct in_addr a) {
  struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
  memcpy(mapped.s6_addr + 12, &a, sizeof a);
  return mapped;
}

/* Adds the addresses of this host under which other hosts may reach it. */
static void list_addresses(sheaf_lifeline_address *at) {
  struct ifaddrs *all = NULL;
  if (getifaddrs(&all) < 0) return;
  for (const struct ifaddrs *i = all; i && at->naddress < 16; i = i->ifa_next) {
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK)) continue;
    if (i->ifa_addr->sa_family == AF_INET) {
      at->address[at->naddress++] = map_ipv4(((struct sockaddr_in *)i->ifa_addr)->sin_addr);
    } else if (i->ifa_addr->sa_family == AF_INET6) {
      const struct in6_addr a = ((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
      if (!IN6_IS_ADDR_LINKLOCAL(&a)) at->address[at->naddress++] = a;
    }
  }
  freeifaddrs(all);
}

int sheaf_lifeline_listen(sheaf_lifeline_address *at, sheaf_error *err) {
  *at = (sheaf_lifeline_address){0};
  gethostname(at->host, sizeof at->host - 1);
  listener = open_listener(&at->port);
  if (listener < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot listen for servers on %s", at->host);
  unsigned char tokens[32];
  if (getrandom(tokens, sizeof tokens, 0) != (ssize_t)sizeof tokens)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "no random numbers");
  memcpy(at->server_token, tokens, 16);
  memcpy(at->client_token, tokens + 16, 16);
  list_addresses(at);
  at->ok = 1;
  offered = *at;
  return 0;
}

static int watch_socket(int fd, int rank) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)rank};
  return epoll_ctl(watched, EPOLL_CTL_ADD, fd, &event);
}

/* Takes the next caller if it is one of our servers; 1 when it was. */
static int admit(int nserver) {
  hello h;
  const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return 0;
  if (transfer(fd, &h, sizeof h, POLLIN) == 0 && !memcmp(h.token, offered.server_token, 16) &&
      h.rank >= 1 && h.rank <= nserver && sockets[h.rank] < 0 &&
      transfer(fd, offered.client_token, 16, POLLOUT) == 0) {
    tune_socket(fd);
    sockets[h.rank] = fd;
    peers[h.rank] = (sheaf_peer){.alive = 1, .pid = h.pid, .heard_time = wall_s()};
    memcpy(peers[h.rank].host, h.host, sizeof h.host - 1);
    peers[h.rank].local = !strcmp(peers[h.rank].host, offered.host);
    return watch_socket(fd, h.rank) == 0;
  }
  close(fd);
  return 0;
}

static int reserve_peers(int nserver, sheaf_error *err) {
  const size_t n = (size_t)nserver + 1;
  sockets = malloc(n * sizeof *sockets);
  peers = calloc(n, sizeof *peers);
  if (!sockets || !peers)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %d servers", nserver);
  for (size_t i = 0; i < n; i++) sockets[i] = -1;
  npeer = (int)n;
  return 0;
}

int sheaf_lifeline_accept(int nserver, sheaf_error *err) {
  int rc = reserve_peers(nserver, err);
  watched = epoll_create1(EPOLL_CLOEXEC);
  kicked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (rc >= 0 && (watched < 0 || kicked < 0 || watch_socket(kicked, 0) < 0))
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "epoll");
  const int64_t end_ms = clock_ms() + START_MS;
  for (int have = 0; rc >= 0 && have < nserver;) {
    struct pollfd p = {.fd = listener, .events = POLLIN};
    const int64_t left_ms = end_ms - clock_ms();
    if (left_ms <= 0)
      rc = sheaf_fail(err, SHEAF_ERR_IO, "only %d of %d servers could connect to %s within %d s",
                      have, nserver, offered.host, START_MS / 1000);
    else if (poll(&p, 1, (int)left_ms) > 0)
      have += admit(nserver);
  }
  close(listener);
  listener = -1;
  return rc;
}

/* A connected socket, or -1 with errno. */
static int connect_to(struct in6_addr address, uint16_t port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = address};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
  memcpy(&four.sin_addr, address.s6_addr + 12, sizeof four.sin_addr);
  const int is_four = IN6_IS_ADDR_V4MAPPED(&address);
  const struct sockaddr *to = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
  const socklen_t n = is_four ? sizeof four : sizeof six;
  const int fd =
      socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int failure = 0;
  socklen_t size = sizeof failure;
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  if (connect(fd, to, n) == 0) return fd;
  if (errno != EINPROGRESS)
    failure = errno;
  else if (poll(&p, 1, CONNECT_MS) <= 0)
    failure = ETIMEDOUT;
  else
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
  if (!failure) return fd;
  close(fd);
  errno = failure;
  return -1;
}

static int greet(int fd, const sheaf_lifeline_address *at, int rank) {
  unsigned char answer[16];
  hello h = {.rank = rank, .pid = getpid()};
  memcpy(h.token, at->server_token, sizeof h.token);
  gethostname(h.host, sizeof h.host - 1);
  if (transfer(fd, &h, sizeof h, POLLOUT) < 0 || transfer(fd, answer, sizeof answer, POLLIN) < 0)
    return -1;
  return memcmp(answer, at->client_token, sizeof answer) ? -1 : 0;
}

/* Tries loopback first where the names of the hosts agree, then every address of the client. */
static int reach_client(const sheaf_lifeline_address *at, int rank) {
  char host[64] = "";
  gethostname(host, sizeof host - 1);
  const int local = !strcmp(host, at->host);
  for (int i = local ? -1 : 0; i < at->naddress; i++) {
    const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = connect_to(i < 0 ? map_ipv4(loopback) : at->address[i], at->port);
    if (fd < 0) continue;
    if (greet(fd, at, rank) == 0) return fd;
    close(fd);
    errno = ECONNREFUSED;
  }
  return -1;
}

/* ---- a server's side ---- */

static void obey(const order *o) {
  const uint64_t one = 1;
  if (o->what == PING) {
    if (send(sockets[0], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return; /* watch() will tell */
    return;
  }
  if (o->what == KILL) kill(getpid(), SIGKILL);
  if (o->what == CANCEL) {
    pthread_mutex_lock(&work_lock);
    cancelled_round = o->round; /* a unit of it may still be under way to us */
    if (work_round == o->round) sheaf_cancel_set(SIGINT);
    if (work_round == o->round && work_round & SHEAF_LIFELINE_COMMAND)
      pthread_kill(main_thread, SIGINT);
    pthread_mutex_unlock(&work_lock);
  }
  if (write(wakeup, &one, sizeof one) < 0) return; /* full: the reader is awake anyway */
}

/* The watching thread. A server without a client is of no use to anybody, and may hold memory and
 * disk. */
static void *watch(void *none) {
  (void)none;
  order o;
  size_t have = 0;
  for (;;) {
    struct pollfd p = {.fd = sockets[0], .events = POLLIN};
    if (poll(&p, 1, -1) < 0) continue;
    const ssize_t n = recv(sockets[0], (char *)&o + have, sizeof o - have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0 && released) return NULL;
    if (n <= 0) _exit(0);
    have += (size_t)n;
    if (have < sizeof o) continue;
    obey(&o);
    have = 0;
  }
}

static int start_watch(sheaf_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the main thread */
  const int failure = pthread_create(&watcher, NULL, watch, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failure) return sheaf_fail_errno(err, SHEAF_ERR_IO, failure, "cannot start a thread");
  watching = 1;
  return 0;
}

/* Before its socket is closed: the descriptor may be another file's soon, and a server that ends
 * with an error must not be taken for one whose client is gone. */
static void end_watch(void) {
  if (!watching) return;
  released = 1;
  shutdown(sockets[0], SHUT_RDWR);
  pthread_join(watcher, NULL);
  watching = 0;
}

int sheaf_lifeline_connect(const sheaf_lifeline_address *at, int rank, sheaf_error *err) {
  const int rc = reserve_peers(0, err);
  if (rc < 0) return rc;
  sockets[0] = reach_client(at, rank);
  if (sockets[0] < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno,
                            "cannot reach the client on host '%s', port %d", at->host,
                            (int)ntohs(at->port));
  tune_socket(sockets[0]);
  main_thread = pthread_self();
  wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeup < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "eventfd");
  return start_watch(err);
}

void sheaf_lifeline_at_work(uint64_t round) {
  pthread_mutex_lock(&work_lock);
  work_round = round;
  const int cancelled = round && round == cancelled_round;
  sheaf_cancel_set(cancelled ? SIGINT : 0);
  if (cancelled && round & SHEAF_LIFELINE_COMMAND) pthread_kill(main_thread, SIGINT);
  pthread_mutex_unlock(&work_lock);
}

void sheaf_lifeline_release(void) {
  released = 1;
}

static int wait_server(int timeout_ms) {
  uint64_t rings;
  struct pollfd p = {.fd = wakeup, .events = POLLIN};
  return poll(&p, 1, timeout_ms) > 0 && read(wakeup, &rings, sizeof rings) > 0;
}

/* ---- the client's side ---- */

static void bury(int rank) {
  close(sockets[rank]);
  sockets[rank] = -1;
  peers[rank].alive = 0;
}

/* Takes the rings of one server, and notices its end. */
static void hear(int rank) {
  char rings[256];
  for (;;) {
    const ssize_t n = recv(sockets[rank], rings, sizeof rings, MSG_DONTWAIT);
    if (n > 0) {
      peers[rank].unanswered = 0;
      peers[rank].heard_time = wall_s();
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    bury(rank);
    return;
  }
}

static int wait_client(int timeout_ms) {
  enum { EVENTS = 64 };
  struct epoll_event event[EVENTS];
  uint64_t kicks;
  const int n = epoll_wait(watched, event, EVENTS, timeout_ms);
  for (int i = 0; i < n; i++) {
    const int rank = (int)event[i].data.u32;
    if (rank > 0 && sockets[rank] >= 0)
      hear(rank);
    else if (rank == 0 && read(kicked, &kicks, sizeof kicks) < 0)
      continue; /* somebody else took it */
  }
  return n > 0;
}

int sheaf_lifeline_wait(int timeout_ms) {
  return wakeup >= 0 ? wait_server(timeout_ms) : wait_client(timeout_ms);
}

int sheaf_lifeline_watch(int timeout_ms) {
  struct epoll_event event;
  return epoll_wait(watched, &event, 1, timeout_ms) > 0;
}

void sheaf_lifeline_kick(void) {
  const uint64_t one = 1;
  if (kicked >= 0 && write(kicked, &one, sizeof one) < 0) return; /* full: it is awake anyway */
}

static void send_order(int rank, order o) {
  const char *at = (const char *)&o;
  for (size_t left = sizeof o; left > 0;) {
    const ssize_t n = send(sockets[rank], at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      at += n;
      left -= (size_t)n;
    } else if (n < 0 && errno == EAGAIN && left < sizeof o) {
      poll(&(struct pollfd){.fd = sockets[rank], .events = POLLOUT}, 1, 10);
    } else if (n >= 0 || errno != EINTR) {
      return; /* full of rings, or gone: hear() will tell */
    }
  }
}

void sheaf_lifeline_ring(int rank) {
  if (wakeup >= 0) {
    if (send(sockets[0], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return; /* watch() will tell */
  } else if (sockets[rank] >= 0) {
    send_order(rank, (order){.what = RING});
  }
}

void sheaf_lifeline_cancel(int rank, uint64_t round) {
  if (sockets[rank] >= 0) send_order(rank, (order){.what = CANCEL, .round = round});
}

void sheaf_lifeline_ping(int rank) {
  if (sockets[rank] < 0) return;
  peers[rank].unanswered++;
  peers[rank].ping_time = wall_s();
  send_order(rank, (order){.what = PING});
}

void sheaf_lifeline_kill(int rank) {
  if (sockets[rank] < 0) return;
  if (peers[rank].local) kill(peers[rank].pid, SIGKILL);
  send_order(rank, (order){.what = KILL});
  bury(rank);
}

int sheaf_lifeline_alive(int rank) {
  if (wakeup >= 0) return 1;
  if (sockets[rank] >= 0) hear(rank);
  return peers[rank].alive;
}

const sheaf_peer *sheaf_lifeline_peer(int rank) {
  return &peers[rank];
}

void sheaf_lifeline_leave(void) {
  watching = 0;
  for (int i = 0; i < npeer; i++)
    if (sockets[i] >= 0) {
      close(sockets[i]);
      sockets[i] = -1;
    }
  if (listener >= 0) close(listener);
  if (watched >= 0) close(watched);
  if (kicked >= 0) close(kicked);
  listener = watched = kicked = -1;
}

void sheaf_lifeline_close(void) {
  end_watch();
  sheaf_lifeline_leave();
}

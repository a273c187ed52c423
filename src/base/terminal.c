/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fork.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
SHEAF_OPEN_AFTER_FORK(lock);
static int enabled = 1;
static char bar[512]; /* what is shown now; "" when nothing is */

/* A closed or broken standard error is no reason to fail: there is nobody left to tell. */
static void put(const char *text, size_t n) {
  while (n > 0) {
    const ssize_t done = write(STDERR_FILENO, text, n);
    if (done < 0 && errno == EAGAIN) { /* somebody made our terminal non-blocking */
      poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 100);
      continue;
    }
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    text += done;
    n -= (size_t)done;
  }
}

static void erase_bar(void) {
  if (bar[0]) put("\r\033[K", 4);
}

void sheaf_terminal_enable(int on) {
  pthread_mutex_lock(&lock);
  if (!on) {
    erase_bar();
    bar[0] = '\0';
  }
  enabled = on;
  pthread_mutex_unlock(&lock);
}

int sheaf_terminal_has_bar(void) {
  pthread_mutex_lock(&lock);
  const int on = enabled;
  pthread_mutex_unlock(&lock);
  return on && isatty(STDERR_FILENO);
}

int sheaf_terminal_width(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void sheaf_terminal_write(const char *text, size_t n) {
  pthread_mutex_lock(&lock);
  if (enabled) {
    erase_bar();
    put(text, n);
    put(bar, strlen(bar));
  }
  pthread_mutex_unlock(&lock);
}

void sheaf_terminal_bar(const char *line) {
  pthread_mutex_lock(&lock);
  if (enabled) {
    erase_bar();
    snprintf(bar, sizeof bar, "%s", line ? line : "");
    put(bar, strlen(bar));
  }
  pthread_mutex_unlock(&lock);
}

void sheaf_terminal_fork(int before) {
  if (before)
    pthread_mutex_lock(&lock);
  else
    pthread_mutex_unlock(&lock);
}

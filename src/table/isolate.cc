// SPDX-License-Identifier: GPL-3.0-or-later
#include "table/isolate.h"

#include "table/isolate.hh"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <mutex>
#include <new>
#include <streambuf>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/log.h"
#include "base/progress.h"
#include "table/casacore_log.hh"
#include "table/guard.hh"
#include "table/own_files.hh"

namespace sheaf {
namespace {

// What goes through the pipe: a head (all there is of progress), then two texts of these lengths
// (log line), one (a value as JSON), or a sheaf_error.
struct Head {
  int kind;  // line or result
  int value;
  size_t first, second;
};
enum { line, result, value, progress, told };

enum { LOOK_MS = 50 };  // how often the parent looks whether it is cancelled

thread_local bool patient = false;  // a child at work is not ended when the task is cancelled

// In the child:
int pipe_out = -1;
const char* child_where;
const sheaf_error* child_error;  // of the work; holds what failed first

bool write_all(int fd, const void* data, size_t n) {
  const char* at = static_cast<const char*>(data);
  while (n > 0) {
    const ssize_t done = write(fd, at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    at += done;
    n -= done;
  }
  return true;
}

// False when the task is cancelled: by a signal, or on a server by the client.
bool wait_readable(int fd) {
  struct pollfd one = {fd, POLLIN, 0};
  while (patient || !sheaf_cancelled())
    if (poll(&one, 1, LOOK_MS) > 0) return true;
  return false;
}

// 1: got n bytes, 0: end of the pipe, -1: the task is cancelled.
int read_all(int fd, void* data, size_t n) {
  char* at = static_cast<char*>(data);
  while (n > 0) {
    if (!wait_readable(fd)) return -1;
    const ssize_t done = read(fd, at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return 0;
    at += done;
    n -= done;
  }
  return 1;
}

void send_line(void*, sheaf_priority priority, const char* origin, const char* message) {
  const Head head = {line, priority, strlen(origin), strlen(message)};
  write_all(pipe_out, &head, sizeof head);
  write_all(pipe_out, origin, head.first);
  write_all(pipe_out, message, head.second);
}

void send_progress(void*, int64_t n) {
  const Head head = {progress, 0, static_cast<size_t>(n), 0};
  write_all(pipe_out, &head, sizeof head);
}

[[noreturn]] void send_result(int rc, const sheaf_error& error) {
  const Head head = {result, rc, sizeof error, 0};
  write_all(pipe_out, &head, sizeof head);
  write_all(pipe_out, &error, sizeof error);
  _exit(0);
}

[[noreturn]] void die_with_reason() {
  const int reason = errno;
  sheaf_error error;
  sheaf_error_clear(&error);
  if (child_error && child_error->code < 0) send_result(child_error->code, *child_error);
  try {
    if (std::current_exception()) std::rethrow_exception(std::current_exception());
    sheaf_fail(&error, SHEAF_ERR_IO, "%s: casacore gave up", child_where);
  } catch (const std::exception& x) {
    sheaf_fail(&error, SHEAF_ERR_IO, "%s: %s", child_where, explain(x.what(), reason).c_str());
  } catch (...) {
    sheaf_fail(&error, SHEAF_ERR_IO, "%s: casacore gave up", child_where);
  }
  send_result(SHEAF_ERR_IO, error);
}

// What casacore writes to standard error becomes lines of the log. While an exception is under way,
// whose text is the error, they tell nothing new.
class LogBuffer : public std::streambuf {
 public:
  int overflow(int c) override {
    if (c != '\n') {
      line_ += static_cast<char>(c);
      return c;
    }
    if (!line_.empty())
      sheaf_log(std::uncaught_exceptions() ? SHEAF_LOG_DEBUG : SHEAF_LOG_WARN, "%s", line_.c_str());
    line_.clear();
    return c;
  }

 private:
  std::string line_;
};

void send_value(json_t* json) {
  if (!json) return;
  char* text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
  const Head head = {value, 0, text ? strlen(text) : 0, 0};
  write_all(pipe_out, &head, sizeof head);
  write_all(pipe_out, text, head.first);
  free(text);
}

[[noreturn]] void run_child(const char* where, pid_t parent, const std::vector<OpenFile>& files,
                            sheaf_isolated_work* work, void* user) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before
  for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  child_where = where;
  std::set_terminate(die_with_reason);
  sheaf_log_redirect(send_line, nullptr);
  sheaf_progress_redirect(send_progress, nullptr);
  std::cerr.rdbuf(new LogBuffer);  // the child never returns
  sheaf_error error;
  sheaf_error_clear(&error);
  child_error = &error;
  json_t* json = nullptr;
  const std::string bad = own_files(files);
  const int rc = bad.empty() ? work(user, &json, &error)
                             : sheaf_fail(&error, SHEAF_ERR_IO, "%s: %s", where, bad.c_str());
  if (rc >= 0) send_value(json);
  send_result(rc, error);
}

// One message of the child; returns as read_all, 2 when the result came, 3 when it told.
int receive(int fd, int* rc, json_t** json, sheaf_error* err) {
  Head head;
  int got = read_all(fd, &head, sizeof head);
  if (got <= 0) return got;
  if (head.kind == result) {
    sheaf_error error;
    if ((got = read_all(fd, &error, sizeof error)) <= 0) return got;
    if (err && head.value < 0) *err = error;
    *rc = head.value;
    return 2;
  }
  if (head.kind == told) return 3;
  if (head.kind == progress) {
    sheaf_progress_add(static_cast<int64_t>(head.first));
    return 1;
  }
  std::vector<char> origin(head.first + 1), message(head.second + 1);
  if ((got = read_all(fd, origin.data(), head.first)) <= 0 && head.first) return got;
  if ((got = read_all(fd, message.data(), head.second)) <= 0 && head.second) return got;
  if (head.kind == value) {
    if (json) *json = json_loadb(origin.data(), head.first, JSON_DECODE_ANY, nullptr);
    return 1;
  }
  sheaf_log_relay(static_cast<sheaf_priority>(head.value), origin.data(), message.data());
  return 1;
}

int early_end(sheaf_error* err, const char* where, int status) {
  if (sheaf_cancelled()) return sheaf_cancel_check(err);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
    return sheaf_fail(err, SHEAF_ERR_INTERRUPTED, "%s: interrupted", where);
  // SIGKILL comes from outside: somebody's, or the system's for want of memory.
  if (WIFSIGNALED(status))
    return sheaf_fail(err, WTERMSIG(status) == SIGKILL ? SHEAF_ERR_LOST : SHEAF_ERR_IO,
                      "%s: the process that did the work was ended by signal %d (%s)", where,
                      WTERMSIG(status), strsignal(WTERMSIG(status)));
  return sheaf_fail(err, SHEAF_ERR_IO, "%s: the process that did the work ended early", where);
}

int watch(int fd, pid_t child, const char* where, json_t** json, sheaf_error* err) {
  int rc = 0, got, status = 0;
  while ((got = receive(fd, &rc, json, err)) == 1 || got == 3) {
  }
  if (got < 0) kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return got == 2 ? rc : early_end(err, where, status);
}

// Runs the work here, in the child that this process is.
bool is_child() {
  return pipe_out >= 0;
}

int call_function(void* user, json_t**, sheaf_error* err) {
  return (*static_cast<const std::function<int(sheaf_error*)>*>(user))(err);
}

}  // namespace

std::recursive_mutex& casacore_lock() {
  static std::recursive_mutex lock;
  return lock;
}

int isolated(sheaf_error* err, const char* where, const std::function<int(sheaf_error*)>& body) {
  if (is_child()) return body(err);
  return sheaf_isolated(where, call_function, const_cast<std::function<int(sheaf_error*)>*>(&body),
                        nullptr, err);
}

int isolated_whole(sheaf_error* err, const char* where,
                   const std::function<int(sheaf_error*)>& body) {
  patient = true;
  const int rc = isolated(err, where, [&](sheaf_error* why) {
    prctl(PR_SET_PDEATHSIG, 0);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_IGN);
    return body(why);
  });
  patient = false;
  return rc;
}

}  // namespace sheaf

struct sheaf_isolation {
  pid_t child;
  int fd;
  std::string where;
};

int sheaf_isolation_begin(sheaf_isolation** isolation, const char* where, sheaf_isolated_work* work,
                          void* user, sheaf_error* err) {
  int ends[2];
  *isolation = nullptr;
  if (pipe2(ends, O_CLOEXEC)) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: pipe", where);
  std::unique_lock<std::recursive_mutex> alone(sheaf::casacore_lock());
  std::vector<sheaf::OpenFile> files;
  try {
    files = sheaf::open_files();
  } catch (const std::bad_alloc&) {
    close(ends[0]);
    close(ends[1]);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for a list of files", where);
  }
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    // The lock's owner is a thread that does not exist here; the child begins with a new one.
    alone.release();
    new (&sheaf::casacore_lock()) std::recursive_mutex;
    close(ends[0]);
    sheaf::pipe_out = ends[1];
    sheaf::run_child(where, parent, files, work, user);
  }
  const int reason = errno;
  alone.unlock();
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return sheaf_fail_errno(err, SHEAF_ERR_IO, reason, "%s: fork", where);
  }
  *isolation = new sheaf_isolation{child, ends[0], where};
  return 0;
}

void sheaf_isolation_tell(void) {
  const sheaf::Head head = {sheaf::told, 0, 0, 0};
  sheaf::write_all(sheaf::pipe_out, &head, sizeof head);
}

int sheaf_isolation_wait(sheaf_isolation* isolation, sheaf_error* err) {
  int rc = 0, got;
  while ((got = sheaf::receive(isolation->fd, &rc, nullptr, err)) == 1) {
  }
  if (got == 3) return 0;
  if (got == 2 && rc < 0) return rc;
  if (got == 2)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: the work ended too early",
                      isolation->where.c_str());
  int status = 0;
  if (got < 0) kill(isolation->child, SIGKILL);
  while (waitpid(isolation->child, &status, 0) < 0 && errno == EINTR) {
  }
  isolation->child = 0;
  return sheaf::early_end(err, isolation->where.c_str(), status);
}

int sheaf_isolation_end(sheaf_isolation* isolation, json_t** json, sheaf_error* err) {
  if (json) *json = nullptr;
  const int rc = sheaf::watch(isolation->fd, isolation->child, isolation->where.c_str(), json, err);
  close(isolation->fd);
  delete isolation;
  return rc;
}

void sheaf_isolation_abandon(sheaf_isolation* isolation) {
  if (!isolation) return;
  if (isolation->child > 0) {
    kill(isolation->child, SIGKILL);
    while (waitpid(isolation->child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(isolation->fd);
  delete isolation;
}

int sheaf_isolated(const char* where, sheaf_isolated_work* work, void* user, json_t** json,
                   sheaf_error* err) {
  sheaf_isolation* isolation;
  const int rc = sheaf_isolation_begin(&isolation, where, work, user, err);
  return rc < 0 ? rc : sheaf_isolation_end(isolation, json, err);
}

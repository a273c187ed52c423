/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "core.h"
#include "par/command.h"
#include "par/par.h"
#include "par/status.h"
#include "task/session.h"

enum {
  SLICE_MS = 50,
};

/* ---- bytes that came over the wire, as a writable buffer ---- */

typedef struct payload {
  PyObject_HEAD char *data; /* owned */
  Py_ssize_t n;
} payload;

static PyTypeObject *payload_type;

static void payload_free(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  free(((payload *)self)->data);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

static int payload_buffer(PyObject *self, Py_buffer *view, int flags) {
  payload *p = (payload *)self;
  return PyBuffer_FillInfo(view, self, p->data, p->n, 0, flags);
}

static PyType_Slot payload_slots[] = {
    {Py_tp_doc, "Bytes that came from another process; a writable buffer."},
    {Py_tp_dealloc, payload_free},
    {Py_bf_getbuffer, payload_buffer},
    {0, NULL}};

static PyType_Spec payload_spec = {.name = "sheaf._core.Payload",
                                   .basicsize = sizeof(payload),
                                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                   .slots = payload_slots};

/* Takes the memory over. */
static PyObject *new_payload(char *data, size_t n) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(payload_type, Py_tp_alloc);
  payload *p = (payload *)allocate(payload_type, 0);
  if (!p) {
    free(data);
    return NULL;
  }
  p->data = data;
  p->n = (Py_ssize_t)n;
  return (PyObject *)p;
}

/* ---- buffers of Python as parts of a message ---- */

typedef struct parts {
  Py_buffer *view;
  sheaf_command_part *part;
  Py_ssize_t n;
} parts;

static void release_parts(parts *p) {
  for (Py_ssize_t i = 0; i < p->n; i++) PyBuffer_Release(&p->view[i]);
  free(p->view);
  free(p->part);
  *p = (parts){0};
}

/* A tuple of objects with contiguous buffers; 0, or -1 with an exception set. */
static int get_parts(PyObject *tuple, parts *p) {
  const Py_ssize_t n = PyTuple_Size(tuple);
  *p = (parts){0};
  if (n < 0) return -1;
  p->view = calloc((size_t)n + 1, sizeof *p->view);
  p->part = calloc((size_t)n + 1, sizeof *p->part);
  if (!p->view || !p->part) {
    release_parts(p);
    PyErr_NoMemory();
    return -1;
  }
  for (; p->n < n; p->n++) {
    Py_buffer *view = &p->view[p->n];
    if (PyObject_GetBuffer(PyTuple_GetItem(tuple, p->n), view, PyBUF_SIMPLE) < 0) {
      release_parts(p);
      return -1;
    }
    p->part[p->n] = (sheaf_command_part){.data = view->buf, .n = (size_t)view->len};
  }
  return 0;
}

/* ---- the client ---- */


static PyObject *start(PyObject *self, PyObject *none) {
  sheaf_error err;
  (void)self, (void)none;
  if (sheaf_session_open(&err) < 0 || sheaf_command_start(&err) < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyObject *stop(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  Py_BEGIN_ALLOW_THREADS;
  sheaf_par_stop();
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

static PyObject *push(PyObject *self, PyObject *args) {
  PyObject *tuple;
  const char *name;
  int rank, retry;
  parts p;
  int64_t id;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "O!ips", &PyTuple_Type, &tuple, &rank, &retry, &name)) return NULL;
  if (get_parts(tuple, &p) < 0) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  id = sheaf_command_push(p.part, (size_t)p.n, rank, retry, name, &err);
  Py_END_ALLOW_THREADS;
  release_parts(&p);
  return id < 0 ? core_raise(NULL, &err) : PyLong_FromLongLong(id);
}

/* The numbers in a list or tuple; NULL with an exception set. */
static int64_t *get_ids(PyObject *list, Py_ssize_t *n) {
  *n = PySequence_Size(list);
  if (*n < 0) return NULL;
  int64_t *ids = calloc((size_t)*n + 1, sizeof *ids);
  if (!ids) return PyErr_NoMemory(), NULL;
  for (Py_ssize_t i = 0; i < *n; i++) {
    PyObject *item = PySequence_GetItem(list, i);
    ids[i] = item ? PyLong_AsLongLong(item) : -1;
    Py_XDECREF(item);
    if (ids[i] == -1 && PyErr_Occurred()) {
      free(ids);
      return NULL;
    }
  }
  return ids;
}

/* Waits in slices, so that Ctrl-C is heard. 1, 0, or -1 with an exception set. */
static int wait_for(const int64_t *ids, Py_ssize_t n, int sent, double timeout_s) {
  double left_ms = timeout_s * 1000;
  for (;;) {
    int done;
    const int slice_ms = timeout_s < 0 || left_ms > SLICE_MS ? SLICE_MS : (int)left_ms;
    Py_BEGIN_ALLOW_THREADS;
    done = sheaf_command_wait(ids, (size_t)n, sent, slice_ms);
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals()) return -1;
    left_ms -= slice_ms;
    if (done || (timeout_s >= 0 && left_ms <= 0) || sheaf_command_stopped()) return done;
  }
}

static PyObject *wait_all(PyObject *self, PyObject *args) {
  PyObject *list;
  int sent;
  double timeout_s;
  Py_ssize_t n;
  (void)self;
  if (!PyArg_ParseTuple(args, "Opd", &list, &sent, &timeout_s)) return NULL;
  int64_t *ids = get_ids(list, &n);
  if (!ids) return NULL;
  const int done = wait_for(ids, n, sent, timeout_s);
  free(ids);
  return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyObject *look(PyObject *self, PyObject *args) {
  long long id;
  sheaf_command_view view;
  (void)self;
  if (!PyArg_ParseTuple(args, "L", &id)) return NULL;
  if (!sheaf_command_look(id, &view)) Py_RETURN_NONE;
  return Py_BuildValue("(iisi)", (int)view.state, view.rank, view.why.code < 0 ? view.why.text : "",
                       view.ntry);
}

static PyObject *take(PyObject *self, PyObject *args) {
  long long id;
  size_t n;
  (void)self;
  if (!PyArg_ParseTuple(args, "L", &id)) return NULL;
  char *answer = sheaf_command_take(id, &n);
  if (!answer) Py_RETURN_NONE;
  return new_payload(answer, n);
}

static PyObject *interrupt(PyObject *self, PyObject *args) {
  long long id;
  int force;
  (void)self;
  if (!PyArg_ParseTuple(args, "Lp", &id, &force)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  sheaf_command_interrupt(id, force);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

static PyObject *server(PyObject *self, PyObject *args) {
  int rank;
  sheaf_command_server s;
  (void)self;
  if (!PyArg_ParseTuple(args, "i", &rank)) return NULL;
  if (!sheaf_command_server_look(rank, &s)) Py_RETURN_NONE;
  int64_t memory = 0;
  int nthread = 0;
  if (s.alive && s.local) sheaf_status_process(s.pid, &memory, &nthread);
  return Py_BuildValue("{s:s,s:L,s:i,s:i,s:s,s:i,s:N,s:N,s:L,s:N,s:d,s:K,s:i,s:d,s:d}", "what",
                       s.what, "memory", (long long)memory, "threads", nthread, "rank", rank,
                       "host", s.host, "pid", s.pid, "alive", PyBool_FromLong(s.alive), "silent",
                       PyBool_FromLong(s.silent), "request", (long long)s.command, "unit",
                       PyBool_FromLong(s.unit), "since", s.since, "done",
                       (unsigned long long)s.ndone, "unanswered", s.unanswered, "ping_time",
                       s.ping_time, "heard_time", s.heard_time);
}

static PyObject *grace(PyObject *self, PyObject *args) {
  double seconds = -1;
  (void)self;
  if (!PyArg_ParseTuple(args, "|d", &seconds)) return NULL;
  if (seconds >= 0) sheaf_command_grace(seconds);
  return PyFloat_FromDouble(sheaf_command_grace_now());
}

/* ---- a server ---- */

static PyObject *run_command;  /* run(payload) -> tuple of buffers; never raises on purpose */
static PyObject *fail_command; /* fail(exception) -> tuple of buffers */

static PyObject *fetch_exception(void) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (value && trace) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return value;
}

/* Runs the command. The client's SIGINT may come at any instant between the two calls of
 * at_work, also when the command has just ended. */
static PyObject *run_guarded(uint64_t id, PyObject *request) {
  PyErr_CheckSignals(); /* a signal that came while there was no command is for none */
  PyErr_Clear();
  sheaf_par_at_work(id);
  PyObject *answer = PyObject_CallFunctionObjArgs(run_command, request, NULL);
  sheaf_par_at_work(0);
  PyObject *problem = answer ? NULL : fetch_exception();
  PyErr_CheckSignals();
  PyErr_Clear();
  if (problem) answer = PyObject_CallFunctionObjArgs(fail_command, problem, NULL);
  Py_XDECREF(problem);
  return answer;
}

static void handle(void *none, uint64_t id, char *request, size_t n) {
  (void)none;
  PyGILState_STATE state = PyGILState_Ensure();
  parts p = {0};
  sheaf_error err;
  PyObject *bytes = new_payload(request, n);
  PyObject *answer = bytes ? run_guarded(id, bytes) : NULL;
  Py_XDECREF(bytes);
  if (answer && PyTuple_Check(answer) && get_parts(answer, &p) == 0) {
    _Static_assert(sizeof(sheaf_par_part) == sizeof(sheaf_command_part), "the same layout");
    int rc;
    Py_BEGIN_ALLOW_THREADS;
    rc = sheaf_par_answer(id, (const sheaf_par_part *)p.part, (size_t)p.n, &err);
    Py_END_ALLOW_THREADS;
    if (rc >= 0) release_parts(&p); /* else MPI may still look at it */
  }
  PyErr_Clear();
  Py_XDECREF(answer);
  PyGILState_Release(state);
}

static PyObject *set_handler(PyObject *self, PyObject *args) {
  PyObject *run, *fail;
  (void)self;
  if (!PyArg_ParseTuple(args, "OO", &run, &fail)) return NULL;
  Py_INCREF(run);
  Py_INCREF(fail);
  run_command = run;
  fail_command = fail;
  sheaf_par_commands(handle, NULL);
  Py_RETURN_NONE;
}

/* ---- the log ---- */

static PyObject *post(PyObject *self, PyObject *args) {
  int priority;
  const char *from, *text;
  (void)self;
  if (!PyArg_ParseTuple(args, "iss", &priority, &from, &text)) return NULL;
  if (priority < SHEAF_LOG_DEBUG || priority > SHEAF_LOG_SEVERE)
    return PyErr_Format(PyExc_ValueError, "priority %d", priority);
  int passes;
  Py_BEGIN_ALLOW_THREADS;
  passes = sheaf_log_passes((sheaf_priority)priority, text);
  if (passes) sheaf_log_from((sheaf_priority)priority, from, text);
  Py_END_ALLOW_THREADS;
  return PyBool_FromLong(passes);
}

/* hide(text or None) */
static PyObject *hide(PyObject *self, PyObject *args) {
  const char *text;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "z", &text)) return NULL;
  if (!text)
    sheaf_log_hide_none();
  else if (sheaf_log_hide(text, &err) < 0)
    return PyErr_NoMemory();
  Py_RETURN_NONE;
}

static PyObject *place(PyObject *self, PyObject *args) {
  const char *text;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &text)) return NULL;
  sheaf_log_place(text);
  Py_RETURN_NONE;
}

static PyObject *threshold(PyObject *self, PyObject *args) {
  int lowest;
  (void)self;
  if (!PyArg_ParseTuple(args, "i", &lowest)) return NULL;
  sheaf_log_threshold((sheaf_priority)lowest);
  Py_RETURN_NONE;
}

static PyObject *log_own(PyObject *self, PyObject *args) {
  const char *path;
  int console;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "zp", &path, &console)) return NULL;
  if (sheaf_par_own_log(path, console, &err) < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyObject *log_open(PyObject *self, PyObject *none) {
  sheaf_error err;
  (void)self, (void)none;
  if (sheaf_session_open(&err) < 0) return core_raise(NULL, &err);
  return PyUnicode_DecodeFSDefault(sheaf_log_path());
}

static PyObject *status(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  char *text = sheaf_par_status();
  if (!text) return PyErr_NoMemory();
  PyObject *table = PyUnicode_DecodeFSDefault(text);
  free(text);
  return table;
}

static PyObject *host(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyUnicode_DecodeFSDefault(sheaf_par_host());
}

static PyObject *size(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyLong_FromLong(sheaf_par_size());
}

static PyObject *terminal(PyObject *self, PyObject *args) {
  int on;
  (void)self;
  if (!PyArg_ParseTuple(args, "p", &on)) return NULL;
  sheaf_log_terminal(on);
  Py_RETURN_NONE;
}

/* ---- facts and settings ---- */

/* Whatever OpenMP library is loaded; one that comes later, and programs started from here, look at
 * the environment. Returns the number of threads that a parallel region would have now. */
static PyObject *omp_threads(PyObject *self, PyObject *args) {
  int n = 0;
  char text[16];
  (void)self;
  if (!PyArg_ParseTuple(args, "|i", &n)) return NULL;
  void (*set)(int);
  int (*get)(void);
  *(void **)&set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  *(void **)&get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  if (n > 0) {
    snprintf(text, sizeof text, "%d", n);
    setenv("OMP_NUM_THREADS", text, 1);
    if (set) set(n);
  }
  const char *wanted = getenv("OMP_NUM_THREADS");
  return PyLong_FromLong(get ? get() : wanted && atoi(wanted) > 0 ? atoi(wanted) : 1);
}

static PyObject *mpi(PyObject *self, PyObject *none) {
  sheaf_par_version v;
  (void)self, (void)none;
  sheaf_par_get_version(&v);
  return Py_BuildValue("(s(iii)(ii))", v.name, v.release[0], v.release[1], v.release[2],
                       v.standard[0], v.standard[1]);
}

static PyMethodDef methods[] = {
    {"command_start", start, METH_NOARGS, "Starts the service thread."},
    {"command_stop", stop, METH_NOARGS, "Ends all servers."},
    {"command_push", push, METH_VARARGS,
     "push(buffers, rank or 0, retry, name): a request's number."},
    {"command_wait", wait_all, METH_VARARGS,
     "wait(ids, sent, seconds or -1): whether all are done."},
    {"command_look", look, METH_VARARGS, "look(id): (state, rank, why, how often sent), or None."},
    {"command_take", take, METH_VARARGS, "take(id): the answer's bytes, once, or None."},
    {"command_interrupt", interrupt, METH_VARARGS, "interrupt(id, force)."},
    {"command_server", server, METH_VARARGS, "server(rank): what is known of it, or None."},
    {"command_grace", grace, METH_VARARGS, "grace([seconds]): how long a server may be silent."},
    {"command_handler", set_handler, METH_VARARGS, "handler(run, fail): for a server."},
    {"log_post", post, METH_VARARGS, "post(priority, origin, text): whether it was written."},
    {"log_hide", hide, METH_VARARGS, "hide(text or None): drops messages that hold it."},
    {"log_place", place, METH_VARARGS, "place(text): the last part of origins."},
    {"log_threshold", threshold, METH_VARARGS, "threshold(priority): drops what is below."},
    {"log_own", log_own, METH_VARARGS, "own(path or None, console): a server's own log file."},
    {"log_open", log_open, METH_NOARGS, "Opens the session's log file; its path, or ''."},
    {"log_terminal", terminal, METH_VARARGS, "terminal(on): whether the log is on stderr, too."},
    {"omp_threads", omp_threads, METH_VARARGS, "omp_threads([n]): sets and returns the number."},
    {"par_mpi", mpi, METH_NOARGS, "(name, release, standard) of the MPI library."},
    {"par_status", status, METH_NOARGS, "A table of the servers as text."},
    {"par_host", host, METH_NOARGS, "The name of this host."},
    {"par_size", size, METH_NOARGS, "Processes under MPI; 1 without."},
    {NULL, NULL, 0, NULL}};

int command_add(PyObject *module) {
  payload_type = (PyTypeObject *)PyType_FromSpec(&payload_spec);
  if (!payload_type) return -1;
  return PyModule_AddFunctions(module, methods);
}

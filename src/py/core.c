/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core.c - the extension module sheaf._core: calls of tasks, their tables, and MPI's life cycle. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/memory.h"
#include "command.h"
#include "convert.h"
#include "core.h"
#include "mms.h"
#include "par/par.h"
#include "table/tool.h"
#include "task/session.h"
#include "task/task.h"
#include "tool.h"

PyObject *core_raise(const char *task, const sheaf_error *err) {
  PyObject *errors = PyImport_ImportModule("sheaf.errors");
  /* A text may hold what a user gave or a file holds, which may be no UTF-8. */
  PyObject *text = PyUnicode_DecodeUTF8(err->text, (Py_ssize_t)strlen(err->text), "replace");
  PyObject *made = errors && text ? PyObject_CallMethod(errors, "make", "iOzsi", err->code, text,
                                                        task, err->host, err->rank)
                                  : NULL;
  if (made) PyErr_SetObject((PyObject *)Py_TYPE(made), made);
  Py_XDECREF(made);
  Py_XDECREF(text);
  Py_XDECREF(errors);
  return NULL;
}

/* Signals during a call raise the cancel flag; Python's handlers are put back afterwards. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { NSIGNAL = sizeof signals / sizeof *signals };

static void take_signals(struct sigaction *before) {
  for (int i = 0; i < NSIGNAL; i++) sigaction(signals[i], NULL, &before[i]);
  sheaf_cancel_signals();
  for (int i = 0; i < NSIGNAL; i++)
    if (before[i].sa_handler == SIG_IGN) sigaction(signals[i], &before[i], NULL);
}

/* Returns the signal that came, or 0. */
static int give_signals_back(const struct sigaction *before) {
  for (int i = 0; i < NSIGNAL; i++) sigaction(signals[i], &before[i], NULL);
  const int signal = sheaf_cancelled();
  sheaf_cancel_set(0);
  return signal;
}

static int call_without_gil(const char *name, const json_t *given, json_t **result, int *signal,
                            sheaf_error *err) {
  struct sigaction before[NSIGNAL];
  PyThreadState *state = PyEval_SaveThread();
  take_signals(before);
  /* Tasks read and write tables in ways of their own: what tools hold back is written before. */
  int rc = sheaf_tools_release(err);
  if (rc >= 0) rc = sheaf_session_call(name, given, result, err);
  *signal = give_signals_back(before);
  PyEval_RestoreThread(state);
  return rc;
}

static PyObject *core_call(PyObject *self, PyObject *args) {
  const char *name;
  PyObject *params;
  sheaf_error err;
  json_t *result = NULL;
  int signal = 0;
  (void)self;
  if (!PyArg_ParseTuple(args, "sO!", &name, &PyDict_Type, &params)) return NULL;
  json_t *given = convert_params(params);
  if (!given) return NULL;
  const int rc = call_without_gil(name, given, &result, &signal, &err);
  json_decref(given);
  PyObject *value = rc >= 0 ? convert_from_value(result) : NULL;
  json_decref(result);
  /* The signal goes to whoever handled it before: KeyboardInterrupt, or the end of the process. */
  if (signal > 1) raise(signal);
  if (PyErr_CheckSignals()) {
    Py_XDECREF(value);
    return NULL;
  }
  return rc < 0 ? core_raise(name, &err) : value;
}

static PyObject *core_echo(PyObject *self, PyObject *object) {
  (void)self;
  json_t *value = convert_to_value(object);
  PyObject *back = value ? convert_from_value(value) : NULL;
  json_decref(value);
  return back;
}

static PyObject *param_dict(const sheaf_param *p) {
  return Py_BuildValue("{s:s,s:I,s:s,s:z,s:z,s:z,s:s,s:I}", "name", p->name, "types", p->types,
                       "default", p->otherwise, "allowed", p->allowed, "unit", p->unit, "when",
                       p->when, "help", p->help, "flags", p->flags);
}

static PyObject *task_dict(const sheaf_task *task) {
  PyObject *params = PyList_New((Py_ssize_t)task->nparam);
  for (size_t i = 0; params && i < task->nparam; i++) {
    PyObject *one = param_dict(&task->params[i]);
    if (!one || PyList_SetItem(params, (Py_ssize_t)i, one)) {
      Py_DECREF(params);
      return NULL;
    }
  }
  char *help = sheaf_task_help(task);
  PyObject *dict = params ? Py_BuildValue("{s:s,s:s,s:s,s:N}", "name", task->name, "summary",
                                          task->summary, "help", help ? help : "", "params", params)
                          : NULL;
  free(help);
  return dict;
}

static PyObject *core_tasks(PyObject *self, PyObject *none) {
  size_t n;
  const sheaf_task *const *list = sheaf_task_list(&n);
  PyObject *all = PyList_New((Py_ssize_t)n);
  (void)self, (void)none;
  for (size_t i = 0; all && i < n; i++) {
    PyObject *one = task_dict(list[i]);
    if (!one || PyList_SetItem(all, (Py_ssize_t)i, one)) {
      Py_DECREF(all);
      return NULL;
    }
  }
  return all;
}

static PyObject *core_nearest(PyObject *self, PyObject *args) {
  const char *word;
  PyObject *words;
  (void)self;
  if (!PyArg_ParseTuple(args, "sO!", &word, &PyTuple_Type, &words)) return NULL;
  const Py_ssize_t n = PyTuple_Size(words);
  const char **texts = calloc((size_t)n + 1, sizeof *texts);
  if (!texts) return PyErr_NoMemory();
  Py_ssize_t i = 0;
  while (i < n && (texts[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(words, i), NULL))) i++;
  const char *near = i == n ? sheaf_nearest(word, texts, (size_t)n) : NULL;
  PyObject *found = i == n ? Py_BuildValue("z", near) : NULL;
  free(texts);
  return found;
}

static PyObject *core_log_file(PyObject *self, PyObject *args) {
  const char *path;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "z", &path)) return NULL;
  if (sheaf_session_log(path, &err) < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyObject *core_memory(PyObject *self, PyObject *args) {
  const char *text;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &text)) return NULL;
  if (sheaf_memory_set(text, &err) < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static pid_t client;

/* After Python is gone: the servers end with the client's exit status. Not in a forked child. */
static void end_client(int status, void *unused) {
  (void)unused;
  if (getpid() == client) sheaf_par_fini(status);
}

static PyObject *core_par_init(PyObject *self, PyObject *none) {
  sheaf_error err;
  (void)self, (void)none;
  if (sheaf_par_init(&err) < 0) return core_raise(NULL, &err);
  if (sheaf_par_rank() == 0 && sheaf_par_launched() && !client) {
    client = getpid();
    on_exit(end_client, NULL);
  }
  Py_RETURN_NONE;
}

static PyObject *core_par_serve(PyObject *self, PyObject *none) {
  int status;
  (void)self, (void)none;
  Py_BEGIN_ALLOW_THREADS;
  status = sheaf_par_serve();
  Py_END_ALLOW_THREADS;
  return PyLong_FromLong(status);
}

static PyObject *core_par_launched(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyBool_FromLong(sheaf_par_launched());
}

static PyObject *core_par_rank(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyLong_FromLong(sheaf_par_rank());
}

static PyObject *core_par_nserver(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyLong_FromLong(sheaf_par_nserver());
}

static PyMethodDef methods[] = {
    {"call", core_call, METH_VARARGS, "call(task, parameters): runs a task, returns its value."},
    {"echo", core_echo, METH_O, "The object as it comes back from C; for tests."},
    {"tasks", core_tasks, METH_NOARGS, "The tables of all tasks."},
    {"nearest", core_nearest, METH_VARARGS, "The word that is nearest to another, or None."},
    {"log_file", core_log_file, METH_VARARGS, "Sets the log file; 'none': no file, None: default."},
    {"memory", core_memory, METH_VARARGS, "Sets the memory budget of this node: '4G'."},
    {"par_launched", core_par_launched, METH_NOARGS, "Whether mpirun started this process."},
    {"par_init", core_par_init, METH_NOARGS, "Starts MPI where mpirun started this process."},
    {"par_rank", core_par_rank, METH_NOARGS, "0 for the client, else the server's rank."},
    {"par_nserver", core_par_nserver, METH_NOARGS, "Servers alive now."},
    {"par_serve", core_par_serve, METH_NOARGS, "Serves until the client ends; the exit status."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT,
                                    "sheaf._core",
                                    "Sheaf's C library.",
                                    -1,
                                    methods,
                                    NULL,
                                    NULL,
                                    NULL,
                                    NULL};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) {
  PyObject *core = PyModule_Create(&module);
  if (core && (PyModule_AddStringConstant(core, "version", SHEAF_VERSION) ||
               command_add(core) < 0 || mms_add(core) < 0 || tool_add(core) < 0)) {
    Py_DECREF(core);
    return NULL;
  }
  sheaf_session_begin();
  return core;
}

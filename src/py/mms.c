/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert.h"
#include "core.h"
#include "ms/distribution.h"
#include "ms/multims.h"
#include "ms/rewrite.h"
#include "ms/scans.h"
#include "ms/selection.h"
#include "table/select.h"

/* ---- parts of a Multi-MS ---- */

static PyObject *is_mms(PyObject *self, PyObject *args) {
  const char *path;
  int found;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &path)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  found = sheaf_mms_is(path);
  Py_END_ALLOW_THREADS;
  return PyBool_FromLong(found);
}

typedef int lister(const char *path, char ***names, size_t *n, sheaf_error *err);

static PyObject *list_names(PyObject *args, lister *list_of) {
  const char *path;
  char **names;
  size_t n;
  int rc;
  sheaf_error err;
  if (!PyArg_ParseTuple(args, "s", &path)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  rc = list_of(path, &names, &n, &err);
  Py_END_ALLOW_THREADS;
  if (rc < 0) return core_raise(NULL, &err);
  PyObject *list = PyList_New((Py_ssize_t)n);
  for (size_t i = 0; list && i < n; i++) {
    PyObject *name = PyUnicode_DecodeFSDefault(names[i]);
    if (!name || PyList_SetItem(list, (Py_ssize_t)i, name)) {
      Py_DECREF(list);
      list = NULL;
    }
  }
  sheaf_mms_members_free(names);
  return list;
}

static PyObject *members(PyObject *self, PyObject *args) {
  (void)self;
  return list_names(args, sheaf_mms_members);
}

static PyObject *subtables(PyObject *self, PyObject *args) {
  (void)self;
  return list_names(args, sheaf_mms_subtables);
}

static PyObject *axis(PyObject *self, PyObject *args) {
  const char *path;
  char text[256];
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &path)) return NULL;
  if (sheaf_mms_axis(path, text, sizeof text, &err) < 0) return core_raise(NULL, &err);
  return PyUnicode_DecodeFSDefault(text);
}

static PyObject *axis_set(PyObject *self, PyObject *args) {
  const char *path, *text;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "ss", &path, &text)) return NULL;
  if (sheaf_mms_axis_set(path, text, &err) < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

/* ---- an output under construction: a capsule that abandons it ---- */

static const char stage_name[] = "sheaf.stage";

static void stage_drop(PyObject *capsule) {
  sheaf_stage *stage = PyCapsule_GetPointer(capsule, stage_name);
  if (!stage) return;
  sheaf_stage_abandon(stage);
  free(stage);
}

static PyObject *stage_begin(PyObject *self, PyObject *args) {
  const char *final;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &final)) return NULL;
  sheaf_stage *stage = calloc(1, sizeof *stage);
  if (!stage) return PyErr_NoMemory();
  if (sheaf_stage_begin(stage, final, &err) < 0) {
    free(stage);
    return core_raise(NULL, &err);
  }
  sheaf_stage_keep(stage);
  PyObject *capsule = PyCapsule_New(stage, stage_name, stage_drop);
  if (!capsule) {
    sheaf_stage_abandon(stage);
    free(stage);
  }
  return capsule;
}

/* The stage of the first argument; NULL with an exception set. */
static sheaf_stage *get_stage(PyObject *capsule) {
  return PyCapsule_GetPointer(capsule, stage_name);
}

static PyObject *stage_path(PyObject *self, PyObject *capsule) {
  (void)self;
  const sheaf_stage *stage = get_stage(capsule);
  return stage ? PyUnicode_DecodeFSDefault(stage->path) : NULL;
}

static PyObject *stage_abandon(PyObject *self, PyObject *capsule) {
  (void)self;
  sheaf_stage *stage = get_stage(capsule);
  if (!stage) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  sheaf_stage_abandon(stage);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

static PyObject *stage_publish(PyObject *self, PyObject *args) {
  PyObject *capsule;
  const char *inner;
  int rc;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "Os", &capsule, &inner)) return NULL;
  sheaf_stage *stage = get_stage(capsule);
  if (!stage) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_stage_publish(stage, inner, &err);
  Py_END_ALLOW_THREADS;
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

/* Paths in a list of texts; NULL with an exception set. The texts live as long as the list. */
static const char **get_paths(PyObject *list, size_t *n) {
  const Py_ssize_t size = PyList_Size(list);
  if (size < 0) return NULL;
  const char **paths = calloc((size_t)size + 1, sizeof *paths);
  if (!paths) return PyErr_NoMemory(), NULL;
  for (Py_ssize_t i = 0; i < size; i++) {
    paths[i] = PyUnicode_AsUTF8AndSize(PyList_GetItem(list, i), NULL);
    if (!paths[i]) {
      free(paths);
      return NULL;
    }
  }
  *n = (size_t)size;
  return paths;
}

static PyObject *assemble(PyObject *self, PyObject *args) {
  const char *path, *axis_text;
  PyObject *list;
  int copy_own, rc;
  size_t n;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "sO!sp", &path, &PyList_Type, &list, &axis_text, &copy_own))
    return NULL;
  const char **paths = get_paths(list, &n);
  if (!paths) return NULL;
  const sheaf_mms_options options = {.axis = axis_text, .copy_own = copy_own};
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_mms_assemble(path, paths, n, &options, &err);
  Py_END_ALLOW_THREADS;
  free(paths);
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyObject *join(PyObject *self, PyObject *args) {
  const char *path, *subdir;
  PyObject *list;
  int rc;
  size_t n;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "ssO!", &path, &subdir, &PyList_Type, &list)) return NULL;
  const char **paths = get_paths(list, &n);
  if (!paths) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_mms_join(path, subdir, paths, n, &err);
  Py_END_ALLOW_THREADS;
  free(paths);
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyObject *tree_copy(PyObject *self, PyObject *args) {
  const char *from, *to;
  int rc;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "ss", &from, &to)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_tree_copy(from, to, &err);
  Py_END_ALLOW_THREADS;
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static int take_copy(void *master, const char *copy, sheaf_error *err) {
  const int rc = sheaf_tree_remove(copy, err);
  return rc < 0 ? rc : sheaf_tree_copy(master, copy, err);
}

static PyObject *subtable_replace(PyObject *self, PyObject *args) {
  const char *path, *master;
  char real[4096];
  int rc;
  sheaf_error err;
  (void)self;
  if (!PyArg_ParseTuple(args, "ss", &path, &master)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_path_real(master, real, sizeof real, &err);
  if (rc >= 0) rc = sheaf_rewrite(path, take_copy, real, &err);
  Py_END_ALLOW_THREADS;
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

/* ---- what is in an MS ---- */

typedef struct content {
  const char *path;
  sheaf_selection_texts texts;
  sheaf_select *select;
  sheaf_scans scans;
  sheaf_description *setups;
  size_t nsetup;
} content;

static void content_free(content *c) {
  sheaf_select_close(c->select);
  sheaf_selection_free(&c->texts);
  sheaf_scans_free(&c->scans);
  free(c->setups);
}

static int content_read(content *c, const json_t *selection, sheaf_error *err) {
  int rc = sheaf_ms_check(c->path, err);
  if (rc >= 0) rc = sheaf_selection_read(&c->texts, selection, err);
  if (rc >= 0) rc = sheaf_descriptions_read(c->path, &c->setups, &c->nsetup, err);
  if (rc >= 0) rc = sheaf_select_open(&c->select, c->path, &c->texts.selection, err);
  if (rc >= 0) rc = sheaf_scans_read(&c->scans, c->path, c->select, NULL, err);
  return rc;
}

/* Parses (path, selection, …) and reads; 0, or -1 with an exception set. */
static int content_open(content *c, const char *path, PyObject *dict) {
  sheaf_error err;
  int rc;
  *c = (content){.path = path};
  json_t *selection = convert_params(dict);
  if (!selection) return -1;
  Py_BEGIN_ALLOW_THREADS;
  rc = content_read(c, selection, &err);
  Py_END_ALLOW_THREADS;
  json_decref(selection);
  if (rc >= 0) return 0;
  content_free(c);
  core_raise(NULL, &err);
  return -1;
}

static json_t *subscan_value(const content *c, const sheaf_subscan *s) {
  json_t *ddids = json_array();
  for (size_t i = 0; i < s->nddid; i++) json_array_append_new(ddids, json_integer(s->ddid[i]));
  (void)c;
  return json_pack("{s:i, s:i, s:I, s:f, s:f, s:o}", "scan", (int)s->scan, "field", (int)s->field,
                   "nrow", (json_int_t)s->nrow, "begin", s->begin_s, "end", s->end_s, "ddid",
                   ddids);
}

static json_t *pairs_value(const int32_t *pair, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(list, json_pack("[i, i]", (int)pair[2 * i], (int)pair[2 * i + 1]));
  return list;
}

/* scans(vis, selection): {"nrow", "subscans", "setups", "ddid_nrow", "baselines"}. */
static PyObject *scans(PyObject *self, PyObject *args) {
  const char *path;
  PyObject *dict;
  content c;
  (void)self;
  if (!PyArg_ParseTuple(args, "sO!", &path, &PyDict_Type, &dict)) return NULL;
  if (content_open(&c, path, dict) < 0) return NULL;
  json_t *subscans = json_array(), *setups = json_array(), *nrows = json_array();
  for (size_t i = 0; i < c.scans.nsubscan; i++)
    json_array_append_new(subscans, subscan_value(&c, &c.scans.subscans[i]));
  for (size_t i = 0; i < c.nsetup; i++)
    json_array_append_new(setups,
                          json_pack("{s:i, s:i, s:i}", "spw", (int)c.setups[i].spw, "nchan",
                                    (int)c.setups[i].nchan, "ncorr", (int)c.setups[i].ncorr));
  for (size_t i = 0; i < c.scans.nddid; i++)
    json_array_append_new(nrows, json_integer(c.scans.ddid_nrow[i]));
  const sheaf_ids *chosen = &sheaf_select_parsed(c.select)->baseline;
  const int listed =
      chosen->given && sheaf_scans_baselines_listed(&c.scans, chosen->id, chosen->n / 2);
  json_t *baselines = listed ? pairs_value(chosen->id, chosen->n / 2)
                             : pairs_value(c.scans.baseline, c.scans.nbaseline);
  json_t *all = json_pack("{s:I, s:o, s:o, s:o, s:o}", "nrow", (json_int_t)c.scans.nrow, "subscans",
                          subscans, "setups", setups, "ddid_nrow", nrows, "baselines", baselines);
  PyObject *value = all ? convert_from_value(all) : PyErr_NoMemory();
  json_decref(all);
  content_free(&c);
  return value;
}

/* balance(vis, selection, n): [[scan, data description, part], …] in order of assignment. */
static PyObject *balance(PyObject *self, PyObject *args) {
  const char *path;
  PyObject *dict;
  int wanted;
  content c;
  sheaf_error err;
  sheaf_pair *pairs = NULL;
  size_t npair = 0;
  (void)self;
  if (!PyArg_ParseTuple(args, "sO!i", &path, &PyDict_Type, &dict, &wanted)) return NULL;
  if (content_open(&c, path, dict) < 0) return NULL;
  size_t npart = wanted > 0 ? (size_t)wanted : 1;
  double *nvis_row = calloc(c.nsetup + 1, sizeof *nvis_row);
  for (size_t d = 0; nvis_row && d < c.nsetup; d++)
    nvis_row[d] = (double)c.setups[d].nchan * c.setups[d].ncorr;
  const int rc = nvis_row ? sheaf_distribute_balanced(c.scans.subscans, c.scans.nsubscan, nvis_row,
                                                      c.nsetup, &npart, &pairs, &npair, &err)
                          : sheaf_fail(&err, SHEAF_ERR_NOMEM, "no memory for a distribution");
  PyObject *list = rc < 0 ? core_raise(NULL, &err) : PyList_New((Py_ssize_t)npair);
  for (size_t i = 0; list && i < npair; i++) {
    PyObject *one = Py_BuildValue("(iiI)", (int)pairs[i].scan, (int)pairs[i].ddid, pairs[i].part);
    if (!one || PyList_SetItem(list, (Py_ssize_t)i, one)) {
      Py_DECREF(list);
      list = NULL;
    }
  }
  free(pairs);
  free(nvis_row);
  content_free(&c);
  return list;
}

/* split_even(length, n): where each of n parts begins, and the length. */
static PyObject *split_even(PyObject *self, PyObject *args) {
  Py_ssize_t length, n;
  (void)self;
  if (!PyArg_ParseTuple(args, "nn", &length, &n)) return NULL;
  if (length < 0 || n < 1) return PyErr_Format(PyExc_ValueError, "split_even(%zd, %zd)", length, n);
  size_t *first = calloc((size_t)n + 1, sizeof *first);
  if (!first) return PyErr_NoMemory();
  sheaf_split_even((size_t)length, (size_t)n, first);
  PyObject *list = PyList_New(n + 1);
  for (Py_ssize_t i = 0; list && i <= n; i++) {
    PyObject *one = PyLong_FromSize_t(first[i]);
    if (!one || PyList_SetItem(list, i, one)) {
      Py_DECREF(list);
      list = NULL;
    }
  }
  free(first);
  return list;
}

static PyMethodDef methods[] = {
    {"mms_is", is_mms, METH_VARARGS, "Whether a path is a Multi-MS."},
    {"mms_members", members, METH_VARARGS, "Paths of its sub-MSs; of an MS, itself."},
    {"mms_subtables", subtables, METH_VARARGS, "Names of the sub-tables of an MS."},
    {"mms_axis", axis, METH_VARARGS, "The AxisType of a Multi-MS; '' when there is none."},
    {"mms_axis_set", axis_set, METH_VARARGS, "axis_set(path, axis): writes the AxisType."},
    {"mms_assemble", assemble, METH_VARARGS,
     "assemble(directory, members, axis, copy_own): makes it a Multi-MS."},
    {"mms_join", join, METH_VARARGS,
     "join(path, subdir, tables): a new concatenated table, into which the tables move."},
    {"tree_copy", tree_copy, METH_VARARGS, "copy(from, to): a whole directory."},
    {"subtable_replace", subtable_replace, METH_VARARGS,
     "replace(table, master): puts a copy of the master in a table's place."},
    {"stage_begin", stage_begin, METH_VARARGS, "begin(output): an output under construction."},
    {"stage_path", stage_path, METH_O, "The directory in which it is built."},
    {"stage_publish", stage_publish, METH_VARARGS, "publish(stage, inner): makes it appear."},
    {"stage_abandon", stage_abandon, METH_O, "Removes it."},
    {"ms_scans", scans, METH_VARARGS, "scans(vis, selection): what is in an MS."},
    {"ms_balance", balance, METH_VARARGS,
     "balance(vis, selection, n): the parts of (scan, data description) pairs, axis 'auto'."},
    {"split_even", split_even, METH_VARARGS, "split_even(length, n): where each part begins."},
    {NULL, NULL, 0, NULL}};

int mms_add(PyObject *module) {
  return PyModule_AddFunctions(module, methods);
}

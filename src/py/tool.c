/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool.h"

#include <limits.h>
#include <string.h>

#include "core.h"
#include "table/tool.h"

/* ---- memory of an answer, which its arrays look into ---- */

typedef struct memory {
  PyObject_HEAD sheaf_pack pack;
} memory;

static PyTypeObject *memory_type;

static void memory_free(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  sheaf_pack_free(&((memory *)self)->pack);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

static int memory_buffer(PyObject *self, Py_buffer *view, int flags) {
  memory *m = (memory *)self;
  return PyBuffer_FillInfo(view, self, m->pack.data, (Py_ssize_t)m->pack.n, 0, flags);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_doc, "The memory of a tool's answer; a writable buffer."},
    {Py_tp_dealloc, memory_free},
    {Py_bf_getbuffer, memory_buffer},
    {0, NULL}};

static PyType_Spec memory_spec = {.name = "sheaf._core.ToolMemory",
                                  .basicsize = sizeof(memory),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                  .slots = memory_slots};

/* Takes the pack over. */
static PyObject *new_memory(sheaf_pack *pack) {
  allocfunc allocate = (allocfunc)PyType_GetSlot(memory_type, Py_tp_alloc);
  memory *m = (memory *)allocate(memory_type, 0);
  if (!m) {
    sheaf_pack_free(pack);
    return NULL;
  }
  m->pack = *pack;
  return (PyObject *)m;
}

/* ---- Python to pack ---- */

static int put(sheaf_pack *pack, PyObject *object);

static int put_text(sheaf_pack *pack, PyObject *text) {
  Py_ssize_t n;
  const char *bytes = PyUnicode_AsUTF8AndSize(text, &n);
  if (!bytes) return -1;
  sheaf_pack_text(pack, bytes, (size_t)n);
  return 0;
}

static int put_dict(sheaf_pack *pack, PyObject *dict) {
  PyObject *key, *item;
  Py_ssize_t pos = 0;
  sheaf_pack_record(pack, PyDict_Size(dict));
  while (PyDict_Next(dict, &pos, &key, &item)) {
    if (!PyUnicode_Check(key)) {
      PyErr_Format(PyExc_TypeError, "a dictionary's keys must be strings, not %R", key);
      return -1;
    }
    if (put_text(pack, key) || put(pack, item)) return -1;
  }
  return 0;
}

/* The element type for a NumPy dtype, and the dtype to bring the array to; -1 with an exception. */
static int array_type(PyObject *array, const char **dtype) {
  static const struct {
    const char *seen, *as;
    int type;
  } known[] = {{"b1", "?", SHEAF_PACK_B1},   {"i4", "=i4", SHEAF_PACK_I4},
               {"f4", "=f4", SHEAF_PACK_F4}, {"c8", "=c8", SHEAF_PACK_C8},
               {"i", "=i8", SHEAF_PACK_I8},  {"u", "=i8", SHEAF_PACK_I8},
               {"f", "=f8", SHEAF_PACK_F8},  {"c", "=c16", SHEAF_PACK_C16},
               {"U", "U", SHEAF_PACK_U},     {"S", "U", SHEAF_PACK_U}};
  PyObject *type = PyObject_GetAttrString(array, "dtype");
  PyObject *text = type ? PyObject_GetAttrString(type, "str") : NULL;
  const char *name = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  int found = -1;
  for (size_t i = 0; name && i < sizeof known / sizeof *known && found < 0; i++)
    if (!strncmp(name + 1, known[i].seen, strlen(known[i].seen))) {
      found = known[i].type;
      *dtype = known[i].as;
    }
  if (name && found < 0)
    PyErr_Format(PyExc_TypeError, "arrays hold booleans, numbers or strings, not %R", type);
  Py_XDECREF(text);
  Py_XDECREF(type);
  return found;
}

static int get_shape(PyObject *array, int64_t *shape) {
  PyObject *tuple = PyObject_GetAttrString(array, "shape");
  const Py_ssize_t n = tuple ? PyTuple_Size(tuple) : -1;
  if (n > SHEAF_PACK_MAXDIM) PyErr_SetString(PyExc_ValueError, "an array has too many axes");
  for (Py_ssize_t i = 0; i < n && n <= SHEAF_PACK_MAXDIM; i++)
    shape[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
  Py_XDECREF(tuple);
  return PyErr_Occurred() ? -1 : (int)n;
}

static int put_text_array(sheaf_pack *pack, PyObject *array, int ndim, const int64_t *shape) {
  PyObject *flat = PyObject_CallMethod(array, "ravel", "s", "F");
  PyObject *list = flat ? PyObject_CallMethod(flat, "tolist", NULL) : NULL;
  const Py_ssize_t n = list ? PyList_Size(list) : -1;
  sheaf_pack_array(pack, SHEAF_PACK_U, ndim, shape);
  int rc = n < 0 ? -1 : 0;
  for (Py_ssize_t i = 0; i < n && !rc; i++) {
    PyObject *item = PyList_GetItem(list, i);
    rc = PyUnicode_Check(item) ? put_text(pack, item) : -1;
    if (rc && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "%R is no string", item);
  }
  Py_XDECREF(list);
  Py_XDECREF(flat);
  return rc;
}

/* `array` without axes becomes a scalar. */
static int put_array(sheaf_pack *pack, PyObject *array, PyObject *numpy) {
  int64_t shape[SHEAF_PACK_MAXDIM];
  const char *dtype = NULL;
  const int ndim = get_shape(array, shape);
  if (ndim < 0) return -1;
  const int type = array_type(array, &dtype);
  if (type < 0) return -1;
  if (type == SHEAF_PACK_U) {
    PyObject *texts = PyObject_CallMethod(array, "astype", "s", "U");
    const int rc = texts ? put_text_array(pack, texts, ndim, shape) : -1;
    Py_XDECREF(texts);
    return rc;
  }
  /* The transposed array, in C's order, is the array with its first axis fastest. */
  PyObject *turned = PyObject_GetAttrString(array, "T");
  PyObject *flat =
      turned ? PyObject_CallMethod(numpy, "ascontiguousarray", "Os", turned, dtype) : NULL;
  Py_buffer view;
  int rc = flat ? PyObject_GetBuffer(flat, &view, PyBUF_SIMPLE) : -1;
  if (!rc) {
    void *to = sheaf_pack_array(pack, type, ndim, shape);
    if (to && view.len) memcpy(to, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
  }
  Py_XDECREF(flat);
  Py_XDECREF(turned);
  return rc;
}

/* A list of numbers or texts is an array; an empty one, or None, an array of no booleans as in
 * CASA. */
static int put_sequence(sheaf_pack *pack, PyObject *list, PyObject *numpy) {
  const int64_t nothing[1] = {0};
  const Py_ssize_t n = list == Py_None ? 0 : PySequence_Size(list);
  if (n < 0) return -1;
  if (!n) {
    sheaf_pack_array(pack, SHEAF_PACK_B1, 1, nothing);
    return 0;
  }
  PyObject *array = PyObject_CallMethod(numpy, "array", "O", list);
  const int rc = array ? put_array(pack, array, numpy) : -1;
  Py_XDECREF(array);
  return rc;
}

static int put_integer(sheaf_pack *pack, PyObject *object) {
  PyObject *index = PyNumber_Index(object);
  const long long n = index ? PyLong_AsLongLong(index) : -1;
  Py_XDECREF(index);
  if (n == -1 && PyErr_Occurred()) return -1;
  sheaf_pack_int(pack, n);
  return 0;
}

static int put_with_numpy(sheaf_pack *pack, PyObject *object) {
  PyObject *numpy = PyImport_ImportModule("numpy");
  if (!numpy) return -1;
  int rc = -1;
  if (PyObject_HasAttrString(object, "dtype") && PyObject_HasAttrString(object, "shape")) {
    PyObject *ndim = PyObject_GetAttrString(object, "ndim");
    const long axes = ndim ? PyLong_AsLong(ndim) : -1;
    Py_XDECREF(ndim);
    PyObject *plain = axes ? NULL : PyObject_CallMethod(object, "item", NULL);
    if (axes > 0)
      rc = put_array(pack, object, numpy);
    else if (plain)
      rc = put(pack, plain);
    Py_XDECREF(plain);
  } else if (object == Py_None || PyList_Check(object) || PyTuple_Check(object))
    rc = put_sequence(pack, object, numpy);
  else if (PyIndex_Check(object))
    rc = put_integer(pack, object);
  else
    PyErr_Format(PyExc_TypeError, "%R is no value for a table", object);
  Py_DECREF(numpy);
  return rc;
}

static int put_one(sheaf_pack *pack, PyObject *object) {
  if (PyBool_Check(object)) {
    sheaf_pack_bool(pack, object == Py_True);
    return 0;
  }
  if (PyLong_Check(object)) return put_integer(pack, object);
  if (PyUnicode_Check(object)) return put_text(pack, object);
  if (PyDict_Check(object)) return put_dict(pack, object);
  if (PyObject_HasAttrString(object, "dtype")) return put_with_numpy(pack, object);
  if (PyFloat_Check(object)) {
    sheaf_pack_real(pack, PyFloat_AsDouble(object));
    return 0;
  }
  if (PyComplex_Check(object)) {
    sheaf_pack_complex(pack, PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object));
    return 0;
  }
  return put_with_numpy(pack, object);
}

static int put(sheaf_pack *pack, PyObject *object) {
  if (Py_EnterRecursiveCall(" while an argument is read")) return -1;
  const int rc = put_one(pack, object);
  Py_LeaveRecursiveCall();
  return rc;
}

/* ---- pack to Python ---- */

typedef struct reader {
  const char *at, *end, *begin;
  PyObject *owner; /* of the memory */
  PyObject *numpy;
} reader;

static PyObject *get(reader *r);

static PyObject *get_list(reader *r, int64_t n) {
  PyObject *list = PyList_New((Py_ssize_t)n);
  for (int64_t i = 0; list && i < n; i++) {
    PyObject *item = get(r);
    if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

/* In the order of the keys, as CASA's records are; takes `dict` over. */
static PyObject *sorted_dict(PyObject *dict) {
  PyObject *keys = dict ? PyDict_Keys(dict) : NULL;
  PyObject *out = keys && !PyList_Sort(keys) ? PyDict_New() : NULL;
  for (Py_ssize_t i = 0; out && i < PyList_Size(keys); i++) {
    PyObject *key = PyList_GetItem(keys, i);
    if (PyDict_SetItem(out, key, PyDict_GetItem(dict, key))) {
      Py_DECREF(out);
      out = NULL;
    }
  }
  Py_XDECREF(keys);
  Py_XDECREF(dict);
  return out;
}

static PyObject *get_record(reader *r, int64_t n) {
  PyObject *dict = PyDict_New();
  for (int64_t i = 0; dict && i < n; i++) {
    PyObject *key = get(r);
    PyObject *item = key ? get(r) : NULL;
    const int rc = item ? PyDict_SetItem(dict, key, item) : -1;
    Py_XDECREF(key);
    Py_XDECREF(item);
    if (rc) {
      Py_DECREF(dict);
      return NULL;
    }
  }
  return sorted_dict(dict);
}

static PyObject *shape_tuple(const sheaf_item *item) {
  PyObject *tuple = PyTuple_New(item->ndim);
  for (int i = 0; tuple && i < item->ndim; i++)
    PyTuple_SetItem(tuple, i, PyLong_FromLongLong(item->shape[i]));
  return tuple;
}

/* A flat array in its shape, first axis fastest; takes `flat` over. */
static PyObject *shaped(const sheaf_item *item, PyObject *flat) {
  if (!flat || item->ndim == 1) return flat;
  PyObject *shape = shape_tuple(item);
  PyObject *method = shape ? PyObject_GetAttrString(flat, "reshape") : NULL;
  PyObject *args = method ? PyTuple_Pack(1, shape) : NULL;
  PyObject *order = args ? Py_BuildValue("{s:s}", "order", "F") : NULL;
  PyObject *array = order ? PyObject_Call(method, args, order) : NULL;
  Py_XDECREF(order);
  Py_XDECREF(args);
  Py_XDECREF(method);
  Py_XDECREF(shape);
  Py_DECREF(flat);
  return array;
}

static PyObject *get_array(reader *r, const sheaf_item *item) {
  static const char *const dtypes[] = {"?", "i4", "i8", "f4", "f8", "c8", "c16", "u8"};
  if (item->type == SHEAF_PACK_U) {
    PyObject *list = get_list(r, (int64_t)item->n);
    PyObject *flat = list ? PyObject_CallMethod(r->numpy, "array", "Os", list, "U") : NULL;
    Py_XDECREF(list);
    return shaped(item, flat);
  }
  if (!item->n)
    return shaped(item, PyObject_CallMethod(r->numpy, "zeros", "is", 0, dtypes[item->type]));
  const Py_ssize_t offset = (const char *)item->data - r->begin;
  return shaped(item, PyObject_CallMethod(r->numpy, "frombuffer", "Osnn", r->owner,
                                          dtypes[item->type], (Py_ssize_t)item->n, offset));
}

static PyObject *get(reader *r) {
  sheaf_item item;
  if (sheaf_pack_read(&r->at, r->end, &item)) {
    PyErr_SetString(PyExc_SystemError, "a tool's answer is damaged");
    return NULL;
  }
  switch (item.kind) {
    case SHEAF_PACK_BOOL:
      return PyBool_FromLong((long)item.i);
    case SHEAF_PACK_INT:
      return PyLong_FromLongLong(item.i);
    case SHEAF_PACK_REAL:
      return PyFloat_FromDouble(item.re);
    case SHEAF_PACK_COMPLEX:
      return PyComplex_FromDoubles(item.re, item.im);
    case SHEAF_PACK_TEXT:
      return PyUnicode_DecodeUTF8(item.text, (Py_ssize_t)item.n, "surrogateescape");
    case SHEAF_PACK_ARRAY:
      return get_array(r, &item);
    case SHEAF_PACK_LIST:
      return get_list(r, item.i);
    case SHEAF_PACK_RECORD:
      return get_record(r, item.i);
    default:
      Py_RETURN_NONE;
  }
}

/* Takes the pack over. */
static PyObject *answer(sheaf_pack *pack) {
  if (!pack->n) {
    sheaf_pack_free(pack);
    Py_RETURN_NONE;
  }
  reader r = {.owner = new_memory(pack)};
  if (!r.owner) return NULL;
  r.begin = r.at = ((memory *)r.owner)->pack.data;
  r.end = r.begin + ((memory *)r.owner)->pack.n;
  r.numpy = PyImport_ImportModule("numpy");
  PyObject *value = r.numpy ? get(&r) : NULL;
  Py_XDECREF(r.numpy);
  Py_DECREF(r.owner);
  return value;
}

/* ---- the module's functions ---- */

static PyObject *tool_new(PyObject *self, PyObject *args) {
  const char *kind;
  int64_t number;
  (void)self;
  if (!PyArg_ParseTuple(args, "s", &kind)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  number = sheaf_tool_new(kind);
  Py_END_ALLOW_THREADS;
  return PyLong_FromLongLong(number);
}

static PyObject *tool_free(PyObject *self, PyObject *args) {
  long long number;
  (void)self;
  if (!PyArg_ParseTuple(args, "L", &number)) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  sheaf_tool_free(number);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

static PyObject *tool_call(PyObject *self, PyObject *args) {
  long long number;
  const char *method;
  PyObject *arguments;
  sheaf_pack in, out;
  sheaf_error err;
  int rc;
  (void)self;
  if (!PyArg_ParseTuple(args, "LsO!", &number, &method, &PyDict_Type, &arguments)) return NULL;
  sheaf_pack_init(&in, 0);
  if (put(&in, arguments) || in.failed) {
    sheaf_pack_free(&in);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
  }
  sheaf_pack_init(&out, 0);
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_tool_call(number, method, in.data, in.n, &out, &err);
  sheaf_pack_free(&in);
  if (rc < 0) sheaf_pack_free(&out);
  Py_END_ALLOW_THREADS;
  return rc < 0 ? core_raise(NULL, &err) : answer(&out);
}

static PyObject *tools_release(PyObject *self, PyObject *none) {
  sheaf_error err;
  int rc;
  (void)self, (void)none;
  Py_BEGIN_ALLOW_THREADS;
  rc = sheaf_tools_release(&err);
  Py_END_ALLOW_THREADS;
  if (rc < 0) return core_raise(NULL, &err);
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"tool_new", tool_new, METH_VARARGS, "tool_new(kind): the number of a new tool."},
    {"tool_free", tool_free, METH_VARARGS, "Closes and forgets a tool."},
    {"tool_call", tool_call, METH_VARARGS, "tool_call(number, method, arguments): its value."},
    {"tools_release", tools_release, METH_NOARGS,
     "Writes what tools hold back and unlocks their tables."},
    {NULL, NULL, 0, NULL}};

int tool_add(PyObject *module) {
  memory_type = (PyTypeObject *)PyType_FromSpec(&memory_spec);
  return memory_type ? PyModule_AddFunctions(module, methods) : -1;
}

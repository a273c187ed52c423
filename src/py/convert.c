/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "convert.h"

#include "base/value.h"

#include <string.h>

static json_t *to_value(PyObject *object, int keep_arrays);

static json_t *from_text(PyObject *text) {
  Py_ssize_t n;
  const char *bytes = PyUnicode_AsUTF8AndSize(text, &n);
  if (!bytes) return NULL;
  if (strlen(bytes) != (size_t)n) {
    PyErr_Format(PyExc_ValueError, "%R holds a zero character", text);
    return NULL;
  }
  return json_stringn(bytes, (size_t)n);
}

static json_t *from_integer(PyObject *object) {
  PyObject *index = PyNumber_Index(object);
  if (!index) return NULL;
  const long long n = PyLong_AsLongLong(index);
  Py_DECREF(index);
  return n == -1 && PyErr_Occurred() ? NULL : json_integer(n);
}

static json_t *from_float(PyObject *object) {
  const double x = PyFloat_AsDouble(object);
  if (x == -1.0 && PyErr_Occurred()) return NULL;
  json_t *value = json_real(x);
  if (!value) PyErr_Format(PyExc_ValueError, "%R is no finite number", object);
  return value;
}

static json_t *from_sequence(PyObject *object, int keep_arrays) {
  const Py_ssize_t n = PySequence_Size(object);
  json_t *list = json_array();
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = PySequence_GetItem(object, i);
    json_t *value = item ? to_value(item, keep_arrays) : NULL;
    Py_XDECREF(item);
    if (!value || json_array_append_new(list, value)) goto fail;
  }
  if (n >= 0) return list;
fail:
  json_decref(list);
  return NULL;
}

/* Adds one entry; all keys are texts, or all are integers. */
static int put_entry(json_t *dict, PyObject *key, PyObject *item, int keep_arrays) {
  const int integer = !PyUnicode_Check(key) && PyIndex_Check(key);
  const int first = json_object_size(dict) == 0;
  if (integer && first) json_object_set_new(dict, "#int", json_true());
  if (!integer && !PyUnicode_Check(key)) {
    PyErr_Format(PyExc_TypeError, "a dictionary's keys must be texts or integers, not %R", key);
    return -1;
  }
  if (integer != (json_object_get(dict, "#int") != NULL)) {
    PyErr_Format(PyExc_TypeError, "a dictionary mixes texts and integers as keys; one is %R", key);
    return -1;
  }
  PyObject *text = integer ? PyNumber_ToBase(key, 10) : (Py_INCREF(key), key);
  const char *name = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  json_t *value = name ? to_value(item, keep_arrays) : NULL;
  const int rc = value ? json_object_set_new(dict, name, value) : -1;
  Py_XDECREF(text);
  return rc;
}

static json_t *from_dict(PyObject *object, int keep_arrays) {
  json_t *dict = json_object();
  PyObject *key, *item;
  Py_ssize_t pos = 0;
  while (PyDict_Next(object, &pos, &key, &item))
    if (put_entry(dict, key, item, keep_arrays)) {
      json_decref(dict);
      return NULL;
    }
  return dict;
}

/* The one-letter kind of a NumPy dtype; 0 with an exception set. */
static Py_UCS4 array_kind(PyObject *array) {
  PyObject *dtype = PyObject_GetAttrString(array, "dtype");
  PyObject *kind = dtype ? PyObject_GetAttrString(dtype, "kind") : NULL;
  const Py_UCS4 letter = kind && PyUnicode_Check(kind) ? PyUnicode_ReadChar(kind, 0) : 0;
  Py_XDECREF(dtype);
  Py_XDECREF(kind);
  if (letter == (Py_UCS4)-1) return 0;
  if (!letter && !PyErr_Occurred())
    PyErr_Format(PyExc_TypeError, "%R has a dtype that is none", array);
  return letter;
}

static const char *array_tag(PyObject *array) {
  switch (array_kind(array)) {
    case 'i':
    case 'u':
      return "i8";
    case 'f':
      return "f8";
    case 'b':
      return "b1";
    case 'U':
      return "U";
    case 0:
      return NULL;
    default:
      PyErr_Format(PyExc_TypeError, "arrays hold integers, floats, booleans or texts, not as %R",
                   array);
      return NULL;
  }
}

/* {"#array": tag, "shape": [...], "data": [...]} */
static json_t *from_array(PyObject *array) {
  const char *tag = array_tag(array);
  PyObject *shape = tag ? PyObject_GetAttrString(array, "shape") : NULL;
  PyObject *flat = shape ? PyObject_CallMethod(array, "ravel", NULL) : NULL;
  PyObject *list = flat ? PyObject_CallMethod(flat, "tolist", NULL) : NULL;
  json_t *dims = list ? from_sequence(shape, 0) : NULL;
  json_t *data = dims ? from_sequence(list, 0) : NULL;
  json_t *value = data ? json_object() : NULL;
  if (value) {
    json_object_set_new(value, "#array", json_string(tag));
    json_object_set(value, "shape", dims);
    json_object_set(value, "data", data);
  }
  json_decref(data);
  json_decref(dims);
  Py_XDECREF(list);
  Py_XDECREF(flat);
  Py_XDECREF(shape);
  return value;
}

/* A NumPy scalar, or an array, by the attributes that they have. */
static json_t *from_numpy(PyObject *object, int keep_arrays) {
  if (keep_arrays) {
    PyObject *shape = PyObject_GetAttrString(object, "shape");
    const Py_ssize_t ndim = shape ? PySequence_Size(shape) : -1;
    Py_XDECREF(shape);
    if (ndim < 0) return NULL;
    if (ndim > 0) return from_array(object);
  }
  PyObject *plain = PyObject_CallMethod(object, "tolist", NULL);
  if (!plain) return NULL;
  json_t *value = NULL;
  if (PyObject_HasAttrString(plain, "tolist"))
    PyErr_Format(PyExc_TypeError, "%R cannot be passed to a task", object);
  else
    value = to_value(plain, keep_arrays);
  Py_DECREF(plain);
  return value;
}

static json_t *from_path(PyObject *object) {
  PyObject *text = PyOS_FSPath(object);
  if (!text) return NULL;
  json_t *value = NULL;
  if (PyUnicode_Check(text))
    value = from_text(text);
  else
    PyErr_Format(PyExc_TypeError, "%R is a path of bytes, not of text", object);
  Py_DECREF(text);
  return value;
}

static json_t *choose(PyObject *object, int keep_arrays) {
  if (object == Py_None) return json_null();
  if (PyBool_Check(object)) return json_boolean(object == Py_True);
  if (PyLong_Check(object)) return from_integer(object);
  if (PyUnicode_Check(object)) return from_text(object);
  if (PyObject_HasAttrString(object, "dtype") && PyObject_HasAttrString(object, "tolist"))
    return from_numpy(object, keep_arrays);
  if (PyFloat_Check(object)) return from_float(object);
  if (PyList_Check(object) || PyTuple_Check(object)) return from_sequence(object, keep_arrays);
  if (PyDict_Check(object)) return from_dict(object, 1);
  if (PyIndex_Check(object)) return from_integer(object);
  if (PyObject_HasAttrString(object, "__fspath__")) return from_path(object);
  PyErr_Format(PyExc_TypeError, "%R cannot be passed to a task", object);
  return NULL;
}

static json_t *to_value(PyObject *object, int keep_arrays) {
  if (Py_EnterRecursiveCall(" while a parameter is read")) return NULL;
  json_t *value = choose(object, keep_arrays);
  Py_LeaveRecursiveCall();
  return value;
}

json_t *convert_to_value(PyObject *object) {
  return to_value(object, 0);
}

json_t *convert_params(PyObject *dict) {
  return from_dict(dict, 0);
}

static PyObject *to_list(const json_t *array) {
  const size_t n = json_array_size(array);
  PyObject *list = PyList_New((Py_ssize_t)n);
  for (size_t i = 0; list && i < n; i++) {
    PyObject *item = convert_from_value(json_array_get(array, i));
    if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

static PyObject *to_dict(const json_t *object) {
  const int integers = json_object_get(object, "#int") != NULL;
  PyObject *dict = PyDict_New();
  const char *name;
  json_t *value;
  if (!dict) return NULL;
  json_object_foreach((json_t *)object, name, value) {
    if (integers && !strcmp(name, "#int")) continue;
    PyObject *key = integers && sheaf_value_intkey(name) ? PyLong_FromString(name, NULL, 10)
                                                         : PyUnicode_FromString(name);
    PyObject *item = key ? convert_from_value(value) : NULL;
    const int rc = item ? PyDict_SetItem(dict, key, item) : -1;
    Py_XDECREF(key);
    Py_XDECREF(item);
    if (rc) {
      Py_DECREF(dict);
      return NULL;
    }
  }
  return dict;
}

/* numpy.array(data, dtype=tag).reshape(shape) */
static PyObject *to_array(const json_t *object, const char *tag) {
  PyObject *numpy = PyImport_ImportModule("numpy");
  PyObject *data = numpy ? to_list(json_object_get(object, "data")) : NULL;
  PyObject *shape = data ? to_list(json_object_get(object, "shape")) : NULL;
  PyObject *flat = shape ? PyObject_CallMethod(numpy, "array", "Os", data, tag) : NULL;
  PyObject *array = flat ? PyObject_CallMethod(flat, "reshape", "(O)", shape) : NULL;
  Py_XDECREF(flat);
  Py_XDECREF(shape);
  Py_XDECREF(data);
  Py_XDECREF(numpy);
  return array;
}

static PyObject *to_object(const json_t *object) {
  const char *tag = json_string_value(json_object_get(object, "#array"));
  return tag ? to_array(object, tag) : to_dict(object);
}

PyObject *convert_from_value(const json_t *value) {
  switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
      return to_object(value);
    case JSON_ARRAY:
      return to_list(value);
    case JSON_STRING:
      return PyUnicode_FromStringAndSize(json_string_value(value),
                                         (Py_ssize_t)json_string_length(value));
    case JSON_INTEGER:
      return PyLong_FromLongLong(json_integer_value(value));
    case JSON_REAL:
      return PyFloat_FromDouble(json_real_value(value));
    case JSON_TRUE:
      Py_RETURN_TRUE;
    case JSON_FALSE:
      Py_RETURN_FALSE;
    default:
      Py_RETURN_NONE;
  }
}

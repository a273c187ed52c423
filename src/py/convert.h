/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * convert.h - values between Python and C (base/value.h).
 *
 * None, bool, int, float, str, os.PathLike, list, tuple, dict (text keys or integer keys), NumPy
 * scalars and arrays become values. An array given as a parameter, or inside a list, becomes a
 * list, since parameters are lists; inside a dictionary it stays an array. Back, tagged objects
 * become dictionaries with integer keys and NumPy arrays. Needs the GIL. */
#ifndef SHEAF_PY_CONVERT_H
#define SHEAF_PY_CONVERT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <jansson.h>

/* New reference, or NULL with TypeError, ValueError or OverflowError set. */
json_t *convert_to_value(PyObject *object);
/* The same for a task's parameters by name, a dict. */
json_t *convert_params(PyObject *dict);
/* New reference, or NULL with an exception set. */
PyObject *convert_from_value(const json_t *value);

#endif

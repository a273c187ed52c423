/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tool.h - the tools `table` and `ms` (table/tool.h) in the extension module: calls, and packs to
 * and from Python. */
#ifndef SHEAF_PY_TOOL_H
#define SHEAF_PY_TOOL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the functions to the module; 0, or -1 with an exception set. */
int tool_add(PyObject *module);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * command.h - functions of sheaf._core for Python commands on servers; see sheaf/command.py. */
#ifndef SHEAF_PY_COMMAND_H
#define SHEAF_PY_COMMAND_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds them to the module: 0, or -1 with an exception set. */
int command_add(PyObject *module);

#endif

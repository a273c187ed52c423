/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mms.h - the Multi-MS for Python: its parts, what is in it, and how it is made; for
 * sheaf/parallel.py and sheaf/partitionhelper.py. */
#ifndef SHEAF_PY_MMS_H
#define SHEAF_PY_MMS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the functions to sheaf._core; -1 with an exception set. */
int mms_add(PyObject *module);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core.h - what the files of sheaf._core share. */
#ifndef SHEAF_PY_CORE_H
#define SHEAF_PY_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/error.h"

/* Raises what sheaf.errors makes of a failure, of this task or of none (NULL). Returns NULL. */
PyObject *core_raise(const char *task, const sheaf_error *err);

#endif

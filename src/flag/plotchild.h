/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * plotchild.h - runs the drawing program (py/sheaf/flagplots.py) as a child process. */
#ifndef SHEAF_FLAG_PLOTCHILD_H
#define SHEAF_FLAG_PLOTCHILD_H

#include <jansson.h>

#include "base/error.h"

/* Runs it in the existing scratch directory, where it reads request.json (written here) and the
 * files that this names, and writes pictures. SHEAF_ERR_NOTFOUND without matplotlib. */
int sheaf_plotchild_draw(const char *scratch, const json_t *request, sheaf_error *err);
/* Only looks whether it could. */
int sheaf_plotchild_check(sheaf_error *err);

#endif

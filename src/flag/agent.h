/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * agent.h - a flag command made ready to run: mode, numbers, and a selection in ids.
 *
 * The client compiles commands once (expressions are parsed by casacore there) into a JSON value,
 * so that a bad one is told before anything is written and no unit parses anything. A unit makes
 * agents of that value. Read-only once made. */
#ifndef SHEAF_FLAG_AGENT_H
#define SHEAF_FLAG_AGENT_H

#include <jansson.h>

#include "base/error.h"

/* What a mode needs of the pass over the data. */
enum {
  SHEAF_FLAG_NEEDS_DATA = 1,     /* a data column */
  SHEAF_FLAG_NEEDS_BUFFERS = 2,  /* the rows of a scan, field and window together, by baseline */
  SHEAF_FLAG_NEEDS_ORIGINAL = 4, /* flags as they were before the run */
  SHEAF_FLAG_WRITES = 8,         /* may change flags */
};

#endif

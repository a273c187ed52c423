/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tool.h - the tools `table` and `ms`: tables and MeasurementSets for scripts, as CASA's tools of
 * these names.
 *
 * A tool is a number. A call names a method and its arguments, and is answered by a value; both are
 * packs (table/pack.h). Which methods there are is in tool_table.cc, tool_change.cc and tool_ms.cc;
 * Python's classes (py/sheaf/tabletool.py, mstool.py) have their signatures.
 *
 * Locks. A table that is opened for reading is not locked, whatever others do; before each call the
 * tool looks whether it was changed meanwhile. A table that is opened for update is locked by the
 * first change, and until it is flushed, unlocked or closed; so is (with flock) the directory that
 * tasks in place lock, so that neither works into the other. sheaf_tools_release lets go of
 * everything that is held.
 *
 * Any thread may call; casacore is entered by one at a time (guard.hh). Reading a large tiled
 * column does not need casacore, and several threads do it at once. */
#ifndef SHEAF_TABLE_TOOL_H
#define SHEAF_TABLE_TOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A new tool, `kind` "table" or "ms", without a table; its number. */
int64_t sheaf_tool_new(const char *kind);
/* Closes and forgets it. */
void sheaf_tool_free(int64_t tool);

/* Calls a method. `arguments` is a packed record. On failure the text of the error is the one that
 * CASA's tool has; `reply` (empty before) is then of no use. */
int sheaf_tool_call(int64_t tool, const char *method, const void *arguments, size_t n,
                    sheaf_pack *reply, sheaf_error *err);

/* Writes what tools hold back, and unlocks their tables, but for those that the user locked
 * himself; before a task runs. */
int sheaf_tools_release(sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

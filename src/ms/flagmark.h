/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flagmark.h - notes in an MS that a run changes its flags, for the time after a death.
 *
 * While flags are written, <ms>/.sheaf-flagging (casacore ignores it) says which task of which
 * process does it, and which version holds the flags from before. The note is on disk before the
 * first flag changes and goes after the last one; one that a dead or failed run has left is told by
 * each task that asks, until a later run or restore has ended well. A copy of the MS has it, too.
 */
#ifndef SHEAF_MS_FLAGMARK_H
#define SHEAF_MS_FLAGMARK_H

#include "base/error.h"

typedef struct sheaf_flagmark {
  char path[4200]; /* "": none is open */
  int fd;          /* holds the lock that says that the run lives; -1 where there are none */
} sheaf_flagmark;

/* Notes that `task` changes the flags of `vis` from now on. `backup`: the version that holds those
 * from before, NULL: none; `restored`: the version that is restored, else NULL. Notes that are
 * there are kept before it. SHEAF_ERR_IO: no flag may be changed. */
int sheaf_flagmark_write(sheaf_flagmark *mark, const char *vis, const char *task,
                         const char *backup, const char *restored, sheaf_error *err);
/* The run has ended: well, and nothing is left to say; or not, and the note stays. Both do nothing
 * when none is open. */
void sheaf_flagmark_clear(sheaf_flagmark *mark);
void sheaf_flagmark_leave(sheaf_flagmark *mark);
/* A run has ended well without a flag to change: removes what earlier ones have noted. */
void sheaf_flagmark_forget(const char *vis);

/* Logs a warning for each run that was interrupted while it changed flags of `vis`, its members or
 * the Multi-MS that it belongs to; runs that go on are passed over. Removes working directories
 * that dead runs have left beside `vis`. Call it without a sheaf_flagmark open on it. */
void sheaf_flagmark_warn(const char *vis);

#endif

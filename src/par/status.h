/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * status.h - a table of the servers for people; client only, any thread. */
#ifndef SHEAF_PAR_STATUS_H
#define SHEAF_PAR_STATUS_H

#include <stdint.h>

#include "base/error.h"

/* Resident memory (bytes) and number of threads of a process of this host; 0 when it cannot be
 * told. */
int sheaf_status_process(int pid, int64_t *memory, int *nthread);
/* The table, a line per server; the caller frees. NULL when memory is short. */
char *sheaf_status_text(void);
/* Makes SIGUSR1 print the table on standard error, unless somebody handles that signal already. */
int sheaf_status_on_signal(sheaf_error *err);

#endif

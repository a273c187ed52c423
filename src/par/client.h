/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client.h - the scheduler that deals units to servers; internal to par/, client only. Main thread
 * only. */
#ifndef SHEAF_PAR_CLIENT_H
#define SHEAF_PAR_CLIENT_H

#include "task/task.h"

/* Servers are the ranks 1 … nserver, connected by lifelines. The scheduler is valid until the
 * process ends. */
const sheaf_scheduler *sheaf_client_start(int nserver, sheaf_error *err);
/* Servers alive now. */
int sheaf_client_nserver(void);
/* Asks all servers to end and waits a moment for them. Returns 1 when all of them, of all that ever
 * were, left in order: only then may MPI be finalised. */
int sheaf_client_stop(void);

#endif

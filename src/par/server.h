/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server.h - a server's loop; internal to par/. Main thread only. */
#ifndef SHEAF_PAR_SERVER_H
#define SHEAF_PAR_SERVER_H

#include "base/error.h"
#include "par/par.h"

/* From here log lines and progress go to the client. */
void sheaf_server_start(int rank, const char *host);
/* What to do with Python commands; NULL: they are refused. */
void sheaf_server_commands(sheaf_par_handler *handler, void *user);
/* Serves until the client says stop; 1 when MPI is to be finalised, 0 when not, or an error. */
int sheaf_server_loop(sheaf_error *err);

#endif

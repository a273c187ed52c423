/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shm.h - no shared memory outlives us; internal to par/.
 *
 * Open MPI's transport within a node keeps one file per process in /dev/shm, and unlinks it in
 * MPI_Finalize, which a killed process does not reach. All processes of a node have these files
 * mapped when MPI_Init returns; from then on the names are needed by nobody but that unlink. Where
 * the files are not as expected nothing is done. */
#ifndef SHEAF_PAR_SHM_H
#define SHEAF_PAR_SHM_H

#include <mpi.h>

#include "base/error.h"

/* Collective over `node`, the processes of this node: removes the names if everybody has all files
 * mapped. */
int sheaf_shm_hide(MPI_Comm node, sheaf_error *err);
/* Puts a name back for MPI_Finalize to remove: it complains otherwise. */
void sheaf_shm_restore(void);

#endif

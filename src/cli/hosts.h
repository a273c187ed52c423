/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hosts.h - says why mpirun could not start its daemon on other hosts; part of mpisheaf. */
#ifndef SHEAF_CLI_HOSTS_H
#define SHEAF_CLI_HOSTS_H

/* The user's host files (-hostfile FILE) and lists of hosts (-host A,B:4) are remembered; `text` is
 * borrowed. At most 16 of both together; what is beyond is not looked at. */
void hosts_remember(int is_file, const char *text);

/* One line on standard error for each host that nobody knows; when all are known, one that says
 * what a host needs. `directory` holds this program. */
void hosts_explain(const char *directory);

#endif

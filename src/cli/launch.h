/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * launch.h - the two halves of mpisheaf: the launcher, which the user starts, and the attendant,
 * which mpirun starts on each rank.
 *
 * mpirun is made for programs that print: it gives its processes pipes for standard streams, its
 * own exit status is that of whoever failed first, and a signal to it kills everybody. Sheaf's
 * client is a program that a user works with. So launcher and attendant hold a connection of their
 * own. Over it the launcher hands its very own standard input, output and error to the attendant,
 * which gives them to the client (a terminal stays a terminal), and signals for the client; back
 * comes how the client ended. Where rank 0 is on another host, streams go through mpirun, the rest
 * over TCP. When either end of the connection dies, the other one ends the processes on its side.
 */
#ifndef SHEAF_CLI_LAUNCH_H
#define SHEAF_CLI_LAUNCH_H

#include <stdint.h>

/* Where the attendant finds its launcher: "TOKEN PORT ADDRESS…". */
#define LAUNCH_VARIABLE "SHEAF_LAUNCHER"

enum {
  LAUNCH_HELLO = 1, /* attendant or server: with the token; value is the rank */
  LAUNCH_WELCOME,   /* launcher: value 1 with the three standard streams, 0 without */
  LAUNCH_BUSY,      /* launcher: there is an attendant already */
  LAUNCH_SIGNAL,    /* launcher: value is for the client */
  LAUNCH_LOST,      /* launcher: value is the rank of a server that has ended, status how */
  LAUNCH_STOPPED,   /* attendant: the client was suspended from the terminal */
  LAUNCH_ENDED /* attendant: value is the client's exit status, 128 + signal when it was killed; of
                  a server: status as from wait */
};

typedef struct launch_record {
  int32_t what;
  int32_t value;
  int32_t status; /* -1: not known */
  char token[32]; /* hexadecimal, not terminated; HELLO only */
} launch_record;

/* Runs `argv` (mpirun and its arguments) and returns the exit status for the user. `timeout_s` is
 * how long rank 0 may take to start. */
int launch(char **argv, int timeout_s);

/* After launch: whether mpirun could not start its daemon on another host. */
int launch_lacked_hosts(void);

/* Makes the connection's address; sets LAUNCH_VARIABLE. Returns 0, or -1 after a message. */
int launch_listen(void);

/* What mpirun starts on every rank: `argv` is the program. It becomes the attendant of the client
 * on rank 0, of a server elsewhere, which tells how the server ended. `window`: 1 to open an xterm
 * for the client, 2 when running in one. `self` is this program. Returns the exit status. */
int attend(char **argv, int window, const char *self);

#endif

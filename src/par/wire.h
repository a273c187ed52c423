/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wire.h - what client and servers say to each other; internal to par/.
 *
 * A message is one head and a payload of bytes. It goes over MPI, on a communicator of our own,
 * under the tag that says what it is; a payload that does not fit behind the head follows in pieces
 * under SHEAF_WIRE_BULK. Every message is followed by a ring on the lifeline (lifeline.h), so that
 * the receiver sleeps until there is something to receive.
 *
 *   client                                server
 *     REQUEST  kind, index  ───────►  runs it     (a Python command)
 *              ◄──────  RESPONSE            bytes, or a sheaf_error as bytes
 *     COMMON   round's common value         (once per round and server, before its first request)
 *     REQUEST  kind, round, index  ──────►  runs it
 *              ◄──────  LOG, PROGRESS       (any number)
 *              ◄──────  RESPONSE            value, or a sheaf_error as bytes
 *     STOP                         ──────►
 *              ◄──────  BYE                 and leaves
 *
 * Asking a running unit to stop cannot wait until the server looks at its messages; it goes over
 * the lifeline. Functions are thread-safe. No call blocks on a peer that is dead: it fails with
 * SHEAF_ERR_LOST. */
#ifndef SHEAF_PAR_WIRE_H
#define SHEAF_PAR_WIRE_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* All MPI tags. */
typedef enum sheaf_wire_tag {
  SHEAF_WIRE_REQUEST = 1, /* kind says which; payload by kind */
  SHEAF_WIRE_COMMON,      /* JSON of a round's common value */
  SHEAF_WIRE_RESPONSE,    /* code < 0: sheaf_error as bytes, else JSON of the value */
  SHEAF_WIRE_LOG,         /* code: the priority; origin, zero byte, message */
  SHEAF_WIRE_PROGRESS,    /* index: what to add */
  SHEAF_WIRE_STOP,        /* code: 1 to leave MPI in order, 0 to go without (a process has died) */
  SHEAF_WIRE_BYE,         /* nothing follows from this server */
  SHEAF_WIRE_BULK         /* payload of the message before */
} sheaf_wire_tag;

/* Kinds of request. A further kind needs a number here, a handler in server.c, and nothing else on
 * the wire. */
typedef enum sheaf_wire_kind {
  SHEAF_WIRE_UNIT = 1, /* JSON {"work": name, "args": …}; runs with the common value of its round */
  SHEAF_WIRE_COMMAND   /* bytes for the handler of Python commands, and bytes back */
} sheaf_wire_kind;

typedef struct sheaf_wire_head {
  uint32_t magic; /* set by sheaf_wire_send */
  uint32_t kind;
  int64_t code;
  uint64_t round;
  uint64_t index; /* unit of the round, or number of the request */
  uint64_t nbyte; /* of the payload; set by sheaf_wire_send */
} sheaf_wire_head;

typedef struct sheaf_wire_message {
  int peer;
  int tag;
  sheaf_wire_head head;
  char *data; /* head.nbyte bytes and a zero; owned */
} sheaf_wire_message;

/* `comm` is borrowed. `look` is called while a transfer waits: it returns whether `peer` lives.
 * `ring` is called behind each message. */
void sheaf_wire_init(MPI_Comm comm, int (*look)(int peer), void (*ring)(int peer));

/* A piece of a payload. */
typedef struct sheaf_wire_part {
  const void *data;
  size_t n;
} sheaf_wire_part;

/* As sheaf_wire_send, with a payload that lies in several places. */
int sheaf_wire_send_parts(int peer, sheaf_wire_tag tag, sheaf_wire_head head,
                          const sheaf_wire_part *part, size_t npart, sheaf_error *err);

/* Returns when `data` may be reused. After SHEAF_ERR_LOST it must stay as it is until the process
 * ends, because MPI may still look at it: sheaf_wire_free sees to that. */
int sheaf_wire_send(int peer, sheaf_wire_tag tag, sheaf_wire_head head, const void *data, size_t n,
                    sheaf_error *err);

/* Frees memory (from malloc; NULL is nothing) whose transfer returned rc; after SHEAF_ERR_LOST it
 * is kept instead. */
void sheaf_wire_free(void *memory, int rc);

/* 1 and a message (the caller frees `data`), or 0 when there is none now. */
int sheaf_wire_receive(sheaf_wire_message *message, sheaf_error *err);

/* Turns MPI's code into SHEAF_ERR_IO with MPI's text; 0 for MPI_SUCCESS. */
int sheaf_wire_check(int mpi_code, const char *what, sheaf_error *err);

#endif

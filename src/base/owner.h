/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * owner.h - which process owns a file or directory, and whether it is gone.
 *
 * The owner is written as "<host>-<pid>-<start>" with the start time of the process, so that a
 * process id that is in use again is not taken for the owner. It should also hold a lock (flock) on
 * what it owns: that speaks for an owner in another container. Thread-safe. */
#ifndef SHEAF_BASE_OWNER_H
#define SHEAF_BASE_OWNER_H

typedef struct sheaf_owner {
  char host[256];
  long pid;
  unsigned long long start; /* clock ticks since the machine started */
} sheaf_owner;

/* This process. */
void sheaf_owner_self(sheaf_owner *owner);
/* Reads "<host>-<pid>-<start, hexadecimal>.<n>"; 0 when the text is none. */
int sheaf_owner_read(const char *text, sheaf_owner *owner);
/* 1 when the owner's host is this one. */
int sheaf_owner_is_here(const sheaf_owner *owner);
/* For an owner of this host: 1 when the process is gone and nobody locks `path`, which it owned. */
int sheaf_owner_is_gone(const sheaf_owner *owner, const char *path);

#endif

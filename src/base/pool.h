/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pool.h - large buffers that pass from one unit of work to the next.
 *
 * Memory that a unit gives back comes to the next one without new page faults, which cost as much as
 * filling it. Up to 48 MiB, or a sixteenth of the budget (memory.h), lie idle. All functions may be called by all threads. */
#ifndef SHEAF_BASE_POOL_H
#define SHEAF_BASE_POOL_H

#include <stddef.h>

typedef struct sheaf_buffer {
  void *memory; /* aligned to 64 */
  size_t size;
} sheaf_buffer;

/* Makes a buffer hold at least `size` bytes; contents are undefined when it grows. 0 without memory:
 * then it is empty. */
int sheaf_pool_need(sheaf_buffer *buffer, size_t size);
/* Gives the buffer back; it is empty then. */
void sheaf_pool_give(sheaf_buffer *buffer);
/* The system may have what lies idle, if it needs memory before somebody else does. */
void sheaf_pool_rest(void);

#endif

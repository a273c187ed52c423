/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/fork.h"
#include "base/memory.h"

/* Smaller ones are malloc's. IDLE_BYTES: of buffers that nobody uses. */
enum { LARGE = 1 << 20, STEP = 1 << 18, IDLE = 32, HUGE_PAGES = 8 << 20 };
static const int64_t idle_bytes = (int64_t)48 << 20;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
SHEAF_OPEN_AFTER_FORK(lock);
static sheaf_buffer idle[IDLE]; /* the latest one last */
static int nidle;
static size_t nbytes;

/* The smallest idle buffer that is large enough, and not much too large. */
static int take_idle(sheaf_buffer *buffer, size_t size) {
  int best = -1;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < nidle; i++)
    if (idle[i].size >= size && idle[i].size / 2 <= size && (best < 0 || idle[i].size < idle[best].size))
      best = i;
  if (best >= 0) {
    *buffer = idle[best];
    nbytes -= buffer->size;
    nidle--;
    for (int i = best; i < nidle; i++) idle[i] = idle[i + 1];
  }
  pthread_mutex_unlock(&lock);
  return best >= 0;
}

static void release(sheaf_buffer *buffer) {
  if (buffer->size < LARGE)
    free(buffer->memory);
  else if (buffer->memory)
    munmap(buffer->memory, buffer->size);
  *buffer = (sheaf_buffer){0};
}

static size_t most_idle(void) {
  const int64_t share = sheaf_memory_budget() / 16;
  return (size_t)(share < idle_bytes ? share : idle_bytes);
}

void sheaf_pool_give(sheaf_buffer *buffer) {
  sheaf_buffer out[IDLE + 1];
  int n = 0;
  if (buffer->size < LARGE) {
    release(buffer);
    return;
  }
  const size_t most = most_idle();
  pthread_mutex_lock(&lock);
  while (nidle > 0 && (nidle == IDLE || nbytes + buffer->size > most)) { /* the oldest goes */
    out[n++] = idle[0];
    nbytes -= idle[0].size;
    nidle--;
    for (int i = 0; i < nidle; i++) idle[i] = idle[i + 1];
  }
  if (buffer->size > most) {
    out[n++] = *buffer;
  } else {
    idle[nidle++] = *buffer;
    nbytes += buffer->size;
  }
  pthread_mutex_unlock(&lock);
  *buffer = (sheaf_buffer){0};
  while (n > 0) release(&out[--n]);
}

void sheaf_pool_rest(void) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < nidle; i++) madvise(idle[i].memory, idle[i].size, MADV_FREE);
  pthread_mutex_unlock(&lock);
}

int sheaf_pool_need(sheaf_buffer *buffer, size_t size) {
  if (buffer->memory && buffer->size >= size) return 1;
  sheaf_pool_give(buffer);
  if (size < LARGE - 64) {
    const size_t room = (size + size / 4 + 127) / 64 * 64;
    const size_t fits = room < LARGE ? room : LARGE - 64;
    if (!(buffer->memory = aligned_alloc(64, fits))) return 0;
    buffer->size = fits;
    return 1;
  }
  const size_t room = (size + size / 8 + STEP - 1) / STEP * STEP;
  if (take_idle(buffer, size)) return 1;
  void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  if (room >= HUGE_PAGES) madvise(memory, room, MADV_HUGEPAGE);
  *buffer = (sheaf_buffer){memory, room};
  return 1;
}

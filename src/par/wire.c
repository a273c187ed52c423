/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "par/wire.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  MAGIC = 0x53484631,      /* "SHF1": head of this layout */
  PACKET = 4000,           /* below every transport's eager limit, so that it goes in one piece */
  PIECE = 64 << 20,        /* MPI counts in int, and a piece per call keeps its bookkeeping small */
  SPIN_NS = 300 * 1000000, /* a transfer moves only while both sides call MPI */
  NAP_NS = 50 * 1000
};

static MPI_Comm comm = MPI_COMM_NULL;
static int (*look_at)(int peer);
static void (*ring_at)(int peer);
/* MPI_THREAD_SERIALIZED: one thread at a time. Never held while waiting. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void sheaf_wire_init(MPI_Comm with, int (*look)(int peer), void (*ring)(int peer)) {
  comm = with;
  look_at = look;
  ring_at = ring;
}

/* What MPI may still look at, or write to, though the other process is dead. It is listed, so that
 * it is no leak to those who look for some. */
typedef struct kept {
  struct kept *next;
  void *memory;
} kept;

static kept *all_kept;

void sheaf_wire_free(void *memory, int rc) {
  if (rc != SHEAF_ERR_LOST) {
    free(memory);
    return;
  }
  kept *k = memory ? malloc(sizeof *k) : NULL;
  if (!k) return; /* kept all the same */
  k->memory = memory;
  pthread_mutex_lock(&lock);
  k->next = all_kept;
  all_kept = k;
  pthread_mutex_unlock(&lock);
}

int sheaf_wire_check(int mpi_code, const char *what, sheaf_error *err) {
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  if (mpi_code == MPI_SUCCESS) return 0;
  if (MPI_Error_string(mpi_code, text, &length) != MPI_SUCCESS)
    return sheaf_fail(err, SHEAF_ERR_IO, "%s: MPI error %d", what, mpi_code);
  return sheaf_fail(err, SHEAF_ERR_IO, "%s: %s", what, text);
}

static int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits for a transfer with `peer`; fails when the peer dies before it is done. */
static int complete(MPI_Request *request, int peer, MPI_Status *status, sheaf_error *err) {
  const int64_t start_ns = clock_ns();
  for (;;) {
    int done = 0;
    pthread_mutex_lock(&lock);
    const int code = MPI_Test(request, &done, status);
    pthread_mutex_unlock(&lock);
    if (code != MPI_SUCCESS) return sheaf_wire_check(code, "MPI transfer", err);
    if (done) return 0;
    if (!look_at(peer))
      return sheaf_fail(err, SHEAF_ERR_LOST, "process %d ended during a transfer", peer);
    if (clock_ns() - start_ns < SPIN_NS)
      sched_yield();
    else
      nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
  }
}

static int send_piece(int peer, int tag, const void *data, size_t n, sheaf_error *err) {
  MPI_Request request;
  pthread_mutex_lock(&lock);
  const int code = MPI_Isend(data, (int)n, MPI_BYTE, peer, tag, comm, &request);
  pthread_mutex_unlock(&lock);
  const int rc = sheaf_wire_check(code, "MPI_Isend", err);
  return rc < 0 ? rc : complete(&request, peer, MPI_STATUS_IGNORE, err);
}

/* Rings as soon as the packet is under way: MPI waits with one of some kilobytes until its receiver
 * takes part, which may sleep. Rings once more when it has arrived, as the first ring may have been
 * faster. */
static int send_ringing(int peer, int tag, const void *data, size_t n, sheaf_error *err) {
  MPI_Request request;
  int done = 0;
  pthread_mutex_lock(&lock);
  int code = MPI_Isend(data, (int)n, MPI_BYTE, peer, tag, comm, &request);
  if (code == MPI_SUCCESS) code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  pthread_mutex_unlock(&lock);
  int rc = sheaf_wire_check(code, "MPI_Isend", err);
  if (rc < 0) return rc;
  ring_at(peer);
  if (done) return 0;
  rc = complete(&request, peer, MPI_STATUS_IGNORE, err);
  if (rc >= 0) ring_at(peer);
  return rc;
}

/* Receives at most n bytes; *got is how many came. */
static int receive_piece(int peer, int tag, void *data, size_t n, size_t *got, sheaf_error *err) {
  MPI_Request request;
  MPI_Status status;
  int length = 0;
  pthread_mutex_lock(&lock);
  const int code = MPI_Irecv(data, (int)n, MPI_BYTE, peer, tag, comm, &request);
  pthread_mutex_unlock(&lock);
  int rc = sheaf_wire_check(code, "MPI_Irecv", err);
  if (rc >= 0) rc = complete(&request, peer, &status, err);
  if (rc >= 0)
    rc = sheaf_wire_check(MPI_Get_count(&status, MPI_BYTE, &length), "MPI_Get_count", err);
  *got = (size_t)length;
  return rc;
}

static int send_bulk(int peer, const char *data, size_t n, sheaf_error *err) {
  for (size_t at = 0; at < n; at += PIECE) {
    const size_t left = n - at;
    const int rc = send_piece(peer, SHEAF_WIRE_BULK, data + at, left < PIECE ? left : PIECE, err);
    if (rc < 0) return rc;
  }
  return 0;
}

/* The sender chooses the pieces. */
static int receive_bulk(int peer, char *data, size_t n, sheaf_error *err) {
  for (size_t at = 0, got = 0; at < n; at += got) {
    const size_t left = n - at;
    const int rc =
        receive_piece(peer, SHEAF_WIRE_BULK, data + at, left < PIECE ? left : PIECE, &got, err);
    if (rc < 0) return rc;
    if (got == 0)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "an empty piece from process %d", peer);
  }
  return 0;
}

static int fits_packet(uint64_t nbyte) {
  return nbyte <= PACKET - sizeof(sheaf_wire_head);
}

static size_t total(const sheaf_wire_part *part, size_t npart) {
  size_t n = 0;
  for (size_t i = 0; i < npart; i++) n += part[i].n;
  return n;
}

/* A message of one packet. MPI may look at it even after its receiver has died. */
static int send_packet(int peer, int tag, const sheaf_wire_head *head, const sheaf_wire_part *part,
                       size_t npart, sheaf_error *err) {
  size_t n = sizeof *head;
  char *packet = malloc(n + total(part, npart));
  if (!packet) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a message");
  memcpy(packet, head, sizeof *head);
  for (size_t i = 0; i < npart; i++) {
    if (part[i].n) memcpy(packet + n, part[i].data, part[i].n);
    n += part[i].n;
  }
  const int rc = send_ringing(peer, tag, packet, n, err);
  sheaf_wire_free(packet, rc);
  return rc;
}

/* A packet with the head alone, and the payload behind it: the receiver is awake to take it. Pieces
 * of two messages must not mix. */
static int send_large(int peer, int tag, const sheaf_wire_head *head, const sheaf_wire_part *part,
                      size_t npart, sheaf_error *err) {
  static pthread_mutex_t one_by_one = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one_by_one);
  int rc = send_packet(peer, tag, head, NULL, 0, err);
  for (size_t i = 0; rc >= 0 && i < npart; i++) rc = send_bulk(peer, part[i].data, part[i].n, err);
  pthread_mutex_unlock(&one_by_one);
  return rc;
}

int sheaf_wire_send_parts(int peer, sheaf_wire_tag tag, sheaf_wire_head head,
                          const sheaf_wire_part *part, size_t npart, sheaf_error *err) {
  head.magic = MAGIC;
  head.nbyte = total(part, npart);
  return fits_packet(head.nbyte) ? send_packet(peer, (int)tag, &head, part, npart, err)
                                 : send_large(peer, (int)tag, &head, part, npart, err);
}

int sheaf_wire_send(int peer, sheaf_wire_tag tag, sheaf_wire_head head, const void *data, size_t n,
                    sheaf_error *err) {
  return sheaf_wire_send_parts(peer, tag, head, &(sheaf_wire_part){data, n}, 1, err);
}

/* Length of the next message that waits in MPI, or -1. */
static int probe(int *peer, int *tag, int *length, sheaf_error *err) {
  MPI_Status status;
  int found = 0;
  pthread_mutex_lock(&lock);
  int code = MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &found, &status);
  if (code == MPI_SUCCESS && found) code = MPI_Get_count(&status, MPI_BYTE, length);
  pthread_mutex_unlock(&lock);
  const int rc = sheaf_wire_check(code, "MPI_Iprobe", err);
  if (rc < 0 || !found) return rc;
  *peer = status.MPI_SOURCE;
  *tag = status.MPI_TAG;
  return 1;
}

/* Fills head and payload from a packet that was received whole. */
static int open_packet(sheaf_wire_message *m, const char *packet, size_t n, sheaf_error *err) {
  if (n < sizeof m->head)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "message of %zu bytes from process %d", n, m->peer);
  memcpy(&m->head, packet, sizeof m->head);
  if (m->head.magic != MAGIC)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL,
                      "process %d speaks another protocol: are all nodes on the same Sheaf?",
                      m->peer);
  m->data = malloc(m->head.nbyte + 1);
  if (!m->data)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a message of %llu bytes",
                      (unsigned long long)m->head.nbyte);
  m->data[m->head.nbyte] = '\0';
  if (!fits_packet(m->head.nbyte))
    return receive_bulk(m->peer, m->data, (size_t)m->head.nbyte, err);
  if (n != sizeof m->head + m->head.nbyte)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "truncated message from process %d", m->peer);
  memcpy(m->data, packet + sizeof m->head, (size_t)m->head.nbyte);
  return 0;
}

int sheaf_wire_receive(sheaf_wire_message *m, sheaf_error *err) {
  int length = 0;
  size_t got = 0;
  *m = (sheaf_wire_message){0};
  int rc = probe(&m->peer, &m->tag, &length, err);
  if (rc <= 0) return rc;
  char *packet = malloc((size_t)length + 1);
  if (!packet) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for a message");
  rc = receive_piece(m->peer, m->tag, packet, (size_t)length, &got, err);
  if (rc >= 0) rc = open_packet(m, packet, (size_t)length, err);
  if (rc >= 0) {
    free(packet);
    return 1;
  }
  sheaf_wire_free(packet, rc);
  sheaf_wire_free(m->data, rc);
  m->data = NULL;
  return rc;
}

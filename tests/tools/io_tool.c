/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Times table/tiles.h and ms/chunks.h against pread and pwrite of the same bytes; bench/io drives
 * it.
 *
 *   io_tool read TABLE COLUMN,... THREADS BYTES TURNS
 *   io_tool write TABLE COLUMN,... THREADS BYTES TURNS     overwrites the columns
 *   io_tool chunks TABLE COLUMN,... read|write TURNS
 *
 * One line of JSON per turn. `stored` moves the bytes of the tile files as they are, `size` as many
 * bytes as the cells have in memory (flags: one per byte; the files are moved several times over),
 * `tiles` the cells. Rows are cut into THREADS parts; each thread has a buffer of about BYTES. What
 * is written by `stored` is what was read before. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "ms/chunks.h"
#include "table/table.h"
#include "table/tiles.h"

enum { COLUMNS = 8, FILES = 8, THREADS = 64 };

typedef struct column {
  sheaf_tiles *tiles[THREADS];
  sheaf_tiles_info info;
  int64_t cell; /* bytes in memory, all rows alike */
  int64_t memory;
  int fd[FILES], nfile;
  int64_t size[FILES], stored;
} column;

static column columns[COLUMNS];
static int ncolumn, nthread, writing;
static int64_t buffer_size;
static uint8_t *buffers[THREADS];
static sheaf_error err;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
  printf("error %s: %s\n", what, err.text);
  exit(1);
}

static void open_files(column *c, const char *table, const char *name, const char *seq) {
  (void)name;
  for (int k = 0; k < FILES; k++) {
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/table.f%s_TSM%d", table, seq, k);
    const int fd = open(path, writing ? O_RDWR : O_RDONLY);
    if (fd < 0) continue;
    fstat(fd, &st);
    c->fd[c->nfile] = fd;
    c->size[c->nfile++] = st.st_size;
    c->stored += st.st_size;
  }
}

/* `word` is NAME@SEQ: the script knows the manager's number. */
static void open_column(const char *table, char *word) {
  column *c = &columns[ncolumn++];
  sheaf_tiles_span span;
  sheaf_tiles_cube cube;
  char *seq = strchr(word, '@');
  *seq++ = '\0';
  if (sheaf_tiles_open(&c->tiles[0], table, word, writing, &err) != 0) fail(word);
  for (int i = 1; i < nthread; i++)
    if (sheaf_tiles_dup(&c->tiles[i], c->tiles[0], &err) != 0) fail(word);
  sheaf_tiles_describe(c->tiles[0], &c->info);
  if (sheaf_tiles_span_at(c->tiles[0], 0, &span, &err) < 0 || span.nrow < c->info.nrow ||
      sheaf_tiles_cube_at(c->tiles[0], span.cube, &cube, &err) < 0)
    fail("cells of several shapes");
  c->cell = c->info.size;
  for (int i = 0; i < cube.ndim; i++) c->cell *= cube.shape[i];
  c->memory = c->cell * c->info.nrow;
  open_files(c, table, word, seq);
}

typedef enum kind { STORED, SIZE, TILES } kind;
typedef struct job {
  pthread_t thread;
  int number;
  kind kind;
} job;

/* This thread's part of n things. */
static void part(int64_t n, int number, int64_t *from, int64_t *to) {
  *from = n / nthread * number;
  *to = number == nthread - 1 ? n : *from + n / nthread;
}

static void move_bytes(int fd, int64_t size, int64_t total, int number) {
  int64_t at, end;
  part(total, number, &at, &end);
  while (at < end) {
    const int64_t place = at % size;
    int64_t n = end - at < buffer_size ? end - at : buffer_size;
    if (n > size - place) n = size - place;
    const ssize_t done = writing ? pwrite(fd, buffers[number], (size_t)n, place)
                                 : pread(fd, buffers[number], (size_t)n, place);
    if (done <= 0) fail("pread or pwrite");
    at += done;
  }
}

static void move_cells(column *c, int number) {
  int64_t row, end;
  int64_t some = buffer_size / c->cell / 128 * 128;
  if (some < 128) some = 128;
  part(c->info.nrow / 400, number, &row, &end); /* whole bytes of flags */
  row *= 400;
  end = number == nthread - 1 ? c->info.nrow : end * 400;
  for (; row < end; row += some) {
    const int64_t n = end - row < some ? end - row : some;
    const sheaf_tiles_rows rows = {NULL, row, n};
    const size_t bytes = (size_t)(n * c->cell);
    if ((writing
             ? sheaf_tiles_write(c->tiles[number], &rows, NULL, buffers[number], bytes, &err)
             : sheaf_tiles_read(c->tiles[number], &rows, NULL, buffers[number], bytes, &err)) < 0)
      fail("cells");
  }
}

static void *work(void *user) {
  const job *j = user;
  for (int i = 0; i < ncolumn; i++) {
    column *c = &columns[i];
    if (j->kind == TILES) move_cells(c, j->number);
    for (int k = 0; k < c->nfile && j->kind == STORED; k++)
      move_bytes(c->fd[k], c->size[k], c->size[k], j->number);
    if (j->kind == SIZE) move_bytes(c->fd[0], c->size[0], c->memory, j->number);
  }
  return NULL;
}

static double pass(kind k) {
  job jobs[THREADS];
  const double begin = now();
  for (int i = 0; i < nthread; i++) {
    jobs[i] = (job){.number = i, .kind = k};
    pthread_create(&jobs[i].thread, NULL, work, &jobs[i]);
  }
  for (int i = 0; i < nthread; i++) pthread_join(jobs[i].thread, NULL);
  return now() - begin;
}

static void compare(char **w) {
  nthread = atoi(w[2]);
  buffer_size = atoll(w[3]);
  for (char *word = strtok(w[1], ","); word && ncolumn < COLUMNS; word = strtok(NULL, ","))
    open_column(w[0], word);
  for (int i = 0; i < nthread; i++) {
    const size_t room = ((size_t)buffer_size + (1 << 22)) / 4096 * 4096;
    buffers[i] = aligned_alloc(4096, room);
    memset(buffers[i], 1, room);
  }
  int64_t stored = 0, memory = 0;
  for (int i = 0; i < ncolumn; i++) {
    stored += columns[i].stored;
    memory += columns[i].memory;
  }
  for (int turn = 0; turn < atoi(w[4]); turn++) {
    const double a = pass(STORED), b = pass(SIZE), c = pass(TILES);
    printf(
        "{\"stored\": %.5f, \"size\": %.5f, \"tiles\": %.5f, \"stored_bytes\": %lld, "
        "\"memory_bytes\": "
        "%lld}\n",
        a, b, c, (long long)stored, (long long)memory);
  }
}

static void stream(char **w) {
  sheaf_chunk_column list[COLUMNS];
  const unsigned how = strcmp(w[2], "read") ? SHEAF_CHUNK_WRITE : SHEAF_CHUNK_READ;
  sheaf_table *table;
  for (char *word = strtok(w[1], ","); word && ncolumn < COLUMNS; word = strtok(NULL, ",")) {
    word[strcspn(word, "@")] = '\0';
    list[ncolumn++] = (sheaf_chunk_column){word, how, 0};
  }
  if (sheaf_table_open(&table, w[0], 0, &err) < 0) fail(w[0]);
  const int64_t nrow = sheaf_table_nrow(table);
  sheaf_table_close(table);
  for (int turn = 0; turn < atoi(w[3]); turn++) {
    const sheaf_chunks_options o = {
        .path = w[0], .nrow = nrow, .columns = list, .ncolumn = (size_t)ncolumn};
    sheaf_chunks *chunks;
    sheaf_chunk *k;
    const double begin = now();
    int rc = sheaf_chunks_open(&chunks, &o, &err);
    if (rc < 0) fail("chunks");
    while ((rc = sheaf_chunks_next(chunks, &k, &err)) > 0)
      for (int c = 0; c < ncolumn && how == SHEAF_CHUNK_WRITE; c++)
        if (sheaf_chunks_put(chunks, (size_t)c, NULL, &err) < 0) fail("put");
    if (rc < 0) fail("next");
    sheaf_chunks_abandon(chunks);
    printf("{\"chunks\": %.5f}\n", now() - begin);
  }
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  writing = !strcmp(argv[1], "write");
  if (!strcmp(argv[1], "chunks"))
    stream(argv + 2);
  else
    compare(argv + 2);
  return 0;
}

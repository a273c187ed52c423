/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Drives table/tiles.h from test scripts. Each line of standard input is one command, each gets one
 * line of output: "ok ...", "unknown WHY" or "error CODE WHY". Words hold no blanks.
 *
 *   describe TABLE COLUMN                      ok JSON
 *   read TABLE COLUMN ROWS PART BYTES FILE     cells to FILE
 *   write TABLE COLUMN ROWS PART FILE          cells from FILE
 *   create TABLE COLUMN FLAGS CUBES RUNS       CUBES: shape/tile/rows;...  with axes as 4,128 RUNS:
 * nrow@cube,... bench TABLE COLUMN BLOCK                   ok JSON: seconds to read all rows in
 * blocks rewrite TABLE COLUMN BLOCK                 as bench, and writes each block back every8
 * TABLE COLUMN BLOCK                  as bench, with every 8th row only
 *   share TO COLUMN ROW FROM COLUMN ROW N LEAST   ok START N: the rows of TO that share blocks
 *
 * ROWS: START+N, or a list 5,3,9.  PART: "-" for whole cells, or one word per axis between ':',
 * each * or as ROWS. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "table/tiles.h"

typedef struct numbers {
  int64_t start, n, *list;
} numbers;

/* Reads START+N or a list; ends at ':' or the end. */
static numbers parse_numbers(const char *s, const char **end) {
  numbers out = {0, 0, NULL};
  char *p = NULL;
  size_t room = 0;
  if (*s == '*') {
    *end = s + 1;
    return (numbers){0, -1, NULL};
  }
  out.start = strtoll(s, &p, 10);
  if (*p == '+') {
    out.n = strtoll(p + 1, &p, 10);
    *end = p;
    return out;
  }
  for (;;) {
    if ((size_t)out.n == room) {
      room = 2 * room + 16;
      out.list = realloc(out.list, room * sizeof *out.list);
    }
    out.list[out.n++] = strtoll(s, &p, 10);
    if (*p != ',') break;
    s = p + 1;
  }
  *end = p;
  return out;
}

static const char *say(int rc, const sheaf_error *err) {
  if (rc == SHEAF_TILES_UNKNOWN)
    printf("unknown %s\n", err->text);
  else if (rc < 0)
    printf("error %d %s\n", rc, err->text);
  return NULL;
}

static void print_list(const char *name, const int64_t *v, int n) {
  printf("\"%s\": [", name);
  for (int i = 0; i < n; i++) printf("%s%lld", i ? ", " : "", (long long)v[i]);
  printf("], ");
}

static void describe(char **w) {
  sheaf_error err;
  sheaf_tiles *t;
  sheaf_tiles_info info;
  int rc = sheaf_tiles_open(&t, w[0], w[1], 0, &err);
  if (rc != 0) {
    say(rc, &err);
    return;
  }
  sheaf_tiles_describe(t, &info);
  printf(
      "ok {\"type\": %d, \"size\": %d, \"ndim\": %d, \"big\": %d, \"ncolumn\": %d, \"nrow\": %lld, "
      "\"manager\": \"%s\", \"cubes\": [",
      info.type, info.size, info.ndim, info.big_endian, info.ncolumn, (long long)info.nrow,
      info.manager);
  for (int64_t i = 0; i < info.ncube; i++) {
    sheaf_tiles_cube c;
    sheaf_tiles_cube_at(t, i, &c, &err);
    printf("%s{", i ? ", " : "");
    print_list("shape", c.shape, c.ndim);
    print_list("tile", c.tile, c.ndim);
    printf("\"tile_rows\": %lld, \"nrow\": %lld, \"direct\": %d}", (long long)c.tile_rows,
           (long long)c.nrow, c.direct);
  }
  printf("], \"spans\": [");
  for (int64_t row = 0; row < info.nrow;) {
    sheaf_tiles_span s;
    if (sheaf_tiles_span_at(t, row, &s, &err) < 0) {
      printf("\"%s\"]}\n", err.text);
      sheaf_tiles_close(t);
      return;
    }
    printf("%s[%lld, %lld, %lld, %lld]", row ? ", " : "", (long long)row, (long long)s.nrow,
           (long long)s.cube, (long long)s.position);
    row += s.nrow;
  }
  printf("]}\n");
  sheaf_tiles_close(t);
}

/* Also goes through a second handle, so that sheaf_tiles_dup is tried. */
static void transfer(char **w, int writing) {
  sheaf_error err;
  sheaf_tiles *first, *t = NULL;
  numbers axis[SHEAF_TILES_MAXDIM] = {0};
  sheaf_tiles_part part;
  const char *p;
  int naxis = 0;
  int rc = sheaf_tiles_open(&first, w[0], w[1], writing, &err);
  if (rc != 0) {
    say(rc, &err);
    return;
  }
  if ((rc = sheaf_tiles_dup(&t, first, &err)) < 0) say(rc, &err);
  sheaf_tiles_close(first);
  numbers r = parse_numbers(w[2], &p);
  const sheaf_tiles_rows rows = {r.list, r.start, r.n};
  for (int i = 0; i < SHEAF_TILES_MAXDIM; i++) part.axis[i] = (sheaf_tiles_axis){0, -1, NULL};
  for (p = w[3]; *p && *p != '-' && naxis < SHEAF_TILES_MAXDIM; naxis++) {
    axis[naxis] = parse_numbers(p, &p);
    part.axis[naxis] = (sheaf_tiles_axis){axis[naxis].start, axis[naxis].n, axis[naxis].list};
    if (*p == ':') p++;
  }
  FILE *f = fopen(writing ? w[4] : w[5], writing ? "rb" : "wb");
  size_t n;
  if (writing) {
    fseek(f, 0, SEEK_END);
    n = (size_t)ftell(f);
    rewind(f);
  } else {
    n = strtoull(w[4], NULL, 10);
  }
  char *data = malloc(n ? n : 1);
  if (writing && fread(data, 1, n, f) != n) abort();
  const sheaf_tiles_part *what = w[3][0] == '-' ? NULL : &part;
  rc = writing ? sheaf_tiles_write(t, &rows, what, data, n, &err)
               : sheaf_tiles_read(t, &rows, what, data, n, &err);
  if (rc == 0 && !writing && fwrite(data, 1, n, f) != n) abort();
  fclose(f);
  if (rc == 0)
    printf("ok\n");
  else
    say(rc, &err);
  free(data);
  free(r.list);
  for (int i = 0; i < naxis; i++) free(axis[i].list);
  sheaf_tiles_close(t);
}

static void create(char **w) {
  enum { MOST = 64 };
  sheaf_error err;
  sheaf_tiles_cube cubes[MOST];
  sheaf_tiles_run runs[1024];
  int64_t ncube = 0, nrun = 0;
  memset(cubes, 0, sizeof cubes);
  for (char *s = w[3]; *s && *s != '-'; ncube++) {
    sheaf_tiles_cube *c = &cubes[ncube];
    do c->shape[c->ndim++] = strtoll(s, &s, 10);
    while (*s++ == ',');
    for (int i = 0; i < c->ndim; i++, s++) c->tile[i] = strtoll(s, &s, 10);
    c->tile_rows = strtoll(s, &s, 10);
    if (*s == ';') s++;
  }
  for (char *s = w[4]; *s; nrun++) {
    runs[nrun].nrow = strtoll(s, &s, 10);
    runs[nrun].cube = strtoll(s + 1, &s, 10);
    if (*s == ',') s++;
  }
  const int rc = sheaf_tiles_create(w[0], w[1], cubes, ncube, runs, nrun,
                                    (unsigned)strtoul(w[2], NULL, 10), &err);
  if (rc == 0)
    printf("ok\n");
  else
    say(rc, &err);
}

static void share(char **w) {
  sheaf_error err;
  sheaf_tiles *to = NULL, *from = NULL;
  sheaf_tiles_span got;
  int rc = sheaf_tiles_open(&to, w[0], w[1], 1, &err);
  if (rc == 0) rc = sheaf_tiles_open(&from, w[3], w[4], 0, &err);
  if (rc == 0)
    rc = sheaf_tiles_share(to, strtoll(w[2], NULL, 10), from, strtoll(w[5], NULL, 10),
                           strtoll(w[6], NULL, 10), strtoll(w[7], NULL, 10), &got, &err);
  if (rc == 0)
    printf("ok %lld %lld\n", (long long)got.start, (long long)got.nrow);
  else
    say(rc, &err);
  sheaf_tiles_close(to);
  sheaf_tiles_close(from);
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* One pass over all rows in blocks; mode 1 also writes every block back, mode 2 reads every 8th row
 * only. */
static void bench(char **w, int mode) {
  sheaf_error err;
  sheaf_tiles *t;
  sheaf_tiles_info info;
  sheaf_tiles_cube cube;
  sheaf_tiles_span span;
  int rc = sheaf_tiles_open(&t, w[0], w[1], mode == 1, &err);
  if (rc != 0) {
    say(rc, &err);
    return;
  }
  sheaf_tiles_describe(t, &info);
  sheaf_tiles_span_at(t, 0, &span, &err);
  sheaf_tiles_cube_at(t, span.cube, &cube, &err);
  size_t cell = (size_t)info.size;
  for (int i = 0; i < cube.ndim; i++) cell *= (size_t)cube.shape[i];
  const int64_t block = strtoll(w[2], NULL, 10);
  char *data = malloc(cell * (size_t)block);
  int64_t *list = malloc((size_t)block * sizeof *list);
  memset(data, 0, cell * (size_t)block);
  double reading = 0, writing = 0;
  size_t bytes = 0;
  for (int64_t row = 0; row < info.nrow && rc == 0; row += block) {
    int64_t n = info.nrow - row < block ? info.nrow - row : block;
    sheaf_tiles_rows rows = {NULL, row, n};
    if (mode == 2) {
      rows.n = (n + 7) / 8;
      for (int64_t i = 0; i < rows.n; i++) list[i] = row + 8 * i;
      rows.list = list;
    }
    const double a = now();
    rc = sheaf_tiles_read(t, &rows, NULL, data, cell * (size_t)rows.n, &err);
    const double b = now();
    if (rc == 0 && mode == 1)
      rc = sheaf_tiles_write(t, &rows, NULL, data, cell * (size_t)rows.n, &err);
    reading += b - a;
    writing += now() - b;
    bytes += cell * (size_t)rows.n;
  }
  if (rc == 0)
    printf("ok {\"bytes\": %zu, \"read_s\": %.4f, \"write_s\": %.4f}\n", bytes, reading, writing);
  else
    say(rc, &err);
  free(list);
  free(data);
  sheaf_tiles_close(t);
}

static void run_line(char *line) {
  char *w[9] = {0};
  int n = 0;
  for (char *p = strtok(line, " \n"); p && n < 9; p = strtok(NULL, " \n")) w[n++] = p;
  if (n == 3 && !strcmp(w[0], "describe"))
    describe(w + 1);
  else if (n == 7 && !strcmp(w[0], "read"))
    transfer(w + 1, 0);
  else if (n == 6 && !strcmp(w[0], "write"))
    transfer(w + 1, 1);
  else if (n == 6 && !strcmp(w[0], "create"))
    create(w + 1);
  else if (n == 9 && !strcmp(w[0], "share"))
    share(w + 1);
  else if (n == 4 && !strcmp(w[0], "bench"))
    bench(w + 1, 0);
  else if (n == 4 && !strcmp(w[0], "rewrite"))
    bench(w + 1, 1);
  else if (n == 4 && !strcmp(w[0], "every8"))
    bench(w + 1, 2);
  else
    printf("error 0 no such command\n");
  fflush(stdout);
}

int main(void) {
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) run_line(line);
  free(line);
  return 0;
}

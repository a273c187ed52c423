/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Drives ms/inplace.h and ms/chunks.h from test scripts, as a task would.
 *
 *   units VIS TARGET COLUMN,...           the units, one line of JSON
 *   read TABLE ROW0 NROW MAXROWS COLUMN,... FILE
 *       every cell as a record: row, chunk number, data description, column number, elements of the
 *       cell (int64 each), bytes (int64), data
 *   update VIS TARGET NPROC [PASSES]      a small task, by NPROC processes (0: in this one)
 *       CORRECTED_DATA, added where it is missing, becomes 2 * DATA; of rows whose number leaves
 *       no rest of 2 by 5, element e of FLAG becomes (row + e) % 3 == 0, of WEIGHT row + e
 *   work VIS TARGET PART PARTS            units PART, PART + PARTS, ... of that, without the rest
 *
 * "error CODE WHY" and status 1 on failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "ms/chunks.h"
#include "ms/inplace.h"
#include "table/table.h"

static sheaf_error err;

static int split(char *text, const char *out[SHEAF_CHUNK_COLUMNS]) {
  int n = 0;
  for (char *word = strtok(text, ","); word && n < SHEAF_CHUNK_COLUMNS; word = strtok(NULL, ","))
    out[n++] = word;
  return n;
}

static int print_units(char **w) {
  const char *names[SHEAF_CHUNK_COLUMNS];
  sheaf_inplace *p;
  sheaf_inplace_unit *units;
  size_t n;
  const int ncolumn = split(w[2], names);
  const sheaf_inplace_cut cut = {
      .written = names, .nwritten = (size_t)ncolumn, .target = atoll(w[1])};
  int rc = sheaf_inplace_begin(&p, w[0], &err);
  if (rc < 0) return rc;
  rc = sheaf_inplace_units(p, &cut, &units, &n, &err);
  if (rc == 0) {
    printf("[");
    for (size_t i = 0; i < n; i++)
      printf("%s[%zu, %lld, %lld, %lld, \"%s\"]", i ? ", " : "", units[i].member,
             (long long)units[i].row0, (long long)units[i].nrow, (long long)units[i].cost,
             units[i].label);
    printf("]\n");
    sheaf_inplace_units_free(units, n);
  }
  sheaf_inplace_end(p);
  return rc;
}

static int read_all(char **w) {
  const char *names[SHEAF_CHUNK_COLUMNS];
  sheaf_chunk_column columns[SHEAF_CHUNK_COLUMNS];
  const int ncolumn = split(w[4], names);
  for (int i = 0; i < ncolumn; i++)
    columns[i] = (sheaf_chunk_column){names[i], SHEAF_CHUNK_READ, 1};
  const sheaf_chunks_options options = {.path = w[0],
                                        .row0 = atoll(w[1]),
                                        .nrow = atoll(w[2]),
                                        .max_rows = atoll(w[3]),
                                        .columns = columns,
                                        .ncolumn = (size_t)ncolumn};
  sheaf_chunks *chunks;
  sheaf_chunk *k;
  FILE *out = fopen(w[5], "w");
  int rc = sheaf_chunks_open(&chunks, &options, &err), number = 0;
  if (rc < 0 || !out) return rc;
  for (; (rc = sheaf_chunks_next(chunks, &k, &err)) > 0; number++)
    for (int64_t i = 0; i < k->nrow; i++)
      for (int c = 0; c < ncolumn; c++) {
        const sheaf_cells *cells = &k->column[c];
        const size_t size = (size_t)cells->ncell * cells->size;
        const int64_t head[] = {k->rows[i], number, k->ddid, c, cells->ncell, (int64_t)size};
        fwrite(head, sizeof head, 1, out);
        if (size) fwrite((const char *)cells->data + (size_t)i * size, size, 1, out);
      }
  fclose(out);
  if (rc < 0) {
    sheaf_chunks_abandon(chunks);
    return rc;
  }
  return sheaf_chunks_finish(chunks, &err);
}

/* ---- the small task ---- */

static void new_values(sheaf_chunk *k) {
  const sheaf_cells *data = &k->column[0], *corrected = &k->column[1], *flag = &k->column[2],
                    *weight = &k->column[3];
  for (int64_t i = 0; i < k->nrow * data->ncell * 2 && corrected->ncell; i++)
    ((float *)corrected->data)[i] = 2 * ((const float *)data->data)[i];
  for (int64_t i = 0; i < k->nrow; i++) {
    for (int64_t e = 0; e < flag->ncell; e++)
      ((uint8_t *)flag->data)[i * flag->ncell + e] = (uint8_t)((k->rows[i] + e) % 3 == 0);
    for (int64_t e = 0; e < weight->ncell; e++)
      ((float *)weight->data)[i * weight->ncell + e] = (float)(k->rows[i] + e);
  }
}

static int put_all(sheaf_chunks *chunks, const sheaf_chunk *k) {
  static uint8_t changed[65536]; /* rows of a chunk, at most */
  int rc = 0;
  for (int64_t i = 0; i < k->nrow; i++) changed[i] = k->rows[i] % 5 != 2;
  if (k->column[1].ncell) rc = sheaf_chunks_put(chunks, 1, NULL, &err);
  for (size_t c = 2; c < 4 && rc >= 0; c++)
    if (k->column[c].ncell) rc = sheaf_chunks_put(chunks, c, changed, &err);
  return rc;
}

static int run_unit(const char *path, const sheaf_inplace_unit *unit) {
  const sheaf_chunk_column columns[] = {
      {"DATA", SHEAF_CHUNK_READ, 0},
      {"CORRECTED_DATA", SHEAF_CHUNK_WRITE, 0},
      {"FLAG", SHEAF_CHUNK_READ | SHEAF_CHUNK_WRITE, 1},
      {"WEIGHT", SHEAF_CHUNK_READ | SHEAF_CHUNK_WRITE, 1},
  };
  const sheaf_chunks_options options = {
      .path = path, .row0 = unit->row0, .nrow = unit->nrow, .columns = columns, .ncolumn = 4};
  sheaf_chunks *chunks;
  sheaf_chunk *k;
  int rc = sheaf_chunks_open(&chunks, &options, &err);
  if (rc < 0) return rc;
  while ((rc = sheaf_chunks_next(chunks, &k, &err)) > 0) {
    new_values(k);
    if ((rc = put_all(chunks, k)) < 0) break;
  }
  if (rc >= 0) return sheaf_chunks_finish(chunks, &err);
  sheaf_chunks_abandon(chunks);
  return rc;
}

static int run_part(sheaf_inplace *p, const sheaf_inplace_unit *units, size_t n, size_t part,
                    size_t parts) {
  int rc = 0;
  for (size_t i = part; i < n && rc == 0; i += parts)
    rc = run_unit(sheaf_inplace_member(p, units[i].member), &units[i]);
  return rc;
}

static int run_round(sheaf_inplace *p, const sheaf_inplace_unit *units, size_t n, int nproc) {
  int rc = 0;
  if (nproc == 0) return run_part(p, units, n, 0, 1);
  for (int i = 0; i < nproc; i++)
    if (fork() == 0) {
      rc = run_part(p, units, n, (size_t)i, (size_t)nproc);
      if (rc < 0) printf("error %d %s\n", rc, err.text);
      fflush(stdout);
      _exit(rc < 0);
    }
  for (int i = 0, status; i < nproc; i++)
    if (wait(&status) < 0 || status != 0)
      rc = sheaf_fail(&err, SHEAF_ERR_IO, "a process ended with status %d", status);
  return rc;
}

static int add_columns(sheaf_inplace *p) {
  for (size_t i = 0; i < sheaf_inplace_nmember(p); i++) {
    sheaf_edit *edit = sheaf_inplace_edit(p, i, &err);
    if (!edit) return err.code;
    const sheaf_edit_column column = {
        .name = "CORRECTED_DATA", .type = SHEAF_COMPLEX, .like = "DATA", .manager = "TiledCORR"};
    const int rc = sheaf_edit_has(edit, column.name) ? 0 : sheaf_edit_add(edit, &column, &err);
    if (rc < 0) return rc;
  }
  return sheaf_inplace_prepare(p, &err);
}

static int list_units(sheaf_inplace *p, int64_t target, sheaf_inplace_unit **units, size_t *n) {
  static const char *const written[] = {"CORRECTED_DATA", "FLAG", "WEIGHT"};
  sheaf_table *table;
  sheaf_inplace_cut cut = {.written = written, .nwritten = 3, .target = target};
  int rc = sheaf_table_open(&table, sheaf_inplace_member(p, 0), 0, &err);
  if (rc < 0) return rc;
  if (!sheaf_table_column(table, "WEIGHT", NULL)) cut.nwritten = 2;
  sheaf_table_close(table);
  return sheaf_inplace_units(p, &cut, units, n, &err);
}

static int update(char **w) {
  sheaf_inplace *p;
  sheaf_inplace_unit *units = NULL;
  size_t n = 0;
  const int passes = w[3] ? atoi(w[3]) : 1;
  int rc = sheaf_inplace_begin(&p, w[0], &err);
  if (rc < 0) return rc;
  rc = add_columns(p);
  if (rc == 0) rc = list_units(p, atoll(w[1]), &units, &n);
  for (int i = 0; i < passes && rc == 0; i++) rc = run_round(p, units, n, atoi(w[2]));
  if (rc == 0) rc = sheaf_inplace_commit(p, 1, &err);
  sheaf_inplace_units_free(units, n);
  sheaf_inplace_end(p);
  return rc;
}

static int work(char **w) {
  sheaf_inplace *p;
  sheaf_inplace_unit *units = NULL;
  size_t n = 0;
  int rc = sheaf_inplace_begin(&p, w[0], &err);
  if (rc < 0) return rc;
  rc = list_units(p, atoll(w[1]), &units, &n);
  if (rc == 0) rc = run_part(p, units, n, (size_t)atoi(w[2]), (size_t)atoi(w[3]));
  sheaf_inplace_units_free(units, n);
  sheaf_inplace_end(p);
  return rc;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    int (*run)(char **words);
    int least;
  } commands[] = {
      {"units", print_units, 3}, {"read", read_all, 6}, {"update", update, 3}, {"work", work, 4}};
  for (size_t i = 0; i < sizeof commands / sizeof *commands && argc > 1; i++) {
    if (strcmp(argv[1], commands[i].name) != 0 || argc - 2 < commands[i].least) continue;
    const int rc = commands[i].run(argv + 2);
    if (rc < 0) printf("error %d %s\n", rc, err.text);
    return rc < 0;
  }
  return 2;
}

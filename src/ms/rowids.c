/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/rowids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/file.h"
#include "base/recsort.h"
#include "table/table.h"

enum { WINDOW = 1 << 15, SORT_BYTES = 64 << 20 };

/* A fingerprint; the first record of a file is {MAGIC, number of rows}. */
typedef struct rowid {
  uint64_t low, high;
} rowid;

#define MAGIC UINT64_C(0x314449574f524653) /* "SFROWID1" on a little-endian machine */

/* A fingerprint and the row that has it. */
typedef struct placed {
  rowid id;
  int64_t row;
} placed;

/* Rows of a main table or of a calibration table; those that a table has count. */
static const char *const id_columns[] = {"ANTENNA1",      "ANTENNA2", "FEED1",
                                         "FEED2",         "FIELD_ID", "DATA_DESC_ID",
                                         "SCAN_NUMBER",   "ARRAY_ID", "SPECTRAL_WINDOW_ID",
                                         "OBSERVATION_ID"};
enum { NIDS = sizeof id_columns / sizeof *id_columns };

typedef struct key {
  double time_s;
  int32_t id[NIDS];
} key;

typedef struct window {
  double time_s[WINDOW];
  int32_t id[NIDS][WINDOW];
} window;

static int read_window(const sheaf_table *table, int64_t row0, int64_t n, window *w,
                       sheaf_error *err) {
  sheaf_column column;
  int rc = sheaf_table_get_range(table, "TIME", row0, n, w->time_s, err);
  for (size_t c = 0; rc >= 0 && c < NIDS; c++) {
    if (sheaf_table_column(table, id_columns[c], &column))
      rc = sheaf_table_get_ints(table, id_columns[c], row0, n, w->id[c], err);
    else
      memset(w->id[c], 0xff, (size_t)n * sizeof **w->id);
  }
  return rc;
}

static void fingerprint(const window *w, int64_t i, rowid *id) {
  key k;
  memset(&k, 0, sizeof k);
  k.time_s = w->time_s[i];
  for (size_t c = 0; c < NIDS; c++) k.id[c] = w->id[c][i];
  const XXH128_hash_t hash = XXH3_128bits(&k, sizeof k);
  *id = (rowid){hash.low64, hash.high64};
}

static int write_table(sheaf_recwriter *writer, const char *path, window *w, sheaf_error *err) {
  sheaf_table *table = NULL;
  int rc = sheaf_table_open(&table, path, 0, err);
  const int64_t nrow = rc < 0 ? 0 : sheaf_table_nrow(table);
  for (int64_t row = 0; rc >= 0 && row < nrow; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    rc = read_window(table, row, n, w, err);
    for (int64_t i = 0; rc >= 0 && i < n; i++) {
      rowid *id = sheaf_recwriter_next(writer, err);
      if (!id)
        rc = SHEAF_ERR_IO;
      else
        fingerprint(w, i, id);
    }
  }
  sheaf_table_close(table);
  return rc;
}

static int count_rows(const char *const *tables, size_t n, int64_t *nrow, sheaf_error *err) {
  int rc = 0;
  *nrow = 0;
  for (size_t i = 0; rc >= 0 && i < n; i++) {
    sheaf_table *table = NULL;
    rc = sheaf_table_open(&table, tables[i], 0, err);
    if (rc >= 0) *nrow += sheaf_table_nrow(table);
    sheaf_table_close(table);
  }
  return rc;
}

int sheaf_rowids_write(const char *path, const char *const *tables, size_t n, sheaf_error *err) {
  sheaf_recwriter writer;
  int64_t nrow = 0;
  window *w = malloc(sizeof *w);
  if (!w) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
  int rc = count_rows(tables, n, &nrow, err);
  if (rc < 0 || (rc = sheaf_recwriter_open(&writer, path, sizeof(rowid), err)) < 0) {
    free(w);
    return rc;
  }
  rowid *head = sheaf_recwriter_next(&writer, err);
  if (!head)
    rc = SHEAF_ERR_IO;
  else
    *head = (rowid){MAGIC, (uint64_t)nrow};
  for (size_t i = 0; rc >= 0 && i < n; i++) rc = write_table(&writer, tables[i], w, err);
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  if (rc >= 0 && writer.n != nrow + 1)
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: rows were added or removed meanwhile", path);
  sheaf_recwriter_free(&writer);
  free(w);
  return rc;
}

/* ---- comparing ---- */

/* Rows of a file of fingerprints; -1 when it is none. */
static int64_t rows_of(const char *path) {
  rowid head = {0};
  struct stat st;
  FILE *file = fopen(path, "rb");
  if (!file) return -1;
  const int read = fread(&head, sizeof head, 1, file) == 1 && fstat(fileno(file), &st) == 0;
  fclose(file);
  const int whole =
      read && head.low == MAGIC && (uint64_t)st.st_size == (head.high + 1) * sizeof head;
  return whole ? (int64_t)head.high : -1;
}

/* 1 when the two files are equal, else 0. */
static int equal_files(const char *a, const char *b, sheaf_error *err) {
  enum { BLOCK = 1 << 16 };
  char *block = malloc(2 * (size_t)BLOCK);
  FILE *fa = fopen(a, "rb"), *fb = fopen(b, "rb");
  int equal = block && fa && fb ? 1 : sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", a);
  while (equal == 1) {
    const size_t na = fread(block, 1, BLOCK, fa), nb = fread(block + BLOCK, 1, BLOCK, fb);
    if (na != nb || memcmp(block, block + BLOCK, na) != 0) equal = 0;
    if (na == 0) break;
  }
  if (fa) fclose(fa);
  if (fb) fclose(fb);
  free(block);
  return equal;
}

static int compare_placed(const void *pa, const void *pb) {
  const placed *a = pa, *b = pb;
  if (a->id.high != b->id.high) return a->id.high < b->id.high ? -1 : 1;
  if (a->id.low != b->id.low) return a->id.low < b->id.low ? -1 : 1;
  return (a->row > b->row) - (a->row < b->row);
}

/* Fingerprints of `path` with their rows, sorted; the file that holds them in out[4200]. */
static int sort_file(const char *path, const char *scratch, const char *name, int64_t nrow,
                     char out[4200], sheaf_error *err) {
  char plain[4200], sorted[4200];
  sheaf_recwriter writer = {.fd = -1};
  sheaf_recreader reader = {.fd = -1};
  const sheaf_recspan from = {path, 1, nrow}, to = {plain, 0, nrow};
  const void *record;
  int in_order = 0;
  snprintf(plain, sizeof plain, "%s/%s.placed", scratch, name);
  snprintf(sorted, sizeof sorted, "%s/%s.sorted", scratch, name);
  int rc = sheaf_recreader_open(&reader, &from, 1, sizeof(rowid), WINDOW, err);
  if (rc < 0) return rc;
  rc = sheaf_recwriter_open(&writer, plain, sizeof(placed), err);
  if (rc < 0) goto done;
  for (int64_t row = 0; (rc = sheaf_recreader_next(&reader, &record, err)) > 0; row++) {
    placed *p = sheaf_recwriter_next(&writer, err);
    if (!p) {
      rc = SHEAF_ERR_IO;
      break;
    }
    *p = (placed){*(const rowid *)record, row};
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  if (rc >= 0)
    rc = sheaf_recsort(&to, 1, sizeof(placed), compare_placed, sorted, SORT_BYTES, &in_order, err);
  snprintf(out, 4200, "%s", in_order ? plain : sorted);
  if (rc >= 0 && !in_order) unlink(plain);
  sheaf_recwriter_free(&writer);
done:
  sheaf_recreader_close(&reader);
  return rc;
}

typedef struct pair {
  int64_t here, there;
} pair;

static int compare_pairs(const void *pa, const void *pb) {
  const pair *a = pa, *b = pb;
  return (a->here > b->here) - (a->here < b->here);
}

/* Both lists in step: pairs of rows, in any order. */
static int join(const char *here, const char *there, int64_t nrow, const char *pairs,
                sheaf_error *err) {
  const sheaf_recspan a = {here, 0, nrow}, b = {there, 0, nrow};
  sheaf_recreader ra = {.fd = -1}, rb = {.fd = -1};
  sheaf_recwriter writer = {.fd = -1};
  const void *pa, *pb;
  int rc = sheaf_recreader_open(&ra, &a, 1, sizeof(placed), WINDOW, err);
  if (rc < 0) return rc;
  if ((rc = sheaf_recreader_open(&rb, &b, 1, sizeof(placed), WINDOW, err)) < 0) goto close_a;
  if ((rc = sheaf_recwriter_open(&writer, pairs, sizeof(pair), err)) < 0) goto close_b;
  while ((rc = sheaf_recreader_next(&ra, &pa, err)) > 0 &&
         (rc = sheaf_recreader_next(&rb, &pb, err)) > 0) {
    const placed *x = pa, *y = pb;
    if (memcmp(&x->id, &y->id, sizeof x->id) != 0) {
      rc = sheaf_fail(err, SHEAF_ERR_ARG, "times, antennas and ids of the rows are not the same");
      break;
    }
    pair *p = sheaf_recwriter_next(&writer, err);
    if (!p) {
      rc = SHEAF_ERR_IO;
      break;
    }
    *p = (pair){x->row, y->row};
  }
  if (rc >= 0) rc = sheaf_recwriter_finish(&writer, err);
  sheaf_recwriter_free(&writer);
close_b:
  sheaf_recreader_close(&rb);
close_a:
  sheaf_recreader_close(&ra);
  return rc;
}

static int map_rows(const char *here, const char *there, int64_t nrow, const char *scratch,
                    const char *map, sheaf_error *err) {
  char a[4200], b[4200], pairs[4200];
  int in_order = 0;
  const sheaf_recspan span = {pairs, 0, nrow};
  snprintf(pairs, sizeof pairs, "%s/pairs", scratch);
  int rc = sort_file(here, scratch, "here", nrow, a, err);
  if (rc >= 0) rc = sort_file(there, scratch, "there", nrow, b, err);
  if (rc >= 0) rc = join(a, b, nrow, pairs, err);
  if (rc >= 0)
    rc = sheaf_recsort(&span, 1, sizeof(pair), compare_pairs, map, SORT_BYTES, &in_order, err);
  if (rc >= 0 && in_order && rename(pairs, map) < 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", map);
  return rc;
}

int sheaf_rowids_match(const char *path, const char *const *tables, size_t n, const char *scratch,
                       const char *map, int *order, sheaf_error *err) {
  char here[4200];
  const int64_t nthere = rows_of(path);
  *order = SHEAF_ROWIDS_UNKNOWN;
  if (nthere < 0) return 0;
  snprintf(here, sizeof here, "%s/ids", scratch);
  int rc = sheaf_rowids_write(here, tables, n, err);
  if (rc < 0) return rc;
  const int64_t nhere = rows_of(here);
  if (nhere != nthere)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%lld rows here, %lld rows there", (long long)nhere,
                      (long long)nthere);
  rc = equal_files(here, path, err);
  if (rc == 0)
    rc = map_rows(here, path, nhere, scratch, map, err);
  else if (rc == 1)
    *order = SHEAF_ROWIDS_SAME;
  if (rc >= 0 && *order == SHEAF_ROWIDS_UNKNOWN) *order = SHEAF_ROWIDS_MOVED;
  return rc < 0 ? rc : 0;
}

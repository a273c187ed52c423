/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/solutions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "table/table.h"

/* The value of a line "SubType = B TSYS" of table.info; 0 when there is none. */
static int info_line(const char *text, const char *key, char *out, size_t size) {
  const size_t n = strlen(key);
  for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, key, n)) continue;
    const char *value = line + n + strspn(line + n, " =");
    snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
    return 1;
  }
  return 0;
}

int sheaf_solutions_type(const char *path, char *type, size_t size, sheaf_error *err) {
  char name[4096], kind[64] = "", *text = NULL;
  size_t n;
  int rc = sheaf_path_join(name, sizeof name, path, "table.info", err);
  if (rc < 0) return rc;
  if (!sheaf_path_exists(path))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no such calibration table", path);
  if ((rc = sheaf_file_read(name, &text, &n, err)) < 0)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s is no calibration table: it has no table.info", path);
  info_line(text, "Type", kind, sizeof kind);
  *type = '\0';
  info_line(text, "SubType", type, size);
  free(text);
  if (strcmp(kind, "Calibration"))
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s is no calibration table, but of type '%s'", path, kind);
  return 0;
}

static int count_rows(const char *path, const char *sub, size_t *n, sheaf_error *err) {
  char name[4096];
  sheaf_table *t = NULL;
  int rc = sheaf_path_join(name, sizeof name, path, sub, err);
  if (rc < 0 || (rc = sheaf_table_open(&t, name, 0, err)) < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  sheaf_table_close(t);
  return 0;
}

static int check_monotonic(const char *path, size_t spw, const sheaf_solutions_window *w,
                           sheaf_error *err) {
  const int up = w->nchan > 1 && w->freq_hz[1] > w->freq_hz[0];
  for (int64_t i = 1; i < w->nchan; i++)
    if (w->freq_hz[i] == w->freq_hz[i - 1] || (w->freq_hz[i] > w->freq_hz[i - 1]) != up)
      return sheaf_fail(err, SHEAF_ERR_DATA,
                        "%s: the channel frequencies of window %zu neither rise nor fall throughout",
                        path, spw);
  return 0;
}

static int read_windows(sheaf_solutions *s, const char *path, sheaf_error *err) {
  char name[4096];
  sheaf_table *t = NULL;
  int rc = sheaf_path_join(name, sizeof name, path, "SPECTRAL_WINDOW", err);
  if (rc < 0 || (rc = sheaf_table_open(&t, name, 0, err)) < 0) return rc;
  s->nspw = (size_t)sheaf_table_nrow(t);
  s->spw = calloc(s->nspw + 1, sizeof *s->spw);
  if (!s->spw) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
  for (size_t i = 0; rc >= 0 && i < s->nspw; i++) {
    size_t n = 0;
    rc = sheaf_table_get_doubles(t, "CHAN_FREQ", (int64_t)i, &s->spw[i].freq_hz, &n, err);
    s->spw[i].nchan = (int64_t)n;
  }
  sheaf_table_close(t);
  return rc;
}

enum { TIME, SPW, ANTENNA, FIELD, SCAN, OBSERVATION, NKEY };

/* The scalar columns: double TIME in keys[0] (as bytes), ids in the others. */
static int read_ids(const sheaf_table *t, double *time_s, int32_t *id[NKEY], int64_t n,
                    sheaf_error *err) {
  static const char *const names[NKEY] = {"TIME",     "SPECTRAL_WINDOW_ID", "ANTENNA1",
                                          "FIELD_ID", "SCAN_NUMBER",        "OBSERVATION_ID"};
  int rc = sheaf_table_get_range(t, names[TIME], 0, n, time_s, err);
  for (int k = SPW; rc >= 0 && k < NKEY; k++) {
    if (k == OBSERVATION && !sheaf_table_column(t, names[k], NULL)) continue; /* old tables: 0 */
    rc = sheaf_table_get_ints(t, names[k], 0, n, id[k], err);
  }
  return rc;
}

static int wanted(int32_t field, const int32_t *fields, size_t nfield) {
  if (!fields) return 1;
  for (size_t i = 0; i < nfield; i++)
    if (fields[i] == field) return 1;
  return 0;
}

/* Elements of all cells wanted; also checks the ids. */
static int64_t count_elements(const sheaf_solutions *s, const char *path, int32_t *id[NKEY],
                              int64_t n, const int32_t *fields, size_t nfield, sheaf_error *err) {
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!wanted(id[FIELD][i], fields, nfield)) continue;
    if (id[SPW][i] < 0 || (size_t)id[SPW][i] >= s->nspw || id[ANTENNA][i] < 0 ||
        (size_t)id[ANTENNA][i] >= s->nantenna)
      return sheaf_fail(err, SHEAF_ERR_DATA,
                        "%s: row %lld is of window %d and antenna %d; the table has %zu and %zu",
                        path, (long long)i, (int)id[SPW][i], (int)id[ANTENNA][i], s->nspw,
                        s->nantenna);
    total += s->spw[id[SPW][i]].nchan * s->npar;
  }
  return total;
}

static int check_shape(const sheaf_table *t, const sheaf_solutions *s, const char *path, int64_t row,
                       int32_t spw, sheaf_error *err) {
  int64_t shape[SHEAF_TABLE_MAXDIM];
  const int ndim = sheaf_table_cell_shape(t, "FPARAM", row, shape, err);
  if (ndim < 0) return ndim;
  if (ndim != 2 || shape[0] != s->npar || shape[1] != s->spw[spw].nchan)
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: FPARAM of row %lld has not %d parameters by %lld channels, as its window",
                      path, (long long)row, s->npar, (long long)s->spw[spw].nchan);
  return 0;
}

static int read_cells(sheaf_solutions *s, const sheaf_table *t, const char *path,
                      const double *time_s, int32_t *id[NKEY], int64_t n, const int32_t *fields,
                      size_t nfield, sheaf_error *err) {
  float *value = s->memory[0];
  uint8_t *flag = s->memory[1];
  int rc = 0;
  for (int64_t i = 0; rc >= 0 && i < n; i++) {
    if (!wanted(id[FIELD][i], fields, nfield)) continue;
    const int32_t spw = id[SPW][i];
    const int64_t ncell = s->spw[spw].nchan * s->npar;
    if ((rc = check_shape(t, s, path, i, spw, err)) < 0) break;
    if ((rc = sheaf_table_get_cells(t, "FPARAM", &i, 1, ncell, value, err)) < 0) break;
    if ((rc = sheaf_table_get_cells(t, "FLAG", &i, 1, ncell, flag, err)) < 0) break;
    s->list[s->n++] = (sheaf_solution){.time_s = time_s[i],
                                       .spw = spw,
                                       .antenna = id[ANTENNA][i],
                                       .field = id[FIELD][i],
                                       .scan = id[SCAN][i],
                                       .observation = id[OBSERVATION][i],
                                       .value = value,
                                       .flag = flag};
    s->spw[spw].used = 1;
    value += ncell;
    flag += ncell;
  }
  return rc;
}

static int compare(const void *a, const void *b) {
  const sheaf_solution *x = a, *y = b;
  if (x->spw != y->spw) return x->spw < y->spw ? -1 : 1;
  if (x->antenna != y->antenna) return x->antenna < y->antenna ? -1 : 1;
  if (x->time_s != y->time_s) return x->time_s < y->time_s ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value); /* the table's order */
}

static int allocate(sheaf_solutions *s, const char *path, int64_t elements, sheaf_error *err) {
  const int64_t bytes = elements * 5;
  if (bytes > sheaf_memory_budget() / 2)
    return sheaf_fail(err, SHEAF_ERR_NOMEM,
                      "%s: its solutions need %lld MB of memory, more than half of the budget; "
                      "raise SHEAF_MEMORY or use fewer processes",
                      path, (long long)(bytes >> 20));
  s->memory[0] = malloc((size_t)elements * sizeof(float) + 1);
  s->memory[1] = malloc((size_t)elements + 1);
  return s->memory[0] && s->memory[1] ? 0
                                      : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
}

static int read_rows(sheaf_solutions *s, const char *path, const sheaf_table *t,
                     const int32_t *fields, size_t nfield, sheaf_error *err) {
  const int64_t n = sheaf_table_nrow(t);
  double *time_s = calloc((size_t)n + 1, sizeof *time_s);
  int32_t *ids = calloc((size_t)n * NKEY + 1, sizeof *ids), *id[NKEY];
  int64_t elements;
  int rc = SHEAF_ERR_NOMEM;
  s->list = calloc((size_t)n + 1, sizeof *s->list);
  for (int k = 0; k < NKEY; k++) id[k] = ids + k * n;
  if (!time_s || !ids || !s->list) {
    sheaf_fail(err, rc, "%s: out of memory", path);
    goto done;
  }
  SHEAF_TRY(read_ids(t, time_s, id, n, err));
  elements = count_elements(s, path, id, n, fields, nfield, err);
  if (elements < 0) {
    rc = (int)elements;
    goto done;
  }
  SHEAF_TRY(allocate(s, path, elements, err));
  SHEAF_TRY(read_cells(s, t, path, time_s, id, n, fields, nfield, err));
  qsort(s->list, s->n, sizeof *s->list, compare);
  if (s->n == 0)
    rc = sheaf_fail(err, SHEAF_ERR_EMPTY, "%s: no solutions%s", path,
                    fields ? " of the fields that gainfield selects" : "");
done:
  free(time_s);
  free(ids);
  return rc;
}

int sheaf_solutions_read(sheaf_solutions *s, const char *path, int npar, const int32_t *fields,
                         size_t nfield, sheaf_error *err) {
  sheaf_table *t = NULL;
  *s = (sheaf_solutions){.npar = npar};
  int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  if (!sheaf_table_column(t, "FPARAM", NULL)) {
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: no column FPARAM (real parameters)", path);
    goto done;
  }
  SHEAF_TRY(count_rows(path, "ANTENNA", &s->nantenna, err));
  if (count_rows(path, "OBSERVATION", &s->nobservation, NULL) < 0) s->nobservation = 1;
  SHEAF_TRY(read_windows(s, path, err));
  SHEAF_TRY(read_rows(s, path, t, fields, nfield, err));
  for (size_t i = 0; i < s->nspw; i++)
    if (s->spw[i].used) SHEAF_TRY(check_monotonic(path, i, &s->spw[i], err));
  rc = 0;
done:
  sheaf_table_close(t);
  if (rc < 0) sheaf_solutions_free(s);
  return rc;
}

void sheaf_solutions_free(sheaf_solutions *s) {
  for (size_t i = 0; s->spw && i < s->nspw; i++) free(s->spw[i].freq_hz);
  free(s->spw);
  free(s->list);
  free(s->memory[0]);
  free(s->memory[1]);
  *s = (sheaf_solutions){0};
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/setup.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "table/table.h"
#include "table/tiles.h"

static int open_sub(sheaf_table **t, const char *ms_path, const char *name, sheaf_error *err) {
  char path[4096];
  const int rc = sheaf_path_join(path, sizeof path, ms_path, name, err);
  return rc < 0 ? rc : sheaf_table_open(t, path, 0, err);
}

static int read_window(const sheaf_table *t, int64_t row, sheaf_window *w, sheaf_error *err) {
  double *width = NULL, sum = 0;
  size_t n = 0;
  int rc = sheaf_table_get_doubles(t, "CHAN_FREQ", row, &w->freq_hz, &n, err);
  if (rc < 0) return rc;
  w->nchan = (int64_t)n;
  if ((rc = sheaf_table_get_doubles(t, "EFFECTIVE_BW", row, &width, &n, err)) < 0) return rc;
  for (size_t i = 0; i < n; i++) sum += width[i];
  w->bandwidth_hz = n ? sum / (double)n : 0;
  free(width);
  return 0;
}

static int read_windows(sheaf_setup *s, const char *ms_path, sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc = open_sub(&t, ms_path, "SPECTRAL_WINDOW", err);
  if (rc < 0) return rc;
  s->nspw = (size_t)sheaf_table_nrow(t);
  s->spw = calloc(s->nspw + 1, sizeof *s->spw);
  if (!s->spw) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", ms_path);
  for (size_t i = 0; rc >= 0 && i < s->nspw; i++) rc = read_window(t, (int64_t)i, &s->spw[i], err);
  sheaf_table_close(t);
  return rc;
}

static int read_polarization(const sheaf_table *t, int64_t row, sheaf_polarization *p,
                             sheaf_error *err) {
  double *types = NULL;
  const int rc = sheaf_table_get_doubles(t, "CORR_TYPE", row, &types, &p->ncorr, err);
  if (rc < 0) return rc;
  p->corr_type = calloc(p->ncorr + 1, sizeof *p->corr_type);
  if (!p->corr_type) {
    free(types);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "POLARIZATION: out of memory");
  }
  for (size_t i = 0; i < p->ncorr; i++) p->corr_type[i] = (int32_t)types[i];
  free(types);
  return 0;
}

static int read_polarizations(sheaf_setup *s, const char *ms_path, sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc = open_sub(&t, ms_path, "POLARIZATION", err);
  if (rc < 0) return rc;
  s->npol = (size_t)sheaf_table_nrow(t);
  s->pol = calloc(s->npol + 1, sizeof *s->pol);
  if (!s->pol) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", ms_path);
  for (size_t i = 0; rc >= 0 && i < s->npol; i++)
    rc = read_polarization(t, (int64_t)i, &s->pol[i], err);
  sheaf_table_close(t);
  return rc;
}

static int read_descriptions(sheaf_setup *s, const char *ms_path, sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc = open_sub(&t, ms_path, "DATA_DESCRIPTION", err);
  if (rc < 0) return rc;
  s->nddid = (size_t)sheaf_table_nrow(t);
  s->spw_of = calloc(s->nddid + 1, sizeof *s->spw_of);
  s->pol_of = calloc(s->nddid + 1, sizeof *s->pol_of);
  if (!s->spw_of || !s->pol_of) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", ms_path);
  if (rc >= 0)
    rc = sheaf_table_get_ints(t, "SPECTRAL_WINDOW_ID", 0, (int64_t)s->nddid, s->spw_of, err);
  if (rc >= 0)
    rc = sheaf_table_get_ints(t, "POLARIZATION_ID", 0, (int64_t)s->nddid, s->pol_of, err);
  for (size_t i = 0; rc >= 0 && i < s->nddid; i++)
    if (s->spw_of[i] < 0 || (size_t)s->spw_of[i] >= s->nspw || s->pol_of[i] < 0 ||
        (size_t)s->pol_of[i] >= s->npol)
      rc = sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: data description %zu is of window %d and polarization %d; there are %zu "
                      "and %zu",
                      ms_path, i, (int)s->spw_of[i], (int)s->pol_of[i], s->nspw, s->npol);
  sheaf_table_close(t);
  return rc;
}

static int count_rows(const char *ms_path, const char *name, size_t *n, sheaf_error *err) {
  sheaf_table *t = NULL;
  const int rc = open_sub(&t, ms_path, name, err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  sheaf_table_close(t);
  return 0;
}

int sheaf_setup_read(sheaf_setup *s, const char *ms_path, sheaf_error *err) {
  *s = (sheaf_setup){0};
  int rc = read_windows(s, ms_path, err);
  if (rc >= 0) rc = read_polarizations(s, ms_path, err);
  if (rc >= 0) rc = read_descriptions(s, ms_path, err);
  if (rc >= 0) rc = count_rows(ms_path, "FIELD", &s->nfield, err);
  if (rc >= 0 && count_rows(ms_path, "OBSERVATION", &s->nobservation, NULL) < 0)
    s->nobservation = 1;
  if (rc < 0) sheaf_setup_free(s);
  return rc;
}

void sheaf_setup_free(sheaf_setup *s) {
  for (size_t i = 0; s->spw && i < s->nspw; i++) free(s->spw[i].freq_hz);
  for (size_t i = 0; s->pol && i < s->npol; i++) free(s->pol[i].corr_type);
  free(s->spw);
  free(s->pol);
  free(s->spw_of);
  free(s->pol_of);
  *s = (sheaf_setup){0};
}

int sheaf_setup_field_names(const char *ms_path, char ***names, size_t *n, sheaf_error *err) {
  sheaf_table *t = NULL;
  int rc = open_sub(&t, ms_path, "FIELD", err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  *names = calloc(*n + 1, sizeof **names);
  if (!*names) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", ms_path);
  for (size_t i = 0; rc >= 0 && i < *n; i++)
    rc = sheaf_table_get_text(t, "NAME", (int64_t)i, &(*names)[i], err);
  sheaf_table_close(t);
  if (rc < 0) {
    sheaf_setup_names_free(*names);
    *names = NULL;
  }
  return rc;
}

void sheaf_setup_names_free(char **names) {
  for (size_t i = 0; names && names[i]; i++) free(names[i]);
  free(names);
}

int sheaf_setup_has_column(const char *path, const char *column, sheaf_error *err) {
  sheaf_table *t = NULL;
  const int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  const int has = sheaf_table_column(t, column, NULL);
  sheaf_table_close(t);
  return has;
}

int sheaf_setup_nrow(const char *path, int64_t *nrow, sheaf_error *err) {
  sheaf_table *t = NULL;
  const int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  *nrow = sheaf_table_nrow(t);
  sheaf_table_close(t);
  return 0;
}

static int tiles_full(sheaf_tiles *tiles, sheaf_error *err) {
  sheaf_tiles_info info;
  sheaf_tiles_describe(tiles, &info);
  for (int64_t row = 0; row < info.nrow;) {
    sheaf_tiles_span span;
    const int rc = sheaf_tiles_span_at(tiles, row, &span, err);
    if (rc < 0) return rc;
    if (span.cube < 0) return 0;
    row += span.nrow;
  }
  return 1;
}

static int cells_full(const char *path, const char *column, sheaf_error *err) {
  sheaf_table *t = NULL;
  sheaf_column about;
  int64_t shape[SHEAF_TABLE_MAXDIM];
  int full = 1;
  const int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  if (sheaf_table_column(t, column, &about) && !about.fixed)
    for (int64_t row = 0; full > 0 && row < sheaf_table_nrow(t); row++) {
      full = sheaf_table_cell_shape(t, column, row, shape, err);
      if (full > 0) full = 1;
    }
  sheaf_table_close(t);
  return full;
}

int sheaf_setup_column_full(const char *path, const char *column, sheaf_error *err) {
  sheaf_tiles *tiles = NULL;
  const int rc = sheaf_tiles_open(&tiles, path, column, 0, err);
  if (rc < 0) return rc;
  if (rc == SHEAF_TILES_UNKNOWN) return cells_full(path, column, err);
  const int full = tiles_full(tiles, err);
  sheaf_tiles_close(tiles);
  return full;
}

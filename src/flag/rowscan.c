/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/rowscan.h"

#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "table/table.h"

enum { WINDOW = 1 << 16, NINT = 8 };

static const struct {
  unsigned bit;
  const char *name;
} kInts[NINT] = {{SHEAF_ROWS_ANTENNAS, "ANTENNA1"},       {SHEAF_ROWS_ANTENNAS, "ANTENNA2"},
                 {SHEAF_ROWS_SCAN, "SCAN_NUMBER"},        {SHEAF_ROWS_FIELD, "FIELD_ID"},
                 {SHEAF_ROWS_STATE, "STATE_ID"},          {SHEAF_ROWS_ARRAY, "ARRAY_ID"},
                 {SHEAF_ROWS_OBSERVATION, "OBSERVATION_ID"}, {SHEAF_ROWS_PROCESSOR, "PROCESSOR_ID"}};

typedef struct scan {
  const sheaf_flag_vis *vis;
  sheaf_table *table;
  unsigned columns;
  int32_t *ddid;
  int32_t *raw[NINT], *ints[NINT]; /* as read; of one data description */
  double *raw_time[2], *time[2];   /* TIME, TIME_CENTROID */
  int64_t *row;
} scan;

static int reserve(scan *s, int64_t n, sheaf_error *err) {
  const size_t size = (size_t)n + 1;
  int good = (s->ddid = malloc(size * sizeof *s->ddid)) && (s->row = malloc(size * sizeof *s->row));
  for (int i = 0; good && i < NINT; i++)
    if (s->columns & kInts[i].bit)
      good = (s->raw[i] = malloc(size * sizeof **s->raw)) &&
             (s->ints[i] = malloc(size * sizeof **s->ints));
  for (int i = 0; good && i < 2; i++)
    if (s->columns & (i ? SHEAF_ROWS_CENTROID : SHEAF_ROWS_TIME))
      good = (s->raw_time[i] = malloc(size * sizeof **s->time)) &&
             (s->time[i] = malloc(size * sizeof **s->time));
  return good ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its rows", s->vis->path);
}

static void release(scan *s) {
  for (int i = 0; i < NINT; i++) {
    free(s->raw[i]);
    free(s->ints[i]);
  }
  for (int i = 0; i < 2; i++) {
    free(s->raw_time[i]);
    free(s->time[i]);
  }
  free(s->ddid);
  free(s->row);
  sheaf_table_close(s->table);
}

/* A column of ids; -1 where a calibration table lacks it, as CASA has it in reports. */
static int read_ints(const scan *s, const char *name, int64_t row0, int64_t n, int32_t *to,
                     sheaf_error *err) {
  if (!sheaf_table_column(s->table, name, NULL)) {
    memset(to, 0xff, (size_t)n * sizeof *to);
    return 0;
  }
  return sheaf_table_get_ints(s->table, name, row0, n, to, err);
}

static int read_window(scan *s, int64_t row0, int64_t n, sheaf_error *err) {
  const char *which = s->vis->cal ? "SPECTRAL_WINDOW_ID" : "DATA_DESC_ID";
  int rc = sheaf_cancel_check(err);
  if (rc >= 0) rc = read_ints(s, which, row0, n, s->ddid, err);
  for (int i = 0; rc >= 0 && i < NINT; i++)
    if (s->raw[i]) rc = read_ints(s, kInts[i].name, row0, n, s->raw[i], err);
  for (int64_t i = 0; rc >= 0 && s->vis->cal && s->raw[1] && i < n; i++)
    if (s->raw[1][i] < 0) s->raw[1][i] = s->raw[0][i]; /* a solution of one antenna */
  if (rc >= 0 && s->raw_time[0])
    rc = sheaf_table_get_range(s->table, "TIME", row0, n, s->raw_time[0], err);
  if (rc >= 0 && s->raw_time[1])
    rc = sheaf_table_get_range(s->table, "TIME_CENTROID", row0, n, s->raw_time[1], err);
  for (int64_t i = 0; rc >= 0 && i < n; i++)
    if (s->ddid[i] < 0 || (size_t)s->ddid[i] >= s->vis->nddid)
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld has %s %d; there are %zu", s->vis->path,
                      (long long)(row0 + i), which, (int)s->ddid[i], s->vis->nddid);
  return rc < 0 ? rc : 0;
}

/* The rows of one data description, and the next one in *next (-1: none). */
static int64_t collect(scan *s, int32_t ddid, int64_t row0, int64_t n, int32_t *next) {
  int64_t count = 0;
  *next = -1;
  for (int64_t i = 0; i < n; i++) {
    if (s->ddid[i] > ddid && (*next < 0 || s->ddid[i] < *next)) *next = s->ddid[i];
    if (s->ddid[i] != ddid) continue;
    s->row[count] = row0 + i;
    for (int k = 0; k < NINT; k++)
      if (s->raw[k]) s->ints[k][count] = s->raw[k][i];
    for (int k = 0; k < 2; k++)
      if (s->raw_time[k]) s->time[k][count] = s->raw_time[k][i];
    count++;
  }
  return count;
}

static int visit_window(scan *s, size_t member, int64_t row0, int64_t n,
                        sheaf_flag_row_visit *visit, void *user, sheaf_error *err) {
  int32_t ddid = n > 0 ? s->ddid[0] : -1, next;
  for (int64_t i = 0; i < n; i++)
    if (s->ddid[i] < ddid) ddid = s->ddid[i];
  for (; ddid >= 0; ddid = next) {
    sheaf_flag_rows rows = {.n = collect(s, ddid, row0, n, &next),
                                  .member = member,
                                  .row = s->row,
                                  .ddid = ddid,
                                  .spw = s->vis->spw_of[ddid],
                                  .pol = s->vis->pol_of[ddid],
                                  .time = s->time[0],
                                  .centroid = s->time[1],
                                  .ant1 = s->ints[0],
                                  .ant2 = s->ints[1],
                                  .scan = s->ints[2],
                                  .field = s->ints[3],
                                  .state = s->ints[4],
                                  .array = s->ints[5],
                                  .observation = s->ints[6],
                                  .processor = s->ints[7]};
    sheaf_flag_rows_look(&rows);
    const int rc = visit(user, &rows, err);
    if (rc < 0) return rc;
  }
  return 0;
}

int sheaf_flag_row_scan(const sheaf_flag_vis *vis, size_t member, int64_t row0, int64_t nrow,
                        unsigned columns, sheaf_flag_row_visit *visit, void *user,
                        sheaf_error *err) {
  scan s = {.vis = vis, .columns = columns};
  int rc = sheaf_table_open(&s.table, vis->member[member], 0, err);
  if (rc < 0) return rc;
  const int64_t all = sheaf_table_nrow(s.table);
  if (nrow < 0) nrow = all - row0;
  if (row0 + nrow > all)
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s has lost rows meanwhile", vis->member[member]);
  if (rc >= 0) rc = reserve(&s, nrow < WINDOW ? nrow : WINDOW, err);
  for (int64_t at = 0; rc >= 0 && at < nrow; at += WINDOW) {
    const int64_t n = nrow - at < WINDOW ? nrow - at : WINDOW;
    rc = read_window(&s, row0 + at, n, err);
    if (rc >= 0) rc = visit_window(&s, member, row0 + at, n, visit, user, err);
  }
  release(&s);
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/assign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "ms/distribution.h"
#include "table/table.h"

#define NO_PART UINT32_MAX

enum { WINDOW = 2048, BIN_BYTES = 4 << 20, MOST_IN_BIN = 2048 };

/* Part of each (scan, data description), or of each baseline. Parts become units when the empty
 * ones are dropped. */
typedef struct rule {
  const sheaf_assign_request *request;
  const char *ms;
  size_t npart, nscan, nddid, nant;
  int32_t *scan;       /* [nscan] ascending */
  uint32_t *pair_part; /* [nscan][nddid] */
  uint32_t *base_part; /* [nant][nant] */
  int64_t *count;      /* [npart][nddid] */
  size_t last_scan;
} rule;

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory to share out rows");
}

static void rule_free(rule *r) {
  free(r->scan);
  free(r->pair_part);
  free(r->base_part);
  free(r->count);
}

/* Index of a scan number; neighbouring rows mostly ask for the same one. */
static size_t scan_index(rule *r, int32_t scan) {
  if (r->scan[r->last_scan] == scan) return r->last_scan;
  size_t lo = 0, hi = r->nscan;
  while (hi - lo > 1) {
    const size_t mid = (lo + hi) / 2;
    if (r->scan[mid] <= scan)
      lo = mid;
    else
      hi = mid;
  }
  return r->last_scan = lo;
}

static size_t fewer(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Part of item i for contiguous parts of a list. */
static int split_list(size_t length, size_t n, uint32_t *part, sheaf_error *err) {
  size_t *first = malloc((n + 1) * sizeof *first);
  if (!first) return no_memory(err);
  sheaf_split_even(length, n, first);
  for (size_t p = 0; p < n; p++)
    for (size_t i = first[p]; i < first[p + 1]; i++) part[i] = (uint32_t)p;
  free(first);
  return 0;
}

static int rule_scan(rule *r, sheaf_assignment *result, sheaf_error *err) {
  uint32_t *part = malloc((r->nscan + 1) * sizeof *part);
  if (!part) return no_memory(err);
  result->possible = r->nscan;
  r->npart = fewer(r->request->wanted, r->nscan);
  const int rc = split_list(r->nscan, r->npart, part, err);
  for (size_t s = 0; s < r->nscan; s++)
    for (size_t d = 0; d < r->nddid; d++) r->pair_part[s * r->nddid + d] = part[s];
  free(part);
  return rc;
}

static int compare_int32(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static size_t unique_sorted(int32_t *list, size_t n) {
  size_t kept = 0;
  qsort(list, n, sizeof *list, compare_int32);
  for (size_t i = 0; i < n; i++)
    if (i == 0 || list[i] != list[kept - 1]) list[kept++] = list[i];
  return kept;
}

static int keep_spws(sheaf_assignment *result, const int32_t *spw, const uint32_t *part,
                     size_t nspw, size_t npart, sheaf_error *err) {
  result->nspw = calloc(npart + 1, sizeof *result->nspw);
  result->spw = calloc(npart + 1, sizeof *result->spw);
  if (!result->nspw || !result->spw) return no_memory(err);
  for (size_t p = 0; p < npart; p++) {
    result->spw[p] = malloc((nspw + 1) * sizeof **result->spw);
    if (!result->spw[p]) return no_memory(err);
    for (size_t i = 0; i < nspw; i++)
      if (part[i] == p) result->spw[p][result->nspw[p]++] = spw[i];
  }
  return 0;
}

static int rule_spw(rule *r, sheaf_assignment *result, sheaf_error *err) {
  sheaf_description *descs = NULL;
  int32_t *spw = NULL;
  uint32_t *part = NULL;
  size_t n, nspw = 0;
  int rc;
  SHEAF_TRY(sheaf_descriptions_read(r->ms, &descs, &n, err));
  spw = malloc((n + 1) * sizeof *spw);
  part = malloc((n + 1) * sizeof *part);
  if (!spw || !part) SHEAF_TRY(no_memory(err));
  for (size_t d = 0; d < n; d++)
    if (r->request->scans->ddid_nrow[d] > 0) spw[nspw++] = descs[d].spw;
  nspw = unique_sorted(spw, nspw);
  result->possible = nspw;
  r->npart = fewer(r->request->wanted, nspw);
  SHEAF_TRY(split_list(nspw, r->npart, part, err));
  for (size_t d = 0; d < n; d++)
    for (size_t i = 0; i < nspw; i++)
      for (size_t s = 0; descs[d].spw == spw[i] && s < r->nscan; s++)
        r->pair_part[s * r->nddid + d] = part[i];
  SHEAF_TRY(keep_spws(result, spw, part, nspw, r->npart, err));
done:
  free(descs);
  free(spw);
  free(part);
  return rc;
}

static int rule_auto(rule *r, sheaf_assignment *result, sheaf_error *err) {
  sheaf_description *descs = NULL;
  sheaf_pair *pairs = NULL;
  double *nvis_row = NULL;
  size_t n, npair;
  int rc;
  SHEAF_TRY(sheaf_descriptions_read(r->ms, &descs, &n, err));
  nvis_row = malloc((n + 1) * sizeof *nvis_row);
  if (!nvis_row) SHEAF_TRY(no_memory(err));
  for (size_t d = 0; d < n; d++) nvis_row[d] = (double)descs[d].nchan * descs[d].ncorr;
  r->npart = r->request->wanted;
  SHEAF_TRY(sheaf_distribute_balanced(r->request->scans->subscans, r->request->scans->nsubscan,
                                      nvis_row, n, &r->npart, &pairs, &npair, err));
  result->possible = npair;
  for (size_t i = 0; i < npair; i++)
    r->pair_part[scan_index(r, pairs[i].scan) * r->nddid + (size_t)pairs[i].ddid] = pairs[i].part;
done:
  free(descs);
  free(pairs);
  free(nvis_row);
  return rc;
}

static void put_baseline(rule *r, int32_t a, int32_t b, uint32_t value) {
  r->base_part[(size_t)a * r->nant + (size_t)b] = value;
  r->base_part[(size_t)b * r->nant + (size_t)a] = value;
}

/* The list to be shared out: what was asked for, then baselines that have rows but were not in it.
 */
static int rule_baseline(rule *r, sheaf_assignment *result, sheaf_error *err) {
  const sheaf_assign_request *q = r->request;
  const sheaf_scans *scans = q->scans;
  const size_t most = q->nbaseline + scans->nbaseline;
  int32_t(*list)[2] = malloc((most + 1) * sizeof *list);
  uint32_t *part = malloc((most + 1) * sizeof *part);
  size_t n = 0;
  int rc = list && part ? 0 : no_memory(err);
  for (size_t i = 0; rc >= 0 && i < most; i++) {
    const int32_t *pair =
        i < q->nbaseline ? q->baseline + 2 * i : scans->baseline + 2 * (i - q->nbaseline);
    const int32_t a = pair[0] < pair[1] ? pair[0] : pair[1],
                  b = pair[0] < pair[1] ? pair[1] : pair[0];
    if (a < 0 || (size_t)b >= r->nant || r->base_part[(size_t)a * r->nant + (size_t)b] != NO_PART)
      continue;
    put_baseline(r, a, b, (uint32_t)n);
    list[n][0] = a;
    list[n++][1] = b;
  }
  result->possible = n;
  r->npart = fewer(q->wanted, n);
  if (rc >= 0) rc = split_list(n, r->npart, part, err);
  for (size_t i = 0; rc >= 0 && i < n; i++) put_baseline(r, list[i][0], list[i][1], part[i]);
  free(list);
  free(part);
  return rc;
}

static int rule_make(rule *r, sheaf_assignment *result, sheaf_error *err) {
  const sheaf_scans *scans = r->request->scans;
  int rc = sheaf_scans_numbers(scans, &r->scan, &r->nscan, err);
  if (rc < 0) return rc;
  r->nddid = scans->nddid;
  for (size_t i = 0; r->request->axis == SHEAF_AXIS_BASELINE && i < scans->nbaseline; i++) {
    const size_t past = (size_t)scans->baseline[2 * i + 1] + 1;
    r->nant = past > r->nant ? past : r->nant;
  }
  r->pair_part = malloc((r->nscan * r->nddid + 1) * sizeof *r->pair_part);
  r->base_part = malloc((r->nant * r->nant + 1) * sizeof *r->base_part);
  if (!r->pair_part || !r->base_part) return no_memory(err);
  memset(r->pair_part, 0xff, r->nscan * r->nddid * sizeof *r->pair_part);
  memset(r->base_part, 0xff, r->nant * r->nant * sizeof *r->base_part);
  switch (r->request->axis) {
    case SHEAF_AXIS_SCAN:
      rc = rule_scan(r, result, err);
      break;
    case SHEAF_AXIS_SPW:
      rc = rule_spw(r, result, err);
      break;
    case SHEAF_AXIS_BASELINE:
      rc = rule_baseline(r, result, err);
      break;
    case SHEAF_AXIS_AUTO:
      rc = rule_auto(r, result, err);
      break;
  }
  if (rc < 0) return rc;
  r->count = calloc(r->npart * r->nddid + 1, sizeof *r->count);
  return r->count ? 0 : no_memory(err);
}

static uint32_t part_of(rule *r, const sheaf_rowkey *key) {
  if (r->request->axis == SHEAF_AXIS_BASELINE)
    return r->base_part[(size_t)key->antenna1 * r->nant + (size_t)key->antenna2];
  return r->pair_part[scan_index(r, key->scan) * r->nddid + (size_t)key->ddid];
}

/* Counts the rows of each part. That none is lost is proved here. */
static int count_rows(rule *r, sheaf_assignment *result, const sheaf_recspan *rows, size_t size,
                      sheaf_error *err) {
  sheaf_recreader reader;
  const void *record;
  uint32_t last = NO_PART;
  int64_t lost = 0;
  int rc = sheaf_recreader_open(&reader, rows, 1, size, WINDOW, err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    const sheaf_rowkey *key = record;
    const uint32_t part = part_of(r, key);
    if (part == NO_PART)
      lost++;
    else
      r->count[part * r->nddid + (size_t)key->ddid]++;
    result->nrun += part != last;
    last = part;
  }
  sheaf_recreader_close(&reader);
  if (rc >= 0) rc = sheaf_cancel_check(err);
  if (rc >= 0 && lost)
    rc = sheaf_fail(err, SHEAF_ERR_INTERNAL, "%lld selected rows would be in no sub-MS",
                    (long long)lost);
  return rc;
}

/* Parts without rows are dropped, the others numbered without gaps. */
static int number_units(rule *r, sheaf_assignment *result, uint32_t *unit, sheaf_error *err) {
  result->nddid = r->nddid;
  result->nrow = calloc(r->npart * r->nddid + 1, sizeof *result->nrow);
  result->first = calloc(r->npart + 2, sizeof *result->first);
  if (!result->nrow || !result->first) return no_memory(err);
  for (size_t p = 0; p < r->npart; p++) {
    int64_t rows = 0;
    for (size_t d = 0; d < r->nddid; d++) rows += r->count[p * r->nddid + d];
    unit[p] = NO_PART;
    if (!rows) continue;
    memcpy(result->nrow + result->nunit * r->nddid, r->count + p * r->nddid,
           r->nddid * sizeof *r->count);
    unit[p] = (uint32_t)result->nunit++;
    result->first[result->nunit] = result->first[result->nunit - 1] + rows;
  }
  return 0;
}

/* The records of one unit on their way into the file. */
typedef struct bin {
  int64_t at; /* next record of the file */
  size_t used;
  char *buffer;
} bin;

static int bin_flush(bin *b, int fd, const char *path, size_t size, sheaf_error *err) {
  size_t done = 0;
  while (done < b->used) {
    const ssize_t n =
        pwrite(fd, b->buffer + done, b->used - done, (off_t)(b->at * (int64_t)size) + (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
    done += (size_t)n;
  }
  b->at += (int64_t)(b->used / size);
  b->used = 0;
  return 0;
}

static int fill_bins(rule *r, const uint32_t *unit, const sheaf_recspan *rows, size_t size,
                     bin *bins, size_t room, int fd, const char *to, sheaf_error *err) {
  sheaf_recreader reader;
  const void *record;
  int rc = sheaf_recreader_open(&reader, rows, 1, size, WINDOW, err);
  while (rc >= 0 && (rc = sheaf_recreader_next(&reader, &record, err)) > 0) {
    bin *b = &bins[unit[part_of(r, record)]];
    if (b->used == room) rc = bin_flush(b, fd, to, size, err);
    if (rc < 0) break;
    memcpy(b->buffer + b->used, record, size);
    b->used += size;
  }
  sheaf_recreader_close(&reader);
  return rc < 0 ? rc : sheaf_cancel_check(err);
}

static int group_rows(rule *r, const sheaf_assignment *result, const uint32_t *unit,
                      const sheaf_recspan *rows, size_t size, const char *to, sheaf_error *err) {
  size_t each = BIN_BYTES / (result->nunit ? result->nunit : 1) / size;
  if (each > MOST_IN_BIN) each = MOST_IN_BIN;
  const size_t room = (each > 4 ? each : 4) * size;
  bin *bins = calloc(result->nunit + 1, sizeof *bins);
  char *buffers = malloc(result->nunit * room + 1);
  int rc = bins && buffers ? 0 : no_memory(err);
  const int fd = rc < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (rc >= 0 && fd < 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", to);
  for (size_t u = 0; rc >= 0 && u < result->nunit; u++)
    bins[u] = (bin){.at = result->first[u], .buffer = buffers + u * room};
  if (rc >= 0) rc = fill_bins(r, unit, rows, size, bins, room, fd, to, err);
  for (size_t u = 0; rc >= 0 && u < result->nunit; u++) rc = bin_flush(&bins[u], fd, to, size, err);
  if (fd >= 0 && close(fd) != 0 && rc >= 0)
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", to);
  free(bins);
  free(buffers);
  return rc;
}

int sheaf_assign_rows(sheaf_assignment *result, const char *ms, const sheaf_assign_request *request,
                      const sheaf_recspan *rows, size_t size, const char *to, sheaf_error *err) {
  rule r = {.request = request, .ms = ms};
  uint32_t *unit = NULL;
  *result = (sheaf_assignment){.wanted = request->wanted};
  int rc = rule_make(&r, result, err);
  if (rc >= 0 && !(unit = malloc((r.npart + 1) * sizeof *unit))) rc = no_memory(err);
  if (rc >= 0) rc = count_rows(&r, result, rows, size, err);
  if (rc >= 0) rc = number_units(&r, result, unit, err);
  if (rc >= 0) rc = group_rows(&r, result, unit, rows, size, to, err);
  if (rc < 0) sheaf_assignment_free(result);
  free(unit);
  rule_free(&r);
  return rc;
}

void sheaf_assignment_free(sheaf_assignment *result) {
  for (size_t i = 0; result->spw && result->spw[i]; i++) free(result->spw[i]);
  free(result->spw);
  free(result->nspw);
  free(result->nrow);
  free(result->first);
  *result = (sheaf_assignment){0};
}

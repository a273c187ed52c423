/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/distribution.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sheaf_split_even(size_t length, size_t n, size_t *first) {
  const double step = (double)length / (double)n;
  for (size_t i = 0; i <= n; i++) first[i] = (size_t)nearbyint(step * (double)i);
}

static int compare_int32(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

char *sheaf_range_text(int32_t *list, size_t n) {
  char *text = malloc(n * 24 + 1);
  if (!text) return NULL;
  char *to = text;
  *to = '\0';
  qsort(list, n, sizeof *list, compare_int32);
  for (size_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && list[j] - list[j - 1] <= 1; j++) continue;
    const char *comma = i ? "," : "";
    if (list[j - 1] > list[i])
      to += sprintf(to, "%s%d~%d", comma, list[i], list[j - 1]);
    else
      to += sprintf(to, "%s%d", comma, list[i]);
  }
  return text;
}

/* Visibilities per scan, data description or field: in all, and given to each sub-MS. Keys are
 * looked up from the last hit on, which is nearly always right as subscans come in order. */
typedef struct axis_sums {
  size_t n, last;
  int32_t *key;
  double *total;
  double *share; /* [n][npart] */
} axis_sums;

static size_t axis_find(axis_sums *axis, int32_t key) {
  for (size_t i = 0; i < axis->n; i++) {
    const size_t at = (axis->last + i) % axis->n;
    if (axis->key[at] == key) return axis->last = at;
  }
  axis->key[axis->n] = key;
  axis->total[axis->n] = 0;
  return axis->last = axis->n++;
}

static void axis_free(axis_sums *axis) {
  free(axis->key);
  free(axis->total);
  free(axis->share);
}

static int axis_new(axis_sums *axis, size_t most) {
  *axis = (axis_sums){0};
  axis->key = calloc(most + 1, sizeof *axis->key);
  axis->total = calloc(most + 1, sizeof *axis->total);
  return axis->key && axis->total;
}

typedef struct balance {
  axis_sums scan, ddid, field;
  sheaf_pair *pairs;
  size_t npair;
  size_t *slot; /* [nslot] hash of pairs */
  size_t nslot;
} balance;

/* The place of a (scan, data description) pair in the hash: its index + 1, or 0 where it belongs.
 */
static size_t *pair_slot(balance *b, int32_t scan, int32_t ddid) {
  uint64_t h = ((uint64_t)(uint32_t)scan << 32 | (uint32_t)ddid) * 0x9e3779b97f4a7c15u;
  for (size_t at = (size_t)(h >> 20) % b->nslot;; at = (at + 1) % b->nslot) {
    const size_t i = b->slot[at];
    if (!i || (b->pairs[i - 1].scan == scan && b->pairs[i - 1].ddid == ddid)) return &b->slot[at];
  }
}

static void add_subscan(balance *b, const sheaf_subscan *s, const double *nvis_row, size_t nddid) {
  for (size_t k = 0; k < s->nddid; k++) {
    const int32_t ddid = s->ddid[k];
    const double per_row = ddid >= 0 && (size_t)ddid < nddid ? nvis_row[ddid] : 0;
    const double nvis = (double)s->nrow / (double)s->nddid * per_row;
    size_t *slot = pair_slot(b, s->scan, ddid);
    if (!*slot) {
      b->pairs[b->npair] = (sheaf_pair){.scan = s->scan, .ddid = ddid, .field = s->field};
      *slot = ++b->npair;
    }
    sheaf_pair *pair = &b->pairs[*slot - 1];
    pair->nvis += nvis;
    b->scan.total[axis_find(&b->scan, s->scan)] += nvis;
    b->ddid.total[axis_find(&b->ddid, ddid)] += nvis;
    b->field.total[axis_find(&b->field, s->field)] += nvis;
  }
}

/* Scan and data description compare as texts, as CASA's do: "9" comes after "12". */
static int compare_as_text(int32_t a, int32_t b) {
  char x[16], y[16];
  snprintf(x, sizeof x, "%d", a);
  snprintf(y, sizeof y, "%d", b);
  return strcmp(x, y);
}

/* Largest first; among equals the last scan, then the last data description. */
static int compare_pairs(const void *pa, const void *pb) {
  const sheaf_pair *a = pa, *b = pb;
  if (a->nvis != b->nvis) return a->nvis < b->nvis ? 1 : -1;
  const int scan = compare_as_text(a->scan, b->scan);
  return scan ? -scan : -compare_as_text(a->ddid, b->ddid);
}

static double largest(const double *x, size_t n) {
  double most = x[0];
  for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
  return most;
}

static double *axis_row(axis_sums *axis, int32_t key, size_t npart, double *level) {
  const size_t at = axis_find(axis, key);
  double *share = axis->share + at * npart;
  const double mean = floor(axis->total[at] / (double)npart), most = largest(share, npart);
  *level = mean > most ? mean : most;
  return share;
}

/* Gives one pair to the sub-MS that lacks most of its scan, data description and field. */
static void assign_pair(balance *b, sheaf_pair *pair, double *nvis, size_t npart) {
  double level[3];
  double *share[3] = {axis_row(&b->scan, pair->scan, npart, &level[0]),
                      axis_row(&b->ddid, pair->ddid, npart, &level[1]),
                      axis_row(&b->field, pair->field, npart, &level[2])};
  size_t best = 0;
  double best_gap = -INFINITY;
  for (size_t p = 0; p < npart; p++) {
    double gap = 0;
    for (int axis = 0; axis < 3; axis++) gap = gap + level[axis] - share[axis][p];
    if (gap > best_gap || (gap == best_gap && nvis[p] < nvis[best])) {
      best = p;
      best_gap = gap;
    }
  }
  pair->part = (uint32_t)best;
  nvis[best] += pair->nvis;
  for (int axis = 0; axis < 3; axis++) share[axis][best] += pair->nvis;
}

static int new_shares(balance *b, size_t npart) {
  axis_sums *axes[3] = {&b->scan, &b->ddid, &b->field};
  for (int i = 0; i < 3; i++) {
    axes[i]->share = calloc(axes[i]->n * npart + 1, sizeof(double));
    if (!axes[i]->share) return 0;
  }
  return 1;
}

int sheaf_distribute_balanced(const sheaf_subscan *subscans, size_t nsubscan,
                              const double *nvis_row, size_t nddid, size_t *npart,
                              sheaf_pair **pairs, size_t *npair, sheaf_error *err) {
  balance b = {.npair = 0};
  double *nvis = NULL;
  size_t most = 0;
  int rc = 0;
  for (size_t i = 0; i < nsubscan; i++) most += subscans[i].nddid;
  b.pairs = calloc(most + 1, sizeof *b.pairs);
  b.nslot = 2 * most + 3;
  b.slot = calloc(b.nslot, sizeof *b.slot);
  if (!axis_new(&b.scan, most) || !axis_new(&b.ddid, most) || !axis_new(&b.field, most) ||
      !b.pairs || !b.slot) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu scan × spw pairs", most);
    goto done;
  }
  for (size_t i = 0; i < nsubscan; i++) add_subscan(&b, &subscans[i], nvis_row, nddid);
  if (*npart > b.npair) *npart = b.npair;
  nvis = calloc(*npart + 1, sizeof *nvis);
  if (!nvis || !new_shares(&b, *npart)) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu sub-MSs", *npart);
    goto done;
  }
  qsort(b.pairs, b.npair, sizeof *b.pairs, compare_pairs);
  for (size_t i = 0; i < b.npair; i++) assign_pair(&b, &b.pairs[i], nvis, *npart);
  *pairs = b.pairs;
  *npair = b.npair;
  b.pairs = NULL;

done:
  axis_free(&b.scan);
  axis_free(&b.ddid);
  axis_free(&b.field);
  free(b.pairs);
  free(b.slot);
  free(nvis);
  return rc;
}

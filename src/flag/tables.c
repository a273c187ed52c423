/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/tables.h"

#include <stdlib.h>

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for tables of times");
}

int sheaf_flag_place_compare(const sheaf_flag_place *a, const sheaf_flag_place *b) {
#define BY(member) \
  if (a->member != b->member) return a->member < b->member ? -1 : 1
  BY(observation);
  BY(array);
  BY(scan);
  BY(field);
  BY(ddid);
#undef BY
  return 0;
}

/* ---- order ---- */

static int compare_scans(const void *pa, const void *pb) {
  const sheaf_flag_scan_limits *a = pa, *b = pb;
  return (a->scan > b->scan) - (a->scan < b->scan);
}

static int compare_bad(const void *pa, const void *pb) {
  const sheaf_flag_bad_time *a = pa, *b = pb;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  return sheaf_flag_place_compare(&a->place, &b->place);
}

static int compare_shadows(const void *pa, const void *pb) {
  const sheaf_flag_shadow_set *a = pa, *b = pb;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  if (a->centroid != b->centroid) return a->centroid < b->centroid ? -1 : 1;
  return sheaf_flag_place_compare(&a->place, &b->place);
}

/* ---- making ---- */

static double number_at(const json_t *list, size_t i) {
  return json_number_value(json_array_get(list, i));
}

static sheaf_flag_place place_at(const json_t *list, size_t i) {
  return (sheaf_flag_place){.observation = (int32_t)number_at(list, i),
                            .array = (int32_t)number_at(list, i + 1),
                            .scan = (int32_t)number_at(list, i + 2),
                            .field = (int32_t)number_at(list, i + 3),
                            .ddid = (int32_t)number_at(list, i + 4)};
}

static int make_scans(sheaf_flag_lookup *l, const json_t *list, sheaf_error *err) {
  l->nscan = json_array_size(list) / 3;
  if (!(l->scan = calloc(l->nscan + 1, sizeof *l->scan))) return no_memory(err);
  for (size_t i = 0; i < l->nscan; i++)
    l->scan[i] = (sheaf_flag_scan_limits){.scan = (int32_t)number_at(list, 3 * i),
                                          .start = number_at(list, 3 * i + 1),
                                          .stop = number_at(list, 3 * i + 2)};
  qsort(l->scan, l->nscan, sizeof *l->scan, compare_scans);
  return 0;
}

int sheaf_flag_bad_times(const json_t *list, sheaf_flag_bad_time **bad, size_t *n,
                         sheaf_error *err) {
  enum { VALUES = 7 };
  *n = json_array_size(list) / VALUES;
  if (!(*bad = calloc(*n + 1, sizeof **bad))) return no_memory(err);
  for (size_t i = 0; i < *n; i++)
    (*bad)[i] = (sheaf_flag_bad_time){.time = number_at(list, VALUES * i),
                                      .place = place_at(list, VALUES * i + 1),
                                      .fraction = number_at(list, VALUES * i + 6)};
  qsort(*bad, *n, sizeof **bad, compare_bad);
  return 0;
}

static int make_shadows(sheaf_flag_lookup *l, const json_t *list, sheaf_error *err) {
  l->nshadow = json_array_size(list);
  if (!(l->shadow = calloc(l->nshadow + 1, sizeof *l->shadow))) return no_memory(err);
  for (size_t i = 0; i < l->nshadow; i++) {
    const json_t *set = json_array_get(list, i);
    for (size_t k = 7; k < json_array_size(set); k++)
      if (number_at(set, k) >= (double)l->nantenna) l->nantenna = (size_t)number_at(set, k) + 1;
  }
  for (size_t i = 0; i < l->nshadow; i++) {
    const json_t *set = json_array_get(list, i);
    sheaf_flag_shadow_set *s = &l->shadow[i];
    s->time = number_at(set, 0);
    s->centroid = number_at(set, 1);
    s->place = place_at(set, 2);
    if (!(s->antenna = calloc(l->nantenna + 1, 1))) return no_memory(err);
    for (size_t k = 7; k < json_array_size(set); k++) s->antenna[(size_t)number_at(set, k)] = 1;
  }
  qsort(l->shadow, l->nshadow, sizeof *l->shadow, compare_shadows);
  return 0;
}

int sheaf_flag_lookup_make(sheaf_flag_lookup **lookup, const json_t *value, sheaf_error *err) {
  sheaf_flag_lookup *l = *lookup = calloc(1, sizeof *l);
  if (!l) return no_memory(err);
  int rc;
  SHEAF_TRY(make_scans(l, json_object_get(value, "scans"), err));
  SHEAF_TRY(sheaf_flag_bad_times(json_object_get(value, "bad"), &l->bad, &l->nbad, err));
  SHEAF_TRY(make_shadows(l, json_object_get(value, "shadows"), err));
  return 0;
done:
  sheaf_flag_lookup_free(l);
  *lookup = NULL;
  return rc;
}

void sheaf_flag_lookup_free(sheaf_flag_lookup *l) {
  if (!l) return;
  for (size_t i = 0; l->shadow && i < l->nshadow; i++) free(l->shadow[i].antenna);
  free(l->scan);
  free(l->bad);
  free(l->shadow);
  free(l);
}

/* ---- looking up ---- */

const sheaf_flag_scan_limits *sheaf_flag_lookup_scan(const sheaf_flag_lookup *l, int32_t scan) {
  const sheaf_flag_scan_limits key = {.scan = scan};
  return bsearch(&key, l->scan, l->nscan, sizeof key, compare_scans);
}

int sheaf_flag_lookup_bad(const sheaf_flag_lookup *l, double time, const sheaf_flag_place *place) {
  size_t low = 0, high = l->nbad; /* the first entry of this time has the smallest place */
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (l->bad[middle].time < time)
      low = middle + 1;
    else
      high = middle;
  }
  return low < l->nbad && l->bad[low].time == time &&
         sheaf_flag_place_compare(&l->bad[low].place, place) <= 0;
}

int sheaf_flag_lookup_shadowed(const sheaf_flag_lookup *l, double time, double centroid,
                               const sheaf_flag_place *place, int32_t antenna) {
  const sheaf_flag_shadow_set key = {.time = time, .centroid = centroid, .place = *place};
  if (antenna < 0 || (size_t)antenna >= l->nantenna) return 0;
  const sheaf_flag_shadow_set *s =
      bsearch(&key, l->shadow, l->nshadow, sizeof key, compare_shadows);
  return s && s->antenna[antenna];
}

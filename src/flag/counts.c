/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/flag_expression.h"

/* ---- the hash ---- */

static size_t hash(int32_t field, int32_t kind, int32_t a, int32_t b) {
  uint64_t h = ((uint64_t)(uint32_t)field << 32 | (uint32_t)kind) * 0x9e3779b97f4a7c15u;
  h ^= ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0xbf58476d1ce4e5b9u;
  return (size_t)((h ^ h >> 29) * 0x94d049bb133111ebu >> 16);
}

static int is(const sheaf_count *c, int32_t field, int32_t kind, int32_t a, int32_t b) {
  return c->a == a && c->b == b && c->kind == kind && c->field == field;
}

static int grow(sheaf_counts *c) {
  const size_t room = c->room ? 2 * c->room : 256, nslot = 4 * room;
  sheaf_count *count = realloc(c->count, room * sizeof *count);
  if (!count) return 0;
  c->count = count;
  uint32_t *slot = calloc(nslot, sizeof *slot);
  if (!slot) return 0;
  for (size_t i = 0; i < c->n; i++) {
    size_t at = hash(count[i].field, count[i].kind, count[i].a, count[i].b) % nslot;
    while (slot[at]) at = (at + 1) % nslot;
    slot[at] = (uint32_t)i + 1;
  }
  free(c->slot);
  c->slot = slot;
  c->nslot = nslot;
  c->room = room;
  return 1;
}

static sheaf_count *find(sheaf_counts *c, int32_t field, int32_t kind, int32_t a, int32_t b) {
  const uint32_t last = c->last[kind];
  if (last && is(&c->count[last - 1], field, kind, a, b)) return &c->count[last - 1];
  if (c->n == c->room && !grow(c)) return NULL;
  size_t at = hash(field, kind, a, b) % c->nslot;
  while (c->slot[at] && !is(&c->count[c->slot[at] - 1], field, kind, a, b))
    at = (at + 1) % c->nslot;
  if (!c->slot[at]) {
    c->count[c->n] = (sheaf_count){.field = field, .kind = kind, .a = a, .b = b};
    c->slot[at] = (uint32_t)++c->n;
  }
  c->last[kind] = c->slot[at];
  return &c->count[c->slot[at] - 1];
}

int sheaf_counts_add(sheaf_counts *c, int32_t field, sheaf_count_kind kind, int32_t a, int32_t b,
                     int64_t flagged, int64_t total, sheaf_error *err) {
  sheaf_count *one = find(c, field, (int32_t)kind, a, b);
  if (!one) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the counts of a summary");
  one->flagged += flagged;
  one->total += total;
  return 0;
}

void sheaf_counts_free(sheaf_counts *c) {
  free(c->count);
  free(c->slot);
  *c = (sheaf_counts){0};
}

json_t *sheaf_counts_value(const sheaf_counts *c) {
  json_t *list = json_array();
  for (size_t i = 0; i < c->n; i++) {
    const sheaf_count *k = &c->count[i];
    json_array_append_new(list, json_integer(k->field));
    json_array_append_new(list, json_integer(k->kind));
    json_array_append_new(list, json_integer(k->a));
    json_array_append_new(list, json_integer(k->b));
    json_array_append_new(list, json_integer(k->flagged));
    json_array_append_new(list, json_integer(k->total));
  }
  return list;
}

int sheaf_counts_merge(sheaf_counts *c, const json_t *value, sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i + 5 < json_array_size(value); i += 6) {
    json_int_t x[6];
    for (size_t k = 0; k < 6; k++) x[k] = json_integer_value(json_array_get(value, i + k));
    if (x[1] < 0 || x[1] >= SHEAF_COUNT_NKIND)
      return sheaf_fail(err, SHEAF_ERR_INTERNAL, "a summary's counts cannot be read");
    rc = sheaf_counts_add(c, (int32_t)x[0], (sheaf_count_kind)x[1], (int32_t)x[2], (int32_t)x[3],
                          x[4], x[5], err);
  }
  return rc;
}

/* ---- the report ---- */

static const char *const kKeys[SHEAF_COUNT_NKIND] = {
    NULL,   "antenna", "array",       "correlation",     "field",    "observation",
    "scan", "spw",     "spw:channel", "spw:correlation", "baseline", "antenna:scan"};

static const char *antenna_name(const sheaf_flag_vis *v, int32_t id, char number[16]) {
  if (id >= 0 && (size_t)id < v->nantenna) return v->antenna[id];
  snprintf(number, 16, "%d", (int)id);
  return number;
}

static const char *field_name(const sheaf_flag_vis *v, int32_t id, char number[16]) {
  if (id >= 0 && (size_t)id < v->nfield) return v->field[id];
  snprintf(number, 16, "%d", (int)id);
  return number;
}

static const char *corr_name(int32_t code, char number[16]) {
  if (code >= SHEAF_FLAG_SOL1 && code <= SHEAF_FLAG_SOL4) {
    snprintf(number, 16, "Sol%d", (int)(code - SHEAF_FLAG_SOL1 + 1));
    return number;
  }
  const char *name = sheaf_flag_correlation_name(code);
  if (name) return name;
  snprintf(number, 16, "%d", (int)code);
  return number;
}

static void name_of(const sheaf_count *c, const sheaf_flag_vis *v, char *to, size_t size) {
  char one[16], two[16];
  switch (c->kind) {
    case SHEAF_COUNT_ANTENNA: snprintf(to, size, "%s", antenna_name(v, c->a, one)); break;
    case SHEAF_COUNT_FIELD: snprintf(to, size, "%s", field_name(v, c->a, one)); break;
    case SHEAF_COUNT_CORRELATION: snprintf(to, size, "%s", corr_name(c->a, one)); break;
    case SHEAF_COUNT_SPW_CHANNEL: snprintf(to, size, "%d:%d", (int)c->a, (int)c->b); break;
    case SHEAF_COUNT_SPW_CORRELATION:
      snprintf(to, size, "%d:%s", (int)c->a, corr_name(c->b, one));
      break;
    case SHEAF_COUNT_BASELINE:
      snprintf(to, size, "%s&&%s", antenna_name(v, c->a, one), antenna_name(v, c->b, two));
      break;
    case SHEAF_COUNT_ANTENNA_SCAN:
      snprintf(to, size, "%s:%d", antenna_name(v, c->a, one), (int)c->b);
      break;
    default: snprintf(to, size, "%d", (int)c->a);
  }
}

/* A count with its place in the order of the report: by text, channels by number. */
typedef struct named {
  const sheaf_count *count;
  char name[300];
} named;

static int compare_named(const void *pa, const void *pb) {
  const named *a = pa, *b = pb;
  if (a->count->kind != b->count->kind) return a->count->kind < b->count->kind ? -1 : 1;
  if (a->count->kind == SHEAF_COUNT_SPW_CHANNEL) {
    if (a->count->a != b->count->a) return a->count->a < b->count->a ? -1 : 1;
    return a->count->b < b->count->b ? -1 : a->count->b > b->count->b;
  }
  return strcmp(a->name, b->name);
}

static void put_counts(json_t *to, int64_t flagged, int64_t total) {
  json_object_set_new(to, "flagged",
                      json_real(json_number_value(json_object_get(to, "flagged")) +
                                (double)flagged));
  json_object_set_new(
      to, "total", json_real(json_number_value(json_object_get(to, "total")) + (double)total));
}

static json_t *child(json_t *of, const char *key) {
  json_t *found = json_object_get(of, key);
  if (found) return found;
  json_object_set_new(of, key, json_object());
  return json_object_get(of, key);
}

static json_t *new_report(const char *name) {
  return json_pack("{s:s, s:s, s:f, s:f}", "name", name, "type", "summary", "flagged", 0.0, "total",
                   0.0);
}

json_t *sheaf_counts_report(const sheaf_counts *c, const sheaf_flag_vis *v, const char *name,
                            int fieldcnt) {
  json_t *report = fieldcnt ? json_pack("{s:s, s:s}", "name", name, "type", "summary")
                            : new_report(name);
  named *list = calloc(c->n + 1, sizeof *list);
  char number[16];
  for (size_t i = 0; list && i < c->n; i++) {
    list[i].count = &c->count[i];
    name_of(list[i].count, v, list[i].name, sizeof list[i].name);
  }
  if (list) qsort(list, c->n, sizeof *list, compare_named);
  for (size_t i = 0; list && i < c->n; i++) {
    const sheaf_count *k = list[i].count;
    json_t *to = report;
    if (fieldcnt) {
      const char *field = field_name(v, k->field, number);
      if (!json_object_get(report, field)) json_object_set_new(report, field, json_object());
      to = json_object_get(report, field);
    }
    if (kKeys[k->kind]) to = child(child(to, kKeys[k->kind]), list[i].name);
    put_counts(to, k->flagged, k->total);
  }
  free(list);
  return report;
}

static int is_out(const json_t *node, const sheaf_count_limits *l) {
  const json_t *flagged = json_object_get(node, "flagged"), *total = json_object_get(node, "total");
  if (!flagged || !total || json_object_get(node, "type")) return 0;
  const double f = json_number_value(flagged), t = json_number_value(total);
  return f < l->minabs || (l->maxabs >= 0 && f > l->maxabs) || f / t < l->minrel ||
         f / t > l->maxrel;
}

void sheaf_counts_filter(json_t *report, const sheaf_count_limits *limits) {
  const char *key;
  json_t *item;
  void *next;
  json_object_foreach_safe(report, next, key, item) {
    if (!json_is_object(item)) continue;
    if (is_out(item, limits))
      json_object_del(report, key);
    else if (!json_object_get(item, "flagged") || json_object_get(item, "type"))
      sheaf_counts_filter(item, limits);
  }
}

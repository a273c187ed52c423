/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/scans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "table/table.h"

enum { WINDOW = 1 << 16, MOST_ANTENNAS = 1 << 13 };

/* ---- data descriptions ---- */

static int read_ints(const char *ms, const char *table, const char *column, int32_t **out,
                     size_t *n, sheaf_error *err) {
  char path[4200];
  sheaf_table *t = NULL;
  snprintf(path, sizeof path, "%s/%s", ms, table);
  int rc = sheaf_table_open(&t, path, 0, err);
  if (rc < 0) return rc;
  *n = (size_t)sheaf_table_nrow(t);
  *out = malloc((*n + 1) * sizeof **out);
  rc = *out ? sheaf_table_get_ints(t, column, 0, (int64_t)*n, *out, err)
            : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: %zu rows", path, *n);
  sheaf_table_close(t);
  return rc;
}

static int description_fill(sheaf_description *s, size_t ddid, const int32_t *nchan, size_t nspw,
                            const int32_t *ncorr, size_t npol, const char *ms, sheaf_error *err) {
  if (s->spw < 0 || (size_t)s->spw >= nspw)
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: DATA_DESCRIPTION row %zu refers to spectral window %d; there are %zu",
                      ms, ddid, s->spw, nspw);
  if (s->pol < 0 || (size_t)s->pol >= npol)
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: DATA_DESCRIPTION row %zu refers to polarization %d; there are %zu", ms,
                      ddid, s->pol, npol);
  s->nchan = nchan[s->spw];
  s->ncorr = ncorr[s->pol];
  return 0;
}

int sheaf_descriptions_read(const char *ms, sheaf_description **descs, size_t *n,
                            sheaf_error *err) {
  int32_t *spw = NULL, *pol = NULL, *nchan = NULL, *ncorr = NULL;
  size_t nspw, npol, npol_dd;
  int rc;
  *descs = NULL;
  SHEAF_TRY(read_ints(ms, "DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID", &spw, n, err));
  SHEAF_TRY(read_ints(ms, "DATA_DESCRIPTION", "POLARIZATION_ID", &pol, &npol_dd, err));
  SHEAF_TRY(read_ints(ms, "SPECTRAL_WINDOW", "NUM_CHAN", &nchan, &nspw, err));
  SHEAF_TRY(read_ints(ms, "POLARIZATION", "NUM_CORR", &ncorr, &npol, err));
  *descs = calloc(*n + 1, sizeof **descs);
  if (!*descs) SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: data descriptions", ms));
  for (size_t i = 0; i < *n; i++) {
    (*descs)[i] = (sheaf_description){.spw = spw[i], .pol = pol[i]};
    SHEAF_TRY(description_fill(&(*descs)[i], i, nchan, nspw, ncorr, npol, ms, err));
  }

done:
  free(spw);
  free(pol);
  free(nchan);
  free(ncorr);
  if (rc < 0) {
    free(*descs);
    *descs = NULL;
  }
  return rc < 0 ? rc : 0;
}

int sheaf_ms_nrow(const char *ms_path, int64_t *nrow, sheaf_error *err) {
  sheaf_table *t = NULL;
  const int rc = sheaf_table_open(&t, ms_path, 0, err);
  if (rc >= 0) *nrow = sheaf_table_nrow(t);
  sheaf_table_close(t);
  return rc;
}

/* ---- timestamps ---- */

/* A short list of ids in order of appearance. */
typedef struct id_list {
  size_t n, room;
  int32_t *id;
} id_list;

static int id_list_add(id_list *list, int32_t id) {
  for (size_t i = list->n; i > 0; i--)
    if (list->id[i - 1] == id) return 1;
  if (list->n == list->room) {
    const size_t room = list->room ? 2 * list->room : 4;
    int32_t *more = realloc(list->id, room * sizeof *more);
    if (!more) return 0;
    list->id = more;
    list->room = room;
  }
  list->id[list->n++] = id;
  return 1;
}

static int id_list_equal(const id_list *a, const id_list *b) {
  return a->n == b->n && (a->n == 0 || memcmp(a->id, b->id, a->n * sizeof *a->id) == 0);
}

/* Rows of one observation, array, scan and TIME. */
typedef struct stamp {
  int32_t observation, array, scan;
  double time_s;
  int64_t nrow;
  id_list field, ddid, state;
} stamp;

/* Open-addressing hash of stamps by key; `last` is tried first, as neighbouring rows share a stamp.
 */
typedef struct stamp_set {
  stamp *stamps;
  size_t n, room;
  uint32_t *slot; /* index + 1, 0 = free */
  size_t nslot, last;
} stamp_set;

static int stamp_is(const stamp *s, int32_t observation, int32_t array, int32_t scan,
                    double time_s) {
  return s->time_s == time_s && s->scan == scan && s->observation == observation &&
         s->array == array;
}

static size_t stamp_hash(int32_t observation, int32_t array, int32_t scan, double time_s) {
  uint64_t h;
  memcpy(&h, &time_s, sizeof h);
  h ^= ((uint64_t)(uint32_t)scan << 32 | (uint32_t)observation) * 0x9e3779b97f4a7c15u;
  h = (h ^ (h >> 31) ^ (uint32_t)array) * 0xbf58476d1ce4e5b9u;
  return (size_t)(h ^ (h >> 29));
}

static int stamp_set_grow(stamp_set *set) {
  const size_t room = set->room ? 2 * set->room : 1024, nslot = 4 * room;
  stamp *stamps = realloc(set->stamps, room * sizeof *stamps);
  if (!stamps) return 0;
  set->stamps = stamps;
  uint32_t *slot = calloc(nslot, sizeof *slot);
  if (!slot) return 0;
  for (size_t i = 0; i < set->n; i++) {
    const stamp *s = &stamps[i];
    size_t at = stamp_hash(s->observation, s->array, s->scan, s->time_s) % nslot;
    while (slot[at]) at = (at + 1) % nslot;
    slot[at] = (uint32_t)i + 1;
  }
  free(set->slot);
  set->slot = slot;
  set->nslot = nslot;
  set->room = room;
  return 1;
}

/* The stamp of a row, made when it is new; NULL without memory. */
static stamp *stamp_of(stamp_set *set, int32_t observation, int32_t array, int32_t scan,
                       double time_s) {
  if (set->n && stamp_is(&set->stamps[set->last], observation, array, scan, time_s))
    return &set->stamps[set->last];
  if (set->n == set->room && !stamp_set_grow(set)) return NULL;
  size_t at = stamp_hash(observation, array, scan, time_s) % set->nslot;
  for (; set->slot[at]; at = (at + 1) % set->nslot) {
    set->last = set->slot[at] - 1;
    if (stamp_is(&set->stamps[set->last], observation, array, scan, time_s))
      return &set->stamps[set->last];
  }
  set->last = set->n;
  set->slot[at] = (uint32_t)++set->n;
  set->stamps[set->last] =
      (stamp){.observation = observation, .array = array, .scan = scan, .time_s = time_s};
  return &set->stamps[set->last];
}

static void stamp_set_free(stamp_set *set) {
  for (size_t i = 0; i < set->n; i++) {
    free(set->stamps[i].field.id);
    free(set->stamps[i].ddid.id);
    free(set->stamps[i].state.id);
  }
  free(set->stamps);
  free(set->slot);
}

static int compare_stamps(const void *pa, const void *pb) {
  const stamp *a = pa, *b = pb;
  if (a->observation != b->observation) return a->observation < b->observation ? -1 : 1;
  if (a->array != b->array) return a->array < b->array ? -1 : 1;
  if (a->scan != b->scan) return a->scan < b->scan ? -1 : 1;
  return (a->time_s > b->time_s) - (a->time_s < b->time_s);
}

/* ---- the pass over the rows ---- */

typedef struct pass {
  const char *path;
  sheaf_table *table;
  sheaf_select *select;
  sheaf_rowsink *sink;
  sheaf_scans *scans;
  stamp_set stamps;
  uint8_t *baseline; /* [nant][nant] seen, ant1 <= ant2 */
  size_t nant;
  /* one window */
  uint8_t *keep;
  int32_t *scan, *ddid, *field, *state, *observation, *array, *ant1, *ant2;
  double *time_s;
  char **value; /* [nfield] of the sink's other columns; NULL where the key has it */
} pass;

static const char *const kIdColumns[] = {"SCAN_NUMBER",    "DATA_DESC_ID", "FIELD_ID", "STATE_ID",
                                         "OBSERVATION_ID", "ARRAY_ID",     "ANTENNA1", "ANTENNA2"};

static int pass_read(pass *p, int64_t row0, int64_t n, sheaf_error *err) {
  int32_t *to[] = {p->scan,        p->ddid,  p->field, p->state,
                   p->observation, p->array, p->ant1,  p->ant2};
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < sizeof to / sizeof *to; i++)
    rc = sheaf_table_get_ints(p->table, kIdColumns[i], row0, n, to[i], err);
  if (rc >= 0) rc = sheaf_table_get_range(p->table, "TIME", row0, n, p->time_s, err);
  for (size_t i = 0; rc >= 0 && p->value && i < p->sink->layout->nfield; i++)
    if (p->value[i])
      rc = sheaf_table_get_range(p->table, p->sink->layout->field[i].name, row0, n, p->value[i],
                                 err);
  if (rc >= 0 && p->select) rc = sheaf_select_test(p->select, row0, n, p->keep, err);
  return rc;
}

static int put_record(pass *p, int64_t row, int64_t at, sheaf_error *err) {
  const sheaf_rowlayout *layout = p->sink->layout;
  char *record = sheaf_recwriter_next(&p->sink->writer, err);
  if (!record) return SHEAF_ERR_IO;
  const sheaf_rowkey key = {.row = row,
                            .time_s = p->time_s[at],
                            .observation = p->observation[at],
                            .array = p->array[at],
                            .scan = p->scan[at],
                            .state = p->state[at],
                            .field = p->field[at],
                            .ddid = p->ddid[at],
                            .antenna1 = p->ant1[at],
                            .antenna2 = p->ant2[at],
                            .source = p->sink->source};
  memcpy(record, &key, sizeof key);
  memset(record + sizeof key, 0, layout->size - sizeof key);
  for (size_t i = 0; i < layout->nfield; i++) {
    const sheaf_rowfield *f = &layout->field[i];
    if (p->value[i]) memcpy(record + f->offset, p->value[i] + (size_t)at * f->size, f->size);
  }
  return 0;
}

static int grow_baselines(pass *p, int32_t most) {
  const size_t nant = (size_t)most + 16;
  uint8_t *seen = calloc(nant * nant, 1);
  if (!seen) return 0;
  for (size_t i = 0; i < p->nant; i++) memcpy(seen + i * nant, p->baseline + i * p->nant, p->nant);
  free(p->baseline);
  p->baseline = seen;
  p->nant = nant;
  return 1;
}

static int bad_row(const pass *p, int64_t row, int64_t at, sheaf_error *err) {
  if (p->ddid[at] < 0 || (size_t)p->ddid[at] >= p->scans->nddid)
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: row %lld has DATA_DESC_ID %d; DATA_DESCRIPTION has %zu rows", p->path,
                      (long long)row, p->ddid[at], p->scans->nddid);
  if (p->ant1[at] < 0 || p->ant2[at] < 0 || p->ant1[at] >= MOST_ANTENNAS ||
      p->ant2[at] >= MOST_ANTENNAS)
    return sheaf_fail(
        err, SHEAF_ERR_DATA,
        "%s: row %lld has antennas %d and %d; that cannot be (at most 8192 are possible)", p->path,
        (long long)row, p->ant1[at], p->ant2[at]);
  return 0;
}

static int count_row(pass *p, int64_t row, int64_t at, sheaf_error *err) {
  if (bad_row(p, row, at, err) < 0) return SHEAF_ERR_DATA;
  const int32_t lo = p->ant1[at] < p->ant2[at] ? p->ant1[at] : p->ant2[at];
  const int32_t hi = p->ant1[at] < p->ant2[at] ? p->ant2[at] : p->ant1[at];
  stamp *s = stamp_of(&p->stamps, p->observation[at], p->array[at], p->scan[at], p->time_s[at]);
  if (!s || !id_list_add(&s->field, p->field[at]) || !id_list_add(&s->ddid, p->ddid[at]) ||
      !id_list_add(&s->state, p->state[at]) || ((size_t)hi >= p->nant && !grow_baselines(p, hi)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: counting rows", p->path);
  s->nrow++;
  p->scans->nrow++;
  p->scans->ddid_nrow[p->ddid[at]]++;
  p->baseline[(size_t)lo * p->nant + (size_t)hi] = 1;
  return p->sink ? put_record(p, row, at, err) : 0;
}

static int pass_run(pass *p, sheaf_error *err) {
  const int64_t nrow = sheaf_table_nrow(p->table);
  for (int64_t row0 = 0; row0 < nrow; row0 += WINDOW) {
    const int64_t n = nrow - row0 < WINDOW ? nrow - row0 : WINDOW;
    int rc = sheaf_cancel_check(err);
    if (rc >= 0) rc = pass_read(p, row0, n, err);
    for (int64_t i = 0; rc >= 0 && i < n; i++)
      if (p->keep[i]) rc = count_row(p, row0 + i, i, err);
    if (rc < 0) return rc;
  }
  return 0;
}

/* ---- from timestamps to sub-scans and lists ---- */

static int same_state(const stamp *a, const stamp *b) {
  return a->observation == b->observation && a->array == b->array && a->scan == b->scan &&
         id_list_equal(&a->field, &b->field) && id_list_equal(&a->ddid, &b->ddid) &&
         id_list_equal(&a->state, &b->state);
}

/* Takes the stamp's list of data descriptions. */
static sheaf_subscan new_subscan(stamp *s) {
  sheaf_subscan sub = {.scan = s->scan,
                       .field = s->field.id[0],
                       .state = s->state.id[0],
                       .begin_s = s->time_s,
                       .nddid = s->ddid.n,
                       .ddid = malloc(s->ddid.n * sizeof *sub.ddid)};
  if (sub.ddid) memcpy(sub.ddid, s->ddid.id, s->ddid.n * sizeof *sub.ddid);
  return sub;
}

static int collect_subscans(pass *p, sheaf_error *err) {
  sheaf_scans *scans = p->scans;
  stamp *stamps = p->stamps.stamps;
  const size_t n = p->stamps.n;
  if (n) qsort(stamps, n, sizeof *stamps, compare_stamps);
  scans->subscans = calloc(n + 1, sizeof *scans->subscans);
  if (!scans->subscans) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: %zu timestamps", p->path, n);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || !same_state(&stamps[i - 1], &stamps[i])) {
      scans->subscans[scans->nsubscan] = new_subscan(&stamps[i]);
      if (!scans->subscans[scans->nsubscan++].ddid)
        return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: %zu timestamps", p->path, n);
    }
    sheaf_subscan *last = &scans->subscans[scans->nsubscan - 1];
    last->nrow += stamps[i].nrow;
    last->end_s = stamps[i].time_s;
  }
  return 0;
}

static int collect_baselines(pass *p, sheaf_error *err) {
  sheaf_scans *scans = p->scans;
  size_t n = 0;
  for (size_t i = 0; i < p->nant * p->nant; i++) n += p->baseline[i];
  scans->baseline = malloc((n + 1) * 2 * sizeof *scans->baseline);
  if (!scans->baseline) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: %zu baselines", p->path, n);
  for (size_t i = 0; i < p->nant; i++)
    for (size_t j = i; j < p->nant; j++)
      if (p->baseline[i * p->nant + j]) {
        scans->baseline[2 * scans->nbaseline] = (int32_t)i;
        scans->baseline[2 * scans->nbaseline++ + 1] = (int32_t)j;
      }
  return 0;
}

static int values_open(pass *p, sheaf_error *err) {
  const sheaf_rowlayout *layout = p->sink->layout;
  p->value = calloc(layout->nfield + 1, sizeof *p->value);
  int ok = p->value != NULL;
  for (size_t i = 0; ok && i < layout->nfield; i++)
    if (!layout->field[i].in_key)
      ok = (p->value[i] = malloc(WINDOW * layout->field[i].size)) != NULL;
  return ok ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: row window", p->path);
}

static int pass_open(pass *p, sheaf_error *err) {
  sheaf_description *descs = NULL;
  const int rc = sheaf_descriptions_read(p->path, &descs, &p->scans->nddid, err);
  free(descs);
  if (rc < 0) return rc;
  int32_t **ints[] = {&p->scan,        &p->ddid,  &p->field, &p->state,
                      &p->observation, &p->array, &p->ant1,  &p->ant2};
  int ok = 1;
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
    ok &= (*ints[i] = malloc(WINDOW * sizeof(int32_t))) != NULL;
  p->time_s = malloc(WINDOW * sizeof *p->time_s);
  p->keep = malloc(WINDOW);
  p->scans->ddid_nrow = calloc(p->scans->nddid + 1, sizeof *p->scans->ddid_nrow);
  if (!ok || !p->time_s || !p->keep || !p->scans->ddid_nrow)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: row window", p->path);
  memset(p->keep, 1, WINDOW);
  if (p->sink && values_open(p, err) < 0) return SHEAF_ERR_NOMEM;
  return sheaf_table_open(&p->table, p->path, 0, err);
}

static void pass_close(pass *p) {
  int32_t *ints[] = {p->scan,        p->ddid,  p->field, p->state,
                     p->observation, p->array, p->ant1,  p->ant2};
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) free(ints[i]);
  for (size_t i = 0; p->value && i < p->sink->layout->nfield; i++) free(p->value[i]);
  free(p->value);
  free(p->time_s);
  free(p->keep);
  free(p->baseline);
  stamp_set_free(&p->stamps);
  sheaf_table_close(p->table);
}

int sheaf_scans_read(sheaf_scans *scans, const char *ms_path, sheaf_select *select,
                     sheaf_rowsink *sink, sheaf_error *err) {
  *scans = (sheaf_scans){0};
  pass p = {.path = ms_path, .select = select, .sink = sink, .scans = scans};
  if (select && sheaf_select_all(select)) p.select = NULL;
  int rc = pass_open(&p, err);
  if (rc >= 0) rc = pass_run(&p, err);
  if (rc >= 0) rc = collect_subscans(&p, err);
  if (rc >= 0) rc = collect_baselines(&p, err);
  pass_close(&p);
  if (rc < 0) sheaf_scans_free(scans);
  return rc;
}

void sheaf_scans_free(sheaf_scans *scans) {
  for (size_t i = 0; i < scans->nsubscan; i++) free(scans->subscans[i].ddid);
  free(scans->subscans);
  free(scans->ddid_nrow);
  free(scans->baseline);
  *scans = (sheaf_scans){0};
}

static int compare_int32(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

int sheaf_scans_antennas_listed(const sheaf_scans *scans, const sheaf_ids *antennas) {
  for (size_t i = 0; i < 2 * scans->nbaseline; i++)
    if (!antennas->n || !bsearch(&scans->baseline[i], antennas->id, antennas->n,
                                 sizeof *antennas->id, compare_int32))
      return 0;
  return 1;
}

static int is_pair(const int32_t *one, int32_t a, int32_t b) {
  return (one[0] == a && one[1] == b) || (one[0] == b && one[1] == a);
}

int sheaf_scans_baselines_listed(const sheaf_scans *scans, const int32_t *pair, size_t n) {
  for (size_t i = 0; i < scans->nbaseline; i++) {
    const int32_t *one = scans->baseline + 2 * i;
    size_t k = 0;
    while (k < n && !is_pair(pair + 2 * k, one[0], one[1])) k++;
    if (k == n) return 0;
  }
  return 1;
}

int sheaf_scans_numbers(const sheaf_scans *scans, int32_t **list, size_t *n, sheaf_error *err) {
  *n = 0;
  *list = malloc((scans->nsubscan + 1) * sizeof **list);
  if (!*list) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%zu scans", scans->nsubscan);
  for (size_t i = 0; i < scans->nsubscan; i++) (*list)[i] = scans->subscans[i].scan;
  qsort(*list, scans->nsubscan, sizeof **list, compare_int32);
  for (size_t i = 0; i < scans->nsubscan; i++)
    if (i == 0 || (*list)[i] != (*list)[*n - 1]) (*list)[(*n)++] = (*list)[i];
  return 0;
}

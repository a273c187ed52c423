/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "task/tsys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "kernel/interpolate.h"
#include "kernel/weights.h"
#include "ms/solutions.h"

enum { NPAR = 2 };

/* How interp was understood. */
typedef struct interpolation {
  sheaf_interpolation time, frequency;
  int per_observation, per_scan, flags, relative;
} interpolation;

/* Factors of one antenna and window, and what they were computed for. */
typedef struct entry {
  float *factors;
  sheaf_tsys_row at;
} entry;

struct sheaf_tsys {
  const sheaf_setup *setup;
  sheaf_solutions solutions;
  char table[4096];
  interpolation how;
  int by_channel;
  int32_t *field_map; /* table's field of each field of the MS; NULL: fields play no part */
  size_t nfield;
  int32_t *spw_map;  /* table's window of each window of the MS */
  double **freq_ghz; /* of the MS's channels, by window; as the interpolation wants them */
  double **freq_in;  /* of the table's channels [Hz], by the table's window */
  entry *entries;    /* [nspw of the MS][nantenna] */
  size_t nantenna;
  /* Space for one computation. */
  const sheaf_solution **chosen;
  const float **values;
  const uint8_t **flags;
  float *times, *value, *out;
  uint8_t *flag, *out_flag;
  double *scratch;
};

/* ---- parameters --------------------------------------------------------------------------------
 */

static int starts(const char *text, const char *word) {
  return strncmp(text, word, strlen(word)) == 0;
}

static int refuse_interp(const char *interp, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "interp='%s': must be 'TIME' or 'TIME,FREQ'. TIME is nearest, linear or cubic, "
                    "with perobs or "
                    "perscan behind it or not; FREQ is nearest, linear, cubic or spline, with "
                    "flag, rel or relflag "
                    "behind it or not",
                    interp);
}

/* Length of the method's word at the start of text, 0 when there is none. */
static size_t read_method(const char *text, int spline, sheaf_interpolation *method) {
  static const char *const names[] = {"nearest", "linear", "cubic", "spline"};
  for (int i = 0; i < (spline ? 4 : 3); i++)
    if (starts(text, names[i])) {
      *method = (sheaf_interpolation)i;
      return strlen(names[i]);
    }
  return 0;
}

static int parse_interp(const char *interp, interpolation *how, sheaf_error *err) {
  char time[64] = "", frequency[64] = "";
  const char *comma = strchr(interp, ',');
  *how = (interpolation){.time = SHEAF_INTERPOLATE_LINEAR, .frequency = SHEAF_INTERPOLATE_LINEAR};
  snprintf(time, sizeof time, "%.*s", (int)strcspn(interp, ","), interp);
  if (comma) snprintf(frequency, sizeof frequency, "%s", comma + 1);
  const char *rest = time;
  if (*time) {
    const size_t n = read_method(time, 0, &how->time);
    rest = time + n;
    how->per_observation = !strcmp(rest, "perobs");
    how->per_scan = !strcmp(rest, "perscan");
    if (n == 0 || (*rest && !how->per_observation && !how->per_scan))
      return refuse_interp(interp, err);
  }
  if (*frequency) {
    const size_t n = read_method(frequency, 1, &how->frequency);
    rest = frequency + n;
    how->relative = starts(rest, "rel");
    if (how->relative) rest += 3;
    how->flags = !strcmp(rest, "flag");
    if (n == 0 || (*rest && !how->flags)) return refuse_interp(interp, err);
  }
  return 0;
}

/* spwmap is a list, or one number. */
static json_int_t map_entry(const json_t *value, size_t i) {
  return json_integer_value(json_is_array(value) ? json_array_get(value, i) : value);
}

static int map_windows(sheaf_tsys *t, const json_t *map, sheaf_error *err) {
  const size_t nspw = t->setup->nspw, ncal = t->solutions.nspw;
  const size_t n = json_is_integer(map) ? 1 : json_array_size(map);
  const json_int_t first = n ? map_entry(map, 0) : -1;
  t->spw_map = calloc(nspw + 1, sizeof *t->spw_map);
  if (!t->spw_map) return sheaf_fail(err, SHEAF_ERR_NOMEM, "spwmap: out of memory");
  for (size_t i = 0; i < nspw; i++) t->spw_map[i] = (int32_t)i;
  if (n == 0 || (n == 1 && first == -1)) return 0;
  if (n > nspw)
    return sheaf_fail(
        err, SHEAF_ERR_ARG,
        "Specified spwmap has more elements (%zu) than the number of spectral windows "
        "in the MS (%zu).",
        n, nspw);
  if (first == -999) { /* the first window that has solutions serves all */
    size_t used = 0;
    while (used < ncal && !t->solutions.spw[used].used) used++;
    for (size_t i = 0; i < nspw; i++) t->spw_map[i] = (int32_t)used;
    return 0;
  }
  for (size_t i = 0; i < n; i++) {
    const json_int_t to = map_entry(map, i);
    if (to < 0 || (size_t)to >= ncal)
      return sheaf_fail(err, SHEAF_ERR_ARG,
                        "spwmap: %lld is no spectral window of %s, which has 0~%zu", (long long)to,
                        t->table, ncal - 1);
    t->spw_map[i] = (int32_t)to;
  }
  for (size_t i = 1; n == 1 && i < nspw; i++) t->spw_map[i] = t->spw_map[0];
  return 0;
}

/* Solutions are sought by observation only when table and MS have the same observations; CASA's
 * rule. */
static void check_observations(sheaf_tsys *t, int tell) {
  size_t n = 0;
  uint8_t *seen = calloc(t->solutions.nobservation + 1, 1);
  if (!t->how.per_observation || !seen) {
    free(seen);
    return;
  }
  for (size_t i = 0; i < t->solutions.n; i++) {
    const int32_t id = t->solutions.list[i].observation;
    if (id < 0 || (size_t)id >= t->solutions.nobservation || seen[id]) continue;
    seen[id] = 1;
    n++;
  }
  free(seen);
  if (n > 1 && n == t->solutions.nobservation && n == t->setup->nobservation) return;
  t->how.per_observation = 0;
  if (!tell) return;
  if (n <= 1)
    sheaf_log(SHEAF_LOG_WARN, "Only one ObsId found in %s; ignoring 'perobs' interpolation.",
              t->table);
  else
    sheaf_log(SHEAF_LOG_WARN,
              "Multiple ObsIds found in %s, but they do not match the MS ObsIds; turning off "
              "'perobs'.",
              t->table);
}

static int ascending(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static int map_fields(sheaf_tsys *t, const char *vis, int tell, sheaf_error *err) {
  int32_t *ids = calloc(t->solutions.n + 1, sizeof *ids);
  size_t n = 0;
  if (!ids) return sheaf_fail(err, SHEAF_ERR_NOMEM, "gainfield: out of memory");
  for (size_t i = 0; i < t->solutions.n; i++) ids[i] = t->solutions.list[i].field;
  qsort(ids, t->solutions.n, sizeof *ids, ascending);
  for (size_t i = 0; i < t->solutions.n; i++)
    if (n == 0 || ids[i] != ids[n - 1]) ids[n++] = ids[i];
  const int rc = sheaf_fields_nearest(vis, t->table, ids, n, &t->field_map, &t->nfield, err);
  free(ids);
  for (size_t i = 0; rc >= 0 && tell && i < t->nfield; i++)
    sheaf_log(SHEAF_LOG_INFO, "Field %zu: solutions of field %d of %s", i, (int)t->field_map[i],
              t->table);
  return rc;
}

static int read_solutions(sheaf_tsys *t, const char *gainfield, sheaf_error *err) {
  int32_t *fields = NULL;
  size_t n = 0;
  char type[64];
  int rc = sheaf_solutions_type(t->table, type, sizeof type, err);
  if (rc >= 0 && !strcasestr(type, "TSYS"))
    rc =
        sheaf_fail(err, SHEAF_ERR_ARG,
                   "tsystable='%s': is a table of type '%s', not of system temperatures ('B TSYS')",
                   t->table, type);
  if (rc < 0) return rc;
  if (*gainfield && strcmp(gainfield, "nearest")) {
    rc = sheaf_fields_parse(t->table, gainfield, &fields, &n, err);
    if (rc < 0) return rc;
  }
  rc = sheaf_solutions_read(&t->solutions, t->table, NPAR, fields, n, err);
  free(fields);
  return rc == SHEAF_ERR_EMPTY && err ? err->code = SHEAF_ERR_ARG : rc;
}

/* ---- frequencies and space ---------------------------------------------------------------------
 */

/* Relative: from the mean, and rising. */
static void make_relative(double *f, int64_t n, double mean) {
  const double sign = n > 1 && f[0] > f[1] ? -1.0 : 1.0;
  for (int64_t i = 0; i < n; i++) f[i] = (f[i] - mean) * sign;
}

static double mean_of(const double *f, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += f[i];
  return n ? sum / (double)n : 0;
}

static double *copy_frequencies(const double *hz, int64_t n, double unit, int relative) {
  double *f = calloc((size_t)n + 1, sizeof *f);
  if (!f) return NULL;
  for (int64_t i = 0; i < n; i++) f[i] = hz[i] / unit;
  if (relative) make_relative(f, n, mean_of(hz, n) / unit);
  return f;
}

static int prepare_frequencies(sheaf_tsys *t, sheaf_error *err) {
  int ok = 1;
  t->freq_ghz = calloc(t->setup->nspw + 1, sizeof *t->freq_ghz);
  t->freq_in = calloc(t->solutions.nspw + 1, sizeof *t->freq_in);
  for (size_t i = 0; t->freq_ghz && ok && i < t->setup->nspw; i++) {
    const sheaf_window *w = &t->setup->spw[i];
    ok = (t->freq_ghz[i] = copy_frequencies(w->freq_hz, w->nchan, 1e9, t->how.relative)) != NULL;
  }
  for (size_t i = 0; t->freq_in && ok && i < t->solutions.nspw; i++) {
    const sheaf_solutions_window *w = &t->solutions.spw[i];
    ok = (t->freq_in[i] = copy_frequencies(w->freq_hz, w->nchan, 1.0, t->how.relative)) != NULL;
  }
  return ok && t->freq_ghz && t->freq_in
             ? 0
             : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", t->table);
}

/* Most solutions of one antenna and window. */
static size_t longest_series(const sheaf_solutions *s) {
  size_t longest = 0, n = 0;
  for (size_t i = 0; i < s->n; i++) {
    const sheaf_solution *a = &s->list[i], *b = i ? a - 1 : a;
    n = a->spw == b->spw && a->antenna == b->antenna ? n + 1 : 1;
    if (n > longest) longest = n;
  }
  return longest;
}

static int prepare_space(sheaf_tsys *t, sheaf_error *err) {
  const size_t n = longest_series(&t->solutions) + 1;
  size_t in = 1, out = 1;
  for (size_t i = 0; i < t->solutions.nspw; i++)
    if ((size_t)t->solutions.spw[i].nchan > in) in = (size_t)t->solutions.spw[i].nchan;
  for (size_t i = 0; i < t->setup->nspw; i++)
    if ((size_t)t->setup->spw[i].nchan > out) out = (size_t)t->setup->spw[i].nchan;
  t->nantenna = t->solutions.nantenna;
  t->entries = calloc(t->setup->nspw * (t->nantenna + 1) + 1, sizeof *t->entries);
  t->chosen = calloc(n, sizeof *t->chosen);
  t->values = calloc(n, sizeof *t->values);
  t->flags = calloc(n, sizeof *t->flags);
  t->times = calloc(n, sizeof *t->times);
  t->value = calloc(NPAR * in, sizeof *t->value);
  t->flag = calloc(NPAR * in, 1);
  t->out = calloc(NPAR * out, sizeof *t->out);
  t->out_flag = calloc(NPAR * out, 1);
  t->scratch = calloc(SHEAF_INTERPOLATE_SCRATCH(in), sizeof *t->scratch);
  return t->entries && t->chosen && t->values && t->flags && t->times && t->value && t->flag &&
                 t->out && t->out_flag && t->scratch
             ? 0
             : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", t->table);
}

/* Windows that the table does not serve, and those it cannot serve as asked. */
static void tell_windows(const sheaf_tsys *t, int tell) {
  char list[400] = "";
  for (size_t i = 0; tell && i < t->setup->nspw; i++) {
    if (!sheaf_tsys_serves(t, (int32_t)i)) {
      snprintf(list + strlen(list), sizeof list - strlen(list), " %zu", i);
      continue;
    }
    const int64_t n = t->solutions.spw[t->spw_map[i]].nchan;
    const int many = t->how.frequency >= SHEAF_INTERPOLATE_CUBIC ? 4 : 2;
    if (t->how.frequency != SHEAF_INTERPOLATE_NEAREST && n < many)
      sheaf_log(
          SHEAF_LOG_WARN,
          "%s: window %d has %lld channel(s), too few for the interpolation in frequency that "
          "interp asks for; using %s for window %zu of the MS",
          t->table, (int)t->spw_map[i], (long long)n, n < 2 ? "nearest" : "linear", i);
  }
  if (*list)
    sheaf_log(
        SHEAF_LOG_WARN,
        "The following MS spws have no corresponding cal spws in %s:%s; their weights stay as "
        "they are",
        t->table, list);
}

int sheaf_tsys_open(sheaf_tsys **tsys, const char *vis, const sheaf_setup *setup, const json_t *par,
                    int by_channel, int tell, sheaf_error *err) {
  const char *gainfield = sheaf_value_str(par, "gainfield", "");
  const char *table = sheaf_value_str(par, "tsystable", "");
  sheaf_tsys *t = calloc(1, sizeof *t);
  *tsys = NULL;
  if (!t) return sheaf_fail(err, SHEAF_ERR_NOMEM, "tsystable: out of memory");
  int rc = 0;
  t->setup = setup;
  t->by_channel = by_channel;
  if (!*table || !sheaf_path_exists(table)) {
    rc = sheaf_fail(err, SHEAF_ERR_NOTFOUND, "Tsys calibration table '%s' not found", table);
    goto done;
  }
  SHEAF_TRY(sheaf_path_absolute(table, t->table, sizeof t->table, err));
  SHEAF_TRY(parse_interp(sheaf_value_str(par, "interp", ""), &t->how, err));
  SHEAF_TRY(read_solutions(t, gainfield, err));
  SHEAF_TRY(map_windows(t, json_object_get(par, "spwmap"), err));
  check_observations(t, tell);
  if (!strcmp(gainfield, "nearest")) SHEAF_TRY(map_fields(t, vis, tell, err));
  SHEAF_TRY(prepare_frequencies(t, err));
  SHEAF_TRY(prepare_space(t, err));
  tell_windows(t, tell);
  *tsys = t;
  return 0;
done:
  sheaf_tsys_close(t);
  return rc;
}

void sheaf_tsys_close(sheaf_tsys *t) {
  if (!t) return;
  for (size_t i = 0; t->freq_ghz && i < t->setup->nspw; i++) free(t->freq_ghz[i]);
  for (size_t i = 0; t->freq_in && i < t->solutions.nspw; i++) free(t->freq_in[i]);
  for (size_t i = 0; t->entries && i < t->setup->nspw * t->nantenna; i++)
    free(t->entries[i].factors);
  free(t->freq_ghz);
  free(t->freq_in);
  free(t->entries);
  free(t->field_map);
  free(t->spw_map);
  free(t->chosen);
  free(t->values);
  free(t->flags);
  free(t->times);
  free(t->value);
  free(t->flag);
  free(t->out);
  free(t->out_flag);
  free(t->scratch);
  sheaf_solutions_free(&t->solutions);
  free(t);
}

int sheaf_tsys_serves(const sheaf_tsys *t, int32_t spw) {
  if (spw < 0 || (size_t)spw >= t->setup->nspw) return 0;
  const int32_t to = t->spw_map[spw];
  return (size_t)to < t->solutions.nspw && t->solutions.spw[to].used;
}

/* ---- factors -----------------------------------------------------------------------------------
 */

/* First solution of an antenna and window in the sorted list. */
static size_t first_of(const sheaf_solutions *s, int32_t spw, int32_t antenna) {
  size_t low = 0, high = s->n;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    const sheaf_solution *x = &s->list[mid];
    if (x->spw < spw || (x->spw == spw && x->antenna < antenna))
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* Solutions that may serve the row, in order of time; returns how many. */
static int64_t choose(sheaf_tsys *t, const sheaf_tsys_row *row, int32_t antenna) {
  const sheaf_solutions *s = &t->solutions;
  const int32_t spw = t->spw_map[row->spw];
  int64_t n = 0;
  for (size_t i = first_of(s, spw, antenna); i < s->n; i++) {
    const sheaf_solution *x = &s->list[i];
    if (x->spw != spw || x->antenna != antenna) break;
    if (t->field_map && ((size_t)row->field >= t->nfield || x->field != t->field_map[row->field]))
      continue;
    if (t->how.per_observation && x->observation != row->observation) continue;
    if (t->how.per_scan && x->scan != row->scan) continue;
    t->chosen[n] = x;
    t->values[n] = x->value;
    t->flags[n++] = x->flag;
  }
  return n;
}

/* Temperatures at the row's time and the MS's frequencies, in out and out_flag. */
static void interpolate(sheaf_tsys *t, const sheaf_tsys_row *row, int64_t n) {
  const sheaf_solutions_window *w = &t->solutions.spw[t->spw_map[row->spw]];
  const int64_t nout = t->setup->spw[row->spw].nchan;
  const double reference = floor(t->chosen[0]->time_s - 1.0);
  for (int64_t i = 0; i < n; i++) t->times[i] = (float)(t->chosen[i]->time_s - reference);
  const sheaf_series series = {t->times, t->values, t->flags, n, NPAR * w->nchan};
  sheaf_interpolate_time(&series, t->how.time, (float)(row->time_s - reference), t->value, t->flag);
  for (int p = 0; p < NPAR; p++) {
    const sheaf_spectrum in = {t->freq_in[t->spw_map[row->spw]], t->value + p, t->flag + p,
                               w->nchan, NPAR};
    sheaf_interpolate_frequency(&in, t->how.frequency, t->how.flags, t->freq_ghz[row->spw], nout,
                                t->scratch, t->out + p, t->out_flag + p);
  }
}

static void compute(sheaf_tsys *t, const sheaf_tsys_row *row, int32_t antenna, float *factors) {
  const size_t nchan = (size_t)t->setup->spw[row->spw].nchan;
  const int64_t n = choose(t, row, antenna);
  if (n)
    interpolate(t, row, n);
  else
    memset(t->out_flag, 1, NPAR * nchan);
  if (t->by_channel)
    sheaf_weight_scale_channels(t->out, t->out_flag, nchan, factors);
  else
    sheaf_weight_scale_mean(t->out, t->out_flag, nchan, factors);
}

static int same(const sheaf_tsys *t, const sheaf_tsys_row *a, const sheaf_tsys_row *b) {
  return a->time_s == b->time_s && (!t->field_map || a->field == b->field) &&
         (!t->how.per_observation || a->observation == b->observation) &&
         (!t->how.per_scan || a->scan == b->scan);
}

const float *sheaf_tsys_factors(sheaf_tsys *t, const sheaf_tsys_row *row, int32_t antenna,
                                sheaf_error *err) {
  if (antenna < 0 || (size_t)antenna >= t->nantenna || row->field < 0) {
    sheaf_fail(err, SHEAF_ERR_DATA, "%s has %zu antennas; the MS has a row of antenna %d", t->table,
               t->nantenna, (int)antenna);
    return NULL;
  }
  entry *e = &t->entries[(size_t)row->spw * t->nantenna + (size_t)antenna];
  const size_t n = t->by_channel ? NPAR * (size_t)t->setup->spw[row->spw].nchan : NPAR;
  const int fresh = e->factors == NULL;
  if (fresh && !(e->factors = calloc(n + 1, sizeof *e->factors))) {
    sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", t->table);
    return NULL;
  }
  if (fresh || !same(t, &e->at, row)) {
    compute(t, row, antenna, e->factors);
    e->at = *row;
  }
  return e->factors;
}

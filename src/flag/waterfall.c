/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * waterfall.c - what pictures of flags before and after a run show: a few baselines of each scan,
 * field and window, and counts of all flags. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "flag/plotchild.h"
#include "flag/plots.h"
#include "ms/setup.h"
#include "table/table.h"

enum {
  MOST_PICTURES = 12,
  MOST_BASELINES = 3,
  MOST_CORRS = 2,
  MOST_TIMES = 400, /* of a panel; more are thinned out */
  MOST_CHANNELS = 512,
  WINDOW = 1 << 13
};

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for pictures");
}

/* The rows of one baseline in one picture. */
typedef struct baseline {
  int32_t a, b;
  int64_t *rows, n, room;
  double first_s, last_s;
  int64_t step, ntime, nchan, ncorr, chan_step; /* ntime: of rows, ncorr and nchan: of a cell */
  int corr[MOST_CORRS], nshown;
  json_t *row; /* of the request */
} baseline;

typedef struct picture {
  int32_t scan, field, ddid;
  size_t n;
  baseline baseline[MOST_BASELINES];
} picture;

struct sheaf_flagplots {
  char vis[4096], column[64], directory[4096];
  int data, report;
  sheaf_table *table;
  sheaf_select *select;
  sheaf_setup setup;
  char **antennas, **fields;
  size_t nantenna, nfield;
  sheaf_stage scratch;
  FILE *arrays;
  size_t npicture;
  picture picture[MOST_PICTURES];
  json_t *before; /* counts */
};

/* ---- choosing ---- */

typedef struct keys {
  int32_t scan[WINDOW], field[WINDOW], ddid[WINDOW], a[WINDOW], b[WINDOW];
  double time_s[WINDOW];
  uint8_t keep[WINDOW];
} keys;

static int read_keys(sheaf_flagplots *p, int64_t row, int64_t n, keys *k, sheaf_error *err) {
  int rc;
  SHEAF_TRY(sheaf_table_get_ints(p->table, "SCAN_NUMBER", row, n, k->scan, err));
  SHEAF_TRY(sheaf_table_get_ints(p->table, "FIELD_ID", row, n, k->field, err));
  SHEAF_TRY(sheaf_table_get_ints(p->table, "DATA_DESC_ID", row, n, k->ddid, err));
  SHEAF_TRY(sheaf_table_get_ints(p->table, "ANTENNA1", row, n, k->a, err));
  SHEAF_TRY(sheaf_table_get_ints(p->table, "ANTENNA2", row, n, k->b, err));
  SHEAF_TRY(sheaf_table_get_range(p->table, "TIME", row, n, k->time_s, err));
  SHEAF_TRY(sheaf_select_test(p->select, row, n, k->keep, err));
done:
  return rc;
}

static picture *picture_of(sheaf_flagplots *p, const keys *k, int64_t i) {
  for (size_t j = 0; j < p->npicture; j++) {
    picture *q = &p->picture[j];
    if (q->scan == k->scan[i] && q->field == k->field[i] && q->ddid == k->ddid[i]) return q;
  }
  if (p->npicture == MOST_PICTURES) return NULL;
  picture *q = &p->picture[p->npicture++];
  *q = (picture){.scan = k->scan[i], .field = k->field[i], .ddid = k->ddid[i]};
  return q;
}

static baseline *baseline_of(picture *q, int32_t a, int32_t b) {
  for (size_t j = 0; j < q->n; j++)
    if (q->baseline[j].a == a && q->baseline[j].b == b) return &q->baseline[j];
  /* A cross-correlation takes the place of an auto-correlation. */
  for (size_t j = 0; j < q->n && a != b; j++) {
    baseline *old = &q->baseline[j];
    if (q->n < MOST_BASELINES || old->a != old->b) continue;
    free(old->rows);
    *old = (baseline){.a = a, .b = b};
    return old;
  }
  if (q->n == MOST_BASELINES) return NULL;
  q->baseline[q->n] = (baseline){.a = a, .b = b};
  return &q->baseline[q->n++];
}

static int add_row(baseline *b, int64_t row, double time_s, sheaf_error *err) {
  if (b->n == b->room) {
    const int64_t room = b->room ? 2 * b->room : 64;
    int64_t *rows = realloc(b->rows, (size_t)room * sizeof *rows);
    if (!rows) return no_memory(err);
    b->rows = rows;
    b->room = room;
  }
  if (b->n == 0) b->first_s = time_s;
  b->last_s = time_s;
  b->rows[b->n++] = row;
  return 0;
}

static int choose(sheaf_flagplots *p, sheaf_error *err) {
  const int64_t nrow = sheaf_table_nrow(p->table);
  keys *k = malloc(sizeof *k);
  int rc = k ? 0 : no_memory(err);
  for (int64_t row = 0; rc >= 0 && row < nrow; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    rc = read_keys(p, row, n, k, err);
    for (int64_t i = 0; rc >= 0 && i < n; i++) {
      picture *q = k->keep[i] ? picture_of(p, k, i) : NULL;
      baseline *b = q ? baseline_of(q, k->a[i], k->b[i]) : NULL;
      if (b) rc = add_row(b, row + i, k->time_s[i], err);
    }
  }
  free(k);
  return rc;
}

/* ---- panels ---- */

/* Leaves rows whose cells have the shape of the first, and no more than are drawn. */
static int thin_out(sheaf_flagplots *p, baseline *b, sheaf_error *err) {
  int64_t shape[SHEAF_TABLE_MAXDIM], other[SHEAF_TABLE_MAXDIM], n = 0;
  const int64_t step = (b->n + MOST_TIMES - 1) / MOST_TIMES;
  int ndim = 0;
  for (int64_t i = 0; i < b->n; i += step) {
    const int found =
        sheaf_table_cell_shape(p->table, p->column, b->rows[i], n ? other : shape, err);
    if (found < 0) return found;
    if (found != 2) continue;
    if (n && memcmp(shape, other, 2 * sizeof *shape) != 0) continue;
    ndim = found;
    b->rows[n++] = b->rows[i];
  }
  b->ntime = ndim ? n : 0;
  b->ncorr = ndim ? shape[0] : 0;
  b->nchan = ndim ? shape[1] : 0;
  b->chan_step = b->nchan ? (b->nchan + MOST_CHANNELS - 1) / MOST_CHANNELS : 1;
  b->nshown = b->ncorr > 1 ? 2 : 1;
  b->corr[0] = 0;
  b->corr[1] = (int)b->ncorr - 1; /* the other parallel hand */
  return 0;
}

static int64_t shown_channels(const baseline *b) {
  return (b->nchan + b->chan_step - 1) / b->chan_step;
}

/* Appends [corr][time][chan] of cells that were read: amplitudes, or flags. */
static int append(sheaf_flagplots *p, const baseline *b, const void *cells, int kind,
                  sheaf_error *err) {
  const float *real = cells;
  const uint8_t *flag = cells;
  for (int c = 0; c < b->nshown; c++)
    for (int64_t t = 0; t < b->ntime; t++)
      for (int64_t f = 0; f < b->nchan; f += b->chan_step) {
        const int64_t at = (t * b->nchan + f) * b->ncorr + b->corr[c];
        float amplitude = kind == SHEAF_COMPLEX ? hypotf(real[2 * at], real[2 * at + 1]) : 0;
        if (kind == SHEAF_FLOAT) amplitude = real[at];
        const size_t done = kind == SHEAF_BOOL ? fwrite(&flag[at], 1, 1, p->arrays)
                                               : fwrite(&amplitude, sizeof amplitude, 1, p->arrays);
        if (done != 1)
          return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "pictures: %s", p->scratch.path);
      }
  return 0;
}

/* Reads a column of a baseline and appends it; where it begins becomes the member `key`. */
static int take(sheaf_flagplots *p, baseline *b, const char *column, const char *key,
                sheaf_error *err) {
  sheaf_column about;
  if (!sheaf_table_column(p->table, column, &about))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "pictures: '%s' has no column %s", p->vis, column);
  if (about.type != SHEAF_COMPLEX && about.type != SHEAF_FLOAT && about.type != SHEAF_BOOL)
    return sheaf_fail(err, SHEAF_ERR_ARG, "pictures: column %s cannot be drawn", column);
  const int64_t ncell = b->ncorr * b->nchan;
  void *cells = malloc((size_t)(b->ntime * ncell) * sheaf_type_size(about.type) + 1);
  int rc = cells ? 0 : no_memory(err);
  while (rc >= 0 && ftell(p->arrays) % 8) fputc(0, p->arrays);
  if (rc >= 0) json_object_set_new(b->row, key, json_integer(ftell(p->arrays)));
  if (rc >= 0) rc = sheaf_table_get_cells(p->table, column, b->rows, b->ntime, ncell, cells, err);
  if (rc >= 0) rc = append(p, b, cells, about.type, err);
  free(cells);
  return rc;
}

static const char *name_of(char **names, size_t n, int32_t id) {
  return id >= 0 && (size_t)id < n ? names[id] : "?";
}

static int begin_baseline(sheaf_flagplots *p, baseline *b, sheaf_error *err) {
  int rc = thin_out(p, b, err);
  if (rc < 0 || b->ntime == 0) return rc;
  b->row = json_pack("{s:o, s:[i,I,I], s:I, s:f}", "name",
                     json_sprintf("%s&%s", name_of(p->antennas, p->nantenna, b->a),
                                  name_of(p->antennas, p->nantenna, b->b)),
                     "shape", b->nshown, (json_int_t)b->ntime, (json_int_t)shown_channels(b),
                     "nchan", (json_int_t)b->nchan, "span_s",
                     b->last_s > b->first_s ? b->last_s - b->first_s : 1.0);
  rc = b->row ? take(p, b, p->column, "data", err) : no_memory(err);
  return rc < 0 ? rc : take(p, b, "FLAG", "before", err);
}

static int each_baseline(sheaf_flagplots *p,
                         int (*visit)(sheaf_flagplots *p, baseline *b, sheaf_error *err),
                         sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < p->npicture; i++)
    for (size_t j = 0; rc >= 0 && j < p->picture[i].n; j++)
      rc = visit(p, &p->picture[i].baseline[j], err);
  return rc;
}

/* ---- counts of all flags ---- */

typedef struct tally {
  int64_t flagged, total;
} tally;

typedef struct tallies {
  tally *antenna; /* [nantenna] */
  tally **chan;   /* [nspw][nchan] */
  json_t *scan;   /* {scan: [flagged, total]} */
} tallies;

static void count_scan(json_t *scans, int32_t scan, int64_t flagged, int64_t total) {
  char name[16];
  snprintf(name, sizeof name, "%d", (int)scan);
  json_t *now = json_object_get(scans, name);
  if (now) {
    json_integer_set(json_array_get(now, 0), json_integer_value(json_array_get(now, 0)) + flagged);
    json_integer_set(json_array_get(now, 1), json_integer_value(json_array_get(now, 1)) + total);
  } else {
    json_object_set_new(scans, name, json_pack("[I, I]", (json_int_t)flagged, (json_int_t)total));
  }
}

static void count_cell(const sheaf_flagplots *p, tallies *t, const keys *k, int64_t i,
                       const int64_t shape[2], const uint8_t *flag) {
  const int32_t spw =
      k->ddid[i] >= 0 && (size_t)k->ddid[i] < p->setup.nddid ? p->setup.spw_of[k->ddid[i]] : -1;
  const int32_t antennas[2] = {k->a[i], k->b[i]};
  int64_t flagged = 0;
  for (int64_t f = 0; f < shape[1]; f++) {
    int64_t n = 0;
    for (int64_t c = 0; c < shape[0]; c++) n += flag[f * shape[0] + c];
    flagged += n;
    if (spw >= 0 && f < p->setup.spw[spw].nchan) {
      t->chan[spw][f].flagged += n;
      t->chan[spw][f].total += shape[0];
    }
  }
  const int64_t total = shape[0] * shape[1];
  for (int e = 0; e < (antennas[0] == antennas[1] ? 1 : 2); e++)
    if (antennas[e] >= 0 && (size_t)antennas[e] < p->nantenna) {
      t->antenna[antennas[e]].flagged += flagged;
      t->antenna[antennas[e]].total += total;
    }
  count_scan(t->scan, k->scan[i], flagged, total);
}

static int count_window(sheaf_flagplots *p, tallies *t, const keys *k, int64_t row, int64_t n,
                        uint8_t **cells, int64_t *room, sheaf_error *err) {
  for (int64_t i = 0; i < n; i++) {
    int64_t shape[SHEAF_TABLE_MAXDIM];
    const int64_t at = row + i;
    if (!k->keep[i]) continue;
    int rc = sheaf_table_cell_shape(p->table, "FLAG", at, shape, err);
    if (rc < 0) return rc;
    if (rc != 2) continue;
    if (shape[0] * shape[1] > *room) {
      free(*cells);
      *room = shape[0] * shape[1];
      if (!(*cells = malloc((size_t)*room))) return no_memory(err);
    }
    rc = sheaf_table_get_cells(p->table, "FLAG", &at, 1, shape[0] * shape[1], *cells, err);
    if (rc < 0) return rc;
    count_cell(p, t, k, i, shape, *cells);
  }
  return 0;
}

static json_t *tally_lists(const tally *t, size_t n) {
  json_t *flagged = json_array(), *total = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(flagged, json_integer(t[i].flagged));
    json_array_append_new(total, json_integer(t[i].total));
  }
  return json_pack("{s:o, s:o}", "flagged", flagged, "total", total);
}

static json_t *tallies_value(const sheaf_flagplots *p, const tallies *t) {
  json_t *names = json_array(),
         *scans = json_pack("{s:[], s:[], s:[]}", "names", "flagged", "total"),
         *spws = json_object(), *pair, *antenna = tally_lists(t->antenna, p->nantenna);
  const char *scan;
  for (size_t i = 0; i < p->nantenna; i++)
    json_array_append_new(names, json_string(p->antennas[i]));
  json_object_set_new(antenna, "names", names);
  json_object_foreach(t->scan, scan, pair) {
    json_array_append_new(json_object_get(scans, "names"), json_string(scan));
    json_array_append(json_object_get(scans, "flagged"), json_array_get(pair, 0));
    json_array_append(json_object_get(scans, "total"), json_array_get(pair, 1));
  }
  for (size_t s = 0; s < p->setup.nspw; s++) {
    char name[16];
    if (p->setup.spw[s].nchan == 0 || t->chan[s][0].total == 0) continue;
    snprintf(name, sizeof name, "%zu", s);
    json_object_set_new(spws, name, tally_lists(t->chan[s], (size_t)p->setup.spw[s].nchan));
  }
  return json_pack("{s:o, s:o, s:o}", "antenna", antenna, "scan", scans, "spw", spws);
}

static int tallies_make(tallies *t, const sheaf_flagplots *p, sheaf_error *err) {
  t->antenna = calloc(p->nantenna + 1, sizeof *t->antenna);
  t->chan = calloc(p->setup.nspw + 1, sizeof *t->chan);
  t->scan = json_object();
  int bad = !t->antenna || !t->chan || !t->scan;
  for (size_t s = 0; !bad && s < p->setup.nspw; s++)
    bad = !(t->chan[s] = calloc((size_t)p->setup.spw[s].nchan + 1, sizeof **t->chan));
  return bad ? no_memory(err) : 0;
}

static void tallies_free(tallies *t, const sheaf_flagplots *p) {
  for (size_t s = 0; t->chan && s < p->setup.nspw; s++) free(t->chan[s]);
  free(t->chan);
  free(t->antenna);
  json_decref(t->scan);
}

static int count_flags(sheaf_flagplots *p, json_t **value, sheaf_error *err) {
  const int64_t nrow = sheaf_table_nrow(p->table);
  tallies t = {0};
  uint8_t *cells = NULL;
  int64_t room = 0;
  keys *k = malloc(sizeof *k);
  int rc = k ? tallies_make(&t, p, err) : no_memory(err);
  for (int64_t row = 0; rc >= 0 && row < nrow; row += WINDOW) {
    const int64_t n = nrow - row < WINDOW ? nrow - row : WINDOW;
    rc = read_keys(p, row, n, k, err);
    if (rc >= 0) rc = count_window(p, &t, k, row, n, &cells, &room, err);
  }
  if (rc >= 0 && !(*value = tallies_value(p, &t))) rc = no_memory(err);
  tallies_free(&t, p);
  free(cells);
  free(k);
  return rc;
}

/* ---- before ---- */

static int read_antennas(sheaf_flagplots *p, sheaf_error *err) {
  char path[4200];
  sheaf_table *table;
  snprintf(path, sizeof path, "%s/ANTENNA", p->vis);
  int rc = sheaf_table_open(&table, path, 0, err);
  if (rc < 0) return rc;
  p->nantenna = (size_t)sheaf_table_nrow(table);
  p->antennas = calloc(p->nantenna + 1, sizeof *p->antennas);
  if (!p->antennas) rc = no_memory(err);
  for (size_t i = 0; rc >= 0 && i < p->nantenna; i++)
    rc = sheaf_table_get_text(table, "NAME", (int64_t)i, &p->antennas[i], err);
  sheaf_table_close(table);
  return rc;
}

static int open_all(sheaf_flagplots *p, const sheaf_flagplots_options *o, sheaf_error *err) {
  static const sheaf_selection everything = {0};
  char path[4200];
  int rc;
  if (mkdir(p->directory, 0777) < 0 && errno != EEXIST)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make the directory %s for pictures",
                            p->directory);
  SHEAF_TRY(sheaf_setup_read(&p->setup, p->vis, err));
  SHEAF_TRY(sheaf_setup_field_names(p->vis, &p->fields, &p->nfield, err));
  SHEAF_TRY(read_antennas(p, err));
  SHEAF_TRY(sheaf_table_open(&p->table, p->vis, 0, err));
  SHEAF_TRY(sheaf_select_open(&p->select, p->vis, o->selection ? o->selection : &everything, err));
  snprintf(path, sizeof path, "%s/drawing", p->directory);
  SHEAF_TRY(sheaf_stage_begin(&p->scratch, path, err));
  snprintf(path, sizeof path, "%s/arrays", p->scratch.path);
  p->arrays = fopen(path, "w");
  if (!p->arrays) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
done:
  return rc;
}

int sheaf_flagplots_before(sheaf_flagplots **plots, const sheaf_flagplots_options *options,
                           sheaf_error *err) {
  sheaf_flagplots *p = calloc(1, sizeof *p);
  *plots = NULL;
  int rc = p ? sheaf_plotchild_check(err) : no_memory(err);
  if (rc < 0) goto done;
  snprintf(p->vis, sizeof p->vis, "%s", options->vis);
  snprintf(p->column, sizeof p->column, "%s", options->column);
  snprintf(p->directory, sizeof p->directory, "%s", options->directory);
  p->data = options->data;
  p->report = options->report;
  SHEAF_TRY(open_all(p, options, err));
  if (p->data) SHEAF_TRY(choose(p, err));
  SHEAF_TRY(each_baseline(p, begin_baseline, err));
  if (p->report) SHEAF_TRY(count_flags(p, &p->before, err));
  *plots = p;
  return 0;
done:
  sheaf_flagplots_free(p);
  return rc;
}

/* ---- after ---- */

static int end_baseline(sheaf_flagplots *p, baseline *b, sheaf_error *err) {
  return b->row ? take(p, b, "FLAG", "after", err) : 0;
}

static json_t *corr_names(const sheaf_flagplots *p, const picture *q, const baseline *b) {
  static const char *const names[] = {"?",  "I",  "Q",  "U",  "V",  "RR", "RL",
                                      "LR", "LL", "XX", "XY", "YX", "YY"};
  json_t *list = json_array();
  const sheaf_polarization *pol = q->ddid >= 0 && (size_t)q->ddid < p->setup.nddid
                                      ? &p->setup.pol[p->setup.pol_of[q->ddid]]
                                      : NULL;
  for (int c = 0; c < b->nshown; c++) {
    const int32_t type = pol && (size_t)b->corr[c] < pol->ncorr ? pol->corr_type[b->corr[c]] : 0;
    json_array_append_new(list, json_string(type > 0 && type < 13 ? names[type] : "?"));
  }
  return list;
}

static void add_picture(const sheaf_flagplots *p, const picture *q, json_t *pictures) {
  json_t *rows = json_array();
  const baseline *shown = NULL;
  for (size_t j = 0; j < q->n; j++)
    if (q->baseline[j].row) {
      json_array_append(rows, q->baseline[j].row);
      shown = &q->baseline[j];
    }
  const int32_t spw =
      q->ddid >= 0 && (size_t)q->ddid < p->setup.nddid ? p->setup.spw_of[q->ddid] : -1;
  if (shown)
    json_array_append_new(
        pictures,
        json_pack("{s:s, s:o, s:o, s:o, s:O}", "kind", "waterfall", "file",
                  json_sprintf("scan%d_field%d_spw%d.png", (int)q->scan, (int)q->field, (int)spw),
                  "title",
                  json_sprintf("scan %d, field %s, spw %d, %s", (int)q->scan,
                               name_of(p->fields, p->nfield, q->field), (int)spw, p->column),
                  "correlations", corr_names(p, q, shown), "baselines", rows));
  json_decref(rows);
}

/* Thresholds as lists of [field or spw, …, value] by name. New reference. */
static json_t *threshold_lists(const json_t *report) {
  static const char *const names[] = {"timedev", "freqdev"};
  json_t *lists = json_object();
  for (int i = 0; i < 2; i++) {
    json_t *value = json_object_get(report, names[i]);
    json_t *plain = value ? sheaf_value_plain(value) : NULL;
    const json_t *first = json_array_get(plain, 0);
    if (json_array_size(first) == 3) json_object_set(lists, names[i], plain);
    json_decref(plain);
  }
  return lists;
}

static int add_report(sheaf_flagplots *p, const json_t *report, json_t *pictures,
                      sheaf_error *err) {
  json_t *after = NULL, *spws = json_array(), *value;
  const char *spw;
  const int rc = count_flags(p, &after, err);
  json_object_foreach(json_object_get(p->before, "spw"), spw, value)
      json_array_append_new(spws, json_string(spw));
  if (rc >= 0)
    json_array_append_new(
        pictures, json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:o}", "kind", "report", "file",
                            "report.png", "title", p->vis, "before", p->before, "after", after,
                            "spws", spws, "thresholds", threshold_lists(report)));
  json_decref(after);
  json_decref(spws);
  return rc;
}

static int publish_all(const sheaf_flagplots *p, const json_t *pictures, json_t *files,
                       sheaf_error *err) {
  size_t i, n;
  json_t *item;
  int rc = 0;
  json_array_foreach(pictures, i, item) {
    char from[4400], to[4400], *data;
    const char *name = sheaf_value_str(item, "file", "");
    snprintf(from, sizeof from, "%s/%s", p->scratch.path, name);
    snprintf(to, sizeof to, "%s/%s", p->directory, name);
    rc = sheaf_file_read(from, &data, &n, err);
    if (rc < 0) break;
    rc = sheaf_file_replace(to, data, n, err);
    free(data);
    if (rc < 0) break;
    json_array_append_new(files, json_string(to));
    sheaf_log(SHEAF_LOG_INFO, "Picture %s", to);
  }
  return rc;
}

int sheaf_flagplots_after(sheaf_flagplots *p, const json_t *thresholds, json_t **files,
                          sheaf_error *err) {
  json_t *pictures = json_array(), *request = json_pack("{s:O}", "pictures", pictures),
         *list = json_array();
  int rc = request && list ? 0 : no_memory(err);
  *files = NULL;
  /* The table is opened again: what other processes have written is to be seen. */
  sheaf_table_close(p->table);
  p->table = NULL;
  if (rc >= 0) rc = sheaf_table_open(&p->table, p->vis, 0, err);
  if (rc >= 0) rc = each_baseline(p, end_baseline, err);
  for (size_t i = 0; rc >= 0 && i < p->npicture; i++) add_picture(p, &p->picture[i], pictures);
  if (rc >= 0 && p->report) rc = add_report(p, thresholds, pictures, err);
  if (rc >= 0 && (fflush(p->arrays) || ferror(p->arrays)))
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "pictures: %s", p->scratch.path);
  if (rc >= 0 && json_array_size(pictures) > 0)
    rc = sheaf_plotchild_draw(p->scratch.path, request, err);
  if (rc >= 0) rc = publish_all(p, pictures, list, err);
  json_decref(pictures);
  json_decref(request);
  if (rc < 0)
    json_decref(list);
  else
    *files = list;
  return rc;
}

void sheaf_flagplots_free(sheaf_flagplots *p) {
  if (!p) return;
  for (size_t i = 0; i < p->npicture; i++)
    for (size_t j = 0; j < p->picture[i].n; j++) {
      free(p->picture[i].baseline[j].rows);
      json_decref(p->picture[i].baseline[j].row);
    }
  if (p->arrays) fclose(p->arrays);
  sheaf_stage_abandon(&p->scratch);
  sheaf_select_close(p->select);
  sheaf_table_close(p->table);
  for (size_t i = 0; p->antennas && i < p->nantenna; i++) free(p->antennas[i]);
  free(p->antennas);
  sheaf_setup_names_free(p->fields);
  sheaf_setup_free(&p->setup);
  json_decref(p->before);
  free(p);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/pass.h"

#include <stdlib.h>
#include <string.h>

#include "flag/pass_impl.h"
#include "kernel/flag_summary.h"
#include "kernel/weights.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for flagging; give more with SHEAF_MEMORY");
}

void *sheaf_flag_pass_scratch(sheaf_flag_pass *p, int what, size_t size, sheaf_error *err) {
  if (!sheaf_pool_need(&p->scratch[what], size)) no_memory(err);
  return p->scratch[what].memory;
}

static void *scratch(sheaf_flag_pass *p, int what, size_t size, sheaf_error *err) {
  return sheaf_flag_pass_scratch(p, what, size, err);
}

/* ---- opening ---- */

int sheaf_flag_pass_open(sheaf_flag_pass *p, const sheaf_flag_vis *vis, const json_t *value,
                         sheaf_error *err) {
  *p = (sheaf_flag_pass){.vis = vis};
  int rc = sheaf_flag_agents_make(&p->agents, vis, value, err);
  if (rc < 0) return rc;
  const size_t n = p->agents.n + 1;
  p->lookup = calloc(n, sizeof(sheaf_flag_lookup *));
  p->counts = calloc(n, sizeof *p->counts);
  p->flagged = calloc(n, sizeof *p->flagged);
  p->tally = calloc(n, sizeof *p->tally);
  if (!p->lookup || !p->counts || !p->flagged || !p->tally) rc = no_memory(err);
  for (size_t i = 0; rc >= 0 && i < p->agents.n; i++)
    rc = sheaf_flag_lookup_make(&p->lookup[i], p->agents.agent[i].tables, err);
  if (rc < 0) sheaf_flag_pass_close(p);
  return rc < 0 ? rc : 0;
}

void sheaf_flag_pass_close(sheaf_flag_pass *p) {
  for (size_t i = 0; i < p->agents.n; i++) {
    if (p->lookup) sheaf_flag_lookup_free(p->lookup[i]);
    if (p->counts) sheaf_counts_free(&p->counts[i]);
    if (p->tally) {
      free(p->tally[i].memory);
      free(p->tally[i].spectra);
    }
  }
  for (size_t i = 0; i < sizeof p->scratch / sizeof *p->scratch; i++)
    sheaf_pool_give(&p->scratch[i]);
  free(p->lookup);
  free(p->counts);
  free(p->flagged);
  free(p->tally);
  sheaf_sky_close(p->sky);
  sheaf_flag_agents_free(&p->agents);
  *p = (sheaf_flag_pass){0};
}

/* ---- one command and one block ---- */

typedef sheaf_flag_scene scene;

/* The rows that the command selects; 0 when there are none. */
static int64_t choose_rows(scene *s, sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  s->n = b->rows.n;
  if (sheaf_flag_filter_all(&s->agent->filter)) return s->n;
  uint8_t *keep = scratch(s->pass, SHEAF_FLAG_KEEP, (size_t)b->rows.n, err);
  int64_t *places = scratch(s->pass, SHEAF_FLAG_PLACES, (size_t)b->rows.n * sizeof *places, err);
  if (!keep || !places) return SHEAF_ERR_NOMEM;
  const int64_t n = sheaf_flag_filter_test(&s->agent->filter, s->pass->vis, &b->rows, keep, err);
  if (n <= 0 || n == b->rows.n) return n;
  s->n = 0;
  for (int64_t i = 0; i < b->rows.n; i++)
    if (keep[i]) places[s->n++] = i;
  s->row = places;
  return n;
}

/* Its channels of the block's window, each once: ranges of one selection may overlap. */
static int choose_channels(scene *s, sheaf_error *err) {
  const sheaf_flag_agent *a = s->agent;
  const size_t nchan = (size_t)s->block->nchan;
  if (!a->has_chan) return 0;
  s->chan = scratch(s->pass, SHEAF_FLAG_CHANNELS, (nchan + 1) * sizeof *s->chan, err);
  uint8_t *taken = scratch(s->pass, SHEAF_FLAG_TAKEN, nchan + 1, err);
  if (!s->chan || !taken) return SHEAF_ERR_NOMEM;
  memset(taken, 0, nchan);
  for (size_t i = 0; i < a->nrange; i++) {
    if (a->range[i][0] != s->block->rows.spw) continue;
    for (int64_t c = a->range[i][1] > 0 ? a->range[i][1] : 0;
         c <= a->range[i][2] && c < s->block->nchan; c++) {
      if (!taken[c]) s->chan[s->nsel++] = (int32_t)c;
      taken[c] = 1;
    }
  }
  return 0;
}

int sheaf_flag_scene_maps(scene *s, sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  if (!s->row && b->maps) {
    s->maps = *b->maps;
    return 0;
  }
  if (!b->maps)
    return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: rows come in no order", s->agent->name);
  /* the block's maps without the rows that are not selected */
  uint8_t *keep = scratch(s->pass, SHEAF_FLAG_KEEP, (size_t)b->rows.n, err);
  int64_t *row = scratch(s->pass, SHEAF_FLAG_MAPS, (size_t)(s->n + 1) * sizeof *row, err);
  int64_t *start =
      scratch(s->pass, SHEAF_FLAG_STARTS, (size_t)(b->maps->nmap + 2) * sizeof *start, err);
  if (!keep || !row || !start) return SHEAF_ERR_NOMEM;
  memset(keep, 0, (size_t)b->rows.n);
  for (int64_t i = 0; i < s->n; i++) keep[s->row[i]] = 1;
  int64_t n = 0, nmap = 0;
  for (int64_t m = 0; m < b->maps->nmap; m++) {
    const int64_t before = n;
    for (int64_t i = b->maps->start[m]; i < b->maps->start[m + 1]; i++)
      if (keep[b->maps->row[i]]) row[n++] = b->maps->row[i];
    if (n > before) start[nmap++] = before;
  }
  start[nmap] = n;
  s->maps = (sheaf_flag_maps){.nmap = nmap, .start = start, .row = row};
  return 0;
}

/* ---- data ---- */

static const float *column(const sheaf_flag_block *b, unsigned bit) {
  int k = 0;
  while (bit >> (k + 1)) k++;
  return b->data[k];
}

/* a - b of complex numbers, b is complex as well; a may be real. */
static const float *difference(scene *s, const float *a, const float *b, sheaf_error *err) {
  const size_t n = (size_t)(s->block->rows.n * s->block->nchan * s->block->ncorr);
  if (!a || !b) return NULL;
  float *d = scratch(s->pass, SHEAF_FLAG_DATA, n * 2 * sizeof *d, err);
  if (d && s->block->real)
    for (size_t i = 0; i < n; i++) {
      d[2 * i] = a[i] - b[2 * i];
      d[2 * i + 1] = 0.0f - b[2 * i + 1];
    }
  else if (d)
    for (size_t i = 0; i < 2 * n; i++) d[i] = a[i] - b[i];
  return d;
}

static const float *spread(scene *s, int what, const float *of_row, sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  float *to = scratch(s->pass, what, (size_t)(b->rows.n * b->nchan * b->ncorr) * sizeof *to, err);
  if (!to) return NULL;
  float *at = to;
  for (int64_t r = 0; r < b->rows.n; r++)
    for (int64_t c = 0; c < b->nchan; c++, at += b->ncorr)
      memcpy(at, of_row + r * b->ncorr, (size_t)b->ncorr * sizeof *at);
  return to;
}

/* The numbers that the command decides on; NULL where the rows lack them. */
static const float *find_data(scene *s, int *real, sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  const float *data = column(b, SHEAF_FLAG_COL_DATA), *model = column(b, SHEAF_FLAG_COL_MODEL);
  const float *weight = column(b, SHEAF_FLAG_COL_WEIGHT);
  *real = s->agent->real;
  switch (s->agent->source) {
    case SHEAF_FLAG_ON_DATA:
      return data;
    case SHEAF_FLAG_ON_CORRECTED:
      return column(b, SHEAF_FLAG_COL_CORRECTED);
    case SHEAF_FLAG_ON_MODEL:
      return model;
    case SHEAF_FLAG_ON_RESIDUAL:
      return difference(s, column(b, SHEAF_FLAG_COL_CORRECTED), model, err);
    case SHEAF_FLAG_ON_RESIDUAL_DATA:
      return difference(s, data, model, err);
    case SHEAF_FLAG_ON_SIGMA_SPECTRUM:
      return column(b, SHEAF_FLAG_COL_SIGMA_SPECTRUM);
    case SHEAF_FLAG_ON_WEIGHT_SPECTRUM:
    case SHEAF_FLAG_ON_WEIGHT:
      if (column(b, SHEAF_FLAG_COL_WEIGHT_SPECTRUM))
        return column(b, SHEAF_FLAG_COL_WEIGHT_SPECTRUM);
      return weight ? spread(s, SHEAF_FLAG_DATA, weight, err) : NULL;
    case SHEAF_FLAG_ON_PARAM:
      return column(b, SHEAF_FLAG_COL_PARAM);
    case SHEAF_FLAG_ON_SNR:
      return column(b, SHEAF_FLAG_COL_SNR);
  }
  return NULL;
}

/* ---- modes that see rows ---- */

static void set_rows(const scene *s, const uint8_t *hit) {
  sheaf_flag_view one = s->view;
  int64_t changed = 0;
  for (int64_t i = 0, n; i < s->n; i += n) { /* runs of rows that are hit */
    n = 1;
    if (hit && !hit[i]) continue;
    const int64_t place = s->row ? s->row[i] : i;
    while (i + n < s->n && (!hit || hit[i + n]) && (!s->row || s->row[i + n] == place + n)) n++;
    const int64_t cell = s->block->nchan * s->block->ncorr;
    one.flag = s->block->flag + place * cell;
    changed += sheaf_flag_fill(&one, NULL, n, s->corrs, !s->agent->clears);
    if (s->agent->sets_row && s->block->flag_row)
      memset(s->block->flag_row + place, !s->agent->clears, (size_t)n);
  }
  s->pass->flagged[s->number] += changed;
}

static sheaf_flag_place place_of(const sheaf_flag_rows *r, int64_t i) {
  return (sheaf_flag_place){.observation = r->observation[i],
                            .array = r->array[i],
                            .scan = r->scan[i],
                            .field = r->field[i],
                            .ddid = r->ddid};
}

static int hit_by_quack(const scene *s, int64_t i) {
  const sheaf_flag_rows *r = &s->block->rows;
  const sheaf_flag_scan_limits *l = sheaf_flag_lookup_scan(s->pass->lookup[s->number], r->scan[i]);
  return l && sheaf_flag_quack(s->agent->quack_options.mode, s->agent->quack_options.interval,
                               l->start, l->stop, r->time[i]);
}

static int hit_by_antint(const scene *s, int64_t i) {
  const sheaf_flag_place place = place_of(&s->block->rows, i);
  return sheaf_flag_lookup_bad(s->pass->lookup[s->number], s->block->rows.time[i], &place);
}

static int hit_by_shadow(const scene *s, int64_t i) {
  const sheaf_flag_rows *r = &s->block->rows;
  const sheaf_flag_lookup *l = s->pass->lookup[s->number];
  const sheaf_flag_place place = place_of(r, i);
  return sheaf_flag_lookup_shadowed(l, r->time[i], r->centroid[i], &place, r->ant1[i]) ||
         sheaf_flag_lookup_shadowed(l, r->time[i], r->centroid[i], &place, r->ant2[i]);
}

static int hit_by_elevation(const scene *s, int64_t i, sheaf_error *err) {
  const sheaf_flag_rows *r = &s->block->rows;
  double one, two;
  int rc = s->pass->sky ? 0 : sheaf_sky_open(&s->pass->sky, s->pass->vis->path, err);
  if (rc >= 0)
    rc = sheaf_sky_elevation(s->pass->sky, r->field[i], r->time[i], r->ant1[i], &one, err);
  if (rc >= 0)
    rc = sheaf_sky_elevation(s->pass->sky, r->field[i], r->time[i], r->ant2[i], &two, err);
  return rc < 0 ? rc : sheaf_flag_elevation(one, two, s->agent->lower, s->agent->upper);
}

static int run_rule(scene *s, sheaf_error *err) {
  uint8_t *hit = scratch(s->pass, SHEAF_FLAG_KEEP, (size_t)s->n + 1, err);
  if (!hit) return SHEAF_ERR_NOMEM;
  for (int64_t i = 0; i < s->n; i++) {
    const int64_t place = s->row ? s->row[i] : i;
    int is = 0;
    switch (s->agent->mode) {
      case SHEAF_FLAG_QUACK:
        is = hit_by_quack(s, place);
        break;
      case SHEAF_FLAG_ANTINT:
        is = hit_by_antint(s, place);
        break;
      case SHEAF_FLAG_SHADOW:
        is = hit_by_shadow(s, place);
        break;
      default:
        is = hit_by_elevation(s, place, err);
    }
    if (is < 0) return is;
    hit[i] = (uint8_t)is;
  }
  set_rows(s, hit);
  return 0;
}

/* ---- summary ---- */

typedef struct row_counts {
  int64_t *rows, *corr, *chan;
} row_counts;

static int count_row(const scene *s, int64_t place, int64_t flagged, int64_t total,
                     sheaf_error *err) {
  const sheaf_flag_rows *r = &s->block->rows;
  sheaf_counts *c = &s->pass->counts[s->number];
  const int32_t f = s->agent->fieldcnt ? r->field[place] : -1;
  const int32_t a1 = r->ant1[place], a2 = r->ant2[place], scan = r->scan ? r->scan[place] : 0;
  int rc;
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_TOTAL, 0, 0, flagged, total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_ANTENNA, a1, 0, flagged, total, err));
  if (a1 != a2 && a2 >= 0)
    SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_ANTENNA, a2, 0, flagged, total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_ARRAY, r->array ? r->array[place] : 0, 0, flagged,
                             total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_FIELD, r->field[place], 0, flagged, total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_OBSERVATION,
                             r->observation ? r->observation[place] : 0, 0, flagged, total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_SCAN, scan, 0, flagged, total, err));
  SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_SPW, r->spw, 0, flagged, total, err));
  if (s->agent->basecnt) {
    SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_BASELINE, a1, a2, flagged, total, err));
    SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_ANTENNA_SCAN, a1, scan, flagged, total, err));
    if (a1 != a2 && a2 >= 0)
      SHEAF_TRY(sheaf_counts_add(c, f, SHEAF_COUNT_ANTENNA_SCAN, a2, scan, flagged, total, err));
  }
done:
  return rc;
}

/* By correlation and channel, of n rows of one field. */
static int count_cells(const scene *s, int32_t field, int64_t n, const row_counts *k,
                       sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  sheaf_counts *c = &s->pass->counts[s->number];
  const int64_t nchan = sheaf_flag_view_channels(&s->view);
  int64_t ncorr = 0;
  int rc = 0;
  const int32_t *codes = s->pass->vis->corr[b->rows.pol];
  for (int64_t i = 0; i < b->ncorr; i++) {
    if (!(s->corrs >> i & 1)) continue;
    ncorr++;
    SHEAF_TRY(sheaf_counts_add(c, field, SHEAF_COUNT_CORRELATION, codes[i], 0, k->corr[i],
                               n * nchan, err));
    if (s->agent->spwcorr)
      SHEAF_TRY(sheaf_counts_add(c, field, SHEAF_COUNT_SPW_CORRELATION, b->rows.spw, codes[i],
                                 k->corr[i], n * nchan, err));
  }
  for (int64_t i = 0; s->agent->spwchan && i < nchan; i++)
    SHEAF_TRY(sheaf_counts_add(c, field, SHEAF_COUNT_SPW_CHANNEL, b->rows.spw, (int32_t)i,
                               k->chan[i], n * ncorr, err));
done:
  return rc;
}

/* Rows from..from+n-1 of the scene's, all of one field. */
static int count_stretch(const scene *s, int64_t from, int64_t n, const row_counts *k,
                         sheaf_error *err) {
  const int64_t nchan = sheaf_flag_view_channels(&s->view), ncorr = s->block->ncorr;
  const int64_t first = s->row ? s->row[from] : from;
  const int64_t cell = s->block->nchan * ncorr;
  int64_t selected = 0;
  int rc = 0;
  sheaf_flag_view part = s->view;
  for (int64_t i = 0; i < ncorr; i++) selected += s->corrs >> i & 1;
  if (selected == 0 || nchan == 0) return 0;
  memset(k->rows, 0, (size_t)n * sizeof *k->rows);
  memset(k->corr, 0, (size_t)ncorr * sizeof *k->corr);
  memset(k->chan, 0, (size_t)nchan * sizeof *k->chan);
  if (!s->row) part.flag += first * cell;
  sheaf_flag_count(&part, s->row ? s->row + from : NULL, n, s->corrs, k->rows, k->corr,
                   s->agent->spwchan ? k->chan : NULL);
  for (int64_t i = 0; rc >= 0 && i < n; i++)
    rc = count_row(s, s->row ? s->row[from + i] : from + i, k->rows[i], selected * nchan, err);
  return rc < 0 ? rc
                : count_cells(s, s->agent->fieldcnt ? s->block->rows.field[first] : -1, n, k, err);
}

static int run_summary(scene *s, sheaf_error *err) {
  const int64_t nchan = sheaf_flag_view_channels(&s->view), ncorr = s->block->ncorr;
  const int32_t *field = s->block->rows.field;
  int64_t *memory =
      scratch(s->pass, SHEAF_FLAG_KERNEL, (size_t)(s->n + nchan + ncorr + 3) * sizeof *memory, err);
  int rc = 0;
  if (!memory) return SHEAF_ERR_NOMEM;
  const row_counts k = {.rows = memory, .corr = memory + s->n, .chan = memory + s->n + ncorr};
  for (int64_t i = 0, n; rc >= 0 && i < s->n; i += n) {
    const int32_t of = field[s->row ? s->row[i] : i];
    for (n = 1; i + n < s->n; n++)
      if (s->agent->fieldcnt && field[s->row ? s->row[i + n] : i + n] != of) break;
    rc = count_stretch(s, i, n, &k, err);
  }
  return rc;
}

/* ---- modes that see data ---- */

int sheaf_flag_scene_quantities(const scene *s, sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES]) {
  const sheaf_flag_vis *v = s->pass->vis;
  const int32_t *corrs = v->corr[s->block->rows.pol];
  int ncorr = (int)v->ncorr[s->block->rows.pol];
  if (ncorr > s->block->ncorr) ncorr = (int)s->block->ncorr;
  return s->agent->mode == SHEAF_FLAG_TFCROP
             ? sheaf_flag_expression_tfcrop(&s->agent->expression, corrs, ncorr, q)
             : sheaf_flag_expression_quantities(&s->agent->expression, corrs, ncorr, q);
}

static void *kernel_scratch(scene *s, int nq, sheaf_error *err) {
  const int64_t rows = sheaf_flag_maps_longest(&s->maps);
  const int64_t nchan = sheaf_flag_view_channels(&s->view);
  const size_t size =
      s->agent->mode == SHEAF_FLAG_TFCROP  ? sheaf_flag_tfcrop_scratch(rows, nchan, nq)
      : s->agent->mode == SHEAF_FLAG_RFLAG ? sheaf_flag_rflag_scratch(rows, nchan, nq)
                                           : sheaf_flag_extend_scratch(rows, nchan, s->view.ncorr);
  return scratch(s->pass, SHEAF_FLAG_KERNEL, size, err);
}

/* The medians of all rows of the maps, computed where they are not at hand. */
static sheaf_flag_spectrum *spectra_of(scene *s, const sheaf_flag_quantity *q, int nq, void *memory,
                                       sheaf_error *err) {
  sheaf_flag_tally *t = &s->pass->tally[s->number];
  const int64_t n = s->maps.start[s->maps.nmap] * nq;
  if (n > 0 && t->nspectrum == n) return t->spectra;
  if (!sheaf_flag_tally_room(t, n, err)) return NULL;
  sheaf_flag_rflag_spectra(&s->view, s->original, &s->maps, q, nq, t->spectra, memory);
  t->nspectrum = n;
  return t->spectra;
}

static int run_rflag(scene *s, const sheaf_flag_quantity *q, int nq, sheaf_error *err) {
  const sheaf_flag_tally *t = &s->pass->tally[s->number];
  const sheaf_flag_rflag_options o = {.winsize = s->agent->rflag.winsize,
                                      .noise = t->time * s->agent->rflag.timedevscale,
                                      .cut = t->freq * s->agent->rflag.freqdevscale,
                                      .spectralmin = s->agent->rflag.spectralmin,
                                      .spectralmax = s->agent->rflag.spectralmax};
  void *memory = kernel_scratch(s, nq, err);
  const sheaf_flag_spectrum *spectra = memory ? spectra_of(s, q, nq, memory, err) : NULL;
  if (!spectra) return SHEAF_ERR_NOMEM;
  s->pass->flagged[s->number] +=
      sheaf_flag_rflag_apply(&s->view, s->original, &s->maps, q, nq, spectra, &o, memory);
  return 0;
}

static int run_extend(scene *s, sheaf_error *err) {
  sheaf_flag_extend_options o = s->agent->extend;
  void *memory = kernel_scratch(s, 1, err);
  if (!memory) return SHEAF_ERR_NOMEM;
  o.corrs = s->corrs;
  s->pass->flagged[s->number] += sheaf_flag_extend(&s->view, &s->maps, &o, memory);
  return 0;
}

/* FLAG_ROW of all rows that a clip or tfcrop command is unapplied to, hit or not: as CASA has it.
 */
static void clear_rows(const scene *s) {
  for (int64_t i = 0; s->block->flag_row && i < s->n; i++)
    s->block->flag_row[s->row ? s->row[i] : i] = 0;
}

/* Quantities of one correlation do not disturb each other; one of two is done alone, in its turn.
 */
static int run_tfcrop(scene *s, const sheaf_flag_quantity *q, int nq, sheaf_error *err) {
  void *memory = kernel_scratch(s, nq, err);
  if (!memory) return SHEAF_ERR_NOMEM;
  for (int i = 0, n; i < nq; i += n) {
    for (n = 1; q[i].form == SHEAF_FLAG_SINGLE && i + n < nq && q[i + n].form == SHEAF_FLAG_SINGLE;)
      n++;
    s->pass->flagged[s->number] += sheaf_flag_tfcrop(
        &s->view, &s->maps, q + i, n, s->agent->expression.op, &s->agent->tfcrop, memory);
  }
  return 0;
}

int sheaf_flag_scene_decide(scene *s, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  if (s->agent->mode == SHEAF_FLAG_EXTEND) return run_extend(s, err);
  const int nq = sheaf_flag_scene_quantities(s, q);
  if (nq == 0) return 0;
  if (s->agent->mode == SHEAF_FLAG_CLIP) {
    s->pass->flagged[s->number] +=
        sheaf_flag_clip(&s->view, s->row, s->n, q, nq, s->agent->expression.op, &s->agent->clip);
    if (s->agent->sets_row) clear_rows(s);
    return 0;
  }
  if (s->agent->mode == SHEAF_FLAG_RFLAG) return run_rflag(s, q, nq, err);
  if (!s->agent->clears) return run_tfcrop(s, q, nq, err);
  s->pass->flagged[s->number] += sheaf_flag_tfcrop_undo(&s->view, &s->maps, q, nq);
  if (s->agent->sets_row) clear_rows(s);
  return 0;
}

int sheaf_flag_tally_room(sheaf_flag_tally *t, int64_t n, sheaf_error *err) {
  t->nspectrum = 0;
  if (n < t->room) return 1;
  free(t->spectra);
  t->room = 0;
  if (!(t->spectra = malloc((size_t)(n + 1) * sizeof *t->spectra))) return no_memory(err), 0;
  t->room = n + 1;
  return 1;
}

int sheaf_flag_tally_channels(sheaf_flag_tally *t, int64_t nchan, sheaf_error *err) {
  if (t->memory && t->nchan == nchan) return 1;
  free(t->memory);
  t->nchan = nchan;
  t->memory = calloc((size_t)nchan * 4, sizeof *t->memory);
  return t->memory ? 1 : (no_memory(err), 0);
}

int64_t sheaf_flag_scene_narrow(scene *s, const sheaf_flag_share *share, int64_t *from,
                                sheaf_error *err) {
  const int64_t nchan = sheaf_flag_view_channels(&s->view);
  if (share->of == 1) return *from = 0, nchan;
  /* of full vectors */
  const int64_t to =
      share->part + 1 < share->of ? nchan * (share->part + 1) / share->of / 16 * 16 : nchan;
  *from = nchan * share->part / share->of / 16 * 16;
  const int64_t n = to - *from;
  int32_t *chan = scratch(s->pass, SHEAF_FLAG_PART, (size_t)(n + 1) * sizeof *chan, err);
  if (!chan) return SHEAF_ERR_NOMEM;
  for (int64_t i = 0; i < n; i++)
    chan[i] = s->view.chan ? s->view.chan[*from + i] : (int32_t)(*from + i);
  s->view.chan = chan;
  s->view.nsel = n;
  return n;
}

/* The sums over the channels of the share; medians are at hand. */
static int sum_up(scene *s, const sheaf_flag_quantity *q, int nq, sheaf_error *err) {
  sheaf_flag_tally *t = &s->pass->tally[s->number];
  const int64_t nchan = sheaf_flag_view_channels(&s->view);
  int64_t from;
  if (!sheaf_flag_tally_channels(t, nchan, err)) return SHEAF_ERR_NOMEM;
  scene part = *s;
  const int64_t n = sheaf_flag_scene_narrow(&part, s->pass->share, &from, err);
  if (n <= 0) return (int)n;
  double *sum = t->memory + from;
  const sheaf_flag_sums time = {sum, sum + nchan}, freq = {sum + 2 * nchan, sum + 3 * nchan};
  const sheaf_flag_statistics out = {.spectra = t->spectra,
                                     .time = t->time <= 0 ? &time : NULL,
                                     .winsize = s->agent->rflag.winsize,
                                     .freq = t->freq <= 0 ? &freq : NULL};
  void *memory = kernel_scratch(&part, nq, err);
  if (!memory) return SHEAF_ERR_NOMEM;
  sheaf_flag_rflag_statistics(&part.view, s->original, &s->maps, q, nq, &out, memory);
  return 0;
}

/* Medians and sums in one go: each row is looked at once. */
static int tally_all(scene *s, const sheaf_flag_quantity *q, int nq, sheaf_error *err) {
  sheaf_flag_tally *t = &s->pass->tally[s->number];
  const int64_t nchan = sheaf_flag_view_channels(&s->view), n = s->maps.start[s->maps.nmap] * nq;
  void *memory = kernel_scratch(s, nq, err);
  if (!memory || !sheaf_flag_tally_channels(t, nchan, err) || !sheaf_flag_tally_room(t, n, err))
    return SHEAF_ERR_NOMEM;
  const sheaf_flag_sums time = {t->memory, t->memory + nchan},
                        freq = {t->memory + 2 * nchan, t->memory + 3 * nchan};
  /* The medians are needed anyhow, when the block's flags are set. */
  const sheaf_flag_statistics out = {.medians = 1,
                                     .spectra = t->spectra,
                                     .time = t->time <= 0 ? &time : NULL,
                                     .winsize = s->agent->rflag.winsize,
                                     .freq = t->freq <= 0 ? &freq : NULL};
  sheaf_flag_rflag_statistics(&s->view, s->original, &s->maps, q, nq, &out, memory);
  t->nspectrum = n;
  return 0;
}

static int tally_up(scene *s, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  const sheaf_flag_share *share = s->pass->share;
  const int nq = sheaf_flag_scene_quantities(s, q);
  if (nq == 0 || sheaf_flag_view_channels(&s->view) == 0) return 0;
  if (share->medians && share->of == 1) return tally_all(s, q, nq, err);
  void *memory = kernel_scratch(s, nq, err);
  if (!memory || !spectra_of(s, q, nq, memory, err)) return SHEAF_ERR_NOMEM;
  return share->of ? sum_up(s, q, nq, err) : 0;
}

/* ---- averages ---- */

/* What a function does with a scene. */
typedef int act(scene *s, sheaf_error *err);

void sheaf_flag_scene_averages(const scene *s, const float *related, sheaf_flag_averages *in) {
  const sheaf_flag_agent *a = s->agent;
  const sheaf_flag_block *b = s->block;
  *in = (sheaf_flag_averages){.rows = &b->rows,
                              .nchan = b->nchan,
                              .ncorr = b->ncorr,
                              .data = s->view.data,
                              .minus = related,
                              .real = s->view.real,
                              .flag = a->mode == SHEAF_FLAG_RFLAG ? b->original : b->flag,
                              .source = a->source,
                              .weight = column(b, SHEAF_FLAG_COL_WEIGHT),
                              .weight_spectrum = column(b, SHEAF_FLAG_COL_WEIGHT_SPECTRUM),
                              .sigma = column(b, SHEAF_FLAG_COL_SIGMA),
                              .sigma_spectrum = column(b, SHEAF_FLAG_COL_SIGMA_SPECTRUM),
                              .chan = s->chan,
                              .nsel = s->nsel,
                              .row = s->row,
                              .n = s->n,
                              .maps = s->maps.nmap ? &s->maps : NULL,
                              .channels = a->channelavg,
                              .chanbin = sheaf_flag_averages_bin(a, b->rows.spw),
                              .timebin = a->timeavg ? a->timebin : 0};
}

void sheaf_flag_scene_averaged(const scene *s, const sheaf_flag_averaged *out, scene *inner) {
  *inner = *s;
  inner->view = out->view;
  inner->original = out->original;
  inner->maps = out->maps;
  inner->row = NULL;
  inner->n = out->n;
}

int sheaf_flag_scene_average(scene *s, const float *related, sheaf_flag_averages *in,
                             sheaf_flag_averaged *out, scene *inner, sheaf_error *err) {
  sheaf_flag_scene_averages(s, related, in);
  const int rc = sheaf_flag_averages_make(out, in, err);
  if (rc < 0) return rc;
  sheaf_flag_scene_averaged(s, out, inner);
  return 0;
}

/* Runs `what` on averages of the scene, and lets their flags come back. */
static int on_averages(scene *s, const float *related, act *what, sheaf_error *err) {
  const sheaf_flag_block *b = s->block;
  sheaf_flag_averages in;
  sheaf_flag_averaged out;
  scene inner;
  int rc = sheaf_flag_scene_average(s, related, &in, &out, &inner, err);
  if (rc < 0) return rc;
  rc = what(&inner, err);
  if (rc >= 0 && what == sheaf_flag_scene_decide) sheaf_flag_averages_return(&out, &in, b->flag);
  sheaf_flag_averages_free(&out);
  return rc;
}

int sheaf_flag_scene_data(scene *s, const float **related, sheaf_error *err) {
  const sheaf_flag_agent *a = s->agent;
  const int averages = a->channelavg || a->timeavg;
  *related = NULL;
  s->view.data = NULL;
  s->view.real = 0;
  if (a->mode == SHEAF_FLAG_EXTEND && !averages) return 1;
  /* The two columns of a residual are averaged by themselves, each by its own rule. */
  const int on_data = a->source == SHEAF_FLAG_ON_RESIDUAL_DATA && !s->block->real;
  const int residual = averages && (on_data || a->source == SHEAF_FLAG_ON_RESIDUAL);
  s->view.data = residual
                     ? column(s->block, on_data ? SHEAF_FLAG_COL_DATA : SHEAF_FLAG_COL_CORRECTED)
                     : find_data(s, &s->view.real, err);
  if (residual) *related = column(s->block, SHEAF_FLAG_COL_MODEL);
  if (s->view.data && (!residual || *related)) return 1;
  return err && err->code < 0 ? err->code : 0;
}

/* The scene complete with data, then `what`. */
static int with_data(scene *s, act *what, sheaf_error *err) {
  const sheaf_flag_agent *a = s->agent;
  const float *related;
  int rc = a->mode != SHEAF_FLAG_CLIP || a->timeavg ? sheaf_flag_scene_maps(s, err) : 0;
  if (rc < 0) return rc;
  rc = sheaf_flag_scene_data(s, &related, err);
  if (rc <= 0) return rc;
  return a->channelavg || a->timeavg ? on_averages(s, related, what, err) : what(s, err);
}

/* ---- the interface ---- */

int sheaf_flag_scene_set(scene *s, sheaf_flag_pass *p, size_t number, sheaf_flag_block *b,
                         sheaf_error *err) {
  const sheaf_flag_agent *a = &p->agents.agent[number];
  *s = (scene){.pass = p, .number = number, .agent = a, .block = b, .original = b->original};
  s->corrs = a->corrs[b->rows.pol];
  if (b->ncorr < 64) s->corrs &= (1ULL << b->ncorr) - 1;
  const int64_t n = choose_rows(s, err);
  if (n <= 0) return (int)n;
  const int rc = choose_channels(s, err);
  if (rc < 0) return rc;
  if (a->has_chan && s->nsel == 0) return 0;
  s->view = (sheaf_flag_view){
      .flag = b->flag, .nchan = b->nchan, .ncorr = b->ncorr, .chan = s->chan, .nsel = s->nsel};
  return s->corrs != 0;
}

static int run_agent(sheaf_flag_pass *p, size_t number, sheaf_flag_block *b, sheaf_error *err) {
  scene s;
  const int rc = sheaf_flag_scene_set(&s, p, number, b, err);
  if (rc <= 0) return rc;
  switch (s.agent->mode) {
    case SHEAF_FLAG_MANUAL:
    case SHEAF_FLAG_UNFLAG:
      set_rows(&s, NULL);
      return 0;
    case SHEAF_FLAG_SUMMARY:
      return run_summary(&s, err);
    case SHEAF_FLAG_CLIP:
    case SHEAF_FLAG_TFCROP:
    case SHEAF_FLAG_RFLAG:
    case SHEAF_FLAG_EXTEND:
      return with_data(&s, sheaf_flag_scene_decide, err);
    default:
      return run_rule(&s, err);
  }
}

int sheaf_flag_pass_run_some(sheaf_flag_pass *p, sheaf_flag_block *b, size_t from, size_t to,
                             sheaf_error *err) {
  int rc = 0;
  if (err) err->code = 0;
  for (size_t i = from; rc >= 0 && i < to; i++) rc = run_agent(p, i, b, err);
  return rc < 0 ? rc : 0;
}

int sheaf_flag_pass_run(sheaf_flag_pass *p, sheaf_flag_block *b, sheaf_error *err) {
  const int rc = sheaf_flag_pass_run_some(p, b, 0, p->agents.n, err);
  sheaf_flag_pass_forget(p);
  return rc;
}

static double dev_of(const sheaf_flag_devs *d, int32_t field, int32_t spw) {
  for (size_t i = 0; i < d->n; i++)
    if (d->row[3 * i] == field && d->row[3 * i + 1] == spw) return d->row[3 * i + 2];
  return d->all;
}

void sheaf_flag_pass_reset(sheaf_flag_pass *p) {
  sheaf_flag_pass_forget(p);
  for (size_t i = 0; i < p->agents.n; i++) {
    sheaf_flag_tally *t = &p->tally[i];
    t->time = t->freq = 0;
    if (t->memory) memset(t->memory, 0, (size_t)t->nchan * 4 * sizeof *t->memory);
  }
}

int sheaf_flag_pass_tallies(sheaf_flag_pass *p, size_t number, const sheaf_flag_block *b) {
  const sheaf_flag_agent *a = &p->agents.agent[number];
  sheaf_flag_tally *t = &p->tally[number];
  if (a->mode != SHEAF_FLAG_RFLAG) return 0;
  t->time = dev_of(&a->rflag.timedev, b->rows.field[0], b->rows.spw);
  t->freq = dev_of(&a->rflag.freqdev, b->rows.field[0], b->rows.spw);
  return !(t->time > 0 && t->freq > 0);
}

int sheaf_flag_pass_tally(sheaf_flag_pass *p, sheaf_flag_block *b, const sheaf_flag_share *share,
                          sheaf_error *err) {
  if (share->medians) sheaf_flag_pass_forget(p);
  p->share = share;
  if (err) err->code = 0;
  for (size_t i = 0; i < p->agents.n; i++) {
    scene s;
    if (!sheaf_flag_pass_tallies(p, i, b)) continue;
    int rc = sheaf_flag_scene_set(&s, p, i, b, err);
    if (rc > 0) rc = with_data(&s, tally_up, err);
    if (rc < 0) return rc;
  }
  return 0;
}

void sheaf_flag_pass_forget(sheaf_flag_pass *p) {
  for (size_t i = 0; i < p->agents.n; i++) p->tally[i].nspectrum = 0;
}

int sheaf_flag_pass_settle(sheaf_flag_pass *p, int32_t field, int32_t spw, sheaf_error *err) {
  for (size_t i = 0; i < p->agents.n; i++) {
    const sheaf_flag_agent *a = &p->agents.agent[i];
    sheaf_flag_tally *t = &p->tally[i];
    if (a->mode != SHEAF_FLAG_RFLAG) continue;
    t->time = dev_of(&a->rflag.timedev, field, spw);
    t->freq = dev_of(&a->rflag.freqdev, field, spw);
    if (!t->memory || (t->time > 0 && t->freq > 0)) continue;
    double *memory = scratch(p, SHEAF_FLAG_KERNEL, (size_t)t->nchan * 2 * sizeof *memory + 64, err);
    if (!memory) return SHEAF_ERR_NOMEM;
    const sheaf_flag_sums time = {t->memory, t->memory + t->nchan},
                          freq = {t->memory + 2 * t->nchan, t->memory + 3 * t->nchan};
    if (t->time <= 0) t->time = sheaf_flag_rflag_threshold(&time, t->nchan, memory);
    if (t->freq <= 0) t->freq = sheaf_flag_rflag_threshold(&freq, t->nchan, memory);
  }
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/average.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for averages; give more with SHEAF_MEMORY");
}

/* Memory of the pool, which knows itself: 64 bytes before it are a sheaf_buffer. */
static void *take(size_t size) {
  sheaf_buffer buffer = {0};
  if (!sheaf_pool_need(&buffer, size + 64)) return NULL;
  memcpy(buffer.memory, &buffer, sizeof buffer);
  return (char *)buffer.memory + 64;
}

static void give(void *memory) {
  sheaf_buffer buffer;
  if (!memory) return;
  memcpy(&buffer, (char *)memory - 64, sizeof buffer);
  sheaf_pool_give(&buffer);
}

int64_t sheaf_flag_averages_bin(const sheaf_flag_agent *a, int32_t spw) {
  if (a->nchanbin == 0) return 1;
  return a->chanbin[a->nchanbin == 1 || spw < 0 || (size_t)spw >= a->nchanbin ? 0 : spw];
}

int64_t sheaf_flag_averages_bytes(const sheaf_flag_agent *a, int64_t nchan, int64_t ncorr) {
  const int64_t cells = 8 + 1 + 4; /* data, flag, weight of a sample */
  const int residual =
      a->source == SHEAF_FLAG_ON_RESIDUAL || a->source == SHEAF_FLAG_ON_RESIDUAL_DATA;
  if (!a->channelavg && !a->timeavg) return residual ? 8 * nchan * ncorr : 0;
  return ((residual ? 3 : 2) * cells + 2) * nchan * ncorr;
}

/* ---- rows ---- */

/* The rows one behind the other: by baseline, where that is known. */
static int gather_places(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                         sheaf_error *err) {
  out->nplace = in->maps ? in->maps->start[in->maps->nmap] : in->n;
  if (!(out->place = malloc((size_t)(out->nplace + 1) * sizeof *out->place))) return no_memory(err);
  for (int64_t i = 0; i < out->nplace; i++)
    out->place[i] = in->maps ? in->maps->row[i] : in->row ? in->row[i] : i;
  if (!in->maps) return 0;
  const size_t nmap = (size_t)in->maps->nmap;
  out->map_row = malloc((size_t)(out->nplace + 1) * sizeof *out->map_row);
  out->map_start = malloc((nmap + 1) * sizeof *out->map_start);
  if (!out->map_row || !out->map_start) return no_memory(err);
  for (int64_t i = 0; i < out->nplace; i++) out->map_row[i] = i;
  memcpy(out->map_start, in->maps->start, (nmap + 1) * sizeof *out->map_start);
  out->maps =
      (sheaf_flag_maps){.nmap = in->maps->nmap, .start = out->map_start, .row = out->map_row};
  return 0;
}

static int plan_times(sheaf_flag_averaged *out, const sheaf_flag_averages *in, int64_t *naverage,
                      sheaf_error *err) {
  const size_t n = (size_t)out->nplace + 1;
  double *time = malloc(n * sizeof *time);
  int64_t *scratch = malloc((n + (size_t)out->maps.nmap) * sizeof *scratch);
  out->average = malloc(n * sizeof *out->average);
  if (!time || !scratch || !out->average) {
    free(time);
    free(scratch);
    return no_memory(err);
  }
  for (int64_t i = 0; i < out->nplace; i++) time[i] = in->rows->time[out->place[i]];
  *naverage =
      sheaf_flag_average_plan(time, out->nplace, &out->maps, in->timebin, out->average, scratch);
  free(time);
  free(scratch);
  /* maps of averages */
  int64_t at = 0;
  for (int64_t m = 0; m < out->maps.nmap; m++) {
    const int64_t from = in->maps->start[m], to = in->maps->start[m + 1];
    out->map_start[m] = at;
    for (int64_t i = from; i < to; i++)
      if (i == from || out->average[i] != out->average[i - 1]) out->map_row[at++] = out->average[i];
  }
  out->map_start[out->maps.nmap] = at;
  return 0;
}

/* ---- cells ---- */

static void free_cells(sheaf_flag_cells *c) {
  give(c->data);
  give(c->flag);
  give(c->weight);
  *c = (sheaf_flag_cells){0};
}

static int reserve(sheaf_flag_cells *c, int64_t nrow, int64_t nchan, int64_t ncorr, int parts,
                   int weights, sheaf_error *err) {
  const size_t n = (size_t)(nrow * nchan * ncorr) + 1;
  *c = (sheaf_flag_cells){.nrow = nrow, .nchan = nchan, .ncorr = ncorr, .parts = parts};
  c->data = take(n * (size_t)parts * sizeof *c->data);
  c->flag = take(n);
  if (weights) c->weight = take(n * sizeof *c->weight);
  return c->data && c->flag && (!weights || c->weight) ? 0 : no_memory(err);
}

/* Which weights an average of this column has. */
typedef enum weighing { PLAIN, BY_SIGMA, BY_WEIGHT } weighing;

static weighing weighing_of(const sheaf_flag_averages *in) {
  if (in->source == SHEAF_FLAG_ON_DATA || in->source == SHEAF_FLAG_ON_RESIDUAL_DATA)
    return in->sigma || in->sigma_spectrum ? BY_SIGMA : PLAIN;
  if (in->source == SHEAF_FLAG_ON_CORRECTED || in->source == SHEAF_FLAG_ON_RESIDUAL)
    return in->weight || in->weight_spectrum ? BY_WEIGHT : PLAIN;
  return PLAIN;
}

static void gather_weights(const sheaf_flag_averages *in, weighing how, int64_t place, float *to) {
  const int64_t cell = in->nchan * in->ncorr;
  const float *spectrum = how == BY_SIGMA ? in->sigma_spectrum : in->weight_spectrum;
  const float *row = how == BY_SIGMA ? in->sigma : in->weight;
  if (spectrum) {
    memcpy(to, spectrum + place * cell, (size_t)cell * sizeof *to);
  } else {
    for (int64_t c = 0; c < in->nchan; c++)
      memcpy(to + c * in->ncorr, row + place * in->ncorr, (size_t)in->ncorr * sizeof *to);
  }
  if (how == BY_SIGMA) sheaf_flag_average_weights(to, (size_t)cell, to);
}

static int gather(sheaf_flag_cells *c, const sheaf_flag_averaged *out,
                  const sheaf_flag_averages *in, const float *data, int parts, weighing how,
                  sheaf_error *err) {
  const size_t cell = (size_t)(in->nchan * in->ncorr);
  const int rc = reserve(c, out->nplace, in->nchan, in->ncorr, parts, how != PLAIN, err);
  if (rc < 0) return rc;
  c->sums = in->source == SHEAF_FLAG_ON_WEIGHT_SPECTRUM || in->source == SHEAF_FLAG_ON_WEIGHT;
  for (int64_t i = 0; i < out->nplace; i++) {
    const size_t from = (size_t)out->place[i] * cell, to = (size_t)i * cell;
    memcpy(c->data + to * (size_t)parts, data + from * (size_t)parts,
           cell * (size_t)parts * sizeof *data);
    memcpy(c->flag + to, in->flag + from, cell);
    if (how != PLAIN) gather_weights(in, how, out->place[i], c->weight + to);
  }
  return 0;
}

/* Averages one column in time, then in channels: *result is owned by the caller. time_flag: flags
 * of the averages in time are kept. */
static int average(sheaf_flag_cells *result, sheaf_flag_averaged *out,
                   const sheaf_flag_averages *in, const float *data, int parts, weighing in_time,
                   weighing in_channels, int64_t naverage, sheaf_error *err) {
  sheaf_flag_cells cells = {0}, other = {0};
  int rc;
  *result = (sheaf_flag_cells){0};
  SHEAF_TRY(gather(&cells, out, in, data, parts, in->timebin > 0 ? in_time : in_channels, err));
  if (in->timebin > 0) {
    SHEAF_TRY(reserve(&other, naverage, in->nchan, in->ncorr, parts, 1, err));
    int64_t *first = malloc((size_t)(naverage + 1) * sizeof *first);
    if (!first) SHEAF_TRY(no_memory(err));
    sheaf_flag_average_rows(&cells, out->average, naverage, &other, first);
    free(first);
    free_cells(&cells);
    cells = other;
    other = (sheaf_flag_cells){0};
    if (in_channels == BY_SIGMA)
      sheaf_flag_average_reweigh(cells.weight, (size_t)(naverage * in->nchan * in->ncorr));
    if (in_channels == PLAIN) {
      give(cells.weight);
      cells.weight = NULL;
    }
    if (!out->time_flag) {
      const size_t n = (size_t)(naverage * in->nchan * in->ncorr);
      if (!(out->time_flag = take(n + 1))) SHEAF_TRY(no_memory(err));
      memcpy(out->time_flag, cells.flag, n);
    }
  }
  if (in->channels) {
    const int64_t nsel = in->chan ? in->nsel : in->nchan;
    out->width = sheaf_flag_average_width(in->chanbin, nsel);
    SHEAF_TRY(reserve(&other, cells.nrow, sheaf_flag_average_bins(nsel, out->width), in->ncorr,
                      parts, 0, err));
    sheaf_flag_average_channels(&cells, in->chan, nsel, out->width, &other);
    free_cells(&cells);
    cells = other;
    other = (sheaf_flag_cells){0};
  }
  *result = cells;
  cells = (sheaf_flag_cells){0};
  rc = 0;
done:
  free_cells(&cells);
  free_cells(&other);
  return rc;
}

/* Data minus the plain average of the model. */
static int subtract_model(sheaf_flag_cells *c, sheaf_flag_averaged *out,
                          const sheaf_flag_averages *in, int64_t naverage, sheaf_error *err) {
  sheaf_flag_cells model;
  const int rc = average(&model, out, in, in->minus, 2, weighing_of(in), PLAIN, naverage, err);
  if (rc < 0) return rc;
  const size_t n = (size_t)(c->nrow * c->nchan * c->ncorr) * 2;
  for (size_t i = 0; i < n; i++) c->data[i] -= model.data[i];
  free_cells(&model);
  return 0;
}

int sheaf_flag_averages_make(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                             sheaf_error *err) {
  sheaf_flag_cells cells = {0};
  int64_t naverage = 0;
  int rc;
  *out = (sheaf_flag_averaged){.width = 1};
  SHEAF_TRY(gather_places(out, in, err));
  if (in->timebin > 0) SHEAF_TRY(plan_times(out, in, &naverage, err));
  SHEAF_TRY(average(&cells, out, in, in->data, in->real ? 1 : 2, weighing_of(in), weighing_of(in),
                    naverage, err));
  if (in->minus) SHEAF_TRY(subtract_model(&cells, out, in, naverage, err));
  const size_t nflag = (size_t)(cells.nrow * cells.nchan * cells.ncorr);
  if (!(out->original = take(nflag + 1))) SHEAF_TRY(no_memory(err));
  memcpy(out->original, cells.flag, nflag);
  out->n = cells.nrow;
  out->data = cells.data;
  out->flag = cells.flag;
  cells.data = NULL;
  cells.flag = NULL;
  out->view = (sheaf_flag_view){.data = out->data,
                                .real = in->real,
                                .flag = out->flag,
                                .nchan = cells.nchan,
                                .ncorr = cells.ncorr,
                                .chan = in->channels ? NULL : in->chan,
                                .nsel = in->channels ? 0 : in->nsel};
  rc = 0;
done:
  free_cells(&cells);
  if (rc < 0) sheaf_flag_averages_free(out);
  return rc;
}

void sheaf_flag_averages_return(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                                uint8_t *flag) {
  const int64_t cell = in->nchan * in->ncorr;
  sheaf_flag_view to = {
      .flag = flag, .nchan = in->nchan, .ncorr = in->ncorr, .chan = in->chan, .nsel = in->nsel};
  const uint8_t *from = out->flag; /* what comes back, in all channels */
  if (in->channels && in->timebin > 0) {
    sheaf_flag_view full = to;
    full.flag = out->time_flag;
    sheaf_flag_average_spread(&full, NULL, out->n, out->width, out->flag);
    from = out->time_flag;
  } else if (in->channels) {
    sheaf_flag_average_spread(&to, out->place, out->nplace, out->width, out->flag);
    return;
  }
  for (int64_t i = 0; i < out->nplace; i++) {
    const int64_t k = in->timebin > 0 ? out->average[i] : i;
    sheaf_flag_merge(&to, &out->place[i], 1, from + k * cell);
  }
}

void sheaf_flag_averages_free(sheaf_flag_averaged *out) {
  give(out->data);
  give(out->flag);
  give(out->time_flag);
  give(out->original);
  free(out->place);
  free(out->average);
  free(out->map_row);
  free(out->map_start);
  *out = (sheaf_flag_averaged){0};
}

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

/* The rows `place`, one behind the other. */
static int gather(sheaf_flag_cells *c, const int64_t *place, int64_t n,
                  const sheaf_flag_averages *in, const float *data, int parts, weighing how,
                  sheaf_error *err) {
  const size_t cell = (size_t)(in->nchan * in->ncorr);
  const int rc = reserve(c, n, in->nchan, in->ncorr, parts, how != PLAIN, err);
  if (rc < 0) return rc;
  c->sums = in->source == SHEAF_FLAG_ON_WEIGHT_SPECTRUM || in->source == SHEAF_FLAG_ON_WEIGHT;
  for (int64_t i = 0; i < n; i++) {
    const size_t from = (size_t)place[i] * cell, to = (size_t)i * cell;
    memcpy(c->data + to * (size_t)parts, data + from * (size_t)parts,
           cell * (size_t)parts * sizeof *data);
    memcpy(c->flag + to, in->flag + from, cell);
    if (how != PLAIN) gather_weights(in, how, place[i], c->weight + to);
  }
  return 0;
}

/* Averages the cells in channels, in place. */
static int average_channels(sheaf_flag_cells *cells, sheaf_flag_averaged *out,
                            const sheaf_flag_averages *in, sheaf_error *err) {
  const int64_t nsel = in->chan ? in->nsel : in->nchan;
  sheaf_flag_cells other;
  if (!in->channels) return 0;
  out->width = sheaf_flag_average_width(in->chanbin, nsel);
  const int rc = reserve(&other, cells->nrow, sheaf_flag_average_bins(nsel, out->width), in->ncorr,
                         cells->parts, 0, err);
  if (rc >= 0) {
    sheaf_flag_average_channels(cells, in->chan, nsel, out->width, &other);
    free_cells(cells);
    *cells = other;
  } else {
    free_cells(&other);
  }
  return rc;
}

/* Data minus the plain average of the model. */
static void subtract_model(sheaf_flag_cells *data, const sheaf_flag_cells *model) {
  const size_t n = (size_t)(data->nrow * data->nchan * data->ncorr) * 2;
  for (size_t i = 0; i < n; i++) data->data[i] -= model->data[i];
}

/* What the command sees, which takes the cells. */
static int complete(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                    sheaf_flag_cells *cells, sheaf_error *err) {
  const size_t nflag = (size_t)(cells->nrow * cells->nchan * cells->ncorr);
  if (!(out->original = take(nflag + 1))) return no_memory(err);
  memcpy(out->original, cells->flag, nflag);
  out->n = cells->nrow;
  out->data = cells->data;
  out->flag = cells->flag;
  cells->data = NULL;
  cells->flag = NULL;
  out->view = (sheaf_flag_view){.data = out->data,
                                .real = in->real,
                                .flag = out->flag,
                                .nchan = cells->nchan,
                                .ncorr = cells->ncorr,
                                .chan = in->channels ? NULL : in->chan,
                                .nsel = in->channels ? 0 : in->nsel};
  return 0;
}

/* ---- averages in time ---- */

void sheaf_flag_averaging_free(sheaf_flag_averaging *sums) {
  free_cells(&sums->data);
  free_cells(&sums->model);
  free(sums->first);
  *sums = (sheaf_flag_averaging){0};
}

int sheaf_flag_averaging_begin(sheaf_flag_averaging *sums, const sheaf_flag_averages *in, int64_t n,
                               sheaf_error *err) {
  int rc;
  *sums = (sheaf_flag_averaging){.n = n};
  if (!(sums->first = malloc((size_t)(n + 1) * sizeof *sums->first))) SHEAF_TRY(no_memory(err));
  for (int64_t k = 0; k < n; k++) sums->first[k] = -1;
  SHEAF_TRY(reserve(&sums->data, n, in->nchan, in->ncorr, in->real ? 1 : 2, 1, err));
  if (in->minus) SHEAF_TRY(reserve(&sums->model, n, in->nchan, in->ncorr, 2, 1, err));
  return 0;
done:
  sheaf_flag_averaging_free(sums);
  return rc;
}

/* Adds one column; which averages had begun before is not changed. */
static int add_column(const sheaf_flag_averaging *sums, sheaf_flag_cells *to,
                      const sheaf_flag_averages *in, const float *data, const int64_t *average,
                      int64_t *first, sheaf_error *err) {
  const int64_t n = in->maps ? in->maps->start[in->maps->nmap] : 0;
  sheaf_flag_cells cells = {0};
  const int rc =
      gather(&cells, n ? in->maps->row : NULL, n, in, data, to->parts, weighing_of(in), err);
  memcpy(first, sums->first, (size_t)sums->n * sizeof *first);
  if (rc >= 0) sheaf_flag_average_add(&cells, average, to, first);
  free_cells(&cells);
  return rc;
}

int sheaf_flag_averaging_add(sheaf_flag_averaging *sums, const sheaf_flag_averages *in,
                             const int64_t *average, sheaf_error *err) {
  int64_t *first = malloc((size_t)(sums->n + 1) * sizeof *first);
  int rc =
      first ? add_column(sums, &sums->data, in, in->data, average, first, err) : no_memory(err);
  if (rc >= 0 && in->minus) rc = add_column(sums, &sums->model, in, in->minus, average, first, err);
  if (rc >= 0) memcpy(sums->first, first, (size_t)sums->n * sizeof *first);
  free(first);
  return rc;
}

/* A column's averages in time, with the weights that those in channels take. */
static void end_column(sheaf_flag_cells *c, weighing in_channels) {
  sheaf_flag_average_norm(c);
  if (in_channels == BY_SIGMA)
    sheaf_flag_average_reweigh(c->weight, (size_t)(c->nrow * c->nchan * c->ncorr));
  if (in_channels == PLAIN) {
    give(c->weight);
    c->weight = NULL;
  }
}

int sheaf_flag_averaging_end(sheaf_flag_averaged *out, sheaf_flag_averaging *sums,
                             const sheaf_flag_averages *in, sheaf_error *err) {
  const size_t n = (size_t)(sums->n * in->nchan * in->ncorr);
  int rc;
  out->width = 1;
  end_column(&sums->data, weighing_of(in));
  if (!(out->time_flag = take(n + 1))) SHEAF_TRY(no_memory(err));
  memcpy(out->time_flag, sums->data.flag, n);
  SHEAF_TRY(average_channels(&sums->data, out, in, err));
  if (in->minus) {
    end_column(&sums->model, PLAIN);
    SHEAF_TRY(average_channels(&sums->model, out, in, err));
    subtract_model(&sums->data, &sums->model);
  }
  rc = complete(out, in, &sums->data, err);
done:
  sheaf_flag_averaging_free(sums);
  return rc;
}

/* ---- the interface ---- */

static int make_in_time(sheaf_flag_averaged *out, const sheaf_flag_averages *in, sheaf_error *err) {
  int64_t naverage = 0;
  sheaf_flag_averaging sums;
  int rc = plan_times(out, in, &naverage, err);
  if (rc >= 0) rc = sheaf_flag_averaging_begin(&sums, in, naverage, err);
  if (rc < 0) return rc;
  rc = sheaf_flag_averaging_add(&sums, in, out->average, err);
  if (rc >= 0) return sheaf_flag_averaging_end(out, &sums, in, err);
  sheaf_flag_averaging_free(&sums);
  return rc;
}

static int make_in_channels(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                            sheaf_error *err) {
  sheaf_flag_cells cells = {0}, model = {0};
  int rc;
  SHEAF_TRY(gather(&cells, out->place, out->nplace, in, in->data, in->real ? 1 : 2, weighing_of(in),
                   err));
  SHEAF_TRY(average_channels(&cells, out, in, err));
  if (in->minus) {
    SHEAF_TRY(gather(&model, out->place, out->nplace, in, in->minus, 2, PLAIN, err));
    SHEAF_TRY(average_channels(&model, out, in, err));
    subtract_model(&cells, &model);
  }
  rc = complete(out, in, &cells, err);
done:
  free_cells(&cells);
  free_cells(&model);
  return rc;
}

int sheaf_flag_averages_make(sheaf_flag_averaged *out, const sheaf_flag_averages *in,
                             sheaf_error *err) {
  *out = (sheaf_flag_averaged){.width = 1};
  int rc = gather_places(out, in, err);
  if (rc >= 0) rc = in->timebin > 0 ? make_in_time(out, in, err) : make_in_channels(out, in, err);
  if (rc < 0) sheaf_flag_averages_free(out);
  return rc;
}

int sheaf_flag_averages_of(sheaf_flag_averaged *out, const int64_t *place, const int64_t *average,
                           int64_t n, sheaf_error *err) {
  const size_t size = (size_t)(n + 1) * sizeof *place;
  free(out->place);
  free(out->average);
  out->place = malloc(size);
  out->average = malloc(size);
  out->nplace = 0;
  if (!out->place || !out->average) return no_memory(err);
  memcpy(out->place, place, size - sizeof *place);
  memcpy(out->average, average, size - sizeof *place);
  out->nplace = n;
  return 0;
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

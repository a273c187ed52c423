/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_average.h"

#include <float.h>
#include <math.h>
#include <string.h>

static float weight_of(float sigma) {
  return sigma > FLT_MIN ? (float)(1.0 / (double)(sigma * sigma)) : 0.0f;
}

void sheaf_flag_average_weights(const float *sigma, size_t n, float *weight) {
  for (size_t i = 0; i < n; i++) weight[i] = weight_of(sigma[i]);
}

void sheaf_flag_average_reweigh(float *weight, size_t n) {
  for (size_t i = 0; i < n; i++)
    weight[i] = weight_of(weight[i] > FLT_MIN ? (float)(1.0 / (double)sqrtf(weight[i])) : -1.0f);
}

int64_t sheaf_flag_average_width(int64_t chanbin, int64_t n) {
  if (chanbin == 0) return 1;
  return chanbin == 1 || chanbin > n ? n : chanbin;
}

int64_t sheaf_flag_average_bins(int64_t n, int64_t width) {
  return width > 0 ? (n + width - 1) / width : 0;
}

/* A running average: only flagged samples, until the first that is not flagged; only those from
 * there on. */
typedef struct running {
  float sum[2], weight;
  uint8_t flag;
} running;

static inline void running_add(running *a, const float *value, int parts, uint8_t flag,
                               float weight) {
  if (!a->flag && flag) return;
  const int restart = a->flag && !flag;
  for (int k = 0; k < parts; k++) {
    const float product = value[k] * weight;
    a->sum[k] = restart ? product : a->sum[k] + product;
  }
  a->weight = restart ? weight : a->weight + weight;
  a->flag &= flag;
}

static void average_bin(const sheaf_flag_cells *in, const int32_t *chan, int64_t row, int64_t first,
                        int64_t end, int64_t corr, float *value, uint8_t *flag) {
  const int64_t line = row * in->nchan;
  running a = {.flag = in->flag[(line + (chan ? chan[first] : first)) * in->ncorr + corr]};
  for (int64_t c = first; c < end; c++) {
    const int64_t at = (line + (chan ? chan[c] : c)) * in->ncorr + corr;
    running_add(&a, in->data + at * in->parts, in->parts, in->flag[at],
                in->weight ? in->weight[at] : 1.0f);
  }
  const float norm = in->sums ? 1.0f : a.weight;
  for (int k = 0; k < in->parts; k++) value[k] = norm > 0.0f ? a.sum[k] / norm : 0.0f;
  *flag = a.flag;
}

void sheaf_flag_average_channels(const sheaf_flag_cells *in, const int32_t *chan, int64_t n,
                                 int64_t width, sheaf_flag_cells *out) {
  const int64_t bins = sheaf_flag_average_bins(n, width), ncorr = in->ncorr;
  out->nrow = in->nrow;
  out->nchan = bins;
  out->ncorr = ncorr;
  out->parts = in->parts;
  if (in->nchan == 1 && bins == 1) {
    memcpy(out->data, in->data, sizeof *in->data * (size_t)(in->nrow * ncorr * in->parts));
    memcpy(out->flag, in->flag, (size_t)(in->nrow * ncorr));
    return;
  }
  for (int64_t r = 0; r < in->nrow; r++)
    for (int64_t b = 0; b < bins; b++)
      for (int64_t p = 0; p < ncorr; p++) {
        const int64_t at = (r * bins + b) * ncorr + p,
                      end = n < (b + 1) * width ? n : (b + 1) * width;
        average_bin(in, chan, r, b * width, end, p, out->data + at * in->parts, out->flag + at);
      }
}

int64_t sheaf_flag_average_spread(const sheaf_flag_view *view, const int64_t *row, int64_t nrow,
                                  int64_t width, const uint8_t *flag) {
  const int64_t n = sheaf_flag_view_channels(view), ncorr = view->ncorr;
  const int64_t bins = sheaf_flag_average_bins(n, width);
  int64_t total = 0;
  for (int64_t i = 0; i < nrow; i++) {
    const int64_t r = row ? row[i] : i;
    int64_t new = 0;
    for (int64_t c = 0; c < n; c++) {
      uint8_t *cell = view->flag + (r * view->nchan + (view->chan ? view->chan[c] : c)) * ncorr;
      const uint8_t *bin = flag + (i * bins + c / width) * ncorr;
      for (int64_t p = 0; p < ncorr; p++) {
        new += bin[p] & (cell[p] ^ 1);
        cell[p] |= bin[p];
      }
    }
    if (new && view->changed) view->changed[r] = 1;
    total += new;
  }
  return total;
}

int64_t sheaf_flag_average_plan(const double *time, int64_t n, const sheaf_flag_maps *maps,
                                double timebin, int64_t *average, int64_t *scratch) {
  int64_t *closes = scratch; /* [n]: 1 + the first row of the average that this row closes, or -1 -
                                map of a map's first row */
  int64_t *open = scratch + n; /* [nmap]: first row of the map's last average */
  const double longest = timebin * 0.999;
  int64_t count = 0;
  /* average[i]: at first the first row of its average; for that row itself -1 - its number, once
   * there is one. */
  for (int64_t i = 0; i < n; i++) closes[i] = 0;
  for (int64_t m = 0; m < maps->nmap; m++) {
    int64_t first = -1;
    for (int64_t i = maps->start[m]; i < maps->start[m + 1]; i++) {
      const int64_t r = maps->row[i];
      if (first < 0 || time[r] - time[first] > longest) {
        closes[r] = first < 0 ? -1 - m : 1 + first;
        first = r;
      }
      average[r] = first;
    }
    open[m] = first;
  }
  for (int64_t r = 0; r < n; r++)
    if (closes[r] > 0) average[closes[r] - 1] = -1 - count++;
  for (int64_t r = 0; r < n; r++)
    if (closes[r] < 0) average[open[-1 - closes[r]]] = -1 - count++;
  for (int64_t r = n - 1; r >= 0; r--)
    average[r] = -1 - (average[r] < 0 ? average[r] : average[average[r]]);
  return count;
}

void sheaf_flag_average_add(const sheaf_flag_cells *in, const int64_t *average,
                            sheaf_flag_cells *out, int64_t *first) {
  const int64_t cells = in->nchan * in->ncorr;
  for (int64_t r = 0; r < in->nrow; r++) {
    const int64_t from = r * cells, to = average[r] * cells;
    const int begins = first[average[r]] < 0;
    if (begins) first[average[r]] = r;
    for (int64_t i = 0; i < cells; i++) {
      const float *value = in->data + (from + i) * in->parts;
      const float weight = in->weight ? in->weight[from + i] : 1.0f;
      running a = {.weight = weight, .flag = in->flag[from + i]};
      float *sum = out->data + (to + i) * in->parts;
      if (begins) {
        for (int k = 0; k < in->parts; k++) a.sum[k] = value[k] * weight;
      } else {
        a.weight = out->weight[to + i];
        a.flag = out->flag[to + i];
        for (int k = 0; k < in->parts; k++) a.sum[k] = sum[k];
        running_add(&a, value, in->parts, in->flag[from + i], weight);
      }
      for (int k = 0; k < in->parts; k++) sum[k] = a.sum[k];
      out->weight[to + i] = a.weight;
      out->flag[to + i] = a.flag;
    }
  }
}

void sheaf_flag_average_norm(sheaf_flag_cells *out) {
  for (int64_t i = 0; i < out->nrow * out->nchan * out->ncorr; i++)
    for (int k = 0; k < out->parts; k++)
      if (out->weight[i] > 0.0f) out->data[i * out->parts + k] /= out->weight[i];
}

void sheaf_flag_average_rows(const sheaf_flag_cells *in, const int64_t *average, int64_t naverage,
                             sheaf_flag_cells *out, int64_t *first) {
  out->nrow = naverage;
  out->nchan = in->nchan;
  out->ncorr = in->ncorr;
  out->parts = in->parts;
  for (int64_t k = 0; k < naverage; k++) first[k] = -1;
  sheaf_flag_average_add(in, average, out, first);
  sheaf_flag_average_norm(out);
}

int64_t sheaf_flag_average_return(const uint8_t *flag, const int64_t *average, int64_t n,
                                  int64_t cells, uint8_t *into, uint8_t *changed) {
  int64_t total = 0;
  for (int64_t r = 0; r < n; r++) {
    const uint8_t *from = flag + average[r] * cells;
    uint8_t *to = into + r * cells;
    int64_t new = 0;
    for (int64_t i = 0; i < cells; i++) {
      new += from[i] & (to[i] ^ 1);
      to[i] |= from[i];
    }
    if (new &&changed) changed[r] = 1;
    total += new;
  }
  return total;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The modes that look along time, on a long baseline. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flag/long_impl.h"

/* ---- rflag ---- */

/* Rows from..to-1 with those that windows about them look at; *at: where they are. 1, or 0 without
 * data. */
static int load_windows(sheaf_long_feed *f, int64_t from, int64_t to, int64_t half,
                        sheaf_flag_stretch *at, sheaf_error *err) {
  const int64_t first = from > half ? from - half : 0;
  const int64_t end = f->nrow - to > half ? to + half : f->nrow;
  *at = (sheaf_flag_stretch){
      .nrow = f->nrow, .first = first, .from = from - first, .to = to - first};
  return sheaf_long_load(f, first, end, 1, err);
}

/* Rows on both sides of a window's middle. */
static int64_t half_of(const sheaf_long_feed *f) {
  const int64_t size = f->s->agent->rflag.winsize;
  return ((f->nrow > size ? size : f->nrow) - 1) / 2;
}

static int64_t rflag_step(const sheaf_long_feed *f, int64_t ncorr) {
  return sheaf_long_step(f, (int64_t)sheaf_flag_rflag_scratch(16, f->nchan, (int)ncorr) / 16,
                         half_of(f));
}

static void *rflag_scratch(const sheaf_long_feed *f, int nq, sheaf_error *err) {
  return sheaf_flag_pass_scratch(
      f->s->pass, SHEAF_FLAG_KERNEL,
      sheaf_flag_rflag_scratch(f->inner.maps.start[1], f->nchan, nq), err);
}

/* What a tally wants of each stretch. */
typedef struct tallying {
  int medians;
  const sheaf_flag_share *share;
  const sheaf_flag_quantity *q;
  int nq;
} tallying;

static int tally_stretch(sheaf_long_feed *f, const tallying *w, const sheaf_flag_stretch *at,
                         sheaf_flag_spectrum *spectra, sheaf_error *err) {
  sheaf_flag_tally *t = &f->s->pass->tally[f->s->number];
  sheaf_flag_scene *s = &f->inner, part = *s;
  void *memory = rflag_scratch(f, w->nq, err);
  int64_t from = 0;
  if (!memory) return SHEAF_ERR_NOMEM;
  sheaf_flag_statistics out = {.medians = 1, .spectra = spectra, .stretch = at};
  if (w->medians && w->share->of != 1)
    sheaf_flag_rflag_statistics(&s->view, s->original, &s->maps, w->q, w->nq, &out, memory);
  if (!w->share->of) return 0;
  const int64_t n = sheaf_flag_scene_narrow(&part, w->share, &from, err);
  if (n <= 0) return (int)n;
  double *sum = t->memory + from;
  const sheaf_flag_sums time = {sum, sum + f->nchan},
                        freq = {sum + 2 * f->nchan, sum + 3 * f->nchan};
  out.medians = w->medians && w->share->of == 1;
  out.time = t->time <= 0 ? &time : NULL;
  out.winsize = s->agent->rflag.winsize;
  out.freq = t->freq <= 0 ? &freq : NULL;
  sheaf_flag_rflag_statistics(&part.view, s->original, &s->maps, w->q, w->nq, &out, memory);
  return 0;
}

static int tally_all(sheaf_long_feed *f, const sheaf_flag_share *share, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  sheaf_flag_tally *t = &f->s->pass->tally[f->s->number];
  const int nq = sheaf_flag_scene_quantities(f->s, q);
  const int64_t n = f->nrow * nq, step = rflag_step(f, nq);
  const tallying what = {.medians = t->nspectrum != n, .share = share, .q = q, .nq = nq};
  int rc = 1;
  if (nq == 0) return 0;
  if (what.medians && !sheaf_flag_tally_room(t, n, err)) return SHEAF_ERR_NOMEM;
  if (share->of && !sheaf_flag_tally_channels(t, f->nchan, err)) return SHEAF_ERR_NOMEM;
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    sheaf_flag_stretch at;
    to = sheaf_long_end(f, from, step);
    rc = load_windows(f, from, to, half_of(f), &at, err);
    if (rc > 0 && (rc = tally_stretch(f, &what, &at, t->spectra + from * nq, err)) >= 0) rc = 1;
  }
  if (rc > 0) t->nspectrum = n;
  return rc;
}

int sheaf_long_statistics(sheaf_long *l, sheaf_flag_scene *s, const sheaf_flag_share *share,
                          sheaf_error *err) {
  sheaf_long_feed f;
  int rc = sheaf_long_open(&f, l, s, err);
  if (rc > 0) rc = tally_all(&f, share, err);
  sheaf_long_close(&f);
  return rc;
}

static int rflag(sheaf_long_feed *f, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  const sheaf_flag_agent *a = f->s->agent;
  sheaf_flag_tally *t = &f->s->pass->tally[f->s->number];
  const int nq = sheaf_flag_scene_quantities(f->s, q);
  const int64_t n = f->nrow * nq, step = rflag_step(f, nq);
  const int known = t->nspectrum == n;
  sheaf_flag_stretch at;
  const sheaf_flag_rflag_options o = {.winsize = a->rflag.winsize,
                                      .noise = t->time * a->rflag.timedevscale,
                                      .cut = t->freq * a->rflag.freqdevscale,
                                      .spectralmin = a->rflag.spectralmin,
                                      .spectralmax = a->rflag.spectralmax,
                                      .stretch = &at};
  int rc = 1;
  if (nq == 0 || (!(o.noise > 0.0) && !(o.cut > 0.0))) return 0;
  if (!known && !sheaf_flag_tally_room(t, step * nq, err)) return SHEAF_ERR_NOMEM;
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    to = sheaf_long_end(f, from, step);
    rc = load_windows(f, from, to, half_of(f), &at, err);
    if (rc <= 0) break;
    const sheaf_flag_scene *s = &f->inner;
    sheaf_flag_spectrum *spectra = t->spectra + (known ? from * nq : 0);
    const sheaf_flag_statistics medians = {.medians = 1, .spectra = spectra, .stretch = &at};
    void *memory = rflag_scratch(f, nq, err);
    if (!memory) return SHEAF_ERR_NOMEM;
    if (!known)
      sheaf_flag_rflag_statistics(&s->view, s->original, &s->maps, q, nq, &medians, memory);
    s->pass->flagged[s->number] +=
        sheaf_flag_rflag_apply(&s->view, s->original, &s->maps, q, nq, spectra, &o, memory);
    if ((rc = sheaf_long_keep(f, f->from, f->to, err)) >= 0) rc = 1;
  }
  return rc;
}

/* ---- tfcrop ---- */

/* tfcrop's values along time, in a scratch file: [quantity][group of channels][row][width]. */
typedef struct spill {
  int fd;
  int64_t width, groups;
} spill;

typedef struct cropping {
  sheaf_long_feed *f;
  sheaf_flag_crop crop;
  int64_t step;
  spill spill;
} cropping;

static int64_t spill_place(const cropping *k, int q, int64_t group, int64_t row) {
  return ((q * k->spill.groups + group) * k->f->nrow + row) * k->spill.width * (int64_t)sizeof(float);
}

/* Writes the values of a stretch; those of a group one behind the other. */
static int spill_values(const cropping *k, sheaf_error *err) {
  const sheaf_long_feed *f = k->f;
  const int64_t n = f->to - f->from, width = k->spill.width, columns = k->crop.columns;
  const size_t bytes = (size_t)(n * width) * sizeof(float);
  float *copy = sheaf_flag_pass_scratch(f->s->pass, SHEAF_FLAG_VALUES, bytes, err);
  int rc = copy ? 0 : SHEAF_ERR_NOMEM;
  for (int q = 0; rc >= 0 && q < k->crop.nquantity; q++)
    for (int64_t g = 0; rc >= 0 && g < k->spill.groups; g++) {
      const int64_t at = g * width, wide = columns - at < width ? columns - at : width;
      memset(copy, 0, bytes);
      for (int64_t t = 0; t < n; t++)
        memcpy(copy + t * width, k->crop.values + (q * n + t) * columns + at,
               (size_t)wide * sizeof *copy);
      rc = sheaf_long_write(f->l, k->spill.fd, copy, bytes, spill_place(k, q, g, f->from), err);
    }
  return rc;
}

/* Outliers among all times of some channels are marked in the file. */
static int mark_times(cropping *k, sheaf_error *err) {
  const sheaf_long_feed *f = k->f;
  const size_t bytes = (size_t)(f->nrow * k->spill.width) * sizeof(float);
  float *values = sheaf_flag_pass_scratch(f->s->pass, SHEAF_FLAG_VALUES, bytes, err);
  int rc = values ? 0 : SHEAF_ERR_NOMEM;
  for (int q = 0; rc >= 0 && q < k->crop.nquantity; q++)
    for (int64_t g = 0; rc >= 0 && g < k->spill.groups; g++) {
      const int64_t at = spill_place(k, q, g, 0);
      rc = sheaf_long_read(f->l, k->spill.fd, values, bytes, at, err);
      if (rc < 0) break;
      sheaf_flag_crop_times(&k->crop, q, values, k->spill.width, g * k->spill.width);
      rc = sheaf_long_write(f->l, k->spill.fd, values, bytes, at, err);
    }
  return rc;
}

/* Flags of the stretch at hand from the marks. */
static int take_marks(cropping *k, sheaf_error *err) {
  const sheaf_long_feed *f = k->f;
  const size_t bytes = (size_t)((f->to - f->from) * k->spill.width) * sizeof(float);
  float *values = sheaf_flag_pass_scratch(f->s->pass, SHEAF_FLAG_VALUES, bytes, err);
  int rc = values ? 0 : SHEAF_ERR_NOMEM;
  for (int q = 0; rc >= 0 && q < k->crop.nquantity; q++)
    for (int64_t g = 0; rc >= 0 && g < k->spill.groups && (k->crop.any >> q & 1); g++) {
      rc = sheaf_long_read(f->l, k->spill.fd, values, bytes, spill_place(k, q, g, f->from), err);
      if (rc < 0) break;
      f->s->pass->flagged[f->s->number] +=
          sheaf_flag_crop_marks(&k->crop, &f->inner.view, &f->inner.maps, q, values,
                                k->spill.width, g * k->spill.width);
    }
  return rc;
}

/* What is done with each stretch. */
typedef enum crop_step { MEANS, FLAGS, MARKS, SHARES } crop_step;

static int crop_sweep(cropping *k, crop_step what, sheaf_error *err) {
  sheaf_long_feed *f = k->f;
  int64_t *flagged = &f->s->pass->flagged[f->s->number];
  int rc = 1;
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    to = sheaf_long_end(f, from, k->step);
    rc = sheaf_long_load(f, from, to, what == MEANS || what == FLAGS, err);
    if (rc <= 0) break;
    const sheaf_flag_scene *s = &f->inner;
    if (what == MEANS) sheaf_flag_crop_means(&k->crop, &s->view, &s->maps, from);
    if (what == MEANS && !k->crop.along_freq) rc = spill_values(k, err);
    if (what == FLAGS) *flagged += sheaf_flag_crop_flag(&k->crop, &s->view, &s->maps);
    if (what == MARKS) rc = take_marks(k, err);
    if (what == SHARES) *flagged += sheaf_flag_crop_share(&k->crop, &s->view, &s->maps);
    if (rc >= 0 && what != MEANS) rc = sheaf_long_keep(f, from, to, err);
    if (rc >= 0) rc = 1;
  }
  return rc;
}

static int crop_pass(cropping *k, sheaf_error *err) {
  int rc = crop_sweep(k, MEANS, err);
  if (rc <= 0) return rc;
  sheaf_flag_crop_fit(&k->crop);
  if (!k->crop.any) return 1;
  if (k->crop.along_freq) return crop_sweep(k, FLAGS, err);
  rc = mark_times(k, err);
  return rc < 0 ? rc : crop_sweep(k, MARKS, err);
}

/* Quantities that are done together. */
static int crop_quantities(sheaf_long_feed *f, const sheaf_flag_quantity *q, int n,
                           sheaf_error *err) {
  const sheaf_flag_agent *a = f->s->agent;
  const int64_t limit = sheaf_flag_loader_limit(f->l->work->loader);
  cropping k = {.f = f,
                .step = sheaf_long_step(f, 4 * f->nchan * n, 0),
                .spill = {.fd = -1},
                .crop = {.options = &a->tfcrop,
                         .quantity = q,
                         .nquantity = n,
                         .op = a->expression.op,
                         .nrow = f->nrow,
                         .nchan = f->nchan}};
  k.crop.stretch = k.step;
  void *memory =
      sheaf_flag_pass_scratch(f->s->pass, SHEAF_FLAG_KERNEL,
                              sheaf_flag_crop_scratch(f->nrow, f->nchan, n, k.step), err);
  if (!memory) return SHEAF_ERR_NOMEM;
  sheaf_flag_crop_begin(&k.crop, memory);
  k.spill.width = limit / 2 / (4 * f->nrow) / SHEAF_FLAG_CROP_LANES * SHEAF_FLAG_CROP_LANES;
  if (k.spill.width < SHEAF_FLAG_CROP_LANES) k.spill.width = SHEAF_FLAG_CROP_LANES;
  if (k.spill.width > k.crop.columns) k.spill.width = k.crop.columns;
  k.spill.groups = (k.crop.columns + k.spill.width - 1) / k.spill.width;
  int rc = sheaf_long_file(f->l, &k.spill.fd, err);
  if (rc >= 0) rc = 1;
  for (int pass = 0; rc > 0 && sheaf_flag_crop_pass(&k.crop, pass); pass++) rc = crop_pass(&k, err);
  if (rc > 0 && q->form != SHEAF_FLAG_SINGLE) rc = crop_sweep(&k, SHARES, err);
  if (k.spill.fd >= 0) close(k.spill.fd);
  return rc;
}

static int tfcrop(sheaf_long_feed *f, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  const int nq = sheaf_flag_scene_quantities(f->s, q);
  int rc = 1;
  for (int i = 0, n; rc > 0 && i < nq; i += n) {
    for (n = 1; q[i].form == SHEAF_FLAG_SINGLE && i + n < nq && n < SHEAF_FLAG_CROP_QUANTITIES &&
                q[i + n].form == SHEAF_FLAG_SINGLE;)
      n++;
    rc = crop_quantities(f, q + i, n, err);
  }
  return rc;
}

/* Flags of one quantity are cleared, unless all its samples are flagged. */
static int undo_quantity(sheaf_long_feed *f, const sheaf_flag_quantity *q, sheaf_error *err) {
  const uint64_t corrs = 1ULL << q->a | 1ULL << q->b;
  const int64_t step = sheaf_long_step(f, 0, 0);
  int good = 0, rc = 1;
  for (int clear = 0; rc > 0 && clear <= good; clear++)
    for (int64_t from = 0, to; rc > 0 && from < f->nrow && (clear || !good); from = to) {
      to = sheaf_long_end(f, from, step);
      rc = sheaf_long_load(f, from, to, 0, err);
      if (rc <= 0) break;
      const sheaf_flag_scene *s = &f->inner;
      const int64_t n = s->maps.start[1];
      for (int64_t i = 0; !clear && !good && i < n; i++)
        good = sheaf_flag_has_good(&s->view, s->maps.row[i], q);
      if (!clear) continue;
      s->pass->flagged[s->number] += sheaf_flag_fill(&s->view, s->maps.row, n, corrs, 0);
      if ((rc = sheaf_long_keep(f, from, to, err)) >= 0) rc = 1;
    }
  return rc;
}

static int undo(sheaf_long_feed *f, sheaf_error *err) {
  sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES];
  const int nq = sheaf_flag_scene_quantities(f->s, q);
  int rc = 1;
  for (int i = 0; rc > 0 && i < nq; i++) rc = undo_quantity(f, &q[i], err);
  for (int64_t i = 0; rc > 0 && nq && f->s->agent->sets_row && i < f->n; i++) {
    f->l->row_known[f->place[i]] = 1;
    f->l->row_now[f->place[i]] = 0;
  }
  return rc;
}

/* ---- extend ---- */

/* Neighbours, from the flags as they were; and how often channels are flagged. */
static int extend_look(sheaf_long_feed *f, const sheaf_flag_extend_options *o, int32_t *times,
                       sheaf_error *err) {
  const int64_t step = sheaf_long_step(f, 2 * f->nchan * f->s->block->ncorr, 1);
  uint8_t *before = NULL; /* flags of the row before the stretch, as they were */
  int rc = 1;
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    sheaf_flag_stretch at;
    to = sheaf_long_end(f, from, step);
    rc = load_windows(f, from, to, 1, &at, err);
    if (rc <= 0) break;
    const sheaf_flag_scene *s = &f->inner;
    const size_t cell = (size_t)(s->view.nchan * s->view.ncorr);
    void *memory = sheaf_flag_pass_scratch(
        s->pass, SHEAF_FLAG_KERNEL,
        sheaf_flag_extend_scratch(s->maps.start[1], f->nchan, s->view.ncorr), err);
    if (!before) before = malloc(cell + 1);
    if (!memory || !before) {
      rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the rows of a long baseline");
      break;
    }
    if (at.from) memcpy(s->view.flag + (size_t)s->maps.row[0] * cell, before, cell);
    memcpy(before, s->view.flag + (size_t)s->maps.row[at.to - 1] * cell, cell);
    s->pass->flagged[s->number] +=
        sheaf_flag_extend_look(&s->view, &s->maps, o, &at, times, memory);
    if ((rc = sheaf_long_keep(f, from, to, err)) >= 0) rc = 1;
  }
  free(before);
  return rc;
}

static int extend(sheaf_long_feed *f, sheaf_error *err) {
  sheaf_flag_extend_options o = f->s->agent->extend;
  const int64_t line = f->nchan * f->s->block->ncorr;
  int32_t *times = sheaf_flag_pass_scratch(f->s->pass, SHEAF_FLAG_TIMES,
                                           (size_t)line * sizeof *times, err);
  int rc = times ? 1 : SHEAF_ERR_NOMEM;
  o.corrs = f->s->corrs;
  if (times) memset(times, 0, (size_t)line * sizeof *times);
  if (rc > 0 && (o.flagneartime || o.flagnearfreq || o.growaround || o.growtime > 0.0))
    rc = extend_look(f, &o, times, err);
  const int64_t step = sheaf_long_step(f, 2 * line, 0);
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    to = sheaf_long_end(f, from, step);
    rc = sheaf_long_load(f, from, to, 0, err);
    if (rc <= 0) break;
    const sheaf_flag_scene *s = &f->inner;
    const sheaf_flag_stretch at = {.nrow = f->nrow, .first = from, .to = to - from};
    void *memory = sheaf_flag_pass_scratch(
        s->pass, SHEAF_FLAG_KERNEL, sheaf_flag_extend_scratch(to - from, f->nchan, s->view.ncorr),
        err);
    if (!memory) return SHEAF_ERR_NOMEM;
    s->pass->flagged[s->number] +=
        sheaf_flag_extend_grow(&s->view, &s->maps, &o, &at, times, memory);
    if ((rc = sheaf_long_keep(f, from, to, err)) >= 0) rc = 1;
  }
  return rc;
}

/* ---- all ---- */

/* clip, of averages in time. */
static int clip(sheaf_long_feed *f, sheaf_error *err) {
  const int64_t step = sheaf_long_step(f, 0, 0);
  int rc = 1;
  for (int64_t from = 0, to; rc > 0 && from < f->nrow; from = to) {
    to = sheaf_long_end(f, from, step);
    rc = sheaf_long_load(f, from, to, 1, err);
    if (rc <= 0) break;
    rc = sheaf_flag_scene_decide(&f->inner, err);
    if (rc >= 0) rc = sheaf_long_keep(f, from, to, err);
    if (rc >= 0) rc = 1;
  }
  return rc;
}

int sheaf_long_command(sheaf_long *l, sheaf_flag_scene *s, sheaf_error *err) {
  sheaf_long_feed f;
  int rc = sheaf_long_open(&f, l, s, err);
  if (rc > 0 && s->agent->mode == SHEAF_FLAG_RFLAG)
    rc = rflag(&f, err);
  else if (rc > 0 && s->agent->mode == SHEAF_FLAG_EXTEND)
    rc = extend(&f, err);
  else if (rc > 0 && s->agent->mode == SHEAF_FLAG_CLIP)
    rc = clip(&f, err);
  else if (rc > 0)
    rc = s->agent->clears ? undo(&f, err) : tfcrop(&f, err);
  if (rc > 0) rc = sheaf_long_return(&f, err);
  sheaf_long_close(&f);
  return rc < 0 ? rc : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/long.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/keysort.h"
#include "flag/long_impl.h"
#include "table/bits.h"

enum { PACK_BYTES = 1 << 18 };

static int no_memory(sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for the rows of a long baseline");
}

/* ---- scratch files ---- */

int sheaf_long_file(const sheaf_long *l, int *fd, sheaf_error *err) {
  char path[4300];
  snprintf(path, sizeof path, "%.4200s/long.XXXXXX", l->work->folder);
  *fd = mkostemp(path, O_CLOEXEC);
  if (*fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot make %s", path);
  unlink(path);
  return 0;
}

int sheaf_long_write(const sheaf_long *l, int fd, const void *data, size_t n, int64_t at,
                     sheaf_error *err) {
  for (const char *from = data; n > 0;) {
    const ssize_t done = pwrite(fd, from, n, at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot write to a scratch file in %s",
                              l->work->folder);
    from += done;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}

int sheaf_long_read(const sheaf_long *l, int fd, void *data, size_t n, int64_t at,
                    sheaf_error *err) {
  for (char *to = data; n > 0;) {
    const ssize_t done = pread(fd, to, n, at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, done < 0 ? errno : EIO,
                              "cannot read a scratch file in %s", l->work->folder);
    to += done;
    at += done;
    n -= (size_t)done;
  }
  return 0;
}

/* ---- packed flags ---- */

static int store_open(sheaf_long_store *s, const sheaf_long *l, int64_t nrow, int64_t cell,
                      sheaf_error *err) {
  *s = (sheaf_long_store){.fd = -1, .cell = cell, .packed = (size_t)(cell + 7) / 8};
  if (!(s->known = calloc((size_t)nrow + 1, 1))) return no_memory(err);
  return sheaf_long_file(l, &s->fd, err);
}

static void store_close(sheaf_long_store *s) {
  if (s->known && s->fd >= 0) close(s->fd);
  free(s->known);
  *s = (sheaf_long_store){.fd = -1};
}

/* Rows number[0..n-1] of the store (NULL: base, base + 1, …) from or into flags [n][cell]: runs of
 * rows go together. */
static int store_move(const sheaf_long *l, sheaf_long_store *s, const int64_t *number, int64_t base,
                      int64_t n, uint8_t *flags, int write, sheaf_error *err) {
#define NUMBER(i) (number ? number[i] : base + (i))
  const int64_t most = 1 + PACK_BYTES / (int64_t)(s->packed + 1);
  uint8_t *bits = sheaf_flag_pass_scratch(l->pass, SHEAF_FLAG_COPY, (size_t)most * s->packed, err);
  int rc = bits ? 0 : SHEAF_ERR_NOMEM;
  for (int64_t i = 0, k; rc >= 0 && i < n; i = k) {
    k = i + 1;
    if (!write && !s->known[NUMBER(i)]) continue;
    while (k < n && k - i < most && NUMBER(k) == NUMBER(k - 1) + 1 &&
           (write || s->known[NUMBER(k)]))
      k++;
    const size_t bytes = (size_t)(k - i) * s->packed;
    const int64_t at = NUMBER(i) * (int64_t)s->packed;
    if (!write) rc = sheaf_long_read(l, s->fd, bits, bytes, at, err);
    for (int64_t j = i; rc >= 0 && j < k; j++) {
      uint8_t *packed = bits + (size_t)(j - i) * s->packed;
      if (write)
        sheaf_bits_pack(packed, 0, flags + j * s->cell, s->cell);
      else
        sheaf_bits_unpack(flags + j * s->cell, packed, 0, s->cell);
      if (write) s->known[NUMBER(j)] = 1;
    }
    if (rc >= 0 && write) rc = sheaf_long_write(l, s->fd, bits, bytes, at, err);
  }
  return rc;
#undef NUMBER
}

/* ---- rows ---- */

static void *take(uint8_t **at, size_t size) {
  void *here = *at;
  *at += (size + 63) / 64 * 64;
  return here;
}

/* The ids of n rows of the whole, given by place. */
static int gather_ids(sheaf_long *l, const int64_t *places, int64_t n, sheaf_long_rows *out,
                      sheaf_error *err) {
  const sheaf_flag_block *whole = l->work->whole;
  const sheaf_flag_rows *r = &whole->rows;
  const size_t k = (size_t)n + 1;
  uint8_t *at = sheaf_flag_pass_scratch(l->pass, SHEAF_FLAG_IDS, k * 160 + 64 * 32, err);
  if (!at) return SHEAF_ERR_NOMEM;
  sheaf_keyed *order = take(&at, k * sizeof *order), *spare = take(&at, k * sizeof *spare);
  int64_t *map_row = take(&at, k * 8), *row = take(&at, k * 8);
  size_t *members = take(&at, k * sizeof *members);
  double *time = take(&at, k * 8), *centroid = take(&at, k * 8);
  int32_t *ints[8];
  const int32_t *const from[8] = {r->ant1,  r->ant2,  r->scan,        r->field,
                                  r->state, r->array, r->observation, r->processor};
  for (int i = 0; i < 8; i++) ints[i] = take(&at, k * 4);
  *out = (sheaf_long_rows){.place = take(&at, k * 8), .start = {0, n}};
  for (int64_t i = 0; i < n; i++) order[i] = (sheaf_keyed){(uint64_t)places[i], i};
  sheaf_keysort(order, n, spare);
  for (int64_t i = 0; i < n; i++) {
    const int64_t p = (int64_t)order[i].key;
    map_row[order[i].value] = i;
    out->place[i] = p;
    row[i] = r->row[p];
    members[i] = r->members[p];
    time[i] = r->time[p];
    centroid[i] = r->centroid[p];
    for (int c = 0; c < 8; c++) ints[c][i] = from[c][p];
  }
  out->map.row = map_row;
  out->block = (sheaf_flag_block){.nchan = whole->nchan, .ncorr = whole->ncorr};
  out->block.rows = *r;
  out->block.rows.n = n;
  out->block.rows.row = row;
  out->block.rows.members = members;
  out->block.rows.time = time;
  out->block.rows.centroid = centroid;
  out->block.rows.ant1 = ints[0];
  out->block.rows.ant2 = ints[1];
  out->block.rows.scan = ints[2];
  out->block.rows.field = ints[3];
  out->block.rows.state = ints[4];
  out->block.rows.array = ints[5];
  out->block.rows.observation = ints[6];
  out->block.rows.processor = ints[7];
  sheaf_flag_rows_look(&out->block.rows);
  return 0;
}

/* Rows with their cells, and flags as they are now. */
static int load_rows(sheaf_long *l, const int64_t *places, int64_t n, unsigned columns,
                     sheaf_long_rows *out, sheaf_error *err) {
  int rc = sheaf_cancel_check(err);
  if (rc >= 0) rc = gather_ids(l, places, n, out, err);
  if (rc < 0) return rc;
  out->map.nmap = 1;
  out->map.start = out->start;
  out->block.maps = &out->map;
  sheaf_flag_loader_choose(l->work->loader, columns & l->columns);
  rc = sheaf_flag_loader_read(l->work->loader, &out->block, err);
  if (rc >= 0 && l->flags.known)
    rc = store_move(l, &l->flags, out->place, 0, n, out->block.flag, 0, err);
  for (int64_t i = 0; rc >= 0 && out->block.flag_row && l->row_known && i < n; i++)
    if (l->row_known[out->place[i]]) out->block.flag_row[i] = l->row_now[out->place[i]];
  return rc;
}

static int keep_rows(sheaf_long *l, sheaf_long_rows *rows, sheaf_error *err) {
  const int64_t n = rows->block.rows.n;
  for (int64_t i = 0; rows->block.flag_row && i < n; i++) {
    l->row_known[rows->place[i]] = 1;
    l->row_now[rows->place[i]] = rows->block.flag_row[i];
  }
  return store_move(l, &l->flags, rows->place, 0, n, rows->block.flag, 1, err);
}

/* ---- feeds ---- */

/* Bytes of a row and of what it is averaged with. */
static int64_t row_bytes(const sheaf_long_feed *f) {
  const sheaf_flag_block *whole = f->l->work->whole;
  return sheaf_flag_loader_bytes(f->l->work->loader, whole->nchan, whole->ncorr) +
         sheaf_flag_averages_bytes(f->s->agent, whole->nchan, whole->ncorr);
}

/* Rows of a part of what is averaged in time. */
static int64_t part_of(const sheaf_long_feed *f) {
  const int64_t n = sheaf_flag_loader_limit(f->l->work->loader) / row_bytes(f);
  return n > 1 ? n : 1;
}

/* The averages in time of the rows: each begins with some row. */
static int plan(sheaf_long_feed *f, sheaf_error *err) {
  const double *time = f->l->work->whole->rows.time;
  const double bin = f->s->agent->timeavg ? f->s->agent->timebin : 0;
  f->nrow = f->n;
  if (bin <= 0) return 0;
  const size_t n = (size_t)f->n;
  double *times = malloc((n + 1) * sizeof *times);
  int64_t *row = malloc((2 * n + 1) * sizeof *row), *average = row + n;
  int64_t *scratch = malloc((n + 2) * sizeof *scratch);
  f->first = malloc((n + 1) * sizeof *f->first);
  int rc = times && row && scratch && f->first ? 0 : no_memory(err);
  for (int64_t i = 0; rc >= 0 && i < f->n; i++) {
    times[i] = time[f->place[i]];
    row[i] = i;
  }
  if (rc >= 0) {
    const int64_t start[2] = {0, f->n};
    const sheaf_flag_maps map = {.nmap = 1, .start = start, .row = row};
    f->nrow = sheaf_flag_average_plan(times, f->n, &map, bin, average, scratch);
    for (int64_t i = f->n - 1; i >= 0; i--) f->first[average[i]] = i;
    f->first[f->nrow] = f->n;
    f->number = malloc((size_t)(part_of(f) + 1) * sizeof *f->number);
    f->line = malloc((size_t)(f->nrow + 1) * sizeof *f->line);
    if (!f->number || !f->line) rc = no_memory(err);
    for (int64_t k = 0; rc >= 0 && k < f->nrow; k++) f->line[k] = k;
  }
  free(times);
  free(row);
  free(scratch);
  return rc;
}

int sheaf_long_open(sheaf_long_feed *f, sheaf_long *l, sheaf_flag_scene *s, sheaf_error *err) {
  *f = (sheaf_long_feed){.l = l, .s = s, .averaged = s->agent->channelavg || s->agent->timeavg};
  int rc = sheaf_flag_scene_maps(s, err);
  if (rc < 0) return rc;
  f->place = s->maps.nmap ? s->maps.row + s->maps.start[0] : NULL;
  f->n = s->maps.nmap ? s->maps.start[1] - s->maps.start[0] : 0;
  f->nchan = sheaf_flag_view_channels(&s->view);
  int64_t all = s->block->nchan;
  if (s->agent->channelavg) {
    const int64_t bin = sheaf_flag_averages_bin(s->agent, s->block->rows.spw);
    f->nchan = all = sheaf_flag_average_bins(f->nchan, sheaf_flag_average_width(bin, f->nchan));
  }
  f->averages.fd = -1;
  if (f->n == 0 || f->nchan == 0) return 0;
  rc = plan(f, err);
  if (rc >= 0 && f->averaged) rc = store_open(&f->averages, l, f->nrow, all * s->block->ncorr, err);
  return rc < 0 ? rc : 1;
}

static void drop_averages(sheaf_long_feed *f) {
  if (f->out.flag) sheaf_flag_averages_free(&f->out);
  f->out = (sheaf_flag_averaged){0};
}

void sheaf_long_close(sheaf_long_feed *f) {
  drop_averages(f);
  store_close(&f->averages);
  free(f->first);
  free(f->number);
  free(f->line);
  *f = (sheaf_long_feed){.averages = {.fd = -1}};
}

int64_t sheaf_long_step(const sheaf_long_feed *f, int64_t bytes, int64_t around) {
  /* Averages in time have half of the memory, the rows that they are made of the other half. */
  const int64_t limit = (f->first ? 1 : 2) * sheaf_flag_loader_limit(f->l->work->loader);
  const int64_t step = limit / (row_bytes(f) + bytes) - 2 * around;
  const int64_t least = around > 1 ? around : 1;
  return step > least ? step : least;
}

int64_t sheaf_long_end(const sheaf_long_feed *f, int64_t from, int64_t step) {
  return f->nrow - from < step ? f->nrow : from + step;
}

/* Rows first..end-1 of those that the command is about, and their data. 1, or 0 without data. */
static int load_part(sheaf_long_feed *f, int64_t first, int64_t end, int data,
                     const float **related, sheaf_error *err) {
  int rc = load_rows(f->l, f->place + first, end - first, data ? ~0U : 0, &f->rows, err);
  if (rc < 0) return rc;
  sheaf_flag_scene *s = &f->inner;
  *s = *f->s;
  s->block = &f->rows.block;
  s->block->maps = &f->rows.map;
  s->row = NULL;
  s->n = end - first;
  s->maps = f->rows.map;
  s->original = s->block->original;
  s->view.flag = s->block->flag;
  return data ? sheaf_flag_scene_data(s, related, err) : 1;
}

/* The averages of rows first..end-1, counted from the stretch's first; *k: that of `first`. */
static void number_rows(sheaf_long_feed *f, int64_t first, int64_t end, int64_t *k) {
  for (int64_t i = first; i < end; i++) {
    while (i >= f->first[*k + 1]) ++*k;
    f->number[i - first] = *k - f->from;
  }
}

/* Averages in time of the stretch, of rows that come in parts. 1, or 0 without data. */
static int sum_parts(sheaf_long_feed *f, sheaf_error *err) {
  const int64_t part = part_of(f), last = f->first[f->to], n = f->to - f->from;
  const float *related = NULL;
  sheaf_flag_averaging sums = {0};
  int rc = 1;
  for (int64_t i = f->first[f->from], end, k = f->from; rc > 0 && i < last; i = end) {
    end = last - i < part ? last : i + part;
    rc = load_part(f, i, end, 1, &related, err);
    if (rc <= 0) break;
    sheaf_flag_scene_averages(&f->inner, related, &f->in);
    number_rows(f, i, end, &k);
    if (!sums.n && (rc = sheaf_flag_averaging_begin(&sums, &f->in, n, err)) < 0) return rc;
    rc = sheaf_flag_averaging_add(&sums, &f->in, f->number, err);
    if (rc >= 0) rc = 1;
  }
  if (rc <= 0) {
    sheaf_flag_averaging_free(&sums);
    return rc;
  }
  rc = sheaf_flag_averaging_end(&f->out, &sums, &f->in, err);
  if (rc < 0) return rc;
  f->end[1] = n;
  f->out.maps = (sheaf_flag_maps){.nmap = 1, .start = f->end, .row = f->line};
  const sheaf_flag_scene rows = f->inner;
  sheaf_flag_scene_averaged(&rows, &f->out, &f->inner);
  f->in.maps = NULL;
  return 1;
}

int sheaf_long_load(sheaf_long_feed *f, int64_t from, int64_t to, int data, sheaf_error *err) {
  const float *related = NULL;
  int rc;
  drop_averages(f);
  f->from = from;
  f->to = to;
  if (f->first) {
    rc = sum_parts(f, err);
  } else {
    rc = load_part(f, from, to, data | f->averaged, &related, err);
    if (rc <= 0 || !f->averaged) return rc;
    sheaf_flag_scene rows = f->inner;
    rc = sheaf_flag_scene_average(&rows, related, &f->in, &f->out, &f->inner, err);
    if (rc >= 0) rc = 1;
  }
  if (rc <= 0) return rc;
  rc = store_move(f->l, &f->averages, NULL, from, to - from, f->out.flag, 0, err);
  return rc < 0 ? rc : 1;
}

int sheaf_long_keep(sheaf_long_feed *f, int64_t from, int64_t to, sheaf_error *err) {
  int rc = 0;
  if (f->averaged)
    return store_move(f->l, &f->averages, NULL, from, to - from,
                      f->out.flag + (from - f->from) * f->averages.cell, 1, err);
  if (from == f->from && to == f->to) return keep_rows(f->l, &f->rows, err);
  for (int64_t i = from; rc >= 0 && i < to; i++) {
    const int64_t at = f->rows.map.row[i - f->from];
    rc = store_move(f->l, &f->l->flags, f->rows.place + at, 0, 1,
                    f->rows.block.flag + at * f->l->flags.cell, 1, err);
  }
  return rc;
}

/* Lets the flags of the averages at hand come back to their rows. */
static int return_parts(sheaf_long_feed *f, sheaf_error *err) {
  const int64_t part = part_of(f), last = f->first[f->to];
  const float *related;
  int rc = 1;
  for (int64_t i = f->first[f->from], end, k = f->from; rc > 0 && i < last; i = end) {
    end = last - i < part ? last : i + part;
    rc = load_part(f, i, end, 0, &related, err);
    if (rc <= 0) break;
    number_rows(f, i, end, &k);
    rc = sheaf_flag_averages_of(&f->out, f->rows.map.row, f->number, end - i, err);
    if (rc < 0) break;
    sheaf_flag_averages_return(&f->out, &f->in, f->rows.block.flag);
    rc = keep_rows(f->l, &f->rows, err);
    if (rc >= 0) rc = 1;
  }
  return rc;
}

int sheaf_long_return(sheaf_long_feed *f, sheaf_error *err) {
  const int64_t step = sheaf_long_step(f, 0, 0);
  int rc = 0;
  for (int64_t from = 0, to; rc >= 0 && f->averaged && from < f->nrow; from = to) {
    to = sheaf_long_end(f, from, step);
    rc = sheaf_long_load(f, from, to, 1, err);
    if (rc <= 0) return rc;
    if (f->first) {
      rc = return_parts(f, err);
      continue;
    }
    sheaf_flag_averages_return(&f->out, &f->in, f->rows.block.flag);
    rc = keep_rows(f->l, &f->rows, err);
  }
  return rc;
}

/* ---- commands ---- */

/* Bytes that an agent's kernel needs for a row. */
static int64_t work_bytes(const sheaf_flag_agent *a, int64_t nchan, int64_t ncorr) {
  const int64_t cell = nchan * ncorr;
  const int64_t kernel = a->mode == SHEAF_FLAG_TFCROP   ? 4 * cell
                         : a->mode == SHEAF_FLAG_RFLAG  ? 11 * cell + 322 * ncorr
                         : a->mode == SHEAF_FLAG_EXTEND ? 2 * cell
                                                        : 0;
  return kernel + sheaf_flag_averages_bytes(a, nchan, ncorr);
}

int sheaf_flag_long_is(const sheaf_flag_pass *pass, const sheaf_flag_loader *loader,
                       const sheaf_flag_block *b) {
  int64_t most = 0;
  for (size_t i = 0; i < pass->agents.n; i++) {
    const int64_t bytes = work_bytes(&pass->agents.agent[i], b->nchan, b->ncorr);
    if (bytes > most) most = bytes;
  }
  return b->maps->nmap == 1 &&
         b->rows.n * (sheaf_flag_loader_bytes(loader, b->nchan, b->ncorr) + most) >
             2 * sheaf_flag_loader_limit(loader);
}

static int begin(sheaf_long *l, const sheaf_flag_long *work, int flags, sheaf_error *err) {
  const sheaf_flag_block *b = work->whole;
  *l = (sheaf_long){.work = work, .pass = work->pass, .flags = {.fd = -1}};
  if (err) err->code = 0;
  int rc = sheaf_flag_loader_columns(work->loader, b, &l->columns, err);
  if (rc < 0 || !flags) return rc;
  l->row_known = calloc((size_t)b->rows.n + 1, 2);
  if (!l->row_known) return no_memory(err);
  l->row_now = l->row_known + b->rows.n;
  return store_open(&l->flags, l, b->rows.n, b->nchan * b->ncorr, err);
}

static void end(sheaf_long *l) {
  sheaf_flag_loader_choose(l->work->loader, ~0U);
  store_close(&l->flags);
  free(l->row_known);
}

int sheaf_flag_long_tally(const sheaf_flag_long *work, const sheaf_flag_share *share,
                          sheaf_error *err) {
  sheaf_long l;
  if (share->medians) sheaf_flag_pass_forget(work->pass);
  work->pass->share = share;
  int rc = begin(&l, work, 0, err);
  for (size_t i = 0; rc >= 0 && i < work->pass->agents.n; i++) {
    sheaf_flag_scene s;
    if (!sheaf_flag_pass_tallies(work->pass, i, work->whole)) continue;
    rc = sheaf_flag_scene_set(&s, work->pass, i, work->whole, err);
    if (rc > 0) rc = sheaf_long_statistics(&l, &s, share, err);
  }
  end(&l);
  return rc < 0 ? rc : 0;
}

/* Whether a command looks at each row by itself. */
static int is_by_row(const sheaf_flag_agent *a) {
  if (a->mode == SHEAF_FLAG_CLIP) return !a->timeavg;
  return a->mode != SHEAF_FLAG_TFCROP && a->mode != SHEAF_FLAG_RFLAG &&
         a->mode != SHEAF_FLAG_EXTEND;
}

/* All rows, stretch by stretch: commands from..to-1, or `done` with none. */
static int sweep(sheaf_long *l, size_t from, size_t to,
                 int done(void *user, const sheaf_flag_block *block, sheaf_error *err), void *user,
                 sheaf_error *err) {
  const sheaf_flag_block *whole = l->work->whole;
  const int64_t *row = whole->maps->row;
  int64_t bytes = sheaf_flag_loader_bytes(l->work->loader, whole->nchan, whole->ncorr), most = 0;
  int rc = 0;
  for (size_t i = from; i < to; i++) {
    const int64_t more = work_bytes(&l->pass->agents.agent[i], whole->nchan, whole->ncorr);
    if (more > most) most = more;
  }
  bytes = 2 * sheaf_flag_loader_limit(l->work->loader) / (bytes + most);
  const int64_t step = bytes > 1 ? bytes : 1;
  for (int64_t i = 0, n; rc >= 0 && i < whole->rows.n; i += n) {
    sheaf_long_rows rows;
    n = whole->rows.n - i < step ? whole->rows.n - i : step;
    rc = load_rows(l, row + i, n, done ? 0 : ~0U, &rows, err);
    if (rc < 0) break;
    if (done) {
      rc = done(user, &rows.block, err);
      continue;
    }
    rc = sheaf_flag_pass_run_some(l->pass, &rows.block, from, to, err);
    if (rc >= 0) rc = keep_rows(l, &rows, err);
  }
  return rc < 0 ? rc : 0;
}

int sheaf_flag_long_run(const sheaf_flag_long *work,
                        int done(void *user, const sheaf_flag_block *block, sheaf_error *err),
                        void *user, sheaf_error *err) {
  const sheaf_flag_agents *a = &work->pass->agents;
  sheaf_long l;
  int rc = begin(&l, work, 1, err);
  for (size_t i = 0, k; rc >= 0 && i < a->n; i = k) {
    for (k = i; k < a->n && is_by_row(&a->agent[k]);) k++;
    if (k > i) {
      rc = sweep(&l, i, k, NULL, NULL, err);
      continue;
    }
    sheaf_flag_scene s;
    k = i + 1;
    rc = sheaf_flag_scene_set(&s, work->pass, i, work->whole, err);
    if (rc > 0) rc = sheaf_long_command(&l, &s, err);
  }
  if (rc >= 0) rc = sweep(&l, 0, 0, done, user, err);
  end(&l);
  sheaf_flag_pass_forget(work->pass);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flag/statistics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Before the numbers of an agent: n spectra, or 4 n sums. */
typedef struct head {
  int64_t agent, n;
} head;

/* ---- files ---- */

static int cannot_write(const char *path, int reason, sheaf_error *err) {
  return sheaf_fail_errno(err, SHEAF_ERR_IO, reason, "cannot write statistics to %s", path);
}

typedef struct out {
  char path[4600];
  FILE *file;
} out;

static int out_open(out *o, const char *path, sheaf_error *err) {
  snprintf(o->path, sizeof o->path, "%s.new", path);
  o->file = fopen(o->path, "we");
  return o->file ? 0 : cannot_write(o->path, errno, err);
}

static void out_put(out *o, int64_t agent, int64_t n, const void *numbers, size_t size) {
  const head h = {agent, n};
  fwrite(&h, sizeof h, 1, o->file);
  fwrite(numbers, size, (size_t)n, o->file);
}

/* Closes the file and gives it its name. */
static int out_finish(out *o, const char *path, sheaf_error *err) {
  int reason = ferror(o->file) || fflush(o->file) != 0 ? (errno ? errno : EIO) : 0;
  if (fclose(o->file) != 0 && !reason) reason = errno;
  if (!reason && rename(o->path, path) != 0) reason = errno;
  return reason ? cannot_write(path, reason, err) : 0;
}

/* A file in memory. */
typedef struct in {
  const char *path;
  char *data;
  size_t n, at;
} in;

/* 1: *h and its numbers of `size` bytes each, 0 at the end. */
static int in_next(in *f, const sheaf_flag_pass *pass, size_t size, head *h, const char **numbers,
                   sheaf_error *err) {
  const size_t left = f->n - f->at;
  if (left == 0) return 0;
  if (left >= sizeof *h) memcpy(h, f->data + f->at, sizeof *h);
  if (left < sizeof *h || h->agent < 0 || (size_t)h->agent >= pass->agents.n || h->n < 0 ||
      (uint64_t)h->n > (left - sizeof *h) / size)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged", f->path);
  *numbers = f->data + f->at + sizeof *h;
  f->at += sizeof *h + (size_t)h->n * size;
  return 1;
}

/* ---- medians ---- */

int sheaf_flag_medians_write(const sheaf_flag_pass *pass, const char *path, sheaf_error *err) {
  out o;
  const int rc = out_open(&o, path, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < pass->agents.n; i++) {
    const sheaf_flag_tally *t = &pass->tally[i];
    if (t->nspectrum) out_put(&o, (int64_t)i, t->nspectrum, t->spectra, sizeof *t->spectra);
  }
  return out_finish(&o, path, err);
}

int sheaf_flag_medians_read(sheaf_flag_pass *pass, const char *path, sheaf_error *err) {
  in f = {.path = path};
  head h;
  const char *numbers = NULL;
  int rc = sheaf_file_read(path, &f.data, &f.n, err);
  if (rc < 0) return rc;
  sheaf_flag_pass_forget(pass);
  while ((rc = in_next(&f, pass, sizeof(sheaf_flag_spectrum), &h, &numbers, err)) > 0) {
    sheaf_flag_tally *t = &pass->tally[h.agent];
    if (!sheaf_flag_tally_room(t, h.n, err)) {
      rc = SHEAF_ERR_NOMEM;
      break;
    }
    memcpy(t->spectra, numbers, (size_t)h.n * sizeof *t->spectra);
    t->nspectrum = h.n;
  }
  free(f.data);
  return rc;
}

/* ---- sums ---- */

int sheaf_flag_sums_write(const sheaf_flag_pass *pass, const char *path, sheaf_error *err) {
  out o;
  const int rc = out_open(&o, path, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < pass->agents.n; i++) {
    const sheaf_flag_tally *t = &pass->tally[i];
    if (t->memory) out_put(&o, (int64_t)i, t->nchan, t->memory, 4 * sizeof *t->memory);
  }
  return out_finish(&o, path, err);
}

int sheaf_flag_sums_add(sheaf_flag_pass *pass, const char *path, sheaf_error *err) {
  in f = {.path = path};
  head h;
  const char *numbers = NULL;
  int rc = sheaf_file_read(path, &f.data, &f.n, err);
  if (rc < 0) return rc;
  while ((rc = in_next(&f, pass, 4 * sizeof(double), &h, &numbers, err)) > 0) {
    sheaf_flag_tally *t = &pass->tally[h.agent];
    if (!sheaf_flag_tally_channels(t, h.n, err)) {
      rc = SHEAF_ERR_NOMEM;
      break;
    }
    for (int64_t i = 0; i < 4 * h.n; i++) {
      double x;
      memcpy(&x, numbers + (size_t)i * sizeof x, sizeof x);
      t->memory[i] += x;
    }
  }
  free(f.data);
  return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * initweights: WEIGHT, SIGMA and their spectra anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "kernel/weights.h"
#include "ms/chunks.h"
#include "ms/inplace.h"
#include "ms/selection.h"
#include "ms/setup.h"
#include "task/inplace_task.h"
#include "task/registry.h"
#include "task/tsys.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the MS or Multi-MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"wtmode", SHEAF_TYPE_STRING, "'nyq'", "nyq|sigma|weight|ones|tsys|tinttsys|delwtsp|delsigsp",
     NULL, NULL, "where the weights come from, or which column of spectra is removed", 0},
    {"tsystable", SHEAF_TYPE_STRING, "''", NULL, NULL, "wtmode='tsys' or 'tinttsys'",
     "calibration table of system temperatures, as gencal makes it", SHEAF_PARAM_PATH},
    {"gainfield", SHEAF_TYPE_STRING, "''", NULL, NULL, "wtmode='tsys' or 'tinttsys'",
     "fields of tsystable to use, by id or name; 'nearest': for each field the nearest on the sky; "
     "'': "
     "all",
     0},
    {"interp", SHEAF_TYPE_STRING, "''", NULL, NULL, "wtmode='tsys' or 'tinttsys'",
     "interpolation in time and frequency, e.g. 'nearest,linearflag'; '': 'linear,linear'", 0},
    {"spwmap", SHEAF_TYPE_INTS | SHEAF_TYPE_INT, "[]", NULL, NULL, "wtmode='tsys' or 'tinttsys'",
     "window of tsystable for each window of the MS; one number: for all; []: the same number", 0},
    {"dowtsp", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "make WEIGHT_SPECTRUM, too (one that exists is always kept up to date)", 0},
};

typedef enum mode { NYQ, SIGMA, WEIGHT, ONES, TSYS, TINTTSYS, DELWTSP, DELSIGSP, NMODE } mode;
static const char *const kModes[NMODE] = {"nyq",  "sigma",    "weight",  "ones",
                                          "tsys", "tinttsys", "delwtsp", "delsigsp"};

static mode find_mode(const char *name) {
  mode m = NYQ;
  while (m < NMODE - 1 && strcmp(name, kModes[m])) m++;
  return m;
}

static int with_tsys(mode m) {
  return m == TSYS || m == TINTTSYS;
}

/* ---- units -------------------------------------------------------------------------------------
 */

/* Columns of a unit's chunks, in the order asked for. */
enum {
  C_WEIGHT,
  C_SIGMA,
  C_ANT1,
  C_ANT2,
  C_EXPOSURE,
  C_TIME,
  C_FIELD,
  C_OBS,
  C_SCAN,
  C_WTSP,
  C_SIGSP
};

typedef struct work_unit {
  const char *path;
  int64_t row0, nrow;
  const uint8_t *rows; /* sheaf_chunks_options.rows and others */
  int others;          /* rows whose weights stay; they only get new spectra */
  mode mode;
  int spectra;             /* WEIGHT_SPECTRUM is written */
  int new_wtsp, new_sigsp; /* the column is new: every cell gets a value */
  sheaf_setup setup;
  sheaf_tsys *tsys;
  float *scratch; /* one float per channel of the largest window */
  int64_t done;
} work_unit;

static float *cell(const sheaf_chunk *chunk, int column, int64_t row) {
  const sheaf_cells *c = &chunk->column[column];
  return (float *)c->data + row * c->ncell;
}

static int32_t id(const sheaf_chunk *chunk, int column, int64_t row) {
  return ((const int32_t *)chunk->column[column].data)[row];
}

static double real(const sheaf_chunk *chunk, int column, int64_t row) {
  return ((const double *)chunk->column[column].data)[row];
}

static void set_all(float *to, size_t n, float value) {
  for (size_t i = 0; i < n; i++) to[i] = value;
}

/* bandwidth × time of a row, the same for all its correlations and channels. */
static float base_weight(const work_unit *u, const sheaf_chunk *chunk, int64_t row, int32_t spw) {
  const float time_s = u->mode == TSYS ? 1.0f : (float)real(chunk, C_EXPOSURE, row);
  return sheaf_weight_radiometer((float)u->setup.spw[spw].bandwidth_hz, time_s,
                                 id(chunk, C_ANT1, row) == id(chunk, C_ANT2, row));
}

static void plain_row(const work_unit *u, const sheaf_chunk *chunk, int64_t row, int32_t spw) {
  const size_t n = (size_t)chunk->column[C_WEIGHT].ncell;
  float *weight = cell(chunk, C_WEIGHT, row), *sigma = cell(chunk, C_SIGMA, row);
  if (u->mode == ONES) {
    set_all(weight, n, 1.0f);
    set_all(sigma, n, 1.0f);
  } else if (u->mode == NYQ) {
    set_all(weight, n, base_weight(u, chunk, row, spw));
    sheaf_weight_to_sigma(weight, n, sigma);
  } else if (u->mode == SIGMA)
    sheaf_weight_from_sigma(sigma, n, weight);
  if (u->spectra)
    sheaf_weight_spread(weight, n, (size_t)chunk->column[C_WTSP].shape[1],
                        cell(chunk, C_WTSP, row));
}

static int tsys_row(work_unit *u, const sheaf_chunk *chunk, int64_t row, int32_t spw,
                    sheaf_error *err) {
  const size_t ncorr = (size_t)chunk->column[C_WEIGHT].ncell;
  const sheaf_tsys_row at = {real(chunk, C_TIME, row), spw, id(chunk, C_FIELD, row),
                             id(chunk, C_OBS, row), id(chunk, C_SCAN, row)};
  const float base = base_weight(u, chunk, row, spw);
  const float *f1 = sheaf_tsys_factors(u->tsys, &at, id(chunk, C_ANT1, row), err);
  const float *f2 = f1 ? sheaf_tsys_factors(u->tsys, &at, id(chunk, C_ANT2, row), err) : NULL;
  float *weight = cell(chunk, C_WEIGHT, row), *sigma = cell(chunk, C_SIGMA, row);
  if (!f2) return err ? err->code : SHEAF_ERR_DATA;
  if (!u->spectra) {
    set_all(weight, ncorr, base);
    sheaf_weight_apply(f1, f2, ncorr, 1, weight);
    sheaf_weight_to_sigma(weight, ncorr, sigma);
    return 0;
  }
  const size_t nchan = (size_t)chunk->column[C_WTSP].shape[1];
  float *spectrum = cell(chunk, C_WTSP, row), *sigmas = cell(chunk, C_SIGSP, row);
  set_all(spectrum, nchan * ncorr, base);
  sheaf_weight_apply(f1, f2, ncorr, nchan, spectrum);
  sheaf_weight_to_sigma(spectrum, nchan * ncorr, sigmas);
  sheaf_weight_median(spectrum, ncorr, nchan, u->scratch, weight);
  sheaf_weight_median(sigmas, ncorr, nchan, u->scratch, sigma);
  return 0;
}

static int check_shapes(const work_unit *u, const sheaf_chunk *chunk, int32_t spw,
                        sheaf_error *err) {
  const sheaf_cells *w = &chunk->column[C_WEIGHT], *s = &chunk->column[C_SIGMA];
  int bad =
      w->type != SHEAF_FLOAT || s->type != SHEAF_FLOAT || w->ndim != 1 || s->ncell != w->ncell;
  for (int c = C_WTSP; u->spectra && c <= (with_tsys(u->mode) ? C_SIGSP : C_WTSP); c++) {
    const sheaf_cells *x = &chunk->column[c];
    bad |= x->ncell && (x->type != SHEAF_FLOAT || x->ndim != 2 || x->shape[0] != w->ncell ||
                        x->shape[1] != u->setup.spw[spw].nchan);
  }
  return bad ? sheaf_fail(
                   err, SHEAF_ERR_DATA,
                   "%s: row %lld: WEIGHT, SIGMA and their spectra have not the shapes of the "
                   "row's %lld channels",
                   u->path, (long long)chunk->rows[0], (long long)u->setup.spw[spw].nchan)
             : 0;
}

/* A window that the table does not serve: weights stay, new spectra become 1. */
static int unserved(work_unit *u, sheaf_chunks *chunks, sheaf_chunk *chunk, sheaf_error *err) {
  const int is_new[2] = {u->new_wtsp, u->new_sigsp};
  for (int i = 0; i < 2; i++) {
    const sheaf_cells *c = &chunk->column[C_WTSP + i];
    if (!u->spectra || !is_new[i] || c->ncell == 0) continue;
    set_all(c->data, (size_t)(chunk->nrow * c->ncell), 1.0f);
    const int rc = sheaf_chunks_put(chunks, (size_t)(C_WTSP + i), NULL, err);
    if (rc < 0) return rc;
  }
  return 0;
}

static int put_columns(const work_unit *u, sheaf_chunks *chunks, const sheaf_chunk *chunk,
                       sheaf_error *err) {
  int rc = u->mode == WEIGHT ? 0 : sheaf_chunks_put(chunks, C_WEIGHT, NULL, err);
  if (rc >= 0 && u->mode != WEIGHT && u->mode != SIGMA)
    rc = sheaf_chunks_put(chunks, C_SIGMA, NULL, err);
  if (rc >= 0 && u->spectra && chunk->column[C_WTSP].ncell)
    rc = sheaf_chunks_put(chunks, C_WTSP, NULL, err);
  if (rc >= 0 && u->spectra && with_tsys(u->mode))
    rc = sheaf_chunks_put(chunks, C_SIGSP, NULL, err);
  return rc;
}

static int weigh_chunk(work_unit *u, sheaf_chunks *chunks, sheaf_chunk *chunk, sheaf_error *err) {
  if (chunk->ddid < 0 || (size_t)chunk->ddid >= u->setup.nddid)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld has DATA_DESC_ID %d", u->path,
                      (long long)chunk->rows[0], (int)chunk->ddid);
  const int32_t spw = u->setup.spw_of[chunk->ddid];
  if (u->tsys && !sheaf_tsys_serves(u->tsys, spw)) return unserved(u, chunks, chunk, err);
  int rc = check_shapes(u, chunk, spw, err);
  if (rc < 0) return rc;
  for (int64_t row = 0; rc >= 0 && row < chunk->nrow; row++) {
    if (u->tsys)
      rc = tsys_row(u, chunk, row, spw, err);
    else
      plain_row(u, chunk, row, spw);
  }
  u->done += chunk->nrow;
  return rc < 0 ? rc : put_columns(u, chunks, chunk, err);
}

/* New spectra that say what WEIGHT and SIGMA do. */
static int spread_chunk(const work_unit *u, sheaf_chunks *chunks, const sheaf_chunk *chunk,
                        sheaf_error *err) {
  const int is_new[2] = {u->new_wtsp, u->new_sigsp};
  for (int i = 0; i < 2; i++) {
    const sheaf_cells *from = &chunk->column[C_WEIGHT + i], *to = &chunk->column[C_WTSP + i];
    if (!is_new[i] || to->ncell == 0 || from->ncell != to->shape[0]) continue;
    for (int64_t row = 0; row < chunk->nrow; row++)
      sheaf_weight_spread(cell(chunk, C_WEIGHT + i, row), (size_t)from->ncell, (size_t)to->shape[1],
                          cell(chunk, C_WTSP + i, row));
    const int rc = sheaf_chunks_put(chunks, (size_t)(C_WTSP + i), NULL, err);
    if (rc < 0) return rc;
  }
  return 0;
}

static int weigh_rows(work_unit *u, sheaf_error *err) {
  const unsigned in = SHEAF_CHUNK_READ, out = SHEAF_CHUNK_WRITE;
  const int keep = u->mode == WEIGHT || u->others;
  const sheaf_chunk_column columns[] = {{"WEIGHT", keep ? in : out, 0},
                                        {"SIGMA", u->mode == SIGMA || keep ? in : out, 0},
                                        {"ANTENNA1", in, 0},
                                        {"ANTENNA2", in, 0},
                                        {"EXPOSURE", in, 0},
                                        {"TIME", in, 0},
                                        {"FIELD_ID", in, 0},
                                        {"OBSERVATION_ID", in, 0},
                                        {"SCAN_NUMBER", in, 0},
                                        {"WEIGHT_SPECTRUM", out, 0},
                                        {"SIGMA_SPECTRUM", out, 0}};
  const sheaf_chunks_options options = {.path = u->path,
                                        .row0 = u->row0,
                                        .nrow = u->nrow,
                                        .rows = u->rows,
                                        .others = u->others,
                                        .columns = columns,
                                        .ncolumn = !u->spectra          ? C_WTSP
                                                   : with_tsys(u->mode) ? C_SIGSP + 1
                                                                        : C_SIGSP};
  sheaf_chunks *chunks = NULL;
  sheaf_chunk *chunk;
  int rc = sheaf_chunks_open(&chunks, &options, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_chunks_next(chunks, &chunk, err)) > 0)
    if ((rc = u->others ? spread_chunk(u, chunks, chunk, err)
                        : weigh_chunk(u, chunks, chunk, err)) < 0)
      break;
  if (rc < 0)
    sheaf_chunks_abandon(chunks);
  else
    rc = sheaf_chunks_finish(chunks, err);
  return rc;
}

static int weigh_unit(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  sheaf_inplace_unit unit;
  work_unit u = {.mode = find_mode(sheaf_value_str(common, "wtmode", "nyq")),
                 .spectra = sheaf_value_bool(common, "spectra", 0),
                 .new_wtsp = sheaf_value_bool(common, "new_wtsp", 0),
                 .new_sigsp = sheaf_value_bool(common, "new_sigsp", 0)};
  int64_t nchan = 1;
  int rc = sheaf_inplace_task_unit(args, &unit, &u.path, err);
  if (rc < 0) return rc;
  u.row0 = unit.row0;
  u.nrow = unit.nrow;
  u.rows = unit.rows;
  SHEAF_TRY(sheaf_setup_read(&u.setup, u.path, err));
  for (size_t i = 0; i < u.setup.nspw; i++)
    if (u.setup.spw[i].nchan > nchan) nchan = u.setup.spw[i].nchan;
  u.scratch = calloc((size_t)nchan, sizeof *u.scratch);
  if (!u.scratch) rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", u.path);
  if (rc >= 0 && with_tsys(u.mode))
    rc = sheaf_tsys_open(&u.tsys, u.path, &u.setup, common, u.spectra, 0, err);
  if (rc >= 0) rc = weigh_rows(&u, err);
  *value = json_integer(u.done);
  u.others = 1;
  if (rc >= 0 && u.rows && u.spectra && (u.new_wtsp || u.new_sigsp)) rc = weigh_rows(&u, err);
done:
  free(unit.rows);
  sheaf_tsys_close(u.tsys);
  free(u.scratch);
  sheaf_setup_free(&u.setup);
  return rc;
}

/* ---- client ------------------------------------------------------------------------------------
 */

typedef struct plan {
  const char *vis;
  mode mode;
  int spectra;
  int has_wtsp, has_sigsp;
  int new_wtsp, new_sigsp; /* made (anew, where cells of it are undefined) */
  sheaf_inplace *inplace;
  int64_t nrow;
} plan;

static int make_plan(plan *p, const json_t *par, sheaf_error *err) {
  const char *member = sheaf_inplace_member(p->inplace, 0);
  p->has_wtsp = sheaf_setup_has_column(member, "WEIGHT_SPECTRUM", err);
  if (p->has_wtsp < 0) return p->has_wtsp;
  p->has_sigsp = sheaf_setup_has_column(member, "SIGMA_SPECTRUM", err);
  p->spectra = p->has_wtsp || sheaf_value_bool(par, "dowtsp", 0);
  p->new_wtsp = p->spectra && !p->has_wtsp;
  p->new_sigsp = with_tsys(p->mode) && p->spectra && !p->has_sigsp;
  if (p->mode == WEIGHT && !sheaf_value_bool(par, "dowtsp", 0))
    return sheaf_fail(
        err, SHEAF_ERR_ARG,
        "wtmode='weight': Specified wtmode requires dowtsp=T: it makes WEIGHT_SPECTRUM "
        "of WEIGHT; set dowtsp=True");
  return 0;
}

/* Reads the table once here, so that what is wrong with it is told before anything is written. */
static int check_tsys(const plan *p, const json_t *par, sheaf_error *err) {
  sheaf_setup setup;
  sheaf_tsys *tsys = NULL;
  int rc = sheaf_setup_read(&setup, p->vis, err);
  if (rc < 0) return rc;
  rc = sheaf_tsys_open(&tsys, p->vis, &setup, par, p->spectra, 1, err);
  sheaf_tsys_close(tsys);
  sheaf_setup_free(&setup);
  return rc;
}

/* The column that has the shape of the data. */
static int find_data(const plan *p, const char **name, sheaf_error *err) {
  static const char *const names[] = {"DATA", "FLOAT_DATA", "FLAG"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const int has = sheaf_setup_has_column(p->vis, names[i], err);
    if (has < 0) return has;
    *name = names[i];
    if (has) return 0;
  }
  return sheaf_fail(err, SHEAF_ERR_DATA, "vis='%s' has neither DATA nor FLAG", p->vis);
}

static int add_spectrum(const plan *p, sheaf_edit *edit, const char *name, const char *comment,
                        const char *manager, sheaf_error *err) {
  const char *like;
  const int rc = find_data(p, &like, err);
  if (rc < 0) return rc;
  const sheaf_edit_column column = {
      .name = name, .type = SHEAF_FLOAT, .like = like, .comment = comment, .manager = manager};
  return sheaf_edit_add(edit, &column, err);
}

/* A column of spectra that is to be written: made when it is missing, made anew when cells of it
 * are undefined. */
static int want_spectrum(plan *p, sheaf_edit *edit, size_t i, const char *name, const char *comment,
                         const char *manager, int *is_new, sheaf_error *err) {
  const char *member = sheaf_inplace_member(p->inplace, i);
  if (sheaf_edit_has(edit, name)) {
    const int full = sheaf_setup_column_full(member, name, err);
    if (full) return full < 0 ? full : 0;
    if (sheaf_inplace_rows(p->inplace, i))
      return sheaf_fail(err, SHEAF_ERR_DATA,
                        "%s: rows of %s have no value, and it would have to be made anew, also for "
                        "rows that '%s' does not refer to; call initweights with that MS as vis",
                        member, name, p->vis);
    *is_new = 1;
    const int rc = sheaf_edit_remove(edit, name, err);
    if (rc < 0) return rc;
  }
  return add_spectrum(p, edit, name, comment, manager, err);
}

static int edit_member(plan *p, size_t i, sheaf_error *err) {
  sheaf_edit *edit = sheaf_inplace_edit(p->inplace, i, err);
  int rc = 0;
  if (!edit) return err ? err->code : SHEAF_ERR_IO;
  if (p->mode == DELWTSP) return p->has_wtsp ? sheaf_edit_remove(edit, "WEIGHT_SPECTRUM", err) : 0;
  if (p->mode == DELSIGSP) return p->has_sigsp ? sheaf_edit_remove(edit, "SIGMA_SPECTRUM", err) : 0;
  if (p->spectra)
    rc = want_spectrum(p, edit, i, "WEIGHT_SPECTRUM", "weight spectrum", "TiledWgtSpectrum",
                       &p->new_wtsp, err);
  if (rc >= 0 && p->spectra && with_tsys(p->mode))
    return want_spectrum(p, edit, i, "SIGMA_SPECTRUM", "sigma spectrum", "TiledSigtSpectrum",
                         &p->new_sigsp, err);
  if (rc >= 0 && p->has_sigsp) rc = sheaf_edit_remove(edit, "SIGMA_SPECTRUM", err);
  return rc;
}

static void tell_plan(const plan *p, const json_t *par) {
  static const char *const texts[NMODE] = {
      "Initializing SIGMA and WEIGHT according to channel bandwidth and integration time.",
      "Initializing WEIGHT according to existing SIGMA.",
      NULL,
      "Initializing SIGMA and WEIGHT with 1.0",
      "Initializing SIGMA and WEIGHT according to channel bandwidth and Tsys. NOTE this is an "
      "expert "
      "mode.",
      "Initializing SIGMA and WEIGHT according to channel bandwidth, integration time, and Tsys. "
      "NOTE "
      "this is an expert mode.",
      NULL,
      NULL};
  if (p->mode == DELWTSP)
    sheaf_log(SHEAF_LOG_INFO,
              p->has_wtsp ? "Removing WEIGHT_SPECTRUM." : "WEIGHT_SPECTRUM already absent.");
  if (p->mode == DELSIGSP)
    sheaf_log(SHEAF_LOG_INFO,
              p->has_sigsp ? "Removing SIGMA_SPECTRUM." : "SIGMA_SPECTRUM already absent.");
  if (p->mode >= DELWTSP) return;
  if (texts[p->mode])
    sheaf_log(with_tsys(p->mode) ? SHEAF_LOG_WARN : SHEAF_LOG_INFO, "%s", texts[p->mode]);
  if (p->has_wtsp && !sheaf_value_bool(par, "dowtsp", 0))
    sheaf_log(SHEAF_LOG_INFO, "Found WEIGHT_SPECTRUM; will force its initialization.");
  if (p->has_sigsp && !(p->spectra && with_tsys(p->mode)))
    sheaf_log(SHEAF_LOG_INFO, "Removing SIGMA_SPECTRUM for non-channelized weight.");
  if (p->spectra)
    sheaf_log(SHEAF_LOG_INFO, p->has_wtsp ? "Found WEIGHT_SPECTRUM." : "Creating WEIGHT_SPECTRUM.");
  if (p->new_sigsp && !p->has_sigsp) sheaf_log(SHEAF_LOG_INFO, "Creating SIGMA_SPECTRUM.");
  if (p->spectra && !with_tsys(p->mode))
    sheaf_log(SHEAF_LOG_INFO, "Initializing WEIGHT_SPECTRUM uniformly in channel (==WEIGHT).");
}

static int merge(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  ((plan *)user)->nrow += json_integer_value(value);
  return 0;
}

/* What the ledger of a Multi-MS says of the columns is no longer true. */
static int forget_checksums(const plan *p, sheaf_error *err) {
  static const char *const all[] = {"WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"};
  if (p->mode == DELWTSP) return sheaf_inplace_task_forget(p->inplace, p->vis, all + 2, 1, err);
  if (p->mode == DELSIGSP) return sheaf_inplace_task_forget(p->inplace, p->vis, all + 3, 1, err);
  return sheaf_inplace_task_forget(p->inplace, p->vis, all, sizeof all / sizeof *all, err);
}

static int run_units(plan *p, sheaf_job *job, const json_t *par, sheaf_error *err) {
  const char *written[4];
  size_t n = 0;
  char table[4096] = "";
  if (p->mode != WEIGHT) written[n++] = "WEIGHT";
  if (p->mode != WEIGHT && p->mode != SIGMA) written[n++] = "SIGMA";
  if (p->spectra) written[n++] = "WEIGHT_SPECTRUM";
  if (p->spectra && with_tsys(p->mode)) written[n++] = "SIGMA_SPECTRUM";
  int rc = with_tsys(p->mode) ? sheaf_path_absolute(sheaf_value_str(par, "tsystable", ""), table,
                                                    sizeof table, err)
                              : 0;
  if (rc < 0) return rc;
  json_t *common =
      json_pack("{s:s, s:b, s:b, s:b, s:s, s:O, s:O, s:O}", "wtmode", kModes[p->mode], "spectra",
                p->spectra, "new_wtsp", p->new_wtsp, "new_sigsp", p->new_sigsp, "tsystable", table,
                "gainfield", json_object_get(par, "gainfield"), "interp",
                json_object_get(par, "interp"), "spwmap", json_object_get(par, "spwmap"));
  if (!common) return sheaf_fail(err, SHEAF_ERR_NOMEM, "initweights: out of memory");
  /* Every unit reads the table of system temperatures: fewer, larger ones. */
  const sheaf_inplace_cut cut = {
      .written = written,
      .nwritten = n,
      .target = with_tsys(p->mode) ? (int64_t)256 << 20 : 0,
      .partial = p->new_wtsp || p->new_sigsp ? SHEAF_INPLACE_ALL : SHEAF_INPLACE_ROWS};
  rc = sheaf_inplace_check_locks(p->inplace, &cut, err);
  if (rc >= 0) rc = forget_checksums(p, err);
  if (rc >= 0)
    rc =
        sheaf_inplace_task_round(job, p->inplace, &cut, "initweights.weigh", common, merge, p, err);
  json_decref(common);
  return rc;
}

static int work_in_place(plan *p, sheaf_job *job, const json_t *par, sheaf_error *err) {
  static const char *const written[] = {"WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"};
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < sheaf_inplace_nmember(p->inplace); i++)
    rc = edit_member(p, i, err);
  if (rc < 0) return rc;
  tell_plan(p, par);
  SHEAF_TRY(sheaf_inplace_prepare(p->inplace, err));
  if (p->mode < DELWTSP) SHEAF_TRY(run_units(p, job, par, err));
  if (p->mode >= DELWTSP) SHEAF_TRY(forget_checksums(p, err));
  SHEAF_TRY(sheaf_inplace_commit(p->inplace, p->mode < DELWTSP, err));
  if (p->mode < DELWTSP && p->spectra)
    sheaf_inplace_task_show(p->inplace, p->vis, written, with_tsys(p->mode) ? 2 : 1);
  if (p->mode < DELWTSP) sheaf_log(SHEAF_LOG_INFO, "Initialized %lld rows.", (long long)p->nrow);
done:
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  plan p = {.vis = sheaf_value_str(par, "vis", ""),
            .mode = find_mode(sheaf_value_str(par, "wtmode", "nyq"))};
  int rc = sheaf_inplace_settle(p.vis, err);
  if (rc < 0 || (rc = sheaf_ms_check(p.vis, err)) < 0) return rc;
  SHEAF_TRY(sheaf_inplace_task_begin_through(&p.inplace, p.vis, err));
  SHEAF_TRY(make_plan(&p, par, err));
  if (with_tsys(p.mode)) SHEAF_TRY(check_tsys(&p, par, err));
  SHEAF_TRY(work_in_place(&p, job, par, err));
  SHEAF_TRY(sheaf_inplace_task_history(job, sheaf_inplace_home(p.inplace), err));
  *result = json_null();
  rc = 0;
done:
  sheaf_inplace_end(p.inplace);
  return rc;
}

static const sheaf_work work[] = {{"initweights.weigh", weigh_unit, 0}, {NULL, NULL, 0}};

const sheaf_task sheaf_task_initweights = {
    .name = "initweights",
    .summary = "Initialise the weights of an MS",
    .help =
        "Sets WEIGHT and SIGMA of all rows (there is no selection), and their spectra:\n\n"
        "nyq: WEIGHT = 2 x bandwidth x integration time (half of that for auto-correlations), "
        "SIGMA = "
        "1/sqrt(WEIGHT). The bandwidth is the mean EFFECTIVE_BW of the window's channels.\n\n"
        "sigma: WEIGHT = 1/SIGMA^2; where SIGMA is 0, a WEIGHT that is as good as 0.\n\n"
        "ones: WEIGHT = SIGMA = 1.\n\n"
        "weight: WEIGHT and SIGMA stay, WEIGHT_SPECTRUM gets WEIGHT in every channel; needs "
        "dowtsp=True.\n\n"
        "tsys, tinttsys: 2 x bandwidth / (Tsys1 x Tsys2), and that times the integration time, "
        "with "
        "system temperatures of tsystable interpolated to the row's time and channels. With "
        "spectra "
        "each channel gets its own weight, and WEIGHT and SIGMA are their medians; without, the "
        "mean temperature counts. Do not apply tsystable with calwt=True afterwards. Windows "
        "without "
        "solutions are left alone.\n\n"
        "delwtsp, delsigsp: WEIGHT_SPECTRUM or SIGMA_SPECTRUM is removed, nothing else done.\n\n"
        "WEIGHT_SPECTRUM is written when it exists or dowtsp=True; except with tsys and tinttsys "
        "all "
        "its channels are WEIGHT, and SIGMA_SPECTRUM, which would no longer be true, is removed. "
        "Returns None.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = work,
};

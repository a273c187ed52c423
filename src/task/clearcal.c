/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clearcal: CORRECTED_DATA becomes DATA again, MODEL_DATA unity. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ms/chunks.h"
#include "ms/inplace.h"
#include "ms/models.h"
#include "ms/selection.h"
#include "ms/setup.h"
#include "task/inplace_task.h"
#include "task/registry.h"
#include "task/selection.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the MS or Multi-MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"field", SHEAF_SELECTION_TYPES, "''", NULL, NULL, "CORRECTED_DATA exists",
     "fields to reset, by id or name; '': all", 0},
    {"spw", SHEAF_SELECTION_TYPES, "''", NULL, NULL, "CORRECTED_DATA exists",
     "spectral windows and channels to reset, e.g. '0~2,4:5~60'; '': all", 0},
    {"intent", SHEAF_SELECTION_TYPES, "''", NULL, NULL, "CORRECTED_DATA exists",
     "scan intents to reset, e.g. '*BANDPASS*'; '': all", 0},
    {"addmodel", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL,
     "add MODEL_DATA, too, where it does not exist", 0},
};

/* What is to be done to every member; the same for all, as members have the same columns. */
typedef struct plan {
  const char *vis, *data; /* data: "DATA" or "FLOAT_DATA" */
  sheaf_selection_texts texts;
  int add_corrected, add_model; /* the column is made, and filled whole */
  int reset_model;              /* MODEL_DATA exists and the selection of it is reset */
  sheaf_inplace *inplace;
  sheaf_models *models; /* by member */
  int64_t nrow;         /* that units reset */
} plan;

/* ---- units -------------------------------------------------------------------------------------
 */

/* Channels of a window that are selected, as bytes; NULL: all. */
static uint8_t *channel_mask(const sheaf_selected *parsed, int32_t spw, int64_t nchan) {
  uint8_t *mask = parsed && parsed->nchan ? calloc((size_t)nchan + 1, 1) : NULL;
  int all = 1;
  for (size_t i = 0; mask && i < parsed->nchan; i++) {
    const sheaf_chanrange *r = &parsed->chan[i];
    if (r->spw != spw) continue;
    for (int64_t c = r->start; c <= r->stop && c<nchan; c += r->step> 0 ? r->step : 1) mask[c] = 1;
  }
  for (int64_t c = 0; mask && c < nchan; c++) all &= mask[c];
  if (all) {
    free(mask);
    return NULL;
  }
  return mask;
}

/* The model of a source of 1 Jy: 0 in the cross hands RL, LR, XY, YX, else 1. */
static float unity(int32_t corr_type) {
  return corr_type == 6 || corr_type == 7 || corr_type == 10 || corr_type == 11 ? 0.0f : 1.0f;
}

static void fill_model(float *to, int64_t nrow, const int64_t shape[2],
                       const sheaf_polarization *pol, const uint8_t *mask) {
  const int64_t ncorr = shape[0], nchan = shape[1];
  for (int64_t r = 0; r < nrow; r++)
    for (int64_t c = 0; c < nchan; c++, to += 2 * ncorr) {
      if (mask && !mask[c]) continue;
      for (int64_t k = 0; k < ncorr; k++) {
        to[2 * k] = (size_t)k < pol->ncorr ? unity(pol->corr_type[k]) : 1.0f;
        to[2 * k + 1] = 0.0f;
      }
    }
}

static void fill_corrected(float *to, const sheaf_cells *data, int64_t nrow, const uint8_t *mask) {
  const int64_t ncorr = data->shape[0], nchan = data->shape[1];
  const int complex = data->type == SHEAF_COMPLEX;
  const float *from = data->data;
  if (complex && !mask) {
    memcpy(to, from, (size_t)(nrow * data->ncell) * 2 * sizeof *to);
    return;
  }
  for (int64_t r = 0; r < nrow; r++)
    for (int64_t c = 0; c < nchan; c++) {
      const int64_t cell = (r * nchan + c) * ncorr;
      if (mask && !mask[c]) continue;
      for (int64_t k = cell; k < cell + ncorr; k++) {
        to[2 * k] = complex ? from[2 * k] : from[k];
        to[2 * k + 1] = complex ? from[2 * k + 1] : 0.0f;
      }
    }
}

/* One pass of a unit over its rows. */
typedef struct pass {
  const char *path;
  int64_t row0, nrow;
  const uint8_t *rows; /* sheaf_chunks_options.rows */
  int corrected, model;
  const char *data;
  sheaf_select *select;         /* NULL: all rows */
  const sheaf_selected *parsed; /* NULL: all channels */
  const sheaf_setup *setup;
  int64_t done;
} pass;

enum { DATA, CORRECTED, MODEL };

static int check_cells(const pass *p, const sheaf_chunk *chunk, int column, const char *name,
                       sheaf_error *err) {
  const sheaf_cells *data = &chunk->column[DATA], *cells = &chunk->column[column];
  if (cells->type != SHEAF_COMPLEX || cells->ndim != 2 || cells->ncell != data->ncell ||
      cells->shape[0] != data->shape[0])
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "%s: %s of row %lld is not of the type and shape of %s; remove the column "
                      "and let clearcal make it anew",
                      p->path, name, (long long)chunk->rows[0], p->data);
  return 0;
}

static int reset_chunk(pass *p, sheaf_chunks *chunks, sheaf_chunk *chunk, const uint8_t *mask,
                       sheaf_error *err) {
  const sheaf_cells *data = &chunk->column[DATA];
  const int model = p->corrected ? MODEL : CORRECTED; /* place in the list of columns */
  const sheaf_polarization *pol = &p->setup->pol[p->setup->pol_of[chunk->ddid]];
  int rc = 0;
  if (p->corrected) {
    SHEAF_TRY(check_cells(p, chunk, CORRECTED, "CORRECTED_DATA", err));
    fill_corrected(chunk->column[CORRECTED].data, data, chunk->nrow, mask);
    SHEAF_TRY(sheaf_chunks_put(chunks, CORRECTED, NULL, err));
  }
  if (p->model) {
    SHEAF_TRY(check_cells(p, chunk, model, "MODEL_DATA", err));
    fill_model(chunk->column[model].data, chunk->nrow, data->shape, pol, mask);
    SHEAF_TRY(sheaf_chunks_put(chunks, (size_t)model, NULL, err));
  }
  p->done += chunk->nrow;
done:
  return rc;
}

static int reset_rows(pass *p, sheaf_error *err) {
  const unsigned how =
      p->parsed && p->parsed->nchan ? SHEAF_CHUNK_READ | SHEAF_CHUNK_WRITE : SHEAF_CHUNK_WRITE;
  sheaf_chunk_column columns[3] = {{p->data, SHEAF_CHUNK_READ, 0}};
  size_t n = 1;
  if (p->corrected) columns[n++] = (sheaf_chunk_column){"CORRECTED_DATA", how, 0};
  if (p->model) columns[n++] = (sheaf_chunk_column){"MODEL_DATA", how, 0};
  const sheaf_chunks_options options = {.path = p->path,
                                        .row0 = p->row0,
                                        .nrow = p->nrow,
                                        .rows = p->rows,
                                        .columns = columns,
                                        .ncolumn = n,
                                        .select = p->select};
  sheaf_chunks *chunks = NULL;
  sheaf_chunk *chunk;
  int rc = sheaf_chunks_open(&chunks, &options, err);
  if (rc < 0) return rc;
  while ((rc = sheaf_chunks_next(chunks, &chunk, err)) > 0) {
    const sheaf_cells *data = &chunk->column[DATA];
    if (data->ncell == 0) continue;
    if (data->ndim != 2 || chunk->ddid < 0 || (size_t)chunk->ddid >= p->setup->nddid) {
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld has DATA_DESC_ID %d and %d axes of data",
                      p->path, (long long)chunk->rows[0], (int)chunk->ddid, data->ndim);
      break;
    }
    uint8_t *mask = channel_mask(p->parsed, p->setup->spw_of[chunk->ddid], data->shape[1]);
    rc = reset_chunk(p, chunks, chunk, mask, err);
    free(mask);
    if (rc < 0) break;
  }
  if (rc < 0)
    sheaf_chunks_abandon(chunks);
  else
    rc = sheaf_chunks_finish(chunks, err);
  return rc;
}

/* Rows and channels of the selection, in the columns that were there before. */
static int reset_selected(pass *p, const json_t *common, sheaf_error *err) {
  sheaf_selection_texts texts = {0};
  int rc = sheaf_selection_read(&texts, common, err);
  if (rc < 0) return rc;
  rc = sheaf_select_open(&p->select, p->path, &texts.selection, err);
  if (rc == SHEAF_ERR_EMPTY) { /* nothing in this sub-MS */
    rc = 0;
    goto done;
  }
  if (rc < 0) goto done;
  p->parsed = sheaf_select_parsed(p->select);
  if (sheaf_select_all(p->select) && p->parsed->nchan == 0) p->parsed = NULL;
  rc = reset_rows(p, err);
done:
  sheaf_select_close(p->select);
  sheaf_selection_free(&texts);
  return rc;
}

static int reset_unit(const json_t *common, const json_t *args, json_t **value, sheaf_error *err) {
  sheaf_setup setup = {0};
  const int add_corrected = sheaf_value_bool(common, "add_corrected", 0);
  const int add_model = sheaf_value_bool(common, "add_model", 0);
  pass p = {.data = sheaf_value_str(common, "data", "DATA"), .setup = &setup};
  sheaf_inplace_unit unit = {0};
  int rc;
  SHEAF_TRY(sheaf_inplace_task_unit(args, &unit, &p.path, err));
  p.row0 = unit.row0;
  p.nrow = unit.nrow;
  SHEAF_TRY(sheaf_setup_read(&setup, p.path, err));
  if (add_corrected || add_model) {
    p.corrected = add_corrected;
    p.model = add_model;
    SHEAF_TRY(reset_rows(&p, err));
  }
  if (!add_corrected) {
    p.done = 0;
    p.rows = unit.rows; /* a new column is filled whole, an old one where vis has rows */
    p.corrected = 1;
    p.model = sheaf_value_bool(common, "reset_model", 0);
    SHEAF_TRY(reset_selected(&p, common, err));
  }
  *value = json_integer(p.done);
  rc = *value ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", p.path);
done:
  sheaf_setup_free(&setup);
  free(unit.rows);
  return rc;
}

/* ---- client ------------------------------------------------------------------------------------
 */

static int make_plan(plan *p, const json_t *par, sheaf_error *err) {
  const char *member = sheaf_inplace_member(p->inplace, 0);
  const int has_data = sheaf_setup_has_column(member, "DATA", err);
  if (has_data < 0) return has_data;
  const int has_float = sheaf_setup_has_column(member, "FLOAT_DATA", err);
  const int has_corrected = sheaf_setup_has_column(member, "CORRECTED_DATA", err);
  const int has_model = sheaf_setup_has_column(member, "MODEL_DATA", err);
  if (!has_data && !has_float)
    return sheaf_fail(err, SHEAF_ERR_DATA,
                      "vis='%s' has neither DATA nor FLOAT_DATA, of which CORRECTED_DATA is a copy",
                      p->vis);
  p->data = has_data ? "DATA" : "FLOAT_DATA";
  p->add_corrected = !has_corrected;
  p->add_model = sheaf_value_bool(par, "addmodel", 0) && !has_model;
  p->reset_model = has_corrected && has_model;
  return 0;
}

/* A selection that is wrong, or selects no row, is told before anything is written. */
static int check_selection(plan *p, sheaf_error *err) {
  sheaf_select *select = NULL;
  int rc = sheaf_select_open(&select, p->vis, &p->texts.selection, err);
  if (rc >= 0 && !p->add_corrected) rc = sheaf_inplace_task_selects(select, p->vis, &p->texts, err);
  sheaf_select_close(select);
  return rc;
}

static int add_column(sheaf_edit *edit, const char *member, const char *like, const char *name,
                      const char *manager, sheaf_error *err) {
  char comment[1024];
  json_t *keywords = NULL;
  int rc = sheaf_column_describe(member, like, comment, sizeof comment, &keywords, err);
  if (rc < 0) return rc;
  const sheaf_edit_column column = {.name = name,
                                    .type = SHEAF_COMPLEX,
                                    .like = like,
                                    .comment = comment,
                                    .manager = manager,
                                    .keywords = keywords};
  rc = sheaf_edit_add(edit, &column, err);
  json_decref(keywords);
  return rc;
}

/* The edits of one member's main table. */
static int edit_member(plan *p, size_t i, sheaf_error *err) {
  const char *member = sheaf_inplace_member(p->inplace, i);
  int rc = sheaf_models_read(&p->models[i], member, err);
  if (rc < 0) return rc;
  sheaf_edit *edit = sheaf_inplace_edit(p->inplace, i, err);
  if (!edit) return SHEAF_ERR_IO;
  /* Sorted copies of the main table, as old programs made them, would lack the new column. */
  if (p->add_corrected || p->add_model) {
    SHEAF_TRY(sheaf_edit_drop(edit, NULL, "SORT_COLUMNS", err));
    SHEAF_TRY(sheaf_edit_drop(edit, NULL, "SORTED_TABLE", err));
  }
  if (p->add_model) SHEAF_TRY(add_column(edit, member, p->data, "MODEL_DATA", "TiledModel", err));
  if (p->add_corrected)
    SHEAF_TRY(add_column(edit, member, p->data, "CORRECTED_DATA", "TiledCorrected", err));
  if (p->add_model || !p->add_corrected)
    SHEAF_TRY(sheaf_models_drop(&p->models[i], NULL, 0, edit, err));
done:
  return rc;
}

static void tell_plan(const plan *p) {
  if (p->add_corrected)
    sheaf_log(SHEAF_LOG_INFO, "Need to create scratch columns; ignoring selection.");
  if (p->add_corrected || p->add_model)
    sheaf_log(SHEAF_LOG_INFO, "Adding %s%s%scolumn(s).", p->add_model ? "MODEL_DATA " : "",
              p->add_model && p->add_corrected ? "and " : "",
              p->add_corrected ? "CORRECTED_DATA " : "");
  if (!p->add_corrected)
    sheaf_log(SHEAF_LOG_INFO, "%s",
              p->reset_model || p->add_model
                  ? "Initializing MODEL_DATA (to unity) and CORRECTED_DATA (to DATA)"
                  : "Initializing CORRECTED_DATA (to DATA)");
}

static int merge(void *user, size_t index, const json_t *value, sheaf_error *err) {
  (void)index, (void)err;
  plan *p = user;
  p->nrow += json_integer_value(value);
  return 0;
}

static int run_units(plan *p, sheaf_job *job, const json_t *par, sheaf_error *err) {
  const char *written[2];
  size_t n = 0;
  written[n++] = "CORRECTED_DATA";
  if (p->add_model || p->reset_model) written[n++] = "MODEL_DATA";
  json_t *common =
      json_pack("{s:s, s:b, s:b, s:b, s:O, s:O, s:O}", "data", p->data, "add_corrected",
                p->add_corrected, "add_model", p->add_model, "reset_model", p->reset_model, "field",
                json_object_get(par, "field"), "spw", json_object_get(par, "spw"), "intent",
                json_object_get(par, "intent"));
  if (!common) return sheaf_fail(err, SHEAF_ERR_NOMEM, "clearcal: out of memory");
  const sheaf_inplace_cut cut = {
      .written = written,
      .nwritten = n,
      .partial = p->add_corrected || p->add_model ? SHEAF_INPLACE_ALL : SHEAF_INPLACE_ROWS};
  int rc = sheaf_inplace_check_locks(p->inplace, &cut, err);
  if (rc >= 0) rc = sheaf_inplace_task_forget(p->inplace, p->vis, written, n, err);
  if (rc >= 0)
    rc = sheaf_inplace_task_round(job, p->inplace, &cut, "clearcal.reset", common, merge, p, err);
  json_decref(common);
  return rc;
}

static int clear_models(plan *p, sheaf_error *err) {
  int rc = 0;
  if (!p->add_model && p->add_corrected) return 0;
  sheaf_log(SHEAF_LOG_INFO, "Clearing all model records in MS header.");
  rc = sheaf_inplace_task_tell_models(p->vis, p->models, sheaf_inplace_nmember(p->inplace), NULL, 0,
                                      " deleted.", NULL, err);
  for (size_t i = 0; rc >= 0 && i < sheaf_inplace_nmember(p->inplace); i++)
    rc = sheaf_models_clear(&p->models[i], NULL, 0, err);
  return rc;
}

static int work_in_place(plan *p, sheaf_job *job, const json_t *par, sheaf_error *err) {
  static const char *const written[] = {"CORRECTED_DATA", "MODEL_DATA"};
  int rc = 0;
  const size_t n = sheaf_inplace_nmember(p->inplace);
  p->models = calloc(n + 1, sizeof *p->models);
  if (!p->models) return sheaf_fail(err, SHEAF_ERR_NOMEM, "clearcal: out of memory");
  for (size_t i = 0; rc >= 0 && i < n; i++) rc = edit_member(p, i, err);
  if (rc < 0) goto done;
  tell_plan(p);
  SHEAF_TRY(sheaf_inplace_prepare(p->inplace, err));
  SHEAF_TRY(run_units(p, job, par, err));
  SHEAF_TRY(sheaf_inplace_commit(p->inplace, 1, err));
  sheaf_inplace_task_show(p->inplace, p->vis, written, p->add_model || p->reset_model ? 2 : 1);
  SHEAF_TRY(clear_models(p, err));
  sheaf_log(SHEAF_LOG_INFO, "Initialized %lld rows.", (long long)p->nrow);
done:
  for (size_t i = 0; i < n; i++) sheaf_models_free(&p->models[i]);
  free(p->models);
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  plan p = {.vis = sheaf_value_str(par, "vis", "")};
  int rc = sheaf_inplace_settle(p.vis, err);
  if (rc < 0 || (rc = sheaf_ms_check(p.vis, err)) < 0) return rc;
  SHEAF_TRY(sheaf_selection_read(&p.texts, par, err));
  SHEAF_TRY(sheaf_inplace_task_begin_through(&p.inplace, p.vis, err));
  SHEAF_TRY(make_plan(&p, par, err));
  SHEAF_TRY(check_selection(&p, err));
  SHEAF_TRY(work_in_place(&p, job, par, err));
  SHEAF_TRY(sheaf_inplace_task_history(job, sheaf_inplace_home(p.inplace), err));
  *result = json_null();
  rc = 0;
done:
  sheaf_inplace_end(p.inplace);
  sheaf_selection_free(&p.texts);
  return rc;
}

static const sheaf_work work[] = {{"clearcal.reset", reset_unit, 0}, {NULL, NULL, 0}};

const sheaf_task sheaf_task_clearcal = {
    .name = "clearcal",
    .summary = "Start calibration anew: CORRECTED_DATA and MODEL_DATA as at first",
    .help =
        "Makes CORRECTED_DATA a copy of DATA (or FLOAT_DATA), and MODEL_DATA that of a source of 1 "
        "Jy at the phase centre: 1, and 0 in the cross hands. Columns that do not exist are added: "
        "CORRECTED_DATA always, MODEL_DATA with addmodel=True; they are filled whole, and field, "
        "spw and intent then play no part. Otherwise only what these select is reset. Virtual "
        "models "
        "(setjy with usescratch=False) are removed when a MODEL_DATA is added or CORRECTED_DATA "
        "existed, those of all fields. Returns None.\n\n"
        "Killed at any instant, the MS is sound: a new column is there whole or not at all, and "
        "each "
        "value of an existing one is the old or the new.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
    .work = work,
};

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * delmod: removes model visibilities, virtual ones and the column. */
#include <stdlib.h>

#include "base/log.h"
#include "ms/inplace.h"
#include "ms/models.h"
#include "ms/selection.h"
#include "task/inplace_task.h"
#include "task/registry.h"
#include "task/selection.h"

static const sheaf_param params[] = {
    {"vis", SHEAF_TYPE_STRING, "''", NULL, NULL, NULL, "name of the MS or Multi-MS",
     SHEAF_PARAM_PATH | SHEAF_PARAM_EXISTS | SHEAF_PARAM_REQUIRED},
    {"otf", SHEAF_TYPE_BOOL, "True", NULL, NULL, NULL,
     "remove virtual models (of setjy, ft and tclean with usescratch=False or savemodel='virtual')",
     0},
    {"field", SHEAF_SELECTION_TYPES, "''", NULL, NULL, "otf=True",
     "fields whose virtual models are removed, by id or name; '': all", 0},
    {"scr", SHEAF_TYPE_BOOL, "False", NULL, NULL, NULL, "remove the column MODEL_DATA", 0},
};

typedef struct plan {
  const char *vis;
  int otf, scr;
  sheaf_select *select;  /* owner of fields */
  const int32_t *fields; /* NULL: all */
  size_t nfield, nmember;
  sheaf_inplace *inplace;
  sheaf_models *models; /* by member */
} plan;

static int read_fields(plan *p, const json_t *par, sheaf_error *err) {
  sheaf_selection_texts texts = {0};
  int rc = sheaf_selection_read(&texts, par, err);
  if (rc >= 0 && texts.selection.field && *texts.selection.field) {
    const sheaf_selection only = {.field = texts.selection.field};
    rc = sheaf_select_open(&p->select, p->vis, &only, err);
    if (rc >= 0) {
      const sheaf_selected *parsed = sheaf_select_parsed(p->select);
      p->fields = parsed->field.id;
      p->nfield = parsed->field.n;
    }
  }
  sheaf_selection_free(&texts);
  return rc;
}

static int remove_column(sheaf_edit *edit, sheaf_error *err) {
  static const char *const names[] = {"MODEL_DATA", "MODEL_DATA_COMPRESSED", "MODEL_DATA_SCALE",
                                      "MODEL_DATA_OFFSET"};
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < sizeof names / sizeof *names; i++)
    if (sheaf_edit_has(edit, names[i])) rc = sheaf_edit_remove(edit, names[i], err);
  return rc;
}

static int edit_member(plan *p, size_t i, sheaf_error *err) {
  sheaf_edit *edit = sheaf_inplace_edit(p->inplace, i, err);
  if (!edit) return err ? err->code : SHEAF_ERR_IO;
  int rc = p->otf ? sheaf_models_drop(&p->models[i], p->fields, p->nfield, edit, err) : 0;
  if (rc >= 0 && p->scr) rc = remove_column(edit, err);
  return rc;
}

static void tell(const plan *p) {
  if (p->otf)
    sheaf_log(SHEAF_LOG_INFO, p->fields ? "Clearing model records in MS header for selected fields."
                                        : "Clearing all model records in MS header.");
  if (p->scr) sheaf_log(SHEAF_LOG_INFO, "Deleting MODEL_DATA column (if not already absent).");
}

static int remove_models(plan *p, sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0; rc >= 0 && i < p->nmember; i++) rc = edit_member(p, i, err);
  if (rc < 0) return rc;
  tell(p);
  if (p->scr) {
    static const char *const column[] = {"MODEL_DATA"};
    SHEAF_TRY(sheaf_inplace_task_forget(p->inplace, p->vis, column, 1, err));
  }
  SHEAF_TRY(sheaf_inplace_prepare(p->inplace, err));
  SHEAF_TRY(sheaf_inplace_commit(p->inplace, 0, err));
  if (p->otf)
    SHEAF_TRY(sheaf_inplace_task_tell_models(p->vis, p->models, p->nmember, p->fields, p->nfield,
                                             " deleted.", p->fields ? " not found." : NULL, err));
  for (size_t i = 0; p->otf && i < p->nmember; i++)
    SHEAF_TRY(sheaf_models_clear(&p->models[i], p->fields, p->nfield, err));
done:
  return rc;
}

static int list_models(plan *p, sheaf_error *err) {
  const int rc =
      sheaf_inplace_task_tell_models(p->vis, p->models, p->nmember, NULL, 0, "", NULL, err);
  if (rc == 0) sheaf_log(SHEAF_LOG_INFO, " None.");
  return rc;
}

static int work_in_place(plan *p, sheaf_error *err) {
  int rc = sheaf_inplace_task_begin_through(&p->inplace, p->vis, err);
  if (rc < 0) return rc;
  p->nmember = sheaf_inplace_nmember(p->inplace);
  p->models = calloc(p->nmember + 1, sizeof *p->models);
  if (!p->models) return sheaf_fail(err, SHEAF_ERR_NOMEM, "delmod: out of memory");
  for (size_t i = 0; rc >= 0 && i < p->nmember; i++)
    rc = sheaf_models_read(&p->models[i], sheaf_inplace_member(p->inplace, i), err);
  if (rc >= 0) rc = p->otf || p->scr ? remove_models(p, err) : list_models(p, err);
  for (size_t i = 0; i < p->nmember; i++) sheaf_models_free(&p->models[i]);
  free(p->models);
  return rc;
}

static int run(sheaf_job *job, const json_t *par, json_t **result, sheaf_error *err) {
  plan p = {.vis = sheaf_value_str(par, "vis", ""),
            .otf = sheaf_value_bool(par, "otf", 1),
            .scr = sheaf_value_bool(par, "scr", 0)};
  int rc = sheaf_inplace_settle(p.vis, err);
  if (rc < 0 || (rc = sheaf_ms_check(p.vis, err)) < 0) return rc;
  if (p.otf) SHEAF_TRY(read_fields(&p, par, err));
  SHEAF_TRY(work_in_place(&p, err));
  SHEAF_TRY(sheaf_inplace_task_history(job, sheaf_inplace_home(p.inplace), err));
  *result = json_null();
  rc = 0;
done:
  sheaf_inplace_end(p.inplace);
  sheaf_select_close(p.select);
  return rc;
}

const sheaf_task sheaf_task_delmod = {
    .name = "delmod",
    .summary = "Remove model visibilities from an MS",
    .help =
        "Removes virtual models (otf=True; those of the fields given, or all), which otherwise win "
        "against MODEL_DATA, and the column MODEL_DATA (scr=True), which cannot be removed for "
        "some fields only. With otf=False and scr=False the log lists the fields that have a "
        "virtual "
        "model. Returns None.",
    .params = params,
    .nparam = sizeof params / sizeof *params,
    .run = run,
};

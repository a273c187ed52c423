/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model.h - virtual models: visibility models that CASA's setjy, ft and tclean keep as keywords and
 * records instead of a column.
 *
 * A keyword definedmodel_field_<id> of SOURCE (or of the main table, where there is no SOURCE)
 * holds the name of a model; the keyword of that name holds the row of SOURCE whose cell
 * SOURCE_MODEL has it (in the main table: the record itself). */
#ifndef SHEAF_TABLE_MODEL_H
#define SHEAF_TABLE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_model {
  int32_t field;
  char key[200]; /* name of the model */
  int defined;   /* 0: the name leads nowhere */
} sheaf_model;

/* Models that the keywords of the table at `path` (main table or SOURCE) tell of, by field; *models
 * allocated. */
int sheaf_model_list(const char *path, sheaf_model **models, size_t *n, sheaf_error *err);
/* Removes models from a SOURCE table that nobody else uses: keywords, contents of SOURCE_MODEL
 * cells, images in the table's directory. `models` NULL: all of them. */
int sheaf_model_clear(const char *source_path, const sheaf_model *models, size_t n,
                      sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

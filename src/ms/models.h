/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * models.h - the virtual models of an MS (table/model.h): listing and removing them. */
#ifndef SHEAF_MS_MODELS_H
#define SHEAF_MS_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/edit.h"
#include "table/model.h"

/* Models of one plain MS (a member of a Multi-MS). */
typedef struct sheaf_models {
  sheaf_model *main, *source; /* by the table that tells of them */
  size_t nmain, nsource;
  char member[4096];
  char source_path[4096]; /* "" when the MS has no SOURCE */
} sheaf_models;

int sheaf_models_read(sheaf_models *models, const char *member, sheaf_error *err);
void sheaf_models_free(sheaf_models *models);
/* 1 when the field has a model, else 0. */
int sheaf_models_defined(const sheaf_models *models, int32_t field);
/* Drops the keywords of the main table; the change is the edit's. fields NULL: of all fields. */
int sheaf_models_drop(const sheaf_models *models, const int32_t *fields, size_t n, sheaf_edit *edit,
                      sheaf_error *err);
/* Removes the models that SOURCE tells of, at once (ms/rewrite.h), and images that held models. */
int sheaf_models_clear(const sheaf_models *models, const int32_t *fields, size_t n,
                       sheaf_error *err);

#endif

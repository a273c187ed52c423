/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/models.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tree.h"
#include "ms/rewrite.h"
#include "table/table.h"

static int find_source(sheaf_models *m, sheaf_error *err) {
  sheaf_subtable *list = NULL;
  size_t n;
  const int rc = sheaf_table_subtables(m->member, &list, &n, err);
  if (rc < 0) return rc;
  for (size_t i = 0; i < n; i++)
    if (!strcmp(list[i].name, "SOURCE") && list[i].exists)
      snprintf(m->source_path, sizeof m->source_path, "%s", list[i].path);
  free(list);
  return 0;
}

int sheaf_models_read(sheaf_models *m, const char *member, sheaf_error *err) {
  *m = (sheaf_models){0};
  snprintf(m->member, sizeof m->member, "%s", member);
  int rc = sheaf_model_list(member, &m->main, &m->nmain, err);
  if (rc >= 0) rc = find_source(m, err);
  if (rc >= 0 && m->source_path[0])
    rc = sheaf_model_list(m->source_path, &m->source, &m->nsource, err);
  if (rc < 0) sheaf_models_free(m);
  return rc;
}

void sheaf_models_free(sheaf_models *m) {
  free(m->main);
  free(m->source);
  *m = (sheaf_models){0};
}

static int holds(const sheaf_model *list, size_t n, int32_t field) {
  for (size_t i = 0; i < n; i++)
    if (list[i].field == field && list[i].defined) return 1;
  return 0;
}

int sheaf_models_defined(const sheaf_models *m, int32_t field) {
  return holds(m->source, m->nsource, field) || holds(m->main, m->nmain, field);
}

static int wanted(int32_t field, const int32_t *fields, size_t n) {
  if (!fields) return 1;
  for (size_t i = 0; i < n; i++)
    if (fields[i] == field) return 1;
  return 0;
}

int sheaf_models_drop(const sheaf_models *m, const int32_t *fields, size_t n, sheaf_edit *edit,
                      sheaf_error *err) {
  for (size_t i = 0; i < m->nmain; i++) {
    char name[64];
    if (!wanted(m->main[i].field, fields, n)) continue;
    snprintf(name, sizeof name, "definedmodel_field_%d", (int)m->main[i].field);
    int rc = sheaf_edit_drop(edit, NULL, name, err);
    if (rc >= 0 && m->main[i].key[0]) rc = sheaf_edit_drop(edit, NULL, m->main[i].key, err);
    if (rc < 0) return rc;
  }
  return 0;
}

typedef struct choice {
  const sheaf_model *models;
  size_t n;
} choice;

static int clear_copy(void *user, const char *copy, sheaf_error *err) {
  const choice *c = user;
  return sheaf_model_clear(copy, c->models, c->n, err);
}

/* Images of models in the MS itself; SOURCE's go with its rewriting. */
static int remove_images(const char *member, sheaf_error *err) {
  DIR *dir = opendir(member);
  int rc = 0;
  for (struct dirent *entry; dir && rc >= 0 && (entry = readdir(dir));) {
    char path[4400];
    if (strncmp(entry->d_name, "FT_MODEL", 8)) continue;
    snprintf(path, sizeof path, "%s/%s", member, entry->d_name);
    rc = sheaf_tree_remove(path, err);
  }
  if (dir) closedir(dir);
  return rc;
}

int sheaf_models_clear(const sheaf_models *m, const int32_t *fields, size_t n, sheaf_error *err) {
  choice c = {.n = 0};
  sheaf_model *chosen = calloc(m->nsource + 1, sizeof *chosen);
  if (!chosen) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", m->member);
  for (size_t i = 0; i < m->nsource; i++)
    if (wanted(m->source[i].field, fields, n)) chosen[c.n++] = m->source[i];
  c.models = chosen;
  int rc = c.n ? sheaf_rewrite(m->source_path, clear_copy, &c, err) : 0;
  if (rc >= 0 && !fields) rc = remove_images(m->member, err);
  free(chosen);
  return rc;
}

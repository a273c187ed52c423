/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/holders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ms/multims.h"
#include "ms/setup.h"
#include "table/reftable.h"

enum { DEEPEST = 16 };

static int no_memory(const char *path, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for the rows that it refers to", path);
}

static sheaf_holder *find(const sheaf_holders *h, const char *path) {
  for (size_t i = h->n; i > 0; i--)
    if (strcmp(h->holder[i - 1].path, path) == 0) return &h->holder[i - 1];
  return NULL;
}

static sheaf_holder *append(sheaf_holders *h, const char *path, sheaf_error *err) {
  sheaf_holder *more = realloc(h->holder, (h->n + 1) * sizeof *more);
  char *copy = strdup(path);
  if (more) h->holder = more;
  if (!more || !copy) {
    free(copy);
    no_memory(path, err);
    return NULL;
  }
  h->holder[h->n] = (sheaf_holder){.path = copy, .nrow = -1};
  return &h->holder[h->n++];
}

static int note_reference(sheaf_holders *h, const char *path, sheaf_error *err) {
  char **more = realloc(h->reference, (h->nreference + 1) * sizeof *more);
  if (!more) return no_memory(path, err);
  h->reference = more;
  more[h->nreference] = strdup(path);
  return more[h->nreference] ? (h->nreference++, 0) : no_memory(path, err);
}

static int note_names(sheaf_holders *h, const sheaf_reftable *ref, sheaf_error *err) {
  for (size_t i = 0; i < ref->ncolumn && !h->renamed; i++) {
    const sheaf_refcolumn *c = &ref->column[i];
    if (strcmp(c->name, c->source) == 0) continue;
    h->renamed = strdup(c->name);
    h->renamed_source = strdup(c->source);
    if (!h->renamed || !h->renamed_source) return no_memory(ref->root, err);
  }
  return 0;
}

/* ---- rows ---- */

/* Takes some rows of a plain table; row NULL: all. */
static int take(sheaf_holders *h, const char *path, const int64_t *row, int64_t n,
                sheaf_error *err) {
  char real[PATH_MAX];
  int rc = sheaf_path_real(path, real, sizeof real, err);
  sheaf_holder *holder = rc < 0 ? NULL : find(h, real);
  if (rc >= 0 && !holder && (holder = append(h, real, err)))
    rc = sheaf_setup_nrow(real, &holder->nrow, err);
  if (rc < 0 || !holder) return rc < 0 ? rc : SHEAF_ERR_NOMEM;
  if (holder->whole) return 0;
  if (!holder->rows && !(holder->rows = calloc((size_t)holder->nrow / 8 + 1, 1)))
    return no_memory(path, err);
  for (int64_t i = 0; row && i < n; i++) {
    if (row[i] < 0 || row[i] >= holder->nrow)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld is referred to, there are %lld", path,
                        (long long)row[i], (long long)holder->nrow);
    const uint8_t bit = (uint8_t)(1 << row[i] % 8);
    holder->nwanted += !(holder->rows[row[i] / 8] & bit);
    holder->rows[row[i] / 8] |= bit;
  }
  if (!row) holder->nwanted = holder->nrow;
  if (holder->nwanted < holder->nrow) return 0;
  holder->whole = 1;
  free(holder->rows);
  holder->rows = NULL;
  return 0;
}

static int walk(sheaf_holders *h, const char *path, const int64_t *row, int64_t n, int depth,
                sheaf_error *err);

static int walk_reference(sheaf_holders *h, const char *path, const int64_t *row, int64_t n,
                          int depth, sheaf_error *err) {
  sheaf_reftable ref = {0};
  int rc = sheaf_reftable_read(&ref, path, err);
  if (rc < 0) return rc;
  SHEAF_TRY(note_reference(h, path, err));
  SHEAF_TRY(note_names(h, &ref, err));
  int64_t *list = row ? malloc(((size_t)n + 1) * sizeof *list) : NULL;
  if (row && !list) SHEAF_TRY(no_memory(path, err));
  for (int64_t i = 0; row && i < n && rc >= 0; i++) {
    if (row[i] < 0 || row[i] >= ref.nrow)
      rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: row %lld is referred to, there are %lld", path,
                      (long long)row[i], (long long)ref.nrow);
    else
      list[i] = ref.row[row[i]];
  }
  if (rc >= 0) rc = walk(h, ref.root, row ? list : ref.row, row ? n : ref.nrow, depth + 1, err);
  free(list);
done:
  sheaf_reftable_free(&ref);
  return rc;
}

/* Members one behind the other; of rows that are given each member gets its own. */
static int walk_members(sheaf_holders *h, const char *path, const int64_t *row, int64_t n,
                        int depth, sheaf_error *err) {
  char **members = NULL;
  size_t nmember = 0;
  int64_t first = 0;
  int64_t *list = row ? malloc(((size_t)n + 1) * sizeof *list) : NULL;
  int rc = row && !list ? no_memory(path, err) : sheaf_mms_members(path, &members, &nmember, err);
  for (size_t m = 0; m < nmember && rc >= 0; m++) {
    int64_t nrow = 0, some = 0;
    if (row && (rc = sheaf_setup_nrow(members[m], &nrow, err)) < 0) break;
    for (int64_t i = 0; row && i < n; i++)
      if (row[i] >= first && row[i] < first + nrow) list[some++] = row[i] - first;
    first += nrow;
    if (!row || some) rc = walk(h, members[m], list, some, depth + 1, err);
  }
  sheaf_mms_members_free(members);
  free(list);
  return rc;
}

/* `row` NULL: all rows of the table. */
static int walk(sheaf_holders *h, const char *path, const int64_t *row, int64_t n, int depth,
                sheaf_error *err) {
  if (depth > DEEPEST)
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: refers to other tables, more than %d times", path,
                      DEEPEST);
  switch (sheaf_table_kind_of(path)) {
    case SHEAF_KIND_REF:
      return walk_reference(h, path, row, n, depth, err);
    case SHEAF_KIND_CONCAT:
      return walk_members(h, path, row, n, depth, err);
    default:
      return take(h, path, row, n, err);
  }
}

/* ---- the interface ---- */

/* An MS whose members hold their rows themselves: nothing is counted or resolved. */
static int take_whole(sheaf_holders *h, const char *path, sheaf_error *err) {
  sheaf_holder *holder = append(h, path, err);
  if (!holder) return SHEAF_ERR_NOMEM;
  holder->whole = 1;
  return 0;
}

int sheaf_holders_find(sheaf_holders *h, const char *vis, sheaf_error *err) {
  sheaf_error why;
  char **members = NULL;
  size_t n = 0;
  *h = (sheaf_holders){0};
  if (sheaf_reftable_orphaned(vis, &why)) {
    if (err) *err = why;
    return why.code;
  }
  int rc = sheaf_mms_members(vis, &members, &n, err), refers = 0;
  for (size_t i = 0; i < n && rc >= 0; i++) {
    const sheaf_table_kind kind = sheaf_table_kind_of(members[i]);
    refers |= kind == SHEAF_KIND_REF || kind == SHEAF_KIND_CONCAT;
  }
  for (size_t i = 0; i < n && rc >= 0; i++)
    rc = refers ? walk(h, members[i], NULL, 0, 0, err) : take_whole(h, members[i], err);
  sheaf_mms_members_free(members);
  if (rc < 0) sheaf_holders_free(h);
  return rc < 0 ? rc : 0;
}

int sheaf_holders_add_unused(sheaf_holders *h, const char *path, sheaf_error *err) {
  char real[PATH_MAX];
  int rc = sheaf_path_real(path, real, sizeof real, err);
  if (rc < 0 || find(h, real)) return rc;
  sheaf_holder *holder = append(h, real, err);
  if (!holder) return SHEAF_ERR_NOMEM;
  if ((rc = sheaf_setup_nrow(real, &holder->nrow, err)) < 0) return rc;
  holder->rows = calloc((size_t)holder->nrow / 8 + 1, 1);
  return holder->rows ? 0 : no_memory(path, err);
}

void sheaf_holders_free(sheaf_holders *h) {
  for (size_t i = 0; i < h->n; i++) {
    free(h->holder[i].path);
    free(h->holder[i].rows);
  }
  for (size_t i = 0; i < h->nreference; i++) free(h->reference[i]);
  free(h->holder);
  free(h->reference);
  free(h->renamed);
  free(h->renamed_source);
  *h = (sheaf_holders){0};
}

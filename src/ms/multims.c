/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/multims.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/refms.h"
#include "table/concat.h"

#define SORTED "SORTED_TABLE"
#define AXIS "AxisType"

static const char *const OWN[] = {"SOURCE", "HISTORY", NULL};

/* ---- table.info: two lines "Type = " and "SubType = ", an empty one, free text ---- */

typedef struct info {
  char type[128];
  char subtype[128];
  char *readme; /* lines, each with its newline */
} info;

static void info_free(info *in) {
  free(in->readme);
  in->readme = NULL;
}

static void take_value(const char *line, size_t n, char *out, size_t size) {
  const char *eq = memchr(line, '=', n);
  if (!eq) return;
  const char *from = eq + 1, *to = line + n;
  while (from < to && *from == ' ') from++;
  while (to > from && (to[-1] == ' ' || to[-1] == '\r')) to--;
  snprintf(out, size, "%.*s", (int)(to - from), from);
}

static int info_read(const char *table, info *in, sheaf_error *err) {
  char file[PATH_MAX], *text = NULL;
  size_t n = 0;
  memset(in, 0, sizeof *in);
  int rc = sheaf_path_join(file, sizeof file, table, "table.info", err);
  if (rc < 0 || (rc = sheaf_file_read(file, &text, &n, err)) < 0) return rc;
  const char *at = text;
  for (int i = 0; i < 3 && *at; i++) {
    const size_t line = strcspn(at, "\n");
    if (i == 0) take_value(at, line, in->type, sizeof in->type);
    if (i == 1) take_value(at, line, in->subtype, sizeof in->subtype);
    if (i == 2 && line > 0) break; /* no empty line */
    at += line + (at[line] == '\n');
  }
  in->readme = strdup(at);
  free(text);
  return in->readme ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", file);
}

static int info_write(const char *table, const info *in, sheaf_error *err) {
  char file[PATH_MAX], *text = NULL;
  int rc = sheaf_path_join(file, sizeof file, table, "table.info", err);
  if (rc < 0) return rc;
  const int n = asprintf(&text, "Type = %s\nSubType = %s\n\n%s", in->type, in->subtype, in->readme);
  if (n < 0) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", file);
  rc = sheaf_file_replace(file, text, (size_t)n, err);
  free(text);
  return rc;
}

static int readme_add(info *in, const char *line, sheaf_error *err) {
  char *text = NULL;
  if (asprintf(&text, "%s%s\n", in->readme, line) < 0)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "table.info: out of memory");
  free(in->readme);
  in->readme = text;
  return 0;
}

/* Takes the AxisType lines out of the free text; returns how many there were. */
static int readme_drop_axis(info *in) {
  int dropped = 0;
  char *to = in->readme;
  for (const char *at = in->readme; *at;) {
    const size_t line = strcspn(at, "\n"), whole = line + (at[line] == '\n');
    if (memmem(at, line, AXIS, strlen(AXIS))) {
      dropped++;
    } else {
      memmove(to, at, whole);
      to += whole;
    }
    at += whole;
  }
  *to = '\0';
  return dropped;
}

static int readme_set_axis(info *in, const char *axis, sheaf_error *err) {
  char *text = NULL;
  if (asprintf(&text, AXIS " = %s\n%s", axis, in->readme) < 0)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "table.info: out of memory");
  free(in->readme);
  in->readme = text;
  return 0;
}

int sheaf_mms_axis(const char *path, char *axis, size_t size, sheaf_error *err) {
  info in;
  axis[0] = '\0';
  const int rc = info_read(path, &in, err);
  if (rc < 0) return rc;
  for (const char *at = in.readme; *at;) {
    const size_t line = strcspn(at, "\n");
    if (memmem(at, line, AXIS, strlen(AXIS))) take_value(at, line, axis, size);
    at += line + (at[line] == '\n');
  }
  info_free(&in);
  return 0;
}

int sheaf_mms_axis_set(const char *path, const char *axis, sheaf_error *err) {
  info in;
  char before[256] = "";
  int rc = sheaf_mms_axis(path, before, sizeof before, err);
  if (rc < 0 || (rc = info_read(path, &in, err)) < 0) return rc;
  if (readme_drop_axis(&in) > 0)
    sheaf_log(SHEAF_LOG_WARN, "%s: AxisType '%s' is replaced by '%s'", path, before, axis);
  rc = readme_set_axis(&in, axis, err);
  if (rc >= 0) rc = info_write(path, &in, err);
  info_free(&in);
  return rc;
}

/* ---- lists of names ---- */

static int list_from_json(const json_t *array, char ***names, size_t *n, sheaf_error *err) {
  *n = json_array_size(array);
  *names = calloc(*n + 1, sizeof **names);
  for (size_t i = 0; *names && i < *n; i++)
    if (!((*names)[i] = strdup(json_string_value(json_array_get(array, i))))) {
      sheaf_mms_members_free(*names);
      *names = NULL;
    }
  return *names ? 0 : sheaf_fail(err, SHEAF_ERR_NOMEM, "list of names: out of memory");
}

void sheaf_mms_members_free(char **names) {
  for (char **at = names; at && *at; at++) free(*at);
  free(names);
}

static int listed(const char *const *names, const char *name) {
  for (; *names; names++)
    if (strcmp(*names, name) == 0) return 1;
  return 0;
}

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

int sheaf_mms_is(const char *path) {
  info in;
  if (info_read(path, &in, NULL) < 0) return 0;
  const int subtype = strcmp(in.subtype, "CONCATENATED") == 0;
  info_free(&in);
  return subtype && sheaf_concat_members(path, NULL, NULL, NULL) == 1;
}

int sheaf_mms_members(const char *path, char ***names, size_t *n, sheaf_error *err) {
  json_t *list = NULL;
  char whole[PATH_MAX];
  *names = NULL;
  *n = 0;
  int rc = sheaf_path_absolute(path, whole, sizeof whole, err);
  if (rc < 0 || (rc = sheaf_concat_members(whole, &list, NULL, err)) < 0) return rc;
  if (rc == 0) json_array_append_new(list, json_string(whole));
  rc = list_from_json(list, names, n, err);
  json_decref(list);
  return rc;
}

/* Basenames of the sub-tables in a description. */
static json_t *subtable_names(const json_t *description) {
  json_t *names = json_array();
  const char *key;
  json_t *target;
  json_object_foreach(json_object_get(description, "subtables"), key, target) {
    if (strcmp(key, SORTED) != 0)
      json_array_append_new(names, json_string(base_of(json_string_value(target))));
  }
  return names;
}

int sheaf_mms_subtables(const char *path, char ***names, size_t *n, sheaf_error *err) {
  json_t *description = NULL;
  *names = NULL;
  *n = 0;
  int rc = sheaf_concat_describe(path, &description, err);
  if (rc < 0) return rc;
  json_t *list = subtable_names(description);
  rc = list_from_json(list, names, n, err);
  json_decref(list);
  json_decref(description);
  return rc;
}

/* ---- making ---- */

typedef struct assembly {
  char path[PATH_MAX];
  size_t n;
  const char *subdir; /* "SUBMSS" */
  char **inside;      /* "SUBMSS/name" */
  json_t **described; /* per member */
  char **subtables;   /* of the first member */
  size_t nsubtable;
  const char *const *own;
  int64_t nrow;
} assembly;

static void assembly_free(assembly *as) {
  for (size_t i = 0; as->described && i < as->n; i++) json_decref(as->described[i]);
  free(as->described);
  sheaf_mms_members_free(as->inside);
  sheaf_mms_members_free(as->subtables);
}

static int member_path(const assembly *as, size_t i, const char *name, char *out,
                       sheaf_error *err) {
  char member[PATH_MAX];
  const int rc = sheaf_path_join(member, sizeof member, as->path, as->inside[i], err);
  if (rc < 0) return rc;
  return name ? sheaf_path_join(out, PATH_MAX, member, name, err)
              : sheaf_path_absolute(member, out, PATH_MAX, err);
}

/* Puts one member below SUBMSS and notes its name. */
static int take_member(assembly *as, size_t i, const char *member, sheaf_error *err) {
  char from[PATH_MAX], to[PATH_MAX], real_from[PATH_MAX], real_to[PATH_MAX], base[NAME_MAX + 1];
  int rc = sheaf_path_absolute(member, from, sizeof from, err);
  if (rc < 0) return rc;
  if (asprintf(&as->inside[i], "%s/%s", as->subdir, sheaf_path_base(from, base, sizeof base)) < 0)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", from);
  for (size_t j = 0; j < i; j++)
    if (strcmp(as->inside[j], as->inside[i]) == 0)
      return sheaf_fail(err, SHEAF_ERR_EXISTS, "%s: two members of one name", as->inside[i]);
  if ((rc = member_path(as, i, NULL, to, err)) < 0) return rc;
  if ((rc = sheaf_path_real(from, real_from, sizeof real_from, err)) < 0) return rc;
  if ((rc = sheaf_path_real(to, real_to, sizeof real_to, err)) < 0) return rc;
  if (strcmp(real_from, real_to) == 0) return 0;
  if (sheaf_path_exists(to)) return sheaf_fail(err, SHEAF_ERR_EXISTS, "%s: already exists", to);
  return rename(from, to) == 0
             ? 0
             : sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be moved to %s", from, to);
}

static int take_members(assembly *as, const char *const *members, sheaf_error *err) {
  char dir[PATH_MAX];
  int rc = sheaf_path_join(dir, sizeof dir, as->path, as->subdir, err);
  if (rc < 0) return rc;
  if (mkdir(dir, 0777) < 0 && errno != EEXIST)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be made", dir);
  as->inside = calloc(as->n + 1, sizeof *as->inside);
  as->described = calloc(as->n, sizeof(json_t *));
  if (!as->inside || !as->described)
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", as->path);
  for (size_t i = 0; i < as->n; i++)
    if ((rc = take_member(as, i, members[i], err)) < 0) return rc;
  return 0;
}

/* 0, or writes what differs between two members' columns and returns 1. */
static int columns_differ(const json_t *a, const json_t *b, char *text, size_t size) {
  const json_t *ca = json_object_get(a, "columns"), *cb = json_object_get(b, "columns");
  const char *name;
  json_t *kind;
  json_object_foreach((json_t *)ca, name, kind) {
    const char *other = json_string_value(json_object_get(cb, name));
    if (other && strcmp(other, json_string_value(kind)) == 0) continue;
    snprintf(text, size, "column %s is %s, in the first sub-MS it is %s", name,
             other ? other : "missing", json_string_value(kind));
    return 1;
  }
  json_object_foreach((json_t *)cb, name, kind) {
    if (json_object_get(ca, name)) continue;
    snprintf(text, size, "column %s is missing in the first sub-MS", name);
    return 1;
  }
  return 0;
}

/* Removes the sorted copy of the main table (its order holds for the whole, not for a member). */
static int drop_sorted(const assembly *as, size_t i, sheaf_error *err) {
  char member[PATH_MAX], table[PATH_MAX];
  const char *target =
      json_string_value(json_object_get(json_object_get(as->described[i], "subtables"), SORTED));
  if (!target) return 0;
  int rc = member_path(as, i, NULL, member, err);
  if (rc < 0 || (rc = sheaf_concat_keyword_drop(member, SORTED, err)) < 0) return rc;
  if ((rc = member_path(as, i, base_of(target), table, err)) < 0) return rc;
  return sheaf_tree_remove(table, err);
}

static int describe_members(assembly *as, sheaf_error *err) {
  char member[PATH_MAX], text[400];
  for (size_t i = 0; i < as->n; i++) {
    int rc = member_path(as, i, NULL, member, err);
    if (rc < 0 || (rc = sheaf_concat_describe(member, &as->described[i], err)) < 0) return rc;
    if (columns_differ(as->described[0], as->described[i], text, sizeof text))
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: %s", base_of(member), text);
    as->nrow += json_integer_value(json_object_get(as->described[i], "nrow"));
    if ((rc = drop_sorted(as, i, err)) < 0) return rc;
  }
  return 0;
}

/* Makes sure that a sub-table of the first member lies in it. A keyword that leads nowhere is
 * dropped with a warning: returns 0 then, else 1. */
static int settle_subtable(const assembly *as, const char *key, const char *target,
                           sheaf_error *err) {
  char member[PATH_MAX], table[PATH_MAX], real[PATH_MAX];
  int rc = member_path(as, 0, NULL, member, err);
  if (rc < 0 || (rc = member_path(as, 0, base_of(target), table, err)) < 0) return rc;
  if (!sheaf_path_exists(table) && sheaf_path_is_dir(target)) {
    if ((rc = sheaf_path_real(target, real, sizeof real, err)) < 0) return rc;
    if ((rc = sheaf_tree_copy(real, table, err)) < 0) return rc;
    if ((rc = sheaf_concat_keyword_link(member, base_of(target), err)) < 0) return rc;
  }
  if (sheaf_path_is_dir(table)) return 1;
  sheaf_log(SHEAF_LOG_WARN, "%s: sub-table %s does not exist; its keyword is dropped",
            base_of(member), key);
  for (size_t i = 0; i < as->n; i++) {
    if ((rc = member_path(as, i, NULL, member, err)) < 0) return rc;
    if ((rc = sheaf_concat_keyword_drop(member, key, err)) < 0) return rc;
  }
  return 0;
}

static int list_subtables(assembly *as, sheaf_error *err) {
  json_t *names = json_array();
  const char *key;
  json_t *target;
  int rc = 0;
  json_object_foreach(json_object_get(as->described[0], "subtables"), key, target) {
    const char *path = json_string_value(target);
    if (strcmp(key, SORTED) == 0) continue;
    if ((rc = settle_subtable(as, key, path, err)) < 0) break;
    if (rc > 0) json_array_append_new(names, json_string(base_of(path)));
  }
  if (rc >= 0) rc = list_from_json(names, &as->subtables, &as->nsubtable, err);
  json_decref(names);
  return rc;
}

/* Points a later member's keyword at the table (or link) inside it, unless it does that already. */
static int point_keyword(const assembly *as, size_t i, const char *name, sheaf_error *err) {
  char member[PATH_MAX], table[PATH_MAX];
  int rc = member_path(as, i, NULL, member, err);
  if (rc < 0 || (rc = member_path(as, i, name, table, err)) < 0) return rc;
  const char *target =
      json_string_value(json_object_get(json_object_get(as->described[i], "subtables"), name));
  if (target && strcmp(target, table) == 0) return 0;
  return sheaf_concat_keyword_link(member, name, err);
}

/* Whether `path` is a link to `target`, in these words. */
static int links_to(const char *path, const char *target) {
  char now[PATH_MAX];
  const ssize_t n = readlink(path, now, sizeof now);
  return n > 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0;
}

static int link_subtable(const assembly *as, size_t i, const char *name, sheaf_error *err) {
  char table[PATH_MAX], target[PATH_MAX];
  int rc = member_path(as, i, name, table, err);
  if (rc < 0) return rc;
  snprintf(target, sizeof target, "../%s/%s", base_of(as->inside[0]), name);
  if (links_to(table, target)) return point_keyword(as, i, name, err);
  if ((rc = sheaf_tree_remove(table, err)) < 0) return rc;
  if (symlink(target, table) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be linked", table);
  return point_keyword(as, i, name, err);
}

static int copy_subtable(const assembly *as, size_t i, const char *name, sheaf_error *err) {
  char from[PATH_MAX], real_from[PATH_MAX], to[PATH_MAX];
  int rc = member_path(as, 0, name, from, err);
  if (rc < 0 || (rc = sheaf_path_real(from, real_from, sizeof real_from, err)) < 0) return rc;
  if ((rc = member_path(as, i, name, to, err)) < 0) return rc;
  if ((rc = sheaf_tree_remove(to, err)) < 0) return rc;
  if ((rc = sheaf_tree_copy(real_from, to, err)) < 0) return rc;
  return point_keyword(as, i, name, err);
}

static int share_subtables(const assembly *as, int copy_own, sheaf_error *err) {
  for (size_t i = 1; i < as->n; i++)
    for (size_t k = 0; k < as->nsubtable; k++) {
      const char *name = as->subtables[k];
      int rc = 0;
      if (!listed(as->own, name))
        rc = link_subtable(as, i, name, err);
      else if (copy_own)
        rc = copy_subtable(as, i, name, err);
      if (rc < 0) return rc;
    }
  return 0;
}

static int link_top(const assembly *as, sheaf_error *err) {
  char target[PATH_MAX], table[PATH_MAX];
  for (size_t k = 0; k < as->nsubtable; k++) {
    const int rc = sheaf_path_join(table, sizeof table, as->path, as->subtables[k], err);
    if (rc < 0) return rc;
    snprintf(target, sizeof target, "%s/%s", as->inside[0], as->subtables[k]);
    if (symlink(target, table) < 0)
      return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be linked", table);
  }
  return 0;
}

/* table.info of a concatenated table, after that of its first member. */
static int write_info(const assembly *as, const char *axis, sheaf_error *err) {
  char member[PATH_MAX], line[PATH_MAX];
  info in;
  int rc = member_path(as, 0, NULL, member, err);
  if (rc < 0 || (rc = info_read(member, &in, err)) < 0) return rc;
  snprintf(in.subtype, sizeof in.subtype, "CONCATENATED");
  readme_drop_axis(&in);
  rc = readme_add(&in, "Virtual concatenation of the following tables:", err);
  for (size_t i = 0; rc >= 0 && i < as->n; i++) {
    snprintf(line, sizeof line, "  %s", as->inside[i]);
    rc = readme_add(&in, line, err);
  }
  if (rc >= 0 && axis && *axis) rc = readme_set_axis(&in, axis, err);
  if (rc >= 0) rc = info_write(as->path, &in, err);
  info_free(&in);
  return rc;
}

/* Lets casacore open what was written. */
static int prove(const assembly *as, sheaf_error *err) {
  json_t *whole = NULL;
  const int rc = sheaf_concat_describe(as->path, &whole, err);
  if (rc < 0) return rc;
  const int64_t nrow = json_integer_value(json_object_get(whole, "nrow"));
  json_decref(whole);
  if (nrow == as->nrow) return 0;
  return sheaf_fail(err, SHEAF_ERR_INTERNAL, "%s: has %lld rows, its members have %lld", as->path,
                    (long long)nrow, (long long)as->nrow);
}

int sheaf_mms_assemble(const char *path, const char *const *members, size_t n,
                       const sheaf_mms_options *options, sheaf_error *err) {
  static const sheaf_mms_options plain = {.copy_own = 1};
  if (!options) options = &plain;
  assembly as = {.n = n, .subdir = "SUBMSS", .own = options->own ? options->own : OWN};
  int rc = 0;
  if (n == 0) return sheaf_fail(err, SHEAF_ERR_ARG, "%s: no sub-MSs given", path);
  SHEAF_TRY(sheaf_path_absolute(path, as.path, sizeof as.path, err));
  SHEAF_TRY(take_members(&as, members, err));
  SHEAF_TRY(describe_members(&as, err));
  SHEAF_TRY(list_subtables(&as, err));
  SHEAF_TRY(share_subtables(&as, options->copy_own, err));
  SHEAF_TRY(link_top(&as, err));
  SHEAF_TRY(sheaf_concat_write(as.path, (const char *const *)as.inside, n, as.nrow, err));
  SHEAF_TRY(write_info(&as, options->axis, err));
  SHEAF_TRY(prove(&as, err));
  rc = 0;
done:
  assembly_free(&as);
  return rc < 0 ? sheaf_fail_context(err, rc, "making of Multi-MS %s", base_of(path)) : 0;
}

int sheaf_mms_write(const char *path, const char *const *names, size_t n, int64_t nrow,
                    const char *axis, sheaf_error *err) {
  assembly as = {.n = n, .subdir = "SUBMSS", .nrow = nrow};
  int rc = sheaf_path_absolute(path, as.path, sizeof as.path, err);
  as.inside = calloc(n + 1, sizeof *as.inside);
  for (size_t i = 0; as.inside && i < n; i++)
    if (asprintf(&as.inside[i], "%s/%s", as.subdir, names[i]) < 0) as.inside[i] = NULL;
  if (rc >= 0 && (!as.inside || !as.inside[n - 1]))
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
  if (rc >= 0) rc = sheaf_concat_write(as.path, (const char *const *)as.inside, n, nrow, err);
  if (rc >= 0) rc = write_info(&as, axis, err);
  assembly_free(&as);
  return rc;
}

int sheaf_mms_join(const char *path, const char *subdir, const char *const *tables, size_t n,
                   sheaf_error *err) {
  assembly as = {.n = n, .subdir = subdir};
  int rc = 0;
  if (mkdir(path, 0777) < 0)
    return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s: cannot be made", path);
  SHEAF_TRY(sheaf_path_absolute(path, as.path, sizeof as.path, err));
  SHEAF_TRY(take_members(&as, tables, err));
  SHEAF_TRY(describe_members(&as, err));
  SHEAF_TRY(sheaf_concat_write(as.path, (const char *const *)as.inside, n, as.nrow, err));
  SHEAF_TRY(write_info(&as, NULL, err));
  SHEAF_TRY(prove(&as, err));
  rc = 0;
done:
  assembly_free(&as);
  return rc;
}

/* ---- checking ---- */

typedef struct check {
  char real[PATH_MAX]; /* the Multi-MS with all links resolved */
  char **input;        /* real paths of what its members refer to, if they do */
  size_t ninput;
  sheaf_mms_report *report;
  void *user;
  int nproblem;
} check;

static void problem(check *ck, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(check *ck, const char *member, const char *fmt, ...) {
  char text[2 * PATH_MAX];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  ck->nproblem++;
  if (ck->report) ck->report(ck->user, member, text);
}

static int is_inside(const char *dir, const char *path) {
  const size_t n = strlen(dir);
  return strncmp(dir, path, n) == 0 && path[n] == '/';
}

static int is_link(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* What the links SUBMSS/INPUT… lead to (ms/refms.h). */
static void find_inputs(check *ck) {
  char dir[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
  if (sheaf_path_join(dir, sizeof dir, ck->real, "SUBMSS", NULL) < 0) return;
  DIR *list = opendir(dir);
  for (const struct dirent *entry; list && (entry = readdir(list));) {
    if (strncmp(entry->d_name, SHEAF_REFMS_LINK, strlen(SHEAF_REFMS_LINK)) != 0) continue;
    if (sheaf_path_join(path, sizeof path, dir, entry->d_name, NULL) < 0) continue;
    if (!is_link(path) || !realpath(path, real)) continue;
    char **more = realloc(ck->input, (ck->ninput + 2) * sizeof *more);
    if (!more) break;
    ck->input = more;
    ck->input[ck->ninput] = strdup(real);
    ck->ninput += ck->input[ck->ninput] != NULL;
    ck->input[ck->ninput] = NULL;
  }
  if (list) closedir(list);
}

static int is_input(const check *ck, const char *real) {
  for (size_t i = 0; i < ck->ninput; i++)
    if (is_inside(ck->input[i], real)) return 1;
  return 0;
}

/* A link must be relative, and lead to a table below the Multi-MS or the MS that it refers to. */
static void check_link(check *ck, const char *member, const char *path) {
  char target[PATH_MAX], real[PATH_MAX], file[PATH_MAX];
  const ssize_t n = readlink(path, target, sizeof target - 1);
  if (n < 0) return;
  target[n] = '\0';
  if (target[0] == '/') problem(ck, member, "link %s is absolute: %s", base_of(path), target);
  if (!realpath(path, real)) {
    problem(ck, member, "link %s leads nowhere: %s", base_of(path), target);
    return;
  }
  if (!is_inside(ck->real, real) && !is_input(ck, real))
    problem(ck, member, "link %s leads out of the Multi-MS: %s", base_of(path), target);
  if (sheaf_path_join(file, sizeof file, real, "table.dat", NULL) < 0 || !sheaf_path_exists(file))
    problem(ck, member, "link %s leads to no table: %s", base_of(path), target);
}

static void check_subtable(check *ck, const char *member, const char *key, const char *path,
                           int only_inside) {
  json_t *description = NULL;
  sheaf_error why;
  sheaf_error_clear(&why);
  if (is_link(path)) {
    if (only_inside) check_link(ck, member, path);
  } else if (!sheaf_path_exists(path)) {
    problem(ck, member, "sub-table %s is missing: %s", key, path);
  } else if (sheaf_concat_describe(path, &description, &why) < 0) {
    problem(ck, member, "sub-table %s cannot be opened: %s", key, why.text);
  }
  json_decref(description);
}

/* Every link at the top is good, and every sub-table of the first member has one. */
static void check_top(check *ck, const char *path, const json_t *first) {
  char table[PATH_MAX];
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (sheaf_path_join(table, sizeof table, path, entry->d_name, NULL) >= 0 && is_link(table))
      check_link(ck, "", table);
  if (dir) closedir(dir);
  json_t *names = subtable_names(first);
  for (size_t i = 0; i < json_array_size(names); i++) {
    const char *name = json_string_value(json_array_get(names, i));
    if (sheaf_path_join(table, sizeof table, path, name, NULL) < 0) continue;
    if (!is_link(table) && !sheaf_path_exists(table))
      problem(ck, "", "link to sub-table %s is missing", name);
  }
  json_decref(names);
}

/* Returns the member's rows; keeps the first description for comparison. */
static int64_t check_member(check *ck, const char *path, int concat, json_t **first) {
  char text[400], real[PATH_MAX];
  sheaf_error why;
  json_t *description = NULL, *target;
  const char *key, *member = concat ? base_of(path) : "";
  sheaf_error_clear(&why);
  if (concat && realpath(path, real) && !is_inside(ck->real, real))
    problem(ck, member, "lies outside of the Multi-MS: %s", real);
  if (sheaf_concat_describe(path, &description, &why) < 0) {
    problem(ck, member, "cannot be opened: %s", why.text);
    return 0;
  }
  const int64_t nrow = json_integer_value(json_object_get(description, "nrow"));
  if (sheaf_concat_probe(path, &why) < 0) problem(ck, member, "cannot be read: %s", why.text);
  /* Members that refer to one MS have the same sub-tables. */
  if (!*first ||
      !json_equal(json_object_get(*first, "subtables"), json_object_get(description, "subtables")))
    json_object_foreach(json_object_get(description, "subtables"), key, target)
        check_subtable(ck, member, key, json_string_value(target), concat);
  if (!*first)
    *first = json_incref(description);
  else if (columns_differ(*first, description, text, sizeof text))
    problem(ck, member, "%s", text);
  json_decref(description);
  return nrow;
}

int sheaf_mms_check(const char *path, sheaf_mms_report *report, void *user, sheaf_error *err) {
  check ck = {.report = report, .user = user};
  json_t *members = NULL, *first = NULL;
  int64_t nrow = 0, sum = 0;
  int rc = sheaf_path_real(path, ck.real, sizeof ck.real, err);
  if (rc < 0) return rc;
  const int concat = sheaf_concat_members(ck.real, &members, &nrow, err);
  if (concat < 0) return concat;
  if (concat) find_inputs(&ck);
  if (!concat) json_array_append_new(members, json_string(ck.real));
  for (size_t i = 0; i < json_array_size(members); i++)
    sum += check_member(&ck, json_string_value(json_array_get(members, i)), concat, &first);
  if (concat && first) check_top(&ck, ck.real, first);
  if (concat && sum != nrow)
    problem(&ck, "", "its members have %lld rows together, table.dat says %lld", (long long)sum,
            (long long)nrow);
  json_decref(first);
  json_decref(members);
  sheaf_mms_members_free(ck.input);
  return ck.nproblem;
}

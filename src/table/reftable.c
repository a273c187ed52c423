/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/reftable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "table/aipsio.h"

enum { LONGEST_CHAIN = 16, HEAD_BYTES = PATH_MAX + 256 };

static int no_memory(const char *path, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: out of memory", path);
}

/* ---- names ---- */

/* Takes out "//", "/./" and, by the text alone, "dir/..": casacore finds tables so. */
static void remove_dots(char *path) {
  char *out = path;
  for (const char *p = path; *p;) {
    while (*p == '/') p++;
    const size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.') {
      while (out > path && *--out != '/') {
      }
    } else if (n > 0 && !(n == 1 && p[0] == '.')) {
      *out++ = '/';
      memmove(out, p, n);
      out += n;
    }
    p += n;
  }
  if (out == path) *out++ = '/';
  *out = '\0';
}

static int ends_with(const char *text, size_t n, const char *end, size_t m) {
  return n >= m && memcmp(text + n - m, end, m) == 0;
}

/* The path that a stored name stands for in the table `table` (absolute): "././x" lies in it, "./x"
 * beside it, "a/b/." is the directory that holds it as a/b. */
static int full_name(const char *table, const char *stored, char *out, size_t size,
                     sheaf_error *err) {
  char joined[2 * PATH_MAX];
  const char *name = stored;
  const size_t ntable = strlen(table);
  while (name[0] == '.' && name[1] == '/') name += 2;
  const size_t length = strlen(name);
  if (name - stored == 2) {
    const char *slash = strrchr(table, '/');
    snprintf(joined, sizeof joined, "%.*s/%s", slash ? (int)(slash - table) : 0, table, name);
  } else if (name > stored) {
    snprintf(joined, sizeof joined, "%s/%s", table, name);
  } else if (length > 2 && strcmp(name + length - 2, "/.") == 0 &&
             ends_with(table, ntable, name, length - 2) && ntable > length - 1 &&
             table[ntable - length + 1] == '/') {
    snprintf(joined, sizeof joined, "%.*s", (int)(ntable - length + 1), table);
  } else {
    const int rc = sheaf_path_absolute(name, joined, sizeof joined, err);
    if (rc < 0) return rc;
  }
  remove_dots(joined);
  if (strlen(joined) >= size)
    return sheaf_fail(err, SHEAF_ERR_ARG, "%s: the path of the table that it refers to is too long",
                      table);
  memcpy(out, joined, strlen(joined) + 1);
  return 0;
}

static int absolute(const char *path, char out[PATH_MAX], sheaf_error *err) {
  const int rc = sheaf_path_absolute(path, out, PATH_MAX, err);
  if (rc >= 0) remove_dots(out);
  return rc;
}

static int is_table(const char *path) {
  char file[PATH_MAX + 16];
  struct stat info;
  snprintf(file, sizeof file, "%s/table.dat", path);
  return stat(file, &info) == 0;
}

/* ---- reading ---- */

static sheaf_table_kind kind_of(sheaf_aips_text kind) {
  if (sheaf_aips_equal(kind, "PlainTable")) return SHEAF_KIND_PLAIN;
  if (sheaf_aips_equal(kind, "RefTable")) return SHEAF_KIND_REF;
  if (sheaf_aips_equal(kind, "ConcatTable")) return SHEAF_KIND_CONCAT;
  return SHEAF_KIND_OTHER;
}

/* The head that every table.dat has, up to the object of its kind. */
static sheaf_aips_text read_head(sheaf_aips_in *in, int64_t *nrow) {
  const uint32_t version = sheaf_aips_start(in, "Table", NULL);
  *nrow = (int64_t)(version > 2 ? sheaf_aips_u64(in) : sheaf_aips_u32(in));
  sheaf_aips_u32(in); /* byte order of data, of which there are none */
  return sheaf_aips_str(in);
}

static uint32_t number_at(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The kind of a table and, of one without data, the first table that it names, as stored; from the
 * beginning of table.dat alone. */
static sheaf_table_kind peek(const char *path, char *name, size_t size) {
  char file[PATH_MAX];
  uint8_t head[HEAD_BYTES];
  name[0] = '\0';
  if (sheaf_path_join(file, sizeof file, path, "table.dat", NULL) < 0) return SHEAF_KIND_NONE;
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SHEAF_KIND_NONE;
  const ssize_t got = pread(fd, head, sizeof head, 0);
  close(fd);
  /* magic, length, "Table", version, rows (4 or 8 bytes), byte order, kind */
  if (got < 64 || number_at(head) != 0xbebebebe || memcmp(head + 8, "\0\0\0\5Table", 9) != 0)
    return SHEAF_KIND_NONE;
  size_t at = 21 + (number_at(head + 17) > 2 ? 8 : 4) + 4;
  size_t n = number_at(head + at);
  if (n > 32) return SHEAF_KIND_OTHER;
  const sheaf_table_kind kind = kind_of((sheaf_aips_text){(const char *)head + at + 4, n});
  if (kind != SHEAF_KIND_REF && kind != SHEAF_KIND_CONCAT) return kind;
  /* length, type name, version, [number of members], name */
  at += 4 + n + 4 + 4 + n + 4 + (kind == SHEAF_KIND_CONCAT ? 4 : 0);
  if (at + 4 > (size_t)got) return kind;
  n = number_at(head + at);
  if (n >= size || at + 4 + n > (size_t)got) return kind;
  memcpy(name, head + at + 4, n);
  name[n] = '\0';
  return kind;
}

sheaf_table_kind sheaf_table_kind_of(const char *path) {
  char name[PATH_MAX];
  return peek(path, name, sizeof name);
}

static char *copy_text(sheaf_aips_text text) {
  return strndup(text.at, text.n);
}

/* Name in this table -> name in the root. Returns how many; stops the reader without memory. */
static size_t read_map(sheaf_aips_in *in, sheaf_refcolumn **map) {
  sheaf_aips_start(in, "SimpleOrderedMap", NULL);
  sheaf_aips_str(in); /* a default that is not used */
  const size_t n = (size_t)sheaf_aips_u32(in);
  sheaf_aips_u32(in);
  if (n > sheaf_aips_left(in) / 8) sheaf_aips_stop(in, "%zu columns, more than it has room for", n);
  *map = in->why[0] ? NULL : calloc(n + 1, sizeof **map);
  if (!*map) {
    sheaf_aips_stop(in, "out of memory");
    return 0;
  }
  for (size_t i = 0; i < n; i++) {
    (*map)[i].name = copy_text(sheaf_aips_str(in));
    (*map)[i].source = copy_text(sheaf_aips_str(in));
    if (!(*map)[i].name || !(*map)[i].source) sheaf_aips_stop(in, "out of memory");
  }
  sheaf_aips_end(in);
  return n;
}

static void free_columns(sheaf_refcolumn *column, size_t n) {
  for (size_t i = 0; column && i < n; i++) {
    free(column[i].name);
    free(column[i].source);
  }
  free(column);
}

/* Puts the columns into the order of the table, as the list of names that follows says. */
static void order_columns(sheaf_aips_in *in, sheaf_refcolumn *map, size_t n) {
  const uint32_t version = sheaf_aips_start(in, NULL, NULL);
  const uint32_t ndim = sheaf_aips_u32(in);
  if (ndim != 1) sheaf_aips_stop(in, "its list of columns has %u axes", ndim);
  if (version < 3) sheaf_aips_u32(in); /* origin */
  sheaf_aips_u32(in);                  /* shape */
  const uint64_t count = sheaf_aips_count(in, 0, 4);
  for (size_t k = 0; k < count && !in->why[0]; k++) {
    const sheaf_aips_text name = sheaf_aips_str(in);
    size_t at = k;
    while (at < n && !sheaf_aips_equal(name, map[at].name)) at++;
    if (at >= n) {
      sheaf_aips_stop(in, "column '%.*s' is not in its own list", (int)(name.n < 60 ? name.n : 60),
                      name.at);
      return;
    }
    const sheaf_refcolumn moved = map[at];
    memmove(map + k + 1, map + k, (at - k) * sizeof *map);
    map[k] = moved;
  }
  sheaf_aips_end(in);
}

static void read_rows(sheaf_aips_in *in, sheaf_reftable *ref, int wide) {
  const size_t size = wide ? 8 : 4;
  ref->row = NULL;
  if ((uint64_t)ref->nrow > sheaf_aips_left(in) / size) {
    sheaf_aips_stop(in, "%lld rows, more than it has room for", (long long)ref->nrow);
    return;
  }
  ref->row = malloc(((size_t)ref->nrow + 1) * sizeof *ref->row);
  if (!ref->row) {
    sheaf_aips_stop(in, "out of memory");
    return;
  }
  for (int64_t i = 0; i < ref->nrow; i++) {
    ref->row[i] = wide ? (int64_t)sheaf_aips_u64(in) : (int64_t)sheaf_aips_u32(in);
    if (ref->row[i] < 0 || ref->row[i] >= ref->root_nrow) {
      sheaf_aips_stop(in, "row %lld refers to row %lld of a table of %lld rows", (long long)i,
                      (long long)ref->row[i], (long long)ref->root_nrow);
      return;
    }
  }
}

static int rows_ascend(const int64_t *row, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    if (row[i] <= row[i - 1]) return 0;
  return 1;
}

/* The object of a reference table; `stored` is the name of the root. Returns whether row numbers
 * have 8 bytes. */
static int read_reference(sheaf_aips_in *in, sheaf_reftable *ref, char **stored) {
  const uint32_t version = sheaf_aips_start(in, "RefTable", NULL);
  const int wide = version > 2;
  if (version > 3) sheaf_aips_stop(in, "version %u is not known here", version);
  *stored = copy_text(sheaf_aips_str(in));
  ref->ncolumn = read_map(in, &ref->column);
  if (version > 1 && !in->why[0]) order_columns(in, ref->column, ref->ncolumn);
  ref->root_nrow = wide ? (int64_t)sheaf_aips_u64(in) : (int64_t)sheaf_aips_u32(in);
  sheaf_aips_bool(in); /* whether rows ascend; looked at below */
  ref->nrow = wide ? (int64_t)sheaf_aips_u64(in) : (int64_t)sheaf_aips_u32(in);
  if (!in->why[0]) read_rows(in, ref, wide);
  sheaf_aips_end(in);
  sheaf_aips_end(in);
  return wide;
}

/* As sheaf_reftable_read; *stored is the root's name as table.dat has it, and *wide whether row
 * numbers have 8 bytes. The caller frees *stored, also after a failure. */
static int read_stored(sheaf_reftable *ref, const char *path, char **stored, int *wide,
                       sheaf_error *err) {
  char table[PATH_MAX], root[PATH_MAX];
  char *data = NULL;
  size_t n = 0;
  int64_t nrow;
  sheaf_aips_in in;
  *ref = (sheaf_reftable){0};
  *stored = NULL;
  int rc = absolute(path, table, err);
  if (rc < 0) return rc;
  if (!is_table(table))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND, "%s: no such table (no readable table.dat in it)",
                      path);
  char file[PATH_MAX];
  SHEAF_TRY(sheaf_path_join(file, sizeof file, table, "table.dat", err));
  SHEAF_TRY(sheaf_file_read(file, &data, &n, err));
  sheaf_aips_init(&in, data, n);
  const sheaf_table_kind kind = kind_of(read_head(&in, &nrow));
  if (!in.why[0] && kind != SHEAF_KIND_REF)
    sheaf_aips_stop(&in, "it does not refer to rows of another table");
  if (!in.why[0]) *wide = read_reference(&in, ref, stored);
  if (in.why[0] || !*stored)
    SHEAF_TRY(sheaf_fail(err, SHEAF_ERR_DATA, "%s: %s", file, in.why[0] ? in.why : "no memory"));
  SHEAF_TRY(full_name(table, *stored, root, sizeof root, err));
  ref->ascending = rows_ascend(ref->row, ref->nrow);
  ref->root = strdup(root);
  rc = ref->root ? 0 : no_memory(path, err);
done:
  free(data);
  if (rc < 0) sheaf_reftable_free(ref);
  return rc;
}

int sheaf_reftable_read(sheaf_reftable *ref, const char *path, sheaf_error *err) {
  char *stored;
  int wide;
  const int rc = read_stored(ref, path, &stored, &wide, err);
  free(stored);
  return rc;
}

void sheaf_reftable_free(sheaf_reftable *ref) {
  free_columns(ref->column, ref->ncolumn);
  free(ref->row);
  free(ref->root);
  *ref = (sheaf_reftable){0};
}

const char *sheaf_reftable_source(const sheaf_reftable *ref, const char *column) {
  for (size_t i = 0; i < ref->ncolumn; i++)
    if (strcmp(ref->column[i].name, column) == 0) return ref->column[i].source;
  return NULL;
}

/* ---- following the chain ---- */

/* The first link on the way to `path` that leads nowhere; 0 when there is none. */
static int broken_link(const char *path, char *link, char *target) {
  struct stat info;
  for (const char *p = path; p && *p;) {
    const char *slash = strchr(p + 1, '/');
    snprintf(link, PATH_MAX, "%.*s", slash ? (int)(slash - path) : (int)strlen(path), path);
    if (lstat(link, &info) != 0) return 0;
    if (S_ISLNK(info.st_mode) && stat(link, &info) != 0) {
      const ssize_t n = readlink(link, target, PATH_MAX - 1);
      target[n > 0 ? n : 0] = '\0';
      return 1;
    }
    p = slash;
  }
  return 0;
}

static int not_there(const char *path, const char *root, sheaf_error *err) {
  char link[PATH_MAX], target[PATH_MAX];
  if (broken_link(root, link, target))
    return sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                      "%s holds no data but refers to rows of another MS, which is not there: the "
                      "link %s leads to %s. Put it back, or make the link lead to its new place "
                      "(ln -sfn /NEW/PLACE LINK)",
                      path, link, target);
  return sheaf_fail(err, SHEAF_ERR_NOTFOUND,
                    "%s holds no data but refers to rows of %s, which is not there; put it back",
                    path, root);
}

static int endless(const char *path, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_DATA,
                    "%s: refers to a table that refers to another, and so on, more than %d times",
                    path, LONGEST_CHAIN);
}

int sheaf_reftable_orphaned(const char *path, sheaf_error *err) {
  char at[PATH_MAX], next[PATH_MAX], name[PATH_MAX];
  sheaf_error_clear(err);
  if (absolute(path, at, NULL) < 0) return 0;
  for (int depth = 0; depth <= LONGEST_CHAIN; depth++) {
    const sheaf_table_kind kind = peek(at, name, sizeof name);
    if ((kind != SHEAF_KIND_REF && kind != SHEAF_KIND_CONCAT) || !name[0] ||
        full_name(at, name, next, sizeof next, NULL) < 0)
      return 0;
    if (!is_table(next)) {
      if (kind == SHEAF_KIND_REF) not_there(path, next, err);
      return kind == SHEAF_KIND_REF;
    }
    memcpy(at, next, sizeof at);
  }
  endless(path, err);
  return 1;
}

/* Makes `ref` refer to what its root refers to; takes `next` over. */
static int compose(sheaf_reftable *ref, sheaf_reftable *next, const char *path, sheaf_error *err) {
  for (int64_t i = 0; i < ref->nrow; i++) {
    if (ref->row[i] >= next->nrow)
      return sheaf_fail(err, SHEAF_ERR_DATA,
                        "%s: row %lld refers to row %lld of %s, which has %lld", path, (long long)i,
                        (long long)ref->row[i], ref->root, (long long)next->nrow);
    ref->row[i] = next->row[ref->row[i]];
  }
  size_t kept = 0;
  for (size_t i = 0; i < ref->ncolumn; i++) {
    sheaf_refcolumn column = ref->column[i];
    const char *source = sheaf_reftable_source(next, column.source);
    char *copy = source ? strdup(source) : NULL;
    if (source && !copy) return no_memory(path, err);
    free(column.source);
    column.source = copy;
    if (copy)
      ref->column[kept++] = column;
    else
      free(column.name);
  }
  ref->ncolumn = kept;
  free(ref->root);
  ref->root = next->root;
  next->root = NULL;
  ref->root_nrow = next->root_nrow;
  ref->ascending = rows_ascend(ref->row, ref->nrow);
  return 0;
}

int sheaf_reftable_resolve(sheaf_reftable *ref, const char *path, sheaf_error *err) {
  sheaf_reftable next = {0};
  int rc = sheaf_reftable_read(ref, path, err);
  if (rc < 0) return rc;
  for (int depth = 0; rc >= 0; depth++) {
    if (!is_table(ref->root))
      rc = not_there(path, ref->root, err);
    else if (sheaf_table_kind_of(ref->root) != SHEAF_KIND_REF)
      return 0;
    else if (depth == LONGEST_CHAIN)
      rc = endless(path, err);
    else if ((rc = sheaf_reftable_read(&next, ref->root, err)) >= 0)
      rc = compose(ref, &next, path, err);
    sheaf_reftable_free(&next);
  }
  sheaf_reftable_free(ref);
  return rc;
}

int sheaf_reftable_subtable(const char *path, const char *name, char *out, size_t size,
                            sheaf_error *err) {
  char at[PATH_MAX], stored[PATH_MAX], next[PATH_MAX];
  int rc = sheaf_path_join(out, size, path, name, err);
  if (rc >= 0 && !is_table(out)) rc = absolute(path, at, err);
  for (int depth = 0; rc >= 0 && depth <= LONGEST_CHAIN; depth++) {
    if (is_table(out) || peek(at, stored, sizeof stored) != SHEAF_KIND_REF || !stored[0]) break;
    if ((rc = full_name(at, stored, next, sizeof next, err)) < 0) break;
    memcpy(at, next, sizeof at);
    rc = sheaf_path_join(out, size, at, name, err);
  }
  return rc;
}

/* ---- writing ---- */

static void put_text(sheaf_aips_out *out, const char *text) {
  sheaf_aips_put_str(out, text, strlen(text));
}

static int compare_columns(const void *pa, const void *pb) {
  const sheaf_refcolumn *a = pa, *b = pb;
  return strcmp(a->name, b->name);
}

/* The map is written in the order of the names. */
static int put_map(sheaf_aips_out *out, const sheaf_refdraft *draft) {
  sheaf_refcolumn *sorted = malloc((draft->ncolumn + 1) * sizeof *sorted);
  if (!sorted) return 0;
  memcpy(sorted, draft->column, draft->ncolumn * sizeof *sorted);
  qsort(sorted, draft->ncolumn, sizeof *sorted, compare_columns);
  sheaf_aips_put_start(out, "SimpleOrderedMap", 1);
  put_text(out, "");
  sheaf_aips_put_u32(out, (uint32_t)draft->ncolumn);
  sheaf_aips_put_u32(out, 1);
  for (size_t i = 0; i < draft->ncolumn; i++) {
    put_text(out, sorted[i].name);
    put_text(out, sorted[i].source);
  }
  sheaf_aips_put_end(out);
  free(sorted);
  return 1;
}

static void put_names(sheaf_aips_out *out, const sheaf_refdraft *draft) {
  sheaf_aips_put_start(out, "Array", 3);
  sheaf_aips_put_u32(out, 1);
  sheaf_aips_put_u32(out, (uint32_t)draft->ncolumn);
  sheaf_aips_put_u32(out, (uint32_t)draft->ncolumn);
  for (size_t i = 0; i < draft->ncolumn; i++) put_text(out, draft->column[i].name);
  sheaf_aips_put_end(out);
}

static void put_count(sheaf_aips_out *out, int64_t n, int wide) {
  if (wide)
    sheaf_aips_put_u64(out, (uint64_t)n);
  else
    sheaf_aips_put_u32(out, (uint32_t)n);
}

/* Everything before the row numbers, which end both open objects. */
static int put_head(sheaf_aips_out *out, const sheaf_refdraft *draft) {
  const int many = draft->nrow > INT32_MAX;
  sheaf_aips_put_start(out, "Table", many ? 3 : 2);
  put_count(out, draft->nrow, many);
  sheaf_aips_put_u32(out, 0);
  put_text(out, "RefTable");
  sheaf_aips_put_start(out, "RefTable", draft->wide ? 3 : 2);
  put_text(out, draft->root);
  if (!put_map(out, draft)) return 0;
  put_names(out, draft);
  put_count(out, draft->root_nrow, draft->wide);
  sheaf_aips_put_u8(out, draft->ascending != 0);
  put_count(out, draft->nrow, draft->wide);
  return !out->failed;
}

/* Sets the length of an open object whose last `more` bytes are not in the buffer. */
static int patch_length(sheaf_aips_out *out, int depth, size_t more) {
  const size_t length = out->n - out->start[depth] + more;
  for (int i = 0; i < 4; i++)
    out->data[out->start[depth] + (size_t)i] = (uint8_t)(length >> 8 * (3 - i));
  return length <= UINT32_MAX;
}

static int write_all(int fd, const uint8_t *data, size_t n) {
  while (n > 0) {
    const ssize_t put = write(fd, data, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return 0;
    data += put;
    n -= (size_t)put;
  }
  return 1;
}

static int write_file(const char *file, const sheaf_aips_out *head, const sheaf_refdraft *draft,
                      sheaf_error *err) {
  const size_t bytes = (size_t)draft->nrow * (draft->wide ? 8 : 4);
  const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", file);
  int rc = 0;
  if (!write_all(fd, head->data, head->n) || !write_all(fd, draft->rows, bytes))
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", file);
  if (close(fd) < 0 && rc == 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", file);
  return rc;
}

/* head.data is the caller's to free, also after a failure. */
static int make_head(const char *path, const sheaf_refdraft *draft, sheaf_aips_out *head,
                     sheaf_error *err) {
  const size_t bytes = (size_t)draft->nrow * (draft->wide ? 8 : 4);
  *head = (sheaf_aips_out){0};
  if (!put_head(head, draft)) return no_memory(path, err);
  if (patch_length(head, 1, bytes) && patch_length(head, 0, bytes)) return 0;
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "%s: %lld rows are more than a reference table can have; make more sub-MSs",
                    path, (long long)draft->nrow);
}

int sheaf_reftable_write(const char *path, const sheaf_refdraft *draft, sheaf_error *err) {
  char file[PATH_MAX];
  sheaf_aips_out head;
  int rc = sheaf_path_join(file, sizeof file, path, "table.dat", err);
  if (rc < 0) return rc;
  rc = make_head(path, draft, &head, err);
  if (rc >= 0) rc = write_file(file, &head, draft, err);
  free(head.data);
  return rc;
}

/* ---- more columns ---- */

/* Appends those of `names` that the table lacks; returns how many, negative without memory. */
static int append_columns(sheaf_reftable *ref, const char *const *names, size_t n) {
  int added = 0;
  sheaf_refcolumn *more = realloc(ref->column, (ref->ncolumn + n + 1) * sizeof *more);
  if (!more) return -1;
  ref->column = more;
  for (size_t i = 0; i < n; i++) {
    if (sheaf_reftable_source(ref, names[i])) continue;
    more[ref->ncolumn] = (sheaf_refcolumn){strdup(names[i]), strdup(names[i])};
    if (!more[ref->ncolumn].name || !more[ref->ncolumn++].source) return -1;
    added++;
  }
  return added;
}

static int replace(const char *path, const sheaf_refdraft *draft, sheaf_error *err) {
  const size_t bytes = (size_t)draft->nrow * (draft->wide ? 8 : 4);
  char file[PATH_MAX];
  sheaf_aips_out head;
  int rc = sheaf_path_join(file, sizeof file, path, "table.dat", err);
  if (rc < 0) return rc;
  rc = make_head(path, draft, &head, err);
  char *all = rc < 0 ? NULL : malloc(head.n + bytes + 1);
  if (rc >= 0 && !all) rc = no_memory(path, err);
  if (rc >= 0) {
    memcpy(all, head.data, head.n);
    memcpy(all + head.n, draft->rows, bytes);
    rc = sheaf_file_replace(file, all, head.n + bytes, err);
  }
  free(all);
  free(head.data);
  return rc;
}

int sheaf_reftable_show(const char *path, const char *const *names, size_t n, sheaf_error *err) {
  sheaf_reftable ref;
  char *stored;
  uint8_t *rows = NULL;
  int wide = 0;
  int rc = read_stored(&ref, path, &stored, &wide, err);
  if (rc < 0) goto done;
  const int added = append_columns(&ref, names, n);
  const int size = wide ? 8 : 4;
  if (added > 0) rows = malloc((size_t)ref.nrow * (size_t)size + 1);
  if (added < 0 || (added > 0 && !rows)) rc = no_memory(path, err);
  if (rc < 0 || added == 0) goto done;
  for (int64_t i = 0; i < ref.nrow; i++)
    for (int k = 0; k < size; k++) rows[i * size + k] = (uint8_t)(ref.row[i] >> 8 * (size - 1 - k));
  const sheaf_refdraft draft = {.root = stored,
                                .root_nrow = ref.root_nrow,
                                .column = ref.column,
                                .ncolumn = ref.ncolumn,
                                .rows = rows,
                                .nrow = ref.nrow,
                                .wide = wide,
                                .ascending = ref.ascending};
  rc = replace(path, &draft, err);
done:
  free(rows);
  free(stored);
  sheaf_reftable_free(&ref);
  return rc < 0 ? rc : 0;
}

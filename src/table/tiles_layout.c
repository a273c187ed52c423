/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "table/tiles_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/tiles_dat.h"

#define HEADER_LIMIT ((int64_t)1 << 30)

static const char *const manager_name[] = {"TiledShapeStMan", "TiledColumnStMan", "TiledCellStMan",
                                           "TiledDataStMan"};

static int find_manager(const sheaf_dat *t, const sheaf_dat_column *c, const char *path,
                        const char *name, sheaf_layout_manager *kind, sheaf_error *err) {
  for (uint64_t i = 0; i < t->nmanager; i++) {
    if (t->managers[i].seq != c->seq) continue;
    const sheaf_aips_text type = t->managers[i].type;
    for (int k = 0; k < 4; k++)
      if (sheaf_aips_equal(type, manager_name[k])) {
        *kind = (sheaf_layout_manager)k;
        if (sheaf_dat_is_number(c->type)) return 0;
        return sheaf_fail(err, SHEAF_ERR_DATA, "%s: tiled column %s of type %d", path, name,
                          c->type);
      }
    return sheaf_fail(err, SHEAF_TILES_UNKNOWN, "%s: column %s is kept by %.*s", path, name,
                      (int)(type.n < 60 ? type.n : 60), type.at);
  }
  return sheaf_fail(err, SHEAF_ERR_DATA, "%s/table.dat: column %s has no data manager %u", path,
                    name, c->seq);
}

int sheaf_layout_find(const void *dat, size_t ndat, const char *path, const char *name,
                      uint32_t *seq, sheaf_error *err) {
  sheaf_dat t;
  const sheaf_dat_column *c = NULL;
  sheaf_layout_manager kind;
  int rc = sheaf_dat_load(&t, dat, ndat, path, name, &c, err);
  if (rc == 0) rc = find_manager(&t, c, path, name, &kind, err);
  if (rc == 0) *seq = c->seq;
  sheaf_dat_fini(&t);
  return rc;
}

/* ---- header of the manager ---- */

static void read_types(sheaf_aips_in *in, sheaf_layout *l) {
  l->ncolumn = (uint32_t)sheaf_aips_count(in, 0, 4);
  l->types = calloc(l->ncolumn + 1u, sizeof *l->types);
  for (uint32_t i = 0; l->types && i < l->ncolumn; i++) l->types[i] = sheaf_aips_i32(in);
}

static void read_files(sheaf_aips_in *in, sheaf_layout *l, int wide) {
  const uint64_t n = sheaf_aips_count(in, wide, 1);
  l->files = calloc(n + 1, sizeof *l->files);
  for (uint64_t i = 0; l->files && i < n && !in->why[0]; i++, l->nfile++) {
    sheaf_layout_file *f = &l->files[i];
    f->exists = sheaf_aips_bool(in);
    if (!f->exists) continue;
    const uint32_t version = sheaf_aips_u32(in);
    f->number = sheaf_aips_u32(in);
    f->length = version == 1 ? sheaf_aips_u32(in) : (int64_t)sheaf_aips_u64(in);
    if (f->length < 0) sheaf_aips_stop(in, "file %u of negative length", f->number);
  }
}

static void read_cube(sheaf_aips_in *in, sheaf_layout *l, sheaf_layout_cube *c, int64_t *axes) {
  int64_t *shape = axes, *tile = axes + l->ndim;
  const uint32_t version = sheaf_aips_u32(in);
  c->record = in->at;
  sheaf_aips_skip(in);
  c->nrecord = in->at - c->record;
  c->extensible = sheaf_aips_bool(in);
  c->ndim = sheaf_aips_i32(in);
  const int nshape = sheaf_aips_iposition(in, shape, l->ndim);
  const int ntile = sheaf_aips_iposition(in, tile, l->ndim);
  c->file = sheaf_aips_i32(in);
  c->offset = version == 1 ? sheaf_aips_u32(in) : (int64_t)sheaf_aips_u64(in);
  if (in->why[0]) return;
  if (nshape == 0) c->ndim = 0;
  if (c->ndim != nshape || c->ndim != ntile || (c->ndim != 0 && c->ndim != l->ndim))
    sheaf_aips_stop(in, "a cube of %d axes with a shape of %d and a tile of %d, where %d are right",
                    c->ndim, nshape, ntile, l->ndim);
  c->shape = shape;
  c->tile = tile;
}

static void read_cubes(sheaf_aips_in *in, sheaf_layout *l, int wide) {
  const uint64_t n = sheaf_aips_count(in, wide, 60);
  l->cubes = calloc(n + 1, sizeof *l->cubes);
  l->pool = calloc(n + 1, sizeof *l->pool * 4 * (size_t)l->ndim);
  if (!l->cubes || !l->pool) return;
  for (; l->ncube < (int64_t)n && !in->why[0]; l->ncube++)
    read_cube(in, l, &l->cubes[l->ncube], l->pool + 4 * l->ndim * l->ncube);
}

static void read_base(sheaf_aips_in *in, sheaf_layout *l) {
  const uint32_t version = sheaf_aips_start(in, "TiledStMan", NULL);
  if (!in->why[0] && (version < 1 || version > 3))
    sheaf_aips_stop(in, "version %u of TiledStMan, where 1 to 3 are known", version);
  const int wide = version >= 3;
  l->big_endian = version >= 2 ? sheaf_aips_bool(in) : 1;
  l->seq = sheaf_aips_u32(in);
  l->nrow = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  read_types(in, l);
  const sheaf_aips_text name = sheaf_aips_str(in);
  l->hypercolumn = strndup(name.at, name.n);
  l->max_cache = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  l->ndim = sheaf_aips_i32(in);
  if (l->nrow > INT64_MAX) sheaf_aips_stop(in, "a negative number of rows");
  if (l->ndim < 1 || l->ndim > SHEAF_LAYOUT_AXES)
    sheaf_aips_stop(in, "cubes of %d axes, where 1 to %d are handled", l->ndim, SHEAF_LAYOUT_AXES);
  if (in->why[0]) return;
  read_files(in, l, wide);
  read_cubes(in, l, wide);
  sheaf_aips_end(in);
}

/* A Block of numbers of 4 or 8 bytes; exactly one of the outputs is given. */
static uint64_t read_block(sheaf_aips_in *in, int wide, uint64_t **out64, uint32_t **out32) {
  sheaf_aips_start(in, "Block", NULL);
  const uint64_t n = sheaf_aips_count(in, 0, wide ? 8 : 4);
  if (out64) *out64 = calloc(n + 1, 8);
  if (out32) *out32 = calloc(n + 1, 4);
  for (uint64_t i = 0; i < n && !in->why[0]; i++) {
    const uint64_t value = wide ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
    if (out64 && *out64) (*out64)[i] = value;
    if (out32 && *out32) (*out32)[i] = (uint32_t)value;
  }
  sheaf_aips_end(in);
  return n;
}

static void read_maps(sheaf_aips_in *in, sheaf_layout *l, int wide, uint64_t nused) {
  const uint64_t n1 = read_block(in, wide, &l->row_map, NULL);
  const uint64_t n2 = read_block(in, 0, NULL, &l->cube_map);
  const uint64_t n3 = read_block(in, 0, NULL, &l->pos_map);
  if (nused == UINT64_MAX) nused = n1;
  if (nused > n1 || nused > n2 || nused > n3)
    sheaf_aips_stop(in, "a row map of %llu entries, but lists of %llu, %llu and %llu",
                    (unsigned long long)nused, (unsigned long long)n1, (unsigned long long)n2,
                    (unsigned long long)n3);
  l->nmap = (int64_t)nused;
}

static void read_data_maps(sheaf_aips_in *in, sheaf_layout *l, uint32_t version) {
  const int wide = version >= 2;
  /* casacore 3.4.0 wrote 8 bytes under version 1; the lists behind are multiples of 12 bytes and a
   * rest. */
  const int eight = wide || sheaf_aips_left(in) % 12 == 3;
  l->last_row = eight ? sheaf_aips_u64(in) : sheaf_aips_u32(in);
  const uint64_t nused = wide ? UINT64_MAX : sheaf_aips_u32(in);
  read_maps(in, l, wide, nused);
}

static void read_header(sheaf_aips_in *in, sheaf_layout *l) {
  const uint32_t version = sheaf_aips_start(in, manager_name[l->manager], NULL);
  if (l->manager == SHEAF_LAYOUT_COLUMN || l->manager == SHEAF_LAYOUT_CELL)
    l->ndefault = sheaf_aips_iposition(in, l->default_tile, SHEAF_LAYOUT_AXES);
  read_base(in, l);
  if (in->why[0]) return;
  if (l->manager == SHEAF_LAYOUT_SHAPE) {
    l->ndefault = sheaf_aips_iposition(in, l->default_tile, SHEAF_LAYOUT_AXES);
    const uint32_t nused = sheaf_aips_u32(in);
    read_maps(in, l, 0, nused);
  } else if (l->manager == SHEAF_LAYOUT_DATA) {
    read_data_maps(in, l, version);
  }
  sheaf_aips_end(in);
  if (!in->why[0] && in->at != in->n)
    sheaf_aips_stop(in, "%zu bytes behind its end", in->n - in->at);
}

/* ---- both together ---- */

/* The columns of the manager in definition order: checks them against the header. */
static int check_columns(const sheaf_layout *l, const sheaf_dat *t, sheaf_aips_in *in) {
  uint64_t n = 0;
  for (uint64_t i = 0; i < t->ncolumn; i++) {
    if (t->columns[i].seq != l->seq) continue;
    if (n >= l->ncolumn || l->types[n] != t->columns[i].type)
      sheaf_aips_stop(in, "column types other than table.dat has");
    n++;
  }
  if (n != l->ncolumn)
    sheaf_aips_stop(in, "%u columns, where table.dat has %llu", l->ncolumn, (unsigned long long)n);
  if (l->big_endian != t->big_endian) sheaf_aips_stop(in, "a byte order other than table.dat has");
  return !in->why[0];
}

static const sheaf_dat_column *column_of(const sheaf_dat *t, uint32_t seq, sheaf_aips_text name) {
  for (uint64_t i = 0; i < t->ncolumn; i++)
    if (t->columns[i].seq == seq && t->columns[i].name.n == name.n &&
        memcmp(t->columns[i].name.at, name.at, name.n) == 0)
      return &t->columns[i];
  return NULL;
}

static const sheaf_dat_hyper *find_hyper(const sheaf_dat *t, const char *name) {
  for (uint64_t i = 0; i < t->nhyper; i++)
    if (sheaf_aips_equal(t->hypers[i].name, name)) return &t->hypers[i];
  return NULL;
}

/* Data columns: the hypercolumn's list, or all columns of the manager. Returns an owned array. */
static const sheaf_dat_column **data_columns(const sheaf_layout *l, const sheaf_dat *t,
                                             const sheaf_dat_hyper *h, int *n, sheaf_aips_in *in) {
  const uint64_t room = h ? h->data.n : l->ncolumn;
  const sheaf_dat_column **list = calloc(room + 1, sizeof *list);
  *n = 0;
  for (uint64_t i = 0; list && h && i < room; i++) {
    const sheaf_dat_column *c = column_of(t, l->seq, h->data.name[i]);
    if (!c) sheaf_aips_stop(in, "a hypercolumn whose columns are elsewhere");
    if (c) list[(*n)++] = c;
  }
  for (uint64_t i = 0; list && !h && i < t->ncolumn && (uint64_t)*n < room; i++)
    if (t->columns[i].seq == l->seq) list[(*n)++] = &t->columns[i];
  if (list && *n == 0) sheaf_aips_stop(in, "no data columns");
  return list;
}

/* In a tile the widest elements come first, equally wide ones last defined first, bools at the end.
 */
static void order_columns(sheaf_layout *l, const sheaf_dat_column **list, int n,
                          const sheaf_dat_column *mine) {
  l->mine = -1;
  l->ndata = 0;
  for (int width = 16; width >= 0; width--)
    for (int i = n - 1; i >= 0; i--) {
      if ((int)sheaf_dat_element_size(list[i]->type) != width) continue;
      if (list[i] == mine) l->mine = l->ndata;
      l->sizes[l->ndata++] = width;
    }
}

static int cell_axes(const sheaf_layout *l, const sheaf_dat_hyper *h,
                     const sheaf_dat_column *first) {
  if (h && (first->ndim > 0 || !first->is_array)) return first->is_array ? first->ndim : 0;
  return l->manager == SHEAF_LAYOUT_CELL ? l->ndim : l->ndim - 1;
}

/* Which columns the tiles hold, and the axes of their cells. 0, SHEAF_TILES_UNKNOWN, or an error.
 */
static int bind_columns(sheaf_layout *l, const sheaf_dat *t, const sheaf_dat_column *mine,
                        sheaf_aips_in *in, const char **unknown) {
  const sheaf_dat_hyper *h = find_hyper(t, l->hypercolumn);
  int n = 0;
  const sheaf_dat_column **list = data_columns(l, t, h, &n, in);
  l->sizes = calloc((size_t)n + 1, sizeof *l->sizes);
  if (!list || !l->sizes) {
    free(list);
    return SHEAF_ERR_NOMEM;
  }
  if (n > 0) {
    order_columns(l, list, n, mine);
    l->cell_ndim = cell_axes(l, h, list[0]);
  }
  free(list);
  if (in->why[0]) return SHEAF_ERR_DATA;
  if (h) l->nvalue = (int)(h->coord.n + h->id.n > INT32_MAX ? INT32_MAX : h->coord.n + h->id.n);
  const int row_axes = l->ndim - l->cell_ndim;
  const int fixed = l->manager == SHEAF_LAYOUT_SHAPE || l->manager == SHEAF_LAYOUT_COLUMN;
  if (row_axes < 0 || (fixed && row_axes != 1) || (l->manager == SHEAF_LAYOUT_CELL && row_axes) ||
      (l->manager == SHEAF_LAYOUT_DATA && (row_axes < 1 || !h))) {
    sheaf_aips_stop(in, "cubes of %d axes for cells of %d", l->ndim, l->cell_ndim);
    return SHEAF_ERR_DATA;
  }
  if (l->mine < 0) *unknown = "it is a coordinate or an id of a hypercolumn";
  if (l->cell_ndim > SHEAF_TILES_MAXDIM) *unknown = "its cells have too many axes";
  return *unknown ? SHEAF_TILES_UNKNOWN : 0;
}

static int64_t block_bytes(int64_t tilepix, int64_t size) {
  return size ? tilepix * size : (tilepix + 7) / 8;
}

static int is_direct(const sheaf_layout *l, const sheaf_layout_cube *c) {
  if (l->ndata != 1 || c->ndim - l->cell_ndim != 1) return 0;
  for (int i = 0; i < l->cell_ndim; i++)
    if (c->tile[i] != c->shape[i]) return 0;
  return l->size != 0 || c->tilepix % 8 == 0;
}

/* Bytes of all the cube's tiles; -1 when that does not fit. */
static int64_t cube_bytes(const sheaf_layout_cube *c) {
  int64_t total = c->bucket;
  for (int i = 0; i < c->ndim; i++)
    if (__builtin_mul_overflow(total, c->ntile[i], &total)) return -1;
  return total;
}

int sheaf_layout_derive(const sheaf_layout *l, sheaf_layout_cube *c, int64_t *ntile,
                        int64_t *stride, const char *path, sheaf_error *err) {
  int64_t pix = 1, end;
  for (int i = 0; i < c->ndim; i++) {
    if (c->shape[i] < 0 || c->tile[i] < 1)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: axis of %lld elements in tiles of %lld", path,
                        (long long)c->shape[i], (long long)c->tile[i]);
    stride[i] = pix;
    ntile[i] = c->shape[i] / c->tile[i] + (c->shape[i] % c->tile[i] != 0);
    if (__builtin_mul_overflow(pix, c->tile[i], &pix) || pix > UINT32_MAX)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a tile of more than 2^32 elements", path);
  }
  c->ntile = ntile;
  c->stride = stride;
  c->tilepix = pix;
  c->bucket = 0;
  for (int i = 0; i < l->ndata; i++) {
    if (i == l->mine) c->column = c->bucket;
    c->bucket += block_bytes(pix, l->sizes[i]);
    if (c->bucket > UINT32_MAX)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a tile of more than 4 GiB", path);
  }
  const int64_t bytes = cube_bytes(c);
  if (bytes < 0 || c->offset < 0 || __builtin_add_overflow(bytes, c->offset, &end))
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a cube of more than 2^63 bytes", path);
  c->direct = is_direct(l, c);
  return 0;
}

static int file_exists(const sheaf_layout *l, int number) {
  if (number < 0) return 0;
  /* the number is nearly always the place */
  if ((uint32_t)number < l->nfile && l->files[number].exists &&
      l->files[number].number == (uint32_t)number)
    return 1;
  for (uint32_t i = 0; i < l->nfile; i++)
    if (l->files[i].exists && l->files[i].number == (uint32_t)number) return 1;
  return 0;
}

static int check_cubes(sheaf_layout *l, const char *path, sheaf_error *err) {
  for (int64_t i = 0; i < l->ncube; i++) {
    sheaf_layout_cube *c = &l->cubes[i];
    int64_t *axes = l->pool + 4 * l->ndim * i;
    if (c->ndim == 0) continue;
    const int rc = sheaf_layout_derive(l, c, axes + 2 * l->ndim, axes + 3 * l->ndim, path, err);
    if (rc < 0) return rc;
    if (!file_exists(l, c->file))
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: cube %lld is in file %d, which does not exist",
                        path, (long long)i, c->file);
  }
  return 0;
}

static int check_maps(const sheaf_layout *l, const char *path, sheaf_error *err) {
  const int64_t least = l->manager == SHEAF_LAYOUT_COLUMN ? 1
                        : l->manager == SHEAF_LAYOUT_CELL ? (int64_t)l->nrow
                                                          : 0;
  if (l->ncube < least || (l->manager == SHEAF_LAYOUT_COLUMN && l->nrow && !l->cubes[0].ndim))
    return sheaf_fail(err, SHEAF_ERR_DATA, "%s: %lld cubes for %llu rows", path,
                      (long long)l->ncube, (unsigned long long)l->nrow);
  for (int64_t i = 0; i < l->nmap; i++) {
    if (i > 0 && l->row_map[i] <= l->row_map[i - 1])
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: a row map that does not ascend", path);
    if (l->cube_map[i] >= l->ncube)
      return sheaf_fail(err, SHEAF_ERR_DATA, "%s: rows in cube %u of %lld", path, l->cube_map[i],
                        (long long)l->ncube);
  }
  return 0;
}

static int parse_header(sheaf_layout *l, const sheaf_dat *t, const sheaf_dat_column *mine,
                        const char *path, const char *name, sheaf_error *err) {
  char file[4200];
  sheaf_aips_in in;
  const char *unknown = NULL;
  snprintf(file, sizeof file, "%.4000s/table.f%u", path, mine->seq);
  sheaf_aips_init(&in, l->header, l->nheader);
  read_header(&in, l);
  if (!in.why[0] && l->seq != mine->seq) sheaf_aips_stop(&in, "sequence number %u", l->seq);
  int rc = 0;
  if (!in.why[0] && (!l->types || !l->hypercolumn || !l->files || !l->cubes || !l->pool ||
                     (l->nmap && (!l->row_map || !l->cube_map || !l->pos_map))))
    rc = SHEAF_ERR_NOMEM;
  else if (!in.why[0] && check_columns(l, t, &in))
    rc = bind_columns(l, t, mine, &in, &unknown);
  if (rc == SHEAF_ERR_NOMEM) return sheaf_fail(err, rc, "%s: no memory for its content", file);
  if (in.why[0]) return sheaf_fail(err, SHEAF_ERR_DATA, "%s is damaged: %s", file, in.why);
  if (unknown)
    return sheaf_fail(err, SHEAF_TILES_UNKNOWN, "%s: column %s: %s", path, name, unknown);
  if ((rc = check_cubes(l, file, err)) < 0) return rc;
  return check_maps(l, file, err);
}

int sheaf_layout_parse_take(sheaf_layout **layout, const void *dat, size_t ndat, char *header,
                            size_t nheader, const char *path, const char *name, sheaf_error *err) {
  sheaf_dat t;
  const sheaf_dat_column *c = NULL;
  *layout = NULL;
  sheaf_layout *l = calloc(1, sizeof *l);
  if (!l) {
    free(header);
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for the layout of %s", path, name);
  }
  l->header = header;
  l->nheader = nheader;
  int rc = sheaf_dat_load(&t, dat, ndat, path, name, &c, err);
  if (rc == 0) rc = find_manager(&t, c, path, name, &l->manager, err);
  if (rc == 0) {
    l->type = c->type;
    l->size = (int)sheaf_dat_element_size(c->type);
    rc = parse_header(l, &t, c, path, name, err);
  }
  sheaf_dat_fini(&t);
  if (rc == 0)
    *layout = l;
  else
    sheaf_layout_free(l);
  return rc;
}

void sheaf_layout_free(sheaf_layout *l) {
  if (!l) return;
  free(l->hypercolumn);
  free(l->types);
  free(l->sizes);
  free(l->files);
  free(l->cubes);
  free(l->pool);
  free(l->row_map);
  free(l->cube_map);
  free(l->pos_map);
  free(l->header);
  free(l);
}

/* ---- from files ---- */

/* Reads a small file whole. */
static int read_small(const char *path, char **data, size_t *n, sheaf_error *err) {
  struct stat st;
  int rc = 0;
  char *p = NULL;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int code = errno == ENOENT || errno == ENOTDIR ? SHEAF_ERR_NOTFOUND : SHEAF_ERR_IO;
    return sheaf_fail_errno(err, code, errno, "cannot open %s", path);
  }
  if (fstat(fd, &st) < 0) {
    rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "%s", path);
  } else if (!S_ISREG(st.st_mode) || st.st_size > HEADER_LIMIT) {
    rc = sheaf_fail(err, SHEAF_ERR_DATA, "%s: no file, or too large for a table's header", path);
  } else if (!(p = malloc((size_t)st.st_size + 1))) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for %lld bytes", path,
                    (long long)st.st_size);
  } else {
    const ssize_t got = pread(fd, p, (size_t)st.st_size, 0);
    if (got < 0) rc = sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read %s", path);
    *n = got < 0 ? 0 : (size_t)got;
  }
  close(fd);
  if (rc < 0)
    free(p);
  else
    *data = p;
  return rc;
}

int sheaf_layout_load(sheaf_layout **layout, char **stem, const char *path, const char *table_dat,
                      const char *name, sheaf_error *err) {
  char file[4096];
  char *dat = NULL, *header = NULL;
  size_t ndat = 0, nheader = 0;
  uint32_t seq = 0;
  int rc;
  *layout = NULL;
  *stem = NULL;
  if (strlen(path) > sizeof file - 40)
    return sheaf_fail(err, SHEAF_ERR_ARG, "path of %zu characters is too long", strlen(path));
  snprintf(file, sizeof file, "%s/%s", path, table_dat);
  if ((rc = read_small(file, &dat, &ndat, err)) < 0) return rc;
  rc = sheaf_layout_find(dat, ndat, path, name, &seq, err);
  if (rc != 0) goto done;
  snprintf(file, sizeof file, "%s/table.f%u", path, seq);
  rc = read_small(file, &header, &nheader, err);
  if (rc == SHEAF_ERR_NOTFOUND) { /* the table lacks a part */
    rc = SHEAF_ERR_DATA;
    if (err) err->code = rc;
  }
  if (rc < 0) goto done;
  rc = sheaf_layout_parse_take(layout, dat, ndat, header, nheader, path, name, err);
  if (rc != 0) goto done;
  if (!(*stem = strdup(file))) {
    rc = sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", file);
    sheaf_layout_free(*layout);
    *layout = NULL;
  }
done:
  free(dat);
  return rc;
}

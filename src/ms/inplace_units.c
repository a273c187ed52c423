/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "ms/inplace.h"
#include "table/table.h"
#include "table/tiles.h"

static const int64_t default_target = (int64_t)1 << 26;

/* How far the rows of one cube are passed, and whether a cut there is fine. */
typedef struct progress {
  sheaf_tiles_cube cube;
  int64_t at;   /* rows of the cube that lie before the cut */
  int off_tile; /* the cut is inside a tile */
  int off_byte; /* the cut is inside a byte of flags */
} progress;

/* Walks the rows of a written column. */
typedef struct cutter {
  sheaf_tiles *tiles;
  int is_bool, irregular; /* rows do not follow each other in a cube as they do in the table */
  int64_t ncube;
  progress *cubes;
  int64_t row; /* of the cut */
  sheaf_tiles_span span;
  int64_t off_tile, off_byte; /* cubes that are */
  int64_t bytes;              /* of the whole column */
} cutter;

/* All written columns of a member. */
typedef struct member {
  const char *path;
  size_t number, ncutter;
  cutter *cutters;
  int64_t nrow, bytes;
  int whole;           /* cannot be cut */
  const uint8_t *rows; /* that are meant; NULL: all */
  int64_t nwanted;
} member;

/* ---- one column ---- */

static int64_t cell_bits(const cutter *c, const int64_t *axes, int ndim) {
  sheaf_tiles_info info;
  sheaf_tiles_describe(c->tiles, &info);
  int64_t n = c->is_bool ? 1 : 8 * (int64_t)info.size;
  for (int i = 0; i < ndim; i++) n *= axes[i];
  return n;
}

static void look(cutter *c, progress *p) {
  const int64_t in_tile = p->at % p->cube.tile_rows;
  c->off_tile -= p->off_tile;
  c->off_byte -= p->off_byte;
  p->off_tile = in_tile != 0 && p->at != p->cube.nrow;
  p->off_byte =
      p->off_tile && c->is_bool && in_tile * cell_bits(c, p->cube.tile, p->cube.ndim) % 8 != 0;
  c->off_tile += p->off_tile;
  c->off_byte += p->off_byte;
}

/* Moves the cut to `row`, forward. */
static int advance(cutter *c, int64_t row, sheaf_error *err) {
  while (c->row < row) {
    if (c->row >= c->span.start + c->span.nrow || c->span.nrow == 0) {
      const int rc = sheaf_tiles_span_at(c->tiles, c->row, &c->span, err);
      if (rc < 0) return rc;
    }
    const int64_t end = c->span.start + c->span.nrow, next = row < end ? row : end;
    if (c->span.cube >= 0) {
      progress *p = &c->cubes[c->span.cube];
      const int64_t from = c->span.position + (c->row - c->span.start);
      if (from != p->at) c->irregular = 1;
      p->at = from + (next - c->row);
      look(c, p);
    }
    c->row = next;
  }
  return 0;
}

/* Opens a column; SHEAF_TILES_UNKNOWN when it has to go through casacore. */
static int open_cutter(cutter *c, const char *path, const char *column, sheaf_error *err) {
  sheaf_tiles_info info;
  memset(c, 0, sizeof *c);
  int rc = sheaf_tiles_open_pending(&c->tiles, path, column, 0, err);
  if (rc != 0) return rc;
  sheaf_tiles_describe(c->tiles, &info);
  c->is_bool = info.type == SHEAF_TILES_BOOL;
  c->ncube = info.ncube;
  if (!(c->cubes = calloc((size_t)info.ncube + 1, sizeof *c->cubes)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for column %s", path, column);
  for (int64_t i = 0; i < info.ncube && rc == 0; i++) {
    sheaf_tiles_cube *cube = &c->cubes[i].cube;
    rc = sheaf_tiles_cube_at(c->tiles, i, cube, err);
    c->bytes += cell_bits(c, cube->shape, cube->ndim) * cube->nrow / (c->is_bool ? 1 : 8);
  }
  return rc;
}

/* Whether rows lie in each cube in their own order; walks all rows, then starts again. */
static int check_order(cutter *c, int64_t nrow, sheaf_error *err) {
  int rc = advance(c, nrow, err);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < c->ncube; i++)
    c->cubes[i].at = c->cubes[i].off_tile = c->cubes[i].off_byte = 0;
  c->row = c->off_tile = c->off_byte = 0;
  memset(&c->span, 0, sizeof c->span);
  return 0;
}

/* ---- one member ---- */

static void close_member(member *m) {
  for (size_t i = 0; i < m->ncutter; i++) {
    sheaf_tiles_close(m->cutters[i].tiles);
    free(m->cutters[i].cubes);
  }
  free(m->cutters);
}

static int count_rows(member *m, sheaf_error *err) {
  sheaf_table *table;
  const int rc = sheaf_table_open(&table, m->path, 0, err);
  if (rc < 0) return rc;
  m->nrow = sheaf_table_nrow(table);
  sheaf_table_close(table);
  return 0;
}

static int open_member(member *m, const sheaf_inplace_cut *cut, sheaf_error *err) {
  if (!(m->cutters = calloc(cut->nwritten + 1, sizeof *m->cutters)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory", m->path);
  int rc = count_rows(m, err);
  for (size_t i = 0; i < cut->nwritten && rc >= 0; i++) {
    cutter *c = &m->cutters[i];
    m->ncutter = i + 1;
    rc = open_cutter(c, m->path, cut->written[i], err);
    if (rc == SHEAF_TILES_UNKNOWN) {
      m->whole = 1;
      sheaf_log(SHEAF_LOG_DEBUG, "%s: column %s goes through casacore, in one unit", m->path,
                cut->written[i]);
      continue;
    }
    if (rc == 0) rc = check_order(c, m->nrow, err);
    if (c->irregular && c->is_bool) m->whole = 1;
    m->bytes += c->bytes;
  }
  return rc < 0 ? rc : 0;
}

/* Whether all columns may be cut at `row`: 2 at tiles, 1 at bytes, 0 not. */
static int judge(member *m, int64_t row, sheaf_error *err) {
  int level = 2;
  for (size_t i = 0; i < m->ncutter; i++) {
    cutter *c = &m->cutters[i];
    const int rc = advance(c, row, err);
    if (rc < 0) return rc;
    if (c->irregular) continue;
    if (c->off_byte) return 0;
    if (c->off_tile) level = 1;
  }
  return level;
}

/* Where the algorithm allows a cut: the first row from `row` on. */
static int64_t allowed_from(const member *m, const sheaf_inplace_cut *cut, int64_t row,
                            sheaf_error *err) {
  if (!cut->allowed) return row;
  return cut->allowed(cut->user, m->path, row, err);
}

/* The end of the unit that begins at `begin`, about `step` rows behind it. Tiles are kept whole
 * when that costs at most half a step. */
static int64_t find_end(member *m, const sheaf_inplace_cut *cut, int64_t begin, int64_t step,
                        sheaf_error *err) {
  const int64_t from = begin + step, far = from + step / 2;
  int64_t second = -1;
  if (m->whole) return m->nrow;
  for (int64_t row = from; row < m->nrow; row++) {
    row = allowed_from(m, cut, row, err);
    if (row < 0) return row;
    if (second >= 0 && row > far) break;
    if (row >= m->nrow) break;
    const int level = judge(m, row, err);
    if (level < 0 || level == 2) return level < 0 ? level : row;
    if (level == 1 && row > far) return row;
    if (level == 1 && second < 0) second = row;
  }
  return second >= 0 ? second : m->nrow;
}

/* ---- the list ---- */

typedef struct list {
  sheaf_inplace_unit *units;
  size_t n, room;
} list;

/* The bits of rows row0..row0+nrow-1, and how many are set. */
static uint8_t *pick_bits(const uint8_t *rows, int64_t row0, int64_t nrow, int64_t *count) {
  uint8_t *bits = calloc((size_t)nrow / 8 + 1, 1);
  *count = 0;
  for (int64_t i = 0; bits && i < nrow; i++) {
    if (!(rows[(row0 + i) / 8] >> (row0 + i) % 8 & 1)) continue;
    bits[i / 8] |= (uint8_t)(1 << i % 8);
    ++*count;
  }
  return bits;
}

/* Says which rows of the unit are meant; 0 when there is nothing to do for it. */
static int limit_unit(sheaf_inplace_unit *u, const member *m, const sheaf_inplace_cut *cut,
                      sheaf_error *err) {
  int64_t count;
  if (!m->rows) return 1;
  if (!(u->rows = pick_bits(m->rows, u->row0, u->nrow, &count)))
    return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its units", m->path);
  if (count == u->nrow || (count == 0 && cut->partial != SHEAF_INPLACE_ALL)) {
    free(u->rows);
    u->rows = NULL;
  }
  return count > 0 || cut->partial == SHEAF_INPLACE_ALL;
}

static int add_unit(list *l, const member *m, const sheaf_inplace_cut *cut, int64_t row0,
                    int64_t nrow, sheaf_error *err) {
  if (l->n == l->room) {
    const size_t room = 2 * l->room + 16;
    sheaf_inplace_unit *more = realloc(l->units, room * sizeof *more);
    if (!more) return sheaf_fail(err, SHEAF_ERR_NOMEM, "%s: no memory for its units", m->path);
    l->units = more;
    l->room = room;
  }
  sheaf_inplace_unit *u = &l->units[l->n];
  char name[256];
  *u = (sheaf_inplace_unit){.member = m->number, .row0 = row0, .nrow = nrow};
  const int some = limit_unit(u, m, cut, err);
  if (some <= 0) return some;
  l->n++;
  u->cost = 1 + (int64_t)((double)m->bytes * (double)nrow / (double)m->nrow);
  sheaf_path_base(m->path, name, sizeof name);
  if (nrow == m->nrow)
    snprintf(u->label, sizeof u->label, "%.100s", name);
  else
    snprintf(u->label, sizeof u->label, "%.70s rows %lld-%lld", name, (long long)row0,
             (long long)(row0 + nrow - 1));
  return 0;
}

static int cut_member(list *l, member *m, const sheaf_inplace_cut *cut, sheaf_error *err) {
  const int64_t target = cut->target > 0 ? cut->target : default_target;
  const double parts = (double)m->bytes / (double)target;
  int64_t step = parts > 1 ? (int64_t)((double)m->nrow / parts) : m->nrow;
  if (step < 1) step = 1;
  for (int64_t row = 0; row < m->nrow;) {
    const int64_t end = find_end(m, cut, row, step, err);
    if (end < 0) return (int)end;
    const int rc = add_unit(l, m, cut, row, end - row, err);
    if (rc < 0) return rc;
    row = end;
  }
  return 0;
}

int sheaf_inplace_check_lock(sheaf_inplace *inplace, size_t number, const char *const *columns,
                             size_t n, sheaf_error *err) {
  const char *path = sheaf_inplace_member(inplace, number);
  int rc = 0;
  for (size_t i = 0; i < n && rc == 0; i++) {
    sheaf_tiles *tiles = NULL;
    rc = sheaf_tiles_open_pending(&tiles, path, columns[i], 0, err);
    sheaf_tiles_close(tiles);
  }
  return rc == SHEAF_TILES_UNKNOWN ? sheaf_inplace_lock(inplace, number, err) : rc;
}

int sheaf_inplace_check_locks(sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                              sheaf_error *err) {
  int rc = 0;
  for (size_t i = 0; i < sheaf_inplace_nmember(inplace) && rc >= 0; i++) {
    const int idle = sheaf_inplace_rows(inplace, i) && sheaf_inplace_nwanted(inplace, i) == 0;
    if (!idle || cut->partial == SHEAF_INPLACE_ALL)
      rc = sheaf_inplace_check_lock(inplace, i, cut->written, cut->nwritten, err);
  }
  return rc < 0 ? sheaf_fail_context(err, rc, "nothing is changed") : 0;
}

static int refuse(const char *path, sheaf_error *err) {
  return sheaf_fail(err, SHEAF_ERR_ARG,
                    "vis refers to some of the rows of %s, which would be changed; call the task "
                    "with that MS as vis, and the selection that is wanted",
                    path);
}

void sheaf_inplace_units_free(sheaf_inplace_unit *units, size_t n) {
  for (size_t i = 0; units && i < n; i++) free(units[i].rows);
  free(units);
}

int sheaf_inplace_units(sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                        sheaf_inplace_unit **units, size_t *n, sheaf_error *err) {
  list l = {0};
  int rc = 0;
  *units = NULL;
  *n = 0;
  for (size_t i = 0; i < sheaf_inplace_nmember(inplace) && rc == 0; i++) {
    member m = {.path = sheaf_inplace_member(inplace, i),
                .number = i,
                .rows = sheaf_inplace_rows(inplace, i),
                .nwanted = sheaf_inplace_nwanted(inplace, i)};
    if (m.rows && m.nwanted == 0 && cut->partial != SHEAF_INPLACE_ALL) continue;
    if (m.rows && cut->partial == SHEAF_INPLACE_REFUSE) {
      rc = refuse(m.path, err);
      break;
    }
    rc = open_member(&m, cut, err);
    if (rc == 0) rc = cut_member(&l, &m, cut, err);
    close_member(&m);
  }
  if (rc < 0) {
    sheaf_inplace_units_free(l.units, l.n);
    return rc;
  }
  *units = l.units;
  *n = l.n;
  return 0;
}

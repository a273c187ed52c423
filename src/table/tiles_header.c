/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "table/tiles_layout.h"

sheaf_layout *sheaf_layout_new(uint32_t seq, uint64_t nrow, int type, int big_endian,
                               const char *name, const int64_t *tile, int ndim) {
  sheaf_layout *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  *l = (sheaf_layout){.manager = SHEAF_LAYOUT_SHAPE, .type = type, .seq = seq, .nrow = nrow};
  l->big_endian = big_endian;
  l->ndim = l->ndefault = ndim;
  memcpy(l->default_tile, tile, (size_t)ndim * sizeof *tile);
  l->ncolumn = 1;
  l->ncube = 1; /* the dummy */
  l->hypercolumn = strdup(name);
  l->types = calloc(1, sizeof *l->types);
  l->cubes = calloc(1, sizeof *l->cubes);
  if (!l->hypercolumn || !l->types || !l->cubes) {
    sheaf_layout_free(l);
    return NULL;
  }
  l->types[0] = type;
  l->cubes[0].file = -1;
  return l;
}

static void put_block(sheaf_aips_out *out, const sheaf_layout *l, const uint64_t *wide,
                      const uint32_t *narrow) {
  sheaf_aips_put_start(out, "Block", 1);
  sheaf_aips_put_u32(out, (uint32_t)l->nmap);
  for (int64_t i = 0; i < l->nmap; i++)
    sheaf_aips_put_u32(out, wide ? (uint32_t)wide[i] : narrow[i]);
  sheaf_aips_put_end(out);
}

static void put_size(sheaf_aips_out *out, int wide, uint64_t value) {
  if (wide)
    sheaf_aips_put_u64(out, value);
  else
    sheaf_aips_put_u32(out, (uint32_t)value);
}

static void put_file(sheaf_aips_out *out, const sheaf_layout_file *f) {
  const int wide = f->length > INT32_MAX;
  sheaf_aips_put_u8(out, f->exists != 0);
  if (!f->exists) return;
  sheaf_aips_put_u32(out, wide ? 2 : 1);
  sheaf_aips_put_u32(out, f->number);
  put_size(out, wide, (uint64_t)f->length);
}

static void put_empty_record(sheaf_aips_out *out) {
  sheaf_aips_put_start(out, "Record", 1);
  sheaf_aips_put_start(out, "RecordDesc", 2);
  sheaf_aips_put_u32(out, 0);
  sheaf_aips_put_end(out);
  sheaf_aips_put_u32(out, 1);
  sheaf_aips_put_end(out);
}

static void put_cube(sheaf_aips_out *out, const sheaf_layout *l, const sheaf_layout_cube *c) {
  const int wide = c->offset > INT32_MAX;
  sheaf_aips_put_u32(out, wide ? 2 : 1);
  if (c->nrecord)
    sheaf_aips_put(out, l->header + c->record, c->nrecord);
  else
    put_empty_record(out);
  sheaf_aips_put_u8(out, c->extensible != 0);
  sheaf_aips_put_u32(out, (uint32_t)c->ndim);
  sheaf_aips_put_iposition(out, c->shape, c->ndim);
  sheaf_aips_put_iposition(out, c->tile, c->ndim);
  sheaf_aips_put_u32(out, (uint32_t)c->file);
  put_size(out, wide, (uint64_t)c->offset);
}

void sheaf_layout_write(const sheaf_layout *l, sheaf_aips_out *out) {
  const int wide = l->nrow > UINT32_MAX || l->max_cache > UINT32_MAX;
  const uint32_t version = wide ? 3 : l->big_endian ? 1 : 2;
  sheaf_aips_put_start(out, "TiledShapeStMan", 1);
  sheaf_aips_put_start(out, "TiledStMan", version);
  if (version >= 2) sheaf_aips_put_u8(out, l->big_endian != 0);
  sheaf_aips_put_u32(out, l->seq);
  put_size(out, wide, l->nrow);
  sheaf_aips_put_u32(out, l->ncolumn);
  for (uint32_t i = 0; i < l->ncolumn; i++) sheaf_aips_put_u32(out, (uint32_t)l->types[i]);
  sheaf_aips_put_str(out, l->hypercolumn, strlen(l->hypercolumn));
  put_size(out, wide, l->max_cache);
  sheaf_aips_put_u32(out, (uint32_t)l->ndim);
  put_size(out, wide, l->nfile);
  for (uint32_t i = 0; i < l->nfile; i++) put_file(out, &l->files[i]);
  put_size(out, wide, (uint64_t)l->ncube);
  for (int64_t i = 0; i < l->ncube; i++) put_cube(out, l, &l->cubes[i]);
  sheaf_aips_put_end(out);
  sheaf_aips_put_iposition(out, l->default_tile, l->ndefault);
  sheaf_aips_put_u32(out, (uint32_t)l->nmap);
  put_block(out, l, l->row_map, NULL);
  put_block(out, l, NULL, l->cube_map);
  put_block(out, l, NULL, l->pos_map);
  sheaf_aips_put_end(out);
}

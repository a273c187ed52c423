/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The parsers of table.dat and of tiled headers on any bytes. Input: 4 bytes length of table.dat
 * (big endian), table.dat, header of the manager. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "table/tiles_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Walks the rows; a layout that was accepted must give only cubes and positions that exist. */
static void walk(const sheaf_layout *l) {
  sheaf_layout_run run;
  int64_t hint = 0;
  int steps = 0;
  for (int64_t row = 0; row < (int64_t)l->nrow && steps < 1000; row += run.nrow, steps++) {
    if (sheaf_layout_locate(l, row, &hint, &run, NULL) < 0) return;
    if (run.nrow < 1 || run.cube >= l->ncube) abort();
    for (int a = l->cell_ndim; run.cube >= 0 && a < l->ndim; a++)
      if (run.pos[a - l->cell_ndim] < 0 || run.pos[a - l->cell_ndim] >= l->cubes[run.cube].shape[a])
        abort();
  }
}

static void try_column(const uint8_t *data, size_t ndat, const uint8_t *rest, size_t nrest,
                       const char *column) {
  sheaf_error err;
  sheaf_layout *l;
  char *header = malloc(nrest + 1);
  memcpy(header, rest, nrest);
  const int rc = sheaf_layout_parse_take(&l, data, ndat, header, nrest, "table", column, &err);
  if ((rc == 0) != (l != NULL)) abort();
  if (rc != 0) return;
  walk(l);
  if (l->manager == SHEAF_LAYOUT_SHAPE) {
    sheaf_aips_out out = {0};
    sheaf_layout_write(l, &out);
    free(out.data);
  }
  sheaf_layout_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (n < 4) return 0;
  const size_t given =
      (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
  const size_t ndat = given < n - 4 ? given : n - 4;
  /* own blocks, so that a sanitizer sees reads past either end */
  uint8_t *dat = malloc(ndat + 1);
  memcpy(dat, data + 4, ndat);
  uint8_t *exact = realloc(dat, ndat ? ndat : 1);
  try_column(exact, ndat, data + 4 + ndat, n - 4 - ndat, "VIS");
  try_column(exact, ndat, data + 4 + ndat, n - 4 - ndat, "MASK");
  free(exact);
  return 0;
}

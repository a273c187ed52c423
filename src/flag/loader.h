/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * loader.h - reads the cells of a block, of any rows of any members, into memory that is used
 * again. */
#ifndef SHEAF_FLAG_LOADER_H
#define SHEAF_FLAG_LOADER_H

#include <stdint.h>

#include "base/error.h"
#include "flag/pass.h"

typedef struct sheaf_flag_loader sheaf_flag_loader;

/* Bytes that a block of any loader may take, by the memory budget and the number of threads. */
int64_t sheaf_flag_loader_share(void);

/* What the agents need: FLAG always, data columns, FLAG_ROW. Borrows both. */
int sheaf_flag_loader_open(sheaf_flag_loader **loader, const sheaf_flag_vis *vis,
                           const sheaf_flag_agents *agents, sheaf_error *err);
void sheaf_flag_loader_close(sheaf_flag_loader *loader);

/* Shape of a row's FLAG; 0 in *nchan where the cell is undefined. */
int sheaf_flag_loader_shape(sheaf_flag_loader *loader, size_t member, int64_t row, int64_t *nchan,
                            int64_t *ncorr, sheaf_error *err);
/* Bytes of memory that a row of this shape takes. */
int64_t sheaf_flag_loader_bytes(const sheaf_flag_loader *loader, int64_t nchan, int64_t ncorr);
/* Bytes that a block may take, and as many what is made of it. */
int64_t sheaf_flag_loader_limit(const sheaf_flag_loader *loader);
/* Rows of a block that memory allows. */
int64_t sheaf_flag_loader_rows(const sheaf_flag_loader *loader, int64_t nchan, int64_t ncorr);

/* Columns (SHEAF_FLAG_COL_…) that all rows of the block have cells in, of those that agents need. */
int sheaf_flag_loader_columns(sheaf_flag_loader *loader, const sheaf_flag_block *block,
                              unsigned *columns, sheaf_error *err);
/* Of those that agents need, only these are read from now on. */
void sheaf_flag_loader_choose(sheaf_flag_loader *loader, unsigned columns);

/* Reads the cells of block->rows, all of shape block->nchan, block->ncorr; rows ascending within a
 * member, members ascending. The block's memory is the loader's, until the next call. */
int sheaf_flag_loader_read(sheaf_flag_loader *loader, sheaf_flag_block *block, sheaf_error *err);
/* FLAG_ROW as it was read, of the last block; NULL: not read. */
const uint8_t *sheaf_flag_loader_row_before(const sheaf_flag_loader *loader);

#endif

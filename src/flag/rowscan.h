/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rowscan.h - the scalars of rows of one member, in windows, sorted by data description. */
#ifndef SHEAF_FLAG_ROWSCAN_H
#define SHEAF_FLAG_ROWSCAN_H

#include <stdint.h>

#include "base/error.h"
#include "flag/filter.h"
#include "flag/vis.h"

/* Called for the rows of each data description of a window, in their order. */
typedef int sheaf_flag_row_visit(void *user, const sheaf_flag_rows *rows, sheaf_error *err);

/* Visits rows row0..row0+nrow-1 of a member (nrow < 0: to its end) with the columns asked for
 * (SHEAF_ROWS_…). SHEAF_ERR_DATA for ids beyond their tables. */
int sheaf_flag_row_scan(const sheaf_flag_vis *vis, size_t member, int64_t row0, int64_t nrow,
                        unsigned columns, sheaf_flag_row_visit *visit, void *user,
                        sheaf_error *err);

#endif

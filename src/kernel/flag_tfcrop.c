/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernel/flag_tfcrop.h"

#include "kernel/flag_scratch.h"

/* For the widest vectors (flag_lanes.h): 16 floats. */
size_t sheaf_flag_tfcrop_scratch(int64_t nrow, int64_t nchan, int nquantity) {
  const size_t columns = (size_t)(nchan + 15) / 16 * 16, rows = (size_t)nrow;
  const size_t axis = rows > columns ? rows : columns;
  const size_t map = sizeof(float) * rows * columns * (size_t)nquantity;
  const size_t group = map > SHEAF_FLAG_GROUP_BYTES ? map : SHEAF_FLAG_GROUP_BYTES;
  return 4 * 64 * axis + sheaf_flag_scratch_bytes(group);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rowmap.h - which unit each row of an MS belongs to.
 *
 * A file of one uint32 per row, mapped into memory: the client writes it once, servers read it. As
 * a row has one number, no row can be in two units; rows that no unit takes hold SHEAF_ROW_OUT. */
#ifndef SHEAF_MS_ROWMAP_H
#define SHEAF_MS_ROWMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SHEAF_ROW_OUT UINT32_MAX

typedef struct sheaf_rowmap {
  uint32_t *unit; /* [nrow] */
  int64_t nrow;
  size_t bytes; /* mapped */
  int fd;       /* of a mapped file that was created; else -1 */
} sheaf_rowmap;

/* A new map; the rows hold SHEAF_ROW_OUT. SHEAF_ERR_IO when it cannot be written. */
int sheaf_rowmap_create(sheaf_rowmap *map, const char *path, int64_t nrow, sheaf_error *err);
/* An existing one, for reading. */
int sheaf_rowmap_open(sheaf_rowmap *map, const char *path, sheaf_error *err);
/* A created map is whole for other hosts from here on, also on NFS, which writes at close. */
void sheaf_rowmap_close(sheaf_rowmap *map);

#endif

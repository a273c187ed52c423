/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * long_impl.h - rows of a long baseline as a command sees them, stretch by stretch; internal to
 * flag/long*.c. */
#ifndef SHEAF_FLAG_LONG_IMPL_H
#define SHEAF_FLAG_LONG_IMPL_H

#include "flag/long.h"
#include "flag/pass_impl.h"

/* Packed flags of rows in a scratch file; those of rows that are not known are elsewhere. */
typedef struct sheaf_long_store {
  int fd;
  int64_t cell; /* flags of a row */
  size_t packed;
  uint8_t *known; /* [row] */
} sheaf_long_store;

typedef struct sheaf_long {
  const sheaf_flag_long *work;
  sheaf_flag_pass *pass;
  unsigned columns;             /* that all rows have */
  sheaf_long_store flags;       /* of all rows, by place */
  uint8_t *row_known, *row_now; /* [place] FLAG_ROW */
} sheaf_long;

/* Rows in memory, by member and row, and as a map. */
typedef struct sheaf_long_rows {
  sheaf_flag_block block;
  sheaf_flag_maps map;
  int64_t start[2];
  int64_t *place; /* of each row of the block */
} sheaf_long_rows;

/* What a command sees of the baseline. */
typedef struct sheaf_long_feed {
  sheaf_long *l;
  sheaf_flag_scene *s;
  const int64_t *place; /* [n] its rows, in their order */
  int64_t n;
  int averaged;
  int64_t *first; /* [nrow + 1] place of the first row of each average in `place`; NULL: rows are as
                     they are */
  int64_t nrow, nchan;       /* that it sees */
  sheaf_long_store averages; /* flags of averages */
  /* the stretch that is at hand, and its averages */
  int64_t from, to;
  sheaf_long_rows rows;
  sheaf_flag_averages in;
  sheaf_flag_averaged out;
  int64_t *number,
      *line; /* [part] averages of the rows of a part; and the map of averages, [nrow] */
  int64_t end[2];
  sheaf_flag_scene inner;
} sheaf_long_feed;

/* 1, or 0 when it sees nothing. */
int sheaf_long_open(sheaf_long_feed *feed, sheaf_long *l, sheaf_flag_scene *scene,
                    sheaf_error *err);
void sheaf_long_close(sheaf_long_feed *feed);
/* Rows of a stretch for kernels that need so many bytes a row, besides `around` more on both sides.
 */
int64_t sheaf_long_step(const sheaf_long_feed *feed, int64_t bytes, int64_t around);
/* The end of a stretch of at most `step` rows that begins with row `from`. */
int64_t sheaf_long_end(const sheaf_long_feed *feed, int64_t from, int64_t step);
/* Loads rows from..to-1 into feed->inner; with data or only flags. Averages in time whose rows do
 * not fit into memory are summed part by part. 1, or 0 where there are no data. */
int sheaf_long_load(sheaf_long_feed *feed, int64_t from, int64_t to, int data, sheaf_error *err);
/* Keeps the flags of rows from..to-1 of those at hand. */
int sheaf_long_keep(sheaf_long_feed *feed, int64_t from, int64_t to, sheaf_error *err);
/* Lets the flags of averages come back to their rows. */
int sheaf_long_return(sheaf_long_feed *feed, sheaf_error *err);

/* A scratch file without a name. */
int sheaf_long_file(const sheaf_long *l, int *fd, sheaf_error *err);
int sheaf_long_write(const sheaf_long *l, int fd, const void *data, size_t n, int64_t at,
                     sheaf_error *err);
int sheaf_long_read(const sheaf_long *l, int fd, void *data, size_t n, int64_t at,
                    sheaf_error *err);

/* A mode that looks along time, on what the scene's command sees. */
int sheaf_long_command(sheaf_long *l, sheaf_flag_scene *scene, sheaf_error *err);
/* rflag's statistics. */
int sheaf_long_statistics(sheaf_long *l, sheaf_flag_scene *scene, const sheaf_flag_share *share,
                          sheaf_error *err);

#endif

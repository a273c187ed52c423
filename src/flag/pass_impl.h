/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pass_impl.h - how a command sees a block; internal to the pass (flag/pass.c) and to the pass over
 * long baselines (flag/long.c). */
#ifndef SHEAF_FLAG_PASS_IMPL_H
#define SHEAF_FLAG_PASS_IMPL_H

#include "flag/average.h"
#include "flag/pass.h"

/* What a command sees of a block. */
typedef struct sheaf_flag_scene {
  sheaf_flag_pass *pass;
  size_t number; /* of the agent */
  const sheaf_flag_agent *agent;
  sheaf_flag_block *block;
  uint64_t corrs;     /* bits */
  const int64_t *row; /* [n] places of its rows; NULL: all */
  int64_t n;
  int32_t *chan; /* [nsel]; NULL: all */
  int64_t nsel;
  sheaf_flag_view view;
  const uint8_t *original;
  sheaf_flag_maps maps; /* of its rows */
} sheaf_flag_scene;

/* What scratch memory is for. */
enum {
  SHEAF_FLAG_KEEP,
  SHEAF_FLAG_PLACES,
  SHEAF_FLAG_CHANNELS,
  SHEAF_FLAG_TAKEN,
  SHEAF_FLAG_MAPS,
  SHEAF_FLAG_STARTS,
  SHEAF_FLAG_KERNEL,
  SHEAF_FLAG_PART,
  SHEAF_FLAG_DATA,
  /* of the pass over long baselines */
  SHEAF_FLAG_IDS,
  SHEAF_FLAG_VALUES,
  SHEAF_FLAG_COPY,
  SHEAF_FLAG_TIMES
};

/* At least `size` bytes for one purpose, aligned; contents are undefined. */
void *sheaf_flag_pass_scratch(sheaf_flag_pass *pass, int what, size_t size, sheaf_error *err);

/* 1 when the command has something to do in the block. */
int sheaf_flag_scene_set(sheaf_flag_scene *scene, sheaf_flag_pass *pass, size_t number,
                         sheaf_flag_block *block, sheaf_error *err);
/* The command's rows by baseline. */
int sheaf_flag_scene_maps(sheaf_flag_scene *scene, sheaf_error *err);
/* The numbers that it decides on, or averages: 1, or 0 where the rows lack them. *related: the
 * model of a residual that is averaged. */
int sheaf_flag_scene_data(sheaf_flag_scene *scene, const float **related, sheaf_error *err);
/* What is averaged for it. */
void sheaf_flag_scene_averages(const sheaf_flag_scene *scene, const float *related,
                               sheaf_flag_averages *in);
/* The scene that averages make. */
void sheaf_flag_scene_averaged(const sheaf_flag_scene *scene, const sheaf_flag_averaged *out,
                               sheaf_flag_scene *inner);
/* Both, for rows that are all at hand. */
int sheaf_flag_scene_average(sheaf_flag_scene *scene, const float *related, sheaf_flag_averages *in,
                             sheaf_flag_averaged *out, sheaf_flag_scene *inner, sheaf_error *err);
int sheaf_flag_scene_quantities(const sheaf_flag_scene *scene,
                                sheaf_flag_quantity q[SHEAF_FLAG_QUANTITIES]);
/* Narrows the view to a part of its channels; *from: the first of them. 0 when there are none. */
int64_t sheaf_flag_scene_narrow(sheaf_flag_scene *scene, const sheaf_flag_share *share,
                                int64_t *from, sheaf_error *err);
/* The command on what it sees, averaged or not. */
int sheaf_flag_scene_decide(sheaf_flag_scene *scene, sheaf_error *err);

/* Runs commands from..to-1. */
int sheaf_flag_pass_run_some(sheaf_flag_pass *pass, sheaf_flag_block *block, size_t from, size_t to,
                             sheaf_error *err);
/* Whether a command needs sums over the block. */
int sheaf_flag_pass_tallies(sheaf_flag_pass *pass, size_t number, const sheaf_flag_block *block);

#endif

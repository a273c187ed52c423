/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tsys.h - system temperatures of a calibration table, as factors for the weights of rows.
 *
 * CASA's rules for gainfield, interp and spwmap; its arithmetic, bit for bit. Opened by the client
 * to check the parameters, and by each unit to work. One handle belongs to one thread. */
#ifndef SHEAF_TASK_TSYS_H
#define SHEAF_TASK_TSYS_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/setup.h"

typedef struct sheaf_tsys sheaf_tsys;

/* par: tsystable, gainfield, interp, spwmap of initweights. by_channel: a factor for each channel
 * (dowtsp), else one for all. `tell` 1: log what CASA logs about the table. Errors name the
 * parameter. `setup` is of the MS at `vis`, and must outlive the handle. */
int sheaf_tsys_open(sheaf_tsys **tsys, const char *vis, const sheaf_setup *setup, const json_t *par,
                    int by_channel, int tell, sheaf_error *err);
void sheaf_tsys_close(sheaf_tsys *tsys);

/* 1 when the table has solutions for this window of the MS, as mapped. */
int sheaf_tsys_serves(const sheaf_tsys *tsys, int32_t spw);

/* A row of the MS, as far as it matters. */
typedef struct sheaf_tsys_row {
  double time_s;
  int32_t spw, field, observation, scan;
} sheaf_tsys_row;

/* Factors of one antenna: [nchan][2] by channel, else [2]. Valid until the handle has been asked
 * for the same antenna and window at another time. NULL and *err without memory, or for an antenna
 * below 0. */
const float *sheaf_tsys_factors(sheaf_tsys *tsys, const sheaf_tsys_row *row, int32_t antenna,
                                sheaf_error *err);

#endif

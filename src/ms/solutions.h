/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * solutions.h - a calibration table in memory: real parameters of one antenna, window and time
 * each.
 *
 * The whole table is read at once (casacore, read-only, without locks); its size is checked against
 * the memory budget first. Nothing is shared; free it with sheaf_solutions_free. */
#ifndef SHEAF_MS_SOLUTIONS_H
#define SHEAF_MS_SOLUTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/fields.h"

typedef struct sheaf_solution {
  double time_s;
  int32_t spw, antenna, field, scan, observation;
  const float *value;  /* [nchan][npar] */
  const uint8_t *flag; /* [nchan][npar], 0/1 */
} sheaf_solution;

typedef struct sheaf_solutions_window {
  int64_t nchan;   /* of solutions */
  double *freq_hz; /* [nchan], strictly monotonic */
  int used;        /* 1: there are solutions */
} sheaf_solutions_window;

typedef struct sheaf_solutions {
  int npar;
  size_t nspw, nantenna, nobservation, n;
  sheaf_solutions_window *spw;
  sheaf_solution *list; /* by window, antenna, field?, observation?, scan?, time: as sorted */
  void *memory[2];
} sheaf_solutions;

/* The SubType of a calibration table ("B TSYS"). SHEAF_ERR_NOTFOUND when `path` is no table,
 * SHEAF_ERR_DATA when it is no calibration table. */
int sheaf_solutions_type(const char *path, char *type, size_t size, sheaf_error *err);
/* Reads FPARAM and FLAG of npar parameters. fields NULL: all; else only solutions of these nfield
 * fields. SHEAF_ERR_DATA for cells that do not fit their window, SHEAF_ERR_EMPTY when there is no
 * solution, SHEAF_ERR_NOMEM. */
int sheaf_solutions_read(sheaf_solutions *solutions, const char *path, int npar,
                         const int32_t *fields, size_t nfield, sheaf_error *err);
void sheaf_solutions_free(sheaf_solutions *solutions);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * assign.h - which unit (sub-MS) every selected row goes to, along CASA's separation axes.
 *
 * Every selected row gets exactly one unit; units that would be empty are dropped and the others
 * renumbered without gaps. */
#ifndef SHEAF_MS_ASSIGN_H
#define SHEAF_MS_ASSIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ms/scans.h"

typedef enum sheaf_axis {
  SHEAF_AXIS_AUTO,
  SHEAF_AXIS_SCAN,
  SHEAF_AXIS_SPW,
  SHEAF_AXIS_BASELINE
} sheaf_axis;

typedef struct sheaf_assignment {
  size_t nunit;
  size_t wanted;   /* number asked for */
  size_t possible; /* the most that the data allow on this axis */
  size_t nddid;
  int64_t *nrow;  /* [nunit][nddid] rows of each unit and data description */
  int64_t *first; /* [nunit + 1] its first record */
  int64_t nrun;   /* stretches of neighbouring rows that go to the same unit */
  /* axis spw: the spectral windows of each unit */
  size_t *nspw;  /* [nunit] */
  int32_t **spw; /* [nunit][nspw] ascending */
} sheaf_assignment;

typedef struct sheaf_assign_request {
  sheaf_axis axis;
  size_t wanted;            /* > 0 */
  const sheaf_scans *scans; /* of the selected rows */
  const int32_t *
      baseline; /* axis baseline: pairs to be shared out, in this order; rows of others come last */
  size_t nbaseline;
} sheaf_assign_request;

/* Groups the records `rows` (of scans' rows, as sheaf_scans_read leaves them) by unit into the new
 * file `to`; within a unit they stay in order. result->first[u] .. first[u + 1] are unit u's. */
int sheaf_assign_rows(sheaf_assignment *result, const char *ms_path,
                      const sheaf_assign_request *request, const sheaf_recspan *rows, size_t size,
                      const char *to, sheaf_error *err);
void sheaf_assignment_free(sheaf_assignment *result);

#endif

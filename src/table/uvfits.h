/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * uvfits.h - UVFITS files become MeasurementSets (casacore's msfits does the work). */
#ifndef SHEAF_TABLE_UVFITS_H
#define SHEAF_TABLE_UVFITS_H

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_uvfits_options {
  int new_names;     /* antenna names VA04, EA04, CA4 instead of 4 (CASA's antnamescheme='new') */
  const char *shown; /* how messages call the output; NULL: as it is */
} sheaf_uvfits_options;

/* Makes the MS `ms_path` (must not exist) from the file. Antenna positions of VLA files are handled
 * as CASA 6.7 does: when the AN table has no FRAME, or gives the array's position, and that is
 * within 10 km of the VLA, stations are turned from the local frame by the VLA's longitude.
 * SHEAF_ERR_NOTFOUND without the file, SHEAF_ERR_DATA when it is no complete UVFITS file,
 * SHEAF_ERR_IO when something cannot be read or written; what was made of the output is then left
 * to the caller. */
int sheaf_uvfits_read(const char *fitsfile, const char *ms_path,
                      const sheaf_uvfits_options *options, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

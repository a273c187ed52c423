/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * import.h - other formats become MeasurementSets. */
#ifndef SHEAF_MS_IMPORT_H
#define SHEAF_MS_IMPORT_H

#include "base/error.h"

/* Makes the MS `ms_path` (must not exist) from a UVFITS file; messages call it `shown`.
 * `new_names`: antenna names as in antnamescheme='new'. Fails as sheaf_uvfits_read; what was made
 * by then is left to the caller. */
int sheaf_ms_import_uvfits(const char *fitsfile, const char *ms_path, const char *shown,
                           int new_names, sheaf_error *err);

#endif

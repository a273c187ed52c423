/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * calselect.h - selections on a calibration table, which casacore's parser does not open. */
#ifndef SHEAF_FLAG_CALSELECT_H
#define SHEAF_FLAG_CALSELECT_H

#include <jansson.h>

#include "base/error.h"
#include "flag/vis.h"

/* Adds the parts of a filter to `value`: spw ("0,2:3~9"), scan, observation (ids and ranges),
 * field and antenna (ids, ranges, names), timerange (as casacore understands it; its date is that of
 * the first row). Antennas are those of ANTENNA1. Other selections are
 * SHEAF_ERR_ARG, and so is what the table lacks, unless `lenient`: then *empty is 1, and *err says
 * what is missing. Channels behind the last one are a warning; *empty is SHEAF_FLAG_NO_CHANNELS when
 * there are no others. */
int sheaf_flag_calselect(const sheaf_flag_vis *vis, const json_t *par, int lenient, json_t *value,
                         int *empty, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fields.h - fields of a calibration table: CASA's field syntax, and the nearest on the sky. */
#ifndef SHEAF_TABLE_FIELDS_H
#define SHEAF_TABLE_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ids that a text ("0~2", "3C286", "NGC*") selects in the FIELD sub-table of `path`; *ids allocated. SHEAF_ERR_ARG when there is no
 * such field. */
int sheaf_fields_parse(const char *path, const char *text, int32_t **ids, size_t *n,
                       sheaf_error *err);
/* For each field of the MS, the one of `ids` (n >= 1 fields of the calibration table) whose phase direction is nearest; the
 * directions are converted to the frame of the MS's field. *map allocated, *nmap fields of the MS. SHEAF_ERR_ARG when two are equally
 * near. */
int sheaf_fields_nearest(const char *ms_path, const char *cal_path, const int32_t *ids, size_t n,
                         int32_t **map, size_t *nmap, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sky.h - where the antennas of an MS point, and baselines as the source sees them; by casacore's
 * measures.
 *
 * A handle belongs to one thread; it keeps the conversions that were asked for last. */
#ifndef SHEAF_TABLE_SKY_H
#define SHEAF_TABLE_SKY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_sky sheaf_sky;

/* Reads antennas, fields and the reference of TIME. SHEAF_ERR_NOTFOUND, SHEAF_ERR_DATA. */
int sheaf_sky_open(sheaf_sky **sky, const char *ms, sheaf_error *err);
void sheaf_sky_close(sheaf_sky *sky);

/* Rows of ANTENNA, and the diameter [m] of one. */
size_t sheaf_sky_nantenna(const sheaf_sky *sky);
double sheaf_sky_diameter(const sheaf_sky *sky, size_t antenna);
/* One more antenna: diameter and ITRF position [m]. */
int sheaf_sky_add(sheaf_sky *sky, double diameter, const double position[3], sheaf_error *err);

/* Elevation [degrees] of the field's PHASE_DIR at an antenna at TIME (s, in the reference of that
 * column), without refraction. SHEAF_ERR_DATA for ids that the MS lacks. */
int sheaf_sky_elevation(sheaf_sky *sky, int32_t field, double time_s, int32_t antenna, double *deg,
                        sheaf_error *err);

/* u, v, w [m] of every antenna, added ones too, at TIME_CENTROID (s), relative to antenna 0, towards
 * the field's phase centre, J2000: uvw[b] - uvw[a] is that of the baseline a, b as an MS has it. */
int sheaf_sky_uvw(sheaf_sky *sky, int32_t field, double centroid_s, double (*uvw)[3],
                  sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * antennas.h - antennas that mode shadow adds to those of the MS. */
#ifndef SHEAF_FLAG_ANTENNAS_H
#define SHEAF_FLAG_ANTENNAS_H

#include <jansson.h>

#include "base/error.h"

/* `given`: "" or {}: none; a dictionary {'0': {'name', 'diameter', 'position': [x,y,z] ITRF, m}, …};
 * or the name of a file with the lines name=, diameter=, position=[x,y,z] for each antenna.
 * *antennas: list of [diameter, x, y, z] in order of the keys. SHEAF_ERR_ARG names what is wrong.
 */
int sheaf_flag_antennas_read(const json_t *given, json_t **antennas, sheaf_error *err);

#endif

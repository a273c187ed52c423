/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tables.h - what earlier rounds found for a command, by scan or by time: quack's scan limits,
 * antint's bad times, shadowed antennas. Values on the way, sorted arrays in a unit. */
#ifndef SHEAF_FLAG_TABLES_H
#define SHEAF_FLAG_TABLES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flag/filter.h"

/* Where a row stands in CASA's order of buffers, but for its time. */
typedef struct sheaf_flag_place {
  int32_t observation, array, scan, field, ddid;
} sheaf_flag_place;

int sheaf_flag_place_compare(const sheaf_flag_place *a, const sheaf_flag_place *b);

typedef struct sheaf_flag_scan_limits {
  int32_t scan;
  double start, stop; /* s */
} sheaf_flag_scan_limits;

/* A time of antint: bad from this place on. */
typedef struct sheaf_flag_bad_time {
  double time, fraction; /* s; of channels that count */
  sheaf_flag_place place;
} sheaf_flag_bad_time;

/* Antennas shadowed at a TIME_CENTROID of a TIME at a place. */
typedef struct sheaf_flag_shadow_set {
  double time, centroid;
  sheaf_flag_place place;
  uint8_t *antenna; /* [nantenna] */
} sheaf_flag_shadow_set;

/* Sorted by time and place. */
int sheaf_flag_bad_times(const json_t *list, sheaf_flag_bad_time **bad, size_t *n,
                         sheaf_error *err);

typedef struct sheaf_flag_lookup {
  size_t nscan, nbad, nshadow, nantenna;
  sheaf_flag_scan_limits *scan;  /* by number */
  sheaf_flag_bad_time *bad;      /* by time */
  sheaf_flag_shadow_set *shadow; /* by time, place, centroid */
} sheaf_flag_lookup;

/* From a value {"scans": [scan, start, stop, …], "bad": [time, obs, array, scan, field, ddid, …],
 * "shadows": [[time, centroid, obs, array, scan, field, ddid, antenna, …], …]}; NULL: empty. */
int sheaf_flag_lookup_make(sheaf_flag_lookup **lookup, const json_t *value, sheaf_error *err);
void sheaf_flag_lookup_free(sheaf_flag_lookup *lookup);

/* NULL for a scan without limits. */
const sheaf_flag_scan_limits *sheaf_flag_lookup_scan(const sheaf_flag_lookup *lookup, int32_t scan);
int sheaf_flag_lookup_bad(const sheaf_flag_lookup *lookup, double time,
                          const sheaf_flag_place *place);
int sheaf_flag_lookup_shadowed(const sheaf_flag_lookup *lookup, double time, double centroid,
                               const sheaf_flag_place *place, int32_t antenna);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * selection.h - the rows of a parameter table that all tasks with data selection share. */
#ifndef SHEAF_TASK_SELECTION_H
#define SHEAF_TASK_SELECTION_H

#include "base/params.h"
#include "ms/selection.h"

#define SHEAF_SELECTION_TYPES \
  (SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS | SHEAF_TYPE_INT | SHEAF_TYPE_INTS)

/* Rows of a parameter table, in CASA's order for partition. */
#define SHEAF_SELECTION_PARAMS                                                                       \
  {"field", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "fields by id or name; '': all", 0},      \
      {"spw",                                                                                        \
       SHEAF_SELECTION_TYPES,                                                                        \
       "''",                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       "spectral windows and channels, e.g. '0~2,4:5~60'; '': all",                                  \
       0},                                                                                           \
      {"scan", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "scan numbers, e.g. '1~3,5'", 0},      \
      {"antenna",                                                                                    \
       SHEAF_SELECTION_TYPES,                                                                        \
       "''",                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       "antennas or baselines, e.g. '0&1'",                                                          \
       0},                                                                                           \
      {"correlation", SHEAF_TYPE_STRING | SHEAF_TYPE_STRINGS, "''", NULL, NULL,                      \
       NULL,          "correlations, e.g. 'RR,LL'",           0},                                    \
      {"timerange",                                                                                  \
       SHEAF_SELECTION_TYPES,                                                                        \
       "''",                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       NULL,                                                                                         \
       "times, e.g. '1995/04/13/09:30:00~10:00:00'",                                                 \
       0},                                                                                           \
      {"intent", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "scan intents, e.g. '*TARGET*'", 0}, \
      {"array", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "(sub)arrays by id", 0},              \
      {"uvrange", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "baseline lengths, e.g. '0~1000m'", \
       0},                                                                                           \
      {"observation", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "observations by id", 0}, {     \
    "feed", SHEAF_SELECTION_TYPES, "''", NULL, NULL, NULL, "feeds by id", 0                          \
  }

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * summary.h - what is in an MS, as text for people and as a value for scripts (listobs). */
#ifndef SHEAF_TABLE_SUMMARY_H
#define SHEAF_TABLE_SUMMARY_H

#include <jansson.h>

#include "base/error.h"
#include "table/select.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_summary_options {
  int verbose;                      /* scans, sources and antennas in full */
  int unflagged;                    /* also count unflagged rows; reads all of FLAG */
  const sheaf_selection *selection; /* NULL: everything */
} sheaf_summary_options;

/* Describes an MS, Multi-MS or reference table. *out (new reference) is {"text": [part, …],
 * "value": {…}}: the parts of CASA's listing without final newlines, and the dictionary that CASA's
 * listobs returns. Works through damage that CASA gives up on: missing sub-tables, identifiers
 * beyond their tables and unknown telescopes are logged as warnings and left out. Memory grows with
 * the number of scans, not of rows. As in CASA a selection that cannot be understood, or that names
 * what does not exist, is a warning, and all rows are listed; so is one that matches no row (an empty
 * listing and dictionary). SHEAF_ERR_NOTFOUND without such a table, SHEAF_ERR_DATA when it is no MS. */
int sheaf_summary_make(const char *vis, const sheaf_summary_options *options, json_t **out,
                       sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * summary.h - what is in an MS: the listing and the dictionary of listobs. */
#ifndef SHEAF_MS_SUMMARY_H
#define SHEAF_MS_SUMMARY_H

#include <jansson.h>

#include "base/error.h"
#include "table/select.h"

typedef struct sheaf_ms_listing {
  json_t *text;  /* array of texts, one per log message, without final newlines */
  json_t *value; /* what CASA's listobs returns */
} sheaf_ms_listing;

/* Describes an MS, Multi-MS or reference table; `selection` (may be NULL) is as in table/summary.h,
 * which also says when it fails. `unflagged` reads all of FLAG. */
int sheaf_ms_list(const char *vis, const sheaf_selection *selection, int verbose, int unflagged,
                  sheaf_ms_listing *listing, sheaf_error *err);
void sheaf_ms_listing_free(sheaf_ms_listing *listing);

#endif

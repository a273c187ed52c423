/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/summary.h"

#include "table/summary.h"

int sheaf_ms_list(const char *vis, const sheaf_selection *selection, int verbose, int unflagged,
                  sheaf_ms_listing *listing, sheaf_error *err) {
  const sheaf_summary_options options = {
      .verbose = verbose, .unflagged = unflagged, .selection = selection};
  json_t *both = NULL;
  *listing = (sheaf_ms_listing){0};
  const int rc = sheaf_summary_make(vis, &options, &both, err);
  if (rc < 0) return rc;
  listing->text = json_incref(json_object_get(both, "text"));
  listing->value = json_incref(json_object_get(both, "value"));
  json_decref(both);
  return 0;
}

void sheaf_ms_listing_free(sheaf_ms_listing *listing) {
  json_decref(listing->text);
  json_decref(listing->value);
  *listing = (sheaf_ms_listing){0};
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ms/import.h"

#include "table/uvfits.h"

int sheaf_ms_import_uvfits(const char *fitsfile, const char *ms_path, const char *shown,
                           int new_names, sheaf_error *err) {
  const sheaf_uvfits_options options = {.new_names = new_names, .shown = shown};
  return sheaf_uvfits_read(fitsfile, ms_path, &options, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * plots.h - pictures of flags and flag commands, drawn by the Python package (matplotlib) in a
 * child process, from arrays that are made here.
 *
 * matplotlib is optional: without it a call is SHEAF_ERR_NOTFOUND, and names the package. Pictures
 * appear whole or not at all. */
#ifndef SHEAF_FLAG_PLOTS_H
#define SHEAF_FLAG_PLOTS_H

#include <jansson.h>

#include "base/error.h"
#include "table/select.h"

/* Whether pictures can be drawn: 0, or an error that says what is missing. Ask before work begins.
 */
int sheaf_flagplots_available(sheaf_error *err);

/* Draws commands (flag/commands.h) by antenna and time, coloured by reason, as the PNG file `path`;
 * more than 28 antennas as pages of 28 each, as CASA does: x.png is x-001.png, x-002.png, ….
 * *files (new reference): their paths. */
int sheaf_flagplots_commands(const char *vis, const json_t *commands, const char *path,
                             json_t **files, sheaf_error *err);

/* What is drawn of flags before and after they change. */
typedef struct sheaf_flagplots sheaf_flagplots;

typedef struct sheaf_flagplots_options {
  const char *vis;
  const sheaf_selection *selection; /* what is drawn; NULL: everything */
  const char *column;               /* of the data: DATA, CORRECTED_DATA, FLOAT_DATA, … */
  const char *directory;            /* for the pictures; made if it is not there */
  int data;   /* waterfalls: of each scan, field and window (12 at most) three baselines */
  int report; /* flagged fractions by antenna, scan and channel, and thresholds */
} sheaf_flagplots_options;

/* Before flags change: chooses what is drawn, and notes data and flags in a scratch directory. */
int sheaf_flagplots_before(sheaf_flagplots **plots, const sheaf_flagplots_options *options,
                           sheaf_error *err);
/* After: draws both side by side. `thresholds`: flagdata's report of rflag ("timedev" and "freqdev"
 * are drawn), or NULL. *files (new reference): paths of the pictures. */
int sheaf_flagplots_after(sheaf_flagplots *plots, const json_t *thresholds, json_t **files,
                          sheaf_error *err);
/* Removes what is left; NULL is fine. */
void sheaf_flagplots_free(sheaf_flagplots *plots);

#endif

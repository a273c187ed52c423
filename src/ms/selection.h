/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * selection.h - the data selection parameters of a call, as texts for CASA's selection syntax. */
#ifndef SHEAF_MS_SELECTION_H
#define SHEAF_MS_SELECTION_H

#include <jansson.h>

#include "base/error.h"
#include "table/select.h"

/* The parameters of one call as texts; lists are joined with commas, numbers become texts. */
typedef struct sheaf_selection_texts {
  sheaf_selection selection;
  char *text[12];
} sheaf_selection_texts;

/* NOMEM at most. Parameters that the task lacks select everything. */
int sheaf_selection_read(sheaf_selection_texts *texts, const json_t *par, sheaf_error *err);
void sheaf_selection_free(sheaf_selection_texts *texts);
/* "scan='99', spw='0'": what is given; for messages. Caller frees; NULL without memory. */
char *sheaf_selection_text(const sheaf_selection_texts *texts);

/* 0 when `path` holds an MS (or Multi-MS): a table with the id columns and sub-tables that Sheaf
 * needs. SHEAF_ERR_NOTFOUND or _DATA with what is missing. */
int sheaf_ms_check(const char *path, sheaf_error *err);

#endif

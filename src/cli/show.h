/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * show.h - how the program writes values and help pages. */
#ifndef SHEAF_CLI_SHOW_H
#define SHEAF_CLI_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

/* Prints a value for people: dictionaries as indented "key: value" lines, all else as Python would.
 * Nothing for an empty dictionary. */
void show_value(FILE *out, const json_t *value);
/* Prints a value as one JSON text, without tags. SHEAF_ERR_IO when it cannot be written. */
int show_json(FILE *out, const json_t *value, sheaf_error *err);
/* Prints the list of tasks. */
void show_tasks(FILE *out);
/* Writes one page of Markdown per task into the directory, and an index. */
int show_pages(const char *directory, sheaf_error *err);

#endif

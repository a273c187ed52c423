/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * subtables.h - giving the members of a Multi-MS under construction their sub-tables. */
#ifndef SHEAF_MS_SUBTABLES_H
#define SHEAF_MS_SUBTABLES_H

#include <stddef.h>

#include "base/error.h"

/* Moves every table in directory `from` into the first member and links it there by a keyword. The
 * other members, which lie beside the first, get relative links to them, but copies of SOURCE and
 * HISTORY, and the same keywords. `from` is empty afterwards. */
int sheaf_subtables_place(const char *from, const char *const *members, size_t n, sheaf_error *err);

#endif

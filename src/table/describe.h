/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * describe.h - comment and keywords of a column, so that another can be made like it. */
#ifndef SHEAF_TABLE_DESCRIBE_H
#define SHEAF_TABLE_DESCRIBE_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *keywords (new reference) is an object as sheaf_edit_set takes it; keywords of other kinds
 * (tables, complex numbers) are left out. SHEAF_ERR_NOTFOUND without the column. */
int sheaf_column_describe(const char *path, const char *column, char *comment, size_t size,
                          json_t **keywords, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

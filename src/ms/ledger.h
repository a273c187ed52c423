/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ledger.h - the record of what was written: rows and column checksums of every sub-MS.
 *
 * partition leaves it in the output as the file sheaf.ledger, so that anyone can prove later, on
 * any machine, that nothing was lost (listpartition with verify=True). JSON:
 *   {"sheaf": version, "task": "partition", "input": path, "rows": n, "axis": text,
 *    "members": [{"name": "o.mms.0000.ms", "rows": n, "scans": […], "ddids": […], "columns":
 * {"DATA": "16 hex digits", …}}, …]}
 * With "copydata": false the members have no data of their own: "columns" are TIME and ids only,
 * and "rowlist" is the checksum of their row numbers. Tasks that change an output in place keep it
 * true or remove what they changed from it. */
#ifndef SHEAF_MS_LEDGER_H
#define SHEAF_MS_LEDGER_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

#define SHEAF_LEDGER_FILE "sheaf.ledger"

/* Writes it into the MS or Multi-MS directory `path`. */
int sheaf_ledger_write(const char *path, const json_t *ledger, sheaf_error *err);
/* *ledger is a new reference, or NULL with return value 0 when there is none. SHEAF_ERR_DATA when
 * it cannot be read. */
int sheaf_ledger_read(const char *path, json_t **ledger, sheaf_error *err);

/* Before columns are changed in place: takes their checksums out of the ledger of the MS or
 * Multi-MS `path`, or of the Multi-MS that it is a sub-MS of. No ledger: 0. */
int sheaf_ledger_forget(const char *path, const char *const *columns, size_t n, sheaf_error *err);

/* Called for each disagreement; `member` is the sub-MS's name. */
typedef void sheaf_ledger_report(void *user, const char *member, const char *problem);
/* Reads every column of the member at `path` again and compares it with its entry. Returns the
 * number of disagreements, negative when the member cannot be read at all. */
int sheaf_ledger_check(const char *path, const json_t *entry, sheaf_ledger_report *report,
                       void *user, sheaf_error *err);

#endif

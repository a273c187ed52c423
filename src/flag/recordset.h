/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * recordset.h - records of rows as units find them: a file of records in the order of buffers, or files
 * in the order of rows (parts) and a file of their numbers in the order of buffers.
 *
 * Parts are mapped, not read, and a number tells part and place without a search. What a number means
 * depends on the parts alone, so every process finds the same. */
#ifndef SHEAF_FLAG_RECORDSET_H
#define SHEAF_FLAG_RECORDSET_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flag/records.h"

typedef struct sheaf_flag_recordset {
  size_t n;
  const sheaf_flag_record **part; /* [n] mapped; NULL: empty */
  size_t *size;                   /* [n] bytes mapped */
  int shift;                      /* a number is part << shift | place */
} sheaf_flag_recordset;

/* Maps the parts, which are whole files. SHEAF_ERR_IO, SHEAF_ERR_NOMEM. */
int sheaf_flag_recordset_open(sheaf_flag_recordset *set, const sheaf_recspan *parts, size_t n,
                              sheaf_error *err);
void sheaf_flag_recordset_close(sheaf_flag_recordset *set);

static inline const sheaf_flag_record *sheaf_flag_recordset_at(const sheaf_flag_recordset *set,
                                                               uint32_t number) {
  return set->part[number >> set->shift] + (number & ((1U << set->shift) - 1));
}

/* The records of a run: {"records": path, "parts": [[path, n], …]}; no parts: the file has the records
 * themselves. */
typedef struct sheaf_flag_recordlist {
  const char *path; /* borrowed */
  int fd;
  int numbers;
  sheaf_flag_recordset set;
} sheaf_flag_recordlist;

int sheaf_flag_recordlist_open(sheaf_flag_recordlist *list, const json_t *common, sheaf_error *err);
/* Records [first, first + n) of the list; SHEAF_ERR_INTERNAL when it is shorter. */
int sheaf_flag_recordlist_read(sheaf_flag_recordlist *list, int64_t first, int64_t n,
                               sheaf_flag_record *out, sheaf_error *err);
/* Closes a list that is open, or {.fd = -1}. */
void sheaf_flag_recordlist_close(sheaf_flag_recordlist *list);

#endif

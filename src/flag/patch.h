/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * patch.h - changed flags on their way to the table: scratch files that units write, and their
 * application.
 *
 * A patch file appears by a rename when it is whole, so a unit that is run again replaces it by an
 * equal one. Entries are by row of a member; a row is in one file of a run only. */
#ifndef SHEAF_FLAG_PATCH_H
#define SHEAF_FLAG_PATCH_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What becomes of FLAG_ROW. */
enum { SHEAF_PATCH_ROW_STAYS = 0, SHEAF_PATCH_ROW_CLEAR = 1, SHEAF_PATCH_ROW_SET = 2 };

/* Rows in the order of their keys are in order of member and row. */
static inline uint64_t sheaf_patch_key(size_t member, int64_t row) {
  return (uint64_t)member << 40 | (uint64_t)row;
}

typedef struct sheaf_patcher sheaf_patcher;

/* Files are folder/stem.0, .1, …; nothing is made before there is an entry. */
int sheaf_patcher_open(sheaf_patcher **patcher, const char *folder, const char *stem,
                       sheaf_error *err);
/* A row and its flags [nchan][ncorr] (bytes 0 and 1); NULL: only FLAG_ROW changes. */
int sheaf_patcher_add(sheaf_patcher *patcher, size_t member, int64_t row, const uint8_t *flag,
                      int64_t nchan, int64_t ncorr, int row_flag, sheaf_error *err);
/* *files: [name, member, first row, last row, member, …] of each file, may be empty. Frees the handle in
 * any case. */
int sheaf_patcher_finish(sheaf_patcher *patcher, json_t **files, sheaf_error *err);
void sheaf_patcher_abandon(sheaf_patcher *patcher);

/* Names of those files that may have something about rows row0..row0+nrow-1 of a member. */
json_t *sheaf_patch_files(const json_t *files, size_t member, int64_t row0, int64_t nrow);
/* Writes FLAG of rows row0..row0+nrow-1 of a member as the files (names) say. */
int sheaf_patch_flags(const char *folder, const json_t *files, const char *table, size_t member,
                      int64_t row0, int64_t nrow, int64_t *written, sheaf_error *err);
/* Writes FLAG_ROW of a member. */
int sheaf_patch_rows(const char *folder, const json_t *files, const char *table, size_t member,
                     int64_t *written, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * edit.h - changes the structure of a table (columns, keywords) so that a death at any instant
 * leaves the table as before or as after.
 *
 * An edit collects changes, prepares them beside the table, and makes them true by one rename:
 *
 *   begin     reads table.dat; removes what a dead edit left behind
 *   add, remove, set, drop   in memory only
 *   prepare   writes tile files and headers of new columns under their final names, and the new
 *             table.dat as table.dat.sheaf; nobody else looks at any of them. Disk blocks are
 *             reserved, so a full disk is noticed here
 *   (fill)    new columns can be opened with sheaf_tiles_open_pending, by any process, and get
 *             their initial values
 *   sync      new files are on disk
 *   commit    renames table.dat.sheaf to table.dat, bumps the change counters (touch.h), removes
 *             the files of removed columns
 *
 * casacore's own way (table.dat rewritten without fsync, headers truncated and written anew) loses
 * the table when it is killed at a bad moment. Nobody may have the table open for update while an
 * edit is under way; readers go on with what they opened. Only plain tables in separate files can
 * be edited: SHEAF_ERR_DATA for reference and concatenated tables and other storage options.
 *
 * A handle holds no descriptor between calls, and belongs to one thread. */
#ifndef SHEAF_TABLE_EDIT_H
#define SHEAF_TABLE_EDIT_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_edit sheaf_edit;

/* An array column to be added. It gets a TiledShapeStMan of its own. */
typedef struct sheaf_edit_column {
  const char *name;
  int type;            /* SHEAF_COMPLEX, SHEAF_FLOAT, … (table/table.h) */
  const char *like;    /* existing array column: every cell gets the shape of its cell in this one,
                          rows undefined there stay undefined; tiles are cut alike where it is tiled */
  const char *comment; /* NULL: "" */
  const char
      *manager; /* name of the storage manager; NULL: the column's name with "Tiled" behind */
  const json_t *keywords; /* of the column, as in sheaf_edit_set; borrowed until the call returns;
                             NULL: none */
} sheaf_edit_column;

/* SHEAF_ERR_NOTFOUND when there is no table. */
int sheaf_edit_begin(sheaf_edit **edit, const char *table_path, sheaf_error *err);
/* Frees the handle. What was prepared and not committed is removed. NULL is fine. */
void sheaf_edit_close(sheaf_edit *edit);

/* 1 when the table (with the changes so far) has the column, else 0. */
int sheaf_edit_has(const sheaf_edit *edit, const char *column);
/* 1 when the table (column NULL) or the column has the keyword, else 0. */
int sheaf_edit_has_keyword(const sheaf_edit *edit, const char *column, const char *keyword);
/* The keywords' names in order, a JSON list (new reference). NULL when memory runs out. */
json_t *sheaf_edit_keywords(const sheaf_edit *edit, const char *column);

/* SHEAF_ERR_EXISTS when there is such a column. */
int sheaf_edit_add(sheaf_edit *edit, const sheaf_edit_column *column, sheaf_error *err);
/* Removes a column. Columns that share its storage manager stay: tiled ones get managers of their
 * own, standard managers lose the column in a copy of their files (casacore does
 * it, at the sync), which takes the place of the old ones with the commit. Both need room for these
 * copies. SHEAF_ERR_NOTFOUND when there is none; SHEAF_ERR_DATA when another kind of manager is
 * shared. */
int sheaf_edit_remove(sheaf_edit *edit, const char *column, sheaf_error *err);
/* Sets a keyword of the table (column NULL) or of a column: text, bool, integer, real, a list of
 * one of these, a list of lists of numbers ([[0,63],[0,63]]: a 2-D array, inner lists fastest), or
 * an object (a record). */
int sheaf_edit_set(sheaf_edit *edit, const char *column, const char *keyword, const json_t *value,
                   sheaf_error *err);
/* Removes a keyword; 1, or 0 when there is none. A sub-table that it led to is not touched. */
int sheaf_edit_drop(sheaf_edit *edit, const char *column, const char *keyword, sheaf_error *err);
/* 1 when there is something to commit. */
int sheaf_edit_changed(const sheaf_edit *edit);

/* Writes everything beside the table; new columns hold zeros. Nothing to do: 0, and nothing is
 * written. A failure leaves the table as it was. */
int sheaf_edit_prepare(sheaf_edit *edit, sheaf_error *err);
/* fsync of all new files. */
int sheaf_edit_sync(sheaf_edit *edit, sheaf_error *err);
/* The changes become true (prepares and syncs first where that was not done). After a failure the
 * table is as before, or, when only the sync of the directory or the removal of old files failed,
 * changed. */
int sheaf_edit_commit(sheaf_edit *edit, sheaf_error *err);

/* Removes what a dead edit left beside the table, if anything; begin does it, too. Call it only
 * when no edit of this table is under way in any process. */
int sheaf_edit_recover(const char *table_path, sheaf_error *err);

#ifdef __cplusplus
}
#endif
#endif

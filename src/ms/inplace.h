/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inplace.h - a task that changes an MS or Multi-MS in place: what the client does.
 *
 *   sheaf_inplace_begin(vis)          one task at a time per MS; debris of dead ones is removed
 *   sheaf_inplace_keep                no other program writes to the members from now on
 *   for each member: sheaf_edit_add(sheaf_inplace_edit(...)), _remove, _set, ...   (table/edit.h)
 *   sheaf_inplace_prepare             new columns exist beside the tables, full of zeros
 *   sheaf_inplace_check_locks         nobody keeps a lock that will be needed
 *   sheaf_inplace_units               units: member × row range; a round runs them
 *      each unit: sheaf_chunks (ms/chunks.h) reads and writes cells, also of new columns
 *   sheaf_inplace_commit              all edits become true, readers are made to notice
 *   sheaf_inplace_end
 *
 * An MS may hold no rows of its own but refer to those of another (partition(copydata=False),
 * TaQL). Its members are then the tables that hold them, and, where those belong to a Multi-MS, all
 * members of that, as their columns must be the same; sheaf_inplace_rows says which rows are meant.
 *
 * Killed at any instant: before the commit the structure is as before; after it, all members have
 * their new columns, filled. Existing columns hold old or new values cell by cell. */
#ifndef SHEAF_MS_INPLACE_H
#define SHEAF_MS_INPLACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "table/edit.h"

typedef struct sheaf_inplace sheaf_inplace;

/* `vis`: an MS, a Multi-MS or a sub-MS. SHEAF_ERR_NOTFOUND; SHEAF_ERR_EXISTS when another process
 * of Sheaf works in place on it. */
int sheaf_inplace_begin(sheaf_inplace **inplace, const char *vis, sheaf_error *err);
/* Keeps casacore's read locks of all members until the end (table/keeper.h). SHEAF_ERR_IO when
 * another process keeps the write lock of one: nothing is changed. */
int sheaf_inplace_keep(sheaf_inplace *inplace, sheaf_error *err);
/* Finishes a commit of a dead task that went member by member: until then the Multi-MS does not
 * open. For tasks that write, before anything that opens `vis`; begins and ends a sheaf_inplace
 * where there is something to do. */
int sheaf_inplace_settle(const char *vis, sheaf_error *err);
/* Frees the handle. Edits that were not committed are undone. NULL is fine. */
void sheaf_inplace_end(sheaf_inplace *inplace);

/* The MSs that hold the rows, in the order of the Multi-MS; absolute paths. A plain MS has one. */
size_t sheaf_inplace_nmember(const sheaf_inplace *inplace);
const char *sheaf_inplace_member(const sheaf_inplace *inplace, size_t i);

/* The MS or Multi-MS that the members belong to: `vis`, unless that refers to one other. */
const char *sheaf_inplace_home(const sheaf_inplace *inplace);
/* 1 when `vis` refers to rows of other MSs, which are what is changed. */
int sheaf_inplace_refers(const sheaf_inplace *inplace);
/* Of a reference table that calls a column of its members otherwise: that name, and the member's in
 * *source; NULL when none does. */
const char *sheaf_inplace_renamed(const sheaf_inplace *inplace, const char **source);
/* Which rows of member i are rows of `vis`: bit r%8 of byte r/8 for row r; NULL: all. Borrowed. */
const uint8_t *sheaf_inplace_rows(const sheaf_inplace *inplace, size_t i);
/* How many; counted only where sheaf_inplace_rows is not NULL. */
int64_t sheaf_inplace_nwanted(const sheaf_inplace *inplace, size_t i);

/* The edit of member i's main table, begun at the first call; borrowed. NULL and *err on failure.
 */
sheaf_edit *sheaf_inplace_edit(sheaf_inplace *inplace, size_t i, sheaf_error *err);

/* Prepares all edits that have changes. On failure nothing has changed: call sheaf_inplace_end. */
int sheaf_inplace_prepare(sheaf_inplace *inplace, sheaf_error *err);

/* How the work is cut. */
typedef struct sheaf_inplace_cut {
  const char *const *written; /* columns that units write (pending ones, too) */
  size_t nwritten;
  /* Where the algorithm allows a cut; NULL: at any row. Returns the first row >= `row` of member i
   * at which a unit may begin (nrow of the member when there is none), or a negative error. */
  int64_t (*allowed)(void *user, const char *member, int64_t row, sheaf_error *err);
  void *user;
  int64_t target; /* bytes of the written columns per unit; 0: 64 MiB */
  /* What units do where `vis` has only some of the rows of a member. REFUSE: nothing, the task is
   * refused; ROWS: they look at sheaf_inplace_unit.rows, and where that is all zero there is no
   * unit; ALL: they look at it, too, but must also see rows that are not meant. */
  enum { SHEAF_INPLACE_REFUSE, SHEAF_INPLACE_ROWS, SHEAF_INPLACE_ALL } partial;
} sheaf_inplace_cut;

/* Rows row0..row0+nrow-1 of a member. */
typedef struct sheaf_inplace_unit {
  size_t member;
  int64_t row0, nrow;
  int64_t cost;    /* bytes of the written columns */
  char label[128]; /* "ngc.0002.ms rows 0-99999" */
  uint8_t *rows;   /* bit i%8 of byte i/8 is 1 when row row0+i is meant; NULL: all are */
} sheaf_inplace_unit;

/* Cuts all members into units, *n of them; together they hold every row once. The list depends on
 * the data and on `cut` alone, never on the number of servers. No two units write the same byte,
 * and, where the tiles of the columns allow, no two write the same tile. A member with a written
 * column that tiles.h does not know is one unit (table locked, through casacore). Members without
 * rows have no unit. Free with sheaf_inplace_units_free. SHEAF_ERR_ARG with partial = REFUSE. */
int sheaf_inplace_units(sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                        sheaf_inplace_unit **units, size_t *n, sheaf_error *err);
void sheaf_inplace_units_free(sheaf_inplace_unit *units, size_t n);

/* Makes reference tables between `vis` and its members name these columns of theirs, where they do
 * not yet; after the commit. Nothing where `vis` refers to no other MS. */
int sheaf_inplace_show(sheaf_inplace *inplace, const char *const *columns, size_t n,
                       sheaf_error *err);

/* Before anything is written: takes and keeps the write lock of member i, where one of these
 * columns (pending ones, too) goes through casacore. SHEAF_ERR_IO when another process keeps a
 * lock. */
int sheaf_inplace_check_lock(sheaf_inplace *inplace, size_t i, const char *const *columns, size_t n,
                             sheaf_error *err);

/* The write lock of member i, for sheaf_inplace_check_lock. */
int sheaf_inplace_lock(sheaf_inplace *inplace, size_t i, sheaf_error *err);

/* Of all members that `cut` has units for, and the columns that they write. */
int sheaf_inplace_check_locks(sheaf_inplace *inplace, const sheaf_inplace_cut *cut,
                              sheaf_error *err);

/* After the last round: commits all edits and bumps the change counters of all members. `wrote` 0:
 * no cell was written, and members without an edit need no bump. */
int sheaf_inplace_commit(sheaf_inplace *inplace, int wrote, sheaf_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * params.h - the parameter table: single source of signatures, help, checks and documentation.
 *
 * A task has one constant table of sheaf_param. From it come the Python signature and docstring,
 * the `sheaf TASK name=value` parser, `sheaf help TASK`, validation, HISTORY lines and docs/tasks.
 * Names, defaults, types and allowed values are CASA's; parameters that CASA lacks carry
 * SHEAF_PARAM_OURS. */
#ifndef SHEAF_BASE_PARAMS_H
#define SHEAF_BASE_PARAMS_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Types that a parameter accepts, or'ed. */
enum {
  SHEAF_TYPE_BOOL = 1,
  SHEAF_TYPE_INT = 2,
  SHEAF_TYPE_DOUBLE = 4, /* an int is accepted, too */
  SHEAF_TYPE_STRING = 8,
  SHEAF_TYPE_INTS = 16,    /* list of int */
  SHEAF_TYPE_DOUBLES = 32, /* list of numbers */
  SHEAF_TYPE_STRINGS = 64, /* list of strings */
  SHEAF_TYPE_DICT = 128,
  SHEAF_TYPE_ANY = 256
};

enum {
  SHEAF_PARAM_EXISTS = 1,   /* path(s) that must exist */
  SHEAF_PARAM_HIDDEN = 2,   /* not in help's first list, accepted all the same */
  SHEAF_PARAM_OURS = 4,     /* not in CASA */
  SHEAF_PARAM_REQUIRED = 8, /* empty text or list is refused */
  SHEAF_PARAM_PATH = 16     /* path(s): ~ at the beginning is the home directory */
};

typedef struct sheaf_param {
  const char *name;
  unsigned types;
  const char *otherwise; /* the default, in Python syntax: "''", "True", "[]", "-1" */
  const char *allowed;   /* '|'-separated texts (case as listed), or NULL */
  const char *unit;      /* "s", "MB", …, or NULL */
  const char *when;      /* when it applies: "createmms=True", or NULL for always */
  const char *help;      /* one line */
  unsigned flags;
} sheaf_param;

/* Checks `given` (an object; NULL: none) against the table and returns the complete set in table
 * order in *full (new reference). Errors are SHEAF_ERR_ARG: an unknown name (the nearest is named),
 * a wrong type, a value that is not allowed, an empty required text; SHEAF_ERR_NOTFOUND: a path
 * that must exist and does not. Types are exact: 0 and 1 are no bool. But an int is accepted where
 * a double is wanted, and one text where a list of texts is wanted; it becomes a list of one; and ~
 * at the beginning of a path becomes $HOME. No other change is made to a value. */
int sheaf_params_check(const char *task, const sheaf_param *table, size_t n, const json_t *given,
                       json_t **full, sheaf_error *err);

/* Adds "name=value" (value as sheaf_value_parse reads it, then fitted to the parameter's types: 5
 * stays text for a parameter that takes only text, true and false are bools for one that takes a
 * bool) to the object `given`. SHEAF_ERR_ARG without '=', for an unknown or repeated name. */
int sheaf_params_add(const char *task, const sheaf_param *table, size_t n, const char *assignment,
                     json_t *given, sheaf_error *err);

/* The next word of `allowed` at *p, its length in *n, NULL at the end; words that repeat an earlier
 * one in capitals are left out. *p advances. */
const char *sheaf_params_next_allowed(const char *allowed, const char **p, size_t *n);

/* Help as text: one block per parameter. Caller frees. */
char *sheaf_params_help(const sheaf_param *table, size_t n);

/* The word of `words` (n texts) that is nearest to `word`, or NULL when none is near. */
const char *sheaf_nearest(const char *word, const char *const *words, size_t n);

#ifdef __cplusplus
}
#endif
#endif

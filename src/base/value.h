/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * value.h - values that cross borders: parameters, results of tasks and of units.
 *
 * A value is a jansson `json_t`, so it travels to servers and into --json output as text. Two things
 * of Python that JSON lacks are written as tagged objects, which the Python layer turns back:
 *   {"#int": true, "0": …, "1": …}                        a dictionary with integer keys; other texts beside them stay texts
 *   {"#array": "i8"|"f8"|"b1"|"U", "shape": [n,…], "data": […]}   a NumPy array, last axis fastest
 * A NaN or infinity, which JSON lacks, is the text "nan", "inf" or "-inf" inside such an array.
 * Everything is reference-counted by jansson; functions here return new references. */
#ifndef SHEAF_BASE_VALUE_H
#define SHEAF_BASE_VALUE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An empty dictionary with integer keys, and setting one of its entries (takes `value`). */
json_t *sheaf_value_intdict(void);
int sheaf_value_intdict_set(json_t *dict, int64_t key, json_t *value);
/* Whether a key of such a dictionary is an integer. */
int sheaf_value_intkey(const char *key);

/* One-dimensional arrays of n elements. */
json_t *sheaf_value_array_int(const int64_t *data, size_t n);
json_t *sheaf_value_array_double(const double *data, size_t n);

/* A copy without tags, for --json output: arrays become (nested) lists, "#int" goes. */
json_t *sheaf_value_plain(const json_t *value);

/* Reads one value in CASA's (Python's) literal syntax: 'text' "text" 12 -1.5e3 True False None [1,'a'] (1,2)
 * {'a': 1}. A word that is none of these is a string as it stands (shell-friendly: scan=1~3,5, vis=[a.ms,b.ms]), and so is
 * text whose brackets do not parse. A dictionary's keys are texts, or all integers. NULL when the text is not UTF-8. */
json_t *sheaf_value_parse(const char *text);

/* The value as Python would print it (repr); for help, logs and HISTORY. A tagged array is array([...])
 * on one line. Caller frees. */
char *sheaf_value_repr(const json_t *value);

/* Shortcuts that suit checked parameters: the member must exist and be of that type, or the default
 * is returned. */
const char *sheaf_value_str(const json_t *object, const char *key, const char *otherwise);
int64_t sheaf_value_int(const json_t *object, const char *key, int64_t otherwise);
double sheaf_value_double(const json_t *object, const char *key, double otherwise);
int sheaf_value_bool(const json_t *object, const char *key, int otherwise);

#ifdef __cplusplus
}
#endif
#endif

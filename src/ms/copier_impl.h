/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * copier_impl.h - the copier at work; internal to copier.c (which rows, in which order),
 * copyscalars.c (what casacore writes) and copyarrays.c (array columns). */
#ifndef SHEAF_MS_COPIER_IMPL_H
#define SHEAF_MS_COPIER_IMPL_H

#include "ms/copier.h"
#include "table/table.h"

enum { MOST_RUN_ROWS = 4096 };

/* Rows that follow each other both in an input and in an output, of one data description. */
typedef struct copy_run {
  int64_t row, out;
  int32_t n, source, ddid, output;
} copy_run;

typedef struct copy_output {
  const char *path;
  sheaf_recspan *rows; /* [nspan] its records in output order; none for a whole copy */
  size_t nspan;
  char *sorted; /* name of the file that was made for that, or NULL */
  int64_t nrow;
  int64_t first_run, nrun; /* its runs, in output order */
  unsigned char *often;    /* [layout->nfield] 1: the column changes too often for an incremental
                              storage manager */
  json_t *scans, *ddids, *checksums;
} copy_output;

typedef struct copier {
  const sheaf_copyplan *plan;
  const sheaf_rowlayout *layout; /* NULL: a whole copy */
  size_t nms;
  const char *const *ms;
  sheaf_table **in; /* [nms] */
  size_t noutput;
  copy_output *output;
  char *runs_path, *input_path; /* files of copy_run: by output, by input */
  char *probe_path;             /* for a file that is made to see what the file system can */
  int reflinks; /* it can share blocks of the inputs: 1, 0, or -1 where nobody asked yet */
  sheaf_recspan runs, input; /* input.path is runs_path when that order is the same */
} copier;

/* Part of the list of runs, in output order. */
sheaf_recspan sheaf_copier_runs(const copier *c, size_t output);

/* ---- copyscalars.c: in the child process ---- */

/* Makes the main table of an output, with its numeric scalars; their checksums go into
 * output.checksums. */
int sheaf_copier_create(copier *c, size_t output, sheaf_error *err);
/* Fills its texts, when the array columns have their places. */
int sheaf_copier_texts(copier *c, size_t output, sheaf_error *err);

/* ---- copyarrays.c ---- */

/* The array columns of all outputs. */
typedef struct array_copies array_copies;

/* Works out their layout; nothing is written. */
int sheaf_arrays_plan(array_copies **arrays, copier *c, sheaf_error *err);
/* Gives the columns of an empty output table that layout; casacore must have closed it. */
int sheaf_arrays_create(array_copies *arrays, size_t output, sheaf_error *err);
/* Copies those that are read from tiles, on threads where that may be (base/threads.h), and those
 * that casacore reads; each puts its checksums into the outputs. */
int sheaf_arrays_copy_tiles(array_copies *arrays, sheaf_error *err);
int sheaf_arrays_copy_casacore(array_copies *arrays, sheaf_error *err);
/* NULL is fine. */
void sheaf_arrays_close(array_copies *arrays);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Drives table/edit.h and table/touch.h from test scripts: edit_tool TABLE STEP... does the steps
 * in order, prints "error CODE WHY" and ends with status 1 at the first that fails.
 *
 *   add:NAME:TYPE:LIKE:MANAGER     add:NAME:TYPE:LIKE:MANAGER:COMMENT:KEYWORDS (JSON, no ':' in
 * COMMENT) remove:NAME    set:COLUMN:KEYWORD:JSON    drop:COLUMN:KEYWORD    (COLUMN "" is the
 * table) prepare  sync  commit  close  begin  touch  recover fill:NAME:BYTE                 every
 * byte of every cell of a pending column, row by row in blocks list prints the keywords of the
 * table  shell:COMMAND */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "table/edit.h"
#include "table/tiles.h"
#include "table/touch.h"

enum { WORDS = 8 };

static sheaf_error err;
static const char *table;
static sheaf_edit *edit;

static int fill(const char *column, int byte) {
  sheaf_tiles *t;
  sheaf_tiles_info info;
  int rc = sheaf_tiles_open_pending(&t, table, column, 1, &err);
  if (rc != 0) return rc;
  sheaf_tiles_describe(t, &info);
  for (int64_t row = 0; row < info.nrow && rc >= 0;) {
    sheaf_tiles_span span;
    sheaf_tiles_cube cube;
    if ((rc = sheaf_tiles_span_at(t, row, &span, &err)) < 0) break;
    row += span.nrow;
    if (span.cube < 0 || (rc = sheaf_tiles_cube_at(t, span.cube, &cube, &err)) < 0) continue;
    int64_t n = info.size;
    for (int i = 0; i < cube.ndim; i++) n *= cube.shape[i];
    for (int64_t done = 0; done < span.nrow && rc >= 0;) {
      const int64_t some = span.nrow - done > 1000 ? 1000 : span.nrow - done;
      void *data = malloc((size_t)(n * some));
      memset(data, byte, (size_t)(n * some));
      const sheaf_tiles_rows rows = {.start = span.start + done, .n = some};
      rc = sheaf_tiles_write(t, &rows, NULL, data, (size_t)(n * some), &err);
      free(data);
      done += some;
    }
  }
  if (rc >= 0) rc = sheaf_tiles_sync(t, &err);
  sheaf_tiles_close(t);
  return rc;
}

static const char *or_null(const char *word) {
  return word && *word ? word : NULL;
}

static int add(char **w) {
  json_t *keywords = w[6] ? json_loads(w[6], 0, NULL) : NULL;
  const sheaf_edit_column column = {.name = w[1],
                                    .type = atoi(w[2]),
                                    .like = w[3],
                                    .manager = or_null(w[4]),
                                    .comment = or_null(w[5]),
                                    .keywords = keywords};
  const int rc = sheaf_edit_add(edit, &column, &err);
  json_decref(keywords);
  return rc;
}

static int set(char **w) {
  json_t *value = json_loads(w[3], JSON_DECODE_ANY, NULL);
  const int rc = sheaf_edit_set(edit, or_null(w[1]), w[2], value, &err);
  json_decref(value);
  return rc;
}

static int list(void) {
  json_t *names = sheaf_edit_keywords(edit, NULL);
  json_dumpf(names, stdout, 0);
  putchar('\n');
  json_decref(names);
  return 0;
}

static int step(char **w) {
  if (!strcmp(w[0], "touch")) return sheaf_table_touch(table, &err);
  if (!strcmp(w[0], "recover")) return sheaf_edit_recover(table, &err);
  if (!strcmp(w[0], "shell"))
    return system(w[1]) == 0 ? 0 : sheaf_fail(&err, SHEAF_ERR_IO, "shell");
  if (!strcmp(w[0], "fill")) return fill(w[1], atoi(w[2]));
  if (!strcmp(w[0], "close")) {
    sheaf_edit_close(edit);
    edit = NULL;
    return 0;
  }
  if (!edit) {
    const int rc = sheaf_edit_begin(&edit, table, &err);
    if (rc < 0) return rc;
  }
  if (!strcmp(w[0], "add")) return add(w);
  if (!strcmp(w[0], "remove")) return sheaf_edit_remove(edit, w[1], &err);
  if (!strcmp(w[0], "set")) return set(w);
  if (!strcmp(w[0], "drop")) return sheaf_edit_drop(edit, or_null(w[1]), w[2], &err);
  if (!strcmp(w[0], "prepare")) return sheaf_edit_prepare(edit, &err);
  if (!strcmp(w[0], "sync")) return sheaf_edit_sync(edit, &err);
  if (!strcmp(w[0], "commit")) return sheaf_edit_commit(edit, &err);
  if (!strcmp(w[0], "list")) return list();
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  table = argv[1];
  for (int i = 2; i < argc; i++) {
    char *w[WORDS + 1] = {argv[i]};
    for (int k = 1; k < WORDS && w[k - 1]; k++) {
      char *colon = k < 7 ? strchr(w[k - 1], ':') : NULL;
      if ((k == 4 && !strncmp(argv[i], "set", 3)) || (k == 7)) break;
      if (colon) *colon = '\0';
      w[k] = colon ? colon + 1 : NULL;
    }
    const int rc = step(w);
    if (rc < 0) {
      printf("error %d %s\n", rc, err.text);
      sheaf_edit_close(edit);
      return 1;
    }
  }
  sheaf_edit_close(edit);
  return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seeded.c - a program with errors on purpose, one for each kind of report, by which `run` sees
 * that reports arrive: seeded none | address | undefined | cast | leak. */
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  char *volatile memory = calloc(8, 1);
  volatile int one = 1;
  volatile double large = 1e20;
  const char *kind = argc > 1 ? argv[1] : "none";
  if (!strcmp(kind, "address")) return memory[7 + one];
  if (!strcmp(kind, "undefined")) return one << (31 + one);
  if (!strcmp(kind, "cast")) return (int)large;
  if (strcmp(kind, "leak") != 0) free(memory);
  memory = NULL;
  return 0;
}

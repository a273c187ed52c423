/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sheaf.c - main of the program `sheaf`. It loads the program proper (program.c), and with it
 * casacore and MPI, which take longer to load than a version takes to print. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int program_main(int argc, char **argv);

/* The folder above the one that holds this executable, links resolved. */
static int find_prefix(char out[PATH_MAX]) {
  const ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
  if (n < 0) return -1;
  out[n] = '\0';
  for (int i = 0; i < 2; i++) {
    char *slash = strrchr(out, '/');
    if (!slash) return -1;
    *slash = '\0';
  }
  return 0;
}

static program_main *load_program(void) {
  char prefix[PATH_MAX], path[PATH_MAX + 64];
  if (find_prefix(prefix)) return NULL;
  snprintf(path, sizeof path, "%s/lib/sheaf/program.so", prefix);
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  return library ? (program_main *)dlsym(library, "sheaf_program") : NULL;
}

int main(int argc, char **argv) {
  /* Under mpirun the program proper sees to it that only rank 0 answers. */
  if (argc == 2 && !strcmp(argv[1], "--version") && !getenv("OMPI_COMM_WORLD_RANK"))
    return puts("sheaf " SHEAF_VERSION) < 0 || fflush(stdout);
  setenv("HOME", "/", 0); /* casacore aborts at load when there is none */
  program_main *program = load_program();
  if (program) return program(argc, argv);
  const char *why = dlerror();
  fprintf(stderr, "sheaf: cannot load the program: %s\n", why ? why : "no /proc/self/exe");
  return 1;
}

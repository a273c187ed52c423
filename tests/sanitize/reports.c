/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reports.c - a library to preload, between the runtimes of the address and the undefined
 * sanitizer, that writes the latter's reports into files: it heeds no log_path where both are in a
 * process. One file for each process, SHEAF_REPORTS/undefined.PID. Besides, libraries stay loaded,
 * as leaks are told apart by the library that allocated. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void __ubsan_get_current_report_data(const char **kind, const char **message, const char **file,
                                     unsigned *line, unsigned *column, char **address);
void __sanitizer_print_stack_trace(void);
void __sanitizer_set_report_fd(void *fd);
void __ubsan_on_report(void);

/* It is linked to be initialized first: the address sanitizer would begin at the first malloc of
 * some library's constructor, maybe in newlocale, whose lock it releases when it looks up symbols;
 * later uses of the lock wait for ever then. */
__attribute__((constructor)) static void begin(void) {
  void *volatile memory = malloc(1);
  free(memory);
}

int dlclose(void *library) {
  (void)library;
  return 0;
}

/* The runtime calls this, which does nothing unless somebody defines it, at each report. */
void __ubsan_on_report(void) {
  const char *kind, *message, *file, *folder = getenv("SHEAF_REPORTS");
  unsigned line, column;
  char *address, path[4096], text[4096];
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  snprintf(path, sizeof path, "%s/undefined.%d", folder ? folder : ".", (int)getpid());
  const int n =
      snprintf(text, sizeof text, "%s:%u:%u: %s: %s\n", file, line, column, kind, message);
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0 || n < 0 || write(fd, text, (size_t)n) != n) abort();
  __sanitizer_set_report_fd((void *)(intptr_t)fd);
  __sanitizer_print_stack_trace();
  __sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO); /* the process ends now */
  close(fd);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hosts.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

static struct {
  int is_file;
  const char *text;
} given[MOST];
static int ngiven;

void hosts_remember(int is_file, const char *text) {
  if (ngiven == MOST) return;
  given[ngiven].is_file = is_file;
  given[ngiven++].text = text;
}

/* Whether the host is not known; says so then. `line` is 0 for a host of the command line. */
static int is_unknown(const char *host, const char *file, int line) {
  struct addrinfo *found = NULL;
  const int why = getaddrinfo(host, NULL, NULL, &found);
  if (found) freeaddrinfo(found);
  if (why == 0) return 0;
  if (line > 0)
    fprintf(stderr, "mpisheaf: %s, line %d: ", file, line);
  else
    fprintf(stderr, "mpisheaf: -host: ");
  fprintf(stderr, "the host '%s' is not known here (%s)\n", host, gai_strerror(why));
  return 1;
}

/* Lines are "HOST slots=N", perhaps with USER@ in front; # begins a comment, ^HOST leaves one out,
 * +n0 is a number among those that a batch system gave. */
static int look_at_file(const char *path) {
  char *text = NULL;
  size_t size = 0;
  int n = 0, line = 0;
  FILE *in = fopen(path, "re");
  while (in && getline(&text, &size, in) >= 0) {
    char *host = text + strspn(text, " \t");
    host[strcspn(host, " \t\r\n#")] = '\0';
    line++;
    if (strchr(host, '@')) host = strchr(host, '@') + 1;
    if (*host && !strchr("^+", *host)) n += is_unknown(host, path, line);
  }
  free(text);
  if (in) fclose(in);
  return n;
}

static int look_at_list(const char *list) {
  char *copy = strdup(list), *rest = copy;
  int n = 0;
  for (char *host; copy && (host = strsep(&rest, ","));) {
    host[strcspn(host, ":")] = '\0';
    if (*host && *host != '+') n += is_unknown(host, NULL, 0);
  }
  free(copy);
  return n;
}

void hosts_explain(const char *directory) {
  int n = 0;
  for (int i = 0; i < ngiven; i++)
    n += given[i].is_file ? look_at_file(given[i].text) : look_at_list(given[i].text);
  if (n == 0)
    fprintf(stderr,
            "mpisheaf: processes could not be started on all hosts. Each needs ssh without a "
            "password, Open MPI,\nand this installation under the same path; try: ssh HOST "
            "%s/sheaf --version\n",
            directory);
}

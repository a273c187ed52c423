/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mpisheaf - starts a client and servers under Open MPI, as mpicasa does for CASA. Needs nothing
 * but libc and mpirun. */
#include <ctype.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosts.h"
#include "launch.h"

enum { USAGE = 2, START_S = 150 };

static const char usage_text[] =
    "mpisheaf " SHEAF_VERSION
    ": starts Sheaf in parallel: one client and any number of servers.\n"
    "\n"
    "  mpisheaf -n N [options] [sheaf] TASK name=value ...    runs a task on N-1 servers\n"
    "  mpisheaf -n N [options] [sheaf] -c SCRIPT.py [ARG ...] runs a Python script\n"
    "  mpisheaf -n N [options] [sheaf]                        opens an interactive session\n"
    "  mpisheaf -n N [options] python3 SCRIPT.py [ARG ...]    any Python that imports sheaf\n"
    "  mpisheaf -n N [options] PATH/PROGRAM [ARG ...]         another program\n"
    "  mpisheaf -hostfile FILE [options] ...                  on several hosts; lines of FILE are\n"
    "                                                         \"host slots=N\"\n"
    "\n"
    "Of N processes one is the client, which runs the task or script, and N-1 are servers, which "
    "do\n"
    "the work; with -n 1 the client does it. What follows the options is the command; `sheaf` of "
    "this\n"
    "installation is put in front of it unless it begins with sheaf, python or a path.\n"
    "\n"
    "Options\n"
    "  -n N, -np N          number of processes; without it one per core, or one per slot of the\n"
    "                       host file\n"
    "  -hostfile FILE       hosts to use; also -machinefile FILE\n"
    "  -host A,B:4          hosts to use, with their numbers of processes\n"
    "  -x NAME[=VALUE]      environment variable to pass to other hosts\n"
    "  --mca NAME VALUE     a setting of Open MPI\n"
    "  --help, --version    this text, the version\n"
    "Other options of Open MPI's mpirun are passed on (but -c begins a script here).\n"
    "\n"
    "What it arranges\n"
    "  * OMP_NUM_THREADS is 1 unless you set it (N processes x threads = cores in use).\n"
    "  * The directory of this program comes first in PATH, on all hosts.\n"
    "  * PATH, PYTHONPATH, LD_LIBRARY_PATH and all SHEAF_* and OMP_* variables go to all hosts.\n"
    "  * It works for root, and with more processes than cores.\n"
    "  * The client has your terminal or your pipes; servers print to standard error only.\n"
    "  * An interactive session opens an xterm for the client where there is a display (DISPLAY) "
    "and\n"
    "    an xterm, and uses the current terminal where there is none.\n"
    "  * When a server dies the others go on. When the client ends, whatever the reason, all\n"
    "    processes end, and the exit status is the client's (128 + signal if it was killed).\n"
    "  * Settings of Open MPI come from OMPI_MCA_* variables; your own take precedence.\n"
    "\n"
    "Other hosts need ssh without a password, the same paths, and the same installation.\n"
    "Exit status 2: wrong usage.\n";

/* Options of Open MPI 4's mpirun, by how many words follow them. Leading dashes may be one or two.
 */
static const char *const with_one[] = {"n",
                                       "np",
                                       "N",
                                       "hostfile",
                                       "machinefile",
                                       "default-hostfile",
                                       "H",
                                       "host",
                                       "x",
                                       "am",
                                       "bind-to",
                                       "map-by",
                                       "rank-by",
                                       "rf",
                                       "rankfile",
                                       "cf",
                                       "cartofile",
                                       "cpu-list",
                                       "cpu-set",
                                       "cpus-per-proc",
                                       "cpus-per-rank",
                                       "npernode",
                                       "npersocket",
                                       "ppr",
                                       "path",
                                       "prefix",
                                       "preload-files",
                                       "wd",
                                       "wdir",
                                       "timeout",
                                       "tune",
                                       "launch-agent",
                                       "max-restarts",
                                       "max-vm-size",
                                       "output-filename",
                                       "personality",
                                       "report-events",
                                       "report-pid",
                                       "report-uri",
                                       "ompi-server",
                                       "hnp",
                                       "xml-file",
                                       "debugger"};
static const char *const with_two[] = {"mca", "gmca"};
static const char *const with_none[] = {"allow-run-as-root",
                                        "oversubscribe",
                                        "nooversubscribe",
                                        "bycore",
                                        "bynode",
                                        "byslot",
                                        "nolocal",
                                        "noprefix",
                                        "novm",
                                        "pernode",
                                        "q",
                                        "quiet",
                                        "v",
                                        "verbose",
                                        "s",
                                        "preload-binary",
                                        "tag-output",
                                        "timestamp-output",
                                        "xml",
                                        "merge-stderr-to-stdout",
                                        "report-bindings",
                                        "display-map",
                                        "display-topo",
                                        "display-allocation",
                                        "display-devel-map",
                                        "display-devel-allocation",
                                        "display-diffable-map",
                                        "bind-to-core",
                                        "bind-to-socket",
                                        "use-hwthread-cpus",
                                        "use-regexp",
                                        "enable-recovery",
                                        "disable-recovery",
                                        "continuous",
                                        "d",
                                        "debug-devel",
                                        "debug-daemons",
                                        "debug-daemons-file",
                                        "leave-session-attached",
                                        "do-not-resolve",
                                        "get-stack-traces",
                                        "report-state-on-timeout",
                                        "report-child-jobs-separately",
                                        "set-cwd-to-session-dir",
                                        "show-progress",
                                        "enable-instant-on-support",
                                        "fwd-mpirun-port",
                                        "index-argv-by-rank",
                                        "output-proctable",
                                        "tv",
                                        "debug"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static int is_in(const char *word, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(word, list[i])) return 1;
  return 0;
}

/* How many words follow this option; -1 when mpirun has no such one. */
static int count_values(const char *option) {
  const char *name = option + (option[1] == '-' ? 2 : 1);
  if (is_in(name, with_one, COUNT(with_one))) return 1;
  if (is_in(name, with_two, COUNT(with_two))) return 2;
  return is_in(name, with_none, COUNT(with_none)) ? 0 : -1;
}

static int is_option(const char *option, const char *name) {
  return !strcmp(option + (option[1] == '-' ? 2 : 1), name);
}

static int is_one_of(const char *option, const char *a, const char *b) {
  return is_option(option, a) || is_option(option, b);
}

/* ---- the command line ---- */

static int check_number(const char *option, const char *text) {
  char *end;
  const long n = strtol(text, &end, 10);
  if (isdigit((unsigned char)*text) && !*end && n >= 1 && n <= 100000) return 0;
  fprintf(stderr, "mpisheaf: %s wants a number of processes, 1 or more, not '%s'\n", option, text);
  return -1;
}

static int check_file(const char *option, const char *path) {
  struct stat s;
  if (stat(path, &s) == 0 && !S_ISDIR(s.st_mode) && access(path, R_OK) == 0) return 0;
  fprintf(stderr, "mpisheaf: %s: cannot read the host file '%s'\n", option, path);
  return -1;
}

static int check_option(char **word) {
  if (is_one_of(*word, "n", "np")) return check_number(*word, word[1]);
  const int is_file = is_one_of(*word, "hostfile", "machinefile");
  if (is_file || is_one_of(*word, "host", "H")) hosts_remember(is_file, word[1]);
  return is_file ? check_file(*word, word[1]) : 0;
}

/* Options of sheaf, which begin the command. */
static int begins_command(const char *word) {
  static const char *const own[] = {
      "--",     "-c", "--json",  "--nologfile", "--memory",   "--logfile", "--version",
      "--help", "-h", "--nogui", "--nologger",  "--log2term", "--agg",     "--nocrashreport"};
  char name[32];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
  return word[0] != '-' || is_in(name, own, COUNT(own));
}

/* The number of words that are options, -1 after a message. */
static int count_options(char **word) {
  int n = 0;
  while (word[n] && !begins_command(word[n])) {
    const int values = count_values(word[n]);
    if (values < 0) {
      fprintf(stderr, "mpisheaf: no option is called '%s'; see mpisheaf --help\n", word[n]);
      return -1;
    }
    for (int i = 1; i <= values; i++)
      if (!word[n + i]) {
        fprintf(stderr, "mpisheaf: %s needs a value\n", word[n]);
        return -1;
      }
    if (check_option(word + n) < 0) return -1;
    n += 1 + values;
  }
  return n;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* Whether the first word of the command is a program; else it is for sheaf, as task names may be
 * programs, too (split). */
static int is_program(const char *word) {
  return word[0] != '-' &&
         (strchr(word, '/') || !strncmp(word, "python", 6) || !strncmp(word, "ipython", 7));
}

/* Whether `sheaf` with these arguments opens a session. */
static int is_interactive(char **arg) {
  static const char *const valued[] = {"--memory", "--logfile"};
  static const char *const other[] = {"-c", "--help", "-h", "--version"};
  for (; *arg; arg++) {
    if (**arg != '-' || is_in(*arg, other, COUNT(other))) return 0;
    if (is_in(*arg, valued, COUNT(valued)) && !*++arg) return 0;
  }
  return 1;
}

static int in_path(const char *program) {
  const char *path = getenv("PATH");
  char *copy = strdup(path ? path : "/usr/bin:/bin"), *rest = copy, file[PATH_MAX];
  int found = 0;
  for (char *dir; copy && !found && (dir = strsep(&rest, ":"));) {
    snprintf(file, sizeof file, "%s/%s", *dir ? dir : ".", program);
    found = access(file, X_OK) == 0;
  }
  free(copy);
  return found;
}

/* An xterm, unless somebody feeds the session from a pipe or a file. */
static int wants_window(void) {
  const char *display = getenv("DISPLAY");
  struct stat in;
  if (!display || !*display || !in_path("xterm")) return 0;
  return fstat(STDIN_FILENO, &in) < 0 || S_ISCHR(in.st_mode);
}

/* ---- the environment ---- */

static void prepend_path(const char *directory) {
  const char *old = getenv("PATH");
  char *path = NULL;
  if (asprintf(&path, "%s%s%s", directory, old ? ":" : "", old ? old : "") < 0) return;
  setenv("PATH", path, 1);
  free(path);
}

/* Without ssh and rsh mpirun does not even start processes on this host. */
static void do_without_ssh(void) {
  static const char *const batch[] = {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "PE_HOSTFILE"};
  if (in_path("ssh") || in_path("rsh") || getenv("OMPI_MCA_plm_rsh_agent")) return;
  for (size_t i = 0; i < COUNT(batch); i++)
    if (getenv(batch[i])) return;
  setenv("OMPI_MCA_plm", "isolated", 0);
}

/* After `sbatch --export=NONE` srun, with which mpirun starts its daemons on other nodes, would do
 * so without PATH. */
static void let_slurm_export(void) {
  if (getenv("SLURM_EXPORT_ENV")) setenv("SLURM_EXPORT_ENV", "ALL", 1);
}

/* Whether a directory can be made there; permissions tell root too little. */
static int is_usable(const char *directory) {
  char path[PATH_MAX];
  const int n = snprintf(path, sizeof path, "%s/sheaf-XXXXXX", directory);
  return n < (int)sizeof path && mkdtemp(path) && rmdir(path) == 0;
}

/* mpirun keeps files of its own in TMPDIR; one that cannot be written to would end it. */
static void find_scratch(void) {
  static const char *const places[] = {"/tmp", "/dev/shm", "/var/tmp", "."};
  const char *wanted = getenv("TMPDIR");
  if (wanted && !*wanted) unsetenv("TMPDIR"); /* mpirun would take it for the root directory */
  if (is_usable(wanted && *wanted ? wanted : "/tmp")) return;
  for (size_t i = 0; i < COUNT(places); i++)
    if (is_usable(places[i])) {
      setenv("TMPDIR", places[i], 1);
      return;
    }
}

/* casacore ends any program that has no HOME. */
static void find_home(void) {
  if (getenv("HOME")) return;
  const struct passwd *user = getpwuid(getuid());
  setenv("HOME", user && user->pw_dir ? user->pw_dir : "/", 1);
}

static void set_environment(const char *directory) {
  static const char *const settings[][2] = {
      {"OMP_NUM_THREADS", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
      {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
      {"OMPI_MCA_mpi_yield_when_idle", "1"},
      {"OMPI_MCA_hwloc_base_binding_policy", "none"},
      {"OMPI_MCA_orte_enable_recovery", "1"}, /* the others go on when a server dies */
      {"OMPI_MCA_pml", "ob1"},
      {"OMPI_MCA_btl", "self,vader,tcp"},
      {"OMPI_MCA_btl_base_warn_component_unused", "0"},
      {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}, /* containers forbid it, loudly */
      {"OMPI_MCA_orte_abort_on_non_zero_status", "0"},
      {"PMIX_MCA_gds", "hash"}, /* needs no locks in the scratch directory */
  };
  for (size_t i = 0; i < COUNT(settings); i++) setenv(settings[i][0], settings[i][1], 0);
  prepend_path(directory);
  do_without_ssh();
  let_slurm_export();
  find_scratch();
  find_home();
}

static int is_exported(const char *name, size_t n) {
  static const char *const exact[] = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"};
  for (size_t i = 0; i < COUNT(exact); i++)
    if (strlen(exact[i]) == n && !strncmp(name, exact[i], n)) return 1;
  return !strncmp(name, "SHEAF_", 6) || !strncmp(name, "OMP_", 4);
}

/* ---- mpirun's command line ---- */

typedef struct words {
  char **word; /* ends with NULL */
  size_t n, room;
} words;

static void *checked(void *memory) {
  if (memory) return memory;
  fprintf(stderr, "mpisheaf: no memory\n");
  exit(1);
}

/* Adds a copy of n bytes. */
static void add_part(words *w, const char *text, size_t n) {
  if (w->n + 1 >= w->room) {
    w->room = 2 * w->room + 64;
    w->word = checked(realloc(w->word, w->room * sizeof *w->word));
  }
  w->word[w->n++] = checked(strndup(text, n));
  w->word[w->n] = NULL;
}

static void add(words *w, const char *text) {
  add_part(w, text, strlen(text));
}

static void free_words(words *w) {
  for (size_t i = 0; i < w->n; i++) free(w->word[i]);
  free(w->word);
}

static void add_exports(words *w) {
  for (char **e = environ; *e; e++) {
    const size_t n = strcspn(*e, "=");
    if (!is_exported(*e, n)) continue;
    add(w, "-x");
    add_part(w, *e, n);
  }
}

static int find_self(char program[PATH_MAX], char directory[PATH_MAX]) {
  const ssize_t n = readlink("/proc/self/exe", program, PATH_MAX - 1);
  if (n < 0) return perror("mpisheaf: /proc/self/exe"), -1;
  program[n] = '\0';
  snprintf(directory, PATH_MAX, "%s", program);
  *strrchr(directory, '/') = '\0';
  return 0;
}

/* Adds the command of the client and the servers; returns whether it opens a session. */
static int add_command(words *w, char **command, const char *directory) {
  char sheaf[PATH_MAX + 8];
  if (*command && !strcmp(*command, "--")) command++;
  if (*command && is_program(*command)) {
    const int session = !strcmp(base_name(*command), "sheaf") && is_interactive(command + 1);
    for (; *command; command++) add(w, *command);
    return session;
  }
  if (*command && !strcmp(*command, "sheaf")) command++;
  const int session = is_interactive(command);
  snprintf(sheaf, sizeof sheaf, "%s/sheaf", directory);
  add(w, sheaf);
  for (; *command; command++) add(w, *command);
  return session;
}

static int run(char **argument) {
  char self[PATH_MAX], directory[PATH_MAX];
  words command = {0}, w = {0};
  const int noption = count_options(argument);
  if (noption < 0) return USAGE;
  if (find_self(self, directory) < 0) return 1;
  if (!in_path("mpirun")) {
    fprintf(stderr, "mpisheaf: there is no mpirun here; on Debian: apt install openmpi-bin\n");
    return USAGE;
  }
  set_environment(directory);
  if (launch_listen() < 0) return 1;
  const int session = add_command(&command, argument + noption, directory);
  add(&w, "mpirun");
  for (int i = 0; i < noption; i++) add(&w, argument[i]);
  add_exports(&w);
  add(&w, self);
  add(&w, session && wants_window() ? "--rank-with-window" : "--rank");
  for (size_t i = 0; i < command.n; i++) add(&w, command.word[i]);
  const int status = launch(w.word, START_S);
  if (launch_lacked_hosts()) hosts_explain(directory);
  free_words(&command);
  free_words(&w);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "mpisheaf: say how many processes, e.g. mpisheaf -n 5; see mpisheaf --help\n");
    return USAGE;
  }
  const char *first = argv[1];
  if (argc > 2 && !strcmp(first, "--rank")) return attend(argv + 2, 0, argv[0]);
  if (argc > 2 && !strcmp(first, "--rank-with-window")) return attend(argv + 2, 1, argv[0]);
  if (argc > 2 && !strcmp(first, "--rank-in-window")) return attend(argv + 2, 2, argv[0]);
  if (!strcmp(first, "--help") || !strcmp(first, "-h") || !strcmp(first, "-help")) {
    fputs(usage_text, stdout);
    return 0;
  }
  if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
    puts("mpisheaf " SHEAF_VERSION);
    return 0;
  }
  return run(argv + 1);
}

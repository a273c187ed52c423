/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/memory.h"
#include "par/par.h"
#include "program.h"
#include "show.h"
#include "task/session.h"
#include "task/task.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };

static const char usage_text[] =
    "Sheaf " SHEAF_VERSION
    ": processes radio-interferometry MeasurementSets in parallel.\n"
    "\n"
    "  sheaf TASK name=value ...   runs a task; values as in CASA: scan='1~3,5' numsubms=4\n"
    "                              vis=[a.ms,b.ms] createmms=False; quotes may be left out\n"
    "  sheaf -c SCRIPT.py [ARG...] runs a Python script (or a line of Python) with all tasks "
    "loaded\n"
    "  sheaf                       opens an interactive Python session with all tasks loaded\n"
    "  sheaf help [TASK]           explains a task and its parameters\n"
    "  sheaf --version             prints the version\n"
    "\n"
    "Options\n"
    "  --json                      prints the task's value as JSON on standard output\n"
    "  --memory SIZE               memory budget of this node, e.g. 800M or 4G (default: half of "
    "it;\n"
    "                              also SHEAF_MEMORY)\n"
    "  --logfile FILE              appends the log to FILE (also SHEAF_LOGFILE; default:\n"
    "                              sheaf-YYYYMMDD-HHMMSS.log in the working directory)\n"
    "  --nologfile                 writes no log file; the log is on standard error all the same\n"
    "  --nogui --nologger --log2term --agg --nocrashreport\n"
    "                              accepted as in CASA; they change nothing\n"
    "\n"
    "Exit status: 0 done, 1 the task failed, 2 wrong usage or parameters.\n"
    "`mpisheaf -n N sheaf ...` does the same with N-1 servers.\n";

/* What the command line asks for. */
typedef struct command {
  enum { SHELL, SCRIPT, TASK, HELP, PAGES, VERSION } kind;
  const char *word;    /* task; topic of help; directory of pages */
  char **rest;         /* arguments of the script */
  json_t *given;       /* parameters of the task */
  const char *memory;  /* NULL: not given */
  const char *logfile; /* NULL: not given; "none": no file */
  int json;
} command;

static const char *const silent_options[] = {"--nogui", "--nologger", "--log2term", "--agg",
                                             "--nocrashreport"};

static int is_silent(const char *word) {
  for (size_t i = 0; i < sizeof silent_options / sizeof *silent_options; i++)
    if (!strcmp(word, silent_options[i])) return 1;
  return 0;
}

/* "--name VALUE" or "--name=VALUE": 1 when *word is this option, 0 when it is another, or an error.
 */
static int take_value(char ***word, const char *name, const char **value, sheaf_error *err) {
  const size_t n = strlen(name);
  if (strncmp(**word, name, n) || ((**word)[n] && (**word)[n] != '=')) return 0;
  if ((**word)[n]) {
    *value = **word + n + 1;
    return 1;
  }
  *value = *++*word;
  return *value ? 1 : sheaf_fail(err, SHEAF_ERR_ARG, "%s needs a value", name);
}

static int take_option(command *cmd, char ***word, sheaf_error *err) {
  const char *text = **word;
  int rc;
  if (!strcmp(text, "--json"))
    cmd->json = 1;
  else if (!strcmp(text, "--nologfile"))
    cmd->logfile = "none";
  else if (!strcmp(text, "--version"))
    cmd->kind = VERSION;
  else if (!strcmp(text, "--help") || !strcmp(text, "-h"))
    cmd->kind = HELP;
  else if ((rc = take_value(word, "--memory", &cmd->memory, err)) ||
           (rc = take_value(word, "--logfile", &cmd->logfile, err)))
    return rc;
  else if (!is_silent(text))
    return sheaf_fail(err, SHEAF_ERR_ARG, "no option is called '%s'; see sheaf help", text);
  return 0;
}

static int take_assignment(command *cmd, const char *text, sheaf_error *err) {
  const sheaf_task *task = sheaf_task_find(cmd->word);
  if (!task) return 0; /* the call has the message */
  return sheaf_params_add(task->name, task->params, task->nparam, text, cmd->given, err);
}

static int take_help(command *cmd, char **word, sheaf_error *err) {
  cmd->kind = HELP;
  if (!*word) return 0;
  cmd->word = *word++;
  if (!strcmp(cmd->word, "--markdown")) {
    cmd->kind = PAGES;
    cmd->word = *word ? *word++ : NULL;
    if (!cmd->word) return sheaf_fail(err, SHEAF_ERR_ARG, "--markdown needs a directory");
  }
  return *word ? sheaf_fail(err, SHEAF_ERR_ARG, "help takes one task, not also '%s'", *word) : 0;
}

static int take_script(command *cmd, char **word, sheaf_error *err) {
  cmd->kind = SCRIPT;
  cmd->rest = word;
  return *word ? 0 : sheaf_fail(err, SHEAF_ERR_ARG, "-c needs a script");
}

static int parse(char **word, command *cmd, sheaf_error *err) {
  for (; *word; word++) {
    int rc = 0;
    if (!cmd->word && !strcmp(*word, "-c")) return take_script(cmd, word + 1, err);
    if (!cmd->word && !strcmp(*word, "help")) return take_help(cmd, word + 1, err);
    if (**word == '-') {
      rc = take_option(cmd, &word, err);
    } else if (cmd->word) {
      rc = take_assignment(cmd, *word, err);
    } else {
      cmd->word = *word;
      if (cmd->kind == SHELL) cmd->kind = TASK;
    }
    if (rc < 0) return rc;
  }
  return 0;
}

/* Says what is wrong, with the task's name in front, and returns the exit status. */
static int complain(const char *task, const sheaf_error *err) {
  const size_t n = task ? strlen(task) : 0;
  const int named = !task || (!strncmp(err->text, task, n) && err->text[n] == ':');
  fprintf(stderr, "sheaf: %s%s%s\n", named ? "" : task, named ? "" : ": ", err->text);
  return err->code == SHEAF_ERR_ARG || err->code == SHEAF_ERR_NOTFOUND ? USAGE : FAILED;
}

/* The Python package's folder: in the build tree, or in an installed one. */
static int find_package(char out[PATH_MAX], sheaf_error *err) {
  static const char *const places[] = {"../python", "../lib/sheaf/python"};
  char program[PATH_MAX], folder[PATH_MAX * 2];
  const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n < 0) return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot read /proc/self/exe");
  program[n] = '\0';
  *strrchr(program, '/') = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(folder, sizeof folder, "%s/%s/sheaf/__init__.py", program, places[i]);
    if (access(folder, R_OK)) continue;
    snprintf(folder, sizeof folder, "%s/%s", program, places[i]);
    if (realpath(folder, out)) return 0;
  }
  return sheaf_fail(err, SHEAF_ERR_IO, "no Python package of Sheaf in %s/%s or %s/%s", program,
                    places[0], program, places[1]);
}

/* Becomes Python; MPI has not been touched. Returns only on failure. */
static int exec_python(const command *cmd, sheaf_error *err) {
  static char flag[] = "-c";
  static char code[] =
      "import sys; sys.path[0] = sys.argv.pop(1); from sheaf.run import main; main(sys.argv[1:])";
  char package[PATH_MAX];
  int rc = find_package(package, err);
  if (rc < 0) return rc;
  const char *chosen = getenv("SHEAF_PYTHON");
  const char *python = chosen && chosen[0] ? chosen : SHEAF_PYTHON;
  size_t n = 0;
  while (cmd->rest && cmd->rest[n]) n++;
  char **argv = calloc(n + 5, sizeof *argv);
  if (!argv) return sheaf_fail(err, SHEAF_ERR_NOMEM, "no memory for %zu arguments", n);
  argv[0] = (char *)python;
  argv[1] = flag;
  argv[2] = code;
  argv[3] = package;
  for (size_t i = 0; i < n; i++) argv[4 + i] = cmd->rest[i];
  execvp(python, argv);
  free(argv);
  return sheaf_fail_errno(err, SHEAF_ERR_IO, errno, "cannot start Python as %s", python);
}

static int do_help(const char *topic) {
  sheaf_error err;
  if (!topic) {
    printf("%s\nTasks\n", usage_text);
    show_tasks(stdout);
    return DONE;
  }
  const sheaf_task *task = sheaf_task_find(topic);
  if (!task) {
    json_t *none = NULL;
    sheaf_task_call(topic, NULL, &none, &err);
    return complain(NULL, &err);
  }
  char *text = sheaf_task_help(task);
  if (text) fputs(text, stdout);
  free(text);
  return DONE;
}

static int do_pages(const char *directory) {
  sheaf_error err;
  return show_pages(directory, &err) < 0 ? complain(NULL, &err) : DONE;
}

/* What the parameter table can tell is wrong, before anything is written. */
static int check_usage(const command *cmd, sheaf_error *err) {
  const sheaf_task *task = sheaf_task_find(cmd->word);
  json_t *full = NULL;
  if (!task) return sheaf_task_call(cmd->word, NULL, &full, err);
  const int rc = sheaf_params_check(task->name, task->params, task->nparam, cmd->given, &full, err);
  json_decref(full);
  return rc;
}

static int do_task(const command *cmd) {
  sheaf_error err;
  json_t *value = NULL;
  int rc = check_usage(cmd, &err);
  if (rc < 0) return complain(sheaf_task_find(cmd->word) ? cmd->word : NULL, &err);
  sheaf_cancel_signals();
  rc = sheaf_session_call(cmd->word, cmd->given, &value, &err); /* logs its failures */
  if (rc < 0) return rc == SHEAF_ERR_ARG ? USAGE : FAILED;
  if (cmd->json)
    rc = show_json(stdout, value, &err);
  else if (!json_is_null(value) && !sheaf_task_find(cmd->word)->listed)
    show_value(stdout, value);
  json_decref(value);
  return rc < 0 ? complain(cmd->word, &err) : DONE;
}

static int act(const command *cmd) {
  int status = DONE;
  if (cmd->kind == VERSION)
    puts("sheaf " SHEAF_VERSION);
  else if (cmd->kind == HELP)
    status = do_help(cmd->word);
  else if (cmd->kind == PAGES)
    status = do_pages(cmd->word);
  else
    status = do_task(cmd);
  if (!fflush(stdout) && !ferror(stdout)) return status;
  fprintf(stderr, "sheaf: cannot write to standard output: %s\n", strerror(errno));
  return status ? status : FAILED;
}

/* Passes on what the options say, to this process and to Python. */
static int apply_options(const command *cmd, sheaf_error *err) {
  const char *memory = cmd->memory ? cmd->memory : getenv("SHEAF_MEMORY");
  const int rc = memory && (cmd->memory || *memory) ? sheaf_memory_set(memory, err) : 0;
  if (rc < 0) return cmd->memory ? rc : sheaf_fail_context(err, rc, "SHEAF_MEMORY");
  if (cmd->memory) setenv("SHEAF_MEMORY", cmd->memory, 1);
  if (cmd->logfile) setenv("SHEAF_LOGFILE", cmd->logfile, 1);
  sheaf_session_begin();
  return 0;
}

static int run(const command *cmd, int rc, sheaf_error *err) {
  const int launched = sheaf_par_launched();
  sheaf_error failure;
  if (launched && sheaf_par_init(&failure) < 0) return complain(NULL, &failure);
  if (launched && sheaf_par_rank() > 0) return sheaf_par_serve();
  const int status = rc < 0 ? complain(NULL, err) : act(cmd);
  if (launched) sheaf_par_fini(status);
  return status;
}

int sheaf_program(int argc, char **argv) {
  command cmd = {.given = json_object()};
  sheaf_error err;
  (void)argc;
  int rc = parse(argv + 1, &cmd, &err);
  if (rc >= 0) rc = apply_options(&cmd, &err);
  if (rc >= 0 && (cmd.kind == SHELL || cmd.kind == SCRIPT)) rc = exec_python(&cmd, &err);
  const int status = run(&cmd, rc, &err);
  json_decref(cmd.given);
  return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/log.h"
#include "support.h"

static sheaf_error err;

static int setup(void **state) {
  sheaf_log_terminal(0);
  sheaf_error_clear(&err);
  return make_scratch(state);
}

/* Entries of a directory whose name starts with `prefix`. */
static int count_entries(const char *dir, const char *prefix) {
  DIR *d = opendir(dir);
  int n = 0;
  for (const struct dirent *e; d && (e = readdir(d));)
    n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
         !strncmp(e->d_name, prefix, strlen(prefix));
  if (d) closedir(d);
  return n;
}

static void write_in(const sheaf_stage *stage, const char *name, const char *text) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", stage->path, name);
  write_text(path, text);
}

/* ---- stages ---- */

static void output_appears_whole(void **state) {
  (void)state;
  sheaf_stage stage;
  assert_int_equal(sheaf_stage_begin(&stage, "out.ms/", &err), 0);
  char want[200];
  snprintf(want, sizeof want, "%s/out.ms", scratch);
  assert_string_equal(stage.final, want);
  assert_int_equal(strncmp(stage.path, scratch, strlen(scratch)), 0);
  assert_contains(stage.path, "/.out.ms.sheaf-");
  assert_false(sheaf_path_exists("out.ms"));
  write_in(&stage, "table.dat", "content");
  assert_int_equal(sheaf_stage_publish(&stage, NULL, &err), 0);
  assert_string_equal(stage.path, "");
  assert_string_equal(read_text("out.ms/table.dat"), "content");
  assert_int_equal(count_entries(".", ""), 1);
  sheaf_stage_abandon(&stage); /* does nothing now */
  assert_true(sheaf_path_is_dir("out.ms"));
}

static void inner_directory_is_published_alone(void **state) {
  (void)state;
  sheaf_stage stage;
  assert_int_equal(sheaf_stage_begin(&stage, "out.ms", &err), 0);
  char path[4200];
  snprintf(path, sizeof path, "%s/work.ms", stage.path);
  assert_int_equal(mkdir(path, 0777), 0);
  write_in(&stage, "work.ms/table.dat", "inner");
  write_in(&stage, "scrap", "outer");
  assert_int_equal(sheaf_stage_publish(&stage, "work.ms", &err), 0);
  assert_string_equal(read_text("out.ms/table.dat"), "inner");
  assert_int_equal(count_entries(".", ""), 1);
  assert_int_equal(count_entries("out.ms", ""), 1);
}

static void abandon_leaves_nothing(void **state) {
  (void)state;
  sheaf_stage a, b, c;
  assert_int_equal(sheaf_stage_begin(&a, "a", &err), 0);
  assert_int_equal(sheaf_stage_begin(&b, "b", &err), 0);
  assert_int_equal(sheaf_stage_begin(&c, "b", &err), 0);
  assert_string_not_equal(b.path, c.path);
  write_in(&a, "file", "x");
  sheaf_stage_abandon(&a);
  assert_string_equal(a.path, "");
  assert_int_equal(count_entries(".", ""), 2);
  sheaf_stage_abandon_all();
  assert_int_equal(count_entries(".", ""), 0);
  sheaf_stage_abandon(&b);
  sheaf_stage_abandon(&c);
  sheaf_stage_abandon(NULL);
  sheaf_stage_abandon_all();
}

static void existing_output_is_refused(void **state) {
  (void)state;
  sheaf_stage stage;
  mkdir("dir", 0777);
  write_text("file", "x");
  assert_int_equal(symlink("nowhere", "dangling"), 0);
  static const char *const names[] = {"dir", "file", "dangling", "dir/"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sheaf_stage_begin(&stage, names[i], &err), SHEAF_ERR_EXISTS);
    assert_contains(err.text, names[i]);
    assert_string_equal(stage.path, "");
    sheaf_stage_abandon(&stage);
  }
  assert_int_equal(count_entries(".", ""), 3);
}

static void bad_places_are_refused(void **state) {
  (void)state;
  sheaf_stage stage;
  write_text("file", "x");
  assert_int_equal(sheaf_stage_begin(&stage, "absent/out.ms", &err), SHEAF_ERR_IO);
  assert_contains(err.text, "there is no directory '/");
  assert_int_equal(sheaf_stage_begin(&stage, "file/out.ms", &err), SHEAF_ERR_IO);
  assert_int_equal(sheaf_stage_begin(&stage, "", &err), SHEAF_ERR_ARG);
  char name[300];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  assert_int_equal(sheaf_stage_begin(&stage, name, &err), SHEAF_ERR_ARG);
  assert_int_equal(sheaf_stage_begin(&stage, "/proc/out.ms", &err), SHEAF_ERR_IO);
  assert_int_equal(count_entries(".", ""), 1);
}

static void publish_never_replaces(void **state) {
  (void)state;
  /* Something of that name appears after the begin: a file, an empty directory, a dangling link. */
  for (int kind = 0; kind < 3; kind++) {
    sheaf_stage stage;
    assert_int_equal(sheaf_stage_begin(&stage, "out", &err), 0);
    write_in(&stage, "file", "x");
    if (kind == 0) write_text("out", "theirs");
    if (kind == 1) mkdir("out", 0777);
    if (kind == 2) assert_int_equal(symlink("nowhere", "out"), 0);
    assert_int_equal(sheaf_stage_publish(&stage, NULL, &err), SHEAF_ERR_EXISTS);
    assert_contains(err.text, "/out': File exists");
    sheaf_stage_abandon(&stage);
    assert_int_equal(count_entries(".", ""), 1);
    if (kind == 0) assert_string_equal(read_text("out"), "theirs");
    assert_int_equal(sheaf_tree_remove("out", &err), 0);
  }
}

/* Two processes build the same output at a time; exactly one of them wins, round after round. */
static void two_processes_one_output(void **state) {
  (void)state;
  for (int round = 0; round < 10; round++) {
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
      pids[i] = fork();
      if (pids[i] == 0) {
        sheaf_stage stage;
        char c;
        close(go[1]);
        if (read(go[0], &c, 1) < 0) _exit(3); /* both start when the pipe closes */
        int rc = sheaf_stage_begin(&stage, "out", NULL);
        if (rc == 0) {
          write_in(&stage, "who", i ? "1" : "0");
          rc = sheaf_stage_publish(&stage, NULL, NULL);
          sheaf_stage_abandon(&stage);
        }
        _exit(rc == 0 ? 0 : rc == SHEAF_ERR_EXISTS ? 1 : 2);
      }
    }
    close(go[0]);
    close(go[1]);
    int sum = 0, winner = -1;
    for (int i = 0; i < 2; i++) {
      int status;
      assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
      assert_true(WIFEXITED(status));
      sum += WEXITSTATUS(status);
      if (WEXITSTATUS(status) == 0) winner = i;
    }
    assert_int_equal(sum, 1);
    assert_string_equal(read_text("out/who"), winner ? "1" : "0");
    assert_int_equal(count_entries(".", ""), 1);
    assert_int_equal(sheaf_tree_remove("out", NULL), 0);
  }
}

/* Starts a child that stages `name`, writes, and waits; returns when it has. */
static pid_t staging_child(const char *name) {
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    sheaf_stage stage;
    if (sheaf_stage_begin(&stage, name, NULL) < 0) _exit(1);
    write_in(&stage, "half", "written");
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char c;
  close(ready[1]);
  assert_int_equal(read(ready[0], &c, 1), 1);
  close(ready[0]);
  return pid;
}

static void debris_of_a_killed_process_is_swept(void **state) {
  (void)state;
  sheaf_stage stage;
  const pid_t pid = staging_child("out.ms");
  assert_int_equal(count_entries(".", ".out.ms.sheaf-"), 1);
  /* While it lives, its work is left alone. */
  assert_int_equal(sheaf_stage_begin(&stage, "out.ms", &err), 0);
  assert_int_equal(count_entries(".", ".out.ms.sheaf-"), 2);
  sheaf_stage_abandon(&stage);
  assert_int_equal(count_entries(".", ".out.ms.sheaf-"), 1);
  assert_int_equal(sheaf_stage_underway("out.ms", &err), SHEAF_ERR_EXISTS);
  assert_contains(err.text, "'out.ms' is under construction by process");
  assert_int_equal(sheaf_stage_underway("out", &err), 0);
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_int_equal(sheaf_stage_underway("out.ms", &err), 0);
  /* Another output's begin does not touch it, the same output's does. */
  assert_int_equal(sheaf_stage_begin(&stage, "out.ms2", &err), 0);
  sheaf_stage_abandon(&stage);
  assert_int_equal(count_entries(".", ".out.ms.sheaf-"), 1);
  assert_int_equal(sheaf_stage_begin(&stage, "out.ms", &err), 0);
  assert_int_equal(count_entries(".", ".out.ms.sheaf-"), 1);
  assert_true(sheaf_path_is_dir(stage.path));
  sheaf_stage_abandon(&stage);
}

/* Makes a directory named as a stage of "out", with the given owner. */
static void make_debris(char path[300], const char *host, long pid, const char *start) {
  snprintf(path, 300, ".out.sheaf-%s-%ld-%s.0", host, pid, start);
  assert_int_equal(mkdir(path, 0777), 0);
}

static long dead_pid(void) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
  return pid;
}

/* As a child of a task that was killed: it has the task's lock until it is dead, too. */
static void a_dying_child_is_waited_for(void **state) {
  (void)state;
  char host[64], debris[300], locked;
  int ready[2];
  sheaf_stage stage;
  gethostname(host, sizeof host);
  make_debris(debris, host, dead_pid(), "3");
  assert_int_equal(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    (void)flock(open(debris, O_RDONLY), LOCK_EX);
    (void)!write(ready[1], "", 1);
    usleep(100000);
    _exit(0);
  }
  assert_int_equal(read(ready[0], &locked, 1), 1);
  assert_int_equal(sheaf_stage_begin(&stage, "out", &err), 0);
  sheaf_stage_abandon(&stage);
  assert_false(sheaf_path_exists(debris));
  waitpid(child, NULL, 0);
  close(ready[0]);
  close(ready[1]);
}

static void owners_are_told_apart(void **state) {
  (void)state;
  char host[64], reused[300], foreign[300], locked[300];
  gethostname(host, sizeof host);
  make_debris(reused, host, (long)getpid(), "1"); /* our process id, but another start time */
  make_debris(foreign, "other-host.domain", dead_pid(), "1");
  make_debris(locked, host, dead_pid(), "2"); /* its owner is invisible, but holds the lock */
  const int fd = open(locked, O_RDONLY);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  mkdir(".out.sheaf-notes", 0777); /* not of our making */
  mkdir(".out.sheaf-a-b-c", 0777);
  sheaf_log_file("log", NULL);
  sheaf_stage stage;
  assert_int_equal(sheaf_stage_begin(&stage, "out", &err), 0);
  sheaf_stage_abandon(&stage);
  assert_false(sheaf_path_exists(reused));
  assert_true(sheaf_path_exists(foreign));
  assert_true(sheaf_path_exists(locked));
  assert_true(sheaf_path_exists(".out.sheaf-notes"));
  assert_true(sheaf_path_exists(".out.sheaf-a-b-c"));
  assert_contains(read_text("log"), "WARN");
  assert_contains(read_text("log"), "on host other-host.domain");
  close(fd);
  assert_int_equal(sheaf_stage_begin(&stage, "out", &err), 0);
  sheaf_stage_abandon(&stage);
  assert_false(sheaf_path_exists(locked));
  sheaf_log_file(NULL, NULL);
}

static void a_fork_does_not_abandon_for_its_parent(void **state) {
  (void)state;
  sheaf_stage stage;
  assert_int_equal(sheaf_stage_begin(&stage, "out", &err), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    sheaf_stage_abandon_all();
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  assert_true(sheaf_path_is_dir(stage.path));
  assert_int_equal(sheaf_stage_publish(&stage, NULL, &err), 0);
}

/* ---- small files ---- */

static void replace_is_whole(void **state) {
  (void)state;
  assert_int_equal(sheaf_file_replace("new", "abc", 3, &err), 0);
  assert_string_equal(read_text("new"), "abc");
  assert_int_equal(chmod("new", 0640), 0);
  assert_int_equal(sheaf_file_replace("new", "", 0, &err), 0);
  struct stat st;
  assert_int_equal(stat("new", &st), 0);
  assert_int_equal(st.st_size, 0);
  assert_int_equal(st.st_mode & 07777, 0640);
  assert_int_equal(symlink("new", "link"), 0);
  assert_int_equal(sheaf_file_replace("link", "via", 3, &err), 0);
  assert_int_equal(lstat("link", &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  assert_string_equal(read_text("new"), "via");
  assert_int_equal(count_entries(".", ""), 2);
}

/* Runs `work` in a child that may write no file larger than `limit`; returns its exit status. */
static int with_file_limit(rlim_t limit, int (*work)(void)) {
  const pid_t pid = fork();
  if (pid == 0) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    _exit(work());
  }
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char megabyte[1 << 20];

static int replace_too_much(void) {
  const int rc = sheaf_file_replace("file", megabyte, sizeof megabyte, &err);
  return rc == SHEAF_ERR_IO && strstr(err.text, "cannot write 'file': File too large") ? 7 : 1;
}

static int copy_too_much(void) {
  const int rc = sheaf_tree_copy("from", "to", &err);
  return rc == SHEAF_ERR_IO &&
                 strstr(err.text, "cannot copy 'from/big' to 'to/big': File too large")
             ? 7
             : 1;
}

static void failing_disk_leaves_the_old(void **state) {
  (void)state;
  write_text("file", "old");
  memset(megabyte, 'x', sizeof megabyte);
  assert_int_equal(with_file_limit(65536, replace_too_much), 7);
  assert_string_equal(read_text("file"), "old");
  assert_int_equal(count_entries(".", ""), 1);
  assert_int_equal(sheaf_file_replace("absent/file", "x", 1, &err), SHEAF_ERR_IO);
  assert_contains(err.text, "cannot write 'absent/file': No such file or directory");
  mkdir("dir", 0777);
  assert_int_equal(sheaf_file_replace("dir", "x", 1, &err), SHEAF_ERR_IO);
  assert_int_equal(count_entries(".", ""), 2);
}

static void failing_disk_stops_a_copy(void **state) {
  (void)state;
  mkdir("from", 0777);
  assert_int_equal(sheaf_file_replace("from/big", megabyte, sizeof megabyte, &err), 0);
  assert_int_equal(with_file_limit(65536, copy_too_much), 7);
}

static void read_gives_all(void **state) {
  (void)state;
  char *data;
  size_t n;
  for (size_t i = 0; i < sizeof megabyte; i++) megabyte[i] = (char)(i * 7);
  static const size_t sizes[] = {0, 1, 65535, 65536, 65537, sizeof megabyte};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_int_equal(sheaf_file_replace("file", megabyte, sizes[i], &err), 0);
    assert_int_equal(sheaf_file_read("file", &data, &n, &err), 0);
    assert_int_equal(n, sizes[i]);
    assert_memory_equal(data, megabyte, n);
    assert_int_equal(data[n], 0);
    free(data);
  }
  assert_int_equal(sheaf_file_read("absent", &data, &n, &err), SHEAF_ERR_NOTFOUND);
  assert_contains(err.text, "cannot open 'absent': No such file");
  assert_null(data);
  assert_int_equal(sheaf_file_read(".", &data, &n, &err), SHEAF_ERR_IO);
  assert_contains(err.text, "cannot read '.': Is a directory");
  assert_null(data);
}

/* ---- trees ---- */

static void make_tree(void) {
  assert_int_equal(
      system("mkdir -p from/a/b from/empty && ln -s a/b/deep from/link && "
             "ln -s nowhere from/dangling && echo deep > from/a/b/deep && "
             "ln from/a/b/deep from/hard && : > from/nothing && chmod 750 from/a && "
             "printf '#!x' > from/a/run && chmod 755 from/a/run && "
             "truncate -s 10000000 from/sparse && echo end >> from/sparse && "
             "head -c 3000000 /dev/urandom > from/big && "
             "touch -d '2001-02-03 04:05:06.789' from/a/b/deep from/a from/empty from"),
      0);
}

static void copy_is_faithful(void **state) {
  (void)state;
  make_tree();
  assert_int_equal(sheaf_tree_copy("from", "to", &err), 0);
  assert_int_equal(system("diff -r --no-dereference from to"), 0);
  assert_int_equal(system("cd from && find . -printf '%y %m %T@ %l %p\\n' | grep -v '^l' | sort > "
                          "../list1; cd ../to && find . -printf '%y %m %T@ %l %p\\n' | "
                          "grep -v '^l' | sort > ../list2; cmp ../list1 ../list2"),
                   0);
  struct stat a, b;
  assert_int_equal(stat("from/sparse", &a), 0);
  assert_int_equal(stat("to/sparse", &b), 0);
  assert_true(b.st_blocks <= a.st_blocks + 16);
  assert_int_equal(stat("to/hard", &b), 0);
  assert_int_equal(b.st_nlink, 1);
  /* A single file, and a link, which is copied as one. */
  assert_int_equal(sheaf_tree_copy("from/big", "big", &err), 0);
  assert_int_equal(system("cmp from/big big"), 0);
  assert_int_equal(sheaf_tree_copy("from/dangling", "dangling", &err), 0);
  assert_int_equal(lstat("dangling", &a), 0);
  assert_true(S_ISLNK(a.st_mode));
}

static void copies_may_be_written(void **state) {
  (void)state;
  struct stat st;
  assert_int_equal(system("mkdir -p from/a && echo x > from/a/x && chmod 444 from/a/x && "
                          "chmod 555 from/a from"),
                   0);
  assert_int_equal(sheaf_tree_copy("from", "to", &err), 0);
  assert_int_equal(stat("to/a/x", &st), 0);
  assert_int_equal(st.st_mode & 07777, 0644);
  assert_int_equal(stat("to/a", &st), 0);
  assert_int_equal(st.st_mode & 07777, 0755);
  assert_int_equal(system("chmod -R u+w from"), 0);
}

static void bad_copies_are_refused(void **state) {
  (void)state;
  make_tree();
  write_text("there", "x");
  assert_int_equal(sheaf_tree_copy("absent", "to", &err), SHEAF_ERR_NOTFOUND);
  assert_contains(err.text, "'absent'");
  assert_int_equal(sheaf_tree_copy("from", "there", &err), SHEAF_ERR_EXISTS);
  assert_int_equal(sheaf_tree_copy("from", "absent/to", &err), SHEAF_ERR_NOTFOUND);
  assert_int_equal(sheaf_tree_copy("from", "from/a/copy", &err), SHEAF_ERR_ARG);
  assert_contains(err.text, "into itself");
  assert_int_equal(sheaf_tree_copy("from", "./from/copy", &err), SHEAF_ERR_ARG);
  assert_int_equal(sheaf_tree_copy("from/a", "from/aa", &err), 0);
  assert_int_equal(mkfifo("from/pipe", 0666), 0);
  assert_int_equal(sheaf_tree_copy("from", "to", &err), SHEAF_ERR_DATA);
  assert_contains(err.text, "from/pipe");
  assert_string_equal(read_text("there"), "x");
}

static void remove_takes_all_and_follows_nothing(void **state) {
  (void)state;
  make_tree();
  mkdir("keep", 0777);
  write_text("keep/file", "x");
  assert_int_equal(symlink("../keep", "from/out"), 0);
  assert_int_equal(symlink("keep", "tokeep"), 0);
  assert_int_equal(sheaf_tree_remove("from", &err), 0);
  assert_false(sheaf_path_exists("from"));
  assert_int_equal(sheaf_tree_remove("tokeep", &err), 0);
  assert_false(sheaf_path_exists("tokeep"));
  assert_string_equal(read_text("keep/file"), "x");
  assert_int_equal(sheaf_tree_remove("from", &err), 0); /* it is gone already */
  assert_int_equal(sheaf_tree_remove("keep/file", &err), 0);
  assert_int_equal(sheaf_tree_remove("", &err), SHEAF_ERR_ARG);
  assert_int_equal(sheaf_tree_remove("/proc/self/stat", &err), SHEAF_ERR_IO);
  assert_contains(err.text, "cannot remove '/proc/self/stat'");
}

static void usage_is_that_of_du(void **state) {
  (void)state;
  make_tree();
  int64_t bytes;
  assert_int_equal(sheaf_tree_usage("from", &bytes, &err), 0);
  assert_int_equal(system("du -s --block-size=1 from | cut -f1 > du"), 0);
  assert_int_equal(bytes, atoll(read_text("du")));
  assert_int_equal(sheaf_tree_usage("absent", &bytes, &err), SHEAF_ERR_NOTFOUND);
}

static void sync_visits_all(void **state) {
  (void)state;
  make_tree();
  assert_int_equal(sheaf_tree_sync("from", &err), 0);
  assert_int_equal(sheaf_tree_sync("from/big", &err), 0);
  assert_int_equal(sheaf_tree_sync("absent", &err), SHEAF_ERR_NOTFOUND);
}

/* ---- paths ---- */

static void absolute_paths(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"/a/b", "/a/b"},       {"/a//b/", "/a/b"},     {"/", "/"}, {"//", "/"}, {"/a/./b/.", "/a/b"},
      {"/a/../b", "/a/../b"}, {"/.a/..b/", "/.a/..b"}};
  char out[4096], want[200];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(sheaf_path_absolute(cases[i][0], out, sizeof out, &err), 0);
    assert_string_equal(out, cases[i][1]);
  }
  snprintf(want, sizeof want, "%s/x/y", scratch);
  assert_int_equal(sheaf_path_absolute("./x//y/", out, sizeof out, &err), 0);
  assert_string_equal(out, want);
  assert_int_equal(sheaf_path_absolute(".", out, sizeof out, &err), 0);
  assert_string_equal(out, scratch);
  assert_int_equal(sheaf_path_absolute("", out, sizeof out, &err), SHEAF_ERR_ARG);
  assert_int_equal(sheaf_path_absolute("abcdef", out, 6, &err), SHEAF_ERR_ARG);
}

static void real_paths(void **state) {
  (void)state;
  char out[4096], want[200];
  assert_int_equal(mkdir("dir", 0777), 0);
  assert_int_equal(symlink("dir", "link"), 0);
  assert_int_equal(symlink("loop", "loop"), 0);
  snprintf(want, sizeof want, "%s/dir/new/er", scratch);
  assert_int_equal(sheaf_path_real("link/new/er", out, sizeof out, &err), 0);
  assert_string_equal(out, want);
  snprintf(want, sizeof want, "%s/dir", scratch);
  assert_int_equal(sheaf_path_real("link/", out, sizeof out, &err), 0);
  assert_string_equal(out, want);
  assert_int_equal(sheaf_path_real("/absent", out, sizeof out, &err), 0);
  assert_string_equal(out, "/absent");
  assert_int_equal(sheaf_path_real("/", out, sizeof out, &err), 0);
  assert_string_equal(out, "/");
  assert_int_equal(sheaf_path_real("loop", out, sizeof out, &err), SHEAF_ERR_IO);
}

static void joins_and_last_parts(void **state) {
  (void)state;
  char out[10];
  assert_int_equal(sheaf_path_join(out, sizeof out, "a", "b", &err), 0);
  assert_string_equal(out, "a/b");
  assert_int_equal(sheaf_path_join(out, sizeof out, "/", "b", &err), 0);
  assert_string_equal(out, "/b");
  assert_int_equal(sheaf_path_join(out, sizeof out, "abcd", "efgh", &err), 0);
  assert_int_equal(sheaf_path_join(out, sizeof out, "abcd", "efghi", &err), SHEAF_ERR_ARG);
  static const char *const cases[][2] = {
      {"/a/b.ms", "b.ms"}, {"/a/b.ms//", "b.ms"}, {"b.ms", "b.ms"}, {"/", "/"}, {"", ""},
      {"a/", "a"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_string_equal(sheaf_path_base(cases[i][0], out, sizeof out), cases[i][1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, remove_scratch)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(output_appears_whole),
                                     TEST(inner_directory_is_published_alone),
                                     TEST(abandon_leaves_nothing),
                                     TEST(existing_output_is_refused),
                                     TEST(bad_places_are_refused),
                                     TEST(publish_never_replaces),
                                     TEST(two_processes_one_output),
                                     TEST(debris_of_a_killed_process_is_swept),
                                     TEST(owners_are_told_apart),
                                     TEST(a_dying_child_is_waited_for),
                                     TEST(a_fork_does_not_abandon_for_its_parent),
                                     TEST(replace_is_whole),
                                     TEST(failing_disk_leaves_the_old),
                                     TEST(failing_disk_stops_a_copy),
                                     TEST(read_gives_all),
                                     TEST(copy_is_faithful),
                                     TEST(copies_may_be_written),
                                     TEST(bad_copies_are_refused),
                                     TEST(remove_takes_all_and_follows_nothing),
                                     TEST(usage_is_that_of_du),
                                     TEST(sync_visits_all),
                                     TEST(absolute_paths),
                                     TEST(real_paths),
                                     TEST(joins_and_last_parts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

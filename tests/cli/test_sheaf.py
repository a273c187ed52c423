# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `sheaf`, with tasks that behave as the tests want (tests/fake)."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from runs import BUILD, LIMIT_S, SHEAF, Terminal, preload

PACKAGE = os.path.join(BUILD, "python")


def fake_env(**more):
    """The environment in which the fake tasks are the only ones, and nothing is known about logs or MPI."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SHEAF_", "OMPI_", "PMIX_"))}
    env["LD_PRELOAD"] = preload(os.path.join(BUILD, "tests", "libfake_tasks.so"))
    env.update(more)
    return env


@pytest.fixture
def sheaf(tmp_path):
    def run(*args, program=(SHEAF,), env=None, **options):
        options.setdefault("cwd", tmp_path)
        return subprocess.run([*program, *args], env=fake_env(**(env or {})), text=True, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    return run


def logs(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".log"))


# ---- what needs no task ----

def test_version_is_fast_and_leaves_nothing(sheaf, tmp_path):
    """What takes time (0.1 s and more) is loading casacore, MPI and Python; bench/startup measures."""
    done = sheaf("--version", env={"LD_PRELOAD": os.environ.get("LD_PRELOAD", ""), "LD_DEBUG": "files",
                                   "LD_DEBUG_OUTPUT": str(tmp_path / "loaded")})
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"sheaf \d+\.\d+\.\d+\n", done.stdout)
    (told,) = tmp_path.iterdir()
    loaded = set(re.findall(r"calling init: \S*/(\S+)", told.read_text()))
    assert any(name.startswith("libc.") for name in loaded)
    assert not [name for name in loaded if re.match(r"libcasa|libmpi|libpython|libsheaf|program|_core", name)]
    told.unlink()
    sheaf("--version", env={"LD_PRELOAD": os.environ.get("LD_PRELOAD", "")})
    assert os.listdir(tmp_path) == []


def test_help_lists_tasks_and_options(sheaf, tmp_path):
    for args in (["help"], ["--help"], ["-h"]):
        done = sheaf(*args)
        assert done.returncode == 0 and done.stderr == ""
        for text in ("echo ", "fail ", "slow ", "--json", "--memory", "--logfile", "--nologfile", "-c"):
            assert text in done.stdout
    assert os.listdir(tmp_path) == []


def test_help_of_a_task_tells_its_table(sheaf):
    for args in (["help", "fail"], ["fail", "--help"]):
        done = sheaf(*args)
        assert done.returncode == 0
        for text in ("Fails as it is told", "Never returns a value.", "fail(code=-10, text='it failed'",
                     "error code", "now, later", "code<0"):
            assert text in done.stdout


@pytest.mark.parametrize("args, message", [
    (["slwo"], "no task is called 'slwo'; did you mean 'slow'?"),
    (["help", "slwo"], "no task is called 'slwo'; did you mean 'slow'?"),
    (["slow", "secnds=3"], "slow: no parameter 'secnds'; did you mean 'seconds'?"),
    (["slow", "seconds=often"], "slow: seconds='often': must be a number"),
    (["slow", "3"], "slow: '3' is no parameter; write name=value"),
    (["slow", "seconds=1", "seconds=2"], "slow: the parameter 'seconds' is given twice"),
    (["fail", "mode=never"], "fail: mode='never': must be one of now, later"),
    (["fail", "vis=no/such.ms"], "fail: vis='no/such.ms': no such file or directory"),
    (["--jsn", "slow"], "no option is called '--jsn'; see sheaf help"),
    (["slow", "--memory"], "--memory needs a value"),
    (["--memory=lots", "slow"], "lots"),
    (["-c"], "-c needs a script"),
    (["help", "slow", "fail"], "help takes one task, not also 'fail'"),
    (["-c", "no_such.py"], "cannot read the script 'no_such.py'"),
])
def test_wrong_usage_is_one_line_status_2_and_no_file(sheaf, tmp_path, args, message):
    done = sheaf(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("sheaf: ") and message in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", ["0", "-1", "lots", "10%", "1k"])
def test_a_memory_budget_that_is_none(sheaf, tmp_path, size):
    env = {"SHEAF_MEMORY": size}
    done = sheaf("echo", "value=1", env=env)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"sheaf: SHEAF_MEMORY: memory='{size}': must be a size of at least 64M, such as 800M or 4G\n"
    assert os.listdir(tmp_path) == []
    assert sheaf("--memory=1G", "--nologfile", "--json", "echo", "value=1", env=env).stdout == "1\n"


# ---- tasks ----

def test_value_for_people(sheaf):
    done = sheaf("echo", "value={'a': [1, 2.5, 'x'], 'b': {1: {'c': True}}, 'd': {}}", "--nologfile")
    assert done.returncode == 0
    assert done.stdout == "a: [1, 2.5, 'x']\nb:\n  1:\n    c: True\nd: {}\n"
    assert sheaf("echo", "value=abc", "--nologfile").stdout == "abc\n"
    assert sheaf("echo", "--nologfile").stdout == ""  # None


def test_json_is_all_of_standard_output(sheaf):
    for args in (["--json", "echo"], ["echo", "--json"]):
        done = sheaf(*args, "value={'a': [1, 2.5, 'x', None, True], 'b': {1: 'é'}}")
        assert json.loads(done.stdout) == {"a": [1, 2.5, "x", None, True], "b": {"1": "é"}}
    assert json.loads(sheaf("--json", "echo").stdout) is None


def test_unwritable_standard_output_is_a_failure(sheaf):
    with open("/dev/full", "w") as full:
        done = subprocess.run([SHEAF, "--json", "echo", "value=1", "--nologfile"], env=fake_env(),
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT_S)
    assert done.returncode == 1 and "No space left" in done.stderr


@pytest.mark.parametrize("code, status", [(-1, 2), (-2, 1), (-3, 1), (-4, 1), (-5, 1), (-6, 1), (-10, 1)])
def test_exit_status_of_a_failed_task(sheaf, code, status):
    done = sheaf("fail", f"code={code}", "text=no luck today", "--nologfile")
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.count("no luck today") == 2  # the call's line, and the message
    assert "\tSEVERE\tfail::::casa\tTask fail failed: no luck today\n" in done.stderr


# ---- the log ----

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t(INFO|WARN|SEVERE)\t\w*::::casa\t.*")


def test_log_file_in_working_directory(sheaf, tmp_path):
    done = sheaf("echo", "value=5")
    names = logs(tmp_path)
    assert len(names) == 1 and re.fullmatch(r"sheaf-\d{8}-\d{6}\.log", names[0])
    text = (tmp_path / names[0]).read_text()
    assert text == done.stderr
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    assert "##### Begin Task: echo               #####\n" in text
    assert "echo( value=5 )\n" in text


def test_log_file_options(sheaf, tmp_path):
    sheaf("echo", "--nologfile")
    assert logs(tmp_path) == []
    sheaf("--logfile", "a.log", "echo")
    sheaf("echo", "--logfile=a.log")
    sheaf("echo", env={"SHEAF_LOGFILE": "b.log"})
    sheaf("-c", "echo()", env={"SHEAF_LOGFILE": "b.log"})
    assert logs(tmp_path) == ["a.log", "b.log"]
    for name in logs(tmp_path):
        assert (tmp_path / name).read_text().count("Begin Task: echo ") == 2
    sheaf("--logfile", "c.log", "-c", "echo()")
    assert "Begin Task: echo " in (tmp_path / "c.log").read_text()


def test_log_file_that_cannot_be_opened_fails(sheaf):
    done = sheaf("--logfile", "no/such/a.log", "echo", "value=5")
    assert done.returncode == 1 and done.stdout == ""
    assert "no/such/a.log" in done.stderr and "Begin Task" not in done.stderr


def test_unwritable_directory_only_warns(sheaf):
    # /proc refuses new files to everyone, also to root.
    done = sheaf("echo", "value=5", cwd="/proc")
    assert done.returncode == 0 and done.stdout == "5\n"
    assert "\tWARN\t" in done.stderr and "/proc/sheaf-" in done.stderr


def test_casa_options_are_accepted(sheaf, tmp_path):
    done = sheaf("--nogui", "--nologger", "--log2term", "--agg", "--nologfile", "-c", "print(echo(7))")
    assert done.returncode == 0 and done.stdout == "7\n"


# ---- Python ----

def test_script_with_arguments(sheaf, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "beside.py").write_text("name = 'beside'\n")
    (tmp_path / "sub" / "script.py").write_text(
        "import sys, beside\n"
        "print(sys.argv, __name__, __file__, beside.name, echo(value=3), sheaf.echo is echo)\n"
        "sys.exit(7)\n")
    done = sheaf("--nologfile", "-c", "sub/script.py", "a", "--json", "b=c")
    assert done.stdout == "['sub/script.py', 'a', '--json', 'b=c'] __main__ sub/script.py beside 3 True\n"
    assert done.returncode == 7


def test_uncaught_exception_shows_only_the_script(sheaf, tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    fail(text='no luck')\n\nf()\n")
    done = sheaf("--nologfile", "-c", "bad.py")
    assert done.returncode == 1
    trace = done.stderr[done.stderr.index("Traceback"):]
    assert "run.py" not in trace
    assert 'File "bad.py", line 4, in <module>' in trace and "fail: no luck" in trace


def test_script_with_a_syntax_error(sheaf, tmp_path):
    (tmp_path / "bad.py").write_text("x = (\n")
    done = sheaf("-c", "bad.py")
    assert done.returncode == 1 and "SyntaxError" in done.stderr


def test_line_of_code_and_standard_input(sheaf):
    assert sheaf("-c", "import sys; print(sys.argv, echo(2))", "x", "--nologfile").stdout == (
        "['-c', 'x', '--nologfile'] 2\n")
    done = sheaf(input="for i in range(2):\n    print(echo(i))\n\nprint(__name__)\n")
    assert done.stdout == "0\n1\n__main__\n" and done.returncode == 0


def test_python_m_sheaf_is_the_program(sheaf):
    python = (sys.executable, "-m", "sheaf")
    env = {"PYTHONPATH": PACKAGE}
    assert sheaf("--version", program=python, env=env).stdout == sheaf("--version").stdout
    done = sheaf("slow", "secnds=1", program=python, env=env)
    assert done.returncode == 2 and "did you mean 'seconds'" in done.stderr
    assert sheaf("--nologfile", "-c", "print(echo(4))", program=python, env=env).stdout == "4\n"


def test_chosen_python(sheaf, tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho it is me\n")
    fake.chmod(0o755)
    assert sheaf("-c", "1", env={"SHEAF_PYTHON": str(fake)}).stdout == "it is me\n"
    done = sheaf("-c", "1", env={"SHEAF_PYTHON": "/no/python"})
    assert done.returncode == 1 and "/no/python" in done.stderr


# ---- a terminal ----

def in_terminal(argv, cwd, keys=(), env=None):
    """Runs a program in a terminal; `keys` are (pattern to wait for, what is typed then). Exit status and output."""
    terminal = Terminal(*argv, cwd=cwd, env=fake_env(SHEAF_LOGFILE="none", TERM="dumb", **(env or {})))
    for pattern, typed in keys:
        terminal.read_until(pattern)
        terminal.type(typed)
    status, out = terminal.finish()
    return status, out.decode()


def test_progress_in_a_terminal(tmp_path):
    status, out = in_terminal([SHEAF, "slow", "seconds=0.4"], tmp_path)
    assert status == 0
    assert re.search(r"slow \[#+\.*\] +\d+ %.*MB/s.*ETA", out)
    assert os.listdir(tmp_path) == ["slow.out"]


def test_no_bar_without_a_terminal(sheaf):
    done = sheaf("slow", "seconds=0.4", "--nologfile")
    assert done.returncode == 0 and "[#" not in done.stderr and "\r" not in done.stderr


def test_interrupt_of_a_task(tmp_path):
    status, out = in_terminal([SHEAF, "slow", "seconds=900"], tmp_path, [(b"Begin Task", b"\x03")])
    assert status == 1
    assert re.search(r"SEVERE\s.*interrupted", out)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_end_a_task_in_order(tmp_path, name):
    task = subprocess.Popen([SHEAF, "slow", "seconds=900", "--nologfile"], cwd=tmp_path, env=fake_env(),
                            stderr=subprocess.PIPE, text=True)
    while "slow(" not in (line := task.stderr.readline()):
        assert line, "it ended"
    task.send_signal(getattr(signal, name))
    assert "interrupted" in task.communicate(timeout=LIMIT_S)[1]
    assert task.returncode == 1
    assert os.listdir(tmp_path) == []


def test_interrupt_of_a_script(tmp_path):
    code = ("try:\n  slow(seconds=900)\nexcept KeyboardInterrupt:\n  print('caught')\n"
            "print(slow(seconds=0.02))")
    status, out = in_terminal([SHEAF, "-c", code], tmp_path, [(b"Begin Task", b"\x03")])
    assert status == 0 and "caught" in out and out.rstrip().endswith("10")
    status, out = in_terminal([SHEAF, "-c", "slow(seconds=900, out='b')"], tmp_path,
                              [(b"Begin Task", b"\x03")])
    assert status == 130 and "KeyboardInterrupt" in out
    assert os.listdir(tmp_path) == ["slow.out"]


def test_interactive_session(tmp_path):
    env = {"IPYTHONDIR": str(tmp_path / "ipython"), "HOME": str(tmp_path)}
    status, out = in_terminal([SHEAF], tmp_path, [(rb"(?s)Tasks: echo, fail, slow.*(In \[1\]: |>>> )", b"6 * echo(value=7)\r"),
                                                  (b"42", b"exit()\r")], env)
    assert status == 0 and "42" in out


def test_interactive_session_without_ipython(tmp_path):
    (tmp_path / "IPython.py").write_text("raise ImportError\n")
    env = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    status, out = in_terminal([SHEAF], tmp_path, [(b">>> ", b"6 * echo(value=7)\r"),
                                                  (b"42", b"exit()\r")], env)
    assert status == 0 and "42" in out and "Tasks: echo, fail, slow" in out

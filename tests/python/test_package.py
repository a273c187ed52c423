# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python package: signatures, values, errors, and that an installed tree works when it is moved."""

import inspect
import json
import os
import pathlib
import subprocess
import sys

import pytest

import sheaf
from runs import LIMIT_S, preload
from sheaf import _core

numpy = pytest.importorskip("numpy")

BUILD = os.environ["SHEAF_BUILD"]
FAKES = os.path.join(BUILD, "tests", "libfake_tasks.so")
HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "signatures.json")) as _file:
    CASA = json.load(_file)["tasks"]


# ---- signatures ----

@pytest.mark.parametrize("name", sorted(CASA))
def test_signature_is_casas(name):
    task = getattr(sheaf, name)
    table = next(t for t in _core.tasks() if t["name"] == name)
    ours = {p["name"] for p in table["params"] if p["flags"] & 4}
    params = list(inspect.signature(task).parameters.values())
    theirs = [[p.name, p.default] for p in params if p.name not in ours]
    assert [[n, d, type(d)] for n, d in theirs] == [[n, d, type(d)] for n, d in CASA[name]]
    # What CASA lacks comes last, so that positional arguments mean the same.
    assert [p.name for p in params[len(theirs):]] == [p.name for p in params if p.name in ours]
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in params)


def test_tasks_are_functions_with_help():
    assert [t["name"] for t in _core.tasks()] == sorted(t["name"] for t in _core.tasks())
    for table in _core.tasks():
        task = getattr(sheaf, table["name"])
        assert inspect.isfunction(task) and task.__name__ == table["name"]
        assert task.__module__ == "sheaf" and table["name"] in sheaf.__all__
        assert table["summary"] in task.__doc__
        for param in table["params"]:
            assert param["help"] and (param["flags"] & 2 or param["name"] in task.__doc__)


# ---- values ----

@pytest.mark.parametrize("value", [
    None, True, False, 0, -1, 2**63 - 1, -2**63, 0.1, 1e300, -0.5, "", "é\n\"'", [], [1, "a", [2.5, None]], {},
    {"a": {"b": []}}, {1: "x", -2: {3: 4}}, {"#a": 1}])
def test_values_come_back(value):
    back = _core.echo(value)
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize("value, plain", [
    ((1, (2,)), [1, [2]]), (pathlib.Path("/a/b.ms"), "/a/b.ms"), (numpy.float32(0.5), 0.5), (numpy.float64(0.5), 0.5),
    (numpy.int16(3), 3), (numpy.uint8(200), 200), (numpy.bool_(True), True), (numpy.str_("x"), "x"),
    (numpy.array(4), 4), (numpy.arange(3), [0, 1, 2]), ([numpy.zeros(2)], [[0.0, 0.0]]),
    (numpy.array(["a", "bc"]), ["a", "bc"])])
def test_values_that_become_plain(value, plain):
    back = _core.echo(value)
    assert back == plain and type(back) is type(plain)


@pytest.mark.parametrize("array", [
    numpy.arange(6).reshape(2, 3), numpy.arange(24.0).reshape(2, 3, 4), numpy.asfortranarray(numpy.eye(3)),
    numpy.array([True, False]), numpy.array(["a", "bcd"]), numpy.zeros((0, 3)), numpy.array([], dtype=int)])
def test_arrays_in_dictionaries_come_back(array):
    back = _core.echo({"x": array, "y": {1: array}})
    for one in (back["x"], back["y"][1]):
        assert isinstance(one, numpy.ndarray) and one.dtype == array.dtype and one.shape == array.shape
        assert (one == array).all()


@pytest.mark.parametrize("value", [
    float("nan"), float("inf"), 2**63, b"x", 1j, object(), {1, 2}, {1: 0, "a": 0}, {"a": 0, 1: 0}, {1.5: 0}, {None: 0},
    "a\0b", "\udc80", numpy.array([1j]), {"x": numpy.array([1j])}, {"x": numpy.array([numpy.nan])}, [[{"a": object()}]]])
def test_values_that_are_refused(value):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        _core.echo(value)


def test_list_in_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        _core.echo(loop)


# ---- errors; in a process whose tasks are the fake ones ----

def run_with_fakes(code, cwd, **env):
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, text=True, timeout=LIMIT_S,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "LD_PRELOAD": preload(FAKES), "SHEAF_LOGFILE": "none", **env})


def evaluate(expression, cwd):
    done = run_with_fakes(f"import sheaf, numpy\nprint(repr({expression}))", cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Classes that CASA 6.7.0.31 raises in the same situations must match, too.
@pytest.mark.parametrize("code, name, classes", [
    (-1, "ParameterError", "ValueError, AssertionError, OSError"),
    (-2, "NotFoundError", "OSError, FileNotFoundError, AssertionError"),
    (-3, "ExistsError", "OSError, FileExistsError, ValueError"),
    (-4, "EmptyError", "RuntimeError"),
    (-5, "FileError", "OSError"),
    (-6, "DataError", "RuntimeError"),
    (-7, "OutOfMemoryError", "MemoryError"),
    (-8, "ServerLostError", "RuntimeError"),
    (-9, "InterruptedTaskError", "RuntimeError"),
    (-10, "InternalError", "RuntimeError"),
])
def test_exception_classes(tmp_path, code, name, classes):
    done = run_with_fakes(
        "import sheaf\n"
        f"try:\n  sheaf.fail(code={code}, text='b.ms: no luck')\n"
        "except sheaf.Error as e:\n"
        f"  assert type(e) is sheaf.{name} and isinstance(e, RuntimeError)\n"
        f"  assert all(isinstance(e, c) for c in ({classes},))\n"
        "  print(e, e.task, e.rank, repr(e.host))\n", tmp_path)
    assert done.stdout == "fail: b.ms: no luck fail -1 ''\n", done.stderr


@pytest.mark.parametrize("call, name, text", [
    ("fail(mode='never')", "ParameterError", "fail: mode='never': must be one of now, later"),
    ("fail(code='x')", "ParameterError", "fail: code='x': must be an int"),
    ("fail(vis='no.ms')", "NotFoundError", "fail: vis='no.ms': no such file or directory"),
    ("fail(txt='x')", "UnknownParameterError", "fail: no parameter is called 'txt'; did you mean 'text'?"),
    ("fail(qqqqq=1)", "UnknownParameterError", "it has code, text, mode, vis"),
    ("fail(-5, code=-5)", "UnknownParameterError", "fail: the parameter 'code' is given twice"),
    ("fail(1, '', '', '', 5)", "UnknownParameterError", "fail: 5 values were given, but it has 4 parameters"),
    ("echo(value={1: 2, 'a': 3})", "ParameterError", "echo: value: a dictionary mixes texts and integers"),
    ("echo(value=float('nan'))", "ParameterError", "echo: value: nan is no finite number"),
    ("fail(-5, 'as told')", "FileError", "fail: as told"),
])
def test_wrong_calls(tmp_path, call, name, text):
    done = run_with_fakes(f"import sheaf\ntry:\n  sheaf.{call}\nexcept sheaf.{name} as e:\n  print(e)\n", tmp_path)
    assert text in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []


def test_calls(tmp_path):
    assert evaluate("sheaf.echo()", tmp_path) == "None"
    assert evaluate("sheaf.echo({1: numpy.arange(2)})", tmp_path) == "{1: array([0, 1])}"
    assert evaluate("sheaf.slow(0.02, out='x')", tmp_path) == "10"
    assert evaluate("str(__import__('inspect').signature(sheaf.slow))", tmp_path) == (
        '"(seconds=0.5, out=\'slow.out\', bad=0)"')


def test_uncaught_error_ends_with_status_1(tmp_path):
    done = run_with_fakes("import sheaf; sheaf.fail()", tmp_path)
    assert done.returncode == 1 and "sheaf.errors.InternalError: fail: it failed" in done.stderr


def test_other_threads_run_during_a_task(tmp_path):
    """One of them ends the process in the middle of the task."""
    done = run_with_fakes(
        "import sheaf, threading, time, os\n"
        "def beat():\n"
        "  while not os.path.exists('begun'): time.sleep(0.01)\n"
        "  for i in range(10): time.sleep(0.01)\n"
        "  os._exit(3)\n"
        "threading.Thread(target=beat, daemon=True).start()\n"
        "open('begun', 'w').close()\n"
        "sheaf.slow(900)\n", tmp_path)
    assert done.returncode == 3, done.stderr


def test_log_file_of_a_session(tmp_path):
    done = run_with_fakes(
        "import sheaf, os\n"
        "sheaf.log_file('a.log'); sheaf.echo(1)\n"
        "sheaf.log_file(False); sheaf.echo(2)\n"
        "sheaf.log_file(None); os.chdir('/'); sheaf.echo(3)\n", tmp_path, SHEAF_LOGFILE="")
    assert done.returncode == 0, done.stderr
    names = sorted(os.listdir(tmp_path))
    assert len(names) == 2 and names[0] == "a.log" and names[1].startswith("sheaf-")
    assert "echo( value=1 )" in (tmp_path / "a.log").read_text()
    assert "echo( value=3 )" in (tmp_path / names[1]).read_text()


def test_log_file_that_cannot_be_opened(tmp_path):
    """It is told at once, and the one before stays."""
    done = run_with_fakes(
        "import sheaf, os\n"
        "sheaf.log_file('a.log'); print(os.listdir('.'))\n"
        "for path in ('/nosuch/x', '.'):\n"
        "  try: sheaf.log_file(path)\n"
        "  except OSError as e: print(e)\n"
        "sheaf.echo(1)\n", tmp_path, SHEAF_LOGFILE="")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "[]", done.stderr
    assert "/nosuch/x" in lines[1] and "No such file or directory" in lines[1] and "Is a directory" in lines[2]
    assert "echo( value=1 )" in (tmp_path / "a.log").read_text() and os.listdir(tmp_path) == ["a.log"]


def test_import_writes_nothing(tmp_path):
    done = run_with_fakes("import sheaf; help(sheaf.echo)", tmp_path, SHEAF_LOGFILE="")
    assert done.returncode == 0 and "Returns its parameter" in done.stdout
    assert os.listdir(tmp_path) == []


# ---- documentation ----

def test_task_pages_are_current(tmp_path):
    program = os.path.join(BUILD, "bin", "sheaf")
    subprocess.run([program, "help", "--markdown", tmp_path / "tasks"], check=True, timeout=LIMIT_S)
    made = {path.name: path.read_text() for path in (tmp_path / "tasks").iterdir()}
    kept = {path.name: path.read_text() for path in pathlib.Path(HERE, "../../docs/tasks").glob("*.md")}
    assert made == kept, "run: sheaf help --markdown docs/tasks"


# ---- an installed tree, moved ----

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", folder / "first"], check=True, timeout=LIMIT_S,
                   stdout=subprocess.DEVNULL)
    (folder / "first").rename(folder / "second place")
    return folder / "second place"


def clean_env(**more):
    return {k: v for k, v in os.environ.items() if not k.startswith(("SHEAF_", "PYTHONPATH"))} | more


def test_installed_program(installed, tmp_path):
    program = installed / "bin" / "sheaf"
    for args in (["--version"], ["help"], ["-c", "import sheaf; print(sheaf.__file__)"]):
        done = subprocess.run([program, *args], cwd=tmp_path, env=clean_env(), text=True, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed / "lib/sheaf/python/sheaf"))


def test_installed_library_is_its_own(installed):
    for file in ("lib/sheaf/program.so", "lib/sheaf/python/sheaf/_core.abi3.so"):
        found = subprocess.run(["ldd", installed / file], env=clean_env(), text=True, check=True, timeout=LIMIT_S,
                               stdout=subprocess.PIPE).stdout
        line = next(line for line in found.splitlines() if "libsheaf.so" in line)
        path = line.split("=>")[1].rsplit("(", 1)[0].strip()
        assert os.path.realpath(path).startswith(str(installed) + "/")


def test_installed_package(installed, tmp_path):
    env = clean_env(PYTHONPATH=str(installed / "lib/sheaf/python"))
    for args in (["-c", "import sheaf; print(sheaf.__version__)"], ["-m", "sheaf", "--version"]):
        done = subprocess.run([sys.executable, *args], cwd=tmp_path, env=env, text=True, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0 and sheaf.__version__ in done.stdout, done.stderr

# SPDX-License-Identifier: GPL-3.0-or-later
"""casacore's locks: writers that hold cells back are waited for or named, and nobody takes a lock while a task works."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from casacore.tables import table

import inputs
from runs import BUILD, LIMIT_S, SHEAF, wait_for, wait_until

LIBRARY = os.path.join(BUILD, "lib", "libsheaf.so")
SPW = ("flagdata", "mode=manual", "spw=0:3~4", "flagbackup=False")  # FLAG alone, which is written without a lock


@pytest.fixture
def ms(tmp_path):
    return shutil.copytree(inputs.ngc5921(), str(tmp_path / "a.ms"))


class Writer:
    """Another process that has put a flag into row 0 and keeps its lock; finish() lets it write and unlock."""
    code = ("import sys; from casacore.tables import table\n"
            "t = table(sys.argv[1], readonly=False, ack=False, lockoptions=sys.argv[3])\n"
            "sys.argv[3] == 'auto' or t.lock()\n"
            "f = t.getcell('FLAG', 0); f[:] = True; t.putcell('FLAG', 0, f); open(sys.argv[2], 'w').close()\n"
            "sys.stdin.readline(); t.close()")

    def __init__(self, path, how="user"):
        mark = path + ".held"
        self.process = subprocess.Popen([sys.executable, "-c", self.code, path, mark, how], stdin=subprocess.PIPE, text=True)
        wait_for(mark)
        os.remove(mark)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.kill()
        self.process.communicate()

    def finish(self):
        self.process.communicate("\n")


def command(task, path, *words):
    return [SHEAF, "--nologfile", task, "vis=" + path, *words]


def sheaf(task, path, *words):
    done = subprocess.run(command(task, path, *words), text=True, capture_output=True, timeout=LIMIT_S)
    return done.returncode, done.stdout + done.stderr


def flags(path):
    with table(path, ack=False, lockoptions="usernoread") as t:
        return t.getcol("FLAG")


@pytest.mark.parametrize("how, task", [("user", SPW), ("auto", SPW), ("user", ("clearcal",)),
                                       ("auto", ("flagmanager", "mode=save", "versionname=v"))])
def test_a_writer_that_holds_cells_back_is_named(ms, how, task):
    before = flags(ms)
    with Writer(ms, how) as writer:
        code, said = sheaf(task[0], ms, *task[1:])
        assert code != 0 and "nothing is changed" in said and f"process {writer.process.pid} (" in said
        assert "holds the table's write lock; what it has not written to the disk yet would be lost" in said
        writer.finish()
    after = flags(ms)
    assert after[0].all() and np.array_equal(after[1:], before[1:])


def test_a_writer_that_ends_is_waited_for(ms):
    """Neither its flag nor one of the task's is lost; both lie in one tile."""
    with Writer(ms) as writer:
        task = subprocess.Popen(command(SPW[0], ms, *SPW[1:]), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = ""
        while "waiting for its lock" not in said:
            line = task.stdout.readline()
            assert line, said
            said += line
        writer.finish()
        rest = task.communicate(timeout=LIMIT_S)[0]
        assert task.returncode == 0, said + rest
    after = flags(ms)
    assert after[:, 3:5].all() and after[0].all()


# ---- the keeper ----

KEEPER = """
import ctypes, sys
L, err, k = ctypes.CDLL(sys.argv[1]), ctypes.create_string_buffer(1 << 14), ctypes.c_void_p()
paths = (ctypes.c_char_p * 1)(sys.argv[2].encode())
print(L.sheaf_keeper_begin(ctypes.byref(k), paths, ctypes.c_size_t(1), err), flush=True)
for line in sys.stdin:
    if line == "write\\n":
        print(L.sheaf_keeper_write(k, ctypes.c_size_t(0), err), flush=True)
    else:
        print(L.sheaf_keeper_end(k) and 0, flush=True)
"""
TRY = ("import sys; from casacore.tables import table; write = sys.argv[2] == 'write'\n"
       "t = table(sys.argv[1], readonly=False, ack=False, lockoptions='user')\n"
       "t.lock(write, int(sys.argv[3])); sys.exit(0 if t.haslock(write) else 3)")


@pytest.fixture
def keeper(ms):
    process = subprocess.Popen([sys.executable, "-c", KEEPER, LIBRARY, ms], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    yield process
    process.kill()
    process.communicate()


def order(keeper, word):
    keeper.stdin.write(word + "\n")
    keeper.stdin.flush()
    assert keeper.stdout.readline() == "0\n"


def can(path, what):
    """Whether another program gets casacore's lock at once."""
    return subprocess.run([sys.executable, "-c", TRY, path, what, "1"], timeout=LIMIT_S, stderr=subprocess.DEVNULL).returncode == 0


def test_what_is_kept(ms, keeper):
    assert can(ms, "read") and not can(ms, "write")
    tool = [os.path.join(BUILD, "tests", "inplace_tool"), "update", ms, "50000", "0"]
    order(keeper, "write")
    # Another program would wait for ever now; what puts for the task (FLAG_ROW here) relies on the keeper.
    waiting = subprocess.Popen([sys.executable, "-c", TRY, ms, "read", "0"], stderr=subprocess.DEVNULL)
    subprocess.run(tool, check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)
    assert waiting.poll() is None
    order(keeper, "end")
    assert waiting.wait(timeout=LIMIT_S) == 0
    assert can(ms, "write")


def test_locks_are_free_when_the_task_dies(ms, keeper):
    order(keeper, "write")
    keeper.kill()
    keeper.wait()
    wait_until(lambda: can(ms, "write"), "the lock")


def test_a_reader_does_not_hinder_a_restore_without_flag_row(ms):
    """FLAG_ROW is written, under the lock, only where it differs."""
    assert sheaf("flagmanager", ms, "mode=save", "versionname=v")[0] == 0
    before = flags(ms)
    assert sheaf(SPW[0], ms, *SPW[1:])[0] == 0
    reader = subprocess.Popen([sys.executable, "-c", "import sys; from casacore.tables import table\n"
                               "t = table(sys.argv[1], ack=False, lockoptions='auto'); t.getcell('TIME', 0)\n"
                               "open(sys.argv[2], 'w').close(); sys.stdin.readline()", ms, ms + ".held"], stdin=subprocess.PIPE)
    try:
        wait_for(ms + ".held")
        code, said = sheaf("flagmanager", ms, "mode=restore", "versionname=v")
        assert code == 0, said
        assert np.array_equal(flags(ms), before)
        assert sheaf("flagdata", ms, "mode=clip", "clipminmax=[0,1]", "flagbackup=False")[0] == 0
    finally:
        reader.kill()
        reader.communicate()

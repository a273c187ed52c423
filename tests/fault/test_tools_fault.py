# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools table and ms on a disk that is full: an error that tells it, no end of the script, and a table that opens."""
import os
import shutil
import subprocess
import sys

import casacore.tables as ct
import numpy as np
import pytest

import faults
import inputs
from runs import LIMIT_S, preload

SCRIPT = """
import sys
import sheaf
t = sheaf.table()
t.open(sys.argv[1], nomodify=False)
{change}
for i in range({tries}):
    try:
        t.{end}()
        print("written")
        break
    except RuntimeError as problem:
        print(problem)
if {tries} > 1: t.close()
"""
CHANGES = {"TIME": "t.putcol('TIME', t.getcol('TIME') + 1)", "SCAN_NUMBER": "t.putcol('SCAN_NUMBER', t.getcol('SCAN_NUMBER') + 1)",
           "DATA": "t.putcell('DATA', 5, t.getcell('DATA', 5) + 1)"}


def run(path, change, end, tries, **fault):
    counter = path + ".counter"
    if os.path.exists(counter):
        os.unlink(counter)
    env = dict(os.environ, LD_PRELOAD=preload(faults.SHIM), SHEAF_FAULT_UNDER=path, SHEAF_FAULT_COUNTER=counter, SHEAF_LOGFILE="none",
               SHEAF_FAULT_OPS="posix_fallocate")
    env.update({"SHEAF_FAULT_" + key.upper(): str(value) for key, value in fault.items()})
    return subprocess.run([sys.executable, "-c", SCRIPT.format(change=change, end=end, tries=tries), path], env=env, text=True,
                          capture_output=True, timeout=LIMIT_S)


def column(path, name):
    with ct.table(path, ack=False, lockoptions="usernoread") as t:
        return t.getcol(name)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(inputs.simulated(), str(tmp_path / "copy.ms"), symlinks=True)


@pytest.mark.parametrize("end", ["close", "flush", "unlock"])
@pytest.mark.parametrize("name", CHANGES)
def test_full_disk_and_room_again(name, end, copy):
    before = column(copy, name)
    done = run(copy, CHANGES[name], end, 3, do="ENOSPC", at=1)
    first, *rest = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert first.startswith(copy) and "No space left on device. It stays open; make room and try again" in first
    assert rest == ["written"]
    assert (column(copy, name) != before).any()


@pytest.mark.parametrize("name", CHANGES)
def test_disk_that_stays_full(name, copy):
    """The script goes on; what could not be written is lost, and the log says so at the end."""
    before = column(copy, name)
    done = run(copy, CHANGES[name], "close", 1, do="ENOSPC", at=1, sticky=1)
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout and "SEVERE\ttable::close" in done.stderr
    changed = column(copy, name) - before
    assert (np.isclose(changed, 0, atol=1e-5) | np.isclose(changed, 1, atol=1e-5)).all()


def test_full_disk_in_putdata(copy):
    script = "m = sheaf.ms(); m.open(sys.argv[1], nomodify=False); m.selectinit(0); t = m\n" \
             "m.putdata({'data': m.getdata(['data'])['data'] + 1})"
    done = run(copy, "t.close(); " + script, "close", 3, do="ENOSPC", at=3)
    assert done.returncode == 0 and done.stdout.splitlines()[1:] == ["written"], done.stderr


PUTS = {"putcol": "t.putcol('DATA', t.getcol('DATA') + 1)", "putcell": CHANGES["DATA"], "flags": "t.putcol('FLAG', ~t.getcol('FLAG'))",
        "putdata": "t.close(); m = sheaf.ms(); m.open(sys.argv[1], nomodify=False); m.selectinit(0); t = m\n"
                   "m.putdata({'data': m.getdata(['data'])['data'] + 1})"}
KILLED = "import sys\nimport sheaf\nt = sheaf.table()\nt.open(sys.argv[1], nomodify=False)\n%s\nt.flush() if hasattr(type(t), 'flush') else None\n" \
         "t.close()\n"


@pytest.mark.parametrize("how", PUTS)
def test_killed_at_every_change_while_tiles_are_put(how, copy, tmp_path):
    """The table opens, each value is old or new."""
    name = "FLAG" if how == "flags" else "DATA"
    before = column(copy, name)
    env = dict(os.environ, LD_PRELOAD=preload(faults.SHIM), SHEAF_FAULT_UNDER=copy, SHEAF_FAULT_COUNTER=str(tmp_path / "counter"),
               SHEAF_LOGFILE="none", SHEAF_FAULT_DO="KILL")
    fresh = shutil.copytree(copy, str(tmp_path / "fresh"), symlinks=True)
    for at in range(1, 200):
        if os.path.exists(tmp_path / "counter"):
            os.unlink(tmp_path / "counter")
        shutil.rmtree(copy)
        shutil.copytree(fresh, copy, symlinks=True)
        done = subprocess.run([sys.executable, "-c", KILLED % PUTS[how], copy], env=dict(env, SHEAF_FAULT_AT=str(at)), timeout=LIMIT_S)
        after = column(copy, name)
        same = after == before
        assert (same | (after != before if how == "flags" else np.isclose(after - before, 1, atol=1e-5))).all(), at
        if done.returncode == 0:
            break
    assert at > 3 and not same.all()

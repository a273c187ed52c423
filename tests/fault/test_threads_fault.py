# SPDX-License-Identifier: GPL-3.0-or-later
"""No thread can be started, as when a limit of the system's is reached: the first thread does everything, with equal results."""
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("casacore.tables")

import faults  # noqa: E402
import inputs  # noqa: E402
from outputs import differing, files  # noqa: E402
from runs import LIMIT_S, preload  # noqa: E402

READ = """
import hashlib, sys
from sheaf import table
t = table()
t.open(sys.argv[1])
for rows in ((0, -1), (3, 22000)):
    print(hashlib.sha256(t.getcol("DATA", *rows).tobytes("F")).hexdigest())
"""


def environment(**fault):
    return dict(os.environ, OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1", SHEAF_LOGFILE="none",
                LD_PRELOAD=preload(faults.SHIM), **fault)


def test_partition(tmp_path):
    found = []
    for fault in ({}, {"SHEAF_FAULT_THREADS": "EAGAIN"}):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        done = faults.sheaf("partition", "vis=" + inputs.ngc5921(), "outputvis=o.mms", cwd=folder, env=environment(**fault))
        assert done.returncode == 0, done.stderr
        found.append(files(folder / "o.mms"))
    assert differing(*found) == []


def test_a_large_column_in_python():
    """Above 8 MiB it is read in threads."""
    told = [subprocess.run([sys.executable, "-c", READ, inputs.ngc5921()], text=True, capture_output=True, timeout=LIMIT_S,
                           env=environment(**fault)) for fault in ({}, {"SHEAF_FAULT_THREADS": "EAGAIN"})]
    assert [done.returncode for done in told] == [0, 0], told
    assert told[0].stdout == told[1].stdout and len(told[0].stdout.split()) == 2


def test_a_task_that_reads_ahead_says_so(tmp_path):
    """It has a thread that reads while it works, or ends; what it has not changed then stays as it was."""
    vis = str(tmp_path / "vis.ms")
    shutil.copytree(inputs.simulated(), vis)
    before = files(vis)
    done = faults.sheaf("clearcal", "vis=" + vis, env=environment(SHEAF_FAULT_THREADS="EAGAIN"), cwd=tmp_path)
    assert done.returncode == 1 and "cannot start a thread: Resource temporarily unavailable" in faults.severe(done.stderr), done
    assert differing(files(vis), before) == []
    done = faults.sheaf("clearcal", "vis=" + vis, env=environment(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr

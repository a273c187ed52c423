# SPDX-License-Identifier: GPL-3.0-or-later
"""clearcal, initweights and delmod when processes are killed and disks are full. 180 deaths at instants spread over each task; with SHEAF_FAULT_ALL=1 at every instant."""
import os
import re
import signal
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import taskfaults  # noqa: E402


def instants(total, count):
    """About `count` of 1..total, spread evenly, both ends among them."""
    if os.environ.get("SHEAF_FAULT_ALL"):
        return range(1, total + 1)
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


@pytest.mark.parametrize("case, count", [("new columns", 50), ("existing columns", 25), ("weights", 35), ("new spectra", 25),
                                         ("removal", 15)])
def test_killed(tmp_path, case, count):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    assert total >= count // 2
    bad = []
    for i, k in enumerate(instants(total, count)):
        bad += [f"KILL at {k} of {total}: {text}" for text in place.once("KILL", k, again=i % 5 == 0)]
    assert bad == []


@pytest.mark.parametrize("case", ["new columns", "weights"])
def test_killed_in_a_multi_ms(tmp_path, case):
    place = taskfaults.Place(tmp_path, case, mms=True)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, 15)):
        bad += [f"KILL at {k} of {total}: {text}" for text in place.once("KILL", k, again=i % 5 == 0)]
    assert bad == []


def test_killed_between_the_members(tmp_path):
    """Without the exchange of names members change one by one; the next task, also another, finishes that first."""
    place = taskfaults.Place(tmp_path, "new columns", mms=True)
    place.renew()
    note = str(tmp_path / "note")
    assert place.place.run(note=note, lack="renameat2").returncode == 0
    with open(note) as f:
        lines = [line.rstrip("\n").split(" ", 3) for line in f]
    commits = sorted(int(k) for k, _, call, path in lines
                     if call == "rename" and re.search(r"/SUBMSS/[^/]*/table.dat$", path))
    for k in commits[-2:]:
        place.renew()
        assert place.place.run(do="KILL", at=k, lack="renameat2").returncode == -signal.SIGKILL
        assert os.path.exists(place.path + "/.sheaf-commit")
        place.again()
        assert taskfaults.values(place.path)[0] == place.after[0] and place.files() == place.files_after, k


@pytest.mark.parametrize("case, count", [("new columns", 12), ("existing columns", 6), ("weights", 8), ("removal", 6)])
def test_full_disk(tmp_path, case, count):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, count)):
        bad += [f"ENOSPC from {k} of {total}: {text}" for text in place.once("ENOSPC", k, 1, again=i % 5 == 0)]
    assert bad == []


@pytest.mark.parametrize("do", ["EIO"])
@pytest.mark.parametrize("case", ["new columns", "weights"])
def test_one_failure(tmp_path, case, do):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, 8)):
        bad += [f"{do} at {k} of {total}: {text}" for text in place.once(do, k, again=i % 5 == 0)]
    assert bad == []


@pytest.mark.parametrize("case", sorted(taskfaults.CASES))
def test_read_only(tmp_path, case):
    place = taskfaults.Place(tmp_path, case)
    assert place.once("EROFS", 1, 1) == []
    assert place.mixture(taskfaults.values(place.path)) == []

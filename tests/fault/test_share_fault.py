# SPDX-License-Identifier: GPL-3.0-or-later
"""partition on file systems with reflinks that fail, full disks, and deaths between them."""
import os
import shutil
import subprocess

import pytest

pytest.importorskip("casacore.tables")

import faults  # noqa: E402
import inputs  # noqa: E402
import mounts  # noqa: E402
from runs import LIMIT_S  # noqa: E402


@pytest.fixture(params=sorted(mounts.MAKE), scope="module")
def mount(request):
    with mounts.mounted(request.param) as folder:
        shutil.copytree(inputs.simulated(22, 2), os.path.join(folder, "vis.ms"))
        yield folder


@pytest.fixture
def place(mount):
    vis = os.path.join(mount, "vis.ms")
    before = faults.checksums(vis)
    p = faults.Place(os.path.join(mount, "work"), ["partition", "vis=" + vis, "outputvis=out/o.mms", "separationaxis=scan",
                                                   "numsubms=2", "scan=1,2"], "o.mms")
    p.clear()
    yield p
    assert faults.checksums(vis) == before
    shutil.rmtree(p.folder)


def clones(place):
    return [k for k, call, _ in place.changes() if call == "clone"]


def test_what_cannot_be_shared_is_written(place):
    number = len(clones(place))
    assert number > 10
    for k in (1, number // 2):
        for error in ("EIO", "ENOSPC"):
            place.clear()
            done = place.run(do=error, at=k, ops="clone")
            assert done.returncode == 0 and faults.judge(place, done, error) == [], (k, done.stderr)


def test_death_between_shares(place):
    every = clones(place)
    for k in every[::12]:
        place.clear()
        place.run(do="KILL", at=k)
        assert faults.judge_death(place) == [], k


def run(place):
    """Without the shim, whose counter is a file on the full disk."""
    return subprocess.run(place.words(), cwd=place.folder, text=True, capture_output=True, timeout=LIMIT_S)


def fill(path):
    """Takes all room but less than 1 MB."""
    at, size = 0, 64 << 20
    with open(path, "wb") as f:
        while size >= 1 << 20:
            try:
                os.posix_fallocate(f.fileno(), at, size)
                at += size
            except OSError:
                size //= 2


def test_a_full_disk(mount, place):
    filler = os.path.join(mount, "filler")
    try:
        fill(filler)
        done = run(place)
        assert done.returncode == 1 and faults.judge(place, done, "ENOSPC") == [], done.stderr
    finally:
        os.unlink(filler)
    place.clear()
    done = run(place)
    assert done.returncode == 0 and faults.judge(place, done, "ENOSPC") == [], done.stderr

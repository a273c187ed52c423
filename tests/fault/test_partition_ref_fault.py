# SPDX-License-Identifier: GPL-3.0-or-later
"""partition(copydata=False) when it is killed and when the disk is full: the output is whole or not there, and the input,
which it refers to, as it was."""
import re

import pytest

pytest.importorskip("casacore.tables")

import faults  # noqa: E402
import inputs  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def input_is_untouched():
    vis = inputs.simulated()
    before = faults.checksums(vis), faults.stamps(vis)
    yield
    assert (faults.checksums(vis), faults.stamps(vis)) == before


@pytest.fixture
def place(tmp_path):
    p = faults.Place(tmp_path, ["partition", "vis=" + inputs.simulated(), "outputvis=out/o.mms", "copydata=False", "numsubms=3"],
                     "o.mms")
    p.clear()
    return p


def every(place, step):
    """One k for each kind of change: the call, and the path without numbers; of these, every step-th."""
    found = {}
    for k, call, path in place.changes():
        found.setdefault((call, re.sub(r"\.sheaf-[^/]*|\d+", "#", path)), k)
    assert len(found) > 20
    return sorted(found.values())[::step]


def test_disk_full_from_the_kth_change_on(place):
    for k in every(place, 3):
        place.clear()
        done = place.run(do="ENOSPC", at=k, sticky=1)
        assert faults.judge(place, done, "ENOSPC") == [], (k, done.stderr)


def test_one_change_fails(place):
    for k in every(place, 4):
        place.clear()
        done = place.run(do="EIO", at=k)
        assert faults.judge(place, done, "EIO") == [], (k, done.stderr)


def test_killed_at_a_change(place):
    for k in every(place, 4):
        place.clear()
        place.run(do="KILL", at=k)
        assert faults.judge_death(place) == [], k

# SPDX-License-Identifier: GPL-3.0-or-later
"""A task in place (tests/tools/inplace_tool.c) that is killed, or whose disk is full, at a chosen change: the MS or Multi-MS opens, its structure is as
before or as after, every value is old or new, and the task run again makes it whole. tests/fault/loop does every instant."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import inplacefaults  # noqa: E402


@pytest.fixture(scope="module", params=("ms", "mms"))
def place(request, tmp_path_factory):
    return inplacefaults.Place(str(tmp_path_factory.mktemp(request.param)), request.param)


@pytest.mark.parametrize("do, sticky", (("KILL", 0), ("ENOSPC", 1), ("EIO", 0)))
def test_instants(place, do, sticky):
    """Every third change of a kind that is made once, fewer of those that are made often."""
    changes = place.changes()
    assert len(changes) >= 60
    bad = []
    for k in inplacefaults.sample(changes, 24):
        bad += [f"{do} at {k} {changes[k - 1]}: {text}" for text in place.once(do, k, sticky)]
    assert bad == []


@pytest.mark.parametrize("lack", ("link", "renameat2"))
def test_commit_without_exchange(place, lack):
    """A file system without hard links, or without the exchange of names: members change one by one, and the next task
    finishes what a death interrupts. casacore opens each member meanwhile."""
    if place.kind == "ms":
        pytest.skip("one member needs no exchange")
    assert [c for c in place.changes() if c[1] == lack]
    changes = place.changes(lack=lack)
    assert place.digest() == place.after
    commits = [k for k, call, path in changes if call == "rename" and path.endswith("/table.dat")]
    assert len(commits) >= 3
    for k in (commits[0], commits[1], commits[2], commits[2] + 2):
        assert place.once("KILL", k, lack=lack, apart=True) == [], k
    assert place.once("EIO", commits[1], lack=lack, apart=True) == []

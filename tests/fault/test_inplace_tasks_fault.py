# SPDX-License-Identifier: GPL-3.0-or-later
"""clearcal, initweights and delmod when processes are killed and disks are full. tests/fault/loop has longer runs."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import taskfaults  # noqa: E402


def instants(total, count):
    """About `count` of 1..total, spread evenly, both ends among them."""
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


@pytest.mark.parametrize("case, count", [("new columns", 60), ("existing columns", 30), ("weights", 40), ("new spectra", 40),
                                         ("removal", 20)])
def test_killed(tmp_path, case, count):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    assert total >= count // 2
    bad = []
    for i, k in enumerate(instants(total, count)):
        bad += [f"KILL at {k} of {total}: {text}" for text in place.once("KILL", k, again=i % 4 == 0)]
    assert bad == []


@pytest.mark.parametrize("case", ["new columns", "weights"])
def test_killed_in_a_multi_ms(tmp_path, case):
    place = taskfaults.Place(tmp_path, case, mms=True)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, 20)):
        bad += [f"KILL at {k} of {total}: {text}" for text in place.once("KILL", k, again=i % 4 == 0)]
    assert bad == []


@pytest.mark.parametrize("case, count", [("new columns", 15), ("existing columns", 8), ("weights", 10), ("removal", 8)])
def test_full_disk(tmp_path, case, count):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, count)):
        bad += [f"ENOSPC from {k} of {total}: {text}" for text in place.once("ENOSPC", k, 1, again=i % 4 == 0)]
    assert bad == []


@pytest.mark.parametrize("do", ["EIO"])
@pytest.mark.parametrize("case", ["new columns", "weights"])
def test_one_failure(tmp_path, case, do):
    place = taskfaults.Place(tmp_path, case)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, 12)):
        bad += [f"{do} at {k} of {total}: {text}" for text in place.once(do, k, again=i % 4 == 0)]
    assert bad == []

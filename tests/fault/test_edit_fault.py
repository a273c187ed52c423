# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns and keywords that are added and removed while processes are killed and disks are full: the table is as before or
as after, and the next edit leaves no debris. All instants of a small edit; tests/fault/loop does larger ones."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import editfaults  # noqa: E402

ADD = editfaults.ADD
REMOVE = editfaults.REMOVE
SHARE = editfaults.SHARE


@pytest.mark.parametrize("steps", (ADD, REMOVE, SHARE), ids=("add", "remove", "share"))
@pytest.mark.parametrize("do, sticky", (("KILL", 0), ("ENOSPC", 1), ("EIO", 0)))
def test_every_instant(steps, do, sticky, tmp_path):
    place = editfaults.Place(str(tmp_path), steps)
    total = place.total()
    assert total >= (20 if steps is ADD else 5)
    bad = []
    for k in range(1, total + 1):
        bad += [f"{do} at {k}: {text}" for text in place.once(do, k, sticky)]
    assert bad == []



# SPDX-License-Identifier: GPL-3.0-or-later
"""partition(copydata=False) gives the same bytes at any number of ranks; servers read through what it made."""
import json
import os

import pytest

import inputs
from runs import MPISHEAF, SHEAF, Run

pytest.importorskip("casacore.tables")


def good(ranks, *words, cwd):
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    status, out, err = Run(*launch, SHEAF, *words, cwd=cwd, env=dict(os.environ, SHEAF_LOGFILE="none")).finish()
    assert status == 0 and "SEVERE" not in err, err
    return err


def tree(path):
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(root, name)
            if os.path.islink(full):
                found[os.path.relpath(full, path)] = os.readlink(full)
            elif name in files:
                with open(full, "rb") as f:
                    found[os.path.relpath(full, path)] = f.read()
    return found


@pytest.mark.parametrize("axis", ["auto", "baseline"])
def test_result_does_not_depend_on_the_number_of_processes(axis, tmp_path):
    results = {}
    for ranks in (0, 2, 3):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        os.symlink(inputs.simulated(), folder / "in.ms")
        good(ranks, "partition", "vis=in.ms", "outputvis=o.mms", "copydata=False", "numsubms=4", "separationaxis=" + axis, cwd=folder)
        assert "Verified" in good(ranks, "listpartition", "vis=o.mms", "verify=True", cwd=folder)
        good(ranks, "partition", "vis=o.mms", "outputvis=copy.mms", "flagbackup=False", cwd=folder)
        results[ranks] = tree(folder / "o.mms")
        ledger = json.loads(results[ranks].pop("sheaf.ledger"))
        ledger.pop("input")
        with open(folder / "copy.mms" / "sheaf.ledger") as f:
            results[ranks]["ledgers"] = ledger, json.load(f)["members"]
    assert results[0] == results[2] == results[3]

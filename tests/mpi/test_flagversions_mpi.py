# SPDX-License-Identifier: GPL-3.0-or-later
"""flagmanager and flagcmd at several ranks, on an MS and its Multi-MS: one result, to the bit."""
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "python"), os.path.dirname(HERE)]
pytest.importorskip("casacore.tables")

import flagversions_cases as cases  # noqa: E402
from runs import MPISHEAF, SHEAF, Run  # noqa: E402

RANKS = (0, 1, 3, 5)  # 0: without MPI


def run(ranks, *words):
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    status, _, err = Run(*launch, SHEAF, *words, env=dict(os.environ, SHEAF_LOGFILE="none")).finish()
    assert status == 0, err


def test_one_result(tmp_path):
    plain, many = str(tmp_path / "a.ms"), str(tmp_path / "a.mms")
    cases.make(plain)
    cases.put_flags(plain, 1)
    run(0, "partition", "vis=" + plain, "outputvis=" + many, "separationaxis=baseline", "numsubms=3", "flagbackup=False")
    run(0, "flagmanager", "vis=" + plain, "mode=save", "versionname=v")
    one = cases.flags_by_key(plain)
    shutil.copytree(plain + ".flagversions", many + ".flagversions")
    results = []
    for kind in (plain, many):
        for ranks in RANKS:
            path = str(tmp_path / ("w" + os.path.splitext(kind)[1]))
            for name in (path, path + ".flagversions"):
                shutil.rmtree(name, ignore_errors=True)
            shutil.copytree(kind, path, symlinks=True)
            shutil.copytree(kind + ".flagversions", path + ".flagversions")
            run(ranks, "flagcmd", "vis=" + path, "inpmode=list", "inpfile=[\"scan='1' antenna='A01'\",\"mode='unflag' spw='0:1'\"]",
                "savepars=True")
            changed = cases.flags_by_key(path)
            run(ranks, "flagmanager", "vis=" + path, "mode=restore", "versionname=v")
            assert cases.flags_by_key(path) == one != changed
            run(ranks, "flagmanager", "vis=" + path, "mode=restore", "versionname=flagcmd_1", "merge=and")
            results.append(changed)
    assert all(r == results[0] for r in results)

# SPDX-License-Identifier: GPL-3.0-or-later
"""FLAG_CMD when flagcmd is killed, and when disks are full: the table opens, with all rows or as before."""
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import faults  # noqa: E402
import flagcmd_cases as cases  # noqa: E402
import flagversions_cases  # noqa: E402

LIST = "inpfile=[\"scan='1' reason='a'\",\"antenna='A01' reason='b'\"]"
CASES = {"append": ["inpmode=list", LIST, "action=list", "savepars=True"], "clear": ["action=clear", "clearall=True", "rowlist=[0]"],
         "apply": ["flagbackup=False"], "file": ["action=list", "savepars=True", "outfile=out/f.txt"]}


def instants(total, count):
    if os.environ.get("SHEAF_FAULT_ALL"):
        return range(1, total + 1)
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


def look(place):
    path = os.path.join(place.out, "f.txt")
    text = None
    if os.path.exists(path):
        with open(path, encoding="ascii") as written:
            text = written.read()
    return cases.rows(place.output), text


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("do, sticky, count", [("KILL", None, 20), ("ENOSPC", 1, 8), ("EIO", None, 8)])
def test_fault(tmp_path, case, do, sticky, count):
    place = faults.Place(tmp_path, ["flagcmd", "vis=out/o.ms"] + CASES[case], "o.ms")
    fresh = str(tmp_path / "fresh.ms")
    flagversions_cases.make(fresh)
    done = faults.sheaf("flagcmd", "vis=" + fresh, *CASES["append"])
    assert done.returncode == 0, done.stderr

    def run(**fault):
        place.clear()
        shutil.copytree(fresh, place.output)
        return place.run(**fault)
    before = cases.rows(fresh), None
    done = run()
    assert done.returncode == 0, done.stderr
    after, total = look(place), place.struck()
    assert before != after
    for k in instants(total, count):
        done = run(do=do, at=k, sticky=sticky)
        now = look(place)
        assert now in (before, after), k
        if do != "KILL" and done.returncode:
            assert done.returncode == 1 and faults.TEXTS[do] in faults.severe(done.stderr), (k, done.stderr)
        again = place.run()
        assert again.returncode == 0 or "no unapplied flags" in again.stderr or "no row 0" in again.stderr, (k, again.stderr)

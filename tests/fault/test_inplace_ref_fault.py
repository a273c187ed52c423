# SPDX-License-Identifier: GPL-3.0-or-later
"""clearcal through reference tables when it is killed: the MS that is referred to and the one that refers open, the new
column is whole or absent, and the next call brings what an undisturbed one does."""
import os
import re
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")
from casacore import tables  # noqa: E402

import faults  # noqa: E402
from inplacefaults import cells  # noqa: E402
from simulate import simulate  # noqa: E402


class Place:
    def __init__(self, folder):
        """A selection that casacore made before there was a CORRECTED_DATA, so that its table.dat changes as well."""
        self.fresh = os.path.join(folder, "fresh")
        os.mkdir(self.fresh)
        simulate(self.fresh + "/a.ms", nant=3)
        t = tables.table(self.fresh + "/a.ms", ack=False)
        t.query("SCAN_NUMBER < 3").copy(self.fresh + "/out.ms", deep=False).close()
        t.close()
        self.place = faults.Place(folder, ["clearcal", "vis=out/out.ms"], "out.ms")
        self.out = self.place.out

    def renew(self):
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.fresh, self.out)

    def look(self):
        """Columns of both tables, and what is wrong with the new one."""
        wrong = []
        found = []
        for name in ("a.ms", "out.ms"):
            t = tables.table(os.path.join(self.out, name), ack=False)
            found.append(sorted(t.colnames()))
            if "CORRECTED_DATA" in t.colnames() and cells(t, "CORRECTED_DATA") != cells(t, "DATA"):
                wrong.append(name)
            t.close()
        return found, wrong


def test_killed(tmp_path):
    p = Place(str(tmp_path))
    p.renew()
    note = str(tmp_path / "note")
    assert p.place.run(note=note).returncode == 0
    after, wrong = p.look()
    assert wrong == [] and all("CORRECTED_DATA" in names for names in after)
    with open(note) as f:
        lines = sorted((int(line.split(" ", 3)[0]), line.rstrip("\n")) for line in f)
    kinds = {}
    for k, line in lines:
        _, _, call, path = line.split(" ", 3)
        kinds.setdefault((call, re.sub(r"\.sheaf-[^/]*|\d+", "#", path)), k)
    assert len(kinds) > 15
    for k in sorted(kinds.values())[::2]:
        p.renew()
        p.place.run(do="KILL", at=k)
        assert p.look()[1] == [], k
        done = faults.sheaf("clearcal", "vis=" + p.out + "/out.ms")
        assert done.returncode == 0, (k, done.stderr)
        assert p.look() == (after, []), k

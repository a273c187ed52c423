# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that change an MS in place, with a fault (shim.c) at a chosen change, and what must hold after: the MS opens, every
value is the old or the new one, a new column is there whole or not at all, and the next run succeeds and leaves no debris."""
import os
import shutil
import subprocess

import faults
import numpy as np
import simulate
from casacore.tables import table

COLUMNS = ("WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", "CORRECTED_DATA", "MODEL_DATA", "DATA")
OPTIONS = {"nant": 4, "polarizations": [[5, 8]], "descriptions": [(0, 0), (2, 0)],
           "scans": [(0, 0, 1, 0, 0, [0, 1], 3), (0, 0, 2, 1, 1, [0, 1], 3)]}
# what is run, and what the MS has before
CASES = {
    "new columns": (["clearcal", "addmodel=True"], {}),
    "existing columns": (["clearcal", "field=0"], {"data": ("DATA", "CORRECTED_DATA", "MODEL_DATA")}),
    "weights": (["initweights", "wtmode=nyq"], {"spectra": ("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM")}),
    "new spectra": (["initweights", "wtmode=ones", "dowtsp=True"], {}),
    "removal": (["delmod", "scr=True"], {"data": ("DATA", "MODEL_DATA")}),
}


def values(path):
    """{column: bytes of each row}, columns of the main table, rows of HISTORY; raises when something does not open."""
    found = {}
    with table(path, ack=False) as t:
        names = t.colnames()
        for name in COLUMNS:
            if name in names:
                found[name] = [np.asarray(t.getcell(name, row)).tobytes() if t.iscelldefined(name, row) else None
                               for row in range(t.nrows())]
        subs = [k for k in t.keywordnames() if str(t.getkeyword(k)).startswith("Table:")]
    for sub in subs:
        with table(f"{path}/{sub}", ack=False) as t:
            for name in t.colnames():
                for row in range(t.nrows() if sub == "HISTORY" else 0):
                    t.getcell(name, row)
            found[sub] = t.nrows()
    return sorted(names), found


def mixed(cell, old, new):
    """Whether each number of a cell is the old or the new one."""
    if cell in (old, new) or None in (cell, old, new) or not len(cell) == len(old) == len(new):
        return cell in (old, new)
    c, o, n = (np.frombuffer(b, np.uint32) for b in (cell, old, new))
    return bool(((c == o) | (c == n)).all())


class Place:
    """A folder with an MS (or a Multi-MS) that a task changes again and again, each time with another fault."""

    def __init__(self, folder, case, mms=False, ranks=0):
        self.command, extra = CASES[case]
        self.place = faults.Place(folder, [self.command[0], "vis=out/o.ms", *self.command[1:]], "o.ms", ranks)
        self.path = self.place.output
        self.fresh = os.path.join(str(folder), "fresh.ms")
        simulate.simulate(self.fresh, **{**OPTIONS, **extra})
        if mms:
            plain, self.fresh = self.fresh, os.path.join(str(folder), "fresh.mms")
            done = faults.sheaf("partition", "vis=" + plain, "outputvis=" + self.fresh, "separationaxis=scan", "numsubms=2",
                                "flagbackup=False")
            assert done.returncode == 0, done.stderr
        self.renew()
        self.before, self.files_before = values(self.path), self.files()
        self.again()
        self.after, self.files_after = values(self.path), self.files()
        assert self.before != self.after

    def files(self):
        """Names of all files, without those of data managers, whose numbers depend on the past."""
        return sorted(os.path.join(r, n)[len(self.path):] for r, _, names in os.walk(self.path) for n in names
                      if not n.startswith("table.f"))

    def renew(self):
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(self.fresh, self.path, symlinks=True)

    def again(self):
        done = subprocess.run([faults.SHEAF, "--nologfile"] + self.place.command, cwd=self.place.folder, text=True,
                              capture_output=True, timeout=faults.LIMIT_S)
        assert done.returncode == 0, done.stderr

    def total(self):
        self.renew()
        done = self.place.run()
        assert done.returncode == 0, done.stderr
        return self.place.struck()

    def mixture(self, now):
        """What is neither old nor new."""
        wrong = []
        names, found = now
        if names not in (self.before[0], self.after[0]):
            wrong.append(f"columns {names}")
        for name, cells in found.items():
            old, new = self.before[1].get(name), self.after[1].get(name)
            if isinstance(cells, int):
                bad = cells not in (old, new)
            elif old is None:
                bad = cells != new  # a new column is whole
            else:
                bad = not all(mixed(c, o, n) for c, o, n in zip(cells, old, new if new is not None else old))
            if bad:
                wrong.append(f"{name}: neither old nor new")
        return wrong

    def once(self, do, k, sticky=0, again=True, **fault):
        """What is wrong after one run with a fault: a list of texts."""
        self.renew()
        done = self.place.run(do=do, at=k, sticky=sticky, **fault)
        try:
            wrong = self.mixture(values(self.path))
        except RuntimeError as e:
            return [f"does not open: {e}"]
        if do != "KILL" and done.returncode not in (0, 1):
            wrong.append(f"status {done.returncode}: {done.stderr}")
        if do != "KILL" and done.returncode == 1 and not (faults.TEXTS[do] in faults.severe(done.stderr)
                                                         and "o.ms" in faults.severe(done.stderr)):
            wrong.append("the cause or the place is not told: " + done.stderr)
        if again and not wrong:
            self.again()
            names, found = values(self.path)
            history = found.pop("HISTORY"), self.after[1]["HISTORY"]
            want = {k: v for k, v in self.after[1].items() if k != "HISTORY"}
            if names != self.after[0] or found != want or history[0] < history[1]:
                wrong.append("the next run gives something else")
            if self.files() != self.files_after:
                wrong.append(f"debris: {set(self.files()) ^ set(self.files_after)}")
        return wrong

# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of inplace_tool update with a fault (shim.c) at a chosen change, and what must hold after."""
import os
import re
import shutil
import subprocess

from casacore import tables

import faults
from runs import preload
from simulate import simulate

TOOL = os.path.join(faults.BUILD, "tests", "inplace_tool")
WRITTEN = ("CORRECTED_DATA", "FLAG", "WEIGHT")


def cells(t, column):
    return [t.getcell(column, r).tobytes() if t.iscelldefined(column, r) else None for r in range(t.nrows())]


def digest(path):
    """{column: cells} of an MS or Multi-MS."""
    t = tables.table(path, ack=False)
    found = {c: t.getcol(c).tobytes() if t.isscalarcol(c) else cells(t, c) for c in t.colnames()}
    found["keywords"] = repr(sorted(t.getkeywords()))
    t.close()
    return found


def lock_and_put(path):
    """What a casacore writer does."""
    t = tables.table(path, ack=False, readonly=False, lockoptions="user")
    t.lock()
    t.putcell("TIME", 0, t.getcell("TIME", 0))
    t.unlock()
    t.close()


def files(path):
    return sorted(os.path.relpath(os.path.join(r, n), path) for r, d, f in os.walk(path) for n in d + f)


def mixed(now, old, new):
    """Whether every byte of every cell is the old or the new one (a cell is written in pieces)."""
    for a, b, c in zip(now, old, new):
        if a not in (b, c) and not (a and b and c and all(x in (y, z) for x, y, z in zip(a, b, c))):
            return False
    return len(now) == len(old) == len(new)


def sample(changes, most):
    """Instants that differ in call and file, spread over a run."""
    kinds = {}
    for k, call, path in changes:
        kinds.setdefault((call, re.sub(r"\d+", "#", path)), []).append(k)
    picked = sorted({k for ks in kinds.values() for k in (ks[0], ks[-1])})
    return picked[::max(1, len(picked) // most)]


class Place:
    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.fresh, self.path = os.path.join(folder, "fresh"), os.path.join(folder, "t")
        simulate(self.fresh, nant=3)
        if kind == "mms":
            plain = self.fresh + ".ms"
            os.rename(self.fresh, plain)
            done = faults.sheaf("partition", "vis=" + plain, "outputvis=" + self.fresh, "numsubms=3")
            assert done.returncode == 0, done.stderr
        self.before, self.files_before = digest(self.fresh), files(self.fresh)
        self.renew()
        done, _ = self.run()
        assert done.returncode == 0, done.stdout
        self.after, self.files_after = digest(self.path), files(self.path)

    def renew(self):
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(self.fresh, self.path, symlinks=True)

    def run(self, **fault):
        counter, note = os.path.join(self.folder, "counter"), os.path.join(self.folder, "note")
        for name in (counter, note):
            if os.path.exists(name):
                os.unlink(name)
        env = dict(os.environ, LD_PRELOAD=preload(faults.SHIM), SHEAF_FAULT_UNDER=self.path, SHEAF_FAULT_COUNTER=counter,
                   SHEAF_FAULT_NOTE=note)
        env.update({"SHEAF_FAULT_" + k.upper(): str(v) for k, v in fault.items() if v})
        done = subprocess.run([TOOL, "update", self.path, "4000", "2"], text=True, capture_output=True, env=env,
                              timeout=faults.LIMIT_S)
        lines = []
        if os.path.exists(note):
            with open(note) as f:
                lines = [line.rstrip("\n").split(" ", 3) for line in f]
        return done, sorted((int(k), call, os.path.relpath(p, self.path)) for k, _, call, p in lines)

    def changes(self, **options):
        self.renew()
        done, changes = self.run(**options)
        assert done.returncode == 0, done.stdout
        return changes

    def digest(self):
        return digest(self.path)

    def members(self):
        sub = os.path.join(self.path, "SUBMSS")
        return [os.path.join(sub, n) for n in sorted(os.listdir(sub))] if self.kind == "mms" else [self.path]

    def once(self, do, k, sticky=0, lack=None, apart=False):
        """What is wrong after one run with a fault: a list of texts. `apart`: members may be before and after, so that the
        Multi-MS does not open until the next task."""
        self.renew()
        done, _ = self.run(do=do, at=k, sticky=sticky, lack=lack)
        wrong = []
        try:
            now = [self.digest()] if not apart else [digest(m) for m in self.members()]
            for member in self.members():
                lock_and_put(member)
        except RuntimeError as e:
            return [f"it does not open: {e}"]
        if done.returncode == 0 and do != "KILL" and not apart and now[0] != self.after:
            wrong.append("success without the change")
        if done.returncode != 0 and do != "KILL" and faults.TEXTS.get(do, "") not in done.stdout:
            wrong.append("the cause is not told: " + done.stdout)
        for name in set(now[0]) | set(self.before) if not apart else ():
            if name in ("FLAG", "WEIGHT"):
                if not mixed(now[0][name], self.before[name], self.after[name]):
                    wrong.append(name + " is neither old nor new")
            elif name == "CORRECTED_DATA":
                if now[0][name] != self.after[name]:
                    wrong.append(name + " is there and not whole")
            elif now[0].get(name) != self.before[name]:
                wrong.append(name + " changed")
        done, _ = self.run()
        if done.returncode != 0:
            wrong.append("the next run fails: " + done.stdout)
        elif self.digest() != self.after:
            wrong.append("the next run leaves something else")
        elif files(self.path) != self.files_after:
            wrong.append(f"debris: {set(files(self.path)) ^ set(self.files_after)}")
        return wrong

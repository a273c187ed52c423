# SPDX-License-Identifier: GPL-3.0-or-later
"""flagmanager when it is killed, and when disks are full: every version in the list is whole, the flags of the MS are as they were (or, in
a restore, each old or new), and the next run succeeds. Instants are spread over each task; with SHEAF_FAULT_ALL=1 all of them."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import faults  # noqa: E402
import flagversions_cases as cases  # noqa: E402

CASES = {"first": ["mode=save", "versionname=new", "comment=c"], "save": ["mode=save", "versionname=new", "comment=c"],
         "save again": ["mode=save", "versionname=old", "comment=c"],
         "rename": ["mode=rename", "oldname=old", "versionname=new", "comment=c"],
         "delete": ["mode=delete", "versionname=old"], "restore": ["mode=restore", "versionname=old"]}


def saved(versions):
    """{name: flags} of the list's versions, and the other names that do not begin with a dot."""
    found = {}
    if os.path.exists(versions + "/FLAG_VERSION_LIST"):
        with open(versions + "/FLAG_VERSION_LIST", encoding="ascii") as lines:
            for line in lines:
                name = line.partition(" : ")[0]
                name = "old.old" if name.startswith("old.old.") else name
                assert name not in found
                found[name] = None
    others = []
    for entry in os.listdir(versions) if os.path.isdir(versions) else []:
        name = "old.old" if entry.startswith("flags.old.old.") else entry[len("flags."):]
        if name in found and entry.startswith("flags."):
            found[name] = cases.flags(f"{versions}/{entry}")
        elif entry != "FLAG_VERSION_LIST":
            others.append(entry)
    return found, others


class Place:
    def __init__(self, folder, case, mms):
        self.place = faults.Place(folder, ["flagmanager", "vis=out/o.ms"] + CASES[case], "o.ms")
        self.path, self.case = self.place.output, case
        self.fresh = str(folder / "fresh")
        os.makedirs(self.fresh)
        path = self.fresh + "/o.ms"
        if mms:
            cases.make(folder / "plain.ms")
            done = faults.sheaf("partition", f"vis={folder}/plain.ms", "outputvis=" + path, "separationaxis=scan",
                                "numsubms=2", "flagbackup=False")
            assert done.returncode == 0, done.stderr
        else:
            cases.make(path)
        cases.put_flags(path, 1)
        self.one = cases.flags(path)
        if case != "first":
            done = faults.sheaf("flagmanager", "vis=" + path, "mode=save", "versionname=old", "comment=o")
            assert done.returncode == 0, done.stderr
        cases.put_flags(path, 2)
        self.two = cases.flags(path)
        before = {} if case == "first" else {"old": self.one}
        after = {"first": {"new": self.two}, "save": {"old": self.one, "new": self.two},
                 "save again": {"old.old": self.one, "old": self.two}, "rename": {"new": self.one}, "delete": {},
                 "restore": before}[case]
        # All lists that a death may leave; a new version exists twice for a while, or is not in the list yet.
        self.lists = [before, after] + ([{"old": self.one, "old.old": self.one}] if case == "save again" else [])
        self.after = after

    def renew(self):
        self.place.clear()
        for name in os.listdir(self.fresh):
            shutil.copytree(f"{self.fresh}/{name}", f"{self.place.out}/{name}", symlinks=True)

    def total(self):
        self.renew()
        done = self.place.run()
        assert done.returncode == 0, done.stderr
        assert saved(self.path + ".flagversions") == (self.after, [])
        return self.place.struck()

    def wrong_flags(self):
        now = cases.flags(self.path)
        if self.case != "restore":
            return now != self.two
        return any(n[0] not in (a[0], b[0]) or any(x not in (y, z) for x, y, z in zip(n[1], a[1], b[1]))
                   for n, a, b in zip(now, self.one, self.two))

    def once(self, do, k, sticky=0):
        self.renew()
        done = self.place.run(do=do, at=k, sticky=sticky or None)
        wrong = []
        lists, others = saved(self.path + ".flagversions")
        if lists not in self.lists:
            wrong.append(f"versions {sorted(lists)}, or what they hold")
        if self.wrong_flags():
            wrong.append("flags of the MS")
        if do != "KILL" and done.returncode == 1:
            if faults.TEXTS[do] not in faults.severe(done.stderr):
                wrong.append("the cause is not told: " + done.stderr)
            # When no name can be changed any more, what was just published stays.
            if lists not in self.lists[::2 if sticky else 3] or [n for n in others if not n.startswith(".") and not (sticky and "flags." in n)]:
                wrong.append(f"something has changed: {sorted(lists)} {others}")
            if self.case != "restore" and self.wrong_flags():
                wrong.append("flags have changed")
        elif do != "KILL" and done.returncode:
            wrong.append(f"status {done.returncode}: {done.stderr}")
        if self.case == "restore" and do == "KILL" and cases.flags(self.path) not in (self.one, self.two):
            told = faults.sheaf("flagdata", "vis=" + self.path, "mode=summary").stderr
            if "flagmanager of 2" not in told or "restore version 'old' again" not in told:
                wrong.append("the interrupted restore is not told: " + told)
        if not wrong and lists == self.lists[0]:
            again = subprocess.run(self.place.words(), cwd=self.place.folder, text=True, capture_output=True,
                                   timeout=faults.LIMIT_S)
            if again.returncode or not self.after.items() <= saved(self.path + ".flagversions")[0].items():
                wrong.append("the next run: " + again.stderr)
            if self.case == "restore" and cases.flags(self.path) != self.one:
                wrong.append("the next run does not restore")
            if os.path.exists(self.path + "/.sheaf-flagging"):
                wrong.append("a note of a restore that has ended")
            if (debris := [n for n in os.listdir(self.path + ".flagversions") if n.startswith(".")]):
                wrong.append(f"the next run leaves {debris}")
        return [f"{do} at {k}: {text}" for text in wrong]


def instants(total, count):
    if os.environ.get("SHEAF_FAULT_ALL"):
        return range(1, total + 1)
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("do, sticky, count", [("KILL", 0, 30), ("ENOSPC", 1, 12), ("EIO", 0, 12)])
def test_fault(tmp_path, case, do, sticky, count):
    place = Place(tmp_path, case, mms=False)
    total = place.total()
    assert sum((place.once(do, k, sticky) for k in instants(total, count)), []) == []


@pytest.mark.parametrize("case", ["save", "restore"])
def test_fault_in_a_multi_ms(tmp_path, case):
    place = Place(tmp_path, case, mms=True)
    total = place.total()
    assert sum((place.once("KILL", k) for k in instants(total, 12)), []) == []

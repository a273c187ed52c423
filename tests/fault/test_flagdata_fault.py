# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata when processes are killed and disks are full: the MS opens, each flag is old or new, the backup is whole or
absent, what was interrupted is told, and the next run succeeds and leaves no debris. Instants are spread over the task; with SHEAF_FAULT_ALL=1 all of them."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "python")]
pytest.importorskip("casacore.tables")

import faults  # noqa: E402
import flagversions_cases as cases  # noqa: E402

CASES = {
    "rows": ["mode=quack", "quackinterval=1.5"],
    "buffers": ["mode=list", "inpfile=[\"mode='manual' antenna='1'\",\"mode='extend' growtime=30.0\","
                "\"mode='unflag' scan='2'\",\"mode='clip' clipminmax=[0,0.5]\"]"],
}


class Place:
    def __init__(self, folder, case, mms=False, ranks=0):
        self.place = faults.Place(folder, ["flagdata", "vis=out/o.ms"] + CASES[case], "o.ms", ranks)
        self.path = self.place.output
        self.fresh = str(folder / "fresh.ms")
        cases.make(self.fresh)
        cases.put_flags(self.fresh, 1)
        if mms:
            plain, self.fresh = self.fresh, str(folder / "fresh.mms")
            done = faults.sheaf("partition", "vis=" + plain, "outputvis=" + self.fresh, "separationaxis=baseline",
                                "numsubms=3", "flagbackup=False")
            assert done.returncode == 0, done.stderr
        self.renew()
        self.before = cases.flags(self.path)
        self.again()
        self.after = cases.flags(self.path)
        assert self.before != self.after

    def renew(self):
        self.place.clear()
        shutil.copytree(self.fresh, self.path, symlinks=True)

    def again(self):
        done = subprocess.run([faults.SHEAF, "--nologfile"] + self.place.command, cwd=self.place.folder, text=True,
                              capture_output=True, timeout=faults.LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr

    def total(self):
        self.renew()
        done = self.place.run()
        assert done.returncode == 0, done.stderr
        return self.place.struck()

    def once(self, do, k, sticky=0, again=True, **fault):
        """What is wrong after one run with a fault: a list of texts."""
        self.renew()
        done = self.place.run(do=do, at=k, sticky=sticky, **fault)
        wrong = []
        try:
            now = cases.flags(self.path)
        except RuntimeError as e:
            return [f"does not open: {e}"]
        for row, old, new in zip(now, self.before, self.after):
            if row[0] not in (old[0], new[0]):
                wrong.append("FLAG_ROW neither old nor new")
            c, o, n = (np.frombuffer(r[1], np.uint8) for r in (row, old, new))
            if not np.all((c == o) | (c == n)):
                wrong.append("FLAG neither old nor new")
        listed = self.path + ".flagversions/FLAG_VERSION_LIST"
        if os.path.exists(listed) and "flagdata_1" in open(listed, encoding="ascii").read():
            if cases.flags(self.path + ".flagversions/flags.flagdata_1") != self.before:
                wrong.append("the backup has other flags")
        elif now != self.before:
            wrong.append("flags changed before there was a backup")
        if do == "KILL":
            wrong += self.told(now)
        if do != "KILL" and done.returncode not in (0, 1):
            wrong.append(f"status {done.returncode}: {done.stderr}")
        if do != "KILL" and done.returncode == 1 and faults.TEXTS[do] not in faults.severe(done.stderr):
            wrong.append("the cause is not told: " + done.stderr)
        if done.returncode == 0 and now != self.after:
            wrong.append("a success with other flags")
        if again and not wrong:
            self.again()
            if os.path.exists(self.path + "/.sheaf-flagging"):
                wrong.append("a note of a run that has ended")
            debris = [n for n in os.listdir(self.place.out) if n not in ("o.ms", "o.ms.flagversions")]
            if debris:
                wrong.append(f"debris: {debris}")
        return wrong


    def told(self, now):
        """What is wrong with what flagmanager says after a death, and with what it leaves."""
        wrong = []
        done = faults.sheaf("flagmanager", "vis=" + self.path)
        telling = [line for line in done.stderr.split("\n") if "was interrupted" in line]
        if done.returncode:
            wrong.append("the versions cannot be listed: " + done.stderr)
        if len(telling) > 1 or any("flagdata of 2" not in t or "version 'flagdata_1' has" not in t for t in telling):
            wrong.append(f"told: {telling}")
        if bool(telling) != os.path.exists(self.path + "/.sheaf-flagging"):
            wrong.append("told without a note, or not told")
        if not telling and now not in (self.before, self.after):
            wrong.append("half of the flags are written, and nothing is said")
        if (debris := [n for n in os.listdir(self.place.out) if n not in ("o.ms", "o.ms.flagversions")]):
            wrong.append(f"flagmanager leaves {debris}")
        return wrong


def instants(total, count):
    if os.environ.get("SHEAF_FAULT_ALL"):
        return range(1, total + 1)
    return sorted({1 + i * (total - 1) // (count - 1) for i in range(count)})


@pytest.mark.parametrize("case, mms, ranks, count", [("rows", False, 0, 16), ("buffers", False, 0, 20), ("rows", True, 0, 10),
                                                     ("buffers", True, 0, 14)])
def test_killed(tmp_path, case, mms, ranks, count):
    place = Place(tmp_path, case, mms, ranks)
    total = place.total()
    assert total >= count
    bad = []
    for i, k in enumerate(instants(total, count)):
        bad += [f"KILL at {k} of {total}: {text}" for text in place.once("KILL", k, again=i % 5 == 0)]
    assert bad == []


def test_a_server_is_killed(tmp_path):
    """Another server does its unit again: the result is whole."""
    place = Place(tmp_path, "buffers", ranks=3)
    for k in (1, 3, 6):
        bad = place.once("KILL", k, rank=1, again=False)
        assert bad == [], k
        assert cases.flags(place.path) == place.after


def test_the_client_is_killed(tmp_path):
    place = Place(tmp_path, "buffers", mms=True, ranks=3)
    bad = []
    for k in (5, 30, 60, 74, 75, 77, 80):
        bad += [f"KILL at {k}: {text}" for text in place.once("KILL", k, rank=0, again=k == 77)]
    assert bad == []


@pytest.mark.parametrize("do, sticky", [("ENOSPC", 1), ("EIO", 0)])
@pytest.mark.parametrize("case", ["rows", "buffers"])
def test_failures(tmp_path, case, do, sticky):
    place = Place(tmp_path, case)
    total = place.total()
    bad = []
    for i, k in enumerate(instants(total, 8)):
        bad += [f"{do} at {k} of {total}: {text}" for text in place.once(do, k, sticky, again=i % 5 == 0)]
    assert bad == []


def test_read_only(tmp_path):
    place = Place(tmp_path, "rows")
    assert place.once("EROFS", 1, 1, again=False) == []
    assert cases.flags(place.path) == place.before

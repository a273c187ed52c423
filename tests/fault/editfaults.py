# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a table (tests/edits.py) with a fault (shim.c) at a chosen change, and what must hold after."""
import os
import shutil

import edits
import faults
from inplacefaults import lock_and_put
from runs import preload

ADD = ["add:NEW:9:DATA", "add:MARK:0:DATA", "set::K:[1,2,3]", "prepare", "fill:NEW:0", "fill:MARK:1", "sync", "commit"]
REMOVE = ["remove:ALONE", "drop::WORD", "set:DATA:UNIT:\"mJy\"", "commit"]
SHARE = ["remove:PAIR1", "remove:EXTRA", "commit"]  # both share a manager, a tiled and a standard one


class Place:
    """A folder with a table that is edited again and again, each time with another fault."""

    def __init__(self, folder, steps, nrow=200):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.steps = folder, steps
        self.fresh, self.path = os.path.join(folder, "fresh"), os.path.join(folder, "t")
        edits.make(self.fresh, nrow)
        self.before, self.files_before = edits.digest(self.fresh), edits.files(self.fresh)
        self.renew()
        edits.edit(self.path, *steps)
        self.after, self.files_after = edits.digest(self.path), edits.files(self.path)
        assert self.before != self.after

    def renew(self):
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(self.fresh, self.path)

    def run(self, **fault):
        counter = os.path.join(self.folder, "counter")
        if os.path.exists(counter):
            os.unlink(counter)
        env = dict(os.environ, LD_PRELOAD=preload(faults.SHIM), SHEAF_FAULT_UNDER=self.path, SHEAF_FAULT_COUNTER=counter)
        env.update({"SHEAF_FAULT_" + k.upper(): str(v) for k, v in fault.items() if v})
        done = edits.run(self.path, *self.steps, env=env)
        with open(counter, "rb") as f:
            return done, int.from_bytes(f.read(8), "little")

    def total(self):
        self.renew()
        done, n = self.run()
        assert done.returncode == 0, done.stdout
        return n

    def once(self, do, k, sticky=0):
        """What is wrong after one run with a fault: a list of texts."""
        self.renew()
        done, _ = self.run(do=do, at=k, sticky=sticky)
        wrong = []
        try:
            now = edits.digest(self.path)
        except RuntimeError as e:
            return [f"the table does not open: {e}"]
        if now not in (self.before, self.after):
            wrong.append("neither as before nor as after")
        if do != "KILL":
            if done.returncode == 0 and now != self.after:
                wrong.append("success without the change")
            if done.returncode != 0 and faults.TEXTS[do] not in done.stdout:
                wrong.append("the cause is not told: " + done.stdout)
            if now == self.before and edits.files(self.path) != self.files_before and not sticky:
                wrong.append(f"left behind: {set(edits.files(self.path)) - set(self.files_before)}")
        lock_and_put(self.path)
        # The next one removes what is left, and succeeds.
        edits.edit(self.path, "recover")
        wanted = self.files_before if now == self.before else self.files_after
        if edits.files(self.path) != wanted:
            wrong.append(f"debris after recovery: {set(edits.files(self.path)) ^ set(wanted)}")
        if edits.digest(self.path) != now:
            wrong.append("recovery changed the table")
        if now == self.before:
            again = edits.run(self.path, *self.steps)
            if again.returncode != 0 or edits.digest(self.path) != self.after:
                wrong.append("the next edit fails: " + again.stdout)
        return wrong

# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequences of clearcal and delmod that CASA and Sheaf are compared on; made with python-casacore alone.

make_inputs(folder) writes the MSs; run(steps, path, tasks) does a sequence; digest(path) is what is compared.
"""

import hashlib
import os

import numpy as np
from casacore.tables import table

import simulate
import weights_cases

MSS = {"many": weights_cases.MANY, "linear": weights_cases.DEEP,
       "circular": {**weights_cases.DEEP, "polarizations": [[5, 6, 7, 8]]},
       "single": {**weights_cases.MANY, "data": ("FLOAT_DATA",)}}


def make_inputs(folder):
    for name, options in MSS.items():
        simulate.simulate(os.path.join(folder, name + ".ms"), **options)


def spoil(path):
    """Other values in every row of the scratch columns."""
    with table(path, readonly=False, ack=False) as t:
        for name in ("CORRECTED_DATA", "MODEL_DATA"):
            if name in t.colnames():
                for row in range(t.nrows()):
                    t.putcell(name, row, t.getcell(name, row) * 0 + (row + 2 + 3j))


NEW = ("clearcal", {})
BOTH = ("clearcal", {"addmodel": True})
SPOIL = ("spoil", {})
CASES = {f"{ms}-{name}": (ms, steps) for ms in MSS for name, steps in {
    "new": [NEW], "model": [BOTH], "late model": [NEW, SPOIL, BOTH], "again": [BOTH, SPOIL, NEW],
    "without": [BOTH, ("delmod", {"scr": True})], "listed": [BOTH, ("delmod", {"otf": False})],
    "back": [BOTH, SPOIL, ("delmod", {"scr": True}), BOTH]}.items()}
for _name, _keywords in {"field": {"field": "1"}, "fields": {"field": "NGC*,0"}, "spw": {"spw": "1"}, "empty": {"spw": ""},
                         "channels": {"spw": "0:1~2"}, "mixed": {"spw": "0:1~2,1"}, "intent": {"intent": "OBSERVE_TARGET*"},
                         "all three": {"field": "1", "spw": "1:1", "intent": "OBSERVE*"}, "channel": {"spw": "*:1"}}.items():
    CASES[f"linear-{_name}"] = ("linear", [BOTH, SPOIL, ("clearcal", _keywords)])
    CASES[f"linear-{_name} without model"] = ("linear", [NEW, SPOIL, ("clearcal", _keywords)])
CASES["many-falling channels"] = ("many", [BOTH, SPOIL, ("clearcal", {"spw": "2:2~5"})])


def run(steps, path, tasks):
    for name, keywords in steps:
        if name == "spoil":
            spoil(path)
        else:
            getattr(tasks, name)(path, **keywords)


def digest(path):
    """Columns in order, and of the scratch columns: MD5 of the values row by row, storage, description."""
    out = {}
    with table(path, ack=False) as t:
        out["columns"] = t.colnames()
        managers = {c: (m["TYPE"], m["NAME"]) for m in t.getdminfo().values() for c in m["COLUMNS"]}
        for name in ("CORRECTED_DATA", "MODEL_DATA"):
            if name not in out["columns"]:
                continue
            md5 = hashlib.md5()
            for row in range(t.nrows()):
                md5.update(np.ascontiguousarray(np.asarray(t.getcell(name, row), np.complex64)).tobytes())
            desc = t.getcoldesc(name)
            out[name] = [md5.hexdigest(), *managers[name], desc["valueType"], desc["ndim"], desc["comment"],
                         desc["keywords"]]
    return out

# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for tests of table/edit.h, and what they hold; used by tests/python and tests/fault."""
import os
import subprocess

import numpy as np
from casacore import tables

TOOL = os.path.join(os.environ.get("SHEAF_BUILD", "build"), "tests", "edit_tool")
FLOAT, COMPLEX, BOOL = 7, 9, 0


def make(path, nrow=600, seed=0, undefined=True):
    """A table like an MS: DATA in two shapes that take turns, with undefined cells, scalars, a sub-table, two columns in one
    manager."""
    rng = np.random.default_rng(seed)
    desc = [tables.makescacoldesc("TIME", 0.0), tables.makescacoldesc("EXTRA", 0), tables.makescacoldesc("SCAN", 0, datamanagertype="IncrementalStMan"),
            tables.makearrcoldesc("DATA", 0j, ndim=2, valuetype="complex", datamanagertype="TiledShapeStMan",
                                  datamanagergroup="D", comment="visibilities"),
            tables.makearrcoldesc("PAIR1", 0.0, ndim=1, valuetype="float", datamanagertype="TiledShapeStMan",
                                  datamanagergroup="P"),
            tables.makearrcoldesc("PAIR2", 0.0, ndim=1, valuetype="float", datamanagertype="TiledShapeStMan",
                                  datamanagergroup="P"),
            tables.makearrcoldesc("ALONE", 0.0, ndim=2, valuetype="float", datamanagertype="TiledShapeStMan",
                                  datamanagergroup="A")]
    t = tables.table(path, tables.maketabdesc(desc), nrow=nrow, ack=False)
    t.putcol("EXTRA", np.arange(nrow, dtype=np.int32) * 3)
    t.putcol("TIME", np.arange(nrow) * 0.5)
    t.putcol("SCAN", (np.arange(nrow) // 50).astype(np.int32))
    for row in range(nrow):
        shape = (4, 2) if row // 37 % 2 else (6, 2)
        if not (undefined and row % 97 == 13):
            t.putcell("DATA", row, (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64))
        t.putcell("ALONE", row, np.full(shape, row, np.float32))
        t.putcell("PAIR1", row, np.full(3, row, np.float32))
        t.putcell("PAIR2", row, np.full(3, -row, np.float32))
    sub = tables.table(path + "/SUB", tables.maketabdesc([tables.makescacoldesc("ID", 0)]), nrow=3, ack=False)
    t.putkeyword("SUB", "Table: " + path + "/SUB")
    sub.close()
    t.putkeyword("WORD", "text")
    t.putcolkeyword("DATA", "UNIT", "Jy")
    t.close()
    return path


def run(path, *steps, env=None, limit_s=120):
    return subprocess.run([TOOL, path, *steps], text=True, capture_output=True, timeout=limit_s, env=env)


def edit(path, *steps):
    done = run(path, *steps)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exact(value):
    """Bytes of numbers; texts, which come as lists or dictionaries, as they are."""
    return value.tobytes() if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def cells(t, column):
    return [exact(t.getcell(column, r)) if t.iscelldefined(column, r) else None for r in range(t.nrows())]


def digest(path):
    """{column: cells} and keywords, as casacore reads them."""
    t = tables.table(path, ack=False)
    found = {}
    for name in t.colnames():
        found[name] = exact(t.getcol(name)) if t.isscalarcol(name) else cells(t, name)
        found[name + " keywords"] = repr(t.getcolkeywords(name))
    found["keywords"] = repr({k: v if k != "SUB" else os.path.basename(v) for k, v in t.getkeywords().items()})
    t.close()
    return found


def files(path):
    return sorted(os.listdir(path))

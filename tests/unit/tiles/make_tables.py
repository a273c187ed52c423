#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made the tables shape, cell and column beside it (casacore 3.5.0; data_little and data_big: make_data.cc).

Element k (first axis fastest) of row r: VIS = 1000 r + k, MASK = (7 r + 5 k) % 3 == 0. Cells are (2,5) or (4,3)."""
import os

import numpy as np
from casacore.tables import makearrcoldesc, maketabdesc, table

HERE = os.path.dirname(os.path.abspath(__file__))
UNDEFINED = {"shape": {3, 14}, "cell": {0, 9}, "column": set()}


def make(kind, manager, tile, endian):
    fixed = {"shape": [5, 2], "options": 5} if kind == "column" else {}
    common = dict(ndim=2, datamanagertype=manager, datamanagergroup="G", **fixed)
    desc = maketabdesc([makearrcoldesc("VIS", 0, valuetype="int", **common),
                        makearrcoldesc("MASK", False, valuetype="boolean", **common)])
    dminfo = {"*1": {"TYPE": manager, "NAME": "G", "SEQNR": 0, "COLUMNS": ["VIS", "MASK"],
                     "SPEC": {"DEFAULTTILESHAPE": tile}}}
    t = table(os.path.join(HERE, kind), desc, nrow=15, dminfo=dminfo, endian=endian, ack=False)
    t.putkeyword("NOTE", {"a": [1.5, 2.5], "b": {"c": "deep", "d": True}, "e": np.array([True, False, True])})
    t.putcolkeyword("VIS", "UNIT", "Jy")
    for row in range(15):
        if row in UNDEFINED[kind]:
            continue
        shape = (2, 5) if kind == "column" or row not in range(6, 12) else (4, 3)
        k = np.arange(shape[0] * shape[1])
        t.putcell("VIS", row, (1000 * row + k).reshape(shape[::-1]))
        t.putcell("MASK", row, ((7 * row + 5 * k) % 3 == 0).reshape(shape[::-1]))
    t.close()


make("shape", "TiledShapeStMan", [2, 2, 4], "little")
make("cell", "TiledCellStMan", [3, 2], "big")
make("column", "TiledColumnStMan", [2, 5, 8], "little")

# SPDX-License-Identifier: GPL-3.0-or-later
"""MSs with flags that are known, for tests of flag versions; expected/make_flagversions.py lets CASA save them."""

import numpy as np
from casacore.tables import table

import simulate

OPTIONS = {"nant": 4, "polarizations": [[5, 8]], "descriptions": [(0, 0), (2, 0)], "autos": True,
           "scans": [(0, 0, 1, 0, 0, [0, 1], 3), (0, 0, 2, 1, 1, [1, 0], 3), (0, 0, 3, 0, 1, [1], 2)]}
KEYS = ("TIME", "ANTENNA1", "ANTENNA2", "FEED1", "DATA_DESC_ID", "FIELD_ID", "SCAN_NUMBER")


def make(path, **more):
    return simulate.simulate(str(path), **{**OPTIONS, **more})


def put_flags(path, seed):
    """Flags that depend on the seed and the row number alone."""
    with table(str(path), readonly=False, ack=False) as t:
        for row in range(t.nrows()):
            rng = np.random.default_rng([seed, row])
            if t.iscelldefined("FLAG", row):
                t.putcell("FLAG", row, rng.random(t.getcell("FLAG", row).shape) < 0.3)
            t.putcell("FLAG_ROW", row, bool(rng.random() < 0.2))


def flags(path):
    """[(FLAG_ROW, FLAG)] by row; FLAG None where it is undefined."""
    with table(str(path), ack=False) as t:
        return [(bool(t.getcell("FLAG_ROW", row)),
                 t.getcell("FLAG", row).tobytes() if t.iscelldefined("FLAG", row) else None) for row in range(t.nrows())]


def flags_by_key(path):
    """{identity: [(FLAG_ROW, FLAG)]}: the same for an MS and its Multi-MS."""
    with table(str(path), ack=False) as t:
        keys = list(zip(*(t.getcol(name) for name in KEYS)))
    found = {}
    for key, flag in zip(keys, flags(path)):
        found.setdefault(key, []).append(flag)
    return found

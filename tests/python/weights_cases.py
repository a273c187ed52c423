# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs and calls for initweights that CASA and Sheaf are compared on; made with python-casacore alone.

make_inputs(folder) writes many.ms (windows of 1 to 8 channels, one of falling frequency, two observations), deep.ms (windows of 32 and 33 channels) and system temperature tables for both. Values come from seeded
generators; the same call writes the same bytes.
"""

import hashlib
import os

import numpy as np
from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc, table, tablecopy

import simulate

# CASA 6.7 aborts on an MS whose polarization setups differ in the number of correlations, so each has one.
MANY = {"polarizations": [[5, 8]], "descriptions": [(0, 0), (2, 0), (1, 0), (3, 0), (4, 0)],
        "scans": [(0, 0, 1, 0, 0, [0, 1], 2), (0, 0, 2, 2, 1, [2, 3], 2), (0, 1, 3, 1, 1, [0, 4], 3),
                  (1, 0, 3, 3, 2, [2, 1], 2), (1, 0, 12, 0, 0, [0, 1, 3], 1), (1, 1, 11, 3, 3, [4], 2)]}
DEEP = {"windows": [(32, 1e6), (33, -2e6)], "polarizations": [[9, 10, 11, 12]],
        "descriptions": [(0, 0), (1, 0)], "nant": 4, "autos": True,
        "scans": [(0, 0, 1, 0, 0, [0, 1], 3), (0, 0, 2, 1, 1, [1], 3), (0, 0, 3, 2, 2, [0, 1], 4)]}


def _put(path, name, values):
    with table(path, readonly=False, ack=False) as t:
        for row, value in enumerate(values):
            t.putcell(name, row, value)


def _vary(path, seed):
    """Uneven bandwidths and integration times; SIGMA as simulate made it."""
    rng = np.random.default_rng(seed)
    with table(path + "/SPECTRAL_WINDOW", ack=False) as t:
        counts = t.getcol("NUM_CHAN")
    _put(path + "/SPECTRAL_WINDOW", "EFFECTIVE_BW", [rng.uniform(0.5e6, 3e6, n) for n in counts])
    with table(path, readonly=False, ack=False) as t:
        t.putcol("EXPOSURE", rng.uniform(1, 12, t.nrows()))


COLUMNS = [("TIME", 0.0), ("FIELD_ID", 0), ("SPECTRAL_WINDOW_ID", 0), ("ANTENNA1", 0), ("ANTENNA2", 0), ("INTERVAL", 0.0),
           ("SCAN_NUMBER", 0), ("OBSERVATION_ID", 0)]


def _empty_caltable(path, ms, kind="B TSYS"):
    """A calibration table without rows, laid out as CASA's gencal does."""
    descs = [makescacoldesc(name, value) for name, value in COLUMNS]
    descs += [makearrcoldesc("FPARAM", 0.0, valuetype="float"), makearrcoldesc("PARAMERR", 0.0, valuetype="float"),
              makearrcoldesc("FLAG", False), makearrcoldesc("SNR", 0.0, valuetype="float"),
              makearrcoldesc("WEIGHT", 0.0, valuetype="float")]
    t = table(path, maketabdesc(descs), ack=False)
    t.putinfo({"type": "Calibration", "subType": kind, "readme": ""})
    for name, value in (("ParType", "Float"), ("MSName", os.path.basename(ms)), ("VisCal", kind), ("PolBasis", "unknown"),
                        ("CASA_Version", "6.7.0-31")):
        t.putkeyword(name, value)
    t.putcolkeywords("TIME", {"QuantumUnits": ["s"], "MEASINFO": {"type": "epoch", "Ref": "UTC"}})
    t.putcolkeyword("INTERVAL", "QuantumUnits", ["s"])
    t.close()
    for sub in ("OBSERVATION", "ANTENNA", "FIELD", "SPECTRAL_WINDOW", "HISTORY"):
        tablecopy(f"{ms}/{sub}", f"{path}/{sub}")
        with table(path, readonly=False, ack=False) as t:
            t.putkeyword(sub, "Table: " + os.path.abspath(f"{path}/{sub}"))


def _channels(path, counts):
    """Gives the windows of a calibration table `counts` channels each, spread over nine tenths of the window."""
    with table(path + "/SPECTRAL_WINDOW", readonly=False, ack=False) as t:
        for row, count in enumerate(counts):
            f = t.getcell("CHAN_FREQ", row)
            width = np.abs(t.getcell("CHAN_WIDTH", row)).sum() * np.sign(f[-1] - f[0] or 1)
            if count == len(f):
                continue
            centre = f.mean()
            new = centre + width * 0.9 * (np.arange(count) - (count - 1) / 2) / max(count, 2)
            t.putcell("NUM_CHAN", row, count)
            t.putcell("CHAN_FREQ", row, new)
            for name in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
                t.putcell(name, row, np.full(count, abs(width) / count))


def caltable(path, ms, counts, seed, times=(95.0, 121.3, 250.0, 377.7), nant=4, without=(), flagged=0.0, negative=False):
    """System temperatures of 50 to 150 K for each antenna, window and time; `without`: (antenna, window) that are absent."""
    _empty_caltable(path, ms)
    _channels(path, counts)
    rng = np.random.default_rng(seed)
    with table(path + "/OBSERVATION", ack=False) as t:
        nobs = t.nrows()
    with table(path + "/FIELD", ack=False) as t:
        nfield = t.nrows()
    rows = []
    for spw, count in enumerate(counts):
        for i, when in enumerate(times):
            for ant in range(nant):
                value = rng.uniform(50, 150, (count, 2)).astype(np.float32)
                flag = rng.uniform(size=(count, 2)) < flagged
                if negative and ant == 1:
                    value = -value if i == 1 else value
                if (ant, spw) not in without:
                    rows.append((simulate.TIME0 + when + 0.01 * spw, i % nfield, spw, ant, -1, 0.0, i + 1,
                                 min(i * nobs // len(times), nobs - 1), value, flag))
    with table(path, readonly=False, ack=False) as t:
        t.addrows(len(rows))
        for c, (name, _) in enumerate(COLUMNS):
            t.putcol(name, np.array([r[c] for r in rows]))
        for i, r in enumerate(rows):
            t.putcell("FPARAM", i, r[8])
            t.putcell("FLAG", i, r[9])
            for name in ("PARAMERR", "SNR"):
                t.putcell(name, i, np.ones_like(r[8]))


def make_inputs(folder):
    many, deep, single = (os.path.join(folder, name + ".ms") for name in ("many", "deep", "single"))
    simulate.simulate(many, **MANY)
    _vary(many, 1)
    simulate.simulate(deep, **DEEP)
    _vary(deep, 2)
    simulate.simulate(single, polarizations=[[9]], descriptions=[(0, 0), (2, 0)], scans=[(0, 0, 1, 0, 0, [0, 1], 3)])
    _vary(single, 9)
    counts = [abs(n) for n, _ in simulate.WINDOWS]
    with table(many + "/ANTENNA", ack=False) as t:
        nant = t.nrows()
    caltable(os.path.join(folder, "many.tsys"), many, counts, 3, nant=nant)
    caltable(os.path.join(folder, "holes.tsys"), many, [5, 1, 6, 7, 2], 4, nant=nant, without=[(2, 0), (1, 3)], flagged=0.2)
    caltable(os.path.join(folder, "deep.tsys"), deep, [16, 12], 5)
    caltable(os.path.join(folder, "flagged.tsys"), deep, [16, 12], 6, flagged=0.3)
    caltable(os.path.join(folder, "negative.tsys"), deep, [32, 33], 7, negative=True)
    caltable(os.path.join(folder, "single.tsys"), single, [4, 3, 5], 9, nant=nant, flagged=0.2)
    caltable(os.path.join(folder, "one.tsys"), deep, [16], 8, times=(130.0,))


# name: (MS, table or None, parameters)
CASES = {}


def _cases():
    for ms in ("many", "deep", "single"):
        for mode in ("nyq", "sigma", "ones"):
            for dowtsp in (False, True):
                CASES[f"{ms}-{mode}-{dowtsp}"] = (ms, None, {"wtmode": mode, "dowtsp": dowtsp})
        CASES[f"{ms}-weight"] = (ms, None, {"wtmode": "weight", "dowtsp": True})
    for mode in ("tsys", "tinttsys"):
        for dowtsp in (False, True):
            CASES[f"single-{mode}-{dowtsp}"] = ("single", "single", {"wtmode": mode, "dowtsp": dowtsp})
            for cal in ("many", "holes"):
                CASES[f"{cal}-{mode}-{dowtsp}"] = ("many", cal, {"wtmode": mode, "dowtsp": dowtsp})
            for cal in ("deep", "flagged", "negative", "one"):
                CASES[f"{cal}-{mode}-{dowtsp}"] = ("deep", cal, {"wtmode": mode, "dowtsp": dowtsp})
    for dowtsp in (False, True):
        for interp in ("nearest", "linear,nearest", "nearest,linear", "cubic,linear", "linear,cubic", "linear,spline",
                       "cubic,spline", "linear,linearflag", "nearest,nearestflag", "linear,cubicflag", "linear,splineflag",
                       "linearperobs,linear", "nearestperobs", "linear,linearrel", "linearPD", "linearperscan"):
            CASES[f"flagged-{interp}-{dowtsp}"] = ("deep", "flagged", {"wtmode": "tsys", "interp": interp, "dowtsp": dowtsp})
        for interp in ("linear,cubic", "cubic,cubicflag", "linear,splinerel"):
            CASES[f"deep-{interp}-{dowtsp}"] = ("deep", "deep", {"wtmode": "tsys", "interp": interp, "dowtsp": dowtsp})
        for interp in ("linearperobs", "nearestperobs,cubic", "linearperscan", "linear,linearflag", "linear,splineflag"):
            CASES[f"holes-{interp}-{dowtsp}"] = ("many", "holes", {"wtmode": "tinttsys", "interp": interp, "dowtsp": dowtsp})
        for field in ("0", "1", "nearest", "0,2", "NGC*", "3C286"):
            CASES[f"field-{field}-{dowtsp}"] = ("deep", "deep", {"wtmode": "tsys", "gainfield": field, "dowtsp": dowtsp})
        for spwmap in ([0], [1, 0], [1], [-1], [-999], [1, 1]):
            CASES[f"spwmap-{spwmap}-{dowtsp}"] = ("deep", "flagged", {"wtmode": "tsys", "spwmap": spwmap, "dowtsp": dowtsp})
        CASES[f"one-999-{dowtsp}"] = ("deep", "one", {"wtmode": "tsys", "spwmap": [0, 0], "dowtsp": dowtsp})


_cases()


def columns(path):
    """The weight columns of an MS, row by row: {name: list of arrays, None where a cell is undefined}."""
    out = {}
    with table(path, ack=False) as t:
        for name in ("WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"):
            if name in t.colnames():
                out[name] = [np.asarray(t.getcell(name, row), np.float32) if t.iscelldefined(name, row) else None
                             for row in range(t.nrows())]
    return out


def digest(path):
    """{column: MD5 of all values, row by row}."""
    result = {}
    for name, cells in columns(path).items():
        md5 = hashlib.md5()
        for cell in cells:
            md5.update(b"none" if cell is None else np.ascontiguousarray(cell).tobytes())
        result[name] = md5.hexdigest()
    return result

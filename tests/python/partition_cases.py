# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of partition that are compared with CASA, and a digest of what a call wrote.

Run by CASA's Python through expected/make_partition.py, and by Debian's through test_partition.py.
"""

import hashlib
import os

import numpy as np
from casacore.tables import table

from simulate import simulate

# What CASA can digest: one data description per window, none of them unused, each scan number in one observation.
PLAIN = dict(windows=[(4, 1e6), (1, 64e6), (8, -2e6), (3, 5e5)], polarizations=[[5, 8], [5, 6, 7, 8]],
             descriptions=[(0, 0), (1, 1), (2, 1), (3, 0)],
             scans=[(0, 0, 1, 0, 0, [0, 2], 2), (0, 0, 2, 2, 1, [3, 1], 2), (0, 1, 4, 1, 1, [0, 3], 3),
                    (1, 0, 5, 3, 2, [3, 1], 2), (1, 0, 12, 0, 0, [0, 1, 2], 1), (1, 1, 11, 3, 3, [2], 2)],
             fields=[("3C286", 0), ("NGC1", 1), ("NGC2", 1), ("J0001+1", 2)], optional=True)
INPUTS = {
    "full": dict(PLAIN, autos=True, shuffled=True, data=("DATA", "CORRECTED_DATA", "MODEL_DATA"),
                 spectra=("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM")),
    "float": dict(PLAIN, data=("FLOAT_DATA",), optional=False),
    "standard": dict(PLAIN, storage="standard", data=("DATA", "CORRECTED_DATA"), spectra=("WEIGHT_SPECTRUM",)),
}

CASES = {}
for _axis in ("auto", "scan", "spw", "baseline"):
    for _n in (2, 4, "auto", 100):
        if (_axis, _n) == ("baseline", 100):
            continue  # slow
        CASES[f"ngc {_axis} {_n}"] = ("ngc", dict(separationaxis=_axis, numsubms=_n))
    for _input in INPUTS if _axis != "spw" else ["float"]:  # CASA cannot consolidate the sub-tables of the others
        CASES[f"{_input} {_axis} 3"] = (_input, dict(separationaxis=_axis, numsubms=3))
for _name, _keywords in {
        "field": dict(field="1,2"), "field name": dict(field="NGC*"), "spw": dict(spw="0,2"),
        "channels": dict(spw="0:1~2,2:5;0~3"), "correlation": dict(correlation="RR,LL"),
        "antenna": dict(antenna="A01,A03"), "not": dict(antenna="!2"), "baseline": dict(antenna="1&3;0"),
        "intent": dict(intent="*TARGET*"), "intents": dict(intent="*PHASE*,*BAND*"), "observation": dict(observation="1"),
        "array": dict(array="1"), "scan": dict(scan="4,5"), "taql": dict(taql="ANTENNA1!=ANTENNA2"), "uvrange": dict(uvrange="0~400m"),
        "several": dict(spw="0,2:1~3", field="0,3", antenna="0~3", scan="1,12")}.items():
    CASES[f"full plain {_name}"] = ("full", dict(createmms=False, **_keywords))
    CASES[f"full mms {_name}"] = ("full", dict(separationaxis="scan", numsubms=2, **_keywords))
for _input, _columns in {"full": ("data", "corrected", "model", "data,model,corrected"), "float": ("float_data", "all"),
                         "standard": ("data", "corrected")}.items():
    for _column in _columns:
        CASES[f"{_input} column {_column}"] = (_input, dict(createmms=False, datacolumn=_column))
CASES["ngc plain"] = ("ngc", dict(createmms=False))
CASES["ngc several"] = ("ngc", dict(createmms=False, field="0", spw="0:10~20;30", antenna="!3", correlation="LL", scan="1~4"))
CASES["ngc timerange"] = ("ngc", dict(createmms=False, timerange="09:30:00~10:30:00"))

MAIN = ["TIME", "ANTENNA1", "ANTENNA2", "DATA_DESC_ID", "FIELD_ID", "STATE_ID", "OBSERVATION_ID", "ARRAY_ID", "SCAN_NUMBER",
        "EXPOSURE", "UVW", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "DATA", "CORRECTED_DATA", "MODEL_DATA", "FLOAT_DATA",
        "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"]
# Columns that say which rows a sub-table has, and how they are numbered.
SUBTABLES = {"ANTENNA": ["NAME"], "FIELD": ["NAME"], "STATE": ["OBS_MODE"], "OBSERVATION": ["PROJECT"],
             "SPECTRAL_WINDOW": ["NAME", "NUM_CHAN", "CHAN_FREQ", "CHAN_WIDTH", "RESOLUTION", "TOTAL_BANDWIDTH",
                                 "REF_FREQUENCY"],
             "DATA_DESCRIPTION": ["SPECTRAL_WINDOW_ID", "POLARIZATION_ID"], "POLARIZATION": ["CORR_TYPE", "CORR_PRODUCT"],
             "SOURCE": ["SOURCE_ID", "SPECTRAL_WINDOW_ID", "NAME"], "FEED": ["ANTENNA_ID", "SPECTRAL_WINDOW_ID"],
             "SYSCAL": ["ANTENNA_ID", "SPECTRAL_WINDOW_ID", "TSYS"], "SYSPOWER": ["ANTENNA_ID", "SPECTRAL_WINDOW_ID"],
             "WEATHER": ["ANTENNA_ID"], "POINTING": ["ANTENNA_ID", "TIME"], "FLAG_CMD": ["COMMAND"]}


def make_inputs(folder):
    for name, options in INPUTS.items():
        simulate(os.path.join(folder, name + ".ms"), **options)


def uniform(t, name):
    """Whether getcol works: every cell is there, and all are of one shape."""
    if t.isscalarcol(name):
        return True
    if not all(t.iscelldefined(name, row) for row in (0, t.nrows() - 1)):
        return False
    try:
        return len(set(t.getcolshapestring(name))) == 1
    except RuntimeError:
        return False


def feed_column(sha, t, name):
    if t.nrows() == 0:
        return
    if uniform(t, name):
        values = t.getcol(name)
        cells = [np.array(values, dtype=object) if isinstance(values, list) else values]
    else:
        cells = (t.getcell(name, r) if t.iscelldefined(name, r) else "undefined" for r in range(t.nrows()))
    for cell in cells:
        cell = np.asarray(cell)
        text = cell.dtype.kind in "USO"
        sha.update(repr(cell.tolist()).encode() if text else np.ascontiguousarray(cell).tobytes())
        if not text and not t.isscalarcol(name):
            sha.update(str(cell.shape[-2:]).encode())


def members(path):
    inside = os.path.join(path, "SUBMSS")
    return [os.path.join(inside, n) for n in sorted(os.listdir(inside))] if os.path.isdir(inside) else [path]


def digest(path):
    """What a call wrote: rows and scans of each sub-MS, and short checksums of columns over all of them."""
    parts = [table(p, ack=False) for p in members(path)]
    out = {"rows": [t.nrows() for t in parts],
           "scans": [sorted(set(t.getcol("SCAN_NUMBER").tolist())) for t in parts],
           "ddids": [sorted(set(t.getcol("DATA_DESC_ID").tolist())) for t in parts], "main": {}, "sub": {}}
    for name in MAIN:
        if name in parts[0].colnames():
            sha = hashlib.sha256()
            for t in parts:
                feed_column(sha, t, name)
            out["main"][name] = sha.hexdigest()[:12]
    for sub, columns in SUBTABLES.items():
        if os.path.exists(os.path.join(path, sub, "table.dat")):
            t = table(os.path.join(path, sub), ack=False)
            sha = hashlib.sha256()
            for name in columns:
                feed_column(sha, t, name)
            out["sub"][sub] = [t.nrows(), sha.hexdigest()[:12]]
    return out

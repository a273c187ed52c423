# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs for virtualconcat, made of the VLA observation of NGC 5921, and digests of results."""

import hashlib
import os
import shutil

import numpy as np
from casacore.tables import makearrcoldesc, table

# name: (inputs, parameters)
CASES = {
    "plain": (["a", "b"], {}),
    "order": (["b", "c", "a"], {"keepcopy": True}),
    "one_of_two_scaled": (["a", "b"], {"visweightscale": [1.0, 4.0]}),
    "weights": (["b", "a"], {"visweightscale": [4.0, 9.0]}),
    "spw_shift": (["a", "shifted"], {}),
    "spw_tol": (["a", "shifted"], {"freqtol": "10kHz"}),
    "spw_reversed": (["a", "reversed"], {}),
    "field_moved": (["a", "moved"], {}),
    "field_tol": (["a", "moved"], {"dirtol": "1arcsec"}),
    "field_norespect": (["a", "moved"], {"dirtol": "1arcsec", "respectname": False}),
    "antennas": (["a", "turned"], {"keepcopy": True}),
    "station": (["a", "station"], {}),
    "observations": (["a", "observer", "project"], {}),
    "scratch": (["scratch", "b"], {}),
    "no_pointing": (["pointed", "pointed2"], {"copypointing": False}),
    "pointing": (["pointed", "pointed2"], {}),
    "nested": (["ab", "c"], {}),
}


def edit(path):
    return table(path, readonly=False, ack=False)


def put(path, column, change):
    with edit(path) as t:
        t.putcol(column, change(t.getcol(column)))


def shift(column_paths, offset):
    for path, column in column_paths:
        put(path, column, lambda v: v + offset)


def piece(base, path, query):
    with table(base, ack=False) as t, t.query(query) as rows:
        rows.copy(path, deep=True).close()
    return path


def turn_antennas(ms):
    """Reverses the order of the antennas: every baseline changes its sense."""
    with edit(ms + "/ANTENNA") as t:
        n = t.nrows()
        for column in t.colnames():
            value = t.getcol(column)
            t.putcol(column, value[::-1])
    for path, column in ((ms, "ANTENNA1"), (ms, "ANTENNA2"), (ms + "/FEED", "ANTENNA_ID"),
                         (ms + "/POINTING", "ANTENNA_ID")):
        with edit(path) as t:
            if t.nrows():
                t.putcol(column, (n - 1 - t.getcol(column)).astype(np.int32))


def point(ms, nrow):
    """Fills POINTING with nrow rows."""
    with edit(ms + "/POINTING") as t:
        t.addrows(nrow)
        t.putcol("ANTENNA_ID", (np.arange(nrow) % 8).astype(np.int32))
        t.putcol("TIME", 4.3e9 + np.arange(nrow) * 10.0)
        t.putcol("NAME", ["p%d" % i for i in range(nrow)])


def add_scratch(ms):
    with edit(ms) as t:
        data = t.getcol("DATA")
        for name in ("MODEL_DATA", "CORRECTED_DATA"):
            t.addcols(makearrcoldesc(name, 0j, ndim=2, valuetype="complex"),
                      {"TYPE": "TiledShapeStMan", "NAME": "Tiled" + name,
                       "SPEC": {"DEFAULTTILESHAPE": np.array([2, 63, 100])}})
            t.putcol(name, data * 2)


def make_inputs(base, folder):
    """Makes all inputs but "ab" from the MS of importuvfits. A tenth of its rows: eight antennas."""
    small = "ANTENNA1<8 && ANTENNA2<8 && "

    def new(name, like=None, query=None):
        path = os.path.join(folder, name + ".ms")
        if like:
            shutil.copytree(os.path.join(folder, like + ".ms"), path, symlinks=True)
            return path
        return piece(base, path, small + query)

    new("a", query="SCAN_NUMBER<=3")
    new("b", query="SCAN_NUMBER>=4 && SCAN_NUMBER<=5")
    new("c", query="SCAN_NUMBER>=6")
    ms = new("shifted", like="b")
    shift([(ms + "/SPECTRAL_WINDOW", c) for c in ("CHAN_FREQ", "REF_FREQUENCY")], 5000.0)
    ms = new("reversed", like="b")
    put(ms + "/SPECTRAL_WINDOW", "CHAN_FREQ", lambda v: v[:, ::-1])
    put(ms + "/SPECTRAL_WINDOW", "CHAN_WIDTH", lambda v: -v)
    ms = new("moved", like="b")
    shift([(ms + "/FIELD", c) for c in ("PHASE_DIR", "DELAY_DIR", "REFERENCE_DIR")], 2e-6)
    put(ms + "/FIELD", "NAME", lambda v: v[:2] + ["ANOTHER"])
    turn_antennas(new("turned", like="b"))
    ms = new("station", like="b")
    with edit(ms + "/ANTENNA") as t:
        t.putcell("POSITION", 3, t.getcell("POSITION", 3) + 500)
        t.putcell("STATION", 3, "NEW")
    put(new("observer", like="b") + "/OBSERVATION", "OBSERVER", lambda v: ["Somebody"])
    put(new("project", like="c") + "/OBSERVATION", "PROJECT", lambda v: ["Another"])
    add_scratch(new("scratch", like="a"))
    point(new("pointed", like="a"), 20)
    ms = new("pointed2", like="b")
    point(ms, 30)
    turn_antennas(ms)


def hash_cells(t, skip=()):
    """One hash per column: values, shapes and undefined cells of all rows."""
    digest = {}
    for name in sorted(set(t.colnames()) - set(skip)):
        h = hashlib.sha1()
        for row in range(t.nrows()):
            if not t.iscelldefined(name, row):
                h.update(b"undefined")
                continue
            value = np.asarray(t.getcell(name, row))
            h.update(repr(value.tolist()).encode() if value.dtype.kind in "UOSb"
                     else (value + 0).astype(value.dtype.newbyteorder("<")).tobytes())
            h.update(str(value.shape).encode())
        digest[name] = h.hexdigest()[:10]
    return digest


def digest(mms):
    with table(mms, ack=False) as t:
        main = {"nrow": t.nrows(), "columns": hash_cells(t)}
        scans, counts = np.unique(t.getcol("SCAN_NUMBER"), return_counts=True)
        main["scans"] = dict(zip(map(str, scans.tolist()), counts.tolist()))
        names = sorted(n for n, v in t.getkeywords().items()
                       if isinstance(v, str) and v.startswith("Table: "))
    tables = {}
    for name in names:
        if name == "HISTORY":
            continue
        with table(mms + "/" + name, ack=False) as t:
            tables[name] = {"nrow": t.nrows(), "columns": hash_cells(t)}
    members = sorted(os.listdir(mms + "/SUBMSS"))
    return {"main": main, "tables": tables, "members": members}

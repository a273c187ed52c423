# SPDX-License-Identifier: GPL-3.0-or-later
"""A calibration table as gaincal writes it, and calls of flagcmd on it whose flags CASA computed (expected/make_flagcal.py)."""

import hashlib

import numpy as np
from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc, table

import flagversions_cases

START = 5139529806.5  # 2021/09/28/07:10:06.5
NTIME, NANT, NSPW = 6, 4, 2
FIRST, MIDDLE = "2021/09/28/07:10:00", "2021/09/28/07:12:00"


def make(path):
    """NTIME × NSPW × NANT solutions of two scans, 60 s apart, with sub-tables of an MS."""
    ints = ["FIELD_ID", "SPECTRAL_WINDOW_ID", "ANTENNA1", "ANTENNA2", "SCAN_NUMBER", "OBSERVATION_ID"]
    desc = maketabdesc([makescacoldesc("TIME", 0.0, keywords={"QuantumUnits": ["s"], "MEASINFO": {"type": "epoch", "Ref": "UTC"}}),
                        makescacoldesc("INTERVAL", 0.0, keywords={"QuantumUnits": ["s"]}), *[makescacoldesc(name, 0) for name in ints],
                        makearrcoldesc("CPARAM", 0j, valuetype="complex", ndim=-1), makearrcoldesc("PARAMERR", 0.0, valuetype="float", ndim=-1),
                        makearrcoldesc("FLAG", False, ndim=-1), makearrcoldesc("SNR", 0.0, valuetype="float", ndim=-1),
                        makearrcoldesc("WEIGHT", 0.0, valuetype="float", ndim=-1)])
    flagversions_cases.make(path + ".ms")
    rng = np.random.default_rng(3)
    with table(path, desc, nrow=NTIME * NSPW * NANT, ack=False) as t:
        t.putinfo({"type": "Calibration", "subType": "G Jones", "readme": ""})
        for key, value in (("ParType", "Complex"), ("MSName", path + ".ms"), ("VisCal", "G Jones"), ("PolBasis", "unknown"), ("CASA_Version", "6.7.0")):
            t.putkeyword(key, value)
        for name in ("ANTENNA", "FIELD", "SPECTRAL_WINDOW", "OBSERVATION", "HISTORY"):
            with table(path + ".ms/" + name, ack=False) as sub:
                sub.copy(path + "/" + name, deep=True, valuecopy=True).close()
            with table(path + "/" + name, ack=False) as sub:
                t.putkeyword(name, "Table: " + sub.name())
        row = np.arange(t.nrows())
        time = row // (NSPW * NANT)
        t.putcol("TIME", START + 60.0 * time)
        t.putcol("INTERVAL", np.full(t.nrows(), 30.0))
        t.putcol("SCAN_NUMBER", 1 + (time >= NTIME // 2).astype(int))
        t.putcol("SPECTRAL_WINDOW_ID", row // NANT % NSPW)
        t.putcol("ANTENNA1", row % NANT)
        t.putcol("ANTENNA2", np.full(t.nrows(), -1))
        for name in ("FIELD_ID", "OBSERVATION_ID"):
            t.putcol(name, np.zeros(t.nrows(), int))
        for r in range(t.nrows()):
            t.putcell("CPARAM", r, (rng.normal(size=(1, 2)) + 1j * rng.normal(size=(1, 2))).astype(np.complex64))
            t.putcell("SNR", r, rng.uniform(1, 9, (1, 2)).astype(np.float32))
            for name in ("PARAMERR", "WEIGHT"):
                t.putcell(name, r, np.ones((1, 2), np.float32))
            t.putcell("FLAG", r, np.zeros((1, 2), bool))


CLIP = "mode='clip' clipminmax=[0,1] datacolumn='%s' correlation='ABS_ALL'"
LISTS = {
    "antennas": ["antenna='A01,A03'", "antenna='A00'"], "spw": ["spw='0'"], "channels": ["spw='1:0'"], "scan": ["scan='2'"],
    "clip": [CLIP % "CPARAM"], "clip of SNR": ["mode='clip' clipminmax=[3,9] datacolumn='SNR' correlation='ABS_ALL'"],
    "clip of one": ["mode='clip' clipminmax=[0,1] datacolumn='CPARAM' correlation='ABS_Sol1'"],
    "extend": ["antenna='A01' scan='1'", "mode='extend' growtime=20.0"], "quack": ["mode='quack' quackinterval=70.0"],
    "unflag": ["spw='0'", "mode='unflag' scan='1'"], "tfcrop": ["mode='tfcrop' datacolumn='CPARAM'"],
    "rflag": ["mode='rflag' datacolumn='CPARAM'"],
    "timerange": ["timerange='%s~%s'" % (FIRST, MIDDLE)], "times without date": ["timerange='%s~%s'" % (FIRST[11:], MIDDLE[11:])],
    "before": ["timerange='<%s'" % MIDDLE], "after": ["timerange='>%s'" % MIDDLE], "one time": ["timerange='2021/09/28/07:12:06.5'"],
    "two ranges": ["timerange='%s~%s,2001/01/01/00:00:00~2001/01/02/00:00:00'" % (FIRST, MIDDLE)]}
# In a list of several commands CASA flags whole scans here; alone each command flags what it says (docs/differences.md).
ONE_BY_ONE = {
    "timerange and spw": ["timerange='%s~%s' spw='1'" % (FIRST, MIDDLE), "scan='2' antenna='A02'"],
    "first solution": ["timerange='%s~2021/09/28/07:10:30'" % FIRST, "scan='2' antenna='A02'"]}
ONE = {"inpmode": "list", "inpfile": ["spw='0'"]}
REFUSED = {"unapply": {"action": "unapply", **ONE}, "plot": {"action": "plot", "plotfile": "p.png", **ONE}, "clear": {"action": "clear", "clearall": True},
           "extract": {"action": "extract", **ONE}, "table": {}, "xml": {"inpmode": "xml", "inpfile": "gone"}}


def digest(flag):
    """flag: [row][chan][corr]."""
    return {"flags": int(flag.sum()), "sha256": hashlib.sha256(np.ascontiguousarray(flag).astype(np.uint8).tobytes()).hexdigest()[:16]}

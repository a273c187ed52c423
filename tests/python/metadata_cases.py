# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of msmetadata's methods, and their values in a form for JSON; expected/make_metadata.py makes them in CASA."""

import shutil

import numpy as np

EVERYTHING = {"obsid": 0, "arrayid": 0, "asmap": True}
CALLS = [(name, args, {}) for name, *lists in [
    ("antennadiameter", [0], []), ("antennaids", [], ["1"], [["1", "2"]]), ("antennanames", [], [1], [[1, 2]]), ("antennasforscan", [1]),
    ("antennastations", [], [0], [[0, 1]]), ("bandwidths", [], [0], [[0]]), ("baselines", []), ("chaneffbws", [0]),
    ("chanfreqs", [0], [0, "MHz"]), ("chanres", [0], [0, "kHz"]), ("chanwidths", [0], [0, "kHz"]), ("corrprodsforpol", [0]),
    ("corrtypesforpol", [0]), ("datadescids", [], [0], [0, 0]), ("fieldsforintent", ["*"], ["NIX"], ["*", True]), ("fieldsforname", []),
    ("fieldsforscan", [1], [1, True]), ("fieldsforscans", [], [[1, 2]], [[1, 2], True]), ("fieldsforsource", [0], [0, True]),
    ("fieldsforsources", [], [True]), ("fieldsforspw", [0], [0, True]), ("fieldsfortimes", [5.2e9, 100]), ("intents", []),
    ("intentsforfield", [0]), ("intentsforscan", [1]), ("intentsforspw", [0]), ("meanfreq", [0], [0, "GHz"]),
    ("namesforfields", [], [0], [[0, 1]]), ("namesforspws", [], [0], [[0]]), ("narrays", []), ("nbaselines", [], [True]),
    ("nchan", [0]), ("ncorrforpol", [], [0]), ("nfields", []), ("nobservations", []), ("nantennas", []), ("nscans", []), ("nsources", []),
    ("nspw", []), ("nrows", [], [True, False]), ("observatorynames", []), ("observers", []), ("phasecenter", [0]),
    ("polidfordatadesc", [], [0]), ("projects", []), ("refdir", [0]), ("reffreq", [0]), ("scannumbers", [], [0, 0]), ("scansforfield", [0]),
    ("scansforfields", [], [0, 0]), ("scansforintent", ["*"], ["CAL*"]), ("scansforspw", [0]), ("scansforspws", []),
    ("scansfortimes", [5200000005.0, 10]), ("sideband", [0]), ("sourceidforfield", [0]), ("sourceidsfromsourcetable", []),
    ("sourcenames", []), ("spwfordatadesc", [], [0]), ("spwsforfield", [0]), ("spwsforfields", []), ("spwsforintent", ["*"], ["CAL*"]),
    ("spwsfornames", []), ("spwsforscan", [1]), ("spwsforscans", []), ("statesforscan", [1], [99]), ("statesforscans", []),
    ("timerangeforobs", [0]), ("timesforfield", [0]), ("timesforintent", ["*"]), ("timesforscan", [1], [1, 0, 0, True]),
    ("timesforscans", [[1, 2]]), ("timesforspws", [], [0], [[0]]),
    ("almaspws", [], [True], [False, True], [False, False, True], [False, False, False, True], [False, False, False, False, True],
     [False, True, False, False, True, True]), ("antennaposition", [], [1], ["1"], ["VA01"]), ("baseband", [0], [5]), ("chanavgspws", []),
    ("corrbit", [], [0], [5], [-1]), ("effexposuretime", []), ("exposuretime", [1], [1, 0, 0, 0, 0], [2, 1], [2, 0, 1], [1, 0, 0, 9]), ("fdmspws", []),
    ("nspw", [False]), ("propermotions", []), ("restfreqs", [], [0, 0], [1, 0], [9, 0], [-1, 0]), ("rxbands", [], [0], [[6, 5]], [99]),
    ("schedule", [0], [9]), ("sourcedirs", []), ("sourcetimes", []), ("spwsforbaseband", [], [1], [2, "only"], [-1, "exclude"]),
    ("subwindows", [], [0], [[5, 6]], [99]), ("summary", []), ("tdmspws", []), ("transitions", [], [0, 0], [1, 0]), ("wvrspws", [], [True])] for args in lists]
CALLS += [("fieldsforscans", [], EVERYTHING), ("fieldsforscans", [], dict(EVERYTHING, asnames=True))]

# What fails in CASA, too.
FAILING = [("antennaids", "NIX"), ("antennanames", 99), ("antennasforscan", 99), ("antennastations", 99), ("bandwidths", 99), ("chanfreqs", 99),
           ("chanfreqs", 0, "x"), ("corrtypesforpol", 9), ("fieldsforname", "NIX"), ("fieldsforscan", 99), ("fieldsforspw", 99),
           ("intentsforfield", 99), ("intentsforscan", 99), ("intentsforspw", 99), ("meanfreq", -1), ("namesforfields", 99), ("namesforspws", 99),
           ("ncorrforpol", 9), ("polidfordatadesc", 99), ("reffreq", 99), ("scansforfield", "NIX"), ("scansforfield", 99), ("scansforstate", 99),
           ("sourceidforfield", 99), ("spwfordatadesc", 99), ("spwsforfield", "NIX"), ("spwsforscan", 99), ("timesforfield", 99),
           ("timesforscan", 99)]


def make_alma(table, source, path):
    """A copy of a simulated MS, with four windows without data as ALMA has them, lines, and a schedule. `table`: CASA's tool or Sheaf's."""
    shutil.copytree(source, path, symlinks=True)
    t = table()
    t.open(f"{path}/SPECTRAL_WINDOW", nomodify=False)
    t.addcols({"BBC_NO": {"valueType": "int"}, "SDM_CORR_BIT": {"valueType": "string"}})
    first = t.nrows()
    t.addrows(4)
    columns = {"NAME": ["WVR#NOMINAL", "ALMA_RB_03#BB_1#SW-01#FULL_RES", "X3#ALMA_RB_07#BB_1#SW-02#CH_AVG", "X4#BB_2#SW-01#FULL_RES"],
               "NUM_CHAN": [4, 64, 1, 3840], "TOTAL_BANDWIDTH": [7.5e9, 2e9, 1.8e9, 1.875e9], "BBC_NO": [0, 1, 1, 2],
               "SDM_CORR_BIT": ["A", "B", "B", "C"]}
    for name, values in columns.items():
        t.putcol(name, np.array(values), first)
    for window, n in enumerate(columns["NUM_CHAN"], first):
        for name in ("CHAN_FREQ", "CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            t.putcell(name, window, np.arange(1.0, n + 1))
    t.close()
    t.open(f"{path}/DATA_DESCRIPTION", nomodify=False)
    first_ddid = t.nrows()
    t.addrows(4)
    t.putcol("SPECTRAL_WINDOW_ID", np.arange(first, first + 4), first_ddid)
    t.close()
    t.open(f"{path}/SOURCE", nomodify=False)
    n = t.nrows()
    t.addcols({"REST_FREQUENCY": {"valueType": "double", "ndim": 1}, "TRANSITION": {"valueType": "string", "ndim": 1}})
    t.putcolkeywords("REST_FREQUENCY", {"QuantumUnits": np.array(["Hz"]), "MEASINFO": {"type": "frequency", "Ref": "LSRK"}})
    t.putcol("NUM_LINES", np.array([2] + [0] * (n - 1)))
    t.putcell("REST_FREQUENCY", 0, np.array([1.15e11, 1.16e11]))
    t.putcell("TRANSITION", 0, np.array(["CO_v_0_1_0", "other"]))
    t.putcol("DIRECTION", np.array([[3.5, 0.1]] * n).T)
    t.putcol("PROPER_MOTION", np.arange(2.0 * n).reshape(2, n))
    t.close()
    t.open(f"{path}/OBSERVATION", nomodify=False)
    t.putcell("SCHEDULE", 0, np.array(["SchedulingBlock uid", "ExecBlock uid"]))
    t.close()


def plain(value):
    """A value with the types that matter: arrays are told from lists, integers from floats."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.kind, "values": value.tolist()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def answers(ms, path):
    """What all calls give, or that they fail: [[name, value], …]."""
    m = ms()
    m.open(path)
    metadata = m.metadata()
    out = []
    for name, args, named in CALLS:
        try:
            out.append([name, plain(getattr(metadata, name)(*args, **named))])
        except RuntimeError:
            out.append([name, "fails"])
    metadata.done()
    m.close()
    return out

# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of msmetadata's methods, and their values in a form for JSON; expected/make_metadata.py makes them in CASA."""

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
    ("timesforscans", [[1, 2]]), ("timesforspws", [], [0], [[0]])] for args in lists]
CALLS += [("fieldsforscans", [], EVERYTHING), ("fieldsforscans", [], dict(EVERYTHING, asnames=True))]

# What fails in CASA, too.
FAILING = [("antennaids", "NIX"), ("antennanames", 99), ("antennasforscan", 99), ("antennastations", 99), ("bandwidths", 99), ("chanfreqs", 99),
           ("chanfreqs", 0, "x"), ("corrtypesforpol", 9), ("fieldsforname", "NIX"), ("fieldsforscan", 99), ("fieldsforspw", 99),
           ("intentsforfield", 99), ("intentsforscan", 99), ("intentsforspw", 99), ("meanfreq", -1), ("namesforfields", 99), ("namesforspws", 99),
           ("ncorrforpol", 9), ("polidfordatadesc", 99), ("reffreq", 99), ("scansforfield", "NIX"), ("scansforfield", 99), ("scansforstate", 99),
           ("sourceidforfield", 99), ("spwfordatadesc", 99), ("spwsforfield", "NIX"), ("spwsforscan", 99), ("timesforfield", 99),
           ("timesforscan", 99)]


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Small MeasurementSets with shapes that NGC 5921 lacks, made with python-casacore alone.

simulate(path, **options) writes one; the options say what it has. Values are made from row numbers, so that every row of
every column is different from all others, and the same call always writes the same MS.
"""

import os

import numpy as np
from casacore.tables import (complete_ms_desc, default_ms, default_ms_subtable, makearrcoldesc,
                             makescacoldesc, table)

TIME0 = 4.9e9  # 2014

# (channels, width in Hz; negative: frequencies descend)
WINDOWS = [(4, 1e6), (1, 64e6), (8, -2e6), (4, 1e6), (3, 5e5)]
# CORR_TYPE of each polarization setup: RR LL; RR RL LR LL; XX
POLARIZATIONS = [[5, 8], [5, 6, 7, 8], [9]]
# (spectral window, polarization) of each data description: spw 0 and 2 have two
DESCRIPTIONS = [(0, 0), (2, 1), (1, 0), (0, 1), (2, 0), (4, 2)]
# (observation, array, scan, field, state, data descriptions, timestamps): scan 3 occurs in two observations
SCANS = [(0, 0, 1, 0, 0, [0, 1], 2), (0, 0, 2, 2, 1, [2, 3], 2), (0, 1, 3, 1, 1, [0, 4], 3),
         (1, 0, 3, 3, 2, [2, 5], 2), (1, 0, 12, 0, 0, [0, 1, 3], 1), (1, 1, 11, 3, 3, [5], 2)]
INTENTS = ["CALIBRATE_BANDPASS#ON_SOURCE", "OBSERVE_TARGET#ON_SOURCE", "CALIBRATE_PHASE#OFF_SOURCE", ""]
FIELDS = [("3C286", 0), ("NGC1", 2), ("NGC2", 2), ("J0001+1", 1)]


def _put(path, columns):
    t = table(path, readonly=False, ack=False)
    count = len(next(iter(columns.values())))
    t.addrows(count - t.nrows())
    for name, values in columns.items():
        if t.isscalarcol(name):
            t.putcol(name, values)
        else:
            for row, value in enumerate(values):
                if value is not None:
                    t.putcell(name, row, np.array(value))
    t.close()


def _tag(n, start=0):
    """n numbers that are exact in 32 bits."""
    return np.arange(start, start + n, dtype=np.float64) % 65536 / 64


def _rows(options):
    """The id columns: one entry per row."""
    nant = options["nant"]
    out = {k: [] for k in ("OBSERVATION_ID", "ARRAY_ID", "SCAN_NUMBER", "FIELD_ID", "STATE_ID", "DATA_DESC_ID", "TIME",
                           "ANTENNA1", "ANTENNA2")}
    clock = TIME0
    for obs, array, scan, field, state, ddids, stamps in options["scans"]:
        clock += 100
        for _ in range(stamps):
            clock += 10
            for ddid in ddids:
                for a in range(nant):
                    for b in range(a if options["autos"] else a + 1, nant):
                        pair = (b, a) if options["swapped"] and (a + b + ddid) % 3 == 0 else (a, b)
                        for k, v in zip(out, (obs, array, scan, field, state, ddid, clock, *pair)):
                            out[k].append(v)
    columns = {k: np.array(v, dtype=np.float64 if k == "TIME" else np.int32) for k, v in out.items()}
    if options["shuffled"]:
        order = np.random.default_rng(5).permutation(len(columns["TIME"]))
        columns = {k: v[order] for k, v in columns.items()}
    return columns


def _managers(names, kind):
    """Data managers that put the cube columns as asked: 'tiled', 'standard' or 'incremental'."""
    kinds = {"tiled": ("TiledShapeStMan", lambda n: {"DEFAULTTILESHAPE": np.array([2, 2, 16], np.int32)}),
             "standard": ("StandardStMan", lambda n: {}), "incremental": ("IncrementalStMan", lambda n: {})}
    manager, spec = kinds[kind]
    return {f"*{i}": {"TYPE": manager, "NAME": f"Cube{n}", "COLUMNS": [n], "SPEC": spec(n)} for i, n in enumerate(names)}


def _description(options):
    """Columns beyond the mandatory ones."""
    full = complete_ms_desc()
    desc = {name: full[name] for name in options["data"] + options["spectra"]}
    for name in desc:
        desc[name]["ndim"] = 2
    if options["extra"]:
        for d in (makescacoldesc("EXTRA_NUMBER", 0.0), makescacoldesc("EXTRA_TEXT", ""),
                  makescacoldesc("EXTRA_LONG", 0, valuetype="int64"), makescacoldesc("EXTRA_COMPLEX", 0j),
                  makearrcoldesc("EXTRA_ARRAY", 0, ndim=1), makearrcoldesc("EXTRA_ANY", 0.0, ndim=-1),
                  makearrcoldesc("EXTRA_TEXTS", "", ndim=1), makearrcoldesc("EXTRA_CUBE", 0.0, ndim=3)):
            desc[d["name"]] = d["desc"]
    return desc


def _cells(options, ids):
    """Shape (channels, correlations) of each row."""
    dd = [(abs(options["windows"][s][0]), len(options["polarizations"][p])) for s, p in options["descriptions"]]
    return [dd[d] for d in ids["DATA_DESC_ID"]]


def _fill_cubes(t, options, shapes):
    serial = {"DATA": 1, "CORRECTED_DATA": 7, "MODEL_DATA": 13, "FLOAT_DATA": 19, "WEIGHT_SPECTRUM": 3, "SIGMA_SPECTRUM": 5}
    for name in options["data"] + options["spectra"] + ["FLAG"]:
        for row, shape in enumerate(shapes):
            if name in options["undefined"] and row % 5 == 2:
                continue
            count = shape[0] * shape[1]
            value = 1 + _tag(count, row * 31 + serial.get(name, 0)).reshape(shape)
            if name == "FLAG":
                value = (np.arange(count).reshape(shape) + row) % 7 == 0
            elif name.endswith("DATA") and name != "FLOAT_DATA":
                value = (value + 1j * (row % 97)).astype(np.complex64)
            else:
                value = value.astype(np.float32)
            t.putcell(name, row, value)


def _fill_rows(t, options, ids, shapes):
    n = len(shapes)
    for name, value in ids.items():
        t.putcol(name, value)
    t.putcol("TIME_CENTROID", ids["TIME"] + 0.25)
    t.putcol("INTERVAL", np.full(n, 10.0))
    t.putcol("EXPOSURE", 9 + _tag(n))
    t.putcol("UVW", (np.arange(3 * n) * 7.5).reshape(n, 3))
    t.putcol("FLAG_ROW", np.arange(n) % 11 == 0)
    t.putcol("PROCESSOR_ID", np.full(n, -1, np.int32))
    for name in ("FEED1", "FEED2"):
        t.putcol(name, np.zeros(n, np.int32))
    for row, shape in enumerate(shapes):
        sigma = (1 + _tag(shape[1], row)).astype(np.float32)
        if row % 50 == 7:
            sigma[0] = 0
        t.putcell("SIGMA", row, sigma)
        t.putcell("WEIGHT", row, (2 + _tag(shape[1], 3 * row)).astype(np.float32))


def _fill_extra(t, shapes):
    n = len(shapes)
    t.putcol("EXTRA_NUMBER", _tag(n, 4))
    t.putcol("EXTRA_TEXT", [f"row {i}" for i in range(n)])
    t.putcol("EXTRA_LONG", np.arange(n, dtype=np.int64) + 2**40)
    t.putcol("EXTRA_COMPLEX", np.arange(n) * (1 + 2j))
    for row in range(n):
        t.putcell("EXTRA_ARRAY", row, np.arange(1 + row % 3) + row)
        if row % 4 != 1:  # the others stay undefined
            t.putcell("EXTRA_ANY", row, np.full((2,) * (1 + row % 2), 1.5 * row))
            t.putcell("EXTRA_TEXTS", row, np.array([f"a{row}", "b"]))
        t.putcell("EXTRA_CUBE", row, np.full((2, 1, 3), float(row)))


def _fill_setups(path, options):
    windows, pols = options["windows"], options["polarizations"]
    freqs = [1e9 * (1 + i) + w * np.arange(n) for i, (n, w) in enumerate(windows)]
    _put(path + "/SPECTRAL_WINDOW", {
        "NUM_CHAN": [n for n, _ in windows], "NAME": [f"W{i}" for i in range(len(windows))], "CHAN_FREQ": freqs,
        "CHAN_WIDTH": [np.full(n, w) for n, w in windows], "EFFECTIVE_BW": [np.full(n, abs(w) * 1.5) for n, w in windows],
        "RESOLUTION": [np.full(n, abs(w) * 1.25) for n, w in windows], "REF_FREQUENCY": [f[0] for f in freqs],
        "TOTAL_BANDWIDTH": [n * abs(w) for n, w in windows], "MEAS_FREQ_REF": [5] * len(windows),
        "NET_SIDEBAND": [1] * len(windows), "FREQ_GROUP_NAME": [f"group {i}" for i in range(len(windows))]})
    receptors = {5: (0, 0), 6: (0, 1), 7: (1, 0), 8: (1, 1), 9: (0, 0), 10: (0, 1), 11: (1, 0), 12: (1, 1)}
    _put(path + "/POLARIZATION", {"NUM_CORR": [len(p) for p in pols], "CORR_TYPE": [np.array(p, np.int32) for p in pols],
                                  "CORR_PRODUCT": [np.array([receptors[c] for c in p], np.int32) for p in pols]})
    dds = options["descriptions"]
    _put(path + "/DATA_DESCRIPTION", {"SPECTRAL_WINDOW_ID": [s for s, _ in dds], "POLARIZATION_ID": [p for _, p in dds],
                                      "FLAG_ROW": [False] * len(dds)})


def _fill_places(path, options):
    nant, nspw = options["nant"], len(options["windows"])
    # Antennas of the VLA's size around its centre, in ITRF.
    place = np.array([-1601185.4, -5041977.5, 3554875.9]) + np.outer(np.arange(nant) ** 1.5, [30.0, -10.0, 25.0])
    _put(path + "/ANTENNA", {"NAME": [f"A{i:02d}" for i in range(nant)], "STATION": [f"S{i}" for i in range(nant)],
                             "MOUNT": ["ALT-AZ"] * nant, "TYPE": ["GROUND-BASED"] * nant, "DISH_DIAMETER": [25.0] * nant,
                             "POSITION": list(place), "OFFSET": [np.zeros(3)] * nant})
    pairs = [(a, s) for a in range(nant) for s in ([-1] if options["feed_any"] else range(nspw))]
    _put(path + "/FEED", {"ANTENNA_ID": [a for a, _ in pairs], "SPECTRAL_WINDOW_ID": [s for _, s in pairs],
                          "NUM_RECEPTORS": [2] * len(pairs), "BEAM_ID": [-1] * len(pairs), "FEED_ID": [0] * len(pairs),
                          "TIME": [TIME0] * len(pairs), "INTERVAL": [1e9] * len(pairs),
                          "RECEPTOR_ANGLE": [np.zeros(2)] * len(pairs), "POSITION": [np.zeros(3)] * len(pairs),
                          "BEAM_OFFSET": [np.zeros((2, 2))] * len(pairs), "POLARIZATION_TYPE": [["R", "L"]] * len(pairs),
                          "POL_RESPONSE": [np.eye(2, dtype=np.complex64)] * len(pairs)})


def _fill_observed(path, options):
    fields = options["fields"]
    where = [np.array([[0.1 + 0.2 * i, 0.3 + 0.1 * i]]) for i in range(len(fields))]
    _put(path + "/FIELD", {"NAME": [n for n, _ in fields], "SOURCE_ID": [s for _, s in fields], "CODE": [""] * len(fields),
                           "NUM_POLY": [0] * len(fields), "TIME": [TIME0] * len(fields), "DELAY_DIR": where,
                           "PHASE_DIR": where, "REFERENCE_DIR": where})
    nobs = 1 + max(s[0] for s in options["scans"])
    _put(path + "/OBSERVATION", {"TELESCOPE_NAME": ["VLA"] * nobs, "OBSERVER": [f"O{i}" for i in range(nobs)],
                                 "PROJECT": [f"P{i}" for i in range(nobs)], "SCHEDULE_TYPE": [""] * nobs,
                                 "TIME_RANGE": [np.array([TIME0, TIME0 + 1e4])] * nobs, "LOG": [[""]] * nobs,
                                 "SCHEDULE": [[""]] * nobs})
    intents = options["intents"]
    if intents:
        _put(path + "/STATE", {"OBS_MODE": intents, "CAL": [0.5 * i for i in range(len(intents))],
                               "SIG": [True] * len(intents), "REF": [False] * len(intents),
                               "SUB_SCAN": list(range(len(intents)))})
    _put(path + "/HISTORY", {"MESSAGE": ["simulated"], "TIME": [TIME0], "ORIGIN": ["simulate"], "PRIORITY": ["INFO"],
                             "APPLICATION": ["simulate.py"], "CLI_COMMAND": [[""]], "APP_PARAMS": [[""]]})


def _optional(path, name, desc, columns):
    """An optional sub-table of the MS definition, or of nobody's when desc says so."""
    sub = os.path.join(path, name)
    default_ms_subtable(name, sub, desc).close() if desc is not None else None
    if desc is None:
        default_ms_subtable(name, sub).close()
    _put(sub, columns) if columns else None
    t = table(path, readonly=False, ack=False)
    t.putkeyword(name, "Table: " + os.path.abspath(sub))
    t.close()


def _foreign(path, name, columns):
    """A sub-table that the MS definition does not know."""
    descs = [makescacoldesc(c, v[0]) if np.isscalar(v[0]) else makearrcoldesc(c, np.asarray(v[0]).flat[0].item(),
                                                                              ndim=np.ndim(v[0]))
             for c, v in columns.items()]
    sub = os.path.join(path, name)
    table(sub, {d["name"]: d["desc"] for d in descs}, nrow=0, ack=False).close()
    _put(sub, columns)
    t = table(path, readonly=False, ack=False)
    t.putkeyword(name, "Table: " + os.path.abspath(sub))
    t.close()


def _per_antenna_and_window(options):
    return [(a, s) for a in range(options["nant"]) for s in range(len(options["windows"]))]


def _fill_optional(path, options):
    nant, nspw = options["nant"], len(options["windows"])
    pairs = _per_antenna_and_window(options)
    n = len(pairs)
    ids = {"ANTENNA_ID": [a for a, _ in pairs], "SPECTRAL_WINDOW_ID": [s for _, s in pairs], "TIME": list(TIME0 + _tag(n)),
           "INTERVAL": [30.0] * n, "FEED_ID": [0] * n}
    _optional(path, "SYSCAL", {"TSYS": complete_ms_desc("SYSCAL")["TSYS"]},
              {**ids, "TSYS": [np.array([50 + i, 60 + i], np.float32) for i in range(n)]})
    for name in ("SYSPOWER", "CALDEVICE"):
        _foreign(path, name, {**ids, "POWER": [[1.0 + i, 2.0] for i in range(n)]})
    _optional(path, "WEATHER", {}, {"ANTENNA_ID": [-1] + list(range(nant)), "TIME": list(TIME0 + 600.0 * np.arange(nant + 1)),
                                    "INTERVAL": [600.0] * (nant + 1)})
    nsource = 1 + max(s for _, s in options["fields"])
    sources = [(s, w) for s in range(nsource) for w in [-1] + list(range(nspw))]
    _optional(path, "SOURCE", {}, {"SOURCE_ID": [s for s, _ in sources], "SPECTRAL_WINDOW_ID": [w for _, w in sources],
                                   "NAME": [f"source {s}" for s, _ in sources], "NUM_LINES": [0] * len(sources),
                                   "CODE": [""] * len(sources), "CALIBRATION_GROUP": [0] * len(sources),
                                   "TIME": [TIME0] * len(sources), "INTERVAL": [1e9] * len(sources),
                                   "DIRECTION": [np.array([0.1 * s, 0.2]) for s, _ in sources],
                                   "PROPER_MOTION": [np.zeros(2)] * len(sources)})
    stamps = TIME0 + 10.0 * np.arange(60)
    at = [(t, a) for t in stamps for a in range(nant)]
    _put(path + "/POINTING", {"TIME": [t for t, _ in at], "ANTENNA_ID": [a for _, a in at], "INTERVAL": [10.0] * len(at),
                              "NUM_POLY": [0] * len(at), "NAME": [""] * len(at), "TIME_ORIGIN": [t for t, _ in at],
                              "TRACKING": [True] * len(at), "DIRECTION": [np.array([[i * 1e-3, 0.5]]) for i in range(len(at))],
                              "TARGET": [np.array([[0.25, 0.5]])] * len(at)})
    _put(path + "/FLAG_CMD", {"COMMAND": ["antenna='A01'", "spw='2'"], "TIME": [TIME0, TIME0 + 1], "INTERVAL": [1.0, 1.0],
                              "TYPE": ["FLAG"] * 2, "REASON": ["test"] * 2, "LEVEL": [0, 0], "SEVERITY": [0, 0],
                              "APPLIED": [False, True]})
    _foreign(path, "MY_NOTES", {"NOTE": ["one", "two"], "NUMBER": [1, 2]})


def simulate(path, nant=5, windows=None, polarizations=None, descriptions=None, scans=None, fields=None, intents=INTENTS,
             data=("DATA",), spectra=(), undefined=(), autos=False, swapped=False, shuffled=False, extra=False,
             optional=False, feed_any=False, storage="tiled", dangling=()):
    """Writes an MS at `path` and returns the path.

    windows, polarizations, descriptions, scans, fields: as the constants at the top, which are the defaults.
    data: DATA, CORRECTED_DATA, MODEL_DATA, FLOAT_DATA; spectra: WEIGHT_SPECTRUM, SIGMA_SPECTRUM.
    undefined: columns of which a fifth of the cells stays undefined. autos: auto-correlations. swapped: ANTENNA1 >
    ANTENNA2 in a third of the baselines. shuffled: rows in no order. extra: columns that no definition knows.
    optional: SYSCAL, SYSPOWER, CALDEVICE, WEATHER, SOURCE, a filled POINTING and FLAG_CMD, a foreign sub-table.
    feed_any: FEED rows for all windows at once. storage: tiled, standard, incremental. dangling: keywords of sub-tables
    that do not exist.
    """
    options = dict(nant=nant, windows=windows or WINDOWS, polarizations=polarizations or POLARIZATIONS,
                   descriptions=descriptions or DESCRIPTIONS, scans=scans or SCANS, fields=fields or FIELDS,
                   intents=list(intents), data=list(data), spectra=list(spectra), undefined=set(undefined), autos=autos,
                   swapped=swapped, shuffled=shuffled, extra=extra, optional=optional, feed_any=feed_any)
    path = os.path.abspath(path)
    ids = _rows(options)
    shapes = _cells(options, ids)
    cubes = options["data"] + options["spectra"] + ["FLAG"]
    t = default_ms(path, _description(options), _managers(cubes, storage))
    t.addrows(len(shapes))
    _fill_rows(t, options, ids, shapes)
    _fill_cubes(t, options, shapes)
    if extra:
        _fill_extra(t, shapes)
    t.close()
    _fill_setups(path, options)
    _fill_places(path, options)
    _fill_observed(path, options)
    if optional:
        _fill_optional(path, options)
    for name in dangling:
        _foreign(path, name, {"X": [1]})
        os.rename(os.path.join(path, name), path + ".gone")
        __import__("shutil").rmtree(path + ".gone")
    return path

# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the tools table and ms, and what comes of them in a short form. expected/make_tools.py runs them in CASA, test_tools_casa.py
in Sheaf. A case is a function of the tools and of a folder with the inputs ngc.ms and sim.ms, which it only reads, and copy.ms, which it
may change."""

import hashlib

import numpy as np

EVERYTHING = ["amplitude", "antenna1", "antenna2", "array_id", "axis_info", "data", "data_desc_id", "feed1", "feed2", "field_id", "flag",
              "flag_row", "flag_sum", "ifr_number", "imaginary", "phase", "real", "scan_number", "sigma", "time", "u", "uvdist", "uvw", "v",
              "w", "weight"]
ALL_DATA = [f"{of}{what}" for of in ("", "corrected_", "model_", "ratio_", "residual_", "obs_residual_")
            for what in ("data", "amplitude", "phase", "real", "imaginary")]
RANGES = ["antenna1", "antenna2", "antennas", "array_id", "chan_freq", "corr_names", "corr_types", "data_desc_id", "feed1", "feed2",
          "field_id", "fields", "ifr_number", "num_corr", "num_chan", "ref_frequency", "rows", "scan_number", "time", "times", "u", "v",
          "w", "uvdist", "amplitude", "phase", "real", "imaginary", "weight", "sigma"]


def digest(value, folder):
    """JSON that tells everything about a value: type, shape, and for large arrays sums and a hash."""
    if isinstance(value, dict):
        return {"dict": {key: digest(one, folder) for key, one in sorted(value.items())}}
    if isinstance(value, (list, tuple)):
        return {"list": [digest(one, folder) for one in value]}
    if isinstance(value, np.ndarray):
        out = {"dtype": value.dtype.str[1:] if value.dtype.kind != "U" else "U", "shape": list(value.shape)}
        flat = value.ravel(order="F")
        if value.dtype.kind == "U":
            return dict(out, values=flat.tolist())
        out["sha1"] = hashlib.sha1(np.ascontiguousarray(flat).tobytes()).hexdigest()
        numbers = flat.astype(complex)
        out["about"] = [float(x) for total in (numbers.sum(), abs(numbers).sum(), (numbers * np.cos(np.arange(flat.size))).sum())
                        for x in (total.real, total.imag)]
        return out
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, str):
        return value.replace(folder, "")
    return {type(value).__name__: value} if isinstance(value, (bool, int)) or value is None else value


def _table(table, path, **options):
    t = table()
    t.open(path, **options)
    return t


def columns(table, ms, folder):
    """getcol, getcell, getvarcol, descriptions of every column."""
    out = {}
    for name in ("ngc.ms", "sim.ms", "ngc.ms/ANTENNA", "ngc.ms/SPECTRAL_WINDOW", "ngc.ms/FEED", "ngc.ms/OBSERVATION", "ngc.ms/POLARIZATION", "sim.ms/FIELD"):
        t = _table(table, f"{folder}/{name}")
        own = out[name] = {"colnames": t.colnames(), "nrows": t.nrows(), "ncols": t.ncols()}
        for column in t.colnames():
            if not t.iscelldefined(column, 0):
                continue
            own[column] = [t.getcell(column, t.nrows() - 1), t.getvarcol(column, 0, 2), t.coldatatype(column), t.isscalarcol(column),
                           t.isvarcol(column), t.getcolkeywords(column), t.colkeywordnames(column), t.getcoldesc(column)]
            if name.startswith("ngc") and t.iscelldefined(column, t.nrows() - 1):
                own[column] += [t.getcol(column), t.getcol(column, 0, 0)]
                if t.nrows() > 4:
                    own[column].append(t.getcol(column, 1, 3, 2))
        t.close()
    return out


def slices(table, ms, folder):
    t = _table(table, f"{folder}/ngc.ms")
    out = [t.getcolslice("DATA", [0, 0], [1, 5], [1, 2], 0, 4), t.getcolslice("DATA", [0, 0], [-1, -1], [], 0, 4),
           t.getcolslice("DATA", [1, 3], [1, 60], [1, 7]), t.getcolslice("UVW", [1], [2], [1], 5, 10, 3),
           t.getcellslice("DATA", 0, [0, 0], [1, 5]), t.getcellslice("DATA", 0, [-1], [-1]),
           t.getcellslice("DATA", 7, [0, 0], [1, 5], [1, 2]), t.getcolshapestring("DATA", 0, 3)]
    t.close()
    return out


def keywords(table, ms, folder):
    t = _table(table, f"{folder}/ngc.ms")
    out = [t.getkeyword("MS_VERSION"), t.getkeyword("ANTENNA"), t.getkeyword(0), t.keywordnames(), t.getkeywords(), t.info(),
           t.getcolkeyword("TIME", "MEASINFO"), t.getcolkeyword("TIME", "MEASINFO.type"), t.getcolkeyword("UVW", "QuantumUnits"),
           t.colfieldnames("TIME", "MEASINFO"), t.fieldnames(), t.getdesc(), t.getdesc(False), t.endianformat(), t.name()]
    t.close()
    return out


def selections(table, ms, folder):
    t = _table(table, f"{folder}/ngc.ms")
    out = []
    for q in (t.query("FIELD_ID==1 && ANTENNA1==3"), t.query("FIELD_ID==1", columns="TIME,ANTENNA2", sortlist="TIME desc,ANTENNA2"),
              t.query("FIELD_ID==99"), t.taql(f"select TIME from {folder}/ngc.ms where SCAN_NUMBER==7 limit 3"), t.selectrows([0, 5, 3]),
              t.selectrows([])):
        out.append([q.nrows(), q.colnames(), q.getcol("TIME"), q.rownumbers()])
        q.close()
    out += [t.calc("1+1"), t.calc(f"sum([select ANTENNA1 from {folder}/ngc.ms])"), t.calc("[1,2]+0.5"), t.calc("'a'"), t.calc("T"),
            t.calc(f"[select UVW from {folder}/ngc.ms limit 2]"), t.calc("3+4i")]
    t.close()
    return out


def puts(table, ms, folder):
    """What was put is read again with another tool."""
    t = _table(table, f"{folder}/copy.ms", nomodify=False)
    n = t.nrows()
    out = [t.iswritable(), t.putcol("ANTENNA1", [1, 2, 3], 0, 3), t.putcol("TIME", [9.0, 8], 0, 2, 2), t.putcol("SCAN_NUMBER", np.arange(n)),
           t.putcol("FLAG", np.ones((2, 63, 3), bool), 0, 3), t.putcol("DATA", np.arange(2 * 63 * 4.0).reshape(2, 63, 4), 2, 4),
           t.putcol("UVW", [[1, 2, 3], [4, 5, 6], [7.0, 8, 9]], 0, 3), t.putcell("TIME", 1, 3), t.putcell("TIME", [3, 4], 7.0),
           t.putcell("UVW", 5, [1, 2, 3]), t.putcell("DATA", 9, np.full((2, 63), 1 + 2j)),
           t.putcolslice("DATA", np.full((1, 2, 3), 2.0), [0, 0], [0, 1], [1, 1], 20, 3),
           t.putcolslice("DATA", np.full((1, 2, 3), 3.0), [1, 0], [1, 1], [1], 20, 3),
           t.putcellslice("DATA", 30, np.full((1, 2), 2.0), [0, 0], [0, 1], [1, 1]),
           t.putvarcol("DATA", {"r1": np.ones((2, 63, 1)), "r2": np.full((2, 63, 1), 2)}, 40, 2)]
    for key, value in {"I": 1, "F": 1.5, "B": True, "C": 1j, "S": "text", "LI": [1, 2], "LF": [1.0, 2], "LS": ["a", "bb"],
                       "LB": [True, False], "D": {"a": 1, "b": {"c": [1, 2.5]}}, "NI": np.arange(6).reshape(2, 3)}.items():
        out.append(t.putkeyword(key, value))
    out += [t.putkeyword("R.x.y", 1, True), t.putkeywords({"A1": 1, "A2": "x"}), t.removekeyword("F"), t.putcolkeyword("TIME", "X", [1, 2]),
            t.putcolkeyword("TIME", "MEASINFO.Ref", "UTC"), t.putcolkeywords("TIME", {"Z": 1}), t.removecolkeyword("TIME", "X"),
            t.putinfo({"type": "a", "subType": "b"}), t.addreadmeline("more"), t.addrows(2), t.addrows(), t.nrows(), t.renamecol("WEIGHT", "W"),
            t.flush(), t.close()]
    t = _table(table, f"{folder}/copy.ms")
    out += [t.getcol(name, 0, n) for name in ("ANTENNA1", "TIME", "SCAN_NUMBER", "FLAG", "DATA", "UVW", "W")]
    out += [t.getkeywords(), t.getcolkeywords("TIME"), t.info(), t.nrows(), t.colnames(), t.iswritable()]
    t.close()
    return out


def new_tables(table, ms, folder):
    t = table()
    desc = {"A": {"valueType": "int"}, "B": {"valueType": "string"}, "C": {"valueType": "double", "ndim": 1},
            "D": {"valueType": "uint"}, "E": {"valueType": "short"}, "F": {"valueType": "uchar"}, "G": {"valueType": "dcomplex"},
            "S": {"valueType": "string", "ndim": 2}, "T": {"valueType": "boolean", "ndim": 2, "shape": [2, 3], "option": 5}}
    out = [t.create(f"{folder}/new.tab", desc, nrow=3), t.colnames(), t.nrows(), t.iswritable(), t.putcol("B", ["a", "b", "ccc"]),
           t.putcell("C", 1, [1, 2.5]), t.putcol("D", [1, 2, 3]),
           t.putcell("C", 0, [4.0]), t.putcell("C", 2, [5.0, 6, 7]), t.putcol("T", np.ones((2, 3, 3), bool)),
           t.addcols({"N": {"valueType": "float"}}), t.removecols(["E"]), t.removerows([2]), t.flush()]
    out += [[t.getcol(name), t.getcell(name, 0)] for name in "ABDFGN"] + [t.getvarcol("C"), t.getcol("T"), t.nrows()]
    c = t.copy(f"{folder}/new.copy", deep=True, valuecopy=True)
    out += [c.nrows(), c.colnames(), c.getcol("B"), c.close(), t.close()]
    return out


def _data(ms, path, items, *steps, **options):
    m = ms()
    m.open(path)
    m.selectinit(0)
    done = [step(m) for step in steps]
    out = [done, m.nrow(True), m.getdata(items, **options)]
    m.close()
    return out


def getdata(table, ms, folder):
    """All items, plain and with each kind of selection. Items in twos, as what one leaves out of all is not what is asked here."""
    path = f"{folder}/ngc.ms"
    calls = {
        "all": (),
        "fields": (lambda m: m.msselect({"field": "1"}),),
        "channels": (lambda m: m.selectchannel(3, 2, 1, 5),),
        "correlation": (lambda m: m.selectpolarization(["LL"]),),
    }
    out = {name: _data(ms, path, EVERYTHING, *steps) for name, steps in calls.items()}
    few = ["data", "amplitude", "flag", "axis_info"]
    out["stokes"] = _data(ms, path, few, lambda m: m.selectpolarization(["I", "V"]))
    out["linear"] = _data(ms, path, few, lambda m: m.selectpolarization(["XX"]))
    out["step"] = _data(ms, path, ["time", "antenna1", "data"], increment=3)
    out["upper"] = _data(ms, path, ["DATA", "Antenna1"])
    out["one"] = _data(ms, path, "uvw")
    out["none"] = _data(ms, path, [])
    out["unknown"] = _data(ms, path, ["nix", "time"])
    out["no columns"] = _data(ms, path, ["corrected_data", "model_amplitude", "float_data", "ratio_phase"])
    out["windows"] = [_data(ms, f"{folder}/sim.ms", ["data", "flag", "weight", "time", "antenna2", "axis_info"], _ddid(ddid)) for ddid in
                      range(4)]
    out["columns"] = _data(ms, f"{folder}/col.ms", ALL_DATA)
    return out


def polarizations(table, ms, folder):
    """In the order asked for, each once; converted where the data lack one; means of converted ones where all rows have the same weights and
    no flags (CASA takes the weights and flags of other rows and correlations)."""
    items, scan = ["data", "flag", "weight", "sigma", "amplitude", "axis_info"], lambda m: m.msselect({"scan": "2"})
    out = {}
    for wanted in (["LL", "RR"], ["RR", "LL"], ["LL", "RR", "LL"], ["I"], ["V", "I"], ["RR", "I"], ["XX", "YY"]):
        chosen = (scan, lambda m, wanted=wanted: m.selectpolarization(wanted))
        few = lambda m: m.msselect({"baseline": "1~4&"})
        out[f"two {wanted}"] = [_data(ms, f"{folder}/ngc.ms", items, *chosen), _data(ms, f"{folder}/ngc.ms", items, *chosen, average=True),
                                _data(ms, f"{folder}/ngc.ms", ["phase", "flag_sum"], *chosen, average=True),
                                _data(ms, f"{folder}/ngc.ms", items, *chosen, few, average=True, ifraxis=True),
                                _data(ms, f"{folder}/ngc.ms", items, *chosen, few, lambda m: m.selectchannel(3, 4, 5, 6), average=True)]
    for wanted in (["LL", "RR"], ["LR"], ["LL", "RL", "RR"], ["LL", "LR", "RL", "RR"], ["RR", "RL", "LR", "LL"], ["I", "Q", "U", "V"], ["Q", "RR"]):
        out[f"four {wanted}"] = _data(ms, f"{folder}/sim.ms", items, _ddid(3), lambda m, wanted=wanted: m.selectpolarization(wanted))
    return out


def _ddid(number):
    return lambda m: (m.selectinit(reset=True), m.selectinit(number))


def averages(table, ms, folder):
    path = f"{folder}/ngc.ms"
    out = {"rows": _data(ms, path, ["data", "amplitude", "phase", "real", "imaginary", "flag", "weight", "antenna1", "array_id", "time", "sigma"],
                         lambda m: m.msselect({"scan": "2"}), average=True)}
    out["channels"] = _data(ms, path, ["data", "flag", "amplitude", "axis_info"], lambda m: m.selectchannel(3, 2, 4, 5))
    out["interferometers"] = _data(ms, path, ["data", "flag", "weight"], lambda m: m.msselect({"field": "1", "baseline": "1~4"}),
                                   ifraxis=True, average=True)
    return out


def channel_averages(table, ms, folder):
    """Bins of channels: which weights each column has, what is flagged, weights and sigmas of rows. avg_*.ms have flags in all patterns, and
    WEIGHT_SPECTRUM (w), SIGMA_SPECTRUM (s), both or none. FLOAT_DATA by itself, as CASA takes it for DATA then."""
    visibilities = ["data", "corrected_data", "model_data", "ratio_data", "residual_data", "obs_residual_data", "corrected_amplitude"]
    items = ["flag", "weight", "sigma", "flag_sum", "flag_row", "axis_info", "uvw"]
    out = {}
    for name in ("n", "w", "s", "ws"):
        for bins in ((3, 2, 4, 5), (15, 0, 4, 4), (1, 0, 63, 63), (4, 3, 3, 1), (5, 0, 1, 7)):
            steps = (lambda m, bins=bins: m.selectchannel(*bins),)
            out[f"{name} {bins}"] = [_data(ms, f"{folder}/avg_{name}.ms", visibilities + items, *steps),
                                     _data(ms, f"{folder}/avg_{name}.ms", ["float_data"] + items, *steps) if name in ("n", "w") else None,
                                     _data(ms, f"{folder}/avg_{name}.ms", ["data"] + items, *steps, ifraxis=True)]
        out[f"{name} LL"] = _data(ms, f"{folder}/avg_{name}.ms", ["corrected_data", "weight", "sigma", "flag"],
                                  lambda m: m.selectpolarization(["LL"]), lambda m: m.selectchannel(5, 1, 10, 12))
    for name in ("f", "fw"):
        for bins in ((3, 2, 4, 5), (1, 0, 63, 63)):
            out[f"{name} {bins}"] = _data(ms, f"{folder}/avg_{name}.ms", ["float_data", "weight", "sigma"], lambda m, b=bins: m.selectchannel(*b))
    return out


def row_averages(table, ms, folder):
    """Means over rows of bins of channels. All rows have the same weights and flags here, since CASA takes the weights of other rows."""
    items = ["data", "corrected_data", "model_data", "ratio_data", "residual_amplitude", "flag", "sigma", "flag_sum", "time", "antenna1", "ifr_number",
             "axis_info", "ha", "last"]
    out = {}
    for bins in (None, (3, 2, 4, 5), (1, 0, 63, 63)):
        steps = (lambda m, bins=bins: m.selectchannel(*bins),) if bins else ()
        for ifr in (False, True):
            out[f"{bins} {ifr}"] = [_data(ms, f"{folder}/avg_u.ms", items, *steps, ifraxis=ifr, average=True),
                                    _data(ms, f"{folder}/avg_u.ms", items + ["weight"], *steps, ifraxis=ifr, average=True)]
        out[f"{bins} float"] = _data(ms, f"{folder}/avg_uf.ms", ["float_data", "sigma", "flag"], *steps, average=True)
    return out


def gaps(table, ms, folder):
    """Empty places on the axis of interferometers. CASA does not flag them, calls their antennas 0, and crashes for axis_info: that is left out."""
    out = {}
    items = ["antenna1", "antenna2", "ifr_number", "data", "flag", "flag_row", "flag_sum", "weight", "sigma", "uvw", "u", "uvdist", "time",
             "scan_number", "amplitude"]
    for gap in (-1, 0, 1, 3):
        for options in ({}, {"average": True}):
            done, rows, record = _data(ms, f"{folder}/avg_w.ms", items, ifraxis=True, ifraxisgap=gap, **options)
            if not options:
                there = np.asarray(record["ifr_number"]) >= 0
            axis = {"flag": 2, "flag_row": 0, "flag_sum": 2} if options else {"antenna1": 0, "antenna2": 0, "flag": 2, "flag_row": 0, "flag_sum": 2}
            out[f"{gap} {options}"] = [done, rows, {key: np.compress(there, value, axis[key]) if key in axis else value
                                                    for key, value in record.items() if not (options and key in ("data", "amplitude"))}]
        out[f"{gap} rows"] = _data(ms, f"{folder}/avg_w.ms", ["data", "antenna1"], ifraxisgap=gap)
    m = ms()
    m.open(f"{folder}/copy.ms", nomodify=False)
    m.selectinit(0)
    m.msselect({"scan": "2"})
    d = m.getdata(["data", "flag"], ifraxis=True, ifraxisgap=2)
    d["data"] *= 3
    d["flag"][0, 3] = True
    out["put"] = [m.putdata(d), m.close()]
    t = _table(table, f"{folder}/copy.ms")
    out["put"] += [t.getcol("DATA"), t.getcol("FLAG"), t.close()]
    return out


def ifraxis(table, ms, folder):
    items = ["data", "antenna1", "antenna2", "time", "flag", "axis_info", "ifr_number", "flag_row", "uvw", "weight", "sigma", "field_id",
             "scan_number", "ha", "last", "ut", "u", "uvdist", "amplitude", "phase", "data_desc_id", "feed1", "array_id", "flag_sum"]
    return [_data(ms, f"{folder}/ngc.ms", items, lambda m: m.msselect({"field": "1", "baseline": "1~4"}), ifraxis=True),
            _data(ms, f"{folder}/ngc.ms", ["data", "flag", "time"], lambda m: m.msselect({"scan": "2"}),
                  lambda m: m.selectpolarization(["I"]), lambda m: m.selectchannel(5, 0, 1, 2), ifraxis=True)]


def narrowing(table, ms, folder):
    out = {}
    selections = [("select", one) for one in (
        {"antenna1": [1, 2]}, {"times": [4304481539.999771]}, {"uvdist": [0, 1000.0]}, {"u": [0, 1000.0]}, {"w": [-5.0, 5]},
        {"ifr_number": [1, 2]}, {"field_id": 1}, {"field_id": [0, 1], "scan_number": [1]}, {"scan_number": 99}, {"rows": [0, 3, 5]},
        {"data_desc_id": 0}, {}, {"time": [4304482000.0, 4304483000.0]})]
    selections += [("msselect", one) for one in (
        {"field": "1"}, {"spw": "0:5~10"}, {"baseline": "1&2"}, {"scan": "2~3"}, {"time": "<1995/04/13/09:30"}, {"uvdist": "<1km"},
        {"polarization": "RR"}, {"taql": "ANTENNA1==2"}, {"field": "N*"}, {"baseline": "!3"}, {"observation": "0"}, {"array": "0"},
        {"antenna": "1"}, {"field": "1", "scan": "2"})]
    for method, one in selections:
        m = ms()
        m.open(f"{folder}/ngc.ms")
        done = getattr(m, method)(one)
        out[f"{method} {one}"] = [done, m.nrow(True), m.nrow(), m.msselectedindices() if method == "msselect" else None]
        m.close()
    m = ms()
    m.open(f"{folder}/ngc.ms")
    out["parse"] = [m.msselect({"field": "1"}, onlyparse=True), m.nrow(True), m.msselectedindices()]
    out["taql"] = [m.selecttaql("ANTENNA1==1"), m.nrow(True), m.selecttaql("ANTENNA1==111"), m.nrow(True)]
    out["again"] = [m.selectinit(reset=True), m.nrow(True), m.selectinit(99), m.nrow(True), m.reset(), m.nrow(True)]
    out["refused"] = [m.selectchannel(3, 62, 4, 5), m.selectchannel(0, 0, 1, 1), m.selectpolarization(["nix"])]
    m.close()
    return out


def ranges(table, ms, folder):
    out = []
    for name in ("ngc.ms", "sim.ms"):
        m = ms()
        m.open(f"{folder}/{name}")
        m.selectinit(0)
        out += [m.range(RANGES), m.range(["TIME", "nix"]), m.range([]), m.range(["amplitude"], useflags=False)]
        m.msselect({"scan": "2"})
        out.append(m.range(RANGES))
        m.close()
    return out


def iterations(table, ms, folder):
    out = []
    for arguments in (([], 0.0, 0, True), (["TIME"], 0.0, 0, True), (["TIME"], 600.0, 0, True), (["ANTENNA1"], 0.0, 0, False),
                      (["SCAN_NUMBER"], 0.0, 0, False), ([], 0.0, 500, True), (["TIME"], 1e9, 1000, True)):
        m = ms()
        m.open(f"{folder}/ngc.ms")
        m.selectinit(0)
        steps = [m.iterinit(*arguments), m.iterorigin()]
        while len(steps) < 12:
            steps.append(m.getdata(["time", "antenna1", "scan_number", "data"]))
            if not m.iternext():
                break
        out.append(steps + [m.iterend(), m.nrow(True)])
        m.close()
    m = ms()
    m.open(f"{folder}/ngc.ms")
    out += [m.iterinit(["nix"], 0.0), m.iterorigin()]
    m.close()
    return out


def putdata(table, ms, folder):
    m = ms()
    m.open(f"{folder}/copy.ms", nomodify=False)
    m.selectinit(0)
    m.msselect({"scan": "2"})
    d = m.getdata(["data", "flag", "flag_row", "weight", "sigma"])
    d["data"] *= 2
    d["flag"][0, 3] = True
    d["flag_row"][5] = True
    d["weight"] += 1
    d["sigma"][:] = 2
    out = [m.iswritable(), m.putdata(d), m.selectinit(reset=True), m.selectinit(0)]
    m.msselect({"scan": "7"})
    d = m.getdata(["data", "flag"], ifraxis=True)
    d["data"] += 5j
    d["flag"][1] = True
    out += [m.putdata(d), m.selectinit(reset=True), m.iterinit(["SCAN_NUMBER"], 0.0, 0, False), m.iterorigin()]
    d = m.getdata(["data"])
    d["data"][:] = 1
    out += [m.putdata(d), m.iterend(), m.close()]
    t = _table(table, f"{folder}/copy.ms")
    out += [t.getcol(name) for name in ("DATA", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA")]
    t.close()
    return out


def about(table, ms, folder):
    out = []
    for name in ("ngc.ms", "sim.ms"):
        m = ms()
        m.open(f"{folder}/{name}")
        out += [m.name(), m.nrow(), m.iswritable(), m.ismultims(), m.getreferencedtables(), m.getscansummary(), m.getspectralwindowinfo(),
                m.getfielddirmeas(), m.getfielddirmeas("DELAY_DIR", 1), m.getfielddirmeas("PHASE_DIR", 1, 0.0, "string")]
        d = m.metadata()
        out += [d.nspw(), d.nfields(), d.fieldnames(), d.antennanames(), d.scannumbers(), d.nantennas(), d.observatorynames(), d.nchan(0),
                d.chanfreqs(0), d.chanwidths(0), d.nobservations(), d.nscans()]
        d.done()
        m.close()
    m = ms()
    out += [m.name(), m.close(), m.done()]
    return out


def statistics(table, ms, folder):
    """statistics of scalars, of vectors by element, of arrays."""
    out = {}
    for name in ("ngc.ms", "sim.ms"):
        t = _table(table, f"{folder}/{name}")
        out[name] = [t.statistics(column) for column in ("TIME", "SCAN_NUMBER", "EXPOSURE", "UVW", "FLAG", "FLAG_ROW")]
        out[name] += [t.statistics("WEIGHT")] if name == "ngc.ms" else []  # CASA wants one shape there
        out[name] += [t.statistics("DATA", part) for part in ("amp", "amplitude", "real", "imag", "phase")]
        t.close()
        # Sums of floats are rounded otherwise, where they are added in another order.
        out[name] = [{key: {what: f"{x:.5e}" for what, x in one.items()} for key, one in column.items()} for column in out[name]]
    return out


def rows(table, ms, folder):
    """Rows as dictionaries."""
    t = _table(table, f"{folder}/copy.ms", nomodify=False)
    row = t.row(["TIME", "UVW", "SCAN_NUMBER"])
    out = [row.get(3), len(row), row.iswritable(), row.put(3, {"TIME": 5.0, "SCAN_NUMBER": 77}), row.get(3), row.put(4, row.get(3)),
           sorted(t.row(["TIME", "FLAG_CATEGORY"], True).get(0)), t.row().get(22000)["DATA"], t.getcell("SCAN_NUMBER", 4)]
    t.close()
    return out


def ascii_files(table, ms, folder):
    """Tables to text and back."""
    t = _table(table, f"{folder}/ngc.ms/ANTENNA")
    out = [t.toasciifmt(f"{folder}/new.txt", "", ["NAME", "STATION", "DISH_DIAMETER", "FLAG_ROW", "POSITION"], " "),
           t.toasciifmt(f"{folder}/new2.txt", f"{folder}/new2.hdr", ["DISH_DIAMETER", "NAME"], ",")]
    out += [open(f"{folder}/{name}", encoding="ascii").read() for name in ("new.txt", "new2.txt", "new2.hdr")]
    t.close()
    with open(f"{folder}/in.txt", "w", encoding="ascii") as f:
        f.write("A B C\nI D A\n# c\n1 2.5 x\n3 4.5 y\n")
    for options in ({"commentmarker": "#"}, {"autoheader": True, "commentmarker": "#"}, {"commentmarker": "#", "lastline": 4},
                    {"columnnames": ["A", "B", "C"], "datatypes": ["A", "A", "A"], "firstline": 4}):
        t = table()
        out.append([t.fromascii(f"{folder}/new.tab", f"{folder}/in.txt", sep=" ", **options), t.colnames(), t.nrows(),
                    [t.getcol(name) for name in t.colnames()], t.iswritable()])
        t.close()
    return out


CASES = {one.__name__: one for one in (columns, slices, keywords, selections, puts, new_tables, getdata, polarizations, averages,
                                       channel_averages, row_averages, gaps, ifraxis, narrowing, ranges, iterations,
                                       putdata, about, statistics, rows, ascii_files)}

# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of flagdata and flagcmd on NGC 5921 with other columns than DATA, with antennas added, and on a Multi-MS cut by baseline, whose
flags CASA computed: expected/flagcolumn.json. That file is made by

    sheaf importuvfits fitsfile=NGC5921.fits vis=ngc5921.ms
    python3 tests/python/flagcolumn_cases.py prepare ngc5921.ms FOLDER                        (with python3-casacore)
    python3 tests/python/flagcolumn_cases.py make FOLDER tests/python/expected/flagcolumn.json

the last one with a Python that has CASA 6.7's packages (casatasks, casatools); and expected/flagparts.json by

    sheaf partition vis=ngc5921.ms outputvis=parts.mms separationaxis=baseline numsubms=3 flagbackup=False
    python3 tests/python/flagcolumn_cases.py parts parts.mms tests/python/expected/flagparts.json"""
import json
import os
import shutil
import sys

import numpy as np

from flagdata_cases import digest, plain

COLUMNS = ("CORRECTED", "MODEL", "RESIDUAL", "RESIDUAL_DATA")
NEAR = {"0": {"name": "x1", "diameter": 60.0, "position": [-1601094.3356, -5042003.2115, 3554864.9317]},
        "1": {"name": "x2", "diameter": 90.0, "position": [-1601015.0, -5042090.0, 3554800.0]}}
FILE = "".join(f"name={a['name']}\ndiameter={a['diameter']}\nposition={a['position']}\n" for a in NEAR.values())


def of_column(name):
    return {f"clip {name}": {"mode": "clip", "clipminmax": [0.0, 20.0]},
            f"clip {name} averaged": {"mode": "clip", "clipminmax": [0.0, 15.0], "channelavg": True, "chanbin": 4},
            f"tfcrop {name}": {"mode": "tfcrop", "extendflags": False},
            f"rflag {name}": {"mode": "rflag", "extendflags": False},
            f"rflag {name} averaged": {"mode": "rflag", "extendflags": False, "channelavg": True, "chanbin": 3}}


# name: the MS, and parameters of flagdata
CASES = {case: ("columns.ms", {"datacolumn": column, **par}) for column in COLUMNS for case, par in of_column(column).items()}
CASES.update({case: ("float.ms", {"datacolumn": "FLOAT_DATA", **par}) for case, par in of_column("FLOAT_DATA").items()})
CASES.update({
    "antennas": ("columns.ms", {"mode": "shadow", "addantenna": NEAR}),
    "antennas of a file": ("columns.ms", {"mode": "shadow", "addantenna": "antennas.txt", "tolerance": 5.0, "scan": "3"}),
    "uvrange in wavelengths": ("columns.ms", {"mode": "manual", "uvrange": "0.5~2klambda"}),
    "uvranges": ("columns.ms", {"mode": "manual", "uvrange": "100~300m,600~800m"}),
    "uvrange of tfcrop": ("columns.ms", {"mode": "tfcrop", "uvrange": "<500m", "extendflags": False}),
    "uvrange of rflag": ("columns.ms", {"mode": "rflag", "uvrange": ">300m", "extendflags": False}),
    "averages in a list": ("columns.ms", {"mode": "list", "inpfile": [
        "mode='clip' clipminmax=[0,40] channelavg=True chanbin=4", "mode='tfcrop' extendflags=False channelavg=True chanbin=4",
        "mode='rflag' extendflags=False channelavg=True chanbin=4"]}),
    "channels named twice": ("columns.ms", {"mode": "clip", "spw": "0:1~9;3~18", "clipminmax": [0.0, 50.0]}),
    "channels in another order": ("columns.ms", {"mode": "tfcrop", "spw": "0:30~50;1~20", "extendflags": False})})

# Lists whose commands average differently, on scans of their own. CASA averages for all of them as the last one says that averages; its
# flags are those of one command after the other.
_CLIP = "mode='clip' clipminmax=[0,60] scan='%s'"
ALONE = {"chanbins": [_CLIP % 1 + " channelavg=True chanbin=2", _CLIP % 2 + " channelavg=True chanbin=5"],
         "one averages": [_CLIP % 1, _CLIP % 2 + " channelavg=True chanbin=5"],
         "channels and times": [_CLIP % 1 + " channelavg=True chanbin=2", _CLIP % 3 + " timeavg=True timebin='90s'"],
         "tfcrop": ["mode='tfcrop' scan='1' extendflags=False", "mode='clip' clipminmax=[0,60] scan='2' channelavg=True chanbin=3"]}

# Commands that are unapplied where antenna 2 and scan 3 are flagged.
BEFORE = ({"mode": "manual", "antenna": "2"}, {"mode": "manual", "scan": "3"})
UNAPPLIED = {"all": "mode='clip' clipminmax=[0.0,65.1]", "scan": "mode='clip' clipminmax=[0.0,65.1] scan='3'",
             "channels": "mode='clip' clipminmax=[0.0,65.1] spw='0:3~20'", "one": "mode='clip' clipminmax=[0.0,1.0] correlation='ABS_LL'",
             "stokes": "mode='clip' clipminmax=[0.0,1.0] correlation='ABS_V'", "zeros": "mode='clip'",
             "inside": "mode='clip' clipminmax=[-1.0,1.0] clipoutside=False correlation='REAL_RR' scan='3'"}
# tfcrop: baselines that are partly flagged too; LL of antenna 5 wholly.
BEFORE_CROP = BEFORE + ({"mode": "manual", "spw": "0:10~14"}, {"mode": "manual", "antenna": "5", "correlation": "LL"},
                        {"mode": "clip", "clipminmax": [0.0, 50.0], "correlation": "ABS_RR"})
UNAPPLIED_CROP = {"tfcrop": "mode='tfcrop' extendflags=False", "tfcrop of a scan": "mode='tfcrop' scan='5' extendflags=False",
                  "tfcrop of channels": "mode='tfcrop' spw='0:12~40' extendflags=False",
                  "tfcrop of LL": "mode='tfcrop' correlation='ABS_LL' extendflags=False", "tfcrop of I": "mode='tfcrop' correlation='ABS_I' extendflags=False",
                  "tfcrop by times": "mode='tfcrop' ntime=60.0 scan='5' extendflags=False"}


def prepare(ms, folder):
    """columns.ms with CORRECTED_DATA and MODEL_DATA, float.ms with FLOAT_DATA alone."""
    from casacore.tables import makearrcoldesc, table
    rng = np.random.default_rng(7)

    def add(t, name, values, kind):
        t.addcols(makearrcoldesc(name, 0.0, 2, valuetype=kind, datamanagertype="TiledShapeStMan", datamanagergroup="Tiled" + name))
        t.putcol(name, values)

    def changed(data, scale, noise):
        random = rng.random(data.shape + (2,), dtype=np.float32) - np.float32(0.5)
        values = data * np.float32(scale) + (random * np.float32(noise)).view(np.complex64)[..., 0]
        values[rng.random(data.shape[:2], dtype=np.float32) < 0.003] *= np.float32(5)
        return values.astype(np.complex64)

    os.makedirs(folder, exist_ok=True)
    columns, real = os.path.join(folder, "columns.ms"), os.path.join(folder, "float.ms")
    shutil.copytree(ms, columns)
    shutil.copytree(ms, real)
    with table(columns, readonly=False, ack=False) as t:
        data = t.getcol("DATA")
        corrected = changed(data, 0.75, 4)
        add(t, "CORRECTED_DATA", corrected, "complex")
        add(t, "MODEL_DATA", changed(data, 0.5, 3), "complex")
    with table(real, readonly=False, ack=False) as t:
        t.removecols(["DATA"])
        add(t, "FLOAT_DATA", corrected.real.copy(), "float")
    with open(os.path.join(folder, "antennas.txt"), "w", encoding="ascii") as out:
        out.write(FILE)


def unapply(flagdata, flagcmd, path, command, before=BEFORE):
    for par in before:
        flagdata(vis=path, flagbackup=False, **par)
    flagcmd(vis=path, inpmode="list", inpfile=[command], action="list", savepars=True)
    flagcmd(vis=path, action="unapply", useapplied=True, flagbackup=False)


def make(folder, out):
    from casatasks import casalog, flagcmd, flagdata
    from casatools import table
    casalog.filter("SEVERE")
    os.chdir(folder)
    tb, expected = table(), {"cases": {}, "unapplied": {}, "alone": {}, "together": {}}

    def copy(of):
        shutil.rmtree("case.ms", ignore_errors=True)
        shutil.copytree(of, "case.ms")

    def result():
        tb.open("case.ms")
        value = digest(tb.getcol("FLAG").transpose(2, 1, 0), tb.getcol("FLAG_ROW"))
        tb.close()
        return value
    for name, (ms, par) in CASES.items():
        copy(ms)
        report = flagdata(vis="case.ms", flagbackup=False, **par)
        expected["cases"][name] = {"report": plain(report), **result()}
    for name, commands in ALONE.items():
        found = []
        for step in ([command] for command in commands), [commands]:
            copy("columns.ms")
            for some in step:
                flagdata(vis="case.ms", mode="list", inpfile=some, flagbackup=False)
            found.append(result())
        expected["alone"][name], expected["together"][name] = found
    for name, command in UNAPPLIED.items():
        copy("columns.ms")
        unapply(flagdata, flagcmd, "case.ms", command)
        expected["unapplied"][name] = result()
    for name, command in UNAPPLIED_CROP.items():
        copy("columns.ms")
        unapply(flagdata, flagcmd, "case.ms", command, BEFORE_CROP)
        expected["unapplied"][name] = result()
    shutil.rmtree("case.ms")
    with open(out, "w", encoding="ascii") as file:
        json.dump({"casatasks": "6.7.0.31", **expected}, file, indent=1, sort_keys=True)
        file.write("\n")


def make_parts(mms, out):
    """rflag on each sub-MS by itself: thresholds, then flags."""
    from casatasks import casalog, flagdata
    from casatools import table
    casalog.filter("SEVERE")
    tb, expected = table(), {}
    for name in sorted(os.listdir(os.path.join(mms, "SUBMSS"))):
        path = os.path.join(mms, "SUBMSS", name)
        report = flagdata(path, mode="rflag", action="calculate", extendflags=False)["report0"]
        flagdata(path, mode="rflag", extendflags=False, flagbackup=False)
        tb.open(path)
        expected[name] = {"timedev": plain(report["timedev"]), "freqdev": plain(report["freqdev"]),
                          **digest(tb.getcol("FLAG").transpose(2, 1, 0), tb.getcol("FLAG_ROW"))}
        tb.close()
    with open(out, "w", encoding="ascii") as file:
        json.dump({"casatasks": "6.7.0.31", "parts": expected}, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    {"prepare": prepare, "make": make, "parts": make_parts}[sys.argv[1]](*map(os.path.abspath, sys.argv[2:]))

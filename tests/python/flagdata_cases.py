# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of flagdata on NGC 5921 whose flags CASA computed: expected/flagdata.json. That file is made by

    sheaf importuvfits fitsfile=NGC5921.fits vis=ngc5921.ms
    python3 tests/python/flagdata_cases.py ngc5921.ms tests/python/expected/flagdata.json

with a Python that has CASA 6.7's packages (casatasks, casatools)."""
import hashlib
import json
import shutil
import sys

import numpy as np

# What the MS is flagged with before the modes that look at flags.
BEFORE = [{"mode": "clip", "clipminmax": [0.0, 65.1]}, {"mode": "manual", "antenna": "3"}]
WITH_FLAGS = ("extend", "unflag", "summary", "antint", "quackincrement", "rflag-flagged")
SPW = "0:15~31"


def times(n):
    """Many commands, as telescopes write them: an antenna and a short time, in no order, some with several ranges."""
    def clock(second):
        return "1995/04/13/%02d:%02d:%02d" % (9 + second // 3600, second // 60 % 60, second % 60)

    lines = []
    for i in range(n):
        start = i * 611 % 9000
        ranges = ["%s~%s" % (clock(t), clock(t + 20 + i % 50)) for t in (start, (start + 2000) % 9000)[:1 + i % 3 // 2]]
        lines.append("mode='manual' antenna='%s%d%s' timerange='%s'" % ("!" if i % 25 == 24 else "", i % 28, "&&*" if i % 2 else "",
                                                                     ",".join(ranges)))
    return lines


# name: parameters; the mode is the name up to the first '-'
CASES = {
    "manual": {}, "manual-antenna": {"antenna": "3"}, "manual-corr": {"scan": "4", "correlation": "LL"},
    "manual-channels": {"spw": SPW}, "manual-auto": {"autocorr": True}, "manual-uv": {"uvrange": "0~300m"},
    "manual-time": {"timerange": "1995/04/13/09:36:36~1995/04/13/10:11:48"},
    "unflag": {}, "unflag-scan": {"scan": "4"}, "unflag-spw": {"spw": "0"},
    "clip": {}, "clip-abs": {"clipminmax": [0.0, 65.1]},
    "clip-real": {"clipminmax": [-30.0, 30.0], "correlation": "REAL_LL", "clipoutside": False},
    "clip-norm": {"clipminmax": [0.0, 4238.0], "correlation": "NORM_ALL", "clipzeros": True},
    "clip-arg": {"clipminmax": [-1.0, 1.0], "correlation": "ARG_ALL", "spw": SPW},
    "clip-stokes": {"clipminmax": [0.0, 20.0], "correlation": "ABS_V"},
    "clip-weight-average": {"clipminmax": [0.0, 21.7], "datacolumn": "WEIGHT", "channelavg": True, "chanbin": 2},
    "clip-weight": {"clipminmax": [0.0, 10.0], "datacolumn": "WEIGHT"},
    "quack-beg": {"quackinterval": 31.0}, "quack-tail": {"quackinterval": 45.0, "quackmode": "tail"},
    "quack-endb": {"quackinterval": 60.0, "quackmode": "endb"}, "quack": {},
    "quack-increment": {"quackinterval": 40.0, "quackincrement": True},
    "elevation": {}, "elevation-low": {"lowerlimit": 45.0}, "elevation-high": {"upperlimit": 50.0, "field": "0"},
    "shadow": {}, "shadow-30": {"tolerance": -30.0}, "shadow-100": {"tolerance": -100.0, "scan": "4"},
    "tfcrop": {},
    "tfcrop-time": {"flagdimension": "timefreq", "extendflags": False, "timefit": "poly", "timecutoff": 3.0,
                    "usewindowstats": "sum", "halfwin": 2},
    "tfcrop-pieces": {"extendflags": False, "freqcutoff": 2.0, "timecutoff": 2.5, "maxnpieces": 3,
                      "usewindowstats": "both", "halfwin": 3, "ntime": 120.0, "correlation": "REAL_LL"},
    "tfcrop-average": {"combinescans": True, "freqfit": "line", "usewindowstats": "std", "channelavg": True,
                       "chanbin": 3},
    "rflag": {}, "rflag-5": {"extendflags": False, "winsize": 5, "timedevscale": 2.5, "freqdevscale": 2.0},
    "rflag-given": {"extendflags": False, "winsize": 4, "timedev": 6.5, "freqdevscale": 3.0, "ntime": 100.0},
    "rflag-rows": {"combinescans": True, "timedev": [[0.0, 0.0, 6.5]], "freqdev": 13.0, "timedevscale": 1.0},
    "rflag-calculate": {"action": "calculate"}, "rflag-calculate-one": {"action": "calculate", "timedev": 6.5},
    "rflag-calculate-rows": {"action": "calculate", "timedev": [[9.0, 9.0, 5.0], [0.0, 0.0, 6.5]]},
    "rflag-calculate-none": {"action": "calculate", "timedev": 6.5, "freqdev": 13.0},
    "extend": {}, "extend-around": {"growtime": 30.0, "growfreq": 70.0, "growaround": True, "extendpols": False},
    "extend-near": {"flagneartime": True, "flagnearfreq": True, "growtime": 0.0, "growfreq": 0.0, "ntime": 100.0,
                    "combinescans": True},
    "antint": {"antint_ref_antenna": "3"}, "antint-0": {"antint_ref_antenna": "1", "minchanfrac": 0.0},
    "antint-spw": {"antint_ref_antenna": "28", "minchanfrac": 0.9, "spw": "0"},
    "summary": {}, "summary-all": {"spwchan": True, "spwcorr": True, "basecnt": True},
    "summary-fields": {"fieldcnt": True, "correlation": "LL", "spw": SPW},
    "summary-limits": {"minrel": 0.1, "maxabs": 100000},
    "list": {"inpfile": ["mode='manual' autocorr=True", "mode='quack' quackinterval=20.0",
                         "mode='tfcrop' extendflags=False", "mode='rflag'", "mode='clip' clipminmax=[0,65]"]},
    "list-summaries": {"inpfile": ["mode='manual' antenna='3'", "mode='summary' name='a'", "mode='extend' growtime=20.0",
                                   "mode='unflag' scan='4'", "mode='summary'"]},
    "list-extensions": {"inpfile": ["mode='tfcrop' spw='%s'" % SPW, "mode='manual' scan='4'",
                                    "mode='tfcrop' ntime='2min'", "mode='summary' spwchan=True"]},
    "list-times": {"inpfile": times(150)}, "list-times-corr": {"inpfile": times(150) + ["mode='summary'", "mode='extend'"]},
}


def mode_of(name):
    return name.split("-")[0]


def steps(name):
    """Calls of flagdata, the last one with the parameters of the case."""
    before = BEFORE if name.split("-")[0] in WITH_FLAGS or name.replace("-", "") in WITH_FLAGS else []
    return [*before, {"mode": mode_of(name), **CASES[name]}]


def digest(flag, flag_row):
    """flag: [row][chan][corr]."""
    return {"flags": int(np.sum(flag)), "rows": int(np.sum(flag_row)),
            "sha256": hashlib.sha256(np.packbits(np.ascontiguousarray(flag)).tobytes() +
                                     np.packbits(flag_row).tobytes()).hexdigest()}


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


def make(ms, out):
    from casatasks import casalog, flagdata
    from casatools import table
    casalog.filter("SEVERE")
    tb, expected = table(), {}
    for name in CASES:
        shutil.rmtree("flagdata_case.ms", ignore_errors=True)
        shutil.copytree(ms, "flagdata_case.ms")
        for step in steps(name):
            report = flagdata(vis="flagdata_case.ms", flagbackup=False, **step)
        tb.open("flagdata_case.ms")
        expected[name] = digest(tb.getcol("FLAG").transpose(2, 1, 0), tb.getcol("FLAG_ROW"))
        tb.close()
        text = json.dumps(plain(report), sort_keys=True)
        expected[name]["report"] = plain(report) if len(text) < 1500 else hashlib.sha256(text.encode()).hexdigest()
    shutil.rmtree("flagdata_case.ms")
    with open(out, "w") as file:
        json.dump({"casatasks": "6.7.0.31", "cases": expected}, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    make(*sys.argv[1:])

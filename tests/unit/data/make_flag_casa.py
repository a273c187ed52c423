# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes flag_casa.json: what CASA's flagdata does to data that a formula gives.

    bench/make-ms seed.ms --scans 4 --integrations 8 --antennas 6
    python make_flag_casa.py seed.ms flag_casa.json      # with the Python of CASA 6.7

Of the seed only the frame is used: 26 times of the 10 baselines of 5 antennas, in one scan, of one spectral window's first 30 channels, RR and
LL. Data, flags and SIGMA come from `formula`, which tests/unit/flag_cases.h has in C. Sets: "full" has every row, "gaps" lacks those
with (7 * baseline + time) % 23 == 0. Flags are packed, [row][chan][corr], rows in order of time and baseline."""

import json
import os
import shutil
import sys
import tempfile

import casatasks
import casatools
import numpy as np

NTIME, NBASE, NCHAN = 26, 10, 30


def mix(x):
    """splitmix64 of integers."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def noise(h):
    """Four 16-bit fields together, about 1 wide."""
    return (sum((h >> np.uint64(s)) & np.uint64(0xFFFF) for s in (0, 16, 32, 48)).astype("i8") - 131070) / 32768.0


def formula(t, m):
    """Data, flags [chan, corr] and SIGMA [corr] of time t, baseline m."""
    c, p = np.meshgrid(np.arange(NCHAN), np.arange(2), indexing="ij")
    h = mix((((t * 16 + m) * 64 + c) * 4 + p).astype(np.uint64))
    g = mix(h)
    loud = np.where(h % np.uint64(101) == 0, 16.0, 1.0)
    re = noise(h) * loud + 4.0 + (c - 15) ** 2 / 64.0
    im = noise(g) * loud + p * 0.5
    re += np.where((c == 7) & (t >= 10) & (t < 15), 20.0, 0.0)
    im += 12.0 if t == 17 and m == 2 else 0.0
    flag = (g % np.uint64(9) == 0) | ((m == 1) & (c == 20)) | ((m == 4) & (t == 3))
    sigma = 0.5 + ((t * 3 + m + np.arange(2)) % 5) / 4.0
    return (re + 1j * im).astype("c8"), flag, sigma.astype("f4")


CASES = [
    ("gaps", "tfcrop", {}),
    ("gaps", "tfcrop", dict(flagdimension="timefreq", timefit="poly", timecutoff=2.0, usewindowstats="sum", halfwin=2)),
    ("gaps", "tfcrop", dict(freqcutoff=2.0, timecutoff=2.5, maxnpieces=3, usewindowstats="both", halfwin=3)),
    ("gaps", "tfcrop", dict(freqfit="line", flagdimension="freq", usewindowstats="std", correlation="REAL_LL")),
    ("gaps", "tfcrop", dict(flagdimension="time", timefit="poly", maxnpieces=9, correlation="NORM_ALL")),
    ("gaps", "tfcrop", dict(spw="0:0~25", timecutoff=1.5)),
    ("full", "tfcrop", dict(spw="0:2~27", flagdimension="timefreq", timecutoff=1.5)),
    ("gaps", "tfcrop", dict(correlation="ABS_I")),
    ("gaps", "rflag", {}),
    ("gaps", "rflag", dict(winsize=5, timedevscale=2.5, freqdevscale=2.0)),
    ("gaps", "rflag", dict(winsize=4, timedev=0.5, freqdevscale=3.0, spectralmin=-1.0)),
    ("gaps", "rflag", dict(timedevscale=2.0, freqdevscale=2.5, correlation="ABS_I,LL")),
    ("gaps", "rflag", dict(spw="0:3~20", timedevscale=2.0, freqdevscale=2.5, correlation="ABS_RR")),
    ("gaps", "extend", dict(extendpols=True)),
    ("gaps", "extend", dict(growtime=15.0, growfreq=20.0, growaround=True, extendpols=False)),
    ("gaps", "extend", dict(growtime=0.0, growfreq=0.0, growaround=True, flagneartime=True, flagnearfreq=True, extendpols=False)),
    ("gaps", "extend", dict(growtime=25.0, growfreq=25.0, flagneartime=True, spw="0:5~18", correlation="LL")),
    ("gaps", "clip", dict(clipminmax=[0.0, 8.0])),
    ("gaps", "clip", dict(clipminmax=[4.0, 5.0], clipoutside=False, correlation="REAL_RR,LL")),
    ("gaps", "clip", dict(clipzeros=True, correlation="IMAG_LL,I")),
    ("gaps", "clip", dict(clipminmax=[-0.5, 0.5], correlation="ARG_ALL")),
    ("gaps", "clip", dict(clipminmax=[10.0, 40.0], correlation="NORM_LL")),
    ("gaps", "clip", dict(clipminmax=[-1.0, 1.0], correlation="REAL_V")),
    ("full", "clip", dict(clipminmax=[0.0, 7.0], channelavg=True, chanbin=4)),
    ("full", "clip", dict(clipminmax=[3.5, 7.0], timeavg=True, timebin="45s")),
    ("full", "clip", dict(clipminmax=[3.5, 7.0], timeavg=True, timebin="45s", channelavg=True, chanbin=7)),
]


def frame(seed, path, gaps):
    """The rows of the seed that are used, with the formula's cells."""
    tb = casatools.table()
    tb.open(seed)
    spw = tb.query("DATA_DESC_ID == 0 AND ANTENNA1 < 5 AND ANTENNA2 < 5 AND ANTENNA1 < ANTENNA2", sortlist="TIME,ANTENNA1,ANTENNA2")
    times = np.unique(spw.getcol("TIME"))[:NTIME]
    spw.close()
    tb.close()
    casatasks.split(vis=seed, outputvis=path + ".all", spw="0:0~%d" % (NCHAN - 1), antenna="0~4&", datacolumn="data")
    tb.open(path + ".all")
    t = np.searchsorted(times, tb.getcol("TIME"))
    pairs = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    m = np.array([pairs.index(x) for x in zip(tb.getcol("ANTENNA1").tolist(), tb.getcol("ANTENNA2").tolist())])
    drop = (t >= NTIME) | (gaps & ((7 * m + t) % 23 == 0))
    tb.selectrows(np.where(~drop)[0].tolist()).copy(path, deep=True, valuecopy=True).close()
    tb.close()
    tb.open(path, nomodify=False)
    t, m = t[~drop], m[~drop]
    assert (np.diff(t * 16 + m) > 0).all(), "rows are not in order of time and baseline"
    for name in ("SCAN_NUMBER", "FIELD_ID", "STATE_ID"):
        tb.putcol(name, np.full(len(t), 1 if name == "SCAN_NUMBER" else 0, "i4"))
    tb.putcol("TIME", 5.0e9 + 10.0 * t)
    tb.putcol("FLAG_ROW", np.zeros(len(t), bool))
    data, flag, sigma = zip(*(formula(int(a), int(b)) for a, b in zip(t, m)))
    tb.putcol("DATA", np.stack(data).T)
    tb.putcol("SIGMA", np.stack(sigma).T)
    tb.close()
    return np.stack(flag)


def main(seed, out):
    casatasks.casalog.setlogfile("/dev/null")
    work = tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/tmp"))
    os.chdir(work)
    sets = {name: (name + ".ms", frame(seed, name + ".ms", name == "gaps")) for name in ("full", "gaps")}
    tb = casatools.table()

    def flags(name, new=None):
        tb.open(name, nomodify=False)
        if new is not None:
            tb.putcol("FLAG", new.transpose(2, 1, 0))
        now = tb.getcol("FLAG").transpose(2, 1, 0)
        tb.close()
        return now

    cases = []
    for which, mode, parameters in CASES:
        name, start = sets[which]
        flags(name, start)
        more = {} if mode in ("extend", "clip") else dict(extendflags=False)
        casatasks.flagdata(vis=name, mode=mode, flagbackup=False, **more, **parameters)
        now = flags(name)
        cases.append(dict(set=which, mode=mode, parameters=parameters, new=int((now & ~start).sum()),
                          flags=np.packbits(now).tobytes().hex()))
        print(which, mode, parameters, cases[-1]["new"], int((start & ~now).sum()))
    thresholds = []
    for parameters in ({}, dict(winsize=5, correlation="ABS_LL"), dict(spw="0:3~20", ntime="100s")):
        name, start = sets["gaps"]
        flags(name, start)
        report = casatasks.flagdata(vis=name, mode="rflag", action="calculate", flagbackup=False, **parameters)["report0"]
        thresholds.append(dict(parameters=parameters, timedev=float(np.array(report["timedev"])[0][2]).hex(),
                               freqdev=float(np.array(report["freqdev"])[0][2]).hex()))
    with open(out, "w") as f:
        f.write(json.dumps(dict(made="CASA 6.7, make_flag_casa.py", cases=cases, thresholds=thresholds), indent=0) + "\n")
    os.chdir("/")
    shutil.rmtree(work)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))

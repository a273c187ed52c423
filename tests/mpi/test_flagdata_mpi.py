# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata at 1, 2, 3 and 5 ranks and without MPI, on 1 and 2 threads, on an MS and on its Multi-MSs along every axis:
the same flags, to the bit."""
import json
import os
import shutil
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "python"), os.path.dirname(HERE)]
pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import flagcal_cases  # noqa: E402
import inputs  # noqa: E402
from runs import MPISHEAF, SHEAF, Run  # noqa: E402

AXES = ("scan", "spw", "baseline", "auto")
KEYS = ("OBSERVATION_ID", "ARRAY_ID", "SCAN_NUMBER", "FIELD_ID", "DATA_DESC_ID", "TIME", "ANTENNA1", "ANTENNA2")
# A mode each that looks along time, at all baselines, at single rows, at scans; lists of them; with and without averages.
CALLS = {
    "tfcrop": ["mode=tfcrop", "ntime=40", "combinescans=True"],
    "rflag": ["mode=rflag", "freqdevscale=2.0", "timedevscale=2.0"],
    "list": ["mode=list", "inpfile=[\"mode='quack' quackinterval=15.0\",\"mode='rflag' extendflags=False\","
             "\"mode='tfcrop'\",\"mode='clip' clipminmax=[0,20]\",\"mode='summary'\",\"mode='manual' antenna='2'\"]"],
    "average": ["mode=clip", "clipminmax=[0,0.7]", "timeavg=True", "timebin=25s", "channelavg=True", "chanbin=3"],
    "shadow": ["mode=shadow", "tolerance=-2000.0"],
    "antint": ["mode=antint", "antint_ref_antenna=ea02", "minchanfrac=0.1"],
    "summary": ["mode=summary", "spwchan=True", "basecnt=True"],
    "quack": ["mode=quack", "quackinterval=15.0", "quackincrement=True"],
}


def run(ranks, *words, threads=None):
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    env = dict(os.environ, SHEAF_LOGFILE="none")
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
    status, out, err = Run(*launch, SHEAF, "--json", *words, env=env).finish()
    assert status == 0, err
    return json.loads(out.strip().splitlines()[-1]) if out.strip() else None


def flags(path):
    """FLAG of all rows in the order of their keys, packed, and FLAG_ROW."""
    with table(path, ack=False) as t:
        order = np.lexsort([t.getcol(k) for k in reversed(KEYS)])
        return np.packbits(t.getcol("FLAG")[order]).tobytes(), t.getcol("FLAG_ROW")[order].tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The MS with some flags, and its Multi-MSs."""
    path = tmp_path_factory.mktemp("flags")
    shutil.copytree(inputs.simulated(9, 7), path / "a.ms")
    for words in (["mode=clip", "clipminmax=[0,18]"], ["mode=manual", "antenna=ea02", "spw=1:3~40"]):
        run(0, "flagdata", f"vis={path}/a.ms", "flagbackup=False", *words)
    for axis in AXES:
        run(0, "partition", f"vis={path}/a.ms", f"outputvis={path}/{axis}.mms", f"separationaxis={axis}", "numsubms=4",
            "flagbackup=False")
    return path


@pytest.mark.parametrize("name", sorted(CALLS))
def test_one_result(folder, tmp_path, name):
    def result(source, ranks, threads=None):
        path = str(tmp_path / "w.ms")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(folder / source, path, symlinks=True)
        report = run(ranks, "flagdata", f"vis={path}", "flagbackup=False", *CALLS[name], threads=threads)
        return report, flags(path)
    report, want = result("a.ms", 0, 1)
    if name != "summary":
        assert want != flags(str(folder / "a.ms"))
    for source, ranks, threads in [("a.ms", 0, 2), ("a.ms", 2, None), ("a.ms", 3, None), ("scan.mms", 0, 2),
                                   ("scan.mms", 1, None), ("spw.mms", 3, None), ("baseline.mms", 0, 1),
                                   ("baseline.mms", 5, None), ("auto.mms", 2, None)]:
        other, got = result(source, ranks, threads)
        assert got == want, (source, ranks, threads)
        assert other == report, (source, ranks, threads)


@pytest.mark.parametrize("ranks", (0, 3))
def test_a_selection_without_rows(folder, ranks):
    """CASA 6.7, flagdata(mms, scan='99'): False, with mpicasa None; of an MS a RuntimeError."""
    for words in (["scan=99"], ["scan=99", "mode=summary"], ["scan=99", "mode=rflag"]):
        assert run(ranks, "flagdata", f"vis={folder}/scan.mms", "flagbackup=False", *words) == {}
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    status, _, err = Run(*launch, SHEAF, "flagdata", f"vis={folder}/scan.mms", "scan=99").finish()
    assert status == 0 and "MSSelectionNullSelection : scan='99' selects no rows" in err
    assert not (folder / "scan.mms.flagversions").exists()
    status, _, err = Run(*launch, SHEAF, "flagdata", "vis=a.ms", "scan=99", cwd=folder).finish()
    assert status == 1 and "scan='99' selects no rows" in err
    status, _, err = Run(*launch, SHEAF, "flagdata", f"vis={folder}/scan.mms", "antenna=NOSUCH").finish()
    assert status == 2 and "NOSUCH" in err


@pytest.mark.parametrize("ranks", [0, 1, 2, 3, 5])
def test_calibration_tables(tmp_path, ranks):
    """All selections and modes of lists on a calibration table, against CASA's flags (flagcal.json)."""
    with open(os.path.join(HERE, os.pardir, "python", "expected", "flagcal.json"), encoding="ascii") as file:
        expected = json.load(file)["flags"]
    names = sorted(flagcal_cases.LISTS) if ranks == 3 else ["timerange", "clip of one", "channels", "quack"]
    path = str(tmp_path / "cal.G")
    flagcal_cases.make(path)
    for name in names:
        run(0, "flagdata", f"vis={path}", "mode=unflag", "flagbackup=False")
        run(ranks, "flagcmd", f"vis={path}", "inpmode=list", f"inpfile={flagcal_cases.LISTS[name]!r}", "flagbackup=False")
        with table(path, ack=False) as t:
            assert flagcal_cases.digest(t.getcol("FLAG")) == expected[name], name
    run(0, "flagdata", f"vis={path}", "mode=unflag", "flagbackup=False")
    run(ranks, "flagdata", f"vis={path}", f"timerange={flagcal_cases.FIRST}~{flagcal_cases.MIDDLE}", "flagbackup=False")
    with table(path, ack=False) as t:
        assert flagcal_cases.digest(t.getcol("FLAG")) == expected["timerange"]

# SPDX-License-Identifier: GPL-3.0-or-later
"""rflag on an MS of one scan and one window, whose only buffer is worked by many units: thresholds and flags are those of
one process that has the whole buffer, to the bit."""
import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "python"), os.path.dirname(HERE)]
pytest.importorskip("casacore.tables")

import inputs  # noqa: E402
from runs import MPISHEAF, SHEAF, Run  # noqa: E402
from test_flagdata_mpi import flags, run as run_sheaf  # noqa: E402

LIMIT = "64M"  # so little that a piece of the buffer has a few baselines
CALLS = {
    "apply": ["mode=rflag", "freqdevscale=2.0", "timedevscale=2.0"],
    "calculate": ["mode=rflag", "action=calculate"],
    "selected": ["mode=rflag", "spw=0:3~40;50~90", "correlation=ABS_RR", "extendflags=False", "freqdevscale=2.0", "winsize=5"],
    "averaged": ["mode=rflag", "channelavg=True", "chanbin=3", "timeavg=True", "timebin=25s", "freqdevscale=2.0"],
    "list": ["mode=list", "inpfile=[\"mode='clip' clipminmax=[0,25]\",\"mode='rflag' antenna='ea01,ea03' freqdevscale=2.0\","
             "\"mode='tfcrop'\",\"mode='rflag' timedev=0.4 freqdevscale=2.5 extendflags=False\"]"],
}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One scan of one window, 36 baselines, 168 times, with some flags; and a Multi-MS by baseline."""
    path = tmp_path_factory.mktemp("large")
    source = importlib.machinery.SourceFileLoader("make_ms", os.path.join(inputs.ROOT, "bench", "make-ms"))
    make_ms = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_ms", source))
    source.exec_module(make_ms)
    make_ms.NSPW = 1
    sys.argv, before = ["make-ms", f"{path}/a.ms", "--antennas", "9", "--scans", "1", "--integrations", "168"], sys.argv
    try:
        make_ms.main()
    finally:
        sys.argv = before
    run_sheaf(0, "flagdata", f"vis={path}/a.ms", "flagbackup=False", "mode=clip", "clipminmax=[0,18]")
    run_sheaf(0, "partition", f"vis={path}/a.ms", f"outputvis={path}/b.mms", "separationaxis=baseline", "numsubms=3",
              "flagbackup=False")
    return path


def run(ranks, *words, threads=None):
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    env = dict(os.environ, SHEAF_LOGFILE="none", SHEAF_MEMORY=LIMIT)
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
    status, out, err = Run(*launch, SHEAF, "--json", *words, env=env).finish()
    assert status == 0, err
    return json.loads(out.strip().splitlines()[-1]) if out.strip() else None


@pytest.mark.parametrize("name", sorted(CALLS))
def test_one_buffer(one, tmp_path, name):
    def result(source, ranks, threads=None):
        path = str(tmp_path / "w.ms")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(one / source, path, symlinks=True)
        report = run(ranks, "flagdata", f"vis={path}", "flagbackup=False", *CALLS[name], threads=threads)
        return report, flags(path)
    report, want = result("a.ms", 0, 1)
    if name == "calculate":
        assert report["report0"]["type"] == "rflag"
    else:
        assert want != flags(str(one / "a.ms"))
    for source, ranks, threads in [("a.ms", 0, 2), ("a.ms", 2, None), ("a.ms", 3, None), ("a.ms", 5, None), ("b.mms", 3, None)]:
        other, got = result(source, ranks, threads)
        assert got == want, (source, ranks, threads)
        assert other == report, (source, ranks, threads)

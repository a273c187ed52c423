# SPDX-License-Identifier: GPL-3.0-or-later
"""clearcal and initweights at 1, 2, 3 and 5 ranks and without MPI, on an MS and on its Multi-MS: one result, to the bit."""
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "python"), os.path.dirname(HERE)]
pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import inputs  # noqa: E402
import weights_cases  # noqa: E402
from runs import MPISHEAF, SHEAF, Run  # noqa: E402

RANKS = (0, 1, 2, 3, 5)  # 0: without MPI
NAMES = ("WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", "CORRECTED_DATA", "MODEL_DATA")


def run(ranks, *words):
    launch = [MPISHEAF, "-n", str(ranks)] if ranks else []
    status, _, err = Run(*launch, SHEAF, *words, env=dict(os.environ, SHEAF_LOGFILE="none")).finish()
    assert status == 0, err
    return err


def rows(path):
    """{column: bytes of all values}, rows in order of time, description and antennas."""
    out = {}
    with table(path, ack=False) as t:
        t = t.sort("TIME,DATA_DESC_ID,ANTENNA1,ANTENNA2")
        for name in NAMES:
            if name in t.colnames():
                out[name] = b"".join(t.getcell(name, row).tobytes() for row in range(t.nrows()))
    return out


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpi")
    weights_cases.make_inputs(str(folder))
    run(0, "partition", f"vis={folder}/many.ms", f"outputvis={folder}/many.mms", "separationaxis=scan", "numsubms=4",
        "flagbackup=False")
    return folder


# The first call makes WEIGHT the same in both: partition sets it.
CALLS = [["initweights", "wtmode=sigma"], ["clearcal", "addmodel=True"], ["clearcal", "field=1,2", "spw=0:1~2,1"], ["initweights", "dowtsp=True"],
         ["initweights", "wtmode=tinttsys", "tsystable={}/many.tsys"], ["delmod", "scr=True"]]


def test_small(simulated, tmp_path):
    """A sequence of calls gives the same after each of them."""
    results = []
    for kind in ("ms", "mms"):
        for ranks in RANKS:
            path = str(tmp_path / f"r{ranks}.{kind}")
            shutil.copytree(simulated / ("many." + kind), path, symlinks=True)
            results.append([])
            for words in CALLS:
                run(ranks, words[0], "vis=" + path, *(w.format(simulated) for w in words[1:]))
                results[-1].append(rows(path))
    assert all(r == results[0] for r in results)
    assert "CORRECTED_DATA" in results[0][-1] and "MODEL_DATA" not in results[0][-1]


@pytest.mark.parametrize("words", [["clearcal", "addmodel=True"], ["initweights", "wtmode=nyq"]])
def test_ngc5921(words, tmp_path):
    """Several units of one MS, run by several servers."""
    results = []
    for ranks in (0, 3):
        path = str(tmp_path / f"r{ranks}.ms")
        shutil.copytree(inputs.ngc5921(), path, symlinks=True)
        run(ranks, words[0], "vis=" + path, *words[1:])
        with table(path, ack=False) as t:
            results.append({n: t.getcol(n).tobytes() for n in NAMES if n in t.colnames()})
    assert results[0] == results[1]


def test_failure_of_a_server_is_told(simulated, tmp_path):
    path = str(tmp_path / "a.ms")
    shutil.copytree(simulated / "many.ms", path)
    with table(path, readonly=False, ack=False) as t:
        t.putcell("DATA_DESC_ID", t.nrows() - 1, 77)
    command = Run(MPISHEAF, "-n", "3", SHEAF, "initweights", "vis=" + path, env=dict(os.environ, SHEAF_LOGFILE="none"))
    status, _, err = command.finish()
    assert status == 1 and "has DATA_DESC_ID 77" in err and "MPIServer" in err, err

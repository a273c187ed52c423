# SPDX-License-Identifier: GPL-3.0-or-later
"""A baseline that is too large for memory is worked in stretches of time (docs/flagging.md): with the same flags, thresholds
and counts as when it is in memory, to the bit, and within the memory that there is."""
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import inputs  # noqa: E402
from runs import LIMIT_S, SHEAF, Run  # noqa: E402

MAKE_MS = os.path.join(inputs.ROOT, "bench", "make-ms")
# A thread's share of the least memory is 170 KB; no more threads are started than there are units.
LITTLE = {"SHEAF_MEMORY": "64M", "OMP_NUM_THREADS": "64"}
CALLS = {
    "tfcrop": ["mode=tfcrop"],
    "tfcrop-windows": ["mode=tfcrop", "flagdimension=timefreq", "usewindowstats=both", "halfwin=2", "timecutoff=3",
                       "freqcutoff=2.5", "extendflags=False"],
    "tfcrop-stokes": ["mode=tfcrop", "flagdimension=time", "correlation=ABS_I", "timefit=poly", "maxnpieces=5", "timecutoff=2"],
    "tfcrop-selected": ["mode=tfcrop", "correlation=REAL_RR", "spw=0:3~60;70~110", "timerange=>04:40:00", "usewindowstats=sum",
                        "timecutoff=2.5", "extendflags=False"],
    "tfcrop-combined": ["mode=tfcrop", "combinescans=True", "ntime=500s", "timecutoff=3"],
    "tfcrop-averages": ["mode=tfcrop", "timeavg=True", "timebin=25s", "channelavg=True", "chanbin=3", "freqcutoff=2",
                        "timecutoff=2"],
    "tfcrop-times": ["mode=tfcrop", "timeavg=True", "timebin=35s", "freqcutoff=2.5", "extendflags=False"],
    "tfcrop-channels": ["mode=tfcrop", "channelavg=True", "chanbin=4", "freqcutoff=2.5", "datacolumn=RESIDUAL_DATA"],
    "rflag": ["mode=rflag", "freqdevscale=2.5", "timedevscale=2.5"],
    "rflag-stokes": ["mode=rflag", "correlation=ABS_I,Q,RR", "winsize=7", "freqdevscale=2.0", "timedevscale=1.3",
                     "extendflags=False"],
    "rflag-calculate": ["mode=rflag", "action=calculate", "combinescans=True"],
    "rflag-averages": ["mode=rflag", "channelavg=True", "chanbin=3", "timeavg=True", "timebin=25s", "freqdevscale=3.0"],
    "rflag-given": ["mode=rflag", "timedev=0.7", "freqdev=0.7", "timedevscale=2", "freqdevscale=3"],
    "extend": ["mode=extend", "growtime=20", "growfreq=20", "growaround=True", "flagneartime=True", "flagnearfreq=True"],
    "extend-around": ["mode=extend", "growtime=0", "growfreq=0", "extendpols=False", "growaround=True", "flagneartime=True"],
    "clip-averages": ["mode=clip", "timeavg=True", "timebin=45s", "clipminmax=[0,1.2]", "channelavg=True", "chanbin=2"],
    # averages whose rows do not fit into memory
    "clip-long": ["mode=clip", "timeavg=True", "timebin=600s", "datacolumn=RESIDUAL", "clipminmax=[0,3.95]"],
    "clip-scan": ["mode=clip", "timeavg=True", "timebin=1e6s", "clipminmax=[0,4.4]"],
    "tfcrop-long": ["mode=tfcrop", "timeavg=True", "timebin=300s", "freqcutoff=1.5", "timecutoff=1.5",
                    "datacolumn=RESIDUAL", "combinescans=True"],
    "rflag-long": ["mode=rflag", "channelavg=True", "chanbin=2", "timeavg=True", "timebin=250s", "freqdevscale=2.0",
                   "timedevscale=1.2", "combinescans=True"],
    "extend-long": ["mode=extend", "timeavg=True", "timebin=120s", "growtime=20", "growfreq=20", "growaround=True",
                    "flagneartime=True"],
    "list-long": ["mode=list", "inpfile=" + json.dumps([
        "mode='rflag' timeavg=True timebin='200s' freqdevscale=2.0", "mode='clip' clipminmax=[0,8]",
        "mode='clip' timeavg=True timebin='900s' channelavg=True chanbin=4 clipminmax=[0,4.4]"])],
    "list": ["mode=list", "inpfile=" + json.dumps([
        "mode='clip' clipminmax=[0,3]", "mode='summary'", "mode='rflag' antenna='ea01&ea02' freqdevscale=3.0",
        "mode='manual' timerange='>04:40:00'", "mode='tfcrop' extendflags=True", "mode='quack' quackinterval=100.0",
        "mode='rflag' timedev=0.4 freqdevscale=4.5 extendflags=False", "mode='unflag' scan='2' spw='0:5~9'", "mode='summary'"])],
}


def flagdata(path, *words, env=()):
    """The report, and what was logged."""
    environment = dict(os.environ, SHEAF_LOGFILE="none", SHEAF_LOG="DEBUG", **dict(env or {"OMP_NUM_THREADS": "1"}))
    status, out, err = Run(SHEAF, "--json", "flagdata", f"vis={path}", "flagbackup=False", *words, env=environment,
                           cwd=os.path.dirname(path)).finish()  # rflag writes files there
    assert status == 0, err
    return out, err


def flags(path):
    """FLAG and FLAG_ROW, rows in the order of time and baseline."""
    with table(path, ack=False) as t:
        order = np.lexsort([t.getcol(k) for k in ("ANTENNA2", "ANTENNA1", "TIME")])
        return t.getcol("FLAG")[order].tobytes(), t.getcol("FLAG_ROW")[order].tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """3 baselines, 2 scans of 180 integrations, 128 channels, 4 correlations, with some flags, drifting strong samples, and a
    model; its Multi-MS by baseline and scan; and the same rows in a mess."""
    path = tmp_path_factory.mktemp("long")
    source = str(path / "a.ms")
    subprocess.run([sys.executable, MAKE_MS, source, "--antennas", "3", "--scans", "2", "--integrations", "180", "--windows", "1",
                    "--correlations", "4", "--columns", "DATA"], check=True, capture_output=True, timeout=LIMIT_S)
    with table(source, readonly=False, ack=False) as t:
        data, rng = t.getcol("DATA"), np.random.default_rng(3)
        data += 4 + np.linspace(-1, 1, data.shape[1])[None, :, None] ** 2
        rows = np.arange(len(data))
        data[rows, rows // 3 % 128, 1] += 9
        data[rng.random(data.shape) < 0.01] *= 3
        t.putcol("DATA", data)
        flag = t.getcol("FLAG")
        flag[rng.random(flag.shape) < 0.05] = True
        t.putcol("FLAG", flag)
    subprocess.run([SHEAF, "--nologfile", "clearcal", f"vis={source}", "addmodel=True"], check=True, capture_output=True,
                   timeout=LIMIT_S)
    with table(source, ack=False) as t:
        t.selectrows(np.random.default_rng(4).permutation(t.nrows())).copy(str(path / "mess.ms"), deep=True).close()
    subprocess.run([SHEAF, "--nologfile", "partition", f"vis={source}", f"outputvis={path}/b.mms", "numsubms=4",
                    "flagbackup=False"], check=True, capture_output=True, timeout=LIMIT_S)
    return path


def result(folder, tmp_path, source, words, env=()):
    path = str(tmp_path / "w.ms")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder / source, path, symlinks=True)
    report, log = flagdata(path, *words, env=env)
    told = re.findall(r"\S+: \d+ flags (?:set|cleared)", log)
    return (report, told, *flags(path)), "in stretches" in log


@pytest.mark.parametrize("name", sorted(CALLS))
def test_same_as_in_memory(folder, tmp_path, name):
    want, stretches = result(folder, tmp_path, "a.ms", CALLS[name])
    assert not stretches
    assert name == "rflag-calculate" or want[2:] != flags(str(folder / "a.ms"))
    for source in ("a.ms", "mess.ms", "b.mms"):
        got, stretches = result(folder, tmp_path, source, CALLS[name], LITTLE)
        assert stretches
        assert got == want, source


def test_unapplied(folder, tmp_path):
    """Commands of FLAG_CMD that are unapplied, tfcrop among them."""
    def run(env):
        path = str(tmp_path / "w.ms")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(folder / "a.ms", path)
        flagdata(path, "mode=tfcrop", "extendflags=False", "correlation=ABS_RR", "savepars=True", env=env)
        full = dict(os.environ, SHEAF_LOGFILE="none", **env)
        status, _, err = Run(SHEAF, "--json", "flagcmd", f"vis={path}", "action=unapply", "useapplied=True", "flagbackup=False",
                             env=full).finish()
        assert status == 0, err
        return flags(path)
    want = run({"OMP_NUM_THREADS": "1"})
    assert want != flags(str(folder / "a.ms"))
    assert run(LITTLE) == want


@pytest.mark.parametrize("name", ["tfcrop", "tfcrop-averages", "rflag", "extend", "clip-scan", "rflag-long"])
def test_memory(tmp_path_factory, name):
    """A baseline of 2.5 million samples, which takes 60 MB and more in memory, in what `--memory 64M` gives to one thread: some
    21 MB, whatever the programs themselves take."""
    path = str(tmp_path_factory.getbasetemp() / "memory.ms")
    if not os.path.exists(path):
        subprocess.run([sys.executable, MAKE_MS, path, "--antennas", "2", "--scans", "1", "--integrations", "600",
                        "--windows", "1", "--channels", "1024", "--correlations", "4", "--columns", "DATA"], check=True,
                       capture_output=True, timeout=LIMIT_S)

    def peak(*words):
        """Largest resident set of a run, in MB."""
        env = dict(os.environ, SHEAF_LOGFILE="none", SHEAF_MEMORY="64M", OMP_NUM_THREADS="1")
        pid = os.posix_spawn(SHEAF, [SHEAF, "flagdata", f"vis={path}", "flagbackup=False", *words], env,
                             file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)])
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        return usage.ru_maxrss / 1024
    assert peak(*CALLS[name]) < peak("mode=summary", "spw=0:0") + 32

# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of cells that do not fill whole bytes, when several threads write them: what one thread writes."""
import os
import resource
import subprocess

import numpy as np
import pytest

pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402

import inputs  # noqa: E402
import outputs  # noqa: E402
from runs import LIMIT_S, SHEAF  # noqa: E402
from simulate import simulate  # noqa: E402


def grown(path, ncorr, nchan, nrow):
    """An MS of one window whose rows come in no order, but for seven at a time."""
    rng = np.random.default_rng(ncorr * nchan)
    simulate(path, windows=[(nchan, 1e6)], polarizations=[[5, 6, 8][:ncorr]], descriptions=[(0, 0)],
             scans=[(0, 0, 1, 0, 0, [0], 2), (0, 0, 2, 0, 0, [0], 2)])
    with table(path, readonly=False, ack=False) as t:
        few, more = t.nrows(), nrow - t.nrows()
        t.addrows(more)
        for name in t.colnames():
            if name in ("FLAG_CATEGORY",):
                continue
            cells = np.resize(t.getcol(name, 0, few), (more, *np.shape(t.getcell(name, 0))))
            if name == "FLAG":
                cells = rng.integers(0, 2, cells.shape).astype(bool)
            if name == "TIME":
                cells = cells + 10.0 * np.repeat(rng.permutation(more // 7 + 1), 7)[:more]
            t.putcol(name, cells, few, more)
    return path


def partition(vis, folder, threads, *words):
    os.mkdir(folder)
    done = subprocess.run([SHEAF, "--nologfile", "partition", "vis=" + vis, "outputvis=o.mms", "flagbackup=False", *words],
                          cwd=folder, text=True, capture_output=True, timeout=LIMIT_S,
                          env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
    assert done.returncode == 0, done.stderr
    return outputs.files(str(folder))


@pytest.fixture(scope="module", params=["1x3", "3x7", "2x63"])
def vis(request, tmp_path_factory):
    if request.param == "2x63":
        return inputs.ngc5921()
    ncorr, nchan = map(int, request.param.split("x"))
    return grown(str(tmp_path_factory.mktemp("flags") / "vis.ms"), ncorr, nchan, 300000 // (ncorr * nchan))


@pytest.mark.parametrize("words", [["createmms=False"], ["separationaxis=scan", "numsubms=2"],
                                   ["separationaxis=baseline", "numsubms=3"]])
def test_threads_write_what_one_writes(vis, tmp_path, words):
    one, many = partition(vis, tmp_path / "one", 1, *words), partition(vis, tmp_path / "many", 6, *words)
    assert outputs.differing(one, many) == []
    if "createmms=False" in words:
        return
    done = subprocess.run([SHEAF, "--nologfile", "listpartition", "vis=o.mms", "verify=True"], cwd=tmp_path / "many", text=True,
                          capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr


def test_many_sub_mss_with_few_descriptors(tmp_path):
    done = subprocess.run([SHEAF, "--nologfile", "partition", "vis=" + inputs.simulated(), "outputvis=o.mms", "flagbackup=False",
                           "separationaxis=baseline", "numsubms=28"], cwd=tmp_path, text=True, capture_output=True,
                          timeout=LIMIT_S, env=dict(os.environ, OMP_NUM_THREADS="16"),
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts in examples/ do what they say."""

import os
import shutil
import subprocess

import numpy
import pytest

tables = pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
from commands import BUILD, LIMIT_S, MPISHEAF, environment  # noqa: E402

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "examples")


def weights(path):
    with tables.table(str(path), ack=False) as t:
        return t.getcol("WEIGHT")


def example(folder, *words):
    done = subprocess.run([MPISHEAF, "-n", "3", os.path.join(BUILD, "bin", "sheaf"), "-c",
                           os.path.join(EXAMPLES, *words[0].split("/")), *words[1:]], env=environment(), cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_two_commands_with_responses_later(tmp_path):
    """Weights: 2 x channel width x exposure, the rule of wtmode='nyq' (CASA's numbers are in tests/python/test_initweights.py)."""
    for name in ("a.ms", "b.ms"):
        shutil.copytree(inputs.ngc5921(), tmp_path / name)
    before = weights(tmp_path / "a.ms")
    done = example(tmp_path, "commands/two_calibrations.py", "a.ms", "b.ms")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["1", "2"] and {line[1] for line in lines} == {"1", "2"}
    assert [line[2] for line in lines] == ["True", "True"]
    with tables.table(str(tmp_path / "a.ms"), ack=False) as t, tables.table(str(tmp_path / "a.ms/SPECTRAL_WINDOW"), ack=False) as spw:
        wanted = 2 * numpy.median(spw.getcol("EFFECTIVE_BW")[0]) * t.getcol("EXPOSURE")
        wanted *= numpy.where(t.getcol("ANTENNA1") == t.getcol("ANTENNA2"), 0.5, 1)  # autocorrelations count half
    for name in ("a.ms", "b.ms"):
        assert numpy.allclose(weights(tmp_path / name), wanted[:, None], rtol=1e-6)
    assert not numpy.allclose(before, weights(tmp_path / "a.ms"))

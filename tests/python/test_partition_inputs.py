# SPDX-License-Identifier: GPL-3.0-or-later
"""partition: inputs that are laid out unusually, or may not be written, give whole outputs of their own."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import sheaf
import uvfits_cases
from runs import LIMIT_S

pytest.importorskip("casacore.tables")
from casacore.tables import makearrcoldesc, table  # noqa: E402

PROGRAM = os.path.join(os.environ["SHEAF_BUILD"], "bin", "sheaf")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    sheaf.importuvfits(uvfits_cases.unpacked(), str(folder / "ngc.ms"))
    return folder / "ngc.ms"


@pytest.fixture
def vis(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "in.ms", symlinks=True)
    return "in.ms"


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in pathlib.Path(path).rglob("*") if p.is_file()}


def links_out_of(path):
    whole = os.path.realpath(path)
    return [p for p in pathlib.Path(path).rglob("*")
            if p.is_symlink() and not os.path.realpath(p).startswith(whole + "/")]


def test_linked_subtables_become_tables(vis):
    """A sub-table that lies elsewhere is copied; the output has no link to it, and nothing is written to it."""
    os.mkdir("elsewhere")
    for name in ("ANTENNA", "HISTORY", "FIELD"):
        shutil.move(f"{vis}/{name}", f"elsewhere/{name}")
        os.symlink(f"../elsewhere/{name}", f"{vis}/{name}")
    before = contents("elsewhere")
    sheaf.partition(vis=vis, outputvis="all.mms", separationaxis="scan", numsubms=3)
    sheaf.partition(vis=vis, outputvis="some.mms", antenna="0~5&", field="0", numsubms=2)
    sheaf.partition(vis=vis, outputvis="plain.ms", createmms=False)
    assert contents("elsewhere") == before
    for output in ("all.mms", "some.mms", "plain.ms"):
        assert not links_out_of(output)
        sheaf.listpartition(vis=output, verify=True)


def test_later_member_is_an_input(vis):
    """The sub-tables of all sub-MSs but the first are links."""
    sheaf.partition(vis=vis, outputvis="first.mms", separationaxis="scan", numsubms=3)
    member = "first.mms/SUBMSS/first.mms.0002.ms"
    sheaf.partition(vis=member, outputvis="second.mms", separationaxis="scan", numsubms=2)
    sheaf.listpartition(vis="second.mms", verify=True)
    assert table("second.mms", ack=False).nrows() == table(member, ack=False).nrows()
    assert not links_out_of("second.mms")


@pytest.mark.parametrize("start", [1, 5])
def test_ddistart_leaves_the_descriptions_alone(vis, start):
    sheaf.partition(vis=vis, outputvis="out.ms", createmms=False, ddistart=start)
    with table("out.ms", ack=False) as out, table("out.ms/DATA_DESCRIPTION", ack=False) as dd, \
            table(vis + "/DATA_DESCRIPTION", ack=False) as old:
        assert set(out.getcol("DATA_DESC_ID")) == set(range(start, start + old.nrows()))
        for name in old.colnames():
            assert (dd.getcol(name) == old.getcol(name)).all()


def test_many_shapes(vis):
    """Each row of the first hundred has a shape of its own."""
    with table(vis, readonly=False, ack=False) as t:
        for name, value in (("DATA", 0j), ("FLAG", False)):
            old = t.getcol(name)
            t.removecols(name)
            t.addcols(makearrcoldesc(name, value, ndim=2, valuetype="complex" if name == "DATA" else "boolean"))
            t.putcol(name, old)
        for row in range(100):
            t.putcell("DATA", row, np.full((row + 1, 2), row + 1j))
            t.putcell("FLAG", row, np.arange(2 * row + 2).reshape(row + 1, 2) % 3 == 0)
    sheaf.partition(vis=vis, outputvis="out.mms", separationaxis="scan", numsubms=2)
    sheaf.listpartition(vis="out.mms", verify=True)
    with table("out.mms", ack=False) as t, table("out.mms.flagversions/flags.partition_1", ack=False) as flags:
        found = {}
        for row in range(t.nrows()):
            data = t.getcell("DATA", row)
            if data.shape[0] == 63:  # all other rows
                continue
            assert (data == data.shape[0] - 1 + 1j).all()
            flag = t.getcell("FLAG", row)
            assert (flag == (np.arange(data.size).reshape(data.shape) % 3 == 0)).all()
            assert (flags.getcell("FLAG", row) == flag).all()
            found[data.shape] = found.get(data.shape, 0) + 1
    assert found == {(n, 2): 1 for n in range(1, 101) if n != 63}


def test_archived_input(vis, ordinary):
    """An ordinary user partitions an MS that nobody may write, and may write what comes out."""
    place = ordinary.folder
    ordinary.give(shutil.copytree(vis, place + "/in.ms", symlinks=True))
    subprocess.run(["chmod", "-R", "a-w,a+rX", place + "/in.ms"], check=True)
    os.mkdir(place + "/out")
    ordinary.give(place + "/out")
    calls = """
import sheaf
sheaf.partition(vis='in.ms', outputvis='out/all.mms', separationaxis='scan', numsubms=2)
sheaf.partition(vis='in.ms', outputvis='out/some.mms', scan='1~2', antenna='0~5&', separationaxis='scan', numsubms=2)
"""
    run = subprocess.run([sys.executable, "-c", calls], cwd=place, capture_output=True, text=True, timeout=LIMIT_S,
                         **ordinary.options)
    assert run.returncode == 0, run.stderr
    assert sorted(os.listdir(place + "/out")) == ["all.mms", "all.mms.flagversions", "some.mms", "some.mms.flagversions"]
    assert not [p for p in pathlib.Path(place, "out").rglob("*") if not os.lstat(p).st_mode & 0o200]


def test_casacore_warns_once(vis):
    """casacore parses an expression several times, with a warning each time; the log has one of each."""
    done = subprocess.run([PROGRAM, "partition", f"vis={vis}", "outputvis=o.mms", "field=0,7", "spw=0:60~99,0:70"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S)
    warnings = [line.split("\t", 2)[2] for line in done.stderr.splitlines() if "\tWARN\t" in line]
    assert len(warnings) == len(set(warnings)) == 3, warnings
    assert any(w.startswith("partition::::casa\tField Expression") for w in warnings)


def test_arrays_and_home_as_parameters(vis, monkeypatch):
    monkeypatch.setenv("HOME", os.getcwd())
    sheaf.partition(vis=f"~/{vis}", outputvis="~/o.mms", scan=np.array([1, 3]), numsubms=np.int64(2))
    parts = sheaf.listpartition(vis="o.mms", createdict=True)
    assert [list(part["scanId"]) for part in parts.values()] in ([[1], [3]], [[3], [1]])

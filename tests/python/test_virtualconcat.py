# SPDX-License-Identifier: GPL-3.0-or-later
"""virtualconcat: equality with CASA, differences that are meant, bad input, nothing lost at any moment."""

import json
import lzma
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy
import pytest

import sheaf

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "virtualconcat"))
pytest.importorskip("casacore.tables")
import numpy as np  # noqa: E402
from casacore.tables import table  # noqa: E402

import cases  # noqa: E402

with open(os.path.join(HERE, "virtualconcat", "casa.json")) as _file:
    CASA = json.load(_file)
PROGRAM = os.path.join(os.environ["SHEAF_BUILD"], "bin", "sheaf")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vc")
    fits = folder / "ngc.fits"
    with lzma.open(os.path.join(ROOT, "examples", "ngc5921", "NGC5921.fits.xz")) as packed:
        fits.write_bytes(packed.read())
    sheaf.importuvfits(fitsfile=str(fits), vis=str(folder / "base.ms"))
    made = folder / "inputs"
    made.mkdir()
    cases.make_inputs(str(folder / "base.ms"), str(made))
    sheaf.virtualconcat(vis=[str(made / "a.ms"), str(made / "b.ms")], concatvis=str(made / "ab.ms"),
                        keepcopy=True)
    return made


@pytest.fixture
def work(tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def bring(*names):
        for name in names:
            shutil.copytree(inputs / (name + ".ms"), tmp_path / (name + ".ms"), symlinks=True)
        return [name + ".ms" for name in names]
    return bring


def tree_bytes(path):
    """Name and content of everything below."""
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(root, name)
            key = os.path.relpath(full, path)
            if os.path.islink(full):
                found[key] = os.readlink(full)
            elif name in files and name != "table.lock":
                with open(full, "rb") as f:
                    found[key] = f.read()
    return found


def differences(ours, casa, where=""):
    if isinstance(casa, dict):
        out = []
        for key in sorted(set(ours) | set(casa)):
            out += differences(ours.get(key), casa.get(key), where + "/" + key) \
                if key in ours and key in casa else [where + "/" + key]
        return out
    return [] if ours == casa else ["%s: %r, CASA has %r" % (where, ours, casa)]


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_result_is_casas(name, work):
    names, params = cases.CASES[name]
    vis = work(*names)
    before = {v: tree_bytes(v) for v in vis}
    for v in vis:  # hard links: they would show if an input were written to
        shutil.copytree(v, "shadow_" + v, symlinks=True, copy_function=os.link)
    assert sheaf.virtualconcat(vis=vis, concatvis="out.mms", **params) is None
    assert {v: tree_bytes("shadow_" + v) for v in vis} == before
    assert differences(cases.digest("out.mms"), CASA[name]) == []
    for v in vis:
        if params.get("keepcopy"):
            assert tree_bytes(v) == before[v]
        else:
            assert not os.path.exists(v)
    assert sorted(n for n in os.listdir(".") if n.startswith(".")) == []


def tile_file(ms):
    """The largest file of the main table."""
    return max((os.path.join(ms, n) for n in os.listdir(ms) if "_TSM" in n), key=os.path.getsize)


@pytest.mark.parametrize("second, taken", [("b", True), ("turned", False)])
def test_bulk_data_are_taken_over_where_they_stay_as_they_are(work, second, taken):
    vis = work("a", second)
    inodes = [os.stat(tile_file(v)).st_ino for v in vis]
    sheaf.virtualconcat(vis=vis, concatvis="out.mms")
    new = [os.stat(tile_file("out.mms/SUBMSS/" + v)).st_ino for v in vis]
    assert [o == n for o, n in zip(inodes, new)] == [True, taken]


def test_history(work):
    sheaf.virtualconcat(vis=work("a", "b"), concatvis="out.mms", freqtol="1kHz")
    with table("out.mms/HISTORY", ack=False) as t:
        lines = t.getcol("MESSAGE")
        assert t.getcol("ORIGIN")[-1] == "virtualconcat"
    assert "taskname=virtualconcat" in lines
    assert 'freqtol     = "1kHz"' in lines
    assert "vis         = ['a.ms', 'b.ms']" in lines
    with table("out.mms/SUBMSS/b.ms/HISTORY", ack=False) as t:
        assert t.getcol("MESSAGE") == lines


def test_output_opens_as_one_table_and_moves(work):
    sheaf.virtualconcat(vis=work("a", "b"), concatvis="out.mms")
    os.mkdir("elsewhere")
    os.rename("out.mms", "elsewhere/moved.mms")
    with table("elsewhere/moved.mms", ack=False) as t:
        scans = np.unique(t.getcol("SCAN_NUMBER"))
        assert t.query("SCAN_NUMBER==5 && FIELD_ID>=0").nrows() > 0
    assert scans.tolist() == [1, 2, 3, 4, 5]


# ---- where CASA fails or loses something ----

def test_one_input(work):
    sheaf.virtualconcat(vis=work("a"), concatvis="out.mms")
    with table("out.mms", ack=False) as t:
        assert t.nrows() == sum(CASA["plain"]["main"]["scans"][s] for s in "123")


def test_same_name_twice(work, inputs):
    vis = work("a")
    os.mkdir("sub")
    shutil.copytree(inputs / "b.ms", "sub/a.ms")
    sheaf.virtualconcat(vis=vis + ["sub/a.ms"], concatvis="out.mms")
    assert sorted(os.listdir("out.mms/SUBMSS")) == ["a.ms", "a_2.ms"]


def test_sigma_spectrum_is_scaled(work):
    """casacore puts scaled WEIGHT_SPECTRUM into SIGMA_SPECTRUM."""
    vis = work("a", "b")
    for v in vis:
        with cases.edit(v) as t:
            t.addcols(cases.makearrcoldesc("SIGMA_SPECTRUM", 0.0, ndim=2, valuetype="float"))
            t.putcol("SIGMA_SPECTRUM", np.full(t.getcol("DATA").shape, 6, np.float32))
    sheaf.virtualconcat(vis=vis, concatvis="out.mms", visweightscale=[1, 4])
    with table("out.mms/SUBMSS/b.ms", ack=False) as t:
        assert np.unique(t.getcol("SIGMA_SPECTRUM")).tolist() == [3]


def make_observations(ms, projects):
    with cases.edit(ms + "/OBSERVATION") as t:
        t.addrows(len(projects) - 1)
        for column in t.colnames():
            for row in range(1, len(projects)):
                if t.iscelldefined(column, 0):
                    t.putcell(column, row, t.getcell(column, 0))
        t.putcol("PROJECT", projects)
    with cases.edit(ms) as t:
        t.putcol("OBSERVATION_ID", (np.arange(t.nrows()) % len(projects)).astype(np.int32))


def test_observations_stay_what_they_were(work):
    """casacore forgets that ids move up when equivalent rows go, and fails when three are equivalent."""
    vis = work("a", "b", "c")
    for v, projects in zip(vis, (["X", "Y"], ["Y", "Y", "X", "Z"], ["W", "Y", "Z"])):
        make_observations(v, projects)
    want = []
    for v in vis:
        with table(v, ack=False) as t, table(v + "/OBSERVATION", ack=False) as o:
            want += [o.getcol("PROJECT")[i] for i in t.getcol("OBSERVATION_ID")]
    sheaf.virtualconcat(vis=vis, concatvis="out.mms")
    with table("out.mms", ack=False) as t, table("out.mms/OBSERVATION", ack=False) as o:
        assert o.getcol("PROJECT") == ["X", "Y", "Z", "W"]
        assert [o.getcol("PROJECT")[i] for i in t.getcol("OBSERVATION_ID")] == want


def add_states(ms, modes):
    with cases.edit(ms + "/STATE") as t:
        t.addrows(len(modes))
        t.putcol("OBS_MODE", modes)
    with cases.edit(ms) as t:
        t.putcol("STATE_ID", (np.arange(t.nrows()) % len(modes)).astype(np.int32))


@pytest.mark.parametrize("which", [0, 1])
def test_intents_survive_beside_an_ms_without(work, which):
    """casacore empties STATE when one of the MSs has none."""
    vis = work("a", "b")
    add_states(vis[which], ["TARGET", "PHASE"])
    with table(vis[which], ack=False) as t:
        want = t.getcol("STATE_ID").tolist()
    sheaf.virtualconcat(vis=vis, concatvis="out.mms")
    with table("out.mms/STATE", ack=False) as t:
        assert t.getcol("OBS_MODE") == ["TARGET", "PHASE"]
    with table("out.mms/SUBMSS/" + vis[which], ack=False) as t:
        assert t.getcol("STATE_ID").tolist() == want
    with table("out.mms/SUBMSS/" + vis[1 - which], ack=False) as t:
        assert set(t.getcol("STATE_ID")) == {-1}


def test_pointing_survives_beside_an_ms_without(work):
    sheaf.virtualconcat(vis=work("a", "pointed2"), concatvis="out.mms")
    with table("out.mms/POINTING", ack=False) as t:
        assert t.nrows() == 30
        assert t.getcol("ANTENNA_ID")[:8].tolist() == [t_ for t_ in range(8)]


def test_ledger_stays_behind(work):
    vis = work("a", "b")
    with open("b.ms/sheaf.ledger", "w") as f:
        f.write("{}")
    sheaf.virtualconcat(vis=vis, concatvis="out.mms")
    assert not os.path.exists("out.mms/SUBMSS/b.ms/sheaf.ledger")


def test_dangling_subtable_keyword(work):
    vis = work("a", "b")
    for v in vis:
        with table(v + "/FLAG_CMD", ack=False) as t:
            t.copy(v + "/ASDM_X", deep=True).close()
        with cases.edit(v) as t, table(v + "/ASDM_X", ack=False) as x:
            t.putkeyword("ASDM_X", x)
        shutil.rmtree(v + "/ASDM_X")
    sheaf.virtualconcat(vis=vis, concatvis="out.mms")
    with table("out.mms", ack=False) as t:
        assert "ASDM_X" not in t.keywordnames()


# ---- bad input: one message, nothing changed ----

BAD = {
    "missing": (dict(vis=["a.ms", "none.ms"]), "none.ms"),
    "no vis": (dict(vis=[]), "vis"),
    "not text": (dict(vis=["a.ms", 3]), "vis"),
    "no ms": (dict(vis=["a.ms", "plain"]), "plain"),
    "sub-table": (dict(vis=["a.ms", "b.ms/FIELD"]), "FIELD"),
    "link": (dict(vis=["a.ms", "link.ms"]), "symbolic links"),
    "twice": (dict(vis=["a.ms", "b.ms", "./a.ms"]), "more than once"),
    "too few weights": (dict(visweightscale=[1.0]), "same number of elements"),
    "negative weight": (dict(visweightscale=[1.0, -2.0]), "-2"),
    "weights as array": (dict(visweightscale=numpy.array([1.0, -2.0])), "positive"),
    "zero weight": (dict(visweightscale=[1.0, 0.0]), "positive"),
    "text as weight": (dict(visweightscale=["x", "y"]), "visweightscale"),
    "no name": (dict(concatvis=""), "concatvis"),
    "blank name": (dict(concatvis="  "), "concatvis"),
    "output is input": (dict(concatvis="a.ms"), "equal to one of the members"),
    "output is input, other spelling": (dict(concatvis="./b.ms/"), "equal to one of the members"),
    "output in input": (dict(concatvis="a.ms/out.mms"), "inside"),
    "output exists": (dict(concatvis="plain"), "must not yet exist"),
    "no folder": (dict(concatvis="nowhere/out.mms"), "nowhere"),
    "freqtol": (dict(freqtol="wide"), "freqtol"),
    "freqtol unit": (dict(freqtol="3arcsec"), "freqtol"),
    "dirtol": (dict(dirtol="1MHz"), "dirtol"),
    "negative dirtol": (dict(dirtol="-1arcsec"), "dirtol"),
    "unknown": (dict(freqtoll="1Hz"), "freqtol"),
    "columns": (dict(vis=["a.ms", "extra.ms"]), "EXTRA"),
    "columns the other way": (dict(vis=["extra.ms", "a.ms"]), "EXTRA"),
    "empty": (dict(vis=["a.ms", "empty.ms"]), "no rows"),
    "wrong ids": (dict(vis=["a.ms", "ids.ms"]), "DATA_DESC_ID 7"),
}


@pytest.fixture(scope="session")
def bad_inputs(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name in ("a", "b"):
        shutil.copytree(inputs / (name + ".ms"), folder / (name + ".ms"))
    os.symlink("a.ms", folder / "link.ms")
    (folder / "plain").mkdir()
    for name in ("extra", "ids"):
        shutil.copytree(inputs / "c.ms", folder / (name + ".ms"))
    with cases.edit(str(folder / "extra.ms")) as t:
        t.addcols(cases.makearrcoldesc("EXTRA", 0.0, ndim=1))
    with cases.edit(str(folder / "ids.ms")) as t:
        t.putcell("DATA_DESC_ID", 5, 7)
    with table(str(inputs / "c.ms"), ack=False) as t, t.query("SCAN_NUMBER<0") as none:
        none.copy(str(folder / "empty.ms"), deep=True).close()
    return folder


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input(name, bad_inputs, monkeypatch):
    monkeypatch.chdir(bad_inputs)
    changes, word = BAD[name]
    before = sorted(os.listdir("."))
    a = tree_bytes("a.ms")
    with pytest.raises(Exception) as failure:
        sheaf.virtualconcat(**{**dict(vis=["a.ms", "b.ms"], concatvis="out.mms"), **changes})
    assert word in str(failure.value)
    assert len(str(failure.value).splitlines()) == 1
    assert sorted(os.listdir(".")) == before
    assert tree_bytes("a.ms") == a


# ---- killed at any moment ----

def run_and_kill(delay_s):
    """Starts the task, kills it after a while; returns whether it had ended by itself."""
    process = subprocess.Popen([PROGRAM, "virtualconcat", "vis=['a.ms','b.ms','c.ms']",
                                "concatvis=out.mms"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        process.wait(delay_s)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False


def test_killed_at_any_moment(work):
    vis = work("a", "b", "c")
    before = {v: tree_bytes(v) for v in vis}
    delay_s, kills = 0.02, 0
    while True:
        ended = run_and_kill(delay_s)
        if os.path.exists("out.mms"):
            break
        assert not ended
        assert {v: tree_bytes(v) for v in vis} == before
        kills += 1
        delay_s *= 1.5
    assert kills > 0
    with table("out.mms", ack=False) as t:
        assert t.nrows() == CASA["order"]["main"]["nrow"]


@pytest.mark.parametrize("limit", [3000, 40000, 1000000])
def test_no_space_for_a_file(work, limit):
    """A limit on the size of files stands for a full disk."""
    vis = work("a", "scratch")
    before = {v: tree_bytes(v) for v in vis}
    names = sorted(os.listdir("."))
    done = subprocess.run([PROGRAM, "--nologfile", "virtualconcat", "vis=%r" % vis,
                           "concatvis=out.mms", "keepcopy=True"], capture_output=True, text=True,
                          restore_signals=False,  # SIGXFSZ stays ignored
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                (limit, limit)))
    assert done.returncode == 1
    assert "too large" in done.stderr
    assert sorted(os.listdir(".")) == names
    assert {v: tree_bytes(v) for v in vis} == before

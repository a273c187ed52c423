# SPDX-License-Identifier: GPL-3.0-or-later
"""flagmanager: versions of CASA's and our own, on MSs and Multi-MSs; bad input."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from casacore.tables import table

import flagversions_cases as cases
import sheaf

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def ms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases.make("a.ms")
    cases.put_flags("a.ms", 1)
    return "a.ms"


@pytest.fixture
def casas(tmp_path, monkeypatch):
    """The MS of expected/make_flagversions.py with CASA's versions, and CASA's answers."""
    monkeypatch.chdir(tmp_path)
    cases.make("a.ms")
    with tarfile.open(HERE / "expected" / "flagversions.tar.xz") as packed:
        packed.extractall(tmp_path)
    return json.loads(pathlib.Path("answers.json").read_text())


def list_of(ms):
    """What mode='list' returns, as it is stored of CASA's."""
    return {str(k): os.path.basename(v) if k == "MS" else v for k, v in sheaf.flagmanager(ms).items()}


def test_versions_of_casa(casas):
    assert list_of("a.ms") == casas["list"] and list(sheaf.flagmanager("a.ms")) == [0, 1, "MS"]
    one, two = [], []
    for seed, to in ((1, one), (2, two)):
        cases.put_flags("a.ms", seed)
        to += cases.flags("a.ms")
    cases.put_flags("a.ms", 3)
    assert sheaf.flagmanager("a.ms", "restore", versionname="one") is casas["save"] is None
    assert cases.flags("a.ms") == one
    sheaf.flagmanager("a.ms", "restore", versionname="drei")
    assert cases.flags("a.ms") == two


def test_layout_is_casas(casas):
    shutil.copytree("a.ms", "b.ms")
    cases.put_flags("b.ms", 1)
    sheaf.flagmanager("b.ms", "save", versionname="one", comment="first: with a colon")
    with table("a.ms.flagversions/flags.one", ack=False) as a, table("b.ms.flagversions/flags.one", ack=False) as b:
        assert a.colnames() == b.colnames() == ["FLAG", "FLAG_ROW"] and a.nrows() == b.nrows()
        assert (a.getcol("FLAG_ROW") == b.getcol("FLAG_ROW")).all()
        for row in range(a.nrows()):
            assert np.array_equal(a.getcell("FLAG", row), b.getcell("FLAG", row))
        kinds = [{c: m["TYPE"] for m in t.getdminfo().values() for c in m["COLUMNS"]} for t in (a, b)]
        assert kinds[0] == kinds[1] == {"FLAG": "TiledShapeStMan", "FLAG_ROW": "StandardStMan"}
    lists = [pathlib.Path(f"{n}.ms.flagversions/FLAG_VERSION_LIST").read_text() for n in "ab"]
    assert lists[0].splitlines()[0] == lists[1].splitlines()[0] == "one : first: with a colon"


def test_errors_are_casas(casas):
    assert sheaf.flagmanager("a.ms", "delete", versionname="zz") is casas["delete unknown"] is None
    calls = {"restore unknown": dict(mode="restore", versionname="zz"), "restore ''": dict(mode="restore"),
             "save ''": dict(mode="save"), "delete ''": dict(mode="delete"),
             "rename unknown": dict(mode="rename", oldname="zz", versionname="y"),
             "rename to one that exists": dict(mode="rename", oldname="one", versionname="drei"),
             "rename from ''": dict(mode="rename", versionname="y")}
    before = sorted(os.listdir("a.ms.flagversions")), cases.flags("a.ms")
    for name, call in calls.items():
        with pytest.raises(sheaf.Error) as caught:
            sheaf.flagmanager("a.ms", **call)
        assert casas[name].partition(": ")[2] in str(caught.value), name
    assert (sorted(os.listdir("a.ms.flagversions")), cases.flags("a.ms")) == before


def test_nothing_is_made_to_list_nothing(ms):
    assert sheaf.flagmanager(ms) == {"MS": os.path.realpath(ms)}
    assert os.listdir(".") == ["a.ms"]


def test_an_existing_version_is_kept(ms):
    sheaf.flagmanager(ms, "save", versionname="v", comment="old")
    sheaf.flagmanager(ms, "save", versionname="w")
    first = cases.flags(ms)
    cases.put_flags(ms, 2)
    sheaf.flagmanager(ms, "save", versionname="v", comment="new")
    versions = sheaf.flagmanager(ms)
    old = versions[0]["name"]
    assert old.startswith("v.old.") and [versions[i] for i in range(3)] == [
        {"name": old, "comment": "old"}, {"name": "w", "comment": ""}, {"name": "v", "comment": "new"}]
    second = cases.flags(ms)
    for name, want in ((old, first), ("v", second)):
        sheaf.flagmanager(ms, "restore", versionname=name)
        assert cases.flags(ms) == want
    sheaf.flagmanager(ms, "rename", oldname=old, versionname="u", comment="c")
    sheaf.flagmanager(ms, "delete", versionname="v")
    assert list_of(ms) == {"0": {"name": "u", "comment": "c"}, "1": {"name": "w", "comment": ""}, "MS": "a.ms"}
    assert sorted(os.listdir("a.ms.flagversions")) == ["FLAG_VERSION_LIST", "flags.u", "flags.w"]


@pytest.mark.parametrize("merge, op", [("and", np.logical_and), ("or", np.logical_or)])
def test_merge(ms, merge, op):
    def join(a, b):
        return [(bool(op(x[0], y[0])), op(np.frombuffer(x[1], bool), np.frombuffer(y[1], bool)).tobytes())
                for x, y in zip(a, b)]
    saved = cases.flags(ms)
    sheaf.flagmanager(ms, "save", versionname="v")
    cases.put_flags(ms, 2)
    now = cases.flags(ms)
    for _ in range(2):
        sheaf.flagmanager(ms, "restore", versionname="v", merge=merge)
        assert cases.flags(ms) == join(now, saved) != now


def take(version, of, to, name):
    """Puts a version of one MS among those of another, as a user does."""
    os.makedirs(to + ".flagversions", exist_ok=True)
    shutil.copytree(f"{of}.flagversions/flags.{version}", f"{to}.flagversions/flags.{name}")
    with open(to + ".flagversions/FLAG_VERSION_LIST", "a") as out:
        out.write(f"{name} : taken\n")


@pytest.mark.parametrize("axis", ["auto", "scan", "spw", "baseline"])
@pytest.mark.parametrize("more", [{}, {"shuffled": True, "undefined": ("FLAG",)}, {"storage": "standard"}])
def test_between_an_ms_and_its_multi_ms(ms, axis, more):
    shutil.rmtree(ms)
    cases.make(ms, **more)
    cases.put_flags(ms, 1)
    one = cases.flags_by_key(ms)
    sheaf.partition(ms, "a.mms", separationaxis=axis, numsubms=3)
    sheaf.flagmanager(ms, "save", versionname="one")
    cases.put_flags("a.mms", 2)
    two = cases.flags_by_key("a.mms")
    sheaf.flagmanager("a.mms", "save", versionname="two")
    take("one", ms, "a.mms", "x")
    sheaf.flagmanager("a.mms", "restore", versionname="x")
    assert cases.flags_by_key("a.mms") == one
    sheaf.flagmanager("a.mms", "restore", versionname="two")
    assert cases.flags_by_key("a.mms") == two
    for name in ("two", "partition_1"):
        take(name, "a.mms", ms, name)
    sheaf.flagmanager(ms, "restore", versionname="two")
    assert cases.flags_by_key(ms) == two
    sheaf.flagmanager(ms, "restore", versionname="partition_1")
    assert cases.flags_by_key(ms) == one


def test_rows_that_are_not_the_same(ms):
    sheaf.partition(ms, "part.ms", createmms=False, scan="1,2")
    cases.make("other.ms", autos=False)
    cases.make("late.ms")
    with table("late.ms", readonly=False, ack=False) as t:
        t.putcell("TIME", 5, t.getcell("TIME", 5) + 1e-3)
    cases.make("shape.ms", windows=[(4, 1e6), (1, 1e6), (5, 1e6)])
    sheaf.flagmanager(ms, "save", versionname="v")
    for other in ("part.ms", "other.ms", "late.ms", "shape.ms"):
        take("v", ms, other, "v")
        before = cases.flags(other)
        with pytest.raises(sheaf.Error, match=f"flag version 'v' cannot be restored on '{other}'"):
            sheaf.flagmanager(other, "restore", versionname="v")
        assert cases.flags(other) == before
        assert sorted(os.listdir(other + ".flagversions")) == ["FLAG_VERSION_LIST", "flags.v"]


BAD = {
    "a slash": dict(mode="save", versionname="a/b"), "a colon": dict(mode="save", versionname="a:b"), "a variable": dict(mode="save", versionname="$HOME"),
    "two lines": dict(mode="save", versionname="a\nb"), "blanks": dict(mode="save", versionname=" a"),
    "main": dict(mode="save", versionname="main"), "long": dict(mode="save", versionname="x" * 300),
    "comment of two lines": dict(mode="save", versionname="v", comment="a\nb"), "mode": dict(mode="bla"),
    "merge": dict(mode="save", versionname="v", merge="xor"), "vis": dict(vis="gone.ms"), "no vis": dict(vis=""),
    "type": dict(mode="save", versionname=3)}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(ms, name):
    with pytest.raises(sheaf.Error):
        sheaf.flagmanager(**{"vis": ms, **BAD[name]})
    assert os.listdir(".") == ["a.ms"]


def test_a_version_whose_table_is_gone(ms):
    sheaf.flagmanager(ms, "save", versionname="v")
    shutil.rmtree("a.ms.flagversions/flags.v")
    assert list_of(ms)["0"]["name"] == "v"
    with pytest.raises(sheaf.NotFoundError, match="is in the list"):
        sheaf.flagmanager(ms, "restore", versionname="v")
    sheaf.flagmanager(ms, "delete", versionname="v")
    assert list_of(ms) == {"MS": "a.ms"}


def test_a_damaged_list(ms):
    """What can be read is listed, and goes on; a list cut by a zero byte is told, and nothing is changed."""
    sheaf.flagmanager(ms, "save", versionname="v", comment="c")
    listed = pathlib.Path("a.ms.flagversions/FLAG_VERSION_LIST")
    for text, names in ((b"", []), (b"\n : x\nv : c\r\n", ["v"]), (b"\xff\xfe : \xe9t\xe9\nv : c\n", ["??", "v"]),
                        (b"no colon\n\nv:c", ["no colon", "v"])):
        listed.write_bytes(text)
        assert [v["name"] for k, v in sheaf.flagmanager(ms).items() if k != "MS"] == names
        sheaf.flagmanager(ms, "save", versionname="w")
        assert listed.read_bytes().endswith(b"w : \n") and b"\xff\xfe : \xe9t\xe9\n" * ("??" in names) in listed.read_bytes()
        sheaf.flagmanager(ms, "delete", versionname="w")
    listed.write_bytes(b"v : c\0\n")
    for call in ({}, {"mode": "save", "versionname": "w"}, {"mode": "restore", "versionname": "v"}):
        with pytest.raises(sheaf.Error, match="FLAG_VERSION_LIST is damaged"):
            sheaf.flagmanager(ms, **call)
    assert listed.read_bytes() == b"v : c\0\n" and sorted(os.listdir("a.ms.flagversions")) == ["FLAG_VERSION_LIST", "flags.v"]


@pytest.mark.parametrize("name", ["a b", "ü", "a*", "a.c", "[x]", "(y)", "..", ".", "x" * 200, "-x", "~x", "a'b", 'a"b',
                                  "a\\b", "a%sb", "{q}", "a|b", "^z", "q?", "3", "True"])
def test_odd_names(ms, name):
    """A name is a name: no pattern, no path, no variable."""
    cases.put_flags(ms, 2)
    sheaf.flagmanager(ms, "save", versionname="other")
    cases.put_flags(ms, 1)
    one = cases.flags(ms)
    sheaf.flagmanager(ms, "save", versionname=name, comment=name)
    cases.put_flags(ms, 3)
    sheaf.flagmanager(ms, "restore", versionname=name)
    assert cases.flags(ms) == one and list_of(ms)["1"] == {"name": name, "comment": name}
    sheaf.flagmanager(ms, "rename", oldname=name, versionname=name[:199] + "1")
    sheaf.flagmanager(ms, "delete", versionname=name[:199] + "1")
    assert sorted(os.listdir("a.ms.flagversions")) == ["FLAG_VERSION_LIST", "flags.other"]


def test_a_version_of_casa_on_a_multi_ms(ms, capfd):
    """It has no record of its rows, which a warning says."""
    sheaf.partition(ms, "a.mms", separationaxis="baseline", numsubms=2, flagbackup=False)
    for vis, said in ((ms, False), ("a.mms", True)):
        sheaf.flagmanager(vis, "save", versionname="one")
        os.remove(vis + ".flagversions/flags.one/sheaf.rows")
        capfd.readouterr()
        sheaf.flagmanager(vis, "restore", versionname="one")
        assert ("no record of its rows (CASA saved it)" in capfd.readouterr().err) == said


def test_read_only(ms, ordinary):
    path = ordinary.give(shutil.copytree(ms, os.path.join(ordinary.folder, "a.ms")))

    def run(*words):
        return subprocess.run([ordinary.sheaf, "flagmanager", "vis=" + path, *words], text=True, capture_output=True,
                              **ordinary.options)
    assert run("mode=save", "versionname=v").returncode == 0
    before = cases.flags(path)
    os.chmod(path, 0o555)
    done = run("mode=restore", "versionname=v")
    assert done.returncode == 1 and "Permission denied" in done.stderr and "a.ms cannot be written to" in done.stderr
    os.chmod(path + ".flagversions", 0o555)
    for words in (["mode=save", "versionname=w"], ["mode=delete", "versionname=v"],
                  ["mode=rename", "oldname=v", "versionname=w"]):
        done = run(*words)
        assert done.returncode == 1 and "Permission denied" in done.stderr, words
    assert run().returncode == 0 and cases.flags(path) == before
    assert sorted(os.listdir(path + ".flagversions")) == ["FLAG_VERSION_LIST", "flags.v"]


def test_a_link_leads_to_the_versions_of_the_ms(ms):
    os.symlink("a.ms", "link.ms")
    sheaf.flagmanager("link.ms", "save", versionname="v")
    assert os.path.isdir("a.ms.flagversions/flags.v") and not os.path.exists("link.ms.flagversions")
    assert list_of("link.ms")["MS"] == "a.ms"


@pytest.mark.parametrize("ndim", [2, -1])
def test_a_calibration_table(tmp_path, monkeypatch, ndim):
    """No FLAG_ROW, no data descriptions; CASA 6.7.0's bandpass and gaincal leave the number of axes open."""
    from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc
    monkeypatch.chdir(tmp_path)
    desc = maketabdesc([makescacoldesc("TIME", 0.0), makescacoldesc("ANTENNA1", 0), makescacoldesc("SPECTRAL_WINDOW_ID", 0),
                        makearrcoldesc("FLAG", False, ndim=ndim)])
    with table("cal.G", desc, nrow=6, ack=False) as t:
        t.putinfo({"type": "Calibration", "subType": "G Jones", "readme": ""})
        t.putcol("ANTENNA1", np.arange(6))
        t.putcol("FLAG", np.arange(6 * 3 * 2).reshape(6, 3, 2) % 5 == 0)
        before = t.getcol("FLAG")
    sheaf.flagmanager("cal.G", "save", versionname="v")
    with table("cal.G", readonly=False, ack=False) as t:
        t.putcol("FLAG", ~before)
    sheaf.flagmanager("cal.G", "restore", versionname="v")
    with table("cal.G", ack=False) as t:
        assert (t.getcol("FLAG") == before).all()


def test_nothing_is_saved_while_flags_change(ms):
    held = os.open(ms, os.O_RDONLY)  # as a task in place does
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(Exception, match="another task"):
        sheaf.flagmanager(vis=ms, mode="save", versionname="half")
    assert not os.path.exists(ms + ".flagversions")
    os.close(held)
    sheaf.flagmanager(vis=ms, mode="save", versionname="whole")
    assert "whole" in str(list_of(ms))


def start_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


@pytest.mark.parametrize("more, pid, host, text", [
    ({"backup": "one"}, 1 << 22, "", "version 'one' has the flags from before"),
    ({"backup": "gone"}, 1 << 22, "", "version 'gone', which had the flags from before, is gone"),
    ({}, 1 << 22, "", "there is no backup of the flags from before"),
    ({"restored": "one"}, 1 << 22, "", "restore version 'one' again"),
    ({"backup": "one"}, 7, "elsewhere", "or is still at work"),
    ({"backup": "one"}, os.getpid(), "", None)])
@pytest.mark.parametrize("where", ["MS", "sub-MS", "Multi-MS"])
def test_an_interrupted_run_is_told(ms, capfd, more, pid, host, text, where):
    """A note as flagdata writes it; of a process that lives nothing is said."""
    vis, noted = ms, ms
    if where != "MS":
        sheaf.partition(ms, "a.mms", separationaxis="scan", numsubms=2, flagbackup=False)
        member = "a.mms/SUBMSS/" + sorted(os.listdir("a.mms/SUBMSS"))[1]
        vis, noted = ("a.mms", member) if where == "sub-MS" else (member, "a.mms")
    sheaf.flagmanager(noted, "save", versionname="one")
    own = pid == os.getpid()
    note = {"task": "flagdata", "pid": pid, "host": host or os.uname().nodename, "time": 1700000000,
            "start": f"{start_of(pid) if own else 1:x}", **more}
    pathlib.Path(noted, ".sheaf-flagging").write_text(json.dumps([note]))
    work = f".{os.path.basename(vis)}.flagging.sheaf-{note['host']}-{pid}-{note['start']}.0"
    work = os.path.join(os.path.dirname(vis), work)
    os.mkdir(work)
    for call in (lambda: sheaf.flagmanager(vis), lambda: sheaf.flagdata(vis, mode="summary"),
                 lambda: sheaf.flagcmd(vis, action="list", inpmode="list", inpfile=["scan='1'"]),
                 lambda: sheaf.flagdata(vis, mode="manual", antenna="A01", action="calculate")):
        capfd.readouterr()
        call()
        told = [line for line in capfd.readouterr().err.split("\n") if "was interrupted" in line]
        assert len(told) == (0 if own else 1)
        if text:
            assert text in told[0] and "flagdata of 2023-11-1" in told[0] and f"process {pid}" in told[0]
    assert os.path.exists(work) == (own or bool(host))
    if noted == vis and not own:
        sheaf.flagdata(vis, mode="manual", scan="1", flagbackup=False)
        assert not os.path.exists(noted + "/.sheaf-flagging")


def test_a_note_that_cannot_be_written(ms):
    """The directory is full, or closed: no flag changes, and the task says so."""
    before = cases.flags(ms)
    os.mkdir(ms + "/.sheaf-flagging")
    with pytest.raises(sheaf.Error, match="no flags are changed"):
        sheaf.flagdata(ms, mode="manual", scan="1", flagbackup=False)
    assert cases.flags(ms) == before

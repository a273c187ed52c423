# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata on other columns than DATA, with added antennas and by uvrange, and flagcmd's unapply of clip, against flags of CASA
(flagcolumn_cases.py)."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from casacore.tables import table

import flagcolumn_cases as cases
import inputs
import sheaf
from flagdata_cases import digest, plain

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected" / "flagcolumn.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp("columns") / "inputs"
    cases.prepare(inputs.ngc5921(), str(to))
    return to


@pytest.fixture
def work(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "antennas.txt", tmp_path)
    return folder


def state(path):
    with table(path, ack=False) as t:
        return digest(t.getcol("FLAG"), t.getcol("FLAG_ROW"))


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_flags_are_those_of_casa(work, name):
    ms, par = cases.CASES[name]
    shutil.copytree(work / ms, "case.ms")
    report = sheaf.flagdata(vis="case.ms", flagbackup=False, **par)
    want = dict(EXPECTED["cases"][name])
    assert plain(report) == want.pop("report")
    assert state("case.ms") == want


@pytest.mark.parametrize("name", sorted(cases.ALONE))
def test_commands_of_a_list_average_as_they_say(work, name):
    """CASA, by contrast, averages for all commands of a list alike (docs/differences.md)."""
    shutil.copytree(work / "columns.ms", "case.ms")
    sheaf.flagdata("case.ms", mode="list", inpfile=cases.ALONE[name], flagbackup=False)
    assert state("case.ms") == EXPECTED["alone"][name] != EXPECTED["together"][name]


@pytest.mark.parametrize("name", sorted(cases.UNAPPLIED))
def test_unapplied_clip_is_that_of_casa(work, name):
    shutil.copytree(work / "columns.ms", "case.ms")
    cases.unapply(sheaf.flagdata, sheaf.flagcmd, "case.ms", cases.UNAPPLIED[name])
    assert state("case.ms") == EXPECTED["unapplied"][name]


@pytest.mark.parametrize("name", sorted(cases.UNAPPLIED_CROP))
def test_unapplied_tfcrop_is_that_of_casa(work, name):
    """All flags of a baseline that is not flagged wholly are cleared, whoever set them, and a warning says so."""
    shutil.copytree(work / "columns.ms", "case.ms")
    cases.unapply(sheaf.flagdata, sheaf.flagcmd, "case.ms", cases.UNAPPLIED_CROP[name], cases.BEFORE_CROP)
    assert state("case.ms") == EXPECTED["unapplied"][name]


def test_tfcrop_with_its_extension_is_unapplied(tmp_path, monkeypatch, capfd):
    """As CASA: with nothing flagged before, as it was; on a Multi-MS, too."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(inputs.ngc5921(), "case.ms")
    sheaf.partition("case.ms", "case.mms", separationaxis="baseline", numsubms=2, flagbackup=False)
    for path in ("case.ms", "case.mms"):
        sheaf.flagcmd(path, inpmode="list", inpfile=["mode='tfcrop'"], savepars=True, flagbackup=False)
        assert sheaf.flagdata(path, mode="summary")["flagged"] == 99590
        capfd.readouterr()
        sheaf.flagcmd(path, action="unapply", useapplied=True, flagbackup=False)
        told = capfd.readouterr()
        assert "all flags in its selection are cleared" in told.out + told.err
        assert sheaf.flagdata(path, mode="summary")["flagged"] == 0


@pytest.mark.parametrize("command", ["mode='clip' channelavg=True chanbin=4", "mode='clip' timeavg=True timebin='60s'",
                                     "mode='tfcrop' channelavg=True chanbin=4", "mode='rflag'", "mode='extend'"])
def test_what_cannot_be_unapplied_changes_nothing(work, command):
    shutil.copytree(work / "columns.ms", "case.ms")
    sheaf.flagdata("case.ms", mode="manual", scan="3", flagbackup=False)
    before = state("case.ms")
    sheaf.flagcmd("case.ms", inpmode="list", inpfile=[command], action="list", savepars=True)
    with pytest.raises(sheaf.Error, match="cannot be unapplied"):
        sheaf.flagcmd("case.ms", action="unapply", useapplied=True)
    assert state("case.ms") == before


def test_channels_named_twice_count_once(work):
    """Ranges of one selection that overlap are one range: for averages, windows and counts, too."""
    for i, spw in enumerate(("0:1~5;3~8", "0:1~8")):
        shutil.copytree(work / "columns.ms", f"{i}.ms")
        reports = [sheaf.flagdata(f"{i}.ms", spw=spw, flagbackup=False, **par) for par in (
            {"mode": "clip", "clipminmax": [0.0, 50.0], "channelavg": True, "chanbin": 4}, {"mode": "tfcrop"}, {"mode": "rflag"},
            {"mode": "extend", "growtime": 20.0}, {"mode": "summary"})]
        if i == 0:
            first = plain(reports), state("0.ms")
    assert (plain(reports), state("1.ms")) == first


def test_thresholds_by_sub_ms(tmp_path, monkeypatch):
    """rflagpersubms=True: as CASA on a Multi-MS, where each sub-MS has thresholds of its own."""
    monkeypatch.chdir(tmp_path)
    want = json.loads((pathlib.Path(__file__).parent / "expected" / "flagparts.json").read_text())["parts"]
    sheaf.partition(inputs.ngc5921(), "parts.mms", separationaxis="baseline", numsubms=3, flagbackup=False)
    shutil.copytree("parts.mms", "whole.mms")
    parts = sorted(want)
    for name in parts:
        report = sheaf.flagdata("parts.mms/SUBMSS/" + name, mode="rflag", action="calculate", extendflags=False)["report0"]
        for key in ("timedev", "freqdev"):
            assert np.allclose(report[key], want[name][key], rtol=1e-12, atol=0)
    sheaf.flagdata("parts.mms", mode="rflag", extendflags=False, rflagpersubms=True, flagbackup=False)
    sheaf.flagdata("whole.mms", mode="rflag", extendflags=False, flagbackup=False)
    for name in parts:
        assert state("parts.mms/SUBMSS/" + name) == {key: want[name][key] for key in ("flags", "rows", "sha256")}
        renamed = name.replace("parts", "whole")
        there = renamed if (tmp_path / "whole.mms" / "SUBMSS" / renamed).exists() else name
        assert state("whole.mms/SUBMSS/" + there) != state("parts.mms/SUBMSS/" + name)


def test_thresholds_by_sub_ms_without_sub_ms(tmp_path, monkeypatch, capfd):
    """A Multi-MS that refers to its input's rows: a warning, and the flags of the input."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.ms", "two.ms"):
        shutil.copytree(inputs.ngc5921(), name)
    sheaf.partition("one.ms", "parts.mms", separationaxis="baseline", numsubms=3, flagbackup=False, copydata=False)
    capfd.readouterr()
    sheaf.flagdata("parts.mms", mode="rflag", rflagpersubms=True, flagbackup=False)
    told = capfd.readouterr()
    assert "rflagpersubms=True: " in told.out + told.err
    sheaf.flagdata("two.ms", mode="rflag", flagbackup=False)
    assert state("one.ms") == state("two.ms")


def test_antint_lists_times(tmp_path, monkeypatch, capfd):
    """verbose=True: as CASA lists them on an MS that bench/make-ms makes."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(inputs.simulated(), "case.ms")
    sheaf.flagdata("case.ms", mode="manual", antenna="1", spw="*:0~40", scan="2", flagbackup=False)
    with table("case.ms/ANTENNA", ack=False) as t:
        name = t.getcol("NAME")[1]
    for verbose in (False, True):
        capfd.readouterr()
        sheaf.flagdata("case.ms", mode="antint", antint_ref_antenna=name, minchanfrac=0.1, verbose=verbose, action="calculate")
        told = capfd.readouterr()
        lines = [line for line in (told.out + told.err).split("\n") if "Flagging integration at time: " in line]
        with table("case.ms", ack=False) as t:
            times = np.unique(t.query("SCAN_NUMBER==2").getcol("TIME"))
        assert len(lines) == (4 * len(times) if verbose else 0)
    assert lines[0].endswith("(fraction of flagged channels found: 0.320312)")

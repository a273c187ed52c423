# SPDX-License-Identifier: GPL-3.0-or-later
"""flagcmd and flagdata on a calibration table. Numbers are those of CASA 6.7 for the table that calibration() makes:
flagcmd('cal.G', inpmode='list', inpfile=[...], flagbackup=False) and the number of FLAGs (make_flagcal.py)."""

import json
import os
import pathlib

import numpy as np
import pytest
from casacore.tables import table

import flagcal_cases as cases
import flagversions_cases
import sheaf

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected" / "flagcal.json").read_text())


@pytest.fixture
def cal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases.make("cal.G")
    return "cal.G"


def flags(path):
    with table(path, ack=False) as t:
        return t.getcol("FLAG")


@pytest.mark.parametrize("name", cases.LISTS)
def test_flags_are_casas(cal, name):
    sheaf.flagcmd(cal, inpmode="list", inpfile=cases.LISTS[name], flagbackup=False)
    assert cases.digest(flags(cal)) == EXPECTED["flags"][name]


@pytest.mark.parametrize("name", cases.ONE_BY_ONE)
def test_a_list_flags_what_its_commands_flag(cal, name):
    sheaf.flagcmd(cal, inpmode="list", inpfile=cases.ONE_BY_ONE[name], flagbackup=False)
    assert cases.digest(flags(cal)) == EXPECTED["one by one"][name] != EXPECTED["together"][name]


@pytest.mark.parametrize("name", cases.REFUSED)
def test_refusals_are_casas(cal, name):
    with pytest.raises(sheaf.Error) as caught:
        sheaf.flagcmd(cal, **cases.REFUSED[name])
    assert EXPECTED["messages"][name] in str(caught.value)
    assert not flags(cal).any() and not os.path.exists(cal + ".flagversions")


def test_what_is_saved(cal):
    with pytest.raises(sheaf.Error, match="a calibration table has no FLAG_CMD; give an outfile"):
        sheaf.flagcmd(cal, inpmode="list", inpfile=["spw='0'"], savepars=True)
    assert not flags(cal).any()
    sheaf.flagcmd(cal, inpmode="list", inpfile=["spw='0' reason='x'"], savepars=True, outfile="o.txt")
    assert pathlib.Path("o.txt").read_text() == "spw='0' reason='x'\n" and flags(cal).any()


def test_commands_of_an_ms(cal):
    """FLAG_CMD of another MS; its rows stay unapplied, as in CASA."""
    flagversions_cases.make("a.ms")
    sheaf.flagcmd("a.ms", inpmode="list", inpfile=["antenna='A01'", "antenna='A02' spw='0'"], action="list", savepars=True)
    sheaf.flagcmd(cal, inpfile="a.ms", flagbackup=False)
    with table("a.ms/FLAG_CMD", ack=False) as t:
        assert not t.getcol("APPLIED").any()
    found = flags(cal)
    sheaf.flagdata(cal, mode="unflag", flagbackup=False)
    sheaf.flagcmd(cal, inpmode="list", inpfile=["antenna='A01'", "antenna='A02' spw='0'"], flagbackup=False)
    assert np.array_equal(found, flags(cal)) and found.any()


def test_backup_and_restore(cal):
    """FLAG of CASA's calibration tables says nothing of the number of its axes."""
    sheaf.flagcmd(cal, inpmode="list", inpfile=["spw='0'"])
    before = flags(cal)
    sheaf.flagdata(cal)
    assert flags(cal).all()
    sheaf.flagmanager(cal, "restore", versionname="flagdata_1")
    assert np.array_equal(flags(cal), before)
    sheaf.flagmanager(cal, "restore", versionname="flagcmd_1")
    assert not flags(cal).any()


def test_channels_that_are_not_there(cal, capfd):
    """A warning, nothing is flagged, and no version is saved (CASA flags the last channel). Beside others they count for nothing."""
    for par in ({"spw": "0:70~80"}, {"spw": "*:70"}, {"spw": "0:70;73", "mode": "unflag"},
                {"spw": "1:99", "mode": "clip", "datacolumn": "CPARAM", "clipminmax": [0, 0.1]}):
        assert sheaf.flagdata(cal, **par) == {}
        assert "; nothing is selected for those behind the last one" in capfd.readouterr().err
    assert not flags(cal).any() and not os.path.exists(cal + ".flagversions")
    sheaf.flagdata(cal, spw="0:70,1:0~80", flagbackup=False)
    found = flags(cal)
    sheaf.flagdata(cal, mode="unflag", flagbackup=False)
    sheaf.flagdata(cal, spw="1:0", flagbackup=False)
    assert np.array_equal(found, flags(cal)) and found.any() and not found.all()


def test_times_beside_the_solutions(cal):
    """CASA raises MSSelectionNullSelection; as with an MS this is a warning here."""
    assert sheaf.flagdata(cal, timerange="2001/01/01/00:00:00~2001/01/02/00:00:00") == {}
    assert not flags(cal).any() and not os.path.exists(cal + ".flagversions")
    with pytest.raises(sheaf.Error, match="timerange='abc'"):
        sheaf.flagdata(cal, timerange="abc")

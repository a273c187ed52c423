# SPDX-License-Identifier: GPL-3.0-or-later
"""listobs against CASA's text and dictionary (expected/obs_list.json, made by expected/make_obs.py), and on damage."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import sheaf
import uvfits_cases

pytest.importorskip("casacore.tables")
from casacore.tables import table, taql  # noqa: E402

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected" / "obs_list.json").read_text())


@pytest.fixture(scope="module")
def vis(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("ms") / "ngc5921.ms")
    sheaf.importuvfits(uvfits_cases.unpacked(), path)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def copy(vis, folder):
    shutil.copytree(vis, "copy.ms")
    return "copy.ms"


def untag(value):
    if isinstance(value, dict) and "#array" in value:
        return np.array(value["data"], value["#array"])
    return {k: untag(v) for k, v in value.items()} if isinstance(value, dict) else value


def assert_same(ours, theirs, path=""):
    assert type(ours) is type(theirs), path
    if isinstance(theirs, dict):
        assert sorted(ours) == sorted(theirs), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), path
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-13), path
    else:
        assert ours == theirs, path


def listing(vis, **keywords):
    value = sheaf.listobs(vis, listfile="list.txt", overwrite=True, **keywords)
    return value, pathlib.Path("list.txt").read_text()


# ---- against CASA ----

@pytest.mark.parametrize("case", EXPECTED["ms"], ids=lambda case: str(case["keywords"]))
def test_text_and_dictionary_are_casas(vis, case):
    value, text = listing(vis, **case["keywords"])
    assert text.replace(vis, "NAME") == case["text"]
    assert_same(value, untag(case["value"]))


def test_log_has_the_same_text(vis, capfd):
    value = sheaf.listobs(vis)
    lines = [line.split("\t", 3) for line in capfd.readouterr().err.splitlines()]
    lines = [line for line in lines if len(line) > 3 and line[2].startswith("listobs::ms::summary")]
    assert all(line[1] == "INFO" for line in lines)
    assert "\n".join(line[3] for line in lines) + "\n" == EXPECTED["ms"][0]["text"].replace("NAME", vis)
    assert_same(value, untag(EXPECTED["ms"][0]["value"]))


def test_multi_ms(vis):
    if not hasattr(sheaf, "partition"):
        pytest.skip("no partition to make a Multi-MS with")
    sheaf.partition(vis, "a.mms", separationaxis="scan", numsubms=3)
    value, text = listing("a.mms")
    assert text.replace(os.path.abspath("a.mms"), "NAME") == EXPECTED["mms"][0]["text"]
    assert_same(value, untag(EXPECTED["mms"][0]["value"]))


def test_reference_table(vis):
    with table(vis, ack=False) as t:
        taql("select from $t where FIELD_ID==1 giving rows.ms")
    case = next(c for c in EXPECTED["ms"] if c["keywords"] == {"field": "1"})
    value, text = listing("rows.ms")
    assert text.replace(os.path.abspath("rows.ms"), "NAME") == case["text"]
    assert_same(value, untag(case["value"]))
    assert listing("rows.ms", scan="2")[0]["numrecords"] == 1890


def test_lists_of_expressions(vis):
    assert listing(vis, scan=["2", "3"])[1] == listing(vis, scan="2,3")[1]
    assert listing(vis, observation=0)[1] == listing(vis, observation="0")[1]


# ---- unlike CASA, on purpose ----

def test_one_scan_number_in_several_observations(copy):
    """CASA's dictionary keeps the last observation's entries only."""
    with table(copy, readonly=False, ack=False) as t:
        scan = t.getcol("SCAN_NUMBER")
        t.putcol("OBSERVATION_ID", (scan - 1).astype("i4"))
        t.putcol("SCAN_NUMBER", np.ones_like(scan))
    value, text = listing(copy)
    assert [value["scan_1"][str(i)]["nRow"] for i in range(7)] == [4509, 1890, 6048, 756, 1134, 6804, 1512]
    assert text.count("ObservationID = ") == 7


def test_mean_exposure(copy):
    """CASA weights the exposures of parts of a scan wrongly."""
    with table(copy, readonly=False, ack=False) as t:
        exposure = np.arange(t.nrows(), dtype=float)
        t.putcol("EXPOSURE", exposure)
        scan = t.getcol("SCAN_NUMBER")
    value, _ = listing(copy)
    for i in range(1, 8):
        assert value[f"scan_{i}"]["0"]["IntegrationTime"] == pytest.approx(exposure[scan == i].mean())


def test_unflagged_rows_with_decreasing_frequency(copy):
    """CASA subtracts channels of negative width."""
    with table(copy, readonly=False, ack=False) as t:
        flag = np.zeros_like(t.getcol("FLAG"))
        flag[:, :21, :] = True
        t.putcol("FLAG", flag)
        scan = t.getcol("SCAN_NUMBER")
    with table(copy + "/SPECTRAL_WINDOW", readonly=False, ack=False) as t:
        width = t.getcol("CHAN_WIDTH")
        t.putcol("TOTAL_BANDWIDTH", np.abs(width).sum(axis=1))
        t.putcol("CHAN_WIDTH", -width)
    _, text = listing(copy, listunfl=True)
    line = next(line for line in text.splitlines() if "1331+30500002_0" in line)
    assert line.split()[7] == "%.2f" % (2 / 3 * (scan == 1).sum())


def test_unknown_telescope(copy, capfd):
    with table(copy + "/OBSERVATION", readonly=False, ack=False) as t:
        t.putcol("TELESCOPE_NAME", ["MY DISH"])
    _, text = listing(copy)
    assert "telescope 'MY DISH' has no known position" in capfd.readouterr().err
    assert "Antennas: 27:" in text and "VLA:W7" in text


@pytest.mark.parametrize("name", ["FIELD", "ANTENNA", "SPECTRAL_WINDOW", "POLARIZATION", "DATA_DESCRIPTION", "STATE",
                                  "OBSERVATION", "SOURCE"])
@pytest.mark.parametrize("damage", ["keyword", "folder", "truncated"])
def test_sub_tables_missing(copy, capfd, name, damage):
    if damage == "keyword":
        with table(copy, readonly=False, ack=False) as t:
            t.removekeyword(name)
    elif damage == "folder":
        shutil.rmtree(os.path.join(copy, name))
    else:
        os.truncate(os.path.join(copy, name, "table.dat"), 40)
    value, text = listing(copy)
    assert value["numrecords"] == 22653 and "Data records: 22653" in text
    if (name, damage) != ("SOURCE", "keyword"):  # SOURCE is optional
        assert f"{name}: " in capfd.readouterr().err


def test_identifiers_beyond_their_tables(copy, capfd):
    with table(copy, readonly=False, ack=False) as t:
        for column in ("FIELD_ID", "DATA_DESC_ID", "ANTENNA2", "STATE_ID"):
            t.putcell(column, 0, 77)
            t.putcell(column, 1, -5)
    value, text = listing(copy)
    assert "Field 77 not found in FIELD table" in text and value["scan_1"]["0"]["FieldName"] == "?"
    err = capfd.readouterr().err
    assert "DATA_DESC_ID -5, 77" in err and "antennas -5, 77" in err


def test_empty_ms(vis):
    with table(vis, ack=False) as t:
        taql("select from $t where SCAN_NUMBER<0 giving empty.ms")
    for verbose in (True, False):
        value, text = listing("empty.ms", verbose=verbose)
        assert value == {} and "The MAIN table is empty: there are no data!!!" in text


# ---- bad input ----

def refuse(*args, **keywords):
    with pytest.raises(Exception) as failure:
        sheaf.listobs(*args, **keywords)
    return str(failure.value)


# CASA 6.7's listobs lists everything, or nothing, for these (its dictionary is that of all rows, or {}).
WHOLE = [{"field": "NOSUCH"}, {"field": "17"}, {"spw": "5"}, {"antenna": "ZZ"}, {"correlation": "XX"}, {"scan": "x~y"},
         {"timerange": "garbage"}, {"intent": "*TARGET*"}, {"feed": "7"}, {"scan": "99", "field": "NOSUCH"}]
NOTHING = [{"scan": "99"}, {"uvrange": ">1e9"}, {"array": "5"}, {"observation": "3"}, {"timerange": "01:00:00~02:00:00"}]


@pytest.mark.parametrize("keywords", WHOLE)
def test_a_selection_that_cannot_be_understood(vis, capfd, keywords):
    value, text = listing(vis, **keywords)
    assert (value, text) == listing(vis)
    name, wrong = list(keywords.items())[-1]
    err = capfd.readouterr().err
    assert "WARN" in err and f"{name}='{wrong}'" in err and "the whole MS is listed" in err


@pytest.mark.parametrize("keywords", NOTHING)
def test_a_selection_that_matches_nothing(vis, capfd, keywords):
    (name, wrong), = keywords.items()
    value, text = listing(vis, **keywords)
    assert value == {} and "The MAIN table is empty: there are no data!!!" in text
    err = capfd.readouterr().err
    assert f"{name}='{wrong}': MSSelectionNullSelection : The selected table has zero rows." in err


def test_a_list_selects_with_a_warning(vis, capfd):
    """CASA 6.7: "incorrect data type", and everything is listed."""
    assert listing(vis, scan=["2", "3"]) == listing(vis, scan="2,3")
    assert "scan: a list is an incorrect data type for CASA" in capfd.readouterr().err
    assert listing(vis, timerange=[]) == listing(vis)
    assert "incorrect data type" in capfd.readouterr().err


def test_names(vis, folder):
    assert "nosuch.ms" in refuse("nosuch.ms")
    assert "vis" in refuse("")
    os.mkdir("folder")
    assert "no MeasurementSet" in refuse("folder")
    pathlib.Path("file").write_text("text")
    assert "no MeasurementSet" in refuse("file")
    assert "no MeasurementSet" in refuse(vis + "/ANTENNA")
    assert "overwrite=True" in refuse(vis, listfile="file")
    assert pathlib.Path("file").read_text() == "text"
    assert "not a regular file" in refuse(vis, listfile="folder", overwrite=True)
    assert "not a regular file" in refuse(vis, listfile="/dev/null", overwrite=True)
    assert "nodir" in refuse(vis, listfile="nodir/list.txt")
    listing(vis, verbose=False)
    sheaf.listobs(vis, listfile="file", overwrite=True)
    assert "MeasurementSet Name" in pathlib.Path("file").read_text()


def test_truncated_main_table(copy):
    os.truncate(copy + "/table.f1", 1000)
    assert "shorter than the table says" in refuse(copy)
    os.truncate(copy + "/table.dat", 100)
    assert "copy.ms" in refuse(copy)


def test_nothing_is_written(vis):
    """Listing leaves no trace in the MS, not even when it may not be written."""
    before = sorted((p, p.stat().st_mtime_ns) for p in pathlib.Path(vis).rglob("*"))
    sheaf.listobs(vis, listunfl=True)
    assert sorted((p, p.stat().st_mtime_ns) for p in pathlib.Path(vis).rglob("*")) == before

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool ms: bad input, Multi-MSs, iterating and writing. Values are compared with CASA's in test_tools_casa.py."""

import os
import shutil
import time

import casacore.tables as ct
import numpy as np
import pytest

import inputs
import sheaf
from sheaf import ms, table

NOT_OPEN = "ms is not attached to a file"


@pytest.fixture
def copy(tmp_path):
    path = str(tmp_path / "copy.ms")
    shutil.copytree(inputs.ngc5921(), path, symlinks=True)
    return path


@pytest.fixture
def tool():
    m = ms()
    yield m
    m.close()


@pytest.mark.parametrize("call", [
    ("nrow",), ("range", ["time"]), ("select", {"antenna1": 1}), ("msselect", {"field": "1"}), ("selectinit", 0), ("selecttaql", "T"),
    ("iterinit", []), ("getdata", ["data"]), ("putdata", {}), ("getscansummary",), ("getspectralwindowinfo",), ("getfielddirmeas",),
    ("metadata",), ("summary",), ("selectchannel",), ("selectpolarization", ["I"]), ("ismultims",), ("reset",)], ids=lambda call: call[0])
def test_closed(call, tool):
    with pytest.raises(RuntimeError, match=NOT_OPEN):
        getattr(tool, call[0])(*call[1:])


def test_closed_but_harmless(tool):
    assert (tool.name(), tool.close(), tool.done(), tool.iswritable(), tool.iternext(), tool.iterend()) == (
        "none", False, False, False, False, True)


BAD = [
    (("msselect", {"field": "99"}), "Partial or no match for Field ID list [99]"),
    (("msselect", {"state": "1"}), "State Expression: Partial or no match"),
    (("msselect", {"nix": "1"}), "msselect knows no nix; it has spw, time,"),
    (("selecttaql", "ANTENNA1=?=1"), "Parse error at or near '?'"),
    (("selectinit", -1), "must be a list of positive integers"),
    (("select", {"antenna1": "a"}), "argument must be an integer"),
    (("select", {"uvdist": [1.0]}), "two element numeric vector"),
    (("getdata", ["data"], False, 0, 0), "increment must be 1 or more"),
    (("getfielddirmeas", "PHASE_DIR", 77), "there are 3 fields"),
    (("getfielddirmeas", "NIX"), "Illegal FIELD direction column name: NIX"),
    (("putdata", {"data": np.zeros((2, 63, 22653))}), "MeasurementSet is not writable; use open with nomodify=False"),
]


@pytest.mark.parametrize("call,words", BAD, ids=lambda one: one[0] if isinstance(one, tuple) else "")
def test_bad_input(call, words, tool):
    tool.open(inputs.ngc5921())
    with pytest.raises(RuntimeError) as failure:
        getattr(tool, call[0])(*call[1:])
    assert words in str(failure.value)


def test_means_over_rows_have_the_weights_of_these_rows(tool, copy):
    """CASA takes the weights of other rows (docs/differences.md), so this is what numpy makes of the single rows."""
    t = table()
    t.open(copy, nomodify=False)
    n = t.nrows()
    t.putcol("WEIGHT", 1.5 + np.cos(np.arange(2.0 * n)).reshape(2, n))
    t.putcol("WEIGHT_SPECTRUM", 1.5 + np.cos(np.arange(126.0 * n)).reshape(2, 63, n))
    t.putcol("FLAG", np.sin(np.arange(126 * n) ** 2 % 9973).reshape(2, 63, n) > 0.2)
    t.close()
    for bins in ((63, 0, 1, 1), (3, 2, 4, 5)):
        for ifraxis in (False, True):
            tool.open(copy)
            tool.selectinit(0)
            tool.msselect({"scan": "2", "baseline": "1~4"})
            tool.selectchannel(*bins)
            rows = tool.getdata(["data", "flag", "weight"], ifraxis=ifraxis)
            weight = np.where(rows["flag"], 0, rows["weight"][:, None])
            total = weight.sum(axis=-1)
            expected = np.where(total > 0, (rows["data"] * weight).sum(axis=-1) / np.where(total > 0, total, 1), 0)
            mean = tool.getdata(["data", "flag"], ifraxis=ifraxis, average=True)
            assert np.allclose(mean["data"], expected, rtol=1e-5) and mean["data"].shape == expected.shape
            assert np.array_equal(mean["flag"], rows["flag"].all(axis=-1).reshape(mean["flag"].shape))
            assert np.array_equal(mean["avgweight"], rows["weight"])
            tool.close()


def test_channel_means_beside_single_dish_data(tool, copy):
    """DATA stays DATA where there is FLOAT_DATA; CASA averages that instead."""
    tool.open(copy)
    tool.selectinit(0)
    tool.msselect({"scan": "2"})
    tool.selectchannel(3, 2, 4, 5)
    alone = tool.getdata(["data"])["data"]
    tool.close()
    t = table()
    t.open(copy, nomodify=False)
    t.addcols({"FLOAT_DATA": {"valueType": "float", "ndim": 2}})
    t.putcol("FLOAT_DATA", np.zeros((2, 63, t.nrows())))
    t.close()
    tool.open(copy)
    tool.selectinit(0)
    tool.msselect({"scan": "2"})
    tool.selectchannel(3, 2, 4, 5)
    both = tool.getdata(["data", "float_data"])
    assert np.array_equal(both["data"], alone) and not both["float_data"].any()


def test_gaps_are_flagged(tool, capfd):
    """CASA calls their antennas 0 and leaves them unflagged; for axis_info it ends in an error."""
    tool.open(inputs.ngc5921())
    tool.selectinit(0)
    tool.msselect({"scan": "2", "baseline": "1~4"})
    items = ["antenna1", "antenna2", "ifr_number", "flag", "flag_row", "data", "weight", "axis_info"]
    rec = tool.getdata(items, ifraxis=True, ifraxisgap=2)
    gap = np.asarray(rec["ifr_number"]) < 0
    assert gap.sum() == 2 * (len(set(rec["antenna1"])) - 2) > 0
    assert np.array_equal(gap, rec["antenna1"] == -1) and np.array_equal(gap, rec["antenna2"] == -1)
    assert rec["flag"][:, :, gap].all() and rec["flag_row"][gap].all() and not rec["data"][:, :, gap].any() and not rec["weight"][:, gap].any()
    axis = rec["axis_info"]["ifr_axis"]
    assert np.array_equal(axis["ifr_number"], rec["ifr_number"]) and (axis["baseline"][gap] == -1).all() and not any(axis["ifr_name"][gap])
    assert all(axis["ifr_shortname"][~gap]) and (axis["baseline"][~gap] >= 0).all()
    capfd.readouterr()
    tool.getdata(["antenna1"], ifraxisgap=2)
    assert "ifraxis not requested, ignoring ifraxisgap" in capfd.readouterr().err


def test_open_what_is_no_ms(tool, tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        tool.open(str(tmp_path / "nix.ms"))
    with pytest.raises(RuntimeError, match="MSv2"):
        tool.open(inputs.ngc5921() + "/ANTENNA")
    with pytest.raises(TypeError, match="_thems must be a string"):
        tool.open(3)
    with pytest.raises(AttributeError, match="Sheaf's tool ms has no split; it has close, "):
        tool.split()
    assert tool.name() == "none"


def test_check_finds_ids_that_lead_nowhere(copy, tool):
    assert tool.open(copy, check=True)
    tool.close()
    with ct.table(copy, readonly=False, ack=False) as t:
        t.putcell("ANTENNA2", 7, 99)
    with pytest.raises(RuntimeError, match="ANTENNA2 holds 99"):
        tool.open(copy, check=True)
    assert tool.name() == "none"


@pytest.mark.parametrize("items,words", [
    ({"data": np.zeros((2, 63, 5))}, "not the shape"), ({"data": np.zeros((2, 62, 1890))}, "cells of DATA have the shape"),
    ({"flag_row": np.zeros(3, bool)}, "one value for each of 1890 rows"), ({"uvw": np.zeros((3, 1890))}, "Invalid field in putdata: uvw"),
    ({"corrected_data": np.zeros((2, 63, 1890))}, "column does not exist"), ({"data": np.zeros((2, 63, 3, 9))}, "ifraxis=True"),
    ({"flag": "a"}, "invalid data type")])
def test_bad_puts_change_nothing(items, words, copy, tool):
    tool.open(copy, nomodify=False)
    tool.msselect({"scan": "2"})
    with pytest.raises(RuntimeError) as failure:
        tool.putdata(items)
    assert words in str(failure.value)
    tool.close()
    for name in ("DATA", "FLAG", "FLAG_ROW"):
        assert np.array_equal(ct.table(copy, ack=False).getcol(name), ct.table(inputs.ngc5921(), ack=False).getcol(name))


@pytest.mark.parametrize("prepare,words", [
    (lambda m: m.selectchannel(2, 0, 1, 1), "channels are selected"), (lambda m: m.selectpolarization(["RR"]), "polarizations are selected"),
    (lambda m: m.getdata(["data"], average=True), "Averaging not supported"), (lambda m: m.selecttaql("ANTENNA1==99"), "Selected table is empty")])
def test_puts_into_another_shape_are_refused(prepare, words, copy, tool):
    tool.open(copy, nomodify=False)
    tool.msselect({"scan": "2"})
    prepare(tool)
    with pytest.raises(RuntimeError, match=words):
        tool.putdata({"flag": np.ones((2, 63, 1890), bool)})


def test_every_step_of_an_iteration_can_be_written(copy, tool):
    tool.open(copy, nomodify=False)
    tool.selectinit(0)
    assert tool.iterinit(["ANTENNA1", "SCAN_NUMBER"], 0.0, 100, False) and tool.iterorigin()
    steps = 1
    while True:
        rec = tool.getdata(["data", "antenna1"])
        rec["data"] = rec["data"] + rec["antenna1"]
        assert tool.putdata({"data": rec["data"]})
        if not tool.iternext():
            break
        steps += 1
    tool.iterend()
    tool.close()
    before, after = ct.table(inputs.ngc5921(), ack=False), ct.table(copy, ack=False)
    wanted = before.getcol("DATA").astype(complex) + before.getcol("ANTENNA1")[:, None, None]
    assert steps > 226 and np.array_equal(after.getcol("DATA"), wanted.astype(np.complex64))


def test_a_multi_ms_is_an_ms(tmp_path, tool):
    path = str(tmp_path / "ngc.mms")
    sheaf.partition(inputs.ngc5921(), path, separationaxis="scan", numsubms=3, flagbackup=False)
    tool.open(path, nomodify=False)
    assert tool.ismultims() and len(tool.getreferencedtables()) == 3 and tool.nrow() == 22653
    tool.selectinit(0)
    tool.msselect({"scan": "2,7"})
    d = tool.getdata(["data", "time", "antenna1", "antenna2", "scan_number"])
    assert set(d["scan_number"]) == {2, 7}
    tool.putdata({"data": d["data"] * 3})
    tool.close()
    other = ms()
    other.open(inputs.ngc5921())
    other.msselect({"scan": "2,7"})
    o = other.getdata(["data", "time", "antenna1", "antenna2"])
    other.close()
    mine, theirs = (np.lexsort((x["antenna2"], x["antenna1"], x["time"])) for x in (d, o))
    assert np.array_equal(d["data"][..., mine], o["data"][..., theirs])
    tool.open(path)
    tool.msselect({"scan": "7"})
    other = table()
    other.open(inputs.ngc5921())
    rows = other.query("SCAN_NUMBER==7", sortlist="TIME,ANTENNA1,ANTENNA2")
    mine = tool.getdata(["data", "time", "antenna1", "antenna2"])
    order = np.lexsort((mine["antenna2"], mine["antenna1"], mine["time"]))
    assert np.array_equal(mine["data"][..., order], (rows.getcol("DATA") * 3).astype(np.complex64))
    other.close()


def test_shapes_that_vary(tmp_path, tool):
    """Without selectinit the first data description is taken, as in CASA."""
    tool.open(inputs.simulated())
    first = tool.getdata(["data_desc_id", "data"])
    tool.reset()
    shapes = []
    for ddid in range(4):
        assert tool.selectinit(reset=True) and tool.selectinit(ddid)
        d = tool.getdata(["data_desc_id", "data"])
        assert set(d["data_desc_id"]) == {ddid} and d["data"].shape[2] == tool.nrow(True)
        shapes.append(d["data"].shape[:2])
    assert first["data"].shape[:2] == shapes[0]


def test_sort(tmp_path, tool):
    new = str(tmp_path / "sorted.ms")
    tool.open(inputs.ngc5921())
    assert tool.sort(new, ["ANTENNA2", "TIME", "ANTENNA1"])
    for arguments, words in (((new, ["TIME"]), "already exists"), (("", ["TIME"]), "newmsname is needed"),
                             ((new + "2", ["NIX"]), "no column NIX"), ((new + "2", []), "columns is empty")):
        with pytest.raises(RuntimeError, match=words):
            tool.sort(*arguments)
    one, other = ct.table(inputs.ngc5921(), ack=False), ct.table(new, ack=False)
    order = np.lexsort((one.getcol("ANTENNA1"), one.getcol("TIME"), one.getcol("ANTENNA2")))
    for name in ("ANTENNA2", "TIME", "ANTENNA1", "DATA", "FLAG"):
        assert np.array_equal(one.getcol(name)[order], other.getcol(name)), name
    assert tool.open(new) and tool.metadata().fieldnames() == ["1331+30500002_0", "1445+09900002_0", "N5921_2"]


def test_summary_is_listobs(tmp_path, tool, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool.open(inputs.ngc5921())
    assert tool.summary(listfile="list.txt")["nfields"] == 3 and "Fields: 3" in (tmp_path / "list.txt").read_text()
    assert tool.summary(wantreturn=False) == {} and os.path.exists("list.txt")
    with pytest.raises(AttributeError, match="msmetadata has no antennaoffset; it has almaspws"):
        tool.metadata().antennaoffset(1)


def test_msseltoindex(tool):
    """CASA 6.7: ms().msseltoindex('ngc5921.ms', field='N5921*', spw='0:5~10;20', baseline='1&2', scan='4,5', observation='0',
    polarization='LL'), and with scan='99' and field='NOSUCH'."""
    vis = inputs.ngc5921()
    found = tool.msseltoindex(vis, field="N5921*", spw="0:5~10;20", baseline="1&2", scan="4,5", observation="0", polarization="LL")
    assert {name: ids.tolist() for name, ids in found.items()} == {
        "antenna1": [0], "antenna2": [1], "baselines": [[0, 1]], "channel": [[0, 5, 10, 1], [0, 20, 20, 1]], "dd": [0], "field": [2],
        "obsids": [0], "poldd": [0], "scan": [4, 5], "spw": [0], "spwdd": [0]}
    assert tool.name() == "none"
    assert tool.msseltoindex(vis, scan="99")["scan"].tolist() == [99]
    with pytest.raises(RuntimeError, match="No match found for name .NOSUCH."):
        tool.msseltoindex(vis, field="NOSUCH")
    with pytest.raises(RuntimeError, match="nosuch.ms"):
        tool.msseltoindex("nosuch.ms")


def history(path):
    with table() as t:
        t.open(path + "/HISTORY")
        return [{name: t.getcell(name, row) for name in t.colnames()} for row in range(t.nrows())]


def test_writehistory(tmp_path, tool):
    """Rows as CASA 6.7 writes them, also where the MS is open for reading; an empty message is False."""
    path = str(tmp_path / "a.ms")
    shutil.copytree(inputs.ngc5921(), path, symlinks=True)
    before = history(path)
    tool.open(path)
    assert tool.writehistory("one line") is True and tool.writehistory("") is False and tool.writehistory_batch([]) is False
    assert tool.writehistory("two", "par=1 x=2", "me", "", "app") is True
    tool.close()
    assert tool.writehistory_batch(["a=1", "b=2"], "p", msname=path) is True
    rows = history(path)[len(before):]
    assert history(path)[:len(before)][0]["MESSAGE"] == before[0]["MESSAGE"]
    assert [(r["MESSAGE"], r["CLI_COMMAND"].tolist(), r["ORIGIN"], r["APPLICATION"]) for r in rows] == [
        ("one line", [""], "MSHistoryHandler::addMessage()", "ms"), ("two", ["par=1 x=2"], "me", "app"),
        ("a=1", ["p"], "MSHistoryHandler::addMessage()", "ms"), ("b=2", ["p"], "MSHistoryHandler::addMessage()", "ms")]
    assert all(r["APP_PARAMS"].tolist() == [""] and r["PRIORITY"] == "INFO" and r["OBJECT_ID"] == 0 and r["OBSERVATION_ID"] == -1 for r in rows)
    assert all(abs(r["TIME"] - 40587 * 86400 - time.time()) < 3600 for r in rows)
    with pytest.raises(RuntimeError):
        ms().writehistory("nothing is open")
    with pytest.raises(RuntimeError, match="does not exist"):
        tool.writehistory("x", msname=str(tmp_path / "nothing.ms"))
    with pytest.raises(TypeError):
        tool.writehistory(5, msname=path)
    with pytest.raises(AttributeError, match="cvelfreqs"):
        tool.cvelfreqs([0])

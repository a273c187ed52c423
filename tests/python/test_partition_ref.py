# SPDX-License-Identifier: GPL-3.0-or-later
"""partition(copydata=False), and MSs that refer to rows of others as input of all tasks. casacore is the judge: it reads
and writes through what Sheaf made, and makes the tables that Sheaf reads."""

import json
import os
import shutil

import numpy as np
import pytest

import inputs
import sheaf

pytest.importorskip("casacore.tables")
from casacore.tables import table, taql  # noqa: E402

from ms_digest import describe  # noqa: E402
from simulate import simulate  # noqa: E402

AXES = ["auto", "scan", "spw", "baseline"]
KEYS = ("FEED2", "FEED1", "ANTENNA2", "ANTENNA1", "TIME", "DATA_DESC_ID", "FIELD_ID", "STATE_ID", "SCAN_NUMBER",
        "ARRAY_ID", "OBSERVATION_ID")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def vis(folder):
    """A copy that may be changed."""
    shutil.copytree(inputs.simulated(), "in.ms")
    return "in.ms"


@pytest.fixture
def bare(vis):
    """Without scratch columns."""
    with table(vis, readonly=False, ack=False) as t:
        for name in {"CORRECTED_DATA", "MODEL_DATA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"} & set(t.colnames()):
            t.removecols(name)
    return vis


@pytest.fixture
def rich(folder):
    """Cells of several shapes, undefined cells, rows in disorder, several observations and polarization setups."""
    simulate("rich.ms", optional=True, extra=True, swapped=True, autos=True, shuffled=True, undefined=("DATA", "MODEL_DATA"),
             data=("DATA", "CORRECTED_DATA", "MODEL_DATA"), spectra=("WEIGHT_SPECTRUM",))
    return "rich.ms"


def members(mms):
    with table(mms, ack=False) as t:
        return t.partnames()


def cells(t, name, rows):
    """Values of rows; None for an undefined cell."""
    if not t.isscalarcol(name):
        return [np.array(t.getcell(name, int(r))).tobytes() if t.iscelldefined(name, int(r)) else None for r in rows]
    values = t.getcol(name)
    return [values[r] for r in rows]


def in_order(t):
    return np.lexsort([t.getcol(k) for k in KEYS])


def tree(path):
    """Name and content of everything below, but for locks."""
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(root, name)
            if os.path.islink(full):
                found[os.path.relpath(full, path)] = os.readlink(full)
            elif name in files and name != "table.lock":
                with open(full, "rb") as f:
                    found[os.path.relpath(full, path)] = f.read()
    return found


def ledger(path):
    with open(path + "/sheaf.ledger") as f:
        return json.load(f)["members"]


def check_against_input(mms, vis):
    """Every cell of every sub-MS is the input's cell of the row that casacore says it is; returns the rows."""
    seen = []
    with table(vis, ack=False) as whole:
        for member in members(mms):
            with table(member, ack=False) as t:
                rows = t.rownumbers(whole)
                for name in t.colnames():
                    assert cells(t, name, range(t.nrows())) == cells(whole, name, rows), (member, name)
                seen += list(rows)
    assert len(seen) == len(set(seen))
    return sorted(seen)


@pytest.mark.parametrize("axis", AXES)
def test_rows_are_those_of_a_copy(axis, vis):
    before = tree(vis)
    assert sheaf.partition(vis, "copy.mms", separationaxis=axis, numsubms=4, flagbackup=False) is None
    assert sheaf.partition(vis, "ref.mms", separationaxis=axis, numsubms=4, copydata=False) is None
    assert tree(vis) == before
    assert sorted(os.listdir(".")) == ["copy.mms", "in.ms", "ref.mms"]
    ours, theirs = members("ref.mms"), members("copy.mms")
    assert [os.path.basename(m)[3:] for m in ours] == [os.path.basename(m)[4:] for m in theirs]
    for a, b in zip(ours, theirs):
        with table(a, ack=False) as ref, table(b, ack=False) as copy:
            assert ref.nrows() == copy.nrows()
            i, j = in_order(ref), in_order(copy)
            for name in set(copy.colnames()) - {"WEIGHT", "SIGMA"}:  # the copy's are made anew of DATA's SIGMA
                assert cells(ref, name, i) == cells(copy, name, j), (a, name)
    with table(vis, ack=False) as t:
        assert check_against_input("ref.mms", vis) == list(range(t.nrows()))
    sheaf.listpartition("ref.mms", verify=True)


def test_cells_of_all_kinds(rich):
    sheaf.partition(rich, "ref.mms", numsubms=3, copydata=False)
    with table(rich, ack=False) as t:
        assert check_against_input("ref.mms", rich) == list(range(t.nrows()))
    sheaf.listpartition("ref.mms", verify=True)


def test_layout(vis):
    """As CASA's Multi-MSs, but that sub-tables are the input's; small, and without an absolute path."""
    sheaf.partition(vis, "ref.mms", separationaxis="scan", numsubms=3, copydata=False)
    with open("ref.mms/table.info") as f:
        info = f.read().split("\n")
    assert info[:2] == ["Type = Measurement Set", "SubType = CONCATENATED"] and info[3] == "AxisType = scan"
    assert os.readlink("ref.mms/SUBMSS/INPUT") == "../../in.ms"
    subtables = sorted(n for n in os.listdir(vis) if os.path.isdir(os.path.join(vis, n)))
    for name in subtables:
        assert os.readlink("ref.mms/" + name) == "SUBMSS/ref.mms.0000.ms/" + name
        assert os.readlink("ref.mms/SUBMSS/ref.mms.0002.ms/" + name) == "../INPUT/" + name
        assert os.path.samefile("ref.mms/SUBMSS/ref.mms.0002.ms/" + name, os.path.join(vis, name))
    assert not os.path.exists("ref.mms.flagversions")
    found = tree("ref.mms")
    assert sum(len(v) for v in found.values()) < 400_000
    for name, content in found.items():
        if name != "sheaf.ledger":  # that says where the input was
            assert os.getcwd() not in (content if isinstance(content, str) else content.decode("latin1")), name
    with table(vis, ack=False) as whole, table(members("ref.mms")[1], ack=False) as t:
        assert t.keywordnames() == whole.keywordnames()


def test_writing_goes_to_the_input(vis):
    sheaf.partition(vis, "ref.mms", separationaxis="scan", numsubms=4, copydata=False)
    with table(vis, ack=False) as whole:
        flags, data = whole.getcol("FLAG"), whole.getcol("DATA")
    with table(members("ref.mms")[2], readonly=False, ack=False) as t:
        rows = t.rownumbers(whole)
        t.putcol("FLAG", ~t.getcol("FLAG"))
        t.putcell("DATA", 5, t.getcell("DATA", 5) + 1)
    with table(vis, ack=False) as whole:
        flags[rows] = ~flags[rows]
        data[rows[5]] += 1
        assert np.array_equal(whole.getcol("FLAG"), flags) and np.array_equal(whole.getcol("DATA"), data)
    taql("update ref.mms set FLAG=T where SCAN_NUMBER=1")
    with table(vis, ack=False) as whole:
        flags[whole.getcol("SCAN_NUMBER") == 1] = True
        assert np.array_equal(whole.getcol("FLAG"), flags)
    sheaf.listpartition("ref.mms", verify=True)  # the data are not the Multi-MS's


def columns_of(path):
    with table(path, ack=False) as t:
        return {c: cells(t, c, range(t.nrows())) for c in t.colnames()}


IN_PLACE = {
    "clearcal": [{}, {"addmodel": True}, {"field": "0"}],
    "initweights": [{"wtmode": "ones"}, {"wtmode": "ones", "dowtsp": True}],
    "delmod": [{"otf": True, "scr": True}],
    "flagdata": [{"mode": "manual", "scan": "1", "flagbackup": False}],
}


@pytest.mark.parametrize("how", [{"numsubms": 3}, {"createmms": False}, {"numsubms": 5, "separationaxis": "baseline"}])
@pytest.mark.parametrize("task", IN_PLACE)
def test_tasks_in_place_write_to_the_input(task, how, bare, folder, capfd):
    """What is written to all rows of a Multi-MS without data is what is written to the input by itself."""
    vis = bare
    shutil.copytree(vis, "other.ms")
    sheaf.partition(vis, "ref.mms", copydata=False, **how)
    for words in IN_PLACE[task]:
        getattr(sheaf, task)("ref.mms", **words)
        assert f"ref.mms holds no data of its own: what is written goes to {folder}/in.ms" in capfd.readouterr().err
        getattr(sheaf, task)("other.ms", **words)
        assert columns_of(vis) == columns_of("other.ms"), words
    assert not os.path.exists("ref.mms.flagversions")
    with table(vis, ack=False) as t:
        assert check_against_input("ref.mms", vis) == list(range(t.nrows()))
        names = set(t.colnames())
    with table("ref.mms", ack=False) as t:
        assert set(t.colnames()) == names
    sheaf.listpartition("ref.mms", verify=True)


def test_tasks_in_place_change_only_rows_that_are_referred_to(bare):
    """New columns get values in all rows; in old ones the other rows stay."""
    vis = bare
    taql("select from in.ms where SCAN_NUMBER in [1,3] giving part.ms")
    with table("part.ms", ack=False) as t, table(vis, ack=False) as whole:
        rows = set(t.rownumbers(whole))
    before = columns_of(vis)
    others = [r for r in range(len(before["TIME"])) if r not in rows]
    assert rows and others
    sheaf.initweights("part.ms", wtmode="ones", dowtsp=True)
    now = columns_of(vis)
    with table(vis, ack=False) as t:
        for r in range(t.nrows()):
            assert r not in rows or np.all(t.getcell("WEIGHT", r) == 1)
            assert np.all(t.getcell("WEIGHT_SPECTRUM", r) == t.getcell("WEIGHT", r))
    assert all(now["WEIGHT"][r] == before["WEIGHT"][r] and now["SIGMA"][r] == before["SIGMA"][r] for r in others)
    sheaf.clearcal("part.ms", addmodel=True)
    with table("part.ms", ack=False) as t:
        assert {"WEIGHT_SPECTRUM", "CORRECTED_DATA", "MODEL_DATA"} <= set(t.colnames())
    now = columns_of(vis)
    assert now["CORRECTED_DATA"] == before["DATA"] == now["DATA"]
    with table(vis, readonly=False, ack=False) as t:
        t.putcol("CORRECTED_DATA", 7 * t.getcol("CORRECTED_DATA"))
    seven = columns_of(vis)["CORRECTED_DATA"]
    sheaf.clearcal("part.ms")
    now = columns_of(vis)["CORRECTED_DATA"]
    assert all(now[r] == (before["DATA"][r] if r in rows else seven[r]) for r in range(len(now)))
    with pytest.raises(sheaf.Error, match="holds no data but refers to rows"):
        sheaf.flagdata("part.ms", flagbackup=False)


def test_one_sub_ms_of_references_in_place(bare):
    vis = bare
    sheaf.partition(vis, "ref.mms", numsubms=3, copydata=False, separationaxis="scan")
    before = columns_of(vis)
    with table(members("ref.mms")[1], ack=False) as t, table(vis, ack=False) as whole:
        rows = set(t.rownumbers(whole))
    sheaf.initweights(members("ref.mms")[1], wtmode="ones")
    now = columns_of(vis)
    for r in range(len(now["WEIGHT"])):
        if r not in rows:
            assert now["WEIGHT"][r] == before["WEIGHT"][r]
    with table(members("ref.mms")[1], ack=False) as t:
        assert np.all(t.getcol("WEIGHT") == 1)


def test_references_into_a_multi_ms_in_place(bare):
    """Members that are not referred to get the new column, too, or their Multi-MS would not open; the ledger stays true."""
    vis = bare
    sheaf.partition(vis, "copy.mms", numsubms=4, separationaxis="scan", flagbackup=False)
    sheaf.partition("copy.mms", "ref.mms", numsubms=2, scan="1~2", separationaxis="scan", copydata=False)
    sheaf.clearcal("ref.mms")
    for name in ("copy.mms", "ref.mms"):
        now = columns_of(name)
        assert now["CORRECTED_DATA"] == now["DATA"]
        sheaf.listpartition(name, verify=True)
    sheaf.initweights("ref.mms", wtmode="ones")
    with table("copy.mms", ack=False) as t:
        hit = np.isin(t.getcol("SCAN_NUMBER"), [1, 2])
        weights = t.getcol("WEIGHT")
        assert np.all(weights[hit] == 1) and not np.any(np.all(weights[~hit] == 1, axis=1))
    for name in ("copy.mms", "ref.mms"):
        sheaf.listpartition(name, verify=True)


def test_columns_of_other_names_are_not_written_through(vis, folder):
    sheaf.clearcal(vis)
    sheaf.partition(vis, "ref.mms", numsubms=2, copydata=False, datacolumn="corrected")
    before = tree(vis)
    for task in IN_PLACE:
        words = {"flagbackup": False} if task == "flagdata" else {}
        with pytest.raises(sheaf.Error, match=f"refers to rows of {folder}/in.ms"):
            getattr(sheaf, task)("ref.mms", **words)
    assert tree(vis) == before


def test_input_that_moves(vis, folder):
    sheaf.partition(vis, "ref.mms", numsubms=2, copydata=False)
    sheaf.partition(vis, "ref.ms", createmms=False, copydata=False)
    expected = listing(vis)
    os.mkdir("both")
    for name in ("in.ms", "ref.mms", "ref.ms"):
        os.rename(name, "both/" + name)
    sheaf.listpartition("both/ref.mms", verify=True)
    assert listing("both/ref.mms") == expected and listing("both/ref.ms") == expected
    os.symlink("both/ref.mms", "link.mms")  # from where ../.. of the text is another place
    sheaf.listpartition("link.mms", verify=True)
    with table("link.mms", ack=False) as t:
        assert t.nrows() == json.loads(expected)["numrecords"]

    os.rename("both/in.ms", "gone.ms")
    for call in (lambda: sheaf.listpartition("both/ref.mms", verify=True), lambda: sheaf.listpartition("both/ref.mms"),
                 lambda: sheaf.listobs("both/ref.mms"), lambda: sheaf.listobs("both/ref.ms"),
                 lambda: sheaf.partition("both/ref.mms", "o.mms"), lambda: sheaf.partition("both/ref.ms", "o.mms"),
                 lambda: sheaf.partition("both/ref.ms", "o.mms", copydata=False),
                 lambda: sheaf.virtualconcat(["both/ref.mms"], "o.mms", keepcopy=True)):
        with pytest.raises(Exception, match="refers to rows of another MS, which is not there: the link .*INPUT leads to .*in.ms"):
            call()
    assert not os.path.exists("o.mms")
    for link in ("both/ref.mms/SUBMSS/INPUT", "both/ref.ms/INPUT"):
        os.remove(link)
        os.symlink(str(folder / "gone.ms"), link)
    assert listing("both/ref.mms") == expected and listing("both/ref.ms") == expected


def test_verify_finds_damage(vis):
    sheaf.partition(vis, "ref.mms", separationaxis="scan", numsubms=3, copydata=False)
    place = "ref.mms/SUBMSS/ref.mms.000%d.ms/table.dat"
    shutil.copy(place % 0, "kept")
    with open(place % 0, "rb") as f:
        good = bytearray(f.read())
    good[-1] ^= 1  # the last row's number
    with open(place % 0, "wb") as f:
        f.write(good)
    with pytest.raises(RuntimeError, match="row numbers are not those"):
        sheaf.listpartition("ref.mms", verify=True)
    with open(place % 0, "wb") as f:
        f.write(good[:-7])
    with pytest.raises(RuntimeError):
        sheaf.listpartition("ref.mms", verify=True)
    shutil.copy("kept", place % 0)
    sheaf.listpartition("ref.mms", verify=True)
    taql("update in.ms set SCAN_NUMBER=77 where ROWID()=0")
    with pytest.raises(RuntimeError, match="ledger"):
        sheaf.listpartition("ref.mms", verify=True)


@pytest.mark.parametrize("words, query", [
    (dict(field="1"), "FIELD_ID=1"), (dict(spw="1,3"), "DATA_DESC_ID IN [1,3]"), (dict(scan="2~4"), "SCAN_NUMBER BETWEEN 2 AND 4"),
    (dict(antenna="0&&*"), "ANTENNA1=0 OR ANTENNA2=0"), (dict(correlation="RR,LL", scan="1"), "SCAN_NUMBER=1"),
    (dict(taql="ANTENNA1=2"), "ANTENNA1=2"), (dict(spw="0:0~127", scan="5"), "DATA_DESC_ID=0 AND SCAN_NUMBER=5")])
@pytest.mark.parametrize("createmms", [True, False])
def test_selections_keep_ids(words, query, createmms, vis):
    sheaf.partition(vis, "ref.mms", createmms=createmms, numsubms=2, copydata=False, **words)
    with table(vis, ack=False) as whole:
        expected = whole.query(query).rownumbers(whole)
        rows = check_against_input("ref.mms", vis) if createmms else table("ref.mms", ack=False).rownumbers(whole)
    assert list(rows) == sorted(expected)
    sheaf.listpartition("ref.mms", verify=True)


@pytest.mark.parametrize("words, text", [
    (dict(spw="0:3~5"), "spw='0:3~5': with copydata=False whole rows are referred to; a selection of channels"),
    (dict(correlation="RR"), "correlation='RR': with copydata=False"), (dict(createmms=False, ddistart=2), "ddistart"),
    (dict(datacolumn="model"), "MODEL_DATA"), (dict(scan="99"), "scan"), (dict(outputvis="in.ms/x"), "inside")])
def test_refusals(words, text, vis):
    with pytest.raises(Exception, match=text):
        sheaf.partition(vis, copydata=False, **dict(dict(outputvis="ref.mms"), **words))
    assert os.listdir(".") == ["in.ms"]


def test_data_columns(vis):
    for name, source, columns in (("data", "DATA", {"DATA"}), ("corrected", "CORRECTED_DATA", {"DATA"}),
                                  ("all", "DATA", {"DATA", "CORRECTED_DATA"})):
        sheaf.partition(vis, name + ".mms", numsubms=2, copydata=False, datacolumn=name)
        with table(vis, ack=False) as whole, table(members(name + ".mms")[1], ack=False) as t:
            assert {c for c in t.colnames() if "DATA" in c and c != "DATA_DESC_ID"} == columns
            assert np.array_equal(t.getcol("DATA"), whole.getcol(source)[t.rownumbers(whole)])
        sheaf.listpartition(name + ".mms", verify=True)
    with table(members("corrected.mms")[0], readonly=False, ack=False) as t:
        t.putcell("DATA", 0, 0 * t.getcell("DATA", 0) + 7)
        row = t.rownumbers(table(vis, ack=False))[0]
    with table(vis, ack=False) as whole:
        assert np.all(whole.getcell("CORRECTED_DATA", row) == 7) and not np.all(whole.getcell("DATA", row) == 7)
    sheaf.partition("corrected.mms", "copy.mms", flagbackup=False)
    with table("copy.mms", ack=False) as t:
        assert np.count_nonzero(np.all(t.getcol("DATA") == 7, axis=(1, 2))) == 1
    sheaf.listpartition("copy.mms", verify=True)


def test_columns_that_come_later(vis):
    """Added to the input, or through one sub-MS (as CASA's tasks do): all sub-MSs have them."""
    with table(vis, readonly=False, ack=False) as t:
        t.removecols(["CORRECTED_DATA"])
    sheaf.partition(vis, "ref.mms", numsubms=3, copydata=False)
    sheaf.partition(vis, "data.mms", numsubms=2, copydata=False, datacolumn="data")
    with table("ref.mms", ack=False) as t:
        assert not {"MODEL_DATA", "CORRECTED_DATA", "WEIGHT_SPECTRUM"} & set(t.colnames())
    for name, path in (("MODEL_DATA", vis), ("CORRECTED_DATA", members("ref.mms")[1])):
        with table(path, readonly=False, ack=False) as t:
            desc = dict(t.getcoldesc("DATA"), dataManagerGroup="Tiled" + name, dataManagerType="TiledShapeStMan")
            t.addcols({name: desc})
        with table(vis, readonly=False, ack=False) as t:
            t.putcol(name, t.getcol("DATA") + len(name))
        for member in members("ref.mms"):
            with table(member, ack=False) as t:
                assert np.array_equal(t.getcol(name), t.getcol("DATA") + len(name))
        with table("ref.mms", ack=False) as t:
            assert name in t.colnames()
        sheaf.listpartition("ref.mms", verify=True)
    sheaf.partition("ref.mms", "copy.mms", flagbackup=False)
    with table("copy.mms", ack=False) as t:
        assert np.array_equal(t.getcol("MODEL_DATA"), t.getcol("DATA") + 10)
    sheaf.listpartition("copy.mms", verify=True)


# ---- MSs that refer to rows of others as input ----

def deep(path, to):
    """What casacore makes of a table and its sub-tables: an MS with data of its own."""
    with table(path, ack=False) as t:
        t.copy(to, deep=True, valuecopy=True).close()
    with table(to, ack=False) as copy:
        assert copy.partnames() == [os.path.abspath(to)]
        assert copy.getkeyword("FIELD") == "Table: " + os.path.abspath(to + "/FIELD")


def listing(path):
    return json.dumps(sheaf.listobs(path), default=lambda a: a.tolist(), sort_keys=True)


@pytest.mark.parametrize("query", ["select from VIS where SCAN_NUMBER IN [2,3,12]",
                                   "select from VIS orderby TIME desc, ANTENNA2",
                                   "select from [select from VIS where ANTENNA1<3] where DATA_DESC_ID=0"])
@pytest.mark.parametrize("source", ["vis", "rich"])
def test_reference_table_as_input(query, source, request):
    vis = request.getfixturevalue(source)
    taql(query.replace("VIS", vis) + " giving sel.ms").close()
    deep("sel.ms", "plain.ms")
    before, before_ref = tree(vis), tree("sel.ms")
    assert listing("sel.ms") == listing("plain.ms")
    assert str(sheaf.listpartition("sel.ms", createdict=True)[0]["scanId"]) == \
        str(sheaf.listpartition("plain.ms", createdict=True)[0]["scanId"])
    for words in (dict(numsubms=2), dict(createmms=False, field="0")):
        sheaf.partition("sel.ms", "a.mms", **words)
        sheaf.partition("plain.ms", "b.mms", **words)
        a, b = ledger("a.mms"), ledger("b.mms")
        assert [dict(m, name="") for m in a] == [dict(m, name="") for m in b]
        sheaf.listpartition("a.mms", verify=True)
        with table("a.mms/ANTENNA", ack=False) as ours, table(vis + "/ANTENNA", ack=False) as theirs:
            assert ours.getcol("NAME") == theirs.getcol("NAME")
        for name in ("a.mms", "b.mms"):
            shutil.rmtree(name)
            shutil.rmtree(name + ".flagversions", ignore_errors=True)
    sheaf.partition("sel.ms", "ref.mms", numsubms=2, copydata=False)
    with table(vis, ack=False) as whole, table("sel.ms", ack=False) as t:
        assert check_against_input("ref.mms", vis) == sorted(t.rownumbers(whole))
    assert os.path.samefile("ref.mms/SUBMSS/INPUT", vis)
    sheaf.listpartition("ref.mms", verify=True)
    sheaf.partition("ref.mms", "again.mms", flagbackup=False)
    sheaf.listpartition("again.mms", verify=True)
    assert tree(vis) == before and tree("sel.ms") == before_ref


def test_multims_as_input(vis):
    sheaf.partition(vis, "copy.mms", separationaxis="scan", numsubms=3, flagbackup=False)
    sheaf.partition("copy.mms", "ref.mms", copydata=False, field="0")
    assert os.readlink("ref.mms/SUBMSS/INPUT") == "../../copy.mms"
    sheaf.listpartition("ref.mms", verify=True)
    sheaf.partition("ref.mms", "third.mms", copydata=False, spw="1")
    for member in members("third.mms"):
        with table(member, ack=False) as t:
            assert set(t.getcol("DATA_DESC_ID")) == {1} and set(t.getcol("FIELD_ID")) == {0}
    sheaf.listpartition("third.mms", verify=True)
    sheaf.partition("copy.mms", "one.ms", createmms=False, copydata=False, scan="2~7")
    with table("one.ms", ack=False) as t, table("copy.mms", ack=False) as whole:
        rows = whole.query("SCAN_NUMBER BETWEEN 2 AND 7")
        for name in ("TIME", "DATA", "FLAG", "ANTENNA2"):
            assert np.array_equal(t.getcol(name), rows.getcol(name))
    sheaf.listobs("one.ms")
    sheaf.partition("one.ms", "two.mms", numsubms=2)
    sheaf.listpartition("two.mms", verify=True)


def test_virtualconcat_makes_data_of_references(vis):
    """The merge writes ids into members: never into the MS that they refer to."""
    taql("select from in.ms where SCAN_NUMBER<3 giving a.ms").close()
    sheaf.partition(vis, "b.mms", scan="5~8", copydata=False, numsubms=2)
    deep("a.ms", "pa.ms")
    os.mkdir("plain")
    for member in members("b.mms"):
        deep(member, "plain/" + os.path.basename(member))
    before = tree(vis), tree("a.ms"), tree("b.mms")
    sheaf.virtualconcat(["a.ms", "b.mms"], "o.mms", keepcopy=True)
    assert (tree(vis), tree("a.ms"), tree("b.mms")) == before
    sheaf.virtualconcat(["pa.ms"] + sorted("plain/" + n for n in os.listdir("plain")), "p.mms", keepcopy=True)
    ours, theirs = members("o.mms"), members("p.mms")
    assert len(ours) == len(theirs) == 3
    for a, b in zip(ours, theirs):
        a, b = describe(a), describe(b)
        a.pop("HISTORY"), b.pop("HISTORY")
        assert a == b
    with table(ours[0], ack=False) as t:
        assert t.partnames() == [ours[0]]
    sheaf.virtualconcat(["a.ms", "b.mms"], "q.mms")
    assert tree(vis) == before[0] and not os.path.exists("a.ms") and not os.path.exists("b.mms")


def refer_to(path, old, new):
    """Changes what a reference table refers to; names of one length."""
    with open(path + "/table.dat", "rb") as f:
        content = f.read()
    assert content.count(b"./" + old.encode()) == 1
    with open(path + "/table.dat", "wb") as f:
        f.write(content.replace(b"./" + old.encode(), b"./" + new.encode()))


def test_chains(vis):
    """A table that refers to one that refers to another; and one that refers to itself."""
    for name in ("yy.ms", "zz.ms"):
        taql(f"select from in.ms orderby ANTENNA2 desc giving {name}").close()
    refer_to("zz.ms", "in.ms", "yy.ms")
    sheaf.partition("zz.ms", "ref.mms", numsubms=2, copydata=False)
    assert os.path.samefile("ref.mms/SUBMSS/INPUT", vis)
    sheaf.listpartition("ref.mms", verify=True)
    sheaf.partition("zz.ms", "copy.mms", numsubms=2)
    sheaf.listpartition("copy.mms", verify=True)
    refer_to("yy.ms", "in.ms", "yy.ms")
    for call in (lambda: sheaf.listobs("yy.ms"), lambda: sheaf.partition("zz.ms", "o.mms"), lambda: sheaf.listpartition("zz.ms")):
        with pytest.raises(RuntimeError, match="refers to a table that refers to another"):
            call()

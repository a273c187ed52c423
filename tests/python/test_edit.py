# SPDX-License-Identifier: GPL-3.0-or-later
"""table/edit.h and touch.h: what casacore finds in a table after its structure was changed without it."""
import os
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
tables = pytest.importorskip("casacore.tables")
import edits  # noqa: E402
from runs import preload  # noqa: E402


def unchanged(before, after, *but):
    return {k: v for k, v in before.items() if k not in but} == {k: v for k, v in after.items() if k in before and k not in but}


def test_adds_columns(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    before, files = edits.digest(path), edits.files(path)
    edits.edit(path, 'add:NEW:9:DATA:TiledNew:new data:{"UNIT": "Jy", "SEL": [[0, 63], [1, 5]], "R": {"a": 1.5, "b": ["x"]}}',
               "add:MARK:0:DATA", "prepare", "fill:NEW:0", "fill:MARK:1", "commit")
    after = edits.digest(path)
    assert unchanged(before, after)
    t = tables.table(path, ack=False)
    assert t.colnames()[-2:] == ["NEW", "MARK"]
    assert t.getcolkeywords("NEW")["UNIT"] == "Jy" and t.getcolkeywords("NEW")["R"] == {"a": 1.5, "b": ["x"]}
    assert t.getcolkeywords("NEW")["SEL"].tolist() == [[0, 63], [1, 5]]
    for row in range(t.nrows()):
        assert t.iscelldefined("NEW", row) == t.iscelldefined("DATA", row)
        if t.iscelldefined("NEW", row):
            assert (t.getcell("NEW", row) == 0).all() and t.getcell("MARK", row).all()
            assert t.getcell("NEW", row).shape == t.getcell("DATA", row).shape == t.getcell("MARK", row).shape
    info = {v["COLUMNS"][0]: v for v in t.getdminfo().values()}
    assert info["NEW"]["NAME"] == "TiledNew" and info["MARK"]["NAME"] == "MARKTiled"
    assert info["NEW"]["SPEC"]["HYPERCUBES"].keys() == info["DATA"]["SPEC"]["HYPERCUBES"].keys()
    assert not [n for n in edits.files(path) if "sheaf" in n]
    assert set(files) < set(edits.files(path))


def test_casacore_writes_what_was_added(tmp_path):
    """Rows, cells and columns that casacore adds later."""
    path = edits.make(str(tmp_path / "t"))
    edits.edit(path, "add:NEW:9:DATA", "set::K:[1,2,3]", "commit")
    t = tables.table(path, ack=False, readonly=False)
    value = np.full((4, 2), 2 + 1j, np.complex64)
    shape = t.getcell("NEW", 40).shape
    t.putcell("NEW", 40, np.full(shape, 2 + 1j, np.complex64))
    t.addrows(3)
    t.putcell("NEW", 602, value)
    t.putcell("DATA", 602, value)
    t.addcols(tables.maketabdesc([tables.makearrcoldesc("LATER", 0.0, ndim=1)]))
    t.putcell("LATER", 5, np.arange(3.0))
    t.close()
    t = tables.table(path, ack=False)
    assert t.nrows() == 603 and t.getkeyword("K").tolist() == [1, 2, 3]
    assert (t.getcell("NEW", 40) == 2 + 1j).all() and (t.getcell("NEW", 602) == value).all()
    assert t.getcell("LATER", 5).tolist() == [0, 1, 2]
    t.close()
    edits.edit(path, "add:MORE:7:NEW", "commit")  # the row count of table.dat may be behind
    t = tables.table(path, ack=False)
    assert t.nrows() == 603 and t.getcell("MORE", 602).shape == (4, 2)


def test_big_endian_table(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    big = str(tmp_path / "big")
    t = tables.table(path, ack=False)
    t.copy(big, deep=True, valuecopy=True, endian="big").close()
    t.close()
    before = edits.digest(big)
    edits.edit(big, "add:NEW:7:ALONE", "prepare", "fill:NEW:0", "commit")
    t = tables.table(big, ack=False, readonly=False)
    t.putcell("NEW", 3, t.getcell("ALONE", 3))
    t.close()
    t = tables.table(big, ack=False)
    assert t.endianness() == "big" if hasattr(t, "endianness") else True
    assert (t.getcell("NEW", 3) == t.getcell("ALONE", 3)).all()
    t.close()
    assert unchanged(before, edits.digest(big))


def test_shapes_of_a_column_that_is_not_tiled(tmp_path):
    path = str(tmp_path / "t")
    desc = [tables.makearrcoldesc("DATA", 0j, ndim=2, valuetype="complex")]
    t = tables.table(path, tables.maketabdesc(desc), nrow=50, ack=False)
    for row in range(50):
        if row != 7:
            t.putcell("DATA", row, np.zeros((5 if row < 20 else 3, 2), np.complex64))
    t.close()
    edits.edit(path, "add:NEW:7:DATA", "commit")
    t = tables.table(path, ack=False)
    assert [t.getcell("NEW", r).shape[0] if t.iscelldefined("NEW", r) else 0 for r in range(50)] == \
        [0 if r == 7 else 5 if r < 20 else 3 for r in range(50)]


def test_table_without_rows(tmp_path):
    path = str(tmp_path / "t")
    desc = [tables.makearrcoldesc("DATA", 0j, ndim=2, valuetype="complex", datamanagertype="TiledShapeStMan")]
    tables.table(path, tables.maketabdesc(desc), ack=False).close()
    edits.edit(path, "add:NEW:9:DATA", "commit")
    t = tables.table(path, ack=False, readonly=False)
    t.addrows(2)
    t.putcell("NEW", 1, np.ones((3, 2), np.complex64))
    t.close()
    t = tables.table(path, ack=False)
    assert t.nrows() == 2 and t.getcell("NEW", 1).shape == (3, 2)


def test_removes_columns(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    before, files = edits.digest(path), edits.files(path)
    edits.edit(path, "remove:ALONE", "drop::WORD", "drop:DATA:UNIT", "commit")
    after = edits.digest(path)
    assert "ALONE" not in after and unchanged(before, after, "ALONE", "ALONE keywords", "keywords", "DATA keywords")
    assert "WORD" not in after["keywords"] and after["DATA keywords"] == "{}"
    gone = set(files) - set(edits.files(path))
    assert len(gone) == 3 and all(n.startswith("table.f") for n in gone)  # the header, two tile files
    edits.edit(path, "add:ALONE:7:DATA", "commit")
    assert unchanged(before, edits.digest(path), "ALONE", "keywords", "DATA keywords")


def make_shared(path, manager, hypercolumn=False):
    """Five columns in one manager, with strings and arrays of several shapes where that can keep them."""
    tiled = manager.startswith("Tiled")
    desc = [tables.makearrcoldesc(name, 0.0, ndim=2, valuetype="float") for name in ("A", "B", "C")]
    if not tiled:
        desc += [tables.makearrcoldesc("TEXTS", "", ndim=1), tables.makescacoldesc("TEXT", "")]
    desc = tables.maketabdesc(desc)
    if hypercolumn:
        desc["_define_hypercolumn_"] = {"H": {"HCdatanames": ["A", "B", "C"], "HCndim": 3}}
    info = {"*1": {"TYPE": manager, "NAME": "H", "SEQNR": 0, "SPEC": {"DEFAULTTILESHAPE": [2, 3, 5]} if tiled else {},
                   "COLUMNS": [n for n in desc if not n.startswith("_")]}}
    t = tables.table(path, desc, nrow=40, dminfo=info, ack=False)
    for row in range(40):
        shape = (5, 2) if row % 3 else (2, 3)
        for k, name in enumerate("ABC"):
            if row % 11 != 5 or tiled:
                t.putcell(name, row, np.arange(np.prod(shape), dtype=np.float32).reshape(shape) * 10 + row * 1000 + k)
        if not tiled:
            t.putcell("TEXTS", row, [f"text {row} " + "x" * row, ""])
            t.putcell("TEXT", row, f"a text that is longer than eight {row}")
    t.close()
    return path


@pytest.mark.parametrize("gone", [["A"], ["B", "C"], ["C", "A", "B"]])
@pytest.mark.parametrize("manager", ["StandardStMan", "TiledShapeStMan", "TiledCellStMan", "hypercolumn"])
def test_removes_columns_that_share_a_manager(tmp_path, manager, gone):
    """The rest stays what it was, also for a casacore writer; what is written meanwhile is not lost."""
    hyper = manager == "hypercolumn"
    path = make_shared(str(tmp_path / "t"), "TiledShapeStMan" if hyper else manager, hyper)
    before, files = edits.digest(path), edits.files(path)
    steps = ["remove:" + name for name in gone] + (["add:A:7:B"] if gone == ["A"] else [])
    edits.edit(path, *steps, "prepare", "close")
    assert edits.digest(path) == before and edits.files(path) == files
    edits.edit(path, *steps, "commit")
    after = edits.digest(path)
    assert unchanged(before, after, *gone, *(n + " keywords" for n in gone))
    assert ("A" in after) == (gone in (["A"], ["B", "C"])) and not set(gone[1:]) & set(after)
    names = {n for n in os.listdir(path) if n.startswith("table.f")}
    assert not any(n == "table.f0" or n.startswith(("table.f0_", "table.f0i")) for n in names)
    assert not [n for n in os.listdir(path) if "sheaf" in n]
    t = tables.table(path, readonly=False, ack=False)
    for name in t.colnames():
        value = t.getcell(name, 7)
        t.putcell(name, 8, value)
        assert np.array_equal(t.getcell(name, 8), value)
    t.addrows(3)
    t.close()


def test_a_manager_that_cannot_lose_columns(tmp_path):
    path = make_shared(str(tmp_path / "t"), "IncrementalStMan")
    before = edits.digest(path)
    done = edits.run(path, "remove:A", "commit")
    assert "shares its storage with B in an IncrementalStMan, from which it cannot be removed" in done.stdout
    assert edits.digest(path) == before


def test_a_shared_manager_that_is_written_before_the_commit(tmp_path):
    path = make_shared(str(tmp_path / "t"), "StandardStMan")
    script = tmp_path / "write.py"
    script.write_text(f"""
import numpy as np
from casacore import tables
t = tables.table({path!r}, readonly=False, ack=False)
t.putcell("B", 4, np.full((2, 2), 9, np.float32))
t.close()
""")
    edits.edit(path, "remove:A", "prepare", f"shell:{sys.executable} {script}", "commit")
    t = tables.table(path, ack=False)
    assert t.colnames() == ["B", "C", "TEXTS", "TEXT"] and np.all(t.getcell("B", 4) == 9)


def test_refusals(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    before, sums = edits.digest(path), edits.files(path)
    for steps, code, text in ((["add:DATA:9:DATA"], -3, "has a column DATA already"), (["remove:NONE"], -2, "no column NONE"),
                              (["remove:TIME", "remove:SCAN"], None, ""),
                              (["add:X:11:DATA"], -1, "type 11"), (["add:X:9:NONE"], -2, "no column NONE"),
                              (["set::K:null"], -1, "null"), (["set::K:[1,\"a\"]"], -1, "different kinds"),
                              (["set:NONE:K:1"], -2, "no column NONE")):
        done = edits.run(path, *steps, "close")
        if code is None:
            assert done.returncode == 0
            continue
        assert done.returncode == 1 and done.stdout.startswith(f"error {code} ") and text in done.stdout, (steps, done.stdout)
    assert edits.digest(path) == before and edits.files(path) == sums
    t = tables.table(path, ack=False)
    t.query("SCAN>2").copy(str(tmp_path / "ref"), deep=False).close()
    t.close()
    done = edits.run(str(tmp_path / "ref"), "set::K:1", "commit")
    assert done.returncode == 1 and "RefTable" in done.stdout
    assert edits.run(str(tmp_path / "none"), "begin").stdout.startswith("error -2")


def test_close_undoes_what_was_prepared(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    before, files = edits.digest(path), edits.files(path)
    edits.edit(path, "add:NEW:9:DATA", "prepare", "fill:NEW:3", "close")
    assert edits.files(path) == files
    assert edits.digest(path) == before


class Reader:
    """Another process that has a table open in casacore and reads a cell when asked."""

    CODE = """
import sys
from casacore import tables
t = tables.table(sys.argv[1], ack=False, lockoptions=sys.argv[2])
for line in sys.stdin:
    word, column, row = line.split()
    try:
        if word == "lock": t.lock(write=False)
        elif word == "unlock": t.unlock()
        elif word == "resync": t.resync()
        print(repr(complex(t.getcell(column, int(row)).flat[0])) if word == "get" else "ok", flush=True)
    except RuntimeError as e:
        print("error", str(e).replace(chr(10), " "), flush=True)
"""

    def __init__(self, path, locking):
        self.job = subprocess.Popen([sys.executable, "-c", self.CODE, path, locking], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)

    def __call__(self, word, column="-", row=0):
        self.job.stdin.write(f"{word} {column} {row}\n")
        self.job.stdin.flush()
        return self.job.stdout.readline().strip()

    def end(self):
        self.job.stdin.close()
        assert self.job.wait(timeout=60) == 0


TILES = os.path.join(os.environ.get("SHEAF_BUILD", "build"), "tests", "tiles_tool")


def write_cell(path, folder, column, row, value):
    value.tofile(os.path.join(folder, "cell"))
    done = subprocess.run([TILES], input=f"write {path} {column} {row}+1 - {folder}/cell\n", text=True, capture_output=True)
    assert done.stdout.startswith("ok"), done.stdout


@pytest.mark.parametrize("locking", ("user", "auto", "usernoread"))
def test_reader_notices_native_writes(locking, tmp_path):
    path = edits.make(str(tmp_path / "t"))
    reader = Reader(path, locking)
    for turn in range(3):
        reader("lock")
        old = reader("get", "DATA", 5)
        value = np.full((6, 2), 7 + turn, np.complex64)
        write_cell(path, str(tmp_path), "DATA", 5, value)
        assert reader("get", "DATA", 5) == old  # its tile stays cached while it holds the lock
        edits.edit(path, "touch")
        reader("unlock")
        assert reader("lock") == "ok"
        assert reader("get", "DATA", 5) == repr(complex(7 + turn))
        reader("unlock")
    reader.end()


def test_reader_notices_at_resync(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    reader = Reader(path, "usernoread")
    old = reader("get", "DATA", 5)
    write_cell(path, str(tmp_path), "DATA", 5, np.full((6, 2), 9, np.complex64))
    edits.edit(path, "touch")
    assert reader("get", "DATA", 5) == old
    assert reader("resync") == "ok"
    assert reader("get", "DATA", 5) == repr(9 + 0j)
    reader.end()


def test_touch_changes_nothing_but_counters(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    before = edits.digest(path)
    old = open(path + "/table.lock", "rb").read()
    for _ in range(3):
        edits.edit(path, "touch")
    new = open(path + "/table.lock", "rb").read()
    assert len(new) == len(old) and new != old and new[:264] == old[:264]
    assert edits.digest(path) == before
    with open(path + "/table.lock", "r+b") as f:  # a damaged one is told, not made worse
        f.seek(270)
        f.write(b"\xff" * 8)
    damaged = open(path + "/table.lock", "rb").read()
    assert "damaged" in edits.run(path, "touch").stdout
    assert open(path + "/table.lock", "rb").read() == damaged
    os.unlink(path + "/table.lock")
    edits.edit(path, "touch")


def test_open_reader_goes_on_or_is_told(tmp_path):
    """As with a column that casacore adds: a reader keeps what it opened, and is told at its next lock."""
    path = edits.make(str(tmp_path / "t"))
    reader = Reader(path, "usernoread")
    old = reader("get", "DATA", 5)
    edits.edit(path, "add:NEW:9:DATA", "commit")
    assert reader("get", "DATA", 5) == old
    assert "changed the number of columns" in reader("lock")
    reader.end()
    by_casacore = edits.make(str(tmp_path / "u"))
    reader = Reader(by_casacore, "usernoread")
    reader("get", "DATA", 5)
    t = tables.table(by_casacore, ack=False, readonly=False)
    t.addcols(tables.maketabdesc([tables.makearrcoldesc("NEW", 0.0, ndim=1)]))
    t.close()
    assert "changed the number of columns" in reader("lock")
    reader.end()


def test_without_locks(tmp_path):
    path = edits.make(str(tmp_path / "t"))
    shim = os.path.join(os.environ.get("SHEAF_BUILD", "build"), "tests", "libfault_shim.so")
    env = dict(os.environ, LD_PRELOAD=preload(shim), SHEAF_FAULT_LOCKS="ENOLCK")
    done = edits.run(path, "add:NEW:9:DATA", "prepare", "fill:NEW:0", "commit", "touch", env=env)
    assert done.returncode == 0, done.stdout
    assert "NEW" in edits.digest(path)

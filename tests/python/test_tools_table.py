# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool table: values against python-casacore, bad input, locks, threads, what a death leaves."""

import os
import shutil
import subprocess
import sys
import threading
import time

import casacore.tables as ct
import numpy as np
import pytest

import inputs
import sheaf
from sheaf import table

CLOSED = "No table specified, please open first"


@pytest.fixture
def copy(tmp_path):
    path = str(tmp_path / "copy.ms")
    shutil.copytree(inputs.ngc5921(), path, symlinks=True)
    return path


@pytest.fixture
def tb():
    t = table()
    yield t
    t.close()


def opened(path, **options):
    t = table()
    t.open(path, **options)
    return t


def casacore_column(path, name, *rows):
    with ct.table(path, ack=False, lockoptions="usernoread") as t:
        return t.getcol(name, *rows)


@pytest.mark.parametrize("make", [inputs.ngc5921, lambda: inputs.simulated(), lambda: inputs.simulated(20, 10)])
def test_columns_are_python_casacores(make, tb):
    path = make()
    tb.open(path)
    for name in tb.colnames():
        if name == "FLAG_CATEGORY":
            continue
        for rows in ((0, -1), (7, 900), (tb.nrows() - 3, -1)):
            try:
                there = casacore_column(path, name, *rows)
            except RuntimeError:  # cells of different shapes
                with pytest.raises(RuntimeError):
                    tb.getcol(name, *rows)
                continue
            here = tb.getcol(name, *rows)
            there = np.asarray(there)
            assert here.shape == there.T.shape and np.array_equal(here, there.T), (name, rows)
            assert here.dtype == {"c": complex, "f": float, "i": np.int64, "b": bool}[there.dtype.kind]
            assert here.flags.f_contiguous and here.flags.writeable


def test_a_large_column_is_read_from_its_tiles(tmp_path):
    """Above 2 MiB the tiles are read without casacore, in threads above 8 MiB: the same values, whatever the rows."""
    path = inputs.ngc5921()
    t = opened(path)
    everything = casacore_column(path, "DATA").T
    assert np.array_equal(t.getcol("DATA"), everything)
    for start, n in ((1, -1), (12345, 8000), (3, 22000), (22652, 1)):
        assert np.array_equal(t.getcol("DATA", start, n), everything[..., start:None if n < 0 else start + n])
    assert np.array_equal(t.getcol("FLAG"), casacore_column(path, "FLAG").T)
    t.close()


def test_writable_tables_give_what_was_just_put(copy):
    """…and do not read tiles that casacore has in memory."""
    t = opened(copy, nomodify=False)
    data = (t.getcol("DATA") + 1).astype(np.complex64)
    t.putcol("DATA", data)
    reader = opened(copy)
    assert np.array_equal(reader.getcol("DATA"), data) and np.array_equal(t.getcol("DATA"), data)
    t.close()
    assert np.array_equal(reader.getcol("DATA"), data)
    assert np.array_equal(casacore_column(copy, "DATA").T, data)
    reader.close()


CLOSED_CALLS = {"nrows": (), "ncols": (), "colnames": (), "info": (), "getkeywords": (), "getcol": ("TIME",), "getcell": ("TIME", 0),
                "getvarcol": ("TIME",), "getcellslice": ("DATA", 0, [0, 0], [1, 1]), "query": ("",), "taql": ("select",), "flush": (),
                "resync": (), "unlock": (), "lock": (), "putcol": ("TIME", [1.0]), "putkeyword": ("a", 1), "addrows": (), "selectrows": ([0],),
                "removerows": ([0],), "copy": ("x",), "getdminfo": (), "getdesc": ()}


@pytest.mark.parametrize("method", CLOSED_CALLS)
def test_closed(method, tb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=CLOSED):
        getattr(tb, method)(*CLOSED_CALLS[method])
    assert os.listdir(tmp_path) == []


def test_closed_but_harmless(tb):
    assert (tb.name(), tb.ok(), tb.iswritable(), tb.close(), tb.done()) == ("", False, False, True, True)


BAD_READS = [  # call, CASA's words
    (("getcol", "NIX"), "TableProxy::getColumn: column NIX does not exist"),
    (("getcol", "TIME", 30000), "TableProxy::getColumn: no such row"),
    (("getcol", "TIME", -1), "TableProxy::getColumn: no such row"),
    (("getcol", "DATA", 0, 10, 0), "getColumn: rowincr<=0"),
    (("getcol", "FLAG_CATEGORY"), "no array in row 0 of column FLAG_CATEGORY"),
    (("getcell", "NIX", 0), "TableProxy::getCell: column NIX does not exist"),
    (("getcell", "TIME", 22653), "TableProxy::getCell: no such row"),
    (("getcell", "TIME", -1), "TableProxy::getCell: no such row"),
    (("getcolslice", "TIME", [0], [0], []), "column TIME is not an array column"),
    (("getcolslice", "DATA", [0, 0], [1, 99], []), "Slicer error"),
    (("getcolslice", "DATA", [0, 0], [1, 5], [1]), "Slicer error"),
    (("getcellslice", "DATA", 0, [0], [1, 5]), "blc must have length of 2"),
    (("getcellslice", "DATA", 0, [0, 0], [1, 63]), "Element 1 of trc must be less than 63"),
    (("getcellslice", "DATA", 0, [0, -2], [1, 6]), "All elements of blc must be greater than or equal to 0"),
    (("getcellslice", "DATA", 0, [0, 5], [1, 4]), "All elements of trc must be greater than or equal to their"),
    (("getcellslice", "DATA", 0, [0, 0], [1, 4], [1, 0]), "All elements of incr must be greater than 0"),
    (("getcellslice", "DATA", 0, [0, 0], [1, 4], [1, 1, 1]), "incr must have length of 2"),
    (("getcellslice", "DATA", 99999, [0, 0], [1, 4]), "no such row"),
    (("getkeyword", "NIX"), "Table keyword NIX does not exist"),
    (("getcolkeyword", "TIME", "NIX"), "Keyword NIX in column TIME does not exist"),
    (("fieldnames", "MS_VERSION"), "Keyword does not contain a subrecord"),
    (("query", "FIELD_ID=?=1"), "parse error at or near position"),
    (("query", "NIX==1"), "NIX is an unknown column"),
    (("taql", "select foo"), "foo is an unknown column"),
    (("taql", "calc 1+1"), "gives no table"),
    (("taql", "select from $1"), "Invalid temporary table number"),
    (("calc", "nix("), "parse error"),
    (("selectrows", [0, 99999]), "rownumbers should be >= 1 and <= nrow"),
    (("selectrows", [-1]), "rownumbers should be >= 1 and <= nrow"),
    (("selectrows", [1.5]), "a list of integers"),
    (("getcolshapestring", "TIME"), "invalid shapeColumn"),
]


@pytest.mark.parametrize("call,words", BAD_READS, ids=lambda one: "-".join(map(str, one)) if isinstance(one, tuple) else "")
def test_bad_reads(call, words, tb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tb.open(inputs.ngc5921())
    with pytest.raises(RuntimeError) as failure:
        getattr(tb, call[0])(*call[1:])
    assert words in str(failure.value)
    assert tb.nrows() == 22653


@pytest.mark.parametrize("call,words", [
    (("getcol", 3), "argument _columnname must be a string"), (("getcol", "TIME", "a"), "argument _startrow must be an integer"),
    (("getcol", "TIME", 1.0), "argument _startrow must be an integer"), (("open", 5), "argument _tablename must be a string"),
    (("putkeyword", "a", object()), "is no value for a table"), (("putkeyword", "a", {1: 2}), "keys must be strings")])
def test_bad_types(call, words, tb):
    tb.open(inputs.ngc5921())
    with pytest.raises(TypeError, match=words):
        getattr(tb, call[0])(*call[1:])


def test_open_what_is_not_there(tb, tmp_path):
    with pytest.raises(RuntimeError, match="Table .*nix.ms does not exist") as failure:
        tb.open(str(tmp_path / "nix.ms"))
    assert isinstance(failure.value, sheaf.errors.NotFoundError)
    (tmp_path / "file").write_text("no table")
    with pytest.raises(RuntimeError):
        tb.open(str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match="'nix' is an unknown lock option"):
        tb.open(inputs.ngc5921(), {"option": "nix"})
    with pytest.raises(RuntimeError, match=CLOSED):
        tb.nrows()
    with pytest.raises(AttributeError, match="has no fromfits; it has addcols, "):
        tb.fromfits("x", "y")
    with pytest.raises(RuntimeError, match="Table .*nix.ms does not exist"):
        tb.createmultitable(str(tmp_path / "x"), [str(tmp_path / "nix.ms")], "z")


READ_ONLY = {"putcol": ("SCAN_NUMBER", np.zeros(22653, int)), "putcell": ("TIME", 0, 1.0), "putkeyword": ("A", 1), "addrows": (1,),
             "removerows": ([0],), "putinfo": ({},), "putvarcol": ("DATA", {}), "putcolslice": ("DATA", [], [0, 0], [0, 0]),
             "putcellslice": ("DATA", 0, [], [0, 0], [0, 0]), "putkeywords": ({"a": 1},), "removekeyword": ("MS_VERSION",),
             "renamecol": ("TIME", "T"), "removecols": (["TIME"],), "addcols": ({},), "putcolkeyword": ("TIME", "a", 1)}


@pytest.mark.parametrize("method", READ_ONLY)
def test_read_only(method, tb):
    tb.open(inputs.ngc5921())
    assert not tb.iswritable()
    with pytest.raises(RuntimeError, match="is not writable"):
        getattr(tb, method)(*READ_ONLY[method])


BAD_WRITES = [
    (("putcol", "ANTENNA1", ["a", "b", "c"], 0, 3), "invalid data type Array<String>"),
    (("putcol", "ANTENNA1", [2**40, 1, 2], 0, 3), "cannot hold integers that large"),
    (("putcol", "TIME", [1.0, 2], 0, 3), "#rows mismatch"),
    (("putcol", "TIME", [1.0, 2, 3, 4], 0, 3), "#rows mismatch"),
    (("putcol", "TIME", np.zeros(22654)), "#rows mismatch"),
    (("putcol", "TIME", [1.0], -1, 1), "no such row"),
    (("putcol", "TIME", [1.0], 22653, 1), "no such row"),
    (("putcol", "NIX", [1]), "column NIX does not exist"),
    (("putcol", "TIME", [9.0, 9], 0, 2, 0), "rowincr<=0"),
    (("putcol", "FLAG", np.ones((2, 62, 3), bool), 0, 3), "shape cannot be changed"),
    (("putcol", "FLAG", np.ones((2, 63, 2), bool), 0, 3), "Table array conformance error"),
    (("putcol", "UVW", np.ones((2, 3)), 0, 3), "Table array conformance error"),
    (("putcol", "ANTENNA1", None, 0, 3), "invalid data type"),
    (("putcell", "UVW", 0, [1, 2]), "(shape=[2], expected [3])"),
    (("putcell", "DATA", 0, np.ones((2, 5))), "(shape=[2, 5], expected [2, 63])"),
    (("putcell", "TIME", 99999, 1.0), "no such row"),
    (("putcell", "TIME", 0, "a"), "invalid data type String"),
    (("putcolslice", "DATA", np.ones((1, 1, 3)), [0, 0], [0, 99], [1, 1], 0, 3), "Slicer error"),
    (("putvarcol", "DATA", {"r1": np.ones((2, 63, 1))}, 0, 2), "#rows mismatches #elem in value"),
    (("putvarcol", "DATA", {"a": np.ones((2, 63, 1))}, 0, 1), "keys are r1, r2"),
    (("putkeyword", "MS_VERSION", "a"), "incorrect data type used for field MS_VERSION"),
    (("removekeyword", "NIX"), "Table keyword NIX does not exist"),
    (("removecolkeyword", "TIME", "NIX"), "Keyword NIX in column TIME does not exist"),
    (("putcolkeyword", "NIX", "a", 1), "Table column NIX is unknown"),
    (("addrows", -1), "nrow is negative"),
    (("removerows", [99999]), "there is no row 99999"),
    (("removerows", [0]), "storage managers do not support it"),
    (("renamecol", "NIX", "a"), "column NIX does not exist"),
    (("removecols", "NIX"), "column NIX is unknown"),
    (("addcols", {"TIME": {"valueType": "int"}}), "column"),
]


def test_bad_writes_leave_the_table_alone(copy):
    before = subprocess.run(f"cd {copy} && find . -name 'table*' ! -name table.lock -type f | sort | xargs sha1sum", shell=True,
                            capture_output=True, check=True).stdout
    t = opened(copy, nomodify=False)
    for call, words in BAD_WRITES:
        with pytest.raises(RuntimeError) as failure:
            getattr(t, call[0])(*call[1:])
        assert words in str(failure.value), call
    t.close()
    t = opened(copy)
    assert (t.nrows(), t.ncols()) == (22653, 23)
    for name in ("TIME", "DATA", "ANTENNA1", "FLAG", "UVW"):
        assert np.array_equal(t.getcol(name), casacore_column(inputs.ngc5921(), name).T), name
    t.close()
    assert before


def test_a_column_is_removed_by_one_rename(copy):
    t = opened(copy, nomodify=False)
    assert t.removecols(["WEIGHT_SPECTRUM"]) and "WEIGHT_SPECTRUM" not in t.colnames()
    t.putcell("TIME", 0, 5.0)
    t.close()
    assert "WEIGHT_SPECTRUM" not in ct.table(copy, ack=False).colnames() and casacore_column(copy, "TIME")[0] == 5.0
    t = opened(copy, nomodify=False)
    reader = opened(copy)  # somebody else has it open: through casacore
    assert t.removecols("SIGMA") and "SIGMA" not in t.colnames()
    reader.close()
    t.close()
    assert "SIGMA" not in ct.table(copy, ack=False).colnames()


CHANGER = """
import sys, time
from casacore.tables import table
t = table(sys.argv[1], readonly=False, ack=False, lockoptions='user')
t.lock(True, 20)
t.putcell('TIME', 0, float(sys.argv[2])); t.flush(); t.unlock(); print('done')
"""


def change(path, value):
    return subprocess.run([sys.executable, "-c", CHANGER, path, str(value)], capture_output=True, text=True, timeout=60, check=False).stdout


def test_readers_hinder_nobody_and_see_changes(copy):
    t = opened(copy)
    assert t.getcell("TIME", 0) > 1e9 and t.getcol("TIME")[0] > 1e9
    assert change(copy, 7) == "done\n"
    assert t.getcell("TIME", 0) == 7 and t.getcol("TIME")[0] == 7
    assert change(copy, 8) == "done\n"
    assert t.getcell("TIME", 0) == 8
    t.close()


def test_locks(copy):
    t = table()
    t.open(copy, {"option": "user"}, nomodify=False)
    assert not t.haslock() and t.lock() and t.haslock() and t.haslock(False)
    t.putcell("TIME", 0, 3.0)
    started = time.time()
    with subprocess.Popen([sys.executable, "-c", CHANGER, copy, "4"], stdout=subprocess.PIPE, text=True) as other:
        time.sleep(1)
        assert other.poll() is None  # waits for us
        assert t.unlock() and not t.haslock()
        assert other.communicate(timeout=60)[0] == "done\n" and time.time() - started < 60
    t.lock(False)
    assert t.getcell("TIME", 0) == 4
    t.close()


def test_a_task_sees_what_a_tool_holds_back(copy):
    t = opened(copy, nomodify=False)
    t.putcol("SCAN_NUMBER", np.full(t.nrows(), 77))
    assert list(sheaf.listobs(copy))  # reads through tables of its own
    assert any(key == "scan_77" for key in sheaf.listobs(copy))
    t.putcol("SCAN_NUMBER", np.full(t.nrows(), 78))
    sheaf.clearcal(copy, addmodel=True)  # works in place
    assert set(t.colnames()) >= {"MODEL_DATA", "CORRECTED_DATA"}
    t.close()
    assert (casacore_column(copy, "SCAN_NUMBER") == 78).all()


IN_PLACE = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()
"""


def test_no_writing_into_a_task_in_place(copy):
    """Tasks in place of other processes lock the directory (ms/inplace.c)."""
    t = opened(copy, nomodify=False)
    field = opened(copy + "/FIELD", nomodify=False)
    with subprocess.Popen([sys.executable, "-c", IN_PLACE, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as task:
        assert task.stdout.readline() == "locked\n"
        for one in (t, field):
            with pytest.raises(RuntimeError, match="a task is changing it"):
                one.putkeyword("a", 1)
        assert t.getcell("TIME", 0) > 1e9
        task.stdin.close()
    assert t.putkeyword("a", 1) and field.putkeyword("a", 1)
    t.close()
    field.close()


def test_threads(copy):
    """Each thread with its own tool, and all with one."""
    shared, wrong = opened(copy), []
    data = shared.getcol("DATA")

    def work(k):
        own = opened(copy)
        for i in range(6):
            start = (k * 1777 + i * 331) % 20000
            for t in (own, shared):
                if not np.array_equal(t.getcol("DATA", start, 2000), data[..., start:start + 2000]):
                    wrong.append((k, i))
                if t.getcell("ANTENNA2", start) != int(t.getcol("ANTENNA2", start, 1)[0]):
                    wrong.append((k, i))
        own.close()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    shared.close()
    assert not wrong


WRITER = """
import sys, os, signal
sys.path[:0] = {path!r}
from sheaf import table
t = table(); t.open(sys.argv[1], nomodify=False)
t.putcol('TIME', [1.0, 2.0], 0, 2)
{end}
"""


@pytest.mark.parametrize("end,survives", [("", True), ("sys.exit(3)", True), ("t.flush(); os.kill(os.getpid(), signal.SIGKILL)", True),
                                          ("raise RuntimeError", True)])
def test_the_end_of_a_script(end, survives, copy):
    """A script that ends without close() loses nothing; what was flushed survives its death."""
    subprocess.run([sys.executable, "-c", WRITER.format(path=sys.path, end=end), copy], capture_output=True, timeout=100, check=False)
    assert (list(casacore_column(copy, "TIME", 0, 2)) == [1.0, 2.0]) is survives


def test_with_and_nested_names(tmp_path):
    with table() as t:
        assert t.open(inputs.ngc5921() + "/ANTENNA") and t.name() == inputs.ngc5921() + "/ANTENNA" and t.ok()
        assert t.isopened(inputs.ngc5921() + "/ANTENNA") and not t.isopened(str(tmp_path))
    assert not t.ok()
    rows = [row for row in opened(inputs.ngc5921()).getcoliter("TIME", 2, 5, 2)]
    assert len(rows) == 5 and rows[0].shape == (1,)


def test_casatools_is_there_by_name():
    compat = os.path.join(inputs.ROOT, "compat")
    code = "from casatools import table, ms; t = table(); print(type(t).__module__, ms().name())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
                         env=dict(os.environ, PYTHONPATH=os.pathsep.join([compat, *sys.path])))
    assert run.stdout == "sheaf.tabletool none\n", run.stderr
    run = subprocess.run([sys.executable, "-c", "from casatools import image"], capture_output=True, text=True, timeout=60, check=False,
                         env=dict(os.environ, PYTHONPATH=os.pathsep.join([compat, *sys.path])))
    assert "cannot import name 'image'" in run.stderr


def test_a_tool_sees_what_a_task_removes(copy):
    sheaf.clearcal(copy, addmodel=True)
    t, reader = opened(copy, nomodify=False), opened(copy)
    assert t.putcell("MODEL_DATA", 0, np.full((2, 63), 3))
    sheaf.delmod(copy, otf=False, scr=True)
    assert "MODEL_DATA" not in t.colnames() and "MODEL_DATA" not in reader.colnames()
    assert t.putcell("TIME", 0, 4.0)
    t.close()
    assert reader.getcell("TIME", 0) == 4
    reader.close()
    assert "MODEL_DATA" not in ct.table(copy, ack=False).colnames()


READER = """
import sys
import casacore.tables as ct
t = ct.table(sys.argv[1], ack=False, lockoptions="user")
for line in sys.stdin:
    t.lock(False)
    print(t.getcell("DATA", 5)[0, 0].real, t.getcol("FLAG", 5, 1).all(), flush=True)
    t.unlock()
"""


def test_a_casacore_reader_sees_each_change(copy):
    """Also when changes through tiles and through casacore take turns."""
    reader = subprocess.Popen([sys.executable, "-c", READER, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    t = opened(copy, nomodify=False)
    shape = t.getcell("DATA", 5).shape

    def seen():
        t.unlock()
        reader.stdin.write("\n")
        reader.stdin.flush()
        value, flag = reader.stdout.readline().split()
        return float(value), flag

    for i in range(1, 25):
        if i % 3 == 0:  # casacore
            t.putcolslice("DATA", np.full((1, 1, 1), i), [0, 0], [0, 0], [1, 1], 5, 1)
        elif i % 3 == 1:  # a tile
            t.putcell("DATA", 5, np.full(shape, i, dtype=complex))
        else:
            t.putcol("DATA", np.full((*shape, 20), i, dtype=np.complex64), 0, 20)
        t.putcol("FLAG", np.full((*shape, 1), i % 2 == 0), 5, 1)
        assert t.getcell("DATA", 5)[0, 0] == i
        assert seen() == (i, str(i % 2 == 0))
    t.close()
    reader.stdin.close()
    assert reader.wait(100) == 0


def test_tiles_after_changes_of_structure(copy):
    """What is put after rows came lies where casacore finds it."""
    t = opened(copy, nomodify=False)
    n, cell = t.nrows(), t.getcell("DATA", 0)
    t.putcell("DATA", 0, cell + 1)
    t.addrows(3)
    for row in range(n, n + 3):
        t.putcell("DATA", row, cell * row)
        t.putcell("DATA", row, cell * (row + 1))
    with pytest.raises(RuntimeError, match=r"shape=\[4, 7\], expected \[2, 63\]"):
        t.putcell("DATA", n + 1, np.ones((4, 7)))
    t.putcell("DATA", 2, cell + 2)
    t.close()
    assert np.allclose(casacore_column(copy, "DATA", n, 1)[0].T, cell * (n + 1))
    assert np.allclose(casacore_column(copy, "DATA", n + 1, 1)[0].T, cell * (n + 2))
    assert np.allclose(casacore_column(copy, "DATA", n + 2, 1)[0].T, cell * (n + 3))
    assert np.allclose(casacore_column(copy, "DATA", 0, 1)[0].T, cell + 1)
    assert np.allclose(casacore_column(copy, "DATA", 2, 1)[0].T, cell + 2)


@pytest.mark.parametrize("name,dtypes", [("DATA", ("c8", "c16", "f8")), ("WEIGHT", ("f4", "f8", "i8")), ("FLAG", ("?",)),
                                         ("UVW", ("f4", "f8", "i4"))])
def test_values_of_other_types(name, dtypes, copy):
    for i, dtype in enumerate(dtypes):
        t = opened(copy, nomodify=False)
        value = (t.getcol(name, 100, 50).real.astype(dtype) if dtype != "?" else ~t.getcol(name, 100, 50))
        value = value + np.asarray(i, dtype) if dtype != "?" else value
        t.putcol(name, value, 100, 50)
        assert np.allclose(t.getcol(name, 100, 50), value)
        t.close()
        assert np.allclose(casacore_column(copy, name, 100, 50).T, value), dtype


def test_createmultitable(tmp_path, monkeypatch):
    """As in CASA 6.7 the tables move into the new one; other than there an old table is not replaced, and a failure is an error."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.tab", "b.tab", "c.tab"):
        shutil.copytree(inputs.ngc5921() + "/ANTENNA", name)
    shutil.copytree(inputs.ngc5921() + "/FEED", "f.tab")
    t = table()
    assert t.createmultitable("out.tab", ["a.tab", "b.tab"], "SUB") is True and not t.ok()
    assert sorted(os.listdir("out.tab")) == ["SUB", "table.dat", "table.info"] and not os.path.exists("a.tab")
    t.open("out.tab")
    assert t.nrows() == 56 and t.getcol("NAME").tolist()[26:30] == ["27", "28", "1", "2"]
    assert t.info() == {"readme": "Virtual concatenation of the following tables:\n  SUB/a.tab\n  SUB/b.tab\n", "subType": "CONCATENATED",
                        "type": ""}
    t.close()
    for wrong, why in ((("out.tab", ["c.tab"], "SUB"), "already exists"), (("new.tab", ["nix.tab"], "SUB"), "does not exist"),
                       (("new.tab", ["f.tab", "c.tab"], "SUB"), "BEAM_OFFSET is missing"), (("new.tab", [], "SUB"), "none are given"),
                       (("new.tab", ["c.tab"], ""), "name of a folder"), (("new.tab", ["c.tab"], "../x"), "name of a folder"),
                       (("new.tab", ["c.tab", "out.tab/../c.tab"], "SUB"), "two have the name c.tab")):
        with pytest.raises(RuntimeError, match=why):
            t.createmultitable(*wrong)
    t.open("c.tab")
    with pytest.raises(RuntimeError, match="is open"):
        t.createmultitable("new.tab", ["c.tab"], "SUB")
    t.close()
    assert sorted(os.listdir(".")) == ["c.tab", "f.tab", "out.tab"]
    with pytest.raises(AttributeError, match="fromfits"):
        t.fromfits("x", "y")

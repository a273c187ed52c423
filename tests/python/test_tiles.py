# SPDX-License-Identifier: GPL-3.0-or-later
"""table/tiles.h against casacore: what one writes the other reads, bit for bit."""
import json
import os
import resource
import signal
import subprocess

import numpy as np
import pytest

from runs import LIMIT_S

tables = pytest.importorskip("casacore.tables")

TOOL = os.path.join(os.environ.get("SHEAF_BUILD", "build"), "tests", "tiles_tool")
# casacore's code -> numpy type in memory; a bool is one byte there
DTYPE = {0: np.bool_, 2: np.uint8, 3: np.int16, 5: np.int32, 6: np.uint32, 7: np.float32,
         8: np.float64, 9: np.complex64, 10: np.complex128, 29: np.int64, 1: np.int8, 4: np.uint16}
WRITABLE = {"boolean": 0, "uchar": 2, "short": 3, "int": 5, "uint": 6, "float": 7, "double": 8,
            "complex": 9, "dcomplex": 10}


class Tool:
    """One tiles_tool process; files for the cells lie in `folder`."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "cells.raw")
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        status, _, rest = self.process.stdout.readline().partition(" ")
        return status.strip(), rest.strip()

    def describe(self, table, column):
        status, text = self("describe", table, column)
        return json.loads(text) if status == "ok" else status

    @staticmethod
    def rows(rows):
        if isinstance(rows, range):
            return f"{rows.start}+{len(rows)}"
        return ",".join(str(int(r)) for r in rows)

    def read(self, table, column, rows, shape, dtype, part="-"):
        """shape: of the result without rows, in numpy's order."""
        n = len(rows) * int(np.prod(shape)) * np.dtype(dtype).itemsize
        answer = self("read", table, column, self.rows(rows), part, n, self.file)
        assert answer[0] == "ok", answer
        return np.fromfile(self.file, dtype).reshape((len(rows),) + tuple(shape))

    def write(self, table, column, rows, data, part="-"):
        np.ascontiguousarray(data).tofile(self.file)
        answer = self("write", table, column, self.rows(rows), part, self.file)
        assert answer[0] == "ok", answer


@pytest.fixture
def tool(tmp_path):
    t = Tool(str(tmp_path))
    yield t
    t.process.stdin.close()
    assert t.process.wait(timeout=LIMIT_S) == 0


def random_values(rng, shape, dtype):
    """Any bits, NaN included; bools 0 or 1."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "fc":
        data = rng.normal(size=tuple(shape) + (2,))
        data = data[..., 0] + 1j * data[..., 1] if dtype.kind == "c" else data[..., 0]
        return data.astype(dtype)
    return rng.integers(0, 100, shape).astype(dtype)


def random_axis(rng, n):
    """A word for tiles_tool and the numpy index that means the same."""
    kind = rng.integers(3)
    if kind == 0:
        return "*", np.arange(n)
    if kind == 1:
        start = int(rng.integers(n))
        count = int(rng.integers(1, n - start + 1))
        return f"{start}+{count}", np.arange(start, start + count)
    index = np.sort(rng.choice(n, int(rng.integers(1, n + 1)), replace=False))
    return ",".join(map(str, index)), index


def random_part(rng, shape):
    """shape in numpy's order (slowest first); the tool's axes are the other way round."""
    words, index = zip(*(random_axis(rng, n) for n in shape[::-1]))
    return ":".join(words), index[::-1]


def same(a, b):
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype == np.uint8 and b.dtype != np.uint8:
        b = b.astype(np.uint8)  # python-casacore shows unsigned char as a wider type
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


MANAGERS = ["TiledShapeStMan", "TiledColumnStMan", "TiledCellStMan"]


class Column:
    def __init__(self, rng, name, manager, group, shapes, valuetype):
        self.name, self.manager, self.group, self.shapes, self.valuetype = name, manager, group, shapes, valuetype
        self.dtype = DTYPE[WRITABLE[valuetype]]
        self.cells = {}


def random_table(rng, path, managers=MANAGERS, nmanager=4):
    """Makes a table with random tiled columns; returns the columns, whose .cells hold what was written."""
    nrow = int(rng.integers(1, 70))
    columns, dminfo, desc = [], {}, []
    for g in range(nmanager):
        manager = str(rng.choice(managers))
        ndim = int(rng.integers(1, 4))
        fixed = manager == "TiledColumnStMan"
        shapes = [tuple(int(x) for x in rng.integers(1, 9, ndim)) for _ in range(1 if fixed else 3)]
        rows_axis = [] if manager == "TiledCellStMan" else [int(rng.integers(1, 12))]
        tile = [int(x) for x in rng.integers(1, 9, ndim)] + rows_axis
        names = []
        for k in range(int(rng.choice([1, 1, 1, 3]))):
            c = Column(rng, f"C{g}_{k}", manager, g, shapes, str(rng.choice(list(WRITABLE))))
            names.append(c.name)
            columns.append(c)
            extra = {"shape": shapes[0][::-1], "options": 5} if fixed else {}
            desc.append(tables.makearrcoldesc(c.name, 0, ndim=ndim, valuetype=c.valuetype,
                                              datamanagertype=manager, datamanagergroup=f"G{g}", **extra))
        dminfo[f"*{g + 1}"] = {"TYPE": manager, "NAME": f"G{g}", "SEQNR": g, "COLUMNS": names,
                               "SPEC": {"DEFAULTTILESHAPE": tile}}
    t = tables.table(path, tables.maketabdesc(desc), nrow=nrow, dminfo=dminfo, ack=False,
                     endian=str(rng.choice(["little", "big"])))
    for g in range(nmanager):
        mine = [c for c in columns if c.group == g]
        fixed = mine[0].manager == "TiledColumnStMan"
        order = rng.permutation(nrow) if rng.integers(2) else np.arange(nrow)
        for row in order:
            if not fixed and rng.integers(5) == 0:
                continue
            shape = mine[0].shapes[0 if fixed else rng.integers(len(mine[0].shapes))]
            for c in mine:  # numpy's order is the reverse of casacore's
                c.cells[int(row)] = random_values(rng, shape[::-1], c.dtype)
                t.putcell(c.name, int(row), c.cells[int(row)])
    t.close()
    return nrow, columns


def check_column(tool, rng, path, column, nrow, tries=12):
    d = tool.describe(path, column.name)
    assert d["manager"] == column.manager and d["nrow"] == nrow
    assert DTYPE[d["type"]] == column.dtype
    defined = {}
    for start, n, cube, _ in d["spans"]:
        for row in range(start, start + n):
            if cube >= 0:
                defined[row] = tuple(d["cubes"][cube]["shape"])[::-1]
    if column.manager == "TiledColumnStMan":
        assert len(defined) == nrow
    else:
        assert set(defined) == set(column.cells)
    for row, cell in column.cells.items():
        assert cell.shape == defined[row]
    for shape in {c.shape for c in column.cells.values()}:
        rows = sorted(r for r in column.cells if column.cells[r].shape == shape)
        expected = np.array([column.cells[r] for r in rows])
        assert same(tool.read(path, column.name, rows, shape, column.dtype), expected)
        for _ in range(tries):
            pick = rng.choice(rows, int(rng.integers(1, 2 * len(rows) + 1)))
            word, index = random_part(rng, shape)
            got = tool.read(path, column.name, pick, [len(i) for i in index], column.dtype, word)
            want = np.array([column.cells[int(r)][np.ix_(*index)] for r in pick])
            assert same(got, want), (path, column.name, pick, word)


@pytest.mark.parametrize("seed", range(25))
def test_reads_what_casacore_wrote(tool, tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = str(tmp_path / "t")
    nrow, columns = random_table(rng, path)
    for c in columns:
        check_column(tool, rng, path, c, nrow)


@pytest.mark.parametrize("seed", range(100, 120))
def test_casacore_reads_what_was_written(tool, tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = str(tmp_path / "t")
    nrow, columns = random_table(rng, path)
    sizes = {f: os.path.getsize(os.path.join(path, f)) for f in os.listdir(path)}
    for c in columns:
        for shape in {x.shape for x in c.cells.values()}:
            rows = [r for r in c.cells if c.cells[r].shape == shape]
            for _ in range(8):
                pick = rng.choice(rows, int(rng.integers(1, len(rows) + 1)), replace=False)
                if rng.integers(2):
                    pick = np.sort(pick)
                word, index = random_part(rng, shape)
                data = random_values(rng, [len(pick)] + [len(i) for i in index], c.dtype)
                tool.write(path, c.name, pick, data, word)
                for k, r in enumerate(pick):
                    c.cells[int(r)][np.ix_(*index)] = data[k]
    assert sizes == {f: os.path.getsize(os.path.join(path, f)) for f in os.listdir(path)}
    t = tables.table(path, ack=False)
    for c in columns:
        for row, cell in c.cells.items():
            assert same(cell, np.asarray(t.getcell(c.name, row))), (c.name, row)
    t.close()
    for c in columns:
        check_column(tool, rng, path, c, nrow, 2)


def empty_table(rng, path, nrow, ndim, valuetypes, tile, endian):
    names = [f"C{i}" for i in range(len(valuetypes))]
    desc = [tables.makearrcoldesc(n, 0, ndim=ndim, valuetype=v, datamanagertype="TiledShapeStMan",
                                  datamanagergroup="G") for n, v in zip(names, valuetypes)]
    dminfo = {"*1": {"TYPE": "TiledShapeStMan", "NAME": "G", "SEQNR": 0, "COLUMNS": names,
                     "SPEC": {"DEFAULTTILESHAPE": tile}}}
    tables.table(path, tables.maketabdesc(desc), nrow=nrow, dminfo=dminfo, ack=False, endian=endian).close()
    return names


@pytest.mark.parametrize("seed", range(200, 230))
def test_creates_as_casacore_does(tool, tmp_path, seed):
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 4))
    shapes = list({tuple(int(x) for x in rng.integers(1, 12, ndim)) for _ in range(rng.integers(1, 4))})
    tile = [int(x) for x in rng.integers(1, 12, ndim)] + [int(rng.integers(1, 9))]
    runs = [(int(rng.integers(1, 9)), int(rng.integers(-1 if seed % 2 else 0, len(shapes))))
            for _ in range(rng.integers(1, 9))]
    nrow = sum(n for n, _ in runs)
    types = [str(x) for x in rng.choice(list(WRITABLE), int(rng.choice([1, 1, 3])))]
    endian = str(rng.choice(["little", "big"]))
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    for path in (ours, theirs):
        names = empty_table(rng, path, nrow, ndim, types, tile, endian)
    cube_word = ";".join(",".join(map(str, s)) + "/" + ",".join(map(str, tile[:-1])) + f"/{tile[-1]}"
                         for s in shapes)
    run_word = ",".join(f"{n}@{c}" for n, c in runs)
    answer = tool("create", ours, names[0], int(rng.integers(4)), cube_word, run_word)
    assert answer[0] == "ok", answer
    cube_of = [c for n, c in runs for _ in range(n)]
    values = {}
    t = tables.table(theirs, readonly=False, ack=False)
    for name, v in zip(names, types):
        values[name] = {r: random_values(rng, shapes[c][::-1], DTYPE[WRITABLE[v]])
                        for r, c in enumerate(cube_of) if c >= 0}
    for r, c in enumerate(cube_of):
        for name in names:
            if c >= 0:
                t.putcell(name, r, values[name][r])
    t.close()
    for name in names:
        for k in range(len(shapes)):
            rows = [r for r, c in enumerate(cube_of) if c == k]
            if rows:
                tool.write(ours, name, rows, np.array([values[name][r] for r in rows]))
    for f in sorted(os.listdir(theirs)):
        if f.startswith("table.f"):  # headers and tile files, padding included
            assert open(f"{ours}/{f}", "rb").read() == open(f"{theirs}/{f}", "rb").read(), f
    assert sorted(os.listdir(ours)) == sorted(os.listdir(theirs))
    t = tables.table(ours, ack=False)
    for name in names:
        for r, c in enumerate(cube_of):
            assert bool(t.iscelldefined(name, r)) == (c >= 0)
            if c >= 0:
                assert same(values[name][r], np.asarray(t.getcell(name, r)))
    t.close()


def test_create_refuses(tool, tmp_path):
    path = str(tmp_path / "t")
    empty_table(None, path, 5, 2, ["float"], [2, 3, 4], "little")
    header = open(path + "/table.f0", "rb").read()
    for flags, cubes, runs, word in [
            (0, "2,3/2,3/4", "4@0", "places for 4 rows, the table has 5"),
            (0, "2/2/4", "5@0", "1 axes"),
            (0, "2,3/2,3/4;2,3/2,3/4", "4@0,1@1", "one shape"),
            (0, "2,3/2,3/0", "5@0", "tiles of 0 rows"),
            (0, "2,0/2,3/4", "5@0", "axis of 0"),
            (0, "2,3/2,3/4", "5@1", "cube 1 of 1"),
            (0, "99999,99999/0,0/1", "5@0", "2^32")]:
        status, text = tool("create", path, "C0", flags, cubes, runs)
        assert status == "error" and word in text, text
        assert open(path + "/table.f0", "rb").read() == header
        assert not [f for f in os.listdir(path) if "TSM" in f or "tmp" in f]
    assert tool("create", path, "C0", 2, "2,3/0,0/4", "3@0,2@-1")[0] == "ok"
    status, text = tool("create", path, "C0", 0, "2,3/0,0/4", "5@0")
    assert status == "error" and "has cells already" in text
    status, text = tool("read", path, "C0", "0+5", "-", 5 * 24, str(tmp_path / "o"))
    assert status == "error" and "row 3 has no value" in text


@pytest.mark.parametrize("tile", [(4, 3000, 5), (3, 1100, 16), (4, 3000, 1000)])
@pytest.mark.parametrize("valuetype", ["complex", "boolean"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_cells_larger_than_any_buffer_step(tool, tmp_path, tile, valuetype, endian):
    rng = np.random.default_rng(11)
    path, nrow, shape = str(tmp_path / "t"), 200 if valuetype == "boolean" else 40, (3000, 4)
    empty_table(rng, path, nrow, 2, [valuetype], list(tile), endian)
    word = "4,3000/" + ",".join(map(str, tile[:2])) + f"/{tile[2]}"
    assert tool("create", path, "C0", 0, word, f"{nrow}@0")[0] == "ok"
    dtype = DTYPE[WRITABLE[valuetype]]
    data = random_values(rng, (nrow,) + shape, dtype)
    tool.write(path, "C0", range(nrow), data)
    for part, index in [("0+1:*", (slice(None), slice(0, 1))), ("*:7+3", (slice(7, 10), slice(None))),
                        ("1,3:2990,2999", ([[2990], [2999]], [1, 3]))]:
        rows = np.sort(rng.choice(nrow, nrow // 2, replace=False))
        new = random_values(rng, data[rows][(slice(None),) + index].shape, dtype)
        for k, r in enumerate(rows):
            data[r][index] = new[k]
        tool.write(path, "C0", rows, new, part)
        assert same(tool.read(path, "C0", rows, new.shape[1:], dtype, part), new)
    t = tables.table(path, ack=False)
    assert same(t.getcol("C0"), data)
    t.close()
    for rows in (range(nrow), range(20, nrow - 3), rng.permutation(nrow), np.arange(0, nrow, 3), np.repeat(np.arange(9), 7)):
        assert same(tool.read(path, "C0", rows, shape, dtype), data[list(rows)])


def test_create_without_room(tmp_path):
    path = str(tmp_path / "t")
    empty_table(None, path, 5000, 2, ["complex"], [2, 3, 4], "little")
    header = open(path + "/table.f0", "rb").read()
    line = f"create {path} C0 1 4,128/0,0/8;2,64/0,0/8 2000@1,3000@0\n"  # 2 MB, then 12 MB

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))

    done = subprocess.run([TOOL], input=line, capture_output=True, text=True, preexec_fn=limit, check=True)
    assert done.stdout.startswith("error -5 ") and "table.f0_TSM2 its " in done.stdout
    assert open(path + "/table.f0", "rb").read() == header
    assert not [f for f in os.listdir(path) if "TSM" in f or "tmp" in f]


def test_other_managers_are_unknown(tool, tmp_path):
    path = str(tmp_path / "t")
    desc = [tables.makescacoldesc("S", 0), tables.makearrcoldesc("A", 0.0, ndim=1)]
    tables.table(path, tables.maketabdesc(desc), nrow=3, ack=False).close()
    for name in "SA":
        status, text = tool("describe", path, name)
        assert status == "unknown" and "StandardStMan" in text
    assert tool("describe", path, "NOPE")[0] == "error"
    status, text = tool("describe", str(tmp_path / "absent"), "S")
    assert status == "error" and text.startswith("-2 ")
    ref = tables.table(path, ack=False).query("S == 0")
    ref.copy(str(tmp_path / "ref"), deep=False).close()
    assert tool("describe", str(tmp_path / "ref"), "S")[0] == "unknown"


def test_damage_is_reported(tool, tmp_path):
    rng = np.random.default_rng(7)
    path = str(tmp_path / "t")
    empty_table(rng, path, 40, 2, ["complex"], [2, 3, 8], "little")
    assert tool("create", path, "C0", 0, "4,8/2,3/8", "40@0")[0] == "ok"
    n = 40 * 4 * 8 * 8
    out = str(tmp_path / "o")
    assert tool("read", path, "C0", "0+40", "-", n, out)[0] == "ok"
    for rows, part, size, word in [("0+41", "-", n + 256, "there are 40 rows"), ("-1+1", "-", 256, "row -1"),
                                   ("0+40", "-", n - 1, "buffer"), ("0+1", "0+5:*", 320, "axis 0"),
                                   ("0+1", "1,0:*", 128, "ascend"), ("0+1", "*:7,8", 64, "axis 1"),
                                   ("0+1", "5+1:*", 64, "axis 0")]:
        status, text = tool("read", path, "C0", rows, part, size, out)
        assert status == "error" and word in text, (rows, part, text)
    tiles = path + "/table.f0_TSM1"
    os.truncate(tiles, os.path.getsize(tiles) - 17)  # behind the last value are 16 unused bytes
    status, text = tool("read", path, "C0", "0+40", "-", n, out)
    assert status == "error" and text.startswith("-6 ") and "is cut" in text
    assert tool("read", path, "C0", "0+8", "-", 8 * 256, out)[0] == "ok"
    (tmp_path / "in").write_bytes(bytes(256))
    status, text = tool("write", path, "C0", "0+1", "-", str(tmp_path / "in"))
    assert status == "error" and "is cut" in text
    os.remove(tiles)
    status, text = tool("read", path, "C0", "0+1", "-", 256, out)
    assert status == "error" and "table.f0_TSM1" in text
    header = open(path + "/table.f0", "rb").read()
    for k in range(0, len(header), 7):
        open(path + "/table.f0", "wb").write(header[:k])
        status, text = tool("describe", path, "C0")
        assert status == "error" and "is damaged" in text, (k, text)


def data_folder():
    folder = os.environ.get("SHEAF_DATA", os.path.expanduser("~/.cache/sheaf-data"))
    return folder if os.path.isdir(folder) else None


def tables_below(folder):
    for path, _, files in os.walk(folder):
        if "table.dat" in files:
            yield path


def pick_rows(rng, start, n, most):
    """A range when the stretch is small, else a few ranges of it."""
    if n <= most:
        return [range(start, start + n)]
    first = rng.integers(0, n - most // 4, 4)
    return [range(start + int(f), start + int(f) + most // 4) for f in first]


@pytest.mark.skipif(data_folder() is None, reason="no real data")
def test_real_tables(tool):
    rng = np.random.default_rng(3)
    most = 1 << int(os.environ.get("SHEAF_DATA_BITS", "20"))  # elements per stretch; 40: everything
    seen = {"columns": 0, "elements": 0, "tables": 0, "unreadable": 0}
    for path in sorted(tables_below(data_folder())):
        try:
            t = tables.table(path, ack=False)
            t.getdminfo()
        except RuntimeError:  # files are missing in the data set
            continue
        seen["tables"] += 1
        for name in t.colnames():
            d = tool.describe(path, name)
            kind = t.getdminfo(name)["TYPE"]
            if not isinstance(d, dict):
                missing = not os.path.exists(f"{path}/table.f{t.getdminfo(name)['SEQNR']}")
                assert d == "unknown" or missing, (path, name, tool("describe", path, name))
                continue
            assert d["manager"] == kind and d["nrow"] == t.nrows()
            seen["columns"] += 1
            for start, n, cube, _ in d["spans"][:50 if most < 1 << 30 else None]:
                if cube < 0:
                    assert not t.iscelldefined(name, start) and not t.iscelldefined(name, start + n - 1)
                    continue
                shape = tuple(d["cubes"][cube]["shape"])[::-1]
                size = max(1, int(np.prod(shape)))
                for rows in pick_rows(rng, start, n, max(4, most // size)):
                    compare(tool, t, path, name, d, rows, shape, seen)
        t.close()
    print(seen)
    assert seen["columns"] > 0


def compare(tool, t, path, name, d, rows, shape, seen):
    dtype = DTYPE[d["type"]]
    for a in range(rows.start, rows.stop, max(1, (1 << 24) // max(1, int(np.prod(shape))))):
        part = range(a, min(rows.stop, a + max(1, (1 << 24) // max(1, int(np.prod(shape))))))
        try:
            want = (t.getcol(name, a, len(part)) if d["manager"] in MANAGERS[:2] else
                    np.array([t.getcell(name, r) for r in part]))
        except RuntimeError:  # the data set lacks the tile file
            seen["unreadable"] += 1
            n = len(part) * int(np.prod(shape)) * np.dtype(dtype).itemsize
            assert tool("read", path, name, tool.rows(part), "-", n, tool.file)[0] == "error"
            return
        got = tool.read(path, name, part, shape, dtype)
        assert same(got, np.asarray(want).astype(dtype)), (path, name, part)
        seen["elements"] += got.size

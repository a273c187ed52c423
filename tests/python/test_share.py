# SPDX-License-Identifier: GPL-3.0-or-later
"""Reflinks (table/tiles_share.c, ms/copyarrays.c) on file systems that have them: the same bytes as without, and only where
that can be."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

tables = pytest.importorskip("casacore.tables")

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fault"))
import faults  # noqa: E402
import inputs  # noqa: E402
import mounts  # noqa: E402
import outputs  # noqa: E402
from runs import LIMIT_S, SHEAF, preload  # noqa: E402
from test_tiles import DTYPE, WRITABLE, Tool, empty_table, random_values  # noqa: E402


@pytest.fixture(params=sorted(mounts.MAKE), scope="module")
def place(request):
    with mounts.mounted(request.param) as folder:
        yield folder


@pytest.fixture
def tool(tmp_path):
    t = Tool(str(tmp_path))
    yield t
    t.process.stdin.close()
    assert t.process.wait(timeout=LIMIT_S) == 0


# ---- tiles ----

def column(tool, path, cell, nrow, valuetype="complex", tile=None, endian="little"):
    """A table with one column of nrow random cells (numpy's order); returns them."""
    axes = ",".join(map(str, cell[::-1]))
    tiles = ",".join(map(str, tile or (*cell[::-1], 8)))
    empty_table(None, path, nrow, len(cell), [valuetype], [1] * (len(cell) + 1), endian)
    assert tool("create", path, "C0", 0, f"{axes}/{tiles}", f"{nrow}@0")[0] == "ok"
    data = random_values(np.random.default_rng(nrow), (nrow, *cell), DTYPE[WRITABLE[valuetype]])
    tool.write(path, "C0", range(nrow), data)
    return data


def share(tool, to, to_row, source, from_row, n, least=0):
    status, text = tool("share", to, "C0", to_row, source, "C0", from_row, n, least)
    assert status == "ok", text
    return [int(x) for x in text.split()]


@pytest.mark.parametrize("cell,valuetype", [((128, 2), "complex"), ((64, 4), "float"), ((512,), "double"), ((7, 3), "complex"),
                                            ((63, 2), "complex"), ((500,), "dcomplex"), ((24, 4), "int")])
def test_rows_that_share_blocks_are_the_inputs(place, tool, cell, valuetype):
    source, to = (os.path.join(place, name) for name in ("from", "to"))
    rng = np.random.default_rng(len(cell) + cell[0])
    size = int(np.prod(cell)) * DTYPE[WRITABLE[valuetype]]().itemsize
    step = np.lcm(size, 4096) // size  # rows from one that begins a block to the next
    some = 0
    for turn in range(6):
        n = int(rng.integers(2 * step, 4 * step)) + 5
        given = column(tool, source, cell, n + 100, valuetype)  # not on the disk yet
        want = column(tool, to, cell, n + 130, valuetype)
        from_row = int(rng.integers(50))
        to_row = from_row + (int(rng.integers(80)) if turn % 2 else -(from_row // step) * step)
        start, shared = share(tool, to, to_row, source, from_row, n)
        if (to_row - from_row) % step == 0:
            assert shared > 0 and start - to_row < step and to_row + n - (start + shared) < step
        if shared:
            want[start:start + shared] = given[start - to_row + from_row:][:shared]
            some += shared
        got = tool.read(to, "C0", range(len(want)), cell, want.dtype)
        assert got.tobytes() == want.tobytes()
        with tables.table(to, ack=False) as t:
            assert t.getcol("C0").tobytes() == want.tobytes()
        assert tool.read(source, "C0", range(len(given)), cell, given.dtype).tobytes() == given.tobytes()
        shutil.rmtree(source)
        shutil.rmtree(to)
    assert some


def test_a_write_to_either_side_stays_there(place, tool):
    source, to = (os.path.join(place, name) for name in ("from", "to"))
    given = column(tool, source, (128, 2), 400)
    column(tool, to, (128, 2), 400)
    assert share(tool, to, 0, source, 0, 400) == [0, 400]
    tool.write(to, "C0", range(10, 20), given[:10])
    tool.write(source, "C0", range(30, 40), given[:10])
    mine, other = given.copy(), given.copy()
    mine[10:20], other[30:40] = given[:10], given[:10]
    for path, want in ((to, mine), (source, other)):
        assert tool.read(path, "C0", range(400), (128, 2), want.dtype).tobytes() == want.tobytes()
    shutil.rmtree(source)
    shutil.rmtree(to)


@pytest.mark.parametrize("what", ["bits", "type", "byte order", "tiles of parts", "another place of a block", "little"])
def test_what_does_not_lie_alike_is_not_shared(place, tool, what):
    source, to = (os.path.join(place, name) for name in ("from", "to"))
    kind = "boolean" if what == "bits" else "complex"
    column(tool, source, (128, 2), 400, kind, (1, 128, 8) if what == "tiles of parts" else None)
    want = column(tool, to, (128, 2), 400, "double" if what == "type" else kind,
                  endian="big" if what == "byte order" else "little")
    row = 1 if what == "another place of a block" else 0
    assert share(tool, to, row, source, 0, 300, 300 * 2048 + 1 if what == "little" else 0)[1] == 0
    assert tool.read(to, "C0", range(400), (128, 2), want.dtype).tobytes() == want.tobytes()
    shutil.rmtree(source)
    shutil.rmtree(to)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm")
def test_another_file_system_is_told(place, tool, tmp_path):
    source, to = os.path.join(place, "from"), "/dev/shm/" + tmp_path.name + str(os.getpid())
    try:
        column(tool, source, (128, 2), 100)
        want = column(tool, to, (128, 2), 100)
        status, why = tool("share", to, "C0", 0, source, "C0", 0, 100, 0)
        assert status == "unknown" and "cannot share blocks" in why
        assert tool.read(to, "C0", range(100), (128, 2), want.dtype).tobytes() == want.tobytes()
    finally:
        shutil.rmtree(to, ignore_errors=True)
        shutil.rmtree(source)


# ---- partition ----

@pytest.fixture(scope="module")
def vis(place):
    """Cells of 2 kB; an odd number of baselines, so that every other stretch of rows begins amid a block."""
    path = os.path.join(place, "vis.ms")
    shutil.copytree(inputs.simulated(22, 2), path)
    yield path
    shutil.rmtree(path)


def partition(vis, folder, *words, **env):
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    done = subprocess.run([SHEAF, "--nologfile", "partition", "vis=" + vis, "outputvis=o.mms", *words], cwd=folder, text=True,
                          capture_output=True, timeout=LIMIT_S, env=dict(os.environ, SHEAF_LOG="DEBUG", **env))
    assert done.returncode == 0, done.stderr
    return done.stderr


def without_reflinks(folder):
    return {"LD_PRELOAD": preload(faults.SHIM), "SHEAF_FAULT_UNDER": folder + "/", "SHEAF_FAULT_COUNTER": folder + ".count",
            "SHEAF_FAULT_LACK": "clone"}


def tiles_of(path, name):
    """The tile files of a column in all tables below, and the bytes of its cells."""
    found, size = [], 0
    for root, _, files in os.walk(path):
        if "table.dat" not in files or os.path.islink(root):
            continue
        with tables.table(root, ack=False) as t:
            if not t.nrows() or name not in t.colnames():
                continue
            managers = [m["SEQNR"] for m in t.getdminfo().values() if name in m["COLUMNS"]]
            size += t.getcol(name).nbytes
        found += [os.path.join(root, f"table.f{n}_TSM1") for n in managers]
    # The members of a Multi-MS, not its own view of them.
    return [f for f in found if os.path.exists(f)], size // (2 if os.path.isdir(os.path.join(path, "o.mms", "SUBMSS")) else 1)


@pytest.mark.parametrize("words,share", [
    (["separationaxis=scan", "numsubms=2"], 0.45), (["separationaxis=spw", "numsubms=4"], 0.45), (["numsubms=3"], 0.45),
    (["separationaxis=baseline", "numsubms=8"], 0), (["createmms=False"], 0.45), (["spw=1", "createmms=False"], 0.45),
    (["spw=1:3~70", "createmms=False"], 0), (["datacolumn=corrected", "createmms=False"], 0.45)])
def test_partition_is_the_same_to_the_byte(place, vis, words, share):
    a, b = os.path.join(place, "a"), os.path.join(place, "b")
    log = partition(vis, a, "scan=1,2", *words)
    assert "column FLAG is copied through memory" in log
    plain = partition(vis, b, "scan=1,2", *words, **without_reflinks(b))
    assert "share disk blocks" not in plain and "column DATA is copied through memory" in plain
    differing = outputs.differing(outputs.files(a), outputs.files(b))
    assert [f for f in differing if not f.endswith("FLAG_VERSION_LIST")] == []  # which has the time
    data, total = tiles_of(a, "DATA")
    shared = sum(map(mounts.shared_bytes, data))
    assert share * total <= shared <= 1.2 * share * total, (shared, total)
    assert ("column DATA: " in log) == (share > 0)
    assert sum(map(mounts.shared_bytes, tiles_of(b, "DATA")[0] + tiles_of(a, "FLAG")[0])) == 0
    if "createmms=False" not in words:
        assert faults.verify(os.path.join(a, "o.mms")) == ""
    shutil.rmtree(a)
    shutil.rmtree(b)


def test_what_is_written_to_the_output_is_not_written_to_the_input(place, vis):
    a = os.path.join(place, "a")
    partition(vis, a, "scan=1", "createmms=False")
    before = faults.checksums(vis)
    with tables.table(os.path.join(a, "o.mms"), readonly=False, ack=False) as t:
        t.putcol("DATA", np.zeros((t.nrows(), 128, 2), complex))
    assert faults.checksums(vis) == before
    with tables.table(os.path.join(a, "o.mms"), ack=False) as t:
        assert not t.getcol("DATA").any()
    shutil.rmtree(a)

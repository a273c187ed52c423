# SPDX-License-Identifier: GPL-3.0-or-later
"""ms/chunks.h and ms/inplace.h against casacore: what a unit reads, what it writes, and what others see meanwhile."""
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
tables = pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
from runs import BUILD, LIMIT_S, SHEAF, preload, wait_for  # noqa: E402
from simulate import simulate  # noqa: E402

TOOL = os.path.join(BUILD, "tests", "inplace_tool")
SHIM = os.path.join(BUILD, "tests", "libfault_shim.so")
COLUMNS = ["DATA", "FLAG", "WEIGHT", "UVW", "TIME", "ANTENNA1", "FLAG_ROW", "SIGMA_SPECTRUM", "NONE"]


def tool(*words, **options):
    return subprocess.run([TOOL, *map(str, words)], text=True, capture_output=True, timeout=LIMIT_S, **options)


def ok(*words, **options):
    done = tool(*words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: MS} of all kinds; not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    found = {"vla": inputs.ngc5921(), "windows": inputs.simulated()}
    for name, options in {"mixed": dict(autos=True, shuffled=True, spectra=("SIGMA_SPECTRUM",)),
                          "standard": dict(storage="standard"), "incremental": dict(storage="incremental")}.items():
        found[name] = str(folder / name)
        simulate(found[name], **options)
    return found


def cells(t, column):
    """{row: bytes} as casacore reads it; None where undefined."""
    if column not in t.colnames():
        return [None] * t.nrows()
    one_shape = t.isscalarcol(column)
    if not one_shape and all(t.iscelldefined(column, r) for r in range(t.nrows())):
        one_shape = len(set(t.getcolshapestring(column))) == 1
    if one_shape:
        return [v.tobytes() for v in t.getcol(column)]
    return [t.getcell(column, r).tobytes() if t.iscelldefined(column, r) else None for r in range(t.nrows())]


def records(path):
    """[(row, chunk, data description, column, elements, bytes)] of inplace_tool read."""
    with open(path, "rb") as f:
        data = f.read()
    at, found = 0, []
    while at < len(data):
        head = struct.unpack_from("6q", data, at)
        at += 48
        found.append(head[:5] + (data[at:at + head[5]],))
        at += head[5]
    return found


@pytest.mark.parametrize("name", ("vla", "windows", "mixed", "standard", "incremental"))
def test_chunks_are_what_casacore_reads(made, name, tmp_path):
    t = tables.table(made[name], ack=False)
    n = t.nrows()
    wanted = [cells(t, c) for c in COLUMNS]
    ddid = t.getcol("DATA_DESC_ID")
    t.close()
    rng = np.random.default_rng(5)
    for turn in range(3):
        row0 = 0 if turn == 0 else int(rng.integers(0, n))
        nrow = n if turn == 0 else int(rng.integers(0, n - row0 + 1))
        most = 0 if turn == 0 else int(rng.integers(1, 300))
        env = dict(os.environ, SHEAF_MEMORY="64M" if turn else "1G")
        ok("read", made[name], row0, nrow, most, ",".join(COLUMNS), tmp_path / "out", env=env)
        found = records(tmp_path / "out")
        assert sorted((r[3], r[0]) for r in found) == [(c, r) for c in range(len(COLUMNS)) for r in range(row0, row0 + nrow)]
        shapes, order = {}, {}
        for row, chunk, dd, column, count, data in found:
            assert dd == ddid[row]
            assert (wanted[column][row] or b"") == data, (row, COLUMNS[column])
            assert shapes.setdefault((chunk, column), (dd, count)) == (dd, count)
            assert order.setdefault((chunk, column), -1) < row
            order[chunk, column] = row
        if most:
            assert max(len([1 for r in found if r[1] == k and r[3] == 0]) for k in {r[1] for r in found} | {0}) <= most


def expect(path, source):
    """What is wrong in an MS after `update`, compared with the MS that it was made from; a list of texts."""
    t, s = tables.table(path, ack=False), tables.table(source, ack=False)
    wrong = []
    assert t.nrows() == s.nrows()
    for name in s.colnames():
        if name in ("CORRECTED_DATA", "FLAG", "WEIGHT"):
            continue
        if cells(t, name) != cells(s, name):
            wrong.append(name + " changed")
    data, flag, weight = cells(s, "DATA"), cells(s, "FLAG"), cells(s, "WEIGHT")
    got = {name: cells(t, name) for name in ("CORRECTED_DATA", "FLAG", "WEIGHT")}
    for row in range(t.nrows()):
        if data[row] is None:
            continue
        element = row + np.arange(len(flag[row]))
        new = {"CORRECTED_DATA": (2 * np.frombuffer(data[row], np.float32)).tobytes(),
               "FLAG": (element % 3 == 0).tobytes(), "WEIGHT": element[:len(weight[row]) // 4].astype(np.float32).tobytes()}
        if row % 5 == 2:
            new.update(FLAG=flag[row], WEIGHT=weight[row])
        wrong += [f"{name} of row {row}" for name in new if got[name][row] != new[name]]
    t.close()
    s.close()
    return wrong[:5]


def copy(source, to):
    shutil.copytree(source, to, symlinks=True)
    return str(to)


def sums(path):
    """Contents of all files but table.lock, which counts."""
    found = {}
    for root, _, names in os.walk(path):
        for n in names:
            if n != "table.lock":
                with open(os.path.join(root, n), "rb") as f:
                    found[os.path.relpath(os.path.join(root, n), path)] = f.read()
    return found


@pytest.mark.parametrize("name", ("vla", "windows", "mixed", "standard", "incremental"))
def test_updates_are_the_same_for_any_number_of_processes(made, name, tmp_path):
    serial = copy(made[name], tmp_path / "0")
    ok("update", serial, 1 << 40, 0)
    assert expect(serial, made[name]) == []
    for n in (2, 4, 8):
        path = copy(made[name], tmp_path / str(n))
        ok("update", path, (3000000 if name == "vla" else 80000) // n, n)
        if name in ("vla", "windows", "mixed"):
            assert sums(path) == sums(serial)
        else:
            assert expect(path, made[name]) == []


def test_update_of_a_multi_ms(made, tmp_path):
    mms = str(tmp_path / "m.mms")
    subprocess.run([SHEAF, "--nologfile", "partition", "vis=" + made["vla"], "outputvis=" + mms, "numsubms=3"], check=True,
                   capture_output=True, timeout=LIMIT_S)
    whole = copy(mms, tmp_path / "whole.mms")
    links = {os.path.join(r, n): os.readlink(os.path.join(r, n)) for r, d, f in os.walk(mms) for n in d + f
             if os.path.islink(os.path.join(r, n))}
    ok("update", mms, 1000000, 2)
    names = sorted(os.listdir(mms + "/SUBMSS"))
    assert names == sorted(os.listdir(whole + "/SUBMSS")) and len(names) == 3
    for name in names:
        assert expect(f"{mms}/SUBMSS/{name}", f"{whole}/SUBMSS/{name}") == []
    t = tables.table(mms, ack=False)
    assert "CORRECTED_DATA" in t.colnames() and np.array_equal(t.getcell("CORRECTED_DATA", 5), 2 * t.getcell("DATA", 5))
    assert not [n for r, d, f in os.walk(mms) for n in d + f if "sheaf" in n and n != "sheaf.ledger"]
    assert links == {os.path.join(r, n): os.readlink(os.path.join(r, n)) for r, d, f in os.walk(mms) for n in d + f
                     if os.path.islink(os.path.join(r, n))}
    ok("update", mms + "/SUBMSS/" + names[1], 1000000, 0)  # a sub-MS by itself


def layout_of(path, column):
    out = subprocess.run([os.path.join(BUILD, "tests", "tiles_tool")], input=f"describe {path} {column}\n", text=True,
                         capture_output=True).stdout
    return json.loads(out[3:]) if out.startswith("ok") else None


@pytest.mark.parametrize("name", ("vla", "windows", "mixed"))
@pytest.mark.parametrize("target", (1, 3000, 50000, 1 << 40))
def test_units(made, name, target):
    path = made[name]
    units = json.loads(ok("units", path, target, "FLAG,DATA"))
    t = tables.table(path, ack=False)
    n = t.nrows()
    t.close()
    assert [u[1] for u in units] == list(np.cumsum([0] + [u[2] for u in units]))[:-1] and sum(u[2] for u in units) == n
    assert len(units) == 1 if target == 1 << 40 else len(units) > 1 or target == 50000
    assert json.loads(ok("units", path, target, "FLAG,DATA")) == units
    # No two units share a byte of flags: FLAG's elements before each cut, per shape, fill whole bytes or tiles.
    info = layout_of(path, "FLAG")
    t = tables.table(path, ack=False)
    shapes = [tuple(t.getcell("FLAG", r).shape[::-1]) for r in range(n)] if name == "mixed" else None
    t.close()
    for cube in info["cubes"]:
        if not cube["shape"]:
            continue
        rows = np.array([tuple(cube["shape"]) == s for s in shapes]) if shapes else None
        if rows is None and len([c for c in info["cubes"] if c["shape"]]) > 1:
            continue  # shapes by window: the update tests look at these
        rows = np.ones(n, bool) if rows is None else rows
        for u in units[1:]:
            before = int(rows[:u[1]].sum())
            in_tile = before % cube["tile_rows"]
            assert in_tile * int(np.prod(cube["tile"])) % 8 == 0 or before == int(rows.sum()), (u, cube)


def test_column_through_casacore_is_one_unit(made):
    assert len(json.loads(ok("units", made["standard"], 100, "FLAG,WEIGHT"))) == 1
    assert len(json.loads(ok("units", made["vla"], 100000, "FLAG,FLAG_ROW"))) == 1


@pytest.mark.parametrize("nproc", (2, 4, 8))
def test_readers_see_old_or_new(made, nproc, tmp_path):
    """Processes write FLAG and CORRECTED_DATA while casacore reads the same cells."""
    source = made["windows"]
    path = copy(source, tmp_path / "t.ms")
    ok("update", path, 1 << 40, 0)  # CORRECTED_DATA, and every value new
    t, s = tables.table(path, ack=False), tables.table(source, ack=False)
    n = t.nrows()
    new, old = cells(t, "FLAG"), cells(s, "FLAG")
    corrected = cells(t, "CORRECTED_DATA")
    t.close()
    writer = tables.table(path, ack=False, readonly=False)  # back to the old flags
    for row in range(n):
        writer.putcell("FLAG", row, s.getcell("FLAG", row))
    writer.close()
    s.close()
    job = subprocess.Popen([TOOL, "update", path, "20000", str(nproc), "3"], stdout=subprocess.PIPE, text=True)
    looks = 0
    reader = tables.table(path, ack=False, lockoptions="usernoread")
    while job.poll() is None or looks < 3:
        reader.resync()
        for row in range(0, n, 1 + n // 400):
            flag = reader.getcell("FLAG", row).tobytes()
            assert all(x in (a, b) for x, a, b in zip(flag, old[row], new[row])), row
            assert reader.getcell("CORRECTED_DATA", row).tobytes() == corrected[row]
        looks += 1
    assert job.wait() == 0, job.stdout.read()
    reader.lock(write=False)  # counters have moved: what is cached is dropped
    assert cells(reader, "FLAG") == new
    reader.close()
    assert expect(path, source) == []
    serial = copy(source, tmp_path / "serial.ms")
    ok("update", serial, 1 << 40, 0)
    a, b = tables.table(path, ack=False), tables.table(serial, ack=False)
    for name in a.colnames():
        assert cells(a, name) == cells(b, name), name
    a.close()
    b.close()


def open_below(pid, path):
    """Descriptors of a process and its children that lie below a path; None when it is gone."""
    found = 0
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found += os.readlink(f"/proc/{pid}/fd/{name}").startswith(path + "/")
            except FileNotFoundError:
                pass
    except FileNotFoundError:
        return None
    return found


@pytest.mark.parametrize("name", ("windows", "mixed"))
def test_at_most_eight_descriptors(made, name, tmp_path):
    """Of files of the MS, in a unit that reads and writes, with more tiled columns than that."""
    path = copy(made[name], tmp_path / "t.ms")
    job = subprocess.Popen([TOOL, "update", path, str(1 << 40), "0", "20"], stdout=subprocess.PIPE, text=True)
    most = looks = 0
    while job.poll() is None:
        found = open_below(job.pid, path)
        if found is not None:
            most = max(most, found)
            looks += 1
    assert job.wait() == 0, job.stdout.read()
    assert looks > 20 and 1 <= most <= 8, (looks, most)


def test_one_task_at_a_time(made, tmp_path):
    path = copy(made["mixed"], tmp_path / "t.ms")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    done = tool("update", path, 1000, 0)
    assert done.returncode == 1 and done.stdout.startswith("error -3") and "another task" in done.stdout
    os.close(fd)
    ok("update", path, 1000, 0)


@pytest.mark.parametrize("name", ("windows", "standard"))
@pytest.mark.parametrize("error", ("ENOLCK", "ENOSYS"))
def test_without_locks(made, name, error, tmp_path):
    path = copy(made[name], tmp_path / "t.ms")
    ok("update", path, 50000, 2, env=dict(os.environ, LD_PRELOAD=preload(SHIM), SHEAF_FAULT_LOCKS=error))
    assert expect(path, made[name]) == []


def test_table_locked_by_casacore_waits(made, tmp_path):
    """A column that goes through casacore waits for the table's lock."""
    path = copy(made["standard"], tmp_path / "t.ms")
    ok("update", path, 50000, 0)
    code = ("import sys; from casacore.tables import table; t = table(sys.argv[1], readonly=False, ack=False, "
            "lockoptions='user'); t.lock(); open(sys.argv[2], 'w').close(); sys.stdin.readline(); t.unlock(); t.close()")
    holder = subprocess.Popen([sys.executable, "-c", code, path, str(tmp_path / "held")], stdin=subprocess.PIPE, text=True)
    wait_for(str(tmp_path / "held"))
    job = subprocess.Popen([TOOL, "update", path, "50000", "0"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(timeout=2)
    holder.communicate("\n")
    assert job.wait(timeout=LIMIT_S) == 0, job.stdout.read()
    assert expect(path, made["standard"]) == []


class Holder:
    """Another process that has read from a table through casacore, whose auto locking keeps the read lock; "busy": it
    closes the table when somebody asks for the lock (the first number in table.lock counts them)."""
    code = ("import sys, time; from casacore.tables import table; t = table(sys.argv[1], ack=False, lockoptions='auto'); "
            "t.getcell('TIME', 0); open(sys.argv[2], 'w').close(); requests = open(sys.argv[1] + '/table.lock', 'rb', 0)\n"
            "while sys.argv[3] == 'busy' and requests.read(4) == bytes(4): time.sleep(0.1); requests.seek(0)\n"
            "sys.argv[3] == 'busy' or sys.stdin.readline(); t.close()")

    def __init__(self, path, tmp_path, how="idle"):
        mark = str(tmp_path / f"held.{how}")
        self.process = subprocess.Popen([sys.executable, "-c", self.code, path, mark, how], stdin=subprocess.PIPE, text=True)
        wait_for(mark)
        os.remove(mark)

    def __enter__(self):
        return self.process

    def __exit__(self, *what):
        self.process.kill()
        self.process.communicate()


def sheaf(task, *words):
    return subprocess.run([SHEAF, "--nologfile", task, *words], text=True, capture_output=True, timeout=LIMIT_S)


def refused(done, path, pid):
    said = done.stdout + done.stderr
    return (done.returncode != 0 and "nothing is changed" in said and "in part" not in said and f"process {pid} (" in said
            and path in said and "close the table there" in said)


FLAG_ALL = ("flagdata", "mode=manual", "antenna=1")  # whole rows, so that FLAG_ROW changes, which goes through casacore


@pytest.fixture(scope="module")
def locked_members(made, tmp_path_factory):
    """{name: (MS or Multi-MS, the table whose lock is kept)}, copied by tests."""
    mms = str(tmp_path_factory.mktemp("locks") / "m.mms")
    assert sheaf("partition", "vis=" + made["vla"], "outputvis=" + mms, "numsubms=3").returncode == 0
    return {"vla": (made["vla"], ""), "mms": (mms, "SUBMSS/m.mms.0002.ms")}


@pytest.mark.parametrize("name", ("vla", "mms"))
def test_a_reader_that_keeps_its_lock_is_met_before_anything_is_written(locked_members, name, tmp_path):
    source, member = locked_members[name]
    path = copy(source, tmp_path / "t.ms")
    held = os.path.join(path, member) if member else path
    before = sums(path)
    with Holder(held, tmp_path) as holder:
        assert refused(sheaf(FLAG_ALL[0], "vis=" + path, *FLAG_ALL[1:]), held, holder.pid)
        assert sums(path) == before and not os.path.exists(path + ".flagversions")
        # FLAG alone needs no lock: readers look at the change counters at their next one.
        done = sheaf("flagdata", "vis=" + path, "mode=manual", "spw=0:3~4", "flagbackup=False")
        assert done.returncode == 0, done.stdout + done.stderr
        assert sums(path) != before
    done = sheaf(FLAG_ALL[0], "vis=" + path, *FLAG_ALL[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    if name == "vla":
        return
    before = sums(path)
    with Holder(held, tmp_path) as holder:
        assert refused(sheaf("flagmanager", "vis=" + path, "mode=restore", "versionname=flagdata_1"), held, holder.pid)
        assert sums(path) == before
    done = sheaf("flagmanager", "vis=" + path, "mode=restore", "versionname=flagdata_1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reader_that_closes_the_table_when_asked_is_waited_for(made, tmp_path):
    path = copy(made["vla"], tmp_path / "t.ms")
    with Holder(path, tmp_path, "busy"):
        done = sheaf(FLAG_ALL[0], "vis=" + path, *FLAG_ALL[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    t = tables.table(path, ack=False)
    assert t.query("FLAG_ROW").nrows() > 500 and t.query("FLAG_ROW != all(FLAG)").nrows() == 0
    t.close()


@pytest.mark.parametrize("task", (("clearcal",), ("initweights", "wtmode=ones")))
def test_weights_and_corrected_data_in_standard_managers_need_the_lock(made, task, tmp_path):
    path = copy(made["standard"], tmp_path / "t.ms")
    if task[0] == "clearcal":  # a CORRECTED_DATA that goes through casacore
        t = tables.table(path, readonly=False, ack=False)
        t.addcols(tables.maketabdesc(tables.makearrcoldesc("CORRECTED_DATA", 0j, ndim=2, valuetype="complex",
                                                           datamanagertype="StandardStMan", datamanagergroup="C")))
        t.putcell("CORRECTED_DATA", 0, t.getcell("DATA", 0))
        t.close()
    before = sums(path)
    with Holder(path, tmp_path) as holder:
        assert refused(sheaf(task[0], "vis=" + path, *task[1:]), path, holder.pid)
        assert sums(path) == before


def test_memory_budget(made, tmp_path):
    env = dict(os.environ, SHEAF_MEMORY="64M")
    path = str(tmp_path / "t.ms")
    desc = [tables.makescacoldesc("DATA_DESC_ID", 0),
            tables.makearrcoldesc("DATA", 0j, ndim=2, valuetype="complex", datamanagertype="TiledShapeStMan")]
    t = tables.table(path, tables.maketabdesc(desc), nrow=3, ack=False)
    for row in range(3):
        t.putcell("DATA", row, np.full((1200, 1000), row, np.complex64))
    t.close()
    done = tool("read", path, 0, 3, 0, "DATA", tmp_path / "out", env=env)
    assert done.returncode == 1 and "error -7" in done.stdout and "SHEAF_MEMORY" in done.stdout
    ok("read", path, 0, 3, 0, "DATA", tmp_path / "out")



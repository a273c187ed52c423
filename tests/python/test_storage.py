# SPDX-License-Identifier: GPL-3.0-or-later
"""MSs in storage that is not tiled files of this machine's byte order: Dysco, big endian, multi-file and multi-hdf5 tables,
adios2. Tasks give what casacore reads, whichever way a column takes. Where casacore lacks a storage, its tests are skipped;
Debian's lacks adios2, which can be had so: casacore's Adios2StMan*.cc compiled against PyPI's adios2 (it holds headers and libraries)
to libcasa_adios2stman.so.7, both in LD_LIBRARY_PATH."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
tables = pytest.importorskip("casacore.tables")
import sheaf  # noqa: E402
from runs import BUILD, LIMIT_S, SHEAF  # noqa: E402
import inputs  # noqa: E402
from test_inplace import cells, records  # noqa: E402

TOOL = os.path.join(BUILD, "tests", "inplace_tool")
COLUMNS = ["DATA", "FLAG", "WEIGHT", "UVW", "TIME", "ANTENNA1"]
DYSCO = {"dataBitCount": 8, "weightBitCount": 12, "distribution": "TruncatedGaussian", "normalization": "AF",
         "studentTNu": 0.0, "distributionTruncation": 2.5}

COPY = """
import sys
from casacore import tables
t = tables.table(sys.argv[1], ack=False)
t.copy(sys.argv[2], deep=True, valuecopy=True, endian=sys.argv[3]).close()
"""


def with_data_in(plain, path, manager, spec):
    """A copy whose DATA casacore keeps in that manager; what it reads back is what counts."""
    with tables.table(plain, ack=False) as t:
        t.copy(path, deep=True, valuecopy=True).close()
        n, shape = t.nrows(), t.getcell("DATA", 0).shape
        data = t.getcol("DATA")
    with tables.table(path, readonly=False, ack=False) as t:
        t.removecols("DATA")
        desc = tables.makearrcoldesc("DATA", 0j, ndim=2, shape=list(shape), options=5, valuetype="complex")
        t.addcols(tables.maketabdesc(desc), {"TYPE": manager, "NAME": manager + "Data", "SPEC": spec})
        t.putcol("DATA", data[:n])
    with tables.table(path, ack=False) as t:
        assert t.getdminfo("DATA")["TYPE"] == manager
    return path


def as_option(plain, path, option):
    """A copy by a casacore that is told to keep all columns in one file."""
    rc = path + ".casarc"
    with open(rc, "w") as f:
        f.write(f"table.storage.option: {option}\n")
    done = subprocess.run([sys.executable, "-c", COPY, plain, path, "local"], capture_output=True, text=True,
                          env=dict(os.environ, CASARCFILES=rc), timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return path


def as_endian(plain, path):
    done = subprocess.run([sys.executable, "-c", COPY, plain, path, "big" if sys.byteorder == "little" else "little"],
                          capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return path


KINDS = {"dysco": (lambda a, b: with_data_in(a, b, "DyscoStMan", DYSCO), "through casacore"), "endian": (as_endian, "through its tiles"),
         "multifile": (lambda a, b: as_option(a, b, "multifile"), "through casacore"),
         "multihdf5": (lambda a, b: as_option(a, b, "multihdf5"), "through casacore"),
         "adios2": (lambda a, b: with_data_in(a, b, "Adios2StMan", {}), "through casacore")}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A function that makes an MS of a kind once; the test is skipped where casacore lacks that storage."""
    folder = tmp_path_factory.mktemp("stored")
    plain = str(folder / "plain.ms")
    with tables.table(inputs.simulated(), ack=False) as t:  # Dysco wants the same baselines at every time
        t.query("DATA_DESC_ID == 0").copy(plain, deep=True).close()
    made = {}

    def get(kind):
        if kind not in made:
            try:
                made[kind] = KINDS[kind][0](plain, str(folder / kind))
            except (RuntimeError, AssertionError) as e:
                made[kind] = e
        if isinstance(made[kind], Exception):
            if any(word in str(made[kind]) for word in ("not found in CASACORE_LDPATH", "HDF5", "unknown data manager")):
                pytest.skip("casacore lacks it")
            raise made[kind]
        return made[kind]
    return get


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_are_what_casacore_reads(kind, stored, tmp_path):
    path = stored(kind)
    with tables.table(path, ack=False) as t:
        n = t.nrows()
        wanted = [cells(t, c) for c in COLUMNS]
    done = subprocess.run([TOOL, "read", path, "0", str(n), "0", ",".join(COLUMNS), str(tmp_path / "out")], text=True,
                          capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout
    found = records(tmp_path / "out")
    assert len(found) == n * len(COLUMNS)
    for row, _, _, column, _, data in found:
        assert (wanted[column][row] or b"") == data, (row, COLUMNS[column])


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_give_what_casacore_gives(kind, stored, tmp_path):
    path, copy, mms = stored(kind), str(tmp_path / "t.ms"), str(tmp_path / "t.mms")
    sheaf.partition(path, mms, numsubms=2, flagbackup=False, separationaxis="scan")
    keys = ("TIME", "ANTENNA1", "ANTENNA2", "DATA_DESC_ID", "SCAN_NUMBER")
    found = []
    for name in (path, mms):
        with tables.table(name, ack=False) as t:
            order = np.lexsort([t.getcol(k) for k in keys])
            found.append({c: t.getcol(c)[order].tobytes() for c in ("DATA", "FLAG", "TIME", "UVW")})
    assert found[0] == found[1]
    subprocess.run(["cp", "-r", path, copy], check=True)
    if kind.startswith("multi"):
        with pytest.raises(sheaf.Error, match="keeps its columns in one file"):
            sheaf.clearcal(copy)
        return
    sheaf.clearcal(copy)
    sheaf.initweights(copy, wtmode="ones")
    with tables.table(copy, ack=False) as t:
        assert t.getcol("CORRECTED_DATA").tobytes() == t.getcol("DATA").tobytes() and np.all(t.getcol("WEIGHT") == 1)
        assert t.getcol("DATA").tobytes() == tables.table(path, ack=False).getcol("DATA").tobytes()


def test_the_log_says_which_way_a_column_takes(stored, tmp_path):
    for kind in ("endian", "dysco"):
        log = str(tmp_path / kind)
        subprocess.run(["cp", "-r", stored(kind), str(tmp_path / (kind + ".ms"))], check=True)
        done = subprocess.run([SHEAF, "--logfile", log, "clearcal", "vis=" + str(tmp_path / (kind + ".ms"))],
                              capture_output=True, text=True, timeout=LIMIT_S, env=dict(os.environ, SHEAF_LOG="debug"))
        assert done.returncode == 0, done.stderr
        with open(log) as f:
            assert f"column DATA goes {KINDS[kind][1]}" in f.read()


@pytest.mark.skipif(not shutil.which("wsclean"), reason="wsclean is not here")
def test_an_ms_that_wsclean_wrote_to(tmp_path, monkeypatch):
    """It adds MODEL_DATA to the standard manager of ANTENNA1 and others."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(inputs.ngc5921(), "a.ms")
    for words in (["-size", "64", "64", "-scale", "1amin", "-niter", "50"], ["-predict"]):
        done = subprocess.run(["wsclean", *words, "-no-reorder", "-name", "x", "a.ms"], capture_output=True, text=True,
                              timeout=LIMIT_S)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    model_in_a_shared_manager("a.ms")


def test_a_model_in_the_manager_of_scalars(tmp_path):
    """The same, made by python-casacore."""
    path = str(tmp_path / "a.ms")
    shutil.copytree(inputs.ngc5921(), path)
    with tables.table(path, readonly=False, ack=False) as t:
        t.addcols(tables.makearrcoldesc("MODEL_DATA", 0j, ndim=2, valuetype="complex"))
        t.putcol("MODEL_DATA", 3 * t.getcol("DATA"))
    model_in_a_shared_manager(path)


def model_in_a_shared_manager(path):
    with tables.table(path, ack=False) as t:
        n = t.nrows()
        shared = next(v["COLUMNS"] for v in t.getdminfo().values() if "MODEL_DATA" in v["COLUMNS"])
        assert len(shared) > 1
        names = t.colnames()
        before = {c: cells(t, c) for c in names if t.isscalarcol(c) or c in ("DATA", "FLAG", "MODEL_DATA", "WEIGHT")}
    done = subprocess.run([TOOL, "read", path, "0", str(n), "0", "MODEL_DATA,DATA", path + ".out"], text=True,
                          capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout
    for row, _, _, column, _, data in records(path + ".out"):
        assert before[("MODEL_DATA", "DATA")[column]][row] == data
    sheaf.delmod(path, scr=True)
    with tables.table(path, ack=False) as t:
        assert t.colnames() == [c for c in names if c != "MODEL_DATA"]
        for name, values in before.items():
            assert name == "MODEL_DATA" or cells(t, name) == values, name


def test_children_do_not_share_the_places_where_they_read(tmp_path):
    """As wsclean leaves it: MODEL_DATA in the standard manager of the ids, where casacore reads by moving a file's position.
    Children of one process shared that position."""
    path, mms = str(tmp_path / "model.ms"), str(tmp_path / "model.mms")
    shutil.copytree(inputs.ngc5921(), path)
    rng = np.random.default_rng(1)
    with tables.table(path, readonly=False, ack=False) as t:
        shape = t.getcol("DATA").shape
        t.addcols(tables.maketabdesc(tables.makearrcoldesc("MODEL_DATA", 0j, shape=shape[1:], options=4, valuetype="complex",
                                                           datamanagertype="StandardStMan", datamanagergroup="SSM")))
        assert t.getdminfo("MODEL_DATA")["NAME"] == t.getdminfo("ANTENNA1")["NAME"]
        t.putcol("MODEL_DATA", (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64))
    keys = ("TIME", "ANTENNA1", "ANTENNA2")
    found = []
    for k in range(4):
        if k > 0:
            shutil.rmtree(mms, ignore_errors=True)
            sheaf.partition(path, mms, numsubms=4, separationaxis="scan", flagbackup=False)
        with tables.table(mms if k else path, ack=False) as t:
            order = np.lexsort([t.getcol(key) for key in keys])
            found.append(t.getcol("MODEL_DATA")[order].tobytes())
    assert all(one == found[0] for one in found)


AGAIN = """
import sys, shutil, sheaf
for i in range(30):
    sheaf.partition(sys.argv[1], sys.argv[2], numsubms=2, flagbackup=False, separationaxis="scan")
    shutil.rmtree(sys.argv[2])
"""


def test_a_manager_with_threads_does_not_stop_a_child(stored, tmp_path):
    """Dysco starts threads when a table is opened, and a child forked then inherits what they have locked."""
    subprocess.run([sys.executable, "-c", AGAIN, stored("dysco"), str(tmp_path / "t.mms")], check=True, timeout=LIMIT_S,
                   cwd=tmp_path)

# SPDX-License-Identifier: GPL-3.0-or-later
"""partition: nothing is lost, the answer is CASA's (expected/partition.json, made by expected/make_partition.py), and bad
input leaves nothing behind."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import pytest

import sheaf
import uvfits_cases

pytest.importorskip("casacore.tables")
from casacore.tables import table, taql  # noqa: E402

import partition_cases as cases  # noqa: E402
from simulate import simulate  # noqa: E402

HERE = pathlib.Path(__file__).parent
CASA = json.loads((HERE / "expected" / "partition.json").read_text())["results"]
LAYOUT = json.loads((HERE / "expected" / "partition_layout.json").read_text())
AXES = ["auto", "scan", "spw", "baseline"]

# Simulated inputs, each with shapes that NGC 5921 lacks.
SIMULATED = {
    "rich": dict(optional=True, extra=True, swapped=True, autos=True, shuffled=True,
                 data=("DATA", "CORRECTED_DATA", "MODEL_DATA"), spectra=("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM")),
    "float": dict(data=("FLOAT_DATA", "DATA"), feed_any=True, intents=(), spectra=("SIGMA_SPECTRUM",)),
    "standard": dict(storage="standard", swapped=True, spectra=("WEIGHT_SPECTRUM",), optional=True),
    "incremental": dict(storage="incremental", autos=True, extra=True),
    "holes": dict(undefined=("DATA", "WEIGHT_SPECTRUM"), data=("DATA", "MODEL_DATA"), spectra=("WEIGHT_SPECTRUM",),
                  swapped=True, dangling=("ASDM_MAIN", "ASDM_SOURCE")),
}


# Each call waits until its output is on the disk: hundreds of calls are quicker where there is no disk.
def new_folder():
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30 else None
    return pathlib.Path(tempfile.mkdtemp(prefix="sheaf-test-", dir=quick))


@pytest.fixture(scope="session")
def inputs():
    folder = new_folder()
    sheaf.importuvfits(uvfits_cases.unpacked(), str(folder / "ngc.ms"))
    cases.make_inputs(str(folder))
    for name, options in SIMULATED.items():
        simulate(str(folder / f"sim-{name}.ms"), **options)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    folder = new_folder()
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def rich(inputs):
    return str(inputs / "sim-rich.ms")


# ---- reading an MS by meaning: ids are replaced by what they refer to ----


def column(path, sub, name):
    t = table(os.path.join(path, sub), ack=False)
    return [t.getcell(name, r) for r in range(t.nrows())]


def names_of(path):
    """For each id column, what each id stands for."""
    windows = column(path, "SPECTRAL_WINDOW", "NAME")
    types = [tuple(c.tolist()) for c in column(path, "POLARIZATION", "CORR_TYPE")]
    dds = list(zip(column(path, "DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID"),
                   column(path, "DATA_DESCRIPTION", "POLARIZATION_ID")))
    antennas = column(path, "ANTENNA", "NAME")
    return {"DATA_DESC_ID": [(windows[s], types[p]) for s, p in dds], "FIELD_ID": column(path, "FIELD", "NAME"),
            "ANTENNA1": antennas, "ANTENNA2": antennas, "OBSERVATION_ID": column(path, "OBSERVATION", "PROJECT"),
            "STATE_ID": column(path, "STATE", "SUB_SCAN")}


def same(a, b):
    """Equal values; NaN equals itself."""
    if isinstance(a, (tuple, str, list)):
        return a == b
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def read(path, where=None, without=("ARRAY_ID",)):
    """{key: {column: cell or None}} of all rows (or those that TaQL selects), ids by meaning."""
    t = table(path, ack=False)
    if where:
        t = taql(f"select from $t where {where}")
    names = names_of(path)
    columns = [c for c in t.colnames() if c not in without]
    out = {}
    for r in range(t.nrows()):
        row = {c: t.getcell(c, r) if t.iscelldefined(c, r) else None for c in columns}
        for c, n in names.items():
            row[c] = n[row[c]] if 0 <= row[c] < len(n) else row[c]
        # EXPOSURE has another value in each row of a simulated MS.
        key = (row["TIME"], row["ANTENNA1"], row["ANTENNA2"], row["DATA_DESC_ID"][0], row["EXPOSURE"])
        assert key not in out, "a row occurs twice"
        out[key] = row
    return out


def assert_rows_equal(found, expected, skip=()):
    assert sorted(found) == sorted(expected)
    for key, row in expected.items():
        assert set(row) - set(skip) <= set(found[key])
        for name, value in row.items():
            other = found[key][name] if name not in skip else value
            assert (value is None) == (other is None) and (value is None or same(value, other)), (key, name, value, other)


# CASA's weight rules: what is processed decides what WEIGHT and SIGMA are made from.
def expect_weights(rows, corrected, data=True):
    for row in rows.values():
        sigma, weight = row["SIGMA"], row["WEIGHT"]
        tiny = np.finfo(np.float32).tiny
        with np.errstate(divide="ignore"):
            if not corrected:
                row["WEIGHT"] = np.where(sigma > tiny, np.float32(1) / (sigma * sigma), np.float32(0))
            elif not data:
                row["SIGMA"] = np.where(weight > tiny, np.float32(1) / np.sqrt(weight), np.float32(-1))
    return rows


def tree(path):
    """Everything below a path: names, contents, link targets."""
    out = {}
    for base, folders, files in os.walk(path):
        for name in folders + files:
            at = os.path.join(base, name)
            if os.path.islink(at):
                out[at] = os.readlink(at)
            elif os.path.isfile(at):
                out[at] = hashlib.sha256(pathlib.Path(at).read_bytes()).hexdigest()
    return out


def sub_rows(path, sub):
    """Rows of a sub-table as texts, with their ids by meaning, in sorted order."""
    t = table(os.path.join(path, sub), ack=False)
    names = {k: v for k, v in names_of(path).items() if k in ("FIELD_ID", "OBSERVATION_ID")}
    names["ANTENNA_ID"] = column(path, "ANTENNA", "NAME")
    names["SPECTRAL_WINDOW_ID"] = column(path, "SPECTRAL_WINDOW", "NAME")
    out = []
    for r in range(t.nrows()):
        row = {c: t.getcell(c, r) if t.iscelldefined(c, r) else None for c in t.colnames()}
        for c, n in names.items():
            if c in row and row[c] >= 0:
                row[c] = n[row[c]]
        out.append(repr(sorted((c, v.tolist() if hasattr(v, "tolist") else v) for c, v in row.items())))
    return sorted(out)


def subtables(path):
    """Names of the sub-tables that exist; asking for a dangling one says where it should be."""
    return sorted(k for k, v in table(path, ack=False).getkeywords().items()
                  if str(v).startswith("Table: ") and os.path.exists(os.path.join(str(v)[7:], "table.dat")))


def assert_subtables_equal(out, vis, skip=()):
    assert subtables(out) == subtables(vis)
    for sub in set(subtables(vis)) - set(skip) - {"HISTORY"}:
        assert sub_rows(out, sub) == sub_rows(vis, sub), sub


# ---- nothing is lost ----


@pytest.mark.parametrize("numsubms", [2, 100, "auto"])
@pytest.mark.parametrize("axis", AXES)
def test_every_row_of_a_rich_ms_is_in_one_sub_ms(rich, axis, numsubms):
    before = tree(rich)
    assert sheaf.partition(rich, "out.mms", separationaxis=axis, numsubms=numsubms) is None
    assert_rows_equal(read("out.mms"), read(rich))
    # A window that no data description uses stays behind on axis spw, as CASA's do.
    assert_subtables_equal("out.mms", rich, {"spw": ["SPECTRAL_WINDOW", "DATA_DESCRIPTION", "SOURCE", "FEED", "SYSCAL",
                                                     "SYSPOWER", "CALDEVICE"]}.get(axis, ()))
    parts = [table(p, ack=False).nrows() for p in cases.members("out.mms")]
    assert sum(parts) == table(rich, ack=False).nrows() and min(parts) > 0
    assert len(parts) <= (8 if numsubms == "auto" else numsubms)
    assert tree(rich) == before
    assert sorted(os.listdir()) == ["out.mms", "out.mms.flagversions"]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["float", "standard", "incremental", "holes"])
def test_every_row_of_other_shapes_is_in_one_sub_ms(inputs, name, axis):
    vis = str(inputs / f"sim-{name}.ms")
    sheaf.partition(vis, "out.mms", separationaxis=axis, numsubms=3)
    # Without a CORRECTED_DATA column WEIGHT is made from SIGMA.
    assert_rows_equal(read("out.mms"), expect_weights(read(vis), corrected=False))
    if axis != "spw":
        assert_subtables_equal("out.mms", vis)


def test_a_dangling_keyword_is_left_out_with_a_warning(inputs, capfd):
    vis = str(inputs / "sim-holes.ms")
    sheaf.partition(vis, "out.mms", numsubms=2)
    assert "ASDM_MAIN points to" in capfd.readouterr().err
    assert "ASDM_MAIN" not in table("out.mms", ack=False).getkeywords()


@pytest.mark.parametrize("axis", AXES)
def test_a_multi_ms_as_input_keeps_its_sub_mss_and_axis(rich, axis):
    sheaf.partition(rich, "in.mms", separationaxis=axis, numsubms=3, flagbackup=False)
    before = tree("in.mms")
    sheaf.partition("in.mms", "out.mms", separationaxis="scan", numsubms=7, flagbackup=False)
    assert tree("in.mms") == before  # python-casacore, below, adds lock files where there are none
    assert_rows_equal(read("out.mms"), read("in.mms"))
    assert_subtables_equal("out.mms", "in.mms")
    for a, b in zip(cases.members("in.mms"), cases.members("out.mms"), strict=True):
        assert_rows_equal(read(b), read(a))
    assert pathlib.Path("out.mms/table.info").read_text().splitlines()[3] == \
        "AxisType = " + axis.replace("auto", "scan,spw")


def test_a_multi_ms_becomes_an_ms(rich):
    sheaf.partition(rich, "in.mms", separationaxis="baseline", numsubms=4)
    sheaf.partition("in.mms", "out.ms", createmms=False)
    assert not os.path.exists("out.ms/SUBMSS") and not os.path.exists("out.ms.flagversions")
    assert_rows_equal(read("out.ms"), read(rich))
    assert_subtables_equal("out.ms", rich)


def test_a_member_of_which_nothing_is_selected_has_no_counterpart(inputs):
    sheaf.partition(str(inputs / "ngc.ms"), "in.mms", separationaxis="scan", numsubms=4, flagbackup=False)
    sheaf.partition("in.mms", "out.mms", scan="2,5", flagbackup=False)
    parts = cases.members("out.mms")
    assert [os.path.basename(p) for p in parts] == ["out.mms.0000.ms", "out.mms.0001.ms"]
    assert [set(table(p, ack=False).getcol("SCAN_NUMBER")) for p in parts] == [{2}, {5}]


# ---- the answer is CASA's ----


@pytest.mark.parametrize("case", CASA)
def test_casas_answer(inputs, case):
    name, keywords = cases.CASES[case]
    sheaf.partition(str(inputs / f"{name}.ms"), "out.mms", flagbackup=False, **keywords)
    found, casa = cases.digest("out.mms"), CASA[case]
    assert {k: found[k] for k in ("rows", "scans", "ddids")} == {k: casa[k] for k in ("rows", "scans", "ddids")}
    assert found["main"] == casa["main"]
    assert found["sub"] == {k: v for k, v in casa["sub"].items() if k in found["sub"]}


def layout(path):
    """Directories, links with targets, and table.info files of a Multi-MS."""
    out = []
    for base, folders, files in os.walk(path):
        for name in sorted(folders):
            at = os.path.join(base, name)
            out.append(f"{at} -> {os.readlink(at)}" if os.path.islink(at) else at)
    return sorted(out)


@pytest.mark.parametrize("axis", AXES)
def test_casas_layout(inputs, axis):
    sheaf.partition(str(inputs / "ngc.ms"), f"ngc_{axis}_4.mms", separationaxis=axis, numsubms=4)
    assert layout(f"ngc_{axis}_4.mms") == LAYOUT[axis]["tree"]
    info = pathlib.Path(f"ngc_{axis}_4.mms/table.info").read_text()
    assert info.rstrip("\n") == LAYOUT[axis]["info"].rstrip("\n")


def test_flags_are_saved_with_the_multi_ms(rich):
    sheaf.partition(rich, "out.mms", numsubms=3)
    saved, t = table("out.mms.flagversions/flags.partition_1", ack=False), table("out.mms", ack=False)
    assert saved.nrows() == t.nrows()
    assert all(same(saved.getcell("FLAG", r), t.getcell("FLAG", r)) for r in range(t.nrows()))
    assert same(saved.getcol("FLAG_ROW"), t.getcol("FLAG_ROW"))
    assert "partition_1 : " in pathlib.Path("out.mms.flagversions/FLAG_VERSION_LIST").read_text()


def test_history_and_ledger_tell_what_was_done(rich):
    sheaf.partition(rich, "out.mms", numsubms=2, spw="0")
    assert any("partition" in m for m in column("out.mms", "HISTORY", "ORIGIN") + column("out.mms", "HISTORY", "MESSAGE"))
    ledger = json.loads(pathlib.Path("out.mms/sheaf.ledger").read_text())
    assert ledger["rows"] == table("out.mms", ack=False).nrows() == sum(m["rows"] for m in ledger["members"])


# ---- as one table ----


def test_a_multi_ms_is_one_table_for_casacore(rich):
    sheaf.partition(rich, "out.mms", numsubms=4)
    t, o = table(rich, ack=False), table("out.mms", ack=False)
    for query in ("select gaggr(1) as n, SCAN_NUMBER, sum(EXPOSURE) as s from {} groupby SCAN_NUMBER orderby SCAN_NUMBER",
                  "select unique ANTENNA1, ANTENNA2 from {} orderby ANTENNA1, ANTENNA2",
                  "select TIME, EXPOSURE from {} where any(FLAG) && ANTENNA1 > ANTENNA2 orderby EXPOSURE"):
        if "gaggr" in query:
            query = query.replace("gaggr(1) as n", "gcount() as n").replace("sum(EXPOSURE)", "gsum(EXPOSURE)")
        a, b = taql(query.format("$t")), taql(query.format("$o"))
        assert a.nrows() == b.nrows() > 0
        assert all(np.allclose(a.getcol(c), b.getcol(c)) for c in a.colnames())
    shutil.move("out.mms", "moved.mms")  # nothing in it says where it is
    assert table("moved.mms", ack=False).nrows() == t.nrows()


# ---- selections against TaQL on the input ----

SELECTIONS = [
    (dict(field="1,2"), "FIELD_ID in [1,2]"),
    (dict(field="NGC*"), "FIELD_ID in [1,2]"),
    (dict(field=2), "FIELD_ID == 2"),
    (dict(field=["3C286", "J*"]), "FIELD_ID in [0,3]"),
    (dict(spw="2"), "DATA_DESC_ID in [1,4]"),
    (dict(spw="4,0"), "DATA_DESC_ID in [0,3,5]"),
    (dict(spw="0~1"), "DATA_DESC_ID in [0,2,3]"),
    (dict(spw="W2"), "DATA_DESC_ID in [1,4]"),
    (dict(scan="3"), "SCAN_NUMBER == 3"),
    (dict(scan="2~3,>11"), "SCAN_NUMBER in [2,3,12]"),
    (dict(antenna="A01&A03"), "(ANTENNA1==1 && ANTENNA2==3) || (ANTENNA1==3 && ANTENNA2==1)"),
    (dict(antenna="1"), "(ANTENNA1==1 || ANTENNA2==1) && ANTENNA1 != ANTENNA2"),
    (dict(antenna="!2"), "(ANTENNA1 != 2 && ANTENNA2 != 2) || ANTENNA1 == ANTENNA2"),
    (dict(antenna="*&&&"), "ANTENNA1 == ANTENNA2"),
    (dict(antenna="*&"), "ANTENNA1 != ANTENNA2"),
    (dict(intent="*TARGET*"), "STATE_ID == 1"),
    (dict(observation="1"), "OBSERVATION_ID == 1"),
    (dict(array="1"), "ARRAY_ID == 1"),
    (dict(observation="1", scan="3"), "OBSERVATION_ID == 1 && SCAN_NUMBER == 3"),
    (dict(correlation="RR,LL"), "DATA_DESC_ID in [0,1,2,3,4]"),
    (dict(correlation="XX"), "DATA_DESC_ID == 5"),
    (dict(uvrange="<2000m"), "sumsqr(UVW[:2]) < 2000**2"),
    (dict(taql="FEED1 == 0 && ANTENNA1 > ANTENNA2"), "ANTENNA1 > ANTENNA2"),
    (dict(timerange="<2014/02/24/23:12:00"), "TIME < 4.9e9 + 320"),
    (dict(feed="0&&"), "FEED1 == 0"),
    (dict(field="0,3", spw="0", antenna="!4", scan="1~3"),
     "FIELD_ID in [0,3] && DATA_DESC_ID in [0,3] && SCAN_NUMBER <= 3 && "
     "((ANTENNA1 != 4 && ANTENNA2 != 4) || ANTENNA1 == ANTENNA2)"),
]


def picked(rows, keywords):
    """What is left of the cells when correlations are selected."""
    wanted = {"RR": 5, "LL": 8, "XX": 9}
    wanted = [wanted[c] for c in keywords["correlation"].split(",")] if "correlation" in keywords else None
    for row in rows.values():
        window, types = row["DATA_DESC_ID"]
        if wanted:
            keep = [i for i, t in enumerate(types) if t in wanted]
            row["DATA_DESC_ID"] = (window, tuple(types[i] for i in keep))
            for c in ("DATA", "CORRECTED_DATA", "MODEL_DATA", "FLAG", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", "WEIGHT", "SIGMA"):
                row[c] = row[c][..., keep]
    return rows


@pytest.mark.parametrize("i", range(len(SELECTIONS)))
def test_a_selection_is_what_taql_selects(rich, i):
    keywords, where = SELECTIONS[i]
    axis = ([None] + AXES)[i % 5]
    how = dict(separationaxis=axis, numsubms=3, flagbackup=False) if axis else dict(createmms=False)
    sheaf.partition(rich, "out.mms", **how, **keywords)
    found = read("out.mms")
    assert found
    assert_rows_equal(found, picked(read(rich, where), keywords))
    # Every id of every sub-table refers to something.
    for sub in ("FEED", "SYSCAL", "SYSPOWER", "CALDEVICE", "SOURCE", "POINTING"):
        t = table("out.mms/" + sub, ack=False)
        for name, other in {"ANTENNA_ID": "ANTENNA", "SPECTRAL_WINDOW_ID": "SPECTRAL_WINDOW"}.items():
            if name in t.colnames():
                assert all(v < len(column("out.mms", other, "NAME")) for v in t.getcol(name))
                assert set(sub_rows("out.mms", sub)) <= set(sub_rows(rich, sub)) or sub == "SOURCE"


@pytest.mark.parametrize("axis", [None, *AXES])
@pytest.mark.parametrize("antenna,short,others", [("<{}m", True, ()), ("!<{}m", False, ()), ("0&1;<{}m", True, (0, 1))])
def test_baselines_by_length(rich, antenna, short, others, axis):
    """What is selected by length lists no antennas: ANTENNA and FEED stay whole, and ids right."""
    place = np.array(column(rich, "ANTENNA", "POSITION"))
    length = np.linalg.norm(place[:, None] - place[None], axis=2)
    limit = np.median(length[np.triu_indices(len(place), 1)]) + 1e-3
    assert np.abs(length - limit).min() > 1e-6
    names = column(rich, "ANTENNA", "NAME")
    how = dict(separationaxis=axis, numsubms=3, flagbackup=False) if axis else dict(createmms=False)
    sheaf.partition(rich, "out.mms", antenna=antenna.format(limit), **how)

    def chosen(row):
        pair = [names.index(row["ANTENNA1"]), names.index(row["ANTENNA2"])]
        return (length[tuple(pair)] < limit) == short or sorted(pair) == list(others)
    assert_rows_equal(read("out.mms"), {k: r for k, r in read(rich).items() if chosen(r)}, skip=("WEIGHT", "SIGMA"))
    assert sub_rows("out.mms", "ANTENNA") == sub_rows(rich, "ANTENNA")
    if axis != "spw":  # where windows without rows are left out
        assert_subtables_equal("out.mms", rich)


# 'channels of window': written order, repeats and steps as asked.
CHANNELS = [("0:1~2", {0: [1, 2]}), ("0:3;0~1,2:0~7^3", {0: [3, 0, 1], 2: [0, 3, 6]}), ("*:0", {w: [0] for w in (0, 1, 2, 4)}),
            ("2:5~30,1", {2: [5, 6, 7], 1: [0]}), ("0:1.0006~1.0024GHz", {0: [1, 2]})]


@pytest.mark.parametrize("axis", [None, "spw"])
@pytest.mark.parametrize("spw,channels", CHANNELS, ids=[c[0] for c in CHANNELS])
def test_channels(rich, spw, channels, axis):
    how = dict(separationaxis=axis, numsubms=2, flagbackup=False) if axis else dict(createmms=False)
    sheaf.partition(rich, "out.mms", spw=spw, **how)
    windows = {f"W{w}": c for w, c in channels.items()}
    expected = {k: r for k, r in read(rich).items() if k[3] in windows}
    for row in expected.values():
        for c in ("DATA", "CORRECTED_DATA", "MODEL_DATA", "FLAG", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"):
            row[c] = row[c][windows[row["DATA_DESC_ID"][0]]]
    assert_rows_equal(read("out.mms"), expected)
    before = {n: r for r, n in enumerate(column(rich, "SPECTRAL_WINDOW", "NAME"))}
    for r, name in enumerate(column("out.mms", "SPECTRAL_WINDOW", "NAME")):
        for c in ("CHAN_FREQ", "CHAN_WIDTH", "RESOLUTION", "EFFECTIVE_BW"):
            assert same(column("out.mms", "SPECTRAL_WINDOW", c)[r],
                        column(rich, "SPECTRAL_WINDOW", c)[before[name]][windows[name]])
        assert column("out.mms", "SPECTRAL_WINDOW", "NUM_CHAN")[r] == len(windows[name])


def test_correlations_keep_the_order_of_the_ms(rich):
    sheaf.partition(rich, "out.ms", createmms=False, correlation="LL,RR")
    sheaf.partition(rich, "same.ms", createmms=False, correlation="RR,LL")
    assert_rows_equal(read("out.ms"), read("same.ms"))


# ---- data columns and weights ----

DATA = {"all": {"DATA": "DATA", "CORRECTED_DATA": "CORRECTED_DATA", "MODEL_DATA": "MODEL_DATA"}, "data": {"DATA": "DATA"},
        "corrected": {"DATA": "CORRECTED_DATA"}, "model": {"DATA": "MODEL_DATA"},
        "DATA,MODEL,CORRECTED": {"DATA": "DATA", "CORRECTED_DATA": "CORRECTED_DATA", "MODEL_DATA": "MODEL_DATA"}}


@pytest.mark.parametrize("datacolumn", DATA)
def test_datacolumn(rich, datacolumn):
    sheaf.partition(rich, "out.mms", datacolumn=datacolumn, separationaxis="scan", numsubms=2)
    columns = DATA[datacolumn]
    corrected = "CORRECTED_DATA" in columns.values()
    expected = expect_weights(read(rich), corrected, data="DATA" in columns.values())
    for row in expected.values():
        cubes = {c: row.pop(c) for c in ("DATA", "CORRECTED_DATA", "MODEL_DATA")}
        row.update({to: cubes[source] for to, source in columns.items()})
        if datacolumn == "corrected":
            w = row["WEIGHT_SPECTRUM"]
            row["SIGMA_SPECTRUM"] = np.float32(1) / np.sqrt(w)
    found = read("out.mms")
    assert {c for c in table("out.mms", ack=False).colnames() if c.endswith("DATA")} == set(columns)
    assert_rows_equal(found, expected)


def test_sigma_spectrum_is_made_beside_weight_spectrum(inputs):
    vis = str(inputs / "sim-standard.ms")
    sheaf.partition(vis, "out.ms", createmms=False)
    t = table("out.ms", ack=False)
    for r in range(t.nrows()):
        sigma = t.getcell("SIGMA", r)
        assert same(t.getcell("SIGMA_SPECTRUM", r), np.broadcast_to(sigma, t.getcell("DATA", r).shape).copy())


def test_weight_spectrum_without_a_first_cell_is_kept(folder):
    vis = simulate("in.ms", spectra=("WEIGHT_SPECTRUM",), undefined=("WEIGHT_SPECTRUM",), shuffled=False)
    t = table(vis, readonly=False, ack=False)
    where = [r for r in range(t.nrows()) if r % 5 == 2]
    t.copyrows(t, startrowin=where[0], startrowout=0, nrow=1)  # row 0 has no cell now
    t.putcell("EXPOSURE", 0, 1e6)
    has = [t.iscelldefined("WEIGHT_SPECTRUM", r) for r in range(t.nrows())]
    t.close()
    sheaf.partition(vis, "out.ms", createmms=False)
    o = table("out.ms", ack=False)
    assert sum(o.iscelldefined("WEIGHT_SPECTRUM", r) for r in range(o.nrows())) == sum(has)


def test_ddistart_shifts_the_main_table_only(rich):
    sheaf.partition(rich, "out.ms", createmms=False, spw="2", ddistart=4)
    assert set(table("out.ms", ack=False).getcol("DATA_DESC_ID")) == {4, 5}
    assert table("out.ms/DATA_DESCRIPTION", ack=False).nrows() == 2


# ---- bad input: one clear message, nothing written, the input untouched ----

BAD = {
    "no vis": (dict(vis="nosuch.ms"), "NotFoundError", "nosuch.ms"),
    "vis is a file": (dict(vis="notes.txt"), "DataError NotFoundError", "notes.txt"),
    "vis is a folder": (dict(vis="folder"), "DataError NotFoundError", "folder"),
    "vis is another table": (dict(vis="{vis}/ANTENNA"), "DataError", "no MS"),
    "outputvis empty": (dict(outputvis=""), "ParameterError", "specify outputvis"),
    "outputvis blank": (dict(outputvis="  "), "ParameterError", "specify outputvis"),
    "outputvis exists": (dict(outputvis="notes.txt"), "ExistsError", "already exists"),
    "outputvis is vis": (dict(outputvis="{vis}"), "ExistsError", "already exists"),
    "flagversions exist": (dict(outputvis="old.mms"), "ExistsError", "old.mms.flagversions"),
    "outputvis inside vis": (dict(outputvis="{vis}/out.mms"), "ParameterError", "inside"),
    "outputvis inside vis, otherwise": (dict(outputvis="{vis}/ANTENNA/../out.mms"), "ParameterError", "inside"),
    "no such folder": (dict(outputvis="nosuch/out.mms"), "FileError", "nosuch"),
    "unknown parameter": (dict(separationaxes="scan"), "UnknownParameterError", "separationaxis"),
    "unknown axis": (dict(separationaxis="time"), "ParameterError", "time"),
    "numsubms 0": (dict(numsubms=0), "ParameterError", "numsubms=0"),
    "numsubms negative": (dict(numsubms=-3), "ParameterError", "numsubms=-3"),
    "numsubms a word": (dict(numsubms="three"), "ParameterError", "three"),
    "datacolumn unknown": (dict(datacolumn="flux"), "ParameterError", "flux"),
    "datacolumn missing": (dict(datacolumn="lag_data"), "NotFoundError", "LAG_DATA"),
    "no such field": (dict(field="NOSUCH"), "ParameterError", "NOSUCH"),
    "no such field id": (dict(field="17"), "ParameterError EmptyError", "17"),
    "no such spw": (dict(spw="99"), "ParameterError", "99"),
    "no such antenna": (dict(antenna="zz99"), "ParameterError", "zz99"),
    "no such scan": (dict(scan="99"), "EmptyError", "99"),
    "no such correlation": (dict(correlation="QQ"), "ParameterError", "QQ"),
    "no such intent": (dict(intent="*NOSUCH*"), "ParameterError", "NOSUCH"),
    "no such observation": (dict(observation="7"), "ParameterError EmptyError", "7"),
    "no such time": (dict(timerange="<1990/01/01"), "EmptyError", "1990"),
    "bad time": (dict(timerange="yesterday"), "ParameterError", "yesterday"),
    "bad taql": (dict(taql="NOSUCH == 1"), "ParameterError", "NOSUCH"),
    "nothing selected": (dict(field="1", scan="1"), "EmptyError", "field='1'"),
    "3 of 4 correlations": (dict(correlation="RR,RL,LL", spw="2"), "ParameterError", "3 of 4"),
    "ddistart with createmms": (dict(ddistart=2), "ParameterError", "ddistart"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input(rich, folder, what):
    keywords, error, text = BAD[what]
    # What is said about a selection does not depend on createmms.
    createmms = "no such" not in what
    (folder / "notes.txt").write_text("not a table")
    (folder / "folder").mkdir()
    (folder / "old.mms.flagversions").mkdir()
    before = tree(rich), tree(".")
    call = dict(vis=rich, outputvis="out.mms", createmms=createmms)
    call.update({k: v.format(vis=rich) if isinstance(v, str) else v for k, v in keywords.items()})
    with pytest.raises(tuple(getattr(sheaf, e) for e in error.split())) as caught:
        sheaf.partition(**call)
    assert text in str(caught.value)
    assert (tree(rich), tree(".")) == before
    assert not [n for n in os.listdir() if n.startswith(".")]


def test_more_sub_mss_than_possible_are_reduced_with_a_warning(rich, capfd):
    sheaf.partition(rich, "out.mms", separationaxis="scan", numsubms=50)
    assert len(cases.members("out.mms")) == 5
    assert "50" in capfd.readouterr().err


# What is cut short of a copy of the input, and what the error must name.
DAMAGE = ["table.dat", "table.f0", "table.f1", "SPECTRAL_WINDOW/table.dat", "DATA_DESCRIPTION/table.f0"]


def damage_copy(vis, name):
    shutil.copytree(vis, "in.ms", symlinks=True)
    size = os.path.getsize(os.path.join("in.ms", name))
    os.truncate(os.path.join("in.ms", name), size // 3)


@pytest.mark.parametrize("name", DAMAGE)
def test_a_truncated_table(rich, name):
    damage_copy(rich, name)
    before = tree("in.ms")
    with pytest.raises(sheaf.Error) as caught:
        sheaf.partition("in.ms", "out.mms")
    assert "in.ms" in str(caught.value)
    assert tree("in.ms") == before and os.listdir() == ["in.ms"]


def test_a_truncated_or_missing_tile_file(rich):
    tiles = [n for n in os.listdir(rich) if "_TSM" in n and os.path.getsize(os.path.join(rich, n)) > 2000]
    assert tiles
    for name in tiles:
        for action in (lambda p: os.truncate(p, os.path.getsize(p) // 3), os.remove):
            shutil.copytree(rich, "in.ms")
            action(os.path.join("in.ms", name))
            with pytest.raises(sheaf.Error) as caught:
                sheaf.partition("in.ms", "out.mms")
            assert "in.ms" in str(caught.value)
            assert os.listdir() == ["in.ms"]
            shutil.rmtree("in.ms")


def test_ids_beyond_their_tables(rich):
    for sub, name, message in ((None, "DATA_DESC_ID", "DATA_DESC_ID 77"), ("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID", "77"),
                               ("DATA_DESCRIPTION", "POLARIZATION_ID", "77")):
        shutil.copytree(rich, "in.ms")
        t = table(os.path.join("in.ms", sub or ""), readonly=False, ack=False)
        t.putcell(name, 1, 77)
        t.close()
        with pytest.raises(sheaf.DataError, match=message):
            sheaf.partition("in.ms", "out.mms")
        assert os.listdir() == ["in.ms"]
        shutil.rmtree("in.ms")


def test_an_ms_without_rows(folder):
    vis = simulate("in.ms", scans=[(0, 0, 1, 0, 0, [], 0)])
    with pytest.raises(sheaf.EmptyError, match="no rows"):
        sheaf.partition(vis, "out.mms")
    assert os.listdir() == ["in.ms"]


def test_no_permission(rich, ordinary):
    place = ordinary.folder
    vis = ordinary.give(shutil.copytree(rich, place + "/in.ms"))
    os.mkdir(place + "/locked", 0o500)
    os.chmod(ordinary.give(place + "/locked"), 0o500)

    def refuse(output, text):
        done = subprocess.run([ordinary.sheaf, "partition", "vis=" + vis, "outputvis=" + output], cwd=place, text=True,
                              capture_output=True, **ordinary.options)
        assert done.returncode == 1 and "Permission denied" in done.stderr and text in done.stderr, done.stderr
    refuse("locked/out.mms", "locked")
    os.chmod(place + "/in.ms/table.dat", 0)
    refuse("out.mms", "in.ms")
    assert not os.path.exists(place + "/out.mms")


# ---- real data of several telescopes, where there is any ----

REAL = pathlib.Path(os.environ.get("SHEAF_DATA", pathlib.Path.home() / ".cache" / "sheaf-data"))
TELESCOPES = ["alma_antennae_mosaic/all_fields.ms", "bima_ngc4826/mssel_test_small_multifield_spw.ms",
              "alma_mssel_small/mssel_test_small.ms", "wsrt/tNDPPP_tmp.MS", "lofar_generic/tNDPPP-generic.MS",
              "evla_simple/simple.ms", "atca_sim_tileddata/tTiledDataStMan_tmp.ms"]


@pytest.mark.parametrize("axis", ["auto", "baseline"])
@pytest.mark.parametrize("name", TELESCOPES)
def test_real_data(name, axis):
    if not (REAL / name).is_dir():
        pytest.skip("no such data here")
    vis = str(REAL / name)
    sheaf.partition(vis, "out.mms", separationaxis=axis, numsubms=3, flagbackup=False)
    a, b = table(vis, ack=False), table("out.mms", ack=False)
    assert set(a.colnames()) <= set(b.colnames()) | {"SIGMA_SPECTRUM", "WEIGHT_SPECTRUM"}
    keys = "TIME, ANTENNA1, ANTENNA2, FIELD_ID, SCAN_NUMBER, OBSERVATION_ID, DATA_DESC_ID, EXPOSURE"
    query = f"select {keys}, ntrue(FLAG) as FLAGS, sum(abs(DATA)) as AMPLITUDES from $t orderby {keys}"
    t = a
    x = taql(query)
    t = b
    y = taql(query)
    assert all(same(x.getcol(c), y.getcol(c)) for c in x.colnames())

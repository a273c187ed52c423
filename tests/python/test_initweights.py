# SPDX-License-Identifier: GPL-3.0-or-later
"""initweights against CASA, on MSs and Multi-MSs; bad input."""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from casacore.tables import table

import sheaf
import inputs
import simulate
import weights_cases

HERE = pathlib.Path(__file__).parent
EXPECTED = json.loads((HERE / "expected" / "weights.json").read_text())["results"]
# CASA fails or aborts: too few unflagged channels for a cubic, phase delays of real numbers, a scan without solutions.
OURS = {name for name, value in EXPECTED.items() if not isinstance(value, dict)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights")
    weights_cases.make_inputs(str(path))
    return path


@pytest.fixture
def copy(folder, tmp_path):
    def make(ms):
        to = tmp_path / (ms + ".ms")
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(folder / (ms + ".ms"), to)
        return str(to)
    return make


def call(folder, path, caltable, keywords):
    sheaf.initweights(path, tsystable=str(folder / (caltable + ".tsys")) if caltable else "", **keywords)


@pytest.mark.parametrize("group", sorted({name.split("-")[0] for name in EXPECTED}))
def test_values_are_those_of_casa(folder, copy, group):
    assert set(EXPECTED) == set(weights_cases.CASES)
    wrong = []
    for name, (ms, caltable, keywords) in weights_cases.CASES.items():
        if name in OURS or name.split("-")[0] != group:
            continue
        path = copy(ms)
        call(folder, path, caltable, keywords)
        if weights_cases.digest(path) != EXPECTED[name]:
            wrong.append(name)
    assert not wrong


@pytest.mark.parametrize("name", sorted(n for n in OURS if "PD" not in n))
def test_where_casa_fails_weights_are_finite_and_sensible(folder, copy, name):
    ms, caltable, keywords = weights_cases.CASES[name]
    path = copy(ms)
    call(folder, path, caltable, keywords)
    columns = weights_cases.columns(path)
    assert all(np.isfinite(cell).all() and (cell >= 0).all() for cell in columns["WEIGHT"])


@pytest.mark.parametrize("axis,name", [("scan", "many-nyq-True"), ("spw", "many-sigma-False"), ("baseline", "many-ones-True"),
                                       ("spw", "holes-tinttsys-True"), ("baseline", "many-tsys-False")])
def test_a_multi_ms_gets_what_the_ms_gets(folder, tmp_path, copy, axis, name):
    ms, caltable, keywords = weights_cases.CASES[name]
    whole, parts = copy(ms), str(tmp_path / "many.mms")
    sheaf.partition(whole, parts, separationaxis=axis, numsubms=3, flagbackup=False)
    for path in (whole, parts):
        call(folder, path, caltable, keywords)

    def by_row(path):
        cells = weights_cases.columns(path)
        with table(path, ack=False) as t:
            keys = [(t.getcell("TIME", row), t.getcell("DATA", row).tobytes()) for row in range(t.nrows())]
            assert len(set(keys)) == len(keys)
        return {key: {c: v[row].tobytes() for c, v in cells.items()} for row, key in enumerate(keys)}
    assert by_row(whole) == by_row(parts)
    sheaf.listpartition(parts, verify=True)  # raises when the ledger says something else


def test_a_sub_ms_by_itself(folder, tmp_path, copy):
    parts = str(tmp_path / "many.mms")
    sheaf.partition(copy("many"), parts, separationaxis="scan", numsubms=3, flagbackup=False)
    sub = os.path.join(parts, "SUBMSS", sorted(os.listdir(parts + "/SUBMSS"))[1])
    sheaf.initweights(sub, wtmode="ones")
    assert all((cell == 1).all() for cell in weights_cases.columns(sub)["WEIGHT"])
    sheaf.listpartition(parts, verify=True)


def test_undefined_spectra_become_defined(tmp_path):
    path = simulate.simulate(str(tmp_path / "a.ms"), **weights_cases.MANY, spectra=("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"),
                             undefined=("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"))
    sheaf.initweights(path, wtmode="nyq")
    columns = weights_cases.columns(path)
    assert "SIGMA_SPECTRUM" not in columns
    for weight, spectrum in zip(columns["WEIGHT"], columns["WEIGHT_SPECTRUM"]):
        assert (spectrum == weight).all()


@pytest.mark.parametrize("mode,column", [("delwtsp", "WEIGHT_SPECTRUM"), ("delsigsp", "SIGMA_SPECTRUM")])
def test_removal_of_a_column(tmp_path, mode, column):
    path = simulate.simulate(str(tmp_path / "a.ms"), **weights_cases.MANY, spectra=("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"))
    before = weights_cases.columns(path)
    for _ in range(2):  # absent already: no failure
        sheaf.initweights(path, wtmode=mode)
        after = weights_cases.columns(path)
        assert set(before) - set(after) == {column}
        assert all(np.array_equal(a, b) for c in after for a, b in zip(before[c], after[c]))


def test_several_polarizations(tmp_path):
    """CASA aborts here; each row gets what its window gives."""
    path = simulate.simulate(str(tmp_path / "a.ms"))
    sheaf.initweights(path, wtmode="nyq", dowtsp=True)
    columns = weights_cases.columns(path)
    with table(path, ack=False) as t:
        exposure = t.getcol("EXPOSURE").astype(np.float32)
        spw = [simulate.DESCRIPTIONS[d][0] for d in t.getcol("DATA_DESC_ID")]
    for row, weight in enumerate(columns["WEIGHT"]):
        bandwidth = np.float32(abs(simulate.WINDOWS[spw[row]][1]) * 1.5)
        assert (weight == bandwidth * exposure[row] * np.float32(2)).all()
        assert (columns["WEIGHT_SPECTRUM"][row] == weight).all()


def test_spwmap_of_one_number(folder, copy):
    path = copy("deep")
    sheaf.initweights(path, wtmode="tsys", tsystable=str(folder / "flagged.tsys"), spwmap=1)
    assert weights_cases.digest(path) == EXPECTED["spwmap-[1]-False"]


def test_history(folder, copy):
    path = copy("many")
    sheaf.initweights(path, wtmode="ones")
    with table(path + "/HISTORY", ack=False) as t:
        lines = t.getcol("MESSAGE")
        assert set(t.getcol("ORIGIN")[-9:]) == {"initweights"}
    assert lines[-9] == "taskname=initweights" and 'wtmode      = "ones"' in lines and "spwmap      = []" in lines
    assert not [n for n in os.listdir(path) if n.startswith(".")]


BAD = {
    "no such mode": ({"wtmode": "foo"}, "wtmode"),
    "capitals": ({"wtmode": "NYQ"}, "wtmode"),
    "weight alone": ({"wtmode": "weight"}, "dowtsp"),
    "no table": ({"wtmode": "tsys"}, "Tsys calibration table '' not found"),
    "missing table": ({"wtmode": "tsys", "tsystable": "nope"}, "nope"),
    "an MS as table": ({"wtmode": "tsys", "tsystable": "MS"}, "calibration table"),
    "a file as table": ({"wtmode": "tsys", "tsystable": "FILE"}, "calibration table"),
    "another type": ({"wtmode": "tsys", "tsystable": "GAINS"}, "G Jones"),
    "field": ({"wtmode": "tsys", "gainfield": "77"}, "gainfield"),
    "field name": ({"wtmode": "tsys", "gainfield": "nobody"}, "gainfield"),
    "interp": ({"wtmode": "tsys", "interp": "quintic"}, "interp"),
    "interp in time": ({"wtmode": "tsys", "interp": "spline"}, "interp"),
    "interp in frequency": ({"wtmode": "tsys", "interp": "linear,linearfoo"}, "interp"),
    "phase delay": ({"wtmode": "tsys", "interp": "linearPD"}, "interp"),
    "long spwmap": ({"wtmode": "tsys", "spwmap": [0, 0, 0, 0, 0, 0]}, "spwmap"),
    "negative spwmap": ({"wtmode": "tsys", "spwmap": [0, -2]}, "spwmap"),
    "spwmap beyond": ({"wtmode": "tsys", "spwmap": [9]}, "spwmap"),
    "spwmap of texts": ({"wtmode": "tsys", "spwmap": ["a"]}, "spwmap"),
    "dowtsp": ({"dowtsp": 1}, "dowtsp"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_changes_nothing(folder, copy, tmp_path, name):
    keywords, words = dict(BAD[name][0]), BAD[name][1]
    path = copy("many")
    other = {"MS": str(folder / "deep.ms"), "FILE": __file__}
    if keywords.get("wtmode") == "tsys" and "table" not in name and "type" not in name:
        keywords.setdefault("tsystable", str(folder / "many.tsys"))
    if keywords.get("tsystable") == "GAINS":
        gains = str(tmp_path / "gains")
        weights_cases._empty_caltable(gains, path, "G Jones")
        keywords["tsystable"] = gains
    elif "tsystable" in keywords:
        keywords["tsystable"] = other.get(keywords["tsystable"], keywords["tsystable"])
    before = weights_cases.digest(path)
    with table(path + "/HISTORY", ack=False) as t:
        lines = t.nrows()
    with pytest.raises(sheaf.Error) as failure:
        sheaf.initweights(path, **keywords)
    assert words in str(failure.value)
    assert weights_cases.digest(path) == before
    with table(path + "/HISTORY", ack=False) as t:
        assert t.nrows() == lines


def test_a_table_of_another_shape_is_refused(folder, copy, tmp_path):
    bad = str(tmp_path / "bad.tsys")
    shutil.copytree(folder / "many.tsys", bad)
    with table(bad, readonly=False, ack=False) as t:
        t.putcell("FPARAM", 3, np.ones((7, 1), np.float32))
    path = copy("many")
    with pytest.raises(sheaf.Error, match="FPARAM of row 3"):
        sheaf.initweights(path, wtmode="tsys", tsystable=bad)


@pytest.mark.parametrize("vis", ["", "nope.ms", __file__])
def test_bad_vis(vis):
    with pytest.raises((sheaf.Error, Exception), match="vis"):
        sheaf.initweights(vis)


def _casa():
    place = HERE.parents[1].parent / "shared" / "oracle" / "casa"
    for root in HERE.parents:
        if (root.parent / "shared" / "oracle" / "casa").exists():
            place = root.parent / "shared" / "oracle" / "casa"
    return place if place.exists() and shutil.which("bash") else None


REAL = ["alma_mssel_small/mssel_test_small_CLEANED.ms", "bima_ngc4826/mssel_test_small_multifield_spw.ms",
        "evla_simple/simple.ms", "evla_sdm_16A459/evla_16A459.ms", "lofar_generic/tNDPPP-generic.MS",
        "mwa_1102865728/1102865728_small.ms", "atca_sim_tileddata/tTiledDataStMan_tmp.ms",
        "evla_tdem0003/day2_TDEM0003_10s_norx_1scan.ms", "vlba_mojave/mojave.ms"]
DATA = pathlib.Path(os.path.expanduser("~/.cache/sheaf-data"))


@pytest.mark.skipif(_casa() is None or not DATA.exists() or not os.environ.get("SHEAF_CASA"),
                    reason="SHEAF_CASA=1 compares with CASA itself, where it and the data are there")
@pytest.mark.parametrize("name", REAL)
def test_real_data_against_casa(tmp_path, name):
    calls = [{"wtmode": "nyq"}, {"wtmode": "sigma"}, {"wtmode": "ones", "dowtsp": True},
             {"wtmode": "weight", "dowtsp": True}]
    script = tmp_path / "script.py"
    theirs = [tmp_path / f"casa{i}.ms" for i in range(len(calls))]
    ours = [tmp_path / f"ours{i}.ms" for i in range(len(calls))]
    for to in theirs + ours:
        shutil.copytree(DATA / name, to, symlinks=True)
    script.write_text("from casatasks import initweights\n" + "".join(
        f"initweights({str(to)!r}, **{keywords!r})\n" for to, keywords in zip(theirs, calls)))
    subprocess.run([str(_casa()), str(script)], check=True, capture_output=True, cwd=tmp_path, timeout=300)
    for a, b, keywords in zip(theirs, ours, calls):
        sheaf.initweights(str(b), **keywords)
        assert weights_cases.digest(str(a)) == weights_cases.digest(str(b)), keywords


def test_ngc5921_has_its_weights(tmp_path):
    """24,414.0625 Hz x 60 s (CASA: initweights('ngc.ms') writes 2 x 24414.0625 x EXPOSURE)."""
    path = str(tmp_path / "ngc.ms")
    shutil.copytree(inputs.ngc5921(), path)
    sheaf.initweights(path)
    with table(path, ack=False) as t:
        weight, exposure = t.getcol("WEIGHT"), t.getcol("EXPOSURE").astype(np.float32)
        auto = t.getcol("ANTENNA1") == t.getcol("ANTENNA2")
        assert "WEIGHT_SPECTRUM" in t.colnames()
        assert (t.getcol("WEIGHT_SPECTRUM") == weight[:, None, :]).all()
    with table(path + "/SPECTRAL_WINDOW", ack=False) as t:
        bandwidth = np.float32(t.getcell("EFFECTIVE_BW", 0).mean())
    assert (weight == (bandwidth * exposure * np.where(auto, np.float32(1), np.float32(2)))[:, None]).all()


def test_spectra_in_a_shared_manager(tmp_path):
    """As python-casacore adds them when no storage manager is named: in a standard one that is there."""
    from casacore import tables
    path, plain = str(tmp_path / "a.ms"), str(tmp_path / "b.ms")
    simulate.simulate(path, storage="standard")
    simulate.simulate(plain, storage="standard")
    with tables.table(path, readonly=False, ack=False) as t:
        t.addcols(tables.makearrcoldesc("SIGMA_SPECTRUM", 0.0, ndim=2, valuetype="float"))
        manager = next(v for v in t.getdminfo().values() if "SIGMA_SPECTRUM" in v["COLUMNS"])
        assert manager["TYPE"] == "StandardStMan" and len(manager["COLUMNS"]) > 1
        t.putcell("SIGMA_SPECTRUM", 0, np.ones(t.getcell("DATA", 0).shape, "f4"))
    for name in (path, plain):
        sheaf.initweights(name, wtmode="ones", dowtsp=True)
    with tables.table(path, ack=False) as a, tables.table(plain, ack=False) as b:
        assert a.colnames() == b.colnames() and "SIGMA_SPECTRUM" not in a.colnames()
        for name in a.colnames():
            for row in range(a.nrows()):
                if a.isscalarcol(name) or a.iscelldefined(name, row):
                    assert np.array_equal(a.getcell(name, row), b.getcell(name, row)), (name, row)

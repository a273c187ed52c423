# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata on RESIDUAL, RESIDUAL_DATA and MODEL with the virtual models that CASA's setjy and ft write, against flags of CASA
(flagvirtual_cases.py)."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from casacore.tables import table

import flagvirtual_cases as cases
import inputs
import sheaf

EXPECTED = pathlib.Path(__file__).parent / "expected"
FLAGS = json.loads((EXPECTED / "flagvirtual.json").read_text())["cases"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp("virtual") / "inputs"
    cases.prepare(inputs.ngc5921(), str(to))
    with tarfile.open(EXPECTED / "flagvirtual.tar.xz") as archive:
        archive.extractall(to)
    return to


@pytest.fixture
def make(tmp_path, monkeypatch, folder):
    """A copy of an MS with a virtual model."""
    monkeypatch.chdir(tmp_path)

    def make(base, model, to="case.ms"):
        shutil.copytree(folder / base, to)
        if model:
            cases.put_model(to, str(folder), model)
        return to
    return make


def cells(path):
    with table(path, ack=False) as t:
        return [t.getcell("FLAG", row) for row in range(t.nrows())], t.getcol("FLAG_ROW")


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(cells(a)[0], cells(b)[0], strict=True))


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_flags_are_those_of_casa(make, name):
    model, base, par = cases.CASES[name]
    path = make(base, model)
    sheaf.flagdata(path, flagbackup=False, **par)
    assert cases.digest_of(*cells(path)) == FLAGS[name]


@pytest.mark.parametrize("axis", ["scan", "baseline"])
def test_a_multi_ms_gets_the_flags_of_its_ms(make, axis):
    """Each sub-MS has the models in a SOURCE of its own."""
    model, base, par = cases.CASES["rflag"]
    path = make(base, model)
    sheaf.partition(path, "case.mms", separationaxis=axis, numsubms=3, flagbackup=False)
    for sub in os.listdir("case.mms/SUBMSS"):
        shutil.rmtree(f"case.mms/SUBMSS/{sub}/SOURCE")
        shutil.copytree("case.ms/SOURCE", f"case.mms/SUBMSS/{sub}/SOURCE")
    sheaf.flagdata("case.mms", flagbackup=False, **par)
    assert sheaf.flagdata("case.mms", mode="summary")["flagged"] == FLAGS["rflag"]["flags"]


def test_members_do_not_stay_open(make):
    """More sub-MSs than files may be open, in one buffer."""
    import resource
    model, base, par = cases.CASES["tfcrop"]
    path = make(base, model)
    sheaf.partition(path, "many.mms", separationaxis="baseline", numsubms=150, flagbackup=False)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 140, limits[1]))
    try:
        sheaf.flagdata("many.mms", flagbackup=False, **par)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert sheaf.flagdata("many.mms", mode="summary")["flagged"] == FLAGS["tfcrop"]["flags"]


def models_of(path):
    with table(path + "/SOURCE", ack=False) as t:
        return [name for name in t.keywordnames() if "model" in name]


@pytest.mark.parametrize("par", [{"spw": "1,2,4"}, {"field": "3"}, {"separationaxis": "spw", "createmms": True}])
def test_partition_leaves_models_out_where_numbers_change(make, par):
    """As CASA's partition, after which SOURCE has no such keywords. They name windows, fields and rows of SOURCE."""
    path = make("other.ms", "windows")
    sheaf.partition(path, "out.ms", flagbackup=False, **{"createmms": False, **par})
    assert models_of(path) and not models_of("out.ms")
    with pytest.raises(Exception, match="no column MODEL_DATA and no virtual model"):
        sheaf.flagdata("out.ms", **cases.CASES["clip windows"][2])


@pytest.mark.parametrize("par", [{"createmms": False, "scan": "1"}, {"separationaxis": "scan", "numsubms": 2}])
def test_partition_keeps_models_where_numbers_stay(make, par):
    model, base, clip = cases.CASES["clip components"]
    path = make(base, model)
    sheaf.partition(path, "out.ms", flagbackup=False, **par)
    assert models_of("out.ms") == models_of(path)
    for each in (path, "out.ms"):
        sheaf.flagdata(each, flagbackup=False, **clip)
    scans = {"scan": par["scan"]} if "scan" in par else {}
    counts = [sheaf.flagdata(each, mode="summary", **scans)["flagged"] for each in (path, "out.ms")]
    assert counts[0] == counts[1] > 0


def test_models_in_the_main_table(make):
    """Where there is no SOURCE the records are keywords of the main table."""
    a, b = make("ngc.ms", "components", "a.ms"), make("ngc.ms", None, "b.ms")
    with table(a + "/SOURCE", ack=False) as s, table(b, readonly=False, ack=False) as t:
        t.putkeyword("definedmodel_field_1", "model_1")
        t.putkeyword("model_1", s.getcell("SOURCE_MODEL", s.getkeyword("model_1")))
    for path in (a, b):
        sheaf.flagdata(path, flagbackup=False, **cases.CASES["clip components"][2])
    assert same(a, b)


def test_model_is_what_residual_subtracts(make):
    """MODEL without a column, which CASA refuses: 1 Jy in fields 1 and 2, where setjy's 14.79 Jy of field 0 is too much."""
    path = make("ngc.ms", "standard")
    sheaf.flagdata(path, mode="clip", datacolumn="MODEL", clipminmax=[0, 14.79], flagbackup=False)
    flag = np.array(cells(path)[0])
    with table(path, ack=False) as t:
        field = t.getcol("FIELD_ID")
    assert not flag[field > 0].any()
    assert flag[field == 0, :33].all() and not flag[field == 0, 33:].any()  # 14.78994 Jy in channel 33


def test_an_image_is_refused_where_it_is_selected(make):
    path = make("ngc.ms", "image")
    before = cells(path)
    for column in ("RESIDUAL_DATA", "MODEL"):
        with pytest.raises(Exception, match=r"virtual model of field 0 \(1331\+30500002_0\) cannot be evaluated: it is an image"):
            sheaf.flagdata(path, mode="clip", datacolumn=column, clipminmax=[0, 1])
    assert not os.path.exists(path + ".flagversions")
    assert all(np.array_equal(a, b) for a, b in zip(before[0], cells(path)[0], strict=True))


@pytest.mark.parametrize("change,why", [
    (lambda c: c["shape"].update(type="Limbdarkened Disk"), "a component of the shape 'Limbdarkened Disk'"),
    (lambda c: c["spectrum"].update(type="Other"), "a component with the spectrum 'Other'"),
    (lambda c: c["shape"]["direction"].update(refer="JUPITER"), r"a component that moves \(JUPITER\)")])
def test_what_cannot_be_evaluated_is_named(make, change, why):
    path = make("ngc.ms", "components")
    with table(path + "/SOURCE", readonly=False, ack=False) as t:
        row = t.getkeyword("model_1")
        record = t.getcell("SOURCE_MODEL", row)
        change(record["cl_0"]["container"]["component1"])
        t.putcell("SOURCE_MODEL", row, record)
    with pytest.raises(Exception, match=f"virtual model of field 1 .* cannot be evaluated: it has {why}"):
        sheaf.flagdata(path, **cases.CASES["clip components"][2])


def component(number, *keys, **what):
    """Changes a part of a component."""
    def change(record):
        of = record["cl_0"]["container"][f"component{number}"]
        for key in keys:
            of = of[key]
        of.update(what)
    return change


def without(number, key):
    return lambda record: record["cl_0"]["container"][f"component{number}"].pop(key)


def tabular(frequencies, *values):
    return component(0, spectrum={"type": "Tabular Spectrum", "tabFreqVal": np.array(frequencies, float),
                                  "frequency": {"type": "frequency", "refer": "LSRK", "m0": {"value": 1.4, "unit": "GHz"}},
                                  **{key: np.array(v, float) for key, v in zip(("ival", "qval", "uval", "vval"), values)}})


BROKEN = {
    "flux": (without(0, "flux"), "flux"),
    "fluxes": (component(0, "flux", value=np.ones(3)), "a component without four fluxes"),
    "text": (component(0, "flux", value="1"), "field value"),
    "representation": (component(0, "flux", polarisation="Other"), "fluxes in the representation 'Other'"),
    "unit": (component(0, "flux", unit="K"), "fluxes in K"),
    "direction": (lambda r: r["cl_0"]["container"]["component0"]["shape"].pop("direction"), "direction"),
    "width": (component(1, "shape", majoraxis={"value": 1.0, "unit": "Jy"}), "majoraxis in Jy"),
    "spectrum": (without(0, "spectrum"), "spectrum"),
    "one frequency": (tabular([1.4e9], [3]), "a tabular spectrum of less than two frequencies"),
    "no frequency": (tabular([], []), "a tabular spectrum of less than two frequencies"),
    "same frequencies": (tabular([1.4e9, 1.4e9], [3, 4]), "a tabular spectrum with a frequency twice"),
    "values": (tabular([1.4e9, 1.41e9, 1.5e9], [3, 4]), "a tabular spectrum of 3 frequencies with 2 values"),
    "components": (lambda r: r["cl_0"]["container"].update(nelements=99), "component6"),
    "negative components": (lambda r: r["cl_0"]["container"].update(nelements=-1), "nelements is negative"),
    "negative lists": (lambda r: r.update(numcl=-1), "numcl is negative"),
    "frame": (component(0, "shape", "direction", refer="NOWHERE"), "a direction in the unknown frame 'NOWHERE'"),
    "lists": (lambda r: r.update(numcl=2), "cl_1"),
    "indices": (lambda r: r["cl_0"].update(indexcombination=np.zeros((2, 3), np.int32)), "combinations of indices that are not of four")}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_record_is_told_of_where_its_field_is_selected(make, name):
    change, why = BROKEN[name]
    path = make("ngc.ms", "components")
    before = cells(path)
    with table(path + "/SOURCE", readonly=False, ack=False) as t:
        row = t.getkeyword("model_1")
        record = t.getcell("SOURCE_MODEL", row)
        change(record)
        t.putcell("SOURCE_MODEL", row, record)
    with pytest.raises(Exception, match=f"virtual model of field 1 .* cannot be evaluated: its record is broken .*{why}"):
        sheaf.flagdata(path, **cases.CASES["clip components"][2])
    assert all(np.array_equal(a, b) for a, b in zip(before[0], cells(path)[0], strict=True))
    sheaf.flagdata(path, field="0", flagbackup=False, **cases.CASES["clip components"][2])


def test_correlations_of_cells_and_setup_differ(make):
    path = make("ngc.ms", "components")
    with table(path + "/POLARIZATION", readonly=False, ack=False) as t:
        t.putcell("CORR_TYPE", 0, np.array([5], np.int32))
        t.putcell("NUM_CORR", 0, 1)
    with pytest.raises(Exception, match="cells of row 0 have 63 channels and 2 correlations, their window and setup 63 and 1"):
        sheaf.flagdata(path, **cases.CASES["clip components"][2])


def test_other_keywords_are_no_models(make):
    """A name that does not end in the number of a field."""
    a, b = make("ngc.ms", "components", "a.ms"), make("ngc.ms", "components", "b.ms")
    with table(b + "/SOURCE", readonly=False, ack=False) as t:
        for name in ("", "x", "0x", "99999999999999999999"):
            t.putkeyword("definedmodel_field_" + name, "model_1")
    for path in (a, b):
        sheaf.flagdata(path, flagbackup=False, mode="clip", datacolumn="MODEL", clipminmax=[0, 0.5])
    assert same(a, b)


def test_without_column_and_model_it_is_refused(make):
    path = make("ngc.ms", "components")
    sheaf.delmod(path)
    with pytest.raises(Exception, match="RESIDUAL_DATA': case.ms has no column MODEL_DATA and no virtual model"):
        sheaf.flagdata(path, **cases.CASES["clip components"][2])


def test_pictures_are_drawn_without_the_column(make):
    path = make("ngc.ms", "components")
    sheaf.flagdata(path, mode="clip", datacolumn="MODEL", clipminmax=[0, 30], display="data", flagbackup=False)
    assert os.listdir(path + ".flagplots")


def test_partition_leaves_models_of_the_main_table_out(make, capfd):
    path = make("other.ms", "windows")
    with table(path, readonly=False, ack=False) as t:
        t.putkeywords({"definedmodel_field_0": "model_0", "model_0": {"type": "x"}, "mine": 3})
    sheaf.partition(path, "out.mms", separationaxis="scan", flagbackup=False)
    assert "The virtual models in the main table are left out" in capfd.readouterr().err
    with table("out.mms", ack=False) as t:
        assert "mine" in t.keywordnames() and not [k for k in t.keywordnames() if "model" in k]


def change_model(path, change, field=1):
    with table(path + "/SOURCE", readonly=False, ack=False) as t:
        row = t.getkeyword(f"model_{field}")
        record = t.getcell("SOURCE_MODEL", row)
        change(record)
        t.putcell("SOURCE_MODEL", row, record)


def with_many(number):
    """So many components as the last ones of a list, with 1/number of the flux each."""
    def change(record):
        of = record["cl_0"]["container"]
        first = of["component1"]
        first["flux"]["value"] = np.array(first["flux"]["value"]) / number
        for i in range(number):
            of[f"component{of['nelements'] + i}"] = first
        of["nelements"] += number
    return change


def test_what_no_table_holds_is_evaluated_in_parts(make, tmp_path):
    """With 64 MB the table of 3000 components (of 2.3 kB each, in a window of 63 channels) is too large."""
    path = make("ngc.ms", "components")
    change_model(path, with_many(3000))
    par = {**cases.CASES["clip components"][2], "antenna": "0&1;2&7", "field": "1", "flagbackup": False}
    flags = []
    for memory in ("64M", "4G"):
        code = f"import sheaf; sheaf.flagdata('case.ms', **{par!r})"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "SHEAF_MEMORY": memory}, check=True,
                       timeout=120)
        flags.append(cells(path)[0])
        sheaf.flagdata(path, mode="unflag", flagbackup=False)
    assert all(np.array_equal(a, b) for a, b in zip(*flags, strict=True))
    assert 0 < sum(f.sum() for f in flags[0])


def test_members_of_different_models(make):
    """Models are read once per content; each member keeps its own, and a change is seen in the same process."""
    path = make("ngc.ms", "components")
    clip = {"mode": "clip", "datacolumn": "MODEL", "clipminmax": [0, 30], "flagbackup": False}

    def flagged(path):
        sheaf.flagdata(path, mode="unflag", flagbackup=False)
        sheaf.flagdata(path, **clip)
        return sheaf.flagdata(path, mode="summary", fieldcnt=False)["scan"]

    def brighter(record):
        for i in range(2):
            flux = record["cl_0"]["container"][f"component{i}"]["flux"]
            flux["value"] = np.array(flux["value"]) * 4

    sheaf.partition(path, "case.mms", separationaxis="scan", numsubms=7, flagbackup=False)
    before = flagged(path)
    change_model(path, brighter)
    after = flagged(path)
    changed = [scan for scan in before if before[scan] != after[scan]]
    assert len(changed) > 1
    for sub in sorted(os.listdir("case.mms/SUBMSS")):
        with table(f"case.mms/SUBMSS/{sub}", ack=False) as t:
            scans = {str(s) for s in t.getcol("SCAN_NUMBER")}
        if changed[0] in scans:
            assert flagged("case.mms") == before
            change_model(f"case.mms/SUBMSS/{sub}", brighter)
            mixed = flagged("case.mms")
            assert all(mixed[s] == (after if s in scans else before)[s] for s in mixed)

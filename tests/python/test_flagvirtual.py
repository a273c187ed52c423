# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata on RESIDUAL, RESIDUAL_DATA and MODEL with the virtual models that CASA's setjy and ft write, against flags of CASA
(flagvirtual_cases.py)."""

import json
import os
import pathlib
import shutil
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


def test_without_column_and_model_it_is_refused(make):
    path = make("ngc.ms", "components")
    sheaf.delmod(path)
    with pytest.raises(Exception, match="RESIDUAL_DATA': case.ms has no column MODEL_DATA and no virtual model"):
        sheaf.flagdata(path, **cases.CASES["clip components"][2])


def test_pictures_are_drawn_without_the_column(make):
    path = make("ngc.ms", "components")
    sheaf.flagdata(path, mode="clip", datacolumn="MODEL", clipminmax=[0, 30], display="data", flagbackup=False)
    assert os.listdir(path + ".flagplots")

# SPDX-License-Identifier: GPL-3.0-or-later
"""clearcal and delmod against CASA, on MSs and Multi-MSs; bad input.

expected/models.tar.xz is the SOURCE table of NGC 5921 after, in CASA 6.7.0.31:
    importuvfits('NGC5921.fits', 'ngc.ms'); clearcal('ngc.ms'); setjy('ngc.ms', field='0', usescratch=False)
    setjy('ngc.ms', field='1', standard='manual', fluxdensity=[2, 0, 0, 0], usescratch=False)
"""

import json
import os
import pathlib
import shutil
import tarfile

import numpy as np
import pytest
from casacore.tables import makecoldesc, table

import inputs
import scratch_cases
import sheaf
import simulate

HERE = pathlib.Path(__file__).parent
EXPECTED = json.loads((HERE / "expected" / "scratch.json").read_text())["results"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scratch")
    scratch_cases.make_inputs(str(path))
    return path


@pytest.fixture
def copy(folder, tmp_path):
    def make(ms, name="w.ms"):
        to = tmp_path / name
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(folder / (ms + ".ms"), to)
        return str(to)
    return make


@pytest.mark.parametrize("ms", sorted(scratch_cases.MSS))
def test_columns_are_those_of_casa(copy, ms):
    assert set(EXPECTED) == set(scratch_cases.CASES)
    for name, (which, steps) in scratch_cases.CASES.items():
        if which != ms or not isinstance(EXPECTED[name], dict):  # 'listed': CASA fails on an MS without SOURCE
            continue
        path = copy(ms)
        scratch_cases.run(steps, path, sheaf)
        got, want = scratch_cases.digest(path), EXPECTED[name]
        for column in ("CORRECTED_DATA", "MODEL_DATA"):
            assert json.loads(json.dumps(got.get(column))) == want.get(column), (name, column)
        assert set(got["columns"]) == set(want["columns"]), name


def values(path, names=("CORRECTED_DATA", "MODEL_DATA")):
    """{(time, description, antennas): bytes of the scratch columns}"""
    with table(path, ack=False) as t:
        keys = zip(*(t.getcol(c) for c in ("TIME", "DATA_DESC_ID", "ANTENNA1", "ANTENNA2")))
        there = [n for n in names if n in t.colnames()]
        return {key: [t.getcell(n, row).tobytes() for n in there] for row, key in enumerate(keys)}


STEPS = {"new": [("clearcal", {})], "both": [("clearcal", {"addmodel": True})],
         "field": [("clearcal", {"addmodel": True}), ("spoil", {}), ("clearcal", {"field": "1"})],
         "channels": [("clearcal", {"addmodel": True}), ("spoil", {}), ("clearcal", {"spw": "0:1~2;5~9,1"})],
         "late": [("clearcal", {}), ("spoil", {}), ("clearcal", {"addmodel": True, "intent": "OBSERVE*"})],
         "without": [("clearcal", {"addmodel": True}), ("delmod", {"scr": True})]}


def spoil_by_key(path):
    """As scratch_cases.spoil, with values that do not depend on the order of rows."""
    with table(path, ack=False) as t:
        subs = t.partnames() if hasattr(t, "partnames") else [path]
    for sub in subs:
        with table(sub, readonly=False, ack=False) as t:
            for name in ("CORRECTED_DATA", "MODEL_DATA"):
                for row in range(t.nrows() if name in t.colnames() else 0):
                    t.putcell(name, row, t.getcell(name, row) * 0 + (5 + 7j))


@pytest.mark.parametrize("axis,name", [("scan", n) for n in STEPS] + [("spw", "channels"), ("baseline", "field")])
def test_a_multi_ms_gets_what_the_ms_gets(copy, tmp_path, axis, name):
    whole, parts = copy("linear"), str(tmp_path / "w.mms")
    sheaf.partition(whole, parts, separationaxis=axis, numsubms=3, flagbackup=False)
    for path in (whole, parts):
        for task, keywords in STEPS[name]:
            if task == "spoil":
                spoil_by_key(path)
            else:
                getattr(sheaf, task)(path, **keywords)
    assert values(whole) == values(parts)
    sheaf.listpartition(parts, verify=True)  # raises when the ledger says something else


def test_separate_ranges_of_channels(copy):
    """CASA also resets what lies between them."""
    path = copy("linear")
    sheaf.clearcal(path, addmodel=True)
    scratch_cases.spoil(path)
    sheaf.clearcal(path, spw="0:1~2;5~6")
    with table(path, ack=False) as t:
        for row in range(t.nrows()):
            data, corrected, model = (t.getcell(n, row) for n in ("DATA", "CORRECTED_DATA", "MODEL_DATA"))
            reset = np.isin(np.arange(len(data)), [1, 2, 5, 6]) & (t.getcell("DATA_DESC_ID", row) == 0)
            assert (corrected[reset] == data[reset]).all() and (corrected[~reset] == row + 2 + 3j).all()
            assert (model[~reset] == row + 2 + 3j).all()


def test_an_existing_model_stays_when_corrected_is_new(copy):
    path = copy("linear")
    sheaf.clearcal(path, addmodel=True)
    scratch_cases.spoil(path)
    with table(path, readonly=False, ack=False) as t:
        t.removecols("CORRECTED_DATA")
    sheaf.clearcal(path)
    with table(path, ack=False) as t:
        assert (t.getcell("MODEL_DATA", 4) == 6 + 3j).all()
        assert (t.getcell("CORRECTED_DATA", 4) == t.getcell("DATA", 4)).all()


def test_undefined_data_stay_undefined(tmp_path):
    path = simulate.simulate(str(tmp_path / "a.ms"), undefined=("DATA",))
    sheaf.clearcal(path, addmodel=True)
    with table(path, ack=False) as t:
        for row in range(t.nrows()):
            for name in ("CORRECTED_DATA", "MODEL_DATA"):
                assert t.iscelldefined(name, row) == t.iscelldefined("DATA", row)
            if t.iscelldefined("DATA", row):
                assert (t.getcell("CORRECTED_DATA", row) == t.getcell("DATA", row)).all()


def test_keywords_of_sorted_copies_go(copy):
    path = copy("linear")
    with table(path, readonly=False, ack=False) as t:
        t.putkeyword("SORT_COLUMNS", "NONE")
    sheaf.clearcal(path)
    with table(path, ack=False) as t:
        assert "SORT_COLUMNS" not in t.keywordnames()


def test_history(copy):
    path = copy("linear")
    sheaf.clearcal(path, field="0")
    sheaf.delmod(path)
    with table(path + "/HISTORY", ack=False) as t:
        lines = t.getcol("MESSAGE")[-13:]
    assert lines[0] == "taskname=clearcal" and 'field       = "0"' in lines and "addmodel    = False" in lines
    assert "taskname=delmod" in lines and "otf         = True" in lines
    assert not [n for n in os.listdir(path) if n.startswith(".") or "sheaf" in n]


# ---- virtual models ----

@pytest.fixture
def modelled(tmp_path):
    """NGC 5921 with virtual models of fields 0 and 1, an MS or a Multi-MS (each sub-MS has a SOURCE)."""
    def make(mms=False):
        path = str(tmp_path / "m.ms")
        shutil.copytree(inputs.ngc5921(), path)
        shutil.rmtree(path + "/SOURCE")
        with tarfile.open(HERE / "expected" / "models.tar.xz") as archive:
            archive.extractall(path)
        if not mms:
            return path
        parts = str(tmp_path / "m.mms")
        sheaf.partition(path, parts, separationaxis="scan", numsubms=3, flagbackup=False)
        for sub in os.listdir(parts + "/SUBMSS"):
            place = f"{parts}/SUBMSS/{sub}/SOURCE"
            shutil.rmtree(place)
            shutil.copytree(path + "/SOURCE", place)
        return parts
    return make


def models(path):
    """Per SOURCE table: keywords, and how many fields each record has."""
    folders = [path] if not os.path.isdir(path + "/SUBMSS") else [f"{path}/SUBMSS/{n}" for n in
                                                                 sorted(os.listdir(path + "/SUBMSS"))]
    out = []
    for one in folders:
        with table(one + "/SOURCE", ack=False) as t:
            out.append((sorted(t.keywordnames()), [len(t.getcell("SOURCE_MODEL", r)) for r in range(t.nrows())]))
    assert all(o == out[0] for o in out)
    return out[0]


ALL = (["definedmodel_field_0", "definedmodel_field_1", "model_0", "model_1"], [3, 3, 0])
NONE = ([], [0, 0, 0])
FIRST = (["definedmodel_field_0", "model_0"], [3, 0, 0])
# what CASA leaves (seen with CASA 6.7.0.31; delmod(scr=True) alone left the unreachable records)
MODELS = [("delmod", {}, NONE), ("delmod", {"field": "1"}, FIRST), ("delmod", {"field": "2"}, ALL),
          ("delmod", {"field": "0,1"}, NONE), ("delmod", {"field": "1445*"}, FIRST), ("delmod", {"otf": False}, ALL),
          ("delmod", {"otf": False, "field": "99"}, ALL), ("delmod", {"scr": True}, NONE),
          ("clearcal", {"addmodel": True}, NONE), ("clearcal", {}, ALL)]


@pytest.mark.parametrize("mms", [False, True])
@pytest.mark.parametrize("task,keywords,left", MODELS)
def test_virtual_models(modelled, mms, task, keywords, left):
    path = modelled(mms)
    assert models(path) == ALL
    getattr(sheaf, task)(path, **keywords)
    assert models(path) == left


def test_clearcal_of_one_field_removes_all_virtual_models(modelled):
    path = modelled()
    sheaf.clearcal(path)
    assert models(path) == ALL
    sheaf.clearcal(path, field="1")
    assert models(path) == NONE


def test_models_in_the_main_table(copy):
    """Without SOURCE they are keywords of the main table."""
    path = copy("linear")
    with table(path, readonly=False, ack=False) as t:
        for field in (0, 2):
            t.putkeyword(f"definedmodel_field_{field}", f"model_{field}")
            t.putkeyword(f"model_{field}", {"version": 2, "numcl": 0})
    sheaf.delmod(path, field="0")
    with table(path, ack=False) as t:
        assert [k for k in t.keywordnames() if "odel" in k] == ["definedmodel_field_2", "model_2"]
    os.mkdir(path + "/FT_MODEL0")
    sheaf.delmod(path)
    with table(path, ack=False) as t:
        assert not [k for k in t.keywordnames() if "odel" in k]
    assert not os.path.exists(path + "/FT_MODEL0")


def test_the_list_of_models(modelled, capfd, copy):
    sheaf.delmod(modelled(), otf=False)
    text = capfd.readouterr().err
    assert "\t 1331+30500002_0 (id = 0)\n" in text and "\t 1445+09900002_0 (id = 1)\n" in text and "id = 2" not in text
    sheaf.delmod(copy("linear"), otf=False)
    assert "\t None.\n" in capfd.readouterr().err


# ---- bad input ----

BAD = [("clearcal", {"field": "77"}, "field='77'"), ("clearcal", {"field": "nobody"}, "field='nobody'"),
       ("clearcal", {"spw": "9"}, "spw='9'"), ("clearcal", {"spw": "abc"}, "spw='abc'"),
       ("clearcal", {"intent": "FOO"}, "intent='FOO'"), ("clearcal", {"addmodel": "yes"}, "addmodel"),
       ("clearcal", {"fild": "0"}, "field"), ("delmod", {"field": "77"}, "field='77'"),
       ("delmod", {"field": "nobody"}, "field='nobody'"), ("delmod", {"otf": 1}, "otf"), ("delmod", {"scr": "no"}, "scr")]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("task,keywords,words", BAD)
def test_bad_input_changes_nothing(copy, task, keywords, words, fresh):
    path = copy("linear")
    if not fresh:
        sheaf.clearcal(path, addmodel=True)
        scratch_cases.spoil(path)
    before = scratch_cases.digest(path)
    with pytest.raises((sheaf.Error, TypeError), match=words):
        getattr(sheaf, task)(path, **keywords)
    assert scratch_cases.digest(path) == before


def test_a_selection_without_rows(copy):
    path = copy("linear")
    sheaf.clearcal(path)
    scratch_cases.spoil(path)
    before = scratch_cases.digest(path)
    with pytest.raises(sheaf.EmptyError, match="selects no rows"):
        sheaf.clearcal(path, field="1", spw="0")
    assert scratch_cases.digest(path) == before


@pytest.mark.parametrize("task", ["clearcal", "delmod"])
@pytest.mark.parametrize("vis", ["", "nope.ms", __file__, str(HERE)])
def test_bad_vis(task, vis):
    with pytest.raises(sheaf.Error, match="vis"):
        getattr(sheaf, task)(vis)


def test_an_ms_without_data(tmp_path):
    path = simulate.simulate(str(tmp_path / "a.ms"), data=())
    with pytest.raises(sheaf.DataError, match="neither DATA nor FLOAT_DATA"):
        sheaf.clearcal(path)


def test_a_scratch_column_of_another_type(tmp_path, copy):
    path = copy("linear")
    with table(path, readonly=False, ack=False) as t:
        t.addcols({"CORRECTED_DATA": makecoldesc("CORRECTED_DATA", {"valueType": "float", "ndim": 2, "_c_order": True,
                                                                    "option": 0, "maxlen": 0, "comment": "",
                                                                    "dataManagerType": "TiledShapeStMan",
                                                                    "dataManagerGroup": "x", "keywords": {}})["desc"]})
        for row in range(t.nrows()):
            t.putcell("CORRECTED_DATA", row, t.getcell("DATA", row).real)
    with pytest.raises(sheaf.DataError, match="CORRECTED_DATA"):
        sheaf.clearcal(path)

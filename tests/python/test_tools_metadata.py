# SPDX-License-Identifier: GPL-3.0-or-later
"""ms.metadata() against CASA 6.7: every call of metadata_cases.py gives what CASA gave (expected/make_metadata.py)."""

import json
import pathlib

import pytest

import inputs
import metadata_cases
from sheaf import ms, msmetadata, table

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected" / "metadata.json").read_text())
PATHS = {"ngc": lambda _: inputs.ngc5921(), "sim": lambda _: inputs.simulated(), "alma": lambda place: alma(place)}


def alma(place):
    path = str(place / "alma.ms")
    metadata_cases.make_alma(table, inputs.simulated(), path)
    return path


def same(here, there):
    if isinstance(there, float) or isinstance(here, float):
        return here == pytest.approx(there, rel=1e-12)
    if isinstance(there, list):
        return len(here) == len(there) and all(map(same, here, there))
    if isinstance(there, dict):
        return set(here) == set(there) and all(same(here[key], there[key]) for key in there)
    return here == there


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_casas(name, tmp_path):
    answers = metadata_cases.answers(ms, PATHS[name](tmp_path))
    for (call, here), (also, there), how in zip(answers, EXPECTED[name], metadata_cases.CALLS, strict=True):
        assert call == also and same(here, there), how


@pytest.fixture(scope="module")
def metadata():
    m = ms()
    m.open(inputs.ngc5921())
    yield m.metadata()
    m.close()


@pytest.mark.parametrize("call", metadata_cases.FAILING, ids=lambda call: "-".join(map(str, call)))
def test_what_is_not_there(call, metadata):
    with pytest.raises(RuntimeError) as failure:
        getattr(metadata, call[0])(*call[1:])
    assert str(failure.value)


def test_what_is_not_offered(metadata):
    with pytest.raises(AttributeError, match="msmetadata has no antennaoffset; it has .*antennanames"):
        metadata.antennaoffset()


def test_the_tool_by_itself():
    m = msmetadata()
    with pytest.raises(RuntimeError, match="no MS is open"):
        m.nspw()
    with pytest.raises(RuntimeError, match="does not exist"):
        m.open("nothing.ms")
    assert m.open(inputs.ngc5921()) and m.nspw() == 1 and m.name() == inputs.ngc5921() and m.done()
    with pytest.raises(RuntimeError, match="no MS is open"):
        m.name()
    with pytest.raises(RuntimeError, match="is no MeasurementSet: it has no column"):
        m.open(inputs.ngc5921() + "/ANTENNA")


def test_changes_are_seen(tmp_path):
    """Also by an object that has read the rows before."""
    path = str(tmp_path / "a.ms")
    t = table()
    t.open(inputs.ngc5921())
    t.query("SCAN_NUMBER==1").copy(path, deep=True, valuecopy=True).close()
    t.close()
    m = ms()
    m.open(path)
    metadata = m.metadata()
    assert metadata.scannumbers().tolist() == [1]
    t.open(path, nomodify=False)
    t.putcol("SCAN_NUMBER", t.getcol("SCAN_NUMBER") + 5)
    t.close()
    assert metadata.scannumbers().tolist() == [6]
    m.close()

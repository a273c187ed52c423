# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools table and ms against CASA 6.7: every call of tools_cases.py gives what CASA gave (expected/make_tools.py)."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import inputs
import simulate
import tools_cases
from sheaf import ms, table

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected" / "tools.json").read_text())
# Sums and complex quotients are rounded otherwise where the compiler orders them otherwise.
ROUNDING = 2e-6
# Hour angles depend on the tables of the rotation of the Earth, which CASA has and this machine may lack: 0.12 s here.
EARTH = 1e-4


def copied(path, rows):
    """Those rows of NGC 5921, copied and open for changes."""
    t = table()
    t.open(inputs.ngc5921())
    chosen = t.query(rows)
    chosen.copy(path, deep=True, valuecopy=True).close()
    chosen.close()
    t.close()
    t.open(path, nomodify=False)
    return t


def with_columns(path):
    """NGC 5921's scan 2 with MODEL_DATA and CORRECTED_DATA."""
    t = copied(path, "SCAN_NUMBER==2")
    data = t.getcol("DATA")
    description = {"valueType": "complex", "ndim": 2}
    t.addcols({"MODEL_DATA": description, "CORRECTED_DATA": description})
    t.putcol("MODEL_DATA", np.conj(data) * 0.5 + 2)
    t.putcol("CORRECTED_DATA", data * 3 - 1j)
    t.close()


def averaging(path, spectra, uniform=False, single_dish=False):
    """Some baselines of NGC 5921's scan 2, with flags in all patterns and the spectra of weights that are named (w, s)."""
    t = copied(path, "SCAN_NUMBER==2 && ANTENNA1<6 && ANTENNA2<8")
    n = t.nrows()
    t.removecols(["WEIGHT_SPECTRUM"])
    cells = np.arange(2 * 63 * n).reshape((2, 63, n), order="F")
    columns = {"SIGMA_SPECTRUM": "s" in spectra, "WEIGHT_SPECTRUM": "w" in spectra, "FLOAT_DATA": single_dish,
               "MODEL_DATA": not single_dish, "CORRECTED_DATA": not single_dish}
    t.addcols({name: {"valueType": "complex" if name.endswith("_DATA") and name != "FLOAT_DATA" else "float", "ndim": 2}
               for name, wanted in columns.items() if wanted})
    for i, name in enumerate(name for name, wanted in columns.items() if wanted):
        values = 1.5 + np.cos(cells * (1.7 + 0.1 * i))
        if uniform and name.endswith("SPECTRUM"):
            values = np.broadcast_to(values[:1, :, :1], values.shape)
        t.putcol(name, values * np.exp(1j * cells) if name in ("MODEL_DATA", "CORRECTED_DATA") else values)
    flags = np.sin(cells**2 % 9973) > 0.2
    flags[0, :, 3] = flags[:, :, 4] = flags[:, 2:6, 5] = True
    if uniform:
        flags = np.broadcast_to(np.arange(63)[None, :, None] % 5 < 2, flags.shape).copy()
        flags[:, :8] = True
    t.putcol("FLAG", flags)
    t.putcol("FLAG_ROW", np.arange(n) % 11 == 6)
    for i, name in enumerate(("WEIGHT", "SIGMA")):
        t.putcol(name, np.full((2, n), 2.0 + i) if uniform else 1.5 + np.cos(cells[:, 0] * (0.3 + i)))
    t.close()


def make_inputs(folder):
    for name in ("n", "w", "s", "ws"):
        averaging(os.path.join(folder, f"avg_{name}.ms"), name)
    for name in ("f", "fw"):
        averaging(os.path.join(folder, f"avg_{name}.ms"), name, single_dish=True)
    averaging(os.path.join(folder, "avg_u.ms"), "ws", uniform=True)
    averaging(os.path.join(folder, "avg_uf.ms"), "ws", uniform=True, single_dish=True)
    shutil.copytree(inputs.ngc5921(), os.path.join(folder, "ngc.ms"), symlinks=True)
    simulate.simulate(os.path.join(folder, "sim.ms"))
    with_columns(os.path.join(folder, "col.ms"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = str(tmp_path_factory.mktemp("tools"))
    make_inputs(place)
    return place


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.rmtree("copy.ms", ignore_errors=True)
    shutil.copytree("ngc.ms", "copy.ms")
    for made in ("new.tab", "new.copy"):
        shutil.rmtree(made, ignore_errors=True)


def differences(casa, ours, where, faults):
    """What is not the same, as lines."""
    if isinstance(casa, dict) and isinstance(ours, dict) and "sha1" in casa and "sha1" in ours:
        casa, ours = dict(casa), dict(ours)
        if casa.pop("sha1") != ours.pop("sha1"):
            scale = max(abs(casa["about"][2]), 1e-30)
            rounding = EARTH if where.endswith(".HA") else ROUNDING
            if not np.allclose(casa["about"], ours["about"], rtol=rounding, atol=rounding * scale):
                faults.append(f"{where}: {casa['about']} in CASA, {ours['about']} here")
        casa.pop("about"), ours.pop("about")
    if isinstance(casa, dict) and isinstance(ours, dict):
        if set(casa) != set(ours):
            faults.append(f"{where}: {sorted(casa)} in CASA, {sorted(ours)} here")
        for key in set(casa) & set(ours):
            differences(casa[key], ours[key], f"{where}.{key}", faults)
    elif isinstance(casa, list) and isinstance(ours, list) and len(casa) == len(ours):
        for i, (one, other) in enumerate(zip(casa, ours)):
            differences(one, other, f"{where}[{i}]", faults)
    elif isinstance(casa, float) and isinstance(ours, float):
        if casa != ours and abs(casa - ours) > 1e-12 * abs(casa):
            faults.append(f"{where}: {casa} in CASA, {ours} here")
    elif casa != ours:
        faults.append(f"{where}: {casa!r} in CASA, {ours!r} here")


@pytest.mark.parametrize("name", tools_cases.CASES)
def test_as_casa(name, folder):
    ours = tools_cases.digest(tools_cases.CASES[name](table, ms, folder), folder)
    faults = []
    differences(EXPECTED[name], json.loads(json.dumps(ours)), name, faults)
    assert not faults, "\n".join(faults[:40])

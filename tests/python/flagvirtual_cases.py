# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual models that CASA's setjy and ft wrote, and calls of flagdata whose flags CASA computed with them:
expected/flagvirtual.tar.xz (tables SOURCE with models) and expected/flagvirtual.json. They are made by

    sheaf importuvfits fitsfile=NGC5921.fits vis=ngc5921.ms
    python3 tests/python/flagvirtual_cases.py prepare ngc5921.ms FOLDER                  (with python3-casacore)
    python3 tests/python/flagvirtual_cases.py make FOLDER tests/python/expected

the last one with a Python that has CASA 6.7's packages (casatasks, casatools)."""
import json
import os
import shutil
import sys
import tarfile

from flagdata_cases import digest

# Components around field 1 of NGC 5921 and the fields of `other.ms`.
STOKES = {"fluxunit": "Jy", "polarization": "Stokes"}
COMPONENTS = {
    "ngc.ms": [
        {"flux": 20.0, "shape": "point", "dir": "J2000 14h45m17s 10d00m00s", "spectrumtype": "spectral index", "index": -0.8,
         "freq": "1.4GHz"},
        {"flux": [10.0, 2.0, 1.0, 0.5], **STOKES, "shape": "gaussian", "majoraxis": "40arcsec", "minoraxis": "20arcsec",
         "positionangle": "30deg", "dir": "J2000 14h45m16s 9d58m00s", "spectrumtype": "constant"},
        {"flux": 5.0, "shape": "disk", "majoraxis": "60arcsec", "minoraxis": "30arcsec", "positionangle": "-60deg",
         "dir": "J2000 14h45m10s 9d57m00s"},
        {"flux": 3000.0, "fluxunit": "mJy", "shape": "point", "dir": "J2000 14h45m16s 9d59m00s", "spectrumtype": "plp",
         "index": [-0.8, 0.3], "freq": "700MHz"},
        {"flux": [1, 0.2 + 0.1j, 0.2 - 0.1j, 0.8], "polarization": "Circular", "shape": "point",
         "dir": "J2000 14h45m16s 9d59m30s"},
        {"flux": [1, 0.2 + 0.1j, 0.2 - 0.1j, 0.8], "polarization": "Linear", "shape": "point",
         "dir": "B1950 14h42m47s 10d10m00s"}],
    "other.ms": [
        {"flux": [200.0, 20.0, 10.0, 5.0], **STOKES, "shape": "gaussian", "majoraxis": "40arcsec", "minoraxis": "20arcsec",
         "positionangle": "30deg", "dir": "J2000 0.1002rad 0.4999rad", "spectrumtype": "constant"},
        {"flux": 100.0, "shape": "disk", "majoraxis": "60arcsec", "minoraxis": "60arcsec", "positionangle": "0deg",
         "dir": "J2000 0.0999rad 0.5002rad"}]}

MANUAL = {"standard": "manual", "usescratch": False}
# name: the MS, and what is called: setjy, or ft with the components
MODELS = {
    "standard": ("ngc.ms", [("setjy", {"field": "0", "standard": "Perley-Butler 2010", "usescratch": False})]),
    "polarized": ("ngc.ms", [("setjy", {"field": "1", "fluxdensity": [25, 0, 0, 0], "spix": [-0.7, 0.1], "reffreq": "1.4GHz",
                                        "polindex": [0.1, 0.2], "polangle": [0.5, 0.3], "rotmeas": 3.0, **MANUAL})]),
    "circular": ("ngc.ms", [("setjy", {"field": "2", "fluxdensity": [25, 3, 2, 7], "spix": -0.7, "reffreq": "2GHz",
                                       **MANUAL})]),
    "scan": ("ngc.ms", [("setjy", {"field": "0", "fluxdensity": [15, 0, 0, 0], **MANUAL}),
                        ("setjy", {"field": "1", "scan": "4", "fluxdensity": [20, 0, 0, 0], **MANUAL})]),
    "components": ("ngc.ms", [("ft", {"field": "1"})]),
    "image": ("ngc.ms", [("setjy", {"field": "0", "standard": "Perley-Butler 2010", "model": "3C286_L.im", "usescratch": False}),
                         ("setjy", {"field": "1", "fluxdensity": [20, 0, 0, 0], **MANUAL})]),
    "windows": ("other.ms", [("setjy", {"field": "0,3", "spw": "0,2,4", "fluxdensity": [150, 30, 20, 10], "spix": -1.0,
                                        "reffreq": "100GHz", **MANUAL})]),
    "states": ("other.ms", [("ft", {"field": "0,2"})])}

CLIP = {"mode": "clip", "datacolumn": "RESIDUAL_DATA"}
# name: the model, the MS, and parameters; columns.ms is ngc.ms with CORRECTED_DATA and MODEL_DATA, corrected.ms without the latter
CASES = {f"clip {model}": (model, base, {**CLIP, "clipminmax": [0.0, 16.0] if base == "ngc.ms" else [0.0, 200.0]})
         for model, (base, _) in MODELS.items() if model != "image"}
CASES.update({
    "clip without": ("image", "ngc.ms", {**CLIP, "field": "1,2", "clipminmax": [0.0, 16.0]}),
    "clip real": ("polarized", "ngc.ms", {**CLIP, "correlation": "REAL_LL", "clipminmax": [-30.0, 16.0], "clipoutside": False}),
    "clip averaged": ("components", "ngc.ms", {**CLIP, "clipminmax": [0.0, 16.0], "channelavg": True, "chanbin": 4}),
    "tfcrop": ("components", "ngc.ms", {"mode": "tfcrop", "datacolumn": "RESIDUAL_DATA", "extendflags": False}),
    "rflag": ("components", "ngc.ms", {"mode": "rflag", "datacolumn": "RESIDUAL_DATA", "extendflags": False}),
    "list": ("components", "ngc.ms", {"mode": "list", "inpfile": [
        "mode='clip' datacolumn='RESIDUAL_DATA' clipminmax=[0,40]", "mode='clip' clipminmax=[0,60]",
        "mode='tfcrop' datacolumn='RESIDUAL_DATA' extendflags=False scan='2'"]}),
    "residual": ("standard", "corrected.ms", {"mode": "clip", "datacolumn": "RESIDUAL", "clipminmax": [0.0, 16.0]}),
    "residual rflag": ("components", "corrected.ms", {"mode": "rflag", "datacolumn": "RESIDUAL", "extendflags": False}),
    "over the column": ("components", "columns.ms", {"mode": "clip", "datacolumn": "RESIDUAL", "clipminmax": [0.0, 16.0]}),
    "model over the column": ("scan", "columns.ms", {"mode": "clip", "datacolumn": "MODEL", "clipminmax": [0.0, 17.0]})})


def prepare(ms, folder):
    from casacore.tables import table
    import flagcolumn_cases
    import simulate
    flagcolumn_cases.prepare(ms, folder)
    shutil.rmtree(os.path.join(folder, "float.ms"))
    shutil.copytree(ms, os.path.join(folder, "ngc.ms"))
    corrected = os.path.join(folder, "corrected.ms")
    shutil.copytree(os.path.join(folder, "columns.ms"), corrected)
    with table(corrected, readonly=False, ack=False) as t:
        t.removecols(["MODEL_DATA"])
    other = os.path.join(folder, "other.ms")
    simulate.simulate(other, polarizations=[[5, 6, 7, 8]] * 3, optional=True)
    with table(other, readonly=False, ack=False) as t:  # as a telescope has them
        uvw = t.getcol("UVW")
        t.putcol("UVW", uvw % 3000 - 1500)


def put_model(path, folder, model):
    """The MS with the SOURCE of a model; `folder` has the unpacked archive."""
    shutil.rmtree(os.path.join(path, "SOURCE"))
    shutil.copytree(os.path.join(folder, model, "SOURCE"), os.path.join(path, "SOURCE"))


def make(folder, out):
    from casatasks import casalog, flagdata, ft, setjy
    from casatools import componentlist, table
    casalog.filter("SEVERE")
    os.chdir(folder)

    def copy(of):
        shutil.rmtree("case.ms", ignore_errors=True)
        shutil.copytree(of, "case.ms")

    for model, (base, steps) in MODELS.items():
        shutil.rmtree(model, ignore_errors=True)
        copy(base)
        for name, par in steps:
            if name == "setjy":
                setjy("case.ms", **par)
                continue
            shutil.rmtree("case.cl", ignore_errors=True)
            cl = componentlist()
            for component in COMPONENTS[base]:
                cl.addcomponent(**component)
            cl.rename("case.cl")
            cl.close()
            ft("case.ms", complist="case.cl", usescratch=False, **par)
        os.mkdir(model)
        shutil.copytree("case.ms/SOURCE", f"{model}/SOURCE", ignore=shutil.ignore_patterns("FT_MODEL*"))
    with tarfile.open(os.path.join(out, "flagvirtual.tar.xz"), "w:xz") as archive:
        for model in MODELS:
            archive.add(model)
    tb, expected = table(), {}
    for name, (model, base, par) in CASES.items():
        copy(base)
        put_model("case.ms", ".", model)
        flagdata("case.ms", flagbackup=False, **par)
        tb.open("case.ms")
        if base == "other.ms":  # cells of several shapes
            flags = [tb.getcell("FLAG", row).T for row in range(tb.nrows())]
        else:
            flags = list(tb.getcol("FLAG").transpose(2, 1, 0))
        expected[name] = digest_of(flags, tb.getcol("FLAG_ROW"))
        tb.close()
    shutil.rmtree("case.ms")
    with open(os.path.join(out, "flagvirtual.json"), "w", encoding="ascii") as file:
        json.dump({"casatasks": "6.7.0.31", "cases": expected}, file, indent=1, sort_keys=True)
        file.write("\n")


def digest_of(flags, flag_row):
    """flags: cells [chan][corr] of each row."""
    import numpy as np
    return digest(np.concatenate([cell.ravel() for cell in flags]), flag_row)


if __name__ == "__main__":
    {"prepare": prepare, "make": make}[sys.argv[1]](*map(os.path.abspath, sys.argv[2:]))

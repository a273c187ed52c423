# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the obs_* files of this folder: what CASA's importuvfits and listobs do with examples/ngc5921.

Run it with the Python of CASA 6.7 (pip install casatools casatasks casadata python-casacore numpy):
    python make_obs.py ../../../examples/ngc5921/NGC5921.fits.xz
"""
import json
import lzma
import os
import sys
import tempfile

import numpy as np
from casatasks import importuvfits, listobs, partition

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import uvfits_cases  # noqa: E402
from ms_digest import describe, positions  # noqa: E402


def tag(value):
    if isinstance(value, dict):
        return {k: tag(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return {"#array": value.dtype.str, "data": value.tolist()}
    return value


SELECTIONS = [{"field": "1"}, {"scan": "2~4"}, {"antenna": "1&2"}, {"antenna": "1"}, {"uvrange": "<1klambda"},
              {"spw": "0:1~5"}, {"observation": "0"}, {"correlation": "RR"}, {"array": "0"},
              {"timerange": "09:30:00~10:00:00"}, {"field": "N5*", "scan": "3", "verbose": False},
              {"selectdata": False, "field": "1"}, {"scan": "2", "listunfl": True}]


def listing(vis, **keywords):
    value = listobs(vis, listfile="out.txt", overwrite=True, **keywords)
    with open("out.txt") as file:
        text = file.read().replace(os.path.abspath(vis), "NAME")
    return {"keywords": keywords, "text": text, "value": tag(value)}


def save(name, value):
    with open(os.path.join(HERE, name), "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def main():
    with lzma.open(sys.argv[1]) as file:
        fits = file.read()
    os.chdir(tempfile.mkdtemp())
    with open("NGC5921.fits", "wb") as file:
        file.write(fits)
    importuvfits("NGC5921.fits", "ngc5921.ms")
    save("obs_import.json", describe("ngc5921.ms"))
    cases = {}
    for case, scheme in uvfits_cases.CASES:
        with open("case.fits", "wb") as file:
            file.write(uvfits_cases.change(fits, case))
        importuvfits("case.fits", f"{case}_{scheme}.ms", antnamescheme=scheme)
        cases[f"{case}_{scheme}"] = positions(f"{case}_{scheme}.ms")
    save("obs_antennas.json", cases)
    partition("ngc5921.ms", "ngc5921.mms", separationaxis="scan", numsubms=3)
    keywords = [{}, {"verbose": False}, {"listunfl": True}] + SELECTIONS
    save("obs_list.json", {"ms": [listing("ngc5921.ms", **k) for k in keywords], "mms": [listing("ngc5921.mms")]})


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes partition.json: what CASA makes of the calls in ../partition_cases.py.

Run it with the Python of a CASA 6.7 that also has python-casacore, in an empty folder:

    python .../tests/python/expected/make_partition.py NGC5921.fits
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from casatasks import importuvfits, partition  # noqa: E402
from casatools import version_string  # noqa: E402

import partition_cases as cases  # noqa: E402


def main():
    importuvfits(fitsfile=sys.argv[1], vis="ngc.ms")
    cases.make_inputs(".")
    results = {}
    for name, (vis, keywords) in cases.CASES.items():
        partition(vis=vis + ".ms", outputvis="out.mms", flagbackup=False, **keywords)
        results[name] = cases.digest("out.mms") if os.path.isdir("out.mms") else None
        shutil.rmtree("out.mms", ignore_errors=True)
        shutil.rmtree("out.mms.data", ignore_errors=True)
    about = f"CASA {version_string()}, by {os.path.basename(__file__)}"
    with open(os.path.join(HERE, "partition.json"), "w") as out:
        out.write('{"made by": ' + json.dumps(about) + ', "results": {\n')
        out.write(",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in results.items()))
        out.write("\n}}\n")


main()

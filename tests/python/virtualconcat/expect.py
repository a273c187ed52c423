# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes casa.json: digests of what CASA's virtualconcat makes of the inputs of cases.py.

    python3 tests/python/virtualconcat/expect.py BASE_MS CASA_PYTHON

BASE_MS is the MS that importuvfits makes of examples/ngc5921, CASA_PYTHON a Python with casatasks (6.7.0-31 made the
file that is here). Needs python-casacore."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import cases


def run_casa(python, folder, vis, concatvis, params):
    code = "from casatasks import virtualconcat; virtualconcat(vis=%r, concatvis=%r, **%r)"
    subprocess.run([python, "-c", code % (vis, concatvis, params)], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(base, python):
    folder = tempfile.mkdtemp()
    inputs = os.path.join(folder, "inputs")
    os.mkdir(inputs)
    cases.make_inputs(os.path.abspath(base), inputs)
    run_casa(python, inputs, ["a.ms", "b.ms"], "ab.ms", {"keepcopy": True})
    result = {}
    for name, (vis, params) in cases.CASES.items():
        work = os.path.join(folder, name)
        os.mkdir(work)
        for v in vis:
            shutil.copytree("%s/%s.ms" % (inputs, v), "%s/%s.ms" % (work, v), symlinks=True)
        run_casa(python, work, [v + ".ms" for v in vis], "out.mms", params)
        result[name] = cases.digest(os.path.join(work, "out.mms"))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "casa.json"), "w") as out:
        lines = ["%s: %s" % (json.dumps(name), json.dumps(result[name], sort_keys=True, separators=(",", ":")))
                 for name in result]
        out.write("{\n" + ",\n".join(lines) + "\n}\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])

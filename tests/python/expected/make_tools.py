# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the cases of tools_cases.py with CASA's own tools and writes tools.json. FOLDER has ngc.ms, sim.ms, col.ms and
avg_*.ms as test_tools_casa.py's make_inputs makes them.

    PYTHONPATH=tests/python CASA-PYTHON tests/python/expected/make_tools.py FOLDER > tests/python/expected/tools.json
"""

import json
import os
import shutil
import sys

from casatools import ms, table

import tools_cases

folder = os.path.abspath(sys.argv[1])
os.chdir(folder)
out = {}
for name, case in tools_cases.CASES.items():
    shutil.rmtree("copy.ms", ignore_errors=True)
    shutil.copytree("ngc.ms", "copy.ms")
    for made in ("new.tab", "new.copy"):
        shutil.rmtree(made, ignore_errors=True)
    try:
        out[name] = tools_cases.digest(case(table, ms, folder), folder)
    except Exception as failure:  # pylint: disable=broad-except
        print(name, "FAILED", repr(failure), file=sys.stderr)
print(json.dumps(out, sort_keys=True, separators=(",", ":")).replace('},"', '},\n"'))

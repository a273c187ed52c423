# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the calls of metadata_cases.py with CASA's own tool and writes metadata.json. FOLDER has ngc.ms and sim.ms as in make_tools.py.

    PYTHONPATH=tests/python CASA-PYTHON tests/python/expected/make_metadata.py FOLDER > tests/python/expected/metadata.json
"""

import json
import sys

from casatools import ms

import metadata_cases

print(json.dumps({name: metadata_cases.answers(ms, f"{sys.argv[1]}/{name}.ms") for name in ("ngc", "sim")}, separators=(",", ":"))
      .replace('],["', '],\n["'))

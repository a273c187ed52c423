# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the calls of metadata_cases.py with CASA's own tool and writes metadata.json. FOLDER has ngc.ms (inputs.ngc5921) and sim.ms (inputs.simulated); alma.ms is made there.

    PYTHONPATH=tests/python CASA-PYTHON tests/python/expected/make_metadata.py FOLDER > tests/python/expected/metadata.json
"""

import json
import sys

from casatools import ms, table

import metadata_cases

metadata_cases.make_alma(table, f"{sys.argv[1]}/sim.ms", f"{sys.argv[1]}/alma.ms")
print(json.dumps({name: metadata_cases.answers(ms, f"{sys.argv[1]}/{name}.ms") for name in ("ngc", "sim", "alma")}, separators=(",", ":"))
      .replace('],["', '],\n["'))

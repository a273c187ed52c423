# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes flagcmd.json: what CASA makes of the calls in ../flagcmd_cases.py.

Run it with the Python of a CASA 6.7 that also has python-casacore, in an empty folder:

    python .../tests/python/expected/make_flagcmd.py
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from casatasks import flagcmd, flagdata, version_string  # noqa: E402

import flagcmd_cases as cases  # noqa: E402

cases.prepare()
RESULTS = {name: cases.call(flagcmd, arguments, written) for name, arguments, written in cases.CALLS}
MESSAGES = {}
cases.call(flagcmd, {"action": "clear", "clearall": True})
for name, arguments in cases.REFUSED.items():
    try:
        flagcmd("a.ms", **arguments)
    except Exception as problem:
        MESSAGES[name] = str(problem)
shutil.rmtree("a.ms")
cases.prepare()
UNKNOWN = cases.unknown(flagcmd)
SAVED = {name: cases.saved(flagdata, arguments) for name, arguments in cases.SAVED.items()}
cases.call(flagcmd, {"action": "clear", "clearall": True})
HITS = cases.hits(flagcmd, flagdata)
with open(os.path.join(HERE, "flagcmd.json"), "w", encoding="ascii") as out:
    json.dump({"casatasks": version_string(), "results": RESULTS, "messages": MESSAGES, "saved": SAVED, "unknown": UNKNOWN, "hits": HITS}, out, indent=1, sort_keys=True)
    out.write("\n")

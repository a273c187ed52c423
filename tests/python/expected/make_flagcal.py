# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes flagcal.json: what CASA makes of the calls in ../flagcal_cases.py.

Run it with the Python of a CASA 6.7 that also has python-casacore, in an empty folder:

    python .../tests/python/expected/make_flagcal.py
"""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from casatasks import flagcmd, version_string  # noqa: E402
from casacore.tables import table  # noqa: E402

import flagcal_cases as cases  # noqa: E402



def flags(calls):
    """A digest of the flags that the lists make, one after the other."""
    shutil.rmtree("cal.G", ignore_errors=True)
    shutil.copytree("fresh.G", "cal.G")
    for commands in calls:
        flagcmd("cal.G", inpmode="list", inpfile=commands, flagbackup=False)
    with table("cal.G", ack=False) as t:
        return cases.digest(t.getcol("FLAG"))


MESSAGES = {}
cases.make("fresh.G")
FLAGS = {name: flags([commands]) for name, commands in cases.LISTS.items()}
ALONE = {name: flags([[c] for c in commands]) for name, commands in cases.ONE_BY_ONE.items()}
TOGETHER = {name: flags([commands]) for name, commands in cases.ONE_BY_ONE.items()}
for name, arguments in cases.REFUSED.items():
    try:
        flagcmd("cal.G", **arguments)
    except Exception as problem:
        MESSAGES[name] = str(problem)
with open(os.path.join(HERE, "flagcal.json"), "w", encoding="ascii") as out:
    json.dump({"casatasks": version_string(), "flags": FLAGS, "one by one": ALONE, "together": TOGETHER, "messages": MESSAGES}, out, indent=1, sort_keys=True)
    out.write("\n")

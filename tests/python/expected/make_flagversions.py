# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes flagversions.tar.xz: flag versions that CASA saved of the MS in ../flagversions_cases.py, and what flagmanager
answered (answers.json).

Run it with the Python of a CASA 6.7 that also has python-casacore, in an empty folder:

    python .../tests/python/expected/make_flagversions.py
"""

import json
import os
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from casatasks import flagmanager  # noqa: E402

import flagversions_cases as cases  # noqa: E402


def answer(*args, **kwargs):
    try:
        value = flagmanager(*args, **kwargs)
        return {str(k): os.path.basename(v) if k == "MS" else v for k, v in value.items()} if value else value
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"


cases.make("a.ms")
cases.put_flags("a.ms", 1)
ANSWERS = {"none": answer("a.ms"), "save": answer("a.ms", "save", versionname="one", comment="first: with a colon")}
cases.put_flags("a.ms", 2)
answer("a.ms", "save", versionname="two")
answer("a.ms", "save", versionname="three", comment="x")
answer("a.ms", "rename", oldname="three", versionname="drei", comment="renamed")
answer("a.ms", "delete", versionname="two")
ANSWERS.update({
    "list": answer("a.ms"), "restore unknown": answer("a.ms", "restore", versionname="zz"),
    "restore ''": answer("a.ms", "restore"), "save ''": answer("a.ms", "save"), "delete ''": answer("a.ms", "delete"),
    "delete unknown": answer("a.ms", "delete", versionname="zz"),
    "rename unknown": answer("a.ms", "rename", oldname="zz", versionname="y"),
    "rename to one that exists": answer("a.ms", "rename", oldname="one", versionname="drei"),
    "rename from ''": answer("a.ms", "rename", versionname="y")})
with open("answers.json", "w") as out:
    json.dump(ANSWERS, out, indent=1)
with tarfile.open(os.path.join(HERE, "flagversions.tar.xz"), "w:xz") as out:
    out.add("a.ms.flagversions")
    out.add("answers.json")

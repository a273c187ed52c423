# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes weights.json and scratch.json: what CASA makes of the calls in ../weights_cases.py and ../scratch_cases.py.

Run it with the Python of a CASA 6.7 that also has python-casacore, in an empty folder:

    python .../tests/python/expected/make_weights.py

Each call runs in a process of its own, since some end the process.
"""

import json
import os
import pickle
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import casatasks  # noqa: E402
from casatools import version_string  # noqa: E402

import scratch_cases  # noqa: E402
import weights_cases  # noqa: E402


def apart(work):
    """The value of work(), made in a child; its exception as text; None when the child was ended."""
    child = os.fork()
    if child == 0:
        try:
            value = work()
        except Exception as problem:
            value = f"{type(problem).__name__}: {problem}"
        with open("value", "wb") as out:
            pickle.dump(value, out)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    with open("value", "rb") as value:
        return pickle.load(value) if status == 0 else None


def copy(ms):
    shutil.rmtree("w.ms", ignore_errors=True)
    shutil.copytree(ms + ".ms", "w.ms", symlinks=True)


def weights(ms, caltable, keywords):
    copy(ms)
    casatasks.initweights("w.ms", tsystable=caltable + ".tsys" if caltable else "", **keywords)
    return weights_cases.digest("w.ms")


def scratch(ms, steps):
    copy(ms)
    scratch_cases.run(steps, "w.ms", casatasks)
    return scratch_cases.digest("w.ms")


def write(name, results):
    about = f"CASA {version_string()}, by {os.path.basename(__file__)}"
    with open(os.path.join(HERE, name), "w") as out:
        out.write('{"made by": ' + json.dumps(about) + ', "results": {\n')
        out.write(",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in results.items()))
        out.write("\n}}\n")


def main():
    weights_cases.make_inputs(".")
    write("weights.json", {name: apart(lambda: weights(*case)) for name, case in weights_cases.CASES.items()})
    shutil.rmtree("many.ms")
    shutil.rmtree("single.ms")
    scratch_cases.make_inputs(".")
    write("scratch.json", {name: apart(lambda: scratch(*case)) for name, case in scratch_cases.CASES.items()})


main()

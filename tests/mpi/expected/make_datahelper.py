# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes datahelper.json: what a user's task makes through CASA's ParallelDataHelper, and what its jobs get.

Run it with the Python of CASA 6.7 (pip install casatools casatasks casadata python-casacore numpy):
    python make_datahelper.py
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "python")]
import casatasks  # noqa: E402
import datahelper_cases as cases  # noqa: E402


def main():
    os.chdir(tempfile.mkdtemp())
    cases.make("in.ms")
    with open("usertask.py", "w", encoding="ascii") as file:
        file.write(cases.TASK)
    sys.path.insert(0, os.getcwd())
    import usertask

    casatasks.usertask = usertask.usertask  # where CASA's helper looks for tasks
    casatasks.__all__.append("usertask")
    found = {"made": {}, "jobs": [usertask.jobs("in.ms", **arguments) for arguments in cases.JOBS]}
    for name, given in cases.CASES.items():
        arguments = dict(given)
        vis = arguments.pop("after", None)
        usertask.usertask(vis=f"{vis}.mms" if vis else "in.ms", outputvis=f"{name}.mms", **arguments)
        found["made"][name] = cases.describe(f"{name}.mms")
    with open(os.path.join(HERE, "datahelper.json"), "w", encoding="ascii") as file:
        json.dump(found, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()

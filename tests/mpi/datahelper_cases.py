# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's task through ParallelDataHelper by CASA's names: its calls and what is kept of the Multi-MSs that they make."""

import hashlib
import os

import numpy as np
import simulate
from casacore.tables import table

TASK = '''
from casatasks import partition
from casatasks.private.parallel.parallel_data_helper import ParallelDataHelper

def usertask(vis, outputvis, createmms=True, separationaxis="auto", numsubms="auto", field="", spw="", scan="", antenna="",
             correlation="", timerange="", intent="", observation="", uvrange="", taql="", ddistart=0):
    pdh = ParallelDataHelper("usertask", locals())
    pdh.setupIO()
    if pdh.isMMSAndNotServer(vis) or createmms:
        pdh.setupCluster("usertask")
        return pdh.go()
    partition(vis=vis, outputvis=outputvis, createmms=False, field=field, spw=spw, scan=scan, antenna=antenna,
              correlation=correlation, timerange=timerange, intent=intent, observation=observation, uvrange=uvrange, taql=taql,
              datacolumn="data", ddistart=ddistart, flagbackup=False)

def jobs(vis, **arguments):
    """What each job is called with: these arguments, as texts."""
    given = dict(vis=vis, outputvis="jobs.mms", createmms=True, correlation="", ddistart=0, **arguments)
    pdh = ParallelDataHelper("mstransform", given)
    pdh.setupCluster("mstransform")
    pdh.initialize()
    pdh.generateJobs()
    calls = [job.getCommandArguments() for job in pdh._executionList]
    return [{name: str(call[name]) for name in ("spw", "scan", "chanbin", "ddistart") if name in call} for call in calls]
'''

# Without what CASA's mstransform cannot take or leaves out: several polarizations of one window, windows without data.
SHAPE = dict(windows=[(4, 1e6), (1, 64e6), (8, -2e6), (3, 5e5)], polarizations=[[5, 8], [5, 6, 7, 8]],
             descriptions=[(0, 0), (1, 0), (2, 0), (3, 1)],
             scans=[(0, 0, 1, 0, 0, [0, 1, 2, 3], 2), (0, 0, 2, 1, 1, [0, 1, 2, 3], 3), (0, 0, 3, 2, 2, [0, 2], 2),
                    (0, 0, 5, 0, 0, [0, 1, 2, 3], 1), (0, 0, 6, 3, 1, [0, 1], 2)])

# name: arguments; "after" names the case whose output is the input
CASES = {
    "scan": dict(separationaxis="scan", numsubms=3), "auto": dict(separationaxis="auto", numsubms=3),
    "baseline": dict(separationaxis="baseline", numsubms=4), "spw": dict(separationaxis="spw", numsubms=3),
    "spw_all": dict(separationaxis="spw"), "spw_one": dict(separationaxis="spw", spw="2"),
    "spw_channels": dict(separationaxis="spw", spw="0:1~2,2:3~6,3", numsubms=2),
    "spw_selected": dict(separationaxis="spw", scan="1,5", field="0", antenna="0~2", numsubms=2),
    "spw_correlation": dict(separationaxis="spw", spw="0,2", correlation="LL"),
    "of_spw": dict(after="spw", createmms=False, scan="1~3"), "of_scan": dict(after="scan", createmms=False, spw="0,3"),
}
JOBS = [dict(separationaxis="spw", numsubms=2, chanaverage=True, chanbin=[2, 4], spw="2,0"),
        dict(separationaxis="spw", numsubms=2, chanaverage=True, chanbin=[2, 1, 4], spw="3,0:0~1,2"),
        dict(separationaxis="spw", numsubms=3, chanaverage=True, chanbin=2, spw="0,2,3"),
        dict(separationaxis="scan", numsubms=2, chanaverage=True, chanbin=[2, 4], spw="0,2")]


COLUMNS = ("TIME", "ANTENNA1", "ANTENNA2", "DATA_DESC_ID", "FIELD_ID", "SCAN_NUMBER", "STATE_ID", "UVW", "DATA", "FLAG", "WEIGHT",
           "SIGMA")


def make(path):
    simulate.simulate(path, **SHAPE)


def _cell(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def _rows_of(path, columns):
    with table(path, ack=False) as t:
        return [[_cell(t.getcell(name, row)) for name in columns] for row in range(t.nrows())]


def _digest(t, order, name):
    return hashlib.sha256(b"".join(np.ascontiguousarray(t.getcell(name, int(row))).tobytes() for row in order)).hexdigest()[:24]


def describe_ms(path):
    """Rows, columns of the main table in the order of time, description and baseline, and what the windows are."""
    with table(path, ack=False) as t:
        keys = [t.getcol(name) for name in ("ANTENNA2", "ANTENNA1", "DATA_DESC_ID", "TIME")]
        order = np.lexsort(keys)
        ids, counts = np.unique(keys[2], return_counts=True)
        found = {"rows": dict(zip(map(str, ids.tolist()), counts.tolist())),
                 "columns": {name: _digest(t, order, name) for name in COLUMNS},
                 # where the input has no SOURCE, CASA makes an empty one
                 "keywords": sorted(set(t.keywordnames()) - {"SOURCE"})}
    found["windows"] = _rows_of(path + "/SPECTRAL_WINDOW", ("NUM_CHAN", "REF_FREQUENCY", "CHAN_FREQ", "CHAN_WIDTH", "NAME"))
    found["descriptions"] = _rows_of(path + "/DATA_DESCRIPTION", ("SPECTRAL_WINDOW_ID", "POLARIZATION_ID"))
    found["polarizations"] = _rows_of(path + "/POLARIZATION", ("CORR_TYPE",))
    found["fields"] = _rows_of(path + "/FIELD", ("NAME",))
    return found


def describe(path):
    """A Multi-MS: its axis, and each sub-MS by its name."""
    with open(os.path.join(path, "table.info"), encoding="ascii") as file:
        axis = [line.strip() for line in file if "AxisType" in line]
    members = sorted(name for name in os.listdir(path + "/SUBMSS") if name.endswith(".ms"))
    return {"axis": axis, **{name: describe_ms(os.path.join(path, "SUBMSS", name)) for name in members}}

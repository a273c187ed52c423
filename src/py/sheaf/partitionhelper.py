# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's partitionhelper: what is in an MS or Multi-MS, and how a Multi-MS is made of MSs.

A `selection` is a dictionary of selection parameters ({'spw': '0', 'scan': '1~3'}). A dictionary of a Multi-MS is what
`listpartition(vis, createdict=True)` returns.
"""

import os
import shutil
import subprocess

from sheaf import _core
from sheaf.casalog import casalog
from sheaf.errors import Error, ExistsError, NotFoundError, ParameterError

# CASA's ms tool and its tasks call the same thing differently.
_OTHER_NAMES = {"baseline": "antenna", "time": "timerange", "polarization": "correlation", "uvdist": "uvrange",
                "scanintent": "intent", "observationid": "observation"}


def _content(msfile, selection=None):
    chosen = {_OTHER_NAMES.get(name, name): str(value) for name, value in (selection or {}).items()}
    return _core.ms_scans(os.path.abspath(msfile), chosen)


def _subscans(msfile, scan, selection):
    content = _content(msfile, selection)
    return [s for s in content["subscans"] if s["scan"] == int(scan)], content["setups"]


def _are_entries(mmsdict, what):
    if isinstance(mmsdict, dict):
        return True
    casalog.post(f"{what}: a dictionary of listpartition is wanted, not {type(mmsdict).__name__}", "ERROR")
    return False


# ---- dictionaries of listpartition ----

def getMMSScans(mmsdict):
    """The scan numbers in a dictionary of listpartition."""
    if not _are_entries(mmsdict, "getMMSScans"):
        return []
    return sorted({scan for entry in mmsdict.values() for scan in entry["scanId"]})


def getMMSScanNrows(thisdict, myscan):
    """The rows of a scan in a dictionary of listpartition, over all sub-MSs; -1 when it is none."""
    if not _are_entries(thisdict, "getMMSScanNrows"):
        return -1
    return sum(entry["scanId"][myscan]["nrows"] for entry in thisdict.values() if myscan in entry["scanId"])


def _spws(entries):
    return sorted({int(spw) for entry in entries for scan in entry["scanId"].values() for spw in scan["spwIds"]})


def getMMSSpwIds(thisdict):
    """The spectral window ids in a dictionary of listpartition, ascending."""
    return _spws(thisdict.values()) if _are_entries(thisdict, "getMMSSpwIds") else []


def getSubMSSpwIds(subms, thisdict):
    """The spectral window ids of one sub-MS in a dictionary of listpartition, ascending."""
    return _spws([entry for entry in thisdict.values() if entry["MS"] == os.path.basename(subms)][:1])


# ---- MSs ----

def getScanList(msfile, selection={}):
    """The scan numbers (texts) of the selected rows."""
    return [str(scan) for scan in sorted({s["scan"] for s in _content(msfile, selection)["subscans"]})]


def getScanNrows(msfile, myscan, selection={}):
    """The number of selected rows of a scan."""
    return sum(s["nrow"] for s in _subscans(msfile, myscan, selection)[0])


def getSpwIds(msfile, myscan, selection={}):
    """The spectral window ids of a scan, ascending."""
    subscans, setups = _subscans(msfile, myscan, selection)
    return sorted({setups[d]["spw"] for s in subscans for d in s["ddid"]})


def getScanSpwSummary(mslist=[]):
    """What listpartition's dictionary says of each of these MSs, numbered in their order."""
    import sheaf

    result = {}
    for index, name in enumerate(mslist):
        (entry,) = sheaf.listpartition(vis=name, createdict=True).values()
        result[index] = entry
    return result


def getDiskUsage(msfile):
    """What an MS occupies on disk, as `du -hs` says it: '9.1M'."""
    return subprocess.run(["du", "-hs", os.path.abspath(msfile)], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split()[0]


def getSubtables(vis):
    """The names of the sub-tables."""
    return _core.mms_subtables(os.path.abspath(vis))


# ---- the Multi-MS ----

def axisType(mmsname):
    """The separation axis that a Multi-MS was made along: 'scan', 'spw', 'scan,spw', 'baseline', or ''."""
    return _core.mms_axis(os.path.abspath(mmsname))


def setAxisType(mmsname, axis=""):
    """Writes the separation axis into table.info; whether it is there."""
    if not axis:
        raise ParameterError("setAxisType: axis='': there is nothing to write")
    _core.mms_axis_set(os.path.abspath(mmsname), axis)
    return axisType(mmsname) == axis


def makeMMS(outputvis, submslist, copysubtables=False, omitsubtables=[], parallelaxis=""):
    """Makes a Multi-MS of MSs. These are copied into it, and removed when it is complete.

    copysubtables: SOURCE and HISTORY of the first are copied to the others, unless omitsubtables names them; all other
    sub-tables are links to those of the first.
    """
    outputvis, submslist = os.path.abspath(outputvis), [os.path.abspath(name) for name in submslist]
    if os.path.lexists(outputvis):
        raise ExistsError(f"Output MS {outputvis} already exists")
    if not submslist:
        raise ParameterError("No SubMSs given")
    for name in submslist:
        if not os.path.isdir(name):
            raise NotFoundError(f"'{name}': no such MS")
    try:
        _make_mms(outputvis, submslist, copysubtables, set(omitsubtables), parallelaxis)
    except Error as problem:
        raise type(problem)(f"Problem in MMS creation: {problem}") from problem
    return True


def _make_mms(outputvis, submslist, copysubtables, omitted, axis):
    copied = {"SOURCE", "HISTORY"} - omitted
    if copysubtables and len(copied) == 1:
        raise ParameterError(f"omitsubtables={sorted(omitted)}: SOURCE and HISTORY are copied both, or none of them")
    if copysubtables and (others := set(getSubtables(submslist[0])) - omitted - copied):
        raise ParameterError(f"omitsubtables: {', '.join(sorted(others))} cannot be copied; only SOURCE and HISTORY are")
    stage = _core.stage_begin(outputvis)
    try:
        top = os.path.join(_core.stage_path(stage), "mms")
        os.makedirs(os.path.join(top, "SUBMSS"))
        places = [os.path.join(top, "SUBMSS", os.path.basename(name)) for name in submslist]
        for name, place in zip(submslist, places):
            _core.tree_copy(name, place)
        _core.mms_assemble(top, places, axis, bool(copysubtables and copied))
        _core.stage_publish(stage, "mms")
    finally:
        _core.stage_abandon(stage)
    for name in submslist:
        shutil.rmtree(name)

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
from sheaf.errors import EmptyError, Error, ExistsError, NotFoundError, ParameterError

# CASA's ms tool and its tasks call the same thing differently.
_OTHER_NAMES = {"baseline": "antenna", "time": "timerange", "polarization": "correlation", "uvdist": "uvrange",
                "scanintent": "intent", "observationid": "observation"}


def _texts_of(selection):
    return {_OTHER_NAMES.get(name, name): str(value) for name, value in (selection or {}).items()}


def _content(msfile, selection=None):
    return _core.ms_scans(os.path.abspath(msfile), _texts_of(selection))


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


# ---- how an MS is shared out ----

def getPartitionMap(msfilename, nsubms, selection={}, axis=["field", "spw", "scan"], plotMode=0):
    """What partition with separationaxis='auto' puts into each sub-MS: {number: {'scanList': …, 'ddiList': …, 'fieldList': …,
    'nVisList': …, 'nVisTotal': …, 'taql': …}}. Lists have an entry for each pair of scan and data description, largest first.
    """
    if sorted(axis) != ["field", "scan", "spw"]:
        raise ParameterError(f"axis={axis}: work is balanced along field, spw and scan together only")
    if plotMode:
        raise ParameterError(f"plotMode={plotMode}: plots are not offered, only 0")
    if int(nsubms) < 1:
        raise ParameterError(f"nsubms={nsubms}: must be 1 or more")
    content = _content(msfilename, selection)
    pairs = _visibilities(content)
    if not pairs:
        raise EmptyError("getPartitionMap: MSSelectionNullSelection : the selection matches no rows")
    if nsubms > len(pairs):
        casalog.post(f"Number of subMSs ({nsubms}) is greater than available scan,ddi pairs ({len(pairs)}), setting nsubms to "
                     f"{len(pairs)}", "WARN", "getPartitionMap")
    n = min(int(nsubms), len(pairs))
    parts = {i: {"scanList": [], "ddiList": [], "fieldList": [], "nVisList": [], "nVisTotal": 0} for i in range(n)}
    for scan, ddid, part in _core.ms_balance(os.path.abspath(msfilename), _texts_of(selection), n):
        size, field = pairs[scan, ddid]
        for name, value in (("scanList", scan), ("ddiList", ddid), ("fieldList", str(field)), ("nVisList", size)):
            parts[part][name].append(value)
        parts[part]["nVisTotal"] += size
    for part in parts.values():
        scans = {}
        for scan, ddid in zip(part["scanList"], part["ddiList"]):
            scans.setdefault(ddid, []).append(scan)
        part["taql"] = " OR ".join(f"(DATA_DESC_ID=={ddid} && (SCAN_NUMBER IN {of}))" for ddid, of in scans.items())
    return parts


def _visibilities(content):
    """{(scan, data description): [visibilities, first field]}; rows of a scan are taken to be the same number for each description."""
    pairs = {}
    for subscan in content["subscans"]:
        for ddid in subscan["ddid"]:
            setup = content["setups"][ddid]
            pair = pairs.setdefault((subscan["scan"], ddid), [0.0, subscan["field"]])
            pair[0] += subscan["nrow"] / len(subscan["ddid"]) * setup["nchan"] * setup["ncorr"]
    return pairs


class convertToMMS:  # pylint: disable=invalid-name
    """Makes a Multi-MS of every MS in a folder, in another folder under the same name; the folder's other files and directories are copied.

    inpdir: the folder with MSs. mmsdir: where Multi-MSs are made, by default ./mmsdir. axis, numsubms: partition's separationaxis and
    numsubms. cleanup: mmsdir is removed first. Names that begin with a dot are left out.
    """

    def __init__(self, inpdir=None, mmsdir=None, axis="auto", numsubms=4, cleanup=False):  # pylint: disable=too-many-arguments
        if inpdir is None:
            raise ParameterError("inpdir: a folder with MSs must be given")
        if not os.path.isdir(inpdir):
            raise NotFoundError(f"inpdir='{inpdir}': no such folder")
        self.inpdir, self.axis, self.numsubms = os.path.abspath(inpdir), axis, numsubms
        self.mmsdir = os.path.abspath("mmsdir" if mmsdir is None else mmsdir)
        if os.path.commonpath([os.path.realpath(self.mmsdir), os.path.realpath(inpdir)]) == os.path.realpath(self.mmsdir):
            raise ParameterError(f"mmsdir='{self.mmsdir}': must be another folder than inpdir, and none above it")
        if cleanup and os.path.isdir(self.mmsdir):
            shutil.rmtree(self.mmsdir)
        os.makedirs(self.mmsdir, exist_ok=True)
        entries = sorted(name for name in os.listdir(self.inpdir)
                         if not name.startswith(".") and os.path.join(self.inpdir, name) != self.mmsdir)
        mss = [name for name in entries if self.isItMS(os.path.join(self.inpdir, name)) == 1]
        for name in entries:
            if os.path.lexists(os.path.join(self.mmsdir, name)):
                raise ExistsError(f"{os.path.join(self.mmsdir, name)} already exists")
        for name in mss:
            self.runPartition(os.path.join(self.inpdir, name), self.mmsdir, axis, numsubms)
        for name in entries:
            if name not in mss:
                self._copy(os.path.join(self.inpdir, name), os.path.join(self.mmsdir, name))

    @staticmethod
    def isItMS(mydir):
        """1: an MS, 2: a calibration table, 3: a Multi-MS, 0: anything else."""
        try:
            with open(os.path.join(mydir, "table.info"), encoding="utf-8", errors="replace") as info:
                words = info.read()
        except OSError:
            return 0
        kind = words.partition("\n")[0]
        if "Calibration" in kind:
            return 2
        return 0 if "Measurement" not in kind else 3 if _core.mms_is(mydir) else 1

    @staticmethod
    def runPartition(ms, mmsdir, axis, subms):
        """Makes the Multi-MS of one MS in mmsdir."""
        import sheaf

        sheaf.partition(vis=ms, outputvis=os.path.join(mmsdir, os.path.basename(ms)), createmms=True, datacolumn="all", flagbackup=False,
                        separationaxis=axis, numsubms=subms)
        return True

    @staticmethod
    def _copy(path, place):
        if os.path.isdir(path):
            _core.tree_copy(path, place)
        else:
            shutil.copy2(path, place)

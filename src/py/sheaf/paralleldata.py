# SPDX-License-Identifier: GPL-3.0-or-later
"""ParallelDataHelper: makes a task that writes a new MS parallel over the sub-MSs of a Multi-MS, as CASA's class of this name.

    def mytask(vis, outputvis, keepmms=True):
        pdh = ParallelDataHelper('mytask', locals())
        pdh.setupIO()
        if pdh.isMMSAndNotServer(vis) and keepmms:
            if not pdh.validateInputParams()['status']:
                raise RuntimeError('Unable to continue with MMS processing')
            pdh.setupCluster('mytask')
            return pdh.go()
        ...                                     # the task for one MS, which writes outputvis

The output is built in a hidden directory beside its place, and appears whole or not at all. With a parameter createmms, and
separationaxis and numsubms as partition has them, a plain MS is shared out among jobs, too.
"""

import copy
import os
import re

from sheaf import _core
from sheaf import partitionhelper as ph
from sheaf import spwtables
from sheaf.casalog import casalog
from sheaf.errors import EmptyError, Error, ExistsError, NotFoundError, ParameterError
from sheaf.parallel import JobData, ParallelTaskHelper

_SELECTION = ("field", "spw", "scan", "antenna", "correlation", "timerange", "intent", "array", "uvrange", "observation",
              "feed", "taql")
_SECONDS = {"": 1, "s": 1, "sec": 1, "ms": 1e-3, "us": 1e-6, "min": 60, "h": 3600, "d": 86400}
_WITHOUT_MPI = 8  # sub-MSs for numsubms='auto', as in CASA


def _post(text, level="INFO"):
    casalog.post(text, level, "ParallelDataHelper")


def _seconds(quantity):
    """A time as CASA writes it ('10s', '1min', 5) in seconds."""
    found = re.fullmatch(r"\s*([-+0-9.eE]+?)\s*([a-z]*)\s*", str(quantity))
    if not found or found.group(2) not in _SECONDS:
        raise ParameterError(f"timebin='{quantity}': must be a time, such as '10s' or '1min'")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def _unit_of(quantity):
    return re.sub(r"^[-+0-9.eE\s]*", "", str(quantity))


def _parts(items, n):
    """A list cut into n contiguous parts."""
    first = _core.split_even(len(items), n)
    return [items[a:b] for a, b in zip(first, first[1:])]


class ParallelDataHelper(ParallelTaskHelper):
    """One run, over a Multi-MS or MS, of a task that writes a new one. `outputBase` and `dataDir` tell where jobs write."""

    def __init__(self, thistask, args={}):
        self._given = {k: v for k, v in dict(args).items() if not k.startswith("__")}
        self._given.setdefault("spw", "")
        self._given.setdefault("scan", "")
        self._stage = None
        self._starts = {}  # ddistart by outputvis
        self.outputBase = self.dataDir = ""
        super().__init__(thistask, self._given)

    def setTaskName(self, thistask=""):
        """Names the task whose rules apply."""
        self._taskName = thistask

    def setupCluster(self, thistask=""):
        """Takes the parameters as they are now for the jobs."""
        super().__init__(thistask or self._taskName, self._given)

    def override__args(self, arg, value):
        """Gives a parameter another value; for use before setupCluster."""
        self._given[arg] = value

    @staticmethod
    def setupParameters(**pars):
        """The parameters that are not empty, as a dictionary."""
        return {name: value for name, value in pars.items() if value is not None and not (isinstance(value, str) and not value)}

    # ---- checks ----

    def setupIO(self):
        """Checks that vis exists, and that outputvis is given and does not."""
        vis, output = self._given["vis"], self._given.get("outputvis")
        if isinstance(vis, str) and not os.path.exists(vis):
            raise NotFoundError("Visibility data set not found - please verify the name.")
        if isinstance(output, str) and not output.strip():
            raise ParameterError("Please specify outputvis.")
        if isinstance(output, str) and os.path.lexists(output):
            raise ExistsError(f"Output MS {output} already exists - will not overwrite it.")
        if os.path.lexists(f"{output}.flagversions"):
            raise ExistsError(f"The flagversions {output}.flagversions for the output MS already exists. Please delete it.")
        return True

    def validateInputParams(self):
        """Whether the sub-MSs of vis can be worked on one by one, by the rules of the task.

        {'status': True, 'axis': ''}: yes. {'status': False, 'axis': AXIS}: no, but vis can be read as one MS, and the output
        be a Multi-MS along AXIS. {'status': False, 'axis': ''}: the output can only be an MS.
        """
        rule = {"mstransform": self._rule_mstransform, "split": self._rule_split, "split2": self._rule_split,
                "cvel2": self._rule_cvel2}.get(self._taskName)
        status, axis = rule() if rule else (True, "")
        return {"status": status, "axis": axis}

    def _rule_mstransform(self):
        given = self._given
        combines = given["combinespws"] or given["nspw"] > 1
        over_scans = given["timeaverage"] and given["timespan"] == "scan"
        if combines and not given["timeaverage"] and not self._has_spws():
            return self._refuse("spws", "scan")
        if over_scans and not combines and not self._has_scans():
            return self._refuse("scans", "spw")
        if combines and over_scans and not (self._has_spws() and self._has_scans()):
            return self._refuse("spws and scans", "")
        return True, ""

    def _rule_split(self):
        if self._axis_of_input() == "spw" or self._given.get("combine") != "scan" or self._has_scans():
            return True, ""
        return self._refuse("scans", "", "ERROR")

    def _rule_cvel2(self):
        if self._axis_of_input() == "scan" or self._has_spws():
            return True, ""
        return self._refuse("spws", "", "ERROR")

    def _refuse(self, what, axis, level="WARN"):
        _post(f"{self._taskName}: the sub-MSs cannot be processed one by one, because not each has all the selected {what}", level)
        return False, axis

    def _axis_of_input(self):
        axis = ph.axisType(self._given["vis"])
        return "auto" if axis == "scan,spw" else axis

    def _contents(self):
        return [_core.ms_scans(name, {}) for name in self.getReferencedMSs(os.path.abspath(self._given["vis"]))]

    @staticmethod
    def _spws_of(content):
        return {content["setups"][d]["spw"] for d, nrow in enumerate(content["ddid_nrow"]) if nrow}

    @staticmethod
    def _scans_of(content):
        return {s["scan"] for s in content["subscans"]}

    def _chosen(self, **texts):
        """What vis holds of a selection by these parameters only."""
        return _core.ms_scans(os.path.abspath(self._given["vis"]), texts)

    def _has_spws(self):
        """Whether each sub-MS has all the selected windows."""
        chosen = self._spws_of(self._chosen(spw=self._given["spw"]))
        return all(chosen <= self._spws_of(content) for content in self._contents())

    def _has_scans(self):
        """Whether each sub-MS has all the selected scans, and lasts timebin at least."""
        chosen, bin_s = self._scans_of(self._chosen(scan=self._given["scan"])), _seconds(self._given["timebin"])
        for content in self._contents():
            subscans = content["subscans"]
            if not subscans or not chosen <= self._scans_of(content):
                return False
            if max(s["end"] for s in subscans) - min(s["begin"] for s in subscans) < bin_s:
                return False
        return True

    def validateOutputParams(self):
        """1 when a Multi-MS along separationaxis can be made with these transformations, else 0 (mstransform)."""
        given = self._given
        if self._taskName != "mstransform" or "separationaxis" not in given:
            return 1
        if given["separationaxis"] != "scan" and (given["combinespws"] or given["nspw"] > 1):
            _post("Cannot partition MS per spw or auto when combinespws = True or nspw > 1", "WARN")
            return 0
        if given["separationaxis"] != "spw" and given["timespan"] == "scan":
            _post("Time averaging across scans may be wrong when the separation axis is not spw", "WARN")
        return 1

    def validateModelCol(self):
        """Whether datacolumn takes in the model."""
        column = self._given["datacolumn"].upper()
        return "MODEL" in column or column == "ALL"

    def getChanAvgParamName(self):
        """The task's parameter for averaging channels; None when it has none."""
        return {"mstransform": "chanbin", "split": "width", "split2": "width"}.get(self._taskName)

    def validateChanBin(self):
        """Whether the task has one; ParameterError when it is a list with another length than the selected windows."""
        name = self.getChanAvgParamName()
        if name is None:
            return False
        value = self._given.get(name)
        if isinstance(value, list) and len(value) > 1:
            n = len(self._spws_of(self._chosen(spw=self._given["spw"])))
            if n != len(value):
                raise ParameterError(f"Number of {name} is different from the number of spw ({len(value)} and {n})")
        return True

    def defaultRegridParams(self):
        """start and width as the mode wants them; checks their units."""
        given = self._given
        if given["mode"] in ("channel", "channel_b"):
            given["start"], given["width"] = str(given["start"]), str(given["width"])
        elif given["mode"] in ("velocity", "frequency"):
            if given["mode"] == "velocity" and not given["restfreq"].strip():
                raise ParameterError("Parameter restfreq must be set when mode='velocity'")
            unit = "m/s" if given["mode"] == "velocity" else "Hz"
            for name, unset in (("start", 0), ("width", 1)):
                if given[name] == unset and not isinstance(given[name], str):
                    given[name] = ""
                if given[name] != "" and unit not in _unit_of(given[name]):
                    raise TypeError(f"Parameter {name} does not have valid {given['mode']} units")
        return given["start"], given["width"]

    # ---- the run ----

    @staticmethod
    def isParallelMS(vis):
        """Whether vis is a Multi-MS."""
        if not os.path.isdir(vis):
            raise ParameterError(f"Unable to open MS {vis}")
        return _core.mms_is(os.path.abspath(vis))

    @staticmethod
    def isMMSAndNotServer(vis):
        """Whether a task should distribute its work: vis is a Multi-MS, and this process no server."""
        return ParallelTaskHelper.isParallelMS(vis)

    def initialize(self):
        """Makes the names absolute, starts the services, and begins the output under a hidden name."""
        self._arg["vis"] = os.path.abspath(self._arg["vis"])
        self._arg["outputvis"] = os.path.abspath(self._arg["outputvis"])
        base = os.path.basename(self._arg["outputvis"])
        self.outputBase = base[:-1] if base.endswith(".") else base
        self._start_services()
        self._stage = _core.stage_begin(self._arg["outputvis"])
        self.dataDir = os.path.join(_core.stage_path(self._stage), "mms", "SUBMSS")
        os.makedirs(self.dataDir)

    def _is_by_member(self):
        return self.isParallelMS(self._arg["vis"]) and not self._arg.get("monolithic_processing")

    def generateJobs(self):
        """A job for each sub-MS; for an MS, with createmms, for each part along separationaxis."""
        if self._is_by_member():
            self._consolidateOutput = False
            if "createmms" in self._arg:
                self._arg["createmms"] = False
            for i, name in enumerate(self.getReferencedMSs(self._arg["vis"])):
                self._add_job(vis=name, **self._own_args(i))
        elif self._arg.get("createmms"):
            self._add_parts()
        else:
            raise ParameterError(f"{self._taskName}: vis='{self._arg['vis']}' is no Multi-MS, and createmms is not set")
        return True

    def _add_job(self, **own):
        args = {**copy.deepcopy(self._arg), **own}
        args["outputvis"] = os.path.join(self.dataDir, f"{self.outputBase}.{len(self._executionList):04d}.ms")
        self._starts[args["outputvis"]] = args.get("ddistart", 0)
        self._executionList.append(JobData(self._taskName, args))

    def postExecution(self):
        """Waits for the jobs, makes the Multi-MS of what they wrote, and lets it appear."""
        results = self._get_results()
        starts = [self._starts.get(name, 0) for name in sorted(results)]
        written = self._outputs(results)
        if self._axis == "spw":
            spwtables.join(written, starts)
        axis = self._axis or ph.axisType(self._arg["vis"])
        top = os.path.dirname(self.dataDir)
        _core.mms_assemble(top, written, "scan,spw" if axis in ("auto", "both") else axis, True)
        _core.stage_publish(self._stage, "mms")
        return True

    @property
    def _axis(self):
        """The axis along which this run separates; '' when it goes by the sub-MSs of the input."""
        return "" if self._is_by_member() else self._arg["separationaxis"].lower()

    def _outputs(self, results):
        """The new sub-MSs, numbered without gaps."""
        if not results:
            raise EmptyError(f"{self._taskName}: MSSelectionNullSelection : the selection matches nothing in any sub-MS")
        names = []
        for i, name in enumerate(sorted(results)):
            if not os.path.isdir(name):
                raise Error(f"{self._taskName}: a job ended without an error and without its output '{name}'")
            place = os.path.join(self.dataDir, f"{self.outputBase}.{i:04d}.ms")
            if place != name:
                os.rename(name, place)
            names.append(place)
        if len(results) < self._njob:
            _post(f"{self._njob - len(results)} sub-MSs have no counterpart in the output, as nothing is selected in them")
        return names

    def _is_async(self):
        return False  # the Multi-MS is made when all jobs have ended

    def go(self):
        """Does it all; True. What fails leaves nothing behind."""
        if ParallelTaskHelper._async:
            _post("a new Multi-MS is made of all results: asynchronous mode does not apply", "WARN")
        try:
            self.initialize()
            self.generateJobs()
            self._njob = len(self._executionList)
            self.executeJobs()
            return self.postExecution()
        finally:
            if self._stage is not None:
                _core.stage_abandon(self._stage)

    # ---- a plain MS, in parts ----

    def _selection(self):
        chosen = {name: self._arg[name] for name in _SELECTION if self._arg.get(name) not in (None, "")}
        return {name: str(value) for name, value in chosen.items()}

    def _add_parts(self):
        """Jobs for the parts of an MS (or of a Multi-MS that is read as one)."""
        axis = self._axis
        rules = {"scan": self._parts_by_scan, "spw": self._parts_by_spw, "baseline": self._parts_by_baseline,
                 "auto": self._parts_balanced}
        if axis not in rules:
            raise ParameterError(f"separationaxis='{axis}': must be one of {', '.join(rules)}")
        content = _core.ms_scans(self._arg["vis"], self._selection())
        if not content["nrow"]:
            raise EmptyError(f"{self._taskName}: MSSelectionNullSelection : the selection matches no rows")
        self._arg["createmms"] = False
        for own in rules[axis](content):
            self._add_job(**own)
        self._arg["createmms"] = True

    def _number(self, possible):
        """How many sub-MSs are made of so many things."""
        wanted = self._arg.get("numsubms", "auto")
        if wanted == "auto":
            wanted = self._mpi_cluster and self.getNumberOfServers() or _WITHOUT_MPI
        if int(wanted) < 1:
            raise ParameterError(f"numsubms={wanted}: must be 1 or more, or 'auto'")
        return min(int(wanted), possible)

    def _parts_by_scan(self, content):
        scans = sorted(self._scans_of(content))
        return [{"scan": self.listToCasaString(part)} for part in _parts(scans, self._number(len(scans)))]

    def _parts_by_spw(self, content):
        spws = sorted(self._spws_of(content))
        texts, bins = self._channels_of(spws), self._bins_of(spws)
        found, start = [], 0
        for part in _parts(spws, self._number(len(spws))):
            own = {"spw": ",".join(texts[spw] for spw in part)}
            if "ddistart" in self._arg:
                own["ddistart"] = start
            if bins:
                own["chanbin"] = [bins[spw] for spw in part]
            chosen = _core.ms_scans(self._arg["vis"], {**self._selection(), "spw": own["spw"]})
            start += sum(nrow > 0 for nrow in chosen["ddid_nrow"])
            found.append(own)
        return found

    def _channels_of(self, spws):
        """{spw: its selection with channels}."""
        texts = {spw: str(spw) for spw in spws}
        for item in self._arg["spw"].split(","):
            name, colon, channels = item.rpartition(":")
            if not colon:
                continue
            for spw in self._spws_of(_core.ms_scans(self._arg["vis"], {"spw": name})) if name != "*" else spws:
                texts[spw] = f"{spw}:{channels}"
        return texts

    def _bins_of(self, spws):
        """{spw: chanbin}, when that is a list: one entry per window, in the order in which spw names them."""
        bins = self._arg.get("chanbin")
        if not isinstance(bins, list) or len(bins) < 2:
            return None
        if len(bins) != len(spws):
            raise ParameterError(f"Number of chanbin is different from the number of spw ({len(bins)} and {len(spws)})")
        order = []
        for item in self._arg["spw"].split(","):
            found = self._spws_of(_core.ms_scans(self._arg["vis"], {"spw": item})) if item.strip() else spws
            order += [spw for spw in sorted(found) if spw in spws and spw not in order]
        return dict(zip(order, bins))

    def _parts_by_baseline(self, content):
        pairs = sorted({tuple(sorted(pair)) for pair in content["baselines"]})
        return [self._rows(f"(ANTENNA1=={a} AND ANTENNA2=={b})" + (f" OR (ANTENNA1=={b} AND ANTENNA2=={a})" if a != b else "")
                           for a, b in part) for part in _parts(pairs, self._number(len(pairs)))]

    def _parts_balanced(self, content):
        n = self._number(sum(len(ddids) for ddids in self._pairs(content).values()))
        parts = {}
        for scan, ddid, part in _core.ms_balance(self._arg["vis"], self._selection(), n):
            parts.setdefault(part, {}).setdefault(ddid, []).append(scan)
        return [self._rows(f"(DATA_DESC_ID=={ddid} AND SCAN_NUMBER IN {scans})" for ddid, scans in parts[part].items())
                for part in sorted(parts)]

    @staticmethod
    def _pairs(content):
        pairs = {}
        for subscan in content["subscans"]:
            pairs.setdefault(subscan["scan"], set()).update(subscan["ddid"])
        return pairs

    def _rows(self, conditions):
        """The parameter that selects rows by any of these conditions, besides what the caller selected."""
        text = "(" + " OR ".join(conditions) + ")"
        return {"taql": f"({self._arg['taql']}) AND {text}" if self._arg.get("taql") else text}

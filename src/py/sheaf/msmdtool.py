# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sub-tables of a MeasurementSet say, and which scans, fields, windows, states and times go together, with the methods
of CASA's tool msmetadata. Scans are numbers: with obsid and arrayid -1 those of all observations and arrays."""

import fnmatch
import math

from .msmdparts import Exposures, Sources, Windows
from .tabletool import integer, table, text, texts

_UNITS = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12}
_ROWS = ("SCAN_NUMBER", "FIELD_ID", "DATA_DESC_ID", "STATE_ID", "OBSERVATION_ID", "ARRAY_ID", "ANTENNA1", "ANTENNA2", "TIME")


class _Rows:
    """Columns of the main table, read once, that a condition picks rows of."""

    def __init__(self, path):
        import numpy as np

        with table() as tb:
            tb.open(path)
            self.column = {name: tb.getcol(name) if tb.nrows() else np.zeros(0, int) for name in _ROWS}
        with table() as tb:
            tb.open(path + "/DATA_DESCRIPTION")
            windows = tb.getcol("SPECTRAL_WINDOW_ID")
        self.column["SPW"] = windows[self.column["DATA_DESC_ID"]] if len(self.column["TIME"]) else np.zeros(0, int)

    def unique(self, name, **where):
        """Ascending values of a column in the rows where other columns have one of these values."""
        import numpy as np

        return np.unique(self.column[name][self.picked(**where)])

    def picked(self, **where):
        """The rows as booleans; a value -1 of OBSERVATION_ID and ARRAY_ID stands for all."""
        import numpy as np

        rows = np.ones(len(self.column["TIME"]), bool)
        for name, value in where.items():
            if name in ("OBSERVATION_ID", "ARRAY_ID") and np.ndim(value) == 0 and value < 0:
                continue
            rows &= np.isin(self.column[name], value)
        return rows


class msmetadata(Windows, Sources, Exposures):  # pylint: disable=invalid-name,too-many-public-methods
    """What an MS says about itself; what ms.metadata() gives. Ids are row numbers of the sub-tables."""

    def __init__(self, path=""):
        self._place = ""
        self._cache = None
        self._stamp = None
        if path:
            self.open(path)

    def open(self, msfile="", maxcache=50.0):  # pylint: disable=unused-argument
        """Takes the MS or Multi-MS of this path."""
        import os

        with table() as tb:
            tb.open(text("msfile", msfile))
            lacking = [name for name in _ROWS if name not in tb.colnames()]
            if lacking:
                raise RuntimeError(f"{msfile} is no MeasurementSet: it has no column {lacking[0]}")
        self._place, self._cache = os.path.abspath(msfile), None
        return True

    @property
    def _path(self):
        if not self._place:
            raise RuntimeError("msmetadata: no MS is open; open(path) comes first")
        return self._place

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        offered = ", ".join(sorted(one for one in dir(type(self)) if not one.startswith("_")))
        raise AttributeError(f"Sheaf's msmetadata has no {name}; it has {offered}")

    # ---- reading ----

    def _column(self, subtable, name):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            return tb.getcol(name)

    def _cell(self, subtable, name, row, what):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            self._check(what, row, tb.nrows())
            return tb.getcell(name, row)

    def _size(self, subtable):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            return tb.nrows()

    @staticmethod
    def _check(what, number, n):
        if not 0 <= integer(what, number) < n:
            raise RuntimeError(f"{what} ID {number} out of range, must be nonnegative and less than {n}")

    def _rows(self):
        import os

        stamp = os.stat(f"{self._path}/table.lock").st_mtime_ns if os.path.exists(f"{self._path}/table.lock") else None
        if self._cache is None or stamp != self._stamp:
            self._cache, self._stamp = _Rows(self._path), stamp
        return self._cache

    def _ids(self, subtable, what, ids):
        """A list of ids, checked; -1 alone, an empty list and '' stand for all."""
        n = self._size(subtable)
        if isinstance(ids, str) and ids == "" or not isinstance(ids, str) and _is_number(ids) and ids == -1:
            return list(range(n))
        ids = [ids] if _is_number(ids) else list(ids)
        for number in ids or range(n):
            self._check(what, number, n)
        return [int(number) for number in ids] or list(range(n))

    def _measure(self, kind, subtable, column, value, units, row=0):  # pylint: disable=too-many-arguments
        """A measure with the reference that the column's keywords name, or that a column has for each row."""
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            info = tb.getcolkeywords(column).get("MEASINFO", {})
            refer = info.get("Ref", "")
            if "VarRefCol" in info:
                refer = tb.getcell(info["VarRefCol"], row)
            if not isinstance(refer, str) and "TabRefCodes" in info:
                refer = str(info["TabRefTypes"][list(info["TabRefCodes"]).index(refer)])
            elif not isinstance(refer, str):
                known = {"direction": ("J2000", "JMEAN", "JTRUE", "APP", "B1950"), "frequency": ("REST", "LSRK", "LSRD", "BARY", "GEO", "TOPO",
                                                                                              "GALACTO", "LGROUP", "CMB")}[kind]
                refer = known[refer] if 0 <= refer < len(known) else str(refer)
        if kind == "direction" and abs(value[0]) > math.pi:
            value = [math.remainder(value[0], 2 * math.pi), value[1]]
        out = {f"m{i}": {"unit": unit, "value": float(one)} for i, (one, unit) in enumerate(zip(value, units))}
        return dict(out, refer=refer, type=kind)

    def _scans(self, scan, obsid, arrayid):
        """The conditions for scans that exist."""
        where = {"OBSERVATION_ID": integer("obsid", obsid), "ARRAY_ID": integer("arrayid", arrayid)}
        scans = [] if _is_number(scan) and scan < 0 else [scan] if _is_number(scan) else list(scan)
        if scans:
            where["SCAN_NUMBER"] = scans
            there = self._rows().unique("SCAN_NUMBER", **where)
            if not set(scans) <= set(there.tolist()):
                raise RuntimeError("No matching scans found.")
        return where

    def _fields(self, field):
        """Ids of a field that is given by id or by name."""
        if isinstance(field, str):
            found = [i for i, name in enumerate(self.fieldnames()) if name == field]
            if not found:
                raise RuntimeError(f"Unknown field name {field}.")
            return found
        return self._ids("FIELD", "Field", field)

    def _states(self, intent):
        """Ids of the states with an intent that a pattern (* stands for anything) matches."""
        text("intent", intent)
        return [i for i, modes in enumerate(self._modes()) if any(fnmatch.fnmatchcase(mode, intent) for mode in modes)]

    def _modes(self):
        if not self._size("STATE"):
            return []
        return [[mode for mode in modes.split(",") if mode] for modes in self._column("STATE", "OBS_MODE").tolist()]

    def _named(self, ids, asnames):
        """Fields by id or by name."""
        import numpy as np

        if not asnames:
            return ids
        names = self.fieldnames()
        return np.array([names[i] for i in ids], dtype="U")

    # ---- how many ----

    def name(self):
        """The path of the MS."""
        return self._path

    def nrows(self, autoc=True, flagged=True):
        """Number of rows; without auto-correlations; flagged=False: the sum over rows of the part that is not flagged."""
        import numpy as np

        rows = self._rows()
        keep = rows.picked()
        if not autoc:
            keep &= rows.column["ANTENNA1"] != rows.column["ANTENNA2"]
        if flagged:
            return int(keep.sum())
        total = 0.0
        with table() as tb:
            tb.open(self._path)
            for row in np.flatnonzero(keep).tolist():
                total += 1 - float(tb.getcell("FLAG", row).mean())
        return total

    def nfields(self):
        """Number of fields."""
        return self._size("FIELD")

    def nantennas(self):
        """Number of antennas."""
        return self._size("ANTENNA")

    def nobservations(self):
        """Number of observations."""
        return self._size("OBSERVATION")

    def nstates(self):
        """Number of states."""
        return self._size("STATE")

    def narrays(self):
        """Number of arrays."""
        arrays = self._rows().column["ARRAY_ID"]
        return int(arrays.max()) + 1 if len(arrays) else 0

    def nsources(self):
        """Number of sources."""
        return len(set(self.sourceidsfromsourcetable().tolist()))

    def nscans(self):
        """Number of scans: one number in two observations or arrays is two."""
        rows = self._rows().column
        return len(set(zip(rows["OBSERVATION_ID"].tolist(), rows["ARRAY_ID"].tolist(), rows["SCAN_NUMBER"].tolist())))

    def nbaselines(self, ac=False):
        """Number of baselines; ac: with auto-correlations."""
        rows = self._rows().column
        pairs = {(min(a, b), max(a, b)) for a, b in set(zip(rows["ANTENNA1"].tolist(), rows["ANTENNA2"].tolist()))}
        return len([pair for pair in pairs if ac or pair[0] != pair[1]])

    # ---- antennas ----

    def antennaids(self, name=""):
        """Ids of antennas by name; of all."""
        import numpy as np

        names = self.antennanames()
        wanted = [one for one in texts("name", name) if one] or names
        for one in wanted:
            if one not in names:
                raise RuntimeError(f"Unknown antenna {one}.")
        return np.array([names.index(one) if name else i for i, one in enumerate(wanted)])

    def antennanames(self, antennaids=-1):
        """Names of antennas."""
        names = self._column("ANTENNA", "NAME").tolist()
        return [names[i] for i in self._ids("ANTENNA", "Antenna", antennaids)]

    def antennastations(self, which=-1):
        """Stations of antennas."""
        stations = self._column("ANTENNA", "STATION").tolist()
        return [stations[i] for i in self._ids("ANTENNA", "Antenna", which)]

    def antennadiameter(self, antenna=-1):
        """A diameter, or those of all antennas by id."""
        metres = [{"unit": "m", "value": float(one)} for one in self._column("ANTENNA", "DISH_DIAMETER")]
        if antenna == -1:
            return {str(i): one for i, one in enumerate(metres)}
        self._check("Antenna", antenna, len(metres))
        return metres[antenna]

    def antennasforscan(self, scan=-1, obsid=-1, arrayid=-1):
        """Ids of the antennas in a scan."""
        import numpy as np

        where, rows = self._scans(scan, obsid, arrayid), self._rows()
        return np.union1d(rows.unique("ANTENNA1", **where), rows.unique("ANTENNA2", **where))

    def baselines(self):
        """[antenna, antenna]: whether there is a row."""
        import numpy as np

        n, rows = self.nantennas(), self._rows().column
        there = np.zeros((n, n), bool)
        there[rows["ANTENNA1"], rows["ANTENNA2"]] = there[rows["ANTENNA2"], rows["ANTENNA1"]] = True
        return there

    # ---- windows ----

    def _window(self, column, spw, unit="Hz"):
        if unit not in _UNITS:
            raise RuntimeError(f"unit '{unit}': must be one of {', '.join(_UNITS)}")
        return self._cell("SPECTRAL_WINDOW", column, spw, "Spectral window") / _UNITS[unit]

    def nchan(self, spw):
        """Channels of a spectral window."""
        return self._cell("SPECTRAL_WINDOW", "NUM_CHAN", spw, "Spectral window")

    def chanfreqs(self, spw, unit="Hz"):
        """Frequencies of the channels of a spectral window."""
        return self._window("CHAN_FREQ", spw, unit)

    def chanwidths(self, spw, unit="Hz"):
        """Widths of the channels of a spectral window."""
        return self._window("CHAN_WIDTH", spw, unit)

    def chanres(self, spw, unit="Hz"):
        """Resolution of the channels of a spectral window."""
        return self._window("RESOLUTION", spw, unit)

    def chaneffbws(self, spw, unit="Hz"):
        """Effective widths of the channels of a spectral window."""
        return self._window("EFFECTIVE_BW", spw, unit or "Hz")

    def meanfreq(self, spw, unit="Hz"):
        """Mean frequency of a spectral window."""
        return float(self._window("CHAN_FREQ", spw, unit).mean())

    def bandwidths(self, spw=-1):
        """Total bandwidths [Hz], of one window or of several."""
        import numpy as np

        ids = self._ids("SPECTRAL_WINDOW", "Spectral window", spw)
        all_of_them = self._column("SPECTRAL_WINDOW", "TOTAL_BANDWIDTH")
        return float(all_of_them[spw]) if _is_number(spw) and spw >= 0 else np.array([all_of_them[i] for i in ids])

    def reffreq(self, spw=-1):
        """Reference frequency of a spectral window, as a measure."""
        value = self._cell("SPECTRAL_WINDOW", "REF_FREQUENCY", spw, "Spectral window")
        return self._measure("frequency", "SPECTRAL_WINDOW", "REF_FREQUENCY", [value], ["Hz"], spw)

    def sideband(self, spw):
        """Net sideband of a spectral window: 1 upper, -1 lower."""
        return 1 if self._cell("SPECTRAL_WINDOW", "NET_SIDEBAND", spw, "Spectral window") == 2 else -1

    def namesforspws(self, spwids=""):
        """Names of spectral windows."""
        names = self._column("SPECTRAL_WINDOW", "NAME").tolist()
        return [names[i] for i in self._ids("SPECTRAL_WINDOW", "Spectral window", spwids)]

    def spwsfornames(self, spwids=""):
        """{name: ids of the windows with it}."""
        import numpy as np

        names = self._column("SPECTRAL_WINDOW", "NAME")
        wanted = [one for one in texts("spwids", spwids) if one] or names.tolist()
        return {name: np.flatnonzero(names == name).astype("u8") for name in wanted if name in names}

    def datadescids(self, spw=-1, pol=-1):
        """Ids of the data descriptions with this window and polarization setup."""
        import numpy as np

        keep = np.ones(self._size("DATA_DESCRIPTION"), bool)
        for name, subtable, number in (("SPECTRAL_WINDOW_ID", "SPECTRAL_WINDOW", spw), ("POLARIZATION_ID", "POLARIZATION", pol)):
            if number >= 0:
                self._check("Spectral window" if number is spw else "Polarization", number, self._size(subtable))
                keep &= self._column("DATA_DESCRIPTION", name) == number
        return np.flatnonzero(keep)

    def _described(self, column, ddid):
        values = self._column("DATA_DESCRIPTION", column)
        if integer("ddid", ddid) < 0:
            return values.astype("u8")
        if ddid >= len(values):
            raise RuntimeError(f"ddid must be less than {len(values)}.")
        return int(values[ddid])

    def spwfordatadesc(self, ddid=-1):
        """The window of a data description; of all."""
        return self._described("SPECTRAL_WINDOW_ID", ddid)

    def polidfordatadesc(self, ddid=-1):
        """The polarization setup of a data description; of all."""
        return self._described("POLARIZATION_ID", ddid)

    def ncorrforpol(self, polid=-1):
        """Number of correlations of a polarization setup; of all."""
        numbers = self._column("POLARIZATION", "NUM_CORR")
        if polid < 0:
            return numbers
        self._check("Polarization", polid, len(numbers))
        return int(numbers[polid])

    def corrtypesforpol(self, pol=-1):
        """Codes of the correlations of a polarization setup."""
        return self._cell("POLARIZATION", "CORR_TYPE", pol, "Polarization")

    def corrprodsforpol(self, pol=-1):
        """Receptors of the correlations of a polarization setup."""
        return self._cell("POLARIZATION", "CORR_PRODUCT", pol, "Polarization")

    def spwsforfield(self, field=""):
        """Ids of the windows of a field."""
        return self._rows().unique("SPW", FIELD_ID=self._fields(field))

    def spwsforfields(self):
        """{field: ids of its windows}."""
        rows = self._rows()
        return {str(i): rows.unique("SPW", FIELD_ID=i).astype("u8") for i in rows.unique("FIELD_ID").tolist()}

    def spwsforintent(self, intent=""):
        """Ids of the windows that were observed with an intent."""
        return self._rows().unique("SPW", STATE_ID=self._states(intent))

    def spwsforscan(self, scan=-1, obsid=-1, arrayid=-1):
        """Ids of the windows of a scan."""
        return self._rows().unique("SPW", **self._scans(scan, obsid, arrayid))

    def spwsforscans(self, obsid=0, arrayid=0):
        """{scan: ids of its windows}."""
        return self._per_scan("SPW", obsid, arrayid)

    def _per_scan(self, column, obsid, arrayid):
        return {str(n): self._rows().unique(column, **self._scans(n, obsid, arrayid)) for n in self.scannumbers(obsid, arrayid).tolist()}

    # ---- fields and sources ----

    def fieldnames(self):
        """Names of the fields."""
        return self._column("FIELD", "NAME").tolist()

    def namesforfields(self, fieldids=""):
        """Names of fields by id."""
        names = self.fieldnames()
        return [names[i] for i in self._ids("FIELD", "Field", fieldids)]

    def fieldsforname(self, name=""):
        """Ids of the fields with a name; of those that occur."""
        import numpy as np

        return np.array(self._fields(name)) if name else self._rows().unique("FIELD_ID")

    def fieldsforintent(self, intent="", asnames=False):
        """The fields that were observed with an intent; with '*' all that occur."""
        rows = self._rows()
        ids = rows.unique("FIELD_ID") if intent == "*" else rows.unique("FIELD_ID", STATE_ID=self._states(intent))
        return self._named(ids, asnames)

    def fieldsforscan(self, scan=-1, asnames=False, obsid=-1, arrayid=-1):
        """The fields of a scan."""
        return self._named(self._rows().unique("FIELD_ID", **self._scans(scan, obsid, arrayid)), asnames)

    def fieldsforscans(self, scans=[], asnames=False, obsid=-1, arrayid=-1, asmap=False):  # pylint: disable=dangerous-default-value,too-many-arguments
        """The fields of scans; asmap: {scan: fields}."""
        if not asmap:
            return self.fieldsforscan(scans, asnames, obsid, arrayid)
        if obsid < 0 or arrayid < 0:
            raise RuntimeError("asmap needs an obsid and an arrayid")
        numbers = list(scans) or self.scannumbers(obsid, arrayid).tolist()
        return {str(n): self.fieldsforscan(n, asnames, obsid, arrayid) for n in numbers}

    def fieldsforsource(self, source=-1, asnames=False):
        """The fields of a source."""
        import numpy as np

        return self._named(np.flatnonzero(self._column("FIELD", "SOURCE_ID") == integer("source", source)), asnames)

    def fieldsforsources(self, asnames=False):
        """{source: fields}."""
        import numpy as np

        return {str(i): self.fieldsforsource(i, asnames) for i in np.unique(self._column("FIELD", "SOURCE_ID")).tolist()}

    def fieldsforspw(self, spw=-1, asnames=False):
        """The fields that were observed with a window."""
        self._check("Spectral window", spw, self.nspw())
        return self._named(self._rows().unique("FIELD_ID", SPW=spw), asnames)

    def fieldsfortimes(self, time=-1.0, tol=0.0):
        """The fields observed within tol [s] of these times [s]."""
        import numpy as np

        rows = self._rows()
        return np.unique(rows.column["FIELD_ID"][_near(rows.column["TIME"], time, tol)])

    def sourceidforfield(self, field=-1):
        """The source of a field."""
        return self._cell("FIELD", "SOURCE_ID", field, "Field")

    def sourceidsfromsourcetable(self):
        """Ids of the sources, row by row."""
        return self._column("SOURCE", "SOURCE_ID")

    def sourcenames(self):
        """Names of the sources, row by row."""
        return self._column("SOURCE", "NAME").tolist()

    def _direction(self, column, field):
        value = self._cell("FIELD", column, field, "Field")
        return self._measure("direction", "FIELD", column, value[:, 0], ("rad", "rad"), field)

    def phasecenter(self, fieldid=0):
        """The phase centre of a field, as a measure."""
        return self._direction("PHASE_DIR", fieldid)

    def refdir(self, field=0):
        """The reference direction of a field, as a measure."""
        return self._direction("REFERENCE_DIR", field)

    # ---- scans, intents, times ----

    def scannumbers(self, obsid=-1, arrayid=-1):
        """Scan numbers, ascending."""
        return self._rows().unique("SCAN_NUMBER", OBSERVATION_ID=integer("obsid", obsid), ARRAY_ID=integer("arrayid", arrayid))

    def _scans_of(self, obsid, arrayid, **where):
        return self._rows().unique("SCAN_NUMBER", OBSERVATION_ID=integer("obsid", obsid), ARRAY_ID=integer("arrayid", arrayid), **where)

    def scansforfield(self, field="", obsid=-1, arrayid=-1):
        """Scans of a field."""
        return self._scans_of(obsid, arrayid, FIELD_ID=self._fields(field))

    def scansforfields(self, obsid=0, arrayid=0):
        """{field: its scans}."""
        return {str(i): self._scans_of(obsid, arrayid, FIELD_ID=i) for i in range(self.nfields())}

    def scansforintent(self, intent="", obsid=-1, arrayid=-1):
        """Scans with an intent."""
        return self._scans_of(obsid, arrayid, STATE_ID=self._states(intent))

    def scansforspw(self, spw=-1, obsid=-1, arrayid=-1):
        """Scans with a window."""
        self._check("Spectral window", spw, self.nspw())
        return self._scans_of(obsid, arrayid, SPW=spw)

    def scansforspws(self, obsid=0, arrayid=0):
        """{window: its scans}."""
        return {str(i): self._scans_of(obsid, arrayid, SPW=i) for i in range(self.nspw())}

    def scansforstate(self, state=-1, obsid=-1, arrayid=-1):
        """Scans with a state."""
        self._check("State", state, self.nstates())
        return self._scans_of(obsid, arrayid, STATE_ID=state)

    def scansfortimes(self, time=-1.0, tol=0.0, obsid=-1, arrayid=-1):
        """Scans within tol [s] of these times [s]."""
        import numpy as np

        rows = self._rows()
        keep = rows.picked(OBSERVATION_ID=obsid, ARRAY_ID=arrayid) & _near(rows.column["TIME"], time, tol)
        return np.unique(rows.column["SCAN_NUMBER"][keep])

    def statesforscan(self, scan=-1, obsid=-1, arrayid=-1):
        """Ids of the states of a scan; none where there is no such scan."""
        return self._rows().unique("STATE_ID", SCAN_NUMBER=integer("scan", scan), OBSERVATION_ID=obsid, ARRAY_ID=arrayid)

    def statesforscans(self, obsid=0, arrayid=0):
        """{scan: ids of its states}."""
        return self._per_scan("STATE_ID", obsid, arrayid)

    def intents(self):
        """All intents, in alphabetical order."""
        return sorted({mode for modes in self._modes() for mode in modes})

    def _intents(self, **where):
        modes = self._modes()
        states = self._rows().unique("STATE_ID", **where).tolist()
        return sorted({mode for state in states if 0 <= state < len(modes) for mode in modes[state]})

    def intentsforfield(self, field=0):
        """Intents with which a field was observed."""
        return self._intents(FIELD_ID=self._fields(field))

    def intentsforscan(self, scan=-1, obsid=-1, arrayid=-1):
        """Intents of a scan."""
        return self._intents(**self._scans(scan, obsid, arrayid))

    def intentsforspw(self, spw=-1):
        """Intents with which a window was used."""
        self._check("Spectral window", spw, self.nspw())
        return self._intents(SPW=spw)

    def timesforfield(self, field=-1):
        """Times [s] of a field."""
        return self._rows().unique("TIME", FIELD_ID=self._fields(integer("field", field)))

    def timesforintent(self, intent=""):
        """Times [s] with an intent, whose whole name is given."""
        states = [i for i, modes in enumerate(self._modes()) if text("intent", intent) in modes]
        return self._rows().unique("TIME", STATE_ID=states)

    def timesforscan(self, scan=-1, obsid=-1, arrayid=-1, perspw=False):
        """Times [s] of a scan; perspw: {window: times}."""
        where, rows = self._scans(scan, obsid, arrayid), self._rows()
        if not perspw:
            return rows.unique("TIME", **where)
        return {str(i): rows.unique("TIME", SPW=i, **where) for i in rows.unique("SPW", **where).tolist()}

    def timesforscans(self, scans=0, obsid=-1, arrayid=-1):
        """Times [s] of scans."""
        return self.timesforscan(scans, obsid, arrayid)

    def timesforspws(self, spw=-1):
        """Times [s] with a window; of several: {window: times}."""
        ids, rows = self._ids("SPECTRAL_WINDOW", "Spectral window", spw), self._rows()
        return rows.unique("TIME", SPW=ids[0]) if len(ids) == 1 else {str(i): rows.unique("TIME", SPW=i) for i in ids}

    # ---- observations ----

    def observatorynames(self):
        """Names of the telescopes."""
        return self._column("OBSERVATION", "TELESCOPE_NAME").tolist()

    def observers(self):
        """Names of the observers."""
        return self._column("OBSERVATION", "OBSERVER").tolist()

    def projects(self):
        """Names of the projects."""
        return self._column("OBSERVATION", "PROJECT").tolist()

    def timerangeforobs(self, obsid=-1):
        """Begin and end of an observation, as measures."""
        value = self._cell("OBSERVATION", "TIME_RANGE", obsid, "Observation")
        return {name: self._measure("epoch", "OBSERVATION", "TIME_RANGE", [one / 86400], ["d"]) for name, one in zip(("begin", "end"), value)}

    def close(self):
        """Lets go of the MS."""
        self._place, self._cache = "", None
        return True

    done = close


def _is_number(value):
    import numpy as np

    return not isinstance(value, str) and np.ndim(value) == 0


def _near(times, wanted, tol):
    import numpy as np

    near = np.zeros(len(times), bool)
    for one in np.atleast_1d(wanted):
        near |= abs(times - one) <= tol
    return near

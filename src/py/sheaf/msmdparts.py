# SPDX-License-Identifier: GPL-3.0-or-later
"""More of msmetadata: kinds of windows (ALMA's), sources, exposures, and the summary. Parts of one class; they read through its
methods _column, _cell, _size, _check, _rows and _measure."""

import re

from .casalog import casalog
from .tabletool import integer, table

_TDM_CHANNELS = {256, 128, 64, 32, 16, 248, 124, 62, 31}
_CHUNK = 20000  # rows of FLAG that are held at a time


def _ints(numbers):
    import numpy as np

    return np.array(sorted(numbers), dtype=int)


class Windows:
    """What spectral windows are for."""

    def _has(self, subtable, column):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            return column in tb.colnames()

    def _window_names(self):
        return self._column("SPECTRAL_WINDOW", "NAME").tolist()

    def _sqld(self):
        """Windows of square law detectors."""
        if not self._has("SPECTRAL_WINDOW", "BBC_NO"):
            return set()
        return {i for i, name in enumerate(self._window_names()) if re.search("BB_[0-9]#SQLD", name)}

    def _wvr(self):
        """Windows of water vapour radiometers."""
        names = self._window_names()
        return {i for i, name in enumerate(names) if name == "WVR#NOMINAL"} or {i for i, name in enumerate(names) if "WVR" in name}

    def _kinds(self):
        """{kind: windows}: means over channels (chavg), many channels (fdm), few (tdm)."""
        names, wvr = self._window_names(), self._wvr()
        widths, nchan = self._column("SPECTRAL_WINDOW", "TOTAL_BANDWIDTH").tolist(), self._column("SPECTRAL_WINDOW", "NUM_CHAN").tolist()
        ncorr = self._column("POLARIZATION", "NUM_CORR").tolist()
        most = {}
        for spw, pol in zip(self._column("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID").tolist(),
                            self._column("DATA_DESCRIPTION", "POLARIZATION_ID").tolist()):
            most[spw] = max(most.get(spw, 0), ncorr[pol])
        kinds = {"chavg": set(), "fdm": set(), "tdm": set(), "wvr": wvr, "sqld": self._sqld()}
        for i, (name, width, n) in enumerate(zip(names, widths, nchan)):
            if i in wvr:
                continue
            if n == 1 and "FULL_RES" not in name:
                kinds["chavg"].add(i)
            elif width < 2e9 or n >= 15 and n not in _TDM_CHANNELS or most.get(i, 0) * n > 256:
                kinds["fdm"].add(i)
            else:
                kinds["tdm"].add(i)
        return kinds

    def almaspws(self, chavg=False, fdm=False, sqld=False, tdm=False, wvr=False, complement=False):  # pylint: disable=too-many-arguments
        """Windows of any of these kinds, by ALMA's criteria; complement: all others."""
        kinds = self._kinds()
        asked = {"chavg": chavg, "fdm": fdm, "sqld": sqld, "tdm": tdm, "wvr": wvr}
        found = set().union(*(kinds[name] for name, wanted in asked.items() if wanted))
        return _ints(set(range(self._size("SPECTRAL_WINDOW"))) - found if complement else found)

    def chanavgspws(self):
        """Windows that are means over channels."""
        return self.almaspws(chavg=True)

    def fdmspws(self):
        """Windows with many channels."""
        return self.almaspws(fdm=True)

    def tdmspws(self):
        """Windows with few, wide channels."""
        return self.almaspws(tdm=True)

    def wvrspws(self, complement=False):
        """Windows of water vapour radiometers; complement: all others."""
        return self.almaspws(wvr=True, complement=complement)

    def nspw(self, includewvr=True):
        """Number of spectral windows; without those of water vapour radiometers."""
        return self._size("SPECTRAL_WINDOW") - (0 if includewvr else len(self._wvr()))

    def _basebands(self):
        if not self._has("SPECTRAL_WINDOW", "BBC_NO"):
            raise RuntimeError("This MS's SPECTRAL_WINDOW table does not have a BBC_NO column")
        return self._column("SPECTRAL_WINDOW", "BBC_NO").tolist()

    def baseband(self, spw):
        """The baseband of a window."""
        self._check("Spectral window", spw, self.nspw())
        return self._basebands()[spw]

    def spwsforbaseband(self, baseband=-1, sqldmode="include"):
        """Windows of a baseband, or {baseband: windows}; sqldmode: 'exclude' leaves out square law detectors, 'only' all others."""
        if sqldmode not in ("include", "exclude", "only"):
            raise RuntimeError(f"sqldmode '{sqldmode}': must be include, exclude or only")
        all_of_them, sqld = self._basebands(), self._sqld()
        keep = {i for i in range(len(all_of_them)) if sqldmode == "include" or (i in sqld) == (sqldmode == "only")}
        found = {one: _ints(i for i in keep if all_of_them[i] == one) for one in sorted(set(all_of_them))}
        if integer("baseband", baseband) < 0:
            return {str(one): windows for one, windows in found.items()}
        return found.get(baseband, _ints([]))

    def corrbit(self, spw=-1):
        """SDM_CORR_BIT of a window, or of all; UNKNOWN where there is no such column."""
        import numpy as np

        n = self.nspw()
        all_of_them = self._column("SPECTRAL_WINDOW", "SDM_CORR_BIT") if self._has("SPECTRAL_WINDOW", "SDM_CORR_BIT") else \
            np.array(["UNKNOWN"] * n)
        if integer("spw", spw) < 0:
            return all_of_them
        self._check("Spectral window", spw, n)
        return str(all_of_them[spw])

    def _numbers(self, spwids, numbers):
        """Of these windows; '' and an empty list stand for all."""
        import numpy as np

        ids = [] if isinstance(spwids, str) and not spwids else np.atleast_1d(spwids).tolist()
        for one in ids:
            self._check("Spectral window", one, len(numbers))
        return np.array([numbers[i] for i in ids] if ids else numbers, dtype=int)

    def subwindows(self, spwids=""):
        """Numbers of subwindows, from the names (ALMA); -1 where there is none."""
        return self._numbers(spwids, [int(found.group(1)) if (found := re.search(r"SW-([0-9]+)", name)) else -1
                                      for name in self._window_names()])

    def rxbands(self, spwids=""):
        """Numbers of receiver bands, from the names or from ASDM_RECEIVER (ALMA); -1 where there is none."""
        names = self._window_names()
        receivers = None
        bands = []
        for i, name in enumerate(names):
            found = re.search(r"ALMA_RB_([0-9]+)", name)
            if not found:
                receivers = self._receivers(len(names)) if receivers is None else receivers
                found = re.search(r"ALMA_RB_([0-9]+)", receivers.get(f"SpectralWindow_{i}", ""))
            bands.append(int(found.group(1)) if found else -1)
        return self._numbers(spwids, bands)

    def _receivers(self, n):
        """{window's name in ASDM_RECEIVER: band}, where that table has no more rows than there are windows."""
        import os

        if not os.path.isdir(f"{self._path}/ASDM_RECEIVER") or self._size("ASDM_RECEIVER") > n:
            return {}
        ids, bands = (self._column("ASDM_RECEIVER", name).tolist() for name in ("spectralWindowId", "frequencyBand"))
        return dict(zip(reversed(ids), reversed(bands)))


class Sources:
    """SOURCE, SCHEDULE, positions of antennas."""

    def propermotions(self):
        """Proper motions by row of SOURCE: {'0': {'longitude': …, 'latitude': …}}."""
        return {str(i): {name: {"unit": "rad/s", "value": float(one)} for name, one in zip(("longitude", "latitude"), pair)}
                for i, pair in enumerate(self._column("SOURCE", "PROPER_MOTION").T)}

    def sourcedirs(self):
        """Directions by row of SOURCE, as measures."""
        return {str(i): self._measure("direction", "SOURCE", "DIRECTION", pair, ("rad", "rad"), i)
                for i, pair in enumerate(self._column("SOURCE", "DIRECTION").T.tolist())}

    def sourcetimes(self):
        """Times by row of SOURCE."""
        return {str(i): {"unit": "s", "value": float(one)} for i, one in enumerate(self._column("SOURCE", "TIME"))}

    def _lines(self, sourceid, spw, column):
        """A cell of SOURCE about lines; None where there are none."""
        self._check("Spectral window", spw, self._size("SPECTRAL_WINDOW"))
        if integer("sourceid", sourceid) < 0:
            raise RuntimeError("sourceid cannot be negative.")
        with table() as tb:
            tb.open(f"{self._path}/SOURCE")
            if column not in tb.colnames():
                raise RuntimeError(f"Table column {column} is unknown")
            windows = tb.getcol("SPECTRAL_WINDOW_ID").tolist()
            for row, one in enumerate(tb.getcol("SOURCE_ID").tolist()):
                if one == sourceid and windows[row] in (spw, -1):
                    there = tb.getcell("NUM_LINES", row) and tb.iscelldefined(column, row)
                    return (tb.getcell(column, row) if there else None), row
        raise RuntimeError(f"SOURCE table does not contain a row with SOURCE_ID={sourceid} and SPECTRAL_WINDOW_ID={spw}.")

    def restfreqs(self, sourceid=0, spw=0):
        """Rest frequencies of a source in a window, as measures by number; False where there are none."""
        values, row = self._lines(sourceid, spw, "REST_FREQUENCY")
        if values is None:
            return False
        return {str(i): self._measure("frequency", "SOURCE", "REST_FREQUENCY", [one], ["Hz"], row) for i, one in enumerate(values)}

    def transitions(self, sourceid=0, spw=0):
        """Names of the lines of a source in a window; False where there are none."""
        names, _ = self._lines(sourceid, spw, "TRANSITION")
        return False if names is None else names

    def schedule(self, obsid=-1):
        """SCHEDULE of an observation, line by line."""
        return [str(one) for one in self._cell("OBSERVATION", "SCHEDULE", obsid, "Observation")]

    def antennaposition(self, which=0):
        """The position of an antenna, by id or name, as a measure (longitude and latitude from the centre of the Earth)."""
        import numpy as np

        antenna = int(self.antennaids(which)[0]) if isinstance(which, str) else which
        x, y, z = self._cell("ANTENNA", "POSITION", antenna, "Antenna").tolist()
        values = [np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), np.sqrt(x * x + y * y + z * z)]
        return self._measure("position", "ANTENNA", "POSITION", values, ("rad", "rad", "m"), antenna)


class Exposures:
    """How long was observed, and what when."""

    def exposuretime(self, scan=0, spwid=0, polid=-1, obsid=0, arrayid=0):  # pylint: disable=too-many-arguments
        """EXPOSURE [s] of the first row of a scan, window and polarization setup; {} where polid is to be given."""
        import numpy as np

        self._check("Spectral window", spwid, self._size("SPECTRAL_WINDOW"))
        self._check("Observation", obsid, self._size("OBSERVATION"))
        if polid >= 0:
            self._check("Polarization", polid, self._size("POLARIZATION"))
        rows = self._rows()
        where = {"SCAN_NUMBER": scan, "OBSERVATION_ID": obsid, "ARRAY_ID": arrayid}
        setups = self._column("DATA_DESCRIPTION", "POLARIZATION_ID")
        pols = np.unique(setups[rows.unique("DATA_DESC_ID", SPW=spwid, **where)]).tolist()
        if polid < 0 and len(pols) > 1:
            casalog.post(f"exposuretime: polid must be one of {', '.join(map(str, pols))}", "WARN", "msmetadata")
            return {}
        polid = polid if polid >= 0 else pols[0] if pols else -1
        wanted = (setups == polid) & (self._column("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID") == spwid)
        found = np.flatnonzero(rows.picked(DATA_DESC_ID=np.flatnonzero(wanted), **where))
        if not len(found):
            raise RuntimeError(f"MS has no records for scan number {scan}, spectral window ID {spwid}, and polarization ID {polid}.")
        first = int(found[np.argmin(rows.column["TIME"][found])])
        with table() as tb:
            tb.open(self._path)
            return {"unit": "s", "value": float(tb.getcell("EXPOSURE", first))}

    def effexposuretime(self):
        """Exposure [s] per baseline, by the part of all bandwidth that is not flagged; auto-correlations and flagged rows are left out."""
        import numpy as np

        rows, n = self._rows(), self.nantennas()
        windows = self._column("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID").tolist()
        bandwidth = self._column("SPECTRAL_WINDOW", "TOTAL_BANDWIDTH")
        moment = np.unique(rows.column["TIME"], return_inverse=True)[1]
        pairs = np.unique(np.stack([moment, rows.column["SPW"]]), axis=1)
        observed = np.bincount(pairs[0], weights=bandwidth[pairs[1]])[moment] if len(moment) else moment
        total = 0.0
        with table() as tb:
            tb.open(self._path)
            for ddid in np.unique(rows.column["DATA_DESC_ID"]).tolist():
                widths = self.chanwidths(windows[ddid])
                chosen = np.flatnonzero(rows.picked(DATA_DESC_ID=ddid) & (rows.column["ANTENNA1"] != rows.column["ANTENNA2"]))
                for i in range(0, len(chosen), _CHUNK):
                    part = chosen[i:i + _CHUNK]
                    some = tb.selectrows(part.tolist())
                    good = np.einsum("cnr,n->r", ~some.getcol("FLAG"), widths) / some.getcell("FLAG", 0).shape[0]
                    total += float(np.sum(some.getcol("EXPOSURE") * ~some.getcol("FLAG_ROW") * good / observed[part]))
                    some.close()
        return {"unit": "s", "value": total / (n * (n - 1) / 2)}

    def summary(self):
        """A dictionary of what is in the MS: observations, arrays, scans, fields, times."""
        import numpy as np

        rows = self._rows()
        column = rows.column
        out = {"nrows": len(column["TIME"]), "begin time": float(column["TIME"].min()), "end time": float(column["TIME"].max()),
               "fields": np.array(self.fieldnames()), "spectral windows": {"names": np.array(self._window_names())},
               "data descriptions": {"spectral windows": self._column("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID"),
                                     "polarization ids": self._column("DATA_DESCRIPTION", "POLARIZATION_ID")},
               "polarizations": {"n correlations": self._column("POLARIZATION", "NUM_CORR")}}
        order = np.lexsort([column[name] for name in ("TIME", "FIELD_ID", "SCAN_NUMBER", "ARRAY_ID", "OBSERVATION_ID")])
        keys = np.stack([column[name][order] for name in ("OBSERVATION_ID", "ARRAY_ID", "SCAN_NUMBER", "FIELD_ID")])
        starts = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
        for start, end in zip(starts, [*starts[1:], len(order)]):
            obs, array, scan, field = keys[:, start].tolist()
            above = out
            for name in (f"observationID={obs}", f"arrayID={array}", f"scan={scan}"):
                above = above.setdefault(name, {})
            found = above[f"fieldID={field}"] = self._subscan(order[start:end])
            above["nrows"] = above.get("nrows", 0) + found["nrows"]
            above["antennas"] = np.union1d(above.get("antennas", np.zeros(0, int)), found["antennas"])
        return out

    def _subscan(self, chosen):
        """About the rows of one scan and field, which are given in the order of time."""
        import numpy as np

        column = self._rows().column
        times, ddids = column["TIME"][chosen], column["DATA_DESC_ID"][chosen]
        out = {"antennas": np.union1d(column["ANTENNA1"][chosen], column["ANTENNA2"][chosen]), "begin time": float(times[0]),
               "end time": float(times[-1]), "data description IDs": np.unique(ddids), "nrows": len(chosen),
               "state IDs": np.unique(column["STATE_ID"][chosen])}
        starts = np.flatnonzero(np.r_[True, times[1:] != times[:-1]])
        for i, (start, end) in enumerate(zip(starts, [*starts[1:], len(times)])):
            out[str(i)] = {"time": float(times[start]), "nrows": int(end - start), "data description IDs": np.unique(ddids[start:end])}
        return out

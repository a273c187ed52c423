# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool `ms`: MeasurementSets for scripts, with the methods of CASA's tool of that name."""

from .msmdtool import msmetadata
from .tabletool import Tool, integer, table, text, texts

_MJD_OF_1970_S = 40587 * 86400


class ms(Tool):  # pylint: disable=invalid-name,too-many-public-methods
    """A MeasurementSet or Multi-MS with a selection, whose data are got and put as dictionaries of arrays.

    Arrays are [correlation, channel, row], with ifraxis=True [correlation, channel, interferometer, time]. Failures are
    RuntimeErrors. docs/tools.md tells more.
    """

    _kind = "ms"

    def open(self, thems="", nomodify=True, lock=False, check=False):
        """Opens an MS, for reading unless nomodify=False. check: ids must lead to rows of their sub-tables."""
        return self._do("open", thems=text("thems", thems), nomodify=bool(nomodify), lock=bool(lock), check=bool(check))

    def close(self):
        """Writes what is held back and closes the MS; False when none is open."""
        return self._call("close")

    def reset(self):
        """Everything is selected again."""
        return self._do("reset")

    def nrow(self, selected=False):
        """Number of rows, of the MS or of the selection."""
        return self._call("nrow", selected=bool(selected))

    def iswritable(self):
        """Whether it was opened for update."""
        return self._call("iswritable")

    def ismultims(self):
        """Whether it is a Multi-MS."""
        return self._call("ismultims")

    def getreferencedtables(self):
        """The MSs that hold the rows: sub-MSs of a Multi-MS."""
        return self._call("getreferencedtables")

    def getscansummary(self):
        """Scans: {'1': {'0': {'BeginTime': …}}}."""
        return self._call("getscansummary")

    def getspectralwindowinfo(self):
        """Data descriptions: {'0': {'NumChan': …}}."""
        return self._call("getspectralwindowinfo")

    def getfielddirmeas(self, dircolname="PHASE_DIR", fieldid=0, time=0.0, format="measure"):  # pylint: disable=redefined-builtin
        """A direction of a field, as a measure or (format='string') as a string."""
        return self._call("getfielddirmeas", dircolname=text("dircolname", dircolname), fieldid=integer("fieldid", fieldid),
                          time=float(time), format=text("format", format))

    def metadata(self, cachesize=50.0):  # pylint: disable=unused-argument
        """What the sub-tables say, by method: nspw(), fieldnames(), …"""
        return msmetadata(self._opened_name())

    def summary(self, verbose=False, listfile="", listunfl=False, cachesize=50.0, overwrite=False, wantreturn=True):  # pylint: disable=unused-argument,too-many-arguments
        """Lists what is in the MS, in the log or a file, as the task listobs does; the dictionary that listobs returns."""
        import sheaf

        value = sheaf.listobs(vis=self._opened_name(), verbose=bool(verbose), listfile=listfile, listunfl=bool(listunfl),
                              overwrite=bool(overwrite))
        return value if wantreturn else {}

    def writehistory(self, message="", parms="", origin="MSHistoryHandler::addMessage()", msname="", app="ms"):  # pylint: disable=too-many-arguments
        """Appends a message to HISTORY, of this MS or of msname; False where the message is empty."""
        return self.writehistory_batch([text("message", message)], parms, origin, msname, app)

    def writehistory_batch(self, messages=[], parms="", origin="MSHistoryHandler::addMessage()", msname="", app="ms"):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Appends messages to HISTORY, a row for each; False where there are none but empty ones."""
        lines = [one for one in texts("messages", messages) if one]
        if not lines:
            return False
        _append_history(text("msname", msname) or self._opened_name(), lines,
                        {"CLI_COMMAND": [text("parms", parms)], "ORIGIN": text("origin", origin), "APPLICATION": text("app", app)})
        return True

    def sort(self, newmsname="", columns=[]):  # pylint: disable=dangerous-default-value
        """Writes a copy of the whole MS, sorted by columns."""
        return self._call("sort", newmsname=text("newmsname", newmsname), columns=texts("columns", columns))

    def _opened_name(self):
        self.nrow()
        return self.name()

    # ---- selecting ----

    def selectinit(self, datadescid=0, reset=False):
        """Selects one data description; reset=True: everything again."""
        return self._call("selectinit", datadescid=integer("datadescid", datadescid), reset=bool(reset))

    def select(self, items={}):  # pylint: disable=dangerous-default-value
        """Narrows the selection by values, as range gives them: {'antenna1': [0, 1], 'time': [t0, t1], …}."""
        return self._call("select", items=items)

    def msselect(self, items={}, onlyparse=False):  # pylint: disable=dangerous-default-value
        """Narrows the selection by CASA's expressions: {'field': 'N*', 'spw': '0', 'scan': '1~3', …}."""
        return self._call("msselect", items=items, onlyparse=bool(onlyparse))

    def msselectedindices(self):
        """Ids that the last msselect stands for."""
        return self._call("msselectedindices")

    def msseltoindex(self, vis="", spw="", field="", baseline="", time="", scan="", uvrange="", observation="", polarization="",  # pylint: disable=too-many-arguments
                     taql=""):
        """Ids that selections of the MS vis stand for; the tool itself need not have an MS open."""
        given = {"spw": spw, "field": field, "baseline": baseline, "time": time, "scan": scan, "uvrange": uvrange,
                 "observation": observation, "polarization": polarization, "taql": taql}
        other = ms()
        other.open(vis)
        try:
            other.msselect({name: value for name, value in given.items() if value not in ("", [])}, onlyparse=True)
            found = other.msselectedindices()
        finally:
            other.close()
        return {"obsids" if name == "observationid" else name: ids for name, ids in found.items()
                if name not in ("feed1", "feed2", "feedpairs", "stateid")}

    def selecttaql(self, msselect=""):
        """Narrows the selection by a TaQL condition."""
        return self._call("selecttaql", msselect=text("msselect", msselect))

    def selectchannel(self, nchan=1, start=0, width=1, inc=1):
        """getdata gives nchan channels from start on, each the mean of `width`, `inc` apart."""
        return self._call("selectchannel", nchan=integer("nchan", nchan), start=integer("start", start),
                          width=integer("width", width), inc=integer("inc", inc))

    def selectpolarization(self, wantedpol=[]):  # pylint: disable=dangerous-default-value
        """getdata gives these correlations, converted where the data have others: ['I', 'V']."""
        return self._call("selectpolarization", wantedpol=texts("wantedpol", wantedpol))

    def range(self, items=[], useflags=True, blocksize=10):  # pylint: disable=dangerous-default-value
        """The range of values of items in the selection."""
        return self._call("range", items=texts("items", items), useflags=bool(useflags), blocksize=integer("blocksize", blocksize))

    # ---- data ----

    def getdata(self, items=[], ifraxis=False, ifraxisgap=0, increment=1, average=False):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Data of the selection (or of the present step of an iteration): {item: array}."""
        return self._call("getdata", items=texts("items", items), ifraxis=bool(ifraxis), ifraxisgap=integer("ifraxisgap", ifraxisgap),
                          increment=integer("increment", increment), average=bool(average))

    def putdata(self, items={}):  # pylint: disable=dangerous-default-value
        """Writes data, corrected_data, model_data, flag, flag_row, weight or sigma, shaped as getdata gives them."""
        return self._call("putdata", items=items)

    def iterinit(self, columns=[], interval=0.0, maxrows=0, adddefaultsortcolumns=True):  # pylint: disable=dangerous-default-value
        """Prepares to go through the selection in steps in which the columns have one value (TIME: `interval` seconds), with at most maxrows rows each."""
        return self._call("iterinit", columns=texts("columns", columns), interval=float(interval), maxrows=integer("maxrows", maxrows),
                          adddefaultsortcolumns=bool(adddefaultsortcolumns))

    def iterorigin(self):
        """Goes to the first step."""
        return self._call("iterorigin")

    def iternext(self):
        """Goes to the next step; False when there is none."""
        return self._call("iternext")

    def iterend(self):
        """Ends the iteration; getdata works on the selection again."""
        return self._call("iterend")


def _append_history(vis, messages, columns):
    """Rows of HISTORY: these messages, with the same values in the other columns."""
    import time

    columns = {"APP_PARAMS": [""], "PRIORITY": "INFO", "OBJECT_ID": 0, "OBSERVATION_ID": -1, **columns}
    with table() as t:
        t.open(f"{vis}/HISTORY", nomodify=False)
        first = t.nrows()
        t.addrows(len(messages))
        for row, message in enumerate(messages, first):
            cells = {**columns, "MESSAGE": message, "TIME": time.time() + _MJD_OF_1970_S}
            for name, value in cells.items():
                t.putcell(name, row, value)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool `ms`: MeasurementSets for scripts, with the methods of CASA's tool of that name."""

from .tabletool import Tool, integer, table, text, texts


class msmetadata:  # pylint: disable=invalid-name
    """What the sub-tables of an MS say; what ms.metadata() gives."""

    def __init__(self, path):
        self._path = path

    def _column(self, subtable, name):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}" if subtable else self._path)
            return tb.getcol(name)

    def _cell(self, subtable, name, row):
        with table() as tb:
            tb.open(f"{self._path}/{subtable}")
            return tb.getcell(name, integer("row", row))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        offered = ", ".join(sorted(one for one in dir(type(self)) if not one.startswith("_")))
        raise AttributeError(f"Sheaf's msmetadata has no {name}; it has {offered}")

    def name(self):
        """The path of the MS."""
        return self._path

    def nrows(self):
        """Number of rows."""
        return len(self._column("", "TIME"))

    def nspw(self):
        """Number of spectral windows."""
        return len(self._column("SPECTRAL_WINDOW", "NUM_CHAN"))

    def nfields(self):
        """Number of fields."""
        return len(self._column("FIELD", "NAME"))

    def nantennas(self):
        """Number of antennas."""
        return len(self._column("ANTENNA", "NAME"))

    def nobservations(self):
        """Number of observations."""
        return len(self._column("OBSERVATION", "TELESCOPE_NAME"))

    def nscans(self):
        """Number of scans: one number in two observations or arrays is two."""
        return len(set(zip(self._column("", "OBSERVATION_ID"), self._column("", "ARRAY_ID"), self._column("", "SCAN_NUMBER"))))

    def fieldnames(self):
        """Names of the fields."""
        return self._column("FIELD", "NAME").tolist()

    def antennanames(self):
        """Names of the antennas."""
        return self._column("ANTENNA", "NAME").tolist()

    def observatorynames(self):
        """Names of the telescopes."""
        return self._column("OBSERVATION", "TELESCOPE_NAME").tolist()

    def scannumbers(self):
        """Scan numbers, ascending."""
        import numpy

        return numpy.unique(self._column("", "SCAN_NUMBER"))

    def nchan(self, spw):
        """Channels of a spectral window."""
        return self._cell("SPECTRAL_WINDOW", "NUM_CHAN", spw)

    def chanfreqs(self, spw):
        """Frequencies [Hz] of the channels of a spectral window."""
        return self._cell("SPECTRAL_WINDOW", "CHAN_FREQ", spw)

    def chanwidths(self, spw):
        """Widths [Hz] of the channels of a spectral window."""
        return self._cell("SPECTRAL_WINDOW", "CHAN_WIDTH", spw)

    def close(self):
        """Nothing is open between calls."""
        return True

    done = close


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool `table`: tables for scripts, with the methods of CASA's tool of that name."""

import atexit
import operator

from . import _core

atexit.register(_core.tools_release)


def text(name, value):
    """A string argument, or TypeError with CASA's words."""
    if not isinstance(value, str):
        raise TypeError(f"argument _{name} must be a string")
    return value


def integer(name, value):
    """An integer argument, or TypeError with CASA's words."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"argument _{name} must be an integer") from None


def texts(name, value):
    """A list of strings; one string is a list of one."""
    if isinstance(value, str):
        return [value]
    return [text(name, one) for one in value]


class Tool:
    """What the tools have in common."""

    _kind = None

    def __init__(self, number=None):
        self._number = _core.tool_new(self._kind) if number is None else number

    def _call(self, method, **arguments):
        return _core.tool_call(self._number, method, arguments)

    def _do(self, method, **arguments):
        _core.tool_call(self._number, method, arguments)
        return True

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        offered = ", ".join(sorted(one for one in dir(type(self)) if not one.startswith("_")))
        raise AttributeError(f"Sheaf's tool {self._kind} has no {name}; it has {offered}")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    def __del__(self):
        number = self.__dict__.get("_number")
        if number is not None and _core is not None:
            _core.tool_free(number)

    def close(self):
        """Writes what is held back and closes the table. True, also when none is open."""
        return self._do("close")

    def done(self):
        """The same as close."""
        return self.close()

    def name(self):
        """The path of what is open; '' when nothing is."""
        return self._call("name")


class tablerow:  # pylint: disable=invalid-name
    """Rows of a table as dictionaries; what table.row gives."""

    def __init__(self, tool, columns):
        self._tool, self._columns = tool, columns

    def get(self, rownr):
        """A row: {column: value}; cells without a value are left out."""
        row = integer("rownr", rownr)
        if not 0 <= row < len(self):
            raise RuntimeError(f"there is no row {row}: the table has {len(self)}")
        return {name: self._tool.getcell(name, row) for name in self._columns if self._tool.iscelldefined(name, row)}

    def put(self, rownr, value):
        """Writes the cells of a row that the dictionary has."""
        if not self.iswritable():
            raise RuntimeError("TableRowProxy: the given TableRow is not writable")
        for name in value:
            if name not in self._columns:
                raise RuntimeError(f"the row has no column {name}; it has {', '.join(self._columns)}")
        for name, one in value.items():
            self._tool.putcell(name, integer("rownr", rownr), one)
        return True

    def iswritable(self):
        """Whether the table was opened for update."""
        return self._tool.iswritable()

    def done(self):
        """Nothing is open besides the table."""
        return True

    def __len__(self):
        return self._tool.nrows()

    def __getitem__(self, rownr):
        if not isinstance(rownr, slice):
            return self.get(rownr + len(self) if rownr < 0 else rownr)
        return [self.get(row) for row in range(*rownr.indices(len(self)))]

    def __setitem__(self, rownr, value):
        self.put(rownr + len(self) if rownr < 0 else rownr, value)


class table(Tool):  # pylint: disable=invalid-name,too-many-public-methods
    """A table of casacore: a MeasurementSet, one of its sub-tables, a calibration table.

    Arrays have the row as their last axis, as in CASA; integers have 64 bits, floats and complex numbers are doubles.
    Failures are RuntimeErrors. docs/tools.md tells more.
    """

    _kind = "table"

    def open(self, tablename="", lockoptions={}, nomodify=True):  # pylint: disable=dangerous-default-value
        """Opens a table, for reading unless nomodify=False; what was open is closed. lockoptions: {'option': 'user'} and so on."""
        if isinstance(lockoptions, str):
            lockoptions = {"option": lockoptions}
        return self._do("open", tablename=text("tablename", tablename), lockoptions=lockoptions, nomodify=bool(nomodify))

    def create(self, tablename="", tabledesc={}, lockoptions={}, endianformat="", memtype="", nrow=0, dminfo={}):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Makes a table and opens it. tabledesc is what getdesc gives: {'A': {'valueType': 'int'}, …}."""
        return self._do("create", tablename=text("tablename", tablename), tabledesc=tabledesc, lockoptions=lockoptions,
                        endianformat=endianformat, memtype=memtype, nrow=integer("nrow", nrow), dminfo=dminfo)

    def fromascii(self, tablename, asciifile, headerfile="", autoheader=False, autoshape=[-1], sep="", commentmarker="",  # pylint: disable=dangerous-default-value,too-many-arguments
                  firstline=0, lastline=-1, nomodify=True, columnnames=[], datatypes=[]):
        """Makes a table of a text file and opens it. Names and types (I, D, A, B, X, …) of the columns are in the first two lines
        of the file (or of headerfile), or given here."""
        self._do("fromascii", tablename=text("tablename", tablename), asciifile=text("asciifile", asciifile),
                 headerfile=text("headerfile", headerfile), autoheader=bool(autoheader), autoshape=autoshape, sep=text("sep", sep),
                 commentmarker=text("commentmarker", commentmarker), firstline=integer("firstline", firstline),
                 lastline=integer("lastline", lastline), columnnames=texts("columnnames", columnnames), datatypes=texts("datatypes", datatypes))
        return self.open(tablename, nomodify=nomodify)

    def toasciifmt(self, asciifile, headerfile="", columns=[], sep=""):  # pylint: disable=dangerous-default-value
        """Writes the table (or some columns) to a text file, with names and types in its first two lines or in headerfile."""
        return self._do("toasciifmt", asciifile=text("asciifile", asciifile), headerfile=text("headerfile", headerfile),
                        columns=texts("columns", columns), sep=text("sep", sep))

    def createmultitable(self, outputTableName, tables, subdirname):
        """Makes the concatenation of tables, which move into a folder of it. It is not opened; an old one is not replaced."""
        from . import multitable

        for name in texts("tables", tables):
            if self.isopened(name):
                raise RuntimeError(f"Table {name} is open; close it before it is moved")
        multitable.create(text("outputTableName", outputTableName), texts("tables", tables), text("subdirname", subdirname))
        return True

    def ok(self):
        """Whether a table is open."""
        return self._call("ok")

    def isopened(self, tablename):
        """Whether this process has that table open."""
        return self._call("isopened", tablename=text("tablename", tablename))

    def iswritable(self):
        """Whether it was opened for update."""
        return self.ok() and self._call("iswritable")

    def flush(self):
        """Writes to the file system what is held back."""
        return self._do("flush")

    def resync(self):
        """Takes notice of what others have changed."""
        return self._do("resync")

    def lock(self, write=True, nattempts=0):
        """Locks the table, for writing or reading. nattempts 0: waits for ever."""
        return self._do("lock", write=bool(write), nattempts=integer("nattempts", nattempts))

    def unlock(self):
        """Writes what is held back and unlocks."""
        return self._do("unlock")

    def haslock(self, write=True):
        """Whether this table is locked for writing (or reading) by this process."""
        return self._call("haslock", write=bool(write))

    def lockoptions(self):
        """How it is locked."""
        return self._call("lockoptions")

    def clearlocks(self):
        """Writes what the tools of this process hold back, and lets go of their locks."""
        _core.tools_release()
        return True

    def listlocks(self):
        """Prints the tables that this process has locked."""
        print("Locked tables: ")
        for name in self._call("listlocks"):
            print("   " + name)
        print("--")
        return True

    def setmaxcachesize(self, columnname, nbytes):
        """How much memory casacore may use for the tiles of a column."""
        return self._do("setmaxcachesize", columnname=text("columnname", columnname), nbytes=integer("nbytes", nbytes))

    def datachanged(self):
        """Whether somebody has changed it since the last call."""
        return self._call("datachanged")

    def ismultiused(self, checksubtables=False):
        """Whether other processes have it open."""
        return self._call("ismultiused", checksubtables=bool(checksubtables))

    def endianformat(self):
        """'big' or 'little'."""
        return self._call("endianformat")

    def info(self):
        """type, subType and readme."""
        return self._call("info")

    def putinfo(self, value):
        """Sets type, subType and readme."""
        return self._do("putinfo", value=value)

    def addreadmeline(self, value):
        """Adds a line to readme."""
        return self._do("addreadmeline", value=text("value", value))

    def nrows(self):
        """Number of rows."""
        return self._call("nrows")

    def ncols(self):
        """Number of columns."""
        return self._call("ncols")

    def colnames(self):
        """Names of the columns."""
        return self._call("colnames")

    def summary(self, recurse=False):
        """Puts shape, info, keywords and columns into the log; with recurse those of sub-tables, too."""
        from .casalog import casalog

        def tell(line):
            casalog.post(line, origin=f"table::summary {self.name()}")

        keywords = self.getkeywords()
        tell(f"Table summary: {self.name()}")
        tell(f"Shape: {self.ncols()} columns by {self.nrows()} rows")
        tell(f"Info: {self.info()}")
        tell(f"Table keywords: {keywords}")
        tell(f"Columns: {' '.join(self.colnames())}")
        for name in self.colnames():
            tell(f"{name} keywords: {self.getcolkeywords(name) or 'None'}")
        for value in keywords.values() if recurse else ():
            if isinstance(value, str) and value.startswith("Table: "):
                with table() as below:
                    below.open(value[len("Table: "):])
                    below.summary(True)
        return True

    def statistics(self, column, complex_value=""):
        """{column: {'mean': …, 'median': …, …}} in single precision; of complex columns amp, phase, real or imag. Where cells have
        one axis, for each element: {'UVW_0': …}."""
        from .statistics import of_column

        return of_column(self, text("column", column), text("complex_value", complex_value))

    def row(self, columnnames=[], exclude=False):  # pylint: disable=dangerous-default-value
        """Rows as dictionaries of all columns, of some, or (exclude) of all but these: row().get(7)."""
        names = texts("columnnames", columnnames)
        for name in names:
            self.getcoldesc(name)
        return tablerow(self, [name for name in self.colnames() if (name in names) != bool(exclude)] if names else list(self.colnames()))

    def getdesc(self, actual=True):
        """The description of the table, by column."""
        return self._call("getdesc", actual=bool(actual))

    def getcoldesc(self, columnname):
        """The description of a column."""
        return self._call("getcoldesc", columnname=text("columnname", columnname))

    def getdminfo(self):
        """The storage managers."""
        return self._call("getdminfo")

    def isscalarcol(self, columnname):
        """Whether a column holds scalars."""
        return self._call("isscalarcol", columnname=text("columnname", columnname))

    def isvarcol(self, columnname):
        """Whether a column holds arrays whose shape may vary."""
        return self._call("isvarcol", columnname=text("columnname", columnname))

    def coldatatype(self, columnname):
        """The type of a column's values."""
        return self._call("coldatatype", columnname=text("columnname", columnname))

    def colarraytype(self, columnname):
        """How an array column is stored."""
        return self._call("colarraytype", columnname=text("columnname", columnname))

    def iscelldefined(self, columnname, rownr=0):
        """Whether a cell has a value."""
        return self._call("iscelldefined", columnname=text("columnname", columnname), rownr=integer("rownr", rownr))

    # ---- values ----

    def getcol(self, columnname, startrow=0, nrow=-1, rowincr=1):
        """A column, or a range of its rows; all cells have one shape, and rows are the last axis."""
        return self._call("getcol", columnname=text("columnname", columnname), startrow=integer("startrow", startrow),
                          nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def getvarcol(self, columnname, startrow=0, nrow=-1, rowincr=1):
        """A column whose cells have different shapes: {'r1': array, 'r2': …}, each with a last axis of length 1."""
        return self._call("getvarcol", columnname=text("columnname", columnname), startrow=integer("startrow", startrow),
                          nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def getcolslice(self, columnname, blc, trc, incr, startrow=0, nrow=-1, rowincr=1):  # pylint: disable=too-many-arguments
        """A part of each cell, from blc to trc (included; -1 is the end of an axis) by incr."""
        return self._call("getcolslice", columnname=text("columnname", columnname), blc=blc, trc=trc, incr=incr,
                          startrow=integer("startrow", startrow), nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def getcell(self, columnname, rownr=0):
        """One cell."""
        return self._call("getcell", columnname=text("columnname", columnname), rownr=integer("rownr", rownr))

    def getcellslice(self, columnname, rownr, blc, trc, incr=[1]):  # pylint: disable=dangerous-default-value,too-many-arguments
        """A part of one cell."""
        return self._call("getcellslice", columnname=text("columnname", columnname), rownr=integer("rownr", rownr), blc=blc,
                          trc=trc, incr=incr)

    def getcoliter(self, columnname, startrow=0, nrow=-1, rowincr=1, torecord=False):  # pylint: disable=too-many-arguments
        """Yields one row after the other, as getcol (or, with torecord, getvarcol) gives them."""
        start, step, have = integer("startrow", startrow), integer("rowincr", rowincr), self.nrows()
        end = have if nrow < 0 else min(have, start + nrow * step)
        for row in range(start, end, step):
            yield self.getvarcol(columnname, row, 1) if torecord else self.getcol(columnname, row, 1)

    def getcolshapestring(self, columnname, startrow=0, nrow=-1, rowincr=1):
        """Shapes of cells as strings."""
        return self._call("getcolshapestring", columnname=text("columnname", columnname),
                          startrow=integer("startrow", startrow), nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def putcol(self, columnname, value=[], startrow=0, nrow=-1, rowincr=1):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Writes a column, or a range of its rows."""
        return self._do("putcol", columnname=text("columnname", columnname), value=value, startrow=integer("startrow", startrow),
                        nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def putvarcol(self, columnname, value, startrow=0, nrow=-1, rowincr=1):  # pylint: disable=too-many-arguments
        """Writes what getvarcol gives."""
        return self._do("putvarcol", columnname=text("columnname", columnname), value=value,
                        startrow=integer("startrow", startrow), nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def putcolslice(self, columnname, value=[], blc=[], trc=[], incr=[1], startrow=0, nrow=-1, rowincr=1):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Writes a part of each cell."""
        return self._do("putcolslice", columnname=text("columnname", columnname), value=value, blc=blc, trc=trc, incr=incr,
                        startrow=integer("startrow", startrow), nrow=integer("nrow", nrow), rowincr=integer("rowincr", rowincr))

    def putcell(self, columnname, rownr, thevalue=[]):  # pylint: disable=dangerous-default-value
        """Writes one cell, or the same value into several."""
        return self._do("putcell", columnname=text("columnname", columnname), rownr=rownr, thevalue=thevalue)

    def putcellslice(self, columnname, rownr, value=[], blc=[], trc=[], incr=[1]):  # pylint: disable=dangerous-default-value,too-many-arguments
        """Writes a part of one cell."""
        return self._do("putcellslice", columnname=text("columnname", columnname), rownr=integer("rownr", rownr), value=value,
                        blc=blc, trc=trc, incr=incr)

    # ---- keywords ----

    def _keyword(self, method, columnname, keyword, **more):
        if not isinstance(keyword, str):
            keyword = integer("keyword", keyword)
        return self._call(method, columnname=text("columnname", columnname), keyword=keyword, **more)

    def getkeyword(self, keyword=""):
        """A keyword of the table, by name ('A.B': a field of a record) or number."""
        return self._keyword("getkeyword", "", keyword)

    def getkeywords(self):
        """All keywords of the table. A sub-table is a string 'Table: PATH'."""
        return self._call("getkeywords", columnname="")

    def keywordnames(self):
        """Names of the table's keywords."""
        return self._call("keywordnames", columnname="")

    def fieldnames(self, keyword=""):
        """Names of the fields of a keyword that is a record."""
        return self._keyword("fieldnames", "", keyword)

    def putkeyword(self, keyword="", value=[], makesubrecord=False):  # pylint: disable=dangerous-default-value
        """Sets a keyword of the table."""
        self._keyword("putkeyword", "", keyword, value=value, makesubrecord=bool(makesubrecord))
        return True

    def putkeywords(self, value):
        """Sets several keywords of the table."""
        return self._do("putkeywords", columnname="", value=value)

    def removekeyword(self, keyword=""):
        """Removes a keyword of the table."""
        self._keyword("removekeyword", "", keyword)
        return True

    def getcolkeyword(self, columnname, keyword=""):
        """A keyword of a column."""
        return self._keyword("getkeyword", columnname, keyword)

    def getcolkeywords(self, columnname):
        """All keywords of a column."""
        return self._call("getkeywords", columnname=text("columnname", columnname))

    def colkeywordnames(self, columnname):
        """Names of a column's keywords."""
        return self._call("keywordnames", columnname=text("columnname", columnname))

    def colfieldnames(self, columnname, keyword=""):
        """Names of the fields of a column's keyword that is a record."""
        return self._keyword("fieldnames", columnname, keyword)

    def putcolkeyword(self, columnname, keyword="", value=[]):  # pylint: disable=dangerous-default-value
        """Sets a keyword of a column."""
        self._keyword("putkeyword", columnname, keyword, value=value, makesubrecord=False)
        return True

    def putcolkeywords(self, columnname, value):
        """Sets several keywords of a column."""
        return self._do("putkeywords", columnname=text("columnname", columnname), value=value)

    def removecolkeyword(self, columnname, keyword=""):
        """Removes a keyword of a column."""
        self._keyword("removekeyword", columnname, keyword)
        return True

    # ---- rows, columns, other tables ----

    def addrows(self, nrow=1):
        """Adds rows at the end."""
        return self._do("addrows", nrow=integer("nrow", nrow))

    def removerows(self, rownrs):
        """Removes rows, where the storage managers can do that."""
        return self._do("removerows", rownrs=rownrs)

    def addcols(self, desc, dminfo={}):  # pylint: disable=dangerous-default-value
        """Adds columns: {'A': description, …} with what getcoldesc gives."""
        return self._do("addcols", desc=desc, dminfo=dminfo)

    def renamecol(self, oldname, newname):
        """Renames a column."""
        return self._do("renamecol", oldname=text("oldname", oldname), newname=text("newname", newname))

    def removecols(self, columnames):
        """Removes columns."""
        return self._do("removecols", columnames=texts("columnames", columnames))

    def rownumbers(self, tab={}, nbytes=0):  # pylint: disable=dangerous-default-value,unused-argument
        """Of a selection: the rows of the table that it refers to."""
        return self._call("rownumbers")

    def query(self, query="", name="", sortlist="", columns="", style=""):  # pylint: disable=too-many-arguments
        """The rows for which a TaQL condition is true, as a table of their own (on disk, with a name)."""
        return table(self._call("query", query=text("query", query), name=text("name", name), sortlist=text("sortlist", sortlist),
                                columns=text("columns", columns), style=text("style", style)))

    def taql(self, taqlcommand="TaQL expression"):
        """The table that a TaQL command makes."""
        return table(self._call("taql", taqlcommand=text("taqlcommand", taqlcommand)))

    def calc(self, expr, prefix="using style base0, endincl, fortranorder", showtaql=False):
        """The value of a TaQL expression."""
        if showtaql:
            print(f"TaQL string: {prefix} calc {expr}")
        return self._call("calc", expr=text("expr", expr), prefix=text("prefix", prefix))

    def selectrows(self, rownrs, name=""):
        """The given rows, in the given order, as a table of their own (on disk, with a name)."""
        return table(self._call("selectrows", rownrs=rownrs, name=text("name", name)))

    def copy(self, newtablename, deep=False, valuecopy=False, dminfo={}, endian="aipsrc", memorytable=False, returnobject=False, norows=False):  # pylint: disable=dangerous-default-value,too-many-arguments,unused-argument
        """Copies the table; gives the copy as a tool."""
        return table(self._call("copy", newtablename=text("newtablename", newtablename), deep=bool(deep), valuecopy=bool(valuecopy),
                                dminfo=dminfo, endian=text("endian", endian), memorytable=bool(memorytable), norows=bool(norows)))

    def copyrows(self, outtable, startrowin=0, startrowout=-1, nrow=-1):
        """Copies rows to another table."""
        return self._do("copyrows", outtable=text("outtable", outtable), startrowin=integer("startrowin", startrowin),
                        startrowout=integer("startrowout", startrowout), nrow=integer("nrow", nrow))

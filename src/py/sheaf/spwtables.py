# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one set of sub-tables of those of several new MSs, each with windows of its own, for axis 'spw' of ParallelDataHelper.

The MSs are not published yet, so that nothing is lost when this is killed.
"""

import os

from sheaf import _core
from sheaf.errors import Error
from sheaf.tabletool import table


def join(names, starts):
    """The first MS's sub-tables get the windows of all, in the order of the names, and every main table the ids of these rows.

    starts: with which number the DATA_DESC_ID of each begin. Rows for any window (-1) are those of the first.
    """
    windows = descriptions = 0
    for i, (name, start) in enumerate(zip(names, starts)):
        new_windows, new_descriptions = _rows(name, "SPECTRAL_WINDOW"), _rows(name, "DATA_DESCRIPTION")
        _renumber(name, start, descriptions, new_descriptions)
        if i > 0:
            _append(names[0], name, windows)
        windows += new_windows
        descriptions += new_descriptions


def _rows(name, subtable):
    with table() as t:
        t.open(os.path.join(name, subtable))
        return t.nrows()


def _renumber(name, start, first, n):
    """Makes DATA_DESC_ID begin with `first` instead of `start`."""
    with table() as t:
        t.open(name, nomodify=False)
        ids = t.getcol("DATA_DESC_ID")
        if ids.size and not start <= ids.min() <= ids.max() < start + n:
            raise Error(f"{os.path.basename(name)}: DATA_DESC_ID {ids.min()} to {ids.max()} of a job, but its {n} data "
                        f"descriptions have the numbers {start} to {start + n - 1}: the job must number them from its parameter ddistart on")
        if start != first:
            t.putcol("DATA_DESC_ID", ids + (first - start))


def _append(first, name, windows):
    """Appends what one MS has about its windows, which become number `windows` and following."""
    for subtable in _core.mms_subtables(name):
        place, onto = os.path.join(name, subtable), os.path.join(first, subtable)
        with table() as t:
            t.open(place)
            columns = t.colnames()
            if subtable == "SPECTRAL_WINDOW":
                _copy(t, range(t.nrows()), onto)
                _shift_arrays(onto, t.nrows(), "ASSOC_SPW_ID", windows)
            elif "SPECTRAL_WINDOW_ID" in columns and t.nrows():
                ids = t.getcol("SPECTRAL_WINDOW_ID")
                rows = (ids >= 0).nonzero()[0]
                _copy(t, rows, onto)
                _put_last(onto, "SPECTRAL_WINDOW_ID", ids[rows] + windows)


def _copy(t, rows, onto):
    if not len(rows):
        return
    part = t.selectrows([int(row) for row in rows])
    part.copyrows(onto)
    part.close()


def _put_last(path, column, values):
    if not len(values):
        return
    with table() as t:
        t.open(path, nomodify=False)
        t.putcol(column, values, t.nrows() - len(values))


def _shift_arrays(path, n, column, by):
    """Adds to the array cells of the last n rows."""
    with table() as t:
        t.open(path, nomodify=False)
        if column not in t.colnames():
            return
        for row in range(t.nrows() - n, t.nrows()):
            if t.iscelldefined(column, row):
                t.putcell(column, row, t.getcell(column, row) + by)

# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's table tools around Sheaf's tasks.

In CASA a task and the tools of the same script share their tables. Sheaf's tasks have a casacore of their own: so the
tools write what they hold back before a task, and open their tables anew after one that changes them.
"""

import functools
import gc
import inspect
import os
import sys

_CHANGING = {"clearcal", "delmod", "flagcmd", "flagdata", "flagmanager", "initweights"}


def _names(arguments):
    """Real paths of the MSs that a call names as vis."""
    vis = arguments.get("vis") or []
    return [os.path.realpath(name) for name in ([vis] if isinstance(vis, str) else vis) if isinstance(name, str)]


def _open_tables(paths):
    """CASA's table tools that have one of these MSs, or a sub-table of it, open. A selection has a name of its own."""
    casatools = sys.modules.get("casatools")
    tool = getattr(casatools, "table", None)
    if not isinstance(tool, type) or tool.__module__.split(".")[0] != "casatools":
        return []
    found = []
    for one in [thing for thing in gc.get_objects() if type(thing) is tool]:
        name = one.name()
        path = os.path.realpath(name) if name else ""
        if any(path == vis or path.startswith(vis + os.sep) for vis in paths):
            found.append(one)
    return found


def _close(tool):
    """Writes what the tool holds back, and closes it; the arguments of open() that bring it back."""
    how = {"tablename": tool.name(), "nomodify": not tool.iswritable(), "lockoptions": {"option": tool.lockoptions()["option"]}}
    tool.close()
    return how


def around(name, task):
    """The task, with CASA's tools on its MSs as they are around CASA's own tasks."""
    @functools.wraps(task)
    def call(*args, **kwargs):
        try:
            tools = _open_tables(_names(inspect.signature(task).bind_partial(*args, **kwargs).arguments))
        except TypeError:  # the task itself tells what is wrong with the call
            tools = []
        if name not in _CHANGING:
            for tool in tools:
                if tool.iswritable():
                    tool.flush()
            return task(*args, **kwargs)
        closed = [(tool, _close(tool)) for tool in tools]
        try:
            return task(*args, **kwargs)
        finally:
            for tool, how in closed:
                if os.path.isdir(how["tablename"]):
                    tool.open(**how)

    return call

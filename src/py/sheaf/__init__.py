# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf: radio-interferometry MeasurementSets, processed in parallel.

Every task is a function with CASA's parameters, e.g. `sheaf.partition(vis='a.ms', outputvis='a.mms')`; `help(sheaf.partition)`
explains it. Under mpisheaf (or mpirun) the import starts MPI: rank 0 goes on as the client, the other ranks become
servers and do not return from the import.
"""

import os as _os
import sys as _sys

_os.environ.setdefault("HOME", "/")  # casacore aborts at load when there is none
from sheaf import _core
from sheaf.casalog import casalog  # the log, not the module of that name
from sheaf.errors import *
from sheaf import errors as _errors
from sheaf.tasks import FUNCTIONS as _FUNCTIONS

__version__ = _core.version
globals().update(_FUNCTIONS)
__all__ = sorted(_FUNCTIONS) + _errors.__all__ + ["casalog", "log_file", "memory", "nservers", "status"]
_LATER = {"MPICommandClient": "command", "MPIEnvironment": "environment", "MPIInterface": "cluster",
          "ParallelTaskHelper": "parallel", "ParallelDataHelper": "paralleldata", "table": "tabletool", "ms": "mstool",
          "msmetadata": "msmdtool"}


def log_file(path):
    """Sets the log file of later task calls: a path, False for no file, None for the default name."""
    _core.log_file("none" if path is False else None if path is None else _os.fspath(path))


def memory(budget):
    """Sets the memory budget of all Sheaf processes of this node, such as '800M' or '4G'."""
    _core.memory(str(budget))


def nservers():
    """Number of MPI servers that are alive; 0 when tasks run in this process."""
    return _core.par_nserver()


def status():
    """Prints a table of the servers: what each is doing, since when, its memory and threads."""
    print(_core.par_status(), end="")


def __getattr__(name):
    """Loads what not every session needs when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'sheaf' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module("sheaf." + _LATER[name]), name)


def _is_program():
    """Whether this import only precedes `python3 -m sheaf`, which starts the program."""
    words = _sys.orig_argv
    return (_sys.argv[:1] == ["-m"] and "-m" in words
            and words[words.index("-m") + 1:][:1] == ["sheaf"])


def _start():
    """Joins MPI where mpirun started this process; a server serves, and ends with the client."""
    if not _core.par_launched() or _is_program():
        return
    _core.par_init()
    # Programs started from here must not take themselves for this rank (the library set it in C).
    _os.environ["SHEAF_PAR_PID"] = str(_os.getpid())
    if _core.par_rank() > 0:
        from sheaf import serving

        status = serving.serve()
        _sys.stdout.flush()
        _sys.stderr.flush()
        _os._exit(status)


_start()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's log with the methods that scripts use of CASA's `casalog`."""

import os

from sheaf import _core

_PRIORITIES = {"DEBUG": 0, "INFO": 1, "NORMAL": 1, "WARN": 2, "SEVERE": 3, "ERROR": 3}
_LEAST = 64 << 20  # the smallest memory budget


def priority(name):
    """The number of a priority by CASA's name (`INFO2` and so on count as `INFO`); None when there is no such name."""
    text = str(name).upper()
    return _PRIORITIES.get(text if text in _PRIORITIES else text.rstrip("12345"))


class _Log:
    """The one log of this process; a server's lines go to the client."""

    def __init__(self):
        self._origin = ""
        self._memory = self._fraction = self._cores = None
        self._threads = _core.omp_threads()

    def post(self, message, priority="INFO", origin=""):  # pylint: disable=redefined-outer-name
        """Writes a message."""
        level = globals()["priority"](priority)
        if level is None:
            raise ValueError(f"priority '{priority}': must be one of {', '.join(_PRIORITIES)}")
        _core.log_post(level, origin or self._origin, str(message))

    def origin(self, fromwhere=""):
        """Names what later messages come from."""
        self._origin = str(fromwhere)
        return True

    def getOrigin(self):
        """What origin() has set."""
        return self._origin

    def setglobal(self, isglobal=True):
        """There is one log."""
        return True

    def filter(self, level="INFO"):
        """Drops later messages below a priority."""
        number = priority(level)
        if number is None:
            raise ValueError(f"level '{level}': must be one of {', '.join(_PRIORITIES)}")
        _core.log_threshold(number)
        return True

    def logfile(self):
        """Path of the log file; '' when there is none."""
        return _core.log_open()

    def setlogfile(self, filename=""):
        """Sets the log file."""
        _core.log_file(os.fspath(filename) if filename else None)
        _core.log_open()
        return True

    def showconsole(self, onconsole=True):
        """Whether messages also go to standard error."""
        _core.log_terminal(bool(onconsole))
        return True

    # Resources, in CASA's units: MB are set, kB are answered; "aipsrc" is what was set.

    def setMemoryTotal(self, memory):
        """Memory budget in MB; -1: the default."""
        self._memory = memory if memory > 0 else None
        self._apply_memory()
        return True

    def setMemoryFraction(self, memfrac):
        """Memory budget as a percentage of the host's memory; -1: the default. A total takes precedence."""
        self._fraction = memfrac if memfrac > 0 else None
        self._apply_memory()
        return True

    def _apply_memory(self):
        wanted = self.getMemoryTotal(True) * 1024
        if wanted < _LEAST:
            self.post(f"a memory budget of {wanted} bytes is too small to work with: {_LEAST} are used", "WARN")
        if self._memory is None and self._fraction is None:
            wanted = wanted // 2  # Sheaf's default
        _core.memory(str(max(int(wanted), _LEAST)))

    def getMemoryTotal(self, use_aipsrc=False):
        """Memory of this host in kB, or as it was set."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
        if use_aipsrc and self._memory is not None:
            return int(self._memory * 1024)
        if use_aipsrc and self._fraction is not None:
            return total * self._fraction / 100
        return total

    def setNumCPUs(self, numCPUs):
        """Number of cores to use; -1: as at the start."""
        self._cores = numCPUs if numCPUs > 0 else None
        _core.omp_threads(self._cores or self._threads)
        return True

    def getNumCPUs(self, use_aipsrc=False):
        """Cores of this host, or as it was set."""
        return self._cores if use_aipsrc and self._cores is not None else len(os.sched_getaffinity(0))

    def ompNumThreadsTest(self):
        """Number of threads that OpenMP would use now."""
        return _core.omp_threads()

    def version(self):
        """Sheaf's version."""
        return _core.version


casalog = _Log()

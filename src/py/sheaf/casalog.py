# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's log with the methods that scripts use of CASA's `casalog`."""

import os

from sheaf import _core

# CASA's levels, the finest first, and the four that the log writes.
_ORDER = ("DEBUG", "DEBUG2", "DEBUG1", "INFO5", "INFO4", "INFO3", "INFO2", "INFO1", "INFO", "WARN", "SEVERE")
_WRITTEN = (*[0] * 3, *[1] * 6, 2, 3)
_INFO = _ORDER.index("INFO")
_LEAST = 64 << 20  # the smallest memory budget


def _rank(name):
    """The place of a level in _ORDER. What is no level counts as INFO, as with CASA."""
    text = str(name).upper().replace("NORMAL", "INFO").replace("ERROR", "SEVERE")
    return _ORDER.index(text) if text in _ORDER else _INFO


class _Log:
    """The one log of this process; a server's lines go to the client."""

    def __init__(self):
        self._origin = ""
        self._least = _rank(os.environ.get("SHEAF_LOG", "INFO"))
        self._memory = self._fraction = self._cores = None
        self._threads = _core.omp_threads()

    def post(self, message, priority="INFO", origin=""):
        """Writes a message if level and filter let it pass; whether they do."""
        rank, message = _rank(priority), str(message)
        if rank < self._least:
            return False
        if not _core.par_rank():
            _core.log_open()  # a server's log is the client's, or was set by it
        parts = [self._origin or origin, origin] if self._origin or origin else []
        return _core.log_post(_WRITTEN[rank], "::".join(parts), message)

    postLocally = post

    def origin(self, fromwhere=""):
        """Names what later messages come from."""
        self._origin = str(fromwhere)
        return True

    def getOrigin(self):
        """What origin() has set."""
        return self._origin

    def processorOrigin(self, fromwhere=""):
        """The last part of later origins; '' is `casa`."""
        _core.log_place(str(fromwhere) or "casa")
        return True

    def setglobal(self, isglobal=True):
        """There is one log."""
        return True

    def id(self):
        """CASA's name for this kind of log."""
        return "TSLogSink"

    def localId(self):
        """CASA's name for this object."""
        return "LogSinkInterface"

    def filter(self, level="INFO"):
        """Drops later messages below a level (DEBUG, DEBUG2, DEBUG1, INFO5 ... INFO1, INFO, WARN, SEVERE; NORMAL is INFO)."""
        self._least = _rank(level)
        _core.log_threshold(_WRITTEN[self._least])
        return True

    def filterMsg(self, msgList=()):
        """Drops later messages of this process that hold one of these texts, of whatever level; texts add up."""
        texts = [msgList] if isinstance(msgList, str) else list(msgList)
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"msgList: {text!r}: must be a text or a list of texts")
        for text in texts:
            _core.log_hide(text)

    def clearFilterMsgList(self):
        """Forgets what filterMsg was told."""
        _core.log_hide(None)

    def logfile(self):
        """Path of the log file; '' when there is none."""
        path = _core.log_open()
        return os.path.abspath(path) if path else ""

    def setlogfile(self, filename=""):
        """Sets the log file."""
        _core.log_file(os.path.abspath(os.fspath(filename)) if filename else None)
        _core.log_open()
        return True

    def showconsole(self, onconsole=False):
        """Whether messages also go to standard error."""
        _core.log_terminal(bool(onconsole))
        return True

    # Resources, in CASA's units: MB are set, kB are answered; "aipsrc" is what was set. What sets one returns the value before.

    def setMemoryTotal(self, memory=0):
        """Memory budget in MB; -1: the default."""
        before, self._memory = self._memory or 0, memory if memory > 0 else None
        self._apply_memory()
        return before * 1024

    def setMemoryFraction(self, memfrac=0):
        """Memory budget as a percentage of the host's memory; -1: the default. A total takes precedence."""
        before, self._fraction = self._fraction or 0, memfrac if memfrac > 0 else None
        self._apply_memory()
        return before

    def _apply_memory(self):
        wanted = self.getMemoryTotal(True) * 1024
        if wanted < _LEAST:
            self.post(f"a memory budget of {wanted} bytes is too small to work with: {_LEAST} are used", "WARN")
        if self._memory is None and self._fraction is None:
            wanted = wanted // 2  # Sheaf's default
        _core.memory(str(max(int(wanted), _LEAST)))

    def getMemoryTotal(self, use_aipsrc=True):
        """Memory of this host in kB, or as it was set."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
        if use_aipsrc and self._memory is not None:
            return int(self._memory * 1024)
        if use_aipsrc and self._fraction is not None:
            return total * self._fraction // 100
        return total

    def setNumCPUs(self, cores=0):
        """Number of cores to use; -1: as at the start."""
        before, self._cores = self._cores or 0, cores if cores > 0 else None
        _core.omp_threads(self._cores or self._threads)
        return before

    def getNumCPUs(self, use_aipsrc=True):
        """Cores of this host, or as it was set."""
        return self._cores if use_aipsrc and self._cores is not None else len(os.sched_getaffinity(0))

    def ompNumThreadsTest(self):
        """Number of threads that OpenMP would use now."""
        return _core.omp_threads()

    ompGetNumThreads = ompNumThreadsTest

    def ompSetNumThreads(self, numThreads=1):
        """Sets the number of threads that OpenMP uses; what is below 1 counts as 1."""
        _core.omp_threads(max(int(numThreads), 1))
        return True

    def version(self):
        """Sheaf's version, which is written to the log, too."""
        text = f"Sheaf Version {_core.version}"
        self.post(text)
        return text


casalog = _Log()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python side of a server: evaluates commands, and keeps their variables."""

import importlib.util
import linecache
import os
import sys
import time
import traceback
import types

from sheaf import _core, wire
from sheaf.casalog import casalog

_HERE = os.path.dirname(os.path.abspath(__file__))
_MISSING = object()


class _Server:
    """`self` in commands, as in CASA."""

    @staticmethod
    def omp_set_num_threads(omp_num_threads):
        """Number of OpenMP threads from here on."""
        _core.omp_threads(int(omp_num_threads))


def _casa_tasks():
    """The tasks of an installed CASA that Sheaf lacks, where scripts find Sheaf under CASA's names (compat/)."""
    found = importlib.util.find_spec("casatasks")
    if not found or not os.path.exists(os.path.join(os.path.dirname(os.path.dirname(found.origin)), "casampi", ".sheaf")):
        return {}
    module, tasks = importlib.import_module("casatasks"), {}
    for name in module.__all__:
        try:
            if not hasattr(sys.modules["sheaf"], name):
                tasks[name] = getattr(module, name)
        except Exception:  # the others may do without what this one lacks
            _core.log_post(2, "MPICommandServer", f"CASA's task {name} cannot be loaded: {traceback.format_exc()}")
    return tasks


def _make_namespace():
    """A fresh module __main__ with the tasks and a few modules that commands may use without importing them."""
    import sheaf

    main = types.ModuleType("__main__")
    names = {name: getattr(sheaf, name) for name in sheaf.__all__}
    try:
        names.update(_casa_tasks())
    except Exception:
        _core.log_post(2, "MPICommandServer", f"casatasks cannot be loaded: {traceback.format_exc()}")
    main.__dict__.update(names, sheaf=sheaf, casalog=casalog, os=os, sys=sys, time=time,
                         traceback=traceback, self=_Server())
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    return main.__dict__


_NAMES = {}


def _evaluate(command, parameters):
    """The value of an expression; `task()` with parameters is called with these."""
    text = command.strip()
    if parameters and text.endswith("()"):
        return eval(compile(text[:-2], "<command>", "eval"), _NAMES)(**parameters)
    return eval(compile(text, "<command>", "eval"), _NAMES)


def _execute(mode, command, parameters):
    """The command's value; its parameters are variables while it runs."""
    if mode == "push":
        _NAMES.update(parameters or {})
        return None
    before = {name: _NAMES.get(name, _MISSING) for name in parameters or ()}
    _NAMES.update(parameters or {})
    try:
        if mode == "eval":
            return _evaluate(command, parameters)
        exec(compile(command, "<command>", "exec"), _NAMES)
        return None
    finally:
        for name, value in before.items():
            if value is _MISSING:
                _NAMES.pop(name, None)
            else:
                _NAMES[name] = value


def _trace(problem, command=None):
    """The traceback as text, without our own frames."""
    trace = problem.__traceback__
    while trace and os.path.dirname(trace.tb_frame.f_code.co_filename) == _HERE:
        trace = trace.tb_next
    if command:
        linecache.cache["<command>"] = (len(command), None, command.splitlines(True), "<command>")
    return "".join(traceback.format_exception(type(problem), problem, trace))


def _failure(text, start):
    return wire.pack((False, text, None, start, time.time(), _resources()))


def _resources():
    """Memory in bytes and threads of this process."""
    with open("/proc/self/statm", encoding="ascii") as pages:
        resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/task"))


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the command may have closed or replaced it
            pass


def run(payload):
    """Does one command: the answer, a tuple of buffers. Only an interrupt at an unlucky moment leaves it."""
    start = time.time()
    command = None
    try:
        mode, command, parameters = wire.unpack(payload)
        del payload
        value = _execute(mode, command, parameters)
        _flush()
        return wire.pack((True, None, value, start, time.time(), _resources()))
    except BaseException as problem:  # SystemExit and KeyboardInterrupt, too: the server goes on
        text = _trace(problem, command)
        _core.log_post(3, "MPICommandServer::command_request_handler_service",
                       f"Exception executing command request: {text}")
        _flush()
        return _failure(text, start)


def fail(problem):
    """The answer when `run` itself was interrupted."""
    return _failure(_trace(problem), time.time())


def _forget_unfinished():
    """Lets commands import anew what was being imported when this server began (casatasks, a module of the user's).

    Those imports never end here, so that what is in sys.modules would stay a part. Of sheaf itself all is there.
    """
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if not getattr(spec, "_initializing", False):
            continue
        if name == "sheaf":
            spec._initializing = False  # imports of other threads do not wait for its end
        else:
            del sys.modules[name]
        importlib._bootstrap._module_locks.pop(name, None)


def serve():
    """Serves until the client stops; the process's exit status."""
    _forget_unfinished()
    casalog.filterMsg(["MSSelectionNullSelection", "non-existent spw"])  # as CASA's servers do
    _NAMES.clear()
    globals()["_NAMES"] = _make_namespace()
    _core.command_handler(run, fail)
    return _core.par_serve()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task as a function, made from its parameter table in C."""

import ast
import inspect
import os
import sys

from sheaf import _core
from sheaf.errors import Error, ParameterError, UnknownParameterError


def _refuse_value(task, given):
    """Raises an error that names the parameter whose value has no meaning in C."""
    for name, value in given.items():
        try:
            _core.echo(value)
        except (TypeError, ValueError, OverflowError) as problem:
            raise ParameterError(f"{task}: {name}: {problem}") from None


def _refuse_name(task, name, names):
    near = _core.nearest(name, tuple(names))
    hint = f"did you mean '{near}'?" if near else "it has " + ", ".join(names)
    raise UnknownParameterError(f"{task}: no parameter is called '{name}'; {hint}")


def _bind(task, names, args, kwargs):
    """The given parameters by name; those left out are completed in C."""
    if len(args) > len(names):
        raise UnknownParameterError(
            f"{task}: {len(args)} values were given, but it has {len(names)} parameters")
    given = dict(zip(names, args))
    for name, value in kwargs.items():
        if name in given:
            raise UnknownParameterError(f"{task}: the parameter '{name}' is given twice")
        if name not in names:
            _refuse_name(task, name, names)
        given[name] = value
    return given


def call(task, given):
    """Does a task now, with parameters by name."""
    try:
        return _core.call(task, given)
    except Error:
        raise
    except (TypeError, ValueError, OverflowError):
        _refuse_value(task, given)
        raise


def in_folder(task, folder):
    """The task as a function that works in a folder and then comes back: on servers, that of the script which pushed it."""
    def work(**args):
        before = os.getcwd()
        os.chdir(folder)
        try:
            return call(task, args)
        finally:
            os.chdir(before)

    return work


def _push(task, given):
    """In ParallelTaskHelper's asynchronous mode, the numbers of requests; None when the task is to be done now."""
    parallel = sys.modules.get("sheaf.parallel")
    if not parallel or not parallel.ParallelTaskHelper.getAsyncMode() or given.get("action", "apply") in ("", "none"):
        return None
    # A death of the server may be answered with a second try only where nothing was changed by the first.
    return parallel.ParallelTaskHelper.pushTask(task, given, call, given.get("mode") == "summary")


def _make(table):
    name = table["name"]
    names = [p["name"] for p in table["params"]]

    def task(*args, **kwargs):
        given = _bind(name, names, args, kwargs)
        ids = _push(name, given) if name in _ASYNCHRONOUS else None
        return call(name, given) if ids is None else ids

    task.__name__ = task.__qualname__ = name
    task.__module__ = "sheaf"
    task.__doc__ = table["help"]
    task.__signature__ = inspect.Signature(
        [inspect.Parameter(p["name"], inspect.Parameter.POSITIONAL_OR_KEYWORD,
                           default=ast.literal_eval(p["default"])) for p in table["params"]])
    return task


_ASYNCHRONOUS = ("flagdata",)  # what CASA makes parallel in place over a Multi-MS, of Sheaf's tasks
FUNCTIONS = {table["name"]: _make(table) for table in _core.tasks()}

# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task as a function, made from its parameter table in C."""

import ast
import inspect

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


def _make(table):
    name = table["name"]
    names = [p["name"] for p in table["params"]]

    def task(*args, **kwargs):
        given = _bind(name, names, args, kwargs)
        try:
            return _core.call(name, given)
        except Error:
            raise
        except (TypeError, ValueError, OverflowError):
            _refuse_value(name, given)
            raise

    task.__name__ = task.__qualname__ = name
    task.__module__ = "sheaf"
    task.__doc__ = table["help"]
    task.__signature__ = inspect.Signature(
        [inspect.Parameter(p["name"], inspect.Parameter.POSITIONAL_OR_KEYWORD,
                           default=ast.literal_eval(p["default"])) for p in table["params"]])
    return task


FUNCTIONS = {table["name"]: _make(table) for table in _core.tasks()}

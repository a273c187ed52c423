# SPDX-License-Identifier: GPL-3.0-or-later
"""CASA's package casatasks, done by Sheaf. For PYTHONPATH; never to be installed over a CASA.

Every task that Sheaf has is Sheaf's. Where CASA's own casatasks is installed for the same Python, its other tasks are here,
too; those that CASA makes parallel over a Multi-MS run on Sheaf's servers.
"""

import importlib
import os
import sys
import types

import sheaf  # under MPI, servers stay in this import
from sheaf import casalog  # noqa: F401
from sheaf.tasks import FUNCTIONS as _OURS

_HERE = os.path.dirname(os.path.realpath(__file__))


def _find_casa():
    """The directory of CASA's own package; None when it is not installed."""
    for entry in sys.path:
        folder = os.path.join(entry or ".", "casatasks")
        if os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.realpath(folder) != _HERE:
            return os.path.abspath(folder)
    return None


_CASA = _find_casa()
_THEIRS = set()
if _CASA:
    __path__.append(_CASA)
    _THEIRS = {name[:-3] for name in os.listdir(_CASA) if name.endswith(".py") and not name.startswith("_")} - set(_OURS)
    from casatasks._tools import around as _around
    _OURS = {name: _around(name, task) for name, task in _OURS.items()}
globals().update(_OURS)
__all__ = ["casalog", "version", "version_string", *sorted({*_OURS, *_THEIRS})]


def version():
    """Sheaf's version as a list of numbers."""
    return [int(part) for part in sheaf.__version__.split(".")]


def version_string():
    """Sheaf's version."""
    return f"Sheaf {sheaf.__version__}"


def __getattr__(name):
    """Loads a task of CASA's when it is asked for."""
    if name not in _THEIRS:
        where = f"Sheaf or in CASA ({_CASA})" if _CASA else "Sheaf, and CASA's own casatasks is not installed"
        raise AttributeError(f"module 'casatasks' has no attribute '{name}': there is no such task in {where}")
    return getattr(importlib.import_module(f"casatasks.{name}"), name)


class _Package(types.ModuleType):
    """A task's name stands for the task, not for the module that it was loaded from."""

    def __setattr__(self, name, value):
        if isinstance(value, types.ModuleType) and value.__name__ == f"casatasks.{name}":
            value = _OURS.get(name) or getattr(value, name, value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

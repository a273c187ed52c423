# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's tools `table`, `ms` and `msmetadata` by CASA's names. For PYTHONPATH; never to be installed over a CASA.

Where CASA's own casatools is installed for the same Python, this is CASA's, whole: its tasks need all of its tools.
Sheaf's are `sheaf.table`, `sheaf.ms` and `sheaf.msmetadata` then.
"""

import importlib.util as _util
import os as _os
import sys as _sys

from sheaf import ms, msmetadata, table

__all__ = ["ms", "msmetadata", "table"]


def _find_casa():
    """CASA's own package; None when it is not installed."""
    here = _os.path.realpath(_os.path.dirname(__file__))
    for entry in _sys.path:
        init = _os.path.abspath(_os.path.join(entry or ".", "casatools", "__init__.py"))
        if _os.path.isfile(init) and _os.path.realpath(_os.path.dirname(init)) != here:
            return init
    return None


def _become(init):
    """Puts CASA's package in the place of this one."""
    spec = _util.spec_from_file_location(__name__, init, submodule_search_locations=[_os.path.dirname(init)])
    _sys.modules[__name__] = module = _util.module_from_spec(spec)
    spec.loader.exec_module(module)


def __getattr__(name):
    raise AttributeError(f"Sheaf has no tool {name}; casatools has ms, msmetadata and table here")


if _init := _find_casa():
    _become(_init)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheaf's tools `table` and `ms` by CASA's names. Put the directory above into PYTHONPATH where CASA is not installed."""

from sheaf import ms, table

__all__ = ["ms", "table"]


def __getattr__(name):
    raise AttributeError(f"Sheaf has no tool {name}; casatools has ms and table here")

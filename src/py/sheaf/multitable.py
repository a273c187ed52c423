# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a table that is the concatenation of others, for the tool `table`."""

import os
import shutil

from sheaf import _core
from sheaf.errors import ExistsError, NotFoundError, ParameterError


def create(output, names, subdir):
    """Copies the tables into a folder of the new one, which appears whole, and removes them then."""
    if not subdir or os.sep in subdir or subdir in (os.curdir, os.pardir):
        raise ParameterError(f"subdirname='{subdir}': must be the name of a folder, into which the tables are moved")
    if os.path.lexists(output):
        raise ExistsError(f"Table {output} already exists")
    if not names:
        raise ParameterError("tables: none are given")
    names = [os.path.abspath(name) for name in names]
    for i, name in enumerate(names):
        if not os.path.isfile(os.path.join(name, "table.dat")):
            raise NotFoundError(f"Table {name} does not exist")
        if os.path.basename(name) in map(os.path.basename, names[:i]):
            raise ParameterError(f"tables: two have the name {os.path.basename(name)}")
    stage = _core.stage_begin(os.path.abspath(output))
    try:
        parts = os.path.join(_core.stage_path(stage), "parts")
        os.mkdir(parts)
        places = [os.path.join(parts, os.path.basename(name)) for name in names]
        for name, place in zip(names, places):
            _core.tree_copy(name, place)
        _core.mms_join(os.path.join(_core.stage_path(stage), "table"), subdir, places)
        _core.stage_publish(stage, "table")
    finally:
        _core.stage_abandon(stage)
    for name in names:
        shutil.rmtree(name)

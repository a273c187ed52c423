# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing outputs to the byte."""
import os
import re


def files(path):
    """{name: content, or target of the link} of everything below, without HISTORY, which holds times and commands,
    without locks, which name processes, and without arrays of sub-tables (table.f0i), in which casacore leaves bytes
    unset; subtables() has their values."""
    found = {}
    for root, dirs, names in os.walk(path):
        dirs[:] = [d for d in dirs if d != "HISTORY"]
        for name in names + [d for d in dirs if os.path.islink(os.path.join(root, d))]:
            full = os.path.join(root, name)
            key = os.path.relpath(full, path)
            if os.path.islink(full):
                found[key] = os.readlink(full)
            elif name != "table.lock" and not re.fullmatch(r"table\.f\d+i", name):
                with open(full, "rb") as f:
                    found[key] = f.read()
    return found


def differing(a, b):
    return sorted(k for k in set(a) | set(b) if a.get(k) != b.get(k))

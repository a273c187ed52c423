# SPDX-License-Identifier: GPL-3.0-or-later
"""What an MS holds, as checksums that can be kept in a file."""

import hashlib
import os

import numpy as np
from casacore.tables import table


def digest(value):
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def column(t, name):
    if not all(t.iscelldefined(name, i) for i in range(t.nrows())):
        return {"undefined": True}
    try:
        value = t.getcol(name)
    except RuntimeError:  # records
        return {"unreadable": True}
    if isinstance(value, dict):
        return {"text": value["array"]}
    if isinstance(value, list):
        return {"text": value}
    return {"type": value.dtype.str, "shape": list(value.shape), "sha256": digest(value)}


def describe(path):
    """Rows, and every column as a checksum (texts as they are), of an MS and its sub-tables."""
    out = {}
    for name in [""] + sorted(d for d in os.listdir(path) if os.path.isdir(os.path.join(path, d))):
        t = table(os.path.join(path, name), ack=False)
        if name == "HISTORY":
            out[name] = {"messages": t.getcol("MESSAGE"), "origin": t.getcol("ORIGIN"),
                         "priority": t.getcol("PRIORITY"), "observation": t.getcol("OBSERVATION_ID").tolist()}
            continue
        out[name or "MAIN"] = {"rows": t.nrows(), "columns": {c: column(t, c) for c in t.colnames()}}
    return out


def positions(vis):
    t = table(vis + "/ANTENNA", ack=False)
    return {"name": t.getcol("NAME"), "position": t.getcol("POSITION").tolist(),
            "array": list(t.getcolkeyword("POSITION", "ARRAY_POSITION"))}

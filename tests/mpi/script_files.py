# SPDX-License-Identifier: GPL-3.0-or-later
"""What a script left in its folder: a digest of every table, and the texts. Run with a folder, it prints them; tests/scripts/README.md."""

import hashlib
import json
import os
import re
import sys

import numpy as np
from casacore.tables import table

KEYS = ("ANTENNA2", "ANTENNA1", "DATA_DESC_ID", "TIME", "FIELD_ID", "SPECTRAL_WINDOW_ID", "ANTENNA_ID", "SOURCE_ID")
INPUTS = ("ngc5921.ms", "ngc5921.fits")


def _cell(t, name, row):
    if not t.iscelldefined(name, int(row)):
        return b"undefined"
    value = t.getcell(name, int(row))
    return repr(value).encode() if isinstance(value, (str, dict)) else np.ascontiguousarray(value).tobytes() + str(np.shape(value)).encode()


def _has_one_shape(t, name):
    if t.isscalarcol(name):
        return True
    try:
        return len(set(t.getcolshapestring(name))) == 1
    except RuntimeError:  # undefined cells, or records
        return False


def _bytes(t, name, order):
    """The bytes of a column, and shapes of cells that have various ones."""
    if t.nrows() and t.coldatatype(name) not in ("string", "record") and _has_one_shape(t, name):
        values = t.getcol(name)[order]
        return str(values.shape[1:]).encode() + np.ascontiguousarray(values).tobytes()
    return b"".join(_cell(t, name, row) for row in order)


def _digest(path):
    """Rows, and a checksum over all columns by name, rows in the order of what tells them apart."""
    with table(path, ack=False) as t:
        keys = [t.getcol(name) for name in KEYS if name in t.colnames() and t.isscalarcol(name)]
        order = np.lexsort(keys) if keys and t.nrows() else np.arange(t.nrows())
        sums = hashlib.sha256()
        for name in sorted(t.colnames()):
            sums.update(name.encode())
            sums.update(_bytes(t, name, order))
        return f"{t.nrows()} rows, {sums.hexdigest()[:20]}"


def _text(path):
    """Without what differs from run to run, and between programs: dates, places, sizes on the disk."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r" on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\S*/(?=\w+\.m?ms)", "", text)
    return re.sub(r" +[\d.]+[KMG]\b *", "", text).splitlines()


def describe(folder):
    """{path: digest or lines}; HISTORY names programs and places, and is left out, as are what the script began with and logs."""
    found = {}
    for place, folders, files in os.walk(folder, followlinks=False):
        inside = os.path.relpath(place, folder)
        found.update({f"{inside}/{name}": f"-> {os.readlink(os.path.join(place, name))}" for name in folders + files
                      if inside != "." and os.path.islink(os.path.join(place, name))})
        if inside == ".":
            folders[:] = [name for name in folders if name not in INPUTS]
        elif os.path.basename(place) == "HISTORY":
            continue
        if "table.dat" in files:
            found[inside] = _digest(place)
        elif inside == "." or inside.endswith(".flagversions"):
            found.update({os.path.normpath(f"{inside}/{name}"): _text(os.path.join(place, name)) for name in sorted(files)
                          if name not in INPUTS and not name.endswith((".log", ".last"))})
    return found


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1]), indent=0, sort_keys=True))

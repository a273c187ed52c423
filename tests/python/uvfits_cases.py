# SPDX-License-Identifier: GPL-3.0-or-later
"""The example observation as a file, and variants of it with other antenna headers."""

import lzma
import os
import pathlib

PACKED = pathlib.Path(__file__).resolve().parents[2] / "examples" / "ngc5921" / "NGC5921.fits.xz"

# What distinguishes files of the VLA's archives: no FRAME, an array position near the VLA, a left-handed frame.
CHANGES = {
    "plain": {},
    "oldvla": {"FRAME": None, "ARRAYX": -1601162.0, "ARRAYY": -5042003.0, "ARRAYZ": 3554915.0},
    "placed": {"ARRAYX": -1601162.0, "ARRAYY": -5042003.0, "ARRAYZ": 3554915.0},
    "left": {"FRAME": None, "ARRAYX": -1601162.0, "ARRAYY": -5042003.0, "ARRAYZ": 3554915.0, "XYZHAND": "'LEFT'"},
    "padded": {"FRAME": None, "ARRAYX": -1601162.0, "ARRAYY": -5042003.0, "ARRAYZ": 3554915.0, "XYZHAND": "'LEFT    '"},
    "far": {"FRAME": None, "ARRAYX": -1621162.0, "ARRAYY": -5042003.0, "ARRAYZ": 3554915.0},
}
CASES = [("plain", "old"), ("plain", "new"), ("oldvla", "old"), ("placed", "new"), ("left", "old"), ("padded", "old"), ("far", "old")]


def change(fits, case):
    """The file's bytes with other cards in its antenna table's header."""
    begin = fits.index(b"EXTNAME = 'AIPS AN")
    end = begin + fits[begin:].index(b"END     ")
    header = fits[begin:end]
    for name, value in CHANGES[case].items():
        at = header.index(b"%-8s=" % name.encode())
        card = b"COMMENT" if value is None else b"%-8s= %20s" % (name.encode(), str(value).encode())
        header = header[:at] + card.ljust(80) + header[at + 80:]
    return fits[:begin] + header + fits[end:]


def unpacked():
    """The path of NGC5921.fits, unpacked once per build."""
    path = pathlib.Path(os.environ["SHEAF_BUILD"]) / "tests" / "NGC5921.fits"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        with lzma.open(PACKED) as packed:
            part.write_bytes(packed.read())
        part.rename(path)
    return str(path)

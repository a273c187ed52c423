# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems with reflinks in a file, mounted for a test; where that cannot be (no root, no tools, no loop devices), the
test is skipped."""
import contextlib
import os
import shutil
import subprocess
import tempfile

import pytest

from runs import LIMIT_S

MAKE = {"xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "btrfs": ["mkfs.btrfs", "-q"]}


@contextlib.contextmanager
def mounted(kind, mb=512):
    """The folder where a new file system of that kind lies."""
    if os.geteuid() != 0 or not shutil.which(MAKE[kind][0]):
        pytest.skip(f"needs root and {MAKE[kind][0]}")
    folder = tempfile.mkdtemp(prefix="sheaf-mount-")
    image, place = os.path.join(folder, "image"), os.path.join(folder, kind)
    os.mkdir(place)
    try:
        with open(image, "wb") as f:
            f.truncate(mb << 20)
        made = subprocess.run([*MAKE[kind], image], capture_output=True, timeout=LIMIT_S)
        if made.returncode or subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode:
            pytest.skip(f"cannot make and mount {kind} in a file")
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True, timeout=LIMIT_S)
    finally:
        shutil.rmtree(folder)


def shared_bytes(path):
    """Bytes of a file that it has on the disk together with another."""
    done = subprocess.run(["filefrag", "-v", "-b1", path], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    extents = [line.split(":") for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    return sum(int(e[3]) for e in extents if "shared" in e[-1])

# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs that several tests share: made once for each build of the library, below build/tests/inputs."""
import fcntl
import lzma
import os
import shutil
import subprocess
import sys

from runs import BUILD, LIMIT_S, SHEAF

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _place():
    stamp = os.stat(os.path.join(BUILD, "lib", "libsheaf.so")).st_mtime_ns
    return os.path.join(BUILD, "tests", "inputs", str(stamp))


def _once(name, make):
    """The path of an input; make(path) writes it unless it is there. Never write to it."""
    folder = _place()
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            fresh = path + ".new"
            shutil.rmtree(fresh, ignore_errors=True)
            make(fresh)
            os.rename(fresh, path)
    return path


def fits():
    def unpack(path):
        with lzma.open(os.path.join(ROOT, "examples", "ngc5921", "NGC5921.fits.xz")) as packed, open(path, "wb") as f:
            shutil.copyfileobj(packed, f)
    return _once("ngc5921.fits", unpack)


def ngc5921():
    """The VLA observation, 22,653 rows, 7 scans, one window."""
    def make(path):
        subprocess.run([SHEAF, "--nologfile", "importuvfits", "fitsfile=" + source, "vis=" + path], check=True,
                       capture_output=True, timeout=LIMIT_S)
    source = fits()
    return _once("ngc5921.ms", make)


def simulated(antennas=8, integrations=3):
    """4 windows, 2 fields, 8 scans, DATA and CORRECTED_DATA, as bench/make-ms writes it."""
    def make(path):
        subprocess.run([sys.executable, os.path.join(ROOT, "bench", "make-ms"), path, "--antennas", str(antennas),
                        "--integrations", str(integrations)], check=True, capture_output=True, timeout=LIMIT_S)
    return _once(f"simulated-{antennas}-{integrations}.ms", make)

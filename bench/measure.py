# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: running, timing, watching memory, describing the machine."""

import ctypes
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A command that was to be measured failed; the message holds its last words."""


def run(command, env=None, cwd=None):
    """Runs a command; returns its seconds and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run([str(word) for word in command], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout[-2000:]}")
    return seconds, done.stdout


def eatmydata():
    """A library that makes fsync and sync do nothing (Debian: libeatmydata1), or None."""
    try:
        ctypes.CDLL("libeatmydata.so")
    except OSError:
        return None
    return "libeatmydata.so"


def without_sync(env):
    """An environment in which programs do not wait for the disk; what is preloaded already (by tests/sanitize) stays first."""
    return dict(env, LD_PRELOAD=":".join(filter(None, [env.get("LD_PRELOAD"), eatmydata()])))


def _family(pid):
    """A process and all its descendants."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += _family(int(child))
    except OSError:
        pass  # it has just ended
    return found


def _status(pid):
    """Name and VmHWM (bytes) of a process; None when it has ended."""
    try:
        fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        return fields["Name"].strip(), int(fields["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return None


def peak_memory(command, env=None, cwd=None):
    """Peak resident memory (VmHWM) of every process that a command starts: [[name, bytes], ...], largest first. Looks
    every 5 ms, so that what a process does in its last 5 ms may be missed; kernel's count of the largest one is added."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans stay in the family
    peaks = {}
    with subprocess.Popen([str(word) for word in command], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for pid in _family(os.getpid())[1:]:
                now = _status(pid)
                if now and now[1] >= peaks.get(pid, ("", 0))[1]:
                    peaks[pid] = now
            time.sleep(0.005)
    if process.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    return [[name, size] for name, size in sorted(peaks.values(), key=lambda item: -item[1])]


def spread(values, digits=3):
    """Smallest, median and largest of some numbers."""
    return {"min": round(min(values), digits), "median": round(statistics.median(values), digits),
            "max": round(max(values), digits), "n": len(values)}


def set_aside(path, trash):
    """Frees what an output holds of disk and memory, and moves it into the directory `trash`, whose files the caller removes at
    the end of the run. ext4 searches long for a new inode in the half minute after many were removed, which is not to be measured."""
    if not os.path.lexists(path):
        return
    os.makedirs(trash, exist_ok=True)
    for directory, _, names in os.walk(path):
        for name in names:
            file = os.path.join(directory, name)
            if os.path.isfile(file) and not os.path.islink(file):
                os.truncate(file, 0)
    os.rename(path, os.path.join(trash, str(len(os.listdir(trash)))))


def remove(*paths):
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def tree_bytes(path):
    return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for folder, _, names in os.walk(path) for name in names)


def machine(folder):
    """Where it was measured: enough to judge whether two results can be compared."""
    mounts = [line.split()[1:3] for line in open("/proc/mounts", encoding="utf-8")]
    real = os.path.realpath(folder)
    inside = [(len(at), kind) for at, kind in mounts if real == at or real.startswith(at.rstrip("/") + "/")]
    memory = next(line.split()[1] for line in open("/proc/meminfo", encoding="utf-8") if line.startswith("MemTotal"))
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")]
    return {"cpu": names[0] if names else "", "cores": len(os.sched_getaffinity(0)), "memory_bytes": int(memory) * 1024,
            "kernel": os.uname().release, "file_system": max(inside)[1] if inside else ""}


def load():
    """How busy the machine is: its load average over a minute."""
    return round(os.getloadavg()[0], 2)


def finish(result):
    """Prints the result."""
    json.dump(result, sys.stdout, indent=1)
    print()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a program whose file system fails, or which dies, at a chosen change (shim.c), and what must hold after."""
import hashlib
import os
import re
import shutil
import subprocess

from runs import BUILD, LIMIT_S, MPISHEAF, SHEAF, preload

SHIM = os.path.join(BUILD, "tests", "libfault_shim.so")
TEXTS = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EROFS": "Read-only file system",
         "EACCES": "Permission denied", "EDQUOT": "Disk quota exceeded"}


def checksums(path):
    """{name: content} of everything below, as hashes."""
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(root, name)
            if os.path.islink(full):
                found[os.path.relpath(full, path)] = os.readlink(full)
            elif name in files:
                with open(full, "rb") as f:
                    found[os.path.relpath(full, path)] = hashlib.sha256(f.read()).hexdigest()
    return found


def stamps(path):
    """{name: (inode, size, time of last change)}: cheap, and sees any write."""
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            st = os.lstat(os.path.join(root, name))
            found[os.path.relpath(os.path.join(root, name), path)] = (st.st_ino, st.st_size, st.st_mtime_ns,
                                                                      st.st_ctime_ns)
    return found


def sheaf(*words, limit_s=LIMIT_S, program=SHEAF, **options):
    return subprocess.run([program, "--nologfile", *words], text=True, capture_output=True, timeout=limit_s, **options)


def verify(output):
    """What listpartition verify=True says is wrong with the output, '' when nothing is."""
    done = sheaf("listpartition", "vis=" + output, "verify=True")
    return "" if done.returncode == 0 else done.stderr


class Place:
    """A folder with `out/` for outputs, in which a command runs again and again, each time with another fault."""

    def __init__(self, folder, command, output, ranks=0):
        """`command` words after `sheaf`, the output's name below out/."""
        self.folder, self.command, self.ranks = str(folder), list(command), ranks
        self.out = os.path.join(self.folder, "out")
        self.output = os.path.join(self.out, output)
        self.counter = os.path.join(self.folder, "counter")
        self.note = os.path.join(self.folder, "note")
        os.makedirs(self.out, exist_ok=True)

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)

    def environment(self, under=None, **fault):
        for path in (self.counter, self.note):
            if os.path.exists(path):
                os.unlink(path)
        env = dict(os.environ, LD_PRELOAD=preload(SHIM), SHEAF_FAULT_UNDER=under or self.out + "/", SHEAF_FAULT_COUNTER=self.counter)
        env.update({"SHEAF_FAULT_" + k.upper(): str(v) for k, v in fault.items() if v is not None})
        return env

    def words(self):
        launch = [MPISHEAF, "-n", str(self.ranks)] if self.ranks else []
        return launch + [SHEAF, "--nologfile"] + self.command

    def run(self, **fault):
        """A fault is do=, at=, ops=, rank=, sticky=1, locks=, under=; shim.c explains them."""
        return subprocess.run(self.words(), cwd=self.folder, env=self.environment(**fault), text=True,
                              capture_output=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)

    def changes(self, **fault):
        """The calls of a run without fault: [(k, call, path)]."""
        self.clear()
        done = self.run(note=self.note, **fault)
        assert done.returncode == 0, done.stderr
        with open(self.note) as f:
            lines = [line.rstrip("\n").split(" ", 3) for line in f]
        return sorted((int(k), call, path[len(self.out) + 1:]) for k, _, call, path in lines)

    def struck(self):
        """Changes counted in the last run."""
        with open(self.counter, "rb") as f:
            return int.from_bytes(f.read(8), "little")


def severe(stderr):
    """The message of a failure, as the log has it."""
    found = re.findall(r"\tSEVERE\t[^\t]*\t(.*)", stderr)
    return "\n".join(found)


def judge(place, done, fault, ledger=True):
    """What is wrong after a run with a fault that makes calls fail; a list of texts. `ledger`: the output has one."""
    wrong = []
    left = sorted(os.listdir(place.out))
    if done.returncode == 0:
        if not os.path.exists(place.output):
            wrong.append("status 0 without an output")
        elif ledger and (problem := verify(place.output)):
            wrong.append("status 0, but the output is not whole: " + problem)
        if any(name.startswith(".") for name in left):
            wrong.append(f"status 0, left behind: {left}")
    else:
        if done.returncode != 1:
            wrong.append(f"status {done.returncode}")
        if left:
            wrong.append(f"left behind: {left}")
        if TEXTS[fault] not in severe(done.stderr):
            wrong.append("the cause is not told, but: " + (severe(done.stderr) or done.stderr[-300:]))
    return wrong


def judge_death(place, again=True):
    """What is wrong after a run that was killed: the output is whole or not there, and the next run succeeds."""
    wrong = []
    visible = sorted(n for n in os.listdir(place.out) if not n.startswith("."))
    name = os.path.basename(place.output)
    if name in visible and (problem := verify(place.output)):
        wrong.append("an output that is not whole: " + problem)
    # Flags appear first, with a mark by which the next run knows them.
    if name + ".flagversions" in visible and name not in visible and \
            not os.path.exists(place.output + ".flagversions/.sheaf-pending"):
        wrong.append("flag versions without a mark: " + str(visible))
    if set(visible) - {name, name + ".flagversions"}:
        wrong.append("left behind: " + str(visible))
    if not again or wrong:
        return wrong
    if name in visible:
        shutil.rmtree(place.output)
        shutil.rmtree(place.output + ".flagversions", ignore_errors=True)
    done = subprocess.run([SHEAF, "--nologfile"] + place.command, cwd=place.folder, text=True, capture_output=True,
                          timeout=LIMIT_S)
    if done.returncode != 0:
        wrong.append("the next run fails: " + done.stderr)
    if (left := [n for n in os.listdir(place.out) if n.startswith(".")]):
        wrong.append(f"the next run leaves debris: {left}")
    if done.returncode == 0 and (problem := verify(place.output)):
        wrong.append("the next run's output is not whole: " + problem)
    return wrong

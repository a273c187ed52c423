# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of programs share: one limit, conditions that are waited for, other processes, which may end while they are
looked at, runs of mpisheaf, and terminals."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import pytest

BUILD = os.environ["SHEAF_BUILD"]
SHEAF = os.path.join(BUILD, "bin", "sheaf")
MPISHEAF = os.path.join(BUILD, "bin", "mpisheaf")
# Nothing that a test waits for takes a tenth of it; the machine may be slow and busy.
LIMIT_S = int(os.environ.get("SHEAF_TEST_LIMIT_S", 300))
STEP_S = 0.01


def preload(*libraries):
    """What LD_PRELOAD is to be for these: behind what is there already, as a sanitizer (tests/sanitize) must come first."""
    return ":".join(filter(None, [os.environ.get("LD_PRELOAD"), *libraries]))


def wait_until(condition, what, limit_s=LIMIT_S):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(STEP_S)
    return found


def wait_for(path):
    """Waits for a file."""
    wait_until(lambda: os.path.exists(path), f"the file {path}")


# ---- other processes; each answer may be out of date when it is there ----

def program_of(pid):
    """The name of the program that a process runs, '' when it is gone."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read().replace("\0", " ")
    except OSError:
        return ""


def _stat(pid):
    """State, parent, … of a process; [] when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()
    except OSError:
        return []


def parent_of(pid):
    """0 when the process is gone."""
    return int((_stat(pid) or [0, 0])[1])


def state_of(pid):
    """One letter as in ps; X when it is gone."""
    return (_stat(pid) or ["X"])[0]


def has_ended(pid):
    """Whether its files and connections are closed. A zombie of which a thread still lives has not ended."""
    try:
        return state_of(pid) in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return True


def cpu_ticks(pid):
    """Processor time that a process has used, in units of SC_CLK_TCK; fails when it is gone."""
    return sum(map(int, _stat(pid)[11:13]))


def environment_of(pid):
    """{name: value} in bytes; {} when the process is gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return dict(word.split(b"=", 1) for word in f.read().split(b"\0") if b"=" in word)
    except OSError:
        return {}


def marked(mark):
    """All processes with SHEAF_TEST_MARK=mark in the environment."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [pid for pid in pids if environment_of(pid).get(b"SHEAF_TEST_MARK") == mark.encode()]
    return [pid for pid in found if not has_ended(pid)]


def stopped(pids):
    """Those of the processes that a signal has stopped."""
    return [pid for pid in pids if state_of(pid) == "T"]


def kill(pid, sig=signal.SIGKILL):
    """Sends a signal; nothing happens when the process is gone."""
    assert pid > 0
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def ranks_among(pids, program):
    """{rank: pid} of the processes with this program; not of their children, which have the same environment."""
    found = {}
    for pid in pids:
        rank = environment_of(pid).get(b"OMPI_COMM_WORLD_RANK")
        if rank is not None and program_of(pid) == program:
            found[pid] = int(rank)
    return {rank: pid for pid, rank in found.items() if parent_of(pid) not in found}


# ---- runs under MPI ----

def survivors(mark):
    """Waits until all processes with the mark have ended; kills those that do not, and returns {pid: command line}."""
    end = time.monotonic() + LIMIT_S
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(STEP_S)
    named = {pid: command_of(pid) for pid in left}
    for pid in left:
        kill(pid)
    return named


class Run:
    """A started command with everything that it started, found by a mark in the environment. Its shared memory lies in a
    folder of its own, as other MPI programs come and go."""

    def __init__(self, *command, env=None, **options):
        self.mark = uuid.uuid4().hex
        self.memory = tempfile.mkdtemp(prefix="sheaf-run-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        environment = {**(os.environ if env is None else env), "SHEAF_TEST_MARK": self.mark,
                       "OMPI_MCA_btl_vader_backing_directory": self.memory}
        options = {"stdin": subprocess.DEVNULL, **options}
        self.process = subprocess.Popen([str(word) for word in command], env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options)

    def pids(self):
        return marked(self.mark)

    def ranks(self, program):
        """{rank: pid} of the client and the servers."""
        return ranks_among(self.pids(), program)

    def rank(self, number, program):
        """The process of a rank, as soon as it runs the program."""
        return self._while_it_runs(lambda: self.ranks(program).get(number), f"rank {number}")

    def _while_it_runs(self, condition, what):
        """What condition() returns, as soon as that is true; fails when the run ends before."""
        def look():
            ended = self.process.poll() is not None  # looked at first: it may end in between
            return condition() or ended and "ended"
        if (found := wait_until(look, what)) == "ended":
            pytest.fail(f"ended without {what}:\n" + "\n".join(map(str, self.finish())))
        return found

    def named(self, *programs):
        return [pid for pid in self.pids() if program_of(pid) in programs]

    def stopped(self):
        return stopped(self.pids())

    def wait_stopped(self):
        """Waits until a process of the run is stopped; that one."""
        return self._while_it_runs(self.stopped, "a process that stops")[0]

    def finish(self):
        """Status, output, errors; fails when it takes too long or leaves a process or shared memory behind."""
        try:
            out, err = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            for pid in self.pids():
                kill(pid)
            out, err = self.process.communicate()
            pytest.fail(f"did not end within {LIMIT_S} s:\n{out}\n{err}")
        left = survivors(self.mark)
        segments = os.listdir(self.memory)
        shutil.rmtree(self.memory, ignore_errors=True)
        assert not left, f"left behind: {left}\n{out}\n{err}"
        assert not segments, f"shared memory left behind: {segments}\n{out}\n{err}"
        return self.process.returncode, out, err


# ---- terminals ----

class Terminal:
    """A program in a session with a terminal of its own."""

    def __init__(self, *command, cwd=None, env=None):
        self.out = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd or ".")
                os.execve(command[0], list(command), dict(os.environ) if env is None else env)
            finally:
                os._exit(127)

    def _more(self, end):
        """Reads what there is; False at the end of the output."""
        if time.monotonic() > end:
            kill(self.pid)
            pytest.fail(f"not within {LIMIT_S} s; so far: {self.out!r}")
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side of a terminal is closed
            data = b""
        self.out += data
        return bool(data)

    def read_until(self, pattern):
        """Reads until the pattern (a regular expression, bytes) has been printed after what was typed last."""
        end = time.monotonic() + LIMIT_S
        begin = getattr(self, "typed_at", 0)
        while not re.search(pattern, self.out[begin:]):
            assert self._more(end), f"ended without {pattern!r}: {self.out!r}"

    def type(self, keys):
        self.typed_at = len(self.out)
        os.write(self.fd, keys)

    def finish(self):
        """Exit status and all output."""
        end = time.monotonic() + LIMIT_S
        while self._more(end):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.out

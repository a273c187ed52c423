# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of client and servers for tests of Python commands: a script runs under mpisheaf and shows values."""

import json
import os
import subprocess
import sys
import textwrap

BUILD = os.environ["SHEAF_BUILD"]
MPISHEAF = os.path.join(BUILD, "bin", "mpisheaf")
COMPAT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "compat")
LIMIT_S = 300

HEAD = """
import json, os, signal, sys, threading, time
from sheaf import MPICommandClient, MPIEnvironment, MPIInterface
def show(**values):
    print("@" + json.dumps(values), flush=True)
def wait_until(condition, limit_s=120):
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found
def value(command, target=None, **parameters):
    return client.push_command_request(command, True, target, parameters or None)[0]["ret"]
client = MPICommandClient()
client.start_services()
"""


class Session:
    """A finished session: status, standard output and error, and the values that were shown."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.shown = {}
        for line in out.splitlines():
            if line.startswith("@"):
                self.shown.update(json.loads(line[1:]))

    def __getitem__(self, name):
        assert name in self.shown, f"{name} was not shown\n{self.out}\n{self.err}"
        return self.shown[name]


def environment(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_"))}
    env.update(SHEAF_LOGFILE="none", PYTHONDONTWRITEBYTECODE="1",
               PYTHONPATH=os.path.join(BUILD, "python") + ":" + COMPAT)
    env.update(extra)
    return env


def begin(script, ranks=3, head=HEAD, cwd=None, **env):
    """Starts a session in a session of its own."""
    code = head + textwrap.dedent(script)
    return subprocess.Popen([MPISHEAF, "-n", str(ranks), sys.executable, "-c", code], env=environment(**env), cwd=cwd,
                            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True)


def end(process):
    out, err = process.communicate(timeout=LIMIT_S)
    return Session(process.returncode, out, err)


def run(script, ranks=3, head=HEAD, status=0, **env):
    """Runs a script to its end."""
    session = end(begin(script, ranks, head, **env))
    assert session.status == status, f"status {session.status}\n{session.out}\n{session.err}"
    return session

# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of an interactive session, with a real xterm on a display of its own (Xvfb), in which xdotool types."""
import os
import shutil
import subprocess

import pytest

from runs import LIMIT_S, MPISHEAF, Run, wait_until

_missing = [program for program in ("Xvfb", "xterm", "xdotool") if not shutil.which(program)]
pytestmark = pytest.mark.skipif(bool(_missing), reason=f"not installed: {', '.join(_missing)}")  # a skipped module fails in pytest
TITLE = "Sheaf: client (rank 0)"


@pytest.fixture
def display(tmp_path):
    """A display with one empty screen; its name."""
    out, into = os.pipe()
    with open(tmp_path / "Xvfb.log", "w") as log:
        server = subprocess.Popen(["Xvfb", "-displayfd", str(into), "-screen", "0", "1000x700x24", "-nolisten", "tcp"],
                                  pass_fds=[into], stdout=log, stderr=log)
    os.close(into)
    with os.fdopen(out) as answer:
        number = answer.readline().strip()
    assert number, (tmp_path / "Xvfb.log").read_text()
    yield ":" + number
    server.terminate()
    server.wait(timeout=LIMIT_S)


@pytest.fixture
def xdo(display):
    def run(*words):
        return subprocess.run(["xdotool", *words], env=dict(os.environ, DISPLAY=display), capture_output=True, text=True,
                              timeout=LIMIT_S)
    return run


def window_of(xdo):
    """Waits for the window and puts the pointer into it: keys go there, as there is no window manager."""
    window = wait_until(lambda: xdo("search", "--onlyvisible", "--name", f"^{TITLE[:5]}").stdout.split(), "a window")[0]
    assert xdo("getwindowname", window).stdout.strip() == TITLE
    xdo("mousemove", "--window", window, "50", "50")
    return window


def keep_picture(display, path):
    """For people who want to look: SHEAF_TEST_PICTURES=folder."""
    folder = os.environ.get("SHEAF_TEST_PICTURES")
    if folder and shutil.which("import"):
        subprocess.run(["import", "-display", display, "-window", "root", os.path.join(folder, path)], timeout=LIMIT_S)


def session(display, tmp_path):
    env = dict(os.environ, DISPLAY=display, SHEAF_LOGFILE="none", HOME=str(tmp_path), IPYTHONDIR=str(tmp_path / "ipython"))
    return Run(MPISHEAF, "-n", "3", cwd=tmp_path, env=env)


def type_line(xdo, tmp_path, line, name):
    """Types a line that makes a file. What is typed before the session reads may be lost: typed until the file is there."""
    def attempt():
        xdo("type", "--delay", "20", line + "\n")
        try:
            wait_until(lambda: (tmp_path / name).exists(), name, limit_s=10)
        except AssertionError:
            return False
        return True
    wait_until(attempt, f"the file that is made by {line}")


def test_session_in_a_window(display, xdo, tmp_path):
    job = session(display, tmp_path)
    window_of(xdo)
    type_line(xdo, tmp_path, "print(6*7, nservers()); open('a','w').write(str(nservers()))", "a")
    keep_picture(display, "session.png")
    assert (tmp_path / "a").read_text() == "2"
    xdo("type", "--delay", "20", "import os; os._exit(5)\n")
    status, out, err = job.finish()
    assert status == 5, err
    assert "42" not in out + err  # it was in the window
    assert not xdo("search", "--name", "Sheaf").stdout


def test_window_closed(display, xdo, tmp_path):
    """Closing it ends the session, and all servers (finish() looks)."""
    job = session(display, tmp_path)
    window = window_of(xdo)
    type_line(xdo, tmp_path, "open('a','w').close()", "a")
    xdo("windowclose", window)
    status, out, err = job.finish()
    assert status != 0, err

# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests. As pytest finds it here, this folder is in the path: tests can import inputs and runs."""
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

NOBODY = 65534

# Under nohup, or in the background of a script, signals are ignored, and so would all programs do that tests start.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


class Ordinary:
    """A user whom permissions stop, also when root runs the tests (then it is nobody). `folder` is the user's; `sheaf` and
    `mpisheaf` are programs that the user may run, `python` is the package's place, `options` are for subprocess."""

    def __init__(self, folder):
        self.folder, self.options = folder, {"env": dict(os.environ, HOME="/", SHEAF_LOGFILE="none")}
        prefix, self.python = os.environ["SHEAF_BUILD"], os.path.join(os.environ["SHEAF_BUILD"], "python")
        if os.geteuid() == 0:
            prefix = os.path.join(folder, "sheaf")  # the build may lie where only root can go
            subprocess.run(["cmake", "--install", os.environ["SHEAF_BUILD"], "--prefix", prefix], check=True, capture_output=True)
            self.python = os.path.join(prefix, "lib", "sheaf", "python")
            self.options.update(user=NOBODY, group=NOBODY, extra_groups=[])
        self.options["env"]["PYTHONPATH"] = self.python
        self.sheaf, self.mpisheaf = (os.path.join(prefix, "bin", name) for name in ("sheaf", "mpisheaf"))

    def give(self, path):
        """Makes a file or folder the user's, with all that is in it."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", path], check=True)
        return str(path)


@pytest.fixture
def ordinary():
    folder = tempfile.mkdtemp(prefix="sheaf-user-", dir="/tmp" if os.geteuid() == 0 else None)
    os.chmod(folder, 0o755)
    user = Ordinary(folder)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield user
    subprocess.run(["chmod", "-R", "u+rwX", folder])
    shutil.rmtree(folder)

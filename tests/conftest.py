# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests. As pytest finds it here, this folder is in the path: tests can import inputs and runs."""
import signal

# Under nohup, or in the background of a script, signals are ignored, and so would all programs do that tests start.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
